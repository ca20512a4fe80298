//! Templates and MQTT topics: placeholders, wildcards and lengths.

use super::Checker;
use crate::scenario::errors::nearest_help;
use crate::scenario::located::At;
use crate::scenario::template::{Names, Segment, Template};
use crate::scenario::template_parse::{self, CSV_NAMES, NAMES};
use crate::scenario::tree::Span;

/// Longest topic, client identifier or will payload in bytes (MQTT 3.1.1 section 1.5.3).
const MAX_MQTT_STRING: usize = 65_535;

impl Checker<'_> {
    /// A template of a topic, payload or client identifier.
    pub(super) fn template(&mut self, text: &At<String>, csv: bool) -> Template {
        if let Some(at) = text.value.find("${") {
            let reference = &text.value[at..];
            let reference = reference
                .find('}')
                .map_or(reference, |end| &reference[..=end]);
            let span = self.within(text.span, reference);
            self.error(
                span,
                "secrets may only stand in `auth`",
                "remove the `${…}` reference, or move it to `target: { auth: … }`",
            );
            return Template::default();
        }
        let mut allowed = NAMES.to_vec();
        if csv {
            allowed.push(CSV_NAMES[0]);
        }
        match template_parse::parse(&text.value, &allowed) {
            Ok(template) => template,
            Err(unknown) => {
                let word = unknown.word;
                let span = self.within(text.span, &format!("{{{word}}}"));
                let help = match word.as_str() {
                    "id" => "`{id}` needs `brokers` and `auth: { csv: … }` in `target`".into(),
                    "token" => "`{token}` may only stand in `auth`".into(),
                    _ => nearest_help(&word, allowed.into_iter()),
                };
                self.error(span, format!("unknown placeholder `{{{word}}}`"), help);
                Template::default()
            }
        }
    }

    /// A topic name (MQTT 3.1.1 section 4.7): not empty, no wildcard, no NUL, not too long.
    pub(super) fn topic(&mut self, text: &At<String>, csv: bool) -> Template {
        let topic = self.template(text, csv);
        if let Some(wildcard) = text.value.find(['+', '#']) {
            let wildcard = &text.value[wildcard..=wildcard];
            let span = self.within(text.span, wildcard);
            self.error(
                span,
                format!("`{wildcard}` cannot stand in the topic of a message"),
                "wildcards are for subscriptions; name the topic in full",
            );
        }
        self.mqtt_string("topic", text, &topic);
        topic
    }

    /// A topic filter: `+` fills a level, `#` the last one.
    pub(super) fn filter(&mut self, text: &At<String>, csv: bool) -> Template {
        let filter = self.template(text, csv);
        let levels: Vec<&str> = text.value.split('/').collect();
        for (index, level) in levels.iter().enumerate() {
            let last = index + 1 == levels.len();
            let good = match *level {
                "#" => last,
                "+" => true,
                level => !level.contains(['+', '#']),
            };
            if !good {
                let span = self.within(text.span, level);
                self.error(
                    span,
                    format!("`{level}` is not a valid level of a topic filter"),
                    "`+` stands alone between two `/`, `#` alone at the end",
                );
            }
        }
        self.mqtt_string("topic filter", text, &filter);
        filter
    }

    /// What MQTT demands of any string that it names things with.
    pub(super) fn mqtt_string(&mut self, what: &str, text: &At<String>, template: &Template) {
        if text.value.is_empty() {
            self.error(
                text.span,
                format!("the {what} is empty"),
                "write for example \"d/{device}\"",
            );
        }
        if text.value.contains('\0') {
            self.error(
                text.span,
                format!("the {what} contains the character U+0000"),
                "remove it",
            );
        }
        let length = longest(template);
        if length > MAX_MQTT_STRING {
            self.error(
                text.span,
                format!("the {what} has up to {length} bytes"),
                format!("MQTT allows {MAX_MQTT_STRING}"),
            );
        }
    }

    /// Where `part` stands inside the scalar at `span`, or the scalar if it is written otherwise
    /// (escaped).
    pub(super) fn within(&self, span: Span, part: &str) -> Span {
        let source = self.inputs.text.get(span.start..span.end).unwrap_or("");
        source.find(part).map_or(span, |at| Span {
            start: span.start + at,
            end: span.start + at + part.len(),
        })
    }
}

/// Whether each device gets a text of its own.
pub(super) fn is_per_device(template: &Template) -> bool {
    template.0.iter().any(|segment| match segment {
        Segment::Device | Segment::Index | Segment::Id => true,
        Segment::Literal(_)
        | Segment::Secret(_)
        | Segment::Cohort
        | Segment::Node
        | Segment::Run
        | Segment::Token => false,
    })
}

/// Length in bytes with the longest names that a fleet can have.
fn longest(template: &Template) -> usize {
    let cohort = "c".repeat(super::MAX_NAME);
    let names = Names {
        cohort: &cohort,
        index_in_cohort: u32::MAX,
        index: u32::MAX,
        node: u16::MAX,
        run: u32::MAX,
        credentials: None,
    };
    template.to_text(&names).len()
}

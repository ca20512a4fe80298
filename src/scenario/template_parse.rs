//! Reading templates: placeholders by name, secrets only where they may stand.

use super::plan::Secret;
use super::template::{Segment, Template};

/// A placeholder that is not known where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// The word between the braces.
    pub(super) word: String,
}

/// The placeholders that every template may use.
pub(super) const NAMES: [&str; 5] = ["device", "cohort", "index", "node", "run"];
/// Those that need a credentials CSV.
pub(super) const CSV_NAMES: [&str; 2] = ["id", "token"];

/// Reads `text` with the placeholders in `allowed`. A brace that encloses anything but a plain word
/// is text, so JSON can stand in a payload.
pub(super) fn parse(text: &str, allowed: &[&str]) -> Result<Template, Unknown> {
    let mut segments = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        literal.push_str(before);
        let Some(word) = placeholder(from) else {
            literal.push('{');
            rest = &from[1..];
            continue;
        };
        let segment = segment(word).filter(|_| allowed.contains(&word));
        let segment = segment.ok_or_else(|| Unknown { word: word.into() })?;
        if !literal.is_empty() {
            segments.push(Segment::Literal(std::mem::take(&mut literal)));
        }
        segments.push(segment);
        rest = &from[word.len() + 2..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        segments.push(Segment::Literal(literal));
    }
    Ok(Template(segments))
}

/// Turns all plain text of a template into secrets, so that it is never printed.
pub(super) fn hide(template: Template) -> Template {
    Template(
        template
            .0
            .into_iter()
            .map(|segment| match segment {
                Segment::Literal(text) => Segment::Secret(Secret(text)),
                Segment::Secret(_)
                | Segment::Device
                | Segment::Cohort
                | Segment::Index
                | Segment::Node
                | Segment::Run
                | Segment::Id
                | Segment::Token => segment,
            })
            .collect(),
    )
}

/// The word of `{word}` at the beginning of `from`.
fn placeholder(from: &str) -> Option<&str> {
    let inner = &from[1..from.find('}')?];
    let plain = !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    plain.then_some(inner)
}

fn segment(word: &str) -> Option<Segment> {
    match word {
        "device" => Some(Segment::Device),
        "cohort" => Some(Segment::Cohort),
        "index" => Some(Segment::Index),
        "node" => Some(Segment::Node),
        "run" => Some(Segment::Run),
        "id" => Some(Segment::Id),
        "token" => Some(Segment::Token),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_and_plain_braces() {
        assert_eq!(
            parse("d/{device}/power", &NAMES),
            Ok(Template(vec![
                Segment::Literal("d/".into()),
                Segment::Device,
                Segment::Literal("/power".into()),
            ]))
        );
        let json = r#"{"on":true,"at":{"x":[1]}} {} {"#;
        assert_eq!(
            parse(json, &NAMES),
            Ok(Template(vec![Segment::Literal(json.into())]))
        );
        assert_eq!(
            parse("{devcie}", &NAMES),
            Err(Unknown {
                word: "devcie".into()
            })
        );
        assert_eq!(parse("{id}", &NAMES), Err(Unknown { word: "id".into() }));
        assert_eq!(parse("", &NAMES), Ok(Template(vec![])));
    }
}

//! From topics back to devices. A device is known by its name in the topic only, as on a real
//! broker: templates are turned into wildcard filters, and topics are matched against them in reverse.
//!
//! The usual templates name a device by `{device}` or `{index}`: then the number in the topic is the
//! device's, and no memory is needed. Templates that name it by a credential (`{id}`, `{token}`), or whose
//! numbers touch other digits, are rendered once for all devices of the cohort into a table of hashes,
//! 16 bytes per device. Either way a device counts as found only if its own text is exactly the
//! topic's.

use crate::device::payload;
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::scenario::template::{Segment, Template};

#[cfg(test)]
mod tests;

/// A template of a cohort, to be found in topics.
#[derive(Debug)]
pub(super) struct Base {
    cohort: usize,
    template: Template,
    /// Levels of the topic that the template renders to.
    levels: usize,
    /// What all its texts begin with.
    prefix: String,
    filter: String,
    finder: Finder,
}

#[derive(Debug)]
enum Finder {
    /// The number in the text is the device's.
    Number,
    /// By hash of the text, ascending.
    Table(Vec<(u64, DeviceIdx)>),
    /// It does not name devices.
    Nobody,
}

/// What a topic has behind its base.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Found<'t> {
    /// It is no topic of this template.
    Other,
    /// It looks like one, but its name is of no device of this fleet.
    Foreign,
    /// A device's; the rest of the topic, without the `/` in front of it, empty if there is none.
    Device(DeviceIdx, &'t str),
}

impl Base {
    /// `template` for the devices of `cohort`.
    pub(super) fn new(plan: &Plan, run: u32, cohort: usize, template: &Template) -> Self {
        let first = plan.cohorts[cohort].first;
        let finder = if is_arithmetic(template) {
            Finder::Number
        } else if names_somebody(template) {
            Finder::Table(table(plan, run, cohort, template))
        } else {
            Finder::Nobody
        };
        Self {
            cohort,
            template: template.clone(),
            levels: text_of(plan, run, template, first).split('/').count(),
            prefix: prefix(plan, run, cohort, template),
            filter: filter(plan, run, cohort, template),
            finder,
        }
    }

    /// The filter that all its topics match: `+` for each level that differs between devices.
    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    /// Whose `topic` is.
    pub(super) fn find<'t>(&self, plan: &Plan, run: u32, topic: &'t str) -> Found<'t> {
        if !topic.starts_with(&self.prefix) {
            return Found::Other;
        }
        let end = topic
            .match_indices('/')
            .nth(self.levels - 1)
            .map(|(at, _)| at);
        let (text, rest) = match end {
            Some(at) => (&topic[..at], &topic[at + 1..]),
            None => (topic, ""),
        };
        if text.split('/').count() != self.levels || !self.literals_fit(text) {
            return Found::Other;
        }
        match self.device(plan, run, text) {
            Some(device) => Found::Device(device, rest),
            None => Found::Foreign,
        }
    }

    /// Whether the levels that all devices share are the template's.
    fn literals_fit(&self, text: &str) -> bool {
        let mut both = self.filter.split('/').zip(text.split('/'));
        both.all(|(wanted, level)| wanted == "+" || wanted == level)
    }

    fn device(&self, plan: &Plan, run: u32, text: &str) -> Option<DeviceIdx> {
        let is_it = |device: &DeviceIdx| text_of(plan, run, &self.template, *device) == text;
        match &self.finder {
            Finder::Number => self.by_number(plan, run, text).filter(is_it),
            Finder::Table(table) => {
                let hash = fnv(text);
                let from = table.partition_point(|(other, _)| *other < hash);
                let same = table[from..].iter().take_while(|(other, _)| *other == hash);
                same.map(|(_, device)| *device).find(is_it)
            }
            Finder::Nobody => None,
        }
    }

    /// Of the first number that is a device's.
    fn by_number(&self, plan: &Plan, run: u32, text: &str) -> Option<DeviceIdx> {
        let cohort = &plan.cohorts[self.cohort];
        let names = payload::names(plan, cohort.first, run);
        let mut rest = text;
        for segment in &self.template.0 {
            match segment {
                Segment::Literal(_) | Segment::Secret(_) | Segment::Cohort | Segment::Run => {
                    let same = Template(vec![segment.clone()]).to_text(&names);
                    rest = rest.strip_prefix(same.as_str())?;
                }
                Segment::Node => rest = &rest[digits(rest)..],
                Segment::Device => {
                    let number = rest.strip_prefix(cohort.name.as_str())?.strip_prefix('-')?;
                    let index: u32 = number[..digits(number)].parse().ok()?;
                    let is_there = index < cohort.devices;
                    return is_there.then(|| cohort.first + index);
                }
                Segment::Index => {
                    let index: u32 = rest[..digits(rest)].parse().ok()?;
                    let cohort = cohort.first..cohort.first + cohort.devices;
                    return cohort.contains(&index).then_some(index);
                }
                Segment::Id | Segment::Token => return None,
            }
        }
        None
    }
}

/// The device that is called `<cohort>-<index>`, as things are in AWS's topics.
pub(super) fn device_called(plan: &Plan, name: &str) -> Option<DeviceIdx> {
    let (cohort, number) = name.rsplit_once('-')?;
    let cohort = plan.cohorts.iter().find(|known| known.name == cohort)?;
    let is_plain = digits(number) == number.len() && (number == "0" || !number.starts_with('0'));
    let index: u32 = number.parse().ok()?;
    (is_plain && index < cohort.devices).then(|| cohort.first + index)
}

/// Whether every topic that matches the filter `narrow` matches `wide`.
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('/'), narrow.split('/'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(same), Some(level)) if same == level => {}
            (Some(_), Some(_) | None) | (None, Some(_)) => return false,
        }
    }
}

fn text_of(plan: &Plan, run: u32, template: &Template, device: DeviceIdx) -> String {
    template.to_text(&payload::names(plan, device, run))
}

/// What stands in front of the first segment that differs between devices.
fn prefix(plan: &Plan, run: u32, cohort: usize, template: &Template) -> String {
    let names = payload::names(plan, plan.cohorts[cohort].first, run);
    let same = template.0.iter().take_while(|segment| is_same(segment));
    Template(same.cloned().collect()).to_text(&names)
}

/// The filter that all texts of `template` match.
fn filter(plan: &Plan, run: u32, cohort: usize, template: &Template) -> String {
    /// Stands where devices differ; no topic has it.
    const MARK: char = '\u{0}';
    let names = payload::names(plan, plan.cohorts[cohort].first, run);
    let mut marked = String::new();
    for segment in &template.0 {
        if is_same(segment) {
            Template(vec![segment.clone()]).render(&names, &mut marked);
        } else {
            marked.push(MARK);
        }
    }
    let level = |level: &'_ str| {
        if level.contains(MARK) {
            "+".to_owned()
        } else {
            level.to_owned()
        }
    };
    marked.split('/').map(level).collect::<Vec<_>>().join("/")
}

/// Whether all devices of a cohort have the same text there.
const fn is_same(segment: &Segment) -> bool {
    match segment {
        Segment::Literal(_) | Segment::Secret(_) | Segment::Cohort | Segment::Run => true,
        Segment::Device | Segment::Index | Segment::Node | Segment::Id | Segment::Token => false,
    }
}

fn names_somebody(template: &Template) -> bool {
    template.0.iter().any(|segment| match segment {
        Segment::Device | Segment::Index | Segment::Id | Segment::Token => true,
        Segment::Literal(_)
        | Segment::Secret(_)
        | Segment::Cohort
        | Segment::Node
        | Segment::Run => false,
    })
}

/// Whether the first number that is a device's can be told from what stands around it.
fn is_arithmetic(template: &Template) -> bool {
    let mut segments = template.0.iter().peekable();
    while let Some(segment) = segments.next() {
        let is_device = match segment {
            Segment::Literal(_) | Segment::Secret(_) | Segment::Cohort | Segment::Run => continue,
            Segment::Id | Segment::Token => return false,
            Segment::Device | Segment::Index => true,
            Segment::Node => false,
        };
        // Any other number or name may begin with a digit.
        let ends_there = match segments.peek() {
            None => true,
            Some(Segment::Literal(text)) => !text.starts_with(|c: char| c.is_ascii_digit()),
            Some(
                Segment::Secret(_)
                | Segment::Device
                | Segment::Cohort
                | Segment::Index
                | Segment::Node
                | Segment::Run
                | Segment::Id
                | Segment::Token,
            ) => false,
        };
        if !ends_there || is_device {
            return ends_there;
        }
    }
    false
}

fn table(plan: &Plan, run: u32, cohort: usize, template: &Template) -> Vec<(u64, DeviceIdx)> {
    let cohort = &plan.cohorts[cohort];
    let devices = cohort.first..cohort.first + cohort.devices;
    let mut table: Vec<_> = devices
        .map(|device| (fnv(&text_of(plan, run, template, device)), device))
        .collect();
    table.sort_unstable();
    table
}

/// FNV-1a.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Length of the digits that `text` begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

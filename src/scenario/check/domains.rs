//! Attributes within attributes: trees of failure domains such as region, feeder, site.

use super::Checker;
use crate::scenario::errors::nearest_help;
use crate::scenario::located::{At, Pairs};
use crate::scenario::mirror::Values;
use crate::scenario::plan::{Attribute, Plan, Selector};

/// Most values of one attribute that is split within another.
const MAX_VALUES: u64 = 100_000;

/// Most values that an `any` draws.
const MAX_DRAWN: u32 = 1_000;

/// A split as it is written.
struct Split<'f> {
    name: &'f At<String>,
    within: &'f At<String>,
    each: u32,
    /// Place of `each`.
    each_at: &'f At<String>,
    /// Among the attributes of the file.
    place: usize,
}

impl Checker<'_> {
    /// Fills in those of `checked` that are split within another, in whatever order they stand.
    pub(super) fn splits(
        &mut self,
        written: &Pairs<At<Values>>,
        checked: &mut [Option<Attribute>],
    ) {
        let before = self.problems.len();
        let mut open = Vec::new();
        for (place, (name, values)) in written.0.iter().enumerate() {
            if checked[place].is_none() {
                open.extend(self.split(name, values, place));
            }
        }
        // Each round settles all whose parent is settled; the last finds none.
        loop {
            let waiting = open.len();
            let mut next = Vec::new();
            for split in open {
                let mut settled = checked.iter().flatten();
                let parent = settled.find(|known| known.name == split.within.value);
                match parent.cloned() {
                    Some(parent) => checked[split.place] = self.children(&split, &parent),
                    None => next.push(split),
                }
            }
            open = next;
            if open.len() == waiting {
                break;
            }
        }
        let names = || written.0.iter().map(|(name, _)| name.value.as_str());
        for split in open {
            let within = &split.within.value;
            if !names().any(|name| name == within) {
                let help = nearest_help(within, names().filter(|name| *name != split.name.value));
                self.error(
                    split.within.span,
                    format!("unknown attribute `{within}`"),
                    help,
                );
            } else if before == self.problems.len() {
                self.error(
                    split.within.span,
                    format!("`{}` would be within itself", split.name.value),
                    "name an attribute with shares above it",
                );
            }
        }
    }

    fn split<'f>(
        &mut self,
        name: &'f At<String>,
        values: &'f At<Values>,
        place: usize,
    ) -> Option<Split<'f>> {
        let (mut within, mut each) = (None, None);
        for (key, value) in &values.value.0.0 {
            match key.value.as_str() {
                "within" => within = Some(value),
                "each" => each = Some(value),
                _ => {
                    self.unknown("word", key, &["within", "each"]);
                    return None;
                }
            }
        }
        let (Some(within), Some(each_at)) = (within, each) else {
            self.absent(
                values.span,
                format!("`{}` needs both `within` and `each`", name.value),
                "write for example `{ within: region, each: 4 }`",
            );
            return None;
        };
        let each = each_at.value.parse().ok().filter(|each| *each > 0);
        let Some(each) = each else {
            self.error(
                each_at.span,
                format!("`{}` is not a number of parts", each_at.value),
                format!("write a whole number from 1 to {MAX_VALUES}"),
            );
            return None;
        };
        Some(Split {
            name,
            within,
            each,
            each_at,
            place,
        })
    }

    /// Each value of `parent` in so many parts, whose sizes differ by at most one.
    fn children(&mut self, split: &Split<'_>, parent: &Attribute) -> Option<Attribute> {
        let each = split.each;
        let all = u64::from(each) * parent.values.len() as u64;
        if all > MAX_VALUES {
            self.error(
                split.each_at.span,
                format!("`{}` would have {all} values", split.name.value),
                format!("at most {MAX_VALUES}"),
            );
            return None;
        }
        let small = parent.values.iter().find(|(_, count)| *count < each);
        if let Some((value, count)) = small {
            self.error(
                split.each_at.span,
                format!(
                    "`{}: {value}` has {count} devices, fewer than {each}",
                    parent.name
                ),
                "write a smaller `each`, or use more devices",
            );
            return None;
        }
        let parts = |(value, count): &(String, u32)| {
            let (size, larger) = (count / each, count % each);
            let part = |number| {
                (
                    format!("{value}/{number}"),
                    size + u32::from(number <= larger),
                )
            };
            (1..=each).map(part).collect::<Vec<_>>()
        };
        Some(Attribute {
            name: split.name.value.clone(),
            values: parent.values.iter().flat_map(parts).collect(),
            root: Some(parent.root.as_ref().unwrap_or(&parent.name).clone()),
        })
    }

    /// Whether some device has the attribute `key`; if not, that is reported.
    pub(super) fn is_attribute(&mut self, key: &At<String>, plan: &Plan) -> bool {
        let all = || plan.cohorts.iter().flat_map(|cohort| &cohort.attributes);
        if all().any(|attribute| attribute.name == key.value) {
            return true;
        }
        if !self.pruned.items_of("fleet") {
            let mut known: Vec<&str> = vec!["cohort", "node", "share", "draw"];
            known.extend(all().map(|attribute| attribute.name.as_str()));
            known.dedup();
            self.unknown("attribute", key, &known);
        }
        false
    }

    /// Draws `count` values of the attribute `key` among those that `selector` leaves so far.
    pub(super) fn any_of(
        &mut self,
        key: &At<String>,
        count: &At<u32>,
        plan: &Plan,
        selector: &mut Selector,
    ) {
        if !self.is_attribute(key, plan) {
            return;
        }
        if !(1..=MAX_DRAWN).contains(&count.value) {
            self.error(
                count.span,
                format!("`any` cannot be {}", count.value),
                format!("write a whole number from 1 to {MAX_DRAWN}"),
            );
            return;
        }
        let among = Selector {
            share: None,
            ..selector.clone()
        };
        match among.draw_values(plan, &key.value, count.value) {
            Ok(values) => selector.any_of.push((key.value.clone(), values)),
            Err(there_are) => self.error(
                count.span,
                format!(
                    "there are {there_are} values of `{}` to draw from",
                    key.value
                ),
                "write a smaller `any`, or make the other conditions wider",
            ),
        }
    }
}

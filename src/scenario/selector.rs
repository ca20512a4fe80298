//! Which devices a `where` means: exact counts by seeded permutation, the same in every process.

use super::plan::{Attribute, Cohort, DeviceIdx, Plan, Selector, Spared};
use super::words::percent;
use crate::rng::{self, Purpose};
use std::collections::BTreeSet;

/// Most drawn values that are named in a sentence.
const LISTED_MAX: usize = 20;

impl Selector {
    /// The devices meant, ascending. A share picks exactly `round(share * n)` of the `n` devices
    /// that fulfil the other conditions, and a leak spares as exact a part of those.
    pub fn members(&self, plan: &Plan) -> Vec<DeviceIdx> {
        let cohorts = plan.cohorts.iter().enumerate();
        let mut members: Vec<DeviceIdx> = cohorts
            .filter(|(index, _)| self.cohort.is_none_or(|only| only == *index))
            .flat_map(|(_, cohort)| self.members_of(plan, cohort))
            .collect();
        if let Some(share) = self.share {
            let draw = u64::from(self.draw);
            members.retain(picks(plan.seed, Purpose::Share, draw, share, members.len()));
        }
        if let Some(Spared { share, fault }) = self.spared {
            let mut spares = picks(
                plan.seed,
                Purpose::Leak,
                u64::from(fault),
                share,
                members.len(),
            );
            members.retain(|device| !spares(device));
        }
        members
    }

    /// For people: `all devices`, `30 % of the devices of meters on node 1 with region north`.
    ///
    /// # Panics
    /// If the plan has no such cohort.
    pub fn text(&self, plan: &Plan) -> String {
        if let Some(spared) = self.spared {
            let reached = Self {
                spared: None,
                ..self.clone()
            };
            let of_them = percent(spared.share);
            return format!("{} ({of_them} of them spared)", reached.text(plan));
        }
        if *self == Self::default() {
            return "all devices".to_owned();
        }
        let share = self.share.map_or_else(String::new, |share| {
            let draw = match self.draw {
                0 => String::new(),
                draw => format!("draw {draw} of "),
            };
            format!("{draw}{} of ", percent(share))
        });
        let mut text = format!("{share}the devices");
        if let Some(cohort) = self.cohort {
            text = format!("{text} of {}", plan.cohorts[cohort].name);
        }
        if let Some(node) = self.node {
            text = format!("{text} on node {node}");
        }
        for (index, (name, value)) in self.attributes.iter().enumerate() {
            let and = if index == 0 { "with" } else { "and" };
            text = format!("{text} {and} {name} {value}");
        }
        for (index, (name, values)) in self.any_of.iter().enumerate() {
            let is_first = index == 0 && self.attributes.is_empty();
            let and = if is_first { "with" } else { "and" };
            let mut listed = values[..values.len().min(LISTED_MAX)].join(" or ");
            if values.len() > LISTED_MAX {
                listed = format!("{listed} or {} more", values.len() - LISTED_MAX);
            }
            text = format!("{text} {and} {name} {listed}");
        }
        text
    }

    /// So many of the values of attribute `name` that the devices meant have, in the order of the
    /// plan: an exact number by permutation. The error is how many there are, if not so many.
    pub(super) fn draw_values(
        &self,
        plan: &Plan,
        name: &str,
        count: u32,
    ) -> Result<Vec<String>, u32> {
        let met = self.values_met(plan, name);
        let all = u32::try_from(met.len()).expect("no more than there are devices, a u32");
        if count > all {
            return Err(all);
        }
        let salt = salt("any", name).wrapping_add(u64::from(self.draw));
        let is_drawn = |rank| rng::permute(plan.seed, Purpose::AnyValue, salt, all, rank) < count;
        let ranked = (0u32..).zip(met);
        let drawn = ranked.filter(|(rank, _)| is_drawn(*rank));
        Ok(drawn.map(|(_, value)| value.to_owned()).collect())
    }

    /// The values of attribute `name` that the devices meant have, in the order of the plan.
    fn values_met<'p>(&self, plan: &'p Plan, name: &str) -> Vec<&'p str> {
        let members = self.members(plan);
        let mut known = BTreeSet::new();
        let mut met = Vec::new();
        for cohort in &plan.cohorts {
            let Some(attribute) = cohort.attributes.iter().find(|a| a.name == name) else {
                continue;
            };
            let mut end = 0;
            let counts = attribute.values.iter().map(|(_, count)| {
                end += count;
                end
            });
            let ends: Vec<u32> = counts.collect();
            let mut is_met = vec![false; ends.len()];
            let begin = members.partition_point(|device| *device < cohort.first);
            let last = cohort.first + cohort.devices;
            for device in members[begin..].iter().take_while(|device| **device < last) {
                let salt = attribute.salt(cohort);
                let index = device - cohort.first;
                let place =
                    rng::permute(plan.seed, Purpose::Attribute, salt, cohort.devices, index);
                is_met[ends.partition_point(|end| *end <= place)] = true;
            }
            let values = attribute
                .values
                .iter()
                .zip(is_met)
                .filter(|(_, is_met)| *is_met);
            met.extend(
                values
                    .map(|((value, _), _)| value.as_str())
                    .filter(|value| known.insert(*value)),
            );
        }
        met
    }

    /// Those of `cohort` with the node and the attributes, ascending.
    fn members_of(&self, plan: &Plan, cohort: &Cohort) -> Vec<DeviceIdx> {
        let one = |(name, value): &'_ (String, String)| {
            Places::of(cohort, name, std::slice::from_ref(value))
        };
        let any = |(name, values): &'_ (String, Vec<String>)| Places::of(cohort, name, values);
        let attributes = self.attributes.iter().map(one);
        let places: Option<Vec<Places>> = attributes.chain(self.any_of.iter().map(any)).collect();
        let Some(places) = places else {
            return Vec::new();
        };
        let is_meant = |device: &DeviceIdx| {
            let place = device - cohort.first;
            self.node.is_none_or(|node| plan.home_node(*device) == node)
                && places.iter().all(|places| {
                    places.hold(rng::permute(
                        plan.seed,
                        Purpose::Attribute,
                        places.salt,
                        cohort.devices,
                        place,
                    ))
                })
        };
        let devices = cohort.first..cohort.first + cohort.devices;
        devices.filter(is_meant).collect()
    }
}

/// Where in the order of their cohort that an attribute goes by the devices with certain values are.
struct Places {
    salt: u64,
    /// Ascending.
    ranges: Vec<std::ops::Range<u32>>,
}

impl Places {
    /// `None` if no device of the cohort has such a value.
    fn of(cohort: &Cohort, name: &str, wanted: &[String]) -> Option<Self> {
        let attribute = cohort.attributes.iter().find(|a| a.name == name)?;
        let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
        let mut ranges = Vec::with_capacity(wanted.len());
        let mut begin = 0;
        for (known, count) in &attribute.values {
            if wanted.contains(known.as_str()) {
                ranges.push(begin..begin + count);
            }
            begin += count;
        }
        let salt = attribute.salt(cohort);
        (!ranges.is_empty()).then_some(Self { salt, ranges })
    }

    fn hold(&self, place: u32) -> bool {
        let found = self.ranges.partition_point(|range| range.end <= place);
        let range = self.ranges.get(found);
        range.is_some_and(|range| range.contains(&place))
    }
}

impl Attribute {
    /// Of the order of devices of `cohort` that it goes by.
    fn salt(&self, cohort: &Cohort) -> u64 {
        salt(&cohort.name, self.root.as_ref().unwrap_or(&self.name))
    }
}

/// Says of `all` devices in their order, once each, whether it is one of the exact `share` picked.
fn picks(
    seed: u64,
    purpose: Purpose,
    salt: u64,
    share: f64,
    all: usize,
) -> impl FnMut(&DeviceIdx) -> bool {
    let all = u32::try_from(all).expect("no more than there are devices, a u32");
    let picked = part_of(share, all);
    let mut rank = 0;
    move |_| {
        rank += 1;
        rng::permute(seed, purpose, salt, all, rank - 1) < picked
    }
}

/// `share` (0 to 1) of `all`, rounded to the nearest whole number.
pub fn part_of(share: f64, all: u32) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and `all`"
    )]
    let part = (share.clamp(0.0, 1.0) * f64::from(all)).round() as u32;
    part
}

impl Plan {
    /// The value that attribute `name` has for `device`, `None` if its cohort has no such
    /// attribute. Each value belongs to an exact number of devices of the cohort.
    ///
    /// # Panics
    /// If `device` is not below [`Plan::devices`].
    pub fn attribute(&self, device: DeviceIdx, name: &str) -> Option<&str> {
        let cohort = &self.cohorts[self.cohort_of(device)];
        let attribute = cohort.attributes.iter().find(|a| a.name == name)?;
        let salt = attribute.salt(cohort);
        let mut place = rng::permute(
            self.seed,
            Purpose::Attribute,
            salt,
            cohort.devices,
            device - cohort.first,
        );
        for (value, count) in &attribute.values {
            if place < *count {
                return Some(value);
            }
            place -= count;
        }
        None
    }
}

/// FNV-1a over cohort and attribute name, so that attributes are independent of each other and of
/// their order in the file.
fn salt(cohort: &str, attribute: &str) -> u64 {
    cohort
        .bytes()
        .chain([0])
        .chain(attribute.bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fixture;
    use proptest::prelude::*;

    fn plan(devices: u32, seed: u64) -> Plan {
        let mut plan = fixture::plan(devices);
        plan.seed = seed;
        let north = devices / 3;
        plan.cohorts[0].attributes = vec![Attribute {
            name: "region".into(),
            values: vec![("north".into(), north), ("south".into(), devices - north)],
            root: None,
        }];
        plan
    }

    fn region(value: &str, share: Option<f64>) -> Selector {
        Selector {
            attributes: vec![("region".into(), value.into())],
            share,
            ..Selector::default()
        }
    }

    proptest! {
        #[test]
        fn shares_and_attributes_are_exact(devices in 3u32..60, seed: u64, percent in 0u32..=100) {
            let plan = plan(devices, seed);
            let north = region("north", None).members(&plan).len();
            prop_assert_eq!(north, devices as usize / 3);
            let share = f64::from(percent) / 100.0;
            let some = region("north", Some(share)).members(&plan);
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let wanted = (north as f64 * share).round();
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let found = some.len() as f64;
            prop_assert_eq!(found, wanted);
            for device in some {
                prop_assert_eq!(plan.attribute(device, "region"), Some("north"));
            }
        }

        #[test]
        fn a_tree_is_nested_exactly(devices in 30u32..200, seed: u64) {
            let plan = tree(devices, seed);
            let mut sizes: Vec<usize> = Vec::new();
            for value in ["north", "south"] {
                let region = region(value, None).members(&plan);
                let mut of_feeders = Vec::new();
                for number in 1..=4 {
                    let feeder = feeder(&format!("{value}/{number}")).members(&plan);
                    prop_assert!(feeder.iter().all(|device| region.contains(device)));
                    sizes.push(feeder.len());
                    of_feeders.extend(feeder);
                }
                of_feeders.sort_unstable();
                prop_assert_eq!(of_feeders, region);
            }
            prop_assert_eq!(sizes.iter().sum::<usize>(), devices as usize);
            for sizes in sizes.chunks(4) {
                let (least, most) = (sizes.iter().min(), sizes.iter().max());
                prop_assert!(most <= least.map(|least| least + 1).as_ref());
            }
        }
    }

    fn feeder(value: &str) -> Selector {
        Selector {
            attributes: vec![("feeder".into(), value.into())],
            ..Selector::default()
        }
    }

    /// Two regions with four feeders each.
    fn tree(devices: u32, seed: u64) -> Plan {
        let mut plan = plan(devices, seed);
        let regions = plan.cohorts[0].attributes[0].values.clone();
        let parts = |(value, count): &(String, u32)| {
            let part = |n: u32| {
                (
                    format!("{value}/{n}"),
                    count / 4 + u32::from(n <= count % 4),
                )
            };
            (1..=4).map(part).collect::<Vec<_>>()
        };
        plan.cohorts[0].attributes.push(Attribute {
            name: "feeder".into(),
            values: regions.iter().flat_map(parts).collect(),
            root: Some("region".into()),
        });
        plan
    }

    #[test]
    fn drawn_values_are_an_exact_number_among_those_that_the_other_conditions_leave() {
        let plan = tree(100, 7);
        let everyone = Selector::default();
        let two = everyone.draw_values(&plan, "feeder", 2).expect("of eight");
        assert_eq!(two.len(), 2);
        let all = everyone.draw_values(&plan, "feeder", 8).expect("of eight");
        assert_eq!((all[0].as_str(), all[7].as_str()), ("north/1", "south/4"));
        assert_eq!(everyone.draw_values(&plan, "feeder", 9), Err(8));
        let south = region("south", None).draw_values(&plan, "feeder", 4);
        assert_eq!(south, Ok((1..=4).map(|n| format!("south/{n}")).collect()));
        let draws = |draw| {
            let selector = Selector {
                draw,
                ..Selector::default()
            };
            selector.draw_values(&plan, "feeder", 4)
        };
        assert!((1..20).any(|draw| draws(draw) != draws(0)));
        let any = Selector {
            any_of: vec![("feeder".into(), vec!["north/2".into(), "south/1".into()])],
            ..region("south", None)
        };
        assert_eq!(any.members(&plan), feeder("south/1").members(&plan));
        assert_eq!(
            any.text(&plan),
            "the devices with region south and feeder north/2 or south/1"
        );
    }

    #[test]
    fn a_leak_spares_an_exact_part_and_each_fault_another() {
        let plan = plan(1_000, 7);
        let spared = |fault, share| Selector {
            share: Some(0.4),
            spared: Some(Spared { share, fault }),
            ..Selector::default()
        };
        let [first, second] = [0, 1].map(|fault| spared(fault, 0.05).members(&plan));
        assert_eq!((first.len(), second.len()), (380, 380));
        assert_ne!(first, second);
        let all = spared(0, 0.0).members(&plan);
        assert!(
            first
                .iter()
                .chain(&second)
                .all(|device| all.contains(device))
        );
        assert!(spared(0, 1.0).members(&plan).is_empty());
    }

    #[test]
    fn another_draw_of_a_share_is_another_set_of_the_same_size() {
        let plan = plan(1_000, 7);
        let draw = |draw| Selector {
            share: Some(0.3),
            draw,
            ..Selector::default()
        };
        let [none, first, second] = [0, 1, 2].map(|number| draw(number).members(&plan));
        assert_eq!((none.len(), first.len(), second.len()), (300, 300, 300));
        assert!(none != first && first != second && none != second);
        assert_eq!(first, draw(1).members(&plan));
    }

    #[test]
    fn words_for_people() {
        let plan = plan(10, 1);
        let both = Selector {
            cohort: Some(0),
            node: Some(1),
            attributes: vec![("region".into(), "north".into()), ("hw".into(), "B".into())],
            share: Some(0.075),
            ..Selector::default()
        };
        let table = [
            (Selector::default(), "all devices"),
            (region("north", None), "the devices with region north"),
            (
                Selector {
                    share: Some(0.3),
                    ..Selector::default()
                },
                "30 % of the devices",
            ),
            (
                Selector {
                    share: Some(0.3),
                    draw: 2,
                    spared: Some(Spared {
                        share: 0.05,
                        fault: 0,
                    }),
                    ..Selector::default()
                },
                "draw 2 of 30 % of the devices (5 % of them spared)",
            ),
            (
                both,
                "7.5 % of the devices of meters on node 1 with region north and hw B",
            ),
        ];
        for (selector, text) in table {
            assert_eq!(selector.text(&plan), text);
        }
    }

    #[test]
    fn unknown_attributes_select_nobody() {
        let plan = plan(10, 1);
        let nobody = Selector {
            attributes: vec![("hw".into(), "B".into())],
            ..Selector::default()
        };
        assert!(nobody.members(&plan).is_empty());
    }
}

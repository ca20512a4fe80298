//! Which devices a `where` means: exact counts by seeded permutation, the same in every process.

use super::plan::{DeviceIdx, Plan, Selector};
use crate::rng::{self, Purpose};

impl Selector {
    /// The devices meant, ascending. A share picks exactly `round(share * n)` of the `n` devices
    /// that fulfil the other conditions.
    pub fn members(&self, plan: &Plan) -> Vec<DeviceIdx> {
        let mut members: Vec<DeviceIdx> = self
            .range(plan)
            .filter(|device| self.fits(plan, *device))
            .collect();
        let Some(share) = self.share else {
            return members;
        };
        let all = u32::try_from(members.len()).expect("no more than there are devices, a u32");
        let picked = part_of(share, all);
        let mut rank = 0;
        members.retain(|_| {
            rank += 1;
            rng::permute(plan.seed, Purpose::Share, 0, all, rank - 1) < picked
        });
        members
    }

    /// Whether `device` is meant. With a share this walks the whole fleet: where many devices are
    /// asked for, use [`Selector::members`] once.
    pub fn matches(&self, plan: &Plan, device: DeviceIdx) -> bool {
        if self.share.is_none() {
            return self.range(plan).contains(&device) && self.fits(plan, device);
        }
        self.members(plan).binary_search(&device).is_ok()
    }

    /// For people: `all devices`, `30 % of the devices of meters on node 1 with region north`.
    ///
    /// # Panics
    /// If the plan has no such cohort.
    pub fn text(&self, plan: &Plan) -> String {
        if *self == Self::default() {
            return "all devices".to_owned();
        }
        let share = self.share.map_or_else(String::new, |share| {
            let percent = format!("{:.6}", share * 100.0);
            let percent = percent.trim_end_matches('0').trim_end_matches('.');
            format!("{percent} % of ")
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
        text
    }

    /// The devices of the named cohort, or all.
    fn range(&self, plan: &Plan) -> std::ops::Range<DeviceIdx> {
        self.cohort.map_or_else(
            || 0..plan.devices(),
            |cohort| {
                let cohort = &plan.cohorts[cohort];
                cohort.first..cohort.first + cohort.devices
            },
        )
    }

    /// Whether node and attributes are as wanted.
    fn fits(&self, plan: &Plan, device: DeviceIdx) -> bool {
        self.node.is_none_or(|node| plan.home_node(device) == node)
            && self
                .attributes
                .iter()
                .all(|(name, value)| plan.attribute(device, name) == Some(value))
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
        let salt = salt(&cohort.name, name);
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
    use crate::scenario::plan::Attribute;
    use proptest::prelude::*;

    fn plan(devices: u32, seed: u64) -> Plan {
        let mut plan = fixture::plan(devices);
        plan.seed = seed;
        let north = devices / 3;
        plan.cohorts[0].attributes = vec![Attribute {
            name: "region".into(),
            values: vec![("north".into(), north), ("south".into(), devices - north)],
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
            for device in 0..devices {
                prop_assert_eq!(
                    region("north", Some(share)).matches(&plan, device),
                    some.contains(&device)
                );
            }
        }
    }

    #[test]
    fn words_for_people() {
        let plan = plan(10, 1);
        let both = Selector {
            cohort: Some(0),
            node: Some(1),
            attributes: vec![("region".into(), "north".into()), ("hw".into(), "B".into())],
            share: Some(0.075),
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

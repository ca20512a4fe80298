//! Who belongs to a population, as devices and in words.

use super::campaign::{Population, VersionIdx, Versions};
use super::plan::{DeviceIdx, Plan};

/// Whether `version` is made of dotted numbers, such as 1.10.0, and so has a place in an order.
pub fn is_dotted(version: &str) -> bool {
    version
        .split('.')
        .all(|part| part.bytes().all(|byte| byte.is_ascii_digit()) && part.parse::<u64>().is_ok())
}

impl Population {
    /// The devices meant, ascending, if each has the firmware that `firmware_of` says.
    pub fn members(
        &self,
        plan: &Plan,
        firmware_of: impl Fn(DeviceIdx) -> Option<VersionIdx>,
    ) -> Vec<DeviceIdx> {
        let mut members = self.who.members(plan);
        if self.firmware.is_some() {
            members.retain(|device| self.wants(&plan.firmware, firmware_of(*device)));
        }
        members
    }

    /// The devices meant as they leave the factory, ascending.
    pub fn factory_members(&self, plan: &Plan) -> Vec<DeviceIdx> {
        self.members(plan, |device| plan.factory_firmware(device))
    }

    /// For people: `all devices`, `the devices with tier critical and fw below 2.0.0`.
    ///
    /// # Panics
    /// If the plan has no such cohort or version.
    pub fn text(&self, plan: &Plan) -> String {
        let who = self.who.text(plan);
        let Some(versions) = &self.firmware else {
            return who;
        };
        let condition = match versions {
            Versions::OneOf(versions) => {
                let texts: Vec<&str> = versions.iter().map(|v| plan.firmware.text(*v)).collect();
                texts.join(" or ")
            }
            Versions::Below(than) => format!("below {}", plan.firmware.text(*than)),
        };
        let has_attributes = !self.who.attributes.is_empty() || !self.who.any_of.is_empty();
        let and = if has_attributes { "and" } else { "with" };
        format!("{who} {and} {} {condition}", plan.firmware.attribute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::campaign::Firmware;
    use crate::scenario::fixture;
    use crate::scenario::plan::{Attribute, Selector};

    #[test]
    fn dotted_numbers_are_told_from_other_versions() {
        for version in ["2", "1.10.0", "01.4"] {
            assert!(is_dotted(version), "{version}");
        }
        for version in [
            "",
            "v2",
            "1..2",
            "1.4.2-rc1",
            "+1",
            "1.",
            "99999999999999999999",
        ] {
            assert!(!is_dotted(version), "{version}");
        }
    }

    #[test]
    fn a_population_goes_by_the_firmware_it_is_told() {
        let mut plan = fixture::plan(10);
        plan.cohorts[0].attributes = vec![Attribute {
            name: "fw".into(),
            values: vec![("1.9.0".into(), 4), ("1.10.0".into(), 6)],
            root: None,
        }];
        plan.firmware = Firmware {
            attribute: "fw".into(),
            versions: vec!["1.9.0".into(), "1.10.0".into(), "2.0.0".into()],
        };
        let with = |firmware| Population {
            who: Selector::default(),
            firmware,
        };
        assert_eq!(with(None).factory_members(&plan).len(), 10);
        let below = with(Some(Versions::Below(1)));
        assert_eq!(below.factory_members(&plan).len(), 4);
        assert_eq!(below.text(&plan), "all devices with fw below 1.10.0");
        let old = with(Some(Versions::OneOf(vec![0, 2])));
        assert_eq!(old.factory_members(&plan).len(), 4);
        assert_eq!(old.text(&plan), "all devices with fw 1.9.0 or 2.0.0");
        let updated = |device| (device < 3).then_some(2);
        assert_eq!(old.members(&plan, updated), [0, 1, 2]);
        assert!(below.members(&plan, updated).is_empty(), "2.0.0 or unknown");
    }
}

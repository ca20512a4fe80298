//! Firmware versions, and populations: who is meant by what never changes and by the firmware that is
//! reported.

use super::Checker;
use super::fleet::{Fleet, RESERVED};
use crate::scenario::campaign::{Firmware, Population, VersionIdx, Versions};
use crate::scenario::errors::nearest_help;
use crate::scenario::located::{At, Pairs};
use crate::scenario::mirror::{self, Wanted};
use crate::scenario::plan::{DeviceIdx, Plan, Selector};
use crate::scenario::population::is_dotted;
use crate::scenario::tree::Span;
use std::collections::BTreeSet;

/// The attribute that names a device's firmware.
pub(super) const FIRMWARE: &str = "fw";
/// Most firmware versions of a scenario.
const MAX_VERSIONS: usize = 1_000;
/// Longest version.
const MAX_VERSION: usize = 64;
/// Most values of an `any_of`.
const MAX_ANY_OF: usize = 100;

impl Checker<'_> {
    /// The versions of attributes, then those that campaigns bring.
    pub(super) fn firmware(&mut self, file: &mirror::File, fleet: &Fleet) -> Firmware {
        let mut versions: Vec<String> = Vec::new();
        let mut known = BTreeSet::new();
        let attributes = fleet.cohorts.iter().flat_map(|cohort| &cohort.attributes);
        let of_devices = attributes
            .filter(|attribute| attribute.name == FIRMWARE)
            .flat_map(|attribute| attribute.values.iter().map(|(value, _)| value));
        let campaigns = file.campaigns.iter().flat_map(|list| &list.value);
        let brought = campaigns.map(|campaign| &campaign.value.image.value.version.value);
        let mut take = |version: &String| {
            if versions.len() <= MAX_VERSIONS && !known.contains(version) {
                known.insert(version.clone());
                versions.push(version.clone());
            }
            versions.len()
        };
        self.factory_versions = of_devices
            .map(&mut take)
            .last()
            .unwrap_or(0)
            .min(MAX_VERSIONS);
        brought.for_each(|version| {
            take(version);
        });
        if versions.len() > MAX_VERSIONS {
            self.error(
                self.firmware_span(file),
                format!("more than {MAX_VERSIONS} firmware versions"),
                "use fewer values of `fw`",
            );
            versions.truncate(MAX_VERSIONS);
        }
        Firmware {
            attribute: FIRMWARE.to_owned(),
            versions,
        }
    }

    /// Where the first cohort names its firmware.
    fn firmware_span(&self, file: &mirror::File) -> Span {
        let cohorts = file.fleet.iter().flat_map(|list| &list.value);
        let mut names = cohorts.flat_map(|cohort| &cohort.value.attributes.0);
        let found = names.find(|(name, _)| name.value == FIRMWARE);
        found.map_or(self.root, |(name, _)| name.span)
    }

    /// A version that a campaign brings, of which topics and addresses are made.
    pub(super) fn image_version(&mut self, version: &At<String>) {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let text = &version.value;
        if text.is_empty() || text.len() > MAX_VERSION || !text.chars().all(good) {
            self.error(
                version.span,
                format!("`{text}` is not a version"),
                format!(
                    "at most {MAX_VERSION} letters, digits, `.`, `-` and `_`, such as \"2.0.0\""
                ),
            );
        }
    }

    /// Who is meant by a `where` that may ask for the firmware that devices report.
    pub(super) fn population(
        &mut self,
        at: Option<&At<mirror::Where>>,
        plan: &mut Plan,
    ) -> Population {
        let Some(at) = at else {
            return Population::default();
        };
        let pairs = &at.value.0.0;
        let is_firmware = |key: &At<String>| key.value == FIRMWARE;
        let rest: Vec<_> = pairs
            .iter()
            .filter(|(key, _)| !is_firmware(key))
            .cloned()
            .collect();
        let who = if rest.is_empty() {
            Selector::default()
        } else {
            let rest = At {
                span: at.span,
                value: mirror::Where(Pairs(rest)),
            };
            self.who(Some(&rest), plan)
        };
        let wanted = pairs.iter().find(|(key, _)| is_firmware(key));
        let firmware = wanted.and_then(|(key, wanted)| self.versions(key, wanted, plan));
        Population { who, firmware }
    }

    fn versions(
        &mut self,
        key: &At<String>,
        wanted: &At<Wanted>,
        plan: &mut Plan,
    ) -> Option<Versions> {
        if !self.is_attribute(key, plan) {
            return None;
        }
        match &wanted.value {
            Wanted::Value(text) => {
                let version = At {
                    span: wanted.span,
                    value: text.clone(),
                };
                let version = self.version(&version, &plan.firmware)?;
                Some(Versions::OneOf(vec![version]))
            }
            Wanted::AnyOf(list) => {
                self.is_list(list).then_some(())?;
                let versions = list.value.iter();
                let versions: Vec<_> = versions
                    .map(|version| self.version(version, &plan.firmware))
                    .collect();
                versions
                    .into_iter()
                    .collect::<Option<_>>()
                    .map(Versions::OneOf)
            }
            Wanted::Below(than) => self.below_version(than, plan).map(Versions::Below),
            Wanted::Any(count) => {
                self.error(
                    count.span,
                    "firmware is not drawn: it changes in the run",
                    "write the version, or `{ any_of: [ … ] }`",
                );
                None
            }
        }
    }

    /// The index of a version that some device has or some campaign brings.
    pub(super) fn version(
        &mut self,
        version: &At<String>,
        firmware: &Firmware,
    ) -> Option<VersionIdx> {
        let found = firmware.index(&version.value);
        let complete = !self.pruned.items_of("fleet") && !self.pruned.items_of("campaigns");
        if found.is_none() && complete {
            let known = firmware.versions.iter().map(String::as_str);
            let help = nearest_help(&version.value, known);
            self.error(
                version.span,
                format!(
                    "no device has firmware {} and no campaign brings it",
                    version.value
                ),
                help,
            );
        }
        found
    }

    /// A version to compare with; that nobody has it does not matter.
    fn below_version(&mut self, than: &At<String>, plan: &mut Plan) -> Option<VersionIdx> {
        let known = plan.firmware.versions.iter();
        self.can_compare(than, known.map(String::as_str))
            .then_some(())?;
        if plan.firmware.index(&than.value).is_none() {
            plan.firmware.versions.push(than.value.clone());
        }
        plan.firmware.index(&than.value)
    }

    fn can_compare<'v>(
        &mut self,
        than: &At<String>,
        mut known: impl Iterator<Item = &'v str>,
    ) -> bool {
        if !is_dotted(&than.value) || than.value.len() > MAX_VERSION {
            self.error(
                than.span,
                format!("`{}` is not made of dotted numbers", than.value),
                "write for example `{ below: \"2.0.0\" }`",
            );
            return false;
        }
        if let Some(other) = known.find(|version| !is_dotted(version)) {
            self.error(
                than.span,
                format!("`{other}` is not made of dotted numbers, so nothing says whether it is below {}", than.value),
                "name the versions: `{ any_of: [ … ] }`",
            );
            return false;
        }
        true
    }

    /// One of several values of an attribute.
    pub(super) fn one_of(
        &mut self,
        key: &At<String>,
        values: &At<Vec<At<String>>>,
        plan: &Plan,
        selector: &mut Selector,
    ) {
        if self.goes_by_attribute(key, "any_of", plan) && self.is_list(values) {
            let known = values.value.iter();
            let known = known.filter(|value| self.is_value(key, value, plan));
            let known: Vec<String> = known.map(|value| value.value.clone()).collect();
            if known.len() == values.value.len() {
                selector.any_of.push((key.value.clone(), known));
            }
        }
    }

    /// The versions from the factory that are below another one.
    pub(super) fn below(
        &mut self,
        key: &At<String>,
        than: &At<String>,
        plan: &Plan,
        selector: &mut Selector,
    ) {
        if !self.goes_by_attribute(key, "below", plan) {
            return;
        }
        if key.value != FIRMWARE {
            self.error(
                key.span,
                format!(
                    "`below` compares firmware, and `{}` is another attribute",
                    key.value
                ),
                "name values: `{ any_of: [ … ] }`",
            );
            return;
        }
        let of_devices = &plan.firmware.versions[..self.factory_versions];
        let values: Vec<&str> = of_devices.iter().map(String::as_str).collect();
        if self.can_compare(than, values.iter().copied()) {
            let one_of = those_below(&values, &than.value);
            selector.any_of.push((key.value.clone(), one_of));
        }
    }

    fn goes_by_attribute(&mut self, key: &At<String>, word: &str, plan: &Plan) -> bool {
        if RESERVED.contains(&key.value.as_str()) {
            self.error(
                key.span,
                format!("`{word}` is for attributes, and `{}` is none", key.value),
                format!("write one value, such as `{}: …`", key.value),
            );
            return false;
        }
        self.is_attribute(key, plan)
    }

    fn is_list(&mut self, values: &At<Vec<At<String>>>) -> bool {
        let good = (1..=MAX_ANY_OF).contains(&values.value.len());
        if !good {
            self.error(
                values.span,
                format!("`any_of` with {} values", values.value.len()),
                format!("write from 1 to {MAX_ANY_OF} values"),
            );
        }
        good
    }

    /// The devices that a population may come to mean: those whose firmware fulfils it when they leave
    /// the factory, and all others too if a campaign (not `own`) brings such a firmware.
    pub(super) fn reach(
        &self,
        population: &Population,
        own: Option<VersionIdx>,
        plan: &Plan,
        file: &mirror::File,
    ) -> Vec<DeviceIdx> {
        if population.firmware.is_none() {
            return population.who.members(plan);
        }
        let campaigns = file.campaigns.iter().flat_map(|list| &list.value);
        let mut brought = campaigns.filter_map(|campaign| {
            plan.firmware
                .index(&campaign.value.image.value.version.value)
        });
        if brought.any(|v| Some(v) != own && population.wants(&plan.firmware, Some(v))) {
            return population.who.members(plan);
        }
        population.factory_members(plan)
    }

    /// Names the first cohort with devices among `members` that cannot do what is asked of it.
    pub(super) fn all_can(
        &mut self,
        members: &[DeviceIdx],
        plan: &Plan,
        place: Span,
        word: &str,
        why: &str,
        can: impl Fn(&crate::scenario::plan::Cohort) -> bool,
    ) {
        let meets = |cohort: &&crate::scenario::plan::Cohort| {
            let begin = members.partition_point(|device| *device < cohort.first);
            let first = members.get(begin);
            first.is_some_and(|device| *device < cohort.first + cohort.devices)
        };
        let unable = plan
            .cohorts
            .iter()
            .filter(meets)
            .find(|cohort| !can(cohort));
        if let Some(cohort) = unable.filter(|_| !self.pruned.items_of("fleet")) {
            let name = &cohort.name;
            self.error(
                place,
                format!("{why} the devices of `{name}`, which has no `{word}`"),
                format!("add `{word}: {{ … }}` to `{name}`, or name others in `where`"),
            );
        }
    }
}

/// Those of `values` that are below `than`.
fn those_below(values: &[&str], than: &str) -> Vec<String> {
    let of = |version: &str| Firmware {
        attribute: String::new(),
        versions: vec![version.to_owned(), than.to_owned()],
    };
    let below = values.iter().filter(|value| of(value).is_below(0, 1));
    below.map(|value| (*value).to_owned()).collect()
}

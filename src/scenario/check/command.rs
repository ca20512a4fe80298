//! Fleet commands and queries: whom they mean, and what becomes of devices that do not answer.

use super::Checker;
use crate::scenario::campaign::{FleetCommand, FleetQuery, Offline, Population};
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::{DeviceIdx, Plan};
use std::time::Duration;

/// From a request to its repetition if the scenario does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Repetitions if the scenario does not say.
const DEFAULT_RETRIES: u8 = 2;
/// What one device costs by hand if the scenario does not say.
const DEFAULT_BY_HAND: Duration = Duration::from_secs(600);
/// Longest wait of a query for reports if the scenario does not say.
const DEFAULT_QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest text of a command.
const MAX_PAYLOAD: usize = 32_768;

impl Checker<'_> {
    pub(super) fn fleet_command(
        &mut self,
        at: &At<mirror::FleetCommand>,
        file: &mirror::File,
        plan: &mut Plan,
    ) -> FleetCommand {
        let written = &at.value;
        let before = self.problems.len();
        let name = self.name(&written.command, "");
        let targets = self.population(written.who.as_ref(), plan);
        let offline = match written.offline.as_ref().map(|offline| offline.value) {
            None | Some(mirror::OfflineWord::Queue) => Offline::Queue,
            Some(mirror::OfflineWord::Skip) => Offline::Skip,
        };
        let length = written.payload.value.len();
        if length > MAX_PAYLOAD {
            self.error(
                written.payload.span,
                format!("the payload has {length} bytes"),
                format!("at most {MAX_PAYLOAD}"),
            );
        }
        if before == self.problems.len() && self.pruned.is_empty() {
            let named = (&written.command, written.who.as_ref());
            self.check_command(named, &targets, offline, file, plan);
        }
        FleetCommand {
            name,
            phase: 0,
            start: Duration::ZERO,
            targets,
            payload: written.payload.value.clone(),
            timeout: self.positive(written.timeout.as_ref(), DEFAULT_TIMEOUT),
            retries: (written.retries.as_ref())
                .map_or(DEFAULT_RETRIES, |retries| self.few(retries)),
            offline,
            rate_per_s: written.rate.as_ref().map(|rate| rate.value.0),
            by_hand: written.by_hand.map_or(DEFAULT_BY_HAND, |time| time.0),
        }
    }

    /// That every device meant takes commands, and that what it must be known by is reported.
    fn check_command(
        &mut self,
        (name, who): (&At<String>, Option<&At<mirror::Where>>),
        targets: &Population,
        offline: Offline,
        file: &mirror::File,
        plan: &Plan,
    ) {
        let place = self.first_line(who.map_or(name.span, |who| who.span));
        let Some(members) = self.some_reached((name, who), targets, file, plan) else {
            return;
        };
        self.all_can(
            &members,
            plan,
            place,
            "commands",
            "the command means",
            |cohort| cohort.commands.is_some(),
        );
        let why = match (&targets.firmware, offline) {
            (Some(_), _) => "the operator cannot know the firmware of",
            (None, Offline::Queue) => "`offline: queue` needs to hear of the return of",
            // Who has never been heard of counts as offline.
            (None, Offline::Skip) => "`offline: skip` needs to hear of",
        };
        self.all_can(&members, plan, place, "reported", why, |cohort| {
            cohort.reported.is_some()
        });
    }

    pub(super) fn fleet_query(
        &mut self,
        at: &At<mirror::FleetQuery>,
        file: &mirror::File,
        plan: &mut Plan,
    ) -> FleetQuery {
        let written = &at.value;
        let before = self.problems.len();
        let name = self.name(&written.query, "");
        let targets = self.population(written.who.as_ref(), plan);
        if before == self.problems.len() && self.pruned.is_empty() {
            let named = (&written.query, written.who.as_ref());
            if let Some(members) = self.some_reached(named, &targets, file, plan) {
                let place = written
                    .who
                    .as_ref()
                    .map_or(written.query.span, |who| who.span);
                let place = self.first_line(place);
                self.all_can(
                    &members,
                    plan,
                    place,
                    "reported",
                    "the query counts",
                    |cohort| cohort.reported.is_some(),
                );
                if written.max_age.is_some() {
                    let why = "`max_age` has the operator ask";
                    self.all_can(&members, plan, place, "commands", why, |cohort| {
                        cohort.commands.is_some()
                    });
                }
            }
        }
        FleetQuery {
            name,
            phase: 0,
            start: Duration::ZERO,
            end: Duration::ZERO,
            every: None,
            targets,
            max_age: (written.max_age.as_ref()).map(|age| self.positive(Some(age), Duration::ZERO)),
            timeout: self.positive(written.timeout.as_ref(), DEFAULT_QUERY_TIMEOUT),
        }
    }

    /// The devices that a population may come to mean; `None`, with an error, if there are none.
    fn some_reached(
        &mut self,
        (name, who): (&At<String>, Option<&At<mirror::Where>>),
        targets: &Population,
        file: &mirror::File,
        plan: &Plan,
    ) -> Option<Vec<DeviceIdx>> {
        let members = self.reach(targets, None, plan, file);
        if members.is_empty() {
            let place = self.first_line(who.map_or(name.span, |who| who.span));
            self.error(
                place,
                "this selects no device",
                "make the conditions wider, or the share larger",
            );
            return None;
        }
        Some(members)
    }
}

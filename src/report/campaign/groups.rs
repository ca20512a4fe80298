//! Parts of a campaign's targets: cohorts and priorities, who should not have been one, and who was
//! notified out of turn.

use super::share_times;
use crate::report::data::RunData;
use crate::report::findings::is_wanted;
use crate::report::value::Completion;
use crate::scenario::slo::Among;
use crate::stats::results::{Outcome, ResultRow};
use crate::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// A device may be notified so much before one of a higher priority without being out of turn: one
/// tick of a controller.
pub(in crate::report) const TICK: Duration = Duration::from_secs(1);

/// Whether a target is one of `among`.
pub(in crate::report) fn is_among(run: &RunData, among: Among, row: &ResultRow) -> bool {
    match among {
        Among::All => true,
        Among::Priority(priority) => usize::from(row.priority) == priority,
        Among::Cohort(cohort) => {
            row.device < run.plan.devices() && run.plan.cohort_of(row.device) == cohort
        }
    }
}

/// Seconds from `began` to the confirmation of those that were, ascending.
pub(in crate::report) fn confirmed_s<'r>(
    rows: impl Iterator<Item = &'r ResultRow>,
    began: Instant,
) -> Vec<f64> {
    let confirmed = rows.filter(|row| row.outcome == Outcome::Confirmed);
    let mut times: Vec<f64> = confirmed
        .map(|row| row.finished.since(began).as_secs_f64())
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

/// All targets, then those of each priority and of each cohort, if there are several.
pub(super) fn completion(
    run: &RunData,
    index: usize,
    rows: &[ResultRow],
    began: Instant,
) -> Vec<Completion> {
    let campaign = &run.plan.campaigns[index];
    let mut groups = vec![("all targets".to_owned(), Among::All)];
    for (index, priority) in campaign.priorities.iter().enumerate() {
        groups.push((
            format!("priority {}", priority.name),
            Among::Priority(index),
        ));
    }
    let none = campaign.priorities.len();
    if none > 0 {
        groups.push(("in no priority".to_owned(), Among::Priority(none)));
    }
    if run.plan.cohorts.len() > 1 {
        for (index, cohort) in run.plan.cohorts.iter().enumerate() {
            groups.push((format!("cohort {}", cohort.name), Among::Cohort(index)));
        }
    }
    let group = |(group, among): (String, Among)| {
        let members: Vec<&ResultRow> = rows
            .iter()
            .filter(|row| is_among(run, among, row))
            .collect();
        let times = confirmed_s(members.iter().copied(), began);
        let targets = members.len() as u64;
        (targets > 0).then(|| Completion {
            group,
            targets,
            confirmed: times.len() as u64,
            times: share_times(&times, targets),
        })
    };
    groups.into_iter().filter_map(group).collect()
}

/// Devices that were offered the image and are not eligible: by their attributes, by the firmware that
/// they came from in their own word (without one in the operator's), or because they are no target of
/// the operator and were offered it all the same.
pub(in crate::report) fn wrong_targets(run: &RunData, index: usize) -> Vec<u32> {
    let (Some(campaign), Some(found)) = (
        run.plan.campaigns.get(index),
        run.findings.campaigns.get(index),
    ) else {
        return Vec::new();
    };
    let members = campaign.targets.who.members(&run.plan);
    let mut from: BTreeMap<u32, Option<u16>> = BTreeMap::new();
    for row in found.operator.iter().filter(|row| row.attempts > 0) {
        from.insert(row.device, row.from);
    }
    let mut first: BTreeMap<u32, &ResultRow> = BTreeMap::new();
    for row in &found.devices {
        let known = first.entry(row.device).or_insert(row);
        // A retry comes from the same firmware; an offer after a success does not, and is a mistake
        // that the device rejects.
        if row.finished < known.finished {
            *known = row;
        }
    }
    for (device, row) in &first {
        if row.from.is_some() || !from.contains_key(device) {
            from.insert(*device, row.from);
        }
    }
    let targets: BTreeSet<u32> = found.operator.iter().map(|row| row.device).collect();
    let is_target = |device: &u32| targets.is_empty() || targets.contains(device);
    let wrong = from.into_iter().filter(|(device, from)| {
        members.binary_search(device).is_err()
            || !is_wanted(run, index, *from)
            || !is_target(device)
    });
    wrong.map(|(device, _)| device).collect()
}

/// Targets that were notified while one of a higher priority was notified more than [`TICK`] later, or
/// never: first those of which the higher one is known to have been connected (it had the offer within a
/// tick of its notification), then all. A target gets its turn whether it is connected or not, so the
/// second number is never too low.
pub(in crate::report) fn inversions(run: &RunData, index: usize) -> (u64, u64) {
    let Some(found) = run.findings.campaigns.get(index) else {
        return (0, 0);
    };
    // Each retry is offered anew; the first offer is the one that its turn brought.
    let mut had: BTreeMap<u32, Instant> = BTreeMap::new();
    for (device, offered) in found
        .devices
        .iter()
        .filter_map(|row| Some((row.device, row.offered?)))
    {
        let first = had.entry(device).or_insert(offered);
        *first = offered.min(*first);
    }
    let is_connected = |row: &ResultRow| match (row.offered, had.get(&row.device)) {
        (Some(notified), Some(offered)) => *offered <= notified.after(TICK),
        (None, _) | (Some(_), None) => false,
    };
    let certain = latest_by_priority(&found.operator, is_connected);
    let possible = latest_by_priority(&found.operator, |_| true);
    let count = |latest: &BTreeMap<u8, Instant>| {
        let inverted = found.operator.iter().filter(|row| {
            row.offered.is_some_and(|offered| {
                let higher = latest.range(..row.priority).map(|(_, at)| *at).max();
                higher.is_some_and(|at| at > offered.after(TICK))
            })
        });
        inverted.count() as u64
    };
    (count(&certain), count(&possible))
}

/// When the last device of each priority was notified; who never was counts as when it ended.
fn latest_by_priority(
    rows: &[ResultRow],
    counts: impl Fn(&ResultRow) -> bool,
) -> BTreeMap<u8, Instant> {
    let mut latest = BTreeMap::new();
    for row in rows.iter().filter(|row| counts(row)) {
        let at = row.offered.unwrap_or(row.finished);
        let known = latest.entry(row.priority).or_insert(at);
        *known = at.max(*known);
    }
    latest
}

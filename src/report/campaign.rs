//! One campaign from its rows: who was confirmed when, how fast devices were notified, what two
//! witnesses say, and what those that failed have in common.

mod groups;
mod rates;
mod roots;
mod states;
mod witnesses;

pub(super) use groups::{confirmed_s, inversions, is_among, wrong_targets};
pub(super) use roots::BUCKET_FLOOR;
pub(super) use witnesses::agreement;

use super::data::RunData;
use super::findings::{self, CampaignFindings, is_bad};
use super::recovery;
use super::value::{Campaign, Collateral, Footprint, Halt, OutcomeCount, ReasonCount, ShareTime};
use super::words;
use crate::scenario::campaign::{Failure, Server};
use crate::scenario::update::WireProfile;
use crate::stats::histogram::Histogram;
use crate::stats::results::{CampaignMark, Outcome, ResultRow};
use crate::time::Instant;
use std::collections::BTreeMap;

/// Shares of the targets whose confirmation is timed, percent.
const PERCENTS: [f64; 4] = [50.0, 95.0, 99.0, 100.0];

/// What the report tells of every campaign of the plan.
pub(super) fn all(run: &RunData) -> Vec<Campaign> {
    (0..run.plan.campaigns.len())
        .filter_map(|index| one(run, index))
        .collect()
}

fn one(run: &RunData, index: usize) -> Option<Campaign> {
    let campaign = run.plan.campaigns.get(index)?;
    let found = run.findings.campaigns.get(index)?;
    let began = findings::began(run, index)?;
    let rows = findings::targets(run, index);
    let start_s = run.seconds_of(began);
    let end_s = end_s(run, found, &rows);
    let (certain, possible) = inversions(run, index);
    Some(Campaign {
        name: campaign.name.clone(),
        server: match campaign.server {
            Server::Operator => "operator",
            Server::External => "external",
        },
        version: words::firmware(&run.plan, Some(campaign.image.version)),
        image_bytes: u64::from(campaign.image.bytes),
        start_s,
        end_s,
        targets: rows.len() as u64,
        rowless: rowless(found, rows.len() as u64),
        outcomes: outcomes(&rows),
        reasons: reasons(&rows),
        completion: groups::completion(run, index, &rows, began),
        rungs: rates::rungs(run, found, &rows),
        waves: rates::waves(run, found),
        pauses_s: pauses_s(run, found, end_s),
        halt: halt(run, index, began),
        cancelled_s: cancelled_s(run, index),
        bytes: footprint(run, index),
        witnesses: (campaign.server == Server::Operator).then(|| agreement(run, index)),
        wrong_targets: wrong_targets(run, index).len() as u64,
        priority_inversions: certain,
        priority_inversions_possible: possible,
        root_causes: roots::buckets(run, index, &rows),
        telemetry: found.telemetry.as_ref().and_then(collateral),
        states: states::over_time(run, &rows, start_s, end_s),
        notified: rates::notified(run, &rows, start_s, end_s),
    })
}

/// How many targets, by the word of who fixed them, have none of the `rows`.
fn rowless(found: &CampaignFindings, rows: u64) -> u64 {
    let fixed = found.started().map_or(0, |(_, targets)| targets);
    u64::from(fixed).saturating_sub(rows)
}

/// When the last target had ended, or when it was said to be complete.
fn end_s(run: &RunData, found: &CampaignFindings, rows: &[ResultRow]) -> f64 {
    let completed = found.marks.iter().find_map(|(at, mark)| {
        matches!(mark, CampaignMark::Completed).then(|| run.seconds_of(*at))
    });
    let last = rows.iter().map(|row| run.seconds_of(row.finished));
    completed.unwrap_or_else(|| last.fold(run.ended_s(), f64::max))
}

fn outcomes(rows: &[ResultRow]) -> Vec<OutcomeCount> {
    Outcome::ALL
        .into_iter()
        .filter(|outcome| {
            *outcome != Outcome::Unfinished || rows.iter().any(|row| row.outcome == *outcome)
        })
        .map(|outcome| {
            let count = rows.iter().filter(|row| row.outcome == outcome).count() as u64;
            OutcomeCount {
                outcome: outcome.word(),
                count,
                share: (!rows.is_empty()).then(|| count as f64 / rows.len() as f64),
            }
        })
        .collect()
}

/// Of those that were not confirmed, most frequent first.
fn reasons(rows: &[ResultRow]) -> Vec<ReasonCount> {
    let mut counts: BTreeMap<(Outcome, &'static str), u64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.outcome != Outcome::Confirmed) {
        *counts.entry((row.outcome, row.reason.word())).or_default() += 1;
    }
    let mut reasons: Vec<ReasonCount> = counts
        .into_iter()
        .map(|((outcome, reason), count)| ReasonCount {
            outcome: outcome.word(),
            reason,
            count,
        })
        .collect();
    reasons.sort_by_key(|row| std::cmp::Reverse(row.count));
    reasons
}

pub(super) fn share_times(times: &[f64], all: u64) -> Vec<ShareTime> {
    let time = |percent| {
        let s = findings::value_of_share(times, all, percent / 100.0);
        ShareTime {
            percent,
            s: (all > 0 && s.is_finite()).then_some(s),
            never: all > 0 && s.is_infinite(),
        }
    };
    PERCENTS.map(time).to_vec()
}

fn pauses_s(run: &RunData, found: &CampaignFindings, end_s: f64) -> Vec<(f64, f64)> {
    let mut pauses = Vec::new();
    let mut since = None;
    for (at, mark) in &found.marks {
        match mark {
            CampaignMark::Paused => since = since.or_else(|| Some(run.seconds_of(*at))),
            CampaignMark::Resumed => {
                if let Some(from) = since.take() {
                    pauses.push((from, run.seconds_of(*at)));
                }
            }
            CampaignMark::Started { .. }
            | CampaignMark::Rung { .. }
            | CampaignMark::Wave { .. }
            | CampaignMark::Halted { .. }
            | CampaignMark::Cancelled { .. }
            | CampaignMark::Completed => {}
        }
    }
    pauses.extend(since.map(|from| (from, end_s.max(from))));
    pauses
}

fn halt(run: &RunData, index: usize, began: Instant) -> Option<Halt> {
    let campaign = run.plan.campaigns.get(index)?;
    let halted = run.findings.campaigns.get(index)?.halted()?;
    let found = &run.findings.campaigns[index];
    let rows = &found.operator;
    // A failure that was followed by a retry is in no row of the operator, but in the device's own.
    let first_bad = rows.iter().chain(&found.devices);
    let first_bad = first_bad.filter(|row| is_bad(row.outcome));
    let first_bad = first_bad.map(|row| row.finished).min();
    let targets = rows.len() as u64;
    Some(Halt {
        at_s: run.seconds_of(halted.at),
        after_start_s: halted.at.since(began).as_secs_f64(),
        after_crossing_s: halted.at.since(halted.crossed).as_secs_f64(),
        after_first_failure_s: first_bad
            .filter(|at| *at <= halted.at)
            .map(|at| halted.at.since(at).as_secs_f64()),
        rule: campaign.aborts.get(halted.rule).map_or_else(
            || "?".to_owned(),
            |rule| {
                let ends = match rule.failure {
                    Failure::Failed => "failed or rolled back",
                    Failure::Rejected => "rejected",
                    Failure::TimedOut => "timed out or bricked",
                    Failure::All => "failed, rolled back, rejected, timed out or bricked",
                };
                format!(
                    "at least {} of the ended executions {ends}, of at least {}",
                    super::units::ratio(rule.threshold),
                    super::units::count(u64::from(rule.min_executed))
                )
            },
        ),
        executed: halted.executed,
        failures: halted.failures,
        started: halted.started,
        started_share: (targets > 0).then(|| halted.started as f64 / targets as f64),
    })
}

/// When it was cancelled by hand. The end of a run sets the same mark, but cancels nothing.
fn cancelled_s(run: &RunData, index: usize) -> Option<f64> {
    let planned = run.plan.campaigns.get(index)?.cancel?;
    let (start, _) = run.started.as_ref()?;
    let marks = &run.findings.campaigns.get(index)?.marks;
    marks.iter().find_map(|(at, mark)| {
        let is_by_hand =
            matches!(mark, CampaignMark::Cancelled { .. }) && *at >= start.after(planned);
        is_by_hand.then(|| run.seconds_of(*at))
    })
}

/// Bytes received over the image's bytes, ascending, of every device that had the whole image; by its
/// own word, over all of its rows.
pub(super) fn factors(run: &RunData, index: usize) -> Vec<f64> {
    let (Some(campaign), Some(found)) = (
        run.plan.campaigns.get(index),
        run.findings.campaigns.get(index),
    ) else {
        return Vec::new();
    };
    let mut by_device: BTreeMap<u32, (u64, bool)> = BTreeMap::new();
    for row in &found.devices {
        let (bytes, is_whole) = by_device.entry(row.device).or_default();
        *bytes += row.bytes;
        *is_whole |= row.downloaded.is_some();
    }
    let whole = by_device.values().filter(|(_, is_whole)| *is_whole);
    let image = f64::from(campaign.image.bytes);
    let mut factors: Vec<f64> = whole.map(|(bytes, _)| *bytes as f64 / image).collect();
    factors.sort_by(f64::total_cmp);
    factors
}

fn footprint(run: &RunData, index: usize) -> Option<Footprint> {
    let factors = factors(run, index);
    let found = run.findings.campaigns.get(index)?;
    let n = factors.len() as u64;
    let at = |share| findings::value_of_share(&factors, n, share);
    (n > 0).then(|| Footprint {
        devices: n,
        mean: factors.iter().sum::<f64>() / n as f64,
        p50: at(0.5),
        p99: at(0.99),
        max: at(1.0),
        received: found.devices.iter().map(|row| row.bytes).sum(),
        served: served(run, found),
    })
}

/// What the operator sent, if it was the one who did.
fn served(run: &RunData, found: &CampaignFindings) -> Option<u64> {
    let rows = &found.operator;
    let is_over_http = |row: &ResultRow| {
        // Who edits a file may write any number.
        let is_known = row.device < run.plan.devices();
        let cohort = is_known.then(|| &run.plan.cohorts[run.plan.cohort_of(row.device)]);
        let update = cohort.and_then(|cohort| cohort.update.as_ref());
        update.is_some_and(|update| matches!(update.profile, WireProfile::GenericAction(_)))
    };
    (!rows.iter().any(is_over_http)).then(|| rows.iter().map(|row| row.bytes).sum())
}

/// The stretches, from T0, of which live publishes are compared: the undisturbed seconds before the
/// campaign, after the last fault and the last campaign that began before it, and the campaign itself.
/// Without the first the stretch is empty. `None` if the campaign never began.
pub(super) fn telemetry_spans(run: &RunData, index: usize) -> Option<[(f64, f64); 2]> {
    let began = findings::began(run, index)?;
    let start_s = run.seconds_of(began);
    let end_of = |index: usize| {
        let found = run.findings.campaigns.get(index)?;
        Some(end_s(run, found, &findings::targets(run, index)))
    };
    let faults = run.plan.faults.iter();
    let cleared = faults
        .filter(|fault| fault.start.as_secs_f64() < start_s)
        .map(|fault| fault.clear.as_secs_f64());
    let campaigns = (0..run.plan.campaigns.len()).filter(|other| *other != index);
    let ended = campaigns
        .filter(|other| {
            let began = findings::began(run, *other);
            began.is_some_and(|began| run.seconds_of(began) < start_s)
        })
        .filter_map(end_of);
    let from_s = cleared.chain(ended).fold(0.0, f64::max);
    let before = recovery::plateau_s(run, from_s, start_s).unwrap_or((start_s, start_s));
    Some([before, (start_s, end_of(index)?.max(start_s))])
}

/// Response times before and during; `None` without any of both.
fn collateral(telemetry: &[Histogram; 2]) -> Option<Collateral> {
    let [before, during] = telemetry;
    let p99 = |values: &Histogram| values.percentile_us(99.0);
    let (p99_before, p99_during) = (p99(before), p99(during)?);
    Some(Collateral {
        p99_before_us: p99_before,
        p99_during_us: p99_during,
        n_before: before.count(),
        n_during: during.count(),
        factor: p99_before
            .filter(|us| *us > 0)
            .map(|us| p99_during as f64 / us as f64),
    })
}

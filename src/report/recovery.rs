//! From the evidence to the verdict on each recovery: which fault, which seconds, what is known of
//! the devices; the `detector` decides, `sentence` tells.

mod detector;
mod sentence;
#[cfg(test)]
mod tests;
mod trend;

use super::data::RunData;
use super::value::{RecoveryLevel, RecoveryVerdict};
use super::words;
use crate::scenario::recovery::RecoveryVerdict as Word;
use detector::{Case, Finding};

/// The verdict on the recovery from each fault that closes its phase, in the order of the plan.
pub(super) fn verdicts(run: &RunData) -> Vec<RecoveryVerdict> {
    let faults = 0..run.plan.faults.len();
    let closing = faults.filter(|&fault| run.plan.closes_its_phase(fault));
    closing.map(|fault| verdict(run, fault)).collect()
}

/// The verdict on the recovery after `phase`, with its word if there is one; `None` if no fault of
/// it clears.
pub(super) fn after_phase(run: &RunData, phase: usize) -> Option<(Option<Word>, RecoveryVerdict)> {
    let fault = run.plan.last_clearing(phase)?;
    let finding = detector::detect(&run.series.rows, &case(run, fault));
    Some((finding.verdict.ok(), verdict(run, fault)))
}

/// The seconds before `fault` that the fleet is compared with, from and to in seconds from T0; `None`
/// if there are none.
pub(super) fn undisturbed_s(run: &RunData, fault: usize) -> Option<(f64, f64)> {
    let (from, to) = run.plan.recovery_baseline(fault);
    plateau_s(run, from.as_secs_f64(), to.as_secs_f64())
}

/// The last seconds of the stretch (from T0) in which the whole fleet that had power was undisturbed;
/// `None` if there is no such second.
pub(super) fn plateau_s(run: &RunData, from_s: f64, to_s: f64) -> Option<(f64, f64)> {
    let plateau = detector::plateau(&run.series.rows, from_s, to_s);
    let (first, last) = (plateau.first()?, plateau.last()?);
    Some((f64::from(first.second), f64::from(last.second) + 1.0))
}

fn case(run: &RunData, fault: usize) -> Case {
    let plan = &run.plan;
    let (undisturbed, begin) = plan.recovery_baseline(fault);
    let totals = run.outcome.as_ref().map(|outcome| &outcome.totals);
    let counted = totals.and_then(|totals| totals.recoveries.get(fault));
    let until_s = plan.recovery_end(fault).as_secs_f64();
    Case {
        undisturbed_s: undisturbed.as_secs_f64(),
        fault_s: begin.as_secs_f64(),
        clear_s: plan.faults[fault].clear.as_secs_f64(),
        until_s: until_s.min(run.ended_s()),
        cut_off: counted.map_or(0, |recovery| recovery.affected),
        longest_wait_s: plan.longest_wait_of_phase(fault).as_secs_f64(),
        rule: plan.recovery,
    }
}

fn verdict(run: &RunData, index: usize) -> RecoveryVerdict {
    let fault = &run.plan.faults[index];
    let case = case(run, index);
    let finding = detector::detect(&run.series.rows, &case);
    let phase = run.plan.phases.get(fault.phase);
    let ends_by_fault = case.until_s < run.plan.length().as_secs_f64() && run.is_complete();
    RecoveryVerdict {
        fault: words::fault(&run.plan, fault),
        phase: phase.map_or_else(|| "?".to_owned(), |phase| phase.name.clone()),
        clear_s: case.clear_s,
        verdict: finding.verdict.map_or("undecided", Word::name),
        reason: sentence::reason(&case, &finding, ends_by_fault),
        basis: sentence::basis(&case, &finding),
        recovered_after_s: finding.recovered_after_s,
        eta_s: finding.eta_s,
        bound_s: finding.bound.map(|bound| bound.bound_s),
        down: finding.bound.map(|bound| bound.down),
        limit_rate_per_s: finding.bound.and_then(|bound| bound.limit_rate_per_s),
        limit_rate_is_stated: case.rule.limit_rate_per_s.is_some(),
        longest_wait_s: case.longest_wait_s,
        baseline: before(&finding),
        judged: finding.level.map(|level| RecoveryLevel {
            connected: level.connected,
            goodput_per_s: level.goodput_per_s,
            ack_p99_us: level.ack_p99_us,
        }),
        amplification: finding.amplification,
        wasted: finding.level.and_then(|level| level.waste),
    }
}

fn before(finding: &Finding) -> Option<RecoveryLevel> {
    finding.baseline.map(|baseline| RecoveryLevel {
        connected: baseline.connected,
        goodput_per_s: baseline.goodput_per_s,
        ack_p99_us: baseline.ack_p99_us,
    })
}

//! Whether a run gives its objectives on a recovery's verdict the time that a verdict takes.

use crate::scenario::plan::{Pace, Plan};
use crate::scenario::recovery::RecoveryRule;
use crate::scenario::slo::{Bound, Objective, Window};
use std::time::Duration;

/// Undisturbed seconds before a fault without which nothing can be compared, as in the report.
const BASELINE_S_MIN: f64 = 10.0;
/// Least time after the bound in which a fleet that is not back is judged, as in the report.
const JUDGED_S_MIN: f64 = 30.0;

/// A warning for each objective on a recovery that the run may leave undecided.
pub(super) fn warnings(plan: &Plan) -> Vec<String> {
    let objectives = plan.objectives.iter();
    objectives.filter_map(|o| warning(plan, o)).collect()
}

fn warning(plan: &Plan, objective: &Objective) -> Option<String> {
    let (Bound::Is(_), Window::After(phase)) = (objective.bound, &objective.window) else {
        return None;
    };
    let index = plan.last_clearing(*phase)?;
    let fault = &plan.faults[index];
    let (from, to) = plan.recovery_baseline(index);
    let undisturbed_s = to
        .saturating_sub(from.max(ramp_end(plan, to)))
        .as_secs_f64();
    if undisturbed_s < BASELINE_S_MIN {
        return Some(format!(
            "{:?}: {undisturbed_s:.0} s before the fault are undisturbed, {BASELINE_S_MIN:.0} s are needed to know what the fleet is like (60 s are better): it will be INCONCLUSIVE",
            objective.name
        ));
    }
    let left_s = plan
        .recovery_end(index)
        .saturating_sub(fault.clear)
        .as_secs_f64();
    let needed_s = needed_s(plan, index);
    (left_s < needed_s).then(|| {
        format!(
            "{:?}: {left_s:.0} s follow the clearing of the fault, and a fleet that is not back may take {needed_s:.0} s to be judged: it may be INCONCLUSIVE",
            objective.name
        )
    })
}

/// From the clearing to when a fleet that is not back can be judged, if all that the fault may cut
/// off have to come back.
fn needed_s(plan: &Plan, fault: usize) -> f64 {
    let judged_s = plan.recovery.hold.as_secs_f64().max(JUDGED_S_MIN);
    if let Some(within) = plan.recovery.within {
        return within.as_secs_f64() + judged_s;
    }
    let down = match plan.largest_herd() {
        0 => plan.devices(),
        herd => herd,
    };
    let peak = Some(plan.power_on_peak_per_s()).filter(|rate| *rate > 0.0);
    let rate = plan.stated_limit_rate_per_s().or(peak);
    let by_rate_s = rate.map_or(0.0, |rate| f64::from(down) / rate);
    let wait_s = plan.longest_wait_of_phase(fault).as_secs_f64();
    f64::from(RecoveryRule::FACTOR) * by_rate_s.max(wait_s) + judged_s
}

/// When the last device that gets power before `to` has it.
fn ramp_end(plan: &Plan, to: Duration) -> Duration {
    let ramps = plan.phases.iter().filter(|phase| phase.start < to);
    let end = |phase: &crate::scenario::plan::Phase| {
        let power_on = phase.power_on.as_ref()?;
        let spread = match power_on.pace {
            Pace::PerSecond(rate) => Duration::from_secs_f64(f64::from(plan.devices()) / rate),
            Pace::Over(spread) => spread.longest(),
        };
        let takes = spread + power_on.boot.longest();
        Some((phase.start + takes).min(phase.start + phase.length))
    };
    ramps.filter_map(end).max().unwrap_or_default()
}

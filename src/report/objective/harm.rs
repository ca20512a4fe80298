//! What draining a backlog does to those whose data is live: response times while it drains against
//! those before the fault.

use super::{Measured, Value, meets, sample_floor, time_to_share_s, unended_publishes};
use crate::report::data::RunData;
use crate::report::{recovery, units, window};
use crate::scenario::plan::Plan;
use crate::scenario::slo::{self, Indicator};
use crate::stats::histogram::Histogram;

/// The percentile that is compared.
const PERCENTILE: f64 = 99.0;

/// The two stretches of a run whose live publishes are compared, from T0.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(in crate::report) struct Stretches {
    /// Undisturbed, before the fault.
    pub(in crate::report) before_s: (f64, f64),
    /// From the clearing until the last device had drained, in whole seconds, or to the next fault or
    /// the end.
    pub(in crate::report) draining_s: (f64, f64),
    /// Devices with a backlog.
    devices: u64,
    /// Of those, the ones that had drained by the next fault or the end.
    drained: u64,
}

/// Faults of which an objective asks for the harm of their backlogs.
pub(in crate::report) fn asked(plan: &Plan) -> Vec<usize> {
    let asking = plan.objectives.iter();
    let asking = asking.filter(|objective| objective.indicator == Indicator::BacklogHarm);
    let mut faults: Vec<usize> = asking
        .flat_map(|objective| window::faults(plan, &objective.window))
        .collect();
    faults.sort_unstable();
    faults.dedup();
    faults
}

/// What is compared for `fault`; or why nothing can be.
pub(in crate::report) fn stretch(run: &RunData, fault: usize) -> Result<Stretches, String> {
    let outcome = run.outcome.as_ref().ok_or("the run left no outcome")?;
    let found = outcome.totals.backlogs.get(fault);
    let found = found.ok_or("the run told nothing of backlogs")?;
    if found.devices == 0 {
        return Err("nothing waited on any device when the fault cleared".to_owned());
    }
    let before_s = recovery::undisturbed_s(run, fault)
        .ok_or("no second before the fault is undisturbed, so nothing can be compared")?;
    let clear_s = run.plan.faults[fault].clear.as_secs_f64();
    let until_s = run.plan.recovery_end(fault).as_secs_f64();
    let until_s = until_s.min(run.ended_s());
    let took = found.drain_times().min_max_us();
    let drained_s = match took {
        Some((_, longest_us)) if found.drained == found.devices => {
            clear_s + (longest_us as f64 / 1e6).ceil()
        }
        Some(_) | None => until_s,
    };
    Ok(Stretches {
        before_s,
        draining_s: (clear_s, drained_s.min(until_s)),
        devices: found.devices,
        drained: found.drained,
    })
}

/// The 99th percentile of live publishes due while the backlog drained, over that of those due before
/// the fault. Live is what neither waited for a connection nor was written again; what is due counts
/// where it is due, as those that suffer most end when the backlog is long gone.
pub(super) fn harm(run: &RunData, objective: &slo::Objective) -> Measured {
    let Some(&fault) = window::faults(&run.plan, &objective.window).first() else {
        return Measured::Nothing("no fault clears there".to_owned());
    };
    let stretches = match stretch(run, fault) {
        Ok(stretches) => stretches,
        Err(why) => return Measured::Nothing(why),
    };
    let Some([before, draining]) = run.live_due.get(&fault) else {
        return Measured::Nothing("the response times cannot be read".to_owned());
    };
    let p99_s = |values: &Histogram, n| time_to_share_s(values, n, PERCENTILE / 100.0);
    let (n_before, n) = (before.count(), draining.count());
    if n_before == 0 || n == 0 {
        let when = if n == 0 {
            "while the backlog drained"
        } else {
            "before the fault"
        };
        return Measured::Nothing(format!("no publish of QoS 1 or 2 was live {when}"));
    }
    let (before_s, draining_s) = (p99_s(before, n_before), p99_s(draining, n));
    let factor = draining_s / before_s;
    let is_met = meets(objective.bound, factor);
    let unended = unended_publishes(run, &touched(&run.plan, stretches.draining_s));
    let worst = p99_s(draining, n + unended) / before_s;
    let not_drained = stretches.devices.saturating_sub(stretches.drained);
    let doubt = thin("before the fault", n_before)
        .or_else(|| thin("while the backlog drained", n))
        .or_else(|| {
            // The calm seconds of the others would hide what one device's backlog did.
            (is_met && not_drained > 0).then(|| {
                let devices = units::counted(not_drained, "device");
                format!("{devices} had not drained by the end of the window")
            })
        })
        .or_else(|| {
            (is_met != meets(objective.bound, worst)).then(|| {
                let unended = units::count(unended);
                format!(
                    "the publishes that had not ended when the run did, {unended}, would decide it"
                )
            })
        });
    Measured::Value(Value {
        doubt,
        remark: remark(&stretches, (draining_s, n), (before_s, n_before)),
        ..Value::new(factor, n)
    })
}

/// Each is 99th percentile in seconds, and publishes.
fn remark(stretches: &Stretches, draining: (f64, u64), before: (f64, u64)) -> String {
    let length = |(from_s, to_s): (f64, f64)| units::time_s(to_s - from_s);
    let until = match stretches.devices.saturating_sub(stretches.drained) {
        0 => "until the backlog had drained".to_owned(),
        left => format!(
            "to the end of the window, when {} of {} devices had not drained",
            units::count(left),
            units::count(stretches.devices)
        ),
    };
    format!(
        " (p99 of live publishes: {} in the {} from the clearing {until}, n = {}; {} in {} before the fault, n = {})",
        units::time_s(draining.0),
        length(stretches.draining_s),
        units::count(draining.1),
        units::time_s(before.0),
        length(stretches.before_s),
        units::count(before.1)
    )
}

fn thin(when: &str, events: u64) -> Option<String> {
    let floor = sample_floor(PERCENTILE);
    (events < floor).then(|| {
        let have = units::count(events);
        format!("n = {have} {when} is too few for p{PERCENTILE}, which needs {floor}")
    })
}

/// Phases that a stretch touches.
fn touched(plan: &Plan, (from_s, to_s): (f64, f64)) -> Vec<usize> {
    let phases = plan.phases.iter().enumerate();
    let touched = phases.filter(|(_, phase)| {
        let start_s = phase.start.as_secs_f64();
        start_s < to_s && start_s + phase.length.as_secs_f64() > from_s
    });
    touched.map(|(index, _)| index).collect()
}

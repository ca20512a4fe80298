//! Indicators of the backlog that a fault leaves: how long it takes to drain, and what comes through.

use super::{Measured, Value, percentile_of, sample_floor, time_to_share_s};
use crate::report::data::RunData;
use crate::report::{units, window};
use crate::scenario::slo::{self, Statistic};
use crate::stats::recorder::Backlog;

/// Percentile whose sample floor a ratio of publishes must have.
const RATIO_FLOOR_PERCENTILE: f64 = 99.0;

/// From the clearing until a device had nothing left of before it, over devices on which something
/// waited at the clearing. Who still had something at the next fault or the end counts as infinite.
pub(super) fn drain_time(run: &RunData, objective: &slo::Objective) -> Measured {
    let found = match backlog(run, objective) {
        Ok(found) => found,
        Err(why) => return Measured::Nothing(why),
    };
    if found.devices == 0 {
        return Measured::Nothing("nothing waited on any device when the fault cleared".to_owned());
    }
    let times = found.drain_times();
    if times.count() != found.drained {
        return Measured::Nothing("the drain times cannot be read".to_owned());
    }
    match objective.statistic {
        Statistic::Percentile(p) => percentile_of(&times, found.devices, p),
        Statistic::Share(share) => Measured::Value(Value {
            remark: format!(
                " ({} with a backlog, {} of them drained)",
                units::counted(found.devices, "device"),
                units::count(found.drained)
            ),
            ..Value::new(time_to_share_s(&times, found.devices, share), found.devices)
        }),
        Statistic::Value | Statistic::Intervals(_) | Statistic::BadMinutes(_) | Statistic::Mean => {
            Measured::Nothing("a time is judged by a share".to_owned())
        }
    }
}

/// Acknowledged publishes over all that the fault held up and that no policy dropped. What was written
/// into a connection that the fault had cut, and never acknowledged, was held up too.
pub(super) fn recovered_ratio(run: &RunData, objective: &slo::Objective) -> Measured {
    let found = match backlog(run, objective) {
        Ok(found) => found,
        Err(why) => return Measured::Nothing(why),
    };
    let held_up = found.planned.saturating_sub(found.acked_live);
    let dropped = found.dropped_by_policy + found.skipped;
    let bufferable = held_up.saturating_sub(dropped);
    if bufferable == 0 {
        return Measured::Nothing(format!(
            "the fault held up no publish of QoS 1 or 2 that was kept ({} dropped by policy)",
            units::count(dropped)
        ));
    }
    let of_all = found.recovered as f64 / held_up as f64;
    let floor = sample_floor(RATIO_FLOOR_PERCENTILE);
    let doubt = (bufferable < floor).then(|| {
        let (have, floor) = (units::count(bufferable), units::count(floor));
        format!("{have} kept publishes are too few, it takes {floor}")
    });
    Measured::Value(Value {
        doubt,
        remark: format!(
            " ({} of {} kept; {} of all {} held up, {} dropped by policy)",
            units::count(found.recovered),
            units::count(bufferable),
            units::ratio(of_all),
            units::count(held_up),
            units::count(dropped)
        ),
        ..Value::new(found.recovered as f64 / bufferable as f64, bufferable)
    })
}

/// What was found of the faults that the objective means; or why nothing was.
fn backlog(run: &RunData, objective: &slo::Objective) -> Result<Backlog, String> {
    let outcome = run.outcome.as_ref().ok_or("the run left no outcome")?;
    let mut all = Backlog::default();
    for fault in window::faults(&run.plan, &objective.window) {
        let found = outcome.totals.backlogs.get(fault);
        all.add(found.ok_or("the run told nothing of backlogs")?);
    }
    Ok(all)
}

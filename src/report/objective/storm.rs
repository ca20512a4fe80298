//! What becomes of a storm, as objectives: how much of the connection attempts was for nothing.

use super::{Measured, Value};
use crate::report::data::RunData;
use crate::report::{units, window};
use crate::scenario::slo;

/// Attempts that timed out after their CONNECT was written, over all attempts that ended.
pub(super) fn connect_wasted(run: &RunData, objective: &slo::Objective) -> Measured {
    let Some(outcome) = &run.outcome else {
        return Measured::Nothing("the run left no outcome".to_owned());
    };
    let phases = window::phases(&run.plan, &objective.window);
    if phases.is_empty() {
        return Measured::Nothing("no whole phase lies in the window".to_owned());
    }
    let attempts = (phases.iter()).filter_map(|&p| outcome.totals.attempts.get(p));
    let (all, wasted) = attempts.fold((0, 0), |(all, wasted), counts| {
        (
            all + counts.accepted + counts.failed,
            wasted + counts.wasted,
        )
    });
    if all == 0 {
        return Measured::Nothing("no attempt of the window ended".to_owned());
    }
    Measured::Value(Value {
        remark: format!(
            " ({} of {} attempts timed out after their CONNECT was written)",
            units::count(wasted),
            units::count(all)
        ),
        ..Value::new(wasted as f64 / all as f64, all)
    })
}

//! How many wills of observed devices fired. More may have fired than were seen while an observer was
//! away, so then only what a further one could not change is decided.

use super::{Measured, Value, in_unit_of, meets};
use crate::report::data::RunData;
use crate::report::units;
use crate::scenario::slo::{Bound, Limit, Objective};

pub(super) fn fired(run: &RunData, objective: &Objective) -> Measured {
    let Some(outcome) = &run.outcome else {
        return Measured::Nothing("the run left no outcome".to_owned());
    };
    if !run.plan.observe.ledger {
        return Measured::Nothing("the delivery ledger is off".to_owned());
    }
    let Some(counts) = &outcome.totals.wills else {
        return Measured::Nothing("the run left no count of the wills".to_owned());
    };
    if counts.watched == 0 {
        return Measured::Nothing("no device with a will is observed".to_owned());
    }
    let mut devices = units::counted(counts.watched, "device");
    if run.plan.observe.devices < run.plan.devices() {
        devices = format!(
            "{}, the observed ones",
            units::counted(counts.watched, "device")
        );
    }
    let remark = format!(
        " (of {devices}: {} fired, {} more than once)",
        units::count(counts.devices),
        units::count(counts.devices_repeated)
    );
    let is_at_most = match objective.bound {
        Bound::AtMost(_) => true,
        Bound::AtLeast(_) | Bound::Is(_) => false,
    };
    // A share that must be reached is one of devices; firings bound it from above, so that both together
    // say "each once".
    let count = match objective.bound {
        Bound::AtLeast(Limit::Ratio(_)) => counts.devices,
        Bound::AtLeast(_) | Bound::AtMost(_) | Bound::Is(_) => counts.fired,
    };
    let value = in_unit_of(objective.bound, count, counts.watched);
    let is_final = meets(objective.bound, value) != is_at_most;
    let doubt = (counts.gaps > 0 && !is_final).then(|| {
        let gaps = units::counted(counts.gaps, "gap");
        format!("wills may have been missed in {gaps} of observers")
    });
    Measured::Value(Value {
        doubt,
        breach_is_final: is_at_most,
        remark,
        ..Value::new(value, counts.watched)
    })
}

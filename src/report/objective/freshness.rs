//! How old what is known of the devices was. A device that no observer ever heard of has no age, so
//! it leaves the objective undecided rather than unseen.

use super::{Measured, Value, percentile_of};
use crate::report::data::RunData;
use crate::report::units;
use crate::report::window;
use crate::scenario::slo::{Objective, Statistic};
use crate::stats::histogram::Histogram;
use crate::stats::series::Metric;

pub(super) fn age(run: &RunData, objective: &Objective) -> Measured {
    if !run.plan.observe.ledger {
        return Measured::Nothing("the delivery ledger is off".to_owned());
    }
    if run.plan.observe.devices == 0 {
        return Measured::Nothing("no device is observed".to_owned());
    }
    let totals = run.outcome.as_ref().map(|outcome| &outcome.totals);
    let Some(freshness) = totals.and_then(|totals| totals.freshness.as_ref()) else {
        return Measured::Nothing("the run left no count of the ages".to_owned());
    };
    let phases = window::phases(&run.plan, &objective.window);
    let readings = run.merged(&[Metric::FreshnessAge], &phases);
    let of_phases = phases.iter().filter_map(|&p| freshness.phases.get(p));
    let (area, time) = of_phases.fold((0.0, 0.0), |(a, t), (area, time)| (a + area, t + time));
    if time <= 0.0 || time.is_nan() {
        return Measured::Nothing("no sample was seen before the window's end".to_owned());
    }
    let mut measured = match objective.statistic {
        Statistic::Percentile(p) => percentile_of(&readings, readings.count(), p),
        Statistic::Mean => Measured::Value(Value {
            remark: format!(
                " (over {} device-seconds)",
                units::count(time.round() as u64)
            ),
            ..Value::new(area / time, readings.count())
        }),
        Statistic::Share(_)
        | Statistic::Value
        | Statistic::Intervals(_)
        | Statistic::BadMinutes(_) => {
            return Measured::Nothing("an age is judged by a percentile or its mean".to_owned());
        }
    };
    let Measured::Value(value) = &mut measured else {
        return measured;
    };
    let unseen = freshness.powered.saturating_sub(freshness.seen);
    if unseen > 0 {
        let devices = units::counted(freshness.powered, "observed device");
        let unseen = units::count(unseen);
        let why = format!("of {unseen} of {devices} no sample was seen at all");
        value.doubt.get_or_insert(why);
    }
    let is_percentile = matches!(objective.statistic, Statistic::Percentile(_));
    // Its histogram ends there, give or take its three digits.
    if is_percentile && value.value >= Histogram::RANGE_US.1 as f64 / 1e6 * 0.999 {
        let why = "ages of an hour and more are not told apart".to_owned();
        value.doubt.get_or_insert(why);
    }
    measured
}

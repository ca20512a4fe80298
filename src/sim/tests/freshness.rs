//! The age of what is known of a device, held against its closed form: half a period and the way of
//! a sample.

use super::*;
use crate::scenario::slo::{Bound, Indicator, Limit, Objective, Statistic, Subject, Window};

/// A ramp of 30 s, in which every device is heard of, then whole periods of 10 s.
fn asked_for() -> Plan {
    let mut plan = plan(400, ms(10_000));
    plan.phases[RAMP].length = ms(30_000);
    plan.phases[STEADY].start = ms(30_000);
    plan.objectives = vec![Objective {
        name: "fresh".to_owned(),
        indicator: Indicator::FreshnessAge,
        statistic: Statistic::Mean,
        bound: Bound::AtMost(Limit::Time(ms(6_000))),
        window: Window::Run,
        subject: Subject::Fleet,
    }];
    plan
}

#[test]
fn a_steady_fleet_is_half_a_period_and_the_way_old() {
    let outcome = outcome(asked_for());
    let freshness = outcome.totals.freshness.clone().expect("asked for");
    assert_eq!((freshness.powered, freshness.seen), (400, 400));
    let (area, time) = freshness.phases[STEADY];
    assert!((time - 400.0 * 60.0).abs() < 1e-6, "{time}");
    let expected = (ms(5_000) + 2 * LINK_DELAY).as_secs_f64();
    assert!((area / time - expected).abs() < 1e-6, "{}", area / time);
    let readings = outcome.histogram_in(Metric::FreshnessAge, STEADY);
    assert_eq!(readings.count(), 400 * 60 / 5);
    for (percentile, age) in [(50.0, 5_000), (90.0, 9_000), (99.0, 9_900)] {
        let got = p(&outcome, Metric::FreshnessAge, STEADY, percentile);
        assert_near(got, ms(age), 0.02);
    }
}

#[test]
fn it_grows_while_the_fleet_is_cut_off() {
    let restart = BackendFault::Restart {
        sessions: Sessions::Keep,
    };
    let plan = with_fault(asked_for(), ms(10_000), ms(40_000), restart);
    let freshness = outcome(plan).totals.freshness.expect("asked for");
    let (area, time) = freshness.phases[STEADY];
    assert!(area / time > 10.0, "{}", area / time);
}

#[test]
fn nobody_asks_and_nothing_is_followed() {
    let mut plan = asked_for();
    plan.objectives.clear();
    let outcome = outcome(plan);
    assert_eq!(outcome.totals.freshness, None);
    assert_eq!(outcome.histogram(Metric::FreshnessAge).count(), 0);
}

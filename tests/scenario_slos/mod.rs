//! The words of objectives and of how a recovery is judged, and what they become in the plan.

use crate::scenario_text::{faulty, plan, secs, with};
use fleetstorm::scenario::file::Overrides;
use fleetstorm::scenario::recovery::{RecoveryRule, RecoveryVerdict};
use fleetstorm::scenario::slo::{Bound, Indicator, Limit, Statistic, Window};

#[test]
fn how_a_recovery_is_judged() {
    let rule = |text: &str| plan(&format!("{}{text}", faulty("{ backend: stall }"))).recovery;
    assert_eq!(rule(""), RecoveryRule::default());
    assert_eq!(rule("recovery: {}\n"), RecoveryRule::default());
    let all = RecoveryRule {
        limit_rate_per_s: Some(500.0),
        hold: secs(10),
        within: Some(secs(300)),
    };
    assert_eq!(
        rule("recovery: { limit_rate: 500/s, hold: 10s, within: 5min }\n"),
        all
    );
}

#[test]
fn objectives() {
    let table = [
        (
            "connect.success, at_least: 99.9%",
            Statistic::Value,
            Bound::AtLeast(Limit::Ratio(0.999)),
            Window::Run,
        ),
        (
            "e2e.latency, percentile: 99.9, at_most: 1s, during: [storm, ramp]",
            Statistic::Percentile(99.9),
            Bound::AtMost(Limit::Time(secs(1))),
            Window::During(vec![0, 1]),
        ),
        (
            "reconnect.time, percentile: 50, at_most: 1min, after: storm",
            Statistic::Percentile(50.0),
            Bound::AtMost(Limit::Time(secs(60))),
            Window::After(1),
        ),
        (
            "reconnect.stranded, at_most: 3, after: storm",
            Statistic::Value,
            Bound::AtMost(Limit::Count(3)),
            Window::After(1),
        ),
        (
            "connect.wasted, at_most: 2%, after: storm",
            Statistic::Value,
            Bound::AtMost(Limit::Ratio(0.02)),
            Window::After(1),
        ),
        (
            "connect.wasted, at_most: 2%, during: [ramp]",
            Statistic::Value,
            Bound::AtMost(Limit::Ratio(0.02)),
            Window::During(vec![0]),
        ),
        (
            "recovery.verdict, is: stranded, after: storm",
            Statistic::Value,
            Bound::Is(RecoveryVerdict::Stranded),
            Window::After(1),
        ),
        (
            "delivery.reordered, at_most: 0",
            Statistic::Value,
            Bound::AtMost(Limit::Count(0)),
            Window::Run,
        ),
    ];
    for (text, statistic, bound, window) in table {
        let scenario = format!(
            "{}slos: [{{ name: x, indicator: {text} }}]\n",
            faulty("{ backend: stall }")
        );
        let found = plan(&scenario).objectives[0].clone();
        assert_eq!((found.statistic, found.bound), (statistic, bound), "{text}");
        assert_eq!(found.window, window, "{text}");
        assert!(text.starts_with(found.indicator.name()));
    }
    let wrong = [
        "connect.latency, at_most: 1s",
        "connect.latency, percentile: 0, at_most: 1s",
        "connect.latency, percentile: 101, at_most: 1s",
        "connect.latency, percentile: 99, at_most: 1s, after: storm",
        "connect.latency, percentile: 99, at_least: 1s",
        "connect.latency, percentile: 99",
        "connect.latency, share: 99%, at_most: 1s",
        "connect.success, at_least: 2",
        "reconnect.time, share: 99%, at_most: 60s",
        "reconnect.time, share: 99%, at_most: 60s, during: [storm]",
        "delivery.lost, at_most: 0, during: [storm]",
        "delivery.lost, at_most: -1",
        "delivery.lost, at_most: 0, at_least: 0",
        "fleet.availability, at_least: 101%",
    ];
    for text in wrong {
        let scenario = format!(
            "{}slos: [{{ name: x, indicator: {text} }}]\n",
            faulty("{ backend: stall }")
        );
        assert!(with(&scenario, &Overrides::default()).is_err(), "{text}");
    }
}

/// The only count that may be bounded from either side.
#[test]
fn wills_are_counted_within_or_up_to_a_bound() {
    let fleet = "name: one\nfleet: [{ cohort: a, devices: 10, session: { will: { topic: \"w/{index}\" } } }]\nphases: [{ name: ramp, power_on: { rate: 100/s } }]\n";
    for (text, bound) in [
        ("at_most: 10", Bound::AtMost(Limit::Count(10))),
        ("at_least: 3", Bound::AtLeast(Limit::Count(3))),
        ("at_least: 60%", Bound::AtLeast(Limit::Ratio(0.6))),
    ] {
        let slos = format!("slos: [{{ name: x, indicator: will.fired, {text} }}]\n");
        let plan = plan(&format!("{fleet}{slos}"));
        let found = &plan.objectives[0];
        assert_eq!(found.indicator, Indicator::WillFired);
        assert_eq!(
            (found.bound, found.statistic),
            (bound, Statistic::Value),
            "{text}"
        );
        assert_eq!(found.window, Window::Run);
        assert!(plan.asks_for_wills());
    }
    assert!(!plan(fleet).asks_for_wills());
}

#[test]
fn every_indicator_has_its_word() {
    for indicator in Indicator::ALL {
        let scenario = format!(
            "{}slos: [{{ name: x, indicator: {} }}]\n",
            faulty("{ backend: stall }"),
            indicator.name()
        );
        let errors = with(&scenario, &Overrides::default()).expect_err("it has no limit");
        assert!(!errors.contains("unknown"), "{errors}");
    }
}

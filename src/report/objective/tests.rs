//! Every branch of judging one objective, on small changes of a run that meets everything.

mod herds;
mod wills;

use super::*;
use crate::report::fixture::{self, objective, values};
use crate::scenario::plan::{BackendFault, FaultKind};
use crate::scenario::slo::Window;
use crate::time::Duration;

mod backlogs;
mod campaigns;
mod harms;

type Change = fn(&mut RunData);

/// What is judged, a change of the evidence, and what must come out with which words.
struct Case {
    objective: slo::Objective,
    change: Change,
    verdict: Verdict,
    reason: &'static str,
}

fn check(cases: impl IntoIterator<Item = Case>) {
    for case in cases {
        let mut run = fixture::quickstart();
        (case.change)(&mut run);
        let judged = judge(&run, &case.objective);
        let context = format!("{:?}: {judged:?}", case.objective);
        assert_eq!(judged.verdict, case.verdict, "{context}");
        assert!(judged.reason.contains(case.reason), "{context}");
        assert_eq!(judged.interval, None);
    }
}

fn latency(indicator: Indicator, p: f64, limit_ms: u64, window: Window) -> slo::Objective {
    let limit = Limit::Time(Duration::from_millis(limit_ms));
    let statistic = Statistic::Percentile(p);
    objective("o", indicator, statistic, Bound::AtMost(limit), window)
}

fn value(indicator: Indicator, bound: Bound, window: Window) -> slo::Objective {
    objective("o", indicator, Statistic::Value, bound, window)
}

fn case(objective: slo::Objective, change: Change, verdict: Verdict, reason: &'static str) -> Case {
    Case {
        objective,
        change,
        verdict,
        reason,
    }
}

/// p99 of the steady phase's acknowledgements.
fn ack(limit_ms: u64) -> slo::Objective {
    let steady = Window::During(vec![1]);
    latency(Indicator::PublishAckLatency, 99.0, limit_ms, steady)
}

fn success(ratio: f64, window: Window) -> slo::Objective {
    value(Indicator::ConnectSuccess, at_least(ratio), window)
}

fn available(ratio: f64, window: Window) -> slo::Objective {
    value(Indicator::FleetAvailability, at_least(ratio), window)
}

/// Time until a share of the devices was back after the restart.
fn back(share: f64, limit_s: u64) -> slo::Objective {
    let bound = Bound::AtMost(Limit::Time(Duration::from_secs(limit_s)));
    let share = Statistic::Share(share);
    objective(
        "o",
        Indicator::ReconnectTime,
        share,
        bound,
        Window::After(2),
    )
}

/// p99 of the times after the restart.
fn back_p99(limit_s: u64) -> slo::Objective {
    let after = Window::After(2);
    latency(Indicator::ReconnectTime, 99.0, limit_s * 1_000, after)
}

fn stranded(devices: u64) -> slo::Objective {
    let after = Window::After(2);
    value(Indicator::ReconnectStranded, at_most(devices), after)
}

fn lost(messages: u64) -> slo::Objective {
    value(Indicator::DeliveryLost, at_most(messages), Window::Run)
}

fn duplicated() -> slo::Objective {
    value(Indicator::DeliveryDuplicated, at_most(0), Window::Run)
}

fn reordered() -> slo::Objective {
    value(Indicator::DeliveryReordered, at_most(0), Window::Run)
}

/// Half of the devices that were cut off did not come back.
fn half_gone(run: &mut RunData) {
    totals(run).recoveries[0].recovered = 2_495;
    let key = (Metric::ReconnectTime, 2);
    let times = values(2_495, |i| i * 1_000);
    run.series.histograms.insert(key, times);
}

fn at_most(count: u64) -> Bound {
    Bound::AtMost(Limit::Count(count))
}

fn at_least(ratio: f64) -> Bound {
    Bound::AtLeast(Limit::Ratio(ratio))
}

fn totals(run: &mut RunData) -> &mut crate::stats::recorder::Totals {
    &mut run.outcome.as_mut().expect("the fixture has one").totals
}

/// Replaces the acknowledgement times of the steady phase by `n` of 10 ms.
fn steady_of(run: &mut RunData, n: u64) {
    let key = (Metric::AckResponse, 1);
    run.series.histograms.insert(key, values(n, |_| 10_000));
}

#[test]
fn sample_floors_are_those_of_the_closed_form() {
    for (p, n) in [
        (50.0, 5),
        (90.0, 29),
        (95.0, 59),
        (99.0, 299),
        (99.9, 2_995),
        (99.99, 29_956),
        (100.0, 1),
    ] {
        assert_eq!(sample_floor(p), n, "p{p}");
    }
}

#[test]
fn latencies_of_publishes() {
    check([
        case(
            ack(250),
            |_| {},
            Verdict::Pass,
            "p99 is 2.89 ms, within the limit of 250 ms (n = 7,000)",
        ),
        case(
            ack(2),
            |_| {},
            Verdict::Fail,
            "p99 is 2.89 ms, above the limit of 2 ms",
        ),
        case(ack(11), |run| steady_of(run, 299), Verdict::Pass, "n = 299"),
        case(
            ack(11),
            |run| steady_of(run, 298),
            Verdict::Inconclusive,
            "298 events are too few for p99, which needs 299",
        ),
        case(
            ack(9),
            |run| steady_of(run, 298),
            Verdict::Inconclusive,
            "too few",
        ),
        case(
            ack(9),
            |run| steady_of(run, 1),
            Verdict::Inconclusive,
            "1 event",
        ),
        case(
            ack(250),
            |run| {
                run.series.histograms.remove(&(Metric::AckResponse, 1));
            },
            Verdict::NoData,
            "nothing to measure",
        ),
        case(
            ack(250),
            |run| {
                let key = (Metric::AckResponseReplayed, 1);
                run.series
                    .histograms
                    .insert(key, values(100, |_| 9_000_000));
            },
            Verdict::Fail,
            "p99 is 9",
        ),
    ]);
}

#[test]
fn publishes_that_never_end_are_in_the_percentile() {
    // Of 7,000 + n publishes n never ended: p99 is finite up to n = 70.
    check([
        case(
            ack(250),
            |run| totals(run).books[0][1].in_flight = 70,
            Verdict::Pass,
            "(n = 7,070, of which 70 had not ended when the run did)",
        ),
        case(
            ack(250),
            |run| totals(run).books[0][1].in_flight = 71,
            Verdict::Fail,
            "p99 is never, above the limit of 250 ms (n = 7,071",
        ),
        case(
            ack(250),
            |run| {
                totals(run).books[0][1].waiting = 36;
                totals(run).books[0][1].in_flight = 35;
            },
            Verdict::Fail,
            "p99 is never",
        ),
        // Nothing at all was answered.
        case(
            ack(250),
            |run| {
                run.series.histograms.remove(&(Metric::AckResponse, 1));
                totals(run).books[0][1].in_flight = 7_000;
            },
            Verdict::Fail,
            "p99 is never",
        ),
        // Another phase, and a stream of QoS 0.
        case(
            ack(250),
            |run| {
                totals(run).books[0][2].in_flight = 5_000;
                totals(run).books[1][1].waiting = 5_000;
            },
            Verdict::Pass,
            "(n = 7,000)",
        ),
    ]);
}

#[test]
fn deliveries_that_nobody_saw_leave_the_percentile_open() {
    // 22,740 deliveries in ramp and steady; 2,527 unseen ones put p90 beyond reach.
    let e2e = |limit_ms| {
        let window = Window::During(vec![0, 1]);
        latency(Indicator::E2eLatency, 90.0, limit_ms, window)
    };
    check([
        case(
            e2e(10),
            |run| totals(run).delivery.lost = 2_520,
            Verdict::Pass,
            "within",
        ),
        case(
            e2e(10),
            |run| totals(run).delivery.lost = 2_530,
            Verdict::Inconclusive,
            "2,533 messages that no observer saw would decide it the other way",
        ),
        case(
            e2e(10),
            |run| totals(run).delivery.undelivered = 2_530,
            Verdict::Inconclusive,
            "that no observer saw",
        ),
        case(
            e2e(10),
            |run| totals(run).delivery.unresolved = 2_530,
            Verdict::Inconclusive,
            "that no observer saw",
        ),
        case(
            latency(Indicator::E2eLatency, 99.0, 1, Window::Run),
            |run| totals(run).delivery.lost = 9_000,
            Verdict::Fail,
            "above",
        ),
    ]);
}

#[test]
fn latencies_of_connects_and_deliveries() {
    check([
        case(
            latency(Indicator::ConnectLatency, 99.0, 10, Window::During(vec![0])),
            |_| {},
            Verdict::Pass,
            "p99 is 4.85 ms",
        ),
        case(
            latency(Indicator::ConnectLatency, 99.0, 10, Window::Run),
            |_| {},
            Verdict::Fail,
            "p99 is 11",
        ),
        case(
            latency(Indicator::E2eLatency, 99.0, 10, Window::Run),
            |_| {},
            Verdict::Fail,
            "above",
        ),
        case(
            latency(Indicator::E2eLatency, 90.0, 10, Window::During(vec![0, 1])),
            |_| {},
            Verdict::Pass,
            "within",
        ),
        // After the clearing of the restart lies exactly the recovery phase.
        case(
            latency(Indicator::ConnectLatency, 99.0, 10, Window::After(2)),
            |_| {},
            Verdict::Pass,
            "n = 4,990",
        ),
        case(
            latency(Indicator::ConnectLatency, 99.0, 10, Window::After(1)),
            |_| {},
            Verdict::NoData,
            "no whole phase",
        ),
    ]);
}

#[test]
fn a_value_that_prints_like_its_limit_gets_more_digits() {
    let mut run = fixture::quickstart();
    let key = (Metric::AckResponse, 1);
    run.series.histograms.insert(key, values(500, |_| 250_100));
    let steady = Window::During(vec![1]);
    let judged = judge(
        &run,
        &latency(Indicator::PublishAckLatency, 99.0, 250, steady),
    );
    assert_eq!(judged.verdict, Verdict::Fail);
    assert_ne!(judged.value_text, "250 ms", "{judged:?}");
    assert_eq!(judged.target_text, "≤ 250 ms");
}

#[test]
fn ratios_of_attempts() {
    check([
        case(
            success(0.99, Window::During(vec![0])),
            |_| {},
            Verdict::Pass,
            "0 of 10,000 attempts failed",
        ),
        case(
            success(0.99, Window::Run),
            |_| {},
            Verdict::Fail,
            "62.48 %, below the wanted 99 %",
        ),
        case(
            success(0.99, Window::During(vec![1])),
            |_| {},
            Verdict::NoData,
            "no attempt",
        ),
        case(
            success(0.99, Window::Run),
            |run| run.outcome = None,
            Verdict::NoData,
            "no outcome",
        ),
    ]);
}

#[test]
fn availabilities() {
    check([
        case(
            available(0.9, Window::Run),
            |_| {},
            Verdict::Pass,
            "94.07 %, at least the wanted 90 %",
        ),
        case(
            available(0.9999, Window::During(vec![0])),
            |_| {},
            Verdict::Fail,
            "99.8 %",
        ),
        case(
            available(1.0, Window::During(vec![1])),
            |_| {},
            Verdict::Pass,
            "100 %",
        ),
        case(
            available(0.9, Window::Run),
            |run| run.outcome = None,
            Verdict::NoData,
            "no outcome",
        ),
        case(
            available(0.0, Window::Run),
            |run| totals(run).availability = vec![(0.0, 0.0)],
            Verdict::NoData,
            "no device",
        ),
        case(
            available(0.0, Window::Run),
            |run| totals(run).availability = vec![(1.0, f64::NAN)],
            Verdict::NoData,
            "no device",
        ),
        case(
            available(0.5, Window::Run),
            |run| totals(run).availability = vec![(3.0, 2.0)],
            Verdict::Inconclusive,
            "more device-seconds",
        ),
    ]);
}

#[test]
fn times_to_come_back() {
    check([
        case(
            back(0.99, 60),
            |_| {},
            Verdict::Pass,
            "99 % of devices were back after 26.2 s",
        ),
        case(
            back(0.99, 20),
            |_| {},
            Verdict::Fail,
            "above the limit of 20 s",
        ),
        case(
            back(0.5, 60),
            half_gone,
            Verdict::Pass,
            "50 % of devices were back after 2.49 s",
        ),
        case(
            back(0.51, 60),
            half_gone,
            Verdict::Fail,
            "fewer than 51 % of devices came back at all",
        ),
        case(
            back(0.99, 60),
            |run| totals(run).recoveries[0].affected = 0,
            Verdict::NoData,
            "no device was cut off",
        ),
        case(
            back(0.99, 60),
            |run| run.outcome = None,
            Verdict::NoData,
            "no outcome",
        ),
        case(back_p99(60), |_| {}, Verdict::Pass, "p99 is 26.2 s"),
        case(
            back_p99(60),
            half_gone,
            Verdict::Fail,
            "p99 is never, above",
        ),
        case(
            back_p99(60),
            |run| {
                totals(run).recoveries[0].affected = 200;
                totals(run).recoveries[0].recovered = 200;
                let key = (Metric::ReconnectTime, 2);
                run.series.histograms.insert(key, values(200, |_| 1_000));
            },
            Verdict::Inconclusive,
            "200 events are too few",
        ),
    ]);
}

#[test]
fn stranded_devices() {
    check([
        case(
            stranded(0),
            |_| {},
            Verdict::Pass,
            "0 of 4,990 cut-off devices did not come back",
        ),
        case(
            stranded(0),
            half_gone,
            Verdict::Fail,
            "2,495 devices, above the limit of 0",
        ),
        case(stranded(2_495), half_gone, Verdict::Pass, "within"),
        case(
            stranded(0),
            |run| totals(run).recoveries.clear(),
            Verdict::NoData,
            "no device was cut off",
        ),
    ]);
}

#[test]
fn a_phase_with_two_faults_is_judged_from_its_last_clearing() {
    let mut run = fixture::quickstart();
    let mut early = run.plan.faults[0].clone();
    early.kind = FaultKind::Backend {
        node: Some(1),
        fault: BackendFault::Stall,
    };
    early.clear = Duration::from_secs(75);
    run.plan.faults.push(early);
    // What an earlier clearing says of devices that may be gone again is no recovery.
    totals(&mut run)
        .recoveries
        .push(crate::stats::recorder::Recovery {
            affected: 10,
            recovered: 0,
        });
    for window in [Window::After(2), Window::During(vec![1, 2]), Window::Run] {
        let stranded = value(Indicator::ReconnectStranded, at_most(0), window);
        let judged = judge(&run, &stranded);
        assert_eq!((judged.verdict, judged.events), (Verdict::Pass, 4_990));
    }
    // Of two that clear at the same instant the later one in the plan.
    run.plan.faults[1].clear = run.plan.faults[0].clear;
    let judged = judge(&run, &stranded(0));
    assert_eq!((judged.verdict, judged.events), (Verdict::Fail, 10));
}

#[test]
fn losses() {
    check([
        case(
            lost(0),
            |_| {},
            Verdict::Pass,
            "0 messages, within the limit of 0 (of 15,343 verified)",
        ),
        case(
            lost(0),
            |run| totals(run).delivery.lost = 1,
            Verdict::Fail,
            "1 message, above the limit of 0",
        ),
        case(
            lost(1),
            |run| totals(run).delivery.lost = 1,
            Verdict::Pass,
            "within",
        ),
        case(
            lost(0),
            |run| totals(run).delivery.unverified = 3,
            Verdict::Inconclusive,
            "3 unverified and 0 unresolved",
        ),
        case(
            lost(0),
            |run| totals(run).delivery.unresolved = 1,
            Verdict::Inconclusive,
            "1 unresolved",
        ),
        case(
            lost(0),
            |run| {
                totals(run).delivery.unverified = 3;
                totals(run).delivery.lost = 1;
            },
            Verdict::Fail,
            "above",
        ),
        case(
            lost(0),
            |run| totals(run).delivery.verified_acks = 0,
            Verdict::NoData,
            "no message",
        ),
        case(
            lost(0),
            |run| run.plan.observe.devices = 0,
            Verdict::NoData,
            "no device is observed",
        ),
        case(
            lost(0),
            |run| run.plan.observe.ledger = false,
            Verdict::NoData,
            "ledger is off",
        ),
        case(
            lost(0),
            |run| run.outcome = None,
            Verdict::NoData,
            "no outcome",
        ),
    ]);
}

#[test]
fn duplicates_and_disorder() {
    check([
        case(
            duplicated(),
            |_| {},
            Verdict::Fail,
            "12 explained by a retransmission",
        ),
        case(
            duplicated(),
            |run| totals(run).delivery.duplicated_explained = 0,
            Verdict::Pass,
            "within",
        ),
        // What our own observer's reconnect made the broker send again is no duplicate.
        case(
            duplicated(),
            |run| {
                totals(run).delivery.duplicated_explained = 0;
                totals(run).delivery.redelivered = 9;
            },
            Verdict::Pass,
            "0 messages",
        ),
        case(
            duplicated(),
            |run| totals(run).delivery = DeliveryCounts::default(),
            Verdict::NoData,
            "no message",
        ),
        case(reordered(), |_| {}, Verdict::Pass, "within"),
        case(
            reordered(),
            |run| totals(run).delivery.reordered = 2,
            Verdict::Fail,
            "2 messages, above",
        ),
    ]);
}

#[test]
fn a_window_that_was_not_reached_proves_nothing_but_a_loss() {
    let stop_at_90: Change = |run| {
        run.interrupted = Some((fixture::at_s(90), 2));
        run.outcome.as_mut().expect("the fixture has one").end = fixture::at_s(90);
        totals(run).delivery.lost = 1;
        totals(run).recoveries[0].recovered = 10;
    };
    let ack_in = |limit_ms, phases| {
        latency(
            Indicator::PublishAckLatency,
            99.0,
            limit_ms,
            Window::During(phases),
        )
    };
    let case = |objective, verdict, reason| Case {
        objective,
        change: stop_at_90,
        verdict,
        reason,
    };
    check([
        case(ack_in(250, vec![1]), Verdict::Pass, "within"),
        case(ack_in(2, vec![1]), Verdict::Fail, "above"),
        case(
            ack_in(20_000, vec![1, 3]),
            Verdict::Inconclusive,
            "stopped before the end",
        ),
        case(
            ack_in(2, vec![1, 3]),
            Verdict::Inconclusive,
            "stopped before the end",
        ),
        case(stranded(0), Verdict::Inconclusive, "stopped before the end"),
        case(lost(0), Verdict::Fail, "above"),
    ]);
}

#[test]
fn the_share_of_the_limit_used_reads_as_a_budget() {
    let run = fixture::quickstart();
    let used = |o: &slo::Objective| judge(&run, o).limit_used;
    let available = value(Indicator::FleetAvailability, at_least(0.9), Window::Run);
    // 5.93 of the 10 points that may be missing.
    assert!(used(&available).is_some_and(|share| (0.593..0.594).contains(&share)));
    assert_eq!(
        used(&value(Indicator::DeliveryLost, at_most(0), Window::Run)),
        Some(0.0)
    );
    assert_eq!(
        used(&value(
            Indicator::DeliveryDuplicated,
            at_most(0),
            Window::Run
        )),
        None
    );
    assert_eq!(
        used(&value(
            Indicator::DeliveryDuplicated,
            at_most(6),
            Window::Run
        )),
        Some(2.0)
    );
}

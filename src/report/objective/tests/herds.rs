//! Recovery besides its time, and availability as contracts count it.

use super::*;
use crate::stats::recorder::Freshness;
use crate::stats::series::Counters;

fn after(indicator: Indicator, bound: Bound) -> slo::Objective {
    value(indicator, bound, Window::After(2))
}

fn peak_rate(per_s: f64) -> slo::Objective {
    let bound = Bound::AtMost(Limit::Rate(per_s));
    after(Indicator::ReconnectPeakRate, bound)
}

fn amplification(factor: f64) -> slo::Objective {
    let bound = Bound::AtMost(Limit::Factor(factor));
    after(Indicator::RetryAmplification, bound)
}

fn resumed(ratio: f64, window: Window) -> slo::Objective {
    value(Indicator::SessionResumeRatio, at_least(ratio), window)
}

fn interval_average(interval_s: u64, ratio: f64, window: Window) -> slo::Objective {
    let statistic = Statistic::Intervals(Duration::from_secs(interval_s));
    let indicator = Indicator::AvailabilityIntervalAverage;
    objective("o", indicator, statistic, at_least(ratio), window)
}

fn bad_minutes(share: f64, minutes: u64) -> slo::Objective {
    let statistic = Statistic::BadMinutes(share);
    let indicator = Indicator::AvailabilityBadMinutes;
    let bound = at_most(minutes);
    objective("o", indicator, statistic, bound, Window::Run)
}

/// One attempt per second; 900 before the clearing at 80 s, 700 in the third second after it.
fn storm(run: &mut RunData) {
    for row in &mut run.series.rows {
        row.counters.attempts = match row.second {
            79 => 900,
            82 => 700,
            _ => 1,
        };
    }
}

/// Ten requests per second, all of which fail from `from` up to `to`; none in the drain.
fn failing(run: &mut RunData, from: u32, to: u32) {
    run.series.rows.truncate(140);
    for row in &mut run.series.rows {
        row.counters = if (from..to).contains(&row.second) {
            Counters {
                attempt_failures: 4,
                timed_out: 3,
                failed: 3,
                ..Counters::default()
            }
        } else {
            Counters {
                connects: 2,
                acked: 5,
                written: 3,
                ..Counters::default()
            }
        };
    }
}

fn idle(run: &mut RunData) {
    for row in &mut run.series.rows {
        row.counters = Counters::default();
    }
}

fn forget_herds(run: &mut RunData) {
    totals(run).herds.clear();
    totals(run).resumes.clear();
}

#[test]
fn the_rate_of_attempts_after_a_fault() {
    check([
        case(
            peak_rate(700.0),
            storm,
            Verdict::Pass,
            "700/s, within the limit of 700/s (in the second from 1:22; 7 % of the fleet)",
        ),
        case(
            peak_rate(699.5),
            storm,
            Verdict::Fail,
            "700/s, above the limit of 699.5/s",
        ),
        // What was seen does not go away.
        case(
            peak_rate(500.0),
            |run| {
                storm(run);
                run.interrupted = Some((fixture::at_s(100), 2));
            },
            Verdict::Fail,
            "above the limit",
        ),
        case(
            peak_rate(500.0),
            |run| run.series.rows.truncate(80),
            Verdict::NoData,
            "no second after the clearing",
        ),
    ]);
}

#[test]
fn the_attempts_that_a_recovery_costs() {
    check([
        case(
            amplification(3.0),
            |_| {},
            Verdict::Pass,
            "3.0x, within the limit of 3.0x (14,970 attempts of 4,990 devices without a connection)",
        ),
        case(
            amplification(2.99),
            |_| {},
            Verdict::Fail,
            "3.00x, above the limit of 2.99x",
        ),
        case(
            amplification(3.0),
            forget_herds,
            Verdict::NoData,
            "no count of the attempts",
        ),
        case(
            amplification(3.0),
            |run| totals(run).herds[0] = Default::default(),
            Verdict::NoData,
            "no device was without",
        ),
    ]);
}

#[test]
fn the_sessions_that_are_found_again() {
    check([
        case(
            resumed(0.99, Window::After(2)),
            |_| {},
            Verdict::Pass,
            "99.9 %, at least the wanted 99 % (4,985 of 4,990 reconnects found their session)",
        ),
        case(
            resumed(0.999, Window::Run),
            |_| {},
            Verdict::Fail,
            "99.8998 %, below the wanted 99.9 %",
        ),
        case(
            resumed(0.5, Window::During(vec![2])),
            |_| {},
            Verdict::NoData,
            "no device with a persistent session reconnected",
        ),
        case(
            resumed(0.5, Window::After(2)),
            forget_herds,
            Verdict::NoData,
            "no device with a persistent session reconnected",
        ),
    ]);
}

#[test]
fn a_device_that_gave_up_is_never_back() {
    let all = |run: &mut RunData| {
        let key = (Metric::ReconnectTime, 2);
        let times = values(4_989, |_| 1_000_000);
        run.series.histograms.insert(key, times);
        totals(run).recoveries[0].recovered -= 1;
    };
    check([
        case(
            back(1.0, 3_600),
            all,
            Verdict::Fail,
            "fewer than 100 % of devices came back at all",
        ),
        case(back(0.9997, 3_600), all, Verdict::Pass, "1 s"),
    ]);
}

#[test]
fn the_mean_over_intervals() {
    check([
        // Errors of 0, 1/3 and 0 over 60 s, 60 s and 20 s.
        case(
            interval_average(60, 0.857, Window::Run),
            |run| failing(run, 60, 80),
            Verdict::Pass,
            "mean of intervals of 1 min is 85.71 %, at least the wanted 85.7 % (3 intervals, the last \
             of 20 s only; 200 of 1,400 requests failed; devices had a session for 94.07 % of the \
             time, which",
        ),
        case(
            interval_average(60, 0.8572, Window::Run),
            |run| failing(run, 60, 80),
            Verdict::Fail,
            "85.71 %, below the wanted 85.72 %",
        ),
        case(
            interval_average(300, 0.999, Window::During(vec![1])),
            |run| failing(run, 70, 80),
            Verdict::Pass,
            "1 interval, the window's own 1 min; 0 of 600",
        ),
        // An interval without requests is a good one, but a window of nothing else is no evidence.
        case(
            interval_average(10, 1.0, Window::Run),
            |run| {
                idle(run);
                run.series.rows[139].counters.acked = 1;
            },
            Verdict::Pass,
            "100 %",
        ),
        case(
            interval_average(10, 0.5, Window::Run),
            idle,
            Verdict::NoData,
            "no request",
        ),
    ]);
}

#[test]
fn what_ends_in_the_drain_is_of_the_last_interval() {
    let drain = |run: &mut RunData| {
        failing(run, 0, 0);
        let mut row = run.series.rows[139];
        row.second = 140;
        row.counters = Counters {
            timed_out: 200,
            ..Counters::default()
        };
        run.series.rows.push(row);
    };
    // Half of the last 20 s failed: 1 - 0.5 x 20 / 140.
    check([
        case(
            interval_average(60, 0.9285, Window::Run),
            drain,
            Verdict::Pass,
            "92.86 %",
        ),
        case(
            bad_minutes(0.5, 0),
            drain,
            Verdict::Fail,
            "1 minute in which at least 50 % failed, above the limit of 0 (of 3 minutes, 0 without",
        ),
    ]);
}

#[test]
fn bad_minutes_of_both_rules() {
    check([
        case(
            bad_minutes(1.0, 0),
            |run| failing(run, 60, 119),
            Verdict::Pass,
            "0 minutes in which all requests failed, within the limit of 0",
        ),
        case(
            bad_minutes(1.0, 1),
            |run| failing(run, 60, 120),
            Verdict::Pass,
            "1 minute in which all",
        ),
        case(
            bad_minutes(1.0, 1),
            |run| failing(run, 60, 140),
            Verdict::Fail,
            "2 minutes in which all",
        ),
        // Of the second minute a third failed.
        case(
            bad_minutes(0.33, 0),
            |run| failing(run, 60, 80),
            Verdict::Fail,
            "1 minute in which",
        ),
        case(
            bad_minutes(0.34, 0),
            |run| failing(run, 60, 80),
            Verdict::Pass,
            "0 minutes",
        ),
        case(bad_minutes(1.0, 0), idle, Verdict::NoData, "no request"),
        // Two minutes went without a request.
        case(
            bad_minutes(1.0, 0),
            |run| {
                idle(run);
                run.series.rows[139].counters.acked = 1;
            },
            Verdict::Pass,
            "of 3 minutes, 2 without a request",
        ),
    ]);
}

fn age(statistic: Statistic, limit_s: u64) -> slo::Objective {
    let bound = Bound::AtMost(Limit::Time(Duration::from_secs(limit_s)));
    let steady = Window::During(vec![1]);
    objective("o", Indicator::FreshnessAge, statistic, bound, steady)
}

/// In the steady phase 5 s old in the mean, 10 s at p99.
fn aged(run: &mut RunData) {
    totals(run).freshness = Some(Freshness {
        phases: vec![(0.0, 0.0), (5_000.0, 1_000.0)],
        powered: 10,
        seen: 10,
    });
    let readings = values(1_000, |i| (i + 1) * 10_000);
    run.series
        .histograms
        .insert((Metric::FreshnessAge, 1), readings);
}

#[test]
fn the_age_of_what_is_known() {
    let p99 = Statistic::Percentile(99.0);
    check([
        case(
            age(Statistic::Mean, 5),
            aged,
            Verdict::Pass,
            "mean is 5 s, within the limit of 5 s (over 1,000 device-seconds)",
        ),
        case(age(Statistic::Mean, 4), aged, Verdict::Fail, "mean is 5 s"),
        case(age(p99, 10), aged, Verdict::Pass, "p99 is 9.9"),
        case(age(p99, 9), aged, Verdict::Fail, "(n = 1,000)"),
        case(
            age(p99, 10),
            |run| {
                aged(run);
                let freshness = totals(run).freshness.as_mut().expect("just set");
                freshness.seen = 9;
            },
            Verdict::Inconclusive,
            "of 1 of 10 observed devices no sample was seen at all",
        ),
        case(
            age(p99, 10),
            |_| {},
            Verdict::NoData,
            "no count of the ages",
        ),
        case(
            age(p99, 10),
            |run| {
                aged(run);
                run.plan.observe.devices = 0;
            },
            Verdict::NoData,
            "no device is observed",
        ),
    ]);
}

//! The run's verdict: every rule that makes it INVALID, the order of verdicts, and that missing
//! evidence never passes.

use super::*;
use crate::report::assemble;
use crate::report::fixture;
use crate::report::objective;
use crate::report::value::Report;
use crate::stats::event::Cause;
use crate::stats::recorder::ErrorCount;
use crate::time::Duration;
use proptest::prelude::*;

mod findings;

type Change = fn(&mut RunData);

fn report(change: Change) -> Report {
    let mut run = fixture::quickstart();
    change(&mut run);
    assemble::report(&run)
}

fn watched(report: &Report) -> &Watch {
    let watch = report.generator.watch.as_ref();
    watch.expect("a live run has one")
}

fn totals(run: &mut RunData) -> &mut crate::stats::recorder::Totals {
    &mut run.outcome.as_mut().expect("the fixture has one").totals
}

/// Makes the driver late in the first `n` rows: both workers in the first second, and so on.
fn late(run: &mut RunData, n: usize) {
    for row in run.series.generator.iter_mut().take(n) {
        row.lag_p99_us = Some(12_501);
    }
}

fn generator_error(run: &mut RunData) {
    error(run, ErrorKind::Attempt(Cause::GeneratorFds), 1);
}

fn error(run: &mut RunData, kind: ErrorKind, count: u64) {
    totals(run).errors.push(ErrorCount {
        kind,
        count,
        first: fixture::at_s(3),
        last: fixture::at_s(3),
        example_device: 0,
    });
}

#[test]
fn a_run_without_blemish_passes() {
    let report = report(|_| {});
    assert_eq!((report.verdict, report.exit_code), (RunVerdict::Pass, 0));
    assert_eq!(report.reasons, Vec::<String>::new());
    assert_eq!(report.warnings, Vec::<String>::new());
    assert_eq!(
        report.reason,
        "All 5 objectives were met by 10,000 devices in 2 min 20 s. Closest to its limit: “availability”, 59 % of it used."
    );
}

#[test]
fn every_rule_of_the_generator_makes_the_run_invalid_on_its_own() {
    let cases: [(Change, &str); 8] = [
        (|run| late(run, 3), "Driver lag: 2 of 140 seconds over"),
        (generator_error, "The generator's own errors: 1"),
        (
            |run| error(run, ErrorKind::GeneratorUnsent, 3),
            "Unsent because of the generator: 3 (must hold",
        ),
        (
            |run| {
                run.series
                    .generator
                    .retain(|row| row.worker != 1 || !(50..54).contains(&row.second))
            },
            "Silent workers: worker 1 from 0:50 to 0:54",
        ),
        (
            |run| {
                run.series
                    .generator
                    .retain(|row| row.worker != 1 || row.second < 130)
            },
            "Silent workers",
        ),
        (
            |run| run.series.generator.clear(),
            "no judged second has a record",
        ),
        (
            |run| {
                run.lost.push((
                    "worker 1".into(),
                    fixture::at_s(33),
                    "killed by signal 9".into(),
                ))
            },
            "Worker 1 was lost at 0:33.0: killed by signal 9",
        ),
        (
            |run| {
                run.lost.push((
                    "backend node 0".into(),
                    fixture::at_s(33),
                    "exit status 1".into(),
                ))
            },
            "Backend node 0 was lost at 0:33.0",
        ),
    ];
    each_is_invalid(&cases);
}

#[test]
fn every_rule_of_the_evidence_makes_the_run_invalid_on_its_own() {
    let cases: [(Change, &str); 11] = [
        (
            |run| run.header.plan_hash = "f".repeat(64),
            "scenario.yaml was changed",
        ),
        (
            |run| run.outcome = None,
            "Outcome: missing: the run was killed or ended abnormally after 2:25",
        ),
        (
            |run| run.damaged = Some("series.csv, line 7: not a line".into()),
            "Series: series.csv, line 7",
        ),
        (
            |run| totals(run).books[1][2].sent += 1,
            "Books: 1 of 8 do not balance",
        ),
        (
            |run| {
                let key = (Metric::AckResponseReplayed, 3);
                run.series.histograms.remove(&key);
            },
            "Histograms: 6,000 of 6,590 publishes in recovery",
        ),
        (
            |run| {
                let key = (Metric::ConnectLatency, 2);
                run.series.histograms.remove(&key);
            },
            "Histograms: 0 of 9,000 attempts in restart",
        ),
        // The sum over the phases is right.
        (
            |run| {
                totals(run).attempts[0].accepted -= 1;
                totals(run).attempts[1].accepted += 1;
            },
            "Histograms: 10,000 of 9,999 attempts in ramp; 0 of 1 attempts in steady",
        ),
        (
            |run| totals(run).recoveries[0].recovered -= 1,
            "Histograms: 4,990 of 4,989 devices recovered in restart",
        ),
        (
            |run| run.notes.push("x.hlog: line 9 is torn".to_owned()),
            "Series: x.hlog: line 9 is torn",
        ),
        (
            |run| totals(run).schedule_agrees = false,
            "Schedule: differs",
        ),
        (|run| totals(run).out_of_range = 1, "Histogram range: 1"),
    ];
    each_is_invalid(&cases);
}

/// Each change alone gives INVALID with these words among the reasons.
fn each_is_invalid(cases: &[(Change, &str)]) {
    for (change, reason) in cases {
        let report = report(*change);
        assert_eq!(
            report.verdict,
            RunVerdict::Invalid,
            "{reason}: {:?}",
            report.reasons
        );
        assert_eq!(report.exit_code, 4);
        let first = report.reasons.first().map_or("", String::as_str);
        assert!(
            report.reasons.iter().any(|r| r.contains(reason)),
            "{reason}: {:?}",
            report.reasons
        );
        assert!(report.reason.contains(first), "{}", report.reason);
        assert!(report.generator.rules.iter().any(|rule| !rule.holds));
    }
}

#[test]
fn a_lost_worker_or_a_stop_explains_missing_values() {
    let cut: Change = |run| {
        let key = (Metric::AckResponse, 3);
        run.series.histograms.remove(&key);
    };
    let named = |report: &Report| report.reasons.iter().any(|r| r.contains("Histograms"));
    assert!(named(&report(cut)));
    let mut run = fixture::quickstart();
    cut(&mut run);
    run.interrupted = Some((fixture::at_s(90), 2));
    assert!(!named(&assemble::report(&run)));
    run.interrupted = None;
    run.lost
        .push(("worker 1".into(), fixture::at_s(33), "killed".into()));
    assert!(!named(&assemble::report(&run)));
}

#[test]
fn a_run_that_never_started_says_so() {
    let report = report(|run| {
        *run = RunData::new(
            run.scenario_text.clone(),
            run.plan.clone(),
            run.header.clone(),
        );
    });
    assert_eq!(report.verdict, RunVerdict::Invalid);
    assert!(
        report
            .reasons
            .iter()
            .any(|r| r.contains("the run never started"))
    );
    assert!(
        report
            .objectives
            .iter()
            .all(|o| o.verdict == Verdict::NoData)
    );
}

#[test]
fn one_percent_of_late_seconds_is_allowed_and_only_judged_phases_count() {
    // 140 judged seconds of two workers: 1 is below 1 %, 2 are above.
    assert_eq!(report(|run| late(run, 2)).verdict, RunVerdict::Pass);
    assert_eq!(report(|run| late(run, 3)).verdict, RunVerdict::Invalid);
    let drain_late = report(|run| {
        for row in run
            .series
            .generator
            .iter_mut()
            .filter(|row| row.second >= 140)
        {
            row.lag_p99_us = Some(900_000);
        }
    });
    assert_eq!(drain_late.verdict, RunVerdict::Pass);
    let only_steady = report(|run| {
        late(run, 20);
        run.plan
            .objectives
            .retain(|o| o.indicator == Indicator::PublishAckLatency);
    });
    assert_eq!(watched(&only_steady).judged_seconds, 60);
    assert_eq!(only_steady.verdict, RunVerdict::Pass);
}

#[test]
fn one_late_worker_is_not_diluted_by_the_others() {
    let late: fn(&mut RunData, usize) = |run, n| {
        let rows = run.series.generator.iter_mut();
        for row in rows.filter(|row| row.worker == 1).take(n) {
            row.lag_p99_us = Some(12_501);
        }
    };
    let mut run = fixture::quickstart();
    late(&mut run, 1);
    assert_eq!(assemble::report(&run).verdict, RunVerdict::Pass);
    late(&mut run, 2);
    let two = assemble::report(&run);
    assert_eq!(two.verdict, RunVerdict::Invalid);
    let over: Vec<u64> = (watched(&two).workers.iter())
        .map(|w| w.seconds_over)
        .collect();
    assert_eq!((watched(&two).seconds_over, over), (2, vec![0, 2]));
}

#[test]
fn every_second_that_touches_a_judged_phase_is_judged() {
    // 0.2 s around no second's middle.
    let short: Change = |run| {
        run.plan.phases[0].length = Duration::from_millis(10_600);
        run.plan.phases[1].start = Duration::from_millis(10_600);
        run.plan.phases[1].length = Duration::from_millis(200);
        run.plan.phases[2].start = Duration::from_millis(10_800);
        run.plan.phases[2].length = Duration::from_millis(69_200);
        run.plan
            .objectives
            .retain(|o| o.indicator == Indicator::PublishAckLatency);
    };
    let mut run = fixture::quickstart();
    short(&mut run);
    let on_time = assemble::report(&run);
    assert_eq!(watched(&on_time).judged_seconds, 1);
    assert_eq!(on_time.verdict, RunVerdict::Pass, "{:?}", on_time.reasons);
    let rows = run.series.generator.iter_mut();
    rows.filter(|row| row.second == 10)
        .for_each(|row| row.lag_p99_us = Some(12_501));
    assert_eq!(assemble::report(&run).verdict, RunVerdict::Invalid);
}

#[test]
fn windows_that_hold_nothing_are_no_fault_of_the_generator() {
    let report = report(|run| {
        run.plan
            .objectives
            .retain(|o| o.indicator == Indicator::ReconnectTime);
        run.plan.faults.clear();
        run.series.histograms.remove(&(Metric::ReconnectTime, 2));
        totals(run).recoveries.clear();
    });
    assert_eq!(report.verdict, RunVerdict::NoData, "{:?}", report.reasons);
}

#[test]
fn the_lag_limit_follows_the_tightest_latency_limit() {
    assert_eq!(watched(&report(|_| {})).lag_limit_us, 12_500);
    let tight = report(|run| {
        run.plan.objectives[1].bound = Bound::AtMost(Limit::Time(Duration::from_millis(10)));
    });
    assert_eq!(watched(&tight).lag_limit_us, LAG_FLOOR_US);
    // The limit on the recovery is no limit on a latency.
    let none = report(|run| {
        run.plan
            .objectives
            .retain(|o| o.indicator == Indicator::ReconnectTime)
    });
    assert_eq!(watched(&none).lag_limit_us, LAG_FLOOR_US);
}

#[test]
fn a_simulated_run_has_no_generator_to_doubt() {
    let report = report(|run| {
        run.header.mode = Mode::Simulated;
        run.series.generator.clear();
    });
    assert_eq!(report.verdict, RunVerdict::Pass);
}

#[test]
fn verdicts_have_an_order() {
    let fail: Change = |run| totals(run).delivery.lost = 1;
    let open: Change = |run| totals(run).delivery.unverified = 1;
    let no_recovery: Change = |run| {
        totals(run).recoveries.clear();
        let key = (Metric::ReconnectTime, 2);
        run.series.histograms.remove(&key);
    };
    let nothing: Change = |run| run.plan.observe.devices = 0;
    let cases: [(&[Change], RunVerdict, u8); 8] = [
        (&[fail], RunVerdict::Fail, 99),
        (&[open], RunVerdict::Inconclusive, 5),
        (&[nothing], RunVerdict::NoData, 5),
        (&[fail, no_recovery], RunVerdict::Fail, 99),
        (&[open, no_recovery], RunVerdict::Inconclusive, 5),
        (
            &[fail, |run| totals(run).out_of_range = 1],
            RunVerdict::Invalid,
            4,
        ),
        (
            &[
                |run| totals(run).out_of_range = 1,
                |run| run.interrupted = Some((fixture::at_s(9), 2)),
            ],
            RunVerdict::Interrupted,
            130,
        ),
        (
            &[
                |run| run.outcome = None,
                |run| run.interrupted = Some((fixture::at_s(9), 15)),
            ],
            RunVerdict::Interrupted,
            143,
        ),
    ];
    for (changes, verdict, code) in cases {
        let mut run = fixture::quickstart();
        changes.iter().for_each(|change| change(&mut run));
        let report = assemble::report(&run);
        assert_eq!(
            (report.verdict, report.exit_code),
            (verdict, code),
            "{:?}",
            report.reasons
        );
        assert!(!report.reasons.is_empty());
    }
}

#[test]
fn a_scenario_without_objectives_proves_nothing() {
    let report = report(|run| run.plan.objectives.clear());
    assert_eq!((report.verdict, report.exit_code), (RunVerdict::NoData, 5));
    assert!(report.reason.contains("no objective"));
}

#[test]
fn warnings_name_who_is_to_blame() {
    let hot: Change = |run| {
        run.series.generator[9].process.cpu_percent = 93.4;
        run.header.targets = vec!["10.0.0.7:1883".to_owned()];
    };
    let remote = report(hot);
    assert_eq!(remote.verdict, RunVerdict::Pass);
    assert!(
        remote.warnings[0]
            .contains("worker 1 used more than 80 % of a core in 1 of 145 s (most: 93 %)")
    );
    assert!(
        remote.warnings[0].contains("generator's own delay"),
        "{:?}",
        remote.warnings
    );
    let local = report(|run| run.series.generator[9].process.cpu_percent = 93.4);
    assert!(
        local.warnings[0].contains("same machine"),
        "{:?}",
        local.warnings
    );
    let rest = report(|run| {
        run.warnings
            .push((fixture::at_s(61), "listen queue overflowed".to_owned()));
        run.outcome
            .as_mut()
            .expect("the fixture has one")
            .drain_complete = false;
        totals(run).delivery.corrupt = 2;
        run.notes.push("events.jsonl: torn last line".to_owned());
    });
    assert_eq!(rest.warnings.len(), 4, "{:?}", rest.warnings);
    assert!(rest.warnings[0].starts_with("1:01.0: listen queue"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is missing of what the objectives rest on, the run does not pass.
    #[test]
    fn no_run_with_missing_evidence_passes(missing in proptest::collection::vec(any::<bool>(), PARTS.len())) {
        let mut run = fixture::quickstart();
        for (remove, _) in PARTS.iter().zip(&missing).filter(|(_, missing)| **missing) {
            remove(&mut run);
        }
        let objectives = objective::judge_all(&run);
        let judged = judge(&run, &objectives, &generator(&run));
        let is_whole = missing.iter().all(|missing| !missing);
        prop_assert_eq!(judged.verdict == RunVerdict::Pass, is_whole, "{:?}", judged.reasons);
        for objective in &objectives {
            prop_assert!(objective.verdict != Verdict::Pass || objective.events > 0);
        }
    }

    /// However few events there are, a percentile below its floor does not pass.
    #[test]
    fn no_percentile_below_its_floor_passes(n in 0u64..400, p in prop_oneof![Just(90.0), Just(95.0), Just(99.0), Just(99.9)]) {
        let mut run = fixture::quickstart();
        run.series.histograms.insert((Metric::AckResponse, 1), fixture::values(n, |_| 1_000));
        let acked = &mut totals(&mut run).books[0][1];
        (acked.planned, acked.sent, acked.acked) = (n, n, n);
        run.plan.objectives.retain(|o| o.indicator == Indicator::PublishAckLatency);
        run.plan.objectives[0].statistic = crate::scenario::slo::Statistic::Percentile(p);
        let objectives = objective::judge_all(&run);
        let judged = judge(&run, &objectives, &generator(&run));
        prop_assert_eq!(judged.verdict == RunVerdict::Pass, n >= objective::sample_floor(p));
        prop_assert_eq!(judged.verdict == RunVerdict::NoData, n == 0);
    }
}

/// Removals of one part each of what the fixture's objectives rest on.
const PARTS: [Change; 9] = [
    |run| run.outcome = None,
    |run| {
        run.series
            .histograms
            .retain(|(metric, _), _| *metric != Metric::ConnectLatency)
    },
    |run| {
        run.series
            .histograms
            .retain(|(metric, _), _| *metric != Metric::AckResponse)
    },
    |run| {
        run.series
            .histograms
            .retain(|(metric, _), _| *metric != Metric::ReconnectTime)
    },
    |run| run.series.generator.clear(),
    |run| run.plan.observe.devices = 0,
    |run| {
        if let Some(outcome) = &mut run.outcome {
            outcome.totals.delivery = crate::stats::books::DeliveryCounts::default();
        }
    },
    |run| {
        if let Some(outcome) = &mut run.outcome {
            outcome.totals.availability.clear();
        }
    },
    |run| {
        if let Some(outcome) = &mut run.outcome {
            outcome.totals.recoveries.clear();
        }
    },
];

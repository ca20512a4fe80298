//! The detector on seconds made by hand, and whole reports.

use super::detector::{Case, Finding, Open, detect};
use crate::report::fixture;
use crate::scenario::recovery::{RecoveryRule, RecoveryVerdict};
use crate::stats::series::{Counters, Gauges, Percentiles, Row};
use proptest::prelude::*;
use std::time::Duration;

/// One second of a run of 1 000 devices.
#[derive(Copy, Clone)]
struct Of {
    connected: u64,
    attempts: u64,
    connects: u64,
    failures: u64,
    wasted: u64,
    acked: u64,
    p99_us: Option<u64>,
}

/// The fleet as it was: 100 publishes per second, answered within 1 ms.
const WELL: Of = Of {
    connected: 1_000,
    attempts: 0,
    connects: 0,
    failures: 0,
    wasted: 0,
    acked: 100,
    p99_us: Some(1_000),
};
/// Nobody is connected, and all attempts are refused.
const DOWN: Of = Of {
    connected: 0,
    attempts: 100,
    connects: 0,
    failures: 100,
    wasted: 0,
    acked: 0,
    p99_us: None,
};
/// 20 % are connected, the target works for those that have given up.
const STORM: Of = Of {
    connected: 200,
    failures: 100,
    wasted: 90,
    acked: 20,
    ..DOWN
};
/// Nobody tries.
const QUIET: Of = Of {
    connected: 200,
    attempts: 0,
    failures: 0,
    acked: 20,
    ..DOWN
};

const FAULT: u32 = 100;
const CLEAR: u32 = 110;

/// 100 s as it was, 10 s of the fault, then `after` by the seconds since.
fn run(seconds: u32, after: impl Fn(u32) -> Of) -> Vec<Row> {
    let of = |second| match second {
        0..FAULT => WELL,
        FAULT..CLEAR => DOWN,
        CLEAR.. => after(second - CLEAR),
    };
    (0..CLEAR + seconds).map(|s| row(s, of(s))).collect()
}

fn row(second: u32, of: Of) -> Row {
    Row {
        second,
        counters: Counters {
            attempts: of.attempts,
            connects: of.connects,
            attempt_failures: of.failures,
            wasted: of.wasted,
            planned: 100,
            acked: of.acked,
            ..Counters::default()
        },
        gauges: Gauges {
            powered: 1_000,
            expected: 1_000,
            connected: of.connected,
            waiting: 0,
        },
        ack: Percentiles {
            p99_us: of.p99_us,
            ..Percentiles::default()
        },
        ..Row::default()
    }
}

/// R = 2 x max(1 000 / 100, 20) s = 40 s.
fn case(seconds: u32) -> Case {
    Case {
        undisturbed_s: 0.0,
        fault_s: f64::from(FAULT),
        clear_s: f64::from(CLEAR),
        until_s: f64::from(CLEAR + seconds),
        cut_off: 1_000,
        longest_wait_s: 20.0,
        rule: RecoveryRule {
            limit_rate_per_s: Some(100.0),
            ..RecoveryRule::default()
        },
    }
}

fn found(seconds: u32, after: impl Fn(u32) -> Of) -> Finding {
    detect(&run(seconds, after), &case(seconds))
}

fn verdict(seconds: u32, after: impl Fn(u32) -> Of) -> Result<RecoveryVerdict, Open> {
    found(seconds, after).verdict
}

/// A fleet that comes back with so many devices per second.
fn climbing(per_s: u64, until: u64) -> impl Fn(u32) -> Of {
    move |s| Of {
        connected: (u64::from(s) * per_s).min(until),
        connects: per_s,
        ..STORM
    }
}

#[test]
fn each_way_it_may_end_has_its_word() {
    use RecoveryVerdict::{Collapsed, Metastable, Recovered, Slow, Stranded};
    let back_after = |n: u32, before: Of| move |s: u32| if s < n { before } else { WELL };
    assert_eq!(verdict(100, back_after(20, DOWN)), Ok(Recovered));
    assert_eq!(verdict(100, |_| STORM), Ok(Metastable));
    assert_eq!(verdict(100, |_| DOWN), Ok(Collapsed));
    assert_eq!(verdict(100, |_| QUIET), Ok(Stranded));
    assert_eq!(verdict(100, climbing(5, 1_000)), Ok(Slow));
    // 5 devices per second, of the 990 wanted 495 are there.
    let eta_s = found(100, climbing(5, 1_000)).eta_s.expect("it rises");
    assert!((95.0..105.0).contains(&eta_s), "{eta_s}");
    // Back, but later than expected: no less a recovery.
    let late = found(200, back_after(90, DOWN));
    assert_eq!(late.verdict, Ok(Recovered));
    assert_eq!(late.recovered_after_s, Some(91.0));
    // All connected, but their publishes are not answered, or late.
    let mute = Of { acked: 0, ..WELL };
    assert_eq!(verdict(100, |_| mute), Ok(Collapsed));
    let late = Of {
        p99_us: Some(2_001),
        ..WELL
    };
    assert_eq!(verdict(100, |_| late), Ok(Slow));
    // A rise that would take far too long is none.
    let crawling = |s| Of {
        connected: 200 + u64::from(s) / 20,
        ..STORM
    };
    assert_eq!(verdict(600, crawling), Ok(Metastable));
}

#[test]
fn each_limit_of_a_recovery_is_where_it_is_said_to_be() {
    let recovers = |of: Of| verdict(100, |_| of) == Ok(RecoveryVerdict::Recovered);
    for (connected, expected) in [(1_000, true), (990, true), (989, false)] {
        assert_eq!(recovers(Of { connected, ..WELL }), expected, "{connected}");
    }
    // Over the 30 s to hold 2 850 are wanted; three standard deviations of that are 160.
    for (acked, expected) in [(100, true), (90, true), (89, false), (0, false)] {
        assert_eq!(recovers(Of { acked, ..WELL }), expected, "{acked}");
    }
    for (us, expected) in [(1_000, true), (2_000, true), (2_001, false)] {
        let p99_us = Some(us);
        assert_eq!(recovers(Of { p99_us, ..WELL }), expected, "{us}");
    }
    // Held for 30 s, no less.
    let well_for = |n: u32| {
        move |s: u32| {
            if (20..20 + n).contains(&s) {
                WELL
            } else {
                STORM
            }
        }
    };
    assert_eq!(verdict(100, well_for(30)), Ok(RecoveryVerdict::Recovered));
    assert_ne!(verdict(100, well_for(29)), Ok(RecoveryVerdict::Recovered));
}

#[test]
fn what_is_not_back_is_judged_30_s_after_the_bound_and_not_before() {
    assert_eq!(verdict(70, |_| STORM), Ok(RecoveryVerdict::Metastable));
    let needed_s = f64::from(CLEAR) + 70.0;
    assert_eq!(verdict(69, |_| STORM), Err(Open::TooShort { needed_s }));
    assert_eq!(verdict(0, |_| STORM), Err(Open::TooShort { needed_s }));
    // What is back before is decided.
    assert_eq!(verdict(30, |_| WELL), Ok(RecoveryVerdict::Recovered));
    assert_eq!(verdict(29, |_| WELL), Err(Open::TooShort { needed_s }));
}

#[test]
fn busy_for_nothing_takes_both_waste_and_retries() {
    use RecoveryVerdict::{Collapsed, Metastable};
    for (wasted, expected) in [(31, Metastable), (30, Collapsed)] {
        assert_eq!(verdict(100, |_| Of { wasted, ..STORM }), Ok(expected));
    }
    // Over 100 s 15 attempts per second are 1.5 per device that had to come back.
    for (attempts, expected) in [(16, Metastable), (15, Collapsed)] {
        assert_eq!(verdict(100, |_| Of { attempts, ..STORM }), Ok(expected));
    }
    // 790 are missing and try at least each 20 s: 39.5 attempts per second, of which a tenth is none.
    for (attempts, expected) in [(3, RecoveryVerdict::Stranded), (4, Collapsed)] {
        assert_eq!(verdict(100, |_| Of { attempts, ..STORM }), Ok(expected));
    }
}

#[test]
fn the_bound_follows_from_what_is_down_the_rate_and_the_wait() {
    let rows = run(100, |_| STORM);
    let bound = |case: &Case| detect(&rows, case).bound.expect("there is a baseline");
    assert_eq!(bound(&case(100)).bound_s, 40.0);
    let of = |limit_rate_per_s, within_s: Option<u64>| {
        let mut case = case(100);
        case.rule.limit_rate_per_s = limit_rate_per_s;
        case.rule.within = within_s.map(Duration::from_secs);
        case
    };
    assert_eq!(bound(&of(Some(10.0), None)).bound_s, 200.0);
    assert_eq!(bound(&of(Some(10.0), Some(7))).bound_s, 7.0);
    // No connect was ever seen.
    assert_eq!(bound(&of(None, None)).limit_rate_per_s, None);
    assert_eq!(bound(&of(None, None)).bound_s, 40.0);
    // The best 5 s of the run.
    let burst = run(100, |s| Of {
        connects: u64::from((10..15).contains(&s)) * 40,
        ..STORM
    });
    let best = detect(&burst, &of(None, None)).bound.expect("a baseline");
    assert_eq!((best.limit_rate_per_s, best.bound_s), (Some(40.0), 50.0));
    // Nobody counted: what the series misses at the clearing.
    let mut uncounted = case(100);
    uncounted.cut_off = 0;
    assert_eq!(bound(&uncounted).down, 1_000);
}

#[test]
fn a_late_recovery_is_slow_if_the_scenario_says_when() {
    let mut case = case(100);
    for (within_s, expected) in [
        (21, RecoveryVerdict::Recovered),
        (20, RecoveryVerdict::Slow),
    ] {
        case.rule.within = Some(Duration::from_secs(within_s));
        let rows = run(100, |s| if s < 20 { DOWN } else { WELL });
        let finding = detect(&rows, &case);
        assert_eq!(finding.verdict, Ok(expected));
        assert_eq!(finding.recovered_after_s, Some(21.0));
    }
}

#[test]
fn a_fleet_that_was_still_coming_back_is_no_baseline() {
    let mut rows = run(100, |_| WELL);
    // All were connected once; then another fault left a third of them, who are slow to come back.
    for row in &mut rows[40..] {
        row.gauges.connected = 300 + u64::from(row.second) / 10;
    }
    let verdict = detect(
        &rows,
        &Case {
            undisturbed_s: 50.0,
            ..case(100)
        },
    )
    .verdict;
    assert!(
        matches!(verdict, Err(Open::Unsettled { .. })),
        "{verdict:?}"
    );
}

#[test]
fn a_small_fleet_whose_publishes_are_not_answered_has_not_recovered() {
    // One publish a second: none in five of them would be chance, none in thirty is not.
    let little = |acked: u64| Of {
        acked,
        p99_us: None,
        ..WELL
    };
    let mut rows = run(100, |_| little(0));
    for row in &mut rows[..FAULT as usize] {
        row.counters.acked = 1;
    }
    for row in &mut rows {
        row.counters.planned = 1;
    }
    assert_ne!(
        detect(&rows, &case(100)).verdict,
        Ok(RecoveryVerdict::Recovered)
    );
    for row in &mut rows[CLEAR as usize..] {
        row.counters.acked = 1;
    }
    assert_eq!(
        detect(&rows, &case(100)).verdict,
        Ok(RecoveryVerdict::Recovered)
    );
}

#[test]
fn devices_without_power_are_missing_like_any_other() {
    let mut rows = run(100, |_| WELL);
    // Two thirds are dark from the fault on, and back 30 s after the clearing.
    for row in &mut rows[99..140] {
        (row.gauges.powered, row.gauges.connected) = (333, 333);
    }
    let finding = detect(&rows, &case(100));
    assert_eq!(finding.verdict, Ok(RecoveryVerdict::Recovered));
    assert_eq!(finding.recovered_after_s, Some(31.0));
}

#[test]
fn without_a_plateau_before_the_fault_nothing_is_known() {
    let rows = run(100, |_| WELL);
    let mut late = case(100);
    late.undisturbed_s = 89.0;
    assert_eq!(detect(&rows, &late).verdict, Ok(RecoveryVerdict::Recovered));
    late.undisturbed_s = 90.0;
    let seconds = 9;
    assert_eq!(
        detect(&rows, &late).verdict,
        Err(Open::NoBaseline { seconds })
    );
    // The ramp is no plateau.
    let mut ramping = rows.clone();
    for row in &mut ramping[..95] {
        row.gauges.powered = u64::from(row.second) * 10;
    }
    let seconds = 3;
    assert_eq!(
        detect(&ramping, &case(100)).verdict,
        Err(Open::NoBaseline { seconds })
    );
    let mut dead = rows;
    for row in &mut dead[..100] {
        row.gauges.connected = 0;
    }
    assert_eq!(
        detect(&dead, &case(100)).verdict,
        Err(Open::NobodyConnected)
    );
}

#[test]
fn an_aligned_schedule_is_not_taken_for_a_loss() {
    let minute = |mut row: Row| {
        let burst = u64::from(row.second.is_multiple_of(60)) * 6_000;
        (row.counters.planned, row.counters.acked) = (burst, burst);
        row
    };
    let rows: Vec<Row> = run(100, |_| WELL).into_iter().map(minute).collect();
    let finding = detect(&rows, &case(100));
    assert_eq!(finding.verdict, Ok(RecoveryVerdict::Recovered));
    assert_eq!(finding.recovered_after_s, Some(1.0));
}

/// One of 60 devices away is 98.3 %: no less than what the fleet was like before.
#[test]
fn a_restless_fleet_recovers_to_what_it_was() {
    let restless = |lowest: u64| {
        let mut rows = run(100, |_| Of {
            connected: 983,
            ..WELL
        });
        rows[70].gauges.connected = lowest;
        detect(&rows, &case(100)).verdict == Ok(RecoveryVerdict::Recovered)
    };
    for (lowest, expected) in [(1_000, false), (984, false), (983, true), (300, true)] {
        assert_eq!(restless(lowest), expected, "{lowest}");
    }
    let mut rows = run(100, |_| Of {
        connected: 949,
        ..WELL
    });
    rows[70].gauges.connected = 300;
    assert_eq!(
        detect(&rows, &case(100)).verdict,
        Ok(RecoveryVerdict::Stranded)
    );
}

#[test]
fn hostile_series_decide_nothing() {
    let seconds = 0;
    let none = Err(Open::NoBaseline { seconds });
    assert_eq!(detect(&[], &case(100)).verdict, none);
    // The row in which the ramp may have ended is no plateau.
    assert_eq!(
        detect(&[row(5, WELL)], &case(100)).verdict,
        Err(Open::NoBaseline { seconds: 1 })
    );
    // Zero devices.
    let empty = run(100, |_| DOWN).into_iter().map(|mut row| {
        row.gauges = Gauges::default();
        row
    });
    let empty: Vec<Row> = empty.collect();
    assert_eq!(
        detect(&empty, &case(100)).verdict,
        Err(Open::NobodyConnected)
    );
    // No telemetry at all is judged by the connections alone.
    let mute: Vec<Row> = (run(100, |s| if s < 20 { DOWN } else { WELL }).into_iter())
        .map(|mut row| {
            (row.counters.planned, row.counters.acked, row.ack) = (0, 0, Percentiles::default());
            row
        })
        .collect();
    assert_eq!(
        detect(&mute, &case(100)).verdict,
        Ok(RecoveryVerdict::Recovered)
    );
    // A gap is no recovery, and too many leave nothing to judge.
    let mut holes = run(100, |_| WELL);
    holes.retain(|row| row.second < CLEAR || row.second.is_multiple_of(2));
    assert_eq!(detect(&holes, &case(100)).verdict, Err(Open::Gaps));
}

#[test]
fn a_report_tells_the_verdict_of_each_fault_that_closes_its_phase() {
    let verdicts = super::verdicts(&fixture::quickstart());
    let [verdict] = &verdicts[..] else {
        panic!("one fault, {} verdicts", verdicts.len());
    };
    assert_eq!(verdict.phase, "restart");
    assert_eq!(verdict.down, Some(4_990));
    assert!(verdict.basis.len() >= 3, "{:?}", verdict.basis);
    assert_eq!(
        super::after_phase(&fixture::quickstart(), 1).map(|(word, _)| word),
        None
    );
}

proptest! {
    /// Whatever the seconds hold, there is an answer, and a recovery only where it was held.
    #[test]
    fn any_series_has_an_answer(
        cells in proptest::collection::vec((0u64..1_200, 0u64..300, 0u64..200, 0u64..200, 0u64..150), 0..260),
        clear_s in 0.0f64..250.0,
        length_s in 0.0f64..300.0,
    ) {
        let rows: Vec<Row> = (0u32..).zip(&cells).map(|(second, &(connected, attempts, failures, wasted, acked))| {
            row(second, Of { connected, attempts, connects: attempts / 2, failures, wasted, acked, p99_us: None })
        }).collect();
        let case = Case {
            fault_s: clear_s / 2.0,
            clear_s,
            until_s: clear_s + length_s,
            ..case(0)
        };
        let finding = detect(&rows, &case);
        prop_assert!(finding.recovered_after_s.is_none_or(|s| s > 0.0 && s <= length_s + 1.0));
        prop_assert!(finding.eta_s.is_none_or(|s| s > 0.0 && s.is_finite()));
        if finding.verdict == Ok(RecoveryVerdict::Recovered) {
            prop_assert!(length_s >= 30.0);
        }
    }
}

//! How fast devices get their turn, by the rows alone.

use crate::bench::{Parts, Run};

/// When devices were notified, in microseconds since T0, ascending.
fn notified(run: &Run) -> Vec<u64> {
    let sheet = run.sheet("results-fw-2.csv");
    let mut at: Vec<u64> = sheet.rows().filter_map(|row| row.us("offered_s")).collect();
    at.sort_unstable();
    at
}

/// The documented ladder: 1 000 per minute, half as many more after each 700 devices, 8 000 at most.
#[test]
fn each_rung_of_the_ladder_has_its_rate() {
    let run = Parts {
        devices: 5_000,
        attributes: "tier: { critical: 5%, normal: 95% }, fw: { \"1.4.2\": 100% }",
        campaigns: &["{ campaign: fw-2, image: { version: \"2.0.0\", bytes: 4096 }, priorities: [ { priority: critical, where: { tier: critical } } ], rollout: { exponential: { base: 1000/min, factor: 1.5, max: 8000/min, after: { notified: 700 } } } }"],
        ramp: "power_on: { rate: 1000/s }",
        length: "150s",
        ..Parts::default()
    }
    .simulate()
    .ended(0);
    let notified = notified(&run);
    assert_eq!(notified.len(), 5_000);
    assert_eq!(notified[0], run.start_us());
    let told = run.campaign("fw-2")["rungs"].as_array().expect("a list");
    let mut planned = 1_000.0;
    let mut measured = 0;
    // The seventh has the highest rate, and the rest of the fleet.
    let (six, last) = notified.split_at(6 * 700);
    for (rung, at) in six.chunks(700).chain([last]).enumerate() {
        let span_us = at[at.len() - 1] - at[0];
        let per_minute = (at.len() - 1) as f64 * 60e6 / span_us as f64;
        let off = per_minute / planned - 1.0;
        assert!(off.abs() < 0.02, "rung {rung}: {per_minute} of {planned}");
        assert_eq!(told[rung]["planned_per_min"].as_f64(), Some(planned));
        assert_eq!(told[rung]["notified"], at.len());
        let said = told[rung]["measured_per_min"].as_f64().expect("measured");
        assert!(
            (said / per_minute - 1.0).abs() < 1e-4,
            "{said} {per_minute}"
        );
        measured += 1;
        planned = f64::min(planned * 1.5, 8_000.0);
    }
    assert_eq!(measured, 7);
    // From one rung to the next nobody waits: the last of 7 full rungs begins after their sum.
    let seconds: f64 = [1_000.0, 1_500.0, 2_250.0, 3_375.0, 5_062.5, 7_593.75]
        .iter()
        .map(|rate| 700.0 * 60.0 / rate)
        .sum();
    let seventh = (notified[4_200] - notified[0]) as f64 / 1e6;
    assert!(
        (seventh / seconds - 1.0).abs() < 0.005,
        "{seventh} {seconds}"
    );

    let sheet = run.sheet("results-fw-2.csv");
    let of = |priority: &'static str| {
        let rows = sheet
            .rows()
            .filter(move |row| row.text("priority") == priority);
        rows.map(|row| row.us("offered_s").expect("all were notified"))
    };
    assert_eq!(sheet.count("priority", "critical"), 250);
    assert!(of("critical").max() < of("").min(), "critical ones first");
}

const SLOWLY: &str = "{ campaign: fw-2, image: { version: \"2.0.0\", bytes: 50000 }, rollout: { constant: 600/min } }";

/// Ten per second: 50 before the pause of 20 s, 150 after it.
#[test]
fn nobody_gets_a_turn_in_a_pause() {
    let run = Parts {
        campaigns: &[SLOWLY],
        actions: "{ start: fw-2, at: 5s }, { pause: fw-2, at: 10s, for: 20s }",
        ..Parts::default()
    }
    .simulate()
    .ended(0);
    run.must_be_confirmed(200);
    let start = run.start_us();
    let expected: Vec<u64> = (0..200)
        .map(|turn| start + turn * 100_000 + if turn < 50 { 0 } else { 20_000_000 })
        .collect();
    let notified = notified(&run);
    // Rows are written in ticks of 100 us.
    let furthest = expected.iter().zip(&notified).map(|(a, b)| a.abs_diff(*b));
    assert!(furthest.max() <= Some(100), "{notified:?}");
    let rung = &run.campaign("fw-2")["rungs"][0];
    assert!(
        rung["deviation"]
            .as_f64()
            .is_some_and(|off| off.abs() < 0.001),
        "{rung}"
    );
}

/// Ten per second for 10 s: 100 have had their turn, and go on to their end.
#[test]
fn who_has_not_started_is_cancelled() {
    let run = Parts {
        campaigns: &[SLOWLY],
        actions: "{ start: fw-2, at: 5s }, { cancel: fw-2, at: 15s }",
        ..Parts::default()
    }
    .simulate()
    .ended(0);
    let sheet = run.sheet("results-fw-2.csv");
    assert_eq!(sheet.count("outcome", "confirmed"), 100);
    assert_eq!(sheet.count("outcome", "cancelled"), 100);
    let cancelled = run.start_us() + 10_000_000;
    for row in sheet.rows() {
        if row.text("outcome") == "cancelled" {
            assert_eq!(row.us("offered_s"), None);
            assert_eq!(row.us("finished_s"), Some(cancelled));
            assert_eq!(row.number("attempts"), 0);
        }
    }
    assert_eq!(run.sheet("device-results-fw-2.csv").len(), 100);
    assert_eq!(run.campaign("fw-2")["witnesses"]["agree"], 200);
}

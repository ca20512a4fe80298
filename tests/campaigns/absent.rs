//! Devices that are not there when their turn comes, and those that never are.

use crate::bench::{Parts, START_US};
use std::collections::{BTreeMap, BTreeSet};

/// Half a minute after the rollout those of `late` get their power, those of `never` never do. Devices
/// with hardware D are dark from 1 s before the start until 19 s after it.
#[test]
fn who_was_away_is_updated_on_return_and_everybody_ends_in_one_state() {
    let run = Parts {
        devices: 300,
        attributes: "hw: { B: 60%, C: 20%, D: 20% }, fw: { \"1.4.2\": 80%, \"2.0.0\": 20% }, power: { now: 70%, late: 20%, never: 10% }",
        campaigns: &["{ campaign: fw-2, where: { fw: \"1.4.2\" }, image: { version: \"2.0.0\", bytes: 20000, defects: [ { where: { hw: C }, effect: bricks } ] }, rollout: at_once, in_progress_timeout: 60s }"],
        update: ", reject: 5%",
        ramp: "power_on: { rate: 200/s, where: { power: now } }",
        length: "50s",
        faults: "{ power_cut: { where: { hw: D, power: now } }, at: 4s, for: 20s }",
        phases: "  - { name: late, power_on: { rate: 100/s, where: { power: late } }, for: 100s }",
        ..Parts::default()
    }
    .simulate()
    .ended(0);
    let phase = run.start_us() - START_US;
    let operator = run.sheet("results-fw-2.csv");
    let devices = run.sheet("device-results-fw-2.csv");
    let own: BTreeMap<u64, &str> = devices
        .rows()
        .map(|row| (row.device(), row.text("outcome")))
        .collect();
    assert_eq!(own.len(), devices.len(), "one offer each");
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for row in operator.rows() {
        assert!(seen.insert(row.device()), "one row each");
        assert_eq!(row.text("attr.fw"), "1.4.2", "only those are targets");
        let outcome = row.text("outcome");
        *outcomes.entry(outcome).or_default() += 1;
        let said = own.get(&row.device()).copied();
        let (hardware, power) = (row.text("attr.hw"), row.text("attr.power"));
        let cell = format!("{hardware} {power} {outcome} {said:?}");
        match (power, hardware, said) {
            ("never", _, None) => assert_eq!(outcome, "never_reached", "{cell}"),
            ("now" | "late", _, Some("rejected")) => assert_eq!(outcome, "rejected", "{cell}"),
            ("now" | "late", "C", Some("bricked")) => assert_eq!(outcome, "bricked", "{cell}"),
            ("now" | "late", "B" | "D", Some("confirmed")) => {
                assert_eq!(outcome, "confirmed", "{cell}");
            }
            _ => panic!("{cell}"),
        }
        let started = row.us("started_s");
        match (outcome, power, hardware) {
            ("never_reached" | "rejected", _, _) => assert_eq!(started, None, "{cell}"),
            (_, "late", _) => assert!(started > Some(phase + 50_000_000), "{cell}"),
            (_, "now", "D") => assert!(started > Some(phase + 24_000_000), "{cell}"),
            _ => assert!(started < Some(phase + START_US + 1_000_000), "{cell}"),
        }
    }
    // 80 % of 300 devices; of those 10 % never have power.
    assert_eq!(operator.len(), 240);
    assert_eq!(outcomes.values().sum::<u64>(), 240);
    for outcome in ["confirmed", "rejected", "bricked", "never_reached"] {
        assert!(outcomes[outcome] >= 5, "{outcomes:?}");
    }
    let campaign = run.campaign("fw-2");
    for (outcome, count) in &outcomes {
        let told = campaign["outcomes"].as_array().expect("a list");
        let told = told.iter().find(|told| told["outcome"] == *outcome);
        assert_eq!(told.expect("each word is told")["count"], *count);
    }
    assert_eq!(campaign["wrong_targets"], 0);
    assert_eq!(campaign["witnesses"]["agree"], 240);
    assert_eq!(
        run.objective("ota.wrong_target")["verdict"],
        "PREDICTED_PASS"
    );
}

/// Who is dark for good before its reboot is told from who is so after it by its last word.
#[test]
fn a_device_that_dies_in_the_middle_times_out_and_one_that_dies_in_its_reboot_is_bricked() {
    // 20 000 bytes at 1 000 per second: 20 s of download. Dark from 10 s after the start for good.
    let run = Parts {
        devices: 100,
        attributes: "hw: { B: 50%, D: 50% }, fw: { \"1.4.2\": 100% }",
        campaigns: &["{ campaign: fw-2, image: { version: \"2.0.0\", bytes: 20000, defects: [ { where: { hw: B }, effect: bricks } ] }, rollout: at_once, in_progress_timeout: 60s }"],
        update: ", flash_rate: 1000",
        faults: "{ power_cut: { where: { hw: D } }, at: 15s, for: 75s }",
        length: "90s",
        ..Parts::default()
    }
    .simulate()
    .ended(0);
    let sheet = run.sheet("results-fw-2.csv");
    for row in sheet.rows() {
        let expected = match row.text("attr.hw") {
            "B" => "bricked",
            _ => "timed_out",
        };
        assert_eq!(row.text("outcome"), expected);
        let started = row.us("started_s").expect("all had started");
        let finished = row.us("finished_s").expect("all rows have it");
        // The limit counts from a tick, which is a tenth of a millisecond.
        assert!((60_000_000..60_001_000).contains(&(finished - started)));
    }
    assert_eq!(sheet.len(), 100);
}

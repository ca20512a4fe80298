//! The shipped scenario with a bad build: when it is halted, who had it by then, and what the report
//! says why.

use crate::bench::{Run, simulate};
use serde_json::Value;
use std::path::Path;

const SCENARIO: &str = include_str!("../../scenarios/ota-bad-firmware.yaml");

/// The abort rule of the scenario.
const MIN_EXECUTED: u64 = 10;
const THRESHOLD_PERCENT: u64 = 2;

/// From one look at the rules to the next.
const EVALUATION_NS: u64 = 1_000_000_000;

/// The marks of `fw-2` in the record of the run: when, and what.
fn marks(out: &Path) -> Vec<(u64, Value)> {
    let text = std::fs::read_to_string(out.join("events.jsonl")).expect("it is there");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let marks = lines.filter_map(|line| {
        let mark = line.get("campaign")?.clone();
        Some((mark["at"].as_u64()?, mark["mark"].clone()))
    });
    marks.collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}

/// What the rows alone say of the halt: when the rule holds at the end of a full second, since when it
/// has held, and how many had ended and ended badly. From the campaign's start, in microseconds.
fn halt_by_the_rows(run: &Run) -> (u64, u64, u64, u64) {
    let sheet = run.sheet("results-fw-2.csv");
    let start = run.start_us();
    let mut ends: Vec<(u64, bool)> = sheet
        .rows()
        .filter(|row| ["confirmed", "rolled_back"].contains(&row.text("outcome")))
        .map(|row| {
            let finished = row.us("finished_s").expect("all rows have it");
            (finished - start, row.text("outcome") == "rolled_back")
        })
        .collect();
    ends.sort_unstable();
    let (mut executed, mut failures, mut since) = (0, 0, None);
    let mut next = 0;
    for look in (1..600).map(|second| second * EVALUATION_NS / 1000) {
        while let Some((at, is_bad)) = ends.get(next).filter(|(at, _)| *at < look) {
            next += 1;
            executed += 1;
            failures += u64::from(*is_bad);
            let holds = executed >= MIN_EXECUTED && failures * 100 >= THRESHOLD_PERCENT * executed;
            since = if holds { since.or(Some(*at)) } else { None };
        }
        if let Some(since) = since {
            return (look, since, executed, failures);
        }
    }
    panic!("the rows call for no halt");
}

#[test]
fn the_bad_build_is_halted_at_the_first_look_after_the_threshold() {
    let run = simulate(SCENARIO, &[]).ended(0);
    assert_eq!(run.end.report["verdict"], "PREDICTED_PASS");
    must_have_one_cause(&run);
    let marks = marks(&run.out());
    let find = |name: &str| {
        let found = marks.iter().find(|(_, mark)| mark.get(name).is_some());
        let (at, mark) = found.unwrap_or_else(|| panic!("no {name}: {marks:?}"));
        (*at, &mark[name])
    };
    let (started_ns, _) = find("started");
    let (halted_ns, halted) = find("halted");
    let crossed_ns = number(&halted["crossed"]);
    assert!(crossed_ns <= halted_ns && halted_ns - crossed_ns < EVALUATION_NS);
    let looks = |at: u64| (at - started_ns) / EVALUATION_NS;
    assert_eq!((halted_ns - started_ns) % EVALUATION_NS, 0, "a look");
    assert_eq!(looks(crossed_ns) + 1, looks(halted_ns), "no look between");

    let (look_us, since_us, executed, failures) = halt_by_the_rows(&run);
    assert_eq!(halted_ns - started_ns, look_us * 1000);
    // Cells are cut to microseconds.
    assert!((crossed_ns - started_ns).abs_diff(since_us * 1000) <= 1000);
    assert_eq!(number(&halted["executed"]), executed);
    assert_eq!(number(&halted["failures"]), failures);

    let sheet = run.sheet("results-fw-2.csv");
    let by_then = run.start_us() + look_us;
    let exposed = sheet
        .rows()
        .filter(|row| row.us("started_s").is_some_and(|at| at <= by_then));
    let exposed = exposed.count() as u64;
    assert!(exposed > executed);
    assert_eq!(number(&halted["started"]), exposed);
    let objective = run.objective("ota.exposure_before_halt");
    let share = exposed as f64 / 5_000.0;
    assert_eq!(objective["value"].as_f64(), Some(share), "{objective}");
    assert_eq!(sheet.len(), 5_000);
    for row in sheet.rows() {
        let is_cancelled = row.text("outcome") == "cancelled";
        assert_eq!(is_cancelled, row.us("started_s").is_none());
    }
}

/// The bad hardware is on top of the causes.
fn must_have_one_cause(run: &Run) {
    let sheet = run.sheet("results-fw-2.csv");
    assert_eq!(sheet.count("attr.hw", "C"), 200, "4 % of the fleet");
    let top = &run.campaign("fw-2")["root_causes"][0];
    assert_eq!(top["bucket"], "hw C, 1.4.2 → 2.0.0");
    let bad = sheet.count("outcome", "rolled_back");
    assert_eq!(top["bad"], bad);
    assert_eq!(top["ended"], bad);
    assert_eq!(top["bad_outside"], 0);
    // Without a failure elsewhere there is no ratio, only what it is at least.
    assert!(top["lift_at_least"].as_f64() >= Some(10.0), "{top}");
    assert!(
        run.end.said.contains("root cause: hw C"),
        "{}",
        run.end.said
    );

    // One in a hundred fails anywhere: now the rest has a rate.
    let text = SCENARIO
        .replace("self_test: 2s", "self_test: 2s\n      fail: 1%")
        .replace("threshold: 2%", "threshold: 50%")
        .replace("success: 97%", "success: 50%");
    let run = simulate(&text, &["--devices", "1000"]).ended(99);
    let sheet = run.sheet("results-fw-2.csv");
    let rate = |is_c: bool| {
        let rows = sheet
            .rows()
            .filter(|row| (row.text("attr.hw") == "C") == is_c);
        let bad = rows
            .clone()
            .filter(|row| row.text("outcome") != "confirmed");
        bad.count() as f64 / rows.count() as f64
    };
    let lift = rate(true) / rate(false);
    assert!(lift >= 10.0, "{lift}");
    let top = &run.campaign("fw-2")["root_causes"][0];
    assert_eq!(top["bucket"], "hw C, 1.4.2 → 2.0.0");
    let told = top["lift"].as_f64().expect("the rest failed, too");
    assert!((told / lift - 1.0).abs() < 1e-9, "{told} {lift}");
    assert_eq!(top["stands_out"], true);
}

#[test]
fn an_exposure_beyond_its_limit_fails_the_run() {
    let waves = "rollout: { waves: [{ upto: 5%, success: 97% }, { upto: 25%, success: 97% }, { upto: 100% }] }";
    assert!(SCENARIO.contains(waves));
    let at_once = SCENARIO.replace(waves, "rollout: at_once");
    let strict = SCENARIO.replace("at_most: 6%", "at_most: 4%");
    for (text, exposure) in [(at_once, 1.0), (strict, 0.05)] {
        let run = simulate(&text, &["--devices", "1000"]).ended(99);
        assert_eq!(run.end.report["verdict"], "PREDICTED_FAIL");
        let objective = run.objective("ota.exposure_before_halt");
        assert_eq!(objective["verdict"], "PREDICTED_FAIL", "{objective}");
        assert_eq!(objective["value"].as_f64(), Some(exposure), "{objective}");
    }
}

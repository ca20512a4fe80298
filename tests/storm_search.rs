//! `fleetstorm storm-search` from outside: the edge against its closed form, what it leaves behind, its
//! exit codes.

mod program;

use program::{Bench, Finished};
use serde_json::Value;

/// A target that serves CONNECTs in order, 20 per second, and does not notice who has left. With a
/// connect timeout of 4 s and a wait of 4 s: N* = 20 x (2 x 4 + 4) = 240.
const STORM: &str = r#"
name: storm
seed: 7
target: { embedded: { nodes: 1, accept_rate: 20/s, accept_queue: 100000, gone_clients: serve } }
fleet:
  - cohort: meters
    devices: 100
    client: { connect_timeout: 4s, keep_alive: 60s, backoff: { fixed: 4s } }
    telemetry: [ { stream: power, topic: "d/{device}/power", qos: 1, every: 10s } ]
phases:
  - { name: ramp, power_on: { rate: 15/s } }
  - { name: steady, for: 30s }
  - { name: outage, for: 10s, faults: [ { outage: { reset: { within: 500ms } } } ] }
  - { name: recovery, for: 60s }
"#;

fn finding(bench: &Bench) -> Value {
    let text = std::fs::read(bench.out().join("search.json")).expect("the search was written");
    serde_json::from_slice(&text).expect("JSON")
}

#[test]
#[ignore = "dozens of simulated runs want a release build"]
fn the_edge_lies_where_its_closed_form_has_it() {
    let bench = Bench::new("storm-search", STORM);
    let Finished { code, said, report } = bench.run(&["--max-devices", "2000"]);
    assert_eq!(report, Value::Null, "a search is no run");
    assert_eq!(code, Some(0), "{said}");
    let found = finding(&bench);
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let (recovers, fails) = (
        number(&found["recovers"]),
        number(&found["does_not_recover"]),
    );
    assert!(
        (220.0..=250.0).contains(&recovers),
        "closed form 240, {said}"
    );
    assert!(fails > recovers && fails <= recovers * 1.05 + 1.0, "{said}");
    // Beyond the edge most of the fleet has to go before the rest recovers: below the edge at least.
    let hysteresis = &found["hysteresis"];
    let (stuck, part) = (
        number(&hysteresis["devices"]),
        number(&hysteresis["recovers"]),
    );
    assert!(stuck >= 1.4 * recovers, "{said}");
    assert!(part > 0.0 && part <= 1.1 * recovers, "{said}");
    assert!((number(&hysteresis["ratio"]) - part / stuck).abs() < 1e-9);
    // Let in at the rate that the target serves, they cannot pile up; all at once, they are stuck.
    let readmission = &found["readmission"];
    let safe = number(&readmission["safe_per_s"]);
    assert!(safe >= 20.0, "{said}");
    assert!(number(&readmission["unsafe_per_s"]) > safe, "{said}");
    // Every trial is a run directory that can be judged again.
    for trial in found["trials"].as_array().expect("a list") {
        let dir = bench.out().join(trial["dir"].as_str().expect("a name"));
        assert!(dir.join("report.html").exists(), "{}", dir.display());
        assert_eq!(trial["recovers"], trial["verdict"] == "recovered");
    }
    assert!(said.contains("PREDICTION"), "{said}");
    assert!(bench.out().join("search.md").exists());
}

#[test]
#[ignore = "dozens of simulated runs want a release build"]
fn the_same_search_finds_the_same() {
    let [first, second] = [(); 2].map(|()| {
        let bench = Bench::new("storm-search", STORM);
        bench.run(&["--max-devices", "400", "--precision", "20%"]);
        let mut found = finding(&bench);
        found["command"] = Value::Null;
        found
    });
    assert_eq!(first, second);
}

#[test]
#[ignore = "dozens of simulated runs want a release build"]
fn a_fleet_that_must_recover_and_does_not_fails_the_search() {
    let bench = Bench::new("storm-search", STORM);
    let arguments = ["--max-devices", "600", "--precision", "20%", "--at-least"];
    let found = bench.run(&[&arguments[..], &["500"]].concat());
    assert_eq!(found.code, Some(99), "{}", found.said);
    assert!(found.said.contains("NOT met"), "{}", found.said);
    let bench = Bench::new("storm-search", STORM);
    let found = bench.run(&[&arguments[..], &["150"]].concat());
    assert_eq!(found.code, Some(0), "{}", found.said);
}

#[test]
#[ignore = "dozens of simulated runs want a release build"]
fn every_fleet_of_a_target_that_refuses_fast_recovers() {
    let shedding = STORM.replace("accept_queue: 100000", "accept_queue: 40");
    let bench = Bench::new("storm-search", &shedding);
    let found = bench.run(&["--max-devices", "400", "--precision", "20%"]);
    assert_eq!(found.code, Some(0), "{}", found.said);
    assert_eq!(finding(&bench)["does_not_recover"], Value::Null);
    assert_eq!(finding(&bench)["hysteresis"], Value::Null);
}

#[test]
fn one_trial_tells_if_no_other_is_allowed() {
    let bench = Bench::new("storm-search", STORM);
    let found = bench.run(&["--max-devices", "100"]);
    assert_eq!(found.code, Some(0), "{}", found.said);
    assert_eq!(finding(&bench)["recovers"], 100);
    assert_eq!(finding(&bench)["trials"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let calm = STORM.replace(", faults: [ { outage: { reset: { within: 500ms } } } ]", "");
    let bench = Bench::new("storm-search", &calm);
    let found = bench.run(&[]);
    assert_eq!(found.code, Some(2), "{}", found.said);
    assert!(
        found.said.contains("nothing to recover from"),
        "{}",
        found.said
    );
    let bench = Bench::new("storm-search", &STORM.replace("fixed: 4s", "fixd: 4s"));
    let found = bench.run(&[]);
    assert_eq!(found.code, Some(2), "{}", found.said);
    assert!(
        found.said.contains("did you mean `fixed`"),
        "{}",
        found.said
    );
}

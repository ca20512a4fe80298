//! The recovery verdict from outside, in virtual time: whole storms whose ending is known. A backend
//! that admits mu connects per second and works for clients that have gone keeps a storm alive if
//! N > N* = mu (2 t + b), with connect timeout t and mean backoff b; here mu = 10/s, t = 10 s,
//! b = 10 s, so N* = 300. See `sim/tests/metastable.rs` for the law itself.

mod program;

use program::{Bench, Finished};
use serde_json::Value;

/// All devices are cut off for 5 s and come back together.
fn storm(devices: u32, target: &str) -> String {
    scenario(devices, target, "backoff: { fixed: 10s }", "5s")
}

fn scenario(devices: u32, target: &str, client: &str, outage: &str) -> String {
    format!(
        r#"
name: storm
seed: 7
target: {{ embedded: {{ nodes: 1, {target} }} }}
fleet:
  - cohort: meters
    devices: {devices}
    client: {{ connect_timeout: 10s, {client} }}
    telemetry: [ {{ stream: power, topic: "d/{{device}}/power", qos: 1, every: 10s, payload: {{ bytes: 64 }} }} ]
phases:
  - {{ name: ramp, power_on: {{ rate: 5/s }} }}
  - {{ name: steady, for: 70s }}
  - {{ name: outage, for: {outage}, faults: [ {{ outage: {{ reset: {{}} }} }} ] }}
  - {{ name: recovery, for: 200s }}
slos:
  - {{ name: the fleet recovers, indicator: recovery.verdict, is: recovered, after: outage }}
"#
    )
}

/// The run came to this verdict on the recovery, and to this exit code.
fn assert_verdict(text: &str, verdict: &str, code: i32) -> Finished {
    let run = Bench::new("simulate", text).run(&[]);
    let found = &run.report["recovery_verdicts"][0];
    assert_eq!(found["verdict"], verdict, "{}\n{found:#}", run.said);
    let objective = &run.report["objectives"][0];
    assert_eq!(objective["value_text"], verdict);
    assert_eq!(
        (&objective["value"], &objective["target"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(objective["target_text"], "is recovered");
    assert_eq!(run.code, Some(code), "{}", run.said);
    assert!(run.said.contains(verdict), "{}", run.said);
    run
}

fn number(run: &Finished, key: &str) -> f64 {
    let value = &run.report["recovery_verdicts"][0][key];
    value.as_f64().unwrap_or_else(|| panic!("{key} is {value}"))
}

const UNBOUNDED: &str = "accept_rate: 10/s, accept_queue: 100000, gone_clients: serve";

#[test]
fn a_storm_beyond_n_star_is_metastable() {
    let run = assert_verdict(&storm(450, UNBOUNDED), "metastable", 99);
    assert!(number(&run, "wasted") > 0.9);
    assert!(number(&run, "amplification") > 3.0);
    // The model has 22.4 % connected in the end.
    let connected = run.report["recovery_verdicts"][0]["judged"]["connected"].as_f64();
    assert!(
        connected.is_some_and(|c| (0.18..0.30).contains(&c)),
        "{connected:?}"
    );
    // R = 2 x 450 / 10 s, or twice a backoff and timeout of 20 s in all.
    assert!((80.0..100.0).contains(&number(&run, "bound_s")));
    assert_eq!(number(&run, "longest_wait_s"), 20.0);
}

#[test]
fn the_same_storm_recovers_if_the_backend_refuses_at_once_or_skips_who_has_gone() {
    for target in [
        "accept_rate: 10/s, accept_queue: 50, gone_clients: serve",
        "accept_rate: 10/s, accept_queue: 100000, gone_clients: skip",
    ] {
        let run = assert_verdict(&storm(450, target), "recovered", 0);
        // The model has 84 s, from the first attempt after the outage.
        let after_s = number(&run, "recovered_after_s");
        assert!((60.0..120.0).contains(&after_s), "{target}: {after_s}");
    }
}

#[test]
fn a_storm_below_n_star_recovers() {
    let run = assert_verdict(&storm(240, UNBOUNDED), "recovered", 0);
    let after_s = number(&run, "recovered_after_s");
    assert!((35.0..70.0).contains(&after_s), "{after_s}");
    assert!(number(&run, "amplification") > 1.0);
}

#[test]
fn a_recovery_later_than_the_scenario_allows_is_slow() {
    let text = storm(240, UNBOUNDED) + "recovery: { within: 20s, hold: 20s, limit_rate: 10/s }\n";
    let run = assert_verdict(&text, "slow", 99);
    assert_eq!(number(&run, "bound_s"), 20.0);
    assert_eq!(
        run.report["recovery_verdicts"][0]["limit_rate_is_stated"],
        true
    );
}

#[test]
fn devices_that_gave_up_are_stranded() {
    let text = scenario(60, "accept_rate: 10/s", "preset: aws-embedded-c", "120s");
    let run = assert_verdict(&text, "stranded", 99);
    assert_eq!(number(&run, "amplification"), 0.0);
}

/// Each device brings back more than the queue holds, so that its connection is closed each time.
#[test]
fn a_backend_that_cannot_take_what_comes_back_is_collapsed() {
    let target =
        "service: { workers: 1, connect: { fixed: 20ms }, publish: { fixed: 10ms }, queue: 10 }";
    let client = "inflight: 64, backoff: { fixed: 1s }";
    let text = scenario(20, target, client, "120s")
        .replace("every: 10s", "every: 1s")
        .replace(
            "    telemetry:",
            "    session: { clean: false }\n    telemetry:",
        );
    let run = assert_verdict(&text, "collapsed", 99);
    assert!(run.said.contains("end again"), "{}", run.said);
}

#[test]
fn a_run_that_ends_too_early_decides_nothing_unless_the_fleet_is_back() {
    let short = |text: String| text.replace("for: 200s", "for: 100s");
    assert_verdict(&short(storm(450, UNBOUNDED)), "undecided", 5);
    assert_verdict(&short(storm(240, UNBOUNDED)), "recovered", 0);
}

#[test]
fn check_warns_of_a_run_that_is_too_short_to_decide() {
    let check = |text: &str| {
        let bench = Bench::new("check", text);
        let scenario = bench.scenario();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_fleetstorm"))
            .arg("check")
            .arg(scenario)
            .output()
            .expect("the program starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let long = storm(450, UNBOUNDED);
    let said = check(&long);
    assert!(
        said.contains("recovery.verdict is recovered after outage"),
        "{said}"
    );
    assert!(!said.contains("warning"), "{said}");
    let said = check(&long.replace("for: 200s", "for: 100s"));
    assert!(
        said.contains("100 s follow the clearing of the fault"),
        "{said}"
    );
    let said = check(&long.replace("for: 70s", "for: 5s"));
    assert!(
        said.contains("5 s before the fault are undisturbed"),
        "{said}"
    );
}

/// 300 devices come back with 20 messages each to a backend that works off 1,000 a second. At once,
/// they make live messages wait for seconds; each at its pace, they take 60 % of the backend, as
/// the objective on their harm must tell.
#[test]
fn the_harm_of_a_backlog_is_that_of_its_pace() {
    let run = |store: &str| {
        let text = format!(
            r#"
name: backlog
seed: 3
target: {{ embedded: {{ nodes: 1, service: {{ workers: 1, publish: {{ fixed: 1ms }}, queue: 100000 }} }} }}
fleet:
  - cohort: meters
    devices: 300
    client: {{ backoff: {{ fixed: 1s }} }}
    session: {{ clean: false }}
    store: {{ messages: 100, {store} first: live }}
    telemetry: [ {{ stream: power, topic: "d/{{device}}/power", qos: 1, every: 1s, payload: {{ bytes: 64 }} }} ]
phases:
  - {{ name: ramp, power_on: {{ rate: 100/s }} }}
  - {{ name: steady, for: 30s }}
  - {{ name: outage, for: 20s, faults: [ {{ outage: {{ reset: {{}} }} }} ] }}
  - {{ name: recovery, for: 60s }}
slos:
  - {{ name: live data is left in peace, indicator: backlog.harm, at_most: 20, after: outage }}
"#
        );
        Bench::new("simulate", &text).run(&[])
    };
    let objective = |run: &Finished| {
        let found = run.report["objectives"][0].clone();
        let value = found["value"].as_f64().expect("a factor");
        (value, found["reason"].as_str().expect("a text").to_owned())
    };
    let at_once = run("");
    let (factor, reason) = objective(&at_once);
    assert!(factor > 100.0, "{reason}");
    assert_eq!(at_once.code, Some(99), "{reason}");
    let paced = run("drain: 1/s,");
    let (factor, reason) = objective(&paced);
    assert!((2.0..20.0).contains(&factor), "{reason}");
    assert!(reason.contains("until the backlog had drained"), "{reason}");
    assert_eq!(paced.code, Some(0), "{reason}");
}

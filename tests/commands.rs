//! The program from outside: exit codes, what a lost worker, Ctrl-C or an unwritable folder lead to.
//! Figures are not judged here, so that a slow machine does not fail these tests.

mod program;

use program::Bench;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Twenty devices against two embedded nodes for a few seconds; `slos` completes it.
fn scenario(seconds: u32, slos: &str) -> String {
    format!(
        "name: small
seed: 3
target: {{ embedded: {{ nodes: 2 }} }}
fleet:
  - cohort: meters
    devices: 20
    session: {{ clean: false }}
    telemetry: [ {{ stream: power, topic: \"d/{{device}}/power\", qos: 1, every: 200ms, payload: {{ bytes: 64 }} }} ]
phases:
  - {{ name: ramp, power_on: {{ rate: 100/s }} }}
  - {{ name: steady, for: {seconds}s }}
slos:
{slos}
"
    )
}

const LOST: &str = "  - { name: nothing is lost, indicator: delivery.lost, at_most: 0 }";

/// Waits for a line of the child's progress that holds `text`.
fn wait_for(child: &mut Child, text: &str) {
    let stderr = child.stderr.take().expect("standard error was piped");
    let mut lines = BufReader::new(stderr).lines();
    let found = lines.any(|line| line.expect("progress is text").contains(text));
    assert!(found, "the program ended before it said {text:?}");
    // Keep reading, or the program would block on a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status()
        .expect("kill is there");
    assert!(status.success());
}

fn children_of(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).expect("this kernel lists children");
    text.split_whitespace()
        .map(|pid| pid.parse().expect("a process id"))
        .collect()
}

fn start(bench: &Bench) -> Child {
    let mut command = bench.command(&["--workers", "2", "--ui", "plain"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    wait_for(&mut child, "phase steady");
    child
}

#[test]
fn a_whole_run_leaves_its_evidence_and_can_be_judged_again() {
    let bench = Bench::new("run", &scenario(2, LOST));
    let run = bench.run(&[]);
    assert_eq!(run.report["delivery"]["lost"], 0, "{}", run.said);
    assert_eq!(run.report["counts"]["balanced"], true);
    let files = [
        "scenario.yaml",
        "report.html",
        "junit.xml",
        "summary.md",
        "series.csv",
        "events.jsonl",
        "publish_ack_response.hlog",
    ];
    for file in files {
        assert!(
            bench.out().join(file).metadata().expect(file).len() > 0,
            "{file} is empty"
        );
    }
    let first = std::fs::read(bench.out().join("report.json")).expect("written");
    let again = Command::new(env!("CARGO_BIN_EXE_fleetstorm"))
        .arg("report")
        .arg(bench.out())
        .output()
        .expect("the program starts");
    assert_eq!(again.status.code(), run.code);
    assert_eq!(
        std::fs::read(bench.out().join("report.json")).expect("written"),
        first,
        "judging again changes nothing"
    );
    // A run directory is evidence and is never overwritten.
    assert_eq!(bench.run(&[]).code, Some(4));
}

#[test]
fn a_scenario_with_an_outage_is_checked_and_runs() {
    let outage = "  - { name: storm, for: 2s, faults: [ { outage: { reset: { where: { share: 30% }, within: 500ms } } } ] }
  - { name: recovery, for: 3s }\nslos:";
    let text = scenario(1, LOST).replace("slos:", outage);
    let text = text.replace(
        "session:",
        "client: { backoff: { fixed: 200ms } }\n    session:",
    );
    let bench = Bench::new("run", &text);
    let check = Command::new(env!("CARGO_BIN_EXE_fleetstorm"))
        .arg("check")
        .arg(bench.scenario())
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&check.stdout);
    assert_eq!(check.status.code(), Some(0), "{said}");
    let fault = "reset of 30 % of the devices within 500ms";
    assert!(
        said.contains(&format!("fault {fault} from 2.0 s to 4.0 s")),
        "{said}"
    );
    assert!(said.contains("herd       6 devices"), "{said}");
    assert!(!said.contains("warning"), "{said}");
    let run = bench.run(&["--workers", "2", "--ui", "plain"]);
    assert!(
        run.said.contains(&format!("fault begins: {fault}")),
        "{}",
        run.said
    );
    let errors = run.report["errors"].as_array().expect("a list");
    let of = |kind: &str| errors.iter().find(|e| e["kind"] == kind);
    let count = |kind| of(kind).map_or(0, |error| error["count"].as_u64().expect("a count"));
    assert_eq!(count("connection.reset"), 6, "{}", run.said);
    assert!(count("attempt.refused") >= 6, "{}", run.said);
    assert_eq!(run.report["delivery"]["lost"], 0, "{}", run.said);
    assert_eq!(run.report["counts"]["balanced"], true);
}

#[test]
fn a_broken_objective_is_exit_99_or_invalid_but_never_a_pass() {
    let slo = "  - { name: impossible, indicator: connect.success, at_least: 100%, during: [ramp] }
  - { name: too fast, indicator: publish.ack_latency, percentile: 90, at_most: 1us, during: [steady] }";
    let run = Bench::new("run", &scenario(2, slo)).run(&[]);
    // On a starved machine the generator declares itself late, which goes before every verdict.
    assert!(matches!(run.code, Some(99 | 4)), "{}", run.said);
    let failed = run.report["objectives"]
        .as_array()
        .expect("a list")
        .iter()
        .any(|o| o["verdict"] == "FAIL");
    assert!(failed, "{}", run.said);
}

#[test]
fn no_data_never_passes() {
    let text = scenario(2, LOST).replace("phases:", "observe: { share: 0% }\nphases:");
    let run = Bench::new("run", &text).run(&[]);
    assert!(matches!(run.code, Some(5 | 4)), "{}", run.said);
    assert_eq!(run.report["objectives"][0]["verdict"], "NO_DATA");
}

#[test]
fn a_killed_worker_makes_the_run_invalid_and_is_named() {
    let bench = Bench::new("run", &scenario(30, LOST));
    let child = start(&bench);
    // Two nodes start first, then two workers.
    let worker = *children_of(child.id()).last().expect("it has children");
    signal(worker, "KILL");
    let run = bench.finish(&child.wait_with_output().expect("it ends"));
    assert_eq!(run.code, Some(4), "{}", run.said);
    assert!(
        run.said.contains("worker 1") && run.said.contains("signal 9"),
        "{}",
        run.said
    );
    assert_eq!(run.report["verdict"], "INVALID");
}

#[test]
fn children_do_not_outlive_a_killed_coordinator() {
    let bench = Bench::new("run", &scenario(30, LOST));
    let mut child = start(&bench);
    let children = children_of(child.id());
    assert_eq!(children.len(), 4);
    signal(child.id(), "KILL");
    child.wait().expect("it was killed");
    let gone = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // An ended process that nobody has waited for is gone, too.
        stat.is_empty()
            || stat
                .rsplit(')')
                .next()
                .is_some_and(|rest| rest.trim_start().starts_with('Z'))
    };
    let ended = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        children.iter().all(gone)
    });
    assert!(ended, "children outlived the coordinator by 2 s");
}

#[test]
fn an_interrupt_leaves_a_partial_report() {
    let bench = Bench::new("run", &scenario(30, LOST));
    let child = start(&bench);
    signal(child.id(), "INT");
    let run = bench.finish(&child.wait_with_output().expect("it ends"));
    assert_eq!(run.code, Some(130), "{}", run.said);
    assert_eq!(run.report["verdict"], "INTERRUPTED");
    assert_eq!(
        run.report["counts"]["balanced"], true,
        "the books of a partial run balance, too"
    );
}

#[test]
fn what_cannot_begin_says_why() {
    let dead = Bench::new("run", &scenario(2, LOST)).run(&["--target", "mqtt://127.0.0.1:1"]);
    assert_eq!(dead.code, Some(3), "{}", dead.said);
    assert!(
        dead.said.contains("127.0.0.1:1 is not reachable"),
        "{}",
        dead.said
    );

    let unwritable = Bench::new("run", &scenario(2, LOST));
    std::fs::write(unwritable.out(), "a file where the folder should be").expect("writable");
    let run = unwritable.run(&[]);
    assert_eq!(run.code, Some(4), "{}", run.said);
    assert!(
        run.said.contains("evidence cannot be written"),
        "{}",
        run.said
    );

    let wrong = Bench::new("run", "name: x\nfleeet: []\n").run(&[]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.said);
    let missing = Command::new(env!("CARGO_BIN_EXE_fleetstorm"))
        .args(["check", "no-such-file.yaml"])
        .output()
        .expect("it starts");
    assert_eq!(missing.status.code(), Some(2));

    let far = Bench::new("run", &scenario(2, LOST)).run(&[
        "--devices",
        "1001",
        "--target",
        "mqtt://192.0.2.1:1883",
    ]);
    assert_eq!(far.code, Some(3), "{}", far.said);
    assert!(
        far.said.contains("--allow-target 192.0.2.1"),
        "{}",
        far.said
    );
}

#[test]
fn the_presets_are_listed() {
    let listed = Command::new(env!("CARGO_BIN_EXE_fleetstorm"))
        .arg("presets")
        .output()
        .expect("it starts");
    assert_eq!(listed.status.code(), Some(0));
    let text = String::from_utf8(listed.stdout).expect("UTF-8");
    for line in ["  esp-mqtt          ESP-IDF", "  lte-m: each way"] {
        assert!(text.contains(line), "{text}");
    }
}

//! `fleetstorm simulate` from outside: the same run directory each time, exit codes, what signals
//! leave behind, and what stands in for brokers.

mod program;

use fleetstorm::scenario::file::{self, Overrides, Secrets};
use program::{Bench, Finished};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// One fault of the reference backend; `slos` completes it.
fn plain(slos: &str) -> String {
    format!(
        r#"
name: plain
seed: 3
target: {{ embedded: {{ nodes: 2 }} }}
fleet:
  - cohort: meters
    devices: 200
    session: {{ clean: false, will: {{ topic: "d/{{device}}/state", payload: offline, qos: 1 }} }}
    on_connect: [ {{ subscribe: {{ topic: "d/{{device}}/cmd", qos: 1 }} }} ]
    telemetry: [ {{ stream: power, topic: "d/{{device}}/power", qos: 1, every: 2s, payload: {{ json: {{ watts: {{ walk: {{ step: 15, min: 0, max: 3000 }} }} }} }} }} ]
phases:
  - {{ name: ramp, power_on: {{ rate: 100/s }} }}
  - {{ name: steady, for: 20s, faults: [ {{ backend: {{ restart: {{ node: 0, sessions: keep }} }}, at: 5s, for: 3s }} ] }}
slos:
{slos}
"#
    )
}

/// Everything that draws at random: links that lose, work that takes its time, Poisson streams, an
/// outage with a storm after it, late and lost acknowledgements.
const RICH: &str = r#"
name: rich
seed: 3
target:
  embedded:
    nodes: 3
    accept_rate: 300/s
    service: { workers: 2, connect: { exponential: 2ms }, publish: { bimodal: { fast: 200us, slow: 20ms, slow_share: 2% } } }
    gone_clients: serve
fleet:
  - cohort: meters
    devices: 300
    attributes: { region: { north: 50%, south: 50% } }
    link: { preset: lte-m, loss: 2% }
    client: { keep_alive: 10s, backoff: { decorrelated_jitter: { base: 200ms, cap: 5s } } }
    session: { clean: false, will: { topic: "d/{device}/state", payload: offline, qos: 1 } }
    telemetry:
      - { stream: power, topic: "d/{device}/power", qos: 1, poisson: 1/s, ack_timeout: 2s, payload: { json: { watts: { uniform: { min: 0, max: 9 } } } } }
  - cohort: trackers
    devices: 100
    link: { latency: 40ms, jitter: 30ms, loss: 1%, up: 20kbps, down: 50kbps }
    client: { backoff: { fixed: 700ms } }
    telemetry:
      - { stream: gps, topic: "d/{device}/gps", qos: 0, every: 1s, phase: { aligned: { jitter: 300ms } }, payload: { bytes: 80 }, when_late: latest }
phases:
  - { name: ramp, power_on: { rate: 100/s } }
  - { name: steady, for: 10s, faults: [ { backend: { drop_ack: { share: 2% } }, at: 2s, for: 5s } ] }
  - { name: outage, for: 8s, faults: [ { outage: { reset: { where: { region: north }, within: 500ms } } } ] }
  - { name: recovery, for: 15s }
slos:
  - { name: answered, indicator: publish.ack_latency, percentile: 50, at_most: 10s, during: [steady] }
  - { name: back, indicator: reconnect.time, share: 90%, at_most: 15s, after: outage }
"#;

/// A planted loss is a breach of the objective, and the report says where it came from.
#[test]
fn a_planted_loss_fails_the_run() {
    let text = plain(LOST).replace("restart: { node: 0, sessions: keep }", "lose: { count: 7 }");
    let (_, run) = simulate(&text, &[]);
    assert_eq!(run.code, Some(99), "{}", run.said);
    assert_eq!(run.report["delivery"]["lost"], 7);
}

const LOST: &str = "  - { name: nothing is lost, indicator: delivery.lost, at_most: 0 }";

/// Two brokers that are nowhere, and credentials that nobody has.
fn brokers(topology: &str, client_id: &str) -> String {
    let target = format!(
        "target:\n  brokers: {{ urls: [\"mqtt://one.invalid\", \"mqtt://[fd00::8]:1884\"], topology: {topology} }}\n  \
         auth: {{ username: \"{{id}}\", password: \"${{env:FLEETSTORM_NOT_SET}}-{{token}}\", csv: ids.csv }}"
    );
    let client = format!(
        "    client: {{ client_id: \"{client_id}\", backoff: {{ fixed: 1s }} }}\n    telemetry:"
    );
    plain(LOST)
        .replace("target: { embedded: { nodes: 2 } }", &target)
        .replace("    telemetry:", &client)
        .replace(
            "backend: { restart: { node: 0, sessions: keep } }",
            "outage: { reset: { where: { node: 1 } } }",
        )
}

fn simulate(text: &str, arguments: &[&str]) -> (Bench, Finished) {
    let bench = Bench::new("simulate", text);
    let run = bench.run(arguments);
    assert!(!run.said.contains("panicked"), "{}", run.said);
    (bench, run)
}

/// The files of a run directory by name. What tells the command line and the folder is taken out:
/// all else must not depend on when and where a run was simulated.
fn evidence(bench: &Bench) -> BTreeMap<String, Vec<u8>> {
    let out = bench.out();
    let folder = out.display().to_string();
    let scenario = bench.scenario().display().to_string();
    let entries = std::fs::read_dir(&out).expect("a run directory");
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("a file").to_string_lossy();
        let mut content = std::fs::read(&path).expect("readable");
        if ["events.jsonl", "report.json", "report.html"].contains(&&*name) {
            let text = String::from_utf8(content).expect("these are text");
            content = neutral(
                &name,
                text.replace(&folder, "OUT").replace(&scenario, "SCENARIO"),
            );
        }
        (name.into_owned(), content)
    };
    entries.map(file).collect()
}

fn neutral(name: &str, text: String) -> Vec<u8> {
    let removed = |object: &mut Value| {
        let command = object["command"].take();
        let words = command.as_array().expect("a list of words");
        assert_eq!(words[..3], ["fleetstorm", "simulate", "SCENARIO"]);
    };
    match name {
        "events.jsonl" => {
            let (header, rest) = text.split_once('\n').expect("several lines");
            let mut header: Value = serde_json::from_str(header).expect("a line is JSON");
            removed(&mut header["header"]);
            format!("{header}\n{rest}").into_bytes()
        }
        "report.json" => {
            let mut report: Value = serde_json::from_str(&text).expect("JSON");
            removed(&mut report["provenance"]);
            report.to_string().into_bytes()
        }
        _ => text.into_bytes(),
    }
}

fn same(one: &BTreeMap<String, Vec<u8>>, other: &BTreeMap<String, Vec<u8>>) {
    assert!(one.keys().eq(other.keys()), "{:?}", other.keys());
    for (name, content) in one {
        assert!(*content == other[name], "{name} differs");
    }
}

#[test]
fn the_same_seed_is_the_same_run_directory() {
    for text in [plain(LOST), RICH.to_owned()] {
        let (first, run) = simulate(&text, &["--ui", "off"]);
        assert_eq!(run.code, Some(0), "{}", run.said);
        assert_eq!(run.report["counts"]["balanced"], true, "{}", run.said);
        assert_eq!(run.report["counts"]["schedule_agrees"], true);
        let (second, again) = simulate(&text, &["--ui", "off"]);
        assert_eq!(again.code, Some(0), "{}", again.said);
        let first = evidence(&first);
        same(&first, &evidence(&second));
        assert!(first.len() >= 14, "{:?}", first.keys());

        let (other, _) = simulate(&text, &["--ui", "off", "--seed", "4"]);
        let other = evidence(&other);
        let differ: Vec<&str> = (first.keys().map(String::as_str))
            .filter(|name| first[*name] != other[*name])
            .collect();
        assert!(differ.contains(&"series.csv"), "{differ:?}");
        assert!(
            differ.iter().any(|name| name.ends_with(".hlog")),
            "{differ:?}"
        );
    }
}

/// That the rich scenario holds what its test is about.
#[test]
fn the_rich_scenario_is_rich() {
    let (_, run) = simulate(RICH, &["--ui", "off"]);
    let report = &run.report;
    let count = |key: &str| report["counts"][key].as_u64().expect("a count");
    assert!(
        count("timed_out") > 10 && count("acked") > 5_000,
        "{}",
        run.said
    );
    assert!(
        report["recoveries"][0]["affected"].as_u64() > Some(100),
        "{}",
        report["recoveries"]
    );
    let nodes = report["backend"]["nodes"].as_array().expect("a list");
    assert_eq!(nodes.len(), 3);
    let p50 = report["latency"]["publish_ack_response"]["steady"]["p50"].as_f64();
    assert!(p50 > Some(50_000.0), "links take their time: {p50:?} us");
}

#[test]
fn a_simulated_run_can_be_judged_again() {
    let (bench, run) = simulate(RICH, &["--ui", "off"]);
    let read = || {
        let out = bench.out();
        ["report.json", "report.html", "junit.xml", "summary.md"]
            .map(|name| std::fs::read(out.join(name)).expect(name))
    };
    let first = read();
    let again = Command::new(env!("CARGO_BIN_EXE_fleetstorm"))
        .arg("report")
        .arg(bench.out())
        .output()
        .expect("the program starts");
    assert_eq!(again.status.code(), run.code);
    assert!(first == read(), "judging again changes nothing");
    // A run directory is evidence and is never overwritten.
    let occupied = bench.run(&[]);
    assert_eq!(occupied.code, Some(4), "{}", occupied.said);
    assert!(first == read(), "a refused run changes nothing");
}

#[test]
fn the_exit_code_is_the_predicted_verdict() {
    let slow = "  - { name: faster than the target answers, indicator: publish.ack_latency, percentile: 99, at_most: 400ms, during: [steady] }";
    let impossible = plain(slow).replace(
        "restart: { node: 0, sessions: keep } }, at: 5s, for: 3s",
        "ack_delay: { delay: 500ms } }",
    );
    let blind = plain(LOST).replace("phases:", "observe: { share: 0% }\nphases:");
    for (text, code, verdict) in [
        (plain(LOST), 0, "PREDICTED_PASS"),
        (impossible, 99, "PREDICTED_FAIL"),
        (blind, 5, "PREDICTED_NO_DATA"),
    ] {
        let (_, run) = simulate(&text, &[]);
        assert_eq!(run.code, Some(code), "{}", run.said);
        assert_eq!(run.report["verdict"], verdict);
        assert_eq!(run.report["mode"], "simulated");
    }
}

#[test]
fn what_cannot_begin_says_why() {
    let wrong = simulate("name: x\nfleeet: []\n", &[]).1;
    assert_eq!(wrong.code, Some(2), "{}", wrong.said);
    assert!(
        wrong.said.contains("unknown key `fleeet`"),
        "{}",
        wrong.said
    );

    let missing = Command::new(env!("CARGO_BIN_EXE_fleetstorm"))
        .args(["simulate", "no-such-file.yaml"])
        .output()
        .expect("it starts");
    assert_eq!(missing.status.code(), Some(2));

    let unwritable = Bench::new("simulate", &plain(LOST));
    std::fs::write(unwritable.out(), "a file where the folder should be").expect("writable");
    let run = unwritable.run(&[]);
    assert_eq!(run.code, Some(4), "{}", run.said);
    assert!(
        run.said.contains("evidence cannot be written"),
        "{}",
        run.said
    );

    let (bench, refused) = simulate(&brokers("independent", "{device}"), &[]);
    assert_eq!(refused.code, Some(2), "{}", refused.said);
    let sentence = "the target is `brokers`, of which there is no model: add `--model reference`";
    assert!(refused.said.contains(sentence), "{}", refused.said);
    assert!(!bench.out().exists());
}

#[test]
fn the_reference_model_stands_in_for_brokers() {
    for (topology, nodes) in [("independent", 2), ("cluster", 1)] {
        let text = brokers(topology, "{device}");
        let (bench, run) = simulate(&text, &["--model", "reference"]);
        assert_eq!(run.code, Some(0), "{}", run.said);
        let report = &run.report;
        let names = serde_json::json!(["one.invalid:1883", "[fd00::8]:1884"]);
        assert_eq!(report["prediction"]["stands_in_for"], names);
        let listed = report["backend"]["nodes"].as_array().expect("a list");
        assert_eq!(listed.len(), nodes, "{topology}");
        assert!(
            run.said.contains("nothing is known about these brokers"),
            "{}",
            run.said
        );
        assert_eq!(
            report["delivery"]["verified_acks"],
            report["counts"]["acked"]
        );

        // The plan's nodes are the brokers: those of the second are cut off, however many nodes
        // stand in for them.
        let none = Overrides::default();
        let plan = file::parse("s", &text, Path::new("."), &none, Secrets::Ignore);
        let plan = plan.unwrap_or_else(|errors| panic!("{errors}"));
        let herd = (0..plan.devices()).filter(|d| plan.home_node(*d) == 1);
        let recovery = &report["recoveries"][0];
        assert_eq!(recovery["affected"], herd.count(), "{recovery}");
        assert_eq!(recovery["recovered"], recovery["affected"]);
        // No credentials are there, so none were read.
        assert!(!bench.scenario().with_file_name("ids.csv").exists());
    }
}

/// Without their names all devices would be one.
#[test]
fn devices_that_show_their_ids_need_them() {
    let text = brokers("independent", "c-{id}");
    let (bench, refused) = simulate(&text, &["--model", "reference"]);
    assert_eq!(refused.code, Some(2), "{}", refused.said);
    assert!(
        refused.said.contains("cannot read the credentials"),
        "{}",
        refused.said
    );
    assert!(!bench.out().exists());

    let rows: String = (0..200).map(|i| format!("name-{i},secret-{i}\n")).collect();
    let ids = bench.scenario().with_file_name("ids.csv");
    std::fs::write(ids, rows).expect("the folder is writable");
    let run = bench.run(&["--model", "reference"]);
    assert_eq!(run.code, Some(0), "{}", run.said);
    // Nobody throws anybody out: each connects once, and again if it is cut off.
    let affected = run.report["recoveries"][0]["affected"]
        .as_u64()
        .expect("a count");
    let connects = run.report["counts"]["series"]["connects"].as_u64();
    assert_eq!(connects, Some(200 + affected));
}

/// A run that takes minutes, and has gone on for some virtual seconds.
fn under_way() -> (Bench, Child) {
    let text = plain(LOST).replace("for: 20s", "for: 500h");
    let bench = Bench::new("simulate", &text);
    let mut child = bench
        .command(&["--ui", "plain"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stderr = child.stderr.take().expect("standard error was piped");
    let mut lines = BufReader::new(stderr).lines();
    let first = lines.next().expect("it says what it does").expect("text");
    assert!(
        first.starts_with("plain: simulating 200 devices"),
        "{first}"
    );
    // Keep reading, or the program would block on a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    let series = bench.out().join("series.csv");
    let rows = || std::fs::read_to_string(&series).map_or(0, |text| text.lines().count());
    let goes_on = (0..3_000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        rows() > 10
    });
    assert!(goes_on, "no ten virtual seconds in 30 s");
    (bench, child)
}

#[test]
fn a_signal_leaves_a_partial_report() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let (bench, child) = under_way();
        let status = Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status()
            .expect("kill is there");
        assert!(status.success());
        let run = bench.finish(&child.wait_with_output().expect("it ends"));
        assert_eq!(run.code, Some(code), "{}", run.said);
        assert_eq!(run.report["verdict"], "INTERRUPTED");
        assert_eq!(run.report["run"]["partial"], true);
        assert_eq!(run.report["counts"]["balanced"], true, "{}", run.said);
        assert_eq!(run.report["counts"]["schedule_agrees"], true);
        assert!(
            run.report["counts"]["acked"].as_u64() > Some(100),
            "{}",
            run.said
        );
    }
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let bench = Bench::new("simulate", &plain(LOST));
    let mut child = bench
        .command(&["--ui", "plain"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    drop(child.stderr.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(bench.out().join("report.html").exists());
}

#[test]
fn progress_is_shown_as_asked() {
    let spoken = |ui: &str| {
        let bench = Bench::new("simulate", &plain(LOST));
        let output = bench.command(&["--ui", ui]).output().expect("it starts");
        assert_eq!(output.status.code(), Some(0));
        assert!(!output.stdout.is_empty(), "the verdict is always printed");
        String::from_utf8(output.stderr).expect("text")
    };
    assert_eq!(spoken("off"), "");
    for ui in ["plain", "auto"] {
        let said = spoken(ui);
        let mut lines = said.lines();
        let first = lines.next().expect("a first line");
        assert_eq!(
            first,
            "plain: simulating 200 devices, 2 phases, 22 s of virtual time"
        );
        let last = lines.next_back().expect("a last line");
        assert!(
            last.starts_with("simulated 28 s of 200 devices in "),
            "{last}"
        );
        assert!(last.ends_with(" events/s"), "{last}");
    }
}

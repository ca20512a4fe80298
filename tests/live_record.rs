//! The same device in both worlds: a live run records what its sampled devices were told, and fresh
//! devices that are told the same without sockets or clock put out the same bytes.

mod program;

use fleetstorm::run::replay::{ReadError, Replayed, replay};
use program::{Bench, Finished};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Two kinds of devices, which hear their own telemetry; in the phase `storm` acknowledgements are
/// held back and one node restarts, so that publishes are in flight when connections end.
fn scenario(devices: u32, every: &str, steady_s: u32) -> String {
    let trackers = devices / 4;
    let meters = devices - trackers;
    format!(
        r#"
name: recorded
seed: 5
target: {{ embedded: {{ nodes: 2 }} }}
fleet:
  - cohort: meters
    devices: {meters}
    client: {{ keep_alive: 2s, backoff: {{ full_jitter: {{ base: 100ms, cap: 500ms }} }} }}
    session: {{ clean: false, will: {{ topic: "d/{{device}}/state", payload: "offline", qos: 1 }} }}
    on_connect:
      - {{ subscribe: {{ topic: "d/{{device}}/power", qos: 1 }} }}
      - {{ publish: {{ topic: "d/{{device}}/state", payload: "online", qos: 1 }} }}
    telemetry:
      - {{ stream: power, topic: "d/{{device}}/power", qos: 1, every: {every}, payload: {{ json: {{ watts: {{ walk: {{ step: 15, min: 0, max: 3000 }} }} }} }} }}
  - cohort: trackers
    devices: {trackers}
    client: {{ backoff: {{ fixed: 300ms }} }}
    telemetry:
      - {{ stream: gps, topic: "d/{{device}}/gps", qos: 0, poisson: 4/s, payload: {{ bytes: 64 }}, when_late: skip }}
phases:
  - {{ name: ramp, power_on: {{ rate: {devices}/s }} }}
  - {{ name: steady, for: {steady_s}s }}
  - {{ name: storm, for: 2s, faults: [ {{ backend: {{ ack_delay: {{ delay: 300ms }} }} }}, {{ backend: {{ restart: {{ node: 0, sessions: keep }} }}, at: 500ms, for: 500ms }} ] }}
  - {{ name: after, for: 2s }}
slos:
  - {{ name: nothing is lost, indicator: delivery.lost, at_most: 0 }}
"#
    )
}

/// A finished run; whether a busy machine made it late is not asked here.
fn run(bench: &Bench, arguments: &[&str]) -> Finished {
    let run = bench.run(arguments);
    assert!(matches!(run.code, Some(0 | 4)), "{}", run.said);
    assert_eq!(run.report["counts"]["balanced"], true, "{}", run.said);
    run
}

fn log(out: &Path, worker: u32) -> PathBuf {
    out.join(format!("inputs-{worker}.jsonl"))
}

fn same(replayed: &Replayed) {
    if let Some(difference) = &replayed.difference {
        panic!("{difference}");
    }
}

/// The records of a log in the form of their lines.
fn records(text: &str) -> impl Iterator<Item = Value> + '_ {
    text.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        line.get("record").cloned()
    })
}

#[test]
fn a_live_device_is_a_replayed_one() {
    let bench = Bench::new("run", &scenario(200, "200ms", 2));
    run(&bench, &["--workers", "2", "--record-inputs", "50%"]);
    let out = bench.out();
    let replayed = replay(&out, None).expect("a run directory");
    same(&replayed);
    assert_eq!(replayed.notes, [""; 0]);
    assert_eq!(replayed.compared.devices, 100);
    assert!(replayed.compared.packets > 2_000, "{replayed:?}");
    assert!(replayed.compared.inputs > 2_000, "{replayed:?}");

    // What a restart brings is in it.
    let text: String = (0..2)
        .map(|worker| fs::read_to_string(log(&out, worker)).expect("there is a log"))
        .collect();
    for word in [
        "{\"closed\":\"Reset\"}",
        "\"retransmitted\"",
        "\"attempt_failed\"",
        "\"session_present\":true",
        "\"received\"",
        "\"acked\"",
        "\"input\":\"timeout\"",
        "\"input\":\"stop_arrivals\"",
        "\"input\":\"shutdown\"",
    ] {
        assert!(text.contains(word), "{word}");
    }
    a_difference_is_found(&out);
    a_torn_tail_is_tolerated(&out);
    a_foreign_log_is_refused(&out);
}

/// Changes one byte of one packet in the middle of a log, and back.
fn a_difference_is_found(out: &Path) {
    let path = log(out, 1);
    let good = fs::read_to_string(&path).expect("readable");
    let lines: Vec<&str> = good.lines().collect();
    let victim = (lines.len() / 2..lines.len())
        .find(|&i| lines[i].contains("\"packet\":\""))
        .expect("packets are sent to the end");
    let at = good.find(lines[victim]).expect("a line of the text")
        + lines[victim].find("\"packet\":\"").expect("just found")
        + "\"packet\":\"".len();
    let mut tampered = good.clone().into_bytes();
    // The first character of base64 stands for the packet's kind.
    tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
    fs::write(&path, tampered).expect("writable");
    let replayed = replay(out, None).expect("still a log");
    let difference = replayed.difference.expect("a byte was changed").to_string();
    let record = records(lines[victim]).next().expect("it is a record");
    let device = format!("device {} at ", record["device"]);
    assert!(difference.starts_with(&device), "{difference}");
    assert!(difference.contains("in the replay"), "{difference}");
    fs::write(&path, good).expect("writable");
}

/// Cuts the last bytes off a log, as a killed worker does, and puts them back.
fn a_torn_tail_is_tolerated(out: &Path) {
    let path = log(out, 0);
    let good = fs::read(&path).expect("readable");
    let whole = replay(out, None).expect("a run directory").compared;
    let end = good.iter().rev().skip(1).position(|b| *b == b'\n');
    let last_record = good.len() - 1 - end.expect("several lines");
    fs::write(&path, &good[..last_record - 10]).expect("writable");
    let replayed = replay(out, None).expect("only the tail is torn");
    same(&replayed);
    assert_eq!(replayed.compared.inputs, whole.inputs - 1);
    assert_eq!(replayed.notes.len(), 2, "{:?}", replayed.notes);
    assert!(replayed.notes[0].contains("is torn and left out"));
    assert!(replayed.notes[1].contains("no end"), "{:?}", replayed.notes);
    fs::write(&path, good).expect("writable");
}

fn a_foreign_log_is_refused(out: &Path) {
    let path = log(out, 0);
    let good = fs::read_to_string(&path).expect("readable");
    let foreign = good.replacen("\"run_id\":\"", "\"run_id\":\"f", 1);
    fs::write(&path, foreign).expect("writable");
    assert!(matches!(replay(out, None), Err(ReadError::Foreign(_))));
    fs::remove_file(&path).expect("removable");
    assert!(matches!(replay(out, None), Err(ReadError::NoLog(_))));
}

/// The devices in all logs of a run on `workers` workers.
fn sample(workers: u32) -> BTreeSet<u64> {
    let bench = Bench::new(
        "run",
        &scenario(60, "1s", 1)
            .replace("nodes: 2", "nodes: 1")
            .replace("for: 2s }", "for: 1s }"),
    );
    let count = workers.to_string();
    run(&bench, &["--workers", &count, "--record-inputs", "20.5 %"]);
    let mut devices = BTreeSet::new();
    for worker in 0..workers {
        let text = fs::read_to_string(log(&bench.out(), worker)).expect("one log per worker");
        for record in records(&text) {
            let device = record["device"].as_u64().expect("an index");
            assert_eq!(device % u64::from(workers), u64::from(worker));
            devices.insert(device);
        }
    }
    same(&replay(&bench.out(), None).expect("a run directory"));
    devices
}

#[test]
fn the_sample_does_not_depend_on_the_number_of_workers() {
    let (of_one, of_three) = std::thread::scope(|scope| {
        let of_one = scope.spawn(|| sample(1));
        let of_three = sample(3);
        (of_one.join().expect("a run on one worker"), of_three)
    });
    assert_eq!(of_one.len(), 12);
    assert_eq!(of_one, of_three);
}

#[test]
fn nonsense_is_a_usage_error_and_nothing_records_nothing() {
    for share in ["half", "0.5", "101%", "-1%", ""] {
        let bench = Bench::new("run", &scenario(4, "1s", 1));
        let run = bench.run(&[&format!("--record-inputs={share}")]);
        assert_eq!(run.code, Some(2), "{share}: {}", run.said);
        assert!(run.said.contains("--record-inputs"), "{}", run.said);
        assert!(!bench.out().exists());
    }
    let bench = Bench::new("run", &scenario(4, "1s", 1));
    run(&bench, &["--workers", "1", "--record-inputs", "0%"]);
    assert!(!log(&bench.out(), 0).exists());
    assert!(matches!(
        replay(&bench.out(), None),
        Err(ReadError::NoLog(_))
    ));
}

/// S2: at least 1 000 devices and 100 000 packets.
#[test]
#[ignore = "1 000 devices at 10 messages/s want release and take half a minute"]
fn a_thousand_live_devices_are_replayed_ones() {
    let bench = Bench::new("run", &scenario(1_600, "100ms", 10));
    run(&bench, &["--record-inputs", "75%"]);
    let replayed = replay(&bench.out(), None).expect("a run directory");
    same(&replayed);
    assert_eq!(replayed.notes, [""; 0]);
    assert_eq!(replayed.compared.devices, 1_200);
    assert!(replayed.compared.packets >= 100_000, "{replayed:?}");
}

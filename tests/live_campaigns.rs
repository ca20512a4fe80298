//! Campaigns by the program itself, over real sockets: each wire profile, brokers that drop, forget and
//! refuse, processes that die, and results that somebody has touched.

mod mosquitto;
mod program;

use fleetstorm::run::replay::replay;
use mosquitto::{Message, Mosquitto, Outsider};
use program::{Bench, Finished};
use rumqttc::QoS;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

/// Devices of each fleet.
const DEVICES: usize = 60;

/// Bytes of the image: eight blocks.
const IMAGE: u64 = 32_768;

const TEXT: &str = r#"
name: rollout
seed: 7
target: { embedded: { nodes: 2, me: ME } }
fleet:
  - cohort: meters
    devices: 60
    attributes: { hw: { B: 50%, C: 50% }, fw: { "1.4.2": 100% } }
    client: { keep_alive: 60s, backoff: { full_jitter: { base: 100ms, cap: 500ms } } }
    session: { clean: false }
    telemetry: [ { stream: power, topic: "d/{device}/power", qos: 1, every: 1s, payload: { bytes: 64 } } ]
    reported: { topic: "d/{device}/reported" }
    update: { profile: PROFILE, FLASH block: 4096, verify: 10ms, install: 10ms, reboot: { uniform: { min: 100ms, max: 300ms } }, self_test: 50ms, block_timeout: 2s, answer_timeout: 2s }
campaigns:
  - { campaign: fw-2, image: { version: "2.0.0", bytes: 32768, defects: [ DEFECTS ] }, rollout: { ROLLOUT }, in_progress_timeout: 1min }
phases:
  - { name: ramp, power_on: { rate: 200/s } }
  - { name: rollout, for: LENGTH, faults: [ FAULTS ], actions: [ { start: fw-2, at: 500ms } ] }
slos:
  - { name: everyone, indicator: ota.completion, of: fw-2, share: 100%, at_most: 1min }
"#;

const JSON: &str = "{ aws_jobs: { encoding: json } }";

/// What is set in [`TEXT`].
#[derive(Copy, Clone)]
struct Text {
    profile: &'static str,
    me: &'static str,
    /// Bytes of the flash per second, with a comma.
    flash: &'static str,
    rollout: &'static str,
    defects: &'static str,
    faults: &'static str,
    length: &'static str,
}

impl Text {
    /// A sound image for a fleet of `profile`, as fast as it comes.
    const fn of(profile: &'static str) -> Self {
        Self {
            profile,
            me: "shared",
            flash: "",
            rollout: "constant: 6000/min",
            defects: "",
            faults: "",
            length: "4s",
        }
    }

    /// A download takes three seconds or so, and a campaign is far from its end for a while.
    const fn slow(self, length: &'static str) -> Self {
        Self {
            flash: "flash_rate: 10000,",
            length,
            ..self
        }
    }

    fn bench(self) -> Bench {
        let text = TEXT
            .replace("PROFILE", self.profile)
            .replace("ME", self.me)
            .replace("FLASH", self.flash)
            .replace("ROLLOUT", self.rollout)
            .replace("DEFECTS", self.defects)
            .replace("FAULTS", self.faults)
            .replace("LENGTH", self.length);
        Bench::new("run", &text)
    }
}

/// Runs each to its end, all at the same time.
fn run_all(benches: &[Bench], arguments: &[&str]) -> Vec<Finished> {
    let arguments = &[&["--workers", "1"], arguments].concat();
    thread::scope(|scope| {
        let runs = benches.iter();
        let runs: Vec<_> = runs
            .map(|bench| scope.spawn(|| bench.run(arguments)))
            .collect();
        let end = |run: thread::ScopedJoinHandle<'_, Finished>| run.join().expect("it is run");
        runs.into_iter().map(end).collect()
    })
}

/// The rows of a file of results, by the names of their columns.
fn rows(out: &Path, file: &str) -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(out.join(file)).expect("the run wrote it");
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let row = |line: &str| {
        let cells = line.split(',').map(str::to_owned);
        names
            .iter()
            .map(|name| (*name).to_owned())
            .zip(cells)
            .collect()
    };
    lines.map(row).collect()
}

/// The columns of both witnesses' rows, each target exactly once by the operator's word.
fn both(out: &Path, column: &str) -> [Vec<String>; 2] {
    let operator = rows(out, "results-fw-2.csv");
    let mut devices: Vec<usize> = operator
        .iter()
        .map(|row| row["device"].parse().expect("an index"))
        .collect();
    devices.sort_unstable();
    assert!(devices.into_iter().eq(0..DEVICES), "{operator:#?}");
    [operator, rows(out, "device-results-fw-2.csv")].map(|rows| {
        let cells = rows.iter().map(|row| row[column].clone());
        cells.collect()
    })
}

/// Rules that a machine that does other things may break.
fn broken_rules(run: &Finished) -> Vec<String> {
    let rules = run.report["generator"]["rules"].as_array();
    let rules = rules.unwrap_or_else(|| panic!("no rules: {}", run.said));
    let broken = rules
        .iter()
        .filter(|rule| rule["holds"] == false && rule["name"] != "Driver lag");
    broken.map(ToString::to_string).collect()
}

/// Nothing is wrong with the run, all targets are confirmed by both witnesses, and each device got so
/// many bytes as the image has.
fn must_be_complete(what: &str, bench: &Bench, run: &Finished) {
    assert!(matches!(run.code, Some(0 | 4)), "{what}: {}", run.said);
    assert_eq!(broken_rules(run), Vec::<String>::new(), "{what}");
    for outcomes in both(&bench.out(), "outcome") {
        assert_eq!(outcomes, ["confirmed"; DEVICES], "{what}: {}", run.said);
    }
    let campaign = &run.report["campaigns"][0];
    assert_eq!(campaign["witnesses"]["agree"], DEVICES, "{what}");
    assert_eq!(run.report["delivery"]["lost"], 0, "{what}");
    let objective = &run.report["objectives"][0];
    assert_eq!(objective["verdict"], "PASS", "{what}: {objective:#}");
    must_not_be_late(what, run);
}

/// No deadline was over before it was armed: that would look like a driver seconds late, and no machine
/// on which these tests end is.
fn must_not_be_late(what: &str, run: &Finished) {
    let worst = run.report["generator"]["lag_worst_us"].as_u64();
    let worst = worst.expect("it is measured");
    assert!(worst < 3_000_000, "{what}: a lag of {worst} us");
}

/// Nothing was sent twice. What an HTTP server sends the operator does not see.
fn must_have_bytes(what: &str, bench: &Bench, run: &Finished) {
    let [operator, devices] = both(&bench.out(), "bytes");
    let is_over_http = what.contains("generic");
    let served = if is_over_http { 0 } else { IMAGE };
    for (bytes, each) in [(operator, served), (devices, IMAGE)] {
        assert_eq!(bytes, vec![each.to_string(); DEVICES], "{what}");
    }
    let all = DEVICES as u64 * IMAGE;
    let told = &run.report["campaigns"][0]["bytes"];
    assert_eq!(told["received"], all, "{what}");
    let served = told["served"].as_u64();
    assert_eq!(served, (!is_over_http).then_some(all), "{what}: {told:#}");
}

/// Recorded devices do the same again, byte for byte, given the same inputs.
fn must_replay(what: &str, bench: &Bench) {
    let replayed = replay(&bench.out(), None).expect("its inputs are recorded");
    if let Some(difference) = &replayed.difference {
        panic!("{what}: {difference}");
    }
    assert_eq!(replayed.compared.devices, 30, "{what}");
    assert!(replayed.compared.inputs > 500, "{what}: {replayed:?}");
}

/// Records half of the fleet.
const RECORD: [&str; 2] = ["--record-inputs", "50%"];

#[test]
fn each_profile_updates_its_whole_fleet() {
    let thingsboard = Text {
        me: "per_connection",
        ..Text::of("{ thingsboard: {} }")
    };
    let all = [
        ("json", Text::of(JSON)),
        ("cbor", Text::of("{ aws_jobs: { encoding: cbor } }")),
        ("thingsboard", thingsboard),
        (
            "thingsboard, one more",
            Text {
                profile: "{ thingsboard: { counts_one_more: true } }",
                ..thingsboard
            },
        ),
        ("generic action", Text::of("{ generic_action: {} }")),
    ];
    let benches = all.map(|(_, text)| text.bench());
    for ((what, _), (bench, run)) in all
        .iter()
        .zip(benches.iter().zip(run_all(&benches, &RECORD)))
    {
        must_be_complete(what, bench, &run);
        must_replay(what, bench);
        must_have_bytes(what, bench, &run);
    }
}

#[test]
fn a_plain_broker_is_enough_and_others_hear_what_is_reported() {
    let Some(broker) = Mosquitto::start() else {
        return;
    };
    let outsider = Outsider::connect(broker.port, "outsider");
    outsider.subscribe("$aws/things/+/jobs/+/update", QoS::AtLeastOnce);
    let all = [JSON, "{ generic_action: {} }"];
    let benches = all.map(|profile| Text::of(profile).bench());
    let runs = run_all(&benches, &["--target", &broker.url()]);
    for (profile, (bench, run)) in all.iter().zip(benches.iter().zip(runs)) {
        must_be_complete(profile, bench, &run);
        must_have_bytes(profile, bench, &run);
    }
    let heard = outsider.heard("$aws/");
    let of = |status: &str| -> BTreeSet<&str> {
        let status = format!("\"status\":\"{status}\"");
        let says = |message: &&Message| {
            let text = String::from_utf8_lossy(&message.payload);
            text.contains(&status)
        };
        let topics = heard.iter().filter(says);
        topics.map(|message| message.topic.as_str()).collect()
    };
    assert_eq!(of("SUCCEEDED").len(), DEVICES);
    assert_eq!(of("FAILED").len() + of("REJECTED").len(), 0);
    // The desk of each run leaves by a connection that clears its session.
    let cleared = broker.said(&["New client connected", "as fs-op-", "(p2, c1"]);
    assert_eq!(cleared, 2);
    broker.must_be_content();
}

#[test]
fn a_campaign_survives_a_restart_of_a_broker_that_remembers() {
    let Some(mut broker) = Mosquitto::start() else {
        return;
    };
    let run = Running::start(Text::of(JSON).slow("9s"), &["--target", &broker.url()]);
    broker.restart();
    let (bench, run) = run.end();
    must_be_complete("restart", &bench, &run);
    let resumed = broker.said(&["Sending CONNACK to fs-op-", "(1, 0)"]);
    assert_eq!(resumed, 1, "the desk did not come back to its session");
    broker.must_be_content();
}

#[test]
fn a_download_survives_resets_and_a_broker_that_forgets() {
    // Who is away when its turn comes finds the offer in its session.
    let reset =
        "{ outage: { reset: { within: 500ms, where: { share: 50% } } }, at: 1500ms, for: 3s }";
    let forget = "{ backend: { restart: { sessions: forget } }, at: 2s, for: 500ms }";
    let json = Text::of(JSON).slow("11s");
    let slow_rollout = Text {
        rollout: "constant: 1800/min",
        ..json
    };
    let thingsboard = Text {
        me: "per_connection",
        profile: "{ thingsboard: {} }",
        ..json
    };
    let all = [
        ("resets", slow_rollout, reset),
        ("no memory", json, forget),
        ("no memory, thingsboard", thingsboard, forget),
    ];
    let benches = all.map(|(_, text, faults)| Text { faults, ..text }.bench());
    let runs = run_all(&benches, &RECORD);
    for ((what, ..), (bench, run)) in all.iter().zip(benches.iter().zip(&runs)) {
        must_be_complete(what, bench, run);
        must_replay(what, bench);
    }
    // What was in flash is not fetched again; ThingsBoard's client begins anew.
    for bench in &benches[..2] {
        let [_, own] = both(&bench.out(), "bytes");
        assert!(
            own.iter().all(|bytes| *bytes == IMAGE.to_string()),
            "{own:?}"
        );
    }
    let [_, own] = both(&benches[2].out(), "bytes");
    let more = |bytes: &&String| bytes.parse::<u64>().expect("a count") > IMAGE;
    assert!(own.iter().filter(more).count() > DEVICES / 2, "{own:?}");
    // The fault was felt, in the middle of downloads.
    for run in &runs {
        let affected = run.report["recoveries"][0]["affected"].as_u64();
        assert!(
            affected.is_some_and(|n| n as usize >= DEVICES / 3),
            "{affected:?}"
        );
    }
}

#[test]
fn a_device_fails_by_itself_if_there_is_no_image_server() {
    let bench = Text {
        profile: r#"{ generic_action: { server: "http://127.0.0.1:1" } }, block_retries: 1"#,
        ..Text::of("")
    }
    .bench();
    let run = &run_all(std::slice::from_ref(&bench), &[])[0];
    assert!(matches!(run.code, Some(99 | 4)), "{}", run.said);
    assert_eq!(broken_rules(run), Vec::<String>::new());
    for (outcome, reason) in both(&bench.out(), "outcome")
        .iter()
        .zip(both(&bench.out(), "reason"))
    {
        assert_eq!(*outcome, ["failed"; DEVICES]);
        assert_eq!(reason, ["connection_lost"; DEVICES]);
    }
}

/// A run in the middle of its downloads.
struct Running {
    bench: Bench,
    program: Child,
    said: thread::JoinHandle<Vec<String>>,
}

impl Running {
    /// Starts it, and waits until half of the fleet has downloaded for a second of three, and the other
    /// half has its turn.
    fn start(text: Text, arguments: &[&str]) -> Self {
        let rollout = "packs: { size: 30, every: 1s }";
        let bench = Text { rollout, ..text }.bench();
        let arguments = [&["--workers", "1", "--ui", "plain"], arguments].concat();
        let mut program = bench
            .command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let errors = program.stderr.take().expect("standard error was piped");
        let mut lines = BufReader::new(errors).lines();
        let begun = lines.any(|line| line.expect("progress is text").contains("begins wave 2"));
        assert!(begun, "the program ended before the second pack");
        let said = thread::spawn(move || lines.map_while(Result::ok).collect());
        Self {
            bench,
            program,
            said,
        }
    }

    /// Its children: nodes, workers, the operator.
    fn children(&self) -> Vec<String> {
        let path = format!("/proc/{0}/task/{0}/children", self.program.id());
        let children = std::fs::read_to_string(path).expect("this kernel lists children");
        children.split_whitespace().map(str::to_owned).collect()
    }

    fn end(self) -> (Bench, Finished) {
        let output = self.program.wait_with_output();
        let mut run = self.bench.finish(&output.expect("it was started here"));
        let said = self.said.join().expect("it reads to the end").join("\n");
        run.said = format!("{said}\n{}", run.said);
        (self.bench, run)
    }
}

fn signal(name: &str, process: &str) {
    let sent = Command::new("kill").args(["-s", name, process]).status();
    assert!(sent.expect("kill is there").success());
}

/// Judges the directory `out` anew.
fn report(out: &Path) -> (Option<i32>, String, serde_json::Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_fleetstorm"))
        .arg("report")
        .arg(out)
        .env_remove("GITHUB_STEP_SUMMARY")
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let json = std::fs::read(out.join("report.json")).expect("it was written");
    let json = serde_json::from_slice(&json).expect("it is JSON");
    (output.status.code(), said, json)
}

#[test]
fn an_interrupted_campaign_is_told_to_its_last_target() {
    let run = Running::start(Text::of(JSON).slow("60s"), &[]);
    signal("INT", &run.program.id().to_string());
    let (bench, run) = run.end();
    assert_eq!(run.code, Some(130), "{}", run.said);
    assert_eq!(run.report["verdict"], "INTERRUPTED");
    assert_eq!(broken_rules(&run), Vec::<String>::new());
    let [operator, own] = both(&bench.out(), "outcome");
    let begun = operator.iter().filter(|outcome| *outcome == "timed_out");
    let others = operator.iter().filter(|outcome| *outcome == "cancelled");
    let (begun, others) = (begun.count(), others.count());
    assert!(begun >= 30 && begun + others == DEVICES, "{operator:?}");
    assert!(own.len() >= 30, "{own:?}");
    assert!(own.iter().all(|outcome| outcome == "unfinished"), "{own:?}");
    // Nobody cancelled it: the run ended.
    let cancelled = &run.report["campaigns"][0]["cancelled_s"];
    assert!(cancelled.is_null(), "{cancelled}");
    let files = ["report.html", "report.json", "summary.md", "junit.xml"];
    let read = || files.map(|file| std::fs::read(bench.out().join(file)).expect("it is there"));
    let before = read();
    assert_eq!(report(&bench.out()).0, Some(130));
    assert!(before == read(), "the report differs from the first one");
}

#[test]
fn a_lost_process_is_named_and_the_targets_are_told_of() {
    for (from_the_end, name, rows, rowless) in [(1, "operator", 0, 60), (2, "worker 0", 60, 0)] {
        let run = Running::start(Text::of(JSON).slow("60s"), &[]);
        let children = run.children();
        signal("KILL", &children[children.len() - from_the_end]);
        let (_, run) = run.end();
        assert_eq!(run.code, Some(4), "{}", run.said);
        assert_eq!(run.report["verdict"], "INVALID");
        let lost = run.report["reason"].as_str().expect("a sentence");
        assert!(
            lost.to_lowercase()
                .contains(&format!("{name} was lost at 0:0"))
                && lost.contains("killed by signal 9"),
            "{lost}"
        );
        let campaign = &run.report["campaigns"][0];
        let told = (&campaign["targets"], &campaign["rowless"]);
        assert_eq!(
            (told.0.as_u64(), told.1.as_u64()),
            (Some(rows), Some(rowless))
        );
        assert!(
            run.said.contains("campaign fw-2: 60 targets: "),
            "{}",
            run.said
        );
    }
}

#[test]
fn results_that_were_touched_make_the_run_invalid() {
    let bench = Text {
        defects: r#"{ where: { hw: C }, from: "1.4.2", effect: rolls_back }"#,
        ..Text::of(JSON)
    }
    .bench();
    let run = &run_all(std::slice::from_ref(&bench), &[])[0];
    assert!(matches!(run.code, Some(99 | 4)), "{}", run.said);
    assert_eq!(broken_rules(run), Vec::<String>::new());
    let path = bench.out().join("results-fw-2.csv");
    let text = std::fs::read_to_string(&path).expect("the run wrote it");
    let lines: Vec<&str> = text.lines().collect();
    let at = |word: &str| {
        let found = lines.iter().position(|line| line.contains(word));
        found.expect("half of the fleet each")
    };
    let name = |line: usize| lines[line].split(',').nth(1).expect("a name").to_owned();
    let (good, bad) = (at(",confirmed,"), at(",rolled_back,"));
    let changed = |line: usize, to: &str| {
        let mut lines = lines.clone();
        lines[line] = to;
        lines.join("\n") + "\n"
    };
    let lie = lines[bad].replace(",rolled_back,update_failed,", ",confirmed,success,");
    let doubled = format!("{0}\n{0}", lines[good]);
    let cases = [
        ("untouched", text.clone(), None),
        (
            "a row removed",
            text.replace(&format!("{}\n", lines[good]), ""),
            Some("fw-2: 59 rows of 60 targets".to_owned()),
        ),
        (
            "a row doubled",
            changed(good, &doubled),
            Some(format!("fw-2: {} has more than one row", name(good))),
        ),
        (
            "a lie",
            changed(bad, &lie),
            Some(format!(
                "{} says rolled_back and the operator confirmed",
                name(bad)
            )),
        ),
        (
            "no such word",
            changed(good, &lines[good].replace(",confirmed,", ",fine,")),
            Some(format!("line {}: not a line of results", good + 1)),
        ),
    ];
    for (what, text, sentence) in cases {
        std::fs::write(&path, text).expect("it is writable");
        let (code, said, json) = report(&bench.out());
        match sentence {
            None => assert_eq!(code, run.code, "{what}: {said}"),
            Some(sentence) => {
                assert_eq!(code, Some(4), "{what}: {said}");
                assert_eq!(json["verdict"], "INVALID", "{what}");
                assert!(said.contains(&sentence), "{what}: {said}");
            }
        }
    }
}

/// A server of MQTT that accepts everybody and refuses subscriptions to topics that begin with `$`.
fn strict_server() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            // The client may go at any time.
            thread::spawn(move || serve_strictly(connection).ok());
        }
    });
    port
}

fn serve_strictly(mut connection: TcpStream) -> std::io::Result<()> {
    loop {
        let mut byte = [0];
        connection.read_exact(&mut byte)?;
        let kind = byte[0] >> 4;
        let (mut len, mut shift) = (0usize, 0);
        loop {
            connection.read_exact(&mut byte)?;
            len |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] < 0x80 {
                break;
            }
        }
        let mut body = vec![0; len];
        connection.read_exact(&mut body)?;
        match kind {
            1 => connection.write_all(&[0x20, 2, 0, 0])?,
            8 => {
                let (id, mut filters) = body.split_at(2);
                let mut codes = Vec::new();
                while let [high, low, rest @ ..] = filters {
                    let len = usize::from(u16::from_be_bytes([*high, *low]));
                    codes.push(if rest[0] == b'$' { 0x80 } else { rest[len] });
                    filters = &rest[len + 1..];
                }
                let len = u8::try_from(2 + codes.len()).expect("a handful of filters");
                connection.write_all(&[&[0x90, len], id, &codes].concat())?;
            }
            _ => {}
        }
    }
}

#[test]
fn a_target_that_is_dead_or_refuses_to_be_listened_to_is_said_so() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
    let dead = free.local_addr().expect("it is bound").port();
    drop(free);
    for (port, sentence) in [
        (dead, "is not reachable"),
        (
            strict_server(),
            "refuses a subscription of the operator's session fs-op-",
        ),
    ] {
        let bench = Text::of(JSON).bench();
        let run = bench.run(&[
            "--workers",
            "1",
            "--target",
            &format!("mqtt://127.0.0.1:{port}"),
        ]);
        assert_eq!(run.code, Some(3), "{}", run.said);
        assert!(run.said.contains(sentence), "{}", run.said);
        assert!(!bench.out().exists(), "it left a directory");
    }
}

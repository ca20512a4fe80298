//! The operator's worker and the image server over real sockets: campaigns and commands to their end,
//! an interrupted one, and the loss of the process.

mod live_arm;
mod program;

use fleetstorm::scenario::file::Overrides;
use fleetstorm::stats::results::{
    CampaignMark, CommandOutcome, Finding, Outcome as Ended, ResultRow, Witness,
};
use fleetstorm::stats::series::Metric;
use live_arm::{Outcome, run, run_until};
use program::Bench;
use std::process::{Command, Stdio};
use std::time::Duration;

const DEVICES: u32 = 20;
const IMAGE_BYTES: u64 = 20_000;

/// Twenty devices on two nodes that are offered an image half a second after the ramp.
fn campaign(profile: &str, length: &str) -> String {
    format!(
        r#"
name: rollout
seed: 7
target: {{ embedded: {{ nodes: 2 }} }}
fleet:
  - cohort: meters
    devices: {DEVICES}
    attributes: {{ fw: {{ "1.4.2": 100% }} }}
    client: {{ keep_alive: 60s, backoff: {{ full_jitter: {{ base: 100ms, cap: 500ms }} }} }}
    session: {{ clean: false }}
    telemetry: [ {{ stream: power, topic: "d/{{device}}/power", qos: 1, every: 500ms, payload: {{ bytes: 64 }} }} ]
    reported: {{ topic: "d/{{device}}/reported" }}
    commands: {{ topic: "d/{{device}}/rpc", work: 10ms }}
    update: {{ profile: {{ {profile} }}, block: 4096, verify: 10ms, install: 10ms, reboot: {{ uniform: {{ min: 100ms, max: 300ms }} }}, self_test: 50ms }}
campaigns:
  - {{ campaign: fw-2, image: {{ version: "2.0.0", bytes: {IMAGE_BYTES} }}, rollout: at_once, in_progress_timeout: 1min }}
commands:
  - {{ command: slow-down, payload: "{{}}", timeout: 1s }}
phases:
  - {{ name: ramp, power_on: {{ rate: 100/s }} }}
  - {{ name: rollout, for: {length}, actions: [ {{ start: fw-2, at: 500ms }}, {{ command: slow-down, at: 200ms }} ] }}
slos:
  - {{ name: nothing is lost, indicator: delivery.lost, at_most: 0 }}
"#
    )
}

fn rows(outcome: &Outcome, witness: Witness) -> Vec<ResultRow> {
    let rows = outcome.findings.iter().filter_map(|finding| match finding {
        Finding::Result(row) => Some(*row),
        Finding::Command(_)
        | Finding::Query(_)
        | Finding::Campaign { .. }
        | Finding::CommandStarted { .. } => None,
    });
    let mut rows: Vec<ResultRow> = rows.filter(|row| row.witness == witness).collect();
    rows.sort_by_key(|row| row.device);
    rows
}

fn devices(rows: &[ResultRow]) -> Vec<u32> {
    rows.iter().map(|row| row.device).collect()
}

/// All devices are updated, by both witnesses.
fn must_be_complete(outcome: &Outcome) {
    assert!(outcome.drained, "{:#?}", outcome.findings);
    for witness in [Witness::Operator, Witness::Device] {
        let rows = rows(outcome, witness);
        assert!(devices(&rows).into_iter().eq(0..DEVICES), "{rows:#?}");
        for row in &rows {
            assert_eq!(row.outcome, Ended::Confirmed, "{row:?}");
        }
    }
    for row in rows(outcome, Witness::Device) {
        assert_eq!(row.bytes, IMAGE_BYTES, "{row:?}");
    }
    let started = |finding: &&Finding| {
        let mark = CampaignMark::Started { targets: DEVICES };
        matches!(finding, Finding::Campaign { mark: said, .. } if *said == mark)
    };
    assert_eq!(outcome.findings.iter().filter(started).count(), 1);
    let commands = outcome.findings.iter().filter_map(|finding| match finding {
        Finding::Command(row) => Some(row.outcome),
        Finding::Result(_)
        | Finding::Query(_)
        | Finding::Campaign { .. }
        | Finding::CommandStarted { .. } => None,
    });
    let commands: Vec<CommandOutcome> = commands.collect();
    assert_eq!(commands, [CommandOutcome::Succeeded; DEVICES as usize]);
    let delivery = &outcome.totals.delivery;
    assert_eq!((delivery.lost, delivery.unverified), (0, 0), "{delivery:?}");
    assert_eq!(outcome.warnings, Vec::<String>::new());
    // Telemetry goes on meanwhile.
    assert!(
        outcome
            .histogram(Metric::AckResponse)
            .percentile_us(50.0)
            .is_some()
    );
}

#[test]
fn a_campaign_over_mqtt_comes_to_its_end() {
    for encoding in ["json", "cbor"] {
        let profile = format!("aws_jobs: {{ encoding: {encoding} }}");
        must_be_complete(&run(&campaign(&profile, "3s"), Overrides::default(), 2));
    }
}

#[test]
fn a_campaign_over_http_downloads_from_the_server_of_the_run() {
    let text = campaign("generic_action: {}", "3s");
    must_be_complete(&run(&text, Overrides::default(), 2));
}

#[test]
fn an_interrupted_campaign_has_a_row_per_target_all_the_same() {
    // Until the phase is over nobody is done: the image comes at 10 kB per second.
    let text = campaign("aws_jobs: {}", "60s").replace("verify:", "flash_rate: 5000, verify:");
    let outcome = run_until(&text, Overrides::default(), 2, Some(Duration::from_secs(2)));
    let told = rows(&outcome, Witness::Operator);
    assert!(devices(&told).into_iter().eq(0..DEVICES), "{told:#?}");
    let own = rows(&outcome, Witness::Device);
    assert!(!own.is_empty());
    for row in own {
        assert_eq!(row.outcome, Ended::Unfinished, "{row:?}");
    }
}

#[test]
fn the_program_tells_its_workers_where_images_are() {
    let bench = Bench::new("run", &campaign("generic_action: {}", "3s"));
    let run = bench.run(&["--workers", "2", "--ui", "plain"]);
    // Whether a busy machine made it late is not asked here.
    assert!(
        matches!(run.code, Some(0 | 4 | 5)),
        "{:?} {}",
        run.code,
        run.said
    );
    for said in [
        "campaign fw-2 begins: 20 devices",
        "campaign fw-2 is complete",
    ] {
        assert!(run.said.contains(said), "{}", run.said);
    }
}

#[test]
fn a_killed_operator_makes_the_run_invalid_and_is_named() {
    let bench = Bench::new("run", &campaign("aws_jobs: {}", "60s"));
    let mut program = bench
        .command(&["--workers", "1", "--ui", "plain"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let errors = program.stderr.take().expect("standard error was piped");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(errors));
    let begun = lines.any(|line| line.expect("progress is text").contains("phase rollout"));
    assert!(begun, "the program ended before its second phase");
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
    let path = format!("/proc/{0}/task/{0}/children", program.id());
    let children = std::fs::read_to_string(path).expect("this kernel lists children");
    // Nodes are started first, then workers, the operator last.
    let operator = children.split_whitespace().last().expect("it has children");
    let killed = Command::new("kill").args(["-s", "KILL", operator]).status();
    assert!(killed.expect("kill is there").success());
    let output = program.wait_with_output().expect("it was started here");
    let said = rest.join().expect("it reads to the end").join("\n");
    let run = bench.finish(&output);
    assert_eq!(run.code, Some(4), "{said}\n{}", run.said);
    assert!(said.contains("lost operator"), "{said}");
    assert_eq!(
        run.report["verdict"], "INVALID",
        "{:#}",
        run.report["verdict"]
    );
}

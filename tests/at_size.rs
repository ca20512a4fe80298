//! What only shows at size: a live run and its simulation hold the same fleet, and what a simulated
//! device weighs. In release and on request: `cargo test --release --test at_size -- --ignored`.

mod program;

use fleetstorm::stats::books::Books;
use fleetstorm::stats::evidence::{self, Line, Outcome};
use fleetstorm::stats::series;
use program::{Bench, Finished};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Says a figure, also when the test passes.
fn say(figure: &str) {
    let _ = writeln!(std::io::stderr(), "{figure}");
}

fn run(bench: &Bench, arguments: &[&str]) -> Finished {
    let run = bench.run(arguments);
    assert_eq!(run.code, Some(0), "{}", run.said);
    assert_eq!(run.report["counts"]["balanced"], true, "{}", run.said);
    assert_eq!(run.report["counts"]["schedule_agrees"], true);
    run
}

/// How the run ended.
fn outcome(out: &Path) -> Outcome {
    let (lines, torn) = evidence::read(out).expect("a run directory");
    assert_eq!(torn, None);
    let outcome = lines.into_iter().find_map(|line| match line {
        Line::Outcome(outcome) => Some(*outcome),
        Line::Header(_)
        | Line::Started { .. }
        | Line::Phase { .. }
        | Line::Fault { .. }
        | Line::Warning { .. }
        | Line::Lost { .. }
        | Line::Interrupted { .. }
        | Line::Backend { .. }
        | Line::Campaign { .. }
        | Line::CommandStarted { .. } => None,
    });
    outcome.expect("the run came to its end")
}

/// Planned publishes by stream and phase.
fn planned(out: &Path) -> Vec<Vec<u64>> {
    let books = outcome(out).totals.books;
    let of = |phases: &Vec<Books>| phases.iter().map(|books| books.planned).collect();
    books.iter().map(of).collect()
}

/// Connected devices at the end of each second.
fn connected(out: &Path) -> Vec<u64> {
    let rows = series::read(out).expect("the series are whole").rows;
    rows.iter().map(|row| row.gauges.connected).collect()
}

fn p50_us(run: &Finished) -> f64 {
    let value = &run.report["latency"]["publish_ack_response"]["steady"]["p50"];
    value.as_f64().unwrap_or_else(|| panic!("p50 is {value}"))
}

#[test]
#[ignore = "takes 100 s, and wants release and a machine to itself"]
fn a_live_fleet_and_its_simulation_do_the_same() {
    const DEVICES: u64 = 10_000;
    let text = include_str!("../scenarios/steady-state.yaml");
    let arguments = ["--devices", "10000", "--ui", "off"];
    let (live, simulated) = (Bench::new("run", text), Bench::new("simulate", text));
    let (live_run, simulated_run) = (run(&live, &arguments), run(&simulated, &arguments));
    say(&format!(
        "publish to PUBACK, p50 in the phase `steady`: live {} us, simulated {} us",
        p50_us(&live_run),
        p50_us(&simulated_run)
    ));

    let plan = planned(&live.out());
    assert_eq!(plan, planned(&simulated.out()));
    assert!(plan[0].iter().sum::<u64>() > DEVICES, "{plan:?}");

    let phases = live_run.report["phases"].as_array().expect("a list");
    let edges: Vec<f64> = (phases.iter())
        .flat_map(|phase| [&phase["start_s"], &phase["end_s"]])
        .map(|edge| edge.as_f64().expect("seconds"))
        .collect();
    let near_an_edge = |at: f64| edges.iter().any(|edge| (0.0..=2.0).contains(&(at - edge)));
    let (mut compared, mut furthest) = (0, 0);
    let both = connected(&live.out())
        .into_iter()
        .zip(connected(&simulated.out()));
    for (at, (live, simulated)) in (1u32..).zip(both) {
        if near_an_edge(f64::from(at)) {
            continue;
        }
        let off = live.abs_diff(simulated);
        assert!(
            off <= DEVICES / 50,
            "after {at} s {live} devices are connected live, {simulated} in the simulation"
        );
        compared += 1;
        furthest = furthest.max(off);
    }
    assert!(compared > 80, "{compared} seconds were compared");
    say(&format!(
        "connected devices differ by at most {furthest} of {DEVICES} in {compared} seconds"
    ));
}

/// Simulates so many devices with one QoS 1 stream each, all of them observed, and gives the peak of
/// the program's resident memory in KiB.
fn peak_kib(devices: u32) -> u64 {
    let bench = Bench::new(
        "simulate",
        r#"
name: weight
target: { embedded: {} }
fleet:
  - cohort: meters
    devices: 1
    telemetry: [ { stream: power, topic: "d/{device}/power", qos: 1, every: 60s, payload: { bytes: 64 } } ]
phases:
  - { name: ramp, power_on: { rate: 20000/s } }
  - { name: steady, for: 60s }
slos:
  - { name: nothing is lost, indicator: delivery.lost, at_most: 0 }
"#,
    );
    let mut child = bench
        .command(&["--ui", "off", "--devices", &devices.to_string()])
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut peak = 0;
    // A process that has ended has no memory left to look at. The fleet is gone before the report
    // is made, so the peak lies well before the end.
    let code = loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            break status.code();
        }
        peak = peak.max(high_water_kib(child.id()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(code, Some(0));
    peak
}

/// The highest resident memory of a process so far.
fn high_water_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// One million devices in 1 GiB.
#[test]
#[ignore = "200 000 devices want release"]
fn a_simulated_device_weighs_little() {
    const FEW: u32 = 1_000;
    const MANY: u32 = 200_000;
    let (few, many) = (peak_kib(FEW), peak_kib(MANY));
    assert!(few > 0, "the memory of a short run was seen");
    let bytes = (many - few) * 1024 / u64::from(MANY - FEW);
    say(&format!(
        "{bytes} bytes per simulated device ({few} KiB for {FEW}, {many} KiB for {MANY})"
    ));
    assert!(bytes <= 1_073, "{bytes} bytes per device");
}

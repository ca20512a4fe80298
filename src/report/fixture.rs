//! Test fixture: runs as they would be read from a run directory, with all figures made up by a
//! fixed formula.

pub(super) mod campaign;

use super::data::RunData;
use crate::mqtt::packet::QoS;
use crate::scenario::fixture;
use crate::scenario::plan::{
    Auth, BackendFault, BrokerUrl, Brokers, Fault, FaultKind, Phase, Plan, Schedule, Sessions,
    Target, Topology,
};
use crate::scenario::slo::{Bound, Indicator, Limit, Objective, Statistic, Subject, Window};
use crate::stats::books::{Books, CommandCounts, DeliveryCounts, UpdateCounts};
use crate::stats::event::Cause;
use crate::stats::evidence::{FORMAT, Header, Mode, Outcome, Overrides};
use crate::stats::histogram::Histogram;
use crate::stats::recorder::{
    AttemptCounts, ErrorCount, ErrorKind, HerdCounts, ProcessGauges, Recovery, ResumeCounts, Totals,
};
use crate::stats::series::{Counters, Gauges, GeneratorRow, Metric, Percentiles, Row};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

/// T0 on the run's axis.
const START: Instant = Instant::from_ns(2_000_000_000);
const DEVICES: u32 = 10_000;
const METERS: u32 = 7_000;
/// Ends of ramp, steady, restart, recovery, from T0.
const ENDS_S: [u64; 4] = [10, 70, 80, 140];

/// The scenario's text as it would lie in the run directory.
pub(super) const SCENARIO: &str = "\
name: broker-restart
about: One broker node restarts; every device on it must come back within a minute.
seed: 42
target:
  embedded: { nodes: 2 }
fleet:
  - cohort: meters
    devices: 7000
    telemetry:
      - { stream: power, topic: \"d/{device}/power\", qos: 1, every: 60s, payload: { bytes: 120 } }
  - cohort: trackers
    devices: 3000
    telemetry:
      - { stream: gps, topic: \"d/{device}/gps\", qos: 0, every: 10s, payload: { bytes: 120 } }
phases:
  - { name: ramp, power_on: { rate: 1000/s } }
  - { name: steady, for: 60s }
  - { name: restart, for: 10s, faults: [ { backend: { restart: { node: 0, sessions: keep } } } ] }
  - { name: recovery, for: 60s }
slos:
  - { name: devices connect, indicator: connect.latency, percentile: 99, at_most: 2s, during: [ramp] }
  - { name: telemetry is acknowledged, indicator: publish.ack_latency, percentile: 99, at_most: 250ms, during: [steady] }
  - { name: the fleet comes back, indicator: reconnect.time, share: 99%, at_most: 60s, after: restart }
  - { name: nothing acknowledged is lost, indicator: delivery.lost, at_most: 0 }
  - { name: availability, indicator: fleet.availability, at_least: 90% }
";

/// An instant this many seconds after T0.
pub(super) fn at_s(s: u64) -> Instant {
    START.after(Duration::from_secs(s))
}

/// A run of 10 000 devices through ramp, steady, restart and recovery that meets everything.
pub(super) fn quickstart() -> RunData {
    static RUN: LazyLock<RunData> = LazyLock::new(make_quickstart);
    RUN.clone()
}

fn make_quickstart() -> RunData {
    let mut run = RunData::new(SCENARIO.to_owned(), plan(), header());
    run.started = Some((START, "2026-03-14T09:26:53Z".to_owned()));
    run.series.rows = (0..145).map(second).collect();
    run.series.generator = (0..145)
        .flat_map(|s| [0, 1].map(|w| generator(s, w)))
        .collect();
    run.series.histograms = histograms();
    run.outcome = Some(outcome());
    run.backends = BTreeMap::from([0u16, 1].map(|node| {
        let counts = [("connects", 8_400u64), ("publishes_received", 12_011)];
        let counts = counts.map(|(k, v)| (k.to_owned(), v + u64::from(node)));
        (node, (BTreeMap::from(counts), Vec::new()))
    }));
    run
}

/// A run with little of everything, for snapshots: two objectives, of which one fails, one worker
/// and a few histograms.
pub(super) fn tiny() -> RunData {
    let mut run = quickstart();
    run.plan.objectives = vec![
        run.plan.objectives[1].clone(),
        run.plan.objectives[3].clone(),
    ];
    run.header.workers = vec![10_000];
    run.header.host = [("cores".to_owned(), "2".to_owned())].into();
    run.series.generator.retain(|row| row.worker == 0);
    let keep = [
        Metric::ConnectLatency,
        Metric::AckResponse,
        Metric::AckResponseReplayed,
        Metric::ReconnectTime,
    ];
    run.series
        .histograms
        .retain(|(metric, _), _| keep.contains(metric));
    run.scenario_text = "name: broker-restart\n".to_owned();
    let outcome = run.outcome.as_mut().expect("the fixture has an outcome");
    outcome.totals.delivery.lost = 7;
    run.warnings.push((
        at_s(61),
        "the listen queue of 127.0.0.1:40001 overflowed".to_owned(),
    ));
    run
}

/// As [`quickstart`], with slow acknowledgements, lost messages, devices that stay away, and a
/// worker that ran hot.
pub(super) fn failing() -> RunData {
    let mut run = quickstart();
    let slow = values(7_000, |i| 1_500 + i % 900 * 700);
    run.series.histograms.insert((Metric::AckResponse, 1), slow);
    for row in &mut run.series.rows {
        let ack = &mut row.ack;
        ack.p50_us = ack.p50_us.map(|us| us * 40);
        ack.p99_us = ack.p99_us.map(|us| us * 90);
        ack.p999_us = ack.p999_us.map(|us| us * 60);
    }
    for row in run
        .series
        .generator
        .iter_mut()
        .filter(|row| row.worker == 1)
    {
        row.process.cpu_percent += 55.0;
    }
    let outcome = run.outcome.as_mut().expect("the fixture has an outcome");
    outcome.totals.delivery.lost = 7;
    outcome.totals.recoveries[0].recovered -= 90;
    let back = outcome.totals.recoveries[0].recovered;
    let times = values(back, |i| 900_000 + i * 5_300);
    run.series
        .histograms
        .insert((Metric::ReconnectTime, 2), times);
    run
}

/// As [`quickstart`], as a simulation leaves it: no wall clock, no host, no driver, and the facts of
/// its model.
pub(super) fn simulated() -> RunData {
    predicted(quickstart())
}

/// As [`simulated`], with what [`failing`] has.
pub(super) fn simulated_failing() -> RunData {
    predicted(failing())
}

/// As [`tiny`], simulated.
pub(super) fn simulated_tiny() -> RunData {
    predicted(tiny())
}

/// As [`simulated`], with two brokers for a target that the model stood in for.
pub(super) fn simulated_brokers() -> RunData {
    let mut run = simulated();
    run.plan.target = Target::Brokers(Brokers {
        urls: [("10.0.0.7", 1_883), ("fd00::8", 1_884)]
            .map(|(host, port)| BrokerUrl {
                host: host.to_owned(),
                port,
            })
            .to_vec(),
        topology: Topology::Cluster,
        auth: Auth::default(),
    });
    run
}

fn predicted(mut run: RunData) -> RunData {
    run.started = Some((START, String::new()));
    // What the fixture warns of is a listen queue of the kernel.
    run.warnings.clear();
    run.series.generator.retain(|row| row.worker == 0);
    for row in &mut run.series.generator {
        row.lag_p99_us = None;
        row.process = ProcessGauges::default();
    }
    let is_lag = |metric| metric == Metric::DriverLag;
    run.series
        .histograms
        .retain(|(metric, _), _| !is_lag(*metric));
    let header = &mut run.header;
    header.mode = Mode::Simulated;
    header.command = ["fleetstorm", "simulate", "scenarios/quickstart.yaml"]
        .map(str::to_owned)
        .to_vec();
    header.targets.clear();
    header.workers = vec![DEVICES];
    header.host.clear();
    let passage = "100 µs one way between device and node, and the cohort's link";
    header.model = [("passage".to_owned(), passage.to_owned())].into();
    let outcome = run.outcome.as_mut().expect("the fixture has an outcome");
    outcome.events = Some(1_234_567);
    run
}

/// An objective over the whole run or in phases.
pub(super) fn objective(
    name: &str,
    indicator: Indicator,
    statistic: Statistic,
    bound: Bound,
    window: Window,
) -> Objective {
    Objective {
        name: name.to_owned(),
        indicator,
        statistic,
        bound,
        window,
        subject: Subject::Fleet,
    }
}

/// `n` values in microseconds from a formula of their index.
pub(super) fn values(n: u64, us: impl Fn(u64) -> u64) -> Histogram {
    let mut histogram = Histogram::new();
    for i in 0..n {
        histogram.record_us(us(i));
    }
    histogram
}

/// The plan of [`SCENARIO`].
pub(super) fn plan() -> Plan {
    let mut plan = fixture::plan(METERS);
    plan.name = "broker-restart".to_owned();
    plan.about =
        "One broker node restarts; every device on it must come back within a minute.".to_owned();
    if let Target::Embedded(embedded) = &mut plan.target {
        embedded.nodes = 2;
    }
    let mut trackers = plan.cohorts[0].clone();
    trackers.name = "trackers".to_owned();
    trackers.first = METERS;
    trackers.devices = DEVICES - METERS;
    trackers.streams = 1..2;
    let mut gps = plan.streams[0].clone();
    gps.name = "gps".to_owned();
    gps.cohort = 1;
    gps.qos = QoS::AtMostOnce;
    gps.schedule = Schedule::Poisson {
        mean_gap: Duration::from_secs(10),
    };
    plan.cohorts.push(trackers);
    plan.streams.push(gps);
    plan.observe.devices = DEVICES;
    plan.phases = ["ramp", "steady", "restart", "recovery"]
        .iter()
        .zip(ENDS_S)
        .zip([0, 10, 70, 80])
        .map(|((name, end), start)| Phase {
            name: (*name).to_owned(),
            start: Duration::from_secs(start),
            length: Duration::from_secs(end - start),
            power_on: None,
        })
        .collect();
    plan.faults = vec![Fault {
        phase: 2,
        start: Duration::from_secs(70),
        clear: Duration::from_secs(80),
        kind: FaultKind::Backend {
            node: Some(0),
            fault: BackendFault::Restart {
                sessions: Sessions::Keep,
            },
        },
    }];
    plan.objectives = objectives();
    plan
}

fn objectives() -> Vec<Objective> {
    let time = |s: f64| Bound::AtMost(Limit::Time(Duration::from_secs_f64(s)));
    let p99 = Statistic::Percentile(99.0);
    vec![
        objective(
            "devices connect",
            Indicator::ConnectLatency,
            p99,
            time(2.0),
            Window::During(vec![0]),
        ),
        objective(
            "telemetry is acknowledged",
            Indicator::PublishAckLatency,
            p99,
            time(0.25),
            Window::During(vec![1]),
        ),
        objective(
            "the fleet comes back",
            Indicator::ReconnectTime,
            Statistic::Share(0.99),
            time(60.0),
            Window::After(2),
        ),
        objective(
            "nothing acknowledged is lost",
            Indicator::DeliveryLost,
            Statistic::Value,
            Bound::AtMost(Limit::Count(0)),
            Window::Run,
        ),
        objective(
            "availability",
            Indicator::FleetAvailability,
            Statistic::Value,
            Bound::AtLeast(Limit::Ratio(0.9)),
            Window::Run,
        ),
    ]
}

fn header() -> Header {
    let host = [
        ("kernel", "Linux 6.12.48 x86_64"),
        ("cpu", "AMD EPYC 7763 64-Core Processor"),
        ("cores", "2"),
        ("memory", "24.0 GiB"),
        ("nofile", "20000 (hard)"),
    ];
    Header {
        format: FORMAT,
        mode: Mode::Live,
        version: "0.1.0".to_owned(),
        command: ["fleetstorm", "run", "scenarios/quickstart.yaml"]
            .map(str::to_owned)
            .to_vec(),
        overrides: Overrides::default(),
        plan_hash: plan().hash,
        run_id: "5f0c21aa".to_owned(),
        seed: 42,
        targets: vec!["127.0.0.1:40001".to_owned(), "127.0.0.1:40002".to_owned()],
        workers: vec![5_000, 5_000],
        host: host.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        model: BTreeMap::new(),
    }
}

/// A number from 0 to 99 that looks drawn.
fn wobble(second: u32, salt: u32) -> u64 {
    u64::from((second * 2_654_435 + salt * 40_503).wrapping_mul(1_103_515_245) >> 16) % 100
}

/// Devices connected at the end of a second.
fn connected(second: u32) -> u64 {
    match second {
        0..10 => u64::from(second + 1) * 1_000,
        10..70 => 10_000,
        70..80 => 5_010,
        80.. => 10_000 - (4_990f64 * (-f64::from(second - 79) / 6.0).exp()) as u64,
    }
}

fn second(second: u32) -> Row {
    let is_load = second < 140;
    let up = connected(second);
    let before = if second == 0 {
        0
    } else {
        connected(second - 1)
    };
    let connects = up.saturating_sub(before);
    let planned = if is_load {
        u64::from(second.min(9) + 1) * 40 + wobble(second, 1) / 2
    } else {
        0
    };
    let sent = match second {
        70..80 => planned / 2,
        80..92 => planned + 170,
        _ => planned,
    };
    let storm = u64::from((80..92).contains(&second));
    Row {
        second,
        counters: Counters {
            attempts: connects
                + if (70..80).contains(&second) {
                    900
                } else {
                    storm * 60
                },
            connects,
            attempt_failures: if (70..80).contains(&second) { 900 } else { 0 },
            disconnects: if second == 70 { 4_990 } else { 0 },
            planned,
            sent,
            acked: sent * 2 / 7,
            written: sent * 5 / 7,
            timers: planned * 3,
            ..Counters::default()
        },
        gauges: Gauges {
            powered: u64::from(second.min(9) + 1) * 1_000,
            expected: u64::from(second.min(9) + 1) * 1_000,
            connected: up,
            waiting: 0,
        },
        ack: if sent == 0 {
            Percentiles::default()
        } else {
            Percentiles {
                p50_us: Some(380 + wobble(second, 2)),
                p99_us: Some(1_400 + wobble(second, 3) * 9 + storm * 9_000_000),
                p999_us: Some(4_100 + wobble(second, 4) * 60 + storm * 11_000_000),
            }
        },
        ..Row::default()
    }
}

fn generator(second: u32, worker: u32) -> GeneratorRow {
    let spin = wobble(second, 7 + worker);
    GeneratorRow {
        second,
        worker,
        lag_p99_us: Some(120 + spin * 3),
        timers: 600,
        process: ProcessGauges {
            cpu_percent: 14.0 + spin as f32 / 4.0,
            fds: 5_060,
            rss_bytes: 41_000_000 + u64::from(second) * 1_000,
            ports: 2_520,
        },
    }
}

fn histograms() -> BTreeMap<(Metric, u16), Histogram> {
    let slow = |i: u64| u64::from(i.is_multiple_of(97)) * (2_500 + i % 3_000);
    let ack = |i: u64| 310 + (i * 7_919) % 400 + slow(i);
    let mut all = BTreeMap::new();
    all.insert(
        (Metric::ConnectLatency, 0),
        values(10_000, |i| 900 + i % 4_000),
    );
    all.insert(
        (Metric::ConnectLatency, 2),
        values(9_000, |i| 90_000 + i * 3),
    );
    all.insert(
        (Metric::ConnectLatency, 3),
        values(4_990, |i| 950 + i % 5_000),
    );
    all.insert(
        (Metric::ReconnectTime, 2),
        values(4_990, |i| 40_000 + i * 5_300),
    );
    for (phase, n) in [(0, 580), (1, 7_000), (2, 583), (3, 6_000)] {
        all.insert((Metric::AckResponse, phase), values(n, ack));
        all.insert((Metric::AckService, phase), values(n, |i| ack(i) - 40));
        all.insert((Metric::EndToEnd, phase), values(n * 3, |i| ack(i) + 220));
        all.insert((Metric::DriverLag, phase), values(n * 4, |i| 60 + i % 140));
    }
    for phase in [2, 3] {
        let late = |i: u64| 700_000 + i * 21_000;
        all.insert((Metric::AckResponseReplayed, phase), values(590, late));
        all.insert(
            (Metric::EndToEndReplayed, phase),
            values(590, |i| late(i) + 300),
        );
    }
    all
}

fn books(acked: u64) -> Vec<Books> {
    let shares = [580, 7_000, 1_173, acked - 8_753];
    shares
        .map(|n| Books {
            planned: n,
            sent: n,
            acked: n,
            ..Books::default()
        })
        .to_vec()
}

fn written(n: u64) -> Vec<Books> {
    let shares = [1_500, 18_000, 3_000, n - 22_500];
    shares
        .map(|n| Books {
            planned: n,
            sent: n,
            written: n,
            ..Books::default()
        })
        .to_vec()
}

fn outcome() -> Outcome {
    let attempt = |accepted, failed| AttemptCounts {
        accepted,
        failed,
        wasted: 0,
    };
    let error = |kind, count, first, last| ErrorCount {
        kind,
        count,
        first: at_s(first),
        last: at_s(last),
        example_device: 7_017,
    };
    Outcome {
        end: at_s(140),
        drained: at_s(145),
        drain_complete: true,
        totals: Totals {
            books: vec![books(15_343), written(40_500)],
            schedule_agrees: true,
            attempts: vec![
                attempt(10_000, 0),
                attempt(0, 0),
                attempt(0, 9_000),
                attempt(4_990, 0),
            ],
            availability: vec![
                (49_900.0, 50_000.0),
                (600_000.0, 600_000.0),
                (50_100.0, 100_000.0),
                (569_900.0, 600_000.0),
            ],
            recoveries: vec![Recovery {
                affected: 4_990,
                recovered: 4_990,
            }],
            herds: vec![HerdCounts {
                devices: 4_990,
                attempts: 14_970,
                resumes: ResumeCounts {
                    reconnects: 4_990,
                    resumed: 4_985,
                },
            }],
            freshness: None,
            wills: None,
            resumes: [(0, 0), (0, 0), (0, 0), (4_990, 4_985)]
                .map(|(reconnects, resumed)| ResumeCounts {
                    reconnects,
                    resumed,
                })
                .to_vec(),
            backlogs: Vec::new(),
            delivery: DeliveryCounts {
                verified_acks: 15_343,
                seen: 55_840,
                duplicated_explained: 12,
                undelivered: 3,
                ..DeliveryCounts::default()
            },
            updates: UpdateCounts::default(),
            commands: CommandCounts::default(),
            out_of_range: 0,
            errors: vec![
                error(ErrorKind::Attempt(Cause::Refused), 9_000, 70, 79),
                error(ErrorKind::Connection(Cause::Reset), 4_990, 70, 70),
            ],
        },
        events: None,
    }
}

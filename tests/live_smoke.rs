//! The live driver over real sockets: books, ledger, latencies, faults, a dead target.

mod live_arm;
mod live_target;
mod live_violations;

use fleetstorm::device::record::Sample;
use fleetstorm::live::control::{Command, RecordInputs, Report};
use fleetstorm::live::runtime;
use fleetstorm::scenario::file::Overrides;
use fleetstorm::stats::books::Books;
use fleetstorm::stats::event::Cause;
use fleetstorm::stats::recorder::ErrorKind;
use fleetstorm::stats::series::Metric;
use live_arm::{Outcome, Scenario, run};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// 50 devices with two streams: 25 power-ons per 0.1 s, then 2 s of telemetry.
const SMALL: &str = r#"
name: smoke
about: A small fleet for 3 s.
seed: 7
target: { embedded: { nodes: 2 } }
fleet:
  - cohort: meters
    devices: 50
    client: { keep_alive: 60s, backoff: { full_jitter: { base: 100ms, cap: 500ms } } }
    session: { clean: false, will: { topic: "d/{device}/state", payload: "offline", qos: 1 } }
    on_connect:
      - { subscribe: { topic: "d/{device}/cmd", qos: 1 } }
      - { publish: { topic: "d/{device}/state", payload: "online" } }
    telemetry:
      - { stream: power, topic: "d/{device}/power", qos: 1, every: 500ms, payload: { json: { watts: { uniform: { min: 0, max: 9 } } } } }
      - { stream: beat, topic: "d/{device}/beat", qos: 0, every: 1s, payload: { bytes: 40 } }
phases:
  - { name: ramp, power_on: { rate: 250/s } }
  - { name: steady, for: 2s, FAULTS }
slos:
  - { name: nothing is lost, indicator: delivery.lost, at_most: 0 }
"#;

fn small(faults: &str) -> String {
    SMALL.replace("FAULTS", &format!("faults: [ {faults} ]"))
}

fn sum(outcome: &Outcome) -> Books {
    let mut all = Books::default();
    for books in outcome.totals.books.iter().flatten() {
        assert!(books.balance(), "{books:?}");
        all.add(books);
    }
    all
}

#[test]
fn a_small_fleet_balances_and_loses_nothing() {
    let outcome = run(&small(""), Overrides::default(), 2);
    let books = sum(&outcome);
    assert!(outcome.drained, "{books:?} {:?}", outcome.totals.delivery);
    assert!(outcome.totals.schedule_agrees, "{books:?}");
    // 50 devices x (4 + 2) per second for between 2.0 and 2.2 s, less the first periods' starts.
    assert!((300..=700).contains(&books.planned), "{books:?}");
    assert_eq!(books.acked + books.written, books.planned, "{books:?}");
    let delivery = &outcome.totals.delivery;
    assert_eq!(delivery.verified_acks, books.acked, "{delivery:?}");
    assert_eq!(delivery.seen, books.planned, "{delivery:?}");
    assert_eq!(
        (delivery.lost, delivery.duplicated, delivery.unverified),
        (0, 0, 0)
    );
    let connects: u64 = outcome.snapshots.iter().map(|s| s.counters.connects).sum();
    assert_eq!(connects, 50);
    assert_eq!(outcome.backend["publishes_received_qos1"], books.acked);
    assert!(
        outcome.totals.errors.is_empty(),
        "{:?}",
        outcome.totals.errors
    );
    // Seconds come in order, one snapshot each.
    let seconds: Vec<u32> = outcome.snapshots.iter().map(|s| s.second).collect();
    assert!(seconds.contains(&0) && seconds.contains(&1), "{seconds:?}");
}

#[test]
fn the_ack_delay_is_measured() {
    let outcome = run(
        &small("{ backend: { ack_delay: { delay: 10ms } } }"),
        Overrides::default(),
        1,
    );
    let service = outcome.histogram(Metric::AckService);
    let p50 = service.percentile_us(50.0).expect("there are acks");
    // The lower bound holds on any machine; the upper one leaves room for a busy one.
    assert!((10_000..60_000).contains(&p50), "{p50} us");
    assert_eq!(sum(&outcome).timed_out, 0);
}

#[test]
fn the_fleet_comes_back_after_a_restart() {
    let outcome = run(
        &small("{ backend: { restart: { sessions: keep } }, at: 500ms, for: 500ms }")
            .replace("for: 2s", "for: 4s"),
        Overrides::default(),
        1,
    );
    let books = sum(&outcome);
    assert!(outcome.totals.schedule_agrees, "{books:?}");
    let recovery = &outcome.totals.recoveries[0];
    assert!(recovery.affected > 0, "{recovery:?}");
    assert_eq!(recovery.affected, recovery.recovered);
    let delivery = &outcome.totals.delivery;
    assert_eq!(
        (delivery.lost, books.failed),
        (0, 0),
        "{delivery:?} {books:?}"
    );
    let kinds: Vec<ErrorKind> = outcome.totals.errors.iter().map(|e| e.kind).collect();
    assert!(
        kinds.contains(&ErrorKind::Connection(Cause::Reset)),
        "{kinds:?}"
    );
    assert!(
        kinds.contains(&ErrorKind::Attempt(Cause::Reset)),
        "{kinds:?}"
    );
}

/// An address on which nobody listens.
fn dead_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
    listener.local_addr().expect("it is bound")
}

#[test]
fn attempts_at_a_dead_target_are_refused_and_cost_time() {
    let text = small("").replace("\nphases:", "\nobserve: { share: 0% }\nphases:");
    runtime()
        .expect("a test has file descriptors left")
        .block_on(async {
            let scenario = Scenario::new(&text, Overrides::default());
            let dead = dead_address();
            let mut child = scenario.worker(0, 1, &[dead, dead]);
            assert_eq!(child.next().await, Report::Ready);
            child.order(Command::Arm).await;
            assert_eq!(child.next().await, Report::Armed);
            child
                .order(Command::Start(
                    scenario.clock.now().after(Duration::from_millis(50)),
                ))
                .await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let aborted = Instant::now();
            child.order(Command::Abort).await;
            let Report::Done(totals) = done(&mut child).await else {
                panic!("an aborted worker is done");
            };
            assert!(aborted.elapsed() < Duration::from_secs(5));
            let refused = totals
                .errors
                .iter()
                .find(|e| e.kind == ErrorKind::Attempt(Cause::Refused))
                .expect("attempts were refused");
            // Each attempt costs about 0.1 s and is followed by a backoff: no hot loop.
            assert!((20..1_000).contains(&refused.count), "{refused:?}");
            assert!(totals.schedule_agrees);
            assert!(totals.books.iter().flatten().all(Books::balance));
        });
}

async fn done(child: &mut live_arm::Child) -> Report {
    loop {
        let report = child.next().await;
        if !matches!(report, Report::Drained(_)) {
            return report;
        }
    }
}

#[test]
fn observers_that_cannot_connect_fail_the_worker_with_a_reason() {
    runtime()
        .expect("a test has file descriptors left")
        .block_on(async {
            let scenario = Scenario::new(&small(""), Overrides::default());
            // One address for two nodes.
            let mut child = scenario.worker(0, 1, &[dead_address()]);
            let Report::Failed(why) = child.next().await else {
                panic!("the number of addresses is wrong");
            };
            assert!(why.contains("2 target nodes"), "{why}");
        });
}

#[test]
fn a_worker_that_cannot_record_says_so_at_once() {
    runtime()
        .expect("a test has file descriptors left")
        .block_on(async {
            let mut scenario = Scenario::new(&small(""), Overrides::default());
            scenario.record_inputs = Some(RecordInputs {
                dir: "/no/such/run".into(),
                sample: Sample { devices: 1 },
            });
            let dead = dead_address();
            let mut child = scenario.worker(0, 1, &[dead, dead]);
            let Report::EvidenceFailed(why) = child.next().await else {
                panic!("its log cannot be created");
            };
            assert!(why.contains("/no/such/run/inputs-0.jsonl"), "{why}");
        });
}

#[test]
fn a_worker_ends_when_its_coordinator_is_gone() {
    runtime()
        .expect("a test has file descriptors left")
        .block_on(async {
            let scenario = Scenario::new(&small(""), Overrides::default());
            let dead = dead_address();
            let live_arm::Child {
                commands,
                mut reports,
            } = scenario.worker(0, 1, &[dead, dead]);
            assert_eq!(reports.recv().await, Some(Report::Ready));
            commands.send(Command::Arm).await.expect("it lives");
            drop(commands);
            let gone = async { while reports.recv().await.is_some() {} };
            tokio::time::timeout(Duration::from_secs(1), gone)
                .await
                .expect("it returns at once");
        });
}

//! Devices behind an access link, over real sockets against the reference backend: every passage
//! takes its time, order is kept, nothing is lost, the books balance.

mod live_arm;

use fleetstorm::scenario::file::Overrides;
use fleetstorm::stats::books::Books;
use fleetstorm::stats::event::Limit;
use fleetstorm::stats::recorder::ErrorKind;
use fleetstorm::stats::series::Metric;
use live_arm::{Outcome, run};

/// 20 devices, two streams, 0.1 s of power-ons and 2 s of telemetry.
const TEXT: &str = r#"
name: link
about: A small fleet behind a link.
seed: 7
target: { embedded: { nodes: 1 } }
fleet:
  - cohort: meters
    devices: 20
    link: LINK
    client: { keep_alive: 60s, backoff: { full_jitter: { base: 100ms, cap: 500ms } } }
    session: { clean: false, will: { topic: "d/{device}/state", payload: "offline", qos: 1 } }
    on_connect:
      - { subscribe: { topic: "d/{device}/cmd", qos: 1 } }
    telemetry:
      - { stream: power, topic: "d/{device}/power", qos: 1, every: 100ms, payload: { bytes: 100 } }
      - { stream: beat, topic: "d/{device}/beat", qos: 0, every: 100ms, payload: { bytes: 40 } }
phases:
  - { name: ramp, power_on: { rate: 200/s } }
  - { name: steady, for: 2s, FAULTS }
slos:
  - { name: nothing is lost, indicator: delivery.lost, at_most: 0 }
"#;

fn over(link: &str, faults: &str) -> Outcome {
    let text = TEXT
        .replace("LINK", link)
        .replace("FAULTS", &format!("faults: [ {faults} ]"));
    run(&text, Overrides::default(), 1)
}

/// Books that balance and agree with the schedules, a ledger without loss or disorder.
fn sum_of_sound(outcome: &Outcome) -> Books {
    let mut all = Books::default();
    for books in outcome.totals.books.iter().flatten() {
        assert!(books.balance(), "{books:?}");
        all.add(books);
    }
    assert!(outcome.totals.schedule_agrees, "{all:?}");
    let delivery = &outcome.totals.delivery;
    assert_eq!((delivery.lost, delivery.reordered), (0, 0), "{delivery:?}");
    all
}

fn least_us(outcome: &Outcome, metric: Metric) -> u64 {
    let histogram = outcome.histogram(metric);
    histogram.min_max_us().expect("there are values").0
}

fn median_us(outcome: &Outcome, metric: Metric) -> u64 {
    let histogram = outcome.histogram(metric);
    histogram.percentile_us(50.0).expect("there are values")
}

#[test]
fn each_passage_takes_its_time() {
    let outcome = over("{ latency: 20ms }", "");
    let books = sum_of_sound(&outcome);
    assert!(outcome.drained);
    assert_eq!(books.acked + books.written, books.planned, "{books:?}");
    assert_eq!(outcome.totals.delivery.seen, books.planned);
    assert!(
        outcome.totals.errors.is_empty(),
        "{:?}",
        outcome.totals.errors
    );
    // SYN, SYN-ACK, CONNECT, CONNACK; PUBLISH, PUBACK; an observer has no link. The lower bounds hold
    // on any machine; the upper ones leave room for a busy one.
    let passages = [
        (Metric::ConnectLatency, 4),
        (Metric::AckService, 2),
        (Metric::AckResponse, 2),
        (Metric::EndToEnd, 1),
    ];
    for (metric, passages) in passages {
        let least = least_us(&outcome, metric);
        assert!(least >= passages * 20_000, "{metric:?}: {least} us");
        let median = median_us(&outcome, metric);
        assert!(
            median < passages * 20_000 + 60_000,
            "{metric:?}: {median} us"
        );
    }
}

#[test]
fn the_order_is_kept_under_jitter_and_loss() {
    let outcome = over("{ latency: 5ms, jitter: 150ms, loss: 1% }", "");
    let books = sum_of_sound(&outcome);
    assert!(outcome.drained);
    assert_eq!(books.acked + books.written, books.planned, "{books:?}");
    assert_eq!(outcome.totals.delivery.seen, books.planned);
    assert_eq!(outcome.totals.delivery.duplicated, 0);
    // Retransmissions show: the loss of a PUBLISH or PUBACK costs a second.
    let slowest = outcome.histogram(Metric::AckService).min_max_us();
    assert!(
        slowest.is_some_and(|(_, max)| max > 1_010_000),
        "{slowest:?}"
    );
}

#[test]
fn the_bandwidth_is_kept() {
    // 100 bytes of payload, topic and headers are some 164 bytes.
    let outcome = over("{ up: 32kbps }", "");
    let books = sum_of_sound(&outcome);
    assert!(outcome.drained);
    assert_eq!(books.acked + books.written, books.planned, "{books:?}");
    let least = least_us(&outcome, Metric::AckService);
    assert!(least >= 40_000, "{least} us");
}

#[test]
fn the_fleet_comes_back_over_its_link_after_a_restart() {
    let outcome = over(
        "{ latency: 20ms, jitter: 10ms }",
        "{ backend: { restart: { sessions: keep } }, at: 500ms, for: 500ms }",
    );
    let books = sum_of_sound(&outcome);
    assert_eq!(books.failed, 0, "{books:?}");
    let recovery = &outcome.totals.recoveries[0];
    assert!(recovery.affected > 0, "{recovery:?}");
    assert_eq!(recovery.affected, recovery.recovered);
    for error in &outcome.totals.errors {
        assert!(!error.kind.blames_generator(), "{error:?}");
        let cut_short = ErrorKind::Limit(Limit::ClosingConnections);
        assert_ne!(error.kind, cut_short, "the target closed, not the device");
    }
}

#[test]
fn a_preset_runs() {
    let outcome = over("lte-m", "");
    let books = sum_of_sound(&outcome);
    assert_eq!(books.acked + books.written, books.planned, "{books:?}");
    // 60 ms each way, with half of all passages shorter.
    let median = median_us(&outcome, Metric::AckService);
    assert!((90_000..400_000).contains(&median), "{median} us");
}

/// No cohort link at all: the fault brings the delay, and it goes with it.
#[test]
fn a_degraded_link_is_slow_while_the_fault_lasts() {
    let fault = "{ degrade: { link: { latency: 100ms } }, at: 500ms, for: 1s }";
    let text = TEXT
        .replace("    link: LINK\n", "")
        .replace("FAULTS", &format!("faults: [ {fault} ]"));
    let outcome = run(&text, Overrides::default(), 1);
    let books = sum_of_sound(&outcome);
    assert!(outcome.drained);
    assert_eq!(books.acked + books.written, books.planned, "{books:?}");
    assert_eq!(outcome.totals.delivery.seen, books.planned);
    let least = least_us(&outcome, Metric::AckService);
    assert!(least < 100_000, "{least} us before and after");
    let median = median_us(&outcome, Metric::AckService);
    let slowest = outcome.histogram(Metric::AckService).min_max_us();
    let (_, slowest) = slowest.expect("there are values");
    assert!(slowest >= 200_000, "{slowest} us, {median} us");
}

//! A process that runs out of file descriptors says so and goes on. A test binary of its own, for
//! it lowers the limit of its process.

mod live_arm;

use fleetstorm::scenario::file::Overrides;
use fleetstorm::stats::books::Books;
use fleetstorm::stats::event::Cause;
use fleetstorm::stats::recorder::ErrorKind;
use fleetstorm::stats::series::Metric;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::time::{Duration, Instant};

/// Fewer than the two ends of 60 connections need.
const FILES: u64 = 80;

const TEXT: &str = r#"
name: file-limit
about: More connections than the process may open.
seed: 3
target: { embedded: { nodes: 1 } }
fleet:
  - cohort: meters
    devices: 60
    client: { connect_timeout: 1s, backoff: { fixed: 300ms } }
    telemetry:
      - { stream: power, topic: "d/{device}/power", qos: 1, every: 500ms, payload: { bytes: 40 } }
observe: { share: 10% }
phases:
  - { name: ramp, power_on: { rate: 200/s } }
  - { name: steady, for: 2s }
drain: 1s
slos:
  - { name: every attempt connects, indicator: connect.success, at_least: 99% }
"#;

#[test]
fn a_generator_without_file_descriptors_blames_itself_and_balances() {
    let limit = Rlimit {
        current: Some(FILES),
        maximum: Some(FILES),
    };
    setrlimit(Resource::Nofile, limit).expect("a limit may be lowered");
    let began = Instant::now();
    let outcome = live_arm::run(TEXT, Overrides::default(), 1);
    assert!(began.elapsed() < Duration::from_secs(20));
    let generator = outcome
        .totals
        .errors
        .iter()
        .find(|error| error.kind == ErrorKind::Attempt(Cause::GeneratorFds))
        .expect("attempts failed for want of descriptors");
    // At most 60 devices try every 0.3 s for 3.3 s: no hot loop.
    assert!(generator.count < 700, "{generator:?}");
    let mut all = Books::default();
    for books in outcome.totals.books.iter().flatten() {
        assert!(books.balance(), "{books:?}");
        all.add(books);
    }
    assert!(outcome.totals.schedule_agrees);
    // Those that got through are served; the others' telemetry waits.
    assert!(all.acked > 20 && all.waiting > 20, "{all:?}");
    let service = outcome.histogram(Metric::AckService).percentile_us(50.0);
    assert!(service.is_some_and(|us| us < 1_000_000), "{service:?} us");
    // The node accepts 100 times a second at most while it has none either.
    assert!(
        outcome.backend["driver_accepts_failed"] < 500,
        "{:?}",
        outcome.backend
    );
}

//! Power cuts over real sockets: the target hears nothing, and notices by its keep-alive or when the
//! device is back.

mod live_arm;

use fleetstorm::scenario::file::Overrides;
use fleetstorm::stats::books::{Books, WillCounts};
use fleetstorm::stats::recorder::Recovery;
use fleetstorm::stats::series::Metric;
use live_arm::{Outcome, run};

/// 40 devices with a keep-alive of 2 s lose power for LONG.
const CUT: &str = r#"
name: power
about: A small fleet loses its power.
seed: 7
target: { embedded: { nodes: 2 } }
fleet:
  - cohort: meters
    devices: 40
    client: { keep_alive: 2s, backoff: { full_jitter: { base: 100ms, cap: 500ms } } }
    session: { clean: false, will: { topic: "d/{device}/state", payload: "offline", qos: 1 } }
    telemetry:
      - { stream: power, topic: "d/{device}/power", qos: 1, every: 300ms, payload: { bytes: 64 } }
phases:
  - { name: ramp, power_on: { rate: 200/s } }
  - name: steady
    for: 10s
    faults:
      - { power_cut: { within: 200ms, return: { uniform: 500ms }, boot: { uniform: { min: 0s, max: 300ms } } }, at: 1s, for: LONG }
slos:
  - { name: nothing is lost, indicator: delivery.lost, at_most: 0 }
  - { name: each will fires once, indicator: will.fired, at_most: 40 }
"#;

fn cut_for(long: &str) -> Outcome {
    let outcome = run(&CUT.replace("LONG", long), Overrides::default(), 2);
    assert!(outcome.totals.schedule_agrees);
    let mut all = Books::default();
    for books in outcome.totals.books.iter().flatten() {
        assert!(books.balance(), "{books:?}");
        all.add(books);
    }
    assert_eq!(outcome.totals.delivery.lost, 0);
    // At the keep-alive or at the take-over; none at the end, when all say goodbye.
    let wills = WillCounts {
        watched: 40,
        fired: 40,
        devices: 40,
        ..WillCounts::default()
    };
    assert_eq!(outcome.totals.wills, Some(wills));
    assert_eq!(outcome.backend["wills_published"], 40);
    let everyone = Recovery {
        affected: 40,
        recovered: 40,
    };
    // Each worker has its own; the sum is what counts.
    let mut sum = Recovery::default();
    for recovery in &outcome.totals.recoveries {
        sum.affected += recovery.affected;
        sum.recovered += recovery.recovered;
    }
    assert_eq!(sum, everyone);
    // From the clearing: the return and the boot are part of it.
    let times = outcome.histogram(Metric::ReconnectTime);
    let slowest = times.min_max_us().map_or(0, |(_, slowest)| slowest);
    assert_eq!(times.count(), 40);
    assert!(slowest > 300_000, "{slowest} us");
    outcome
}

#[test]
fn a_long_cut_fires_each_will_once_by_the_keep_alive() {
    let outcome = cut_for("5s");
    assert_eq!(outcome.backend["keep_alive_expired"], 40);
    assert_eq!(outcome.backend["takeovers"], 0);
}

#[test]
fn a_short_cut_ends_in_a_take_over() {
    let outcome = cut_for("500ms");
    assert_eq!(outcome.backend["takeovers"], 40);
    assert_eq!(outcome.backend["keep_alive_expired"], 0);
}

//! A mixed fleet of devices against a strict and hostile server, in virtual time: not one
//! statement of MQTT 3.1.1 is broken, the books balance, and what was acknowledged has arrived.

mod strict_server;

use fleetstorm::device::Profile;
use fleetstorm::scenario::file::{self, Overrides, Secrets};
use fleetstorm::scenario::plan::Plan;
use fleetstorm::time::Instant;
use std::path::Path;
use std::sync::Arc;
use strict_server::nature::NATURES;
use strict_server::world::{Ran, World};

/// Four kinds of devices for `LENGTH`; each number of devices is a multiple of the number of
/// natures.
const FLEET: &str = r#"
name: strict
about: Every kind of device against a server that forgives nothing.
seed: 5
target: { brokers: { urls: ["mqtt://127.0.0.1:1883"], topology: cluster } }
fleet:
  - cohort: meters
    devices: DEVICES
    client: { keep_alive: 30s, inflight: 4, connect_timeout: 5s, backoff: { full_jitter: { base: 200ms, cap: 3s } } }
    session: { clean: false, will: { topic: "d/{device}/state", payload: offline, qos: 2, retain: true } }
    on_connect:
      - { subscribe: { topic: "d/{device}/cmd/#", qos: 2 } }
      - { publish: { topic: "d/{device}/state", payload: online, qos: 2, retain: true } }
    telemetry:
      - { stream: power, topic: "d/{device}/power", qos: 1, every: 1800ms, ack_timeout: 2s, payload: { bytes: 60 } }
      - { stream: bill, topic: "d/{device}/bill", qos: 2, every: 1500ms, ack_timeout: 2s, payload: { bytes: 60 } }
      - { stream: beat, topic: "d/{device}/beat", qos: 0, every: 4s, payload: { json: { n: counter } } }
  - cohort: quiet
    devices: DEVICES
    client: { keep_alive: 5s, inflight: 1, backoff: { fixed: 1s } }
    session: { clean: false }
    on_connect: [ { subscribe: { topic: "d/{device}/+/cmd", qos: 1 } } ]
    telemetry:
      - { stream: rare, topic: "d/{device}/rare", qos: 2, every: 17s, phase: boot, ack_timeout: 3s }
  - cohort: amnesiacs
    devices: DEVICES
    client: { keep_alive: 20s, inflight: 8, backoff: { full_jitter: { base: 500ms, cap: 2s } } }
    session: { clean: true, will: { topic: "d/{device}/gone", payload: "", qos: 0 } }
    on_connect:
      - { subscribe_many: [ { topic: "d/{device}/cmd", qos: 2 }, { topic: "d/{device}/old", qos: 1 }, { topic: "all/#" } ] }
      - { publish: { topic: "d/{device}/up", payload: "1", qos: 1 } }
      - { unsubscribe: [ "d/{device}/old", "never/+/subscribed" ] }
    telemetry:
      - { stream: burst, topic: "d/{device}/burst", qos: 2, poisson: 1/s, ack_timeout: 2s, when_late: latest }
      - { stream: gps, topic: "d/{device}/gps", qos: 0, every: 2s, when_late: skip, retain: true, payload: { bytes: 200 } }
  - cohort: ledgers
    devices: DEVICES
    client: { keep_alive: 0s, inflight: 16, backoff: { fixed: 500ms } }
    session: { clean: false }
    on_connect: [ { subscribe: { topic: "fleet/#", qos: 0 } } ]
    telemetry:
      - { stream: entry, topic: "d/{device}/entry", qos: 2, every: 900ms, ack_timeout: 4s, payload: { bytes: 90 } }
      - { stream: alarm, topic: "d/{device}/alarm", qos: 1, poisson: 12/min, ack_timeout: 3s, when_late: skip }
phases:
  - { name: ramp, power_on: { rate: 100/s }, for: 10s }
  - { name: steady, for: LENGTH }
"#;

fn plan(text: &str) -> Arc<Plan> {
    let overrides = Overrides::default();
    let parsed = file::parse(
        "strict.yaml",
        text,
        Path::new("."),
        &overrides,
        Secrets::Resolve,
    );
    Arc::new(parsed.unwrap_or_else(|errors| panic!("{errors}")))
}

/// Runs `devices` of each cohort for `length`, each against the nature whose turn it is.
fn run(devices: u32, length: &str) -> Vec<(&'static str, Ran)> {
    let text = FLEET
        .replace("DEVICES", &devices.to_string())
        .replace("LENGTH", length);
    let plan = plan(&text);
    let profile = |cohort| {
        Arc::new(Profile {
            plan: Arc::clone(&plan),
            cohort,
            run: 7,
            start: Instant::ZERO,
        })
    };
    let profiles: Vec<_> = (0..plan.cohorts.len()).map(profile).collect();
    let one = |id: u32| {
        let nature = NATURES[id as usize % NATURES.len()];
        let profile = &profiles[plan.cohort_of(id)];
        let world = World::new(profile, id, nature, plan.seed << 32 | u64::from(id));
        let ran = world.run().unwrap_or_else(|violation| {
            let cohort = &profile.plan.cohorts[profile.cohort].name;
            panic!(
                "device {id} of {cohort}, server {}: {violation:?}",
                nature.name
            )
        });
        (nature.name, ran)
    };
    (0..plan.devices()).map(one).collect()
}

/// A figure of one device's run.
type Figure = fn(&Ran) -> u64;

/// Each must have happened somewhere in the fleet, or the run proves less than it says.
const PATHS: &[(&str, Figure)] = &[
    ("acknowledged", |ran| ran.books.acked),
    ("timed out", |ran| ran.books.timed_out),
    ("late acks", |ran| ran.books.late_acks),
    ("sessions gone", |ran| ran.books.gone),
    ("retransmitted", |ran| ran.books.retransmitted),
    ("released again", |ran| ran.books.released_again),
    ("unsent", |ran| ran.books.unsent),
    ("identifiers held up", |ran| ran.books.held_up),
    ("power cuts", |ran| ran.books.power_cuts),
    ("dead peers", |ran| ran.books.dead_peers),
    ("lower grants", |ran| ran.books.lower_grants),
    ("subscribe failures", |ran| ran.books.subscribe_failures),
    ("connect timeouts", |ran| ran.books.connect_timeouts),
    ("exactly once", |ran| ran.books.exactly_once),
    ("resumes", |ran| ran.seen.resumes),
    ("publishes again", |ran| ran.seen.publishes_again),
    ("releases again", |ran| ran.seen.releases_again),
    ("exchanges abandoned", |ran| ran.seen.abandoned),
    ("received", |ran| ran.seen.received),
    ("received again", |ran| ran.seen.received_again),
    ("pings", |ran| ran.seen.pings),
    ("disconnects", |ran| ran.seen.disconnects),
    ("transports refused", |ran| ran.wire.refused),
    ("cuts upwards", |ran| ran.wire.cut_up),
    ("cuts downwards", |ran| ran.wire.cut_down),
    ("half packets", |ran| ran.wire.halves),
    ("closed by the server", |ran| ran.wire.closed_by_server),
    ("connects refused", |ran| ran.done.refused),
    ("connects unanswered", |ran| ran.done.mute_connects),
    ("connects answered late", |ran| ran.done.slow_connects),
    ("sessions resumed", |ran| ran.done.resumed),
    ("sessions forgotten", |ran| ran.done.forgotten),
    ("acks sent late", |ran| ran.done.late_acks),
    ("acks never sent", |ran| ran.done.muted_acks),
    ("pings unanswered", |ran| ran.done.muted_pings),
    ("filters refused", |ran| ran.done.refused_filters),
    ("subscribes unanswered", |ran| ran.done.muted_subscribes),
    ("server's messages", |ran| ran.done.messages),
    ("server's repetitions", |ran| ran.done.repeats),
    ("server's messages again", |ran| ran.done.sent_again),
    ("repetitions recognised", |ran| ran.done.recognised),
    ("releases of nothing", |ran| ran.done.unknown_releases),
    ("wills", |ran| ran.done.wills),
];

/// All that must be true of a fleet of at least so many operations.
fn check(runs: &[(&str, Ran)], operations: u64) {
    let sum = |figure: Figure| runs.iter().map(|(_, ran)| figure(ran)).sum::<u64>();
    let planned = sum(|ran| ran.books.planned);
    assert!(planned >= operations, "{planned} operations");
    let packets = sum(|ran| ran.seen.packets);
    eprintln!("{planned} operations, {packets} packets written");
    for (path, figure) in PATHS {
        let times = sum(*figure);
        eprintln!("{path}: {times}");
        assert!(times > 0, "{path}: never");
    }
    for (_, ran) in runs.iter().filter(|(nature, _)| *nature == "kind") {
        let books = &ran.books;
        assert_eq!(books.acked + books.written, books.planned, "{books:?}");
        assert_eq!(books.connected, 1, "{books:?}");
    }
}

#[test]
fn no_statement_is_broken() {
    check(&run(16, "15min"), 50_000);
}

#[test]
#[ignore = "a million operations want release speed"]
fn no_statement_is_broken_in_a_million_operations() {
    check(&run(80, "90min"), 1_000_000);
}

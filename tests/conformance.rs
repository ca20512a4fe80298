//! The same scenarios, held to the same account in both worlds: in virtual time and over sockets.

mod live_arm;

use fleetstorm::scenario::file::{self, Overrides, Secrets};
use fleetstorm::sim;
use fleetstorm::stats::books::Books;
use fleetstorm::stats::event::Cause;
use fleetstorm::stats::histogram::Histogram;
use fleetstorm::stats::recorder::{ErrorKind, Recovery, Totals};
use fleetstorm::stats::series::Metric;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// 60 devices on two nodes, a stream of each QoS, a will and a subscription; about 4 s.
const SCENARIO: &str = r#"
name: conformance
about: One account for both worlds.
seed: 11
target: { embedded: { nodes: 2 } }
fleet:
  - cohort: meters
    devices: 60
    client: { keep_alive: 60s, backoff: { full_jitter: { base: 100ms, cap: 400ms } } }
    session: { clean: false, will: { topic: "d/{device}/state", payload: offline, qos: 1 } }
    on_connect: [ { subscribe: { topic: "d/{device}/cmd", qos: 1 } } ]
    telemetry:
      - { stream: power, topic: "d/{device}/power", qos: 1, every: 400ms, ack_timeout: 1s, payload: { json: { n: counter } } }
      - { stream: bill, topic: "d/{device}/bill", qos: 2, every: 400ms, ack_timeout: 1s, payload: { bytes: 40 } }
      - { stream: beat, topic: "d/{device}/beat", qos: 0, every: 1s, payload: { bytes: 40 } }
phases:
  - { name: ramp, power_on: { rate: 300/s } }
  - { name: steady, for: 4s, faults: [ FAULTS ] }
slos:
  - { name: nothing is lost, indicator: delivery.lost, at_most: 0 }
"#;

/// What a run came to, in either world.
struct Run {
    world: &'static str,
    totals: Totals,
    /// First write to PUBACK.
    service: Histogram,
    reconnect: Histogram,
    /// Schedule to PUBACK or PUBCOMP, of what had waited.
    replayed: Histogram,
    backend: BTreeMap<String, u64>,
    /// One per worker and node.
    observers: u64,
}

impl Run {
    fn simulated(text: &str) -> Self {
        let overrides = Overrides::default();
        let plan = file::parse(
            "test.yaml",
            text,
            Path::new("."),
            &overrides,
            Secrets::Resolve,
        )
        .unwrap_or_else(|errors| panic!("{errors:?}"));
        let outcome = sim::run(&Arc::new(plan), 1).expect("the target is embedded");
        // What is lost is waited for to the end of the drain.
        assert_eq!(outcome.drain_complete, outcome.totals.delivery.lost == 0);
        let mut backend = BTreeMap::new();
        for (name, count) in outcome.backends.iter().flatten() {
            *backend.entry(name.clone()).or_default() += count;
        }
        Self {
            world: "simulated",
            service: outcome.histogram(Metric::AckService),
            reconnect: outcome.histogram(Metric::ReconnectTime),
            replayed: outcome.histogram(Metric::AckResponseReplayed),
            totals: outcome.totals,
            backend,
            observers: 2,
        }
    }

    fn live(text: &str) -> Self {
        let outcome = live_arm::run(text, Overrides::default(), 2);
        let is_lost = outcome.totals.delivery.lost > 0;
        assert_eq!(outcome.drained, !is_lost, "{:?}", outcome.warnings);
        Self {
            world: "live",
            service: outcome.histogram(Metric::AckService),
            reconnect: outcome.histogram(Metric::ReconnectTime),
            replayed: outcome.histogram(Metric::AckResponseReplayed),
            totals: outcome.totals,
            backend: outcome.backend,
            observers: 4,
        }
    }

    /// How often an error of this kind was counted.
    fn errors(&self, kind: ErrorKind) -> u64 {
        let mut errors = self.totals.errors.iter();
        errors.find(|e| e.kind == kind).map_or(0, |e| e.count)
    }

    fn assert_no_observer_failed(&self) {
        let mut errors = self.totals.errors.iter();
        let failed = errors.find(|e| matches!(e.kind, ErrorKind::Observer(_)));
        assert!(failed.is_none(), "{}: {failed:?}", self.world);
    }

    /// All books in one, each checked.
    fn books(&self) -> Books {
        let world = self.world;
        assert!(self.totals.schedule_agrees, "{world}");
        let mut all = Books::default();
        for books in self.totals.books.iter().flatten() {
            assert!(books.balance(), "{world}: {books:?}");
            all.add(books);
        }
        all
    }
}

/// Runs the scenario with these faults in both worlds; `check` holds for each.
fn in_both_worlds(faults: &str, check: impl Fn(&Run)) -> [Run; 2] {
    text_in_both_worlds(&SCENARIO.replace("FAULTS", faults), check)
}

/// The schedule is a pure function of the plan, so both worlds plan the same arrivals.
fn text_in_both_worlds(text: &str, check: impl Fn(&Run)) -> [Run; 2] {
    let runs = [Run::simulated(text), Run::live(text)];
    for run in &runs {
        check(run);
    }
    assert_eq!(runs[0].books().planned, runs[1].books().planned);
    runs
}

#[test]
fn a_steady_fleet_balances_and_loses_nothing() {
    in_both_worlds("", |run| {
        let (world, books) = (run.world, run.books());
        assert_eq!(books.acked + books.written, books.planned, "{world}");
        let delivery = &run.totals.delivery;
        assert_eq!(delivery.verified_acks, books.acked, "{world}");
        assert_eq!(delivery.seen, books.planned, "{world}");
        assert_eq!(
            (delivery.lost, delivery.duplicated, delivery.unverified),
            (0, 0, 0),
            "{world}"
        );
        assert_eq!(run.backend["publishes_received"], books.sent, "{world}");
        let of = |name| run.backend[name];
        assert!(of("publishes_received_qos2") > 0, "{world}");
        assert_eq!(
            of("pubacks_sent") + of("pubcomps_sent"),
            books.acked,
            "{world}"
        );
        assert_eq!(
            of("pubcomps_sent"),
            of("publishes_received_qos2"),
            "{world}"
        );
        assert_eq!(of("publishes_qos2_duplicates"), 0, "{world}");
        assert!(
            run.totals.errors.is_empty(),
            "{world}: {:?}",
            run.totals.errors
        );
    });
}

#[test]
fn all_come_back_from_a_restart() {
    let restart = "{ backend: { restart: { sessions: keep } }, at: 1s, for: 1s }";
    in_both_worlds(restart, |run| {
        let (world, books) = (run.world, run.books());
        let recovery = run.totals.recoveries[0];
        assert_eq!(recovery.affected, recovery.recovered, "{world}");
        assert!(recovery.affected > 0, "{world}");
        assert_eq!(
            (books.waiting, books.in_flight),
            (0, 0),
            "{world}: {books:?}"
        );
        let delivery = &run.totals.delivery;
        assert_eq!((delivery.lost, delivery.duplicated), (0, 0), "{world}");
        let resets = run.backend["connections_reset"];
        assert!(resets >= 60, "{world}: {resets}");
    });
}

#[test]
fn dropped_acks_time_out_one_for_one() {
    let drop = "{ backend: { drop_ack: { count: 20 } } }";
    in_both_worlds(drop, |run| {
        let (world, books) = (run.world, run.books());
        // The first 20 publishes of each node.
        let dropped = run.backend["pubacks_dropped"] + run.backend["pubrecs_dropped"];
        assert_eq!(dropped, 40, "{world}");
        assert!(run.backend["pubrecs_dropped"] > 0, "{world}");
        assert_eq!(books.timed_out, 40, "{world}: {books:?}");
        assert_eq!(books.acked + books.written + 40, books.planned, "{world}");
        let failed: u64 = run.totals.attempts.iter().map(|a| a.failed).sum();
        assert_eq!(failed, 0, "{world}: no connection drops");
        assert_eq!(
            run.totals.delivery.recovered, 40,
            "{world}: routed all the same"
        );
    });
}

/// The tool that judges others must find a loss that is really there, to the message. The count is
/// that of both nodes together, half of it at QoS 2.
#[test]
fn what_the_backend_loses_is_found_to_the_message() {
    for k in [1, 7, 1000] {
        let lose = format!("{{ backend: {{ lose: {{ count: {k} }} }} }}");
        let text = SCENARIO
            .replace("FAULTS", &lose)
            .replace("every: 400ms", "every: 200ms")
            .replace("seed: 11", "seed: 11\ndrain: 7s");
        text_in_both_worlds(&text, |run| {
            let (world, books) = (run.world, run.books());
            assert_eq!(run.backend["publishes_lost"], k, "{world}");
            let delivery = &run.totals.delivery;
            assert_eq!(
                (delivery.lost, delivery.unverified, delivery.duplicated),
                (k, 0, 0),
                "{world}: {delivery:?}"
            );
            assert_eq!(books.acked + books.written, books.planned, "{world}");
            assert_eq!(delivery.seen + k, books.planned, "{world}");
        });
    }
}

#[test]
fn an_ack_delay_is_measured_as_what_it_is() {
    let delay = "{ backend: { ack_delay: { delay: 30ms } } }";
    in_both_worlds(delay, |run| {
        let p50 = run.service.percentile_us(50.0);
        let p50 = p50.expect("there are acks");
        // The lower bound holds on any machine; the upper one leaves room for a busy one.
        assert!((30_000..60_000).contains(&p50), "{}: {p50} us", run.world);
    });
}

#[test]
fn work_costs_what_the_service_law_says() {
    let law = "nodes: 2, service: { workers: 2, connect: { fixed: 5ms }, publish: { fixed: 3ms } }";
    let text = SCENARIO.replace("nodes: 2", law).replace("FAULTS", "");
    text_in_both_worlds(&text, |run| {
        let (world, books) = (run.world, run.books());
        assert_eq!(books.acked + books.written, books.planned, "{world}");
        assert_eq!(run.totals.delivery.seen, books.planned, "{world}");
        assert_eq!(run.totals.delivery.lost, 0, "{world}");
        let count = |name| run.backend[name];
        let (connects, publishes) = (count("connects_accepted"), count("publishes_received"));
        assert_eq!(count("jobs_served"), connects + publishes, "{world}");
        assert_eq!(count("jobs_offered"), count("jobs_served"), "{world}");
        let busy_us = 5_000 * connects + 3_000 * publishes;
        assert_eq!(count("service_busy_us"), busy_us, "{world}");
        let p50 = run.service.percentile_us(50.0).expect("there are acks");
        assert!((3_000..33_000).contains(&p50), "{world}: {p50} us");
    });
}

/// Half the fleet is cut, and each device tries again every 700 ms and what an attempt costs. All of
/// that is drawn from the plan, so that the two worlds differ by the lateness of the driver only.
fn cut_in_both_worlds(word: &str, cut: Cause) {
    let who = "{ where: { share: 50% }, within: 200ms }";
    let outage = format!("{{ outage: {{ {word}: {who} }}, at: 1s, for: 1500ms }}");
    let backoff = "backoff: { full_jitter: { base: 100ms, cap: 400ms } }";
    let text = SCENARIO.replace(backoff, "backoff: { fixed: 700ms }");
    let runs = text_in_both_worlds(&text.replace("FAULTS", &outage), |run| {
        let (world, books) = (run.world, run.books());
        let half = Recovery {
            affected: 30,
            recovered: 30,
        };
        assert_eq!(run.totals.recoveries, [half], "{world}");
        assert_eq!(run.errors(ErrorKind::Connection(cut)), 30, "{world}");
        assert_eq!(run.reconnect.count(), 30, "{world}");
        // The target has done nothing, and no observer has noticed anything.
        assert_eq!(run.backend["connections_reset"], 0, "{world}");
        assert_eq!(run.backend["sessions_resumed"], 30, "{world}");
        let opened = run.backend["connections_opened"];
        assert_eq!(opened, 60 + 30 + run.observers, "{world}");
        run.assert_no_observer_failed();
        assert_eq!((books.waiting, books.in_flight), (0, 0), "{world}");
        assert_eq!(run.totals.delivery.lost, 0, "{world}");
    });
    // Some attempts lie so near the clearing that a late driver makes one less.
    let refused = |run: &Run| run.errors(ErrorKind::Attempt(Cause::Refused)) as f64;
    assert!(refused(&runs[0]) >= 30.0);
    alike("refused", &runs, refused, 6.0);
    for p in [10.0, 50.0, 90.0, 100.0] {
        let time_us = |run: &Run| run.reconnect.percentile_us(p).expect("30 came back") as f64;
        alike("reconnect.time", &runs, time_us, 150_000.0);
    }
    // Device-seconds of the 4 s of 60 devices, of which half were away for some 2 s.
    let up = |run: &Run| run.totals.availability[1].0;
    assert!(up(&runs[0]) < 200.0, "{}", up(&runs[0]));
    alike("availability", &runs, up, 3.0);
}

/// What the two runs came to differs by at most `by`.
fn alike(what: &str, runs: &[Run; 2], of: impl Fn(&Run) -> f64, by: f64) {
    let (simulated, live) = (of(&runs[0]), of(&runs[1]));
    assert!(
        (simulated - live).abs() <= by,
        "{what}: {simulated} simulated, {live} live"
    );
}

#[test]
fn a_reset_cuts_the_same_devices_and_they_come_back_alike() {
    cut_in_both_worlds("reset", Cause::Reset);
}

#[test]
fn a_close_cuts_the_same_devices_and_they_come_back_alike() {
    cut_in_both_worlds("close", Cause::ClosedByPeer);
}

/// A third of the fleet cannot resolve the target's name when it gets power, nor for a second after.
#[test]
fn without_names_the_same_attempts_fail() {
    let dns = "power_on: { rate: 300/s }, for: 1s, faults: [ { outage: { dns: { where: { share: 33.4% } } } } ]";
    let text = SCENARIO.replace("power_on: { rate: 300/s }", dns);
    let runs = text_in_both_worlds(&text.replace("FAULTS", ""), |run| {
        let world = run.world;
        let third = Recovery {
            affected: 20,
            recovered: 20,
        };
        assert_eq!(run.totals.recoveries, [third], "{world}");
        let opened = run.backend["connections_opened"];
        assert_eq!(
            opened,
            60 + run.observers,
            "{world}: no attempt had a socket"
        );
        run.assert_no_observer_failed();
        let kinds: Vec<ErrorKind> = run.totals.errors.iter().map(|e| e.kind).collect();
        assert_eq!(kinds, [ErrorKind::Attempt(Cause::Unresolved)], "{world}");
        assert_eq!(run.totals.delivery.lost, 0, "{world}");
    });
    let unresolved = |run: &Run| run.errors(ErrorKind::Attempt(Cause::Unresolved)) as f64;
    assert!(unresolved(&runs[0]) >= 20.0);
    alike("unresolved", &runs, unresolved, 8.0);
}

/// Half of a quiet fleet falls into a hole for longer than either end waits: the devices notice by
/// their pings, the target by its own clock, and both worlds agree on who and when. A device tries
/// again every 1500 ms, so one that tries just before the clearing comes back a whole cycle later than
/// one that tries just after it. The hole is as long as it takes for nobody to try within `SLACK_US` of
/// its clearing: a driver may be late by that before a device changes cycles.
#[test]
fn a_blackhole_is_noticed_at_both_ends_alike() {
    let hole = "{ outage: { blackhole: { where: { share: 50% } } }, at: 1s, for: 8250ms }";
    const CYCLE_US: u64 = 1_500_000;
    const SLACK_US: u64 = 250_000;
    let text = SCENARIO
        .replace("FAULTS", hole)
        .replace(
            "keep_alive: 60s",
            "keep_alive: 2s, ping_timeout: 700ms, connect_timeout: 600ms",
        )
        .replace("full_jitter: { base: 100ms, cap: 400ms }", "fixed: 900ms")
        .replace(
            "every: 400ms, ack_timeout: 1s",
            "every: 20s, ack_timeout: 30s",
        )
        .replace("every: 1s", "every: 20s")
        .replace("steady, for: 4s", "steady, for: 13s");
    let runs = text_in_both_worlds(&text, |run| {
        let (world, books) = (run.world, run.books());
        let half = Recovery {
            affected: 30,
            recovered: 30,
        };
        assert_eq!(run.totals.recoveries, [half], "{world}");
        let silent = ErrorKind::Connection(Cause::KeepAliveTimeout);
        assert_eq!(run.errors(silent), 30, "{world}");
        assert_eq!(run.backend["keep_alive_expired"], 30, "{world}");
        assert_eq!(run.backend["takeovers"], 0, "{world}");
        assert_eq!(run.backend["wills_published"], 30, "{world}");
        assert_eq!(run.backend["sessions_resumed"], 30, "{world}");
        let opened = run.backend["connections_opened"];
        assert_eq!(
            opened,
            60 + 30 + run.observers,
            "{world}: no attempt had a socket"
        );
        run.assert_no_observer_failed();
        assert_eq!((books.waiting, books.in_flight), (0, 0), "{world}");
        assert_eq!(run.totals.delivery.lost, 0, "{world}");
    });
    let (first_us, last_us) = runs[0].reconnect.min_max_us().expect("30 came back");
    assert!(first_us >= SLACK_US, "{first_us} us: pick another clearing");
    assert!(
        last_us <= CYCLE_US - SLACK_US,
        "{last_us} us: pick another clearing"
    );
    let timed_out = |run: &Run| run.errors(ErrorKind::Attempt(Cause::ConnectTimeout)) as f64;
    assert!(timed_out(&runs[0]) >= 60.0);
    alike("timed out", &runs, timed_out, 8.0);
    for p in [10.0, 50.0, 90.0, 100.0] {
        let time_us = |run: &Run| run.reconnect.percentile_us(p).expect("30 came back") as f64;
        alike("reconnect.time", &runs, time_us, SLACK_US as f64);
    }
    let up = |run: &Run| run.totals.availability[1].0;
    assert!(up(&runs[0]) < 13.0 * 60.0 - 8.25 * 30.0);
    alike("availability", &runs, up, 5.0);
}

/// Too short for anybody to notice: what was written into it arrives late, and all of it.
#[test]
fn a_short_blackhole_only_holds_up() {
    let hole = "{ outage: blackhole, at: 1s, for: 700ms }";
    let runs = in_both_worlds(hole, |run| {
        let (world, books) = (run.world, run.books());
        assert_eq!(books.acked + books.written, books.planned, "{world}");
        assert_eq!(run.totals.delivery.seen, books.planned, "{world}");
        assert_eq!(run.totals.delivery.duplicated, 0, "{world}");
        assert!(
            run.totals.errors.is_empty(),
            "{world}: {:?}",
            run.totals.errors
        );
        assert_eq!(run.totals.recoveries, [], "{world}");
    });
    let slowest = |run: &Run| run.service.percentile_us(100.0).expect("there are acks") as f64;
    assert!((690_000.0..710_000.0).contains(&slowest(&runs[0])));
    alike("publish.ack_latency", &runs, slowest, 200_000.0);
    let up = |run: &Run| run.totals.availability[1].0;
    alike("availability", &runs, up, 3.0);
}

/// Three samples of each stream come due on each device while the fleet is away, at whole seconds; its
/// store has room for four, drops by priority and lets 20/s go. The cut, every attempt and the clearing
/// lie 200 ms and more from the next sample and from each other, so that the counts are exact.
#[test]
fn a_store_drops_and_replays_the_same() {
    let reset = "{ outage: { reset: {} }, at: 1600ms, for: 2600ms }";
    let text = SCENARIO
        .replace("FAULTS", reset)
        .replace("steady, for: 4s", "steady, for: 7s")
        .replace("full_jitter: { base: 100ms, cap: 400ms }", "fixed: 900ms")
        .replace("every: 400ms, ack_timeout: 1s", "every: 1s, phase: { aligned: {} }, PRIORITY")
        .replacen("PRIORITY", "priority: 200", 1)
        .replacen("PRIORITY", "priority: 50", 1)
        .replace("qos: 0, every: 1s", "qos: 0, every: 1s, when_late: skip")
        .replace(
            "    telemetry:",
            "    store: { messages: 4, when_full: drop_by_priority, drain: 20/s, first: live }\n    telemetry:",
        );
    let runs = text_in_both_worlds(&text, |run| {
        let (world, books) = (run.world, run.books());
        let of_stream = |stream: usize| {
            let mut all = Books::default();
            run.totals.books[stream].iter().for_each(|b| all.add(b));
            all
        };
        let (power, bill) = (of_stream(0), of_stream(1));
        assert_eq!(
            (power.dropped_by_policy, bill.dropped_by_policy),
            (0, 60 * 2),
            "{world}"
        );
        assert_eq!((power.sent, power.acked), (power.planned, power.planned));
        assert_eq!((bill.sent, bill.acked), (bill.planned - 120, bill.sent));
        assert_eq!((books.waiting, books.in_flight), (0, 0), "{world}");
        // The first device has power at T0, and what is due then waits for its connection.
        assert_eq!(run.replayed.count(), 60 * 4 + 2, "{world}");
        let backlog = &run.totals.backlogs[0];
        assert_eq!((backlog.devices, backlog.drained), (60, 60), "{world}");
        assert_eq!(
            (backlog.planned, backlog.acked_live, backlog.recovered),
            (60 * 6, 0, 60 * 4),
            "{world}"
        );
        assert_eq!(backlog.dropped_by_policy, 60 * 2, "{world}");
        let delivery = &run.totals.delivery;
        assert_eq!((delivery.lost, delivery.duplicated), (0, 0), "{world}");
    });
    for stream in 0..2 {
        assert_eq!(runs[0].totals.books[stream], runs[1].totals.books[stream]);
    }
    let drained = |run: &Run| {
        let times = run.totals.backlogs[0].drain_times();
        times.min_max_us().map_or(0.0, |(_, last)| last as f64)
    };
    // Three gaps of 50 ms after the last reconnect.
    let back = runs[0]
        .reconnect
        .min_max_us()
        .map_or(0.0, |(_, last)| last as f64);
    let gaps = drained(&runs[0]) - back;
    assert!((149_000.0..153_000.0).contains(&gaps), "{gaps} us");
    alike("backlog.drain_time", &runs, drained, 150_000.0);
}

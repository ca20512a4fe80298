//! Blackholes in whole runs: who falls silent, who notices, and what the nodes are left with.

use super::*;
use crate::device::outage::{HELD_BYTES_MAX, half_open_for};
use crate::mqtt::session::PingOn;
use crate::scenario::plan::{NetworkFault, Pace, Payload, Selector, WhenLate};
use crate::scenario::sdks::{Ping, SDKS};
use crate::stats::event::{Cause, Limit};
use crate::stats::recorder::ErrorKind;

const TIMED_OUT: ErrorKind = ErrorKind::Attempt(Cause::ConnectTimeout);
const SILENT: ErrorKind = ErrorKind::Connection(Cause::KeepAliveTimeout);
const CLOSED: ErrorKind = ErrorKind::Connection(Cause::ClosedByPeer);
const OVERFLOW: ErrorKind = ErrorKind::Connection(Cause::OutputOverflow);

fn hole() -> FaultKind {
    FaultKind::Network {
        who: Selector::default(),
        fault: NetworkFault::Blackhole,
    }
}

/// Devices that ping after 10 s without a message and wait 5 s for the answer, then try again after a
/// second. A message every 40 s.
fn quiet(devices: u32) -> Plan {
    let mut plan = plan(devices, ms(40_000));
    plan.streams[0].ack_timeout = ms(120_000);
    let client = &mut plan.cohorts[0].client;
    (client.keep_alive_s, client.ping_timeout) = (10, ms(5_000));
    client.connect_timeout = ms(2_000);
    client.backoff = Backoff::of(BackoffShape::Fixed(ms(1_000)));
    plan
}

fn errors(outcome: &Outcome) -> Vec<ErrorKind> {
    outcome.totals.errors.iter().map(|e| e.kind).collect()
}

fn count(outcome: &Outcome, kind: ErrorKind) -> u64 {
    let mut errors = outcome.totals.errors.iter();
    errors.find(|e| e.kind == kind).map_or(0, |e| e.count)
}

#[test]
fn a_hole_that_nobody_notices_holds_up_everything_and_loses_nothing() {
    let mut plan = with(plan(200, ms(1_000)), ms(10_000), ms(14_000), hole());
    plan.streams[0].ack_timeout = ms(120_000);
    let outcome = outcome(plan);
    let books = books(&outcome);
    assert_eq!(books.acked, books.planned, "{books:?}");
    assert_eq!(outcome.totals.delivery.seen, books.acked);
    assert_eq!(outcome.totals.delivery.duplicated, 0);
    assert_eq!(errors(&outcome), []);
    assert_eq!(outcome.backend("connections_opened"), 200 + 1);
    assert_eq!(outcome.totals.recoveries, [], "nobody had to come back");
    // Nobody counts as up for the 4 s, though all had their sessions.
    let (up_s, expected_s) = outcome.totals.availability[STEADY];
    assert!((expected_s - 200.0 * 60.0).abs() < 1e-6, "{expected_s}");
    assert!((up_s - 200.0 * 56.0).abs() < 1e-6, "{up_s}");
    // The first message of the hole waits for all of it.
    let slowest = p(&outcome, Metric::AckResponse, STEADY, 100.0);
    assert!(slowest > ms(3_900) && slowest < ms(4_010), "{slowest:?}");
}

/// A device notices when its ping goes unanswered, a node after one and a half keep-alives.
#[test]
fn silence_is_noticed_at_both_ends_and_all_come_back() {
    let plan = with(quiet(200), ms(5_000), ms(35_000), hole());
    let outcome = outcome(plan);
    let silent = outcome.totals.errors.iter().find(|e| e.kind == SILENT);
    let silent = silent.expect("all noticed");
    assert_eq!(silent.count, 200);
    let began = outcome.start.after(ms(15_000));
    let noticed = (silent.first.since(began), silent.last.since(began));
    assert!(noticed.0 >= ms(5_000), "{noticed:?}");
    // A message that it writes into the hole puts off the ping of a device by up to a keep-alive.
    assert!(noticed.1 <= ms(25_000) + LINK_DELAY, "{noticed:?}");
    // Each attempt costs its timeout, and none reached a node.
    assert!(count(&outcome, TIMED_OUT) > 5 * 200);
    assert_eq!(outcome.backend("connections_opened"), 200 + 200 + 1);
    assert_eq!(outcome.backend("keep_alive_expired"), 200);
    assert_eq!(outcome.backend("takeovers"), 0);
    assert_eq!(outcome.backend("inputs_after_close"), 0);
    let all = Recovery {
        affected: 200,
        recovered: 200,
    };
    assert_eq!(outcome.totals.recoveries, [all]);
    let last = outcome.came_back.iter().map(|(_, after)| *after).max();
    let last = last.expect("all came back");
    assert!(last <= ms(3_001), "a timeout and a wait: {last:?}");
    let books = books(&outcome);
    assert_eq!(books.acked, books.planned, "{books:?}");
    assert_eq!(outcome.totals.delivery.lost, 0);
    assert_eq!(errors(&outcome).len(), 2, "{:?}", errors(&outcome));
}

/// Devices that publish every 2 s, at a keep-alive of 10 s: how late they notice is decided by whose
/// silence their SDK goes by. One that goes by its own does not notice: it has too much to say.
#[test]
fn how_late_a_busy_device_notices_is_its_sdks_doing() {
    let mut late = 0;
    for sdk in &SDKS {
        let name = sdk.name;
        let mut plan = plan(50, ms(2_000));
        plan.streams[0].ack_timeout = ms(120_000);
        let client = &mut plan.cohorts[0].client;
        let (interval_s, timeout) = sdk.ping.times(10);
        *client = sdk.client(client.client_id.clone());
        (client.keep_alive_s, client.ping_interval_s) = (10, interval_s);
        client.ping_timeout = timeout;
        let interval = Duration::from_secs(u64::from(interval_s.unwrap_or(10)));
        let outcome = outcome(with(plan, ms(25_000), ms(50_000), hole()));
        let began = outcome.start.after(ms(35_000));
        let silent = outcome.totals.errors.iter().find(|e| e.kind == SILENT);
        let noticed = silent.map(|e| (e.first.since(began), e.last.since(began), e.count));
        // The last answer before the hole is up to a period, or a ping's, old.
        let since = match sdk.ping_on {
            // A message every 2 s, but a ping after 1 s.
            PingOn::SilenceOut if interval < ms(2_000) => ms(2_000),
            PingOn::SilenceOut => {
                assert_eq!(noticed, None, "{name}");
                assert!(count(&outcome, CLOSED) > 0, "{name}: the node did");
                late += 1;
                continue;
            }
            PingOn::SilenceEither => ms(2_000),
            PingOn::Always => interval,
        };
        let (first, last, count) = noticed.unwrap_or_else(|| panic!("{name} does not notice"));
        let longest = interval + timeout;
        assert!(first + since + ms(10) >= longest, "{name}: {first:?}");
        let latest = longest.max(timeout + ms(2_000)) + ms(10);
        assert!(last <= latest, "{name}: {last:?}");
        // ESP's halves are the exception.
        assert!(first >= ms(10_000) || sdk.ping == Ping::Halves, "{name}");
        assert_eq!(count, 50, "{name}");
        assert_eq!(outcome.totals.delivery.lost, 0, "{name}");
    }
    assert_eq!(late, 1, "mqttjs");
}

/// The hole clears after the devices have noticed and before the node has.
#[test]
fn who_comes_back_early_takes_over_what_was_left_half_open() {
    let mut plan = quiet(100);
    let client = &mut plan.cohorts[0].client;
    (client.ping_timeout, client.connect_timeout) = (ms(500), ms(500));
    client.backoff.shape = BackoffShape::Fixed(ms(100));
    let outcome = outcome(with(plan, ms(5_000), ms(16_000), hole()));
    let (expired, taken) = (
        outcome.backend("keep_alive_expired"),
        outcome.backend("takeovers"),
    );
    // Some, whose node has given them up, find that out when the hole clears.
    let noticed = count(&outcome, SILENT) + count(&outcome, CLOSED);
    assert_eq!(expired + taken, noticed);
    assert!(taken > 15 && expired > 15, "{taken}, {expired}");
    assert_eq!(
        outcome.backend("connections_open"),
        100 + 1,
        "none half-open"
    );
    // What was held of those whose node has given them up, a message or a ping or both, comes too late.
    let late = outcome.backend("inputs_after_close");
    assert!(late > 0 && late <= 2 * count(&outcome, CLOSED), "{late}");
    assert_eq!(
        count(&outcome, ErrorKind::Limit(Limit::HalfOpenConnections)),
        0
    );
    let books = books(&outcome);
    assert_eq!(books.acked, books.planned, "{books:?}");
    assert_eq!(outcome.totals.delivery.lost, 0);
}

/// Ten messages of 30 kB fill the send buffer within a second; without a keep-alive, only the end of
/// the half-open connection ends it at the node.
#[test]
fn who_fills_the_send_buffer_leaves_a_connection_that_lasts_its_time() {
    let mut plan = plan(20, ms(100));
    let stream = &mut plan.streams[0];
    (stream.payload, stream.when_late) = (Payload::Bytes(30_000), WhenLate::Skip);
    stream.qos = QoS::AtMostOnce;
    let client = &mut plan.cohorts[0].client;
    client.keep_alive_s = 0;
    client.backoff.shape = BackoffShape::Fixed(ms(200_000));
    let outcome = outcome(with(plan, ms(5_000), ms(50_000), hole()));
    let overflow = outcome.totals.errors.iter().find(|e| e.kind == OVERFLOW);
    let overflow = overflow.expect("all overflow");
    assert_eq!(overflow.count, 20);
    assert_eq!(count(&outcome, ErrorKind::Limit(Limit::OutputBytes)), 20);
    let fits = HELD_BYTES_MAX / 30_000;
    let began = outcome.start.after(ms(15_000));
    let filled_ms = overflow.last.since(began).as_millis();
    let periods = filled_ms as usize / 100;
    assert!((fits..=fits + 2).contains(&periods), "{filled_ms}");
    assert_eq!(half_open_for(0), ms(10_000));
    assert_eq!(outcome.backend("keep_alive_expired"), 0);
    assert_eq!(outcome.backend("connections_open"), 1, "the observer's");
    assert_eq!(outcome.backend("inputs_after_close"), 0);
    assert_eq!(outcome.totals.delivery.lost, 0);
}

/// Two holes and a refusal overlap; each device is let go when the last hole that means it clears.
#[test]
fn overlapping_holes_end_with_the_last() {
    let share = |share| FaultKind::Network {
        who: Selector {
            share: Some(share),
            ..Selector::default()
        },
        fault: NetworkFault::Blackhole,
    };
    let mut plan = plan(100, ms(500));
    plan.streams[0].ack_timeout = ms(120_000);
    let plan = with(plan, ms(10_000), ms(14_000), share(0.5));
    let plan = with(plan, ms(12_000), ms(20_000), share(0.3));
    let outcome = outcome(plan);
    let (up_s, _) = outcome.totals.availability[STEADY];
    // A share is a part of the same order, so that the 30 are among the 50.
    let cut_off_s = 20.0 * 4.0 + 30.0 * 10.0;
    assert!((up_s - (6_000.0 - cut_off_s)).abs() < 1e-6, "{up_s}");
    let books = books(&outcome);
    assert_eq!(books.acked, books.planned, "{books:?}");
    assert_eq!(errors(&outcome), []);
}

#[test]
fn holes_do_not_depend_on_the_order_in_which_devices_are_made() {
    let plan = Arc::new(with(quiet(150), ms(5_000), ms(22_000), hole()));
    let text = |outcome: &Outcome| format!("{outcome:?}");
    let first = run(&plan, 7).expect("simulated");
    assert!(count(&first, SILENT) > 0);
    assert_eq!(text(&first), text(&backwards(&plan)));
}

/// All get power within 10 ms, and nothing passes for the first 2 s.
fn in_a_hole_at_power_on(plan: &mut Plan) {
    let power_on = plan.phases[RAMP].power_on.as_mut();
    power_on.expect("the ramp has one").pace = Pace::PerSecond(1_000.0);
    plan.faults.push(Fault {
        phase: RAMP,
        start: ms(0),
        clear: ms(2_000),
        kind: hole(),
    });
}

/// Ten attempts begin in the hole and the first SYNs are lost; the hole clears before they give up.
#[test]
fn an_attempt_begun_in_a_hole_succeeds_by_a_later_syn() {
    let mut plan = plan(10, ms(10_000));
    plan.cohorts[0].client.connect_timeout = ms(10_000);
    in_a_hole_at_power_on(&mut plan);
    let outcome = outcome(plan);
    assert_eq!(errors(&outcome), []);
    let attempts = &outcome.totals.attempts;
    assert_eq!(attempts.iter().map(|a| a.accepted).sum::<u64>(), 10);
    // SYNs at 0 and 1 s are lost, that at 3 s is not.
    for percentile in [1.0, 100.0] {
        let connect = p(&outcome, Metric::ConnectLatency, RAMP, percentile);
        assert_near(connect, ms(3_000) + 4 * LINK_DELAY, 0.001);
    }
    assert_eq!(outcome.backend("connections_opened"), 10 + 1);
}

#[test]
fn an_attempt_given_up_in_a_hole_sends_no_syn_after_it() {
    let mut plan = plan(10, ms(10_000));
    let client = &mut plan.cohorts[0].client;
    client.connect_timeout = ms(2_500);
    client.backoff = Backoff::of(BackoffShape::Fixed(ms(5_000)));
    in_a_hole_at_power_on(&mut plan);
    let outcome = outcome(plan);
    assert_eq!(count(&outcome, TIMED_OUT), 10);
    assert_eq!(errors(&outcome), [TIMED_OUT]);
    assert_eq!(outcome.backend("connections_opened"), 10 + 1);
    // Each was given up once, and then got through at once.
    let [fastest, slowest] =
        [1.0, 100.0].map(|percentile| p(&outcome, Metric::ConnectLatency, RAMP, percentile));
    assert_near(fastest, 4 * LINK_DELAY, 0.01);
    assert_near(slowest, ms(2_500), 0.001);
}

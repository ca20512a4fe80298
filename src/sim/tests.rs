//! Behaviour of whole runs in virtual time: what the devices measured, held against the backend's
//! own truth and against closed forms.

mod blackhole;
mod campaigns;
mod degrade;
mod desks;
mod fetch;
mod freshness;
mod herd;
mod links;
mod metastable;
mod oracle;
mod outage;
mod power;
mod presets;
mod store;
mod wills;

use super::clients::Watch;
use super::queue::{Event, Up};
use super::world::World;
use super::{Advance, LINK_DELAY, Outcome, Simulation, run};
use crate::mqtt::packet::{Connect, Packet, QoS};
use crate::scenario::fixture;
use crate::scenario::plan::{
    BackendFault, Backoff, BackoffShape, DropAck, Embedded, Fault, FaultKind, GoneClients, Me,
    Observe, Pace, PhaseShape, Plan, Schedule, Sessions, Target,
};
use crate::stats::books::{Books, DeliveryCounts};
use crate::stats::recorder::Recovery;
use crate::stats::series::Metric;
use crate::time::{Duration, Instant};
use std::sync::Arc;

const RAMP: usize = 0;
const STEADY: usize = 1;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The fixture with a period: 10 s of ramp, then 60 s.
fn plan(devices: u32, period: Duration) -> Plan {
    let mut plan = fixture::plan(devices);
    plan.streams[0].schedule = Schedule::Every {
        period,
        phase: PhaseShape::Uniform,
    };
    plan
}

/// A fault from `start` to `clear` within the steady phase, of all nodes.
fn with_fault(plan: Plan, start: Duration, clear: Duration, fault: BackendFault) -> Plan {
    with(plan, start, clear, FaultKind::Backend { node: None, fault })
}

/// A fault from `start` to `clear` within the steady phase.
fn with(mut plan: Plan, start: Duration, clear: Duration, kind: FaultKind) -> Plan {
    let begin = plan.phases[STEADY].start;
    plan.faults.push(Fault {
        phase: STEADY,
        start: begin + start,
        clear: begin + clear,
        kind,
    });
    plan
}

fn embedded(nodes: u16, accept_rate_per_s: Option<f64>) -> Target {
    Target::Embedded(Embedded {
        nodes,
        accept_rate_per_s,
        accept_queue: 100_000,
        service: None,
        gone_clients: GoneClients::Skip,
        me: Me::Shared,
    })
}

fn outcome(plan: Plan) -> Outcome {
    run(&Arc::new(plan), 7).expect("the fixture can be simulated")
}

/// All books of a run in one, after checking each.
fn books(outcome: &Outcome) -> Books {
    assert!(outcome.totals.schedule_agrees);
    let mut all = Books::default();
    for books in outcome.totals.books.iter().flatten() {
        assert!(books.balance(), "{books:?}");
        all.add(books);
    }
    all
}

fn p(outcome: &Outcome, metric: Metric, phase: usize, percentile: f64) -> Duration {
    let histogram = outcome.histogram_in(metric, phase);
    let us = histogram.percentile_us(percentile).expect("not empty");
    Duration::from_micros(us)
}

fn assert_near(got: Duration, expected: Duration, tolerance: f64) {
    let off = got.as_secs_f64() / expected.as_secs_f64() - 1.0;
    assert!(
        off.abs() <= tolerance,
        "{got:?} is not {expected:?} ({off:+.4})"
    );
}

#[test]
fn a_steady_fleet_balances_and_loses_nothing() {
    let mut plan = plan(600, ms(10_000));
    plan.target = embedded(3, None);
    let outcome = outcome(plan);
    let books = books(&outcome);
    assert!(books.planned > 3_600, "{books:?}");
    assert_eq!(books.acked, books.planned);
    let delivery = outcome.totals.delivery;
    let expected = DeliveryCounts {
        verified_acks: books.acked,
        seen: books.acked,
        ..DeliveryCounts::default()
    };
    assert_eq!(delivery, expected);
    assert_eq!(outcome.backend("pubacks_sent"), books.acked);
    assert_eq!(outcome.backend("messages_delivered"), books.acked);
    assert_eq!(outcome.backend("inputs_after_close"), 0);
    for metric in [Metric::AckResponse, Metric::AckService, Metric::EndToEnd] {
        assert_eq!(
            p(&outcome, metric, STEADY, 50.0),
            2 * LINK_DELAY,
            "{metric:?}"
        );
    }
    // TCP handshake and CONNECT take a round trip each.
    assert_eq!(
        p(&outcome, Metric::ConnectLatency, RAMP, 100.0),
        4 * LINK_DELAY
    );
    assert!(outcome.drain_complete);
    assert!(
        outcome.totals.errors.is_empty(),
        "{:?}",
        outcome.totals.errors
    );
}

#[test]
fn all_come_back_from_a_restart() {
    for sessions in [Sessions::Keep, Sessions::Forget] {
        for clean in [false, true] {
            let restart = BackendFault::Restart { sessions };
            let mut plan = with_fault(plan(500, ms(5_000)), ms(10_000), ms(20_000), restart);
            plan.cohorts[0].session.clean = clean;
            plan.streams[0].ack_timeout = ms(5_000);
            let outcome = outcome(plan);
            let case = format!("{sessions:?}, clean {clean}");
            let all = Recovery {
                affected: 500,
                recovered: 500,
            };
            assert_eq!(outcome.totals.recoveries, [all], "{case}");
            // Full jitter up to 30 s, of attempts that go on during the 10 s.
            let slowest = p(&outcome, Metric::ReconnectTime, STEADY, 100.0);
            assert!(
                (ms(1_000)..ms(31_000)).contains(&slowest),
                "{case}: {slowest:?}"
            );
            let books = books(&outcome);
            assert_eq!(books.waiting + books.in_flight, 0, "{case}: {books:?}");
            assert_eq!(outcome.totals.delivery.lost, 0, "{case}");
            let last = outcome.snapshots.last().expect("one per second");
            assert_eq!(last.gauges.connected, 500, "{case}");
            assert_eq!(
                outcome.backend("connections_reset"),
                502,
                "{case}: two observers too"
            );
        }
    }
}

#[test]
fn an_accept_rate_spreads_the_herd_as_its_queue_says() {
    let restart = BackendFault::Restart {
        sessions: Sessions::Keep,
    };
    let mut plan = with_fault(plan(1_000, ms(60_000)), ms(5_000), ms(6_000), restart);
    plan.target = embedded(2, Some(200.0));
    plan.cohorts[0].client.backoff = Backoff::of(BackoffShape::Fixed(ms(500)));
    plan.cohorts[0].client.connect_timeout = ms(30_000);
    let outcome = outcome(plan);
    let recovery = outcome.totals.recoveries[0];
    assert_eq!((recovery.affected, recovery.recovered), (1_000, 1_000));
    // Each node admits 100 a second; the fuller one has a little over 500.
    let slowest = p(&outcome, Metric::ReconnectTime, STEADY, 100.0);
    assert!((ms(5_000)..ms(6_500)).contains(&slowest), "{slowest:?}");
    let median = p(&outcome, Metric::ReconnectTime, STEADY, 50.0);
    assert_near(median, ms(2_750), 0.1);
}

#[test]
fn dropped_acks_time_out_one_for_one_and_cut_no_connection() {
    for which in [DropAck::Count(37), DropAck::Share(0.01)] {
        let fault = BackendFault::DropAck(which);
        let mut plan = with_fault(plan(200, ms(1_000)), ms(0), ms(60_000), fault);
        plan.streams[0].ack_timeout = ms(2_000);
        let outcome = outcome(plan);
        let books = books(&outcome);
        assert_eq!(books.timed_out, outcome.backend("pubacks_dropped"));
        match which {
            DropAck::Count(count) => assert_eq!(books.timed_out, u64::from(count)),
            DropAck::Share(_) => assert!((80..160).contains(&books.timed_out), "{books:?}"),
        }
        assert_eq!(books.acked + books.timed_out, books.planned);
        assert_eq!(
            outcome
                .totals
                .attempts
                .iter()
                .map(|a| a.failed)
                .sum::<u64>(),
            0
        );
        assert_eq!(
            outcome.backend("connects_accepted"),
            201,
            "one observer, no reconnect"
        );
        let delivery = outcome.totals.delivery;
        assert_eq!((delivery.lost, delivery.unverified), (0, 0));
        assert_eq!(
            delivery.recovered, books.timed_out,
            "routed, not acknowledged"
        );
    }
}

/// M12: a stall of D = 2 s in T = 60 s of open-loop load; percentile p is D - (1 - p) T, the mean
/// rises by D^2 / 2T.
#[test]
fn a_stall_shows_in_the_percentiles_as_the_closed_form_says() {
    let mut plan = with_fault(
        plan(100, ms(100)),
        ms(20_000),
        ms(22_000),
        BackendFault::Stall,
    );
    plan.cohorts[0].client.inflight = 64;
    let outcome = outcome(plan);
    let books = books(&outcome);
    assert_eq!(books.acked, books.planned);
    let response = outcome.histogram_in(Metric::AckResponse, STEADY);
    assert_eq!(response.count(), 60_000);
    assert_near(
        p(&outcome, Metric::AckResponse, STEADY, 99.0),
        ms(1_400),
        0.02,
    );
    assert_near(
        p(&outcome, Metric::AckResponse, STEADY, 99.9),
        ms(1_940),
        0.02,
    );
    let mean_us = response.mean_us().expect("not empty");
    assert_near(
        Duration::from_secs_f64(mean_us / 1e6),
        Duration::from_micros(33_533),
        0.02,
    );
    assert_near(p(&outcome, Metric::EndToEnd, STEADY, 99.0), ms(1_400), 0.02);
}

/// With one publish in flight the other arrivals wait in the device: the response time is the
/// same, the service time hides the stall.
#[test]
fn a_closed_window_hides_a_stall_from_the_service_time_only() {
    let mut plan = with_fault(
        plan(100, ms(100)),
        ms(20_000),
        ms(22_000),
        BackendFault::Stall,
    );
    plan.cohorts[0].client.inflight = 1;
    let outcome = outcome(plan);
    assert_near(
        p(&outcome, Metric::AckResponse, STEADY, 99.0),
        ms(1_400),
        0.02,
    );
    let service = p(&outcome, Metric::AckService, STEADY, 99.0);
    assert!(service < ms(1), "{service:?}");
}

#[test]
fn an_ack_delay_is_measured_as_what_it_is() {
    for delay in [ms(1), ms(10), ms(100)] {
        let fault = BackendFault::AckDelay(delay);
        let outcome = outcome(with_fault(plan(100, ms(1_000)), ms(0), ms(60_000), fault));
        let expected = delay + 2 * LINK_DELAY;
        for metric in [Metric::AckResponse, Metric::AckService] {
            assert_near(p(&outcome, metric, STEADY, 50.0), expected, 0.001);
            assert_near(p(&outcome, metric, STEADY, 99.0), expected, 0.001);
        }
        assert_eq!(p(&outcome, Metric::EndToEnd, STEADY, 99.0), 2 * LINK_DELAY);
    }
}

#[test]
fn without_observers_there_is_no_word_on_delivery() {
    let mut plan = plan(50, ms(5_000));
    plan.observe = Observe {
        devices: 0,
        ..plan.observe
    };
    let outcome = outcome(plan);
    assert!(books(&outcome).acked > 0);
    assert_eq!(outcome.totals.delivery, DeliveryCounts::default());
    assert_eq!(outcome.histogram(Metric::EndToEnd).count(), 0);
    assert_eq!(outcome.backend("messages_delivered"), 0);
}

/// Somebody connects with the observer's client identifier and a clean session: the server closes
/// the observer and forgets what it had for it.
#[test]
fn a_killed_observer_makes_acks_unverified_never_lost() {
    let plan = Arc::new(plan(100, ms(50)));
    let mut world = World::new(&plan, &shape(&plan), 7);
    let Watch { observer, .. } = &world.observers[0];
    let impostor = Connect {
        client_id: observer.client_id(),
        clean_session: true,
        keep_alive_s: 0,
        will: None,
        username: None,
        password: None,
    };
    let armed = world.arm().expect("nothing hinders");
    world.begin(armed);
    let conn = world.stray_connection(0);
    let at = Instant::ZERO.after(ms(30_000));
    let connect = Up::Packet(Packet::Connect(Box::new(impostor)));
    for (up, later) in [(Up::Opened, 0), (connect, 1)] {
        world.queue.push(at.after_ns(later), 0, Event::Up(conn, up));
    }
    let outcome = Simulation(world).to_the_end();
    assert_eq!(
        outcome.backend("takeovers"),
        1 + 1,
        "and the observer took its name back"
    );
    let delivery = outcome.totals.delivery;
    assert!(delivery.unverified > 0, "{delivery:?}");
    assert_eq!((delivery.lost, delivery.duplicated), (0, 0), "{delivery:?}");
    assert_eq!(books(&outcome).acked, books(&outcome).planned);
}

#[test]
fn a_node_that_forgets_its_sessions_makes_acks_unverified_never_lost() {
    let restart = BackendFault::Restart {
        sessions: Sessions::Forget,
    };
    let mut plan = with_fault(plan(200, ms(200)), ms(10_000), ms(11_000), restart);
    plan.cohorts[0].client.backoff = Backoff::of(BackoffShape::Fixed(ms(100)));
    let delivery = outcome(plan).totals.delivery;
    assert!(delivery.unverified > 0, "{delivery:?}");
    assert_eq!(delivery.lost, 0, "{delivery:?}");
}

fn shape(plan: &Plan) -> Embedded {
    match &plan.target {
        Target::Embedded(shape) => shape.clone(),
        Target::Brokers(_) => unreachable!("the fixture has an embedded target"),
    }
}

fn eventful() -> Plan {
    let restart = BackendFault::Restart {
        sessions: Sessions::Keep,
    };
    let drop = BackendFault::DropAck(DropAck::Share(0.05));
    let plan = with_fault(plan(300, ms(2_000)), ms(5_000), ms(8_000), restart);
    let mut plan = with_fault(plan, ms(30_000), ms(50_000), drop);
    plan.target = embedded(2, Some(100.0));
    plan.streams[0].ack_timeout = ms(3_000);
    plan.streams[0].qos = QoS::AtLeastOnce;
    plan
}

/// The run whose devices are made in the opposite order.
fn backwards(plan: &Arc<Plan>) -> Outcome {
    let order = (0..plan.devices()).rev().collect();
    let mut world = World::new(plan, &shape(plan), 7).made_in_order(order);
    let armed = world.arm().expect("nothing hinders");
    world.begin(armed);
    Simulation(world).to_the_end()
}

#[test]
fn the_same_seed_gives_the_same_run_in_whatever_order_devices_are_made() {
    let plan = Arc::new(eventful());
    let text = |outcome: &Outcome| format!("{outcome:?}");
    let first = run(&plan, 7).expect("simulated");
    assert!(first.backend("pubacks_dropped") > 0);
    let again = run(&plan, 7).expect("simulated");
    assert_eq!(text(&first), text(&again));
    assert_eq!(text(&first), text(&backwards(&plan)));
    let mut other = eventful();
    other.seed += 1;
    assert_ne!(text(&first), text(&outcome(other)));
}

#[test]
fn a_paused_listener_makes_connects_wait_not_fail() {
    let mut plan = with_fault(
        plan(100, ms(10_000)),
        ms(0),
        ms(4_000),
        BackendFault::PauseAccepting,
    );
    // The second half gets power while the listener is paused.
    plan.phases[RAMP].length = ms(10_000);
    if let Some(power_on) = &mut plan.phases[RAMP].power_on {
        power_on.pace = Pace::PerSecond(5.0);
    }
    plan.faults[0].start = ms(10_000);
    let outcome = outcome(plan);
    assert_eq!(
        outcome
            .totals
            .attempts
            .iter()
            .map(|a| a.failed)
            .sum::<u64>(),
        0
    );
    let slowest = p(&outcome, Metric::ConnectLatency, STEADY, 100.0);
    assert!((ms(3_500)..=ms(4_005)).contains(&slowest), "{slowest:?}");
    assert_eq!(books(&outcome).acked, books(&outcome).planned);
}

/// 4 096 fit into the backlog; the SYNs of the others come again 1 s and 3 s after the first.
#[test]
fn a_full_backlog_lets_connects_come_again() {
    let mut plan = plan(5_000, ms(60_000));
    if let Some(power_on) = &mut plan.phases[RAMP].power_on {
        power_on.pace = Pace::PerSecond(5_000.0);
    }
    plan.observe.devices = 0;
    plan.cohorts[0].client.connect_timeout = ms(30_000);
    let mut plan = with_fault(plan, ms(0), ms(0), BackendFault::PauseAccepting);
    (plan.faults[0].start, plan.faults[0].clear) = (ms(0), ms(2_500));
    let outcome = outcome(plan);
    let failed = outcome.totals.attempts.iter().map(|a| a.failed);
    assert_eq!(failed.sum::<u64>(), 0);
    assert_eq!(outcome.backend("listen_backlog_full"), 2 * (5_000 - 4_096));
    let slowest = p(&outcome, Metric::ConnectLatency, RAMP, 100.0);
    assert_near(slowest, ms(3_000), 0.002);
}

#[test]
fn of_several_faults_in_a_phase_the_last_clearing_is_recovered_from() {
    let restart = BackendFault::Restart {
        sessions: Sessions::Keep,
    };
    let plan = with_fault(plan(200, ms(5_000)), ms(5_000), ms(22_000), restart);
    let plan = with_fault(plan, ms(10_000), ms(11_000), restart);
    let outcome = outcome(plan);
    let all = Recovery {
        affected: 200,
        recovered: 200,
    };
    assert_eq!(outcome.totals.recoveries, [all]);
    assert_eq!(
        outcome.histogram_in(Metric::ReconnectTime, STEADY).count(),
        200
    );
}

#[test]
fn who_comes_back_in_the_drain_has_not_recovered() {
    let restart = BackendFault::Restart {
        sessions: Sessions::Keep,
    };
    let mut plan = with_fault(plan(300, ms(60_000)), ms(50_000), ms(55_000), restart);
    plan.target = embedded(1, Some(10.0));
    let outcome = outcome(plan);
    let [recovery] = outcome.totals.recoveries[..] else {
        panic!("one fault: {:?}", outcome.totals.recoveries);
    };
    let times = outcome.histogram_in(Metric::ReconnectTime, STEADY);
    assert!((1..=51).contains(&recovery.recovered), "{recovery:?}");
    assert!(recovery.affected > 200, "{recovery:?}");
    assert_eq!(times.count(), recovery.recovered);
    let longest = times.percentile_us(100.0).expect("not empty");
    assert!(longest <= 5_100_000, "{longest} us");
}

/// All devices publish at one instant, and the run is stopped among them.
#[test]
fn the_books_balance_wherever_a_run_is_stopped() {
    let mut plan = plan(50, ms(1_000));
    plan.streams[0].schedule = Schedule::Every {
        period: ms(1_000),
        phase: PhaseShape::Aligned { jitter: ms(0) },
    };
    let restart = BackendFault::Restart {
        sessions: Sessions::Keep,
    };
    let plan = with_fault(plan, ms(2_000), ms(3_000), restart);
    let plan = Arc::new(plan);
    let mut ends = Vec::new();
    for events in 1..250 {
        let shape = shape(&plan);
        let mut simulation = Simulation::begin(&plan, &shape, 7).expect("simulated");
        let mut seconds = 0;
        while let Advance::Second(_) = simulation.advance(events) {
            seconds += 1;
            if seconds == events % 7 {
                break;
            }
        }
        let outcome = simulation.finish();
        let all = books(&outcome);
        assert!(all.planned <= 50 * 71, "{all:?}");
        assert!(outcome.start <= outcome.end && outcome.end <= outcome.drained);
        assert!(!outcome.drain_complete);
        ends.push(outcome.end);
    }
    ends.dedup();
    assert!(ends.len() > 100, "stopped all over the run: {}", ends.len());
}

//! Network faults in whole runs: who is cut off, when, and who is not.

use super::*;
use crate::device::backoff::attempt_cost;
use crate::device::outage::Outages;
use crate::scenario::plan::{Attribute, NetworkFault, Selector};
use crate::scenario::timeline::{self, Action};
use crate::stats::event::Cause;
use crate::stats::recorder::{ErrorCount, ErrorKind};

const RESET: ErrorKind = ErrorKind::Connection(Cause::Reset);
const CLOSED: ErrorKind = ErrorKind::Connection(Cause::ClosedByPeer);

fn reset(who: Selector, within: Duration) -> FaultKind {
    let fault = NetworkFault::Reset { within };
    FaultKind::Network { who, fault }
}

fn refuse(who: Selector) -> FaultKind {
    let fault = NetworkFault::Refuse;
    FaultKind::Network { who, fault }
}

fn everyone() -> Selector {
    Selector::default()
}

fn share(share: f64) -> Selector {
    Selector {
        share: Some(share),
        ..everyone()
    }
}

fn backoff(plan: &mut Plan, wait: Duration, give_up_after: Option<u32>) {
    plan.cohorts[0].client.backoff = Backoff {
        give_up_after,
        ..Backoff::of(BackoffShape::Fixed(wait))
    };
}

/// The error of a kind; none has a count of zero.
fn error(outcome: &Outcome, kind: ErrorKind) -> Option<&ErrorCount> {
    outcome.totals.errors.iter().find(|e| e.kind == kind)
}

fn count(outcome: &Outcome, kind: ErrorKind) -> u64 {
    error(outcome, kind).map_or(0, |error| error.count)
}

/// An instant of the steady phase.
fn steady(outcome: &Outcome, after: Duration) -> Instant {
    outcome.start.after(ms(10_000) + after)
}

/// Devices with a session at the end of a second of the steady phase.
fn connected(outcome: &Outcome, second: usize) -> u64 {
    outcome.snapshots[10 + second - 1].gauges.connected
}

#[test]
fn a_reset_of_a_fleet_with_persistent_sessions_loses_nothing_and_all_come_back() {
    let kind = reset(everyone(), ms(500));
    let mut plan = with(plan(500, ms(1_000)), ms(10_000), ms(20_000), kind);
    plan.streams[0].ack_timeout = ms(120_000);
    let outcome = outcome(plan);
    let all = Recovery {
        affected: 500,
        recovered: 500,
    };
    assert_eq!(outcome.totals.recoveries, [all]);
    assert_eq!(outcome.came_back.len(), 500);
    let books = books(&outcome);
    assert_eq!(books.acked, books.planned, "{books:?}");
    let delivery = outcome.totals.delivery;
    assert_eq!((delivery.lost, delivery.unverified), (0, 0), "{delivery:?}");
    assert_eq!(delivery.seen, books.acked);
    assert_eq!(count(&outcome, RESET), 500);
    assert_eq!((connected(&outcome, 10), connected(&outcome, 11)), (500, 0));
    // No connect of the outage reached a node, and no observer noticed anything.
    let refused = count(&outcome, ErrorKind::Attempt(Cause::Refused));
    let attempts = &outcome.totals.attempts;
    assert!(refused > 500, "{refused}");
    assert_eq!(refused, attempts.iter().map(|a| a.failed).sum::<u64>());
    let observers = 2;
    assert_eq!(outcome.backend("connections_opened"), 1_000 + observers);
    assert_eq!(outcome.backend("sessions_resumed"), 500);
    assert_eq!(
        outcome.totals.errors.len(),
        2,
        "{:?}",
        outcome.totals.errors
    );
}

/// Devices that give up after one attempt were online to the nanosecond of their cut.
#[test]
fn a_reset_cuts_each_device_at_its_instant() {
    for within in [Duration::ZERO, ms(500), ms(10_000)] {
        let kind = reset(everyone(), within);
        let mut plan = with(plan(100, ms(60_000)), ms(10_000), ms(20_000), kind);
        backoff(&mut plan, ms(100), Some(1));
        let mut law = Outages::new(&plan);
        law.start(0);
        let cuts: Vec<Duration> = (0..100)
            .filter_map(|d| law.cut(0, d))
            .map(|cut| cut.after)
            .collect();
        let outcome = outcome(plan);
        let resets = error(&outcome, RESET).expect("all were reset");
        let extremes = (cuts.iter().min(), cuts.iter().max());
        let (Some(first), Some(last)) = extremes else {
            panic!("all are meant");
        };
        assert_eq!(resets.count, 100);
        assert_eq!(resets.first, steady(&outcome, ms(10_000) + *first));
        assert_eq!(resets.last, steady(&outcome, ms(10_000) + *last));
        let (online_s, _) = outcome.totals.availability[STEADY];
        let expected_s = 100.0 * 10.0 + cuts.iter().map(Duration::as_secs_f64).sum::<f64>();
        assert!(
            (online_s - expected_s).abs() < 1e-6,
            "{within:?}: {online_s}"
        );
        assert_eq!(count(&outcome, ErrorKind::GaveUp), 100);
        // The nodes heard of it.
        assert_eq!(outcome.backend("connections_open"), 1, "the observer's");
    }
}

#[test]
fn a_refusal_keeps_established_connections() {
    let mut plan = with(plan(100, ms(1_000)), ms(0), ms(30_000), refuse(everyone()));
    // The second half gets power while connects are refused.
    if let Some(power_on) = &mut plan.phases[RAMP].power_on {
        power_on.pace = Pace::PerSecond(5.0);
    }
    plan.streams[0].ack_timeout = ms(120_000);
    let outcome = outcome(plan);
    assert_eq!(count(&outcome, RESET), 0);
    assert_eq!((connected(&outcome, 1), connected(&outcome, 30)), (50, 50));
    let half = Recovery {
        affected: 50,
        recovered: 50,
    };
    assert_eq!(outcome.totals.recoveries, [half]);
    let books = books(&outcome);
    assert_eq!(books.acked, books.planned, "{books:?}");
    assert_eq!(outcome.backend("connections_opened"), 100 + 1);
    let refused = error(&outcome, ErrorKind::Attempt(Cause::Refused)).expect("50 devices");
    assert!(refused.count > 50, "{refused:?}");
    assert_eq!(outcome.totals.errors.len(), 1);
    // A refused attempt costs time like any other.
    assert!(refused.first > steady(&outcome, ms(20)), "{refused:?}");
}

/// What a reset does, but the device takes its end for the peer's, and the node sees the same.
#[test]
fn a_close_is_a_reset_with_another_name() {
    let run = |fault| {
        let kind = FaultKind::Network {
            who: share(0.4),
            fault,
        };
        outcome(with(plan(100, ms(60_000)), ms(10_000), ms(20_000), kind))
    };
    let within = ms(500);
    let (reset, closed) = (
        run(NetworkFault::Reset { within }),
        run(NetworkFault::Close { within }),
    );
    assert_eq!((count(&reset, RESET), count(&closed, CLOSED)), (40, 40));
    assert_eq!((count(&closed, RESET), count(&reset, CLOSED)), (0, 0));
    assert_eq!(reset.came_back, closed.came_back);
    assert_eq!(reset.backends, closed.backends);
    assert_eq!(reset.totals.availability, closed.totals.availability);
}

/// The second half gets power while no name is resolved.
#[test]
fn without_names_established_connections_go_on_and_new_ones_fail_at_their_cost() {
    let dns = FaultKind::Network {
        who: everyone(),
        fault: NetworkFault::Dns,
    };
    let mut plan = with(plan(100, ms(1_000)), ms(0), ms(30_000), dns);
    if let Some(power_on) = &mut plan.phases[RAMP].power_on {
        power_on.pace = Pace::PerSecond(5.0);
    }
    plan.streams[0].ack_timeout = ms(120_000);
    let outcome = outcome(plan);
    assert_eq!((connected(&outcome, 1), connected(&outcome, 30)), (50, 50));
    let half = Recovery {
        affected: 50,
        recovered: 50,
    };
    assert_eq!(outcome.totals.recoveries, [half]);
    assert_eq!(outcome.backend("connections_opened"), 100 + 1);
    let unresolved = ErrorKind::Attempt(Cause::Unresolved);
    let unresolved = error(&outcome, unresolved).expect("50 devices");
    assert!(unresolved.count > 50, "{unresolved:?}");
    assert!(
        unresolved.first > steady(&outcome, ms(20)),
        "{unresolved:?}"
    );
    assert_eq!(outcome.totals.errors.len(), 1);
}

#[test]
fn overlapping_outages_hold_each_its_own_devices() {
    let north = Selector {
        attributes: vec![("region".into(), "north".into())],
        ..everyone()
    };
    let mut plan = plan(1_000, ms(60_000));
    plan.cohorts[0].attributes = vec![Attribute {
        name: "region".into(),
        values: vec![("north".into(), 400), ("south".into(), 600)],
        root: None,
    }];
    backoff(&mut plan, ms(100), None);
    let held = share(0.3).members(&plan);
    let in_north = north.members(&plan);
    let both = held.iter().filter(|d| in_north.contains(d)).count() as u64;
    assert!((80..160).contains(&both), "{both}");
    // North is reset from 10 s to 20 s; from 15 s to 30 s nobody of the 30 % may connect.
    let plan = with(plan, ms(10_000), ms(20_000), reset(north, ms(0)));
    let plan = with(plan, ms(15_000), ms(30_000), refuse(share(0.3)));
    let outcome = outcome(plan);
    let resets = error(&outcome, RESET).expect("north was reset");
    assert_eq!(resets.count, 400);
    assert_eq!(resets.last, steady(&outcome, ms(10_000)));
    let online = [9, 11, 20, 22, 30, 32].map(|second| connected(&outcome, second));
    assert_eq!(online, [1_000, 600, 600, 1_000 - both, 1_000 - both, 1_000]);
    let last = Recovery {
        affected: both,
        recovered: both,
    };
    assert_eq!(outcome.totals.recoveries, [Recovery::default(), last]);
}

#[test]
fn a_share_is_an_exact_count() {
    for (percent, devices) in [(0.1, 1), (30.0, 300), (33.35, 334), (100.0, 1_000)] {
        let who = share(percent / 100.0);
        let kind = reset(who, ms(2_000));
        let outcome = outcome(with(plan(1_000, ms(60_000)), ms(5_000), ms(8_000), kind));
        assert_eq!(count(&outcome, RESET), devices, "{percent} %");
        let recovery = outcome.totals.recoveries[0];
        assert_eq!(recovery.affected, devices);
        assert_eq!(recovery.recovered, devices);
    }
}

/// A stalled node lets the handshakes of 50 devices wait; the reset ends them too. The last of them
/// began 10 ms before, so that its cost is still to come.
#[test]
fn attempts_under_way_are_cut_as_well() {
    let stall = BackendFault::Stall;
    let mut plan = with_fault(plan(100, ms(60_000)), ms(0), ms(20_000), stall);
    if let Some(power_on) = &mut plan.phases[RAMP].power_on {
        power_on.pace = Pace::PerSecond(5.0);
    }
    plan.cohorts[0].client.connect_timeout = ms(30_000);
    backoff(&mut plan, ms(300_000), None);
    let plan = with(plan, ms(9_810), ms(18_000), reset(everyone(), ms(0)));
    let power_ons = timeline::compile(&plan, |_| true).into_iter();
    let mut order = power_ons.filter_map(|entry| match entry.action {
        Action::PowerOn(device) => Some(device),
        Action::FaultClear(_)
        | Action::PhaseStart(_)
        | Action::FaultStart(_)
        | Action::PowerOff(_)
        | Action::End => None,
    });
    let cost = attempt_cost(plan.seed, order.next_back().expect("there are 100"), 0);
    let outcome = outcome(plan);
    let cut = error(&outcome, ErrorKind::Attempt(Cause::Reset)).expect("50 attempts");
    assert_eq!((cut.count, count(&outcome, RESET)), (50, 50));
    assert_eq!(cut.first, steady(&outcome, ms(9_810)));
    assert_eq!(cut.last, steady(&outcome, ms(9_800) + cost));
    assert_eq!(outcome.backend("connections_opened"), 100 + 1);
    assert_eq!(outcome.backend("connections_open"), 1, "the observer's");
}

#[test]
fn outages_do_not_depend_on_the_order_in_which_devices_are_made() {
    let plan = with(
        plan(300, ms(2_000)),
        ms(5_000),
        ms(8_000),
        reset(share(0.5), ms(700)),
    );
    let plan = Arc::new(with(plan, ms(6_000), ms(12_000), refuse(share(0.7))));
    let text = |outcome: &Outcome| format!("{outcome:?}");
    let first = run(&plan, 7).expect("simulated");
    assert_eq!(count(&first, RESET), 150);
    let backwards = backwards(&plan);
    assert_eq!(text(&first), text(&backwards));
}

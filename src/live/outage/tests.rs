//! A fleet of three stepped by hand through an outage, against a peer that the kernel accepts
//! connections for.

use crate::device::backoff::attempt_cost;
use crate::device::{self, outage::Outages};
use crate::live::fleet::Fleet;
use crate::live::tests::fleet_of_target;
use crate::mqtt::packet::{ConnectCode, Packet};
use crate::scenario::fixture;
use crate::scenario::plan::{Fault, FaultKind, NetworkFault, Plan, Selector};
use crate::stats::event::Cause;
use crate::stats::recorder::{ErrorKind, Recovery, Totals};
use crate::time::{Duration, Instant};
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

const DEVICES: u32 = 3;
const RESET: ErrorKind = ErrorKind::Connection(Cause::Reset);

pub(in crate::live) fn s(s: u64) -> Duration {
    Duration::from_secs(s)
}

pub(in crate::live) fn at(ms: u64) -> Instant {
    Instant::from_ns(ms * 1_000_000)
}

/// Three devices with power within the first ten seconds, and this fault of all of them.
pub(in crate::live) fn plan(start: Duration, clear: Duration, fault: NetworkFault) -> Plan {
    let mut plan = fixture::plan(DEVICES);
    plan.faults = vec![Fault {
        phase: 1,
        start,
        clear,
        kind: FaultKind::Network {
            who: Selector::default(),
            fault,
        },
    }];
    plan
}

/// Gives `test` that fleet at T0, within a runtime whose tasks do not run.
pub(in crate::live) fn by_hand(plan: Plan, test: impl FnOnce(&mut Fleet, &TcpListener)) -> Totals {
    let runtime = crate::live::runtime().expect("a test has file descriptors left");
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound");
        let (fleet, _) = fleet_of_target(plan, address);
        let mut fleet = fleet.borrow_mut();
        fleet.begin(Instant::ZERO, |_| true);
        test(&mut fleet, &listener);
        fleet.close_books(at(60_000))
    })
}

/// Lets all of the timeline up to `now` happen, all at once.
pub(in crate::live) fn come_to(fleet: &mut Fleet, now: Instant) {
    fleet.run_timeline(now, usize::MAX);
}

/// All devices have power and a session by 10 s; the sockets at the peer's end.
pub(in crate::live) fn connect_all(fleet: &mut Fleet, listener: &TcpListener) -> Vec<TcpStream> {
    let now = at(9_999);
    come_to(fleet, now);
    let mut peers = Vec::new();
    for i in 0..DEVICES as usize {
        let (peer, _) = listener.accept().expect("a device connects");
        peer.set_read_timeout(Some(s(20))).expect("it is a socket");
        peers.push(peer);
        shake_hands(fleet, i, now);
    }
    peers
}

pub(in crate::live) fn shake_hands(fleet: &mut Fleet, i: usize, now: Instant) {
    let accepted = Packet::ConnAck {
        session_present: false,
        code: ConnectCode::Accepted,
    };
    fleet.step_device(i, now, now, device::Input::Opened);
    fleet.step_device(i, now, now, device::Input::Received(accepted));
    assert!(fleet.devices[i].device.is_connected());
}

/// Reads to the end.
fn ends_with_reset(mut peer: TcpStream) -> bool {
    let end = peer.read_to_end(&mut Vec::new());
    end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

/// Reads to the end.
fn ends_with_fin(mut peer: TcpStream) -> bool {
    peer.read_to_end(&mut Vec::new()).is_ok()
}

fn errors(totals: &Totals) -> Vec<(ErrorKind, u64, Instant)> {
    let errors = totals.errors.iter();
    errors.map(|e| (e.kind, e.count, e.first)).collect()
}

#[test]
fn each_connection_ends_with_rst_when_the_law_says() {
    let within = s(2);
    let plan = plan(s(20), s(30), NetworkFault::Reset { within });
    let mut law = Outages::new(&plan);
    law.start(0);
    let cuts = (0..DEVICES).filter_map(|device| law.cut(0, device));
    let mut cuts: Vec<Instant> = cuts.map(|cut| at(20_000).after(cut.after)).collect();
    cuts.sort_unstable();
    let first = cuts[0];
    let totals = by_hand(plan, |fleet, listener| {
        let peers = connect_all(fleet, listener);
        come_to(fleet, Instant::from_ns(first.ns() - 1));
        assert_eq!(fleet.routes.open(), DEVICES);
        for (left, cut) in (0..DEVICES).rev().zip(cuts) {
            come_to(fleet, cut);
            assert_eq!(fleet.routes.open(), left);
        }
        let cut = fleet.devices.iter().filter(|s| !s.device.is_connected());
        assert_eq!(cut.count(), DEVICES as usize);
        assert!(peers.into_iter().all(ends_with_reset));
    });
    assert_eq!(errors(&totals), [(RESET, 3, first)]);
}

#[test]
fn a_close_ends_connections_with_fin() {
    let fault = NetworkFault::Close { within: s(2) };
    let totals = by_hand(plan(s(20), s(30), fault), |fleet, listener| {
        let peers = connect_all(fleet, listener);
        come_to(fleet, at(22_000));
        assert_eq!(fleet.routes.open(), 0);
        assert!(peers.into_iter().all(ends_with_fin));
        // And connects are refused.
        let retry = fleet.devices[0].device.poll_timeout();
        fleet.step_device(0, retry, retry, device::Input::Timeout);
        assert_eq!(fleet.routes.open(), 0);
        fleet.tell_device(0, at(29_000));
    });
    let counts: Vec<(ErrorKind, u64)> = totals.errors.iter().map(|e| (e.kind, e.count)).collect();
    let closed = ErrorKind::Connection(Cause::ClosedByPeer);
    let refused = ErrorKind::Attempt(Cause::Refused);
    assert_eq!(counts, [(refused, 1), (closed, 3)]);
}

#[test]
fn however_late_the_driver_is_it_cuts_before_it_clears() {
    let within = s(10);
    let totals = by_hand(
        plan(s(20), s(30), NetworkFault::Reset { within }),
        |fleet, listener| {
            let _peers = connect_all(fleet, listener);
            come_to(fleet, at(31_000));
            assert!(fleet.devices.iter().all(|slot| slot.recovering == Some(0)));
            // Connects are accepted again.
            let retry = fleet.devices[0].device.poll_timeout();
            fleet.step_device(0, retry, retry, device::Input::Timeout);
            assert_eq!(fleet.routes.open(), 1);
            shake_hands(fleet, 0, retry);
        },
    );
    assert_eq!(errors(&totals), [(RESET, 3, at(31_000))]);
    let recovery = Recovery {
        affected: 3,
        recovered: 1,
    };
    assert_eq!(totals.recoveries, [recovery]);
}

#[test]
fn the_last_phase_ends_after_the_cuts_of_its_outage() {
    let within = s(40);
    let fault = NetworkFault::Reset { within };
    let totals = by_hand(plan(s(30), s(70), fault), |fleet, listener| {
        let _peers = connect_all(fleet, listener);
        come_to(fleet, at(90_000));
        assert_eq!(fleet.routes.open(), 0);
    });
    assert_eq!(totals.recoveries[0].affected, 3);
}

/// No arrival and no cut comes after a run that is stopped.
#[test]
fn a_stopped_run_cuts_nobody_any_more() {
    let fault = NetworkFault::Reset { within: s(10) };
    let totals = by_hand(plan(s(20), s(30), fault), |fleet, listener| {
        let _peers = connect_all(fleet, listener);
        come_to(fleet, at(20_000));
        fleet.stop_arrivals(at(20_000), at(20_000));
        come_to(fleet, at(40_000));
        assert_eq!(fleet.routes.open(), DEVICES);
    });
    assert_eq!(errors(&totals), []);
}

#[test]
fn a_stopped_attempt_opens_no_socket_and_costs_its_time() {
    stops_attempts(NetworkFault::Refuse, Cause::Refused);
    stops_attempts(NetworkFault::Dns, Cause::Unresolved);
}

fn stops_attempts(fault: NetworkFault, cause: Cause) {
    let plan = plan(s(0), s(60), fault);
    let seed = plan.seed;
    let mut told = at(0);
    let totals = by_hand(plan, |fleet, _| {
        // The first device gets power at T0.
        come_to(fleet, at(0));
        let i = fleet
            .devices
            .iter()
            .position(|slot| !slot.power_on.is_never());
        let i = i.expect("one has power");
        told = at(0).after(attempt_cost(seed, fleet.devices[i].device.id(), 0));
        assert_eq!(fleet.devices[i].port.told_at(), told);
        fleet.tell_device(i, Instant::from_ns(told.ns() - 1));
        assert_eq!(fleet.devices[i].port.told_at(), told);
        fleet.tell_device(i, told);
        assert!(fleet.devices[i].port.told_at().is_never());
        assert_eq!(fleet.routes.open(), 0);
    });
    assert_eq!(errors(&totals), [(ErrorKind::Attempt(cause), 1, told)]);
}

#[test]
fn an_attempt_that_is_cut_is_told_when_it_has_cost_its_time() {
    let fault = NetworkFault::Reset { within: s(0) };
    // The third device gets power just before.
    let plan = plan(Duration::from_millis(6_700), s(30), fault);
    let seed = plan.seed;
    let mut told = at(0);
    let totals = by_hand(plan, |fleet, listener| {
        come_to(fleet, at(6_699));
        assert_eq!(fleet.routes.open(), 3);
        for i in 0..DEVICES as usize {
            listener.accept().expect("a device connects");
            fleet.step_device(i, at(6_699), at(6_699), device::Input::Opened);
        }
        come_to(fleet, at(6_700));
        assert_eq!(fleet.routes.open(), 0);
        let last = fleet.devices.iter().max_by_key(|slot| slot.power_on);
        let last = last.expect("there are three");
        told = last.power_on.after(attempt_cost(seed, last.device.id(), 0));
        assert!(told > at(6_700));
        assert_eq!(last.port.told_at(), told);
        for i in 0..DEVICES as usize {
            fleet.tell_device(i, told);
        }
    });
    let cut = ErrorKind::Attempt(Cause::Reset);
    assert_eq!(errors(&totals), [(cut, 3, at(6_700))]);
    let ended = totals.errors[0].last;
    assert_eq!(ended, told);
}

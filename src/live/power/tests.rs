//! Devices that lose their power: stepped by hand, over real sockets for what the target gets to see.

use crate::device::outage::half_open_for;
use crate::live::outage::tests::{at, by_hand, come_to, connect_all, s, shake_hands};
use crate::scenario::fixture;
use crate::scenario::plan::{DeviceFault, Fault, FaultKind, PhaseShape, Plan, Schedule, Selector};
use crate::scenario::power::{BootTime, Spread};
use crate::stats::recorder::{Recovery, Totals};
use crate::time::{Duration, Instant};
use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;

/// Three devices with power within the first ten seconds and a message each 100 ms; all lose it from
/// 20 s to 30 s and then boot for `boot`.
fn plan(boot: Duration) -> Plan {
    let mut plan = fixture::plan(3);
    plan.streams[0].schedule = Schedule::Every {
        period: Duration::from_millis(100),
        phase: PhaseShape::Uniform,
    };
    plan.faults = vec![Fault {
        phase: 1,
        start: s(20),
        clear: s(30),
        kind: FaultKind::Device {
            who: Selector::default(),
            fault: DeviceFault::PowerCut {
                within: s(0),
                back: Spread::AtOnce,
                boot: BootTime::Fixed(boot),
            },
        },
    }];
    plan
}

/// Nothing but packets is there to be read: the connection has not ended.
fn is_open(peer: &mut TcpStream) -> bool {
    peer.set_nonblocking(true).expect("it is a socket");
    let end = peer.read_to_end(&mut Vec::new());
    peer.set_nonblocking(false).expect("it is a socket");
    end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn has_books_in_order(totals: &Totals) {
    assert!(totals.schedule_agrees);
    for books in totals.books.iter().flatten() {
        assert!(books.balance(), "{books:?}");
    }
}

#[test]
fn a_power_cut_leaves_sockets_that_last_their_time() {
    let totals = by_hand(plan(s(0)), |fleet, listener| {
        let mut peers = connect_all(fleet, listener);
        come_to(fleet, at(20_000));
        assert!(fleet.devices.iter().all(|slot| !slot.device.is_powered()));
        assert_eq!(fleet.routes.open(), 3, "the sockets are still there");
        assert!(peers.iter_mut().all(is_open));
        let ends_at = at(20_000).after(half_open_for(120));
        for i in 0..3 {
            let half_open = fleet.devices[i].half_open.as_ref();
            assert_eq!(half_open.map(|half_open| half_open.next()), Some(ends_at));
            fleet.release_half_open(i, Instant::from_ns(ends_at.ns() - 1));
        }
        assert!(peers.iter_mut().all(is_open));
        for i in 0..3 {
            fleet.release_half_open(i, ends_at);
        }
        assert_eq!(fleet.routes.open(), 0);
        assert!(!peers.iter_mut().any(is_open));
    });
    has_books_in_order(&totals);
    assert!(totals.errors.is_empty(), "{:?}", totals.errors);
}

#[test]
fn who_is_back_opens_a_connection_beside_the_half_open_one() {
    let totals = by_hand(plan(s(2)), |fleet, listener| {
        let mut peers = connect_all(fleet, listener);
        come_to(fleet, at(30_000));
        assert!(fleet.devices.iter().all(|slot| slot.recovering == Some(0)));
        assert_eq!(fleet.routes.open(), 3);
        come_to(fleet, at(32_000));
        assert_eq!(fleet.routes.open(), 6);
        assert!(peers.iter_mut().all(is_open));
        for i in 0..3 {
            listener.accept().expect("it connects again");
            shake_hands(fleet, i, at(32_100));
            assert_eq!(fleet.devices[i].device.boot(), 2);
        }
        fleet.stop_arrivals(at(40_000), at(40_000));
    });
    has_books_in_order(&totals);
    let all = Recovery {
        affected: 3,
        recovered: 3,
    };
    assert_eq!(totals.recoveries, [all]);
    assert!(totals.errors.is_empty(), "{:?}", totals.errors);
}

/// What a device has done since the plan's instant stays done, and time never runs backwards.
#[test]
fn a_late_driver_cuts_late_and_the_books_hold() {
    let totals = by_hand(plan(s(0)), |fleet, listener| {
        let _peers = connect_all(fleet, listener);
        for i in 0..3 {
            let now = at(20_250);
            fleet.step_device(i, now, now, crate::device::Input::Timeout);
        }
        come_to(fleet, at(30_300));
        let slots = &fleet.devices;
        assert!(slots.iter().all(|slot| slot.power_off == at(30_300)));
        assert!(slots.iter().all(|slot| slot.power_on == at(30_300)));
        assert_eq!(fleet.routes.open(), 6);
        fleet.stop_arrivals(at(30_400), at(30_400));
    });
    has_books_in_order(&totals);
}

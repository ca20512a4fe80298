//! Devices in a blackhole: stepped by hand, and over real sockets for what the target gets to see.

use crate::device;
use crate::device::outage::{End, HELD_BYTES_MAX, half_open_for};
use crate::live::fleet::{Fleet, Shared, drive_deadlines};
use crate::live::outage::tests::{at, by_hand, come_to, connect_all, plan, s, shake_hands};
use crate::live::tests::fleet_of_target;
use crate::mqtt::codec;
use crate::mqtt::packet::{ConnectCode, Packet, Publish, QoS};
use crate::scenario::plan::NetworkFault;
use crate::stats::event::{Cause, Limit};
use crate::stats::recorder::{ErrorKind, Totals};
use crate::time::{Duration, Instant};
use std::io::{ErrorKind as IoErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Longest wait for what should happen at once.
const PATIENCE: Duration = Duration::from_secs(20);

fn hole() -> crate::scenario::plan::Plan {
    plan(s(20), s(60), NetworkFault::Blackhole)
}

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(packet, &mut bytes).expect("a valid packet");
    bytes
}

/// Nothing is there to be read, and the connection has not ended.
fn is_silent(peer: &mut TcpStream) -> bool {
    peer.set_nonblocking(true).expect("it is a socket");
    let read = peer.read(&mut [0; 64]);
    peer.set_nonblocking(false).expect("it is a socket");
    read.is_err_and(|error| error.kind() == IoErrorKind::WouldBlock)
}

fn errors(totals: &Totals) -> Vec<(ErrorKind, u64)> {
    totals.errors.iter().map(|e| (e.kind, e.count)).collect()
}

/// Lets device `i` do what it wants until `done`; when that was.
fn until(fleet: &mut Fleet, i: usize, done: impl Fn(&Fleet) -> bool) -> Instant {
    let mut now = at(0);
    while !done(fleet) {
        now = fleet.devices[i].device.poll_timeout();
        assert!(!now.is_never(), "it has nothing to do any more");
        fleet.step_device(i, now, now, device::Input::Timeout);
    }
    now
}

#[test]
fn who_gives_up_leaves_a_socket_that_lasts_its_time() {
    let totals = by_hand(hole(), |fleet, listener| {
        let mut peers = connect_all(fleet, listener);
        come_to(fleet, at(20_000));
        let gave_up = until(fleet, 0, |fleet| !fleet.devices[0].device.is_connected());
        assert_eq!(fleet.routes.open(), 3, "the socket is still there");
        let ends_at = gave_up.after(half_open_for(120));
        let half_open = fleet.devices[0].half_open.as_ref();
        assert_eq!(half_open.map(|half_open| half_open.next()), Some(ends_at));
        // Attempts open no socket, are told nothing, and time out.
        let retry = fleet.devices[0].device.poll_timeout();
        fleet.step_device(0, retry, retry, device::Input::Timeout);
        assert_eq!(fleet.routes.open(), 3);
        assert!(fleet.devices[0].port.told_at().is_never());
        let overdue = fleet.devices[0].device.poll_timeout();
        assert_eq!(overdue, retry.after(s(10)));
        fleet.step_device(0, overdue, overdue, device::Input::Timeout);
        // The target hears nothing until the connection's time is over.
        fleet.release_half_open(0, Instant::from_ns(ends_at.ns() - 1));
        assert!(peers.iter_mut().all(is_silent));
        fleet.release_half_open(0, ends_at);
        assert_eq!(fleet.routes.open(), 2);
        let silent: Vec<bool> = peers.iter_mut().map(is_silent).collect();
        assert_eq!(silent.into_iter().filter(|is| *is).count(), 2);
    });
    // Its message of that time has not been acknowledged either.
    let expected = [
        (ErrorKind::Attempt(Cause::ConnectTimeout), 1),
        (ErrorKind::Connection(Cause::KeepAliveTimeout), 1),
        (ErrorKind::AckTimeout, 1),
    ];
    assert_eq!(errors(&totals), expected);
}

#[test]
fn an_attempt_begun_in_a_hole_succeeds_by_a_later_syn() {
    by_hand(hole(), |fleet, listener| {
        let _peers = connect_all(fleet, listener);
        come_to(fleet, at(20_000));
        until(fleet, 0, |fleet| !fleet.devices[0].device.is_connected());
        let retry = fleet.devices[0].device.poll_timeout();
        fleet.step_device(0, retry, retry, device::Input::Timeout);
        let open = fleet.routes.open();
        let syn_at = |fleet: &Fleet| fleet.devices[0].syn_again_at;
        for (seconds, next) in [(1, 3), (3, 7)] {
            let now = retry.after(s(seconds));
            assert_eq!(syn_at(fleet), now);
            fleet.send_syn_again(0, Instant::from_ns(now.ns() - 1));
            fleet.send_syn_again(0, now);
            assert_eq!(syn_at(fleet), retry.after(s(next)));
            assert_eq!(fleet.routes.open(), open);
        }
        fleet.cuts.law.clear(0);
        fleet.send_syn_again(0, retry.after(s(7)));
        assert_eq!(fleet.routes.open(), open + 1);
        assert!(syn_at(fleet).is_never());
    });
}

#[test]
fn a_cut_in_a_hole_is_no_end_to_the_target() {
    by_hand(hole(), |fleet, listener| {
        let mut peers = connect_all(fleet, listener);
        come_to(fleet, at(20_000));
        for (i, end) in [(0, End::Reset), (1, End::Close)] {
            fleet.cut_device(i, at(21_000), at(21_000), end);
            assert!(!fleet.devices[i].device.is_connected());
        }
        assert_eq!(fleet.routes.open(), 3);
        assert!(peers.iter_mut().all(is_silent));
    });
}

#[test]
fn each_device_leaves_one_connection_at_a_time() {
    let totals = by_hand(hole(), |fleet, listener| {
        let _peers = connect_all(fleet, listener);
        come_to(fleet, at(20_000));
        fleet.cut_device(0, at(21_000), at(21_000), End::Close);
        come_to(fleet, at(60_000));
        let now = until(fleet, 0, |fleet| fleet.routes.open() == 4);
        shake_hands(fleet, 0, now);
        // Another hole.
        fleet.cuts.law.start(0);
        fleet.update_holes(now);
        fleet.cut_device(0, now, now, End::Close);
        assert_eq!(fleet.routes.open(), 3);
    });
    let early = ErrorKind::Limit(Limit::HalfOpenConnections);
    assert!(errors(&totals).contains(&(early, 1)), "{totals:?}");
}

#[test]
fn a_full_send_buffer_ends_the_connection_for_the_device_only() {
    let totals = by_hand(hole(), |fleet, listener| {
        let mut peers = connect_all(fleet, listener);
        come_to(fleet, at(20_000));
        fleet.write_device(0, at(21_000), &mut vec![0; HELD_BYTES_MAX + 1]);
        fleet.tell_device(0, at(21_000));
        assert!(fleet.devices[0].device.is_connected());
        fleet.write_device(0, at(22_000), &mut vec![0]);
        fleet.tell_device(0, at(22_000));
        assert!(!fleet.devices[0].device.is_connected());
        assert_eq!(fleet.routes.open(), 3);
        assert!(peers.iter_mut().all(is_silent));
    });
    let limit = ErrorKind::Limit(Limit::OutputBytes);
    assert!(errors(&totals).contains(&(limit, 1)), "{totals:?}");
}

/// Device-seconds up of the steady phase: three devices, less the 40 s of the hole.
#[test]
fn nobody_counts_as_up_in_a_hole() {
    let totals = by_hand(hole(), |fleet, listener| {
        let _peers = connect_all(fleet, listener);
        come_to(fleet, at(20_000));
        come_to(fleet, at(60_000));
    });
    // The books close at 60 s.
    let (up_s, expected_s) = totals.availability[1];
    assert!((expected_s - 150.0).abs() < 1e-6, "{expected_s}");
    assert!((up_s - 30.0).abs() < 1e-6, "{up_s}");
}

/// Runs a fleet with its tasks: `target` serves the one device that gets power in a thread of its
/// own, in step with `test`.
fn over_sockets(
    target: impl FnOnce(TcpStream, &Sender<()>, &Receiver<()>) + Send + 'static,
    test: impl AsyncFnOnce(&Shared, &Sender<()>, &Receiver<()>),
) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound");
    let ((to_target, from_test), (to_test, from_target)) = (channel(), channel());
    let served = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("a device connects");
        peer.set_read_timeout(Some(PATIENCE))
            .expect("it is a socket");
        read_packets(&mut peer, 1);
        let accepted = Packet::ConnAck {
            session_present: false,
            code: ConnectCode::Accepted,
        };
        peer.write_all(&bytes(&accepted)).expect("it reads");
        target(peer, &to_test, &from_test);
    });
    let runtime = crate::live::runtime().expect("a test has file descriptors left");
    runtime.block_on(async {
        let (fleet, _) = fleet_of_target(hole(), address);
        let alarm = Rc::clone(&fleet.borrow().alarm);
        let timer = tokio::task::spawn_local(drive_deadlines(Rc::clone(&fleet), alarm));
        let now = fleet.borrow().clock.now();
        fleet.borrow_mut().begin(now, |_| false);
        fleet
            .borrow_mut()
            .step_device(0, now, now, device::Input::PowerOn);
        soon(|| fleet.borrow().devices[0].device.is_connected()).await;
        test(&fleet, &to_target, &from_target).await;
        timer.abort();
    });
    served.join().expect("the target does not panic");
}

async fn soon(holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.expect("it happens in time");
}

fn read_packets(peer: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut got = Vec::new();
    let complete = |got: &[u8]| {
        let (mut rest, mut found) = (got, 0);
        while let Some((_, len)) = codec::decode(rest, 1 << 20).expect("MQTT") {
            (rest, found) = (&rest[len..], found + 1);
        }
        found
    };
    while complete(&got) < count {
        let mut buffer = [0; 4096];
        let n = peer.read(&mut buffer).expect("the device writes");
        assert!(n > 0, "it has closed");
        got.extend_from_slice(&buffer[..n]);
    }
    got
}

#[test]
fn what_was_held_passes_when_the_hole_clears() {
    let message = bytes(&Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        packet_id: 9,
        topic: "a",
        payload: &[],
    }));
    let target = move |mut peer: TcpStream, done: &Sender<()>, hole: &Receiver<()>| {
        hole.recv_timeout(PATIENCE).expect("the hole begins");
        assert!(is_silent(&mut peer));
        peer.write_all(&message).expect("the kernel takes it");
        done.send(()).expect("the test waits");
        hole.recv_timeout(PATIENCE)
            .expect("the device was looked at");
        assert!(is_silent(&mut peer));
        done.send(()).expect("the test waits");
        let got = read_packets(&mut peer, 2);
        let expected = [bytes(&Packet::PingReq), bytes(&Packet::PubAck(9))];
        assert_eq!(got, expected.concat(), "what was sent first comes first");
        done.send(()).expect("the test waits");
        // The device may end only now.
        hole.recv_timeout(PATIENCE).expect("the test ends");
    };
    over_sockets(target, async |fleet, to_target, from_target| {
        let now = fleet.borrow().clock.now();
        {
            let mut fleet = fleet.borrow_mut();
            fleet.cuts.law.start(0);
            fleet.update_holes(now);
            fleet.write_device(0, now, &mut bytes(&Packet::PingReq));
        }
        to_target.send(()).expect("the target waits");
        soon(|| from_target.try_recv().is_ok()).await;
        // The tasks get their turns, and must not read.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        to_target.send(()).expect("the target waits");
        soon(|| from_target.try_recv().is_ok()).await;
        fleet.borrow_mut().cuts.law.clear(0);
        let now = fleet.borrow().clock.now();
        fleet.borrow_mut().update_holes(now);
        soon(|| from_target.try_recv().is_ok()).await;
        to_target.send(()).expect("the target waits");
    });
}

#[test]
fn a_half_open_connection_ends_when_the_target_ends_it() {
    let target = |mut peer: TcpStream, done: &Sender<()>, hole: &Receiver<()>| {
        hole.recv_timeout(PATIENCE)
            .expect("the device has given up");
        assert!(is_silent(&mut peer));
        // More than the test's device would read at a time, and then the end.
        peer.write_all(&bytes(&Packet::PingResp).repeat(10_000))
            .expect("it is read and dropped");
        drop(peer);
        done.send(()).expect("the test waits");
    };
    over_sockets(target, async |fleet, to_target, from_target| {
        let now = fleet.borrow().clock.now();
        {
            let mut fleet = fleet.borrow_mut();
            fleet.cuts.law.start(0);
            fleet.update_holes(now);
            fleet.cut_device(0, now, now, End::Reset);
            assert!(!fleet.devices[0].device.is_connected());
            assert_eq!(fleet.routes.open(), 1);
        }
        to_target.send(()).expect("the target waits");
        soon(|| from_target.try_recv().is_ok()).await;
        soon(|| fleet.borrow().routes.open() == 0).await;
        assert!(fleet.borrow().devices[0].half_open.is_none());
    });
}

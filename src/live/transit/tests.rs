//! A device with a link of 100 ms each way, stepped by hand at instants of the test's choosing; and
//! over a real socket, for what its peer gets to see.

use crate::device;
use crate::device::outage::End;
use crate::live::fleet::{Fleet, Shared, drive_deadlines};
use crate::live::link::Link as Socket;
use crate::live::tests::fleet_of_target;
use crate::mqtt::codec;
use crate::mqtt::packet::{ConnectCode, Packet, Publish, QoS};
use crate::scenario::fixture;
use crate::scenario::plan::{
    BackoffShape, Delay, Direction, Fault, FaultKind, Link, NetworkFault, PhaseShape, Plan,
    Schedule, Selector,
};
use crate::stats::event::{Cause, Limit};
use crate::stats::recorder::{ErrorKind, Totals};
use crate::time::{Duration, Instant};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(ms: u64) -> Instant {
    Instant::from_ns(ms * 1_000_000)
}

fn direction(base: Duration, jitter: Duration, loss: f64) -> Direction {
    Direction {
        delay: Delay::Uniform { base, jitter },
        loss,
        bandwidth_bps: None,
    }
}

/// One device with this link in both directions, a message per 200 ms from power-on, and no faults.
fn plan(direction: Direction) -> Plan {
    let mut plan = fixture::plan(1);
    plan.cohorts[0].link = Some(Link {
        preset: None,
        up: direction,
        down: direction,
    });
    plan.streams[0].schedule = Schedule::Every {
        period: ms(200),
        phase: PhaseShape::Boot,
    };
    plan
}

fn conn_ack() -> Vec<u8> {
    bytes(&Packet::ConnAck {
        session_present: false,
        code: ConnectCode::Accepted,
    })
}

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(packet, &mut bytes).expect("a valid packet");
    bytes
}

/// Gives `test` a fleet with that device, within a runtime whose tasks do not run, and a peer that
/// the kernel accepts connections for.
fn by_hand(plan: Plan, test: impl FnOnce(&mut Fleet)) -> Totals {
    let runtime = crate::live::runtime().expect("a test has file descriptors left");
    runtime.block_on(async {
        let (_listener, address) = peer();
        let (fleet, _) = fleet_of_target(plan, address);
        let mut fleet = fleet.borrow_mut();
        fleet.begin(Instant::ZERO, |_| true);
        test(&mut fleet);
        fleet.close_books(at(60_000))
    })
}

fn peer() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

fn step(fleet: &mut Fleet, now: Instant, input: device::Input<'_>) {
    fleet.step_device(0, now, now, input);
}

/// When something arrives next over the device's link, in milliseconds.
fn next_ms(fleet: &Fleet) -> Option<u64> {
    let transit = fleet.devices[0].transit.as_ref().expect("it has a link");
    let next = transit.next();
    (!next.is_never()).then(|| next.ns() / 1_000_000)
}

fn limits(totals: &Totals) -> Vec<(Limit, u64)> {
    let of = |e: &crate::stats::recorder::ErrorCount| match e.kind {
        ErrorKind::Limit(limit) => Some((limit, e.count)),
        ErrorKind::Attempt(_)
        | ErrorKind::Connection(_)
        | ErrorKind::AckTimeout
        | ErrorKind::GaveUp
        | ErrorKind::Observer(_)
        | ErrorKind::Operator(_)
        | ErrorKind::Fetch(_)
        | ErrorKind::Noted(_)
        | ErrorKind::GeneratorUnsent => None,
    };
    totals.errors.iter().filter_map(of).collect()
}

/// Connects the device; CONNACK reaches it at 400 ms.
fn connect(fleet: &mut Fleet) {
    step(fleet, at(0), device::Input::PowerOn);
    fleet.release(0, at(100));
    fleet.opened_over_link(0, at(100));
    fleet.release(0, at(200));
    fleet.release(0, at(300));
    fleet.received_over_link(0, at(300), &conn_ack());
    fleet.release(0, at(400));
    assert!(fleet.devices[0].device.is_connected());
}

#[test]
fn each_step_of_a_connection_takes_its_passage() {
    let totals = by_hand(plan(direction(ms(100), ms(0), 0.0)), |fleet| {
        step(fleet, at(0), device::Input::PowerOn);
        assert_eq!((next_ms(fleet), fleet.routes.open()), (Some(100), 0));
        fleet.release(0, at(99));
        assert_eq!(fleet.routes.open(), 0, "the SYN is under way");
        fleet.release(0, at(100));
        assert_eq!((next_ms(fleet), fleet.routes.open()), (None, 1));
        fleet.opened_over_link(0, at(100));
        fleet.release(0, at(199));
        assert_eq!(next_ms(fleet), Some(200), "the SYN-ACK is under way");
        fleet.release(0, at(200));
        assert_eq!(next_ms(fleet), Some(300), "CONNECT is under way");
        fleet.release(0, at(300));
        assert_eq!(next_ms(fleet), None);
        // The CONNACK comes in two reads, and counts from the second.
        let ack = conn_ack();
        fleet.received_over_link(0, at(300), &ack[..1]);
        assert_eq!(next_ms(fleet), None);
        fleet.received_over_link(0, at(310), &ack[1..]);
        fleet.release(0, at(409));
        assert!(!fleet.devices[0].device.is_connected());
        fleet.release(0, at(410));
        assert!(fleet.devices[0].device.is_connected());
        // The target resets the connection: the socket is gone, and the device does not know yet.
        fleet.lost_over_link(0, at(450), Cause::Reset);
        assert_eq!(fleet.routes.open(), 0);
        let sent = fleet.devices[0].device.in_flight().len();
        step(fleet, at(500), device::Input::Timeout);
        assert!(fleet.devices[0].device.in_flight().len() > sent);
        fleet.release(0, at(549));
        assert!(fleet.devices[0].device.is_connected());
        fleet.release(0, at(550));
        assert!(!fleet.devices[0].device.is_connected());
        assert!(next_ms(fleet).is_none(), "nothing of it is under way");
    });
    let kinds: Vec<ErrorKind> = totals.errors.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [ErrorKind::Connection(Cause::Reset)]);
}

/// A device whose cohort has no link, 100 ms slower each way while the fault lasts.
#[test]
fn a_degraded_device_is_slow_from_the_start_to_the_clearing() {
    let mut degraded = plan(direction(ms(100), ms(0), 0.0));
    let link = degraded.cohorts[0].link.take().expect("it had one");
    degraded.faults = vec![Fault {
        phase: 1,
        start: ms(20_000),
        clear: ms(30_000),
        kind: FaultKind::Network {
            who: Selector::default(),
            fault: NetworkFault::Degrade(link),
        },
    }];
    by_hand(degraded, |fleet| {
        step(fleet, at(0), device::Input::PowerOn);
        assert_eq!(next_ms(fleet), Some(0), "the SYN arrives at once");
        fleet.release(0, at(0));
        fleet.opened_over_link(0, at(1));
        fleet.release(0, at(1));
        fleet.received_over_link(0, at(1), &conn_ack());
        fleet.release(0, at(1));
        assert!(fleet.devices[0].device.is_connected());
        fleet.release(0, at(10));
        fleet.begin_outage(at(10), at(10), 0);
        fleet.write_device(0, at(10), &mut bytes(&Packet::PingReq));
        assert_eq!(next_ms(fleet), Some(110));
        fleet.cuts.law.clear(0);
        fleet.write_device(0, at(50), &mut bytes(&Packet::PingReq));
        fleet.release(0, at(109));
        assert_eq!(next_ms(fleet), Some(110), "it waits for the one before");
        fleet.release(0, at(110));
        assert_eq!(next_ms(fleet), None);
        fleet.write_device(0, at(120), &mut bytes(&Packet::PingReq));
        assert_eq!(next_ms(fleet), Some(120));
    });
}

#[test]
fn a_refused_attempt_is_known_after_both_passages() {
    let totals = by_hand(plan(direction(ms(400), ms(0), 0.0)), |fleet| {
        step(fleet, at(0), device::Input::PowerOn);
        fleet.release(0, at(400));
        fleet.lost_over_link(0, at(400), Cause::Refused);
        fleet.release(0, at(799));
        assert_eq!((next_ms(fleet), fleet.routes.open()), (Some(800), 0));
        fleet.release(0, at(800));
    });
    // Told at once, for the attempt has cost more than its time.
    let errors: Vec<(ErrorKind, Instant)> =
        totals.errors.iter().map(|e| (e.kind, e.first)).collect();
    assert_eq!(errors, [(ErrorKind::Attempt(Cause::Refused), at(800))]);
}

#[test]
fn what_the_generator_lacks_is_told_at_once() {
    let totals = by_hand(plan(direction(ms(400), ms(0), 0.0)), |fleet| {
        step(fleet, at(0), device::Input::PowerOn);
        fleet.release(0, at(400));
        fleet.lost_over_link(0, at(400), Cause::GeneratorFds);
    });
    let kinds: Vec<ErrorKind> = totals.errors.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [ErrorKind::Attempt(Cause::GeneratorFds)]);
}

#[test]
fn a_device_that_closes_before_its_syn_arrives_opens_no_socket() {
    by_hand(plan(direction(ms(100), ms(0), 0.0)), |fleet| {
        step(fleet, at(0), device::Input::PowerOn);
        step(fleet, at(50), device::Input::PowerOff);
        assert_eq!(next_ms(fleet), None);
        fleet.release(0, at(1_000));
        assert_eq!(fleet.routes.open(), 0);
    });
}

#[test]
fn a_closed_connection_lasts_until_its_end_has_passed() {
    let totals = by_hand(plan(direction(ms(100), ms(0), 0.0)), |fleet| {
        connect(fleet);
        fleet.release(0, at(900));
        fleet.write_device(0, at(950), &mut bytes(&Packet::PingReq));
        step(fleet, at(1_000), device::Input::PowerOff);
        assert_eq!((next_ms(fleet), fleet.routes.open()), (Some(1_050), 1));
        fleet.release(0, at(1_050));
        assert_eq!((next_ms(fleet), fleet.routes.open()), (Some(1_100), 1));
        // It is back sooner than that, and its SYN comes after the end of the old connection.
        step(fleet, at(1_050), device::Input::PowerOn);
        fleet.release(0, at(1_100));
        assert_eq!((next_ms(fleet), fleet.routes.open()), (Some(1_150), 0));
        fleet.release(0, at(1_150));
        assert_eq!(fleet.routes.open(), 1);
    });
    assert_eq!(limits(&totals), []);
}

#[test]
fn a_next_connection_cuts_short_the_end_of_the_one_before() {
    let totals = by_hand(plan(direction(ms(100), ms(0), 0.0)), |fleet| {
        connect(fleet);
        // Both leave at the same instant, and the end takes longer.
        step(fleet, at(1_000), device::Input::PowerOff);
        let transit = fleet.devices[0].transit.as_mut().expect("it has a link");
        let closing = transit.closing.as_mut().expect("it closes");
        closing.closes_at = at(5_000);
        step(fleet, at(1_000), device::Input::PowerOn);
        fleet.release(0, at(1_100));
        assert_eq!((next_ms(fleet), fleet.routes.open()), (None, 1));
    });
    assert_eq!(limits(&totals), [(Limit::ClosingConnections, 1)]);
}

/// As in the simulation, or the later draws of a device would be others there.
#[test]
fn the_end_of_what_never_began_takes_no_draw() {
    by_hand(plan(direction(ms(100), ms(0), 0.0)), |fleet| {
        let path = |fleet: &Fleet| {
            let transit = fleet.devices[0].transit.as_ref();
            format!("{:?}", transit.expect("a link").path)
        };
        step(fleet, at(0), device::Input::PowerOn);
        let before = path(fleet);
        fleet.close_over_link(0, at(50));
        assert_eq!(path(fleet), before, "the SYN was under way");
        fleet.write_device(0, at(60), &mut bytes(&Packet::PingReq));
        assert_eq!(path(fleet), before, "there is no connection");
    });
}

#[test]
fn too_much_under_way_ends_the_connection_and_is_counted() {
    let totals = by_hand(plan(direction(ms(100), ms(0), 0.0)), |fleet| {
        connect(fleet);
        let message = Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            packet_id: 0,
            topic: "a",
            payload: &[7; 60_000],
        });
        for n in 0..19 {
            let open = n < 18;
            let mut bytes = bytes(&message);
            fleet.write_device(0, at(500), &mut bytes);
            assert!(bytes.is_empty());
            assert_eq!(fleet.devices[0].port.told_at().is_never(), open, "{n}");
        }
        fleet.tell_device(0, at(500));
        assert!(!fleet.devices[0].device.is_connected());
    });
    assert_eq!(limits(&totals), [(Limit::OutputBytes, 1)]);
    let kinds: Vec<ErrorKind> = totals.errors.iter().map(|e| e.kind).collect();
    assert!(kinds.contains(&ErrorKind::Connection(Cause::OutputOverflow)));
}

#[test]
fn a_device_to_which_much_is_under_way_is_not_read_for_a_while() {
    let totals = by_hand(plan(direction(ms(100), ms(0), 0.0)), |fleet| {
        connect(fleet);
        let key = fleet.device_key(0);
        let message = bytes(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            packet_id: 0,
            topic: "a",
            payload: &[7; 60_000],
        }));
        for n in 0..5 {
            assert!(!fleet.is_full(key), "{n}");
            fleet.received_over_link(0, at(500 + n), &message);
        }
        assert!(fleet.is_full(key));
        assert!(fleet.is_full(key));
        fleet.release(0, at(600));
        assert!(!fleet.is_full(key), "one of them has arrived");
    });
    assert_eq!(limits(&totals), [(Limit::InputBytes, 1)]);
}

#[test]
fn a_packet_lost_too_often_is_counted() {
    let totals = by_hand(plan(direction(ms(1), ms(0), 0.5)), |fleet| {
        step(fleet, at(0), device::Input::PowerOn);
        for n in 1..2_000 {
            fleet.received_over_link(0, at(n), &[0xd0, 0]);
        }
    });
    let [(Limit::Retransmissions, count)] = limits(&totals)[..] else {
        panic!("{totals:?}");
    };
    // 0.5^6 of them.
    assert!((10..60).contains(&count), "{count}");
}

#[test]
fn what_is_no_mqtt_ends_the_connection_after_what_came_before() {
    let totals = by_hand(plan(direction(ms(100), ms(0), 0.0)), |fleet| {
        connect(fleet);
        let mut read = bytes(&Packet::PingResp);
        read.push(0);
        fleet.received_over_link(0, at(500), &read);
        assert_eq!(fleet.routes.open(), 0);
        fleet.release(0, at(599));
        assert!(fleet.devices[0].device.is_connected());
        fleet.release(0, at(600));
        assert!(!fleet.devices[0].device.is_connected());
    });
    let kinds: Vec<ErrorKind> = totals.errors.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [ErrorKind::Connection(Cause::ProtocolError)]);
}

#[test]
fn a_late_release_is_the_generators_lag() {
    let lag = |late_ms: u64| {
        let mut p99_us = None;
        by_hand(plan(direction(ms(100), ms(0), 0.0)), |fleet| {
            step(fleet, at(0), device::Input::PowerOn);
            fleet.release(0, at(100 + late_ms));
            let recorder = fleet.state.recording().expect("it runs");
            let gauges = crate::stats::recorder::ProcessGauges::default();
            p99_us = recorder.take_snapshot(at(1_000), 0, gauges).lag_p99_us;
        });
        p99_us
    };
    assert_eq!(lag(0), Some(1), "the least that a histogram holds");
    let late = lag(7).expect("it was recorded");
    assert!((7_000..=7_010).contains(&late), "{late}");
}

/// A target for one client: accepts its connection and its CONNECT.
struct Target {
    stream: TcpStream,
    /// All that the client has sent.
    got: Vec<u8>,
}

impl Target {
    fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().expect("a device connects");
        let patience = Some(Duration::from_secs(20));
        stream
            .set_read_timeout(patience)
            .and_then(|()| stream.set_nodelay(true))
            .expect("a socket takes its options");
        let got = Vec::new();
        let mut target = Self { stream, got };
        target.read_until(|packets| !packets.is_empty());
        target.write(&conn_ack());
        target
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the client reads");
    }

    /// Reads until the packets are enough.
    fn read_until(&mut self, enough: impl Fn(&[Packet<'_>]) -> bool) {
        while !enough(&packets(&self.got)) {
            let n = self.read().expect("the client writes");
            assert!(n > 0, "the client has closed");
        }
    }

    /// Reads to the end: 0 if that is a FIN.
    fn read_to_end(&mut self) -> std::io::Result<usize> {
        loop {
            match self.read() {
                Ok(n) if n > 0 => {}
                end => return end,
            }
        }
    }

    fn read(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 4096];
        let n = self.stream.read(&mut buffer)?;
        self.got.extend_from_slice(&buffer[..n]);
        Ok(n)
    }
}

fn packets(mut bytes: &[u8]) -> Vec<Packet<'_>> {
    let mut packets = Vec::new();
    while let Some((packet, len)) = codec::decode(bytes, 1 << 20).expect("MQTT") {
        packets.push(packet);
        bytes = &bytes[len..];
    }
    packets
}

/// Runs `test` with the fleet of `plan`, its device given power and its timer running, while `target`
/// serves the device in a thread of its own; what that gives, and the run's totals.
fn over_sockets<T: Send + 'static>(
    plan: Plan,
    target: impl FnOnce(Target) -> T + Send + 'static,
    test: impl AsyncFnOnce(Shared),
) -> (T, Totals) {
    let (listener, address) = peer();
    let served = std::thread::spawn(move || target(Target::accept(&listener)));
    let runtime = crate::live::runtime().expect("a test has file descriptors left");
    let totals = runtime.block_on(async {
        let (fleet, _) = fleet_of_target(plan, address);
        let alarm = Rc::clone(&fleet.borrow().alarm);
        let timer = tokio::task::spawn_local(drive_deadlines(Rc::clone(&fleet), alarm));
        let now = fleet.borrow().clock.now();
        fleet.borrow_mut().begin(now, |_| false);
        step(&mut fleet.borrow_mut(), now, device::Input::PowerOn);
        test(Rc::clone(&fleet)).await;
        timer.abort();
        let mut fleet = fleet.borrow_mut();
        let now = fleet.clock.now();
        fleet.close_books(now)
    });
    (served.join().expect("the target does not panic"), totals)
}

async fn until(fleet: &Shared, holds: impl Fn(&Fleet) -> bool) {
    let wait = async {
        while !holds(&fleet.borrow()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .expect("it happens in time");
}

/// A device with 60 messages or more under way, and `end` of its connection: what the target gets,
/// how its reading ends, and the run's totals.
fn end_with_much_under_way(end: impl Fn(&mut Fleet)) -> (Vec<u8>, std::io::Result<usize>, Totals) {
    let mut plan = plan(direction(ms(20), ms(60), 0.0));
    plan.cohorts[0].client.inflight = 256;
    plan.streams[0].schedule = Schedule::Every {
        period: ms(5),
        phase: PhaseShape::Boot,
    };
    plan.cohorts[0].client.backoff.shape = BackoffShape::Fixed(Duration::from_secs(100));
    let read_all = |mut target: Target| {
        let end = target.read_to_end();
        (target.got, end)
    };
    let ((got, outcome), totals) = over_sockets(plan, read_all, async |fleet| {
        until(&fleet, |fleet| {
            fleet.devices[0].device.in_flight().len() >= 60
        })
        .await;
        end(&mut fleet.borrow_mut());
        until(&fleet, |fleet| fleet.routes.open() == 0).await;
    });
    (got, outcome, totals)
}

/// The device closes; `at_once` as at the end of a run.
fn close_with_much_under_way(at_once: bool) {
    let (got, end, totals) = end_with_much_under_way(|fleet| {
        let now = fleet.clock.now();
        step(fleet, now, device::Input::Shutdown);
        assert_eq!(fleet.routes.open(), 1, "its end is under way");
        if at_once {
            assert!(fleet.end_closing(0));
            assert_eq!(fleet.routes.open(), 0);
        }
    });
    assert!(matches!(end, Ok(0)), "a FIN, not {end:?}");
    let packets = packets(&got);
    assert_eq!(packets.last(), Some(&Packet::Disconnect));
    assert_all_arrived(&packets, &totals);
}

/// All publishes that were sent arrived, in order.
fn assert_all_arrived(packets: &[Packet<'_>], totals: &Totals) {
    let mut ids = Vec::new();
    for packet in packets {
        if let Packet::Publish(publish) = packet {
            ids.push(publish.packet_id);
        }
    }
    let sent: u64 = totals.books.iter().flatten().map(|books| books.sent).sum();
    assert!(sent >= 60);
    assert_eq!(ids.len() as u64, sent);
    assert!(ids.is_sorted(), "{ids:?}");
}

#[test]
fn a_reset_comes_behind_what_was_sent_before_it() {
    let (got, end, totals) = end_with_much_under_way(|fleet| {
        let now = fleet.clock.now();
        fleet.cut_device(0, now, now, End::Reset);
        assert!(!fleet.devices[0].device.is_connected());
        assert_eq!(fleet.routes.open(), 1, "the end is under way");
    });
    let error = end.expect_err("a RST, not a FIN");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_all_arrived(&packets(&got), &totals);
}

#[test]
fn nothing_is_lost_or_reordered_when_a_device_closes() {
    close_with_much_under_way(false);
}

#[test]
fn nothing_is_lost_when_the_run_ends() {
    close_with_much_under_way(true);
}

#[test]
fn a_device_that_was_not_read_for_a_while_gets_all() {
    const MESSAGES: u16 = 60;
    let flood = |mut target: Target| {
        for packet_id in 1..=MESSAGES {
            let message = Packet::Publish(Publish {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: false,
                packet_id,
                topic: "a",
                payload: &[7; 20_000],
            });
            target.write(&bytes(&message));
        }
        target.read_until(|packets| packets.contains(&Packet::PubAck(MESSAGES)));
        let answered = |packet: &&Packet<'_>| matches!(packet, Packet::PubAck(_));
        packets(&target.got).iter().filter(answered).count()
    };
    let (acks, totals) = over_sockets(plan(direction(ms(50), ms(0), 0.0)), flood, async |fleet| {
        // The target closes once it has all answers.
        until(&fleet, |fleet| fleet.devices[0].device.is_connected()).await;
        until(&fleet, |fleet| !fleet.devices[0].device.is_connected()).await;
    });
    assert_eq!(acks, usize::from(MESSAGES));
    let [(Limit::InputBytes, count)] = limits(&totals)[..] else {
        panic!("{totals:?}");
    };
    assert!(count > 0);
}

#[test]
fn a_device_with_a_link_costs_few_bytes_more() {
    let transit = size_of::<super::Transit>();
    assert!(transit <= 256, "{transit}");
    // While its last connection ends.
    let closing = size_of::<super::Closing>() - size_of::<Socket>();
    assert!(closing <= 96, "{closing}");
}

#[test]
fn a_reset_of_the_device_passes_its_link() {
    let totals = by_hand(plan(direction(ms(100), ms(0), 0.0)), |fleet| {
        connect(fleet);
        fleet.release(0, at(900));
        fleet.write_device(0, at(950), &mut bytes(&Packet::PingReq));
        fleet.cut_device(0, at(1_000), at(1_000), End::Reset);
        assert!(!fleet.devices[0].device.is_connected());
        assert_eq!((next_ms(fleet), fleet.routes.open()), (Some(1_050), 1));
        fleet.release(0, at(1_050));
        assert_eq!((next_ms(fleet), fleet.routes.open()), (Some(1_100), 1));
        fleet.release(0, at(1_100));
        assert_eq!((next_ms(fleet), fleet.routes.open()), (None, 0));
        // There is no connection now.
        fleet.cut_device(0, at(1_200), at(1_200), End::Reset);
        assert_eq!(next_ms(fleet), None);
    });
    let kinds: Vec<(ErrorKind, u64)> = totals.errors.iter().map(|e| (e.kind, e.count)).collect();
    assert_eq!(kinds, [(ErrorKind::Connection(Cause::Reset), 1)]);
}

#[test]
fn a_reset_before_the_syn_arrives_opens_no_socket_and_takes_no_draw() {
    by_hand(plan(direction(ms(100), ms(0), 0.0)), |fleet| {
        step(fleet, at(0), device::Input::PowerOn);
        fleet.cut_device(0, at(50), at(50), End::Reset);
        assert_eq!((next_ms(fleet), fleet.routes.open()), (None, 0));
        assert!(fleet.devices[0].port.told_at() > at(50), "it has its cost");
    });
}

#[test]
fn a_hole_is_at_the_devices_end_of_its_link() {
    let totals = by_hand(plan(direction(ms(100), ms(0), 0.0)), |fleet| {
        connect(fleet);
        fleet.write_device(0, at(950), &mut bytes(&Packet::PingReq));
        fleet.hold(0);
        // What was under way arrives; what is written now waits, and so does what comes.
        assert_eq!(next_ms(fleet), Some(1_050));
        fleet.release(0, at(1_050));
        fleet.write_device(0, at(1_100), &mut bytes(&Packet::PingReq));
        let message = Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            packet_id: 0,
            topic: "a",
            payload: &[],
        });
        fleet.received_over_link(0, at(1_100), &bytes(&message));
        fleet.lost_over_link(0, at(1_150), Cause::Reset);
        assert_eq!(next_ms(fleet), None);
        fleet.release(0, at(9_000));
        assert!(fleet.devices[0].device.is_connected());
        fleet.let_go(0, at(9_000));
        // In the order of their arrival: the message, then the end.
        assert_eq!(next_ms(fleet), Some(1_200));
        fleet.release(0, at(9_000));
        assert!(!fleet.devices[0].device.is_connected());
    });
    let kinds: Vec<ErrorKind> = totals.errors.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [ErrorKind::Connection(Cause::Reset)]);
}

/// It outlives the device's next connection, and what was on its way over the link still arrives.
#[test]
fn what_a_hole_leaves_half_open_is_no_closing_connection() {
    let totals = by_hand(plan(direction(ms(100), ms(0), 0.0)), |fleet| {
        connect(fleet);
        fleet.write_device(0, at(950), &mut bytes(&Packet::PingReq));
        fleet.hold(0);
        fleet.devices[0].is_swallowed = true;
        step(fleet, at(1_000), device::Input::PowerOff);
        let until = at(1_000).after(device::outage::half_open_for(120));
        let next = |fleet: &Fleet| fleet.devices[0].half_open.as_ref().map(|h| h.next());
        assert_eq!(next(fleet), Some(at(1_050)));
        fleet.release_half_open(0, at(1_050));
        assert_eq!((next(fleet), next_ms(fleet)), (Some(until), None));
        fleet.devices[0].is_swallowed = false;
        fleet.let_go(0, at(2_000));
        step(fleet, at(2_000), device::Input::PowerOn);
        fleet.release(0, at(2_100));
        assert_eq!(fleet.routes.open(), 2);
        fleet.release_half_open(0, until);
        assert_eq!(fleet.routes.open(), 1);
    });
    assert_eq!(limits(&totals), []);
}

//! Tests of the client session: rules one by one, then a model that any sequence must match.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const WINDOW: u16 = 3;
const TIMEOUT: Duration = Duration::from_secs(30);
const KEEP_ALIVE: KeepAlive = KeepAlive {
    interval_s: 60,
    ping_timeout: Duration::from_secs(10),
};

fn at(seconds: u64) -> Instant {
    Instant::ZERO.after(Duration::from_secs(seconds))
}

fn session_with(publishes: u32) -> (Session<u32>, Vec<PacketId>) {
    let mut session = Session::new();
    let ids = (0..publishes)
        .map(|tag| {
            session
                .publish(at(0), tag, false, u16::MAX)
                .expect("the window is open")
        })
        .collect();
    (session, ids)
}

fn time_out_all(session: &mut Session<u32>) -> usize {
    session.time_out(at(30), |_| TIMEOUT, |_| {})
}

#[test]
fn a_subscribe_never_gets_an_identifier_that_a_publish_uses() {
    let (mut session, ids) = session_with(1);
    session.last_id = 0;
    let id = session.subscribe(at(0), 1).expect("none is outstanding");
    assert_ne!(id, ids[0]);
    session.last_id = id - 1;
    let next = session.publish(at(0), 9, false, WINDOW).expect("room");
    assert!(next != id && next != ids[0]);
}

#[test]
fn identifiers_wrap_around_without_zero() {
    let mut session: Session<()> = Session::new();
    session.last_id = u16::MAX;
    assert_eq!(session.publish(at(0), (), false, WINDOW), Some(1));
}

#[test]
fn the_window_bounds_what_is_in_flight_and_timed_out_entries_leave_it() {
    let (mut session, _) = session_with(u32::from(WINDOW));
    assert_eq!(session.publish(at(1), 7, false, WINDOW), None);
    assert_eq!(time_out_all(&mut session), 0);
    assert_eq!(session.in_flight(), 0);
    let id = session.publish(at(31), 7, false, WINDOW).expect("room");
    assert_eq!(
        id, 4,
        "the identifiers of timed-out publishes stay reserved"
    );
}

#[test]
fn acks_are_matched_once_and_never_fatal() {
    let (mut session, ids) = session_with(2);
    assert!(matches!(
        session.receive(&Packet::PubAck(ids[1])),
        Incoming::Acked(Entry { tag: 1, .. })
    ));
    assert_eq!(
        session.receive(&Packet::PubAck(ids[1])),
        Incoming::UnexpectedAck
    );
    time_out_all(&mut session);
    assert!(matches!(
        session.receive(&Packet::PubAck(ids[0])),
        Incoming::LateAck(Entry { tag: 0, .. })
    ));
}

#[test]
fn a_resumed_session_writes_all_again_in_order_with_the_same_identifiers() {
    let (mut session, ids) = session_with(3);
    session.receive(&Packet::PubAck(ids[1]));
    session.disconnected();
    let again: Vec<_> = session
        .resume(at(5))
        .iter()
        .map(|e| (e.tag, e.packet_id, e.retransmitted))
        .collect();
    assert_eq!(again, [(0, ids[0], true), (2, ids[2], true)]);
}

#[test]
fn a_lost_session_ends_each_publish_in_flight_once() {
    let (mut session, _) = session_with(2);
    time_out_all(&mut session);
    session.publish(at(31), 8, false, WINDOW).expect("room");
    let mut ended = Vec::new();
    session.discard(|entry| ended.push(entry.tag));
    assert_eq!(ended, [8], "those that timed out have ended already");
    assert!(session.resume(at(40)).is_empty());
}

#[test]
fn held_identifiers_are_bounded() {
    let held = u32::try_from(HELD_MAX).expect("small");
    let (mut session, ids) = session_with(held + 2);
    assert_eq!(time_out_all(&mut session), 2);
    assert_eq!(
        session.receive(&Packet::PubAck(ids[1])),
        Incoming::UnexpectedAck
    );
    assert!(matches!(
        session.receive(&Packet::PubAck(ids[2])),
        Incoming::LateAck(_)
    ));
}

#[test]
fn keep_alive_pings_after_silence_and_notices_a_dead_peer() {
    let mut session: Session<u32> = Session::new();
    session.wrote(at(10));
    assert_eq!(session.pulse_deadline(KEEP_ALIVE), at(70));
    assert_eq!(session.pulse(at(69), KEEP_ALIVE), Pulse::Idle);
    assert_eq!(session.pulse(at(70), KEEP_ALIVE), Pulse::Ping);
    // Other packets do not stand in for the PINGRESP.
    session.wrote(at(75));
    assert_eq!(session.pulse_deadline(KEEP_ALIVE), at(80));
    assert_eq!(session.receive(&Packet::PingResp), Incoming::Pong);
    assert_eq!(session.pulse_deadline(KEEP_ALIVE), at(135));
    assert_eq!(session.pulse(at(135), KEEP_ALIVE), Pulse::Ping);
    assert_eq!(session.pulse(at(145), KEEP_ALIVE), Pulse::Dead);
    let off = KeepAlive {
        interval_s: 0,
        ..KEEP_ALIVE
    };
    session.disconnected();
    assert!(session.pulse_deadline(off).is_never());
}

#[test]
fn what_the_server_must_not_send_is_a_violation() {
    let (mut session, _) = session_with(0);
    let id = session.subscribe(at(0), 2).expect("none is outstanding");
    assert_eq!(session.subscribe(at(0), 1), None, "one at a time");
    let grants = |packet_id, n| Packet::SubAck {
        packet_id,
        granted: vec![Some(QoS::AtLeastOnce); n],
    };
    let violations = [
        grants(id + 1, 2),
        grants(id, 1),
        Packet::PingResp,
        Packet::PingReq,
        Packet::Disconnect,
        Packet::UnsubAck(id),
        Packet::ConnAck {
            session_present: false,
            code: super::super::packet::ConnectCode::Accepted,
        },
        message(QoS::ExactlyOnce, 1),
        message(QoS::AtLeastOnce, 0),
    ];
    for packet in &violations {
        assert_eq!(session.receive(packet), Incoming::Violation, "{packet:?}");
    }
    assert!(matches!(
        session.receive(&grants(id, 2)),
        Incoming::Granted([_, _])
    ));
    assert_eq!(
        session.receive(&grants(id, 2)),
        Incoming::Violation,
        "answered already"
    );
}

fn message(qos: QoS, packet_id: PacketId) -> Packet<'static> {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        packet_id,
        topic: "t",
        payload: b"x",
    })
}

#[derive(Clone, Debug)]
enum Step {
    Publish,
    Subscribe,
    PubAck(PacketId),
    SubAck(PacketId),
    TimeOut,
    Resume,
    Discard,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Publish),
        1 => Just(Step::Subscribe),
        4 => (1u16..12).prop_map(Step::PubAck),
        1 => (1u16..12).prop_map(Step::SubAck),
        1 => Just(Step::TimeOut),
        1 => Just(Step::Resume),
        1 => Just(Step::Discard),
    ]
}

proptest! {
    /// Against a map from identifier to tag: no identifier is in use twice, the window holds, and
    /// each publish ends exactly once.
    #[test]
    fn any_sequence_matches_the_model(steps in proptest::collection::vec(step(), 0..200)) {
        let mut session: Session<u32> = Session::new();
        let (mut flying, mut held) = (BTreeMap::new(), BTreeMap::new());
        let (mut now, mut subscribing, mut tag) = (0, None, 0);
        for step in steps {
            now += 1;
            match step {
                Step::Publish => {
                    // Ids from a small range, so that reuse is common.
                    if session.last_id > 8 { session.last_id = 0; }
                    let id = session.publish(at(now), tag, false, WINDOW);
                    prop_assert_eq!(id.is_none(), flying.len() == usize::from(WINDOW));
                    if let Some(id) = id {
                        prop_assert!(id != 0 && Some(id) != subscribing && !held.contains_key(&id));
                        prop_assert!(flying.insert(id, tag).is_none());
                        tag += 1;
                    }
                }
                Step::Subscribe => {
                    let id = session.subscribe(at(now), 1);
                    prop_assert_eq!(id.is_none(), subscribing.is_some());
                    if let Some(id) = id {
                        prop_assert!(!flying.contains_key(&id) && !held.contains_key(&id));
                        subscribing = Some(id);
                    }
                }
                Step::PubAck(id) => match session.receive(&Packet::PubAck(id)) {
                    Incoming::Acked(e) => prop_assert_eq!(flying.remove(&id), Some(e.tag)),
                    Incoming::LateAck(e) => prop_assert_eq!(held.remove(&id), Some(e.tag)),
                    other @ (Incoming::UnexpectedAck | Incoming::Granted(_) | Incoming::Message(_)
                    | Incoming::Pong | Incoming::Violation) => {
                        prop_assert_eq!(other, Incoming::UnexpectedAck);
                        prop_assert!(!flying.contains_key(&id) && !held.contains_key(&id));
                    }
                },
                Step::SubAck(packet_id) => {
                    let packet = Packet::SubAck { packet_id, granted: vec![None] };
                    let right = subscribing == Some(packet_id);
                    prop_assert_eq!(session.receive(&packet) != Incoming::Violation, right);
                    if right { subscribing = None; }
                }
                Step::TimeOut => {
                    now += TIMEOUT.as_secs();
                    let mut ended = Vec::new();
                    session.time_out(at(now), |_| TIMEOUT, |e| ended.push(e.packet_id));
                    prop_assert_eq!(ended.len(), flying.len());
                    held.append(&mut flying);
                }
                Step::Resume => {
                    session.disconnected();
                    subscribing = None;
                    let entries = session.resume(at(now));
                    prop_assert!(entries.is_sorted_by_key(|e| e.sent));
                    prop_assert_eq!(entries.len(), flying.len() + held.len());
                }
                Step::Discard => {
                    let mut ended = 0;
                    session.disconnected();
                    session.discard(|_| ended += 1);
                    prop_assert_eq!(ended, flying.len());
                    (flying, held, subscribing) = (BTreeMap::new(), BTreeMap::new(), None);
                }
            }
            prop_assert_eq!(usize::from(session.in_flight()), flying.len());
            prop_assert_eq!(session.pending().count(), flying.len());
        }
    }
}

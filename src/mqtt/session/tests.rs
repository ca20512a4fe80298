//! Tests of the client session: rules one by one, then a model that any sequence must match.

use super::*;
use crate::mqtt::packet::ConnectCode;

mod exchanges;
mod model;

const WINDOW: u16 = 3;
const TIMEOUT: Duration = Duration::from_secs(30);
const KEEP_ALIVE: KeepAlive = KeepAlive {
    interval_s: 60,
    ping_timeout: Duration::from_secs(10),
    ping_on: PingOn::SilenceOut,
};
const UNEXPECTED: Incoming<'static, u32> = Incoming::UnexpectedAck { release: None };

fn at(seconds: u64) -> Instant {
    Instant::ZERO.after(Duration::from_secs(seconds))
}

/// A session with publishes at `qos` in flight, whose tags are their numbers from 0.
fn session_with(qos: QoS, publishes: u32) -> (Session<u32>, Vec<PacketId>) {
    let mut session = Session::new();
    let ids = (0..publishes)
        .map(|tag| {
            session
                .publish(at(0), tag, qos, false, u16::MAX)
                .expect("the window is open")
        })
        .collect();
    (session, ids)
}

fn publish(session: &mut Session<u32>, tag: u32) -> Option<PacketId> {
    session.publish(at(31), tag, QoS::AtLeastOnce, false, WINDOW)
}

fn time_out_all(session: &mut Session<u32>) -> usize {
    let mut ended = 0;
    session.time_out(at(30), |_| TIMEOUT, |_| ended += 1);
    ended
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

/// What is to be written again, in words: `rel 7` or `pub 7`.
fn resumed(session: &mut Session<u32>) -> Vec<String> {
    session.disconnected();
    let release = session.resume(at(50)).map(|id| format!("rel {id}"));
    let mut words: Vec<_> = release.collect();
    words.extend(session.repeat(at(50), usize::MAX).map(|entry| {
        assert!(entry.retransmitted);
        format!("pub {}", entry.packet_id)
    }));
    words
}

#[test]
fn a_request_never_gets_an_identifier_that_a_publish_uses() {
    let (mut session, ids) = session_with(QoS::AtLeastOnce, 1);
    session.last_id = 0;
    let id = session.subscribe(at(0), 1).expect("none is outstanding");
    assert_ne!(id, ids[0]);
    session.last_id = id - 1;
    let next = publish(&mut session, 9).expect("room");
    assert!(next != id && next != ids[0]);
}

#[test]
fn identifiers_wrap_around_without_zero() {
    let mut session: Session<u32> = Session::new();
    session.last_id = u16::MAX;
    assert_eq!(publish(&mut session, 0), Some(1));
}

#[test]
fn the_window_bounds_what_is_in_flight_and_timed_out_entries_leave_it() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let (mut session, _) = session_with(qos, u32::from(WINDOW));
        assert_eq!(publish(&mut session, 7), None);
        assert_eq!(time_out_all(&mut session), 3);
        assert_eq!(session.in_flight(), 0);
        let id = publish(&mut session, 7).expect("room");
        assert_eq!(
            id, 4,
            "the identifiers of timed-out publishes stay reserved"
        );
    }
}

#[test]
fn held_identifiers_are_never_given_out_and_the_next_publish_waits_for_one() {
    let held = u32::try_from(HELD_MAX).expect("small");
    let (mut session, ids) = session_with(QoS::ExactlyOnce, held);
    assert!(!session.is_held_up(), "in flight is not held");
    assert_eq!(time_out_all(&mut session), HELD_MAX);
    assert!(session.is_held_up() && !session.is_open(u16::MAX));
    assert_eq!(publish(&mut session, 0), None);
    // A held exchange goes on.
    assert_eq!(
        session.receive(&Packet::PubRec(ids[9])),
        Incoming::Recorded(ids[9])
    );
    assert!(session.is_held_up());
    assert!(matches!(
        session.receive(&Packet::PubComp(ids[9])),
        Incoming::LateAck(Entry { tag: 9, .. })
    ));
    session.last_id = 0;
    assert_eq!(publish(&mut session, 0), Some(ids[9]), "the only free one");
}

#[test]
fn a_lost_session_ends_each_publish_in_flight_once() {
    let (mut session, _) = session_with(QoS::ExactlyOnce, 2);
    time_out_all(&mut session);
    publish(&mut session, 8).expect("room");
    session.receive(&message(QoS::ExactlyOnce, 5));
    let mut ended = Vec::new();
    session.discard(|entry| ended.push(entry.tag));
    assert_eq!(ended, [8], "those that timed out have ended already");
    assert!(resumed(&mut session).is_empty());
    assert!(matches!(
        session.receive(&message(QoS::ExactlyOnce, 5)),
        Incoming::Message(_)
    ));
    assert_eq!(publish(&mut session, 9), Some(4), "identifiers go on");
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

/// A client that writes every 2 s, and is answered until 20 s: when it pings and when it gives up.
#[test]
fn a_busy_client_notices_by_what_it_pings_on() {
    // (law, interval, answered: PINGREQs until 20 s, then: ping, dead).
    let table = [
        (PingOn::SilenceOut, 10, 0, None),
        (PingOn::SilenceEither, 10, 0, Some((30, 40))),
        (PingOn::Always, 10, 1, Some((30, 40))),
        (PingOn::Always, 5, 3, Some((25, 35))),
    ];
    for (ping_on, interval_s, answered, end) in table {
        let keep_alive = KeepAlive {
            interval_s,
            ping_timeout: Duration::from_secs(10),
            ping_on,
        };
        let mut session = Session::<u32>::new();
        let accepted = Packet::ConnAck {
            session_present: false,
            code: ConnectCode::Accepted,
        };
        session.heard(at(0), &accepted, ping_on);
        let (mut pings, mut dead) = (Vec::new(), None);
        for second in 1..=60 {
            match session.pulse(at(second), keep_alive) {
                Pulse::Idle => {}
                Pulse::Ping => pings.push(second),
                Pulse::Dead => {
                    dead = Some(second);
                    break;
                }
            }
            let is_answered = second <= 20;
            if is_answered && pings.last() == Some(&second) {
                session.receive(&Packet::PingResp);
                session.heard(at(second), &Packet::PingResp, ping_on);
            }
            if second % 2 == 0 {
                session.wrote(at(second));
                if is_answered {
                    session.heard(at(second), &Packet::PubAck(1), ping_on);
                }
            }
        }
        let later = pings.iter().position(|s| *s > 20).unwrap_or(pings.len());
        assert!(later >= answered, "{ping_on:?}, {interval_s} s: {pings:?}");
        assert_eq!(
            dead.map(|dead| (pings[pings.len() - 1], dead)),
            end,
            "{ping_on:?}, {interval_s} s: {pings:?}"
        );
    }
}

#[test]
fn what_the_server_must_not_send_is_a_violation() {
    let (mut session, _) = session_with(QoS::AtLeastOnce, 0);
    let id = session.subscribe(at(0), 2).expect("none is outstanding");
    assert_eq!(session.subscribe(at(0), 1), None, "one at a time");
    assert_eq!(session.unsubscribe(at(0)), None, "of both");
    let grants = |packet_id, n| Packet::SubAck {
        packet_id,
        granted: vec![Some(QoS::AtLeastOnce); n],
    };
    let violations = [
        grants(id + 1, 2),
        grants(id, 1),
        grants(id, 0),
        Packet::PingResp,
        Packet::PingReq,
        Packet::Disconnect,
        Packet::UnsubAck(id),
        Packet::ConnAck {
            session_present: false,
            code: ConnectCode::Accepted,
        },
        message(QoS::ExactlyOnce, 0),
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

#[test]
fn an_unsubscribe_is_answered_by_its_unsuback_alone() {
    let (mut session, _) = session_with(QoS::AtLeastOnce, 0);
    let id = session.unsubscribe(at(0)).expect("none is outstanding");
    assert_eq!(session.subscribe(at(0), 1), None);
    for packet in [
        Packet::UnsubAck(id + 1),
        Packet::SubAck {
            packet_id: id,
            granted: Vec::new(),
        },
    ] {
        assert_eq!(session.receive(&packet), Incoming::Violation, "{packet:?}");
    }
    assert_eq!(
        session.receive(&Packet::UnsubAck(id)),
        Incoming::Unsubscribed
    );
    assert_eq!(session.receive(&Packet::UnsubAck(id)), Incoming::Violation);
    let id = session.unsubscribe(at(1)).expect("that one is answered");
    session.disconnected();
    assert_eq!(session.receive(&Packet::UnsubAck(id)), Incoming::Violation);
    assert!(!session.is_asking());
}

//! The exchanges of QoS 1 and 2, step by step: each acknowledgement in each state, and a lost
//! connection, a lost session and a power cut after each step.

use super::*;
use crate::mqtt::packet::ConnectCode;

/// The state of one publish with identifier 1, or of none.
#[derive(Copy, Clone, Debug, PartialEq)]
enum Of {
    Unknown,
    QoS1,
    Written,
    Released,
    HeldQoS1,
    HeldWritten,
    HeldReleased,
    Abandoned,
}

impl Of {
    const ALL: [Self; 8] = [
        Self::Unknown,
        Self::QoS1,
        Self::Written,
        Self::Released,
        Self::HeldQoS1,
        Self::HeldWritten,
        Self::HeldReleased,
        Self::Abandoned,
    ];

    fn session(self) -> Session<u32> {
        let qos = match self {
            Self::Unknown => return Session::new(),
            Self::QoS1 | Self::HeldQoS1 => QoS::AtLeastOnce,
            Self::Written
            | Self::Released
            | Self::HeldWritten
            | Self::HeldReleased
            | Self::Abandoned => QoS::ExactlyOnce,
        };
        let (mut session, ids) = session_with(qos, 1);
        assert_eq!(ids, [1]);
        if matches!(self, Self::Released | Self::HeldReleased) {
            session.receive(&Packet::PubRec(1));
        }
        match self {
            Self::HeldQoS1 | Self::HeldWritten | Self::HeldReleased => {
                assert_eq!(time_out_all(&mut session), 1);
            }
            Self::Abandoned => session.power_cut(|_| {}),
            Self::Unknown | Self::QoS1 | Self::Written | Self::Released => {}
        }
        session
    }
}

fn word(incoming: &Incoming<'_, u32>) -> &'static str {
    match incoming {
        Incoming::Acked(_) => "acked",
        Incoming::LateAck(_) => "late",
        Incoming::Recorded(_) => "recorded",
        Incoming::Abandoned => "abandoned",
        Incoming::UnexpectedAck { .. } => "unexpected",
        Incoming::Violation => "violation",
        Incoming::Message(_) => "message",
        Incoming::Duplicate(_) => "duplicate",
        Incoming::Released(_) => "released",
        Incoming::Granted(_) | Incoming::Unsubscribed | Incoming::Pong => "another answer",
    }
}

#[test]
fn each_acknowledgement_in_each_state() {
    // PUBACK, PUBREC, PUBCOMP; what is written again after a resumed session if nothing came.
    let table = [
        (Of::Unknown, ["unexpected", "unexpected", "unexpected"], ""),
        (Of::QoS1, ["acked", "violation", "violation"], "pub 1"),
        (Of::Written, ["violation", "recorded", "violation"], "pub 1"),
        (Of::Released, ["violation", "recorded", "acked"], "rel 1"),
        (Of::HeldQoS1, ["late", "violation", "violation"], "pub 1"),
        (
            Of::HeldWritten,
            ["violation", "recorded", "violation"],
            "pub 1",
        ),
        (Of::HeldReleased, ["violation", "recorded", "late"], "rel 1"),
        (
            Of::Abandoned,
            ["violation", "recorded", "abandoned"],
            "rel 1",
        ),
    ];
    assert_eq!(table.map(|(state, ..)| state), Of::ALL);
    for (state, expected, again) in table {
        let packets = [Packet::PubAck(1), Packet::PubRec(1), Packet::PubComp(1)];
        for (packet, expected) in packets.iter().zip(expected) {
            let mut session = state.session();
            let incoming = session.receive(packet);
            assert_eq!(word(&incoming), expected, "{state:?} {packet:?}");
            let release = matches!(
                (packet, expected),
                (Packet::PubRec(_), "recorded" | "unexpected")
            );
            assert_eq!(
                incoming.answer(),
                release.then_some(Packet::PubRel(1)),
                "{state:?} {packet:?}"
            );
            // An end is an end, anything else keeps the identifier.
            let over = matches!(expected, "acked" | "late" | "abandoned");
            session.last_id = 0;
            let next = session.publish(at(40), 5, QoS::ExactlyOnce, false, WINDOW);
            let free = over || (state == Of::Unknown && !release);
            assert_eq!(next == Some(1), free, "{state:?} {packet:?}");
        }
        assert_eq!(resumed(&mut state.session()).join(" "), again, "{state:?}");
    }
}

/// What a session does about each further packet, in any of these states: nothing that hangs on a
/// publish.
#[test]
fn a_client_s_own_packets_are_violations_in_each_state() {
    for state in Of::ALL {
        for packet in [
            Packet::Subscribe {
                packet_id: 1,
                filters: Vec::new(),
            },
            Packet::Unsubscribe {
                packet_id: 1,
                filters: Vec::new(),
            },
            Packet::PingReq,
            Packet::Disconnect,
            Packet::UnsubAck(1),
            Packet::SubAck {
                packet_id: 1,
                granted: vec![None],
            },
            Packet::ConnAck {
                session_present: true,
                code: ConnectCode::Accepted,
            },
        ] {
            let incoming = state.session();
            let mut incoming = incoming;
            let incoming = incoming.receive(&packet);
            assert_eq!(incoming, Incoming::Violation, "{state:?} {packet:?}");
            assert_eq!(incoming.answer(), None);
        }
    }
}

#[test]
fn each_step_of_receiving_survives_a_lost_connection() {
    let publish = |dup| {
        Packet::Publish(Publish {
            dup,
            qos: QoS::ExactlyOnce,
            retain: false,
            packet_id: 7,
            topic: "t",
            payload: b"x",
        })
    };
    let mut session: Session<u32> = Session::new();
    let told = |session: &mut Session<u32>, packet: &Packet<'_>| {
        let incoming = session.receive(packet);
        (word(&incoming), incoming.answer())
    };
    let rec = Some(Packet::PubRec(7));
    let comp = Some(Packet::PubComp(7));
    // Before it came: a PUBREL of an exchange whose PUBCOMP was lost, with all else.
    assert_eq!(
        told(&mut session, &Packet::PubRel(7)),
        ("released", comp.clone())
    );
    assert_eq!(
        told(&mut session, &publish(false)),
        ("message", rec.clone())
    );
    session.disconnected();
    assert!(resumed(&mut session).is_empty(), "a receiver sends nothing");
    // The PUBREC was lost: written again with DUP, or, by a server that is wrong there, without.
    assert_eq!(
        told(&mut session, &publish(true)),
        ("duplicate", rec.clone())
    );
    assert_eq!(
        told(&mut session, &publish(false)),
        ("duplicate", rec.clone())
    );
    session.disconnected();
    assert_eq!(
        told(&mut session, &Packet::PubRel(7)),
        ("released", comp.clone())
    );
    session.disconnected();
    // The PUBCOMP was lost.
    assert_eq!(told(&mut session, &Packet::PubRel(7)), ("released", comp));
    // The identifier is free for the next message.
    assert_eq!(
        told(&mut session, &publish(false)),
        ("message", rec.clone())
    );
    // Of another kind under the same identifier: not its duplicate.
    assert_eq!(
        told(&mut session, &message(QoS::AtLeastOnce, 7)),
        ("message", Some(Packet::PubAck(7)))
    );
    session.power_cut(|_| {});
    assert_eq!(told(&mut session, &publish(true)), ("duplicate", rec));
    session.discard(|_| {});
    assert_eq!(told(&mut session, &publish(true)).0, "message");
}

#[test]
fn a_resumed_session_releases_first_and_then_writes_in_the_first_order() {
    let (mut session, _) = session_with(QoS::ExactlyOnce, 6);
    publish_one(&mut session, QoS::AtLeastOnce);
    for id in [4, 2, 5] {
        session.receive(&Packet::PubRec(id));
    }
    session.receive(&Packet::PubComp(2));
    session.receive(&Packet::PubRec(4));
    time_out_all(&mut session);
    let expected = ["rel 4", "rel 5", "pub 1", "pub 3", "pub 6", "pub 7"];
    assert_eq!(resumed(&mut session), expected);
    assert_eq!(resumed(&mut session), expected, "each time anew");
    // A PUBREC of the new connection comes after those of the old one.
    session.receive(&Packet::PubRec(1));
    assert_eq!(
        resumed(&mut session),
        ["rel 4", "rel 5", "rel 1", "pub 3", "pub 6", "pub 7"]
    );
    let released: Vec<_> = session.released().map(|entry| entry.tag).collect();
    assert_eq!(released, [3, 4, 0]);
}

#[test]
fn a_resumed_session_counts_as_a_write_only_if_there_is_one() {
    let (mut session, _) = session_with(QoS::ExactlyOnce, 0);
    session.wrote(at(1));
    assert!(resumed(&mut session).is_empty());
    assert_eq!(session.last_sent, at(1));
    publish_one(&mut session, QoS::ExactlyOnce);
    session.power_cut(|_| {});
    assert_eq!(resumed(&mut session), ["rel 1"]);
    assert_eq!(session.last_sent, at(50));
}

#[test]
fn a_power_cut_keeps_what_the_server_would_mistake() {
    let (mut session, _) = session_with(QoS::ExactlyOnce, 3);
    publish_one(&mut session, QoS::AtLeastOnce);
    session.receive(&Packet::PubRec(3));
    let mut ended = Vec::new();
    session.power_cut(|entry| ended.push(entry.packet_id));
    assert_eq!(ended, [3, 1, 2, 4], "each operation ends");
    assert_eq!((session.in_flight(), session.pending().count()), (0, 0));
    session.last_id = 0;
    let next = session.publish(at(1), 8, QoS::ExactlyOnce, false, WINDOW);
    assert_eq!(next, Some(4), "only that of QoS 1 is free");
    assert_eq!(
        resumed(&mut session),
        ["rel 3", "rel 1", "rel 2", "pub 4"],
        "each is finished before anything else"
    );
    assert_eq!(session.receive(&Packet::PubComp(1)), Incoming::Abandoned);
    assert_eq!(session.receive(&Packet::PubComp(1)), UNEXPECTED);
    assert_eq!(resumed(&mut session), ["rel 3", "rel 2", "pub 4"]);
    // Once more, before these are over.
    session.power_cut(|_| {});
    assert_eq!(resumed(&mut session), ["rel 3", "rel 2", "rel 4"]);
    session.discard(|_| {});
    assert!(resumed(&mut session).is_empty());
}

#[test]
fn abandoned_identifiers_fill_the_same_bound_as_held_ones() {
    let half = u32::try_from(HELD_MAX / 2).expect("small");
    let (mut session, _) = session_with(QoS::ExactlyOnce, half);
    session.power_cut(|_| {});
    for tag in 0..half {
        assert!(
            session
                .publish(at(0), tag, QoS::AtLeastOnce, false, u16::MAX)
                .is_some()
        );
    }
    assert!(!session.is_held_up());
    time_out_all(&mut session);
    assert!(session.is_held_up());
    assert_eq!(
        session.receive(&Packet::PubRec(60_000)),
        Incoming::Violation,
        "no server has reason to send so many"
    );
    assert_eq!(session.receive(&Packet::PubComp(1)), Incoming::Abandoned);
    assert!(!session.is_held_up());
}

#[test]
fn an_unexpected_pubrec_reserves_its_identifier_until_the_pubcomp() {
    let (mut session, _) = session_with(QoS::ExactlyOnce, 0);
    let incoming = session.receive(&Packet::PubRec(1));
    assert_eq!(incoming, Incoming::UnexpectedAck { release: Some(1) });
    assert_eq!(publish(&mut session, 0), Some(2));
    assert_eq!(session.receive(&Packet::PubComp(1)), Incoming::Abandoned);
    session.last_id = 0;
    assert_eq!(publish(&mut session, 0), Some(1));
}

#[test]
fn memory_is_only_taken_where_it_is_needed() {
    let (mut session, ids) = session_with(QoS::ExactlyOnce, 1);
    session.receive(&Packet::PubRec(ids[0]));
    assert_eq!(session.heap_bytes(), 0, "one publish lies in place");
    session.receive(&Packet::PubComp(ids[0]));
    session.receive(&Packet::PubRel(9));
    assert_eq!(session.heap_bytes(), 0);
    session.receive(&message(QoS::ExactlyOnce, 9));
    assert!(session.heap_bytes() > 0);
    let before = session.heap_bytes();
    session.receive(&Packet::PubRel(9));
    assert_eq!(session.heap_bytes(), before, "kept for the next message");
    session.discard(|_| {});
    assert_eq!(session.heap_bytes(), 0);
}

fn publish_one(session: &mut Session<u32>, qos: QoS) {
    session
        .publish(at(0), 99, qos, false, u16::MAX)
        .expect("the window is open");
}

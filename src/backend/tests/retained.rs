//! Retained messages, statement by statement.

use super::super::*;
use super::{Node, Q0, Q1, Q2, connect, exactly_once, ms, publish, with_will};
use crate::mqtt::packet::{Connect, Publish, Will};

fn node() -> Node {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("sub", true, 0));
    node.connect(ms(0), 2, connect("dev", true, 0));
    node
}

fn granted(qos: QoS) -> String {
    format!("1 SubAck {{ packet_id: 7, granted: [Some({qos:?})] }}")
}

/// 3.3.1-5, 3.3.1-6, 3.3.1-8, 3.8.4-3.
#[test]
fn a_new_and_a_renewed_subscription_get_the_last_message_with_the_flag() {
    let mut node = node();
    assert_eq!(node.retain(ms(1), 2, "a/b", b"old"), [""; 0]);
    node.retain(ms(1), 2, "a/b", b"new");
    for filter in ["a/b", "a/b", "a/+", "#"] {
        assert_eq!(
            node.subscribe(ms(2), 1, filter, Q0),
            [granted(Q0), "1 deliver a/b q0 #0 retained".into()],
            "{filter}"
        );
    }
    node.backend.handle_input(
        ms(3),
        Input::Received(
            ConnId(1),
            Packet::Subscribe {
                packet_id: 7,
                filters: vec![("a/b".into(), Q0)],
            },
        ),
        &mut node.out,
    );
    let Some(Output::Deliver(_, delivery)) = node.out.last() else {
        panic!("no delivery");
    };
    assert_eq!(*delivery.message.payload, *b"new");
    let counts = ["retained_stored", "retained_held", "retained_matched"];
    assert_eq!(node.counted(counts), [2, 1, 5]);
    assert_eq!(
        node.counted(["messages_delivered", "publishes_unrouted"]),
        [5, 2]
    );
}

/// 3.8.4-6: the lower QoS, also of a retained message.
#[test]
fn a_retained_message_comes_at_the_lower_qos() {
    for published in [Q0, Q1, Q2] {
        for subscribed in [Q0, Q1, Q2] {
            let mut node = node();
            let message = Publish {
                retain: true,
                qos: published,
                ..publish("t", u16::from(published != Q0))
            };
            node.packet(ms(1), 2, Packet::Publish(message));
            let lower = published.min(subscribed);
            let id = u8::from(lower != Q0);
            assert_eq!(
                node.subscribe(ms(2), 1, "t", subscribed)[1],
                format!("1 deliver t q{} #{id} retained", lower as u8)
            );
        }
    }
}

/// 3.3.1-9.
#[test]
fn an_established_subscription_gets_it_without_the_flag() {
    let mut node = node();
    node.subscribe(ms(0), 1, "t", Q0);
    assert_eq!(node.retain(ms(1), 2, "t", b"x"), ["1 deliver t q0 #0"]);
}

/// 3.3.1-10, 3.3.1-11.
#[test]
fn an_empty_message_is_routed_and_ends_the_retained_one() {
    let mut node = node();
    node.subscribe(ms(0), 1, "a/b", Q0);
    node.retain(ms(1), 2, "a/b", b"x");
    assert_eq!(node.retain(ms(2), 2, "a/b", b""), ["1 deliver a/b q0 #0"]);
    node.retain(ms(2), 2, "a/b", b"");
    assert_eq!(node.subscribe(ms(3), 1, "a/+", Q0), [granted(Q0)]);
    let counts = ["retained_stored", "retained_deleted", "retained_held"];
    assert_eq!(node.counted(counts), [1, 1, 0]);
}

/// 3.3.1-12: without the flag nothing is stored or replaced.
#[test]
fn a_message_without_the_flag_leaves_the_retained_one_alone() {
    let mut node = node();
    node.retain(ms(1), 2, "t", b"x");
    node.publish(ms(2), 2, "t", 0);
    let empty = Publish {
        payload: b"",
        ..publish("t", 0)
    };
    node.packet(ms(3), 2, Packet::Publish(empty));
    assert_eq!(node.subscribe(ms(3), 1, "t", Q0).len(), 2);
}

/// 3.1.2-17.
#[test]
fn a_will_with_the_flag_is_retained_and_keeps_its_qos() {
    let mut node = node();
    let device = Connect {
        will: Some(Will {
            topic: "will".into(),
            payload: b"offline".to_vec(),
            qos: Q2,
            retain: true,
        }),
        ..connect("dies", true, 0)
    };
    node.subscribe(ms(0), 1, "will", Q2);
    node.connect(ms(0), 3, device);
    assert_eq!(node.close(ms(1), 3), ["1 deliver will q2 #1"]);
    assert_eq!(
        node.subscribe(ms(2), 1, "+", Q1),
        [granted(Q1), "1 deliver will q1 #2 retained".into()]
    );
}

/// 3.1.2-7, 4.1: retained messages are no part of a session, and a restart reads them from disk,
/// whatever it remembers of sessions.
#[test]
fn retained_messages_outlive_sessions_and_restarts() {
    for sessions in [plan::Sessions::Keep, plan::Sessions::Forget] {
        let mut node = node();
        node.retain(ms(1), 2, "t", b"x");
        node.packet(ms(1), 2, Packet::Disconnect);
        let restart = BackendFault::Restart { sessions };
        node.input(ms(2), Input::FaultStart(0, restart));
        node.input(ms(3), Input::FaultClear(0));
        node.connect(ms(4), 3, connect("sub", true, 0));
        assert_eq!(node.subscribe(ms(4), 3, "t", Q0).len(), 2, "{sessions:?}");
    }
}

/// A QoS 2 message that comes again is not stored again: another may have replaced it meanwhile.
#[test]
fn a_duplicate_of_qos_2_does_not_bring_an_old_message_back() {
    let mut node = node();
    let first = Publish {
        retain: true,
        ..exactly_once("t", 1)
    };
    node.packet(ms(1), 2, Packet::Publish(first));
    node.retain(ms(2), 1, "t", b"");
    node.packet(ms(3), 2, Packet::Publish(Publish { dup: true, ..first }));
    assert_eq!(node.counted(["retained_held", "retained_stored"]), [0, 1]);
}

/// What waits for its turn keeps the flag, also when it is sent again.
#[test]
fn the_flag_survives_a_reconnect() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("sub", false, 0));
    node.connect(ms(0), 2, with_will("dev", "w"));
    let message = Publish {
        retain: true,
        ..exactly_once("t", 1)
    };
    node.packet(ms(1), 2, Packet::Publish(message));
    node.subscribe(ms(2), 1, "t", Q2);
    node.close(ms(3), 1);
    assert_eq!(
        node.connect(ms(4), 3, connect("sub", false, 0)),
        ["3 connack 0 true", "3 deliver t q2 #1 dup retained"]
    );
}

//! SUBSCRIBE, UNSUBSCRIBE, overlapping filters, and sessions without a connection.

use super::super::*;
use super::{Node, Q0, Q1, Q2, connect, ms, with_will};
use crate::mqtt::packet::{Connect, Will};

fn subscribe(filters: &[(&str, QoS)]) -> Packet<'static> {
    let filters = filters.iter().map(|(f, qos)| ((*f).to_owned(), *qos));
    Packet::Subscribe {
        packet_id: 3,
        filters: filters.collect(),
    }
}

fn unsubscribe(filters: &[&str]) -> Packet<'static> {
    Packet::Unsubscribe {
        packet_id: 4,
        filters: filters.iter().map(|f| (*f).to_owned()).collect(),
    }
}

/// 3.8.4-2, 3.8.4-4, 3.8.4-5, 3.9.3-1: one code per filter, in order.
#[test]
fn a_suback_has_a_code_for_each_filter_in_order() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("sub", true, 0));
    let filters = [("a", Q2), ("a/#/b", Q1), ("+/b", Q1), ("c+", Q0), ("#", Q0)];
    assert_eq!(
        node.packet(ms(1), 1, subscribe(&filters)),
        [
            "1 SubAck { packet_id: 3, granted: [Some(ExactlyOnce), None, Some(AtLeastOnce), None, \
             Some(AtMostOnce)] }"
        ]
    );
    let counts = ["subscriptions_granted", "subscriptions_refused"];
    assert_eq!(node.counted(counts), [3, 2]);
}

/// 3.8.4-3: the same filter replaces, it does not add.
#[test]
fn a_renewed_subscription_has_the_new_qos_and_one_copy() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("sub", true, 0));
    for (qos, delivered) in [(Q2, "q1 #1"), (Q0, "q0 #0"), (Q1, "q1 #2")] {
        node.packet(ms(1), 1, subscribe(&[("t", qos)]));
        assert_eq!(
            node.publish(ms(2), 1, "t", 1),
            [format!("1 deliver t {delivered}"), "1 puback 1".into()]
        );
    }
    node.packet(ms(3), 1, unsubscribe(&["t"]));
    assert_eq!(
        node.publish(ms(4), 1, "t", 1),
        ["1 puback 1"],
        "one filter, one end"
    );
}

/// 3.3.5-1: overlapping subscriptions, one copy at the highest QoS.
#[test]
fn overlapping_subscriptions_deliver_once() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("sub", true, 0));
    node.packet(ms(1), 1, subscribe(&[("a/b", Q0), ("a/+", Q2), ("#", Q1)]));
    assert_eq!(node.publish2(ms(2), 1, "a/b", 1)[0], "1 deliver a/b q2 #1");
    node.packet(ms(3), 1, unsubscribe(&["a/+"]));
    assert_eq!(node.publish2(ms(4), 1, "a/b", 2)[0], "1 deliver a/b q1 #2");
    assert_eq!(node.count("messages_delivered"), 2);
}

/// 3.10.4-1, 3.10.4-2, 3.10.4-3, 3.10.4-5.
#[test]
fn unsubscribing_stops_new_messages_and_completes_those_under_way() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("sub", false, 0));
    node.connect(ms(0), 2, connect("dev", true, 0));
    node.packet(ms(1), 1, subscribe(&[("t", Q2)]));
    node.publish2(ms(2), 2, "t", 1);
    node.publish(ms(2), 2, "t", 2);
    assert_eq!(
        node.packet(ms(3), 1, unsubscribe(&["t", "never"])),
        ["1 UnsubAck(4)"]
    );
    assert_eq!(node.publish(ms(4), 2, "t", 3), ["2 puback 3"]);
    assert_eq!(node.packet(ms(5), 1, Packet::PubRec(1)), ["1 pubrel 1"]);
    node.close(ms(6), 1);
    assert_eq!(
        node.connect(ms(7), 3, connect("sub", false, 0)),
        ["3 connack 0 true", "3 pubrel 1", "3 deliver t q1 #2 dup"]
    );
}

/// 3.1.2-5: QoS 1 and 2 wait for a persistent session in one order, QoS 0 does not (4.1).
#[test]
fn messages_wait_for_a_persistent_session_in_order() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("sub", false, 0));
    node.packet(ms(0), 1, subscribe(&[("#", Q2)]));
    node.packet(ms(1), 1, Packet::Disconnect);
    node.connect(ms(1), 2, connect("dev", true, 0));
    for id in 1..=3 {
        node.publish(ms(2), 2, "a", id);
        node.publish2(ms(2), 2, "b", id + 10);
        node.publish(ms(2), 2, "c", 0);
    }
    assert_eq!(
        node.connect(ms(3), 3, connect("sub", false, 0)),
        [
            "3 connack 0 true",
            "3 deliver a q1 #1",
            "3 deliver b q2 #2",
            "3 deliver a q1 #3",
            "3 deliver b q2 #4",
            "3 deliver a q1 #5",
            "3 deliver b q2 #6"
        ]
    );
    assert_eq!(node.count("qos0_offline_drops"), 3);
}

/// 3.1.4-2, 3.1.2-8: a client that connects again ends its old connection without DISCONNECT.
#[test]
fn a_takeover_publishes_the_old_will_at_its_qos_before_the_connack() {
    for (clean, present) in [(true, false), (false, true)] {
        let mut node = Node::new();
        node.connect(ms(0), 1, connect("watch", true, 0));
        node.packet(ms(0), 1, subscribe(&[("will", Q2)]));
        let device = || Connect {
            clean_session: clean,
            will: Some(Will {
                topic: "will".into(),
                payload: b"offline".to_vec(),
                qos: Q2,
                retain: true,
            }),
            ..with_will("dev", "will")
        };
        node.connect(ms(0), 2, device());
        assert_eq!(
            node.connect(ms(1), 3, device()),
            [
                "2 close".into(),
                "1 deliver will q2 #1".into(),
                format!("3 connack 0 {present}")
            ]
        );
        let counts = ["takeovers", "wills_published", "retained_held"];
        assert_eq!(node.counted(counts), [1, 1, 1]);
    }
}

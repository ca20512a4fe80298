//! QoS 2 in both directions, statement by statement.

use super::super::*;
use super::service::{fixed, law, node};
use super::{Node, Q1, Q2, connect, exactly_once, ms};
use crate::mqtt::packet::Publish;
use crate::scenario::plan::{DropAck, GoneClients};
use std::time::Duration;

/// A node with a subscriber to `t` at QoS 2 on connection 1, persistent, and a persistent publisher
/// on connection 2.
fn pair() -> Node {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("sub", false, 0));
    node.subscribe(ms(0), 1, "t", Q2);
    node.connect(ms(0), 2, connect("dev", false, 0));
    node
}

/// 4.3.3-2: the receiver's side, method B.
#[test]
fn a_publish_is_routed_once_until_its_pubrel() {
    let mut node = pair();
    assert_eq!(
        node.publish2(ms(1), 2, "t", 9),
        ["1 deliver t q2 #1", "2 pubrec 9"]
    );
    let again = Publish {
        dup: true,
        ..exactly_once("t", 9)
    };
    assert_eq!(
        node.packet(ms(2), 2, Packet::Publish(again)),
        ["2 pubrec 9"]
    );
    assert_eq!(node.packet(ms(3), 2, Packet::PubRel(9)), ["2 pubcomp 9"]);
    assert_eq!(
        node.packet(ms(4), 2, Packet::PubRel(9)),
        ["2 pubcomp 9"],
        "unknown by now"
    );
    assert_eq!(
        node.publish2(ms(5), 2, "t", 9),
        ["1 deliver t q2 #2", "2 pubrec 9"],
        "a new message"
    );
    let counts = [
        "publishes_received",
        "publishes_received_qos2",
        "publishes_qos2_duplicates",
        "pubrecs_sent",
        "pubrels_received",
        "pubcomps_sent",
        "messages_delivered",
    ];
    assert_eq!(node.counted(counts), [3, 3, 1, 3, 2, 2, 2]);
}

/// 4.4.0-1, 4.1.0-1: the identifiers belong to the session.
#[test]
fn identifiers_survive_a_disconnect_and_a_restart_that_keeps_sessions() {
    for (sessions, remembered) in [
        (None, true),
        (Some(plan::Sessions::Keep), true),
        (Some(plan::Sessions::Forget), false),
    ] {
        let mut node = pair();
        node.publish2(ms(1), 2, "t", 9);
        match sessions {
            Some(sessions) => {
                let restart = BackendFault::Restart { sessions };
                node.input(ms(2), Input::FaultStart(0, restart));
                node.input(ms(3), Input::FaultClear(0));
            }
            None => assert_eq!(node.close(ms(2), 2), [""; 0]),
        }
        node.connect(ms(4), 3, connect("dev", false, 0));
        node.publish2(ms(5), 3, "t", 9);
        let duplicates = node.count("publishes_qos2_duplicates");
        assert_eq!(duplicates, u64::from(remembered), "{sessions:?}");
    }
    let mut node = pair();
    node.publish2(ms(1), 2, "t", 9);
    node.close(ms(2), 2);
    node.connect(ms(3), 3, connect("dev", true, 0));
    node.publish2(ms(4), 3, "t", 9);
    assert_eq!(node.count("publishes_qos2_duplicates"), 0, "clean session");
}

/// 4.3.3-1: the sender's side, and the delivery at the lower QoS (3.8.4-6).
#[test]
fn a_delivery_ends_with_pubcomp_and_frees_its_place() {
    let mut node = pair();
    let burst = outbound::INFLIGHT_MAX as u64 + 2;
    for n in 0..burst {
        // Both kinds share the window.
        match n % 2 {
            0 => node.publish2(ms(1), 2, "t", 1 + n as u16),
            _ => node.publish(ms(1), 2, "t", 1 + n as u16),
        };
    }
    assert_eq!(node.count("messages_delivered"), 256);
    assert_eq!(node.packet(ms(2), 1, Packet::PubRec(1)), ["1 pubrel 1"]);
    assert_eq!(
        node.packet(ms(2), 1, Packet::PubRec(1)),
        ["1 pubrel 1"],
        "for each PUBREC"
    );
    assert_eq!(
        node.packet(ms(3), 1, Packet::PubComp(1)),
        ["1 deliver t q2 #257"]
    );
    assert_eq!(
        node.packet(ms(3), 1, Packet::PubAck(2)),
        ["1 deliver t q1 #258"]
    );
    let counts = [
        "deliveries_acked",
        "pubrecs_received",
        "pubrels_sent",
        "pubcomps_received",
        "queue_full_drops",
    ];
    assert_eq!(node.counted(counts), [2, 2, 2, 1, 0]);
}

#[test]
fn a_delivery_takes_the_lower_qos() {
    let mut node = pair();
    node.connect(ms(0), 3, connect("low", true, 0));
    node.subscribe(ms(0), 3, "t", Q1);
    assert_eq!(
        node.publish2(ms(1), 2, "t", 9),
        ["1 deliver t q2 #1", "3 deliver t q1 #1", "2 pubrec 9"]
    );
    assert_eq!(
        node.publish(ms(1), 2, "t", 10),
        ["1 deliver t q1 #2", "3 deliver t q1 #2", "2 puback 10"]
    );
}

/// 4.4.0-1, 4.6.0-1, 4.6.0-4; messages that wait come behind (4.6.0-6).
#[test]
fn a_resumed_session_gets_pubrels_then_publishes_with_dup_then_what_waits() {
    let mut node = pair();
    for id in 1..=4 {
        node.publish2(ms(1), 2, "t", id);
    }
    node.packet(ms(2), 1, Packet::PubRec(3));
    node.packet(ms(2), 1, Packet::PubRec(1));
    node.close(ms(3), 1);
    assert_eq!(node.publish2(ms(4), 2, "t", 5), ["2 pubrec 5"]);
    assert_eq!(
        node.connect(ms(5), 3, connect("sub", false, 0)),
        [
            "3 connack 0 true",
            "3 pubrel 3",
            "3 pubrel 1",
            "3 deliver t q2 #2 dup",
            "3 deliver t q2 #4 dup",
            "3 deliver t q2 #5"
        ]
    );
    let counts = [
        "pubrels_sent",
        "pubrels_retransmitted",
        "deliveries_retransmitted",
        "messages_delivered",
    ];
    assert_eq!(node.counted(counts), [4, 2, 2, 5]);
    for id in [1, 3] {
        assert_eq!(node.packet(ms(6), 3, Packet::PubComp(id)), [""; 0]);
    }
    assert_eq!(node.count("deliveries_acked"), 2);
}

/// 4.3.2, 4.3.3, 4.8.0-1.
#[test]
fn acknowledgements_of_the_wrong_kind_close_and_unknown_ones_do_not() {
    let table: [(Packet<'_>, &[&str]); 7] = [
        (Packet::PubAck(1), &["1 close"]),
        (Packet::PubComp(1), &["1 close"]),
        (Packet::PubRec(2), &["1 close"]),
        (Packet::PubComp(2), &["1 close"]),
        (Packet::PubAck(77), &[]),
        (Packet::PubComp(77), &[]),
        (Packet::PubRec(77), &["1 pubrel 77"]),
    ];
    for (packet, expected) in table {
        let mut node = pair();
        node.publish2(ms(1), 2, "t", 1);
        node.publish(ms(1), 2, "t", 2);
        let name = format!("{packet:?}");
        assert_eq!(node.packet(ms(2), 1, packet), expected, "{name}");
        let closes = u64::from(expected == ["1 close"]);
        assert_eq!(
            node.counted(["protocol_errors", "acks_unknown"]),
            [closes, 1 - closes],
            "{name}"
        );
    }
}

/// The faults of acknowledgements act on the PUBREC.
#[test]
fn drop_ack_and_ack_delay_act_on_the_pubrec() {
    let mut node = pair();
    let drop = BackendFault::DropAck(DropAck::Count(1));
    node.input(ms(0), Input::FaultStart(0, drop));
    assert_eq!(node.publish2(ms(1), 2, "t", 1), ["1 deliver t q2 #1"]);
    assert_eq!(node.publish2(ms(2), 2, "t", 1), ["2 pubrec 1"]);
    assert_eq!(
        node.packet(ms(2), 2, Packet::PubRel(1)),
        ["2 pubcomp 1"],
        "no acknowledgement of a PUBLISH"
    );
    let delay = BackendFault::AckDelay(Duration::from_millis(100));
    node.input(ms(3), Input::FaultStart(1, delay));
    assert_eq!(node.publish2(ms(4), 2, "t", 2), ["1 deliver t q2 #2"]);
    assert_eq!(node.publish(ms(5), 2, "t", 3), ["1 deliver t q1 #3"]);
    assert_eq!(node.input(ms(104), Input::Timeout), ["2 pubrec 2"]);
    assert_eq!(node.input(ms(105), Input::Timeout), ["2 puback 3"]);
    node.publish2(ms(106), 2, "t", 4);
    node.close(ms(107), 2);
    node.input(ms(300), Input::Timeout);
    let sessions = plan::Sessions::Keep;
    node.connect(ms(301), 3, connect("dev", false, 0));
    node.publish2(ms(301), 3, "t", 5);
    node.input(
        ms(302),
        Input::FaultStart(2, BackendFault::Restart { sessions }),
    );
    let counts = [
        "pubrecs_sent",
        "pubrecs_dropped",
        "pubrecs_undeliverable",
        "pubrecs_lost",
        "pubacks_sent",
    ];
    assert_eq!(node.counted(counts), [2, 1, 1, 1, 1]);
}

/// A QoS 2 PUBLISH costs work; its PUBREL costs nothing, and waits for what came before it.
#[test]
fn pubrels_keep_their_place_behind_jobs() {
    let mut node = node(law(None, fixed(10)), GoneClients::Serve);
    node.connect(ms(0), 1, connect("dev", false, 0));
    assert_eq!(node.publish2(ms(0), 1, "t", 1), [""; 0]);
    assert_eq!(node.until(ms(10)), ["10 1 pubrec 1"]);
    assert_eq!(node.publish2(ms(20), 1, "t", 2), [""; 0]);
    assert_eq!(node.packet(ms(21), 1, Packet::PubRel(1)), [""; 0]);
    assert_eq!(node.publish2(ms(21), 1, "t", 1), [""; 0], "a new message");
    assert_eq!(
        node.until(ms(99)),
        ["30 1 pubrec 2", "30 1 pubcomp 1", "40 1 pubrec 1"]
    );
    assert_eq!(node.packet(ms(100), 1, Packet::PubRel(2)), ["1 pubcomp 2"]);
    assert_eq!(
        node.counted(["jobs_served", "publishes_qos2_duplicates"]),
        [3, 0]
    );
}

/// Two workers may finish what is left behind after the same message has come again elsewhere.
#[test]
fn what_a_lost_connection_leaves_behind_is_not_routed_twice() {
    let mut node = node(law(None, fixed(10)), GoneClients::Serve);
    node.connect(ms(0), 1, connect("sub", true, 0));
    node.subscribe(ms(0), 1, "t", Q2);
    node.connect(ms(0), 2, connect("dev", false, 0));
    node.publish2(ms(0), 2, "t", 1);
    node.close(ms(1), 2);
    node.connect(ms(2), 3, connect("dev", false, 0));
    assert_eq!(node.publish2(ms(3), 3, "t", 1), [""; 0]);
    assert_eq!(
        node.until(ms(99)),
        ["20 1 deliver t q2 #1", "20 3 pubrec 1"]
    );
    assert_eq!(
        node.counted(["publishes_qos2_left_behind", "publishes_qos2_duplicates"]),
        [1, 0]
    );
}

/// State only where used: a device that publishes at QoS 2 costs one small allocation more, and
/// none once it has gone.
#[test]
fn identifiers_cost_memory_only_where_there_are_any() {
    let mut node = pair();
    let before = node.backend.sessions.bytes();
    node.publish2(ms(1), 2, "nobody", 1);
    let during = node.backend.sessions.bytes();
    assert!((1..=48).contains(&(during - before)), "{during} {before}");
    node.packet(ms(2), 2, Packet::PubRel(1));
    node.close(ms(3), 2);
    assert_eq!(node.backend.sessions.bytes(), before);
}

/// What the words on the work queue's bound say: a window that does not fit never gets through, one
/// that fits does.
#[test]
fn a_client_that_repeats_more_than_the_queue_holds_is_closed_each_time() {
    for (queue, closes, acked) in [(2, 3, 0), (4, 0, 4)] {
        let law = plan::Service {
            queue,
            ..law(None, fixed(10))
        };
        let mut node = node(law, GoneClients::Skip);
        for conn in 1..=3 {
            let at = ms(1_000 * conn);
            node.connect(at, conn, connect("dev", false, 0));
            let burst = (1..=4).map(|id| node.publish2(at, conn, "t", id)).last();
            let is_closed = burst.is_some_and(|said| said == [format!("{conn} close")]);
            assert_eq!(is_closed, closes > 0, "queue of {queue}, connection {conn}");
            node.until(ms(1_000 * conn + 900));
            if !is_closed {
                break;
            }
        }
        let counts = ["service_queue_full_closes", "pubrecs_sent"];
        assert_eq!(node.counted(counts), [closes, acked], "queue of {queue}");
    }
}

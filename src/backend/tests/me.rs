//! Topics that name no device: everybody's, or each connection's own.

use super::*;
use crate::scenario::plan::{Service, ServiceTime};

const OPERATOR: u64 = 1;
const A: u64 = 2;
const B: u64 = 3;

fn per_connection() -> Embedded {
    Embedded {
        me: Me::PerConnection,
        ..shape(None, 0)
    }
}

/// An operator that hears all own topics, and two devices.
fn node(shape: &Embedded) -> Node {
    let mut node = Node::with_shape(shape);
    for (conn, name) in [(OPERATOR, "fs-op"), (A, "a"), (B, "b")] {
        node.connect(ms(0), conn, connect(name, false, 0));
    }
    node.subscribe(ms(0), OPERATOR, "me/+/v1/devices/me/telemetry", Q1);
    node
}

#[test]
fn what_a_client_publishes_on_its_own_topic_names_it() {
    let mut own = node(&per_connection());
    own.subscribe(ms(0), B, "v1/devices/me/telemetry", Q1);
    assert_eq!(
        own.publish(ms(1), A, "v1/devices/me/telemetry", 5),
        ["1 deliver me/a/v1/devices/me/telemetry q1 #1", "2 puback 5"],
        "and reaches no other that calls its own the same"
    );
    // Others' topics are what they are.
    own.subscribe(ms(0), B, "v1/devices/you", Q1);
    own.subscribe(ms(0), B, "v2/log/x", Q1);
    for topic in ["v1/devices/you", "v2/log/x"] {
        let reached = own.publish(ms(1), A, topic, 0);
        assert_eq!(reached, [format!("3 deliver {topic} q0 #0")]);
    }

    let mut shared = node(&shape(None, 0));
    shared.subscribe(ms(0), B, "v1/devices/me/telemetry", Q1);
    assert_eq!(
        shared.publish(ms(1), A, "v1/devices/me/telemetry", 5),
        ["3 deliver v1/devices/me/telemetry q1 #1", "2 puback 5"]
    );
}

#[test]
fn what_is_published_for_a_client_reaches_it_by_the_name_that_it_knows() {
    let mut node = node(&per_connection());
    for conn in [A, B] {
        node.subscribe(ms(0), conn, "v2/fw/response/+/chunk/+", Q1);
    }
    let topic = "me/a/v2/fw/response/0/chunk/7";
    assert_eq!(
        node.publish(ms(1), OPERATOR, topic, 5),
        ["2 deliver v2/fw/response/0/chunk/7 q1 #1", "1 puback 5"]
    );
    // Again on the next connection of the session, and what has waited for it.
    node.close(ms(2), A);
    node.publish(ms(3), OPERATOR, "me/a/v2/fw/response/0/chunk/8", 6);
    assert_eq!(
        node.connect(ms(4), 9, connect("a", false, 0)),
        [
            "9 connack 0 true",
            "9 deliver v2/fw/response/0/chunk/7 q1 #1 dup",
            "9 deliver v2/fw/response/0/chunk/8 q1 #2",
        ]
    );
    let filters = vec!["v2/fw/response/+/chunk/+".to_owned()];
    let packet_id = 8;
    node.packet(ms(5), 9, Packet::Unsubscribe { packet_id, filters });
    assert_eq!(node.publish(ms(6), OPERATOR, topic, 7), ["1 puback 7"]);
}

#[test]
fn what_is_retained_on_an_own_topic_is_its_clients() {
    let mut node = node(&per_connection());
    node.retain(ms(1), A, "v2/sw/state", b"x");
    let answers = node.subscribe(ms(2), A, "v2/sw/#", Q1);
    assert_eq!(answers[1..], ["2 deliver v2/sw/state q0 #0 retained"]);
    assert_eq!(node.subscribe(ms(2), B, "v2/sw/#", Q1).len(), 1);
    let answers = node.subscribe(ms(2), OPERATOR, "me/+/v2/sw/state", Q1);
    assert_eq!(answers[1..], ["1 deliver me/a/v2/sw/state q0 #0 retained"]);
}

#[test]
fn a_will_on_an_own_topic_names_its_client() {
    let mut node = node(&per_connection());
    node.connect(ms(1), 9, with_will("c", "v1/devices/me/telemetry"));
    assert_eq!(
        node.close(ms(2), 9),
        ["1 deliver me/c/v1/devices/me/telemetry q1 #1"]
    );
}

#[test]
fn an_error_closes_the_connection_that_it_is_delivered_on() {
    let mut node = node(&per_connection());
    for conn in [A, B] {
        node.subscribe(ms(0), conn, "v2/fw/error", Q1);
    }
    assert_eq!(
        node.publish(ms(1), OPERATOR, "me/a/v2/fw/error", 5),
        ["2 deliver v2/fw/error q1 #1", "1 puback 5", "2 close"]
    );
    assert_eq!(node.count("error_closes"), 1);
    assert_eq!(
        node.publish(ms(2), OPERATOR, "me/b/v2/fw/error", 0),
        ["3 deliver v2/fw/error q0 #0", "3 close"]
    );

    let mut shared = self::node(&shape(None, 0));
    shared.subscribe(ms(0), A, "v2/fw/error", Q1);
    assert_eq!(
        shared.publish(ms(1), OPERATOR, "v2/fw/error", 0),
        ["2 deliver v2/fw/error q0 #0"]
    );
}

#[test]
fn an_operator_may_say_me_itself() {
    let mut node = node(&per_connection());
    // What is no own topic behind it keeps its name, whoever's it seems to be.
    node.subscribe(ms(0), A, "me/a/x", Q0);
    assert_eq!(
        node.publish(ms(1), OPERATOR, "me/a/x", 0),
        ["2 deliver me/a/x q0 #0"]
    );
    // With everybody's topics, `me/` means nothing.
    let mut shared = self::node(&shape(None, 0));
    shared.subscribe(ms(0), A, "me/a/v2/fw/x", Q0);
    assert_eq!(
        shared.publish(ms(1), OPERATOR, "me/a/v2/fw/x", 0),
        ["2 deliver me/a/v2/fw/x q0 #0"]
    );
}

#[test]
fn a_client_whose_identifier_is_no_level_of_a_topic_is_rejected() {
    let mut node = Node::with_shape(&per_connection());
    let long = "x".repeat(1_025);
    for (conn, id) in (1..).zip(["a/b", "a+", "#", long.as_str()]) {
        let answers = node.connect(ms(0), conn, connect(id, true, 0));
        assert_eq!(
            answers,
            [format!("{conn} connack 2 false"), format!("{conn} close")]
        );
    }
    let answers = node.connect(ms(0), 9, connect(&long[1..], true, 0));
    assert_eq!(answers, ["9 connack 0 false"]);
    // There is no room for the name of its topic.
    let topic = format!("v2/fw/{}", "x".repeat(65_000));
    assert_eq!(node.publish(ms(1), 9, &topic, 0), ["9 close"]);
}

fn working() -> Embedded {
    Embedded {
        service: Some(Service {
            workers: 1,
            connect: None,
            publish: Some(ServiceTime::Fixed(Duration::from_millis(10))),
            queue: 100,
        }),
        ..per_connection()
    }
}

#[test]
fn what_waits_for_a_worker_is_its_clients_even_when_that_has_left() {
    let mut node = node(&working());
    assert!(
        node.publish(ms(0), A, "v1/devices/me/telemetry", 0)
            .is_empty()
    );
    node.close(ms(1), A);
    assert_eq!(
        node.input(ms(10), Input::Timeout),
        ["1 deliver me/a/v1/devices/me/telemetry q0 #0"]
    );
}

/// The payload of the only delivery.
fn delivered(node: &mut Node, now: Instant, input: Input<'_>) -> Option<Bytes> {
    let mut out = Vec::new();
    node.backend.handle_input(now, input, &mut out);
    out.iter().find_map(|output| match output {
        Output::Deliver(_, delivery) => Some(delivery.message.payload.clone()),
        Output::Send(..)
        | Output::Close { .. }
        | Output::PauseAccepting
        | Output::ResumeAccepting => None,
    })
}

#[test]
fn a_shared_payload_is_never_copied_and_one_that_is_not_shared_is() {
    let bytes = Bytes::from(vec![7; 4_096]);
    let publish = |topic| Publish {
        payload: &bytes,
        ..publish(topic, 0)
    };
    let topic = "me/a/v2/fw/response/0/chunk/7";
    let own = "v2/fw/response/+/chunk/+";
    let input = || Input::Published(ConnId(OPERATOR), publish(topic), &bytes);
    let is_same = |got: Option<Bytes>| {
        let got = got.expect("it is delivered");
        assert_eq!(got, bytes);
        got.as_ptr() == bytes.as_ptr()
    };

    let mut at_once = node(&per_connection());
    at_once.subscribe(ms(0), A, own, Q0);
    assert!(is_same(delivered(&mut at_once, ms(1), input())));
    let borrowed = Input::Received(ConnId(OPERATOR), Packet::Publish(publish(topic)));
    assert!(!is_same(delivered(&mut at_once, ms(1), borrowed)));

    let mut queued = node(&working());
    queued.subscribe(ms(0), A, own, Q0);
    assert_eq!(delivered(&mut queued, ms(1), input()), None);
    assert!(is_same(delivered(&mut queued, ms(11), Input::Timeout)));

    let mut stalled = node(&per_connection());
    stalled.subscribe(ms(0), A, own, Q0);
    stalled.input(ms(1), Input::FaultStart(0, BackendFault::Stall));
    assert_eq!(delivered(&mut stalled, ms(2), input()), None);
    assert!(is_same(delivered(
        &mut stalled,
        ms(3),
        Input::FaultClear(0)
    )));
}

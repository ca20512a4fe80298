//! The backend's own topics.

use super::super::*;
use super::{Node, Q0, Q1, Q2, connect, ms, with_will};

fn node() -> Node {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("watch", false, 0));
    node
}

/// The deliveries of the latest input: topic, value, retain flag.
fn account(node: &mut Node, now: Instant, input: Input<'_>) -> Vec<(String, String, bool)> {
    let mut out = Vec::new();
    node.backend.handle_input(now, input, &mut out);
    let delivery = |output| match output {
        Output::Deliver(_, d) => {
            assert_eq!((d.qos, d.packet_id), (Q0, 0));
            let value = String::from_utf8_lossy(&d.message.payload).into_owned();
            Some((d.message.topic.to_string(), value, d.retain))
        }
        Output::Send(..)
        | Output::Close { .. }
        | Output::PauseAccepting
        | Output::ResumeAccepting => None,
    };
    out.into_iter().filter_map(delivery).collect()
}

fn subscribe(filter: &str) -> Input<'static> {
    let filters = vec![(filter.to_owned(), Q1)];
    let packet_id = 7;
    Input::Received(ConnId(1), Packet::Subscribe { packet_id, filters })
}

#[test]
fn a_subscriber_gets_the_counts_at_once_and_every_ten_seconds() {
    let mut node = node();
    assert!(node.backend.next_sys().is_never());
    let names: Vec<_> = node.backend.counts().into_keys().collect();
    let all = account(&mut node, ms(0), subscribe("$SYS/#"));
    let topics: Vec<_> = all.iter().map(|(topic, ..)| topic.clone()).collect();
    let expected = names.iter().map(|name| format!("$SYS/broker/{name}"));
    assert_eq!(topics, expected.collect::<Vec<_>>());
    assert!(all.iter().all(|(.., retain)| *retain));

    node.packet(
        ms(5),
        1,
        Packet::Unsubscribe {
            packet_id: 8,
            filters: vec!["$SYS/#".into()],
        },
    );
    assert!(node.backend.next_sys().is_never(), "nobody listens");

    let topic = "$SYS/broker/publishes_received";
    let one = |value: &str, retain| vec![(topic.to_owned(), value.to_owned(), retain)];
    assert_eq!(
        account(&mut node, ms(100), subscribe(topic)),
        one("0", true)
    );
    node.connect(ms(200), 2, connect("dev", true, 0));
    node.publish(ms(200), 2, "t", 1);
    assert_eq!(node.backend.next_sys(), ms(10_100));
    let update = account(&mut node, ms(10_100), Input::Timeout);
    assert_eq!(update, one("1", false));
    assert_eq!(node.backend.next_sys(), ms(20_100));
}

/// The account is of the instant before it is given.
#[test]
fn values_agree_with_the_counts() {
    let mut node = node();
    node.connect(ms(1), 2, with_will("dev", "w"));
    let counts = node.backend.counts();
    for (topic, value, _) in account(&mut node, ms(2), subscribe("$SYS/broker/+")) {
        let name = topic.strip_prefix("$SYS/broker/").expect("its place");
        // The subscription itself is counted before the account is made.
        let granted = u64::from(name == "subscriptions_granted");
        assert_eq!(value, (counts[name] + granted).to_string(), "{name}");
    }
}

/// Nothing waits for a session without a connection, and no deadline stays for it.
#[test]
fn nobody_connected_means_no_account() {
    let mut node = node();
    account(&mut node, ms(0), subscribe("$SYS/+/jobs_served"));
    account(&mut node, ms(0), subscribe("$SYS/+/sessions_held"));
    node.close(ms(1), 1);
    assert_eq!(node.input(ms(10_000), Input::Timeout), [""; 0]);
    assert!(node.backend.next_sys().is_never());
    assert_eq!(node.count("qos0_offline_drops"), 0);
    assert_eq!(
        node.connect(ms(20_000), 2, connect("watch", false, 0)),
        ["2 connack 0 true"]
    );
    assert_eq!(node.backend.next_sys(), ms(30_000));
    assert_eq!(
        node.input(ms(30_000), Input::Timeout),
        ["2 deliver $SYS/broker/sessions_held q0 #0"]
    );
    node.connect(ms(30_001), 3, connect("watch", true, 0));
    assert!(node.backend.next_sys().is_never(), "a clean session");
}

/// Clients have no voice there: accepted, acknowledged, not routed, not retained, counted.
#[test]
fn clients_cannot_publish_there() {
    let mut node = node();
    for filter in ["$SYS/mine", "$SYS", "#"] {
        account(&mut node, ms(0), subscribe(filter));
    }
    node.connect(ms(0), 2, with_will("dev", "$SYS/mine"));
    assert_eq!(node.publish(ms(1), 2, "$SYS/mine", 1), ["2 puback 1"]);
    assert_eq!(node.publish2(ms(1), 2, "$SYS", 2), ["2 pubrec 2"]);
    assert_eq!(node.retain(ms(1), 2, "$SYS/mine", b"x"), [""; 0]);
    assert_eq!(node.close(ms(2), 2), [""; 0]);
    let counts = [
        "publishes_to_sys",
        "publishes_received",
        "retained_held",
        "wills_published",
    ];
    assert_eq!(node.counted(counts), [4, 3, 0, 1]);
    node.connect(ms(3), 3, connect("dev", true, 0));
    node.subscribe(ms(3), 3, "$SYSTEM/#", Q2);
    assert_eq!(
        node.publish(ms(3), 3, "$SYSTEM/x", 0),
        ["3 deliver $SYSTEM/x q0 #0"],
        "another name"
    );
}

/// A stalled node gives no account; one that restarts begins anew with its clients.
#[test]
fn faults_hold_the_account() {
    let mut node = node();
    account(&mut node, ms(0), subscribe("$SYS/broker/sessions_held"));
    node.input(ms(1), Input::FaultStart(0, BackendFault::Stall));
    assert!(node.backend.poll_timeout().is_never());
    let late = account(&mut node, ms(25_000), Input::FaultClear(0));
    assert_eq!(late.len(), 1, "one, not two");
    assert_eq!(node.backend.next_sys(), ms(35_000));
    let sessions = plan::Sessions::Forget;
    node.input(
        ms(26_000),
        Input::FaultStart(1, BackendFault::Restart { sessions }),
    );
    assert!(node.backend.next_sys().is_never());
}

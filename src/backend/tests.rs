//! Behaviour of the backend, as its drivers see it: one test per rule, and one for all inputs.

mod exactly_once;
mod me;
mod property;
mod qos2;
mod retained;
mod service;
mod subscriptions;
mod sys;
mod theory;

use super::*;
use crate::mqtt::packet::{Connect, Publish, Will};
use crate::scenario::plan::{DropAck, FaultKind, GoneClients, Lose, Me};
use std::time::Duration;

const Q0: QoS = QoS::AtMostOnce;
const Q1: QoS = QoS::AtLeastOnce;
const Q2: QoS = QoS::ExactlyOnce;

const fn ms(ms: u64) -> Instant {
    Instant::from_ns(ms * 1_000_000)
}

fn shape(accept_rate_per_s: Option<f64>, accept_queue: u32) -> Embedded {
    Embedded {
        nodes: 1,
        accept_rate_per_s,
        accept_queue,
        service: None,
        gone_clients: GoneClients::Skip,
        me: Me::Shared,
    }
}

fn connect(client_id: &str, clean_session: bool, keep_alive_s: u16) -> Connect {
    Connect {
        client_id: client_id.into(),
        clean_session,
        keep_alive_s,
        will: None,
        username: None,
        password: None,
    }
}

fn with_will(client_id: &str, topic: &str) -> Connect {
    Connect {
        will: Some(Will {
            topic: topic.into(),
            payload: b"offline".to_vec(),
            qos: Q1,
            retain: false,
        }),
        ..connect(client_id, true, 0)
    }
}

/// A backend with a readable account of what it wants done.
struct Node {
    backend: Backend,
    out: Vec<Output>,
}

impl Node {
    fn new() -> Self {
        Self::with_shape(&shape(None, 0))
    }

    fn with_shape(shape: &Embedded) -> Self {
        Self {
            backend: Backend::new(shape, 0, 42),
            out: Vec::new(),
        }
    }

    fn input(&mut self, now: Instant, input: Input<'_>) -> Vec<String> {
        self.backend.handle_input(now, input, &mut self.out);
        self.out.drain(..).map(|o| describe(&o)).collect()
    }

    fn packet(&mut self, now: Instant, conn: u64, packet: Packet<'_>) -> Vec<String> {
        self.input(now, Input::Received(ConnId(conn), packet))
    }

    fn connect(&mut self, now: Instant, conn: u64, connect: Connect) -> Vec<String> {
        let opened = self.input(now, Input::Opened(ConnId(conn)));
        if !opened.is_empty() {
            return opened;
        }
        self.packet(now, conn, Packet::Connect(Box::new(connect)))
    }

    fn subscribe(&mut self, now: Instant, conn: u64, filter: &str, qos: QoS) -> Vec<String> {
        let filters = vec![(filter.to_owned(), qos)];
        let packet_id = 7;
        self.packet(now, conn, Packet::Subscribe { packet_id, filters })
    }

    fn publish(&mut self, now: Instant, conn: u64, topic: &str, id: PacketId) -> Vec<String> {
        self.packet(now, conn, Packet::Publish(publish(topic, id)))
    }

    fn publish2(&mut self, now: Instant, conn: u64, topic: &str, id: PacketId) -> Vec<String> {
        self.packet(now, conn, Packet::Publish(exactly_once(topic, id)))
    }

    fn retain(&mut self, now: Instant, conn: u64, topic: &str, payload: &[u8]) -> Vec<String> {
        let publish = Publish {
            retain: true,
            payload,
            ..publish(topic, 0)
        };
        self.packet(now, conn, Packet::Publish(publish))
    }

    fn close(&mut self, now: Instant, conn: u64) -> Vec<String> {
        self.input(now, Input::Closed(ConnId(conn)))
    }

    fn count(&self, name: &str) -> u64 {
        self.backend.counts()[name]
    }
}

/// QoS 1, or 0 if `packet_id` is 0.
fn publish(topic: &str, packet_id: PacketId) -> Publish<'_> {
    Publish {
        dup: false,
        qos: if packet_id == 0 { Q0 } else { Q1 },
        retain: false,
        packet_id,
        topic,
        payload: b"x",
    }
}

fn exactly_once(topic: &str, packet_id: PacketId) -> Publish<'_> {
    Publish {
        qos: Q2,
        ..publish(topic, packet_id)
    }
}

fn describe(output: &Output) -> String {
    match output {
        Output::Send(
            ConnId(conn),
            Packet::ConnAck {
                session_present,
                code,
            },
        ) => {
            format!("{conn} connack {} {session_present}", *code as u8)
        }
        Output::Send(ConnId(conn), Packet::PubAck(id)) => format!("{conn} puback {id}"),
        Output::Send(ConnId(conn), Packet::PubRec(id)) => format!("{conn} pubrec {id}"),
        Output::Send(ConnId(conn), Packet::PubRel(id)) => format!("{conn} pubrel {id}"),
        Output::Send(ConnId(conn), Packet::PubComp(id)) => format!("{conn} pubcomp {id}"),
        Output::Send(ConnId(conn), packet) => format!("{conn} {packet:?}"),
        Output::Deliver(ConnId(conn), d) => {
            let dup = if d.dup { " dup" } else { "" };
            let retain = if d.retain { " retained" } else { "" };
            let qos = d.qos as u8;
            format!(
                "{conn} deliver {} q{qos} #{}{dup}{retain}",
                d.topic(),
                d.packet_id
            )
        }
        Output::Close { conn, reset } => {
            format!("{} {}", conn.0, if *reset { "reset" } else { "close" })
        }
        Output::PauseAccepting => "pause".into(),
        Output::ResumeAccepting => "resume".into(),
    }
}

#[test]
fn publish_is_acked_and_reaches_exact_and_wildcard_subscribers() {
    let mut node = Node::new();
    for (conn, name) in [(1, "sub"), (2, "wild"), (3, "dev")] {
        node.connect(ms(0), conn, connect(name, true, 60));
    }
    let granted = node.subscribe(ms(0), 1, "d/3/power", QoS::ExactlyOnce);
    assert_eq!(
        granted,
        ["1 SubAck { packet_id: 7, granted: [Some(ExactlyOnce)] }"]
    );
    node.subscribe(ms(0), 2, "d/3/+", Q0);
    let refused = node.subscribe(ms(0), 2, "d/+power", Q1);
    assert_eq!(refused, ["2 SubAck { packet_id: 7, granted: [None] }"]);
    assert_eq!(
        node.publish(ms(1), 3, "d/3/power", 5),
        [
            "1 deliver d/3/power q1 #1",
            "2 deliver d/3/power q0 #0",
            "3 puback 5"
        ]
    );
    assert_eq!(
        node.publish(ms(1), 3, "d/3/power", 0),
        ["1 deliver d/3/power q0 #0", "2 deliver d/3/power q0 #0"]
    );
    assert_eq!(node.publish(ms(2), 3, "d/4/power", 6), ["3 puback 6"]);
    let filters = vec!["d/3/power".to_owned(), "never".to_owned()];
    node.packet(
        ms(2),
        1,
        Packet::Unsubscribe {
            packet_id: 8,
            filters,
        },
    );
    assert_eq!(node.publish(ms(3), 3, "d/3/power", 7).len(), 2);
    assert_eq!(node.count("publishes_unrouted"), 1);
    assert_eq!(node.count("messages_delivered"), 5);
}

#[test]
fn a_persistent_session_queues_and_repeats_with_dup_and_the_same_identifier() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("sub", false, 0));
    node.subscribe(ms(0), 1, "t", Q1);
    node.connect(ms(0), 2, connect("dev", true, 0));
    assert_eq!(node.publish(ms(1), 2, "t", 1)[0], "1 deliver t q1 #1");
    assert_eq!(node.publish(ms(1), 2, "t", 2)[0], "1 deliver t q1 #2");
    node.packet(ms(2), 1, Packet::PubAck(1));
    node.close(ms(3), 1);
    assert_eq!(node.publish(ms(4), 2, "t", 3), ["2 puback 3"]);
    node.publish(ms(4), 2, "t", 0);
    assert_eq!(node.count("qos0_offline_drops"), 1);
    assert_eq!(
        node.connect(ms(5), 3, connect("sub", false, 0)),
        [
            "3 connack 0 true",
            "3 deliver t q1 #2 dup",
            "3 deliver t q1 #3"
        ]
    );
    assert_eq!(node.count("deliveries_retransmitted"), 1);
    node.close(ms(6), 3);
    assert_eq!(
        node.connect(ms(7), 4, connect("sub", true, 0)),
        ["4 connack 0 false"],
        "a clean session ends the old one"
    );
    assert_eq!(node.publish(ms(8), 2, "t", 4), ["2 puback 4"]);
}

#[test]
fn the_window_and_the_queue_are_bounded() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("sub", false, 0));
    node.subscribe(ms(0), 1, "t", Q1);
    node.connect(ms(0), 2, connect("dev", true, 0));
    let total = outbound::INFLIGHT_MAX + outbound::QUEUE_MAX + 5;
    let mut sent = 0;
    for _ in 0..total {
        sent += node.publish(ms(1), 2, "t", 1).len() - 1;
    }
    assert_eq!(sent, outbound::INFLIGHT_MAX);
    assert_eq!(node.count("queue_full_drops"), 5);
    assert_eq!(
        node.packet(ms(2), 1, Packet::PubAck(3)),
        ["1 deliver t q1 #257"]
    );
    assert_eq!(
        node.packet(ms(2), 1, Packet::PubAck(3)),
        [""; 0],
        "acked already"
    );
    assert_eq!(
        node.publish(ms(3), 2, "t", 1),
        ["2 puback 1"],
        "room for one more"
    );
    assert_eq!(node.count("queue_full_drops"), 5);
}

#[test]
fn a_client_takes_its_own_connection_over_and_the_old_will_is_published() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("watch", true, 0));
    node.subscribe(ms(0), 1, "will", Q1);
    node.connect(ms(0), 2, with_will("dev", "will"));
    assert_eq!(
        node.connect(ms(1), 3, with_will("dev", "will")),
        ["2 close", "1 deliver will q1 #1", "3 connack 0 false"]
    );
    assert_eq!(
        node.close(ms(1), 2),
        [""; 0],
        "the driver's own echo is ignored"
    );
    assert_eq!(node.close(ms(2), 3), ["1 deliver will q1 #2"]);
    assert_eq!(
        (node.count("takeovers"), node.count("wills_published")),
        (1, 2)
    );
}

#[test]
fn disconnect_discards_the_will() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("watch", true, 0));
    node.subscribe(ms(0), 1, "will", Q0);
    node.connect(ms(0), 2, with_will("dev", "will"));
    assert_eq!(node.packet(ms(1), 2, Packet::Disconnect), ["2 close"]);
    assert_eq!(node.count("wills_published"), 0);
    assert_eq!(node.count("sessions_held"), 1);
}

#[test]
fn silence_ends_a_connection_at_one_and_a_half_times_the_keep_alive() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("watch", true, 0));
    node.subscribe(ms(0), 1, "will", Q0);
    let mut device = with_will("dev", "will");
    device.keep_alive_s = 10;
    node.connect(ms(0), 2, device);
    node.input(ms(500), Input::Opened(ConnId(3)));
    assert_eq!(node.packet(ms(9_000), 2, Packet::PingReq), ["2 PingResp"]);
    assert_eq!(node.input(ms(10_499), Input::Timeout), [""; 0]);
    assert_eq!(
        node.input(ms(10_500), Input::Timeout),
        ["3 close"],
        "no CONNECT"
    );
    assert_eq!(node.input(ms(23_999), Input::Timeout), [""; 0]);
    assert_eq!(node.backend.poll_timeout(), ms(24_000));
    assert_eq!(
        node.input(ms(24_000), Input::Timeout),
        ["2 close", "1 deliver will q0 #0"]
    );
    assert!(
        node.backend.poll_timeout().is_never(),
        "keep-alive 0 never ends"
    );
    assert_eq!(node.count("keep_alive_expired"), 1);
    assert_eq!(node.count("connect_timeouts"), 1);
}

#[test]
fn what_mqtt_does_not_allow_closes() {
    let publish_to = |topic| Packet::Publish(publish(topic, 1));
    let no_filters = Packet::Subscribe {
        packet_id: 1,
        filters: Vec::new(),
    };
    let no_id_twice = Packet::Publish(Publish {
        qos: QoS::ExactlyOnce,
        ..publish("t", 0)
    });
    let no_id = Packet::Publish(Publish {
        qos: Q1,
        ..publish("t", 0)
    });
    let table = [
        Packet::Connect(Box::new(connect("dev", true, 0))),
        Packet::PingResp,
        Packet::UnsubAck(1),
        publish_to("a/+"),
        publish_to(""),
        no_filters,
        no_id_twice,
        no_id,
    ];
    for packet in table {
        let mut node = Node::new();
        node.connect(ms(0), 1, connect("dev", true, 0));
        let name = format!("{packet:?}");
        assert_eq!(node.packet(ms(1), 1, packet), ["1 close"], "{name}");
        assert_eq!(node.count("protocol_errors"), 1, "{name}");
        assert_eq!(node.count("sessions_held"), 0, "{name}");
    }
    let mut node = Node::new();
    node.input(ms(0), Input::Opened(ConnId(1)));
    assert_eq!(
        node.packet(ms(0), 1, Packet::PingReq),
        ["1 close"],
        "first is CONNECT"
    );
    assert_eq!(
        node.connect(ms(0), 2, connect("", false, 0)),
        ["2 connack 2 false", "2 close"]
    );
    assert_eq!(
        node.connect(ms(0), 3, connect("", true, 0)),
        ["3 connack 0 false"]
    );
    assert_eq!(node.connect(ms(0), 4, with_will("w", "a/#")), ["4 close"]);
}

#[test]
fn admission_answers_at_the_rate_and_refuses_beyond_its_queue() {
    let mut node = Node::with_shape(&shape(Some(10.0), 2));
    let answers: Vec<_> = (1..=5)
        .map(|conn| node.connect(ms(0), conn, connect(&format!("c{conn}"), true, 1)))
        .collect();
    assert_eq!(answers[0], ["1 connack 0 false"]);
    assert_eq!(answers[1..3], [[""; 0], [""; 0]]);
    assert_eq!(answers[3], ["4 connack 3 false", "4 close"]);
    assert_eq!(
        node.packet(ms(5), 2, Packet::Publish(publish("t", 9))),
        [""; 0]
    );
    node.close(ms(10), 3);
    assert_eq!(node.backend.poll_timeout(), ms(100));
    assert_eq!(
        node.input(ms(100), Input::Timeout),
        ["2 connack 0 false", "2 puback 9"],
        "what it sent ahead waited with it"
    );
    assert_eq!(node.input(ms(200), Input::Timeout), [""; 0], "3 has left");
    assert_eq!(node.count("connects_abandoned"), 1);
    assert_eq!(node.count("accept_queue_full"), 2);
}

#[test]
fn a_restart_resets_all_and_remembers_what_it_should() {
    for (sessions, present, forgotten) in [
        (plan::Sessions::Keep, true, 0),
        (plan::Sessions::Forget, false, 1),
    ] {
        let mut node = Node::new();
        node.connect(ms(0), 1, connect("kept", false, 0));
        node.subscribe(ms(0), 1, "t", Q1);
        node.connect(ms(0), 2, with_will("clean", "t"));
        node.publish(ms(1), 2, "t", 1);
        let restart = BackendFault::Restart { sessions };
        assert_eq!(
            node.input(ms(2), Input::FaultStart(0, restart)),
            ["1 reset", "2 reset"]
        );
        assert_eq!(
            node.connect(ms(3), 3, connect("kept", false, 0)),
            ["3 reset"]
        );
        assert_eq!(node.input(ms(4), Input::FaultClear(0)), [""; 0]);
        let back = node.connect(ms(5), 4, connect("kept", false, 0));
        assert_eq!(back[0], format!("4 connack 0 {present}"));
        assert_eq!(
            back.len() == 2,
            present,
            "the unacknowledged delivery: {back:?}"
        );
        assert_eq!(node.count("sessions_forgotten"), forgotten);
        assert_eq!(node.count("sessions_held"), 1);
        assert_eq!(
            (node.count("wills_lost"), node.count("wills_published")),
            (1, 0)
        );
    }
}

#[test]
fn refuse_answers_with_server_unavailable() {
    let mut node = Node::with_shape(&shape(Some(10.0), 9));
    node.connect(ms(0), 1, connect("a", true, 0));
    node.connect(ms(0), 2, connect("b", true, 0));
    node.input(ms(1), Input::FaultStart(3, BackendFault::Refuse));
    let refused = |conn| [format!("{conn} connack 3 false"), format!("{conn} close")];
    assert_eq!(node.connect(ms(2), 3, connect("c", true, 0)), refused(3));
    assert_eq!(
        node.input(ms(100), Input::Timeout),
        refused(2),
        "when its turn comes"
    );
    node.input(ms(101), Input::FaultClear(3));
    assert_eq!(
        node.connect(ms(300), 4, connect("c", true, 0)),
        ["4 connack 0 false"]
    );
}

#[test]
fn a_stalled_node_does_nothing_and_then_works_off_what_came() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("dev", true, 1));
    node.connect(ms(0), 2, connect("dumb", true, 1));
    node.input(ms(1), Input::FaultStart(0, BackendFault::Stall));
    assert_eq!(node.publish(ms(2), 1, "t", 5), [""; 0]);
    assert_eq!(node.connect(ms(3), 3, connect("new", true, 0)), [""; 0]);
    assert_eq!(node.input(ms(9_000), Input::Timeout), [""; 0]);
    assert!(node.backend.poll_timeout().is_never());
    assert_eq!(
        node.input(ms(9_000), Input::FaultClear(0)),
        ["1 puback 5", "3 connack 0 false", "2 close"],
        "in order, and silence is judged after what came was read"
    );
}

#[test]
fn ack_delay_holds_each_puback_back_exactly() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("dev", true, 0));
    let delay = BackendFault::AckDelay(Duration::from_millis(100));
    node.input(ms(0), Input::FaultStart(0, delay));
    assert_eq!(node.publish(ms(1), 1, "t", 1), [""; 0]);
    assert_eq!(node.publish(ms(3), 1, "t", 2), [""; 0]);
    assert_eq!(node.backend.poll_timeout(), ms(101));
    assert_eq!(node.input(ms(101), Input::Timeout), ["1 puback 1"]);
    assert_eq!(node.backend.poll_timeout(), ms(103));
    assert_eq!(node.input(ms(102), Input::FaultClear(0)), ["1 puback 2"]);
    assert_eq!(node.publish(ms(102), 1, "t", 3), ["1 puback 3"]);
    assert_eq!(node.count("pubacks_sent"), 3);
}

#[test]
fn drop_ack_routes_and_counts() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("dev", true, 0));
    node.subscribe(ms(0), 1, "t", Q0);
    let fault = BackendFault::DropAck(DropAck::Count(2));
    node.input(ms(0), Input::FaultStart(0, fault));
    assert_eq!(node.publish(ms(1), 1, "t", 1), ["1 deliver t q0 #0"]);
    assert_eq!(
        node.publish(ms(1), 1, "t", 0),
        ["1 deliver t q0 #0"],
        "QoS 0 has no ack"
    );
    assert_eq!(node.publish(ms(1), 1, "t", 2), ["1 deliver t q0 #0"]);
    assert_eq!(node.publish(ms(1), 1, "t", 3).len(), 2);
    assert_eq!(
        (node.count("pubacks_dropped"), node.count("pubacks_sent")),
        (2, 1)
    );
}

#[test]
fn lose_acknowledges_and_does_nothing_else() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("dev", true, 0));
    node.subscribe(ms(0), 1, "t", Q0);
    let drop = BackendFault::DropAck(DropAck::Count(1));
    node.input(
        ms(0),
        Input::FaultStart(0, BackendFault::Lose(Lose::Count(2))),
    );
    node.input(ms(0), Input::FaultStart(1, drop));
    assert_eq!(
        node.publish(ms(1), 1, "t", 0),
        ["1 deliver t q0 #0"],
        "nobody was told that QoS 0 arrived"
    );
    let publish = |qos, dup, packet_id| {
        Packet::Publish(Publish {
            dup,
            qos,
            retain: true,
            packet_id,
            topic: "t",
            payload: b"x",
        })
    };
    let again = node.packet(ms(1), 1, publish(Q1, true, 9));
    assert_eq!(again, ["1 deliver t q0 #0"], "a retransmission is spared");
    assert_eq!(node.packet(ms(2), 1, publish(Q1, false, 1)), ["1 puback 1"]);
    assert_eq!(node.packet(ms(2), 1, publish(Q2, false, 2)), ["1 pubrec 2"]);
    assert_eq!(
        node.packet(ms(2), 1, publish(Q2, true, 2)),
        ["1 pubrec 2"],
        "it stays lost"
    );
    assert_eq!(node.packet(ms(2), 1, Packet::PubRel(2)), ["1 pubcomp 2"]);
    assert_eq!(node.publish(ms(3), 1, "t", 3).len(), 2);
    assert_eq!(
        node.counted(["publishes_lost", "pubacks_dropped", "retained_stored"]),
        [2, 1, 1]
    );
}

/// On all nodes a count is that of all together, on one node it is its own.
#[test]
fn a_count_to_lose_is_split_exactly() {
    let counts = |node, count| {
        let fault = BackendFault::Lose(Lose::Count(count));
        let kind = FaultKind::Backend { node, fault };
        (0..3).map(|n| kind.on_node(n, 3)).collect::<Vec<_>>()
    };
    let own = |count| Some(BackendFault::Lose(Lose::Count(count)));
    assert_eq!(counts(None, 1000), [own(334), own(333), own(333)]);
    assert_eq!(counts(None, 1), [own(1), own(0), own(0)]);
    assert_eq!(counts(Some(1), 7), [None, own(7), None]);
}

#[test]
fn pausing_is_said_once_however_many_faults_ask_for_it() {
    let mut node = Node::new();
    let start = |i| Input::FaultStart(i, BackendFault::PauseAccepting);
    assert_eq!(node.input(ms(0), start(0)), ["pause"]);
    assert_eq!(node.input(ms(1), start(1)), [""; 0]);
    assert_eq!(node.input(ms(2), Input::FaultClear(0)), [""; 0]);
    assert_eq!(node.input(ms(3), Input::FaultClear(1)), ["resume"]);
    assert_eq!(node.input(ms(3), Input::FaultClear(1)), [""; 0]);
}

#[test]
fn faults_overlap_sanely() {
    let mut node = Node::new();
    node.connect(ms(0), 1, connect("dev", true, 0));
    let delay = BackendFault::AckDelay(Duration::from_millis(10));
    node.input(ms(0), Input::FaultStart(0, delay));
    node.publish(ms(1), 1, "t", 1);
    node.input(ms(2), Input::FaultStart(1, BackendFault::Stall));
    assert_eq!(
        node.input(ms(3), Input::FaultClear(0)),
        [""; 0],
        "stalled: no answer"
    );
    node.input(ms(4), Input::Opened(ConnId(2)));
    let keep = plan::Sessions::Keep;
    assert_eq!(
        node.input(
            ms(5),
            Input::FaultStart(2, BackendFault::Restart { sessions: keep })
        ),
        ["1 reset", "2 reset"],
        "also the connection it has not looked at"
    );
    assert_eq!(node.input(ms(6), Input::FaultClear(2)), [""; 0]);
    assert_eq!(
        node.connect(ms(7), 3, connect("dev", true, 0)),
        [""; 0],
        "still stalled"
    );
    assert_eq!(
        node.input(ms(8), Input::FaultClear(1)),
        ["3 connack 0 false"]
    );
}

/// The bar: at most 450 bytes for a connected device with a will and two exact subscriptions. The
/// bytes are computed from sizes, capacities and the heap's overhead (see
/// [`Backend::state_bytes`]); `unsafe` is forbidden here, and with it an allocator that counts.
#[test]
fn a_device_costs_at_most_450_bytes_of_state() {
    for devices in [9_000_u64, 20_000, 33_000] {
        let mut node = Node::new();
        for i in 0..devices {
            let mut device = with_will(&format!("meters-{i}"), &format!("d/meters-{i}/state"));
            device.keep_alive_s = 120;
            device.clean_session = false;
            node.connect(ms(i), i, device);
            node.subscribe(ms(i), i, &format!("d/meters-{i}/cmd"), Q1);
            node.subscribe(ms(i), i, &format!("d/meters-{i}/update"), Q1);
        }
        let bytes = node.backend.state_bytes() as u64;
        let per_device = bytes / devices;
        assert!(per_device <= 450, "{per_device} bytes at {devices} devices");
        assert!(per_device >= 200, "{per_device}: something is not counted");
    }
}

//! Statements of MQTT 3.1.1 that bind a client and are kept by the device and its session.
//! `tests/statements.rs` has the table of all statements.

use super::*;
use crate::mqtt::session::PingOn;
use crate::scenario::plan::Plan;

/// A device, the time, and what it has written on each connection so far.
struct Client {
    device: Device,
    now: Instant,
    /// Per transport: packets as words, and `close` where the device closed.
    wire: Vec<Vec<String>>,
    events: Vec<Event>,
}

impl Client {
    fn new(plan: Plan) -> Self {
        let mut client = Self {
            device: device(plan),
            now: Instant::ZERO,
            wire: Vec::new(),
            events: Vec::new(),
        };
        client.step(Input::PowerOn);
        client
    }

    /// Online at 0 s with nothing planned yet but the arrivals of 0 s.
    fn online(plan: Plan) -> Self {
        let mut client = Self::new(plan);
        client.connect(false);
        client
    }

    /// Hands over `input`; what was written for it.
    fn step(&mut self, input: Input<'_>) -> Vec<String> {
        let mut out = Vec::new();
        self.device.handle_input(self.now, input, &mut out);
        let mut words = Vec::new();
        for output in &out {
            match output {
                Output::Open => self.wire.push(Vec::new()),
                Output::Event(event) => self.events.push(*event),
                Output::Fetch(_) | Output::StopFetch | Output::Result(_) => {}
                Output::Close | Output::Send(_) | Output::Publish(_) | Output::Telemetry(_) => {
                    let connection = self.wire.last_mut().expect("something was opened");
                    connection.push(word(output));
                    words.push(word(output));
                }
            }
        }
        words
    }

    fn receive(&mut self, packet: Packet<'_>) -> Vec<String> {
        self.step(Input::Received(packet))
    }

    /// Lets time pass with all its deadlines; what was written meanwhile.
    fn wait(&mut self, seconds: u64) -> Vec<String> {
        let until = self.now.after(Duration::from_secs(seconds));
        let mut words = Vec::new();
        while self.device.poll_timeout() <= until {
            self.now = self.now.max(self.device.poll_timeout());
            words.extend(self.step(Input::Timeout));
        }
        self.now = until;
        words
    }

    /// Connects, if need be after its backoff; what it writes after the CONNACK.
    fn connect(&mut self, session_present: bool) -> Vec<String> {
        while self.device.state != State::Connecting {
            self.wait(1);
        }
        self.step(Input::Opened);
        let mut words = self.step(conn_ack(session_present));
        words.extend(self.wait(0));
        words
    }

    fn cut(&mut self) {
        self.step(Input::Closed(Cause::Reset));
    }

    fn received(&self) -> usize {
        let is_message = |event: &&Event| **event == Event::Received;
        self.events.iter().filter(is_message).count()
    }
}

fn of_qos(qos: QoS) -> Plan {
    let mut plan = plan();
    plan.streams[0].qos = qos;
    plan.cohorts[0].client.inflight = 5;
    plan
}

fn clean(mut plan: Plan) -> Plan {
    plan.cohorts[0].session.clean = true;
    plan
}

fn with_steps() -> Plan {
    let mut plan = plan();
    plan.cohorts[0].on_connect = vec![Step::Subscribe {
        topic: fixture::device_template("d/", "/cmd"),
        qos: QoS::ExactlyOnce,
    }];
    plan
}

/// 3.1.0-1, 3.1.0-2.
#[test]
fn the_first_packet_of_each_connection_is_its_only_connect() {
    let mut client = Client::online(plan());
    client.wait(25);
    for session_present in [true, false] {
        client.cut();
        client.connect(session_present);
        client.wait(25);
    }
    client.step(Input::PowerOff);
    client.step(Input::PowerOn);
    client.connect(true);
    assert_eq!(client.wire.len(), 4);
    for connection in &client.wire {
        let connects = connection.iter().filter(|w| *w == "CONNECT").count();
        assert_eq!((connection[0].as_str(), connects), ("CONNECT", 1));
        assert!(connection.len() > 1, "{connection:?}");
    }
}

/// Nothing is written before the CONNACK either, though 3.1.4 would allow it.
#[test]
fn nothing_follows_a_connect_before_its_connack() {
    let mut client = Client::new(with_steps());
    client.step(Input::Opened);
    assert_eq!(client.wait(9), [""; 0], "three arrivals are due");
    assert_eq!(client.step(conn_ack(true)), ["SUBSCRIBE 1 d/meters-0/cmd"]);
}

/// 3.1.3-2.
#[test]
fn a_device_has_one_client_identifier_for_life() {
    let mut device = device(plan());
    let mut ids = Vec::new();
    let mut step = |input: Input<'_>| {
        let mut out = Vec::new();
        device.handle_input(Instant::ZERO, input, &mut out);
        ids.extend(out.into_iter().filter_map(|output| match output {
            Output::Send(Packet::Connect(connect)) => Some(connect.client_id),
            Output::Open
            | Output::Close
            | Output::Send(_)
            | Output::Publish(_)
            | Output::Telemetry(_)
            | Output::Fetch(_)
            | Output::StopFetch
            | Output::Result(_)
            | Output::Event(_) => None,
        }));
    };
    for _ in 0..3 {
        step(Input::PowerOn);
        step(Input::Opened);
        step(Input::PowerOff);
    }
    assert_eq!(ids, ["meters-0"; 3]);
}

/// 3.1.2-4, 4.1.0-1, 4.4.0-1, 2.3.1-3, 3.3.1-1.
#[test]
fn a_stored_session_writes_again_what_is_unacknowledged_under_its_identifiers() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut client = Client::online(of_qos(qos));
        client.wait(20);
        for _ in 0..3 {
            client.cut();
            let again = client.connect(true);
            assert_eq!(
                again[..3],
                ["PUBLISH 1 dup a0", "PUBLISH 2 dup a1", "PUBLISH 3 dup a2"]
            );
        }
    }
    let mut client = Client::online(of_qos(QoS::ExactlyOnce));
    client.receive(Packet::PubRec(1));
    for _ in 0..3 {
        client.cut();
        assert_eq!(client.connect(true)[0], "PUBREL 1");
    }
}

/// 3.1.2-6.
#[test]
fn a_clean_session_takes_nothing_over() {
    let mut client = Client::online(clean(of_qos(QoS::ExactlyOnce)));
    client.wait(10);
    client.receive(Packet::PubRec(1));
    client.step(message(QoS::ExactlyOnce, 7));
    client.cut();
    let first = client.connect(false);
    assert!(!first.iter().any(|w| w.contains("dup")), "{first:?}");
    assert!(!first.contains(&"PUBREL 1".to_owned()), "{first:?}");
    // The server's identifiers are new as well: this is another message.
    assert_eq!(client.step(message(QoS::ExactlyOnce, 7)), ["PUBREC 7"]);
    assert_eq!(client.received(), 2);
    let Packet::Connect(connect) = connect::connect(&client.device.profile, 0) else {
        panic!("it is a CONNECT");
    };
    assert!(connect.clean_session);
}

/// 3.1.2-23: whatever the device has to say, and whether the server answers or not. (A scenario
/// cannot ask for a longer wait for PINGRESP than the keep-alive.)
#[test]
fn the_silence_of_a_connected_client_never_exceeds_the_keep_alive() {
    for ping_on in [PingOn::SilenceOut, PingOn::SilenceEither, PingOn::Always] {
        for (keep_alive_s, ping_timeout_s) in [(3, 3), (3, 1), (7, 7), (10, 5), (25, 2)] {
            for answers in [true, false] {
                let mut plan = plan();
                let client = &mut plan.cohorts[0].client;
                client.ping_on = ping_on;
                client.keep_alive_s = keep_alive_s;
                client.ping_timeout = Duration::from_secs(ping_timeout_s);
                // It writes every 10 s, of which only its own silence takes notice.
                let survives = answers || (keep_alive_s > 10 && ping_on == PingOn::SilenceOut);
                stays_within(plan, answers, survives);
            }
        }
    }
}

fn stays_within(plan: Plan, answers: bool, survives: bool) {
    let client = plan.cohorts[0].client.clone();
    let longest = Duration::from_secs(u64::from(client.keep_alive_s));
    let mut device = Client::online(plan);
    let mut spoke = device.now;
    while device.now < Instant::from_ns(100_000_000_000) && device.device.is_connected() {
        let said = device.wait(1);
        if !said.is_empty() {
            spoke = device.now;
        }
        if answers && said.contains(&"PINGREQ".to_owned()) {
            device.receive(Packet::PingResp);
        }
        let silence = device.now.since(spoke);
        assert!(silence <= longest, "{silence:?} with {client:?}, {answers}");
    }
    assert_eq!(device.device.is_connected(), survives, "{client:?}");
}

/// 2.3.1-2, 4.3.2-1, 4.3.3-1 (first parts).
#[test]
fn a_new_publish_has_an_unused_identifier_and_no_dup() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut client = Client::online(of_qos(qos));
        let words = client.wait(35);
        assert_eq!(words, ["PUBLISH 2 a1", "PUBLISH 3 a2", "PUBLISH 4 a3"]);
    }
}

/// 2.3.1-6, 3.3.4-1, 4.3.2-2, 4.3.3-2 (first parts).
#[test]
fn a_message_is_answered_by_its_qos_under_its_identifier() {
    let mut client = Client::online(plan());
    assert_eq!(client.step(message(QoS::AtMostOnce, 0)), [""; 0]);
    for id in [1, 513, u16::MAX] {
        let puback = client.step(message(QoS::AtLeastOnce, id));
        assert_eq!(puback, [format!("PUBACK {id}")]);
        let pubrec = client.step(message(QoS::ExactlyOnce, id));
        assert_eq!(pubrec, [format!("PUBREC {id}")]);
        assert_eq!(
            client.receive(Packet::PubRel(id)),
            [format!("PUBCOMP {id}")]
        );
    }
}

/// 4.3.2-2.
#[test]
fn after_its_puback_an_identifier_names_a_new_message_whatever_dup_says() {
    let mut client = Client::online(plan());
    let publish = |dup| {
        Packet::Publish(Publish {
            dup,
            qos: QoS::AtLeastOnce,
            retain: false,
            packet_id: 9,
            topic: "d/meters-0/cmd",
            payload: b"x",
        })
    };
    for dup in [false, true, false] {
        assert_eq!(client.receive(publish(dup)), ["PUBACK 9"]);
    }
    assert_eq!(client.received(), 3);
}

/// 4.3.2-1, 4.3.3-1.
#[test]
fn a_publish_is_unacknowledged_until_its_own_acknowledgement() {
    let mut client = Client::online(of_qos(QoS::AtLeastOnce));
    client.receive(Packet::PubAck(2));
    assert_eq!(client.device.in_flight().len(), 1);
    client.receive(Packet::PubAck(1));
    assert_eq!(client.device.in_flight().len(), 0);

    let mut client = Client::online(of_qos(QoS::ExactlyOnce));
    assert_eq!(client.receive(Packet::PubRec(1)), ["PUBREL 1"]);
    assert_eq!(
        client.device.in_flight().len(),
        1,
        "PUBREL is unacknowledged"
    );
    client.receive(Packet::PubComp(2));
    assert_eq!(client.device.in_flight().len(), 1);
    client.receive(Packet::PubComp(1));
    assert_eq!(client.device.in_flight().len(), 0);
}

/// 4.3.3-1, last part.
#[test]
fn a_released_publish_is_never_written_again() {
    let mut client = Client::online(of_qos(QoS::ExactlyOnce));
    client.receive(Packet::PubRec(1));
    for _ in 0..4 {
        client.cut();
        let words = client.connect(true);
        assert!(
            !words.iter().any(|w| w.starts_with("PUBLISH 1 ")),
            "{words:?}"
        );
    }
}

/// 4.3.3-2.
#[test]
fn a_qos_2_message_is_delivered_once_until_its_pubcomp() {
    let mut client = Client::online(plan());
    for _ in 0..3 {
        assert_eq!(client.step(message(QoS::ExactlyOnce, 4)), ["PUBREC 4"]);
        client.cut();
        client.connect(true);
    }
    assert_eq!(client.received(), 1);
    assert_eq!(client.receive(Packet::PubRel(4)), ["PUBCOMP 4"]);
    assert_eq!(client.step(message(QoS::ExactlyOnce, 4)), ["PUBREC 4"]);
    assert_eq!(client.received(), 2);
}

/// 4.5.0-2: on a topic that nobody asked for, with an empty payload, before all steps are done.
#[test]
fn a_message_of_no_interest_is_acknowledged_too() {
    let mut client = Client::online(with_steps());
    assert!(matches!(client.device.state, State::Subscribing(0)));
    for (qos, answer) in [
        (QoS::AtLeastOnce, "PUBACK 3"),
        (QoS::ExactlyOnce, "PUBREC 3"),
    ] {
        let packet = Packet::Publish(Publish {
            dup: false,
            qos,
            retain: true,
            packet_id: 3,
            topic: "who/asked",
            payload: b"",
        });
        assert_eq!(client.receive(packet), [answer]);
    }
}

/// 4.6.0-2, 4.6.0-3, 4.6.0-4.
#[test]
fn acknowledgements_are_written_in_the_order_of_what_they_acknowledge() {
    let mut client = Client::online(of_qos(QoS::ExactlyOnce));
    client.wait(30);
    let mut words = Vec::new();
    for id in [9, 3, 200, 4] {
        words.extend(client.step(message(QoS::AtLeastOnce, id)));
        words.extend(client.step(message(QoS::ExactlyOnce, id)));
    }
    let expected = [9, 3, 200, 4].map(|id| [format!("PUBACK {id}"), format!("PUBREC {id}")]);
    assert_eq!(words, expected.concat());
    let order = [3, 1, 4, 2];
    let rels = order.map(|id| format!("PUBREL {id}"));
    let now: Vec<_> = order
        .iter()
        .flat_map(|id| client.receive(Packet::PubRec(*id)))
        .collect();
    assert_eq!(now, rels);
    client.cut();
    assert_eq!(client.connect(true)[..4], rels, "and again when resumed");
}

/// 4.6.0-1.
#[test]
fn publishes_are_written_again_in_the_order_of_their_first_writing() {
    let mut plan = of_qos(QoS::ExactlyOnce);
    add_stream(&mut plan, |s| s.qos = QoS::AtLeastOnce);
    let mut client = Client::online(plan);
    client.wait(10);
    client.receive(Packet::PubAck(2));
    client.cut();
    assert_eq!(
        client.connect(true)[..3],
        ["PUBLISH 1 dup a0", "PUBLISH 3 dup a1", "PUBLISH 4 dup b1"]
    );
}

/// 3.14.4-1, 3.14.4-2.
#[test]
fn a_disconnect_is_the_last_packet_and_the_connection_is_closed() {
    let mut client = Client::online(of_qos(QoS::ExactlyOnce));
    assert_eq!(client.step(Input::Shutdown), ["DISCONNECT", "close"]);
    for input in [
        Input::Timeout,
        Input::Received(Packet::PubRec(1)),
        message(QoS::AtLeastOnce, 1),
        Input::Closed(Cause::Reset),
        Input::PowerOn,
    ] {
        assert_eq!(client.step(input), [""; 0]);
    }
    assert_eq!(client.wait(100), [""; 0]);
}

/// 4.8.0-1: what no server may send, in each state of a connection.
#[test]
fn a_protocol_violation_closes_the_connection() {
    let never = || {
        [
            Packet::Connect(Box::new(crate::mqtt::packet::Connect {
                client_id: String::new(),
                clean_session: true,
                keep_alive_s: 0,
                will: None,
                username: None,
                password: None,
            })),
            Packet::Subscribe {
                packet_id: 1,
                filters: vec![("a".into(), QoS::AtMostOnce)],
            },
            Packet::Unsubscribe {
                packet_id: 1,
                filters: vec!["a".into()],
            },
            Packet::PingReq,
            Packet::Disconnect,
            // Allowed as such, but not now: nobody asked.
            Packet::PingResp,
            Packet::UnsubAck(99),
            Packet::SubAck {
                packet_id: 99,
                granted: vec![Some(QoS::AtMostOnce)],
            },
            // QoS 2 has its own acknowledgements, in their order.
            Packet::PubAck(1),
            Packet::PubComp(1),
        ]
    };
    for packet in never() {
        let mut online = Client::online(of_qos(QoS::ExactlyOnce));
        assert_eq!(online.receive(packet.clone()), ["close"], "{packet:?}");
        let mut shaking_hands = Client::new(plan());
        shaking_hands.step(Input::Opened);
        assert_eq!(
            shaking_hands.receive(packet.clone()),
            ["close"],
            "{packet:?}"
        );
    }
    for packet in &never()[..8] {
        let mut subscribing = Client::online(with_steps());
        assert_eq!(subscribing.receive(packet.clone()), ["close"], "{packet:?}");
    }
    let second_connack = Packet::ConnAck {
        session_present: false,
        code: ConnectCode::Accepted,
    };
    assert_eq!(Client::online(plan()).receive(second_connack), ["close"]);
}

/// 4.1.0-2: no time-out ends an exchange while there is a connection.
#[test]
fn a_session_lasts_as_long_as_its_connection() {
    let mut plan = of_qos(QoS::ExactlyOnce);
    plan.streams[0].ack_timeout = Duration::from_secs(1);
    plan.cohorts[0].client.keep_alive_s = 0;
    let mut client = Client::online(plan);
    client.step(message(QoS::ExactlyOnce, 9));
    client.wait(100);
    assert!(client.device.in_flight().len() <= 1);
    assert_eq!(client.receive(Packet::PubRec(1)), ["PUBREL 1"]);
    client.receive(Packet::PubComp(1));
    let late = |event: &&Event| matches!(event, Event::LateAck(_));
    assert_eq!(client.events.iter().filter(late).count(), 1);
    assert_eq!(client.step(message(QoS::ExactlyOnce, 9)), ["PUBREC 9"]);
    assert_eq!(client.received(), 1, "the same message again");
}

//! Each packet that a server may send, rightly or not, in each state of a device, and the end of its
//! connection in each state.

use super::*;
use std::fmt::Write as _;

fn states() -> Vec<(&'static str, Device)> {
    let at = |seconds| Instant::ZERO.after(Duration::from_secs(seconds));
    let told = |inputs: &[Input<'static>]| {
        let mut plan = plan();
        plan.streams[0].qos = QoS::ExactlyOnce;
        let topic = fixture::device_template("d/", "/cmd");
        plan.cohorts[0].on_connect = vec![
            Step::Subscribe {
                topic: topic.clone(),
                qos: QoS::ExactlyOnce,
            },
            Step::Unsubscribe(vec![topic]),
        ];
        let mut device = device(plan);
        for input in inputs {
            device.handle_input(at(1), input.clone(), &mut Vec::new());
        }
        device
    };
    let granted = || sub_ack(1, Some(QoS::ExactlyOnce));
    let unsub_ack = || Input::Received(Packet::UnsubAck(2));
    let connected = [
        Input::PowerOn,
        Input::Timeout,
        Input::Opened,
        conn_ack(false),
    ];
    let online = [&connected[..], &[granted(), unsub_ack()]].concat();
    let lost = [&online[..], &[Input::Closed(Cause::Reset)]].concat();
    let resumed = [&lost[..], &[Input::Timeout, Input::Opened, conn_ack(true)]].concat();
    vec![
        ("off", told(&[])),
        ("connecting", told(&connected[..1])),
        ("handshaking", told(&connected[..3])),
        ("subscribing", told(&connected)),
        ("unsubscribing", told(&online[..5])),
        ("online", told(&online)),
        ("backing off", told(&lost)),
        ("resumed", {
            let mut device = told(&lost);
            for input in &resumed[lost.len()..] {
                device.handle_input(at(20), input.clone(), &mut Vec::new());
            }
            device
        }),
        ("stopped", told(&[Input::PowerOn, Input::Shutdown])),
    ]
}

/// A device in state `name`.
fn device_in(name: &str) -> Device {
    let mut states = states().into_iter();
    let (_, device) = states.find(|(state, _)| *state == name).expect("known");
    device
}

fn outcome(device: &mut Device, input: Input<'_>) -> String {
    let mut out = Vec::new();
    let now = Instant::ZERO.after(Duration::from_secs(21));
    device.handle_input(now, input, &mut out);
    let words: Vec<_> = out.iter().map(word).collect();
    if words.is_empty() {
        "nothing".into()
    } else {
        words.join(", ")
    }
}

#[test]
fn each_packet_in_each_state() {
    let packets = || {
        let id = 3; // of the QoS 2 publish in flight
        [
            Packet::ConnAck {
                session_present: true,
                code: ConnectCode::Accepted,
            },
            Packet::PubAck(id),
            Packet::PubRec(id),
            Packet::PubRel(id),
            Packet::PubComp(id),
            Packet::SubAck {
                packet_id: 1,
                granted: vec![Some(QoS::ExactlyOnce)],
            },
            Packet::UnsubAck(2),
            Packet::PingResp,
            Packet::PingReq,
        ]
    };
    let mut text = String::new();
    for (name, _) in states() {
        for packet in packets() {
            let what = outcome(&mut device_in(name), Input::Received(packet.clone()));
            let packet = format!("{packet:?}");
            let kind = packet.split([' ', '(']).next().expect("not empty");
            writeln!(text, "{name}, {kind}: {what}").expect("a String takes all");
        }
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let id = u16::from(qos != QoS::AtMostOnce) * 9;
            let what = outcome(&mut device_in(name), message(qos, id));
            writeln!(text, "{name}, Publish {}: {what}", qos as u8).expect("a String takes all");
        }
    }
    insta::assert_snapshot!(text, @"
    off, ConnAck: nothing
    off, PubAck: nothing
    off, PubRec: nothing
    off, PubRel: nothing
    off, PubComp: nothing
    off, SubAck: nothing
    off, UnsubAck: nothing
    off, PingResp: nothing
    off, PingReq: nothing
    off, Publish 0: nothing
    off, Publish 1: nothing
    off, Publish 2: nothing
    connecting, ConnAck: nothing
    connecting, PubAck: nothing
    connecting, PubRec: nothing
    connecting, PubRel: nothing
    connecting, PubComp: nothing
    connecting, SubAck: nothing
    connecting, UnsubAck: nothing
    connecting, PingResp: nothing
    connecting, PingReq: nothing
    connecting, Publish 0: nothing
    connecting, Publish 1: nothing
    connecting, Publish 2: nothing
    handshaking, ConnAck: expected, connected 1s true, SUBSCRIBE 1 d/meters-0/cmd
    handshaking, PubAck: close, attempt of 1s failed ProtocolError
    handshaking, PubRec: close, attempt of 1s failed ProtocolError
    handshaking, PubRel: close, attempt of 1s failed ProtocolError
    handshaking, PubComp: close, attempt of 1s failed ProtocolError
    handshaking, SubAck: close, attempt of 1s failed ProtocolError
    handshaking, UnsubAck: close, attempt of 1s failed ProtocolError
    handshaking, PingResp: close, attempt of 1s failed ProtocolError
    handshaking, PingReq: close, attempt of 1s failed ProtocolError
    handshaking, Publish 0: close, attempt of 1s failed ProtocolError
    handshaking, Publish 1: close, attempt of 1s failed ProtocolError
    handshaking, Publish 2: close, attempt of 1s failed ProtocolError
    subscribing, ConnAck: close, disconnected ProtocolError
    subscribing, PubAck: unexpectedack
    subscribing, PubRec: PUBREL 3, unexpectedack
    subscribing, PubRel: PUBCOMP 3
    subscribing, PubComp: unexpectedack
    subscribing, SubAck: UNSUBSCRIBE 2 d/meters-0/cmd
    subscribing, UnsubAck: close, disconnected ProtocolError
    subscribing, PingResp: close, disconnected ProtocolError
    subscribing, PingReq: close, disconnected ProtocolError
    subscribing, Publish 0: nothing
    subscribing, Publish 1: PUBACK 9, received
    subscribing, Publish 2: PUBREC 9, received
    unsubscribing, ConnAck: close, disconnected ProtocolError
    unsubscribing, PubAck: unexpectedack
    unsubscribing, PubRec: PUBREL 3, unexpectedack
    unsubscribing, PubRel: PUBCOMP 3
    unsubscribing, PubComp: unexpectedack
    unsubscribing, SubAck: close, disconnected ProtocolError
    unsubscribing, UnsubAck: PUBLISH 3 a0, sent a0 replayed
    unsubscribing, PingResp: close, disconnected ProtocolError
    unsubscribing, PingReq: close, disconnected ProtocolError
    unsubscribing, Publish 0: nothing
    unsubscribing, Publish 1: PUBACK 9, received
    unsubscribing, Publish 2: PUBREC 9, received
    online, ConnAck: close, disconnected ProtocolError
    online, PubAck: close, disconnected WrongAck
    online, PubRec: PUBREL 3
    online, PubRel: PUBCOMP 3
    online, PubComp: close, disconnected WrongAck
    online, SubAck: close, disconnected ProtocolError
    online, UnsubAck: close, disconnected ProtocolError
    online, PingResp: close, disconnected ProtocolError
    online, PingReq: close, disconnected ProtocolError
    online, Publish 0: nothing
    online, Publish 1: PUBACK 9, received
    online, Publish 2: PUBREC 9, received
    backing off, ConnAck: nothing
    backing off, PubAck: nothing
    backing off, PubRec: nothing
    backing off, PubRel: nothing
    backing off, PubComp: nothing
    backing off, SubAck: nothing
    backing off, UnsubAck: nothing
    backing off, PingResp: nothing
    backing off, PingReq: nothing
    backing off, Publish 0: nothing
    backing off, Publish 1: nothing
    backing off, Publish 2: nothing
    resumed, ConnAck: close, disconnected ProtocolError
    resumed, PubAck: close, disconnected WrongAck
    resumed, PubRec: PUBREL 3
    resumed, PubRel: PUBCOMP 3
    resumed, PubComp: close, disconnected WrongAck
    resumed, SubAck: close, disconnected ProtocolError
    resumed, UnsubAck: close, disconnected ProtocolError
    resumed, PingResp: close, disconnected ProtocolError
    resumed, PingReq: close, disconnected ProtocolError
    resumed, Publish 0: nothing
    resumed, Publish 1: PUBACK 9, received
    resumed, Publish 2: PUBREC 9, received
    stopped, ConnAck: nothing
    stopped, PubAck: nothing
    stopped, PubRec: nothing
    stopped, PubRel: nothing
    stopped, PubComp: nothing
    stopped, SubAck: nothing
    stopped, UnsubAck: nothing
    stopped, PingResp: nothing
    stopped, PingReq: nothing
    stopped, Publish 0: nothing
    stopped, Publish 1: nothing
    stopped, Publish 2: nothing
    ");
}

#[test]
fn the_end_of_the_connection_in_each_state() {
    let mut text = String::new();
    for (name, mut device) in states() {
        let what = outcome(&mut device, Input::Closed(Cause::ClosedByPeer));
        writeln!(text, "{name}: {what}").expect("a String takes all");
        // Nothing of that connection is awaited any more.
        let again = outcome(&mut device, Input::Closed(Cause::ClosedByPeer));
        assert!(
            matches!(name, "off" | "stopped") || again == "nothing",
            "{name}: {again}"
        );
    }
    insta::assert_snapshot!(text, @"
    off: nothing
    connecting: attempt of 1s failed ClosedByPeer
    handshaking: attempt of 1s failed ClosedByPeer
    subscribing: disconnected ClosedByPeer
    unsubscribing: disconnected ClosedByPeer
    online: disconnected ClosedByPeer
    backing off: nothing
    resumed: disconnected ClosedByPeer
    stopped: nothing
    ");
}

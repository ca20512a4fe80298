//! Scripts of QoS 2 in both directions, of what identifiers are held for, and of steps with several
//! filters.

use super::*;

fn plan_with_filters() -> Plan {
    let mut plan = plan();
    let topic = |after| fixture::device_template("d/", after);
    plan.cohorts[0].on_connect = vec![
        Step::SubscribeMany(vec![
            (topic("/cmd"), QoS::ExactlyOnce),
            (topic("/cfg"), QoS::AtLeastOnce),
        ]),
        Step::Unsubscribe(vec![topic("/cfg"), topic("/old")]),
        publish(QoS::ExactlyOnce),
    ];
    plan
}

fn grants(packet_id: PacketId, granted: [Option<QoS>; 2]) -> Input<'static> {
    let granted = granted.to_vec();
    received(Packet::SubAck { packet_id, granted })
}

#[test]
fn steps_of_several_filters_wait_for_their_answers() {
    let both = [Some(QoS::ExactlyOnce), Some(QoS::AtLeastOnce)];
    let script = Script::new(plan_with_filters())
        .at(0.0, Input::PowerOn)
        .online(0.1, false)
        .at(0.2, grants(1, both))
        .at(0.3, received(Packet::UnsubAck(2)))
        .at(0.4, received(Packet::PubRec(3)))
        .at(0.5, received(Packet::PubComp(3)));
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Timeout: planned a0
    0.1s Opened: CONNECT
    0.1s CONNACK 0: expected, connected 0s false, SUBSCRIBE 1 d/meters-0/cmd d/meters-0/cfg
    0.2s SUBACK 1: UNSUBSCRIBE 2 d/meters-0/cfg d/meters-0/old
    0.3s UNSUBACK 2: PUBLISH 3 d/meters-0/state, PUBLISH 4 a0, sent a0 replayed
    0.4s PUBREC 3: PUBREL 3
    0.5s PUBCOMP 3: nothing
    ");
}

#[test]
fn a_lower_grant_is_taken_and_counted_and_a_refusal_is_not_taken() {
    let script = |granted| {
        Script::new(plan_with_filters())
            .at(0.0, Input::PowerOn)
            .online(0.1, false)
            .at(0.2, grants(1, granted))
            .text
    };
    let (once, least, most) = (QoS::ExactlyOnce, QoS::AtLeastOnce, QoS::AtMostOnce);
    let limits = |granted| script(granted).matches("limitreached(grantedqos)").count();
    assert_eq!(limits([Some(least), Some(most)]), 1, "once per SUBACK");
    assert_eq!(limits([Some(once), Some(most)]), 1);
    assert_eq!(limits([Some(once), Some(once)]), 0, "more is no harm");
    for granted in [[Some(least), None], [None, Some(least)], [None, None]] {
        let text = script(granted);
        assert!(
            text.ends_with("SUBACK 1: close, disconnected SubscribeRefused\n"),
            "{text}"
        );
    }
}

#[test]
fn an_unsubscribe_without_answer_ends_the_connection() {
    let both = [Some(QoS::ExactlyOnce), Some(QoS::AtLeastOnce)];
    let script = Script::new(plan_with_filters())
        .at(0.0, Input::PowerOn)
        .online(0.1, false)
        .at(0.2, grants(1, both))
        .at(1.0, received(Packet::UnsubAck(1)))
        .online(6.1, true)
        .at(6.2, grants(3, both))
        .idle(17);
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Timeout: planned a0
    0.1s Opened: CONNECT
    0.1s CONNACK 0: expected, connected 0s false, SUBSCRIBE 1 d/meters-0/cmd d/meters-0/cfg
    0.2s SUBACK 1: UNSUBSCRIBE 2 d/meters-0/cfg d/meters-0/old
    1s UNSUBACK 1: close, disconnected ProtocolError
    6s Timeout: open, attempt of 6s
    6.1s Opened: CONNECT
    6.1s CONNACK 0: connected 6s true, SUBSCRIBE 3 d/meters-0/cmd d/meters-0/cfg
    6.2s SUBACK 3: UNSUBSCRIBE 4 d/meters-0/cfg d/meters-0/old
    10s Timeout: planned a1
    16.2s Timeout: close, disconnected UnsubscribeTimeout
    ");
}

fn qos2_plan() -> Plan {
    let mut plan = plan();
    plan.streams[0].qos = QoS::ExactlyOnce;
    plan
}

#[test]
fn a_qos_2_publish_ends_at_its_pubcomp() {
    let script = Script::new(qos2_plan())
        .at(0.0, Input::PowerOn)
        .online(0.0, false)
        .at(0.1, received(Packet::PubRec(1)))
        .at(0.2, received(Packet::PubRec(1)))
        .at(0.3, received(Packet::PubComp(1)))
        .at(0.4, received(Packet::PubComp(1)))
        .at(0.5, received(Packet::PubRec(9)))
        .at(0.6, received(Packet::PubComp(9)))
        .idle(11)
        .at(11.0, pub_ack(2));
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Opened: CONNECT
    0s CONNACK 0: expected, connected 0s false
    0s Timeout: planned a0, PUBLISH 1 a0, sent a0
    0.1s PUBREC 1: PUBREL 1
    0.2s PUBREC 1: PUBREL 1
    0.3s PUBCOMP 1: acked a0
    0.4s PUBCOMP 1: unexpectedack
    0.5s PUBREC 9: PUBREL 9, unexpectedack
    0.6s PUBCOMP 9: nothing
    10s Timeout: planned a1, PUBLISH 2 a1, sent a1
    11s PUBACK 2: close, disconnected WrongAck
    ");
}

#[test]
fn a_resumed_qos_2_exchange_goes_on_where_it_was() {
    let mut plan = qos2_plan();
    plan.cohorts[0].client.inflight = 3;
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .online(0.0, false)
        .idle(21)
        .at(21.0, received(Packet::PubRec(2)))
        .at(21.1, received(Packet::PubRec(1)))
        .at(21.2, Input::Closed(Cause::Reset))
        .online(26.3, true)
        .at(26.4, received(Packet::PubComp(2)))
        .at(26.5, received(Packet::PubComp(1)))
        .at(26.6, received(Packet::PubRec(3)))
        .at(26.7, received(Packet::PubComp(3)));
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Opened: CONNECT
    0s CONNACK 0: expected, connected 0s false
    0s Timeout: planned a0, PUBLISH 1 a0, sent a0
    10s Timeout: planned a1, PUBLISH 2 a1, sent a1
    20s Timeout: planned a2, PUBLISH 3 a2, sent a2
    21s PUBREC 2: PUBREL 2
    21.1s PUBREC 1: PUBREL 1
    21.2s Closed(Reset): disconnected Reset
    26.2s Timeout: open, attempt of 26.2s
    26.3s Opened: CONNECT
    26.3s CONNACK 0: connected 26.2s true, released a1 again, released a0 again, PUBREL 2, PUBREL 1, PUBLISH 3 dup a2, retransmitted a2
    26.4s PUBCOMP 2: acked a1 replayed
    26.5s PUBCOMP 1: acked a0 replayed
    26.6s PUBREC 3: PUBREL 3
    26.7s PUBCOMP 3: acked a2 replayed
    ");
}

#[test]
fn an_ack_timeout_does_not_end_a_qos_2_exchange() {
    let mut plan = qos2_plan();
    plan.streams[0].ack_timeout = Duration::from_secs(2);
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .online(0.0, false)
        .at(2.5, received(Packet::PubRec(1)))
        .at(2.6, Input::Closed(Cause::Reset))
        .online(7.7, true)
        .at(7.8, received(Packet::PubComp(1)));
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Opened: CONNECT
    0s CONNACK 0: expected, connected 0s false
    0s Timeout: planned a0, PUBLISH 1 a0, sent a0
    2s Timeout: timed out a0 sent 0s
    2.5s PUBREC 1: PUBREL 1
    2.6s Closed(Reset): disconnected Reset
    7.6s Timeout: open, attempt of 7.6s
    7.7s Opened: CONNECT
    7.7s CONNACK 0: connected 7.6s true, released a0 again, PUBREL 1
    7.8s PUBCOMP 1: late ack a0
    ");
}

#[test]
fn a_qos_2_message_is_handled_once() {
    let script = Script::new(plan())
        .at(0.0, Input::PowerOn)
        .online(0.0, false)
        .at(0.1, message(QoS::ExactlyOnce, 9))
        .at(0.2, message(QoS::ExactlyOnce, 9))
        .at(0.3, Input::Closed(Cause::Reset))
        .online(5.4, true)
        .at(5.5, message(QoS::ExactlyOnce, 9))
        .at(5.6, received(Packet::PubRel(9)))
        .at(5.7, received(Packet::PubRel(9)))
        .at(5.8, message(QoS::ExactlyOnce, 9));
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Opened: CONNECT
    0s CONNACK 0: expected, connected 0s false
    0s Timeout: planned a0, PUBLISH 1 a0, sent a0
    0.1s PUBLISH 9: PUBREC 9, received
    0.2s PUBLISH 9: PUBREC 9
    0.3s Closed(Reset): disconnected Reset
    5.3s Timeout: open, attempt of 5.3s
    5.4s Opened: CONNECT
    5.4s CONNACK 0: connected 5.3s true, PUBLISH 1 dup a0, retransmitted a0
    5.5s PUBLISH 9: PUBREC 9
    5.6s PUBREL 9: PUBCOMP 9
    5.7s PUBREL 9: PUBCOMP 9
    5.8s PUBLISH 9: PUBREC 9, received
    ");
}

#[test]
fn each_acknowledgement_counts_as_a_write_for_the_keep_alive() {
    let mut plan = plan();
    plan.cohorts[0].client.keep_alive_s = 4;
    plan.streams.clear();
    plan.cohorts[0].streams = 0..0;
    let online = || {
        Script::new(plan.clone())
            .at(0.0, Input::PowerOn)
            .online(0.0, false)
    };
    let pings_at = |packet| online().at(3.0, packet).device.poll_timeout();
    let after = |seconds| Instant::ZERO.after(Duration::from_secs(seconds));
    assert_eq!(online().device.poll_timeout(), after(4));
    for packet in [
        message(QoS::AtLeastOnce, 9),
        message(QoS::ExactlyOnce, 9),
        received(Packet::PubRel(9)),
        received(Packet::PubRec(9)),
    ] {
        assert_eq!(pings_at(packet.clone()), after(7), "{packet:?}");
    }
    assert_eq!(pings_at(message(QoS::AtMostOnce, 0)), after(4));
    assert_eq!(pings_at(received(Packet::PubComp(9))), after(4));
}

#[test]
fn a_power_cut_reserves_open_qos_2_identifiers_until_they_are_finished() {
    let script = |session_present| {
        Script::new(qos2_plan())
            .at(0.0, Input::PowerOn)
            .online(0.0, false)
            .idle(11)
            .at(11.0, received(Packet::PubRec(2)))
            .at(12.0, Input::PowerOff)
            .at(13.0, Input::PowerOn)
            .online(13.1, session_present)
            .at(13.2, received(Packet::PubComp(2)))
            .at(13.3, received(Packet::PubComp(1)))
            .text
    };
    insta::assert_snapshot!(script(true), @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Opened: CONNECT
    0s CONNACK 0: expected, connected 0s false
    0s Timeout: planned a0, PUBLISH 1 a0, sent a0
    10s Timeout: planned a1, PUBLISH 2 a1, sent a1
    11s PUBREC 2: PUBREL 2
    12s PowerOff: close, disconnected DeviceStopped, gone a1, gone a0, poweredoff
    13s PowerOn: poweredon, open, attempt of 13s
    13s Timeout: planned a0
    13.1s Opened: CONNECT
    13.1s CONNACK 0: expected, connected 13s true, PUBREL 2, PUBREL 1, PUBLISH 3 a0, sent a0 replayed
    13.2s PUBCOMP 2: nothing
    13.3s PUBCOMP 1: nothing
    ");
    insta::assert_snapshot!(script(false), @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Opened: CONNECT
    0s CONNACK 0: expected, connected 0s false
    0s Timeout: planned a0, PUBLISH 1 a0, sent a0
    10s Timeout: planned a1, PUBLISH 2 a1, sent a1
    11s PUBREC 2: PUBREL 2
    12s PowerOff: close, disconnected DeviceStopped, gone a1, gone a0, poweredoff
    13s PowerOn: poweredon, open, attempt of 13s
    13s Timeout: planned a0
    13.1s Opened: CONNECT
    13.1s CONNACK 0: expected, connected 13s false, PUBLISH 3 a0, sent a0 replayed
    13.2s PUBCOMP 2: unexpectedack
    13.3s PUBCOMP 1: unexpectedack
    ");
}

#[test]
fn a_publish_waits_for_a_held_identifier_and_that_is_counted_once() {
    let mut plan = qos2_plan();
    plan.cohorts[0].client.keep_alive_s = 0;
    plan.streams[0].ack_timeout = Duration::from_secs(1);
    let mut script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .online(0.0, false)
        .idle(2_555);
    assert_eq!(script.text.matches("timed out").count(), 256);
    assert_eq!(script.text.matches("limitreached").count(), 0);
    script.text.clear();
    let script = script
        .idle(2_575)
        .at(2_575.1, received(Packet::PubRec(7)))
        .at(2_575.2, received(Packet::PubComp(7)))
        .idle(2_585)
        .at(2_586.0, Input::Closed(Cause::Reset))
        .at(2_592.0, Input::Opened);
    insta::assert_snapshot!(script.text, @"
    2560s Timeout: planned a256, limitreached(heldpacketids)
    2570s Timeout: planned a257
    2575.1s PUBREC 7: PUBREL 7
    2575.2s PUBCOMP 7: late ack a6, PUBLISH 257 a256, sent a256, PUBLISH 258 a257, sent a257
    2576.2s Timeout: timed out a256 sent 2575.2s, timed out a257 sent 2575.2s
    2580s Timeout: planned a258, limitreached(heldpacketids)
    2586s Closed(Reset): disconnected Reset
    2590s Timeout: planned a259
    2591s Timeout: open, attempt of 2591s
    2592s Opened: CONNECT
    ");
    // The server has forgotten all: every identifier is free.
    let mut script = script;
    script.text.clear();
    let script = script.at(2_592.0, conn_ack(false)).idle(2_595);
    insta::assert_snapshot!(script.text, @"
    2592s CONNACK 0: connected 2591s false, PUBLISH 259 a258, sent a258 replayed, PUBLISH 260 a259, sent a259 replayed
    2593s Timeout: timed out a258 sent 2592s, timed out a259 sent 2592s
    ");
}

fn received(packet: Packet<'static>) -> Input<'static> {
    Input::Received(packet)
}

//! Scripts of a resumed session that holds more than is written at once.

use super::*;

/// A device that subscribes, of a window of 200 that is full when the connection is lost.
fn lost(change: impl FnOnce(&mut Plan)) -> Script {
    let mut plan = plan();
    plan.cohorts[0].client.inflight = 200;
    plan.cohorts[0].on_connect = vec![subscribe("/cmd")];
    plan.streams[0].ack_timeout = Duration::from_secs(3600);
    plan.streams[0].schedule = Schedule::Every {
        period: Duration::from_millis(10),
        phase: PhaseShape::Boot,
    };
    change(&mut plan);
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .online(0.0, false)
        .at(0.0, sub_ack(1, Some(QoS::AtLeastOnce)))
        .idle(3)
        .at(3.0, Input::Closed(Cause::Reset))
        .at(8.0, Input::Timeout);
    assert_eq!(script.device.in_flight().len(), 200);
    script
}

/// The packets written in the steps of `script` that follow, in words.
fn written(mut script: Script, inputs: &[(f64, Input<'static>)]) -> (Script, Vec<String>) {
    script.text.clear();
    for (at, input) in inputs {
        script = script.at(*at, input.clone());
    }
    let words = script.text.split([':', ',', '\n']).map(str::trim);
    let packets = words.filter(|word| {
        word.starts_with("PUBLISH ")
            || word.starts_with("PUBREL ")
            || word.starts_with("SUBSCRIBE ")
    });
    let packets = packets.map(str::to_owned).collect();
    (script, packets)
}

fn resumed(script: Script, at: f64) -> (Script, Vec<String>) {
    written(script, &[(at, Input::Opened), (at, conn_ack(true))])
}

/// The publishes of identifiers from 2 on, for the first was the SUBSCRIBE's.
fn repeats(ids: std::ops::Range<u32>) -> Vec<String> {
    let repeat = |id| format!("PUBLISH {id} dup a{}", id - 2);
    ids.map(repeat).collect()
}

fn received(packet: Packet<'static>) -> Input<'static> {
    Input::Received(packet)
}

#[test]
fn a_full_window_is_repeated_as_it_is_answered_and_nothing_new_before() {
    let (mut script, first) = resumed(lost(|_| {}), 8.1);
    assert_eq!(first, repeats(2..66));
    assert!(script.device.is_connected());
    for id in 2..138 {
        let (next, packets) = written(script, &[(8.2, pub_ack(id))]);
        let following = u32::from(id) + 64;
        if following < 201 {
            assert_eq!(packets, repeats(following..following + 1));
        } else {
            let last = format!("PUBLISH {following} dup a{}", following - 2);
            assert_eq!(packets, [last, "SUBSCRIBE 202 d/meters-0/cmd".into()]);
        }
        script = next;
    }
    // The window has room, but the step comes first.
    let (script, packets) = written(script, &[(8.3, pub_ack(138))]);
    assert!(packets.is_empty(), "{packets:?}");
    let granted = sub_ack(202, Some(QoS::AtLeastOnce));
    let (script, packets) = written(script, &[(8.4, granted)]);
    assert_eq!(
        packets.first().map(String::as_str),
        Some("PUBLISH 203 a200")
    );
    assert_eq!(packets.len(), 64, "a burst of the backlog");
    assert!(script.device.is_connected());
}

#[test]
fn a_server_that_does_not_answer_delays_the_repeats_and_no_more() {
    let (script, _) = resumed(lost(|_| {}), 8.1);
    let mut script = script.idle(18);
    assert_eq!(script.text.matches("dup").count(), 64);
    // The connect timeout is 10 s.
    for (at, rest) in [(19, 128), (29, 192), (39, 200)] {
        script = script.idle(at);
        assert_eq!(script.text.matches("dup").count(), rest);
    }
    assert_eq!(script.text.matches("SUBSCRIBE").count(), 1);
    assert_eq!(script.text.matches("sent ").count(), 0, "not yet granted");
}

#[test]
fn what_is_recorded_before_its_turn_is_released_and_not_repeated() {
    let exactly_once = |plan: &mut Plan| plan.streams[0].qos = QoS::ExactlyOnce;
    let script = lost(exactly_once);
    let (script, first) = resumed(script, 8.1);
    assert_eq!(first, repeats(2..66));
    let record = |id| (8.2, received(Packet::PubRec(id)));
    let (script, packets) = written(script, &[record(67)]);
    assert_eq!(packets, ["PUBREL 67"], "there is no room for another one");
    // A PUBREC gives room, a PUBCOMP does not.
    let (script, packets) = written(script, &[record(2)]);
    assert_eq!(packets, ["PUBREL 2", "PUBLISH 66 dup a64"]);
    let complete = (8.2, received(Packet::PubComp(2)));
    let (script, packets) = written(script, &[complete, record(3)]);
    assert_eq!(packets, ["PUBREL 3", "PUBLISH 68 dup a66"]);
    // Lost in the middle: all PUBRELs first, then from the oldest publish on.
    let script = script.at(8.3, Input::Closed(Cause::Reset)).idle(14);
    let (_, packets) = resumed(script, 14.1);
    assert_eq!(packets[..2], ["PUBREL 67", "PUBREL 3"]);
    assert_eq!(packets[2..64], repeats(4..66));
    assert_eq!(packets[64..], ["PUBLISH 66 dup a64", "PUBLISH 68 dup a66"]);
}

#[test]
fn large_publishes_are_repeated_within_the_output_buffer() {
    for (bytes, at_once) in [(1024, 64), (16 * 1024, 8), (1024 * 1024, 1)] {
        let (script, first) = resumed(
            lost(|plan| plan.streams[0].payload = Payload::Bytes(bytes)),
            8.1,
        );
        assert_eq!(first, repeats(2..2 + at_once), "{bytes}");
        let (_, next) = written(script, &[(8.2, pub_ack(2))]);
        assert_eq!(next, repeats(2 + at_once..3 + at_once), "{bytes}");
    }
}

#[test]
fn a_resumption_ends_with_the_connection_or_the_session() {
    for (end, then) in [
        (Input::PowerOff, "close, disconnected DeviceStopped"),
        (
            Input::Shutdown,
            "DISCONNECT, close, disconnected DeviceStopped",
        ),
        (
            received(Packet::PingResp),
            "close, disconnected ProtocolError",
        ),
        (Input::Closed(Cause::Reset), "disconnected Reset"),
    ] {
        let (mut script, _) = resumed(lost(|_| {}), 8.1);
        script = script.until(Instant::ZERO.after(Duration::from_millis(8_200)));
        script.text.clear();
        let script = script.at(8.2, end);
        let lines = script.text.lines();
        let line = lines.last().expect("what it did at that");
        let what = line.split_once(": ").expect("an input").1;
        assert!(what.starts_with(then), "{what}");
        assert!(!script.device.is_connected());
    }
    // The server forgot the session meanwhile.
    let (script, _) = resumed(lost(|_| {}), 8.1);
    let script = script.at(8.2, Input::Closed(Cause::Reset)).idle(14);
    let (script, packets) = written(script, &[(14.1, Input::Opened), (14.1, conn_ack(false))]);
    assert_eq!(packets, ["SUBSCRIBE 202 d/meters-0/cmd"]);
    assert!(script.device.in_flight().is_empty());
}

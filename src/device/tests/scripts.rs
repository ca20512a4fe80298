//! Scripts: what comes when, and what the device does about it.

use super::*;
use std::fmt::Write as _;

mod exactly_once;
mod resumption;

const S: u64 = 1_000_000_000;

/// A device and the protocol of what it was told and did.
struct Script {
    device: Device,
    text: String,
}

impl Script {
    fn new(plan: Plan) -> Self {
        Self {
            device: device(plan),
            text: String::new(),
        }
    }

    /// Hands over `input` at `seconds`, after all timeouts due before it.
    fn at(mut self, seconds: f64, input: Input<'_>) -> Self {
        let now = Instant::from_ns((seconds * 1e9).round() as u64);
        self = self.until(now);
        self.step(now, input);
        self
    }

    /// Hands over all timeouts that are due before `seconds`.
    fn idle(self, seconds: u64) -> Self {
        self.until(Instant::from_ns(seconds * S))
    }

    /// Hands over what brings a device with no steps online at `seconds`.
    fn online(self, seconds: f64, session_present: bool) -> Self {
        self.at(seconds, Input::Opened)
            .at(seconds, conn_ack(session_present))
    }

    fn until(mut self, now: Instant) -> Self {
        while self.device.poll_timeout() < now {
            self.step(self.device.poll_timeout(), Input::Timeout);
        }
        self
    }

    fn step(&mut self, now: Instant, input: Input<'_>) {
        let what = match &input {
            Input::Received(packet) => match packet {
                Packet::ConnAck { code, .. } => format!("CONNACK {}", *code as u8),
                Packet::PubAck(id) => format!("PUBACK {id}"),
                Packet::PubRec(id) => format!("PUBREC {id}"),
                Packet::PubRel(id) => format!("PUBREL {id}"),
                Packet::PubComp(id) => format!("PUBCOMP {id}"),
                Packet::SubAck { packet_id, .. } => format!("SUBACK {packet_id}"),
                Packet::UnsubAck(id) => format!("UNSUBACK {id}"),
                Packet::Publish(publish) => format!("PUBLISH {}", publish.packet_id),
                Packet::Connect(_)
                | Packet::Subscribe { .. }
                | Packet::Unsubscribe { .. }
                | Packet::PingReq
                | Packet::PingResp
                | Packet::Disconnect => format!("{packet:?}").to_uppercase(),
            },
            Input::PowerOn
            | Input::PowerOff
            | Input::Timeout
            | Input::Opened
            | Input::Closed(_)
            | Input::StopArrivals
            | Input::Fetched(_)
            | Input::FetchEnded(_)
            | Input::Shutdown => format!("{input:?}"),
        };
        let mut out = Vec::new();
        self.device.handle_input(now, input, &mut out);
        let words: Vec<_> = out.iter().map(word).collect();
        let words = if words.is_empty() {
            "nothing".into()
        } else {
            words.join(", ")
        };
        writeln!(self.text, "{} {what}: {words}", short(now)).expect("a String takes all");
    }
}

#[test]
fn from_power_on_to_the_first_puback() {
    let script = Script::new(plan())
        .at(1.0, Input::PowerOn)
        .at(1.1, Input::Opened)
        .at(1.2, conn_ack(false))
        .at(1.3, pub_ack(1))
        .idle(12)
        .at(12.0, pub_ack(2));
    insta::assert_snapshot!(script.text, @"
    1s PowerOn: poweredon, open, attempt of 1s
    1s Timeout: planned a0
    1.1s Opened: CONNECT
    1.2s CONNACK 0: expected, connected 1s false, PUBLISH 1 a0, sent a0 replayed
    1.3s PUBACK 1: acked a0 replayed
    11s Timeout: planned a1, PUBLISH 2 a1, sent a1
    12s PUBACK 2: acked a1
    ");
    assert!(script.device.is_drained() && script.device.is_connected());
}

#[test]
fn steps_run_in_order_before_telemetry() {
    let mut plan = plan();
    let topic = fixture::device_template("d/", "/cmd");
    plan.cohorts[0].on_connect = vec![
        subscribe("/cmd"),
        publish(QoS::AtMostOnce),
        publish(QoS::AtLeastOnce),
        publish(QoS::AtLeastOnce),
        publish(QoS::AtLeastOnce),
        Step::Subscribe {
            topic,
            qos: QoS::AtMostOnce,
        },
    ];
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .online(0.1, false)
        .at(0.2, sub_ack(1, Some(QoS::AtLeastOnce)))
        .at(0.3, pub_ack(2))
        .at(0.4, sub_ack(5, Some(QoS::AtMostOnce)))
        .at(0.5, pub_ack(3));
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Timeout: planned a0
    0.1s Opened: CONNECT
    0.1s CONNACK 0: expected, connected 0s false, SUBSCRIBE 1 d/meters-0/cmd
    0.2s SUBACK 1: PUBLISH 0 d/meters-0/state, PUBLISH 2 d/meters-0/state, PUBLISH 3 d/meters-0/state
    0.3s PUBACK 2: PUBLISH 4 d/meters-0/state, SUBSCRIBE 5 d/meters-0/cmd
    0.4s SUBACK 5: nothing
    0.5s PUBACK 3: PUBLISH 6 a0, sent a0 replayed
    ");
}

#[test]
fn a_refused_or_unanswered_subscribe_closes_and_backs_off() {
    let mut plan = plan();
    plan.cohorts[0].on_connect = vec![subscribe("/cmd")];
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .online(0.1, false)
        .at(0.2, sub_ack(1, None))
        .online(5.3, false)
        .idle(16);
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Timeout: planned a0
    0.1s Opened: CONNECT
    0.1s CONNACK 0: expected, connected 0s false, SUBSCRIBE 1 d/meters-0/cmd
    0.2s SUBACK 1: close, disconnected SubscribeRefused
    5.2s Timeout: open, attempt of 5.2s
    5.3s Opened: CONNECT
    5.3s CONNACK 0: connected 5.2s false, SUBSCRIBE 2 d/meters-0/cmd
    10s Timeout: planned a1
    15.3s Timeout: close, disconnected SubscribeTimeout
    ");
}

#[test]
fn attempts_fail_for_each_reason_and_wait() {
    let refused = Input::Received(Packet::ConnAck {
        session_present: false,
        code: ConnectCode::ServerUnavailable,
    });
    let mut plan = plan();
    plan.streams[0].when_late = WhenLate::Skip;
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .at(0.1, Input::Closed(Cause::Refused))
        .at(5.2, Input::Opened)
        .at(5.3, refused)
        .at(10.4, Input::Opened)
        .at(10.5, Input::Received(Packet::PingResp))
        .idle(26);
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Timeout: planned a0, skipped a0
    0.1s Closed(Refused): attempt of 0s failed Refused
    5.1s Timeout: open, attempt of 5.1s
    5.2s Opened: CONNECT
    5.3s CONNACK 3: close, attempt of 5.1s failed ConnAck(ServerUnavailable)
    10s Timeout: expected, planned a1, skipped a1
    10.3s Timeout: open, attempt of 10.3s
    10.4s Opened: CONNECT
    10.5s PINGRESP: close, attempt of 10.3s failed ProtocolError
    15.5s Timeout: open, attempt of 15.5s
    20s Timeout: planned a2, skipped a2
    25.5s Timeout: close, attempt of 15.5s failed ConnectTimeout
    ");
}

#[test]
fn giving_up_counts_failed_attempts_not_the_loss_before_them() {
    let mut plan = plan();
    plan.cohorts[0].client.backoff.give_up_after = Some(1);
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .online(0.1, false)
        .at(0.2, Input::Closed(Cause::Reset))
        .at(5.3, Input::Closed(Cause::Refused))
        .idle(21);
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Timeout: planned a0
    0.1s Opened: CONNECT
    0.1s CONNACK 0: expected, connected 0s false, PUBLISH 1 a0, sent a0 replayed
    0.2s Closed(Reset): disconnected Reset
    5.2s Timeout: open, attempt of 5.2s
    5.3s Closed(Refused): attempt of 5.2s failed Refused, gaveup
    10s Timeout: planned a1
    20s Timeout: planned a2
    ");
}

#[test]
fn a_connection_that_never_gets_through_its_steps_counts_as_failed() {
    let mut plan = plan();
    plan.cohorts[0].on_connect = vec![subscribe("/cmd")];
    plan.cohorts[0].client.backoff = Backoff {
        give_up_after: Some(3),
        ..Backoff::of(BackoffShape::NoJitter {
            base: Duration::from_secs(2),
            cap: Duration::from_secs(60),
        })
    };
    plan.streams[0].schedule = Schedule::Poisson {
        mean_gap: Duration::from_secs(100_000),
    };
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .online(0.1, false)
        .at(0.2, sub_ack(1, None))
        .at(2.3, Input::Closed(Cause::Refused))
        .online(6.4, false)
        .at(6.5, sub_ack(2, None))
        .idle(60);
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0.1s Opened: CONNECT
    0.1s CONNACK 0: expected, connected 0s false, SUBSCRIBE 1 d/meters-0/cmd
    0.2s SUBACK 1: close, disconnected SubscribeRefused
    2.2s Timeout: open, attempt of 2.2s
    2.3s Closed(Refused): attempt of 2.2s failed Refused
    6.3s Timeout: open, attempt of 6.3s
    6.4s Opened: CONNECT
    6.4s CONNACK 0: connected 6.3s false, SUBSCRIBE 2 d/meters-0/cmd
    6.5s SUBACK 2: close, disconnected SubscribeRefused, gaveup
    ");
}

/// A plan whose device waits 2 s, 4 s, … after failures, with telemetry far away.
fn doubling() -> Plan {
    let mut plan = plan();
    plan.cohorts[0].client.backoff = Backoff::of(BackoffShape::NoJitter {
        base: Duration::from_secs(2),
        cap: Duration::from_secs(60),
    });
    plan.streams[0].schedule = Schedule::Poisson {
        mean_gap: Duration::from_secs(100_000),
    };
    plan
}

#[test]
fn a_first_wait_holds_after_a_lost_connection_and_the_backoff_begins_after_it() {
    let mut plan = doubling();
    plan.cohorts[0].client.backoff.first = Some(Duration::from_secs(1));
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .at(0.1, Input::Closed(Cause::Refused))
        .online(2.2, false)
        .at(5.0, Input::Closed(Cause::Reset))
        .at(6.1, Input::Closed(Cause::Refused))
        .at(8.2, Input::Closed(Cause::Refused))
        .idle(20);
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0.1s Closed(Refused): attempt of 0s failed Refused
    2.1s Timeout: open, attempt of 2.1s
    2.2s Opened: CONNECT
    2.2s CONNACK 0: expected, connected 2.1s false
    5s Closed(Reset): disconnected Reset
    6s Timeout: open, attempt of 6s
    6.1s Closed(Refused): attempt of 6s failed Refused
    8.1s Timeout: open, attempt of 8.1s
    8.2s Closed(Refused): attempt of 8.1s failed Refused
    12.2s Timeout: open, attempt of 12.2s
    ");
}

#[test]
fn a_backoff_begins_anew_only_after_a_connection_that_lasted() {
    let mut plan = doubling();
    plan.cohorts[0].client.backoff.reset_after = Duration::from_secs(30);
    plan.cohorts[0].client.backoff.first = Some(Duration::ZERO);
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .at(0.0, Input::Closed(Cause::Refused))
        .online(2.1, false)
        .at(32.0, Input::Closed(Cause::Reset))
        .online(36.1, false)
        .at(66.1, Input::Closed(Cause::Reset))
        .at(66.2, Input::Closed(Cause::Refused))
        .idle(69);
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Closed(Refused): attempt of 0s failed Refused
    2s Timeout: open, attempt of 2s
    2.1s Opened: CONNECT
    2.1s CONNACK 0: expected, connected 2s false
    32s Closed(Reset): disconnected Reset
    36s Timeout: open, attempt of 36s
    36.1s Opened: CONNECT
    36.1s CONNACK 0: connected 36s false
    66.1s Closed(Reset): disconnected Reset
    66.1s Timeout: open, attempt of 66.1s
    66.2s Closed(Refused): attempt of 66.1s failed Refused
    68.2s Timeout: open, attempt of 68.2s
    ");
}

#[test]
fn a_persistent_session_that_the_server_kept_is_resumed() {
    let script = Script::new(plan())
        .at(0.0, Input::PowerOn)
        .online(0.1, false)
        .idle(11)
        .at(11.0, Input::Closed(Cause::Reset))
        .online(16.1, true)
        .at(16.2, pub_ack(1))
        .at(16.2, pub_ack(2));
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Timeout: planned a0
    0.1s Opened: CONNECT
    0.1s CONNACK 0: expected, connected 0s false, PUBLISH 1 a0, sent a0 replayed
    10s Timeout: planned a1, PUBLISH 2 a1, sent a1
    11s Closed(Reset): disconnected Reset
    16s Timeout: open, attempt of 16s
    16.1s Opened: CONNECT
    16.1s CONNACK 0: connected 16s true, PUBLISH 1 dup a0, retransmitted a0, PUBLISH 2 dup a1, retransmitted a1
    16.2s PUBACK 1: acked a0 replayed
    16.2s PUBACK 2: acked a1 replayed
    ");
}

#[test]
fn a_persistent_session_that_the_server_forgot_ends_what_was_in_flight() {
    let script = Script::new(plan())
        .at(0.0, Input::PowerOn)
        .online(0.1, false)
        .at(9.0, Input::Closed(Cause::ClosedByPeer))
        .online(14.1, false);
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Timeout: planned a0
    0.1s Opened: CONNECT
    0.1s CONNACK 0: expected, connected 0s false, PUBLISH 1 a0, sent a0 replayed
    9s Closed(ClosedByPeer): disconnected ClosedByPeer
    10s Timeout: planned a1
    14s Timeout: open, attempt of 14s
    14.1s Opened: CONNECT
    14.1s CONNACK 0: connected 14s false, gone a0, PUBLISH 2 a1, sent a1 replayed
    ");
}

#[test]
fn a_clean_session_ends_what_was_in_flight_at_once() {
    let mut plan = plan();
    plan.cohorts[0].session.clean = true;
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .online(0.1, false)
        .at(9.0, Input::Closed(Cause::ClosedByPeer))
        .online(14.1, false);
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Timeout: planned a0
    0.1s Opened: CONNECT
    0.1s CONNACK 0: expected, connected 0s false, PUBLISH 1 a0, sent a0 replayed
    9s Closed(ClosedByPeer): disconnected ClosedByPeer, gone a0
    10s Timeout: planned a1
    14s Timeout: open, attempt of 14s
    14.1s Opened: CONNECT
    14.1s CONNACK 0: connected 14s false, PUBLISH 2 a1, sent a1 replayed
    ");
}

#[test]
fn a_full_window_makes_arrivals_late_by_policy() {
    let mut plan = plan();
    add_stream(&mut plan, |s| s.when_late = WhenLate::Skip);
    add_stream(&mut plan, |s| s.when_late = WhenLate::Latest);
    add_stream(&mut plan, |s| s.qos = QoS::AtMostOnce);
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .online(0.0, false)
        .idle(21)
        .at(21.0, pub_ack(1))
        .at(21.1, pub_ack(2))
        .at(21.2, pub_ack(3));
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Opened: CONNECT
    0s CONNACK 0: expected, connected 0s false
    0s Timeout: planned a0, PUBLISH 1 a0, sent a0, planned b0, PUBLISH 2 b0, sent b0, planned c0, planned d0, PUBLISH 0 d0, sent d0
    10s Timeout: planned a1, planned b1, skipped b1, planned c1, skipped c0, planned d1, PUBLISH 0 d1, sent d1
    20s Timeout: planned a2, planned b2, skipped b2, planned c2, skipped c1, planned d2, PUBLISH 0 d2, sent d2
    21s PUBACK 1: acked a0, PUBLISH 3 a1, sent a1
    21.1s PUBACK 2: acked b0, PUBLISH 4 a2, sent a2
    21.2s PUBACK 3: acked a1, PUBLISH 5 c2, sent c2
    ");
}

#[test]
fn arrivals_come_due_without_a_connection() {
    let mut plan = plan();
    add_stream(&mut plan, |s| s.when_late = WhenLate::Latest);
    add_stream(&mut plan, |s| s.qos = QoS::AtMostOnce);
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .at(0.1, Input::Closed(Cause::Refused))
        .at(5.2, Input::Opened)
        .at(14.0, conn_ack(false))
        .at(14.1, pub_ack(1));
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Timeout: planned a0, planned b0, planned c0
    0.1s Closed(Refused): attempt of 0s failed Refused
    5.1s Timeout: open, attempt of 5.1s
    5.2s Opened: CONNECT
    10s Timeout: expected, planned a1, planned b1, skipped b0, planned c1
    14s CONNACK 0: connected 5.1s false, PUBLISH 1 a0, sent a0 replayed, PUBLISH 0 c0, sent c0 replayed, PUBLISH 2 a1, sent a1 replayed, PUBLISH 0 c1, sent c1 replayed
    14.1s PUBACK 1: acked a0 replayed, PUBLISH 3 b1, sent b1 replayed
    ");
}

#[test]
fn an_ack_timeout_frees_the_window_and_keeps_connection_and_identifier() {
    let mut plan = plan();
    plan.streams[0].ack_timeout = Duration::from_secs(2);
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .online(0.0, false)
        .idle(12)
        .at(12.5, pub_ack(1))
        .at(12.6, pub_ack(1))
        .at(13.0, Input::Closed(Cause::Reset))
        .online(18.1, true)
        .at(18.2, pub_ack(2));
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Opened: CONNECT
    0s CONNACK 0: expected, connected 0s false
    0s Timeout: planned a0, PUBLISH 1 a0, sent a0
    2s Timeout: timed out a0 sent 0s
    10s Timeout: planned a1, PUBLISH 2 a1, sent a1
    12s Timeout: timed out a1 sent 10s
    12.5s PUBACK 1: late ack a0
    12.6s PUBACK 1: unexpectedack
    13s Closed(Reset): disconnected Reset
    18s Timeout: open, attempt of 18s
    18.1s Opened: CONNECT
    18.1s CONNACK 0: connected 18s true, PUBLISH 2 dup a1, retransmitted a1
    18.2s PUBACK 2: late ack a1
    ");
}

#[test]
fn silence_is_broken_by_a_ping_and_a_dead_peer_is_noticed() {
    let mut plan = plan();
    plan.cohorts[0].client.keep_alive_s = 4;
    plan.cohorts[0].client.ping_timeout = Duration::from_secs(1);
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .online(0.0, false)
        .at(0.1, pub_ack(1))
        .at(4.1, Input::Received(Packet::PingResp))
        .at(6.0, message(QoS::AtLeastOnce, 9))
        .at(6.0, message(QoS::AtMostOnce, 0))
        .idle(16);
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Opened: CONNECT
    0s CONNACK 0: expected, connected 0s false
    0s Timeout: planned a0, PUBLISH 1 a0, sent a0
    0.1s PUBACK 1: acked a0
    4s Timeout: PINGREQ
    4.1s PINGRESP: nothing
    6s PUBLISH 9: PUBACK 9, received
    6s PUBLISH 0: nothing
    10s Timeout: planned a1, PUBLISH 2 a1, sent a1
    14s Timeout: PINGREQ
    15s Timeout: close, disconnected KeepAliveTimeout
    ");
}

#[test]
fn a_ping_interval_of_its_own_comes_before_the_keep_alive() {
    let mut plan = doubling();
    plan.cohorts[0].client.keep_alive_s = 10;
    plan.cohorts[0].client.ping_interval_s = Some(4);
    plan.cohorts[0].client.ping_timeout = Duration::from_secs(6);
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .online(0.0, false)
        .at(4.1, Input::Received(Packet::PingResp))
        .idle(15);
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Opened: CONNECT
    0s CONNACK 0: expected, connected 0s false
    4s Timeout: PINGREQ
    4.1s PINGRESP: nothing
    8s Timeout: PINGREQ
    14s Timeout: close, disconnected KeepAliveTimeout
    ");
}

#[test]
fn stopping_arrivals_plans_what_was_due_and_no_more() {
    let script = Script::new(plan())
        .at(0.0, Input::PowerOn)
        .online(0.0, false)
        .at(0.1, pub_ack(1));
    let mut script = script;
    // The driver is late: the arrival of 10 s was not stepped yet, that of 20 s is not due.
    script.step(Instant::from_ns(20 * S), Input::StopArrivals);
    assert!(!script.device.is_drained());
    let script = script.at(20.1, pub_ack(2)).idle(200);
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Opened: CONNECT
    0s CONNACK 0: expected, connected 0s false
    0s Timeout: planned a0, PUBLISH 1 a0, sent a0
    0.1s PUBACK 1: acked a0
    20s StopArrivals: planned a1, PUBLISH 2 a1, sent a1
    20.1s PUBACK 2: acked a1
    140s Timeout: PINGREQ
    150s Timeout: close, disconnected KeepAliveTimeout
    155s Timeout: open, attempt of 155s
    165s Timeout: close, attempt of 155s failed ConnectTimeout
    170s Timeout: open, attempt of 170s
    180s Timeout: close, attempt of 170s failed ConnectTimeout
    185s Timeout: open, attempt of 185s
    195s Timeout: close, attempt of 185s failed ConnectTimeout
    ");
    assert!(script.device.is_drained());
}

#[test]
fn the_last_phase_ends_all_schedules_however_late_the_driver_says_so() {
    let mut plan = plan();
    plan.phases[1].length = Duration::from_secs(5);
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .online(0.0, false)
        .at(20.0, Input::StopArrivals);
    let planned = script.text.matches("planned").count();
    assert_eq!(
        planned, 2,
        "those of 0 s and 10 s, not that of 15 s or 20 s"
    );
}

#[test]
fn power_off_ends_everything_and_the_next_boot_starts_anew() {
    let script = Script::new(plan())
        .at(0.0, Input::PowerOn)
        .online(0.0, false)
        .idle(21)
        .at(25.0, Input::PowerOff)
        .at(30.0, Input::PowerOff)
        .at(31.0, Input::PowerOn)
        .at(32.0, Input::PowerOff);
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Opened: CONNECT
    0s CONNACK 0: expected, connected 0s false
    0s Timeout: planned a0, PUBLISH 1 a0, sent a0
    10s Timeout: planned a1, PUBLISH 2 a1, sent a1
    20s Timeout: planned a2
    25s PowerOff: close, disconnected DeviceStopped, gone a0, gone a1, unsent a2 DeviceOff, poweredoff
    30s PowerOff: nothing
    31s PowerOn: poweredon, open, attempt of 31s
    31s Timeout: planned a0
    32s PowerOff: close, unsent a0 DeviceOff, expected, poweredoff
    ");
    assert_eq!(script.device.boot(), 2);
    assert!(script.device.poll_timeout().is_never());
}

#[test]
fn shutdown_leaves_the_books_as_they_are() {
    let script = Script::new(plan())
        .at(0.0, Input::PowerOn)
        .online(0.0, false)
        .idle(21)
        .at(22.0, Input::Shutdown)
        .at(23.0, Input::PowerOn);
    insta::assert_snapshot!(script.text, @"
    0s PowerOn: poweredon, open, attempt of 0s
    0s Opened: CONNECT
    0s CONNACK 0: expected, connected 0s false
    0s Timeout: planned a0, PUBLISH 1 a0, sent a0
    10s Timeout: planned a1, PUBLISH 2 a1, sent a1
    20s Timeout: planned a2
    22s Shutdown: DISCONNECT, close, disconnected DeviceStopped, poweredoff
    23s PowerOn: nothing
    ");
    let seqs = |ops: Vec<Operation>| ops.iter().map(|op| op.seq).collect::<Vec<_>>();
    assert_eq!(seqs(script.device.in_flight()), [0, 1]);
    assert_eq!(seqs(script.device.waiting()), [2]);
    assert!(script.device.poll_timeout().is_never());
}

#[test]
fn a_long_backlog_is_written_in_bursts() {
    let mut plan = plan();
    plan.streams[0].qos = QoS::AtMostOnce;
    plan.cohorts[0].client.connect_timeout = Duration::from_secs(2000);
    let script = Script::new(plan)
        .at(0.0, Input::PowerOn)
        .at(0.1, Input::Opened)
        .idle(1_295);
    assert_eq!(script.device.waiting().len(), 130);
    let mut script = script.at(1_295.0, conn_ack(false));
    assert_eq!(script.device.waiting().len(), 130 - 64);
    script.text.clear();
    let script = script.idle(1_299);
    assert_eq!(script.text.matches("Timeout").count(), 2, "{}", script.text);
    assert_eq!(script.text.matches("replayed").count(), 130 - 64);
    assert!(script.device.is_drained());
}

#[test]
fn size_is_within_the_bar() {
    let mut one = Script::new(plan())
        .at(0.0, Input::PowerOn)
        .online(0.0, false)
        .idle(1);
    assert_eq!(one.device.in_flight().len(), 1);
    let bytes = |device: &Device| size_of::<Device>() + device.heap_bytes();
    assert!(bytes(&one.device) <= 256, "{} bytes", bytes(&one.device));

    let mut two = plan();
    add_stream(&mut two, |_| {});
    let two = device(two);
    one.device.session = Session::new();
    assert!(bytes(&two) - bytes(&one.device) <= 32);
}

fn subscribe(after: &str) -> Step {
    Step::Subscribe {
        topic: fixture::device_template("d/", after),
        qos: QoS::AtLeastOnce,
    }
}

fn publish(qos: QoS) -> Step {
    Step::Publish {
        topic: fixture::device_template("d/", "/state"),
        payload: fixture::device_template("", " is online"),
        qos,
        retain: false,
    }
}

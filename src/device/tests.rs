//! Tests of the device: its behaviour as scripts of inputs with the outputs they cause, the bounds
//! on its size, and invariants that hold whatever comes.

use super::*;
use crate::mqtt::packet::{ConnectCode, Publish};
use crate::scenario::fixture;
use crate::scenario::plan::{
    Backoff, BackoffShape, Payload, PhaseShape, Schedule, Step, Stream, WhenLate,
};
use crate::stats::event::{Limit, Unsent};

mod invariants;
mod replays;
mod scripts;
mod statements;
mod states;
mod store;
mod updates;

/// The fixture's plan, made predictable: arrivals each 10 s from power-on, 5 s of backoff, a
/// window of 2, and phases of an hour.
fn plan() -> Plan {
    let mut plan = fixture::plan(1);
    plan.phases[1].length = Duration::from_secs(3590);
    let client = &mut plan.cohorts[0].client;
    client.inflight = 2;
    client.backoff.shape = BackoffShape::Fixed(Duration::from_secs(5));
    plan.streams[0].schedule = Schedule::Every {
        period: Duration::from_secs(10),
        phase: PhaseShape::Boot,
    };
    plan
}

/// Adds a stream like the first one.
fn add_stream(plan: &mut Plan, change: impl FnOnce(&mut Stream)) {
    let mut stream = plan.streams[0].clone();
    stream.name = format!("stream{}", plan.streams.len());
    change(&mut stream);
    plan.streams.push(stream);
    plan.cohorts[0].streams.end += 1;
}

fn device(plan: Plan) -> Device {
    let profile = Profile {
        plan: Arc::new(plan),
        cohort: 0,
        run: 7,
        start: Instant::ZERO,
    };
    Device::new(Arc::new(profile), 0)
}

fn conn_ack(session_present: bool) -> Input<'static> {
    Input::Received(Packet::ConnAck {
        session_present,
        code: ConnectCode::Accepted,
    })
}

fn sub_ack(packet_id: PacketId, granted: Option<QoS>) -> Input<'static> {
    Input::Received(Packet::SubAck {
        packet_id,
        granted: vec![granted],
    })
}

fn pub_ack(packet_id: PacketId) -> Input<'static> {
    Input::Received(Packet::PubAck(packet_id))
}

fn message(qos: QoS, packet_id: PacketId) -> Input<'static> {
    Input::Received(Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        packet_id,
        topic: "d/meters-0/cmd",
        payload: b"x",
    }))
}

/// One output in a few words.
fn word(output: &Output) -> String {
    match output {
        Output::Open => "open".into(),
        Output::Close => "close".into(),
        Output::Send(packet) => match packet {
            Packet::Connect(_) => "CONNECT".into(),
            Packet::Subscribe { packet_id, filters } => {
                let filters: Vec<_> = filters.iter().map(|(topic, _)| topic.as_str()).collect();
                format!("SUBSCRIBE {packet_id} {}", filters.join(" "))
            }
            Packet::Unsubscribe { packet_id, filters } => {
                format!("UNSUBSCRIBE {packet_id} {}", filters.join(" "))
            }
            Packet::PubAck(id) => format!("PUBACK {id}"),
            Packet::PubRec(id) => format!("PUBREC {id}"),
            Packet::PubRel(id) => format!("PUBREL {id}"),
            Packet::PubComp(id) => format!("PUBCOMP {id}"),
            Packet::PingReq => "PINGREQ".into(),
            Packet::Disconnect => "DISCONNECT".into(),
            Packet::ConnAck { .. }
            | Packet::Publish(_)
            | Packet::SubAck { .. }
            | Packet::UnsubAck(_)
            | Packet::PingResp => format!("a client never sends {packet:?}"),
        },
        Output::Publish(publish) => {
            let dup = if publish.dup { " dup" } else { "" };
            format!("PUBLISH {}{dup} {}", publish.packet_id, publish.topic)
        }
        Output::Telemetry(telemetry) => {
            let dup = if telemetry.dup { " dup" } else { "" };
            format!(
                "PUBLISH {}{dup} {}",
                telemetry.packet_id,
                name(&telemetry.op)
            )
        }
        Output::Event(event) => event_word(event),
        Output::Fetch(_) | Output::StopFetch | Output::Result(_) => format!("{output:?}"),
    }
}

fn event_word(event: &Event) -> String {
    let replay = |replayed: bool| if replayed { " replayed" } else { "" };
    match event {
        Event::Planned(op) => format!("planned {}", name(op)),
        Event::Unsent(op, Unsent::Skipped) => format!("skipped {}", name(op)),
        Event::Unsent(op, why) => format!("unsent {} {why:?}", name(op)),
        Event::Sent { op, replayed, .. } => format!("sent {}{}", name(op), replay(*replayed)),
        Event::Retransmitted(op) => format!("retransmitted {}", name(op)),
        Event::ReleasedAgain(op) => format!("released {} again", name(op)),
        Event::Acked { op, replayed, .. } => format!("acked {}{}", name(op), replay(*replayed)),
        Event::TimedOut { op, sent } => format!("timed out {} sent {}", name(op), short(*sent)),
        Event::SessionGone(op) => format!("gone {}", name(op)),
        Event::LateAck(op) => format!("late ack {}", name(op)),
        Event::AttemptStarted { intended } => format!("attempt of {}", short(*intended)),
        Event::AttemptFailed {
            intended, cause, ..
        } => {
            format!("attempt of {} failed {cause:?}", short(*intended))
        }
        Event::Connected {
            intended,
            session_present,
        } => format!("connected {} {session_present}", short(*intended)),
        Event::Disconnected { cause } => format!("disconnected {cause:?}"),
        Event::PoweredOn
        | Event::PoweredOff
        | Event::Expected
        | Event::GaveUp
        | Event::UnexpectedAck
        | Event::Received
        | Event::Update(_)
        | Event::Command(_)
        | Event::LimitReached(_) => format!("{event:?}").to_lowercase(),
    }
}

/// `a3` is the operation with seq 3 of the first stream.
fn name(op: &Operation) -> String {
    let stream = char::from(b'a' + u8::try_from(op.stream).expect("few streams in tests"));
    format!("{stream}{}", op.seq)
}

fn short(at: Instant) -> String {
    format!("{}s", at.ns() as f64 / 1e9)
}

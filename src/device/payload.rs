//! Telemetry bodies: topic and payload as pure functions of (seed, device, stream, seq), encoded
//! straight into a lent buffer, never stored.

mod field;
#[cfg(test)]
mod tests;

use super::stamp::Stamp;
use super::{Profile, Telemetry};
use crate::mqtt::codec;
use crate::mqtt::packet::Publish;
use crate::rng::{self, Purpose};
use crate::scenario::plan::{DeviceIdx, Payload, Plan, Stream, Target};
use crate::scenario::template::Names;
use field::Draws;
use rand::Rng as _;

/// What templates of `device` are rendered with.
///
/// # Panics
/// If `device` is not in the fleet.
pub fn names(plan: &Plan, device: DeviceIdx, run: u32) -> Names<'_> {
    let cohort = &plan.cohorts[plan.cohort_of(device)];
    let credentials = match &plan.target {
        Target::Embedded(_) => None,
        Target::Brokers(brokers) => brokers.auth.tokens.get(device as usize),
    };
    Names {
        cohort: &cohort.name,
        index_in_cohort: device - cohort.first,
        index: device,
        node: plan.home_node(device),
        run,
        credentials: credentials.map(|(id, token)| (id.as_str(), token.0.as_str())),
    }
}

/// Buffers that one driver lends to all its devices.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Topic being rendered.
    pub topic: String,
    /// Payload being rendered.
    pub payload: Vec<u8>,
}

/// Renders topic and payload of `message` into `scratch`.
///
/// With the ledger on each payload carries its [`Stamp`]: as the first field of a JSON object, or
/// as the first 32 bytes of raw bytes.
pub fn render(profile: &Profile, device: DeviceIdx, message: &Telemetry, scratch: &mut Scratch) {
    let plan = &*profile.plan;
    let stream = stream_of(plan, message);
    render_topic(profile, device, stream, scratch);
    let draws = Draws::new(plan.seed, device, message);
    let stamp = plan
        .observe
        .ledger
        .then(|| stamp(profile, device, message).to_text());
    let payload = &mut scratch.payload;
    payload.clear();
    match &stream.payload {
        Payload::Json(fields) => {
            payload.push(b'{');
            if let Some(stamp) = stamp {
                field::push_name(&plan.observe.stamp_field, payload);
                payload.push(b'"');
                payload.extend_from_slice(&stamp);
                payload.push(b'"');
            }
            for (i, (name, generator)) in fields.iter().enumerate() {
                if payload.len() > 1 {
                    payload.push(b',');
                }
                field::push_name(name, payload);
                draws.push_value(i, generator, payload);
            }
            payload.push(b'}');
        }
        Payload::Bytes(len) => {
            if let Some(stamp) = stamp {
                payload.extend_from_slice(&stamp);
            }
            fill(*len as usize, &draws, payload);
        }
    }
}

/// Appends the encoded PUBLISH packet of `message` to `out`.
///
/// # Panics
/// If the message does not fit MQTT (a topic with a wildcard, a packet identifier 0 with QoS 1 or 2);
/// the plan and the session rule that out.
pub fn encode_telemetry(
    profile: &Profile,
    device: DeviceIdx,
    message: &Telemetry,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    render(profile, device, message, scratch);
    let stream = stream_of(&profile.plan, message);
    let publish = Publish {
        dup: message.dup,
        qos: stream.qos,
        retain: stream.retain,
        packet_id: message.packet_id,
        topic: &scratch.topic,
        payload: &scratch.payload,
    };
    codec::encode_publish(&publish, out).expect("the plan has checked topics and sizes");
}

/// How many bytes [`encode_telemetry`] appends for `message`. A payload of raw bytes is not rendered for
/// it, a JSON payload is.
pub fn encoded_len(
    profile: &Profile,
    device: DeviceIdx,
    message: &Telemetry,
    scratch: &mut Scratch,
) -> usize {
    let stream = stream_of(&profile.plan, message);
    let payload_bytes = match stream.payload {
        Payload::Json(_) => {
            render(profile, device, message, scratch);
            scratch.payload.len()
        }
        Payload::Bytes(len) => {
            render_topic(profile, device, stream, scratch);
            let stamp = if profile.plan.observe.ledger {
                Stamp::TEXT_LEN
            } else {
                0
            };
            (len as usize).max(stamp)
        }
    };
    codec::publish_len(stream.qos, scratch.topic.len(), payload_bytes)
}

fn render_topic(profile: &Profile, device: DeviceIdx, stream: &Stream, scratch: &mut Scratch) {
    scratch.topic.clear();
    let names = names(&profile.plan, device, profile.run);
    stream.topic.render(&names, &mut scratch.topic);
}

fn stream_of<'a>(plan: &'a Plan, message: &Telemetry) -> &'a Stream {
    &plan.streams[usize::from(message.op.stream)]
}

const fn stamp(profile: &Profile, device: DeviceIdx, message: &Telemetry) -> Stamp {
    Stamp {
        run: profile.run,
        device,
        stream: message.op.stream,
        boot: message.boot,
        seq: message.op.seq,
        intended: message.op.intended,
    }
}

/// Fills `payload` up to `len` bytes with hashed printable ASCII.
fn fill(len: usize, draws: &Draws, payload: &mut Vec<u8>) {
    let from = payload.len();
    if len <= from {
        return;
    }
    payload.resize(len, 0);
    let filler = &mut payload[from..];
    draws.generator().fill_bytes(filler);
    for byte in filler {
        // 95 printable characters from the space on.
        *byte = b' ' + ((u16::from(*byte) * 95) >> 8) as u8;
    }
}

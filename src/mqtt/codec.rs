//! MQTT 3.1.1 codec: packet values to bytes and back. The packets of the hot path (PUBLISH, its four
//! acknowledgements, PINGREQ, PINGRESP) are encoded and decoded here without allocation; `cold` does the others
//! through `rumqttc::mqttbytes`.

mod check;
mod cold;
#[cfg(test)]
mod tests;

use super::packet::{Packet, PacketId, Publish, QoS};

/// The longest Remaining Length that four bytes can say (2.2.3).
pub const REMAINING_LENGTH_MAX: usize = 268_435_455;

/// Appends the bytes of `packet` to `out`; on error `out` is as before.
///
/// # Errors
/// If a field does not fit MQTT 3.1.1 (a string over 65 535 bytes, packet identifier 0 with QoS > 0, …).
pub fn encode(packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    match packet {
        Packet::Publish(publish) => encode_publish(publish, out),
        Packet::PubAck(packet_id) => encode_packet_id_only(kind::PUBACK << 4, *packet_id, out),
        Packet::PubRec(packet_id) => encode_packet_id_only(kind::PUBREC << 4, *packet_id, out),
        Packet::PubRel(packet_id) => {
            let first = kind::PUBREL << 4 | check::PUBREL_FLAGS;
            encode_packet_id_only(first, *packet_id, out)
        }
        Packet::PubComp(packet_id) => encode_packet_id_only(kind::PUBCOMP << 4, *packet_id, out),
        Packet::PingReq => {
            out.extend_from_slice(&[kind::PINGREQ << 4, 0]);
            Ok(())
        }
        Packet::PingResp => {
            out.extend_from_slice(&[kind::PINGRESP << 4, 0]);
            Ok(())
        }
        Packet::Connect(_)
        | Packet::ConnAck { .. }
        | Packet::Subscribe { .. }
        | Packet::SubAck { .. }
        | Packet::Unsubscribe { .. }
        | Packet::UnsubAck(_)
        | Packet::Disconnect => cold::encode(packet, out),
    }
}

/// Appends the bytes of a PUBLISH to `out`; the hot path of [`encode`].
///
/// # Errors
/// As [`encode`].
pub fn encode_publish(publish: &Publish<'_>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    check::topic(publish.topic).map_err(CodecError::Unencodable)?;
    check::publish_header(publish.qos, publish.dup, publish.packet_id)
        .map_err(CodecError::Unencodable)?;
    let remaining = publish_remaining(publish.qos, publish.topic.len(), publish.payload.len());
    if remaining > REMAINING_LENGTH_MAX {
        return Err(CodecError::Unencodable("packet over 268 435 455 bytes"));
    }
    out.reserve(1 + 4 + remaining);
    let flags = u8::from(publish.dup) << 3 | (publish.qos as u8) << 1 | u8::from(publish.retain);
    out.push(kind::PUBLISH << 4 | flags);
    push_remaining_length(remaining, out);
    push_bytes(publish.topic.as_bytes(), out);
    if publish.qos != QoS::AtMostOnce {
        out.extend_from_slice(&publish.packet_id.to_be_bytes());
    }
    out.extend_from_slice(publish.payload);
    Ok(())
}

/// How many bytes [`encode_publish`] appends for a PUBLISH with a topic and a payload of so many
/// bytes.
pub const fn publish_len(qos: QoS, topic_bytes: usize, payload_bytes: usize) -> usize {
    with_fixed_header(publish_remaining(qos, topic_bytes, payload_bytes))
}

/// How many bytes [`encode`] appends for `packet`; for a packet that it refuses, a number without
/// meaning.
pub fn encoded_len(packet: &Packet<'_>) -> usize {
    let remaining = match packet {
        Packet::Publish(publish) => {
            publish_remaining(publish.qos, publish.topic.len(), publish.payload.len())
        }
        Packet::PubAck(_)
        | Packet::PubRec(_)
        | Packet::PubRel(_)
        | Packet::PubComp(_)
        | Packet::UnsubAck(_)
        | Packet::ConnAck { .. } => 2,
        Packet::PingReq | Packet::PingResp | Packet::Disconnect => 0,
        Packet::Connect(connect) => cold::connect_remaining(connect),
        Packet::Subscribe { filters, .. } => {
            2 + filters.iter().map(|(f, _)| 2 + f.len() + 1).sum::<usize>()
        }
        Packet::SubAck { granted, .. } => 2 + granted.len(),
        Packet::Unsubscribe { filters, .. } => {
            2 + filters.iter().map(|f| 2 + f.len()).sum::<usize>()
        }
    };
    with_fixed_header(remaining)
}

/// How long the packet that `bytes` begin with is, fixed header included, or `None` if the header is
/// not complete yet; at most five bytes of it are looked at.
///
/// # Errors
/// If they are not the beginning of an MQTT 3.1.1 packet, or it is longer than `max_len`.
pub fn frame_len(bytes: &[u8], max_len: usize) -> Result<Option<usize>, CodecError> {
    frame(bytes, max_len).map(|frame| frame.map(|(header, remaining)| header + remaining))
}

/// Decodes the first packet of `bytes`: the packet and how many bytes it took, or `None` if it is
/// not complete yet.
///
/// # Errors
/// If the bytes are not MQTT 3.1.1, or the packet is longer than `max_len` bytes, its fixed header
/// included (known from its header alone).
pub fn decode(bytes: &[u8], max_len: usize) -> Result<Option<(Packet<'_>, usize)>, CodecError> {
    let Some((header, remaining)) = frame(bytes, max_len)? else {
        return Ok(None);
    };
    let len = header + remaining;
    let Some(frame) = bytes.get(..len) else {
        return Ok(None);
    };
    let (first, body) = (frame[0], &frame[header..]);
    let packet = match first >> 4 {
        kind::PUBLISH => Packet::Publish(decode_publish(first, body)?),
        kind::PUBACK => Packet::PubAck(decode_packet_id_only(body)?),
        kind::PUBREC => Packet::PubRec(decode_packet_id_only(body)?),
        kind::PUBREL => Packet::PubRel(decode_packet_id_only(body)?),
        kind::PUBCOMP => Packet::PubComp(decode_packet_id_only(body)?),
        kind::PINGREQ if body.is_empty() => Packet::PingReq,
        kind::PINGRESP if body.is_empty() => Packet::PingResp,
        _ => cold::decode(frame, header)?,
    };
    Ok(Some((packet, len)))
}

/// Why bytes or a packet were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Violates MQTT 3.1.1.
    #[error("malformed packet: {0}")]
    Malformed(String),
    /// Longer than the limit.
    #[error("packet of {len} bytes is over the limit of {max} bytes")]
    TooLong {
        /// Its length, fixed header included.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A value that MQTT 3.1.1 cannot carry.
    #[error("cannot encode: {0}")]
    Unencodable(&'static str),
}

/// Those control packet types (table 2.1) that are told apart by name.
mod kind {
    pub(super) const CONNECT: u8 = 1;
    pub(super) const PUBLISH: u8 = 3;
    pub(super) const PUBACK: u8 = 4;
    pub(super) const PUBREC: u8 = 5;
    pub(super) const PUBREL: u8 = 6;
    pub(super) const PUBCOMP: u8 = 7;
    pub(super) const SUBSCRIBE: u8 = 8;
    pub(super) const UNSUBSCRIBE: u8 = 10;
    pub(super) const PINGREQ: u8 = 12;
    pub(super) const PINGRESP: u8 = 13;
}

fn malformed(why: &'static str) -> CodecError {
    CodecError::Malformed(why.to_owned())
}

fn encode_packet_id_only(
    first: u8,
    packet_id: PacketId,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    check::packet_id(packet_id).map_err(CodecError::Unencodable)?;
    let [high, low] = packet_id.to_be_bytes();
    out.extend_from_slice(&[first, 2, high, low]);
    Ok(())
}

fn decode_publish(first: u8, body: &[u8]) -> Result<Publish<'_>, CodecError> {
    let Some((length, rest)) = body.split_first_chunk::<2>() else {
        return Err(malformed("PUBLISH without a topic"));
    };
    let Some((topic, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
    else {
        return Err(malformed("PUBLISH topic longer than the packet"));
    };
    let topic = std::str::from_utf8(topic).map_err(|_| malformed("topic is not UTF-8"))?;
    check::topic(topic).map_err(malformed)?;
    let qos = match (first >> 1) & 0b11 {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        2 => QoS::ExactlyOnce,
        _ => return Err(malformed("PUBLISH with QoS 3")),
    };
    let (packet_id, payload) = if qos == QoS::AtMostOnce {
        (0, rest)
    } else {
        let Some((id, payload)) = rest.split_first_chunk::<2>() else {
            return Err(malformed("PUBLISH without a packet identifier"));
        };
        (u16::from_be_bytes(*id), payload)
    };
    let dup = first & 0b1000 != 0;
    check::publish_header(qos, dup, packet_id).map_err(malformed)?;
    Ok(Publish {
        dup,
        qos,
        retain: first & 1 != 0,
        packet_id,
        topic,
        payload,
    })
}

fn decode_packet_id_only(body: &[u8]) -> Result<PacketId, CodecError> {
    let id =
        <[u8; 2]>::try_from(body).map_err(|_| malformed("acknowledgement is not of two bytes"))?;
    let packet_id = u16::from_be_bytes(id);
    check::packet_id(packet_id).map_err(malformed)?;
    Ok(packet_id)
}

/// As [`remaining_length`], for a packet of at most `max_len` bytes with a sound first byte.
fn frame(bytes: &[u8], max_len: usize) -> Result<Option<(usize, usize)>, CodecError> {
    let Some(&first) = bytes.first() else {
        return Ok(None);
    };
    check::fixed_header(first).map_err(malformed)?;
    let Some((header, remaining)) = remaining_length(bytes)? else {
        return Ok(None);
    };
    let len = header + remaining;
    if len > max_len {
        return Err(CodecError::TooLong { len, max: max_len });
    }
    Ok(Some((header, remaining)))
}

/// The length of the fixed header and the Remaining Length of the packet that `bytes` begin with, or
/// `None` if the header is not complete yet.
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, CodecError> {
    let mut value = 0;
    for place in 0..4 {
        let Some(&byte) = bytes.get(1 + place) else {
            return Ok(None);
        };
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(Some((2 + place, value)));
        }
    }
    Err(malformed("remaining length of more than four bytes"))
}

const fn remaining_length_len(remaining: usize) -> usize {
    match remaining {
        0..128 => 1,
        128..16_384 => 2,
        16_384..2_097_152 => 3,
        _ => 4,
    }
}

/// Appends `remaining`, at most [`REMAINING_LENGTH_MAX`], in the variable-length form of 2.2.3.
fn push_remaining_length(mut remaining: usize, out: &mut Vec<u8>) {
    debug_assert!(remaining <= REMAINING_LENGTH_MAX);
    loop {
        let low = (remaining & 0x7f) as u8;
        remaining >>= 7;
        if remaining == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Appends a length-prefixed field (1.5.3).
///
/// # Panics
/// If `bytes` is longer than 65 535; callers have checked it.
fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let len = u16::try_from(bytes.len()).expect("checked to fit a length prefix");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
}

const fn publish_remaining(qos: QoS, topic_bytes: usize, payload_bytes: usize) -> usize {
    let id_bytes = if matches!(qos, QoS::AtMostOnce) { 0 } else { 2 };
    2 + topic_bytes + id_bytes + payload_bytes
}

/// Length of a packet with this Remaining Length.
const fn with_fixed_header(remaining: usize) -> usize {
    1 + remaining_length_len(remaining) + remaining
}

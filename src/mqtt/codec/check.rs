//! What MQTT 3.1.1 forbids in fields, for both directions of the codec. Each check names the rule in
//! a few words; the caller turns it into "cannot encode" or "malformed packet".

use super::kind;
use crate::mqtt::packet::{Connect, PacketId, QoS};
use rumqttc::mqttbytes::valid_filter;

/// The fixed header flags of a PUBREL (MQTT-3.6.1-1).
pub(super) const PUBREL_FLAGS: u8 = 0b0010;

/// Type and flags of a fixed header (2.2.1, 2.2.2), known from its first byte.
pub(super) const fn fixed_header(first: u8) -> Result<(), &'static str> {
    let required = match first >> 4 {
        0 | 15 => return Err("reserved packet type"),
        kind::PUBLISH => return Ok(()),
        kind::PUBREL => PUBREL_FLAGS,
        kind::SUBSCRIBE | kind::UNSUBSCRIBE => 0b0010,
        _ => 0,
    };
    if first & 0x0f == required {
        Ok(())
    } else {
        Err("reserved flags of the fixed header")
    }
}

/// A Topic Name (4.7.1, 4.7.3).
pub(super) fn topic(topic: &str) -> Result<(), &'static str> {
    if topic.is_empty() {
        return Err("empty topic");
    }
    if topic.len() > usize::from(u16::MAX) {
        return Err("topic over 65 535 bytes");
    }
    // Without an early exit, so that the compiler may look at many bytes at once.
    let bad = topic
        .bytes()
        .fold(false, |bad, b| bad | matches!(b, b'+' | b'#' | 0));
    if bad {
        return Err("topic with a wildcard or U+0000");
    }
    Ok(())
}

/// QoS, DUP and packet identifier of a PUBLISH go together (3.3.1-2, 2.3.1-1, 2.3.1-5).
pub(super) const fn publish_header(
    qos: QoS,
    dup: bool,
    packet_id: PacketId,
) -> Result<(), &'static str> {
    match (qos, dup, packet_id) {
        (QoS::AtMostOnce, true, _) => Err("QoS 0 PUBLISH with DUP"),
        (QoS::AtMostOnce, false, 0) => Ok(()),
        (QoS::AtMostOnce, false, _) => Err("QoS 0 PUBLISH with a packet identifier"),
        (QoS::AtLeastOnce | QoS::ExactlyOnce, _, 0) => Err("packet identifier 0"),
        (QoS::AtLeastOnce | QoS::ExactlyOnce, _, _) => Ok(()),
    }
}

/// A Packet Identifier is never 0 (2.3.1-1).
pub(super) const fn packet_id(packet_id: PacketId) -> Result<(), &'static str> {
    if packet_id == 0 {
        return Err("packet identifier 0");
    }
    Ok(())
}

/// The Topic Filters of a SUBSCRIBE or UNSUBSCRIBE (3.8.3-3, 3.10.3-2, 4.7.1, 4.7.3).
pub(super) fn filters<'a>(filters: impl Iterator<Item = &'a str>) -> Result<(), &'static str> {
    let mut any = false;
    for filter in filters {
        any = true;
        string(filter)?;
        if !valid_filter(filter) {
            return Err("topic filter is empty or has a misplaced wildcard");
        }
    }
    if any { Ok(()) } else { Err("no topic filter") }
}

/// The fields of a CONNECT (3.1.2, 3.1.3). An empty client identifier without clean session is left
/// to the server, which answers it with a code.
pub(super) fn connect(connect: &Connect) -> Result<(), &'static str> {
    string(&connect.client_id)?;
    if let Some(will) = &connect.will {
        topic(&will.topic)?;
        if will.payload.len() > usize::from(u16::MAX) {
            return Err("will message over 65 535 bytes");
        }
    }
    if connect.password.is_some() && connect.username.is_none() {
        return Err("password without a user name");
    }
    string(connect.username.as_deref().unwrap_or_default())?;
    string(connect.password.as_deref().unwrap_or_default())
}

/// A UTF-8 encoded string (1.5.3).
fn string(text: &str) -> Result<(), &'static str> {
    if text.len() > usize::from(u16::MAX) {
        return Err("string over 65 535 bytes");
    }
    if text.contains('\0') {
        return Err("string with U+0000");
    }
    Ok(())
}

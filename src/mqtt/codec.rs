//! MQTT 3.1.1 codec: packet values to bytes and back. The packets of the hot path are encoded and
//! decoded here without allocation; the others go through `rumqttc::mqttbytes`.

use super::packet::{Packet, Publish};

/// Appends the bytes of `packet` to `out`; on error `out` is as before.
///
/// # Errors
/// If a field does not fit MQTT 3.1.1 (a string over 65 535 bytes, packet identifier 0 with QoS > 0, …).
pub fn encode(packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let _ = (packet, out);
    todo!("payload helper")
}

/// Appends the bytes of a PUBLISH to `out`; the hot path of [`encode`].
///
/// # Errors
/// As [`encode`].
pub fn encode_publish(publish: &Publish<'_>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let _ = (publish, out);
    todo!("payload helper")
}

/// Decodes the first packet of `bytes`: the packet and how many bytes it took, or `None` if it is
/// not complete yet.
///
/// # Errors
/// If the bytes are not MQTT 3.1.1, or the packet is longer than `max_len` (known from its header
/// alone).
pub fn decode(bytes: &[u8], max_len: usize) -> Result<Option<(Packet<'_>, usize)>, CodecError> {
    let _ = (bytes, max_len);
    todo!("payload helper")
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

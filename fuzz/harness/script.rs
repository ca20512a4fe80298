//! Fuzzer bytes as a script: a row of moves, each with the arguments it asks for. Any bytes are a
//! script, and a byte more or less changes little of it, which is what a fuzzer is good at.

use fleetstorm::mqtt::codec;
use fleetstorm::mqtt::packet::Packet;

/// Longest packet that either side accepts, in bytes.
const PACKET_MAX: usize = 1 << 16;

/// The rest of a script.
pub(crate) struct Script<'a>(pub(crate) &'a [u8]);

impl<'a> Script<'a> {
    /// The next byte, or `None` at the end.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// As [`Script::byte`], 0 at the end.
    pub(crate) fn byte_or_zero(&mut self) -> u8 {
        self.byte().unwrap_or(0)
    }

    /// The next bytes, up to as many as the next byte says.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte_or_zero()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }
}

/// The bytes of one direction of a connection, as a driver keeps them.
#[derive(Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// Takes `bytes` and hands over each packet that is complete, while `take` wants more; whether
    /// the stream is sound so far.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(Packet<'_>) -> bool) -> bool {
        self.bytes.extend_from_slice(bytes);
        let received = std::mem::take(&mut self.bytes);
        let mut at = 0;
        loop {
            match codec::decode(&received[at..], PACKET_MAX) {
                Ok(Some((packet, len))) => {
                    at += len;
                    if !take(packet) {
                        return true;
                    }
                }
                Ok(None) => break,
                Err(_) => return false,
            }
        }
        self.bytes.extend_from_slice(&received[at..]);
        true
    }
}

/// Encodes a packet that an actor wants written, and reads it again.
pub(crate) fn must_encode(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(packet, &mut bytes).expect("an actor writes sound packets only");
    assert_eq!(bytes.len(), codec::encoded_len(packet));
    let decoded = codec::decode(&bytes, bytes.len()).expect("what was encoded is sound");
    assert_eq!(decoded, Some((packet.clone(), bytes.len())));
    bytes
}

//! Two clients side by side: `ours` is the program's session and codec, `theirs` is the session of
//! `mqtt_protocol_core`, an independent implementation; `model` is the server that both talk to, and
//! `pair` gives both the same life and compares what they make of it.

pub(crate) mod model;
pub(crate) mod ours;
pub(crate) mod pair;
pub(crate) mod theirs;

use fleetstorm::mqtt::packet::{PacketId, QoS};

/// Keep-alive of both clients.
pub(crate) const KEEP_ALIVE_S: u16 = 60;

/// How long both wait for a PINGRESP. Shorter than the keep-alive: while one PINGREQ has no answer
/// ours writes no second one, theirs would.
pub(crate) const PING_TIMEOUT_MS: u64 = 10_000;

/// A publish of the client; its number is in its topic and payload.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) number: u32,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

impl Outgoing {
    pub(crate) fn topic(self) -> String {
        format!("t/{}", self.number)
    }
}

/// An application message that a client hands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) qos: QoS,
    pub(crate) id: PacketId,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

/// What one client made of one packet, operation or instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reaction {
    /// Packets that it wrote, as bytes.
    pub(crate) written: Vec<Vec<u8>>,
    pub(crate) delivered: Vec<Delivered>,
    /// Identifiers whose exchange is over.
    pub(crate) completed: Vec<PacketId>,
    /// Answered requests.
    pub(crate) answered: Vec<PacketId>,
    /// The server's packet fits no exchange.
    pub(crate) unexpected: bool,
    /// It takes the peer for dead.
    pub(crate) dead: bool,
}

/// The open exchanges of a client's own publishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Open {
    /// QoS 1 without PUBACK.
    pub(crate) unacknowledged: Vec<PacketId>,
    /// QoS 2 without PUBREC.
    pub(crate) unrecorded: Vec<PacketId>,
    /// QoS 2 with PUBREC, without PUBCOMP.
    pub(crate) released: Vec<PacketId>,
}

impl Open {
    /// By identifier.
    pub(crate) fn sorted(mut self) -> Self {
        self.unacknowledged.sort_unstable();
        self.unrecorded.sort_unstable();
        self.released.sort_unstable();
        self
    }
}

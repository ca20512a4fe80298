//! The identifiers that QoS 2 keeps beside a session's publishes. Allocated when the first is
//! needed, and then kept: a receiver of QoS 2 needs it for each message.

use crate::mqtt::packet::PacketId;

/// Identifiers of QoS 2 exchanges without an [`super::Entry`].
#[derive(Debug, Default)]
pub(super) struct ExactlyOnce {
    /// Of messages that were received and not yet released, ascending. There are 65 535
    /// identifiers, so it cannot grow beyond 128 KiB.
    received: Vec<PacketId>,
    /// Of publishes that nobody knows any more but the server, in the order in which their PUBRELs
    /// are written. At most [`super::HELD_MAX`] and a window.
    abandoned: Vec<PacketId>,
}

impl ExactlyOnce {
    /// A QoS 2 message came; whether for the first time.
    pub(super) fn receive(&mut self, packet_id: PacketId) -> bool {
        match self.received.binary_search(&packet_id) {
            Ok(_) => false,
            Err(place) => {
                self.received.insert(place, packet_id);
                true
            }
        }
    }

    /// Its PUBREL came: the identifier is the server's again.
    pub(super) fn release(&mut self, packet_id: PacketId) {
        if let Ok(place) = self.received.binary_search(&packet_id) {
            self.received.remove(place);
        }
    }

    /// Reserves the identifier until its PUBCOMP. It must not be abandoned already.
    pub(super) fn abandon(&mut self, packet_id: PacketId) {
        self.abandoned.push(packet_id);
    }

    /// The PUBCOMP of `packet_id` came; whether it was an abandoned one.
    pub(super) fn complete(&mut self, packet_id: PacketId) -> bool {
        let before = self.abandoned.len();
        self.abandoned.retain(|id| *id != packet_id);
        self.abandoned.len() < before
    }

    /// The abandoned identifiers.
    pub(super) fn abandoned(&self) -> &[PacketId] {
        &self.abandoned
    }

    /// Bytes on the heap, its own included.
    pub(super) const fn bytes(&self) -> usize {
        let ids = self.received.capacity() + self.abandoned.capacity();
        size_of::<Self>() + ids * size_of::<PacketId>()
    }
}

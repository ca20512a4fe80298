//! QoS 2 messages from a client: the identifiers between PUBLISH and PUBREL (4.3.3, method B: the
//! identifier is stored, the message is handed on at once).

use super::memory::heap;
use crate::mqtt::packet::PacketId;
use smallvec::SmallVec;

/// Identifiers whose PUBREL is awaited, ascending. There are at most the 65 535 that MQTT has, which
/// is the bound.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// In place up to eight, which is more than most clients have under way.
    awaited: SmallVec<[PacketId; 8]>,
}

impl Inbound {
    /// Stores an identifier; whether it is new, and its message is to be handed on.
    pub(super) fn store(&mut self, packet_id: PacketId) -> bool {
        match self.awaited.binary_search(&packet_id) {
            Ok(_) => false,
            Err(at) => {
                self.awaited.insert(at, packet_id);
                true
            }
        }
    }

    /// PUBREL: forgets an identifier, whether it is there or not.
    pub(super) fn release(&mut self, packet_id: PacketId) {
        if let Ok(at) = self.awaited.binary_search(&packet_id) {
            self.awaited.remove(at);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Bytes of the heap, with its own allocation.
    pub(super) fn heap_bytes(&self) -> usize {
        let spilled = match self.awaited.spilled() {
            true => heap(self.awaited.capacity() * size_of::<PacketId>()),
            false => 0,
        };
        heap(size_of::<Self>()) + spilled
    }
}

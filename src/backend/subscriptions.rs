//! SUBSCRIBE and UNSUBSCRIBE.

use super::slab::Index;
use super::topic::is_filter;
use super::{Backend, Output};
use crate::mqtt::packet::{Packet, PacketId, QoS};

impl Backend {
    /// Grants each filter, in order, the QoS it asks for, or refuses it (3.8.4-5, 3.9.3-1). A filter
    /// that the client has is renewed (3.8.4-3).
    pub(super) fn subscribe(
        &mut self,
        index: Index,
        session_index: Index,
        packet_id: PacketId,
        filters: &[(String, QoS)],
        out: &mut Vec<Output>,
    ) {
        let Some(session) = self.sessions.get_mut(session_index) else {
            return;
        };
        if filters.is_empty() || packet_id == 0 {
            self.protocol_error(index, out);
            return;
        }
        let mut granted = Vec::with_capacity(filters.len());
        for (filter, requested) in filters {
            if !is_filter(filter) {
                self.counts.subscriptions_refused += 1;
                granted.push(None);
                continue;
            }
            let qos = *requested;
            if let Some(new) = self.routes.subscribe(filter, session_index, qos) {
                session.add_filter(new);
            }
            self.counts.subscriptions_granted += 1;
            granted.push(Some(qos));
        }
        self.send(index, Packet::SubAck { packet_id, granted }, out);
    }

    /// Ends subscriptions; what is on its way to the client still reaches it (3.10.4-3). A filter that
    /// the client does not have is no error (3.10.4-5).
    pub(super) fn unsubscribe(
        &mut self,
        index: Index,
        session_index: Index,
        packet_id: PacketId,
        filters: &[String],
        out: &mut Vec<Output>,
    ) {
        let Some(session) = self.sessions.get_mut(session_index) else {
            return;
        };
        if filters.is_empty() || packet_id == 0 {
            self.protocol_error(index, out);
            return;
        }
        for filter in filters {
            let Some(found) = self.routes.find(filter) else {
                continue;
            };
            if let Some(at) = session.filters.iter().position(|f| *f == found) {
                session.filters.swap_remove(at);
                self.routes.unsubscribe(found, session_index);
            }
        }
        self.send(index, Packet::UnsubAck(packet_id), out);
    }
}

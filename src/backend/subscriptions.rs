//! SUBSCRIBE and UNSUBSCRIBE.

use super::outbound::Parcel;
use super::slab::Index;
use super::topic::{is_filter, is_sys};
use super::{Backend, Output};
use crate::mqtt::packet::{Packet, PacketId, QoS};
use crate::time::Instant;
use std::sync::Arc;

impl Backend {
    /// Grants each filter, in order, the QoS it asks for, or refuses it (3.8.4-5, 3.9.3-1). A filter
    /// that the client has is renewed (3.8.4-3).
    pub(super) fn subscribe(
        &mut self,
        now: Instant,
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
        let answer = Packet::SubAck {
            packet_id,
            granted: granted.clone(),
        };
        self.send(index, answer, out);
        for (granted, (filter, _)) in granted.into_iter().zip(filters) {
            match granted {
                Some(_) if is_sys(filter) => self.sys_subscribed(now, session_index, filter, out),
                Some(granted) => self.send_retained(session_index, filter, granted, out),
                None => {}
            }
        }
    }

    /// A new or renewed subscription gets the retained messages that it matches (3.3.1-6, 3.8.4-3),
    /// with the retain flag (3.3.1-8), at the lower QoS. Each filter gets its own, even if the client
    /// has another that matches the same topic.
    fn send_retained(&mut self, session: Index, filter: &str, granted: QoS, out: &mut Vec<Output>) {
        let Some(session) = self.sessions.get_mut(session) else {
            return;
        };
        self.retained.each_matching(filter, |qos, message| {
            let parcel = Parcel {
                qos: qos.min(granted),
                retain: true,
                message: Arc::clone(message),
            };
            self.counts.retained_matched += 1;
            session.deliver(parcel, &self.connections, &mut self.counts, out);
        });
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
        self.end_sys();
        self.send(index, Packet::UnsubAck(packet_id), out);
    }
}

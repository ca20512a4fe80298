//! The way of a message through the broker: from a PUBLISH to the sessions it reaches, and the
//! acknowledgements on either side.

use super::counts::AckFate;
use super::faults::{DelayedAck, PublishAck};
use super::me::owner_len;
use super::outbound::{DeliveryAck, Parcel};
use super::routing::Route;
use super::slab::Index;
use super::topic::{is_sys, is_topic};
use super::{Backend, Message, Output};
use crate::mqtt::packet::{Packet, PacketId, Publish, QoS};
use crate::scenario::plan::Me;
use crate::time::Instant;
use bytes::Bytes;
use std::sync::Arc;

impl Backend {
    /// A PUBLISH takes effect: it is routed and acknowledged. One of QoS 2 is routed when its
    /// identifier is stored (4.3.3, method B): while it is, the same identifier is the same message.
    pub(super) fn publish_received(
        &mut self,
        now: Instant,
        index: Index,
        session: Index,
        publish: &Publish<'_>,
        out: &mut Vec<Output>,
    ) {
        if !is_sound(publish) {
            self.protocol_error(index, out);
            return;
        }
        match publish.qos {
            QoS::AtMostOnce => self.route_publish(publish, Some(index), out),
            QoS::AtLeastOnce => {
                let lost = self.route_unless_lost(publish, index, out);
                self.acknowledge(now, index, PublishAck::PubAck, publish.packet_id, lost, out);
            }
            QoS::ExactlyOnce => {
                let session = self.sessions.get_mut(session);
                let is_new =
                    session.is_some_and(|session| session.store_inbound(publish.packet_id));
                let lost = if is_new {
                    self.route_unless_lost(publish, index, out)
                } else {
                    self.count_publish(publish);
                    self.counts.publishes_qos2_duplicates += 1;
                    Lost::No
                };
                self.acknowledge(now, index, PublishAck::PubRec, publish.packet_id, lost, out);
            }
        }
    }

    /// A PUBLISH takes effect whose connection has ended: there is nobody to acknowledge it to. One
    /// of QoS 2 has no effect: its client has no PUBREC and sends it again, perhaps has done so by
    /// now on another connection, and would have it routed twice.
    pub(super) fn publish_left_behind(&mut self, publish: &Publish<'_>, out: &mut Vec<Output>) {
        if !is_sound(publish) {
            self.counts.protocol_errors += 1;
            return;
        }
        match publish.qos {
            QoS::AtMostOnce => self.route_publish(publish, None, out),
            QoS::AtLeastOnce => {
                self.route_publish(publish, None, out);
                self.counts
                    .count_ack(PublishAck::PubAck, AckFate::Undeliverable);
            }
            QoS::ExactlyOnce => self.counts.publishes_qos2_left_behind += 1,
        }
    }

    /// PUBREL: the identifier is free. PUBCOMP is due whether it was stored or not, since the one
    /// before may have been lost (4.3.3-2).
    pub(super) fn publish_released(
        &mut self,
        index: Index,
        session: Index,
        packet_id: PacketId,
        out: &mut Vec<Output>,
    ) {
        self.counts.pubrels_received += 1;
        if let Some(session) = self.sessions.get_mut(session) {
            session.release_inbound(packet_id);
        }
        self.counts.pubcomps_sent += 1;
        self.send(index, Packet::PubComp(packet_id), out);
    }

    /// A subscriber acknowledges a delivery.
    pub(super) fn delivery_acked(
        &mut self,
        index: Index,
        session: Index,
        ack: DeliveryAck,
        packet_id: PacketId,
        out: &mut Vec<Output>,
    ) {
        match ack {
            DeliveryAck::Ack => {}
            DeliveryAck::Rec => self.counts.pubrecs_received += 1,
            DeliveryAck::Comp => self.counts.pubcomps_received += 1,
        }
        let Some(session) = self.sessions.get_mut(session) else {
            return;
        };
        if !session.acked(ack, packet_id, &self.connections, &mut self.counts, out) {
            self.protocol_error(index, out);
        }
    }

    /// Sends an acknowledgement that was held back.
    pub(super) fn send_delayed(&mut self, delayed: DelayedAck, out: &mut Vec<Output>) {
        let DelayedAck {
            conn,
            ack,
            packet_id,
            ..
        } = delayed;
        if self.connections.find(conn).is_some() {
            self.counts.count_ack(ack, AckFate::Sent);
            out.push(Output::Send(conn, ack.packet(packet_id)));
        } else {
            self.counts.count_ack(ack, AckFate::Undeliverable);
        }
    }

    /// Hands a message to every session that its topic reaches. See [`Routes::matching`] for the hint
    /// and for what is given back.
    ///
    /// [`Routes::matching`]: super::routing::Routes::matching
    pub(super) fn route(
        &mut self,
        publish: &Publish<'_>,
        hint: Option<Route>,
        out: &mut Vec<Output>,
    ) -> Option<Route> {
        if is_sys(publish.topic) {
            // The backend's own topics: nobody else speaks there.
            self.counts.publishes_to_sys += 1;
            return hint;
        }
        let retained = match publish.retain {
            true => self.retain(publish),
            false => None,
        };
        let route = self.routes.matching(publish.topic, hint, &mut self.matched);
        if self.matched.is_empty() {
            self.counts.publishes_unrouted += 1;
            return route;
        }
        let message = retained.unwrap_or_else(|| self.message(publish));
        for &(session, granted) in &self.matched {
            if let Some(session) = self.sessions.get_mut(session) {
                let parcel = Parcel {
                    qos: publish.qos.min(granted),
                    // To an established subscription it is always clear (3.3.1-9).
                    retain: false,
                    message: Arc::clone(&message),
                };
                session.deliver(parcel, &self.connections, &mut self.counts, out);
            }
        }
        route
    }

    /// What is handed on of a PUBLISH.
    fn message(&self, publish: &Publish<'_>) -> Arc<Message> {
        Arc::new(Message {
            topic: publish.topic.into(),
            owner_len: match self.me {
                Me::Shared => 0,
                Me::PerConnection => owner_len(publish.topic),
            },
            payload: self.payload_of(publish),
        })
    }

    /// The payload of a PUBLISH: shared, if it is the one at hand and that one is; else a copy.
    pub(super) fn payload_of(&self, publish: &Publish<'_>) -> Bytes {
        match &self.shared {
            // The same bytes, not equal ones: nothing is compared.
            Some(shared) if std::ptr::eq::<[u8]>(&**shared, publish.payload) => {
                Bytes::clone(shared)
            }
            Some(_) | None => Bytes::copy_from_slice(publish.payload),
        }
    }

    /// The message becomes the retained one of its topic, or, if it is empty, ends that one
    /// (3.3.1-10, 3.3.1-11). What is stored is given back, to be shared.
    fn retain(&mut self, publish: &Publish<'_>) -> Option<Arc<Message>> {
        if publish.payload.is_empty() {
            self.counts.retained_deleted += u64::from(self.retained.delete(publish.topic));
            return None;
        }
        let message = self.message(publish);
        let stored = self.retained.store(publish.qos, &message);
        self.counts.retained_stored += u64::from(stored);
        self.counts.retained_not_stored += u64::from(!stored);
        Some(message)
    }

    /// Routes a publish at QoS 1 or 2, unless a fault loses it: then nothing of it is left but the
    /// acknowledgement.
    fn route_unless_lost(
        &mut self,
        publish: &Publish<'_>,
        from: Index,
        out: &mut Vec<Output>,
    ) -> Lost {
        if publish.dup || !self.faults.loses() {
            self.route_publish(publish, Some(from), out);
            return Lost::No;
        }
        self.count_publish(publish);
        self.counts.publishes_lost += 1;
        Lost::Yes
    }

    /// `from` is the publisher's connection, if it has one.
    fn route_publish(&mut self, publish: &Publish<'_>, from: Option<Index>, out: &mut Vec<Output>) {
        self.count_publish(publish);
        let connection = from.and_then(|index| self.connections.get(index));
        let hint = connection.and_then(|c| c.latest_route);
        let route = self.route(publish, hint, out);
        if let Some(index) = from
            && route != hint
        {
            self.connections.set_latest_route(index, route);
        }
    }

    fn count_publish(&mut self, publish: &Publish<'_>) {
        self.counts.publishes_received += 1;
        self.counts.publishes_received_qos1 += u64::from(publish.qos == QoS::AtLeastOnce);
        self.counts.publishes_received_qos2 += u64::from(publish.qos == QoS::ExactlyOnce);
        self.counts.publishes_received_dup += u64::from(publish.dup);
    }

    fn acknowledge(
        &mut self,
        now: Instant,
        index: Index,
        ack: PublishAck,
        packet_id: PacketId,
        lost: Lost,
        out: &mut Vec<Output>,
    ) {
        // Lost is what is acknowledged: no `drop_ack` takes that back.
        if lost == Lost::No && self.faults.drops_ack() {
            self.counts.count_ack(ack, AckFate::Dropped);
            return;
        }
        let Some(delay) = self.faults.ack_delay() else {
            self.counts.count_ack(ack, AckFate::Sent);
            self.send(index, ack.packet(packet_id), out);
            return;
        };
        let Some(conn) = self.connections.get(index).map(|c| c.id) else {
            return;
        };
        let at = now.after(delay);
        if let Some(early) = self.delayed_acks.push(at, conn, ack, packet_id) {
            self.counts.ack_delay_full += 1;
            self.send_delayed(early, out);
        }
    }
}

/// Whether a fault has lost a publish.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Lost {
    Yes,
    No,
}

impl PublishAck {
    const fn packet(self, packet_id: PacketId) -> Packet<'static> {
        match self {
            Self::PubAck => Packet::PubAck(packet_id),
            Self::PubRec => Packet::PubRec(packet_id),
        }
    }
}

/// Whether MQTT allows this PUBLISH (2.3.1-1, 3.3.2-2).
fn is_sound(publish: &Publish<'_>) -> bool {
    let needs_id = publish.qos != QoS::AtMostOnce;
    (!needs_id || publish.packet_id != 0) && is_topic(publish.topic)
}

//! The broker's law, packet by packet: CONNECT, takeover, subscriptions, routing, acknowledgement,
//! wills. What comes here has passed the faults.

use super::connections::State;
use super::faults::DelayedAck;
use super::held::Held;
use super::routing::Route;
use super::session::StoredWill;
use super::slab::Index;
use super::topic::{is_filter, is_topic};
use super::{Backend, Input, Message, Output};
use crate::mqtt::packet::{Connect, ConnectCode, Packet, PacketId, Publish, QoS};
use crate::time::Instant;
use std::sync::Arc;

impl Backend {
    /// Takes an input of a connection.
    pub(super) fn step(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        match input {
            Input::Opened(conn) => {
                self.counts.connections_opened += 1;
                self.connections.open(now, conn);
            }
            Input::Received(conn, packet) => match self.connections.find(conn) {
                Some(index) => self.received(now, index, packet, out),
                None => self.counts.inputs_after_close += 1,
            },
            Input::Closed(conn) => match self.connections.find(conn) {
                // It closes in its turn: what was sent before it is still under way.
                Some(_) if self.says_goodbye(conn) => {}
                Some(index) => self.connection_lost(index, out),
                None => self.counts.inputs_after_close += 1,
            },
            Input::Timeout | Input::FaultStart(..) | Input::FaultClear(_) => {}
        }
    }

    /// Its deadline has passed: no CONNECT, or nothing for 1.5 x keep-alive.
    pub(super) fn expired(&mut self, index: Index, out: &mut Vec<Output>) {
        match self.connections.get(index).map(|c| c.state) {
            Some(State::Opened) => self.counts.connect_timeouts += 1,
            Some(State::Serving(_)) => self.counts.keep_alive_expired += 1,
            Some(State::Queued | State::Connecting) | None => {}
        }
        self.close(index, out);
    }

    /// Sends a PUBACK that was held back.
    pub(super) fn send_delayed(&mut self, ack: DelayedAck, out: &mut Vec<Output>) {
        if self.connections.find(ack.conn).is_some() {
            self.counts.pubacks_sent += 1;
            out.push(Output::Send(ack.conn, Packet::PubAck(ack.packet_id)));
        } else {
            self.counts.pubacks_undeliverable += 1;
        }
    }

    /// Removes a session with its subscriptions.
    pub(super) fn drop_session(&mut self, index: Index) {
        let Some(session) = self.sessions.remove(index) else {
            return;
        };
        for filter in session.filters {
            self.routes.unsubscribe(filter, index);
        }
    }

    fn received(&mut self, now: Instant, index: Index, packet: Packet<'_>, out: &mut Vec<Output>) {
        let Some(connection) = self.connections.get(index) else {
            return;
        };
        let conn = connection.id;
        let state = connection.state;
        self.connections.heard(now, index);
        match (state, packet) {
            (State::Opened, Packet::Connect(connect)) => self.connect(now, index, connect, out),
            // Only a CONNECT comes first (3.1), and only once.
            (State::Opened, _) | (State::Queued | State::Connecting, Packet::Connect(_)) => {
                self.protocol_error(index, out);
            }
            (State::Queued | State::Connecting, packet) => {
                if !self.early.push(conn, Held::received(conn, packet)) {
                    self.protocol_error(index, out);
                }
            }
            (State::Serving(session), packet) if self.service.is_some() => {
                self.serve_in_order(now, conn, index, session, packet, out);
            }
            (State::Serving(session), packet) => self.serve(now, index, session, packet, out),
        }
    }

    /// Handles a packet of a client with a session.
    pub(super) fn serve(
        &mut self,
        now: Instant,
        index: Index,
        session: Index,
        packet: Packet<'_>,
        out: &mut Vec<Output>,
    ) {
        match packet {
            Packet::Publish(publish) => self.publish_received(now, index, &publish, out),
            Packet::PubAck(packet_id) => {
                if let Some(session) = self.sessions.get_mut(session) {
                    session.acked(packet_id, &self.connections, &mut self.counts, out);
                }
            }
            Packet::Subscribe { packet_id, filters } => {
                self.subscribe(index, session, packet_id, &filters, out);
            }
            Packet::Unsubscribe { packet_id, filters } => {
                self.unsubscribe(index, session, packet_id, &filters, out);
            }
            Packet::PingReq => self.send(index, Packet::PingResp, out),
            Packet::Disconnect => {
                if let Some(session) = self.sessions.get_mut(session) {
                    session.will = None;
                }
                self.close(index, out);
            }
            Packet::Connect(_)
            | Packet::ConnAck { .. }
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::SubAck { .. }
            | Packet::UnsubAck(_)
            | Packet::PingResp => self.protocol_error(index, out),
        }
    }

    /// Gives the client its session.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        index: Index,
        connect: &Connect,
        out: &mut Vec<Output>,
    ) {
        let clean = connect.clean_session;
        if connect.client_id.is_empty() && !clean {
            self.refuse(index, ConnectCode::IdentifierRejected, out);
            return;
        }
        let will = connect.will.as_ref();
        if will.is_some_and(|w| !is_topic(&w.topic) || w.topic.len() > usize::from(u16::MAX)) {
            self.counts.connects_malformed += 1;
            self.protocol_error(index, out);
            return;
        }
        let client_id = self.client_id(connect);
        self.take_over(&client_id, clean, out);
        let known = self.sessions.find(&client_id);
        let session_index = known.unwrap_or_else(|| self.sessions.insert(&client_id));
        let Some(session) = self.sessions.get_mut(session_index) else {
            return;
        };
        session.clean = clean;
        session.connection = Some(index);
        session.will = will.map(StoredWill::new);
        let serving = State::Serving(session_index);
        self.connections.heard(now, index);
        self.connections
            .set_state(index, serving, connect.keep_alive_s);
        self.counts.connects_accepted += 1;
        self.counts.sessions_resumed += u64::from(known.is_some());
        let accepted = Packet::ConnAck {
            session_present: known.is_some(),
            code: ConnectCode::Accepted,
        };
        self.send(index, accepted, out);
        if let Some(session) = self.sessions.get_mut(session_index) {
            session.resume(&self.connections, &mut self.counts, out);
        }
    }

    /// Ends what the client has left from before: its old connection, and its session if the new
    /// one is clean.
    fn take_over(&mut self, client_id: &str, clean: bool, out: &mut Vec<Output>) {
        let old = self.sessions.find(client_id);
        let old = old.and_then(|i| self.sessions.get_mut(i)?.connection);
        if let Some(connection) = old {
            self.counts.takeovers += 1;
            self.close(connection, out);
        }
        if clean && let Some(old) = self.sessions.find(client_id) {
            self.drop_session(old);
        }
    }

    /// A client without an identifier gets one (3.1.3.1).
    fn client_id(&mut self, connect: &Connect) -> String {
        if !connect.client_id.is_empty() {
            return connect.client_id.clone();
        }
        self.assigned_ids += 1;
        format!("assigned-{}-{}", self.node, self.assigned_ids)
    }

    /// A PUBLISH takes effect: it is routed and acknowledged.
    pub(super) fn publish_received(
        &mut self,
        now: Instant,
        index: Index,
        publish: &Publish<'_>,
        out: &mut Vec<Output>,
    ) {
        if !is_sound(publish) {
            self.protocol_error(index, out);
            return;
        }
        self.route_publish(publish, Some(index), out);
        if publish.qos == QoS::AtLeastOnce {
            self.acknowledge(now, index, publish.packet_id, out);
        }
    }

    /// A PUBLISH takes effect whose connection has ended: there is nobody to acknowledge it to.
    pub(super) fn publish_left_behind(&mut self, publish: &Publish<'_>, out: &mut Vec<Output>) {
        if !is_sound(publish) {
            self.counts.protocol_errors += 1;
            return;
        }
        self.route_publish(publish, None, out);
        self.counts.pubacks_undeliverable += u64::from(publish.qos == QoS::AtLeastOnce);
    }

    /// `from` is the publisher's connection, if it has one.
    fn route_publish(&mut self, publish: &Publish<'_>, from: Option<Index>, out: &mut Vec<Output>) {
        self.counts.publishes_received += 1;
        self.counts.publishes_received_qos1 += u64::from(publish.qos == QoS::AtLeastOnce);
        self.counts.publishes_received_dup += u64::from(publish.dup);
        let connection = from.and_then(|index| self.connections.get(index));
        let hint = connection.and_then(|c| c.latest_route);
        let route = self.route(publish, hint, out);
        if let Some(index) = from
            && route != hint
        {
            self.connections.set_latest_route(index, route);
        }
    }

    fn acknowledge(
        &mut self,
        now: Instant,
        index: Index,
        packet_id: PacketId,
        out: &mut Vec<Output>,
    ) {
        if self.faults.drops_ack() {
            self.counts.pubacks_dropped += 1;
            return;
        }
        let Some(delay) = self.faults.ack_delay() else {
            self.counts.pubacks_sent += 1;
            self.send(index, Packet::PubAck(packet_id), out);
            return;
        };
        let Some(conn) = self.connections.get(index).map(|c| c.id) else {
            return;
        };
        if let Some(early) = self.delayed_acks.push(now.after(delay), conn, packet_id) {
            self.counts.ack_delay_full += 1;
            self.send_delayed(early, out);
        }
    }

    /// Hands a message to every session that its topic reaches. See [`Routes::matching`] for the hint
    /// and for what is given back.
    pub(super) fn route(
        &mut self,
        publish: &Publish<'_>,
        hint: Option<Route>,
        out: &mut Vec<Output>,
    ) -> Option<Route> {
        self.counts.retained_not_stored += u64::from(publish.retain);
        let route = self.routes.matching(publish.topic, hint, &mut self.matched);
        if self.matched.is_empty() {
            self.counts.publishes_unrouted += 1;
            return route;
        }
        let message = Arc::new(Message {
            topic: publish.topic.into(),
            payload: publish.payload.into(),
        });
        for &(session, granted) in &self.matched {
            if let Some(session) = self.sessions.get_mut(session) {
                let qos = publish.qos.min(granted);
                session.deliver(qos, &message, &self.connections, &mut self.counts, out);
            }
        }
        route
    }

    fn subscribe(
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
            let qos = (*requested).min(QoS::AtLeastOnce);
            if let Some(new) = self.routes.subscribe(filter, session_index, qos) {
                session.add_filter(new);
            }
            self.counts.subscriptions_granted += 1;
            granted.push(Some(qos));
        }
        self.send(index, Packet::SubAck { packet_id, granted }, out);
    }

    fn unsubscribe(
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

    pub(super) fn refuse(&mut self, index: Index, code: ConnectCode, out: &mut Vec<Output>) {
        self.counts.connects_refused += 1;
        let refused = Packet::ConnAck {
            session_present: false,
            code,
        };
        self.send(index, refused, out);
        self.close(index, out);
    }

    pub(super) fn protocol_error(&mut self, index: Index, out: &mut Vec<Output>) {
        self.counts.protocol_errors += 1;
        self.close(index, out);
    }

    fn send(&self, index: Index, packet: Packet<'static>, out: &mut Vec<Output>) {
        if let Some(connection) = self.connections.get(index) {
            out.push(Output::Send(connection.id, packet));
        }
    }

    /// Closes a connection; what was written still goes out.
    pub(super) fn close(&mut self, index: Index, out: &mut Vec<Output>) {
        if let Some(connection) = self.connections.get(index) {
            let conn = connection.id;
            out.push(Output::Close { conn, reset: false });
        }
        self.connection_lost(index, out);
    }

    /// A connection is gone: its session ends if it is clean, and its will is published unless
    /// DISCONNECT has discarded it.
    fn connection_lost(&mut self, index: Index, out: &mut Vec<Output>) {
        let Some(connection) = self.connections.remove(index) else {
            return;
        };
        let said_goodbye = self.says_goodbye(connection.id);
        self.leave_jobs(connection.id, connection.state);
        let session_index = match connection.state {
            State::Opened | State::Queued | State::Connecting => return,
            State::Serving(session_index) => session_index,
        };
        let Some(session) = self.sessions.get_mut(session_index) else {
            return;
        };
        session.connection = None;
        let will = session.will.take().filter(|_| !said_goodbye);
        if session.clean {
            self.drop_session(session_index);
        }
        if let Some(will) = will {
            self.counts.wills_published += 1;
            let (topic, payload) = will.parts();
            let publish = Publish {
                dup: false,
                qos: will.qos(),
                retain: will.retain(),
                packet_id: 0,
                topic,
                payload,
            };
            self.route(&publish, None, out);
        }
    }
}

/// Whether MQTT, and QoS 1 at most, allow this PUBLISH.
fn is_sound(publish: &Publish<'_>) -> bool {
    let qos_is_sound = match publish.qos {
        QoS::AtMostOnce => true,
        QoS::AtLeastOnce => publish.packet_id != 0,
        QoS::ExactlyOnce => false,
    };
    qos_is_sound && is_topic(publish.topic)
}

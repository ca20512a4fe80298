//! The broker's law, packet by packet: CONNECT, takeover, what each packet is for, wills. What comes
//! here has passed the faults; see `publish` and `subscriptions` for what fills those two.

use super::connections::State;
use super::me::{may_own, will_inside};
use super::outbound::DeliveryAck;
use super::slab::Index;
use super::topic::is_topic;
use super::will::StoredWill;
use super::{Backend, ConnId, Input, Output};
use crate::mqtt::packet::{Connect, ConnectCode, Packet, Will};
use crate::scenario::plan::Me;
use crate::time::Instant;
use std::borrow::Cow;

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
            Input::Published(..)
            | Input::Timeout
            | Input::FaultStart(..)
            | Input::FaultClear(_) => {}
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

    /// Removes a session with its subscriptions.
    pub(super) fn drop_session(&mut self, index: Index) {
        let Some(session) = self.sessions.remove(index) else {
            return;
        };
        for filter in session.filters {
            self.routes.unsubscribe(filter, index);
        }
        self.end_sys();
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
                let held = self.held(conn, packet);
                if !self.early.push(conn, held) {
                    self.protocol_error(index, out);
                }
            }
            (State::Serving(session), packet) => match self.me {
                Me::Shared => self.take_on(now, conn, index, session, packet, out),
                Me::PerConnection => self.take_on_own(now, conn, index, session, packet, out),
            },
        }
    }

    /// A packet of a client with a session came: it takes effect now, or in its turn.
    pub(super) fn take_on(
        &mut self,
        now: Instant,
        conn: ConnId,
        index: Index,
        session: Index,
        packet: Packet<'_>,
        out: &mut Vec<Output>,
    ) {
        match self.service.is_some() {
            true => self.serve_in_order(now, conn, index, session, packet, out),
            false => self.serve(now, index, session, packet, out),
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
            Packet::Publish(publish) => self.publish_received(now, index, session, &publish, out),
            Packet::PubAck(id) => self.delivery_acked(index, session, DeliveryAck::Ack, id, out),
            Packet::PubRec(id) => self.delivery_acked(index, session, DeliveryAck::Rec, id, out),
            Packet::PubComp(id) => {
                self.delivery_acked(index, session, DeliveryAck::Comp, id, out);
            }
            Packet::PubRel(packet_id) => self.publish_released(index, session, packet_id, out),
            Packet::Subscribe { packet_id, filters } => {
                self.subscribe(now, index, session, packet_id, &filters, out);
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
        let client_id = self.client_id(connect);
        let will = connect.will.as_ref();
        let will = match self.me {
            Me::Shared => will.map(Cow::Borrowed),
            Me::PerConnection if !may_own(&client_id) => {
                self.refuse(index, ConnectCode::IdentifierRejected, out);
                return;
            }
            Me::PerConnection => will.map(|will| Cow::Owned(will_inside(&client_id, will))),
        };
        let is_bad =
            |w: &Cow<'_, Will>| !is_topic(&w.topic) || w.topic.len() > usize::from(u16::MAX);
        if will.as_ref().is_some_and(is_bad) {
            self.counts.connects_malformed += 1;
            self.protocol_error(index, out);
            return;
        }
        self.take_over(&client_id, clean, out);
        let known = self.sessions.find(&client_id);
        let session_index = known.unwrap_or_else(|| self.sessions.insert(&client_id));
        let Some(session) = self.sessions.get_mut(session_index) else {
            return;
        };
        session.clean = clean;
        session.connection = Some(index);
        session.will = will.map(|will| StoredWill::new(&will));
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
        self.sys_resumed(now, session_index);
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

    pub(super) fn send(&self, index: Index, packet: Packet<'static>, out: &mut Vec<Output>) {
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
        session.disconnected();
        let will = session.will.take().filter(|_| !said_goodbye);
        if session.clean {
            self.drop_session(session_index);
        }
        if let Some(will) = will {
            self.counts.wills_published += 1;
            self.route(&will.as_publish(), None, out);
        }
    }
}

//! The way of a CONNECT through admission and the work queue to its CONNACK, and of a PUBLISH through
//! the work queue: what the broker's law does when a job comes, is done, or loses its client.

use super::admission::{Admitted, Verdict};
use super::connections::State;
use super::held::{Job, Work};
use super::lanes::{Due, Follow};
use super::slab::Index;
use super::{Backend, ConnId, Output};
use crate::mqtt::packet::{Connect, ConnectCode, Packet};
use crate::time::Instant;

impl Backend {
    /// A CONNECT came.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        index: Index,
        connect: Box<Connect>,
        out: &mut Vec<Output>,
    ) {
        self.counts.connects_received += 1;
        let Some(conn) = self.connections.get(index).map(|c| c.id) else {
            return;
        };
        if self.faults.is_refusing() {
            self.refuse(index, ConnectCode::ServerUnavailable, out);
            return;
        }
        match self.admission.offer(now, conn, connect) {
            Verdict::Now(connect) => self.admitted(now, conn, index, connect, out),
            Verdict::Queued => {
                self.counts.connects_queued += 1;
                self.connections.set_state(index, State::Queued, 0);
            }
            Verdict::Full => {
                self.counts.accept_queue_full += 1;
                self.refuse(index, ConnectCode::ServerUnavailable, out);
            }
        }
    }

    /// Admits the CONNECTs whose turn has come.
    pub(super) fn admit_due(&mut self, now: Instant, out: &mut Vec<Output>) {
        loop {
            let connections = &self.connections;
            let next = self
                .admission
                .next_due(now, |conn| connections.find(conn).is_some());
            let Some(Admitted {
                conn,
                connect,
                client_has_left,
            }) = next
            else {
                return;
            };
            match self.connections.find(conn) {
                Some(index) if !client_has_left => {
                    if self.leaves_the_queue(now, conn, index, out) {
                        self.admitted(now, conn, index, connect, out);
                    }
                }
                Some(_) | None => self.admitted_for_nothing(now, conn, connect),
            }
        }
    }

    /// What is done by `now` takes effect.
    pub(super) fn finish_jobs(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let Some(due) = self.service.as_mut().and_then(|s| s.next_due(now)) {
            self.take_effect(now, due, out);
        }
    }

    /// When the next job is done.
    pub(super) fn next_job_end(&self) -> Instant {
        self.service
            .as_ref()
            .map_or(Instant::NEVER, |service| service.poll_timeout())
    }

    /// A packet of a client with a session came to a node where work costs time: it never takes
    /// effect before an earlier one of the same connection.
    pub(super) fn serve_in_order(
        &mut self,
        now: Instant,
        conn: ConnId,
        index: Index,
        session: Index,
        packet: Packet<'_>,
        out: &mut Vec<Output>,
    ) {
        if !self
            .service
            .as_ref()
            .is_some_and(|s| s.works_on_publishes())
        {
            self.serve(now, index, session, packet, out);
            return;
        }
        if let Packet::Publish(publish) = &packet {
            let job = Job::Publish(self.held_publish(publish));
            let service = self.service.as_mut();
            if !service.is_some_and(|service| service.offer(now, conn, job, false)) {
                self.close(index, out);
            }
            return;
        }
        let is_goodbye = matches!(packet, Packet::Disconnect);
        let Some(service) = self.service.as_mut() else {
            return;
        };
        match service.follow(conn, packet) {
            Follow::Free(packet) => self.serve(now, index, session, packet, out),
            // Nothing more is to come, so silence means nothing.
            Follow::Waits if is_goodbye => {
                self.connections
                    .set_state(index, State::Serving(session), 0);
            }
            Follow::Waits => {}
            Follow::Full => self.close(index, out),
        }
    }

    /// Whether the client has said DISCONNECT, which waits for what came before it.
    pub(super) fn says_goodbye(&self, conn: ConnId) -> bool {
        self.service.as_ref().is_some_and(|s| s.says_goodbye(conn))
    }

    /// A connection has ended, in this state.
    pub(super) fn leave_jobs(&mut self, conn: ConnId, state: State) {
        match state {
            State::Opened => return,
            State::Queued => {
                self.counts.connects_abandoned += 1;
                self.early.take(conn);
                let connections = &self.connections;
                self.admission.left(|conn| connections.find(conn).is_some());
            }
            State::Connecting => {
                self.counts.connects_abandoned += 1;
                self.early.take(conn);
            }
            State::Serving(_) => {}
        }
        if let Some(service) = &mut self.service {
            service.left(conn);
        }
    }

    /// The workers stand still.
    pub(super) fn stall_jobs(&mut self, now: Instant) {
        if let Some(service) = &mut self.service {
            service.stall(now);
        }
    }

    /// The workers go on.
    pub(super) fn resume_jobs(&mut self, now: Instant) {
        if let Some(service) = &mut self.service {
            service.resume(now);
        }
    }

    /// The node goes down with all that it was at.
    pub(super) fn forget_jobs(&mut self) {
        if let Some(service) = &mut self.service {
            self.counts.connects_abandoned += service.clear();
        }
    }

    /// A CONNECT is admitted: it is worked on, or takes effect at once.
    fn admitted(
        &mut self,
        now: Instant,
        conn: ConnId,
        index: Index,
        connect: Box<Connect>,
        out: &mut Vec<Output>,
    ) {
        let Some(service) = self.service.as_mut().filter(|s| s.works_on_connects()) else {
            self.connected(now, conn, index, &connect, out);
            return;
        };
        if service.offer(now, conn, Job::Connect(connect), false) {
            self.connections.set_state(index, State::Connecting, 0);
        } else {
            self.early.take(conn);
            self.refuse(index, ConnectCode::ServerUnavailable, out);
        }
    }

    /// A CONNECT is admitted whose client has left unnoticed.
    fn admitted_for_nothing(&mut self, now: Instant, conn: ConnId, connect: Box<Connect>) {
        match self.service.as_mut().filter(|s| s.works_on_connects()) {
            Some(service) => {
                service.offer(now, conn, Job::Connect(connect), true);
            }
            None => self.counts.connects_served_after_client_left += 1,
        }
    }

    /// A CONNECT has waited long enough; `false` if it is refused all the same.
    fn leaves_the_queue(
        &mut self,
        now: Instant,
        conn: ConnId,
        index: Index,
        out: &mut Vec<Output>,
    ) -> bool {
        self.connections.heard(now, index);
        self.connections.set_state(index, State::Opened, 0);
        let is_refusing = self.faults.is_refusing();
        if is_refusing {
            self.early.take(conn);
            self.refuse(index, ConnectCode::ServerUnavailable, out);
        }
        !is_refusing
    }

    /// A CONNECT takes effect, then what its client has sent ahead.
    fn connected(
        &mut self,
        now: Instant,
        conn: ConnId,
        index: Index,
        connect: &Connect,
        out: &mut Vec<Output>,
    ) {
        self.admit(now, index, connect, out);
        for held in self.early.take(conn) {
            self.step_held(now, &held, out);
        }
    }

    fn take_effect(&mut self, now: Instant, due: Due, out: &mut Vec<Output>) {
        let conn = due.conn;
        let index = self.connections.find(conn).filter(|_| !due.client_has_left);
        match (due.work, index) {
            (Work::Job(Job::Connect(connect)), Some(index)) => {
                if self.leaves_the_queue(now, conn, index, out) {
                    self.connected(now, conn, index, &connect, out);
                }
            }
            (Work::Job(Job::Connect(_)), None) => {
                self.counts.connects_served_after_client_left += 1;
            }
            (Work::Job(Job::Publish(publish)), Some(index)) => {
                if let Some(session) = self.session_of(index) {
                    self.shared = Some(publish.payload());
                    self.publish_received(now, index, session, &publish.borrow(), out);
                    self.shared = None;
                }
            }
            (Work::Job(Job::Publish(publish)), None) => {
                self.shared = Some(publish.payload());
                self.publish_left_behind(&publish.borrow(), out);
                self.shared = None;
            }
            (Work::Follower(packet), Some(index)) => {
                if let Some(session) = self.session_of(index) {
                    self.serve(now, index, session, packet, out);
                }
            }
            // They are dropped with their connection.
            (Work::Follower(_), None) => {}
        }
    }
    /// The session that a connection serves; while it has jobs of PUBLISHes it serves one.
    fn session_of(&self, index: Index) -> Option<Index> {
        match self.connections.get(index)?.state {
            State::Serving(session) => Some(session),
            State::Opened | State::Queued | State::Connecting => None,
        }
    }
}

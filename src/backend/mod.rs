//! The reference backend: a sans-IO MQTT broker core with a service law and faults. One state
//! machine with two uses: the simulator's model, and (served over TCP by `live::serve`) the
//! embedded default target. A reference, never a broker benchmark.

mod admission;
mod broker;
mod connections;
mod counts;
mod faults;
mod held;
mod inbound;
mod jobs;
mod lanes;
mod me;
mod memory;
mod outbound;
mod publish;
mod retained;
mod routing;
mod service;
mod service_time;
mod session;
mod slab;
mod subscriptions;
mod sys;
#[cfg(test)]
mod tests;
mod topic;
mod will;

use crate::mqtt::packet::{Packet, PacketId, Publish, QoS};
use crate::scenario::plan::{self, BackendFault, Embedded, Me};
use crate::time::Instant;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

use admission::Admission;
use connections::Connections;
use counts::{AckFate, Counts};
use faults::{DelayedAcks, Faults};
use held::{Backlog, Early, Held};
use retained::Retained;
use routing::Routes;
use service::Service;
use session::Sessions;
use slab::Index;

/// A connection as the driver numbers it; never reused while the backend may still name it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// What happens to the backend.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The driver accepted a connection.
    Opened(ConnId),
    /// A packet came on it.
    Received(ConnId, Packet<'a>),
    /// A PUBLISH came on it whose payload is all of these bytes: they are shared with whoever it
    /// reaches, not copied.
    Published(ConnId, Publish<'a>, &'a Bytes),
    /// The peer closed or reset it, or sent what is not MQTT.
    Closed(ConnId),
    /// A deadline (`poll_timeout`) has come.
    Timeout,
    /// A fault begins on this node.
    FaultStart(usize, BackendFault),
    /// The fault with this index clears.
    FaultClear(usize),
}

/// What the backend wants done. The driver ignores what names a connection that its peer has closed:
/// a stalled node works off what came before it learns of the end.
#[derive(Clone, Debug)]
pub enum Output {
    /// Write a packet.
    Send(ConnId, Packet<'static>),
    /// Write a PUBLISH to a subscriber.
    Deliver(ConnId, Delivery),
    /// Close: with RST if `reset`, else FIN after what was written. A `Closed` input does not follow.
    Close {
        /// Which.
        conn: ConnId,
        /// RST instead of FIN.
        reset: bool,
    },
    /// Stop accepting connections.
    PauseAccepting,
    /// Accept again.
    ResumeAccepting,
}

/// A message on its way to one subscriber.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Set on a retransmission.
    pub dup: bool,
    /// Lower of the message's and the subscription's.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// 0 exactly if QoS 0.
    pub packet_id: PacketId,
    /// Shared by all subscribers.
    pub message: Arc<Message>,
    /// Bytes of the message's topic that this subscriber does not get.
    skip: u16,
}

impl Delivery {
    /// Topic Name, as the subscriber knows it.
    pub fn topic(&self) -> &str {
        &self.message.topic[usize::from(self.skip)..]
    }

    /// Whether the topic is the subscriber's own ([`Me::PerConnection`]).
    const fn is_own(&self) -> bool {
        self.skip > 0
    }
}

/// A routed application message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Topic Name, as the node knows it; subscribers get [`Delivery::topic`].
    topic: Box<str>,
    /// Of the topic, bytes that say whose own it is; 0 if it is nobody's.
    owner_len: u16,
    /// Application message.
    pub payload: Bytes,
}

/// One node of the reference backend: MQTT 3.1.1 as a server speaks it, at QoS 0, 1 and 2.
///
/// Inputs go through the faults first (a node that is down resets, a stalled one holds them), then
/// to the broker, where CONNECTs wait for admission and CONNECTs and PUBLISHes for a worker if the
/// plan says so; the acknowledgements of QoS 1 and 2 cost no work.
///
/// Where MQTT leaves a choice:
/// * overlapping subscriptions bring a session one copy, at the highest granted QoS (3.3.5-1);
/// * a QoS 2 message is routed when its PUBLISH comes, and its identifier stored until the PUBREL
///   (4.3.3, method B); one whose connection ends while a worker is at it has no effect, and its
///   client sends it again;
/// * an acknowledgement of an identifier that no delivery holds is tolerated, one of the wrong kind
///   closes the connection;
/// * sessions that are not clean have no end but a clean one; what waits for them is QoS 1 and 2;
/// * retained messages are no part of a session (3.1.2-7): a restart keeps them, whether it keeps
///   sessions or forgets them;
/// * topics of ThingsBoard that name no device are everybody's, or each connection's own
///   ([`Me`]); then a client identifier must be one level of a topic, of 1 024 bytes at most, or it is
///   rejected;
/// * topics that begin with `$SYS` are the backend's own: `$SYS/broker/<count>` for each of
///   [`Backend::counts`], to each new subscription and every 10 s; what clients publish there is
///   acknowledged and goes nowhere.
///
/// Limits, each counted in [`Backend::counts`] when reached: 256 unacknowledged and 100 000 waiting
/// QoS 1 and 2 messages per session (beyond them messages are dropped), 2 000 000 retained messages
/// of 512 MiB (beyond them a message is routed and not retained), 200 levels of a filter with
/// wildcards (beyond them it is refused), 1 000 000 inputs or 256 MiB held by a stalled node, the
/// plan's number of CONNECTs waiting for admission and of jobs waiting for a worker, 256 MiB of
/// jobs, 1 000 000 packets behind jobs, 1 000 000 delayed acknowledgements, 10 s from a connection to
/// its CONNECT.
#[derive(Debug)]
pub struct Backend {
    connections: Connections,
    sessions: Sessions,
    routes: Routes,
    retained: Retained,
    admission: Admission,
    /// What clients that wait for their CONNACK have sent ahead.
    early: Early,
    /// `None` = work costs nothing.
    service: Option<Box<Service>>,
    faults: Faults,
    /// What came while a fault stalls the node.
    backlog: Backlog,
    delayed_acks: DelayedAcks,
    counts: Counts,
    /// When the backend's own topics are due again.
    sys_due: Instant,
    /// Sessions that the publish at hand reaches.
    matched: Vec<(Index, QoS)>,
    /// Client identifiers given out.
    assigned_ids: u64,
    me: Me,
    /// Payload of the PUBLISH at hand, if it is shared.
    shared: Option<Bytes>,
    node: u16,
}

impl Backend {
    /// A node without sessions. `node` of `shape.nodes`; its admission rate is the total's share.
    pub fn new(shape: &Embedded, node: u16, seed: u64) -> Self {
        let rate_per_s = shape
            .accept_rate_per_s
            .map(|total| total / f64::from(shape.nodes));
        Self {
            connections: Connections::new(),
            sessions: Sessions::new(),
            routes: Routes::new(),
            retained: Retained::default(),
            admission: Admission::new(rate_per_s, shape.accept_queue, shape.gone_clients),
            early: Early::default(),
            service: shape
                .service
                .map(|law| Box::new(Service::new(law, shape.gone_clients, seed, node))),
            faults: Faults::new(seed, node),
            backlog: Backlog::default(),
            delayed_acks: DelayedAcks::default(),
            counts: Counts::default(),
            sys_due: Instant::NEVER,
            matched: Vec::new(),
            assigned_ids: 0,
            me: shape.me,
            shared: None,
            node,
        }
    }

    /// Steps the backend: `input` happened at `now`; what it wants done is appended to `out`.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        let before = out.len();
        let is_stalled = self.faults.is_stalled();
        // What is done by now comes before what happens now.
        if self.next_job_end() <= now && !is_stalled {
            self.finish_jobs(now, out);
        }
        match input {
            Input::FaultStart(index, kind) => self.fault_start(now, index, kind, out),
            Input::FaultClear(index) => self.fault_clear(now, index, out),
            Input::Opened(conn) if self.faults.is_down() => {
                self.counts.connections_refused_down += 1;
                out.push(Output::Close { conn, reset: true });
            }
            Input::Timeout if is_stalled => {}
            Input::Timeout => self.timeout(now, out),
            Input::Opened(conn) if is_stalled => self.hold(conn, Held::Opened(conn), out),
            Input::Received(conn, packet) if is_stalled => {
                let held = self.held(conn, packet);
                self.hold(conn, held, out);
            }
            Input::Published(conn, publish, payload) => {
                self.shared = Some(Bytes::clone(payload));
                let packet = Packet::Publish(publish);
                if is_stalled {
                    let held = self.held(conn, packet);
                    self.hold(conn, held, out);
                } else {
                    self.step(now, Input::Received(conn, packet), out);
                }
                self.shared = None;
            }
            Input::Closed(conn) if is_stalled => self.hold(conn, Held::Closed(conn), out),
            Input::Opened(_) | Input::Received(..) | Input::Closed(_) => {
                self.step(now, input, out);
            }
        }
        self.close_after_errors(before, out);
    }

    /// When it wants `Input::Timeout`; [`Instant::NEVER`] when idle.
    pub fn poll_timeout(&self) -> Instant {
        if self.faults.is_stalled() {
            return Instant::NEVER;
        }
        self.connections
            .poll_timeout()
            .min(self.admission.poll_timeout())
            .min(self.next_job_end())
            .min(self.delayed_acks.poll_timeout())
            .min(self.next_sys())
    }

    /// Reads what a PUBLISH on this connection will need and nothing more, up to `depth` steps from
    /// pointer to pointer: the connection, the filter, the subscriber's session. See
    /// [`crate::device::Device::glance`].
    pub fn glance(&self, conn: ConnId, depth: u8) -> u64 {
        let Some(connection) = self.connections.find(conn) else {
            return 0;
        };
        let route = self
            .connections
            .get(connection)
            .and_then(|c| c.latest_route)
            .filter(|_| depth > 0);
        let subscriber = route.and_then(|route| self.routes.glance(route));
        let session = subscriber.filter(|_| depth > 1);
        u64::from(connection) ^ session.map_or(0, |index| self.sessions.glance(index))
    }

    /// Its own truth: named counts such as `connects_accepted`, `publishes_received`,
    /// `pubacks_dropped`, `messages_delivered`; and `connections_open`, `sessions_held` and
    /// `retained_held` now. With a work queue also its own, such as `jobs_served`.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = self.counts.by_name();
        counts.insert("connections_open".into(), self.connections.len() as u64);
        counts.insert("sessions_held".into(), self.sessions.len() as u64);
        counts.insert("retained_held".into(), self.retained.len() as u64);
        if let Some(service) = &self.service {
            counts.extend(service.counts());
        }
        counts
    }

    /// Bytes of state for connections, sessions, subscriptions and retained messages, by the sizes and
    /// capacities of what it holds plus the heap's own overhead; messages under way are not in it.
    pub fn state_bytes(&self) -> usize {
        self.connections.bytes()
            + self.sessions.bytes()
            + self.routes.bytes()
            + self.retained.state_bytes()
    }

    fn timeout(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let Some(ack) = self.delayed_acks.next_due(now) {
            self.send_delayed(ack, out);
        }
        self.admit_due(now, out);
        self.finish_jobs(now, out);
        while let Some(index) = self.connections.next_expired(now) {
            self.expired(index, out);
        }
        self.publish_sys(now, out);
    }

    fn fault_start(
        &mut self,
        now: Instant,
        index: usize,
        kind: BackendFault,
        out: &mut Vec<Output>,
    ) {
        let was_paused = self.faults.is_paused();
        self.faults.start(index, kind);
        match kind {
            BackendFault::Restart { sessions } => self.go_down(now, sessions, out),
            BackendFault::PauseAccepting if !was_paused => out.push(Output::PauseAccepting),
            BackendFault::Stall => self.stall_jobs(now),
            BackendFault::PauseAccepting
            | BackendFault::Refuse
            | BackendFault::AckDelay(_)
            | BackendFault::DropAck(_)
            | BackendFault::Lose(_) => {}
        }
    }

    fn fault_clear(&mut self, now: Instant, index: usize, out: &mut Vec<Output>) {
        let Some(kind) = self.faults.clear(index) else {
            return;
        };
        match kind {
            BackendFault::PauseAccepting if !self.faults.is_paused() => {
                out.push(Output::ResumeAccepting);
            }
            BackendFault::Stall if !self.faults.is_stalled() => self.wake_up(now, out),
            BackendFault::AckDelay(_) => self.release_acks(out),
            BackendFault::PauseAccepting
            | BackendFault::Stall
            | BackendFault::Restart { .. }
            | BackendFault::Refuse
            | BackendFault::DropAck(_)
            | BackendFault::Lose(_) => {}
        }
    }

    /// The process dies: connections are reset; wills and what was under way are lost.
    fn go_down(&mut self, now: Instant, remembers: plan::Sessions, out: &mut Vec<Output>) {
        for held in self.backlog.take() {
            match held {
                Held::Opened(conn) => {
                    self.connections.open(now, conn);
                }
                Held::Closed(conn) => {
                    let index = self.connections.find(conn);
                    index.and_then(|index| self.connections.remove(index));
                }
                Held::Publish(..) | Held::Packet(..) => {}
            }
        }
        for conn in self.connections.ids() {
            self.counts.connections_reset += 1;
            out.push(Output::Close { conn, reset: true });
        }
        self.connections.clear();
        self.counts.connects_abandoned += self.admission.clear();
        self.early.clear();
        self.forget_jobs();
        while let Some(lost) = self.delayed_acks.next() {
            self.counts.count_ack(lost.ack, AckFate::Lost);
        }
        for index in self.sessions.indexes() {
            self.forget_connection(index, remembers);
        }
    }

    fn forget_connection(&mut self, index: Index, remembers: plan::Sessions) {
        let Some(session) = self.sessions.get_mut(index) else {
            return;
        };
        session.disconnected();
        self.counts.wills_lost += u64::from(session.will.take().is_some());
        match (session.clean, remembers) {
            (false, plan::Sessions::Keep) => {}
            (false, plan::Sessions::Forget) => {
                self.counts.sessions_forgotten += 1;
                self.drop_session(index);
            }
            (true, plan::Sessions::Keep | plan::Sessions::Forget) => self.drop_session(index),
        }
    }

    /// A stalled node works off what came, in order, then looks at its deadlines.
    fn wake_up(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.admission.stood_still(now);
        self.resume_jobs(now);
        self.release_acks(out);
        for held in self.backlog.take() {
            self.step_held(now, &held, out);
        }
        self.timeout(now, out);
    }

    /// When no delay is left, the acknowledgements held back go out, so that no later one overtakes them.
    fn release_acks(&mut self, out: &mut Vec<Output>) {
        if self.faults.is_stalled() || self.faults.ack_delay().is_some() {
            return;
        }
        while let Some(ack) = self.delayed_acks.next() {
            self.send_delayed(ack, out);
        }
    }

    fn hold(&mut self, conn: ConnId, held: Held, out: &mut Vec<Output>) {
        if self.backlog.push(held) {
            return;
        }
        self.counts.stall_full_closes += 1;
        self.backlog.push(Held::Closed(conn));
        out.push(Output::Close { conn, reset: true });
    }
}

//! The operator: the only actor that decides from what it hears. It runs campaigns, sends commands
//! and answers queries over MQTT sessions of its own, called desks, at least one per node, so that a
//! plain broker is enough. Sans-IO, like a device.

use crate::mqtt::packet::{Packet, PacketId, QoS};
use crate::scenario::plan::Plan;
use crate::stats::event::Cause;
use crate::stats::results::Finding;
use crate::time::Instant;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Index of a session of the operator.
pub type Desk = u16;

/// What happens to an operator.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Connect and subscribe, on all desks.
    Start,
    /// T0 is known: what the plan wants of it counts from there.
    Begin(Instant),
    /// A deadline (`poll_timeout`) has come.
    Timeout,
    /// The transport of the desk's latest `Output::Open` is established.
    Opened(Desk),
    /// The transport failed to open, or ended.
    Closed(Desk, Cause),
    /// A packet came.
    Received(Desk, Packet<'a>),
    /// The last phase has ended: nobody new is notified or sent a command; what is under way goes on.
    StopArrivals,
    /// The books close: every target without a terminal state gets its row now.
    Close,
    /// End of the run: DISCONNECT and close.
    Shutdown,
}

/// What an operator wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Open a transport from this desk to its node.
    Open(Desk),
    /// Close the transport; a `Closed` input does not follow.
    Close(Desk),
    /// Write a packet.
    Send(Desk, Packet<'static>),
    /// Write a PUBLISH whose payload may be shared by many.
    Publish(Desk, SharedPublish),
    /// Tell whoever runs the run.
    Event(Event),
}

/// A PUBLISH with a shared payload: a block of an image is never copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedPublish {
    /// Quality of service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// Set on a retransmission.
    pub dup: bool,
    /// 0 exactly if QoS 0.
    pub packet_id: PacketId,
    /// Topic Name.
    pub topic: String,
    /// Application message.
    pub payload: Bytes,
}

/// What an operator reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// All subscriptions of all desks are granted for the first time.
    Armed,
    /// A desk's connection failed or ended.
    Failed(Desk, Cause),
    /// The target refuses a subscription of a desk: the run cannot go on.
    SubscribeRefused(Desk),
    /// Something to write down.
    Finding(Finding),
    /// Something to count.
    Noted(Note),
}

/// What an operator counts: traffic that it left alone, and limits of its own.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Note {
    /// A message on one of its topics names no device of this fleet; ignored.
    ForeignName,
    /// A message could not be read, or belongs to no job or command of this run; ignored.
    BadMessage,
    /// A request of a device was answered by an error (a stale version, a block out of range).
    Refused,
    /// A desk had [`QUEUE_MAX`] messages waiting: one to a device was not sent. What the run says of
    /// that device is worth nothing, so the run is INVALID.
    QueueFull,
}

/// Messages that wait for a place in the window of one desk.
pub const QUEUE_MAX: usize = 1 << 20;

/// The operator of a run.
#[derive(Debug)]
pub struct Operator {
    plan: Arc<Plan>,
    run: u32,
}

impl Operator {
    /// The operator of `plan`, if it has one. `run` is part of client ids and job ids.
    pub fn of(plan: &Arc<Plan>, run: u32) -> Option<Self> {
        plan.has_operator().then(|| Self {
            plan: Arc::clone(plan),
            run,
        })
    }

    /// The node that each desk connects to.
    pub fn desks(&self) -> Vec<u16> {
        (0..self.plan.target.nodes()).collect()
    }

    /// Its client identifier on `desk`: `fs-op-<run>-<desk>`, both in hex.
    pub fn client_id(&self, desk: Desk) -> String {
        format!("fs-op-{:08x}-{desk:x}", self.run)
    }

    /// Steps the operator: `input` happened at `now`; what it wants done is appended to `out`.
    pub fn handle_input(&mut self, _now: Instant, _input: Input<'_>, _out: &mut Vec<Output>) {}

    /// When it wants `Input::Timeout`; [`Instant::NEVER`] when idle.
    pub fn poll_timeout(&self) -> Instant {
        Instant::NEVER
    }

    /// Whether every target of all that began has its terminal state (the drain is over for it).
    pub fn is_settled(&self) -> bool {
        true
    }
}

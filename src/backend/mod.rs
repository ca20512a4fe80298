//! The reference backend: a sans-IO MQTT broker core with a service law and faults. One state
//! machine with two uses: the simulator's model, and (served over TCP by `live::serve`) the
//! embedded default target. A reference, never a broker benchmark.

pub mod faults;
pub mod service;

use crate::mqtt::packet::{Packet, PacketId, QoS};
use crate::scenario::plan::{BackendFault, Embedded};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// The peer closed or reset it, or sent what is not MQTT.
    Closed(ConnId),
    /// A deadline (`poll_timeout`) has come.
    Timeout,
    /// A fault begins on this node.
    FaultStart(usize, BackendFault),
    /// The fault with this index clears.
    FaultClear(usize),
}

/// What the backend wants done.
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
}

/// A routed application message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Topic Name.
    pub topic: Box<str>,
    /// Application message.
    pub payload: Box<[u8]>,
}

/// One node of the reference backend.
#[derive(Debug)]
pub struct Backend {
    _todo: (),
}

impl Backend {
    /// A node without sessions. `node` of `shape.nodes`; its admission rate is the total's share.
    pub fn new(shape: &Embedded, node: u16, seed: u64) -> Self {
        let _ = (shape, node, seed);
        todo!("backend helper")
    }

    /// Steps the backend: `input` happened at `now`; what it wants done is appended to `out`.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        let _ = (now, input, out);
        todo!("backend helper")
    }

    /// When it wants `Input::Timeout`; [`Instant::NEVER`] when idle.
    pub fn poll_timeout(&self) -> Instant {
        todo!("backend helper")
    }

    /// Its own truth: named counts such as `connects_accepted`, `publishes_received`,
    /// `pubacks_dropped`, `messages_delivered`.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        todo!("backend helper")
    }
}

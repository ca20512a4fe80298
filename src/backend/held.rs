//! Inputs that wait: those of a stalled node, packets sent ahead of a CONNACK, and work under way.
//! They own what an [`Input`] borrows.

use super::{Backend, ConnId, Input, Output};
use crate::mqtt::packet::{Connect, Packet, PacketId, Publish, QoS};
use crate::time::Instant;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// Inputs a stalled node holds.
const INPUTS_MAX: usize = 1_000_000;

/// Bytes of topics and payloads a stalled node holds.
const BYTES_MAX: usize = 256 << 20;

/// Packets one client may send ahead of its CONNACK.
const EARLY_MAX: usize = 16;

/// An input that waits.
#[derive(Debug)]
pub(super) enum Held {
    /// As [`Input::Opened`].
    Opened(ConnId),
    /// As [`Input::Received`] of a PUBLISH.
    Publish(ConnId, HeldPublish),
    /// As [`Input::Received`] of another packet.
    Packet(ConnId, Packet<'static>),
    /// As [`Input::Closed`].
    Closed(ConnId),
}

/// A PUBLISH that owns its topic and payload.
#[derive(Debug)]
pub(super) struct HeldPublish {
    dup: bool,
    qos: QoS,
    retain: bool,
    packet_id: PacketId,
    topic: Box<str>,
    payload: Bytes,
}

impl Backend {
    /// A packet that waits.
    pub(super) fn held(&self, conn: ConnId, packet: Packet<'_>) -> Held {
        match owned(packet) {
            Ok(packet) => Held::Packet(conn, packet),
            Err(publish) => Held::Publish(conn, self.held_publish(&publish)),
        }
    }

    /// A PUBLISH that waits.
    pub(super) fn held_publish(&self, publish: &Publish<'_>) -> HeldPublish {
        HeldPublish::new(publish, self.payload_of(publish))
    }

    /// The turn of what has waited has come.
    pub(super) fn step_held(&mut self, now: Instant, held: &Held, out: &mut Vec<Output>) {
        self.shared = match held {
            Held::Publish(_, publish) => Some(publish.payload()),
            Held::Opened(_) | Held::Packet(..) | Held::Closed(_) => None,
        };
        self.step(now, held.as_input(), out);
        self.shared = None;
    }
}

impl Held {
    /// The input it was.
    pub(super) fn as_input(&self) -> Input<'_> {
        match self {
            Self::Opened(conn) => Input::Opened(*conn),
            Self::Publish(conn, held) => Input::Received(*conn, Packet::Publish(held.borrow())),
            Self::Packet(conn, packet) => Input::Received(*conn, packet.clone()),
            Self::Closed(conn) => Input::Closed(*conn),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Publish(_, held) => held.bytes(),
            Self::Opened(_) | Self::Packet(..) | Self::Closed(_) => 0,
        }
    }
}

/// A packet that borrows nothing; only a PUBLISH does.
pub(super) fn owned(packet: Packet<'_>) -> Result<Packet<'static>, Publish<'_>> {
    Ok(match packet {
        Packet::Publish(publish) => return Err(publish),
        Packet::Connect(connect) => Packet::Connect(connect),
        Packet::ConnAck {
            session_present,
            code,
        } => Packet::ConnAck {
            session_present,
            code,
        },
        Packet::PubAck(packet_id) => Packet::PubAck(packet_id),
        Packet::PubRec(packet_id) => Packet::PubRec(packet_id),
        Packet::PubRel(packet_id) => Packet::PubRel(packet_id),
        Packet::PubComp(packet_id) => Packet::PubComp(packet_id),
        Packet::Subscribe { packet_id, filters } => Packet::Subscribe { packet_id, filters },
        Packet::SubAck { packet_id, granted } => Packet::SubAck { packet_id, granted },
        Packet::Unsubscribe { packet_id, filters } => Packet::Unsubscribe { packet_id, filters },
        Packet::UnsubAck(packet_id) => Packet::UnsubAck(packet_id),
        Packet::PingReq => Packet::PingReq,
        Packet::PingResp => Packet::PingResp,
        Packet::Disconnect => Packet::Disconnect,
    })
}

impl HeldPublish {
    pub(super) fn new(publish: &Publish<'_>, payload: Bytes) -> Self {
        Self {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            packet_id: publish.packet_id,
            topic: publish.topic.into(),
            payload,
        }
    }

    /// The payload, shared.
    pub(super) fn payload(&self) -> Bytes {
        Bytes::clone(&self.payload)
    }

    /// Of topic and payload.
    pub(super) fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len()
    }

    pub(super) fn borrow(&self) -> Publish<'_> {
        Publish {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            packet_id: self.packet_id,
            topic: &self.topic,
            payload: &self.payload,
        }
    }
}

/// What a worker is busy with.
#[derive(Debug)]
pub(super) enum Job {
    /// A CONNECT, from admission to CONNACK.
    Connect(Box<Connect>),
    /// A PUBLISH: routing, and PUBACK or PUBREC.
    Publish(HeldPublish),
}

/// What takes effect.
#[derive(Debug)]
pub(super) enum Work {
    /// A job that is done.
    Job(Job),
    /// A packet that costs nothing and came behind a job.
    Follower(Packet<'static>),
}

impl Job {
    /// Of topic and payload.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Connect(_) => 0,
            Self::Publish(publish) => publish.bytes(),
        }
    }
}

/// What came to a node while it was stalled, in order.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    inputs: VecDeque<Held>,
    bytes: usize,
}

impl Backlog {
    /// Holds an input; `false` if there is no room for it. There always is for a `Closed`: it comes
    /// once per connection.
    pub(super) fn push(&mut self, held: Held) -> bool {
        let is_full = self.inputs.len() >= INPUTS_MAX || self.bytes + held.bytes() > BYTES_MAX;
        if is_full && !matches!(held, Held::Closed(_)) {
            return false;
        }
        self.bytes += held.bytes();
        self.inputs.push_back(held);
        true
    }

    /// All of it; the backlog is empty then.
    pub(super) fn take(&mut self) -> VecDeque<Held> {
        self.bytes = 0;
        std::mem::take(&mut self.inputs)
    }
}

/// What clients have sent ahead of their CONNACK, in order.
#[derive(Debug, Default)]
pub(super) struct Early {
    by_conn: BTreeMap<ConnId, Vec<Held>>,
}

impl Early {
    /// Holds a packet; `false` if the client has sent too many.
    pub(super) fn push(&mut self, conn: ConnId, held: Held) -> bool {
        let early = self.by_conn.entry(conn).or_default();
        if early.len() >= EARLY_MAX {
            return false;
        }
        early.push(held);
        true
    }

    /// What a client has sent; nothing is kept of it.
    pub(super) fn take(&mut self, conn: ConnId) -> Vec<Held> {
        self.by_conn.remove(&conn).unwrap_or_default()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.by_conn.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_is_bounded_in_bytes() {
        let payload = vec![0; BYTES_MAX / 2];
        let big = |packet_id| {
            let publish = Publish {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: false,
                packet_id,
                topic: "t",
                payload: &payload,
            };
            let payload = Bytes::copy_from_slice(&payload);
            Held::Publish(ConnId(1), HeldPublish::new(&publish, payload))
        };
        let mut backlog = Backlog::default();
        assert!(backlog.push(big(1)));
        assert!(!backlog.push(big(2)), "two topics over the half each");
        assert!(backlog.push(Held::Closed(ConnId(1))));
        assert_eq!(backlog.take().len(), 2);
        assert!(backlog.push(big(3)));
    }
}

//! Sessions: what the node knows of a client besides its connection. Outbound QoS 1 runs through a
//! window of [`INFLIGHT_MAX`] unacknowledged deliveries and a bounded queue behind it.

use super::connections::Connections;
use super::counts::Counts;
use super::memory::{hash, heap, table_bytes, text_heap};
use super::slab::{Index, Slab};
use super::{ConnId, Delivery, Message, Output};
use crate::mqtt::packet::{PacketId, QoS, Will};
use hashbrown::HashTable;
use smol_str::SmolStr;
use std::collections::VecDeque;
use std::sync::Arc;

/// Unacknowledged QoS 1 deliveries of one session.
pub(super) const INFLIGHT_MAX: usize = 256;

/// QoS 1 messages that wait for one session, online or not.
pub(super) const QUEUE_MAX: usize = 100_000;

/// Queues that have run empty give memory above this many messages back.
const QUEUE_KEEP: usize = 1_024;

/// What the node knows of a client.
#[derive(Debug)]
pub(super) struct Session {
    /// In place up to 23 bytes, as nearly all are.
    pub(super) client_id: SmolStr,
    /// Filters it is subscribed to.
    pub(super) filters: Vec<Index>,
    /// Published if the connection ends without DISCONNECT.
    pub(super) will: Option<StoredWill>,
    outbound: Option<Box<Outbound>>,
    /// Its connection, if any.
    pub(super) connection: Option<Index>,
    /// Ends with its connection.
    pub(super) clean: bool,
}

/// A will in one allocation: flags, length of the topic (2 bytes), topic, payload. A fleet's wills
/// are held for as long as it is connected.
#[derive(Debug)]
pub(super) struct StoredWill(Box<[u8]>);

/// Deliveries of a session under way.
#[derive(Debug, Default)]
struct Outbound {
    /// Identifier of the latest delivery.
    latest: PacketId,
    /// Sent and not acknowledged, in the order of sending.
    inflight: VecDeque<(PacketId, Arc<Message>)>,
    /// To be sent.
    queue: VecDeque<Arc<Message>>,
}

/// All sessions of a node.
#[derive(Debug)]
pub(super) struct Sessions {
    slab: Slab<Session>,
    /// Index of `slab`, for look-up only.
    by_client: HashTable<Index>,
}

impl Sessions {
    pub(super) const fn new() -> Self {
        Self {
            slab: Slab::new(),
            by_client: HashTable::new(),
        }
    }

    /// The session of a client.
    pub(super) fn find(&self, client_id: &str) -> Option<Index> {
        self.by_client
            .find(hash(client_id), |&i| client(&self.slab, i) == client_id)
            .copied()
    }

    /// Adds a session; the client must not have one.
    pub(super) fn insert(&mut self, client_id: &str) -> Index {
        let index = self.slab.insert(Session {
            client_id: client_id.into(),
            filters: Vec::new(),
            will: None,
            outbound: None,
            connection: None,
            clean: true,
        });
        let slab = &self.slab;
        self.by_client
            .insert_unique(hash(client_id), index, |&i| hash(client(slab, i)));
        index
    }

    /// Removes a session.
    pub(super) fn remove(&mut self, index: Index) -> Option<Session> {
        let client_hash = hash(client(&self.slab, index));
        if let Ok(entry) = self.by_client.find_entry(client_hash, |&i| i == index) {
            entry.remove();
        }
        self.slab.remove(index)
    }

    /// Reads a session and nothing more.
    pub(super) fn glance(&self, index: Index) -> u64 {
        let session = self.slab.get(index);
        let outbound = session.and_then(|session| session.outbound.as_ref());
        outbound.map_or(0, |outbound| u64::from(outbound.latest))
    }

    pub(super) fn get_mut(&mut self, index: Index) -> Option<&mut Session> {
        self.slab.get_mut(index)
    }

    /// All indexes, ascending.
    pub(super) fn indexes(&self) -> Vec<Index> {
        self.slab.indexes().collect()
    }

    /// Number of sessions.
    pub(super) const fn len(&self) -> usize {
        self.slab.len()
    }

    /// Bytes of memory, heap included; of messages under way only the references.
    pub(super) fn bytes(&self) -> usize {
        let owned: usize = self.slab.values().map(Session::heap_bytes).sum();
        self.slab.own_bytes() + table_bytes(&self.by_client) + owned
    }
}

impl Session {
    /// Remembers a filter that is new to it.
    pub(super) fn add_filter(&mut self, filter: Index) {
        if self.filters.len() == self.filters.capacity() && self.filters.len() < 8 {
            self.filters.reserve_exact(1);
        }
        self.filters.push(filter);
    }

    /// Sends a message, or queues it for the window or the next connection.
    pub(super) fn deliver(
        &mut self,
        qos: QoS,
        message: &Arc<Message>,
        connections: &Connections,
        counts: &mut Counts,
        out: &mut Vec<Output>,
    ) {
        let conn = self.conn_id(connections);
        if qos == QoS::AtMostOnce {
            match conn {
                Some(conn) => {
                    counts.messages_delivered += 1;
                    out.push(deliver(conn, qos, 0, false, message));
                }
                None => counts.qos0_offline_drops += 1,
            }
            return;
        }
        let outbound = self.outbound.get_or_insert_default();
        match conn {
            Some(conn) if outbound.inflight.len() < INFLIGHT_MAX && outbound.queue.is_empty() => {
                outbound.send(conn, Arc::clone(message), counts, out);
            }
            Some(_) | None if outbound.queue.len() >= QUEUE_MAX => counts.queue_full_drops += 1,
            Some(_) | None => outbound.queue.push_back(Arc::clone(message)),
        }
    }

    /// Takes a PUBACK of the client; the window moves on.
    pub(super) fn acked(
        &mut self,
        packet_id: PacketId,
        connections: &Connections,
        counts: &mut Counts,
        out: &mut Vec<Output>,
    ) {
        let conn = self.conn_id(connections);
        let Some(outbound) = &mut self.outbound else {
            return;
        };
        let Some(at) = outbound
            .inflight
            .iter()
            .position(|(id, _)| *id == packet_id)
        else {
            return;
        };
        outbound.inflight.remove(at);
        counts.deliveries_acked += 1;
        if let Some(conn) = conn {
            outbound.fill_window(conn, counts, out);
        }
    }

    /// After CONNACK of a resumed session: repeats what is unacknowledged, then goes on.
    pub(super) fn resume(
        &mut self,
        connections: &Connections,
        counts: &mut Counts,
        out: &mut Vec<Output>,
    ) {
        let conn = self.conn_id(connections);
        let (Some(conn), Some(outbound)) = (conn, &mut self.outbound) else {
            return;
        };
        for (packet_id, message) in &outbound.inflight {
            counts.deliveries_retransmitted += 1;
            out.push(deliver(conn, QoS::AtLeastOnce, *packet_id, true, message));
        }
        outbound.fill_window(conn, counts, out);
    }

    fn conn_id(&self, connections: &Connections) -> Option<ConnId> {
        connections.get(self.connection?).map(|c| c.id)
    }

    fn heap_bytes(&self) -> usize {
        let outbound = self.outbound.as_ref().map_or(0, |o| {
            heap(size_of::<Outbound>())
                + heap(o.inflight.capacity() * size_of::<(PacketId, Arc<Message>)>())
                + heap(o.queue.capacity() * size_of::<Arc<Message>>())
        });
        text_heap(&self.client_id)
            + heap(self.filters.capacity() * size_of::<Index>())
            + self.will.as_ref().map_or(0, |w| heap(w.0.len()))
            + outbound
    }
}

impl Outbound {
    fn send(
        &mut self,
        conn: ConnId,
        message: Arc<Message>,
        counts: &mut Counts,
        out: &mut Vec<Output>,
    ) {
        let packet_id = self.next_id();
        counts.messages_delivered += 1;
        out.push(deliver(conn, QoS::AtLeastOnce, packet_id, false, &message));
        self.inflight.push_back((packet_id, message));
    }

    fn fill_window(&mut self, conn: ConnId, counts: &mut Counts, out: &mut Vec<Output>) {
        while self.inflight.len() < INFLIGHT_MAX
            && let Some(message) = self.queue.pop_front()
        {
            self.send(conn, message, counts, out);
        }
        if self.queue.is_empty() && self.queue.capacity() > QUEUE_KEEP {
            self.queue = VecDeque::new();
        }
    }

    /// The next identifier that no unacknowledged delivery holds. They lie in cyclic order in
    /// `inflight`, so those in the way are at its front.
    fn next_id(&mut self) -> PacketId {
        let mut id = self.latest;
        let mut held = self.inflight.iter().map(|(id, _)| *id);
        loop {
            id = id.checked_add(1).unwrap_or(1);
            if held.next() != Some(id) {
                self.latest = id;
                return id;
            }
        }
    }
}

impl StoredWill {
    pub(super) fn new(will: &Will) -> Self {
        let topic_len = u16::try_from(will.topic.len()).expect("an MQTT string is below 64 KiB");
        let mut bytes = Vec::with_capacity(3 + will.topic.len() + will.payload.len());
        bytes.push(u8::from(will.qos != QoS::AtMostOnce) | u8::from(will.retain) << 1);
        bytes.extend_from_slice(&topic_len.to_be_bytes());
        bytes.extend_from_slice(will.topic.as_bytes());
        bytes.extend_from_slice(&will.payload);
        Self(bytes.into_boxed_slice())
    }

    /// QoS 1 or 0. (QoS 2 is served as 1.)
    pub(super) fn qos(&self) -> QoS {
        match self.0[0] & 1 {
            0 => QoS::AtMostOnce,
            _ => QoS::AtLeastOnce,
        }
    }

    pub(super) fn retain(&self) -> bool {
        self.0[0] & 2 != 0
    }

    /// Topic and payload.
    pub(super) fn parts(&self) -> (&str, &[u8]) {
        let topic_len = usize::from(u16::from_be_bytes([self.0[1], self.0[2]]));
        let (topic, payload) = self.0[3..].split_at(topic_len);
        let topic = std::str::from_utf8(topic).expect("was a String");
        (topic, payload)
    }
}

fn client(slab: &Slab<Session>, index: Index) -> &str {
    slab.get(index).map_or("", |s| &*s.client_id)
}

fn deliver(
    conn: ConnId,
    qos: QoS,
    packet_id: PacketId,
    dup: bool,
    message: &Arc<Message>,
) -> Output {
    let message = Arc::clone(message);
    let delivery = Delivery {
        dup,
        qos,
        // To an established subscription it is always clear (3.3.1.3).
        retain: false,
        packet_id,
        message,
    };
    Output::Deliver(conn, delivery)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_skip_those_in_flight_and_zero() {
        let message = Arc::new(Message {
            topic: "t".into(),
            payload: Box::default(),
        });
        let mut outbound = Outbound {
            latest: 65_533,
            ..Outbound::default()
        };
        for id in [65_534, 65_535, 1, 3] {
            outbound.inflight.push_back((id, Arc::clone(&message)));
        }
        assert_eq!(outbound.next_id(), 2);
        outbound.latest = 65_533;
        outbound.inflight.clear();
        assert_eq!(outbound.next_id(), 65_534);
        outbound.latest = 65_535;
        assert_eq!(outbound.next_id(), 1);
    }

    #[test]
    fn a_will_keeps_its_parts() {
        for (qos, stored) in [
            (QoS::AtMostOnce, QoS::AtMostOnce),
            (QoS::AtLeastOnce, QoS::AtLeastOnce),
            (QoS::ExactlyOnce, QoS::AtLeastOnce),
        ] {
            let will = StoredWill::new(&Will {
                topic: "d/ü".into(),
                payload: vec![0, 255],
                qos,
                retain: qos == QoS::AtMostOnce,
            });
            assert_eq!(will.parts(), ("d/ü", &[0, 255][..]));
            assert_eq!(
                (will.qos(), will.retain()),
                (stored, qos == QoS::AtMostOnce)
            );
        }
    }
}

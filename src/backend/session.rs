//! Sessions: what the node knows of a client besides its connection. Its deliveries run through
//! `outbound`, the identifiers of its QoS 2 messages lie in `inbound`; both exist only where used.

use super::connections::Connections;
use super::counts::Counts;
use super::inbound::Inbound;
use super::memory::{hash, heap, table_bytes, text_heap};
use super::outbound::{Acked, DeliveryAck, Outbound, Parcel, To, deliver};
use super::slab::{Index, Slab};
use super::will::StoredWill;
use super::{ConnId, Output};
use crate::mqtt::packet::{Packet, PacketId, QoS};
use hashbrown::HashTable;
use smol_str::SmolStr;

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
    inbound: Option<Box<Inbound>>,
    /// Its connection, if any.
    pub(super) connection: Option<Index>,
    /// Ends with its connection.
    pub(super) clean: bool,
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
            inbound: None,
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
        outbound.map_or(0, |outbound| u64::from(outbound.latest()))
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
        parcel: Parcel,
        connections: &Connections,
        counts: &mut Counts,
        out: &mut Vec<Output>,
    ) {
        let conn = self.conn_id(connections);
        let client_id = &*self.client_id;
        let to = conn.map(|conn| To { conn, client_id });
        if parcel.qos == QoS::AtMostOnce {
            match to {
                Some(to) => {
                    counts.messages_delivered += 1;
                    out.push(deliver(to, parcel, 0, false));
                }
                None => counts.qos0_offline_drops += 1,
            }
            return;
        }
        let outbound = self.outbound.get_or_insert_default();
        match to.filter(|_| outbound.has_room()) {
            Some(to) => {
                counts.messages_delivered += 1;
                outbound.send(to, parcel, out);
            }
            None => counts.queue_full_drops += u64::from(!outbound.enqueue(parcel)),
        }
    }

    /// Takes the client's acknowledgement of a delivery; the window moves on. `false` if it violates
    /// the protocol.
    pub(super) fn acked(
        &mut self,
        ack: DeliveryAck,
        packet_id: PacketId,
        connections: &Connections,
        counts: &mut Counts,
        out: &mut Vec<Output>,
    ) -> bool {
        let conn = self.conn_id(connections);
        let acked = match &mut self.outbound {
            Some(outbound) => outbound.acked(ack, packet_id),
            None => Acked::Unknown,
        };
        match (acked, ack) {
            (Acked::Done, _) => {
                counts.deliveries_acked += 1;
                if let (Some(conn), Some(outbound)) = (conn, &mut self.outbound) {
                    let client_id = &*self.client_id;
                    counts.messages_delivered += outbound.fill_window(To { conn, client_id }, out);
                }
            }
            (Acked::Release, _) => release(conn, packet_id, counts, out),
            (Acked::Unknown, DeliveryAck::Rec) => {
                counts.acks_unknown += 1;
                release(conn, packet_id, counts, out);
            }
            (Acked::Unknown, DeliveryAck::Ack | DeliveryAck::Comp) => counts.acks_unknown += 1,
            (Acked::Violation, _) => return false,
        }
        true
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
        let client_id = &*self.client_id;
        let to = To { conn, client_id };
        let (pubrels, publishes) = outbound.repeat(to, out);
        counts.pubrels_sent += pubrels;
        counts.pubrels_retransmitted += pubrels;
        counts.deliveries_retransmitted += publishes;
        counts.messages_delivered += outbound.fill_window(to, out);
    }

    /// Stores the identifier of a QoS 2 PUBLISH; whether its message is new.
    pub(super) fn store_inbound(&mut self, packet_id: PacketId) -> bool {
        self.inbound.get_or_insert_default().store(packet_id)
    }

    /// Takes a PUBREL.
    pub(super) fn release_inbound(&mut self, packet_id: PacketId) {
        if let Some(inbound) = &mut self.inbound {
            inbound.release(packet_id);
        }
    }

    /// Its connection has ended: memory that it needs no more is given back.
    pub(super) fn disconnected(&mut self) {
        self.connection = None;
        if self.inbound.as_ref().is_some_and(|i| i.is_empty()) {
            self.inbound = None;
        }
    }

    fn conn_id(&self, connections: &Connections) -> Option<ConnId> {
        connections.get(self.connection?).map(|c| c.id)
    }

    fn heap_bytes(&self) -> usize {
        text_heap(&self.client_id)
            + heap(self.filters.capacity() * size_of::<Index>())
            + self.will.as_ref().map_or(0, StoredWill::heap_bytes)
            + self.outbound.as_ref().map_or(0, |o| o.heap_bytes())
            + self.inbound.as_ref().map_or(0, |i| i.heap_bytes())
    }
}

fn release(conn: Option<ConnId>, packet_id: PacketId, counts: &mut Counts, out: &mut Vec<Output>) {
    if let Some(conn) = conn {
        counts.pubrels_sent += 1;
        out.push(Output::Send(conn, Packet::PubRel(packet_id)));
    }
}

fn client(slab: &Slab<Session>, index: Index) -> &str {
    slab.get(index).map_or("", |s| &*s.client_id)
}

//! The server that both clients talk to: MQTT 3.1.1 by the book for one client. What it owes is
//! kept until somebody has it sent, so that it can be late, lost, doubled or out of order.

use fleetstorm::mqtt::codec;
use fleetstorm::mqtt::packet::{Packet, PacketId, Publish, QoS};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct Model {
    /// It holds a session.
    session: bool,
    /// QoS 2 identifiers received and not released.
    received: BTreeSet<PacketId>,
    /// Its own messages without a last acknowledgement.
    outgoing: Vec<Sent>,
    last_id: PacketId,
    last_number: u32,
    buffer: Vec<u8>,
    /// Packets that it owes the client, as bytes.
    pub(crate) due: Vec<Vec<u8>>,
    /// How often it took each of the client's messages for a new one, by number.
    pub(crate) accepted: BTreeMap<u32, u32>,
}

/// A message of the server's own.
#[derive(Copy, Clone, Debug)]
struct Sent {
    id: PacketId,
    qos: QoS,
    number: u32,
    dup: bool,
    /// PUBREC came.
    released: bool,
}

impl Model {
    /// The client's CONNECT was read: whether a session is there.
    pub(crate) fn connected(&mut self, clean: bool, forget: bool) -> bool {
        if clean || forget {
            self.forget();
        }
        let present = self.session;
        self.session = true;
        // It re-sends as the client does (MQTT-4.4.0-1).
        let mut again = std::mem::take(&mut self.outgoing);
        for sent in &mut again {
            self.due.push(again_bytes(sent));
        }
        self.outgoing = again;
        present
    }

    pub(crate) fn closed(&mut self, clean: bool) {
        self.buffer.clear();
        self.due.clear();
        if clean {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.session = false;
        self.received.clear();
        self.outgoing.clear();
    }

    /// Reads bytes of an established connection, whole packets or parts.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        let buffer = std::mem::take(&mut self.buffer);
        let mut done = 0;
        while let Some((packet, len)) =
            codec::decode(&buffer[done..], usize::MAX).expect("the client writes MQTT")
        {
            done += len;
            self.packet(&packet);
        }
        self.buffer = buffer[done..].to_vec();
    }

    /// A message of its own becomes due.
    pub(crate) fn publish(&mut self, qos: QoS) {
        self.last_number += 1;
        let mut sent = Sent {
            id: 0,
            qos,
            number: self.last_number,
            dup: false,
            released: false,
        };
        if qos != QoS::AtMostOnce {
            // Few identifiers, so that they come again soon.
            loop {
                self.last_id = self.last_id % 20 + 1;
                if self.outgoing.iter().all(|sent| sent.id != self.last_id) {
                    break;
                }
            }
            sent.id = self.last_id;
            if self.outgoing.len() >= 15 {
                return;
            }
            self.outgoing.push(sent);
        }
        self.due.push(sent.bytes());
    }

    /// A message of its own without an answer becomes due again, or its PUBREL does. 4.4 asks for
    /// that after a reconnect only; it does not forbid it earlier.
    pub(crate) fn repeat(&mut self, which: usize) {
        let count = self.outgoing.len();
        if count > 0 {
            let again = again_bytes(&mut self.outgoing[which % count]);
            self.due.push(again);
        }
    }

    fn packet(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Publish(publish) => {
                let number = publish.payload.try_into().expect("its number");
                let number = u32::from_be_bytes(number);
                let new =
                    publish.qos != QoS::ExactlyOnce || self.received.insert(publish.packet_id);
                if new {
                    *self.accepted.entry(number).or_default() += 1;
                }
                match publish.qos {
                    QoS::AtMostOnce => {}
                    QoS::AtLeastOnce => self.owe(&Packet::PubAck(publish.packet_id)),
                    QoS::ExactlyOnce => self.owe(&Packet::PubRec(publish.packet_id)),
                }
            }
            Packet::PubRel(id) => {
                self.received.remove(id);
                self.owe(&Packet::PubComp(*id));
            }
            Packet::PubAck(id) | Packet::PubComp(id) => self.outgoing.retain(|s| s.id != *id),
            Packet::PubRec(id) => {
                if let Some(sent) = self.outgoing.iter_mut().find(|sent| sent.id == *id) {
                    sent.released = true;
                }
                self.owe(&Packet::PubRel(*id));
            }
            Packet::Subscribe { packet_id, filters } => {
                let granted = filters.iter().map(|(_, qos)| Some(*qos)).collect();
                let packet_id = *packet_id;
                self.owe(&Packet::SubAck { packet_id, granted });
            }
            Packet::Unsubscribe { packet_id, .. } => self.owe(&Packet::UnsubAck(*packet_id)),
            Packet::PingReq => self.owe(&Packet::PingResp),
            Packet::Connect(_)
            | Packet::ConnAck { .. }
            | Packet::SubAck { .. }
            | Packet::UnsubAck(_)
            | Packet::PingResp
            | Packet::Disconnect => panic!("a client does not send {packet:?} here"),
        }
    }

    fn owe(&mut self, packet: &Packet<'_>) {
        self.due.push(bytes(packet));
    }
}

impl Sent {
    fn bytes(&self) -> Vec<u8> {
        bytes(&Packet::Publish(Publish {
            dup: self.dup,
            qos: self.qos,
            retain: self.number.is_multiple_of(7),
            packet_id: self.id,
            topic: "to/client",
            payload: &self.number.to_be_bytes(),
        }))
    }
}

fn again_bytes(sent: &mut Sent) -> Vec<u8> {
    if sent.released {
        return bytes(&Packet::PubRel(sent.id));
    }
    sent.dup = true;
    sent.bytes()
}

pub(crate) fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(packet, &mut bytes).expect("it fits MQTT");
    bytes
}

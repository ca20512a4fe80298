//! The client under test: our session, driven as a device drives it, through our codec's bytes.

use super::{Delivered, KEEP_ALIVE_S, Open, Outgoing, PING_TIMEOUT_MS, Reaction};
use fleetstorm::mqtt::codec;
use fleetstorm::mqtt::packet::{Connect, Packet, PacketId, Publish, QoS};
use fleetstorm::mqtt::session::{Incoming, KeepAlive, PingOn, Pulse, Session};
use fleetstorm::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};

const KEEP_ALIVE: KeepAlive = KeepAlive {
    interval_s: KEEP_ALIVE_S,
    ping_timeout: Duration::from_millis(PING_TIMEOUT_MS),
    ping_on: PingOn::SilenceOut,
};

/// What our client made of a packet, beyond what both can say.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fine,
    /// A PUBREC once more, or of no known publish: answered by PUBREL all the same.
    ReleasedAgain(PacketId),
    /// The connection must be closed.
    Violation,
}

#[derive(Debug)]
pub(crate) struct Ours {
    session: Session<Outgoing>,
    clean: bool,
    buffer: Vec<u8>,
    /// Timed-out exchanges.
    pub(crate) held: BTreeMap<PacketId, Outgoing>,
    /// Identifiers that only wait for a PUBCOMP: of a power cut, or of an unknown PUBREC.
    pub(crate) abandoned: BTreeSet<PacketId>,
    /// QoS 2 messages that came again, and acknowledgements that came late.
    pub(crate) duplicates: u64,
    pub(crate) late: u64,
}

impl Ours {
    pub(crate) fn new(clean: bool) -> Self {
        Self {
            session: Session::new(),
            clean,
            buffer: Vec::new(),
            held: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            duplicates: 0,
            late: 0,
        }
    }

    pub(crate) fn connect(&mut self, now: Instant) -> Reaction {
        self.session.wrote(now);
        wrote(&Packet::Connect(Box::new(Connect {
            client_id: "c".to_owned(),
            clean_session: self.clean,
            keep_alive_s: KEEP_ALIVE_S,
            will: None,
            username: None,
            password: None,
        })))
    }

    /// CONNACK came: what the session writes again.
    pub(crate) fn connected(&mut self, now: Instant, session_present: bool) -> Reaction {
        let mut reaction = Reaction::default();
        if !session_present {
            self.discard();
            return reaction;
        }
        for id in self.session.resume(now) {
            reaction.written.push(bytes(&Packet::PubRel(id)));
        }
        for entry in self.session.repeat(now, usize::MAX) {
            let again = publish(entry.tag, entry.packet_id, true);
            reaction.written.push(again);
        }
        reaction
    }

    /// Publishes; the identifier, or `None` if it has to wait.
    pub(crate) fn publish(
        &mut self,
        now: Instant,
        what: Outgoing,
        window: u16,
    ) -> Option<(PacketId, Reaction)> {
        let id = match what.qos {
            QoS::AtMostOnce => {
                self.session.wrote(now);
                0
            }
            QoS::AtLeastOnce | QoS::ExactlyOnce => {
                self.session.publish(now, what, what.qos, false, window)?
            }
        };
        let written = vec![publish(what, id, false)];
        let reaction = Reaction {
            written,
            ..Reaction::default()
        };
        Some((id, reaction))
    }

    pub(crate) fn subscribe(
        &mut self,
        now: Instant,
        filters: &[(String, QoS)],
    ) -> Option<(PacketId, Reaction)> {
        let count = u16::try_from(filters.len()).expect("few");
        let packet_id = self.session.subscribe(now, count)?;
        let filters = filters.to_vec();
        Some((packet_id, wrote(&Packet::Subscribe { packet_id, filters })))
    }

    pub(crate) fn unsubscribe(
        &mut self,
        now: Instant,
        filters: &[String],
    ) -> Option<(PacketId, Reaction)> {
        let packet_id = self.session.unsubscribe(now)?;
        let filters = filters.to_vec();
        Some((
            packet_id,
            wrote(&Packet::Unsubscribe { packet_id, filters }),
        ))
    }

    /// Bytes came that complete at most one packet.
    pub(crate) fn feed(&mut self, now: Instant, more: &[u8]) -> (Reaction, Verdict) {
        self.buffer.extend_from_slice(more);
        let buffer = std::mem::take(&mut self.buffer);
        let decoded = codec::decode(&buffer, usize::MAX).expect("the model writes MQTT");
        let Some((packet, len)) = decoded else {
            self.buffer = buffer;
            return (Reaction::default(), Verdict::Fine);
        };
        assert_eq!(len, buffer.len(), "one packet at a time");
        self.receive(now, &packet)
    }

    fn receive(&mut self, now: Instant, packet: &Packet<'_>) -> (Reaction, Verdict) {
        let mut reaction = Reaction::default();
        let mut verdict = Verdict::Fine;
        let released: Vec<_> = self.session.released().map(|e| e.packet_id).collect();
        let incoming = self.session.receive(packet);
        if let Some(answer) = incoming.answer() {
            self.session.wrote(now);
            reaction.written.push(bytes(&answer));
        }
        match incoming {
            Incoming::Acked(entry) => reaction.completed.push(entry.packet_id),
            Incoming::LateAck(entry) => {
                let held = self.held.remove(&entry.packet_id);
                assert_eq!(held, Some(entry.tag), "late is what has timed out");
                self.late += 1;
                reaction.completed.push(entry.packet_id);
            }
            Incoming::Recorded(id) => {
                if released.contains(&id) || self.abandoned.contains(&id) {
                    verdict = Verdict::ReleasedAgain(id);
                }
            }
            Incoming::Abandoned => {
                let Packet::PubComp(id) = packet else {
                    panic!("{packet:?} ends no abandoned exchange");
                };
                assert!(self.abandoned.remove(id), "{id} was not abandoned");
                reaction.completed.push(*id);
            }
            Incoming::UnexpectedAck { release } => {
                reaction.unexpected = true;
                if let Some(id) = release {
                    self.abandoned.insert(id);
                    verdict = Verdict::ReleasedAgain(id);
                }
            }
            Incoming::Granted(_) | Incoming::Unsubscribed => {
                let (Packet::SubAck { packet_id, .. } | Packet::UnsubAck(packet_id)) = packet
                else {
                    panic!("{packet:?} answers no request");
                };
                reaction.answered.push(*packet_id);
            }
            Incoming::Message(message) => reaction.delivered.push(Delivered {
                qos: message.qos,
                id: message.packet_id,
                dup: message.dup,
                retain: message.retain,
                topic: message.topic.to_owned(),
                payload: message.payload.to_vec(),
            }),
            Incoming::Duplicate(_) => self.duplicates += 1,
            Incoming::Released(_) | Incoming::Pong => {}
            Incoming::Violation => {
                reaction.unexpected = true;
                verdict = Verdict::Violation;
            }
        }
        (reaction, verdict)
    }

    pub(crate) fn pulse_deadline(&self) -> Instant {
        self.session.pulse_deadline(KEEP_ALIVE)
    }

    pub(crate) fn pulse(&mut self, now: Instant) -> Reaction {
        match self.session.pulse(now, KEEP_ALIVE) {
            Pulse::Idle => Reaction::default(),
            Pulse::Ping => wrote(&Packet::PingReq),
            Pulse::Dead => Reaction {
                dead: true,
                ..Reaction::default()
            },
        }
    }

    pub(crate) fn closed(&mut self) {
        self.buffer.clear();
        self.session.disconnected();
        if self.clean {
            self.discard();
        }
    }

    /// All that is in flight times out.
    pub(crate) fn time_out(&mut self, now: Instant) {
        let held = &mut self.held;
        self.session.time_out(
            now,
            |_| Duration::ZERO,
            |entry| {
                assert_eq!(held.insert(entry.packet_id, entry.tag), None);
            },
        );
    }

    /// The power was cut, on no connection.
    pub(crate) fn power_cut(&mut self) {
        let open = self.open();
        self.abandoned.extend(open.unrecorded);
        self.abandoned.extend(open.released);
        self.session.power_cut(|_| {});
        self.held.clear();
    }

    pub(crate) const fn in_flight(&self) -> u16 {
        self.session.in_flight()
    }

    pub(crate) fn is_held_up(&self) -> bool {
        self.session.is_held_up()
    }

    /// Its open exchanges; released ones in the order of their PUBRECs, behind abandoned ones.
    pub(crate) fn open(&self) -> Open {
        let released: Vec<_> = self.session.released().map(|e| e.packet_id).collect();
        let pending = self.session.pending().map(|e| (e.packet_id, e.tag));
        let held = self.held.iter().map(|(id, what)| (*id, *what));
        let mut open = Open::default();
        for (id, what) in pending.chain(held) {
            match what.qos {
                QoS::AtMostOnce => unreachable!("QoS 0 opens no exchange"),
                QoS::AtLeastOnce => open.unacknowledged.push(id),
                QoS::ExactlyOnce if released.contains(&id) => {}
                QoS::ExactlyOnce => open.unrecorded.push(id),
            }
        }
        open.released = self.abandoned.iter().copied().chain(released).collect();
        open
    }

    fn discard(&mut self) {
        self.session.discard(|_| {});
        self.held.clear();
        self.abandoned.clear();
    }
}

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(packet, &mut bytes).expect("it fits MQTT");
    bytes
}

fn wrote(packet: &Packet<'_>) -> Reaction {
    Reaction {
        written: vec![bytes(packet)],
        ..Reaction::default()
    }
}

fn publish(what: Outgoing, packet_id: PacketId, dup: bool) -> Vec<u8> {
    bytes(&Packet::Publish(Publish {
        dup,
        qos: what.qos,
        retain: what.retain,
        packet_id,
        topic: &what.topic(),
        payload: &what.number.to_be_bytes(),
    }))
}

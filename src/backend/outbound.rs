//! Deliveries of a session under way, QoS 1 and 2 in one: a window of [`INFLIGHT_MAX`] that are not
//! acknowledged, which is the flow control per client, and a bounded queue behind it. One order for
//! both keeps the order of each publisher's topic (4.6.0-6).

use super::me::skip_for;
use super::memory::heap;
use super::{ConnId, Delivery, Message, Output};
use crate::mqtt::packet::{Packet, PacketId, QoS};
use std::collections::VecDeque;
use std::sync::Arc;

/// Deliveries of one session whose last acknowledgement is awaited.
pub(super) const INFLIGHT_MAX: usize = 256;

/// QoS 1 and 2 messages that wait for one session, online or not.
pub(super) const QUEUE_MAX: usize = 100_000;

/// Queues that have run empty give memory above this many messages back.
const QUEUE_KEEP: usize = 1_024;

/// A message for one session.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    /// Lower of the message's and the subscription's.
    pub(super) qos: QoS,
    /// Sent because of a new subscription (3.3.1-8, 3.3.1-9).
    pub(super) retain: bool,
    pub(super) message: Arc<Message>,
}

/// Whom a delivery goes to.
#[derive(Copy, Clone, Debug)]
pub(super) struct To<'a> {
    pub(super) conn: ConnId,
    pub(super) client_id: &'a str,
}

/// Deliveries of a session under way.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// Identifier of the latest delivery.
    latest: PacketId,
    /// So many identifiers behind it are known to be held by no delivery.
    free_ids: PacketId,
    /// PUBRECs so far, modulo 2^32.
    pubrecs: u32,
    /// In the order of sending.
    inflight: VecDeque<InFlight>,
    /// To be sent.
    queue: VecDeque<Parcel>,
}

/// A delivery that holds an identifier.
#[derive(Debug)]
enum InFlight {
    /// Its PUBACK or, at QoS 2, its PUBREC is awaited.
    Published {
        packet_id: PacketId,
        exactly_once: bool,
        retain: bool,
        message: Arc<Message>,
    },
    /// PUBREL was sent, PUBCOMP is awaited. The message is the client's now (4.3.3).
    Released {
        packet_id: PacketId,
        /// Which PUBREC it was.
        pubrec: u32,
    },
}

/// Which acknowledgement of a delivery came.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum DeliveryAck {
    /// PUBACK.
    Ack,
    /// PUBREC.
    Rec,
    /// PUBCOMP.
    Comp,
}

/// What an acknowledgement does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Acked {
    /// The delivery is over; its place in the window is free.
    Done,
    /// PUBREL is due, now or once more (4.3.3-1).
    Release,
    /// Nothing holds the identifier: a client may acknowledge a delivery again that it was sent
    /// again, and MQTT 3.1.1 has no word against it. A PUBREC is answered with PUBREL all the same,
    /// so that its sender can let go of the identifier.
    Unknown,
    /// It belongs to the other QoS, or comes before the PUBREC that it follows: a protocol violation
    /// (4.3.2, 4.3.3), which closes the connection (4.8.0-1).
    Violation,
}

impl Outbound {
    /// Whether a message may be sent at once.
    pub(super) fn has_room(&self) -> bool {
        self.inflight.len() < INFLIGHT_MAX && self.queue.is_empty()
    }

    /// Lets a message wait; `false` if too many do.
    pub(super) fn enqueue(&mut self, parcel: Parcel) -> bool {
        let has_room = self.queue.len() < QUEUE_MAX;
        if has_room {
            self.queue.push_back(parcel);
        }
        has_room
    }

    /// Sends a message of QoS 1 or 2.
    pub(super) fn send(&mut self, to: To<'_>, parcel: Parcel, out: &mut Vec<Output>) {
        let packet_id = self.next_id();
        self.inflight.push_back(InFlight::Published {
            packet_id,
            exactly_once: parcel.qos == QoS::ExactlyOnce,
            retain: parcel.retain,
            message: Arc::clone(&parcel.message),
        });
        out.push(deliver(to, parcel, packet_id, false));
    }

    /// Sends what the window has room for; how many messages.
    pub(super) fn fill_window(&mut self, to: To<'_>, out: &mut Vec<Output>) -> u64 {
        let mut sent = 0;
        while self.inflight.len() < INFLIGHT_MAX
            && let Some(parcel) = self.queue.pop_front()
        {
            self.send(to, parcel, out);
            sent += 1;
        }
        if self.queue.is_empty() && self.queue.capacity() > QUEUE_KEEP {
            self.queue = VecDeque::new();
        }
        sent
    }

    /// An acknowledgement came.
    pub(super) fn acked(&mut self, ack: DeliveryAck, packet_id: PacketId) -> Acked {
        let mut inflight = self.inflight.iter();
        let Some(at) = inflight.position(|delivery| delivery.packet_id() == packet_id) else {
            return Acked::Unknown;
        };
        match (&self.inflight[at], ack) {
            (
                InFlight::Published {
                    exactly_once: false,
                    ..
                },
                DeliveryAck::Ack,
            )
            | (InFlight::Released { .. }, DeliveryAck::Comp) => {
                // Clients acknowledge in order: it is nearly always the first.
                match at {
                    0 => drop(self.inflight.pop_front()),
                    _ => drop(self.inflight.remove(at)),
                }
                Acked::Done
            }
            (
                InFlight::Published {
                    exactly_once: true, ..
                },
                DeliveryAck::Rec,
            ) => {
                let pubrec = self.pubrecs;
                self.pubrecs = pubrec.wrapping_add(1);
                self.inflight[at] = InFlight::Released { packet_id, pubrec };
                Acked::Release
            }
            (InFlight::Released { .. }, DeliveryAck::Rec) => Acked::Release,
            (
                InFlight::Published {
                    exactly_once: false,
                    ..
                },
                DeliveryAck::Rec | DeliveryAck::Comp,
            )
            | (
                InFlight::Published {
                    exactly_once: true, ..
                },
                DeliveryAck::Ack | DeliveryAck::Comp,
            )
            | (InFlight::Released { .. }, DeliveryAck::Ack) => Acked::Violation,
        }
    }

    /// Sends again what the client may not have got (4.4.0-1): PUBRELs in the order of the PUBRECs
    /// (4.6.0-4), then PUBLISHes in the order in which they were sent (4.6.0-1). How many of each.
    pub(super) fn repeat(&self, to: To<'_>, out: &mut Vec<Output>) -> (u64, u64) {
        let mut released: Vec<_> = self
            .inflight
            .iter()
            .filter_map(InFlight::released)
            .collect();
        // Distances to the next number stay in order when the number wraps.
        released.sort_unstable_by_key(|(pubrec, _)| pubrec.wrapping_sub(self.pubrecs));
        let pubrels = released.len() as u64;
        let before = out.len();
        for (_, packet_id) in released {
            out.push(Output::Send(to.conn, Packet::PubRel(packet_id)));
        }
        out.extend(self.inflight.iter().filter_map(|inflight| match inflight {
            InFlight::Released { .. } => None,
            InFlight::Published {
                packet_id,
                exactly_once,
                retain,
                message,
            } => {
                let parcel = Parcel {
                    qos: match exactly_once {
                        true => QoS::ExactlyOnce,
                        false => QoS::AtLeastOnce,
                    },
                    retain: *retain,
                    message: Arc::clone(message),
                };
                Some(deliver(to, parcel, *packet_id, true))
            }
        }));
        (pubrels, (out.len() - before) as u64 - pubrels)
    }

    /// Identifier of the latest delivery.
    pub(super) const fn latest(&self) -> PacketId {
        self.latest
    }

    /// Bytes of the heap, with its own allocation; of messages only the references.
    pub(super) fn heap_bytes(&self) -> usize {
        heap(size_of::<Self>())
            + heap(self.inflight.capacity() * size_of::<InFlight>())
            + heap(self.queue.capacity() * size_of::<Parcel>())
    }

    /// The next identifier that no delivery holds. Only what is sent takes one, so a gap that was
    /// found stays free until it is used up: deliveries are looked through once per gap, which in a
    /// client that acknowledges all it gets is once per 65 000 messages.
    fn next_id(&mut self) -> PacketId {
        while self.free_ids == 0 {
            let latest = self.latest;
            let held = self.inflight.iter().map(InFlight::packet_id);
            let nearest = held.map(|id| steps(latest, id)).min();
            self.free_ids = nearest.map_or(PacketId::MAX, |steps| steps - 1);
            if self.free_ids == 0 {
                self.latest = following(latest);
            }
        }
        self.free_ids -= 1;
        self.latest = following(self.latest);
        self.latest
    }
}

/// The identifier behind this one; 0 is none (2.3.1-1).
const fn following(id: PacketId) -> PacketId {
    match id {
        PacketId::MAX => 1,
        _ => id + 1,
    }
}

/// How often [`following`] leads from one identifier to the other; from one to itself once around.
/// `from` may be the 0 before the first.
const fn steps(from: PacketId, to: PacketId) -> PacketId {
    match to > from {
        true => to - from,
        false => PacketId::MAX - from + to,
    }
}

impl InFlight {
    const fn packet_id(&self) -> PacketId {
        match self {
            Self::Published { packet_id, .. } | Self::Released { packet_id, .. } => *packet_id,
        }
    }

    const fn released(&self) -> Option<(u32, PacketId)> {
        match self {
            Self::Published { .. } => None,
            Self::Released { packet_id, pubrec } => Some((*pubrec, *packet_id)),
        }
    }
}

/// The PUBLISH to a subscriber.
pub(super) fn deliver(to: To<'_>, parcel: Parcel, packet_id: PacketId, dup: bool) -> Output {
    let Message {
        topic, owner_len, ..
    } = &*parcel.message;
    let skip = skip_for(to.client_id, topic, *owner_len);
    let delivery = Delivery {
        dup,
        qos: parcel.qos,
        retain: parcel.retain,
        packet_id,
        message: parcel.message,
        skip,
    };
    Output::Deliver(to.conn, delivery)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const TO: To<'static> = To {
        conn: ConnId(1),
        client_id: "c",
    };

    fn parcel(qos: QoS) -> Parcel {
        let message = Message {
            topic: "t".into(),
            owner_len: 0,
            payload: Bytes::new(),
        };
        Parcel {
            qos,
            retain: false,
            message: Arc::new(message),
        }
    }

    fn holding(latest: PacketId, ids: &[PacketId]) -> Outbound {
        let released = |&packet_id| InFlight::Released {
            packet_id,
            pubrec: 0,
        };
        Outbound {
            latest,
            inflight: ids.iter().map(released).collect(),
            ..Outbound::default()
        }
    }

    /// 2.3.1-4.
    #[test]
    fn identifiers_skip_those_in_flight_and_zero() {
        let table: [(PacketId, &[PacketId], &[PacketId]); 6] = [
            (0, &[], &[1, 2]),
            (65_533, &[65_534, 65_535, 1, 3], &[2, 4]),
            (65_533, &[], &[65_534, 65_535, 1]),
            (65_535, &[], &[1]),
            // A client that leaves some unacknowledged while all others go around.
            (4, &[5, 7, 4], &[6, 8]),
            (4, &[7, 5, 4], &[6, 8]),
        ];
        for (latest, held, expected) in table {
            let mut outbound = holding(latest, held);
            let got: Vec<_> = expected.iter().map(|_| outbound.next_id()).collect();
            assert_eq!(got, expected, "behind {latest}, holding {held:?}");
        }
    }

    /// 2.3.1-4, over a wrap, whichever the client never acknowledges.
    #[test]
    fn no_identifier_is_used_twice_at_a_time() {
        let mut outbound = Outbound::default();
        let mut held = std::collections::BTreeSet::new();
        let mut out = Vec::new();
        for n in 0..200_000_u32 {
            out.clear();
            outbound.send(TO, parcel(QoS::AtLeastOnce), &mut out);
            assert!(
                held.insert(outbound.latest()),
                "{} twice",
                outbound.latest()
            );
            assert_ne!(outbound.latest(), 0);
            if n % 1_500 != 0 {
                let id = outbound.latest();
                assert_eq!(outbound.acked(DeliveryAck::Ack, id), Acked::Done);
                held.remove(&id);
            }
        }
        assert_eq!(outbound.inflight.len(), 134);
    }

    /// 4.3.2, 4.3.3: what each acknowledgement does in each state of a delivery.
    #[test]
    fn an_acknowledgement_belongs_to_its_qos_and_its_step() {
        use DeliveryAck::{Ack, Comp, Rec};
        let at_least_once = || {
            let mut outbound = Outbound::default();
            outbound.send(TO, parcel(QoS::AtLeastOnce), &mut Vec::new());
            outbound
        };
        let exactly_once = || {
            let mut outbound = Outbound::default();
            outbound.send(TO, parcel(QoS::ExactlyOnce), &mut Vec::new());
            outbound
        };
        let released = || {
            let mut outbound = exactly_once();
            assert_eq!(outbound.acked(Rec, 1), Acked::Release);
            outbound
        };
        let table: [(&dyn Fn() -> Outbound, _); 4] = [
            (
                &at_least_once,
                [Acked::Done, Acked::Violation, Acked::Violation],
            ),
            (
                &exactly_once,
                [Acked::Violation, Acked::Release, Acked::Violation],
            ),
            (&released, [Acked::Violation, Acked::Release, Acked::Done]),
            (&Outbound::default, [Acked::Unknown; 3]),
        ];
        for (state, (outbound, expected)) in table.into_iter().enumerate() {
            let got = [Ack, Rec, Comp].map(|ack| outbound().acked(ack, 1));
            assert_eq!(got, expected, "state {state}");
        }
    }

    /// 4.4.0-1, 4.6.0-1, 4.6.0-4; also when the number of PUBRECs wraps.
    #[test]
    fn pubrels_are_repeated_in_the_order_of_pubrecs_and_publishes_in_their_own() {
        let mut outbound = Outbound {
            pubrecs: u32::MAX - 1,
            ..Outbound::default()
        };
        let qos = [QoS::ExactlyOnce, QoS::AtLeastOnce];
        for n in 0..8 {
            outbound.send(TO, parcel(qos[n % 2]), &mut Vec::new());
        }
        for packet_id in [5, 1, 7] {
            assert_eq!(outbound.acked(DeliveryAck::Rec, packet_id), Acked::Release);
        }
        let mut out = Vec::new();
        assert_eq!(outbound.repeat(TO, &mut out), (3, 5));
        let said: Vec<_> = out
            .iter()
            .map(|output| match output {
                Output::Send(_, Packet::PubRel(id)) => (None, *id),
                Output::Deliver(_, d) if d.dup => (Some(d.qos as u8), d.packet_id),
                Output::Send(..)
                | Output::Deliver(..)
                | Output::Close { .. }
                | Output::PauseAccepting
                | Output::ResumeAccepting => panic!("{output:?}"),
            })
            .collect();
        let publishes = [
            (Some(1), 2),
            (Some(2), 3),
            (Some(1), 4),
            (Some(1), 6),
            (Some(1), 8),
        ];
        assert_eq!(said[..3], [(None, 5), (None, 1), (None, 7)]);
        assert_eq!(said[3..], publishes);
    }

    #[test]
    fn a_delivery_under_way_takes_16_bytes() {
        assert_eq!(size_of::<InFlight>(), 16);
        assert_eq!(size_of::<Parcel>(), 16);
    }
}

//! The oracle: the client of `mqtt_protocol_core`. It is told which identifier ours gave out, and
//! refuses one that it holds in use itself.

use super::{Delivered, KEEP_ALIVE_S, Open, Outgoing, PING_TIMEOUT_MS, Reaction};
use fleetstorm::mqtt::packet::{PacketId, QoS};
use fleetstorm::time::{Duration, Instant};
use mqtt_protocol_core::mqtt::Connection;
use mqtt_protocol_core::mqtt::Version;
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::Event;
use mqtt_protocol_core::mqtt::connection::TimerKind;
use mqtt_protocol_core::mqtt::packet::{
    GenericPacketTrait, Packet, Qos, ResponsePacket, StorePacket, SubEntry, SubOpts, v3_1_1,
};
use mqtt_protocol_core::mqtt::role;

pub(crate) struct Theirs {
    client: Connection<role::Client>,
    clean: bool,
    ping_at: Instant,
    dead_at: Instant,
}

impl Theirs {
    pub(crate) fn new(clean: bool) -> Self {
        Self {
            client: fresh(),
            clean,
            ping_at: Instant::NEVER,
            dead_at: Instant::NEVER,
        }
    }

    pub(crate) fn connect(&mut self, now: Instant) -> Reaction {
        let connect = v3_1_1::Connect::builder()
            .client_id("c")
            .expect("a short identifier")
            .clean_session(self.clean)
            .keep_alive(KEEP_ALIVE_S)
            .build()
            .expect("complete");
        let events = self.client.send(connect.into());
        self.react(now, events)
    }

    /// CONNACK came: what the session writes again.
    pub(crate) fn connected(&mut self, now: Instant, session_present: bool) -> Reaction {
        if !session_present {
            // The identifiers of received QoS 2 messages belong to the session that the server has
            // lost (4.1, MQTT-3.1.2-6). The oracle keeps them, and would swallow a new message.
            self.client.restore_qos2_publish_handled(Default::default());
        }
        self.feed(now, &[0x20, 2, u8::from(session_present), 0])
    }

    /// Publishes under this identifier.
    ///
    /// # Panics
    /// If it is in use.
    pub(crate) fn publish(&mut self, now: Instant, what: Outgoing, id: PacketId) -> Reaction {
        let mut publish = v3_1_1::Publish::builder()
            .topic_name(what.topic())
            .expect("a topic")
            .qos(to_qos(what.qos))
            .retain(what.retain)
            .payload(&what.number.to_be_bytes());
        if id != 0 {
            self.take_id(id);
            publish = publish.packet_id(id);
        }
        let publish = publish.build().expect("complete");
        let events = self.client.send(publish.into());
        self.react(now, events)
    }

    pub(crate) fn subscribe(
        &mut self,
        now: Instant,
        id: PacketId,
        filters: &[(String, QoS)],
    ) -> Reaction {
        self.take_id(id);
        let entries: Vec<_> = filters
            .iter()
            .map(|(filter, qos)| {
                let options = SubOpts::new().set_qos(to_qos(*qos));
                SubEntry::new(filter, options).expect("a filter")
            })
            .collect();
        let subscribe = v3_1_1::Subscribe::builder()
            .packet_id(id)
            .entries(entries)
            .build()
            .expect("complete");
        let events = self.client.send(subscribe.into());
        self.react(now, events)
    }

    pub(crate) fn unsubscribe(
        &mut self,
        now: Instant,
        id: PacketId,
        filters: &[String],
    ) -> Reaction {
        self.take_id(id);
        let unsubscribe = v3_1_1::Unsubscribe::builder()
            .packet_id(id)
            .entries(filters.to_vec())
            .expect("filters")
            .build()
            .expect("complete");
        let events = self.client.send(unsubscribe.into());
        self.react(now, events)
    }

    /// Bytes came that complete at most one packet.
    pub(crate) fn feed(&mut self, now: Instant, more: &[u8]) -> Reaction {
        let mut cursor = Cursor::new(more);
        let events = self.client.recv(&mut cursor);
        assert_eq!(cursor.position(), more.len() as u64);
        self.react(now, events)
    }

    /// Ours wrote something of which theirs knows nothing: the keep-alive begins anew.
    pub(crate) fn wrote(&mut self, now: Instant) {
        self.ping_at = now.after(Duration::from_secs(u64::from(KEEP_ALIVE_S)));
    }

    /// When one of its timers fires.
    pub(crate) fn deadline(&self) -> Instant {
        self.ping_at.min(self.dead_at)
    }

    pub(crate) fn fire(&mut self, now: Instant) -> Reaction {
        let kind = if self.dead_at <= now {
            self.dead_at = Instant::NEVER;
            TimerKind::PingrespRecv
        } else {
            self.ping_at = Instant::NEVER;
            TimerKind::PingreqSend
        };
        let events = self.client.notify_timer_fired(kind);
        self.react(now, events)
    }

    /// The connection is gone. Its state goes through what it would keep on disk: kept alive, it
    /// would hold on to the first half of a packet that the cut tore, and take the next connection's
    /// bytes for the second.
    pub(crate) fn closed(&mut self) {
        self.client.notify_closed();
        let (packets, received) = if self.clean {
            (Vec::new(), Default::default())
        } else {
            (
                self.client.get_stored_packets(),
                self.client.get_qos2_publish_handled(),
            )
        };
        self.client = fresh();
        self.client.restore_packets(packets);
        self.client.restore_qos2_publish_handled(received);
        (self.ping_at, self.dead_at) = (Instant::NEVER, Instant::NEVER);
    }

    /// The power was cut, on no connection. The oracle knows no such thing; what ours promises to
    /// remember is a PUBREL for each QoS 2 publish.
    pub(crate) fn power_cut(&mut self) {
        let received = self.client.get_qos2_publish_handled();
        let open = self.open();
        self.client = fresh();
        for id in open.released.into_iter().chain(open.unrecorded) {
            self.hold_release(id);
        }
        self.client.restore_qos2_publish_handled(received);
    }

    /// From now on it waits for the PUBCOMP of a PUBREL with this identifier.
    pub(crate) fn hold_release(&mut self, id: PacketId) {
        let release = v3_1_1::Pubrel::builder()
            .packet_id(id)
            .build()
            .expect("complete");
        self.client
            .restore_packets(vec![StorePacket::V3_1_1Pubrel(release)]);
    }

    /// Its open exchanges, each kind in the order in which it would write them again.
    pub(crate) fn open(&self) -> Open {
        let mut open = Open::default();
        for packet in self.client.get_stored_packets() {
            let id = packet.packet_id();
            match packet.response_packet() {
                ResponsePacket::V3_1_1Puback => open.unacknowledged.push(id),
                ResponsePacket::V3_1_1Pubrec => open.unrecorded.push(id),
                ResponsePacket::V3_1_1Pubcomp => open.released.push(id),
                other @ (ResponsePacket::V5_0Puback
                | ResponsePacket::V5_0Pubrec
                | ResponsePacket::V5_0Pubcomp) => panic!("{other:?} in MQTT 3.1.1"),
            }
        }
        open
    }

    fn take_id(&mut self, id: PacketId) {
        let taken = self.client.register_packet_id(id);
        assert!(taken.is_ok(), "identifier {id} is in use: {taken:?}");
    }

    fn react(&mut self, now: Instant, events: Vec<Event>) -> Reaction {
        let mut reaction = Reaction::default();
        for event in events {
            match event {
                Event::RequestSendPacket { packet, .. } => {
                    reaction.written.push(packet.to_continuous_buffer());
                }
                Event::NotifyPacketReceived(packet) => received(&packet, &mut reaction),
                Event::NotifyError(_) => reaction.unexpected = true,
                Event::RequestTimerReset { kind, duration_ms } => {
                    let at = now.after(Duration::from_millis(duration_ms));
                    *self.timer(kind) = at;
                }
                Event::RequestTimerCancel(kind) => *self.timer(kind) = Instant::NEVER,
                Event::RequestClose => reaction.dead = true,
                // Told by the packet that releases it.
                Event::NotifyPacketIdReleased(_) => {}
            }
        }
        // A request to close that follows from an error says no more than the error.
        reaction.dead &= !reaction.unexpected;
        reaction
    }

    fn timer(&mut self, kind: TimerKind) -> &mut Instant {
        match kind {
            TimerKind::PingreqSend => &mut self.ping_at,
            TimerKind::PingrespRecv => &mut self.dead_at,
            TimerKind::PingreqRecv => panic!("a client receives no PINGREQ"),
        }
    }
}

fn fresh() -> Connection<role::Client> {
    let mut client = Connection::new(Version::V3_1_1);
    client.set_auto_pub_response(true);
    client.set_pingresp_recv_timeout(PING_TIMEOUT_MS);
    client
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the packets of MQTT 5 and those that only servers receive"
)]
fn received(packet: &Packet, reaction: &mut Reaction) {
    match packet {
        Packet::V3_1_1Publish(publish) => reaction.delivered.push(Delivered {
            qos: from_qos(publish.qos()),
            id: publish.packet_id().unwrap_or(0),
            dup: publish.dup(),
            retain: publish.retain(),
            topic: publish.topic_name().to_owned(),
            payload: publish.payload().as_slice().to_vec(),
        }),
        Packet::V3_1_1Puback(ack) => reaction.completed.push(ack.packet_id()),
        Packet::V3_1_1Pubcomp(ack) => reaction.completed.push(ack.packet_id()),
        Packet::V3_1_1Suback(ack) => reaction.answered.push(ack.packet_id()),
        Packet::V3_1_1Unsuback(ack) => reaction.answered.push(ack.packet_id()),
        Packet::V3_1_1Connack(_)
        | Packet::V3_1_1Pubrec(_)
        | Packet::V3_1_1Pubrel(_)
        | Packet::V3_1_1Pingresp(_) => {}
        other => panic!("a client does not receive {other:?}"),
    }
}

const fn to_qos(qos: QoS) -> Qos {
    match qos {
        QoS::AtMostOnce => Qos::AtMostOnce,
        QoS::AtLeastOnce => Qos::AtLeastOnce,
        QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

const fn from_qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

//! What a packet from the server means to a session, and what it is answered with.

use super::Entry;
use crate::mqtt::packet::{Packet, PacketId, Publish, QoS};

/// What a packet from the server means to the session.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a, T> {
    /// The exchange of a publish in flight is complete: PUBACK (QoS 1) or PUBCOMP (QoS 2).
    Acked(Entry<T>),
    /// The same of a publish that had timed out; its identifier is free again.
    LateAck(Entry<T>),
    /// PUBREC of a known QoS 2 publish, the first or one more: answered by PUBREL.
    Recorded(PacketId),
    /// PUBCOMP of an exchange that only kept its identifier reserved, because the power was cut or
    /// its PUBREC was unexpected; the identifier is free again.
    Abandoned,
    /// PUBACK, PUBREC or PUBCOMP of no known publish: a duplicate, or of an earlier session. To be
    /// tolerated.
    UnexpectedAck {
        /// Of a PUBREC: its identifier, to be answered by PUBREL like any (MQTT-4.3.3-1).
        release: Option<PacketId>,
    },
    /// Answer to the outstanding SUBSCRIBE, one entry per filter.
    Granted(&'a [Option<QoS>]),
    /// Answer to the outstanding UNSUBSCRIBE.
    Unsubscribed,
    /// An application message, at QoS 2 for the first time: answered by PUBACK at QoS 1 and by
    /// PUBREC at QoS 2.
    Message(Publish<'a>),
    /// A QoS 2 message that came before and is not released yet: answered by PUBREC again, and not
    /// to be delivered.
    Duplicate(PacketId),
    /// PUBREL, of a known identifier or not: answered by PUBCOMP.
    Released(PacketId),
    /// Answer to the outstanding PINGREQ.
    Pong,
    /// Not allowed here by MQTT 3.1.1: the connection must be closed.
    Violation,
}

impl<T> Incoming<'_, T> {
    /// The acknowledgement that must be written now, if any.
    pub const fn answer(&self) -> Option<Packet<'static>> {
        match self {
            Self::Recorded(packet_id)
            | Self::UnexpectedAck {
                release: Some(packet_id),
            } => Some(Packet::PubRel(*packet_id)),
            Self::Message(publish) => match publish.qos {
                QoS::AtMostOnce => None,
                QoS::AtLeastOnce => Some(Packet::PubAck(publish.packet_id)),
                QoS::ExactlyOnce => Some(Packet::PubRec(publish.packet_id)),
            },
            Self::Duplicate(packet_id) => Some(Packet::PubRec(*packet_id)),
            Self::Released(packet_id) => Some(Packet::PubComp(*packet_id)),
            Self::Acked(_)
            | Self::LateAck(_)
            | Self::Abandoned
            | Self::UnexpectedAck { release: None }
            | Self::Granted(_)
            | Self::Unsubscribed
            | Self::Pong
            | Self::Violation => None,
        }
    }
}

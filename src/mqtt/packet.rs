//! MQTT 3.1.1 packet values. They cross the actors' border; bytes exist only in `mqtt::codec` and
//! the live driver.

use serde::{Deserialize, Serialize};

/// Packet Identifier (MQTT 3.1.1 section 2.3.1), never zero on the wire.
pub type PacketId = u16;

/// Quality of Service of a PUBLISH or a subscription.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum QoS {
    /// At most once.
    AtMostOnce = 0,
    /// At least once.
    AtLeastOnce = 1,
    /// Exactly once.
    ExactlyOnce = 2,
}

/// One MQTT control packet. Strings of a PUBLISH are borrowed from the receive buffer; those of
/// the rare packets are owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Client requests a connection (3.1).
    Connect(Box<Connect>),
    /// Server answers a CONNECT (3.2).
    ConnAck {
        /// The server holds a session for this client.
        session_present: bool,
        /// Accepted or why not.
        code: ConnectCode,
    },
    /// An application message (3.3).
    Publish(Publish<'a>),
    /// Answer to a QoS 1 PUBLISH (3.4).
    PubAck(PacketId),
    /// First answer to a QoS 2 PUBLISH (3.5).
    PubRec(PacketId),
    /// Answer to a PUBREC (3.6).
    PubRel(PacketId),
    /// Last answer of a QoS 2 exchange (3.7).
    PubComp(PacketId),
    /// Client requests subscriptions (3.8).
    Subscribe {
        /// Identifies the exchange.
        packet_id: PacketId,
        /// Topic filters with the requested maximum QoS; never empty.
        filters: Vec<(String, QoS)>,
    },
    /// Server answers a SUBSCRIBE (3.9).
    SubAck {
        /// Identifies the exchange.
        packet_id: PacketId,
        /// Granted QoS per filter, `None` = failure (0x80).
        granted: Vec<Option<QoS>>,
    },
    /// Client ends subscriptions (3.10).
    Unsubscribe {
        /// Identifies the exchange.
        packet_id: PacketId,
        /// Topic filters; never empty.
        filters: Vec<String>,
    },
    /// Server answers an UNSUBSCRIBE (3.11).
    UnsubAck(PacketId),
    /// Client asks whether the server is alive (3.12).
    PingReq,
    /// Server says it is (3.13).
    PingResp,
    /// Client leaves cleanly (3.14).
    Disconnect,
}

/// The fields of a CONNECT packet.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// Client Identifier.
    pub client_id: String,
    /// Clean Session flag: no state survives the connection.
    pub clean_session: bool,
    /// Keep Alive in seconds, 0 = off.
    pub keep_alive_s: u16,
    /// Will message, published by the server if the connection ends without DISCONNECT.
    pub will: Option<Will>,
    /// User name, if any.
    pub username: Option<String>,
    /// Password, if any. Never printed.
    pub password: Option<String>,
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("client_id", &self.client_id)
            .field("clean_session", &self.clean_session)
            .field("keep_alive_s", &self.keep_alive_s)
            .field("will", &self.will)
            .field("username", &self.username.as_ref().map(|_| "<set>"))
            .field("password", &self.password.as_ref().map(|_| "<set>"))
            .finish()
    }
}

/// The will message of a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Will Topic.
    pub topic: String,
    /// Will Message.
    pub payload: Vec<u8>,
    /// Will QoS.
    pub qos: QoS,
    /// Will Retain.
    pub retain: bool,
}

/// The fields of a PUBLISH packet.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Re-delivery of an earlier attempt.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// Packet Identifier; 0 exactly if `qos` is 0.
    pub packet_id: PacketId,
    /// Topic Name.
    pub topic: &'a str,
    /// Application message.
    pub payload: &'a [u8],
}

/// Connect Return code of a CONNACK (table 3.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum ConnectCode {
    /// 0x00 connection accepted.
    Accepted = 0,
    /// 0x01 unacceptable protocol version.
    BadProtocolVersion = 1,
    /// 0x02 identifier rejected.
    IdentifierRejected = 2,
    /// 0x03 server unavailable.
    ServerUnavailable = 3,
    /// 0x04 bad user name or password.
    BadCredentials = 4,
    /// 0x05 not authorized.
    NotAuthorized = 5,
}

//! The packets off the hot path, through `rumqttc::mqttbytes::v4`, with guards for what it lets
//! through: reserved bits, packet identifier 0, bytes after the last field, wildcards in topics.

use super::{
    CodecError, REMAINING_LENGTH_MAX, check, encoded_len, kind, malformed, push_bytes,
    push_remaining_length, remaining_length,
};
use crate::mqtt::packet::{Connect, ConnectCode, Packet, PacketId, QoS, Will};
use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{self, v4};

/// Protocol name and level of MQTT 3.1.1 (3.1.2.1, 3.1.2.2).
const PROTOCOL: [u8; 7] = [0, 4, b'M', b'Q', b'T', b'T', 4];

/// The bits of the Connect Flags (3.1.2.3).
mod flag {
    pub(super) const RESERVED: u8 = 1;
    pub(super) const CLEAN_SESSION: u8 = 1 << 1;
    pub(super) const WILL: u8 = 1 << 2;
    pub(super) const WILL_QOS_SHIFT: u8 = 3;
    pub(super) const WILL_RETAIN: u8 = 1 << 5;
    pub(super) const PASSWORD: u8 = 1 << 6;
    pub(super) const USERNAME: u8 = 1 << 7;
}

/// Appends the bytes of a packet that is not of the hot path; on error `out` is as before.
pub(super) fn encode(packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    check_packet(packet).map_err(CodecError::Unencodable)?;
    if encoded_len(packet) > 1 + 4 + REMAINING_LENGTH_MAX {
        return Err(CodecError::Unencodable("packet over 268 435 455 bytes"));
    }
    let theirs = match packet {
        Packet::Connect(connect) => {
            encode_connect(connect, out);
            return Ok(());
        }
        Packet::ConnAck {
            session_present,
            code,
        } => v4::Packet::ConnAck(v4::ConnAck::new(to_return_code(*code), *session_present)),
        Packet::Subscribe { packet_id, filters } => {
            let mut subscribe = v4::Subscribe::new_many(
                filters
                    .iter()
                    .map(|(path, qos)| v4::SubscribeFilter::new(path.clone(), to_qos(*qos))),
            );
            subscribe.pkid = *packet_id;
            v4::Packet::Subscribe(subscribe)
        }
        Packet::SubAck { packet_id, granted } => {
            let codes = granted.iter().map(|granted| match granted {
                Some(qos) => v4::SubscribeReasonCode::Success(to_qos(*qos)),
                None => v4::SubscribeReasonCode::Failure,
            });
            v4::Packet::SubAck(v4::SubAck::new(*packet_id, codes.collect()))
        }
        Packet::Unsubscribe { packet_id, filters } => v4::Packet::Unsubscribe(v4::Unsubscribe {
            pkid: *packet_id,
            topics: filters.clone(),
        }),
        Packet::UnsubAck(packet_id) => v4::Packet::UnsubAck(v4::UnsubAck::new(*packet_id)),
        Packet::Disconnect => v4::Packet::Disconnect,
        Packet::Publish(_)
        | Packet::PubAck(_)
        | Packet::PubRec(_)
        | Packet::PubRel(_)
        | Packet::PubComp(_)
        | Packet::PingReq
        | Packet::PingResp => {
            unreachable!("packets of the hot path are encoded by the caller")
        }
    };
    let mut buffer = BytesMut::new();
    theirs
        .write(&mut buffer, usize::MAX)
        .map_err(|_| CodecError::Unencodable("refused by the codec library"))?;
    out.extend_from_slice(&buffer);
    Ok(())
}

/// Decodes one whole frame whose fixed header is `header` bytes long.
pub(super) fn decode(frame: &[u8], header: usize) -> Result<Packet<'static>, CodecError> {
    let body = &frame[header..];
    if frame[0] >> 4 == kind::CONNECT {
        check_connect_header(body)?;
    }
    let mut buffer = BytesMut::from(frame);
    let theirs = v4::Packet::read(&mut buffer, usize::MAX)
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    let packet = from_theirs(theirs, body)?;
    check_packet(&packet).map_err(malformed)?;

    // rumqttc ignores reserved bits and what follows the last field. A sound packet has one body
    // only, so encoding it again finds all of that.
    let mut again = Vec::with_capacity(frame.len());
    encode(&packet, &mut again)?;
    let (again_header, _) = remaining_length(&again)?.expect("what was encoded is complete");
    if again[again_header..] != *body {
        return Err(malformed("reserved bits or bytes after the last field"));
    }
    Ok(packet)
}

/// The Remaining Length of a CONNECT.
pub(super) fn connect_remaining(connect: &Connect) -> usize {
    let field = |len: usize| 2 + len;
    let option = |text: &Option<String>| text.as_ref().map_or(0, |t| field(t.len()));
    let will = connect.will.as_ref();
    PROTOCOL.len()
        + 1
        + 2
        + field(connect.client_id.len())
        + will.map_or(0, |w| field(w.topic.len()) + field(w.payload.len()))
        + option(&connect.username)
        + option(&connect.password)
}

/// Written here because rumqttc drops an empty user name or password instead of sending it empty.
fn encode_connect(connect: &Connect, out: &mut Vec<u8>) {
    out.push(kind::CONNECT << 4);
    push_remaining_length(connect_remaining(connect), out);
    out.extend_from_slice(&PROTOCOL);
    let set = |on: bool, bit: u8| if on { bit } else { 0 };
    let will = connect.will.as_ref();
    out.push(
        set(connect.clean_session, flag::CLEAN_SESSION)
            | set(will.is_some(), flag::WILL)
            | will.map_or(0, |w| (w.qos as u8) << flag::WILL_QOS_SHIFT)
            | set(will.is_some_and(|w| w.retain), flag::WILL_RETAIN)
            | set(connect.password.is_some(), flag::PASSWORD)
            | set(connect.username.is_some(), flag::USERNAME),
    );
    out.extend_from_slice(&connect.keep_alive_s.to_be_bytes());
    push_bytes(connect.client_id.as_bytes(), out);
    if let Some(will) = will {
        push_bytes(will.topic.as_bytes(), out);
        push_bytes(&will.payload, out);
    }
    for text in [&connect.username, &connect.password].into_iter().flatten() {
        push_bytes(text.as_bytes(), out);
    }
}

/// Protocol, level and reserved flag of a CONNECT, for errors that say what is wrong.
fn check_connect_header(body: &[u8]) -> Result<(), CodecError> {
    let Some((protocol, rest)) = body.split_first_chunk::<7>() else {
        return Err(malformed("CONNECT without a protocol"));
    };
    if protocol[..6] != PROTOCOL[..6] {
        return Err(malformed("protocol name is not MQTT"));
    }
    if protocol[6] != PROTOCOL[6] {
        let level = protocol[6];
        return Err(CodecError::Malformed(format!(
            "protocol level {level}, only 4 (MQTT 3.1.1) is spoken"
        )));
    }
    match rest.first() {
        None => Err(malformed("CONNECT without flags")),
        Some(flags) if flags & flag::RESERVED != 0 => {
            Err(malformed("reserved bit of the connect flags"))
        }
        Some(_) => Ok(()),
    }
}

fn check_packet(packet: &Packet<'_>) -> Result<(), &'static str> {
    let id = |packet_id: &PacketId| check::packet_id(*packet_id);
    match packet {
        Packet::Connect(connect) => check::connect(connect),
        Packet::ConnAck {
            session_present: true,
            code:
                ConnectCode::BadProtocolVersion
                | ConnectCode::IdentifierRejected
                | ConnectCode::ServerUnavailable
                | ConnectCode::BadCredentials
                | ConnectCode::NotAuthorized,
        } => Err("refusing CONNACK with session present"),
        Packet::ConnAck { .. } | Packet::Disconnect | Packet::PingReq | Packet::PingResp => Ok(()),
        Packet::Subscribe { packet_id, filters } => {
            id(packet_id)?;
            check::filters(filters.iter().map(|(filter, _)| filter.as_str()))
        }
        Packet::SubAck { packet_id, granted } => {
            id(packet_id)?;
            if granted.is_empty() {
                return Err("SUBACK without a return code");
            }
            Ok(())
        }
        Packet::Unsubscribe { packet_id, filters } => {
            id(packet_id)?;
            check::filters(filters.iter().map(String::as_str))
        }
        Packet::UnsubAck(packet_id)
        | Packet::PubAck(packet_id)
        | Packet::PubRec(packet_id)
        | Packet::PubRel(packet_id)
        | Packet::PubComp(packet_id) => id(packet_id),
        Packet::Publish(publish) => check::topic(publish.topic),
    }
}

fn from_theirs(theirs: v4::Packet, body: &[u8]) -> Result<Packet<'static>, CodecError> {
    match theirs {
        v4::Packet::Connect(connect) => Ok(Packet::Connect(Box::new(from_connect(connect, body)))),
        v4::Packet::ConnAck(ack) => Ok(Packet::ConnAck {
            session_present: ack.session_present,
            code: from_return_code(ack.code),
        }),
        v4::Packet::Subscribe(subscribe) => Ok(Packet::Subscribe {
            packet_id: subscribe.pkid,
            filters: subscribe
                .filters
                .into_iter()
                .map(|f| (f.path, from_qos(f.qos)))
                .collect(),
        }),
        v4::Packet::SubAck(ack) => Ok(Packet::SubAck {
            packet_id: ack.pkid,
            granted: ack
                .return_codes
                .into_iter()
                .map(|code| match code {
                    v4::SubscribeReasonCode::Success(qos) => Some(from_qos(qos)),
                    v4::SubscribeReasonCode::Failure => None,
                })
                .collect(),
        }),
        v4::Packet::Unsubscribe(unsubscribe) => Ok(Packet::Unsubscribe {
            packet_id: unsubscribe.pkid,
            filters: unsubscribe.topics,
        }),
        v4::Packet::UnsubAck(ack) => Ok(Packet::UnsubAck(ack.pkid)),
        v4::Packet::Disconnect => Ok(Packet::Disconnect),
        // These reach this place only with a body, which they must not have.
        v4::Packet::PingReq | v4::Packet::PingResp => Err(malformed("ping with a body")),
        v4::Packet::Publish(_)
        | v4::Packet::PubAck(_)
        | v4::Packet::PubRec(_)
        | v4::Packet::PubRel(_)
        | v4::Packet::PubComp(_) => unreachable!("decoded or refused by the caller"),
    }
}

fn from_connect(connect: v4::Connect, body: &[u8]) -> Connect {
    // rumqttc does not tell an empty user name from none; the flags do.
    let flags = body[PROTOCOL.len()];
    let login = connect
        .login
        .unwrap_or_else(|| v4::Login::new(String::new(), String::new()));
    Connect {
        client_id: connect.client_id,
        clean_session: connect.clean_session,
        keep_alive_s: connect.keep_alive,
        will: connect.last_will.map(|will| Will {
            topic: will.topic,
            payload: Bytes::into(will.message),
            qos: from_qos(will.qos),
            retain: will.retain,
        }),
        username: (flags & flag::USERNAME != 0).then_some(login.username),
        password: (flags & flag::PASSWORD != 0).then_some(login.password),
    }
}

const fn to_qos(qos: QoS) -> mqttbytes::QoS {
    match qos {
        QoS::AtMostOnce => mqttbytes::QoS::AtMostOnce,
        QoS::AtLeastOnce => mqttbytes::QoS::AtLeastOnce,
        QoS::ExactlyOnce => mqttbytes::QoS::ExactlyOnce,
    }
}

const fn from_qos(qos: mqttbytes::QoS) -> QoS {
    match qos {
        mqttbytes::QoS::AtMostOnce => QoS::AtMostOnce,
        mqttbytes::QoS::AtLeastOnce => QoS::AtLeastOnce,
        mqttbytes::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

const fn to_return_code(code: ConnectCode) -> v4::ConnectReturnCode {
    match code {
        ConnectCode::Accepted => v4::ConnectReturnCode::Success,
        ConnectCode::BadProtocolVersion => v4::ConnectReturnCode::RefusedProtocolVersion,
        ConnectCode::IdentifierRejected => v4::ConnectReturnCode::BadClientId,
        ConnectCode::ServerUnavailable => v4::ConnectReturnCode::ServiceUnavailable,
        ConnectCode::BadCredentials => v4::ConnectReturnCode::BadUserNamePassword,
        ConnectCode::NotAuthorized => v4::ConnectReturnCode::NotAuthorized,
    }
}

const fn from_return_code(code: v4::ConnectReturnCode) -> ConnectCode {
    match code {
        v4::ConnectReturnCode::Success => ConnectCode::Accepted,
        v4::ConnectReturnCode::RefusedProtocolVersion => ConnectCode::BadProtocolVersion,
        v4::ConnectReturnCode::BadClientId => ConnectCode::IdentifierRejected,
        v4::ConnectReturnCode::ServiceUnavailable => ConnectCode::ServerUnavailable,
        v4::ConnectReturnCode::BadUserNamePassword => ConnectCode::BadCredentials,
        v4::ConnectReturnCode::NotAuthorized => ConnectCode::NotAuthorized,
    }
}

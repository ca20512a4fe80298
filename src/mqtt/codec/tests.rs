//! The codec against itself, against rumqttc's, and against hostile bytes.

mod statements;

use super::*;
use crate::mqtt::packet::{Connect, ConnectCode, Will};
use bytes::BytesMut;
use proptest::prelude::*;
use rumqttc::mqttbytes::v4;

const NO_LIMIT: usize = usize::MAX;

/// A packet that owns its fields, so that a strategy can make it.
#[derive(Clone, Debug)]
enum Owned {
    Publish {
        dup: bool,
        qos: QoS,
        retain: bool,
        packet_id: PacketId,
        topic: String,
        payload: Vec<u8>,
    },
    Other(Packet<'static>),
}

impl Owned {
    fn packet(&self) -> Packet<'_> {
        match self {
            Self::Publish {
                dup,
                qos,
                retain,
                packet_id,
                topic,
                payload,
            } => Packet::Publish(Publish {
                dup: *dup,
                qos: *qos,
                retain: *retain,
                packet_id: *packet_id,
                topic,
                payload,
            }),
            Self::Other(packet) => packet.clone(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&self.packet(), &mut out).expect("strategies make sound packets");
        out
    }
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![
        Just(QoS::AtMostOnce),
        Just(QoS::AtLeastOnce),
        Just(QoS::ExactlyOnce)
    ]
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9/äß漢🛰 -]{1,40}"
}

fn filter() -> impl Strategy<Value = String> {
    ("[a-z0-9/]{0,20}", prop_oneof!["/[+]", "/#", "/[+]/x", "x"])
        .prop_map(|(start, end)| format!("{start}{end}"))
}

fn publish() -> impl Strategy<Value = Owned> {
    let payload = prop::collection::vec(any::<u8>(), 0..300);
    (any::<bool>(), qos(), any::<bool>(), 1u16.., text(), payload).prop_map(
        |(dup, qos, retain, id, topic, payload)| {
            let acked = qos != QoS::AtMostOnce;
            Owned::Publish {
                dup: dup && acked,
                qos,
                retain,
                packet_id: if acked { id } else { 0 },
                topic,
                payload,
            }
        },
    )
}

fn will() -> impl Strategy<Value = Will> {
    let payload = prop::collection::vec(any::<u8>(), 0..50);
    (text(), payload, qos(), any::<bool>()).prop_map(|(topic, payload, qos, retain)| Will {
        topic,
        payload,
        qos,
        retain,
    })
}

fn connect() -> impl Strategy<Value = Packet<'static>> {
    (
        prop_oneof![Just(String::new()), text()],
        any::<bool>(),
        any::<u16>(),
        prop::option::of(will()),
        prop::option::of((text(), prop::option::of(text()))),
    )
        .prop_map(|(client_id, clean_session, keep_alive_s, will, login)| {
            let (username, password) = match login {
                Some((username, password)) => (Some(username), password),
                None => (None, None),
            };
            Packet::Connect(Box::new(Connect {
                client_id,
                clean_session,
                keep_alive_s,
                will,
                username,
                password,
            }))
        })
}

fn conn_ack() -> impl Strategy<Value = Packet<'static>> {
    prop_oneof![
        any::<bool>().prop_map(|present| (present, ConnectCode::Accepted)),
        Just((false, ConnectCode::BadProtocolVersion)),
        Just((false, ConnectCode::IdentifierRejected)),
        Just((false, ConnectCode::ServerUnavailable)),
        Just((false, ConnectCode::BadCredentials)),
        Just((false, ConnectCode::NotAuthorized)),
    ]
    .prop_map(|(session_present, code)| Packet::ConnAck {
        session_present,
        code,
    })
}

fn packet() -> impl Strategy<Value = Owned> {
    let subscribe = (1u16.., prop::collection::vec((filter(), qos()), 1..20))
        .prop_map(|(packet_id, filters)| Packet::Subscribe { packet_id, filters });
    let sub_ack = (
        1u16..,
        prop::collection::vec(prop::option::of(qos()), 1..200),
    )
        .prop_map(|(packet_id, granted)| Packet::SubAck { packet_id, granted });
    let unsubscribe = (1u16.., prop::collection::vec(filter(), 1..20))
        .prop_map(|(packet_id, filters)| Packet::Unsubscribe { packet_id, filters });
    let others = prop_oneof![
        connect(),
        conn_ack(),
        (1u16..).prop_map(Packet::PubAck),
        (1u16..).prop_map(Packet::PubRec),
        (1u16..).prop_map(Packet::PubRel),
        (1u16..).prop_map(Packet::PubComp),
        subscribe,
        sub_ack,
        unsubscribe,
        (1u16..).prop_map(Packet::UnsubAck),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        Just(Packet::Disconnect),
    ];
    prop_oneof![1 => publish(), 4 => others.prop_map(Owned::Other)]
}

/// What rumqttc's codec writes for what it reads in `bytes`.
fn through_rumqttc(bytes: &[u8]) -> Vec<u8> {
    let theirs = v4::Packet::read(&mut BytesMut::from(bytes), NO_LIMIT).expect("rumqttc reads it");
    let mut out = BytesMut::new();
    theirs.write(&mut out, NO_LIMIT).expect("and writes it");
    out.to_vec()
}

proptest! {
    #[test]
    fn every_packet_comes_back(owned in packet()) {
        let bytes = owned.bytes();
        prop_assert_eq!(bytes.len(), encoded_len(&owned.packet()));
        if let Packet::Publish(publish) = owned.packet() {
            let (topic, payload) = (publish.topic.len(), publish.payload.len());
            prop_assert_eq!(bytes.len(), publish_len(publish.qos, topic, payload));
        }
        let decoded = decode(&bytes, bytes.len()).expect("sound");
        prop_assert_eq!(decoded, Some((owned.packet(), bytes.len())));
    }

    #[test]
    fn rumqttc_reads_and_writes_the_same_bytes(owned in packet()) {
        let bytes = owned.bytes();
        prop_assert_eq!(through_rumqttc(&bytes), bytes);
    }

    #[test]
    fn a_part_of_a_packet_is_waited_for(owned in packet()) {
        let bytes = owned.bytes();
        for end in 0..bytes.len() {
            prop_assert_eq!(decode(&bytes[..end], NO_LIMIT), Ok(None));
            let (header, _) = remaining_length(&bytes).expect("sound").expect("complete");
            let known = (end >= header).then_some(bytes.len());
            prop_assert_eq!(frame_len(&bytes[..end], NO_LIMIT), Ok(known));
        }
    }

    #[test]
    fn packets_may_be_split_and_merged_anywhere(
        packets in prop::collection::vec(packet(), 1..8),
        chunk in 1usize..50,
    ) {
        let stream: Vec<u8> = packets.iter().flat_map(Owned::bytes).collect();
        let (mut received, mut at, mut count) = (Vec::new(), 0, 0);
        for part in stream.chunks(chunk) {
            received.extend_from_slice(part);
            while let Some((packet, len)) = decode(&received[at..], NO_LIMIT).expect("sound") {
                prop_assert_eq!(packet, packets[count].packet());
                (at, count) = (at + len, count + 1);
            }
        }
        prop_assert_eq!((at, count), (stream.len(), packets.len()));
    }

    #[test]
    fn mutated_bytes_never_panic_and_never_pass_for_something_else(
        owned in packet(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..6),
    ) {
        let mut bytes = owned.bytes();
        for (at, value, how) in edits {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] ^= 1 << (value % 8),
                1 => bytes.insert(at, value),
                2 if bytes.len() > 1 => { bytes.remove(at); }
                _ => bytes[at] = value,
            }
        }
        if let Ok(Some((packet, len))) = decode(&bytes, 4096) {
            prop_assert!(len <= bytes.len());
            let mut again = Vec::new();
            encode(&packet, &mut again).expect("what was decoded can be encoded");
            // The fixed header may have been longer than it has to be; the body may not differ.
            let (again_header, body) = remaining_length(&again).expect("sound").expect("complete");
            prop_assert_eq!(&again[again_header..], &bytes[len - body..len]);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = decode(&bytes, 4096);
    }
}

#[test]
fn remaining_lengths_at_their_borders_are_those_of_rumqttc() {
    for payload in [118, 119, 120, 16_374, 16_375, 16_376, 2_097_143, 2_097_144] {
        let payload = vec![7; payload];
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            packet_id: 9,
            topic: "abcde",
            payload: &payload,
        };
        let mut ours = Vec::new();
        encode_publish(&publish, &mut ours).expect("sound");
        assert_eq!(ours.len(), encoded_len(&Packet::Publish(publish)));
        let mut theirs = v4::Publish::new("abcde", rumqttc::QoS::AtLeastOnce, payload.clone());
        theirs.pkid = 9;
        let mut bytes = BytesMut::new();
        theirs.write(&mut bytes).expect("sound");
        assert_eq!(ours, bytes, "payload of {} bytes", payload.len());
    }
}

#[test]
fn an_empty_user_name_and_password_are_sent_and_read() {
    let packet = Packet::Connect(Box::new(Connect {
        client_id: "a".into(),
        clean_session: true,
        keep_alive_s: 60,
        will: None,
        username: Some(String::new()),
        password: Some(String::new()),
    }));
    let bytes = Owned::Other(packet.clone()).bytes();
    assert_eq!(bytes[9], 0b1100_0010);
    assert_eq!(decode(&bytes, NO_LIMIT), Ok(Some((packet, bytes.len()))));
}

#[test]
fn a_packet_over_the_limit_is_refused_from_its_header() {
    let header = [0x30, 0x80, 0x80, 0x01];
    for known in 1..header.len() {
        assert_eq!(decode(&header[..known], 1000), Ok(None));
    }
    assert_eq!(
        decode(&header, 1000),
        Err(CodecError::TooLong {
            len: 16_388,
            max: 1000
        })
    );
    assert_eq!(decode(&header, 16_388), Ok(None));
}

#[test]
fn malformed_bytes_are_refused_with_the_reason() {
    let connect = |flags: u8| {
        [
            &[0x10, 17, 0, 4][..],
            b"MQTT",
            &[4, flags, 0, 60, 0, 1],
            b"a",
            &[0, 0, 0, 0],
        ]
        .concat()
    };
    let cases: &[(&str, Vec<u8>)] = &[
        ("reserved packet type", vec![0x00]),
        ("reserved packet type", vec![0xf0, 0]),
        ("reserved flags of the fixed header", vec![0x52, 2, 0, 1]),
        ("reserved flags of the fixed header", vec![0x60, 2, 0, 1]),
        ("reserved flags of the fixed header", vec![0x72, 2, 0, 1]),
        ("packet identifier 0", vec![0x50, 2, 0, 0]),
        ("packet identifier 0", vec![0x62, 2, 0, 0]),
        ("packet identifier 0", vec![0x70, 2, 0, 0]),
        (
            "remaining length of more than four bytes",
            vec![0x30, 0x80, 0x80, 0x80, 0x80],
        ),
        ("reserved flags of the fixed header", vec![0x41, 2, 0, 1]),
        (
            "reserved flags of the fixed header",
            vec![0x80, 6, 0, 1, 0, 1, b'a', 0],
        ),
        (
            "acknowledgement is not of two bytes",
            vec![0x40, 3, 0, 1, 0],
        ),
        ("packet identifier 0", vec![0x40, 2, 0, 0]),
        ("packet identifier 0", vec![0xb0, 2, 0, 0]),
        ("packet identifier 0", vec![0x82, 6, 0, 0, 0, 1, b'a', 0]),
        ("packet identifier 0", vec![0x90, 3, 0, 0, 0]),
        ("packet identifier 0", vec![0x32, 5, 0, 1, b'a', 0, 0]),
        (
            "PUBLISH without a packet identifier",
            vec![0x32, 4, 0, 1, b'a', 0],
        ),
        ("PUBLISH without a topic", vec![0x30, 1, 0]),
        (
            "PUBLISH topic longer than the packet",
            vec![0x30, 3, 0, 2, b'a'],
        ),
        ("PUBLISH with QoS 3", vec![0x36, 5, 0, 1, b'a', 0, 1]),
        ("QoS 0 PUBLISH with DUP", vec![0x38, 3, 0, 1, b'a']),
        ("empty topic", vec![0x30, 2, 0, 0]),
        ("topic with a wildcard or U+0000", vec![0x30, 3, 0, 1, b'+']),
        ("topic with a wildcard or U+0000", vec![0x30, 3, 0, 1, b'#']),
        ("topic with a wildcard or U+0000", vec![0x30, 3, 0, 1, 0]),
        ("topic is not UTF-8", vec![0x30, 3, 0, 1, 0xff]),
        ("Promised boundary crossed: 1", vec![0xa2, 4, 0, 1, 0, 1]),
        ("no topic filter", vec![0xa2, 2, 0, 1]),
        (
            "topic filter is empty or has a misplaced wildcard",
            vec![0xa2, 6, 0, 1, 0, 2, b'a', b'#'],
        ),
        ("ping with a body", vec![0xc0, 1, 0]),
        ("ping with a body", vec![0xd0, 1, 0]),
        (
            "reserved bits or bytes after the last field",
            vec![0xe0, 1, 0],
        ),
        (
            "reserved bits or bytes after the last field",
            vec![0x20, 2, 2, 0],
        ),
        (
            "reserved bits or bytes after the last field",
            vec![0x20, 3, 0, 0, 0],
        ),
        ("refusing CONNACK with session present", vec![0x20, 2, 1, 5]),
        (
            "reserved bits or bytes after the last field",
            vec![0x82, 6, 0, 1, 0, 1, b'a', 0x41],
        ),
        ("Invalid subscribe reason code: 3", vec![0x90, 3, 0, 1, 3]),
        ("Invalid Connect return code: 6", vec![0x20, 2, 0, 6]),
        ("reserved bit of the connect flags", connect(0b1100_0001)),
        (
            "password without a user name",
            [&[0x10, 15][..], &connect(0b0100_0000)[2..17]].concat(),
        ),
        (
            "reserved bits or bytes after the last field",
            connect(0b0000_0010),
        ),
        (
            "protocol level 5, only 4 (MQTT 3.1.1) is spoken",
            [
                &[0x10, 17, 0, 4][..],
                b"MQTT",
                &[5, 2, 0, 60, 0, 5],
                b"abcde",
            ]
            .concat(),
        ),
        (
            "protocol name is not MQTT",
            [&[0x10, 13, 0, 6][..], b"MQIsdp", &[3, 2, 0, 60, 0], &[0]].concat()[..15].to_vec(),
        ),
    ];
    for (why, bytes) in cases {
        assert_eq!(
            decode(bytes, NO_LIMIT),
            Err(CodecError::Malformed((*why).to_owned())),
            "{bytes:02x?}"
        );
    }
}

#[test]
fn what_cannot_be_encoded_leaves_the_buffer_as_it_was() {
    let long = "x".repeat(65_536);
    let publish = |topic: &'static str, qos, packet_id, dup| {
        Packet::Publish(Publish {
            dup,
            qos,
            retain: false,
            packet_id,
            topic,
            payload: b"",
        })
    };
    let connect = |change: &dyn Fn(&mut Connect)| {
        let mut connect = Connect {
            client_id: "a".into(),
            clean_session: true,
            keep_alive_s: 0,
            will: None,
            username: None,
            password: None,
        };
        change(&mut connect);
        Packet::Connect(Box::new(connect))
    };
    let subscribe = |packet_id, filter: &str| Packet::Subscribe {
        packet_id,
        filters: vec![
            ("ok".into(), QoS::AtLeastOnce),
            (filter.into(), QoS::AtLeastOnce),
        ],
    };
    let long_topic = Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        packet_id: 0,
        topic: &long,
        payload: b"",
    });
    let cases = [
        publish("", QoS::AtMostOnce, 0, false),
        publish("a/+", QoS::AtMostOnce, 0, false),
        publish("a\0", QoS::AtMostOnce, 0, false),
        publish("a", QoS::AtLeastOnce, 0, false),
        publish("a", QoS::AtMostOnce, 1, false),
        publish("a", QoS::AtMostOnce, 0, true),
        long_topic,
        Packet::PubAck(0),
        Packet::UnsubAck(0),
        subscribe(0, "a"),
        subscribe(1, ""),
        subscribe(1, "a#"),
        subscribe(1, "a/#/b"),
        subscribe(1, "a+/b"),
        subscribe(1, &long),
        Packet::Subscribe {
            packet_id: 1,
            filters: vec![],
        },
        Packet::Unsubscribe {
            packet_id: 1,
            filters: vec![],
        },
        Packet::SubAck {
            packet_id: 1,
            granted: vec![],
        },
        Packet::ConnAck {
            session_present: true,
            code: ConnectCode::NotAuthorized,
        },
        connect(&|c| c.client_id.clone_from(&long)),
        connect(&|c| c.client_id = "a\0".into()),
        connect(&|c| c.password = Some("p".into())),
        connect(&|c| c.username = Some(long.clone())),
        connect(&|c| {
            c.will = Some(Will {
                topic: "a".into(),
                payload: vec![0; 65_536],
                qos: QoS::AtMostOnce,
                retain: false,
            });
        }),
    ];
    for packet in cases {
        let mut out = b"before".to_vec();
        let error = encode(&packet, &mut out);
        assert!(
            matches!(error, Err(CodecError::Unencodable(_))),
            "{error:?}"
        );
        assert_eq!(out, b"before", "{error:?}");
    }
}

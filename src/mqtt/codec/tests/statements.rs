//! Statements of MQTT 3.1.1 that bind a client and are kept by the codec: what it refuses to write
//! and to read. `tests/statements.rs` has the table of all statements.

use super::*;

/// A frame of fewer than 128 bytes behind the fixed header.
fn frame(first: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    let remaining = u8::try_from(body.len()).expect("tests use short frames");
    assert!(remaining < 128);
    [&[first, remaining][..], &body].concat()
}

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(packet, &mut out).expect("sound");
    out
}

fn is_refused(bytes: &[u8]) -> bool {
    matches!(decode(bytes, NO_LIMIT), Err(CodecError::Malformed(_)))
}

fn is_unencodable(packet: &Packet<'_>) -> bool {
    matches!(
        encode(packet, &mut Vec::new()),
        Err(CodecError::Unencodable(_))
    )
}

fn publish_of(topic: &str, qos: QoS, packet_id: PacketId) -> Publish<'_> {
    Publish {
        dup: false,
        qos,
        retain: false,
        packet_id,
        topic,
        payload: b"x",
    }
}

fn subscribe_to(filter: &str) -> Packet<'static> {
    Packet::Subscribe {
        packet_id: 1,
        filters: vec![(filter.to_owned(), QoS::ExactlyOnce)],
    }
}

fn unsubscribe_from(filter: &str) -> Packet<'static> {
    Packet::Unsubscribe {
        packet_id: 1,
        filters: vec![filter.to_owned()],
    }
}

fn client() -> Connect {
    Connect {
        client_id: "id".into(),
        clean_session: true,
        keep_alive_s: 60,
        will: None,
        username: None,
        password: None,
    }
}

fn connect_with(change: impl FnOnce(&mut Connect)) -> Packet<'static> {
    let mut connect = client();
    change(&mut connect);
    Packet::Connect(Box::new(connect))
}

fn last_will(qos: QoS, retain: bool) -> Will {
    Will {
        topic: "w".into(),
        payload: b"bye".to_vec(),
        qos,
        retain,
    }
}

/// The Connect Flags of a CONNECT.
fn connect_flags(packet: &Packet<'_>) -> u8 {
    encoded(packet)[9]
}

/// A CONNECT of client `a` with these flags and this behind the client identifier.
fn raw_connect(flags: u8, rest: &[u8]) -> Vec<u8> {
    let fixed = [4, flags, 0, 60, 0, 1, b'a'];
    frame(0x10, &[&[0, 4], b"MQTT", &fixed, rest])
}

/// Each packet that a server sends with a string in it, and each that a client does.
fn with_string(text: &[u8]) -> Vec<Vec<u8>> {
    let len = [0, u8::try_from(text.len()).expect("short")];
    vec![
        frame(0x30, &[&len, text]),
        frame(0x82, &[&[0, 1], &len, text, &[0]]),
        frame(0xa2, &[&[0, 1], &len, text]),
        frame(0x10, &[&[0, 4], b"MQTT", &[4, 2, 0, 60], &len, text]),
        raw_connect(0b0000_0110, &[&len[..], text, &[0, 0]].concat()),
        raw_connect(0b1000_0010, &[&len[..], text].concat()),
    ]
}

/// 1.5.3-1; a Rust `str` cannot be ill-formed, so none is ever written.
#[test]
fn ill_formed_utf8_is_refused() {
    // A stray byte, an overlong '/', the surrogate U+D800, above U+10FFFF, cut short.
    let cases: [&[u8]; 5] = [
        b"a\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
    ];
    for text in cases {
        for bytes in with_string(text) {
            assert!(is_refused(&bytes), "{bytes:02x?}");
        }
    }
    for bytes in with_string("ä漢🛰".as_bytes()) {
        assert!(!is_refused(&bytes), "{bytes:02x?}");
    }
}

/// 1.5.3-2, 4.7.3-2.
#[test]
fn the_null_character_is_neither_written_nor_read() {
    for bytes in with_string(b"a\0b") {
        assert!(is_refused(&bytes), "{bytes:02x?}");
    }
    let packets = [
        Packet::Publish(publish_of("a\0", QoS::AtMostOnce, 0)),
        subscribe_to("a\0"),
        unsubscribe_from("a\0"),
        connect_with(|c| c.client_id = "\0".into()),
        connect_with(|c| c.username = Some("\0".into())),
        connect_with(|c| {
            c.will = Some(Will {
                topic: "\0".into(),
                ..last_will(QoS::AtMostOnce, false)
            });
        }),
    ];
    for packet in packets {
        assert!(is_unencodable(&packet), "{packet:?}");
    }
}

/// 1.5.3-3.
#[test]
fn a_byte_order_mark_is_a_character_like_any_other() {
    let topic = "\u{feff}a\u{feff}";
    let packet = Packet::Publish(publish_of(topic, QoS::AtMostOnce, 0));
    let bytes = encoded(&packet);
    assert_eq!(&bytes[4..7], b"\xef\xbb\xbf");
    assert_eq!(decode(&bytes, NO_LIMIT), Ok(Some((packet, bytes.len()))));
}

/// 2.2.2-1, 3.6.1-1, 3.8.1-1, 3.10.1-1, 3.14.1-1.
#[test]
fn reserved_flags_are_written_as_listed() {
    let packets = [
        (connect_with(|_| {}), 0x10),
        (Packet::PubAck(1), 0x40),
        (Packet::PubRec(1), 0x50),
        (Packet::PubRel(1), 0x62),
        (Packet::PubComp(1), 0x70),
        (subscribe_to("a"), 0x82),
        (unsubscribe_from("a"), 0xa2),
        (Packet::PingReq, 0xc0),
        (Packet::Disconnect, 0xe0),
    ];
    for (packet, first) in packets {
        assert_eq!(encoded(&packet)[0], first, "{packet:?}");
    }
}

/// 2.2.2-2.
#[test]
fn a_packet_with_other_flags_is_refused() {
    for kind in (0..16u8).filter(|kind| *kind != kind::PUBLISH) {
        let sound = match kind {
            0 | 15 => None,
            kind::PUBREL | kind::SUBSCRIBE | kind::UNSUBSCRIBE => Some(2),
            _ => Some(0),
        };
        for flags in 0..16 {
            let refused = is_refused(&[kind << 4 | flags]);
            assert_eq!(refused, sound != Some(flags), "type {kind}, flags {flags}");
        }
    }
}

/// 2.3.1-1.
#[test]
fn what_is_answered_has_an_identifier() {
    let packets = [
        Packet::Publish(publish_of("a", QoS::AtLeastOnce, 0)),
        Packet::Publish(publish_of("a", QoS::ExactlyOnce, 0)),
        Packet::Subscribe {
            packet_id: 0,
            filters: vec![("a".into(), QoS::AtMostOnce)],
        },
        Packet::Unsubscribe {
            packet_id: 0,
            filters: vec!["a".into()],
        },
    ];
    for packet in packets {
        assert!(is_unencodable(&packet), "{packet:?}");
    }
    for first in [0x32, 0x34] {
        assert!(is_refused(&frame(first, &[&[0, 1], b"a", &[0, 0]])));
        assert!(is_refused(&frame(first, &[&[0, 1], b"a"])));
    }
}

/// 2.3.1-5, 3.3.1-2, 4.3.1-1.
#[test]
fn a_qos_0_publish_has_neither_identifier_nor_dup() {
    let sound = publish_of("a", QoS::AtMostOnce, 0);
    assert_eq!(encoded(&Packet::Publish(sound)), b"\x30\x04\0\x01ax");
    let with_id = publish_of("a", QoS::AtMostOnce, 1);
    assert!(is_unencodable(&Packet::Publish(with_id)));
    let again = Publish { dup: true, ..sound };
    assert!(is_unencodable(&Packet::Publish(again)));
    assert!(is_refused(&frame(0x38, &[&[0, 1], b"a"])));
}

/// 3.1.2-1, 3.1.2-2, 3.1.2-3.
#[test]
fn a_connect_names_the_protocol_and_leaves_the_reserved_flag_alone() {
    let all = connect_with(|c| {
        c.will = Some(last_will(QoS::ExactlyOnce, true));
        c.username = Some("u".into());
        c.password = Some("p".into());
    });
    for packet in [connect_with(|_| {}), all] {
        let bytes = encoded(&packet);
        assert_eq!(&bytes[2..9], b"\0\x04MQTT\x04");
        assert_eq!(connect_flags(&packet) & 1, 0);
    }
}

/// 3.1.2-9, 3.1.2-11, 3.1.2-13, 3.1.2-14, 3.1.2-15.
#[test]
fn will_flags_and_will_fields_go_together() {
    let plain = encoded(&connect_with(|_| {}));
    assert_eq!(plain[9] & 0b0011_1100, 0, "no will: QoS 0, no retain");
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for retain in [false, true] {
            let packet = connect_with(|c| c.will = Some(last_will(qos, retain)));
            let bytes = encoded(&packet);
            let flags = 0b100 | (qos as u8) << 3 | u8::from(retain) << 5;
            assert_eq!(connect_flags(&packet) & 0b0011_1100, flags);
            assert_eq!(&bytes[12..], b"\0\x02id\0\x01w\0\x03bye");
            assert_eq!(bytes.len(), plain.len() + 8);
        }
    }
    // As a reader: QoS 3, QoS or retain without the flag, the flag without its fields.
    let will = b"\0\x01w\0\x01x";
    assert!(is_refused(&raw_connect(0b0001_1110, will)));
    assert!(is_refused(&raw_connect(0b0000_1010, b"")));
    assert!(is_refused(&raw_connect(0b0010_0010, b"")));
    assert!(is_refused(&raw_connect(0b0000_0110, b"")));
    assert!(is_refused(&raw_connect(0b0000_0010, will)));
}

/// 3.1.2-18 to 3.1.2-22.
#[test]
fn login_flags_and_login_fields_go_together() {
    let name = connect_with(|c| c.username = Some("me".into()));
    let both = connect_with(|c| {
        c.username = Some("me".into());
        c.password = Some("pw".into());
    });
    assert_eq!(connect_flags(&connect_with(|_| {})) & 0b1100_0000, 0);
    assert_eq!(connect_flags(&name) & 0b1100_0000, 0b1000_0000);
    assert_eq!(connect_flags(&both) & 0b1100_0000, 0b1100_0000);
    assert!(encoded(&name).ends_with(b"\0\x02id\0\x02me"));
    assert!(encoded(&both).ends_with(b"\0\x02id\0\x02me\0\x02pw"));
    assert!(is_unencodable(&connect_with(
        |c| c.password = Some("pw".into())
    )));
    assert!(is_refused(&raw_connect(0b1000_0010, b"")));
    assert!(is_refused(&raw_connect(0b1100_0010, b"\0\x01u")));
    assert!(is_refused(&raw_connect(0b0000_0010, b"\0\x01u")));
}

/// 3.1.3-1, 3.1.3-3, 3.1.3-4, 3.1.3-10, 3.1.3-11.
#[test]
fn the_payload_of_a_connect_has_its_order_and_begins_with_the_client_identifier() {
    let packet = connect_with(|c| {
        c.client_id = "ä".into();
        c.will = Some(Will {
            topic: "ö".into(),
            ..last_will(QoS::AtMostOnce, false)
        });
        c.username = Some("ü".into());
        c.password = Some("ß".into());
    });
    let fields = ["ä", "ö", "bye", "ü", "ß"];
    let payload: Vec<u8> = fields
        .iter()
        .flat_map(|text| {
            let len = u16::try_from(text.len()).expect("short");
            [&len.to_be_bytes()[..], text.as_bytes()].concat()
        })
        .collect();
    assert_eq!(encoded(&packet)[12..], payload);
    let empty = connect_with(|c| c.client_id = String::new());
    assert_eq!(encoded(&empty)[12..], [0, 0], "there even if it is empty");
}

/// 3.3.1-4.
#[test]
fn a_publish_with_both_qos_bits_is_refused() {
    for flags in [0b0110, 0b0111, 0b1110, 0b1111] {
        let bytes = frame(0x30 | flags, &[&[0, 1], b"a", &[0, 1]]);
        assert!(is_refused(&bytes), "{bytes:02x?}");
    }
}

/// 3.3.2-1, 3.3.2-2, 4.7.1-1.
#[test]
fn a_topic_name_comes_first_and_has_no_wildcard() {
    let bytes = encoded(&Packet::Publish(publish_of("ä/b", QoS::ExactlyOnce, 7)));
    assert_eq!(&bytes[2..], "\0\u{4}ä/b\0\u{7}x".as_bytes());
    for topic in ["#", "+", "a/#", "a/+/b", "a+b", "a#"] {
        let publish = publish_of(topic, QoS::AtMostOnce, 0);
        assert!(is_unencodable(&Packet::Publish(publish)), "{topic}");
        let len = u8::try_from(topic.len()).expect("short");
        assert!(is_refused(&frame(0x30, &[&[0, len], topic.as_bytes()])));
        assert!(is_unencodable(&connect_with(|c| {
            c.will = Some(Will {
                topic: topic.into(),
                ..last_will(QoS::AtMostOnce, false)
            });
        })));
    }
}

/// 3.8.3-1, 3.8.3-3, 3.8.3-4, 3.10.3-1, 3.10.3-2.
#[test]
fn a_subscribe_and_an_unsubscribe_name_at_least_one_filter() {
    let subscribe = Packet::Subscribe {
        packet_id: 9,
        filters: vec![
            ("ä/+".into(), QoS::AtMostOnce),
            ("b".into(), QoS::AtLeastOnce),
            ("#".into(), QoS::ExactlyOnce),
        ],
    };
    let body = "\0\u{9}\0\u{4}ä/+\0\0\u{1}b\u{1}\0\u{1}#\u{2}";
    assert_eq!(encoded(&subscribe)[2..], *body.as_bytes());
    let unsubscribe = Packet::Unsubscribe {
        packet_id: 9,
        filters: vec!["ä/+".into(), "b".into()],
    };
    let body = "\0\u{9}\0\u{4}ä/+\0\u{1}b";
    assert_eq!(encoded(&unsubscribe)[2..], *body.as_bytes());
    let (packet_id, none) = (9, Vec::new);
    let filters = none();
    assert!(is_unencodable(&Packet::Subscribe { packet_id, filters }));
    let filters = Vec::new();
    assert!(is_unencodable(&Packet::Unsubscribe { packet_id, filters }));
    assert!(is_refused(&frame(0x82, &[&[0, 9]])));
    assert!(is_refused(&frame(0xa2, &[&[0, 9]])));
    for reserved in [3, 4, 0x80] {
        let bytes = frame(0x82, &[&[0, 9, 0, 1], b"a", &[reserved]]);
        assert!(is_refused(&bytes), "{bytes:02x?}");
    }
}

/// 4.7.1-2, 4.7.1-3.
#[test]
fn a_wildcard_fills_a_level_of_a_filter_and_the_multi_level_one_is_last() {
    for filter in ["#", "a/#", "+", "+/a", "a/+/b", "+/+/#", "/", "/+", "a//#"] {
        encoded(&subscribe_to(filter));
        encoded(&unsubscribe_from(filter));
    }
    for filter in ["a#", "#/a", "a/#/b", "a+", "+a", "a/b+/c", "##", "++"] {
        assert!(is_unencodable(&subscribe_to(filter)), "{filter}");
        assert!(is_unencodable(&unsubscribe_from(filter)), "{filter}");
    }
}

/// 4.7.3-1, 4.7.3-3.
#[test]
fn a_topic_and_a_filter_have_1_to_65_535_bytes() {
    let longest = "x".repeat(65_535);
    let too_long = "x".repeat(65_536);
    encoded(&Packet::Publish(publish_of(&longest, QoS::AtMostOnce, 0)));
    encoded(&subscribe_to(&longest));
    for text in ["", &too_long] {
        let publish = publish_of(text, QoS::AtMostOnce, 0);
        assert!(is_unencodable(&Packet::Publish(publish)));
        assert!(is_unencodable(&subscribe_to(text)));
        assert!(is_unencodable(&unsubscribe_from(text)));
    }
    assert!(is_refused(&frame(0x30, &[&[0, 0]])));
    assert!(is_refused(&frame(0x82, &[&[0, 1, 0, 0, 0]])));
    assert!(is_refused(&frame(0xa2, &[&[0, 1, 0, 0]])));
}

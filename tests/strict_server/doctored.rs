//! The checker can fail: byte streams of clients that each break one statement, and its name.

use super::checker::Checker;
use super::wire::{Message, ToClient, Violation, packet, publish, string};

/// What happens to a client, or what it does.
#[derive(Clone)]
enum Act {
    Opens,
    Writes(Vec<u8>),
    Gets(ToClient),
    /// So many seconds pass and the step of the client is over.
    Settles(u64),
    Closes,
    PowerCut,
}

use Act::{Closes, Gets, Opens, PowerCut, Settles, Writes};

/// Judges `acts` one by one: which act broke which statement.
fn judge(acts: &[Act]) -> Result<(), (usize, Violation)> {
    let mut checker = Checker::default();
    let mut now = 0;
    for (index, act) in acts.iter().enumerate() {
        let judged = match act {
            Opens => {
                checker.opened(now);
                Ok(())
            }
            Writes(bytes) => checker.wrote(now, bytes),
            Gets(packet) => {
                checker.got(now, packet);
                Ok(())
            }
            Settles(seconds) => {
                now += seconds * 1_000_000_000;
                checker.settled(now)
            }
            Closes => checker.closed(now),
            PowerCut => {
                checker.power_cut();
                Ok(())
            }
        };
        judged.map_err(|violation| (index, violation))?;
    }
    Ok(())
}

/// A CONNECT with these flags and these fields after the client identifier.
fn connect_with(flags: u8, keep_alive_s: u16, id: &str, fields: &[u8]) -> Act {
    let mut body = string("MQTT");
    body.extend_from_slice(&[4, flags]);
    body.extend_from_slice(&keep_alive_s.to_be_bytes());
    body.extend_from_slice(&string(id));
    body.extend_from_slice(fields);
    Writes(packet(0x10, &body))
}

fn connect(clean: bool) -> Act {
    connect_with(u8::from(clean) << 1, 10, "c", &[])
}

const fn accepted(session_present: bool) -> Act {
    Gets(ToClient::ConnAck {
        session_present,
        code: 0,
    })
}

fn message(qos: u8, id: u16, dup: bool, payload: &str) -> Message {
    Message {
        dup,
        qos,
        retain: false,
        id,
        topic: "t".to_owned(),
        payload: payload.as_bytes().to_vec(),
    }
}

/// The client publishes `payload`.
fn writes(qos: u8, id: u16, dup: bool, payload: &str) -> Act {
    Writes(publish(&message(qos, id, dup, payload)))
}

/// The client gets a message.
fn gets(qos: u8, id: u16) -> Act {
    Gets(ToClient::Publish(message(qos, id, false, "m")))
}

/// The client writes a packet of nothing but an identifier.
fn acks(first: u8, id: u16) -> Act {
    Writes(packet(first, &id.to_be_bytes()))
}

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

/// A persistent session is up.
fn up(then: &[Act]) -> Vec<Act> {
    let mut acts = vec![Opens, connect(false), accepted(false), Settles(0)];
    acts.extend_from_slice(then);
    acts
}

/// `before` happens on a connection, which is resumed; then comes `then`.
fn resumed(before: &[Act], then: &[Act]) -> Vec<Act> {
    let mut acts = up(before);
    acts.extend([Closes, Opens, connect(false), accepted(true)]);
    acts.extend_from_slice(then);
    acts
}

fn subscribe(first: u8, id: u16, filters: &[(&str, u8)]) -> Act {
    let mut body = id.to_be_bytes().to_vec();
    for (filter, qos) in filters {
        body.extend_from_slice(&string(filter));
        body.push(*qos);
    }
    Writes(packet(first, &body))
}

/// A PUBLISH of QoS 0 with these bytes as its topic.
fn topic(bytes: &[u8]) -> Act {
    let len = u16::try_from(bytes.len()).expect("short");
    let mut body = len.to_be_bytes().to_vec();
    body.extend_from_slice(bytes);
    Writes(packet(0x30, &body))
}

/// Two QoS 2 publishes, 1 and 2, whose PUBRECs came as 2, 1; both released.
fn two_released() -> Vec<Act> {
    vec![
        writes(2, 1, false, "a"),
        writes(2, 2, false, "b"),
        Gets(ToClient::PubRec(2)),
        acks(PUBREL, 2),
        Gets(ToClient::PubRec(1)),
        acks(PUBREL, 1),
        Settles(0),
    ]
}

/// Streams whose bytes alone are wrong.
fn malformed() -> Vec<(&'static str, Vec<Act>)> {
    let first = |act: Act| vec![Opens, act];
    let connect_body = |body: &[u8]| first(Writes(packet(0x10, body)));
    let will = |topic: &str| [string(topic), string("gone")].concat();
    vec![
        ("MQTT-2.2.2-1", first(Writes(vec![0x11, 0]))),
        (
            "MQTT-3.1.2-1",
            connect_body(b"\x00\x04MQTt\x04\x02\x00\x00\x00\x01c"),
        ),
        (
            "MQTT-3.1.2-2",
            connect_body(b"\x00\x04MQTT\x03\x02\x00\x00\x00\x01c"),
        ),
        ("MQTT-3.1.2-3", first(connect_with(0x03, 0, "c", &[]))),
        ("MQTT-3.1.2-9", first(connect_with(0x06, 0, "c", &[]))),
        ("MQTT-3.1.2-13", first(connect_with(0x0a, 0, "c", &[]))),
        (
            "MQTT-3.1.2-14",
            first(connect_with(0x1e, 0, "c", &will("w"))),
        ),
        ("MQTT-3.1.2-15", first(connect_with(0x22, 0, "c", &[]))),
        ("MQTT-3.1.2-19", first(connect_with(0x82, 0, "c", &[]))),
        (
            "MQTT-3.1.2-21",
            first(connect_with(0xc2, 0, "c", &string("name"))),
        ),
        (
            "MQTT-3.1.2-22",
            first(connect_with(0x42, 0, "c", &string("word"))),
        ),
        (
            "MQTT-3.1.3-3",
            connect_body(b"\x00\x04MQTT\x04\x02\x00\x00"),
        ),
        ("MQTT-3.1.3-7", first(connect_with(0, 0, "", &[]))),
        (
            "MQTT-3.3.2-2",
            first(connect_with(0x06, 0, "c", &will("w/+"))),
        ),
        ("section 2.2.3", first(connect_with(0x02, 0, "c", b"more"))),
        (
            "section 2.2.3",
            first(Writes(vec![0x10, 0x80, 0x80, 0x80, 0x80, 1])),
        ),
        ("section 2.2.1", first(Writes(vec![0x20, 2, 0, 0]))),
        ("section 2.2.1", up(&[Writes(vec![0xf0, 0])])),
        ("MQTT-2.3.1-1", up(&[writes(1, 0, false, "a")])),
        ("MQTT-2.3.1-1", up(&[subscribe(0x82, 0, &[("f", 1)])])),
        ("MQTT-2.3.1-6", up(&[gets(1, 1), acks(PUBACK, 0)])),
        ("MQTT-3.3.1-2", up(&[writes(0, 0, true, "a")])),
        ("MQTT-3.3.1-4", up(&[writes(3, 1, false, "a")])),
        ("MQTT-3.3.2-1", up(&[Writes(vec![0x30, 2, 0, 9])])),
        ("MQTT-3.3.2-2", up(&[topic(b"a/+/b")])),
        ("MQTT-3.3.2-2", up(&[topic(b"a/#")])),
        ("MQTT-4.7.3-1", up(&[topic(b"")])),
        ("MQTT-1.5.3-1", up(&[topic(b"a\xff")])),
        ("MQTT-1.5.3-1", up(&[topic(b"a\xed\xa0\x80")])),
        ("MQTT-1.5.3-2", up(&[topic(b"a\0")])),
        ("MQTT-3.6.1-1", up(&[acks(0x60, 1)])),
        ("MQTT-3.8.1-1", up(&[subscribe(0x80, 1, &[("f", 1)])])),
        ("MQTT-3.8.3-3", up(&[subscribe(0x82, 1, &[])])),
        ("MQTT-3-8.3-4", up(&[subscribe(0x82, 1, &[("f", 3)])])),
        ("MQTT-4.7.1-2", up(&[subscribe(0x82, 1, &[("f/#/g", 1)])])),
        ("MQTT-4.7.1-2", up(&[subscribe(0x82, 1, &[("f#", 1)])])),
        ("MQTT-4.7.1-3", up(&[subscribe(0x82, 1, &[("f/g+", 1)])])),
        (
            "MQTT-3.10.1-1",
            up(&[Writes(packet(0xa0, b"\0\x01\0\x01f"))]),
        ),
        (
            "MQTT-3.10.3-1",
            up(&[Writes(packet(0xa2, b"\0\x01\0\x09f"))]),
        ),
        ("MQTT-3.10.3-2", up(&[Writes(packet(0xa2, b"\0\x01"))])),
        ("MQTT-3.14.1-1", up(&[Writes(vec![0xe1, 0])])),
    ]
}

/// Well-formed packets, or none, at the wrong time of a connection.
fn out_of_place() -> Vec<(&'static str, Vec<Act>)> {
    let refused = Gets(ToClient::ConnAck {
        session_present: false,
        code: 5,
    });
    let ping = Writes(vec![0xc0, 0]);
    let leave = Writes(vec![0xe0, 0]);
    vec![
        ("MQTT-3.1.0-1", vec![Opens, ping.clone()]),
        ("MQTT-3.1.0-2", up(&[connect(false)])),
        (
            "section 3.1.4",
            vec![Opens, connect(false), writes(1, 1, false, "a")],
        ),
        (
            "MQTT-3.2.2-5",
            vec![Opens, connect(false), refused, ping.clone()],
        ),
        ("MQTT-3.14.4-1", up(&[leave.clone(), Settles(0)])),
        ("MQTT-3.14.4-2", up(&[leave, ping.clone()])),
        ("section 4.2", up(&[Closes, ping.clone()])),
        ("MQTT-3.1.2-23", up(&[Settles(10), Settles(1)])),
        ("MQTT-3.1.2-23", up(&[Settles(10), ping, Settles(11)])),
    ]
}

/// Messages of the client's own under a wrong identifier, or again in a wrong way.
fn wrong_exchanges() -> Vec<(&'static str, Vec<Act>)> {
    let one = |qos| [writes(qos, 1, false, "a"), Settles(0)];
    let two = [
        writes(1, 1, false, "a"),
        writes(2, 2, false, "b"),
        Settles(0),
    ];
    vec![
        (
            "MQTT-2.3.1-2",
            up(&[writes(1, 1, false, "a"), writes(1, 1, false, "b")]),
        ),
        (
            "MQTT-2.3.1-2",
            up(&[writes(1, 1, false, "a"), subscribe(0x82, 1, &[("f", 1)])]),
        ),
        (
            "MQTT-2.3.1-2",
            up(&[subscribe(0x82, 1, &[("f", 1)]), writes(1, 1, false, "a")]),
        ),
        ("MQTT-4.3.2-1", up(&[writes(1, 1, true, "a")])),
        (
            "MQTT-4.4.0-1",
            up(&[writes(1, 1, false, "a"), writes(1, 1, true, "a")]),
        ),
        ("MQTT-4.4.0-1", resumed(&one(1), &[Settles(0)])),
        (
            "MQTT-4.4.0-1",
            resumed(&two_released(), &[acks(PUBREL, 2), Settles(0)]),
        ),
        (
            "MQTT-3.3.1-1",
            resumed(&one(1), &[writes(1, 1, false, "a")]),
        ),
        (
            "MQTT-2.3.1-2",
            resumed(&one(1), &[writes(1, 1, false, "b")]),
        ),
        ("MQTT-2.3.1-3", resumed(&one(2), &[writes(2, 1, true, "b")])),
        ("MQTT-2.3.1-3", resumed(&one(2), &[writes(1, 1, true, "a")])),
        ("MQTT-2.3.1-3", resumed(&one(2), &[writes(2, 7, true, "a")])),
        ("MQTT-4.6.0-1", resumed(&two, &[writes(2, 2, true, "b")])),
        ("MQTT-4.6.0-1", resumed(&two, &[writes(1, 3, false, "c")])),
        ("MQTT-4.6.0-4", resumed(&two_released(), &[acks(PUBREL, 1)])),
        (
            "MQTT-4.3.3-1",
            resumed(&two_released(), &[writes(2, 1, true, "a")]),
        ),
    ]
}

/// Acknowledgements that are missing, unasked for or out of order.
fn wrong_acknowledgements() -> Vec<(&'static str, Vec<Act>)> {
    vec![
        ("MQTT-4.5.0-2", up(&[gets(1, 1), Settles(0)])),
        ("MQTT-4.5.0-2", up(&[gets(2, 1), Settles(0)])),
        (
            "MQTT-4.6.0-2",
            up(&[gets(1, 1), gets(1, 2), acks(PUBACK, 2)]),
        ),
        (
            "MQTT-4.6.0-3",
            up(&[gets(2, 1), gets(2, 2), acks(PUBREC, 2)]),
        ),
        ("MQTT-2.3.1-6", up(&[gets(1, 1), acks(PUBACK, 3)])),
        ("MQTT-2.3.1-6", up(&[gets(1, 1), acks(PUBREC, 1)])),
        ("MQTT-2.3.1-6", up(&[gets(2, 1), acks(PUBACK, 1)])),
        ("MQTT-2.3.1-6", up(&[gets(0, 0), acks(PUBACK, 1)])),
        (
            "MQTT-4.3.3-1",
            up(&[writes(2, 1, false, "a"), acks(PUBREL, 1)]),
        ),
        (
            "MQTT-4.3.3-1",
            up(&[
                writes(2, 1, false, "a"),
                Gets(ToClient::PubRec(1)),
                Settles(0),
            ]),
        ),
        (
            "MQTT-4.6.0-4",
            up(&[
                writes(2, 1, false, "a"),
                writes(2, 2, false, "b"),
                Gets(ToClient::PubRec(2)),
                Gets(ToClient::PubRec(1)),
                acks(PUBREL, 1),
            ]),
        ),
        (
            "MQTT-4.3.3-2",
            up(&[gets(2, 1), acks(PUBREC, 1), acks(PUBCOMP, 1)]),
        ),
        ("MQTT-4.3.3-2", up(&[Gets(ToClient::PubRel(1)), Settles(0)])),
    ]
}

/// A client that forgets what it must remember, or remembers what it must forget.
fn wrong_memory() -> Vec<(&'static str, Vec<Act>)> {
    let cut = |qos, then: &[Act]| {
        let mut acts = up(&[writes(qos, 1, false, "a"), Settles(0)]);
        acts.extend([Closes, PowerCut, Opens, connect(false), accepted(true)]);
        acts.extend_from_slice(then);
        acts
    };
    vec![
        ("MQTT-4.4.0-1", cut(2, &[Settles(0)])),
        ("MQTT-2.3.1-2", cut(2, &[writes(2, 1, false, "new")])),
        ("MQTT-4.3.3-1", cut(2, &[writes(2, 1, true, "a")])),
        ("MQTT-4.3.2-1", cut(1, &[writes(1, 1, true, "a")])),
        (
            "MQTT-4.3.2-1",
            vec![
                Opens,
                connect(true),
                accepted(false),
                writes(1, 1, false, "a"),
                Closes,
                Opens,
                connect(true),
                accepted(false),
                writes(1, 1, true, "a"),
            ],
        ),
    ]
}

#[test]
fn each_doctored_stream_breaks_the_statement_that_it_names_with_its_last_act() {
    let rows = [
        malformed(),
        out_of_place(),
        wrong_exchanges(),
        wrong_acknowledgements(),
        wrong_memory(),
    ];
    let rows = rows.concat();
    assert!(rows.len() > 80, "{} rows", rows.len());
    for (row, (statement, acts)) in rows.into_iter().enumerate() {
        let (act, violation) = judge(&acts).expect_err(statement);
        assert_eq!(violation.statement, statement, "row {row}: {violation:?}");
        assert_eq!(act + 1, acts.len(), "row {row}: {violation:?}");
    }
}

#[test]
fn a_torn_packet_is_judged_when_it_is_whole() {
    let Writes(bytes) = writes(1, 0, false, "a") else {
        unreachable!("that is what it makes");
    };
    for at in 1..bytes.len() {
        let (head, rest) = bytes.split_at(at);
        let acts = up(&[Writes(head.to_vec()), Writes(rest.to_vec())]);
        let (act, violation) = judge(&acts).expect_err("identifier 0");
        assert_eq!((act + 1, violation.statement), (acts.len(), "MQTT-2.3.1-1"));
    }
}

#[test]
fn a_client_by_the_book_breaks_nothing() {
    let mut book = resumed(
        &two_released(),
        &[
            acks(PUBREL, 2),
            acks(PUBREL, 1),
            Settles(0),
            Gets(ToClient::PubComp(1)),
            Gets(ToClient::PubComp(2)),
            writes(2, 1, false, "new under a free identifier"),
            writes(1, 2, false, "b"),
            subscribe(0x82, 3, &[("a/+/#", 2), ("#", 0)]),
            gets(2, 9),
            acks(PUBREC, 9),
            Gets(ToClient::Publish(message(2, 9, true, "m"))),
            acks(PUBREC, 9),
            Gets(ToClient::PubRel(9)),
            acks(PUBCOMP, 9),
            Settles(10),
            Writes(vec![0xc0, 0]),
            Settles(10),
            Closes,
            PowerCut,
            Opens,
            connect(false),
            accepted(true),
            acks(PUBREL, 1),
            Settles(0),
            Gets(ToClient::PubComp(1)),
            writes(1, 2, false, "forgotten, so its identifier is free"),
            writes(2, 1, false, "c"),
            Closes,
        ],
    );
    // The server has forgotten: nothing is sent again.
    book.extend([Opens, connect(false), accepted(false), Settles(0)]);
    book.extend([writes(1, 1, false, "d"), Writes(vec![0xe0, 0]), Closes]);
    judge(&book).expect("by the book");
}

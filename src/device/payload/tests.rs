//! Telemetry messages as they go over the wire.

use super::*;
use crate::mqtt::packet::{Packet, QoS};
use crate::scenario::fixture;
use crate::scenario::plan::{Auth, BrokerUrl, Brokers, Field, Secret, Topology};
use crate::stats::event::Operation;
use crate::time::Instant;
use std::sync::Arc;

fn profile(change: impl FnOnce(&mut Plan)) -> Profile {
    let mut plan = fixture::plan(100);
    change(&mut plan);
    Profile {
        plan: Arc::new(plan),
        cohort: 0,
        run: 0xabcd,
        start: Instant::ZERO,
    }
}

fn message(seq: u32) -> Telemetry {
    Telemetry {
        op: Operation {
            stream: 0,
            seq,
            intended: Instant::from_ns(u64::from(seq) * 60_000_000_000),
        },
        boot: 1,
        packet_id: 7,
        dup: false,
    }
}

fn payload(profile: &Profile, device: DeviceIdx, seq: u32) -> String {
    let mut scratch = Scratch::default();
    render(profile, device, &message(seq), &mut scratch);
    String::from_utf8(scratch.payload).expect("payloads are text")
}

#[test]
fn a_json_payload_has_the_stamp_first_and_its_fields_in_order() {
    let profile = profile(|plan| {
        plan.streams[0].payload = Payload::Json(vec![
            (
                "watts".into(),
                Field::Walk {
                    step: 15.0,
                    min: 0.0,
                    max: 3000.0,
                },
            ),
            (
                "volts".into(),
                Field::Uniform {
                    min: 220.0,
                    max: 240.0,
                },
            ),
            ("n".into(), Field::Counter),
            ("unit".into(), Field::Constant("\"W\"".into())),
        ]);
    });
    // Changing these changes what every published seed means.
    insta::assert_snapshot!(payload(&profile, 5, 0), @r#"{"_fs":"AACrzQAAAAUAAAABAAAAAAAAAAAAAAAA","watts":1803.853,"volts":222.344,"n":0,"unit":"W"}"#);
    insta::assert_snapshot!(payload(&profile, 5, 1), @r#"{"_fs":"AACrzQAAAAUAAAABAAAAAQAAAA34R1gA","watts":1797.908,"volts":239.75,"n":1,"unit":"W"}"#);
    insta::assert_snapshot!(payload(&profile, 6, 1), @r#"{"_fs":"AACrzQAAAAYAAAABAAAAAQAAAA34R1gA","watts":2277.398,"volts":235.352,"n":1,"unit":"W"}"#);
    let parsed: serde_json::Value =
        serde_json::from_str(&payload(&profile, 5, 1)).expect("valid JSON");
    assert_eq!(parsed["n"], 1);
    assert_eq!(parsed["unit"], "W");
}

#[test]
fn without_the_ledger_there_is_no_stamp() {
    let bare = profile(|plan| plan.observe.ledger = false);
    assert!(payload(&bare, 5, 0).starts_with("{\"watts\":"));
    let empty = profile(|plan| {
        plan.observe.ledger = false;
        plan.streams[0].payload = Payload::Json(Vec::new());
    });
    assert_eq!(payload(&empty, 5, 0), "{}");
    let bytes = profile(|plan| {
        plan.observe.ledger = false;
        plan.streams[0].payload = Payload::Bytes(10);
    });
    assert_eq!(payload(&bytes, 5, 0).len(), 10);
}

#[test]
fn raw_bytes_are_printable_and_differ() {
    let profile = profile(|plan| plan.streams[0].payload = Payload::Bytes(120));
    let text = payload(&profile, 5, 0);
    assert_eq!(text.len(), 120);
    assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)));
    let mut others = vec![
        text[32..].to_owned(),
        payload(&profile, 5, 1)[32..].to_owned(),
        payload(&profile, 6, 0)[32..].to_owned(),
    ];
    others.sort();
    others.dedup();
    assert_eq!(others.len(), 3);
    assert_eq!(text, payload(&profile, 5, 0), "pure");
}

#[test]
fn the_encoded_publish_carries_topic_flags_and_stamp() {
    for body in [
        Payload::Json(vec![("n".into(), Field::Counter)]),
        Payload::Bytes(40),
        Payload::Bytes(32),
    ] {
        let profile = profile(|plan| plan.streams[0].payload = body);
        let (mut scratch, mut out) = (Scratch::default(), Vec::new());
        let sent = Telemetry {
            dup: true,
            ..message(9)
        };
        encode_telemetry(&profile, 5, &sent, &mut scratch, &mut out);
        let (packet, len) = codec::decode(&out, 1000).expect("sound").expect("complete");
        assert_eq!(len, out.len());
        let Packet::Publish(publish) = packet else {
            panic!("not a PUBLISH: {packet:?}");
        };
        assert_eq!(publish.topic, "d/meters-5/power");
        assert_eq!(
            (publish.qos, publish.packet_id, publish.dup, publish.retain),
            (QoS::AtLeastOnce, 7, true, false)
        );
        let stamp = Stamp::find(publish.payload, "_fs").expect("a stamp");
        assert_eq!(
            (stamp.run, stamp.device, stamp.stream, stamp.boot, stamp.seq),
            (0xabcd, 5, 0, 1, 9)
        );
        assert_eq!(stamp.intended, sent.op.intended);
    }
}

#[test]
fn the_length_of_the_encoded_publish_is_known_without_it() {
    let walk = Field::Walk {
        step: 15.0,
        min: -5.0,
        max: 3000.0,
    };
    let bodies = [
        Payload::Json(vec![("w".into(), walk), ("n".into(), Field::Counter)]),
        Payload::Json(Vec::new()),
        Payload::Bytes(32),
        Payload::Bytes(20_000),
    ];
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    for body in bodies {
        for (qos, ledger) in [(QoS::AtMostOnce, true), (QoS::AtLeastOnce, false)] {
            let profile = profile(|plan| {
                plan.streams[0].payload = body.clone();
                plan.streams[0].qos = qos;
                plan.observe.ledger = ledger;
            });
            for seq in 0..200 {
                let mut sent = message(seq);
                if qos == QoS::AtMostOnce {
                    sent.packet_id = 0;
                }
                let known = encoded_len(&profile, seq % 100, &sent, &mut scratch);
                out.clear();
                encode_telemetry(&profile, seq % 100, &sent, &mut scratch, &mut out);
                assert_eq!(known, out.len(), "{body:?} {qos:?} {seq}");
            }
        }
    }
}

#[test]
fn buffers_stop_growing() {
    let profile = profile(|_| ());
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    let mut capacities = |seqs: std::ops::Range<u32>| {
        for seq in seqs {
            out.clear();
            encode_telemetry(&profile, 99, &message(seq), &mut scratch, &mut out);
        }
        (
            scratch.topic.capacity(),
            scratch.payload.capacity(),
            out.capacity(),
        )
    };
    let warm = capacities(0..100);
    assert_eq!(capacities(100..5_000), warm);
}

#[test]
fn names_are_those_of_the_device() {
    let mut plan = fixture::plan(10);
    let mut second = plan.cohorts[0].clone();
    second.name = "trackers".into();
    second.first = 10;
    second.devices = 3;
    second.streams = 1..1;
    plan.cohorts.push(second);
    let of = |plan: &Plan, device| {
        let names = names(plan, device, 1);
        (names.cohort.to_owned(), names.index_in_cohort, names.index)
    };
    assert_eq!(of(&plan, 0), ("meters".into(), 0, 0));
    assert_eq!(of(&plan, 9), ("meters".into(), 9, 9));
    assert_eq!(of(&plan, 10), ("trackers".into(), 0, 10));
    assert_eq!(of(&plan, 12), ("trackers".into(), 2, 12));

    assert_eq!(names(&plan, 3, 1).credentials, None);
    plan.target = Target::Brokers(Brokers {
        urls: vec![BrokerUrl {
            host: "localhost".into(),
            port: 1883,
        }],
        topology: Topology::Independent,
        auth: Auth {
            tokens: (0..13)
                .map(|i| (format!("id{i}"), Secret(format!("token{i}"))))
                .collect(),
            ..Auth::default()
        },
    });
    assert_eq!(names(&plan, 3, 1).credentials, Some(("id3", "token3")));
}

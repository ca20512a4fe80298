//! Hot path of the wire: rendering and encoding a telemetry message, decoding PUBLISH and PUBACK,
//! each beside rumqttc's codec doing the same with the same bytes.

use bytes::BytesMut;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use fleetstorm::device::payload::{Scratch, encode_telemetry, render};
use fleetstorm::device::{Profile, Telemetry};
use fleetstorm::mqtt::codec;
use fleetstorm::mqtt::packet::{Packet, Publish, QoS};
use fleetstorm::scenario::campaign::Firmware;
use fleetstorm::scenario::plan::{
    Backoff, BackoffShape, Client, Cohort, Embedded, Field, GoneClients, Me, Observe, Payload,
    PhaseShape, Plan, Schedule, Session, Stream, Target, WhenLate,
};
use fleetstorm::scenario::template::{Segment, Template};
use fleetstorm::stats::event::Operation;
use fleetstorm::time::{Duration, Instant};
use rumqttc::mqttbytes::v4;
use std::hint::black_box;
use std::sync::Arc;

const DEVICE: u32 = 4_321;
const MAX_LEN: usize = 64 * 1024;

fn profile(payload: Payload) -> Profile {
    let minute = Duration::from_secs(60);
    let cohort = Cohort {
        name: "meters".into(),
        first: 0,
        devices: 10_000,
        attributes: Vec::new(),
        client: Client {
            preset: None,
            connect_timeout: minute,
            keep_alive_s: 120,
            ping_interval_s: None,
            ping_on: fleetstorm::mqtt::session::PingOn::SilenceEither,
            ping_timeout: minute,
            backoff: Backoff::of(BackoffShape::Fixed(minute)),
            client_id: Template(vec![Segment::Device]),
            inflight: 10,
        },
        link: None,
        session: Session {
            clean: false,
            will: None,
        },
        on_connect: Vec::new(),
        streams: 0..1,
        store: None,
        update: None,
        commands: None,
        reported: None,
    };
    let stream = Stream {
        name: "power".into(),
        cohort: 0,
        topic: Template(vec![
            Segment::Literal("d/".into()),
            Segment::Device,
            Segment::Literal("/power".into()),
        ]),
        qos: QoS::AtLeastOnce,
        retain: false,
        schedule: Schedule::Every {
            period: minute,
            phase: PhaseShape::Uniform,
        },
        payload,
        when_late: WhenLate::Send,
        ack_timeout: minute,
        priority: 100,
    };
    let plan = Plan {
        name: "bench".into(),
        about: String::new(),
        seed: 42,
        hash: String::new(),
        target: Target::Embedded(Embedded {
            nodes: 1,
            accept_rate_per_s: None,
            accept_queue: 1,
            service: None,
            gone_clients: GoneClients::Skip,
            me: Me::Shared,
        }),
        cohorts: vec![cohort],
        streams: vec![stream],
        observe: Observe {
            devices: 10_000,
            ledger: true,
            stamp_field: "_fs".into(),
        },
        phases: Vec::new(),
        faults: Vec::new(),
        firmware: Firmware::default(),
        campaigns: Vec::new(),
        commands: Vec::new(),
        queries: Vec::new(),
        objectives: Vec::new(),
        recovery: fleetstorm::scenario::recovery::RecoveryRule::default(),
        drain: minute,
    };
    Profile {
        plan: Arc::new(plan),
        cohort: 0,
        run: 1,
        start: Instant::ZERO,
    }
}

fn payloads() -> [(&'static str, Payload); 2] {
    let watts = Field::Walk {
        step: 15.0,
        min: 0.0,
        max: 3000.0,
    };
    [
        ("json", Payload::Json(vec![("watts".into(), watts)])),
        ("bytes120", Payload::Bytes(120)),
    ]
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

/// A rumqttc PUBLISH owns its topic and payload, so making one is part of sending it.
fn theirs(topic: &str, payload: &[u8]) -> v4::Publish {
    let mut publish = v4::Publish::new(topic, rumqttc::QoS::AtLeastOnce, payload);
    publish.pkid = 7;
    publish
}

/// Topic and payload of the same message for the benches that begin with rendered ones.
fn rendered(payload: Payload) -> Scratch {
    let mut scratch = Scratch::default();
    render(&profile(payload), DEVICE, &message(1), &mut scratch);
    scratch
}

fn telemetry(c: &mut Criterion) {
    let mut group = group(c, "render and encode telemetry");
    for (name, payload) in payloads() {
        let profile = profile(payload);
        let mut scratch = Scratch::default();
        let mut seq = 0u32;
        let mut next = || {
            seq = seq.wrapping_add(1);
            message(seq)
        };
        let mut out = Vec::new();
        group.bench_function(format!("{name}/fleetstorm"), |b| {
            b.iter(|| {
                out.clear();
                encode_telemetry(&profile, DEVICE, &next(), &mut scratch, &mut out);
                black_box(&out);
            });
        });
        let mut out = BytesMut::new();
        group.bench_function(format!("{name}/rumqttc"), |b| {
            b.iter(|| {
                out.clear();
                render(&profile, DEVICE, &next(), &mut scratch);
                theirs(&scratch.topic, &scratch.payload)
                    .write(&mut out)
                    .expect("sound");
                black_box(&out);
            });
        });
    }
    group.finish();
}

fn encode(c: &mut Criterion) {
    let mut group = group(c, "encode PUBLISH");
    for (name, payload) in payloads() {
        let scratch = rendered(payload);
        let mut out = Vec::new();
        group.bench_function(format!("{name}/fleetstorm"), |b| {
            b.iter(|| {
                out.clear();
                let publish = Publish {
                    dup: false,
                    qos: QoS::AtLeastOnce,
                    retain: false,
                    packet_id: 7,
                    topic: black_box(&scratch.topic),
                    payload: black_box(&scratch.payload),
                };
                codec::encode_publish(&publish, &mut out).expect("sound");
                black_box(&out);
            });
        });
        let mut out = BytesMut::new();
        group.bench_function(format!("{name}/rumqttc"), |b| {
            b.iter(|| {
                out.clear();
                theirs(black_box(&scratch.topic), black_box(&scratch.payload))
                    .write(&mut out)
                    .expect("sound");
                black_box(&out);
            });
        });
    }
    group.finish();
}

fn decode(c: &mut Criterion) {
    let mut group = group(c, "decode");
    let scratch = rendered(Payload::Bytes(120));
    let publish = Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        packet_id: 7,
        topic: &scratch.topic,
        payload: &scratch.payload,
    });
    for (name, packet) in [("PUBLISH", publish), ("PUBACK", Packet::PubAck(7))] {
        // As much as one read of a busy connection brings.
        const PACKETS: u64 = 64;
        let mut stream = Vec::new();
        for _ in 0..PACKETS {
            codec::encode(&packet, &mut stream).expect("sound");
        }
        group.throughput(Throughput::Elements(PACKETS));
        group.bench_function(format!("{name} x64/fleetstorm"), |b| {
            b.iter(|| {
                let mut rest = black_box(stream.as_slice());
                while let Some((packet, len)) = codec::decode(rest, MAX_LEN).expect("sound") {
                    black_box(packet);
                    rest = &rest[len..];
                }
            });
        });
        // rumqttc splits packets off a buffer that reads append to; so the copy is part of it.
        let mut buffer = BytesMut::new();
        group.bench_function(format!("{name} x64/rumqttc"), |b| {
            b.iter(|| {
                buffer.extend_from_slice(black_box(&stream));
                while let Ok(packet) = v4::Packet::read(&mut buffer, MAX_LEN) {
                    black_box(packet);
                }
            });
        });
    }
    group.finish();
}

fn group<'a>(
    c: &'a mut Criterion,
    name: &str,
) -> BenchmarkGroup<'a, criterion::measurement::WallTime> {
    let mut group = c.benchmark_group(name);
    group
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30);
    group
}

criterion_group!(benches, telemetry, encode, decode);
criterion_main!(benches);

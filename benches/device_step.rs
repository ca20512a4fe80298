//! Hot path of a device: an arrival comes due, is published, and its PUBACK comes. All buffers are
//! reused, so this is also where an allocation per message would show.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fleetstorm::device::{Device, Input, Output, Profile};
use fleetstorm::mqtt::packet::{ConnectCode, Packet, QoS};
use fleetstorm::scenario::campaign::Firmware;
use fleetstorm::scenario::plan::{
    Backoff, BackoffShape, Client, Cohort, Embedded, Field, GoneClients, Me, Observe, Payload,
    Phase, PhaseShape, Plan, Schedule, Session, Stream, Target, WhenLate,
};
use fleetstorm::scenario::template::{Segment, Template};
use fleetstorm::time::{Duration, Instant};
use std::hint::black_box;
use std::sync::Arc;

/// A phase that outlasts any bench: 500 years.
const LONG: Duration = Duration::from_secs(500 * 365 * 86_400);

fn template() -> Template {
    Template(vec![Segment::Literal("d/".into()), Segment::Device])
}

fn stream(when: PhaseShape) -> Stream {
    let watts = Field::Walk {
        step: 15.0,
        min: 0.0,
        max: 3000.0,
    };
    Stream {
        name: "power".into(),
        cohort: 0,
        topic: template(),
        qos: QoS::AtLeastOnce,
        retain: false,
        schedule: Schedule::Every {
            period: Duration::from_secs(60),
            phase: when,
        },
        payload: Payload::Json(vec![("watts".into(), watts)]),
        when_late: WhenLate::Send,
        ack_timeout: Duration::from_secs(30),
        priority: 100,
    }
}

fn plan(streams: usize) -> Plan {
    Plan {
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
        cohorts: vec![Cohort {
            name: "meters".into(),
            first: 0,
            devices: 10_000,
            attributes: Vec::new(),
            client: Client {
                preset: None,
                connect_timeout: Duration::from_secs(10),
                keep_alive_s: 120,
                ping_interval_s: None,
                ping_on: fleetstorm::mqtt::session::PingOn::SilenceEither,
                ping_timeout: Duration::from_secs(10),
                backoff: Backoff::of(BackoffShape::Fixed(Duration::from_secs(1))),
                client_id: template(),
                inflight: 10,
            },
            link: None,
            session: Session {
                clean: false,
                will: None,
            },
            on_connect: Vec::new(),
            streams: 0..streams,
            store: None,
            update: None,
            commands: None,
            reported: None,
        }],
        streams: vec![stream(PhaseShape::Uniform); streams],
        observe: Observe {
            devices: 10_000,
            ledger: true,
            stamp_field: "_fs".into(),
        },
        phases: vec![Phase {
            name: "steady".into(),
            start: Duration::ZERO,
            length: LONG,
            power_on: None,
        }],
        faults: Vec::new(),
        firmware: Firmware::default(),
        campaigns: Vec::new(),
        commands: Vec::new(),
        queries: Vec::new(),
        objectives: Vec::new(),
        recovery: fleetstorm::scenario::recovery::RecoveryRule::default(),
        drain: Duration::from_secs(30),
    }
}

/// A device with `streams` streams that has just got its CONNACK.
fn online(streams: usize, out: &mut Vec<Output>) -> Device {
    let mut device = Device::new(
        Arc::new(Profile {
            plan: Arc::new(plan(streams)),
            cohort: 0,
            run: 1,
            start: Instant::ZERO,
        }),
        4_321,
    );
    let accepted = Packet::ConnAck {
        session_present: false,
        code: ConnectCode::Accepted,
    };
    for input in [Input::PowerOn, Input::Opened, Input::Received(accepted)] {
        device.handle_input(Instant::ZERO, input, out);
    }
    out.clear();
    device
}

/// One timeout and a PUBACK, 100 us later, for each publish that came of it.
fn publish_and_ack(device: &mut Device, out: &mut Vec<Output>) -> usize {
    let mut now = device.poll_timeout();
    device.handle_input(now, Input::Timeout, out);
    now = now.after_ns(100_000);
    let mut published = 0;
    for index in 0..out.len() {
        if let Output::Telemetry(telemetry) = out[index] {
            let ack = Packet::PubAck(telemetry.packet_id);
            device.handle_input(now, Input::Received(ack), out);
            published += 1;
        }
    }
    black_box(&out);
    out.clear();
    published
}

fn steps(c: &mut Criterion) {
    let mut group = c.benchmark_group("device");
    group
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .throughput(Throughput::Elements(1));
    for streams in [1, 4] {
        let mut out = Vec::with_capacity(64);
        let mut device = online(streams, &mut out);
        group.bench_function(format!("publish and puback, {streams} streams"), |b| {
            b.iter(|| assert_eq!(publish_and_ack(&mut device, &mut out), 1));
        });
        assert!(device.is_drained() && device.is_connected());
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);

//! Hot path of the measurement: an acknowledged publish in the recorder, the delivery ledger's part
//! of one telemetry message, and what a second costs a worker and the coordinator.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fleetstorm::cloud::ledger::Ledger;
use fleetstorm::device::stamp::Stamp;
use fleetstorm::mqtt::packet::QoS;
use fleetstorm::rng::{Purpose, hash};
use fleetstorm::scenario::campaign::Firmware;
use fleetstorm::scenario::plan::{
    Backoff, BackoffShape, Client, Cohort, Embedded, GoneClients, Me, Observe, Payload, PhaseShape,
    Plan, Schedule, Session, Stream, Target, WhenLate,
};
use fleetstorm::scenario::template::{Segment, Template};
use fleetstorm::stats::event::{Event, Operation};
use fleetstorm::stats::recorder::{Layout, ProcessGauges, Recorder, Snapshot};
use fleetstorm::stats::series::Second;
use fleetstorm::time::{Duration, Instant};
use std::hint::black_box;

const DEVICES: u32 = 20_000;
const MINUTE: Duration = Duration::from_secs(60);

/// Four phases of a minute, one stream.
fn recorder() -> Recorder {
    let phase_ends = (1..=4).map(|i| Instant::ZERO.after(MINUTE * i)).collect();
    Recorder::new(Layout {
        start: Instant::ZERO,
        phase_ends,
        streams: 1,
    })
}

/// Publish number `i`, written when it was due and acknowledged 0.1 to 33 ms later.
fn acked(i: u64) -> (Instant, Event) {
    let intended = Instant::from_ns(i * 10_000 % 240_000_000_000);
    let spread = hash(1, i, Purpose::Payload, 0) % (1 << 25);
    let op = Operation {
        stream: 0,
        seq: 0,
        intended,
    };
    let event = Event::Acked {
        op,
        sent: intended,
        replayed: false,
    };
    (intended.after_ns(100_000 + spread), event)
}

fn record(c: &mut Criterion) {
    let mut group = c.benchmark_group("recorder");
    group.throughput(Throughput::Elements(1));
    let events: Vec<_> = (0..65_536).map(acked).collect();
    let mut recorder = recorder();
    let mut i = 0;
    group.bench_function("acked", |b| {
        b.iter(|| {
            let (now, event) = &events[i % events.len()];
            recorder.record(*now, 7, black_box(event));
            i += 1;
        });
    });
    group.bench_function("lag", |b| {
        b.iter(|| {
            let deadline = Instant::from_ns(i as u64 * 1_000 % 240_000_000_000);
            recorder.record_lag(deadline, deadline.after_ns(black_box(30_000)));
            i += 1;
        });
    });
    group.finish();
}

/// What a worker measured in a second of 10 000 acknowledged publishes and timers.
fn busy_second(recorder: &mut Recorder) {
    for i in 0..10_000 {
        let (now, event) = acked(i);
        recorder.record(now, 7, &event);
        recorder.record_lag(now, now.after_ns(30_000));
        recorder.record_seen(now, now, false);
    }
}

fn second(c: &mut Criterion) {
    let mut recorder = recorder();
    let snapshot = |r: &mut Recorder| -> Snapshot {
        r.take_snapshot(Instant::ZERO, 0, ProcessGauges::default())
    };
    c.bench_function("second/take_snapshot", |b| {
        b.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                busy_second(&mut recorder);
                let start = std::time::Instant::now();
                black_box(snapshot(&mut recorder));
                spent += start.elapsed();
            }
            spent
        });
    });
    busy_second(&mut recorder);
    let one = snapshot(&mut recorder);
    c.bench_function("second/merge_10_workers", |b| {
        b.iter_batched(
            || Second::new(0),
            |mut sum| {
                (0..10).for_each(|worker| sum.add(worker, &one).expect("own encoding"));
                sum.row(0)
            },
            BatchSize::SmallInput,
        );
    });
}

/// One QoS 1 message of the ledger's round: written, acknowledged, seen; over 20 000 devices, so
/// that streams come from memory and not from the cache.
fn ledger(c: &mut Criterion) {
    let owned: Vec<u32> = (0..DEVICES).collect();
    let mut ledger = Ledger::new(&plan(), &owned);
    owned.iter().for_each(|d| ledger.booted(*d, 1));
    let mut group = c.benchmark_group("ledger");
    group.throughput(Throughput::Elements(1));
    let mut i = 0u32;
    group.bench_function("sent_acked_seen", |b| {
        b.iter(|| {
            let (device, seq) = (i % DEVICES * 7_919 % DEVICES, i / DEVICES);
            let intended = Instant::from_ns(u64::from(i));
            let op = Operation {
                stream: 0,
                seq,
                intended,
            };
            ledger.sent(device, &op, false);
            ledger.acked(device, &op);
            let stamp = Stamp {
                run: 1,
                device,
                stream: 0,
                boot: 1,
                seq,
                intended,
            };
            i += 1;
            black_box(ledger.seen(&stamp, intended))
        });
    });
    group.finish();
    let counts = ledger.finish(Instant::from_ns(u64::from(i)));
    assert_eq!(counts.verified_acks, u64::from(i), "{counts:?}");
}

/// One cohort with one QoS 1 stream, all observed.
fn plan() -> Plan {
    let cohort = Cohort {
        name: "meters".into(),
        first: 0,
        devices: DEVICES,
        attributes: Vec::new(),
        client: Client {
            preset: None,
            connect_timeout: MINUTE,
            keep_alive_s: 120,
            ping_interval_s: None,
            ping_on: fleetstorm::mqtt::session::PingOn::SilenceEither,
            ping_timeout: MINUTE,
            backoff: Backoff::of(BackoffShape::Fixed(MINUTE)),
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
        topic: Template(vec![Segment::Device]),
        qos: QoS::AtLeastOnce,
        retain: false,
        schedule: Schedule::Every {
            period: MINUTE,
            phase: PhaseShape::Uniform,
        },
        payload: Payload::Bytes(200),
        when_late: WhenLate::Send,
        ack_timeout: MINUTE,
        priority: 100,
    };
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
        cohorts: vec![cohort],
        streams: vec![stream],
        observe: Observe {
            devices: DEVICES,
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
        drain: MINUTE,
    }
}

criterion_group!(benches, record, second, ledger);
criterion_main!(benches);

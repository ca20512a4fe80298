//! What subscriptions cost a message: a QoS 0 PUBLISH that reaches one subscriber, through a node
//! with so many filters of a kind; and what a new subscription costs among retained messages. The
//! ratios of one run count, not the figures.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fleetstorm::backend::{Backend, ConnId, Input, Output};
use fleetstorm::mqtt::packet::{Connect, Packet, Publish, QoS};
use fleetstorm::scenario::plan::{Embedded, GoneClients, Me};
use fleetstorm::time::Instant;
use std::hint::black_box;

const NOW: Instant = Instant::from_ns(1_000_000_000);
const PUBLISHER: ConnId = ConnId(0);
const SUBSCRIBER: ConnId = ConnId(1);

/// Filters of one SUBSCRIBE.
const BATCH: usize = 1_000;

const FILTERS: [usize; 3] = [100, 10_000, 100_000];
const RETAINED: [usize; 3] = [1_000, 100_000, 1_000_000];

/// What filter number `i` looks like. Every topic `site-I/meter/power` matches one.
#[derive(Copy, Clone)]
enum Kind {
    Exact,
    /// As `a/+/c`.
    SingleLevel,
    /// As `a/#`.
    MultiLevel,
    /// A third of each.
    Mixture,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::SingleLevel => "single_level",
            Self::MultiLevel => "multi_level",
            Self::Mixture => "mixture",
        }
    }

    fn filter(self, i: usize) -> String {
        match (self, i % 3) {
            (Self::Exact, _) | (Self::Mixture, 0) => topic(i),
            (Self::SingleLevel, _) | (Self::Mixture, 1) => format!("site-{i}/+/power"),
            (Self::MultiLevel, _) | (Self::Mixture, _) => format!("site-{i}/#"),
        }
    }
}

fn topic(i: usize) -> String {
    format!("site-{i}/meter/power")
}

fn input(backend: &mut Backend, conn: ConnId, packet: Packet<'_>, out: &mut Vec<Output>) {
    out.clear();
    backend.handle_input(NOW, Input::Received(conn, packet), out);
}

fn publish<'a>(topic: &'a str, payload: &'a [u8], retain: bool) -> Packet<'a> {
    Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain,
        packet_id: 0,
        topic,
        payload,
    })
}

/// A publisher and a subscriber, connected.
fn node() -> Backend {
    let shape = Embedded {
        nodes: 1,
        accept_rate_per_s: None,
        accept_queue: 0,
        service: None,
        gone_clients: GoneClients::Skip,
        me: Me::Shared,
    };
    let mut backend = Backend::new(&shape, 0, 42);
    let mut out = Vec::new();
    for conn in [PUBLISHER, SUBSCRIBER] {
        backend.handle_input(NOW, Input::Opened(conn), &mut out);
        let connect = Connect {
            client_id: format!("c{}", conn.0),
            clean_session: true,
            keep_alive_s: 0,
            will: None,
            username: None,
            password: None,
        };
        input(
            &mut backend,
            conn,
            Packet::Connect(Box::new(connect)),
            &mut out,
        );
    }
    backend
}

fn matching(c: &mut Criterion) {
    let mut group = c.benchmark_group("routing");
    group.throughput(Throughput::Elements(1));
    for kind in [
        Kind::Exact,
        Kind::SingleLevel,
        Kind::MultiLevel,
        Kind::Mixture,
    ] {
        for filters in FILTERS {
            let mut backend = node();
            let mut out = Vec::new();
            let all: Vec<usize> = (0..filters).collect();
            for some in all.chunks(BATCH) {
                let filters = some.iter().map(|&i| (kind.filter(i), QoS::AtMostOnce));
                let filters = filters.collect();
                let packet_id = 1;
                let subscribe = Packet::Subscribe { packet_id, filters };
                input(&mut backend, SUBSCRIBER, subscribe, &mut out);
            }
            eprintln!(
                "{} x {filters}: {} bytes of state a filter",
                kind.name(),
                backend.state_bytes() / filters
            );
            let topics: Vec<String> = (0..filters).map(topic).collect();
            let payload = [b'x'; 64];
            let mut at = 0;
            group.bench_function(BenchmarkId::new(kind.name(), filters), |b| {
                b.iter(|| {
                    // A stride that visits all, so that no topic follows itself.
                    at = (at + 7_919) % filters;
                    input(
                        &mut backend,
                        PUBLISHER,
                        publish(&topics[at], &payload, false),
                        &mut out,
                    );
                    assert_eq!(black_box(&out).len(), 1);
                });
            });
        }
    }
    group.finish();
}

fn retained(c: &mut Criterion) {
    let mut group = c.benchmark_group("retained");
    for messages in RETAINED {
        let mut backend = node();
        let mut out = Vec::new();
        for i in 0..messages {
            input(
                &mut backend,
                PUBLISHER,
                publish(&topic(i), b"x", true),
                &mut out,
            );
        }
        eprintln!(
            "{messages} retained: {} bytes of state each",
            backend.state_bytes() / messages
        );
        let exact = topic(messages / 2);
        let one_level = format!("site-{}/+/power", messages / 2);
        let tail = format!("site-{}/#", messages / 2);
        for (name, filter, found) in [
            ("exact", exact.as_str(), 1),
            ("single_level", &one_level, 1),
            ("multi_level", &tail, 1),
            ("none", "site-x/+/power", 0),
        ] {
            group.bench_function(BenchmarkId::new(name, messages), |b| {
                b.iter(|| {
                    let filters = vec![(filter.to_owned(), QoS::AtMostOnce)];
                    let packet_id = 1;
                    let subscribe = Packet::Subscribe { packet_id, filters };
                    input(&mut backend, SUBSCRIBER, subscribe, &mut out);
                    assert_eq!(black_box(&out).len(), 1 + found);
                });
            });
        }
        let topics: Vec<String> = (0..messages).map(topic).collect();
        let mut at = 0;
        group.bench_function(BenchmarkId::new("replace", messages), |b| {
            b.iter(|| {
                at = (at + 7_919) % messages;
                input(
                    &mut backend,
                    PUBLISHER,
                    publish(&topics[at], b"y", true),
                    &mut out,
                );
            });
        });
    }
    group.finish();
}

criterion_group!(benches, matching, retained);
criterion_main!(benches);

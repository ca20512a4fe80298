//! Cost of one message through the reference backend: a PUBLISH of a device that reaches an
//! observer's exact subscription, with the acknowledgements of both sides, at QoS 1 and 2.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fleetstorm::backend::{Backend, ConnId, Input, Output};
use fleetstorm::mqtt::packet::{Connect, Packet, Publish, QoS};
use fleetstorm::scenario::plan::{Embedded, GoneClients, Me};
use fleetstorm::time::Instant;
use std::hint::black_box;

const DEVICES: u64 = 10_000;
const TOPICS_PER_OBSERVER: u64 = 250;
const NOW: Instant = Instant::from_ns(1_000_000_000);

fn connect(backend: &mut Backend, conn: u64, client_id: String, out: &mut Vec<Output>) {
    backend.handle_input(NOW, Input::Opened(ConnId(conn)), out);
    let connect = Connect {
        client_id,
        clean_session: false,
        keep_alive_s: 120,
        will: None,
        username: None,
        password: None,
    };
    let packet = Packet::Connect(Box::new(connect));
    backend.handle_input(NOW, Input::Received(ConnId(conn), packet), out);
}

/// All devices connected, and their topics subscribed to by observers at this QoS.
fn node(granted: QoS) -> Backend {
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
    for device in 0..DEVICES {
        connect(&mut backend, device, format!("meters-{device}"), &mut out);
    }
    for first in (0..DEVICES).step_by(TOPICS_PER_OBSERVER as usize) {
        let observer = ConnId(DEVICES + first);
        connect(
            &mut backend,
            observer.0,
            format!("observer-{first}"),
            &mut out,
        );
        let filters = (first..first + TOPICS_PER_OBSERVER)
            .map(|device| (topic(device), granted))
            .collect();
        let packet_id = 1;
        let subscribe = Packet::Subscribe { packet_id, filters };
        backend.handle_input(NOW, Input::Received(observer, subscribe), &mut out);
    }
    backend
}

fn topic(device: u64) -> String {
    format!("d/meters-{device}/power")
}

fn publish<'a>(qos: QoS, topic: &'a str, payload: &'a [u8]) -> Packet<'a> {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        packet_id: 1,
        topic,
        payload,
    })
}

/// One message, and the observer's PUBACK for it.
fn qos1(backend: &mut Backend, device: u64, topic: &str, payload: &[u8], out: &mut Vec<Output>) {
    out.clear();
    let publish = publish(QoS::AtLeastOnce, topic, payload);
    backend.handle_input(NOW, Input::Received(ConnId(device), publish), out);
    if let Some(Output::Deliver(observer, delivery)) = out.first() {
        let (observer, ack) = (*observer, Packet::PubAck(delivery.packet_id));
        backend.handle_input(NOW, Input::Received(observer, ack), out);
    }
}

/// One message; the device's PUBREL, and the observer's PUBREC and PUBCOMP.
fn qos2(backend: &mut Backend, device: u64, topic: &str, payload: &[u8], out: &mut Vec<Output>) {
    out.clear();
    let publish = publish(QoS::ExactlyOnce, topic, payload);
    backend.handle_input(NOW, Input::Received(ConnId(device), publish), out);
    if let Some(Output::Deliver(observer, delivery)) = out.first() {
        let (observer, id) = (*observer, delivery.packet_id);
        let device = ConnId(device);
        for (conn, answer) in [
            (device, Packet::PubRel(1)),
            (observer, Packet::PubRec(id)),
            (observer, Packet::PubComp(id)),
        ] {
            backend.handle_input(NOW, Input::Received(conn, answer), out);
        }
    }
}

fn backend_step(c: &mut Criterion) {
    let topics: Vec<String> = (0..DEVICES).map(topic).collect();
    let payload = [b'x'; 64];
    let mut out = Vec::new();
    let mut group = c.benchmark_group("backend");
    group.throughput(Throughput::Elements(1));
    let mut backend = node(QoS::AtLeastOnce);
    let mut device = 0;
    group.bench_function("publish_qos1_to_one_observer", |b| {
        b.iter(|| {
            // A stride that visits all devices, so that caches are as cold as a fleet's.
            device = (device + 7_919) % DEVICES;
            let index = usize::try_from(device).expect("below 10 000");
            qos1(&mut backend, device, &topics[index], &payload, &mut out);
            assert_eq!(black_box(&out).len(), 2);
        });
    });
    group.bench_function("connect_and_disconnect", |b| {
        let mut conn = 10 * DEVICES;
        b.iter_batched(
            || {
                conn += 1;
                (conn, format!("late-{conn}"))
            },
            |(conn, client_id)| {
                out.clear();
                connect(&mut backend, conn, client_id, &mut out);
                let bye = Packet::Disconnect;
                backend.handle_input(NOW, Input::Received(ConnId(conn), bye), &mut out);
                assert_eq!(black_box(&out).len(), 2);
            },
            BatchSize::SmallInput,
        );
    });
    drop(backend);
    let mut backend = node(QoS::ExactlyOnce);
    group.bench_function("publish_qos2_to_one_observer", |b| {
        b.iter(|| {
            device = (device + 7_919) % DEVICES;
            let index = usize::try_from(device).expect("below 10 000");
            qos2(&mut backend, device, &topics[index], &payload, &mut out);
            // The delivery; PUBREC and PUBCOMP to the device; PUBREL to the observer.
            assert_eq!(black_box(&out).len(), 4);
        });
    });
    group.finish();
}

criterion_group!(benches, backend_step);
criterion_main!(benches);

//! The work queue: order, bounds, clients that leave, stalls and restarts, held against a model.

use super::super::*;
use super::{Node, Q1, connect, ms, publish, shape, with_will};
use crate::backend::held::{HeldPublish, Job, Work};
use crate::backend::service_time;
use crate::mqtt::packet::Publish;
use crate::scenario::plan::{GoneClients, ServiceTime};
use proptest::prelude::*;
use std::time::Duration;

pub(super) const fn fixed(ms: u64) -> Option<ServiceTime> {
    Some(ServiceTime::Fixed(Duration::from_millis(ms)))
}

/// A node of one worker with room for 100 jobs.
pub(super) const fn law(
    connect: Option<ServiceTime>,
    publish: Option<ServiceTime>,
) -> plan::Service {
    plan::Service {
        workers: 1,
        connect,
        publish,
        queue: 100,
    }
}

pub(super) fn node(service: plan::Service, gone_clients: GoneClients) -> Node {
    Node::with_shape(&Embedded {
        service: Some(service),
        gone_clients,
        ..shape(None, 0)
    })
}

impl Node {
    /// What the node says until `until`, each with its instant in milliseconds.
    pub(super) fn until(&mut self, until: Instant) -> Vec<String> {
        let mut said = Vec::new();
        while self.backend.poll_timeout() <= until {
            let at = self.backend.poll_timeout();
            let out = self.input(at, Input::Timeout);
            said.extend(
                out.into_iter()
                    .map(|o| format!("{} {o}", at.ns() / 1_000_000)),
            );
        }
        said
    }

    /// The counts named, in this order.
    pub(super) fn counted<const N: usize>(&self, names: [&str; N]) -> [u64; N] {
        names.map(|name| self.count(name))
    }
}

#[test]
fn jobs_start_in_order_of_arrival_and_take_effect_at_their_end() {
    let two = plan::Service {
        workers: 2,
        ..law(fixed(10), fixed(4))
    };
    let mut node = node(two, GoneClients::Skip);
    for conn in 1..=5 {
        let said = node.connect(ms(conn), conn, connect(&format!("c{conn}"), true, 0));
        assert_eq!(said, [""; 0], "no answer before the work is done");
    }
    assert_eq!(
        node.until(ms(25)),
        [
            "11 1 connack 0 false",
            "12 2 connack 0 false",
            "21 3 connack 0 false",
            "22 4 connack 0 false"
        ]
    );
    assert_eq!(node.publish(ms(26), 1, "t", 7), [""; 0]);
    assert_eq!(
        node.until(ms(99)),
        ["30 1 puback 7", "31 5 connack 0 false"]
    );
    assert_eq!(
        node.counted(["jobs_offered", "jobs_queued", "jobs_served"]),
        [6, 3, 6]
    );
    assert_eq!(
        node.counted(["service_busy_us", "service_wasted_us"]),
        [54_000, 0]
    );
    assert!(node.backend.next_job_end().is_never());
}

#[test]
fn a_full_queue_refuses_connects_at_once_and_closes_publishers() {
    let narrow = plan::Service {
        queue: 1,
        ..law(fixed(10), fixed(10))
    };
    let mut node = node(narrow, GoneClients::Skip);
    for conn in 1..=2 {
        node.connect(ms(0), conn, connect(&format!("c{conn}"), true, 0));
    }
    assert_eq!(
        node.connect(ms(1), 3, connect("c3", true, 0)),
        ["3 connack 3 false", "3 close"]
    );
    assert_eq!(node.until(ms(20)).len(), 2);
    assert_eq!(node.publish(ms(30), 1, "t", 1), [""; 0], "in service");
    assert_eq!(node.publish(ms(30), 1, "t", 2), [""; 0], "waits");
    assert_eq!(node.publish(ms(31), 2, "t", 3), ["2 close"]);
    assert_eq!(node.publish(ms(31), 1, "t", 3), ["1 close"]);
    assert_eq!(node.until(ms(99)), [""; 0], "nobody is left to answer");
    assert_eq!(
        node.counted([
            "service_queue_full",
            "service_queue_full_closes",
            "connects_refused"
        ]),
        [3, 2, 1]
    );
    assert_eq!(
        node.counted([
            "jobs_offered",
            "jobs_served",
            "jobs_skipped",
            "pubacks_undeliverable"
        ]),
        [7, 3, 1, 1],
        "of 1, the publish in service was routed and the other one dropped"
    );
}

#[test]
fn without_room_to_wait_a_node_is_a_loss_system() {
    let none = plan::Service {
        workers: 2,
        queue: 0,
        ..law(fixed(10), None)
    };
    let mut node = node(none, GoneClients::Skip);
    let answers: Vec<usize> = (1..=3)
        .map(|conn| {
            node.connect(ms(0), conn, connect(&format!("c{conn}"), true, 0))
                .len()
        })
        .collect();
    assert_eq!(answers, [0, 0, 2]);
}

#[test]
fn what_follows_on_a_connection_waits_for_what_came_before_it() {
    let mut node = node(law(None, fixed(10)), GoneClients::Skip);
    node.connect(ms(0), 1, connect("watch", true, 0));
    node.connect(ms(0), 2, connect("dev", true, 0));
    assert_eq!(node.publish(ms(0), 2, "t", 5), [""; 0]);
    assert_eq!(node.packet(ms(1), 2, Packet::PingReq), [""; 0]);
    assert_eq!(node.subscribe(ms(1), 2, "t", Q1), [""; 0]);
    assert_eq!(node.publish(ms(2), 2, "t", 6), [""; 0]);
    assert_eq!(
        node.packet(ms(3), 1, Packet::PingReq),
        ["1 PingResp"],
        "another connection does not wait"
    );
    assert_eq!(
        node.until(ms(99)),
        [
            "10 2 puback 5",
            "10 2 PingResp",
            "10 2 SubAck { packet_id: 7, granted: [Some(AtLeastOnce)] }",
            "20 2 deliver t q1 #1",
            "20 2 puback 6"
        ]
    );
    assert_eq!(node.packet(ms(100), 2, Packet::PingReq), ["2 PingResp"]);
}

#[test]
fn what_is_sent_ahead_of_connack_waits_for_it() {
    let mut node = node(law(fixed(10), fixed(5)), GoneClients::Skip);
    node.connect(ms(0), 1, connect("dev", true, 0));
    assert_eq!(node.publish(ms(1), 1, "t", 9), [""; 0]);
    assert_eq!(node.packet(ms(1), 1, Packet::PingReq), [""; 0]);
    assert_eq!(
        node.until(ms(99)),
        ["10 1 connack 0 false", "15 1 puback 9", "15 1 PingResp"]
    );
    for early in 0..17 {
        if early == 0 {
            node.connect(ms(100), 2, connect("eager", true, 0));
        }
        let said = node.publish(ms(101), 2, "t", 9);
        assert_eq!(said.len(), usize::from(early == 16), "{said:?}");
    }
    assert_eq!(
        node.counted(["protocol_errors", "connects_abandoned"]),
        [1, 1]
    );
}

#[test]
fn a_second_connect_while_the_first_is_worked_on_is_a_protocol_error() {
    let mut node = node(law(fixed(10), None), GoneClients::Skip);
    node.connect(ms(0), 1, connect("dev", true, 0));
    let again = Packet::Connect(Box::new(connect("dev", true, 0)));
    assert_eq!(node.packet(ms(1), 1, again), ["1 close"]);
    assert_eq!(node.until(ms(99)), [""; 0]);
    assert_eq!(
        node.counted(["jobs_served", "connects_served_after_client_left"]),
        [1, 1]
    );
}

/// Client 1 is in service when it leaves, clients 2 and 3 wait.
#[test]
fn a_waiting_connect_whose_client_left_costs_nothing_or_its_full_work() {
    for (gone_clients, answer, skipped, wasted_us) in [
        (GoneClients::Skip, "20 4 connack 0 false", 2, 10_000),
        (GoneClients::Serve, "40 4 connack 0 false", 0, 30_000),
    ] {
        let mut node = node(law(fixed(10), None), gone_clients);
        for conn in 1..=4 {
            node.connect(ms(0), conn, connect(&format!("c{conn}"), true, 0));
        }
        for conn in 1..=3 {
            node.close(ms(5), conn);
        }
        assert_eq!(node.until(ms(99)), [answer], "{gone_clients:?}");
        let served = 3 - skipped;
        assert_eq!(
            node.counted([
                "jobs_skipped",
                "jobs_served",
                "connects_abandoned",
                "connects_served_after_client_left",
                "connects_accepted",
                "service_busy_us",
                "service_wasted_us",
            ]),
            [
                skipped,
                served + 1,
                3,
                served,
                1,
                (served + 1) * 10_000,
                wasted_us
            ],
            "{gone_clients:?}"
        );
    }
}

#[test]
fn the_gone_take_no_room_unless_they_are_served() {
    for (gone_clients, answers) in [(GoneClients::Skip, 0), (GoneClients::Serve, 2)] {
        let narrow = plan::Service {
            queue: 3,
            ..law(fixed(10), None)
        };
        let mut node = node(narrow, gone_clients);
        for conn in 1..=4 {
            node.connect(ms(0), conn, connect(&format!("c{conn}"), true, 0));
        }
        node.close(ms(1), 3);
        let said = node.connect(ms(2), 5, connect("c5", true, 0));
        assert_eq!(said.len(), answers, "{gone_clients:?}: {said:?}");
        assert_eq!(node.connect(ms(2), 6, connect("c6", true, 0)).len(), 2);
    }
}

/// The rate admits one CONNECT in 10 ms; each is then worked on for 1 ms.
#[test]
fn the_gone_are_served_in_admission_and_then_in_the_work_queue() {
    for (gone_clients, answer, for_nothing, wasted_us) in [
        (GoneClients::Skip, "11 3 connack 0 false", 0, 0),
        (GoneClients::Serve, "21 3 connack 0 false", 1, 1_000),
    ] {
        for work in [fixed(1), None] {
            let mut node = Node::with_shape(&Embedded {
                service: work.map(|_| law(work, None)),
                gone_clients,
                ..shape(Some(100.0), 9)
            });
            for conn in 1..=3 {
                node.connect(ms(0), conn, connect(&format!("c{conn}"), true, 0));
            }
            node.close(ms(5), 2);
            let said = node.until(ms(99));
            let count = |name| node.count(name);
            assert_eq!(count("connects_served_after_client_left"), for_nothing);
            assert_eq!(count("connects_abandoned"), 1);
            if work.is_some() {
                assert_eq!(said.last().expect("3 is answered"), answer);
                assert_eq!(count("service_wasted_us"), wasted_us);
            }
        }
    }
}

#[test]
fn publishes_of_a_lost_connection_are_routed_if_begun_and_dropped_if_waiting() {
    for (gone_clients, routed, skipped) in [(GoneClients::Skip, 1, 2), (GoneClients::Serve, 3, 0)] {
        let mut node = node(law(None, fixed(10)), gone_clients);
        node.connect(ms(0), 1, connect("watch", true, 0));
        node.subscribe(ms(0), 1, "t", Q1);
        node.subscribe(ms(0), 1, "will", Q1);
        node.connect(ms(0), 2, with_will("dev", "will"));
        for id in 1..=3 {
            node.publish(ms(1), 2, "t", id);
        }
        node.packet(ms(1), 2, Packet::PingReq);
        assert_eq!(node.close(ms(2), 2), ["1 deliver will q1 #1"]);
        let said = node.until(ms(99));
        assert_eq!(said.len(), routed, "{gone_clients:?}: {said:?}");
        assert_eq!(said[0], "11 1 deliver t q1 #2");
        let routed = routed as u64;
        assert_eq!(
            node.counted([
                "publishes_served_after_client_left",
                "pubacks_undeliverable",
                "jobs_skipped",
                "service_wasted_us",
            ]),
            [routed, routed, skipped, 0]
        );
    }
}

/// The client's 30 publishes take 3 s, twice its keep-alive; it says goodbye and closes at once. In
/// the second run it is back before they are done.
#[test]
fn a_client_that_said_goodbye_has_not_left() {
    for gone_clients in [GoneClients::Skip, GoneClients::Serve] {
        for comes_back in [false, true] {
            let mut node = node(law(None, fixed(100)), gone_clients);
            node.connect(ms(0), 1, connect("watch", true, 0));
            node.subscribe(ms(0), 1, "t", Q1);
            node.subscribe(ms(0), 1, "will", Q1);
            let mut device = with_will("dev", "will");
            device.keep_alive_s = 1;
            node.connect(ms(0), 2, device);
            for id in 1..=30 {
                assert_eq!(node.publish(ms(0), 2, "t", id), [""; 0]);
            }
            assert_eq!(node.packet(ms(0), 2, Packet::Disconnect), [""; 0]);
            assert_eq!(node.close(ms(1), 2), [""; 0]);
            assert_eq!(node.until(ms(450)).len(), 8, "delivery and PUBACK of four");
            if comes_back {
                assert_eq!(
                    node.connect(ms(450), 3, connect("dev", true, 0)),
                    ["2 close", "3 connack 0 false"]
                );
            }
            let said = node.until(ms(9_999));
            let delivered = said.iter().filter(|s| s.contains("deliver t")).count();
            assert_eq!(delivered, 26, "{said:?}");
            assert_eq!(said.iter().any(|s| s == "3000 2 close"), !comes_back);
            assert_eq!(
                node.counted([
                    "jobs_served",
                    "jobs_skipped",
                    "wills_published",
                    "keep_alive_expired"
                ]),
                [30, 0, 0, 0]
            );
            let undeliverable = if comes_back { 26 } else { 0 };
            assert_eq!(node.count("pubacks_undeliverable"), undeliverable);
            assert_eq!(node.count("connections_open"), 1 + u64::from(comes_back));
        }
    }
}

#[test]
fn a_stall_stops_the_workers_where_they_are() {
    let mut node = node(law(None, fixed(10)), GoneClients::Skip);
    node.connect(ms(0), 1, connect("dev", true, 0));
    for id in 1..=3 {
        node.publish(ms(0), 1, "t", id);
    }
    node.input(ms(14), Input::FaultStart(0, BackendFault::Stall));
    node.input(ms(15), Input::FaultStart(1, BackendFault::Stall));
    assert!(node.backend.poll_timeout().is_never());
    assert_eq!(node.input(ms(30), Input::FaultClear(0)), [""; 0]);
    assert_eq!(node.publish(ms(40), 1, "t", 4), [""; 0]);
    assert_eq!(
        node.input(ms(114), Input::FaultClear(1)),
        [""; 0],
        "no credit is saved up"
    );
    assert_eq!(
        node.until(ms(199)),
        ["120 1 puback 2", "130 1 puback 3", "140 1 puback 4"]
    );
    assert_eq!(node.count("pubacks_sent"), 4, "1 was done before the stall");
}

#[test]
fn a_restart_forgets_all_jobs() {
    let two = plan::Service {
        workers: 2,
        ..law(fixed(10), fixed(10))
    };
    let mut node = node(two, GoneClients::Serve);
    node.connect(ms(0), 1, connect("dev", true, 0));
    node.until(ms(10));
    node.publish(ms(20), 1, "t", 1);
    for conn in 2..=4 {
        node.connect(ms(20), conn, connect(&format!("c{conn}"), true, 0));
    }
    node.close(ms(21), 4);
    let keep = BackendFault::Restart {
        sessions: plan::Sessions::Keep,
    };
    let resets = node.input(ms(25), Input::FaultStart(0, keep));
    assert_eq!(resets, ["1 reset", "2 reset", "3 reset"]);
    assert!(node.backend.poll_timeout().is_never());
    node.input(ms(26), Input::FaultClear(0));
    assert_eq!(
        node.counted([
            "jobs_forgotten",
            "connects_abandoned",
            "jobs_under_way",
            "jobs_served"
        ]),
        [4, 3, 0, 1],
        "4 had been abandoned before"
    );
    node.connect(ms(30), 5, connect("c5", true, 0));
    assert_eq!(
        node.until(ms(99)),
        ["40 5 connack 0 false"],
        "the workers are idle"
    );
}

#[test]
fn waiting_for_a_worker_is_not_silence() {
    let mut node = node(law(fixed(60_000), fixed(5_000)), GoneClients::Skip);
    node.connect(ms(0), 1, connect("dev", true, 1));
    assert_eq!(
        node.until(ms(60_000)),
        ["60000 1 connack 0 false"],
        "no CONNECT timeout"
    );
    node.publish(ms(60_000), 1, "t", 1);
    for second in 61..=64 {
        assert_eq!(node.packet(ms(second * 1_000), 1, Packet::PingReq), [""; 0]);
        assert_eq!(
            node.until(ms(second * 1_000 + 999)),
            [""; 0],
            "it was heard"
        );
    }
    assert_eq!(node.until(ms(65_000)).len(), 5, "PUBACK and four PINGRESPs");
    assert_eq!(node.until(ms(65_499)), [""; 0]);
    assert_eq!(
        node.until(ms(65_500)),
        ["65500 1 close"],
        "1.5 s after its last packet"
    );
}

#[test]
fn a_refusing_node_refuses_when_the_work_is_done() {
    let mut node = node(law(fixed(10), None), GoneClients::Skip);
    node.connect(ms(0), 1, connect("a", true, 0));
    node.publish(ms(1), 1, "t", 1);
    node.input(ms(5), Input::FaultStart(0, BackendFault::Refuse));
    assert_eq!(node.until(ms(99)), ["10 1 connack 3 false", "10 1 close"]);
    assert_eq!(
        node.counted(["connects_abandoned", "connects_refused"]),
        [0, 1]
    );
}

#[test]
fn a_worker_goes_on_at_its_own_end_however_late_the_driver_is() {
    let mut node = node(law(None, fixed(10)), GoneClients::Skip);
    node.connect(ms(0), 1, connect("dev", true, 0));
    for id in 1..=4 {
        node.publish(ms(0), 1, "t", id);
    }
    assert_eq!(
        node.input(ms(35), Input::Timeout),
        ["1 puback 1", "1 puback 2", "1 puback 3"]
    );
    assert_eq!(node.backend.poll_timeout(), ms(40));
    assert_eq!(
        node.publish(ms(50), 1, "t", 5),
        ["1 puback 4"],
        "what is done comes before what happens"
    );
    assert_eq!(
        node.backend.poll_timeout(),
        ms(60),
        "the worker was idle from 40 to 50"
    );
}

#[test]
fn no_job_starts_before_it_came_however_late_the_driver_is() {
    let mut node = node(law(fixed(10), fixed(10)), GoneClients::Skip);
    node.connect(ms(0), 1, connect("a", true, 0));
    node.connect(ms(0), 2, connect("b", true, 0));
    node.publish(ms(1), 1, "t", 1);
    assert_eq!(
        node.input(ms(35), Input::Timeout),
        ["1 connack 0 false", "2 connack 0 false"],
        "the publish sent ahead comes with CONNACK, at 35"
    );
    assert_eq!(node.until(ms(99)), ["45 1 puback 1"]);
}

/// A job of the model: on which connection, after what gap, of which kind.
#[derive(Clone, Debug)]
struct Arrival {
    conn: u64,
    gap_us: u64,
    connects: bool,
}

fn any_arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let any = (0..6u64, 0..3_000u64, any::<bool>());
    let any = any.prop_map(|(conn, gap_us, connects)| Arrival {
        conn,
        gap_us,
        connects,
    });
    prop::collection::vec(any, 1..200)
}

proptest! {
    /// Kiefer and Wolfowitz (1955): job n starts at max(its arrival, when the first worker is free).
    /// Its effect comes at its end, or at the latest effect of its connection before.
    #[test]
    fn effects_come_when_the_recursion_says(
        arrivals in any_arrivals(),
        workers in 1..5u16,
        seed: u64,
    ) {
        let mean = Duration::from_micros(1_500);
        let slow_share = 0.2;
        let (fast, slow) = (Duration::from_micros(300), Duration::from_millis(9));
        let law = plan::Service {
            workers,
            connect: Some(ServiceTime::Bimodal { fast, slow, slow_share }),
            publish: Some(ServiceTime::Exponential(mean)),
            queue: 1_000,
        };
        let mut service = Service::new(law, GoneClients::Skip, seed, 3);
        let (mut expected, mut got) = (Vec::new(), Vec::new());
        let mut free = vec![Instant::ZERO; usize::from(workers)];
        let mut latest = [Instant::ZERO; 6];
        let mut now = Instant::ZERO;
        for (number, arrival) in (0u64..).zip(&arrivals) {
            now = now.after_ns(arrival.gap_us * 1_000);
            let time = if arrival.connects { law.connect } else { law.publish };
            let work_ns = service_time::draw_ns(&time.expect("both cost"), seed, 3, number);
            free.sort_unstable();
            free[0] = free[0].max(now).after_ns(work_ns);
            let effect = &mut latest[usize::try_from(arrival.conn).expect("below 6")];
            *effect = free[0].max(*effect);
            expected.push((arrival.conn, *effect, number));

            drain(&mut service, now, &mut got);
            let job = if arrival.connects {
                let keep_alive_s = u16::try_from(number).expect("at most 200");
                Job::Connect(Box::new(connect("", true, keep_alive_s)))
            } else {
                let packet_id = PacketId::try_from(number).expect("at most 200");
                let publish = Publish { packet_id, ..publish("t", 1) };
                Job::Publish(HeldPublish::new(&publish, Bytes::new()))
            };
            prop_assert!(service.offer(now, ConnId(arrival.conn), job, false));
        }
        drain(&mut service, Instant::from_ns(u64::MAX - 1), &mut got);
        prop_assert!(service.is_empty());
        // By connection, each in order.
        let by_conn = |all: &[(u64, Instant, u64)]| {
            let of = |conn| all.iter().copied().filter(move |(c, ..)| *c == conn);
            (0..6).flat_map(of).collect::<Vec<_>>()
        };
        prop_assert_eq!(by_conn(&got), by_conn(&expected));
        prop_assert!(got.is_sorted_by_key(|(_, at, _)| *at));
    }
}

/// What takes effect by `until`: connection, instant, number of the job.
fn drain(service: &mut Service, until: Instant, effects: &mut Vec<(u64, Instant, u64)>) {
    while service.poll_timeout() <= until {
        let at = service.poll_timeout();
        while let Some(due) = service.next_due(at) {
            let number = match due.work {
                Work::Job(Job::Connect(connect)) => connect.keep_alive_s,
                Work::Job(Job::Publish(publish)) => publish.borrow().packet_id,
                Work::Follower(packet) => unreachable!("{packet:?} was not sent"),
            };
            effects.push((due.conn.0, at, u64::from(number)));
        }
    }
}

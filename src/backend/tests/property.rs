//! The backend's account is exact whatever happens to it.

use super::super::*;
use super::{Q0, Q1, Q2, connect, publish, shape, with_will};
use crate::mqtt::packet::Publish;
use crate::scenario::plan::{DropAck, Lose};
use crate::scenario::plan::{GoneClients, ServiceTime};
use proptest::prelude::*;
use std::time::Duration;

fn any_fault() -> impl Strategy<Value = BackendFault> {
    let ms = Duration::from_millis;
    prop_oneof![
        Just(BackendFault::Restart {
            sessions: plan::Sessions::Keep
        }),
        Just(BackendFault::Restart {
            sessions: plan::Sessions::Forget
        }),
        Just(BackendFault::Refuse),
        Just(BackendFault::Stall),
        (0..3_000u64).prop_map(move |d| BackendFault::AckDelay(ms(d))),
        (0.0..1.0).prop_map(|p| BackendFault::DropAck(DropAck::Share(p))),
        (0..5u32).prop_map(|n| BackendFault::DropAck(DropAck::Count(n))),
        (0..5u32).prop_map(|n| BackendFault::Lose(Lose::Count(n))),
        Just(BackendFault::PauseAccepting),
    ]
}

fn any_qos(n: u8) -> QoS {
    [Q0, Q1, Q2][usize::from(n)]
}

fn any_packet() -> impl Strategy<Value = Packet<'static>> {
    let topic = prop_oneof![
        Just("a"),
        Just("a/b"),
        Just("a/b/c"),
        Just("a/+"),
        Just("$SYS/a")
    ];
    let filter = prop_oneof![
        Just("a"),
        Just("a/b"),
        Just("a/#"),
        Just("a/+"),
        Just("+/b"),
        Just("+/+/#"),
        Just("a+"),
        Just("$SYS/broker/jobs_served"),
    ];
    prop_oneof![
        3 => (0..4u8, any::<bool>(), 0..4u16, any::<bool>()).prop_map(|(id, clean, ka, has_will)| {
            let id = if id == 0 { String::new() } else { format!("c{id}") };
            let mut connect = connect(&id, clean, ka);
            connect.will = has_will.then(|| with_will("", "a/b").will).flatten();
            Packet::Connect(Box::new(connect))
        }),
        8 => (topic, 0..5u16, 0..3u8, any::<[bool; 3]>()).prop_map(
            |(topic, id, qos, [dup, retain, is_empty])| {
                let qos = if id == 0 { 0 } else { qos };
                Packet::Publish(Publish {
                    dup: dup && qos > 0,
                    qos: any_qos(qos),
                    retain,
                    payload: if is_empty { b"" } else { b"x" },
                    ..publish(topic, if qos == 0 { 0 } else { id })
                })
            }
        ),
        3 => (1..5u16, filter, 0..3u8).prop_map(|(packet_id, filter, qos)| Packet::Subscribe {
            packet_id,
            filters: vec![(filter.to_owned(), any_qos(qos))],
        }),
        1 => (1..9u16).prop_map(Packet::PubAck),
        1 => (1..9u16).prop_map(Packet::PubRec),
        1 => (1..9u16).prop_map(Packet::PubComp),
        2 => (1..5u16).prop_map(Packet::PubRel),
        1 => Just(Packet::PingReq),
        1 => Just(Packet::Disconnect),
        1 => Just(Packet::UnsubAck(1)),
        1 => Just(Packet::Unsubscribe { packet_id: 1, filters: vec!["a/b".into()] }),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Open,
    Packet(usize, Packet<'static>),
    Close(usize),
    Start(usize, BackendFault),
    Clear(usize),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Open),
        24 => (0..6usize, any_packet()).prop_map(|(c, p)| Step::Packet(c, p)),
        2 => (0..6usize).prop_map(Step::Close),
        1 => (0..4usize, any_fault()).prop_map(|(i, f)| Step::Start(i, f)),
        2 => (0..4usize).prop_map(Step::Clear),
        4 => (0..4_000u64).prop_map(Step::Wait),
    ]
}

/// A driver that does what it is told, and keeps its own account.
struct Driver {
    backend: Backend,
    now: Instant,
    /// Opened and closed by neither side.
    open: Vec<ConnId>,
    /// Closed by the peer while the node was stalled, or after a DISCONNECT that waits: it answers
    /// what came before.
    hung_up: Vec<ConnId>,
    opened: u64,
    /// PUBACK, PUBREC, PUBREL, PUBCOMP.
    acks: [u64; 4],
    out: Vec<Output>,
}

impl Driver {
    fn do_step(&mut self, step: Step) -> Result<(), TestCaseError> {
        let pick = |at: usize| self.open.get(at % self.open.len().max(1)).copied();
        let input = match step {
            Step::Open => {
                self.opened += 1;
                let conn = ConnId(self.opened);
                self.open.push(conn);
                Input::Opened(conn)
            }
            Step::Packet(at, packet) => match pick(at) {
                Some(conn) => Input::Received(conn, packet),
                None => return Ok(()),
            },
            Step::Close(at) => {
                let Some(conn) = pick(at) else {
                    return Ok(());
                };
                self.open.retain(|o| *o != conn);
                if self.backend.faults.is_stalled() || self.backend.says_goodbye(conn) {
                    self.hung_up.push(conn);
                }
                Input::Closed(conn)
            }
            Step::Start(index, kind) => Input::FaultStart(index, kind),
            Step::Clear(index) => Input::FaultClear(index),
            Step::Wait(wait) => {
                self.now = self.now.after(Duration::from_millis(wait));
                Input::Timeout
            }
        };
        let is_timeout = matches!(input, Input::Timeout);
        self.backend.handle_input(self.now, input, &mut self.out);
        if is_timeout {
            prop_assert!(self.backend.poll_timeout() > self.now);
        }
        self.carry_out()
    }

    fn carry_out(&mut self) -> Result<(), TestCaseError> {
        for output in self.out.drain(..) {
            let (conn, closes) = match &output {
                Output::Send(conn, packet) => {
                    let kinds = [
                        matches!(packet, Packet::PubAck(_)),
                        matches!(packet, Packet::PubRec(_)),
                        matches!(packet, Packet::PubRel(_)),
                        matches!(packet, Packet::PubComp(_)),
                    ];
                    for (count, is_it) in self.acks.iter_mut().zip(kinds) {
                        *count += u64::from(is_it);
                    }
                    (*conn, false)
                }
                Output::Deliver(conn, _) => (*conn, false),
                Output::Close { conn, .. } => (*conn, true),
                Output::PauseAccepting | Output::ResumeAccepting => continue,
            };
            let is_known = self.open.contains(&conn) || self.hung_up.contains(&conn);
            prop_assert!(is_known, "{output:?} on a closed connection");
            if closes {
                self.open.retain(|o| *o != conn);
            }
        }
        Ok(())
    }

    /// All faults clear, and all that waits has its turn.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        for index in (0..4).flat_map(|i| [i; 120]) {
            self.do_step(Step::Clear(index))?;
        }
        for _ in 0..20 {
            self.do_step(Step::Wait(3_600_000))?;
        }
        Ok(())
    }
}

fn any_work() -> impl Strategy<Value = ServiceTime> {
    let ms = |ms: u64| (1..ms).prop_map(Duration::from_millis);
    prop_oneof![
        ms(3_000).prop_map(ServiceTime::Fixed),
        ms(3_000).prop_map(ServiceTime::Exponential),
        (ms(500), ms(9_000), 0.0..1.0).prop_map(|(fast, slow, slow_share)| {
            ServiceTime::Bimodal {
                fast,
                slow,
                slow_share,
            }
        }),
    ]
}

pub(super) fn any_service() -> impl Strategy<Value = plan::Service> {
    let work = || prop::option::of(any_work());
    (1..4u16, work(), work(), 0..6u32).prop_map(|(workers, connect, publish, queue)| {
        plan::Service {
            workers,
            connect,
            publish,
            queue,
        }
    })
}

proptest! {
    /// Whatever happens: no panic, nothing is sent on a connection that the node knows to be
    /// closed, every QoS 1 and QoS 2 publish is acknowledged, dropped by a fault or its connection has ended,
    /// every job ends in exactly one way, and no deadline lies in the past.
    #[test]
    fn the_account_is_exact_whatever_happens(
        steps in prop::collection::vec(any_step(), 1..120),
        rate in prop::option::of(0.5..20.0f64),
        queue in 0..4u32,
        service in prop::option::of(any_service()),
        serves_the_gone: bool,
    ) {
        let gone_clients = if serves_the_gone { GoneClients::Serve } else { GoneClients::Skip };
        let shape = Embedded { service, gone_clients, ..shape(rate, queue) };
        let mut driver = Driver {
            backend: Backend::new(&shape, 0, 7),
            now: Instant::ZERO,
            open: Vec::new(),
            hung_up: Vec::new(),
            opened: 0,
            acks: [0; 4],
            out: Vec::new(),
        };
        for step in steps {
            driver.do_step(step)?;
        }
        driver.settle()?;
        let counts = driver.backend.counts();
        let acks = ["pubacks_sent", "pubrecs_sent", "pubrels_sent", "pubcomps_sent"];
        prop_assert_eq!(driver.acks, acks.map(|name| counts[name]));
        for (received, ack) in [
            ("publishes_received_qos1", "pubacks"),
            ("publishes_received_qos2", "pubrecs"),
        ] {
            let fates = ["sent", "dropped", "undeliverable", "lost"];
            let acked = fates.map(|fate| counts[&format!("{ack}_{fate}")]);
            prop_assert_eq!(counts[received], acked.iter().sum::<u64>(), "{}", ack);
        }
        prop_assert_eq!(counts["pubcomps_sent"], counts["pubrels_received"]);
        prop_assert!(counts["retained_held"] + counts["retained_deleted"] <= counts["retained_stored"]);
        prop_assert_eq!(
            counts["connects_received"],
            counts["connects_accepted"]
                + counts["connects_refused"]
                + counts["connects_abandoned"]
                + counts["connects_malformed"]
        );
        if service.is_some() {
            prop_assert_eq!(counts["jobs_under_way"], 0);
            prop_assert_eq!(
                counts["jobs_offered"],
                counts["service_queue_full"]
                    + counts["jobs_served"]
                    + counts["jobs_skipped"]
                    + counts["jobs_forgotten"]
            );
            prop_assert!(counts["service_wasted_us"] <= counts["service_busy_us"]);
            prop_assert!(driver.backend.service.as_ref().is_none_or(|s| s.is_empty()));
        }
    }
}

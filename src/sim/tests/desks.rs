//! The operator's desks in virtual time: their connections, and where what it reports goes.

use super::*;
use crate::cloud::operator::{Event as Told, Output, SharedPublish};
use crate::sim::clients::Port;
use crate::sim::desks::Staff;
use crate::sim::queue::Queue;
use crate::stats::event::{Cause, Note};
use crate::stats::recorder::ErrorKind;
use crate::stats::results::{CampaignMark, Finding};
use bytes::Bytes;

/// A run with two desks on two nodes, whose operator is the test.
fn world(mut plan: Plan) -> World {
    plan.target = embedded(2, None);
    let plan = Arc::new(plan);
    let mut world = World::new(&plan, &shape(&plan), 7);
    world.staff = Staff::of_nobody(vec![0, 1]);
    world.queue = Queue::new(1 + 2 + world.observers.len() + 2 + 10);
    for (o, watch) in world.observers.iter().enumerate() {
        let actor = world.actor_of_observer(o);
        let node = watch.observer.node();
        *world.queue.port_mut(actor) = Port::new(node);
    }
    for desk in [0, 1] {
        let actor = world.actor_of_desk(desk);
        *world.queue.port_mut(actor) = Port::new(desk);
    }
    let armed = world.arm().expect("nothing hinders");
    world.begin(armed);
    world
}

fn go(world: &mut World, after: Duration) {
    let until = world.start().after(after);
    while world.now() < until {
        world.advance(1);
    }
}

fn connect(name: &str) -> Packet<'static> {
    Packet::Connect(Box::new(Connect {
        client_id: name.into(),
        clean_session: false,
        keep_alive_s: 0,
        will: None,
        username: None,
        password: None,
    }))
}

/// Does what the operator wants; what it got since then, and when.
fn exchange(world: &mut World, after: Duration, outputs: &[Output]) -> Vec<(Duration, String)> {
    let now = world.now();
    world.staff.got.clear();
    world.carry_out(now, &mut outputs.to_vec());
    go(world, after);
    let got = world.staff.got.drain(..);
    got.map(|(at, what)| (at.since(now), what)).collect()
}

#[test]
fn desks_meet_their_nodes_over_the_passage_and_share_what_they_publish() {
    let mut world = world(plan(10, ms(60_000)));
    go(&mut world, ms(1_000));
    let opened = exchange(&mut world, ms(2_000), &[Output::Open(0), Output::Open(1)]);
    let round = 2 * LINK_DELAY;
    let expected = ["Opened(0)", "Opened(1)"].map(|what| (round, what.to_owned()));
    assert_eq!(opened, expected);
    let subscribe = |packet_id| Packet::Subscribe {
        packet_id,
        filters: vec![("me/+/x".into(), QoS::AtMostOnce)],
    };
    let outputs = [
        Output::Send(0, connect("desk-0")),
        Output::Send(1, connect("desk-1")),
        Output::Send(0, subscribe(1)),
        Output::Send(1, subscribe(2)),
    ];
    let answers = exchange(&mut world, ms(3_000), &outputs);
    assert_eq!(answers.len(), 4, "{answers:?}");
    assert!(answers.iter().all(|(after, _)| *after == round));
    let publish = SharedPublish {
        qos: QoS::AtMostOnce,
        retain: false,
        dup: false,
        packet_id: 0,
        topic: "me/a/x".into(),
        payload: Bytes::from_static(b"block"),
    };
    // Two nodes are two brokers.
    let got = exchange(&mut world, ms(4_000), &[Output::Publish(1, publish)]);
    assert_eq!(got.len(), 1, "{got:?}");
    assert_eq!(got[0].0, round);
    assert!(
        got[0].1.starts_with("Received(1, Publish(Publish {"),
        "{got:?}"
    );
    assert!(got[0].1.contains("topic: \"me/a/x\""), "{got:?}");
    // What is closed is not heard of, and what is sent there reaches nobody.
    let outputs = [Output::Close(1), Output::Send(1, Packet::PingReq)];
    assert_eq!(exchange(&mut world, ms(5_000), &outputs), []);
    assert!(world.findings.is_empty());
}

#[test]
fn a_desk_hears_of_the_end_of_its_connection() {
    let restart = BackendFault::Restart {
        sessions: Sessions::Keep,
    };
    let plan = with_fault(plan(10, ms(60_000)), ms(5_000), ms(6_000), restart);
    let mut world = world(plan);
    go(&mut world, ms(1_000));
    let outputs = [Output::Open(0), Output::Send(0, connect("desk-0"))];
    exchange(&mut world, ms(2_000), &outputs);
    let ends = exchange(&mut world, ms(20_000), &[]);
    let closed = world.start().after(ms(15_000)).after(LINK_DELAY);
    let expected = (
        closed.since(world.start().after(ms(2_000))),
        "Closed(0, Reset)",
    );
    let got: Vec<_> = ends.iter().map(|(at, what)| (*at, what.as_str())).collect();
    assert_eq!(got, [expected]);
}

#[test]
fn what_an_operator_tells_is_found_and_counted() {
    let mut world = world(plan(10, ms(60_000)));
    go(&mut world, ms(1_000));
    let finding = Finding::Campaign {
        campaign: 0,
        at: world.now(),
        mark: CampaignMark::Started { targets: 3 },
    };
    let outputs = [
        Told::Finding(finding),
        Told::Failed(1, Cause::ConnectTimeout),
        Told::Noted(Note::ForeignName),
        Told::Noted(Note::ForeignName),
    ];
    let mut outputs = outputs.map(Output::Event).to_vec();
    let now = world.now();
    world.carry_out(now, &mut outputs);
    let mut simulation = Simulation(world);
    assert_eq!(simulation.take_findings(), [finding]);
    assert_eq!(simulation.take_findings(), []);
    simulation
        .0
        .carry_out(now, &mut vec![Output::Event(Told::Finding(finding))]);
    let outcome = simulation.to_the_end();
    assert_eq!(outcome.findings, [finding], "what was not taken");
    let errors = outcome.totals.errors.iter().map(|e| (e.kind, e.count));
    let errors: Vec<_> = errors.collect();
    assert_eq!(
        errors,
        [
            (ErrorKind::Operator(Cause::ConnectTimeout), 1),
            (ErrorKind::Noted(Note::ForeignName), 2),
        ]
    );
}

#[test]
fn an_operator_is_told_of_t0_of_the_end_of_arrivals_and_of_the_close() {
    let mut world = world(plan(10, ms(60_000)));
    let start = world.start();
    let words = |world: &World| {
        let got = world.staff.got.iter();
        let word = |(at, what): &(Instant, String)| (at.since(start), what.clone());
        got.map(word).collect::<Vec<_>>()
    };
    let begin = format!("Begin({start:?})");
    let early = Duration::ZERO;
    let first = [(early, "Start".to_owned()), (early, begin)];
    assert_eq!(words(&world), first);
    go(&mut world, ms(71_000));
    assert_eq!(
        words(&world)[2..],
        [(ms(70_000), "StopArrivals".to_owned())]
    );
}

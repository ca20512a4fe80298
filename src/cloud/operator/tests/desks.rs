//! Desks in the middle of things: lost connections, lost sessions, clusters.

use super::*;
use crate::scenario::plan::{Auth, BrokerUrl, Brokers, Target, Topology};
use crate::wire::aws_streams::Encoding;

fn with_campaign(devices: u32) -> Plan {
    let mut plan = plan(devices);
    updates(
        &mut plan,
        WireProfile::AwsJobs {
            encoding: Encoding::Json,
        },
    );
    plan.campaigns = vec![campaign("fw-2", 1)];
    plan
}

fn brokers(plan: &mut Plan, topology: Topology) {
    let url = |port| BrokerUrl {
        host: "localhost".into(),
        port,
    };
    plan.target = Target::Brokers(Brokers {
        urls: vec![url(1883), url(1884), url(1885)],
        topology,
        auth: Auth::default(),
    });
}

#[test]
fn no_more_is_written_than_the_window_holds() {
    let mut rig = Rig::new(with_campaign(400));
    rig.acks = false;
    rig.run_until(at(1_000));
    let said = rig.take_said();
    assert_eq!(said.len(), usize::from(desk::WINDOW));
    for (written, said) in said.iter().enumerate().take(10) {
        rig.step(Input::Received(0, Packet::PubAck(said.packet_id)));
        assert_eq!(
            rig.said.len(),
            written + 1,
            "one for each that is acknowledged"
        );
    }
}

#[test]
fn a_full_queue_is_told_of() {
    let hello = Hello {
        client_id: "desk".into(),
        username: None,
        password: None,
    };
    let mut desk = desk::Desk::new(0, 1, hello, Vec::new());
    let mut out = Vec::new();
    for device in 0..u32::try_from(QUEUE_MAX).expect("below u32") {
        desk.post(letter::Letter::AskReport(device), &mut out);
    }
    assert_eq!(out, []);
    desk.post(letter::Letter::AskReport(0), &mut out);
    assert_eq!(out, [Output::Event(Event::Noted(Note::QueueFull))]);
}

#[test]
fn after_a_break_what_is_unanswered_is_written_again_and_the_rest_follows() {
    let mut rig = Rig::new(with_campaign(400));
    rig.acks = false;
    rig.run_until(at(1_000));
    let first = rig.take_said();
    rig.step(Input::Received(0, Packet::PubAck(first[0].packet_id)));
    let second = rig.take_said();
    rig.step(Input::Closed(0, Cause::Reset));
    assert_eq!(rig.events, [Event::Failed(0, Cause::Reset)]);
    // A question that comes with the break gets its answer later.
    rig.has_session = true;
    rig.filters.clear();
    rig.acks = true;
    rig.run_until(at(4_000));
    assert_eq!(rig.opened, 2);
    assert!(rig.filters.is_empty(), "the server has its subscriptions");
    let said = rig.take_said();
    let again: Vec<_> = first[1..].iter().chain(&second).collect();
    for (said, before) in said.iter().zip(&again) {
        assert!(said.dup);
        assert_eq!(
            (said.packet_id, &said.topic),
            (before.packet_id, &before.topic)
        );
    }
    assert!(said[again.len()..].iter().all(|said| !said.dup));
    let mut topics: Vec<_> = said.into_iter().map(|said| said.topic).collect();
    topics.push(first[0].topic.clone());
    topics.sort_unstable();
    topics.dedup();
    assert_eq!(topics.len(), 400, "everybody is told");
}

#[test]
fn if_the_server_has_forgotten_the_session_it_subscribes_and_writes_anew() {
    let mut rig = Rig::new(with_campaign(3));
    rig.acks = false;
    rig.run_until(at(1_000));
    let first = rig.take_said();
    rig.step(Input::Closed(0, Cause::Reset));
    let filters = std::mem::take(&mut rig.filters);
    rig.acks = true;
    rig.run_until(at(4_000));
    assert_eq!(rig.filters, filters);
    let said = rig.take_said();
    let topics = |said: &[Said]| said.iter().map(|s| s.topic.clone()).collect::<Vec<_>>();
    assert_eq!(topics(&said), topics(&first));
    assert!(said.iter().all(|said| !said.dup));
}

#[test]
fn blocks_are_not_kept_for_a_desk_without_a_connection() {
    let mut rig = Rig::new(with_campaign(1));
    rig.run_until(at(1_000));
    rig.take_said();
    rig.step(Input::Closed(0, Cause::Reset));
    // The driver hands over nothing of a closed connection.
    rig.hear("$aws/things/meters-0/jobs/start-next", "{}");
    assert!(rig.take_said().is_empty());
    assert!(rig.results().is_empty());
}

#[test]
fn a_refused_subscription_ends_it() {
    let mut rig = Rig::idle(with_campaign(1));
    let mut out = Vec::new();
    rig.operator.handle_input(rig.now, Input::Start, &mut out);
    assert_eq!(out, [Output::Open(0)]);
    out.clear();
    rig.operator
        .handle_input(rig.now, Input::Opened(0), &mut out);
    let accepted = Packet::ConnAck {
        session_present: false,
        code: ConnectCode::Accepted,
    };
    rig.operator
        .handle_input(rig.now, Input::Received(0, accepted), &mut out);
    let Some(Output::Send(0, Packet::Subscribe { packet_id, filters })) = out.last() else {
        panic!("no SUBSCRIBE but {out:?}");
    };
    let mut granted = vec![Some(QoS::AtLeastOnce); filters.len()];
    granted[1] = Some(QoS::AtMostOnce);
    let packet_id = *packet_id;
    let input = Input::Received(0, Packet::SubAck { packet_id, granted });
    out.clear();
    rig.operator.handle_input(rig.now, input, &mut out);
    assert_eq!(out[0], Output::Event(Event::SubscribeRefused(0)));
    assert_eq!(out.last(), Some(&Output::Close(0)));
    assert!(rig.operator.poll_timeout().is_never());
}

#[test]
fn independent_nodes_have_desks_with_everything_and_devices_hear_from_their_own() {
    let mut plan = with_campaign(60);
    brokers(&mut plan, Topology::Independent);
    let homes: Vec<_> = (0..60).map(|device| plan.home_node(device)).collect();
    let mut rig = Rig::new(plan);
    assert_eq!(rig.filters.len(), 3 * 8);
    assert_eq!(rig.operator.desks(), [0, 1, 2]);
    let mut out = Vec::new();
    rig.now = at(1_000);
    rig.operator.handle_input(rig.now, Input::Timeout, &mut out);
    let mut told = 0;
    for output in out {
        if let Output::Publish(desk, publish) = output {
            let device = publish.topic.split('/').nth(2).expect("a thing");
            let device: usize = device["meters-".len()..].parse().expect("a number");
            assert_eq!(homes[device], desk);
            told += 1;
        }
    }
    assert_eq!(told, 60);
}

#[test]
fn in_a_cluster_each_filter_is_one_desks() {
    let mut plan = with_campaign(6);
    brokers(&mut plan, Topology::Cluster);
    let rig = Rig::new(plan);
    let mut filters: Vec<_> = rig.filters.iter().map(|(filter, _)| filter).collect();
    filters.sort_unstable();
    filters.dedup();
    assert_eq!((filters.len(), rig.filters.len()), (8, 8));
}

#[test]
fn a_shutdown_says_goodbye_and_stops() {
    let mut rig = Rig::new(with_campaign(1));
    let mut out = Vec::new();
    rig.step(Input::Close);
    rig.operator
        .handle_input(rig.now, Input::Shutdown, &mut out);
    assert_eq!(out, [Output::Send(0, Packet::Disconnect), Output::Close(0)]);
    assert!(rig.operator.poll_timeout().is_never());
}

#[test]
fn a_desk_pings_when_nothing_comes_and_gives_up_on_a_dead_peer() {
    let mut rig = Rig::new(plan_with_query());
    rig.run_until(at(60_000));
    assert_eq!(rig.opened, 2, "the fake never answers a ping");
    assert_eq!(rig.events, [Event::Failed(0, Cause::KeepAliveTimeout)]);
}

fn plan_with_query() -> Plan {
    let mut plan = plan(1);
    plan.queries = vec![query("old")];
    plan
}

//! Tests of the observer: arming, gaps and what it makes of messages.

mod wills;

use super::*;
use crate::scenario::fixture;
use crate::scenario::plan::{Auth, BrokerUrl, Brokers, Secret, Target, Topology};

const RUN: u32 = 0xfeed;

fn observer(devices: u32) -> Observer {
    let plan = Arc::new(fixture::plan(devices));
    Observer::new(plan, RUN, 0, 3, (0..devices).collect())
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO.after(Duration::from_secs(seconds))
}

fn step(observer: &mut Observer, now: Instant, input: Input<'_>) -> Vec<Output> {
    let mut out = Vec::new();
    observer.handle_input(now, input, &mut out);
    assert!(observer.poll_timeout() >= now);
    out
}

fn conn_ack(session_present: bool) -> Input<'static> {
    Input::Received(Packet::ConnAck {
        session_present,
        code: ConnectCode::Accepted,
    })
}

/// The identifier and the filters of the SUBSCRIBE that is the last output.
fn subscribe(out: &[Output]) -> (u16, &[(String, QoS)]) {
    match out.last() {
        Some(Output::Send(Packet::Subscribe { packet_id, filters })) => (*packet_id, filters),
        other => panic!("expected a SUBSCRIBE, not {other:?}"),
    }
}

fn grant(observer: &mut Observer, now: Instant, out: &[Output], qos: Option<QoS>) -> Vec<Output> {
    let (packet_id, filters) = subscribe(out);
    let granted = vec![qos; filters.len()];
    step(
        observer,
        now,
        Input::Received(Packet::SubAck { packet_id, granted }),
    )
}

/// Opens the transport and shakes hands at `now`.
fn connect(observer: &mut Observer, now: Instant, session_present: bool) -> Vec<Output> {
    step(observer, now, Input::Opened);
    step(observer, now, conn_ack(session_present))
}

fn armed(devices: u32) -> Observer {
    let mut observer = observer(devices);
    step(&mut observer, at(0), Input::Start);
    let mut out = connect(&mut observer, at(0), false);
    while out != [Output::Event(Event::Armed)] {
        out = grant(&mut observer, at(0), &out, Some(QoS::AtLeastOnce));
    }
    observer
}

/// Loses the connection at 10 s and lets the backoff pass; gives the end of it.
fn lose(observer: &mut Observer) -> Instant {
    let out = step(observer, at(10), Input::Closed(Cause::Reset));
    let failed = Output::Event(Event::Failed(Cause::Reset));
    assert_eq!(out.last(), Some(&failed));
    let retry = observer.poll_timeout();
    assert!(retry <= at(12), "a backoff of 2 s at most");
    assert_eq!(step(observer, retry, Input::Timeout), [Output::Open]);
    retry
}

fn message(qos: QoS, retain: bool, payload: &[u8]) -> Packet<'_> {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain,
        packet_id: if qos == QoS::AtMostOnce { 0 } else { 77 },
        topic: "d/meters-0/power",
        payload,
    })
}

fn deliver(observer: &mut Observer, qos: QoS, payload: &[u8]) -> Vec<Output> {
    let publish = message(qos, false, payload);
    step(observer, at(20), Input::Received(publish))
}

fn stamp(run: u32, device: u32) -> Stamp {
    Stamp {
        run,
        device,
        stream: 0,
        boot: 1,
        seq: 5,
        intended: at(1),
    }
}

#[test]
fn it_subscribes_to_each_exact_topic_in_bounded_packets_and_is_armed_by_the_last_grant() {
    let mut observer = observer(150);
    assert_eq!(
        step(&mut observer, at(0), Input::Start),
        [Output::Open],
        "nothing else before the transport"
    );
    let out = step(&mut observer, at(1), Input::Opened);
    let [Output::Send(Packet::Connect(packet))] = out.as_slice() else {
        panic!("expected a CONNECT, not {out:?}");
    };
    assert!(!packet.clean_session);
    assert_eq!(packet.client_id, "fs-obs-0000feed-3");
    let mut out = step(&mut observer, at(1), conn_ack(false));
    let mut topics = Vec::new();
    for expected in [64, 64, 22] {
        let filters = subscribe(&out).1;
        assert_eq!(filters.len(), expected);
        assert!(filters.iter().all(|(_, qos)| *qos == QoS::AtLeastOnce));
        topics.extend(filters.iter().map(|(topic, _)| topic.clone()));
        out = grant(&mut observer, at(1), &out, Some(QoS::AtLeastOnce));
    }
    assert_eq!(out, [Output::Event(Event::Armed)]);
    let exact: Vec<_> = (0..150).map(|d| format!("d/meters-{d}/power")).collect();
    assert_eq!(topics, exact);
}

#[test]
fn a_grant_below_qos_1_cannot_verify_anything() {
    for granted in [None, Some(QoS::AtMostOnce)] {
        let mut observer = observer(2);
        step(&mut observer, at(0), Input::Start);
        let out = connect(&mut observer, at(0), false);
        let out = grant(&mut observer, at(0), &out, granted);
        assert_eq!(out[0], Output::Event(Event::SubscribeRefused));
        assert_eq!(out.last(), Some(&Output::Close));
        assert!(observer.poll_timeout().is_never());
    }
}

/// Two devices with one QoS 2 stream, and one of QoS 0 on a topic of its own.
fn exactly_once_observer() -> Observer {
    let mut plan = fixture::plan(2);
    let mut quiet = plan.streams[0].clone();
    quiet.topic = fixture::device_template("d/", "/gps");
    quiet.qos = QoS::AtMostOnce;
    plan.streams[0].qos = QoS::ExactlyOnce;
    // On the topic of the first one.
    let mut less = plan.streams[0].clone();
    less.qos = QoS::AtLeastOnce;
    plan.streams.extend([quiet, less]);
    plan.cohorts[0].streams = 0..3;
    let mut observer = Observer::new(Arc::new(plan), RUN, 0, 3, vec![0, 1]);
    step(&mut observer, at(0), Input::Start);
    observer
}

#[test]
fn the_topics_of_qos_2_streams_are_asked_for_at_qos_2() {
    let mut observer = exactly_once_observer();
    let out = connect(&mut observer, at(0), false);
    let (packet_id, filters) = subscribe(&out);
    let (once, most) = (QoS::ExactlyOnce, QoS::AtLeastOnce);
    let asked: Vec<_> = filters.iter().map(|(_, qos)| *qos).collect();
    assert_eq!(asked, [once, most, once, most]);
    let sub_ack = |granted: [QoS; 4]| {
        let granted = granted.map(Some).to_vec();
        Input::Received(Packet::SubAck { packet_id, granted })
    };
    let armed = Output::Event(Event::Armed);
    let out = step(&mut observer, at(1), sub_ack([once, most, once, once]));
    assert_eq!(out, std::slice::from_ref(&armed), "more is no harm");
    let mut observer = exactly_once_observer();
    connect(&mut observer, at(0), false);
    let out = step(&mut observer, at(1), sub_ack([once, most, most, most]));
    assert_eq!(out, [Output::Event(Event::Downgraded), armed]);
}

#[test]
fn a_qos_2_message_is_seen_once_however_often_it_comes() {
    let mut observer = armed(2);
    let ours = stamp(RUN, 1);
    let (rec, comp) = (Packet::PubRec(77), Packet::PubComp(77));
    let told = |observer: &mut Observer| deliver(observer, QoS::ExactlyOnce, &ours.to_text());
    let rec = Output::Send(rec);
    let seen = Output::Event(Event::Seen(ours));
    assert_eq!(told(&mut observer), [rec.clone(), seen.clone()]);
    assert_eq!(told(&mut observer), std::slice::from_ref(&rec));
    let now = lose(&mut observer);
    connect(&mut observer, now, true);
    assert_eq!(told(&mut observer), std::slice::from_ref(&rec));
    let release = || Input::Received(Packet::PubRel(77));
    let out = step(&mut observer, at(21), release());
    assert_eq!(out, [Output::Send(comp)]);
    // With the session its identifiers go.
    assert_eq!(told(&mut observer), [rec.clone(), seen.clone()]);
    step(&mut observer, at(22), Input::Closed(Cause::Reset));
    let now = observer.poll_timeout();
    step(&mut observer, now, Input::Timeout);
    connect(&mut observer, now, false);
    let text = ours.to_text();
    let publish = || Input::Received(message(QoS::ExactlyOnce, false, &text));
    assert_eq!(step(&mut observer, now, publish()), [rec.clone(), seen]);
    assert_eq!(step(&mut observer, now, publish()), [rec]);
}

#[test]
fn a_stored_copy_is_no_delivery() {
    let mut observer = armed(2);
    for stamp in [stamp(RUN, 1), stamp(RUN + 1, 1)] {
        let text = stamp.to_text();
        let copy = message(QoS::AtLeastOnce, true, &text);
        let out = step(&mut observer, at(20), Input::Received(copy));
        let ack = Output::Send(Packet::PubAck(77));
        assert_eq!(out, [ack, Output::Event(Event::Stored)]);
    }
}

#[test]
fn a_kept_session_ends_the_gap_at_connack() {
    let mut observer = armed(3);
    let now = lose(&mut observer);
    let session_present = true;
    assert_eq!(
        connect(&mut observer, now, session_present),
        [Output::Event(Event::GapEnded { session_present })]
    );
}

#[test]
fn a_forgotten_session_ends_the_gap_once_all_is_granted_again() {
    let mut observer = armed(3);
    let now = lose(&mut observer);
    let out = connect(&mut observer, now, false);
    assert_eq!(subscribe(&out).1.len(), 3);
    let session_present = false;
    assert_eq!(
        grant(&mut observer, now, &out, Some(QoS::AtLeastOnce)),
        [Output::Event(Event::GapEnded { session_present })]
    );
}

#[test]
fn a_session_forgotten_half_way_stays_forgotten_for_the_gap() {
    let mut observer = armed(100);
    let now = lose(&mut observer);
    let out = connect(&mut observer, now, false);
    grant(&mut observer, now, &out, Some(QoS::AtLeastOnce));
    // Lost again with 64 of 100 granted: no second gap begins within the first.
    let out = step(&mut observer, now, Input::Closed(Cause::ClosedByPeer));
    assert_eq!(out, [Output::Event(Event::Failed(Cause::ClosedByPeer))]);
    let now = observer.poll_timeout();
    step(&mut observer, now, Input::Timeout);
    // The server kept the half-subscribed session: only the rest is asked for.
    let out = connect(&mut observer, now, true);
    assert_eq!(subscribe(&out).1.len(), 36);
    let session_present = false;
    assert_eq!(
        grant(&mut observer, now, &out, Some(QoS::AtLeastOnce)),
        [Output::Event(Event::GapEnded { session_present })]
    );
}

#[test]
fn the_gap_begins_with_the_loss_and_only_once_armed() {
    let mut observer = armed(1);
    let out = step(&mut observer, at(10), Input::Closed(Cause::Reset));
    assert_eq!(out[0], Output::Event(Event::GapBegan));

    let mut observer = self::observer(1);
    step(&mut observer, at(0), Input::Start);
    let out = step(&mut observer, at(1), Input::Closed(Cause::Refused));
    assert_eq!(out, [Output::Event(Event::Failed(Cause::Refused))]);
}

#[test]
fn messages_are_acknowledged_and_told_apart() {
    let ours = stamp(RUN, 1);
    let cases = [
        (ours.to_text().to_vec(), Event::Seen(ours)),
        (stamp(RUN + 1, 1).to_text().to_vec(), Event::Foreign),
        (stamp(RUN, 9).to_text().to_vec(), Event::Foreign),
        (b"no stamp".to_vec(), Event::Corrupt),
    ];
    let mut observer = armed(2);
    for (payload, event) in cases {
        let ack = Output::Send(Packet::PubAck(77));
        let seen = Output::Event(event);
        let out = deliver(&mut observer, QoS::AtLeastOnce, &payload);
        assert_eq!(out, [ack, seen.clone()]);
        let out = deliver(&mut observer, QoS::AtMostOnce, &payload);
        assert_eq!(out, [seen]);
    }
}

#[test]
fn on_a_shared_topic_the_messages_of_other_devices_are_not_its_business() {
    let mut plan = fixture::plan(10);
    plan.streams[0].topic = Template(vec![Segment::Literal("all".into())]);
    let mut observer = Observer::new(Arc::new(plan), RUN, 0, 0, vec![1, 2]);
    step(&mut observer, at(0), Input::Start);
    let out = connect(&mut observer, at(0), false);
    grant(&mut observer, at(0), &out, Some(QoS::AtLeastOnce));
    let other = stamp(RUN, 9).to_text();
    assert_eq!(deliver(&mut observer, QoS::AtMostOnce, &other), []);
}

#[test]
fn silence_leads_to_a_ping_and_then_to_a_gap() {
    let mut observer = armed(1);
    assert_eq!(observer.poll_timeout(), at(30));
    let out = step(&mut observer, at(30), Input::Timeout);
    assert_eq!(out, [Output::Send(Packet::PingReq)]);
    let out = step(&mut observer, at(40), Input::Timeout);
    let dead = Event::Failed(Cause::KeepAliveTimeout);
    assert_eq!(
        out,
        [
            Output::Close,
            Output::Event(Event::GapBegan),
            Output::Event(dead)
        ]
    );
}

#[test]
fn it_waits_for_no_answer_for_ever() {
    let mut observer = observer(1);
    step(&mut observer, at(0), Input::Start);
    step(&mut observer, at(1), Input::Opened);
    let out = step(&mut observer, at(10), Input::Timeout);
    let failed = Output::Event(Event::Failed(Cause::ConnectTimeout));
    assert_eq!(out, [Output::Close, failed]);
    let now = observer.poll_timeout();
    step(&mut observer, now, Input::Timeout);
    connect(&mut observer, now, false);
    let now = observer.poll_timeout();
    let out = step(&mut observer, now, Input::Timeout);
    let failed = Output::Event(Event::Failed(Cause::SubscribeTimeout));
    assert_eq!(out, [Output::Close, failed]);
}

#[test]
fn shutdown_disconnects_and_nothing_follows() {
    let mut observer = armed(1);
    let out = step(&mut observer, at(5), Input::Shutdown);
    assert_eq!(out, [Output::Send(Packet::Disconnect), Output::Close]);
    assert!(observer.poll_timeout().is_never());
    assert_eq!(step(&mut observer, at(6), Input::Start), []);
}

#[test]
fn each_observed_device_has_exactly_one_observer_on_its_own_node() {
    let mut plan = fixture::plan(3_000);
    plan.observe.devices = 1_500;
    if let Target::Embedded(embedded) = &mut plan.target {
        embedded.nodes = 3;
    }
    let plan = Arc::new(plan);
    let owned: Vec<_> = (0..3_000).filter(|d| d % 2 == 1).collect();
    let observers = Observer::plan_all(&plan, RUN, 1, &owned);
    let mut seen = Vec::new();
    let mut names = Vec::new();
    for observer in &observers {
        assert!(observer.devices().len() <= DEVICES_MAX);
        let home = |&d: &DeviceIdx| plan.home_node(d) == observer.node();
        assert!(observer.devices().iter().all(home));
        seen.extend_from_slice(observer.devices());
        names.push(observer.client_id());
    }
    seen.sort_unstable();
    let expected: Vec<_> = owned.into_iter().filter(|&d| plan.observed(d)).collect();
    assert_eq!(seen, expected);
    names.dedup();
    assert_eq!(names.len(), observers.len());
}

#[test]
fn on_a_cluster_observers_take_turns_and_authenticate_as_their_first_device() {
    let url = |host: &str| BrokerUrl {
        host: host.into(),
        port: 1883,
    };
    let mut plan = fixture::plan(600);
    plan.target = Target::Brokers(Brokers {
        urls: vec![url("a"), url("b")],
        topology: Topology::Cluster,
        auth: Auth {
            username: Some(fixture::device_template("", "")),
            password: Some(Template(vec![Segment::Secret(Secret("s3cret".into()))])),
            tokens: Vec::new(),
        },
    });
    let owned: Vec<_> = (0..600).collect();
    let mut observers = Observer::plan_all(&Arc::new(plan), RUN, 0, &owned);
    let nodes: Vec<_> = observers.iter().map(Observer::node).collect();
    assert_eq!(nodes, [0, 1, 0]);
    let second = &mut observers[1];
    step(second, at(0), Input::Start);
    let out = step(second, at(0), Input::Opened);
    let [Output::Send(Packet::Connect(packet))] = out.as_slice() else {
        panic!("expected a CONNECT, not {out:?}");
    };
    assert_eq!(packet.username.as_deref(), Some("meters-250"));
    assert_eq!(packet.password.as_deref(), Some("s3cret"));
}

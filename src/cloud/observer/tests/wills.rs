//! Wills at the observer: what it subscribes to for them, and what it takes for one.

use super::*;
use crate::scenario::plan::WillPlan;
use crate::scenario::slo::{Bound, Indicator, Limit, Objective, Statistic, Subject, Window};

const ONCE: QoS = QoS::AtLeastOnce;

/// Devices that have a will of `qos` on `d/<device>/<word>`, which an objective asks for or not.
fn plan(devices: u32, word: &str, qos: QoS, asked: bool) -> Plan {
    let mut plan = fixture::plan(devices);
    plan.cohorts[0].session.will = Some(WillPlan {
        topic: fixture::device_template("d/", word),
        payload: fixture::device_template("", " is gone"),
        qos,
        retain: true,
    });
    if asked {
        plan.objectives = vec![Objective {
            name: "wills".to_owned(),
            indicator: Indicator::WillFired,
            statistic: Statistic::Value,
            bound: Bound::AtMost(Limit::Count(0)),
            window: Window::Run,
            subject: Subject::Fleet,
        }];
    }
    plan
}

fn started(plan: Plan) -> (Observer, Vec<Output>) {
    let devices = 0..plan.devices();
    let mut observer = Observer::new(Arc::new(plan), RUN, 0, 3, devices.collect());
    step(&mut observer, at(0), Input::Start);
    let out = connect(&mut observer, at(0), false);
    (observer, out)
}

fn armed_for(qos: QoS) -> Observer {
    let (mut observer, out) = started(plan(2, "/state", qos, true));
    let out = grant(&mut observer, at(0), &out, Some(ONCE));
    assert_eq!(out, [Output::Event(Event::Armed)]);
    observer
}

const fn will<'a>(qos: QoS, dup: bool, packet_id: u16, payload: &'a [u8]) -> Publish<'a> {
    Publish {
        dup,
        qos,
        retain: false,
        packet_id,
        topic: "d/meters-1/state",
        payload,
    }
}

/// The event of a message at `now`, if there is one.
fn hear(observer: &mut Observer, now: Instant, publish: Publish<'_>) -> Option<Event> {
    let out = step(observer, now, Input::Received(Packet::Publish(publish)));
    let mut events = out.into_iter().filter_map(|output| match output {
        Output::Event(event) => Some(event),
        Output::Open | Output::Close | Output::Send(_) => None,
    });
    let event = events.next();
    assert_eq!(events.next(), None);
    event
}

const GONE: &[u8] = b"meters-1 is gone";

#[test]
fn wills_are_subscribed_to_only_if_asked_for_and_once_per_topic() {
    let (low, once) = (QoS::AtMostOnce, QoS::ExactlyOnce);
    for (word, qos, asked, wanted) in [
        ("/state", once, false, None),
        ("/state", low, true, Some(ONCE)),
        ("/state", ONCE, true, Some(ONCE)),
        ("/state", once, true, Some(once)),
        // The topic of its stream.
        ("/power", once, true, None),
    ] {
        let (_, out) = started(plan(2, word, qos, asked));
        let power = |device| (format!("d/meters-{device}/power"), ONCE);
        let state = |qos| (0..2).map(move |device| (format!("d/meters-{device}/state"), qos));
        let mut filters = vec![power(0), power(1)];
        filters.extend(wanted.into_iter().flat_map(state));
        assert_eq!(subscribe(&out).1, filters, "{word} {qos:?} {asked}");
    }
}

#[test]
fn topics_of_wills_share_the_bound_of_a_packet_and_survive_a_lost_session() {
    let (mut observer, mut out) = started(plan(100, "/state", QoS::ExactlyOnce, true));
    for filters in [64, 64, 64, 8] {
        assert_eq!(subscribe(&out).1.len(), filters);
        // A will that comes at QoS 1 only is counted alike, so nothing is said of the grant.
        out = grant(&mut observer, at(0), &out, Some(ONCE));
    }
    assert_eq!(out, [Output::Event(Event::Armed)]);
    let now = lose(&mut observer);
    out = connect(&mut observer, now, false);
    for filters in [64, 64, 64, 8] {
        assert_eq!(subscribe(&out).1.len(), filters);
        out = grant(&mut observer, now, &out, Some(ONCE));
    }
    let session_present = false;
    let ended = Event::GapEnded { session_present };
    assert_eq!(out, [Output::Event(ended)]);
}

#[test]
fn a_device_without_telemetry_is_heard_of_if_its_will_is_asked_for() {
    for (asked, observers) in [(false, 0), (true, 1)] {
        let mut plan = plan(3, "/state", ONCE, asked);
        plan.cohorts[0].streams = 0..0;
        let all = Observer::plan_all(&Arc::new(plan), RUN, 0, &[0, 1, 2]);
        assert_eq!(all.len(), observers);
    }
}

#[test]
fn a_will_is_known_by_topic_and_payload() {
    let fired = Some(Event::WillFired(1));
    for qos in [QoS::AtMostOnce, ONCE, QoS::ExactlyOnce] {
        let id = if qos == QoS::AtMostOnce { 0 } else { 5 };
        let mut observer = armed_for(qos);
        let mut heard = |publish| hear(&mut observer, at(1), publish);
        assert_eq!(heard(will(qos, false, id, GONE)), fired);
        for other in [&b"meters-0 is gone"[..], b"here", b""] {
            let other = will(ONCE, false, 9, other);
            assert_eq!(heard(other), None, "other words on the topic");
        }
        let elsewhere = Publish {
            topic: "d/meters-1/power",
            ..will(ONCE, false, 9, GONE)
        };
        assert_eq!(heard(elsewhere), Some(Event::Corrupt));
        let stored = Publish {
            retain: true,
            ..will(ONCE, false, 9, GONE)
        };
        assert_eq!(heard(stored), Some(Event::Stored), "a retained copy");
    }
}

#[test]
fn what_is_neither_stamp_nor_will_stays_corrupt_on_a_topic_of_both() {
    let (mut observer, out) = started(plan(2, "/power", ONCE, true));
    grant(&mut observer, at(0), &out, Some(ONCE));
    for (payload, event) in [
        (GONE, Event::WillFired(1)),
        (&b"meters-0 is gone"[..], Event::Corrupt),
    ] {
        let publish = Publish {
            topic: "d/meters-1/power",
            ..will(ONCE, false, 5, payload)
        };
        assert_eq!(hear(&mut observer, at(1), publish), Some(event));
    }
}

/// What a copy at QoS 1 is, after a first one with identifier 5 and the given number of losses of the
/// connection.
#[test]
fn a_copy_that_the_server_sends_again_is_no_second_firing() {
    let (fired, again) = (Event::WillFired(1), Event::WillRedelivered);
    for (losses, dup, packet_id, event) in [
        (0, false, 5, fired),
        (0, true, 5, again),
        (1, true, 5, again),
        // The server did not get to tell us of a first one: this is it.
        (1, true, 6, fired),
        (1, false, 5, fired),
        // Our PUBACK came through on the connection between, or it would have been sent on that.
        (2, true, 5, fired),
    ] {
        let mut observer = armed_for(ONCE);
        let mut now = at(1);
        let first = hear(&mut observer, now, will(ONCE, false, 5, GONE));
        assert_eq!(first, Some(fired));
        for _ in 0..losses {
            step(&mut observer, now, Input::Closed(Cause::Reset));
            now = observer.poll_timeout();
            step(&mut observer, now, Input::Timeout);
            connect(&mut observer, now, true);
        }
        let copy = hear(&mut observer, now, will(ONCE, dup, packet_id, GONE));
        assert_eq!(copy, Some(event), "{losses} {dup} {packet_id}");
    }
}

#[test]
fn at_qos_2_the_session_itself_tells_a_copy_from_another_firing() {
    let mut observer = armed_for(QoS::ExactlyOnce);
    let fired = Some(Event::WillFired(1));
    let first = will(QoS::ExactlyOnce, false, 5, GONE);
    assert_eq!(hear(&mut observer, at(1), first), fired);
    let copy = will(QoS::ExactlyOnce, true, 5, GONE);
    assert_eq!(hear(&mut observer, at(1), copy), None);
    step(&mut observer, at(1), Input::Received(Packet::PubRel(5)));
    assert_eq!(hear(&mut observer, at(1), first), fired);
}

//! Tests of what is subscribed to, and of what topics say.

use super::*;
use crate::cloud::operator::tests::{RUN, campaign, plan, query, updates};
use crate::scenario::update::Encoding;

/// A second cohort whose topics are all like the first one's, but for a level more in its reports.
fn two_cohorts() -> Plan {
    let mut plan = plan(3);
    updates(
        &mut plan,
        WireProfile::AwsJobs {
            encoding: Encoding::Cbor,
        },
    );
    let mut second = plan.cohorts[0].clone();
    second.name = "trackers".into();
    second.first = 3;
    let reported = second.reported.as_mut().expect("it reports");
    reported.topic = Template(vec![
        Segment::Device,
        Segment::Literal("/up/reported".into()),
    ]);
    plan.cohorts.push(second);
    plan.campaigns = vec![campaign("fw-2", 1)];
    plan
}

#[test]
fn each_filter_is_there_once_and_none_is_covered_by_another() {
    let plan = two_cohorts();
    let routes = Routes::new(&plan, RUN);
    let filters = routes.filters_of(&plan, 0, 1);
    assert_eq!(filters.len(), 9, "{filters:?}");
    for (a, (wide, _)) in filters.iter().enumerate() {
        for (b, (narrow, _)) in filters.iter().enumerate() {
            assert!(a == b || !names::covers(wide, narrow), "{wide} {narrow}");
        }
    }
}

#[test]
fn a_wider_filter_takes_the_place_of_what_it_covers_and_the_higher_qos() {
    let mut routes = Routes {
        bases: Vec::new(),
        filters: Vec::new(),
    };
    let mut subscribe = |filter: &str, qos| {
        routes.subscribe(filter.to_owned(), qos);
        routes.filters.clone()
    };
    subscribe("a/x/c", QoS::AtLeastOnce);
    subscribe("a/y/c", QoS::AtMostOnce);
    subscribe("b", QoS::AtMostOnce);
    let filters = subscribe("a/+/c", QoS::AtMostOnce);
    let expected = [("b", QoS::AtMostOnce), ("a/+/c", QoS::AtLeastOnce)];
    assert_eq!(filters, expected.map(|(f, qos)| (f.to_owned(), qos)));
    assert_eq!(subscribe("a/z/c", QoS::AtMostOnce), filters);
    assert_eq!(subscribe("b", QoS::AtLeastOnce)[0].1, QoS::AtLeastOnce);
}

#[test]
fn without_a_campaign_nothing_of_updates_is_subscribed_to() {
    let mut plan = two_cohorts();
    plan.campaigns.clear();
    plan.queries = vec![query("old")];
    let routes = Routes::new(&plan, RUN);
    let filters = routes.filters_of(&plan, 0, 1);
    assert!(filters.iter().all(|(filter, _)| !filter.starts_with('$')));
}

#[test]
fn topics_lead_to_devices_of_all_cohorts() {
    let plan = two_cohorts();
    let routes = Routes::new(&plan, RUN);
    let base = |topic: &str| match routes.find(&plan, RUN, topic) {
        Route::Base(kind, device, _) => Some((kind, device)),
        Route::Jobs(..) | Route::Stream(..) | Route::Foreign | Route::Unknown => None,
    };
    assert_eq!(base("d/meters-2/reported"), Some((Kind::Reported, 2)));
    assert_eq!(base("trackers-1/up/reported"), Some((Kind::Reported, 4)));
    assert_eq!(base("d/trackers-0/state"), Some((Kind::Will, 3)));
    assert_eq!(
        base("d/trackers-2/rpc/response/x"),
        Some((Kind::Commands, 5))
    );
    for (topic, is_foreign) in [
        ("d/trackers-3/state", true),
        ("d/meters-2/rpc/request/x", false),
        ("d/meters-2/else", false),
        ("$aws/things/trackers-3/jobs/start-next", true),
        ("$aws/things/trackers-3/streams/s/get/cbor", true),
    ] {
        let found = routes.find(&plan, RUN, topic);
        match (found, is_foreign) {
            (Route::Foreign, true) | (Route::Unknown, false) => {}
            (other, _) => panic!("{topic}: {other:?}"),
        }
    }
    let jobs = "$aws/things/trackers-1/jobs/start-next";
    assert!(matches!(routes.find(&plan, RUN, jobs), Route::Jobs(4, _)));
    let stream = "$aws/things/trackers-1/streams/s/get/cbor";
    assert!(matches!(
        routes.find(&plan, RUN, stream),
        Route::Stream(4, _)
    ));
}

//! Tests of names: every device is found by its own topic and by no other.

use super::*;
use crate::device::payload;
use crate::scenario::fixture;
use crate::scenario::plan::{Auth, BrokerUrl, Brokers, Secret, Target, Topology};

const RUN: u32 = 0xfeed;

fn literal(text: &str) -> Segment {
    Segment::Literal(text.into())
}

/// Two cohorts of twelve, of which one's name begins like the other's, with credentials.
fn plan() -> Plan {
    let mut plan = fixture::plan(12);
    let mut second = plan.cohorts[0].clone();
    second.name = "meters-1".into();
    second.first = 12;
    plan.cohorts.push(second);
    let tokens = (0..24).map(|n| (format!("id{n}x"), Secret(format!("t{n}"))));
    plan.target = Target::Brokers(Brokers {
        urls: vec![BrokerUrl {
            host: "localhost".into(),
            port: 1883,
        }],
        topology: Topology::Cluster,
        auth: Auth {
            username: None,
            password: None,
            tokens: tokens.collect(),
        },
    });
    plan
}

fn templates() -> Vec<(Template, &'static str)> {
    let template = |segments: &[Segment]| Template(segments.to_vec());
    vec![
        (
            template(&[literal("d/"), Segment::Device, literal("/rpc")]),
            "d/+/rpc",
        ),
        (template(&[literal("x"), Segment::Index, literal("y")]), "+"),
        (
            template(&[
                Segment::Run,
                literal("/n"),
                Segment::Node,
                literal("/"),
                Segment::Index,
            ]),
            "0000feed/+/+",
        ),
        // Digits touch: only a table tells.
        (
            template(&[literal("t/"), Segment::Index, literal("7")]),
            "t/+",
        ),
        (
            template(&[literal("a/b/"), Segment::Id, literal("/c")]),
            "a/b/+/c",
        ),
        (template(&[Segment::Token]), "+"),
    ]
}

#[test]
fn each_device_is_found_by_its_own_topic_only() {
    let plan = plan();
    for (template, filter) in templates() {
        for cohort in 0..2 {
            let base = Base::new(&plan, RUN, cohort, &template);
            assert_eq!(base.filter(), filter);
            for device in 0..24 {
                let text = template.to_text(&payload::names(&plan, device, RUN));
                let topic = format!("{text}/request/9");
                let is_ours = plan.cohort_of(device) == cohort;
                match base.find(&plan, RUN, &topic) {
                    Found::Device(found, rest) => {
                        assert!(is_ours && found == device, "{topic} is not {found}");
                        assert_eq!(rest, "request/9");
                    }
                    Found::Foreign | Found::Other => assert!(!is_ours, "{topic} is lost"),
                }
                if is_ours {
                    assert_eq!(
                        base.find(&plan, RUN, &text),
                        Found::Device(device, ""),
                        "without a rest"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_of_no_device_is_foreign_and_what_is_of_no_such_topic_is_other() {
    let plan = plan();
    let base = Base::new(&plan, RUN, 0, &fixture::device_template("d/", "/rpc"));
    for foreign in [
        "d/meters-12/rpc",
        "d/meters-01/rpc",
        "d/meters-+1/rpc",
        "d/meters-/rpc/request/1",
        "d/meters-99999999999/rpc",
        "d/other-1/rpc",
        "d//rpc",
    ] {
        assert_eq!(base.find(&plan, RUN, foreign), Found::Foreign, "{foreign}");
    }
    for other in ["d/meters-1", "d/meters-1/state", "e/meters-1/rpc", "", "d"] {
        assert_eq!(base.find(&plan, RUN, other), Found::Other, "{other}");
    }
}

#[test]
fn a_template_without_a_device_finds_nobody() {
    let plan = plan();
    let base = Base::new(&plan, RUN, 0, &Template(vec![literal("all")]));
    assert_eq!(base.find(&plan, RUN, "all"), Found::Foreign);
}

#[test]
fn things_are_called_by_cohort_and_index() {
    let plan = plan();
    for device in 0..24 {
        let cohort = &plan.cohorts[plan.cohort_of(device)];
        let name = format!("{}-{}", cohort.name, device - cohort.first);
        assert_eq!(device_called(&plan, &name), Some(device));
    }
    for nobody in [
        "meters-12",
        "meters-01",
        "meters",
        "-1",
        "",
        "meters--1",
        "meters-1-",
    ] {
        assert_eq!(device_called(&plan, nobody), None, "{nobody}");
    }
}

#[test]
fn a_wider_filter_covers() {
    for (wide, narrow, expected) in [
        ("a/+", "a/b", true),
        ("a/+", "a/+", true),
        ("a/b", "a/+", false),
        ("+/+/c", "a/+/c", true),
        ("a/+", "a/b/c", false),
        ("a/b/c", "a/b", false),
        ("a/#", "a/b/c", true),
        ("a/+", "a/#", false),
        ("#", "a", true),
    ] {
        assert_eq!(covers(wide, narrow), expected, "{wide} {narrow}");
    }
}

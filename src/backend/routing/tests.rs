//! Routing held against the plain rule.

use super::*;
use crate::backend::topic::{is_filter, is_topic, matches};
use proptest::prelude::*;

const Q0: QoS = QoS::AtMostOnce;
const Q1: QoS = QoS::AtLeastOnce;

fn sessions(routes: &mut Routes, topic: &str) -> Vec<(Index, QoS)> {
    let mut out = Vec::new();
    routes.matching(topic, None, &mut out);
    out
}

#[test]
fn filters_match_as_section_4_7_says() {
    let table = [
        ("a/b", "a/b", true),
        ("a/b", "a/B", false),
        ("a/b", "a/b/", false),
        ("a/+", "a/b", true),
        ("a/+", "a/", true),
        ("a/+", "a", false),
        ("a/+", "a/b/c", false),
        ("+", "a", true),
        ("+", "/a", false),
        ("/+", "/a", true),
        ("+/+", "/finance", true),
        ("a/+/c", "a/b/c", true),
        ("a/+/c", "a//c", true),
        ("a/+/c", "a/b/d", false),
        ("a/+/c", "a/b/c/d", false),
        ("+/b/#", "a/b", true),
        ("+/b/#", "a/b/c/d", true),
        ("+/b/#", "a/c/b", false),
        ("+/tennis/#", "sport/tennis/player1", true),
        ("a/#", "a", true),
        ("a/#", "a/b/c", true),
        ("a/#", "ab", false),
        ("a/#", "a/", true),
        ("/#", "a", false),
        ("#", "a/b", true),
        ("#", "/", true),
        // 4.7.2-1.
        ("#", "$SYS/up", false),
        ("+", "$SYS", false),
        ("+/up", "$SYS/up", false),
        ("+/+", "$share/a", false),
        ("$SYS/#", "$SYS/up", true),
        ("$SYS/+", "$SYS/up", true),
        ("a/+/b", "a/$SYS/b", true),
    ];
    for (filter, topic, expected) in table {
        let mut routes = Routes::new();
        assert!(is_filter(filter), "{filter}");
        routes.subscribe(filter, 7, Q1);
        let got = sessions(&mut routes, topic);
        assert_eq!(!got.is_empty(), expected, "{filter} on {topic}");
        assert_eq!(matches(filter, topic), expected, "the plain rule");
    }
}

/// 3.3.5-1.
#[test]
fn overlapping_filters_reach_a_session_once_with_the_highest_qos() {
    let mut routes = Routes::new();
    routes.subscribe("a/b", 1, Q0);
    routes.subscribe("a/+", 1, QoS::ExactlyOnce);
    routes.subscribe("+/b", 1, Q1);
    routes.subscribe("#", 0, Q0);
    assert_eq!(
        sessions(&mut routes, "a/b"),
        [(0, Q0), (1, QoS::ExactlyOnce)]
    );
    assert_eq!(routes.subscribe("a/b", 1, Q1), None, "renewed");
}

#[test]
fn a_filter_without_subscribers_is_gone() {
    let mut routes = Routes::new();
    let index = routes.subscribe("$SYS/#", 1, Q1).expect("new");
    assert_eq!(routes.subscribe("$SYS/#", 2, Q0), Some(index));
    assert!(routes.is_sys_filter(index));
    routes.unsubscribe(index, 1);
    assert_eq!(sessions(&mut routes, "$SYS"), [(2, Q0)]);
    assert!(routes.has_sys_filters());
    routes.unsubscribe(index, 2);
    assert_eq!(routes.find("$SYS/#"), None);
    assert!(routes.wildcards.is_empty() && !routes.has_sys_filters());
}

proptest! {
    /// Filters come and go; at each moment a topic reaches whom the plain rule says.
    #[test]
    fn look_up_agrees_with_the_plain_rule(
        filters in prop::collection::vec("([ab$]?|[+])(/([ab]?|[+])){0,4}(/#)?|#", 1..24),
        leaving in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        topics in prop::collection::vec("[ab$]?(/[ab]?){0,5}", 1..6),
    ) {
        let mut routes = Routes::new();
        let mut there: Vec<(&String, Index, QoS)> = Vec::new();
        for (session, filter) in (0..).zip(&filters) {
            if is_filter(filter) {
                // Some filters are there several times, with different granted QoS.
                let qos = [Q0, Q1, QoS::ExactlyOnce][session as usize % 3];
                routes.subscribe(filter, session % 5, qos);
                there.retain(|(f, s, _)| (*f, *s) != (filter, session % 5));
                there.push((filter, session % 5, qos));
            }
        }
        for leaver in leaving {
            if there.is_empty() {
                break;
            }
            let (filter, session, _) = there.swap_remove(leaver.index(there.len()));
            let index = routes.find(filter).expect("it was subscribed to");
            routes.unsubscribe(index, session);
        }
        for topic in topics.iter().filter(|topic| is_topic(topic)) {
            let mut expected = std::collections::BTreeMap::new();
            for (filter, session, qos) in &there {
                if matches(filter, topic) {
                    let highest = expected.entry(*session).or_insert(*qos);
                    *highest = (*highest).max(*qos);
                }
            }
            let expected: Vec<_> = expected.into_iter().collect();
            prop_assert_eq!(sessions(&mut routes, topic), expected, "{}", topic);
        }
    }
}

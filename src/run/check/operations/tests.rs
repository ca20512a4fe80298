//! What `check` says of campaigns, commands and queries.

use super::{warnings, write, write_cohort, write_operator};
use crate::scenario::file::{self, Overrides, Secrets};
use crate::scenario::plan::Plan;
use std::path::Path;
use std::time::Duration;

fn plan(cohort: &str, operations: &str, phase: &str) -> Plan {
    let text = format!(
        "name: one\ntarget: {{ embedded: {{ nodes: 2, me: per_connection }} }}\nfleet: [{{ cohort: m, devices: 1000, attributes: {{ fw: {{ \"1.4.2\": 90%, \"2.0.0\": 10% }} }}, {cohort} }}]\n{operations}\nphases: [{{ name: ramp, power_on: {{ rate: 1000/s }} }}, {{ name: work, {phase} }}]\n"
    );
    let overrides = Overrides::default();
    file::parse(
        "one.yaml",
        &text,
        Path::new("."),
        &overrides,
        Secrets::Ignore,
    )
    .unwrap_or_else(|errors| panic!("{errors}"))
}

const REPORTED: &str = "reported: { topic: \"d/{device}/me\", every: 60s }";

fn said(plan: &Plan) -> String {
    let mut text = String::new();
    let all = [
        write_cohort(&mut text, &plan.cohorts[0]),
        write(&mut text, plan),
        write_operator(&mut text, plan),
    ];
    assert!(
        all.iter().all(Result::is_ok),
        "a String accepts every write"
    );
    text
}

fn campaign(rollout: &str, length: &str) -> Plan {
    plan(
        &format!("{REPORTED}, update: {{ profile: thingsboard }}"),
        &format!(
            "campaigns: [{{ campaign: fw-2, where: {{ fw: {{ below: \"2.0.0\" }} }}, image: {{ version: \"2.1.0\", bytes: 1048576 }}, priorities: [{{ priority: one, where: {{ share: 1% }} }}], rollout: {rollout}, abort: [{{ failure: failed, min_executed: 901, threshold: 20% }}], retries: 1 }}]"
        ),
        &format!("for: {length}, actions: [{{ start: fw-2, at: 5s }}]"),
    )
}

#[test]
fn a_campaign_is_told_with_what_it_takes() {
    insta::assert_snapshot!(said(&campaign(
        "{ packs: { size: 100, every: 60s } }",
        "1h"
    )));
}

#[test]
fn pauses_and_the_end_by_hand_are_told() {
    let mut plan = campaign(
        "{ waves: [{ upto: 1%, success: 9% }, { upto: 100% }] }",
        "1h",
    );
    let secs = Duration::from_secs;
    plan.campaigns[0].pauses = vec![(secs(10), secs(20))];
    plan.campaigns[0].cancel = Some(secs(33));
    insta::assert_snapshot!(said(&plan));
    // 6.2 s for each wave and 10 s of pause, but 27 s until it is cancelled.
    plan.campaigns[0].aborts.clear();
    assert!(warnings(&plan).is_empty());
    plan.campaigns[0].cancel = Some(secs(28));
    let found = warnings(&plan).join("");
    assert!(
        found.contains("take 22.4 s at least, and 22 s are left"),
        "{found}"
    );
}

#[test]
fn a_rollout_longer_than_the_run_is_a_warning() {
    let table = [
        // Nine packs: eight minutes, and 6.2 s for the last update.
        (
            "{ packs: { size: 100, every: 60s } }",
            "491s",
            "take 8.1 min at least, and 8.1 min are left",
        ),
        ("{ packs: { size: 100, every: 60s } }", "492s", ""),
        (
            "{ constant: 90/min }",
            "600s",
            "take 10.1 min at least, and 9.9 min are left",
        ),
        ("{ constant: 90/min }", "612s", ""),
        ("at_once", "10s", "take 6.2 s at least, and 5 s are left"),
        ("at_once", "12s", ""),
        (
            "{ waves: [{ upto: 1%, success: 9% }, { upto: 100% }] }",
            "12s",
            "take 12.4 s at least",
        ),
    ];
    for (rollout, length, expected) in table {
        let plan = campaign(rollout, length);
        let found = warnings(&plan);
        let slow: Vec<&String> = found
            .iter()
            .filter(|w| w.contains("at least, and"))
            .collect();
        if expected.is_empty() {
            assert!(slow.is_empty(), "{rollout} {length}: {slow:?}");
        } else {
            assert!(
                slow.len() == 1 && slow[0].contains(expected),
                "{rollout}: {slow:?}"
            );
        }
    }
}

#[test]
fn the_pace_of_a_hundred_thousand_devices_is_a_finding() {
    let mut plan = campaign("{ packs: { size: 100, every: 60s } }", "10min");
    plan.cohorts[0].devices = 100_000;
    plan.cohorts[0].attributes[0].values = vec![("1.4.2".into(), 100_000)];
    let found = warnings(&plan).join("\n");
    assert!(
        found.contains("fw-2: 100 000 targets (100 devices every 60s) take 16.7 h at least"),
        "{found}"
    );
}

#[test]
fn a_rule_that_never_holds_is_a_warning() {
    let mut plan = campaign("at_once", "1h");
    let never =
        "fw-2: an abort rule waits for 901 executions, and there are 900 targets: it never holds";
    assert_eq!(warnings(&plan), [never]);
    plan.campaigns[0].aborts[0].min_executed = 900;
    assert!(warnings(&plan).is_empty());
}

#[test]
fn chunks_that_thingsboard_refuses_are_a_warning() {
    let mut plan = campaign("at_once", "1h");
    plan.campaigns[0].aborts.clear();
    for (block, expected) in [(65_536, 0), (65_537, 1)] {
        plan.cohorts[0]
            .update
            .as_mut()
            .expect("it has one")
            .block_bytes = block;
        let found = warnings(&plan);
        assert_eq!(found.len(), expected, "{found:?}");
        assert!(
            found.iter().all(|w| w.contains("closes the connection")),
            "{found:?}"
        );
    }
}

#[test]
fn commands_and_queries_are_told() {
    let plan = plan(
        &format!("{REPORTED}, commands: {{ topic: \"d/{{device}}/rpc\", work: 100ms }}"),
        "commands: [{ command: slow, where: { fw: \"1.4.2\" }, payload: x, rate: 90/s }]\nqueries: [{ query: old, where: { fw: \"1.4.2\" }, max_age: 30s }]",
        "for: 60s, actions: [{ command: slow, at: 45s }, { query: old, every: 5s }]",
    );
    insta::assert_snapshot!(said(&plan));
    assert!(
        warnings(&plan).is_empty(),
        "10 s for 900, and 15 s are left"
    );
    let mut late = plan;
    late.commands[0].start = Duration::from_secs(52);
    let found = warnings(&late);
    assert_eq!(
        found,
        ["slow: sending it to 900 devices takes 10 s, and 9 s are left from its start to the end"]
    );
}

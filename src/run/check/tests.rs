//! What a scenario's check tells of its plan.

use super::*;
use crate::scenario::file::{self, Overrides, Secrets};
use crate::scenario::fixture;
use crate::scenario::plan::{NetworkFault, Selector, Service, ServiceTime};
use std::path::Path;
use std::time::Duration;

/// The lines on the target and the fleet of a scenario with `target` and a cohort with `settings`.
fn fleet(target: &str, settings: &str) -> String {
    let scenario = format!(
        "name: one\ntarget: {{ embedded: {{ nodes: 2{target} }} }}\nfleet: [{{ cohort: m, devices: 10{settings} }}]\nphases: [{{ name: ramp, power_on: {{ rate: 7/s }} }}]\n"
    );
    let plan = file::parse(
        "one.yaml",
        &scenario,
        Path::new("."),
        &Overrides::default(),
        Secrets::Ignore,
    )
    .unwrap_or_else(|errors| panic!("{errors}"));
    let mut out = String::new();
    write_fleet(&mut out, &plan).expect("a String accepts every write");
    out
}

#[track_caller]
fn has_line(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "{line}\n{text}");
}

#[test]
fn small_rates_are_neither_rounded_away_nor_negative() {
    let text = fleet("", "");
    let load = "load       10 device connections, up to 7 power-ons/s, ";
    has_line(&text, &format!("{load}0 messages/s on average"));
    let text = fleet(
        "",
        ", telemetry: [ { stream: s, topic: \"{device}\", every: 1h } ]",
    );
    has_line(&text, &format!("{load}0.00278 messages/s on average"));
    has_line(
        &text,
        "    s          QoS 1 every 3600s  0.00278 messages/s",
    );
}

#[test]
fn each_cohorts_link_is_named() {
    let text = fleet("", ", link: edge-average");
    has_line(
        &text,
        "    link       edge-average: up 440ms, 200 kbps; down 400ms, 240 kbps",
    );
    assert!(!fleet("", "").contains("link"));
}

#[test]
fn what_an_sdk_preset_stands_for_is_told() {
    let text = fleet("", ", client: { preset: mosquitto-bridge, inflight: 7 }");
    has_line(
        &text,
        "    client     mosquitto-bridge: CONNACK within 60s; keep-alive 60s, PINGREQ after 60s of silence \
         of either end, PINGRESP within 60s; 7 in flight; waits 5s after a drop, then waits 5s to three times the \
         wait before, at most 30s",
    );
    has_line(
        &text,
        "               assumed in it: connect_timeout, ping_timeout, ping_on, inflight",
    );
    let text = fleet("", ", client: { preset: esp-mqtt, keep_alive: 0s }");
    has_line(
        &text,
        "    client     esp-mqtt: CONNACK within 10s; no keep-alive; 256 in flight; waits 10s",
    );
    assert!(!text.contains("assumed"), "{text}");
    assert!(!fleet("", ", client: { keep_alive: 30s }").contains("client "));
}

#[test]
fn devices_that_never_wait_are_a_warning_unless_their_packets_take_time() {
    let mut plan = fixture::plan(10);
    assert_eq!(without_wait(&plan.cohorts[0]), None);
    let naive = sdks::preset("rumqttc-naive").expect("it is a preset");
    plan.cohorts[0].client.backoff = naive.backoff;
    let said = without_wait(&plan.cohorts[0]).expect("a hot loop");
    assert!(
        said.starts_with("meters tries again without any wait"),
        "{said}"
    );
    assert!(warnings(&plan).contains(&said));
    plan.cohorts[0].link = crate::scenario::links::presets().first().copied();
    assert_eq!(without_wait(&plan.cohorts[0]), None);
}

#[test]
fn the_targets_law_is_named() {
    let text = fleet("", "");
    has_line(
        &text,
        "target     embedded reference backend, 2 node(s), admits at once",
    );
    assert!(!text.contains("service"), "{text}");
    let text = fleet(
        ", accept_rate: 30/min, gone_clients: serve, service: { connect: { fixed: 1ms } }",
        "",
    );
    has_line(
        &text,
        "target     embedded reference backend, 2 node(s), admits 0.5 connects/s, clients that have \
         left are served like any other, for nothing",
    );
    has_line(
        &text,
        "service    1 worker per node, 100 000 jobs may wait on each; CONNECT fixed 1ms, at most \
         2 000/s in all; PUBLISH costs nothing",
    );
}

#[test]
fn more_work_than_the_workers_can_do_is_a_warning() {
    let mut plan = fixture::plan(600);
    let mut target = |service| {
        let Target::Embedded(embedded) = &mut plan.target else {
            panic!("the fixture's target is embedded");
        };
        embedded.nodes = 2;
        embedded.service = service;
        overload(&plan)
    };
    let service = |ms| {
        Some(Service {
            workers: 1,
            connect: None,
            publish: Some(ServiceTime::Fixed(Duration::from_millis(ms))),
            queue: 9,
        })
    };
    assert_eq!(target(service(199)), None, "10 of 10.05 messages/s");
    let said = target(service(250)).expect("10 of 8 messages/s");
    assert!(
        said.starts_with("10 messages/s on average are 125 % of"),
        "{said}"
    );
    assert_eq!(target(None), None);
}

#[test]
fn half_open_connections_are_named() {
    let lines = |share| {
        let mut plan = fixture::plan(600);
        plan.faults = vec![Fault {
            phase: 1,
            start: Duration::from_secs(10),
            clear: Duration::from_secs(20),
            kind: FaultKind::Network {
                who: Selector {
                    share: Some(share),
                    ..Selector::default()
                },
                fault: NetworkFault::Blackhole,
            },
        }];
        let mut text = String::new();
        write_fleet(&mut text, &plan).expect("a String accepts every write");
        text
    };
    has_line(
        &lines(0.5),
        "half-open  up to 300 connections that silenced devices leave behind",
    );
    assert!(!lines(0.5).contains("herd"));
}

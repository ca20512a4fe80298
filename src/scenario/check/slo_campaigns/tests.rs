//! The words of objectives about campaigns, commands and queries, on a plan that has one of each.

use super::super::{Checker, Inputs};
use super::*;
use crate::scenario::campaign::{
    Campaign, FleetCommand, FleetQuery, Image, Offline, Order, Population, Priority, Rollout,
};
use crate::scenario::file::{self, Overrides, Secrets};
use crate::scenario::mirror::File;
use crate::scenario::plan::Selector;
use crate::scenario::slo::{Bound, Limit, Objective, Statistic, Window};
use crate::scenario::tree::{self, Pruned};
use std::path::Path;
use std::time::Duration;

const TEXT: &str = "\
name: words
fleet:
  - { cohort: meters, devices: 10 }
  - { cohort: trackers, devices: 10 }
phases:
  - { name: ramp, power_on: { rate: 10/s } }
  - { name: cut, for: 10s, faults: [{ outage: reset }] }
";

fn campaign(name: &str, server: Server) -> Campaign {
    Campaign {
        name: name.to_owned(),
        phase: 1,
        start: Duration::from_secs(2),
        server,
        targets: Population::default(),
        image: Image {
            version: 0,
            bytes: 1_024,
            defects: Vec::new(),
        },
        priorities: vec![Priority {
            name: "critical".to_owned(),
            who: Selector::default(),
        }],
        order: Order::ByPriority,
        rollout: Rollout::AtOnce,
        aborts: Vec::new(),
        in_progress_timeout: None,
        step_timeout: None,
        retries: 0,
        pauses: Vec::new(),
        cancel: None,
    }
}

/// What one objective becomes; or its mistakes, each with its help.
fn read(slo: &str) -> Result<Objective, Vec<String>> {
    let parse = |text: &str| {
        file::parse(
            "words",
            text,
            Path::new("."),
            &Overrides::default(),
            Secrets::Ignore,
        )
    };
    let mut plan = parse(TEXT).map_err(|e| vec![e.to_string()])?;
    plan.campaigns = vec![
        campaign("fw-2", Server::Operator),
        campaign("fw-3", Server::External),
    ];
    plan.commands = vec![FleetCommand {
        name: "slow-down".to_owned(),
        phase: 1,
        start: Duration::from_secs(2),
        targets: Population::default(),
        payload: String::new(),
        timeout: Duration::from_secs(10),
        retries: 0,
        offline: Offline::Queue,
        rate_per_s: None,
        by_hand: Duration::from_secs(600),
    }];
    plan.queries = vec![FleetQuery {
        name: "old-firmware".to_owned(),
        phase: 1,
        start: Duration::from_secs(2),
        end: Duration::from_secs(9),
        every: None,
        targets: Population::default(),
        max_age: None,
        timeout: Duration::from_secs(1),
    }];
    let text = format!("{TEXT}slos:\n  - {{ name: o, {slo} }}\n");
    let overrides = Overrides::default();
    let inputs = Inputs {
        text: &text,
        base: Path::new("."),
        overrides: &overrides,
        secrets: Secrets::Ignore,
    };
    let mut root = file::Builder::build(&text).expect("the text is YAML");
    let mut checker = Checker {
        inputs: &inputs,
        problems: Vec::new(),
        pruned: Pruned::default(),
        root: root.head(),
        shows_ids: false,
        has_ids_in_topics: false,
        factory_versions: plan.firmware.versions.len(),
    };
    let file = tree::decode::<File>(&mut root, &mut checker.pruned, &mut checker.problems);
    let objectives = file.map(|file| checker.slos(&file, &plan));
    if !checker.problems.is_empty() {
        let problems = checker.problems.iter();
        return Err(problems.map(|problem| format!("{problem:?}")).collect());
    }
    let objective = objectives.and_then(|mut found| found.pop());
    Ok(objective.expect("no mistake, so an objective"))
}

fn of_campaign(among: Among, reason: Option<Reason>) -> Subject {
    Subject::Campaign {
        campaign: 0,
        among,
        reason,
    }
}

#[test]
fn every_indicator_has_its_statistic_limit_and_subject() {
    let at_most = |s| Bound::AtMost(Limit::Time(Duration::from_secs(s)));
    let count = |n| Bound::AtMost(Limit::Count(n));
    let ratio = |r| Bound::AtMost(Limit::Ratio(r));
    let factor = |f| Bound::AtMost(Limit::Factor(f));
    let all = of_campaign(Among::All, None);
    let (one, p99) = (Statistic::Value, Statistic::Percentile(99.0));
    let share = Statistic::Share(0.99);
    let command = Subject::Command(0);
    let query = Subject::Query(0);
    let table = [
        (
            "ota.completion, of: fw-2, share: 99%, at_most: 5min",
            share,
            at_most(300),
            all,
        ),
        (
            "ota.completion, of: fw-2, among: { priority: critical }, share: 99%, at_most: 5min",
            share,
            at_most(300),
            of_campaign(Among::Priority(0), None),
        ),
        (
            "ota.completion, of: fw-2, among: { cohort: trackers }, share: 99%, at_most: 5min",
            share,
            at_most(300),
            of_campaign(Among::Cohort(1), None),
        ),
        (
            "ota.failure_ratio, of: fw-2, at_most: 1%",
            one,
            ratio(0.01),
            all,
        ),
        (
            "ota.failure_ratio, of: fw-2, reason: integrity, at_most: 0%",
            one,
            ratio(0.0),
            of_campaign(Among::All, Some(Reason::Integrity)),
        ),
        (
            "ota.rollback_ratio, of: fw-2, at_most: 1%",
            one,
            ratio(0.01),
            all,
        ),
        (
            "ota.exposure_before_halt, of: fw-2, at_most: 250",
            one,
            count(250),
            all,
        ),
        (
            "ota.exposure_before_halt, of: fw-2, at_most: 5%",
            one,
            ratio(0.05),
            all,
        ),
        (
            "ota.halt_time, of: fw-2, at_most: 2min",
            one,
            at_most(120),
            all,
        ),
        ("ota.wrong_target, of: fw-2, at_most: 0", one, count(0), all),
        (
            "ota.priority_inversions, of: fw-2, at_most: 0",
            one,
            count(0),
            all,
        ),
        (
            "ota.bytes_per_device, of: fw-2, percentile: 99, at_most: 1.1x",
            p99,
            factor(1.1),
            all,
        ),
        (
            "ota.bytes_per_device, of: fw-2, statistic: mean, at_most: 1.1",
            Statistic::Mean,
            factor(1.1),
            all,
        ),
        (
            "ota.collateral, of: fw-2, at_most: 2x",
            one,
            factor(2.0),
            all,
        ),
        (
            "command.rtt, of: slow-down, percentile: 99, at_most: 1s",
            p99,
            at_most(1),
            command,
        ),
        (
            "command.fanout, of: slow-down, share: 99%, at_most: 1min",
            share,
            at_most(60),
            command,
        ),
        (
            "command.result_completeness, of: slow-down, at_least: 100%",
            one,
            Bound::AtLeast(Limit::Ratio(1.0)),
            command,
        ),
        (
            "command.duplicate_effect, of: slow-down, at_most: 0",
            one,
            count(0),
            command,
        ),
        (
            "query.latency, of: old-firmware, percentile: 99, at_most: 2s",
            p99,
            at_most(2),
            query,
        ),
        (
            "query.staleness, of: old-firmware, percentile: 99, at_most: 30s",
            p99,
            at_most(30),
            query,
        ),
    ];
    for (text, statistic, bound, subject) in table {
        let found = read(&format!("indicator: {text}")).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        assert!(text.starts_with(found.indicator.name()), "{text}");
        assert_eq!((found.statistic, found.bound), (statistic, bound), "{text}");
        assert_eq!(
            (found.window, found.subject),
            (Window::Run, subject),
            "{text}"
        );
    }
    for (of, subject) in [("fw-2", all), ("slow-down", command)] {
        let text = format!("indicator: resolution.time, of: {of}, after: cut, at_most: 1h");
        let found = read(&text).expect("right");
        assert_eq!((found.window, found.subject), (Window::After(1), subject));
    }
}

#[test]
fn what_is_wrong_is_named_with_its_remedy() {
    let table = [
        (
            "ota.halt_time, at_most: 1s",
            "needs the campaign",
            "add `of: <campaign>`",
        ),
        (
            "ota.halt_time, of: fw-22, at_most: 1s",
            "unknown campaign `fw-22`",
            "did you mean `fw-2`",
        ),
        (
            "ota.halt_time, of: slow-down, at_most: 1s",
            "unknown campaign",
            "valid here: fw-2, fw-3",
        ),
        (
            "ota.halt_time, of: fw-3, at_most: 1s",
            "that the target runs",
            "ota.completion",
        ),
        (
            "ota.priority_inversions, of: fw-3, at_most: 0",
            "that the target runs",
            "operator",
        ),
        (
            "ota.halt_time, of: fw-2, at_least: 1s",
            "less is better",
            "at_most: 15min",
        ),
        (
            "ota.halt_time, of: fw-2, at_most: 1s, during: [cut]",
            "whole run",
            "remove `during`",
        ),
        (
            "ota.completion, of: fw-2, at_most: 1s",
            "needs a share",
            "share: 99%",
        ),
        (
            "ota.completion, of: fw-2, percentile: 99, at_most: 1s",
            "a share of devices",
            "share: 99%",
        ),
        (
            "ota.completion, of: fw-2, share: 9%, at_most: 1s, among: { priority: critcal }",
            "unknown priority `critcal`",
            "did you mean `critical`",
        ),
        (
            "ota.completion, of: fw-2, share: 9%, at_most: 1s, among: { cohort: meter }",
            "unknown cohort `meter`",
            "did you mean `meters`",
        ),
        (
            "ota.completion, of: fw-2, share: 9%, at_most: 1s, among: { cohort: meters, priority: critical }",
            "exclude each other",
            "keep one",
        ),
        (
            "ota.completion, of: fw-2, share: 9%, at_most: 1s, among: {}",
            "which targets",
            "priority: critical",
        ),
        (
            "ota.rollback_ratio, of: fw-2, at_most: 1%, among: { cohort: meters }",
            "of all targets",
            "remove `among`",
        ),
        (
            "ota.failure_ratio, of: fw-2, at_most: 1%, reason: integrety",
            "unknown reason",
            "`integrity`",
        ),
        (
            "ota.halt_time, of: fw-2, at_most: 1s, reason: integrity",
            "asks for no reason",
            "remove",
        ),
        (
            "ota.exposure_before_halt, of: fw-2, at_most: 5s",
            "not a whole number",
            "at_most: 0",
        ),
        (
            "ota.bytes_per_device, of: fw-2, at_most: 1",
            "a percentile or the mean",
            "statistic: mean",
        ),
        (
            "command.rtt, of: fw-2, percentile: 99, at_most: 1s",
            "unknown command",
            "slow-down",
        ),
        (
            "command.rtt, of: slow-down, at_most: 1s",
            "needs a percentile",
            "percentile: 99",
        ),
        (
            "command.result_completeness, of: slow-down, at_most: 1%",
            "more is better",
            "at_least",
        ),
        (
            "query.latency, of: slow-down, percentile: 9, at_most: 1s",
            "unknown query",
            "old-firmware",
        ),
        (
            "resolution.time, of: fw-2, at_most: 1h",
            "the start of a fault",
            "after:",
        ),
        (
            "resolution.time, of: fw-2, at_most: 1h, after: ramp",
            "has no fault",
            "cut",
        ),
        (
            "resolution.time, of: fw, at_most: 1h, after: cut",
            "unknown campaign or command",
            "slow-down",
        ),
        (
            "delivery.lost, of: fw-2, at_most: 0",
            "of the whole fleet",
            "remove `of`",
        ),
    ];
    for (text, message, help) in table {
        let problems = read(&format!("indicator: {text}")).expect_err(text);
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].contains(message), "{text}: {problems:?}");
        assert!(problems[0].contains(help), "{text}: {problems:?}");
    }
}

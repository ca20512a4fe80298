//! Campaigns, commands and queries in whole runs, with the real operator and the real devices: what
//! the operator says of each target and what the device itself says are held against each other.

use super::*;
use crate::scenario::file::{self, Overrides, Secrets};
use crate::stats::results::{
    CampaignMark, CommandOutcome, Finding, Outcome as Ended, ResultRow, Witness,
};
use std::collections::BTreeMap;
use std::path::Path;

const HEAD: &str = "
name: campaigns
about: A campaign in virtual time.
seed: 7
target: { embedded: { nodes: 2, me: per_connection } }
fleet:
";

/// A cohort of 40 with this profile.
fn cohort(name: &str, profile: &str) -> String {
    format!(
        "
  - cohort: {name}
    devices: 40
    attributes: {{ hw: {{ B: 90%, C: 10% }}, fw: {{ \"1.4.2\": 100% }} }}
    client: {{ connect_timeout: 10s, keep_alive: 20s, backoff: {{ fixed: 1s }} }}
    session: {{ clean: false, will: {{ topic: \"d/{{device}}/state\", payload: offline, qos: 1 }} }}
    telemetry: [{{ stream: {name}-power, topic: \"d/{{device}}/power\", qos: 1, every: 10s, payload: {{ bytes: 40 }} }}]
    reported: {{ topic: \"d/{{device}}/reported\", every: 20s }}
    commands: {{ topic: \"d/{{device}}/rpc\", qos: 1, work: 100ms, idempotent: true }}
    update:
      profile: {profile}
      flash_rate: 20000
      reboot: {{ uniform: {{ min: 2s, max: 5s }} }}
      self_test: 2s
"
    )
}

/// In the middle of the downloads, half the devices lose their connection, then a tenth their power.
const TAIL: &str = "
campaigns:
  - campaign: fw-2
    where: { fw: \"1.4.2\" }
    image: { version: \"2.0.0\", bytes: 100000, defects: [{ where: { hw: C }, effect: rolls_back }] }
    priorities: [{ priority: first, where: { hw: C } }]
    rollout: { constant: 1200/min }
    in_progress_timeout: 60s
commands:
  - { command: slow-down, where: { hw: B }, payload: '{}', timeout: 5s, retries: 1, offline: queue, by_hand: 1min }
queries:
  - { query: old, where: { fw: { below: \"2.0.0\" } }, timeout: 2s }
phases:
  - { name: ramp, power_on: { rate: 100/s } }
  - name: rollout
    for: 100s
    faults:
      - { outage: { reset: { where: { share: 50% }, within: 1s } }, at: 8s, for: 3s }
      - { power_cut: { where: { share: 10% } }, at: 12s, for: 5s }
    actions: [{ start: fw-2, at: 5s }, { command: slow-down, at: 20s }, { query: old, every: 10s }]
slos: [{ name: devices connect, indicator: connect.success, at_least: 1% }]
";

fn plan_of(cohorts: &[(&str, &str)]) -> Arc<Plan> {
    let cohorts = cohorts.iter().map(|(name, profile)| cohort(name, profile));
    let text = format!("{HEAD}{}{TAIL}", cohorts.collect::<String>());
    let plan = file::parse(
        "campaigns.yaml",
        &text,
        Path::new("."),
        &Overrides::default(),
        Secrets::Ids,
    );
    Arc::new(plan.unwrap_or_else(|errors| panic!("{errors:?}")))
}

fn all_kinds() -> Arc<Plan> {
    plan_of(&[
        ("aws", "{ aws_jobs: { encoding: json } }"),
        ("things", "{ thingsboard: { counts_one_more: true } }"),
        ("uplink", "generic_action"),
    ])
}

/// Rows of one witness, by device, in the order in which they came.
fn rows(outcome: &Outcome, witness: Witness) -> BTreeMap<u32, Vec<ResultRow>> {
    let mut rows: BTreeMap<u32, Vec<ResultRow>> = BTreeMap::new();
    for finding in &outcome.findings {
        if let Finding::Result(row) = finding
            && row.witness == witness
        {
            rows.entry(row.device).or_default().push(*row);
        }
    }
    rows
}

#[test]
fn operator_and_devices_say_the_same_of_every_target_whatever_the_profile() {
    let plan = all_kinds();
    let outcome = run(&plan, 7).expect("simulated");
    assert_eq!(books(&outcome).acked, books(&outcome).planned);
    assert!(outcome.drain_complete);
    let operator = rows(&outcome, Witness::Operator);
    let devices = rows(&outcome, Witness::Device);
    assert!(operator.values().all(|rows| rows.len() == 1));
    let targets: Vec<u32> = operator.keys().copied().collect();
    assert_eq!(targets, (0..120).collect::<Vec<_>>());
    for (device, said) in &operator {
        let said = said[0];
        let own = devices.get(device).and_then(|rows| rows.last());
        let own = own.unwrap_or_else(|| panic!("device {device} says nothing: {said:?}"));
        assert_eq!(
            (own.outcome, own.reason),
            (said.outcome, said.reason),
            "{said:?} {own:?}"
        );
        let is_bad = plan.attribute(*device, "hw") == Some("C");
        let expected = if is_bad {
            Ended::RolledBack
        } else {
            Ended::Confirmed
        };
        assert_eq!(said.outcome, expected, "{said:?}");
        assert!(own.bytes >= 100_000, "{own:?}");
        assert!(own.finished <= said.finished, "{said:?} {own:?}");
    }
    let updates = outcome.totals.updates;
    assert!(updates.hashes_matched >= 120, "{updates:?}");
    assert_eq!(
        (updates.hashes_differed, updates.bad_answers),
        (0, 0),
        "{updates:?}"
    );
    assert!(updates.resumed + updates.restarted > 0, "{updates:?}");
    let marks = outcome.findings.iter().filter_map(|finding| match finding {
        Finding::Campaign { mark, .. } => Some(*mark),
        Finding::Result(_)
        | Finding::Command(_)
        | Finding::Query(_)
        | Finding::CommandStarted { .. } => None,
    });
    let marks: Vec<CampaignMark> = marks.collect();
    assert_eq!(marks.first(), Some(&CampaignMark::Started { targets: 120 }));
    assert_eq!(marks.last(), Some(&CampaignMark::Completed));
}

#[test]
fn a_command_reaches_each_device_once_and_queries_count_the_old_firmware_down() {
    let outcome = run(&all_kinds(), 7).expect("simulated");
    let commands = outcome.findings.iter().filter_map(|finding| match finding {
        Finding::Command(row) => Some((row.device, row.outcome)),
        Finding::Result(_)
        | Finding::Campaign { .. }
        | Finding::Query(_)
        | Finding::CommandStarted { .. } => None,
    });
    let commands: BTreeMap<u32, CommandOutcome> = commands.collect();
    assert_eq!(commands.len(), 108, "hardware B");
    let succeeded = commands
        .values()
        .filter(|o| **o == CommandOutcome::Succeeded);
    assert_eq!(outcome.totals.commands.executed, succeeded.count() as u64);
    assert_eq!(outcome.totals.commands.executed_again, 0);
    let counts = outcome.findings.iter().filter_map(|finding| match finding {
        Finding::Query(row) => Some(row.matched),
        Finding::Result(_)
        | Finding::Campaign { .. }
        | Finding::Command(_)
        | Finding::CommandStarted { .. } => None,
    });
    let counts: Vec<u32> = counts.collect();
    assert_eq!(counts.first(), Some(&120));
    assert_eq!(counts.last(), Some(&12), "hardware C rolled back");
    assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
}

#[test]
fn a_run_with_an_operator_is_the_same_in_whatever_order_devices_are_made() {
    let plan = all_kinds();
    let text = |outcome: &Outcome| format!("{outcome:?}");
    let first = run(&plan, 7).expect("simulated");
    assert!(first.findings.len() > 240);
    assert_eq!(text(&first), text(&backwards(&plan)));
}

/// An end by hand is a close of the books: one row per target all the same.
#[test]
fn a_run_that_is_stopped_has_a_row_of_every_target() {
    let plan = all_kinds();
    let mut simulation = Simulation::begin(&plan, &shape(&plan), 7).expect("armed");
    let stop = simulation.start().after(ms(14_000));
    let mut findings = Vec::new();
    while simulation.now() < stop {
        simulation.advance(1_000);
        findings.append(&mut simulation.take_findings());
    }
    let mut outcome = simulation.finish();
    let before = findings.len();
    findings.append(&mut outcome.findings);
    assert!(before > 0 && findings.len() > before + 100);
    outcome.findings = findings;
    let operator = rows(&outcome, Witness::Operator);
    assert_eq!(operator.len(), 120);
    assert!(operator.values().all(|rows| rows.len() == 1));
    let unfinished = rows(&outcome, Witness::Device).into_values().flatten();
    let unfinished = unfinished.filter(|row| row.outcome == Ended::Unfinished);
    assert!(unfinished.count() > 50);
}

/// The last phase ends while devices download: nobody new begins, and those go on to their end.
#[test]
fn the_drain_waits_for_those_who_have_started() {
    let mut plan = Plan::clone(&all_kinds());
    plan.phases[STEADY].length = ms(9_000);
    plan.faults.clear();
    plan.commands.clear();
    plan.queries.clear();
    plan.drain = ms(120_000);
    let outcome = outcome(plan);
    let operator = rows(&outcome, Witness::Operator);
    let mut ended = BTreeMap::new();
    let mut last = Instant::ZERO;
    for row in operator.values().flatten() {
        *ended.entry(row.outcome.word()).or_insert(0) += 1;
        last = last.max(row.finished);
    }
    assert_eq!(operator.len(), 120);
    assert!(ended["confirmed"] > 30, "{ended:?}");
    assert!(!ended.contains_key("timed_out"), "{ended:?}");
    assert!(outcome.drain_complete);
    assert!(
        last > outcome.end.after(ms(2_000)),
        "{last:?} {:?}",
        outcome.end
    );
    assert!(outcome.drained >= last);
}

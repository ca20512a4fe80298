//! Scenarios of one cohort with campaigns, and what running them left.

use crate::program::{Bench, Finished};
use crate::sheet::Sheet;
use fleetstorm::stats::evidence::{self, Line, Outcome};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What a scenario is made of; phase `rollout` begins when the ramp is over.
pub(crate) struct Parts<'a> {
    pub(crate) devices: u32,
    pub(crate) target: &'a str,
    /// All cohorts; empty = one, of what follows and the devices above.
    pub(crate) fleet: &'a str,
    pub(crate) attributes: &'a str,
    /// Further keys of the cohort, each on a line of its own.
    pub(crate) cohort: &'a str,
    pub(crate) profile: &'a str,
    /// Further keys of `update`.
    pub(crate) update: &'a str,
    pub(crate) campaigns: &'a [&'a str],
    /// Commands and queries.
    pub(crate) more: &'a str,
    pub(crate) ramp: &'a str,
    pub(crate) length: &'a str,
    pub(crate) faults: &'a str,
    pub(crate) actions: &'a str,
    /// Further phases.
    pub(crate) phases: &'a str,
    pub(crate) slos: &'a [&'a str],
}

/// Campaign `fw-2` starts so long after the ramp.
pub(crate) const START_US: u64 = 5_000_000;

/// To all with an older firmware, at once: 24 blocks of 4096 bytes and a rest.
pub(crate) const EVERYONE: &str = "{ campaign: fw-2, where: { fw: { below: \"2.0.0\" } }, image: { version: \"2.0.0\", bytes: 100000 }, rollout: at_once }";

impl Default for Parts<'_> {
    fn default() -> Self {
        Self {
            devices: 200,
            target: "embedded: { nodes: 2 }",
            fleet: "",
            attributes: "fw: { \"1.4.2\": 100% }",
            cohort: "",
            profile: "{ aws_jobs: { encoding: json } }",
            update: "",
            campaigns: &[EVERYONE],
            more: "",
            ramp: "power_on: { rate: 200/s }",
            length: "90s",
            faults: "",
            actions: "{ start: fw-2, at: 5s }",
            phases: "",
            slos: &[],
        }
    }
}

impl Parts<'_> {
    /// The scenario.
    pub(crate) fn text(&self) -> String {
        let list = |items: &[&str]| {
            let lines = items.iter().map(|item| format!("  - {item}\n"));
            lines.collect::<String>()
        };
        let fleet = match self.fleet {
            "" => cohort(
                "meters",
                self.devices,
                self.attributes,
                self.cohort,
                self.profile,
                self.update,
            ),
            fleet => fleet.to_owned(),
        };
        format!(
            r#"
name: campaigns
seed: 7
target: {{ {} }}
fleet:
{fleet}
campaigns:
{}{}
phases:
  - {{ name: ramp, {} }}
  - name: rollout
    for: {}
    faults: [ {} ]
    actions: [ {} ]
{}
slos:
  - {{ name: nobody else is touched, indicator: ota.wrong_target, of: fw-2, at_most: 0 }}
  - {{ name: nothing is lost, indicator: delivery.lost, at_most: 0 }}
{}"#,
            self.target,
            list(self.campaigns),
            self.more,
            self.ramp,
            self.length,
            self.faults,
            self.actions,
            self.phases,
            list(self.slos)
        )
    }

    /// Simulates it; its books must balance, and its evidence must be sound.
    pub(crate) fn simulate(&self) -> Run {
        simulate(&self.text(), &[])
    }
}

/// A cohort; see [`Parts`].
pub(crate) fn cohort(
    name: &str,
    devices: u32,
    attributes: &str,
    more: &str,
    profile: &str,
    update: &str,
) -> String {
    format!(
        r#"  - cohort: {name}
    devices: {devices}
    attributes: {{ {attributes} }}
    client: {{ connect_timeout: 10s, keep_alive: 20s, backoff: {{ fixed: 1s }} }}
    session: {{ clean: false, will: {{ topic: "d/{{device}}/state", payload: offline, qos: 1 }} }}
    telemetry: [ {{ stream: {name}-power, topic: "d/{{device}}/power", qos: 1, every: 10s, payload: {{ bytes: 40 }} }} ]
    reported: {{ topic: "d/{{device}}/reported", every: 20s }}
    commands: {{ topic: "d/{{device}}/rpc", qos: 1, work: 100ms, idempotent: true }}
    update: {{ profile: {profile}, block: 4096, reboot: {{ uniform: {{ min: 2s, max: 5s }} }}, self_test: 2s{update} }}
{more}
"#
    )
}

/// A finished run that is no INVALID one.
pub(crate) struct Run {
    bench: Bench,
    pub(crate) end: Finished,
}

/// Simulates a scenario.
pub(crate) fn simulate(text: &str, arguments: &[&str]) -> Run {
    let bench = Bench::new("simulate", text);
    let end = bench.run(&[&["--ui", "off"], arguments].concat());
    let counts = &end.report["counts"];
    assert_eq!(counts["balanced"], true, "{}", end.said);
    assert_eq!(counts["schedule_agrees"], true, "{}", end.said);
    assert_ne!(end.report["verdict"], "INVALID", "{}", end.said);
    Run { bench, end }
}

impl Run {
    pub(crate) fn out(&self) -> PathBuf {
        self.bench.out()
    }

    /// It had this exit code.
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.end.code, Some(code), "{}", self.end.said);
        self
    }

    /// A file of the run.
    pub(crate) fn sheet(&self, name: &str) -> Sheet {
        Sheet::read(&self.out().join(name))
    }

    /// A campaign, as the report tells of it.
    pub(crate) fn campaign(&self, name: &str) -> &Value {
        let campaigns = self.end.report["campaigns"].as_array().expect("a list");
        let found = campaigns.iter().find(|campaign| campaign["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {campaigns:?}"))
    }

    /// An objective by its indicator.
    pub(crate) fn objective(&self, indicator: &str) -> &Value {
        let objectives = self.end.report["objectives"].as_array().expect("a list");
        let found = objectives.iter().find(|o| o["indicator"] == indicator);
        found.unwrap_or_else(|| panic!("no {indicator}: {objectives:?}"))
    }

    /// The record of how it ended.
    pub(crate) fn outcome(&self) -> Outcome {
        outcome(&self.out())
    }

    /// When campaign `fw-2` started, in microseconds since T0.
    pub(crate) fn start_us(&self) -> u64 {
        micros(&self.campaign("fw-2")["start_s"])
    }

    /// All `targets` of `fw-2` are confirmed, by the operator, by the devices and by the hashes.
    pub(crate) fn must_be_confirmed(&self, targets: usize) {
        let [operator, devices] =
            ["results-fw-2.csv", "device-results-fw-2.csv"].map(|name| self.sheet(name));
        for sheet in [&operator, &devices] {
            assert_eq!(sheet.len(), targets);
            assert_eq!(sheet.count("outcome", "confirmed"), targets);
            for row in sheet.rows() {
                let way = [
                    "offered_s",
                    "started_s",
                    "downloaded_s",
                    "rebooted_s",
                    "finished_s",
                ]
                .map(|at| row.us(at).expect(at));
                assert!(way.is_sorted() && self.start_us() <= way[0], "{way:?}");
                // Reboot 2 s at least, and the self-test 2 s. Rows of the operator are in ticks.
                assert!(way[4] - way[3] >= 3_999_000, "{way:?}");
            }
        }
        let witnesses = &self.campaign("fw-2")["witnesses"];
        assert_eq!(witnesses["agree"], targets, "{witnesses}");
        let updates = self.outcome().totals.updates;
        assert_eq!(updates.hashes_matched, targets as u64, "{updates:?}");
        assert_eq!(updates.hashes_differed, 0, "{updates:?}");
        assert_eq!(updates.bad_answers, 0, "{updates:?}");
    }
}

fn outcome(out: &Path) -> Outcome {
    let (lines, torn) = evidence::read(out).expect("a run directory");
    assert_eq!(torn, None);
    let outcome = lines.into_iter().find_map(|line| match line {
        Line::Outcome(outcome) => Some(*outcome),
        Line::Header(_)
        | Line::Started { .. }
        | Line::Phase { .. }
        | Line::Fault { .. }
        | Line::Warning { .. }
        | Line::Lost { .. }
        | Line::Interrupted { .. }
        | Line::Backend { .. }
        | Line::Campaign { .. }
        | Line::CommandStarted { .. } => None,
    });
    outcome.expect("the run came to its end")
}

/// Seconds as whole microseconds.
pub(crate) fn micros(seconds: &Value) -> u64 {
    let seconds = seconds
        .as_f64()
        .unwrap_or_else(|| panic!("{seconds} is no number"));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "runs take minutes"
    )]
    let us = (seconds * 1e6).round() as u64;
    us
}

//! The report as one plain value: everything the renderers need, and, serialized, `report.json`.
//! Times without a unit in their name do not exist here; `*_s` count from T0.

mod campaign;
mod counts;
mod generator;
mod prediction;
mod recovery;
mod verdict;

pub use crate::stats::evidence::Mode;
pub use campaign::{
    Answers, Bucket, Campaign, Collateral, Command, Completion, Disagreement, Footprint, Halt,
    OutcomeCount, Query, QueryAnswer, ReasonCount, Rung, ShareTime, StatePoint, Wave, Witnesses,
};
pub use counts::{Counts, Delivery, LostByPolicy, NamedBooks, NamedCount, SeriesSums};
pub use generator::{Generator, Rule, Watch, Worker};
pub use prediction::Prediction;
pub use recovery::{RecoveryLevel, RecoveryVerdict};
pub use verdict::{RunVerdict, Verdict, Word, exit_code};

use super::units;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Version of `report.json`; raised when a key changes its meaning or goes. A new key does not
/// raise it, nor does a new word for what no report said before (the verdicts of simulated runs).
pub const SCHEMA: &str = "fleetstorm.report/1";

/// Key of a table's row over all phases; no phase can be called so.
pub const ALL_PHASES: &str = "(all)";

/// All that a run says.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// In which world it ran.
    pub mode: Mode,
    /// What a simulated run is and rests on; `None` of a live run, which is a measurement.
    pub prediction: Option<Prediction>,
    /// What ran.
    pub scenario: Scenario,
    /// The run's verdict.
    #[serde(skip)]
    pub verdict: RunVerdict,
    /// Its word, by [`Report::mode`].
    #[serde(rename = "verdict")]
    pub word: Word,
    /// Exit code that goes with it.
    pub exit_code: u8,
    /// Why, in one sentence.
    pub reason: String,
    /// All reasons why the verdict is not PASS, most important first.
    pub reasons: Vec<String>,
    /// What a reader must know, that makes no verdict by itself.
    pub warnings: Vec<String>,
    /// When, how long, how many.
    pub run: Run,
    /// In the scenario's order.
    pub objectives: Vec<Objective>,
    /// The books.
    pub counts: Counts,
    /// The delivery ledger.
    pub delivery: Delivery,
    /// In order.
    pub phases: Vec<Phase>,
    /// In order of their start.
    pub faults: Vec<Fault>,
    /// Percentile tables per operation and phase.
    pub latency: Latency,
    /// The rules of evidence, and a live run's watch on its generator.
    pub generator: Generator,
    /// Per fault with devices not connected at its clearing.
    pub recoveries: Vec<Recovery>,
    /// Per fault that closes its phase.
    pub recovery_verdicts: Vec<RecoveryVerdict>,
    /// Campaigns, in the order of their start; absent if the scenario has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub campaigns: Vec<Campaign>,
    /// Fleet commands, in the order of their start; absent if the scenario has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<Command>,
    /// Fleet queries, in the order of their start; absent if the scenario has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<Query>,
    /// By kind, most frequent first.
    pub errors: Vec<Error>,
    /// What the reference backend counted itself; empty with another target.
    pub backend: Backend,
    /// How to get this report again.
    pub provenance: Provenance,
    /// Per second, for the plots; `series.csv` has it for machines.
    #[serde(skip)]
    pub timeline: Vec<Point>,
}

/// The objectives, worst first: by verdict, then by how much of the limit was used, then in the
/// scenario's order.
pub fn worst_first(objectives: &[Objective]) -> Vec<&Objective> {
    let mut sorted: Vec<&Objective> = objectives.iter().collect();
    sorted.sort_by(|a, b| {
        let used = |o: &Objective| o.limit_used.unwrap_or(f64::INFINITY);
        (b.verdict.severity().cmp(&a.verdict.severity())).then(used(b).total_cmp(&used(a)))
    });
    sorted
}

/// What ran.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// One sentence for people.
    pub about: String,
    /// SHA-256 over the scenario's text and the overrides, hex.
    pub hash: String,
    /// Effective seed, as text: JSON numbers lose the upper bits of a 64-bit seed.
    pub seed: String,
}

/// When, how long, how many.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Wall clock at T0, RFC 3339; `None` if the run never started or was simulated.
    pub started: Option<String>,
    /// From T0 to the end of the last phase as planned.
    pub planned_s: f64,
    /// From T0 to the end of load.
    pub duration_s: f64,
    /// From the end of load to the end of the drain; `None` without an outcome.
    pub drain_s: Option<f64>,
    /// Nothing was left in flight when the drain ended.
    pub drain_complete: bool,
    /// The run did not come to its planned end, or its last lines are missing.
    pub partial: bool,
    /// Devices of the fleet.
    pub devices: u64,
    /// Cohorts with their devices.
    pub cohorts: Vec<(String, u64)>,
    /// Most devices connected in any second.
    pub peak_connected: u64,
    /// Most connects in any second.
    pub peak_connects_per_s: u64,
    /// Most first writes of publishes in any second.
    pub peak_sent_per_s: u64,
    /// What was tested, in words; of a simulated run the model.
    pub target: String,
}

/// One objective and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Objective {
    /// Name for people.
    pub name: String,
    /// For example `publish.ack_latency`.
    pub indicator: &'static str,
    /// For example `p99`, `99 % of devices`; empty if the indicator is one number.
    pub statistic: String,
    /// For example `in steady`, `after restart`, `whole run`, `of fw-2`.
    pub window: String,
    /// `at_most`, `at_least` or, of a word, `is`.
    pub bound: &'static str,
    /// The limit, in `unit`; `None` if it is a word (`target_text`).
    pub target: Option<f64>,
    /// The limit for people, with its sign: `≤ 250 ms`.
    pub target_text: String,
    /// What was measured, in `unit`; `None` if nothing was, if it never happened, or if it is a word
    /// (`value_text`).
    pub value: Option<f64>,
    /// The value for people: `never` if it did not happen, `n/a` if nothing was measured.
    pub value_text: String,
    /// `s`, `ratio`, `per_s`, `factor`, `messages`, `devices`, `commands`, `wills`, `minutes` or
    /// `word`.
    pub unit: &'static str,
    /// What the value rests on: events, devices, or device-seconds.
    pub events: u64,
    /// What `events` counts.
    pub events_unit: &'static str,
    /// What became of it.
    #[serde(skip)]
    pub verdict: Verdict,
    /// Its word: PASS, FAIL, INCONCLUSIVE or NO_DATA, with PREDICTED_ before it if the run was
    /// simulated.
    #[serde(rename = "verdict")]
    pub word: Word,
    /// Confidence interval; not computed in this version of the schema.
    pub interval: Option<(f64, f64)>,
    /// Share of the limit (`at_most`) or of the allowed shortfall (`at_least`) that was used;
    /// above 1 it failed. `None` if nothing was measured or it is unbounded.
    pub limit_used: Option<f64>,
    /// Where in the run it looks, from T0, for the plots.
    #[serde(skip)]
    pub spans_s: Vec<(f64, f64)>,
    /// Why the verdict, in one sentence.
    pub reason: String,
}

impl Objective {
    /// Statistic and window: `p99 in steady`, `whole run`.
    pub fn measure(&self) -> String {
        match self.statistic.as_str() {
            "" => self.window.clone(),
            statistic => format!("{statistic} {}", self.window),
        }
    }
}

/// One phase.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// From T0.
    pub start_s: f64,
    /// From T0.
    pub end_s: f64,
    /// Some objective looks at it.
    pub judged: bool,
    /// Attempts that were accepted, by their intended instant; `None` without an outcome.
    pub accepted: Option<u64>,
    /// Attempts that failed.
    pub failed: Option<u64>,
    /// Of those, ended by the device's own timeout after its CONNECT was written.
    pub wasted: Option<u64>,
    /// Device-seconds with a session over expected device-seconds.
    pub availability: Option<f64>,
}

/// One fault.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// In words: `restart of node 0, sessions kept`.
    pub label: String,
    /// Its phase.
    pub phase: String,
    /// From T0.
    pub start_s: f64,
    /// Its clearing, from T0.
    pub clear_s: f64,
}

/// Percentile tables per operation and phase, in the order of the tables.
#[derive(Clone, Debug, Default)]
pub struct Latency(pub Vec<LatencyTable>);

/// One operation's table.
#[derive(Clone, Debug)]
pub struct LatencyTable {
    /// Key in `report.json`: `publish_ack_response`.
    pub key: &'static str,
    /// Row over all phases first, then one per phase that has values.
    pub rows: Vec<(String, Percentiles)>,
}

impl LatencyTable {
    /// The row of a phase.
    pub fn row(&self, phase: &str) -> Option<&Percentiles> {
        self.rows
            .iter()
            .find(|(name, _)| name == phase)
            .map(|(_, p)| p)
    }
}

impl Latency {
    /// The table with this key.
    pub fn table(&self, key: &str) -> Option<&LatencyTable> {
        self.0.iter().find(|t| t.key == key)
    }
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for table in &self.0 {
            map.serialize_entry(table.key, &Rows(&table.rows))?;
        }
        map.end()
    }
}

/// Rows of a table as one JSON object.
struct Rows<'a>(&'a [(String, Percentiles)]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, row)| (name, row)))
    }
}

/// Values of one operation in one phase. A percentile whose sample is too small is `None`.
#[derive(Copy, Clone, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// `us`.
    pub unit: &'static str,
    /// Number of values.
    pub count: u64,
    /// Mean.
    pub mean: f64,
    /// Smallest.
    pub min: u64,
    /// Median.
    pub p50: Option<u64>,
    /// 90th percentile.
    pub p90: Option<u64>,
    /// 95th percentile.
    pub p95: Option<u64>,
    /// 99th percentile.
    pub p99: Option<u64>,
    /// 99.9th percentile.
    #[serde(rename = "p99.9")]
    pub p99_9: Option<u64>,
    /// 99.99th percentile.
    #[serde(rename = "p99.99")]
    pub p99_99: Option<u64>,
    /// Largest.
    pub max: u64,
}

/// Recovery from one fault.
#[derive(Clone, Debug, Serialize)]
pub struct Recovery {
    /// The fault in words.
    pub fault: String,
    /// Its phase.
    pub phase: String,
    /// Its clearing, from T0.
    pub clear_s: f64,
    /// Devices not connected at the clearing, by the run or with power.
    pub affected: u64,
    /// Of those, connected again.
    pub recovered: u64,
    /// Of those, not.
    pub stranded: u64,
    /// Most attempts begun in one second after the clearing; `None` if no such second was recorded.
    pub peak_attempts_per_s: Option<u64>,
    /// Attempts from the fault's start on, per device without a connection; `None` if not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amplification: Option<f64>,
    /// Share of the reconnects after the clearing that found their persistent session; `None` if
    /// there were none, or they were not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<f64>,
    /// Time until these shares of the affected devices were back.
    pub times: Vec<RecoveryTime>,
}

impl Recovery {
    /// The peak rate for people.
    pub fn peak_text(&self) -> String {
        let peak = self.peak_attempts_per_s.map(|n| units::rate(n as f64));
        peak.unwrap_or_else(|| "n/a".to_owned())
    }

    /// The amplification for people.
    pub fn amplification_text(&self) -> String {
        self.amplification
            .map_or_else(|| "n/a".to_owned(), units::factor)
    }

    /// The share of resumed sessions for people.
    pub fn resumed_text(&self) -> String {
        self.resumed.map_or_else(|| "n/a".to_owned(), units::ratio)
    }
}

/// Time until a share of the affected devices was back.
#[derive(Copy, Clone, Debug, PartialEq, Serialize)]
pub struct RecoveryTime {
    /// Share of the affected devices, percent.
    pub percent: f64,
    /// From the clearing; `None` = never.
    pub us: Option<u64>,
}

/// One kind of error.
#[derive(Clone, Debug, Serialize)]
pub struct Error {
    /// Stable key: `attempt.refused`.
    pub kind: String,
    /// In words.
    pub text: String,
    /// How often.
    pub count: u64,
    /// From T0.
    pub first_s: f64,
    /// From T0.
    pub last_s: f64,
    /// Phase of the first one.
    pub first_phase: String,
    /// A device it happened to.
    pub example: String,
    /// The generator itself is to blame.
    pub blames_generator: bool,
}

/// What the reference backend counted itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Backend {
    /// Per node.
    pub nodes: Vec<BackendNode>,
}

/// One node of the reference backend.
#[derive(Clone, Debug, Serialize)]
pub struct BackendNode {
    /// Index.
    pub node: u16,
    /// Its counts.
    pub counts: BTreeMap<String, u64>,
    /// Errors it saw.
    pub errors: Vec<Error>,
}

/// How to get this report again.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    /// Version of fleetstorm that ran.
    pub version: String,
    /// Version of fleetstorm that wrote this report.
    pub reported_by: String,
    /// Format of the run directory.
    pub format: u32,
    /// The command line, without secrets.
    pub command: Vec<String>,
    /// What the command line changed of the scenario.
    pub overrides: Vec<String>,
    /// Run id, eight hex digits.
    pub run_id: String,
    /// Addresses of the target, resolved and pinned; none of a simulated run.
    pub targets: Vec<String>,
    /// Devices of each worker.
    pub workers: Vec<u32>,
    /// Host facts; none of a simulated run, which is the same on every host.
    pub host: BTreeMap<String, String>,
    /// SHA-256 of the scenario's text alone.
    pub scenario_sha256: String,
    /// The scenario, verbatim.
    pub scenario_text: String,
}

/// One second (or, thinned, several) of the timeline.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// End of the second, from T0.
    pub at_s: f64,
    /// Devices with power.
    pub powered: u64,
    /// Devices with a session.
    pub connected: u64,
    /// Publishes due on devices and neither sent nor given up.
    pub waiting: u64,
    /// Attempts begun.
    pub attempts: u64,
    /// CONNACKs.
    pub connects: u64,
    /// Attempts that failed.
    pub attempt_failures: u64,
    /// Attempts that ended by the device's own timeout after their CONNECT was written.
    pub wasted: u64,
    /// Arrivals of schedules.
    pub planned: u64,
    /// First writes.
    pub sent: u64,
    /// PUBACKs, and writes of QoS 0.
    pub acked: u64,
    /// Response time of the publishes that ended in this second, live and replayed.
    pub p50_us: Option<u64>,
    /// See `p50_us`.
    pub p99_us: Option<u64>,
    /// See `p50_us`.
    pub p99_9_us: Option<u64>,
}

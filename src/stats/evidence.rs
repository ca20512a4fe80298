//! Lines of `events.jsonl`: what happened in the run besides the numbers of each second. The run
//! writes them append-only; the report reads them back.

use super::recorder::{ErrorCount, Totals};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the run directory's format.
pub const FORMAT: u32 = 1;

/// One line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// First line: what ran, where, with what.
    Header(Box<Header>),
    /// All observers armed, all workers ready: T0 on the run's axis, and the wall clock then
    /// (RFC 3339, UTC; for people, never for arithmetic).
    Started {
        /// T0.
        start: Instant,
        /// Wall clock at T0.
        wall_clock: String,
    },
    /// A phase began (index), `at` on the run's axis.
    Phase {
        /// Index into the plan's phases.
        index: usize,
        /// When.
        at: Instant,
    },
    /// A fault began or cleared (index into the plan's faults).
    Fault {
        /// Index into the plan's faults.
        index: usize,
        /// True at its clearing.
        cleared: bool,
        /// When.
        at: Instant,
    },
    /// Something a reader must know, that makes no verdict by itself.
    Warning {
        /// When.
        at: Instant,
        /// Sentence for people.
        text: String,
    },
    /// A worker or backend process ended or fell silent before its time.
    Lost {
        /// `worker 3` or `backend node 0`.
        process: String,
        /// When, on the run's axis.
        at: Instant,
        /// How: `killed by signal 9`, `silent for 3 s`, `exit status 1: …`.
        how: String,
    },
    /// The operator stopped the run (SIGINT 2, SIGTERM 15).
    Interrupted {
        /// When.
        at: Instant,
        /// Signal number.
        signal: i32,
    },
    /// The reference backend's own counts, one line per node.
    Backend {
        /// Node index.
        node: u16,
        /// Its truth.
        counts: BTreeMap<String, u64>,
        /// Errors it saw.
        errors: Vec<ErrorCount>,
    },
    /// Last line of a run that came to its end (also an interrupted one): merged totals.
    Outcome(Box<Outcome>),
}

/// What ran, where, with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// `live` or `simulated`.
    pub mode: String,
    /// Version of fleetstorm.
    pub version: String,
    /// The command line, without secrets.
    pub command: Vec<String>,
    /// What it changed of the scenario.
    pub overrides: Overrides,
    /// Hash of scenario text and overrides.
    pub plan_hash: String,
    /// Run id, eight hex digits.
    pub run_id: String,
    /// Effective seed.
    pub seed: u64,
    /// Addresses of the target, resolved and pinned.
    pub targets: Vec<String>,
    /// Workers and the devices each owns.
    pub workers: Vec<u32>,
    /// Host facts for provenance: name -> value (`kernel`, `cpu`, `cores`, `memory`, `nofile`, …).
    pub host: BTreeMap<String, String>,
}

/// What the command line changes of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overrides {
    /// `--target URL`, replaces the scenario's target.
    pub targets: Vec<String>,
    /// `--devices N`, scales all cohorts together.
    pub devices: Option<u32>,
    /// `--seed N`.
    pub seed: Option<u64>,
}

/// How the run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// When the last phase ended (or the run was stopped), on the run's axis.
    pub end: Instant,
    /// When the drain ended.
    pub drained: Instant,
    /// Whether the drain came to its end (nothing in flight and idle) rather than to its limit.
    pub drain_complete: bool,
    /// Of all workers.
    pub totals: Totals,
}

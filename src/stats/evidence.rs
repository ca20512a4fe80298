//! Lines of `events.jsonl`: what happened in the run besides the numbers of each second. The run
//! writes them append-only; the report reads them back.

use super::lines::{LineError, read_lines};
use super::recorder::{ErrorCount, Totals};
use super::results::CampaignMark;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Version of the run directory's format.
pub const FORMAT: u32 = 1;

/// One line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// First line: what ran, where, with what.
    Header(Box<Header>),
    /// All observers armed, all workers ready: T0 on the run's axis, and the wall clock then
    /// (RFC 3339, UTC; for people, never for arithmetic), empty in a simulated run.
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
    /// Something happened to a campaign as a whole (index into the plan's campaigns).
    Campaign {
        /// Index into the plan's campaigns.
        campaign: u16,
        /// When.
        at: Instant,
        /// What.
        mark: CampaignMark,
    },
    /// A fleet command's targets are fixed (index into the plan's commands).
    CommandStarted {
        /// Index into the plan's commands.
        command: u16,
        /// When.
        at: Instant,
        /// How many.
        targets: u32,
    },
    /// Last line of a run that came to its end (also an interrupted one): merged totals.
    Outcome(Box<Outcome>),
}

/// In which world a run ran.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Over real connections, in wall-clock time: a measurement.
    Live,
    /// In virtual time, with the reference backend as the model: a prediction.
    Simulated,
}

impl Mode {
    /// Whether what the run says is a prediction.
    pub const fn is_simulated(self) -> bool {
        matches!(self, Self::Simulated)
    }
}

/// What ran, where, with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// In which world.
    pub mode: Mode,
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
    /// Host facts for provenance: name -> value (`kernel`, `cpu`, `cores`, `memory`, `nofile`, …);
    /// empty in a simulated run, which is the same on every host.
    pub host: BTreeMap<String, String>,
    /// Facts of a simulated run's model: name -> value (`link`, `service law`, …); none of a live
    /// run's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub model: BTreeMap<String, String>,
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
    /// Nodes of the embedded target whatever the fleet's size, so that a search over sizes keeps the
    /// target as it is.
    #[serde(default)]
    pub nodes: Option<u16>,
    /// What a search changes besides.
    #[serde(default)]
    pub probe: Option<Probe>,
}

/// A change of a scenario by which a search tells how far a storm's load must fall.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The last phase is made longer, so that the run has this length in seconds.
    pub length_s: u32,
    /// Who is without power, and when; `None` = as the scenario has it.
    pub power: Option<ProbePower>,
}

/// Who is without power in a search's trial, and when.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbePower {
    /// A part of the fleet, from an instant on.
    Park {
        /// From T0, in seconds.
        at_s: u32,
        /// How many of a thousand devices, 1 to 999.
        parked_permille: u16,
    },
    /// All devices for as long as the outage of a phase lasts, in its place; then power comes back
    /// to them at an even rate.
    Readmit {
        /// Index into the plan's phases.
        phase: usize,
        /// Devices per second, at least 1.
        rate_per_s: u32,
    },
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
    /// Events a simulated run handled (queue pops that called an actor); `None` of a live run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
}

/// Name of the file in a run directory.
pub const FILE_NAME: &str = "events.jsonl";

/// Appends lines to `events.jsonl`.
#[derive(Debug)]
pub struct Writer {
    file: File,
}

impl Writer {
    /// Creates the file in `dir`, which must exist.
    ///
    /// # Errors
    /// If it exists already or cannot be created.
    pub fn create(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE_NAME);
        let file = File::create_new(&path)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
        Ok(Self { file })
    }

    /// Appends one line in one write, so that what a killed process had said is whole.
    ///
    /// # Errors
    /// If it cannot be written; the run's evidence is then incomplete.
    pub fn append(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.write_all(&text)
    }

    /// Writes all to the disk itself. To be called once, at the end.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Reads `events.jsonl` of `dir`: its lines in order, and a warning for people if the last one was
/// torn and is left out.
///
/// # Errors
/// If the file is missing, or a line before the last one is not a [`Line`].
pub fn read(dir: &Path) -> Result<(Vec<Line>, Option<String>), EvidenceError> {
    let path = dir.join(FILE_NAME);
    let mut lines = Vec::new();
    let torn = read_lines(&path, |number, text| {
        let line = serde_json::from_str(text).map_err(|source| EvidenceError::BadLine {
            path: path.display().to_string(),
            line: number,
            source,
        })?;
        lines.push(line);
        Ok::<(), EvidenceError>(())
    })?;
    Ok((lines, torn))
}

/// Why `events.jsonl` could not be read.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The file cannot be read as lines.
    #[error(transparent)]
    Lines(#[from] LineError),
    /// A line before the last one is damaged.
    #[error("{path}, line {line}: not an event: {source}")]
    BadLine {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::packet::ConnectCode;
    use crate::stats::event::Cause;
    use crate::stats::recorder::ErrorKind;
    use std::fs;

    fn lines() -> Vec<Line> {
        let at = Instant::from_ns(u64::MAX - 1);
        let header = Header {
            format: FORMAT,
            mode: Mode::Live,
            version: "0.1.0".into(),
            command: vec!["fleetstorm".into(), "run\n\"x\"".into()],
            overrides: Overrides::default(),
            plan_hash: "ab".into(),
            run_id: "0000002a".into(),
            seed: u64::MAX,
            targets: vec!["127.0.0.1:1883".into()],
            workers: vec![5, 5],
            host: BTreeMap::from([("kernel".into(), "6.1".into())]),
            model: BTreeMap::new(),
        };
        let error = ErrorCount {
            kind: ErrorKind::Attempt(Cause::ConnAck(ConnectCode::ServerUnavailable)),
            count: 3,
            first: Instant::ZERO,
            last: at,
            example_device: 7,
        };
        let totals = Totals {
            books: vec![vec![Default::default(); 2]],
            availability: vec![(12.5, 0.1)],
            errors: vec![error.clone()],
            ..Totals::default()
        };
        let outcome = Outcome {
            end: at,
            drained: Instant::NEVER,
            drain_complete: true,
            totals,
            events: None,
        };
        vec![
            Line::Header(Box::new(header)),
            Line::Started {
                start: at,
                wall_clock: "2026-01-01T00:00:00Z".into(),
            },
            Line::Backend {
                node: 1,
                counts: BTreeMap::from([("publishes".into(), 9)]),
                errors: vec![error],
            },
            Line::Outcome(Box::new(outcome)),
        ]
    }

    #[test]
    fn lines_come_back_and_every_cut_is_a_prefix() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut writer = Writer::create(dir.path()).expect("empty directory");
        let lines = lines();
        for line in &lines {
            writer.append(line).expect("writable");
        }
        writer.finish().expect("writable");
        assert_eq!(read(dir.path()).expect("own file"), (lines.clone(), None));
        assert!(Writer::create(dir.path()).is_err());

        let path = dir.path().join(FILE_NAME);
        let bytes = fs::read(&path).expect("readable");
        for cut in 0..bytes.len() {
            fs::write(&path, &bytes[..cut]).expect("writable");
            let (read, warning) = read(dir.path()).expect("only the tail is torn");
            assert!(lines.starts_with(&read));
            assert_eq!(warning.is_none(), cut == 0 || bytes[cut - 1] == b'\n');
        }
    }

    #[test]
    fn a_damaged_line_before_the_tail_is_an_error() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut writer = Writer::create(dir.path()).expect("empty directory");
        lines()
            .iter()
            .for_each(|l| writer.append(l).expect("writable"));
        let path = dir.path().join(FILE_NAME);
        let text = fs::read_to_string(&path).expect("readable");
        fs::write(&path, text.replace("\"started\"", "\"begun\"")).expect("writable");
        let error = read(dir.path()).expect_err("damaged").to_string();
        assert!(
            error.contains("events.jsonl, line 2: not an event"),
            "{error}"
        );
    }
}

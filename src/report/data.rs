//! Everything a run directory says, read back: with `tables` the only file of the
//! report that reads evidence.

mod tables;

use super::ReportError;
use super::campaign;
use super::findings::Findings;
use super::objective::harm;
use crate::scenario::file::{self, Secrets};
use crate::scenario::plan::Plan;
use crate::stats::evidence::{self, FORMAT, Header, Line, Outcome};
use crate::stats::histogram::Histogram;
use crate::stats::recorder::ErrorCount;
use crate::stats::results::Finding;
use crate::stats::series::{self, Metric, SeriesData};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::path::Path;

/// A run directory in memory.
#[derive(Clone, Debug)]
pub struct RunData {
    /// The scenario, verbatim.
    pub scenario_text: String,
    /// The scenario with the overrides applied.
    pub plan: Plan,
    /// What ran, where, with what.
    pub header: Header,
    /// T0 and the wall clock then; `None` if the run never started.
    pub started: Option<(Instant, String)>,
    /// Warnings with their instants.
    pub warnings: Vec<(Instant, String)>,
    /// Lost processes: which, when, how.
    pub lost: Vec<(String, Instant, String)>,
    /// When and by which signal the run was stopped.
    pub interrupted: Option<(Instant, i32)>,
    /// The reference backend's own counts and errors by node.
    pub backends: BTreeMap<u16, (BTreeMap<String, u64>, Vec<ErrorCount>)>,
    /// How the run ended; `None` if its last line is missing.
    pub outcome: Option<Outcome>,
    /// Seconds, generator rows and histograms.
    pub series: SeriesData,
    /// Response times of live publishes due before a fault, and due while its backlog drained, by
    /// fault; only of faults of which an objective asks for them.
    pub live_due: BTreeMap<usize, [Histogram; 2]>,
    /// What campaigns, commands and queries left.
    pub findings: Findings,
    /// What the readers of the files had to leave out (torn last lines).
    pub notes: Vec<String>,
    /// Why the series, or the rows of campaigns, commands and queries, could not be read at all.
    pub damaged: Option<String>,
}

impl RunData {
    /// A run of `plan` of which nothing is known but its header.
    pub fn new(scenario_text: String, plan: Plan, header: Header) -> Self {
        Self {
            findings: Findings::of(&plan),
            scenario_text,
            plan,
            header,
            started: None,
            warnings: Vec::new(),
            lost: Vec::new(),
            interrupted: None,
            backends: BTreeMap::new(),
            outcome: None,
            series: SeriesData::default(),
            live_due: BTreeMap::new(),
            notes: Vec::new(),
            damaged: None,
        }
    }

    /// Reads the run directory `dir`. Series that cannot be read do not end it: the report then
    /// says so.
    ///
    /// # Errors
    /// If the events cannot be read, do not begin with a header, or the scenario does not parse.
    pub fn read(dir: &Path) -> Result<Self, ReportError> {
        let (lines, torn) = evidence::read(dir)?;
        let mut lines = lines.into_iter();
        let Some(Line::Header(header)) = lines.next() else {
            return Err(ReportError::NoHeader);
        };
        if header.format != FORMAT {
            return Err(ReportError::Format(header.format));
        }
        let path = dir.join("scenario.yaml");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(ReportError::Read { path, source }),
        };
        let overrides = &header.overrides;
        let plan = file::parse("scenario.yaml", &text, dir, overrides, Secrets::Ignore)
            .map_err(ReportError::Scenario)?;
        let mut run = Self::new(text, plan, *header);
        for line in lines {
            run.take(line);
        }
        run.notes.extend(torn);
        if let Err(error) = tables::read(dir, &mut run) {
            run.damaged = Some(error);
        }
        match series::read(dir) {
            Ok(series) => {
                run.series = series;
                run.read_live_due(dir);
                run.read_telemetry(dir);
            }
            Err(error) => {
                run.damaged.get_or_insert_with(|| error.to_string());
            }
        }
        run.notes.append(&mut run.series.warnings);
        Ok(run)
    }

    /// Reads what the harm of backlogs is judged by.
    fn read_live_due(&mut self, dir: &Path) {
        for fault in harm::asked(&self.plan) {
            let Ok(stretch) = harm::stretch(self, fault) else {
                continue;
            };
            let spans = [stretch.before_s, stretch.draining_s];
            match series::read_due(dir, Metric::AckResponse, &spans) {
                Ok(due) => {
                    let due = due.try_into().expect("one histogram per span");
                    self.live_due.insert(fault, due);
                }
                Err(error) => self.notes.push(error.to_string()),
            }
        }
    }

    /// Reads the response times of live publishes before and during each campaign.
    fn read_telemetry(&mut self, dir: &Path) {
        for index in 0..self.plan.campaigns.len() {
            let Some(spans) = campaign::telemetry_spans(self, index) else {
                continue;
            };
            match series::read_due(dir, Metric::AckResponse, &spans) {
                Ok(due) => {
                    let due = due.try_into().expect("one histogram per span");
                    self.findings.campaigns[index].telemetry = Some(due);
                }
                Err(error) => self.notes.push(error.to_string()),
            }
        }
    }

    /// Takes a line of `events.jsonl`. Phase and fault lines say nothing the plan does not.
    fn take(&mut self, line: Line) {
        match line {
            Line::Header(header) => self.header = *header,
            Line::Started { start, wall_clock } => self.started = Some((start, wall_clock)),
            Line::Phase { .. } | Line::Fault { .. } => {}
            Line::Campaign { campaign, at, mark } => {
                self.findings.take(Finding::Campaign { campaign, at, mark });
            }
            Line::CommandStarted {
                command,
                at,
                targets,
            } => self.findings.take(Finding::CommandStarted {
                command,
                at,
                targets,
            }),
            Line::Warning { at, text } => self.warnings.push((at, text)),
            Line::Lost { process, at, how } => self.lost.push((process, at, how)),
            Line::Interrupted { at, signal } => self.interrupted = Some((at, signal)),
            Line::Backend {
                node,
                counts,
                errors,
            } => {
                self.backends.insert(node, (counts, errors));
            }
            Line::Outcome(outcome) => self.outcome = Some(*outcome),
        }
    }

    /// Seconds from T0 to `at`, zero if the run had not started by then.
    pub fn seconds_of(&self, at: Instant) -> f64 {
        let start = self.started.as_ref().map_or(at, |(start, _)| *start);
        at.since(start).as_secs_f64()
    }

    /// Whether the run came to its planned end and says so.
    pub fn is_complete(&self) -> bool {
        self.outcome.is_some() && self.interrupted.is_none()
    }

    /// Seconds from T0 to the end of load, as far as the evidence reaches.
    pub fn ended_s(&self) -> f64 {
        match &self.outcome {
            Some(outcome) => self.seconds_of(outcome.end),
            None => (self.series.rows.last()).map_or(0.0, |row| f64::from(row.second) + 1.0),
        }
    }

    /// Values of `metrics` in `phases`, merged.
    pub fn merged(&self, metrics: &[Metric], phases: &[usize]) -> Histogram {
        let mut all = Histogram::new();
        for ((metric, phase), histogram) in &self.series.histograms {
            if metrics.contains(metric) && phases.contains(&usize::from(*phase)) {
                all.merge(histogram);
            }
        }
        all
    }
}

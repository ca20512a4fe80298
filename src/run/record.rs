//! What a run appends to its directory as it goes: events and series, live and simulated alike.

use super::error::RunError;
use crate::scenario::plan::Plan;
use crate::stats::evidence::{self, Line};
use crate::stats::recorder::Snapshot;
use crate::stats::results::Finding;
use crate::stats::series::{self, PhaseMark, Second};
use std::io;
use std::path::Path;

/// The files of a run directory that grow with the run.
#[derive(Debug)]
pub(super) struct Record {
    events: evidence::Writer,
    series: series::Writer,
}

impl Record {
    /// Creates the files in `dir`.
    ///
    /// # Errors
    /// If one cannot be written.
    pub(super) fn create(dir: &Path, plan: &Plan) -> Result<Self, RunError> {
        Ok(Self {
            events: evidence::Writer::create(dir).map_err(unwritten)?,
            series: series::Writer::create(dir, &phase_marks(plan)).map_err(unwritten)?,
        })
    }

    /// Appends a line to the events.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn line(&mut self, line: &Line) -> Result<(), RunError> {
        self.events.append(line).map_err(unwritten)
    }

    /// Appends what campaigns, commands and queries came to.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn findings(&mut self, findings: &[Finding]) -> Result<(), RunError> {
        for finding in findings {
            match *finding {
                Finding::Campaign { campaign, at, mark } => {
                    self.line(&Line::Campaign { campaign, at, mark })?;
                }
                Finding::CommandStarted {
                    command,
                    at,
                    targets,
                } => self.line(&Line::CommandStarted {
                    command,
                    at,
                    targets,
                })?,
                Finding::Result(_) | Finding::Command(_) | Finding::Query(_) => {}
            }
        }
        Ok(())
    }

    /// Appends second number `second`, put together from the snapshots of the workers, to the series.
    ///
    /// # Errors
    /// If it cannot be written, or a snapshot is damaged.
    pub(super) fn second(
        &mut self,
        second: u32,
        snapshots: &[(u32, Snapshot)],
    ) -> Result<Second, RunError> {
        let mut merged = Second::new(second);
        for (worker, snapshot) in snapshots {
            merged.add(*worker, snapshot).map_err(|error| {
                RunError::Internal(format!("second {second} of worker {worker}: {error}"))
            })?;
        }
        self.series.append(&merged).map_err(unwritten)?;
        Ok(merged)
    }

    /// Appends a second of a run that had no generator to watch.
    ///
    /// # Errors
    /// As [`Record::second`].
    pub(super) fn simulated_second(&mut self, snapshot: &Snapshot) -> Result<Second, RunError> {
        let mut second = Second::new(snapshot.second);
        second
            .add(0, snapshot)
            .map_err(|error| RunError::Internal(format!("second {}: {error}", snapshot.second)))?;
        second.generator.clear();
        self.series.append(&second).map_err(unwritten)?;
        Ok(second)
    }

    /// Writes all to the disk itself, at the end of the run.
    ///
    /// # Errors
    /// If that fails.
    pub(super) fn finish(self) -> Result<(), RunError> {
        self.events.finish().map_err(unwritten)?;
        self.series.finish().map_err(unwritten)
    }
}

pub(super) fn unwritten(error: io::Error) -> RunError {
    RunError::Evidence(error.to_string())
}

fn phase_marks(plan: &Plan) -> Vec<PhaseMark> {
    plan.phases
        .iter()
        .map(|phase| PhaseMark {
            name: phase.name.clone(),
            end: phase.start + phase.length,
        })
        .collect()
}

//! From a run directory to a verdict and pages: reads only run directories, never sees devices.
//!
//! ```text
//! run directory -> data::RunData -> objective, judge -> assemble -> value::Report
//!                                          value::Report -> json, html, junit, markdown, text
//! ```
//!
//! Renderers are pure functions of the [`Report`]; only [`build`] reads and only [`write_all`]
//! writes.

pub mod assemble;
mod campaign;
mod commands;
pub mod data;
pub mod findings;
#[cfg(test)]
mod fixture;
pub mod html;
pub mod json;
pub mod judge;
pub mod junit;
pub mod markdown;
pub mod objective;
mod plots;
mod prediction;
mod recovery;
mod summary;
#[cfg(test)]
mod tests;
pub mod text;
pub mod units;
pub mod value;
mod window;
mod words;

pub use text::summary_line;
pub use value::Report;

use crate::scenario::file::ScenarioErrors;
use crate::stats::evidence::EvidenceError;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Files that [`write_all`] leaves in the run directory.
pub const FILES: [&str; 4] = ["report.json", "report.html", "junit.xml", "summary.md"];

/// What GitHub takes of a step's summary: 1 MiB.
const STEP_SUMMARY_MAX_BYTES: u64 = 1024 * 1024;

/// Reads the run directory `dir` and judges the run.
///
/// # Errors
/// If the directory does not hold a run: no readable `events.jsonl` with a header, no
/// `scenario.yaml`, or a scenario that does not parse. A run that was killed half-way gives a
/// report that says so.
pub fn build(dir: &Path) -> Result<Report, ReportError> {
    Ok(assemble::report(&data::RunData::read(dir)?))
}

/// Writes all pages into `dir`, each whole or not at all, and appends `summary.md` to
/// `step_summary` (the file that `$GITHUB_STEP_SUMMARY` names) if it still fits there.
///
/// # Errors
/// If a file cannot be written.
pub fn write_all(
    report: &Report,
    dir: &Path,
    step_summary: Option<&Path>,
) -> Result<(), ReportError> {
    let summary = markdown::render(report);
    let pages = [
        json::render(report),
        html::render(report),
        junit::render(report),
        summary.clone(),
    ];
    for (name, page) in FILES.iter().zip(&pages) {
        write_whole(&dir.join(name), page)?;
    }
    match step_summary {
        Some(path) => append(path, &summary),
        None => Ok(()),
    }
}

/// Replaces `path` in one step, so that no reader and no crash ever sees half a page.
fn write_whole(path: &Path, content: &str) -> Result<(), ReportError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let write = || -> io::Result<()> {
        let mut file = File::create(&partial)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        // The new name must survive a crash as well as the content.
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
    };
    write().map_err(|source| ReportError::Write {
        path: path.to_owned(),
        source,
    })
}

fn append(path: &Path, summary: &str) -> Result<(), ReportError> {
    let write = || -> io::Result<()> {
        let mut file = File::options().append(true).create(true).open(path)?;
        let size = file.metadata()?.len() + summary.len() as u64;
        if size > STEP_SUMMARY_MAX_BYTES {
            // GitHub would refuse the whole step's summary; summary.md has it.
            return Ok(());
        }
        file.write_all(summary.as_bytes())
    };
    write().map_err(|source| ReportError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Why no report could be made or written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file of the run directory cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The events cannot be read.
    #[error(transparent)]
    Events(#[from] EvidenceError),
    /// The first event is not a header.
    #[error("events.jsonl does not begin with the run's header")]
    NoHeader,
    /// The run directory is of another format.
    #[error("the run directory has format {0}, this version reads {format}", format = crate::stats::evidence::FORMAT)]
    Format(u32),
    /// `scenario.yaml` of the run directory is not the scenario that ran.
    #[error("the run's scenario does not parse: {0}")]
    Scenario(ScenarioErrors),
    /// A page cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

//! Replays a run directory's input logs in virtual time: fresh devices of the run's own plan must
//! do what the live ones did, byte for byte. Reads only; the verdict of the run does not need it.

use crate::device::record::Record;
use crate::device::replay::{Compared, Replay, ReplayError};
use crate::scenario::file::{self, ScenarioErrors, Secrets};
use crate::scenario::plan::Plan;
use crate::stats::evidence::{self, EvidenceError, FORMAT, Header, Line};
use crate::stats::input_log::{self, Contents, InputLogError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a replay found.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// What is the same, up to the difference if there is one.
    pub compared: Compared,
    /// The first thing that is not, in the order of the workers and of their logs.
    pub difference: Option<ReplayError>,
    /// What the logs do not hold: torn last lines, ends that are missing, limits reached.
    pub notes: Vec<String>,
}

/// Replays the run directory `dir`. `credentials` is the folder of the scenario file, from which
/// credentials are resolved as in the run; only scenarios whose topics, payloads or client
/// identifiers use `{id}` need it.
///
/// # Errors
/// If the directory is none of a run, the run did not record inputs, or a log is damaged.
pub fn replay(dir: &Path, credentials: Option<&Path>) -> Result<Replayed, ReadError> {
    let header = header(dir)?;
    let plan = Arc::new(plan(dir, &header, credentials)?);
    let run = u32::from_str_radix(&header.run_id, 16)
        .map_err(|_| ReadError::RunId(header.run_id.clone()))?;
    let mut replayed = Replayed {
        compared: Compared::default(),
        difference: None,
        notes: Vec::new(),
    };
    // The operator's process has no devices, and so no log.
    let with_devices = (0u32..).zip(&header.workers).filter(|worker| *worker.1 > 0);
    for (worker, _) in with_devices {
        let path = input_log::path(dir, worker);
        if !path.exists() {
            return Err(ReadError::NoLog(path));
        }
        let mut replay = None;
        let mut foreign = false;
        let contents = input_log::read(&path, |log, record: Record| {
            foreign |= log.run_id != header.run_id || log.plan_hash != header.plan_hash;
            if foreign || replayed.difference.is_some() {
                return;
            }
            let replay = replay.get_or_insert_with(|| Replay::new(&plan, run, log.start));
            replayed.difference = replay.feed(&record).err();
        })?;
        if foreign {
            return Err(ReadError::Foreign(path));
        }
        replayed.notes.extend(notes(&path, contents));
        let compared = replay.as_ref().map(Replay::compared).unwrap_or_default();
        replayed.compared.devices += compared.devices;
        replayed.compared.inputs += compared.inputs;
        replayed.compared.packets += compared.packets;
    }
    Ok(replayed)
}

fn header(dir: &Path) -> Result<Header, ReadError> {
    let (lines, _) = evidence::read(dir)?;
    let Some(Line::Header(header)) = lines.into_iter().next() else {
        return Err(ReadError::NoHeader);
    };
    if header.format != FORMAT {
        return Err(ReadError::Format(header.format));
    }
    Ok(*header)
}

fn plan(dir: &Path, header: &Header, credentials: Option<&Path>) -> Result<Plan, ReadError> {
    let path = dir.join("scenario.yaml");
    let text =
        std::fs::read_to_string(&path).map_err(|source| ReadError::Scenario { path, source })?;
    // Records hold neither user names nor passwords, so no secret is needed.
    let (base, secrets) = match credentials {
        Some(folder) => (folder, Secrets::Resolve),
        None => (dir, Secrets::Ignore),
    };
    let plan = file::parse("scenario.yaml", &text, base, &header.overrides, secrets)
        .map_err(ReadError::Parse)?;
    if plan.hash != header.plan_hash {
        return Err(ReadError::Foreign(dir.join("scenario.yaml")));
    }
    if credentials.is_none() && plan.shows_ids() {
        return Err(ReadError::NeedsCredentials);
    }
    Ok(plan)
}

/// What a reader must know of a log that does not hold all.
fn notes(path: &Path, contents: Contents) -> Vec<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut notes: Vec<String> = contents.torn.into_iter().collect();
    match (contents.header, contents.end) {
        (None, _) => notes.push(format!("{name}: its worker ended before T0")),
        (Some(_), None) => notes.push(format!(
            "{name}: no end: its worker was killed, or the file is cut short"
        )),
        (Some(_), Some(end)) if end.left_out > 0 => notes.push(format!(
            "{name}: {} records came after the log was full and are left out",
            end.left_out
        )),
        (Some(_), Some(_)) => {}
    }
    notes
}

/// Why a run directory cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The events cannot be read.
    #[error(transparent)]
    Events(#[from] EvidenceError),
    /// The first event is not a header.
    #[error("events.jsonl does not begin with the run's header")]
    NoHeader,
    /// The run directory is of another format.
    #[error("the run directory has format {0}, this version reads {FORMAT}")]
    Format(u32),
    /// The header's run id is none.
    #[error("`{0}` is not a run id")]
    RunId(String),
    /// The scenario cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Scenario {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The scenario is wrong, or this version understands it otherwise.
    #[error("the run's scenario does not parse: {0}")]
    Parse(ScenarioErrors),
    /// The scenario uses `{id}`, and nothing says what that is.
    #[error("the scenario uses `{{id}}`: name the folder of its credentials CSV")]
    NeedsCredentials,
    /// The run recorded no inputs, or the log of one worker is lost.
    #[error("{} is missing: was the run started with --record-inputs?", .0.display())]
    NoLog(PathBuf),
    /// A log cannot be read.
    #[error(transparent)]
    Log(#[from] InputLogError),
    /// A file belongs to another run.
    #[error("{} is not of this run", .0.display())]
    Foreign(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_run_is_an_error() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert!(matches!(
            replay(dir.path(), None),
            Err(ReadError::Events(_))
        ));
    }
}

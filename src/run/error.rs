//! Why a run, live or simulated, gave nothing to judge.

use super::directory::DirectoryError;
use super::preflight::PreflightError;
use crate::scenario::file::ScenarioErrors;

/// Why there is nothing to judge.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario is wrong.
    #[error("{0}")]
    Scenario(ScenarioErrors),
    /// The command line asks for what cannot be done.
    #[error("{0}")]
    Usage(String),
    /// This machine or the target will not do.
    #[error("{0}")]
    Preflight(#[from] PreflightError),
    /// The run directory cannot be written.
    #[error("evidence cannot be written: {0}")]
    Evidence(String),
    /// The run could not begin.
    #[error("the run did not start: {0}")]
    NotStarted(String),
    /// The operator stopped it before T0, or pressed Ctrl-C a second time (signal number).
    #[error("stopped by signal {0}")]
    Stopped(i32),
    /// The system failed us.
    #[error("{0}")]
    Internal(String),
}

impl From<DirectoryError> for RunError {
    fn from(error: DirectoryError) -> Self {
        Self::Evidence(error.to_string())
    }
}

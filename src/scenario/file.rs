//! The YAML file: serde mirror, checks, and errors that name line, column and the fix.

use super::plan::Plan;
pub use crate::stats::evidence::Overrides;
use std::path::Path;

/// Whether `${env:…}`, `${file:…}` and the credentials CSV are read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// They must resolve.
    Resolve,
    /// They stay empty: enough to judge and to render.
    Ignore,
}

/// All that is wrong with a scenario, at once.
#[derive(Debug)]
pub struct ScenarioErrors(pub Vec<String>);

/// A scenario that was read and checked, with its text.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file's text as it stands.
    pub text: String,
    /// The checked plan.
    pub plan: Plan,
}

/// Reads and checks the scenario at `path`.
pub fn load(
    path: &Path,
    overrides: &Overrides,
    secrets: Secrets,
) -> Result<Loaded, ScenarioErrors> {
    let _ = (path, overrides, secrets);
    todo!("scenario helper")
}

/// Checks scenario text; `base` is the folder that `${file:…}` and CSV paths are relative to and
/// `name` what errors call the file.
pub fn parse(
    name: &str,
    text: &str,
    base: &Path,
    overrides: &Overrides,
    secrets: Secrets,
) -> Result<Plan, ScenarioErrors> {
    let _ = (name, text, base, overrides, secrets);
    todo!("scenario helper")
}

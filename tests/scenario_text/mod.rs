//! Scenarios of a few lines and their plans: shared by the tests that hold the words of a scenario
//! file to what they become.

use fleetstorm::scenario::file::{self, Overrides, Secrets};
use fleetstorm::scenario::plan::Plan;
use std::path::Path;
use std::time::Duration;

/// The plan of `text`, or its errors as text.
pub(crate) fn with(text: &str, overrides: &Overrides) -> Result<Plan, String> {
    file::parse(
        "words.yaml",
        text,
        Path::new("."),
        overrides,
        Secrets::Resolve,
    )
    .map_err(|errors| errors.to_string())
}

/// The plan of `text`, which is valid.
pub(crate) fn plan(text: &str) -> Plan {
    with(text, &Overrides::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// So many seconds.
pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A scenario with `client` and `telemetry` of its one cohort.
pub(crate) fn one(client: &str, telemetry: &str) -> String {
    format!(
        "name: one\nfleet:\n  - {{ cohort: m, devices: 10, client: {client}, telemetry: [{telemetry}] }}\nphases: [{{ name: ramp, power_on: {{ rate: 7/s }} }}]\n"
    )
}

/// Two nodes, a phase of 60 s after a ramp of 2 s, with `faults` in it.
pub(crate) fn faulty(faults: &str) -> String {
    format!(
        "name: one\ntarget: {{ embedded: {{ nodes: 2 }} }}\nfleet: [{{ cohort: m, devices: 10 }}]\nphases:\n  - {{ name: ramp, power_on: {{ rate: 7/s }} }}\n  - {{ name: storm, for: 60s, faults: [{faults}] }}\n"
    )
}

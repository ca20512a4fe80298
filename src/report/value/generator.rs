//! The rules of evidence as the report tells them, and the generator's watch on itself.

use super::counts::fields;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

/// The rules that make a run INVALID, and how the generator of a live run did. In JSON the figures
/// of the watch are keys of `generator` itself (`generator.lag_limit_us`).
#[derive(Clone, Debug)]
pub struct Generator {
    /// The generator's watch on itself; `None` (no keys) of a simulated run, which has none.
    pub watch: Option<Watch>,
    /// The rules, with their constants.
    pub rules: Vec<Rule>,
}

impl Serialize for Generator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(watch) = &self.watch {
            fields(&mut map, watch)?;
        }
        map.serialize_entry("rules", &self.rules)?;
        map.end()
    }
}

/// The generator's watch on itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Watch {
    /// Driver lag p99 of each worker in a second must not exceed this.
    pub lag_limit_us: u64,
    /// Seconds that lie wholly or partly in a judged phase and have a row of some worker.
    pub judged_seconds: u64,
    /// Of those, with any worker over the limit.
    pub seconds_over: u64,
    /// Share of the judged seconds over the limit; above [`Watch::over_limit`] the run is INVALID.
    pub over_share: f64,
    /// See `over_share`.
    pub over_limit: f64,
    /// Driver lag p99 over all timers of the run; `None` if there was none.
    pub lag_p99_us: Option<u64>,
    /// Worst second's p99 in the judged phases.
    pub lag_worst_us: Option<u64>,
    /// Per worker.
    pub workers: Vec<Worker>,
    /// Errors that blame the generator (out of descriptors, ports, buffers).
    pub own_errors: u64,
    /// Telemetry messages that the books call sent and the driver let go.
    pub unsent: u64,
}

/// A rule that makes a run INVALID, and what the run had.
#[derive(Clone, Debug, Serialize)]
pub struct Rule {
    /// What is watched.
    pub name: &'static str,
    /// The limit, in words.
    pub limit: String,
    /// What the run had, in words.
    pub measured: String,
    /// Whether it held.
    pub holds: bool,
}

/// One worker process.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Worker {
    /// Index.
    pub worker: u32,
    /// Devices it owns.
    pub devices: u64,
    /// Seconds with a row.
    pub seconds: u64,
    /// Worst second's driver lag p99.
    pub lag_worst_us: Option<u64>,
    /// Seconds of the judged phases over the lag limit.
    pub seconds_over: u64,
    /// Highest CPU, percent of one core.
    pub cpu_max_percent: f64,
    /// Mean CPU, percent of one core.
    pub cpu_mean_percent: f64,
    /// Seconds with CPU above the warning level.
    pub cpu_seconds_high: u64,
    /// Most open file descriptors.
    pub fds_max: u64,
    /// Most resident memory.
    pub rss_max_bytes: u64,
    /// Most ports in use from one source address to one destination.
    pub ports_max: u64,
}

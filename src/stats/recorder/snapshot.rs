//! What a worker sends to its coordinator once a second.

use super::{ErrorCount, Histogram, Metric};
use crate::stats::series::{Counters, Gauges};
use serde::{Deserialize, Serialize};

/// What a worker process reads about itself once a second.
#[derive(Copy, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessGauges {
    /// CPU used in the last second, percent of one core.
    pub cpu_percent: f32,
    /// Open file descriptors.
    pub fds: u32,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Highest number of connections from one source address to one destination (ports in use).
    pub ports: u32,
}

/// What one worker reports per second: deltas, so that adding up seconds gives the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Second of the run, 0 = the first after T0.
    pub second: u32,
    /// Counts of this second, by completion.
    pub counters: Counters,
    /// Levels at its end.
    pub gauges: Gauges,
    /// The worker process itself.
    pub process: ProcessGauges,
    /// Driver lag p99 of this second in microseconds: the worse of the timers' and the gaps'
    /// between the turns of its loop; `None` if no timer was due and no gap told.
    pub lag_p99_us: Option<u64>,
    /// Values of this second by metric and phase (of the intended instant), V2-encoded.
    pub histograms: Vec<HistogramDelta>,
    /// Errors of this second by cause.
    pub errors: Vec<ErrorCount>,
}

/// Values of one metric and phase in one second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistogramDelta {
    /// What.
    pub metric: Metric,
    /// Index of the phase.
    pub phase: u16,
    /// [`Histogram::to_v2`].
    pub v2: Vec<u8>,
}

/// The values of `metric` in all phases of all `snapshots`; what does not decode is left out. A
/// helper for tests and the live view: the record of a run is made by `series`, which refuses it.
pub fn merge_histograms(snapshots: &[Snapshot], metric: Metric) -> Histogram {
    let mut merged = Histogram::new();
    for delta in snapshots.iter().flat_map(|s| &s.histograms) {
        if delta.metric == metric
            && let Ok(histogram) = Histogram::from_v2(&delta.v2)
        {
            merged.merge(&histogram);
        }
    }
    merged
}

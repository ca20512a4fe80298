//! One recorder per worker: events in, books and delta histograms out; no lock or channel send per
//! message, no allocation per event.

use super::books::{Books, DeliveryCounts};
use super::event::{Cause, Event, Limit};
use super::histogram::Histogram;
use super::series::{Counters, Gauges, Metric};
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// The axes of the books: phases and streams.
#[derive(Clone, Debug)]
pub struct Layout {
    /// T0 on the run's axis.
    pub start: Instant,
    /// End of each phase, ascending; phase i begins where i - 1 ends (0: at `start`). Operations
    /// intended after the last end (or before `start`) count for the last (first) phase.
    pub phase_ends: Vec<Instant>,
    /// Number of streams (`Plan::streams`).
    pub streams: usize,
}

impl Layout {
    /// Index of the phase that `at` belongs to.
    pub fn phase_of(&self, at: Instant) -> usize {
        let _ = at;
        todo!("stats helper")
    }
}

/// Collects what one worker's actors report.
#[derive(Debug)]
pub struct Recorder {
    _layout: Layout,
}

impl Recorder {
    /// A recorder with empty books.
    pub fn new(layout: Layout) -> Self {
        Self { _layout: layout }
    }

    /// Takes one event that happened at `now`; `device` only serves as the example of an error.
    pub fn record(&mut self, now: Instant, device: u32, event: &Event) {
        let _ = (now, device, event);
        todo!("stats helper")
    }

    /// A timer that was due at `deadline` was handled at `now` (driver lag).
    pub fn record_lag(&mut self, deadline: Instant, now: Instant) {
        let _ = (deadline, now);
        todo!("stats helper")
    }

    /// A device not connected when the fault at `fault` (index into `Plan::faults`) cleared at
    /// `cleared`.
    pub fn record_affected(&mut self, fault: usize) {
        let _ = fault;
        todo!("stats helper")
    }

    /// Such a device got its CONNACK at `now`.
    pub fn record_recovered(&mut self, fault: usize, cleared: Instant, now: Instant) {
        let _ = (fault, cleared, now);
        todo!("stats helper")
    }

    /// An observer saw an operation for the first time.
    pub fn record_seen(&mut self, now: Instant, intended: Instant, replayed: bool) {
        let _ = (now, intended, replayed);
        todo!("stats helper")
    }

    /// All that changed since the last call, for the second of the run that ends at `now`
    /// (`second` = 0 for the first after T0).
    pub fn take_snapshot(&mut self, now: Instant, second: u32, process: ProcessGauges) -> Snapshot {
        let _ = (now, second, process);
        todo!("stats helper")
    }

    /// The run's totals. `waiting` and `in_flight` are counted by the caller from the devices' own
    /// state, `planned` from the schedules, so that the books are an independent check.
    pub fn totals(&mut self, now: Instant, audit: &Audit, delivery: DeliveryCounts) -> Totals {
        let _ = (now, audit, delivery);
        todo!("stats helper")
    }
}

/// What the devices' own state says at the end, per `[stream][phase]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Arrivals by the schedule's arithmetic, independent of events.
    pub planned: Vec<Vec<u64>>,
    /// Due and still waiting.
    pub waiting: Vec<Vec<u64>>,
    /// Written and un-ended.
    pub in_flight: Vec<Vec<u64>>,
}

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
    /// Driver lag p99 of this second in microseconds, `None` if no timer was due.
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

/// How often an error happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// What kind.
    pub kind: ErrorKind,
    /// How often.
    pub count: u64,
    /// First and last time, on the run's axis.
    pub first: Instant,
    /// See `first`.
    pub last: Instant,
    /// One device it happened to (index in the fleet).
    pub example_device: u32,
}

/// Kinds of errors that are counted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ErrorKind {
    /// A connection attempt failed.
    Attempt(Cause),
    /// An established connection ended other than by our own will.
    Connection(Cause),
    /// A named limit was reached.
    Limit(Limit),
    /// PUBACK did not come in time.
    AckTimeout,
    /// A device stopped trying.
    GaveUp,
    /// An observer's session failed.
    Observer(Cause),
}

/// A worker's (or, merged, the run's) totals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Per `[stream][phase]`.
    pub books: Vec<Vec<Books>>,
    /// Whether `planned` as counted by events equals the schedule's arithmetic everywhere.
    pub schedule_agrees: bool,
    /// Per phase (of the attempt's end).
    pub attempts: Vec<AttemptCounts>,
    /// Per phase: (device-seconds with a session, expected device-seconds).
    pub availability: Vec<(f64, f64)>,
    /// Per fault: devices not connected when it cleared, and how many of them came back.
    pub recoveries: Vec<Recovery>,
    /// The delivery ledger.
    pub delivery: DeliveryCounts,
    /// Values outside the histograms' range.
    pub out_of_range: u64,
    /// Errors of the whole run.
    pub errors: Vec<ErrorCount>,
}

/// Ended connection attempts.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptCounts {
    /// CONNACK accepted.
    pub accepted: u64,
    /// Failed for any cause.
    pub failed: u64,
}

/// Recovery from one fault.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Devices with power, not connected at the clearing.
    pub affected: u64,
    /// Of those, connected again before the next fault or the end.
    pub recovered: u64,
}

impl Totals {
    /// Adds another worker's totals; errors of one kind are added up.
    pub fn merge(&mut self, other: &Self) {
        let _ = other;
        todo!("stats helper")
    }
}

/// Histograms of `snapshots` merged by (metric, phase): a helper for tests and the live view.
pub fn merge_histograms(snapshots: &[Snapshot], metric: Metric) -> Histogram {
    let _ = (snapshots, metric);
    todo!("stats helper")
}

//! The per-second series: counters, gauges and delta histograms of all workers, written as the run
//! goes (`series.csv`, `generator.csv`, one `.hlog` per metric) and read back by the report.

mod reader;
mod table;
mod writer;

pub use reader::{SeriesData, SeriesError, read, read_due};
pub use writer::{PhaseMark, Writer};

use super::histogram::{Histogram, HistogramError};
use super::recorder::{ErrorCount, ProcessGauges, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a histogram measures; each has a file `<name>.hlog` in the run directory.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Metric {
    /// Attempts, accepted or not: intended to end.
    ConnectLatency,
    /// Fault's clearing to CONNACK; phase = the fault's phase.
    ReconnectTime,
    /// Response time of live publishes: intended to PUBACK (or timeout).
    AckResponse,
    /// The same for publishes that waited for a connection or were retransmitted.
    AckResponseReplayed,
    /// Service time: first write to PUBACK (or timeout), live publishes.
    AckService,
    /// Intended to observer, live publishes.
    EndToEnd,
    /// The same, replayed.
    EndToEndReplayed,
    /// Timer deadline to handling, in the worker, and the gaps between the turns of its loop;
    /// phase = phase of the deadline, or of the gap's begin.
    DriverLag,
    /// Age of the newest sample seen of an observed device, read once in 5 s; phase = of the
    /// reading. Only if an objective asks.
    FreshnessAge,
}

impl Metric {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 9] = [
        Self::ConnectLatency,
        Self::ReconnectTime,
        Self::AckResponse,
        Self::AckResponseReplayed,
        Self::AckService,
        Self::EndToEnd,
        Self::EndToEndReplayed,
        Self::DriverLag,
        Self::FreshnessAge,
    ];

    /// Stem of its file and key in `report.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectLatency => "connect_latency",
            Self::ReconnectTime => "reconnect_time",
            Self::AckResponse => "publish_ack_response",
            Self::AckResponseReplayed => "publish_ack_response_replayed",
            Self::AckService => "publish_ack_service",
            Self::EndToEnd => "e2e_latency",
            Self::EndToEndReplayed => "e2e_latency_replayed",
            Self::DriverLag => "driver_lag",
            Self::FreshnessAge => "freshness_age",
        }
    }
}

/// Counts of one second, by completion.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Attempts begun.
    pub attempts: u64,
    /// CONNACK accepted.
    pub connects: u64,
    /// Attempts failed.
    pub attempt_failures: u64,
    /// Established connections ended.
    pub disconnects: u64,
    /// Arrivals of schedules.
    pub planned: u64,
    /// First writes.
    pub sent: u64,
    /// PUBACKs and PUBCOMPs in time.
    pub acked: u64,
    /// QoS 0 writes.
    pub written: u64,
    /// Ack timeouts.
    pub timed_out: u64,
    /// Operations whose session went.
    pub failed: u64,
    /// Operations skipped or dropped.
    pub unsent: u64,
    /// Second and later writes.
    pub retransmitted: u64,
    /// Late PUBACKs, and PUBACKs that name no operation.
    pub late_acks: u64,
    /// First sightings by observers.
    pub seen: u64,
    /// Timers handled.
    pub timers: u64,
    /// Of `attempt_failures`, ended by the device's own timeout after its CONNECT was written.
    #[serde(default)]
    pub wasted: u64,
    /// First writes of operations that had waited for a connection; part of `sent`.
    #[serde(default)]
    pub replayed: u64,
}

/// Levels at the end of one second.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauges {
    /// Devices with power.
    pub powered: u64,
    /// Devices that count in availability.
    pub expected: u64,
    /// Devices with an established session.
    pub connected: u64,
    /// Operations that are due and neither sent nor given up, on all devices: the backlog.
    #[serde(default)]
    pub waiting: u64,
}

impl Counters {
    /// Adds `other` field by field.
    pub const fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.connects += other.connects;
        self.attempt_failures += other.attempt_failures;
        self.disconnects += other.disconnects;
        self.planned += other.planned;
        self.sent += other.sent;
        self.acked += other.acked;
        self.written += other.written;
        self.timed_out += other.timed_out;
        self.failed += other.failed;
        self.unsent += other.unsent;
        self.retransmitted += other.retransmitted;
        self.late_acks += other.late_acks;
        self.seen += other.seen;
        self.timers += other.timers;
        self.wasted += other.wasted;
        self.replayed += other.replayed;
    }
}

impl Gauges {
    /// Adds `other` field by field.
    pub const fn add(&mut self, other: &Self) {
        self.powered += other.powered;
        self.expected += other.expected;
        self.connected += other.connected;
        self.waiting += other.waiting;
    }
}

/// One second of the whole run: a row of `series.csv`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Second of the run, 0 = the first after T0.
    pub second: u32,
    /// Index of the phase that the second begins in; seconds of the drain have the last phase's.
    pub phase: u16,
    /// Counts of this second, by completion, over all workers.
    pub counters: Counters,
    /// Levels at its end, over all workers.
    pub gauges: Gauges,
    /// Response times in microseconds of the publishes that ended in this second, live and
    /// replayed; `None` if none did.
    pub ack: Percentiles,
    /// 99th percentile in microseconds of the connection attempts that ended in this second.
    pub connect_p99_us: Option<u64>,
}

/// Percentiles of one second's values, in microseconds.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// Median.
    pub p50_us: Option<u64>,
    /// 99th percentile.
    pub p99_us: Option<u64>,
    /// 99.9th percentile.
    pub p999_us: Option<u64>,
}

impl Percentiles {
    /// Those of `histogram`; `None` each if it is empty.
    pub fn of(histogram: &Histogram) -> Self {
        Self {
            p50_us: histogram.percentile_us(50.0),
            p99_us: histogram.percentile_us(99.0),
            p999_us: histogram.percentile_us(99.9),
        }
    }
}

/// How one worker did in one second: a row of `generator.csv`.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub struct GeneratorRow {
    /// Second of the run, 0 = the first after T0.
    pub second: u32,
    /// The worker's number.
    pub worker: u32,
    /// Driver lag p99 in microseconds, of timers or of gaps, whichever is worse; `None` without
    /// either.
    pub lag_p99_us: Option<u64>,
    /// Timers handled.
    pub timers: u64,
    /// The process itself.
    pub process: ProcessGauges,
}

/// The merged second of all workers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Second {
    /// Second of the run, 0 = the first after T0.
    pub second: u32,
    /// Counts over all workers.
    pub counters: Counters,
    /// Levels over all workers.
    pub gauges: Gauges,
    /// A row per worker, in the order of [`Second::add`].
    pub generator: Vec<GeneratorRow>,
    /// Values of this second by metric and phase (of the intended instant).
    pub histograms: BTreeMap<(Metric, u16), Histogram>,
    /// Errors of this second by kind.
    pub errors: Vec<ErrorCount>,
}

impl Second {
    /// An empty second.
    pub fn new(second: u32) -> Self {
        Self {
            second,
            ..Self::default()
        }
    }

    /// Merges what `worker` reported for this second.
    ///
    /// # Errors
    /// If a histogram does not decode; counters and gauges are then merged already, so the second
    /// must not be written.
    pub fn add(&mut self, worker: u32, snapshot: &Snapshot) -> Result<(), HistogramError> {
        self.counters.add(&snapshot.counters);
        self.gauges.add(&snapshot.gauges);
        self.generator.push(GeneratorRow {
            second: self.second,
            worker,
            lag_p99_us: snapshot.lag_p99_us,
            timers: snapshot.counters.timers,
            process: snapshot.process,
        });
        self.errors = ErrorCount::merge(self.errors.iter().chain(&snapshot.errors));
        for delta in &snapshot.histograms {
            let histogram = Histogram::from_v2(&delta.v2)?;
            self.histograms
                .entry((delta.metric, delta.phase))
                .and_modify(|sum| sum.merge(&histogram))
                .or_insert(histogram);
        }
        Ok(())
    }

    /// This second's values of `metrics` in all phases.
    pub fn merged(&self, metrics: &[Metric]) -> Histogram {
        let mut merged = Histogram::new();
        for ((metric, _), histogram) in &self.histograms {
            if metrics.contains(metric) {
                merged.merge(histogram);
            }
        }
        merged
    }

    /// The row of `series.csv`; `phase` is the one the second begins in.
    pub fn row(&self, phase: u16) -> Row {
        let ack = self.merged(&[Metric::AckResponse, Metric::AckResponseReplayed]);
        let connect = self.merged(&[Metric::ConnectLatency]);
        Row {
            second: self.second,
            phase,
            counters: self.counters,
            gauges: self.gauges,
            ack: Percentiles::of(&ack),
            connect_p99_us: connect.percentile_us(99.0),
        }
    }
}

#[cfg(test)]
mod tests;

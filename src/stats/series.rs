//! The per-second series: counters, gauges and delta histograms of all workers, written as the run
//! goes (`series.csv`, one `.hlog` per metric) and read back by the report.

use serde::{Deserialize, Serialize};

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
    /// Timer deadline to handling, in the worker; phase = phase of the deadline.
    DriverLag,
}

impl Metric {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 8] = [
        Self::ConnectLatency,
        Self::ReconnectTime,
        Self::AckResponse,
        Self::AckResponseReplayed,
        Self::AckService,
        Self::EndToEnd,
        Self::EndToEndReplayed,
        Self::DriverLag,
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
    /// PUBACKs in time.
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
}

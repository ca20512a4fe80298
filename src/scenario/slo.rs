//! Objectives: what the run is judged by.

use super::recovery::RecoveryVerdict;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One objective of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// Name for people.
    pub name: String,
    /// What is measured.
    pub indicator: Indicator,
    /// Which statistic of it.
    pub statistic: Statistic,
    /// What it must be.
    pub bound: Bound,
    /// Where in the run.
    pub window: Window,
}

/// What is measured. The name in a scenario and a report is [`Indicator::name`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Indicator {
    /// One attempt: from power-on or the end of its backoff to CONNACK; failures and timeouts
    /// count at the time they took.
    ConnectLatency,
    /// Accepted attempts over all ended attempts.
    ConnectSuccess,
    /// Attempts that ended by the device's own timeout after their CONNECT was written, over all
    /// ended attempts.
    ConnectWasted,
    /// From the fault's clearing to CONNACK, over devices not connected at that instant.
    ReconnectTime,
    /// Devices not connected at the clearing that never came back in the window.
    ReconnectStranded,
    /// What became of the fleet after a fault cleared.
    RecoveryVerdict,
    /// From the stream's schedule to PUBACK or PUBCOMP (response time); timeouts count at their timeout.
    PublishAckLatency,
    /// From the stream's schedule to the observer.
    E2eLatency,
    /// Acknowledged and never seen.
    DeliveryLost,
    /// Seen more than once.
    DeliveryDuplicated,
    /// First deliveries seen out of order.
    DeliveryReordered,
    /// Wills of observed devices that fired.
    WillFired,
    /// Device-seconds with a session over expected device-seconds.
    FleetAvailability,
    /// Most attempts begun in one second after a fault's clearing.
    ReconnectPeakRate,
    /// Attempts begun from a fault's start on, per device without a connection.
    RetryAmplification,
    /// Reconnects with Session Present over all reconnects of persistent sessions.
    SessionResumeRatio,
    /// Mean over intervals of the share of requests that did not fail.
    AvailabilityIntervalAverage,
    /// Minutes in which requests failed.
    AvailabilityBadMinutes,
    /// Age of the newest sample of an observed device that an observer had seen, over time.
    FreshnessAge,
    /// From the fault's clearing until all that a device had planned before it has ended, over devices
    /// on which something waited at that instant.
    BacklogDrainTime,
    /// Of the publishes (QoS 1 and 2) that the fault held up and no policy dropped, the acknowledged
    /// ones.
    BacklogRecoveredRatio,
    /// 99th percentile of live publishes' response times while the backlog of a fault drains, over the
    /// one before the fault.
    BacklogHarm,
}

impl Indicator {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 22] = [
        Self::ConnectLatency,
        Self::ConnectSuccess,
        Self::ConnectWasted,
        Self::ReconnectTime,
        Self::ReconnectStranded,
        Self::RecoveryVerdict,
        Self::PublishAckLatency,
        Self::E2eLatency,
        Self::DeliveryLost,
        Self::DeliveryDuplicated,
        Self::DeliveryReordered,
        Self::WillFired,
        Self::FleetAvailability,
        Self::ReconnectPeakRate,
        Self::RetryAmplification,
        Self::SessionResumeRatio,
        Self::AvailabilityIntervalAverage,
        Self::AvailabilityBadMinutes,
        Self::FreshnessAge,
        Self::BacklogDrainTime,
        Self::BacklogRecoveredRatio,
        Self::BacklogHarm,
    ];

    /// The word used in scenarios and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectLatency => "connect.latency",
            Self::ConnectSuccess => "connect.success",
            Self::ConnectWasted => "connect.wasted",
            Self::ReconnectTime => "reconnect.time",
            Self::ReconnectStranded => "reconnect.stranded",
            Self::RecoveryVerdict => "recovery.verdict",
            Self::PublishAckLatency => "publish.ack_latency",
            Self::E2eLatency => "e2e.latency",
            Self::DeliveryLost => "delivery.lost",
            Self::DeliveryDuplicated => "delivery.duplicated",
            Self::DeliveryReordered => "delivery.reordered",
            Self::WillFired => "will.fired",
            Self::FleetAvailability => "fleet.availability",
            Self::ReconnectPeakRate => "reconnect.peak_rate",
            Self::RetryAmplification => "retry.amplification",
            Self::SessionResumeRatio => "session.resume_ratio",
            Self::AvailabilityIntervalAverage => "availability.interval_average",
            Self::AvailabilityBadMinutes => "availability.bad_minutes",
            Self::FreshnessAge => "freshness.age",
            Self::BacklogDrainTime => "backlog.drain_time",
            Self::BacklogRecoveredRatio => "backlog.recovered_ratio",
            Self::BacklogHarm => "backlog.harm",
        }
    }
}

/// Which statistic of an indicator is held against the bound.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Statistic {
    /// A percentile (0 to 100, exclusive of 0) over events.
    Percentile(f64),
    /// The smallest time within which this share (0 to 1) of the affected devices came back, or had
    /// drained.
    Share(f64),
    /// The indicator is one number.
    Value,
    /// The mean over intervals of this length, whole seconds.
    Intervals(Duration),
    /// The number of minutes in which at least this share (0 to 1, exclusive of 0) of the requests
    /// failed.
    BadMinutes(f64),
    /// The mean over time.
    Mean,
}

/// What the statistic must be.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Bound {
    /// value <= limit.
    AtMost(Limit),
    /// value >= limit.
    AtLeast(Limit),
    /// The verdict on the recovery is this one.
    Is(RecoveryVerdict),
}

/// A limit with its unit.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Limit {
    /// A latency or time.
    Time(Duration),
    /// A ratio from 0 to 1.
    Ratio(f64),
    /// A number of messages or devices.
    Count(u64),
    /// Events per second.
    Rate(f64),
    /// So many times as much or as many.
    Factor(f64),
}

/// Where in the run an objective looks; phases by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// The whole run.
    Run,
    /// These phases.
    During(Vec<usize>),
    /// From the last clearing in this phase to the next fault or the end.
    After(usize),
}

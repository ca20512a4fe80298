//! Objectives: what the run is judged by.

use super::recovery::RecoveryVerdict;
use crate::wire::Reason;
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
    /// Whom it speaks of.
    pub subject: Subject,
}

/// Whom an objective speaks of.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Subject {
    /// The fleet.
    #[default]
    Fleet,
    /// A campaign, or some of its targets.
    Campaign {
        /// Index into `Plan::campaigns`.
        campaign: usize,
        /// Which of its targets.
        among: Among,
        /// Only ends with this reason; `None` = with any.
        reason: Option<Reason>,
    },
    /// A fleet command: index into `Plan::commands`.
    Command(usize),
    /// A fleet query: index into `Plan::queries`.
    Query(usize),
}

/// Some targets of a campaign.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Among {
    /// All of them.
    #[default]
    All,
    /// Those of a priority: index into `Campaign::priorities`.
    Priority(usize),
    /// Those of a cohort: index into `Plan::cohorts`.
    Cohort(usize),
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
    /// From a campaign's start until this share of its targets was confirmed: the new firmware runs and
    /// says so. A target that was not counts as never.
    OtaCompletion,
    /// Ended executions that failed, rolled back, timed out or were bricked, over all that ended; with a
    /// reason, those that ended with it, rejected ones included.
    OtaFailureRatio,
    /// Ended executions after which the old firmware came back, over all that ended.
    OtaRollbackRatio,
    /// Targets that had started when an abort rule halted the campaign.
    OtaExposureBeforeHalt,
    /// From a campaign's start until an abort rule halted it.
    OtaHaltTime,
    /// Devices that were offered a campaign's image and are not eligible for it.
    OtaWrongTarget,
    /// Targets that were notified while one of a higher priority waited for more than a second longer.
    OtaPriorityInversions,
    /// Image bytes that a device received, repetitions included, over the image's bytes, of devices that
    /// had the whole of it.
    OtaBytesPerDevice,
    /// 99th percentile of live publishes' response times during a campaign, over the one before it.
    OtaCollateral,
    /// From when the plan wanted a request of a command to its first answer, over targets that were
    /// connected when the command began; one that never answered counts as never.
    CommandRtt,
    /// From a command's start until this share of its targets that were connected then had answered.
    CommandFanout,
    /// Targets of a command of which a result is known, over all of them.
    CommandResultCompleteness,
    /// Commands that devices carried out once more than they should.
    CommandDuplicateEffect,
    /// From when the plan wanted a query to its answer.
    QueryLatency,
    /// Age of the reports behind an answer, by the 99th percentile over the devices that match.
    QueryStaleness,
    /// From a fault's start until it had cleared and every target of a campaign was confirmed, or of a
    /// command had carried it out.
    ResolutionTime,
}

impl Indicator {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 38] = [
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
        Self::OtaCompletion,
        Self::OtaFailureRatio,
        Self::OtaRollbackRatio,
        Self::OtaExposureBeforeHalt,
        Self::OtaHaltTime,
        Self::OtaWrongTarget,
        Self::OtaPriorityInversions,
        Self::OtaBytesPerDevice,
        Self::OtaCollateral,
        Self::CommandRtt,
        Self::CommandFanout,
        Self::CommandResultCompleteness,
        Self::CommandDuplicateEffect,
        Self::QueryLatency,
        Self::QueryStaleness,
        Self::ResolutionTime,
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
            Self::OtaCompletion => "ota.completion",
            Self::OtaFailureRatio => "ota.failure_ratio",
            Self::OtaRollbackRatio => "ota.rollback_ratio",
            Self::OtaExposureBeforeHalt => "ota.exposure_before_halt",
            Self::OtaHaltTime => "ota.halt_time",
            Self::OtaWrongTarget => "ota.wrong_target",
            Self::OtaPriorityInversions => "ota.priority_inversions",
            Self::OtaBytesPerDevice => "ota.bytes_per_device",
            Self::OtaCollateral => "ota.collateral",
            Self::CommandRtt => "command.rtt",
            Self::CommandFanout => "command.fanout",
            Self::CommandResultCompleteness => "command.result_completeness",
            Self::CommandDuplicateEffect => "command.duplicate_effect",
            Self::QueryLatency => "query.latency",
            Self::QueryStaleness => "query.staleness",
            Self::ResolutionTime => "resolution.time",
        }
    }
}

/// Which statistic of an indicator is held against the bound.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Statistic {
    /// A percentile (0 to 100, exclusive of 0) over events.
    Percentile(f64),
    /// The smallest time within which this share (0 to 1) of the affected devices came back, had
    /// drained, were confirmed or had answered.
    Share(f64),
    /// The indicator is one number.
    Value,
    /// The mean over intervals of this length, whole seconds.
    Intervals(Duration),
    /// The number of minutes in which at least this share (0 to 1, exclusive of 0) of the requests
    /// failed.
    BadMinutes(f64),
    /// The mean, over time or over devices.
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

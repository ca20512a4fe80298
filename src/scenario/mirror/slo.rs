//! The words of objectives.

use super::RecoveryWord;
use crate::scenario::located::At;
use crate::scenario::quantity::{Number, Share, Time};
use schemars::JsonSchema;
use serde::Deserialize;

/// One objective.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Slo {
    /// Name for people.
    pub(in crate::scenario) name: At<String>,
    /// What is measured.
    pub(in crate::scenario) indicator: At<IndicatorWord>,
    /// Percentile, above 0 and up to 100; for latencies, reconnect.time, backlog.drain_time,
    /// freshness.age, ota.bytes_per_device, command.rtt and query.*.
    pub(in crate::scenario) percentile: Option<At<Number>>,
    /// Time within which this share of the affected devices came back, had drained, were confirmed or
    /// had answered; for reconnect.time, backlog.drain_time, ota.completion and command.fanout.
    pub(in crate::scenario) share: Option<At<Share>>,
    /// Length of an interval, whole seconds; for availability.interval_average, 5min if absent.
    pub(in crate::scenario) interval: Option<At<Time>>,
    /// Share of failed requests from which on a minute is bad; for availability.bad_minutes, 100% if
    /// absent.
    pub(in crate::scenario) bad_when: Option<At<Share>>,
    /// Another statistic than a percentile; for freshness.age and ota.bytes_per_device.
    pub(in crate::scenario) statistic: Option<At<StatisticWord>>,
    /// Upper limit, with its unit.
    pub(in crate::scenario) at_most: Option<At<LimitText>>,
    /// Lower limit, with its unit.
    pub(in crate::scenario) at_least: Option<At<LimitText>>,
    /// The word that it must be; for recovery.verdict.
    pub(in crate::scenario) is: Option<At<RecoveryWord>>,
    /// Only these phases; the whole run if absent.
    pub(in crate::scenario) during: Option<At<Vec<At<String>>>>,
    /// From the last clearing of a fault in this phase to the next fault or the end; for reconnect.*,
    /// recovery.verdict, backlog.*, connect.wasted, retry.amplification and session.resume_ratio. For
    /// resolution.time the phase whose fault it counts from.
    pub(in crate::scenario) after: Option<At<String>>,
    /// The campaign, command or query that is judged; for ota.*, command.*, query.* and
    /// resolution.time.
    pub(in crate::scenario) of: Option<At<String>>,
    /// Only some of the targets; for ota.completion.
    pub(in crate::scenario) among: Option<At<Among>>,
    /// Only updates that ended for this reason; for ota.failure_ratio.
    pub(in crate::scenario) reason: Option<At<String>>,
}

/// Some of a campaign's targets, by one of these.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Among {
    /// Those of this priority of the campaign.
    pub(in crate::scenario) priority: Option<At<String>>,
    /// Those of this cohort.
    pub(in crate::scenario) cohort: Option<At<String>>,
}

/// A statistic by its word.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum StatisticWord {
    /// The mean, over time or over devices.
    Mean,
}

/// What is measured.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
pub(in crate::scenario) enum IndicatorWord {
    /// From power-on or the end of a backoff to CONNACK, per attempt.
    #[serde(rename = "connect.latency")]
    ConnectLatency,
    /// Accepted attempts over all ended attempts.
    #[serde(rename = "connect.success")]
    ConnectSuccess,
    /// Attempts that timed out after their CONNECT was written, over all ended attempts: work of the
    /// target for nothing.
    #[serde(rename = "connect.wasted")]
    ConnectWasted,
    /// From a fault's clearing to CONNACK.
    #[serde(rename = "reconnect.time")]
    ReconnectTime,
    /// Devices that never came back.
    #[serde(rename = "reconnect.stranded")]
    ReconnectStranded,
    /// What became of the fleet after a fault cleared: recovered, slow, metastable, collapsed or
    /// stranded.
    #[serde(rename = "recovery.verdict")]
    RecoveryVerdict,
    /// From the stream's schedule to PUBACK (QoS 1) or PUBCOMP (QoS 2).
    #[serde(rename = "publish.ack_latency")]
    PublishAckLatency,
    /// From the stream's schedule to an observer.
    #[serde(rename = "e2e.latency")]
    E2eLatency,
    /// Acknowledged and never seen.
    #[serde(rename = "delivery.lost")]
    DeliveryLost,
    /// Seen more than once.
    #[serde(rename = "delivery.duplicated")]
    DeliveryDuplicated,
    /// First deliveries seen out of order.
    #[serde(rename = "delivery.reordered")]
    DeliveryReordered,
    /// Wills of observed devices that fired, over the whole run; takes `at_most` or `at_least`.
    #[serde(rename = "will.fired")]
    WillFired,
    /// Share of the time that devices had a session.
    #[serde(rename = "fleet.availability")]
    FleetAvailability,
    /// Most connection attempts begun in one second after a fault's clearing.
    #[serde(rename = "reconnect.peak_rate")]
    ReconnectPeakRate,
    /// Connection attempts from a fault's start on, per device without a connection.
    #[serde(rename = "retry.amplification")]
    RetryAmplification,
    /// Reconnects that found their persistent session again, over all reconnects with one.
    #[serde(rename = "session.resume_ratio")]
    SessionResumeRatio,
    /// Mean over intervals of the share of connection attempts and publishes that did not fail.
    #[serde(rename = "availability.interval_average")]
    AvailabilityIntervalAverage,
    /// Minutes in which connection attempts and publishes failed.
    #[serde(rename = "availability.bad_minutes")]
    AvailabilityBadMinutes,
    /// Age of the newest telemetry that an observer has of a device, over time.
    #[serde(rename = "freshness.age")]
    FreshnessAge,
    /// From a fault's clearing until all that a device had planned before it has ended: acknowledged,
    /// written (QoS 0), timed out or dropped. Over devices on which something waited then.
    #[serde(rename = "backlog.drain_time")]
    BacklogDrainTime,
    /// Of the publishes (QoS 1 and 2) planned in a fault that were not acknowledged as usual and that
    /// neither a store nor `when_late` dropped: the share acknowledged late, until the run's end.
    #[serde(rename = "backlog.recovered_ratio")]
    BacklogRecoveredRatio,
    /// How many times as long live publishes (QoS 1 and 2) take while the backlog of a fault drains as
    /// before it, by the 99th percentile of their response times.
    #[serde(rename = "backlog.harm")]
    BacklogHarm,
    /// From a campaign's start until this share of its targets was confirmed: the new firmware runs and
    /// says so. A target that was not confirmed counts as never.
    #[serde(rename = "ota.completion")]
    OtaCompletion,
    /// Ended updates that failed, rolled back, timed out or were bricked, over all that ended (not those
    /// never reached or cancelled); with `reason`, those that ended with it, rejected ones included.
    #[serde(rename = "ota.failure_ratio")]
    OtaFailureRatio,
    /// Ended updates after which the old firmware came back, over all that ended.
    #[serde(rename = "ota.rollback_ratio")]
    OtaRollbackRatio,
    /// Targets that had started when an abort rule halted the campaign; a count, or a share of the
    /// targets. If nothing halted an image with defects: all that started.
    #[serde(rename = "ota.exposure_before_halt")]
    OtaExposureBeforeHalt,
    /// From a campaign's start until an abort rule halted it; never, if nothing halted an image with
    /// defects.
    #[serde(rename = "ota.halt_time")]
    OtaHaltTime,
    /// Devices that were offered a campaign's image and are not eligible for it.
    #[serde(rename = "ota.wrong_target")]
    OtaWrongTarget,
    /// Targets that were notified while one of a higher priority was left waiting for more than a second
    /// longer.
    #[serde(rename = "ota.priority_inversions")]
    OtaPriorityInversions,
    /// Image bytes that a device received, repetitions included, as a multiple of the image; over devices
    /// that had the whole of it.
    #[serde(rename = "ota.bytes_per_device")]
    OtaBytesPerDevice,
    /// How many times as long live publishes (QoS 1 and 2) take during a campaign as before it, by the
    /// 99th percentile of their response times.
    #[serde(rename = "ota.collateral")]
    OtaCollateral,
    /// From when the plan wanted a request to its first answer, over targets that were connected when the
    /// command began; one that never answered counts as never.
    #[serde(rename = "command.rtt")]
    CommandRtt,
    /// From a command's start until this share of its targets that were connected then had answered.
    #[serde(rename = "command.fanout")]
    CommandFanout,
    /// Targets of a command of which a result is known, over all of them.
    #[serde(rename = "command.result_completeness")]
    CommandResultCompleteness,
    /// Commands that devices carried out once more than they should; over all commands of the run.
    #[serde(rename = "command.duplicate_effect")]
    CommandDuplicateEffect,
    /// From when the plan wanted a query to its answer, over its askings.
    #[serde(rename = "query.latency")]
    QueryLatency,
    /// Age of the reports behind an answer, by the 99th percentile over the devices that match; over
    /// the askings.
    #[serde(rename = "query.staleness")]
    QueryStaleness,
    /// From a fault's start until it had cleared and every target of the campaign was confirmed, or of the
    /// command had carried it out.
    #[serde(rename = "resolution.time")]
    ResolutionTime,
}

/// A limit as text; what it means depends on the indicator.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::scenario) struct LimitText(pub(in crate::scenario) String);

impl JsonSchema for LimitText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A duration for latencies and times, a share for ratios, a whole number for counts, a rate for rates, a number for factors.",
            "oneOf": [
                { "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?(us|ms|s|min|h|%|x|/ ?(s|min|h))$" },
                { "type": "number", "minimum": 0 },
            ],
            "examples": ["250ms", "99.9%", 0, "500/s", 1.5],
        })
    }
}

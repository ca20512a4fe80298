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
    /// Percentile, above 0 and up to 100; for latencies, reconnect.time, backlog.drain_time and
    /// freshness.age.
    pub(in crate::scenario) percentile: Option<At<Number>>,
    /// Time within which this share of the affected devices came back, or had drained; for
    /// reconnect.time and backlog.drain_time.
    pub(in crate::scenario) share: Option<At<Share>>,
    /// Length of an interval, whole seconds; for availability.interval_average, 5min if absent.
    pub(in crate::scenario) interval: Option<At<Time>>,
    /// Share of failed requests from which on a minute is bad; for availability.bad_minutes, 100% if
    /// absent.
    pub(in crate::scenario) bad_when: Option<At<Share>>,
    /// Another statistic than a percentile; for freshness.age.
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
    /// recovery.verdict, backlog.*, connect.wasted, retry.amplification and session.resume_ratio.
    pub(in crate::scenario) after: Option<At<String>>,
}

/// A statistic by its word.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum StatisticWord {
    /// The mean over time.
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

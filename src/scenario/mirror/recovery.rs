//! The words about recovery: how it is judged, and what an objective may ask it to be.

use crate::scenario::located::At;
use crate::scenario::quantity::{Rate, Time};
use schemars::JsonSchema;
use serde::Deserialize;

/// How the recovery from a fault is judged (`recovery.verdict`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Recovery {
    /// Connects per second that the target stands in a recovery, from which the expected time
    /// follows; the best 5 s of the run if absent.
    pub(in crate::scenario) limit_rate: Option<At<Rate>>,
    /// How long connections, goodput and latency must be what they were, at least 10s; 30s if absent.
    pub(in crate::scenario) hold: Option<At<Time>>,
    /// Longest time from the clearing: a fleet that is back later is `slow`, one that is not is judged
    /// then. If absent, twice the longer of devices down / limit rate and the longest backoff with its
    /// connect timeout says when a fleet that is not back is judged, and no recovery is too late.
    pub(in crate::scenario) within: Option<At<Time>>,
}

/// What a recovery may come to.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum RecoveryWord {
    /// Connections, goodput and latency are what they were, and stayed so.
    Recovered,
    /// Not yet, but on the way.
    Slow,
    /// Not, because the target is busy with attempts whose devices have given them up.
    Metastable,
    /// Not, because attempts fail.
    Collapsed,
    /// Not, because devices have stopped trying.
    Stranded,
}

//! Words of network faults beside `outage`: a degraded link, and faults that come again.

use super::{Link, Where};
use crate::scenario::located::At;
use crate::scenario::quantity::{Share, Time};
use schemars::JsonSchema;
use serde::Deserialize;

/// A second link on top of the one that devices have, or of none, until it clears.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Degrade {
    /// Whose; all devices' if absent.
    #[serde(rename = "where")]
    pub(in crate::scenario) who: Option<At<Where>>,
    /// Exact share of those devices that it does not reach; 0% if absent.
    pub(in crate::scenario) leak: Option<At<Share>>,
    /// Its delay comes on top, a packet is lost if either link loses it, the smaller bandwidth holds.
    pub(in crate::scenario) link: At<Link>,
}

/// A fault that comes again in the same phase.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Repeat {
    /// From each start to the next, no shorter than the fault.
    pub(in crate::scenario) every: At<Time>,
    /// How often in all, 1 to 1000.
    #[schemars(range(min = 1, max = 1_000))]
    pub(in crate::scenario) times: At<u32>,
}

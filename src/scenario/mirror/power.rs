//! The words of device faults and of how power comes.

use super::Where;
use crate::scenario::located::At;
use crate::scenario::quantity::Time;
use schemars::JsonSchema;
use serde::Deserialize;

/// A power cut: devices fall silent without a FIN or RST, and boot anew after the clearing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct PowerCut {
    /// Whose; all devices' if absent.
    #[serde(rename = "where")]
    pub(in crate::scenario) who: Option<At<Where>>,
    /// Each loses power at a uniform draw below this after the start; 0s, all at once, if absent.
    pub(in crate::scenario) within: Option<At<Time>>,
    /// From power to the first connect; 0s if absent.
    pub(in crate::scenario) boot: Option<At<BootTime>>,
    /// How power comes back from the clearing on; to all at once if absent.
    #[serde(rename = "return")]
    pub(in crate::scenario) back: Option<At<Spread>>,
}

/// A crash: devices restart without a FIN or RST.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Crash {
    /// Which; all devices if absent.
    #[serde(rename = "where")]
    pub(in crate::scenario) who: Option<At<Where>>,
    /// Each restarts at a uniform draw below this after the start; 0s, all at once, if absent.
    pub(in crate::scenario) within: Option<At<Time>>,
    /// From the crash to the first connect; 0s if absent.
    pub(in crate::scenario) boot: Option<At<BootTime>>,
}

/// How long devices boot.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum BootTime {
    /// All the same.
    Fixed(At<Time>),
    /// Each for a time of its own.
    Uniform(Span),
}

/// A uniform draw between two times.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Span {
    /// Shortest.
    pub(in crate::scenario) min: At<Time>,
    /// Longest.
    pub(in crate::scenario) max: At<Time>,
}

/// How power comes to a group of devices.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum Spread {
    /// To each at a uniform draw below this.
    Uniform(At<Time>),
    /// To each at a draw from Beta(3, 4) over this: 3GPP TR 37.868, traffic model 2.
    Beta(At<Time>),
    /// To equal groups, picked at random, one after the other.
    Waves(Waves),
}

/// Equal groups, one after the other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Waves {
    /// How many, 1 to 1000.
    pub(in crate::scenario) count: At<u16>,
    /// From one to the next.
    pub(in crate::scenario) every: At<Time>,
}

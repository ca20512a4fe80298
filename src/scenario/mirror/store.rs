//! The `store` of a cohort: how a device keeps and forwards the samples that cannot be sent at once.

use crate::scenario::located::At;
use crate::scenario::quantity::{Rate, Time};
use schemars::JsonSchema;
use serde::Deserialize;

/// A device's store, in memory: what waits is gone with the power. It holds what its streams with
/// `when_late: send` could not send at once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Store {
    /// Most samples that wait, over all streams, 1 to 1000000; 1000 if absent.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(in crate::scenario) messages: Option<At<u32>>,
    /// A sample that has waited for so long is dropped; never if absent.
    pub(in crate::scenario) age: Option<At<Time>>,
    /// What goes when a sample finds the store full; drop_oldest if absent.
    pub(in crate::scenario) when_full: Option<WhenFull>,
    /// Samples of the backlog written per second, at most 1000/s; no limit if absent. The backlog is
    /// what came due before the device was online this time; nothing else is held back.
    pub(in crate::scenario) drain: Option<At<Rate>>,
    /// In which order the backlog is written; oldest_first if absent.
    pub(in crate::scenario) order: Option<DrainOrder>,
    /// Whether what comes due while there is a backlog overtakes it; backlog if absent, as without a
    /// store.
    pub(in crate::scenario) first: Option<First>,
}

/// What goes when a sample finds the store full.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::enum_variant_names,
    reason = "the words of the file say what is done"
)]
pub(in crate::scenario) enum WhenFull {
    /// The oldest sample of the device.
    DropOldest,
    /// The sample that just came due.
    DropNewest,
    /// The oldest sample of the stream with the lowest `priority`, be it the one that just came due.
    DropByPriority,
}

/// In which order the backlog is written.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum DrainOrder {
    /// As the samples came due.
    OldestFirst,
    /// The other way round.
    NewestFirst,
}

/// What a device that is back writes first.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum First {
    /// What comes due now; the backlog follows when nothing of that waits. The delivery ledger follows
    /// 256 samples of a stream: if more of them are overtaken, their delivery stays undecided.
    Live,
    /// The backlog; what comes due now queues behind it.
    Backlog,
}

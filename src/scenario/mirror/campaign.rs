//! Campaigns, fleet commands and queries, and the actions of a phase that set them going.

use super::Where;
use crate::scenario::located::At;
use crate::scenario::quantity::{Number, Rate, Share, Time};
use schemars::JsonSchema;
use serde::Deserialize;

/// A rollout of one image to a part of the fleet; an action of a phase starts it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Campaign {
    /// Name: lower-case letters, digits and `-`.
    pub(in crate::scenario) campaign: At<String>,
    /// Who runs it; operator if absent.
    pub(in crate::scenario) server: Option<At<ServerWord>>,
    /// Who is eligible; all devices if absent. `fw` means what devices report when the campaign starts,
    /// such as `fw: { below: "2.0.0" }`; a share is of those that fulfil the rest, whatever their `fw`.
    #[serde(rename = "where")]
    pub(in crate::scenario) who: Option<At<Where>>,
    /// What they get.
    pub(in crate::scenario) image: At<Image>,
    /// Highest first, at most 16; who is in none comes last.
    #[serde(default)]
    pub(in crate::scenario) priorities: Vec<At<Priority>>,
    /// In which order devices get their turn; by_priority if absent.
    pub(in crate::scenario) order: Option<At<OrderWord>>,
    /// How fast; at_once if absent.
    pub(in crate::scenario) rollout: Option<At<Rollout>>,
    /// What ends it early, at most 16: devices that have not started are cancelled, the others go on.
    #[serde(default)]
    pub(in crate::scenario) abort: Vec<At<Abort>>,
    /// From a device's first word that it has started to its last one; no limit if absent.
    pub(in crate::scenario) in_progress_timeout: Option<At<Time>>,
    /// From one word of a device that has started to the next; no limit if absent.
    pub(in crate::scenario) step_timeout: Option<At<Time>>,
    /// How often a failed or timed-out device gets another turn, 0 to 10; 0 if absent.
    #[schemars(range(max = 10))]
    pub(in crate::scenario) retries: Option<At<u32>>,
}

/// Who runs a campaign.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum ServerWord {
    /// The operator of this run, over the target.
    Operator,
    /// The target itself; devices are only watched.
    External,
}

/// An image and what is wrong with it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Image {
    /// Its version; each campaign has one of its own.
    pub(in crate::scenario) version: At<String>,
    /// Its size in bytes, at most 24 MiB.
    #[schemars(range(min = 1, max = 25_165_824))]
    pub(in crate::scenario) bytes: At<u32>,
    /// On whom it fails; the first that fits counts.
    #[serde(default)]
    pub(in crate::scenario) defects: Vec<At<Defect>>,
}

/// On whom an image fails, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Defect {
    /// Devices with all of these attribute values; any if absent.
    #[serde(rename = "where")]
    pub(in crate::scenario) who: Option<At<Where>>,
    /// Coming from this version; from any if absent.
    pub(in crate::scenario) from: Option<At<String>>,
    /// Share of them, by seeded draw per device; 100% if absent.
    pub(in crate::scenario) share: Option<Share>,
    /// How.
    pub(in crate::scenario) effect: At<EffectWord>,
}

/// How an image fails.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum EffectWord {
    /// Before the reboot, for this reason, such as integrity or not_enough_flash.
    Fails(At<String>),
    /// The new firmware does not pass its self-test, and the old one comes back.
    RollsBack,
    /// The device does not come back from its reboot.
    Bricks,
}

/// Devices that get their turn before those of the priorities below.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Priority {
    /// Name: lower-case letters, digits and `-`.
    pub(in crate::scenario) priority: At<String>,
    /// Who; `fw` means the firmware that a device left the factory with.
    #[serde(rename = "where")]
    pub(in crate::scenario) who: At<Where>,
}

/// In which order devices get their turn.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum OrderWord {
    /// By priority, in a seeded order within each.
    ByPriority,
    /// In a seeded order over all, as a backend that knows no priorities.
    Shuffled,
}

/// How fast devices get their turn.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum Rollout {
    /// All at once.
    AtOnce,
    /// So many per minute.
    Constant(At<Rate>),
    /// Faster after each rung, as AWS IoT Jobs' exponential rate.
    Exponential(Ladder),
    /// Parts of the targets one after the other, each at once; the last one is 100%.
    Waves(At<Vec<At<RolloutWave>>>),
    /// Packs of a fixed size, as ThingsBoard's queue (100 per 60s).
    Packs(Packs),
}

/// Rates of a rollout: rung k has base * factor^k, at most max.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Ladder {
    /// Of the first rung.
    pub(in crate::scenario) base: At<Rate>,
    /// From one rung to the next, above 1, at most 5.
    pub(in crate::scenario) factor: At<Number>,
    /// Of the last rung.
    pub(in crate::scenario) max: At<Rate>,
    /// What ends a rung.
    pub(in crate::scenario) after: At<RungEnd>,
}

/// What ends a rung: so many devices more.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum RungEnd {
    /// Notified.
    Notified(u32),
    /// Succeeded.
    Succeeded(u32),
}

/// A part of the targets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct RolloutWave {
    /// Of all targets, the waves before included; a wave has a device at least.
    pub(in crate::scenario) upto: At<Share>,
    /// Share of the devices notified so far that must have succeeded before the next wave; the last
    /// wave has none.
    pub(in crate::scenario) success: Option<At<Share>>,
}

/// Packs of a fixed size.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Packs {
    /// Devices of a pack.
    pub(in crate::scenario) size: At<u32>,
    /// From one pack to the next.
    pub(in crate::scenario) every: At<Time>,
}

/// What ends a campaign early, looked at once per second.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Abort {
    /// Which ends count.
    pub(in crate::scenario) failure: FailureWord,
    /// Executions that must have ended before it is looked at, at least 1.
    pub(in crate::scenario) min_executed: At<u32>,
    /// Share of the ended executions from which on the campaign ends.
    pub(in crate::scenario) threshold: At<Share>,
}

/// Which ends count against a campaign.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum FailureWord {
    /// Failed, rolled back.
    Failed,
    /// Rejected.
    Rejected,
    /// Timed out, bricked (which looks the same from afar).
    TimedOut,
    /// Any of these.
    All,
}

/// A command to a part of the fleet; an action of a phase sends it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct FleetCommand {
    /// Name: lower-case letters, digits and `-`.
    pub(in crate::scenario) command: At<String>,
    /// Who is meant; all devices if absent. `fw` means what devices report when it is sent; a share is
    /// of those that fulfil the rest, whatever their `fw`.
    #[serde(rename = "where")]
    pub(in crate::scenario) who: Option<At<Where>>,
    /// Its text.
    pub(in crate::scenario) payload: At<String>,
    /// From a request to its repetition, and after the last one to giving up; 10s if absent.
    pub(in crate::scenario) timeout: Option<At<Time>>,
    /// Repetitions, 0 to 10; 2 if absent.
    #[schemars(range(max = 10))]
    pub(in crate::scenario) retries: Option<At<u32>>,
    /// What becomes of devices that are not connected; queue if absent.
    pub(in crate::scenario) offline: Option<At<OfflineWord>>,
    /// Requests per second; all at once if absent.
    pub(in crate::scenario) rate: Option<At<Rate>>,
    /// What one device costs by hand, for the line on operator hours; 10min if absent.
    pub(in crate::scenario) by_hand: Option<Time>,
}

/// What becomes of a command to a device that is not connected.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum OfflineWord {
    /// It is sent when the device reports itself back.
    Queue,
    /// It is never sent again.
    Skip,
}

/// A question about the fleet, answered from reported state; an action of a phase asks it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct FleetQuery {
    /// Name: lower-case letters, digits and `-`.
    pub(in crate::scenario) query: At<String>,
    /// Who is counted; all devices if absent. `fw` means what devices report; a share is of those that
    /// fulfil the rest, whatever their `fw`.
    #[serde(rename = "where")]
    pub(in crate::scenario) who: Option<At<Where>>,
    /// Devices whose report is older are asked to report anew before the answer; none are if absent.
    pub(in crate::scenario) max_age: Option<At<Time>>,
    /// Longest wait for them; 5s if absent.
    pub(in crate::scenario) timeout: Option<At<Time>>,
}

/// Something that an operator does in a phase: one of `start`, `pause`, `cancel`, `command`, `query`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Action {
    /// From the phase's start; 0s if absent.
    pub(in crate::scenario) at: Option<At<Time>>,
    /// Starts this campaign.
    pub(in crate::scenario) start: Option<At<String>>,
    /// Gives no device of this campaign its turn for a while.
    pub(in crate::scenario) pause: Option<At<String>>,
    /// Cancels this campaign: devices that have not started are cancelled, the others go on.
    pub(in crate::scenario) cancel: Option<At<String>>,
    /// Sends this command.
    pub(in crate::scenario) command: Option<At<String>>,
    /// Asks this query.
    pub(in crate::scenario) query: Option<At<String>>,
    /// How long a pause is, which must be said, or for how long a query is asked; if absent, to the
    /// phase's end.
    #[serde(rename = "for")]
    pub(in crate::scenario) length: Option<At<Time>>,
    /// From one asking of a query to the next; once if absent.
    pub(in crate::scenario) every: Option<At<Time>>,
}

//! What the devices of a cohort do besides telemetry: update themselves, take commands, report their
//! state.

use super::BootTime;
use crate::scenario::located::At;
use crate::scenario::quantity::{Qos, Share, Time};
use schemars::JsonSchema;
use serde::Deserialize;

/// How devices report their state: firmware and attributes as JSON, on each connect, after each
/// change and when asked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Reported {
    /// Topic with `{device}` alone between two `/`.
    pub(in crate::scenario) topic: At<String>,
    /// From one report to the next while online; no more than on changes if absent.
    pub(in crate::scenario) every: Option<At<Time>>,
    /// 1 if absent.
    pub(in crate::scenario) qos: Option<At<Qos>>,
}

/// How devices take commands: requests come on `<topic>/request/<id>`, answers go to
/// `<topic>/response/<id>`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Commands {
    /// Topic with `{device}` alone between two `/`, such as `d/{device}/rpc`.
    pub(in crate::scenario) topic: At<String>,
    /// Of the subscription and of answers; 1 if absent.
    pub(in crate::scenario) qos: Option<At<Qos>>,
    /// From a request to its answer; 0s if absent.
    pub(in crate::scenario) work: Option<Time>,
    /// Share of commands that fail, by seeded draw; 0% if absent.
    pub(in crate::scenario) failure: Option<Share>,
    /// A command that comes again is answered as before and not carried out again; true if absent.
    pub(in crate::scenario) idempotent: Option<bool>,
}

/// How devices update themselves. Defaults are those of the profile's own client SDK where it has
/// any.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Update {
    /// The words on the wire.
    pub(in crate::scenario) profile: At<Profile>,
    /// Bytes of a block, 256 to 131072; 4096 if absent.
    #[schemars(range(min = 256, max = 131_072))]
    pub(in crate::scenario) block: Option<At<u32>>,
    /// Blocks asked for and not received yet, 1 to 32; 1 if absent.
    #[schemars(range(min = 1, max = 32))]
    pub(in crate::scenario) window: Option<At<u32>>,
    /// From asking for a block to asking again; if absent, 10s with aws_jobs, 5s with thingsboard, 1s
    /// with generic_action.
    pub(in crate::scenario) block_timeout: Option<At<Time>>,
    /// How often in a row a block is asked for again before the download is given up; if absent, 32
    /// with aws_jobs, 12 with thingsboard, 65535 with generic_action.
    #[schemars(range(max = 65_535))]
    pub(in crate::scenario) block_retries: Option<At<u32>>,
    /// Where a download goes on after its connection or power was lost; if absent, restart with
    /// thingsboard, block with the others.
    pub(in crate::scenario) resume: Option<ResumeWord>,
    /// Bytes per second that the flash takes; as they come if absent.
    #[schemars(range(min = 1))]
    pub(in crate::scenario) flash_rate: Option<At<u32>>,
    /// From the last block to the verdict on the hash; 200ms if absent.
    pub(in crate::scenario) verify: Option<Time>,
    /// From the verdict to the reboot; 2s if absent.
    pub(in crate::scenario) install: Option<Time>,
    /// From the reboot, which ends the session without a DISCONNECT, to the first connect; uniform
    /// from 2s to 5s if absent.
    pub(in crate::scenario) reboot: Option<At<BootTime>>,
    /// From the first connect of the new firmware to its verdict on itself; if absent, 16s with
    /// aws_jobs, 2s with the others.
    pub(in crate::scenario) self_test: Option<Time>,
    /// From a status or a question to its repetition if the server does not answer, where servers do;
    /// 10s if absent.
    pub(in crate::scenario) answer_timeout: Option<At<Time>>,
    /// Share of offers that are rejected for good, by seeded draw; 0% if absent.
    pub(in crate::scenario) reject: Option<Share>,
    /// Offers that are put off; none if absent.
    pub(in crate::scenario) defer: Option<Defer>,
    /// Share of updates that fail while installing, by seeded draw; 0% if absent.
    pub(in crate::scenario) fail: Option<Share>,
}

/// Offers that are put off, as by a user who taps "later".
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Defer {
    /// Share of offers, by seeded draw.
    pub(in crate::scenario) share: Share,
    /// For how long.
    #[serde(rename = "for")]
    pub(in crate::scenario) length: At<Time>,
}

/// Where a download goes on after a break.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum ResumeWord {
    /// At the first block that is not in flash.
    Block,
    /// From the beginning.
    Restart,
}

/// The words of an update on the wire.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = crate::scenario::schema::bare_words)]
pub(in crate::scenario) enum Profile {
    /// AWS IoT Jobs, with the image block by block over MQTT.
    AwsJobs(AwsJobs),
    /// ThingsBoard: shared attributes, chunks over MQTT, status as telemetry. Its topics name no
    /// device: the embedded target needs `me: per_connection`.
    Thingsboard(Thingsboard),
    /// One topic for actions, one for status, and the image over HTTP; Bytebeam's uplink if nothing is
    /// set.
    GenericAction(Box<GenericAction>),
}

/// Settings of aws_jobs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct AwsJobs {
    /// How blocks are written; json if absent.
    pub(in crate::scenario) encoding: Option<EncodingWord>,
}

/// How blocks are written.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum EncodingWord {
    /// In base64, within JSON.
    Json,
    /// As bytes, within CBOR.
    Cbor,
}

/// Settings of thingsboard.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Thingsboard {
    /// Expect size / chunk + 1 chunks, as the client SDK does: an image that is a multiple of the chunk
    /// ends with an empty one; false if absent.
    pub(in crate::scenario) counts_one_more: Option<bool>,
}

/// Settings of generic_action.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct GenericAction {
    /// Where actions come down, with `{device}` alone between two `/`;
    /// `/tenants/fleetstorm/devices/{device}/actions` if absent.
    pub(in crate::scenario) action_topic: Option<At<String>>,
    /// Where status goes up, with `{device}` alone between two `/`;
    /// `/tenants/fleetstorm/devices/{device}/action/status` if absent.
    pub(in crate::scenario) status_topic: Option<At<String>>,
    /// An action with its places in braces; uplink's if absent.
    pub(in crate::scenario) action: Option<At<String>>,
    /// A status with its places in braces; uplink's if absent.
    pub(in crate::scenario) status: Option<At<String>>,
    /// Where images lie, without the name, such as `http://10.0.0.9:8080/images`; the server that the
    /// run starts itself if absent.
    pub(in crate::scenario) server: Option<At<String>>,
    /// Part of the download from one progress report to the next, in whole percent, 0% = none; 10% if
    /// absent.
    pub(in crate::scenario) progress_every: Option<At<Share>>,
}

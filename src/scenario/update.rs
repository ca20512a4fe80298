//! What a device does when it is offered an update or sent a command, and the words it is reached
//! by: the device's side of a campaign, as checked plan.

use super::power::BootTime;
use super::template::Template;
use crate::mqtt::packet::QoS;
pub use crate::wire::aws_streams::Encoding;
use std::time::Duration;

/// How the devices of a cohort update themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateClient {
    /// The words on the wire.
    pub profile: WireProfile,
    /// Bytes of a block, 256 to 131 072.
    pub block_bytes: u32,
    /// Blocks asked for and not received yet, 1 to 32.
    pub window: u16,
    /// From asking for a block to asking again.
    pub block_timeout: Duration,
    /// How often in a row a block is asked for again before the download is given up.
    pub block_retries: u16,
    /// Where a download goes on after its connection or power was lost.
    pub resume: Resume,
    /// Bytes per second that the flash takes; `None` = as they come.
    pub flash_bytes_per_s: Option<f64>,
    /// From the last block to the verdict on the hash.
    pub verify: Duration,
    /// From the verdict to the reboot.
    pub install: Duration,
    /// From the reboot, which ends the session without a DISCONNECT, to the first connect.
    pub reboot: BootTime,
    /// From the first connect of the new firmware to its verdict on itself.
    pub self_test: Duration,
    /// From a status or a question to its repetition if the server does not answer (profiles whose
    /// servers do).
    pub answer_timeout: Duration,
    /// Share (0 to 1) of devices that reject an offer for good, by seeded draw per offer.
    pub reject: f64,
    /// Devices that put an offer off.
    pub defer: Option<Defer>,
    /// Share (0 to 1) of updates that fail while installing ([`crate::wire::Reason::Io`]), by draw.
    pub fail: f64,
}

/// Devices that put an offer off, as a user who taps "later".
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Defer {
    /// Share (0 to 1) of offers, by seeded draw.
    pub share: f64,
    /// For how long.
    pub length: Duration,
}

/// Where a download goes on after a break.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// At the first block that is not in flash.
    Block,
    /// From the beginning.
    Restart,
}

/// The words of an update on the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum WireProfile {
    /// AWS IoT Jobs, with the image block by block over MQTT ("streams").
    AwsJobs {
        /// How blocks are written.
        encoding: Encoding,
    },
    /// ThingsBoard: shared attributes, chunks, telemetry for status. Its topics name no device.
    Thingsboard {
        /// Expect `size / chunk + 1` chunks, as its client SDK does: an image that is a multiple of
        /// the chunk ends with an empty one.
        counts_one_more: bool,
    },
    /// One topic down, one up, and HTTP for the image.
    GenericAction(Box<GenericAction>),
}

/// The words of a home-grown backend.
#[derive(Clone, Debug, PartialEq)]
pub struct GenericAction {
    /// Where actions come down.
    pub action_topic: Template,
    /// Where status goes up.
    pub status_topic: Template,
    /// An action, see [`crate::wire::generic_action`].
    pub action: crate::wire::generic_action::Pattern,
    /// A status.
    pub status: crate::wire::generic_action::Pattern,
    /// Where images lie, without the name; `None` = the server that the run starts itself.
    pub server: Option<String>,
    /// Percent of the download from one progress report to the next; 0 = none.
    pub progress_every: u8,
}

/// How the devices of a cohort take commands: requests come on `<topic>/request/<id>`, answers go to
/// `<topic>/response/<id>`.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandHandler {
    /// See above.
    pub topic: Template,
    /// Of the subscription and of answers.
    pub qos: QoS,
    /// From a request to its answer.
    pub work: Duration,
    /// Share (0 to 1) of commands that fail, by seeded draw per device and command.
    pub failure: f64,
    /// A command that comes again is answered as before, and not carried out again.
    pub idempotent: bool,
}

/// How the devices of a cohort report their state (firmware and attributes), on each connect, after
/// each change, when asked, and every so often: `{"at":<ms since T0>,"fw":"1.4.2","region":"north",…}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    /// Where.
    pub topic: Template,
    /// Its QoS.
    pub qos: QoS,
    /// From one report to the next while online; `None` = no more than on changes.
    pub every: Option<Duration>,
}

//! The languages of updates and fleet commands: the vocabulary that device and operator share, and
//! exact topics and payloads per wire profile as pure functions between bytes and values. Both ends
//! of a conversation are here, so that a device can talk to a real server and the operator to a real
//! device.

pub mod aws_jobs;
pub mod aws_streams;
pub mod command;
pub mod generic_action;
pub mod image;
mod json;
pub mod reported;
pub mod thingsboard;

use serde::{Deserialize, Serialize};

/// Why an update ended as it did, or is not done yet: the reasons of Golioth's firmware SDK
/// (`golioth/ota.h`, `golioth_ota_reason`), used as the neutral vocabulary of all profiles.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(u8)]
pub enum Reason {
    /// 0: nothing to tell.
    #[default]
    Ready = 0,
    /// 1: the new firmware runs.
    Success = 1,
    /// 2: the image does not fit into the flash.
    NotEnoughFlash = 2,
    /// 3: out of memory.
    NotEnoughRam = 3,
    /// 4: the download was given up: blocks stayed away.
    ConnectionLost = 4,
    /// 5: size or hash of what was received is not what was announced.
    Integrity = 5,
    /// 6: not for this device: wrong type, a downgrade, a document it cannot use.
    UnsupportedPackage = 6,
    /// 7: the download's address is of no use.
    BadUri = 7,
    /// 8: installing failed, or the new firmware did not pass its self-test.
    UpdateFailed = 8,
    /// 9: a way of downloading that it does not know.
    UnsupportedProtocol = 9,
    /// 10: flash or another device of its own failed.
    Io = 10,
    /// 11: not now: it will be tried again.
    AwaitRetry = 11,
}

impl Reason {
    /// All of them, by number.
    pub const ALL: [Self; 12] = [
        Self::Ready,
        Self::Success,
        Self::NotEnoughFlash,
        Self::NotEnoughRam,
        Self::ConnectionLost,
        Self::Integrity,
        Self::UnsupportedPackage,
        Self::BadUri,
        Self::UpdateFailed,
        Self::UnsupportedProtocol,
        Self::Io,
        Self::AwaitRetry,
    ];

    /// The word in scenarios, payloads, results and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Success => "success",
            Self::NotEnoughFlash => "not_enough_flash",
            Self::NotEnoughRam => "not_enough_ram",
            Self::ConnectionLost => "connection_lost",
            Self::Integrity => "integrity",
            Self::UnsupportedPackage => "unsupported_package",
            Self::BadUri => "bad_uri",
            Self::UpdateFailed => "update_failed",
            Self::UnsupportedProtocol => "unsupported_protocol",
            Self::Io => "io",
            Self::AwaitRetry => "await_retry",
        }
    }

    /// The reason of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }
}

/// Where an update stands, as its device says: the states that all profiles share. Each profile says
/// some of them in its own words, and leaves the others unsaid.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Put off; it will be taken up later.
    Deferred,
    /// Not wanted, for good.
    Rejected,
    /// Blocks are on their way.
    Downloading,
    /// All bytes are in flash.
    Downloaded,
    /// The hash is being computed.
    Verifying,
    /// The hash was the one announced.
    Installing,
    /// The last word before the reboot into the new firmware.
    Rebooting,
    /// The first word after it, from the new firmware.
    SelfTest,
    /// The new firmware runs and has passed its self-test.
    Confirmed,
    /// The old firmware came back.
    RolledBack,
    /// Given up before the reboot.
    Failed,
}

impl Stage {
    /// All of them, in the order of an update.
    pub const ALL: [Self; 11] = [
        Self::Deferred,
        Self::Rejected,
        Self::Downloading,
        Self::Downloaded,
        Self::Verifying,
        Self::Installing,
        Self::Rebooting,
        Self::SelfTest,
        Self::Confirmed,
        Self::RolledBack,
        Self::Failed,
    ];

    /// Whether nothing comes after it.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Rejected | Self::Confirmed | Self::RolledBack | Self::Failed => true,
            Self::Deferred
            | Self::Downloading
            | Self::Downloaded
            | Self::Verifying
            | Self::Installing
            | Self::Rebooting
            | Self::SelfTest => false,
        }
    }

    /// Whether an update ends here without the new firmware, so that it has a reason to tell.
    pub const fn is_failure(self) -> bool {
        match self {
            Self::Rejected | Self::RolledBack | Self::Failed => true,
            Self::Confirmed
            | Self::Deferred
            | Self::Downloading
            | Self::Downloaded
            | Self::Verifying
            | Self::Installing
            | Self::Rebooting
            | Self::SelfTest => false,
        }
    }

    /// The reason that goes without saying: that of a stage which has none of its own to tell, and
    /// what is understood where a failure comes without one.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Deferred => Reason::AwaitRetry,
            Self::Rejected => Reason::UnsupportedPackage,
            Self::Confirmed => Reason::Success,
            Self::RolledBack | Self::Failed => Reason::UpdateFailed,
            Self::Downloading
            | Self::Downloaded
            | Self::Verifying
            | Self::Installing
            | Self::Rebooting
            | Self::SelfTest => Reason::Ready,
        }
    }
}

/// What a device says of its update.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    /// Where it stands.
    pub stage: Stage,
    /// Why; other than [`Stage::reason`] in failures only.
    pub reason: Reason,
}

impl Status {
    /// `stage`, for the reason that goes without saying.
    pub const fn of(stage: Stage) -> Self {
        Self {
            stage,
            reason: stage.reason(),
        }
    }

    /// `stage` with `reason`, which is left away where the stage has its own.
    pub const fn because(stage: Stage, reason: Reason) -> Self {
        if stage.is_failure() {
            Self { stage, reason }
        } else {
            Self::of(stage)
        }
    }
}

/// How much of a download there is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Progress {
    /// Blocks in flash.
    pub received: u32,
    /// Blocks of the image.
    pub blocks: u32,
}

/// Why a message could not be read. Nothing of what it said is known then.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// The topic is none of this conversation.
    #[error("the topic is none of this profile")]
    Topic,
    /// Not UTF-8, or not JSON.
    #[error("the payload is not JSON")]
    Json,
    /// Not CBOR.
    #[error("the payload is not CBOR")]
    Cbor,
    /// Readable, but a member is missing, comes twice, or is of the wrong type.
    #[error("a member of the payload is missing or of the wrong type")]
    Form,
    /// A member, named here, has a value that it cannot have.
    #[error("`{0}` has a value that it cannot have")]
    Value(&'static str),
}

#[cfg(test)]
mod tests;

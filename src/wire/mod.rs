//! The languages of updates and fleet commands: the vocabulary that device and operator share, and
//! exact topics and payloads per wire profile as pure functions between bytes and values. Both ends
//! of a conversation are here, so that a device can talk to a real server and the operator to a real
//! device.

pub mod generic_action;

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

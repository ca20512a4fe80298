//! What a campaign keeps of one target, in 32 bytes, and what a word of the device makes of it.

use super::clock::Tick;
use super::{Heard, Status};
use crate::scenario::campaign::VersionIdx;
use crate::scenario::plan::DeviceIdx;
use crate::stats::results::Outcome;
use crate::wire::Reason;

/// Where a target stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has had no turn.
    Waiting,
    /// It was notified, and came back while the campaign was paused: it is notified again afterwards.
    Missed,
    /// It is to have another turn, after the pause.
    Retry,
    /// It was notified and has not started.
    Notified,
    /// It has started.
    Started,
    /// It said that it reboots, and nothing since.
    Rebooting,
    /// It was heard of again after its reboot, without a verdict.
    Returned,
    /// It has its row.
    Ended(Outcome),
}

impl Stage {
    pub(super) const fn is_in_progress(self) -> bool {
        match self {
            Self::Started | Self::Rebooting | Self::Returned => true,
            Self::Waiting | Self::Missed | Self::Retry | Self::Notified | Self::Ended(_) => false,
        }
    }

    /// What a device whose time is up came to.
    pub(super) const fn overdue(self) -> Outcome {
        match self {
            Self::Rebooting => Outcome::Bricked,
            Self::Started | Self::Returned => Outcome::TimedOut,
            Self::Waiting | Self::Missed | Self::Retry | Self::Notified => Outcome::NeverReached,
            Self::Ended(outcome) => outcome,
        }
    }

    pub(super) const fn status(self) -> Option<Status> {
        match self {
            Self::Waiting => None,
            Self::Missed | Self::Retry | Self::Notified => Some(Status::Queued),
            Self::Started | Self::Rebooting | Self::Returned => Some(Status::InProgress),
            Self::Ended(outcome) => Some(Status::Ended(outcome)),
        }
    }
}

/// What a word comes to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The device has had no turn: the word is counted and left.
    Early,
    /// The device has its row: likewise.
    Late,
    /// The execution goes on here.
    On(Stage),
    /// It ends so.
    End(Outcome, Reason),
}

/// What `heard` makes of a target at `stage`. Nothing goes back: a device that says again that it
/// downloads still has whatever it said before; one that says anything but a reboot after a reboot
/// has returned from it.
pub(super) const fn hear(stage: Stage, heard: Heard) -> Step {
    match (stage, heard) {
        (Stage::Waiting, _) => Step::Early,
        (Stage::Ended(_), _) => Step::Late,
        (_, Heard::Confirmed) => Step::End(Outcome::Confirmed, Reason::Success),
        (_, Heard::RolledBack(reason)) => Step::End(Outcome::RolledBack, reason),
        (_, Heard::Failed(reason)) => Step::End(Outcome::Failed, reason),
        (_, Heard::Rejected(reason)) => Step::End(Outcome::Rejected, reason),
        (_, Heard::Rebooting) => Step::On(Stage::Rebooting),
        (
            Stage::Missed | Stage::Retry | Stage::Notified | Stage::Started,
            Heard::Started | Heard::Progress | Heard::Downloaded,
        ) => Step::On(Stage::Started),
        (
            Stage::Rebooting | Stage::Returned,
            Heard::Started | Heard::Progress | Heard::Downloaded,
        ) => Step::On(Stage::Returned),
    }
}

/// Whether `heard` says that the device has started, whatever else it says: who rejects need not have.
pub(super) const fn implies_start(heard: Heard) -> bool {
    match heard {
        Heard::Rejected(_) => false,
        Heard::Started
        | Heard::Progress
        | Heard::Downloaded
        | Heard::Rebooting
        | Heard::Confirmed
        | Heard::RolledBack(_)
        | Heard::Failed(_) => true,
    }
}

/// How the execution before the present one of a device ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Former {
    Failed(Reason),
    TimedOut,
}

/// Number of executions begun (0 to 11) in the lower half of a byte, and how the last ended one but
/// not the present ended in the upper: the number of a reason, or one of these.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Tries(u8);

const TIMED_OUT: u8 = 14;
const NONE: u8 = 15;

// Reasons, `TIMED_OUT` and `NONE` share half a byte.
const _: () = assert!(Reason::ALL.len() <= TIMED_OUT as usize);

impl Tries {
    const fn new(attempt: u8, former: u8) -> Self {
        Self((former << 4) | (attempt & 0x0f))
    }

    pub(super) const fn attempt(self) -> u8 {
        self.0 & 0x0f
    }

    pub(super) fn former(self) -> Option<Former> {
        match self.0 >> 4 {
            NONE => None,
            TIMED_OUT => Some(Former::TimedOut),
            reason => Some(Former::Failed(Reason::ALL[usize::from(reason)])),
        }
    }

    /// One more, after one that ended so.
    pub(super) const fn again(self, former: Former) -> Self {
        let former = match former {
            Former::Failed(reason) => reason as u8,
            Former::TimedOut => TIMED_OUT,
        };
        Self::new(self.attempt() + 1, former)
    }
}

/// A target.
#[derive(Copy, Clone, Debug)]
pub(super) struct Execution {
    pub(super) device: DeviceIdx,
    /// Image bytes sent to it.
    pub(super) bytes: u32,
    from: u16,
    pub(super) version: u16,
    /// First notified.
    pub(super) offered: Tick,
    /// First heard to have started.
    pub(super) started: Tick,
    /// The image was complete, the last time.
    pub(super) downloaded: Tick,
    /// It rebooted, the last time.
    pub(super) rebooted: Tick,
    /// The present execution started; rounded up, like the next: limits are never cut short.
    pub(super) begun: Tick,
    /// The last change, or the last time that it was notified.
    pub(super) changed: Tick,
    pub(super) stage: Stage,
    pub(super) tries: Tries,
}

// What the controller of a campaign may hold per target.
const _: () = assert!(size_of::<Execution>() <= 32);

/// In place of a version: none is known. No plan has so many.
const UNKNOWN: u16 = u16::MAX;

impl Execution {
    pub(super) fn new(device: DeviceIdx, from: Option<VersionIdx>) -> Self {
        Self {
            device,
            bytes: 0,
            from: from.unwrap_or(UNKNOWN),
            version: 0,
            offered: Tick::NONE,
            started: Tick::NONE,
            downloaded: Tick::NONE,
            rebooted: Tick::NONE,
            begun: Tick::NONE,
            changed: Tick::NONE,
            stage: Stage::Waiting,
            tries: Tries::new(0, NONE),
        }
    }

    pub(super) fn from(&self) -> Option<VersionIdx> {
        (self.from != UNKNOWN).then_some(self.from)
    }

    /// It gets its first turn.
    pub(super) fn first_turn(&mut self) {
        self.tries = Tries::new(1, NONE);
    }

    /// Executions that were begun: a retry that nobody was told of does not count.
    pub(super) const fn attempts(&self) -> u8 {
        match self.stage {
            Stage::Retry => self.tries.attempt() - 1,
            Stage::Waiting
            | Stage::Missed
            | Stage::Notified
            | Stage::Started
            | Stage::Rebooting
            | Stage::Returned
            | Stage::Ended(_) => self.tries.attempt(),
        }
    }
}

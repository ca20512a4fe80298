//! What a device hears of updates, whatever the wire profile: offers, blocks, and what became of what
//! it said.

use crate::wire::Reason;

/// An offer of firmware, with what its profile needs to take it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// The firmware's version.
    pub(super) version: Box<str>,
    /// Size of the image; `None` = not said.
    pub(super) bytes: Option<u32>,
    /// SHA-256 over it; `None` = not said.
    pub(super) sha256: Option<[u8; 32]>,
    /// What the profile calls it.
    pub(super) key: Key,
}

impl Offer {
    /// Bytes it holds on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let key = match &self.key {
            Key::Aws { job, stream, .. } => job.len() + stream.len(),
            Key::Thingsboard { title } => title.len(),
            Key::Generic { action, url } => action.len() + url.len(),
        };
        key + self.version.len()
    }

    /// Whether nothing in it tells one try from the next.
    pub(super) fn is_numberless(&self) -> bool {
        match &self.key {
            Key::Aws { .. } => false,
            // If the scenario's pattern has a place for its id.
            Key::Generic { action, .. } => action.is_empty(),
            Key::Thingsboard { .. } => true,
        }
    }

    /// Whether `other` is the same offer, and not one more of the same firmware.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (&self.key, &other.key) {
            (
                Key::Aws { job, execution, .. },
                Key::Aws {
                    job: other_job,
                    execution: other_execution,
                    ..
                },
            ) => job == other_job && execution == other_execution,
            (Key::Thingsboard { title }, Key::Thingsboard { title: other_title }) => {
                title == other_title && self.version == other.version
            }
            (
                Key::Generic { action, .. },
                Key::Generic {
                    action: other_action,
                    ..
                },
            ) => action == other_action && self.version == other.version,
            (Key::Aws { .. } | Key::Thingsboard { .. } | Key::Generic { .. }, _) => false,
        }
    }
}

/// What a profile calls an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Aws {
        job: Box<str>,
        /// `executionNumber` and `queuedAt`: another try is another execution.
        execution: (u64, u64),
        stream: Box<str>,
        file: u8,
    },
    Thingsboard {
        title: Box<str>,
    },
    Generic {
        action: Box<str>,
        url: Box<str>,
    },
}

/// An offer, and how it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offered {
    pub(super) offer: Offer,
    /// Why it cannot be used, if that shows on it.
    pub(super) flaw: Option<Reason>,
    /// `versionNumber` (AWS).
    pub(super) version: Option<u64>,
    /// In answer to a question: what holds now. Else pushed, and perhaps late.
    pub(super) is_answer: bool,
}

/// What came of a status.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Taken; `versionNumber` now, if it is said.
    Taken(Option<u64>),
    /// The version is another one.
    Mismatch(Option<ServerState>),
    /// The server has no such update any more, or has ended it.
    Over(Option<ServerState>),
    /// Not now: to be said again in a while.
    Later,
    /// The server makes no sense of it.
    Unreadable,
}

/// Where an update stands as the server says.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerState {
    /// `versionNumber`.
    pub(super) version: u64,
    /// How.
    pub(super) end: ServerEnd,
}

/// Whether the server has ended an update, and how.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum ServerEnd {
    Open,
    Succeeded,
    Failed,
    Rejected,
    TimedOut,
    Cancelled,
}

/// A message of the server about updates.
#[derive(Debug)]
pub(super) enum Heard<'a> {
    /// An offer.
    Offer(Box<Offered>),
    /// There is none.
    Nothing {
        /// In answer to a question.
        is_answer: bool,
    },
    /// The question was refused; whether to ask again.
    NotAnswered { again: bool },
    /// What came of the status with this serial, or of one that has none.
    Reply(Option<u32>, Reply),
    /// A block of the image on offer.
    Block { index: u64, bytes: &'a [u8] },
    /// No block will come, and why.
    NoBlock(Reason),
    /// A block of another update, or of none.
    Unwanted,
    /// Nothing to do with its updates, or old.
    Ignored,
    /// Could not be read, or makes no sense.
    Bad,
}

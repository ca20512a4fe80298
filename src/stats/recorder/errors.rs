//! Errors by kind with first, last and an example: of the running second and of the whole run.

use crate::stats::event::{Cause, Limit, Note};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often an error happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// What kind.
    pub kind: ErrorKind,
    /// How often.
    pub count: u64,
    /// First and last time, on the run's axis.
    pub first: Instant,
    /// See `first`.
    pub last: Instant,
    /// One device it happened to (index in the fleet).
    pub example_device: u32,
}

/// Kinds of errors that are counted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ErrorKind {
    /// A connection attempt failed.
    Attempt(Cause),
    /// An established connection ended other than by our own will.
    Connection(Cause),
    /// A named limit was reached.
    Limit(Limit),
    /// PUBACK did not come in time.
    AckTimeout,
    /// A device stopped trying.
    GaveUp,
    /// An observer's session failed.
    Observer(Cause),
    /// The session of a desk of the operator failed.
    Operator(Cause),
    /// A download over HTTP failed or ended early.
    Fetch(Cause),
    /// Something that the operator noted.
    Noted(Note),
    /// The driver let a telemetry message go: it had no connection to write to, or the message did
    /// not encode. The books call it sent, so the run is INVALID.
    GeneratorUnsent,
}

impl ErrorKind {
    /// Whether the generator itself, not the target or the network, is to blame.
    pub const fn blames_generator(self) -> bool {
        match self {
            Self::Attempt(cause)
            | Self::Connection(cause)
            | Self::Observer(cause)
            | Self::Operator(cause)
            | Self::Fetch(cause) => cause.blames_generator(),
            Self::GeneratorUnsent => true,
            Self::Noted(note) => match note {
                Note::QueueFull => true,
                Note::ForeignName | Note::BadMessage | Note::Refused => false,
            },
            Self::Limit(_) | Self::AckTimeout | Self::GaveUp => false,
        }
    }
}

impl ErrorCount {
    /// Adds another count of the same kind; the example is the earliest one's (the lower device
    /// among equals), so that the order of adding does not matter.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        if (other.first, other.example_device) < (self.first, self.example_device) {
            self.example_device = other.example_device;
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }

    /// Adds up counts of the same kind; the result is sorted by kind.
    pub fn merge<'a>(all: impl IntoIterator<Item = &'a Self>) -> Vec<Self> {
        let mut by_kind: BTreeMap<ErrorKind, Self> = BTreeMap::new();
        for count in all {
            by_kind
                .entry(count.kind)
                .and_modify(|sum| sum.add(count))
                .or_insert_with(|| count.clone());
        }
        by_kind.into_values().collect()
    }
}

/// Errors by kind. The number of kinds is bounded by the enums they are made of, so the tables are.
#[derive(Debug, Default)]
pub(super) struct ErrorTable {
    delta: BTreeMap<ErrorKind, ErrorCount>,
    before: BTreeMap<ErrorKind, ErrorCount>,
}

impl ErrorTable {
    /// Counts one error.
    pub(super) fn add(&mut self, now: Instant, example_device: u32, kind: ErrorKind) {
        let one = ErrorCount {
            kind,
            count: 1,
            first: now,
            last: now,
            example_device,
        };
        Self::add_to(&mut self.delta, one);
    }

    /// The errors since the last call, by kind.
    pub(super) fn take_delta(&mut self) -> Vec<ErrorCount> {
        let delta: Vec<_> = std::mem::take(&mut self.delta).into_values().collect();
        for count in &delta {
            Self::add_to(&mut self.before, count.clone());
        }
        delta
    }

    /// All errors, by kind.
    pub(super) fn totals(&self) -> Vec<ErrorCount> {
        ErrorCount::merge(self.before.values().chain(self.delta.values()))
    }

    fn add_to(table: &mut BTreeMap<ErrorKind, ErrorCount>, count: ErrorCount) {
        table
            .entry(count.kind)
            .and_modify(|sum| sum.add(&count))
            .or_insert(count);
    }
}

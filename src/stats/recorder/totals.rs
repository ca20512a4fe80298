//! What a worker reports at its end, and how workers' totals add up.

use super::{Backlog, ErrorCount, Freshness, HerdCounts, ResumeCounts};
use crate::stats::books::{Books, CommandCounts, DeliveryCounts, UpdateCounts, WillCounts};
use serde::{Deserialize, Serialize};

/// What the devices' own state says at the end, per `[stream][phase]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Arrivals by the schedule's arithmetic, independent of events.
    pub planned: Vec<Vec<u64>>,
    /// Due and still waiting.
    pub waiting: Vec<Vec<u64>>,
    /// Written and un-ended.
    pub in_flight: Vec<Vec<u64>>,
}

impl Audit {
    /// An audit of zeros for this many streams and phases.
    pub fn new(streams: usize, phases: usize) -> Self {
        let zeros = vec![vec![0; phases]; streams];
        Self {
            planned: zeros.clone(),
            waiting: zeros.clone(),
            in_flight: zeros,
        }
    }

    /// Enters `waiting` and `in_flight` into `books` and tells whether the arrivals counted by
    /// events equal the schedule's arithmetic everywhere.
    pub(super) fn close(&self, books: &mut [Vec<Books>]) -> bool {
        let at = |table: &[Vec<u64>], stream: usize, phase: usize| {
            table.get(stream).and_then(|row| row.get(phase)).copied()
        };
        let mut agrees = self.planned.len() == books.len();
        for (stream, row) in books.iter_mut().enumerate() {
            for (phase, book) in row.iter_mut().enumerate() {
                book.waiting = at(&self.waiting, stream, phase).unwrap_or(0);
                book.in_flight = at(&self.in_flight, stream, phase).unwrap_or(0);
                agrees &= at(&self.planned, stream, phase) == Some(book.planned);
            }
        }
        agrees
    }
}

/// A worker's (or, merged, the run's) totals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Per `[stream][phase]`.
    pub books: Vec<Vec<Books>>,
    /// Whether `planned` as counted by events equals the schedule's arithmetic everywhere.
    pub schedule_agrees: bool,
    /// Per phase (of the attempt's intended instant, as in `Metric::ConnectLatency`).
    pub attempts: Vec<AttemptCounts>,
    /// Per phase: (device-seconds with a session, expected device-seconds).
    pub availability: Vec<(f64, f64)>,
    /// Per fault: devices not connected when it cleared, and how many of them came back.
    pub recoveries: Vec<Recovery>,
    /// Per fault: the attempts it cost to come back, and the sessions that were found again.
    #[serde(default)]
    pub herds: Vec<HerdCounts>,
    /// Per phase of the CONNACK: reconnects of devices with a persistent session.
    #[serde(default)]
    pub resumes: Vec<ResumeCounts>,
    /// How old what is known of the observed devices was; `None` if no objective asks.
    #[serde(default)]
    pub freshness: Option<Freshness>,
    /// Per fault, of those that close their phase: what it held up, and how that was worked off.
    #[serde(default)]
    pub backlogs: Vec<Backlog>,
    /// The delivery ledger.
    pub delivery: DeliveryCounts,
    /// Wills that observers saw; `None` if no objective asks.
    #[serde(default)]
    pub wills: Option<WillCounts>,
    /// What devices told of their updates besides rows.
    #[serde(default)]
    pub updates: UpdateCounts,
    /// What devices told of commands.
    #[serde(default)]
    pub commands: CommandCounts,
    /// Values outside the histograms' range.
    pub out_of_range: u64,
    /// Errors of the whole run.
    pub errors: Vec<ErrorCount>,
}

/// Ended connection attempts.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptCounts {
    /// CONNACK accepted.
    pub accepted: u64,
    /// Failed for any cause.
    pub failed: u64,
    /// Of those, ended by the device's own timeout after its CONNECT was written: what the target
    /// did for it was for nothing. Run directories of before do not have it: zero.
    #[serde(default)]
    pub wasted: u64,
}

/// Recovery from one fault.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Devices not connected at the clearing, by the run or with power.
    pub affected: u64,
    /// Of those, connected again before the next fault or the end.
    pub recovered: u64,
}

impl Totals {
    /// Adds another worker's totals; errors of one kind are added up. `Totals::default()` is
    /// neutral, so that a fold may start from it; alone it claims nothing (`schedule_agrees` is
    /// false).
    pub fn merge(&mut self, other: &Self) {
        if *other == Self::default() {
            return;
        }
        if *self == Self::default() {
            *self = other.clone();
            return;
        }
        grow(&mut self.books, other.books.len());
        for (row, more) in self.books.iter_mut().zip(&other.books) {
            grow(row, more.len());
            row.iter_mut().zip(more).for_each(|(a, b)| a.add(b));
        }
        self.schedule_agrees &= other.schedule_agrees;
        grow(&mut self.attempts, other.attempts.len());
        for (a, b) in self.attempts.iter_mut().zip(&other.attempts) {
            a.accepted += b.accepted;
            a.failed += b.failed;
            a.wasted += b.wasted;
        }
        grow(&mut self.availability, other.availability.len());
        for (a, b) in self.availability.iter_mut().zip(&other.availability) {
            a.0 += b.0;
            a.1 += b.1;
        }
        grow(&mut self.recoveries, other.recoveries.len());
        for (a, b) in self.recoveries.iter_mut().zip(&other.recoveries) {
            a.affected += b.affected;
            a.recovered += b.recovered;
        }
        grow(&mut self.herds, other.herds.len());
        for (a, b) in self.herds.iter_mut().zip(&other.herds) {
            a.add(b);
        }
        grow(&mut self.resumes, other.resumes.len());
        for (a, b) in self.resumes.iter_mut().zip(&other.resumes) {
            a.add(b);
        }
        if let Some(other) = &other.freshness {
            self.freshness.get_or_insert_default().add(other);
        }
        grow(&mut self.backlogs, other.backlogs.len());
        for (a, b) in self.backlogs.iter_mut().zip(&other.backlogs) {
            a.add(b);
        }
        self.delivery.add(&other.delivery);
        if let Some(other) = &other.wills {
            self.wills.get_or_insert_default().add(other);
        }
        self.updates.add(&other.updates);
        self.commands.add(&other.commands);
        self.out_of_range += other.out_of_range;
        self.errors = ErrorCount::merge(self.errors.iter().chain(&other.errors));
    }

    /// The books of all streams and phases in one.
    pub fn sum(&self) -> Books {
        let mut sum = Books::default();
        self.books.iter().flatten().for_each(|b| sum.add(b));
        sum
    }
}

fn grow<T: Clone + Default>(list: &mut Vec<T>, len: usize) {
    if list.len() < len {
        list.resize(len, T::default());
    }
}

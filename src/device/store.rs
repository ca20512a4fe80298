//! Store-and-forward of a cohort with a `store`: what comes due is written, waits in the buffer, or is
//! dropped by policy; a backlog is written at its pace. Streams without `when_late: send`, and cohorts
//! without a store, know nothing of this.

use super::buffer::{Full, Place, Victim};
use super::pacer::Cursor;
use super::streams::{operation, pacer, stream};
use super::{Device, Output, State};
use crate::scenario::plan::{First, WhenFull, WhenLate};
use crate::stats::event::{Event, Limit, Unsent};
use crate::time::Instant;

const HAS_STORE: &str = "only a cohort with a store has a buffer";

impl Device {
    /// Whether what waits of stream `index` of the cohort is in the buffer.
    pub(super) fn stores(&self, index: usize) -> bool {
        self.buffer.is_some() && stream(&self.profile, index).when_late == WhenLate::Send
    }

    /// A sample of a stored stream came due: it is written, waits, or something is dropped.
    pub(super) fn arrive_in_store(
        &mut self,
        index: usize,
        cursor: Cursor,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        // What was too old by then had gone, however late this is handled.
        self.expire(cursor.at, out);
        let since = self.backlog_before();
        let buffer = self.buffer.as_ref().expect("asked before");
        let store = self.profile.cohort().store.expect(HAS_STORE);
        let queues = match store.first {
            First::Live => buffer.has_live(index, since),
            First::Backlog => buffer.len() > 0,
        };
        let is_sendable = self.is_sendable(index);
        if is_sendable && !queues && cursor.at >= since {
            return self.write(index, cursor, false, now, out);
        }
        if self.waits_for_ack(index) {
            self.note_held_up(out);
        }
        self.keep(index, cursor, out);
        if is_sendable {
            self.flush(now, out);
        }
    }

    /// Drops what has waited for the store's `age` by `until`.
    pub(super) fn expire(&mut self, until: Instant, out: &mut Vec<Output>) {
        while self.next_expiry() <= until {
            let oldest = self.buffer.as_ref().and_then(|buffer| buffer.oldest());
            self.drop_by_policy(oldest.expect("something expires"), out);
        }
    }

    /// When the oldest waiting sample will have waited for too long.
    pub(super) fn next_expiry(&self) -> Instant {
        // First of all, so that it costs nothing where nothing is stored.
        let Some(oldest) = self.buffer.as_ref().and_then(|buffer| buffer.oldest()) else {
            return Instant::NEVER;
        };
        let age = self.profile.cohort().store.and_then(|store| store.age);
        age.map_or(Instant::NEVER, |age| oldest.cursor.at.after(age))
    }

    /// The sample of the buffer that is to be written now.
    pub(super) fn next_stored(&self, now: Instant) -> Option<Place> {
        let buffer = self.buffer.as_ref().filter(|buffer| buffer.len() > 0)?;
        buffer.next(
            &self.profile.cohort().store.expect(HAS_STORE),
            self.backlog_before(),
            buffer.next_drain <= now,
            |index| self.is_sendable(index),
            |index| pacer(&self.profile, self.id, self.boot, index),
        )
    }

    /// Writes the sample at `place`.
    pub(super) fn write_stored(&mut self, place: Place, now: Instant, out: &mut Vec<Output>) {
        let gap = self.profile.cohort().store.and_then(|s| s.drain_gap);
        let buffer = self.buffer.as_mut().expect("the place is in it");
        buffer.take(
            place,
            &pacer(&self.profile, self.id, self.boot, place.stream),
        );
        if let (true, Some(gap)) = (place.is_backlog, gap) {
            // From when it was due, so that a late timer does not slow the drain.
            let due = buffer.next_drain.max(self.since);
            let from = if due.after(gap) > now { due } else { now };
            buffer.next_drain = from.after(gap);
        }
        self.write(place.stream, place.cursor, place.is_backlog, now, out);
    }

    /// When the drain goes on after a pause for its pace; never, if no backlog waits for that.
    pub(super) fn next_drain(&self, now: Instant) -> Instant {
        let since = self.backlog_before();
        let paced = (self.buffer.as_ref()).filter(|buffer| buffer.next_drain > now);
        let waits = paced.filter(|buffer| buffer.has_backlog(since));
        waits.map_or(Instant::NEVER, |buffer| buffer.next_drain)
    }

    /// What is intended before it is backlog.
    fn backlog_before(&self) -> Instant {
        match self.state {
            // What comes due at that very instant may have waited already.
            State::Online => self.since.after_ns(1),
            State::Off
            | State::Connecting
            | State::Handshaking
            | State::Resuming
            | State::Subscribing(_)
            | State::BackingOff
            | State::GaveUp
            | State::Rebooting
            | State::Bricked
            | State::Stopped => Instant::NEVER,
        }
    }

    /// Lets a sample wait; the policy says what goes for it, if anything must.
    fn keep(&mut self, index: usize, cursor: Cursor, out: &mut Vec<Output>) {
        let store = self.profile.cohort().store.expect(HAS_STORE);
        let since = self.backlog_before();
        let buffer = self.buffer.as_ref().expect("asked before");
        let priority = |index: usize| stream(&self.profile, index).priority;
        match buffer.victim(&store, index, cursor, priority) {
            Victim::Nobody => {}
            Victim::Newcomer => return self.refuse(index, cursor, out),
            Victim::Waiting(place) => self.drop_by_policy(place, out),
        }
        if self.push(index, cursor, since) == Ok(()) {
            return;
        }
        out.push(Output::Event(Event::LimitReached(Limit::StoredRuns)));
        match store.when_full {
            WhenFull::DropNewest => self.refuse(index, cursor, out),
            WhenFull::DropOldest | WhenFull::DropByPriority => {
                self.drop_first_run(index, out);
                self.push(index, cursor, since)
                    .expect("a run has just gone");
            }
        }
    }

    fn push(&mut self, index: usize, cursor: Cursor, since: Instant) -> Result<(), Full> {
        let buffer = self.buffer.as_mut().expect("asked before");
        buffer.push(index, cursor, since)
    }

    fn drop_first_run(&mut self, index: usize, out: &mut Vec<Output>) {
        let buffer = self.buffer.as_ref().expect("asked before");
        for _ in 0..buffer.first_run_len(index) {
            let oldest = self.buffer.as_ref().and_then(|b| b.oldest_of(index));
            self.drop_by_policy(oldest.expect("the run has so many"), out);
        }
    }

    /// Drops a sample that just came due.
    fn refuse(&self, index: usize, cursor: Cursor, out: &mut Vec<Output>) {
        let op = operation(&pacer(&self.profile, self.id, self.boot, index), cursor);
        out.push(Output::Event(Event::Unsent(op, Unsent::DroppedByPolicy)));
    }

    fn drop_by_policy(&mut self, place: Place, out: &mut Vec<Output>) {
        let pacer = pacer(&self.profile, self.id, self.boot, place.stream);
        let buffer = self.buffer.as_mut().expect("the place is in it");
        buffer.take(place, &pacer);
        self.refuse(place.stream, place.cursor, out);
    }
}

//! What devices say, and how their executions end: rows, each once.

use super::clock::Tick;
use super::execution::{self, Former, Stage, Step};
use super::{Campaign, Heard, Mode, Output};
use crate::scenario::plan::DeviceIdx;
use crate::stats::results::{Finding, Outcome, ResultRow, Witness};
use crate::time::Instant;
use crate::wire::Reason;

impl Campaign {
    pub(super) fn hear(
        &mut self,
        now: Instant,
        device: DeviceIdx,
        heard: Heard,
        out: &mut Vec<Output>,
    ) {
        let Some(slot) = self.targets.find(device) else {
            self.counts.foreign_words += 1;
            return;
        };
        match execution::hear(self.targets[slot].stage, heard) {
            Step::Early => self.counts.early_words += 1,
            Step::Late => self.counts.late_words += 1,
            Step::On(stage) => {
                self.note(now, slot, heard);
                self.targets[slot].stage = stage;
                if let Some(deadline) = self.deadline(slot) {
                    self.timers.set(slot, deadline);
                }
            }
            Step::End(outcome, reason) => {
                self.note(now, slot, heard);
                self.end(now, slot, outcome, reason, out);
            }
        }
    }

    /// Writes down what a word says that is taken.
    fn note(&mut self, now: Instant, slot: u32, heard: Heard) {
        let at = self.tick(now);
        let up = Tick::of(self.clock.ceil(now));
        let execution = &mut self.targets[slot];
        let stage = execution.stage;
        if matches!(stage, Stage::Missed | Stage::Retry) {
            self.owed -= 1;
        }
        if !stage.is_in_progress() && execution::implies_start(heard) {
            execution.begun = up;
            if execution.started == Tick::NONE {
                execution.started = at;
                self.started += 1;
            }
        }
        match (stage, heard) {
            // A repetition says nothing of the image any more once the device reboots into it.
            (Stage::Rebooting | Stage::Returned, Heard::Downloaded)
            | (Stage::Rebooting, Heard::Rebooting) => {}
            (_, Heard::Downloaded) => execution.downloaded = at,
            (_, Heard::Rebooting) => execution.rebooted = at,
            (
                _,
                Heard::Started
                | Heard::Progress
                | Heard::Confirmed
                | Heard::RolledBack(_)
                | Heard::Failed(_)
                | Heard::Rejected(_),
            ) => {}
        }
        execution.changed = up;
        execution.version = execution.version.saturating_add(1);
    }

    /// A device is back.
    pub(super) fn contact(&mut self, now: Instant, device: DeviceIdx, out: &mut Vec<Output>) {
        let Some(slot) = self.targets.find(device) else {
            return;
        };
        match (self.targets[slot].stage, self.mode) {
            (Stage::Notified, Mode::Running) if self.paused.is_some() => {
                self.targets[slot].stage = Stage::Missed;
                self.owed += 1;
            }
            (Stage::Notified, Mode::Running) => self.notify_again(now, slot, out),
            (Stage::Rebooting, _) => self.targets[slot].stage = Stage::Returned,
            (Stage::Notified, Mode::Stopped | Mode::Halted)
            | (
                Stage::Waiting
                | Stage::Missed
                | Stage::Retry
                | Stage::Started
                | Stage::Returned
                | Stage::Ended(_),
                _,
            ) => {}
        }
    }

    /// A device was heard of.
    pub(super) fn see(&mut self, device: DeviceIdx) {
        let Some(slot) = self.targets.find(device) else {
            return;
        };
        match self.targets[slot].stage {
            Stage::Rebooting => self.targets[slot].stage = Stage::Returned,
            Stage::Waiting
            | Stage::Missed
            | Stage::Retry
            | Stage::Notified
            | Stage::Started
            | Stage::Returned
            | Stage::Ended(_) => {}
        }
    }

    /// Bytes of the image were sent. What no row can say, because it is out or because no u32 holds it,
    /// is counted beside.
    pub(super) fn served(&mut self, device: DeviceIdx, bytes: u32) {
        let unbooked = match self.targets.find(device) {
            None => bytes,
            Some(slot) => {
                let execution = &mut self.targets[slot];
                match execution.stage {
                    Stage::Waiting | Stage::Ended(_) => bytes,
                    Stage::Missed
                    | Stage::Retry
                    | Stage::Notified
                    | Stage::Started
                    | Stage::Rebooting
                    | Stage::Returned => {
                        let room = u32::MAX - execution.bytes;
                        execution.bytes += bytes.min(room);
                        bytes.saturating_sub(room)
                    }
                }
            }
        };
        self.counts.unbooked_bytes += u64::from(unbooked);
    }

    /// An execution ended by itself: another follows, or the row.
    pub(super) fn end(
        &mut self,
        now: Instant,
        slot: u32,
        outcome: Outcome,
        reason: Reason,
        out: &mut Vec<Output>,
    ) {
        self.aborts.ended(outcome, now);
        if self.mode != Mode::Halted && !self.aborts.are_none() && self.evaluate_at.is_none() {
            self.evaluate_at = Some(self.next_evaluation(now));
        }
        let former = match outcome {
            Outcome::Failed => Some(Former::Failed(reason)),
            Outcome::TimedOut => Some(Former::TimedOut),
            Outcome::Confirmed
            | Outcome::RolledBack
            | Outcome::Rejected
            | Outcome::Bricked
            | Outcome::Cancelled
            | Outcome::NeverReached
            | Outcome::Unfinished => None,
        };
        let retries = self.definition().retries;
        let tries = self.targets[slot].tries;
        match former {
            Some(former) if self.mode == Mode::Running && tries.attempt() <= retries => {
                self.targets[slot].tries = tries.again(former);
                self.retry(now, slot, out);
            }
            Some(_) | None => self.put_row(now, slot, outcome, reason, out),
        }
    }

    fn retry(&mut self, now: Instant, slot: u32, out: &mut Vec<Output>) {
        self.counts.retries += 1;
        if self.paused.is_none() {
            self.notify(now, slot, out);
            return;
        }
        self.targets[slot].stage = Stage::Retry;
        self.targets[slot].version = 1;
        self.owed += 1;
    }

    /// Puts out the row of a target that has not started its execution: as the one before ended, if
    /// there was one.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        slot: u32,
        otherwise: Outcome,
        out: &mut Vec<Output>,
    ) {
        let (outcome, reason) = match self.targets[slot].tries.former() {
            Some(Former::Failed(reason)) => (Outcome::Failed, reason),
            Some(Former::TimedOut) => (Outcome::TimedOut, Reason::Ready),
            None => (otherwise, Reason::Ready),
        };
        self.put_row(now, slot, outcome, reason, out);
    }

    pub(super) fn put_row(
        &mut self,
        now: Instant,
        slot: u32,
        outcome: Outcome,
        reason: Reason,
        out: &mut Vec<Output>,
    ) {
        let row = self.row(now, slot, outcome, reason);
        out.push(Output::Finding(Finding::Result(row)));
        let execution = &mut self.targets[slot];
        if execution.stage != Stage::Waiting {
            self.under_way -= 1;
        }
        execution.stage = Stage::Ended(outcome);
        self.rows += 1;
        if outcome == Outcome::Confirmed {
            self.succeeded += 1;
            self.pace
                .move_on(self.succeeded, self.paused.unwrap_or(now));
        }
    }

    fn row(&self, now: Instant, slot: u32, outcome: Outcome, reason: Reason) -> ResultRow {
        let execution = &self.targets[slot];
        let instant = |tick: Tick| Some(self.clock.instant(tick.get()?).min(now));
        ResultRow {
            campaign: self.number(),
            witness: Witness::Operator,
            device: execution.device,
            from: execution.from(),
            priority: u8::try_from(self.targets.priority(slot)).expect("the file's limit is 16"),
            outcome,
            reason,
            attempts: execution.attempts(),
            bytes: u64::from(execution.bytes),
            offered: instant(execution.offered),
            started: instant(execution.started),
            downloaded: instant(execution.downloaded),
            rebooted: instant(execution.rebooted),
            finished: now,
        }
    }

    /// The tick of what is written down at `now`. Since it is not later, and nobody starts after a halt,
    /// the devices whose rows say that they had started by a halt are those that it counted.
    pub(super) fn tick(&self, now: Instant) -> Tick {
        Tick::of(self.clock.floor(now))
    }
}

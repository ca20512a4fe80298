//! What a campaign does by itself as time goes: turns, pauses, the looks at the abort rules, limits.

use super::clock::Tick;
use super::execution::Stage;
use super::timers::BLOCK;
use super::{Campaign, EVALUATION, Mode, Output, TURNS_MAX};
use crate::stats::results::{CampaignMark, Outcome};
use crate::time::Instant;
use crate::wire::Reason;

/// What is due; in this order at the same instant.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Cancel,
    Pause,
    Resume,
    Evaluation,
    Limit,
    Turn,
}

impl Campaign {
    /// What is due next, and when.
    pub(super) fn next_due(&self) -> Option<(Instant, Due)> {
        if self.is_complete {
            return None;
        }
        let runs = self.mode == Mode::Running;
        let pause = self.definition().pauses.get(self.pauses_begun);
        let pause = pause.map(|(begin, _)| self.t0.after(*begin).max(self.start));
        let limit = self.timers.earliest();
        let due = [
            (self.cancel_at, Due::Cancel),
            (pause.filter(|_| runs && self.paused.is_none()), Due::Pause),
            (self.resume_at().filter(|_| runs), Due::Resume),
            (self.evaluate_at, Due::Evaluation),
            (limit.map(|tick| self.clock.instant(tick)), Due::Limit),
            (
                self.pace.due().filter(|_| runs && self.paused.is_none()),
                Due::Turn,
            ),
        ];
        due.into_iter()
            .filter_map(|(at, what)| Some((at?, what)))
            .min()
    }

    /// Does what is due until `now`, in order, but no more than [`TURNS_MAX`] turns.
    pub(super) fn catch_up(&mut self, now: Instant, out: &mut Vec<Output>) {
        let mut turns = 0;
        while let Some((at, what)) = self.next_due() {
            if at > now || turns == TURNS_MAX {
                return;
            }
            match what {
                Due::Cancel => {
                    let started = self.started;
                    self.mark(now, CampaignMark::Cancelled { started }, out);
                    self.halt(now, out);
                }
                Due::Pause => {
                    self.paused = Some(at);
                    self.pauses_begun += 1;
                    self.mark(now, CampaignMark::Paused, out);
                }
                Due::Resume => self.resume(now, at, out),
                Due::Evaluation => self.evaluate(now, out),
                Due::Limit => self.expire(now, out),
                Due::Turn => {
                    self.give_turn(now, out);
                    turns += 1;
                }
            }
            self.complete(now, out);
        }
    }

    /// When the rules are looked at that an end at `now` may fulfil: the next full second of campaign
    /// time.
    pub(super) fn next_evaluation(&self, now: Instant) -> Instant {
        let second = u64::try_from(EVALUATION.as_nanos()).expect("a second has 10^9");
        let full = now.ns_since(self.start) / second;
        self.start.after_ns((full + 1) * second)
    }

    /// When the present pause ends.
    fn resume_at(&self) -> Option<Instant> {
        self.paused?;
        let present = self.pauses_begun.checked_sub(1)?;
        Some(self.t0.after(self.definition().pauses[present].1))
    }

    fn resume(&mut self, now: Instant, at: Instant, out: &mut Vec<Output>) {
        if let Some(since) = self.paused.take() {
            self.pace.shift(at.since(since));
        }
        self.mark(now, CampaignMark::Resumed, out);
        if self.owed == 0 {
            return;
        }
        self.owed = 0;
        for slot in self.targets.slots() {
            match self.targets[slot].stage {
                Stage::Missed => self.notify_again(now, slot, out),
                Stage::Retry => self.notify(now, slot, out),
                Stage::Waiting
                | Stage::Notified
                | Stage::Started
                | Stage::Rebooting
                | Stage::Returned
                | Stage::Ended(_) => {}
            }
        }
    }

    fn evaluate(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.evaluate_at = None;
        let Some(verdict) = self.aborts.verdict() else {
            return;
        };
        let mark = CampaignMark::Halted {
            rule: u16::try_from(verdict.rule).expect("the file's limit is 16"),
            executed: verdict.executed,
            failures: verdict.failures,
            started: self.started,
            crossed: verdict.crossed,
        };
        self.mark(now, mark, out);
        self.halt(now, out);
    }

    /// Ends what has reached the earliest limit.
    fn expire(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Some(tick) = self.timers.earliest() else {
            return;
        };
        for first in self.timers.take_due(tick) {
            let last = (first + BLOCK).min(self.targets.len());
            for slot in first..last {
                match self.deadline(slot) {
                    None => {}
                    Some(deadline) if deadline > tick => self.timers.set(slot, deadline),
                    Some(_) => {
                        let outcome = self.targets[slot].stage.overdue();
                        self.end(now, slot, outcome, Reason::Ready, out);
                    }
                }
            }
        }
    }

    /// When the execution at `slot` times out, in ticks.
    pub(super) fn deadline(&self, slot: u32) -> Option<u32> {
        let execution = &self.targets[slot];
        if !execution.stage.is_in_progress() {
            return None;
        }
        self.limits
            .deadline(execution.begun.get()?, execution.changed.get()?)
    }

    fn give_turn(&mut self, now: Instant, out: &mut Vec<Output>) {
        let (turn, mark) = self.pace.give(self.succeeded, now);
        if let Some(mark) = mark {
            self.mark(now, mark, out);
        }
        let slot = self.targets.by_turn(turn);
        let offered = self.tick(now);
        let execution = &mut self.targets[slot];
        execution.first_turn();
        execution.offered = offered;
        self.under_way += 1;
        self.notify(now, slot, out);
    }

    /// Notifies of an execution that begins.
    pub(super) fn notify(&mut self, now: Instant, slot: u32, out: &mut Vec<Output>) {
        let changed = Tick::of(self.clock.ceil(now));
        let execution = &mut self.targets[slot];
        execution.stage = Stage::Notified;
        execution.version = 1;
        execution.changed = changed;
        out.push(Output::Notify {
            device: execution.device,
            attempt: execution.tries.attempt(),
        });
    }

    pub(super) fn notify_again(&mut self, now: Instant, slot: u32, out: &mut Vec<Output>) {
        self.counts.notified_again += 1;
        let changed = Tick::of(self.clock.ceil(now));
        let execution = &mut self.targets[slot];
        execution.stage = Stage::Notified;
        execution.changed = changed;
        out.push(Output::Notify {
            device: execution.device,
            attempt: execution.tries.attempt(),
        });
    }

    /// Cancels all that has not started.
    fn halt(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.mode = Mode::Halted;
        self.cancel_at = None;
        self.evaluate_at = None;
        for slot in self.targets.slots() {
            let execution = &self.targets[slot];
            match execution.stage {
                Stage::Waiting => self.settle(now, slot, Outcome::Cancelled, out),
                Stage::Missed | Stage::Retry | Stage::Notified => {
                    out.push(Output::Cancel {
                        device: execution.device,
                        attempt: execution.tries.attempt(),
                    });
                    self.settle(now, slot, Outcome::Cancelled, out);
                }
                Stage::Started | Stage::Rebooting | Stage::Returned | Stage::Ended(_) => {}
            }
        }
    }

    /// Nobody new from now on.
    pub(super) fn stop(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.mode != Mode::Running {
            return;
        }
        self.mode = Mode::Stopped;
        for slot in self.targets.slots() {
            match self.targets[slot].stage {
                Stage::Waiting | Stage::Retry => {
                    self.settle(now, slot, Outcome::NeverReached, out);
                }
                // It may start by what it was told before.
                Stage::Missed => self.targets[slot].stage = Stage::Notified,
                Stage::Notified
                | Stage::Started
                | Stage::Rebooting
                | Stage::Returned
                | Stage::Ended(_) => {}
            }
        }
    }

    /// Everything that has no row gets it.
    pub(super) fn close(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.is_complete {
            return;
        }
        if self.mode != Mode::Halted {
            let started = self.started;
            self.mark(now, CampaignMark::Cancelled { started }, out);
        }
        self.mode = Mode::Halted;
        for slot in self.targets.slots() {
            let stage = self.targets[slot].stage;
            match stage {
                Stage::Waiting | Stage::Missed | Stage::Retry | Stage::Notified => {
                    self.settle(now, slot, Outcome::NeverReached, out);
                }
                Stage::Started | Stage::Rebooting | Stage::Returned => {
                    self.put_row(now, slot, stage.overdue(), Reason::Ready, out);
                }
                Stage::Ended(_) => {}
            }
        }
    }
}

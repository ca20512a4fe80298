//! One fleet command: it gives each target its turn, asks again, waits for who is offline, and ends
//! with exactly one row per target.
//!
//! * **Turns** are due at exact instants (start + k / rate), in a seeded order. A request's timeout counts
//!   from when it was written, not from its turn: a desk without a connection uses up no attempts.
//! * **Offline** is what [`super::fleet`] knows of a device at its turn. What waits for a device is sent
//!   when it is heard of again, and that is then its intended instant. A device that goes while a request
//!   to it is without an answer is waited for likewise, with the attempts that are left.
//! * **Rows** are written one timeout after a target's end, so that answers to repeated requests are
//!   counted in them. An answer after the last timeout is counted, but changes no outcome, and its
//!   instant is not told.

use super::fleet::{Fleet, Presence};
use super::{Event, Output};
use crate::rng::{self, Purpose};
use crate::scenario::campaign::{FleetCommand, Offline};
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::results::{CommandOutcome, CommandRow, Finding};
use crate::time::{Duration, Instant};
use std::collections::VecDeque;
use std::sync::Arc;

/// Turns of one step; what is due beyond it waits for the next one, which is wanted at once.
const TURNS_MAX: u32 = 4096;

/// Where the draws of commands' orders begin: those of campaigns are below.
const ORDER_SALT: u64 = 1 << 32;

/// A command under way.
#[derive(Debug)]
pub(super) struct Command {
    plan: Arc<Plan>,
    index: u16,
    /// When the plan wanted it.
    begun: Instant,
    /// By device.
    targets: Vec<Target>,
    /// Turns that have come.
    turns: u32,
    /// Ends of timeouts, in order, since all are of one length.
    waits: VecDeque<Wait>,
    /// Targets without a terminal state.
    open: u32,
}

/// What is known of a target: what its row needs.
#[derive(Copy, Clone, Debug)]
struct Target {
    device: DeviceIdx,
    state: State,
    attempts: u8,
    answers: u8,
    was_offline: bool,
    /// Else [`Instant::NEVER`], as the next two.
    intended: Instant,
    sent: Instant,
    answered: Instant,
}

const _: () = assert!(size_of::<Target>() <= 40);

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum State {
    /// Its turn has not come.
    Waiting,
    /// A request waits at a desk.
    Posted,
    /// A request is without an answer.
    Asked,
    /// The device is not there.
    Parked,
    /// It has its outcome, but not its row.
    Ended(CommandOutcome),
    /// It has its row.
    Written,
}

#[derive(Copy, Clone, Debug)]
struct Wait {
    end: Instant,
    target: u32,
    /// Of the request that is waited for; anything else is about an earlier one.
    attempts: u8,
}

/// A target's request, to be put into words.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// To whom.
    pub(super) device: DeviceIdx,
    /// Which time, from 1.
    pub(super) attempt: u8,
}

impl Command {
    /// Begins command `index` of `plan`, which wanted it at `begun`, and fixes its targets.
    pub(super) fn begin(
        plan: &Arc<Plan>,
        index: u16,
        now: Instant,
        begun: Instant,
        fleet: &Fleet,
        out: &mut Vec<Output>,
    ) -> Self {
        let members = fleet.members(&plan.commands[usize::from(index)].targets);
        let target = |device| Target {
            device,
            state: State::Waiting,
            attempts: 0,
            answers: 0,
            was_offline: fleet.presence(device) != Presence::Online,
            intended: Instant::NEVER,
            sent: Instant::NEVER,
            answered: Instant::NEVER,
        };
        let targets: Vec<_> = members.into_iter().map(target).collect();
        let open = u32::try_from(targets.len()).expect("no more than there are devices, a u32");
        out.push(Output::Event(Event::Finding(Finding::CommandStarted {
            command: index,
            at: now,
            targets: open,
        })));
        Self {
            plan: Arc::clone(plan),
            index,
            begun,
            targets,
            turns: 0,
            waits: VecDeque::new(),
            open,
        }
    }

    /// Whether every target has its outcome.
    pub(super) const fn is_settled(&self) -> bool {
        self.open == 0
    }

    /// Target number `target`.
    pub(super) fn device(&self, target: u32) -> DeviceIdx {
        self.targets[target as usize].device
    }

    /// When [`Command::step`] is wanted.
    pub(super) fn poll_timeout(&self) -> Instant {
        let turn = if self.turns < self.len() {
            self.due(self.turns)
        } else {
            Instant::NEVER
        };
        let wait = self.waits.front().map_or(Instant::NEVER, |wait| wait.end);
        turn.min(wait)
    }

    /// Gives turns, and looks at timeouts that have ended. Appends the targets whose requests are to
    /// be posted to `post`.
    pub(super) fn step(
        &mut self,
        now: Instant,
        fleet: &Fleet,
        post: &mut Vec<u32>,
        out: &mut Vec<Output>,
    ) {
        let end = self.len().min(self.turns.saturating_add(TURNS_MAX));
        while self.turns < end && self.due(self.turns) <= now {
            self.take_turn(fleet, post, out);
        }
        while let Some(&wait) = self.waits.front() {
            if wait.end > now {
                break;
            }
            self.waits.pop_front();
            self.wait_ended(now, wait, fleet, post, out);
        }
    }

    /// A desk has a place for a request to `target`; `None` if there is nothing to ask any more.
    pub(super) fn write(&mut self, now: Instant, target: u32) -> Option<Request> {
        let timeout = self.command().timeout;
        let asked = &mut self.targets[target as usize];
        match asked.state {
            State::Posted => {}
            State::Waiting | State::Asked | State::Parked | State::Ended(_) | State::Written => {
                return None;
            }
        }
        asked.state = State::Asked;
        asked.attempts = asked.attempts.saturating_add(1);
        asked.sent = asked.sent.min(now);
        let (device, attempt) = (asked.device, asked.attempts);
        self.wait(now.after(timeout), target);
        Some(Request { device, attempt })
    }

    /// `device` was heard of after it was not there: what waits for it is to be posted.
    pub(super) fn back(&mut self, now: Instant, device: DeviceIdx, post: &mut Vec<u32>) {
        let Some(at) = self.find(device) else { return };
        let target = &mut self.targets[at as usize];
        match target.state {
            State::Parked => {
                target.state = State::Posted;
                if target.attempts == 0 {
                    target.intended = now;
                }
                post.push(at);
            }
            State::Waiting | State::Posted | State::Asked | State::Ended(_) | State::Written => {}
        }
    }

    /// `device` has answered. Whether it had been asked, and the answer could be counted.
    pub(super) fn answer(&mut self, now: Instant, device: DeviceIdx, succeeded: bool) -> bool {
        let Some(at) = self.find(device) else {
            return false;
        };
        let target = &mut self.targets[at as usize];
        match target.state {
            State::Posted | State::Asked | State::Parked if target.attempts > 0 => {
                target.answered = now;
                target.answers = 1;
                let outcome = if succeeded {
                    CommandOutcome::Succeeded
                } else {
                    CommandOutcome::Failed
                };
                self.end(now, at, outcome);
                true
            }
            State::Ended(_) => {
                target.answers = target.answers.saturating_add(1);
                true
            }
            State::Waiting | State::Posted | State::Asked | State::Parked | State::Written => false,
        }
    }

    /// Nobody new is asked from now on.
    pub(super) fn stop(&mut self, out: &mut Vec<Output>) {
        self.turns = self.len();
        for at in 0..self.len() {
            let target = &self.targets[at as usize];
            match target.state {
                State::Waiting | State::Posted | State::Parked if target.attempts == 0 => {
                    self.end_unreached(at, out);
                }
                State::Waiting
                | State::Posted
                | State::Asked
                | State::Parked
                | State::Ended(_)
                | State::Written => {}
            }
        }
    }

    /// Every target without a row gets it.
    pub(super) fn close(&mut self, out: &mut Vec<Output>) {
        self.stop(out);
        self.waits.clear();
        for at in 0..self.len() {
            match self.targets[at as usize].state {
                State::Written => continue,
                State::Ended(_) => {}
                State::Waiting | State::Posted | State::Asked | State::Parked => {
                    self.targets[at as usize].state = State::Ended(CommandOutcome::TimedOut);
                    self.open -= 1;
                }
            }
            self.write_row(at, out);
        }
    }

    fn command(&self) -> &FleetCommand {
        &self.plan.commands[usize::from(self.index)]
    }

    fn len(&self) -> u32 {
        u32::try_from(self.targets.len()).expect("no more than there are devices, a u32")
    }

    /// When turn `turn` is due.
    fn due(&self, turn: u32) -> Instant {
        match self.command().rate_per_s {
            None => self.begun,
            Some(rate) => {
                let wait = Duration::try_from_secs_f64(f64::from(turn) / rate);
                wait.map_or(Instant::NEVER, |wait| self.begun.after(wait))
            }
        }
    }

    fn take_turn(&mut self, fleet: &Fleet, post: &mut Vec<u32>, out: &mut Vec<Output>) {
        let due = self.due(self.turns);
        let salt = ORDER_SALT + u64::from(self.index);
        let (seed, len) = (self.plan.seed, self.len());
        let at = rng::permute(seed, Purpose::CampaignOrder, salt, len, self.turns);
        self.turns += 1;
        let device = self.targets[at as usize].device;
        self.targets[at as usize].intended = due;
        if self.plan.cohorts[self.plan.cohort_of(device)]
            .commands
            .is_none()
        {
            return self.end_unreached(at, out);
        }
        match (fleet.presence(device), self.command().offline) {
            (Presence::Online, _) => {
                self.targets[at as usize].state = State::Posted;
                post.push(at);
            }
            (Presence::Unheard | Presence::Gone, Offline::Queue) => {
                self.targets[at as usize].state = State::Parked;
            }
            (Presence::Unheard | Presence::Gone, Offline::Skip) => self.end_unreached(at, out),
        }
    }

    fn wait(&mut self, end: Instant, target: u32) {
        let attempts = self.targets[target as usize].attempts;
        self.waits.push_back(Wait {
            end,
            target,
            attempts,
        });
    }

    fn wait_ended(
        &mut self,
        now: Instant,
        wait: Wait,
        fleet: &Fleet,
        post: &mut Vec<u32>,
        out: &mut Vec<Output>,
    ) {
        let target = self.targets[wait.target as usize];
        match target.state {
            State::Asked if target.attempts == wait.attempts => {
                let command = self.command();
                let is_there = fleet.presence(target.device) == Presence::Online;
                let (offline, retries) = (command.offline, command.retries);
                let state = &mut self.targets[wait.target as usize].state;
                if target.attempts > retries {
                    self.end(now, wait.target, CommandOutcome::TimedOut);
                } else if is_there || offline == Offline::Skip {
                    *state = State::Posted;
                    post.push(wait.target);
                } else {
                    *state = State::Parked;
                }
            }
            // Only an end is waited out so.
            State::Ended(_) if wait.attempts == u8::MAX => self.write_row(wait.target, out),
            State::Waiting
            | State::Posted
            | State::Asked
            | State::Parked
            | State::Ended(_)
            | State::Written => {}
        }
    }

    /// `target` ends; its row waits for answers yet to come.
    fn end(&mut self, now: Instant, target: u32, outcome: CommandOutcome) {
        self.targets[target as usize].state = State::Ended(outcome);
        self.open -= 1;
        self.waits.push_back(Wait {
            end: now.after(self.command().timeout),
            target,
            attempts: u8::MAX,
        });
    }

    /// `target` ends without a request: nothing can come any more.
    fn end_unreached(&mut self, target: u32, out: &mut Vec<Output>) {
        self.targets[target as usize].state = State::Ended(CommandOutcome::NeverReached);
        self.open -= 1;
        self.write_row(target, out);
    }

    fn write_row(&mut self, at: u32, out: &mut Vec<Output>) {
        let target = &mut self.targets[at as usize];
        let State::Ended(outcome) = std::mem::replace(&mut target.state, State::Written) else {
            unreachable!("a row is written of what has ended, once");
        };
        let told = |at: Instant| (!at.is_never()).then_some(at);
        out.push(Output::Event(Event::Finding(Finding::Command(
            CommandRow {
                command: self.index,
                device: target.device,
                outcome,
                attempts: target.attempts,
                was_offline: target.was_offline,
                intended: told(target.intended),
                sent: told(target.sent),
                answered: told(target.answered),
                answers: target.answers,
            },
        ))));
    }

    fn find(&self, device: DeviceIdx) -> Option<u32> {
        let at = self
            .targets
            .binary_search_by_key(&device, |target| target.device);
        at.ok()
            .map(|at| u32::try_from(at).expect("below their number"))
    }
}

//! One campaign as a controller without a wire: it says who gets a turn when, hears what devices say
//! of their update, and ends with exactly one row per target. [`super::operator`] writes what it says
//! and tells it what came. Sans-IO, like a device.
//!
//! * **Time.** Turns are due at exact instants counted from the campaign's planned start, and a late
//!   driver catches up; a pause moves what is left by its length. Instants of rows are kept in ticks
//!   ([`Clock`]), rounded down; `finished` is exact.
//! * **Executions.** A device's turn begins an execution, with version number 1. After an execution that
//!   failed or timed out the device gets another turn at once, `retries` times, outside the pace. What
//!   was rolled back, rejected or bricked does not: it would not go better.
//! * **Abort rules** are looked at once per second of campaign time, over executions that have ended by
//!   themselves: confirmed, rolled back, failed, rejected, bricked, timed out; each retry counts again.
//!   A halt cancels who has not started. A device whose execution had failed before, and whose retry is
//!   cancelled or never heard of, ends as that execution ended: a failure is not hidden by its retry.

mod aborts;
mod clock;
mod endings;
mod execution;
mod pace;
mod schedule;
mod targets;
mod timers;

#[cfg(test)]
mod tests;

pub use self::clock::Clock;

use self::aborts::Aborts;
use self::clock::Tick;
use self::pace::Pace;
use self::targets::Targets;
use self::timers::{Limits, Timers};
use crate::scenario::campaign::{Campaign as Definition, VersionIdx};
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::results::{CampaignMark, Finding, Outcome};
use crate::time::{Duration, Instant};
use crate::wire::Reason;
use std::sync::Arc;

/// From one look at the abort rules to the next, counted from the campaign's planned start.
pub const EVALUATION: Duration = Duration::from_secs(1);

/// Turns of one input; what is due beyond it waits for the next one, which is wanted at once.
pub const TURNS_MAX: usize = 1024;

/// How long after the drain's longest end the books may close without a tick to say so.
const SPAN_MARGIN: Duration = Duration::from_secs(60);

/// What happens to a campaign.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A deadline (`poll_timeout`) has come.
    Timeout,
    /// A device said something about its update. The caller has looked at version numbers
    /// ([`Campaign::execution`]) where the wire has them.
    Heard(DeviceIdx, Heard),
    /// A device is back: it connected, as its first report after a connect or an absence tells. Not
    /// for each word: whoever has had its turn and not started is notified again.
    Contact(DeviceIdx),
    /// A device was heard of without a word about its update, for example by a report after its reboot:
    /// it is not bricked. Nobody is notified again.
    Seen(DeviceIdx),
    /// Bytes of the image were sent to a device.
    Served(DeviceIdx, u32),
    /// Nobody new gets a turn: who had none is never reached. What is under way goes on.
    Stop,
    /// The books close: every target without a row gets it now.
    Close,
}

/// What a device says of its update.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It took the offer up.
    Started,
    /// It goes on; also: its new firmware runs and tests itself.
    Progress,
    /// It has the image.
    Downloaded,
    /// It is about to reboot into it.
    Rebooting,
    /// The new firmware stays.
    Confirmed,
    /// The old firmware is back.
    RolledBack(Reason),
    /// It gave up.
    Failed(Reason),
    /// It does not want it.
    Rejected(Reason),
}

/// What a campaign wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Notify a device of its execution: for the first time, or again.
    Notify {
        /// Whom.
        device: DeviceIdx,
        /// Which execution, from 1.
        attempt: u8,
    },
    /// Take back an execution that the device has not started.
    Cancel {
        /// Whose.
        device: DeviceIdx,
        /// Which execution, from 1.
        attempt: u8,
    },
    /// Something to write down: rows, marks.
    Finding(Finding),
}

/// A target's execution, as the wire tells of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Where it stands.
    pub status: Status,
    /// Which execution, from 1.
    pub attempt: u8,
    /// Its version number: 1 when it was queued, one more after each word of the device that was
    /// taken. Stays at 65 535.
    pub version: u16,
    /// When the device was first notified.
    pub queued: Instant,
    /// The last change, or the last time that the device was notified.
    pub updated: Instant,
}

/// Where an execution stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It waits for the device to start.
    Queued,
    /// The device has started.
    InProgress,
    /// The target has its row: no word changes it.
    Ended(Outcome),
}

/// What was heard and left, and what reached a limit.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Words of devices after their row.
    pub late_words: u64,
    /// Words of targets before their turn.
    pub early_words: u64,
    /// Words of devices that are no targets.
    pub foreign_words: u64,
    /// Image bytes sent to devices that have their row, or none: they are in no row.
    pub unbooked_bytes: u64,
    /// Notifications that were written again.
    pub notified_again: u64,
    /// Executions that followed one that had failed or timed out.
    pub retries: u64,
}

/// Whether turns are given.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Mode {
    /// They are.
    Running,
    /// Nobody new gets one.
    Stopped,
    /// Nor does anybody who has not started yet: all of them have their row.
    Halted,
}

/// The controller of one campaign.
#[derive(Debug)]
pub struct Campaign {
    plan: Arc<Plan>,
    index: usize,
    /// T0.
    t0: Instant,
    /// Its planned start.
    start: Instant,
    clock: Clock,
    targets: Targets,
    pace: Pace,
    aborts: Aborts,
    timers: Timers,
    limits: Limits,
    mode: Mode,
    /// Since when it pauses.
    paused: Option<Instant>,
    /// Pauses of the plan that have begun, or passed before it did.
    pauses_begun: usize,
    /// When it is cancelled by hand, if that is to come.
    cancel_at: Option<Instant>,
    /// When the abort rules are looked at, if an execution has ended since they were.
    evaluate_at: Option<Instant>,
    rows: u32,
    under_way: u32,
    started: u32,
    succeeded: u32,
    /// Targets that are to be notified when the pause is over.
    owed: u32,
    is_complete: bool,
    counts: Counts,
}

impl Campaign {
    /// When campaign `index` of `plan` is to begin, if T0 is `t0`.
    ///
    /// # Panics
    /// If the plan has no such campaign.
    pub fn planned_start(plan: &Plan, index: usize, t0: Instant) -> Instant {
        t0.after(plan.campaigns[index].start)
    }

    /// Begins campaign `index` of `plan` at `now`, at or after its planned start. Fixes the targets:
    /// who the plan means and whose firmware, as `firmware` tells it, is wanted and not the image's
    /// own. Turns that are due are out at once.
    ///
    /// # Panics
    /// If the plan has no such campaign.
    pub fn begin(
        plan: &Arc<Plan>,
        index: usize,
        t0: Instant,
        now: Instant,
        firmware: impl Fn(DeviceIdx) -> Option<VersionIdx>,
        out: &mut Vec<Output>,
    ) -> Self {
        let campaign = &plan.campaigns[index];
        let start = Self::planned_start(plan, index, t0);
        let left = plan.length().saturating_sub(campaign.start);
        let clock = Clock::new(start, left + plan.drain + SPAN_MARGIN);
        let targets = Targets::of(plan, index, firmware);
        let is_over = |pause: &&(Duration, Duration)| t0.after(pause.1) <= start;
        let mut begun = Self {
            plan: Arc::clone(plan),
            index,
            t0,
            start,
            clock,
            pace: Pace::new(&campaign.rollout, targets.len(), start),
            aborts: Aborts::new(&campaign.aborts),
            timers: Timers::new(targets.len()),
            limits: Limits {
                in_progress: campaign.in_progress_timeout.map(|limit| clock.ticks(limit)),
                step: campaign.step_timeout.map(|limit| clock.ticks(limit)),
            },
            targets,
            mode: Mode::Running,
            paused: None,
            pauses_begun: campaign.pauses.iter().take_while(is_over).count(),
            cancel_at: campaign.cancel.map(|at| t0.after(at).max(start)),
            evaluate_at: None,
            rows: 0,
            under_way: 0,
            started: 0,
            succeeded: 0,
            owed: 0,
            is_complete: false,
            counts: Counts::default(),
        };
        let targets = begun.targets.len();
        begun.mark(start, CampaignMark::Started { targets }, out);
        begun.catch_up(now, out);
        begun.complete(now, out);
        begun
    }

    /// Steps the campaign: `input` happened at `now`; what it wants done is appended to `out`. A halt
    /// and the end put out all rows that are left in one go, two outputs per target at most.
    pub fn handle_input(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        self.catch_up(now, out);
        match input {
            Input::Timeout => {}
            Input::Heard(device, heard) => self.hear(now, device, heard, out),
            Input::Contact(device) => self.contact(now, device, out),
            Input::Seen(device) => self.see(device),
            Input::Served(device, bytes) => self.served(device, bytes),
            Input::Stop => self.stop(now, out),
            Input::Close => self.close(now, out),
        }
        self.complete(now, out);
    }

    /// When it wants [`Input::Timeout`]; [`Instant::NEVER`] when idle.
    pub fn poll_timeout(&self) -> Instant {
        self.next_due().map_or(Instant::NEVER, |(at, _)| at)
    }

    /// The execution of `device`; `None` of who is no target, or has had no turn.
    pub fn execution(&self, device: DeviceIdx) -> Option<View> {
        let execution = &self.targets[self.targets.find(device)?];
        let instant = |tick: Tick| tick.get().map(|tick| self.clock.instant(tick));
        Some(View {
            status: execution.stage.status()?,
            attempt: execution.tries.attempt(),
            version: execution.version,
            queued: instant(execution.offered)?,
            updated: instant(execution.changed)?,
        })
    }

    /// Whether every target has its row.
    pub const fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Targets: rows in the end.
    pub fn targets(&self) -> u32 {
        self.targets.len()
    }

    /// Devices that have had their turn.
    pub const fn notified(&self) -> u32 {
        self.pace.given()
    }

    /// Devices that have had their turn and have no row.
    pub const fn under_way(&self) -> u32 {
        self.under_way
    }

    /// Devices that have started at least once.
    pub const fn started(&self) -> u32 {
        self.started
    }

    /// What was heard and left, and what was done again.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Its place in the plan.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The axis of the instants in its rows.
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    fn definition(&self) -> &Definition {
        &self.plan.campaigns[self.index]
    }

    fn mark(&self, at: Instant, mark: CampaignMark, out: &mut Vec<Output>) {
        let campaign = self.number();
        out.push(Output::Finding(Finding::Campaign { campaign, at, mark }));
    }

    fn number(&self) -> u16 {
        u16::try_from(self.index).expect("a campaign needs a version of its own, which is a u16")
    }

    fn complete(&mut self, now: Instant, out: &mut Vec<Output>) {
        if !self.is_complete && self.rows == self.targets.len() {
            self.is_complete = true;
            self.mark(now, CampaignMark::Completed, out);
        }
    }
}

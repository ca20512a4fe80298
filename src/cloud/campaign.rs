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

mod clock;

pub use self::clock::Clock;

use crate::scenario::campaign::VersionIdx;
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::results::{Finding, Outcome};
use crate::time::{Duration, Instant};
use crate::wire::Reason;
use std::sync::Arc;

/// From one look at the abort rules to the next, counted from the campaign's planned start.
pub const EVALUATION: Duration = Duration::from_secs(1);

/// Turns of one input; what is due beyond it waits for the next one, which is wanted at once.
pub const TURNS_MAX: usize = 1024;

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
    /// The last change.
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

/// The controller of one campaign.
#[derive(Debug)]
pub struct Campaign {
    plan: Arc<Plan>,
    index: usize,
}

impl Campaign {
    /// When campaign `index` of `plan` is to begin, if T0 is `start`.
    pub fn planned_start(plan: &Plan, index: usize, start: Instant) -> Instant {
        start.after(plan.campaigns[index].start)
    }

    /// Begins campaign `index` of `plan` at `now`, at or after its planned start; T0 is `start`. Fixes
    /// the targets: who the plan means and whose firmware, as `firmware` tells it, is wanted and not
    /// the image's own. Turns that are due are out at once.
    pub fn begin(
        plan: &Arc<Plan>,
        index: usize,
        start: Instant,
        now: Instant,
        firmware: impl Fn(DeviceIdx) -> Option<VersionIdx>,
        out: &mut Vec<Output>,
    ) -> Self {
        let _ = (start, now, firmware, out);
        Self {
            plan: Arc::clone(plan),
            index,
        }
    }

    /// Steps the campaign: `input` happened at `now`; what it wants done is appended to `out`.
    pub fn handle_input(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        let _ = (now, input, out);
    }

    /// When it wants [`Input::Timeout`]; [`Instant::NEVER`] when idle.
    pub fn poll_timeout(&self) -> Instant {
        Instant::NEVER
    }

    /// The execution of `device`; `None` before its turn and of who is no target.
    pub fn execution(&self, device: DeviceIdx) -> Option<View> {
        let _ = device;
        None
    }

    /// Whether every target has its row.
    pub fn is_complete(&self) -> bool {
        false
    }

    /// Targets: rows in the end.
    pub fn targets(&self) -> u32 {
        0
    }

    /// Devices that have had their turn and have no row.
    pub fn under_way(&self) -> u32 {
        0
    }

    /// Devices that have started at least once.
    pub fn started(&self) -> u32 {
        0
    }

    /// What was heard and left.
    pub fn counts(&self) -> Counts {
        Counts::default()
    }

    /// Its place in the plan.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The plan it works from.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }
}

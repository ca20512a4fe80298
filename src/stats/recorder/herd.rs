//! The herd of each fault: how many attempts the devices needed to come back, and how many of them
//! found their session again.

use super::Layout;
use super::availability::Flags;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The stretch of the run in which devices come back from a fault.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// Index into `Plan::faults`.
    pub fault: usize,
    /// The fault's start.
    pub start: Instant,
    /// Its clearing.
    pub clear: Instant,
    /// The next fault, or the end of the last phase.
    pub end: Instant,
}

/// What the devices did in the episode of one fault.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HerdCounts {
    /// Devices that had power and no connection at some time from the fault's start to the end of
    /// the episode.
    pub devices: u64,
    /// Attempts begun in that time, all of them by these devices.
    pub attempts: u64,
    /// Reconnects from the clearing to the end of the episode.
    pub resumes: ResumeCounts,
}

/// Reconnects of devices whose session the target keeps (Clean Session 0). The first connect of a
/// device in a run is none.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeCounts {
    /// CONNACK accepted.
    pub reconnects: u64,
    /// Of those, with Session Present.
    pub resumed: u64,
}

impl HerdCounts {
    /// Adds `other` field by field.
    pub const fn add(&mut self, other: &Self) {
        self.devices += other.devices;
        self.attempts += other.attempts;
        self.resumes.add(&other.resumes);
    }

    /// Attempts per device, 1 if each needed one; `None` without a device.
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    pub fn amplification(&self) -> Option<f64> {
        (self.devices > 0).then(|| self.attempts as f64 / self.devices as f64)
    }
}

impl ResumeCounts {
    /// Adds `other` field by field.
    pub const fn add(&mut self, other: &Self) {
        self.reconnects += other.reconnects;
        self.resumed += other.resumed;
    }

    /// Share of the reconnects that found their session, 0 to 1; `None` without one.
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    pub fn ratio(&self) -> Option<f64> {
        (self.reconnects > 0).then(|| self.resumed as f64 / self.reconnects as f64)
    }

    const fn count(&mut self, session_present: bool) {
        self.reconnects += 1;
        self.resumed += session_present as u64;
    }
}

/// Follows the episodes, one after the other, by three bits per device of the fleet.
#[derive(Debug)]
pub(super) struct Herd {
    episodes: Vec<Episode>,
    /// Of `episodes`: the one that goes on or comes next.
    next: usize,
    /// It goes on.
    is_on: bool,
    /// Devices that count in it.
    cut_off: Flags,
    persistent: Flags,
    /// Persistent ones that were connected in this run.
    known: Flags,
    /// By fault.
    counts: Vec<HerdCounts>,
    /// By phase of the CONNACK.
    resumes: Vec<ResumeCounts>,
}

impl Herd {
    /// No episode, no persistent session.
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            episodes: Vec::new(),
            next: 0,
            is_on: false,
            cut_off: Flags::default(),
            persistent: Flags::default(),
            known: Flags::default(),
            counts: Vec::new(),
            resumes: vec![ResumeCounts::default(); layout.phases()],
        }
    }

    /// Follows `episodes`, which ascend and do not overlap, and the sessions of `persistent`.
    pub(super) fn follow(&mut self, episodes: &[Episode], persistent: &[Range<u32>]) {
        self.episodes = episodes.to_vec();
        let faults = episodes.iter().map(|episode| episode.fault + 1);
        self.counts = vec![HerdCounts::default(); faults.max().unwrap_or(0)];
        for device in persistent.iter().cloned().flatten() {
            self.persistent.set(device, true);
        }
    }

    /// Time has come to `now`; until then, `down` says who has power and no connection.
    pub(super) fn advance(&mut self, now: Instant, down: impl Fn() -> Flags) {
        while let Some(episode) = self.episodes.get(self.next) {
            if now < episode.start {
                break;
            }
            if !self.is_on {
                self.is_on = true;
                self.cut_off = down();
                self.counts[episode.fault].devices = self.cut_off.count();
            }
            if now < episode.end {
                break;
            }
            self.is_on = false;
            self.next += 1;
        }
    }

    /// A device has power and no connection.
    pub(super) fn down(&mut self, device: u32) {
        if let Some(episode) = self.current()
            && !self.cut_off.get(device)
        {
            self.cut_off.set(device, true);
            self.counts[episode.fault].devices += 1;
        }
    }

    /// A device began an attempt.
    pub(super) fn attempt(&mut self, device: u32) {
        self.down(device);
        if let Some(episode) = self.current() {
            self.counts[episode.fault].attempts += 1;
        }
    }

    /// A device got its CONNACK at `now`; nobody asks about the time after the last phase.
    pub(super) fn connected(
        &mut self,
        now: Instant,
        layout: &Layout,
        device: u32,
        session_present: bool,
    ) {
        if !self.persistent.get(device) {
            return;
        }
        let is_first = !self.known.get(device);
        self.known.set(device, true);
        if is_first || layout.phase_ends.last().is_some_and(|end| now >= *end) {
            return;
        }
        self.resumes[layout.phase_of(now)].count(session_present);
        if let Some(episode) = self.current().filter(|episode| now >= episode.clear) {
            self.counts[episode.fault].resumes.count(session_present);
        }
    }

    /// By fault.
    pub(super) fn counts(&self) -> Vec<HerdCounts> {
        self.counts.clone()
    }

    /// By phase.
    pub(super) fn resumes(&self) -> Vec<ResumeCounts> {
        self.resumes.clone()
    }

    fn current(&self) -> Option<Episode> {
        let episode = self.episodes.get(self.next).copied();
        episode.filter(|_| self.is_on)
    }
}

#[cfg(test)]
mod tests;

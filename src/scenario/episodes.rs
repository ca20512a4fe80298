//! What recovery from a fault rests on: its stretch of the run, whose sessions the target keeps,
//! and whose samples are followed.

use super::plan::Plan;
use super::slo::Indicator;
use crate::stats::recorder::Episode;
use crate::time::Instant;
use std::ops::Range;
use std::time::Duration;

impl Plan {
    /// When recovery from `fault` is no longer followed: the first start of a fault at or after its
    /// clearing, or the end of the last phase.
    pub fn recovery_end(&self, fault: usize) -> Duration {
        let clear = self.faults[fault].clear;
        let starts = self.faults.iter().map(|later| later.start);
        let next = starts.filter(|start| *start >= clear).min();
        next.unwrap_or_else(|| self.length())
    }

    /// The stretches of the run in which devices come back from a fault, one for the last-clearing
    /// fault of each phase that has one, ascending; T0 is at `start`. A fault clears within its
    /// phase, so no two overlap.
    pub fn episodes(&self, start: Instant) -> Vec<Episode> {
        let closing = (0..self.phases.len()).filter_map(|phase| self.last_clearing(phase));
        closing
            .map(|fault| Episode {
                fault,
                // Of the first fault of the phase, as for backlogs.
                start: start.after(self.recovery_baseline(fault).1),
                clear: start.after(self.faults[fault].clear),
                end: start.after(self.recovery_end(fault)),
            })
            .collect()
    }

    /// Devices whose session the target keeps while they are away (Clean Session 0).
    pub fn persistent_devices(&self) -> Vec<Range<u32>> {
        let cohorts = self.cohorts.iter().filter(|c| !c.session.clean);
        cohorts.map(|c| c.first..c.first + c.devices).collect()
    }

    /// Observed devices, if an objective asks how old what is known of them is.
    pub fn fresh_devices(&self) -> Vec<u32> {
        let mut objectives = self.objectives.iter();
        if !objectives.any(|o| o.indicator == Indicator::FreshnessAge) {
            return Vec::new();
        }
        let devices = 0..self.devices();
        devices.filter(|device| self.observed(*device)).collect()
    }
}

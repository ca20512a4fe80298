//! Schedules: pure functions from (seed, device, stream, seq) to the intended instant. A cursor of
//! 16 bytes walks a schedule; nothing is stored per arrival.

use crate::scenario::plan::{DeviceIdx, Plan};
use crate::time::Instant;

/// A position in one stream's schedule: arrival `seq` is intended at `at`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Sequence number, from 0 at each boot.
    pub seq: u32,
    /// Its intended instant.
    pub at: Instant,
}

/// Who a schedule belongs to.
#[derive(Copy, Clone, Debug)]
pub struct Pacer<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Index into `Plan::streams`.
    pub stream: usize,
    /// The device.
    pub device: DeviceIdx,
    /// Boot counter, from 1: each boot draws its own Poisson gaps.
    pub boot: u16,
    /// T0 on the run's axis.
    pub start: Instant,
}

impl Pacer<'_> {
    /// The first arrival at or after power-on.
    pub fn first(&self, power_on: Instant) -> Cursor {
        let _ = power_on;
        todo!("payload helper")
    }

    /// The arrival after `cursor`.
    pub fn next(&self, cursor: Cursor) -> Cursor {
        let _ = cursor;
        todo!("payload helper")
    }

    /// Adds the number of arrivals intended before `end` to `counts[i]`, where i is the phase by
    /// `phase_of`, by arithmetic where the schedule allows (not by asking the device).
    pub fn count(
        &self,
        power_on: Instant,
        end: Instant,
        phase_ends: &[Instant],
        counts: &mut [u64],
    ) {
        let _ = (power_on, end, phase_ends, counts);
        todo!("payload helper")
    }
}

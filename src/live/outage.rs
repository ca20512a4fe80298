//! Network faults over sockets: they act at the devices' end, so they work against any target. Whom
//! and when is `device::outage`'s law; here the sockets are cut. Observers are never meant.

use super::devices::Slot;
use super::fleet::Fleet;
use crate::device::outage::Outages;
use crate::scenario::plan::Plan;
use crate::stats::event::Cause;
use crate::time::Instant;

/// The network faults that are active, and the cuts of them that are still to come.
#[derive(Debug)]
pub(super) struct Cuts {
    pub(super) law: Outages,
    /// When which device (index into the fleet's slots) is cut, the next one last. At most one per
    /// device and active fault.
    due: Vec<(Instant, u32)>,
}

impl Cuts {
    /// No fault is active.
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            law: Outages::new(plan),
            due: Vec::new(),
        }
    }

    /// When the next cut is due, `NEVER` if none is.
    pub(super) fn next(&self) -> Instant {
        self.due.last().map_or(Instant::NEVER, |cut| cut.0)
    }

    /// Takes the next cut.
    pub(super) fn pop(&mut self) -> Option<(Instant, usize)> {
        let (at, slot) = self.due.pop()?;
        Some((at, slot as usize))
    }

    /// No cut is to come any more.
    pub(super) fn forget(&mut self) {
        self.due = Vec::new();
    }

    fn begin(&mut self, at: Instant, fault: usize, slots: &[Slot]) {
        self.law.start(fault);
        for (slot, number) in slots.iter().zip(0u32..) {
            if let Some(after) = self.law.cut_after(fault, slot.device.id()) {
                self.due.push((at.after(after), number));
            }
        }
        self.due.sort_unstable_by(|a, b| b.cmp(a));
    }
}

impl Fleet {
    /// A fault of the plan began at `at`. If it is a reset, the devices meant will be cut.
    pub(super) fn begin_outage(&mut self, at: Instant, fault: usize) {
        self.cuts.begin(at, fault, &self.devices);
    }

    /// The connection of device `i` ends with RST at its own end, if it has one or is making one.
    /// That was to happen at `at`.
    pub(super) fn cut_device(&mut self, i: usize, at: Instant, now: Instant) {
        let slot = &mut self.devices[i];
        if !slot.has_connection() {
            return;
        }
        if let Some(link) = slot.port.current() {
            link.reset_when_closed();
        }
        if slot.transit.is_some() {
            // The RST goes the same way as what was sent before it.
            self.close_over_link(i, now);
        }
        self.state.record_lag(at, now);
        self.fail_device(i, now, Cause::Reset);
        self.tell_device(i, now);
    }
}

#[cfg(test)]
mod tests;

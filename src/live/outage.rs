//! Network faults over sockets: they act at the devices' end, so they work against any target. Whom
//! and when is `device::outage`'s law; here the sockets are cut. Observers are never meant.

use super::devices::Slot;
use super::fleet::Fleet;
use crate::device::outage::{End, Outages};
use crate::scenario::plan::Plan;
use crate::time::Instant;

/// The network faults that are active, and the cuts of them that are still to come.
#[derive(Debug)]
pub(super) struct Cuts {
    pub(super) law: Outages,
    /// When which device (index into the fleet's slots) is cut and how, the next one last. At most
    /// one per device and active fault.
    due: Vec<(Instant, u32, End)>,
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
    pub(super) fn pop(&mut self) -> Option<(Instant, usize, End)> {
        let (at, slot, end) = self.due.pop()?;
        Some((at, slot as usize, end))
    }

    /// No cut is to come any more.
    pub(super) fn forget(&mut self) {
        self.due = Vec::new();
    }

    fn begin(&mut self, at: Instant, fault: usize, slots: &[Slot]) {
        self.law.start(fault);
        for (slot, number) in slots.iter().zip(0u32..) {
            if let Some(cut) = self.law.cut(fault, slot.device.id()) {
                self.due.push((at.after(cut.after), number, cut.end));
            }
        }
        self.due.sort_unstable_by(|a, b| b.cmp(a));
    }
}

impl Fleet {
    /// A fault of the plan began at `at`. If it ends connections, the devices meant will be cut.
    pub(super) fn begin_outage(&mut self, at: Instant, now: Instant, fault: usize) {
        self.cuts.begin(at, fault, &self.devices);
        if self.cuts.law.is_blackhole(fault) {
            self.update_holes(now);
        }
    }

    /// The connection of device `i` ends at its own end, if it has one or is making one. That was to
    /// happen at `at`.
    pub(super) fn cut_device(&mut self, i: usize, at: Instant, now: Instant, end: End) {
        self.cut_fetch(i, at, now, end);
        let slot = &mut self.devices[i];
        if !slot.has_connection() {
            return;
        }
        match (end, slot.port.current()) {
            (End::Reset, Some(link)) => link.reset_when_closed(),
            (End::Reset, None) | (End::Close, _) => {}
        }
        // Over a link, the end goes the same way as what was sent before it.
        self.close_device(i, now);
        self.state.record_lag(at, now);
        self.fail_device(i, now, end.cause());
        self.tell_device(i, now);
    }
}

#[cfg(test)]
pub(super) mod tests;

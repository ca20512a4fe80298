//! Power over sockets: devices get it, and device faults take it. A device without power writes
//! nothing more, no FIN and no RST either: its socket stays, half-open as the target sees it.

use super::fleet::Fleet;
use super::run_state::layout;
use crate::device::{self, boots::Boot};
use crate::time::Instant;

impl Fleet {
    /// Device `i` gets power. It counts from the plan's instant `at`, however late the driver is,
    /// but not from before it lost its power.
    pub(super) fn give_power(&mut self, i: usize, at: Instant, now: Instant) {
        let slot = &mut self.devices[i];
        let at = at.max(slot.power_off);
        slot.power_on = slot.power_on.min(at);
        self.step_device(i, at, now, device::Input::PowerOn);
    }

    /// Device `i` loses its power, if it has any. That counts from `now` on: it may have done
    /// something since the plan's instant, which lies as far back as the driver is late.
    pub(super) fn cut_power(&mut self, i: usize, now: Instant) {
        let slot = &self.devices[i];
        if !slot.device.is_powered() {
            return;
        }
        // Nothing is planned from the end on, however late this is.
        let ended = self.boot_of(i, now.min(self.state.end));
        if let Some(boots) = &mut self.state.boots {
            let layout = layout(&self.plan, self.state.start);
            boots.add(&self.plan, &layout, ended);
        }
        let slot = &mut self.devices[i];
        (slot.power_on, slot.power_off) = (Instant::NEVER, now);
        self.leave_half_open(i, now);
        // To a server of files it makes no difference that no FIN would come.
        self.end_fetch(i);
        self.step_device(i, now, now, device::Input::PowerOff);
    }

    /// The present boot of device `i`, if it ended at `to`.
    pub(super) fn boot_of(&self, i: usize, to: Instant) -> Boot {
        let slot = &self.devices[i];
        Boot {
            device: slot.device.id(),
            boot: slot.device.boot(),
            from: slot.power_on,
            to,
        }
    }
}

#[cfg(test)]
mod tests;

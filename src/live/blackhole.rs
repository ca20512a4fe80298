//! Blackholes over sockets: the sockets of the devices concerned are neither written nor read, and a
//! connection that its device gives up meanwhile stays open, half-open as the target sees it. Who is
//! in a hole, and for how long such a connection lasts, is `device::outage`'s law.
//!
//! A device with an access link has the hole at its own end of the link: what was under way at the
//! beginning still arrives at the target, and what comes over the link waits for the device.

use super::fleet::Fleet;
use super::transit::{Closing, Transit};
use crate::device::outage::half_open_for;
use crate::stats::event::{Event, Limit};
use crate::time::Instant;

impl Fleet {
    /// A blackhole has begun or cleared.
    pub(super) fn update_holes(&mut self, now: Instant) {
        for i in 0..self.devices.len() {
            let slot = &mut self.devices[i];
            let id = slot.device.id();
            let is_swallowed = self.cuts.law.swallows(id);
            if is_swallowed == slot.is_swallowed {
                continue;
            }
            slot.is_swallowed = is_swallowed;
            if let Some(recorder) = self.state.recording() {
                recorder.record_cut_off(now, id, is_swallowed);
            }
            if is_swallowed {
                self.hold(i);
            } else {
                self.let_go(i, now);
            }
        }
        self.fetches.holes_changed.notify_waiters();
    }

    /// Nothing passes between device `i` and its target any more.
    pub(super) fn hold(&mut self, i: usize) {
        let slot = &mut self.devices[i];
        match (&mut slot.transit, slot.port.current()) {
            (Some(transit), _) => transit.hold(),
            (None, Some(link)) => link.hold(),
            (None, None) => {}
        }
    }

    /// What was held passes now: first what the device has sent, then what has come for it.
    pub(super) fn let_go(&mut self, i: usize, now: Instant) {
        let slot = &mut self.devices[i];
        match (&mut slot.transit, slot.port.current()) {
            (Some(transit), _) => {
                let mut held = transit.let_go();
                self.write_device(i, now, &mut held);
                let next = self.devices[i].next();
                self.wake_at(self.device_key(i), next, now);
            }
            (None, Some(link)) => link.let_go(),
            (None, None) => {}
        }
    }

    /// Device `i`, in a blackhole, gives up its connection, if it has one, or loses it with its
    /// power: the socket stays.
    pub(super) fn leave_half_open(&mut self, i: usize, now: Instant) {
        let slot = &mut self.devices[i];
        let transit = slot.transit.as_deref_mut();
        let Some((mut link, epoch)) = slot.port.detach() else {
            return transit.map_or((), Transit::forget);
        };
        link.forget_kept();
        // Its task has to hear of the target's end.
        link.wake();
        let client = &self.plan.cohorts[usize::from(slot.cohort)].client;
        let until = now.after(half_open_for(client.keep_alive_s));
        let left = Closing::half_open((link, epoch), transit, until);
        if self.end_half_open(i) {
            // One of them per device is all that is planned for.
            self.on_device_event(i, now, &Event::LimitReached(Limit::HalfOpenConnections));
        }
        self.devices[i].half_open = Some(Box::new(left));
    }

    /// What is due of the half-open connection of device `i` at `now`.
    pub(super) fn release_half_open(&mut self, i: usize, now: Instant) {
        if let Some(half_open) = &mut self.devices[i].half_open
            && half_open.release(now, &mut self.frame)
        {
            self.end_half_open(i);
        }
    }

    /// Closes the half-open connection of device `i`. Whether there was one.
    pub(super) fn end_half_open(&mut self, i: usize) -> bool {
        let slot = &mut self.devices[i];
        let Some(half_open) = slot.half_open.take() else {
            return false;
        };
        let link = half_open.into_link();
        slot.port.let_go(&mut self.routes, link);
        true
    }
}

#[cfg(test)]
mod tests;

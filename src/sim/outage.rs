//! Network faults in the simulation: they act at the devices' end, so no node hears of a refused
//! connect, and of a cut connection it hears as late as of anything else.

use super::queue::{Event, RUN, Up};
use super::world::World;
use crate::scenario::plan::DeviceIdx;
use crate::stats::event::Cause;
use crate::time::{Duration, Instant};

impl World {
    /// A fault of the plan begins. If it is a reset, the devices meant are cut, now or later.
    pub(super) fn begin_outage(&mut self, now: Instant, fault: usize) {
        self.outages.start(fault);
        for index in 0..self.devices.len() {
            let id = self.devices[index].device.id();
            match self.outages.cut_after(fault, id) {
                None => {}
                Some(Duration::ZERO) => self.cut(now, id),
                Some(after) => self.queue.push(now.after(after), RUN, Event::Cut(id)),
            }
        }
    }

    /// The device's connection ends with RST at its own end, if it has one or is making one.
    pub(super) fn cut(&mut self, now: Instant, id: DeviceIdx) {
        let actor = self.actor_of_device(id);
        if let Some(conn) = self.queue.port(actor).current(actor) {
            self.send_up(now, Some(conn), Up::Closed);
            self.device_closed(now, conn, id, Cause::Reset);
        }
    }
}

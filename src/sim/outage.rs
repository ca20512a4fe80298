//! Network and device faults in the simulation: they act at the devices' end, so no node hears of a
//! refused connect, of a cut connection it hears as late as of anything else, and of a power cut not
//! at all.

use super::queue::{Event, RUN, Up};
use super::world::World;
use crate::device;
use crate::device::outage::End;
use crate::scenario::plan::DeviceIdx;
use crate::time::Instant;

impl World {
    /// A fault of the plan begins. If it ends connections, the devices meant are cut, now or later.
    pub(super) fn begin_outage(&mut self, now: Instant, fault: usize) {
        self.outages.start(fault);
        for index in 0..self.devices.len() {
            let id = self.devices[index].device.id();
            match self.outages.cut(fault, id) {
                None => {}
                Some(cut) if cut.after.is_zero() => self.cut(now, id, cut.end),
                Some(cut) => {
                    let event = Event::Cut(id, cut.end);
                    self.queue.push(now.after(cut.after), RUN, event);
                }
            }
        }
        if self.outages.is_blackhole(fault) {
            self.update_holes(now);
        }
    }

    /// The device's connection ends at its own end, if it has one or is making one.
    pub(super) fn cut(&mut self, now: Instant, id: DeviceIdx, end: End) {
        let actor = self.actor_of_device(id);
        if let Some(conn) = self.queue.port(actor).current(actor) {
            self.send_up(now, Some(conn), Up::Closed);
            self.device_closed(now, conn, id, end.cause());
        }
        self.break_fetch(now, id, end.cause());
    }

    /// A device fault takes a device's power. Nothing leaves it any more: its connection, if it has
    /// one or is making one, stays half-open at its node.
    pub(super) fn cut_power(&mut self, now: Instant, id: DeviceIdx) {
        let client = &mut self.devices[id as usize];
        if !client.device.is_powered() {
            return;
        }
        self.books.boot_ended(&self.plan, client, now);
        client.power_on = Instant::NEVER;
        self.stop_fetch(id);
        let actor = self.actor_of_device(id);
        if let Some(conn) = self.queue.port_mut(actor).close(actor) {
            self.leave_half_open(now, conn, id);
        }
        self.step_device(id, now, device::Input::PowerOff);
    }
}

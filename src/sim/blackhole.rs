//! Blackholes in the simulation: what devices send is held at their end and let go when the hole
//! clears, and so is what reaches them; a connection that its device gives up meanwhile stays
//! half-open at its node. Who is in a hole, and for how long such a connection lasts, is
//! `device::outage`'s law.

use super::LINK_DELAY;
use super::clients::client_of;
use super::queue::{Down, Event, Up};
use super::world::{Who, World};
use crate::backend::ConnId;
use crate::device::outage::{HELD_BYTES_MAX, Stop, half_open_for};
use crate::device::path;
use crate::scenario::plan::DeviceIdx;
use crate::stats::event::{self, Cause, Limit};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Packets that wait for one device; with more, its node has no room for what it sends and closes.
const HELD_DOWN_MAX: usize = 16_384;

/// What the active blackholes hold.
#[derive(Debug, Default)]
pub(super) struct Holes {
    /// Devices that are in one.
    devices: u32,
    held: BTreeMap<DeviceIdx, Held>,
    /// The connection that a device has left half-open, one at most, until it ends.
    half_open: BTreeMap<DeviceIdx, ConnId>,
}

/// What is held at the end of one device.
#[derive(Debug, Default)]
struct Held {
    up: Vec<Up>,
    up_bytes: usize,
    down: Vec<Down>,
}

impl Holes {
    /// A connection ends. Whether its device has left it half-open.
    pub(super) fn end(&mut self, id: DeviceIdx, conn: ConnId) -> bool {
        match self.half_open.entry(id) {
            Entry::Occupied(half_open) if *half_open.get() == conn => {
                half_open.remove();
                true
            }
            Entry::Occupied(_) | Entry::Vacant(_) => false,
        }
    }
}

impl World {
    /// A blackhole has begun or cleared.
    pub(super) fn update_holes(&mut self, now: Instant) {
        for index in 0..self.devices.len() {
            let client = &mut self.devices[index];
            let id = client.device.id();
            let is_swallowed = self.outages.swallows(id);
            if is_swallowed == client.is_swallowed {
                continue;
            }
            client.is_swallowed = is_swallowed;
            self.books.cut_off(now, id, is_swallowed);
            if is_swallowed {
                self.holes.devices += 1;
            } else {
                self.holes.devices -= 1;
                self.let_go(now, id);
                self.release_fetch(now, id);
            }
        }
    }

    /// The device at the end of `conn`, if it is in a blackhole.
    pub(super) fn swallowed(&self, conn: ConnId) -> Option<DeviceIdx> {
        if self.holes.devices == 0 {
            return None;
        }
        match self.who(client_of(conn)) {
            Who::Device(id) if self.devices[id as usize].is_swallowed => Some(id),
            Who::Run | Who::Node(_) | Who::Observer(_) | Who::Desk(_) | Who::Device(_) => None,
        }
    }

    /// A device in a blackhole sends or closes.
    pub(super) fn swallow_up(&mut self, now: Instant, conn: ConnId, id: DeviceIdx, up: Up) {
        match up {
            Up::Opened => {}
            Up::Closed => self.leave_half_open(now, conn, id),
            Up::Packet(_) | Up::Publish(_) | Up::Shared(_) | Up::Telemetry(_) => {
                let bytes = self.packet_len(id, &up);
                let held = self.holes.held.entry(id).or_default();
                if held.up_bytes > HELD_BYTES_MAX {
                    return self.overflow(now, conn);
                }
                held.up_bytes += bytes;
                held.up.push(up);
            }
        }
    }

    /// Something reaches a device in a blackhole.
    pub(super) fn swallow_down(&mut self, now: Instant, conn: ConnId, id: DeviceIdx, down: Down) {
        let held = self.holes.held.entry(id).or_default();
        if held.down.len() < HELD_DOWN_MAX {
            held.down.push(down);
        } else if held.down.len() == HELD_DOWN_MAX {
            held.down.push(Down::Closed(Cause::ClosedByPeer));
            let limit = event::Event::LimitReached(Limit::InputBytes);
            self.books
                .device_event(now, &mut self.devices[id as usize], &limit);
            let end = Event::Up(conn, Up::Closed);
            self.queue.push(now.after(LINK_DELAY), client_of(conn), end);
        }
    }

    /// A device in a blackhole gives up its connection: its node does not hear of that until the
    /// connection's time is over.
    pub(super) fn leave_half_open(&mut self, now: Instant, conn: ConnId, id: DeviceIdx) {
        let held = self.holes.held.remove(&id).unwrap_or_default();
        let is_over = held.down.iter().any(|d| matches!(d, Down::Closed(_)));
        if is_over || !self.has_begun(now, id) {
            return;
        }
        let client = &mut self.devices[id as usize];
        let cohort = &self.plan.cohorts[usize::from(client.cohort)];
        let until = now.after(half_open_for(cohort.client.keep_alive_s));
        let actor = client_of(conn);
        if let Some(earlier) = self.holes.half_open.insert(id, conn) {
            let limit = event::Event::LimitReached(Limit::HalfOpenConnections);
            self.books.device_event(now, client, &limit);
            let end = Event::Up(earlier, Up::Closed);
            self.queue.push(now.after(LINK_DELAY), actor, end);
        }
        self.queue.push(until, actor, Event::HalfOpenEnds(conn));
    }

    /// The SYN of a device in a blackhole is lost: its kernel sends it again.
    pub(super) fn lose_syn(&mut self, now: Instant, conn: ConnId, id: DeviceIdx) {
        let waited = now.since(self.devices[id as usize].attempt_began);
        let again = now.after(path::next_syn(waited));
        self.queue
            .push(again, client_of(conn), Event::SynAgain(conn));
    }

    /// A lost SYN is sent again, unless the device has given up.
    pub(super) fn send_syn_again(&mut self, now: Instant, conn: ConnId) {
        let actor = client_of(conn);
        let Who::Device(id) = self.who(actor) else {
            return;
        };
        if self.queue.port(actor).conn(actor) != conn {
            return;
        }
        match self.outages.stops_syn(id) {
            Some(Stop::Unanswered) => self.lose_syn(now, conn, id),
            Some(Stop::Fails(cause)) => self.device_closed(now, conn, id, cause),
            None => {
                self.queue.port_mut(actor).set_open();
                self.send_up(now, Some(conn), Up::Opened);
            }
        }
    }

    /// The time of a half-open connection is over, unless it has ended before.
    pub(super) fn half_open_ends(&mut self, now: Instant, conn: ConnId) {
        let actor = client_of(conn);
        if let Who::Device(id) = self.who(actor)
            && self.holes.end(id, conn)
        {
            let end = Event::Up(conn, Up::Closed);
            self.queue.push(now.after(LINK_DELAY), actor, end);
        }
    }

    /// What was held passes now: first what the device has sent, then what has come for it.
    fn let_go(&mut self, now: Instant, id: DeviceIdx) {
        let Some(held) = self.holes.held.remove(&id) else {
            return;
        };
        let actor = self.actor_of_device(id);
        // It belongs to the present connection, but may end it.
        let Some(conn) = self.queue.port(actor).current(actor) else {
            return;
        };
        for up in held.up {
            if self.queue.port(actor).current(actor) == Some(conn) {
                self.send_up(now, Some(conn), up);
            }
        }
        for down in held.down {
            self.reach_client(now, conn, down);
        }
    }
}

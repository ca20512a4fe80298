//! The devices' access links in the simulation: when what is sent at one end reaches the other.
//! Observers are on the cloud's side and have none.

use super::LINK_DELAY;
use super::clients::client_of;
use super::queue::{Down, Up};
use super::world::{Who, World};
use crate::backend::ConnId;
use crate::device::outage::Outages;
use crate::device::path::{Endpoint, NO_BYTES, Passage, Path};
use crate::device::{Profile, payload};
use crate::mqtt::codec;
use crate::scenario::links;
use crate::scenario::plan::{DeviceIdx, FaultKind, Link, NetworkFault, Plan};
use crate::stats::event::{Event, Limit};
use crate::time::Instant;
use std::sync::Arc;

/// The paths of all devices; none if no cohort has a link and no fault degrades one.
#[derive(Debug, Default)]
pub(super) struct Links {
    paths: Vec<Linked>,
    /// Some fault of the plan degrades links: then all devices have one, be it one that does nothing.
    degrades: bool,
}

/// Which way something passes a device's link.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

/// A device's path.
#[derive(Clone, Debug)]
struct Linked {
    path: Path,
    /// When the SYN of its latest connection reaches the target.
    opens_at: Instant,
}

impl Links {
    pub(super) fn new(plan: &Plan) -> Self {
        let degrades = plan.faults.iter().any(|fault| match &fault.kind {
            FaultKind::Network { fault, .. } => matches!(fault, NetworkFault::Degrade(_)),
            FaultKind::Backend { .. } | FaultKind::Device { .. } => false,
        });
        let has_paths = degrades || plan.cohorts.iter().any(|cohort| cohort.link.is_some());
        let unused = Linked {
            path: Path::new(),
            opens_at: Instant::ZERO,
        };
        let paths = match has_paths {
            true => vec![unused; plan.devices() as usize],
            false => Vec::new(),
        };
        Self { paths, degrades }
    }
}

impl World {
    /// When what the device at the end of `conn` sends at `now` reaches its node; `None` if it never
    /// does: the end of a connection whose beginning is still on its way.
    pub(super) fn passes_up(&mut self, now: Instant, conn: ConnId, up: &Up) -> Option<Instant> {
        let Some((id, profile)) = self.linked(conn) else {
            return Some(now.after(LINK_DELAY));
        };
        let end = endpoint(&profile, &self.outages, id);
        let linked = &mut self.links.paths[id as usize];
        let passage = match up {
            Up::Opened => {
                let passage = linked.path.open(end, now);
                linked.opens_at = passage.arrives;
                passage
            }
            Up::Closed if linked.opens_at > now => return None,
            Up::Closed => linked.path.up(end, now, NO_BYTES),
            Up::Packet(_) | Up::Publish(_) | Up::Shared(_) | Up::Telemetry(_) => {
                let bytes = bytes_up(&profile, end, up, &mut self.scratch);
                linked.path.up(end, now, bytes)
            }
        };
        Some(self.passed(now, id, passage))
    }

    /// Whether the beginning of the device's latest connection has reached its node.
    pub(super) fn has_begun(&self, now: Instant, id: DeviceIdx) -> bool {
        let linked = self.links.paths.get(id as usize);
        linked.is_none_or(|linked| linked.opens_at <= now)
    }

    /// Bytes of what the device sends, if it is a packet.
    pub(super) fn packet_len(&mut self, id: DeviceIdx, up: &Up) -> usize {
        let profile = &self.profiles[usize::from(self.devices[id as usize].cohort)];
        len_up(profile, id, up, &mut self.scratch)
    }

    /// Whether `up` is a packet for which the device's end of its link has no room.
    pub(super) fn is_full(&self, now: Instant, conn: ConnId, up: &Up) -> bool {
        match (up, self.linked(conn)) {
            (Up::Opened | Up::Closed, _) | (_, None) => false,
            (
                Up::Packet(_) | Up::Publish(_) | Up::Shared(_) | Up::Telemetry(_),
                Some((id, profile)),
            ) => {
                let path = &self.links.paths[id as usize].path;
                path.is_full(endpoint(&profile, &self.outages, id), now)
            }
        }
    }

    /// When what a node sends at `now` reaches the client at the end of `conn`. What belongs to a
    /// connection that the device has left passes no link: it will be dropped.
    pub(super) fn passes_down(&mut self, now: Instant, conn: ConnId, down: &Down) -> Instant {
        match self.linked(conn) {
            Some((id, profile)) if self.is_current(conn) => {
                let end = endpoint(&profile, &self.outages, id);
                let bytes = bytes_down(end, down);
                let passage = self.links.paths[id as usize].path.down(end, now, bytes);
                self.passed(now, id, passage)
            }
            Some(_) | None => now.after(LINK_DELAY),
        }
    }

    /// When `bytes` that are no MQTT and set out at `now` have passed the device's link, if it has one.
    pub(super) fn passes(
        &mut self,
        way: Way,
        now: Instant,
        id: DeviceIdx,
        bytes: usize,
    ) -> Instant {
        let Some(profile) = self.linked_device(id) else {
            return now.after(LINK_DELAY);
        };
        let end = endpoint(&profile, &self.outages, id);
        let path = &mut self.links.paths[id as usize].path;
        let passage = match way {
            Way::Up => path.up(end, now, bytes),
            Way::Down => path.down(end, now, bytes),
        };
        self.passed(now, id, passage)
    }

    /// Whether a device has a link.
    pub(super) fn has_link(&self, id: DeviceIdx) -> bool {
        self.linked_device(id).is_some()
    }

    /// Whether a device has left a connection already. A beginning that arrives after that, over a
    /// link or at its second knock, reaches nobody.
    pub(super) fn is_left_on_the_way(&self, conn: ConnId) -> bool {
        matches!(self.who(client_of(conn)), Who::Device(_)) && !self.is_current(conn)
    }

    fn is_current(&self, conn: ConnId) -> bool {
        let actor = client_of(conn);
        self.queue.port(actor).current(actor) == Some(conn)
    }

    fn passed(&mut self, now: Instant, id: DeviceIdx, passage: Passage) -> Instant {
        if passage.reached_limit() {
            let limit = Event::LimitReached(Limit::Retransmissions);
            let client = &mut self.devices[id as usize];
            self.books.device_event(now, client, &limit);
        }
        passage.arrives.after(LINK_DELAY)
    }

    /// The device at the end of `conn`, if it is a device and has a link.
    fn linked(&self, conn: ConnId) -> Option<(DeviceIdx, Arc<Profile>)> {
        if self.links.paths.is_empty() {
            return None;
        }
        let Who::Device(id) = self.who(client_of(conn)) else {
            return None;
        };
        self.linked_device(id).map(|profile| (id, profile))
    }

    /// The profile of a device that has a link.
    fn linked_device(&self, id: DeviceIdx) -> Option<Arc<Profile>> {
        if self.links.paths.is_empty() {
            return None;
        }
        let client = self.devices.get(id as usize)?;
        let profile = &self.profiles[usize::from(client.cohort)];
        let is_linked = self.links.degrades || link_of(profile).is_some();
        is_linked.then(|| Arc::clone(profile))
    }
}

fn link_of(profile: &Profile) -> Option<&Link> {
    profile.plan.cohorts[profile.cohort].link.as_ref()
}

fn endpoint<'a>(profile: &'a Profile, outages: &'a Outages, device: DeviceIdx) -> Endpoint<'a> {
    Endpoint {
        link: link_of(profile).unwrap_or(&links::PLAIN),
        outages: Some(outages),
        seed: profile.plan.seed,
        device,
    }
}

fn bytes_up(
    profile: &Profile,
    end: Endpoint<'_>,
    up: &Up,
    scratch: &mut payload::Scratch,
) -> usize {
    match end.limits_up() {
        true => len_up(profile, end.device, up, scratch),
        false => NO_BYTES,
    }
}

fn len_up(profile: &Profile, device: DeviceIdx, up: &Up, scratch: &mut payload::Scratch) -> usize {
    match up {
        Up::Opened | Up::Closed => NO_BYTES,
        Up::Packet(packet) => codec::encoded_len(packet),
        Up::Publish(publish) => publish.encoded_len(),
        Up::Shared(publish) => {
            codec::publish_len(publish.qos, publish.topic.len(), publish.payload.len())
        }
        Up::Telemetry(telemetry) => payload::encoded_len(profile, device, telemetry, scratch),
    }
}

fn bytes_down(end: Endpoint<'_>, down: &Down) -> usize {
    match down {
        _ if !end.limits_down() => NO_BYTES,
        Down::Opened | Down::Closed(_) => NO_BYTES,
        Down::Packet(packet) => codec::encoded_len(packet),
        Down::Deliver(delivery) => {
            let message = &delivery.message;
            codec::publish_len(delivery.qos, delivery.topic().len(), message.payload.len())
        }
    }
}

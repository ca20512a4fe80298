//! The event queue. Ties in time are ordered by (time, actor, the actor's own sequence), so that the
//! order does not depend on who was stepped first. What is near is kept in a small heap, what is far
//! in a wheel; packets wait beside them, so that an entry is 32 bytes.

use super::wheel::{Timed, Wheel};
use crate::backend::{ConnId, Delivery};
use crate::device::{OwnedPublish, Telemetry};
use crate::mqtt::packet::{Packet, PacketId};
use crate::stats::event::Cause;
use crate::time::Instant;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Who causes an event: 0 is the run itself, then the nodes, the observers, the devices.
pub(super) type Actor = u32;

/// The run itself: timeline, seconds, drain.
pub(super) const RUN: Actor = 0;

/// The heap gives memory back above this many entries when it is mostly empty.
const HEAP_KEPT: usize = 1 << 16;

/// What happens at an instant.
#[derive(Debug)]
pub(super) enum Event {
    /// Entries of the timeline are due.
    Timeline,
    /// A second of the run ends.
    Second,
    /// A look whether the drain is over.
    DrainLook,
    /// An actor's deadline.
    Timer(Actor),
    /// Something reaches the node at the end of a connection.
    Up(ConnId, Up),
    /// Something reaches the client at the end of a connection.
    Down(ConnId, Down),
    /// A failed attempt has cost its time.
    Told(ConnId, Cause),
}

/// What a client sends its node.
#[derive(Debug)]
pub(super) enum Up {
    Opened,
    Packet(Packet<'static>),
    Publish(Box<OwnedPublish>),
    Telemetry(Telemetry),
    Closed,
}

/// What a node sends a client.
#[derive(Debug)]
pub(super) enum Down {
    Opened,
    Packet(Packet<'static>),
    Deliver(Delivery),
    Closed(Cause),
}

/// Events to come.
#[derive(Debug)]
pub(super) struct Queue {
    /// All that comes before anything in `far`.
    near: BinaryHeap<Reverse<Entry>>,
    far: Wheel<Entry>,
    /// Packets under way, by the index in their entry; freed places are used again, the latest first.
    parcels: Vec<Option<Parcel>>,
    free: Vec<u32>,
    /// Events each actor has caused.
    sequences: Vec<u32>,
}

/// An event in the queue.
#[derive(Debug)]
struct Entry {
    at: Instant,
    /// Who caused it, and how many events it had caused before.
    order: u64,
    /// The connection concerned, or the actor of a timer.
    of: u64,
    what: What,
}

/// What happens, without the packet.
#[derive(Copy, Clone, Debug)]
enum What {
    Timeline,
    Second,
    DrainLook,
    Timer,
    UpOpened,
    UpClosed,
    UpAck(PacketId),
    DownOpened,
    DownAck(PacketId),
    DownClosed(Cause),
    Told(Cause),
    Parcel(u32),
}

const _: () = assert!(size_of::<Entry>() <= 32, "a fleet has one or two per device");

/// A packet under way.
#[derive(Debug)]
enum Parcel {
    Up(Up),
    Down(Down),
}

impl Queue {
    /// A queue for this many actors.
    pub(super) fn new(actors: usize) -> Self {
        Self {
            near: BinaryHeap::new(),
            far: Wheel::new(),
            parcels: Vec::new(),
            free: Vec::new(),
            sequences: vec![0; actors],
        }
    }

    /// `event`, caused by `actor`, happens at `at`.
    pub(super) fn push(&mut self, at: Instant, actor: Actor, event: Event) {
        if at.is_never() {
            return;
        }
        let sequence = &mut self.sequences[actor as usize];
        let order = u64::from(actor) << 32 | u64::from(*sequence);
        *sequence = sequence.wrapping_add(1);
        let (of, what) = self.pack(event);
        let entry = Entry {
            at,
            order,
            of,
            what,
        };
        if let Some(entry) = self.far.push(entry) {
            self.near.push(Reverse(entry));
        }
    }

    /// The next event.
    pub(super) fn pop(&mut self) -> Option<(Instant, Event)> {
        loop {
            if let Some(Reverse(entry)) = self.near.pop() {
                return Some((entry.at, self.unpack(&entry)));
            }
            if self.near.capacity() > HEAP_KEPT {
                self.near.shrink_to(HEAP_KEPT);
            }
            let near = &mut self.near;
            if !self.far.next_slot(|entry| near.push(Reverse(entry))) {
                return None;
            }
        }
    }

    fn pack(&mut self, event: Event) -> (u64, What) {
        match event {
            Event::Timeline => (0, What::Timeline),
            Event::Second => (0, What::Second),
            Event::DrainLook => (0, What::DrainLook),
            Event::Timer(actor) => (u64::from(actor), What::Timer),
            Event::Told(conn, cause) => (conn.0, What::Told(cause)),
            Event::Up(conn, Up::Opened) => (conn.0, What::UpOpened),
            Event::Up(conn, Up::Closed) => (conn.0, What::UpClosed),
            Event::Up(conn, Up::Packet(Packet::PubAck(id))) => (conn.0, What::UpAck(id)),
            Event::Up(conn, up) => (conn.0, self.keep(Parcel::Up(up))),
            Event::Down(conn, Down::Opened) => (conn.0, What::DownOpened),
            Event::Down(conn, Down::Closed(cause)) => (conn.0, What::DownClosed(cause)),
            Event::Down(conn, Down::Packet(Packet::PubAck(id))) => (conn.0, What::DownAck(id)),
            Event::Down(conn, down) => (conn.0, self.keep(Parcel::Down(down))),
        }
    }

    fn unpack(&mut self, entry: &Entry) -> Event {
        let conn = ConnId(entry.of);
        match entry.what {
            What::Timeline => Event::Timeline,
            What::Second => Event::Second,
            What::DrainLook => Event::DrainLook,
            What::Timer => Event::Timer(Actor::try_from(entry.of).expect("was an actor")),
            What::Told(cause) => Event::Told(conn, cause),
            What::UpOpened => Event::Up(conn, Up::Opened),
            What::UpClosed => Event::Up(conn, Up::Closed),
            What::UpAck(id) => Event::Up(conn, Up::Packet(Packet::PubAck(id))),
            What::DownOpened => Event::Down(conn, Down::Opened),
            What::DownClosed(cause) => Event::Down(conn, Down::Closed(cause)),
            What::DownAck(id) => Event::Down(conn, Down::Packet(Packet::PubAck(id))),
            What::Parcel(index) => {
                self.free.push(index);
                match self.parcels[index as usize].take() {
                    Some(Parcel::Up(up)) => Event::Up(conn, up),
                    Some(Parcel::Down(down)) => Event::Down(conn, down),
                    None => unreachable!("a parcel is fetched once"),
                }
            }
        }
    }

    fn keep(&mut self, parcel: Parcel) -> What {
        if let Some(index) = self.free.pop() {
            self.parcels[index as usize] = Some(parcel);
            return What::Parcel(index);
        }
        let index = u32::try_from(self.parcels.len()).expect("fewer packets than 2^32 at a time");
        self.parcels.push(Some(parcel));
        What::Parcel(index)
    }
}

impl Timed for Entry {
    fn at(&self) -> Instant {
        self.at
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ties_go_by_actor_then_by_its_own_sequence() {
        let mut queue = Queue::new(4);
        let at = Instant::from_ns(5);
        queue.push(at, 3, Event::Timer(30));
        queue.push(at, 1, Event::Timer(10));
        queue.push(at, 3, Event::Timer(31));
        queue.push(Instant::from_ns(4), 3, Event::Timer(32));
        queue.push(Instant::NEVER, 0, Event::Second);
        let mut order = Vec::new();
        while let Some((_, Event::Timer(actor))) = queue.pop() {
            order.push(actor);
        }
        assert_eq!(order, [32, 10, 30, 31]);
    }

    #[test]
    fn what_goes_in_comes_out() {
        let mut queue = Queue::new(1);
        let conn = ConnId(7 << 32 | 9);
        let events = || {
            vec![
                Event::Timeline,
                Event::Second,
                Event::DrainLook,
                Event::Timer(3),
                Event::Told(conn, Cause::Reset),
                Event::Up(conn, Up::Opened),
                Event::Up(conn, Up::Packet(Packet::PubAck(3))),
                Event::Up(conn, Up::Packet(Packet::PingReq)),
                Event::Up(conn, Up::Closed),
                Event::Down(conn, Down::Opened),
                Event::Down(conn, Down::Packet(Packet::PubAck(4))),
                Event::Down(conn, Down::Packet(Packet::PingResp)),
                Event::Down(conn, Down::Closed(Cause::ClosedByPeer)),
            ]
        };
        for _ in 0..3 {
            for event in events() {
                queue.push(Instant::from_ns(1), 0, event);
            }
            for event in events() {
                let (_, got) = queue.pop().expect("as many as were pushed");
                assert_eq!(format!("{got:?}"), format!("{event:?}"));
            }
        }
        assert_eq!(queue.parcels.len(), 2, "places are used again");
    }

    proptest! {
        /// Against a sorted list, with pushes between the pops.
        #[test]
        fn events_come_by_time_then_actor_then_sequence(
            pushes in prop::collection::vec((0u64..4_000_000_000, 0u32..5, 0u32..3), 1..300),
        ) {
            let mut queue = Queue::new(5);
            let mut waiting: Vec<(Instant, u32, u32)> = Vec::new();
            let mut sent = [0u32; 5];
            let mut now = Instant::ZERO;
            let take = |queue: &mut Queue, waiting: &mut Vec<(Instant, u32, u32)>| {
                waiting.sort_unstable();
                let popped = queue.pop();
                if waiting.is_empty() {
                    assert!(popped.is_none());
                    return Instant::NEVER;
                }
                let (at, actor, _) = waiting.remove(0);
                let (got, event) = popped.expect("one waits");
                assert!(matches!(event, Event::Timer(a) if a == actor));
                assert_eq!(got, at);
                at
            };
            for (later, actor, pops) in pushes {
                let at = now.after_ns(later);
                queue.push(at, actor, Event::Timer(actor));
                waiting.push((at, actor, sent[actor as usize]));
                sent[actor as usize] += 1;
                for _ in 0..pops {
                    let at = take(&mut queue, &mut waiting);
                    if !at.is_never() {
                        now = at;
                    }
                }
            }
            while !take(&mut queue, &mut waiting).is_never() {}
        }
    }
}

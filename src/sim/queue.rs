//! The event queue. Ties in time are ordered by (time, actor, the actor's own sequence), so that the
//! order does not depend on who was stepped first.

use crate::backend::{ConnId, Delivery};
use crate::device::{OwnedPublish, Telemetry};
use crate::mqtt::packet::Packet;
use crate::stats::event::Cause;
use crate::time::Instant;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Who causes an event: 0 is the run itself, then the nodes, the observers, the devices.
pub(super) type Actor = u32;

/// The run itself: timeline, seconds, drain.
pub(super) const RUN: Actor = 0;

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
    heap: BinaryHeap<Reverse<Entry>>,
    /// Events each actor has caused.
    sequences: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    key: (Instant, Actor, u32),
    event: Event,
}

impl Queue {
    /// A queue for this many actors.
    pub(super) fn new(actors: usize) -> Self {
        Self {
            heap: BinaryHeap::new(),
            sequences: vec![0; actors],
        }
    }

    /// `event`, caused by `actor`, happens at `at`.
    pub(super) fn push(&mut self, at: Instant, actor: Actor, event: Event) {
        if at.is_never() {
            return;
        }
        let sequence = &mut self.sequences[actor as usize];
        let key = (at, actor, *sequence);
        *sequence = sequence.wrapping_add(1);
        self.heap.push(Reverse(Entry { key, event }));
    }

    /// The next event.
    pub(super) fn pop(&mut self) -> Option<(Instant, Event)> {
        let Reverse(entry) = self.heap.pop()?;
        Some((entry.key.0, entry.event))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
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
        self.key.cmp(&other.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}

//! The event queue. Ties in time are ordered by (time, actor, the actor's own sequence), so that the
//! order does not depend on who was stepped first. What is far is kept in a wheel, whose next slot is
//! sorted when its time comes; packets wait beside them, so that an entry is 32 bytes.

use super::clients::Port;
use super::fetch::Step;
use super::wheel::{Timed, Wheel};
use crate::backend::{ConnId, Delivery};
use crate::cloud::operator::SharedPublish;
use crate::device::outage::End;
use crate::device::{OwnedPublish, Telemetry};
use crate::mqtt::packet::{Packet, PacketId};
use crate::scenario::plan::DeviceIdx;
use crate::stats::event::Cause;
use crate::time::Instant;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Who causes an event: 0 is the run itself, then the nodes, the observers, the operator's desks, the
/// devices.
pub(super) type Actor = u32;

/// The run itself: timeline, seconds, drain.
pub(super) const RUN: Actor = 0;

/// The heap keeps memory for this many entries when it is empty.
const HEAP_KEPT: usize = 1 << 12;

/// Events that are foretold at a time.
const FORETOLD: usize = 96;

/// Bits of an entry's order that count the events of its actor: a node causes more than 2^32 in an
/// hour of a large fleet. The 24 bits that are left tell 16 million actors apart, which is more than
/// a file's limit on devices and their observers.
const SEQUENCE_BITS: u32 = 40;

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
    /// A network fault ends a device's connection.
    Cut(DeviceIdx, End),
    /// The time of a connection that its device has left half-open is over.
    HalfOpenEnds(ConnId),
    /// The SYN of a connection, lost in a blackhole, is sent again.
    SynAgain(ConnId),
    /// The next step of a download of a device; it is numbered as a connection is.
    Fetch(ConnId, Step),
}

/// What a client sends its node.
#[derive(Debug)]
pub(super) enum Up {
    Opened,
    Packet(Packet<'static>),
    Publish(Box<OwnedPublish>),
    Shared(Box<SharedPublish>),
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
    /// The slot of the wheel whose time it is, the next event last.
    slot: Vec<Entry>,
    /// Entries of the slot from here on have been foretold.
    foretold: usize,
    /// What came when its slot had been taken out of the wheel already.
    late: BinaryHeap<Entry>,
    /// All that comes after the slot.
    far: Wheel<Entry>,
    /// Packets under way, by the index in their entry; freed places are used again, the latest first.
    parcels: Vec<Option<Parcel>>,
    free: Vec<u32>,
    actors: Vec<ActorState>,
    /// Instant of the latest event.
    now: Instant,
}

/// What the driver knows of an actor, in half a cache line, so that a deadline that has moved on or
/// a packet of an earlier connection costs no look at the actor itself.
#[derive(Clone, Debug)]
#[repr(align(32))]
struct ActorState {
    /// Instant of the one valid entry of its deadline; others are stale.
    armed: Instant,
    /// When it wants to be called.
    deadline: Instant,
    /// Events it has caused.
    sequence: u64,
    port: Port,
}

const _: () = assert!(size_of::<ActorState>() <= 32, "half a cache line");

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
    UpAck(Answer, PacketId),
    DownOpened,
    DownAck(Answer, PacketId),
    DownClosed(Cause),
    Told(Cause),
    Cut(End),
    HalfOpenEnds,
    SynAgain,
    Fetch(Step),
    Parcel(u32),
}

/// An acknowledgement in an entry itself: there are one or three per message.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Answer {
    Ack,
    Rec,
    Rel,
    Comp,
}

impl Answer {
    const fn packet(self, id: PacketId) -> Packet<'static> {
        match self {
            Self::Ack => Packet::PubAck(id),
            Self::Rec => Packet::PubRec(id),
            Self::Rel => Packet::PubRel(id),
            Self::Comp => Packet::PubComp(id),
        }
    }
}

const _: () = assert!(
    size_of::<Entry>() <= 32,
    "a fleet has one or two per device"
);

/// A packet under way.
#[derive(Debug)]
enum Parcel {
    Up(Up),
    Down(Down),
}

impl Queue {
    /// A queue for this many actors.
    pub(super) fn new(actors: usize) -> Self {
        assert!(
            actors as u64 <= 1 << (u64::BITS - SEQUENCE_BITS),
            "{actors} actors have no number each"
        );
        let idle = ActorState {
            armed: Instant::NEVER,
            deadline: Instant::NEVER,
            sequence: 0,
            port: Port::new(0),
        };
        Self {
            slot: Vec::new(),
            foretold: 0,
            late: BinaryHeap::new(),
            far: Wheel::new(),
            parcels: Vec::new(),
            free: Vec::new(),
            actors: vec![idle; actors],
            now: Instant::ZERO,
        }
    }

    /// An actor's end of its connection; of the run and the nodes it means nothing.
    pub(super) fn port(&self, actor: Actor) -> &Port {
        &self.actors[actor as usize].port
    }

    /// The same, to be changed.
    pub(super) fn port_mut(&mut self, actor: Actor) -> &mut Port {
        &mut self.actors[actor as usize].port
    }

    /// `event`, caused by `actor`, happens at `at`.
    pub(super) fn push(&mut self, at: Instant, actor: Actor, event: Event) {
        let (of, what) = self.pack(event);
        self.enter(at, actor, of, what);
    }

    /// `actor` wants [`Event::Timer`] at `deadline` and no other instant; [`Instant::NEVER`] = not
    /// at all. A deadline that has passed comes next, and now: time does not go back. One that moves on
    /// makes no entry: the old one looks again when it comes.
    pub(super) fn arm(&mut self, actor: Actor, deadline: Instant) {
        let deadline = deadline.max(self.now);
        let state = &mut self.actors[actor as usize];
        state.deadline = deadline;
        if deadline < state.armed {
            state.armed = deadline;
            self.enter(deadline, actor, u64::from(actor), What::Timer);
        }
    }

    /// The next event.
    pub(super) fn pop(&mut self) -> Option<(Instant, Event)> {
        loop {
            let entry = self.next()?;
            debug_assert!(entry.at >= self.now, "{entry:?} before {:?}", self.now);
            self.now = entry.at;
            if !matches!(entry.what, What::Timer) {
                return Some((entry.at, self.unpack(&entry)));
            }
            let actor = Actor::try_from(entry.of).expect("was an actor");
            if self.is_due(entry.at, actor) {
                return Some((entry.at, Event::Timer(actor)));
            }
        }
    }

    /// Puts the actors that the next events call after a longer while into `actors`; of each event it
    /// tells once, some events ahead. What is looked at now is in the cache then.
    pub(super) fn foretell(&mut self, actors: &mut Vec<Actor>) {
        actors.clear();
        if self.slot.len() > self.foretold {
            return;
        }
        self.foretold = self.slot.len().saturating_sub(FORETOLD);
        actors.extend(self.slot[self.foretold..].iter().filter_map(Entry::calls));
    }

    /// Whether the timer entry at `at` is the actor's deadline rather than a stale one; if that has
    /// moved on, so does the entry.
    fn is_due(&mut self, at: Instant, actor: Actor) -> bool {
        let state = &mut self.actors[actor as usize];
        if state.armed != at {
            return false;
        }
        let deadline = state.deadline;
        state.armed = Instant::NEVER;
        if deadline <= at {
            state.deadline = Instant::NEVER;
            return true;
        }
        self.arm(actor, deadline);
        false
    }

    fn enter(&mut self, at: Instant, actor: Actor, of: u64, what: What) {
        if at.is_never() {
            return;
        }
        let sequence = &mut self.actors[actor as usize].sequence;
        let order = u64::from(actor) << SEQUENCE_BITS | *sequence;
        *sequence = (*sequence + 1) & ((1 << SEQUENCE_BITS) - 1);
        let entry = Entry {
            at,
            order,
            of,
            what,
        };
        if let Some(entry) = self.far.push(entry) {
            self.late.push(entry);
        }
    }

    fn next(&mut self) -> Option<Entry> {
        loop {
            match (self.slot.last(), self.late.peek()) {
                (None, None) => {
                    self.late.shrink_to(HEAP_KEPT);
                    if !self.far.next_slot(&mut self.slot) {
                        return None;
                    }
                    self.slot.sort_unstable();
                    self.foretold = self.slot.len();
                }
                // The greater entry comes first.
                (Some(next), Some(late)) if next > late => return self.slot.pop(),
                (Some(_), None) => return self.slot.pop(),
                (Some(_) | None, Some(_)) => return self.late.pop(),
            }
        }
    }

    fn pack(&mut self, event: Event) -> (u64, What) {
        match event {
            Event::Timeline => (0, What::Timeline),
            Event::Second => (0, What::Second),
            Event::DrainLook => (0, What::DrainLook),
            Event::Timer(actor) => unreachable!("actor {actor} is armed, not pushed"),
            Event::Told(conn, cause) => (conn.0, What::Told(cause)),
            Event::Cut(id, end) => (u64::from(id), What::Cut(end)),
            Event::HalfOpenEnds(conn) => (conn.0, What::HalfOpenEnds),
            Event::SynAgain(conn) => (conn.0, What::SynAgain),
            Event::Fetch(conn, step) => (conn.0, What::Fetch(step)),
            Event::Up(conn, Up::Opened) => (conn.0, What::UpOpened),
            Event::Up(conn, Up::Closed) => (conn.0, What::UpClosed),
            Event::Up(conn, Up::Packet(Packet::PubAck(id))) => {
                (conn.0, What::UpAck(Answer::Ack, id))
            }
            Event::Up(conn, Up::Packet(Packet::PubRec(id))) => {
                (conn.0, What::UpAck(Answer::Rec, id))
            }
            Event::Up(conn, Up::Packet(Packet::PubRel(id))) => {
                (conn.0, What::UpAck(Answer::Rel, id))
            }
            Event::Up(conn, Up::Packet(Packet::PubComp(id))) => {
                (conn.0, What::UpAck(Answer::Comp, id))
            }
            Event::Up(conn, up) => (conn.0, self.keep(Parcel::Up(up))),
            Event::Down(conn, Down::Opened) => (conn.0, What::DownOpened),
            Event::Down(conn, Down::Closed(cause)) => (conn.0, What::DownClosed(cause)),
            Event::Down(conn, Down::Packet(Packet::PubAck(id))) => {
                (conn.0, What::DownAck(Answer::Ack, id))
            }
            Event::Down(conn, Down::Packet(Packet::PubRec(id))) => {
                (conn.0, What::DownAck(Answer::Rec, id))
            }
            Event::Down(conn, Down::Packet(Packet::PubRel(id))) => {
                (conn.0, What::DownAck(Answer::Rel, id))
            }
            Event::Down(conn, Down::Packet(Packet::PubComp(id))) => {
                (conn.0, What::DownAck(Answer::Comp, id))
            }
            Event::Down(conn, down) => (conn.0, self.keep(Parcel::Down(down))),
        }
    }

    fn unpack(&mut self, entry: &Entry) -> Event {
        let conn = ConnId(entry.of);
        match entry.what {
            What::Timeline => Event::Timeline,
            What::Second => Event::Second,
            What::DrainLook => Event::DrainLook,
            What::Timer => unreachable!("seen to by the caller"),
            What::Told(cause) => Event::Told(conn, cause),
            What::Cut(end) => {
                let id = DeviceIdx::try_from(entry.of).expect("was a device");
                Event::Cut(id, end)
            }
            What::HalfOpenEnds => Event::HalfOpenEnds(conn),
            What::SynAgain => Event::SynAgain(conn),
            What::Fetch(step) => Event::Fetch(conn, step),
            What::UpOpened => Event::Up(conn, Up::Opened),
            What::UpClosed => Event::Up(conn, Up::Closed),
            What::UpAck(ack, id) => Event::Up(conn, Up::Packet(ack.packet(id))),
            What::DownOpened => Event::Down(conn, Down::Opened),
            What::DownClosed(cause) => Event::Down(conn, Down::Closed(cause)),
            What::DownAck(ack, id) => Event::Down(conn, Down::Packet(ack.packet(id))),
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

impl Entry {
    /// The actor that it calls, if much else has happened since that was called last.
    fn calls(&self) -> Option<Actor> {
        let actor = match self.what {
            What::Timer => self.of,
            What::Told(_) => self.of >> 32,
            // The device of a cut is no actor's number, and a herd is cut but once.
            What::Cut(_)
            | What::HalfOpenEnds
            | What::SynAgain
            | What::Fetch(_)
            | What::Timeline
            | What::Second
            | What::DrainLook
            | What::UpOpened
            | What::UpClosed
            | What::UpAck(..)
            | What::DownOpened
            | What::DownAck(..)
            | What::DownClosed(_)
            | What::Parcel(_) => return None,
        };
        Some(Actor::try_from(actor).expect("was an actor"))
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

/// What happens first is the greatest, as the heap wants it.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CONN: ConnId = ConnId(7 << 32 | 9);

    fn told(number: u64) -> Event {
        Event::Told(ConnId(number), Cause::Reset)
    }

    fn number(event: &Event) -> u64 {
        let Event::Told(conn, _) = event else {
            panic!("not of this test: {event:?}");
        };
        conn.0
    }

    #[test]
    fn ties_go_by_actor_then_by_its_own_sequence() {
        let mut queue = Queue::new(4);
        let at = Instant::from_ns(5);
        queue.push(at, 3, told(30));
        queue.push(at, 1, told(10));
        queue.push(at, 3, told(31));
        queue.push(Instant::from_ns(4), 3, told(32));
        queue.push(Instant::NEVER, 0, Event::Second);
        let mut order = Vec::new();
        while let Some((_, event)) = queue.pop() {
            order.push(number(&event));
        }
        assert_eq!(order, [32, 10, 30, 31]);
    }

    #[test]
    fn an_actor_is_called_at_its_deadline_and_at_no_other_instant() {
        let mut queue = Queue::new(2);
        let at = |s: u64| Instant::from_ns(s * 1_000_000_000);
        let next = |queue: &mut Queue| match queue.pop() {
            Some((at, Event::Timer(actor))) => Some((at, actor)),
            Some((_, other)) => panic!("no timer: {other:?}"),
            None => None,
        };
        queue.arm(1, at(30));
        queue.arm(1, at(10));
        queue.arm(1, at(20));
        queue.arm(0, at(15));
        assert_eq!(next(&mut queue), Some((at(15), 0)));
        assert_eq!(next(&mut queue), Some((at(20), 1)), "moved on, not early");
        assert_eq!(next(&mut queue), None, "the entry for 30 s is stale");
        queue.arm(1, at(40));
        queue.arm(1, Instant::NEVER);
        assert_eq!(next(&mut queue), None, "disarmed");
    }

    #[test]
    fn a_deadline_that_has_passed_comes_at_once_and_time_goes_on() {
        let mut queue = Queue::new(2);
        let at = |s: u64| Instant::from_ns(s * 1_000_000_000);
        queue.push(at(20), 1, told(1));
        assert_eq!(queue.pop().map(|(at, _)| at), Some(at(20)));
        queue.push(at(21), 1, told(2));
        queue.arm(1, Instant::ZERO);
        let order = [(); 2].map(|()| queue.pop().map(|(at, _)| at));
        assert_eq!(order, [Some(at(20)), Some(at(21))]);
    }

    #[test]
    fn what_goes_in_comes_out() {
        let mut queue = Queue::new(1);
        let events = || {
            vec![
                Event::Timeline,
                Event::Second,
                Event::DrainLook,
                Event::Told(CONN, Cause::Reset),
                Event::Cut(7, End::Close),
                Event::HalfOpenEnds(CONN),
                Event::SynAgain(CONN),
                Event::Fetch(CONN, Step::Refused(404)),
                Event::Up(CONN, Up::Opened),
                Event::Up(CONN, Up::Packet(Packet::PubAck(3))),
                Event::Up(CONN, Up::Packet(Packet::PubRec(4))),
                Event::Up(CONN, Up::Packet(Packet::PubRel(5))),
                Event::Up(CONN, Up::Packet(Packet::PubComp(6))),
                Event::Up(CONN, Up::Packet(Packet::PingReq)),
                Event::Up(CONN, Up::Closed),
                Event::Down(CONN, Down::Opened),
                Event::Down(CONN, Down::Packet(Packet::PubAck(4))),
                Event::Down(CONN, Down::Packet(Packet::PubRec(5))),
                Event::Down(CONN, Down::Packet(Packet::PubRel(6))),
                Event::Down(CONN, Down::Packet(Packet::PubComp(7))),
                Event::Down(CONN, Down::Packet(Packet::PingResp)),
                Event::Down(CONN, Down::Closed(Cause::ClosedByPeer)),
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
            pushes in prop::collection::vec((0u32..40, any::<u32>(), 0u32..5, 0u32..3), 1..300),
        ) {
            let mut queue = Queue::new(5);
            let mut waiting = std::collections::BTreeMap::new();
            let mut now = Instant::ZERO;
            let check = |queue: &mut Queue, waiting: &mut std::collections::BTreeMap<_, u64>| {
                let expected = waiting.pop_first().map(|((at, _, _), number)| (at, number));
                let popped = queue.pop().map(|(at, event)| (at, number(&event)));
                assert_eq!(popped, expected);
                popped.map(|(at, _)| at)
            };
            for (i, (bits, later, actor, pops)) in (0u64..).zip(pushes) {
                let at = now.after_ns(u64::from(later) << 8 >> bits);
                queue.push(at, actor, told(i));
                waiting.insert((at, actor, i), i);
                for _ in 0..pops {
                    now = check(&mut queue, &mut waiting).unwrap_or(now);
                }
            }
            while check(&mut queue, &mut waiting).is_some() {}
        }
    }
}

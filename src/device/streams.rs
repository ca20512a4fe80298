//! The telemetry of a device: arrivals of its streams' schedules become due, are written, wait, or
//! are let go. What waits is an interval of sequence numbers; its instants are recomputed.

use super::buffer::Place;
use super::pacer::{Cursor, Pacer};
use super::timers::Timer;
use super::{Device, Output, Profile, State, Tag, Telemetry};
use crate::mqtt::packet::QoS;
use crate::scenario::plan::{DeviceIdx, Stream, WhenLate};
use crate::stats::event::{Event, Operation, Unsent};
use crate::time::{Duration, Instant};

/// Operations of a backlog that are written in one step; the rest follows after [`BURST_GAP`], so
/// that an outage's backlog does not overflow the connection's output buffer.
pub(super) const BURST_MAX: usize = 64;

/// Pause between two bursts of a backlog.
const BURST_GAP: Duration = Duration::from_millis(1);

/// What is to be written next.
#[derive(Copy, Clone, Debug)]
enum Next {
    /// The oldest waiting operation of this stream of the cohort.
    Oldest(usize),
    /// A sample of the store.
    Stored(Place),
}

/// Where a stream's schedule stands. The arrivals from `send` up to but without `next` wait.
///
/// Two [`Cursor`]s, packed.
#[derive(Copy, Clone, Debug)]
pub(super) struct StreamState {
    /// When the next arrival is intended; never, if there are no more.
    next_at: Instant,
    /// When the oldest waiting arrival was intended; `next_at` if none waits.
    send_at: Instant,
    /// The next arrival.
    next_seq: u32,
    /// The oldest waiting arrival; `next_seq` if none waits.
    send_seq: u32,
}

const _: () = assert!(
    size_of::<StreamState>() <= 32,
    "the bar for each further stream"
);

impl StreamState {
    /// A stream of a device without power: no arrivals.
    pub(super) const IDLE: Self = Self {
        next_at: Instant::NEVER,
        send_at: Instant::NEVER,
        next_seq: 0,
        send_seq: 0,
    };

    /// See [`Device::glance`].
    pub(super) const fn glance(&self) -> u64 {
        self.next_at.ns()
    }

    const fn next(&self) -> Cursor {
        Cursor {
            seq: self.next_seq,
            at: self.next_at,
        }
    }

    const fn oldest(&self) -> Cursor {
        Cursor {
            seq: self.send_seq,
            at: self.send_at,
        }
    }

    const fn is_empty(&self) -> bool {
        self.send_seq == self.next_seq
    }

    const fn set_next(&mut self, next: Cursor) {
        if self.is_empty() {
            (self.send_seq, self.send_at) = (next.seq, next.at);
        }
        (self.next_seq, self.next_at) = (next.seq, next.at);
    }

    /// Takes `cursor`, an arrival that waits, and all before it out of what waits.
    fn drop_through(&mut self, cursor: Cursor, pacer: &Pacer<'_>) {
        let after = if cursor.seq + 1 == self.next_seq {
            self.next()
        } else {
            pacer.next(cursor)
        };
        (self.send_seq, self.send_at) = (after.seq, after.at);
    }
}

impl Device {
    /// Starts all schedules at power-on.
    pub(super) fn start_streams(&mut self, now: Instant) {
        for index in 0..self.streams.len() {
            let first = pacer(&self.profile, self.id, self.boot, index).first(now);
            self.streams[index] = StreamState::IDLE;
            self.streams[index].set_next(self.within_horizon(first));
        }
    }

    /// No arrival intended at or after `end` will come due.
    pub(super) fn end_streams(&mut self, end: Instant) {
        self.horizon = self.horizon.min(end);
        for index in 0..self.streams.len() {
            let next = self.within_horizon(self.streams[index].next());
            self.streams[index].set_next(next);
        }
    }

    /// Handles the arrivals intended at or before `now` and before `end`, in their order over all
    /// streams.
    pub(super) fn plan_due(&mut self, now: Instant, end: Instant, out: &mut Vec<Output>) {
        while let Some(index) = first_by(&self.streams, |stream| Some(stream.next_at)) {
            let at = self.streams[index].next_at;
            if at > now || at >= end {
                return;
            }
            self.arrive(index, now, out);
        }
    }

    /// Writes what waits as far as connection, window and the pace of a store allow: oldest first, or
    /// in the store's order.
    pub(super) fn flush(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.state != State::Online {
            return;
        }
        self.expire(now, out);
        let mut written = 0;
        while let Some(next) = self.next_to_write(now) {
            if written == BURST_MAX {
                self.timers.arm(Timer::Burst, now.after(BURST_GAP));
                return;
            }
            match next {
                Next::Oldest(index) => self.write_oldest(index, now, out),
                Next::Stored(place) => self.write_stored(place, now, out),
            }
            written += 1;
        }
        self.timers.arm(Timer::Burst, self.next_drain(now));
        if self.session.is_held_up() && self.has_waiting() {
            self.note_held_up(out);
        }
    }

    /// Lets go of all that waits because the device has no power.
    pub(super) fn drop_waiting(&mut self, out: &mut Vec<Output>) {
        for index in 0..self.streams.len() {
            self.for_waiting(index, |op| {
                out.push(Output::Event(Event::Unsent(op, Unsent::DeviceOff)));
            });
            self.streams[index] = StreamState::IDLE;
        }
        if let Some(buffer) = &mut self.buffer {
            buffer.clear();
        }
    }

    /// When the next arrival of any stream is intended.
    pub(super) fn next_arrival(&self) -> Instant {
        self.streams
            .iter()
            .map(|stream| stream.next_at)
            .min()
            .unwrap_or(Instant::NEVER)
    }

    /// Whether any arrival waits.
    pub(super) fn has_waiting(&self) -> bool {
        let stored = self.buffer.as_ref().is_some_and(|buffer| buffer.len() > 0);
        stored || self.streams.iter().any(|stream| !stream.is_empty())
    }

    /// Calls `each` with the waiting operations of stream `index` of the cohort, oldest first.
    pub(super) fn for_waiting(&self, index: usize, mut each: impl FnMut(Operation)) {
        let pacer = pacer(&self.profile, self.id, self.boot, index);
        let stream = &self.streams[index];
        let mut cursor = stream.oldest();
        while cursor.seq != stream.next_seq {
            each(operation(&pacer, cursor));
            cursor = pacer.next(cursor);
        }
        if let Some(buffer) = &self.buffer {
            buffer.for_each(index, &pacer, |cursor| each(operation(&pacer, cursor)));
        }
    }

    /// One arrival comes due: it is written, waits, or is let go.
    fn arrive(&mut self, index: usize, now: Instant, out: &mut Vec<Output>) {
        let pacer = pacer(&self.profile, self.id, self.boot, index);
        let state = &self.streams[index];
        let cursor = state.next();
        let older = (!state.is_empty()).then(|| state.oldest());
        let op = operation(&pacer, cursor);
        let following = pacer.next(cursor);
        out.push(Output::Event(Event::Planned(op)));
        // From here on the arrival waits.
        let following = self.within_horizon(following);
        if self.stores(index) {
            self.streams[index].set_next(following);
            return self.arrive_in_store(index, cursor, now, out);
        }
        let state = &mut self.streams[index];
        (state.next_seq, state.next_at) = (following.seq, following.at);
        if older.is_none() && self.is_sendable(index) {
            self.write_oldest(index, now, out);
            return;
        }
        if self.waits_for_ack(index) {
            self.note_held_up(out);
        }
        let stream = stream(&self.profile, index);
        let dropped = match (stream.when_late, older) {
            (WhenLate::Send, _) | (WhenLate::Latest, None) => return,
            (WhenLate::Skip, _) => cursor,
            (WhenLate::Latest, Some(older)) => older,
        };
        let pacer = self::pacer(&self.profile, self.id, self.boot, index);
        self.streams[index].drop_through(dropped, &pacer);
        let op = operation(&pacer, dropped);
        out.push(Output::Event(Event::Unsent(op, Unsent::Skipped)));
    }

    /// Writes the oldest waiting operation of a sendable stream.
    fn write_oldest(&mut self, index: usize, now: Instant, out: &mut Vec<Output>) {
        let pacer = pacer(&self.profile, self.id, self.boot, index);
        let cursor = self.streams[index].oldest();
        self.streams[index].drop_through(cursor, &pacer);
        // Intended before the device was online this time: it waited for the connection.
        let replayed = cursor.at < self.since;
        self.write(index, cursor, replayed, now, out);
    }

    /// Writes the operation at `cursor` of a sendable stream, which waits no more.
    pub(super) fn write(
        &mut self,
        index: usize,
        cursor: Cursor,
        replayed: bool,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let stream = stream(&self.profile, index);
        let op = operation(&pacer(&self.profile, self.id, self.boot, index), cursor);
        let packet_id = match stream.qos {
            QoS::AtMostOnce => {
                self.session.wrote(now);
                0
            }
            QoS::AtLeastOnce | QoS::ExactlyOnce => {
                self.timers
                    .arm_earlier(Timer::Ack, now.after(stream.ack_timeout));
                let window = self.profile.client().inflight;
                self.session
                    .publish(now, Tag::from(op), stream.qos, replayed, window)
                    .expect("a sendable stream finds the window open")
            }
        };
        out.push(Output::Telemetry(Telemetry {
            op,
            boot: self.boot,
            packet_id,
            dup: false,
        }));
        out.push(Output::Event(Event::Sent {
            op,
            qos: stream.qos,
            replayed,
        }));
    }

    fn next_to_write(&self, now: Instant) -> Option<Next> {
        match self.next_sendable() {
            Some(index) => Some(Next::Oldest(index)),
            None => self.next_stored(now).map(Next::Stored),
        }
    }

    /// Whether an operation of stream `index` that cannot be written now waits for acknowledgements
    /// of others.
    pub(super) fn waits_for_ack(&self, index: usize) -> bool {
        let is_acknowledged = stream(&self.profile, index).qos != QoS::AtMostOnce;
        is_acknowledged && self.state == State::Online
    }

    /// The stream whose oldest waiting operation is to be written next.
    fn next_sendable(&self) -> Option<usize> {
        let mut index = 0;
        first_by(&self.streams, |stream| {
            let sendable = !stream.is_empty() && self.is_sendable(index);
            index += 1;
            sendable.then_some(stream.send_at)
        })
    }

    /// Whether a message of stream `index` can be written now.
    pub(super) fn is_sendable(&self, index: usize) -> bool {
        let open = match stream(&self.profile, index).qos {
            QoS::AtMostOnce => true,
            QoS::AtLeastOnce | QoS::ExactlyOnce => {
                self.session.is_open(self.profile.client().inflight)
            }
        };
        open && self.state == State::Online
    }

    /// `cursor`, or the end of the schedule if it lies at or after the horizon.
    fn within_horizon(&self, cursor: Cursor) -> Cursor {
        if cursor.at < self.horizon {
            return cursor;
        }
        Cursor {
            seq: cursor.seq,
            at: Instant::NEVER,
        }
    }
}

/// The index with the least key; the first of several; `None` if no key.
fn first_by(
    streams: &[StreamState],
    mut key: impl FnMut(&StreamState) -> Option<Instant>,
) -> Option<usize> {
    let mut first: Option<(usize, Instant)> = None;
    for (index, stream) in streams.iter().enumerate() {
        if let Some(at) = key(stream)
            && first.is_none_or(|(_, least)| at < least)
        {
            first = Some((index, at));
        }
    }
    first.map(|(index, _)| index)
}

pub(super) fn stream(profile: &Profile, index: usize) -> &Stream {
    &profile.plan.streams[profile.stream_index(index)]
}

pub(super) fn pacer(profile: &Profile, device: DeviceIdx, boot: u16, index: usize) -> Pacer<'_> {
    Pacer {
        plan: &profile.plan,
        stream: profile.stream_index(index),
        device,
        boot,
        start: profile.start,
    }
}

pub(super) fn operation(pacer: &Pacer<'_>, cursor: Cursor) -> Operation {
    Operation {
        stream: u16::try_from(pacer.stream).expect("the file's limit on streams is below u16"),
        seq: cursor.seq,
        intended: cursor.at,
    }
}

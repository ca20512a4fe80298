//! What is under way on a device's access link: bytes, packets and the ends of connections, held
//! until the instants that the link's law (`device::path`) gives, and then let go. It decides nothing.
//!
//! ```text
//! device --> up: SYN, packets -----> socket     closing: packets of the connection before, its end
//! device <-- down: SYN-ACK, packets, end <----- socket
//! ```

use super::devices::Slot;
use super::fleet::{Fleet, Who};
use super::link::{Link, Overflow, PACKET_MAX};
use super::reader::OUTPUT_MAX;
use crate::device;
use crate::device::outage::{HELD_BYTES_MAX, Outages};
use crate::device::path::{Endpoint, NO_BYTES, Path};
use crate::mqtt::codec::{self, CodecError};
use crate::scenario::links;
use crate::scenario::plan::Plan;
use crate::stats::event::{Cause, Event, Limit};
use crate::time::Instant;
use std::task::{Context, Poll, ready};

mod pipe;
#[cfg(test)]
mod tests;

use pipe::Pipe;

/// Bytes that may be on their way down to one device, besides those of one read; beyond them its
/// socket is not read, which holds up the target as a full receive window would.
const INPUT_MAX: usize = 256 * 1024;

/// Bytes that may be on their way up from one device. The law's own limit on what waits for the
/// bandwidth is nearer, unless the link is very long.
const UP_BYTES_MAX: usize = 1024 * 1024;

/// The link of one device; boxed, and only where the cohort has one or a fault degrades it.
#[derive(Debug, Default)]
pub(super) struct Transit {
    path: Path,
    up: Pipe<Up>,
    down: Pipe<Down>,
    /// The connection that the device closed last, until the target hears of it.
    closing: Option<Box<Closing>>,
    /// Whether the device has a connection, as far as it knows.
    is_open: bool,
    /// The socket is not read for now.
    is_paused: bool,
    /// The device is in a blackhole: what has arrived for it waits.
    is_held: bool,
    /// What it has written meanwhile.
    held: Vec<u8>,
}

/// What reaches the target.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Up {
    /// The SYN: a socket is opened.
    Open,
    /// A packet: its bytes are written.
    Packet,
}

/// What reaches the device.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Down {
    /// The SYN-ACK.
    Opened,
    /// A packet.
    Packet,
    /// The end of the connection.
    Closed(Cause),
}

/// A connection that its device has closed. The socket stays open until the end has passed.
#[derive(Debug)]
pub(super) struct Closing {
    link: Link,
    epoch: u32,
    up: Pipe<Up>,
    closes_at: Instant,
}

impl Closing {
    /// A connection that stays half-open until `closes_at`. Of what its device has sent over its
    /// link, `transit`, the rest arrives yet; the link itself forgets it.
    pub(super) fn half_open(
        (link, epoch): (Link, u32),
        transit: Option<&mut Transit>,
        closes_at: Instant,
    ) -> Self {
        let up = transit.map_or_else(Pipe::default, |transit| {
            let up = std::mem::take(&mut transit.up);
            transit.forget();
            up
        });
        Self {
            link,
            epoch,
            up,
            closes_at,
        }
    }

    /// When something of it is due.
    pub(super) fn next(&self) -> Instant {
        self.closes_at.min(self.up.next())
    }

    /// Writes what has arrived by `now`; whether its time is over.
    pub(super) fn release(&mut self, now: Instant, frame: &mut Vec<u8>) -> bool {
        take_packets(&mut self.up, now, frame);
        // What does not fit is lost with the connection either way.
        let _ = self.link.write(frame, OUTPUT_MAX);
        self.closes_at <= now
    }

    /// Its socket, to be closed.
    pub(super) fn into_link(self) -> Link {
        self.link
    }
}

/// Which direction a packet takes.
#[derive(Copy, Clone, Debug)]
pub(super) enum Way {
    /// Up, as the first of a new connection.
    Open,
    Up,
    Down,
}

/// Where something is due.
#[derive(Copy, Clone, Debug)]
enum Due {
    Closing,
    Up,
    Down,
}

impl Transit {
    /// When something arrives next.
    pub(super) fn next(&self) -> Instant {
        self.first().0
    }

    /// Whether the device has a connection, as far as it knows.
    pub(super) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Forgets what is under way of the present connection, and that there is one.
    pub(super) fn forget(&mut self) {
        self.up.clear();
        self.down.clear();
        self.held = Vec::new();
        self.is_open = false;
        self.is_paused = false;
    }

    /// A blackhole begins.
    pub(super) const fn hold(&mut self) {
        self.is_held = true;
    }

    /// It has cleared: what the device has written meanwhile.
    pub(super) fn let_go(&mut self) -> Vec<u8> {
        self.is_held = false;
        std::mem::take(&mut self.held)
    }

    fn first(&self) -> (Instant, Due) {
        let closing = self
            .closing
            .as_ref()
            .map_or(Instant::NEVER, |closing| closing.next());
        let mut first = (closing, Due::Closing);
        let down = match self.is_held {
            true => Instant::NEVER,
            false => self.down.next(),
        };
        for (at, due) in [(self.up.next(), Due::Up), (down, Due::Down)] {
            if at < first.0 {
                first = (at, due);
            }
        }
        first
    }
}

/// What the device wants.
impl Fleet {
    /// Device `i` opens a connection at `at`.
    pub(super) fn open_over_link(&mut self, i: usize, at: Instant, now: Instant) {
        let arrives = self.pass(i, at, now, Way::Open, NO_BYTES);
        if let Some(transit) = &mut self.devices[i].transit {
            transit.forget();
            transit.is_open = true;
            transit.up.mark(arrives, Up::Open, 0);
        }
    }

    /// Device `i` writes `bytes`, whole packets; empties it.
    ///
    /// # Errors
    /// If more bytes are under way than the limit allows.
    pub(super) fn write_over_link(
        &mut self,
        i: usize,
        now: Instant,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Overflow> {
        if let Some(transit) = self.devices[i].transit.as_mut().filter(|t| t.is_held) {
            let is_full = !bytes.is_empty() && transit.held.len() > HELD_BYTES_MAX;
            if transit.is_open && !is_full {
                transit.held.extend_from_slice(bytes);
            }
            bytes.clear();
            return if is_full { Err(Overflow) } else { Ok(()) };
        }
        let mut rest = &bytes[..];
        let mut outcome = Ok(());
        while outcome.is_ok() && !rest.is_empty() {
            let len = codec::frame_len(rest, rest.len())
                .ok()
                .flatten()
                .expect("a device writes whole packets");
            let (packet, behind) = rest.split_at(len);
            rest = behind;
            if self.is_up_full(i, now) {
                outcome = Err(Overflow);
            } else if self.devices[i].has_connection() {
                let arrives = self.pass(i, now, now, Way::Up, len);
                if let Some(transit) = &mut self.devices[i].transit {
                    transit.up.hold(packet);
                    transit.up.mark(arrives, Up::Packet, len);
                }
            }
        }
        bytes.clear();
        outcome
    }

    /// Whether device `i` has a connection for whose next packet there is no room.
    fn is_up_full(&self, i: usize, now: Instant) -> bool {
        let slot = &self.devices[i];
        let Some(transit) = slot.transit.as_ref() else {
            return false;
        };
        let end = endpoint(&self.plan, &self.cuts.law, slot);
        let is_full = transit.path.is_full(end, now) || transit.up.held() > UP_BYTES_MAX;
        transit.is_open && is_full
    }

    /// Device `i` closes its connection: the socket stays open until what was written before and the
    /// end have passed. If the SYN is still under way, or the target has closed, there is no socket.
    pub(super) fn close_over_link(&mut self, i: usize, now: Instant) {
        let transit = self.devices[i].transit.as_ref();
        // What never began has no end that passes the link.
        let has_begun = transit.is_some_and(|t| t.is_open && t.up.first() != Some(Up::Open));
        let closes_at = match has_begun {
            true => self.pass(i, now, now, Way::Up, NO_BYTES),
            false => now,
        };
        let slot = &mut self.devices[i];
        let Some(transit) = &mut slot.transit else {
            return;
        };
        let up = std::mem::take(&mut transit.up);
        transit.forget();
        if let Some((link, epoch)) = slot.port.detach() {
            // Its task reads on, and may have paused.
            link.wake();
            debug_assert!(transit.closing.is_none(), "it ended when this one opened");
            transit.closing = Some(Box::new(Closing {
                link,
                epoch,
                up,
                closes_at,
            }));
        }
    }

    /// Writes what is under way of the connection that device `i` closed, and closes its socket.
    /// Whether there was one.
    pub(super) fn end_closing(&mut self, i: usize) -> bool {
        let slot = &mut self.devices[i];
        let Some(transit) = &mut slot.transit else {
            return false;
        };
        let Some(mut closing) = transit.closing.take() else {
            return false;
        };
        self.frame.clear();
        while closing.up.pop(&mut self.frame).is_some() {}
        // What does not fit is lost with the connection either way.
        let _ = closing.link.write(&self.frame, OUTPUT_MAX);
        slot.port.let_go(&mut self.routes, closing.link);
        true
    }

    /// When a packet that leaves at `at` arrives.
    pub(super) fn pass(
        &mut self,
        i: usize,
        at: Instant,
        now: Instant,
        way: Way,
        bytes: usize,
    ) -> Instant {
        let end = endpoint(&self.plan, &self.cuts.law, &self.devices[i]);
        let Some(transit) = &mut self.devices[i].transit else {
            return at;
        };
        let passage = match way {
            Way::Open => transit.path.open(end, at),
            Way::Up => transit.path.up(end, at, bytes),
            Way::Down => transit.path.down(end, at, bytes),
        };
        if passage.reached_limit() {
            self.on_device_event(i, now, &Event::LimitReached(Limit::Retransmissions));
        }
        passage.arrives
    }
}

/// What the socket says.
impl Fleet {
    /// The device that `who` is, if it has a link.
    pub(super) fn over_link(&self, who: Who) -> Option<usize> {
        match who {
            Who::Device(i) if self.devices[i].transit.is_some() => Some(i),
            Who::Run(_) | Who::Observer(_) | Who::Desk(_) | Who::Device(_) => None,
        }
    }

    /// The connection of device `i` is established.
    pub(super) fn opened_over_link(&mut self, i: usize, now: Instant) {
        self.send_down(i, now, NO_BYTES, Down::Opened);
    }

    /// The transport of device `i` failed or ended: it hears of it when that has passed, and what it
    /// sends meanwhile reaches nobody. What the generator itself fails at is no matter of the link.
    pub(super) fn lost_over_link(&mut self, i: usize, now: Instant, cause: Cause) {
        if cause.blames_generator() {
            self.fail_device(i, now, cause);
            self.tell_device(i, now);
            return;
        }
        self.devices[i].port.close(&mut self.routes);
        self.send_down(i, now, NO_BYTES, Down::Closed(cause));
    }

    /// `bytes` were read from the socket of device `i`.
    pub(super) fn received_over_link(&mut self, i: usize, now: Instant, bytes: &[u8]) {
        if let Some(transit) = &mut self.devices[i].transit {
            transit.down.hold(bytes);
        }
        loop {
            let Some(transit) = &self.devices[i].transit else {
                return;
            };
            let (head, held) = transit.down.unmarked();
            match codec::frame_len(&head[..held.min(head.len())], PACKET_MAX) {
                Ok(Some(len)) if len <= held => self.send_down(i, now, len, Down::Packet),
                Ok(Some(_) | None) => return,
                Err(error) => {
                    if let CodecError::TooLong { .. } = error {
                        self.on_device_event(i, now, &Event::LimitReached(Limit::PacketLength));
                    }
                    self.lost_over_link(i, now, Cause::ProtocolError);
                    return;
                }
            }
        }
    }

    fn send_down(&mut self, i: usize, now: Instant, bytes: usize, what: Down) {
        let arrives = self.pass(i, now, now, Way::Down, bytes);
        if let Some(transit) = &mut self.devices[i].transit {
            transit.down.mark(arrives, what, bytes);
            self.wake_at(self.device_key(i), arrives, now);
        }
    }

    /// Whether so much is under way to the device of `key` that its socket is not read for now.
    pub(super) fn is_full(&mut self, key: u32) -> bool {
        let Who::Device(i) = self.who(key) else {
            return false;
        };
        let Some(transit) = &mut self.devices[i].transit else {
            return false;
        };
        if transit.down.held() <= INPUT_MAX {
            return false;
        }
        if !transit.is_paused {
            transit.is_paused = true;
            let now = self.clock.now();
            self.on_device_event(i, now, &Event::LimitReached(Limit::InputBytes));
        }
        true
    }

    /// One turn of the task of a connection that its device has closed: what still comes is read and
    /// dropped, so that the end is a FIN.
    pub(super) fn poll_closing(&mut self, key: u32, epoch: u32, cx: &mut Context<'_>) -> Poll<()> {
        let Who::Device(i) = self.who(key) else {
            return Poll::Ready(());
        };
        let slot = &mut self.devices[i];
        let closing = slot.transit.as_mut().map(|transit| &mut transit.closing);
        for place in closing.into_iter().chain([&mut slot.half_open]) {
            let Some(closing) = place.as_mut().filter(|closing| closing.epoch == epoch) else {
                continue;
            };
            ready!(closing.link.poll_drained(cx, &mut self.read_buffer));
            // The peer has ended it.
            if let Some(closing) = place.take() {
                slot.port.let_go(&mut self.routes, closing.link);
            }
        }
        Poll::Ready(())
    }
}

/// What arrives.
impl Fleet {
    /// Lets go all that has arrived over the link of device `i` by `now`.
    pub(super) fn release(&mut self, i: usize, now: Instant) {
        while let Some(transit) = &self.devices[i].transit {
            let (at, due) = transit.first();
            if at > now {
                break;
            }
            self.state.record_lag(at, now);
            match due {
                Due::Closing => self.release_closing(i, now),
                Due::Up => self.release_up(i, now),
                Due::Down => self.release_down(i, now),
            }
        }
    }

    fn release_closing(&mut self, i: usize, now: Instant) {
        let Some(transit) = &mut self.devices[i].transit else {
            return;
        };
        if let Some(closing) = &mut transit.closing
            && closing.release(now, &mut self.frame)
        {
            self.end_closing(i);
        }
    }

    fn release_up(&mut self, i: usize, now: Instant) {
        let slot = &mut self.devices[i];
        let Some(transit) = &mut slot.transit else {
            return;
        };
        if transit.up.first() == Some(Up::Open) {
            transit.up.pop(&mut self.frame);
            return self.connect_over_link(i, now);
        }
        take_packets(&mut transit.up, now, &mut self.frame);
        // Where the target has closed meanwhile, there is nothing to write to.
        let written = match slot.port.current() {
            Some(link) => link.write(&self.frame, OUTPUT_MAX),
            None => Ok(()),
        };
        if written.is_err() {
            self.overflow(i, now);
        }
    }

    fn connect_over_link(&mut self, i: usize, now: Instant) {
        if self.end_closing(i) {
            // One socket per device is all that is planned for.
            self.on_device_event(i, now, &Event::LimitReached(Limit::ClosingConnections));
        }
        match self.devices[i].port.open(&mut self.routes) {
            Ok(epoch) => self.spawn_reader(self.device_key(i), epoch),
            Err(cause) => self.lost_over_link(i, now, cause),
        }
    }

    fn release_down(&mut self, i: usize, now: Instant) {
        let slot = &mut self.devices[i];
        let Some(transit) = &mut slot.transit else {
            return;
        };
        self.frame.clear();
        match transit.down.pop(&mut self.frame) {
            None => {}
            Some(Down::Opened) => self.step_device(i, now, now, device::Input::Opened),
            Some(Down::Packet) => {
                if transit.is_paused && transit.down.held() <= INPUT_MAX {
                    transit.is_paused = false;
                    if let Some(link) = slot.port.current() {
                        link.wake();
                    }
                }
                self.hand_over(i, now);
            }
            Some(Down::Closed(cause)) => {
                self.fail_device(i, now, cause);
                self.tell_device(i, now);
            }
        }
    }

    /// The packet in `frame` has reached device `i`.
    fn hand_over(&mut self, i: usize, now: Instant) {
        let frame = std::mem::take(&mut self.frame);
        match codec::decode(&frame, PACKET_MAX) {
            Ok(Some((packet, _))) => {
                self.step_device(i, now, now, device::Input::Received(packet));
            }
            Ok(None) | Err(_) => {
                self.fail_device(i, now, Cause::ProtocolError);
                self.tell_device(i, now);
            }
        }
        self.frame = frame;
    }
}

/// The device's end of its link; of one that does nothing, if its cohort has none.
fn endpoint<'a>(plan: &'a Plan, outages: &'a Outages, slot: &Slot) -> Endpoint<'a> {
    let link = plan.cohorts[usize::from(slot.cohort)].link.as_ref();
    Endpoint {
        link: link.unwrap_or(&links::PLAIN),
        outages: Some(outages),
        seed: plan.seed,
        device: slot.device.id(),
    }
}

/// Takes the packets that have arrived by `now`, to be written at once.
fn take_packets(up: &mut Pipe<Up>, now: Instant, bytes: &mut Vec<u8>) {
    bytes.clear();
    while up.next() <= now && up.first() == Some(Up::Packet) {
        up.pop(bytes);
    }
}

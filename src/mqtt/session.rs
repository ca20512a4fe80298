//! Sans-IO MQTT 3.1.1 client session: packet identifiers, inflight window, the exchanges of QoS 1
//! and 2 in both directions, retransmission and keep-alive. Devices and observers keep one each and
//! hand it every packet that arrives on an established connection; topics and payloads stay with
//! them, named by a small tag.

use super::packet::{Packet, PacketId, Publish, QoS};
use crate::time::{Duration, Instant};
use exactly_once::ExactlyOnce;
use smallvec::SmallVec;

mod exactly_once;
mod incoming;
#[cfg(test)]
mod tests;

pub use incoming::Incoming;

/// Identifiers that timed-out and abandoned publishes may hold at a time before the next publish
/// has to wait. None of them is ever given out again while the server may still know it: it would
/// take a new QoS 2 message under such an identifier for the old one, and drop it.
pub const HELD_MAX: usize = 256;

/// State that outlives a network connection (section 4.1). `T` says what a publish was, so that it
/// can be written again.
#[derive(Debug)]
pub struct Session<T> {
    /// Publishes that are not completely acknowledged: first those that are released, in the order
    /// of their PUBRECs, then the others in the order of their first write. Nearly all devices have
    /// one at most, which is kept in place.
    entries: SmallVec<[Entry<T>; 1]>,
    /// What only QoS 2 needs; none until then, so that other sessions do not pay for it.
    exactly_once: Option<Box<ExactlyOnce>>,
    /// When the latest packet was written.
    last_sent: Instant,
    /// While a PINGREQ has no answer: when it was written. Else: since when nothing counts as heard
    /// (see [`Session::heard`]).
    quiet_since: Instant,
    /// The identifier given out last.
    last_id: PacketId,
    /// Identifier of the SUBSCRIBE or UNSUBSCRIBE without an answer, else 0.
    request_id: PacketId,
    /// Number of filters of the SUBSCRIBE; 0 = it is an UNSUBSCRIBE.
    request_filters: u8,
    /// A PINGREQ has no answer.
    is_pinging: bool,
    /// Entries that are not held: those that fill the window.
    in_flight: u16,
}

/// A QoS 1 or 2 publish that the server has not acknowledged completely.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    /// What it was.
    pub tag: T,
    /// First write.
    pub sent: Instant,
    /// Its identifier, the same in every retransmission.
    pub packet_id: PacketId,
    /// The first write had to wait for a connection.
    pub late: bool,
    /// Its session was resumed, so it, or its PUBREL, is written again unless it is answered first.
    pub retransmitted: bool,
    /// Its operation has timed out; it only keeps the identifier from being used again.
    held: bool,
    /// It must be written again on this connection, and was not yet.
    again: bool,
    stage: Stage,
}

/// Where an exchange is, and so which acknowledgement it needs next (4.3.2, 4.3.3).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// QoS 1: PUBACK.
    QoS1,
    /// QoS 2, not known to have reached the server: PUBREC.
    QoS2,
    /// QoS 2, PUBREL was written, the PUBLISH must not be written again: PUBCOMP.
    Released,
}

/// How a client keeps its connection alive.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Longest silence in seconds, 0 = off.
    pub interval_s: u16,
    /// Longest wait for a PINGRESP.
    pub ping_timeout: Duration,
    /// Whose silence.
    pub ping_on: PingOn,
}

/// What a client pings on. A client may ping at any time (section 3.1.2.10); MQTT asks for no more
/// than [`PingOn::SilenceOut`], with which one that has much to say is late to notice a dead peer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum PingOn {
    /// Nothing was written for the interval.
    SilenceOut,
    /// Nothing was written, or nothing was received, for the interval.
    SilenceEither,
    /// The interval is over, whatever was written or received.
    Always,
}

/// What the keep-alive wants done.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// Nothing yet.
    Idle,
    /// Write a PINGREQ now.
    Ping,
    /// The peer is dead: close the connection.
    Dead,
}

impl<T: Copy> Session<T> {
    /// A session that has sent nothing.
    pub const fn new() -> Self {
        Self {
            entries: SmallVec::new_const(),
            exactly_once: None,
            last_sent: Instant::ZERO,
            quiet_since: Instant::ZERO,
            last_id: 0,
            request_id: 0,
            request_filters: 0,
            is_pinging: false,
            in_flight: 0,
        }
    }

    /// Number of publishes in flight; timed-out ones do not count.
    pub const fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// The publishes in flight.
    pub fn pending(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.iter().filter(|entry| !entry.held)
    }

    /// The publishes whose PUBREL waits for its PUBCOMP, in the order of their PUBRECs; timed-out
    /// ones are among them.
    pub fn released(&self) -> impl Iterator<Item = &Entry<T>> {
        let is_released = |entry: &&Entry<T>| entry.stage == Stage::Released;
        self.entries.iter().take_while(is_released)
    }

    /// Whether a SUBSCRIBE or UNSUBSCRIBE waits for its answer.
    pub const fn is_asking(&self) -> bool {
        self.request_id != 0
    }

    /// Whether [`HELD_MAX`] identifiers are held, so that no publish may begin until one is free
    /// again or the session ends.
    pub fn is_held_up(&self) -> bool {
        let held = self.entries.len() - usize::from(self.in_flight);
        let abandoned = self
            .exactly_once
            .as_ref()
            .map_or(0, |q| q.abandoned().len());
        held + abandoned >= HELD_MAX
    }

    /// Whether [`Session::publish`] has a place.
    pub fn is_open(&self, window: u16) -> bool {
        self.in_flight < window && !self.is_held_up() && !self.is_resuming()
    }

    /// Whether [`Session::repeat`] has more to give.
    pub fn is_resuming(&self) -> bool {
        // All from the first such entry to the last one are.
        self.entries.last().is_some_and(|entry| entry.again)
    }

    /// While [`Session::is_resuming`]: the publishes that were written again and not answered yet.
    pub fn repeated(&self) -> usize {
        self.first_again() - self.released().count()
    }

    /// A packet was written at `now`; [`Session::publish`] and the like do this themselves.
    pub const fn wrote(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Takes a place in the window for a publish at `qos` 1 or 2 that is written at `now`, and gives
    /// its identifier; `None` if `window` publishes are in flight, identifiers are
    /// [held up](Session::is_held_up), or older publishes have to be
    /// [repeated](Session::repeat) first (MQTT-4.6.0-1).
    ///
    /// # Panics
    /// At QoS 0, which has no identifier.
    pub fn publish(
        &mut self,
        now: Instant,
        tag: T,
        qos: QoS,
        late: bool,
        window: u16,
    ) -> Option<PacketId> {
        if !self.is_open(window) {
            return None;
        }
        let stage = match qos {
            QoS::AtLeastOnce => Stage::QoS1,
            QoS::ExactlyOnce => Stage::QoS2,
            QoS::AtMostOnce => unreachable!("a QoS 0 publish has no packet identifier"),
        };
        let packet_id = self.free_id();
        self.entries.push(Entry {
            tag,
            sent: now,
            packet_id,
            late,
            retransmitted: false,
            held: false,
            again: false,
            stage,
        });
        self.in_flight += 1;
        self.wrote(now);
        Some(packet_id)
    }

    /// The identifier for a SUBSCRIBE of `filters` filters that is written at `now`; `None` if it or
    /// an UNSUBSCRIBE waits for its answer already.
    ///
    /// # Panics
    /// Without a filter (MQTT-3.8.3-3), or with more than 255.
    pub fn subscribe(&mut self, now: Instant, filters: u16) -> Option<PacketId> {
        assert!(filters > 0, "a SUBSCRIBE has a filter");
        self.ask(now, u8::try_from(filters).expect("few fit into one packet"))
    }

    /// The identifier for an UNSUBSCRIBE that is written at `now`; `None` if it or a SUBSCRIBE waits
    /// for its answer already.
    pub fn unsubscribe(&mut self, now: Instant) -> Option<PacketId> {
        self.ask(now, 0)
    }

    fn ask(&mut self, now: Instant, filters: u8) -> Option<PacketId> {
        if self.is_asking() {
            return None;
        }
        self.request_id = self.free_id();
        self.request_filters = filters;
        self.wrote(now);
        Some(self.request_id)
    }

    /// Takes a packet that came on an established connection (after its CONNACK). The caller writes
    /// [`Incoming::answer`] at once, so that acknowledgements go out in the order of what they
    /// acknowledge (MQTT-4.6.0-2, -3, -4).
    pub fn receive<'a>(&mut self, packet: &'a Packet<'a>) -> Incoming<'a, T> {
        match packet {
            Packet::PubAck(packet_id) => self.pub_ack(*packet_id),
            Packet::PubRec(packet_id) => self.pub_rec(*packet_id),
            Packet::PubComp(packet_id) => self.pub_comp(*packet_id),
            Packet::Publish(publish) => self.message(publish),
            // Known or not: the PUBCOMP may have been lost with its connection (4.3.3).
            Packet::PubRel(packet_id) => {
                if let Some(exactly_once) = &mut self.exactly_once {
                    exactly_once.release(*packet_id);
                }
                Incoming::Released(*packet_id)
            }
            Packet::SubAck { packet_id, granted } => {
                let expected = self.is_asking()
                    && *packet_id == self.request_id
                    && self.request_filters > 0
                    && granted.len() == usize::from(self.request_filters);
                if !expected {
                    return Incoming::Violation;
                }
                self.request_id = 0;
                Incoming::Granted(granted)
            }
            Packet::UnsubAck(packet_id)
                if self.is_asking()
                    && *packet_id == self.request_id
                    && self.request_filters == 0 =>
            {
                self.request_id = 0;
                Incoming::Unsubscribed
            }
            Packet::PingResp if self.is_pinging => {
                self.is_pinging = false;
                Incoming::Pong
            }
            Packet::PingResp
            | Packet::UnsubAck(_)
            | Packet::ConnAck { .. }
            | Packet::Connect(_)
            | Packet::Subscribe { .. }
            | Packet::Unsubscribe { .. }
            | Packet::PingReq
            | Packet::Disconnect => Incoming::Violation,
        }
    }

    /// The connection is gone: what waited for an answer on it alone is forgotten. The exchanges of
    /// QoS 1 and 2 stay until [`Session::resume`] or [`Session::discard`].
    pub fn disconnected(&mut self) {
        self.request_id = 0;
        self.is_pinging = false;
        for entry in &mut self.entries {
            entry.again = false;
        }
    }

    /// The server kept the session: gives the identifiers whose PUBRELs are to be written again now,
    /// at `now`, in this order (MQTT-4.4.0-1, MQTT-4.6.0-4), those that [`Session::power_cut`] left
    /// among them. All at once, so that the PUBRELs for PUBRECs yet to come follow them. After them
    /// [`Session::repeat`] gives the publishes.
    pub fn resume(&mut self, now: Instant) -> impl Iterator<Item = PacketId> {
        for entry in &mut self.entries {
            entry.retransmitted = true;
            entry.again = entry.stage != Stage::Released;
        }
        let abandoned = self
            .exactly_once
            .as_ref()
            .map_or(&[][..], |q| q.abandoned());
        let released = self.entries.iter().filter(|entry| !entry.again);
        let release = abandoned
            .iter()
            .copied()
            .chain(released.map(|entry| entry.packet_id));
        if release.clone().next().is_some() {
            self.last_sent = now;
        }
        release
    }

    /// After [`Session::resume`]: gives the next `count` publishes that are to be written again, with
    /// DUP set, at `now` and in this order (MQTT-4.4.0-1, MQTT-4.6.0-1). Timed-out ones are among
    /// them: the server's state, too, holds their identifiers. What is answered before its turn is
    /// not written again.
    pub fn repeat(&mut self, now: Instant, count: usize) -> impl Iterator<Item = &Entry<T>> {
        let first = self.first_again();
        let end = first.saturating_add(count).min(self.entries.len());
        if first < end {
            self.last_sent = now;
        }
        let repeated = &mut self.entries[first..end];
        for entry in &mut *repeated {
            entry.again = false;
        }
        repeated.iter()
    }

    /// The session is gone: forgets all exchanges, after handing the publishes in flight to `ended`.
    /// Identifiers go on from the last one.
    pub fn discard(&mut self, ended: impl FnMut(&Entry<T>)) {
        self.pending().for_each(ended);
        self.entries = SmallVec::new_const();
        self.exactly_once = None;
        self.in_flight = 0;
    }

    /// The client of a persistent session lost its memory, but for what a client has to keep in
    /// flash: the identifiers of QoS 2 exchanges, of both directions, and the last one given out.
    /// Hands the publishes in flight to `ended`.
    ///
    /// Publishes at QoS 1 are forgotten. Those at QoS 2 cannot be written again, but the server may
    /// have received them, and would drop a new message under their identifier. So that stays
    /// reserved until a PUBREL, written by [`Session::resume`], is answered.
    pub fn power_cut(&mut self, ended: impl FnMut(&Entry<T>)) {
        self.pending().for_each(ended);
        let entries = std::mem::take(&mut self.entries);
        self.in_flight = 0;
        for entry in entries {
            match entry.stage {
                Stage::QoS1 => {}
                Stage::QoS2 | Stage::Released => {
                    self.exactly_once().abandon(entry.packet_id);
                }
            }
        }
    }

    /// Ends the publishes in flight whose `timeout` since the first write is over at `now`, handing
    /// each to `ended`. They leave the window; their exchanges go on, and their identifiers stay
    /// reserved until these are over or the session is.
    pub fn time_out(
        &mut self,
        now: Instant,
        timeout: impl Fn(&T) -> Duration,
        mut ended: impl FnMut(&Entry<T>),
    ) {
        for entry in &mut self.entries {
            if !entry.held && entry.sent.after(timeout(&entry.tag)) <= now {
                entry.held = true;
                self.in_flight -= 1;
                ended(entry);
            }
        }
    }

    /// When the next publish in flight times out.
    pub fn ack_deadline(&self, timeout: impl Fn(&T) -> Duration) -> Instant {
        self.pending()
            .map(|entry| entry.sent.after(timeout(&entry.tag)))
            .min()
            .unwrap_or(Instant::NEVER)
    }

    /// When [`Session::pulse`] is to be called on an established connection.
    ///
    /// A PINGREQ is due as [`KeepAlive::ping_on`] says. Only a PINGRESP answers it: the client SHOULD
    /// close if none comes in reasonable time (section 3.1.2.10), whatever else comes. No second
    /// PINGREQ is written while one is without an answer.
    pub fn pulse_deadline(&self, keep_alive: KeepAlive) -> Instant {
        if self.is_pinging {
            return self.quiet_since.after(keep_alive.ping_timeout);
        }
        if keep_alive.interval_s == 0 {
            return Instant::NEVER;
        }
        let since = match keep_alive.ping_on {
            PingOn::SilenceOut => self.last_sent,
            PingOn::SilenceEither | PingOn::Always => self.last_sent.min(self.quiet_since),
        };
        since.after(Duration::from_secs(u64::from(keep_alive.interval_s)))
    }

    /// After a packet was taken at `now`, the CONNACK too: what it puts off. A client that pings
    /// [always](PingOn::Always) counts from the beginning and from each PINGRESP.
    pub const fn heard(&mut self, now: Instant, packet: &Packet<'_>, ping_on: PingOn) {
        let begins = matches!(packet, Packet::ConnAck { .. } | Packet::PingResp);
        let counts = match ping_on {
            PingOn::SilenceOut => false,
            PingOn::SilenceEither => true,
            PingOn::Always => begins,
        };
        if counts && !self.is_pinging {
            self.quiet_since = now;
        }
    }

    /// What the keep-alive wants done at `now`; the caller does it.
    pub fn pulse(&mut self, now: Instant, keep_alive: KeepAlive) -> Pulse {
        if now < self.pulse_deadline(keep_alive) {
            return Pulse::Idle;
        }
        if self.is_pinging {
            return Pulse::Dead;
        }
        self.is_pinging = true;
        self.quiet_since = now;
        self.wrote(now);
        Pulse::Ping
    }

    /// Reads the session and nothing more, so that its memory is near; the value means nothing.
    pub fn glance(&self) -> u64 {
        self.last_sent.ns()
            ^ self.quiet_since.ns()
            ^ u64::from(self.last_id)
            ^ self.entries.len() as u64
    }

    /// Bytes it holds on the heap.
    pub fn heap_bytes(&self) -> usize {
        let entries = if self.entries.spilled() {
            self.entries.capacity() * size_of::<Entry<T>>()
        } else {
            0
        };
        entries + self.exactly_once.as_ref().map_or(0, |q| q.bytes())
    }
}

/// The exchanges.
impl<T: Copy> Session<T> {
    /// An acknowledgement of another kind than the publish's QoS asks for is a protocol error
    /// (4.3.2, 4.3.3), on which the connection must be closed (MQTT-4.8.0-1): the two sides do not
    /// agree on what the message was. No broker does it, and Mosquitto's own client judges likewise.
    fn pub_ack(&mut self, packet_id: PacketId) -> Incoming<'static, T> {
        match self.find(packet_id) {
            Some((index, Stage::QoS1)) => self.complete(index),
            Some((_, Stage::QoS2 | Stage::Released)) => Incoming::Violation,
            None if self.is_abandoned(packet_id) => Incoming::Violation,
            None => Incoming::UnexpectedAck { release: None },
        }
    }

    fn pub_rec(&mut self, packet_id: PacketId) -> Incoming<'static, T> {
        match self.find(packet_id) {
            Some((index, Stage::QoS2)) => {
                let first = self.released().count();
                let not_released = &mut self.entries[first..=index];
                not_released.rotate_right(1);
                not_released[0].stage = Stage::Released;
                not_released[0].again = false;
                Incoming::Recorded(packet_id)
            }
            Some((_, Stage::Released)) => Incoming::Recorded(packet_id),
            Some((_, Stage::QoS1)) => Incoming::Violation,
            None if self.is_abandoned(packet_id) => Incoming::Recorded(packet_id),
            // The identifier is the server's until its PUBCOMP: given to a new publish, that PUBCOMP
            // would end the wrong one. A server that fills all there is to hold is out of its mind.
            None if self.is_held_up() => Incoming::Violation,
            None => {
                self.exactly_once().abandon(packet_id);
                let release = Some(packet_id);
                Incoming::UnexpectedAck { release }
            }
        }
    }

    /// A PUBCOMP before the PUBREC answers a PUBREL that was never written: a protocol error, too.
    /// To take it for the end would count a message as delivered that the server never took on.
    fn pub_comp(&mut self, packet_id: PacketId) -> Incoming<'static, T> {
        match self.find(packet_id) {
            Some((index, Stage::Released)) => self.complete(index),
            Some((_, Stage::QoS1 | Stage::QoS2)) => Incoming::Violation,
            None => {
                let exactly_once = self.exactly_once.as_mut();
                if exactly_once.is_some_and(|q| q.complete(packet_id)) {
                    Incoming::Abandoned
                } else {
                    Incoming::UnexpectedAck { release: None }
                }
            }
        }
    }

    fn message<'a>(&mut self, publish: &Publish<'a>) -> Incoming<'a, T> {
        match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce | QoS::ExactlyOnce, 0) => Incoming::Violation,
            (QoS::AtMostOnce | QoS::AtLeastOnce, _) => Incoming::Message(*publish),
            // Whatever DUP says (4.3.3): only the identifier tells.
            (QoS::ExactlyOnce, packet_id) => {
                if self.exactly_once().receive(packet_id) {
                    Incoming::Message(*publish)
                } else {
                    Incoming::Duplicate(packet_id)
                }
            }
        }
    }

    /// Index of the first entry that must be written again; their number if none must.
    fn first_again(&self) -> usize {
        self.entries.partition_point(|entry| !entry.again)
    }

    fn find(&self, packet_id: PacketId) -> Option<(usize, Stage)> {
        let has_it = |entry: &Entry<T>| entry.packet_id == packet_id;
        let index = self.entries.iter().position(has_it)?;
        Some((index, self.entries[index].stage))
    }

    /// The last acknowledgement of an entry has come.
    fn complete(&mut self, index: usize) -> Incoming<'static, T> {
        let entry = self.entries.remove(index);
        if self.entries.is_empty() {
            self.entries.shrink_to_fit();
        }
        if entry.held {
            return Incoming::LateAck(entry);
        }
        self.in_flight -= 1;
        Incoming::Acked(entry)
    }

    fn exactly_once(&mut self) -> &mut ExactlyOnce {
        self.exactly_once.get_or_insert_default()
    }

    fn is_abandoned(&self, id: PacketId) -> bool {
        let exactly_once = self.exactly_once.as_ref();
        exactly_once.is_some_and(|q| q.abandoned().contains(&id))
    }

    /// The next identifier in turn that neither a publish nor a request uses.
    fn free_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let id = self.last_id;
            // Ends: HELD_MAX and a window of at most 65 535 - HELD_MAX - 1 hold fewer than there are.
            if id != self.request_id
                && self.entries.iter().all(|e| e.packet_id != id)
                && !self.is_abandoned(id)
            {
                return id;
            }
        }
    }
}

impl<T: Copy> Default for Session<T> {
    fn default() -> Self {
        Self::new()
    }
}

//! Sans-IO MQTT 3.1.1 client session: packet identifiers, inflight window, retransmission and
//! keep-alive. Devices and observers keep one each and hand it every packet that arrives on an
//! established connection; topics and payloads stay with them, named by a small tag.

use super::packet::{Packet, PacketId, Publish, QoS};
use crate::time::{Duration, Instant};
use smallvec::SmallVec;

#[cfg(test)]
mod tests;

/// Identifiers that timed-out publishes may hold at a time. One more and the oldest is forgotten:
/// it may be given out again, though the server may still acknowledge its first use. Identifiers
/// are handed out round robin, so that happens at the earliest 65 000 publishes later.
pub const HELD_MAX: usize = 64;

/// State that outlives a network connection (section 4.1), for QoS 0 and 1. `T` says what a
/// publish was, so that it can be written again.
#[derive(Debug)]
pub struct Session<T> {
    /// Un-acknowledged publishes in the order of their first write. Nearly all devices have one at
    /// most, which is kept in place.
    entries: SmallVec<[Entry<T>; 1]>,
    /// When the latest packet was written.
    last_sent: Instant,
    /// When the PINGREQ without an answer was written, else [`Instant::NEVER`].
    ping_sent: Instant,
    /// The identifier given out last.
    last_id: PacketId,
    /// Identifier of the SUBSCRIBE without an answer, else 0.
    subscribe_id: PacketId,
    /// Number of its filters.
    subscribe_filters: u16,
    /// Entries that are not held: those that fill the window.
    in_flight: u16,
}

/// A QoS 1 publish that the server has not acknowledged.
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
    /// Written again after a resumed session.
    pub retransmitted: bool,
    /// Its operation has timed out; it only keeps the identifier from being used again.
    held: bool,
}

/// What a packet from the server means to the session.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a, T> {
    /// First PUBACK of a publish in flight.
    Acked(Entry<T>),
    /// PUBACK of a publish that had timed out; its identifier is free again.
    LateAck(Entry<T>),
    /// PUBACK of no known publish: a duplicate, or of a forgotten identifier. To be tolerated.
    UnexpectedAck,
    /// Answer to the outstanding SUBSCRIBE, one entry per filter.
    Granted(&'a [Option<QoS>]),
    /// An application message; at QoS 1 the caller must answer with PUBACK.
    Message(Publish<'a>),
    /// Answer to the outstanding PINGREQ.
    Pong,
    /// Not allowed here by MQTT 3.1.1 (or of QoS 2, which was never subscribed to): the connection
    /// must be closed.
    Violation,
}

/// How a client keeps its connection alive.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Longest silence of the client in seconds, 0 = off.
    pub interval_s: u16,
    /// Longest wait for a PINGRESP.
    pub ping_timeout: Duration,
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
            last_sent: Instant::ZERO,
            ping_sent: Instant::NEVER,
            last_id: 0,
            subscribe_id: 0,
            subscribe_filters: 0,
            in_flight: 0,
        }
    }

    /// Number of publishes in flight; timed-out ones do not count.
    pub const fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// The publishes in flight, in the order of their first write.
    pub fn pending(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.iter().filter(|entry| !entry.held)
    }

    /// Whether a SUBSCRIBE waits for its answer.
    pub const fn is_subscribing(&self) -> bool {
        self.subscribe_id != 0
    }

    /// A packet was written at `now`; [`Session::publish`] and the like do this themselves.
    pub const fn wrote(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Takes a place in the window for a QoS 1 publish that is written at `now`, and gives its
    /// identifier; `None` if `window` publishes are in flight.
    pub fn publish(&mut self, now: Instant, tag: T, late: bool, window: u16) -> Option<PacketId> {
        if self.in_flight >= window {
            return None;
        }
        let packet_id = self.free_id();
        self.entries.push(Entry {
            tag,
            sent: now,
            packet_id,
            late,
            retransmitted: false,
            held: false,
        });
        self.in_flight += 1;
        self.wrote(now);
        Some(packet_id)
    }

    /// The identifier for a SUBSCRIBE of `filters` filters that is written at `now`; `None` if one
    /// waits for its answer already.
    pub fn subscribe(&mut self, now: Instant, filters: u16) -> Option<PacketId> {
        if self.is_subscribing() {
            return None;
        }
        self.subscribe_id = self.free_id();
        self.subscribe_filters = filters;
        self.wrote(now);
        Some(self.subscribe_id)
    }

    /// Takes a packet that came on an established connection (after its CONNACK).
    pub fn receive<'a>(&mut self, packet: &'a Packet<'a>) -> Incoming<'a, T> {
        match packet {
            Packet::PubAck(packet_id) => self.acknowledge(*packet_id),
            Packet::SubAck { packet_id, granted } => {
                let expected = self.is_subscribing()
                    && *packet_id == self.subscribe_id
                    && granted.len() == usize::from(self.subscribe_filters);
                if !expected {
                    return Incoming::Violation;
                }
                self.subscribe_id = 0;
                Incoming::Granted(granted)
            }
            Packet::Publish(publish) => match publish.qos {
                QoS::AtMostOnce => Incoming::Message(*publish),
                QoS::AtLeastOnce if publish.packet_id != 0 => Incoming::Message(*publish),
                QoS::AtLeastOnce | QoS::ExactlyOnce => Incoming::Violation,
            },
            Packet::PingResp if !self.ping_sent.is_never() => {
                self.ping_sent = Instant::NEVER;
                Incoming::Pong
            }
            Packet::PingResp
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::ConnAck { .. }
            | Packet::UnsubAck(_)
            | Packet::Connect(_)
            | Packet::Subscribe { .. }
            | Packet::Unsubscribe { .. }
            | Packet::PingReq
            | Packet::Disconnect => Incoming::Violation,
        }
    }

    /// The connection is gone: what waited for an answer on it alone is forgotten. The publishes
    /// stay until [`Session::resume`] or [`Session::discard`].
    pub const fn disconnected(&mut self) {
        self.subscribe_id = 0;
        self.ping_sent = Instant::NEVER;
    }

    /// The server kept the session: gives the publishes that are now, at `now`, to be written again
    /// with DUP set, in this order (MQTT-4.4.0-1, MQTT-4.6.0-1). Timed-out ones are among them:
    /// the server's state, too, holds their identifiers.
    pub fn resume(&mut self, now: Instant) -> &[Entry<T>] {
        for entry in &mut self.entries {
            entry.retransmitted = true;
        }
        if !self.entries.is_empty() {
            self.wrote(now);
        }
        &self.entries
    }

    /// The session is gone: forgets all publishes, after handing those in flight to `ended`.
    pub fn discard(&mut self, mut ended: impl FnMut(&Entry<T>)) {
        self.pending().for_each(&mut ended);
        self.entries = SmallVec::new_const();
        self.in_flight = 0;
    }

    /// Ends the publishes in flight whose `timeout` since the first write is over at `now`, handing
    /// each to `ended`. They leave the window; their identifiers stay reserved. Returns how many
    /// identifiers had to be forgotten because of [`HELD_MAX`].
    pub fn time_out(
        &mut self,
        now: Instant,
        timeout: impl Fn(&T) -> Duration,
        mut ended: impl FnMut(&Entry<T>),
    ) -> usize {
        for entry in &mut self.entries {
            if !entry.held && entry.sent.after(timeout(&entry.tag)) <= now {
                entry.held = true;
                self.in_flight -= 1;
                ended(entry);
            }
        }
        let held = self.entries.len() - usize::from(self.in_flight);
        let excess = held.saturating_sub(HELD_MAX);
        if excess == 0 {
            return 0;
        }
        let mut to_forget = excess;
        self.entries.retain(|entry| {
            let forget = entry.held && to_forget > 0;
            to_forget -= usize::from(forget);
            !forget
        });
        excess
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
    /// A PINGREQ is due when nothing was written for the interval. Only a PINGRESP answers it: the
    /// client SHOULD close if none comes in reasonable time (section 3.1.2.10), whatever else
    /// comes. No second PINGREQ is written while one is without an answer.
    pub fn pulse_deadline(&self, keep_alive: KeepAlive) -> Instant {
        if !self.ping_sent.is_never() {
            return self.ping_sent.after(keep_alive.ping_timeout);
        }
        if keep_alive.interval_s == 0 {
            return Instant::NEVER;
        }
        self.last_sent
            .after(Duration::from_secs(u64::from(keep_alive.interval_s)))
    }

    /// What the keep-alive wants done at `now`; the caller does it.
    pub fn pulse(&mut self, now: Instant, keep_alive: KeepAlive) -> Pulse {
        if now < self.pulse_deadline(keep_alive) {
            return Pulse::Idle;
        }
        if !self.ping_sent.is_never() {
            return Pulse::Dead;
        }
        self.ping_sent = now;
        self.wrote(now);
        Pulse::Ping
    }

    /// Reads the session and nothing more, so that its memory is near; the value means nothing.
    pub fn glance(&self) -> u64 {
        self.last_sent.ns()
            ^ self.ping_sent.ns()
            ^ u64::from(self.last_id)
            ^ self.entries.len() as u64
    }

    /// Bytes it holds on the heap.
    pub fn heap_bytes(&self) -> usize {
        if self.entries.spilled() {
            self.entries.capacity() * size_of::<Entry<T>>()
        } else {
            0
        }
    }

    fn acknowledge(&mut self, packet_id: PacketId) -> Incoming<'static, T> {
        let Some(index) = self
            .entries
            .iter()
            .position(|entry| entry.packet_id == packet_id)
        else {
            return Incoming::UnexpectedAck;
        };
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

    /// The next identifier in turn that neither a publish nor a SUBSCRIBE uses.
    fn free_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let id = self.last_id;
            // Ends: at most 256 in flight, HELD_MAX held and one SUBSCRIBE use identifiers.
            if id != self.subscribe_id && self.entries.iter().all(|e| e.packet_id != id) {
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

//! The server that one client meets: its session state by the book, its manners by its nature.

use super::nature::{Dice, Nature};
use super::wire::{self, FromClient, Message, ToClient};
use fleetstorm::device::stamp::Stamp;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

/// Most messages of the server's own under way at a time.
const OUTGOING_MAX: usize = 20;
const MS: u64 = 1_000_000;

/// A telemetry message: stream, boot, seq.
pub(crate) type Key = (u16, u16, u32);

/// What the server wants done at some time.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Send(ToClient),
    Close,
}

/// What the server did.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Done {
    pub(crate) refused: u64,
    pub(crate) mute_connects: u64,
    pub(crate) slow_connects: u64,
    pub(crate) resumed: u64,
    pub(crate) forgotten: u64,
    /// Sessions forgotten without the client's knowledge: the CONNACK that would have told it was
    /// lost, and the next one speaks of the new session. No client can tell.
    pub(crate) forgotten_untold: u64,
    pub(crate) late_acks: u64,
    pub(crate) muted_acks: u64,
    pub(crate) muted_pings: u64,
    pub(crate) refused_filters: u64,
    pub(crate) muted_subscribes: u64,
    pub(crate) repeats: u64,
    pub(crate) sent_again: u64,
    /// QoS 2 PUBLISHes taken for a repetition.
    pub(crate) recognised: u64,
    /// PUBRELs of unknown identifiers.
    pub(crate) unknown_releases: u64,
    pub(crate) messages: u64,
    pub(crate) wills: u64,
}

#[derive(Debug)]
pub(crate) struct Server {
    nature: Nature,
    dice: Dice,
    session: Option<Session>,
    link: Option<Link>,
    /// How often each telemetry message was passed on.
    pub(crate) passed_on: BTreeMap<Key, u32>,
    pub(crate) done: Done,
}

#[derive(Debug, Default)]
struct Session {
    /// Identifiers of QoS 2 messages received and not released; with a message that is yet to be
    /// passed on.
    received: BTreeMap<u16, Option<Key>>,
    filters: BTreeMap<String, u8>,
    /// The server's own messages without a last acknowledgement; whether PUBREC came.
    outgoing: VecDeque<(Message, bool)>,
    last_id: u16,
}

#[derive(Debug)]
struct Link {
    epoch: u64,
    buffer: Vec<u8>,
    up: bool,
    clean: bool,
    has_will: bool,
    /// The session was forgotten, and nothing shows that the client has heard of it.
    untold: bool,
    mute_acks: bool,
    mute_pings: bool,
    /// What keeps its order was last sent at this time.
    ordered_ns: u64,
}

impl Server {
    pub(crate) fn new(nature: Nature, seed: u64) -> Self {
        Self {
            nature,
            dice: Dice::new(seed),
            session: None,
            link: None,
            passed_on: BTreeMap::new(),
            done: Done::default(),
        }
    }

    /// Whether connection `epoch` is the one it serves.
    pub(crate) fn serves(&self, epoch: u64) -> bool {
        self.link.as_ref().is_some_and(|link| link.epoch == epoch)
    }

    /// Whether it has accepted connection `epoch`.
    pub(crate) fn is_up(&self, epoch: u64) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| link.epoch == epoch && link.up)
    }

    pub(crate) fn opened(&mut self, epoch: u64) {
        self.closed();
        self.link = Some(Link {
            epoch,
            buffer: Vec::new(),
            up: false,
            clean: true,
            has_will: false,
            untold: false,
            mute_acks: self.dice.happens(self.nature.mute_acks),
            mute_pings: self.dice.happens(self.nature.mute_pings),
            ordered_ns: 0,
        });
    }

    /// Its connection is gone.
    pub(crate) fn closed(&mut self) {
        if let Some(link) = self.link.take()
            && link.up
        {
            self.done.wills += u64::from(link.has_will);
            self.done.forgotten_untold += u64::from(link.untold);
            if link.clean {
                self.session = None;
            }
        }
    }

    /// Takes bytes of the connection it serves; what it wants done is appended to `acts`.
    ///
    /// # Panics
    /// If they are no MQTT: the checker has looked at them before.
    pub(crate) fn received(&mut self, now_ns: u64, bytes: &[u8], acts: &mut Vec<(u64, Act)>) {
        let link = self.link.as_mut().expect("asked before");
        link.buffer.extend_from_slice(bytes);
        let buffer = std::mem::take(&mut link.buffer);
        let mut done = 0;
        while let Some((packet, len)) = wire::parse(&buffer[done..]).expect("checked before") {
            done += len;
            self.packet(now_ns, packet, acts);
            if self.link.is_none() {
                return;
            }
        }
        let link = self.link.as_mut().expect("still there");
        link.buffer = buffer[done..].to_vec();
    }

    /// Sends a message of its own, or one again; gives when to be called next.
    pub(crate) fn chat(&mut self, now_ns: u64, acts: &mut Vec<(u64, Act)>) -> u64 {
        let gap_ms = self.nature.chat_gap_ms;
        let next_ns = now_ns + self.dice.between(1, 2 * gap_ms) * MS;
        if self.dice.happens(self.nature.repeat) {
            self.repeat(now_ns, acts);
        }
        let session = self.session.as_mut().expect("a connection has a session");
        let filters = session.filters.len() as u64;
        if filters == 0 {
            return next_ns;
        }
        let nth = self.dice.below(filters) as usize;
        let (filter, granted) = session.filters.iter().nth(nth).expect("below its length");
        let qos = (self.dice.below(3) as u8).min(*granted);
        if qos > 0 && session.outgoing.len() >= OUTGOING_MAX {
            return next_ns;
        }
        self.done.messages += 1;
        let mut message = Message {
            dup: false,
            qos,
            retain: self.dice.happens(100),
            id: 0,
            topic: filter.replace('+', "x").replace('#', "y/z"),
            payload: self.done.messages.to_be_bytes().to_vec(),
        };
        if qos > 0 {
            message.id = session.free_id();
            session.outgoing.push_back((message.clone(), false));
        }
        let at = self.in_order(now_ns);
        acts.push((at, Act::Send(ToClient::Publish(message))));
        next_ns
    }

    /// Sends something unacknowledged again though the connection is the same: 4.4 does not ask for
    /// it, and does not forbid it.
    fn repeat(&mut self, now_ns: u64, acts: &mut Vec<(u64, Act)>) {
        let session = self.session.as_mut().expect("a connection has a session");
        let Some((message, released)) = session.outgoing.front_mut() else {
            return;
        };
        let packet = again(message, *released);
        self.done.repeats += 1;
        let at = self.in_order(now_ns);
        acts.push((at, Act::Send(packet)));
    }

    /// When to send what keeps its order.
    fn in_order(&mut self, now_ns: u64) -> u64 {
        let link = self.link.as_mut().expect("asked before");
        let at = now_ns + self.dice.between(0, 30) * MS;
        link.ordered_ns = link.ordered_ns.max(at);
        link.ordered_ns
    }

    fn packet(&mut self, now_ns: u64, packet: FromClient, acts: &mut Vec<(u64, Act)>) {
        // Our clients write nothing more before they have the CONNACK.
        self.link.as_mut().expect("asked before").untold = false;
        match packet {
            FromClient::Connect(connect) => {
                let link = self.link.as_mut().expect("asked before");
                (link.clean, link.has_will) = (connect.clean_session, connect.has_will);
                self.connect(now_ns, acts);
            }
            FromClient::Publish(message) => self.publish(now_ns, &message, acts),
            FromClient::PubAck(id) | FromClient::PubComp(id) => {
                let session = self.session.as_mut().expect("a connection has a session");
                session.outgoing.retain(|(message, _)| message.id != id);
            }
            FromClient::PubRec(id) => {
                let session = self.session.as_mut().expect("a connection has a session");
                let mut outgoing = session.outgoing.iter_mut();
                if let Some((_, released)) = outgoing.find(|(message, _)| message.id == id) {
                    *released = true;
                }
                let at = self.in_order(now_ns);
                acts.push((at, Act::Send(ToClient::PubRel(id))));
            }
            FromClient::PubRel(id) => self.release(now_ns, id, acts),
            FromClient::Subscribe(id, filters) => self.subscribe(now_ns, id, filters, acts),
            FromClient::Unsubscribe(id, filters) => {
                let session = self.session.as_mut().expect("a connection has a session");
                for filter in &filters {
                    session.filters.remove(filter);
                }
                if self.dice.happens(self.nature.mute_subscribe) {
                    self.done.muted_subscribes += 1;
                    return;
                }
                let at = now_ns + self.dice.between(0, 50) * MS;
                acts.push((at, Act::Send(ToClient::UnsubAck(id))));
            }
            FromClient::PingReq => {
                let link = self.link.as_ref().expect("asked before");
                if link.mute_pings {
                    self.done.muted_pings += 1;
                    return;
                }
                let at = now_ns + self.dice.between(0, 50) * MS;
                acts.push((at, Act::Send(ToClient::PingResp)));
            }
            FromClient::Disconnect => {
                // The will is discarded (MQTT-3.14.4-3).
                self.link.as_mut().expect("asked before").has_will = false;
                self.closed();
            }
        }
    }

    fn connect(&mut self, now_ns: u64, acts: &mut Vec<(u64, Act)>) {
        let nature = self.nature;
        let at = now_ns + self.dice.between(0, 50) * MS;
        if self.dice.happens(nature.mute_connect) {
            self.done.mute_connects += 1;
            return;
        }
        if self.dice.happens(nature.refuse_connect) {
            self.done.refused += 1;
            let refusal = ToClient::ConnAck {
                session_present: false,
                code: self.dice.between(1, 5) as u8,
            };
            acts.push((at, Act::Send(refusal)));
            acts.push((at, Act::Close));
            return;
        }
        let slow = self.dice.happens(nature.slow_connect);
        self.done.slow_connects += u64::from(slow);
        let at = if slow {
            now_ns + self.dice.between(1_000, 12_000) * MS
        } else {
            at
        };
        let forgets = self.session.is_some() && self.dice.happens(nature.forget);
        if forgets {
            self.done.forgotten += 1;
            self.session = None;
        }
        let link = self.link.as_mut().expect("asked before");
        link.untold = forgets;
        if link.clean {
            self.session = None;
        }
        (link.up, link.ordered_ns) = (true, at);
        let present = self.session.is_some();
        self.done.resumed += u64::from(present);
        let accepted = ToClient::ConnAck {
            session_present: present,
            code: 0,
        };
        acts.push((at, Act::Send(accepted)));
        let session = self.session.get_or_insert_default();
        // A server, too, re-sends PUBRELs and PUBLISHes in order (MQTT-4.4.0-1).
        for (message, released) in &mut session.outgoing {
            self.done.sent_again += 1;
            acts.push((at, Act::Send(again(message, *released))));
        }
    }

    fn publish(&mut self, now_ns: u64, message: &Message, acts: &mut Vec<(u64, Act)>) {
        let stamp = Stamp::find(&message.payload, "_fs");
        let key = stamp.map(|stamp| (stamp.stream, stamp.boot, stamp.seq));
        match message.qos {
            0 => self.pass_on(key),
            1 => {
                self.pass_on(key);
                self.acknowledge(now_ns, ToClient::PubAck(message.id), acts);
            }
            _ => {
                let session = self.session.as_mut().expect("a connection has a session");
                match session.received.entry(message.id) {
                    Entry::Occupied(_) => self.done.recognised += 1,
                    Entry::Vacant(entry) if self.nature.passes_on_at_release => {
                        entry.insert(key);
                    }
                    Entry::Vacant(entry) => {
                        entry.insert(None);
                        self.pass_on(key);
                    }
                }
                self.acknowledge(now_ns, ToClient::PubRec(message.id), acts);
            }
        }
    }

    fn release(&mut self, now_ns: u64, id: u16, acts: &mut Vec<(u64, Act)>) {
        let session = self.session.as_mut().expect("a connection has a session");
        match session.received.remove(&id) {
            Some(key) => self.pass_on(key),
            None => self.done.unknown_releases += 1,
        }
        self.acknowledge(now_ns, ToClient::PubComp(id), acts);
    }

    fn pass_on(&mut self, key: Option<Key>) {
        if let Some(key) = key {
            *self.passed_on.entry(key).or_default() += 1;
        }
    }

    /// Nothing binds a server to the order of its acknowledgements: each takes its own time.
    fn acknowledge(&mut self, now_ns: u64, packet: ToClient, acts: &mut Vec<(u64, Act)>) {
        if self.link.as_ref().expect("asked before").mute_acks {
            self.done.muted_acks += 1;
            return;
        }
        let late = self.dice.happens(self.nature.late_ack);
        self.done.late_acks += u64::from(late);
        let after_ms = if late {
            self.dice.between(3_000, 20_000)
        } else {
            self.dice.between(0, 80)
        };
        acts.push((now_ns + after_ms * MS, Act::Send(packet)));
    }

    fn subscribe(
        &mut self,
        now_ns: u64,
        id: u16,
        filters: Vec<(String, u8)>,
        acts: &mut Vec<(u64, Act)>,
    ) {
        let mut codes = Vec::new();
        for (filter, qos) in filters {
            if self.dice.happens(self.nature.refuse_filter) {
                self.done.refused_filters += 1;
                codes.push(0x80);
                continue;
            }
            // Less than was asked for is a server's right.
            let less = self.dice.happens(self.nature.refuse_filter);
            let granted = if less { qos.saturating_sub(1) } else { qos };
            let session = self.session.as_mut().expect("a connection has a session");
            session.filters.insert(filter, granted);
            codes.push(granted);
        }
        if self.dice.happens(self.nature.mute_subscribe) {
            self.done.muted_subscribes += 1;
            return;
        }
        // Messages may overtake the SUBACK (3.8.4), so it keeps no order with them.
        let at = now_ns + self.dice.between(0, 100) * MS;
        acts.push((at, Act::Send(ToClient::SubAck(id, codes))));
    }
}

impl Session {
    fn free_id(&mut self) -> u16 {
        loop {
            // A small range, so that a client meets identifiers again.
            self.last_id = self.last_id % 50 + 1;
            let id = self.last_id;
            if self.outgoing.iter().all(|(message, _)| message.id != id) {
                return id;
            }
        }
    }
}

/// `message` in its state, once more.
fn again(message: &mut Message, released: bool) -> ToClient {
    if released {
        return ToClient::PubRel(message.id);
    }
    message.dup = true;
    ToClient::Publish(message.clone())
}

//! Gives both clients the same life, step by step, and compares what they make of it. Bytes are
//! compared, not only packets, since both write under the same identifiers.

use super::model::{Model, bytes};
use super::ours::{Ours, Verdict};
use super::theirs::Theirs;
use super::{Outgoing, Reaction};
use fleetstorm::mqtt::packet::{Packet, PacketId, QoS};
use fleetstorm::mqtt::session::HELD_MAX;
use fleetstorm::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};

const PINGRESP: u8 = 0xd0;
const PUBLISH: u8 = 0x3;
const PUBREL: u8 = 0x62;

/// What happens next. What cannot happen now does not, and is not counted.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Publish(QoS, bool),
    Subscribe(u8),
    Unsubscribe,
    /// Time passes, in milliseconds; both ping as they please.
    Wait(u64),
    /// All that is in flight times out.
    TimeOut,
    /// The server reads so many bytes of a hundred that are on their way.
    Read(u8),
    /// The server sends one of the packets that it owes, in one piece or two.
    Send(usize, Option<usize>),
    /// One of them is never sent on this connection.
    Lose(usize),
    /// One is sent, and once more later.
    Twice(usize),
    /// The server acknowledges what is not to be acknowledged: the kind, and how many identifiers
    /// back.
    Lie(u8, u16),
    /// The server publishes.
    Message(QoS),
    /// The server repeats a message.
    Repeat(usize),
    /// The connection is cut: so many bytes still arrive at the server and at the client.
    Cut(usize, usize),
    /// A new connection; the server forgot the session.
    Connect(bool),
    /// The client loses its power and its connection.
    PowerCut,
}

/// What a life came to.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) packets: u64,
    pub(crate) completed: u64,
    pub(crate) delivered: u64,
    pub(crate) resent: u64,
    pub(crate) unexpected: u64,
    pub(crate) violations: u64,
    pub(crate) pings: u64,
    pub(crate) dead: u64,
    pub(crate) held_up: u64,
    pub(crate) abandoned: u64,
    pub(crate) duplicates: u64,
    pub(crate) late: u64,
}

impl Tally {
    /// Both together.
    pub(crate) const fn and(self, other: &Self) -> Self {
        Self {
            steps: self.steps + other.steps,
            packets: self.packets + other.packets,
            completed: self.completed + other.completed,
            delivered: self.delivered + other.delivered,
            resent: self.resent + other.resent,
            unexpected: self.unexpected + other.unexpected,
            violations: self.violations + other.violations,
            pings: self.pings + other.pings,
            dead: self.dead + other.dead,
            held_up: self.held_up + other.held_up,
            abandoned: self.abandoned + other.abandoned,
            duplicates: self.duplicates + other.duplicates,
            late: self.late + other.late,
        }
    }
}

pub(crate) struct Pair {
    now: Instant,
    clean: bool,
    window: u16,
    ours: Ours,
    theirs: Theirs,
    pub(crate) model: Model,
    up: bool,
    /// The client's bytes that the server has not read.
    in_transit: Vec<u8>,
    /// The publishes of QoS 1 and 2 that are not complete, by identifier.
    open: BTreeMap<PacketId, Outgoing>,
    published: u32,
    /// The numbers of the QoS 2 and of the QoS 1 publishes.
    exactly_once: Vec<u32>,
    at_least_once: Vec<u32>,
    last_id: PacketId,
    /// The SUBSCRIBE or UNSUBSCRIBE without an answer.
    request: Option<PacketId>,
    /// The server has lied, so what it did proves nothing about the client.
    lied: bool,
    delivered_once: BTreeSet<Vec<u8>>,
    /// Bytes that pass before the connection is cut, upwards and downwards; the cut comes once.
    pub(crate) up_left: Option<usize>,
    pub(crate) down_left: Option<usize>,
    pub(crate) passed_up: usize,
    pub(crate) passed_down: usize,
    pub(crate) tally: Tally,
}

impl Pair {
    pub(crate) fn new(clean: bool, window: u16) -> Self {
        Self {
            now: Instant::ZERO,
            clean,
            window,
            ours: Ours::new(clean),
            theirs: Theirs::new(clean),
            model: Model::default(),
            up: false,
            in_transit: Vec::new(),
            open: BTreeMap::new(),
            published: 0,
            exactly_once: Vec::new(),
            at_least_once: Vec::new(),
            last_id: 0,
            request: None,
            lied: false,
            delivered_once: BTreeSet::new(),
            up_left: None,
            down_left: None,
            passed_up: 0,
            passed_down: 0,
            tally: Tally::default(),
        }
    }

    /// Lets it happen and compares, unless it cannot happen now.
    pub(crate) fn step(&mut self, step: &Step) {
        if !self.can_happen(step) {
            return;
        }
        self.tally.steps += 1;
        match step {
            Step::Connect(forget) => self.connect(*forget),
            Step::PowerCut => self.power_cut(),
            Step::Wait(ms) => self.wait(*ms),
            Step::TimeOut => self.ours.time_out(self.now),
            Step::Publish(qos, retain) => self.publish(*qos, *retain),
            Step::Subscribe(filters) => self.subscribe(*filters),
            Step::Unsubscribe => self.unsubscribe(),
            Step::Read(percent) => {
                self.read(self.in_transit.len() * usize::from(*percent) / 100);
            }
            Step::Send(which, split) => {
                let packet = self.take_due(*which);
                self.send(&packet, *split);
            }
            Step::Lose(which) => drop(self.take_due(*which)),
            Step::Twice(which) => {
                let packet = self.take_due(*which);
                // Its identifier may belong to another message by then.
                self.lied |= exchange_of(&packet).is_some();
                self.model.due.push(packet.clone());
                self.send(&packet, None);
            }
            Step::Lie(kind, back) => self.lie(*kind, *back),
            Step::Message(qos) => self.model.publish(*qos),
            Step::Repeat(which) => self.model.repeat(*which),
            Step::Cut(up, down) => self.cut(*up, *down),
        }
        self.same_state();
    }

    fn can_happen(&self, step: &Step) -> bool {
        match step {
            Step::Connect(_) => !self.up,
            Step::PowerCut | Step::Wait(_) | Step::TimeOut => true,
            Step::Read(_) => self.up && !self.in_transit.is_empty(),
            Step::Send(..) | Step::Lose(_) | Step::Twice(_) => {
                self.up && !self.model.due.is_empty()
            }
            Step::Publish(..)
            | Step::Subscribe(_)
            | Step::Unsubscribe
            | Step::Lie(..)
            | Step::Message(_)
            | Step::Repeat(_)
            | Step::Cut(..) => self.up,
        }
    }

    /// Lets everything come to its end: nothing is cut or lost any more.
    pub(crate) fn finish(&mut self) {
        (self.up_left, self.down_left) = (None, None);
        if self.up {
            // What was lost on this connection comes again on the next.
            self.close();
        }
        for _ in 0..10_000 {
            if !self.up {
                self.step(&Step::Connect(false));
            }
            self.step(&Step::Read(100));
            if self.model.due.is_empty() {
                break;
            }
            self.step(&Step::Send(0, None));
        }
        assert!(self.model.due.is_empty(), "it does not end");
        assert!(self.open.is_empty(), "no end of {:?}", self.open);
        assert_eq!(self.ours.open(), super::Open::default());
        self.tally.duplicates = self.ours.duplicates;
        self.tally.late = self.ours.late;
    }

    /// How many of the client's publishes, numbered from 1, the server took on not once.
    pub(crate) fn not_once(&self, qos: QoS, numbers: &[u32]) -> usize {
        let times = |number: &u32| self.model.accepted.get(number).copied().unwrap_or(0);
        let wrong = |number: &&u32| match qos {
            QoS::ExactlyOnce => times(number) != 1,
            QoS::AtMostOnce => times(number) > 1,
            QoS::AtLeastOnce => times(number) < 1,
        };
        numbers.iter().filter(wrong).count()
    }

    /// The numbers of what was published at QoS 2 and at QoS 1.
    pub(crate) fn published(&self) -> (&[u32], &[u32]) {
        (&self.exactly_once, &self.at_least_once)
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.up
    }

    fn connect(&mut self, forget: bool) {
        let (ours, theirs) = (self.ours.connect(self.now), self.theirs.connect(self.now));
        assert_eq!(ours, theirs, "CONNECT");
        let connect = ours.written.concat();
        self.up = true;
        if self.pass_up(connect.len()) < connect.len() {
            return self.close();
        }
        let present = self.model.connected(self.clean, forget);
        if self.pass_down(4) < 4 {
            return self.close();
        }
        let abandoned = self.ours.abandoned.clone();
        let ours = self.ours.connected(self.now, present);
        let theirs = self.theirs.connected(self.now, present);
        if !present {
            self.open.clear();
        }
        self.tally.resent += ours.written.len() as u64;
        self.same_resent(&ours, &theirs, &abandoned);
        self.in_transit.extend(ours.written.concat());
        self.theirs_wrote();
    }

    /// What is written again: the same PUBLISHes in the same order, and the same PUBRELs. Theirs
    /// keeps one list and mixes the two kinds as they were stored; no statement orders one kind
    /// against the other. Identifiers that only wait for a PUBCOMP come first with ours, and were
    /// handed to theirs in no special order.
    fn same_resent(&self, ours: &Reaction, theirs: &Reaction, abandoned: &BTreeSet<PacketId>) {
        let kind = |reaction: &Reaction, release: bool| -> Vec<Vec<u8>> {
            let written = reaction.written.iter();
            let kind = written.filter(|packet| (packet[0] == PUBREL) == release);
            kind.cloned().collect()
        };
        assert_eq!(kind(ours, false), kind(theirs, false), "PUBLISHes again");
        let is_abandoned = |packet: &Vec<u8>| abandoned.contains(&id_of(packet));
        let (mut first, ours): (Vec<_>, Vec<_>) =
            kind(ours, true).into_iter().partition(is_abandoned);
        let (mut same, theirs): (Vec<_>, Vec<_>) =
            kind(theirs, true).into_iter().partition(is_abandoned);
        assert_eq!(ours, theirs, "PUBRELs again");
        first.sort();
        same.sort();
        assert_eq!(first, same, "PUBRELs of what was abandoned");
    }

    /// Ours takes a re-sent packet for the latest write; theirs sets its timer at the CONNECT and
    /// not again for what it re-sends. The instant is the same here.
    fn theirs_wrote(&self) {
        assert_eq!(self.ours.pulse_deadline(), self.theirs.deadline());
    }

    fn publish(&mut self, qos: QoS, retain: bool) {
        let number = self.published + 1;
        let what = Outgoing {
            number,
            qos,
            retain,
        };
        let (in_flight, held_up) = (self.ours.in_flight(), self.ours.is_held_up());
        let held = self.ours.held.len() + self.ours.abandoned.len();
        assert_eq!(held_up, held >= HELD_MAX, "{held} are held");
        let waits = qos != QoS::AtMostOnce && (in_flight >= self.window || held_up);
        self.tally.held_up += u64::from(held_up);
        let published = self.ours.publish(self.now, what, self.window);
        assert_eq!(published.is_none(), waits, "{in_flight} in flight");
        let Some((id, ours)) = published else {
            return;
        };
        self.published = number;
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.at_least_once.push(number),
            QoS::ExactlyOnce => self.exactly_once.push(number),
        }
        if id != 0 {
            self.last_id = id;
            assert_eq!(self.open.insert(id, what), None, "identifier {id} in use");
        }
        let theirs = self.theirs.publish(self.now, what, id);
        self.same(ours, &theirs);
    }

    fn subscribe(&mut self, filters: u8) {
        let filters: Vec<_> = (0..filters)
            .map(|n| (format!("f/{n}/+/#"), QoS::ExactlyOnce))
            .collect();
        if let Some((id, ours)) = self.ours.subscribe(self.now, &filters) {
            (self.last_id, self.request) = (id, Some(id));
            let theirs = self.theirs.subscribe(self.now, id, &filters);
            self.same(ours, &theirs);
        }
    }

    fn unsubscribe(&mut self) {
        let filters = ["f/0/+/#".to_owned(), "g".to_owned()];
        if let Some((id, ours)) = self.ours.unsubscribe(self.now, &filters) {
            (self.last_id, self.request) = (id, Some(id));
            let theirs = self.theirs.unsubscribe(self.now, id, &filters);
            self.same(ours, &theirs);
        }
    }

    fn wait(&mut self, ms: u64) {
        let end = self.now.after(Duration::from_millis(ms));
        while self.up {
            let (ours, theirs) = (self.ours.pulse_deadline(), self.theirs.deadline());
            assert_eq!(ours, theirs, "the next pulse");
            if ours > end {
                break;
            }
            self.now = ours;
            let (ours, theirs) = (self.ours.pulse(self.now), self.theirs.fire(self.now));
            let dead = ours.dead;
            self.tally.pings += ours.written.len() as u64;
            self.same(ours, &theirs);
            if dead {
                self.tally.dead += 1;
                self.close();
            }
        }
        self.now = end;
    }

    /// Takes a packet that is due, in any order, but for this: of the PUBLISHes and PUBRELs under
    /// one identifier no server sends a later one first.
    fn take_due(&mut self, which: usize) -> Vec<u8> {
        let due = &mut self.model.due;
        let which = which % due.len();
        let exchange = exchange_of(&due[which]);
        let first = due
            .iter()
            .position(|packet| exchange_of(packet) == exchange);
        due.remove(match exchange {
            Some(_) => first.expect("it is one itself"),
            None => which,
        })
    }

    fn lie(&mut self, kind: u8, back: u16) {
        let packet_id = self.last_id.saturating_sub(back).max(1);
        if self.request == Some(packet_id) && kind % 6 == 1 {
            // To hold one identifier for two exchanges is more than theirs can be asked for.
            return;
        }
        self.lied = true;
        let packet = match kind % 6 {
            0 => Packet::PubAck(packet_id),
            1 => Packet::PubRec(packet_id),
            2 => Packet::PubComp(packet_id),
            3 => Packet::PubRel(packet_id % 20 + 1),
            4 => Packet::UnsubAck(packet_id),
            _ => Packet::SubAck {
                packet_id,
                granted: vec![Some(QoS::AtMostOnce)],
            },
        };
        self.send(&bytes(&packet), None);
    }

    /// The server sends `packet`.
    fn send(&mut self, packet: &[u8], split: Option<usize>) {
        let passes = self.pass_down(packet.len());
        let (arrives, lost) = packet.split_at(passes);
        let (first, rest) = arrives.split_at(split.map_or(0, |at| at % packet.len()).min(passes));
        for part in [first, rest] {
            if !part.is_empty() && self.up {
                self.feed(packet, part);
            }
        }
        if !lost.is_empty() && self.up {
            self.close();
        }
    }

    fn feed(&mut self, packet: &[u8], part: &[u8]) {
        let (ours, verdict) = self.ours.feed(self.now, part);
        let mut theirs = self.theirs.feed(self.now, part);
        match verdict {
            Verdict::Fine => self.same(ours, &theirs),
            // 4.3.3 wants each PUBREC answered, known or not; theirs refuses all but the first.
            // From then on both wait for the PUBCOMP.
            Verdict::ReleasedAgain(id) => {
                assert!(theirs.unexpected, "PUBREC {id} is nothing new to theirs");
                if ours.unexpected {
                    self.theirs.hold_release(id);
                }
                assert_eq!(ours.written, [bytes(&Packet::PubRel(id))]);
                self.in_transit.extend(ours.written.concat());
                self.theirs.wrote(self.now);
            }
            Verdict::Violation => {
                // Theirs takes a PINGRESP at any time, and looks at no number of return codes.
                let lenient = packet[0] == PINGRESP || packet[0] == 0x90;
                theirs.unexpected |= lenient;
                assert!(theirs.unexpected, "{packet:02x?} is fine with theirs");
                self.tally.violations += 1;
                self.close();
            }
        }
    }

    /// Both reacted alike.
    fn same(&mut self, ours: Reaction, theirs: &Reaction) {
        assert_eq!(ours, *theirs);
        self.tally.packets += ours.written.len() as u64;
        self.tally.delivered += ours.delivered.len() as u64;
        self.tally.unexpected += u64::from(ours.unexpected);
        for delivered in ours.delivered {
            if delivered.qos == QoS::ExactlyOnce && !self.lied {
                let new = self.delivered_once.insert(delivered.payload);
                assert!(new, "QoS 2 message {} came twice", delivered.id);
            }
        }
        for id in ours.completed {
            self.complete(id);
        }
        if !ours.answered.is_empty() {
            self.request = None;
        }
        self.in_transit.extend(ours.written.concat());
    }

    /// An exchange is over: the server has the message, if it does not lie.
    fn complete(&mut self, id: PacketId) {
        self.tally.completed += 1;
        let Some(what) = self.open.remove(&id) else {
            self.tally.abandoned += 1;
            return;
        };
        if !self.lied {
            assert_eq!(self.not_once(what.qos, &[what.number]), 0, "{what:?}");
        }
    }

    fn read(&mut self, count: usize) {
        let passes = self.pass_up(count);
        let bytes: Vec<_> = self.in_transit.drain(..passes).collect();
        self.model.read(&bytes);
        if passes < count {
            self.close();
        }
    }

    fn cut(&mut self, up: usize, down: usize) {
        let up = up % (self.in_transit.len() + 1);
        self.read(up);
        // What the server owes by now may still arrive, up to any byte.
        let owed: usize = self.model.due.iter().map(Vec::len).sum();
        let mut down = down % (owed + 1);
        while down > 0 && self.up {
            let packet = self.model.due.remove(0);
            if down < packet.len() {
                self.feed(&packet, &packet[..down]);
                break;
            }
            down -= packet.len();
            self.send(&packet, None);
        }
        if self.up {
            self.close();
        }
    }

    fn close(&mut self) {
        self.up = false;
        self.request = None;
        self.in_transit.clear();
        self.ours.closed();
        self.theirs.closed();
        self.model.closed(self.clean);
        if self.clean {
            self.open.clear();
        }
    }

    fn power_cut(&mut self) {
        if self.up {
            self.close();
        }
        self.ours.power_cut();
        self.theirs.power_cut();
        self.open.clear();
    }

    /// How many of `len` bytes pass upwards.
    fn pass_up(&mut self, len: usize) -> usize {
        let passes = pass(&mut self.up_left, len);
        self.passed_up += passes;
        passes
    }

    fn pass_down(&mut self, len: usize) -> usize {
        let passes = pass(&mut self.down_left, len);
        self.passed_down += passes;
        passes
    }

    /// The same exchanges are open, and those with a PUBREC in the same order.
    fn same_state(&self) {
        if self.clean {
            // Theirs stores nothing then.
            return;
        }
        let (ours, theirs) = (self.ours.open(), self.theirs.open());
        let order = |ids: &[PacketId]| -> Vec<PacketId> {
            let known = ids.iter().copied();
            known
                .filter(|id| !self.ours.abandoned.contains(id))
                .collect()
        };
        assert_eq!(order(&ours.released), order(&theirs.released));
        assert_eq!(ours.sorted(), theirs.sorted());
        if self.up {
            assert_eq!(self.ours.pulse_deadline(), self.theirs.deadline());
        }
    }
}

/// How many of `len` bytes pass; a limit that was reached is gone.
fn pass(left: &mut Option<usize>, len: usize) -> usize {
    match left {
        Some(rest) if *rest < len => left.take().expect("just seen"),
        Some(rest) => {
            *rest -= len;
            len
        }
        None => len,
    }
}

/// The identifier of a message of the server's own that the packet belongs to.
fn exchange_of(packet: &[u8]) -> Option<PacketId> {
    if packet[0] == PUBREL {
        return Some(id_of(packet));
    }
    let has_id = packet[0] >> 4 == PUBLISH && packet[0] & 6 != 0;
    // All have the same topic: nine bytes, behind a fixed header of two and a length of two.
    has_id.then(|| u16::from_be_bytes([packet[13], packet[14]]))
}

/// The identifier of a packet that consists of little else.
fn id_of(packet: &[u8]) -> PacketId {
    u16::from_be_bytes([packet[2], packet[3]])
}

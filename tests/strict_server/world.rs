//! One device, its strict and hostile server and the wire between them, in virtual time. The wire
//! delays, splits and cuts; the checker sits at the device's end of it.

use super::checker::{Checker, Seen};
use super::nature::{Dice, Nature};
use super::server::{Act, Done, Key, Server};
use super::wire::{ToClient, Violation};
use fleetstorm::device::payload::{Scratch, encode_telemetry};
use fleetstorm::device::{Device, Input, Output, Profile};
use fleetstorm::mqtt::codec;
use fleetstorm::mqtt::packet::{Packet, Publish, QoS};
use fleetstorm::scenario::plan::DeviceIdx;
use fleetstorm::stats::event::{Cause, Event, Limit, Operation};
use fleetstorm::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// How long what is in flight may take after the last arrival. Longer than any late
/// acknowledgement, backoff or ack timeout.
const DRAIN: u64 = 300 * SECOND;

/// Longest packet that a device accepts here.
const PACKET_MAX: usize = 65_536;

/// What a device's events add up to, all streams together.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) planned: u64,
    pub(crate) sent: u64,
    pub(crate) unsent: u64,
    pub(crate) written: u64,
    pub(crate) acked: u64,
    pub(crate) timed_out: u64,
    pub(crate) gone: u64,
    pub(crate) late_acks: u64,
    pub(crate) retransmitted: u64,
    pub(crate) received: u64,
    pub(crate) connected: u64,
    pub(crate) released_again: u64,
    pub(crate) held_up: u64,
    pub(crate) lower_grants: u64,
    pub(crate) power_cuts: u64,
    /// QoS 2 operations that were passed on once.
    pub(crate) exactly_once: u64,
    pub(crate) subscribe_failures: u64,
    pub(crate) dead_peers: u64,
    pub(crate) connect_timeouts: u64,
}

/// What came of one device's run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) books: Books,
    pub(crate) seen: Seen,
    pub(crate) done: Done,
    pub(crate) wire: Wire,
}

/// What the wire did.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Wire {
    pub(crate) refused: u64,
    pub(crate) cut_up: u64,
    pub(crate) cut_down: u64,
    pub(crate) halves: u64,
    pub(crate) closed_by_server: u64,
}

/// What is to happen; of a connection by its epoch.
#[derive(Debug)]
enum Due {
    Opened(u64),
    Refused(u64),
    ToServer(u64, Vec<u8>),
    ToClient(u64, Vec<u8>),
    Serve(u64, Act),
    Chat(u64),
    LostAtServer(u64),
    LostAtClient(u64, Cause),
    PowerOff,
    PowerOn,
}

/// The device's end of a connection.
#[derive(Debug)]
struct Pipe {
    epoch: u64,
    /// Bytes of the server that make no whole packet yet.
    buffer: Vec<u8>,
    /// Packets that the server sent and the device does not have yet.
    coming: VecDeque<ToClient>,
    /// When the latest bytes arrive.
    up_ns: u64,
    down_ns: u64,
    /// Bytes that still pass before the cut.
    up_left: Option<usize>,
    down_left: Option<usize>,
    /// The cut has happened.
    lost: bool,
}

#[derive(Debug)]
pub(crate) struct World {
    profile: Arc<Profile>,
    device: Device,
    checker: Checker,
    server: Server,
    nature: Nature,
    dice: Dice,
    now: u64,
    epoch: u64,
    order: u64,
    due: BTreeMap<(u64, u64), Due>,
    pipe: Option<Pipe>,
    scratch: Scratch,
    books: Books,
    /// QoS 1 and 2 operations that were acknowledged.
    acked: BTreeSet<Key>,
    wire: Wire,
}

impl World {
    /// Device `id` of the plan, not switched on.
    pub(crate) fn new(profile: &Arc<Profile>, id: DeviceIdx, nature: Nature, seed: u64) -> Self {
        Self {
            profile: Arc::clone(profile),
            device: Device::new(Arc::clone(profile), id),
            checker: Checker::default(),
            server: Server::new(nature, seed ^ 0x5e),
            nature,
            dice: Dice::new(seed),
            now: 0,
            epoch: 0,
            order: 0,
            due: BTreeMap::new(),
            pipe: None,
            scratch: Scratch::default(),
            books: Books::default(),
            acked: BTreeSet::new(),
            wire: Wire::default(),
        }
    }

    /// Runs the device through the plan's phases, a drain and its shutdown.
    ///
    /// # Errors
    /// The first statement that the device did not keep.
    pub(crate) fn run(mut self) -> Result<Ran, Violation> {
        let end = u64::try_from(self.profile.plan.length().as_nanos()).expect("short plans");
        let first = self.dice.below(2 * SECOND);
        self.at(first, Due::PowerOn);
        self.run_to(end)?;
        self.now = end;
        self.step(Input::StopArrivals)?;
        // No more power cuts: what waits is to have its chance.
        self.nature.power_cut_gap_s = 0;
        self.due.retain(|_, due| !matches!(due, Due::PowerOff));
        self.run_to(end + DRAIN)?;
        self.step(Input::Shutdown)?;
        assert!(self.pipe.is_none(), "a device that is shut down hangs up");
        self.audit();
        Ok(Ran {
            books: self.books,
            seen: self.checker.seen,
            done: self.server.done,
            wire: self.wire,
        })
    }

    fn run_to(&mut self, end: u64) -> Result<(), Violation> {
        loop {
            let next = self
                .due
                .first_key_value()
                .map_or(u64::MAX, |(key, _)| key.0);
            let timeout = self.device.poll_timeout().ns();
            if next.min(timeout) >= end {
                self.now = end;
                return Ok(());
            }
            if timeout < next {
                self.now = self.now.max(timeout);
                self.step(Input::Timeout)?;
                continue;
            }
            let ((at, _), due) = self.due.pop_first().expect("it was there above");
            self.now = at;
            self.handle(due)?;
        }
    }

    fn at(&mut self, at: u64, due: Due) {
        self.order += 1;
        self.due.insert((at, self.order), due);
    }

    fn after_ms(&mut self, first: u64, last: u64) -> u64 {
        self.now + self.dice.between(first, last) * MS
    }

    fn is_open(&self, epoch: u64) -> bool {
        self.pipe.as_ref().is_some_and(|pipe| pipe.epoch == epoch)
    }

    fn handle(&mut self, due: Due) -> Result<(), Violation> {
        match due {
            Due::Opened(epoch) if epoch == self.epoch => self.opened(),
            Due::Refused(epoch) if epoch == self.epoch => {
                self.wire.refused += 1;
                self.step(Input::Closed(Cause::Refused))
            }
            Due::ToServer(epoch, bytes) if self.server.serves(epoch) => {
                let was_up = self.server.is_up(epoch);
                let mut acts = Vec::new();
                self.server.received(self.now, &bytes, &mut acts);
                self.serve(epoch, acts);
                if !was_up && self.server.is_up(epoch) {
                    self.server_is_up(epoch);
                }
                Ok(())
            }
            Due::ToClient(epoch, bytes) if self.is_open(epoch) => self.received(epoch, &bytes),
            Due::Serve(epoch, act) if self.server.serves(epoch) => {
                self.act(epoch, act);
                Ok(())
            }
            Due::Chat(epoch) if self.server.is_up(epoch) => {
                let mut acts = Vec::new();
                let next = self.server.chat(self.now, &mut acts);
                self.serve(epoch, acts);
                self.at(next, Due::Chat(epoch));
                Ok(())
            }
            Due::LostAtServer(epoch) if self.server.serves(epoch) => {
                self.server.closed();
                Ok(())
            }
            Due::LostAtClient(epoch, cause) if self.is_open(epoch) => {
                self.pipe = None;
                self.checker.closed(self.now)?;
                self.step(Input::Closed(cause))
            }
            Due::PowerOff => {
                self.books.power_cuts += 1;
                self.step(Input::PowerOff)?;
                self.checker.power_cut();
                let back = self.after_ms(200, 15_000);
                self.at(back, Due::PowerOn);
                Ok(())
            }
            Due::PowerOn => {
                if self.nature.power_cut_gap_s > 0 {
                    let off = self.after_ms(1, self.nature.power_cut_gap_s * 2_000);
                    self.at(off, Due::PowerOff);
                }
                self.step(Input::PowerOn)
            }
            // Of connections that are over.
            Due::Opened(_)
            | Due::Refused(_)
            | Due::ToServer(..)
            | Due::ToClient(..)
            | Due::Serve(..)
            | Due::Chat(_)
            | Due::LostAtServer(_)
            | Due::LostAtClient(..) => Ok(()),
        }
    }

    /// The transport of the device's latest wish is there.
    fn opened(&mut self) -> Result<(), Violation> {
        let (mut up_left, mut down_left) = (None, None);
        if self.dice.happens(self.nature.cut) {
            // A connection that is cut early is cut in its handshake often.
            let span = [40, 200, 1_000, 5_000][self.dice.below(4) as usize];
            let left = Some(self.dice.below(span) as usize);
            if self.dice.happens(500) {
                up_left = left;
            } else {
                down_left = left.map(|left| left / 8);
            }
        }
        self.pipe = Some(Pipe {
            epoch: self.epoch,
            buffer: Vec::new(),
            coming: VecDeque::new(),
            up_ns: self.now,
            down_ns: self.now,
            up_left,
            down_left,
            lost: false,
        });
        self.server.opened(self.epoch);
        self.checker.opened(self.now);
        self.step(Input::Opened)
    }

    fn server_is_up(&mut self, epoch: u64) {
        if self.nature.chat_gap_ms > 0 {
            let first = self.after_ms(1, 2 * self.nature.chat_gap_ms);
            self.at(first, Due::Chat(epoch));
        }
        if self.dice.happens(self.nature.close) {
            let close = self.after_ms(0, 60_000);
            self.at(close, Due::Serve(epoch, Act::Close));
        }
    }

    fn serve(&mut self, epoch: u64, acts: Vec<(u64, Act)>) {
        for (at, act) in acts {
            self.at(at, Due::Serve(epoch, act));
        }
    }

    /// The server does something on the connection it serves.
    fn act(&mut self, epoch: u64, act: Act) {
        match act {
            Act::Send(packet) => self.send_down(epoch, packet),
            Act::Close => {
                self.wire.closed_by_server += 1;
                self.server.closed();
                if let Some(pipe) = self.pipe.as_ref().filter(|pipe| pipe.epoch == epoch) {
                    let at = pipe.down_ns.max(self.now) + MS;
                    self.at(at, Due::LostAtClient(epoch, Cause::ClosedByPeer));
                }
            }
        }
    }

    fn send_down(&mut self, epoch: u64, packet: ToClient) {
        let delay = self.dice.between(1, 20) * MS;
        let split = self.dice.happens(self.nature.split);
        let Some(pipe) = self.pipe.as_mut().filter(|pipe| pipe.epoch == epoch) else {
            return;
        };
        let mut bytes = packet.bytes();
        pipe.coming.push_back(packet);
        let cut = pass(&mut bytes, &mut pipe.down_left);
        pipe.down_ns = pipe.down_ns.max(self.now + delay);
        let first = pipe.down_ns;
        let at = bytes.len() / 2;
        if split && at > 0 {
            pipe.down_ns += 7 * MS;
            let rest = bytes.split_off(at);
            let last = pipe.down_ns;
            self.wire.halves += 1;
            self.at(first, Due::ToClient(epoch, bytes));
            self.at(last, Due::ToClient(epoch, rest));
        } else if !bytes.is_empty() {
            self.at(first, Due::ToClient(epoch, bytes));
        }
        if cut && self.lose(epoch) {
            self.wire.cut_down += 1;
        }
    }

    /// The device writes: the checker sees all of it, the server what passes.
    fn send_up(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.checker.wrote(self.now, bytes)?;
        let delay = self.dice.between(1, 20) * MS;
        let split = self.dice.happens(self.nature.split);
        let pipe = self.pipe.as_mut().expect("the checker has looked");
        let epoch = pipe.epoch;
        let mut bytes = bytes.to_vec();
        let cut = pass(&mut bytes, &mut pipe.up_left);
        pipe.up_ns = pipe.up_ns.max(self.now + delay);
        let first = pipe.up_ns;
        let at = bytes.len() / 2;
        if split && at > 0 {
            pipe.up_ns += 7 * MS;
            let rest = bytes.split_off(at);
            let last = pipe.up_ns;
            self.wire.halves += 1;
            self.at(first, Due::ToServer(epoch, bytes));
            self.at(last, Due::ToServer(epoch, rest));
        } else if !bytes.is_empty() {
            self.at(first, Due::ToServer(epoch, bytes));
        }
        if cut && self.lose(epoch) {
            self.wire.cut_up += 1;
        }
        Ok(())
    }

    /// The wire is cut: both ends notice in their own time. Whether it was whole before.
    fn lose(&mut self, epoch: u64) -> bool {
        let pipe = self.pipe.as_mut().expect("it was just written to");
        if std::mem::replace(&mut pipe.lost, true) {
            return false;
        }
        let arrived = pipe.up_ns.max(pipe.down_ns).max(self.now);
        let client = arrived + self.dice.between(1, 3_000) * MS;
        let server = arrived + self.dice.between(1, 3_000) * MS;
        self.at(client, Due::LostAtClient(epoch, Cause::Reset));
        self.at(server, Due::LostAtServer(epoch));
        true
    }

    fn received(&mut self, epoch: u64, bytes: &[u8]) -> Result<(), Violation> {
        let pipe = self.pipe.as_mut().expect("asked before");
        let mut buffer = std::mem::take(&mut pipe.buffer);
        buffer.extend_from_slice(bytes);
        let mut done = 0;
        while let Some((packet, len)) =
            codec::decode(&buffer[done..], PACKET_MAX).expect("the server writes MQTT")
        {
            done += len;
            let pipe = self.pipe.as_mut().expect("asked before");
            let sent = pipe.coming.pop_front().expect("the server sent it");
            assert_eq!(sent.bytes().len(), len, "{packet:?} is not {sent:?}");
            self.checker.got(self.now, &sent);
            self.step(Input::Received(packet))?;
            if !self.is_open(epoch) {
                return Ok(());
            }
        }
        buffer.drain(..done);
        self.pipe.as_mut().expect("asked above").buffer = buffer;
        Ok(())
    }

    /// Steps the device and does what it wants.
    fn step(&mut self, input: Input<'_>) -> Result<(), Violation> {
        let mut outputs = Vec::new();
        let now = Instant::from_ns(self.now);
        self.device.handle_input(now, input, &mut outputs);
        for output in &outputs {
            match output {
                Output::Open => self.open(),
                Output::Close => self.close()?,
                Output::Send(packet) => self.send_up(&encoded(packet))?,
                Output::Fetch(_) | Output::StopFetch | Output::Result(_) => {
                    unreachable!("this fleet is not updated")
                }
                Output::Publish(owned) => {
                    let publish = Packet::Publish(Publish {
                        dup: owned.dup,
                        qos: owned.qos,
                        retain: owned.retain,
                        packet_id: owned.packet_id,
                        topic: &owned.topic,
                        payload: &owned.payload,
                    });
                    self.send_up(&encoded(&publish))?;
                }
                Output::Telemetry(telemetry) => {
                    let mut bytes = Vec::new();
                    let id = self.device.id();
                    encode_telemetry(&self.profile, id, telemetry, &mut self.scratch, &mut bytes);
                    self.send_up(&bytes)?;
                }
                Output::Event(event) => self.account(event),
            }
        }
        self.checker.settled(self.now)?;
        assert_eq!(self.device.is_connected(), self.checker.is_up());
        Ok(())
    }

    fn open(&mut self) {
        assert!(self.pipe.is_none(), "one connection at a time");
        self.epoch += 1;
        let at = self.after_ms(1, 200);
        if self.dice.happens(self.nature.refuse_transport) {
            self.at(at, Due::Refused(self.epoch));
        } else {
            self.at(at, Due::Opened(self.epoch));
        }
    }

    /// The device hangs up; what it wrote last may arrive or not.
    fn close(&mut self) -> Result<(), Violation> {
        // What was opening is of no interest any more.
        let epoch = self.epoch;
        self.epoch += 1;
        if let Some(pipe) = self.pipe.take() {
            let at = if self.dice.happens(500) {
                pipe.up_ns.max(self.now)
            } else {
                self.now
            };
            self.at(at, Due::LostAtServer(epoch));
        }
        self.checker.closed(self.now)
    }

    fn account(&mut self, event: &Event) {
        let books = &mut self.books;
        match event {
            Event::Planned(_) => books.planned += 1,
            Event::Update(_) | Event::Command(_) => unreachable!("nor told what to do"),
            Event::Unsent(..) => books.unsent += 1,
            Event::Sent { qos, .. } => {
                books.sent += 1;
                books.written += u64::from(*qos == QoS::AtMostOnce);
            }
            Event::Acked { op, .. } => {
                books.acked += 1;
                self.acknowledged(op);
            }
            Event::LateAck(op) => {
                books.late_acks += 1;
                self.acknowledged(op);
            }
            Event::TimedOut { .. } => books.timed_out += 1,
            Event::SessionGone(_) => books.gone += 1,
            Event::Retransmitted(_) => books.retransmitted += 1,
            Event::Received => books.received += 1,
            Event::Connected { .. } => books.connected += 1,
            Event::ReleasedAgain(_) => books.released_again += 1,
            Event::LimitReached(Limit::HeldPacketIds) => books.held_up += 1,
            Event::LimitReached(Limit::GrantedQos) => books.lower_grants += 1,
            Event::LimitReached(other) => panic!("{other:?} is no limit of a device"),
            Event::Disconnected { cause } | Event::AttemptFailed { cause, .. } => {
                let blames = matches!(cause, Cause::ProtocolError | Cause::WrongAck);
                assert!(!blames, "the server is legal: {cause:?}");
                let refused = matches!(
                    cause,
                    Cause::SubscribeRefused | Cause::SubscribeTimeout | Cause::UnsubscribeTimeout
                );
                books.subscribe_failures += u64::from(refused);
                books.dead_peers += u64::from(*cause == Cause::KeepAliveTimeout);
                books.connect_timeouts += u64::from(*cause == Cause::ConnectTimeout);
            }
            Event::PoweredOn
            | Event::PoweredOff
            | Event::Expected
            | Event::AttemptStarted { .. }
            | Event::GaveUp => {}
            Event::UnexpectedAck => panic!("the server acknowledges nothing twice"),
        }
    }

    fn acknowledged(&mut self, op: &Operation) {
        let key = (op.stream, self.device.boot(), op.seq);
        assert!(self.acked.insert(key), "{key:?} was acknowledged before");
    }

    /// The books, and what the server knows of them.
    fn audit(&mut self) {
        let books = &self.books;
        let waiting = self.device.waiting().len() as u64;
        let in_flight = self.device.in_flight().len() as u64;
        assert_eq!(
            books.planned,
            books.sent + books.unsent + waiting,
            "{books:?}"
        );
        let ended = books.acked + books.written + books.timed_out + books.gone;
        assert_eq!(books.sent, ended + in_flight, "{books:?}");
        assert_eq!(books.received, self.checker.seen.received, "{books:?}");
        for key in &self.acked {
            let passed_on = self.server.passed_on.get(key);
            assert!(passed_on.is_some(), "{key:?}: acknowledged and lost");
        }
        for (key, times) in &self.server.passed_on {
            match self.profile.plan.streams[usize::from(key.0)].qos {
                QoS::AtMostOnce => assert_eq!(*times, 1, "{key:?}"),
                QoS::AtLeastOnce => {}
                QoS::ExactlyOnce => {
                    let untold = self.server.done.forgotten_untold > 0;
                    assert!(*times == 1 || untold, "{key:?}: exactly once");
                    self.books.exactly_once += u64::from(*times == 1);
                }
            }
        }
    }
}

/// The bytes of a packet of the device.
fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(packet, &mut bytes).expect("a device's packets fit MQTT");
    bytes
}

/// Leaves of `bytes` what passes; whether the cut lies in them.
fn pass(bytes: &mut Vec<u8>, left: &mut Option<usize>) -> bool {
    let Some(rest) = left else {
        return false;
    };
    if bytes.len() <= *rest {
        *rest -= bytes.len();
        return false;
    }
    bytes.truncate(*rest);
    *rest = 0;
    true
}

//! One MQTT session of the operator: it connects, subscribes and comes back like an observer, and
//! keeps what is to be written at QoS 1 in a bounded queue before a bounded window. What messages
//! mean is the operator's business.

use super::letter::Letter;
use super::{Event, Note, Output, QUEUE_MAX, SharedPublish};
use crate::device::backoff;
use crate::mqtt::packet::{Connect, ConnectCode, Packet, PacketId, Publish, QoS};
use crate::mqtt::session::{Incoming, KeepAlive, PingOn, Pulse, Session};
use crate::scenario::plan::{Backoff, BackoffShape, DeviceIdx, Secret};
use crate::stats::event::Cause;
use crate::time::{Duration, Instant};
use std::collections::{BTreeMap, VecDeque};

/// QoS 1 messages of a desk without a PUBACK. AWS IoT allows 100 per connection for a client that
/// receives; brokers take far more from one that sends.
pub(super) const WINDOW: u16 = 256;

/// Filters of one SUBSCRIBE; there is at most one without an answer.
pub(super) const FILTERS_MAX: usize = 64;

/// From OPEN to CONNACK, and from a SUBSCRIBE to its SUBACK.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// As an observer's: a half-open connection is noticed well within a drain of 30 s. A desk has much
/// to say, so that silence of its own would never make it ask.
const KEEP_ALIVE: KeepAlive = KeepAlive {
    interval_s: 30,
    ping_timeout: Duration::from_secs(10),
    ping_on: PingOn::SilenceEither,
};

/// As an observer's: quick, since devices wait for answers meanwhile, and jittered.
const BACKOFF: Backoff = Backoff::of(BackoffShape::FullJitter {
    base: Duration::from_millis(200),
    cap: Duration::from_secs(2),
});

/// Draws of desks are none of a device (from 0 up) or an observer (from the top down).
const FIRST_SUBJECT: DeviceIdx = DeviceIdx::MAX / 2;

/// A session of the operator.
#[derive(Debug)]
pub(super) struct Desk {
    index: super::Desk,
    seed: u64,
    hello: Hello,
    filters: Vec<(String, QoS)>,
    session: Session<()>,
    state: State,
    /// Filters granted so far in the server's present session.
    granted: usize,
    /// All filters have been granted once.
    armed: bool,
    /// A CONNECT was written whose answer never came: the server may hold a session made by it, without
    /// our subscriptions.
    in_doubt: bool,
    /// What waits for a place in the window.
    queue: VecDeque<Letter>,
    /// What has a place in it, for retransmission.
    unanswered: BTreeMap<PacketId, SharedPublish>,
    /// CONNACK, SUBACK or the end of the backoff.
    deadline: Instant,
    pulse_at: Instant,
    /// Waits since it last received.
    waits: u32,
    /// All waits of the run: the index of the next draw.
    draws: u64,
}

/// What a desk says in its CONNECT.
#[derive(Clone, Debug)]
pub(super) struct Hello {
    /// Client identifier.
    pub(super) client_id: String,
    /// User name.
    pub(super) username: Option<String>,
    /// Password.
    pub(super) password: Option<Secret>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum State {
    /// Not started.
    Idle,
    /// Waits for the transport.
    Connecting,
    /// CONNECT written, waits for CONNACK.
    Handshaking,
    /// A SUBSCRIBE waits for its SUBACK; what is granted already is received.
    Subscribing,
    /// Everything is granted.
    Receiving,
    /// Waits for the next attempt.
    BackingOff,
    /// Left for good.
    Stopped,
}

/// What happens to a desk, besides packets.
#[derive(Copy, Clone, Debug)]
pub(super) enum Input {
    /// Connect.
    Start,
    /// A deadline may have come.
    Timeout,
    /// The transport is there.
    Opened,
    /// It is gone.
    Closed(Cause),
    /// Leave.
    Shutdown,
}

impl Desk {
    /// Desk `index`, which will subscribe to `filters`.
    pub(super) fn new(
        index: super::Desk,
        seed: u64,
        hello: Hello,
        filters: Vec<(String, QoS)>,
    ) -> Self {
        Self {
            index,
            seed,
            hello,
            filters,
            session: Session::new(),
            state: State::Idle,
            granted: 0,
            armed: false,
            in_doubt: false,
            queue: VecDeque::new(),
            unanswered: BTreeMap::new(),
            deadline: Instant::NEVER,
            pulse_at: Instant::NEVER,
            waits: 0,
            draws: 0,
        }
    }

    /// Whether all filters have been granted once.
    pub(super) const fn is_armed(&self) -> bool {
        self.armed
    }

    /// When it wants [`Input::Timeout`].
    pub(super) fn poll_timeout(&self) -> Instant {
        self.deadline.min(self.pulse_at)
    }

    /// Steps the desk: `input` happened at `now`.
    pub(super) fn handle_input(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        use State::{BackingOff, Connecting, Handshaking, Idle, Receiving, Stopped, Subscribing};
        match (self.state, input) {
            (Idle, Input::Start) => self.open(now, out),
            (Connecting, Input::Opened) => {
                self.state = Handshaking;
                self.session.wrote(now);
                out.push(Output::Send(self.index, self.connect()));
            }
            (Connecting | Handshaking | Subscribing | Receiving, Input::Closed(cause)) => {
                self.lose(now, cause, out);
            }
            (Connecting | Handshaking | Subscribing | Receiving | BackingOff, Input::Timeout) => {
                self.handle_timeout(now, out);
            }
            (
                Idle | Connecting | Handshaking | Subscribing | Receiving | BackingOff,
                Input::Shutdown,
            ) => self.leave(out),
            // It has started already; it is not running.
            (
                Connecting | Handshaking | Subscribing | Receiving | BackingOff | Stopped,
                Input::Start,
            )
            | (Idle | Stopped, Input::Timeout)
            | (Stopped, Input::Shutdown) => {}
            // Of a transport that it has closed or not opened: the driver drops these.
            (
                Idle | Handshaking | Subscribing | Receiving | BackingOff | Stopped,
                Input::Opened,
            )
            | (Idle | BackingOff | Stopped, Input::Closed(_)) => {}
        }
        self.set_pulse();
    }

    /// Takes a packet; gives the application message that it is, if it is one.
    pub(super) fn receive<'a>(
        &mut self,
        now: Instant,
        packet: &'a Packet<'a>,
        out: &mut Vec<Output>,
    ) -> Option<Publish<'a>> {
        let message = match self.state {
            State::Handshaking => {
                self.session.heard(now, packet, KEEP_ALIVE.ping_on);
                self.shake_hands(now, packet, out);
                None
            }
            State::Subscribing | State::Receiving => {
                self.session.heard(now, packet, KEEP_ALIVE.ping_on);
                self.take(now, packet, out)
            }
            // Of a transport that it has closed or not opened: the driver drops these.
            State::Idle | State::Connecting | State::BackingOff | State::Stopped => None,
        };
        self.set_pulse();
        message
    }

    /// Puts `letter` at the end of the queue, if it has a place.
    pub(super) fn post(&mut self, letter: Letter, out: &mut Vec<Output>) {
        if self.queue.len() >= QUEUE_MAX {
            out.push(Output::Event(Event::Noted(Note::QueueFull)));
        } else {
            self.queue.push_back(letter);
        }
    }

    /// The next letter, if it can be written now: [`Desk::write`] must follow unless it is void.
    pub(super) fn next_letter(&mut self) -> Option<Letter> {
        if self.state == State::Receiving && self.session.is_open(WINDOW) {
            self.queue.pop_front()
        } else {
            None
        }
    }

    /// Writes `publish` at QoS 1, whatever its QoS says, right after [`Desk::next_letter`].
    pub(super) fn write(
        &mut self,
        now: Instant,
        mut publish: SharedPublish,
        out: &mut Vec<Output>,
    ) {
        let id = self
            .session
            .publish(now, (), QoS::AtLeastOnce, false, WINDOW)
            .expect("a letter is given out only if there is a place for it");
        publish.qos = QoS::AtLeastOnce;
        publish.packet_id = id;
        self.unanswered.insert(id, publish.clone());
        out.push(Output::Publish(self.index, publish));
        self.set_pulse();
    }

    /// Writes `publish` at QoS 0 at once, or not at all if it has no connection.
    pub(super) fn write_through(
        &mut self,
        now: Instant,
        publish: SharedPublish,
        out: &mut Vec<Output>,
    ) {
        match self.state {
            State::Subscribing | State::Receiving => {
                self.session.wrote(now);
                out.push(Output::Publish(self.index, publish));
                self.set_pulse();
            }
            State::Idle
            | State::Connecting
            | State::Handshaking
            | State::BackingOff
            | State::Stopped => {}
        }
    }

    fn set_pulse(&mut self) {
        self.pulse_at = match self.state {
            State::Subscribing | State::Receiving => self.session.pulse_deadline(KEEP_ALIVE),
            State::Idle
            | State::Connecting
            | State::Handshaking
            | State::BackingOff
            | State::Stopped => Instant::NEVER,
        };
    }

    fn open(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.state = State::Connecting;
        self.deadline = now.after(ANSWER_TIMEOUT);
        out.push(Output::Open(self.index));
    }

    fn connect(&self) -> Packet<'static> {
        let hello = self.hello.clone();
        Packet::Connect(Box::new(Connect {
            client_id: hello.client_id,
            clean_session: false,
            keep_alive_s: KEEP_ALIVE.interval_s,
            will: None,
            username: hello.username,
            password: hello.password.map(|secret| secret.0),
        }))
    }

    fn shake_hands(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Vec<Output>) {
        let cause = match packet {
            Packet::ConnAck {
                session_present,
                code: ConnectCode::Accepted,
            } => return self.connected(now, *session_present, out),
            Packet::ConnAck { code, .. } => Cause::ConnAck(*code),
            // The first packet from the server must be a CONNACK (MQTT-3.2.0-1).
            Packet::Connect(_)
            | Packet::Publish(_)
            | Packet::PubAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::Subscribe { .. }
            | Packet::SubAck { .. }
            | Packet::Unsubscribe { .. }
            | Packet::UnsubAck(_)
            | Packet::PingReq
            | Packet::PingResp
            | Packet::Disconnect => Cause::ProtocolError,
        };
        self.drop_out(now, cause, out);
    }

    fn connected(&mut self, now: Instant, session_present: bool, out: &mut Vec<Output>) {
        let in_doubt = std::mem::take(&mut self.in_doubt);
        if session_present {
            // Ours are QoS 1, which have no PUBREL.
            let released = self.session.resume(now).count();
            debug_assert_eq!(released, 0, "no publish of a desk is QoS 2");
            if in_doubt {
                self.granted = 0;
            }
        } else {
            self.session.discard(|_| ());
            self.granted = 0;
            // The server may or may not have taken them. Once more does no harm: a device knows a
            // job or a request that it has seen.
            while let Some((_, publish)) = self.unanswered.pop_last() {
                self.queue.push_front(Letter::Ready(Box::new(publish)));
            }
        }
        self.subscribe_rest(now, out);
    }

    /// Asks for the next filters, or, if all are granted, receives.
    fn subscribe_rest(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.granted >= self.filters.len() {
            return self.receives(now, out);
        }
        let end = self.filters.len().min(self.granted + FILTERS_MAX);
        let filters = self.filters[self.granted..end].to_vec();
        let count = u16::try_from(filters.len()).expect("at most FILTERS_MAX");
        let packet_id = self
            .session
            .subscribe(now, count)
            .expect("the SUBSCRIBE before is answered or its connection gone");
        self.state = State::Subscribing;
        self.deadline = now.after(ANSWER_TIMEOUT);
        out.push(Output::Send(
            self.index,
            Packet::Subscribe { packet_id, filters },
        ));
    }

    fn receives(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.state = State::Receiving;
        self.deadline = Instant::NEVER;
        self.waits = 0;
        self.armed = true;
        let again: Vec<_> = self
            .session
            .repeat(now, usize::MAX)
            .map(|entry| entry.packet_id)
            .collect();
        for id in again {
            let publish = self
                .unanswered
                .get(&id)
                .expect("what the session holds is kept until it is answered");
            let publish = SharedPublish {
                dup: true,
                ..publish.clone()
            };
            out.push(Output::Publish(self.index, publish));
        }
    }

    fn take<'a>(
        &mut self,
        now: Instant,
        packet: &'a Packet<'a>,
        out: &mut Vec<Output>,
    ) -> Option<Publish<'a>> {
        let incoming = self.session.receive(packet);
        if let Some(answer) = incoming.answer() {
            self.session.wrote(now);
            out.push(Output::Send(self.index, answer));
        }
        match incoming {
            Incoming::Message(publish) => return Some(publish),
            Incoming::Acked(entry) | Incoming::LateAck(entry) => {
                self.unanswered.remove(&entry.packet_id);
            }
            Incoming::Granted(granted) => {
                let asked = self.filters[self.granted..].iter();
                let is_refused = asked
                    .zip(granted)
                    .any(|((_, asked), granted)| *granted < Some(*asked));
                if is_refused {
                    out.push(Output::Event(Event::SubscribeRefused(self.index)));
                    self.leave(out);
                } else {
                    self.granted += granted.len();
                    self.subscribe_rest(now, out);
                }
            }
            Incoming::Duplicate(_)
            | Incoming::Released(_)
            | Incoming::Pong
            // To be tolerated: of an earlier session.
            | Incoming::UnexpectedAck { .. } => {}
            // It publishes nothing at QoS 2 and keeps its subscriptions.
            Incoming::Recorded(_)
            | Incoming::Abandoned
            | Incoming::Unsubscribed
            | Incoming::Violation => self.drop_out(now, Cause::ProtocolError, out),
        }
        None
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.deadline <= now {
            self.deadline = Instant::NEVER;
            match self.state {
                State::BackingOff => self.open(now, out),
                State::Connecting | State::Handshaking => {
                    self.drop_out(now, Cause::ConnectTimeout, out);
                }
                State::Subscribing => self.drop_out(now, Cause::SubscribeTimeout, out),
                State::Idle | State::Receiving | State::Stopped => {
                    unreachable!("armed only while something is awaited")
                }
            }
        }
        // The connection may have ended just above.
        if matches!(self.state, State::Subscribing | State::Receiving) {
            match self.session.pulse(now, KEEP_ALIVE) {
                Pulse::Idle => {}
                Pulse::Ping => out.push(Output::Send(self.index, Packet::PingReq)),
                Pulse::Dead => self.drop_out(now, Cause::KeepAliveTimeout, out),
            }
        }
    }

    /// Closes the connection for `cause`.
    fn drop_out(&mut self, now: Instant, cause: Cause, out: &mut Vec<Output>) {
        out.push(Output::Close(self.index));
        self.lose(now, cause, out);
    }

    /// An attempt failed or the connection ended.
    fn lose(&mut self, now: Instant, cause: Cause, out: &mut Vec<Output>) {
        self.in_doubt |= self.state == State::Handshaking;
        self.session.disconnected();
        out.push(Output::Event(Event::Failed(self.index, cause)));
        self.waits = self.waits.saturating_add(1);
        let subject = FIRST_SUBJECT + DeviceIdx::from(self.index);
        let (seed, draw) = (self.seed, self.draws);
        let wait = backoff::delay(&BACKOFF, seed, subject, draw, self.waits, Duration::ZERO)
            .expect("this policy never gives up");
        self.draws += 1;
        self.state = State::BackingOff;
        self.deadline = now.after(wait);
    }

    fn leave(&mut self, out: &mut Vec<Output>) {
        match self.state {
            State::Subscribing | State::Receiving => {
                out.push(Output::Send(self.index, Packet::Disconnect));
                out.push(Output::Close(self.index));
            }
            State::Connecting | State::Handshaking => out.push(Output::Close(self.index)),
            State::Idle | State::BackingOff | State::Stopped => {}
        }
        self.state = State::Stopped;
        self.deadline = Instant::NEVER;
    }
}

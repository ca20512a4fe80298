//! An observer: a cloud-side MQTT session of our own (persistent; QoS 2 for topics of QoS 2 streams,
//! so that exactly once is judged on the whole way, else QoS 1) that receives the telemetry of at
//! most [`DEVICES_MAX`] devices by their exact topics, and their wills if an objective asks for them.
//! Sans-IO, like a device.

use super::wills::{Sighting, Wills};
use crate::device::stamp::Stamp;
use crate::device::{backoff, connect, payload};
use crate::mqtt::packet::{Connect, ConnectCode, Packet, Publish, QoS};
use crate::mqtt::session::{Incoming, KeepAlive, PingOn, Pulse, Session};
use crate::scenario::plan::{Backoff, BackoffShape, DeviceIdx, Plan};
use crate::scenario::template::{Segment, Template};
use crate::stats::event::Cause;
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// Devices of one observer.
pub const DEVICES_MAX: usize = 250;

/// Filters of one SUBSCRIBE; there is at most one without an answer. Mosquitto and EMQX take far
/// more, but a packet of a few kilobytes is no burden to any broker.
pub const FILTERS_MAX: usize = 64;

/// From OPEN to CONNACK, and from a SUBSCRIBE to its SUBACK.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Short, so that a half-open connection is noticed well within a drain of 30 s.
const KEEP_ALIVE: KeepAlive = KeepAlive {
    interval_s: 30,
    ping_timeout: Duration::from_secs(10),
    // It says next to nothing: its PUBACKs answer what it hears.
    ping_on: PingOn::SilenceOut,
};

/// Quick to come back, since each gap leaves acknowledgements unverified, and jittered, since all
/// observers of a node lose it together.
const BACKOFF: Backoff = Backoff::of(BackoffShape::FullJitter {
    base: Duration::from_millis(200),
    cap: Duration::from_secs(2),
});

/// What happens to an observer.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Connect and subscribe.
    Start,
    /// A deadline (`poll_timeout`) has come.
    Timeout,
    /// The transport of the latest `Output::Open` is established.
    Opened,
    /// The transport failed to open, or ended.
    Closed(Cause),
    /// A packet came.
    Received(Packet<'a>),
    /// Leave: UNSUBSCRIBE is not needed, the teardown clears the session.
    Shutdown,
}

/// What an observer wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Open a transport to `Observer::node`.
    Open,
    /// Close the transport; a `Closed` input does not follow.
    Close,
    /// Write a packet.
    Send(Packet<'static>),
    /// Tell the ledger and the recorder.
    Event(Event),
}

/// What an observer reports.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Event {
    /// All subscriptions are granted for the first time.
    Armed,
    /// A telemetry message arrived on a topic of an observed device.
    Seen(Stamp),
    /// The will of an observed device arrived.
    WillFired(DeviceIdx),
    /// A copy of a will came that the server sent again: it has been seen before.
    WillRedelivered,
    /// A payload without a stamp of ours.
    Corrupt,
    /// A message whose stamp names another run, or a device that the topic does not belong to.
    Foreign,
    /// A retained message that the server had stored, sent because of a new subscription
    /// (MQTT-3.3.1-8, -9): no delivery of what was published to the observer.
    Stored,
    /// The target grants QoS 1 on a topic that was asked for at QoS 2.
    Downgraded,
    /// The session is not receiving from now on.
    GapBegan,
    /// It receives again; if the server had forgotten the session, what was under way is gone.
    GapEnded {
        /// Server kept the session and its queue.
        session_present: bool,
    },
    /// Its connection failed or ended.
    Failed(Cause),
    /// The target refuses a subscription (or grants it at QoS 0 only); the run cannot be verified.
    /// The observer has left.
    SubscribeRefused,
}

/// One observer session.
#[derive(Debug)]
pub struct Observer {
    plan: Arc<Plan>,
    run: u32,
    node: u16,
    name: u32,
    /// Ascending.
    devices: Vec<DeviceIdx>,
    /// All exact topics to subscribe to: (index into `devices`, index into `Plan::streams`).
    topics: Vec<(u16, u16)>,
    /// Of these devices, if an objective asks for them.
    wills: Option<Box<Wills>>,
    /// Some topic of these devices does not name the device, so that messages of others arrive too.
    shared_topics: bool,
    session: Session<()>,
    state: State,
    /// Topics granted so far in the server's present session: first those of streams.
    granted: usize,
    /// All topics have been granted once.
    armed: bool,
    /// Of the gap that is going on, if one is.
    /// A CONNECT was written whose answer never came: the server may hold a session made by it, without
    /// our subscriptions.
    in_doubt: bool,
    gap: Option<Gap>,
    /// CONNACK, SUBACK or the end of the backoff.
    deadline: Instant,
    pulse_at: Instant,
    /// Waits since it last received.
    waits: u32,
    /// All waits of the run: the index of the next draw.
    draws: u64,
}

/// A time in which the session does not receive.
#[derive(Copy, Clone, Debug)]
struct Gap {
    /// Each CONNACK since its begin said that the server still had the session.
    session_kept: bool,
    /// Whether the session was the old one is not known.
    in_doubt: bool,
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

impl Observer {
    /// An observer of `devices` on `node`; `name` makes its client id unique in the run.
    ///
    /// It authenticates like the first of its devices: brokers in tests rarely know users that may
    /// read everything, and an identity of its own would need a word in the scenario.
    pub fn new(
        plan: Arc<Plan>,
        run: u32,
        node: u16,
        name: u32,
        mut devices: Vec<DeviceIdx>,
    ) -> Self {
        devices.sort_unstable();
        let (topics, shared_topics) = topics(&plan, &devices);
        let asks = plan.asks_for_wills();
        let wills = asks.then(|| Box::new(Wills::new(&plan, run, &devices)));
        Self {
            plan,
            run,
            node,
            name,
            devices,
            topics,
            wills,
            shared_topics,
            session: Session::new(),
            state: State::Idle,
            granted: 0,
            armed: false,
            in_doubt: false,
            gap: None,
            deadline: Instant::NEVER,
            pulse_at: Instant::NEVER,
            waits: 0,
            draws: 0,
        }
    }

    /// Its client identifier: `fs-obs-<run>-<name>`, both in hex.
    pub fn client_id(&self) -> String {
        format!("fs-obs-{:08x}-{:x}", self.run, self.name)
    }

    /// The node it connects to.
    pub const fn node(&self) -> u16 {
        self.node
    }

    /// The devices whose telemetry it receives, ascending.
    pub fn devices(&self) -> &[DeviceIdx] {
        &self.devices
    }

    /// Steps the observer: `input` happened at `now`; what it wants done is appended to `out`.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        use State::{BackingOff, Connecting, Handshaking, Idle, Receiving, Stopped, Subscribing};
        match (self.state, input) {
            (Idle, Input::Start) => self.open(now, out),
            (Connecting, Input::Opened) => {
                self.state = Handshaking;
                self.session.wrote(now);
                out.push(Output::Send(self.connect()));
            }
            (Handshaking, Input::Received(packet)) => self.shake_hands(now, &packet, out),
            (Subscribing | Receiving, Input::Received(packet)) => {
                self.receive(now, &packet, out);
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
            | (Idle | Connecting | BackingOff | Stopped, Input::Received(_))
            | (Idle | BackingOff | Stopped, Input::Closed(_)) => {}
        }
        self.pulse_at = match self.state {
            Subscribing | Receiving => self.session.pulse_deadline(KEEP_ALIVE),
            Idle | Connecting | Handshaking | BackingOff | Stopped => Instant::NEVER,
        };
    }

    /// When it wants `Input::Timeout`; [`Instant::NEVER`] when idle.
    pub fn poll_timeout(&self) -> Instant {
        self.deadline.min(self.pulse_at)
    }

    /// Splits the observed devices among `owned` into observers of at most [`DEVICES_MAX`] devices
    /// of one node each (any one node if the target is a cluster: then they take turns).
    ///
    /// Names are `worker * 65 536 + n`, so a worker may have 65 536 observers, 16 million devices.
    pub fn plan_all(plan: &Arc<Plan>, run: u32, worker: u32, owned: &[DeviceIdx]) -> Vec<Self> {
        let mut by_node: BTreeMap<u16, Vec<DeviceIdx>> = BTreeMap::new();
        let asks_for_wills = plan.asks_for_wills();
        let is_heard_of = |device| {
            let has_streams = !plan.cohorts[plan.cohort_of(device)].streams.is_empty();
            has_streams || (asks_for_wills && plan.has_will(device))
        };
        for &device in owned {
            if plan.observed(device) && is_heard_of(device) {
                let node = if plan.target.is_cluster() {
                    0
                } else {
                    plan.home_node(device)
                };
                by_node.entry(node).or_default().push(device);
            }
        }
        let chunks = by_node.iter().flat_map(|(node, devices)| {
            devices
                .chunks(DEVICES_MAX)
                .map(|chunk| (*node, chunk.to_vec()))
        });
        let turn = |n: u32| {
            u16::try_from((worker + n) % u32::from(plan.target.nodes()))
                .expect("below the number of nodes, a u16")
        };
        (0u32..)
            .zip(chunks)
            .map(|(n, (node, devices))| {
                let node = if plan.target.is_cluster() {
                    turn(n)
                } else {
                    node
                };
                Self::new(Arc::clone(plan), run, node, (worker << 16) | n, devices)
            })
            .collect()
    }

    fn open(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.state = State::Connecting;
        self.deadline = now.after(ANSWER_TIMEOUT);
        out.push(Output::Open);
    }

    fn connect(&self) -> Packet<'static> {
        let (username, password) = self.devices.first().map_or((None, None), |&device| {
            connect::credentials(&self.plan, &payload::names(&self.plan, device, self.run))
        });
        Packet::Connect(Box::new(Connect {
            client_id: self.client_id(),
            clean_session: false,
            keep_alive_s: KEEP_ALIVE.interval_s,
            will: None,
            username,
            password,
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
        out.push(Output::Close);
        self.lose(now, cause, out);
    }

    fn connected(&mut self, now: Instant, session_present: bool, out: &mut Vec<Output>) {
        if let Some(wills) = &mut self.wills {
            wills.connected();
        }
        let in_doubt = std::mem::take(&mut self.in_doubt);
        if !session_present {
            self.session.discard(|_| ());
            self.granted = 0;
            if let Some(gap) = &mut self.gap {
                gap.session_kept = false;
            }
        } else if in_doubt {
            self.granted = 0;
            if let Some(gap) = &mut self.gap {
                gap.in_doubt = true;
            }
        }
        self.subscribe_rest(now, out);
    }

    /// Asks for the next topics, or, if all are granted, receives.
    fn subscribe_rest(&mut self, now: Instant, out: &mut Vec<Output>) {
        let all = self.topics.len() + self.wills.as_ref().map_or(0, |wills| wills.topics());
        if self.granted >= all {
            return self.receives(out);
        }
        let ask = self.granted..all.min(self.granted + FILTERS_MAX);
        let filters: Vec<_> = ask.map(|index| self.filter(index)).collect();
        let count = u16::try_from(filters.len()).expect("at most FILTERS_MAX");
        let packet_id = self
            .session
            .subscribe(now, count)
            .expect("the SUBSCRIBE before is answered or its connection gone");
        self.state = State::Subscribing;
        self.deadline = now.after(ANSWER_TIMEOUT);
        out.push(Output::Send(Packet::Subscribe { packet_id, filters }));
    }

    fn receives(&mut self, out: &mut Vec<Output>) {
        self.state = State::Receiving;
        self.deadline = Instant::NEVER;
        self.waits = 0;
        if let Some(gap) = self.gap.take() {
            // First what is unsure if it is gone, then what may come twice if it is not.
            if gap.in_doubt && gap.session_kept {
                out.push(Output::Event(Event::GapEnded {
                    session_present: false,
                }));
            }
            let session_present = gap.session_kept;
            out.push(Output::Event(Event::GapEnded { session_present }));
        }
        if !self.armed {
            self.armed = true;
            out.push(Output::Event(Event::Armed));
        }
    }

    fn receive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Vec<Output>) {
        let incoming = self.session.receive(packet);
        if let Some(answer) = incoming.answer() {
            self.session.wrote(now);
            out.push(Output::Send(answer));
        }
        match incoming {
            Incoming::Message(publish) => self.message(&publish, out),
            Incoming::Duplicate(_) | Incoming::Released(_) => {}
            Incoming::Granted(granted) => {
                // A grant at QoS 0 could lose messages on the way here and blame the target.
                if !granted.iter().all(|g| *g >= Some(QoS::AtLeastOnce)) {
                    out.push(Output::Event(Event::SubscribeRefused));
                    return self.leave(out);
                }
                // Wills are counted alike at any QoS.
                let asked = &self.topics[self.granted.min(self.topics.len())..];
                let mut both = asked.iter().zip(granted);
                if both.any(|(topic, granted)| *granted < Some(self.wanted(*topic))) {
                    out.push(Output::Event(Event::Downgraded));
                }
                self.granted += granted.len();
                self.subscribe_rest(now, out);
            }
            Incoming::Pong => {}
            // It publishes nothing and keeps its subscriptions.
            Incoming::Acked(_)
            | Incoming::LateAck(_)
            | Incoming::Recorded(_)
            | Incoming::Abandoned
            | Incoming::UnexpectedAck { .. }
            | Incoming::Unsubscribed
            | Incoming::Violation => {
                out.push(Output::Close);
                self.lose(now, Cause::ProtocolError, out);
            }
        }
    }

    fn message(&mut self, publish: &Publish<'_>, out: &mut Vec<Output>) {
        if publish.retain {
            return out.push(Output::Event(Event::Stored));
        }
        let event = match Stamp::find(publish.payload, &self.plan.observe.stamp_field) {
            None => match self.will(publish) {
                Sighting::Fired(device) => Event::WillFired(device),
                Sighting::Again => Event::WillRedelivered,
                Sighting::OtherWords => return,
                Sighting::NoWill => Event::Corrupt,
            },
            Some(stamp) if stamp.run != self.run => Event::Foreign,
            Some(stamp) if self.owns(stamp.device) => Event::Seen(stamp),
            // On a topic that devices share it is another observer's to count.
            Some(_) if self.shared_topics => return,
            Some(_) => Event::Foreign,
        };
        out.push(Output::Event(event));
    }

    fn will(&mut self, publish: &Publish<'_>) -> Sighting {
        match &mut self.wills {
            Some(wills) => wills.see(&self.plan, self.run, publish),
            None => Sighting::NoWill,
        }
    }

    /// Whether it receives for `device`. They are spread evenly over the fleet (a node's devices are
    /// picked by a hash), so that one looks near where it should be: a bisection of as many observers
    /// as a large fleet has would go through memory that is far.
    fn owns(&self, device: DeviceIdx) -> bool {
        let (Some(&first), Some(&last)) = (self.devices.first(), self.devices.last()) else {
            return false;
        };
        if device < first || device > last {
            return false;
        }
        let (into, range) = (u64::from(device - first), u64::from(last - first).max(1));
        let mut at = (into * (self.devices.len() as u64 - 1) / range) as usize;
        while self.devices[at] < device {
            at += 1;
        }
        while self.devices[at] > device {
            at -= 1;
        }
        self.devices[at] == device
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.deadline <= now {
            self.deadline = Instant::NEVER;
            match self.state {
                State::BackingOff => self.open(now, out),
                State::Connecting | State::Handshaking => {
                    out.push(Output::Close);
                    self.lose(now, Cause::ConnectTimeout, out);
                }
                State::Subscribing => {
                    out.push(Output::Close);
                    self.lose(now, Cause::SubscribeTimeout, out);
                }
                State::Idle | State::Receiving | State::Stopped => {
                    unreachable!("armed only while something is awaited")
                }
            }
        }
        // The connection may have ended just above.
        if matches!(self.state, State::Subscribing | State::Receiving) {
            match self.session.pulse(now, KEEP_ALIVE) {
                Pulse::Idle => {}
                Pulse::Ping => out.push(Output::Send(Packet::PingReq)),
                Pulse::Dead => {
                    out.push(Output::Close);
                    self.lose(now, Cause::KeepAliveTimeout, out);
                }
            }
        }
    }

    /// An attempt failed or the connection ended.
    fn lose(&mut self, now: Instant, cause: Cause, out: &mut Vec<Output>) {
        self.in_doubt |= self.state == State::Handshaking;
        self.session.disconnected();
        if self.armed && self.gap.is_none() {
            self.gap = Some(Gap {
                session_kept: true,
                in_doubt: false,
            });
            out.push(Output::Event(Event::GapBegan));
        }
        out.push(Output::Event(Event::Failed(cause)));
        self.waits = self.waits.saturating_add(1);
        // Devices count from 0 up, so from the top down the draws are its own.
        let subject = DeviceIdx::MAX - self.name;
        let (seed, draw) = (self.plan.seed, self.draws);
        let wait = backoff::delay(&BACKOFF, seed, subject, draw, self.waits, Duration::ZERO)
            .expect("this policy never gives up");
        self.draws += 1;
        self.state = State::BackingOff;
        self.deadline = now.after(wait);
    }

    fn leave(&mut self, out: &mut Vec<Output>) {
        match self.state {
            State::Subscribing | State::Receiving => {
                out.push(Output::Send(Packet::Disconnect));
                out.push(Output::Close);
            }
            State::Connecting | State::Handshaking => out.push(Output::Close),
            State::Idle | State::BackingOff | State::Stopped => {}
        }
        self.state = State::Stopped;
        self.deadline = Instant::NEVER;
    }

    /// The topic with this index, streams first, and the QoS to ask for: that of what comes on it, but
    /// at least 1, since a grant below that is taken for a refusal.
    fn filter(&self, index: usize) -> (String, QoS) {
        match (self.topics.get(index), &self.wills) {
            (Some(&topic), _) => (self.topic(topic), self.wanted(topic)),
            (None, Some(wills)) => {
                let (topic, qos) = wills.topic(&self.plan, index - self.topics.len());
                (topic, qos.max(QoS::AtLeastOnce))
            }
            (None, None) => unreachable!("there are no others"),
        }
    }

    /// The QoS to ask for: that of the topic's streams, but at least 1.
    fn wanted(&self, (device, stream): (u16, u16)) -> QoS {
        let device = self.devices[usize::from(device)];
        let streams = self.plan.cohorts[self.plan.cohort_of(device)]
            .streams
            .clone();
        let topic = &self.plan.streams[usize::from(stream)].topic;
        let same = self.plan.streams[streams]
            .iter()
            .filter(|s| s.topic == *topic);
        same.map(|s| s.qos).fold(QoS::AtLeastOnce, QoS::max)
    }

    fn topic(&self, (device, stream): (u16, u16)) -> String {
        let device = self.devices[usize::from(device)];
        let names = payload::names(&self.plan, device, self.run);
        self.plan.streams[usize::from(stream)].topic.to_text(&names)
    }
}

/// The exact topics of `devices`, each once, and whether any does not name its device.
fn topics(plan: &Plan, devices: &[DeviceIdx]) -> (Vec<(u16, u16)>, bool) {
    let index = |n: usize| u16::try_from(n).expect("the file's limits on both are below u16");
    let mut topics = Vec::new();
    let mut shared = false;
    for (d, &device) in devices.iter().enumerate() {
        let streams = plan.cohorts[plan.cohort_of(device)].streams.clone();
        for s in streams.clone() {
            let topic = &plan.streams[s].topic;
            shared |= !names_the_device(topic);
            // Streams of one device may share a topic.
            if plan.streams[streams.start..s]
                .iter()
                .all(|earlier| earlier.topic != *topic)
            {
                topics.push((index(d), index(s)));
            }
        }
    }
    (topics, shared)
}

fn names_the_device(topic: &Template) -> bool {
    topic.0.iter().any(|segment| match segment {
        Segment::Device | Segment::Index | Segment::Id | Segment::Token => true,
        Segment::Literal(_)
        | Segment::Secret(_)
        | Segment::Cohort
        | Segment::Node
        | Segment::Run => false,
    })
}

//! A device whose server says anything: it never panics, writes only sound packets and only to an
//! open transport, keeps to its window, never has one packet identifier in use twice, and its books
//! balance.

use super::script::{Inbox, Script, must_encode};
use fleetstorm::device::payload::{self, Scratch};
use fleetstorm::device::{Device, Input, Output, Profile};
use fleetstorm::mqtt::codec;
use fleetstorm::mqtt::packet::{ConnectCode, Packet, PacketId, Publish, QoS};
use fleetstorm::scenario::file::{self, Overrides, Secrets};
use fleetstorm::scenario::plan::Plan;
use fleetstorm::stats::event::{Cause, Event};
use fleetstorm::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// The cohort's `inflight`.
const WINDOW: usize = 3;

/// One device for an hour; CLEAN, STEPS and QOS vary.
const TEXT: &str = r#"
name: fuzz
seed: 3
fleet:
  - cohort: meters
    devices: 1
    client: { connect_timeout: 10s, keep_alive: 20s, inflight: 3, backoff: { fixed: 1s } }
    session: { clean: CLEAN, will: { topic: "d/{device}/state", payload: "offline", qos: QOS } }
    on_connect: [ STEPS ]
    telemetry:
      - { stream: power, topic: "d/{device}/power", qos: QOS, every: 2s, payload: { bytes: 40 }, ack_timeout: 5s }
      - { stream: beat, topic: "d/{device}/beat", qos: 0, every: 3s, payload: { bytes: 40 }, when_late: skip }
phases:
  - { name: ramp, power_on: { rate: 1/s } }
  - { name: steady, for: 1h }
"#;

const STEPS: &str = r#"
  { publish: { topic: "d/{device}/state", payload: "online", qos: QOS, retain: true } },
  { subscribe: { topic: "d/{device}/cmd", qos: QOS } },
  { publish: { topic: "d/{device}/state", payload: "ready" } }"#;

/// Without and with Clean Session, without and with steps, at QoS 1 and 2.
static PLANS: LazyLock<[Arc<Plan>; 8]> = LazyLock::new(|| {
    std::array::from_fn(|nth| {
        let clean = if nth & 1 == 0 { "false" } else { "true" };
        let steps = if nth & 2 == 0 { "" } else { STEPS };
        let qos = if nth & 4 == 0 { "1" } else { "2" };
        let text = TEXT
            .replace("CLEAN", clean)
            .replace("STEPS", steps)
            .replace("QOS", qos);
        let overrides = Overrides::default();
        let path = Path::new(".");
        let plan = file::parse("fuzz.yaml", &text, path, &overrides, Secrets::Resolve)
            .unwrap_or_else(|errors| panic!("{errors}"));
        Arc::new(plan)
    })
});

/// The first byte chooses the plan, the rest is a script.
pub(crate) fn check(data: &[u8]) {
    let mut script = Script(data);
    let plan = &PLANS[usize::from(script.byte_or_zero()) % PLANS.len()];
    let mut world = World::new(Arc::clone(plan));
    world.step(Input::PowerOn);
    while let Some(what) = script.byte() {
        world.play(what, &mut script);
    }
    world.step(Input::StopArrivals);
    world.wait(Duration::from_secs(1));
    world.step(Input::Shutdown);
}

/// Where the transport is.
#[derive(Copy, Clone, Debug, PartialEq)]
enum Transport {
    None,
    Opening,
    Open,
}

/// What a publish waits for.
#[derive(Copy, Clone, Debug, PartialEq)]
enum Open {
    /// PUBACK.
    AtLeastOnce,
    /// PUBREC.
    ExactlyOnce,
    /// PUBCOMP: its PUBREC came, or the power was cut: a PUBREL is all that is still written.
    Released,
}

/// The device and what it is promised and promises.
struct World {
    device: Device,
    profile: Arc<Profile>,
    now: Instant,
    transport: Transport,
    connected: bool,
    inbox: Inbox,
    /// What an honest server still has to answer, oldest first.
    unanswered: Vec<Packet<'static>>,
    /// Publishes without PUBACK or PUBCOMP.
    open: BTreeMap<PacketId, Open>,
    planned: u64,
    sent: u64,
    unsent: u64,
    ended: u64,
    scratch: Scratch,
}

impl World {
    fn new(plan: Arc<Plan>) -> Self {
        let profile = Arc::new(Profile {
            plan,
            cohort: 0,
            run: 7,
            start: Instant::ZERO,
        });
        Self {
            device: Device::new(Arc::clone(&profile), 0),
            profile,
            now: Instant::ZERO,
            transport: Transport::None,
            connected: false,
            inbox: Inbox::default(),
            unanswered: Vec::new(),
            open: BTreeMap::new(),
            planned: 0,
            sent: 0,
            unsent: 0,
            ended: 0,
            scratch: Scratch::default(),
        }
    }

    fn play(&mut self, what: u8, script: &mut Script<'_>) {
        match what % 8 {
            0 | 1 => self.feed(script.bytes()),
            2 => self.wait(Duration::from_millis(
                250 * u64::from(script.byte_or_zero()),
            )),
            3 => self.connect(script.byte_or_zero() & 1 != 0),
            4 => self.answer(usize::from(script.byte_or_zero())),
            5 if self.transport != Transport::None => {
                self.transport = Transport::None;
                self.step(Input::Closed(Cause::Reset));
            }
            6 if what & 0x80 != 0 => self.step(Input::PowerOff),
            7 => self.step(Input::PowerOn),
            _ => {}
        }
    }

    /// Bytes from the server.
    fn feed(&mut self, bytes: &[u8]) {
        if self.transport != Transport::Open {
            return;
        }
        let mut inbox = std::mem::take(&mut self.inbox);
        let sound = inbox.feed(bytes, |packet| {
            self.step(Input::Received(packet));
            self.transport == Transport::Open
        });
        if self.transport != Transport::Open {
            return;
        }
        self.inbox = inbox;
        if !sound {
            self.transport = Transport::None;
            self.step(Input::Closed(Cause::ProtocolError));
        }
    }

    /// Opens what the device wants opened, and accepts its CONNECT.
    fn connect(&mut self, session_present: bool) {
        if self.transport == Transport::None && self.device.is_powered() {
            self.wait(Duration::from_secs(1));
        }
        if self.transport == Transport::Opening {
            self.transport = Transport::Open;
            self.inbox = Inbox::default();
            self.unanswered.clear();
            self.step(Input::Opened);
        }
        if self.transport == Transport::Open && !self.connected {
            self.step(Input::Received(Packet::ConnAck {
                session_present,
                code: ConnectCode::Accepted,
            }));
        }
    }

    /// What an honest server says to one of the packets without an answer.
    fn answer(&mut self, at: usize) {
        if self.transport != Transport::Open || self.unanswered.is_empty() {
            return;
        }
        let at = at.min(self.unanswered.len() - 1);
        let answer = self.unanswered.remove(at);
        self.step(Input::Received(answer));
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now.after(time);
        while self.device.poll_timeout() <= until {
            self.now = self.now.max(self.device.poll_timeout());
            self.step(Input::Timeout);
        }
        self.now = until;
    }

    fn step(&mut self, input: Input<'_>) {
        if self.connected {
            match &input {
                Input::Received(Packet::PubAck(id)) => self.finished(*id, Open::AtLeastOnce),
                Input::Received(Packet::PubRec(id)) => {
                    if let Some(open @ Open::ExactlyOnce) = self.open.get_mut(id) {
                        *open = Open::Released;
                    }
                }
                Input::Received(Packet::PubComp(id)) => self.finished(*id, Open::Released),
                Input::Received(_)
                | Input::PowerOn
                | Input::PowerOff
                | Input::Timeout
                | Input::Opened
                | Input::Closed(_)
                | Input::StopArrivals
                | Input::Fetched(_)
                | Input::FetchEnded(_)
                | Input::Shutdown => {}
            }
        }
        let mut out = Vec::new();
        self.device.handle_input(self.now, input, &mut out);
        for output in &out {
            self.look_at(output);
        }
        let in_flight = self.device.in_flight().len();
        assert!(in_flight <= WINDOW);
        assert_eq!(self.sent, self.ended + in_flight as u64);
        let waiting = self.device.waiting().len() as u64;
        assert_eq!(self.planned, self.sent + self.unsent + waiting);
        assert!(self.device.poll_timeout() > self.now || !self.device.is_powered());
        assert!(self.device.heap_bytes() < 64 * 1024);
    }

    /// The server's last word on an identifier, if it was waited for.
    fn finished(&mut self, id: PacketId, awaited: Open) {
        if self.open.get(&id) == Some(&awaited) {
            self.open.remove(&id);
        }
    }

    fn look_at(&mut self, output: &Output) {
        match output {
            Output::Open => {
                assert_eq!(self.transport, Transport::None);
                self.transport = Transport::Opening;
            }
            Output::Close => {
                assert_ne!(self.transport, Transport::None);
                self.transport = Transport::None;
            }
            Output::Send(packet) => {
                assert_eq!(self.transport, Transport::Open);
                must_encode(packet);
                self.owe(packet);
            }
            Output::Publish(publish) => {
                self.published(&Publish {
                    dup: publish.dup,
                    qos: publish.qos,
                    retain: publish.retain,
                    packet_id: publish.packet_id,
                    topic: &publish.topic,
                    payload: &publish.payload,
                });
            }
            Output::Telemetry(telemetry) => {
                let mut bytes = Vec::new();
                payload::encode_telemetry(
                    &self.profile,
                    0,
                    telemetry,
                    &mut self.scratch,
                    &mut bytes,
                );
                let decoded = codec::decode(&bytes, bytes.len()).expect("it writes sound packets");
                let Some((Packet::Publish(publish), _)) = decoded else {
                    panic!("telemetry is a PUBLISH: {decoded:?}")
                };
                self.published(&publish);
            }
            Output::Event(event) => self.note(event),
            Output::Fetch(_) | Output::StopFetch | Output::Result(_) => {}
        }
    }

    fn published(&mut self, publish: &Publish<'_>) {
        assert!(self.transport == Transport::Open && self.connected);
        must_encode(&Packet::Publish(*publish));
        let id = publish.packet_id;
        let (awaited, answer) = match publish.qos {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => (Open::AtLeastOnce, Packet::PubAck(id)),
            QoS::ExactlyOnce => (Open::ExactlyOnce, Packet::PubRec(id)),
        };
        if publish.dup {
            assert_eq!(self.open.get(&id), Some(&awaited), "written again");
        } else {
            let old = self.open.insert(id, awaited);
            assert_eq!(old, None, "identifier {id} is in use twice");
        }
        self.unanswered.push(answer);
    }

    /// What an honest server answers to `packet`.
    fn owe(&mut self, packet: &Packet<'_>) {
        let answer = match packet {
            Packet::Subscribe { packet_id, filters } => Packet::SubAck {
                packet_id: *packet_id,
                granted: filters.iter().map(|(_, qos)| Some(*qos)).collect(),
            },
            Packet::Unsubscribe { packet_id, .. } => Packet::UnsubAck(*packet_id),
            Packet::PubRec(id) => Packet::PubRel(*id),
            Packet::PubRel(id) => Packet::PubComp(*id),
            Packet::PingReq => Packet::PingResp,
            Packet::Connect(_) | Packet::PubAck(_) | Packet::PubComp(_) | Packet::Disconnect => {
                return;
            }
            Packet::ConnAck { .. }
            | Packet::Publish(_)
            | Packet::SubAck { .. }
            | Packet::UnsubAck(_)
            | Packet::PingResp => panic!("a client does not send {packet:?}"),
        };
        self.unanswered.push(answer);
    }

    fn note(&mut self, event: &Event) {
        if let Event::Connected {
            session_present, ..
        } = event
        {
            self.connected = true;
            if !session_present {
                self.open.clear();
            }
        } else if matches!(event, Event::Disconnected { .. }) {
            self.connected = false;
            if self.profile.plan.cohorts[0].session.clean {
                self.open.clear();
            }
        } else if matches!(event, Event::PoweredOff) {
            // At QoS 1 the device may forget with its power what it has written.
            self.open.retain(|_, open| *open != Open::AtLeastOnce);
            for open in self.open.values_mut() {
                *open = Open::Released;
            }
        } else if let Event::Sent { qos, .. } = event {
            self.sent += 1;
            self.ended += u64::from(*qos == QoS::AtMostOnce);
        } else if matches!(
            event,
            Event::Acked { .. } | Event::TimedOut { .. } | Event::SessionGone(_)
        ) {
            self.ended += 1;
        } else if matches!(event, Event::Planned(_)) {
            self.planned += 1;
        } else if matches!(event, Event::Unsent(..)) {
            self.unsent += 1;
        }
    }
}

//! Updates, commands and reports of a device against a small server that speaks the real words: from the
//! offer to the confirmation, and everything that may go wrong on the way.

use super::*;
use crate::device::payload::Scratch;
use crate::device::record::Record;
use crate::device::replay::Replay;
use crate::scenario::campaign::{
    Campaign, Defect, Effect, Firmware, Image as PlanImage, Order, Population, Rollout, Server,
};
use crate::scenario::plan::{Attribute, BootTime};
use crate::scenario::update::{CommandHandler, Reported, Resume, UpdateClient, WireProfile};
use crate::stats::event::UpdateEvent;
use crate::stats::results::Outcome;
use crate::wire::Reason;
use crate::wire::aws_streams::Encoding;
use crate::wire::image::Image;
use servers::Speaker;
use std::collections::VecDeque;
use std::fmt::Write as _;

mod aws_jobs;
mod commands;
mod generic_action;
mod malformed;
mod power;
mod property;
mod servers;
mod thingsboard;

/// Bytes of the image: ten blocks of 1024 and a shorter one.
const BYTES: u32 = 10_300;

/// One device that updates itself, on hardware C with firmware 1.4.2; campaign `fw-2` brings 2.0.0.
/// Nothing is drawn: reboots take 3 s. Telemetry is once an hour.
fn update_plan(profile: WireProfile) -> Plan {
    let mut plan = plan();
    plan.streams[0].schedule = Schedule::Every {
        period: Duration::from_secs(3600),
        phase: PhaseShape::Boot,
    };
    let attribute = |name: &str, value: &str| Attribute {
        name: name.into(),
        values: vec![(value.into(), 1)],
        root: None,
    };
    plan.firmware = Firmware {
        attribute: "fw".into(),
        versions: vec!["1.4.2".into(), "2.0.0".into()],
    };
    plan.campaigns = vec![campaign()];
    let cohort = &mut plan.cohorts[0];
    cohort.attributes = vec![attribute("hw", "C"), attribute("fw", "1.4.2")];
    cohort.update = Some(UpdateClient {
        profile,
        block_bytes: 1024,
        window: 1,
        block_timeout: Duration::from_secs(10),
        block_retries: 3,
        resume: Resume::Block,
        flash_bytes_per_s: None,
        verify: Duration::from_millis(200),
        install: Duration::from_secs(2),
        reboot: BootTime::Fixed(Duration::from_secs(3)),
        self_test: Duration::from_secs(2),
        answer_timeout: Duration::from_secs(10),
        reject: 0.0,
        defer: None,
        fail: 0.0,
    });
    plan
}

fn campaign() -> Campaign {
    Campaign {
        name: "fw-2".into(),
        phase: 1,
        start: Duration::from_secs(10),
        server: Server::Operator,
        targets: Population::default(),
        image: PlanImage {
            version: 1,
            bytes: BYTES,
            defects: Vec::new(),
        },
        priorities: Vec::new(),
        order: Order::ByPriority,
        rollout: Rollout::AtOnce,
        aborts: Vec::new(),
        in_progress_timeout: None,
        step_timeout: None,
        retries: 0,
        pauses: Vec::new(),
        cancel: None,
    }
}

fn aws(encoding: Encoding) -> Plan {
    update_plan(WireProfile::AwsJobs { encoding })
}

fn client(plan: &mut Plan) -> &mut UpdateClient {
    plan.cohorts[0].update.as_mut().expect("it has one")
}

/// The image fails like this on all devices.
fn defect(plan: &mut Plan, effect: Effect) {
    plan.campaigns[0].image.defects = vec![Defect {
        attributes: vec![("hw".into(), "C".into())],
        from: Some(0),
        share: 1.0,
        effect,
    }];
}

fn image() -> Image {
    Image::new(42, "2.0.0", BYTES)
}

/// What comes to the device next.
#[derive(Debug)]
enum Coming {
    Opened,
    Refused,
    Packet(Packet<'static>),
    Message(String, Vec<u8>),
    Fetched(Vec<u8>),
    FetchEnded(FetchEnd),
}

/// A device, its server and the network between them, which takes no time.
struct World {
    device: Device,
    plan: Arc<Plan>,
    speaker: Speaker,
    now: Instant,
    coming: VecDeque<Coming>,
    /// Attempts are refused, messages to the server lost.
    down: bool,
    /// The server kept the session.
    present: bool,
    /// Publishes are not acknowledged.
    keep_acks: bool,
    /// What the server held for the session: it comes right behind the next CONNACK.
    held: Vec<(String, Vec<u8>)>,
    /// What was said, one line each.
    text: String,
    rows: Vec<ResultRow>,
    updates: Vec<UpdateEvent>,
    fetching: bool,
    records: Vec<Record>,
    steps: u32,
}

impl World {
    /// Powered on at 0 s.
    fn new(plan: Plan, speaker: Speaker) -> Self {
        let device = device(plan);
        let mut world = Self {
            plan: Arc::clone(&device.profile.plan),
            device,
            speaker,
            now: Instant::ZERO,
            coming: VecDeque::new(),
            down: false,
            present: false,
            keep_acks: false,
            held: Vec::new(),
            text: String::new(),
            rows: Vec::new(),
            updates: Vec::new(),
            fetching: false,
            records: Vec::new(),
            steps: 0,
        };
        world.step(Input::PowerOn);
        world
    }

    fn step(&mut self, input: Input<'_>) {
        self.steps += 1;
        assert!(self.steps < 50_000, "it spins: {}", self.text);
        let mut out = Vec::new();
        let due = self.device.poll_timeout();
        self.device.handle_input(self.now, input.clone(), &mut out);
        // A deadline that was over before it was armed would count as a driver that is late.
        let armed = self.device.poll_timeout();
        let is_late = armed < self.now && armed < due;
        assert!(!is_late, "armed for {armed:?}: {}", self.text);
        let mut scratch = Scratch::default();
        let record = self.device.record(self.now, &input, &out, &mut scratch);
        self.records.push(record);
        // A driver would be called late for it.
        let next = self.device.poll_timeout();
        assert!(next >= self.now, "due {next:?} already: {}", self.text);
        for output in out {
            self.put_out(output);
        }
    }

    fn put_out(&mut self, output: Output) {
        match output {
            Output::Open if self.down => self.coming.push_back(Coming::Refused),
            Output::Open => self.coming.push_back(Coming::Opened),
            Output::Close => {
                self.hang_up();
                self.note("close");
            }
            Output::Send(packet) => self.sent(&packet),
            Output::Publish(publish) => self.published(publish),
            Output::Telemetry(telemetry) => {
                if telemetry.packet_id > 0 && !self.down {
                    let ack = Packet::PubAck(telemetry.packet_id);
                    self.coming.push_back(Coming::Packet(ack));
                }
            }
            Output::Event(Event::Update(event)) => {
                self.updates.push(event);
                self.note(&format!("{event:?}"));
            }
            Output::Event(event @ (Event::Command(_) | Event::LimitReached(_))) => {
                self.note(&format!("{event:?}"));
            }
            Output::Event(_) => {}
            Output::Fetch(fetch) => {
                self.note(&format!("fetch {} from {}", fetch.url, fetch.offset));
                assert!(!self.fetching, "one at a time");
                self.fetching = true;
                self.coming.extend(self.speaker.fetch(&fetch));
            }
            Output::StopFetch => {
                self.note("stop fetch");
                assert!(self.fetching, "none goes on");
                self.end_fetch();
            }
            Output::Result(row) => {
                self.note(&format!(
                    "row {} {} attempts {} bytes {}",
                    row.outcome.word(),
                    row.reason.word(),
                    row.attempts,
                    row.bytes
                ));
                self.rows.push(*row);
            }
        }
    }

    fn sent(&mut self, packet: &Packet<'_>) {
        let answer = match packet {
            Packet::Connect(_) => Packet::ConnAck {
                session_present: self.present,
                code: ConnectCode::Accepted,
            },
            Packet::Subscribe { packet_id, filters } => Packet::SubAck {
                packet_id: *packet_id,
                granted: filters.iter().map(|(_, qos)| Some(*qos)).collect(),
            },
            Packet::PingReq => Packet::PingResp,
            Packet::ConnAck { .. }
            | Packet::Publish(_)
            | Packet::PubAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::SubAck { .. }
            | Packet::Unsubscribe { .. }
            | Packet::UnsubAck(_)
            | Packet::PingResp
            | Packet::Disconnect => return,
        };
        if !self.down {
            let is_connack = matches!(answer, Packet::ConnAck { .. });
            self.coming.push_back(Coming::Packet(answer));
            let held = self
                .held
                .drain(..if is_connack { self.held.len() } else { 0 });
            let held = held.map(|(topic, payload)| Coming::Message(topic, payload));
            self.coming.extend(held);
        }
    }

    fn published(&mut self, publish: OwnedPublish) {
        let text = String::from_utf8_lossy(&publish.payload).into_owned();
        let dup = if publish.dup { " again" } else { "" };
        self.note(&format!("{}{dup} {text}", publish.topic));
        if self.down {
            return;
        }
        if publish.packet_id > 0 && !self.keep_acks {
            let ack = Packet::PubAck(publish.packet_id);
            self.coming.push_back(Coming::Packet(ack));
        }
        let answers = self.speaker.hear(&publish.topic, &publish.payload);
        for (topic, payload) in answers {
            self.coming.push_back(Coming::Message(topic, payload));
        }
    }

    fn note(&mut self, what: &str) {
        let seconds = self.now.ns() as f64 / 1e9;
        writeln!(self.text, "{seconds}s {what}").expect("a String takes all");
    }

    /// Sends the device a message.
    fn push(&mut self, (topic, payload): (String, Vec<u8>)) {
        self.coming.push_back(Coming::Message(topic, payload));
        self.settle();
    }

    /// Hands over all that comes now.
    fn settle(&mut self) {
        while let Some(coming) = self.coming.pop_front() {
            match coming {
                Coming::Opened => self.step(Input::Opened),
                Coming::Refused => self.step(Input::Closed(Cause::Refused)),
                Coming::Packet(packet) => self.step(Input::Received(packet)),
                Coming::Message(topic, payload) => {
                    self.step(Input::Received(Packet::Publish(Publish {
                        dup: false,
                        qos: QoS::AtMostOnce,
                        retain: false,
                        packet_id: 0,
                        topic: &topic,
                        payload: &payload,
                    })));
                }
                Coming::Fetched(bytes) => self.step(Input::Fetched(&bytes)),
                Coming::FetchEnded(end) => {
                    self.fetching = false;
                    self.step(Input::FetchEnded(end));
                }
            }
        }
    }

    /// Lets time pass up to `seconds` after T0.
    fn run(&mut self, seconds: f64) {
        let until = Instant::from_ns((seconds * 1e9).round() as u64);
        self.settle();
        while self.device.poll_timeout() <= until {
            self.now = self.now.max(self.device.poll_timeout());
            self.step(Input::Timeout);
            self.settle();
        }
        self.now = until;
    }

    /// The network is gone, and the device's connection with it.
    fn cut(&mut self) {
        self.down = true;
        self.hang_up();
        self.note("cut");
        if self.device.is_connected() {
            self.step(Input::Closed(Cause::Reset));
        }
    }

    fn power_off(&mut self) {
        self.note("power off");
        self.step(Input::PowerOff);
        self.coming.clear();
    }

    fn power_on(&mut self) {
        self.note("power on");
        self.step(Input::PowerOn);
    }

    /// What is on the connection is lost.
    fn hang_up(&mut self) {
        self.coming.retain(|coming| match coming {
            Coming::Fetched(_) | Coming::FetchEnded(_) => true,
            Coming::Opened | Coming::Refused | Coming::Packet(_) | Coming::Message(..) => false,
        });
    }

    fn end_fetch(&mut self) {
        self.fetching = false;
        self.coming.retain(|coming| match coming {
            Coming::Fetched(_) | Coming::FetchEnded(_) => false,
            Coming::Opened | Coming::Refused | Coming::Packet(_) | Coming::Message(..) => true,
        });
    }

    /// The only row.
    fn row(&self) -> ResultRow {
        assert_eq!(self.rows.len(), 1, "{}", self.text);
        self.rows[0]
    }

    fn outcome(&self) -> (Outcome, Reason) {
        let row = self.row();
        (row.outcome, row.reason)
    }

    fn count(&self, event: UpdateEvent) -> usize {
        self.updates.iter().filter(|e| **e == event).count()
    }

    /// A fresh device does the same byte for byte.
    fn assert_replays(&self) {
        let mut replay = Replay::new(&self.plan, 7, Instant::ZERO);
        for record in &self.records {
            replay.feed(record).expect("the same");
        }
    }
}

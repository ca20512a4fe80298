//! Tests of the whole operator, by scripts of what devices say and hear.

mod aws_jobs;
mod commands;
mod desks;
mod generic_action;
mod queries;
mod rows;
mod thingsboard;

use super::*;
use crate::mqtt::packet::{ConnectCode, Publish};
use crate::scenario::campaign::{
    Campaign, Firmware, FleetCommand, FleetQuery, Image, Offline, Order, Population, Rollout,
    Server, Versions,
};
use crate::scenario::fixture;
use crate::scenario::plan::{Attribute, BootTime, DeviceIdx, Selector, WillPlan};
use crate::scenario::template::{Segment, Template};
use crate::scenario::update::{CommandHandler, Reported, Resume, UpdateClient, WireProfile};
use crate::stats::results::{CampaignMark, CommandRow, QueryRow, ResultRow};
use crate::time::Duration;
use std::collections::VecDeque;

pub(super) const RUN: u32 = 0xfeed;

/// T0 in all tests.
pub(super) fn t0() -> Instant {
    Instant::ZERO.after(Duration::from_secs(5))
}

/// So many milliseconds after T0.
pub(super) fn at(ms: u64) -> Instant {
    t0().after(Duration::from_millis(ms))
}

/// Devices `meters-0…` with firmware 1.4.2 that report, take commands and have wills; nothing planned.
pub(super) fn plan(devices: u32) -> Plan {
    let mut plan = fixture::plan(devices);
    plan.firmware = Firmware {
        attribute: "fw".into(),
        versions: vec!["1.4.2".into(), "2.0.0".into(), "3.0.0".into()],
    };
    let cohort = &mut plan.cohorts[0];
    cohort.attributes.push(Attribute {
        name: "fw".into(),
        values: vec![("1.4.2".into(), devices)],
        root: None,
    });
    cohort.session.will = Some(WillPlan {
        topic: fixture::device_template("d/", "/state"),
        payload: Template(vec![Segment::Literal("offline".into())]),
        qos: QoS::AtLeastOnce,
        retain: false,
    });
    cohort.reported = Some(Reported {
        topic: fixture::device_template("d/", "/reported"),
        qos: QoS::AtLeastOnce,
        every: Some(Duration::from_secs(60)),
    });
    cohort.commands = Some(CommandHandler {
        topic: fixture::device_template("d/", "/rpc"),
        qos: QoS::AtLeastOnce,
        work: Duration::from_millis(100),
        failure: 0.0,
        idempotent: true,
    });
    plan
}

/// Devices that update themselves by `profile`.
pub(super) fn updates(plan: &mut Plan, profile: WireProfile) {
    plan.cohorts[0].update = Some(UpdateClient {
        profile,
        block_bytes: 256,
        window: 1,
        block_timeout: Duration::from_secs(10),
        block_retries: 32,
        resume: Resume::Block,
        flash_bytes_per_s: None,
        verify: Duration::ZERO,
        install: Duration::ZERO,
        reboot: BootTime::NONE,
        self_test: Duration::ZERO,
        answer_timeout: Duration::from_secs(10),
        reject: 0.0,
        defer: None,
        fail: 0.0,
    });
}

/// A campaign for everybody at once, 1 s after T0.
pub(super) fn campaign(name: &str, version: u16) -> Campaign {
    Campaign {
        name: name.into(),
        phase: 0,
        start: Duration::from_secs(1),
        server: Server::Operator,
        targets: Population {
            who: Selector::default(),
            firmware: Some(Versions::Below(version)),
        },
        image: Image {
            version,
            bytes: 600,
            defects: Vec::new(),
        },
        priorities: Vec::new(),
        order: Order::Shuffled,
        rollout: Rollout::AtOnce,
        aborts: Vec::new(),
        in_progress_timeout: Some(Duration::from_secs(20)),
        step_timeout: None,
        retries: 0,
        pauses: Vec::new(),
        cancel: None,
    }
}

/// A command to everybody at once, 1 s after T0.
pub(super) fn command(name: &str) -> FleetCommand {
    FleetCommand {
        name: name.into(),
        phase: 0,
        start: Duration::from_secs(1),
        targets: Population::default(),
        payload: "{\"interval_s\":300}".into(),
        timeout: Duration::from_secs(4),
        retries: 1,
        offline: Offline::Queue,
        rate_per_s: None,
        by_hand: Duration::from_secs(600),
    }
}

/// A query for who is below 2.0.0, 1 s after T0.
pub(super) fn query(name: &str) -> FleetQuery {
    FleetQuery {
        name: name.into(),
        phase: 0,
        start: Duration::from_secs(1),
        end: Duration::from_secs(10),
        every: None,
        targets: Population {
            who: Selector::default(),
            firmware: Some(Versions::Below(1)),
        },
        max_age: None,
        timeout: Duration::from_secs(5),
    }
}

/// A message to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) qos: QoS,
    pub(super) dup: bool,
    pub(super) packet_id: PacketId,
}

/// An operator whose broker answers at once.
pub(super) struct Rig {
    pub(super) operator: Operator,
    pub(super) now: Instant,
    /// Whether the broker sends PUBACKs.
    pub(super) acks: bool,
    /// Whether it says that it has the session.
    pub(super) has_session: bool,
    pub(super) said: Vec<Said>,
    pub(super) findings: Vec<Finding>,
    pub(super) notes: Vec<Note>,
    pub(super) events: Vec<Event>,
    pub(super) filters: Vec<(String, QoS)>,
    pub(super) opened: u32,
    outputs: VecDeque<Output>,
    is_answering: bool,
}

impl Rig {
    /// Armed, at T0.
    pub(super) fn new(plan: Plan) -> Self {
        let mut rig = Self::idle(plan);
        rig.step(Input::Start);
        assert_eq!(rig.events, [Event::Armed]);
        rig.events.clear();
        rig.now = t0();
        rig.step(Input::Begin(t0()));
        rig
    }

    pub(super) fn idle(plan: Plan) -> Self {
        let operator = Operator::of(&Arc::new(plan), RUN).expect("it has something to do");
        Self {
            operator,
            now: Instant::ZERO,
            acks: true,
            has_session: false,
            said: Vec::new(),
            findings: Vec::new(),
            notes: Vec::new(),
            events: Vec::new(),
            filters: Vec::new(),
            opened: 0,
            outputs: VecDeque::new(),
            is_answering: false,
        }
    }

    /// Steps the operator, and lets the broker answer until all is quiet.
    pub(super) fn step(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.operator.handle_input(self.now, input, &mut out);
        self.outputs.extend(out);
        if !std::mem::replace(&mut self.is_answering, true) {
            while let Some(output) = self.outputs.pop_front() {
                self.output(output);
            }
            self.is_answering = false;
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Open(desk) => {
                self.opened += 1;
                self.step(Input::Opened(desk));
            }
            Output::Send(desk, Packet::Connect(_)) => {
                let session_present = self.has_session;
                let code = ConnectCode::Accepted;
                let packet = Packet::ConnAck {
                    session_present,
                    code,
                };
                self.step(Input::Received(desk, packet));
            }
            Output::Send(desk, Packet::Subscribe { packet_id, filters }) => {
                let granted = filters.iter().map(|(_, qos)| Some(*qos)).collect();
                self.filters.extend(filters);
                let packet = Packet::SubAck { packet_id, granted };
                self.step(Input::Received(desk, packet));
            }
            Output::Publish(desk, publish) => {
                self.said.push(Said {
                    topic: publish.topic,
                    payload: String::from_utf8_lossy(&publish.payload).into_owned(),
                    qos: publish.qos,
                    dup: publish.dup,
                    packet_id: publish.packet_id,
                });
                if self.acks && publish.qos == QoS::AtLeastOnce {
                    let ack = Packet::PubAck(publish.packet_id);
                    self.step(Input::Received(desk, ack));
                }
            }
            Output::Event(Event::Finding(finding)) => self.findings.push(finding),
            Output::Event(Event::Noted(note)) => self.notes.push(note),
            Output::Event(event) => self.events.push(event),
            Output::Send(..) | Output::Close(_) => {}
        }
    }

    /// Lets all deadlines up to `end` come.
    pub(super) fn run_until(&mut self, end: Instant) {
        let mut steps = 0;
        while self.operator.poll_timeout() <= end {
            self.now = self.now.max(self.operator.poll_timeout());
            self.step(Input::Timeout);
            steps += 1;
            assert!(steps < 100_000, "it never comes to rest");
        }
        self.now = end;
    }

    /// A message comes to the first desk.
    pub(super) fn hear(&mut self, topic: &str, payload: impl AsRef<[u8]>) {
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            packet_id: 0,
            topic,
            payload: payload.as_ref(),
        };
        self.step(Input::Received(0, Packet::Publish(publish)));
    }

    /// `meters-<device>` reports `fw`, as of now.
    pub(super) fn report(&mut self, device: DeviceIdx, fw: &str) {
        let ms = self.now.since(t0()).as_millis();
        let payload = format!("{{\"at\":{ms},\"fw\":\"{fw}\"}}");
        self.hear(&format!("d/meters-{device}/reported"), payload);
    }

    /// What was said since the last time.
    pub(super) fn take_said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    /// Topics and payloads of what was said since the last time.
    pub(super) fn take_texts(&mut self) -> Vec<(String, String)> {
        let said = self.take_said().into_iter();
        said.map(|said| (said.topic, said.payload)).collect()
    }

    pub(super) fn results(&self) -> Vec<ResultRow> {
        let row = |finding: &Finding| match finding {
            Finding::Result(row) => Some(*row),
            Finding::Command(_)
            | Finding::Query(_)
            | Finding::Campaign { .. }
            | Finding::CommandStarted { .. } => None,
        };
        self.findings.iter().filter_map(row).collect()
    }

    pub(super) fn commands(&self) -> Vec<CommandRow> {
        let row = |finding: &Finding| match finding {
            Finding::Command(row) => Some(*row),
            Finding::Result(_)
            | Finding::Query(_)
            | Finding::Campaign { .. }
            | Finding::CommandStarted { .. } => None,
        };
        self.findings.iter().filter_map(row).collect()
    }

    pub(super) fn queries(&self) -> Vec<QueryRow> {
        let row = |finding: &Finding| match finding {
            Finding::Query(row) => Some(*row),
            Finding::Result(_)
            | Finding::Command(_)
            | Finding::Campaign { .. }
            | Finding::CommandStarted { .. } => None,
        };
        self.findings.iter().filter_map(row).collect()
    }

    pub(super) fn marks(&self) -> Vec<CampaignMark> {
        let mark = |finding: &Finding| match finding {
            Finding::Campaign { mark, .. } => Some(*mark),
            Finding::Result(_)
            | Finding::Command(_)
            | Finding::Query(_)
            | Finding::CommandStarted { .. } => None,
        };
        self.findings.iter().filter_map(mark).collect()
    }
}

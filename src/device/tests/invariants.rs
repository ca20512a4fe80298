//! What holds whatever comes: a driver that keeps its promises (no input of a closed transport, all
//! deadlines handed over, if late) meets a server and a network that keep none.

use super::*;
use crate::device::pacer::Pacer;
use crate::device::payload::Scratch;
use crate::device::record::{Record, RecordedOutput};
use crate::device::replay::{Compared, Replay};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use std::collections::{BTreeMap, BTreeSet};

const WINDOW: usize = 2;

/// What the world does next.
#[derive(Clone, Debug)]
enum Move {
    /// Time passes: this many milliseconds, and timers are handled this many milliseconds late.
    Wait(u64, u64),
    PowerOn,
    PowerOff,
    Opened,
    Closed,
    ConnAck(bool),
    Refusal,
    PubAck(PacketId),
    PubRec(PacketId),
    PubComp(PacketId),
    PubRel(PacketId),
    /// The next acknowledgement of the publish with the lowest identifier.
    Ack,
    /// An answer to the SUBSCRIBE: granted or not.
    SubAck(bool),
    PingResp,
    Message,
    /// A QoS 2 message.
    Once(PacketId),
    Garbage,
    StopArrivals,
    Shutdown,
}

fn world_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        12 => (0u64..20_000, prop_oneof![4 => Just(0), 1 => 0u64..30_000])
            .prop_map(|(wait, lag)| Move::Wait(wait, lag)),
        3 => Just(Move::PowerOn),
        1 => Just(Move::PowerOff),
        8 => Just(Move::Opened),
        3 => Just(Move::Closed),
        8 => any::<bool>().prop_map(Move::ConnAck),
        1 => Just(Move::Refusal),
        2 => (1u16..20).prop_map(Move::PubAck),
        3 => (1u16..20).prop_map(Move::PubRec),
        2 => (1u16..20).prop_map(Move::PubComp),
        2 => (1u16..4).prop_map(Move::PubRel),
        14 => Just(Move::Ack),
        6 => prop::bool::weighted(0.8).prop_map(Move::SubAck),
        4 => Just(Move::PingResp),
        2 => Just(Move::Message),
        3 => (1u16..4).prop_map(Move::Once),
        1 => Just(Move::Garbage),
        1 => prop::bool::weighted(0.2).prop_map(|stop| if stop { Move::StopArrivals } else { Move::Ack }),
        1 => prop::bool::weighted(0.1).prop_map(|stop| if stop { Move::Shutdown } else { Move::Ack }),
    ]
}

#[derive(Copy, Clone, Debug, PartialEq)]
enum Transport {
    None,
    Opening,
    Open,
}

/// Where the exchange of a publish is.
#[derive(Copy, Clone, Debug, PartialEq)]
enum Stage {
    QoS1,
    Written,
    Released,
    /// The device has forgotten what it was, or never knew.
    Abandoned,
}

/// The books of one stream, as told by events.
#[derive(Debug, Default)]
struct StreamBooks {
    planned: u64,
    sent: u64,
    unsent: u64,
    ended: u64,
    /// Next seq of this boot.
    next_seq: u32,
    last_sent_seq: Option<u32>,
}

/// The device, what surrounds it, and what its outputs add up to.
struct World {
    device: Device,
    now: Instant,
    transport: Transport,
    connected: bool,
    powered: bool,
    expected: bool,
    attempting: bool,
    stopped_at: Option<Instant>,
    books: BTreeMap<u16, StreamBooks>,
    /// Identifiers that must not be given to another packet: by id, whose.
    reserved: BTreeMap<PacketId, (Option<Operation>, Stage)>,
    /// Inbound QoS 2 messages that are not released.
    received: BTreeSet<PacketId>,
    /// What was written again since CONNACK in this step: PUBREL or not, and the id.
    again: Vec<(bool, PacketId)>,
    /// Publishes of a resumed session that are not yet written again.
    owed: BTreeSet<PacketId>,
    subscribe: Option<PacketId>,
    out: Vec<Output>,
    /// What happened, if it is kept.
    records: Option<Vec<Record>>,
}

impl World {
    fn new(plan: Plan) -> Self {
        Self {
            device: device(plan),
            now: Instant::ZERO,
            transport: Transport::None,
            connected: false,
            powered: false,
            expected: false,
            attempting: false,
            stopped_at: None,
            books: BTreeMap::new(),
            reserved: BTreeMap::new(),
            received: BTreeSet::new(),
            again: Vec::new(),
            owed: BTreeSet::new(),
            subscribe: None,
            out: Vec::new(),
            records: None,
        }
    }

    fn apply(&mut self, what: &Move) -> TestCaseResult {
        let open = self.transport == Transport::Open;
        match what {
            Move::Wait(wait, lag) => self.wait(*wait, *lag),
            Move::PowerOn => self.step(Input::PowerOn),
            Move::PowerOff => self.step(Input::PowerOff),
            Move::Opened if self.transport == Transport::Opening => {
                self.transport = Transport::Open;
                self.step(Input::Opened)
            }
            Move::Closed if self.transport != Transport::None => {
                self.transport = Transport::None;
                self.step(Input::Closed(Cause::Reset))
            }
            Move::ConnAck(session_present) if open => self.step(conn_ack(*session_present)),
            Move::Refusal if open => self.step(Input::Received(Packet::ConnAck {
                session_present: false,
                code: ConnectCode::NotAuthorized,
            })),
            Move::PubAck(id) if open => self.ack(*id, Packet::PubAck(*id)),
            Move::PubRec(id) if open => self.ack(*id, Packet::PubRec(*id)),
            Move::PubComp(id) if open => self.ack(*id, Packet::PubComp(*id)),
            Move::PubRel(id) if open => {
                if self.connected {
                    self.received.remove(id);
                }
                self.step(Input::Received(Packet::PubRel(*id)))
            }
            Move::Ack if open && !self.reserved.is_empty() => {
                let (id, (_, stage)) = self.reserved.first_key_value().expect("not empty");
                let (id, packet) = match stage {
                    Stage::QoS1 => (*id, Packet::PubAck(*id)),
                    Stage::Written => (*id, Packet::PubRec(*id)),
                    Stage::Released | Stage::Abandoned => (*id, Packet::PubComp(*id)),
                };
                self.ack(id, packet)
            }
            Move::SubAck(granted) if open && self.subscribe.is_some() => {
                let id = self.subscribe.take().expect("just seen");
                self.step(sub_ack(id, granted.then_some(QoS::AtLeastOnce)))
            }
            Move::PingResp if open => self.step(Input::Received(Packet::PingResp)),
            Move::Message if open => self.step(message(QoS::AtLeastOnce, 5)),
            Move::Once(id) if open => self.step(message(QoS::ExactlyOnce, *id)),
            Move::Garbage if open => self.step(Input::Received(Packet::PingReq)),
            Move::StopArrivals => {
                // Not in the very nanosecond in which an arrival was handled already.
                self.now = self.now.after_ns(1);
                self.stopped_at.get_or_insert(self.now);
                self.step(Input::StopArrivals)
            }
            Move::Shutdown => self.step(Input::Shutdown),
            // Nothing comes without a transport.
            Move::Opened
            | Move::Closed
            | Move::ConnAck(_)
            | Move::Refusal
            | Move::PubAck(_)
            | Move::PubRec(_)
            | Move::PubComp(_)
            | Move::PubRel(_)
            | Move::Once(_)
            | Move::Ack
            | Move::SubAck(_)
            | Move::PingResp
            | Move::Message
            | Move::Garbage => Ok(()),
        }
    }

    fn wait(&mut self, wait_ms: u64, lag_ms: u64) -> TestCaseResult {
        let until = self.now.after(Duration::from_millis(wait_ms));
        while self.device.poll_timeout() <= until {
            let deadline = self.device.poll_timeout();
            self.now = deadline.max(self.now).after(Duration::from_millis(lag_ms));
            self.step(Input::Timeout)?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// An acknowledgement, right or wrong: what the device must make of it.
    fn ack(&mut self, id: PacketId, packet: Packet<'static>) -> TestCaseResult {
        if self.connected {
            let stage = self.reserved.get(&id).map(|(_, stage)| *stage);
            let (is_rec, is_comp) = (packet == Packet::PubRec(id), packet == Packet::PubComp(id));
            match stage {
                Some(Stage::QoS1) if !is_rec && !is_comp => {
                    self.reserved.remove(&id);
                    self.owed.remove(&id);
                }
                Some(Stage::Written) if is_rec => {
                    self.reserved.get_mut(&id).expect("just seen").1 = Stage::Released;
                    self.owed.remove(&id);
                }
                Some(Stage::Released | Stage::Abandoned) if is_comp => {
                    self.reserved.remove(&id);
                }
                None if is_rec => {
                    self.reserved.insert(id, (None, Stage::Abandoned));
                }
                // Tolerated, or the end of the connection.
                Some(Stage::QoS1 | Stage::Written | Stage::Released | Stage::Abandoned) | None => {}
            }
        }
        self.step(Input::Received(packet))
    }

    /// The server has no session any more, or the client none.
    fn forget(&mut self) {
        self.reserved.clear();
        self.received.clear();
    }

    /// Of a persistent session the identifiers of QoS 2 survive the power.
    fn power_cut(&mut self) {
        if self.device.profile.cohort().session.clean {
            return self.forget();
        }
        self.reserved.retain(|_, (_, stage)| *stage != Stage::QoS1);
        for exchange in self.reserved.values_mut() {
            *exchange = (None, Stage::Abandoned);
        }
    }

    fn step(&mut self, input: Input<'_>) -> TestCaseResult {
        let mut out = std::mem::take(&mut self.out);
        // A deadline can only be in the past because the driver has not handed it over yet.
        let overdue = match input {
            Input::Timeout => Instant::NEVER,
            Input::PowerOn
            | Input::PowerOff
            | Input::Opened
            | Input::Closed(_)
            | Input::Received(_)
            | Input::StopArrivals
            | Input::Fetched(_)
            | Input::FetchEnded(_)
            | Input::Shutdown => self.device.poll_timeout(),
        };
        let once = self.exactly_once(&input);
        self.again.clear();
        let told = self.records.is_some().then(|| input.clone());
        self.device.handle_input(self.now, input, &mut out);
        if let (Some(records), Some(told)) = (&mut self.records, told) {
            let mut scratch = Scratch::default();
            records.push(self.device.record(self.now, &told, &out, &mut scratch));
        }
        if let Some(id) = once {
            let mut expected = vec![Output::Send(Packet::PubRec(id))];
            if self.received.insert(id) {
                expected.push(Output::Event(Event::Received));
            }
            prop_assert_eq!(&out, &expected);
        }
        let resumed = out.iter().any(is_resumption);
        for output in out.drain(..) {
            self.check(&output)?;
        }
        if resumed {
            self.check_resumed()?;
        }
        self.out = out;
        let deadline = self.device.poll_timeout();
        prop_assert!(deadline >= self.now.min(overdue), "a deadline in the past");
        self.check_state()
    }

    /// The identifier of a QoS 2 message that reaches a session.
    fn exactly_once(&self, input: &Input<'_>) -> Option<PacketId> {
        match input {
            Input::Received(Packet::Publish(publish)) if self.connected => {
                (publish.qos == QoS::ExactlyOnce).then_some(publish.packet_id)
            }
            Input::Received(_)
            | Input::Timeout
            | Input::PowerOn
            | Input::PowerOff
            | Input::Opened
            | Input::Closed(_)
            | Input::StopArrivals
            | Input::Fetched(_)
            | Input::FetchEnded(_)
            | Input::Shutdown => None,
        }
    }

    /// After a resumed session each exchange goes on, the PUBRELs first; some publishes may wait.
    fn check_resumed(&self) -> TestCaseResult {
        prop_assert!(self.again.is_sorted_by_key(|(is_release, _)| !is_release));
        let again: BTreeSet<_> = self.again.iter().map(|(_, id)| *id).collect();
        prop_assert_eq!(again.len(), self.again.len());
        for (id, (_, stage)) in &self.reserved {
            match stage {
                Stage::Released | Stage::Abandoned => prop_assert!(again.contains(id)),
                // Written in this step, again or not, or later.
                Stage::QoS1 | Stage::Written => {}
            }
        }
        let some = self.again.iter().any(|(is_release, _)| !is_release);
        prop_assert!(
            self.owed.is_empty() || some,
            "a resumption that does not begin"
        );
        Ok(())
    }

    fn check(&mut self, output: &Output) -> TestCaseResult {
        match output {
            Output::Open => {
                prop_assert_eq!(self.transport, Transport::None);
                self.transport = Transport::Opening;
            }
            Output::Close => {
                prop_assert_ne!(self.transport, Transport::None);
                self.transport = Transport::None;
            }
            Output::Send(packet) => {
                prop_assert_eq!(self.transport, Transport::Open);
                if let Packet::Subscribe { packet_id, .. } = packet {
                    prop_assert!(!self.reserved.contains_key(packet_id));
                    prop_assert!(self.owed.is_empty(), "new before old");
                    self.subscribe = Some(*packet_id);
                } else if let Packet::PubRel(id) = packet {
                    let stage = self.reserved.get(id).map(|(_, stage)| *stage);
                    prop_assert!(matches!(stage, Some(Stage::Released | Stage::Abandoned)));
                    self.again.push((true, *id));
                } else if !matches!(packet, Packet::Connect(_)) {
                    prop_assert!(self.connected);
                }
            }
            Output::Fetch(_) | Output::StopFetch | Output::Result(_) => {}
            Output::Publish(publish) => {
                self.written(publish.packet_id, publish.dup, None, publish.qos)?;
            }
            Output::Telemetry(telemetry) => {
                prop_assert_eq!(telemetry.boot, self.device.boot());
                let op = telemetry.op;
                let qos = self.device.profile.plan.streams[usize::from(op.stream)].qos;
                self.written(telemetry.packet_id, telemetry.dup, Some(op), qos)?;
            }
            Output::Event(event) => self.event(event)?,
        }
        Ok(())
    }

    fn written(
        &mut self,
        id: PacketId,
        dup: bool,
        op: Option<Operation>,
        qos: QoS,
    ) -> TestCaseResult {
        prop_assert!(self.transport == Transport::Open && self.connected);
        prop_assert!(dup || self.owed.is_empty(), "new before old");
        if id == 0 {
            return Ok(());
        }
        let stage = if qos == QoS::ExactlyOnce {
            Stage::Written
        } else {
            Stage::QoS1
        };
        if dup {
            prop_assert_eq!(self.reserved.get(&id), Some(&(op, stage)));
            prop_assert!(self.owed.remove(&id), "{} once more", id);
            self.again.push((false, id));
        } else {
            prop_assert!(self.subscribe != Some(id));
            prop_assert!(
                self.reserved.insert(id, (op, stage)).is_none(),
                "{} in use twice",
                id
            );
        }
        Ok(())
    }

    fn event(&mut self, event: &Event) -> TestCaseResult {
        match event {
            Event::PoweredOn => {
                prop_assert!(!self.powered);
                (self.powered, self.expected) = (true, false);
                self.books.values_mut().for_each(|b| {
                    (b.next_seq, b.last_sent_seq) = (0, None);
                });
            }
            Event::PoweredOff => {
                prop_assert!(self.powered && self.expected && !self.connected);
                self.powered = false;
                self.attempting = false;
                self.power_cut();
            }
            Event::Expected => {
                prop_assert!(self.powered && !self.expected);
                self.expected = true;
            }
            Event::AttemptStarted { intended } => {
                prop_assert!(!self.attempting && !self.connected && *intended <= self.now);
                self.attempting = true;
            }
            Event::AttemptFailed { .. } => {
                prop_assert!(self.attempting);
                self.attempting = false;
            }
            Event::Connected {
                session_present, ..
            } => {
                prop_assert!(self.attempting && self.expected);
                (self.attempting, self.connected) = (false, true);
                if *session_present {
                    let is_owed = |stage| matches!(stage, Stage::QoS1 | Stage::Written);
                    let owed = self.reserved.iter().filter(|(_, what)| is_owed(what.1));
                    self.owed = owed.map(|(id, _)| *id).collect();
                } else {
                    self.forget();
                }
            }
            Event::Disconnected { .. } => {
                prop_assert!(self.connected);
                self.connected = false;
                self.subscribe = None;
                self.owed.clear();
                if self.device.profile.cohort().session.clean {
                    self.forget();
                }
            }
            Event::Planned(op) => self.planned(op)?,
            Event::Unsent(op, _) => self.books.entry(op.stream).or_default().unsent += 1,
            Event::Sent { op, qos, .. } => {
                let books = self.books.entry(op.stream).or_default();
                prop_assert!(books.last_sent_seq < Some(op.seq), "in order");
                books.last_sent_seq = Some(op.seq);
                books.sent += 1;
                books.ended += u64::from(*qos == QoS::AtMostOnce);
            }
            Event::Acked { op, .. } | Event::TimedOut { op, .. } | Event::SessionGone(op) => {
                self.books.entry(op.stream).or_default().ended += 1;
            }
            Event::LimitReached(limit) => {
                prop_assert_eq!(*limit, Limit::GrantedQos, "too few publishes for that");
            }
            Event::GaveUp
            | Event::Retransmitted(_)
            | Event::ReleasedAgain(_)
            | Event::LateAck(_)
            | Event::UnexpectedAck
            | Event::Update(_)
            | Event::Command(_)
            | Event::Received => {}
        }
        Ok(())
    }

    fn planned(&mut self, op: &Operation) -> TestCaseResult {
        prop_assert!(op.intended <= self.now);
        prop_assert!(self.stopped_at.is_none_or(|end| op.intended < end));
        let books = self.books.entry(op.stream).or_default();
        prop_assert_eq!(op.seq, books.next_seq);
        books.next_seq += 1;
        books.planned += 1;
        Ok(())
    }

    fn check_state(&self) -> TestCaseResult {
        let device = &self.device;
        prop_assert_eq!(device.is_powered(), self.powered);
        prop_assert_eq!(device.is_connected(), self.connected);
        // Else a server that never answers would end the telemetry.
        prop_assert!(self.owed.is_empty() || device.timers.is_armed(Timer::Burst));
        let (waiting, in_flight) = (device.waiting(), device.in_flight());
        prop_assert!(in_flight.len() <= WINDOW);
        prop_assert!(usize::from(device.session.in_flight()) <= WINDOW);
        prop_assert_eq!(
            device.is_drained(),
            waiting.is_empty() && in_flight.is_empty()
        );
        for (stream, books) in &self.books {
            let count =
                |ops: &[Operation]| ops.iter().filter(|op| op.stream == *stream).count() as u64;
            prop_assert_eq!(books.planned, books.sent + books.unsent + count(&waiting));
            prop_assert_eq!(books.sent, books.ended + count(&in_flight));
        }
        Ok(())
    }
}

/// Whether it is the CONNACK of a session that the server kept.
const fn is_resumption(output: &Output) -> bool {
    matches!(
        output,
        Output::Event(Event::Connected {
            session_present: true,
            ..
        })
    )
}

fn varied_plan(clean: bool, steps: bool) -> Plan {
    let mut plan = plan();
    plan.cohorts[0].session.clean = clean;
    plan.cohorts[0].client.keep_alive_s = 7;
    plan.cohorts[0].client.ping_timeout = Duration::from_secs(3);
    add_stream(&mut plan, |s| s.qos = QoS::AtMostOnce);
    add_stream(&mut plan, |s| s.when_late = WhenLate::Skip);
    add_stream(&mut plan, |s| {
        s.when_late = WhenLate::Latest;
        s.qos = QoS::ExactlyOnce;
        s.ack_timeout = Duration::from_secs(3);
        s.schedule = Schedule::Poisson {
            mean_gap: Duration::from_secs(4),
        };
    });
    if steps {
        let topic = fixture::device_template("d/", "/x");
        let payload = fixture::device_template("", "");
        let publish = |qos| Step::Publish {
            topic: topic.clone(),
            payload: payload.clone(),
            qos,
            retain: false,
        };
        let subscribe = Step::Subscribe {
            topic: topic.clone(),
            qos: QoS::ExactlyOnce,
        };
        let (least, once) = (publish(QoS::AtLeastOnce), publish(QoS::ExactlyOnce));
        plan.cohorts[0].on_connect = vec![once, subscribe, least];
    } else {
        // So that one publish at a time is written again.
        plan.streams[0].payload = Payload::Bytes(100 * 1024);
    }
    plan
}

proptest! {
    #[test]
    fn the_books_balance_and_the_protocol_holds(
        clean: bool,
        steps: bool,
        moves in proptest::collection::vec(world_move(), 1..150),
    ) {
        let mut world = World::new(varied_plan(clean, steps));
        world.step(Input::PowerOn)?;
        for what in &moves {
            world.apply(what)?;
        }
    }

    /// A fresh device that is told the same does the same.
    #[test]
    fn a_replay_is_the_same(
        clean: bool,
        steps: bool,
        moves in proptest::collection::vec(world_move(), 1..150),
    ) {
        let mut world = World::new(varied_plan(clean, steps));
        world.records = Some(Vec::new());
        world.step(Input::PowerOn)?;
        for what in &moves {
            world.apply(what)?;
        }
        let records = world.records.expect("they are kept");
        let mut packets = 0;
        let mut replay = Replay::new(&world.device.profile.plan, 7, Instant::ZERO);
        for record in &records {
            // As it comes back from a file.
            let text = serde_json::to_string(record).expect("a record is JSON");
            let record: Record = serde_json::from_str(&text).expect("its own text");
            prop_assert_eq!(replay.feed(&record), Ok(()));
            let is_packet = |output: &&RecordedOutput| matches!(output, RecordedOutput::Packet(_));
            packets += record.outputs.iter().filter(is_packet).count() as u64;
        }
        let inputs = records.len() as u64;
        prop_assert_eq!(replay.compared(), Compared { devices: 1, inputs, packets });
    }

    /// The device's own count of arrivals equals the schedule's arithmetic, however late timers are.
    #[test]
    fn arrivals_agree_with_the_arithmetic(
        moves in proptest::collection::vec(world_move(), 1..60),
    ) {
        let mut world = World::new(varied_plan(false, false));
        world.step(Input::PowerOn)?;
        for what in &moves {
            if !matches!(what, Move::PowerOff | Move::Shutdown) {
                world.apply(what)?;
            }
        }
        world.apply(&Move::StopArrivals)?;
        let end = world.stopped_at.expect("just stopped");
        for stream in 0..4u16 {
            let pacer = Pacer {
                plan: &world.device.profile.plan,
                stream: usize::from(stream),
                device: 0,
                boot: 1,
                start: Instant::ZERO,
            };
            let mut counts = [0];
            pacer.count(Instant::ZERO, end, &[end], &mut counts);
            let planned = world.books.get(&stream).map_or(0, |books| books.planned);
            prop_assert_eq!(planned, counts[0]);
        }
    }
}

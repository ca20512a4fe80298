//! Exactly once, end to end: clients that keep to the protocol, connections that end anywhere, faults
//! and a work queue in between; in the end each QoS 2 message has reached each subscriber once and in
//! order, and the retained messages are the last ones.

use super::super::*;
use super::property::any_service;
use super::{connect, shape};
use crate::mqtt::packet::Publish;
use crate::scenario::plan::{DropAck, GoneClients};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::time::Duration;

/// What each client subscribes to. The last one asks for QoS 1.
const FILTERS: [(&[&str], QoS); 3] = [
    (&["#"], QoS::ExactlyOnce),
    (&["+/+/state", "p0/#"], QoS::ExactlyOnce),
    (&["+/#"], QoS::AtLeastOnce),
];

/// Last level of a topic: a client's QoS 2 messages, its retained QoS 2 messages, its QoS 1 messages.
const KINDS: [&str; 3] = ["event", "state", "sample"];

/// A message of a client: number `n` of all.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Sent {
    n: usize,
    from: usize,
    kind: usize,
}

/// A packet on its way to the backend.
#[derive(Clone, Debug)]
enum Up {
    Publish(PacketId, bool, Sent),
    Packet(Packet<'static>),
}

#[derive(Debug)]
enum Stage {
    Published,
    Released,
}

/// A client that keeps to the protocol, as a publisher and as a subscriber, with a session of its
/// own.
#[derive(Debug, Default)]
struct Client {
    conn: Option<ConnId>,
    is_connected: bool,
    up: VecDeque<Up>,
    down: VecDeque<Output>,
    latest_id: PacketId,
    sent: Vec<(PacketId, Sent, Stage)>,
    /// Identifiers between PUBLISH and PUBREL, with the message.
    awaited: BTreeMap<PacketId, usize>,
    /// Messages for the application, by number, in order.
    got: Vec<usize>,
}

impl Client {
    fn publish(&mut self, sent: Sent) {
        self.latest_id += 1;
        self.sent.push((self.latest_id, sent, Stage::Published));
        if self.is_connected {
            self.up.push_back(Up::Publish(self.latest_id, false, sent));
        }
    }

    fn hear(&mut self, output: &Output) -> Result<(), TestCaseError> {
        match output {
            Output::Send(_, Packet::ConnAck { .. }) => {
                self.is_connected = true;
                for (id, sent, stage) in &self.sent {
                    self.up.push_back(match stage {
                        Stage::Published => Up::Publish(*id, true, *sent),
                        Stage::Released => Up::Packet(Packet::PubRel(*id)),
                    });
                }
            }
            Output::Send(_, Packet::PubAck(id) | Packet::PubComp(id)) => {
                self.sent.retain(|(of, ..)| of != id);
            }
            Output::Send(_, Packet::PubRec(id)) => {
                for (of, _, stage) in &mut self.sent {
                    if of == id {
                        *stage = Stage::Released;
                    }
                }
                self.up.push_back(Up::Packet(Packet::PubRel(*id)));
            }
            Output::Send(_, Packet::PubRel(id)) => {
                self.awaited.remove(id);
                self.up.push_back(Up::Packet(Packet::PubComp(*id)));
            }
            Output::Deliver(_, delivery) => return self.take(delivery),
            Output::Send(..) => {}
            Output::Close { .. } | Output::PauseAccepting | Output::ResumeAccepting => {
                unreachable!("not for a client")
            }
        }
        Ok(())
    }

    fn take(&mut self, delivery: &Delivery) -> Result<(), TestCaseError> {
        let text = String::from_utf8_lossy(&delivery.message.payload).into_owned();
        let n: usize = text.parse().expect("payloads are numbers");
        let id = delivery.packet_id;
        prop_assert!(!delivery.retain, "to an established subscription");
        prop_assert!(id != 0);
        match (delivery.qos, self.awaited.get(&id)) {
            (QoS::ExactlyOnce, Some(stored)) => {
                prop_assert_eq!(*stored, n, "identifier {} in use", id);
                prop_assert!(delivery.dup);
            }
            (QoS::ExactlyOnce, None) => {
                self.awaited.insert(id, n);
                self.got.push(n);
            }
            (QoS::AtLeastOnce, stored) => {
                prop_assert!(stored.is_none(), "identifier {} in use", id);
                self.got.push(n);
            }
            (QoS::AtMostOnce, _) => prop_assert!(false, "nobody publishes at QoS 0"),
        }
        self.up.push_back(Up::Packet(match delivery.qos {
            QoS::ExactlyOnce => Packet::PubRec(id),
            QoS::AtMostOnce | QoS::AtLeastOnce => Packet::PubAck(id),
        }));
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Publish(usize, usize),
    /// So many packets of a client pass, up and down.
    Pass(usize, usize),
    /// The connection ends with all that is on its way; the backend learns of it now, or when the
    /// client connects again.
    Cut(usize, bool),
    Connect(usize),
    Start(usize, BackendFault),
    Clear(usize),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let ms = Duration::from_millis;
    let sessions = plan::Sessions::Keep;
    let fault = prop_oneof![
        Just(BackendFault::Restart { sessions }),
        Just(BackendFault::Stall),
        (0..3_000u64).prop_map(move |d| BackendFault::AckDelay(ms(d))),
        (0.0..1.0).prop_map(|p| BackendFault::DropAck(DropAck::Share(p))),
    ];
    let client = || 0..FILTERS.len();
    prop_oneof![
        8 => (client(), 0..KINDS.len()).prop_map(|(c, kind)| Step::Publish(c, kind)),
        12 => (client(), 1..5usize).prop_map(|(c, n)| Step::Pass(c, n)),
        2 => (client(), any::<bool>()).prop_map(|(c, told)| Step::Cut(c, told)),
        4 => client().prop_map(Step::Connect),
        1 => (0..3usize, fault).prop_map(|(i, f)| Step::Start(i, f)),
        2 => (0..3usize).prop_map(Step::Clear),
        3 => (0..900u64).prop_map(Step::Wait),
    ]
}

struct World {
    backend: Backend,
    now: Instant,
    clients: Vec<Client>,
    sent: Vec<Sent>,
    opened: u64,
}

impl World {
    fn new(shape: &Embedded) -> Self {
        Self {
            backend: Backend::new(shape, 0, 7),
            now: Instant::ZERO,
            clients: FILTERS.iter().map(|_| Client::default()).collect(),
            sent: Vec::new(),
            opened: 0,
        }
    }

    fn input(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.backend.handle_input(self.now, input, &mut out);
        for output in out {
            match output {
                Output::Send(conn, _) | Output::Deliver(conn, _) => {
                    let to = self.clients.iter_mut().find(|c| c.conn == Some(conn));
                    if let Some(client) = to {
                        client.down.push_back(output);
                    }
                }
                Output::Close { conn, .. } => {
                    if let Some(at) = self.clients.iter().position(|c| c.conn == Some(conn)) {
                        self.cut(at);
                    }
                }
                Output::PauseAccepting | Output::ResumeAccepting => {}
            }
        }
    }

    fn cut(&mut self, at: usize) -> Option<ConnId> {
        let client = &mut self.clients[at];
        client.up.clear();
        client.down.clear();
        client.is_connected = false;
        client.conn.take()
    }

    fn connect(&mut self, at: usize) {
        if self.clients[at].conn.is_some() {
            return;
        }
        self.opened += 1;
        let conn = ConnId(self.opened);
        self.clients[at].conn = Some(conn);
        let connect = connect(&format!("c{at}"), false, 0);
        let connect = Packet::Connect(Box::new(connect));
        self.clients[at].up.push_back(Up::Packet(connect));
        self.input(Input::Opened(conn));
    }

    fn pass(&mut self, at: usize, packets: usize) -> Result<(), TestCaseError> {
        for _ in 0..packets {
            let client = &mut self.clients[at];
            if let Some(output) = client.down.pop_front() {
                client.hear(&output)?;
            }
            let (Some(conn), Some(up)) = (client.conn, client.up.pop_front()) else {
                continue;
            };
            match up {
                Up::Packet(packet) => self.input(Input::Received(conn, packet)),
                Up::Publish(packet_id, dup, Sent { n, from, kind }) => {
                    let (topic, payload) = (topic(from, kind), n.to_string());
                    let publish = Publish {
                        dup,
                        qos: match kind {
                            2 => QoS::AtLeastOnce,
                            _ => QoS::ExactlyOnce,
                        },
                        retain: kind == 1,
                        packet_id,
                        topic: &topic,
                        payload: payload.as_bytes(),
                    };
                    self.input(Input::Received(conn, Packet::Publish(publish)));
                }
            }
        }
        Ok(())
    }

    fn do_step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Publish(from, kind) => {
                let n = self.sent.len();
                self.sent.push(Sent { n, from, kind });
                self.clients[from].publish(Sent { n, from, kind });
            }
            Step::Pass(at, packets) => self.pass(at, packets)?,
            Step::Cut(at, told) => {
                if let Some(conn) = self.cut(at).filter(|_| told) {
                    self.input(Input::Closed(conn));
                }
            }
            Step::Connect(at) => self.connect(at),
            Step::Start(index, fault) => self.input(Input::FaultStart(index, fault)),
            Step::Clear(index) => self.input(Input::FaultClear(index)),
            Step::Wait(wait) => {
                self.now = self.now.after(Duration::from_millis(wait));
                self.input(Input::Timeout);
            }
        }
        Ok(())
    }

    /// No fault any more, and all that is under way comes to its end.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        for index in (0..3).flat_map(|i| [i; 120]) {
            self.do_step(Step::Clear(index))?;
        }
        for at in 0..FILTERS.len() {
            self.do_step(Step::Cut(at, true))?;
        }
        for _ in 0..400 {
            for at in 0..FILTERS.len() {
                self.connect(at);
                self.pass(at, 20)?;
            }
            self.do_step(Step::Wait(9_000))?;
        }
        for client in &self.clients {
            prop_assert!(client.is_connected && client.sent.is_empty(), "{client:?}");
            let is_quiet = client.up.is_empty() && client.down.is_empty();
            prop_assert!(is_quiet && client.awaited.is_empty(), "{client:?}");
        }
        Ok(())
    }

    /// Each client has a session with its subscriptions.
    fn subscribe(&mut self) -> Result<(), TestCaseError> {
        for (at, (filters, qos)) in FILTERS.into_iter().enumerate() {
            self.connect(at);
            let filters = filters.iter().map(|f| ((*f).to_owned(), qos)).collect();
            let packet_id = 1;
            let subscribe = Packet::Subscribe { packet_id, filters };
            self.clients[at].up.push_back(Up::Packet(subscribe));
        }
        for _ in 0..20 {
            for at in 0..FILTERS.len() {
                self.pass(at, 5)?;
            }
            self.do_step(Step::Wait(9_000))?;
        }
        prop_assert_eq!(self.backend.counts()["subscriptions_granted"], 4);
        Ok(())
    }

    fn check_deliveries(&self) -> Result<(), TestCaseError> {
        for (client, (filters, granted)) in self.clients.iter().zip(FILTERS) {
            for sent in &self.sent {
                let topic = topic(sent.from, sent.kind);
                let wanted = filters.iter().any(|f| topic::matches(f, &topic));
                let times = client.got.iter().filter(|n| **n == sent.n).count();
                match (wanted, sent.kind, granted) {
                    (false, ..) => prop_assert_eq!(times, 0, "{:?}", sent),
                    (true, 0 | 1, QoS::ExactlyOnce) => prop_assert_eq!(times, 1, "{:?}", sent),
                    (true, ..) => prop_assert!(times >= 1, "{:?}", sent),
                }
            }
            if granted == QoS::ExactlyOnce {
                for (from, kind) in (0..FILTERS.len()).flat_map(|f| [(f, 0), (f, 1)]) {
                    let is_it = |n: &&usize| {
                        let Sent {
                            from: f, kind: k, ..
                        } = self.sent[**n];
                        (f, k) == (from, kind)
                    };
                    let of_topic: Vec<_> = client.got.iter().filter(is_it).collect();
                    prop_assert!(of_topic.is_sorted(), "{:?}", of_topic);
                }
            }
        }
        Ok(())
    }

    /// A new subscriber gets the last retained message of each topic.
    fn check_retained(&self) -> Result<(), TestCaseError> {
        let mut kept = BTreeMap::new();
        self.backend.retained.each_matching("+/+/#", |_, message| {
            kept.insert(message.topic.to_string(), message.payload.to_vec());
        });
        let mut last = BTreeMap::new();
        for sent in self.sent.iter().filter(|sent| sent.kind == 1) {
            last.insert(topic(sent.from, 1), sent.n.to_string().into_bytes());
        }
        prop_assert_eq!(kept, last);
        Ok(())
    }
}

fn topic(from: usize, kind: usize) -> String {
    format!("p{from}/x/{}", KINDS[kind])
}

proptest! {
    #[test]
    fn each_message_arrives_once_and_in_order_whatever_breaks(
        steps in prop::collection::vec(any_step(), 1..160),
        service in prop::option::of(any_service()),
        serves_the_gone: bool,
    ) {
        let gone_clients = if serves_the_gone { GoneClients::Serve } else { GoneClients::Skip };
        // With room for all: a full queue closes connections, and a client that repeats all it has
        // in one burst would never get through.
        let service = service.map(|law| plan::Service { queue: 1_000, ..law });
        let mut world = World::new(&Embedded { service, gone_clients, ..shape(None, 0) });
        world.subscribe()?;
        for step in steps {
            world.do_step(step)?;
        }
        world.settle()?;
        world.check_deliveries()?;
        world.check_retained()?;
        let counts = world.backend.counts();
        prop_assert_eq!(counts["protocol_errors"], 0);
        prop_assert_eq!(counts["queue_full_drops"], 0);
        prop_assert_eq!(counts["pubcomps_sent"], counts["pubrels_received"]);
    }
}

//! A backend whose clients say anything: it never panics, writes only sound packets and only to
//! connections that are open, keeps to each client's window, never has one packet identifier in use
//! twice on a connection, and its state is bounded by what came.

use super::script::{Inbox, Script, must_encode};
use fleetstorm::backend::{Backend, ConnId, Delivery, Input, Output};
use fleetstorm::mqtt::packet::{Connect, Packet, PacketId, Publish, QoS};
use fleetstorm::scenario::plan::{
    BackendFault, DropAck, Embedded, GoneClients, Lose, Me, Service, ServiceTime, Sessions,
};
use fleetstorm::time::{Duration, Instant};
use std::collections::BTreeSet;

/// Connections that a script has at a time.
const PLACES: usize = 4;

/// QoS 1 and 2 deliveries under way to one client.
const WINDOW: usize = 256;

/// The first byte chooses the rate of admission and whether work costs time, the rest is a script.
pub(crate) fn check(data: &[u8]) {
    let mut script = Script(data);
    let choice = script.byte_or_zero();
    let rate = choice & 3;
    let mut world = World::new(&Embedded {
        nodes: 1,
        accept_rate_per_s: (rate != 0).then(|| f64::from(rate) * 4.0),
        accept_queue: 2,
        service: (choice & 4 != 0).then(|| Service {
            workers: 2,
            connect: Some(ServiceTime::Fixed(Duration::from_millis(20))),
            publish: Some(ServiceTime::Exponential(Duration::from_millis(200))),
            queue: 8,
        }),
        gone_clients: match choice & 8 {
            0 => GoneClients::Skip,
            _ => GoneClients::Serve,
        },
        me: Me::Shared,
    });
    while let Some(what) = script.byte() {
        world.play(what, &mut script);
    }
    for fault in 0..4 {
        world.step(Input::FaultClear(fault));
    }
    world.wait(Duration::from_secs(60));
    let state = world.backend.state_bytes();
    let bound = 64 * 1024 + 1024 * data.len();
    assert!(
        state <= bound,
        "{state} bytes of state after {} bytes",
        data.len()
    );
}

/// One connection as its client sees it.
struct Client {
    conn: ConnId,
    inbox: Inbox,
    /// Deliveries without PUBACK or PUBCOMP.
    open: BTreeSet<PacketId>,
    /// What an honest client still has to answer, oldest first.
    unanswered: Vec<Packet<'static>>,
}

struct World {
    backend: Backend,
    now: Instant,
    clients: [Option<Client>; PLACES],
    /// Closed by the client. The node may not know yet and answer; that is ignored.
    left: BTreeSet<ConnId>,
    opened: u64,
}

impl World {
    fn new(shape: &Embedded) -> Self {
        Self {
            backend: Backend::new(shape, 0, 5),
            now: Instant::ZERO,
            clients: [const { None }; PLACES],
            left: BTreeSet::new(),
            opened: 0,
        }
    }

    fn play(&mut self, what: u8, script: &mut Script<'_>) {
        let place = usize::from(what >> 6);
        match what % 8 {
            0 | 1 => self.feed(place, script.bytes()),
            2 => self.wait(Duration::from_millis(50 * u64::from(script.byte_or_zero()))),
            3 => self.connect(place, script.byte_or_zero()),
            4 => self.answer(place, usize::from(script.byte_or_zero())),
            5 => self.close(place),
            6 => self.step(Input::FaultStart(place, fault(script.byte_or_zero()))),
            _ => self.step(Input::FaultClear(place)),
        }
    }

    fn open(&mut self, place: usize) {
        self.close(place);
        self.opened += 1;
        let conn = ConnId(self.opened);
        self.clients[place] = Some(Client {
            conn,
            inbox: Inbox::default(),
            open: BTreeSet::new(),
            unanswered: Vec::new(),
        });
        self.step(Input::Opened(conn));
    }

    fn close(&mut self, place: usize) {
        if let Some(client) = self.clients[place].take() {
            self.left.insert(client.conn);
            self.step(Input::Closed(client.conn));
        }
    }

    /// A sound CONNECT, so that scripts get past it; client identifiers are few, for takeovers.
    fn connect(&mut self, place: usize, how: u8) {
        self.open(place);
        let connect = Connect {
            client_id: format!("c{}", (how >> 1) & 3),
            clean_session: how & 1 != 0,
            keep_alive_s: u16::from(how >> 5),
            will: None,
            username: None,
            password: None,
        };
        self.received(place, Packet::Connect(Box::new(connect)));
    }

    /// Bytes from a client.
    fn feed(&mut self, place: usize, bytes: &[u8]) {
        if self.clients[place].is_none() {
            self.open(place);
        }
        let Some(client) = &mut self.clients[place] else {
            return;
        };
        let (conn, mut inbox) = (client.conn, std::mem::take(&mut client.inbox));
        let sound = inbox.feed(bytes, |packet| {
            self.received(place, packet);
            self.conn(place) == Some(conn)
        });
        if self.conn(place) != Some(conn) {
            return;
        }
        if sound {
            if let Some(client) = &mut self.clients[place] {
                client.inbox = inbox;
            }
        } else {
            self.close(place);
        }
    }

    fn conn(&self, place: usize) -> Option<ConnId> {
        self.clients[place].as_ref().map(|client| client.conn)
    }

    fn answer(&mut self, place: usize, at: usize) {
        let Some(client) = &mut self.clients[place] else {
            return;
        };
        if client.unanswered.is_empty() {
            return;
        }
        let at = at.min(client.unanswered.len() - 1);
        let answer = client.unanswered.remove(at);
        self.received(place, answer);
    }

    fn received(&mut self, place: usize, packet: Packet<'_>) {
        let Some(client) = &mut self.clients[place] else {
            return;
        };
        if let Packet::PubAck(id) | Packet::PubComp(id) = &packet {
            client.open.remove(id);
        }
        let conn = client.conn;
        self.step(Input::Received(conn, packet));
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now.after(time);
        while self.backend.poll_timeout() <= until {
            self.now = self.now.max(self.backend.poll_timeout());
            self.step(Input::Timeout);
        }
        self.now = until;
    }

    fn step(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        let is_timeout = matches!(input, Input::Timeout);
        self.backend.handle_input(self.now, input, &mut out);
        if is_timeout {
            assert!(self.backend.poll_timeout() > self.now);
        }
        for output in out {
            match output {
                Output::Send(conn, packet) => {
                    must_encode(&packet);
                    if let (Some(client), Packet::PubRel(id)) = (self.client(conn), packet) {
                        client.unanswered.push(Packet::PubComp(id));
                    }
                }
                Output::Deliver(conn, delivery) => self.delivered(conn, &delivery),
                Output::Close { conn, .. } => {
                    if self.client(conn).is_some() {
                        for place in &mut self.clients {
                            place.take_if(|client| client.conn == conn);
                        }
                    }
                    self.left.insert(conn);
                }
                Output::PauseAccepting | Output::ResumeAccepting => {}
            }
        }
    }

    /// The client of an open connection; a connection that never was is a mistake.
    fn client(&mut self, conn: ConnId) -> Option<&mut Client> {
        let left = self.left.contains(&conn);
        let client = self.clients.iter_mut().flatten().find(|c| c.conn == conn);
        assert!(client.is_some() || left, "{conn:?} was never opened");
        client
    }

    fn delivered(&mut self, conn: ConnId, delivery: &Delivery) {
        must_encode(&Packet::Publish(Publish {
            dup: delivery.dup,
            qos: delivery.qos,
            retain: delivery.retain,
            packet_id: delivery.packet_id,
            topic: delivery.topic(),
            payload: &delivery.message.payload,
        }));
        let (id, qos) = (delivery.packet_id, delivery.qos);
        let Some(client) = self.client(conn) else {
            return;
        };
        let answer = match qos {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => Packet::PubAck(id),
            QoS::ExactlyOnce => Packet::PubRec(id),
        };
        assert!(client.open.insert(id), "identifier {id} is in use twice");
        assert!(client.open.len() <= WINDOW);
        client.unanswered.push(answer);
    }
}

fn fault(how: u8) -> BackendFault {
    match how % 9 {
        0 => BackendFault::Restart {
            sessions: Sessions::Keep,
        },
        1 => BackendFault::Restart {
            sessions: Sessions::Forget,
        },
        2 => BackendFault::Refuse,
        3 => BackendFault::Stall,
        4 => BackendFault::AckDelay(Duration::from_millis(100 * u64::from(how))),
        5 => BackendFault::DropAck(DropAck::Share(0.5)),
        6 => BackendFault::DropAck(DropAck::Count(u32::from(how))),
        7 => BackendFault::PauseAccepting,
        _ => BackendFault::Lose(Lose::Count(u32::from(how))),
    }
}

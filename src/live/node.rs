//! One served backend: its connections, its one deadline and its faults. Every method runs to its
//! end without waiting; tasks and the timer call in.

use super::clock::Clock;
use super::link::{self, Link, NotKept, Overflow, READ_BUFFER};
use super::timer::Alarm;
use crate::backend::{Backend, ConnId, Delivery, Input, Output};
use crate::mqtt::codec::{self, CodecError};
use crate::mqtt::packet::Publish;
use crate::scenario::plan::BackendFault;
use crate::stats::event::{Cause, Limit};
use crate::stats::recorder::{ErrorCount, ErrorKind};
use crate::time::Instant;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};
use tokio::net::TcpStream;
use tokio::task;

/// Bytes that may wait for one connection, besides those of one step. An observer of 250 devices
/// is served this much in one burst.
const OUTPUT_MAX: usize = 1024 * 1024;

/// Reads of one connection before the others get their turn.
const READS_PER_TURN: usize = 4;

/// Timeouts of the backend before the connections get their turn.
const FIRES_PER_TURN: usize = 64;

pub(super) type Shared = Rc<RefCell<Node>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) clock: Clock,
    /// Taken when it stops.
    pub(super) backend: Option<Backend>,
    places: Vec<Place>,
    free: Vec<u32>,
    /// Faults of this node by instant, latest first.
    pub(super) faults: Vec<(Instant, Change)>,
    alarm: Rc<Alarm>,
    pub(super) accepting: bool,
    pub(super) acceptor: Option<Waker>,
    /// Connections with deliveries that the flusher is to write.
    unflushed: Vec<ConnId>,
    pub(super) flusher: Option<Waker>,
    /// Whose packets of one read are worked off; the answers lie in `write_buffer`.
    answering: Option<ConnId>,
    outputs: Vec<Output>,
    /// Connections that the driver closed and the backend was not told of yet.
    untold: Vec<ConnId>,
    read_buffer: Vec<u8>,
    write_buffer: Vec<u8>,
    pub(super) errors: BTreeMap<ErrorKind, ErrorCount>,
    pub(super) accepts_failed: u64,
    me: Weak<RefCell<Self>>,
}

/// Where a connection is kept; reused with the next generation.
#[derive(Debug, Default)]
struct Place {
    generation: u32,
    link: Option<Link>,
}

/// A fault begins or clears.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) enum Change {
    Start(usize, BackendFault),
    Clear(usize),
}

impl Node {
    /// A node without connections.
    pub(super) fn new(backend: Backend, clock: Clock, alarm: Rc<Alarm>) -> Shared {
        Rc::new_cyclic(|me| {
            RefCell::new(Self {
                clock,
                backend: Some(backend),
                places: Vec::new(),
                free: Vec::new(),
                faults: Vec::new(),
                alarm,
                accepting: true,
                acceptor: None,
                unflushed: Vec::new(),
                flusher: None,
                answering: None,
                outputs: Vec::new(),
                untold: Vec::new(),
                read_buffer: vec![0; READ_BUFFER],
                write_buffer: Vec::new(),
                errors: BTreeMap::new(),
                accepts_failed: 0,
                me: Weak::clone(me),
            })
        })
    }

    /// Closes all connections: dropping a link wakes its task, which then ends.
    pub(super) fn close_all(&mut self) {
        self.places.clear();
    }

    /// Steps the backend and carries out what it wants.
    fn step(&mut self, now: Instant, input: Input<'_>) {
        let Some(mut backend) = self.backend.take() else {
            return;
        };
        let mut outputs = std::mem::take(&mut self.outputs);
        backend.handle_input(now, input, &mut outputs);
        self.carry_out(now, &mut outputs);
        while let Some(conn) = self.untold.pop() {
            backend.handle_input(now, Input::Closed(conn), &mut outputs);
            self.carry_out(now, &mut outputs);
        }
        self.outputs = outputs;
        let next = backend.poll_timeout();
        self.backend = Some(backend);
        self.alarm.arm(next, now);
    }

    /// Packets for one connection that follow each other are written at once, so are the answers
    /// to all packets of one read. Deliveries wait for the flusher, whose turn comes after the
    /// connections that are ready now, so that one write takes what all of them publish.
    fn carry_out(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        let mut bytes = std::mem::take(&mut self.write_buffer);
        let mut to = self.answering;
        let mut delivered_to = None;
        for output in outputs.drain(..) {
            match output {
                Output::Send(conn, packet) => {
                    self.turn_to(&mut to, conn, now, &mut bytes);
                    if codec::encode(&packet, &mut bytes).is_err() {
                        self.drop_unencodable(conn, now);
                    }
                }
                Output::Deliver(conn, delivery) => {
                    if to == Some(conn) {
                        self.write(conn, now, &mut bytes);
                    }
                    let goes_on = delivered_to.replace(conn) == Some(conn);
                    self.deliver(conn, now, &delivery, goes_on);
                }
                Output::Close { conn, reset } => {
                    self.turn_to(&mut to, conn, now, &mut bytes);
                    self.write(conn, now, &mut bytes);
                    self.close(conn, reset);
                }
                Output::PauseAccepting => self.accepting = false,
                Output::ResumeAccepting => {
                    self.accepting = true;
                    if let Some(acceptor) = self.acceptor.take() {
                        acceptor.wake();
                    }
                }
            }
        }
        if let Some(conn) = to.filter(|_| to != self.answering) {
            self.write(conn, now, &mut bytes);
        }
        self.write_buffer = bytes;
    }

    fn turn_to(
        &mut self,
        to: &mut Option<ConnId>,
        conn: ConnId,
        now: Instant,
        bytes: &mut Vec<u8>,
    ) {
        if *to != Some(conn) {
            if let Some(before) = *to {
                self.write(before, now, bytes);
            }
            *to = Some(conn);
        }
    }

    fn write(&mut self, conn: ConnId, now: Instant, bytes: &mut Vec<u8>) {
        let written = match self.link(conn) {
            Some(link) => link.write(bytes, OUTPUT_MAX),
            None => Ok(()),
        };
        bytes.clear();
        if let Err(Overflow) = written {
            self.count(ErrorKind::Limit(Limit::OutputBytes), now);
            self.end(conn);
        }
    }

    /// `goes_on` as for [`Link::keep`]: what waited before this step is limited, and what comes after
    /// it, but not a burst of retained messages.
    fn deliver(&mut self, conn: ConnId, now: Instant, delivery: &Delivery, goes_on: bool) {
        let Some(link) = self.link(conn) else { return };
        let kept = link.keep(OUTPUT_MAX, goes_on, |bytes| {
            codec::encode_publish(&as_packet(delivery), bytes)
        });
        match kept {
            Ok(false) => {}
            Ok(true) => {
                self.unflushed.push(conn);
                if let Some(flusher) = self.flusher.take() {
                    flusher.wake();
                }
            }
            Err(NotKept::Overflow) => {
                self.count(ErrorKind::Limit(Limit::OutputBytes), now);
                self.end(conn);
            }
            Err(NotKept::Unencodable) => self.drop_unencodable(conn, now),
        }
    }

    /// What came in as MQTT can be sent on as MQTT; if it cannot all the same, the connection ends.
    fn drop_unencodable(&mut self, conn: ConnId, now: Instant) {
        self.count(ErrorKind::Connection(Cause::ProtocolError), now);
        self.end(conn);
    }

    /// Tells the backend of connections that the driver closed outside of a step.
    fn tell_closed(&mut self, now: Instant) {
        while let Some(conn) = self.untold.pop() {
            self.step(now, Input::Closed(conn));
        }
    }

    pub(super) fn flush_all(&mut self) {
        let mut unflushed = std::mem::take(&mut self.unflushed);
        for conn in unflushed.drain(..) {
            if let Some(link) = self.link(conn) {
                link.flush();
            }
        }
        self.unflushed = unflushed;
    }

    pub(super) fn accepted(&mut self, stream: TcpStream) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).expect("fewer files than 2^32")
        });
        let entry = &mut self.places[place as usize];
        entry.link = Some(Link::accepted(stream));
        let conn = id(entry.generation, place);
        if let Some(node) = self.me.upgrade() {
            drop(task::spawn_local(Reader { node, conn }));
        }
        let now = self.clock.now();
        self.step(now, Input::Opened(conn));
    }

    fn link(&mut self, conn: ConnId) -> Option<&mut Link> {
        let (generation, place) = parts(conn);
        let entry = self.places.get_mut(place as usize)?;
        entry
            .link
            .as_mut()
            .filter(|_| entry.generation == generation)
    }

    /// Closes a connection; the backend knows.
    fn close(&mut self, conn: ConnId, reset: bool) -> bool {
        let (generation, place) = parts(conn);
        let Some(entry) = self.places.get_mut(place as usize) else {
            return false;
        };
        if entry.generation != generation {
            return false;
        }
        let Some(link) = entry.link.take() else {
            return false;
        };
        if reset {
            link.reset();
        }
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(place);
        true
    }

    /// Closes a connection that the backend did not close: it is told when its step is over.
    fn end(&mut self, conn: ConnId) {
        if self.close(conn, false) {
            self.untold.push(conn);
        }
    }

    /// One turn of a connection's task.
    fn poll_link(&mut self, conn: ConnId, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..READS_PER_TURN {
            let mut buffer = std::mem::take(&mut self.read_buffer);
            let outcome = match self.link(conn) {
                Some(link) => {
                    link.remember(cx);
                    // Pending or not, reading goes on.
                    let _ = link.poll_flush(cx);
                    link.poll_read(cx, &mut buffer)
                }
                None => Poll::Ready(Err(Cause::ClosedByPeer)),
            };
            if let Poll::Ready(Ok(n)) = outcome {
                self.received(conn, &buffer[..n]);
            }
            self.read_buffer = buffer;
            if ready!(outcome).is_err() {
                if self.close(conn, false) {
                    let now = self.clock.now();
                    self.step(now, Input::Closed(conn));
                }
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8]) {
        self.fire_due();
        let now = self.clock.now();
        let Some(link) = self.link(conn) else { return };
        let mut inbox = std::mem::take(link.inbox());
        self.answering = Some(conn);
        self.write_buffer.clear();
        let outcome = link::each_packet(&mut inbox, bytes, |packet| {
            self.step(now, Input::Received(conn, packet));
            self.link(conn).is_some()
        });
        self.answering = None;
        let mut answers = std::mem::take(&mut self.write_buffer);
        self.write(conn, now, &mut answers);
        self.write_buffer = answers;
        self.tell_closed(now);
        if let Some(link) = self.link(conn) {
            *link.inbox() = inbox;
        }
        if let Err(error) = outcome {
            self.count(
                match error {
                    CodecError::TooLong { .. } => ErrorKind::Limit(Limit::PacketLength),
                    CodecError::Malformed(_) | CodecError::Unencodable(_) => {
                        ErrorKind::Connection(Cause::ProtocolError)
                    }
                },
                now,
            );
            if self.close(conn, false) {
                self.step(now, Input::Closed(conn));
            }
        }
    }

    /// Handles what is due and arms the alarm for the next; whether more is due.
    pub(super) fn fire_due(&mut self) -> bool {
        for _ in 0..FIRES_PER_TURN {
            let now = self.clock.now();
            if let Some((_, change)) = self.faults.pop_if(|(at, _)| *at <= now) {
                self.step(
                    now,
                    match change {
                        Change::Start(fault, kind) => Input::FaultStart(fault, kind),
                        Change::Clear(fault) => Input::FaultClear(fault),
                    },
                );
            } else if self.next_timeout() <= now {
                self.step(now, Input::Timeout);
            } else {
                let fault = self.faults.last().map_or(Instant::NEVER, |(at, _)| *at);
                self.alarm.arm(self.next_timeout().min(fault), now);
                return false;
            }
        }
        true
    }

    fn next_timeout(&self) -> Instant {
        self.backend
            .as_ref()
            .map_or(Instant::NEVER, Backend::poll_timeout)
    }

    pub(super) fn count(&mut self, kind: ErrorKind, now: Instant) {
        let entry = self.errors.entry(kind).or_insert(ErrorCount {
            kind,
            count: 0,
            first: now,
            last: now,
            example_device: 0,
        });
        entry.count += 1;
        entry.last = now;
    }
}

fn as_packet(delivery: &Delivery) -> Publish<'_> {
    Publish {
        dup: delivery.dup,
        qos: delivery.qos,
        retain: delivery.retain,
        packet_id: delivery.packet_id,
        topic: delivery.topic(),
        payload: &delivery.message.payload,
    }
}

/// A place is reused at most 2^32 times before an old name comes back.
const fn id(generation: u32, place: u32) -> ConnId {
    ConnId((generation as u64) << 32 | place as u64)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "takes the two halves apart"
)]
const fn parts(conn: ConnId) -> (u32, u32) {
    ((conn.0 >> 32) as u32, conn.0 as u32)
}

/// The task of one connection: the state lies in the node.
struct Reader {
    node: Shared,
    conn: ConnId,
}

impl Future for Reader {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.node.borrow_mut().poll_link(self.conn, cx)
    }
}

//! The operator: the only actor that decides from what it hears. It runs campaigns, sends commands
//! and answers queries over MQTT sessions of its own, called desks, at least one per node, so that a
//! plain broker is enough. Sans-IO, like a device.

mod aws_jobs;
mod aws_streams;
mod blocks;
mod command;
mod desk;
mod fleet;
mod generic_action;
mod letter;
mod mail;
mod names;
mod package;
mod query;
mod rollouts;
mod routes;
#[cfg(test)]
mod tests;
mod thingsboard;
mod work;

use crate::device::{connect, payload};
use crate::mqtt::packet::{Packet, PacketId, QoS};
use crate::scenario::plan::{Plan, Secret};
use crate::stats::event::Cause;
pub use crate::stats::event::Note;
use crate::stats::results::Finding;
use crate::time::Instant;
use bytes::Bytes;
use desk::Hello;
use mail::{Mail, Step};
use std::sync::Arc;
use work::Work;

/// Index of a session of the operator.
pub type Desk = u16;

/// What happens to an operator.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Connect and subscribe, on all desks.
    Start,
    /// T0 is known: what the plan wants of it counts from there.
    Begin(Instant),
    /// A deadline (`poll_timeout`) has come.
    Timeout,
    /// The transport of the desk's latest `Output::Open` is established.
    Opened(Desk),
    /// The transport failed to open, or ended.
    Closed(Desk, Cause),
    /// A packet came.
    Received(Desk, Packet<'a>),
    /// The last phase has ended: nobody new is notified or sent a command; what is under way goes on.
    StopArrivals,
    /// The books close: every target without a terminal state gets its row now.
    Close,
    /// End of the run: DISCONNECT and close.
    Shutdown,
}

/// What an operator wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Open a transport from this desk to its node.
    Open(Desk),
    /// Close the transport; a `Closed` input does not follow.
    Close(Desk),
    /// Write a packet.
    Send(Desk, Packet<'static>),
    /// Write a PUBLISH whose payload may be shared by many.
    Publish(Desk, SharedPublish),
    /// Tell whoever runs the run.
    Event(Event),
}

/// A PUBLISH with a shared payload: a block of an image is never copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedPublish {
    /// Quality of service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// Set on a retransmission.
    pub dup: bool,
    /// 0 exactly if QoS 0.
    pub packet_id: PacketId,
    /// Topic Name.
    pub topic: String,
    /// Application message.
    pub payload: Bytes,
}

/// What an operator reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// All subscriptions of all desks are granted for the first time.
    Armed,
    /// A desk's connection failed or ended.
    Failed(Desk, Cause),
    /// The target refuses a subscription of a desk: the run cannot go on.
    SubscribeRefused(Desk),
    /// Something to write down.
    Finding(Finding),
    /// Something to count.
    Noted(Note),
}

/// Messages that wait for a place in the window of one desk.
pub const QUEUE_MAX: usize = 1 << 20;

/// The operator of a run.
#[derive(Debug)]
pub struct Operator {
    plan: Arc<Plan>,
    run: u32,
    desks: Vec<desk::Desk>,
    work: Box<Work>,
    /// Empty between steps.
    mail: Mail,
    is_armed: bool,
}

impl Operator {
    /// The operator of `plan`, if it has one. `run` is part of client ids and job ids. Images are made
    /// here, so that no step of the run takes long.
    pub fn of(plan: &Arc<Plan>, run: u32) -> Option<Self> {
        plan.has_operator().then(|| Self::new(plan, run))
    }

    fn new(plan: &Arc<Plan>, run: u32) -> Self {
        let work = Box::new(Work::new(plan, run));
        let nodes = plan.target.nodes();
        let desk = |node| {
            let filters = work.routes().filters_of(plan, node, nodes);
            desk::Desk::new(node, plan.seed, hello(plan, run, node), filters)
        };
        Self {
            desks: (0..nodes).map(desk).collect(),
            plan: Arc::clone(plan),
            run,
            work,
            mail: Mail::default(),
            is_armed: false,
        }
    }

    /// The node that each desk of the operator of `plan` connects to.
    pub fn desks_of(plan: &Plan) -> Vec<u16> {
        (0..plan.target.nodes()).collect()
    }

    /// The node that each desk connects to.
    pub fn desks(&self) -> Vec<u16> {
        Self::desks_of(&self.plan)
    }

    /// The image of each campaign that it runs, under its name on an HTTP server.
    pub fn images(&self) -> impl Iterator<Item = (&str, Bytes)> {
        let packages = self.work.packages().iter().flatten();
        packages.map(|package| (package.file_name.as_str(), package.image.bytes.clone()))
    }

    /// Its client identifier on `desk`: `fs-op-<run>-<desk>`, both in hex.
    pub fn client_id(&self, desk: Desk) -> String {
        client_id(self.run, desk)
    }

    /// Steps the operator: `input` happened at `now`; what it wants done is appended to `out`.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        match input {
            Input::Start => self.each_desk(now, desk::Input::Start, out),
            Input::Shutdown => self.each_desk(now, desk::Input::Shutdown, out),
            Input::Timeout => {
                self.each_desk(now, desk::Input::Timeout, out);
                self.work(now, out, Work::step);
            }
            Input::Begin(start) => {
                self.work.begin(start);
                self.work(now, out, Work::step);
            }
            Input::Opened(desk) => {
                self.desks[usize::from(desk)].handle_input(now, desk::Input::Opened, out);
            }
            Input::Closed(desk, cause) => {
                self.desks[usize::from(desk)].handle_input(now, desk::Input::Closed(cause), out);
            }
            Input::Received(desk, packet) => self.receive(now, desk, &packet, out),
            Input::StopArrivals => self.work(now, out, Work::stop),
            Input::Close => self.work(now, out, Work::close),
        }
        self.deliver(now, out);
        if !self.is_armed && self.desks.iter().all(desk::Desk::is_armed) {
            self.is_armed = true;
            out.push(Output::Event(Event::Armed));
        }
    }

    /// When it wants `Input::Timeout`; [`Instant::NEVER`] when idle.
    pub fn poll_timeout(&self) -> Instant {
        let desks = self.desks.iter().map(desk::Desk::poll_timeout);
        desks.fold(self.work.poll_timeout(), Instant::min)
    }

    /// Whether every target of all that began has its terminal state, and nothing is yet to begin (the
    /// drain is over for it).
    pub fn is_settled(&self) -> bool {
        self.work.is_settled()
    }

    fn each_desk(&mut self, now: Instant, input: desk::Input, out: &mut Vec<Output>) {
        for desk in &mut self.desks {
            desk.handle_input(now, input, out);
        }
    }

    /// Lets `act` at the work.
    fn work(
        &mut self,
        now: Instant,
        out: &mut Vec<Output>,
        act: impl FnOnce(&mut Work, &mut Step<'_>),
    ) {
        let mail = &mut self.mail;
        act(&mut self.work, &mut Step { now, mail, out });
    }

    fn receive(&mut self, now: Instant, desk: Desk, packet: &Packet<'_>, out: &mut Vec<Output>) {
        let message = self.desks[usize::from(desk)].receive(now, packet, out);
        if let Some(publish) = message {
            let mail = &mut self.mail;
            self.work.message(&publish, &mut Step { now, mail, out });
        }
    }

    /// Hands what is to be said to the desks of the devices' home nodes, which write what they can.
    fn deliver(&mut self, now: Instant, out: &mut Vec<Output>) {
        for (device, publish) in self.mail.blocks.drain(..) {
            let desk = &mut self.desks[usize::from(self.plan.home_node(device))];
            desk.write_through(now, publish, out);
        }
        for (device, letter) in self.mail.letters.drain(..) {
            let desk = &mut self.desks[usize::from(self.plan.home_node(device))];
            desk.post(letter, out);
        }
        for desk in &mut self.desks {
            while let Some(letter) = desk.next_letter() {
                if let Some(publish) = self.work.render(now, letter) {
                    desk.write(now, publish, out);
                }
            }
        }
    }
}

fn client_id(run: u32, desk: Desk) -> String {
    format!("fs-op-{run:08x}-{desk:x}")
}

/// A desk authenticates like the first device of its node: an identity of its own would need a word in
/// the scenario.
fn hello(plan: &Plan, run: u32, node: u16) -> Hello {
    let like = (0..plan.devices()).find(|device| plan.home_node(*device) == node);
    let (username, password) = like.map_or((None, None), |device| {
        connect::credentials(plan, &payload::names(plan, device, run))
    });
    Hello {
        client_id: client_id(run, node),
        username,
        password: password.map(Secret),
    }
}

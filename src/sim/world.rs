//! All actors of a simulated run, and the loop that gives them time.

use super::blackhole::Holes;
use super::books::Books;
use super::clients::{Client, Port, Watch};
use super::desks::Staff;
use super::fetch::Fetches;
use super::links::Links;
use super::nodes::Node;
use super::queue::{Actor, Event, Queue, RUN};
use super::{ARM_TIMEOUT, DRAIN_IDLE, DRAIN_LOOK, Outcome, SimError};
use crate::backend::Backend;
use crate::cloud::observer::{self, Observer};
use crate::cloud::operator::{self, Desk};
use crate::device::outage::Outages;
use crate::device::{self, Device, Profile, payload};
use crate::scenario::plan::{BackendFault, DeviceIdx, Embedded, Plan};
use crate::scenario::timeline::{self, Action, Entry};
use crate::stats::recorder::Snapshot;
use crate::stats::results::Finding;
use crate::time::{Duration, Instant};
use std::collections::VecDeque;
use std::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);

/// See the module. Actors are numbered: the run, nodes, observers, the desks of the operator, devices.
#[derive(Debug)]
pub(super) struct World {
    pub(super) plan: Arc<Plan>,
    run: u32,
    /// All devices, in the order in which they are made and told of the end: no outcome depends on it.
    everyone: Vec<DeviceIdx>,
    pub(super) queue: Queue,
    pub(super) nodes: Vec<Node>,
    pub(super) observers: Vec<Watch>,
    pub(super) staff: Staff,
    /// By index in the fleet; empty until T0 is known.
    pub(super) devices: Vec<Client>,
    pub(super) profiles: Vec<Arc<Profile>>,
    pub(super) outages: Outages,
    pub(super) holes: Holes,
    pub(super) fetches: Fetches,
    /// What nobody has been told of.
    pub(super) findings: Vec<Finding>,
    pub(super) links: Links,
    pub(super) books: Books,
    pub(super) scratch: payload::Scratch,
    pub(super) node_outputs: Vec<crate::backend::Output>,
    pub(super) device_outputs: Vec<device::Output>,
    /// Actors that the next events call.
    pub(super) foretold: Vec<Actor>,
    pub(super) observer_outputs: Vec<observer::Output>,
    /// What still lies ahead.
    timeline: VecDeque<Entry>,
    start: Instant,
    now: Instant,
    drained_since: Option<Instant>,
    pub(super) events: u64,
    /// A second that has ended and that nobody has been told of.
    second: Option<Snapshot>,
    /// Set once the drain is over: whether it came to its end.
    over: Option<bool>,
    /// Nobody has acted from here on: where the books close if the run is stopped now.
    reached: Instant,
}

/// How far a simulation came in one go.
#[derive(Debug)]
pub enum Advance {
    /// To the end of a second of the run, and what that second held.
    Second(Box<Snapshot>),
    /// As many events as it was given, and no further.
    Underway,
    /// The drain is over.
    Over,
}

impl World {
    /// The nodes and observers of a run, before T0.
    pub(super) fn new(plan: &Arc<Plan>, shape: &Embedded, run: u32) -> Self {
        let everyone: Vec<DeviceIdx> = (0..plan.devices()).collect();
        let nodes: Vec<Node> = (0..shape.nodes)
            .map(|node| Node::new(Backend::new(shape, node, plan.seed)))
            .collect();
        let observers: Vec<Watch> = Observer::plan_all(plan, run, 0, &everyone)
            .into_iter()
            .map(Watch::new)
            .collect();
        let staff = Staff::new(plan, run);
        let actors = 1 + nodes.len() + observers.len() + staff.nodes.len() + everyone.len();
        let mut queue = Queue::new(actors);
        // Only tests have a node connect, and then to itself.
        let of_nodes = (0..shape.nodes).map(Port::new);
        let of_observers = observers
            .iter()
            .map(|watch| Port::new(watch.observer.node() % shape.nodes));
        let of_desks = staff.nodes.iter();
        let of_desks = of_desks.map(|node| Port::new(node % shape.nodes));
        for (actor, port) in (1..).zip(of_nodes.chain(of_observers).chain(of_desks)) {
            *queue.port_mut(actor) = port;
        }
        Self {
            plan: Arc::clone(plan),
            run,
            queue,
            nodes,
            observers,
            staff,
            devices: Vec::new(),
            profiles: Vec::new(),
            outages: Outages::new(plan),
            holes: Holes::default(),
            fetches: Fetches::default(),
            findings: Vec::new(),
            links: Links::new(plan),
            books: Books::new(plan, &everyone),
            everyone,
            scratch: payload::Scratch::default(),
            node_outputs: Vec::new(),
            device_outputs: Vec::new(),
            foretold: Vec::new(),
            observer_outputs: Vec::new(),
            timeline: VecDeque::new(),
            start: Instant::NEVER,
            now: Instant::ZERO,
            drained_since: None,
            events: 0,
            second: None,
            over: None,
            reached: Instant::ZERO,
        }
    }

    /// Makes the devices in another order.
    #[cfg(test)]
    pub(super) fn made_in_order(mut self, everyone: Vec<DeviceIdx>) -> Self {
        self.everyone = everyone;
        self
    }

    /// Arms all observers and the operator; when that was done.
    pub(super) fn arm(&mut self) -> Result<Instant, SimError> {
        for o in 0..self.observers.len() {
            self.step_observer(o, Instant::ZERO, observer::Input::Start);
        }
        self.step_operator(Instant::ZERO, operator::Input::Start);
        loop {
            let missing = self.observers.iter().filter(|w| !w.armed).count();
            if missing == 0 && self.staff.is_armed() {
                return Ok(self.now);
            }
            match self.queue.pop() {
                Some((at, event)) if at.since(Instant::ZERO) <= ARM_TIMEOUT => {
                    self.now = at;
                    self.handle(at, event);
                }
                Some(_) | None if missing == 0 => return Err(SimError::OperatorNotArmed),
                Some(_) | None => return Err(SimError::NotArmed { missing }),
            }
        }
    }

    /// T0 is the next whole second after `armed`.
    pub(super) fn begin(&mut self, armed: Instant) {
        let seconds = armed.since(Instant::ZERO).as_secs() + 1;
        let start = Instant::ZERO.after(Duration::from_secs(seconds));
        self.start = start;
        self.books.begin(&self.plan, start);
        self.build_devices(start);
        self.timeline = timeline::compile(&self.plan, |_| true).into();
        self.expect_timeline();
        self.step_operator(self.now, operator::Input::Begin(start));
        self.queue.push(start.after(SECOND), RUN, Event::Second);
    }

    /// The instant of the latest event.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// See [`super::Simulation::take_findings`].
    pub(super) fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// T0.
    pub(super) const fn start(&self) -> Instant {
        self.start
    }

    /// Goes on to the end of the next second, for at most so many events.
    pub(super) fn advance(&mut self, events: u32) -> Advance {
        for _ in 0..events {
            if self.over.is_some() {
                return Advance::Over;
            }
            self.look_ahead();
            let Some((at, event)) = self.queue.pop() else {
                return Advance::Over;
            };
            self.now = at;
            self.handle(at, event);
            if let Some(second) = self.second.take() {
                // The run is the first of all actors at an instant.
                self.reached = at;
                return Advance::Second(Box::new(second));
            }
        }
        self.reached = self.now.after_ns(1);
        Advance::Underway
    }

    fn build_devices(&mut self, start: Instant) {
        self.profiles = (0..self.plan.cohorts.len())
            .map(|cohort| {
                Arc::new(Profile {
                    plan: Arc::clone(&self.plan),
                    cohort,
                    run: self.run,
                    start,
                })
            })
            .collect();
        let make = |&id| {
            let cohort = self.plan.cohort_of(id);
            Client::new(Device::new(Arc::clone(&self.profiles[cohort]), id), cohort)
        };
        self.devices = self.everyone.iter().map(make).collect();
        self.devices
            .sort_unstable_by_key(|client| client.device.id());
        let nodes = u16::try_from(self.nodes.len()).expect("a shape's nodes are a u16");
        for &id in &self.everyone {
            let actor = self.actor_of_device(id);
            *self.queue.port_mut(actor) = Port::new(self.plan.home_node(id) % nodes);
        }
    }

    /// Does what happens at `now`.
    pub(super) fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::Timeline => self.run_timeline(now),
            Event::Second => {
                self.second = self.books.end_second(now);
                self.queue.push(now.after(SECOND), RUN, Event::Second);
            }
            Event::DrainLook => self.look_at_drain(now),
            Event::Timer(actor) => self.fire(now, actor),
            Event::Up(conn, up) => self.reach_node(now, conn, up),
            Event::Down(conn, down) => self.reach_client(now, conn, down),
            Event::Told(conn, cause) => self.tell(now, conn, cause),
            Event::Cut(id, end) => self.cut(now, id, end),
            Event::HalfOpenEnds(conn) => self.half_open_ends(now, conn),
            Event::SynAgain(conn) => self.send_syn_again(now, conn),
            Event::Fetch(conn, step) => self.fetch_step(now, conn, step),
        }
    }

    fn run_timeline(&mut self, now: Instant) {
        while let Some(entry) = self.timeline.front().copied()
            && self.start.after(entry.at) <= now
        {
            self.timeline.pop_front();
            self.act(now, entry.action);
        }
        // A fleet's power-on is long, and gone when the run is at its largest.
        if self.timeline.len() < self.timeline.capacity() / 4 {
            self.timeline.shrink_to_fit();
        }
        self.expect_timeline();
    }

    fn expect_timeline(&mut self) {
        if let Some(entry) = self.timeline.front() {
            let at = self.start.after(entry.at);
            self.queue.push(at, RUN, Event::Timeline);
        }
    }

    fn act(&mut self, now: Instant, action: Action) {
        match action {
            Action::PhaseStart(_) => {}
            Action::PowerOff(id) => self.cut_power(now, id),
            Action::PowerOn(id) => {
                let client = &mut self.devices[id as usize];
                client.power_on = client.power_on.min(now);
                self.step_device(id, now, device::Input::PowerOn);
            }
            Action::FaultStart(fault) => {
                for client in &mut self.devices {
                    client.recovering = None;
                }
                self.step_faulty(now, fault, |kind| {
                    crate::backend::Input::FaultStart(fault, kind)
                });
                self.begin_outage(now, fault);
            }
            Action::FaultClear(fault) => {
                self.outages.clear(fault);
                if self.plan.closes_its_phase(fault) {
                    self.mark_affected(fault);
                }
                if self.outages.is_blackhole(fault) {
                    self.update_holes(now);
                }
                self.step_faulty(now, fault, |_| crate::backend::Input::FaultClear(fault));
            }
            Action::End => {
                self.stop_arrivals(now);
                let look = now.after(DRAIN_LOOK);
                self.queue.push(look, RUN, Event::DrainLook);
            }
        }
    }

    /// No arrivals from `at` on.
    fn stop_arrivals(&mut self, at: Instant) {
        // Who comes back in the drain came back after the run.
        for client in &mut self.devices {
            client.recovering = None;
        }
        for i in 0..self.everyone.len() {
            self.step_device(self.everyone[i], at, device::Input::StopArrivals);
        }
        self.step_operator(at, operator::Input::StopArrivals);
    }

    /// Steps the nodes that a fault acts on.
    fn step_faulty(
        &mut self,
        now: Instant,
        fault: usize,
        input: impl Fn(BackendFault) -> crate::backend::Input<'static>,
    ) {
        for node in 0..self.plan.target.nodes() {
            if let Some(kind) = self.plan.faults[fault]
                .kind
                .on_node(node, self.plan.target.nodes())
            {
                self.step_node(usize::from(node), now, input(kind));
            }
        }
    }

    fn mark_affected(&mut self, fault: usize) {
        let index = u32::try_from(fault).expect("a file's limit on faults is below u32");
        for client in &mut self.devices {
            if client.device.is_missed() {
                client.recovering = Some(index);
                self.books.affected(fault);
            }
        }
    }

    fn look_at_drain(&mut self, now: Instant) {
        let is_drained = self.books.is_drained() && self.staff.is_settled();
        self.drained_since = match (is_drained, self.drained_since) {
            (true, Some(since)) => Some(since),
            (true, None) => Some(now),
            (false, _) => None,
        };
        let end = self.start.after(self.plan.length());
        if self
            .drained_since
            .is_some_and(|since| now.since(since) >= DRAIN_IDLE)
        {
            self.over = Some(true);
        } else if now.since(end) >= self.plan.drain {
            self.over = Some(is_drained);
        } else {
            let look = now.after(DRAIN_LOOK);
            self.queue.push(look, RUN, Event::DrainLook);
        }
    }

    /// Closes the books: at the end of the drain, or now if the run is stopped before.
    pub(super) fn finish(mut self) -> Outcome {
        let last = self.start.after(self.plan.length());
        // The end is the timeline's last entry.
        if !self.timeline.is_empty() {
            self.now = self.reached.max(self.start).min(last);
            self.stop_arrivals(self.now);
        }
        let now = self.now;
        let end = last.min(now);
        self.step_operator(now, operator::Input::Close);
        self.step_operator(now, operator::Input::Shutdown);
        let unfinished = |client: &Client| client.device.unfinished_update(now);
        let unfinished = self.devices.iter().filter_map(unfinished);
        self.findings.extend(unfinished.map(Finding::Result));
        let (totals, rest) = self.books.close(&self.plan, &self.devices, end, now);
        Outcome {
            start: self.start,
            end,
            drained: now,
            drain_complete: self.over == Some(true),
            totals,
            snapshots: rest.into_iter().collect(),
            findings: self.findings,
            backends: self.nodes.iter().map(Node::counts).collect(),
            events: self.events,
            #[cfg(test)]
            came_back: self.books.came_back,
        }
    }

    /// An actor's deadline has come.
    fn fire(&mut self, now: Instant, actor: Actor) {
        self.events += 1;
        match self.who(actor) {
            Who::Run => {}
            Who::Node(node) => self.step_node(node, now, crate::backend::Input::Timeout),
            Who::Observer(o) => self.step_observer(o, now, observer::Input::Timeout),
            Who::Desk(_) => self.step_operator(now, operator::Input::Timeout),
            Who::Device(id) => self.step_device(id, now, device::Input::Timeout),
        }
    }

    pub(super) fn who(&self, actor: Actor) -> Who {
        let mut index = actor as usize;
        if index == RUN as usize {
            return Who::Run;
        }
        index -= 1;
        if index < self.nodes.len() {
            return Who::Node(index);
        }
        index -= self.nodes.len();
        if index < self.observers.len() {
            return Who::Observer(index);
        }
        index -= self.observers.len();
        if index < self.staff.nodes.len() {
            return Who::Desk(Desk::try_from(index).expect("desks are numbered in 16 bits"));
        }
        index -= self.staff.nodes.len();
        Who::Device(DeviceIdx::try_from(index).expect("actors are numbered in 32 bits"))
    }

    pub(super) fn actor_of_node(&self, node: usize) -> Actor {
        Actor::try_from(1 + node).expect("nodes are numbered in 16 bits")
    }

    pub(super) fn actor_of_observer(&self, o: usize) -> Actor {
        Actor::try_from(1 + self.nodes.len() + o).expect("actors are numbered in 32 bits")
    }

    pub(super) fn actor_of_device(&self, id: DeviceIdx) -> Actor {
        let desks = Actor::try_from(self.staff.nodes.len()).expect("desks are numbered in 16 bits");
        self.actor_of_observer(self.observers.len()) + desks + id
    }

    pub(super) fn actor_of_desk(&self, desk: Desk) -> Actor {
        self.actor_of_observer(self.observers.len()) + Actor::from(desk)
    }
}

/// What an actor's number stands for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Run,
    Node(usize),
    Observer(usize),
    Desk(Desk),
    Device(DeviceIdx),
}

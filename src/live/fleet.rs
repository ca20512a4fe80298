//! All that one worker drives: its devices and observers, their connections and deadlines. Every
//! method runs to its end without waiting; tasks and the timer call in.

use super::clock::Clock;
use super::devices::Slot;
use super::fetch::Fetches;
use super::images::ImageServer;
use super::link::READ_BUFFER;
use super::operator::Staff;
use super::outage::Cuts;
use super::outgoing::Outgoing;
use super::port::{Port, Routes};
use super::process::{self, Meter};
use super::recording::Recording;
use super::run_state::RunState;
use super::timer::{Alarm, Deadlines};
use crate::cloud::ledger::Ledger;
use crate::cloud::observer::{self, Observer};
use crate::cloud::operator::{self, Desk, Operator};
use crate::device::{self, Profile, payload};
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::event::Cause;
use crate::stats::results::Finding;
use crate::time::Instant;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use tokio::sync::Notify;

/// Deadlines handled before the connections get their turn: some 2 ms of steps that connect.
const FIRES_PER_TURN: usize = 64;

/// Keys of the deadline heap: the run's own, then observers, then desks, then devices.
pub(super) const KEY_TIMELINE: u32 = 0;
/// The end of a second of the run.
pub(super) const KEY_SECOND: u32 = 1;
/// A look at whether the drain is over, or arming took too long.
pub(super) const KEY_WATCH: u32 = 2;
/// A deadline of the operator.
pub(super) const KEY_OPERATOR: u32 = 3;
const KEYS_OF_RUN: u32 = 4;

/// A worker's state, shared by its tasks.
pub(super) type Shared = Rc<RefCell<Fleet>>;

/// An observer with its connection.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) observer: Observer,
    pub(super) port: Port,
    pub(super) armed: bool,
    pub(super) last_failure: Option<Cause>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) clock: Clock,
    pub(super) plan: Arc<Plan>,
    pub(super) run: u32,
    /// The devices that this worker owns, ascending.
    pub(super) owned: Vec<DeviceIdx>,
    /// As `owned`; empty until T0 is known.
    pub(super) devices: Vec<Slot>,
    pub(super) profiles: Vec<Arc<Profile>>,
    pub(super) observers: Vec<Watch>,
    /// In the worker that has the operator.
    pub(super) staff: Option<Box<Staff>>,
    /// Beside the operator, if devices download from the run's own server.
    pub(super) image_server: Option<ImageServer>,
    /// Downloads of devices over HTTP.
    pub(super) fetches: Fetches,
    /// What is to be written down, and was not handed on yet.
    pub(super) findings: VecDeque<Finding>,
    pub(super) routes: Routes,
    pub(super) ledger: Ledger,
    pub(super) state: RunState,
    pub(super) cuts: Cuts,
    pub(super) reports: Outgoing,
    /// Set before T0, if inputs are recorded.
    pub(super) recording: Option<Recording>,
    /// Why the worker cannot go on, and who is told.
    pub(super) failed: Option<String>,
    pub(super) failure: Rc<Notify>,
    pub(super) meter: Meter,
    /// File descriptors besides the connections.
    pub(super) base_fds: u32,
    pub(super) deadlines: Deadlines,
    pub(super) alarm: Rc<Alarm>,
    /// The timer's batch is running and arms the alarm at its end.
    pub(super) in_batch: bool,
    pub(super) read_buffer: Vec<u8>,
    pub(super) write_buffer: Vec<u8>,
    /// While the packets of one read are worked off: whose they are, and its answers so far.
    pub(super) answering: Option<u32>,
    pub(super) answers: Vec<u8>,
    /// A packet, or several, that arrive over a link.
    pub(super) frame: Vec<u8>,
    pub(super) scratch: payload::Scratch,
    pub(super) device_outputs: Vec<device::Output>,
    pub(super) observer_outputs: Vec<observer::Output>,
    pub(super) operator_outputs: Vec<operator::Output>,
    pub(super) me: Weak<RefCell<Self>>,
}

/// What a worker is to do.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) plan: Arc<Plan>,
    pub(super) run: u32,
    pub(super) worker: u32,
    /// The devices it owns, ascending.
    pub(super) owned: Vec<DeviceIdx>,
    /// It has the operator, if the plan has one.
    pub(super) is_operator: bool,
}

/// What a key of the heap stands for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Run(u32),
    Observer(usize),
    Desk(Desk),
    Device(usize),
}

impl Fleet {
    /// A fleet before T0: observers and the operator only.
    pub(super) fn new(
        clock: Clock,
        alarm: Rc<Alarm>,
        assignment: Assignment,
        routes: Routes,
        reports: Outgoing,
    ) -> Shared {
        let Assignment {
            plan,
            run,
            worker,
            owned,
            is_operator,
        } = assignment;
        let observers: Vec<Watch> = Observer::plan_all(&plan, run, worker, &owned)
            .into_iter()
            .enumerate()
            .map(|(number, observer)| Watch {
                port: Port::new(observer.node(), routes.source_of(number)),
                observer,
                armed: false,
                last_failure: None,
            })
            .collect();
        let operator = is_operator.then(|| Operator::of(&plan, run)).flatten();
        let staff = operator.map(|o| Box::new(Staff::new(o, |number| routes.source_of(number))));
        let desks = staff.as_ref().map_or(0, |staff| staff.desks.len());
        let keys = KEYS_OF_RUN as usize + observers.len() + desks;
        Rc::new_cyclic(|me| {
            RefCell::new(Self {
                clock,
                ledger: Ledger::new(&plan, &owned),
                cuts: Cuts::new(&plan),
                plan,
                run,
                owned,
                devices: Vec::new(),
                profiles: Vec::new(),
                observers,
                staff,
                image_server: None,
                fetches: Fetches::default(),
                findings: VecDeque::new(),
                routes,
                state: RunState::default(),
                reports,
                recording: None,
                failed: None,
                failure: Rc::default(),
                meter: Meter::new(clock.now()),
                base_fds: process::open_files(),
                deadlines: Deadlines::new(keys),
                alarm,
                in_batch: false,
                read_buffer: vec![0; READ_BUFFER],
                write_buffer: Vec::new(),
                answering: None,
                answers: Vec::new(),
                frame: Vec::new(),
                scratch: payload::Scratch::default(),
                device_outputs: Vec::new(),
                observer_outputs: Vec::new(),
                operator_outputs: Vec::new(),
                me: Weak::clone(me),
            })
        })
    }

    /// Reads the clock for one turn. The end of the last phase comes before whatever else comes
    /// after it, so that no device plans an arrival beyond it.
    pub(super) fn begin_turn(&mut self) -> Instant {
        let now = self.clock.now();
        if self.state.end_is_due(now) {
            self.run_timeline(now, usize::MAX);
        }
        now
    }

    /// Handles at most `limit` due deadlines and arms the alarm for the next; whether more are due.
    pub(super) fn fire_due(&mut self, limit: usize) -> bool {
        let mut now = self.begin_turn();
        let mut more = true;
        self.in_batch = true;
        for _ in 0..limit {
            let Some((_, key)) = self.deadlines.pop_due(now) else {
                more = false;
                break;
            };
            self.fire(key, now);
            now = self.begin_turn();
        }
        self.in_batch = false;
        self.alarm.arm(self.deadlines.next(), now);
        more
    }

    fn fire(&mut self, key: u32, now: Instant) {
        match self.who(key) {
            Who::Run(KEY_TIMELINE) => self.run_timeline(now, 1),
            Who::Run(KEY_SECOND) => self.end_second(now),
            Who::Run(KEY_OPERATOR) => self.fire_operator(now),
            Who::Run(_) => self.watch(now),
            Who::Observer(o) => self.fire_observer(o, now),
            Who::Desk(desk) => self.fire_desk(desk, now),
            Who::Device(i) => {
                if self.devices[i].transit.is_some() {
                    self.release(i, now);
                }
                if self.devices[i].half_open.is_some() {
                    self.release_half_open(i, now);
                }
                self.send_syn_again(i, now);
                self.tell_device(i, now);
                let due = self.devices[i].device.poll_timeout();
                if due <= now {
                    self.state.record_lag(due, now);
                    self.step_device(i, now, now, device::Input::Timeout);
                } else {
                    let next = self.devices[i].next();
                    self.wake_at(key, next, now);
                }
            }
        }
    }

    /// Makes sure that `key` fires no later than `at`.
    pub(super) fn wake_at(&mut self, key: u32, at: Instant, now: Instant) {
        self.deadlines.wake_at(key, at);
        if !self.in_batch {
            self.alarm.arm(at, now);
        }
    }

    /// What a key stands for.
    pub(super) fn who(&self, key: u32) -> Who {
        if key < KEYS_OF_RUN {
            return Who::Run(key);
        }
        let rest = (key - KEYS_OF_RUN) as usize;
        let Some(rest) = rest.checked_sub(self.observers.len()) else {
            return Who::Observer(rest);
        };
        match rest.checked_sub(self.desks()) {
            None => Who::Desk(Desk::try_from(rest).expect("a desk's number is a u16")),
            Some(i) => Who::Device(i),
        }
    }

    /// How many desks the operator has here.
    fn desks(&self) -> usize {
        self.staff.as_ref().map_or(0, |staff| staff.desks.len())
    }

    /// The port of an observer's, desk's or device's key.
    pub(super) fn port(&mut self, key: u32) -> &mut Port {
        self.port_and_routes(key).0
    }

    /// The same, with what its connections are counted by.
    pub(super) fn port_and_routes(&mut self, key: u32) -> (&mut Port, &mut Routes) {
        let who = self.who(key);
        let port = match (who, &mut self.staff) {
            (Who::Observer(o), _) => &mut self.observers[o].port,
            (Who::Device(i), _) => &mut self.devices[i].port,
            (Who::Desk(desk), Some(staff)) => &mut staff.desks[usize::from(desk)].port,
            (Who::Desk(_), None) | (Who::Run(_), _) => unreachable!("a key without a port"),
        };
        (port, &mut self.routes)
    }

    /// Makes room for the deadlines of all actors.
    pub(super) fn make_room(&mut self) {
        let actors = self.observers.len() + self.desks() + self.devices.len();
        self.deadlines.grow(KEYS_OF_RUN as usize + actors);
    }

    /// Key of device `i`.
    pub(super) fn device_key(&self, i: usize) -> u32 {
        let before = self.observers.len() + self.desks();
        KEYS_OF_RUN + u32::try_from(before + i).expect("keys are u32")
    }

    /// Key of a desk.
    pub(super) fn desk_key(&self, desk: Desk) -> u32 {
        let before = u32::try_from(self.observers.len()).expect("keys are u32");
        KEYS_OF_RUN + before + u32::from(desk)
    }

    /// The worker cannot go on; the first reason counts.
    pub(super) fn give_up(&mut self, why: String) {
        self.failed.get_or_insert(why);
        self.failure.notify_one();
    }

    /// Why the worker cannot go on.
    pub(super) fn take_failure(&mut self) -> Option<String> {
        self.failed.take()
    }

    /// Key of observer `o`.
    pub(super) fn observer_key(&self, o: usize) -> u32 {
        KEYS_OF_RUN + u32::try_from(o).expect("keys are u32")
    }

    /// Closes every connection; their tasks end.
    pub(super) fn close_all(&mut self) {
        self.image_server = None;
        for i in 0..self.devices.len() {
            self.end_fetch(i);
            self.end_closing(i);
            self.end_half_open(i);
            self.devices[i].port.close(&mut self.routes);
        }
        for watch in &mut self.observers {
            watch.port.close(&mut self.routes);
        }
        for seat in self.staff.iter_mut().flat_map(|staff| &mut staff.desks) {
            seat.port.close(&mut self.routes);
        }
    }
}

/// The task of all deadlines.
pub(super) async fn drive_deadlines(fleet: Shared, alarm: Rc<Alarm>) {
    loop {
        let more = fleet.borrow_mut().fire_due(FIRES_PER_TURN);
        if more {
            tokio::task::yield_now().await;
        } else if alarm.wait().await.is_err() {
            return;
        }
    }
}

//! All that one worker drives: its devices and observers, their connections and deadlines. Every
//! method runs to its end without waiting; tasks and the timer call in.

use super::clock::Clock;
use super::link::{self, Overflow, READ_BUFFER};
use super::outgoing::Outgoing;
use super::port::{Port, Routes};
use super::process::{self, Meter};
use super::run_state::RunState;
use super::timer::{Alarm, Deadlines};
use crate::cloud::ledger::Ledger;
use crate::cloud::observer::{self, Observer};
use crate::device::{self, Device, Profile, payload};
use crate::mqtt::codec::{self, CodecError};
use crate::mqtt::packet::Publish;
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::event::{Cause, Event, Limit};
use crate::time::Instant;
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::Notify;

/// Bytes that may wait for one connection of a device or observer, besides those of one step.
pub(super) const OUTPUT_MAX: usize = 256 * 1024;

/// Reads of one connection before the others get their turn.
const READS_PER_TURN: usize = 4;

/// Deadlines handled before the connections get their turn: some 2 ms of steps that connect.
const FIRES_PER_TURN: usize = 64;

/// Due deadlines handled after a connection's turn, so that they do not wait for the other
/// connections that are ready.
const FIRES_PER_READ: usize = 8;

/// Keys of the deadline heap: the run's own, then observers, then devices.
pub(super) const KEY_TIMELINE: u32 = 0;
/// The end of a second of the run.
pub(super) const KEY_SECOND: u32 = 1;
/// A look at whether the drain is over, or arming took too long.
pub(super) const KEY_WATCH: u32 = 2;
const KEYS_OF_RUN: u32 = 3;

/// A worker's state, shared by its tasks.
pub(super) type Shared = Rc<RefCell<Fleet>>;

/// A device with its connection.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) device: Device,
    pub(super) port: Port,
    attempt_began: Instant,
    attempts: u32,
    pub(super) cohort: u16,
    pub(super) observed: bool,
    /// The last cleared fault after which it was not connected, and still is not.
    pub(super) recovering: Option<u16>,
    /// When it first got power.
    pub(super) power_on: Instant,
}

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
    pub(super) routes: Routes,
    pub(super) ledger: Ledger,
    pub(super) state: RunState,
    pub(super) reports: Outgoing,
    /// Why the worker cannot go on, and who is told.
    failed: Option<String>,
    pub(super) failure: Rc<Notify>,
    pub(super) meter: Meter,
    /// File descriptors besides the connections.
    pub(super) base_fds: u32,
    pub(super) deadlines: Deadlines,
    alarm: Rc<Alarm>,
    /// The timer's batch is running and arms the alarm at its end.
    in_batch: bool,
    read_buffer: Vec<u8>,
    pub(super) write_buffer: Vec<u8>,
    /// While the packets of one read are worked off: whose they are, and its answers so far.
    answering: Option<u32>,
    answers: Vec<u8>,
    scratch: payload::Scratch,
    device_outputs: Vec<device::Output>,
    pub(super) observer_outputs: Vec<observer::Output>,
    me: Weak<RefCell<Self>>,
}

/// What a worker is to do.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) plan: Arc<Plan>,
    pub(super) run: u32,
    pub(super) worker: u32,
    /// The devices it owns, ascending.
    pub(super) owned: Vec<DeviceIdx>,
}

/// What a key of the heap stands for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Who {
    Run(u32),
    Observer(usize),
    Device(usize),
}

impl Fleet {
    /// A fleet before T0: observers only.
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
        let keys = KEYS_OF_RUN as usize + observers.len();
        Rc::new_cyclic(|me| {
            RefCell::new(Self {
                clock,
                ledger: Ledger::new(&plan, &owned),
                plan,
                run,
                owned,
                devices: Vec::new(),
                profiles: Vec::new(),
                observers,
                routes,
                state: RunState::default(),
                reports,
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
                scratch: payload::Scratch::default(),
                device_outputs: Vec::new(),
                observer_outputs: Vec::new(),
                me: Weak::clone(me),
            })
        })
    }

    /// Builds the devices, without power.
    pub(super) fn build_devices(&mut self, start: Instant) {
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
        self.devices = Vec::with_capacity(self.owned.len());
        for (number, &id) in self.owned.iter().enumerate() {
            let cohort = self.plan.cohort_of(id);
            self.devices.push(Slot {
                device: Device::new(Arc::clone(&self.profiles[cohort]), id),
                port: Port::new(self.plan.home_node(id), self.routes.source_of(number)),
                attempt_began: Instant::NEVER,
                attempts: 0,
                cohort: u16::try_from(cohort).expect("fewer than 65 536 cohorts"),
                observed: self.plan.observed(id),
                recovering: None,
                power_on: Instant::NEVER,
            });
        }
        self.deadlines
            .grow(KEYS_OF_RUN as usize + self.observers.len() + self.devices.len());
    }

    /// Steps device `i`; `at` is its own time (a power-on counts from the plan's instant), `now` is
    /// when it is recorded.
    pub(super) fn step_device(
        &mut self,
        i: usize,
        at: Instant,
        now: Instant,
        input: device::Input<'_>,
    ) {
        let mut outputs = std::mem::take(&mut self.device_outputs);
        let mut bytes = std::mem::take(&mut self.write_buffer);
        bytes.clear();
        self.devices[i].device.handle_input(at, input, &mut outputs);
        for output in outputs.drain(..) {
            self.carry_out(i, at, now, output, &mut bytes);
        }
        self.write_device(i, now, &mut bytes);
        self.device_outputs = outputs;
        self.write_buffer = bytes;
        let slot = &self.devices[i];
        let next = slot.device.poll_timeout().min(slot.port.told_at());
        self.wake_at(self.device_key(i), next, now);
    }

    fn carry_out(
        &mut self,
        i: usize,
        at: Instant,
        now: Instant,
        output: device::Output,
        bytes: &mut Vec<u8>,
    ) {
        match output {
            device::Output::Open => self.open_device(i, at, now),
            device::Output::Close => {
                self.write_device(i, now, bytes);
                self.close(self.device_key(i));
            }
            device::Output::Send(packet) => {
                let encoded = codec::encode(&packet, bytes);
                self.expect_encoded(i, now, encoded);
            }
            device::Output::Publish(publish) => {
                let encoded = codec::encode_publish(&as_packet(&publish), bytes);
                self.expect_encoded(i, now, encoded);
            }
            device::Output::Telemetry(message) => {
                let slot = &self.devices[i];
                payload::encode_telemetry(
                    &self.profiles[usize::from(slot.cohort)],
                    slot.device.id(),
                    &message,
                    &mut self.scratch,
                    bytes,
                );
            }
            device::Output::Event(event) => self.on_device_event(i, now, &event),
        }
    }

    /// The plan has checked all that a device can send; if a packet cannot be encoded all the same,
    /// its connection ends rather than the process.
    fn expect_encoded(&mut self, i: usize, now: Instant, encoded: Result<(), CodecError>) {
        if encoded.is_err() {
            let slot = &mut self.devices[i];
            slot.port.fail(&mut self.routes, now, Cause::ProtocolError);
        }
    }

    fn write_device(&mut self, i: usize, now: Instant, bytes: &mut Vec<u8>) {
        if let Err(Overflow) = self.write(self.device_key(i), bytes) {
            let slot = &mut self.devices[i];
            slot.port.fail(&mut self.routes, now, Cause::OutputOverflow);
            self.on_device_event(i, now, &Event::LimitReached(Limit::OutputBytes));
        }
    }

    /// Writes `bytes` to the link of `key` and empties it. The answers to all packets of one read
    /// are written at once.
    pub(super) fn write(&mut self, key: u32, bytes: &mut Vec<u8>) -> Result<(), Overflow> {
        if self.answering == Some(key) {
            self.answers.append(bytes);
            return Ok(());
        }
        let written = match self.port(key).current() {
            Some(link) => link.write(bytes, OUTPUT_MAX),
            None => Ok(()),
        };
        bytes.clear();
        written
    }

    /// Closes the link of `key` after what was written to it.
    pub(super) fn close(&mut self, key: u32) {
        if self.answering == Some(key) {
            self.answering = None;
            let mut answers = std::mem::take(&mut self.answers);
            // What does not fit is lost with the connection either way.
            let _ = self.write(key, &mut answers);
            self.answers = answers;
        }
        let (observers, devices) = (&mut self.observers, &mut self.devices);
        let rest = (key - KEYS_OF_RUN) as usize;
        let port = match rest.checked_sub(observers.len()) {
            None => &mut observers[rest].port,
            Some(i) => &mut devices[i].port,
        };
        port.close(&mut self.routes);
    }

    fn open_device(&mut self, i: usize, at: Instant, now: Instant) {
        let key = self.device_key(i);
        let slot = &mut self.devices[i];
        slot.attempt_began = at;
        slot.attempts += 1;
        match slot.port.open(&mut self.routes) {
            Ok(epoch) => self.spawn_reader(key, epoch),
            Err(cause) => self.fail_device(i, now, cause),
        }
    }

    /// The transport of device `i` failed or ended: the device is told now, or, if that fails an
    /// attempt, when the attempt has cost its time.
    fn fail_device(&mut self, i: usize, now: Instant, cause: Cause) {
        let slot = &mut self.devices[i];
        let path_failed = matches!(
            cause,
            Cause::Refused | Cause::Reset | Cause::ClosedByPeer | Cause::Unreachable
        );
        let told_at = if path_failed && !slot.device.is_connected() {
            let attempt = u64::from(slot.attempts - 1);
            let cost = device::backoff::attempt_cost(self.plan.seed, slot.device.id(), attempt);
            slot.attempt_began.after(cost).max(now)
        } else {
            now
        };
        slot.port.fail(&mut self.routes, told_at, cause);
        self.wake_at(self.device_key(i), told_at, now);
    }

    /// Begins to connect the port of an observer or device.
    pub(super) fn spawn_reader(&self, key: u32, epoch: u32) {
        if let Some(fleet) = self.me.upgrade() {
            drop(tokio::task::spawn_local(Reader { fleet, key, epoch }));
        }
    }

    /// One turn of a connection's task.
    fn poll_link(&mut self, key: u32, epoch: u32, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..READS_PER_TURN {
            let Some(link) = self.port(key).link(epoch) else {
                return Poll::Ready(());
            };
            link.remember(cx);
            if link.is_established() {
                // Pending or not, reading goes on; the writer's readiness wakes this task too.
                let _ = link.poll_flush(cx);
                ready!(self.poll_read(key, epoch, cx));
            } else {
                let outcome = ready!(link.poll_established(cx));
                let now = self.begin_turn();
                match outcome {
                    Ok(()) => self.opened(key, now),
                    Err(cause) => self.lost(key, now, cause),
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_read(&mut self, key: u32, epoch: u32, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = std::mem::take(&mut self.read_buffer);
        let outcome = match self.port(key).link(epoch) {
            Some(link) => link.poll_read(cx, &mut buffer),
            None => Poll::Pending,
        };
        if let Poll::Ready(outcome) = outcome {
            let now = self.begin_turn();
            match outcome {
                Ok(n) => self.received(key, epoch, now, &buffer[..n]),
                Err(cause) => self.lost(key, now, cause),
            }
        }
        self.read_buffer = buffer;
        self.fire_due(FIRES_PER_READ);
        match outcome {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Reads the clock for one turn. The end of the last phase comes before whatever else comes
    /// after it, so that no device plans an arrival beyond it.
    fn begin_turn(&mut self) -> Instant {
        let now = self.clock.now();
        if self.state.end_is_due(now) {
            self.run_timeline(now, usize::MAX);
        }
        now
    }

    fn received(&mut self, key: u32, epoch: u32, now: Instant, bytes: &[u8]) {
        let who = self.who(key);
        let Some(link) = self.port(key).link(epoch) else {
            return;
        };
        let mut inbox = std::mem::take(link.inbox());
        self.answering = Some(key);
        self.answers.clear();
        let outcome = link::each_packet(&mut inbox, bytes, |packet| {
            match who {
                Who::Run(_) => return false,
                Who::Observer(o) => self.step_observer(o, now, observer::Input::Received(packet)),
                Who::Device(i) => self.step_device(i, now, now, device::Input::Received(packet)),
            }
            self.port(key).link(epoch).is_some()
        });
        self.answered(who, now);
        if let Some(link) = self.port(key).link(epoch) {
            *link.inbox() = inbox;
        }
        match (outcome, who) {
            (Ok(()), _) => {}
            (Err(CodecError::TooLong { .. }), Who::Device(i)) => {
                self.on_device_event(i, now, &Event::LimitReached(Limit::PacketLength));
                self.lost(key, now, Cause::ProtocolError);
            }
            (Err(_), _) => self.lost(key, now, Cause::ProtocolError),
        }
    }

    /// Writes the answers to the packets of one read.
    fn answered(&mut self, who: Who, now: Instant) {
        if self.answering.take().is_none() {
            return;
        }
        let mut answers = std::mem::take(&mut self.answers);
        match who {
            Who::Run(_) => {}
            Who::Observer(o) => self.write_observer(o, now, &mut answers),
            Who::Device(i) => self.write_device(i, now, &mut answers),
        }
        self.answers = answers;
    }

    fn opened(&mut self, key: u32, now: Instant) {
        match self.who(key) {
            Who::Run(_) => {}
            Who::Observer(o) => {
                self.step_observer(o, now, observer::Input::Opened);
            }
            Who::Device(i) => self.step_device(i, now, now, device::Input::Opened),
        }
    }

    fn lost(&mut self, key: u32, now: Instant, cause: Cause) {
        match self.who(key) {
            Who::Run(_) => {}
            Who::Observer(o) => self.fail_observer(o, now, cause),
            Who::Device(i) => {
                self.fail_device(i, now, cause);
                self.tell_device(i, now);
            }
        }
    }

    fn tell_device(&mut self, i: usize, now: Instant) {
        if let Some(cause) = self.devices[i].port.take_told(now) {
            self.step_device(i, now, now, device::Input::Closed(cause));
        }
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
            Who::Run(_) => self.watch(now),
            Who::Observer(o) => self.fire_observer(o, now),
            Who::Device(i) => {
                self.tell_device(i, now);
                let slot = &self.devices[i];
                let due = slot.device.poll_timeout();
                if due <= now {
                    self.state.record_lag(due, now);
                    self.step_device(i, now, now, device::Input::Timeout);
                } else {
                    let next = due.min(slot.port.told_at());
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

    fn who(&self, key: u32) -> Who {
        if key < KEYS_OF_RUN {
            return Who::Run(key);
        }
        let rest = (key - KEYS_OF_RUN) as usize;
        match rest.checked_sub(self.observers.len()) {
            None => Who::Observer(rest),
            Some(i) => Who::Device(i),
        }
    }

    fn port(&mut self, key: u32) -> &mut Port {
        let rest = (key - KEYS_OF_RUN) as usize;
        match rest.checked_sub(self.observers.len()) {
            None => &mut self.observers[rest].port,
            Some(i) => &mut self.devices[i].port,
        }
    }

    fn device_key(&self, i: usize) -> u32 {
        KEYS_OF_RUN + u32::try_from(self.observers.len() + i).expect("keys are u32")
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
        for slot in &mut self.devices {
            slot.port.close(&mut self.routes);
        }
        for watch in &mut self.observers {
            watch.port.close(&mut self.routes);
        }
    }
}

fn as_packet(publish: &device::OwnedPublish) -> Publish<'_> {
    Publish {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        packet_id: publish.packet_id,
        topic: &publish.topic,
        payload: &publish.payload,
    }
}

/// The task of one connection: three words, for the state lies in the fleet.
struct Reader {
    fleet: Shared,
    key: u32,
    epoch: u32,
}

impl Future for Reader {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.fleet.borrow_mut().poll_link(self.key, self.epoch, cx)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::link::Link;

    #[test]
    fn a_connection_costs_few_bytes() {
        // Besides the device itself. The bar is 2 KiB of user memory per connected device.
        assert!(size_of::<Reader>() <= 24, "{}", size_of::<Reader>());
        assert!(size_of::<Link>() <= 128, "{}", size_of::<Link>());
        let slot = size_of::<Slot>() - size_of::<Device>();
        assert!(slot <= 224, "{slot}");
    }
}

//! Devices and observers in the simulation: their ends of the connections, and what they want done.
//! The operator's is in `desks`.

use super::LINK_DELAY;
use super::queue::{Actor, Down, Event, Up};
use super::world::{Who, World};
use crate::backend::ConnId;
use crate::cloud::observer::{self, Observer};
use crate::cloud::operator;
use crate::device::outage::Stop;
use crate::device::{self, Device, backoff};
use crate::mqtt::packet::{Packet, Publish};
use crate::scenario::plan::DeviceIdx;
use crate::stats::event::{self, Cause, Limit};
use crate::stats::results::Finding;
use crate::time::{Duration, Instant};

/// A client's end of its connection.
#[derive(Clone, Debug)]
pub(super) struct Port {
    /// Grows with each attempt, so that what belongs to an earlier one is known.
    epoch: u32,
    /// Where it connects to.
    pub(super) node: u16,
    is_open: bool,
}

/// A device and what the run knows of it, in four whole cache lines.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Client {
    pub(super) device: Device,
    pub(super) attempt_began: Instant,
    /// When it got the power that it has; never, if it has none.
    pub(super) power_on: Instant,
    attempts: u32,
    /// The last cleared fault after which it was not connected, and still is not.
    pub(super) recovering: Option<u32>,
    pub(super) cohort: u16,
    /// Nothing passes between it and its node.
    pub(super) is_swallowed: bool,
}

/// An observer.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) observer: Observer,
    pub(super) armed: bool,
}

impl Port {
    pub(super) const fn new(node: u16) -> Self {
        Self {
            epoch: 0,
            node,
            is_open: false,
        }
    }

    /// See [`Device::glance`].
    pub(super) const fn glance(&self) -> u64 {
        self.epoch as u64
    }

    pub(super) fn open(&mut self, actor: Actor) -> ConnId {
        self.epoch += 1;
        self.is_open = true;
        self.conn(actor)
    }

    /// The connection to tell of it, if there is one.
    pub(super) fn close(&mut self, actor: Actor) -> Option<ConnId> {
        let conn = self.is_open.then(|| self.conn(actor));
        self.is_open = false;
        self.epoch += 1;
        conn
    }

    /// The connection that packets go to.
    pub(super) fn current(&self, actor: Actor) -> Option<ConnId> {
        self.is_open.then(|| self.conn(actor))
    }

    /// The connection has ended, and its end knows.
    pub(super) const fn set_closed(&mut self) {
        self.is_open = false;
    }

    /// Packets may go to the connection, whose SYN was lost before.
    pub(super) const fn set_open(&mut self) {
        self.is_open = true;
    }

    pub(super) const fn conn(&self, actor: Actor) -> ConnId {
        ConnId(((actor as u64) << 32) | self.epoch as u64)
    }
}

/// The client that made a connection.
pub(super) fn client_of(conn: ConnId) -> Actor {
    Actor::try_from(conn.0 >> 32).expect("the upper half of an id")
}

impl Client {
    /// See [`Device::glance`].
    pub(super) const fn glance(&self) -> u64 {
        self.attempt_began.ns() ^ self.attempts as u64
    }

    pub(super) fn new(device: Device, cohort: usize) -> Self {
        Self {
            device,
            attempt_began: Instant::NEVER,
            power_on: Instant::NEVER,
            attempts: 0,
            recovering: None,
            cohort: u16::try_from(cohort).expect("a file's limit on cohorts is below u16"),
            is_swallowed: false,
        }
    }
}

impl Watch {
    pub(super) const fn new(observer: Observer) -> Self {
        Self {
            observer,
            armed: false,
        }
    }
}

impl World {
    /// Steps a device.
    pub(super) fn step_device(&mut self, id: DeviceIdx, now: Instant, input: device::Input<'_>) {
        let actor = self.actor_of_device(id);
        let mut outputs = std::mem::take(&mut self.device_outputs);
        self.devices[id as usize]
            .device
            .handle_input(now, input, &mut outputs);
        for output in outputs.drain(..) {
            let port = self.queue.port_mut(actor);
            let client = &mut self.devices[id as usize];
            match output {
                device::Output::Open => {
                    client.attempts += 1;
                    client.attempt_began = now;
                    let conn = port.open(actor);
                    match self.outages.stops_connect(id) {
                        Some(Stop::Fails(cause)) => self.device_closed(now, conn, id, cause),
                        Some(Stop::Unanswered) => {
                            port.is_open = false;
                            self.lose_syn(now, conn, id);
                        }
                        None => self.send_up(now, Some(conn), Up::Opened),
                    }
                }
                device::Output::Close => {
                    let conn = port.close(actor);
                    self.send_up(now, conn, Up::Closed);
                }
                device::Output::Fetch(fetch) => self.begin_fetch(now, id, *fetch),
                device::Output::StopFetch => self.stop_fetch(id),
                device::Output::Result(row) => self.findings.push(Finding::Result(*row)),
                device::Output::Send(packet) => {
                    let conn = port.current(actor);
                    self.send_up(now, conn, Up::Packet(packet));
                }
                device::Output::Publish(publish) => {
                    let conn = port.current(actor);
                    self.send_up(now, conn, Up::Publish(Box::new(publish)));
                }
                device::Output::Telemetry(telemetry) => {
                    let conn = port.current(actor);
                    self.send_up(now, conn, Up::Telemetry(telemetry));
                }
                device::Output::Event(event) => self.books.device_event(now, client, &event),
            }
        }
        self.device_outputs = outputs;
        let deadline = self.devices[id as usize].device.poll_timeout();
        self.queue.arm(actor, deadline);
    }

    /// Steps an observer.
    pub(super) fn step_observer(&mut self, o: usize, now: Instant, input: observer::Input<'_>) {
        let actor = self.actor_of_observer(o);
        let mut outputs = std::mem::take(&mut self.observer_outputs);
        let watch = &mut self.observers[o];
        watch.observer.handle_input(now, input, &mut outputs);
        for output in outputs.drain(..) {
            let port = self.queue.port_mut(actor);
            match output {
                observer::Output::Open => {
                    let conn = port.open(actor);
                    self.send_up(now, Some(conn), Up::Opened);
                }
                observer::Output::Close => {
                    let conn = port.close(actor);
                    self.send_up(now, conn, Up::Closed);
                }
                observer::Output::Send(packet) => {
                    let conn = port.current(actor);
                    self.send_up(now, conn, Up::Packet(packet));
                }
                observer::Output::Event(event) => {
                    self.books
                        .observer_event(now, &mut self.observers[o], event);
                }
            }
        }
        self.observer_outputs = outputs;
        let deadline = self.observers[o].observer.poll_timeout();
        self.queue.arm(actor, deadline);
    }

    /// What is written to no connection is gone, as on a socket that has ended.
    pub(super) fn send_up(&mut self, now: Instant, conn: Option<ConnId>, up: Up) {
        let Some(conn) = conn else {
            return;
        };
        if let Some(id) = self.swallowed(conn) {
            return self.swallow_up(now, conn, id, up);
        }
        if self.is_full(now, conn, &up) {
            self.overflow(now, conn);
        } else if let Some(at) = self.passes_up(now, conn, &up) {
            self.queue.push(at, client_of(conn), Event::Up(conn, up));
        }
    }

    /// Something reaches a client; what belongs to an earlier connection is dropped.
    pub(super) fn reach_client(&mut self, now: Instant, conn: ConnId, down: Down) {
        let actor = client_of(conn);
        if self.queue.port(actor).current(actor) != Some(conn) {
            if let (Down::Closed(_), Who::Device(id)) = (down, self.who(actor)) {
                self.holes.end(id, conn);
            }
            return;
        }
        if let Some(id) = self.swallowed(conn) {
            return self.swallow_down(now, conn, id, down);
        }
        match self.who(actor) {
            Who::Device(id) => match down {
                Down::Opened => self.step_device(id, now, device::Input::Opened),
                Down::Packet(packet) => {
                    self.step_device(id, now, device::Input::Received(packet));
                }
                Down::Deliver(delivery) => {
                    let packet = as_packet(&delivery);
                    self.step_device(id, now, device::Input::Received(packet));
                }
                Down::Closed(cause) => self.device_closed(now, conn, id, cause),
            },
            Who::Observer(o) => match down {
                Down::Opened => self.step_observer(o, now, observer::Input::Opened),
                Down::Packet(packet) => {
                    self.step_observer(o, now, observer::Input::Received(packet));
                }
                Down::Deliver(delivery) => {
                    let packet = as_packet(&delivery);
                    self.step_observer(o, now, observer::Input::Received(packet));
                }
                Down::Closed(cause) => {
                    self.queue.port_mut(actor).is_open = false;
                    self.step_observer(o, now, observer::Input::Closed(cause));
                }
            },
            Who::Desk(desk) => match down {
                Down::Opened => self.step_operator(now, operator::Input::Opened(desk)),
                Down::Packet(packet) => {
                    self.step_operator(now, operator::Input::Received(desk, packet));
                }
                Down::Deliver(delivery) => {
                    let packet = as_packet(&delivery);
                    self.step_operator(now, operator::Input::Received(desk, packet));
                }
                Down::Closed(cause) => self.desk_closed(now, desk, cause),
            },
            Who::Run | Who::Node(_) => return,
        }
        self.events += 1;
    }

    /// The device is told now, or, if that fails an attempt, when the attempt has cost its time.
    pub(super) fn device_closed(
        &mut self,
        now: Instant,
        conn: ConnId,
        id: DeviceIdx,
        cause: Cause,
    ) {
        let actor = client_of(conn);
        self.queue.port_mut(actor).is_open = false;
        let client = &mut self.devices[id as usize];
        if client.device.is_connected() {
            self.step_device(id, now, device::Input::Closed(cause));
            return;
        }
        let began = client.attempt_began;
        let at = began.after(self.attempt_cost(id)).max(now);
        self.queue.push(at, actor, Event::Told(conn, cause));
    }

    /// What the device's latest attempt costs if it fails.
    pub(super) fn attempt_cost(&self, id: DeviceIdx) -> Duration {
        let attempt = self.devices[id as usize].attempts.saturating_sub(1);
        backoff::attempt_cost(self.plan.seed, id, u64::from(attempt))
    }

    /// More waits at the device's end of its link than may: its connection ends, and it is told.
    pub(super) fn overflow(&mut self, now: Instant, conn: ConnId) {
        let actor = client_of(conn);
        if let Who::Device(id) = self.who(actor) {
            let limit = event::Event::LimitReached(Limit::OutputBytes);
            let client = &mut self.devices[id as usize];
            self.books.device_event(now, client, &limit);
        }
        if let Some(id) = self.swallowed(conn) {
            self.leave_half_open(now, conn, id);
        } else {
            // The end overtakes what is under way, which then reaches nobody.
            let end = Event::Up(conn, Up::Closed);
            self.queue.push(now.after(LINK_DELAY), actor, end);
        }
        self.queue.port_mut(actor).is_open = false;
        let told = Event::Told(conn, Cause::OutputOverflow);
        self.queue.push(now, actor, told);
    }

    /// A failed attempt has cost its time. The device may have given it up by itself.
    pub(super) fn tell(&mut self, now: Instant, conn: ConnId, cause: Cause) {
        let actor = client_of(conn);
        if let Who::Device(id) = self.who(actor)
            && self.queue.port(actor).conn(actor) == conn
        {
            self.events += 1;
            self.step_device(id, now, device::Input::Closed(cause));
        }
    }
}

fn as_packet(delivery: &crate::backend::Delivery) -> Packet<'_> {
    Packet::Publish(Publish {
        dup: delivery.dup,
        qos: delivery.qos,
        retain: delivery.retain,
        packet_id: delivery.packet_id,
        topic: delivery.topic(),
        payload: &delivery.message.payload,
    })
}

//! The devices of a worker: their connections, and how what they want is carried out.

use super::fetch::Fetching;
use super::fleet::Fleet;
use super::link::Overflow;
use super::port::Port;
use super::transit::{Closing, Transit};
use crate::device::outage::Stop;
use crate::device::path;
use crate::device::{self, Device, Profile, payload};
use crate::mqtt::codec::{self, CodecError};
use crate::mqtt::packet::Publish;
use crate::stats::event::{Cause, Event, Limit};
use crate::stats::recorder::ErrorKind;
use crate::stats::results::Finding;
use crate::time::{Duration, Instant};
use std::sync::Arc;

/// A device with its connection.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) device: Device,
    pub(super) port: Port,
    /// Where the cohort has a link, or a fault of the plan degrades it.
    pub(super) transit: Option<Box<Transit>>,
    attempt_began: Instant,
    attempts: u32,
    pub(super) cohort: u16,
    pub(super) observed: bool,
    recorded: bool,
    /// It is in a blackhole.
    pub(super) is_swallowed: bool,
    /// When it sends the SYN again that was lost in a blackhole, `NEVER` if none was.
    pub(super) syn_again_at: Instant,
    /// The connection that it gave up in a blackhole, until the target ends it or its time is over.
    pub(super) half_open: Option<Box<Closing>>,
    /// Its download over HTTP.
    pub(super) fetch: Option<Box<Fetching>>,
    /// The last cleared fault after which it was not connected, and still is not.
    pub(super) recovering: Option<u16>,
    /// When it got the power that it has; never, if it has none.
    pub(super) power_on: Instant,
    /// When a fault took its power last, in its own time; zero if none did.
    pub(super) power_off: Instant,
}

impl Slot {
    /// When it wants a turn.
    pub(super) fn next(&self) -> Instant {
        let mut next = self.device.poll_timeout().min(self.port.told_at());
        next = next.min(self.syn_again_at);
        if let Some(half_open) = &self.half_open {
            next = next.min(half_open.next());
        }
        match &self.transit {
            Some(transit) => next.min(transit.next()),
            None => next,
        }
    }

    /// Whether the device may write.
    pub(super) fn has_connection(&mut self) -> bool {
        match &self.transit {
            Some(transit) => transit.is_open(),
            None => self.port.current().is_some(),
        }
    }
}

impl Fleet {
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
            let is_linked =
                self.plan.cohorts[cohort].link.is_some() || self.cuts.law.ever_degrades(id);
            self.devices.push(Slot {
                device: Device::new(Arc::clone(&self.profiles[cohort]), id),
                port: Port::new(self.plan.home_node(id), self.routes.source_of(number)),
                transit: is_linked.then(Box::default),
                attempt_began: Instant::NEVER,
                attempts: 0,
                cohort: u16::try_from(cohort).expect("fewer than 65 536 cohorts"),
                observed: self.plan.observed(id),
                recorded: self.is_recorded(id),
                is_swallowed: false,
                syn_again_at: Instant::NEVER,
                half_open: None,
                fetch: None,
                recovering: None,
                power_on: Instant::NEVER,
                power_off: Instant::ZERO,
            });
        }
        self.make_room();
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
        let told = self.devices[i].recorded.then(|| input.clone());
        self.devices[i].device.handle_input(at, input, &mut outputs);
        let told = told.map(|input| (input, outputs.clone()));
        for output in outputs.drain(..) {
            self.carry_out(i, at, now, output, &mut bytes);
        }
        self.write_device(i, now, &mut bytes);
        if let Some((input, outputs)) = told {
            // After the write, so that recording does not delay it.
            self.record_step(i, at, &input, &outputs);
        }
        self.device_outputs = outputs;
        self.write_buffer = bytes;
        let next = self.devices[i].next();
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
                self.close_device(i, now);
            }
            device::Output::Send(packet) => {
                let encoded = codec::encode(&packet, bytes);
                self.expect_encoded(i, now, encoded);
            }
            device::Output::Publish(publish) => {
                self.expect_link(i, now);
                let encoded = codec::encode_publish(&as_packet(&publish), bytes);
                self.expect_encoded(i, now, encoded);
            }
            device::Output::Telemetry(message) => {
                self.expect_link(i, now);
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
            device::Output::Fetch(wanted) => self.begin_fetch(i, *wanted),
            device::Output::StopFetch => self.end_fetch(i),
            device::Output::Result(row) => self.found(Finding::Result(*row)),
        }
    }

    /// A device publishes only while connected; if it has no link all the same, what it takes for
    /// sent is not.
    fn expect_link(&mut self, i: usize, now: Instant) {
        if !self.devices[i].has_connection() {
            self.count_unsent(i, now);
        }
    }

    /// The driver lets go what device `i` wanted to send.
    fn count_unsent(&mut self, i: usize, now: Instant) {
        let id = self.devices[i].device.id();
        if let Some(recorder) = self.state.recording() {
            recorder.record_error(now, id, ErrorKind::GeneratorUnsent);
        }
    }

    /// Closes the socket of device `i`, whatever is under way; the device is to be told `cause` at
    /// `at`.
    fn cut(&mut self, i: usize, now: Instant, at: Instant, cause: Cause) {
        if self.devices[i].is_swallowed {
            self.leave_half_open(i, now);
        }
        let slot = &mut self.devices[i];
        slot.syn_again_at = Instant::NEVER;
        if let Some(transit) = &mut slot.transit {
            transit.forget();
        }
        slot.port.fail(&mut self.routes, at, cause);
    }

    /// The plan has checked all that a device can send; if a packet cannot be encoded all the same,
    /// its connection ends rather than the process.
    fn expect_encoded(&mut self, i: usize, now: Instant, encoded: Result<(), CodecError>) {
        if encoded.is_err() {
            self.count_unsent(i, now);
            self.cut(i, now, now, Cause::ProtocolError);
        }
    }

    /// Writes `bytes` to the connection of device `i` and empties it.
    pub(super) fn write_device(&mut self, i: usize, now: Instant, bytes: &mut Vec<u8>) {
        let written = match self.devices[i].transit {
            Some(_) => self.write_over_link(i, now, bytes),
            None => self.write(self.device_key(i), bytes),
        };
        if let Err(Overflow) = written {
            self.overflow(i, now);
        }
    }

    /// More bytes wait for the connection of device `i` than may.
    pub(super) fn overflow(&mut self, i: usize, now: Instant) {
        self.cut(i, now, now, Cause::OutputOverflow);
        self.on_device_event(i, now, &Event::LimitReached(Limit::OutputBytes));
    }

    pub(super) fn close_device(&mut self, i: usize, now: Instant) {
        self.devices[i].syn_again_at = Instant::NEVER;
        if self.devices[i].is_swallowed {
            return self.leave_half_open(i, now);
        }
        match self.devices[i].transit {
            Some(_) => self.close_over_link(i, now),
            None => self.close(self.device_key(i)),
        }
    }

    fn open_device(&mut self, i: usize, at: Instant, now: Instant) {
        let slot = &mut self.devices[i];
        slot.attempt_began = at;
        slot.attempts += 1;
        let stop = self.cuts.law.stops_connect(slot.device.id());
        self.send_syn(i, at, now, stop);
    }

    /// Device `i` sends a SYN at `at`, unless `stop` says what becomes of it.
    fn send_syn(&mut self, i: usize, at: Instant, now: Instant, stop: Option<Stop>) {
        let key = self.device_key(i);
        let slot = &mut self.devices[i];
        slot.syn_again_at = Instant::NEVER;
        match stop {
            Some(Stop::Fails(cause)) => return self.fail_device(i, now, cause),
            // There is no socket, and nothing to tell: the device will give up by itself.
            Some(Stop::Unanswered) => {
                let waited = at.since(slot.attempt_began);
                slot.syn_again_at = at.after(path::next_syn(waited));
                return;
            }
            None => {}
        }
        if slot.transit.is_some() {
            return self.open_over_link(i, at, now);
        }
        match slot.port.open(&mut self.routes) {
            Ok(epoch) => self.spawn_reader(key, epoch),
            Err(cause) => self.fail_device(i, now, cause),
        }
    }

    /// Sends the SYN of device `i` again that was lost in a blackhole, if that is due.
    pub(super) fn send_syn_again(&mut self, i: usize, now: Instant) {
        let at = self.devices[i].syn_again_at;
        if at <= now {
            self.state.record_lag(at, now);
            let stop = self.cuts.law.stops_syn(self.devices[i].device.id());
            self.send_syn(i, at, now, stop);
        }
    }

    /// The transport of device `i` failed or ended: the device is told now, or, if that fails an
    /// attempt, when the attempt has cost its time.
    pub(super) fn fail_device(&mut self, i: usize, now: Instant, cause: Cause) {
        let slot = &self.devices[i];
        let path_failed = matches!(
            cause,
            Cause::Refused
                | Cause::Reset
                | Cause::ClosedByPeer
                | Cause::Unresolved
                | Cause::Unreachable
        );
        let told_at = if path_failed && !slot.device.is_connected() {
            slot.attempt_began.after(self.attempt_cost(i)).max(now)
        } else {
            now
        };
        self.cut(i, now, told_at, cause);
        self.wake_at(self.device_key(i), told_at, now);
    }

    /// What the latest attempt of device `i` costs if it fails.
    pub(super) fn attempt_cost(&self, i: usize) -> Duration {
        let slot = &self.devices[i];
        let attempt = u64::from(slot.attempts.saturating_sub(1));
        device::backoff::attempt_cost(self.plan.seed, slot.device.id(), attempt)
    }

    /// Tells device `i` of the end of its transport, if that is due.
    pub(super) fn tell_device(&mut self, i: usize, now: Instant) {
        if let Some(cause) = self.devices[i].port.take_told(now) {
            self.step_device(i, now, now, device::Input::Closed(cause));
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

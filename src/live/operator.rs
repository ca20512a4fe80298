//! The operator of a run over sockets: the connections of its desks, and where what it reports goes.
//! It lives in a worker that owns no devices.

use super::control::Report;
use super::fleet::{Fleet, KEY_OPERATOR};
use super::link::Overflow;
use super::port::Port;
use super::run_state::ARM_TIMEOUT;
use crate::cloud::operator::{Desk, Event, Input, Operator, Output, SharedPublish};
use crate::mqtt::codec::{self, CodecError};
use crate::mqtt::packet::Publish;
use crate::stats::event::{Cause, Limit};
use crate::stats::recorder::ErrorKind;
use crate::time::Instant;
use std::collections::BTreeSet;

/// Bytes that may wait for the connection of one desk: the blocks that a broker is slow to take while
/// a fleet downloads. With more the connection ends, and that is counted.
pub(super) const DESK_OUTPUT_MAX: usize = 64 << 20;

/// Bytes for one desk that are gathered before they are written: an operator that answers all
/// requests of one read at once must not hold all blocks of the answers.
pub(super) const GATHERED_MAX: usize = 256 << 10;

/// The operator with its connections.
#[derive(Debug)]
pub(super) struct Staff {
    pub(super) operator: Operator,
    pub(super) desks: Vec<Seat>,
    pub(super) is_armed: bool,
}

/// The connection of one desk.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) port: Port,
    pub(super) node: u16,
    last_failure: Option<Cause>,
    /// Topics on which it left a retained message, to be cleared at the end.
    pub(super) retained: BTreeSet<String>,
}

impl Staff {
    /// `operator` before it connects. `source_of` deals out source addresses by number.
    pub(super) fn new(operator: Operator, source_of: impl Fn(usize) -> u16) -> Self {
        let seat = |(number, node)| Seat {
            port: Port::new(node, source_of(number)),
            node,
            last_failure: None,
            retained: BTreeSet::new(),
        };
        Self {
            desks: operator.desks().into_iter().enumerate().map(seat).collect(),
            operator,
            is_armed: false,
        }
    }
}

impl Fleet {
    /// Whether the operator, if this worker has it, is armed.
    pub(super) fn is_operator_armed(&self) -> bool {
        self.staff.as_ref().is_none_or(|staff| staff.is_armed)
    }

    /// Whether the operator, if this worker has it, waits for nobody any more.
    pub(super) fn is_operator_settled(&self) -> bool {
        let staff = self.staff.as_ref();
        staff.is_none_or(|staff| staff.operator.is_settled())
    }

    /// Steps the operator, if this worker has it. `write_buffer` is free: a step calls no other.
    pub(super) fn step_operator(&mut self, now: Instant, input: Input<'_>) {
        let Some(staff) = &mut self.staff else { return };
        let mut outputs = std::mem::take(&mut self.operator_outputs);
        let mut bytes = std::mem::take(&mut self.write_buffer);
        bytes.clear();
        staff.operator.handle_input(now, input, &mut outputs);
        let mut gathered_for = 0;
        for output in outputs.drain(..) {
            match output {
                Output::Open(desk) => {
                    self.write_desk(gathered_for, now, &mut bytes);
                    self.open_desk(desk, now);
                }
                Output::Close(desk) => {
                    self.write_desk(gathered_for, now, &mut bytes);
                    self.close(self.desk_key(desk));
                }
                Output::Send(desk, packet) => {
                    self.gather(desk, &mut gathered_for, now, &mut bytes);
                    let encoded = codec::encode(&packet, &mut bytes);
                    self.expect_desk_encoded(desk, now, encoded);
                }
                Output::Publish(desk, publish) => {
                    self.gather(desk, &mut gathered_for, now, &mut bytes);
                    let encoded = codec::encode_publish(&as_packet(&publish), &mut bytes);
                    self.expect_desk_encoded(desk, now, encoded);
                    self.note_retained(desk, publish);
                }
                Output::Event(event) => self.on_operator_event(now, event),
            }
        }
        self.write_desk(gathered_for, now, &mut bytes);
        self.operator_outputs = outputs;
        self.write_buffer = bytes;
        self.wake_operator(now);
    }

    /// Makes sure that the operator gets its next turn.
    pub(super) fn wake_operator(&mut self, now: Instant) {
        if let Some(staff) = &self.staff {
            let next = staff.operator.poll_timeout();
            self.wake_at(KEY_OPERATOR, next, now);
        }
    }

    /// A deadline of the operator has come, or seemed to.
    pub(super) fn fire_operator(&mut self, now: Instant) {
        let Some(staff) = &self.staff else { return };
        let due = staff.operator.poll_timeout();
        if due <= now {
            self.state.record_lag(due, now);
            self.step_operator(now, Input::Timeout);
        } else {
            self.wake_operator(now);
        }
    }

    /// `bytes` become those for `desk`: what is for another one, or is enough, is written.
    fn gather(&mut self, desk: Desk, last: &mut Desk, now: Instant, bytes: &mut Vec<u8>) {
        if desk != *last || bytes.len() >= GATHERED_MAX {
            self.write_desk(*last, now, bytes);
            *last = desk;
        }
    }

    /// What cannot be encoded is not sent, though the operator takes it for sent.
    fn expect_desk_encoded(&mut self, desk: Desk, now: Instant, encoded: Result<(), CodecError>) {
        if encoded.is_err() {
            self.record_operator_error(now, ErrorKind::GeneratorUnsent);
            self.fail_desk(desk, now, Cause::ProtocolError);
        }
    }

    fn note_retained(&mut self, desk: Desk, publish: SharedPublish) {
        if let Some(staff) = self.staff.as_mut().filter(|_| publish.retain) {
            let retained = &mut staff.desks[usize::from(desk)].retained;
            if publish.payload.is_empty() {
                retained.remove(&publish.topic);
            } else {
                retained.insert(publish.topic);
            }
        }
    }

    fn open_desk(&mut self, desk: Desk, now: Instant) {
        let key = self.desk_key(desk);
        let (port, routes) = self.port_and_routes(key);
        match port.open(routes) {
            Ok(epoch) => self.spawn_reader(key, epoch),
            Err(cause) => self.fail_desk(desk, now, cause),
        }
    }

    /// Writes `bytes` to the connection of `desk` and empties them.
    pub(super) fn write_desk(&mut self, desk: Desk, now: Instant, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        if let Err(Overflow) = self.write(self.desk_key(desk), bytes) {
            self.record_operator_error(now, ErrorKind::Limit(Limit::OutputBytes));
            self.fail_desk(desk, now, Cause::OutputOverflow);
        }
    }

    /// The transport of `desk` failed or ended; the operator is told by the next batch of deadlines.
    pub(super) fn fail_desk(&mut self, desk: Desk, now: Instant, cause: Cause) {
        let key = self.desk_key(desk);
        let (port, routes) = self.port_and_routes(key);
        port.fail(routes, now, cause);
        self.wake_at(key, now, now);
    }

    /// A deadline of `desk` has come.
    pub(super) fn fire_desk(&mut self, desk: Desk, now: Instant) {
        let key = self.desk_key(desk);
        if let Some(cause) = self.port(key).take_told(now) {
            self.step_operator(now, Input::Closed(desk, cause));
        }
    }

    fn on_operator_event(&mut self, now: Instant, event: Event) {
        let Some(staff) = &mut self.staff else { return };
        match event {
            Event::Armed => {
                staff.is_armed = true;
                self.armed_if_all();
            }
            Event::Failed(desk, cause) => {
                staff.desks[usize::from(desk)].last_failure = Some(cause);
                self.record_operator_error(now, ErrorKind::Operator(cause));
            }
            Event::SubscribeRefused(desk) => {
                let (name, node) = (
                    staff.operator.client_id(desk),
                    staff.desks[usize::from(desk)].node,
                );
                let (target, _) = self.routes.pair(node, 0);
                self.give_up(format!(
                    "the target {target} refuses a subscription of the operator's session {name}, so nothing that devices answer would be heard; allow it, or leave campaigns, commands and queries out of the scenario"
                ));
            }
            Event::Noted(note) => self.record_operator_error(now, ErrorKind::Noted(note)),
            Event::Finding(finding) => self.found(finding),
        }
    }

    /// Why the operator is not armed, if it is late.
    pub(super) fn why_operator_is_late(&self) -> Option<String> {
        let staff = self.staff.as_ref().filter(|staff| !staff.is_armed)?;
        let failed = (0..).zip(&staff.desks).find_map(|(desk, seat)| {
            let cause = seat.last_failure?;
            let (target, _) = self.routes.pair(seat.node, 0);
            let name = staff.operator.client_id(desk);
            Some(format!("{name} at {target}: {cause:?}"))
        });
        Some(format!(
            "the operator's {} sessions could not all connect and subscribe within {} s; {}",
            staff.desks.len(),
            ARM_TIMEOUT.as_secs(),
            failed.unwrap_or_else(|| "no answer".to_owned())
        ))
    }

    /// An error of the operator belongs to no device; the table names the first one.
    fn record_operator_error(&mut self, now: Instant, kind: ErrorKind) {
        if let Some(recorder) = self.state.recording() {
            recorder.record_error(now, 0, kind);
        }
    }

    /// Appends a warning for people.
    pub(super) fn warn(&self, text: String) {
        self.reports.push(Report::Warning(text));
    }
}

fn as_packet(publish: &SharedPublish) -> Publish<'_> {
    Publish {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        packet_id: publish.packet_id,
        topic: &publish.topic,
        payload: &publish.payload,
    }
}

#[cfg(test)]
mod tests;

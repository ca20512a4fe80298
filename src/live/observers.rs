//! The observers of a worker: their connections, and where what they report goes.

use super::control::Report;
use super::fleet::{Fleet, KEY_WATCH};
use super::link::Overflow;
use super::run_state::{ARM_TIMEOUT, Stage};
use crate::cloud::ledger::Sighting;
use crate::cloud::observer::{Event, Input, Output};
use crate::cloud::operator;
use crate::mqtt::codec;
use crate::stats::event::{Cause, Limit};
use crate::stats::recorder::ErrorKind;
use crate::time::Instant;

impl Fleet {
    /// Connects all observers, and the operator; reports `Armed` when all are, at once if there is none.
    pub(super) fn arm(&mut self) {
        let now = self.clock.now();
        self.state.stage = Stage::Arming;
        self.state.arm_began = now;
        self.wake_at(KEY_WATCH, now.after(ARM_TIMEOUT), now);
        for o in 0..self.observers.len() {
            self.step_observer(o, now, Input::Start);
        }
        self.step_operator(now, operator::Input::Start);
        self.armed_if_all();
    }

    pub(super) fn armed_if_all(&mut self) {
        let all = self.observers.iter().all(|watch| watch.armed) && self.is_operator_armed();
        if self.state.stage == Stage::Arming && all {
            self.state.stage = Stage::Running;
            self.reports.push(Report::Armed);
        }
    }

    /// Gives up on arming: the run cannot be verified.
    pub(super) fn fail_arming(&mut self, refused: Option<usize>) {
        let late = self.observers.iter().position(|watch| !watch.armed);
        let Some(o) = refused.or(late) else {
            if let Some(why) = self.why_operator_is_late() {
                self.give_up(why);
            }
            return;
        };
        let watch = &self.observers[o];
        let name = watch.observer.client_id();
        let (target, _) = self.routes.pair(watch.observer.node(), 0);
        let text = if refused.is_some() {
            format!(
                "the target {target} refuses a subscription of the observer {name}, so delivery cannot be verified; allow it, or set observe: {{ share: 0% }}"
            )
        } else {
            let missing = self.observers.iter().filter(|watch| !watch.armed).count();
            let all = self.observers.len();
            let why = watch
                .last_failure
                .map_or_else(|| "no answer".to_owned(), |cause| format!("{cause:?}"));
            format!(
                "{missing} of {all} observers could not connect and subscribe within {} s; {name} at {target}: {why}",
                ARM_TIMEOUT.as_secs()
            )
        };
        self.give_up(text);
    }

    /// Steps observer `o`. `write_buffer` is free: a step calls no other.
    pub(super) fn step_observer(&mut self, o: usize, now: Instant, input: Input<'_>) {
        let mut outputs = std::mem::take(&mut self.observer_outputs);
        let mut bytes = std::mem::take(&mut self.write_buffer);
        bytes.clear();
        self.observers[o]
            .observer
            .handle_input(now, input, &mut outputs);
        for output in outputs.drain(..) {
            match output {
                Output::Open => self.open_observer(o, now),
                Output::Close => {
                    self.write_observer(o, now, &mut bytes);
                    self.close(self.observer_key(o));
                }
                Output::Send(packet) => {
                    if codec::encode(&packet, &mut bytes).is_err() {
                        self.fail_observer(o, now, Cause::ProtocolError);
                    }
                }
                Output::Event(event) => self.on_observer_event(o, now, event),
            }
        }
        self.write_observer(o, now, &mut bytes);
        self.observer_outputs = outputs;
        self.write_buffer = bytes;
        let watch = &self.observers[o];
        let next = watch.observer.poll_timeout().min(watch.port.told_at());
        self.wake_at(self.observer_key(o), next, now);
    }

    fn open_observer(&mut self, o: usize, now: Instant) {
        match self.observers[o].port.open(&mut self.routes) {
            Ok(epoch) => self.spawn_reader(self.observer_key(o), epoch),
            Err(cause) => self.fail_observer(o, now, cause),
        }
    }

    pub(super) fn write_observer(&mut self, o: usize, now: Instant, bytes: &mut Vec<u8>) {
        if let Err(Overflow) = self.write(self.observer_key(o), bytes) {
            self.record_observer_error(o, now, ErrorKind::Limit(Limit::OutputBytes));
            self.fail_observer(o, now, Cause::OutputOverflow);
        }
    }

    /// The transport of observer `o` failed or ended; it is told by the next batch of deadlines.
    pub(super) fn fail_observer(&mut self, o: usize, now: Instant, cause: Cause) {
        let watch = &mut self.observers[o];
        watch.port.fail(&mut self.routes, now, cause);
        self.wake_at(self.observer_key(o), now, now);
    }

    /// The key of observer `o` is due.
    pub(super) fn fire_observer(&mut self, o: usize, now: Instant) {
        if let Some(cause) = self.observers[o].port.take_told(now) {
            self.step_observer(o, now, Input::Closed(cause));
        }
        let watch = &self.observers[o];
        let due = watch.observer.poll_timeout();
        if due <= now {
            self.step_observer(o, now, Input::Timeout);
        } else {
            let next = due.min(watch.port.told_at());
            self.wake_at(self.observer_key(o), next, now);
        }
    }

    fn on_observer_event(&mut self, o: usize, now: Instant, event: Event) {
        match event {
            Event::Armed => {
                self.observers[o].armed = true;
                self.armed_if_all();
            }
            Event::Seen(stamp) => {
                let sighting = self.ledger.seen(&stamp, now);
                match (sighting, self.state.recording()) {
                    (Sighting::First { replayed }, Some(recorder)) => {
                        recorder.record_seen(now, stamp.intended, replayed);
                        recorder.record_sample(now, stamp.device, stamp.intended);
                    }
                    (Sighting::First { .. } | Sighting::Repeated | Sighting::Unknown, _) => {}
                }
            }
            Event::WillFired(device) => self.ledger.will_fired(device),
            Event::WillRedelivered => self.ledger.will_redelivered(),
            Event::Corrupt => self.ledger.corrupt(),
            Event::Foreign => self.ledger.foreign(),
            Event::Stored => self.ledger.stored(),
            Event::Downgraded => {
                self.ledger.downgraded(self.observers[o].observer.devices());
                self.record_observer_error(o, now, ErrorKind::Limit(Limit::GrantedQos));
            }
            Event::GapBegan => self.ledger.gap_began(self.observers[o].observer.devices()),
            Event::GapEnded { session_present } => self
                .ledger
                .gap_ended(self.observers[o].observer.devices(), session_present),
            Event::Failed(cause) => {
                self.observers[o].last_failure = Some(cause);
                self.record_observer_error(o, now, ErrorKind::Observer(cause));
            }
            Event::SubscribeRefused if self.state.recorder.is_some() => self.warn_of_leaving(o),
            Event::SubscribeRefused => self.fail_arming(Some(o)),
        }
    }

    /// An observer that had been armed is refused when it comes back during the run: it has left, so
    /// its gap stays open and what is acknowledged from then on is unverified.
    fn warn_of_leaving(&self, o: usize) {
        let observer = &self.observers[o].observer;
        let (target, _) = self.routes.pair(observer.node(), 0);
        self.reports.push(Report::Warning(format!(
            "the target {target} refused a subscription of the observer {} when it came back; delivery of its {} devices is unverified from then on",
            observer.client_id(),
            observer.devices().len()
        )));
    }

    fn record_observer_error(&mut self, o: usize, now: Instant, kind: ErrorKind) {
        let example = self.observers[o].observer.devices().first().copied();
        if let Some(recorder) = self.state.recording() {
            recorder.record_error(now, example.unwrap_or(0), kind);
        }
    }
}

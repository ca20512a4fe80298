//! The connection of a device: attempts and their ends, handshake, `on_connect` steps, packets and
//! deadlines.

use super::timers::Timer;
use super::{Device, Output, Profile, State, Tag, Telemetry, backoff, connect};
use crate::mqtt::packet::{ConnectCode, Packet, QoS};
use crate::mqtt::session::{Entry, Incoming, Pulse, Session};
use crate::scenario::plan::{Backoff, DeviceIdx, Step};
use crate::stats::event::{Cause, Event, Limit, Operation};
use crate::time::{Duration, Instant};

/// Attempts and their ends.
impl Device {
    pub(super) fn start_attempt(&mut self, now: Instant, intended: Instant, out: &mut Vec<Output>) {
        self.state = State::Connecting;
        self.since = intended;
        let overdue = now.after(self.profile.client().connect_timeout);
        self.timers.arm(Timer::Answer, overdue);
        out.push(Output::Open);
        out.push(Output::Event(Event::AttemptStarted { intended }));
    }

    pub(super) fn attempt_failed(&mut self, now: Instant, cause: Cause, out: &mut Vec<Output>) {
        self.timers.disarm(Timer::Answer);
        let intended = self.since;
        out.push(Output::Event(Event::AttemptFailed {
            intended,
            cause,
            written: self.state == State::Handshaking,
        }));
        self.failed = self.failed.saturating_add(1);
        self.back_off(now, out);
    }

    pub(super) fn connection_lost(&mut self, now: Instant, cause: Cause, out: &mut Vec<Output>) {
        self.timers.disarm(Timer::Answer);
        self.timers.disarm(Timer::Burst);
        out.push(Output::Event(Event::Disconnected { cause }));
        self.session.disconnected();
        self.managed_offline();
        if self.profile.cohort().session.clean {
            self.lose_session(out);
        }
        if self.state == State::Online {
            let policy = self.profile.client().backoff;
            if now.since(self.since) >= policy.reset_after {
                (self.waits, self.last_wait_ns) = (0, 0);
            }
            if let (0, Some(first)) = (self.waits, policy.first) {
                return self.wait(now, first);
            }
        } else {
            // It never got through its steps: for the policy, one more failure in a row.
            self.failed = self.failed.saturating_add(1);
        }
        self.back_off(now, out);
    }

    fn wait(&mut self, now: Instant, wait: Duration) {
        self.state = State::BackingOff;
        self.timers.arm(Timer::Backoff, now.after(wait));
    }

    fn back_off(&mut self, now: Instant, out: &mut Vec<Output>) {
        let policy = self.profile.client().backoff;
        self.waits = self.waits.saturating_add(1);
        // Giving up counts failed attempts, and a lost connection is none, though it does begin
        // the row of waits; so that part of the policy is decided here.
        let endless = Backoff {
            give_up_after: None,
            ..policy
        };
        let wait = backoff::delay(
            &endless,
            self.profile.plan.seed,
            self.id,
            u64::from(self.draws),
            self.waits,
            Duration::from_nanos(self.last_wait_ns),
        );
        match (wait, policy.give_up_after) {
            (Some(wait), give_up) if give_up.is_none_or(|after| self.failed < after) => {
                self.draws = self.draws.wrapping_add(1);
                self.last_wait_ns = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
                self.wait(now, wait);
            }
            (Some(_) | None, _) => {
                self.state = State::GaveUp;
                out.push(Output::Event(Event::GaveUp));
            }
        }
    }

    /// No acknowledgement can come any more for what is in flight.
    pub(super) fn lose_session(&mut self, out: &mut Vec<Output>) {
        self.session.discard(session_gone(out));
        self.held_up = false;
        self.write_letters_again();
    }

    /// The device forgets what is in flight; the server does not.
    pub(super) fn lose_memory(&mut self, out: &mut Vec<Output>) {
        self.session.power_cut(session_gone(out));
        self.held_up = false;
    }
}

/// The connection: handshake, `on_connect` steps, packets.
impl Device {
    pub(super) fn shake_hands(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Vec<Output>) {
        let cause = match packet {
            Packet::ConnAck {
                session_present,
                code: ConnectCode::Accepted,
            } => {
                let ping_on = self.profile.client().ping_on;
                self.session.heard(now, packet, ping_on);
                return self.connected(now, *session_present, out);
            }
            Packet::ConnAck { code, .. } => Cause::ConnAck(*code),
            // The first packet from the server must be a CONNACK (MQTT-3.2.0-1).
            Packet::Connect(_)
            | Packet::Publish(_)
            | Packet::PubAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::Subscribe { .. }
            | Packet::SubAck { .. }
            | Packet::Unsubscribe { .. }
            | Packet::UnsubAck(_)
            | Packet::PingReq
            | Packet::PingResp
            | Packet::Disconnect => Cause::ProtocolError,
        };
        out.push(Output::Close);
        self.attempt_failed(now, cause, out);
    }

    fn connected(&mut self, now: Instant, session_present: bool, out: &mut Vec<Output>) {
        self.timers.disarm(Timer::Answer);
        self.report_expected(out);
        out.push(Output::Event(Event::Connected {
            intended: self.since,
            session_present,
        }));
        if session_present {
            self.state = State::Resuming;
            self.release_again(now, out);
            self.repeat(now, self.profile.repeated_max(), out);
        } else {
            self.lose_session(out);
            self.begin_steps(now, out);
        }
        // The wait for the CONNACK may have been longer than the keep-alive.
        self.pulse(now, out);
    }

    /// Writes the PUBRELs of a resumed session again.
    fn release_again(&mut self, now: Instant, out: &mut Vec<Output>) {
        for op in self.session.released().filter_map(|e| e.tag.operation()) {
            out.push(Output::Event(Event::ReleasedAgain(op)));
        }
        for packet_id in self.session.resume(now) {
            out.push(Output::Send(Packet::PubRel(packet_id)));
        }
    }

    /// Writes the next `count` publishes of a resumed session again. The others follow as these are
    /// answered, or after the time that a device waits for an answer; nothing new is written before.
    fn repeat(&mut self, now: Instant, count: usize, out: &mut Vec<Output>) {
        let managed = self.managed.as_deref();
        for entry in self.session.repeat(now, count) {
            match (entry.tag, entry.tag.operation()) {
                (Tag::Telemetry { .. }, Some(op)) => {
                    out.push(Output::Telemetry(Telemetry {
                        op,
                        boot: self.boot,
                        packet_id: entry.packet_id,
                        dup: true,
                    }));
                    out.push(Output::Event(Event::Retransmitted(op)));
                }
                (Tag::Step(step), _) => out.push(Output::Publish(connect::publish(
                    &self.profile,
                    self.id,
                    step,
                    entry.packet_id,
                    true,
                ))),
                (Tag::Managed(number), _) => {
                    let letter = managed.expect("only it has letters").letter(number);
                    out.push(Output::Publish(letter.publish(entry.packet_id, true)));
                }
                (Tag::Telemetry { .. }, None) => unreachable!("telemetry is an operation"),
            }
        }
        if !self.session.is_resuming() {
            self.timers.disarm(Timer::Burst);
            self.begin_steps(now, out);
        } else if count > 0 {
            let overdue = now.after(self.profile.client().connect_timeout);
            self.timers.arm(Timer::Burst, overdue);
        }
    }

    fn begin_steps(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.state = State::Subscribing(0);
        self.run_steps(now, out);
    }

    /// Works off `on_connect` until a step has to wait: a SUBSCRIBE or UNSUBSCRIBE for its answer, a
    /// QoS 1 or 2 publish for room in the window.
    fn run_steps(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let State::Subscribing(step) = self.state {
            let steps = &self.profile.cohort().on_connect;
            let Some(what) = steps.get(usize::from(step)) else {
                if usize::from(step) == steps.len() && self.needs_managed_filters() {
                    return self.subscribe_managed(now, out);
                }
                self.state = State::Online;
                self.since = now;
                self.failed = 0;
                if self.managed.is_some() {
                    self.managed_online(now, out);
                }
                return self.flush(now, out);
            };
            let packet_id = match what {
                Step::Subscribe { .. } | Step::SubscribeMany(_) | Step::Unsubscribe(_) => {
                    let request = request(&mut self.session, &self.profile, self.id, what, now);
                    if let Some(packet) = request {
                        out.push(Output::Send(packet));
                        let overdue = now.after(self.profile.client().connect_timeout);
                        self.timers.arm(Timer::Answer, overdue);
                    }
                    return;
                }
                Step::Publish {
                    qos: QoS::AtMostOnce,
                    ..
                } => {
                    self.session.wrote(now);
                    0
                }
                Step::Publish { qos, .. } => {
                    let window = self.profile.client().inflight;
                    let tag = Tag::Step(step);
                    let Some(packet_id) = self.session.publish(now, tag, *qos, false, window)
                    else {
                        self.note_held_up(out);
                        return;
                    };
                    let deadline = now.after(super::STEP_ACK_TIMEOUT);
                    self.timers.arm_earlier(Timer::Ack, deadline);
                    packet_id
                }
            };
            let publish = connect::publish(&self.profile, self.id, step, packet_id, false);
            out.push(Output::Publish(publish));
            self.state = State::Subscribing(step + 1);
        }
    }

    pub(super) fn receive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Vec<Output>) {
        let incoming = self.session.receive(packet);
        self.session
            .heard(now, packet, self.profile.client().ping_on);
        if let Some(answer) = incoming.answer() {
            self.session.wrote(now);
            out.push(Output::Send(answer));
        }
        match incoming {
            Incoming::Acked(entry) => {
                match (entry.tag, entry.tag.operation()) {
                    (_, Some(op)) => out.push(Output::Event(acked(op, &entry))),
                    (Tag::Managed(number), None) => self.managed_acked(now, number, out),
                    (Tag::Telemetry { .. } | Tag::Step(_), None) => {}
                }
                self.window_opened(now, out);
            }
            Incoming::LateAck(entry) => {
                match (entry.tag, entry.tag.operation()) {
                    (_, Some(op)) => out.push(Output::Event(Event::LateAck(op))),
                    (Tag::Managed(number), None) => self.managed_acked(now, number, out),
                    (Tag::Telemetry { .. } | Tag::Step(_), None) => {}
                }
                self.identifier_freed(now, out);
            }
            Incoming::Abandoned => self.identifier_freed(now, out),
            Incoming::UnexpectedAck { .. } => out.push(Output::Event(Event::UnexpectedAck)),
            Incoming::Granted(granted) => self.granted(now, granted, out),
            Incoming::Unsubscribed => self.answered(now, out),
            Incoming::Message(publish) => {
                match publish.qos {
                    QoS::AtMostOnce => {}
                    QoS::AtLeastOnce | QoS::ExactlyOnce => {
                        out.push(Output::Event(Event::Received));
                    }
                }
                if self.managed.is_some() {
                    self.managed_message(now, &publish, out);
                }
            }
            Incoming::Recorded(_) | Incoming::Duplicate(_) | Incoming::Released(_) => {}
            // The wait for it may have been longer than the keep-alive.
            Incoming::Pong => self.pulse(now, out),
            Incoming::Violation => {
                let cause = match packet {
                    Packet::PubAck(_) | Packet::PubRec(_) | Packet::PubComp(_) => Cause::WrongAck,
                    Packet::Connect(_)
                    | Packet::ConnAck { .. }
                    | Packet::Publish(_)
                    | Packet::PubRel(_)
                    | Packet::Subscribe { .. }
                    | Packet::SubAck { .. }
                    | Packet::Unsubscribe { .. }
                    | Packet::UnsubAck(_)
                    | Packet::PingReq
                    | Packet::PingResp
                    | Packet::Disconnect => Cause::ProtocolError,
                };
                self.abandon(now, cause, out);
            }
        }
        if self.state == State::Resuming {
            let max = self.profile.repeated_max();
            let room = max.saturating_sub(self.session.repeated());
            self.repeat(now, room, out);
        }
    }

    /// The SUBACK of a step came; `granted` has one entry per filter.
    fn granted(&mut self, now: Instant, granted: &[Option<QoS>], out: &mut Vec<Output>) {
        if granted.iter().any(Option::is_none) {
            return self.abandon(now, Cause::SubscribeRefused, out);
        }
        let asked: Vec<QoS> = match self.asking() {
            Some(step) => step.subscriptions().map(|(_, qos)| qos).collect(),
            None => self.managed_filters().iter().map(|(_, qos)| *qos).collect(),
        };
        let mut pairs = granted.iter().zip(asked);
        if pairs.any(|(granted, asked)| *granted < Some(asked)) {
            out.push(Output::Event(Event::LimitReached(Limit::GrantedQos)));
        }
        self.answered(now, out);
    }

    /// The SUBSCRIBE or UNSUBSCRIBE of the present step is answered: the next one follows.
    fn answered(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.timers.disarm(Timer::Answer);
        if let State::Subscribing(step) = self.state {
            self.state = State::Subscribing(step + 1);
        }
        self.run_steps(now, out);
    }

    /// The step whose SUBSCRIBE or UNSUBSCRIBE waits for its answer; `None` = the SUBSCRIBE after them.
    fn asking(&self) -> Option<&Step> {
        let State::Subscribing(step) = self.state else {
            unreachable!("only steps subscribe and unsubscribe");
        };
        self.profile.cohort().on_connect.get(usize::from(step))
    }

    /// An identifier that was held is free again.
    fn identifier_freed(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.held_up && !self.session.is_held_up() {
            self.held_up = false;
            self.window_opened(now, out);
        }
    }

    /// A publish has to wait; if that is for want of identifiers, it is counted once until they are
    /// there again.
    pub(super) fn note_held_up(&mut self, out: &mut Vec<Output>) {
        if !self.held_up && self.session.is_held_up() {
            self.held_up = true;
            out.push(Output::Event(Event::LimitReached(Limit::HeldPacketIds)));
        }
    }

    /// A place in the inflight window is free again.
    fn window_opened(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.run_steps(now, out);
        if self.managed.is_some() {
            self.flush_outbox(now, out);
        }
        self.flush(now, out);
    }

    /// Closes an established connection that is of no use.
    fn abandon(&mut self, now: Instant, cause: Cause, out: &mut Vec<Output>) {
        out.push(Output::Close);
        self.connection_lost(now, cause, out);
    }
}

/// Deadlines.
impl Device {
    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.timers.take(Timer::Expected, now).is_some() {
            out.push(Output::Event(Event::Expected));
        }
        if self.timers.take(Timer::Ack, now).is_some() {
            self.time_out_acks(now, out);
        }
        if self.timers.take(Timer::Arrival, now).is_some() {
            self.plan_due(now, self.horizon, out);
            self.expire(now, out);
        }
        if self.timers.take(Timer::Burst, now).is_some() {
            match self.state {
                State::Resuming => self.repeat(now, self.profile.repeated_max(), out),
                State::Off
                | State::Connecting
                | State::Handshaking
                | State::Subscribing(_)
                | State::Online
                | State::BackingOff
                | State::GaveUp
                | State::Rebooting
                | State::Bricked
                | State::Stopped => self.flush(now, out),
            }
        }
        if self.timers.take(Timer::Answer, now).is_some() {
            self.answer_overdue(now, out);
        }
        // The connection may have ended a line above.
        if self.timers.take(Timer::Pulse, now).is_some() && self.is_connected() {
            self.pulse(now, out);
        }
        if let Some(intended) = self.timers.take(Timer::Backoff, now) {
            if self.state == State::Rebooting {
                self.rebooted(now, out);
            }
            self.start_attempt(now, intended, out);
        }
        if self.timers.take(Timer::Managed, now).is_some() {
            self.managed_timeout(now, out);
        }
    }

    /// Does what the keep-alive of an established connection wants.
    fn pulse(&mut self, now: Instant, out: &mut Vec<Output>) {
        match self.session.pulse(now, self.profile.keep_alive()) {
            Pulse::Idle => {}
            Pulse::Ping => out.push(Output::Send(Packet::PingReq)),
            Pulse::Dead => self.abandon(now, Cause::KeepAliveTimeout, out),
        }
    }

    fn answer_overdue(&mut self, now: Instant, out: &mut Vec<Output>) {
        match self.state {
            State::Connecting | State::Handshaking => {
                out.push(Output::Close);
                self.attempt_failed(now, Cause::ConnectTimeout, out);
            }
            State::Subscribing(_) => {
                let cause = match self.asking() {
                    Some(Step::Unsubscribe(_)) => Cause::UnsubscribeTimeout,
                    Some(
                        Step::Subscribe { .. } | Step::SubscribeMany(_) | Step::Publish { .. },
                    )
                    | None => Cause::SubscribeTimeout,
                };
                self.abandon(now, cause, out);
            }
            State::Off
            | State::Resuming
            | State::Online
            | State::BackingOff
            | State::GaveUp
            | State::Rebooting
            | State::Bricked
            | State::Stopped => {
                unreachable!("armed only while an answer is awaited")
            }
        }
    }

    fn time_out_acks(&mut self, now: Instant, out: &mut Vec<Output>) {
        let profile = &self.profile;
        let ended = |entry: &Entry<Tag>| {
            if let Some(op) = entry.tag.operation() {
                let sent = entry.sent;
                out.push(Output::Event(Event::TimedOut { op, sent }));
            }
        };
        self.session
            .time_out(now, |tag| profile.ack_timeout(tag), ended);
        let next = self.session.ack_deadline(|tag| profile.ack_timeout(tag));
        self.timers.arm(Timer::Ack, next);
        self.window_opened(now, out);
    }
}

/// The SUBSCRIBE or UNSUBSCRIBE of `step`; `None` if it was written and waits for its answer.
fn request(
    session: &mut Session<Tag>,
    profile: &Profile,
    device: DeviceIdx,
    step: &Step,
    now: Instant,
) -> Option<Packet<'static>> {
    if let Step::Unsubscribe(topics) = step {
        let packet_id = session.unsubscribe(now)?;
        return Some(connect::unsubscribe(profile, device, topics, packet_id));
    }
    let filters = u16::try_from(step.subscriptions().count()).expect("the file's limit is lower");
    let packet_id = session.subscribe(now, filters)?;
    Some(connect::subscribe(profile, device, step, packet_id))
}

/// What becomes of the publishes in flight without their session.
fn session_gone(out: &mut Vec<Output>) -> impl FnMut(&Entry<Tag>) {
    |entry| {
        if let Some(op) = entry.tag.operation() {
            out.push(Output::Event(Event::SessionGone(op)));
        }
    }
}

const fn acked(op: Operation, entry: &Entry<Tag>) -> Event {
    Event::Acked {
        op,
        sent: entry.sent,
        replayed: entry.late || entry.retransmitted,
    }
}

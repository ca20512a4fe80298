//! What the operator has to do once T0 is known, and what it makes of messages.

use super::Note;
use super::SharedPublish;
use super::command::Command;
use super::fleet::Fleet;
use super::letter::Letter;
use super::mail::{Step, publish};
use super::package::Package;
use super::query::Query;
use super::rollouts::Rollouts;
use super::routes::{Kind, Route, Routes};
use crate::device::payload;
use crate::mqtt::packet::{Publish, QoS};
use crate::scenario::campaign::FleetCommand;
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::scenario::update::WireProfile;
use crate::time::Instant;
use crate::wire::command::{self, Done, Request, Response};
use crate::wire::reported::Report;
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;

/// Everything that the operator does besides being connected.
#[derive(Debug)]
pub(super) struct Work {
    plan: Arc<Plan>,
    run: u32,
    routes: Routes,
    fleet: Fleet,
    rollouts: Rollouts,
    commands: Vec<Order>,
    queries: Vec<Query>,
    /// Devices that were asked to report so far.
    asked: u64,
    /// Being filled by a command: places among its targets.
    post: Vec<u32>,
    /// Being filled by a query.
    ask: Vec<DeviceIdx>,
    phase: Phase,
}

/// Where the run is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// T0 is not known: whatever comes is of another time.
    Before,
    /// From T0 on.
    Running,
    /// Everything has its row.
    Closed,
}

/// A command and its words.
#[derive(Debug)]
struct Order {
    /// The same for all devices and repetitions.
    id: String,
    payload: Bytes,
    state: OrderState,
}

#[derive(Debug)]
enum OrderState {
    /// Begins then.
    Waiting(Instant),
    /// Has begun.
    Running(Command),
    /// T0 is not known, or it never began.
    Void,
}

impl Order {
    fn new(run: u32, planned: &FleetCommand) -> Self {
        let id = command::id(run, &planned.name);
        let params = command::params(&planned.payload);
        let request = Request {
            id: Cow::Borrowed(&id),
            command: Cow::Borrowed(&planned.name),
            params: params.as_deref(),
        };
        Self {
            payload: request.write().into(),
            state: OrderState::Void,
            id,
        }
    }
}

impl Work {
    /// The work of `plan`. What takes time is done here, before the run: images, tables of names, who
    /// is meant by a query.
    pub(super) fn new(plan: &Arc<Plan>, run: u32) -> Self {
        let queries = 0..u16::try_from(plan.queries.len()).expect("the file's limit is below u16");
        Self {
            routes: Routes::new(plan, run),
            fleet: Fleet::new(plan),
            rollouts: Rollouts::new(plan, run),
            commands: plan.commands.iter().map(|c| Order::new(run, c)).collect(),
            queries: queries.map(|index| Query::new(plan, index)).collect(),
            plan: Arc::clone(plan),
            run,
            asked: 0,
            post: Vec::new(),
            ask: Vec::new(),
            phase: Phase::Before,
        }
    }

    /// What each campaign gives its devices; `None` of an external one.
    pub(super) fn packages(&self) -> &[Option<Package>] {
        &self.rollouts.packages
    }

    /// What it has to hear, and whose messages it understands.
    pub(super) const fn routes(&self) -> &Routes {
        &self.routes
    }

    /// T0 is `start`.
    pub(super) fn begin(&mut self, start: Instant) {
        match self.phase {
            Phase::Before => {}
            Phase::Running | Phase::Closed => return,
        }
        self.phase = Phase::Running;
        self.fleet.begin(start);
        self.rollouts.begin_at(start);
        for (order, planned) in self.commands.iter_mut().zip(&self.plan.commands) {
            order.state = OrderState::Waiting(start.after(planned.start));
        }
        for query in &mut self.queries {
            query.begin_at(start);
        }
    }

    /// When [`Work::step`] is wanted.
    pub(super) fn poll_timeout(&self) -> Instant {
        if self.phase != Phase::Running {
            return Instant::NEVER;
        }
        let command = |order: &Order| match &order.state {
            OrderState::Waiting(at) => *at,
            OrderState::Running(command) => command.poll_timeout(),
            OrderState::Void => Instant::NEVER,
        };
        let commands = self.commands.iter().map(command);
        let queries = self.queries.iter().map(Query::poll_timeout);
        commands
            .chain(queries)
            .fold(self.rollouts.poll_timeout(), Instant::min)
    }

    /// Whether nothing is under way or yet to begin.
    pub(super) fn is_settled(&self) -> bool {
        let is_over = |order: &Order| match &order.state {
            OrderState::Waiting(_) => false,
            OrderState::Running(command) => command.is_settled(),
            OrderState::Void => true,
        };
        self.phase != Phase::Running
            || (self.rollouts.is_settled()
                && self.commands.iter().all(is_over)
                && self.queries.iter().all(Query::is_settled))
    }

    /// Does what is due.
    pub(super) fn step(&mut self, to: &mut Step<'_>) {
        if self.phase != Phase::Running {
            return;
        }
        self.rollouts.step(&self.fleet, to);
        for index in 0..self.commands.len() {
            self.step_command(index, to);
        }
        for query in &mut self.queries {
            query.step(to.now, &self.fleet, &mut self.ask, to.out);
        }
        for device in self.ask.drain(..) {
            to.post(device, Letter::AskReport(device));
        }
    }

    /// Nobody new is notified or sent a command.
    pub(super) fn stop(&mut self, to: &mut Step<'_>) {
        if self.phase != Phase::Running {
            return;
        }
        self.rollouts.stop(to);
        for order in &mut self.commands {
            match &mut order.state {
                OrderState::Waiting(_) => order.state = OrderState::Void,
                OrderState::Running(command) => command.stop(to.out),
                OrderState::Void => {}
            }
        }
        for query in &mut self.queries {
            query.stop(to.now);
        }
    }

    /// Everything gets its row.
    pub(super) fn close(&mut self, to: &mut Step<'_>) {
        if self.phase != Phase::Running {
            return;
        }
        self.rollouts.close(to);
        for order in &mut self.commands {
            if let OrderState::Running(command) = &mut order.state {
                command.close(to.out);
            }
        }
        for query in &mut self.queries {
            query.close(to.now, &self.fleet, to.out);
        }
        self.phase = Phase::Closed;
    }

    /// A message came. What the broker had stored before is of no use, and before T0 and after the close
    /// nothing is.
    pub(super) fn message(&mut self, publish: &Publish<'_>, to: &mut Step<'_>) {
        if self.phase != Phase::Running || publish.retain {
            return;
        }
        let payload = publish.payload;
        match self.routes.find(&self.plan, self.run, publish.topic) {
            Route::Jobs(device, asked) => {
                self.contact(device, false, to);
                self.rollouts.answer_jobs(device, asked, payload, to);
            }
            Route::Stream(device, topic) => {
                self.contact(device, false, to);
                self.rollouts.answer_stream(device, topic, payload, to);
            }
            Route::Base(Kind::Reported, device, _) => self.report(device, payload, to),
            Route::Base(Kind::Commands, device, rest) => {
                self.contact(device, false, to);
                self.answer(device, rest, payload, to);
            }
            Route::Base(Kind::ActionStatus, device, _) => {
                self.contact(device, false, to);
                self.rollouts.hear_status(device, payload, to);
            }
            Route::Base(Kind::Me, device, topic) => {
                self.contact(device, false, to);
                let run = self.run;
                self.rollouts
                    .answer_thingsboard(run, device, (topic, payload), to);
            }
            Route::Base(Kind::Will, device, _) => {
                if self.is_will(device, payload) {
                    self.fleet.gone(device);
                } else {
                    // Devices say that they are there where their will says that they are not.
                    self.contact(device, false, to);
                }
            }
            Route::Foreign => to.note(Note::ForeignName),
            Route::Unknown => to.note(Note::BadMessage),
        }
    }

    /// Puts `letter` into words; `None` if there is nothing to say any more.
    pub(super) fn render(&mut self, now: Instant, letter: Letter) -> Option<SharedPublish> {
        if self.phase != Phase::Running {
            return None;
        }
        match letter {
            Letter::Ready(publish) => Some(*publish),
            Letter::Job(device) => {
                let (topic, payload) = match self.rollouts.profile(device)? {
                    WireProfile::AwsJobs { .. } => {
                        let (topic, payload) = self.rollouts.notify_next(now, device)?;
                        (topic, payload.into())
                    }
                    WireProfile::Thingsboard { .. } => {
                        self.rollouts.push_attributes(self.run, device)?
                    }
                    WireProfile::GenericAction(profile) => {
                        let action = self.rollouts.action(self.run, device, profile);
                        let (topic, payload) = action?;
                        (topic, payload.into())
                    }
                };
                Some(publish(QoS::AtLeastOnce, topic, payload))
            }
            Letter::Request { command, target } => {
                let order = &mut self.commands[usize::from(command)];
                let OrderState::Running(command) = &mut order.state else {
                    return None;
                };
                let request = command.write(now, target)?;
                let (id, payload) = (order.id.clone(), order.payload.clone());
                self.request(request.device, &id, payload)
            }
            Letter::AskReport(device) => {
                self.asked += 1;
                let id = command::report_id(self.run, self.asked);
                let request = Request {
                    id: Cow::Borrowed(&id),
                    command: Cow::Borrowed(command::REPORT),
                    params: None,
                };
                self.request(device, &id, request.write().into())
            }
        }
    }

    fn request(&self, device: DeviceIdx, id: &str, payload: Bytes) -> Option<SharedPublish> {
        let cohort = &self.plan.cohorts[self.plan.cohort_of(device)];
        let names = payload::names(&self.plan, device, self.run);
        let base = cohort.commands.as_ref()?.topic.to_text(&names);
        let topic = command::request_topic(&base, id);
        Some(publish(QoS::AtLeastOnce, topic, payload))
    }

    fn step_command(&mut self, index: usize, to: &mut Step<'_>) {
        let order = &mut self.commands[index];
        let number = u16::try_from(index).expect("the file's limit is below u16");
        if let OrderState::Waiting(at) = order.state
            && at <= to.now
        {
            let (plan, fleet) = (&self.plan, &self.fleet);
            let begun = Command::begin(plan, number, to.now, at, fleet, to.out);
            order.state = OrderState::Running(begun);
        }
        if let OrderState::Running(command) = &mut order.state
            && command.poll_timeout() <= to.now
        {
            command.step(to.now, &self.fleet, &mut self.post, to.out);
        }
        self.post_requests(number, to);
    }

    /// Posts what a command has put into `post`.
    fn post_requests(&mut self, command: u16, to: &mut Step<'_>) {
        let OrderState::Running(running) = &self.commands[usize::from(command)].state else {
            return;
        };
        for target in self.post.drain(..) {
            let letter = Letter::Request { command, target };
            to.post(running.device(target), letter);
        }
    }

    /// `device` was heard of.
    fn contact(&mut self, device: DeviceIdx, reports: bool, to: &mut Step<'_>) {
        let is_back = self.fleet.contact(device);
        if is_back || reports {
            self.rollouts.contact(device, is_back, to);
        }
        if !is_back {
            return;
        }
        for index in 0..self.commands.len() {
            if let OrderState::Running(command) = &mut self.commands[index].state {
                command.back(to.now, device, &mut self.post);
                let number = u16::try_from(index).expect("the file's limit is below u16");
                self.post_requests(number, to);
            }
        }
    }

    fn report(&mut self, device: DeviceIdx, payload: &[u8], to: &mut Step<'_>) {
        let Ok(report) = Report::read(payload) else {
            return to.note(Note::BadMessage);
        };
        let firmware = report.get(&self.plan.firmware.attribute);
        self.fleet.report(device, report.at_ms, firmware);
        self.contact(device, true, to);
        for query in &mut self.queries {
            query.reported(to.now, device, &self.fleet, to.out);
        }
    }

    /// `device` answers a request: `response/<id>` is the rest of the topic.
    fn answer(&mut self, device: DeviceIdx, rest: &str, payload: &[u8], to: &mut Step<'_>) {
        let id = rest.strip_prefix("response/").unwrap_or(rest);
        let Ok(response) = Response::read(id, payload) else {
            return to.note(Note::BadMessage);
        };
        let succeeded = response.status == Done::Succeeded;
        let order = self.commands.iter_mut().find(|order| order.id == id);
        let is_counted = match order.map(|order| &mut order.state) {
            Some(OrderState::Running(command)) => command.answer(to.now, device, succeeded),
            Some(OrderState::Waiting(_) | OrderState::Void) | None => false,
        };
        if !is_counted {
            to.note(Note::BadMessage);
        }
    }

    fn is_will(&self, device: DeviceIdx, payload: &[u8]) -> bool {
        let cohort = &self.plan.cohorts[self.plan.cohort_of(device)];
        let names = payload::names(&self.plan, device, self.run);
        let will = cohort.session.will.as_ref();
        will.is_some_and(|will| will.payload.to_text(&names).as_bytes() == payload)
    }
}

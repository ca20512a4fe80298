//! The coordinator: decides when a run starts, stops and ends from what its children say. Sans-IO
//! like the actors: `run::live_run` gives it messages and time, and carries out what it wants.

use crate::live::control::{Command, Report};
use crate::scenario::plan::Plan;
use crate::scenario::timeline::{self, Action, Entry};
use crate::stats::evidence::{Line, Outcome};
use crate::stats::recorder::{Snapshot, Totals};
use crate::stats::results::Finding;
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Longest wait for the workers to compile the plan.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Longest wait for the observers to arm.
const ARM_LIMIT: Duration = Duration::from_secs(60);
/// From the decision to start to T0: time for the message to reach every child.
const START_LEAD: Duration = Duration::from_millis(500);
/// A worker that says nothing for this long is lost.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// The drain ends when nothing has been in flight for this long.
const DRAIN_IDLE: Duration = Duration::from_secs(5);
/// Longest wait for the teardown (clearing sessions on the target takes its time).
const FINISH_LIMIT: Duration = Duration::from_secs(180);
/// Longest wait for totals after an abort: the partial report is due within 10 s.
const ABORT_LIMIT: Duration = Duration::from_secs(6);
/// Longest wait for the backend nodes' own counts.
const NODES_LIMIT: Duration = Duration::from_secs(3);

/// What a coordinator hears.
#[derive(Debug)]
pub enum Input {
    /// A worker says something.
    Worker(u32, Report),
    /// A backend node says something.
    Node(u16, Report),
    /// A worker process ended; how, for people.
    WorkerExited(u32, String),
    /// A backend node's process ended; how, for people.
    NodeExited(u16, String),
    /// Whoever runs this wants to stop (signal number).
    Signal(i32),
    /// Time passes; at least ten times a second.
    Tick,
}

/// What a coordinator wants done.
#[derive(Debug)]
pub enum Output {
    /// Tell a worker.
    ToWorker(u32, Command),
    /// Tell a backend node.
    ToNode(u16, Command),
    /// Append to the evidence.
    Evidence(Line),
    /// A second is complete: the snapshots of all workers that live, by worker.
    Second(u32, Vec<(u32, Snapshot)>),
    /// Append to the results.
    Findings(Vec<Finding>),
    /// The run is over.
    Finished(Ending),
}

/// How a run ended, before it is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It began: the run directory holds what it takes to judge it.
    Ran,
    /// It could not begin: the target or this machine would not do. Sentence for people.
    NotStarted(String),
    /// Whoever runs this stopped it before T0 (signal number).
    StoppedBeforeStart(i32),
    /// A worker cannot write its part of the evidence. Sentence for people.
    Unwritten(String),
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum State {
    /// Workers compile the plan.
    Preparing,
    /// Observers and the operator connect and subscribe.
    Arming,
    /// From T0 to the end of the last phase.
    Running,
    /// Nothing new; what waits or is in flight may end.
    Draining,
    /// Workers account and tear down.
    Finishing,
    /// A run that is cut short: workers account at once.
    Aborting,
    /// Backend nodes give their counts.
    AskingNodes,
    /// All is said.
    Over,
}

#[derive(Debug)]
struct WorkerState {
    alive: bool,
    ready: bool,
    armed: bool,
    drained: bool,
    done: bool,
    heard: Instant,
}

/// Decides the course of one live run.
#[derive(Debug)]
pub struct Coordinator {
    plan: Arc<Plan>,
    state: State,
    since: Instant,
    start: Instant,
    end: Option<Instant>,
    drained_since: Option<Instant>,
    drained_at: Option<Instant>,
    drain_complete: bool,
    workers: Vec<WorkerState>,
    /// Which of them has the operator.
    operator: Option<u32>,
    /// Where it serves the images of campaigns, if it does.
    images: Option<SocketAddr>,
    nodes: Vec<bool>,
    marks: Vec<Entry>,
    next_mark: usize,
    seconds: BTreeMap<u32, Vec<(u32, Snapshot)>>,
    totals: Totals,
    wall_clock: fn() -> String,
}

impl Coordinator {
    /// A coordinator of `workers` workers that own devices, one more behind them if the plan has an
    /// operator, and `nodes` embedded nodes, all just started. `wall_clock` names the moment of T0 for
    /// people.
    pub fn new(
        plan: Arc<Plan>,
        workers: u32,
        nodes: u16,
        now: Instant,
        wall_clock: fn() -> String,
    ) -> Self {
        let marks = timeline::compile(&plan, |_| false);
        let operator = plan.has_operator().then_some(workers);
        let workers = workers + u32::from(operator.is_some());
        let worker = || WorkerState {
            alive: true,
            ready: false,
            armed: false,
            drained: false,
            done: false,
            heard: now,
        };
        Self {
            plan,
            state: State::Preparing,
            since: now,
            start: Instant::NEVER,
            end: None,
            drained_since: None,
            drained_at: None,
            drain_complete: false,
            workers: (0..workers).map(|_| worker()).collect(),
            operator,
            images: None,
            nodes: vec![true; usize::from(nodes)],
            marks,
            next_mark: 0,
            seconds: BTreeMap::new(),
            totals: Totals::default(),
            wall_clock,
        }
    }

    /// T0, once it is known.
    pub fn start(&self) -> Option<Instant> {
        (!self.start.is_never()).then_some(self.start)
    }

    /// Takes one input at `now`; what it wants done is appended to `out`.
    pub fn handle_input(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Worker(index, report) => self.on_worker(now, index, report, out),
            Input::Node(node, report) => self.on_node(now, node, report, out),
            Input::WorkerExited(index, how) => self.on_worker_exited(now, index, how, out),
            Input::NodeExited(node, how) => self.on_node_exited(now, node, how, out),
            Input::Signal(signal) => self.on_signal(now, signal, out),
            Input::Tick => {}
        }
        self.emit_marks(now, out);
        self.advance(now, out);
    }

    fn on_worker(&mut self, now: Instant, index: u32, report: Report, out: &mut Vec<Output>) {
        let worker = &mut self.workers[index as usize];
        worker.heard = now;
        match report {
            Report::Ready => worker.ready = true,
            Report::Serving(address) => self.images = Some(address),
            Report::Armed => worker.armed = true,
            Report::Drained(drained) => worker.drained = drained,
            Report::Snapshot(frame) => {
                self.seconds
                    .entry(frame.0.second)
                    .or_default()
                    .push((index, frame.0));
                self.emit_seconds(false, out);
            }
            Report::Findings(findings) => out.push(Output::Findings(findings)),
            Report::Done(totals) => {
                worker.done = true;
                self.totals.merge(&totals);
            }
            Report::Warning(text) => out.push(Output::Evidence(Line::Warning {
                at: now,
                text: format!("{}: {text}", self.name(index)),
            })),
            Report::Failed(text) => match self.state {
                State::Preparing | State::Arming => {
                    self.not_started(format!("{}: {text}", self.name(index)), out)
                }
                State::Running | State::Draining | State::Finishing | State::Aborting => {
                    self.lose_worker(now, index, text, out)
                }
                State::AskingNodes | State::Over => {}
            },
            Report::EvidenceFailed(text) => match self.state {
                State::Preparing
                | State::Arming
                | State::Running
                | State::Draining
                | State::Finishing
                | State::Aborting
                | State::AskingNodes => {
                    self.state = State::Over;
                    let ending = Ending::Unwritten(format!("{}: {text}", self.name(index)));
                    out.push(Output::Finished(ending));
                }
                State::Over => {}
            },
            Report::Listening(_) | Report::BackendDone { .. } => {}
        }
    }

    fn on_node(&mut self, now: Instant, node: u16, report: Report, out: &mut Vec<Output>) {
        match report {
            Report::BackendDone { counts, errors } => {
                self.nodes[usize::from(node)] = false;
                out.push(Output::Evidence(Line::Backend {
                    node,
                    counts,
                    errors,
                }));
            }
            Report::Warning(text) => out.push(Output::Evidence(Line::Warning {
                at: now,
                text: format!("backend node {node}: {text}"),
            })),
            Report::Failed(text) => self.on_node_exited(now, node, text, out),
            Report::Listening(_)
            | Report::Ready
            | Report::Serving(_)
            | Report::Armed
            | Report::Snapshot(_)
            | Report::Findings(_)
            | Report::Drained(_)
            | Report::EvidenceFailed(_)
            | Report::Done(_) => {}
        }
    }

    fn on_worker_exited(&mut self, now: Instant, index: u32, how: String, out: &mut Vec<Output>) {
        let worker = &self.workers[index as usize];
        if worker.done || !worker.alive {
            return;
        }
        match self.state {
            State::Preparing | State::Arming => {
                let who = self.name(index);
                self.not_started(format!("{who} ended before the start: {how}"), out)
            }
            State::Running | State::Draining | State::Finishing | State::Aborting => {
                self.lose_worker(now, index, how, out)
            }
            State::AskingNodes | State::Over => {}
        }
    }

    fn on_node_exited(&mut self, now: Instant, node: u16, how: String, out: &mut Vec<Output>) {
        if !std::mem::replace(&mut self.nodes[usize::from(node)], false) {
            return;
        }
        match self.state {
            State::Preparing | State::Arming => self.not_started(
                format!("backend node {node} ended before the start: {how}"),
                out,
            ),
            State::Running | State::Draining | State::Finishing | State::Aborting => {
                out.push(Output::Evidence(Line::Lost {
                    process: format!("backend node {node}"),
                    at: now,
                    how,
                }));
                self.abort(now, out);
            }
            State::AskingNodes | State::Over => {}
        }
    }

    fn on_signal(&mut self, now: Instant, signal: i32, out: &mut Vec<Output>) {
        match self.state {
            State::Preparing | State::Arming => {
                self.state = State::Over;
                out.push(Output::Finished(Ending::StoppedBeforeStart(signal)));
            }
            State::Running | State::Draining | State::Finishing => {
                out.push(Output::Evidence(Line::Interrupted { at: now, signal }));
                self.abort(now, out);
            }
            State::Aborting | State::AskingNodes | State::Over => {}
        }
    }

    /// What a worker is called.
    fn name(&self, index: u32) -> String {
        match self.operator == Some(index) {
            true => "operator".to_owned(),
            false => format!("worker {index}"),
        }
    }

    /// A worker is gone: its devices' share of every number is missing, or whatever the operator knew,
    /// so the run stops.
    fn lose_worker(&mut self, now: Instant, index: u32, how: String, out: &mut Vec<Output>) {
        let worker = &mut self.workers[index as usize];
        if !std::mem::replace(&mut worker.alive, false) {
            return;
        }
        out.push(Output::Evidence(Line::Lost {
            process: self.name(index),
            at: now,
            how,
        }));
        self.abort(now, out);
    }

    fn abort(&mut self, now: Instant, out: &mut Vec<Output>) {
        match self.state {
            State::Running | State::Draining | State::Finishing => {
                self.end.get_or_insert(now);
                self.enter(State::Aborting, now);
                self.tell_workers(Command::Abort, out);
            }
            State::Preparing
            | State::Arming
            | State::Aborting
            | State::AskingNodes
            | State::Over => {}
        }
    }

    fn not_started(&mut self, why: String, out: &mut Vec<Output>) {
        self.state = State::Over;
        out.push(Output::Finished(Ending::NotStarted(why)));
    }

    /// Moves on when the present state has what it waits for, or has waited too long.
    fn advance(&mut self, now: Instant, out: &mut Vec<Output>) {
        match self.state {
            State::Preparing => {
                if self.workers.iter().all(|w| w.ready) {
                    self.enter(State::Arming, now);
                    self.tell_workers(Command::Arm, out);
                } else if now.since(self.since) > READY_LIMIT {
                    self.not_started(
                        format!(
                            "the workers were not ready within {} s",
                            READY_LIMIT.as_secs()
                        ),
                        out,
                    );
                }
            }
            State::Arming => {
                if self.workers.iter().all(|w| w.armed) {
                    self.begin(now, out);
                } else if now.since(self.since) > ARM_LIMIT {
                    self.not_started(
                        format!(
                            "the {} could not subscribe within {} s",
                            match self.operator {
                                Some(_) => "observers or the operator",
                                None => "observers",
                            },
                            ARM_LIMIT.as_secs()
                        ),
                        out,
                    );
                }
            }
            State::Running => {
                self.watch(now, out);
                let end = self.start.after(self.plan.length());
                if now >= end && self.state == State::Running {
                    self.end = Some(end);
                    self.enter(State::Draining, now);
                }
            }
            State::Draining => {
                self.watch(now, out);
                if self.state == State::Draining {
                    self.drain(now, out);
                }
            }
            State::Finishing => self.collect(now, FINISH_LIMIT, out),
            State::Aborting => self.collect(now, ABORT_LIMIT, out),
            State::AskingNodes => {
                if now.since(self.since) > NODES_LIMIT || !self.nodes.contains(&true) {
                    self.finish(now, out);
                }
            }
            State::Over => {}
        }
    }

    fn begin(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.start = now.after(START_LEAD);
        out.push(Output::Evidence(Line::Started {
            start: self.start,
            wall_clock: (self.wall_clock)(),
        }));
        if let Some(address) = self.images {
            self.tell_workers(Command::Images(address), out);
        }
        self.tell_workers(Command::Start(self.start), out);
        for (node, _) in (0u16..).zip(&self.nodes) {
            out.push(Output::ToNode(node, Command::Start(self.start)));
        }
        self.enter(State::Running, now);
        for worker in &mut self.workers {
            // Nothing was due from the workers that armed first.
            worker.heard = self.start;
        }
    }

    fn watch(&mut self, now: Instant, out: &mut Vec<Output>) {
        let silent = self
            .workers
            .iter()
            .position(|w| w.alive && !w.done && now.since(w.heard) > SILENCE_MAX);
        if let Some(index) = silent {
            let how = format!("silent for {} s", SILENCE_MAX.as_secs());
            self.lose_worker(
                now,
                u32::try_from(index).expect("a u32 of workers"),
                how,
                out,
            );
        }
    }

    fn drain(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.workers.iter().all(|w| w.drained) {
            self.drained_since.get_or_insert(now);
        } else {
            self.drained_since = None;
        }
        let idle = self
            .drained_since
            .is_some_and(|since| now.since(since) >= DRAIN_IDLE);
        if idle || now.since(self.since) >= self.plan.drain {
            self.drain_complete = idle;
            self.drained_at = Some(now);
            self.enter(State::Finishing, now);
            self.tell_workers(Command::Finish, out);
        }
    }

    /// Waits for the totals of all workers that live.
    fn collect(&mut self, now: Instant, limit: Duration, out: &mut Vec<Output>) {
        if self.workers.iter().all(|w| w.done || !w.alive) {
            self.ask_nodes(now, out);
        } else if now.since(self.since) > limit {
            let how = format!("no totals within {} s", limit.as_secs());
            for index in 0..u32::try_from(self.workers.len()).expect("a u32 of workers") {
                let worker = &mut self.workers[index as usize];
                if worker.alive && !worker.done {
                    worker.alive = false;
                    out.push(Output::Evidence(Line::Lost {
                        process: self.name(index),
                        at: now,
                        how: how.clone(),
                    }));
                }
            }
            self.ask_nodes(now, out);
        }
    }

    fn ask_nodes(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.emit_seconds(true, out);
        self.enter(State::AskingNodes, now);
        for (node, alive) in (0u16..).zip(&self.nodes) {
            if *alive {
                out.push(Output::ToNode(node, Command::Exit));
            }
        }
        if !self.nodes.contains(&true) {
            self.finish(now, out);
        }
    }

    fn finish(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.state = State::Over;
        let outcome = Outcome {
            end: self.end.unwrap_or(now),
            drained: self.drained_at.unwrap_or(now),
            drain_complete: self.drain_complete,
            totals: std::mem::take(&mut self.totals),
            events: None,
        };
        out.push(Output::Evidence(Line::Outcome(Box::new(outcome))));
        out.push(Output::Finished(Ending::Ran));
    }

    /// Hands out the seconds that all living workers have reported, in order; with `all`, also the
    /// incomplete ones.
    fn emit_seconds(&mut self, all: bool, out: &mut Vec<Output>) {
        while let Some((&second, snapshots)) = self.seconds.first_key_value() {
            let missing = (0u32..).zip(&self.workers).any(|(index, worker)| {
                worker.alive && !worker.done && !snapshots.iter().any(|(from, _)| *from == index)
            });
            if missing && !all {
                return;
            }
            let mut snapshots = self
                .seconds
                .remove(&second)
                .expect("the first key is there");
            snapshots.sort_by_key(|(worker, _)| *worker);
            out.push(Output::Second(second, snapshots));
        }
    }

    /// Writes down phases and faults as their instants come.
    fn emit_marks(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Some(start) = self.start() else { return };
        while let Some(mark) = self.marks.get(self.next_mark) {
            let at = start.after(mark.at);
            if at > now || self.state == State::Aborting || self.state == State::Over {
                return;
            }
            self.next_mark += 1;
            match mark.action {
                Action::PhaseStart(index) => out.push(Output::Evidence(Line::Phase { index, at })),
                Action::FaultStart(index) => out.push(Output::Evidence(Line::Fault {
                    index,
                    cleared: false,
                    at,
                })),
                Action::FaultClear(index) => out.push(Output::Evidence(Line::Fault {
                    index,
                    cleared: true,
                    at,
                })),
                Action::PowerOff(_) | Action::PowerOn(_) | Action::End => {}
            }
        }
    }

    fn tell_workers(&self, command: Command, out: &mut Vec<Output>) {
        for (index, worker) in self.workers.iter().enumerate() {
            if worker.alive && !worker.done {
                out.push(Output::ToWorker(
                    u32::try_from(index).expect("a u32 of workers"),
                    command,
                ));
            }
        }
    }

    fn enter(&mut self, state: State, now: Instant) {
        self.state = state;
        self.since = now;
    }
}

#[cfg(test)]
mod tests;

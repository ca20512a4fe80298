//! One live run from scenario file to run directory: starts the children, carries messages between
//! them and the coordinator, and appends evidence as the run goes. Decides nothing itself.

use super::children::{self, Handle, INBOX, Who};
use super::coordinator::{Coordinator, Ending, Input, Output};
use super::directory;
use super::error::RunError;
use super::host::{self, Limits};
use super::preflight::{self, Layout, PreflightError};
use super::progress::{Progress, Ui};
use super::record::{Record, unwritten};
use super::signals::Signals;
use crate::device::record::Sample;
use crate::live::clock::{self, Clock};
use crate::live::control::{PROTOCOL, RecordInputs, Report, Role, Setup};
use crate::scenario::file::{self, Loaded, Overrides, Secrets};
use crate::scenario::plan::{Plan, Target};
use crate::stats::evidence::{FORMAT, Header, Line, Mode};
use crate::stats::input_log;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often the coordinator is told that time passes.
const TICK: Duration = Duration::from_millis(50);
/// Longest wait for the embedded nodes to listen.
const LISTEN_LIMIT: Duration = Duration::from_secs(20);

/// What the command line asks of a live run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The scenario file.
    pub scenario: PathBuf,
    /// What the command line changes of it.
    pub overrides: Overrides,
    /// Run directory; `None` = `reports/<name>-<time>`.
    pub out: Option<PathBuf>,
    /// Worker processes; `None` = as many as it takes.
    pub workers: Option<u32>,
    /// Source addresses; empty = spread on loopback, else the kernel's choice.
    pub source_ips: Vec<IpAddr>,
    /// Hosts that may get a large fleet.
    pub allow_targets: Vec<String>,
    /// Leave sessions and retained messages on the target.
    pub keep_sessions: bool,
    /// Share of the devices (0 to 1) whose inputs are recorded.
    pub record_inputs: f64,
    /// How progress is shown.
    pub ui: Ui,
    /// The command line as given, for provenance.
    pub command: Vec<String>,
}

/// Runs the scenario; gives the run directory, ready to be judged.
///
/// # Errors
/// If the run could not begin, or its evidence could not be written.
pub fn run(options: &Options) -> Result<PathBuf, RunError> {
    let clock = Clock::starting_now();
    let loaded = file::load(&options.scenario, &options.overrides, Secrets::Resolve)
        .map_err(RunError::Scenario)?;
    let limits = Limits::of_this_machine();
    let layout = preflight::layout(&loaded.plan, &limits, options.workers)?;
    let targets = preflight::resolve(&loaded.plan)?;
    preflight::check_allowed(&loaded.plan, &targets, &options.allow_targets)?;
    let image_servers = preflight::image_servers(&loaded.plan)?;
    preflight::check_servers_allowed(&loaded.plan, &image_servers, &options.allow_targets)?;
    let run_id = run_id(clock);
    if matches!(loaded.plan.target, Target::Brokers(_)) {
        preflight::sources(
            &loaded.plan,
            &targets,
            &layout,
            &limits,
            &options.source_ips,
            0,
        )?;
        preflight::check_sources(&targets, &options.source_ips)?;
    }
    preflight::probe(&loaded.plan, &targets, run_id)?;
    let dir = directory::create(
        options.out.as_deref(),
        &loaded.plan.name,
        &clock::wall_clock(),
        &loaded.text,
    )?;
    let record_inputs = record_inputs(options, &loaded.plan, &dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::Internal(error.to_string()))?;
    let local = tokio::task::LocalSet::new();
    let session = Session {
        options,
        clock,
        limits,
        layout,
        run_id,
        plan: Arc::new(loaded.plan.clone()),
        loaded: &loaded,
        dir: &dir,
        record_inputs,
        image_servers,
    };
    let result = local.block_on(&runtime, session.drive(targets));
    runtime.shutdown_background();
    if matches!(
        result,
        Err(RunError::NotStarted(_) | RunError::Preflight(_))
    ) {
        directory::withdraw(&dir);
    }
    result.map(|()| dir)
}

/// Distinguishes this run from every other on the same target: process id and monotonic time, mixed.
fn run_id(clock: Clock) -> u32 {
    let word = crate::rng::hash(
        clock.origin_ns(),
        u64::from(std::process::id()),
        crate::rng::Purpose::Home,
        0,
    );
    u32::try_from(word >> 32).expect("32 bits remain")
}

/// What the workers are told to record.
fn record_inputs(
    options: &Options,
    plan: &Plan,
    dir: &Path,
) -> Result<Option<RecordInputs>, RunError> {
    let Some(sample) = Sample::of(plan, options.record_inputs) else {
        return Ok(None);
    };
    if dir.to_str().is_none() {
        // The path goes to the workers as text.
        let text = format!("the path {} is not UTF-8", dir.display());
        return Err(RunError::Evidence(text));
    }
    let dir = dir.to_owned();
    Ok(Some(RecordInputs { dir, sample }))
}

struct Session<'a> {
    options: &'a Options,
    clock: Clock,
    limits: Limits,
    layout: Layout,
    run_id: u32,
    plan: Arc<Plan>,
    loaded: &'a Loaded,
    dir: &'a Path,
    record_inputs: Option<RecordInputs>,
    image_servers: Vec<(String, SocketAddr)>,
}

impl Session<'_> {
    async fn drive(&self, resolved: Vec<SocketAddr>) -> Result<(), RunError> {
        let mut record = Record::create(self.dir, &self.plan)?;
        let mut signals = Signals::listen()?;
        let (inbox_tx, mut inbox) = mpsc::channel(INBOX);
        let (nodes, targets) = match &self.plan.target {
            Target::Embedded(embedded) => {
                self.start_nodes(embedded.nodes, &inbox_tx, &mut inbox, &mut signals)
                    .await?
            }
            Target::Brokers(_) => (Vec::new(), resolved),
        };
        let header = Line::Header(Box::new(self.header(&targets)));
        record.line(&header)?;
        let workers = self.start_workers(&targets, &inbox_tx)?;
        let coordinator = Coordinator::new(
            Arc::clone(&self.plan),
            self.layout.workers,
            self.layout.embedded_nodes,
            self.clock.now(),
            clock::wall_clock,
        );
        let overflows = targets
            .iter()
            .all(|target| target.ip().is_loopback())
            .then(host::listen_overflows)
            .flatten();
        let course = Course {
            clock: self.clock,
            plan: &self.plan,
            record,
            nodes,
            workers,
            progress: Progress::new(self.options.ui, &self.plan),
            coordinator,
            overflows,
        };
        let ending = course.follow(&mut inbox, &mut signals).await?;
        if self.record_inputs.is_some() && ending == Ending::Ran {
            // The operator owns no devices whose inputs it could record.
            input_log::sync(self.dir, self.layout.workers).map_err(unwritten)?;
        }
        finish(ending)
    }

    fn start_workers(
        &self,
        targets: &[SocketAddr],
        inbox: &mpsc::Sender<Input>,
    ) -> Result<Vec<Handle>, RunError> {
        // The operator comes last, and has no devices.
        let operator = u32::from(self.plan.has_operator());
        (0..self.layout.workers + operator)
            .map(|index| {
                let records = index < self.layout.workers;
                let role = Role::Worker {
                    index,
                    workers: self.layout.workers,
                    targets: targets.to_vec(),
                    image_servers: self.image_servers.clone(),
                    sources: self.sources(targets, index)?,
                    keep_sessions: self.options.keep_sessions,
                    record_inputs: self.record_inputs.clone().filter(|_| records),
                };
                self.start_child(Who::Worker(index), role, inbox)
            })
            .collect()
    }

    fn sources(&self, targets: &[SocketAddr], index: u32) -> Result<Vec<IpAddr>, PreflightError> {
        let given = &self.options.source_ips;
        preflight::sources(
            &self.plan,
            targets,
            &self.layout,
            &self.limits,
            given,
            index,
        )
    }

    /// Starts the embedded nodes and waits until each listens.
    async fn start_nodes(
        &self,
        count: u16,
        inbox_tx: &mpsc::Sender<Input>,
        inbox: &mut mpsc::Receiver<Input>,
        signals: &mut Signals,
    ) -> Result<(Vec<Handle>, Vec<SocketAddr>), RunError> {
        let mut nodes = Vec::new();
        for node in 0..count {
            nodes.push(self.start_child(Who::Node(node), Role::BackendNode { node }, inbox_tx)?);
        }
        let mut addresses: Vec<Option<SocketAddr>> = vec![None; usize::from(count)];
        let deadline = tokio::time::Instant::now() + LISTEN_LIMIT;
        while addresses.contains(&None) {
            let input = tokio::select! {
                input = inbox.recv() => input.expect("the caller holds a sender"),
                number = signals.next() => return Err(RunError::Stopped(number)),
                () = tokio::time::sleep_until(deadline) => {
                    return Err(RunError::NotStarted(format!("the embedded target did not listen within {} s", LISTEN_LIMIT.as_secs())));
                }
            };
            match input {
                Input::Node(node, Report::Listening(address)) => {
                    addresses[usize::from(node)] = Some(address)
                }
                Input::Node(node, Report::Failed(why)) | Input::NodeExited(node, why) => {
                    return Err(RunError::NotStarted(format!("backend node {node}: {why}")));
                }
                Input::Node(..)
                | Input::Worker(..)
                | Input::WorkerExited(..)
                | Input::Signal(_)
                | Input::Tick => {}
            }
        }
        Ok((nodes, addresses.into_iter().flatten().collect()))
    }

    fn start_child(
        &self,
        who: Who,
        role: Role,
        inbox: &mpsc::Sender<Input>,
    ) -> Result<Handle, RunError> {
        let base = self
            .options
            .scenario
            .parent()
            .unwrap_or_else(|| Path::new(""))
            .to_string_lossy()
            .into_owned();
        let setup = Setup {
            protocol: PROTOCOL,
            origin_ns: self.clock.origin_ns(),
            scenario_name: self.options.scenario.to_string_lossy().into_owned(),
            scenario_text: self.loaded.text.clone(),
            base_dir: base,
            overrides: self.options.overrides.clone(),
            plan_hash: self.plan.hash.clone(),
            run: self.run_id,
            role,
        };
        children::start(who, setup, inbox.clone())
            .map_err(|error| RunError::Internal(format!("cannot start {who:?}: {error}")))
    }

    fn header(&self, targets: &[SocketAddr]) -> Header {
        let (workers, devices) = (self.layout.workers, self.plan.devices());
        Header {
            format: FORMAT,
            mode: Mode::Live,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: self.options.command.clone(),
            overrides: self.options.overrides.clone(),
            plan_hash: self.plan.hash.clone(),
            run_id: format!("{:08x}", self.run_id),
            seed: self.plan.seed,
            targets: targets.iter().map(ToString::to_string).collect(),
            workers: (0..workers)
                .map(|index| (devices + workers - 1 - index) / workers)
                .chain(self.plan.has_operator().then_some(0))
                .collect(),
            host: host::facts(&self.limits),
            model: BTreeMap::new(),
        }
    }
}

/// A run under way: all its children have been started.
struct Course<'a> {
    clock: Clock,
    plan: &'a Plan,
    record: Record,
    nodes: Vec<Handle>,
    workers: Vec<Handle>,
    progress: Progress,
    coordinator: Coordinator,
    /// Connections this kernel had dropped before the run, if the target is on this machine.
    overflows: Option<u64>,
}

impl Course<'_> {
    /// Carries messages until the coordinator says that the run is over.
    async fn follow(
        mut self,
        inbox: &mut mpsc::Receiver<Input>,
        signals: &mut Signals,
    ) -> Result<Ending, RunError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut out = Vec::new();
        let mut signalled = None;
        loop {
            let input = tokio::select! {
                input = inbox.recv() => input.expect("the watchers of all children hold senders"),
                number = signals.next() => {
                    if signalled.replace(number).is_some() {
                        return Err(RunError::Stopped(number));
                    }
                    self.progress.say("stopping: no new packets; press Ctrl-C again to leave at once");
                    Input::Signal(number)
                }
                _ = tick.tick() => Input::Tick,
            };
            let now = self.clock.now();
            self.coordinator.handle_input(now, input, &mut out);
            self.warn_of_overflows(now, &mut out);
            for output in out.drain(..) {
                if let Some(ending) = self.carry_out(output)? {
                    self.progress.finish();
                    self.record.finish()?;
                    return Ok(ending);
                }
            }
            let start = self.coordinator.start();
            self.progress.tick(self.plan, start, now);
        }
    }

    fn carry_out(&mut self, output: Output) -> Result<Option<Ending>, RunError> {
        match output {
            Output::ToWorker(index, command) => self.workers[index as usize].tell(command),
            Output::ToNode(node, command) => self.nodes[usize::from(node)].tell(command),
            Output::Evidence(line) => {
                self.record.line(&line)?;
                self.progress.evidence(self.plan, &line);
            }
            Output::Second(second, snapshots) => {
                let second = self.record.second(second, &snapshots)?;
                self.progress.second(self.plan, &second);
            }
            Output::Findings(findings) => {
                self.record.findings(&findings)?;
                self.progress.findings(self.plan, &findings);
            }
            Output::Finished(ending) => return Ok(Some(ending)),
        }
        Ok(None)
    }

    /// Adds a warning before the outcome if this kernel dropped connections while the run went.
    fn warn_of_overflows(&self, now: Instant, out: &mut Vec<Output>) {
        let Some(at) = out
            .iter()
            .position(|output| matches!(output, Output::Evidence(Line::Outcome(_))))
        else {
            return;
        };
        let (Some(before), Some(after)) = (self.overflows, host::listen_overflows()) else {
            return;
        };
        if after > before {
            let text = format!(
                "this kernel dropped {} connection attempts because a listen queue was full (ListenOverflows): the target, on this machine, accepts more slowly than devices connect",
                after - before,
            );
            out.insert(at, Output::Evidence(Line::Warning { at: now, text }));
        }
    }
}

fn finish(ending: Ending) -> Result<(), RunError> {
    match ending {
        Ending::Ran => Ok(()),
        Ending::NotStarted(why) => Err(RunError::NotStarted(why)),
        Ending::StoppedBeforeStart(number) => Err(RunError::Stopped(number)),
        Ending::Unwritten(why) => Err(RunError::Evidence(why)),
    }
}

//! The live driver as a test arm: workers and nodes of the embedded target in one thread, joined
//! by channels instead of pipes, over real sockets.

use fleetstorm::live::clock::Clock;
use fleetstorm::live::control::{Command, PROTOCOL, RecordInputs, Report, Role, Setup};
use fleetstorm::live::{runtime, serve, worker};
use fleetstorm::scenario::file::{self, Overrides, Secrets};
use fleetstorm::scenario::plan::Plan;
use fleetstorm::stats::histogram::Histogram;
use fleetstorm::stats::recorder::{Snapshot, Totals, merge_histograms};
use fleetstorm::stats::results::Finding;
use fleetstorm::stats::series::Metric;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::timeout;

/// From the start order to T0.
const LEAD: Duration = Duration::from_millis(100);

/// Id of every run.
pub(crate) const RUN: u32 = 0x00c0_ffee;

/// Longest wait for anything a child should say within a second or so.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a live run of a scenario came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Totals of all workers.
    pub(crate) totals: Totals,
    /// Seconds of all workers.
    pub(crate) snapshots: Vec<Snapshot>,
    /// Counts of all nodes, added up.
    pub(crate) backend: BTreeMap<String, u64>,
    /// What devices and the operator found, in the order of their processes.
    pub(crate) findings: Vec<Finding>,
    /// What the workers warned of.
    pub(crate) warnings: Vec<String>,
    /// Whether every worker drained.
    pub(crate) drained: bool,
}

impl Outcome {
    /// All values of one metric.
    pub(crate) fn histogram(&self, metric: Metric) -> Histogram {
        merge_histograms(&self.snapshots, metric)
    }
}

/// A child: a worker or a node.
pub(crate) struct Child {
    /// To it.
    pub(crate) commands: mpsc::Sender<Command>,
    /// From it.
    pub(crate) reports: mpsc::Receiver<Report>,
}

impl Child {
    /// The next report that is not a snapshot or a warning.
    pub(crate) async fn next(&mut self) -> Report {
        loop {
            let report = timeout(PATIENCE, self.reports.recv())
                .await
                .expect("a child answers in time")
                .expect("a child does not go without a word");
            match report {
                Report::Snapshot(_) | Report::Warning(_) => {}
                Report::Listening(_)
                | Report::Ready
                | Report::Armed
                | Report::Serving(_)
                | Report::Drained(_)
                | Report::Done(_)
                | Report::BackendDone { .. }
                | Report::EvidenceFailed(_)
                | Report::Findings(_)
                | Report::Failed(_) => return report,
            }
        }
    }

    /// Gives it an order.
    pub(crate) async fn order(&self, command: Command) {
        self.commands.send(command).await.expect("the child lives");
    }
}

/// One scenario with its run's origin.
pub(crate) struct Scenario {
    text: String,
    /// Compiled from the text.
    pub(crate) plan: Plan,
    /// The run's.
    pub(crate) clock: Clock,
    overrides: Overrides,
    /// What its workers record.
    pub(crate) record_inputs: Option<RecordInputs>,
}

impl Scenario {
    /// Checks `text`.
    pub(crate) fn new(text: &str, overrides: Overrides) -> Self {
        let plan = file::parse(
            "test.yaml",
            text,
            Path::new("."),
            &overrides,
            Secrets::Resolve,
        )
        .unwrap_or_else(|errors| panic!("{errors:?}"));
        Self {
            text: text.to_owned(),
            plan,
            clock: Clock::starting_now(),
            overrides,
            record_inputs: None,
        }
    }

    fn setup(&self, role: Role) -> Setup {
        Setup {
            protocol: PROTOCOL,
            origin_ns: self.clock.origin_ns(),
            scenario_name: "test.yaml".into(),
            scenario_text: self.text.clone(),
            base_dir: ".".into(),
            overrides: self.overrides.clone(),
            plan_hash: self.plan.hash.clone(),
            run: RUN,
            role,
        }
    }

    /// Starts worker `index` of `workers`.
    pub(crate) fn worker(&self, index: u32, workers: u32, targets: &[SocketAddr]) -> Child {
        self.worker_that(index, workers, targets, false)
    }

    /// Starts worker `index` of `workers`, which may leave what it made on the target.
    pub(crate) fn worker_that(
        &self,
        index: u32,
        workers: u32,
        targets: &[SocketAddr],
        keep_sessions: bool,
    ) -> Child {
        let setup = self.setup(Role::Worker {
            index,
            workers,
            targets: targets.to_vec(),
            image_servers: Vec::new(),
            sources: sources(index, workers),
            keep_sessions,
            record_inputs: self.record_inputs.clone(),
        });
        let (commands, inbox) = mpsc::channel(worker::CONTROL_QUEUE);
        let (outbox, reports) = mpsc::channel(worker::CONTROL_QUEUE);
        spawn_local(worker::run(setup, inbox, outbox));
        Child { commands, reports }
    }

    /// Starts node `node` of the embedded target; where it listens.
    pub(crate) async fn node(&self, node: u16) -> (Child, SocketAddr) {
        let setup = self.setup(Role::BackendNode { node });
        let (commands, inbox) = mpsc::channel(worker::CONTROL_QUEUE);
        let (outbox, reports) = mpsc::channel(worker::CONTROL_QUEUE);
        spawn_local(serve::run_node(setup, inbox, outbox));
        let mut child = Child { commands, reports };
        let report = child.next().await;
        let Report::Listening(address) = report else {
            panic!("instead of Listening: {report:?}")
        };
        (child, address)
    }
}

fn sources(index: u32, workers: u32) -> Vec<IpAddr> {
    // Each worker has its own, as the coordinator deals them out on loopback.
    let own = u8::try_from(index + 1).expect("a test has few workers");
    if workers == 0 {
        return Vec::new();
    }
    (1..=4).map(|n| IpAddr::from([127, 77, own, n])).collect()
}

/// Runs `text` with its embedded target to its end.
pub(crate) fn run(text: &str, overrides: Overrides, workers: u32) -> Outcome {
    run_until(text, overrides, workers, None)
}

/// Runs `text` with its embedded target to its end, or until it is aborted so long after T0.
pub(crate) fn run_until(
    text: &str,
    overrides: Overrides,
    workers: u32,
    abort_after: Option<Duration>,
) -> Outcome {
    runtime()
        .expect("a test has file descriptors left")
        .block_on(run_inside(
            Scenario::new(text, overrides),
            workers,
            abort_after,
        ))
}

async fn run_inside(scenario: Scenario, workers: u32, abort_after: Option<Duration>) -> Outcome {
    let mut nodes = Vec::new();
    let mut targets = Vec::new();
    for node in 0..scenario.plan.target.nodes() {
        let (child, address) = scenario.node(node).await;
        nodes.push(child);
        targets.push(address);
    }
    let operator = u32::from(scenario.plan.has_operator());
    let mut children: Vec<Child> = (0..workers + operator)
        .map(|index| scenario.worker(index, workers, &targets))
        .collect();
    let images = armed(&mut children).await;
    for child in &children {
        if let Some(address) = images {
            child.order(Command::Images(address)).await;
        }
    }
    let start = scenario.clock.now().after(LEAD);
    for child in nodes.iter().chain(&children) {
        child.order(Command::Start(start)).await;
    }
    let ends = start.after(scenario.plan.length() + scenario.plan.drain);
    let mut outcome = Outcome {
        totals: Totals::default(),
        snapshots: Vec::new(),
        backend: BTreeMap::new(),
        findings: Vec::new(),
        warnings: Vec::new(),
        drained: true,
    };
    let end = match abort_after {
        None => {
            for child in &mut children {
                let left = ends.since(scenario.clock.now());
                outcome.drained &= drained(child, left, &mut outcome).await;
            }
            Command::Finish
        }
        Some(after) => {
            let left = start.after(after).since(scenario.clock.now());
            tokio::time::sleep(left).await;
            Command::Abort
        }
    };
    for child in &children {
        child.order(end).await;
    }
    for child in &mut children {
        collect(child, &mut outcome).await;
    }
    for mut node in nodes {
        node.order(Command::Exit).await;
        let report = node.next().await;
        let Report::BackendDone { counts, .. } = report else {
            panic!("instead of BackendDone: {report:?}")
        };
        for (name, count) in counts {
            *outcome.backend.entry(name).or_default() += count;
        }
    }
    outcome
}

/// Arms all workers; where images are served, if they are.
async fn armed(children: &mut [Child]) -> Option<SocketAddr> {
    let mut images = None;
    for child in &mut *children {
        let mut report = child.next().await;
        if let Report::Serving(address) = report {
            images = Some(address);
            report = child.next().await;
        }
        assert_eq!(report, Report::Ready);
        child.order(Command::Arm).await;
    }
    for child in children {
        assert_eq!(child.next().await, Report::Armed);
    }
    images
}

/// Waits at most `left` for the worker to be drained.
async fn drained(child: &mut Child, left: Duration, outcome: &mut Outcome) -> bool {
    let wait = async {
        loop {
            match child.reports.recv().await {
                Some(Report::Drained(true)) => return true,
                Some(Report::Snapshot(frame)) => outcome.snapshots.push(frame.0),
                Some(Report::Findings(findings)) => outcome.findings.extend(findings),
                Some(Report::Drained(false)) => {}
                other => panic!("in the middle of the run: {other:?}"),
            }
        }
    };
    timeout(left, wait).await.unwrap_or(false)
}

async fn collect(child: &mut Child, outcome: &mut Outcome) {
    loop {
        let report = timeout(PATIENCE, child.reports.recv()).await;
        match report.expect("a worker finishes in time") {
            Some(Report::Snapshot(frame)) => outcome.snapshots.push(frame.0),
            Some(Report::Warning(text)) => outcome.warnings.push(text),
            Some(Report::Findings(findings)) => outcome.findings.extend(findings),
            Some(Report::Drained(_)) => {}
            Some(Report::Done(totals)) => {
                outcome.totals.merge(&totals);
                return;
            }
            other => panic!("instead of Done: {other:?}"),
        }
    }
}

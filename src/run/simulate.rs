//! One simulated run from scenario file to run directory: the simulation goes second by second, and
//! what it tells is appended as a live run's would be. No value in the directory but the command
//! line depends on when or where it ran.

use super::directory;
use super::error::RunError;
use super::progress::Ui;
use super::record::Record;
use super::signals::Signals;
use super::simulation_progress::SimulationProgress;
use crate::live::clock::Clock;
use crate::rng::{self, Purpose};
use crate::scenario::file::{self, Loaded, Overrides, Secrets};
use crate::scenario::plan::{Embedded, Plan, Target};
use crate::scenario::timeline::{self, Action, Entry};
use crate::sim::{Advance, LINK_DELAY, SimError, Simulation};
use crate::stats::evidence::{FORMAT, Header, Line, Mode, Outcome};
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Events between two looks at the operator's signals: a tenth of a second at most.
const EVENTS_PER_LOOK: u32 = 1 << 15;

/// What stands in for brokers, of whose insides nothing is known.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Model {
    /// The reference backend without limits, a node per address (one for a cluster).
    Reference,
}

/// What the command line asks of a simulated run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The scenario file.
    pub scenario: PathBuf,
    /// What the command line changes of it.
    pub overrides: Overrides,
    /// Run directory; `None` = `reports/<name>-<time>`.
    pub out: Option<PathBuf>,
    /// What stands in for brokers; `None` = only the embedded target is simulated.
    pub model: Option<Model>,
    /// How progress is shown.
    pub ui: Ui,
    /// The command line as given, for provenance.
    pub command: Vec<String>,
}

/// Simulates the scenario; gives the run directory, ready to be judged.
///
/// # Errors
/// If the scenario is wrong or has no model, its observers cannot subscribe, or the evidence cannot
/// be written.
pub fn run(options: &Options) -> Result<PathBuf, RunError> {
    let clock = Clock::starting_now();
    let loaded = file::load(&options.scenario, &options.overrides, Secrets::Ids)
        .map_err(RunError::Scenario)?;
    let shape = shape(&loaded.plan, options.model)?;
    let dir = directory::create(
        options.out.as_deref(),
        &loaded.plan.name,
        &crate::live::clock::wall_clock(),
        &loaded.text,
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::Internal(error.to_string()))?;
    let session = Session {
        options,
        clock,
        run_id: run_id(&loaded.plan),
        plan: Arc::new(loaded.plan.clone()),
        loaded: &loaded,
        shape,
        dir: &dir,
    };
    let result = runtime.block_on(session.drive());
    if matches!(result, Err(RunError::NotStarted(_))) {
        directory::withdraw(&dir);
    }
    result.map(|()| dir)
}

/// The nodes that the devices meet.
fn shape(plan: &Plan, model: Option<Model>) -> Result<Embedded, RunError> {
    match (&plan.target, model) {
        (Target::Embedded(shape), _) => Ok(shape.clone()),
        (Target::Brokers(brokers), Some(Model::Reference)) => Ok(brokers.reference_model()),
        (Target::Brokers(_), None) => Err(RunError::Usage(
            "the target is `brokers`, of which there is no model: add `--model reference` to let \
             the reference backend stand in for them, or simulate `target: { embedded: {} }`"
                .to_owned(),
        )),
    }
}

/// Of the seed alone, as everything in a simulated run.
fn run_id(plan: &Plan) -> u32 {
    let word = rng::hash(plan.seed, 0, Purpose::SimulatedRun, 0);
    u32::try_from(word >> 32).expect("32 bits remain")
}

struct Session<'a> {
    options: &'a Options,
    clock: Clock,
    run_id: u32,
    plan: Arc<Plan>,
    loaded: &'a Loaded,
    shape: Embedded,
    dir: &'a Path,
}

impl Session<'_> {
    async fn drive(&self) -> Result<(), RunError> {
        let mut signals = Signals::listen()?;
        let mut record = Record::create(self.dir, &self.plan)?;
        record.line(&Line::Header(Box::new(self.header())))?;
        let mut progress = SimulationProgress::new(self.options.ui, &self.plan, self.clock.now());
        let mut simulation =
            Simulation::begin(&self.plan, &self.shape, self.run_id).map_err(not_started)?;
        let start = simulation.start();
        record.line(&Line::Started {
            start,
            wall_clock: String::new(),
        })?;
        let mut marks = Marks::new(&self.plan, start);
        let mut interrupted = None;
        while interrupted.is_none() {
            match simulation.advance(EVENTS_PER_LOOK) {
                Advance::Second(snapshot) => {
                    let until = start.after_ns((u64::from(snapshot.second) + 1) * 1_000_000_000);
                    marks.write(until, &mut record)?;
                    record.findings(&simulation.take_findings())?;
                    let second = record.simulated_second(&snapshot)?;
                    progress.second(&self.plan, &second, simulation.events(), self.clock.now());
                }
                Advance::Underway => {}
                Advance::Over => break,
            }
            interrupted = signals.pending().await;
        }
        let outcome = simulation.finish();
        let at = outcome.drained;
        marks.write(at, &mut record)?;
        record.findings(&outcome.findings)?;
        for snapshot in &outcome.snapshots {
            record.simulated_second(snapshot)?;
        }
        if let Some(signal) = interrupted {
            record.line(&Line::Interrupted { at, signal })?;
        }
        for (node, counts) in (0u16..).zip(outcome.backends) {
            let errors = Vec::new();
            record.line(&Line::Backend {
                node,
                counts,
                errors,
            })?;
        }
        record.line(&Line::Outcome(Box::new(Outcome {
            end: outcome.end,
            drained: outcome.drained,
            drain_complete: outcome.drain_complete,
            totals: outcome.totals,
            events: Some(outcome.events),
        })))?;
        record.finish()?;
        progress.finish(
            &self.plan,
            at.since(start),
            outcome.events,
            self.clock.now(),
        );
        Ok(())
    }

    fn header(&self) -> Header {
        Header {
            format: FORMAT,
            mode: Mode::Simulated,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: self.options.command.clone(),
            overrides: self.options.overrides.clone(),
            plan_hash: self.loaded.plan.hash.clone(),
            run_id: format!("{:08x}", self.run_id),
            seed: self.plan.seed,
            targets: Vec::new(),
            workers: Vec::new(),
            host: BTreeMap::new(),
            model: facts(&self.plan.target, self.options.model),
        }
    }
}

/// What the plan does not say of the model, for the report.
fn facts(target: &Target, model: Option<Model>) -> BTreeMap<String, String> {
    let passage_us = LINK_DELAY.as_micros();
    let passage = format!("{passage_us} µs one way between device and node, and the cohort's link");
    let mut facts = BTreeMap::from([("passage".to_owned(), passage)]);
    match (target, model) {
        (Target::Brokers(_), Some(Model::Reference)) => {
            let law = "the reference backend without limits: every CONNECT is admitted and all work \
                       done at once";
            facts.insert("stand-in".to_owned(), law.to_owned());
        }
        (Target::Embedded(_), _) | (Target::Brokers(_), None) => {}
    }
    facts
}

fn not_started(error: SimError) -> RunError {
    RunError::NotStarted(error.to_string())
}

/// Phases and faults, to be written down as their instants come.
struct Marks {
    start: Instant,
    ahead: VecDeque<Entry>,
}

impl Marks {
    fn new(plan: &Plan, start: Instant) -> Self {
        Self {
            start,
            ahead: timeline::compile(plan, |_| false).into(),
        }
    }

    /// Writes down what came before `until`.
    fn write(&mut self, until: Instant, record: &mut Record) -> Result<(), RunError> {
        while let Some(entry) = self.ahead.front()
            && self.start.after(entry.at) < until
        {
            let at = self.start.after(entry.at);
            if let Some(line) = mark(entry.action, at) {
                record.line(&line)?;
            }
            self.ahead.pop_front();
        }
        Ok(())
    }
}

const fn mark(action: Action, at: Instant) -> Option<Line> {
    match action {
        Action::PhaseStart(index) => Some(Line::Phase { index, at }),
        Action::FaultStart(index) => Some(Line::Fault {
            index,
            cleared: false,
            at,
        }),
        Action::FaultClear(index) => Some(Line::Fault {
            index,
            cleared: true,
            at,
        }),
        Action::PowerOff(_) | Action::PowerOn(_) | Action::End => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fixture;
    use crate::scenario::plan::{Auth, BrokerUrl, Brokers, Topology};

    #[test]
    fn what_stands_in_for_brokers_is_recorded() {
        let mut plan = fixture::plan(10);
        let embedded = facts(&plan.target, Some(Model::Reference));
        let names: Vec<&str> = embedded.keys().map(String::as_str).collect();
        assert_eq!(names, ["passage"]);
        assert!(embedded["passage"].starts_with("100 µs one way"));
        plan.target = Target::Brokers(Brokers {
            urls: vec![BrokerUrl {
                host: "a".into(),
                port: 1883,
            }],
            topology: Topology::Cluster,
            auth: Auth::default(),
        });
        let facts = facts(&plan.target, Some(Model::Reference));
        // The words above are true of it.
        let shape = shape(&plan, Some(Model::Reference)).expect("there is a model");
        assert!(facts["stand-in"].contains("without limits"));
        assert_eq!((shape.accept_rate_per_s, shape.service), (None, None));
    }
}

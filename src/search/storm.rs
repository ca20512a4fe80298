//! `storm-search`: the largest fleet that still recovers from the scenario's outage, by bisection on
//! the fleet's size with nodes and capacity held as the scenario has them; then, at the smallest fleet
//! that does not, how far its load must fall until it does (hysteresis), and the highest rate at which
//! its devices can be let in again without a second storm.

use super::edge::{self, Edge};
use super::trial::{Bench, Settled, Sized};
pub use super::trial::{Trial, World};
use crate::report::ReportError;
use crate::report::value::Mode;
use crate::run::directory::{self, DirectoryError};
use crate::run::error::RunError;
use crate::scenario::file::{self, Loaded, Overrides, ScenarioErrors, Secrets};
use crate::scenario::plan::{Plan, Target};
use crate::scenario::slo::{Indicator, Window};
use crate::stats::evidence::{Probe, ProbePower};
use serde::Serialize;
use std::path::PathBuf;

/// Version of `search.json`.
const SCHEMA: &str = "fleetstorm/storm-search/1";
/// How often a run is made twice as long because its fleet is on its way back.
const STRETCHES_MAX: u32 = 5;
/// Parts that a parked share is counted in.
const PERMILLE: u32 = 1_000;
/// How near the share that may stay, and the rate of re-admission, are found.
const PROBE_PRECISION: f64 = 0.05;
/// How many times the bound of a recovery a probe goes on for: the work that a stuck target has piled up
/// for clients that have left takes its time.
const PATIENCE: f64 = 10.0;
/// Longest re-admission that is tried: a day's maintenance window would be another question.
const READMISSION_MAX_S: u32 = 3_600;

/// What the command line asks of a search.
#[derive(Clone, Debug)]
pub struct Options {
    /// The scenario file.
    pub scenario: PathBuf,
    /// What the command line changes of it; `devices` is the size looked at first.
    pub overrides: Overrides,
    /// Where trials are run.
    pub world: World,
    /// Folder of the search; `None` = `reports/<name>-search-<time>`.
    pub out: Option<PathBuf>,
    /// Largest fleet to try.
    pub max_devices: u32,
    /// How near the edge is found, as a share of the fleet that recovers.
    pub precision: f64,
    /// Fewest devices that must recover.
    pub at_least: Option<u32>,
    /// The command line as given, for provenance.
    pub command: Vec<String>,
}

/// What a search found; `search.json` as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Version of fleetstorm.
    pub version: &'static str,
    /// The command line.
    pub command: Vec<String>,
    /// In which world the trials ran.
    pub mode: Mode,
    /// The scenario's name.
    pub scenario: String,
    /// Seed of all trials.
    pub seed: u64,
    /// The target's addresses or nodes, the same in all trials.
    pub nodes: u16,
    /// Devices as the scenario has them.
    pub planned_devices: u32,
    /// The phase from whose outage the fleet is to recover.
    pub phase: String,
    /// Share of `recovers` within which the edge was looked for.
    pub precision: f64,
    /// Largest fleet seen to recover; `None` = none did.
    pub recovers: Option<u32>,
    /// Smallest fleet seen not to recover; `None` = all did, up to the largest tried.
    pub does_not_recover: Option<u32>,
    /// What `--at-least` asked for.
    pub at_least: Option<u32>,
    /// Every size tried, in the order of the tries.
    pub trials: Vec<Trial>,
    /// How far the load must fall; `None` if nothing was stuck.
    pub hysteresis: Option<Hysteresis>,
    /// How fast devices may be let in; `None` if nothing was stuck.
    pub readmission: Option<Readmission>,
}

/// How far the load of a stuck fleet must fall until the rest recovers.
#[derive(Clone, Debug, Serialize)]
pub struct Hysteresis {
    /// The fleet that was stuck.
    pub devices: u32,
    /// The largest part of it, in devices, that recovered while the others were without power;
    /// `None` = not even a thousandth did.
    pub recovers: Option<u32>,
    /// `recovers` / `devices`: 1 = no hysteresis, 0.3 = severe.
    pub ratio: Option<f64>,
    /// When the others were parked, in seconds after the outage's clearing.
    pub parked_after_s: f64,
    /// How long the rest had to recover, in seconds from then.
    pub waited_s: u32,
    /// Every part tried, in devices, and whether it recovered.
    pub trials: Vec<(u32, bool)>,
}

/// How fast the devices of a fleet that would be stuck may come back.
#[derive(Clone, Debug, Serialize)]
pub struct Readmission {
    /// The fleet.
    pub devices: u32,
    /// Highest rate in devices per second seen to end in a connected fleet; `None` = none did.
    pub safe_per_s: Option<u32>,
    /// Lowest rate seen not to; `None` = all did.
    pub unsafe_per_s: Option<u32>,
    /// Every rate tried, and whether all were connected in the end.
    pub trials: Vec<(u32, bool)>,
}

impl Finding {
    /// Whether what `--at-least` asked for was found; true if it asked for nothing.
    pub fn is_enough(&self) -> bool {
        self.at_least
            .is_none_or(|wanted| self.recovers.is_some_and(|found| found >= wanted))
    }
}

/// Searches; gives the folder with `search.json`, `search.md` and a run directory per trial. `tell`
/// is called with a sentence per trial.
///
/// # Errors
/// If the scenario is wrong or has no outage, a trial could not be made or proves nothing, or a
/// trial was too short to decide.
pub fn run(
    options: &Options,
    mut tell: impl FnMut(&str),
) -> Result<(PathBuf, Finding), SearchError> {
    let loaded = load(options)?;
    let planned = loaded.plan.devices();
    let phase = outage_phase(&loaded.plan)?;
    let min_devices = u32::try_from(loaded.plan.cohorts.len())
        .unwrap_or(u32::MAX)
        .max(1);
    let needed = min_devices.max(options.at_least.unwrap_or(0));
    if options.max_devices < needed {
        return Err(SearchError::TooFew { needed });
    }
    let dir = directory::create(
        options.out.as_deref(),
        &format!("{}-search", loaded.plan.name),
        &crate::live::clock::wall_clock(),
        &loaded.text,
    )
    .map_err(SearchError::Evidence)?;
    let fixed = Overrides {
        nodes: fixed_nodes(&loaded.plan),
        ..options.overrides.clone()
    };
    let mut search = Search {
        bench: Bench {
            scenario: &options.scenario,
            world: &options.world,
            dir: &dir,
            command: &options.command,
        },
        fixed,
        phase,
        may_stretch: loaded.plan.recovery.within.is_none(),
        phase_name: loaded.plan.phases[phase].name.clone(),
        trials: Vec::new(),
        tell: &mut tell,
    };
    let edge = search.sizes(
        min_devices..=options.max_devices,
        options.at_least.unwrap_or(planned),
        options.precision,
    )?;
    let stuck = search.stuck(edge, planned, options.max_devices)?;
    let (hysteresis, readmission) = match &stuck {
        Some(stuck) => (
            Some(search.hysteresis(stuck)?),
            Some(search.readmission(stuck)?),
        ),
        None => (None, None),
    };
    let finding = Finding {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        command: options.command.clone(),
        mode: options.world.mode(),
        scenario: loaded.plan.name.clone(),
        seed: loaded.plan.seed,
        nodes: loaded.plan.target.nodes(),
        planned_devices: planned,
        phase: loaded.plan.phases[phase].name.clone(),
        precision: options.precision,
        recovers: edge.holds,
        does_not_recover: edge.fails,
        at_least: options.at_least,
        trials: search.trials,
        hysteresis,
        readmission,
    };
    super::render::write(&finding, &dir)?;
    Ok((dir, finding))
}

fn load(options: &Options) -> Result<Loaded, SearchError> {
    let secrets = match options.world {
        World::Virtual { .. } => Secrets::Ids,
        World::Live { .. } => Secrets::Resolve,
    };
    file::load(&options.scenario, &options.overrides, secrets).map_err(SearchError::Scenario)
}

/// `auto` depends on the fleet's size; what is searched for is the edge of one target.
fn fixed_nodes(plan: &Plan) -> Option<u16> {
    match &plan.target {
        Target::Embedded(embedded) => Some(embedded.nodes),
        Target::Brokers(_) => None,
    }
}

/// The phase whose recovery is searched for: that of the first objective on the recovery's verdict,
/// else the last phase with a fault.
fn outage_phase(plan: &Plan) -> Result<usize, SearchError> {
    let named = plan
        .objectives
        .iter()
        .find_map(|o| match (o.indicator, &o.window) {
            (Indicator::RecoveryVerdict, Window::After(phase)) => Some(*phase),
            _ => None,
        });
    let last = plan.faults.iter().map(|fault| fault.phase).max();
    named.or(last).ok_or(SearchError::NoOutage)
}

/// A fleet that does not recover, and what its trial said.
struct Stuck {
    devices: u32,
    /// When the outage cleared, and how long recovery was waited for, in seconds.
    cleared_s: f64,
    bound_s: f64,
    /// When its run ended, in seconds from T0.
    ended_s: f64,
}

struct Search<'a> {
    bench: Bench<'a>,
    fixed: Overrides,
    phase: usize,
    phase_name: String,
    /// A fleet that is on its way back is given more time: the scenario does not say how late is too
    /// late.
    may_stretch: bool,
    trials: Vec<Trial>,
    tell: &'a mut dyn FnMut(&str),
}

impl Search<'_> {
    fn sizes(
        &mut self,
        range: std::ops::RangeInclusive<u32>,
        first: u32,
        precision: f64,
    ) -> Result<Edge, SearchError> {
        edge::find(range, first, precision, |devices| {
            Ok(self.size(devices)?.recovers)
        })
    }

    /// The run of a fleet of this size. If it is on its way back when it ends, it is made again, twice
    /// as long: what is looked for is the edge of the target, not of the scenario's patience.
    fn size(&mut self, devices: u32) -> Result<&Trial, SearchError> {
        let mut length_s = None;
        for stretch in 1..=STRETCHES_MAX {
            let overrides = Overrides {
                devices: Some(devices),
                probe: length_s.map(|length_s| Probe {
                    length_s,
                    power: None,
                }),
                ..self.fixed.clone()
            };
            let name = match stretch {
                1 => format!("devices-{devices}"),
                n => format!("devices-{devices}-stretch-{n}"),
            };
            let last = stretch == STRETCHES_MAX || !self.may_stretch;
            let trial = self.bench.trial(&name, overrides, &self.phase_name)?;
            match trial {
                Sized::Decided(trial) if last || !trial.is_slow() => {
                    (self.tell)(&trial.sentence());
                    self.trials.push(trial);
                    break;
                }
                Sized::Undecided { reason, .. } if last => {
                    return Err(SearchError::Undecided { devices, reason });
                }
                Sized::Decided(Trial {
                    cleared_s, ended_s, ..
                })
                | Sized::Undecided {
                    cleared_s, ended_s, ..
                } => {
                    length_s = Some(whole_s(cleared_s + 2.0 * (ended_s - cleared_s)));
                }
            }
        }
        Ok(self
            .trials
            .last()
            .expect("the last stretch is decided, or an error"))
    }

    /// A fleet that does not recover: the planned one or, if that does, one well beyond the edge, where
    /// the fleets that nothing has triggered yet are in danger.
    fn stuck(&mut self, edge: Edge, planned: u32, max: u32) -> Result<Option<Stuck>, SearchError> {
        let Some(fails) = edge.fails else {
            return Ok(None);
        };
        let beyond = fails.saturating_add(fails / 2).min(max);
        let wanted = if planned >= fails { planned } else { beyond };
        if !self.trials.iter().any(|trial| trial.devices == wanted) {
            self.size(wanted)?;
        }
        let stuck = |devices: u32| {
            let mut trials = self.trials.iter();
            trials.find(|trial| trial.devices == devices && !trial.recovers)
        };
        let trial = stuck(wanted).or_else(|| stuck(fails));
        Ok(trial.map(|trial| Stuck {
            devices: trial.devices,
            cleared_s: trial.cleared_s,
            bound_s: trial.bound_s,
            ended_s: trial.ended_s,
        }))
    }

    /// A run of the stuck fleet with a change of its power, `length_s` long.
    fn probe(
        &mut self,
        name: &str,
        stuck: &Stuck,
        power: ProbePower,
        length_s: u32,
    ) -> Result<bool, SearchError> {
        let overrides = Overrides {
            devices: Some(stuck.devices),
            probe: Some(Probe {
                power: Some(power),
                length_s,
            }),
            ..self.fixed.clone()
        };
        let settled: Settled = self.bench.probe(name, overrides)?;
        (self.tell)(&settled.sentence(name));
        Ok(settled.is_connected())
    }

    fn hysteresis(&mut self, stuck: &Stuck) -> Result<Hysteresis, SearchError> {
        let at_s = whole_s(stuck.cleared_s + stuck.bound_s);
        let waited_s = PATIENCE * stuck.bound_s;
        let waited_s = whole_s(waited_s.max(stuck.ended_s - f64::from(at_s)));
        let length_s = at_s + waited_s;
        let part = |permille: u32| {
            let devices = u64::from(stuck.devices) * u64::from(permille) / u64::from(PERMILLE);
            u32::try_from(devices).expect("no more than the fleet has")
        };
        let mut trials = Vec::new();
        let edge = edge::find(1..=PERMILLE - 1, PERMILLE / 2, PROBE_PRECISION, |stays| {
            let parked_permille = u16::try_from(PERMILLE - stays).expect("below a thousand");
            let power = ProbePower::Park {
                at_s,
                parked_permille,
            };
            let recovers =
                self.probe(&format!("stays-{stays}-permille"), stuck, power, length_s)?;
            trials.push((part(stays), recovers));
            Ok::<bool, SearchError>(recovers)
        })?;
        let recovers = edge.holds.map(part);
        Ok(Hysteresis {
            devices: stuck.devices,
            recovers,
            ratio: recovers.map(|part| f64::from(part) / f64::from(stuck.devices)),
            parked_after_s: stuck.bound_s,
            waited_s,
            trials,
        })
    }

    fn readmission(&mut self, stuck: &Stuck) -> Result<Readmission, SearchError> {
        let slowest = stuck.devices.div_ceil(READMISSION_MAX_S).max(1);
        let first = (stuck.devices / whole_s(stuck.bound_s).max(1)).clamp(slowest, stuck.devices);
        let phase = self.phase;
        let mut trials = Vec::new();
        let edge = edge::find(
            slowest..=stuck.devices,
            first,
            PROBE_PRECISION,
            |rate_per_s| {
                let power = ProbePower::Readmit { phase, rate_per_s };
                let takes_s = stuck.devices.div_ceil(rate_per_s);
                let length_s = whole_s(stuck.cleared_s + PATIENCE * stuck.bound_s) + takes_s;
                let connected = self.probe(
                    &format!("readmit-{rate_per_s}-per-s"),
                    stuck,
                    power,
                    length_s,
                )?;
                trials.push((rate_per_s, connected));
                Ok::<bool, SearchError>(connected)
            },
        )?;
        Ok(Readmission {
            devices: stuck.devices,
            safe_per_s: edge.holds,
            unsafe_per_s: edge.fails,
            trials,
        })
    }
}

/// Whole seconds, not fewer.
fn whole_s(seconds: f64) -> u32 {
    let up = seconds.ceil().clamp(0.0, f64::from(u32::MAX));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped"
    )]
    let whole = up as u32;
    whole
}

/// Why a search ended without a finding.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The scenario is wrong.
    #[error("{0}")]
    Scenario(ScenarioErrors),
    /// There is nothing to recover from.
    #[error("no phase of the scenario has a fault: there is nothing to recover from")]
    NoOutage,
    /// The largest fleet to try is smaller than what must be tried.
    #[error(
        "--max-devices must be at least {needed}: a device per cohort, and what --at-least asks for"
    )]
    TooFew {
        /// Devices.
        needed: u32,
    },
    /// A trial could not be made.
    #[error(transparent)]
    Run(RunError),
    /// A trial proves nothing.
    #[error("{} proves nothing: {reason}", dir.display())]
    Invalid {
        /// Its run directory.
        dir: PathBuf,
        /// Why.
        reason: String,
    },
    /// A trial ended before its recovery could be told.
    #[error("{devices} devices: {reason}")]
    Undecided {
        /// Its size.
        devices: u32,
        /// Why.
        reason: String,
    },
    /// A trial cannot be judged.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The search's folder cannot be made.
    #[error(transparent)]
    Evidence(DirectoryError),
    /// What was found cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The operator stopped it; the exit code that says so.
    #[error("stopped")]
    Interrupted(u8),
}

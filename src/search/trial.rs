//! One run of a search: made in a folder of its own, judged like any other, and kept as evidence.

use super::storm::SearchError;
use crate::report::data::RunData;
use crate::report::value::{Mode, Report, RunVerdict};
use crate::report::{self, units};
use crate::run::live_run;
use crate::run::progress::Ui;
use crate::run::simulate;
use crate::scenario::file::Overrides;
use crate::scenario::recovery::RecoveryVerdict;
use serde::Serialize;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Seconds at the end of a probe in which the fleet must be connected.
const HELD_S: usize = 30;
/// The word of a recovery that its run does not tell.
const UNDECIDED: &str = "undecided";
/// Share of the devices with power that must be.
const CONNECTED: f64 = 0.99;

/// Where trials are run.
#[derive(Clone, Debug)]
pub enum World {
    /// In virtual time.
    Virtual {
        /// What stands in for brokers.
        model: Option<simulate::Model>,
    },
    /// Over sockets.
    Live {
        /// Worker processes; `None` = as many as it takes.
        workers: Option<u32>,
        /// Source addresses; empty = spread on loopback.
        source_ips: Vec<IpAddr>,
        /// Hosts that may get a large fleet.
        allow_targets: Vec<String>,
    },
}

impl World {
    /// What its runs are.
    pub(super) const fn mode(&self) -> Mode {
        match self {
            Self::Virtual { .. } => Mode::Simulated,
            Self::Live { .. } => Mode::Live,
        }
    }
}

/// A fleet of one size after its outage.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// Its size.
    pub devices: u32,
    /// The recovery's verdict.
    pub verdict: &'static str,
    /// Whether it is `recovered`.
    pub recovers: bool,
    /// The verdict with its reason.
    pub reason: String,
    /// From the clearing until half of the devices were back, in seconds; `None` = never.
    pub t50_s: Option<f64>,
    /// The same for 99 %.
    pub t99_s: Option<f64>,
    /// Attempts since the clearing (until the recovery) per device that had to come back.
    pub amplification: Option<f64>,
    /// Attempts that timed out after their CONNECT was written, over all that ended, when it was
    /// judged.
    pub wasted: Option<f64>,
    /// When the outage cleared, in seconds from T0.
    pub cleared_s: f64,
    /// When the last phase ended, in seconds from T0.
    pub ended_s: f64,
    /// From the clearing to when a fleet that is not back is judged, in seconds.
    pub bound_s: f64,
    /// Its run directory, in the search's folder.
    pub dir: String,
}

/// What the run of a fleet of one size came to.
#[derive(Clone, Debug)]
pub(super) enum Sized {
    /// A verdict.
    Decided(Trial),
    /// None: the run was too short, for example.
    Undecided {
        reason: String,
        cleared_s: f64,
        ended_s: f64,
    },
}

impl Trial {
    /// Whether the fleet was on its way back when the run ended.
    pub(super) fn is_slow(&self) -> bool {
        self.verdict == RecoveryVerdict::Slow.name()
    }

    /// For a line of progress.
    pub(super) fn sentence(&self) -> String {
        let devices = units::counted(u64::from(self.devices), "device");
        format!("{devices}: {}", self.reason)
    }
}

/// The end of a probe.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// Fewest devices connected at the end of each of the last seconds.
    connected: u64,
    /// Devices with power then.
    powered: u64,
}

impl Settled {
    /// Whether the devices with power are connected, to within what the recovery's verdict allows.
    pub(super) fn is_connected(self) -> bool {
        self.powered > 0 && self.connected as f64 >= CONNECTED * self.powered as f64
    }

    pub(super) fn sentence(self, name: &str) -> String {
        let (connected, powered) = (units::count(self.connected), units::count(self.powered));
        format!("{name}: {connected} of {powered} connected at the end")
    }
}

/// Makes runs and judges them.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) scenario: &'a Path,
    pub(super) world: &'a World,
    pub(super) dir: &'a Path,
    pub(super) command: &'a [String],
}

impl Bench<'_> {
    /// A run whose recovery from the outage of `phase` is looked at.
    pub(super) fn trial(
        &self,
        name: &str,
        overrides: Overrides,
        phase: &str,
    ) -> Result<Sized, SearchError> {
        let (run, report) = self.run(name, overrides)?;
        let devices = run.plan.devices();
        let verdicts = report.recovery_verdicts.iter();
        let found = verdicts
            .into_iter()
            .find(|verdict| verdict.phase == phase)
            .ok_or(SearchError::NoOutage)?;
        let (cleared_s, ended_s) = (found.clear_s, run.plan.length().as_secs_f64());
        let Some(bound_s) = found.bound_s else {
            // Nothing is known of the fleet before the fault: a longer run would not mend it.
            return Err(SearchError::Undecided {
                devices,
                reason: found.reason.clone(),
            });
        };
        if found.verdict == UNDECIDED {
            return Ok(Sized::Undecided {
                reason: found.reason.clone(),
                cleared_s,
                ended_s,
            });
        }
        let back = report.recoveries.iter().find(|back| back.phase == phase);
        let time = |percent: f64| {
            let mut times = back.iter().flat_map(|back| &back.times);
            let us = times.find(|time| time.percent == percent)?.us?;
            Some(us as f64 / 1e6)
        };
        Ok(Sized::Decided(Trial {
            devices,
            verdict: found.verdict,
            recovers: found.verdict == RecoveryVerdict::Recovered.name(),
            reason: found.reason.clone(),
            t50_s: time(50.0),
            t99_s: time(99.0),
            amplification: found.amplification,
            wasted: found.wasted,
            cleared_s,
            ended_s,
            bound_s,
            dir: name.to_owned(),
        }))
    }

    /// A run of which only the end is looked at.
    pub(super) fn probe(&self, name: &str, overrides: Overrides) -> Result<Settled, SearchError> {
        let (run, _) = self.run(name, overrides)?;
        // Rows after the end of the last phase are the drain's, in which nothing is asked of anybody.
        let end = run.plan.length().as_secs();
        let rows = run
            .series
            .rows
            .iter()
            .filter(|row| u64::from(row.second) < end);
        let last: Vec<_> = rows.rev().take(HELD_S).map(|row| row.gauges).collect();
        Ok(Settled {
            connected: last
                .iter()
                .map(|gauges| gauges.connected)
                .min()
                .unwrap_or(0),
            powered: last.iter().map(|gauges| gauges.powered).max().unwrap_or(0),
        })
    }

    fn run(&self, name: &str, overrides: Overrides) -> Result<(RunData, Report), SearchError> {
        let dir = self.drive(self.dir.join(name), overrides)?;
        let report = report::build(&dir)?;
        report::write_all(&report, &dir, None)?;
        match report.verdict {
            RunVerdict::Interrupted => Err(SearchError::Interrupted(report.exit_code)),
            RunVerdict::Invalid => Err(SearchError::Invalid {
                dir,
                reason: report.reason,
            }),
            RunVerdict::Pass | RunVerdict::Fail | RunVerdict::Inconclusive | RunVerdict::NoData => {
                Ok((RunData::read(&dir)?, report))
            }
        }
    }

    fn drive(&self, out: PathBuf, overrides: Overrides) -> Result<PathBuf, SearchError> {
        let (scenario, command) = (self.scenario.to_owned(), self.command.to_vec());
        let made = match self.world {
            World::Virtual { model } => simulate::run(&simulate::Options {
                scenario,
                overrides,
                out: Some(out),
                model: *model,
                ui: Ui::Off,
                command,
            }),
            World::Live {
                workers,
                source_ips,
                allow_targets,
            } => live_run::run(&live_run::Options {
                scenario,
                overrides,
                out: Some(out),
                workers: *workers,
                source_ips: source_ips.clone(),
                allow_targets: allow_targets.clone(),
                keep_sessions: false,
                record_inputs: 0.0,
                ui: Ui::Off,
                command,
            }),
        };
        made.map_err(SearchError::Run)
    }
}

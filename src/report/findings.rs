//! What campaigns, commands and queries left in a run directory: rows by device, and marks.

use super::data::RunData;
use crate::scenario::campaign::Server;
use crate::scenario::plan::Plan;
use crate::stats::histogram::Histogram;
use crate::stats::results::{
    CampaignMark, CommandRow, Finding, Outcome, QueryRow, ResultRow, Witness,
};
use crate::time::Instant;
use crate::wire::Reason;
use std::collections::BTreeMap;

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// By campaign of the plan.
    pub campaigns: Vec<CampaignFindings>,
    /// By command of the plan.
    pub commands: Vec<CommandFindings>,
    /// In the order of their answers.
    pub queries: Vec<QueryRow>,
}

/// What is known of one campaign.
#[derive(Clone, Debug, Default)]
pub struct CampaignFindings {
    /// In order of time.
    pub marks: Vec<(Instant, CampaignMark)>,
    /// The operator's word, one row per target.
    pub operator: Vec<ResultRow>,
    /// The devices' own word.
    pub devices: Vec<ResultRow>,
    /// Live publishes due before the campaign and during it; `None` if they were not read.
    pub telemetry: Option<[Histogram; 2]>,
}

/// What is known of one command.
#[derive(Clone, Debug, Default)]
pub struct CommandFindings {
    /// When its targets were fixed, and how many.
    pub started: Option<(Instant, u32)>,
    /// One row per target.
    pub rows: Vec<CommandRow>,
}

impl Findings {
    /// Nothing yet, with a place for all that `plan` has.
    pub fn of(plan: &Plan) -> Self {
        Self {
            campaigns: vec![CampaignFindings::default(); plan.campaigns.len()],
            commands: vec![CommandFindings::default(); plan.commands.len()],
            queries: Vec::new(),
        }
    }

    /// Takes one in. What is of no campaign or command of the plan is left.
    pub fn take(&mut self, finding: Finding) {
        match finding {
            Finding::Result(row) => {
                if let Some(found) = self.campaigns.get_mut(usize::from(row.campaign)) {
                    match row.witness {
                        Witness::Operator => found.operator.push(row),
                        Witness::Device => found.devices.push(row),
                    }
                }
            }
            Finding::Command(row) => {
                if let Some(found) = self.commands.get_mut(usize::from(row.command)) {
                    found.rows.push(row);
                }
            }
            Finding::Query(row) => self.queries.push(row),
            Finding::Campaign { campaign, at, mark } => {
                if let Some(found) = self.campaigns.get_mut(usize::from(campaign)) {
                    found.marks.push((at, mark));
                }
            }
            Finding::CommandStarted {
                command,
                at,
                targets,
            } => {
                if let Some(found) = self.commands.get_mut(usize::from(command)) {
                    found.started = Some((at, targets));
                }
            }
        }
    }
}

impl CampaignFindings {
    /// When its targets were fixed, and how many.
    pub fn started(&self) -> Option<(Instant, u32)> {
        self.marks.iter().find_map(|(at, mark)| match mark {
            CampaignMark::Started { targets } => Some((*at, *targets)),
            CampaignMark::Rung { .. }
            | CampaignMark::Wave { .. }
            | CampaignMark::Paused
            | CampaignMark::Resumed
            | CampaignMark::Halted { .. }
            | CampaignMark::Cancelled { .. }
            | CampaignMark::Completed => None,
        })
    }

    /// When an abort rule halted it, and what it counted.
    pub fn halted(&self) -> Option<Halted> {
        self.marks.iter().find_map(|(at, mark)| match mark {
            CampaignMark::Halted {
                rule,
                executed,
                failures,
                started,
                crossed,
            } => Some(Halted {
                at: *at,
                rule: usize::from(*rule),
                executed: u64::from(*executed),
                failures: u64::from(*failures),
                started: u64::from(*started),
                crossed: *crossed,
            }),
            CampaignMark::Started { .. }
            | CampaignMark::Rung { .. }
            | CampaignMark::Wave { .. }
            | CampaignMark::Paused
            | CampaignMark::Resumed
            | CampaignMark::Cancelled { .. }
            | CampaignMark::Completed => None,
        })
    }
}

/// An abort rule fired.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Halted {
    /// When.
    pub at: Instant,
    /// Index into the campaign's rules.
    pub rule: usize,
    /// Executions that had ended.
    pub executed: u64,
    /// Of those, the ones that count against it.
    pub failures: u64,
    /// Devices that had started, as the operator counted them.
    pub started: u64,
    /// The end of the execution that crossed the threshold.
    pub crossed: Instant,
}

/// When campaign `index` began: when its targets were fixed, else as planned.
pub(super) fn began(run: &RunData, index: usize) -> Option<Instant> {
    let (start, _) = run.started.as_ref()?;
    let found = run.findings.campaigns.get(index)?;
    let planned = start.after(run.plan.campaigns.get(index)?.start);
    Some(found.started().map_or(planned, |(at, _)| at))
}

/// The row that counts for each target of campaign `index`: the operator's; of a campaign that the
/// target runs itself, the last word of each device that the plan means, and [`Outcome::NeverReached`]
/// for those that said nothing.
pub(super) fn targets(run: &RunData, index: usize) -> Vec<ResultRow> {
    let (Some(campaign), Some(found)) = (
        run.plan.campaigns.get(index),
        run.findings.campaigns.get(index),
    ) else {
        return Vec::new();
    };
    match campaign.server {
        Server::Operator => found.operator.clone(),
        Server::External => external_targets(run, index, &found.devices),
    }
}

fn external_targets(run: &RunData, index: usize, rows: &[ResultRow]) -> Vec<ResultRow> {
    let last = last_words(rows);
    let campaign = &run.plan.campaigns[index];
    let closes = run
        .outcome
        .as_ref()
        .map_or(Instant::ZERO, |outcome| outcome.drained);
    let members = campaign.targets.who.members(&run.plan);
    let none = u8::try_from(campaign.priorities.len()).unwrap_or(u8::MAX);
    // A device does not know its priority.
    let mut priorities: BTreeMap<u32, u8> = BTreeMap::new();
    for (priority, written) in (0..).zip(&campaign.priorities) {
        for device in written.who.members(&run.plan) {
            priorities.entry(device).or_insert(priority);
        }
    }
    let silent = |device: u32, from| ResultRow {
        campaign: u16::try_from(index).unwrap_or(u16::MAX),
        witness: Witness::Device,
        device,
        from,
        priority: none,
        outcome: Outcome::NeverReached,
        reason: Reason::Ready,
        attempts: 0,
        bytes: 0,
        offered: None,
        started: None,
        downloaded: None,
        rebooted: None,
        finished: closes,
    };
    let wanted = members.into_iter().filter_map(|device| {
        let from = run.plan.factory_firmware(device);
        is_wanted(run, index, from).then(|| {
            let row = last.get(&device).map(|row| **row);
            ResultRow {
                priority: priorities.get(&device).copied().unwrap_or(none),
                ..row.unwrap_or_else(|| silent(device, from))
            }
        })
    });
    wanted.collect()
}

/// The last row of each device, by when it ended. A confirmation outlives a rejection: who is offered
/// the firmware that it runs says no.
pub(super) fn last_words(rows: &[ResultRow]) -> BTreeMap<u32, &ResultRow> {
    let mut last: BTreeMap<u32, &ResultRow> = BTreeMap::new();
    for row in rows {
        let known = last.entry(row.device).or_insert(row);
        let is_later = if known.outcome == Outcome::Confirmed && row.outcome == Outcome::Rejected {
            false
        } else if known.outcome == Outcome::Rejected && row.outcome == Outcome::Confirmed {
            true
        } else {
            row.finished >= known.finished
        };
        if is_later {
            *known = row;
        }
    }
    last
}

/// Whether campaign `index` wants devices that come from `from`.
pub(super) fn is_wanted(run: &RunData, index: usize, from: Option<u16>) -> bool {
    let campaign = &run.plan.campaigns[index];
    from != Some(campaign.image.version) && campaign.targets.wants(&run.plan.firmware, from)
}

/// Whether an execution ended by itself: these are what ratios are over.
pub(super) const fn is_ended(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Confirmed
        | Outcome::RolledBack
        | Outcome::Failed
        | Outcome::Rejected
        | Outcome::Bricked
        | Outcome::TimedOut => true,
        Outcome::Cancelled | Outcome::NeverReached | Outcome::Unfinished => false,
    }
}

/// Whether it ended badly: not by the device's own refusal.
pub(super) const fn is_bad(outcome: Outcome) -> bool {
    match outcome {
        Outcome::RolledBack | Outcome::Failed | Outcome::Bricked | Outcome::TimedOut => true,
        Outcome::Confirmed
        | Outcome::Rejected
        | Outcome::Cancelled
        | Outcome::NeverReached
        | Outcome::Unfinished => false,
    }
}

/// The smallest of the ascending `values` within which `share` (0 to 1) of `all` lie; infinite if too
/// few do.
pub(super) fn value_of_share(values: &[f64], all: u64, share: f64) -> f64 {
    // 1e-9 absorbs the binary rounding of shares such as 0.07 x 100.
    let wanted = ((share * all as f64) - 1e-9).ceil().max(1.0) as usize;
    values.get(wanted - 1).copied().unwrap_or(f64::INFINITY)
}

//! The rules about campaigns and commands: every target has exactly one row, the operator counted as
//! its rows do, and what it says and what the devices say can both be true.

use crate::report::campaign;
use crate::report::data::RunData;
use crate::report::findings::{self, CampaignFindings};
use crate::report::units;
use crate::report::value::Rule;
use crate::report::words;
use crate::scenario::campaign::Server;
use crate::stats::results::{CommandOutcome, Outcome, ResultRow};
use crate::time::{Duration, Instant};
use std::collections::BTreeSet;

/// Rows give instants of a campaign rounded down to its ticks, 10 ms at most, so who started so close
/// to a halt may have started before it or after it.
const RESOLUTION: Duration = Duration::from_millis(10);

/// The rules for a run that came to its end.
pub(super) fn rules(run: &RunData) -> Vec<Rule> {
    let mut rules = Vec::new();
    let campaigns = run.plan.campaigns.iter().zip(&run.findings.campaigns);
    let operated: Vec<(usize, &str, &CampaignFindings)> = campaigns
        .enumerate()
        .filter(|(_, (campaign, _))| campaign.server == Server::Operator)
        .map(|(index, (campaign, found))| (index, campaign.name.as_str(), found))
        .collect();
    if !operated.is_empty() {
        let off = operated.iter().flat_map(|(_, name, found)| {
            let wrong = ledger(run, found);
            wrong
                .into_iter()
                .map(move |wrong| format!("{name}: {wrong}"))
        });
        let limit = "one row and one terminal state per target, as many as were fixed at the start";
        rules.push(rule("Campaigns", limit, "complete", off.collect()));
        let off = operated
            .iter()
            .filter_map(|(_, name, found)| halt(found).map(|wrong| format!("{name}: {wrong}")));
        let limit = "devices that had started at a halt, by the operator = by the rows";
        rules.push(rule("Exposure", limit, "agrees", off.collect()));
    }
    if !run.plan.campaigns.is_empty() {
        let mut off: Vec<String> = operated
            .iter()
            .filter_map(|(index, name, _)| {
                witnesses(run, *index).map(|wrong| format!("{name}: {wrong}"))
            })
            .collect();
        off.extend(hashes(run));
        let limit = "no word of the operator on a device that the device's own excludes, and no \
                     confirmation without a matching hash";
        rules.push(rule("Two witnesses", limit, "agree", off));
    }
    if !run.plan.commands.is_empty() {
        let commands = run.plan.commands.iter().zip(&run.findings.commands);
        let off = commands.filter_map(|(command, found)| {
            let devices = found.rows.iter().map(|row| row.device);
            let targets = found.started.map(|(_, targets)| targets);
            let wrong = one_each(run, devices, targets)?;
            Some(format!("{}: {wrong}", command.name))
        });
        let off = off.chain(carried_out(run));
        let limit = "one row per target, as many as were fixed at the start, and no success that no \
                     device tells of";
        rules.push(rule("Commands", limit, "complete", off.collect()));
    }
    rules
}

fn rule(name: &'static str, limit: &str, good: &str, off: Vec<String>) -> Rule {
    Rule {
        name,
        limit: limit.to_owned(),
        holds: off.is_empty(),
        measured: if off.is_empty() {
            good.to_owned()
        } else {
            off.join("; ")
        },
    }
}

/// What is wrong with the operator's rows.
fn ledger(run: &RunData, found: &CampaignFindings) -> Vec<String> {
    let rows = &found.operator;
    let targets = found.started().map(|(_, targets)| targets);
    let devices = rows.iter().map(|row| row.device);
    let mut wrong: Vec<String> = one_each(run, devices, targets).into_iter().collect();
    let open = rows.iter().find(|row| row.outcome == Outcome::Unfinished);
    wrong.extend(open.map(|row| {
        let device = words::device(&run.plan, row.device);
        format!("the row of {device} has no terminal state")
    }));
    let began = found.started().map(|(at, _)| at);
    let early = rows.iter().find(|row| !is_in_order(row, began));
    let early = early.or_else(|| found.devices.iter().find(|row| !is_in_order(row, None)));
    wrong.extend(early.map(|row| {
        let device = words::device(&run.plan, row.device);
        format!("a row of {device} has its instants in an order in which nothing can happen")
    }));
    wrong
}

/// Whether nothing in a row comes before the offer, or before `began`, or after the end. What was
/// downloaded may be of a later execution than the reboot.
fn is_in_order(row: &ResultRow, began: Option<Instant>) -> bool {
    let first = row.offered.or(began).unwrap_or(Instant::ZERO);
    let between = [
        row.started,
        row.downloaded,
        row.rebooted,
        Some(row.finished),
    ];
    let mut between = between.into_iter().flatten();
    began.is_none_or(|began| began <= first) && between.all(|at| first <= at && at <= row.finished)
}

/// What is wrong with rows that must be one per target.
fn one_each(
    run: &RunData,
    devices: impl Iterator<Item = u32>,
    targets: Option<u32>,
) -> Option<String> {
    let mut seen = BTreeSet::new();
    let mut rows = 0u64;
    for device in devices {
        rows += 1;
        if device >= run.plan.devices() {
            return Some(format!(
                "a row is of device {device}, which the fleet has not"
            ));
        }
        if !seen.insert(device) {
            let device = words::device(&run.plan, device);
            return Some(format!("{device} has more than one row"));
        }
    }
    let Some(targets) = targets else {
        let rows = units::counted(rows, "row");
        return Some(format!(
            "{rows}, and no record of how many targets there were"
        ));
    };
    (rows != u64::from(targets)).then(|| {
        let rows = units::counted(rows, "row");
        format!("{rows} of {}", units::counted(u64::from(targets), "target"))
    })
}

/// Whether the count of the operator is not that of its rows.
fn halt(found: &CampaignFindings) -> Option<String> {
    let halt = found.halted()?;
    let before = |slack: Duration| {
        let is_before = |row: &&ResultRow| {
            let started = row.started;
            started.is_some_and(|started| started.after(slack) <= halt.at)
        };
        found.operator.iter().filter(is_before).count() as u64
    };
    let (certain, possible) = (before(RESOLUTION), before(Duration::ZERO));
    (!(certain..=possible).contains(&halt.started)).then(|| {
        format!(
            "the operator counted {}, the rows say {}",
            units::count(halt.started),
            units::count(possible)
        )
    })
}

fn witnesses(run: &RunData, index: usize) -> Option<String> {
    let witnesses = campaign::agreement(run, index);
    if witnesses.strangers > 0 {
        let strangers = units::counted(witnesses.strangers, "device");
        return Some(format!(
            "{strangers} told of an update without being a target"
        ));
    }
    let worst = witnesses.disagreements.iter().find(|d| !d.explained)?;
    Some(format!(
        "{} of which the two exclude each other; {} says {} and the operator {}",
        units::counted(witnesses.contradictions, "target"),
        worst.example,
        worst.device,
        worst.operator
    ))
}

/// The second witness of commands: who succeeded by the operator's word has carried it out by its own.
fn carried_out(run: &RunData) -> Option<String> {
    let executed = run.outcome.as_ref()?.totals.commands.executed;
    let rows = run.findings.commands.iter().flat_map(|found| &found.rows);
    let succeeded = rows.filter(|row| row.outcome == CommandOutcome::Succeeded);
    let succeeded = succeeded.count() as u64;
    (executed < succeeded).then(|| {
        format!(
            "{} succeeded, and devices carried out {}",
            units::counted(succeeded, "command"),
            units::count(executed)
        )
    })
}

/// A confirmed device has compared the hash of what it received.
fn hashes(run: &RunData) -> Option<String> {
    let matched = run.outcome.as_ref()?.totals.updates.hashes_matched;
    let confirmed: u64 = (run.findings.campaigns.iter())
        .map(|found| {
            let words = findings::last_words(&found.devices);
            let confirmed = words
                .values()
                .filter(|row| row.outcome == Outcome::Confirmed);
            confirmed.count() as u64
        })
        .sum();
    (matched < confirmed).then(|| {
        format!(
            "{} confirmed, and {} matched",
            units::counted(confirmed, "device"),
            units::counted(matched, "hash")
        )
    })
}

//! Campaigns, commands and queries in a sentence each, for the summaries.

use super::html::campaigns::{halt_text, lift, spaced, witness_text};
use super::html::commands::{matched, operator_hours};
use super::units;
use super::value::{Campaign, Command, Query, Report, ShareTime};

/// One sentence per campaign, command and query: what it is called, and what became of it.
pub(super) fn sentences(report: &Report) -> Vec<(String, String)> {
    let campaigns = report.campaigns.iter();
    let campaigns = campaigns.map(|c| (format!("campaign {}", c.name), campaign(c)));
    let commands = report.commands.iter();
    let commands = commands.map(|c| (format!("command {}", c.name), command(c)));
    let queries = report.queries.iter();
    let queries = queries.map(|q| (format!("query {}", q.name), query(q)));
    campaigns.chain(commands).chain(queries).collect()
}

/// Of a campaign or command that has no row.
const NOBODY: &str = "no row of any target";

fn campaign(campaign: &Campaign) -> String {
    if campaign.targets + campaign.rowless == 0 {
        return NOBODY.to_owned();
    }
    let outcomes = campaign.outcomes.iter().filter(|row| row.count > 0);
    let outcomes =
        outcomes.map(|row| format!("{} {}", units::count(row.count), spaced(row.outcome)));
    let rowless = campaign.rowless;
    let rowless = (rowless > 0).then(|| format!("{} without a row", units::count(rowless)));
    let outcomes: Vec<String> = outcomes.chain(rowless).collect();
    let mut text = format!(
        "{}: {}",
        units::counted(campaign.targets + campaign.rowless, "target"),
        outcomes.join(", ")
    );
    if let Some(all) = campaign.completion.first() {
        text = format!("{text}; {}", times(&all.times, "T"));
    }
    if campaign.halt.is_some() {
        let halt = halt_text(campaign);
        text = format!("{text}; halted {}", halt.trim_end_matches('.'));
    }
    if let Some(bucket) = campaign.root_causes.first().filter(|b| b.stands_out) {
        text = format!(
            "{text}; root cause: {} ({} of {} bad, lift {})",
            bucket.bucket,
            units::count(bucket.bad),
            units::count(bucket.ended),
            lift(bucket)
        );
    }
    if let Some(found) = campaign
        .witnesses
        .as_ref()
        .filter(|w| w.agree < campaign.targets)
    {
        text = format!("{text}; two witnesses: {}", witness_text(found));
    }
    text
}

fn command(command: &Command) -> String {
    if command.targets == 0 {
        return NOBODY.to_owned();
    }
    let outcomes = command.outcomes.iter().filter(|row| row.count > 0);
    let outcomes: Vec<String> = outcomes
        .map(|row| format!("{} {}", units::count(row.count), spaced(row.outcome)))
        .collect();
    let hours = operator_hours(command);
    format!(
        "{}: {}; connected ones {}. {}",
        units::counted(command.targets, "target"),
        outcomes.join(", "),
        times(&command.online.fanout, "T"),
        hours.trim_end_matches('.')
    )
}

fn query(query: &Query) -> String {
    format!(
        "{} of {} answered, matched {}; latency {}; staleness {}",
        units::count(query.answered),
        units::count(query.planned),
        matched(query),
        times(&query.latency, "p"),
        times(&query.staleness, "p")
    )
}

fn times(times: &[ShareTime], mark: &str) -> String {
    let times: Vec<String> = times
        .iter()
        .map(|time| format!("{mark}{} {}", time.percent, time.text()))
        .collect();
    times.join(", ")
}

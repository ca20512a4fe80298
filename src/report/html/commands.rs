//! "Commands" and "Queries": what one action on the fleet came to.

use super::campaigns::{share_cells, share_heads, spaced};
use super::{number, timeline};
use crate::report::plots;
use crate::report::units;
use crate::report::value::{Answers, Command, Query, Report, ShareTime};
use crate::report::words::printable;
use maud::{Markup, html};

pub(super) fn commands(report: &Report) -> Markup {
    html! {
        @for command in &report.commands {
            section {
                h2 { "Command " (printable(&command.name)) }
                p.lead {
                    "To " (units::counted(command.targets, "target")) " at " (units::clock_tenths_s(command.start_s)) "; "
                    (units::counted(command.requests, "request")) ", "
                    (units::counted(command.repeated_answers, "repeated answer")) "."
                }
                p.lead { strong { (operator_hours(command)) } }
                div.scroll { table {
                    thead { tr { th { "Result" } th.num { "Targets" } th.num { "Share" } } }
                    tbody { @for row in &command.outcomes { tr {
                        td { (spaced(row.outcome)) } (number(row.count))
                        td.num { (row.share.map_or_else(|| "n/a".to_owned(), units::ratio)) }
                    } } }
                } }
                h3 { "Fan-out" }
                p.small.muted { "From the command's start until this share of the targets had answered. Those that were not connected when it began are told apart." }
                (answers(command, "Fan-out", |answers| &answers.fanout))
                h3 { "Round trips" }
                p.small.muted { "From when the plan wanted the first request, its rate included, to the first answer. A target that never answered counts as never; n/a where there are too few." }
                (round_trips(command))
            }
        }
    }
}

/// `By hand, 10 min per device: 166 h 40 min. By one fleet action: 14 s.`
pub(in crate::report) fn operator_hours(command: &Command) -> String {
    let each_s = match command.targets {
        0 => 0.0,
        n => command.by_hand_s / n as f64,
    };
    let fleet = command.by_fleet_s.map_or_else(
        || "nobody answered".to_owned(),
        |s| {
            let answered = command.online.answered + command.offline.answered;
            let silent = match command.targets.saturating_sub(answered) {
                0 => String::new(),
                n => format!(", and {} never answered", units::count(n)),
            };
            format!("{} until the last answer{silent}", units::time_s(s))
        },
    );
    format!(
        "By hand, {} per device: {}. By one fleet action: {fleet}.",
        units::time_s(each_s),
        units::time_s(command.by_hand_s)
    )
}

/// Name and answers of those that were connected, and of those that were not.
fn groups(command: &Command) -> [(&'static str, &Answers); 2] {
    [
        ("connected", &command.online),
        ("not connected at the start", &command.offline),
    ]
}

fn answers(
    command: &Command,
    head: &'static str,
    times: fn(&Answers) -> &Vec<ShareTime>,
) -> Markup {
    html! { div.scroll { table {
        thead { tr { th { (head) } th.num { "Targets" } th.num { "Answered" } (share_heads(times(&command.online))) } }
        tbody { @for (name, found) in groups(command) { @if found.targets > 0 { tr {
            td { (name) } (number(found.targets)) (number(found.answered)) (share_cells(times(found)))
        } } } }
    } } }
}

fn round_trips(command: &Command) -> Markup {
    html! { div.scroll { table {
        thead { tr { th { "Round trip" } @for share in &command.online.rtt { th.num { (percentile(share.percent)) } } } }
        tbody { @for (name, found) in groups(command) { @if found.targets > 0 { tr {
            td { (name) } (share_cells(&found.rtt))
        } } } }
    } } }
}

/// `p99`, `max`.
fn percentile(percent: f64) -> String {
    if percent >= 100.0 {
        "max".to_owned()
    } else {
        format!("p{percent}")
    }
}

pub(super) fn queries(report: &Report) -> Markup {
    if report.queries.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { "Queries" }
            p.lead { "Answered from reported state. Latency: from when the plan wanted it to the answer. Staleness: age of the reports behind an answer, by the 99th percentile over the devices that match. Percentiles are over answers; n/a where there are too few." }
            div.scroll { table {
                thead { tr { th { "Query" } th.num { "Answered" } th.num { "Matched, first to last" } th.num { "Oldest report" } th.num { "Asked to report" } th.num { "Silent" } } }
                tbody { @for query in &report.queries { tr {
                    td { (printable(&query.name)) }
                    td class={ "num" @if query.answered < query.planned { " t-fail" } } { (units::count(query.answered)) " of " (units::count(query.planned)) }
                    td.num { (matched(query)) }
                    td.num { (query.oldest_s.map_or_else(|| "n/a".to_owned(), units::time_s)) }
                    (number(query.answers.iter().map(|answer| answer.asked).sum()))
                    (number(query.answers.iter().map(|answer| answer.silent).sum()))
                } } }
            } }
            div.scroll { table {
                thead { tr { th { "Query" } th { "" } @for value in heads(report) { th.num { (percentile(value)) } } } }
                @for query in &report.queries { tbody.group {
                    tr { td { (printable(&query.name)) } td.muted { "latency" } (share_cells(&query.latency)) }
                    tr { td {} td.muted { "staleness" } (share_cells(&query.staleness)) }
                } }
            } }
            @for query in &report.queries {
                @for plot in &plots::query(report, query) {
                    @if report.queries.len() > 1 { h3 { (printable(&query.name)) } }
                    (timeline::figure(plot))
                }
            }
        }
    }
}

fn heads(report: &Report) -> Vec<f64> {
    let first = report.queries.first();
    first.map_or_else(Vec::new, |query| {
        query.latency.iter().map(|value| value.percent).collect()
    })
}

/// `4,200 → 12`.
pub(in crate::report) fn matched(query: &Query) -> String {
    match query.answers.as_slice() {
        [] => "n/a".to_owned(),
        [only] => units::count(only.matched),
        [first, .., last] => format!(
            "{} → {}",
            units::count(first.matched),
            units::count(last.matched)
        ),
    }
}

//! `summary.md`: what a merge request shows. GitHub-flavoured Markdown, every string escaped.

use super::summary;
use super::units;
use super::value::{ALL_PHASES, Mode, Report, RunVerdict, Verdict, worst_first};
use super::words::printable;
use std::fmt::Write as _;

/// Warnings and reasons shown; the report has all of them.
const LINES_SHOWN: usize = 10;

/// The summary.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    lines(report, &mut out).expect("a String accepts every write");
    out
}

fn lines(report: &Report, out: &mut String) -> std::fmt::Result {
    let (mark, word) = (run_mark(report.verdict, report.mode), report.word);
    let (stamp, time) = match report.mode {
        Mode::Live => ("", ""),
        Mode::Simulated => ("PREDICTION · ", " of virtual time"),
    };
    let name = escape(&report.scenario.name);
    writeln!(out, "## {stamp}{mark} {word}: {name}\n")?;
    writeln!(out, "**{}**\n", escape(&report.reason))?;
    if let Some(prediction) = &report.prediction {
        writeln!(out, "{}\n", escape(&prediction.notice))?;
    }
    writeln!(
        out,
        "{} · {}{time} · {} · seed {}\n",
        units::counted(report.run.devices, "device"),
        units::time_s(report.run.duration_s.round()),
        escape(&report.run.target),
        escape(&report.scenario.seed)
    )?;
    if !report.objectives.is_empty() {
        objectives(report, out)?;
    }
    for recovery in &report.recovery_verdicts {
        writeln!(
            out,
            "Recovery from {} ({}): **{}**.\n",
            escape(&recovery.fault),
            escape(&recovery.phase),
            escape(&recovery.reason)
        )?;
    }
    for (name, sentence) in summary::sentences(report) {
        let name = super::words::capitalized(&name);
        writeln!(out, "{}: **{}**.\n", escape(&name), escape(&sentence))?;
    }
    if matches!(
        report.verdict,
        RunVerdict::Invalid | RunVerdict::Interrupted
    ) {
        list("Why this run proves nothing", &report.reasons, out)?;
    }
    list("Warnings", &report.warnings, out)?;
    recoveries(report, out)?;
    latency(report, out)?;
    if let Some(books) = &report.counts.total {
        writeln!(
            out,
            "Books: {} planned = {} sent + {} unsent + {} waiting; {} sent = {} acked + {} written (QoS 0) + {} timed out + {} failed + {} in flight.",
            units::count(books.planned),
            units::count(books.sent),
            units::count(books.skipped + books.dropped_by_policy + books.device_off),
            units::count(books.waiting),
            units::count(books.sent),
            units::count(books.acked),
            units::count(books.written),
            units::count(books.timed_out),
            units::count(books.failed),
            units::count(books.in_flight)
        )?;
    }
    if let Some(lost) = &report.delivery.lost_by_policy {
        writeln!(out, "\nStores: {}.", escape(&lost.sentence()))?;
    }
    Ok(())
}

fn objectives(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "| | objective | measure | target | value | n |")?;
    writeln!(out, "|---|---|---|---:|---:|---:|")?;
    for objective in worst_first(&report.objectives) {
        writeln!(
            out,
            "| {} {} | {} | `{}` {} | {} | {} | {} |",
            mark(objective.verdict, report.mode),
            objective.word,
            escape(&objective.name),
            objective.indicator,
            escape(&objective.measure()),
            escape(&objective.target_text),
            escape(&objective.value_text),
            units::count(objective.events)
        )?;
    }
    writeln!(out)
}

fn recoveries(report: &Report, out: &mut String) -> std::fmt::Result {
    let Some(first) = report.recoveries.first() else {
        return Ok(());
    };
    writeln!(out, "<details><summary>Recovery from faults</summary>\n")?;
    write!(out, "| fault | cut off | stranded |")?;
    for time in &first.times {
        write!(out, " T{} |", time.percent)?;
    }
    writeln!(out, " peak | attempts each | resumed |")?;
    writeln!(
        out,
        "|---|---:|---:|{}---:|---:|---:|",
        "---:|".repeat(first.times.len())
    )?;
    for recovery in &report.recoveries {
        write!(
            out,
            "| {}, {} | {} | {} |",
            escape(&recovery.fault),
            escape(&recovery.phase),
            units::count(recovery.affected),
            units::count(recovery.stranded)
        )?;
        for time in &recovery.times {
            let text = time.us.map_or_else(|| "never".to_owned(), units::time_us);
            write!(out, " {text} |")?;
        }
        writeln!(
            out,
            " {} | {} | {} |",
            recovery.peak_text(),
            recovery.amplification_text(),
            recovery.resumed_text()
        )?;
    }
    writeln!(out, "\n</details>\n")
}

fn latency(report: &Report, out: &mut String) -> std::fmt::Result {
    let tables = report.latency.0.iter();
    let rows: Vec<_> = tables
        .filter_map(|table| Some((table.key, table.row(ALL_PHASES)?)))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<details><summary>Latencies over all phases</summary>\n"
    )?;
    writeln!(out, "| | n | p50 | p95 | p99 | p99.9 | max |")?;
    writeln!(out, "|---|---:|---:|---:|---:|---:|---:|")?;
    for (key, row) in rows {
        let at = |us: Option<u64>| us.map_or_else(|| "n/a".to_owned(), units::time_us);
        writeln!(
            out,
            "| {key} | {} | {} | {} | {} | {} | {} |",
            units::count(row.count),
            at(row.p50),
            at(row.p95),
            at(row.p99),
            at(row.p99_9),
            units::time_us(row.max)
        )?;
    }
    writeln!(out, "\n</details>\n")
}

fn list(title: &str, items: &[String], out: &mut String) -> std::fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "**{title}**\n")?;
    for item in items.iter().take(LINES_SHOWN) {
        writeln!(out, "- {}", escape(item))?;
    }
    if let Some(hidden @ 1..) = items.len().checked_sub(LINES_SHOWN) {
        writeln!(out, "- and {hidden} more")?;
    }
    writeln!(out)
}

/// Text that cannot become markup, a table cell's end, a link or a mention.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A zero-width break keeps GitHub from notifying whoever has that name.
            '@' => out.push_str("@\u{200B}"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    // Nor does it make a link of what only looks like an address.
    for (address, plain) in [
        ("http://", "http:\u{200B}//"),
        ("https://", "https:\u{200B}//"),
        ("www.", "www\u{200B}."),
    ] {
        out = out.replace(address, plain);
    }
    out
}

const fn run_mark(verdict: RunVerdict, mode: Mode) -> &'static str {
    match verdict {
        RunVerdict::Pass => mark(Verdict::Pass, mode),
        RunVerdict::Fail => "❌",
        RunVerdict::Inconclusive | RunVerdict::NoData => "❔",
        RunVerdict::Invalid => "🚫",
        RunVerdict::Interrupted => "⏹",
    }
}

/// The green tick is for what was measured.
const fn mark(verdict: Verdict, mode: Mode) -> &'static str {
    match verdict {
        Verdict::Pass if mode.is_simulated() => "🔷",
        Verdict::Pass => "✅",
        Verdict::Fail => "❌",
        Verdict::Inconclusive | Verdict::NoData => "❔",
    }
}

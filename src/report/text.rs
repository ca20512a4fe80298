//! The end of a run on a terminal: the verdict, each objective with its reason, and where the
//! report is.

use super::summary;
use super::units;
use super::value::{Mode, Report, RunVerdict, Verdict, worst_first};
use super::words::printable;
use std::fmt::Write as _;
use std::path::Path;

/// Warnings shown; the report has all of them.
const WARNINGS_SHOWN: usize = 5;

/// Whether words are coloured by ANSI escapes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Color {
    /// Plain text.
    Off,
    /// ANSI colours for verdicts.
    On,
}

/// The summary; `dir` is where the report lies.
pub fn render(report: &Report, dir: &Path, color: Color) -> String {
    let mut out = String::new();
    lines(report, dir, color, &mut out).expect("a String accepts every write");
    out
}

/// One line: `PASS quickstart: All 5 objectives were met by …`; of a simulated run
/// `PREDICTION: PREDICTED PASS quickstart: …`.
pub fn summary_line(report: &Report) -> String {
    let stamp = match report.mode {
        Mode::Live => "",
        Mode::Simulated => "PREDICTION: ",
    };
    format!(
        "{stamp}{} {}: {}",
        report.word,
        printable(&report.scenario.name),
        printable(&report.reason)
    )
}

fn lines(report: &Report, dir: &Path, color: Color, out: &mut String) -> std::fmt::Result {
    if let Some(prediction) = &report.prediction {
        let stamp = paint("PREDICTION", CYAN, color);
        writeln!(out, "{stamp}: {}", printable(&prediction.notice))?;
    }
    let code = run_color(report.verdict, report.mode);
    let verdict = paint(&report.word.to_string(), code, color);
    writeln!(out, "\n{verdict}  {}", printable(&report.reason))?;
    if report.objectives.len() + report.reasons.len() > 0 {
        writeln!(out)?;
    }
    for objective in worst_first(&report.objectives) {
        let word = match report.mode {
            Mode::Live => format!("{:<12}", objective.word),
            Mode::Simulated => format!("{:<22}", objective.word),
        };
        writeln!(
            out,
            "  {} {}: {}",
            paint(&word, verdict_color(objective.verdict, report.mode), color),
            printable(&objective.name),
            printable(&objective.reason)
        )?;
    }
    if !report.recovery_verdicts.is_empty() {
        writeln!(out)?;
    }
    for recovery in &report.recovery_verdicts {
        writeln!(
            out,
            "  recovery from {}: {}",
            printable(&recovery.fault),
            printable(&recovery.reason)
        )?;
    }
    let sentences = summary::sentences(report);
    if !sentences.is_empty() {
        writeln!(out)?;
    }
    for (name, sentence) in sentences {
        writeln!(out, "  {}: {}", printable(&name), printable(&sentence))?;
    }
    if matches!(
        report.verdict,
        RunVerdict::Invalid | RunVerdict::Interrupted
    ) {
        writeln!(out)?;
        for rule in report.generator.rules.iter().filter(|r| !r.holds) {
            let measured = printable(&rule.measured);
            writeln!(
                out,
                "  {} {}: {measured} (must hold: {})",
                paint("✗", RED, color),
                rule.name,
                rule.limit
            )?;
        }
    }
    if !report.warnings.is_empty() {
        writeln!(out)?;
    }
    for warning in report.warnings.iter().take(WARNINGS_SHOWN) {
        writeln!(
            out,
            "  {} {}",
            paint("warning:", YELLOW, color),
            printable(warning)
        )?;
    }
    if let Some(hidden @ 1..) = report.warnings.len().checked_sub(WARNINGS_SHOWN) {
        writeln!(
            out,
            "  and {} more in the report",
            units::counted(hidden as u64, "warning")
        )?;
    }
    if let Some(books) = &report.counts.total {
        writeln!(
            out,
            "\n  {} planned, {} sent, {} acknowledged, {} timed out",
            units::count(books.planned),
            units::count(books.sent),
            units::count(books.acked),
            units::count(books.timed_out)
        )?;
    }
    if let Some(lost) = &report.delivery.lost_by_policy {
        writeln!(out, "  {}", printable(&lost.sentence()))?;
    }
    writeln!(out, "\n  report: {}", dir.join("report.html").display())
}

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

fn paint(word: &str, code: &str, color: Color) -> String {
    match color {
        Color::Off => word.to_owned(),
        Color::On => format!("\x1b[1;{code}m{word}\x1b[0m"),
    }
}

const fn run_color(verdict: RunVerdict, mode: Mode) -> &'static str {
    match verdict {
        RunVerdict::Pass => verdict_color(Verdict::Pass, mode),
        RunVerdict::Fail | RunVerdict::Invalid => RED,
        RunVerdict::Inconclusive | RunVerdict::NoData | RunVerdict::Interrupted => YELLOW,
    }
}

/// Green is for what was measured.
const fn verdict_color(verdict: Verdict, mode: Mode) -> &'static str {
    match verdict {
        Verdict::Pass if mode.is_simulated() => CYAN,
        Verdict::Pass => GREEN,
        Verdict::Fail => RED,
        Verdict::Inconclusive | Verdict::NoData => YELLOW,
    }
}

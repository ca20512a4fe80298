//! `report.html`: one file that works without scripts and without the network. Ordered by what a
//! reader decides first: verdict, objectives, trust in the run; then the pictures and the tables.
//!
//! All text goes through maud, which escapes it. The content security policy lets nothing run or
//! load but the one style sheet whose hash it names.

mod banner;
pub(super) mod campaigns;
pub(super) mod commands;
mod model;
mod provenance;
mod recovery;
mod tables;
mod timeline;
mod trust;

use super::units;
use super::value::{Mode, Report, RunVerdict, Verdict, Word};
use super::words::printable;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("html/style.css");

/// The page.
pub fn render(report: &Report) -> String {
    let stamp = match report.mode {
        Mode::Live => "",
        Mode::Simulated => "PREDICTION · ",
    };
    let title = format!(
        "{stamp}{} · {} · fleetstorm",
        spaced(report.word),
        printable(&report.scenario.name)
    );
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        STANDARD.encode(Sha256::digest(STYLE.as_bytes()))
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (banner::section(report))
                    (banner::objectives(report))
                    (model::section(report))
                    (trust::section(report))
                    (timeline::section(report))
                    (recovery::section(report))
                    (campaigns::section(report))
                    (commands::commands(report))
                    (commands::queries(report))
                    (tables::latencies(report))
                    (tables::delivery(report))
                    (tables::errors(report))
                    (tables::phases(report))
                    (tables::backend(report))
                    (provenance::section(report))
                }
            }
        }
    };
    page.into_string()
}

/// A verdict as a coloured word.
fn pill(class: &str, word: &str) -> Markup {
    html! { span class={ "pill " (class) } { (word) } }
}

/// Added to a verdict's class if it is a simulation's.
const fn stamp_class(word: Word) -> &'static str {
    if word.is_predicted() {
        " is-predicted"
    } else {
        ""
    }
}

/// CSS class of a run's verdict.
const fn run_class(verdict: RunVerdict) -> &'static str {
    match verdict {
        RunVerdict::Pass => "is-pass",
        RunVerdict::Fail => "is-fail",
        RunVerdict::Inconclusive | RunVerdict::NoData => "is-open",
        RunVerdict::Invalid => "is-void",
        RunVerdict::Interrupted => "is-stop",
    }
}

/// CSS class of an objective's verdict.
const fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "is-pass",
        Verdict::Fail => "is-fail",
        Verdict::Inconclusive | Verdict::NoData => "is-open",
    }
}

/// A word with spaces: `NO DATA`.
fn spaced(word: Word) -> String {
    word.to_string().replace('_', " ")
}

/// A table cell with a count.
fn number(n: u64) -> Markup {
    html! { td.num { (units::count(n)) } }
}

//! "Recovery": what became of the fleet after each fault, in a sentence with its figures, as pictures,
//! and device by device.

use super::{pill, tables, timeline};
use crate::report::plots;
use crate::report::units;
use crate::report::value::{RecoveryVerdict, Report};
use crate::report::words::printable;
use maud::{Markup, html};

pub(super) fn section(report: &Report) -> Markup {
    if report.recovery_verdicts.is_empty() {
        return tables::recoveries(report);
    }
    html! {
        section.long {
            h2 { "Recovery" }
            @for verdict in &report.recovery_verdicts { (sentences(verdict)) }
            @for plot in &plots::recovery(report) { (timeline::figure(plot)) }
        }
        (tables::recoveries(report))
    }
}

fn sentences(verdict: &RecoveryVerdict) -> Markup {
    let class = match verdict.verdict {
        "recovered" => "is-pass",
        "undecided" => "is-open",
        _ => "is-fail",
    };
    html! {
        p.lead {
            (pill(class, &verdict.verdict.to_uppercase())) " "
            strong { (printable(&verdict.fault)) }
            ", cleared at " (units::clock_tenths_s(verdict.clear_s)) ": " (printable(&verdict.reason)) "."
        }
        @for sentence in &verdict.basis { p.small.muted { (printable(sentence)) } }
    }
}

//! The timeline: stacked plots over one time axis, and the faults in words.

use crate::report::plots::{self, Plot};
use crate::report::units;
use crate::report::value::Report;
use crate::report::words::printable;
use maud::{Markup, PreEscaped, html};

pub(super) fn section(report: &Report) -> Markup {
    let plots = plots::timeline(report);
    html! {
        section.long {
            h2 { "Timeline" }
            @if plots.is_empty() {
                p.lead { "No second of the run was recorded." }
            } @else {
                p.lead {
                    "One point per second, counted when an operation ends. A percentile of the few values of one second says little; verdicts rest on the tables below. Bands are phases"
                    @if !report.faults.is_empty() { ", red stretches are faults" }
                    "."
                }
                @for plot in &plots { (figure(plot)) }
            }
            @if !report.faults.is_empty() {
                h3 { "Faults" }
                div.scroll { table {
                    thead { tr { th { "Fault" } th { "Phase" } th.num { "From" } th.num { "Cleared" } } }
                    tbody { @for fault in &report.faults { tr {
                        td { (printable(&fault.label)) }
                        td { (printable(&fault.phase)) }
                        td.num { (units::clock_tenths_s(fault.start_s)) }
                        td.num { (units::clock_tenths_s(fault.clear_s)) }
                    } } }
                } }
            }
        }
    }
}

pub(super) fn figure(plot: &Plot) -> Markup {
    html! {
        figure {
            figcaption {
                strong { (plot.title) }
                @for (ink, name) in &plot.legend {
                    span.key { i class=(ink.class()) {} (name) }
                }
            }
            // The drawing backend escapes the names it is given.
            div.plot { (PreEscaped(&plot.svg)) }
        }
    }
}

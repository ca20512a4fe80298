//! "The model": what answered in place of a real target, for the reader of a simulated run.

use crate::report::units;
use crate::report::value::Report;
use crate::report::words::{capitalized, printable};
use maud::{Markup, html};

/// Name of the fact by which a simulation tells against which measured run its model was held.
const CALIBRATION: &str = "calibration";

/// Nothing for a live run.
pub(super) fn section(report: &Report) -> Markup {
    let Some(prediction) = &report.prediction else {
        return html! {};
    };
    let model = &prediction.model;
    let is_calibrated = model.iter().any(|(name, _)| name == CALIBRATION);
    html! {
        section {
            h2 { "The model" }
            p.lead {
                "What answered in place of a real target. All times are virtual: no wall-clock value is in this report, and the same scenario, seed and version give the same figures again."
            }
            dl.prov {
                @for (name, value) in model { dt { (printable(&capitalized(name))) } dd { (printable(value)) } }
                @if !is_calibrated { dt { "Calibration" } dd { "none: the model was not held against a measured run" } }
                @if !prediction.stands_in_for.is_empty() {
                    dt { "Stands in for" } dd { (printable(&prediction.stands_in_for.join(", "))) }
                }
                dt { "Seed" } dd { code { (printable(&report.scenario.seed)) } }
                dt { "Virtual length" } dd { (length(report)) }
                @if let Some(events) = prediction.events { dt { "Events handled" } dd { (units::count(events)) } }
            }
        }
    }
}

fn length(report: &Report) -> String {
    let load = units::time_s(report.run.duration_s.round());
    match report.run.drain_s {
        Some(drain_s) => format!("{load} of load, {} of drain", units::time_s(drain_s)),
        None => format!("{load} of load"),
    }
}

//! Where the figures come from, and how to get them again.

use crate::report::units;
use crate::report::value::Report;
use crate::report::words::printable;
use maud::{Markup, html};

pub(super) fn section(report: &Report) -> Markup {
    let from = &report.provenance;
    let is_live = !report.mode.is_simulated();
    let workers: u64 = from.workers.iter().map(|&n| u64::from(n)).sum();
    html! {
        section.long {
            h2 { "Provenance" }
            p.lead { "Everything needed to run this again and to render this page again." }
            dl.prov {
                dt { "Command" } dd { code { (printable(&from.command.join(" "))) } }
                dt { "Seed" } dd { code { (printable(&report.scenario.seed)) } }
                @if !from.overrides.is_empty() { dt { "Overrides" } dd { (printable(&from.overrides.join(", "))) } }
                dt { "Run id" } dd { code { (printable(&from.run_id)) } }
                dt { "Plan hash" } dd { code { (printable(&report.scenario.hash)) } }
                dt { "Scenario SHA-256" } dd { code { (from.scenario_sha256) } }
                dt { "Version" } dd {
                    "fleetstorm " (printable(&from.version))
                    @if from.version != from.reported_by { ", reported by " (from.reported_by) }
                    ", run directory format " (from.format)
                }
                @if is_live { dt { "Target addresses" } dd { (printable(&from.targets.join(", "))) } }
                dt { "Cohorts" } dd {
                    @for (index, (name, n)) in report.run.cohorts.iter().enumerate() {
                        @if index > 0 { ", " } (printable(name)) " " (units::count(*n))
                    }
                }
                @if is_live { dt { "Workers" } dd { (units::counted(from.workers.len() as u64, "process").replace("processs", "processes")) " for " (units::counted(workers, "device")) } }
                @for (name, value) in &from.host { dt { (printable(name)) } dd { (printable(value)) } }
            }
            details open {
                summary { "Scenario" }
                pre { (lines(&from.scenario_text)) }
            }
        }
        footer {
            "Schema " code { (report.schema) } " · exit code " (report.exit_code)
            " · figures per second in " code { "series.csv" } ", histograms in " code { "*.hlog" } ", events in " code { "events.jsonl" } " beside this file."
        }
    }
}

/// The text with its line breaks and tabs, but no other control character.
fn lines(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| printable(&line.replace('\t', "    ")));
    lines.collect::<Vec<_>>().join("\n")
}

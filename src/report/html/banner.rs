//! The first screen: verdict with its reason, the facts of the run, and the objectives.

use super::{class, pill, run_class, spaced, stamp_class};
use crate::report::units;
use crate::report::value::{Mode, Objective, Report, RunVerdict, Verdict, worst_first};
use crate::report::words::printable;
use maud::{Markup, html};

/// Reasons listed under the sentence; all are in the objectives and in the trust section.
const REASONS_SHOWN: usize = 4;

pub(super) fn section(report: &Report) -> Markup {
    let run = &report.run;
    let started = run.started.as_deref().unwrap_or("never started");
    let (what, when, length, target) = match report.mode {
        Mode::Live => ("SLA compliance report", started, "Duration", "Target"),
        Mode::Simulated => (
            "prediction from a simulated run",
            "virtual time",
            "Virtual duration",
            "Model",
        ),
    };
    html! {
        header.top {
            span { strong { "fleetstorm" } " · " (what) }
            span { (printable(when)) }
        }
        h1 { (printable(&report.scenario.name)) }
        p.about { (printable(&report.scenario.about)) }
        section class={
            "banner " (run_class(report.verdict)) (stamp_class(report.word))
            @if report.prediction.is_some() { " has-stamp" }
        } {
            @if let Some(prediction) = &report.prediction {
                div.stamp { strong { "PREDICTION" } p { (printable(&prediction.notice)) } }
            }
            div.word {
                span.mark aria-hidden="true" { (mark(report.verdict, report.mode)) }
                span { (spaced(report.word)) }
            }
            div.why {
                p { (printable(&report.reason)) }
                @let more = further_reasons(report);
                @if !more.is_empty() {
                    ul { @for reason in more { li { (printable(reason)) } } }
                }
            }
        }
        dl.facts {
            (fact("Devices", &units::count(run.devices)))
            (fact(length, &duration(report)))
            (fact("Publishes sent", &units::count(report.counts.total.map_or(report.counts.series.sent, |b| b.sent))))
            (fact("Peak connected", &units::count(run.peak_connected)))
            (fact("Peak connects", &format!("{}/s", units::count(run.peak_connects_per_s))))
            (fact("Peak publishes", &format!("{}/s", units::count(run.peak_sent_per_s))))
            div.wide { dt { (target) } dd { (printable(&run.target)) } }
        }
    }
}

pub(super) fn objectives(report: &Report) -> Markup {
    let proves_nothing = matches!(
        report.verdict,
        RunVerdict::Invalid | RunVerdict::Interrupted
    );
    html! {
        section {
            h2 { "Objectives" }
            p.lead {
                @if !proves_nothing && report.mode.is_simulated() {
                    "Worst first. Values and verdicts are what the model predicts. “Of limit” is how much of what the objective allows would be used."
                } @else if proves_nothing {
                    "Worst first. The run proves nothing as a whole, so these verdicts are for orientation only."
                } @else {
                    "Worst first. “Of limit” is how much of what the objective allows was used."
                }
            }
            @if report.objectives.is_empty() { p { "The scenario names no objective." } }
            @else { div.scroll { table {
                thead { tr {
                    th { "Verdict" } th { "Objective" }
                    th.num { "Target" } th.num { "Value" } th.num { "Of limit" } th.num { "Evidence" }
                } }
                tbody { @for objective in worst_first(&report.objectives) { (row(objective)) } }
            } } }
        }
    }
}

fn row(objective: &Objective) -> Markup {
    let tone = match objective.verdict {
        Verdict::Pass => "",
        Verdict::Fail => " t-fail",
        Verdict::Inconclusive | Verdict::NoData => " t-open",
    };
    html! {
        tr {
            td { (verdict(objective)) }
            td.name {
                strong { (printable(&objective.name)) }
                span.sub {
                    code { (objective.indicator) } " " (printable(&objective.measure()))
                }
                @if objective.verdict != Verdict::Pass {
                    span class={ "sub" (tone) } { (printable(&objective.reason)) }
                }
            }
            td.num { (printable(&objective.target_text)) }
            td class={ "num" (tone) } { strong { (printable(&objective.value_text)) } }
            td.num { (used(objective)) }
            td.num { (units::count(objective.events)) span.sub { (objective.events_unit) } }
        }
    }
}

fn verdict(objective: &Objective) -> Markup {
    let word = objective.word;
    let class = format!("{}{}", class(objective.verdict), stamp_class(word));
    pill(&class, &spaced(word))
}

/// The share of the limit as a figure over a small bar.
fn used(objective: &Objective) -> Markup {
    let is_breached = objective.verdict == Verdict::Fail;
    let share = match objective.limit_used {
        Some(share) => share,
        // A word has no limit to exceed.
        None if is_breached && objective.target.is_some() => f64::INFINITY,
        None => return html! { span.muted { "–" } },
    };
    let text = if share.is_infinite() {
        "exceeded".to_owned()
    } else if share >= 100.0 {
        "> 10,000 %".to_owned()
    } else if share > 0.0 && share < 0.01 {
        "< 1 %".to_owned()
    } else {
        format!("{} %", units::count((share * 100.0).round() as u64))
    };
    let width = (share.min(1.0) * 100.0).round() as u32;
    // The style sheet maps these colours to those of the dark page.
    let color = match objective.verdict {
        Verdict::Pass if objective.word.is_predicted() => "#2F55A4",
        Verdict::Pass => "#14784A",
        Verdict::Fail => "#C22A2A",
        Verdict::Inconclusive | Verdict::NoData => "#8F5B00",
    };
    html! {
        (text)
        svg.bar viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label={ (text) " of the limit used" } {
            rect width="100" height="8" fill="#E2E6EB" {}
            rect width=(width) height="8" fill=(color) {}
        }
    }
}

fn fact(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn duration(report: &Report) -> String {
    let ran = units::time_s(report.run.duration_s.round());
    if report.run.partial {
        format!("{ran} of {}", units::time_s(report.run.planned_s.round()))
    } else {
        ran
    }
}

/// What the sentence leaves out.
fn further_reasons(report: &Report) -> &[String] {
    let all = &report.reasons;
    // The sentence already tells the first reason.
    all.get(1..all.len().min(REASONS_SHOWN + 1))
        .unwrap_or_default()
}

/// The tick is for what was measured.
const fn mark(verdict: RunVerdict, mode: Mode) -> &'static str {
    match verdict {
        RunVerdict::Pass if mode.is_simulated() => "◇",
        RunVerdict::Pass => "✓",
        RunVerdict::Fail => "✕",
        RunVerdict::Inconclusive | RunVerdict::NoData => "?",
        RunVerdict::Invalid => "⊘",
        RunVerdict::Interrupted => "■",
    }
}

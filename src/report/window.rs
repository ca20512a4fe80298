//! Where in the run an objective looks: its phases, its faults, and whether the run got there.

use super::data::RunData;
use crate::scenario::plan::Plan;
use crate::scenario::slo::{Among, Objective, Subject, Window};
use crate::stats::histogram::Histogram;
use crate::stats::series::Metric;
use std::time::Duration;

/// Phases whose histograms and books lie in the window. `After` means the whole phases between
/// the clearing and the next fault: a phase that began before the clearing mixes in the fault.
pub(super) fn phases(plan: &Plan, window: &Window) -> Vec<usize> {
    match window {
        Window::Run => (0..plan.phases.len()).collect(),
        Window::During(phases) => phases.clone(),
        Window::After(phase) => {
            let Some((from, to)) = after(plan, *phase) else {
                return Vec::new();
            };
            indices(plan, |start, end| start >= from && end <= to)
        }
    }
}

/// Phases in which the generator must be beyond doubt: all that the window touches.
pub(super) fn judged_phases(plan: &Plan, window: &Window) -> Vec<usize> {
    match window {
        Window::Run | Window::During(_) => phases(plan, window),
        Window::After(phase) => {
            let Some((from, to)) = after(plan, *phase) else {
                return Vec::new();
            };
            indices(plan, |start, end| start < to && end > from)
        }
    }
}

/// Faults whose recovery the window means: the last-clearing one of each phase, since a recovery
/// counts from the last clearing.
pub(super) fn faults(plan: &Plan, window: &Window) -> Vec<usize> {
    let phases = match window {
        Window::Run => (0..plan.phases.len()).collect(),
        Window::During(phases) => phases.clone(),
        Window::After(phase) => vec![*phase],
    };
    let faults = phases.iter().filter_map(|&phase| plan.last_clearing(phase));
    faults.collect()
}

/// Devices that faults cut off, and how they came back.
pub(super) struct Recovered {
    /// Devices not connected at the clearing, by the run or with power.
    pub(super) affected: u64,
    /// Of those, connected again.
    pub(super) back: u64,
    /// From the clearing to CONNACK, of those that came back.
    pub(super) times: Histogram,
}

/// Recovery from `faults`, which are the last-clearing ones of their phases: only of these are
/// devices followed, so the times of a phase are theirs. `None` if the run left no outcome.
pub(super) fn recovered(run: &RunData, faults: &[usize]) -> Option<Recovered> {
    let totals = &run.outcome.as_ref()?.totals;
    let phases: Vec<usize> = (faults.iter())
        .filter_map(|&fault| run.plan.faults.get(fault))
        .map(|fault| fault.phase)
        .collect();
    let counted = || faults.iter().filter_map(|&f| totals.recoveries.get(f));
    Some(Recovered {
        affected: counted().map(|r| r.affected).sum(),
        back: counted().map(|r| r.recovered).sum(),
        times: run.merged(&[Metric::ReconnectTime], &phases),
    })
}

/// Whether the run lasted to the end of the window.
pub(super) fn reached(run: &RunData, window: &Window) -> bool {
    if !run.lost.is_empty() {
        // A worker's share of every window is missing, also of those that had ended.
        return false;
    }
    if run.is_complete() {
        return true;
    }
    let end = match window {
        Window::Run => run.plan.length(),
        Window::During(phases) => {
            let ends = phases.iter().filter_map(|&p| run.plan.phases.get(p));
            ends.map(|p| p.start + p.length).max().unwrap_or_default()
        }
        Window::After(phase) => {
            after(&run.plan, *phase).map_or_else(|| run.plan.length(), |(_, to)| to)
        }
    };
    run.ended_s() >= end.as_secs_f64()
}

/// The stretches of the run the window covers, from T0, neighbours joined.
pub(super) fn spans_s(plan: &Plan, window: &Window) -> Vec<(f64, f64)> {
    let mut spans: Vec<(f64, f64)> = Vec::new();
    for index in phases(plan, window) {
        let Some(phase) = plan.phases.get(index) else {
            continue;
        };
        let (start, end) = (phase.start, phase.start + phase.length);
        match spans.last_mut() {
            Some(last) if last.1 == start.as_secs_f64() => last.1 = end.as_secs_f64(),
            Some(_) | None => spans.push((start.as_secs_f64(), end.as_secs_f64())),
        }
    }
    spans
}

/// For people: `in steady`, `after restart`, `whole run`.
pub(super) fn text(plan: &Plan, window: &Window) -> String {
    let name = |phase: &usize| plan.phases.get(*phase).map_or("?", |p| p.name.as_str());
    match window {
        Window::Run => "whole run".to_owned(),
        Window::During(phases) => {
            let names: Vec<&str> = phases.iter().map(name).collect();
            format!("in {}", names.join(", "))
        }
        Window::After(phase) => format!("after {}", name(phase)),
    }
}

/// Where, and of whom: `in steady`, `of fw-2, priority critical`, `of fw-2 after cut`.
pub(super) fn of(plan: &Plan, objective: &Objective) -> String {
    let name = match objective.subject {
        Subject::Fleet => return text(plan, &objective.window),
        Subject::Campaign {
            campaign, among, ..
        } => {
            let campaign = plan.campaigns.get(campaign);
            let name = campaign.map_or("?", |c| c.name.as_str());
            let priority = |index: usize| campaign.and_then(|c| c.priorities.get(index));
            match among {
                Among::All => name.to_owned(),
                Among::Priority(index) => {
                    let priority = priority(index).map_or("?", |p| p.name.as_str());
                    format!("{name}, priority {priority}")
                }
                Among::Cohort(index) => {
                    let cohort = plan.cohorts.get(index).map_or("?", |c| c.name.as_str());
                    format!("{name}, cohort {cohort}")
                }
            }
        }
        Subject::Command(index) => {
            let command = plan.commands.get(index);
            command.map_or("?", |c| c.name.as_str()).to_owned()
        }
        Subject::Query(index) => {
            let query = plan.queries.get(index);
            query.map_or("?", |q| q.name.as_str()).to_owned()
        }
    };
    match &objective.window {
        Window::Run => format!("of {name}"),
        window @ (Window::During(_) | Window::After(_)) => {
            format!("of {name} {}", text(plan, window))
        }
    }
}

/// From the last clearing in `phase` to the next fault or the end, from T0.
fn after(plan: &Plan, phase: usize) -> Option<(Duration, Duration)> {
    let fault = plan.last_clearing(phase)?;
    Some((plan.faults[fault].clear, plan.recovery_end(fault)))
}

fn indices(plan: &Plan, wanted: impl Fn(Duration, Duration) -> bool) -> Vec<usize> {
    let phases = plan.phases.iter().enumerate();
    phases
        .filter(|(_, p)| wanted(p.start, p.start + p.length))
        .map(|(index, _)| index)
        .collect()
}

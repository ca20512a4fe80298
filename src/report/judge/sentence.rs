//! The run's verdict in one sentence: what was measured, or what the model predicts.

use crate::report::data::RunData;
use crate::report::units;
use crate::report::value::{Mode, Objective, RunVerdict, Verdict, worst_first};

/// The sentence; `reasons` are all reasons why the verdict is not PASS, most important first.
pub(super) fn sentence(
    run: &RunData,
    verdict: RunVerdict,
    objectives: &[Objective],
    reasons: &[String],
) -> String {
    let all = units::counted(objectives.len() as u64, "objective");
    let count = |verdict| objectives.iter().filter(|o| o.verdict == verdict).count();
    let worst = worst_first(objectives)
        .first()
        .map_or_else(String::new, |o| {
            format!("“{}” ({}): {}", o.name, o.window, o.reason)
        });
    let mode = run.header.mode;
    match verdict {
        RunVerdict::Interrupted => format!(
            "The run was {}; what follows covers only the part that ran.",
            reasons.first().map_or("stopped", String::as_str)
        ),
        RunVerdict::Invalid => format!(
            "The run proves nothing. {}.",
            reasons
                .first()
                .map_or("The evidence is incomplete", String::as_str)
        ),
        RunVerdict::Fail => {
            let failed = count(Verdict::Fail);
            match mode {
                Mode::Live => format!("{failed} of {all} failed; the worst is {worst}."),
                Mode::Simulated => format!(
                    "The model predicts that {failed} of {all} would fail; the worst is {worst}."
                ),
            }
        }
        RunVerdict::Inconclusive | RunVerdict::NoData if objectives.is_empty() => {
            "Nothing was judged: the scenario has no objective.".to_owned()
        }
        RunVerdict::Inconclusive | RunVerdict::NoData => {
            let open = count(Verdict::Inconclusive) + count(Verdict::NoData);
            match mode {
                Mode::Live => format!(
                    "{open} of {all} could not be decided, none failed; the first is {worst}."
                ),
                Mode::Simulated => format!(
                    "The model leaves {open} of {all} undecided and predicts that none would fail; \
                     the first is {worst}."
                ),
            }
        }
        RunVerdict::Pass => pass(run, objectives),
    }
}

fn pass(run: &RunData, objectives: &[Objective]) -> String {
    let closest = objectives
        .iter()
        .filter_map(|o| o.limit_used.map(|used| (used, o)))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let closest = closest.map_or_else(String::new, |(used, o)| {
        format!(
            " Closest to its limit: “{}”, {} of it used.",
            o.name,
            units::ratio_digits(used, 0)
        )
    });
    let devices = units::counted(u64::from(run.plan.devices()), "device");
    let length = units::time_s(run.ended_s().round());
    match (run.header.mode, objectives.len()) {
        (Mode::Live, 1) => format!("The objective was met by {devices} in {length}.{closest}"),
        (Mode::Live, n) => {
            format!("All {n} objectives were met by {devices} in {length}.{closest}")
        }
        (Mode::Simulated, n) => {
            let objectives = match n {
                1 => "the objective".to_owned(),
                n => format!("all {n} objectives"),
            };
            format!(
                "The model predicts that {devices} would meet {objectives} in {length} of virtual \
                 time.{closest}"
            )
        }
    }
}

//! A search's finding as `search.json` and `search.md`; the latter is printed too.

use super::storm::{Finding, Hysteresis, Readmission, SearchError};
use crate::report::units;
use std::fmt::Write as _;
use std::path::Path;

/// Writes both files.
pub(super) fn write(finding: &Finding, dir: &Path) -> Result<(), SearchError> {
    let json = serde_json::to_string_pretty(finding).expect("plain values are JSON");
    for (name, text) in [("search.json", json + "\n"), ("search.md", text(finding))] {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|error| SearchError::Write { path, error })?;
    }
    Ok(())
}

/// The finding for people.
pub fn text(finding: &Finding) -> String {
    let mut text = format!("# Storm search: {}\n\n", finding.scenario);
    let stamp = if finding.mode.is_simulated() {
        "PREDICTION in virtual time: the model is the reference backend.\n\n"
    } else {
        ""
    };
    text.push_str(stamp);
    push(&mut text, &edge(finding));
    if let Some(wanted) = finding.at_least {
        let word = if finding.is_enough() {
            "met"
        } else {
            "NOT met"
        };
        push(
            &mut text,
            &format!("At least {} were asked for: {word}.", devices(wanted)),
        );
    }
    if let Some(hysteresis) = &finding.hysteresis {
        push(&mut text, &of_hysteresis(hysteresis));
    }
    if let Some(readmission) = &finding.readmission {
        push(&mut text, &of_readmission(readmission));
    }
    text.push_str("\n| devices | verdict | connected again (T50 / T99) | attempts per device | wasted | run |\n|---:|---|---|---:|---:|---|\n");
    let none = || "n/a".to_owned();
    let mut trials: Vec<_> = finding.trials.iter().collect();
    trials.sort_by_key(|trial| trial.devices);
    for trial in trials {
        let time = |s: Option<f64>| s.map_or_else(|| "never".to_owned(), units::time_s);
        writeln!(
            text,
            "| {} | {} | {} / {} | {} | {} | {} |",
            units::count(u64::from(trial.devices)),
            trial.verdict,
            time(trial.t50_s),
            time(trial.t99_s),
            trial
                .amplification
                .map_or_else(none, |factor| format!("{factor:.1}")),
            trial.wasted.map_or_else(none, units::ratio),
            trial.dir,
        )
        .expect("a String takes all writes");
    }
    text
}

fn push(text: &mut String, sentence: &str) {
    text.push_str("- ");
    text.push_str(sentence);
    text.push('\n');
}

fn edge(finding: &Finding) -> String {
    let target = units::counted(u64::from(finding.nodes), "node");
    let held = format!(
        "with {target} and capacity as planned for {}",
        devices(finding.planned_devices)
    );
    match (finding.recovers, finding.does_not_recover) {
        (Some(low), Some(high)) => format!(
            "The largest fleet seen to recover from `{}` has {}; {} do not recover ({held}).",
            finding.phase,
            devices(low),
            units::count(u64::from(high)),
        ),
        (Some(low), None) => format!(
            "Every fleet tried recovers from `{}`, up to {} ({held}).",
            finding.phase,
            devices(low)
        ),
        (None, Some(high)) => format!(
            "No fleet tried recovers from `{}`, down to {} ({held}).",
            finding.phase,
            devices(high)
        ),
        (None, None) => "Nothing was tried.".to_owned(),
    }
}

fn of_hysteresis(found: &Hysteresis) -> String {
    match (found.recovers, found.ratio) {
        (Some(part), Some(ratio)) => format!(
            "Hysteresis {ratio:.2}: of {} that are stuck, {} must be parked before the other {} recover within {}.",
            devices(found.devices),
            units::count(u64::from(found.devices - part)),
            units::count(u64::from(part)),
            units::time_s(f64::from(found.waited_s)),
        ),
        _ => format!(
            "Of {} that are stuck, no part that was tried recovers while the others are parked.",
            devices(found.devices)
        ),
    }
}

fn of_readmission(found: &Readmission) -> String {
    let all = devices(found.devices);
    match (found.safe_per_s, found.unsafe_per_s) {
        (Some(safe), Some(above)) => {
            format!("Largest safe re-admission rate: {safe}/s for {all}; {above}/s is too fast.")
        }
        (Some(safe), None) => {
            format!("Re-admission of {all} is safe at every rate tried, up to {safe}/s.")
        }
        (None, _) => format!("No re-admission rate that was tried brings {all} back."),
    }
}

fn devices(count: u32) -> String {
    units::counted(u64::from(count), "device")
}

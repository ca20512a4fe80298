//! Indicators of fleet commands and queries, and of how long an incident took to be resolved by one.

use super::{Measured, Value, sample_floor};
use crate::report::commands;
use crate::report::data::RunData;
use crate::report::findings::{self, value_of_share};
use crate::report::units;
use crate::scenario::slo::{self, Statistic, Subject, Window};
use crate::stats::results::{CommandOutcome, CommandRow, Outcome, QueryRow};
use crate::time::Instant;

fn rows<'r>(
    run: &'r RunData,
    objective: &slo::Objective,
) -> Result<(usize, &'r [CommandRow]), Measured> {
    let Subject::Command(index) = objective.subject else {
        return Err(Measured::Nothing("it is of no command".to_owned()));
    };
    let found = run.findings.commands.get(index);
    match found.map(|found| found.rows.as_slice()) {
        Some(rows @ [_, ..]) => Ok((index, rows)),
        Some([]) | None => {
            let nothing = "the command had no target, or left no row of any";
            Err(Measured::Nothing(nothing.to_owned()))
        }
    }
}

/// A percentile over `all` events, of which `values` has those that ended.
fn percentile(values: &[f64], all: u64, p: f64, noun: &str, remark: String) -> Measured {
    if all == 0 {
        return Measured::Nothing(format!("there was no {noun}"));
    }
    let floor = sample_floor(p);
    let doubt = (all < floor).then(|| {
        let have = units::counted(all, noun);
        format!(
            "{have} are too few for p{p}, which needs {}",
            units::count(floor)
        )
    });
    Measured::Value(Value {
        doubt,
        remark,
        ..Value::new(value_of_share(values, all, p / 100.0), all)
    })
}

/// Over targets that were connected when the command began.
pub(super) fn round_trip(run: &RunData, objective: &slo::Objective) -> Measured {
    let (_, rows) = match rows(run, objective) {
        Ok(found) => found,
        Err(nothing) => return nothing,
    };
    let Statistic::Percentile(p) = objective.statistic else {
        return Measured::Nothing("a round trip is judged by a percentile".to_owned());
    };
    let (trips, targets) = commands::round_trips_s(rows, false);
    let remark = answered_of(trips.len(), targets, rows);
    percentile(&trips, targets, p, "connected target", remark)
}

/// ` (98 of 100 connected targets answered; 5 that were not are left out)`.
fn answered_of(answered: usize, targets: u64, rows: &[CommandRow]) -> String {
    let offline = rows.len() as u64 - targets;
    let apart = match offline {
        0 => String::new(),
        n => format!("; {} that were not are left out", units::count(n)),
    };
    format!(
        " ({} of {} answered{apart})",
        units::count(answered as u64),
        units::counted(targets, "connected target")
    )
}

pub(super) fn fanout(run: &RunData, objective: &slo::Objective) -> Measured {
    let (index, rows) = match rows(run, objective) {
        Ok(found) => found,
        Err(nothing) => return nothing,
    };
    let (Statistic::Share(share), Some(began)) = (objective.statistic, commands::began(run, index))
    else {
        return Measured::Nothing("a fan-out is judged by a share".to_owned());
    };
    let (times, targets) = commands::fanout_s(rows, began, false);
    if targets == 0 {
        return Measured::Nothing("no target was connected when the command began".to_owned());
    }
    Measured::Value(Value {
        remark: answered_of(times.len(), targets, rows),
        ..Value::new(value_of_share(&times, targets, share), targets)
    })
}

pub(super) fn result_completeness(run: &RunData, objective: &slo::Objective) -> Measured {
    let (_, rows) = match rows(run, objective) {
        Ok(found) => found,
        Err(nothing) => return nothing,
    };
    let all = rows.len() as u64;
    let known = rows.iter().filter(|row| commands::has_result(row)).count() as u64;
    Measured::Value(Value {
        remark: format!(
            " (the result of {} of {} is not known)",
            units::count(all - known),
            units::counted(all, "target")
        ),
        ..Value::new(known as f64 / all as f64, all)
    })
}

/// Devices count over all commands of the run.
pub(super) fn duplicate_effect(run: &RunData, objective: &slo::Objective) -> Measured {
    let (_, rows) = match rows(run, objective) {
        Ok(found) => found,
        Err(nothing) => return nothing,
    };
    let Some(outcome) = &run.outcome else {
        return Measured::Nothing("the run left no outcome".to_owned());
    };
    let counts = outcome.totals.commands;
    let (again, executed, repeated) = (counts.executed_again, counts.executed, counts.repeated);
    if executed == 0 {
        return Measured::Nothing("no device carried out a command".to_owned());
    }
    let remark = format!(
        " (of all commands of the run: {} carried out once, {} that came again only answered; {})",
        units::count(executed),
        units::count(repeated),
        units::counted(rows.len() as u64, "target")
    );
    Measured::Value(Value {
        breach_is_final: true,
        remark,
        ..Value::new(again as f64, executed)
    })
}

fn query<'r>(
    run: &'r RunData,
    objective: &slo::Objective,
) -> Result<(u64, Vec<&'r QueryRow>, f64), Measured> {
    let (Subject::Query(index), Statistic::Percentile(p)) =
        (objective.subject, objective.statistic)
    else {
        let nothing = "a query is judged by a percentile";
        return Err(Measured::Nothing(nothing.to_owned()));
    };
    let rows = commands::rows_of(run, index);
    let plan = run.plan.queries.get(index);
    let planned = plan.map_or(0, |plan| commands::askings(run, plan));
    Ok((planned.max(rows.len() as u64), rows, p))
}

/// One that was never answered counts as never.
pub(super) fn query_latency(run: &RunData, objective: &slo::Objective) -> Measured {
    let (planned, rows, p) = match query(run, objective) {
        Ok(found) => found,
        Err(nothing) => return nothing,
    };
    let remark = format!(
        " ({} of {} answered)",
        units::count(rows.len() as u64),
        units::count(planned)
    );
    percentile(&commands::latencies_s(&rows), planned, p, "query", remark)
}

pub(super) fn query_staleness(run: &RunData, objective: &slo::Objective) -> Measured {
    let (planned, rows, p) = match query(run, objective) {
        Ok(found) => found,
        Err(nothing) => return nothing,
    };
    let oldest = rows.iter().map(|row| row.age_max_us).max().unwrap_or(0);
    let unknown = rows.iter().map(|row| row.unknown).max().unwrap_or(0);
    let remark = format!(
        " (the oldest report was {} old; of at most {} nothing was known)",
        units::time_us(oldest),
        units::counted(u64::from(unknown), "device")
    );
    let matched_none = rows.iter().filter(|row| row.matched == 0).count() as u64;
    let told = planned - matched_none;
    if told == 0 && planned > 0 {
        return Measured::Nothing("no device matched any answer".to_owned());
    }
    percentile(&commands::staleness_s(&rows), told, p, "answer", remark)
}

/// From the start of the phase's first fault until the last one has cleared and the last target is
/// done; never, if one is not.
pub(super) fn resolution_time(run: &RunData, objective: &slo::Objective) -> Measured {
    let (Window::After(phase), Some((start, _))) = (&objective.window, &run.started) else {
        return Measured::Nothing("the run never started".to_owned());
    };
    let faults = run.plan.faults.iter().filter(|fault| fault.phase == *phase);
    let Some(began) = faults.clone().map(|fault| fault.start).min() else {
        return Measured::Nothing("no fault is there".to_owned());
    };
    let cleared = faults.map(|fault| fault.clear).max().unwrap_or(began);
    let done: Vec<Option<Instant>> = match objective.subject {
        Subject::Campaign { campaign, .. } => findings::targets(run, campaign)
            .iter()
            .map(|row| (row.outcome == Outcome::Confirmed).then_some(row.finished))
            .collect(),
        Subject::Command(command) => {
            let rows = run.findings.commands.get(command);
            let rows = rows.map_or(&[][..], |found| &found.rows);
            let done = |row: &CommandRow| match row.outcome {
                CommandOutcome::Succeeded => row.answered,
                CommandOutcome::Failed
                | CommandOutcome::TimedOut
                | CommandOutcome::NeverReached => None,
            };
            rows.iter().map(done).collect()
        }
        Subject::Fleet | Subject::Query(_) => Vec::new(),
    };
    if done.is_empty() {
        return Measured::Nothing("there was no target".to_owned());
    }
    let targets = done.len() as u64;
    let left = done.iter().filter(|done| done.is_none()).count() as u64;
    let last = done.into_iter().flatten().max();
    let value = match last {
        Some(last) if left == 0 => {
            let end = last.since(*start).max(cleared);
            end.saturating_sub(began).as_secs_f64()
        }
        Some(_) | None => f64::INFINITY,
    };
    let fault = units::time_s(cleared.saturating_sub(began).as_secs_f64());
    Measured::Value(Value {
        remark: format!(
            " (the fault lasted {fault}; {} of {} were not done)",
            units::count(left),
            units::counted(targets, "target")
        ),
        ..Value::new(value, targets)
    })
}

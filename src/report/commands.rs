//! Fleet commands and queries from their rows: who answered when, and how old the answers' reports
//! were.

use super::campaign::share_times;
use super::data::RunData;
use super::findings::{CommandFindings, value_of_share};
use super::objective::sample_floor;
use super::value::{Answers, Command, OutcomeCount, Query, QueryAnswer, ShareTime};
use crate::scenario::campaign::FleetQuery;
use crate::stats::results::{CommandOutcome, CommandRow, QueryRow};
use crate::time::{Duration, Instant};

/// Percentiles that are told of answers.
const PERCENTILES: [f64; 4] = [50.0, 95.0, 99.0, 100.0];

/// What the report tells of every command of the plan.
pub(super) fn commands(run: &RunData) -> Vec<Command> {
    let plans = run.plan.commands.iter().zip(&run.findings.commands);
    plans
        .enumerate()
        .filter_map(|(index, (plan, found))| {
            let began = began(run, index)?;
            let rows = &found.rows;
            let answered = rows.iter().filter_map(|row| row.answered);
            let targets = rows.len() as u64;
            Some(Command {
                name: plan.name.clone(),
                start_s: run.seconds_of(began),
                targets,
                outcomes: outcomes(found),
                online: answers(rows, began, false),
                offline: answers(rows, began, true),
                requests: rows.iter().map(|row| u64::from(row.attempts)).sum(),
                repeated_answers: rows
                    .iter()
                    .map(|row| u64::from(row.answers.saturating_sub(1)))
                    .sum(),
                by_hand_s: plan.by_hand.as_secs_f64() * targets as f64,
                by_fleet_s: answered.max().map(|at| at.since(began).as_secs_f64()),
            })
        })
        .collect()
}

/// When command `index` began: when its targets were fixed, else as planned.
pub(super) fn began(run: &RunData, index: usize) -> Option<Instant> {
    let (start, _) = run.started.as_ref()?;
    let planned = start.after(run.plan.commands.get(index)?.start);
    let found = run.findings.commands.get(index)?;
    Some(found.started.map_or(planned, |(at, _)| at))
}

fn outcomes(found: &CommandFindings) -> Vec<OutcomeCount> {
    let all = found.rows.len() as u64;
    let count = |outcome: CommandOutcome| {
        let rows = found.rows.iter().filter(|row| row.outcome == outcome);
        let count = rows.count() as u64;
        OutcomeCount {
            outcome: outcome.word(),
            count,
            share: (all > 0).then(|| count as f64 / all as f64),
        }
    };
    CommandOutcome::ALL.map(count).to_vec()
}

/// Whether a result is known: the device said what became of it.
pub(super) const fn has_result(row: &CommandRow) -> bool {
    match row.outcome {
        CommandOutcome::Succeeded | CommandOutcome::Failed => true,
        CommandOutcome::TimedOut | CommandOutcome::NeverReached => false,
    }
}

/// Seconds from when the plan wanted the first request to the first answer, ascending, of targets that
/// were connected or not when the command began; and the number of these targets.
pub(super) fn round_trips_s(rows: &[CommandRow], offline: bool) -> (Vec<f64>, u64) {
    let of_them = || rows.iter().filter(|row| row.was_offline == offline);
    let trips = of_them().filter_map(|row| {
        let intended = row.intended.or(row.sent)?;
        Some(row.answered?.since(intended).as_secs_f64())
    });
    let mut trips: Vec<f64> = trips.collect();
    trips.sort_by(f64::total_cmp);
    (trips, of_them().count() as u64)
}

/// Seconds from `began` to the first answer, ascending; and the number of the targets.
pub(super) fn fanout_s(rows: &[CommandRow], began: Instant, offline: bool) -> (Vec<f64>, u64) {
    let of_them = || rows.iter().filter(|row| row.was_offline == offline);
    let times = of_them().filter_map(|row| Some(row.answered?.since(began).as_secs_f64()));
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    (times, of_them().count() as u64)
}

fn answers(rows: &[CommandRow], began: Instant, offline: bool) -> Answers {
    let (trips, targets) = round_trips_s(rows, offline);
    let (fanout, _) = fanout_s(rows, began, offline);
    Answers {
        targets,
        answered: fanout.len() as u64,
        rtt: percentiles(&trips, targets),
        fanout: share_times(&fanout, targets),
    }
}

/// Percentiles over `all` events of which the ascending `values` have one; those below their sample
/// floor are not told.
fn percentiles(values: &[f64], all: u64) -> Vec<ShareTime> {
    let at = |percent| {
        let s = value_of_share(values, all, percent / 100.0);
        let is_told = all >= sample_floor(percent);
        ShareTime {
            percent,
            s: (is_told && s.is_finite()).then_some(s),
            never: is_told && s.is_infinite(),
        }
    };
    PERCENTILES.map(at).to_vec()
}

/// What the report tells of every query of the plan.
pub(super) fn queries(run: &RunData) -> Vec<Query> {
    let plans = run.plan.queries.iter().enumerate();
    plans
        .map(|(index, plan)| {
            let rows = rows_of(run, index);
            let planned = askings(run, plan).max(rows.len() as u64);
            let answers = rows.iter().map(|row| QueryAnswer {
                at_s: run.seconds_of(row.answered),
                matched: u64::from(row.matched),
                unknown: u64::from(row.unknown),
                asked: u64::from(row.asked),
                silent: u64::from(row.silent),
            });
            let matching = rows.iter().filter(|row| row.matched > 0);
            let oldest = matching.map(|row| row.age_max_us).max();
            let ages = staleness_s(&rows);
            Query {
                name: plan.name.clone(),
                planned,
                answered: rows.len() as u64,
                latency: percentiles(&latencies_s(&rows), planned),
                staleness: percentiles(&ages, ages.len() as u64),
                oldest_s: oldest.map(|us| us as f64 / 1e6),
                answers: answers.collect(),
            }
        })
        .collect()
}

/// The answers of query `index`.
pub(super) fn rows_of(run: &RunData, index: usize) -> Vec<&QueryRow> {
    let rows = run.findings.queries.iter();
    rows.filter(|row| usize::from(row.query) == index).collect()
}

/// How often the plan asks `query` by the end of the run as it was.
pub(super) fn askings(run: &RunData, query: &FleetQuery) -> u64 {
    let lasted = Duration::from_secs_f64(run.ended_s());
    let end = query.end.min(lasted);
    match query.every {
        _ if query.start > lasted => 0,
        None => 1,
        Some(every) if every.is_zero() => 1,
        // The last instant before the end.
        Some(every) => {
            let span_ns = end.saturating_sub(query.start).as_nanos();
            let asked = span_ns.div_ceil(every.as_nanos()).max(1);
            u64::try_from(asked).unwrap_or(u64::MAX)
        }
    }
}

/// Seconds from when the plan wanted each to its answer, ascending.
pub(super) fn latencies_s(rows: &[&QueryRow]) -> Vec<f64> {
    let mut times: Vec<f64> = rows
        .iter()
        .map(|row| row.answered.since(row.intended).as_secs_f64())
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

/// 99th percentile of the ages behind each answer in seconds, ascending. An answer that no device
/// matches has no age: a zero would pass for the freshest of all.
pub(super) fn staleness_s(rows: &[&QueryRow]) -> Vec<f64> {
    let matching = rows.iter().filter(|row| row.matched > 0);
    let mut ages: Vec<f64> = matching.map(|row| row.age_p99_us as f64 / 1e6).collect();
    ages.sort_by(f64::total_cmp);
    ages
}

//! Availability as contracts count it: requests by interval, and bad minutes. A request is a
//! connection attempt or a publish, in the second it ended in; an error is a failed attempt, or a
//! publish that timed out or whose session went. Where nobody asks, nothing fails: both hide a fleet
//! that is away, so the share of device time with a session stands beside them.

use super::{Measured, Value, device_seconds};
use crate::report::data::RunData;
use crate::report::units;
use crate::report::window;
use crate::scenario::slo::Objective;
use crate::stats::series::{Counters, Row};
use std::time::Duration;

/// Requests of an interval.
#[derive(Copy, Clone, Default)]
struct Requests {
    /// Seconds of the window it covers.
    seconds: u64,
    ended: u64,
    failed: u64,
}

impl Requests {
    const fn add(&mut self, counters: &Counters) {
        let failed = counters.attempt_failures + counters.timed_out + counters.failed;
        self.ended += counters.connects + counters.acked + counters.written + failed;
        self.failed += failed;
    }

    /// Share of requests that failed; 0 of none.
    fn error_ratio(&self) -> f64 {
        self.failed as f64 / self.ended.max(1) as f64
    }
}

/// The window's seconds, cut from its first one on; the last interval may be shorter. What ended in
/// the drain counts in it.
fn by_interval(run: &RunData, objective: &Objective, interval_s: u64) -> Vec<Requests> {
    let phases = window::phases(&run.plan, &objective.window);
    let load_end = run.plan.length();
    let begins = |row: &Row| Duration::from_secs(u64::from(row.second));
    let phase_of = |row: &Row| {
        let mut started = run.plan.phases.iter();
        started.rposition(|phase| phase.start <= begins(row))
    };
    let rows = run.series.rows.iter();
    let mut intervals: Vec<Requests> = Vec::new();
    for row in rows.filter(|row| phase_of(row).is_some_and(|p| phases.contains(&p))) {
        if begins(row) < load_end {
            let is_full = intervals.last().is_none_or(|i| i.seconds == interval_s);
            if is_full {
                intervals.push(Requests::default());
            }
            if let Some(interval) = intervals.last_mut() {
                interval.seconds += 1;
            }
        }
        if let Some(interval) = intervals.last_mut() {
            interval.add(&row.counters);
        }
    }
    intervals
}

fn sum(intervals: &[Requests]) -> Requests {
    intervals
        .iter()
        .fold(Requests::default(), |all, i| Requests {
            seconds: all.seconds + i.seconds,
            ended: all.ended + i.ended,
            failed: all.failed + i.failed,
        })
}

/// `; devices had a session for 93.1 % of the time`
fn of_devices(run: &RunData, objective: &Objective) -> String {
    let (up, expected) = device_seconds(run, objective).unwrap_or((0.0, 0.0));
    if expected > 0.0 {
        let ratio = units::ratio(up / expected);
        format!("; devices had a session for {ratio} of the time, which this count does not see")
    } else {
        String::new()
    }
}

const NO_REQUEST: &str = "no request of the window ended";

pub(super) fn interval_average(
    run: &RunData,
    objective: &Objective,
    interval: Duration,
) -> Measured {
    let intervals = by_interval(run, objective, interval.as_secs().max(1));
    let all = sum(&intervals);
    if all.ended == 0 || all.seconds == 0 {
        return Measured::Nothing(NO_REQUEST.to_owned());
    }
    // A shorter last interval counts by its length; of equal ones this is the plain mean.
    let weighed: f64 = (intervals.iter())
        .map(|i| i.error_ratio() * i.seconds as f64)
        .sum();
    let how_many = units::counted(intervals.len() as u64, "interval");
    let shorter = match intervals.last() {
        Some(last) if Duration::from_secs(last.seconds) < interval => {
            let length = units::time_s(last.seconds as f64);
            match intervals.len() {
                1 => format!(", the window's own {length}"),
                _ => format!(", the last of {length} only"),
            }
        }
        Some(_) | None => String::new(),
    };
    Measured::Value(Value {
        remark: format!(
            " ({how_many}{shorter}; {} of {} failed{})",
            units::count(all.failed),
            units::counted(all.ended, "request"),
            of_devices(run, objective)
        ),
        ..Value::new(1.0 - weighed / all.seconds as f64, all.ended)
    })
}

/// A minute with requests is bad if at least the share `bad_when` of them failed.
pub(super) fn bad_minutes(run: &RunData, objective: &Objective, bad_when: f64) -> Measured {
    let minutes = by_interval(run, objective, 60);
    let all = sum(&minutes);
    if all.ended == 0 {
        return Measured::Nothing(NO_REQUEST.to_owned());
    }
    let is_bad = |m: &&Requests| m.ended > 0 && m.failed as f64 >= bad_when * m.ended as f64;
    let bad = minutes.iter().filter(is_bad).count();
    // Of one that is cut short, or lacks a lost worker's part, it is not known.
    let whole = minutes.iter().filter(is_bad).filter(|m| m.seconds == 60);
    let whole = whole.count() as f64;
    let idle = minutes.iter().filter(|m| m.ended == 0).count() as u64;
    Measured::Value(Value {
        remark: format!(
            " (of {}, {} without a request{})",
            units::counted(minutes.len() as u64, "minute"),
            units::count(idle),
            of_devices(run, objective)
        ),
        breach_is_final: run.lost.is_empty() && !super::meets(objective.bound, whole),
        ..Value::new(bad as f64, all.ended)
    })
}

//! How the fleet came back from a fault, besides its time: the rate of attempts, what it cost in
//! attempts, and the sessions that were found again.

use super::{Measured, Value};
use crate::report::data::RunData;
use crate::report::units;
use crate::report::window;
use crate::scenario::slo::{Objective, Window};
use crate::stats::recorder::{HerdCounts, ResumeCounts};
use std::time::Duration;

/// The second with the most attempts begun.
#[derive(Copy, Clone)]
pub(in crate::report) struct Peak {
    /// Attempts begun in it.
    pub(in crate::report) attempts: u64,
    /// The second, from T0.
    pub(in crate::report) second: u32,
    /// Attempts begun in all seconds that were looked at.
    all: u64,
}

/// Seconds of the run from the one that `fault` cleared in up to its recovery's end. The first may
/// hold attempts from before the clearing: a herd is never understated. `None` if none was recorded.
pub(in crate::report) fn peak(run: &RunData, fault: usize) -> Option<Peak> {
    // From the first clearing of the phase on: a later, smaller fault hides no herd.
    let phase = run.plan.faults.get(fault)?.phase;
    let of_phase = run.plan.faults.iter().filter(|f| f.phase == phase);
    let from = of_phase.map(|f| f.clear).min()?.as_secs();
    let end = run.plan.recovery_end(fault);
    let is_after = |second: u32| {
        let second = u64::from(second);
        second >= from && Duration::from_secs(second) < end
    };
    let rows = run.series.rows.iter();
    rows.filter(|row| is_after(row.second))
        .fold(None, |peak: Option<Peak>, row| {
            let attempts = row.counters.attempts;
            let before = peak.unwrap_or(Peak {
                attempts,
                second: row.second,
                all: 0,
            });
            let all = before.all + attempts;
            Some(if attempts > before.attempts {
                Peak {
                    attempts,
                    second: row.second,
                    all,
                }
            } else {
                Peak { all, ..before }
            })
        })
}

/// What the devices did in the episode of `fault`; `None` if the run left no outcome, or one that
/// does not say.
pub(in crate::report) fn herd(run: &RunData, fault: usize) -> Option<HerdCounts> {
    let totals = &run.outcome.as_ref()?.totals;
    totals.herds.get(fault).copied()
}

/// The fault that the window is after.
fn fault_of(run: &RunData, window: &Window) -> Option<usize> {
    window::faults(&run.plan, window).into_iter().next()
}

pub(super) fn peak_rate(run: &RunData, objective: &Objective) -> Measured {
    let peak = fault_of(run, &objective.window).and_then(|fault| peak(run, fault));
    let Some(peak) = peak else {
        return Measured::Nothing("no second after the clearing was recorded".to_owned());
    };
    let share = peak.attempts as f64 / f64::from(run.plan.devices().max(1));
    Measured::Value(Value {
        remark: format!(
            " (in the second from {}; {} of the fleet)",
            units::clock_s(f64::from(peak.second)),
            units::ratio(share)
        ),
        breach_is_final: true,
        ..Value::new(peak.attempts as f64, peak.all)
    })
}

pub(super) fn amplification(run: &RunData, objective: &Objective) -> Measured {
    let herd = fault_of(run, &objective.window).and_then(|fault| herd(run, fault));
    let Some(herd) = herd else {
        return Measured::Nothing("the run left no count of the attempts".to_owned());
    };
    let Some(factor) = herd.amplification() else {
        return Measured::Nothing("no device was without a connection".to_owned());
    };
    Measured::Value(Value {
        remark: format!(
            " ({} of {} without a connection)",
            units::counted(herd.attempts, "attempt"),
            units::counted(herd.devices, "device")
        ),
        ..Value::new(factor, herd.devices)
    })
}

pub(super) fn resume_ratio(run: &RunData, objective: &Objective) -> Measured {
    let Some(outcome) = &run.outcome else {
        return Measured::Nothing("the run left no outcome".to_owned());
    };
    let mut counts = ResumeCounts::default();
    match &objective.window {
        Window::After(_) => {
            let herd = fault_of(run, &objective.window).and_then(|fault| herd(run, fault));
            counts.add(&herd.unwrap_or_default().resumes);
        }
        Window::Run | Window::During(_) => {
            for phase in window::phases(&run.plan, &objective.window) {
                let of_phase = outcome.totals.resumes.get(phase).copied();
                counts.add(&of_phase.unwrap_or_default());
            }
        }
    }
    let Some(ratio) = counts.ratio() else {
        return Measured::Nothing("no device with a persistent session reconnected".to_owned());
    };
    Measured::Value(Value {
        remark: format!(
            " ({} of {} found their session)",
            units::count(counts.resumed),
            units::counted(counts.reconnects, "reconnect")
        ),
        ..Value::new(ratio, counts.reconnects)
    })
}

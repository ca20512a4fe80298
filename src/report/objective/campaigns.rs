//! Indicators of campaigns. Of one that the operator runs its rows count, as it is what people act on;
//! that they agree with the devices' own is a rule of evidence.

use super::{Measured, Value, in_unit_of, meets, sample_floor, time_to_share_s};
use crate::report::campaign;
use crate::report::data::RunData;
use crate::report::findings::{self, Halted, is_bad, is_ended, value_of_share};
use crate::report::units;
use crate::scenario::campaign::{Rollout, Server};
use crate::scenario::slo::{self, Among, Statistic, Subject};
use crate::stats::results::{Outcome, ResultRow};
use crate::time::Instant;
use crate::wire::Reason;
use std::collections::BTreeSet;

/// Percentile that is compared for the harm to telemetry.
const PERCENTILE: f64 = 99.0;

/// The campaign that an objective is of.
struct Of {
    index: usize,
    among: Among,
    reason: Option<Reason>,
    rows: Vec<ResultRow>,
}

fn of(run: &RunData, objective: &slo::Objective) -> Result<Of, Measured> {
    let Subject::Campaign {
        campaign: index,
        among,
        reason,
    } = objective.subject
    else {
        return Err(Measured::Nothing("it is of no campaign".to_owned()));
    };
    let rows = findings::targets(run, index);
    if rows.is_empty() {
        let nothing = "the campaign had no target, or left no row of any";
        return Err(Measured::Nothing(nothing.to_owned()));
    }
    let is_external = run.plan.campaigns[index].server == Server::External;
    if is_external
        && !run.findings.campaigns[index]
            .devices
            .iter()
            .any(|row| row.offered.is_some())
    {
        let nothing = "no device was offered the image by the target, which is to run the campaign";
        return Err(Measured::Nothing(nothing.to_owned()));
    }
    Ok(Of {
        index,
        among,
        reason,
        rows,
    })
}

/// From the campaign's start until a share of the targets was confirmed.
pub(super) fn completion(run: &RunData, objective: &slo::Objective) -> Measured {
    let of = match of(run, objective) {
        Ok(of) => of,
        Err(nothing) => return nothing,
    };
    let (Statistic::Share(share), Some(began)) =
        (objective.statistic, findings::began(run, of.index))
    else {
        return Measured::Nothing("a completion is judged by a share".to_owned());
    };
    let rows = of
        .rows
        .iter()
        .filter(|row| campaign::is_among(run, of.among, row));
    let targets = rows.clone().count() as u64;
    if targets == 0 {
        return Measured::Nothing("none of the targets is one of these".to_owned());
    }
    let times = campaign::confirmed_s(rows, began);
    Measured::Value(Value {
        remark: format!(
            " ({} of {} confirmed)",
            units::count(times.len() as u64),
            units::counted(targets, "target")
        ),
        ..Value::new(value_of_share(&times, targets, share), targets)
    })
}

pub(super) fn failure_ratio(run: &RunData, objective: &slo::Objective) -> Measured {
    let of = match of(run, objective) {
        Ok(of) => of,
        Err(nothing) => return nothing,
    };
    match of.reason {
        None => ratio(&of.rows, "ended badly", |row| is_bad(row.outcome)),
        Some(reason) => ratio(&of.rows, &format!("ended with {}", reason.word()), |row| {
            row.outcome != Outcome::Confirmed && row.reason == reason
        }),
    }
}

pub(super) fn rollback_ratio(run: &RunData, objective: &slo::Objective) -> Measured {
    let of = match of(run, objective) {
        Ok(of) => of,
        Err(nothing) => return nothing,
    };
    ratio(&of.rows, "rolled back", |row| {
        row.outcome == Outcome::RolledBack
    })
}

/// Over the updates that ended by themselves.
fn ratio(rows: &[ResultRow], what: &str, counts: impl Fn(&ResultRow) -> bool) -> Measured {
    let ended = || rows.iter().filter(|row| is_ended(row.outcome));
    let all = ended().count() as u64;
    if all == 0 {
        return Measured::Nothing("no update ended".to_owned());
    }
    let counted = ended().filter(|row| counts(row)).count() as u64;
    Measured::Value(Value {
        remark: format!(
            " ({} of {} ended updates {what})",
            units::count(counted),
            units::count(all)
        ),
        ..Value::new(counted as f64 / all as f64, all)
    })
}

/// Whether a halt was to be expected: the image has a defect that some target met.
fn is_bad_image(run: &RunData, of: &Of) -> bool {
    let has_defects = !run.plan.campaigns[of.index].image.defects.is_empty();
    has_defects && of.rows.iter().any(|row| is_bad(row.outcome))
}

fn halted(run: &RunData, of: &Of) -> Option<Halted> {
    run.findings.campaigns.get(of.index)?.halted()
}

pub(super) fn exposure(run: &RunData, objective: &slo::Objective) -> Measured {
    let of = match of(run, objective) {
        Ok(of) => of,
        Err(nothing) => return nothing,
    };
    let targets = of.rows.len() as u64;
    let started = of.rows.iter().filter(|row| row.started.is_some());
    let value = |exposed| in_unit_of(objective.bound, exposed, targets);
    let (exposed, remark, doubt) = match halted(run, &of) {
        Some(halt) => {
            let own = started_by(run, of.index, halt.at);
            let is_open =
                meets(objective.bound, value(halt.started)) && !meets(objective.bound, value(own));
            let doubt = is_open.then(|| {
                let own = units::counted(own, "device");
                format!("{own} had started by their own word, which the operator had not all heard")
            });
            let targets = units::counted(targets, "target");
            let remark = format!(" (of {targets}, when it was halted)");
            (halt.started, remark, doubt)
        }
        None if is_bad_image(run, &of) => {
            let remark = " (nothing halted an image with defects: all that started)";
            let exposed = started.count() as u64;
            let waiting = waiting(run, &of);
            let is_open = meets(objective.bound, value(exposed))
                && !meets(objective.bound, value(exposed + waiting));
            let doubt = is_open.then(|| {
                let waiting = units::counted(waiting, "target");
                format!("the end of the run kept {waiting} from their turn, and nothing else")
            });
            (exposed, remark.to_owned(), doubt)
        }
        None => return Measured::Nothing("no abort rule halted the campaign".to_owned()),
    };
    Measured::Value(Value {
        breach_is_final: true,
        doubt,
        remark,
        ..Value::new(value(exposed), targets)
    })
}

/// Devices that had started by `at`, by their own word.
fn started_by(run: &RunData, index: usize, at: Instant) -> u64 {
    let found = run.findings.campaigns.get(index);
    let rows = found.map_or(&[][..], |found| &found.devices);
    let started = rows
        .iter()
        .filter(|row| row.started.is_some_and(|started| started <= at));
    let devices: BTreeSet<u32> = started.map(|row| row.device).collect();
    devices.len() as u64
}

/// Targets that only the end of the run kept from their turn. What waits for a wave may never have one.
fn waiting(run: &RunData, of: &Of) -> u64 {
    match run.plan.campaigns[of.index].rollout {
        Rollout::Waves(_) => 0,
        Rollout::AtOnce
        | Rollout::Constant { .. }
        | Rollout::Exponential { .. }
        | Rollout::Packs { .. } => {
            let waits =
                |row: &&ResultRow| row.outcome == Outcome::NeverReached && row.attempts == 0;
            of.rows.iter().filter(waits).count() as u64
        }
    }
}

pub(super) fn halt_time(run: &RunData, objective: &slo::Objective) -> Measured {
    let of = match of(run, objective) {
        Ok(of) => of,
        Err(nothing) => return nothing,
    };
    let targets = of.rows.len() as u64;
    match (halted(run, &of), findings::began(run, of.index)) {
        (Some(halt), Some(began)) => Measured::Value(Value {
            remark: format!(
                " ({} of {} ended updates counted against it; {} after the threshold was crossed)",
                units::count(halt.failures),
                units::count(halt.executed),
                units::time_s(halt.at.since(halt.crossed).as_secs_f64())
            ),
            ..Value::new(halt.at.since(began).as_secs_f64(), targets)
        }),
        (None, Some(_)) if is_bad_image(run, &of) => Measured::Value(Value {
            remark: " (nothing halted an image with defects)".to_owned(),
            ..Value::new(f64::INFINITY, targets)
        }),
        (_, _) => Measured::Nothing("no abort rule halted the campaign".to_owned()),
    }
}

pub(super) fn wrong_target(run: &RunData, objective: &slo::Objective) -> Measured {
    let of = match of(run, objective) {
        Ok(of) => of,
        Err(nothing) => return nothing,
    };
    let wrong = campaign::wrong_targets(run, of.index);
    if wrong.is_empty() && of.rows.iter().all(|row| row.offered.is_none()) {
        return Measured::Nothing("no device was offered the image".to_owned());
    }
    let example = wrong.first().map_or_else(String::new, |device| {
        let name = crate::report::words::device(&run.plan, *device);
        format!(", the first is {name}")
    });
    let targets = of.rows.len() as u64;
    Measured::Value(Value {
        breach_is_final: true,
        remark: format!(" (beside {}{example})", units::counted(targets, "target")),
        ..Value::new(wrong.len() as f64, targets)
    })
}

pub(super) fn priority_inversions(run: &RunData, objective: &slo::Objective) -> Measured {
    let of = match of(run, objective) {
        Ok(of) => of,
        Err(nothing) => return nothing,
    };
    if run.plan.campaigns[of.index].priorities.is_empty() {
        return Measured::Nothing("the campaign has no priorities".to_owned());
    }
    let notified = of.rows.iter().filter(|row| row.offered.is_some());
    let notified = notified.count() as u64;
    if notified == 0 {
        return Measured::Nothing("no device was offered the image".to_owned());
    }
    let (certain, possible) = campaign::inversions(run, of.index);
    let is_open =
        meets(objective.bound, certain as f64) && !meets(objective.bound, possible as f64);
    Measured::Value(Value {
        breach_is_final: true,
        doubt: is_open.then(|| {
            let more = units::count(possible - certain);
            format!("{more} more if those that waited were connected, which is not known")
        }),
        remark: format!(" (of {} notified)", units::count(notified)),
        ..Value::new(certain as f64, notified)
    })
}

pub(super) fn bytes_per_device(run: &RunData, objective: &slo::Objective) -> Measured {
    let of = match of(run, objective) {
        Ok(of) => of,
        Err(nothing) => return nothing,
    };
    let factors = campaign::factors(run, of.index);
    let n = factors.len() as u64;
    if n == 0 {
        return Measured::Nothing("no device had the whole image".to_owned());
    }
    let image = u64::from(run.plan.campaigns[of.index].image.bytes);
    let remark = format!(
        " (of {}, n = {})",
        units::bytes(image),
        units::counted(n, "device")
    );
    match objective.statistic {
        Statistic::Percentile(p) => {
            let floor = sample_floor(p);
            let doubt = (n < floor).then(|| {
                let have = units::counted(n, "device");
                format!(
                    "{have} are too few for p{p}, which needs {}",
                    units::count(floor)
                )
            });
            Measured::Value(Value {
                doubt,
                remark,
                ..Value::new(value_of_share(&factors, n, p / 100.0), n)
            })
        }
        Statistic::Mean => Measured::Value(Value {
            remark,
            ..Value::new(factors.iter().sum::<f64>() / n as f64, n)
        }),
        Statistic::Share(_)
        | Statistic::Value
        | Statistic::Intervals(_)
        | Statistic::BadMinutes(_) => {
            Measured::Nothing("it is judged by a percentile or the mean".to_owned())
        }
    }
}

pub(super) fn collateral(run: &RunData, objective: &slo::Objective) -> Measured {
    let of = match of(run, objective) {
        Ok(of) => of,
        Err(nothing) => return nothing,
    };
    let found = run.findings.campaigns.get(of.index);
    let Some([before, during]) = found.and_then(|found| found.telemetry.as_ref()) else {
        return Measured::Nothing("no second before the campaign can be compared".to_owned());
    };
    let (n_before, n) = (before.count(), during.count());
    if n_before == 0 || n == 0 {
        let when = if n == 0 { "during" } else { "before" };
        return Measured::Nothing(format!(
            "no publish of QoS 1 or 2 was live {when} the campaign"
        ));
    }
    let p99_s = |values, n| time_to_share_s(values, n, PERCENTILE / 100.0);
    let (before_s, during_s) = (p99_s(before, n_before), p99_s(during, n));
    let floor = sample_floor(PERCENTILE);
    let thin = [(n_before, "before"), (n, "during")];
    let thin = thin.into_iter().find(|(n, _)| *n < floor);
    Measured::Value(Value {
        doubt: thin.map(|(n, when)| {
            let n = units::count(n);
            format!("n = {n} {when} it is too few for p{PERCENTILE}, which needs {floor}")
        }),
        remark: format!(
            " (p99 of live publishes: {} during the campaign, n = {}; {} before it, n = {})",
            units::time_s(during_s),
            units::count(n),
            units::time_s(before_s),
            units::count(n_before)
        ),
        ..Value::new(during_s / before_s, n)
    })
}

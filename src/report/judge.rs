//! The run's verdict: INVALID > FAIL > INCONCLUSIVE / NO_DATA > PASS, and INTERRUPTED for a run
//! that was stopped. Holds the rules by which the generator and the evidence disqualify a run.

use super::data::RunData;
use super::units;
use super::value::{Generator, Objective, Rule, RunVerdict, Verdict, Watch, Worker, worst_first};
use super::window;
use super::words;
use crate::scenario::slo::{Bound, Indicator, Limit};
use crate::stats::evidence::Mode;
use crate::stats::recorder::ErrorKind;
use crate::stats::series::{GeneratorRow, Metric};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

mod findings;
mod sentence;
mod totals;

/// Driver lag p99 of a worker in a second that is always allowed: 1 ms.
pub const LAG_FLOOR_US: u64 = 1_000;
/// Share of the tightest latency limit that the driver may be late, if that is more.
pub const LAG_SHARE_OF_TIGHTEST_LIMIT: f64 = 0.05;
/// Share of the judged seconds in which some worker may be over the lag limit.
pub const LAG_SECONDS_SHARE: f64 = 0.01;
/// A worker without a row for longer than this is lost.
pub const SILENCE_S: u32 = 3;
/// CPU of a worker above this (percent of one core) is a warning, no verdict.
pub const CPU_WARNING_PERCENT: f32 = 80.0;

/// Name of the rule about [`RunData::lost`].
const LOST: &str = "Lost processes";

/// Reasons listed before "and N more".
const REASONS_SHOWN: usize = 20;

/// The run's verdict with its reasons.
pub(super) struct Judgement {
    pub(super) verdict: RunVerdict,
    /// One sentence.
    pub(super) reason: String,
    pub(super) reasons: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// First that applies: INTERRUPTED, INVALID, FAIL, INCONCLUSIVE, NO_DATA, PASS.
pub(super) fn judge(run: &RunData, objectives: &[Objective], generator: &Generator) -> Judgement {
    let invalid = invalid_reasons(run, generator);
    let worst = objectives.iter().map(|o| o.verdict.severity()).max();
    let verdict = if run.interrupted.is_some() {
        RunVerdict::Interrupted
    } else if !invalid.is_empty() {
        RunVerdict::Invalid
    } else if worst == Some(Verdict::Fail.severity()) {
        RunVerdict::Fail
    } else if worst == Some(Verdict::Inconclusive.severity()) {
        RunVerdict::Inconclusive
    } else if worst == Some(Verdict::Pass.severity()) {
        RunVerdict::Pass
    } else {
        // No objective at all is no evidence either.
        RunVerdict::NoData
    };
    let mut reasons = Vec::new();
    if let Some((at, signal)) = run.interrupted {
        reasons.push(format!(
            "stopped by {} at {} of {}",
            signal_name(signal),
            units::clock_s(run.seconds_of(at)),
            units::clock_s(run.plan.length().as_secs_f64())
        ));
    }
    reasons.extend(invalid);
    let unmet = worst_first(objectives).into_iter();
    reasons.extend(unmet.filter(|o| o.verdict != Verdict::Pass).map(|o| {
        let verdict = o.word.to_string().replace('_', " ");
        format!("{verdict} “{}”: {}", o.name, o.reason)
    }));
    if objectives.is_empty() {
        reasons.push("the scenario has no objective".to_owned());
    }
    let hidden = reasons.len().saturating_sub(REASONS_SHOWN);
    if hidden > 0 {
        reasons.truncate(REASONS_SHOWN);
        reasons.push(format!("and {hidden} more"));
    }
    Judgement {
        verdict,
        reason: sentence::sentence(run, verdict, objectives, &reasons),
        reasons,
        warnings: warnings(run, generator.watch.as_ref()),
    }
}

/// The rules of evidence, and how the generator of a live run did against its constants.
pub(super) fn generator(run: &RunData) -> Generator {
    let watch = match run.header.mode {
        Mode::Live => Some(watch(run)),
        Mode::Simulated => None,
    };
    Generator {
        rules: rules(run, watch.as_ref()),
        watch,
    }
}

/// The generator's watch on itself, measured against its constants.
fn watch(run: &RunData) -> Watch {
    let judged = judged_seconds(run);
    let lag_limit_us = lag_limit_us(run);
    let mut watch = Watch {
        lag_limit_us,
        over_limit: LAG_SECONDS_SHARE,
        workers: (run.header.workers.iter().zip(0..))
            .map(|(&devices, worker)| Worker {
                worker,
                devices: u64::from(devices),
                ..Worker::default()
            })
            .collect(),
        own_errors: errors_of(run, |kind| {
            blames_generator(kind) && kind != ErrorKind::GeneratorUnsent
        }),
        unsent: errors_of(run, |kind| kind == ErrorKind::GeneratorUnsent),
        ..Watch::default()
    };
    // Whether any worker was over, so that a late one is not diluted by its idle neighbours.
    let mut seconds: BTreeMap<u32, bool> = BTreeMap::new();
    for row in &run.series.generator {
        let is_judged = judged.iter().any(|span| span.contains(&row.second));
        let over = is_judged && row.lag_p99_us.is_some_and(|lag| lag > lag_limit_us);
        if is_judged {
            *seconds.entry(row.second).or_default() |= over;
            watch.lag_worst_us = watch.lag_worst_us.max(row.lag_p99_us);
        }
        if let Some(worker) = (watch.workers.iter_mut()).find(|w| w.worker == row.worker) {
            add_second(worker, row, over);
        }
    }
    watch.judged_seconds = seconds.len() as u64;
    watch.seconds_over = seconds.values().filter(|over| **over).count() as u64;
    if !seconds.is_empty() {
        watch.over_share = watch.seconds_over as f64 / watch.judged_seconds as f64;
    }
    let all: Vec<usize> = (0..run.plan.phases.len()).collect();
    let lag = run.merged(&[Metric::DriverLag], &all);
    if lag.count() > 0 {
        watch.lag_p99_us = lag.percentile_us(99.0);
    }
    watch
}

/// Phases some objective looks at; all of them if there is no objective.
pub(super) fn judged_phases(run: &RunData) -> BTreeSet<usize> {
    if run.plan.objectives.is_empty() {
        return (0..run.plan.phases.len()).collect();
    }
    let objectives = run.plan.objectives.iter();
    objectives
        .flat_map(|o| window::judged_phases(&run.plan, &o.window))
        .collect()
}

/// The seconds that lie wholly or partly in a judged phase: in a phase shorter than a second the
/// generator has to be on time as well. None of the drain but the rest of load's last second.
fn judged_seconds(run: &RunData) -> Vec<Range<u32>> {
    let judged = judged_phases(run);
    let phases = judged.iter().filter_map(|&p| run.plan.phases.get(p));
    phases
        .filter(|phase| !phase.length.is_zero())
        .map(|phase| {
            let end = (phase.start + phase.length).as_secs_f64();
            phase.start.as_secs() as u32..end.ceil() as u32
        })
        .collect()
}

fn add_second(worker: &mut Worker, row: &GeneratorRow, over: bool) {
    let cpu = f64::from(row.process.cpu_percent);
    worker.seconds += 1;
    worker.lag_worst_us = worker.lag_worst_us.max(row.lag_p99_us);
    worker.seconds_over += u64::from(over);
    worker.cpu_max_percent = worker.cpu_max_percent.max(cpu);
    worker.cpu_mean_percent += (cpu - worker.cpu_mean_percent) / worker.seconds as f64;
    worker.cpu_seconds_high += u64::from(row.process.cpu_percent > CPU_WARNING_PERCENT);
    worker.fds_max = worker.fds_max.max(u64::from(row.process.fds));
    worker.rss_max_bytes = worker.rss_max_bytes.max(row.process.rss_bytes);
    worker.ports_max = worker.ports_max.max(u64::from(row.process.ports));
}

fn lag_limit_us(run: &RunData) -> u64 {
    let limits = run.plan.objectives.iter().filter_map(|o| {
        let is_latency = matches!(
            o.indicator,
            Indicator::ConnectLatency
                | Indicator::PublishAckLatency
                | Indicator::E2eLatency
                | Indicator::CommandRtt
                | Indicator::QueryLatency
        );
        match o.bound {
            Bound::AtMost(Limit::Time(time)) | Bound::AtLeast(Limit::Time(time)) if is_latency => {
                Some((time.as_secs_f64() * 1e6 * LAG_SHARE_OF_TIGHTEST_LIMIT) as u64)
            }
            Bound::AtMost(_) | Bound::AtLeast(_) | Bound::Is(_) => None,
        }
    });
    limits.min().unwrap_or(0).max(LAG_FLOOR_US)
}

fn errors_of(run: &RunData, wanted: impl Fn(ErrorKind) -> bool) -> u64 {
    let errors = run.outcome.iter().flat_map(|o| &o.totals.errors);
    errors.filter(|e| wanted(e.kind)).map(|e| e.count).sum()
}

/// Whether an error disqualifies the generator rather than the target.
pub(super) const fn blames_generator(kind: ErrorKind) -> bool {
    kind.blames_generator()
}

/// The rules that make a run INVALID, with what the run had. A simulated run has no generator
/// and no process that could be lost; the rules of evidence are the same for both.
fn rules(run: &RunData, watch: Option<&Watch>) -> Vec<Rule> {
    let mut rules = watch.map_or_else(Vec::new, |watch| generator_rules(run, watch));
    if watch.is_some() || !run.lost.is_empty() {
        rules.push(lost_rule(run));
    }
    rules.extend(evidence_rules(run));
    rules
}

fn lost_rule(run: &RunData) -> Rule {
    let lost: Vec<String> = (run.lost.iter())
        .map(|(process, at, how)| {
            format!(
                "{process} at {}: {how}",
                units::clock_tenths_s(run.seconds_of(*at))
            )
        })
        .collect();
    Rule {
        name: LOST,
        limit: "no worker or backend node ends before its time".to_owned(),
        measured: if lost.is_empty() {
            "none".to_owned()
        } else {
            lost.join("; ")
        },
        holds: lost.is_empty(),
    }
}

fn none_or(count: u64) -> String {
    match count {
        0 => "none".to_owned(),
        n => units::count(n),
    }
}

fn generator_rules(run: &RunData, watch: &Watch) -> Vec<Rule> {
    let judged = watch.judged_seconds;
    // Objectives without a window have nothing to judge: they say NO_DATA themselves.
    let is_nothing_to_judge = judged_seconds(run).is_empty();
    let silent = silences(run);
    vec![
        Rule {
            name: "Driver lag",
            limit: format!(
                "every worker's p99 ≤ {} in at least {} of the judged seconds",
                units::time_us(watch.lag_limit_us),
                units::ratio(1.0 - LAG_SECONDS_SHARE)
            ),
            measured: if is_nothing_to_judge {
                "the objectives' windows hold no second".to_owned()
            } else if judged == 0 {
                "no judged second has a record".to_owned()
            } else {
                format!(
                    "{} of {} seconds over ({}), worst {}",
                    units::count(watch.seconds_over),
                    units::count(judged),
                    units::ratio(watch.over_share),
                    watch
                        .lag_worst_us
                        .map_or_else(|| "n/a".to_owned(), units::time_us)
                )
            },
            holds: (judged > 0 || is_nothing_to_judge) && watch.over_share <= LAG_SECONDS_SHARE,
        },
        Rule {
            name: "The generator's own errors",
            limit: "no lack of descriptors, ports or socket buffers".to_owned(),
            measured: none_or(watch.own_errors),
            holds: watch.own_errors == 0,
        },
        Rule {
            name: "Unsent because of the generator",
            limit: "no telemetry message that the driver let go".to_owned(),
            measured: none_or(watch.unsent),
            holds: watch.unsent == 0,
        },
        Rule {
            name: "Silent workers",
            limit: format!("no gap over {SILENCE_S} s in a worker's record"),
            measured: if silent.is_empty() {
                "none".to_owned()
            } else {
                silent.join("; ")
            },
            holds: silent.is_empty(),
        },
    ]
}

/// For people; the last worker of a plan with an operator owns no devices and carries that.
fn process_name(run: &RunData, worker: u32) -> String {
    let last = worker as usize + 1 == run.header.workers.len();
    if last && run.plan.has_operator() {
        "the operator".to_owned()
    } else {
        format!("worker {worker}")
    }
}

/// Gaps in the workers' records up to the end of load.
fn silences(run: &RunData) -> Vec<String> {
    let end = run.ended_s().floor() as u32;
    let mut next: BTreeMap<u32, u32> = (0..)
        .zip(&run.header.workers)
        .map(|(w, _)| (w, 0))
        .collect();
    let mut gaps = Vec::new();
    let mut check = |worker: u32, from: u32, to: u32| {
        if to > from + SILENCE_S {
            gaps.push(format!(
                "{} from {} to {}",
                process_name(run, worker),
                units::clock_s(f64::from(from)),
                units::clock_s(f64::from(to))
            ));
        }
    };
    for row in &run.series.generator {
        if let Some(expected) = next.get_mut(&row.worker) {
            check(row.worker, *expected, row.second);
            *expected = row.second + 1;
        }
    }
    for (worker, expected) in next {
        check(worker, expected, end);
    }
    gaps
}

/// What is wrong with the run's files. A torn last line is what a kill leaves behind; of a run
/// that recorded its outcome it is damage as well.
fn damage(run: &RunData) -> Option<String> {
    let torn = run.outcome.is_some() && !run.notes.is_empty();
    (run.damaged.clone()).or_else(|| torn.then(|| run.notes.join("; ")))
}

fn evidence_rules(run: &RunData) -> Vec<Rule> {
    let damage = damage(run);
    let mut rules = vec![
        Rule {
            name: "Scenario",
            limit: "its hash is the one recorded at the start".to_owned(),
            measured: if run.plan.hash == run.header.plan_hash {
                "unchanged".to_owned()
            } else {
                "scenario.yaml was changed after the run".to_owned()
            },
            holds: run.plan.hash == run.header.plan_hash,
        },
        Rule {
            name: "Outcome",
            limit: "the run recorded its end".to_owned(),
            measured: match (&run.outcome, &run.started) {
                (Some(_), _) => "recorded".to_owned(),
                (None, Some(_)) => format!(
                    "missing: the run was killed or ended abnormally after {}",
                    units::clock_s(run.ended_s())
                ),
                (None, None) => "missing: the run never started".to_owned(),
            },
            holds: run.outcome.is_some(),
        },
        Rule {
            name: "Series",
            limit: "every file is there and undamaged".to_owned(),
            measured: damage.clone().unwrap_or_else(|| "complete".to_owned()),
            holds: damage.is_none(),
        },
    ];
    if let Some(outcome) = &run.outcome {
        rules.extend(totals::rules(run, &outcome.totals));
        // An interrupted run is partial, and a lost process has a verdict of its own.
        if run.lost.is_empty() && run.interrupted.is_none() {
            rules.extend(findings::rules(run));
        }
    }
    rules
}

fn invalid_reasons(run: &RunData, generator: &Generator) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    // A lost process explains what else is off, so it comes first.
    for (process, at, how) in &run.lost {
        let at = units::clock_tenths_s(run.seconds_of(*at));
        reasons.push(format!(
            "{} was lost at {at}: {how}",
            words::capitalized(process)
        ));
    }
    for rule in generator.rules.iter().filter(|r| !r.holds) {
        if rule.name != LOST {
            reasons.push(format!(
                "{}: {} (must hold: {})",
                rule.name, rule.measured, rule.limit
            ));
        }
    }
    reasons
}

fn warnings(run: &RunData, watch: Option<&Watch>) -> Vec<String> {
    let mut warnings: Vec<String> = (run.warnings.iter())
        .map(|(at, text)| format!("{}: {text}", units::clock_tenths_s(run.seconds_of(*at))))
        .collect();
    let shares_machine = is_on_this_machine(&run.header.targets);
    let workers = watch.iter().flat_map(|watch| &watch.workers);
    for worker in workers.filter(|w| w.cpu_seconds_high > 0) {
        let blame = if shares_machine {
            "the target runs on the same machine and competes for its cores"
        } else {
            "latencies may contain the generator's own delay; use more workers or a bigger machine"
        };
        warnings.push(format!(
            "{} used more than {CPU_WARNING_PERCENT} % of a core in {} of {} s (most: {:.0} %): {blame}",
            process_name(run, worker.worker), worker.cpu_seconds_high, worker.seconds, worker.cpu_max_percent
        ));
    }
    let Some(outcome) = &run.outcome else {
        warnings.extend(run.notes.iter().cloned());
        return warnings;
    };
    let ended_by_plan = run.interrupted.is_none() && run.lost.is_empty();
    if ended_by_plan && !outcome.drain_complete {
        warnings.push(format!(
            "the drain ran into its limit of {}: what was still in flight is not judged",
            units::time_s(run.plan.drain.as_secs_f64())
        ));
    }
    let delivery = &outcome.totals.delivery;
    for (count, what) in [
        (delivery.corrupt, "with an unreadable stamp"),
        (delivery.foreign, "of another run, device or stream"),
    ] {
        if count > 0 {
            let messages = units::counted(count, "message");
            warnings.push(format!("observers received {messages} {what}"));
        }
    }
    warnings.extend(run.notes.iter().cloned());
    warnings
}

/// Whether all addresses are loopback, so that target and generator share the machine.
pub(super) fn is_on_this_machine(targets: &[String]) -> bool {
    let is_loopback = |target: &String| {
        let address = target.trim_start_matches("mqtt://");
        address.starts_with("127.")
            || address.starts_with("[::1]")
            || address.starts_with("localhost")
    };
    !targets.is_empty() && targets.iter().all(is_loopback)
}

fn signal_name(signal: i32) -> String {
    match signal {
        2 => "SIGINT (Ctrl-C)".to_owned(),
        15 => "SIGTERM".to_owned(),
        other => format!("signal {other}"),
    }
}

#[cfg(test)]
mod tests;

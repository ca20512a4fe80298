//! One objective against the evidence: PASS, FAIL, INCONCLUSIVE or NO_DATA, and why.
//!
//! Missing or thin evidence never passes: nothing measured is NO_DATA; a percentile over fewer
//! events than its sample floor, an unverified delivery, or a window that the run did not reach
//! the end of is INCONCLUSIVE.

mod freshness;
mod intervals;
pub(super) mod reconnect;
mod wills;

use super::data::RunData;
use super::units;
use super::value::{Objective, Verdict};
use super::window;
use crate::mqtt::packet::QoS;
use crate::scenario::slo::{self, Bound, Indicator, Limit, Statistic};
use crate::stats::books::DeliveryCounts;
use crate::stats::histogram::Histogram;
use crate::stats::series::Metric;
use std::cmp::Ordering;

mod backlog;
mod campaigns;
mod commands;
pub(super) mod harm;
mod storm;

/// Chance that a sample of the floor's size does not contain one value beyond the percentile.
const FLOOR_RISK: f64 = 0.05;

/// How an infinite time is printed.
const NEVER: &str = "never";

/// Events below which a percentile (0 < p <= 100) is neither printed nor judged: the smallest n
/// with (p / 100)^n <= 5 %, so that with 95 % confidence the largest value bounds the percentile.
/// p90: 29, p95: 59, p99: 299, p99.9: 2,995, p99.99: 29,956. The 100th is the maximum of what was
/// seen and claims nothing beyond it: 1.
pub fn sample_floor(p: f64) -> u64 {
    if p >= 100.0 {
        return 1;
    }
    (FLOOR_RISK.ln() / (p / 100.0).ln()).ceil().max(1.0) as u64
}

/// Judges every objective of the plan, in its order.
pub(super) fn judge_all(run: &RunData) -> Vec<Objective> {
    let objectives = run.plan.objectives.iter();
    objectives.map(|o| judge(run, o)).collect()
}

/// Time until `share` (0 to 1) of `affected` devices was back, in seconds; `times` holds those
/// that came back. Infinite if too few did.
pub(super) fn time_to_share_s(times: &Histogram, affected: u64, share: f64) -> f64 {
    // 1e-9 absorbs the binary rounding of shares such as 0.07 x 100.
    let wanted = ((share * affected as f64) - 1e-9).ceil().max(1.0) as u64;
    let back = times.count();
    if wanted > back {
        return f64::INFINITY;
    }
    // Half an event below keeps the percentile's own rounding from reaching for the next one.
    let percentile = (wanted as f64 - 0.5) / back as f64 * 100.0;
    let us = times.percentile_us(percentile);
    us.map_or(f64::INFINITY, |us| us as f64 / 1e6)
}

/// What the evidence says about an indicator.
enum Measured {
    /// Nothing, and why.
    Nothing(String),
    /// Something.
    Value(Value),
}

struct Value {
    /// Seconds, a ratio or a count, as the limit; infinite = never.
    value: f64,
    events: u64,
    /// Why it cannot be decided.
    doubt: Option<String>,
    /// A breach stands whatever else is unknown: a lost message is lost.
    breach_is_final: bool,
    /// Added to the reason.
    remark: String,
}

impl Value {
    const fn new(value: f64, events: u64) -> Self {
        Self {
            value,
            events,
            doubt: None,
            breach_is_final: false,
            remark: String::new(),
        }
    }
}

fn judge(run: &RunData, objective: &slo::Objective) -> Objective {
    let (limit, is_at_most) = match objective.bound {
        Bound::AtMost(limit) => (limit, true),
        Bound::AtLeast(limit) => (limit, false),
        Bound::Is(word) => return storm::judge(run, objective, word),
    };
    let measured = measure(run, objective);
    let target = number(limit);
    let mut result = Objective {
        name: objective.name.clone(),
        indicator: objective.indicator.name(),
        statistic: statistic_text(objective.statistic),
        window: window::of(&run.plan, objective),
        bound: if is_at_most { "at_most" } else { "at_least" },
        target: Some(target),
        target_text: String::new(),
        value: None,
        value_text: "n/a".to_owned(),
        unit: unit(limit, objective.indicator),
        events: 0,
        events_unit: events_unit(objective.indicator),
        verdict: Verdict::NoData,
        word: Verdict::NoData.word(run.header.mode),
        interval: None,
        limit_used: None,
        spans_s: window::spans_s(&run.plan, &objective.window),
        reason: String::new(),
    };
    let sign = if is_at_most { "≤" } else { "≥" };
    match measured {
        Measured::Nothing(why) => {
            result.target_text = format!("{sign} {}", in_words(limit, target, 0));
            result.reason = why;
        }
        Measured::Value(value) => {
            let meets = meets(objective.bound, value.value);
            let (value_text, limit_text) = distinct_texts(limit, value.value, target);
            let incomplete =
                (!window::reached(run, &objective.window)).then(|| match run.lost.first() {
                    Some((process, ..)) => format!("{process} was lost, and its share with it"),
                    None => "the run stopped before the end of the window".to_owned(),
                });
            let (verdict, why) = decide(meets, &value, incomplete);
            result.reason = format!(
                "{}{}{}",
                comparison(&result, is_at_most, meets, &value_text, &limit_text),
                value.remark,
                why.map(|w| format!("; {w}")).unwrap_or_default()
            );
            result.target_text = format!("{sign} {limit_text}");
            result.value_text = value_text;
            result.value = value.value.is_finite().then_some(value.value);
            result.events = value.events;
            result.verdict = verdict;
            result.word = verdict.word(run.header.mode);
            result.limit_used = limit_used(limit, is_at_most, value.value, target);
        }
    }
    result
}

fn meets(bound: Bound, value: f64) -> bool {
    match bound {
        Bound::AtMost(limit) => value <= number(limit),
        Bound::AtLeast(limit) => value >= number(limit),
        Bound::Is(_) => false,
    }
}

/// `p99 is 412 ms, above the limit of 250 ms`.
fn comparison(
    objective: &Objective,
    is_at_most: bool,
    meets: bool,
    value: &str,
    limit: &str,
) -> String {
    let limit = match (is_at_most, meets) {
        (true, true) => format!("within the limit of {limit}"),
        (true, false) => format!("above the limit of {limit}"),
        (false, true) => format!("at least the wanted {limit}"),
        (false, false) => format!("below the wanted {limit}"),
    };
    match (objective.statistic.as_str(), value) {
        ("", "1") => format!("1 {}, {limit}", objective.unit.trim_end_matches('s')),
        ("", value) if !matches!(objective.unit, "s" | "ratio" | "per_s" | "factor") => {
            format!("{value} {}, {limit}", objective.unit)
        }
        ("", value) => format!("{value}, {limit}"),
        (share, value) if share.ends_with("devices") => {
            let (were, never) = share_words(objective.indicator);
            match value {
                NEVER => format!("fewer than {share} {never} at all, {limit}"),
                value => format!("{share} {were} after {value}, {limit}"),
            }
        }
        (minutes, "1") if minutes.starts_with("minutes") => {
            format!("1 {}, {limit}", minutes.replacen("minutes", "minute", 1))
        }
        (minutes, value) if minutes.starts_with("minutes") => {
            format!("{value} {minutes}, {limit}")
        }
        (percentile, value) => format!("{percentile} is {value}, {limit}"),
    }
}

/// What a share of devices had done after the time, and what too few of them did.
fn share_words(indicator: &str) -> (&'static str, &'static str) {
    if indicator == Indicator::BacklogDrainTime.name() {
        ("had drained", "drained")
    } else if indicator == Indicator::OtaCompletion.name() {
        ("were confirmed", "were confirmed")
    } else if indicator == Indicator::CommandFanout.name() {
        ("had answered", "answered")
    } else {
        ("were back", "came back")
    }
}

/// `incomplete` says why the window is cut short: then only what cannot be made good any more
/// fails, since a percentile or a mean over the rest could have come out otherwise.
fn decide(meets: bool, value: &Value, incomplete: Option<String>) -> (Verdict, Option<String>) {
    if !meets && value.breach_is_final {
        return (Verdict::Fail, None);
    }
    match (incomplete.or_else(|| value.doubt.clone()), meets) {
        (Some(why), _) => (Verdict::Inconclusive, Some(why)),
        (None, true) => (Verdict::Pass, None),
        (None, false) => (Verdict::Fail, None),
    }
}

fn measure(run: &RunData, objective: &slo::Objective) -> Measured {
    match objective.indicator {
        Indicator::ConnectLatency => latency(run, objective, &[Metric::ConnectLatency]),
        Indicator::PublishAckLatency => latency(
            run,
            objective,
            &[Metric::AckResponse, Metric::AckResponseReplayed],
        ),
        Indicator::E2eLatency => e2e_latency(run, objective),
        Indicator::ConnectSuccess => connect_success(run, objective),
        Indicator::ConnectWasted => storm::connect_wasted(run, objective),
        Indicator::ReconnectTime => reconnect_time(run, objective),
        Indicator::ReconnectStranded => reconnect_stranded(run, objective),
        Indicator::RecoveryVerdict => Measured::Nothing("a verdict is judged by a word".to_owned()),
        Indicator::DeliveryLost => delivery(run, objective, |d| {
            let remark = format!(" (of {} verified)", units::count(d.verified_acks));
            (d.lost, d.verified_acks, remark)
        }),
        Indicator::DeliveryDuplicated => delivery(run, objective, |d| {
            let all = d.duplicated + d.duplicated_explained;
            let explained = units::count(d.duplicated_explained);
            let seen = units::count(d.seen);
            let remark = format!(" (of {seen} seen; {explained} explained by a retransmission)");
            (all, d.seen, remark)
        }),
        Indicator::DeliveryReordered => delivery(run, objective, |d| {
            let remark = format!(" (of {} seen)", units::count(d.seen));
            (d.reordered, d.seen, remark)
        }),
        Indicator::WillFired => wills::fired(run, objective),
        Indicator::FleetAvailability => availability(run, objective),
        Indicator::FreshnessAge => freshness::age(run, objective),
        Indicator::ReconnectPeakRate => reconnect::peak_rate(run, objective),
        Indicator::RetryAmplification => reconnect::amplification(run, objective),
        Indicator::SessionResumeRatio => reconnect::resume_ratio(run, objective),
        Indicator::AvailabilityIntervalAverage | Indicator::AvailabilityBadMinutes => {
            match objective.statistic {
                Statistic::Intervals(interval) => {
                    intervals::interval_average(run, objective, interval)
                }
                Statistic::BadMinutes(share) => intervals::bad_minutes(run, objective, share),
                Statistic::Percentile(_)
                | Statistic::Share(_)
                | Statistic::Value
                | Statistic::Mean => Measured::Nothing("it is judged by intervals".to_owned()),
            }
        }
        Indicator::BacklogDrainTime => backlog::drain_time(run, objective),
        Indicator::BacklogRecoveredRatio => backlog::recovered_ratio(run, objective),
        Indicator::BacklogHarm => harm::harm(run, objective),
        Indicator::OtaCompletion => campaigns::completion(run, objective),
        Indicator::OtaFailureRatio => campaigns::failure_ratio(run, objective),
        Indicator::OtaRollbackRatio => campaigns::rollback_ratio(run, objective),
        Indicator::OtaExposureBeforeHalt => campaigns::exposure(run, objective),
        Indicator::OtaHaltTime => campaigns::halt_time(run, objective),
        Indicator::OtaWrongTarget => campaigns::wrong_target(run, objective),
        Indicator::OtaPriorityInversions => campaigns::priority_inversions(run, objective),
        Indicator::OtaBytesPerDevice => campaigns::bytes_per_device(run, objective),
        Indicator::OtaCollateral => campaigns::collateral(run, objective),
        Indicator::CommandRtt => commands::round_trip(run, objective),
        Indicator::CommandFanout => commands::fanout(run, objective),
        Indicator::CommandResultCompleteness => commands::result_completeness(run, objective),
        Indicator::CommandDuplicateEffect => commands::duplicate_effect(run, objective),
        Indicator::QueryLatency => commands::query_latency(run, objective),
        Indicator::QueryStaleness => commands::query_staleness(run, objective),
        Indicator::ResolutionTime => commands::resolution_time(run, objective),
    }
}

/// Latencies are judged on live and replayed events together: a message that waited out an outage
/// waited, and leaving it out would be the omission this tool exists to avoid.
fn latency(run: &RunData, objective: &slo::Objective, metrics: &[Metric]) -> Measured {
    let phases = window::phases(&run.plan, &objective.window);
    if phases.is_empty() {
        return Measured::Nothing("no whole phase lies in the window".to_owned());
    }
    let values = run.merged(metrics, &phases);
    let Statistic::Percentile(p) = objective.statistic else {
        return Measured::Nothing("a latency is judged by a percentile".to_owned());
    };
    let unended = match objective.indicator {
        Indicator::PublishAckLatency => unended_publishes(run, &phases),
        Indicator::ConnectLatency
        | Indicator::ConnectSuccess
        | Indicator::ConnectWasted
        | Indicator::ReconnectTime
        | Indicator::ReconnectStranded
        | Indicator::RecoveryVerdict
        | Indicator::E2eLatency
        | Indicator::DeliveryLost
        | Indicator::DeliveryDuplicated
        | Indicator::DeliveryReordered
        | Indicator::WillFired
        | Indicator::FleetAvailability
        | Indicator::ReconnectPeakRate
        | Indicator::RetryAmplification
        | Indicator::SessionResumeRatio
        | Indicator::AvailabilityIntervalAverage
        | Indicator::AvailabilityBadMinutes
        | Indicator::FreshnessAge
        | Indicator::BacklogDrainTime
        | Indicator::BacklogRecoveredRatio
        | Indicator::BacklogHarm
        | Indicator::OtaCompletion
        | Indicator::OtaFailureRatio
        | Indicator::OtaRollbackRatio
        | Indicator::OtaExposureBeforeHalt
        | Indicator::OtaHaltTime
        | Indicator::OtaWrongTarget
        | Indicator::OtaPriorityInversions
        | Indicator::OtaBytesPerDevice
        | Indicator::OtaCollateral
        | Indicator::CommandRtt
        | Indicator::CommandFanout
        | Indicator::CommandResultCompleteness
        | Indicator::CommandDuplicateEffect
        | Indicator::QueryLatency
        | Indicator::QueryStaleness
        | Indicator::ResolutionTime => 0,
    };
    let mut measured = percentile_of(&values, values.count() + unended, p);
    if let (Measured::Value(value), true) = (&mut measured, unended > 0) {
        let events = units::count(value.events);
        let unended = units::count(unended);
        value.remark =
            format!(" (n = {events}, of which {unended} had not ended when the run did)");
    }
    measured
}

/// Publishes of `phases` that should get a PUBACK and were still waiting or in flight at the end
/// of the run: they have no latency, and a target that never answers must not look fast.
fn unended_publishes(run: &RunData, phases: &[usize]) -> u64 {
    let books = run.outcome.iter().flat_map(|o| &o.totals.books);
    let of_streams = books.zip(&run.plan.streams);
    let acknowledged = of_streams.filter(|(_, stream)| stream.qos != QoS::AtMostOnce);
    acknowledged
        .flat_map(|(row, _)| phases.iter().filter_map(|&phase| row.get(phase)))
        .map(|books| books.waiting + books.in_flight)
        .sum()
}

/// As [`latency`]. Deliveries that no observer saw have no latency, and the ledger does not say of
/// which phase they are: if counting all of them as never arrived would break the objective, it
/// cannot be decided.
fn e2e_latency(run: &RunData, objective: &slo::Objective) -> Measured {
    let metrics = [Metric::EndToEnd, Metric::EndToEndReplayed];
    let mut measured = latency(run, objective, &metrics);
    let unseen = run.outcome.as_ref().map_or(0, |outcome| {
        let d = &outcome.totals.delivery;
        d.lost + d.undelivered + d.unverified + d.unresolved
    });
    let (Measured::Value(value), Statistic::Percentile(p)) = (&mut measured, objective.statistic)
    else {
        return measured;
    };
    let values = run.merged(&metrics, &window::phases(&run.plan, &objective.window));
    let worst_s = time_to_share_s(&values, value.events + unseen, p / 100.0);
    if meets(objective.bound, value.value) != meets(objective.bound, worst_s) {
        value.doubt.get_or_insert_with(|| {
            let unseen = units::counted(unseen, "message");
            format!("{unseen} that no observer saw would decide it the other way")
        });
    }
    measured
}

/// The percentile over `events`, of which `values` holds those that ended; the others are
/// infinite.
fn percentile_of(values: &Histogram, events: u64, p: f64) -> Measured {
    if events == 0 {
        return Measured::Nothing("nothing to measure happened in the window".to_owned());
    }
    let floor = sample_floor(p);
    let doubt = (events < floor).then(|| {
        let have = units::counted(events, "event");
        format!(
            "{have} are too few for p{p}, which needs {}",
            units::count(floor)
        )
    });
    Measured::Value(Value {
        doubt,
        remark: format!(" (n = {})", units::count(events)),
        ..Value::new(time_to_share_s(values, events, p / 100.0), events)
    })
}

fn connect_success(run: &RunData, objective: &slo::Objective) -> Measured {
    let Some(outcome) = &run.outcome else {
        return Measured::Nothing("the run left no outcome".to_owned());
    };
    let phases = window::phases(&run.plan, &objective.window);
    let attempts = phases
        .iter()
        .filter_map(|&p| outcome.totals.attempts.get(p));
    let (accepted, failed) = attempts.fold((0, 0), |(a, f), counts| {
        (a + counts.accepted, f + counts.failed)
    });
    let all = accepted + failed;
    if all == 0 {
        return Measured::Nothing("no attempt of the window ended".to_owned());
    }
    Measured::Value(Value {
        remark: format!(
            " ({} of {} attempts failed)",
            units::count(failed),
            units::count(all)
        ),
        ..Value::new(accepted as f64 / all as f64, all)
    })
}

fn reconnect_time(run: &RunData, objective: &slo::Objective) -> Measured {
    let Some(recovered) = window::recovered(run, &window::faults(&run.plan, &objective.window))
    else {
        return Measured::Nothing("the run left no outcome".to_owned());
    };
    let affected = recovered.affected;
    if affected == 0 {
        return Measured::Nothing("no device was cut off when the fault cleared".to_owned());
    }
    match objective.statistic {
        Statistic::Percentile(p) => percentile_of(&recovered.times, affected, p),
        Statistic::Share(share) => {
            let value = time_to_share_s(&recovered.times, affected, share);
            Measured::Value(Value {
                remark: format!(" ({} cut off)", units::counted(affected, "device")),
                ..Value::new(value, affected)
            })
        }
        Statistic::Value | Statistic::Intervals(_) | Statistic::BadMinutes(_) | Statistic::Mean => {
            Measured::Nothing("a time is judged by a share".to_owned())
        }
    }
}

fn reconnect_stranded(run: &RunData, objective: &slo::Objective) -> Measured {
    let Some(recovered) = window::recovered(run, &window::faults(&run.plan, &objective.window))
    else {
        return Measured::Nothing("the run left no outcome".to_owned());
    };
    let affected = recovered.affected;
    if affected == 0 {
        return Measured::Nothing("no device was cut off when the fault cleared".to_owned());
    }
    let stranded = affected.saturating_sub(recovered.back);
    Measured::Value(Value {
        remark: format!(
            " ({} of {} cut-off devices did not come back)",
            units::count(stranded),
            units::count(affected)
        ),
        ..Value::new(in_unit_of(objective.bound, stranded, affected), affected)
    })
}

/// `pick` gives the count, what it rests on, and a remark.
fn delivery(
    run: &RunData,
    objective: &slo::Objective,
    pick: impl Fn(&DeliveryCounts) -> (u64, u64, String),
) -> Measured {
    let Some(outcome) = &run.outcome else {
        return Measured::Nothing("the run left no outcome".to_owned());
    };
    if !run.plan.observe.ledger {
        return Measured::Nothing("the delivery ledger is off".to_owned());
    }
    if run.plan.observe.devices == 0 {
        return Measured::Nothing("no device is observed".to_owned());
    }
    let counts = &outcome.totals.delivery;
    let (value, events, remark) = pick(counts);
    if events == 0 && value == 0 {
        return Measured::Nothing("no message of an observed device was verified".to_owned());
    }
    let doubt = (counts.unverified > 0 || counts.unresolved > 0).then(|| {
        format!(
            "{} unverified and {} unresolved: their fate is unknown",
            units::count(counts.unverified),
            units::count(counts.unresolved)
        )
    });
    Measured::Value(Value {
        doubt,
        breach_is_final: matches!(objective.bound, Bound::AtMost(Limit::Count(_))),
        remark,
        ..Value::new(in_unit_of(objective.bound, value, events), events)
    })
}

/// Device-seconds with a session, and expected ones; `None` if the run left no outcome.
fn device_seconds(run: &RunData, objective: &slo::Objective) -> Option<(f64, f64)> {
    let outcome = run.outcome.as_ref()?;
    let phases = window::phases(&run.plan, &objective.window);
    let seconds = phases
        .iter()
        .filter_map(|&p| outcome.totals.availability.get(p));
    Some(seconds.fold((0.0, 0.0), |(u, e), (up, exp)| (u + up, e + exp)))
}

fn availability(run: &RunData, objective: &slo::Objective) -> Measured {
    let Some((up, expected)) = device_seconds(run, objective) else {
        return Measured::Nothing("the run left no outcome".to_owned());
    };
    // NaN is no evidence either.
    if expected.partial_cmp(&0.0) != Some(Ordering::Greater) {
        return Measured::Nothing("no device was expected to be connected".to_owned());
    }
    Measured::Value(Value {
        doubt: (up > expected * (1.0 + 1e-9))
            .then(|| "more device-seconds with a session than expected ones".to_owned()),
        ..Value::new(up / expected, expected.round() as u64)
    })
}

fn in_unit_of(bound: Bound, count: u64, all: u64) -> f64 {
    let (Bound::AtMost(limit) | Bound::AtLeast(limit)) = bound else {
        return count as f64;
    };
    match limit {
        Limit::Ratio(_) if all > 0 => count as f64 / all as f64,
        Limit::Ratio(_) | Limit::Count(_) | Limit::Time(_) | Limit::Rate(_) | Limit::Factor(_) => {
            count as f64
        }
    }
}

fn number(limit: Limit) -> f64 {
    match limit {
        Limit::Time(time) => time.as_secs_f64(),
        Limit::Ratio(ratio) => ratio,
        Limit::Count(count) => count as f64,
        Limit::Rate(per_s) => per_s,
        Limit::Factor(factor) => factor,
    }
}

/// `extra` more digits than usual.
fn in_words(limit: Limit, value: f64, extra: usize) -> String {
    match limit {
        Limit::Time(_) => units::time_digits(value, 3 + extra),
        Limit::Ratio(_) => units::ratio_digits(value, 2 + extra),
        Limit::Count(_) => units::count(value as u64),
        Limit::Rate(_) => units::rate_digits(value, 1 + extra),
        Limit::Factor(_) => units::factor_digits(value, 1 + extra),
    }
}

/// Value and limit in words, with as many digits as it takes to tell them apart.
fn distinct_texts(limit: Limit, value: f64, target: f64) -> (String, String) {
    let mut texts = (in_words(limit, value, 0), in_words(limit, target, 0));
    for extra in 1..=6 {
        if texts.0 != texts.1 || value == target {
            break;
        }
        texts = (
            in_words(limit, value, extra),
            in_words(limit, target, extra),
        );
    }
    texts
}

fn limit_used(limit: Limit, is_at_most: bool, value: f64, target: f64) -> Option<f64> {
    let (used, allowed) = match (is_at_most, limit) {
        (true, _) => (value, target),
        // The allowance of "at least 99 %" is the 1 % that may be missing.
        (false, Limit::Ratio(_)) => (1.0 - value, 1.0 - target),
        (false, Limit::Time(_) | Limit::Count(_) | Limit::Rate(_) | Limit::Factor(_)) => {
            (target, value)
        }
    };
    if used <= 0.0 {
        return Some(0.0);
    }
    let share = used / allowed;
    share.is_finite().then_some(share)
}

fn unit(limit: Limit, indicator: Indicator) -> &'static str {
    match (limit, indicator) {
        (Limit::Time(_), _) => "s",
        (Limit::Ratio(_), _) => "ratio",
        (Limit::Rate(_), _) => "per_s",
        (Limit::Factor(_), _) => "factor",
        (
            Limit::Count(_),
            Indicator::ReconnectStranded
            | Indicator::OtaExposureBeforeHalt
            | Indicator::OtaWrongTarget
            | Indicator::OtaPriorityInversions,
        ) => "devices",
        (Limit::Count(_), Indicator::CommandDuplicateEffect) => "commands",
        (Limit::Count(_), Indicator::AvailabilityBadMinutes) => "minutes",
        (Limit::Count(_), Indicator::WillFired) => "wills",
        (
            Limit::Count(_),
            Indicator::ConnectLatency
            | Indicator::ConnectSuccess
            | Indicator::ConnectWasted
            | Indicator::ReconnectTime
            | Indicator::RecoveryVerdict
            | Indicator::PublishAckLatency
            | Indicator::E2eLatency
            | Indicator::DeliveryLost
            | Indicator::DeliveryDuplicated
            | Indicator::DeliveryReordered
            | Indicator::FleetAvailability
            | Indicator::ReconnectPeakRate
            | Indicator::RetryAmplification
            | Indicator::SessionResumeRatio
            | Indicator::AvailabilityIntervalAverage
            | Indicator::FreshnessAge
            | Indicator::BacklogDrainTime
            | Indicator::BacklogRecoveredRatio
            | Indicator::BacklogHarm
            | Indicator::OtaCompletion
            | Indicator::OtaFailureRatio
            | Indicator::OtaRollbackRatio
            | Indicator::OtaHaltTime
            | Indicator::OtaBytesPerDevice
            | Indicator::OtaCollateral
            | Indicator::CommandRtt
            | Indicator::CommandFanout
            | Indicator::CommandResultCompleteness
            | Indicator::QueryLatency
            | Indicator::QueryStaleness
            | Indicator::ResolutionTime,
        ) => "messages",
    }
}

const fn events_unit(indicator: Indicator) -> &'static str {
    match indicator {
        Indicator::ConnectLatency | Indicator::ConnectSuccess | Indicator::ConnectWasted => {
            "attempts"
        }
        Indicator::ReconnectTime
        | Indicator::ReconnectStranded
        | Indicator::RecoveryVerdict
        | Indicator::WillFired
        | Indicator::BacklogDrainTime => "devices",
        Indicator::PublishAckLatency
        | Indicator::BacklogRecoveredRatio
        | Indicator::BacklogHarm => "publishes",
        Indicator::E2eLatency | Indicator::DeliveryDuplicated | Indicator::DeliveryReordered => {
            "deliveries"
        }
        Indicator::DeliveryLost => "verified acks",
        Indicator::FleetAvailability => "device-seconds",
        Indicator::ReconnectPeakRate => "attempts",
        Indicator::FreshnessAge => "readings",
        Indicator::RetryAmplification => "devices",
        Indicator::SessionResumeRatio => "reconnects",
        Indicator::AvailabilityIntervalAverage | Indicator::AvailabilityBadMinutes => "requests",
        Indicator::OtaFailureRatio | Indicator::OtaRollbackRatio => "ended updates",
        Indicator::OtaCompletion
        | Indicator::OtaExposureBeforeHalt
        | Indicator::OtaHaltTime
        | Indicator::OtaWrongTarget
        | Indicator::CommandRtt
        | Indicator::CommandFanout
        | Indicator::CommandResultCompleteness
        | Indicator::ResolutionTime => "targets",
        Indicator::OtaPriorityInversions => "notified targets",
        Indicator::OtaBytesPerDevice => "devices",
        Indicator::OtaCollateral => "publishes",
        Indicator::CommandDuplicateEffect => "commands",
        Indicator::QueryLatency | Indicator::QueryStaleness => "answers",
    }
}

fn statistic_text(statistic: Statistic) -> String {
    match statistic {
        Statistic::Percentile(p) => format!("p{p}"),
        Statistic::Share(share) => format!("{} of devices", units::ratio(share)),
        Statistic::Value => String::new(),
        Statistic::Mean => "mean".to_owned(),
        Statistic::Intervals(interval) => {
            format!(
                "mean of intervals of {}",
                units::time_s(interval.as_secs_f64())
            )
        }
        Statistic::BadMinutes(share) if share < 1.0 => {
            format!("minutes in which at least {} failed", units::ratio(share))
        }
        Statistic::BadMinutes(_) => "minutes in which all requests failed".to_owned(),
    }
}

#[cfg(test)]
mod tests;

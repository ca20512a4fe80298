//! The detector: from a run's seconds to what became of the fleet after one fault. A pure function;
//! domain.md 3.3 is its specification.

use super::trend;
use crate::scenario::recovery::{RecoveryRule, RecoveryVerdict};
use crate::stats::series::Row;

/// Share of the connected fraction of before that a recovered fleet has.
const CONNECTED_SHARE: f64 = 0.99;
/// Seconds before the fault whose lowest connected fraction and highest latency a recovered fleet may
/// have: a restless fleet need not become calm.
const RESTLESS_S: usize = 60;
/// Share of the connected fraction of before that a recovered fleet has at least.
const RESTLESS_SHARE: f64 = 0.95;
/// Share of the goodput of before that a recovered fleet has.
const GOODPUT_SHARE: f64 = 0.95;
/// A goodput that lacks no more than this many standard deviations of a Poisson count is not less.
const GOODPUT_SIGMAS: f64 = 3.0;
/// How much higher than before the 99th percentile of a recovered fleet may be.
const LATENCY_FACTOR: f64 = 2.0;
/// Seconds over which goodput and latency are smoothed, and the best rate of connects is taken.
const SMOOTHED_S: usize = 5;
/// Seconds before the fault without which nothing can be compared.
pub(super) const BASELINE_S_MIN: usize = 10;
/// Seconds before the fault that are looked at.
const BASELINE_S_MAX: usize = 300;
/// Seconds after the bound without which nothing is judged.
pub(super) const JUDGED_S_MIN: f64 = 30.0;
/// Share of the seconds that must have a row.
const ROWS_SHARE: f64 = 0.9;
/// A fleet that would need more than this many bounds at its present pace is not on its way back.
const ON_ITS_WAY_BOUNDS: f64 = 20.0;
/// Attempts per device cut off above which retries amplify the load.
const AMPLIFIED: f64 = 1.5;
/// Share of wasted attempts above which the target is busy for nothing.
const WASTEFUL: f64 = 0.3;
/// Share of the attempts that devices make which have not given up, below which they do not try.
const TRYING_SHARE: f64 = 0.1;
/// Share of the goodput of before that is none.
const NO_GOODPUT: f64 = 0.05;
/// Points of a trend.
const TREND_POINTS_MAX: usize = 120;

/// One recovery to be judged: what must be known besides the seconds. Times count from T0.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) struct Case {
    /// Clearing of the last fault before, or T0.
    pub(super) undisturbed_s: f64,
    /// Start of the fault.
    pub(super) fault_s: f64,
    /// Its clearing.
    pub(super) clear_s: f64,
    /// Next fault, or the end of load as far as the evidence reaches.
    pub(super) until_s: f64,
    /// Devices with power, not connected at the clearing, if they were counted.
    pub(super) cut_off: u64,
    /// Longest backoff, and what an attempt takes at most.
    pub(super) longest_wait_s: f64,
    /// The scenario's rule.
    pub(super) rule: RecoveryRule,
}

/// What the fleet was like before the fault.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) struct Baseline {
    /// Seconds it rests on.
    pub(super) seconds: usize,
    /// Devices with power.
    powered: u64,
    /// Devices connected over devices with power, median.
    pub(super) connected: f64,
    /// Acknowledged (QoS 0: written) publishes per second, mean.
    pub(super) goodput_per_s: f64,
    /// 99th percentile of the time from schedule to acknowledgement: median of the seconds.
    pub(super) ack_p99_us: Option<f64>,
    /// The lowest connected fraction that a recovered fleet may have: 99 % of the median or, where it
    /// was less in the last minute, that, but no less than 95 %.
    connected_limit: f64,
    /// The highest that a recovered fleet may have: twice the median or, where it was more in the last
    /// minute, that.
    ack_p99_limit_us: f64,
}

impl Baseline {
    /// Whether this share of devices is what it was.
    pub(super) fn is_back(&self, connected: f64) -> bool {
        // 1e-9 absorbs the rounding of 0.99 x 1.
        connected + 1e-9 >= self.connected_limit
    }
}

/// How long a recovery is expected to take at most, and why.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) struct BoundOf {
    /// From the clearing.
    pub(super) bound_s: f64,
    /// Devices that had to come back.
    pub(super) down: u64,
    /// Connects per second, the scenario's or the best 5 s of the run; `None` = there was none.
    pub(super) limit_rate_per_s: Option<f64>,
}

/// What the fleet was like when it was judged.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) struct Level {
    /// Devices connected over devices with power.
    pub(super) connected: f64,
    /// Acknowledged publishes per second.
    pub(super) goodput_per_s: f64,
    /// 99th percentile of the time from schedule to acknowledgement, median of the seconds.
    pub(super) ack_p99_us: Option<f64>,
    /// Attempts that ended by the device's own timeout after their CONNECT was written, over all that
    /// ended; `None` if none did.
    pub(super) waste: Option<f64>,
    /// CONNACKs over attempts that ended.
    pub(super) accepted: Option<f64>,
}

/// Why nothing can be said.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) enum Open {
    /// Too few undisturbed seconds before the fault.
    NoBaseline { seconds: usize },
    /// Nobody was connected before the fault.
    NobodyConnected,
    /// Before the fault fewer were connected than at their best: the fleet was still coming back.
    Unsettled { connected: f64, best: f64 },
    /// Run or window ended before this instant, from T0.
    TooShort { needed_s: f64 },
    /// Seconds are missing in the series.
    Gaps,
}

/// What became of the fleet.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) struct Finding {
    /// The verdict, or why there is none.
    pub(super) verdict: Result<RecoveryVerdict, Open>,
    /// From the clearing to the first of the seconds in which it had recovered.
    pub(super) recovered_after_s: Option<f64>,
    /// From the last second to the recovery, at the present pace.
    pub(super) eta_s: Option<f64>,
    /// The fleet before the fault.
    pub(super) baseline: Option<Baseline>,
    /// How long the recovery should take.
    pub(super) bound: Option<BoundOf>,
    /// Attempts since the clearing per device that had to come back.
    pub(super) amplification: Option<f64>,
    /// What it rests on: the seconds that were held, or the last ones of the window.
    pub(super) level: Option<Level>,
}

impl Finding {
    const fn open(why: Open) -> Self {
        Self {
            verdict: Err(why),
            recovered_after_s: None,
            eta_s: None,
            baseline: None,
            bound: None,
            amplification: None,
            level: None,
        }
    }
}

/// Judges one recovery by the run's seconds, which are in order.
pub(super) fn detect(rows: &[Row], case: &Case) -> Finding {
    let baseline = match baseline(rows, case) {
        Ok(baseline) => baseline,
        Err(why) => return Finding::open(why),
    };
    let rows = &with_power_as_before(rows, &baseline);
    let after = Seconds::of(rows, case);
    let bound = bound(rows, case, &baseline, &after);
    let mut finding = Finding {
        baseline: Some(baseline),
        bound: Some(bound),
        amplification: amplification(&after, bound.down),
        ..Finding::open(Open::Gaps)
    };
    let hold = case.rule.hold.as_secs_f64().ceil().max(1.0) as usize;
    if let Some(start) = after.held(&baseline, hold) {
        let recovered_s = after.from_s + start as f64 + 1.0 - case.clear_s;
        let is_late = case
            .rule
            .within
            .is_some_and(|w| recovered_s > w.as_secs_f64());
        finding.recovered_after_s = Some(recovered_s);
        finding.level = Some(level(after.rows(start, start + hold)));
        finding.amplification = amplification(&after.first(start + 1), bound.down);
        finding.verdict = Ok(if is_late {
            RecoveryVerdict::Slow
        } else {
            RecoveryVerdict::Recovered
        });
        return finding;
    }
    let judged_s = case.rule.hold.as_secs_f64().max(JUDGED_S_MIN);
    let needed_s = case.clear_s + bound.bound_s + judged_s;
    let from = after
        .seconds
        .len()
        .saturating_sub(judged_s.max(bound.bound_s).ceil() as usize);
    let past_bound = (case.clear_s + bound.bound_s - after.from_s)
        .max(0.0)
        .floor() as usize;
    let judged = after.from(from.max(past_bound));
    let last = after.from(after.seconds.len().saturating_sub(judged_s.ceil() as usize));
    let shown = match judged.all().next() {
        Some(_) => &judged,
        None => &last,
    };
    finding.level = shown.all().next().is_some().then(|| level(shown.all()));
    if case.until_s < needed_s {
        finding.verdict = Err(Open::TooShort { needed_s });
    } else if (judged.all().count() as f64) < ROWS_SHARE * judged_s.max(judged.seconds.len() as f64)
    {
        finding.verdict = Err(Open::Gaps);
    } else {
        (finding.verdict, finding.eta_s) = not_back(case, &finding, &baseline, &bound, &judged);
    }
    finding
}

/// Which of the ways not to be back it is.
fn not_back(
    case: &Case,
    finding: &Finding,
    baseline: &Baseline,
    bound: &BoundOf,
    judged: &Seconds<'_>,
) -> (Result<RecoveryVerdict, Open>, Option<f64>) {
    let now = level(judged.all());
    let has_goodput = now.goodput_per_s > NO_GOODPUT * baseline.goodput_per_s;
    let target = baseline.connected_limit;
    if baseline.is_back(now.connected) {
        let verdict = if has_goodput || baseline.goodput_per_s == 0.0 {
            RecoveryVerdict::Slow
        } else {
            RecoveryVerdict::Collapsed
        };
        return (Ok(verdict), None);
    }
    let trend = trend::of(&judged.connected());
    // The mean is that of the middle.
    let eta_s = (target - now.connected) / trend.slope - judged.seconds.len() as f64 / 2.0;
    let eta_s = eta_s.max(1.0);
    if trend.rises && eta_s <= ON_ITS_WAY_BOUNDS * bound.bound_s.max(1.0) {
        return (Ok(RecoveryVerdict::Slow), Some(eta_s));
    }
    let seconds = judged.seconds.len() as f64;
    let last = judged.all().last();
    let missing = last.map_or(0.0, |row| target * row.gauges.powered as f64)
        - last.map_or(0.0, |row| row.gauges.connected as f64);
    let trying = missing.max(1.0) * seconds / case.longest_wait_s.max(1.0);
    let attempts: u64 = judged.all().map(|row| row.counters.attempts).sum();
    let verdict = if (attempts as f64) < TRYING_SHARE * trying {
        RecoveryVerdict::Stranded
    } else if finding.amplification.is_some_and(|a| a > AMPLIFIED)
        && now.waste.is_some_and(|waste| waste > WASTEFUL)
    {
        RecoveryVerdict::Metastable
    } else {
        RecoveryVerdict::Collapsed
    };
    (Ok(verdict), None)
}

/// `rows` as if no device had lost its power since the baseline: one that is dark is missing like any
/// other.
fn with_power_as_before(rows: &[Row], baseline: &Baseline) -> Vec<Row> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        row.gauges.powered = row.gauges.powered.max(baseline.powered);
    }
    rows
}

/// The seconds before a fault in which a fleet shows what it is like: all with the same devices
/// powered, back from the fault to its last clearing before, at most [`BASELINE_S_MAX`].
pub(super) fn plateau(rows: &[Row], undisturbed_s: f64, fault_s: f64) -> Vec<&Row> {
    let within = |row: &&Row| {
        let start_s = f64::from(row.second);
        // A second that ends as the fault begins may show at its end what the fault did.
        start_s >= undisturbed_s && start_s + 1.0 < fault_s
    };
    let mut plateau: Vec<&Row> = rows.iter().filter(within).collect();
    let powered = plateau.last().map_or(0, |row| row.gauges.powered);
    let ramped = plateau
        .iter()
        .rposition(|row| row.gauges.powered != powered);
    // The row in which the last device got power is the ramp's.
    let from = ramped.map_or(0, |last| last + 2).min(plateau.len());
    plateau.split_off(from.max(plateau.len().saturating_sub(BASELINE_S_MAX)))
}

/// What the fleet was like in the seconds of the plateau.
fn baseline(rows: &[Row], case: &Case) -> Result<Baseline, Open> {
    let plateau = plateau(rows, case.undisturbed_s, case.fault_s);
    if plateau.len() < BASELINE_S_MIN {
        return Err(Open::NoBaseline {
            seconds: plateau.len(),
        });
    }
    let last = &plateau[plateau.len().saturating_sub(RESTLESS_S)..];
    let lowest = last.iter().map(|row| connected(row)).fold(1.0, f64::min);
    let mut connected: Vec<f64> = plateau.iter().map(|row| connected(row)).collect();
    let connected = median(&mut connected).unwrap_or(0.0);
    if connected <= 0.0 {
        return Err(Open::NobodyConnected);
    }
    let powered = plateau.last().map_or(0, |row| row.gauges.powered);
    let best = best_before(rows, case.fault_s, powered);
    if connected < RESTLESS_SHARE * best {
        return Err(Open::Unsettled { connected, best });
    }
    let acked: u64 = plateau.iter().map(|row| acked(row)).sum();
    let worst = last
        .windows(SMOOTHED_S)
        .filter_map(|rows| p99(rows.iter().copied()));
    let ack_p99_us = p99(plateau.iter().copied());
    Ok(Baseline {
        seconds: plateau.len(),
        powered,
        connected,
        connected_limit: (CONNECTED_SHARE * connected).min(lowest.max(RESTLESS_SHARE * connected)),
        goodput_per_s: acked as f64 / plateau.len() as f64,
        ack_p99_us,
        ack_p99_limit_us: ack_p99_us.map_or(f64::INFINITY, |p99| {
            worst.fold(LATENCY_FACTOR * p99, f64::max)
        }),
    })
}

/// The highest mean share of `powered` devices that was connected over [`BASELINE_S_MIN`] seconds before
/// the fault.
fn best_before(rows: &[Row], fault_s: f64, powered: u64) -> f64 {
    let end = rows.partition_point(|row| f64::from(row.second) + 1.0 < fault_s);
    let of = |row: &Row| row.gauges.connected as f64 / powered.max(1) as f64;
    let means = rows[..end].windows(BASELINE_S_MIN);
    let means = means.map(|w| w.iter().map(of).sum::<f64>() / BASELINE_S_MIN as f64);
    means.fold(0.0, f64::max).min(1.0)
}

fn bound(rows: &[Row], case: &Case, baseline: &Baseline, after: &Seconds<'_>) -> BoundOf {
    let at_clearing = |row: &&Row| f64::from(row.second) + 1.0 <= case.clear_s;
    let at_clearing = rows.iter().rfind(at_clearing);
    let soon = after.first(case.longest_wait_s.ceil() as usize);
    let missing = |row: &Row| {
        let wanted = (baseline.connected * row.gauges.powered as f64).round() as u64;
        wanted.saturating_sub(row.gauges.connected)
    };
    let seen = at_clearing.into_iter().chain(soon.all()).map(missing).max();
    let down = case.cut_off.max(seen.unwrap_or(0));
    let best = rows.windows(SMOOTHED_S).map(|rows| {
        let connects: u64 = rows.iter().map(|row| row.counters.connects).sum();
        connects as f64 / SMOOTHED_S as f64
    });
    let best = best.fold(0.0, f64::max);
    let limit_rate_per_s = (case.rule.limit_rate_per_s).or_else(|| (best > 0.0).then_some(best));
    let by_rate_s = limit_rate_per_s.map_or(0.0, |rate| down as f64 / rate);
    let expected_s = f64::from(RecoveryRule::FACTOR) * by_rate_s.max(case.longest_wait_s);
    BoundOf {
        bound_s: (case.rule.within).map_or(expected_s, |within| within.as_secs_f64()),
        down,
        limit_rate_per_s,
    }
}

fn amplification(after: &Seconds<'_>, down: u64) -> Option<f64> {
    let attempts: u64 = after.all().map(|row| row.counters.attempts).sum();
    (down > 0).then(|| attempts as f64 / down as f64)
}

fn level<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> Level {
    let n = rows.clone().count().max(1) as f64;
    let sum = |of: fn(&Row) -> u64| rows.clone().map(of).sum::<u64>() as f64;
    let accepted = sum(|row| row.counters.connects);
    let ended = accepted + sum(|row| row.counters.attempt_failures);
    let of_ended = |part: f64| (ended > 0.0).then(|| part / ended);
    Level {
        connected: rows.clone().map(connected).sum::<f64>() / n,
        goodput_per_s: sum(acked) / n,
        ack_p99_us: p99(rows.clone()),
        waste: of_ended(sum(|row| row.counters.wasted)),
        accepted: of_ended(accepted),
    }
}

/// Consecutive seconds after the clearing, with their rows where there are any.
struct Seconds<'a> {
    from_s: f64,
    seconds: Vec<Option<&'a Row>>,
}

impl<'a> Seconds<'a> {
    /// The whole seconds from the clearing to the end of the window.
    fn of(rows: &'a [Row], case: &Case) -> Self {
        let (from, to) = (case.clear_s.ceil(), case.until_s.floor());
        let inside = |row: &&Row| {
            let start_s = f64::from(row.second);
            start_s >= from && start_s + 1.0 <= to
        };
        let mut seconds = Vec::new();
        for row in rows.iter().filter(inside) {
            let index = (f64::from(row.second) - from) as usize;
            if index >= seconds.len() {
                seconds.resize(index, None);
                seconds.push(Some(row));
            }
        }
        Self {
            from_s: from,
            seconds,
        }
    }

    fn first(&self, n: usize) -> Self {
        Self {
            from_s: self.from_s,
            seconds: self.seconds[..n.min(self.seconds.len())].to_vec(),
        }
    }

    fn from(&self, index: usize) -> Self {
        let index = index.min(self.seconds.len());
        Self {
            from_s: self.from_s + index as f64,
            seconds: self.seconds[index..].to_vec(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &'a Row> + Clone {
        self.rows(0, self.seconds.len())
    }

    fn rows(&self, from: usize, to: usize) -> impl Iterator<Item = &'a Row> + Clone {
        self.seconds[from..to].iter().flatten().copied()
    }

    /// The first of `hold` seconds in a row in each of which the fleet is as it was.
    fn held(&self, baseline: &Baseline, hold: usize) -> Option<usize> {
        let mut start = 0;
        for index in 0..self.seconds.len() {
            if !self.is_back(baseline, start, index) {
                start = index + 1;
            } else if index + 1 - start >= hold && self.was_served(baseline, start, index + 1) {
                return Some(start);
            }
        }
        None
    }

    /// Whether goodput is what it was over all of these seconds: over five of them, that of a small fleet
    /// may be nothing by chance.
    fn was_served(&self, baseline: &Baseline, from: usize, to: usize) -> bool {
        let rows = self.rows(from, to);
        let seconds = rows.clone().count() as f64;
        let got: u64 = rows.clone().map(acked).sum();
        let planned: u64 = rows.map(|row| row.counters.planned).sum();
        let wanted = GOODPUT_SHARE * (baseline.goodput_per_s * seconds).min(planned as f64);
        let any = got > 0 || planned == 0 || baseline.goodput_per_s == 0.0;
        any && got as f64 + GOODPUT_SIGMAS * wanted.sqrt() >= wanted
    }

    /// Whether the fleet is as it was in a second; what is smoothed is over seconds from `start` on,
    /// so that those before the recovery do not delay it.
    fn is_back(&self, baseline: &Baseline, start: usize, index: usize) -> bool {
        let Some(row) = self.seconds[index] else {
            return false;
        };
        if !baseline.is_back(connected(row)) {
            return false;
        }
        let smoothed = self.rows((index + 1).saturating_sub(SMOOTHED_S).max(start), index + 1);
        let seconds = smoothed.clone().count() as f64;
        let got: u64 = smoothed.clone().map(acked).sum();
        let planned: u64 = smoothed.clone().map(|row| row.counters.planned).sum();
        // A schedule that wants less at this moment, such as an aligned one, lowers no goodput.
        let wanted = GOODPUT_SHARE * (baseline.goodput_per_s * seconds).min(planned as f64);
        got as f64 + GOODPUT_SIGMAS * wanted.sqrt() >= wanted
            && p99(smoothed).is_none_or(|p99| p99 <= baseline.ack_p99_limit_us)
    }

    /// Means of the connected fraction over pieces of [`SMOOTHED_S`] seconds or, of a long stretch,
    /// of more.
    fn connected(&self) -> Vec<(f64, f64)> {
        let piece = self
            .seconds
            .len()
            .div_ceil(TREND_POINTS_MAX)
            .max(SMOOTHED_S);
        let pieces = self.seconds.chunks_exact(piece).enumerate();
        let mean = |(index, rows): (usize, &[Option<&Row>])| {
            let at = |share: f64| (index as f64 + share) * piece as f64;
            let known = rows.iter().flatten().count();
            let sum: f64 = rows.iter().flatten().map(|row| connected(row)).sum();
            (known > 0).then(|| (at(0.5), sum / known as f64))
        };
        pieces.filter_map(mean).collect()
    }
}

/// Devices connected over devices with power; without power none is.
fn connected(row: &Row) -> f64 {
    if row.gauges.powered == 0 {
        return 0.0;
    }
    row.gauges.connected as f64 / row.gauges.powered as f64
}

const fn acked(row: &Row) -> u64 {
    row.counters.acked + row.counters.written
}

/// Median of the 99th percentiles of the seconds that have one.
fn p99<'a>(rows: impl Iterator<Item = &'a Row>) -> Option<f64> {
    let mut values: Vec<f64> = (rows.filter_map(|row| row.ack.p99_us))
        .map(|us| us as f64)
        .collect();
    median(&mut values)
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

//! The verdict on a recovery in words, with the figures it rests on.

use super::detector::{BASELINE_S_MIN, Case, Finding, Open};
use crate::report::units;
use crate::scenario::recovery::{RecoveryRule, RecoveryVerdict};

/// Seconds of a baseline that leave no doubt about it.
const BASELINE_S_WANTED: usize = 60;

/// The verdict and why.
pub(super) fn reason(case: &Case, finding: &Finding, ends_by_fault: bool) -> String {
    let verdict = match finding.verdict {
        Ok(verdict) => verdict,
        Err(open) => return undecided(case, open, ends_by_fault),
    };
    let now = finding.level.map_or_else(String::new, |level| {
        format!(
            "{} of the devices are connected",
            units::ratio(level.connected)
        )
    });
    let after = units::time_s(case.until_s - case.clear_s);
    let is_connected = (finding.level.zip(finding.baseline))
        .is_some_and(|(now, before)| before.is_back(now.connected));
    match verdict {
        RecoveryVerdict::Recovered => format!(
            "recovered {} after the fault cleared, and stayed so for {}",
            seconds(finding.recovered_after_s),
            units::time_s(case.rule.hold.as_secs_f64())
        ),
        RecoveryVerdict::Slow => match (finding.recovered_after_s, finding.eta_s) {
            (Some(recovered_s), _) => format!(
                "slow: the fleet was back {} after the fault cleared, later than the {} that it may take",
                units::time_s(recovered_s),
                seconds(finding.bound.map(|bound| bound.bound_s))
            ),
            (None, Some(eta_s)) => format!(
                "slow: {after} after the fault cleared {now} and their number rises; at this pace it takes {} more",
                units::time_s(eta_s)
            ),
            (None, None) => format!(
                "slow: {after} after the fault cleared {now} as before, but goodput or latency is not what it was"
            ),
        },
        RecoveryVerdict::Metastable => format!(
            "metastable: {after} after the fault cleared {now} and their number does not rise; the target is busy with attempts whose devices have given them up"
        ),
        RecoveryVerdict::Collapsed if is_connected => format!(
            "collapsed: {after} after the fault cleared {now} as before, but next to none of their publishes is acknowledged"
        ),
        RecoveryVerdict::Collapsed => {
            let accepted = finding
                .level
                .and_then(|level| level.accepted)
                .unwrap_or(0.0);
            let share = units::ratio(accepted);
            let end = if accepted < 0.5 {
                format!("{share} of the attempts that end are accepted")
            } else {
                format!("{share} of the attempts are accepted, but their connections end again")
            };
            format!(
                "collapsed: {after} after the fault cleared {now}, their number does not rise, and {end}"
            )
        }
        RecoveryVerdict::Stranded => format!(
            "stranded: {after} after the fault cleared {now}, and those that are missing have stopped trying"
        ),
    }
}

fn undecided(case: &Case, open: Open, ends_by_fault: bool) -> String {
    match open {
        Open::NoBaseline { seconds } => format!(
            "undecided: only {} before the fault are undisturbed, and {BASELINE_S_MIN} are needed to know what the fleet was like",
            units::counted(seconds as u64, "second")
        ),
        Open::NobodyConnected => "undecided: nobody was connected before the fault".to_owned(),
        Open::Unsettled { connected, best } => format!(
            "undecided: before the fault {} of the devices were connected, of {} at their best: the fleet was still coming back",
            units::ratio(connected),
            units::ratio(best)
        ),
        Open::TooShort { needed_s } => {
            let what = if ends_by_fault {
                "another fault began"
            } else {
                "the run ended"
            };
            format!(
                "undecided: the fleet had not recovered when {what} {} after the clearing, too early to tell; that takes {}",
                units::time_s(case.until_s - case.clear_s),
                units::time_s(needed_s - case.clear_s)
            )
        }
        Open::Gaps => "undecided: too many seconds of the series are missing".to_owned(),
    }
}

/// What it rests on: before, the bound, then and now.
pub(super) fn basis(case: &Case, finding: &Finding) -> Vec<String> {
    let mut basis = Vec::new();
    if let Some(before) = &finding.baseline {
        let thin = if before.seconds < BASELINE_S_WANTED {
            format!(" (thin: {BASELINE_S_WANTED} are wanted)")
        } else {
            String::new()
        };
        basis.push(format!(
            "Before the fault, over {}{thin}: {}.",
            units::counted(before.seconds as u64, "second"),
            level(before.connected, before.goodput_per_s, before.ack_p99_us)
        ));
    }
    basis.extend(bound(case, finding));
    if let Some(now) = &finding.level {
        let when = match finding.recovered_after_s {
            Some(_) => "In the seconds it was held",
            None => "In the last seconds looked at",
        };
        basis.push(format!(
            "{when}: {}.",
            level(now.connected, now.goodput_per_s, now.ack_p99_us)
        ));
        let waste = now.waste.map_or_else(
            || "no attempt ended then".to_owned(),
            |waste| format!("{} of the attempts that ended then timed out after their CONNECT was written (wasted)", units::ratio(waste)),
        );
        let attempts = finding.amplification.map_or_else(
            || "No device had to come back".to_owned(),
            |n| format!("{n:.1} attempts per device that had to come back"),
        );
        basis.push(format!("{attempts}; {waste}."));
    }
    basis
}

fn bound(case: &Case, finding: &Finding) -> Option<String> {
    let bound = finding.bound?;
    let bound_s = units::time_s(bound.bound_s);
    if case.rule.within.is_some() {
        return Some(format!("The scenario allows {bound_s}."));
    }
    let wait_s = units::time_s(case.longest_wait_s);
    let factor = RecoveryRule::FACTOR;
    let down = units::counted(bound.down, "device");
    let by_rate = bound.limit_rate_per_s.map_or_else(
        || format!("{down} to come back at an unknown rate, as no connect was seen"),
        |rate| {
            let whose = if case.rule.limit_rate_per_s.is_some() {
                "the scenario's limit rate"
            } else {
                "the best 5 s of the run"
            };
            let time_s = units::time_s(bound.down as f64 / rate);
            format!("{down} to come back at {rate:.1} connects/s ({whose}) = {time_s}")
        },
    );
    let within = match finding.recovered_after_s {
        Some(recovered_s) if recovered_s > bound.bound_s => "; the recovery took longer",
        Some(_) | None => "",
    };
    Some(format!(
        "Expected within {bound_s} = {factor} x the longer of {by_rate}, and the longest backoff with its connect timeout, {wait_s}{within}."
    ))
}

fn level(connected: f64, goodput_per_s: f64, ack_p99_us: Option<f64>) -> String {
    let p99 = ack_p99_us.map_or_else(
        || "no acknowledgement".to_owned(),
        |us| format!("p99 {}", units::time_s(us / 1e6)),
    );
    format!(
        "{} connected, {goodput_per_s:.1} publishes/s acknowledged, {p99}",
        units::ratio(connected)
    )
}

fn seconds(s: Option<f64>) -> String {
    s.map_or_else(|| "?".to_owned(), units::time_s)
}

//! What becomes of a storm, as objectives: how much of the connection attempts was for nothing, and
//! what the recovery came to.

use super::{Measured, Value, events_unit};
use crate::report::data::RunData;
use crate::report::value::{Objective, Verdict};
use crate::report::{recovery, units, window};
use crate::scenario::recovery::RecoveryVerdict;
use crate::scenario::slo::{self, Window};

/// The verdict on the recovery, held against the word that it must be.
pub(super) fn judge(run: &RunData, objective: &slo::Objective, word: RecoveryVerdict) -> Objective {
    let found = match &objective.window {
        Window::After(phase) => recovery::after_phase(run, *phase),
        Window::Run | Window::During(_) => None,
    };
    let (verdict, value_text, reason, events) = match found {
        None => (
            Verdict::NoData,
            "n/a".to_owned(),
            "no fault cleared that the fleet could recover from".to_owned(),
            0,
        ),
        Some((found, told)) => {
            let lost = run.lost.first().map(|(process, ..)| process);
            let verdict = match (found, lost) {
                (_, Some(_)) | (None, None) => Verdict::Inconclusive,
                (Some(found), None) if found == word => Verdict::Pass,
                (Some(_), None) => Verdict::Fail,
            };
            let lost = lost.map_or_else(String::new, |process| {
                format!("; {process} was lost, and its share with it")
            });
            let reason = format!("{}{lost}", told.reason);
            let down = told.down.unwrap_or(0);
            (verdict, told.verdict.to_owned(), reason, down)
        }
    };
    Objective {
        name: objective.name.clone(),
        indicator: objective.indicator.name(),
        statistic: String::new(),
        window: window::of(&run.plan, objective),
        bound: "is",
        target: None,
        target_text: format!("is {}", word.name()),
        value: None,
        value_text,
        unit: "word",
        events,
        events_unit: events_unit(objective.indicator),
        verdict,
        word: verdict.word(run.header.mode),
        interval: None,
        limit_used: None,
        spans_s: window::spans_s(&run.plan, &objective.window),
        reason,
    }
}

/// Attempts that timed out after their CONNECT was written, over all attempts that ended.
pub(super) fn connect_wasted(run: &RunData, objective: &slo::Objective) -> Measured {
    let Some(outcome) = &run.outcome else {
        return Measured::Nothing("the run left no outcome".to_owned());
    };
    let phases = window::phases(&run.plan, &objective.window);
    if phases.is_empty() {
        return Measured::Nothing("no whole phase lies in the window".to_owned());
    }
    let attempts = (phases.iter()).filter_map(|&p| outcome.totals.attempts.get(p));
    let (all, wasted) = attempts.fold((0, 0), |(all, wasted), counts| {
        (
            all + counts.accepted + counts.failed,
            wasted + counts.wasted,
        )
    });
    if all == 0 {
        return Measured::Nothing("no attempt of the window ended".to_owned());
    }
    Measured::Value(Value {
        remark: format!(
            " ({} of {} attempts timed out after their CONNECT was written)",
            units::count(wasted),
            units::count(all)
        ),
        ..Value::new(wasted as f64 / all as f64, all)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::report::objective;
    use crate::scenario::slo::{Bound, Indicator, Limit, Statistic};
    use crate::time::Instant;

    fn judged(run: &RunData, indicator: Indicator, bound: Bound, window: Window) -> Objective {
        let objective = fixture::objective("o", indicator, Statistic::Value, bound, window);
        objective::judge(run, &objective)
    }

    #[test]
    fn wasted_attempts_are_a_share_of_those_that_ended() {
        let mut run = fixture::quickstart();
        let wasted = |run: &RunData, limit, window| {
            let bound = Bound::AtMost(Limit::Ratio(limit));
            judged(run, Indicator::ConnectWasted, bound, window)
        };
        let none = wasted(&run, 0.0, Window::Run);
        assert_eq!((none.verdict, none.value), (Verdict::Pass, Some(0.0)));
        assert_eq!(none.events, 10_000 + 9_000 + 4_990);
        let outcome = run.outcome.as_mut().expect("the fixture has an outcome");
        (
            outcome.totals.attempts[3].failed,
            outcome.totals.attempts[3].wasted,
        ) = (10, 5);
        for (limit, window, verdict) in [
            (0.001, Window::After(2), Verdict::Pass),
            (0.000_999, Window::After(2), Verdict::Fail),
            (0.000_999, Window::During(vec![3]), Verdict::Fail),
            (0.0, Window::During(vec![0]), Verdict::Pass),
            // No attempt ended in the steady phase.
            (0.5, Window::During(vec![1]), Verdict::NoData),
        ] {
            let found = wasted(&run, limit, window.clone());
            assert_eq!(
                found.verdict, verdict,
                "{limit} {window:?}: {}",
                found.reason
            );
        }
        run.outcome = None;
        assert_eq!(wasted(&run, 1.0, Window::Run).verdict, Verdict::NoData);
    }

    /// As the fixture, with the fleet long back.
    fn back() -> RunData {
        let mut run = fixture::quickstart();
        for row in &mut run.series.rows[85..] {
            row.gauges.connected = row.gauges.powered;
            row.ack = run_ack();
        }
        run
    }

    fn run_ack() -> crate::stats::series::Percentiles {
        crate::stats::series::Percentiles {
            p99_us: Some(1_000),
            ..Default::default()
        }
    }

    fn is(run: &RunData, word: RecoveryVerdict) -> Objective {
        judged(
            run,
            Indicator::RecoveryVerdict,
            Bound::Is(word),
            Window::After(2),
        )
    }

    #[test]
    fn a_verdict_is_held_against_its_word() {
        let found = is(&back(), RecoveryVerdict::Recovered);
        assert_eq!(found.verdict, Verdict::Pass, "{}", found.reason);
        assert_eq!(
            (found.value, found.target, found.unit),
            (None, None, "word")
        );
        assert_eq!(
            (&*found.value_text, &*found.target_text),
            ("recovered", "is recovered")
        );
        assert_eq!((found.bound, found.events), ("is", 4_990));
        let other = is(&back(), RecoveryVerdict::Stranded);
        assert_eq!(other.verdict, Verdict::Fail);
    }

    #[test]
    fn what_cannot_be_told_is_neither_right_nor_wrong() {
        let mut cut = back();
        cut.series.rows.truncate(100);
        cut.outcome = None;
        let mut lost = back();
        lost.lost.push((
            "worker 1".to_owned(),
            Instant::from_ns(1),
            "killed".to_owned(),
        ));
        for run in [&cut, &lost] {
            for word in RecoveryVerdict::ALL {
                let found = is(run, word);
                assert_eq!(found.verdict, Verdict::Inconclusive, "{}", found.reason);
            }
        }
        let mut calm = back();
        calm.plan.faults.clear();
        assert_eq!(
            is(&calm, RecoveryVerdict::Recovered).verdict,
            Verdict::NoData
        );
    }
}

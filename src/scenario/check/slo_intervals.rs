//! Objectives that count by intervals, as contracts do: `interval` and `bad_when`.

use super::Checker;
use super::slos::Sort;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::slo::{Indicator, Statistic};
use std::time::Duration;

/// The interval of AWS IoT Core's service level agreement.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(300);

impl Checker<'_> {
    /// The interval: whole seconds, as the series is.
    pub(super) fn interval(&mut self, slo: &mirror::Slo) -> Option<Statistic> {
        let Some(written) = &slo.interval else {
            return Some(Statistic::Intervals(DEFAULT_INTERVAL));
        };
        let interval = written.value.0;
        if interval.is_zero() || interval.subsec_nanos() > 0 {
            self.error(
                written.span,
                "an interval is a whole number of seconds",
                "write for example `interval: 5min`",
            );
            return None;
        }
        Some(Statistic::Intervals(interval))
    }

    /// The share of failures that makes a minute bad.
    pub(super) fn bad_when(&mut self, slo: &mirror::Slo) -> Option<Statistic> {
        let Some(written) = &slo.bad_when else {
            return Some(Statistic::BadMinutes(1.0));
        };
        let share = written.value.0;
        if share <= 0.0 {
            self.error(
                written.span,
                "every minute would be bad",
                "write a share above 0%, such as `bad_when: 50%`",
            );
            return None;
        }
        Some(Statistic::BadMinutes(share))
    }

    /// Words that another indicator takes.
    pub(super) fn misplaced_words(
        &mut self,
        slo: &At<mirror::Slo>,
        indicator: Indicator,
        sort: Sort,
    ) {
        let name = indicator.name();
        if let Some(interval) = slo.value.interval.as_ref()
            && sort != Sort::Intervals
        {
            self.error(
                interval.span,
                format!("{name} is not averaged over intervals"),
                "remove `interval`, or judge availability.interval_average",
            );
        }
        let has_mean = matches!(sort, Sort::Age | Sort::Footprint);
        if let Some(statistic) = slo.value.statistic.as_ref()
            && (!has_mean || slo.value.percentile.is_some())
        {
            let (message, help) = if has_mean {
                let message = "`percentile` and `statistic` exclude each other".to_owned();
                (message, "keep one of them")
            } else {
                let message = format!("{name} is not judged by its mean");
                (message, "remove `statistic`")
            };
            self.error(statistic.span, message, help);
        }
        if let Some(share) = slo.value.bad_when.as_ref()
            && sort != Sort::Minutes
        {
            self.error(
                share.span,
                format!("{name} counts no bad minutes"),
                "remove `bad_when`, or judge availability.bad_minutes",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scenario::file::{self, Overrides, Secrets};
    use crate::scenario::slo::{Bound, Limit, Objective, Statistic, Window};
    use std::path::Path;
    use std::time::Duration;

    fn objectives(slos: &[&str]) -> Vec<Objective> {
        let slos: Vec<String> = (slos.iter().enumerate())
            .map(|(i, slo)| format!("  - {{ name: o{i}, {slo} }}\n"))
            .collect();
        let text = format!(
            "name: words\nfleet:\n  - {{ cohort: m, devices: 10 }}\nphases:\n  - {{ name: ramp, power_on: \
             {{ rate: 10/s }} }}\n  - {{ name: cut, for: 10s, faults: [{{ outage: reset }}] }}\nslos:\n{}",
            slos.concat()
        );
        let overrides = Overrides::default();
        let plan = file::parse("words", &text, Path::new("."), &overrides, Secrets::Ignore);
        plan.map_err(|errors| errors.to_string())
            .expect("the words are right")
            .objectives
    }

    #[test]
    fn the_words_of_recovery_and_of_contracts() {
        let parsed = objectives(&[
            "indicator: reconnect.peak_rate, at_most: 600/min, after: cut",
            "indicator: retry.amplification, at_most: 6, after: cut",
            "indicator: retry.amplification, at_most: 1.5x, after: cut",
            "indicator: session.resume_ratio, at_least: 95%",
            "indicator: session.resume_ratio, at_least: 95%, after: cut",
            "indicator: session.resume_ratio, at_least: 95%, during: [cut]",
            "indicator: availability.interval_average, at_least: 99.9%",
            "indicator: availability.interval_average, interval: 1min, at_least: 99.9%, during: [cut]",
            "indicator: availability.bad_minutes, at_most: 0",
            "indicator: availability.bad_minutes, bad_when: 50%, at_most: 2",
            "indicator: freshness.age, statistic: mean, at_most: 2min",
            "indicator: freshness.age, percentile: 99, at_most: 2min, during: [cut]",
        ]);
        let minutes = |m: u64| Statistic::Intervals(Duration::from_secs(60 * m));
        let expected = [
            (
                Statistic::Value,
                Bound::AtMost(Limit::Rate(10.0)),
                Window::After(1),
            ),
            (
                Statistic::Value,
                Bound::AtMost(Limit::Factor(6.0)),
                Window::After(1),
            ),
            (
                Statistic::Value,
                Bound::AtMost(Limit::Factor(1.5)),
                Window::After(1),
            ),
            (
                Statistic::Value,
                Bound::AtLeast(Limit::Ratio(0.95)),
                Window::Run,
            ),
            (
                Statistic::Value,
                Bound::AtLeast(Limit::Ratio(0.95)),
                Window::After(1),
            ),
            (
                Statistic::Value,
                Bound::AtLeast(Limit::Ratio(0.95)),
                Window::During(vec![1]),
            ),
            (minutes(5), Bound::AtLeast(Limit::Ratio(0.999)), Window::Run),
            (
                minutes(1),
                Bound::AtLeast(Limit::Ratio(0.999)),
                Window::During(vec![1]),
            ),
            (
                Statistic::BadMinutes(1.0),
                Bound::AtMost(Limit::Count(0)),
                Window::Run,
            ),
            (
                Statistic::BadMinutes(0.5),
                Bound::AtMost(Limit::Count(2)),
                Window::Run,
            ),
            (
                Statistic::Mean,
                Bound::AtMost(Limit::Time(Duration::from_secs(120))),
                Window::Run,
            ),
            (
                Statistic::Percentile(99.0),
                Bound::AtMost(Limit::Time(Duration::from_secs(120))),
                Window::During(vec![1]),
            ),
        ];
        assert_eq!(parsed.len(), expected.len());
        for (objective, (statistic, bound, window)) in parsed.into_iter().zip(expected) {
            let found = (objective.statistic, objective.bound, objective.window);
            assert_eq!(found, (statistic, bound, window), "{}", objective.name);
        }
    }
}

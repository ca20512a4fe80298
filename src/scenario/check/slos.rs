//! Objectives: that statistic, limit and window fit the indicator.

use super::Checker;
use crate::scenario::located::At;
use crate::scenario::mirror::{self, IndicatorWord};
use crate::scenario::plan::Plan;
use crate::scenario::quantity::{parse_factor, parse_rate, parse_share, parse_time};
use crate::scenario::slo::{Bound, Indicator, Limit, Objective, Statistic, Window};

/// Most objectives.
const MAX_SLOS: usize = 1_000;
/// Longest name of an objective in bytes.
const MAX_SLO_NAME: usize = 200;

/// What an indicator is, and so what may be asked of it.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) enum Sort {
    /// A latency per event.
    Latency,
    /// Time until devices came back from a fault.
    Recovery,
    /// Devices that did not come back from a fault.
    Stranded,
    /// What became of a fleet after a fault.
    Verdict,
    /// A ratio of which more is better.
    Ratio,
    /// A ratio of which less is better.
    Waste,
    /// A number of messages of the whole run.
    Delivery,
    /// A rate after a fault's clearing.
    PeakRate,
    /// A factor that a fault causes.
    Amplification,
    /// A ratio of phases, or after a fault's clearing.
    Resume,
    /// A ratio, averaged over intervals.
    Intervals,
    /// A number of minutes.
    Minutes,
}

impl Sort {
    /// Whether more is better.
    const fn has_lower_limit(self) -> bool {
        matches!(self, Self::Ratio | Self::Resume | Self::Intervals)
    }

    const fn example(self) -> &'static str {
        match self {
            Self::Latency => "at_most: 250ms",
            Self::Recovery => "at_most: 60s",
            Self::Stranded | Self::Delivery | Self::Minutes => "at_most: 0",
            Self::Ratio | Self::Resume | Self::Intervals => "at_least: 99.9%",
            Self::Waste => "at_most: 1%",
            Self::Verdict => "is: recovered",
            Self::PeakRate => "at_most: 500/s",
            Self::Amplification => "at_most: 6",
        }
    }
}

impl Sort {
    /// What an indicator is that has no statistic.
    const fn noun(self) -> &'static str {
        match self {
            Self::Verdict => "a word",
            Self::Latency
            | Self::Recovery
            | Self::Stranded
            | Self::Ratio
            | Self::Waste
            | Self::Delivery
            | Self::PeakRate
            | Self::Amplification
            | Self::Resume
            | Self::Intervals
            | Self::Minutes => "one number",
        }
    }
}

impl Checker<'_> {
    pub(super) fn slos(&mut self, file: &mirror::File, plan: &Plan) -> Vec<Objective> {
        let slos = file.slos.as_deref().unwrap_or_default();
        self.unique("slo", slos.iter().map(|slo| &slo.value.name));
        if let Some(slo) = slos.get(MAX_SLOS) {
            self.error(
                slo.value.name.span,
                format!("more than {MAX_SLOS} slos"),
                "remove some",
            );
        }
        slos.iter()
            .take(MAX_SLOS)
            .filter_map(|slo| self.slo(slo, file, plan))
            .collect()
    }

    fn slo(
        &mut self,
        slo: &At<mirror::Slo>,
        file: &mirror::File,
        plan: &Plan,
    ) -> Option<Objective> {
        let written = &slo.value;
        let name = &written.name;
        let control = name.value.chars().any(char::is_control);
        if name.value.trim().is_empty() || name.value.len() > MAX_SLO_NAME || control {
            self.error(
                name.span,
                "this is not a name for people",
                format!("write one line of at most {MAX_SLO_NAME} bytes"),
            );
        }
        let indicator = indicator(written.indicator.value);
        let sort = sort(indicator);
        let statistic = self.statistic(slo, indicator, sort);
        self.misplaced_words(slo, indicator, sort);
        let bound = self.bound(slo, indicator, sort);
        let window = self.window(slo, indicator, sort, file, plan);
        Some(Objective {
            name: name.value.clone(),
            indicator,
            statistic: statistic?,
            bound: bound?,
            window: window?,
        })
    }

    fn statistic(
        &mut self,
        slo: &At<mirror::Slo>,
        indicator: Indicator,
        sort: Sort,
    ) -> Option<Statistic> {
        let name = indicator.name();
        let written = &slo.value;
        match (&written.percentile, &written.share, sort) {
            (Some(percentile), None, Sort::Latency | Sort::Recovery) => {
                let value = percentile.value.0;
                if value > 0.0 && value <= 100.0 {
                    return Some(Statistic::Percentile(value));
                }
                self.error(
                    percentile.span,
                    format!("there is no percentile {value}"),
                    "write a number above 0 and up to 100, such as 99 or 99.9",
                );
            }
            (None, Some(share), Sort::Recovery) => {
                if share.value.0 > 0.0 {
                    return Some(Statistic::Share(share.value.0));
                }
                self.error(share.span, "a share of nobody", "write for example 99%");
            }
            (
                None,
                None,
                Sort::Stranded
                | Sort::Verdict
                | Sort::Ratio
                | Sort::Waste
                | Sort::Delivery
                | Sort::PeakRate
                | Sort::Amplification
                | Sort::Resume,
            ) => {
                return Some(Statistic::Value);
            }
            (None, None, Sort::Intervals) => return self.interval(written),
            (None, None, Sort::Minutes) => return self.bad_when(written),
            (None, None, Sort::Latency) => {
                self.absent(
                    slo.span,
                    format!("{name} needs a percentile"),
                    "add `percentile: 99`",
                );
            }
            (None, None, Sort::Recovery) => {
                self.absent(
                    slo.span,
                    format!("{name} needs a share or a percentile"),
                    "add `share: 99%`",
                );
            }
            (Some(_), Some(share), _) => {
                self.error(
                    share.span,
                    "`percentile` and `share` exclude each other",
                    "keep one of them",
                );
            }
            (Some(At { span, .. }), None, _) => {
                let message = format!("{name} is {} and has no percentile", sort.noun());
                self.error(*span, message, "remove `percentile`");
            }
            (None, Some(At { span, .. }), Sort::Latency) => {
                let message = format!("{name} is judged by a percentile over events");
                self.error(*span, message, "write `percentile: 99` instead of `share`");
            }
            (None, Some(At { span, .. }), _) => {
                let message = format!("{name} is {} and has no share", sort.noun());
                self.error(*span, message, "remove `share`");
            }
        }
        None
    }

    fn bound(&mut self, slo: &At<mirror::Slo>, indicator: Indicator, sort: Sort) -> Option<Bound> {
        let name = indicator.name();
        if sort == Sort::Verdict {
            return self.verdict_bound(slo);
        }
        let lower = sort.has_lower_limit();
        let example = sort.example();
        self.no_word(slo, name, example);
        let (limit, wrong) = match (&slo.value.at_most, &slo.value.at_least) {
            (Some(limit), None) => (limit, lower),
            (None, Some(limit)) => (limit, !lower),
            (Some(_), Some(limit)) => {
                self.error(
                    limit.span,
                    "`at_most` and `at_least` exclude each other",
                    format!("keep `{example}`"),
                );
                return None;
            }
            (None, None) => {
                self.absent(
                    slo.span,
                    format!("{name} has no limit"),
                    format!("add `{example}`"),
                );
                return None;
            }
        };
        if wrong {
            let better = if lower { "more" } else { "less" };
            self.error(
                limit.span,
                format!("{better} is better for {name}"),
                format!("write for example `{example}`"),
            );
            return None;
        }
        let text = limit.value.0.as_str();
        let parsed = match sort {
            Sort::Latency | Sort::Recovery => parse_time(text).map(Limit::Time),
            Sort::Ratio | Sort::Waste | Sort::Resume | Sort::Intervals => {
                parse_share(text).map(Limit::Ratio)
            }
            Sort::PeakRate => parse_rate(text).map(Limit::Rate),
            Sort::Amplification => parse_factor(text).map(Limit::Factor),
            Sort::Verdict | Sort::Stranded | Sort::Delivery | Sort::Minutes => {
                text.parse().map(Limit::Count).map_err(|_| {
                    (
                        format!("`{text}` is not a whole number"),
                        format!("{name} is a count: write for example `at_most: 0`"),
                    )
                })
            }
        };
        match parsed {
            Ok(limit) if lower => Some(Bound::AtLeast(limit)),
            Ok(limit) => Some(Bound::AtMost(limit)),
            Err((message, help)) => {
                self.error(limit.span, message, help);
                None
            }
        }
    }

    fn window(
        &mut self,
        slo: &At<mirror::Slo>,
        indicator: Indicator,
        sort: Sort,
        file: &mirror::File,
        plan: &Plan,
    ) -> Option<Window> {
        let name = indicator.name();
        match (&slo.value.during, &slo.value.after, sort) {
            (
                None,
                None,
                Sort::Latency
                | Sort::Ratio
                | Sort::Waste
                | Sort::Delivery
                | Sort::Resume
                | Sort::Intervals
                | Sort::Minutes,
            ) => Some(Window::Run),
            (
                Some(during),
                None,
                Sort::Latency
                | Sort::Ratio
                | Sort::Waste
                | Sort::Resume
                | Sort::Intervals
                | Sort::Minutes,
            ) => self.during(during, plan),
            (
                None,
                Some(after),
                Sort::Recovery
                | Sort::Stranded
                | Sort::Verdict
                | Sort::PeakRate
                | Sort::Amplification
                | Sort::Resume
                | Sort::Waste,
            ) => self.after(after, file, plan),
            (Some(_), Some(after), Sort::Resume | Sort::Waste) => {
                self.error(
                    after.span,
                    "`during` and `after` exclude each other",
                    "keep one of them",
                );
                None
            }
            (
                None,
                None,
                Sort::Recovery
                | Sort::Stranded
                | Sort::Verdict
                | Sort::PeakRate
                | Sort::Amplification,
            ) => {
                self.absent(
                    slo.span,
                    format!("{name} is measured from the clearing of a fault"),
                    "add `after: <the phase with the fault>`",
                );
                None
            }
            (
                Some(during),
                _,
                Sort::Recovery
                | Sort::Stranded
                | Sort::Verdict
                | Sort::PeakRate
                | Sort::Amplification,
            ) => {
                self.error(
                    during.span,
                    format!("{name} is measured from the clearing of a fault"),
                    "write `after: <the phase with the fault>` instead of `during`",
                );
                None
            }
            (Some(during), _, Sort::Delivery) => {
                self.error(
                    during.span,
                    format!("{name} counts over the whole run"),
                    "remove `during`",
                );
                None
            }
            (_, Some(after), Sort::Latency | Sort::Ratio | Sort::Intervals | Sort::Minutes) => {
                self.error(
                    after.span,
                    format!("{name} is measured per phase"),
                    "write `during: [<phases>]` instead of `after`",
                );
                None
            }
            (None, Some(after), Sort::Delivery) => {
                self.error(
                    after.span,
                    format!("{name} counts over the whole run"),
                    "remove `after`",
                );
                None
            }
        }
    }

    fn during(&mut self, during: &At<Vec<At<String>>>, plan: &Plan) -> Option<Window> {
        if during.value.is_empty() {
            self.error(
                during.span,
                "no phase is named",
                "name one, or remove `during`",
            );
        }
        let mut phases = Vec::new();
        for name in &during.value {
            if let Some(phase) = self.phase_index(name, plan) {
                phases.push(phase);
            }
        }
        phases.sort_unstable();
        phases.dedup();
        Some(Window::During(phases))
    }

    fn after(&mut self, after: &At<String>, file: &mirror::File, plan: &Plan) -> Option<Window> {
        let phase = self.phase_index(after, plan)?;
        let phases = file.phases.iter().flat_map(|list| &list.value);
        let with_fault: Vec<bool> = phases.map(|p| !p.value.faults.is_empty()).collect();
        if with_fault.get(phase) == Some(&false) && self.pruned.is_empty() {
            let with: Vec<&str> = (0..plan.phases.len())
                .filter(|index| with_fault[*index])
                .map(|index| plan.phases[index].name.as_str())
                .collect();
            let help = if with.is_empty() {
                "no phase has one: add `faults` to it".to_owned()
            } else {
                format!("name a phase with a fault: {}", with.join(", "))
            };
            let message = format!("the phase `{}` has no fault to come back from", after.value);
            self.error(after.span, message, help);
        }
        Some(Window::After(phase))
    }

    fn phase_index(&mut self, name: &At<String>, plan: &Plan) -> Option<usize> {
        let found = plan
            .phases
            .iter()
            .position(|phase| phase.name == name.value);
        if found.is_none() && !self.pruned.items_of("phases") {
            let known: Vec<&str> = plan.phases.iter().map(|p| p.name.as_str()).collect();
            self.unknown("phase", name, &known);
        }
        found
    }
}

const fn sort(indicator: Indicator) -> Sort {
    match indicator {
        Indicator::ConnectLatency | Indicator::PublishAckLatency | Indicator::E2eLatency => {
            Sort::Latency
        }
        Indicator::ReconnectTime => Sort::Recovery,
        Indicator::ReconnectStranded => Sort::Stranded,
        Indicator::RecoveryVerdict => Sort::Verdict,
        Indicator::ConnectSuccess | Indicator::FleetAvailability => Sort::Ratio,
        Indicator::ConnectWasted => Sort::Waste,
        Indicator::DeliveryLost | Indicator::DeliveryDuplicated | Indicator::DeliveryReordered => {
            Sort::Delivery
        }
        Indicator::ReconnectPeakRate => Sort::PeakRate,
        Indicator::RetryAmplification => Sort::Amplification,
        Indicator::SessionResumeRatio => Sort::Resume,
        Indicator::AvailabilityIntervalAverage => Sort::Intervals,
        Indicator::AvailabilityBadMinutes => Sort::Minutes,
    }
}

const fn indicator(word: IndicatorWord) -> Indicator {
    match word {
        IndicatorWord::ConnectLatency => Indicator::ConnectLatency,
        IndicatorWord::ConnectSuccess => Indicator::ConnectSuccess,
        IndicatorWord::ConnectWasted => Indicator::ConnectWasted,
        IndicatorWord::ReconnectTime => Indicator::ReconnectTime,
        IndicatorWord::ReconnectStranded => Indicator::ReconnectStranded,
        IndicatorWord::RecoveryVerdict => Indicator::RecoveryVerdict,
        IndicatorWord::PublishAckLatency => Indicator::PublishAckLatency,
        IndicatorWord::E2eLatency => Indicator::E2eLatency,
        IndicatorWord::DeliveryLost => Indicator::DeliveryLost,
        IndicatorWord::DeliveryDuplicated => Indicator::DeliveryDuplicated,
        IndicatorWord::DeliveryReordered => Indicator::DeliveryReordered,
        IndicatorWord::FleetAvailability => Indicator::FleetAvailability,
        IndicatorWord::ReconnectPeakRate => Indicator::ReconnectPeakRate,
        IndicatorWord::RetryAmplification => Indicator::RetryAmplification,
        IndicatorWord::SessionResumeRatio => Indicator::SessionResumeRatio,
        IndicatorWord::AvailabilityIntervalAverage => Indicator::AvailabilityIntervalAverage,
        IndicatorWord::AvailabilityBadMinutes => Indicator::AvailabilityBadMinutes,
    }
}

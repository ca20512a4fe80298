//! Objectives: that statistic, limit and window fit the indicator.

use super::Checker;
use crate::scenario::located::At;
use crate::scenario::mirror::{self, IndicatorWord};
use crate::scenario::plan::Plan;
use crate::scenario::quantity::{Number, parse_factor, parse_rate, parse_share, parse_time};
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
    /// A ratio of what a fault held up.
    RatioAfter,
    /// A number of messages of the whole run.
    Delivery,
    /// A number of the whole run that may be bounded from either side.
    Wills,
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
    /// A time, over time.
    Age,
    /// The time until a share of devices was done.
    Completion,
    /// The time of each of several events of a command or a query.
    Answer,
    /// A ratio of ended updates of which less is better.
    Endings,
    /// A number, or a share, of the targets of a campaign.
    Exposure,
    /// One time of a campaign.
    Halt,
    /// A number of things that must not be.
    Mistakes,
    /// A factor per device.
    Footprint,
    /// A factor of the whole run.
    Collateral,
    /// A ratio of the targets of a command of which more is better.
    Results,
    /// A time from a fault on.
    Resolution,
}

/// Where an indicator may look.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Place {
    /// Phases, or the whole run.
    Phases,
    /// After a fault's clearing.
    Recovery,
    /// Either of these.
    Any,
    /// The whole run.
    Run,
}

/// How an indicator is made one figure.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Reduction {
    /// A percentile.
    Percentile,
    /// A share of devices.
    Share,
    /// A percentile or a share of devices.
    PercentileOrShare,
    /// A percentile or the mean.
    PercentileOrMean,
    /// It is one.
    None,
}

impl Sort {
    const fn place(self) -> Place {
        match self {
            Self::Latency | Self::Ratio | Self::Intervals | Self::Minutes | Self::Age => {
                Place::Phases
            }
            Self::Recovery
            | Self::Stranded
            | Self::Verdict
            | Self::RatioAfter
            | Self::PeakRate
            | Self::Amplification
            | Self::Resolution => Place::Recovery,
            Self::Resume | Self::Waste => Place::Any,
            Self::Delivery
            | Self::Wills
            | Self::Completion
            | Self::Answer
            | Self::Endings
            | Self::Exposure
            | Self::Halt
            | Self::Mistakes
            | Self::Footprint
            | Self::Collateral
            | Self::Results => Place::Run,
        }
    }

    const fn reduction(self) -> Reduction {
        match self {
            Self::Latency | Self::Answer => Reduction::Percentile,
            Self::Recovery => Reduction::PercentileOrShare,
            Self::Completion => Reduction::Share,
            Self::Age | Self::Footprint => Reduction::PercentileOrMean,
            Self::Stranded
            | Self::Verdict
            | Self::Ratio
            | Self::RatioAfter
            | Self::Waste
            | Self::Delivery
            | Self::Wills
            | Self::PeakRate
            | Self::Amplification
            | Self::Resume
            | Self::Intervals
            | Self::Minutes
            | Self::Endings
            | Self::Exposure
            | Self::Halt
            | Self::Mistakes
            | Self::Collateral
            | Self::Results
            | Self::Resolution => Reduction::None,
        }
    }

    /// What an indicator is that needs no reduction.
    const fn noun(self) -> &'static str {
        if matches!(self, Self::Verdict) {
            "a word"
        } else {
            "one number"
        }
    }

    /// Whether more is better.
    const fn has_lower_limit(self) -> bool {
        matches!(
            self,
            Self::Ratio | Self::RatioAfter | Self::Resume | Self::Intervals | Self::Results
        )
    }

    /// From what it is measured, if it belongs to a fault.
    const fn origin(self) -> &'static str {
        if matches!(self, Self::Resolution) {
            "the start of a fault"
        } else {
            "the clearing of a fault"
        }
    }

    const fn example(self) -> &'static str {
        match self {
            Self::Latency => "at_most: 250ms",
            Self::Age => "at_most: 2min",
            Self::Recovery => "at_most: 60s",
            Self::Completion => "at_most: 5min",
            Self::Answer => "at_most: 2s",
            Self::Halt => "at_most: 15min",
            Self::Resolution => "at_most: 1h",
            Self::Exposure => "at_most: 5%",
            Self::Footprint => "at_most: 1.1x",
            Self::Collateral => "at_most: 2x",
            Self::Stranded | Self::Delivery | Self::Minutes | Self::Mistakes => "at_most: 0",
            Self::Wills => "at_least: 500",
            Self::Ratio | Self::RatioAfter | Self::Resume | Self::Intervals | Self::Results => {
                "at_least: 99.9%"
            }
            Self::Verdict => "is: recovered",
            Self::Waste | Self::Endings => "at_most: 1%",
            Self::PeakRate => "at_most: 500/s",
            Self::Amplification => "at_most: 6",
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
        self.wills_can_be_counted(slos, file, plan);
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
        let subject = self.subject(slo, indicator, plan);
        Some(Objective {
            name: name.value.clone(),
            indicator,
            statistic: statistic?,
            bound: bound?,
            window: window?,
            subject: subject?,
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
        match (&written.percentile, &written.share, sort.reduction()) {
            (
                Some(percentile),
                None,
                Reduction::Percentile | Reduction::PercentileOrShare | Reduction::PercentileOrMean,
            ) => return self.percentile(percentile),
            (None, Some(share), Reduction::PercentileOrShare | Reduction::Share) => {
                if share.value.0 > 0.0 {
                    return Some(Statistic::Share(share.value.0));
                }
                self.error(share.span, "a share of nobody", "write for example 99%");
            }
            (None, None, Reduction::None) => return self.one_number(written, sort),
            (None, None, Reduction::PercentileOrMean) if written.statistic.is_some() => {
                return Some(Statistic::Mean);
            }
            (None, None, Reduction::Percentile) => {
                let message = format!("{name} needs a percentile");
                self.absent(slo.span, message, "add `percentile: 99`");
            }
            (None, None, Reduction::Share) => {
                let message = format!("{name} needs a share");
                self.absent(slo.span, message, "add `share: 99%`");
            }
            (Some(At { span, .. }), None, Reduction::Share) => {
                let message = format!("{name} is judged by a share of devices");
                self.error(*span, message, "write `share: 99%` instead of `percentile`");
            }
            (None, None, Reduction::PercentileOrShare) => {
                let message = format!("{name} needs a share or a percentile");
                self.absent(slo.span, message, "add `share: 99%`");
            }
            (None, None, Reduction::PercentileOrMean) => {
                let message = format!("{name} needs a percentile or the mean");
                let help = "add `percentile: 99` or `statistic: mean`";
                self.absent(slo.span, message, help);
            }
            (Some(_), Some(share), _) => {
                let message = "`percentile` and `share` exclude each other";
                self.error(share.span, message, "keep one of them");
            }
            (Some(At { span, .. }), None, Reduction::None) => {
                let message = format!("{name} is {} and has no percentile", sort.noun());
                self.error(*span, message, "remove `percentile`");
            }
            (None, Some(At { span, .. }), Reduction::Percentile | Reduction::PercentileOrMean) => {
                let message = format!("{name} is judged by a percentile over events");
                self.error(*span, message, "write `percentile: 99` instead of `share`");
            }
            (None, Some(At { span, .. }), Reduction::None) => {
                let message = format!("{name} is {} and has no share", sort.noun());
                self.error(*span, message, "remove `share`");
            }
        }
        None
    }

    fn percentile(&mut self, percentile: &At<Number>) -> Option<Statistic> {
        let value = percentile.value.0;
        if value > 0.0 && value <= 100.0 {
            return Some(Statistic::Percentile(value));
        }
        self.error(
            percentile.span,
            format!("there is no percentile {value}"),
            "write a number above 0 and up to 100, such as 99 or 99.9",
        );
        None
    }

    fn one_number(&mut self, slo: &mirror::Slo, sort: Sort) -> Option<Statistic> {
        match sort {
            Sort::Intervals => self.interval(slo),
            Sort::Minutes => self.bad_when(slo),
            Sort::Latency
            | Sort::Recovery
            | Sort::Stranded
            | Sort::Verdict
            | Sort::Ratio
            | Sort::RatioAfter
            | Sort::Waste
            | Sort::Delivery
            | Sort::Wills
            | Sort::PeakRate
            | Sort::Amplification
            | Sort::Resume
            | Sort::Age
            | Sort::Completion
            | Sort::Answer
            | Sort::Endings
            | Sort::Exposure
            | Sort::Halt
            | Sort::Mistakes
            | Sort::Footprint
            | Sort::Collateral
            | Sort::Results
            | Sort::Resolution => Some(Statistic::Value),
        }
    }

    fn bound(&mut self, slo: &At<mirror::Slo>, indicator: Indicator, sort: Sort) -> Option<Bound> {
        let name = indicator.name();
        if sort == Sort::Verdict {
            return self.verdict_bound(slo);
        }
        let lower = sort.has_lower_limit();
        let example = sort.example();
        self.no_word(slo, name, example);
        let (limit, is_lower) = match (&slo.value.at_most, &slo.value.at_least) {
            (Some(limit), None) => (limit, false),
            (None, Some(limit)) => (limit, true),
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
        if is_lower != lower && sort != Sort::Wills {
            let better = if lower { "more" } else { "less" };
            self.error(
                limit.span,
                format!("{better} is better for {name}"),
                format!("write for example `{example}`"),
            );
            return None;
        }
        let text = limit.value.0.as_str();
        match limit_of(sort, name, text) {
            Ok(limit) if is_lower => Some(Bound::AtLeast(limit)),
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
        match (&slo.value.during, &slo.value.after, sort.place()) {
            (None, None, Place::Phases | Place::Any | Place::Run) => Some(Window::Run),
            (Some(during), None, Place::Phases | Place::Any) => self.during(during, plan),
            (None, Some(after), Place::Recovery | Place::Any) => self.after(after, file, plan),
            (Some(_), Some(after), Place::Any) => {
                let message = "`during` and `after` exclude each other";
                self.error(after.span, message, "keep one of them");
                None
            }
            (None, None, Place::Recovery) => {
                self.absent(
                    slo.span,
                    format!("{name} is measured from {}", sort.origin()),
                    "add `after: <the phase with the fault>`",
                );
                None
            }
            (Some(during), _, Place::Recovery) => {
                self.error(
                    during.span,
                    format!("{name} is measured from {}", sort.origin()),
                    "write `after: <the phase with the fault>` instead of `during`",
                );
                None
            }
            (Some(during), _, Place::Run) => {
                let message = format!("{name} counts over the whole run");
                self.error(during.span, message, "remove `during`");
                None
            }
            (_, Some(after), Place::Phases) => {
                self.error(
                    after.span,
                    format!("{name} is measured per phase"),
                    "write `during: [<phases>]` instead of `after`",
                );
                None
            }
            (None, Some(after), Place::Run) => {
                let message = format!("{name} counts over the whole run");
                self.error(after.span, message, "remove `after`");
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

/// The limit in `text`; the error is (message, fix).
fn limit_of(sort: Sort, name: &str, text: &str) -> Result<Limit, (String, String)> {
    match sort {
        Sort::Latency
        | Sort::Recovery
        | Sort::Age
        | Sort::Completion
        | Sort::Answer
        | Sort::Halt
        | Sort::Resolution => parse_time(text).map(Limit::Time),
        Sort::Ratio
        | Sort::RatioAfter
        | Sort::Waste
        | Sort::Resume
        | Sort::Intervals
        | Sort::Endings
        | Sort::Results => parse_share(text).map(Limit::Ratio),
        Sort::PeakRate => parse_rate(text).map(Limit::Rate),
        Sort::Amplification | Sort::Footprint | Sort::Collateral => {
            parse_factor(text).map(Limit::Factor)
        }
        Sort::Wills | Sort::Exposure if text.ends_with('%') => parse_share(text).map(Limit::Ratio),
        Sort::Verdict
        | Sort::Stranded
        | Sort::Delivery
        | Sort::Wills
        | Sort::Minutes
        | Sort::Exposure
        | Sort::Mistakes => text.parse().map(Limit::Count).map_err(|_| {
            (
                format!("`{text}` is not a whole number"),
                format!("{name} is a count: write for example `at_most: 0`"),
            )
        }),
    }
}

const fn sort(indicator: Indicator) -> Sort {
    match indicator {
        Indicator::ConnectLatency | Indicator::PublishAckLatency | Indicator::E2eLatency => {
            Sort::Latency
        }
        Indicator::ReconnectTime | Indicator::BacklogDrainTime => Sort::Recovery,
        Indicator::BacklogRecoveredRatio => Sort::RatioAfter,
        Indicator::ReconnectStranded => Sort::Stranded,
        Indicator::RecoveryVerdict => Sort::Verdict,
        Indicator::ConnectWasted => Sort::Waste,
        Indicator::ConnectSuccess | Indicator::FleetAvailability => Sort::Ratio,
        Indicator::DeliveryLost | Indicator::DeliveryDuplicated | Indicator::DeliveryReordered => {
            Sort::Delivery
        }
        Indicator::WillFired => Sort::Wills,
        Indicator::ReconnectPeakRate => Sort::PeakRate,
        Indicator::RetryAmplification | Indicator::BacklogHarm => Sort::Amplification,
        Indicator::SessionResumeRatio => Sort::Resume,
        Indicator::AvailabilityIntervalAverage => Sort::Intervals,
        Indicator::AvailabilityBadMinutes => Sort::Minutes,
        Indicator::FreshnessAge => Sort::Age,
        Indicator::OtaCompletion | Indicator::CommandFanout => Sort::Completion,
        Indicator::CommandRtt | Indicator::QueryLatency | Indicator::QueryStaleness => Sort::Answer,
        Indicator::OtaFailureRatio | Indicator::OtaRollbackRatio => Sort::Endings,
        Indicator::OtaExposureBeforeHalt => Sort::Exposure,
        Indicator::OtaHaltTime => Sort::Halt,
        Indicator::OtaWrongTarget
        | Indicator::OtaPriorityInversions
        | Indicator::CommandDuplicateEffect => Sort::Mistakes,
        Indicator::OtaBytesPerDevice => Sort::Footprint,
        Indicator::OtaCollateral => Sort::Collateral,
        Indicator::CommandResultCompleteness => Sort::Results,
        Indicator::ResolutionTime => Sort::Resolution,
    }
}

const fn indicator(word: IndicatorWord) -> Indicator {
    match word {
        IndicatorWord::ConnectLatency => Indicator::ConnectLatency,
        IndicatorWord::ConnectSuccess => Indicator::ConnectSuccess,
        IndicatorWord::ConnectWasted => Indicator::ConnectWasted,
        IndicatorWord::RecoveryVerdict => Indicator::RecoveryVerdict,
        IndicatorWord::ReconnectTime => Indicator::ReconnectTime,
        IndicatorWord::ReconnectStranded => Indicator::ReconnectStranded,
        IndicatorWord::PublishAckLatency => Indicator::PublishAckLatency,
        IndicatorWord::E2eLatency => Indicator::E2eLatency,
        IndicatorWord::DeliveryLost => Indicator::DeliveryLost,
        IndicatorWord::DeliveryDuplicated => Indicator::DeliveryDuplicated,
        IndicatorWord::DeliveryReordered => Indicator::DeliveryReordered,
        IndicatorWord::WillFired => Indicator::WillFired,
        IndicatorWord::FleetAvailability => Indicator::FleetAvailability,
        IndicatorWord::ReconnectPeakRate => Indicator::ReconnectPeakRate,
        IndicatorWord::RetryAmplification => Indicator::RetryAmplification,
        IndicatorWord::SessionResumeRatio => Indicator::SessionResumeRatio,
        IndicatorWord::AvailabilityIntervalAverage => Indicator::AvailabilityIntervalAverage,
        IndicatorWord::AvailabilityBadMinutes => Indicator::AvailabilityBadMinutes,
        IndicatorWord::BacklogDrainTime => Indicator::BacklogDrainTime,
        IndicatorWord::BacklogRecoveredRatio => Indicator::BacklogRecoveredRatio,
        IndicatorWord::BacklogHarm => Indicator::BacklogHarm,
        IndicatorWord::FreshnessAge => Indicator::FreshnessAge,
        IndicatorWord::OtaCompletion => Indicator::OtaCompletion,
        IndicatorWord::OtaFailureRatio => Indicator::OtaFailureRatio,
        IndicatorWord::OtaRollbackRatio => Indicator::OtaRollbackRatio,
        IndicatorWord::OtaExposureBeforeHalt => Indicator::OtaExposureBeforeHalt,
        IndicatorWord::OtaHaltTime => Indicator::OtaHaltTime,
        IndicatorWord::OtaWrongTarget => Indicator::OtaWrongTarget,
        IndicatorWord::OtaPriorityInversions => Indicator::OtaPriorityInversions,
        IndicatorWord::OtaBytesPerDevice => Indicator::OtaBytesPerDevice,
        IndicatorWord::OtaCollateral => Indicator::OtaCollateral,
        IndicatorWord::CommandRtt => Indicator::CommandRtt,
        IndicatorWord::CommandFanout => Indicator::CommandFanout,
        IndicatorWord::CommandResultCompleteness => Indicator::CommandResultCompleteness,
        IndicatorWord::CommandDuplicateEffect => Indicator::CommandDuplicateEffect,
        IndicatorWord::QueryLatency => Indicator::QueryLatency,
        IndicatorWord::QueryStaleness => Indicator::QueryStaleness,
        IndicatorWord::ResolutionTime => Indicator::ResolutionTime,
    }
}

//! How long a fault lasts: as written, or drawn once by the seed, so that the plan has exact windows.

use super::Checker;
use super::faults::Window;
use crate::rng::{self, Purpose};
use crate::scenario::durations::{self, Law};
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::quantity::{Number, Time};
use crate::scenario::tree::Span;
use std::time::Duration;

/// A checked length.
#[derive(Copy, Clone, Debug)]
pub(super) struct Length {
    /// Its place in the file.
    pub(super) span: Span,
    /// It is never longer.
    pub(super) longest: Duration,
    /// `None` = always that long.
    law: Option<Law>,
    /// No draw is shorter, so that a connection that the fault cuts later is cut within it.
    least: Duration,
}

impl Length {
    /// That of a written duration.
    pub(super) const fn fixed(span: Span, length: Duration) -> Self {
        Self {
            span,
            longest: length,
            law: None,
            least: Duration::ZERO,
        }
    }

    /// That of one repetition, from 0, of the fault of `window`.
    pub(super) fn of(self, seed: u64, window: &Window, repetition: u32) -> Duration {
        let Some(law) = self.law else {
            return self.longest;
        };
        let subject = u64::from(window.number);
        let index = u64::from(repetition);
        let mut draw = rng::draw(seed, subject, Purpose::FaultLength, index);
        let drawn = law.sample(self.longest, &mut draw);
        drawn.max(self.least).min(self.longest)
    }
}

impl Checker<'_> {
    /// The length as it is written; `None` if it is wrong. `least` is the fault's `within`.
    pub(super) fn fault_length(
        &mut self,
        written: &At<mirror::Length>,
        least: Duration,
    ) -> Option<Length> {
        let drawn = match &written.value {
            mirror::Length::Fixed(time) => {
                let time = At {
                    span: written.span,
                    value: *time,
                };
                let length = self.positive(Some(&time), Duration::ZERO);
                return Some(Length::fixed(written.span, length));
            }
            mirror::Length::Drawn(drawn) => drawn,
        };
        let law = self.law(written.span, drawn)?;
        Some(Length {
            span: drawn.at_most.span,
            longest: self.positive(Some(&drawn.at_most), Duration::ZERO),
            law: Some(law),
            least,
        })
    }

    fn law(&mut self, span: Span, drawn: &mirror::Drawn) -> Option<Law> {
        let before = self.problems.len();
        let law = match (&drawn.lognormal, &drawn.pareto, &drawn.preset) {
            (Some(law), None, None) => Law::LogNormal {
                median: self.law_time(&law.value.median),
                sigma: self.within_range(&law.value.sigma, "sigma", 0.0, Law::SIGMA_MAX),
            },
            (None, Some(law), None) => Law::Pareto {
                min: self.law_time(&law.value.min),
                alpha: self.within_range(&law.value.alpha, "alpha", Law::ALPHA_MIN, Law::ALPHA_MAX),
            },
            (None, None, Some(name)) => match durations::preset(&name.value) {
                Some(preset) => preset.law,
                None => {
                    let names = durations::PRESETS.map(|preset| preset.name);
                    self.unknown("outage preset", name, &names);
                    return None;
                }
            },
            (None, None, None) => {
                self.absent(
                    span,
                    "this length is drawn from nothing",
                    "add `lognormal`, `pareto` or `preset`",
                );
                return None;
            }
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                let span = self.first_line(span);
                self.error(
                    span,
                    "this length is drawn from two laws",
                    "keep one of `lognormal`, `pareto` and `preset`",
                );
                return None;
            }
        };
        (before == self.problems.len()).then_some(law)
    }

    fn law_time(&mut self, time: &At<Time>) -> Duration {
        self.positive(Some(time), Duration::ZERO)
    }

    fn within_range(&mut self, number: &At<Number>, what: &str, low: f64, high: f64) -> f64 {
        let value = number.value.0;
        if !(low..=high).contains(&value) {
            self.error(
                number.span,
                format!("{what} cannot be {value}"),
                format!("write a number from {low} to {high}"),
            );
        }
        value
    }
}

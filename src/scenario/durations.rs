//! How long faults last: laws that a fault's length is drawn from, and outage presets as named data
//! with their sources. `check` draws once per fault, so that the plan has exact windows.

use crate::rng::Draw;
use crate::rng::to_unit;
use rand::Rng as _;
use rand_distr::{Distribution as _, StandardNormal};
use std::time::Duration;

/// A law of lengths; what is drawn is cut to the scenario's own `at_most`.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Law {
    /// `median` times e to the `sigma` z with z standard normal.
    LogNormal {
        /// Not zero.
        median: Duration,
        /// 0 to [`Law::SIGMA_MAX`].
        sigma: f64,
    },
    /// `min` times u to the -1/`alpha` with u uniform in (0, 1]: at least `min`, with a heavy tail.
    Pareto {
        /// Not zero.
        min: Duration,
        /// [`Law::ALPHA_MIN`] to [`Law::ALPHA_MAX`]; up to 1 the mean is infinite but for the cut.
        alpha: f64,
    },
}

impl Law {
    /// Highest `sigma`.
    pub const SIGMA_MAX: f64 = 3.0;
    /// Lowest `alpha`.
    pub const ALPHA_MIN: f64 = 0.1;
    /// Highest `alpha`: beyond it nearly every draw is `min`.
    pub const ALPHA_MAX: f64 = 100.0;

    /// A length in whole milliseconds, from 1 ms to `at_most`.
    pub fn sample(self, at_most: Duration, draw: &mut Draw) -> Duration {
        let drawn_s = match self {
            Self::LogNormal { median, sigma } => {
                let z: f64 = StandardNormal.sample(draw);
                median.as_secs_f64() * (sigma * z).exp()
            }
            Self::Pareto { min, alpha } => {
                let u = 1.0 - to_unit(draw.next_u64());
                min.as_secs_f64() * u.powf(-1.0 / alpha)
            }
        };
        let cut_s = drawn_s.min(at_most.as_secs_f64());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative and at most `at_most`, which the file bounds"
        )]
        let ms = (cut_s * 1e3).round() as u64;
        Duration::from_millis(ms.max(1)).min(at_most)
    }
}

/// An outage of a known kind, by its length.
#[derive(Copy, Clone, Debug)]
pub struct Preset {
    /// As in a scenario.
    pub name: &'static str,
    /// Its law.
    pub law: Law,
    /// What it is, with the source.
    pub about: &'static str,
    /// What of it is assumed.
    pub assumed: &'static str,
}

/// All presets.
pub const PRESETS: [Preset; 3] = [
    Preset {
        name: "power-us",
        // The mean of a lognormal law is its median times e to the sigma^2 / 2.
        law: minutes(165.0, 1.0),
        about: "power cut in the USA, all events: 272 min on average (EIA table 11.1, CAIDI 2023)",
        assumed: "lognormal with sigma 1, so a median of 165 min",
    },
    Preset {
        name: "power-us-usual",
        law: minutes(73.4, 1.0),
        about: "power cut in the USA without major event days: 121 min on average (EIA table 11.1, CAIDI 2023)",
        assumed: "lognormal with sigma 1, so a median of 73.4 min",
    },
    Preset {
        name: "national-telco",
        law: Law::Pareto {
            min: Duration::from_secs(2 * 3600),
            alpha: 1.2,
        },
        about: "outage of a national telephone network: Pareto above 2 h (Uchida 2014, Japan 2008 to 2012)",
        assumed: "alpha 1.2",
    },
];

/// The preset called `name`.
pub(super) fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

const fn minutes(median_min: f64, sigma: f64) -> Law {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small positive number"
    )]
    let median = Duration::from_millis((median_min * 60_000.0) as u64);
    Law::LogNormal { median, sigma }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{self, Purpose};

    const UNCUT: Duration = Duration::from_secs(31 * 24 * 3600);

    /// Of 20 000 draws, in minutes, sorted.
    fn sorted_min(law: Law, at_most: Duration) -> Vec<f64> {
        let sample = |i| {
            let mut draw = rng::draw(42, i, Purpose::FaultLength, 0);
            law.sample(at_most, &mut draw).as_secs_f64() / 60.0
        };
        let mut all: Vec<f64> = (0..20_000).map(sample).collect();
        all.sort_by(f64::total_cmp);
        all
    }

    #[test]
    fn the_presets_have_the_figures_of_their_sources() {
        for (name, mean_min, median_min) in
            [("power-us", 272.0, 165.0), ("power-us-usual", 121.0, 73.4)]
        {
            let all = sorted_min(preset(name).expect("it is there").law, UNCUT);
            #[expect(clippy::cast_precision_loss, reason = "20 000")]
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            // The standard deviation of the mean is 0.9 %.
            assert!((mean / mean_min - 1.0).abs() < 0.04, "{name}: {mean}");
            assert!((all[10_000] / median_min - 1.0).abs() < 0.04, "{name}");
        }
        let telco = sorted_min(preset("national-telco").expect("it is there").law, UNCUT);
        assert!(telco[0] >= 120.0);
        // Half of a Pareto law is above min * 2^(1/alpha).
        let median = 120.0 * 2f64.powf(1.0 / 1.2);
        assert!((telco[10_000] / median - 1.0).abs() < 0.04);
    }

    #[test]
    fn a_draw_is_cut_and_never_zero() {
        let law = Law::LogNormal {
            median: Duration::from_secs(60),
            sigma: 3.0,
        };
        let all = sorted_min(law, Duration::from_secs(90));
        assert!(all[0] > 0.0 && all[19_999] <= 1.5);
        assert!(all.iter().filter(|min| **min >= 1.5).count() > 5_000);
        let fixed = Law::LogNormal {
            median: Duration::from_secs(60),
            sigma: 0.0,
        };
        let all = sorted_min(fixed, UNCUT);
        assert!((all[0] - 1.0).abs() < 1e-9 && (all[19_999] - 1.0).abs() < 1e-9);
    }
}

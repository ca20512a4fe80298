//! How fast a campaign goes: rates, waves and packs.

use super::Checker;
use crate::scenario::campaign::{Rollout, RungStep, Wave};
use crate::scenario::located::At;
use crate::scenario::mirror::{self, Ladder, RungEnd};
use crate::scenario::quantity::Rate;
use std::time::Duration;

/// Largest factor from one rung to the next, as of AWS IoT Jobs.
const FACTOR_MAX: f64 = 5.0;

/// Per minute, as written: 1000/min is not 1000.0000000000001.
fn per_minute(rate: Rate) -> f64 {
    (rate.0 * 60.0 * 1e6).round() / 1e6
}

impl Checker<'_> {
    /// How fast devices get their turn.
    pub(super) fn rollout(&mut self, rollout: Option<&At<mirror::Rollout>>) -> Rollout {
        match rollout.map(|rollout| &rollout.value) {
            None | Some(mirror::Rollout::AtOnce) => Rollout::AtOnce,
            Some(mirror::Rollout::Constant(rate)) => Rollout::Constant {
                per_minute: per_minute(rate.value),
            },
            Some(mirror::Rollout::Exponential(rates)) => self.ladder(rates),
            Some(mirror::Rollout::Waves(waves)) => Rollout::Waves(self.waves(waves)),
            Some(mirror::Rollout::Packs(packs)) => {
                if packs.size.value == 0 {
                    self.error(
                        packs.size.span,
                        "a pack of no device",
                        "write for example 100",
                    );
                }
                Rollout::Packs {
                    size: packs.size.value.max(1),
                    every: self.positive(Some(&packs.every), Duration::ZERO),
                }
            }
        }
    }

    fn waves(&mut self, list: &At<Vec<At<mirror::RolloutWave>>>) -> Vec<Wave> {
        let waves = &list.value;
        let mut reached = 0.0;
        for (index, wave) in waves.iter().enumerate() {
            let last = index + 1 == waves.len();
            let upto = &wave.value.upto;
            if upto.value.0 <= reached {
                self.error(
                    upto.span,
                    "a wave must reach further than the one before",
                    "write a larger share; each includes the waves before",
                );
            } else if last && upto.value.0 < 1.0 {
                self.error(
                    upto.span,
                    "the last wave does not reach all targets",
                    "write `upto: 100%`, or add a wave",
                );
            }
            reached = upto.value.0;
            self.wave_gate(wave, last);
        }
        if waves.is_empty() {
            self.absent(
                list.span,
                "there is no wave",
                "write `waves: [ { upto: 100% } ]`",
            );
        }
        let success = |wave: &mirror::RolloutWave| wave.success.as_ref().map_or(0.0, |s| s.value.0);
        let waves = waves.iter().map(|wave| Wave {
            upto: wave.value.upto.value.0,
            success: success(&wave.value),
        });
        waves.collect()
    }

    /// What must have succeeded before the next wave.
    fn wave_gate(&mut self, wave: &At<mirror::RolloutWave>, last: bool) {
        match (&wave.value.success, last) {
            (Some(success), true) => self.error(
                success.span,
                "no wave follows that could wait for it",
                "remove `success`, or add a wave",
            ),
            (Some(success), false) if success.value.0 <= 0.0 => self.error(
                success.span,
                "the next wave would not wait for this one",
                "write a share above 0%",
            ),
            (None, false) => self.absent(
                wave.span,
                "nothing says what must have succeeded before the next wave",
                "add for example `success: 95%`",
            ),
            (Some(_), false) | (None, true) => {}
        }
    }

    fn ladder(&mut self, rates: &Ladder) -> Rollout {
        let factor = rates.factor.value.0;
        if factor <= 1.0 || factor > FACTOR_MAX {
            self.error(
                rates.factor.span,
                format!("a factor of {factor}"),
                format!("write a number above 1 and up to {FACTOR_MAX}"),
            );
        }
        let (base, max) = (per_minute(rates.base.value), per_minute(rates.max.value));
        if max < base {
            self.error(
                rates.max.span,
                "the highest rate is below the first",
                "write a `max` of at least `base`",
            );
        }
        let (devices, step) = match rates.after.value {
            RungEnd::Notified(devices) => (devices, RungStep::Notified(devices)),
            RungEnd::Succeeded(devices) => (devices, RungStep::Succeeded(devices)),
        };
        if devices == 0 {
            let span = self.first_line(rates.after.span);
            self.error(
                span,
                "a rung that ends after no device",
                "write for example `after: { notified: 1000 }`",
            );
        }
        Rollout::Exponential {
            base_per_minute: base,
            factor,
            max_per_minute: max,
            step,
        }
    }
}

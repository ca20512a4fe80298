//! Device faults, boot times and how power comes.

use super::Checker;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::{DeviceFault, FaultKind, Plan};
use crate::scenario::power::{BootTime, Spread};
use std::time::Duration;

/// Most waves of a group of devices.
const WAVES_MAX: u16 = 1_000;

/// Length of a crash whose window is not given and whose devices all restart within this.
pub(super) const CRASH_WINDOW: Duration = Duration::from_secs(1);

impl Checker<'_> {
    /// What a power cut does to whom.
    pub(super) fn power_cut(&mut self, cut: &At<mirror::PowerCut>, plan: &Plan) -> FaultKind {
        let cut = &cut.value;
        FaultKind::Device {
            who: self.who(cut.who.as_ref(), plan),
            fault: DeviceFault::PowerCut {
                within: cut.within.as_ref().map_or(Duration::ZERO, |t| t.value.0),
                back: match &cut.back {
                    Some(back) => self.power_spread(&back.value),
                    None => Spread::AtOnce,
                },
                boot: self.boot(cut.boot.as_ref()),
            },
        }
    }

    /// What a crash does to whom.
    pub(super) fn crash(&mut self, crash: &At<mirror::Crash>, plan: &Plan) -> FaultKind {
        let crash = &crash.value;
        FaultKind::Device {
            who: self.who(crash.who.as_ref(), plan),
            fault: DeviceFault::Crash {
                within: crash.within.as_ref().map_or(Duration::ZERO, |t| t.value.0),
                boot: self.boot(crash.boot.as_ref()),
            },
        }
    }

    /// How power comes to a group of devices.
    pub(super) fn power_spread(&mut self, spread: &mirror::Spread) -> Spread {
        match spread {
            mirror::Spread::Uniform(over) => {
                Spread::Uniform(self.positive(Some(over), Duration::ZERO))
            }
            mirror::Spread::Beta(over) => Spread::Beta(self.positive(Some(over), Duration::ZERO)),
            mirror::Spread::Waves(waves) => {
                let count = &waves.count;
                if !(1..=WAVES_MAX).contains(&count.value) {
                    self.error(
                        count.span,
                        format!("{} is not a number of waves", count.value),
                        format!("write a whole number from 1 to {WAVES_MAX}"),
                    );
                }
                Spread::Waves {
                    count: count.value,
                    every: self.positive(Some(&waves.every), Duration::ZERO),
                }
            }
        }
    }

    /// How long devices boot; not at all without a word.
    pub(super) fn boot(&mut self, boot: Option<&At<mirror::BootTime>>) -> BootTime {
        match boot.map(|boot| &boot.value) {
            None => BootTime::NONE,
            Some(mirror::BootTime::Fixed(time)) => BootTime::Fixed(time.value.0),
            Some(mirror::BootTime::Uniform(span)) => {
                let (min, max) = (span.min.value.0, span.max.value.0);
                if min > max {
                    self.error(
                        span.min.span,
                        "the shortest boot time is longer than the longest",
                        format!("write a `min` of at most {max:?}"),
                    );
                }
                BootTime::Uniform { min, max }
            }
        }
    }
}

//! The law of power: when devices of a group lose it and get it, and how long they boot. The
//! timeline is made of it; each draw is a pure function of (seed, device, event).

use super::plan::DeviceIdx;
use crate::rng::{self, Purpose};
use crate::time::Duration;

/// What a device fault does to the devices meant. A device without power sends no FIN and no RST:
/// its connection stays half-open.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceFault {
    /// Each loses power at a uniform draw below `within` after the start (zero: all at the start; at
    /// most the fault's length) and gets it back after the clearing.
    PowerCut {
        within: Duration,
        /// From the clearing to power.
        back: Spread,
        /// From power to the first connect.
        boot: BootTime,
    },
    /// Each restarts at a uniform draw below `within` after the start, and is back after its boot.
    Crash { within: Duration, boot: BootTime },
}

/// How the instants at which the devices of a group get power are spread over time.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Spread {
    /// All at once.
    AtOnce,
    /// Each at a uniform draw below this; above zero.
    Uniform(Duration),
    /// Each at a draw from Beta(3, 4) over this: 3GPP TR 37.868, 6.1.1, traffic model 2. Above zero.
    Beta(Duration),
    /// Equal groups (sizes differ by one at most), picked by permutation, one after the other.
    Waves {
        /// How many, at least 1.
        count: u16,
        /// From one to the next; above zero.
        every: Duration,
    },
}

/// How power comes to the devices of a phase.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Pace {
    /// At an even rate, in an order drawn by permutation; devices per second, above zero.
    PerSecond(f64),
    /// Spread like this.
    Over(Spread),
}

/// How long a device takes from power to its first connect.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum BootTime {
    /// All the same.
    Fixed(Duration),
    /// Uniform from `min` up to but without `max`; `min` is not above `max`.
    Uniform { min: Duration, max: Duration },
}

/// What a group of devices shares: each event of a plan has draws of its own.
#[derive(Copy, Clone, Debug)]
pub struct Event {
    seed: u64,
    index: u64,
}

impl Event {
    /// Fault `fault` of a plan (its place in it).
    pub const fn fault(seed: u64, fault: usize) -> Self {
        let index = fault as u64;
        Self { seed, index }
    }

    /// The power-on of phase `phase` of a plan.
    pub const fn phase(seed: u64, phase: usize) -> Self {
        // Faults have the indices below.
        let index = 1 << 32 | phase as u64;
        Self { seed, index }
    }

    /// From the beginning of a phase to the first connect of `device`, which is number `place` of
    /// `count` to get power.
    pub fn power_on(
        self,
        pace: Pace,
        boot: BootTime,
        device: DeviceIdx,
        (place, count): (u32, u32),
    ) -> Duration {
        let power = match pace {
            Pace::PerSecond(rate) => Duration::from_secs_f64(f64::from(place) / rate),
            Pace::Over(spread) => self.spread(spread, device, place, count),
        };
        power + self.boot(boot, device)
    }

    /// Uniform below `within`: when after its start a fault takes the power of `device`.
    pub fn loss(self, within: Duration, device: DeviceIdx) -> Duration {
        below(within, self.hash(device, Purpose::PowerLoss))
    }

    /// When a device gets power, from the beginning of `spread`: that with the place `rank` among
    /// the `count` of its group.
    pub fn spread(self, spread: Spread, device: DeviceIdx, rank: u32, count: u32) -> Duration {
        match spread {
            Spread::AtOnce => Duration::ZERO,
            Spread::Uniform(over) => below(over, self.hash(device, Purpose::PowerReturn)),
            Spread::Beta(over) => below(over, self.beta(device)),
            Spread::Waves {
                count: waves,
                every,
            } => {
                let place = rng::permute(self.seed, Purpose::PowerWave, self.index, count, rank);
                let wave = u64::from(place) * u64::from(waves) / u64::from(count.max(1));
                every * u32::try_from(wave).expect("below the number of waves, a u16")
            }
        }
    }

    /// How long `device` boots.
    pub fn boot(self, boot: BootTime, device: DeviceIdx) -> Duration {
        match boot {
            BootTime::Fixed(time) => time,
            BootTime::Uniform { min, max } => {
                let hash = self.hash(device, Purpose::BootTime);
                min + below(max.saturating_sub(min), hash)
            }
        }
    }

    /// Beta(3, 4) as 64 bits of fraction: the third smallest of six uniform draws (the k-th of n has
    /// Beta(k, n + 1 - k)).
    fn beta(self, device: DeviceIdx) -> u64 {
        // `draw` numbers: the words of one event lie far from those of the others.
        let draw = |nth: u64| {
            let index = nth << 48 | self.index;
            rng::hash(self.seed, u64::from(device), Purpose::PowerReturn, index)
        };
        let mut draws = [0, 1, 2, 3, 4, 5].map(draw);
        draws.sort_unstable();
        draws[2]
    }

    fn hash(self, device: DeviceIdx, purpose: Purpose) -> u64 {
        rng::hash(self.seed, u64::from(device), purpose, self.index)
    }
}

impl Spread {
    /// All have power by then, boot times not counted.
    pub fn longest(self) -> Duration {
        match self {
            Self::AtOnce => Duration::ZERO,
            Self::Uniform(over) | Self::Beta(over) => over,
            Self::Waves { count, every } => every * u32::from(count.saturating_sub(1)),
        }
    }
}

impl BootTime {
    /// No boot time at all.
    pub const NONE: Self = Self::Fixed(Duration::ZERO);

    /// No device takes longer.
    pub const fn longest(self) -> Duration {
        match self {
            Self::Fixed(time) => time,
            Self::Uniform { max, .. } => max,
        }
    }
}

/// `hash` of 2^64 parts of `span`: a scaled product rather than a float, so never `span` itself.
fn below(span: Duration, hash: u64) -> Duration {
    let ns = (u128::from(hash) * span.as_nanos()) >> 64;
    Duration::from_nanos(u64::try_from(ns).expect("below `span`, which the file bounds"))
}

#[cfg(test)]
mod tests;

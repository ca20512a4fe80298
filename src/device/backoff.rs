//! Reconnect policies: pure functions from (policy, failures, draw) to the wait before the next attempt.

use crate::rng::{self, Purpose};
use crate::scenario::plan::{Backoff, BackoffShape, DeviceIdx};
use rand_distr::{Distribution, LogNormal};
use std::time::Duration;

/// Median of [`attempt_cost`] in seconds.
const ATTEMPT_COST_MEDIAN_S: f64 = 0.1;
/// Standard deviation of the logarithm of [`attempt_cost`].
const ATTEMPT_COST_SIGMA: f64 = 0.4;

/// The wait after `failures` failed attempts in a row (at least 1), or `None` if the policy gives
/// up. `draw_index` counts all waits of this device over the whole run, so that two outages draw
/// differently; `previous` is the wait before (zero at first), which decorrelated jitter needs.
pub fn delay(
    policy: &Backoff,
    seed: u64,
    device: DeviceIdx,
    draw_index: u64,
    failures: u32,
    previous: Duration,
) -> Option<Duration> {
    if policy.give_up_after.is_some_and(|limit| failures >= limit) {
        return None;
    }
    let k = failures.saturating_sub(1);
    let u = rng::unit(seed, u64::from(device), Purpose::Backoff, draw_index);
    let wait = match policy.shape {
        BackoffShape::Fixed(wait) => wait,
        BackoffShape::NoJitter { base, cap } => grown(base, cap, k),
        BackoffShape::FullJitter { base, cap } => uniform(Duration::ZERO, grown(base, cap, k), u),
        BackoffShape::EqualJitter { base, cap } => {
            let v = grown(base, cap, k);
            uniform(v / 2, v, u)
        }
        BackoffShape::DecorrelatedJitter { base, cap } => {
            let previous = previous.max(base);
            uniform(base, previous.saturating_mul(3), u).min(cap)
        }
    };
    Some(wait)
}

/// What a refused or failed attempt costs: lognormal, median 0.1 s, sigma 0.4 (the model of the
/// domain's oracle tables); applied by the drivers.
pub fn attempt_cost(seed: u64, device: DeviceIdx, attempt: u64) -> Duration {
    let mut draw = rng::draw(seed, u64::from(device), Purpose::AttemptCost, attempt);
    let cost = LogNormal::new(ATTEMPT_COST_MEDIAN_S.ln(), ATTEMPT_COST_SIGMA)
        .expect("a positive, finite sigma");
    Duration::from_secs_f64(cost.sample(&mut draw))
}

/// min(cap, base * 2^k) without overflow.
fn grown(base: Duration, cap: Duration, k: u32) -> Duration {
    let factor = 1u32.checked_shl(k).unwrap_or(u32::MAX);
    base.saturating_mul(factor).min(cap)
}

/// The point at `u` (0 to 1, exclusive of 1) between `low` and `high`, to the nanosecond.
fn uniform(low: Duration, high: Duration, u: f64) -> Duration {
    low + high.saturating_sub(low).mul_f64(u)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(1);
    const CAP: Duration = Duration::from_secs(30);
    const SAMPLES: u32 = 20_000;

    fn policy(shape: BackoffShape) -> Backoff {
        Backoff {
            shape,
            give_up_after: None,
        }
    }

    fn wait(shape: BackoffShape, device: u32, failures: u32, previous: Duration) -> Duration {
        delay(&policy(shape), 42, device, 0, failures, previous).expect("never gives up")
    }

    /// Smallest, mean and largest wait in seconds over many devices.
    fn spread(shape: BackoffShape, failures: u32, previous: Duration) -> (f64, f64, f64) {
        let waits: Vec<f64> = (0..SAMPLES)
            .map(|device| wait(shape, device, failures, previous).as_secs_f64())
            .collect();
        (
            waits.iter().copied().fold(f64::INFINITY, f64::min),
            waits.iter().sum::<f64>() / f64::from(SAMPLES),
            waits.iter().copied().fold(0.0, f64::max),
        )
    }

    #[test]
    fn shapes_without_jitter_are_exact() {
        let doubling = BackoffShape::NoJitter {
            base: BASE,
            cap: CAP,
        };
        let table = [
            (1, 1),
            (2, 2),
            (3, 4),
            (5, 16),
            (6, 30),
            (33, 30),
            (u32::MAX, 30),
        ];
        for (failures, seconds) in table {
            assert_eq!(
                wait(doubling, 7, failures, Duration::ZERO).as_secs(),
                seconds
            );
            assert_eq!(
                wait(BackoffShape::Fixed(BASE), 7, failures, CAP),
                BASE,
                "after {failures}"
            );
        }
    }

    #[test]
    fn a_huge_cap_saturates_instead_of_overflowing() {
        let shapes = |base, cap| {
            [
                BackoffShape::NoJitter { base, cap },
                BackoffShape::FullJitter { base, cap },
                BackoffShape::EqualJitter { base, cap },
                BackoffShape::DecorrelatedJitter { base, cap },
            ]
        };
        let huge = Duration::from_secs(u64::from(u32::MAX));
        for shape in shapes(huge, huge) {
            for failures in [1, 32, 33, 64, u32::MAX] {
                assert!(wait(shape, 1, failures, huge) <= huge);
            }
        }
    }

    #[test]
    fn jittered_shapes_fill_their_range() {
        let (base, cap) = (BASE, CAP);
        let full = BackoffShape::FullJitter { base, cap };
        let equal = BackoffShape::EqualJitter { base, cap };
        let decorrelated = BackoffShape::DecorrelatedJitter { base, cap };
        let zero = Duration::ZERO;
        // (shape, failures, previous wait, smallest, mean, largest), in seconds.
        let table = [
            (full, 1, zero, 0.0, 0.5, 1.0),
            (full, 4, zero, 0.0, 4.0, 8.0),
            (full, 99, zero, 0.0, 15.0, 30.0),
            (equal, 1, zero, 0.5, 0.75, 1.0),
            (equal, 4, zero, 4.0, 6.0, 8.0),
            (equal, 99, zero, 15.0, 22.5, 30.0),
            (decorrelated, 1, zero, 1.0, 2.0, 3.0),
            (decorrelated, 2, Duration::from_secs(3), 1.0, 5.0, 9.0),
            // U(1, 61) cut at 30: mean 30 - 29^2 / (2 * 60).
            (
                decorrelated,
                9,
                Duration::from_secs_f64(61.0 / 3.0),
                1.0,
                22.992,
                30.0,
            ),
        ];
        for (shape, failures, previous, smallest, mean, largest) in table {
            let width = largest - smallest;
            let (min, average, max) = spread(shape, failures, previous);
            assert!(
                min >= smallest && min < smallest + width * 0.001,
                "{shape:?} {failures}: min {min}"
            );
            assert!(
                max <= largest && max > largest - width * 0.001,
                "{shape:?} {failures}: max {max}"
            );
            // The mean of 20 000 uniform draws has a standard error of 0.2 % of the width.
            assert!(
                (average - mean).abs() < width * 0.01,
                "{shape:?} {failures}: mean {average}, not {mean}"
            );
        }
    }

    #[test]
    fn a_policy_gives_up_after_its_number_of_failures() {
        let policy = Backoff {
            shape: BackoffShape::Fixed(BASE),
            give_up_after: Some(5),
        };
        let after = |failures| delay(&policy, 1, 0, 0, failures, Duration::ZERO);
        assert_eq!(after(4), Some(BASE));
        assert_eq!(after(5), None);
        assert_eq!(after(6), None);
    }

    #[test]
    fn draws_depend_on_device_and_index_and_nothing_else() {
        let policy = policy(BackoffShape::FullJitter {
            base: BASE,
            cap: CAP,
        });
        let draw = |device, index| delay(&policy, 42, device, index, 3, Duration::ZERO);
        assert_eq!(draw(1, 1), draw(1, 1));
        assert_ne!(draw(1, 1), draw(1, 2));
        assert_ne!(draw(1, 1), draw(2, 1));
    }

    #[test]
    fn the_cost_of_an_attempt_is_lognormal() {
        let logs: Vec<f64> = (0..SAMPLES)
            .map(|device| attempt_cost(42, device, 3).as_secs_f64().ln())
            .collect();
        let n = f64::from(SAMPLES);
        let mean = logs.iter().sum::<f64>() / n;
        let deviation = (logs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        assert!((mean.exp() - 0.1).abs() < 0.002, "median {}", mean.exp());
        assert!((deviation - 0.4).abs() < 0.01, "sigma {deviation}");
        assert_ne!(attempt_cost(42, 1, 0), attempt_cost(42, 1, 1));
    }
}

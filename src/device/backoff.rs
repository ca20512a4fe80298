//! Reconnect policies: pure functions from (policy, failures, draw) to the wait before the next attempt.

use crate::rng::{self, Purpose};
use crate::scenario::plan::{Backoff, BackoffShape, DeviceIdx};
use rand_distr::{Distribution, LogNormal};
use std::time::Duration;

/// Median of [`attempt_cost`] in seconds.
const ATTEMPT_COST_MEDIAN_S: f64 = 0.1;
/// Standard deviation of the logarithm of [`attempt_cost`].
const ATTEMPT_COST_SIGMA: f64 = 0.4;
/// Most that azure-iot-sdk-c adds to a wait, as a ratio (`max_jitter_percent` 5).
const AZURE_IOT_JITTER: f64 = 0.05;

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
        BackoffShape::AwsCrt { base, cap } => {
            uniform(Duration::ZERO, grown(base, Duration::MAX, k), u).min(cap)
        }
        BackoffShape::AzureIotSdkC { base, cap } => match k.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => {
                let v = grown(base, cap, doublings);
                Duration::from_secs(v.mul_f64(1.0 + AZURE_IOT_JITTER * u).as_secs())
            }
        },
        BackoffShape::AzureSdkForC { base, cap, jitter } => {
            let (v, extra) = (grown(base, cap, k), jitter.mul_f64(u));
            if cap - v > extra { v + extra } else { v }
        }
        BackoffShape::PahoC { base, cap } => {
            let v = grown(base, cap, k).as_secs();
            let (low, high) = (v * 10 / 12, v * 12 / 10);
            let drawn = uniform(Duration::from_secs(low), Duration::from_secs(high + 1), u);
            Duration::from_secs(drawn.as_secs().min(high))
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

    fn wait(shape: BackoffShape, device: u32, failures: u32, previous: Duration) -> Duration {
        delay(&Backoff::of(shape), 42, device, 0, failures, previous).expect("never gives up")
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

    /// The first ten waits of each device, in seconds.
    fn first_ten(policy: &Backoff, device: u32) -> Vec<f64> {
        let mut previous = Duration::ZERO;
        (1..=10u32)
            .map_while(|waits| {
                let draw = u64::from(waits) - 1;
                previous = delay(policy, 42, device, draw, waits, previous)?;
                Some(previous.as_secs_f64())
            })
            .collect()
    }

    /// Smallest and largest of each of the first ten waits over many devices.
    fn ten_ranges(shape: BackoffShape) -> Vec<(f64, f64)> {
        let mut ranges = vec![(f64::INFINITY, 0.0f64); 10];
        for device in 0..SAMPLES {
            for (range, wait) in ranges
                .iter_mut()
                .zip(first_ten(&Backoff::of(shape), device))
            {
                *range = (range.0.min(wait), range.1.max(wait));
            }
        }
        ranges
    }

    /// What the SDKs' own code gives: smallest and largest of the first ten waits in seconds, with
    /// `rand()` at 0 and at its maximum.
    #[test]
    fn the_first_ten_waits_of_each_sdk() {
        let secs = Duration::from_secs;
        let aws_crt = BackoffShape::AwsCrt {
            base: secs(1),
            cap: secs(120),
        };
        let azure_iot_sdk_c = BackoffShape::AzureIotSdkC {
            base: secs(1),
            cap: secs(30),
        };
        let azure_sdk_for_c = BackoffShape::AzureSdkForC {
            base: secs(1),
            cap: secs(100),
            jitter: secs(5),
        };
        let embedded_c = BackoffShape::FullJitter {
            base: Duration::from_millis(500),
            cap: secs(5),
        };
        let paho_c = BackoffShape::PahoC {
            base: secs(1),
            cap: secs(60),
        };
        let table = [
            (
                aws_crt,
                [0.0; 10],
                [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 120.0, 120.0, 120.0],
            ),
            (
                azure_iot_sdk_c,
                [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0],
                [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 31.0, 31.0, 31.0, 31.0],
            ),
            (
                azure_sdk_for_c,
                [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0, 100.0, 100.0],
                [6.0, 7.0, 9.0, 13.0, 21.0, 37.0, 69.0, 100.0, 100.0, 100.0],
            ),
            (
                embedded_c,
                [0.0; 10],
                [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0],
            ),
            (
                paho_c,
                [0.0, 1.0, 3.0, 6.0, 13.0, 26.0, 50.0, 50.0, 50.0, 50.0],
                [1.0, 2.0, 4.0, 9.0, 19.0, 38.0, 72.0, 72.0, 72.0, 72.0],
            ),
        ];
        for (shape, smallest, largest) in table {
            for (k, (min, max)) in ten_ranges(shape).into_iter().enumerate() {
                let (low, high) = (smallest[k], largest[k]);
                // 20 000 draws come this close to both ends of a range.
                let hair = (high - low) * 0.002;
                assert!(
                    (low..=low + hair).contains(&min) && (high - hair..=high).contains(&max),
                    "{shape:?}, wait {k}: {min} to {max}, not {low} to {high}"
                );
            }
        }
    }

    /// Of the waits up to 2^k s those beyond the cap become the cap: 1 - 120/128 of the eighth,
    /// 1 - 120/256 of the ninth.
    #[test]
    fn the_aws_crt_cuts_after_the_draw() {
        let shape = BackoffShape::AwsCrt {
            base: BASE,
            cap: Duration::from_secs(120),
        };
        for (failures, at_cap) in [(7, 0.0), (8, 0.0625), (9, 0.531_25), (10, 0.765_625)] {
            let waits = (0..SAMPLES).map(|device| wait(shape, device, failures, Duration::ZERO));
            let capped = waits.filter(|wait| wait.as_secs() == 120).count();
            let expected = at_cap * f64::from(SAMPLES);
            let deviation = (expected * (1.0 - at_cap)).sqrt();
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let off = (capped as f64 - expected).abs();
            assert!(
                off <= 4.0 * deviation,
                "wait {failures}: {capped}, not {expected}"
            );
        }
    }

    /// 5 % of less than 20 s are less than a second, so only the waits at the cap vary: up to
    /// 31.5 s, of which a third is below 31 s.
    #[test]
    fn azure_iot_sdk_c_cuts_its_jitter_to_whole_seconds() {
        let shape = BackoffShape::AzureIotSdkC {
            base: BASE,
            cap: CAP,
        };
        let longer = (0..SAMPLES)
            .filter(|device| wait(shape, *device, 9, Duration::ZERO).as_secs() == 31)
            .count();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let share = longer as f64 / f64::from(SAMPLES);
        // A standard error is 0.33 %.
        assert!((share - 1.0 / 3.0).abs() < 0.014, "{share}");
    }

    #[test]
    fn paho_c_draws_whole_seconds_that_are_equally_likely() {
        let shape = BackoffShape::PahoC {
            base: BASE,
            cap: Duration::from_secs(60),
        };
        let mut counts = [0u32; 4];
        for device in 0..SAMPLES {
            let wait = wait(shape, device, 4, Duration::ZERO);
            assert_eq!(wait.subsec_nanos(), 0);
            let slot = usize::try_from(wait.as_secs() - 6).expect("from 6 s");
            counts[slot] += 1;
        }
        // Four standard deviations of a binomial draw with probability 1/4.
        assert!(counts.iter().all(|n| n.abs_diff(5_000) < 245), "{counts:?}");
    }

    #[test]
    fn a_huge_cap_saturates_instead_of_overflowing() {
        let shapes = |base, cap| {
            [
                BackoffShape::NoJitter { base, cap },
                BackoffShape::FullJitter { base, cap },
                BackoffShape::EqualJitter { base, cap },
                BackoffShape::DecorrelatedJitter { base, cap },
                BackoffShape::AwsCrt { base, cap },
                BackoffShape::AzureSdkForC {
                    base,
                    cap,
                    jitter: cap,
                },
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
            give_up_after: Some(5),
            ..Backoff::of(BackoffShape::Fixed(BASE))
        };
        let after = |failures| delay(&policy, 1, 0, 0, failures, Duration::ZERO);
        assert_eq!(after(4), Some(BASE));
        assert_eq!(after(5), None);
        assert_eq!(after(6), None);
    }

    #[test]
    fn draws_depend_on_device_and_index_and_nothing_else() {
        let policy = Backoff::of(BackoffShape::FullJitter {
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

//! How long a worker is busy with a job: a pure function of (seed, node, number of the job), so that
//! a job takes as long whatever becomes of the others.

use crate::rng::{self, Purpose};
use crate::scenario::plan::ServiceTime;

/// The work of job number `job` of a node, in nanoseconds.
pub(super) fn draw_ns(time: &ServiceTime, seed: u64, node: u16, job: u64) -> u64 {
    let u = || rng::unit(seed, u64::from(node), Purpose::ServiceTime, job);
    let time = match *time {
        ServiceTime::Fixed(time) => time,
        // Inverse transform; u is below 1.
        ServiceTime::Exponential(mean) => mean.mul_f64(-(-u()).ln_1p()),
        ServiceTime::Bimodal {
            fast,
            slow,
            slow_share,
        } => {
            if u() < slow_share {
                slow
            } else {
                fast
            }
        }
    };
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const JOBS: u64 = 1_000_000;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn draws(time: ServiceTime) -> impl Iterator<Item = u64> {
        (0..JOBS).map(move |job| draw_ns(&time, 42, 3, job))
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "sums far below 2^53")]
    fn draws_have_the_distribution_they_name() {
        assert!(draws(ServiceTime::Fixed(ms(3))).all(|ns| ns == 3_000_000));
        let (mut sum, mut above) = (0, [0u32; 3]);
        for ns in draws(ServiceTime::Exponential(ms(1))) {
            sum += ns;
            for (k, above) in above.iter_mut().enumerate() {
                *above += u32::from(ns > (k as u64 + 1) * 1_000_000);
            }
        }
        // The mean of 10^6 draws has a standard error of 0.1 %, the shares one below 0.05 points.
        let mean = sum as f64 / JOBS as f64;
        assert!((mean / 1e6 - 1.0).abs() < 0.003, "{mean}");
        for (k, above) in above.into_iter().enumerate() {
            let share = f64::from(above) / JOBS as f64;
            let expected = (-(k as f64 + 1.0)).exp();
            assert!((share - expected).abs() < 0.0015, "{share}, not {expected}");
        }
        let bimodal = ServiceTime::Bimodal {
            fast: ms(2),
            slow: ms(200),
            slow_share: 0.01,
        };
        let slow = draws(bimodal).filter(|ns| *ns == 200_000_000).count();
        let fast = draws(bimodal).filter(|ns| *ns == 2_000_000).count();
        assert_eq!(fast + slow, JOBS as usize);
        assert!((9_700..10_300).contains(&slow), "{slow}");
    }

    #[test]
    fn a_draw_depends_on_seed_node_and_job_and_nothing_else() {
        let time = ServiceTime::Exponential(ms(1));
        let draw = |seed, node, job| draw_ns(&time, seed, node, job);
        assert_eq!(draw(42, 3, 7), draw(42, 3, 7));
        assert_ne!(draw(42, 3, 7), draw(43, 3, 7));
        assert_ne!(draw(42, 3, 7), draw(42, 4, 7));
        assert_ne!(draw(42, 3, 7), draw(42, 3, 8));
        // Changing this changes what every published seed means.
        assert_eq!(draw(42, 3, 7), 155_131);
    }
}

//! The shapes of the draws against their closed forms.

use super::*;

const EVENT: Event = Event::fault(42, 3);
const DEVICES: u32 = 20_000;

fn s(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// When each of a group of [`DEVICES`] gets power, in seconds.
fn instants_s(spread: Spread) -> Vec<f64> {
    (0..DEVICES)
        .map(|device| EVENT.spread(spread, device, device, DEVICES))
        .map(|at| at.as_secs_f64())
        .collect()
}

/// Kolmogorov and Smirnov: the largest distance between the draws' distribution and `cdf`, times
/// sqrt(n). It exceeds 1.95 once in a thousand.
fn distance(mut draws: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    draws.sort_unstable_by(f64::total_cmp);
    let n = f64::from(DEVICES);
    let steps = (1u32..).zip(&draws).map(|(i, x)| {
        let (before, after) = (f64::from(i - 1) / n, f64::from(i) / n);
        (cdf(*x) - before).abs().max((after - cdf(*x)).abs())
    });
    steps.fold(0.0, f64::max) * n.sqrt()
}

/// At least three of six uniform draws are below x.
fn beta_3_4(x: f64) -> f64 {
    let term = |ways: f64, k: i32| ways * x.powi(k) * (1.0 - x).powi(6 - k);
    term(20.0, 3) + term(15.0, 4) + term(6.0, 5) + term(1.0, 6)
}

#[test]
fn a_return_has_the_shape_that_3gpp_gives_it() {
    let draws = instants_s(Spread::Beta(s(10)));
    assert!(draws.iter().all(|at| (0.0..10.0).contains(at)));
    let found = distance(draws.clone(), |x| beta_3_4(x / 10.0));
    assert!(found < 1.95, "{found}");
    // The test can tell: 3 and 4 are not 4 and 3, and Beta is not uniform.
    let other = distance(draws.clone(), |x| 1.0 - beta_3_4(1.0 - x / 10.0));
    assert!(other > 10.0, "{other}");
    assert!(distance(draws, |x| x / 10.0) > 10.0);
}

#[test]
fn a_uniform_return_is_uniform() {
    let draws = instants_s(Spread::Uniform(s(60)));
    let found = distance(draws, |x| x / 60.0);
    assert!(found < 1.95, "{found}");
}

#[test]
fn losses_and_boots_are_uniform_and_independent() {
    let within = s(2);
    let boot = BootTime::Uniform {
        min: s(2),
        max: s(20),
    };
    let losses: Vec<f64> = (0..DEVICES)
        .map(|device| EVENT.loss(within, device).as_secs_f64())
        .collect();
    let boots: Vec<f64> = (0..DEVICES)
        .map(|device| EVENT.boot(boot, device).as_secs_f64())
        .collect();
    assert!(losses.iter().all(|at| (0.0..2.0).contains(at)));
    assert!(boots.iter().all(|time| (2.0..20.0).contains(time)));
    assert!(distance(losses.clone(), |x| x / 2.0) < 1.95);
    assert!(distance(boots.clone(), |x| (x - 2.0) / 18.0) < 1.95);
    let pairs = losses.iter().zip(&boots);
    let covariance: f64 = pairs.map(|(loss, boot)| (loss - 1.0) * (boot - 11.0)).sum();
    // The product of two uniform draws around 0 has a deviation of 2 * 18 / 12.
    let error = 3.0 / f64::from(DEVICES).sqrt();
    assert!((covariance / f64::from(DEVICES)).abs() < 4.0 * error);
}

#[test]
fn waves_are_equal_and_come_one_after_the_other() {
    for (devices, waves) in [(9, 3), (10, 3), (2, 5), (1, 1), (1_000, 7)] {
        let spread = Spread::Waves {
            count: waves,
            every: s(60),
        };
        let mut sizes = vec![0u32; usize::from(waves)];
        for rank in 0..devices {
            let at = EVENT.spread(spread, 100 + rank, rank, devices);
            assert!(at <= spread.longest(), "{at:?}");
            assert_eq!(at.as_secs() % 60, 0);
            sizes[usize::try_from(at.as_secs() / 60).expect("small")] += 1;
        }
        let (least, most) = (sizes.iter().min(), sizes.iter().max());
        let (Some(least), Some(most)) = (least, most) else {
            panic!("there is a wave");
        };
        assert!(most - least <= 1, "{sizes:?}");
        assert_eq!(sizes.iter().sum::<u32>(), devices);
    }
}

#[test]
fn each_event_has_draws_of_its_own() {
    let other = Event::fault(42, 4);
    let boot = BootTime::Uniform {
        min: s(0),
        max: s(9),
    };
    assert_ne!(EVENT.loss(s(9), 7), other.loss(s(9), 7));
    assert_ne!(EVENT.boot(boot, 7), other.boot(boot, 7));
    for spread in [Spread::Uniform(s(9)), Spread::Beta(s(9))] {
        assert_ne!(EVENT.spread(spread, 7, 7, 9), other.spread(spread, 7, 7, 9));
    }
    assert_eq!(EVENT.spread(Spread::AtOnce, 7, 7, 9), s(0));
    assert_eq!(EVENT.boot(BootTime::Fixed(s(5)), 7), s(5));
}

#[test]
fn draws_of_power_are_fixed_for_ever() {
    let boot = BootTime::Uniform {
        min: s(0),
        max: s(9),
    };
    let draws = [
        EVENT.loss(s(9), 7),
        EVENT.boot(boot, 7),
        EVENT.spread(Spread::Uniform(s(9)), 7, 7, 9),
        EVENT.spread(Spread::Beta(s(9)), 7, 7, 9),
    ];
    let waves = Spread::Waves {
        count: 9,
        every: s(1),
    };
    let wave = EVENT.spread(waves, 7, 7, 9).as_secs();
    let ns = draws.map(|draw| draw.as_nanos());
    let fixed = [2_404_065_647, 1_616_835_665, 1_648_660_929, 3_864_711_037];
    assert_eq!((ns, wave), (fixed, 3));
}

//! Schedules: exact counts, no drift, purity, independence, and Poisson arrivals that are Poisson.

use super::*;
use crate::scenario::fixture;
use proptest::prelude::*;

const PERIOD: Duration = Duration::from_secs(60);
const START: Instant = Instant::from_ns(3_000_000_000);

fn plan_with(schedule: Schedule) -> Plan {
    let mut plan = fixture::plan(100);
    let mut second = plan.streams[0].clone();
    second.name = "second".into();
    plan.streams.push(second);
    for stream in &mut plan.streams {
        stream.schedule = schedule;
    }
    plan.cohorts[0].streams = 0..2;
    plan
}

fn every(phase: PhaseShape) -> Schedule {
    Schedule::Every {
        period: PERIOD,
        phase,
    }
}

fn pacer(plan: &Plan, device: DeviceIdx) -> Pacer<'_> {
    Pacer {
        plan,
        stream: 0,
        device,
        boot: 1,
        start: START,
    }
}

fn walk<'a>(
    pacer: &'a Pacer<'_>,
    power_on: Instant,
    end: Instant,
) -> impl Iterator<Item = Cursor> + 'a {
    let first = pacer.first(power_on);
    std::iter::successors(Some(first), move |&cursor| Some(pacer.next(cursor)))
        .take_while(move |cursor| cursor.at < end)
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let period = 1_000_000u64..2_000_000_000;
    let every = |ns, phase| Schedule::Every {
        period: Duration::from_nanos(ns),
        phase,
    };
    prop_oneof![
        period
            .clone()
            .prop_map(move |ns| every(ns, PhaseShape::Uniform)),
        period
            .clone()
            .prop_map(move |ns| every(ns, PhaseShape::Boot)),
        (period.clone(), 0u64..1000).prop_map(move |(ns, share)| {
            let jitter = Duration::from_nanos(ns * share / 1000);
            every(ns, PhaseShape::Aligned { jitter })
        }),
        period.prop_map(|ns| Schedule::Poisson {
            mean_gap: Duration::from_nanos(ns)
        }),
    ]
}

proptest! {
    #[test]
    fn counting_agrees_with_walking(
        schedule in any_schedule(),
        device in 0u32..100,
        power_on in 0u64..2_000_000_000,
        lengths in prop::collection::vec(0u64..600_000_000, 1..5),
        end in 0u64..3_000_000_000,
    ) {
        let plan = plan_with(schedule);
        let pacer = pacer(&plan, device);
        let (power_on, end) = (START.after_ns(power_on), START.after_ns(end));
        let phase_ends: Vec<Instant> = lengths
            .iter()
            .scan(START, |at, &length| {
                *at = at.after_ns(length);
                Some(*at)
            })
            .collect();
        let mut walked = vec![0; lengths.len()];
        for cursor in walk(&pacer, power_on, end) {
            let phase = phase_ends.iter().position(|&e| cursor.at < e);
            walked[phase.unwrap_or(lengths.len() - 1)] += 1;
        }
        let mut counted = vec![0; lengths.len()];
        pacer.count(power_on, end, &phase_ends, &mut counted);
        prop_assert_eq!(counted, walked);
    }

    #[test]
    fn before_arrival_n_there_are_n(schedule in any_schedule(), n in 0usize..20) {
        let plan = plan_with(schedule);
        let pacer = pacer(&plan, 9);
        let power_on = START.after_ns(1_234_567);
        let at = walk(&pacer, power_on, Instant::NEVER)
            .nth(n)
            .expect("schedules go on")
            .at;
        let mut counts = [0];
        pacer.count(power_on, at, &[at], &mut counts);
        prop_assert_eq!(counts, [n as u64]);
    }

    #[test]
    fn a_schedule_begins_at_power_on_and_never_goes_back(
        schedule in any_schedule(),
        power_on in 0u64..20_000_000_000,
    ) {
        let plan = plan_with(schedule);
        let pacer = pacer(&plan, 5);
        let power_on = START.after_ns(power_on);
        let mut cursor = pacer.first(power_on);
        prop_assert!(cursor.at >= power_on);
        for seq in 1..50 {
            let next = pacer.next(cursor);
            prop_assert_eq!(next.seq, seq);
            prop_assert!(next.at >= cursor.at);
            // Pure: the same cursor always leads to the same arrival.
            prop_assert_eq!(pacer.next(cursor), next);
            cursor = next;
        }
    }
}

#[test]
fn an_arrival_on_a_border_belongs_to_what_begins_there() {
    let seconds = |s| START.after(Duration::from_secs(s));
    let jitter = Duration::ZERO;
    for phase in [PhaseShape::Boot, PhaseShape::Aligned { jitter }] {
        let plan = plan_with(every(phase));
        let count = |end| {
            let mut counts = [0; 3];
            let ends = [seconds(60), seconds(180), seconds(240)];
            pacer(&plan, 3).count(START, end, &ends, &mut counts);
            counts
        };
        assert_eq!(count(seconds(240)), [1, 2, 1]);
        assert_eq!(count(seconds(241)), [1, 2, 2], "past the last phase");
        assert_eq!(count(seconds(180)), [1, 2, 0]);
        assert_eq!(count(seconds(60)), [1, 0, 0]);
        assert_eq!(count(START), [0, 0, 0]);
    }
}

#[test]
fn an_hour_of_a_fixed_rate_does_not_drift() {
    for phase in [PhaseShape::Uniform, PhaseShape::Boot] {
        let plan = plan_with(every(phase));
        let pacer = pacer(&plan, 17);
        let power_on = START.after_ns(123_456_789);
        let end = power_on.after(Duration::from_secs(3600));
        let arrivals: Vec<Cursor> = walk(&pacer, power_on, end).collect();
        let first = pacer.first(power_on);
        assert_eq!(arrivals.len(), 60);
        assert!(first.at.since(power_on) < PERIOD);
        let last = arrivals.last().expect("60 of them");
        assert_eq!(last.at, first.at.after(PERIOD * 59), "to the nanosecond");
    }
}

#[test]
fn aligned_arrivals_are_multiples_of_the_period_plus_jitter() {
    let table = [
        // (power-on, first multiple), in seconds after T0.
        (0, 0),
        (1, 60),
        (59, 60),
        (60, 60),
        (61, 120),
    ];
    let jitter = Duration::from_secs(15);
    let exact = plan_with(every(PhaseShape::Aligned {
        jitter: Duration::ZERO,
    }));
    let jittered = plan_with(every(PhaseShape::Aligned { jitter }));
    for (power_on, first) in table {
        let power_on = START.after(Duration::from_secs(power_on));
        let expected = START.after(Duration::from_secs(first));
        assert_eq!(pacer(&exact, 3).first(power_on).at, expected);
        let mut cursor = pacer(&jittered, 3).first(power_on);
        let mut offsets = Vec::new();
        for n in 0..20 {
            let multiple = expected.after(PERIOD * n);
            assert!(cursor.at >= multiple && cursor.at.since(multiple) < jitter);
            offsets.push(cursor.at.since(multiple));
            cursor = pacer(&jittered, 3).next(cursor);
        }
        offsets.sort();
        offsets.dedup();
        assert_eq!(offsets.len(), 20, "each arrival draws anew");
    }
}

#[test]
fn streams_devices_and_boots_draw_apart() {
    let plan = plan_with(Schedule::Poisson { mean_gap: PERIOD });
    let gap = |device, stream, boot| {
        let pacer = Pacer {
            stream,
            boot,
            ..pacer(&plan, device)
        };
        pacer.first(START).at
    };
    let mut draws = vec![gap(1, 0, 1), gap(2, 0, 1), gap(1, 1, 1), gap(1, 0, 2)];
    draws.sort();
    draws.dedup();
    assert_eq!(draws.len(), 4);

    let uniform = plan_with(every(PhaseShape::Uniform));
    let phase = |boot| {
        Pacer {
            boot,
            ..pacer(&uniform, 1)
        }
        .first(START)
    };
    assert_eq!(phase(1), phase(2), "a device keeps its phase over boots");
}

#[test]
fn two_streams_of_a_device_are_uncorrelated() {
    let plan = plan_with(every(PhaseShape::Uniform));
    let n = 20_000u32;
    let sum: f64 = (0..n)
        .map(|device| {
            let of = |stream| {
                let pacer = Pacer {
                    stream,
                    ..pacer(&plan, device)
                };
                pacer.first(START).at.since(START).as_secs_f64() / 60.0 - 0.5
            };
            of(0) * of(1)
        })
        .sum();
    // The product of two independent centred uniforms has a standard deviation of 1/12.
    let correlation = sum / f64::from(n) * 12.0;
    assert!(
        correlation.abs() < 4.0 / f64::from(n).sqrt(),
        "{correlation}"
    );
}

#[test]
fn phases_are_uniform_over_the_fleet() {
    let plan = plan_with(every(PhaseShape::Uniform));
    let mut phases: Vec<f64> = (0..10_000)
        .map(|device| {
            let first = pacer(&plan, device).first(START);
            first.at.since(START).as_secs_f64() / 60.0
        })
        .collect();
    let a2 = anderson_darling(&mut phases);
    assert!(a2 < AD_CRITICAL_1_PERCENT, "{a2}");
}

#[test]
fn poisson_gaps_are_exponential_and_fixed_gaps_are_not() {
    let mean = Duration::from_secs(1);
    let mut plan = plan_with(Schedule::Poisson { mean_gap: mean });
    let mut accepted = 0;
    for seed in 0..SEEDS {
        plan.seed = seed;
        let pacer = pacer(&plan, 0);
        accepted += u32::from(gaps_look_exponential(&pacer, mean));
    }
    assert!(accepted >= SEEDS_ACCEPTED_AT_LEAST, "{accepted}");

    let jitter = Duration::from_millis(999);
    for phase in [
        PhaseShape::Boot,
        PhaseShape::Uniform,
        PhaseShape::Aligned { jitter },
    ] {
        let period = mean;
        let mut fixed = plan_with(Schedule::Every { period, phase });
        for seed in 0..SEEDS {
            fixed.seed = seed;
            let accepted = gaps_look_exponential(&pacer(&fixed, 0), mean);
            assert!(!accepted, "{phase:?}, seed {seed}");
        }
    }
}

#[test]
fn poisson_counts_have_the_variance_of_poisson() {
    // Mean and variance of the number of arrivals in ten mean gaps are both 10.
    let plan = plan_with(Schedule::Poisson { mean_gap: PERIOD });
    let n = 5_000u32;
    let counts: Vec<f64> = (0..n)
        .map(|device| {
            let mut count = [0];
            let end = START.after(PERIOD * 10);
            pacer(&plan, device).count(START, end, &[end], &mut count);
            f64::from(u32::try_from(count[0]).expect("a few"))
        })
        .collect();
    let mean = counts.iter().sum::<f64>() / f64::from(n);
    let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / f64::from(n);
    assert!((mean - 10.0).abs() < 0.2, "mean {mean}");
    assert!((variance - 10.0).abs() < 0.9, "variance {variance}");
}

#[test]
fn a_schedule_ends_where_sequence_numbers_do() {
    let plan = plan_with(every(PhaseShape::Boot));
    let last = Cursor {
        seq: u32::MAX,
        at: START,
    };
    assert!(pacer(&plan, 0).next(last).at.is_never());
}

/// Critical value of the Anderson-Darling statistic at 1 % for a fully known distribution
/// (Stephens 1974, case 0).
const AD_CRITICAL_1_PERCENT: f64 = 3.857;
/// How many seeds the exponential gaps are tested with, 10 000 gaps each.
const SEEDS: u64 = 100;
/// Of 100 tests at 1 %, more than 3 fail once in 54 times if the gaps are exponential.
const SEEDS_ACCEPTED_AT_LEAST: u32 = 97;

fn gaps_look_exponential(pacer: &Pacer<'_>, mean: Duration) -> bool {
    let mut cursor = pacer.first(START);
    let mut quantiles: Vec<f64> = (0..10_000)
        .map(|_| {
            let next = pacer.next(cursor);
            let gap = next.at.since(cursor.at).as_secs_f64() / mean.as_secs_f64();
            cursor = next;
            -(-gap).exp_m1()
        })
        .collect();
    anderson_darling(&mut quantiles) < AD_CRITICAL_1_PERCENT
}

/// A² of values that should be uniform in (0, 1).
fn anderson_darling(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = f64::from(u32::try_from(values.len()).expect("a test's worth"));
    let mut sum = 0.0;
    let mut odd = 1.0;
    for (low, high) in values.iter().zip(values.iter().rev()) {
        sum += odd * (low.max(1e-300).ln() + (1.0 - high).max(1e-300).ln());
        odd += 2.0;
    }
    -n - sum / n
}

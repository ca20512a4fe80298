//! Hand-computed ages, and the closed form of a steady stream.

use crate::stats::event::Event;
use crate::stats::recorder::{Audit, Freshness, Layout, ProcessGauges, Recorder, merge_histograms};
use crate::stats::series::Metric;
use crate::time::Instant;

fn at_ms(ms: u64) -> Instant {
    Instant::from_ns((1_000 + ms) * 1_000_000)
}

/// T0 at 1 s; phases of 10 s and 20 s.
fn recorder(observed: &[u32]) -> Recorder {
    let layout = Layout {
        start: at_ms(0),
        phase_ends: vec![at_ms(10_000), at_ms(30_000)],
        streams: 0,
    };
    Recorder::new(layout).with_freshness(observed)
}

fn finish(recorder: &mut Recorder) -> Option<Freshness> {
    let audit = Audit::new(0, 2);
    recorder
        .totals(at_ms(40_000), &audit, Default::default())
        .freshness
}

#[test]
fn ages_grow_until_a_newer_sample_is_seen() {
    let mut r = recorder(&[3, 5]);
    for device in 3..6 {
        r.record(at_ms(0), device, &Event::PoweredOn);
    }
    // Seen at the age of 1 s; grows to 4 s at 5 s.
    r.record_sample(at_ms(2_000), 3, at_ms(1_000));
    // A sample made at 4 s, then an older one that does not rejuvenate anything.
    r.record_sample(at_ms(5_000), 3, at_ms(4_000));
    r.record_sample(at_ms(6_000), 3, at_ms(2_000));
    // Not observed.
    r.record_sample(at_ms(6_000), 4, at_ms(2_000));
    // Off at 12 s, with a sample still under way; on again at 14 s, as old as that until seen at 15 s, then to the end at 30 s.
    r.record(at_ms(12_000), 3, &Event::PoweredOff);
    r.record_sample(at_ms(12_100), 3, at_ms(11_900));
    r.record(at_ms(14_000), 3, &Event::PoweredOn);
    r.record_sample(at_ms(15_000), 3, at_ms(15_000));
    let area = |young: f64, old: f64| (old * old - young * young) / 2.0;
    let expected = Freshness {
        phases: vec![
            (area(1.0, 4.0) + area(1.0, 6.0), 8.0),
            (area(6.0, 8.0) + area(0.0, 1.0) + area(0.0, 15.0), 18.0),
        ],
        powered: 2,
        seen: 1,
    };
    assert_eq!(finish(&mut r), Some(expected));
}

#[test]
fn nobody_asks_nothing_is_followed() {
    let mut r = recorder(&[]);
    r.record(at_ms(0), 0, &Event::PoweredOn);
    r.record_sample(at_ms(2_000), 0, at_ms(1_000));
    assert_eq!(finish(&mut r), None);
}

#[test]
fn a_steady_stream_is_half_a_period_and_its_delay_old() {
    // A period of the grid's own length, all in step: samples at 0 s, 5 s, … seen 100 ms later.
    let devices: Vec<u32> = (0..300).collect();
    let mut r = recorder(&devices);
    for k in 0..6 {
        for device in &devices {
            let made = at_ms(5_000 * k);
            r.record_sample(at_ms(5_000 * k + 100), *device, made);
        }
    }
    let freshness = finish(&mut r).expect("asked for");
    // From 10.1 s on whole periods, and the first 100 ms at the age of 5 s and more.
    let (area, time) = freshness.phases[1];
    assert!((area / time - 2.6).abs() < 1e-9, "{}", area / time);
    let snapshot = r.take_snapshot(at_ms(40_000), 0, ProcessGauges::default());
    let ages = merge_histograms(&[snapshot], Metric::FreshnessAge);
    // The first 100 ms are before the first sample.
    assert!((300 * 6 - 40..=300 * 6).contains(&ages.count()));
    for (p, expected_s) in [(50.0, 2.6), (99.0, 5.05)] {
        let s = ages.percentile_us(p).expect("not empty") as f64 / 1e6;
        assert!((s - expected_s).abs() < 0.05, "p{p}: {s}");
    }
}

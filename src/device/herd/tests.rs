//! The presets' first waits against their SDKs' code, and their herds against the domain's notes.

use super::*;
use crate::scenario::sdks::{self, SDKS};

const SEED: u64 = 7;
const SAMPLES: u32 = 20_000;

fn policy(name: &str) -> Backoff {
    sdks::preset(name).expect("it is a preset").backoff
}

/// Smallest and largest of each of the first ten waits after a lost connection, in seconds over many
/// devices; fewer if the policy gives up.
fn ten_ranges(policy: Backoff) -> Vec<(f64, f64)> {
    let mut ranges = Vec::new();
    for device in 0..SAMPLES {
        let waits = Waits::new(policy, SEED, device).take(10);
        for (k, wait) in waits.map(|wait| wait.as_secs_f64()).enumerate() {
            if ranges.len() == k {
                ranges.push((wait, wait));
            }
            let (low, high) = ranges[k];
            ranges[k] = (wait.min(low), wait.max(high));
        }
    }
    ranges
}

/// What the code of each SDK gives: smallest and largest wait, in seconds.
fn expected(name: &str) -> (&'static [f64], &'static [f64]) {
    const DOUBLED_120: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 120.0, 120.0, 120.0];
    const DOUBLED_128: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 128.0, 128.0];
    const ZERO: &[f64] = &[0.0; 10];
    match name {
        "esp-mqtt" => (&[10.0; 10], &[10.0; 10]),
        "golioth-zephyr" => {
            let waits = &[1.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0];
            (waits, waits)
        }
        "aws-embedded-c" => (&[0.0; 6], &[0.0, 0.5, 1.0, 2.0, 4.0, 5.0]),
        "azure-sdk-for-c" => (
            &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0, 100.0, 100.0],
            &[6.0, 7.0, 9.0, 13.0, 21.0, 37.0, 69.0, 100.0, 100.0, 100.0],
        ),
        "azure-iot-sdk-c" => (
            &[0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0],
            &[0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 31.0, 31.0, 31.0, 31.0],
        ),
        "aws-crt-mqtt5" => (ZERO, DOUBLED_120),
        "aws-crt-mqtt311" | "paho-java" => (DOUBLED_128, DOUBLED_128),
        "paho-c" => (
            &[0.0, 1.0, 3.0, 6.0, 13.0, 26.0, 50.0, 50.0, 50.0, 50.0],
            &[1.0, 2.0, 4.0, 9.0, 19.0, 38.0, 72.0, 72.0, 72.0, 72.0],
        ),
        "paho-python" => (DOUBLED_120, DOUBLED_120),
        "uplink" => (&[3.0; 10], &[3.0; 10]),
        "mosquitto-bridge" => (
            &[5.0; 10],
            &[5.0, 15.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0],
        ),
        "mqttjs" => (&[1.0; 10], &[1.0; 10]),
        "rumqttc-naive" => (ZERO, ZERO),
        unknown => panic!("no delays are written down for {unknown}"),
    }
}

#[test]
fn the_first_ten_waits_of_each_preset() {
    for sdk in &SDKS {
        let (smallest, largest) = expected(sdk.name);
        let ranges = ten_ranges(sdk.backoff);
        assert_eq!(ranges.len(), smallest.len(), "{}", sdk.name);
        for (k, (min, max)) in ranges.into_iter().enumerate() {
            let (low, high) = (smallest[k], largest[k]);
            // 20 000 draws come this close to both ends of a range.
            let hair = (high - low) * 0.005;
            assert!(
                (low..=low + hair).contains(&min) && (high - hair..=high).contains(&max),
                "{}, wait {k}: {min} to {max}, not {low} to {high}",
                sdk.name
            );
        }
    }
}

#[test]
fn waits_are_fixed_for_ever() {
    let waits = |name| -> Vec<u128> {
        let waits = Waits::new(policy(name), 42, 7).take(10);
        waits.map(|wait| wait.as_millis()).collect()
    };
    assert_eq!(
        waits("aws-crt-mqtt5"),
        [
            699, 1100, 3131, 1887, 3129, 21241, 43260, 41702, 83666, 77582
        ]
    );
    assert_eq!(
        waits("paho-c"),
        [
            1000, 2000, 4000, 6000, 14000, 34000, 65000, 57000, 57000, 53000
        ]
    );
    assert_eq!(
        waits("mosquitto-bridge"),
        [
            5000, 11994, 22056, 30000, 25050, 18722, 30000, 30000, 30000, 30000
        ]
    );
}

/// The policies of the domain's notes, which have no first wait of their own.
fn without_first(name: &str) -> Backoff {
    Backoff {
        first: None,
        ..policy(name)
    }
}

/// The notes' own model has another generator and one run; it prints one decimal or none.
#[test]
fn the_herds_are_those_of_the_domains_notes() {
    // Attempts, T50, T95, T99, T100 in seconds, peak second in percent of the fleet.
    let table = [
        (policy("esp-mqtt"), [30.0, 3.4, 3.9, 4.1, 4.5, 90.0]),
        (policy("uplink"), [97.0, 1.7, 2.4, 2.7, 3.1, 69.0]),
        (policy("mqttjs"), [271.0, 0.6, 1.1, 1.1, 1.3, 90.0]),
        (policy("paho-python"), [9.0, 68.1, 68.4, 68.5, 68.9, 70.0]),
        (policy("azure-iot-sdk-c"), [15.0, 5.7, 8.1, 9.1, 11.4, 27.0]),
        (
            policy("azure-sdk-for-c"),
            [9.0, 45.5, 52.0, 54.3, 58.7, 11.5],
        ),
        (
            policy("aws-crt-mqtt5"),
            [10.3, 57.2, 114.0, 119.0, 120.0, 1.2],
        ),
        (
            without_first("golioth-zephyr"),
            [59.0, 1.5, 2.2, 2.4, 2.9, 81.0],
        ),
        (
            without_first("mosquitto-bridge"),
            [14.1, 12.5, 28.0, 29.6, 30.0, 4.5],
        ),
    ];
    for (policy, noted) in table {
        let herd = herd(&policy, SEED);
        let seconds = |time: Option<Duration>| time.expect("all come back").as_secs_f64();
        let ours = [
            herd.attempts,
            seconds(herd.t50),
            seconds(herd.t95),
            seconds(herd.t99),
            seconds(herd.t100),
            100.0 * herd.peak_1s,
        ];
        assert!(herd.stranded.abs() < f64::EPSILON, "{policy:?}");
        for (figure, (ours, noted)) in ours.into_iter().zip(noted).enumerate() {
            let percent = figure == 5;
            let off = if percent { 2.5 } else { 0.25 + 0.015 * noted };
            assert!(
                (ours - noted).abs() <= off,
                "{policy:?}, figure {figure}: {ours}, not {noted}"
            );
        }
    }
    let gives_up = Backoff {
        give_up_after: Some(5),
        ..without_first("aws-embedded-c")
    };
    let herd = herd(&gives_up, SEED);
    assert!((herd.attempts - 5.0).abs() < f64::EPSILON, "{herd:?}");
    assert!((herd.stranded - 1.0).abs() < f64::EPSILON, "{herd:?}");
    assert_eq!((herd.t50, herd.t100), (None, None));
}

/// Its first attempt follows the loss at once, each further one the failure before it.
#[test]
fn without_any_wait_a_device_tries_as_often_as_its_attempts_take() {
    let (attempts, came) = comes_back(&policy("rumqttc-naive"), SEED, 3);
    // 300 s of attempts that take 0.1083 s on average: median 0.1 s, times e^(0.4^2 / 2).
    assert!((2_650..2_900).contains(&attempts), "{attempts}");
    assert!(came.expect("it never gives up") < Duration::from_secs(1));
}

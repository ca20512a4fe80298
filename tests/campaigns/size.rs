//! What a campaign of a large fleet takes. In release and on request:
//! `cargo test --release --test campaigns -- --ignored`.

use crate::bench::{Parts, simulate};
use std::io::Write as _;
use std::time::{Duration, Instant};

const DEVICES: u32 = 100_000;

/// The image of 64 KiB in blocks of 4 KiB: 1.6 million blocks, each asked for, sent and hashed.
#[test]
#[ignore = "needs release speed"]
fn a_hundred_thousand_devices_are_updated_within_a_minute() {
    let parts = Parts {
        devices: DEVICES,
        profile: "{ aws_jobs: { encoding: cbor } }",
        campaigns: &[
            "{ campaign: fw-2, where: { fw: { below: \"2.0.0\" } }, image: { version: \"2.0.0\", bytes: 65536 }, rollout: { constant: 120000/min } }",
        ],
        ramp: "power_on: { rate: 10000/s }",
        length: "90s",
        ..Parts::default()
    };
    let text = parts
        .text()
        .replace("every: 10s", "every: 60s")
        .replace("every: 20s", "every: 60s");
    let began = Instant::now();
    let run = simulate(&text, &[]).ended(0);
    let took = began.elapsed();
    let _ = writeln!(
        std::io::stderr(),
        "{DEVICES} devices were updated in {took:?} of wall time, report included"
    );
    run.must_be_confirmed(DEVICES as usize);
    assert_eq!(run.campaign("fw-2")["bytes"]["max"], 1.0);
    assert!(took <= Duration::from_secs(60), "{took:?}");
}

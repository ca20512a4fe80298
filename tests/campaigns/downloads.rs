//! Each wire profile from offer to confirmation, and what a break in the middle of a download costs.

use crate::bench::{self, EVERYONE, Parts, Run};
use crate::sheet::Sheet;

const IMAGE_BYTES: u64 = 100_000;
const BLOCK_BYTES: u64 = 4096;

/// A cohort of its own per profile, with what it needs to take 4096 bytes per 204.8 ms: block by block
/// that is the speed of the flash, since the next one is asked for when that is free; over HTTP that
/// of the link.
struct Way {
    cohort: &'static str,
    profile: &'static str,
    link: &'static str,
    speed: &'static str,
    /// Blocks, or pieces of a body, that are whole 3 s after the start. The first block is there at
    /// once, the first piece after its 204.8 ms: 1 + 14, or 14.
    before_the_break: u64,
}

const WAYS: [Way; 5] = [
    block_by_block("json", "{ aws_jobs: { encoding: json } }"),
    block_by_block("cbor", "{ aws_jobs: { encoding: cbor } }"),
    block_by_block("one-more", "{ thingsboard: { counts_one_more: true } }"),
    block_by_block("things", "{ thingsboard: { counts_one_more: false } }"),
    Way {
        cohort: "http",
        profile: "generic_action",
        link: "    link: { latency: 0ms, down: 160kbps }",
        speed: "",
        before_the_break: 14,
    },
];

const fn block_by_block(cohort: &'static str, profile: &'static str) -> Way {
    Way {
        cohort,
        profile,
        link: "",
        speed: ", flash_rate: 20000",
        before_the_break: 15,
    }
}

/// So many devices of each cohort.
fn fleet(devices: u32, ways: &[Way], update: &str) -> String {
    let cohort = |way: &Way| {
        let update = format!("{}{update}", way.speed);
        bench::cohort(way.cohort, devices, FACTORY, way.link, way.profile, &update)
    };
    ways.iter().map(cohort).collect()
}

const FACTORY: &str = "fw: { \"1.4.2\": 100% }";

/// Topics of ThingsBoard name no device.
const TARGET: &str = "embedded: { nodes: 2, me: per_connection }";

/// All devices are cut off 3 s after the campaign's start. A blackhole is noticed only after a while:
/// by the keep-alive, or by 30 s of silence of a body.
const BREAKS: [&str; 3] = [
    "{ outage: { reset: {} }, at: 8s, for: 3s }",
    "{ outage: { blackhole: {} }, at: 8s, for: 40s }",
    "{ power_cut: {}, at: 8s, for: 5s }",
];

fn broken(ways: &[Way], faults: &str, resume: &str) -> Run {
    let run = Parts {
        target: TARGET,
        fleet: &fleet(20, ways, &format!(", resume: {resume}")),
        faults,
        length: "110s",
        ..Parts::default()
    }
    .simulate()
    .ended(0);
    run.must_be_confirmed(20 * ways.len());
    run
}

fn bytes(sheet: &Sheet, cohort: &str) -> Vec<u64> {
    let rows = sheet.rows().filter(|row| row.text("cohort") == cohort);
    rows.map(|row| row.number("bytes")).collect()
}

#[test]
fn every_profile_updates_every_device() {
    // A whole number of blocks: the last chunk of who counts one more is empty.
    for (devices, image) in [(200, IMAGE_BYTES), (20, 24 * BLOCK_BYTES)] {
        let campaign = EVERYONE.replace("100000", &image.to_string());
        let run = Parts {
            target: TARGET,
            fleet: &fleet(devices, &WAYS, ""),
            campaigns: &[&campaign],
            length: "30s",
            ..Parts::default()
        }
        .simulate()
        .ended(0);
        let devices = devices as usize;
        run.must_be_confirmed(devices * WAYS.len());
        let [operator, own] =
            ["results-fw-2.csv", "device-results-fw-2.csv"].map(|name| run.sheet(name));
        for way in &WAYS {
            assert_eq!(
                bytes(&own, way.cohort),
                vec![image; devices],
                "{}",
                way.cohort
            );
            // What goes over HTTP does not pass the operator.
            let served = if way.cohort == "http" { 0 } else { image };
            assert_eq!(
                bytes(&operator, way.cohort),
                vec![served; devices],
                "{}",
                way.cohort
            );
        }
    }
}

#[test]
fn a_break_costs_nothing_of_what_is_in_flash() {
    for faults in BREAKS {
        let run = broken(&WAYS, faults, "block");
        let devices = run.sheet("device-results-fw-2.csv");
        for way in &WAYS {
            let found = bytes(&devices, way.cohort);
            assert_eq!(found, [IMAGE_BYTES; 20], "{} {faults}", way.cohort);
        }
        assert_eq!(run.campaign("fw-2")["bytes"]["max"], 1.0);
        // A try over HTTP that fails is none.
        let updates = run.outcome().totals.updates;
        assert_eq!(
            (updates.resumed, updates.restarted),
            (100, 0),
            "{updates:?}"
        );
    }
}

#[test]
fn who_begins_anew_has_what_it_had_twice() {
    for faults in BREAKS {
        let run = broken(&WAYS, faults, "restart");
        let devices = run.sheet("device-results-fw-2.csv");
        let mut all = 0;
        for way in &WAYS {
            let expected = way.before_the_break * BLOCK_BYTES + IMAGE_BYTES;
            let found = bytes(&devices, way.cohort);
            assert_eq!(found, [expected; 20], "{} {faults}", way.cohort);
            all += 20 * expected;
        }
        let told = &run.campaign("fw-2")["bytes"];
        assert_eq!(told["received"], all);
        let factor = all as f64 / (100 * IMAGE_BYTES) as f64;
        let mean = told["mean"].as_f64().expect("all have the image");
        assert!((mean - factor).abs() < 1e-9, "{mean} {factor}");
        let updates = run.outcome().totals.updates;
        assert_eq!(
            (updates.resumed, updates.restarted),
            (0, 100),
            "{updates:?}"
        );
    }
}

/// A blackhole of 10 s holds a body and lets it go: nothing breaks.
#[test]
fn a_short_blackhole_breaks_no_body() {
    let [.., http] = WAYS;
    let faults = "{ outage: { blackhole: {} }, at: 8s, for: 10s }";
    let run = broken(&[http], faults, "restart");
    let devices = run.sheet("device-results-fw-2.csv");
    assert_eq!(bytes(&devices, "http"), [IMAGE_BYTES; 20]);
    let updates = run.outcome().totals.updates;
    assert_eq!((updates.resumed, updates.restarted), (0, 0), "{updates:?}");
    for row in devices.rows() {
        let [began, whole] = ["started_s", "downloaded_s"].map(|at| row.us(at).expect(at));
        // 100 000 bytes take 5 s, and nothing comes for 10 s but what was on its way.
        assert!(whole - began > 10_000_000, "{}", whole - began);
    }
}

/// Four blocks on their way for 300 ms each when the reset comes: the operator has sent them, the
/// device has not got them, or got them ahead of their turn and forgot them.
#[test]
fn a_break_costs_a_window_at_most() {
    let window = 4;
    let run = Parts {
        cohort: "    link: { latency: 300ms, jitter: 100ms }",
        update: &format!(", window: {window}"),
        faults: "{ outage: { reset: { within: 1s } }, at: 7s, for: 3s }",
        ..Parts::default()
    }
    .simulate()
    .ended(0);
    run.must_be_confirmed(200);
    let most = window * BLOCK_BYTES;
    let (mut lost, mut again) = (0, 0);
    let sheets = ["results-fw-2.csv", "device-results-fw-2.csv"].map(|name| run.sheet(name));
    let mut sent = vec![0; 200];
    for row in sheets[0].rows() {
        let device = usize::try_from(row.device()).expect("below 200");
        sent[device] = row.number("bytes");
    }
    for row in sheets[1].rows() {
        let got = row.number("bytes");
        let sent = sent[usize::try_from(row.device()).expect("below 200")];
        assert!((IMAGE_BYTES..=IMAGE_BYTES + most).contains(&got), "{got}");
        assert!((got..=got + most).contains(&sent), "{sent} {got}");
        lost += sent - got;
        again += got - IMAGE_BYTES;
    }
    assert!(lost > 0 && lost % BLOCK_BYTES == 0, "{lost}");
    assert_eq!(again % BLOCK_BYTES, 0, "{again}");
    let updates = run.outcome().totals.updates;
    assert!(updates.resumed >= 150, "{updates:?}");
}

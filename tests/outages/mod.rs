//! Every network and device fault on persistent sessions at QoS 1, and what must hold after each: one
//! row for each fault, for whatever target.

use crate::program::Finished;

/// A keep-alive short enough to be noticed in the fault, and devices that would overtake it.
const TEXT: &str = r#"
name: acked-and-lost
seed: 5
TARGET
fleet:
  - cohort: meters
    devices: DEVICES
    client: { client_id: "{device}", keep_alive: 2s, ping_timeout: 500ms, connect_timeout: 1s, backoff: { full_jitter: { base: 200ms, cap: 1s } } }
    session: { clean: false, will: { topic: "s/{device}/state", payload: "gone", qos: 1 } }
    telemetry:
      - { stream: power, topic: "t/{device}/power", qos: 1, every: 500ms, ack_timeout: 60s, payload: { bytes: 60 } }
phases:
  - { name: ramp, power_on: { rate: 2000/s } }
  - { name: outage, for: 7s, faults: [ FAULTS ] }
  - { name: recovery, for: 3s }
slos:
  - { name: nothing acknowledged is lost, indicator: delivery.lost, at_most: 0 }
"#;

/// (name, faults). Refused connects and a name that is not resolved hurt only who has to come back.
pub(crate) const FAULTS: [(&str, &str); 7] = [
    (
        "reset",
        "{ outage: { reset: { within: 1s } }, at: 1s, for: 4s }",
    ),
    (
        "close",
        "{ outage: { close: { within: 1s } }, at: 1s, for: 4s }",
    ),
    (
        "refuse",
        "{ outage: refuse, at: 1s, for: 4s }, { outage: { reset: { within: 500ms } }, at: 1500ms, for: 1s }",
    ),
    (
        "dns",
        "{ outage: dns, at: 1s, for: 4s }, { outage: { close: { within: 500ms } }, at: 1500ms, for: 1s }",
    ),
    ("blackhole", "{ outage: blackhole, at: 1s, for: 5s }"),
    (
        "power_cut",
        "{ power_cut: { within: 1s, return: { uniform: 500ms }, boot: { uniform: { min: 0s, max: 500ms } } }, at: 1s, for: 2s }",
    ),
    (
        "crash",
        "{ crash: { within: 1s, boot: { fixed: 2s } }, at: 1s }",
    ),
];

/// The scenario of one row.
pub(crate) fn text(devices: u32, target: &str, faults: &str) -> String {
    TEXT.replace("DEVICES", &devices.to_string())
        .replace("TARGET", target)
        .replace("FAULTS", faults)
}

/// Everything is acknowledged in the end, and of that nothing is lost or uncertain; a device that loses
/// its power forgets what waits or is in flight, and what became of that is unknown. Whether a busy
/// machine made it late is not asked here.
pub(crate) fn must_lose_nothing(fault: &str, devices: u64, run: &Finished) {
    let said = &run.said;
    assert!(
        matches!(run.code, Some(0 | 4)),
        "{fault}: {:?} {said}",
        run.code
    );
    let (counts, delivery) = (&run.report["counts"], &run.report["delivery"]);
    let figure = |object: &serde_json::Value, key: &str| object[key].as_u64().expect("a count");
    assert_eq!(counts["balanced"], true, "{fault}: {counts:#}");
    for nothing in ["lost", "unverified", "unresolved", "corrupt", "foreign"] {
        assert_eq!(delivery[nothing], 0, "{fault}, {nothing}: {delivery:#}");
    }
    let acked = figure(counts, "acked");
    let forgotten = figure(counts, "failed") + figure(counts, "device_off");
    let planned = figure(counts, "planned");
    assert_eq!(acked + forgotten, planned, "{fault}: {counts:#}");
    let may_forget = if matches!(fault, "power_cut" | "crash") {
        devices
    } else {
        0
    };
    assert!(forgotten <= may_forget, "{fault}: {counts:#}");
    assert_eq!(
        figure(delivery, "verified_acks"),
        acked,
        "{fault}: {delivery:#}"
    );
    assert!(acked > 15 * devices, "{fault}: {counts:#}");
    // The fault was felt: as good as everyone had to come back.
    let affected = run.report["recoveries"].as_array().map_or(0, |all| {
        let affected = |one: &serde_json::Value| one["affected"].as_u64().unwrap_or(0);
        all.iter().map(affected).max().unwrap_or(0)
    });
    assert!(affected * 2 > devices, "{fault}: {affected} affected");
}

//! Campaigns over ThingsBoard's topics, on `me/<client id>/…`.

use super::*;
use crate::stats::results::Outcome;
use crate::wire::Reason;
use crate::wire::image::{Image as Bytes, hex};

fn rig(devices: u32) -> Rig {
    let mut plan = plan(devices);
    plan.cohorts[0].client.client_id = fixture::device_template("tb-", "");
    updates(
        &mut plan,
        WireProfile::Thingsboard {
            counts_one_more: true,
        },
    );
    plan.campaigns = vec![campaign("fw-2", 1)];
    plan.campaigns[0].image.bytes = 512;
    Rig::new(plan)
}

fn me(device: u32, topic: &str) -> String {
    format!("me/tb-meters-{device}/{topic}")
}

fn attributes() -> String {
    let hash = hex(&Bytes::new(42, "2.0.0", 512).sha256);
    format!(
        "{{\"fw_title\":\"fixture\",\"fw_version\":\"2.0.0\",\"fw_size\":512,\"fw_checksum\":\"{hash}\",\
         \"fw_checksum_algorithm\":\"SHA256\"}}"
    )
}

fn state(rig: &mut Rig, device: u32, state: &str) {
    let payload = format!(
        "{{\"current_fw_title\":\"fixture\",\"current_fw_version\":\"1.4.2\",\"fw_state\":\"{state}\"}}"
    );
    rig.hear(&me(device, "v1/devices/me/telemetry"), payload);
}

#[test]
fn attributes_are_pushed_chunks_served_and_states_heard() {
    let mut rig = rig(1);
    rig.run_until(at(1_000));
    assert_eq!(
        rig.take_texts(),
        [(me(0, "v1/devices/me/attributes"), attributes())]
    );

    let keys = r#"{"sharedKeys":"fw_version,fw_checksum_algorithm,fw_checksum,fw_size,fw_title"}"#;
    rig.hear(&me(0, "v1/devices/me/attributes/request/7"), keys);
    let answer = format!("{{\"shared\":{}}}", attributes());
    let topic = me(0, "v1/devices/me/attributes/response/7");
    assert_eq!(rig.take_texts(), [(topic, answer)]);

    rig.now = at(2_000);
    state(&mut rig, 0, "DOWNLOADING");
    let image = Bytes::new(42, "2.0.0", 512);
    let mut served = Vec::new();
    // The size once, then reused; the chunk behind the last one is empty.
    for (index, size) in [(0, "256"), (1, ""), (2, "")] {
        rig.hear(&me(0, &format!("v2/fw/request/3/chunk/{index}")), size);
        let said = rig.take_said();
        assert_eq!(said.len(), 1);
        assert_eq!(
            said[0].topic,
            me(0, &format!("v2/fw/response/3/chunk/{index}"))
        );
        served.push(said[0].payload.clone());
    }
    let text = |range| String::from_utf8_lossy(&image.bytes[range]).into_owned();
    assert_eq!(served, [text(0..256), text(256..512), String::new()]);

    for (ms, word) in [
        (3_000, "DOWNLOADED"),
        (4_000, "UPDATING"),
        (5_000, "UPDATED"),
    ] {
        rig.now = at(ms);
        state(&mut rig, 0, word);
    }
    let rows = rig.results();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].outcome, Outcome::Confirmed);
    assert_eq!(rows[0].bytes, 512);
    assert_eq!(rows[0].started, Some(at(2_000)));
    assert_eq!(rows[0].downloaded, Some(at(3_000)));
    assert_eq!(rows[0].rebooted, Some(at(4_000)));
    assert!(rig.take_said().is_empty(), "there is nothing more to have");
    assert_eq!(rig.notes, []);
}

#[test]
fn a_chunk_that_cannot_be_had_is_an_error_that_closes_the_connection() {
    let mut rig = rig(1);
    rig.run_until(at(1_000));
    rig.take_said();
    for (size, request) in [("65537", 1), ("0", 2), ("", 3)] {
        rig.hear(&me(0, &format!("v2/fw/request/{request}/chunk/0")), size);
        let said = rig.take_texts();
        assert_eq!(
            said,
            [(me(0, "v2/fw/error"), "Invalid chunk size".to_owned())],
            "{size}"
        );
    }
    assert_eq!(rig.notes, [Note::Refused; 3]);
}

#[test]
fn failures_come_with_their_reason_and_other_telemetry_is_left() {
    let mut rig = rig(3);
    rig.run_until(at(1_000));
    let failed = |error: &str| {
        format!(
            "{{\"current_fw_title\":\"t\",\"current_fw_version\":\"1.4.2\",\"fw_state\":\"FAILED\",\"fw_error\":\"{error}\"}}"
        )
    };
    for (device, error) in [
        (0, "integrity"),
        (1, "rolled_back: update_failed"),
        (2, "rejected: unsupported_package"),
    ] {
        rig.hear(&me(device, "v1/devices/me/telemetry"), r#"{"watts":3}"#);
        rig.hear(&me(device, "v1/devices/me/telemetry"), failed(error));
    }
    let mut ends: Vec<_> = rig
        .results()
        .iter()
        .map(|row| (row.device, row.outcome, row.reason))
        .collect();
    ends.sort_unstable();
    assert_eq!(
        ends,
        [
            (0, Outcome::Failed, Reason::Integrity),
            (1, Outcome::RolledBack, Reason::UpdateFailed),
            (2, Outcome::Rejected, Reason::UnsupportedPackage),
        ]
    );
    assert_eq!(rig.notes, []);
    rig.hear("me/tb-meters-3/v1/devices/me/telemetry", "{}");
    assert_eq!(rig.notes, [Note::ForeignName]);
}

#[test]
fn who_has_no_job_is_told_so() {
    let mut rig = rig(1);
    rig.hear(
        &me(0, "v1/devices/me/attributes/request/1"),
        r#"{"sharedKeys":"fw_version"}"#,
    );
    let said = rig.take_texts();
    assert_eq!(
        said,
        [(
            me(0, "v1/devices/me/attributes/response/1"),
            "{}".to_owned()
        )]
    );
    rig.hear(&me(0, "v2/fw/request/1/chunk/0"), "256");
    assert_eq!(
        rig.take_texts(),
        [(me(0, "v2/fw/error"), "Not found".to_owned())]
    );
}

#[test]
fn who_is_heard_of_after_its_reboot_is_not_bricked() {
    let keys = r#"{"sharedKeys":"fw_version"}"#;
    let mut rig = rig(4);
    rig.run_until(at(1_000));
    rig.now = at(2_000);
    for device in 0..4 {
        state(&mut rig, device, "UPDATING");
    }
    // On its way when the device went down.
    rig.now = at(2_500);
    rig.report(3, "1.4.2");
    // These are back: by a question, and by a report.
    rig.now = at(6_000);
    rig.hear(&me(1, "v1/devices/me/attributes/request/9"), keys);
    rig.report(2, "1.4.2");
    rig.run_until(at(40_000));
    let mut ends: Vec<_> = rig
        .results()
        .iter()
        .map(|row| (row.device, row.outcome))
        .collect();
    ends.sort_unstable();
    assert_eq!(
        ends,
        [
            (0, Outcome::Bricked),
            (1, Outcome::TimedOut),
            (2, Outcome::TimedOut),
            (3, Outcome::Bricked),
        ]
    );
}

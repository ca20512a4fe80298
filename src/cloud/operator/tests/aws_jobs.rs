//! Campaigns over AWS IoT Jobs and streams, payload by payload.

use super::*;
use crate::stats::results::Outcome;
use crate::wire::Reason;
use crate::wire::aws_streams::Encoding;
use crate::wire::image::Image as Bytes;

/// The job document of campaign 0.
fn document(image: &Bytes, job: &str) -> String {
    let hash = crate::wire::image::hex(&image.sha256);
    format!(
        "{{\"afr_ota\":{{\"protocols\":[\"MQTT\"],\"streamname\":\"{job}\",\"files\":[{{\"filepath\":\"/firmware\",\
         \"filesize\":600,\"fileid\":0,\"fileType\":0}}]}},\"fleetstorm\":{{\"version\":\"{}\",\
         \"sha256\":\"{hash}\"}}}}",
        image.version
    )
}

fn execution(image: &Bytes, job: &str, status: &str, at_s: (u64, u64), version: u64) -> String {
    let (queued, updated) = at_s;
    format!(
        "{{\"jobId\":\"{job}\",\"status\":\"{status}\",\"queuedAt\":{queued},\"lastUpdatedAt\":{updated},\
         \"versionNumber\":{version},\"executionNumber\":1,\"jobDocument\":{}}}",
        document(image, job)
    )
}

const JOB: &str = "fs-0000feed-0";

fn image(version: &str) -> Bytes {
    Bytes::new(42, version, 600)
}

fn rig(devices: u32) -> Rig {
    let mut plan = plan(devices);
    updates(
        &mut plan,
        WireProfile::AwsJobs {
            encoding: Encoding::Json,
        },
    );
    plan.campaigns = vec![campaign("fw-2", 1)];
    Rig::new(plan)
}

fn jobs(device: u32, rest: &str) -> String {
    format!("$aws/things/meters-{device}/jobs/{rest}")
}

fn update(rig: &mut Rig, device: u32, payload: &str) -> Vec<(String, String)> {
    rig.take_said();
    rig.hear(&jobs(device, &format!("{JOB}/update")), payload);
    rig.take_texts()
}

#[test]
fn it_subscribes_to_everything_once_and_to_block_requests_at_qos_0() {
    let rig = rig(1);
    let expected = [
        ("d/+/reported", QoS::AtLeastOnce),
        ("d/+/rpc/response/+", QoS::AtLeastOnce),
        ("d/+/state", QoS::AtLeastOnce),
        ("$aws/things/+/jobs/$next/get", QoS::AtLeastOnce),
        ("$aws/things/+/jobs/start-next", QoS::AtLeastOnce),
        ("$aws/things/+/jobs/+/update", QoS::AtLeastOnce),
        ("$aws/things/+/streams/+/get/+", QoS::AtMostOnce),
        ("$aws/things/+/streams/+/describe/+", QoS::AtMostOnce),
    ];
    assert_eq!(
        rig.filters,
        expected.map(|(filter, qos)| (filter.to_owned(), qos))
    );
}

#[test]
fn a_device_goes_from_the_notice_to_the_empty_queue() {
    let mut rig = rig(1);
    rig.run_until(at(1_000));
    let queued = execution(&image("2.0.0"), JOB, "QUEUED", (6, 6), 1);
    let said = rig.take_said();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].qos, QoS::AtLeastOnce);
    assert_eq!(said[0].topic, jobs(0, "notify-next"));
    assert_eq!(
        said[0].payload,
        format!("{{\"timestamp\":6,\"execution\":{queued}}}")
    );

    rig.now = at(2_000);
    rig.hear(&jobs(0, "start-next"), "{\"clientToken\":\"1:meters-0\"}");
    let started = execution(&image("2.0.0"), JOB, "IN_PROGRESS", (6, 7), 2);
    let answer =
        format!("{{\"clientToken\":\"1:meters-0\",\"timestamp\":7,\"execution\":{started}}}");
    assert_eq!(rig.take_texts(), [(jobs(0, "start-next/accepted"), answer)]);

    for (after, payload) in [
        (
            3_000,
            r#"{"status":"IN_PROGRESS","statusDetails":{"receive":"3/3"},"expectedVersion":2}"#,
        ),
        (
            4_000,
            r#"{"status":"IN_PROGRESS","statusDetails":{"self_test":"ready"},"expectedVersion":"3"}"#,
        ),
        (
            5_000,
            r#"{"status":"IN_PROGRESS","statusDetails":{"self_test":"active"}}"#,
        ),
    ] {
        rig.now = at(after);
        let said = update(&mut rig, 0, payload);
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(
            said[0].0,
            jobs(0, &format!("{JOB}/update/accepted")),
            "{said:?}"
        );
    }
    rig.now = at(6_000);
    let last = r#"{"status":"SUCCEEDED","statusDetails":{"self_test":"accepted"},"expectedVersion":5,
        "includeJobExecutionState":true,"clientToken":"t"}"#;
    let said = update(&mut rig, 0, last);
    // The queue is empty from now on.
    assert!(
        said.contains(&(jobs(0, "notify-next"), "{\"timestamp\":11}".into())),
        "{said:?}"
    );
    let accepted = r#"{"clientToken":"t","timestamp":11,"executionState":{"status":"SUCCEEDED","statusDetails":{"self_test":"accepted"},"versionNumber":6}}"#;
    let accepted = (
        jobs(0, &format!("{JOB}/update/accepted")),
        accepted.to_owned(),
    );
    assert!(said.contains(&accepted), "{said:?}");
    assert_eq!(said.len(), 2);

    let rows = rig.results();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].outcome, rows[0].reason),
        (Outcome::Confirmed, Reason::Success)
    );
    assert_eq!(rows[0].offered, Some(at(1_000)));
    assert_eq!(rows[0].started, Some(at(2_000)));
    assert_eq!(rows[0].downloaded, Some(at(3_000)));
    assert_eq!(rows[0].rebooted, Some(at(4_000)));
    assert_eq!(rows[0].finished, at(6_000));
    assert_eq!(rows[0].from, Some(0));
    assert!(rig.operator.is_settled());
    assert_eq!(rig.marks().last(), Some(&CampaignMark::Completed));
    assert_eq!(rig.notes, []);
}

#[test]
fn a_stale_version_is_refused_and_told_what_holds() {
    let mut rig = rig(1);
    rig.run_until(at(1_000));
    rig.hear(&jobs(0, "start-next"), "{}");
    let stale = r#"{"status":"FAILED","expectedVersion":1,"clientToken":"x"}"#;
    let said = update(&mut rig, 0, stale);
    let refusal = r#"{"code":"VersionMismatch","message":"the execution has another version","clientToken":"x","timestamp":6,"executionState":{"status":"IN_PROGRESS","versionNumber":2}}"#;
    let topic = jobs(0, &format!("{JOB}/update/rejected"));
    assert_eq!(said, [(topic.clone(), refusal.to_owned())]);
    assert_eq!(rig.notes, [Note::Refused]);
    assert!(rig.results().is_empty(), "a refused word changes nothing");

    let other_attempt = r#"{"status":"FAILED","executionNumber":2}"#;
    let said = update(&mut rig, 0, other_attempt);
    assert!(said[0].1.contains("VersionMismatch"), "{said:?}");
    assert!(rig.results().is_empty());

    // Right, then once more: it has ended, and its row is never written again.
    update(&mut rig, 0, r#"{"status":"FAILED","expectedVersion":2}"#);
    assert_eq!(rig.results().len(), 1);
    let said = update(&mut rig, 0, r#"{"status":"FAILED","expectedVersion":2}"#);
    assert_eq!(said[0].0, topic);
    assert!(said[0].1.contains("InvalidStateTransition"), "{said:?}");
    assert!(said[0].1.contains("\"status\":\"FAILED\""), "{said:?}");
    assert_eq!(rig.results().len(), 1);
}

#[test]
fn what_cannot_be_read_or_is_of_nobody_is_refused_or_left() {
    let mut rig = rig(1);
    rig.run_until(at(1_000));
    rig.take_said();
    for (topic, payload, code) in [
        (format!("{JOB}/update"), "no", "InvalidJson"),
        (format!("{JOB}/update"), "{}", "InvalidRequest"),
        (
            format!("{JOB}/update"),
            r#"{"status":"QUEUED"}"#,
            "InvalidStateTransition",
        ),
        (
            "fs-0000feed-1/update".into(),
            r#"{"status":"FAILED"}"#,
            "ResourceNotFound",
        ),
        (
            "fs-0badfeed-0/update".into(),
            r#"{"status":"FAILED"}"#,
            "ResourceNotFound",
        ),
        ("$next/get".into(), "[", "InvalidJson"),
    ] {
        rig.hear(&jobs(0, &topic), payload);
        let said = rig.take_texts();
        assert_eq!(said.len(), 1, "{topic} {payload}");
        assert_eq!(said[0].0, jobs(0, &format!("{topic}/rejected")));
        assert!(said[0].1.contains(code), "{said:?} is not {code}");
    }
    rig.notes.clear();
    rig.hear(&jobs(1, "$next/get"), "{}");
    rig.hear("$aws/things/others-0/jobs/$next/get", "{}");
    assert_eq!(rig.notes, [Note::ForeignName, Note::ForeignName]);
    rig.hear("$aws/things/meters-0/shadow/get", "{}");
    assert_eq!(rig.notes.last(), Some(&Note::BadMessage));
    assert!(rig.said.is_empty());
}

#[test]
fn a_device_that_was_away_asks_and_gets_its_job() {
    let mut rig = rig(2);
    rig.run_until(at(1_000));
    rig.take_said();
    rig.now = at(9_000);
    rig.hear(&jobs(1, "$next/get"), "");
    let queued = execution(&image("2.0.0"), JOB, "QUEUED", (6, 6), 1);
    let answer = format!("{{\"timestamp\":14,\"execution\":{queued}}}");
    assert_eq!(rig.take_texts(), [(jobs(1, "$next/get/accepted"), answer)]);
    // Before it starts it may ask as often as it likes.
    assert!(rig.results().is_empty());
}

#[test]
fn blocks_are_served_booked_and_refused_by_the_guides_errors() {
    let mut rig = rig(2);
    let stream = |device: u32, stream: &str, kind: &str| {
        format!("$aws/things/meters-{device}/streams/{stream}/{kind}/json")
    };
    let ask = r#"{"c":"rdy","f":0,"l":256,"o":1,"n":2}"#;
    // Before its turn a device has no job and is not let in.
    rig.hear(&stream(0, JOB, "get"), ask);
    let said = rig.take_texts();
    assert_eq!(said[0].0, stream(0, JOB, "rejected"));
    assert!(said[0].1.contains("Unauthorized"), "{said:?}");

    rig.run_until(at(1_000));
    rig.hear(&jobs(0, "start-next"), "{}");
    rig.hear(&jobs(1, "start-next"), "{}");
    rig.take_said();
    rig.hear(&stream(0, JOB, "get"), ask);
    let said = rig.take_said();
    assert_eq!(said.len(), 2);
    for (said, (index, len)) in said.iter().zip([(1, 256), (2, 88)]) {
        assert_eq!(said.topic, stream(0, JOB, "data"));
        assert_eq!(said.qos, QoS::AtMostOnce);
        let start = format!("{{\"c\":\"rdy\",\"f\":0,\"l\":{len},\"i\":{index},\"p\":\"");
        assert!(said.payload.starts_with(&start), "{}", said.payload);
    }
    rig.hear(&stream(0, JOB, "get"), r#"{"f":0,"l":256,"o":0,"n":1}"#);
    assert!(
        rig.take_said()[0].payload.starts_with("{\"f\":0,"),
        "another token is its own"
    );

    for (name, payload, code) in [
        (
            JOB,
            r#"{"c":"rdy","f":0,"l":255,"n":1}"#,
            "BlockSizeOutOfBounds",
        ),
        (
            JOB,
            r#"{"c":"rdy","f":0,"l":256,"o":98305}"#,
            "OffsetOutOfBounds",
        ),
        (
            JOB,
            r#"{"c":"rdy","f":1,"l":256,"n":1}"#,
            "ResourceNotFound",
        ),
        (
            JOB,
            r#"{"c":"rdy","f":0,"l":256,"o":3,"n":1}"#,
            "ResourceNotFound",
        ),
        (
            JOB,
            r#"{"c":"rdy","s":2,"f":0,"l":256,"n":1}"#,
            "VersionMismatch",
        ),
        (JOB, "{", "InvalidJson"),
        ("fs-0000feed-9", ask, "ResourceNotFound"),
    ] {
        rig.hear(&stream(0, name, "get"), payload);
        let said = rig.take_texts();
        assert_eq!(said.len(), 1, "{payload}");
        assert_eq!(said[0].0, stream(0, name, "rejected"));
        assert!(said[0].1.contains(code), "{said:?} is not {code}");
    }
    rig.hear(&stream(0, JOB, "describe"), r#"{"c":"d"}"#);
    let said = rig.take_texts();
    assert_eq!(said[0].0, stream(0, JOB, "description"));
    assert!(
        said[0].1.contains("\"r\":[{\"f\":0,\"z\":600}]"),
        "{said:?}"
    );

    rig.now = at(3_000);
    for device in [0, 1] {
        update(&mut rig, device, r#"{"status":"SUCCEEDED"}"#);
    }
    let bytes: Vec<_> = rig
        .results()
        .iter()
        .map(|row| (row.device, row.bytes))
        .collect();
    assert_eq!(
        bytes,
        [(0, 256 + 88 + 256), (1, 0)],
        "refusals are no bytes"
    );
}

#[test]
fn two_devices_get_the_same_bytes_without_a_copy() {
    let mut plan = plan(2);
    updates(
        &mut plan,
        WireProfile::AwsJobs {
            encoding: Encoding::Cbor,
        },
    );
    plan.campaigns = vec![campaign("fw-2", 1)];
    let mut rig = Rig::new(plan);
    rig.run_until(at(1_000));
    let mut payloads = Vec::new();
    for device in [0, 1, 0] {
        let topic = format!("$aws/things/meters-{device}/streams/{JOB}/get/cbor");
        let get = crate::wire::aws_streams::Get::one(0, 256, 1).write(Encoding::Cbor);
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            packet_id: 0,
            topic: &topic,
            payload: &get,
        };
        let mut out = Vec::new();
        let input = Input::Received(0, Packet::Publish(publish));
        rig.operator.handle_input(rig.now, input, &mut out);
        for output in out {
            if let Output::Publish(_, publish) = output {
                payloads.push(publish.payload);
            }
        }
    }
    assert_eq!(payloads.len(), 3);
    assert!(payloads.iter().all(|p| p.as_ptr() == payloads[0].as_ptr()));
}

#[test]
fn a_device_has_one_job_at_a_time_and_hears_of_the_next_when_it_ends() {
    let mut plan = plan(1);
    updates(
        &mut plan,
        WireProfile::AwsJobs {
            encoding: Encoding::Json,
        },
    );
    let mut second = campaign("fw-3", 2);
    second.start = Duration::from_secs(2);
    plan.campaigns = vec![campaign("fw-2", 1), second];
    let mut rig = Rig::new(plan);
    rig.run_until(at(3_000));
    let said = rig.take_said();
    assert_eq!(
        said.len(),
        1,
        "of the second campaign it hears later: {said:?}"
    );
    rig.hear(&jobs(0, "start-next"), "{}");
    let said = update(&mut rig, 0, r#"{"status":"REJECTED"}"#);
    let second = execution(&image("3.0.0"), "fs-0000feed-1", "QUEUED", (7, 7), 1);
    let notice = format!("{{\"timestamp\":8,\"execution\":{second}}}");
    assert!(said.contains(&(jobs(0, "notify-next"), notice)), "{said:?}");
    let rows = rig.results();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].campaign, rows[0].outcome), (0, Outcome::Rejected));
    assert!(!rig.operator.is_settled());
}

#[test]
fn a_device_that_never_comes_back_is_bricked_or_timed_out_by_its_last_word() {
    let mut rig = rig(3);
    rig.run_until(at(1_000));
    for device in [0, 1] {
        rig.hear(&jobs(device, "start-next"), "{}");
    }
    update(
        &mut rig,
        1,
        r#"{"status":"IN_PROGRESS","statusDetails":{"self_test":"ready"}}"#,
    );
    rig.run_until(at(60_000));
    rig.step(Input::StopArrivals);
    rig.step(Input::Close);
    let mut outcomes: Vec<_> = rig
        .results()
        .iter()
        .map(|row| (row.device, row.outcome))
        .collect();
    outcomes.sort_unstable();
    let expected = [
        (0, Outcome::TimedOut),
        (1, Outcome::Bricked),
        (2, Outcome::NeverReached),
    ];
    assert_eq!(outcomes, expected);
}

#[test]
fn a_cancelled_campaign_takes_its_job_back() {
    let mut plan = plan(2);
    updates(
        &mut plan,
        WireProfile::AwsJobs {
            encoding: Encoding::Json,
        },
    );
    let mut first = campaign("fw-2", 1);
    first.cancel = Some(Duration::from_secs(3));
    plan.campaigns = vec![first];
    let mut rig = Rig::new(plan);
    rig.run_until(at(1_000));
    rig.hear(&jobs(1, "start-next"), "{}");
    rig.take_said();
    rig.run_until(at(3_000));
    assert_eq!(
        rig.take_texts(),
        [(jobs(0, "notify-next"), "{\"timestamp\":8}".to_owned())],
        "who has started goes on"
    );
    assert_eq!(rig.results().len(), 1);
    assert_eq!(rig.results()[0].outcome, Outcome::Cancelled);
}

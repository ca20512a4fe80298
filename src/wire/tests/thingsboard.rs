//! ThingsBoard. Topics: thingsboard/thingsboard, `MqttTopics.java`; payloads: its MQTT API reference
//! (attributes, firmware API) and thingsboard/thingsboard-client-sdk, `OTA_Handler.h`.

use super::{EMPTY_SHA256, all_statuses, empty_sha256, text};
use crate::wire::thingsboard::*;
use crate::wire::{BadMessage, Reason, Stage, Status};

const ATTRIBUTES: &str = r#"{"fw_title":"meters","fw_version":"2.0.0","fw_size":262144,"fw_checksum":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","fw_checksum_algorithm":"SHA256"}"#;

fn firmware() -> Firmware<'static> {
    Firmware {
        title: "meters".into(),
        version: "2.0.0".into(),
        bytes: 262_144,
        sha256: empty_sha256(),
    }
}

#[test]
fn topics() {
    assert_eq!(
        SUBSCRIPTIONS,
        [
            "v1/devices/me/attributes",
            "v1/devices/me/attributes/response/+",
            "v2/fw/response/+/chunk/+",
            "v2/fw/error",
        ]
    );
    assert_eq!(
        attributes_request_topic(1),
        "v1/devices/me/attributes/request/1"
    );
    assert_eq!(
        attributes_response_topic(1),
        "v1/devices/me/attributes/response/1"
    );
    assert_eq!(chunk_request_topic(3, 63), "v2/fw/request/3/chunk/63");
    assert_eq!(chunk_response_topic(3, 63), "v2/fw/response/3/chunk/63");
    assert_eq!(TELEMETRY_TOPIC, "v1/devices/me/telemetry");
}

#[test]
fn topics_of_all_devices() {
    let topic = to_device("fs-0a1b2c3d-meters-7", "v2/fw/response/3/chunk/63");
    assert_eq!(topic, "me/fs-0a1b2c3d-meters-7/v2/fw/response/3/chunk/63");
    assert_eq!(
        of_device(&topic),
        Some(("fs-0a1b2c3d-meters-7", "v2/fw/response/3/chunk/63"))
    );
    for other in [
        "",
        "me",
        "me/",
        "me//v2",
        "you/a/v2",
        "v1/devices/me/telemetry",
    ] {
        assert_eq!(of_device(other), None, "{other}");
    }
}

#[test]
fn attributes_pushed() {
    assert_eq!(text(&firmware().write_push()), ATTRIBUTES);
    let answer = Answer::read(ATTRIBUTES_TOPIC, ATTRIBUTES.as_bytes());
    let read = Answer::Firmware {
        request: None,
        firmware: Some(Ok(firmware())),
    };
    assert_eq!(answer, Ok(read));
    // Other shared attributes come on the same topic.
    for other in [r#"{"interval":60}"#, r#"{"deleted":["fw_version"]}"#, "{}"] {
        let read = Answer::Firmware {
            request: None,
            firmware: None,
        };
        assert_eq!(Answer::read(ATTRIBUTES_TOPIC, other.as_bytes()), Ok(read));
    }
}

#[test]
fn attributes_asked_for() {
    let golden =
        r#"{"sharedKeys":"fw_version,fw_checksum_algorithm,fw_checksum,fw_size,fw_title"}"#;
    assert_eq!(text(&write_attributes_request()), golden);
    let topic = "v1/devices/me/attributes/request/1";
    let read = Request::Attributes {
        request: 1,
        keys: SHARED_KEYS.into(),
    };
    assert_eq!(Request::read(topic, golden.as_bytes()), Ok(read));

    let topic = "v1/devices/me/attributes/response/1";
    let golden = format!(r#"{{"shared":{ATTRIBUTES}}}"#);
    assert_eq!(text(&Firmware::write_answer(Some(&firmware()))), golden);
    let read = Answer::Firmware {
        request: Some(1),
        firmware: Some(Ok(firmware())),
    };
    assert_eq!(Answer::read(topic, golden.as_bytes()), Ok(read));

    let none = Answer::Firmware {
        request: Some(1),
        firmware: None,
    };
    assert_eq!(text(&Firmware::write_answer(None)), "{}");
    for payload in ["{}", r#"{"shared":{}}"#, r#"{"client":{"a":1}}"#] {
        assert_eq!(Answer::read(topic, payload.as_bytes()), Ok(none.clone()));
    }
}

#[test]
fn firmware_that_a_device_cannot_use() {
    let cases = [
        ATTRIBUTES.replace("SHA256", "MD5"),
        ATTRIBUTES.replace("e3b0", "e3"),
        ATTRIBUTES.replace("262144", "0"),
        ATTRIBUTES.replace("262144", "\"big\""),
        ATTRIBUTES.replace("fw_size", "fw_bytes"),
    ];
    for payload in cases {
        let read = Answer::Firmware {
            request: None,
            firmware: Some(Err(Reason::UnsupportedPackage)),
        };
        assert_eq!(
            Answer::read(ATTRIBUTES_TOPIC, payload.as_bytes()),
            Ok(read),
            "{payload}"
        );
    }
    let bad = Answer::read(ATTRIBUTES_TOPIC, b"fw_version");
    assert_eq!(bad, Err(BadMessage::Json));
}

#[test]
fn chunks_asked_for_and_sent() {
    let topic = "v2/fw/request/3/chunk/63";
    assert_eq!(text(&write_chunk_request(4096)), "4096");
    let request = |chunk_bytes| Request::Chunk {
        request: 3,
        index: 63,
        chunk_bytes,
    };
    assert_eq!(Request::read(topic, b"4096"), Ok(request(Some(4096))));
    assert_eq!(Request::read(topic, b""), Ok(request(None)));
    for bad in [&b"x"[..], b"-1", b"4294967296", b"4 096", b"\xff"] {
        let read = Request::read(topic, bad);
        assert_eq!(read, Err(BadMessage::Value("chunk size")));
    }
    let topic = "v2/fw/response/3/chunk/63";
    let chunk = |bytes| Answer::Chunk {
        request: 3,
        index: 63,
        bytes,
    };
    assert_eq!(Answer::read(topic, b"\x00\xff{"), Ok(chunk(b"\x00\xff{")));
    assert_eq!(Answer::read(topic, b""), Ok(chunk(b"")));
}

#[test]
fn an_error_of_the_server() {
    let read = Answer::read("v2/fw/error", b"Payload size is not suitable");
    assert_eq!(
        read,
        Ok(Answer::Error("Payload size is not suitable".into()))
    );
    assert!(matches!(
        Answer::read("v2/fw/error", b"\xff"),
        Ok(Answer::Error(_))
    ));
}

#[test]
fn topics_of_others() {
    let none = [
        "",
        "v1/devices/me/rpc/request/1",
        "v1/devices/me/attributes/response/",
        "v1/devices/me/attributes/response/+1",
        "v2/fw/response/3/chunk/",
        "v2/fw/response//chunk/1",
        "v2/fw/response/3/chunk/4294967296",
        "v2/fw/response/3/63",
        "v2/sw/response/3/chunk/63",
    ];
    for topic in none {
        assert_eq!(
            Answer::read(topic, b"{}"),
            Err(BadMessage::Topic),
            "{topic}"
        );
        let asked = topic.replace("response", "request");
        if asked != "v1/devices/me/rpc/request/1" {
            assert_eq!(
                Request::read(&asked, b"{}"),
                Err(BadMessage::Topic),
                "{asked}"
            );
        }
    }
}

/// The SDK's count: an image that is a multiple of the chunk ends with an empty one.
#[test]
fn how_many_chunks() {
    let cases = [
        (8192, 4096, 2, 3),
        (8193, 4096, 3, 3),
        (8191, 4096, 2, 2),
        (1, 4096, 1, 1),
    ];
    for (bytes, chunk, right, sdk) in cases {
        assert_eq!(chunks(bytes, chunk, false), right, "{bytes}");
        assert_eq!(chunks(bytes, chunk, true), sdk, "{bytes}");
    }
}

fn telemetry(status: Option<Status>) -> Telemetry<'static> {
    Telemetry {
        title: "meters".into(),
        version: "1.4.2".into(),
        status,
    }
}

#[test]
fn telemetry_by_stage() {
    let state = |stage| Some(Status::of(stage));
    let failed = |stage, reason| Some(Status::because(stage, reason));
    let cases = [
        (
            None,
            r#"{"current_fw_title":"meters","current_fw_version":"1.4.2"}"#,
        ),
        (
            state(Stage::Downloading),
            r#"{"current_fw_title":"meters","current_fw_version":"1.4.2","fw_state":"DOWNLOADING"}"#,
        ),
        (
            state(Stage::Downloaded),
            r#"{"current_fw_title":"meters","current_fw_version":"1.4.2","fw_state":"DOWNLOADED"}"#,
        ),
        (
            state(Stage::Rebooting),
            r#"{"current_fw_title":"meters","current_fw_version":"1.4.2","fw_state":"UPDATING"}"#,
        ),
        (
            state(Stage::Confirmed),
            r#"{"current_fw_title":"meters","current_fw_version":"1.4.2","fw_state":"UPDATED"}"#,
        ),
        (
            failed(Stage::Failed, Reason::Integrity),
            r#"{"current_fw_title":"meters","current_fw_version":"1.4.2","fw_state":"FAILED","fw_error":"integrity"}"#,
        ),
        (
            failed(Stage::Rejected, Reason::NotEnoughFlash),
            r#"{"current_fw_title":"meters","current_fw_version":"1.4.2","fw_state":"FAILED","fw_error":"rejected: not_enough_flash"}"#,
        ),
        (
            failed(Stage::RolledBack, Reason::UpdateFailed),
            r#"{"current_fw_title":"meters","current_fw_version":"1.4.2","fw_state":"FAILED","fw_error":"rolled_back: update_failed"}"#,
        ),
    ];
    for (status, golden) in cases {
        let written = telemetry(status).write().expect("there are words for it");
        assert_eq!(text(&written), golden);
        let read = Request::read(TELEMETRY_TOPIC, golden.as_bytes());
        assert_eq!(read, Ok(Request::Telemetry(telemetry(status))));
    }
}

#[test]
fn stages_without_a_word_are_unsaid_and_the_others_come_back() {
    for status in all_statuses() {
        let written = telemetry(Some(status)).write();
        let unsaid = matches!(
            status.stage,
            Stage::Deferred | Stage::Verifying | Stage::Installing | Stage::SelfTest
        );
        assert_eq!(written.is_none(), unsaid, "{status:?}");
        if let Some(written) = written {
            let read = Telemetry::read(&written);
            assert_eq!(read, Ok(telemetry(Some(status))), "{status:?}");
        }
    }
}

#[test]
fn telemetry_of_other_devices() {
    let base = r#"{"current_fw_title":"meters","current_fw_version":"1.4.2","fw_state":"#;
    let cases = [
        (r#""VERIFIED"}"#, Ok(Status::of(Stage::Installing))),
        (r#""FAILED"}"#, Ok(Status::of(Stage::Failed))),
        (
            r#""FAILED","fw_error":"Checksum verification failed"}"#,
            Ok(Status::of(Stage::Failed)),
        ),
        (r#""INITIATED"}"#, Err(BadMessage::Value("fw_state"))),
    ];
    for (rest, expected) in cases {
        let payload = format!("{base}{rest}");
        let read = Telemetry::read(payload.as_bytes());
        let expected = expected.map(|status| telemetry(Some(status)));
        assert_eq!(read, expected, "{payload}");
    }
    assert_eq!(Telemetry::read(br#"{"watts":7}"#), Err(BadMessage::Form));
    assert_eq!(EMPTY_SHA256.len(), 64);
}

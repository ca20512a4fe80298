//! Actions and status by patterns. The defaults: bytebeamio/uplink, `base/actions` (`Action`,
//! `ActionResponse` as a point of the stream `action_status`) and `apps/downloader.rs` (`DownloadFile`, the
//! count to 99).

use super::{EMPTY_SHA256, all_statuses, empty_sha256, text};
use crate::wire::generic_action::*;
use crate::wire::{BadMessage, Reason, Stage, Status};

fn action() -> Action<'static> {
    Action {
        action_id: "fs-0a1b2c3d-0".into(),
        version: "2.0.0".into(),
        url: "/fw-2".into(),
        bytes: Some(262_144),
        sha256: Some(empty_sha256()),
    }
}

fn report(status: Status) -> Report<'static> {
    Report {
        action_id: "fs-0a1b2c3d-0".into(),
        status,
        progress: 42,
        sequence: 7,
        timestamp_ms: 61_000,
    }
}

#[test]
fn an_action_as_uplink_takes_it() {
    let pattern = Pattern::action(ACTION).expect("the default is sound");
    let golden = r#"{"action_id":"fs-0a1b2c3d-0","name":"update_firmware","payload":"{\"url\":\"/fw-2\",\"content-length\":262144,\"file-name\":\"2.0.0\",\"checksum\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"version\":\"2.0.0\"}"}"#;
    assert_eq!(text(&action().write(&pattern)), golden);
    assert_eq!(Action::read(&pattern, golden.as_bytes()), Ok(action()));
    let other_version = golden.replacen("2.0.0", "2.0.1", 1);
    let read = Action::read(&pattern, other_version.as_bytes());
    assert_eq!(read, Err(BadMessage::Form), "two versions");
}

#[test]
fn a_status_as_uplink_sends_it() {
    let pattern = Pattern::status(STATUS).expect("the default is sound");
    let golden = r#"[{"stream":"action_status","sequence":7,"timestamp":61000,"action_id":"fs-0a1b2c3d-0","state":"Downloading","progress":42,"errors":[]}]"#;
    let downloading = report(Status::of(Stage::Downloading));
    assert_eq!(text(&downloading.write(&pattern)), golden);
    assert_eq!(Report::read(&pattern, golden.as_bytes()), Ok(downloading));
    let golden = r#"[{"stream":"action_status","sequence":7,"timestamp":61000,"action_id":"fs-0a1b2c3d-0","state":"Failed","progress":42,"errors":["integrity"]}]"#;
    let failed = report(Status::because(Stage::Failed, Reason::Integrity));
    assert_eq!(text(&failed.write(&pattern)), golden);
    assert_eq!(Report::read(&pattern, golden.as_bytes()), Ok(failed));
    let uplinks = golden.replace("\"Failed\"", "\"Download Failed\"");
    let read = Report::read(&pattern, uplinks.as_bytes()).expect("a report");
    assert_eq!(read.status.stage, Stage::Failed);
}

#[test]
fn states() {
    let words = [
        (Stage::Deferred, "Deferred"),
        (Stage::Rejected, "Rejected"),
        (Stage::Downloading, "Downloading"),
        (Stage::Downloaded, "Downloaded"),
        (Stage::Verifying, "VerifyingChecksum"),
        (Stage::Installing, "Installing"),
        (Stage::Rebooting, "Rebooting"),
        (Stage::SelfTest, "SelfTest"),
        (Stage::Confirmed, "Completed"),
        (Stage::RolledBack, "RolledBack"),
        (Stage::Failed, "Failed"),
    ];
    assert_eq!(words.map(|(stage, _)| stage), Stage::ALL);
    for (stage, word) in words {
        assert_eq!(state(stage), word);
        assert_eq!(of_state(word), Some(stage));
    }
    assert_eq!(of_state("completed"), None);
}

#[test]
fn every_status_comes_back() {
    let pattern = Pattern::status(STATUS).expect("sound");
    let own = Pattern::status("{state} {reason} {progress}").expect("sound");
    for status in all_statuses() {
        let said = report(status);
        let read = Report::read(&pattern, &said.write(&pattern)).map(|read| read.status);
        assert_eq!(read, Ok(status));
        let payload = said.write(&own);
        let read = Report::read(&own, &payload).expect("a report");
        assert_eq!((read.status, read.progress), (status, 42));
        assert_eq!(
            (&*read.action_id, read.sequence, read.timestamp_ms),
            ("", 0, 0)
        );
    }
}

/// A pattern without a reason loses it, and says so in its documentation.
#[test]
fn a_pattern_without_reasons() {
    let pattern = Pattern::status(r#"{"s":"{state}"}"#).expect("sound");
    let failed = report(Status::because(Stage::Failed, Reason::Integrity));
    let payload = failed.write(&pattern);
    assert_eq!(text(&payload), r#"{"s":"Failed"}"#);
    let read = Report::read(&pattern, &payload).map(|read| read.status);
    assert_eq!(read, Ok(Status::of(Stage::Failed)));
}

#[test]
fn counts_of_progress() {
    let cases = [
        (0, 100, 0),
        (50, 100, 49),
        (99, 100, 98),
        (100, 100, 99),
        (7, 0, 99),
        (u64::MAX, 1, 99),
    ];
    for (received, bytes, percent) in cases {
        assert_eq!(
            download_progress(received, bytes),
            percent,
            "{received}/{bytes}"
        );
    }
    for stage in Stage::ALL {
        assert_eq!(progress(stage) == 100, stage == Stage::Confirmed);
    }
}

/// Quotes and backslashes in values do not end them, in a string and in a string within a string.
#[test]
fn values_are_escaped_as_deep_as_they_lie() {
    let nasty = r#"a\"b","version":"{x}\\"#;
    let odd = Action {
        version: nasty.into(),
        url: "é\n\\".into(),
        ..action()
    };
    let pattern = Pattern::action(ACTION).expect("sound");
    let payload = odd.write(&pattern);
    let outer: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
    let inner = outer["payload"].as_str().expect("a text");
    let inner: serde_json::Value = serde_json::from_str(inner).expect("JSON in it");
    assert_eq!(inner["version"], nasty);
    assert_eq!(inner["url"], "é\n\\");
    assert_eq!(Action::read(&pattern, &payload), Ok(odd.clone()));

    let flat = r#"{"id":"{action_id}","v":"{version}","u":"{url}","n":{bytes},"h":"{sha256}"}"#;
    let pattern = Pattern::action(flat).expect("sound");
    let payload = odd.write(&pattern);
    let outer: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
    assert_eq!(outer["v"], nasty);
    assert_eq!(Action::read(&pattern, &payload), Ok(odd));
}

/// An escaped quote with just the text behind it that ends the value elsewhere.
#[test]
fn an_escaped_quote_ends_nothing() {
    let cases = [
        (
            r#"{"v":"{version}" at {url}"#,
            "x\" at y",
            r#"{"v":"x\" at y" at /fw-2"#,
        ),
        (
            r#"{"p":"{\"v\":\"{version}\"} at {url}"}"#,
            "x\"} at y",
            r#"{"p":"{\"v\":\"x\\\"} at y\"} at /fw-2"}"#,
        ),
    ];
    for (pattern, version, golden) in cases {
        let pattern = Pattern::action(pattern).expect("sound");
        let odd = Action {
            action_id: "".into(),
            version: version.into(),
            bytes: None,
            sha256: None,
            ..action()
        };
        assert_eq!(text(&odd.write(&pattern)), golden);
        assert_eq!(Action::read(&pattern, golden.as_bytes()), Ok(odd));
    }
}

#[test]
fn patterns_that_are_not_json() {
    let pattern = Pattern::action("UPDATE {version} FROM {url}").expect("sound");
    let payload = action().write(&pattern);
    assert_eq!(text(&payload), "UPDATE 2.0.0 FROM /fw-2");
    let read = Action {
        action_id: "".into(),
        bytes: None,
        sha256: None,
        ..action()
    };
    assert_eq!(Action::read(&pattern, &payload), Ok(read));
}

#[test]
fn braces_that_are_no_places() {
    let text_of = |text: &str| {
        let pattern = Pattern::status(text).expect("sound");
        String::from_utf8(report(Status::of(Stage::Confirmed)).write(&pattern)).expect("text")
    };
    assert_eq!(
        text_of(r#"{"a":{"b":{}},"s":"{state}"}"#),
        r#"{"a":{"b":{}},"s":"Completed"}"#
    );
    assert_eq!(
        text_of("{{state}} {State} {a b} {"),
        "{Completed} {State} {a b} {"
    );
}

#[test]
fn patterns_with_errors() {
    let cases = [
        (
            Pattern::action("{version} {uri}"),
            "there is no place `{uri}` here; the places are `{action_id}`, `{version}`, `{url}`, `{bytes}`, `{sha256}`",
        ),
        (
            Pattern::action("{version} {url} {state}"),
            "there is no place `{state}` here; the places are `{action_id}`, `{version}`, `{url}`, `{bytes}`, `{sha256}`",
        ),
        (Pattern::action("{version}"), "the place `{url}` is missing"),
        (Pattern::action(""), "the place `{version}` is missing"),
        (
            Pattern::action("{version}{url}"),
            "there has to be text between `{version}` and `{url}`",
        ),
        (
            Pattern::status("{reason}"),
            "the place `{state}` is missing",
        ),
        (
            Pattern::status(r#"["{state}","{errors}"]"#),
            "`{errors}` stands for items of an array, and cannot be inside quotes",
        ),
        (
            Pattern::status("{state} {url}"),
            "there is no place `{url}` here; the places are `{action_id}`, `{state}`, `{progress}`, `{reason}`, `{errors}`, `{sequence}`, `{timestamp}`",
        ),
    ];
    for (pattern, message) in cases {
        assert_eq!(
            pattern.map_err(|error| error.to_string()),
            Err(message.to_owned())
        );
    }
}

#[test]
fn payloads_that_do_not_follow() {
    let pattern = Pattern::action("v={version};n={bytes};h={sha256};u={url}.").expect("sound");
    let cases: [(&[u8], BadMessage); 8] = [
        (b"", BadMessage::Form),
        (b"v=1;n=2;u=x.", BadMessage::Form),
        (b"v=1;n=2;h=3;u=x", BadMessage::Form),
        (b" v=1;n=2;h=3;u=x.", BadMessage::Form),
        (b"v=1;n=two;h=3;u=x.", BadMessage::Value("bytes")),
        (b"v=1;n=4294967296;h=3;u=x.", BadMessage::Value("bytes")),
        (b"v=1;n=2;h=3;u=x.", BadMessage::Value("sha256")),
        (b"v=\xff;n=2;h=3;u=x.", BadMessage::Json),
    ];
    for (payload, bad) in cases {
        let shown = String::from_utf8_lossy(payload);
        assert_eq!(Action::read(&pattern, payload), Err(bad), "{shown}");
    }
    let good = format!("v=1;n=2;h={EMPTY_SHA256};u=x..");
    let read = Action::read(&pattern, good.as_bytes()).expect("follows");
    assert_eq!((&*read.version, &*read.url), ("1", "x."));

    let pattern = Pattern::status("{state}:{progress}:{sequence}:{timestamp}").expect("sound");
    let cases = [
        ("Completed:100:1:1", None),
        ("Done:100:1:1", Some(BadMessage::Value("state"))),
        ("Completed:101:1:1", Some(BadMessage::Value("progress"))),
        ("Completed:-1:1:1", Some(BadMessage::Value("progress"))),
        (
            "Completed:1:4294967296:1",
            Some(BadMessage::Value("sequence")),
        ),
        ("Completed:1:1:", Some(BadMessage::Value("timestamp"))),
    ];
    for (payload, bad) in cases {
        assert_eq!(
            Report::read(&pattern, payload.as_bytes()).err(),
            bad,
            "{payload}"
        );
    }
}

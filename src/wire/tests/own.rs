//! Forms of our own: commands and reported state.

use super::text;
use crate::wire::BadMessage;
use crate::wire::command::{self, Done, Request, Response};
use crate::wire::reported::Report;

#[test]
fn topics_of_commands() {
    let base = "d/meters-7/rpc";
    let id = command::id(0x0a1b_2c3d, "slow-down");
    assert_eq!(id, "0a1b2c3d-slow-down");
    assert_eq!(command::report_id(0x0a1b_2c3d, 7), "0a1b2c3d.7");
    assert_eq!(command::subscription(base), "d/meters-7/rpc/request/+");
    assert_eq!(
        command::server_subscription("d/+/rpc"),
        "d/+/rpc/response/+"
    );
    assert_eq!(
        command::request_topic(base, &id),
        "d/meters-7/rpc/request/0a1b2c3d-slow-down"
    );
    let topic = "d/meters-7/rpc/response/0a1b2c3d-slow-down";
    assert_eq!(command::response_topic(base, &id), topic);
    assert_eq!(command::of_response_topic(topic), Some((base, &*id)));
    for other in [
        "",
        "response/x",
        "d/meters-7/rpc/response/",
        "d/meters-7/rpc/request/x",
    ] {
        assert_eq!(command::of_response_topic(other), None, "{other}");
    }
}

#[test]
fn a_command() {
    let cases = [
        (
            r#"{"interval_s":300}"#,
            r#"{"id":"0a1b2c3d-slow-down","command":"slow-down","params":{"interval_s":300}}"#,
        ),
        (
            "300",
            r#"{"id":"0a1b2c3d-slow-down","command":"slow-down","params":300}"#,
        ),
        (
            r#"say "hi""#,
            r#"{"id":"0a1b2c3d-slow-down","command":"slow-down","params":"say \"hi\""}"#,
        ),
        (" ", r#"{"id":"0a1b2c3d-slow-down","command":"slow-down"}"#),
    ];
    let base = "d/meters-7/rpc";
    let topic = "d/meters-7/rpc/request/0a1b2c3d-slow-down";
    for (payload, golden) in cases {
        let params = command::params(payload);
        let request = Request {
            id: "0a1b2c3d-slow-down".into(),
            command: "slow-down".into(),
            params: params.as_deref(),
        };
        assert_eq!(text(&request.write()), golden);
        let read = Request::read(base, topic, golden.as_bytes()).expect("a request");
        assert_eq!(
            (&*read.id, &*read.command),
            ("0a1b2c3d-slow-down", "slow-down")
        );
        assert_eq!(text(&read.write()), golden);
    }
}

#[test]
fn commands_that_are_none() {
    let sound = r#"{"id":"a","command":"c"}"#;
    let read =
        |topic: &str, payload: &str| Request::read("d/1/rpc", topic, payload.as_bytes()).err();
    assert_eq!(read("d/1/rpc/request/a", sound), None);
    let cases = [
        ("d/1/rpc/request/b", sound, BadMessage::Value("id")),
        ("d/10/rpc/request/a", sound, BadMessage::Topic),
        ("d/1/rpc/response/a", sound, BadMessage::Topic),
        ("d/1/rpc/request/a", "{}", BadMessage::Form),
        (
            "d/1/rpc/request/a",
            r#"{"id":7,"command":"c"}"#,
            BadMessage::Form,
        ),
        ("d/1/rpc/request/a", "", BadMessage::Json),
    ];
    for (topic, payload, bad) in cases {
        assert_eq!(read(topic, payload), Some(bad), "{topic} {payload}");
    }
}

#[test]
fn an_answer() {
    let cases = [
        (
            Done::Succeeded,
            r#"{"id":"0a1b2c3d-slow-down","status":"succeeded"}"#,
        ),
        (
            Done::Failed,
            r#"{"id":"0a1b2c3d-slow-down","status":"failed"}"#,
        ),
    ];
    for (status, golden) in cases {
        let response = Response {
            id: "0a1b2c3d-slow-down".into(),
            status,
        };
        assert_eq!(text(&response.write()), golden);
        let read = Response::read("0a1b2c3d-slow-down", golden.as_bytes());
        assert_eq!(read, Ok(response));
        let other = Response::read("0a1b2c3d-other", golden.as_bytes());
        assert_eq!(other, Err(BadMessage::Value("id")));
    }
    let read = Response::read("a", br#"{"id":"a","status":"done"}"#);
    assert_eq!(read, Err(BadMessage::Form));
}

#[test]
fn reported_state() {
    let report = Report {
        at_ms: 61_000,
        attributes: vec![
            ("fw".into(), "1.4.2".into()),
            ("region".into(), "north".into()),
        ],
    };
    let golden = r#"{"at":61000,"fw":"1.4.2","region":"north"}"#;
    assert_eq!(text(&report.write()), golden);
    let read = Report::read(golden.as_bytes());
    assert_eq!(read, Ok(report.clone()));
    assert_eq!(report.get("fw"), Some("1.4.2"));
    assert_eq!(report.get("hw"), None);
    // What other devices put beside it does not hurt.
    let more = r#"{"n":1,"fw":"1.4.2","x":{"a":[1]},"t":true,"u":null,"f":1.5,"i":-1,"l":[{}],"at":61000,"region":"north"}"#;
    assert_eq!(Report::read(more.as_bytes()), Ok(report));
}

#[test]
fn reports_that_are_none() {
    let cases = [
        ("", BadMessage::Json),
        ("[]", BadMessage::Form),
        (r#"{"fw":"1.4.2"}"#, BadMessage::Form),
        (r#"{"at":"61000"}"#, BadMessage::Form),
        (r#"{"at":-1}"#, BadMessage::Form),
        (r#"{"at":1,"at":2}"#, BadMessage::Form),
    ];
    for (payload, bad) in cases {
        assert_eq!(Report::read(payload.as_bytes()), Err(bad), "{payload}");
    }
}

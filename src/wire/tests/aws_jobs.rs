//! AWS IoT Jobs. Topics and members: awsdocs/aws-iot-docs, `developerguide/jobs-mqtt-api.md` (topics and
//! payloads of each operation), `jobs-api.md` (`ErrorResponse`), `jobs-mqtt-https-api.md` (data types).
//! Status details, `clientToken` and `afr_ota`: aws/ota-for-aws-iot-embedded-sdk, `source/ota_mqtt.c`.

use super::{EMPTY_SHA256, all_statuses, empty_sha256, text};
use crate::wire::aws_jobs::*;
use crate::wire::{BadMessage, Progress, Reason, Stage, Status};
use serde_json::value::RawValue;

const DOCUMENT: &str = r#"{"afr_ota":{"protocols":["MQTT"],"streamname":"fs-0a1b2c3d-0","files":[{"filepath":"/firmware","filesize":262144,"fileid":0,"fileType":0}]},"fleetstorm":{"version":"2.0.0","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}"#;

fn document() -> Document<'static> {
    Document {
        stream: "fs-0a1b2c3d-0".into(),
        file_path: "/firmware".into(),
        file: 0,
        bytes: 262_144,
        version: "2.0.0".into(),
        sha256: empty_sha256(),
    }
}

fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn topics() {
    assert_eq!(
        subscriptions("meters-7"),
        [
            "$aws/things/meters-7/jobs/notify-next",
            "$aws/things/meters-7/jobs/$next/get/+",
            "$aws/things/meters-7/jobs/start-next/+",
            "$aws/things/meters-7/jobs/+/update/+",
        ]
    );
    assert_eq!(
        notify_next_topic("meters-7"),
        "$aws/things/meters-7/jobs/notify-next"
    );
    let cases = [
        (
            Question::GetNext,
            "$aws/things/meters-7/jobs/$next/get",
            "$aws/things/meters-7/jobs/$next/get/accepted",
            "$aws/things/meters-7/jobs/$next/get/rejected",
        ),
        (
            Question::StartNext,
            "$aws/things/meters-7/jobs/start-next",
            "$aws/things/meters-7/jobs/start-next/accepted",
            "$aws/things/meters-7/jobs/start-next/rejected",
        ),
        (
            Question::Update("fs-0a1b2c3d-0"),
            "$aws/things/meters-7/jobs/fs-0a1b2c3d-0/update",
            "$aws/things/meters-7/jobs/fs-0a1b2c3d-0/update/accepted",
            "$aws/things/meters-7/jobs/fs-0a1b2c3d-0/update/rejected",
        ),
    ];
    for (question, topic, accepted, rejected) in cases {
        let asked = Asked {
            thing: "meters-7",
            question,
        };
        assert_eq!(asked.topic(), topic);
        assert_eq!(asked.accepted_topic(), accepted);
        assert_eq!(asked.rejected_topic(), rejected);
        assert_eq!(Asked::of_topic(topic), Ok(asked));
    }
}

#[test]
fn topics_of_others() {
    let none = [
        "",
        "$aws/things/",
        "$aws/things/a/jobs",
        "$aws/things/a/jobs/",
        "$aws/things//jobs/start-next",
        "$aws/things/a/jobs/start-next/accepted",
        "$aws/things/a/jobs/$next/get/rejected",
        "$aws/things/a/jobs/update",
        "$aws/things/a/jobs//update",
        "$aws/things/a/jobs/x/y/update",
        "$aws/things/a/jobs/notify-next",
        "$aws/things/a/streams/s/get/json",
        "aws/things/a/jobs/start-next",
    ];
    for topic in none {
        assert_eq!(Asked::of_topic(topic), Err(BadMessage::Topic), "{topic}");
    }
    let not_mine = [
        "$aws/things/meters-70/jobs/notify-next",
        "$aws/things/meters-7/jobs/notify",
        "$aws/things/meters-7/jobs/start-next",
        "$aws/things/meters-7/jobs/start-next/done",
        "$aws/things/meters-7/shadow/update/accepted",
    ];
    for topic in not_mine {
        let answer = Answer::read("meters-7", topic, b"{}");
        assert_eq!(answer.err(), Some(BadMessage::Topic), "{topic}");
    }
}

#[test]
fn the_job_document() {
    let written = document().write();
    assert_eq!(written.get(), DOCUMENT);
    assert_eq!(Document::read(&written), Ok(document()));
    // What AWS itself adds does not hurt.
    let more = DOCUMENT.replace(
        r#""fileType":0"#,
        r#""certfile":"/certificates/authcert.pem","sig-sha256-ecdsa":"MEUC","update_data_url":null"#,
    );
    assert_eq!(Document::read(raw(&more)), Ok(document()));
}

#[test]
fn job_documents_that_a_device_cannot_use() {
    let file = r#"{"filepath":"/firmware","filesize":262144,"fileid":0,"fileType":0}"#;
    let cases = [
        (
            DOCUMENT.replace("\"MQTT\"", "\"HTTP\""),
            Reason::UnsupportedProtocol,
        ),
        (
            DOCUMENT.replace("\"MQTT\"", ""),
            Reason::UnsupportedProtocol,
        ),
        (DOCUMENT.replace("262144", "0"), Reason::UnsupportedPackage),
        (
            DOCUMENT.replace("262144", "4294967296"),
            Reason::UnsupportedPackage,
        ),
        (DOCUMENT.replace("262144", "-1"), Reason::UnsupportedPackage),
        (
            DOCUMENT.replace("\"fileid\":0", "\"fileid\":256"),
            Reason::UnsupportedPackage,
        ),
        (DOCUMENT.replace(file, ""), Reason::UnsupportedPackage),
        (
            DOCUMENT.replace(file, &format!("{file},{file}")),
            Reason::UnsupportedPackage,
        ),
        (
            DOCUMENT.replace("\"fleetstorm\"", "\"other\""),
            Reason::UnsupportedPackage,
        ),
        (DOCUMENT.replace("e3b0", "e3"), Reason::UnsupportedPackage),
        (
            r#"{"operation":"reboot"}"#.to_owned(),
            Reason::UnsupportedPackage,
        ),
        (r#""text""#.to_owned(), Reason::UnsupportedPackage),
    ];
    for (document, reason) in cases {
        assert_eq!(Document::read(raw(&document)), Err(reason), "{document}");
    }
}

fn execution<'a>(document: Option<&'a RawValue>) -> Execution<'a> {
    Execution {
        job_id: "fs-0a1b2c3d-0".into(),
        status: JobStatus::Queued,
        status_details: None,
        queued_at: 12,
        started_at: None,
        last_updated_at: 13,
        version_number: 1,
        execution_number: 2,
        job_document: document,
    }
}

#[test]
fn notify_next() {
    let document = document().write();
    let notice = NotifyNext {
        timestamp: 14,
        execution: Some(execution(Some(&document))),
    };
    let golden = format!(
        r#"{{"timestamp":14,"execution":{{"jobId":"fs-0a1b2c3d-0","status":"QUEUED","queuedAt":12,"lastUpdatedAt":13,"versionNumber":1,"executionNumber":2,"jobDocument":{DOCUMENT}}}}}"#
    );
    assert_eq!(text(&notice.write()), golden);
    let topic = "$aws/things/meters-7/jobs/notify-next";
    let Ok(Answer::NotifyNext(read)) = Answer::read("meters-7", topic, golden.as_bytes()) else {
        panic!("not read as what it is");
    };
    assert_eq!(text(&read.write()), golden);
    let read = read.execution.expect("there is a job");
    assert_eq!(read.status, JobStatus::Queued);
    let document = read.job_document.expect("there is a document");
    assert_eq!(Document::read(document).map(|d| d.bytes), Ok(262_144));
}

#[test]
fn notify_next_without_a_job() {
    let notice = NotifyNext {
        timestamp: 14,
        execution: None,
    };
    assert_eq!(text(&notice.write()), r#"{"timestamp":14}"#);
    let topic = notify_next_topic("meters-7");
    let answer = Answer::read("meters-7", &topic, br#"{"timestamp":14}"#);
    let Ok(Answer::NotifyNext(NotifyNext {
        timestamp,
        execution,
    })) = answer
    else {
        panic!("not read as what it is");
    };
    assert_eq!((timestamp, execution.is_none()), (14, true));
}

#[test]
fn get_next() {
    let asked = Asked::of_topic("$aws/things/meters-7/jobs/$next/get").expect("a question");
    let get = GetNext {
        client_token: Some("0:meters-7".into()),
    };
    let golden = br#"{"clientToken":"0:meters-7"}"#;
    assert_eq!(text(&get.write()), text(golden));
    assert_eq!(asked.read(golden), Ok(Request::GetNext(get)));
    let without = Request::GetNext(GetNext::default());
    assert_eq!(asked.read(b""), Ok(without.clone()));
    assert_eq!(asked.read(b"{}"), Ok(without));
    assert_eq!(GetNext::default().write(), b"{}");
}

#[test]
fn start_next() {
    let asked = Asked::of_topic("$aws/things/meters-7/jobs/start-next").expect("a question");
    let start = StartNext {
        status_details: Some(Details {
            updated_by: Some("1.4.2".into()),
            ..Details::default()
        }),
        step_timeout_in_minutes: Some(5),
        client_token: Some("1:meters-7".into()),
    };
    let golden = br#"{"statusDetails":{"updatedBy":"1.4.2"},"stepTimeoutInMinutes":5,"clientToken":"1:meters-7"}"#;
    assert_eq!(text(&start.write()), text(golden));
    assert_eq!(asked.read(golden), Ok(Request::StartNext(start)));
    assert_eq!(
        asked.read(b""),
        Ok(Request::StartNext(StartNext::default()))
    );
}

#[test]
fn the_next_job_as_an_answer() {
    let document = document().write();
    let accepted = Accepted {
        client_token: Some("1:meters-7".into()),
        timestamp: 14,
        execution: Some(Execution {
            status: JobStatus::InProgress,
            status_details: Some(Details {
                receive: Some(Progress {
                    received: 64,
                    blocks: 256,
                }),
                ..Details::default()
            }),
            started_at: Some(13),
            ..execution(Some(&document))
        }),
    };
    let golden = format!(
        r#"{{"clientToken":"1:meters-7","timestamp":14,"execution":{{"jobId":"fs-0a1b2c3d-0","status":"IN_PROGRESS","statusDetails":{{"receive":"64/256"}},"queuedAt":12,"startedAt":13,"lastUpdatedAt":13,"versionNumber":1,"executionNumber":2,"jobDocument":{DOCUMENT}}}}}"#
    );
    assert_eq!(text(&accepted.write()), golden);
    for asked in ["$next/get", "start-next"] {
        let topic = format!("$aws/things/meters-7/jobs/{asked}/accepted");
        let answer = Answer::read("meters-7", &topic, golden.as_bytes()).expect("an answer");
        let (Answer::GotNext(read) | Answer::StartedNext(read)) = &answer else {
            panic!("not read as what it is: {answer:?}");
        };
        assert_eq!(matches!(answer, Answer::GotNext(_)), asked == "$next/get");
        assert_eq!(text(&read.write()), golden);
    }
    let none = Accepted {
        client_token: None,
        timestamp: 14,
        execution: None,
    };
    assert_eq!(text(&none.write()), r#"{"timestamp":14}"#);
}

/// The example of the guide, with all its members and spaces.
#[test]
fn the_guides_own_answer_is_read() {
    let payload = br#"{
"execution" : {
    "jobId" : "022",
    "thingName" : "MyThing",
    "jobDocument" : "< contents of job document >",
    "status" : "IN_PROGRESS",
    "queuedAt" : 1489096123309,
    "lastUpdatedAt" : 1489096123309,
    "versionNumber" : 1,
    "executionNumber" : 1234567890
},
"clientToken" : "client-1",
"timestamp" : 1489088524284
}"#;
    let topic = "$aws/things/MyThing/jobs/start-next/accepted";
    let Ok(Answer::StartedNext(read)) = Answer::read("MyThing", topic, payload) else {
        panic!("not read as what it is");
    };
    assert_eq!(read.client_token.as_deref(), Some("client-1"));
    let execution = read.execution.expect("there is a job");
    assert_eq!(execution.job_id, "022");
    assert_eq!(execution.execution_number, 1_234_567_890);
    let document = execution.job_document.expect("there is one");
    assert_eq!(Document::read(document), Err(Reason::UnsupportedPackage));
}

const BLOCKS: Progress = Progress {
    received: 64,
    blocks: 256,
};

/// What the agent says on the way (`buildStatusMessageReceiving`, `prvBuildStatusMessageSelfTest`,
/// `prvBuildStatusMessageFinish`), with our words of reasons.
#[test]
fn updates_by_stage() {
    let because = Status::because;
    let of = Status::of;
    let cases = [
        (
            of(Stage::Downloading),
            r#"{"status":"IN_PROGRESS","statusDetails":{"receive":"64/256"}}"#,
        ),
        (
            of(Stage::Rebooting),
            r#"{"status":"IN_PROGRESS","statusDetails":{"self_test":"ready","updatedBy":"1.4.2"}}"#,
        ),
        (
            of(Stage::SelfTest),
            r#"{"status":"IN_PROGRESS","statusDetails":{"self_test":"active","updatedBy":"1.4.2"}}"#,
        ),
        (
            of(Stage::Confirmed),
            r#"{"status":"SUCCEEDED","statusDetails":{"self_test":"accepted","updatedBy":"1.4.2","reason":"success"}}"#,
        ),
        (
            of(Stage::RolledBack),
            r#"{"status":"FAILED","statusDetails":{"self_test":"rejected","updatedBy":"1.4.2","reason":"update_failed"}}"#,
        ),
        (
            because(Stage::Failed, Reason::Integrity),
            r#"{"status":"FAILED","statusDetails":{"self_test":"aborted","updatedBy":"1.4.2","reason":"integrity"}}"#,
        ),
        (
            because(Stage::Rejected, Reason::NotEnoughFlash),
            r#"{"status":"REJECTED","statusDetails":{"reason":"not_enough_flash"}}"#,
        ),
    ];
    let topic = "$aws/things/meters-7/jobs/fs-0a1b2c3d-0/update";
    let asked = Asked::of_topic(topic).expect("a question");
    for (status, golden) in cases {
        let update = Update::of(status, Some(BLOCKS), "1.4.2").expect("there are words for it");
        assert_eq!(text(&update.write()), golden);
        let read = asked.read(golden.as_bytes());
        assert_eq!(
            read,
            Ok(Request::Update {
                job: "fs-0a1b2c3d-0",
                update: update.clone()
            })
        );
        assert_eq!(update.status(), Ok(status));
    }
    let whole = Progress {
        received: 256,
        blocks: 256,
    };
    let downloaded = Update::of(of(Stage::Downloaded), Some(whole), "1.4.2").expect("said");
    assert_eq!(
        text(&downloaded.write()),
        r#"{"status":"IN_PROGRESS","statusDetails":{"receive":"256/256"}}"#
    );
    assert_eq!(downloaded.status(), Ok(of(Stage::Downloaded)));
}

#[test]
fn stages_without_a_word_are_unsaid_and_the_others_come_back() {
    for status in all_statuses() {
        let done = status.stage == Stage::Downloaded;
        let received = if done { 256 } else { 64 };
        let progress = Progress {
            received,
            blocks: 256,
        };
        let said = Update::of(status, Some(progress), "1.4.2").map(|update| update.status());
        let unsaid = matches!(
            status.stage,
            Stage::Deferred | Stage::Verifying | Stage::Installing
        );
        assert_eq!(said, (!unsaid).then_some(Ok(status)), "{status:?}");
    }
}

#[test]
fn an_update_with_all_members() {
    let update = Update {
        status: JobStatus::InProgress,
        status_details: Some(Details {
            self_test: Some(SelfTest::Active),
            ..Details::default()
        }),
        expected_version: Some(3),
        execution_number: Some(2),
        include_job_execution_state: Some(true),
        step_timeout_in_minutes: Some(5),
        client_token: Some("2:meters-7".into()),
    };
    let golden = r#"{"status":"IN_PROGRESS","statusDetails":{"self_test":"active"},"expectedVersion":3,"executionNumber":2,"includeJobExecutionState":true,"stepTimeoutInMinutes":5,"clientToken":"2:meters-7"}"#;
    assert_eq!(text(&update.write()), golden);
    let asked = Asked {
        thing: "meters-7",
        question: Question::Update("j"),
    };
    let read = Request::Update { job: "j", update };
    assert_eq!(asked.read(golden.as_bytes()), Ok(read.clone()));
    // The guide has the version as text, and so has AWS's library for jobs.
    let as_text = golden.replace(":3,", ":\"3\",");
    assert_eq!(asked.read(as_text.as_bytes()), Ok(read));
}

/// Words of other agents do not get in the way of what is known.
#[test]
fn an_update_of_another_agent() {
    let asked = Asked {
        thing: "t",
        question: Question::Update("j"),
    };
    let cases = [
        (
            r#"{"status":"FAILED","statusDetails":{"reason":"0x00000007: 0x00000000"}}"#,
            Stage::Failed,
        ),
        (
            r#"{"status":"FAILED","statusDetails":{"self_test":"rejected","n":"1"}}"#,
            Stage::RolledBack,
        ),
        (
            r#"{"status":"SUCCEEDED","statusDetails":{"reason":"accepted  v0.9.2"}}"#,
            Stage::Confirmed,
        ),
        (r#"{"status":"IN_PROGRESS"}"#, Stage::Downloading),
        (
            r#"{"status":"IN_PROGRESS","statusDetails":{"receive":"all"}}"#,
            Stage::Downloading,
        ),
    ];
    for (payload, stage) in cases {
        let Ok(Request::Update { update, .. }) = asked.read(payload.as_bytes()) else {
            panic!("not read: {payload}");
        };
        assert_eq!(update.status(), Ok(Status::of(stage)), "{payload}");
    }
}

#[test]
fn an_update_accepted() {
    let accepted = UpdateAccepted {
        client_token: Some("2:meters-7".into()),
        timestamp: 15,
        execution_state: Some(ExecutionState {
            status: JobStatus::InProgress,
            status_details: Some(Details {
                receive: Some(BLOCKS),
                ..Details::default()
            }),
            version_number: 4,
        }),
    };
    let golden = r#"{"clientToken":"2:meters-7","timestamp":15,"executionState":{"status":"IN_PROGRESS","statusDetails":{"receive":"64/256"},"versionNumber":4}}"#;
    assert_eq!(text(&accepted.write()), golden);
    let topic = "$aws/things/meters-7/jobs/fs-0a1b2c3d-0/update/accepted";
    let Ok(Answer::Updated {
        job,
        accepted: read,
    }) = Answer::read("meters-7", topic, golden.as_bytes())
    else {
        panic!("not read as what it is");
    };
    assert_eq!((job, read), ("fs-0a1b2c3d-0", accepted));
    let short = UpdateAccepted {
        client_token: None,
        timestamp: 15,
        execution_state: None,
    };
    assert_eq!(text(&short.write()), r#"{"timestamp":15}"#);
}

#[test]
fn refusals() {
    let rejected = Rejected {
        code: ErrorCode::VersionMismatch,
        message: "expected version 3, but it is 4".into(),
        client_token: Some("2:meters-7".into()),
        timestamp: 15,
        execution_state: Some(ExecutionState {
            status: JobStatus::InProgress,
            status_details: None,
            version_number: 4,
        }),
    };
    let golden = r#"{"code":"VersionMismatch","message":"expected version 3, but it is 4","clientToken":"2:meters-7","timestamp":15,"executionState":{"status":"IN_PROGRESS","versionNumber":4}}"#;
    assert_eq!(text(&rejected.write()), golden);
    for (place, asked) in ["$next/get", "start-next", "fs-0a1b2c3d-0/update"]
        .into_iter()
        .enumerate()
    {
        let topic = format!("$aws/things/meters-7/jobs/{asked}/rejected");
        let answer = Answer::read("meters-7", &topic, golden.as_bytes()).expect("an answer");
        let (Answer::GetNextRejected(read)
        | Answer::StartNextRejected(read)
        | Answer::UpdateRejected { rejected: read, .. }) = &answer
        else {
            panic!("not read as what it is: {answer:?}");
        };
        assert_eq!(*read, rejected);
        let kinds = [
            matches!(answer, Answer::GetNextRejected(_)),
            matches!(answer, Answer::StartNextRejected(_)),
            matches!(
                answer,
                Answer::UpdateRejected {
                    job: "fs-0a1b2c3d-0",
                    ..
                }
            ),
        ];
        assert!(kinds[place], "{asked}: {answer:?}");
    }
}

/// All codes of the guide's `ErrorResponse`.
#[test]
fn codes() {
    let cases = [
        (ErrorCode::InvalidTopic, "InvalidTopic"),
        (ErrorCode::InvalidJson, "InvalidJson"),
        (ErrorCode::InvalidRequest, "InvalidRequest"),
        (ErrorCode::InvalidStateTransition, "InvalidStateTransition"),
        (ErrorCode::ResourceNotFound, "ResourceNotFound"),
        (ErrorCode::VersionMismatch, "VersionMismatch"),
        (ErrorCode::InternalError, "InternalError"),
        (ErrorCode::RequestThrottled, "RequestThrottled"),
        (ErrorCode::TerminalStateReached, "TerminalStateReached"),
    ];
    for (code, word) in cases {
        let quoted = format!("\"{word}\"");
        assert_eq!(serde_json::to_string(&code).expect("a word"), quoted);
        assert_eq!(
            serde_json::from_str::<ErrorCode>(&quoted).expect("known"),
            code
        );
    }
    let new: ErrorCode = serde_json::from_str("\"SomethingNew\"").expect("any");
    assert_eq!(new, ErrorCode::Unknown);
}

#[test]
fn bad_payloads_and_what_a_server_says_to_them() {
    let asked = Asked {
        thing: "t",
        question: Question::Update("j"),
    };
    let cases: [(&[u8], BadMessage, ErrorCode); 9] = [
        (b"", BadMessage::Json, ErrorCode::InvalidJson),
        (b"{", BadMessage::Json, ErrorCode::InvalidJson),
        (
            b"{\"status\":\"\xff\"}",
            BadMessage::Json,
            ErrorCode::InvalidJson,
        ),
        (b"{}", BadMessage::Form, ErrorCode::InvalidRequest),
        (b"[]", BadMessage::Form, ErrorCode::InvalidRequest),
        (
            b"{\"status\":\"DONE\"}",
            BadMessage::Form,
            ErrorCode::InvalidRequest,
        ),
        (
            b"{\"status\":7}",
            BadMessage::Form,
            ErrorCode::InvalidRequest,
        ),
        (
            b"{\"status\":\"FAILED\",\"statusDetails\":\"x\"}",
            BadMessage::Form,
            ErrorCode::InvalidRequest,
        ),
        (
            b"{\"status\":\"FAILED\",\"expectedVersion\":\"x\"}",
            BadMessage::Form,
            ErrorCode::InvalidRequest,
        ),
    ];
    for (payload, bad, code) in cases {
        let payload_text = String::from_utf8_lossy(payload);
        assert_eq!(asked.read(payload), Err(bad), "{payload_text}");
        assert_eq!(ErrorCode::of_bad_message(bad), code);
    }
    let topic = ErrorCode::of_bad_message(BadMessage::Topic);
    assert_eq!(topic, ErrorCode::InvalidTopic);
}

/// Ends that are the service's, and the state before the start, are not a device's to say.
#[test]
fn a_device_cannot_say_what_is_the_services() {
    for word in ["QUEUED", "CANCELED", "TIMED_OUT", "REMOVED"] {
        let asked = Asked {
            thing: "t",
            question: Question::Update("j"),
        };
        let payload = format!(r#"{{"status":"{word}"}}"#);
        let Ok(Request::Update { update, .. }) = asked.read(payload.as_bytes()) else {
            panic!("not read: {payload}");
        };
        assert_eq!(update.status(), Err(BadMessage::Value("status")), "{word}");
    }
    assert_eq!(EMPTY_SHA256.len(), 64);
}

//! For any value: what is written is read back. For any bytes: reading never panics.

use crate::wire::aws_jobs::{self, Details, JobStatus, SelfTest, Update};
use crate::wire::aws_streams::{Data, Encoding, Get};
use crate::wire::generic_action::{self, Action, Pattern};
use crate::wire::image::Image;
use crate::wire::reported::Report;
use crate::wire::thingsboard;
use crate::wire::{Progress, Reason};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

fn encoding() -> impl Strategy<Value = Encoding> {
    select(&Encoding::ALL[..])
}

fn get() -> impl Strategy<Value = Get<'static>> {
    let numbers = (
        any::<u64>(),
        any::<u64>(),
        of(any::<u64>()),
        of(any::<u64>()),
    );
    (
        of(".*"),
        of(any::<u64>()),
        numbers,
        of(vec(any::<u8>(), 0..40)),
    )
        .prop_map(
            |(token, version, (file, block_bytes, offset, count), bitmap)| Get {
                token: token.map(Into::into),
                version,
                file,
                block_bytes,
                offset,
                count,
                bitmap: bitmap.map(Into::into),
            },
        )
}

fn details() -> impl Strategy<Value = Details<'static>> {
    let progress =
        (any::<u32>(), any::<u32>()).prop_map(|(received, blocks)| Progress { received, blocks });
    let words = (of(select(&SelfTest::ALL[..])), of(select(&Reason::ALL[..])));
    (of(progress), words, of(".*")).prop_map(|(receive, (self_test, reason), updated_by)| Details {
        receive,
        self_test,
        updated_by: updated_by.map(Into::into),
        reason,
    })
}

fn update() -> impl Strategy<Value = Update<'static>> {
    let status = select(vec![
        JobStatus::InProgress,
        JobStatus::Failed,
        JobStatus::Succeeded,
        JobStatus::Rejected,
    ]);
    let numbers = (of(any::<u64>()), of(any::<u64>()), of(any::<u64>()));
    (status, of(details()), numbers, of(any::<bool>()), of(".*")).prop_map(
        |(status, status_details, numbers, include_job_execution_state, token)| Update {
            status,
            status_details,
            expected_version: numbers.0,
            execution_number: numbers.1,
            include_job_execution_state,
            step_timeout_in_minutes: numbers.2,
            client_token: token.map(Into::into),
        },
    )
}

/// Texts that are hard on escapes, among others.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![".*", r#"[\\"{},:a]*"#]
}

proptest! {
    #[test]
    fn block_requests_come_back(encoding in encoding(), get in get()) {
        let payload = get.write(encoding);
        prop_assert_eq!(Get::read(encoding, &payload), Ok(get));
    }

    #[test]
    fn blocks_come_back(
        encoding in encoding(),
        token in of(".*"),
        (file, index) in any::<(u64, u64)>(),
        bytes in vec(any::<u8>(), 0..600),
    ) {
        let token = token.map(Into::into);
        let data = Data { token, file, len: bytes.len() as u64, index, bytes: &bytes };
        let payload = data.write(encoding);
        let mut scratch = Vec::new();
        prop_assert_eq!(Data::read(encoding, &payload, &mut scratch), Ok(data));
    }

    /// Our CBOR as another implementation reads it.
    #[test]
    fn cbor_is_cbor(get in get()) {
        let value: ciborium::Value =
            ciborium::from_reader(&*get.write(Encoding::Cbor)).expect("CBOR");
        let members = value.as_map().expect("a map");
        let of_key = |key: &str| {
            let member = members.iter().find(|(known, _)| known.as_text() == Some(key));
            member.map(|(_, value)| value)
        };
        let number = |key: &str| {
            let value = of_key(key).and_then(ciborium::Value::as_integer);
            value.map(|value| u64::try_from(value).expect("not below zero"))
        };
        prop_assert_eq!(number("f"), Some(get.file));
        prop_assert_eq!(number("l"), Some(get.block_bytes));
        prop_assert_eq!(number("s"), get.version);
        prop_assert_eq!(number("o"), get.offset);
        prop_assert_eq!(number("n"), get.count);
        let token = of_key("c").and_then(ciborium::Value::as_text);
        prop_assert_eq!(token, get.token.as_deref());
        let bitmap = of_key("b").and_then(ciborium::Value::as_bytes);
        prop_assert_eq!(bitmap.map(Vec::as_slice), get.bitmap.as_deref());
    }

    /// All blocks of an image, however they are asked for, are the image.
    #[test]
    fn all_blocks_are_the_image(len in 1_u32..20_000, block_bytes in 256_u32..5000, run in 1_u32..9) {
        let image = Image::new(1, "2.0.0", len);
        let mut bytes = Vec::new();
        let mut next = 0;
        while next < image.blocks(block_bytes) {
            let get = Get::run(0, block_bytes, next, run);
            for index in get.blocks(1, 0, len).expect("inside the file") {
                prop_assert_eq!(index, next);
                bytes.extend_from_slice(&image.block(index, block_bytes).expect("inside"));
                next += 1;
            }
        }
        prop_assert_eq!(&bytes, &image.bytes);
        prop_assert!(Get::one(0, block_bytes, next).blocks(1, 0, len).is_err());
    }

    #[test]
    fn updates_come_back(update in update()) {
        let payload = update.write();
        let asked = aws_jobs::Asked { thing: "t", question: aws_jobs::Question::Update("j") };
        let read = aws_jobs::Request::Update { job: "j", update };
        prop_assert_eq!(asked.read(&payload), Ok(read));
    }

    /// Topics of any names without slashes.
    #[test]
    fn topics_come_back(thing in "[^/]+", job in "[^/]+") {
        let question = aws_jobs::Question::Update(&job);
        let asked = aws_jobs::Asked { thing: &thing, question };
        let topic = asked.topic();
        prop_assert_eq!(aws_jobs::Asked::of_topic(&topic), Ok(asked));
        let topic = asked.accepted_topic();
        let answer = aws_jobs::Answer::read(&thing, &topic, b"{}");
        let is_mine = matches!(answer, Ok(aws_jobs::Answer::Updated { job: read, .. }) if read == job);
        prop_assert!(is_mine);
    }

    #[test]
    fn actions_come_back(action_id in value(), version in value(), url in value(), bytes: u32) {
        let action = Action {
            action_id: action_id.into(),
            version: version.into(),
            url: url.into(),
            bytes: Some(bytes),
            sha256: Some([7; 32]),
        };
        let flat = r#"{"i":"{action_id}","v":"{version}","u":"{url}","n":{bytes},"h":"{sha256}"}"#;
        for pattern in [generic_action::ACTION, flat] {
            let pattern = Pattern::action(pattern).expect("sound");
            let payload = action.write(&pattern);
            prop_assert_eq!(Action::read(&pattern, &payload), Ok(action.clone()));
        }
    }

    #[test]
    fn firmware_comes_back(title: String, version: String, bytes in 1_u32.., seed: u8) {
        let firmware = thingsboard::Firmware {
            title: title.into(),
            version: version.into(),
            bytes,
            sha256: [seed; 32],
        };
        let payload = firmware.write_push();
        let answer = thingsboard::Answer::read(thingsboard::ATTRIBUTES_TOPIC, &payload);
        let read = thingsboard::Answer::Firmware { request: None, firmware: Some(Ok(firmware)) };
        prop_assert_eq!(answer, Ok(read));
    }

    #[test]
    fn reports_come_back(at_ms: u64, attributes in vec(("[a-z]{3,9}", ".*"), 0..6)) {
        let attributes = attributes.into_iter().map(|(name, value)| (name.into(), value.into()));
        let report = Report { at_ms, attributes: attributes.collect() };
        let payload = report.write();
        prop_assert_eq!(Report::read(&payload), Ok(report));
    }

    /// Any pattern is taken or refused, and one that is taken reads what it has written.
    #[test]
    fn patterns_read_what_they_write(
        text in r#"[\[{"'\\ax,}\]]{0,6}\{version\}[{"\\ax,}]{0,6}\{url\}[{"\\ax,}\]]{0,6}"#,
        version in "[a-z0-9.]{1,8}",
    ) {
        if let Ok(pattern) = Pattern::action(&text) {
            let url = "http://127.0.0.1:8080/fw";
            let action = Action {
                action_id: "".into(),
                version: version.into(),
                url: url.into(),
                bytes: None,
                sha256: None,
            };
            let payload = action.write(&pattern);
            // Text between the places that may stand in a value has two readings.
            if let Ok(read) = Action::read(&pattern, &payload) {
                prop_assert_eq!(read.write(&pattern), payload);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(payload in vec(any::<u8>(), 0..200)) {
        for encoding in Encoding::ALL {
            if let Ok(get) = Get::read(encoding, &payload) {
                let blocks = get.blocks(1, 0, 1 << 20).map_or(0, Iterator::count);
                prop_assert!(blocks <= 512);
            }
            drop(Data::read(encoding, &payload, &mut Vec::new()));
        }
        drop(Report::read(&payload));
        drop(thingsboard::Telemetry::read(&payload));
    }
}

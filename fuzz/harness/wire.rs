//! The messages of updates, commands and reported state: arbitrary topics, payloads and patterns. No
//! reader panics; what one has read can be written, and the reader makes the same of that again; a
//! request for blocks brings no more than it may. Each check says whether anything was read, so that
//! seeds can be held to being messages.

use super::script::Script;
use fleetstorm::wire::aws_jobs::{self, Asked, Document, Request};
use fleetstorm::wire::aws_streams::{Data, Describe, Described, Encoding, Get, StreamError};
use fleetstorm::wire::generic_action::{Action, Pattern, Report as Said};
use fleetstorm::wire::reported::Report;
use fleetstorm::wire::{aws_streams, command, thingsboard};

/// A file that has room for some requests and not for others: 1 MiB.
const FILE_BYTES: u32 = 1 << 20;

/// The first byte chooses the readers; what follows up to a line feed is a topic or a pattern; the
/// rest is the payload.
pub(crate) fn check(data: &[u8]) -> bool {
    let mut script = Script(data);
    let choice = script.byte_or_zero();
    let mut halves = script.0.splitn(2, |byte| *byte == b'\n');
    let topic = String::from_utf8_lossy(halves.next().unwrap_or(&[]));
    let payload = halves.next().unwrap_or(&[]);
    match choice % 7 {
        0 => job_questions(&topic, payload),
        1 => job_answers(&topic, payload),
        2 => streams(Encoding::Json, payload),
        3 => streams(Encoding::Cbor, payload),
        4 => thingsboards(&topic, payload),
        5 => actions(&topic, payload),
        _ => own(&topic, payload),
    }
}

fn job_questions(topic: &str, payload: &[u8]) -> bool {
    let Ok(asked) = Asked::of_topic(topic) else {
        return false;
    };
    assert_eq!(asked.topic(), topic);
    let Ok(request) = asked.read(payload) else {
        return false;
    };
    let written = match &request {
        Request::GetNext(get) => get.write(),
        Request::StartNext(start) => start.write(),
        Request::Update { update, .. } => {
            let _ = update.status();
            update.write()
        }
    };
    assert_eq!(asked.read(&written), Ok(request));
    true
}

fn job_answers(topic: &str, payload: &[u8]) -> bool {
    let write = |answer: &aws_jobs::Answer<'_>| match answer {
        aws_jobs::Answer::NotifyNext(notice) => notice.write(),
        aws_jobs::Answer::GotNext(accepted) | aws_jobs::Answer::StartedNext(accepted) => {
            accepted.write()
        }
        aws_jobs::Answer::Updated { accepted, .. } => accepted.write(),
        aws_jobs::Answer::GetNextRejected(rejected)
        | aws_jobs::Answer::StartNextRejected(rejected)
        | aws_jobs::Answer::UpdateRejected { rejected, .. } => rejected.write(),
    };
    let Ok(answer) = aws_jobs::Answer::read("t", topic, payload) else {
        return false;
    };
    let execution = match &answer {
        aws_jobs::Answer::NotifyNext(notice) => notice.execution.as_ref(),
        aws_jobs::Answer::GotNext(accepted) | aws_jobs::Answer::StartedNext(accepted) => {
            accepted.execution.as_ref()
        }
        aws_jobs::Answer::Updated { .. }
        | aws_jobs::Answer::GetNextRejected(_)
        | aws_jobs::Answer::StartNextRejected(_)
        | aws_jobs::Answer::UpdateRejected { .. } => None,
    };
    if let Some(raw) = execution.and_then(|execution| execution.job_document)
        && let Ok(document) = Document::read(raw)
    {
        assert_eq!(Document::read(&document.write()), Ok(document.clone()));
    }
    let written = write(&answer);
    let again = aws_jobs::Answer::read("t", topic, &written).expect("what was read is sound");
    assert_eq!(write(&again), written);
    true
}

fn streams(encoding: Encoding, payload: &[u8]) -> bool {
    let mut read = false;
    if let Ok(get) = Get::read(encoding, payload) {
        let written = get.write(encoding);
        assert_eq!(Get::read(encoding, &written), Ok(get.clone()));
        if let Ok(blocks) = get.blocks(1, 0, FILE_BYTES) {
            let block_bytes = blocks.block_bytes;
            let indices: Vec<u32> = blocks.collect();
            assert!(!indices.is_empty());
            assert!(indices.is_sorted_by(|a, b| a < b));
            let bytes = u64::from(block_bytes) * indices.len() as u64;
            assert!(bytes <= 131_072);
            let last = u64::from(indices[indices.len() - 1]);
            assert!(last * u64::from(block_bytes) < u64::from(FILE_BYTES));
        }
        read = true;
    }
    let mut scratch = Vec::new();
    if let Ok(block) = Data::read(encoding, payload, &mut scratch) {
        let written = block.write(encoding);
        let mut scratch = Vec::new();
        assert_eq!(Data::read(encoding, &written, &mut scratch), Ok(block));
        read = true;
    }
    if let Ok(question) = Describe::read(encoding, payload) {
        let written = question.write(encoding);
        assert_eq!(Describe::read(encoding, &written), Ok(question));
        read = true;
    }
    if let Ok(described) = Described::read(encoding, payload) {
        let written = described.write(encoding);
        assert_eq!(Described::read(encoding, &written), Ok(described));
        read = true;
    }
    if let Ok(error) = StreamError::read(encoding, payload) {
        let written = error.write(encoding);
        assert_eq!(StreamError::read(encoding, &written), Ok(error));
        read = true;
    }
    read
}

fn thingsboards(topic: &str, payload: &[u8]) -> bool {
    let answer = thingsboard::Answer::read(topic, payload);
    let request = thingsboard::Request::read(topic, payload);
    let mut read = answer.is_ok() || request.is_ok();
    if let Ok(thingsboard::Answer::Firmware {
        firmware: Some(Ok(firmware)),
        ..
    }) = answer
    {
        let written = firmware.write_push();
        let read = thingsboard::Answer::Firmware {
            request: None,
            firmware: Some(Ok(firmware.clone())),
        };
        let again = thingsboard::Answer::read(thingsboard::ATTRIBUTES_TOPIC, &written);
        assert_eq!(again, Ok(read));
    }
    if let Ok(thingsboard::Request::Telemetry(telemetry)) = request
        && let Some(written) = telemetry.write()
    {
        assert_eq!(thingsboard::Telemetry::read(&written), Ok(telemetry));
    }
    if let Some((client_id, own)) = thingsboard::of_device(topic) {
        assert_eq!(thingsboard::to_device(client_id, own), topic);
        read = true;
    }
    read
}

/// A value may hold the very text that ends it, so that what is read need not be what was written;
/// but it is one way to read the same text.
fn actions(pattern: &str, payload: &[u8]) -> bool {
    let mut read = false;
    if let Ok(pattern) = Pattern::action(pattern)
        && let Ok(action) = Action::read(&pattern, payload)
    {
        let written = action.write(&pattern);
        if let Ok(again) = Action::read(&pattern, &written) {
            assert_eq!(again.write(&pattern), written);
        }
        read = true;
    }
    if let Ok(pattern) = Pattern::status(pattern)
        && let Ok(said) = Said::read(&pattern, payload)
    {
        let written = said.write(&pattern);
        if let Ok(again) = Said::read(&pattern, &written) {
            assert_eq!(again.write(&pattern), written);
        }
        read = true;
    }
    read
}

fn own(topic: &str, payload: &[u8]) -> bool {
    let mut read = false;
    if let Ok(request) = command::Request::read("d/1", topic, payload) {
        let written = request.write();
        let again = command::Request::read("d/1", topic, &written).expect("sound");
        assert_eq!(again.write(), written);
        read = true;
    }
    if let Some((base, id)) = command::of_response_topic(topic) {
        assert_eq!(command::response_topic(base, id), topic);
        if let Ok(response) = command::Response::read(id, payload) {
            let written = response.write();
            assert_eq!(command::Response::read(id, &written), Ok(response));
        }
        read = true;
    }
    if let Ok(topic_read) = aws_streams::Topic::read(topic) {
        assert_eq!(topic_read.write(), topic);
        read = true;
    }
    if let Ok(report) = Report::read(payload) {
        let written = report.write();
        assert_eq!(Report::read(&written), Ok(report));
        read = true;
    }
    read
}

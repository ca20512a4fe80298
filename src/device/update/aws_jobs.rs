//! The words of AWS IoT Jobs and its streams: neutral actions to messages, messages to what was heard.

use super::download::Run;
use super::heard::{Heard, Key, Offer, Offered, Reply, ServerEnd, ServerState};
use super::{Job, Telling, Update};
use crate::device::managed::Cx;
use crate::device::outbox::{Letter, What};
use crate::mqtt::packet::QoS;
use crate::scenario::update::Encoding;
use crate::time::Instant;
use crate::wire::aws_jobs::{
    Answer, Asked, Document, ErrorCode, Execution, ExecutionState, GetNext, JobStatus, Question,
    Rejected, Update as Word, subscriptions,
};
use crate::wire::aws_streams::{self, Data, Get, Kind, StreamError, Topic};
use crate::wire::{BadMessage, Progress, Reason, Stage, Status};

/// Statuses at QoS 1; blocks at QoS 0, as the agent asks for them.
pub(super) fn filters(cx: &Cx<'_>, encoding: Encoding) -> Vec<(String, QoS)> {
    let thing = cx.thing();
    let jobs = subscriptions(&thing).into_iter();
    let streams = aws_streams::subscriptions(&thing, "+", encoding).into_iter();
    let jobs = jobs.map(|filter| (filter, QoS::AtLeastOnce));
    jobs.chain(streams.map(|filter| (filter, QoS::AtMostOnce)))
        .collect()
}

/// Whether the agent says this at all.
pub(super) fn has_word_for(status: Status) -> bool {
    Word::of(status, None, "").is_some()
}

/// Which is my next job?
pub(super) fn question(cx: &Cx<'_>, serial: u32) -> Letter {
    let thing = cx.thing();
    let asked = Asked {
        thing: &thing,
        question: Question::GetNext,
    };
    let get = GetNext {
        client_token: Some(token(serial, &thing).into()),
    };
    Letter {
        what: What::Question,
        qos: QoS::AtLeastOnce,
        topic: asked.topic(),
        payload: get.write(),
    }
}

/// Where the update stands.
pub(super) fn status(cx: &Cx<'_>, job: &Job, telling: &Telling) -> Letter {
    let thing = cx.thing();
    let from = cx.version_text(job.from);
    let word = Word::of(telling.status, telling.progress, from);
    let mut word = word.expect("only what has a word is told");
    word.expected_version = telling.expected;
    word.include_job_execution_state = Some(true);
    word.client_token = Some(token(telling.serial, &thing).into());
    update(&thing, job, word, QoS::AtLeastOnce, telling.serial)
}

/// How much of it there is; at QoS 0. The token is nobody's who waits: the answer must not be taken
/// for that to a status.
pub(super) fn progress(cx: &Cx<'_>, job: &Job, progress: Progress, serial: u32) -> Letter {
    let thing = cx.thing();
    let status = Status::of(Stage::Downloading);
    let mut word = Word::of(status, Some(progress), "").expect("a download has a word");
    word.client_token = Some(token(serial, &thing).into());
    update(&thing, job, word, QoS::AtMostOnce, serial)
}

/// Names the execution, so that nothing said of one is taken for another that has followed it.
fn update(thing: &str, job: &Job, mut word: Word<'_>, qos: QoS, serial: u32) -> Letter {
    let id = match &job.offer.key {
        Key::Aws { job, execution, .. } => {
            word.execution_number = Some(execution.0);
            job
        }
        Key::Thingsboard { .. } | Key::Generic { .. } => {
            unreachable!("a device has one profile for life")
        }
    };
    let asked = Asked {
        thing,
        question: Question::Update(id),
    };
    Letter {
        what: What::Status(serial),
        qos,
        topic: asked.topic(),
        payload: word.write(),
    }
}

/// Blocks, please.
pub(super) fn blocks(cx: &Cx<'_>, job: &Job, encoding: Encoding, run: Run) -> Option<Letter> {
    let Key::Aws { stream, file, .. } = &job.offer.key else {
        return None;
    };
    let topic = Topic {
        thing: &cx.thing(),
        stream,
        kind: Kind::Get,
        encoding,
    };
    let get = Get::run(*file, cx.update_client().block_bytes, run.0, run.1);
    Some(Letter {
        what: What::Question,
        qos: QoS::AtMostOnce,
        topic: topic.write(),
        payload: get.write(encoding),
    })
}

/// The agent's token: a number and the thing, whose name is left away if that is more than AWS takes.
fn token(serial: u32, thing: &str) -> String {
    let token = format!("{serial}:{thing}");
    if token.len() <= aws_streams::MAX_TOKEN_BYTES {
        token
    } else {
        format!("{serial}:")
    }
}

fn serial_of(token: Option<&str>) -> Option<u32> {
    token?.split_once(':')?.0.parse().ok()
}

/// Reads a message; the bytes of a block in base64 are put into `scratch`.
pub(super) fn read<'a>(
    update: &Update,
    cx: &Cx<'_>,
    encoding: Encoding,
    (topic, payload): (&'a str, &'a [u8]),
    scratch: &'a mut Vec<u8>,
) -> Result<Heard<'a>, BadMessage> {
    let thing = cx.thing();
    if let Ok(of_stream) = Topic::read(topic) {
        if of_stream.thing != thing || of_stream.encoding != encoding {
            return Ok(Heard::Ignored);
        }
        return read_stream(update, of_stream, payload, scratch);
    }
    let is_of_job = |id: &str| match update.job.as_ref().map(|job| &job.offer.key) {
        Some(Key::Aws { job, .. }) => **job == *id,
        Some(Key::Thingsboard { .. } | Key::Generic { .. }) | None => false,
    };
    Ok(match Answer::read(&thing, topic, payload)? {
        Answer::NotifyNext(notice) => offer(notice.execution, false),
        Answer::GotNext(answer) => {
            let asked = serial_of(answer.client_token.as_deref());
            let is_late = asked.is_some_and(|serial| serial != update.question);
            if is_late || update.ask_at == Instant::NEVER {
                return Ok(Heard::Ignored);
            }
            offer(answer.execution, true)
        }
        Answer::GetNextRejected(rejected) => Heard::NotAnswered {
            again: passes(rejected.code),
        },
        Answer::Updated { job, accepted } if is_of_job(job) => {
            let version = accepted.execution_state.map(|state| state.version_number);
            let serial = serial_of(accepted.client_token.as_deref());
            Heard::Reply(serial, Reply::Taken(version))
        }
        Answer::UpdateRejected { job, rejected } if is_of_job(job) => {
            let serial = serial_of(rejected.client_token.as_deref());
            Heard::Reply(serial, refusal(&rejected))
        }
        Answer::StartedNext(_)
        | Answer::StartNextRejected(_)
        | Answer::Updated { .. }
        | Answer::UpdateRejected { .. } => Heard::Ignored,
    })
}

fn read_stream<'a>(
    update: &Update,
    topic: Topic<'_>,
    payload: &'a [u8],
    scratch: &'a mut Vec<u8>,
) -> Result<Heard<'a>, BadMessage> {
    let Some(Key::Aws { stream, file, .. }) = update.job.as_ref().map(|job| &job.offer.key) else {
        return Ok(Heard::Unwanted);
    };
    if **stream != *topic.stream {
        return Ok(Heard::Unwanted);
    }
    match topic.kind {
        Kind::Data => {
            let data = Data::read(topic.encoding, payload, scratch)?;
            if data.file != u64::from(*file) {
                return Ok(Heard::Unwanted);
            }
            Ok(Heard::Block {
                index: data.index,
                bytes: data.bytes,
            })
        }
        Kind::Rejected => {
            let error = StreamError::read(topic.encoding, payload)?;
            Ok(match stream_reason(error.code) {
                Some(reason) => Heard::NoBlock(reason),
                None => Heard::Bad,
            })
        }
        Kind::Get | Kind::Describe | Kind::Description => Ok(Heard::Ignored),
    }
}

fn offer(execution: Option<Execution<'_>>, is_answer: bool) -> Heard<'static> {
    let Some(execution) = execution else {
        return Heard::Nothing { is_answer };
    };
    if execution.status.is_terminal() {
        return Heard::Bad;
    }
    let document = match execution.job_document {
        Some(document) => Document::read(document),
        None => Err(Reason::UnsupportedPackage),
    };
    let job = (&*execution.job_id).into();
    let number = (execution.execution_number, execution.queued_at);
    let (offer, flaw) = match document {
        Ok(document) => (
            Offer {
                version: (&*document.version).into(),
                bytes: Some(document.bytes),
                sha256: Some(document.sha256),
                key: Key::Aws {
                    job,
                    execution: number,
                    stream: (&*document.stream).into(),
                    file: document.file,
                },
            },
            None,
        ),
        Err(reason) => (
            Offer {
                version: "".into(),
                bytes: None,
                sha256: None,
                key: Key::Aws {
                    job,
                    execution: number,
                    stream: "".into(),
                    file: 0,
                },
            },
            Some(reason),
        ),
    };
    Heard::Offer(Box::new(Offered {
        offer,
        flaw,
        version: Some(execution.version_number),
        is_answer,
    }))
}

fn refusal(rejected: &Rejected<'_>) -> Reply {
    let state = rejected.execution_state.as_ref().map(state);
    match rejected.code {
        ErrorCode::VersionMismatch => Reply::Mismatch(state),
        ErrorCode::InvalidStateTransition
        | ErrorCode::ResourceNotFound
        | ErrorCode::TerminalStateReached => Reply::Over(state),
        ErrorCode::RequestThrottled | ErrorCode::InternalError => Reply::Later,
        ErrorCode::InvalidTopic
        | ErrorCode::InvalidJson
        | ErrorCode::InvalidRequest
        | ErrorCode::Unknown => Reply::Unreadable,
    }
}

const fn state(state: &ExecutionState<'_>) -> ServerState {
    ServerState {
        version: state.version_number,
        end: match state.status {
            JobStatus::Queued | JobStatus::InProgress => ServerEnd::Open,
            JobStatus::Succeeded => ServerEnd::Succeeded,
            JobStatus::Failed => ServerEnd::Failed,
            JobStatus::Rejected => ServerEnd::Rejected,
            JobStatus::TimedOut => ServerEnd::TimedOut,
            JobStatus::Canceled | JobStatus::Removed => ServerEnd::Cancelled,
        },
    }
}

/// Whether a refusal of a question is worth asking again.
const fn passes(code: ErrorCode) -> bool {
    match code {
        ErrorCode::RequestThrottled | ErrorCode::InternalError => true,
        ErrorCode::InvalidTopic
        | ErrorCode::InvalidJson
        | ErrorCode::InvalidRequest
        | ErrorCode::InvalidStateTransition
        | ErrorCode::ResourceNotFound
        | ErrorCode::VersionMismatch
        | ErrorCode::TerminalStateReached
        | ErrorCode::Unknown => false,
    }
}

/// What a refusal of blocks means for the update; `None` = that they may come later.
const fn stream_reason(code: aws_streams::ErrorCode) -> Option<Reason> {
    use aws_streams::ErrorCode;
    match code {
        // Not what was announced.
        ErrorCode::VersionMismatch | ErrorCode::ETagMismatch => Some(Reason::Integrity),
        ErrorCode::ResourceNotFound | ErrorCode::Unauthorized => Some(Reason::BadUri),
        ErrorCode::BlockSizeOutOfBounds
        | ErrorCode::OffsetOutOfBounds
        | ErrorCode::BlockCountLimitExceeded
        | ErrorCode::BlockBitmapLimitExceeded
        | ErrorCode::InvalidTopic
        | ErrorCode::InvalidJson
        | ErrorCode::InvalidCbor
        | ErrorCode::InvalidRequest => Some(Reason::UnsupportedProtocol),
        ErrorCode::InternalError | ErrorCode::Unknown => None,
    }
}

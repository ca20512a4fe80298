//! What the server says: executions, answers and refusals.

use super::update::Details;
use crate::wire::{BadMessage, json};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The state of a job execution, that is, of a job on one thing.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    /// The device has not begun.
    Queued,
    /// It has.
    InProgress,
    /// Given up by the device.
    Failed,
    /// Done.
    Succeeded,
    /// By the service, before the device began.
    Canceled,
    /// By the service, when a timer expired.
    TimedOut,
    /// Refused by the device.
    Rejected,
    /// The thing is no target any more.
    Removed,
}

impl JobStatus {
    /// Whether nothing comes after it.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Queued | Self::InProgress => false,
            Self::Failed
            | Self::Succeeded
            | Self::Canceled
            | Self::TimedOut
            | Self::Rejected
            | Self::Removed => true,
        }
    }
}

/// A job execution: `JobExecution` of the guide. Instants are seconds since the server's epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Execution<'a> {
    /// Which job.
    #[serde(borrow)]
    pub job_id: Cow<'a, str>,
    /// Its state.
    pub status: JobStatus,
    /// What the device said last.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub status_details: Option<Details<'a>>,
    /// When the execution came to be.
    #[serde(default)]
    pub queued_at: u64,
    /// When the device began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// When it changed last.
    #[serde(default)]
    pub last_updated_at: u64,
    /// Goes up with each change.
    pub version_number: u64,
    /// Goes up with each attempt of a job on a thing.
    #[serde(default)]
    pub execution_number: u64,
    /// What is to be done, unread: [`super::Document::read`].
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub job_document: Option<&'a RawValue>,
}

/// `NextJobExecutionChanged`, on `notify-next`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NotifyNext<'a> {
    /// When it was sent, in seconds since the server's epoch.
    #[serde(default)]
    pub timestamp: u64,
    /// The job that is next now; `None` = none is.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Execution<'a>>,
}

/// The answer to the two questions about the next job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted<'a> {
    /// That of the question.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<Cow<'a, str>>,
    /// When it was sent, in seconds since the server's epoch.
    #[serde(default)]
    pub timestamp: u64,
    /// The job that is next; `None` = none is.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Execution<'a>>,
}

/// The answer to an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateAccepted<'a> {
    /// That of the update.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<Cow<'a, str>>,
    /// When it was sent, in seconds since the server's epoch.
    #[serde(default)]
    pub timestamp: u64,
    /// What holds now; if the update asked for it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub execution_state: Option<ExecutionState<'a>>,
}

/// `JobExecutionState` of the guide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionState<'a> {
    /// Its state.
    pub status: JobStatus,
    /// What the device said last.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub status_details: Option<Details<'a>>,
    /// Goes up with each change.
    pub version_number: u64,
}

/// Why a question was refused: `ErrorCode` of the guide.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ErrorCode {
    /// No question has this topic.
    InvalidTopic,
    /// Not JSON.
    InvalidJson,
    /// JSON, but not what the question takes.
    InvalidRequest,
    /// An execution cannot go from its state to that one; the state is told.
    InvalidStateTransition,
    /// There is no such execution.
    ResourceNotFound,
    /// The execution has another version than expected; the state is told.
    VersionMismatch,
    /// The service has failed.
    InternalError,
    /// Too many questions.
    RequestThrottled,
    /// A question about an execution that has ended.
    TerminalStateReached,
    /// One that the guide does not know.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// What a server says to a question that it cannot read.
    pub const fn of_bad_message(bad: BadMessage) -> Self {
        match bad {
            BadMessage::Topic => Self::InvalidTopic,
            BadMessage::Json | BadMessage::Cbor => Self::InvalidJson,
            BadMessage::Form | BadMessage::Value(_) => Self::InvalidRequest,
        }
    }
}

/// `ErrorResponse` of the guide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected<'a> {
    /// Why.
    pub code: ErrorCode,
    /// The same for people.
    #[serde(borrow, default)]
    pub message: Cow<'a, str>,
    /// That of the question.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<Cow<'a, str>>,
    /// When it was sent, in seconds since the server's epoch.
    #[serde(default)]
    pub timestamp: u64,
    /// What holds; with [`ErrorCode::InvalidStateTransition`] and [`ErrorCode::VersionMismatch`] only.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub execution_state: Option<ExecutionState<'a>>,
}

impl NotifyNext<'_> {
    /// Its payload.
    pub fn write(&self) -> Vec<u8> {
        json::write(self)
    }
}

impl Accepted<'_> {
    /// Its payload.
    pub fn write(&self) -> Vec<u8> {
        json::write(self)
    }
}

impl UpdateAccepted<'_> {
    /// Its payload.
    pub fn write(&self) -> Vec<u8> {
        json::write(self)
    }
}

impl Rejected<'_> {
    /// Its payload.
    pub fn write(&self) -> Vec<u8> {
        json::write(self)
    }
}

//! What a device says: its questions, and status in the words of AWS's embedded OTA agent.

use super::execution::JobStatus;
use crate::wire::{BadMessage, Progress, Reason, Stage, Status, json};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Payload of [`super::Question::GetNext`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetNext<'a> {
    /// Comes back in the answer; the agent writes `<counter>:<thing>`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<Cow<'a, str>>,
}

/// Payload of [`super::Question::StartNext`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartNext<'a> {
    /// What the device has to say at the start.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub status_details: Option<Details<'a>>,
    /// Sets the step timer, in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_timeout_in_minutes: Option<u64>,
    /// Comes back in the answer.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<Cow<'a, str>>,
}

/// Payload of [`super::Question::Update`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Update<'a> {
    /// Where the execution goes: in progress, failed, succeeded or rejected.
    pub status: JobStatus,
    /// More about it; `None` leaves what was said before.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub status_details: Option<Details<'a>>,
    /// Refuse the update if the execution has another version than this.
    #[serde(
        default,
        deserialize_with = "json::number_or_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub expected_version: Option<u64>,
    /// Of this execution of the job; `None` = of the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_number: Option<u64>,
    /// Whether the answer is to say what holds then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_job_execution_state: Option<bool>,
    /// Sets the step timer, in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_timeout_in_minutes: Option<u64>,
    /// Comes back in the answer.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<Cow<'a, str>>,
}

/// How far the agent's self-test is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SelfTest {
    /// The image is complete and sound: the device reboots into it.
    Ready,
    /// The new firmware runs and tests itself.
    Active,
    /// It has passed.
    Accepted,
    /// It has not: the old one came back.
    Rejected,
    /// Given up before.
    Aborted,
}

impl SelfTest {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Ready,
        Self::Active,
        Self::Accepted,
        Self::Rejected,
        Self::Aborted,
    ];

    /// The agent's word (`pOtaJobReasonStrings`).
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Active => "active",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Aborted => "aborted",
        }
    }

    /// What a word says.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|test| test.word() == word)
    }
}

/// Status details, a map of texts: `receive`, `self_test` and `updatedBy` as the agent writes them,
/// `reason` with a word of [`Reason`] where the agent has numbers of its own. Others are left when read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details<'a> {
    /// `"receive":"64/256"`.
    pub receive: Option<Progress>,
    /// `"self_test":"active"`.
    pub self_test: Option<SelfTest>,
    /// `"updatedBy":"1.4.2"`: the firmware that received the image.
    pub updated_by: Option<Cow<'a, str>>,
    /// `"reason":"integrity"`.
    pub reason: Option<Reason>,
}

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(Progress { received, blocks }) = self.receive {
            map.serialize_entry("receive", &format_args!("{received}/{blocks}"))?;
        }
        if let Some(test) = self.self_test {
            map.serialize_entry("self_test", test.word())?;
        }
        if let Some(version) = &self.updated_by {
            map.serialize_entry("updatedBy", version)?;
        }
        if let Some(reason) = self.reason {
            map.serialize_entry("reason", reason.word())?;
        }
        map.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Details<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DetailsVisitor)
    }
}

struct DetailsVisitor;

impl<'de> Visitor<'de> for DetailsVisitor {
    type Value = Details<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map of texts")
    }

    /// Words that are not known are left as if they were not there: agents put what they like here.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut details = Details::default();
        while let Some(json::Text(key)) = map.next_key()? {
            match &*key {
                "receive" => {
                    let json::Text(text) = map.next_value()?;
                    details.receive = progress_of(&text);
                }
                "self_test" => {
                    let json::Text(text) = map.next_value()?;
                    details.self_test = SelfTest::of_word(&text);
                }
                "updatedBy" => {
                    let json::Text(text) = map.next_value()?;
                    details.updated_by = Some(text);
                }
                "reason" => {
                    let json::Text(text) = map.next_value()?;
                    details.reason = Reason::of_word(&text);
                }
                _ => {
                    let IgnoredAny = map.next_value()?;
                }
            }
        }
        Ok(details)
    }
}

/// `64/256`.
fn progress_of(text: &str) -> Option<Progress> {
    let (received, blocks) = text.split_once('/')?;
    Some(Progress {
        received: received.parse().ok()?,
        blocks: blocks.parse().ok()?,
    })
}

impl GetNext<'_> {
    /// Its payload.
    pub fn write(&self) -> Vec<u8> {
        json::write(self)
    }
}

impl StartNext<'_> {
    /// Its payload.
    pub fn write(&self) -> Vec<u8> {
        json::write(self)
    }
}

impl<'a> Update<'a> {
    /// The update that says `status` as the agent would; `None` if it would say nothing: deferred,
    /// verifying, installing. `progress` goes into downloading and downloaded, `from`, the firmware
    /// that took the image, into all that follows.
    pub fn of(status: Status, progress: Option<Progress>, from: &'a str) -> Option<Self> {
        let (job_status, self_test) = match status.stage {
            Stage::Deferred | Stage::Verifying | Stage::Installing => return None,
            Stage::Downloading | Stage::Downloaded => (JobStatus::InProgress, None),
            Stage::Rebooting => (JobStatus::InProgress, Some(SelfTest::Ready)),
            Stage::SelfTest => (JobStatus::InProgress, Some(SelfTest::Active)),
            Stage::Confirmed => (JobStatus::Succeeded, Some(SelfTest::Accepted)),
            Stage::RolledBack => (JobStatus::Failed, Some(SelfTest::Rejected)),
            Stage::Failed => (JobStatus::Failed, Some(SelfTest::Aborted)),
            Stage::Rejected => (JobStatus::Rejected, None),
        };
        let downloads = matches!(status.stage, Stage::Downloading | Stage::Downloaded);
        let details = Details {
            receive: progress.filter(|_| downloads),
            self_test,
            updated_by: self_test.map(|_| Cow::Borrowed(from)),
            reason: status.stage.is_terminal().then_some(status.reason),
        };
        Some(Self {
            status: job_status,
            status_details: Some(details),
            expected_version: None,
            execution_number: None,
            include_job_execution_state: None,
            step_timeout_in_minutes: None,
            client_token: None,
        })
    }

    /// What it says.
    ///
    /// # Errors
    /// [`BadMessage::Value`] if a device cannot say that: queued, or an end that is the service's.
    pub fn status(&self) -> Result<Status, BadMessage> {
        let none = Details::default();
        let details = self.status_details.as_ref().unwrap_or(&none);
        let stage = match (self.status, details.self_test) {
            (JobStatus::InProgress, Some(SelfTest::Ready)) => Stage::Rebooting,
            (JobStatus::InProgress, Some(SelfTest::Active)) => Stage::SelfTest,
            (JobStatus::InProgress, _) => match details.receive {
                Some(Progress { received, blocks }) if received >= blocks => Stage::Downloaded,
                Some(_) | None => Stage::Downloading,
            },
            (JobStatus::Succeeded, _) => Stage::Confirmed,
            (JobStatus::Failed, Some(SelfTest::Rejected)) => Stage::RolledBack,
            (JobStatus::Failed, _) => Stage::Failed,
            (JobStatus::Rejected, _) => Stage::Rejected,
            (
                JobStatus::Queued | JobStatus::Canceled | JobStatus::TimedOut | JobStatus::Removed,
                _,
            ) => return Err(BadMessage::Value("status")),
        };
        let reason = details.reason.unwrap_or_else(|| stage.reason());
        Ok(Status::because(stage, reason))
    }

    /// Its payload.
    pub fn write(&self) -> Vec<u8> {
        json::write(self)
    }
}

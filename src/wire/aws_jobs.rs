//! AWS IoT Jobs over MQTT, both ends: topics and payloads as in AWS's developer guide
//! (`jobs-mqtt-api`, `jobs-api`, `jobs-mqtt-https-api`), words of status details as its embedded OTA
//! agent writes them (`ota_mqtt.c`).
//!
//! AWS sends answers to the asking client whether it has subscribed or not; on any other broker a device
//! has to subscribe, so that it always does ([`subscriptions`]). All these messages are QoS 1, but for
//! progress ([`Details::receive`]), which the agent sends with QoS 0.

mod document;
mod execution;
mod update;

pub use document::Document;
pub use execution::{
    Accepted, ErrorCode, Execution, ExecutionState, JobStatus, NotifyNext, Rejected, UpdateAccepted,
};
pub use update::{Details, GetNext, SelfTest, StartNext, Update};

use super::{BadMessage, json};

/// What stands in front of a thing's name in all topics.
const THINGS: &str = "$aws/things/";

/// The filters that a device subscribes to: the notice of a new job, and the answers to each question.
pub fn subscriptions(thing: &str) -> [String; 4] {
    [
        format!("{THINGS}{thing}/jobs/notify-next"),
        format!("{THINGS}{thing}/jobs/$next/get/+"),
        format!("{THINGS}{thing}/jobs/start-next/+"),
        format!("{THINGS}{thing}/jobs/+/update/+"),
    ]
}

/// The filters that a server of all things subscribes to.
pub const SERVER_SUBSCRIPTIONS: [&str; 3] = [
    "$aws/things/+/jobs/$next/get",
    "$aws/things/+/jobs/start-next",
    "$aws/things/+/jobs/+/update",
];

/// Where a thing hears of its next job.
pub fn notify_next_topic(thing: &str) -> String {
    format!("{THINGS}{thing}/jobs/notify-next")
}

/// What a device asks, by its topic.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Question<'a> {
    /// `DescribeJobExecution` of `$next`: what is my next job?
    GetNext,
    /// `StartNextPendingJobExecution`: what is it, and I have begun.
    StartNext,
    /// `UpdateJobExecution` of this job.
    Update(&'a str),
}

/// A question and whose it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Name of the thing.
    pub thing: &'a str,
    /// What is asked.
    pub question: Question<'a>,
}

/// A device's question, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// See [`Question::GetNext`].
    GetNext(GetNext<'a>),
    /// See [`Question::StartNext`].
    StartNext(StartNext<'a>),
    /// See [`Question::Update`].
    Update {
        /// Which job.
        job: &'a str,
        /// What is new.
        update: Update<'a>,
    },
}

/// What a device hears from the server.
#[derive(Clone, Debug)]
pub enum Answer<'a> {
    /// The next job is another one than before.
    NotifyNext(NotifyNext<'a>),
    /// Answer to [`Question::GetNext`].
    GotNext(Accepted<'a>),
    /// The same, refused.
    GetNextRejected(Rejected<'a>),
    /// Answer to [`Question::StartNext`].
    StartedNext(Accepted<'a>),
    /// The same, refused.
    StartNextRejected(Rejected<'a>),
    /// Answer to [`Question::Update`].
    Updated {
        /// Of this job.
        job: &'a str,
        /// What holds now.
        accepted: UpdateAccepted<'a>,
    },
    /// The same, refused.
    UpdateRejected {
        /// Of this job.
        job: &'a str,
        /// Why.
        rejected: Rejected<'a>,
    },
}

impl<'a> Asked<'a> {
    /// What a topic asks, and whose it is.
    ///
    /// # Errors
    /// [`BadMessage::Topic`] if it is none of the three.
    pub fn of_topic(topic: &'a str) -> Result<Self, BadMessage> {
        let rest = topic.strip_prefix(THINGS).ok_or(BadMessage::Topic)?;
        let (thing, rest) = rest.split_once('/').ok_or(BadMessage::Topic)?;
        let rest = rest.strip_prefix("jobs/").ok_or(BadMessage::Topic)?;
        let question = Question::of(rest).filter(|_| !thing.is_empty());
        let question = question.ok_or(BadMessage::Topic)?;
        Ok(Self { thing, question })
    }

    /// Where it is asked.
    pub fn topic(&self) -> String {
        let thing = self.thing;
        match self.question {
            Question::GetNext => format!("{THINGS}{thing}/jobs/$next/get"),
            Question::StartNext => format!("{THINGS}{thing}/jobs/start-next"),
            Question::Update(job) => format!("{THINGS}{thing}/jobs/{job}/update"),
        }
    }

    /// Where the answer goes if all is well.
    pub fn accepted_topic(&self) -> String {
        self.topic() + "/accepted"
    }

    /// Where the answer goes if not: a [`Rejected`].
    pub fn rejected_topic(&self) -> String {
        self.topic() + "/rejected"
    }

    /// Reads the payload of the question.
    ///
    /// # Errors
    /// If it is not what the guide says; [`ErrorCode::of_bad_message`] is how a server answers.
    pub fn read(&self, payload: &'a [u8]) -> Result<Request<'a>, BadMessage> {
        match self.question {
            // The guide's members are all optional, and agents send nothing at all as well.
            Question::GetNext if payload.is_empty() => Ok(Request::GetNext(GetNext::default())),
            Question::StartNext if payload.is_empty() => {
                Ok(Request::StartNext(StartNext::default()))
            }
            Question::GetNext => json::read(payload).map(Request::GetNext),
            Question::StartNext => json::read(payload).map(Request::StartNext),
            Question::Update(job) => {
                json::read(payload).map(|update| Request::Update { job, update })
            }
        }
    }
}

impl<'a> Question<'a> {
    /// Of the part behind `jobs/`.
    fn of(rest: &'a str) -> Option<Self> {
        match rest {
            "$next/get" => Some(Self::GetNext),
            "start-next" => Some(Self::StartNext),
            other => {
                let job = other.strip_suffix("/update")?;
                (!job.is_empty() && !job.contains('/')).then_some(Self::Update(job))
            }
        }
    }
}

impl<'a> Answer<'a> {
    /// Reads what `thing` received.
    ///
    /// # Errors
    /// [`BadMessage::Topic`] if the topic is not one of [`subscriptions`] for this thing; else if the
    /// payload is not what the guide says.
    pub fn read(thing: &str, topic: &'a str, payload: &'a [u8]) -> Result<Self, BadMessage> {
        let rest = topic.strip_prefix(THINGS).and_then(|rest| {
            let rest = rest.strip_prefix(thing)?;
            rest.strip_prefix("/jobs/")
        });
        let rest = rest.ok_or(BadMessage::Topic)?;
        if rest == "notify-next" {
            return json::read(payload).map(Self::NotifyNext);
        }
        let (asked, answer) = rest.rsplit_once('/').ok_or(BadMessage::Topic)?;
        let question = Question::of(asked).ok_or(BadMessage::Topic)?;
        match (question, answer) {
            (Question::GetNext, "accepted") => json::read(payload).map(Self::GotNext),
            (Question::GetNext, "rejected") => json::read(payload).map(Self::GetNextRejected),
            (Question::StartNext, "accepted") => json::read(payload).map(Self::StartedNext),
            (Question::StartNext, "rejected") => json::read(payload).map(Self::StartNextRejected),
            (Question::Update(job), "accepted") => {
                json::read(payload).map(|accepted| Self::Updated { job, accepted })
            }
            (Question::Update(job), "rejected") => {
                json::read(payload).map(|rejected| Self::UpdateRejected { job, rejected })
            }
            (Question::GetNext | Question::StartNext | Question::Update(_), _) => {
                Err(BadMessage::Topic)
            }
        }
    }
}

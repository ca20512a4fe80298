//! AWS IoT Jobs at the operator's end: notices of the next job, and answers to questions and updates
//! with the states and errors of its guide.
//!
//! A device that says something about an execution that has ended, or that expects another version, is
//! refused and told what holds. The guide's step timer that a device may ask for is not kept: timeouts
//! are the campaign's.

use super::Note;
use super::mail::Step;
use super::rollouts::{Job, Rollouts};
use crate::cloud::campaign::{Status as Stands, View};
use crate::device::payload;
use crate::scenario::plan::DeviceIdx;
use crate::stats::results::Outcome;
use crate::time::Instant;
use crate::wire::aws_jobs::{
    Accepted, Asked, ErrorCode, Execution, ExecutionState, JobStatus, NotifyNext, Rejected,
    Request, Update, UpdateAccepted, notify_next_topic,
};
use crate::wire::{Stage, Status};
use std::borrow::Cow;

impl Rollouts {
    /// What tells `device` of its next job, or that it has none: topic and payload. `None` if the device
    /// is at it already.
    pub(super) fn notify_next(&self, now: Instant, device: DeviceIdx) -> Option<(String, Vec<u8>)> {
        let job = self.next_job(device);
        if job.is_some_and(|(_, view)| view.status != Stands::Queued) {
            return None;
        }
        let notice = NotifyNext {
            timestamp: seconds(now),
            execution: job.map(|job| self.job_execution(job)),
        };
        let thing = self.thing(device);
        Some((notify_next_topic(&thing), notice.write()))
    }

    /// Answers a question of `device`.
    pub(super) fn answer_jobs(
        &mut self,
        device: DeviceIdx,
        asked: Asked<'_>,
        payload: &[u8],
        to: &mut Step<'_>,
    ) {
        match asked.read(payload) {
            Ok(Request::GetNext(get)) => {
                self.contact(device, false, to);
                self.accept_next(device, asked, get.client_token, to);
            }
            Ok(Request::StartNext(start)) => {
                if let Some((index, view)) = self.next_job(device)
                    && view.status == Stands::Queued
                {
                    self.hear(index, device, Status::of(Stage::Downloading), to);
                }
                self.accept_next(device, asked, start.client_token, to);
            }
            Ok(Request::Update { job, update }) => self.update(device, asked, job, &update, to),
            Err(bad) => {
                to.note(Note::BadMessage);
                refuse(
                    device,
                    asked,
                    ErrorCode::of_bad_message(bad),
                    None,
                    None,
                    to,
                );
            }
        }
    }

    fn accept_next(
        &self,
        device: DeviceIdx,
        asked: Asked<'_>,
        client_token: Option<Cow<'_, str>>,
        to: &mut Step<'_>,
    ) {
        let accepted = Accepted {
            client_token,
            timestamp: seconds(to.now),
            execution: self.next_job(device).map(|job| self.job_execution(job)),
        };
        to.answer(device, asked.accepted_topic(), accepted.write());
    }

    fn update(
        &mut self,
        device: DeviceIdx,
        asked: Asked<'_>,
        job: &str,
        update: &Update<'_>,
        to: &mut Step<'_>,
    ) {
        let token = update.client_token.clone();
        let index = self.campaign_of(job);
        let execution = index.and_then(|index| Some((index, self.execution(index, device)?)));
        let Some((index, view)) = execution else {
            return refuse(device, asked, ErrorCode::ResourceNotFound, token, None, to);
        };
        let status = match verdict(update, &view) {
            Ok(status) => status,
            Err(code) => {
                if let (Stands::Ended(_), Ok(status)) = (view.status, update.status()) {
                    // The campaign counts it, and changes nothing.
                    self.hear(index, device, status, to);
                }
                return refuse(device, asked, code, token, Some(state(&view)), to);
            }
        };
        self.hear(index, device, status, to);
        let asks_for_state = update.include_job_execution_state == Some(true);
        let accepted = UpdateAccepted {
            client_token: token,
            timestamp: seconds(to.now),
            // Not the view's: the execution may have been followed by the next one just now.
            execution_state: asks_for_state.then(|| ExecutionState {
                status: update.status,
                status_details: update.status_details.clone(),
                version_number: u64::from(view.version.saturating_add(1)),
            }),
        };
        to.answer(device, asked.accepted_topic(), accepted.write());
    }

    fn job_execution(&self, (index, view): Job) -> Execution<'_> {
        let package = self.package(index);
        Execution {
            job_id: Cow::Borrowed(&package.id),
            status: job_status(view.status),
            status_details: None,
            queued_at: seconds(view.queued),
            started_at: None,
            last_updated_at: seconds(view.updated),
            version_number: u64::from(view.version),
            execution_number: u64::from(view.attempt),
            job_document: Some(&package.document),
        }
    }

    /// The name of `device` in AWS's topics.
    fn thing(&self, device: DeviceIdx) -> String {
        let names = payload::names(&self.plan, device, 0);
        format!("{}-{}", names.cohort, names.index_in_cohort)
    }
}

/// What an update says, if the execution can take it.
fn verdict(update: &Update<'_>, view: &View) -> Result<Status, ErrorCode> {
    let is_current = |told: Option<u64>, holds: u64| told.is_none_or(|told| told == holds);
    match view.status {
        Stands::Ended(_) => Err(ErrorCode::InvalidStateTransition),
        Stands::Queued | Stands::InProgress
            if !is_current(update.execution_number, u64::from(view.attempt))
                || !is_current(update.expected_version, u64::from(view.version)) =>
        {
            Err(ErrorCode::VersionMismatch)
        }
        Stands::Queued | Stands::InProgress => update
            .status()
            .map_err(|_| ErrorCode::InvalidStateTransition),
    }
}

fn refuse(
    device: DeviceIdx,
    asked: Asked<'_>,
    code: ErrorCode,
    client_token: Option<Cow<'_, str>>,
    execution_state: Option<ExecutionState<'_>>,
    to: &mut Step<'_>,
) {
    to.note(Note::Refused);
    let rejected = Rejected {
        code,
        message: Cow::Borrowed(match code {
            ErrorCode::VersionMismatch => "the execution has another version",
            ErrorCode::InvalidStateTransition => "the execution cannot go there from its state",
            ErrorCode::ResourceNotFound => "there is no such execution",
            ErrorCode::InvalidTopic
            | ErrorCode::InvalidJson
            | ErrorCode::InvalidRequest
            | ErrorCode::InternalError
            | ErrorCode::RequestThrottled
            | ErrorCode::TerminalStateReached
            | ErrorCode::Unknown => "the request cannot be read",
        }),
        client_token,
        timestamp: seconds(to.now),
        execution_state,
    };
    to.answer(device, asked.rejected_topic(), rejected.write());
}

fn state(view: &View) -> ExecutionState<'static> {
    ExecutionState {
        status: job_status(view.status),
        status_details: None,
        version_number: u64::from(view.version),
    }
}

const fn job_status(stands: Stands) -> JobStatus {
    match stands {
        Stands::Queued => JobStatus::Queued,
        Stands::InProgress => JobStatus::InProgress,
        Stands::Ended(outcome) => match outcome {
            Outcome::Confirmed => JobStatus::Succeeded,
            Outcome::RolledBack | Outcome::Failed => JobStatus::Failed,
            Outcome::Rejected => JobStatus::Rejected,
            // From afar a bricked device is one that was not heard of in time.
            Outcome::Bricked | Outcome::TimedOut => JobStatus::TimedOut,
            Outcome::Cancelled => JobStatus::Canceled,
            Outcome::NeverReached | Outcome::Unfinished => JobStatus::Removed,
        },
    }
}

/// Seconds of the run's axis: the server's epoch is the origin of the run.
const fn seconds(at: Instant) -> u64 {
    at.ns() / 1_000_000_000
}

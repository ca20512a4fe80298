//! The words of a home-grown backend: one topic down, one up, HTTP for the image.

use super::heard::{Heard, Key, Offer, Offered};
use super::{Job, Phase, Telling};
use crate::device::managed::Cx;
use crate::device::outbox::{Letter, What};
use crate::mqtt::packet::QoS;
use crate::scenario::update::GenericAction;
use crate::wire::generic_action::{Action, Report, download_progress, progress as progress_of};
use crate::wire::{BadMessage, Reason, Stage, Status};

/// Actions come at QoS 1.
pub(super) fn filters(cx: &Cx<'_>, words: &GenericAction) -> Vec<(String, QoS)> {
    vec![(words.action_topic.to_text(&cx.names()), QoS::AtLeastOnce)]
}

/// Where the update stands.
pub(super) fn status(cx: &Cx<'_>, words: &GenericAction, job: &Job, telling: &Telling) -> Letter {
    let progress = match telling.status.stage {
        Stage::Downloading => percent(job),
        stage @ (Stage::Deferred
        | Stage::Rejected
        | Stage::Downloaded
        | Stage::Verifying
        | Stage::Installing
        | Stage::Rebooting
        | Stage::SelfTest
        | Stage::Confirmed
        | Stage::RolledBack
        | Stage::Failed) => progress_of(stage),
    };
    report(cx, words, job, (telling.status, progress), telling.serial)
}

/// How much of it there is.
pub(super) fn progress(cx: &Cx<'_>, words: &GenericAction, job: &Job, serial: u32) -> Letter {
    let status = Status::of(Stage::Downloading);
    report(cx, words, job, (status, percent(job)), serial)
}

fn report(
    cx: &Cx<'_>,
    words: &GenericAction,
    job: &Job,
    (status, progress): (Status, u8),
    serial: u32,
) -> Letter {
    let action = match &job.offer.key {
        Key::Generic { action, .. } => &**action,
        Key::Aws { .. } | Key::Thingsboard { .. } => {
            unreachable!("a device has one profile for life")
        }
    };
    let report = Report {
        action_id: action.into(),
        status,
        progress,
        sequence: serial,
        timestamp_ms: cx.since_start_ms(),
    };
    Letter {
        what: What::Status(serial),
        qos: QoS::AtLeastOnce,
        topic: words.status_topic.to_text(&cx.names()),
        payload: report.write(&words.status),
    }
}

fn percent(job: &Job) -> u8 {
    match (&job.phase, job.offer.bytes) {
        (Phase::Body(body), Some(bytes)) => download_progress(body.got().into(), bytes.into()),
        (
            Phase::Deferred
            | Phase::Blocks(_)
            | Phase::Body(_)
            | Phase::Verifying(_)
            | Phase::Installing
            | Phase::Ready
            | Phase::Rebooting
            | Phase::SelfTest
            | Phase::RollingBack
            | Phase::Ended,
            _,
        ) => 0,
    }
}

/// Reads a message that came where actions come.
pub(super) fn read<'a>(words: &GenericAction, payload: &'a [u8]) -> Result<Heard<'a>, BadMessage> {
    let action = Action::read(&words.action, payload)?;
    let flaw = action.url.is_empty().then_some(Reason::BadUri);
    Ok(Heard::Offer(Box::new(Offered {
        offer: Offer {
            version: (&*action.version).into(),
            bytes: action.bytes,
            sha256: action.sha256,
            key: Key::Generic {
                action: (&*action.action_id).into(),
                url: (&*action.url).into(),
            },
        },
        flaw,
        version: None,
        is_answer: false,
    })))
}

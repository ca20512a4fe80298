//! The words of `ThingsBoard`'s firmware updates: shared attributes, chunks, telemetry for status.

use super::heard::{Heard, Key, Offer, Offered};
use super::{Job, Telling, Update};
use crate::device::managed::Cx;
use crate::device::outbox::{Letter, What};
use crate::mqtt::packet::QoS;
use crate::scenario::campaign::VersionIdx;
use crate::time::Instant;
use crate::wire::thingsboard::{
    Answer, SUBSCRIPTIONS, TELEMETRY_TOPIC, Telemetry, attributes_request_topic,
    chunk_request_topic, write_attributes_request, write_chunk_request,
};
use crate::wire::{BadMessage, Status};

/// Attributes at QoS 1, chunks and errors at QoS 0.
pub(super) fn filters() -> Vec<(String, QoS)> {
    let filter = |filter: &str| {
        let qos = if filter.starts_with("v1/") {
            QoS::AtLeastOnce
        } else {
            QoS::AtMostOnce
        };
        (filter.to_owned(), qos)
    };
    SUBSCRIPTIONS.into_iter().map(filter).collect()
}

/// Whether its devices say this at all.
pub(super) fn has_word_for(status: Status) -> bool {
    let telemetry = Telemetry {
        title: "".into(),
        version: "".into(),
        status: Some(status),
    };
    telemetry.write().is_some()
}

/// Which firmware am I to have?
pub(super) fn question(serial: u32) -> Letter {
    Letter {
        what: What::Question,
        qos: QoS::AtLeastOnce,
        topic: attributes_request_topic(serial),
        payload: write_attributes_request(),
    }
}

/// A chunk, please.
pub(super) fn chunk(request: u32, index: u32, chunk_bytes: u32) -> Letter {
    Letter {
        what: What::Question,
        qos: QoS::AtMostOnce,
        topic: chunk_request_topic(request, index),
        payload: write_chunk_request(chunk_bytes),
    }
}

/// Where the update stands.
pub(super) fn status(
    cx: &Cx<'_>,
    job: &Job,
    telling: &Telling,
    firmware: Option<VersionIdx>,
) -> Letter {
    let title = match &job.offer.key {
        Key::Thingsboard { title } => &**title,
        Key::Aws { .. } | Key::Generic { .. } => {
            unreachable!("a device has one profile for life")
        }
    };
    let telemetry = Telemetry {
        title: title.into(),
        version: cx.version_text(firmware).into(),
        status: Some(telling.status),
    };
    Letter {
        what: What::Status(telling.serial),
        qos: QoS::AtLeastOnce,
        topic: TELEMETRY_TOPIC.into(),
        payload: telemetry.write().expect("only what has a word is told"),
    }
}

/// Reads a message.
pub(super) fn read<'a>(
    update: &Update,
    topic: &'a str,
    payload: &'a [u8],
) -> Result<Heard<'a>, BadMessage> {
    Ok(match Answer::read(topic, payload)? {
        Answer::Firmware { request, firmware } => {
            let is_answer = request.is_some();
            let is_awaited = request == Some(update.question) && update.ask_at != Instant::NEVER;
            if is_answer && !is_awaited {
                return Ok(Heard::Ignored);
            }
            match firmware {
                Some(Ok(firmware)) => Heard::Offer(Box::new(Offered {
                    offer: Offer {
                        version: (&*firmware.version).into(),
                        bytes: Some(firmware.bytes),
                        sha256: Some(firmware.sha256),
                        key: Key::Thingsboard {
                            title: (&*firmware.title).into(),
                        },
                    },
                    flaw: None,
                    version: None,
                    is_answer,
                })),
                Some(Err(reason)) => Heard::Offer(Box::new(Offered {
                    offer: Offer {
                        version: "".into(),
                        bytes: None,
                        sha256: None,
                        key: Key::Thingsboard { title: "".into() },
                    },
                    flaw: Some(reason),
                    version: None,
                    is_answer,
                })),
                None if is_answer => Heard::Nothing { is_answer },
                // Attributes of another kind.
                None => Heard::Ignored,
            }
        }
        Answer::Chunk {
            request,
            index,
            bytes,
        } => {
            let job = update.job.as_ref();
            if job.is_some_and(|job| job.request == request) {
                Heard::Block {
                    index: index.into(),
                    bytes,
                }
            } else {
                Heard::Unwanted
            }
        }
        // The server closes the connection after it.
        Answer::Error(_) => Heard::Bad,
    })
}

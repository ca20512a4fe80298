//! Home-grown backends: one topic for actions, one for status, payloads by patterns. The defaults are
//! those of Bytebeam's uplink (`base/actions`, `apps/downloader`): an action whose `payload` is JSON in a
//! text, and a status as an array of one point of the stream `action_status`. The image comes over HTTP.

mod pattern;

pub use pattern::{Pattern, PatternError, Place};

use super::{BadMessage, Reason, Stage, Status, image, json};
use pattern::Values;
use std::borrow::Cow;

/// Where actions come down by default, as a template of a scenario.
pub const ACTION_TOPIC: &str = "/tenants/fleetstorm/devices/{device}/actions";
/// Where status goes up by default.
pub const STATUS_TOPIC: &str = "/tenants/fleetstorm/devices/{device}/action/status";

/// An action by default.
pub const ACTION: &str = r#"{"action_id":"{action_id}","name":"update_firmware","payload":"{\"url\":\"{url}\",\"content-length\":{bytes},\"file-name\":\"{version}\",\"checksum\":\"{sha256}\",\"version\":\"{version}\"}"}"#;
/// A status by default.
pub const STATUS: &str = r#"[{"stream":"action_status","sequence":{sequence},"timestamp":{timestamp},"action_id":"{action_id}","state":"{state}","progress":{progress},"errors":[{errors}]}]"#;

/// An offer of firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action<'a> {
    /// `{action_id}`: comes back in each status; empty if the pattern has no place for it.
    pub action_id: Cow<'a, str>,
    /// `{version}` of the firmware.
    pub version: Cow<'a, str>,
    /// `{url}` of the image: `http://…`, or a path on the server that the run starts itself.
    pub url: Cow<'a, str>,
    /// `{bytes}` of the image; `None` if the pattern has no place for it.
    pub bytes: Option<u32>,
    /// `{sha256}` of the image, in hex; `None` if the pattern has no place for it.
    pub sha256: Option<[u8; 32]>,
}

/// A word on an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report<'a> {
    /// `{action_id}`: that of the action; empty if the pattern has no place for it.
    pub action_id: Cow<'a, str>,
    /// `{state}`, and `{reason}` or `{errors}`. A pattern with a place for neither loses the reason of a
    /// failure.
    pub status: Status,
    /// `{progress}`, percent, 0 to 100; 0 if the pattern has no place for it.
    pub progress: u8,
    /// `{sequence}`: goes up with each report of an action; 0 if the pattern has no place for it.
    pub sequence: u32,
    /// `{timestamp}`, in milliseconds since the device's epoch; 0 if the pattern has no place for it.
    pub timestamp_ms: u64,
}

/// The word of a stage in `{state}`: uplink's where it has one.
pub const fn state(stage: Stage) -> &'static str {
    match stage {
        Stage::Deferred => "Deferred",
        Stage::Rejected => "Rejected",
        Stage::Downloading => "Downloading",
        Stage::Downloaded => "Downloaded",
        Stage::Verifying => "VerifyingChecksum",
        Stage::Installing => "Installing",
        Stage::Rebooting => "Rebooting",
        Stage::SelfTest => "SelfTest",
        Stage::Confirmed => "Completed",
        Stage::RolledBack => "RolledBack",
        Stage::Failed => "Failed",
    }
}

/// What a word in `{state}` says.
pub fn of_state(word: &str) -> Option<Stage> {
    match word {
        "Download Failed" => Some(Stage::Failed),
        word => Stage::ALL.into_iter().find(|stage| state(*stage) == word),
    }
}

/// `{progress}` of a stage that does not count bytes: uplink counts a download up to 99.
pub const fn progress(stage: Stage) -> u8 {
    match stage {
        Stage::Deferred | Stage::Rejected | Stage::Downloading | Stage::Failed => 0,
        Stage::Downloaded
        | Stage::Verifying
        | Stage::Installing
        | Stage::Rebooting
        | Stage::SelfTest
        | Stage::RolledBack => 99,
        Stage::Confirmed => 100,
    }
}

/// `{progress}` of a download: 99 when all of it is there, as uplink counts.
pub fn download_progress(received: u64, bytes: u64) -> u8 {
    let percent = u128::from(received) * 99 / u128::from(bytes.max(1));
    u8::try_from(percent.min(99)).expect("at most 99")
}

impl<'a> Action<'a> {
    /// Its payload.
    pub fn write(&self, pattern: &Pattern) -> Vec<u8> {
        let sha256 = self.sha256.as_ref().map(image::hex).unwrap_or_default();
        let text = pattern.render(|place| match place {
            Place::ActionId => Cow::Borrowed(&self.action_id),
            Place::Version => Cow::Borrowed(&self.version),
            Place::Url => Cow::Borrowed(&self.url),
            Place::Bytes => Cow::Owned(self.bytes.unwrap_or(0).to_string()),
            Place::Sha256 => Cow::Borrowed(&sha256),
            Place::State
            | Place::Progress
            | Place::Reason
            | Place::Errors
            | Place::Sequence
            | Place::Timestamp => Cow::Borrowed(""),
        });
        text.into_bytes()
    }

    /// Reads an action.
    ///
    /// # Errors
    /// [`BadMessage::Form`] if it does not follow the pattern, [`BadMessage::Value`] if a number is none.
    pub fn read(pattern: &Pattern, payload: &'a [u8]) -> Result<Self, BadMessage> {
        let mut values = extract(pattern, payload)?;
        let bytes = match values.take(Place::Bytes) {
            Some(text) => Some(text.parse().map_err(|_| BadMessage::Value("bytes"))?),
            None => None,
        };
        let sha256 = match values.take(Place::Sha256) {
            Some(text) => Some(image::of_hex(&text).ok_or(BadMessage::Value("sha256"))?),
            None => None,
        };
        let required = |value: Option<Cow<'a, str>>| value.ok_or(BadMessage::Form);
        Ok(Self {
            action_id: values.take(Place::ActionId).unwrap_or_default(),
            version: required(values.take(Place::Version))?,
            url: required(values.take(Place::Url))?,
            bytes,
            sha256,
        })
    }
}

impl<'a> Report<'a> {
    /// Its payload.
    pub fn write(&self, pattern: &Pattern) -> Vec<u8> {
        let Status { stage, reason } = self.status;
        let errors = if stage.is_failure() {
            json::quoted(reason.word())
        } else {
            String::new()
        };
        let text = pattern.render(|place| match place {
            Place::ActionId => Cow::Borrowed(&self.action_id),
            Place::State => Cow::Borrowed(state(stage)),
            Place::Progress => Cow::Owned(self.progress.to_string()),
            Place::Reason => Cow::Borrowed(reason.word()),
            Place::Errors => Cow::Borrowed(&errors),
            Place::Sequence => Cow::Owned(self.sequence.to_string()),
            Place::Timestamp => Cow::Owned(self.timestamp_ms.to_string()),
            Place::Version | Place::Url | Place::Bytes | Place::Sha256 => Cow::Borrowed(""),
        });
        text.into_bytes()
    }

    /// Reads a status.
    ///
    /// # Errors
    /// [`BadMessage::Form`] if it does not follow the pattern, [`BadMessage::Value`] if a number or the
    /// state is none.
    pub fn read(pattern: &Pattern, payload: &'a [u8]) -> Result<Self, BadMessage> {
        let mut values = extract(pattern, payload)?;
        let word = values.take(Place::State).ok_or(BadMessage::Form)?;
        let stage = of_state(&word).ok_or(BadMessage::Value("state"))?;
        let reason = match (values.take(Place::Reason), values.take(Place::Errors)) {
            (Some(word), _) => Reason::of_word(&word),
            // The first of the texts in the list.
            (None, Some(list)) => list.split('"').nth(1).and_then(Reason::of_word),
            (None, None) => None,
        };
        let progress = number(&mut values, Place::Progress, "progress")?;
        Ok(Self {
            action_id: values.take(Place::ActionId).unwrap_or_default(),
            status: Status::because(stage, reason.unwrap_or_else(|| stage.reason())),
            progress: u8::try_from(progress)
                .ok()
                .filter(|percent| *percent <= 100)
                .ok_or(BadMessage::Value("progress"))?,
            sequence: number(&mut values, Place::Sequence, "sequence")?
                .try_into()
                .map_err(|_| BadMessage::Value("sequence"))?,
            timestamp_ms: number(&mut values, Place::Timestamp, "timestamp")?,
        })
    }
}

fn extract<'a>(pattern: &Pattern, payload: &'a [u8]) -> Result<Values<'a>, BadMessage> {
    let text = std::str::from_utf8(payload).map_err(|_| BadMessage::Json)?;
    pattern.extract(text).ok_or(BadMessage::Form)
}

fn number(values: &mut Values<'_>, place: Place, name: &'static str) -> Result<u64, BadMessage> {
    match values.take(place) {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| BadMessage::Value(name)),
    }
}

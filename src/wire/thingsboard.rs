//! ThingsBoard's firmware updates over MQTT, both ends: topics and members as in its
//! `MqttTransportHandler.java` and `MqttTopics.java`, words of states as in its client SDK
//! (`OTA_Update_Callback.h`, `OTA_Handler.h`).
//!
//! The topics name no device: on ThingsBoard each connection has its own. The reference backend does the
//! same with `me: per_connection`, and shows a server that is a client itself the device in front of
//! the topic, `me/<client id>/…` ([`of_device`], [`to_device`]).

use super::{BadMessage, Reason, Stage, Status, image, json};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The filters that a device subscribes to. ThingsBoard pushes answers whatever a client subscribed
/// to, and its own SDK asks for `v2/fw/response/+`, which on any other broker matches no chunk.
pub const SUBSCRIPTIONS: [&str; 4] = [
    ATTRIBUTES_TOPIC,
    "v1/devices/me/attributes/response/+",
    "v2/fw/response/+/chunk/+",
    ERROR_TOPIC,
];

/// The filters that a server of all devices subscribes to.
pub const SERVER_SUBSCRIPTIONS: [&str; 3] = [
    "me/+/v1/devices/me/attributes/request/+",
    "me/+/v1/devices/me/telemetry",
    "me/+/v2/fw/request/+/chunk/+",
];

/// Where shared attributes are pushed.
pub const ATTRIBUTES_TOPIC: &str = "v1/devices/me/attributes";
/// Where a device says its status.
pub const TELEMETRY_TOPIC: &str = "v1/devices/me/telemetry";
/// Where the server says, as text, what is wrong with a chunk request; then it closes the connection.
pub const ERROR_TOPIC: &str = "v2/fw/error";

/// What a device asks for to learn of a firmware that was assigned while it was away.
pub const SHARED_KEYS: &str = "fw_version,fw_checksum_algorithm,fw_checksum,fw_size,fw_title";

/// Largest chunk that a server sends, in bytes (`MAX_PAYLOAD_SIZE` of its transport).
pub const MAX_CHUNK_BYTES: u32 = 65_536;

/// The firmware that a device is to have: its shared attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware<'a> {
    /// `fw_title`.
    pub title: Cow<'a, str>,
    /// `fw_version`.
    pub version: Cow<'a, str>,
    /// `fw_size`, in bytes.
    pub bytes: u32,
    /// `fw_checksum`, of the algorithm `SHA256`, the only one that our devices know.
    pub sha256: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct Attributes<'a> {
    #[serde(borrow)]
    fw_title: Cow<'a, str>,
    #[serde(borrow)]
    fw_version: Cow<'a, str>,
    fw_size: u32,
    #[serde(borrow)]
    fw_checksum: Cow<'a, str>,
    #[serde(borrow)]
    fw_checksum_algorithm: Cow<'a, str>,
}

/// Any attributes, of which those of a firmware may be some.
#[derive(Deserialize)]
struct AnyAttributes<'a> {
    #[serde(borrow, default)]
    fw_version: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct SharedAnswer<'a> {
    #[serde(borrow, default)]
    shared: Option<&'a serde_json::value::RawValue>,
}

#[derive(Serialize, Deserialize)]
struct SharedRequest<'a> {
    #[serde(rename = "sharedKeys", borrow)]
    shared_keys: Cow<'a, str>,
}

/// Status telemetry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry<'a> {
    /// `current_fw_title`.
    pub title: Cow<'a, str>,
    /// `current_fw_version`.
    pub version: Cow<'a, str>,
    /// `fw_state`, with `fw_error` if it is `FAILED`; `None` = the firmware only, as after a connect.
    pub status: Option<Status>,
}

#[derive(Serialize, Deserialize)]
struct TelemetryMirror<'a> {
    #[serde(borrow)]
    current_fw_title: Cow<'a, str>,
    #[serde(borrow)]
    current_fw_version: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    fw_state: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    fw_error: Option<Cow<'a, str>>,
}

/// What a device says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Which firmware am I to have?
    Attributes {
        /// Comes back in the answer's topic.
        request: u32,
        /// Names of shared attributes, with commas.
        keys: Cow<'a, str>,
    },
    /// A chunk, please.
    Chunk {
        /// Comes back in the answer's topic; one for a whole download.
        request: u32,
        /// Which, from 0.
        index: u32,
        /// Bytes of a chunk; `None` = that of the request's first.
        chunk_bytes: Option<u32>,
    },
    /// Where its update stands.
    Telemetry(Telemetry<'a>),
}

/// What a device hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// Shared attributes, pushed or asked for. `None` = no firmware among them.
    Firmware {
        /// That of the question; `None` = pushed.
        request: Option<u32>,
        /// What the device is to have; or why it cannot be used.
        firmware: Option<Result<Firmware<'a>, Reason>>,
    },
    /// A chunk. Empty behind the last one.
    Chunk {
        /// That of the question.
        request: u32,
        /// Which, from 0.
        index: u32,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// The server cannot make sense of a chunk request, and closes the connection.
    Error(Cow<'a, str>),
}

/// `topic` as a server of all devices sees and names it.
pub fn to_device(client_id: &str, topic: &str) -> String {
    format!("me/{client_id}/{topic}")
}

/// The client identifier in front of a topic that a server of all devices sees, and the device's topic.
pub fn of_device(topic: &str) -> Option<(&str, &str)> {
    let (client_id, topic) = topic.strip_prefix("me/")?.split_once('/')?;
    (!client_id.is_empty()).then_some((client_id, topic))
}

/// Where shared attributes are asked for.
pub fn attributes_request_topic(request: u32) -> String {
    format!("v1/devices/me/attributes/request/{request}")
}

/// Where they come.
pub fn attributes_response_topic(request: u32) -> String {
    format!("v1/devices/me/attributes/response/{request}")
}

/// Where a chunk is asked for.
pub fn chunk_request_topic(request: u32, index: u32) -> String {
    format!("v2/fw/request/{request}/chunk/{index}")
}

/// Where it comes, as it is.
pub fn chunk_response_topic(request: u32, index: u32) -> String {
    format!("v2/fw/response/{request}/chunk/{index}")
}

/// Payload of a question for the shared attributes of a firmware.
pub fn write_attributes_request() -> Vec<u8> {
    json::write(&SharedRequest {
        shared_keys: SHARED_KEYS.into(),
    })
}

/// Payload of a chunk request: the size of a chunk in bytes as decimal text.
pub fn write_chunk_request(chunk_bytes: u32) -> Vec<u8> {
    chunk_bytes.to_string().into_bytes()
}

/// How many chunks a device asks for. ThingsBoard's client SDK counts `size / chunk + 1`, so that an
/// image that is a multiple of the chunk ends with an empty one.
///
/// # Panics
/// If `chunk_bytes` is 0.
pub const fn chunks(bytes: u32, chunk_bytes: u32, counts_one_more: bool) -> u32 {
    if counts_one_more {
        bytes / chunk_bytes + 1
    } else {
        image::blocks(bytes, chunk_bytes)
    }
}

impl<'a> Firmware<'a> {
    fn mirror(&self) -> Attributes<'_> {
        Attributes {
            fw_title: Cow::Borrowed(&self.title),
            fw_version: Cow::Borrowed(&self.version),
            fw_size: self.bytes,
            fw_checksum: image::hex(&self.sha256).into(),
            fw_checksum_algorithm: "SHA256".into(),
        }
    }

    /// The payload of a push.
    pub fn write_push(&self) -> Vec<u8> {
        json::write(&self.mirror())
    }

    /// The payload of an answer; of that to a device that is to have none if there is none.
    pub fn write_answer(firmware: Option<&Self>) -> Vec<u8> {
        #[derive(Serialize)]
        struct Answer<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            shared: Option<Attributes<'a>>,
        }
        let shared = firmware.map(Firmware::mirror);
        json::write(&Answer { shared })
    }

    /// Reads attributes as a device would.
    fn read(attributes: &'a [u8]) -> Result<Option<Result<Self, Reason>>, BadMessage> {
        let any: AnyAttributes<'_> = json::read(attributes)?;
        if any.fw_version.is_none() {
            return Ok(None);
        }
        let Ok(read) = json::read::<Attributes<'_>>(attributes) else {
            return Ok(Some(Err(Reason::UnsupportedPackage)));
        };
        let sha256 = image::of_hex(&read.fw_checksum);
        let sha256 = sha256.filter(|_| read.fw_checksum_algorithm == "SHA256");
        let firmware = match sha256 {
            Some(sha256) if read.fw_size > 0 => Ok(Self {
                title: read.fw_title,
                version: read.fw_version,
                bytes: read.fw_size,
                sha256,
            }),
            Some(_) | None => Err(Reason::UnsupportedPackage),
        };
        Ok(Some(firmware))
    }
}

impl<'a> Answer<'a> {
    /// Reads what a device received.
    ///
    /// # Errors
    /// If it is none of [`SUBSCRIPTIONS`], or cannot be read.
    pub fn read(topic: &'a str, payload: &'a [u8]) -> Result<Self, BadMessage> {
        if topic == ATTRIBUTES_TOPIC {
            let firmware = Firmware::read(payload)?;
            return Ok(Self::Firmware {
                request: None,
                firmware,
            });
        }
        if topic == ERROR_TOPIC {
            return Ok(Self::Error(String::from_utf8_lossy(payload)));
        }
        if let Some(request) = topic.strip_prefix("v1/devices/me/attributes/response/") {
            let request = number(request)?;
            let answer: SharedAnswer<'_> = json::read(payload)?;
            let firmware = match answer.shared {
                Some(shared) => Firmware::read(shared.get().as_bytes())?,
                None => None,
            };
            return Ok(Self::Firmware {
                request: Some(request),
                firmware,
            });
        }
        let rest = topic.strip_prefix("v2/fw/response/");
        let (request, index) = chunk_of(rest.ok_or(BadMessage::Topic)?)?;
        Ok(Self::Chunk {
            request,
            index,
            bytes: payload,
        })
    }
}

impl<'a> Request<'a> {
    /// Reads what a device sent, by its own topic ([`of_device`]).
    ///
    /// # Errors
    /// If it is none of these, or cannot be read.
    pub fn read(topic: &'a str, payload: &'a [u8]) -> Result<Self, BadMessage> {
        if topic == TELEMETRY_TOPIC {
            return Telemetry::read(payload).map(Self::Telemetry);
        }
        if let Some(request) = topic.strip_prefix("v1/devices/me/attributes/request/") {
            let request = number(request)?;
            let SharedRequest { shared_keys } = json::read(payload)?;
            return Ok(Self::Attributes {
                request,
                keys: shared_keys,
            });
        }
        let rest = topic.strip_prefix("v2/fw/request/");
        let (request, index) = chunk_of(rest.ok_or(BadMessage::Topic)?)?;
        let chunk_bytes = match payload {
            [] => None,
            digits => {
                let text = std::str::from_utf8(digits).ok();
                let bytes = text.and_then(|text| text.parse().ok());
                Some(bytes.ok_or(BadMessage::Value("chunk size"))?)
            }
        };
        Ok(Self::Chunk {
            request,
            index,
            chunk_bytes,
        })
    }
}

/// `{request}/chunk/{index}`.
fn chunk_of(rest: &str) -> Result<(u32, u32), BadMessage> {
    let (request, index) = rest.split_once("/chunk/").ok_or(BadMessage::Topic)?;
    Ok((number(request)?, number(index)?))
}

/// A level of a topic that is a number.
fn number(level: &str) -> Result<u32, BadMessage> {
    // `parse` would take a sign.
    let digits = level.bytes().all(|byte| byte.is_ascii_digit());
    let number = level.parse().ok().filter(|_| digits);
    number.ok_or(BadMessage::Topic)
}

impl<'a> Telemetry<'a> {
    /// Its payload; `None` if a ThingsBoard device has no word for the status: deferred, verifying,
    /// installing, the self-test. Rejected and rolled back are `FAILED` here, told apart by what
    /// stands in front of the reason in `fw_error`.
    pub fn write(&self) -> Option<Vec<u8>> {
        let (state, error) = match self.status {
            None => (None, None),
            Some(Status { stage, reason }) => {
                let reason = reason.word();
                let (state, error) = match stage {
                    Stage::Deferred | Stage::Verifying | Stage::Installing | Stage::SelfTest => {
                        return None;
                    }
                    Stage::Downloading => ("DOWNLOADING", None),
                    Stage::Downloaded => ("DOWNLOADED", None),
                    Stage::Rebooting => ("UPDATING", None),
                    Stage::Confirmed => ("UPDATED", None),
                    Stage::Failed => ("FAILED", Some(reason.to_owned())),
                    Stage::Rejected => ("FAILED", Some(format!("{REJECTED}{reason}"))),
                    Stage::RolledBack => ("FAILED", Some(format!("{ROLLED_BACK}{reason}"))),
                };
                (Some(state.into()), error.map(Cow::Owned))
            }
        };
        Some(json::write(&TelemetryMirror {
            current_fw_title: Cow::Borrowed(&self.title),
            current_fw_version: Cow::Borrowed(&self.version),
            fw_state: state,
            fw_error: error,
        }))
    }

    /// Reads status telemetry. `VERIFIED`, which the SDK never says, is read as installing.
    ///
    /// # Errors
    /// If it is anything else: a device's other telemetry on the same topic is [`BadMessage::Form`].
    pub fn read(payload: &'a [u8]) -> Result<Self, BadMessage> {
        let TelemetryMirror {
            current_fw_title,
            current_fw_version,
            fw_state,
            fw_error,
        } = json::read(payload)?;
        let stage = match fw_state.as_deref() {
            None => None,
            Some("DOWNLOADING") => Some(Stage::Downloading),
            Some("DOWNLOADED") => Some(Stage::Downloaded),
            Some("VERIFIED") => Some(Stage::Installing),
            Some("UPDATING") => Some(Stage::Rebooting),
            Some("UPDATED") => Some(Stage::Confirmed),
            Some("FAILED") => Some(Stage::Failed),
            Some(_) => return Err(BadMessage::Value("fw_state")),
        };
        let status = stage.map(|stage| match stage {
            Stage::Failed => failure_of(fw_error.as_deref().unwrap_or("")),
            Stage::Deferred
            | Stage::Rejected
            | Stage::Downloading
            | Stage::Downloaded
            | Stage::Verifying
            | Stage::Installing
            | Stage::Rebooting
            | Stage::SelfTest
            | Stage::Confirmed
            | Stage::RolledBack => Status::of(stage),
        });
        Ok(Self {
            title: current_fw_title,
            version: current_fw_version,
            status,
        })
    }
}

/// In front of the reason of a rejection.
const REJECTED: &str = "rejected: ";
/// In front of the reason of a rollback.
const ROLLED_BACK: &str = "rolled_back: ";

/// What `fw_error` says; a text of another device's own is a failure for the reason that goes without
/// saying.
fn failure_of(error: &str) -> Status {
    let (stage, word) = if let Some(word) = error.strip_prefix(REJECTED) {
        (Stage::Rejected, word)
    } else if let Some(word) = error.strip_prefix(ROLLED_BACK) {
        (Stage::RolledBack, word)
    } else {
        (Stage::Failed, error)
    };
    let reason = Reason::of_word(word).unwrap_or_else(|| stage.reason());
    Status::because(stage, reason)
}

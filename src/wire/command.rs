//! Fleet commands: requests on `<base>/request/<id>`, answers on `<base>/response/<id>`, `<base>` being
//! the topic of the cohort's `commands`. A form of our own, in the manner of the RPC topics of
//! ThingsBoard and others.
//!
//! Request: `{"id":"0a1b2c3d-slow-down","command":"slow-down","params":{"interval_s":300}}`. The id is that
//! of the run and the command, the same for all devices and for each repetition: by it a device knows
//! a command that it has carried out already. `params` is the text of the scenario, as JSON if it is
//! JSON and as a JSON string if not; left out if there is none.
//!
//! Response: `{"id":"0a1b2c3d-slow-down","status":"succeeded"}`, or `"failed"`.
//!
//! The command [`REPORT`] asks for a report of the device's state ([`super::reported`]) and is answered by
//! that report alone.

use super::{BadMessage, json};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The command that asks for a report of the state. No command of a scenario has this name's id, which
/// is of the run and a number.
pub const REPORT: &str = "report";

/// The id of command `name` in `run`.
pub fn id(run: u32, name: &str) -> String {
    format!("{run:08x}-{name}")
}

/// The id of the `nth` question for a report in `run`.
pub fn report_id(run: u32, nth: u64) -> String {
    format!("{run:08x}.{nth}")
}

/// The filter that a device subscribes to.
pub fn subscription(base: &str) -> String {
    format!("{base}/request/+")
}

/// The filter for the answers of the devices that `base` stands for: a device's own topic, or one with
/// `+` where the devices' names are.
pub fn server_subscription(base: &str) -> String {
    format!("{base}/response/+")
}

/// Where a request goes.
pub fn request_topic(base: &str, id: &str) -> String {
    format!("{base}/request/{id}")
}

/// Where its answer goes.
pub fn response_topic(base: &str, id: &str) -> String {
    format!("{base}/response/{id}")
}

/// The base and the id of an answer's topic.
pub fn of_response_topic(topic: &str) -> Option<(&str, &str)> {
    let (rest, id) = topic.rsplit_once('/')?;
    let base = rest.strip_suffix("/response")?;
    (!id.is_empty()).then_some((base, id))
}

/// A command to a device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request<'a> {
    /// The same for each repetition.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Its name.
    #[serde(borrow)]
    pub command: Cow<'a, str>,
    /// Its text.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub params: Option<&'a RawValue>,
}

/// What became of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// Carried out.
    Succeeded,
    /// The device could not.
    Failed,
}

/// A device's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response<'a> {
    /// That of the request.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// What became of it.
    pub status: Done,
}

/// The text of a command as [`Request::params`]; `None` if it is empty.
pub fn params(text: &str) -> Option<Box<RawValue>> {
    if text.trim().is_empty() {
        return None;
    }
    let json: Result<Box<RawValue>, _> = serde_json::from_str(text);
    let params = json.unwrap_or_else(|_| {
        RawValue::from_string(json::quoted(text)).expect("a quoted text is JSON")
    });
    Some(params)
}

impl<'a> Request<'a> {
    /// Its payload: the same for all devices.
    pub fn write(&self) -> Vec<u8> {
        json::write(self)
    }

    /// Reads what a device with the topic `base` received.
    ///
    /// # Errors
    /// If it is no request, or its id is not that of the topic.
    pub fn read(base: &str, topic: &str, payload: &'a [u8]) -> Result<Self, BadMessage> {
        let id = topic
            .strip_prefix(base)
            .and_then(|rest| rest.strip_prefix("/request/"));
        let id = id.ok_or(BadMessage::Topic)?;
        let request: Self = json::read(payload)?;
        if request.id == id {
            Ok(request)
        } else {
            Err(BadMessage::Value("id"))
        }
    }
}

impl<'a> Response<'a> {
    /// Its payload.
    pub fn write(&self) -> Vec<u8> {
        json::write(self)
    }

    /// Reads an answer with the id in its topic ([`of_response_topic`]).
    ///
    /// # Errors
    /// If it is no answer, or its id is not that of the topic.
    pub fn read(id: &str, payload: &'a [u8]) -> Result<Self, BadMessage> {
        let response: Self = json::read(payload)?;
        if response.id == id {
            Ok(response)
        } else {
            Err(BadMessage::Value("id"))
        }
    }
}

//! One step of a device as plain data: when it was stepped, what it was told and what it put out.
//! `live` records the steps of a sample of devices; [`super::replay`] holds fresh devices to them.
//!
//! ```json
//! {"now":9,"device":7,"input":{"received":"QAIAAQ"},"outputs":[{"event":{"late_ack":{…}}}],"deadline":12}
//! ```
//!
//! Instants are nanoseconds on the run's axis; `now` is the device's own time (a power-on counts
//! from the plan's instant). Packets are their bytes on the wire in unpadded base64. `deadline` is
//! when the device wants its next timeout after the step, `null` if it is idle. User name and
//! password of a CONNECT are left empty: secrets never reach a log.

use super::payload::{self, Scratch};
use super::{Device, FetchEnd, Input, Output};
use crate::mqtt::codec::{self, CodecError};
use crate::mqtt::packet::{Connect, Packet, Publish};
use crate::rng::{self, Purpose};
use crate::scenario::part_of;
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::event::{Cause, Event};
use crate::stats::results::ResultRow;
use crate::time::Instant;
use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The devices whose steps are recorded: an exact number of the fleet by seeded permutation, the
/// same on one worker or twenty.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// How many.
    pub devices: u32,
}

impl Sample {
    /// `share` (0 to 1) of the fleet of `plan`, rounded, at least one device; `None` if it is 0.
    pub fn of(plan: &Plan, share: f64) -> Option<Self> {
        if share <= 0.0 {
            return None;
        }
        let devices = part_of(share, plan.devices()).max(1);
        Some(Self { devices })
    }

    /// Whether `device` is one of them.
    pub fn contains(self, plan: &Plan, device: DeviceIdx) -> bool {
        rng::permute(plan.seed, Purpose::Recording, 0, plan.devices(), device) < self.devices
    }
}

/// One call of [`Device::handle_input`] and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The device's own time.
    pub now: Instant,
    /// Which device.
    pub device: DeviceIdx,
    /// What it was told.
    pub input: RecordedInput,
    /// What it put out, in order.
    pub outputs: Vec<RecordedOutput>,
    /// When it wants its next timeout; `None` = idle.
    pub deadline: Option<Instant>,
}

/// An [`Input`] that owns its packet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RecordedInput {
    /// [`Input::PowerOn`].
    PowerOn,
    /// [`Input::PowerOff`].
    PowerOff,
    /// [`Input::Timeout`].
    Timeout,
    /// [`Input::Opened`].
    Opened,
    /// [`Input::Closed`].
    Closed(Cause),
    /// [`Input::Received`].
    Received(Wire),
    /// [`Input::Fetched`].
    Fetched(Wire),
    /// [`Input::FetchEnded`].
    FetchEnded(FetchEnd),
    /// [`Input::StopArrivals`].
    StopArrivals,
    /// [`Input::Shutdown`].
    Shutdown,
}

impl RecordedInput {
    fn of(input: &Input<'_>) -> Self {
        match input {
            Input::PowerOn => Self::PowerOn,
            Input::PowerOff => Self::PowerOff,
            Input::Timeout => Self::Timeout,
            Input::Opened => Self::Opened,
            Input::Closed(cause) => Self::Closed(*cause),
            Input::Received(packet) => Self::Received(
                Wire::of(packet).expect("the decoder lets nothing through that cannot be encoded"),
            ),
            Input::Fetched(bytes) => Self::Fetched(Wire(bytes.to_vec())),
            Input::FetchEnded(end) => Self::FetchEnded(*end),
            Input::StopArrivals => Self::StopArrivals,
            Input::Shutdown => Self::Shutdown,
        }
    }

    /// What a device is to be told again; `None` if the bytes are not exactly one packet.
    pub fn to_input(&self) -> Option<Input<'_>> {
        Some(match self {
            Self::PowerOn => Input::PowerOn,
            Self::PowerOff => Input::PowerOff,
            Self::Timeout => Input::Timeout,
            Self::Opened => Input::Opened,
            Self::Closed(cause) => Input::Closed(*cause),
            Self::Received(Wire(bytes)) => match codec::decode(bytes, bytes.len()) {
                Ok(Some((packet, taken))) if taken == bytes.len() => Input::Received(packet),
                Ok(_) | Err(_) => return None,
            },
            Self::Fetched(Wire(bytes)) => Input::Fetched(bytes),
            Self::FetchEnded(end) => Input::FetchEnded(*end),
            Self::StopArrivals => Input::StopArrivals,
            Self::Shutdown => Input::Shutdown,
        })
    }
}

/// An [`Output`] with its packet as bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RecordedOutput {
    /// [`Output::Open`].
    Open,
    /// [`Output::Close`].
    Close,
    /// A packet of [`Output::Send`], [`Output::Publish`] or [`Output::Telemetry`].
    Packet(Wire),
    /// A packet that MQTT 3.1.1 cannot carry, and why; the plan rules it out.
    Unencodable(String),
    /// [`Output::Event`].
    Event(Event),
    /// [`Output::Fetch`]: the address and the first byte.
    Fetch(String, u32),
    /// [`Output::StopFetch`].
    StopFetch,
    /// [`Output::Result`].
    Result(Box<ResultRow>),
}

impl RecordedOutput {
    fn of(device: &Device, output: &Output, scratch: &mut Scratch) -> Self {
        match output {
            Output::Open => Self::Open,
            Output::Close => Self::Close,
            Output::Send(packet) => Self::packet(packet),
            Output::Publish(publish) => Self::packet(&Packet::Publish(Publish {
                dup: publish.dup,
                qos: publish.qos,
                retain: publish.retain,
                packet_id: publish.packet_id,
                topic: &publish.topic,
                payload: &publish.payload,
            })),
            Output::Telemetry(message) => {
                let mut bytes = Vec::new();
                let profile = &device.profile;
                payload::encode_telemetry(profile, device.id, message, scratch, &mut bytes);
                Self::Packet(Wire(bytes))
            }
            Output::Event(event) => Self::Event(*event),
            Output::Fetch(fetch) => Self::Fetch(fetch.url.clone(), fetch.offset),
            Output::StopFetch => Self::StopFetch,
            Output::Result(row) => Self::Result(row.clone()),
        }
    }

    fn packet(packet: &Packet<'_>) -> Self {
        match Wire::of(packet) {
            Ok(wire) => Self::Packet(wire),
            Err(error) => Self::Unencodable(error.to_string()),
        }
    }
}

/// The bytes of one packet, base64 in text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire(pub Vec<u8>);

impl Wire {
    fn of(packet: &Packet<'_>) -> Result<Self, CodecError> {
        let mut bytes = Vec::new();
        match packet {
            Packet::Connect(connect) => {
                let open = Packet::Connect(Box::new(without_secrets(connect)));
                codec::encode(&open, &mut bytes)?;
            }
            Packet::ConnAck { .. }
            | Packet::Publish(_)
            | Packet::PubAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::Subscribe { .. }
            | Packet::SubAck { .. }
            | Packet::Unsubscribe { .. }
            | Packet::UnsubAck(_)
            | Packet::PingReq
            | Packet::PingResp
            | Packet::Disconnect => codec::encode(packet, &mut bytes)?,
        }
        Ok(Self(bytes))
    }
}

/// That a user name or password is given is kept, what it is is not.
fn without_secrets(connect: &Connect) -> Connect {
    let hidden = |text: &Option<String>| text.as_ref().map(|_| String::new());
    Connect {
        client_id: connect.client_id.clone(),
        clean_session: connect.clean_session,
        keep_alive_s: connect.keep_alive_s,
        will: connect.will.clone(),
        username: hidden(&connect.username),
        password: hidden(&connect.password),
    }
}

impl Serialize for Wire {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(&self.0, &STANDARD_NO_PAD))
    }
}

impl<'de> Deserialize<'de> for Wire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD_NO_PAD.decode(text).map_err(de::Error::custom)?;
        Ok(Self(bytes))
    }
}

impl Device {
    /// The record of the step in which it was told `input` at `now` and put out `outputs`; to be
    /// asked for before its next step.
    ///
    /// # Panics
    /// If `input` is a packet that MQTT 3.1.1 cannot carry.
    pub fn record(
        &self,
        now: Instant,
        input: &Input<'_>,
        outputs: &[Output],
        scratch: &mut Scratch,
    ) -> Record {
        let deadline = self.poll_timeout();
        Record {
            now,
            device: self.id,
            input: RecordedInput::of(input),
            outputs: outputs
                .iter()
                .map(|output| RecordedOutput::of(self, output, scratch))
                .collect(),
            deadline: (!deadline.is_never()).then_some(deadline),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fixture;
    use proptest::prelude::*;

    fn sampled(plan: &Plan, share: f64) -> Vec<DeviceIdx> {
        let sample = Sample::of(plan, share).expect("above 0");
        (0..plan.devices())
            .filter(|device| sample.contains(plan, *device))
            .collect()
    }

    proptest! {
        #[test]
        fn the_sample_is_exact_and_grows_with_the_share(devices in 1u32..500, percent in 1u32..=100, seed: u64) {
            let mut plan = fixture::plan(devices);
            plan.seed = seed;
            let share = f64::from(percent) / 100.0;
            let some = sampled(&plan, share);
            let wanted = (share * f64::from(devices)).round().max(1.0);
            prop_assert_eq!(f64::from(u32::try_from(some.len()).expect("small")), wanted);
            let more = sampled(&plan, share.midpoint(1.0));
            prop_assert!(some.iter().all(|device| more.contains(device)));
            prop_assert_eq!(sampled(&plan, 1.0).len(), devices as usize);
        }
    }

    #[test]
    fn a_share_of_nothing_is_no_sample_and_a_small_one_is_a_device() {
        let plan = fixture::plan(1_000);
        assert_eq!(Sample::of(&plan, 0.0), None);
        assert_eq!(sampled(&plan, 1e-9).len(), 1);
        // Part of the reproducibility contract.
        assert_eq!(sampled(&plan, 0.003), [561, 700, 993]);
    }

    #[test]
    fn the_text_form_is_as_documented() {
        let record = Record {
            now: Instant::from_ns(9),
            device: 7,
            input: RecordedInput::Received(Wire(vec![0x40, 2, 0, 1])),
            outputs: vec![
                RecordedOutput::Open,
                RecordedOutput::Packet(Wire(vec![0xc0, 0])),
                RecordedOutput::Event(Event::Disconnected {
                    cause: Cause::Reset,
                }),
            ],
            deadline: None,
        };
        let text = serde_json::to_string(&record).expect("a record is JSON");
        assert_eq!(
            text,
            r#"{"now":9,"device":7,"input":{"received":"QAIAAQ"},"outputs":["open",{"packet":"wAA"},{"event":{"disconnected":{"cause":"Reset"}}}],"deadline":null}"#
        );
        let back: Record = serde_json::from_str(&text).expect("its own text");
        assert_eq!(back, record);
    }

    #[test]
    fn an_input_is_exactly_one_packet() {
        for bytes in [&[0x40, 2, 0][..], &[0x40, 2, 0, 1, 0], &[], &[0xff, 0]] {
            assert!(
                RecordedInput::Received(Wire(bytes.to_vec()))
                    .to_input()
                    .is_none()
            );
        }
    }
}

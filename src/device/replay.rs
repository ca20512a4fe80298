//! Replays records into fresh devices: the same inputs at the same instants must give the
//! same outputs, byte for byte. No I/O: whoever reads the record feeds it step by step.

use super::payload::Scratch;
use super::record::{Record, RecordedOutput};
use super::{Device, Output, Profile};
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::time::Instant;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Fresh devices of a plan that are told again what recorded ones were told.
#[derive(Debug)]
pub struct Replay {
    profiles: Vec<Arc<Profile>>,
    devices: BTreeMap<DeviceIdx, Device>,
    outputs: Vec<Output>,
    scratch: Scratch,
    compared: Compared,
}

/// How much was found to be the same.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Devices that had at least one input.
    pub devices: u64,
    /// Inputs, and so steps.
    pub inputs: u64,
    /// Packets that the devices put out.
    pub packets: u64,
}

impl Replay {
    /// A replay of run `run` of `plan`, whose T0 was `start`.
    pub fn new(plan: &Arc<Plan>, run: u32, start: Instant) -> Self {
        let profile = |cohort| Profile {
            plan: Arc::clone(plan),
            cohort,
            run,
            start,
        };
        Self {
            profiles: (0..plan.cohorts.len())
                .map(|cohort| Arc::new(profile(cohort)))
                .collect(),
            devices: BTreeMap::new(),
            outputs: Vec::new(),
            scratch: Scratch::default(),
            compared: Compared::default(),
        }
    }

    /// Tells the device of `recorded` what it was told, and compares what it puts out. The steps of
    /// a device come in their order; after an error its later steps mean nothing.
    ///
    /// # Errors
    /// If the device does something else, or `recorded` is no step of this plan's fleet.
    pub fn feed(&mut self, recorded: &Record) -> Result<(), ReplayError> {
        let id = recorded.device;
        let input = recorded.input.to_input();
        let input = input.ok_or(ReplayError::NotAPacket(id, recorded.now))?;
        let plan = &self.profiles[0].plan;
        if id >= plan.devices() {
            return Err(ReplayError::NotInTheFleet(id));
        }
        let cohort = plan.cohort_of(id);
        let device = self.devices.entry(id).or_insert_with(|| {
            self.compared.devices += 1;
            Device::new(Arc::clone(&self.profiles[cohort]), id)
        });
        self.outputs.clear();
        device.handle_input(recorded.now, input.clone(), &mut self.outputs);
        let replayed = device.record(recorded.now, &input, &self.outputs, &mut self.scratch);
        if replayed != *recorded {
            let (recorded, replayed) = (recorded.clone(), replayed);
            return Err(ReplayError::Differs(Box::new(Difference {
                recorded,
                replayed,
            })));
        }
        self.compared.inputs += 1;
        self.compared.packets += packets(&replayed);
        Ok(())
    }

    /// What was compared so far without a difference.
    pub fn compared(&self) -> Compared {
        self.compared
    }
}

fn packets(record: &Record) -> u64 {
    let is_packet = |output: &&RecordedOutput| matches!(output, RecordedOutput::Packet(_));
    record.outputs.iter().filter(is_packet).count() as u64
}

/// A step whose replay did something else than the record says.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// What happened in the run.
    pub recorded: Record,
    /// What a fresh device made of the same input.
    pub replayed: Record,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (recorded, replayed) = (&self.recorded, &self.replayed);
        let (device, now) = (recorded.device, recorded.now);
        write!(
            f,
            "device {device} at {now}, told {}",
            json(&recorded.input)
        )?;
        let outputs = recorded.outputs.len().max(replayed.outputs.len());
        let other = (0..outputs).find(|&i| recorded.outputs.get(i) != replayed.outputs.get(i));
        match other {
            Some(i) => write!(
                f,
                ": output {} was {} in the run, is {} in the replay",
                i + 1,
                recorded.outputs.get(i).map_or_else(nothing, json),
                replayed.outputs.get(i).map_or_else(nothing, json),
            ),
            None => write!(
                f,
                ": the next deadline was {} in the run, is {} in the replay",
                recorded.deadline.unwrap_or(Instant::NEVER),
                replayed.deadline.unwrap_or(Instant::NEVER),
            ),
        }
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn nothing() -> String {
    "nothing".to_owned()
}

/// Why a replay came to its end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReplayError {
    /// The devices of the two worlds are not the same.
    #[error("{0}")]
    Differs(Box<Difference>),
    /// A received packet is none.
    #[error("device {0} at {1}: what it received is not one packet")]
    NotAPacket(DeviceIdx, Instant),
    /// The record is of another fleet.
    #[error("device {0} is not in the fleet")]
    NotInTheFleet(DeviceIdx),
}

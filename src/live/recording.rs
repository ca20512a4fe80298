//! Records what the sampled devices of a worker are told and what they put out, where a device is
//! stepped. The log belongs to the evidence: if it cannot be written, the run ends.

use super::control::{Report, Role, Setup};
use super::fleet::Fleet;
use crate::device::payload::Scratch;
use crate::device::record::Sample;
use crate::device::{Input, Output};
use crate::scenario::plan::DeviceIdx;
use crate::stats::input_log::{FORMAT, Header, Writer};
use crate::time::Instant;
use std::io;

/// The log of a worker, and whose steps it holds.
#[derive(Debug)]
pub(super) struct Recording {
    log: Writer,
    sample: Sample,
    plan_hash: String,
    worker: u32,
    /// Not the one that outgoing packets are encoded with: a step may be recorded before they are.
    scratch: Scratch,
}

impl Recording {
    /// Creates the log that `setup` asks for, if it does.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn open(setup: &Setup) -> io::Result<Option<Self>> {
        let Role::Worker {
            index,
            record_inputs: Some(wanted),
            ..
        } = &setup.role
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            log: Writer::create(&wanted.dir, *index)?,
            sample: wanted.sample,
            plan_hash: setup.plan_hash.clone(),
            worker: *index,
            scratch: Scratch::default(),
        }))
    }
}

impl Fleet {
    /// T0 is known.
    pub(super) fn begin_recording(&mut self, start: Instant) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        let header = Header {
            format: FORMAT,
            run_id: format!("{:08x}", self.run),
            plan_hash: recording.plan_hash.clone(),
            start,
            worker: recording.worker,
            sample_devices: recording.sample.devices,
        };
        let written = recording.log.begin(header);
        self.expect_recorded(written);
    }

    /// Whether the steps of `device` are recorded.
    pub(super) fn is_recorded(&self, device: DeviceIdx) -> bool {
        let recording = self.recording.as_ref();
        recording.is_some_and(|recording| recording.sample.contains(&self.plan, device))
    }

    /// Records the step of device `i` that has just been carried out.
    pub(super) fn record_step(&mut self, i: usize, at: Instant, input: &Input<'_>, out: &[Output]) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        let device = &self.devices[i].device;
        let record = device.record(at, input, out, &mut recording.scratch);
        match recording.log.append(&record) {
            Ok(None) => {}
            Ok(Some(full)) => self.reports.push(Report::Warning(format!(
                "the inputs of its devices are not recorded any more: the log is full, {full}"
            ))),
            Err(error) => self.expect_recorded(Err(error)),
        }
    }

    /// Hands what was recorded to the disk.
    pub(super) fn flush_recording(&mut self) {
        if let Some(recording) = &mut self.recording {
            let written = recording.log.flush();
            self.expect_recorded(written);
        }
    }

    /// All devices are shut down: ends the log, if there is one, and waits for the disk.
    pub(super) fn end_recording(&mut self) {
        let Some(recording) = self.recording.take() else {
            return;
        };
        match recording.log.close() {
            Ok(end) if end.left_out > 0 => self.reports.push(Report::Warning(format!(
                "the log of its devices' inputs has {} records; {} came after it was full",
                end.records, end.left_out
            ))),
            Ok(_) => {}
            Err(error) => self.expect_recorded(Err(error)),
        }
    }

    fn expect_recorded(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.recording = None;
            self.reports.push(Report::EvidenceFailed(error.to_string()));
        }
    }
}

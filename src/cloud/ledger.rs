//! The delivery ledger: exact in O(1) memory per stream, kept beside the devices in the worker that
//! owns them. Two 256-bit windows per stream, acked and seen; a seq is judged when it leaves the
//! window or after the drain.

use crate::device::stamp::Stamp;
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::books::DeliveryCounts;
use crate::stats::event::Operation;

/// Judges the telemetry of one worker's observed devices.
#[derive(Debug)]
pub struct Ledger {
    counts: DeliveryCounts,
}

/// What a sighting was.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// First time.
    First {
        /// It is an operation that was replayed (waited for a connection or retransmitted).
        replayed: bool,
    },
    /// Seen before, or no longer in the window.
    Repeated,
    /// Not an operation of ours.
    Unknown,
}

impl Ledger {
    /// A ledger for the devices in `owned` that the plan observes.
    pub fn new(plan: &Plan, owned: &[DeviceIdx]) -> Self {
        let _ = (plan, owned);
        Self {
            counts: DeliveryCounts::default(),
        }
    }

    /// A device booted: its streams' seqs start again from 0. Whatever the old boot left is judged.
    pub fn booted(&mut self, device: DeviceIdx, boot: u16) {
        let _ = (device, boot);
        todo!("ledger helper")
    }

    /// First write of an operation.
    pub fn sent(&mut self, device: DeviceIdx, op: &Operation, replayed: bool) {
        let _ = (device, op, replayed);
        todo!("ledger helper")
    }

    /// A further write of it: a duplicate at the observer is now explained.
    pub fn retransmitted(&mut self, device: DeviceIdx, op: &Operation) {
        let _ = (device, op);
        todo!("ledger helper")
    }

    /// Its PUBACK (a late one too).
    pub fn acked(&mut self, device: DeviceIdx, op: &Operation) {
        let _ = (device, op);
        todo!("ledger helper")
    }

    /// An observer saw it.
    pub fn seen(&mut self, stamp: &Stamp) -> Sighting {
        let _ = stamp;
        todo!("ledger helper")
    }

    /// An observer saw a payload without a stamp of ours.
    pub fn corrupt(&mut self) {
        self.counts.corrupt += 1;
    }

    /// An observer saw a message of another run.
    pub fn foreign(&mut self) {
        self.counts.foreign += 1;
    }

    /// The observer of these devices stopped receiving: acks from now on are in a gap.
    pub fn gap_began(&mut self, devices: &[DeviceIdx]) {
        let _ = devices;
        todo!("ledger helper")
    }

    /// It receives again. Without `session_present`, everything acked and not yet seen is unverified.
    pub fn gap_ended(&mut self, devices: &[DeviceIdx], session_present: bool) {
        let _ = (devices, session_present);
        todo!("ledger helper")
    }

    /// Whether every acked operation has been seen (the drain is over for the ledger).
    pub fn is_settled(&self) -> bool {
        todo!("ledger helper")
    }

    /// Judges all that is left and gives the counts.
    pub fn finish(&mut self) -> DeliveryCounts {
        todo!("ledger helper")
    }
}

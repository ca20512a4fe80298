//! The timeline: a pure function from a plan to a sorted list of (instant from T0, action). Each
//! worker and each backend node compiles its own.

use super::plan::{DeviceIdx, Plan};
use std::time::Duration;

/// One thing that happens at one instant.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From T0.
    pub at: Duration,
    /// What happens.
    pub action: Action,
}

/// What happens at an instant of the timeline.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// A fault clears (index into `Plan::faults`). Clearings come before starts of the same instant.
    FaultClear(usize),
    /// A phase begins.
    PhaseStart(usize),
    /// A fault begins.
    FaultStart(usize),
    /// A device gets power.
    PowerOn(DeviceIdx),
    /// The last phase ends: no new arrivals, the drain begins.
    End,
}

/// The timeline of `plan`, sorted by (instant, action), with power-on only for the devices that
/// `owns` selects.
pub fn compile(plan: &Plan, owns: impl Fn(DeviceIdx) -> bool) -> Vec<Entry> {
    let _ = (plan, owns);
    todo!("scenario helper")
}

//! What the schedules' arithmetic says was planned, boot by boot: the second opinion that the books
//! are held against. It knows when devices had power and nothing of what they did.

use super::pacer::Pacer;
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::recorder::Layout;
use crate::time::Instant;

/// The stretch of one boot of a device: it had power from `from` up to `to`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Which device.
    pub device: DeviceIdx,
    /// Its boot counter, from 1.
    pub boot: u16,
    /// When its schedules began.
    pub from: Instant,
    /// The first instant of which no arrival is planned any more.
    pub to: Instant,
}

/// Arrivals of the boots that are over.
#[derive(Clone, Debug)]
pub struct Boots {
    /// Per stream and phase.
    planned: Vec<Vec<u64>>,
}

impl Boots {
    /// None yet.
    pub fn new(layout: &Layout) -> Self {
        Self {
            planned: vec![vec![0; layout.phases()]; layout.streams],
        }
    }

    /// A boot is over: the arrivals of all its device's streams that were intended during it.
    pub fn add(&mut self, plan: &Plan, layout: &Layout, ended: Boot) {
        let cohort = plan.cohort_of(ended.device);
        for stream in plan.cohorts[cohort].streams.clone() {
            let pacer = Pacer {
                plan,
                stream,
                device: ended.device,
                boot: ended.boot,
                start: layout.start,
            };
            let planned = &mut self.planned[stream];
            pacer.count(ended.from, ended.to, &layout.phase_ends, planned);
        }
    }

    /// Per stream and phase, once all boots are over.
    pub fn into_planned(self) -> Vec<Vec<u64>> {
        self.planned
    }
}

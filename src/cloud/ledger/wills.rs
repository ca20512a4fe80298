//! How often the will of each watched device fired. The drain waits for none of them: nobody knows
//! how many there should be.

use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::books::WillCounts;

/// Wills of one worker's observed devices.
#[derive(Debug)]
pub(super) struct Wills {
    /// Those with a will, ascending.
    devices: Vec<DeviceIdx>,
    /// How often it fired, by index into `devices`.
    fired: Vec<u32>,
    counts: WillCounts,
}

impl Wills {
    /// The wills of the devices in `owned` that the plan observes; `None` if no objective asks.
    pub(super) fn new(plan: &Plan, owned: &[DeviceIdx]) -> Option<Self> {
        if !plan.asks_for_wills() {
            return None;
        }
        let watched = |device: &DeviceIdx| plan.observed(*device) && plan.has_will(*device);
        let mut devices: Vec<_> = owned.iter().copied().filter(watched).collect();
        devices.sort_unstable();
        Some(Self {
            fired: vec![0; devices.len()],
            counts: WillCounts {
                watched: devices.len() as u64,
                ..WillCounts::default()
            },
            devices,
        })
    }

    pub(super) fn fired(&mut self, device: DeviceIdx) {
        let Ok(at) = self.devices.binary_search(&device) else {
            return;
        };
        self.fired[at] = self.fired[at].saturating_add(1);
        self.counts.fired += 1;
        match self.fired[at] {
            1 => self.counts.devices += 1,
            2 => self.counts.devices_repeated += 1,
            _ => {}
        }
    }

    pub(super) const fn redelivered(&mut self) {
        self.counts.redelivered += 1;
    }

    /// Their observer stopped receiving: a will that fires now may never be seen, since a server may
    /// keep none of QoS 0 and not all of the others for it.
    pub(super) fn gap_began(&mut self, devices: &[DeviceIdx]) {
        let is_watched = |device| self.devices.binary_search(device).is_ok();
        self.counts.gaps += u64::from(devices.iter().any(is_watched));
    }

    pub(super) const fn counts(&self) -> WillCounts {
        self.counts
    }
}

//! What the operator knows of the fleet by what it heard: each device's firmware and when it said so,
//! and whether it is there. Eight bytes per device.
//!
//! A device that has never reported counts with the firmware that the plan says it left the factory
//! with, since a registry knows what was built.
//!
//! *Offline* is a device that was not heard of since the run began or since its will came: an
//! operator has no other way to know. A cohort without a will has no device that goes offline again,
//! and a device that was powered off without having been heard of never was online.

use crate::scenario::campaign::{Population, VersionIdx};
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::time::{Duration, Instant};
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// No firmware is known.
const NO_FIRMWARE: VersionIdx = VersionIdx::MAX;

/// It has never reported. Reports from seven weeks after T0 on count as from the millisecond before.
const NEVER_REPORTED: u32 = u32::MAX;

/// The fleet, as the operator knows it.
#[derive(Debug)]
pub(super) struct Fleet {
    plan: Arc<Plan>,
    /// T0, once it is known.
    start: Instant,
    known: Vec<Known>,
}

#[derive(Copy, Clone, Debug)]
struct Known {
    /// Milliseconds from T0 to what the latest report says of its own time.
    reported_ms: u32,
    firmware: VersionIdx,
    presence: Presence,
}

const _: () = assert!(size_of::<Known>() <= 8);

/// Whether a device is there.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Not heard of since the run began.
    Unheard,
    /// Heard of, and no will since.
    Online,
    /// Its will has come since.
    Gone,
}

/// Devices of a population, and how old what is known of them is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Census {
    /// Devices that match.
    pub(super) matched: u32,
    /// Devices that the plan means by what never changes, and that have never reported.
    pub(super) unknown: u32,
    /// Age of the reports of those that match and have reported, ascending, in milliseconds.
    pub(super) ages_ms: Vec<u32>,
}

impl Fleet {
    /// The fleet before the run.
    pub(super) fn new(plan: &Arc<Plan>) -> Self {
        let known = |device| Known {
            reported_ms: NEVER_REPORTED,
            firmware: plan.factory_firmware(device).unwrap_or(NO_FIRMWARE),
            presence: Presence::Unheard,
        };
        Self {
            known: (0..plan.devices()).map(known).collect(),
            plan: Arc::clone(plan),
            start: Instant::ZERO,
        }
    }

    /// T0 is `start`.
    pub(super) const fn begin(&mut self, start: Instant) {
        self.start = start;
    }

    /// `device` was heard of. Whether it was not there before.
    pub(super) fn contact(&mut self, device: DeviceIdx) -> bool {
        let known = &mut self.known[device as usize];
        let was = std::mem::replace(&mut known.presence, Presence::Online);
        was != Presence::Online
    }

    /// The will of `device` came.
    pub(super) fn gone(&mut self, device: DeviceIdx) {
        self.known[device as usize].presence = Presence::Gone;
    }

    /// `device` reports its state, with `firmware` in it if it tells of one, so many milliseconds after
    /// T0. A report older than the latest one changes nothing; a version that the plan does not know is
    /// none.
    pub(super) fn report(&mut self, device: DeviceIdx, at_ms: u64, firmware: Option<&str>) {
        let at_ms = at_ms.min(u64::from(NEVER_REPORTED - 1));
        let at_ms = u32::try_from(at_ms).expect("below a u32");
        let known = &mut self.known[device as usize];
        if known.reported_ms != NEVER_REPORTED && at_ms < known.reported_ms {
            return;
        }
        known.reported_ms = at_ms;
        if let Some(version) = firmware {
            known.firmware = self.plan.firmware.index(version).unwrap_or(NO_FIRMWARE);
        }
    }

    /// Whether `device` is there.
    pub(super) fn presence(&self, device: DeviceIdx) -> Presence {
        self.known[device as usize].presence
    }

    /// The firmware of `device`, reported or else as built.
    pub(super) fn firmware(&self, device: DeviceIdx) -> Option<VersionIdx> {
        let firmware = self.known[device as usize].firmware;
        (firmware != NO_FIRMWARE).then_some(firmware)
    }

    /// Age of the latest report of `device` at `now`; `None` = it has never reported.
    pub(super) fn age(&self, now: Instant, device: DeviceIdx) -> Option<Duration> {
        let reported = self.known[device as usize].reported_ms;
        let at = self.start.after(Duration::from_millis(u64::from(reported)));
        (reported != NEVER_REPORTED).then(|| now.since(at))
    }

    /// The devices of `population`, ascending.
    pub(super) fn members(&self, population: &Population) -> Vec<DeviceIdx> {
        let mut members = population.who.members(&self.plan);
        members.retain(|device| self.fits(population, *device));
        members
    }

    /// Whether what is known of its firmware makes `device` one of `population`, which its other
    /// conditions say it is.
    pub(super) fn fits(&self, population: &Population, device: DeviceIdx) -> bool {
        population.wants(&self.plan.firmware, self.firmware(device))
    }

    /// Counts the devices of `population` among `who`, those that fulfil the rest of it.
    pub(super) fn census(
        &self,
        now: Instant,
        population: &Population,
        who: &[DeviceIdx],
    ) -> Census {
        let mut census = Census {
            matched: 0,
            unknown: 0,
            ages_ms: Vec::new(),
        };
        for &device in who {
            let age = self.age(now, device);
            census.unknown += u32::from(age.is_none());
            if self.fits(population, device) {
                census.matched += 1;
                let ms = age.map(|age| u32::try_from(age.as_millis()).unwrap_or(u32::MAX));
                census.ages_ms.extend(ms);
            }
        }
        census.ages_ms.sort_unstable();
        census
    }
}

impl Census {
    /// The age, in microseconds, that so many thousandths of them do not exceed: exact, by the nearest
    /// rank. 0 if there are none.
    pub(super) fn age_us(&self, per_mille: usize) -> u64 {
        let rank = (self.ages_ms.len() * per_mille).div_ceil(1_000);
        let at = self.ages_ms.get(rank.max(1) - 1);
        at.map_or(0, |ms| u64::from(*ms) * 1_000)
    }
}

//! Age of information: how old the newest sample of each observed device is that an observer has
//! seen, over time. It grows by the second until a newer sample is seen. Followed only if an
//! objective asks for it.

use super::Layout;
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};

/// Each device's age is read once in each such stretch of the run, at an instant of its own.
const GRID: Duration = Duration::from_secs(5);

/// 2^64 over the golden ratio, and the multiplier of Steele and Vigna's generator: multiples of the
/// one, from where the other puts a device, fill a stretch evenly, so that no period of a stream
/// falls in step with the readings.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
const DEVICE: u64 = 0xD134_2543_DE82_EF95;

/// Ages over the whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Freshness {
    /// Per phase: the integral of the ages over the devices' time in s^2, and that time in
    /// device-seconds.
    pub phases: Vec<(f64, f64)>,
    /// Observed devices that had power.
    pub powered: u64,
    /// Of those, ones with a sample that was seen.
    pub seen: u64,
}

impl Freshness {
    /// Adds another worker's.
    pub(super) fn add(&mut self, other: &Self) {
        if self.phases.len() < other.phases.len() {
            self.phases.resize(other.phases.len(), (0.0, 0.0));
        }
        for (a, b) in self.phases.iter_mut().zip(&other.phases) {
            a.0 += b.0;
            a.1 += b.1;
        }
        self.powered += other.powered;
        self.seen += other.seen;
    }
}

#[derive(Copy, Clone, Debug, Default)]
struct Device {
    is_observed: bool,
    had_power: bool,
    is_off: bool,
    was_seen: bool,
    /// Of this boot.
    newest: Option<Sample>,
}

#[derive(Copy, Clone, Debug)]
struct Sample {
    /// When it was made.
    made: Instant,
    /// Its age is integrated up to here.
    at: Instant,
    /// None was seen since the device booted again: what is known of it is as old as the boot.
    is_boot: bool,
}

/// Integrates ages as linear functions of time, and reads them on the grid.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// By device; empty if nobody asks.
    devices: Vec<Device>,
    /// Per phase: ns^2 and ns.
    sums: Vec<(u128, u128)>,
}

impl Ages {
    /// Follows these devices.
    pub(super) fn follow(&mut self, layout: &Layout, observed: &[u32]) {
        let devices = observed.iter().max().map_or(0, |last| *last as usize + 1);
        self.devices = vec![Device::default(); devices];
        for device in observed {
            self.devices[*device as usize].is_observed = true;
        }
        self.sums = vec![(0, 0); layout.phases()];
    }

    pub(super) const fn is_followed(&self) -> bool {
        !self.devices.is_empty()
    }

    /// A device that boots again ages from there until something is seen of it; before its first sample
    /// of all, nothing is asked of it.
    pub(super) fn powered_on(&mut self, now: Instant, device: u32) {
        if let Some(state) = self.device(device) {
            if state.had_power {
                state.newest = Some(Sample {
                    made: now,
                    at: now,
                    is_boot: true,
                });
            }
            state.is_off = false;
            state.had_power = true;
        }
    }

    /// What a device without power last said does not age.
    pub(super) fn powered_off(
        &mut self,
        layout: &Layout,
        now: Instant,
        device: u32,
        read: impl FnMut(usize, u64),
    ) {
        self.integrate(layout, now, device, read);
        if let Some(state) = self.device(device) {
            state.newest = None;
            state.is_off = true;
        }
    }

    /// A sample of `device`, made at `made`, was seen for the first time at `now`.
    pub(super) fn seen(
        &mut self,
        layout: &Layout,
        now: Instant,
        device: u32,
        made: Instant,
        read: impl FnMut(usize, u64),
    ) {
        self.integrate(layout, now, device, read);
        let Some(state) = self.device(device) else {
            return;
        };
        state.was_seen = true;
        if state.is_off {
            // It was under way when the power went.
            return;
        }
        let first = Sample {
            made,
            at: now,
            is_boot: false,
        };
        match &mut state.newest {
            Some(newest) if newest.is_boot => *newest = first,
            Some(newest) => newest.made = newest.made.max(made),
            newest @ None => *newest = Some(first),
        }
    }

    /// Integrates all up to `now`.
    pub(super) fn finish(
        &mut self,
        layout: &Layout,
        now: Instant,
        mut read: impl FnMut(usize, u64),
    ) -> Option<Freshness> {
        if !self.is_followed() {
            return None;
        }
        for device in 0..self.devices.len() {
            let device = u32::try_from(device).expect("a device's index is a u32");
            self.integrate(layout, now, device, &mut read);
        }
        let count =
            |wanted: fn(&&Device) -> bool| self.devices.iter().filter(wanted).count() as u64;
        #[expect(clippy::cast_precision_loss, reason = "a float is what is asked for")]
        let seconds = |sum: &(u128, u128)| (sum.0 as f64 / 1e18, sum.1 as f64 / 1e9);
        Some(Freshness {
            phases: self.sums.iter().map(seconds).collect(),
            powered: count(|device| device.had_power),
            seen: count(|device| device.was_seen),
        })
    }

    fn device(&mut self, device: u32) -> Option<&mut Device> {
        let state = self.devices.get_mut(device as usize);
        state.filter(|state| state.is_observed)
    }

    /// Age of `device` from where it was integrated to, up to `now` or the end of the last phase.
    fn integrate(
        &mut self,
        layout: &Layout,
        now: Instant,
        device: u32,
        mut read: impl FnMut(usize, u64),
    ) {
        let end = layout.phase_ends.last().copied().unwrap_or(Instant::NEVER);
        let until = now.min(end);
        let Some(newest) = self.device(device).and_then(|state| state.newest.as_mut()) else {
            return;
        };
        let (from, made) = (newest.at, newest.made);
        if until <= from {
            return;
        }
        newest.at = until;
        read_on_grid(layout, device, (from, until), |at| {
            read(layout.phase_of(at), at.us_since(made));
        });
        let mut from = from;
        while from < until {
            let phase = layout.phase_of(from);
            let to = until.min(layout.phase_ends.get(phase).copied().unwrap_or(until));
            let (young, old) = (from.ns_since(made), to.ns_since(made));
            let (young, old) = (u128::from(young), u128::from(old));
            let sum = &mut self.sums[phase];
            // The area under a line of slope 1.
            sum.0 += (old * old - young * young) / 2;
            sum.1 += old - young;
            from = to;
        }
    }
}

/// The instants of `device`'s readings from `from` on, before `until`.
fn read_on_grid(
    layout: &Layout,
    device: u32,
    (from, until): (Instant, Instant),
    mut read: impl FnMut(Instant),
) {
    let grid_ns = u64::try_from(GRID.as_nanos()).expect("a few seconds");
    for stretch in from.ns_since(layout.start) / grid_ns.. {
        let begin = layout.start.after_ns(stretch.saturating_mul(grid_ns));
        if begin >= until {
            break;
        }
        let place = u64::from(device)
            .wrapping_mul(DEVICE)
            .wrapping_add(stretch.wrapping_mul(GOLDEN));
        let offset = (u128::from(place) * u128::from(grid_ns)) >> 64;
        let at = begin.after_ns(u64::try_from(offset).expect("less than the grid"));
        if at >= from && at < until {
            read(at);
        }
    }
}

#[cfg(test)]
mod tests;

//! Availability: device-seconds with a session over device-seconds that count, exact per phase.

use super::Layout;
use crate::stats::series::Gauges;
use crate::time::Instant;

/// Integrates the numbers of connected and of expected devices as step functions of time, from T0
/// to the end of the last phase; what happens before and after is not counted. A device counts as
/// up while it is expected, has a session, and is not cut off by a fault that the harness knows.
///
/// A device without power is not expected, be it before its power-on or because a device fault took
/// it; after each boot it counts anew, from its first CONNACK or its connect timeout on. So a power cut
/// shows in `reconnect.time` and `reconnect.stranded`, not here.
///
/// Four bits per device of the fleet say where it stands, so that no event counts twice.
#[derive(Debug)]
pub(super) struct Availability {
    phase_ends: Vec<Instant>,
    /// Integrated up to here.
    at: Instant,
    /// The phase that `at` lies in; the number of phases once all are over.
    phase: usize,
    powered: Flags,
    expected: Flags,
    connected: Flags,
    cut_off: Flags,
    /// Devices that are expected, connected and not cut off.
    up: u64,
    /// Per phase: device-nanoseconds up and expected.
    sums: Vec<(u128, u128)>,
}

impl Availability {
    /// Nothing is expected.
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            phase_ends: layout.phase_ends.clone(),
            at: layout.start,
            phase: 0,
            powered: Flags::default(),
            expected: Flags::default(),
            connected: Flags::default(),
            cut_off: Flags::default(),
            up: 0,
            sums: vec![(0, 0); layout.phases()],
        }
    }

    /// Integrates up to `now`.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some(&end) = self.phase_ends.get(self.phase) {
            let until = now.min(end);
            if until > self.at {
                let span = u128::from(until.ns_since(self.at));
                let sum = &mut self.sums[self.phase];
                sum.0 += span * u128::from(self.up);
                sum.1 += span * u128::from(self.expected.count);
                self.at = until;
            }
            if now < end {
                break;
            }
            self.phase += 1;
        }
    }

    /// A device got power.
    pub(super) fn powered_on(&mut self, now: Instant, device: u32) {
        self.step(now, device, |all| all.powered.set(device, true));
    }

    /// A device lost power, and with it all it had.
    pub(super) fn powered_off(&mut self, now: Instant, device: u32) {
        self.step(now, device, |all| {
            all.powered.set(device, false);
            all.expected.set(device, false);
            all.connected.set(device, false);
        });
    }

    /// A device counts from now on.
    pub(super) fn expected(&mut self, now: Instant, device: u32) {
        self.step(now, device, |all| all.expected.set(device, true));
    }

    /// A device got a session.
    pub(super) fn connected(&mut self, now: Instant, device: u32) {
        self.step(now, device, |all| all.connected.set(device, true));
    }

    /// A device's connection ended.
    pub(super) fn disconnected(&mut self, now: Instant, device: u32) {
        self.step(now, device, |all| all.connected.set(device, false));
    }

    /// Nothing passes between a device and its target any more, or again.
    pub(super) fn cut_off(&mut self, now: Instant, device: u32, is_cut_off: bool) {
        self.step(now, device, |all| all.cut_off.set(device, is_cut_off));
    }

    /// The levels now.
    pub(super) const fn gauges(&self) -> Gauges {
        Gauges {
            powered: self.powered.count,
            expected: self.expected.count,
            connected: self.connected.count,
            // The recorder counts it.
            waiting: 0,
        }
    }

    /// Devices with power and without a connection, now.
    pub(super) fn down(&self) -> Flags {
        self.powered.without(&self.connected)
    }

    /// Per phase: device-seconds up, and device-seconds expected.
    pub(super) fn device_seconds(&self) -> Vec<(f64, f64)> {
        #[expect(clippy::cast_precision_loss, reason = "a float is what is asked for")]
        let seconds = |ns: u128| ns as f64 / 1e9;
        let sums = self.sums.iter();
        sums.map(|sum| (seconds(sum.0), seconds(sum.1))).collect()
    }

    /// Integrates up to `now`, then lets `change` act on `device`.
    fn step(&mut self, now: Instant, device: u32, change: impl FnOnce(&mut Self)) {
        self.advance(now);
        let was_up = self.is_up(device);
        change(self);
        self.up += u64::from(self.is_up(device));
        self.up -= u64::from(was_up);
    }

    fn is_up(&self, device: u32) -> bool {
        self.expected.get(device) && self.connected.get(device) && !self.cut_off.get(device)
    }
}

/// A bit per device and the number of bits set.
#[derive(Debug, Default)]
pub(super) struct Flags {
    words: Vec<u64>,
    count: u64,
}

impl Flags {
    /// The number of bits set.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Those that are not in `others`.
    fn without(&self, others: &Self) -> Self {
        let others = others.words.iter().chain(std::iter::repeat(&0));
        let words: Vec<u64> = (self.words.iter().zip(others))
            .map(|(word, other)| word & !other)
            .collect();
        Self {
            count: words.iter().map(|word| u64::from(word.count_ones())).sum(),
            words,
        }
    }

    /// The bit of `device`.
    pub(super) fn get(&self, device: u32) -> bool {
        let word = self.words.get(device as usize / 64);
        word.is_some_and(|w| w >> (device % 64) & 1 == 1)
    }

    /// Sets or clears the bit of `device`.
    pub(super) fn set(&mut self, device: u32, to: bool) {
        if self.get(device) == to {
            return;
        }
        let index = device as usize / 64;
        if self.words.len() <= index {
            self.words.resize(index + 1, 0);
        }
        self.words[index] ^= 1 << (device % 64);
        if to {
            self.count += 1;
        } else {
            self.count -= 1;
        }
    }
}

//! The herd that a reconnect policy makes: a fleet is reset all at once, its target stays away for
//! five minutes and then takes everybody; who comes when? It follows the devices' own draws, without
//! stepping them, so that the herd of every preset is told at once.

use super::backoff;
use crate::rng::{self, Purpose};
use crate::scenario::plan::{Backoff, DeviceIdx};
use std::time::Duration;

/// Devices of the fleet.
pub const DEVICES: u32 = 4_000;
/// For how long the target is away.
pub const OUTAGE: Duration = Duration::from_secs(300);
/// The connections are lost within this time, uniformly.
pub const WITHIN: Duration = Duration::from_millis(500);

/// How a fleet came back. Times are from the return of the target.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Herd {
    /// Attempts per device, the one that succeeds among them.
    pub attempts: f64,
    /// When half of those that came back were back; `None` if nobody came.
    pub t50: Option<Duration>,
    /// 95 %.
    pub t95: Option<Duration>,
    /// 99 %.
    pub t99: Option<Duration>,
    /// All.
    pub t100: Option<Duration>,
    /// Largest share of the fleet that came within one of the seconds counted from the return, 0 to 1.
    pub peak_1s: f64,
    /// Share of the fleet that gave up, 0 to 1.
    pub stranded: f64,
}

/// The herd of [`DEVICES`] devices with `policy`, after an outage of [`OUTAGE`] in which each failed
/// attempt costs [`backoff::attempt_cost`].
pub fn herd(policy: &Backoff, seed: u64) -> Herd {
    let mut attempts = 0u64;
    let mut times = Vec::new();
    for device in 0..DEVICES {
        let (tried, came) = comes_back(policy, seed, device);
        attempts += tried;
        times.extend(came);
    }
    times.sort_unstable();
    let fleet = f64::from(DEVICES);
    let quantile = |percent: usize| {
        let index = times.len() * percent / 100;
        times.get(index.min(times.len().saturating_sub(1))).copied()
    };
    let of_fleet =
        |devices: usize| f64::from(u32::try_from(devices).expect("at most DEVICES")) / fleet;
    let seconds = times.chunk_by(|a, b| a.as_secs() == b.as_secs());
    #[expect(clippy::cast_precision_loss, reason = "some millions")]
    let attempts = attempts as f64;
    Herd {
        attempts: attempts / fleet,
        t50: quantile(50),
        t95: quantile(95),
        t99: quantile(99),
        t100: times.last().copied(),
        peak_1s: of_fleet(seconds.map(<[Duration]>::len).max().unwrap_or(0)),
        stranded: 1.0 - of_fleet(times.len()),
    }
}

/// How often `device` tried, and when its attempt that succeeded began, from the return of the
/// target; `None` if it gave up. Its attempt 0 was the one before the outage. Even without any wait
/// it ends, since each failed attempt costs time.
pub fn comes_back(policy: &Backoff, seed: u64, device: DeviceIdx) -> (u64, Option<Duration>) {
    let reset = rng::unit(seed, u64::from(device), Purpose::OutageCut, 0);
    let mut now = WITHIN.mul_f64(reset);
    let mut attempts = 0;
    for wait in Waits::new(*policy, seed, device) {
        now += wait;
        attempts += 1;
        if let Some(after) = now.checked_sub(OUTAGE) {
            return (attempts, Some(after));
        }
        now += backoff::attempt_cost(seed, device, attempts);
    }
    (attempts, None)
}

/// The waits of a device from the loss of a connection that lasted, as long as all attempts fail;
/// ends when it gives up.
#[derive(Clone, Debug)]
pub struct Waits {
    policy: Backoff,
    seed: u64,
    device: DeviceIdx,
    has_begun: bool,
    failed: u32,
    drawn: u32,
    previous: Duration,
}

impl Waits {
    /// Those of `device`, which has drawn no wait yet.
    pub const fn new(policy: Backoff, seed: u64, device: DeviceIdx) -> Self {
        Self {
            policy,
            seed,
            device,
            has_begun: false,
            failed: 0,
            drawn: 0,
            previous: Duration::ZERO,
        }
    }
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.has_begun {
            self.failed += 1;
        } else {
            self.has_begun = true;
            if let Some(first) = self.policy.first {
                return Some(first);
            }
        }
        if (self.policy.give_up_after).is_some_and(|limit| self.failed >= limit) {
            return None;
        }
        let endless = Backoff {
            give_up_after: None,
            ..self.policy
        };
        let draw = u64::from(self.drawn);
        self.drawn += 1;
        self.previous = backoff::delay(
            &endless,
            self.seed,
            self.device,
            draw,
            self.drawn,
            self.previous,
        )?;
        Some(self.previous)
    }
}

#[cfg(test)]
mod tests;

//! Reconnect policies: pure functions from (policy, failures, draw) to the wait before the next attempt.

use crate::scenario::plan::{Backoff, DeviceIdx};
use std::time::Duration;

/// The wait after `failures` failed attempts in a row (at least 1), or `None` if the policy gives
/// up. `draw_index` counts all waits of this device over the whole run, so that two outages draw
/// differently; `previous` is the wait before (zero at first), which decorrelated jitter needs.
pub fn delay(
    policy: &Backoff,
    seed: u64,
    device: DeviceIdx,
    draw_index: u64,
    failures: u32,
    previous: Duration,
) -> Option<Duration> {
    let _ = (policy, seed, device, draw_index, failures, previous);
    todo!("payload helper")
}

/// What a refused or failed attempt costs: lognormal, median 0.1 s, sigma 0.4 (the model of the
/// domain's oracle tables); applied by the drivers.
pub fn attempt_cost(seed: u64, device: DeviceIdx, attempt: u64) -> Duration {
    let _ = (seed, device, attempt);
    todo!("payload helper")
}

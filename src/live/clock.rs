//! The only reader of a clock: `CLOCK_MONOTONIC` mapped onto the run's axis.

use crate::time::Instant;
use rustix::time::{ClockId, clock_gettime};

/// Maps `CLOCK_MONOTONIC` to instants of one run.
#[derive(Copy, Clone, Debug)]
pub struct Clock {
    origin_ns: u64,
}

impl Clock {
    /// A clock whose origin is this very moment.
    pub fn starting_now() -> Self {
        Self {
            origin_ns: monotonic_ns(),
        }
    }

    /// A clock with an origin given by another process.
    pub const fn with_origin(origin_ns: u64) -> Self {
        Self { origin_ns }
    }

    /// Absolute `CLOCK_MONOTONIC` nanoseconds of the origin.
    pub const fn origin_ns(self) -> u64 {
        self.origin_ns
    }

    /// The present instant.
    pub fn now(self) -> Instant {
        Instant::from_ns(monotonic_ns().saturating_sub(self.origin_ns))
    }
}

/// The wall clock as RFC 3339 in UTC, for people, never for arithmetic.
pub fn wall_clock() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// CPU time of this process so far, in nanoseconds (`CLOCK_PROCESS_CPUTIME_ID`).
pub(super) fn process_cpu_ns() -> u64 {
    read_ns(ClockId::ProcessCPUTime)
}

fn monotonic_ns() -> u64 {
    read_ns(ClockId::Monotonic)
}

fn read_ns(id: ClockId) -> u64 {
    let t = clock_gettime(id);
    let seconds = u64::try_from(t.tv_sec).expect("these clocks are not negative");
    let nanos = u64::try_from(t.tv_nsec).expect("nanoseconds are not negative");
    seconds * 1_000_000_000 + nanos
}

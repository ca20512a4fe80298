//! Time as a value: [`Instant`] is nanoseconds since the origin that all processes of a run share.
//! Only `live/clock.rs` reads a clock; everything else is handed `now`.

use serde::{Deserialize, Serialize};
use std::fmt;
pub use std::time::Duration;

/// A point on the run's own time axis, in nanoseconds since the run's origin.
///
/// The origin is the moment the run was launched (live: one absolute `CLOCK_MONOTONIC` value that
/// all processes share; simulated: zero). The scenario's time zero, T0, lies later, once all
/// observers are armed; it is handed around as `start`.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the run.
    pub const ZERO: Self = Self(0);
    /// Later than any other instant: the deadline of something idle.
    pub const NEVER: Self = Self(u64::MAX);

    /// The instant `ns` nanoseconds after the origin.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the origin.
    pub const fn ns(self) -> u64 {
        self.0
    }

    /// Whether this is [`Instant::NEVER`].
    pub const fn is_never(self) -> bool {
        self.0 == u64::MAX
    }

    /// This instant moved later by `span`; saturates at [`Instant::NEVER`].
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        self.after_ns(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }

    /// This instant moved later by `ns` nanoseconds; saturates at [`Instant::NEVER`].
    #[must_use]
    pub const fn after_ns(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }

    /// Time elapsed from `earlier` to this instant, zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.ns_since(earlier))
    }

    /// Nanoseconds from `earlier` to this instant, zero if `earlier` is later.
    pub const fn ns_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole microseconds from `earlier` to this instant, rounded up so that a latency is never
    /// reported below its true value; zero if `earlier` is later.
    pub const fn us_since(self, earlier: Self) -> u64 {
        self.ns_since(earlier).div_ceil(1_000)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_never() {
            return f.write_str("never");
        }
        write!(
            f,
            "{}.{:09}s",
            self.0 / 1_000_000_000,
            self.0 % 1_000_000_000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_is_last_and_absorbs() {
        assert!(Instant::from_ns(u64::MAX - 1) < Instant::NEVER);
        assert_eq!(Instant::NEVER.after(Duration::from_secs(1)), Instant::NEVER);
        assert_eq!(Instant::from_ns(5).after(Duration::MAX), Instant::NEVER);
        assert_eq!(Instant::NEVER.to_string(), "never");
    }

    #[test]
    fn microseconds_round_up_and_never_go_negative() {
        let a = Instant::from_ns(1_000);
        assert_eq!(Instant::from_ns(2_001).us_since(a), 2);
        assert_eq!(Instant::from_ns(2_000).us_since(a), 1);
        assert_eq!(a.us_since(Instant::from_ns(9_000)), 0);
        assert_eq!(Instant::from_ns(1_500_000_000).to_string(), "1.500000000s");
    }
}

//! Instants of a campaign in three bytes: ticks since its planned start.

use crate::time::{Duration, Instant};

/// The axis of a campaign's ticks: the finest of 100 us, 1 ms, 10 ms, … for which the span of the
/// campaign fits into [`Tick`]. 100 us up to 27 minutes, 1 ms up to 4.6 hours, 10 ms up to 46 hours.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    start: Instant,
    tick_ns: u64,
}

/// A point on it, or none.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Tick([u8; 3]);

/// The last tick; one more means none.
const LAST: u32 = 0xff_fffe;

impl Tick {
    pub(super) const NONE: Self = Self([0xff; 3]);

    pub(super) fn of(ticks: u32) -> Self {
        let [a, b, c, _] = ticks.min(LAST).to_le_bytes();
        Self([a, b, c])
    }

    pub(super) fn get(self) -> Option<u32> {
        let [a, b, c] = self.0;
        (self != Self::NONE).then(|| u32::from_le_bytes([a, b, c, 0]))
    }
}

impl Clock {
    /// The axis of a campaign that begins at `start` and is over after `span`.
    pub fn new(start: Instant, span: Duration) -> Self {
        let mut tick_ns = 100_000;
        while span.as_nanos() > u128::from(LAST) * u128::from(tick_ns) {
            tick_ns *= 10;
        }
        Self { start, tick_ns }
    }

    /// From one tick to the next.
    pub fn tick(self) -> Duration {
        Duration::from_nanos(self.tick_ns)
    }

    /// The tick at or before `at`; stays at the last one.
    pub(super) fn floor(self, at: Instant) -> u32 {
        limited(at.ns_since(self.start) / self.tick_ns)
    }

    /// The tick at or after `at`; stays at the last one.
    pub(super) fn ceil(self, at: Instant) -> u32 {
        limited(at.ns_since(self.start).div_ceil(self.tick_ns))
    }

    /// Ticks of a span, rounded up.
    pub(super) fn ticks(self, span: Duration) -> u32 {
        limited(
            u64::try_from(span.as_nanos().div_ceil(u128::from(self.tick_ns))).unwrap_or(u64::MAX),
        )
    }

    /// The instant of a tick.
    pub(super) fn instant(self, tick: u32) -> Instant {
        self.start.after_ns(u64::from(tick) * self.tick_ns)
    }
}

fn limited(ticks: u64) -> u32 {
    u32::try_from(ticks).map_or(LAST, |ticks| ticks.min(LAST))
}

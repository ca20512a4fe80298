//! Schedules: pure functions from (seed, device, stream, seq) to the intended instant. A cursor of
//! 16 bytes walks a schedule; nothing is stored per arrival.

#[cfg(test)]
mod tests;

use crate::rng::{self, Purpose};
use crate::scenario::plan::{DeviceIdx, PhaseShape, Plan, Schedule};
use crate::time::{Duration, Instant};
use rand_distr::{Distribution, Exp1};

/// A position in one stream's schedule: arrival `seq` is intended at `at`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Sequence number, from 0 at each boot.
    pub seq: u32,
    /// Its intended instant.
    pub at: Instant,
}

/// Who a schedule belongs to.
#[derive(Copy, Clone, Debug)]
pub struct Pacer<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Index into `Plan::streams`.
    pub stream: usize,
    /// The device.
    pub device: DeviceIdx,
    /// Boot counter, from 1: each boot draws its own Poisson gaps.
    pub boot: u16,
    /// T0 on the run's axis.
    pub start: Instant,
}

impl Pacer<'_> {
    /// The first arrival at or after power-on.
    pub fn first(&self, power_on: Instant) -> Cursor {
        let at = match self.schedule() {
            Schedule::Every {
                period,
                phase: PhaseShape::Uniform,
            } => power_on.after_ns(self.uniform_ns(Purpose::StreamPhase, 0, ns(period))),
            Schedule::Every {
                phase: PhaseShape::Boot,
                ..
            } => power_on,
            Schedule::Every {
                period,
                phase: PhaseShape::Aligned { jitter },
            } => {
                let periods = power_on.ns_since(self.start).div_ceil(ns(period));
                self.aligned(periods.saturating_mul(ns(period)), jitter, 0)
            }
            Schedule::Poisson { mean_gap } => power_on.after_ns(self.gap_ns(mean_gap, 0)),
        };
        Cursor { seq: 0, at }
    }

    /// The arrival after `cursor`; [`Instant::NEVER`] when sequence numbers have run out.
    pub fn next(&self, cursor: Cursor) -> Cursor {
        let Some(seq) = cursor.seq.checked_add(1) else {
            return Cursor {
                at: Instant::NEVER,
                ..cursor
            };
        };
        let at = match self.schedule() {
            Schedule::Every {
                period,
                phase: PhaseShape::Uniform | PhaseShape::Boot,
            } => cursor.at.after(period),
            Schedule::Every {
                period,
                phase: PhaseShape::Aligned { jitter },
            } => {
                // The jitter is below the period, so it does not hide which multiple this was.
                let periods = cursor.at.ns_since(self.start) / ns(period) + 1;
                self.aligned(periods.saturating_mul(ns(period)), jitter, seq)
            }
            Schedule::Poisson { mean_gap } => cursor.at.after_ns(self.gap_ns(mean_gap, seq)),
        };
        Cursor { seq, at }
    }

    /// The arrival `end - 1`, which is `first` or comes after it. By arithmetic where the schedule
    /// allows (all but Poisson).
    pub fn last_before(&self, first: Cursor, end: u32) -> Cursor {
        let steps = end.saturating_sub(first.seq.saturating_add(1));
        let seq = first.seq.saturating_add(steps);
        let at = match self.schedule() {
            Schedule::Every {
                period,
                phase: PhaseShape::Uniform | PhaseShape::Boot,
            } => first
                .at
                .after_ns(ns(period).saturating_mul(u64::from(steps))),
            Schedule::Every {
                period,
                phase: PhaseShape::Aligned { jitter },
            } if steps > 0 => {
                let periods = first.at.ns_since(self.start) / ns(period) + u64::from(steps);
                self.aligned(periods.saturating_mul(ns(period)), jitter, seq)
            }
            Schedule::Every { .. } => first.at,
            Schedule::Poisson { .. } => {
                return (0..steps).fold(first, |cursor, _| self.next(cursor));
            }
        };
        Cursor { seq, at }
    }

    /// Adds the number of arrivals intended before `end` to `counts[i]`, where i is the phase they
    /// belong to: the first with `phase_ends[i]` after the arrival, or the last phase.
    ///
    /// By arithmetic where the schedule allows (all but Poisson), not by walking it, so that the
    /// books have a second opinion. `counts` is as long as `phase_ends`.
    pub fn count(
        &self,
        power_on: Instant,
        end: Instant,
        phase_ends: &[Instant],
        counts: &mut [u64],
    ) {
        match self.schedule() {
            Schedule::Every { period, phase } => {
                let mut before = 0;
                for (i, count) in counts.iter_mut().enumerate() {
                    let is_last = i + 1 == phase_ends.len();
                    let until = if is_last { end } else { phase_ends[i].min(end) };
                    let upto = self.count_before(until, power_on, period, phase);
                    *count += upto.saturating_sub(before);
                    before = before.max(upto);
                }
            }
            Schedule::Poisson { .. } => {
                let Some(last) = counts.len().checked_sub(1) else {
                    return;
                };
                let mut cursor = self.first(power_on);
                while cursor.at < end {
                    let phase = phase_ends.partition_point(|&phase_end| phase_end <= cursor.at);
                    counts[phase.min(last)] += 1;
                    cursor = self.next(cursor);
                }
            }
        }
    }

    /// How many arrivals of a fixed-rate schedule are intended before `until`.
    fn count_before(
        &self,
        until: Instant,
        power_on: Instant,
        period: Duration,
        phase: PhaseShape,
    ) -> u64 {
        let period_ns = ns(period);
        let since = |from: Instant| until.ns_since(from).div_ceil(period_ns);
        match phase {
            PhaseShape::Boot => since(power_on),
            PhaseShape::Uniform => {
                let phase = self.uniform_ns(Purpose::StreamPhase, 0, period_ns);
                since(power_on.after_ns(phase))
            }
            PhaseShape::Aligned { jitter } => {
                // Multiples of the period in [power_on, until): of those only the last can be
                // moved to or past `until` by its jitter.
                let passed = power_on.ns_since(self.start).div_ceil(period_ns);
                let multiples = since(self.start).saturating_sub(passed);
                let Some(last) = multiples.checked_sub(1) else {
                    return 0;
                };
                let offset = (passed + last).saturating_mul(period_ns);
                let seq = u32::try_from(last).unwrap_or(u32::MAX);
                let moved = self.aligned(offset, jitter, seq) >= until;
                multiples - u64::from(moved)
            }
        }
    }

    fn schedule(&self) -> Schedule {
        self.plan.streams[self.stream].schedule
    }

    fn aligned(&self, offset_ns: u64, jitter: Duration, seq: u32) -> Instant {
        let moved = self.uniform_ns(Purpose::ScheduleJitter, self.index(seq), ns(jitter));
        self.start.after_ns(offset_ns).after_ns(moved)
    }

    fn gap_ns(&self, mean: Duration, seq: u32) -> u64 {
        let mut draw = rng::draw(
            self.plan.seed,
            self.subject(),
            Purpose::PoissonGap,
            self.index(seq),
        );
        let gap: f64 = Exp1.sample(&mut draw);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a draw needs no more than 53 bits; a float cast saturates"
        )]
        {
            (gap * ns(mean) as f64).round() as u64
        }
    }

    /// A uniform draw of whole nanoseconds below `below`; 0 if `below` is 0.
    fn uniform_ns(&self, purpose: Purpose, index: u64, below: u64) -> u64 {
        let hash = rng::hash(self.plan.seed, self.subject(), purpose, index);
        let scaled = (u128::from(hash) * u128::from(below)) >> 64;
        u64::try_from(scaled).expect("below `below`, which is a u64")
    }

    /// Whose draws these are: each stream of each device has its own.
    fn subject(&self) -> u64 {
        (self.stream as u64) << 32 | u64::from(self.device)
    }

    /// Which draw belongs to `seq`: each boot has its own.
    fn index(&self, seq: u32) -> u64 {
        u64::from(self.boot) << 32 | u64::from(seq)
    }
}

/// Nanoseconds of a span of the plan, all of which are far below 584 years.
fn ns(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

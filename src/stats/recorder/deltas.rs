//! Histograms of the running second, made when a (metric, phase) is first used and reused after.

use super::HistogramDelta;
use crate::stats::histogram::Histogram;
use crate::stats::series::Metric;

/// One histogram per (metric, phase) that had a value in this second. As many exist as one second
/// ever used at a time (nine metrics in two or three phases), 184 KiB each.
#[derive(Debug)]
pub(super) struct Deltas {
    phases: usize,
    /// `[metric * phases + phase]`.
    used: Vec<Option<Histogram>>,
    /// By phase: gaps between the turns of the driver's loop. Apart from [`Metric::DriverLag`] until
    /// they are taken, so that few of them are not outvoted by many timers.
    gaps: Vec<Option<Histogram>>,
    free: Vec<Histogram>,
}

impl Deltas {
    /// No values, for this many phases.
    pub(super) fn new(phases: usize) -> Self {
        Self {
            phases,
            used: vec![None; Metric::ALL.len() * phases],
            gaps: vec![None; phases],
            free: Vec::new(),
        }
    }

    /// Records a value in microseconds.
    pub(super) fn record(&mut self, metric: Metric, phase: usize, us: u64) {
        let free = &mut self.free;
        self.used[metric as usize * self.phases + phase]
            .get_or_insert_with(|| free.pop().unwrap_or_default())
            .record_us(us);
    }

    /// Records the age of a sample; one beyond the range counts at its end.
    pub(super) fn record_age(&mut self, phase: usize, us: u64) {
        let us = us.min(Histogram::RANGE_US.1);
        self.record(Metric::FreshnessAge, phase, us);
    }

    /// Records a gap between two turns of the driver's loop in microseconds.
    pub(super) fn record_gap(&mut self, phase: usize, us: u64) {
        let free = &mut self.free;
        self.gaps[phase]
            .get_or_insert_with(|| free.pop().unwrap_or_default())
            .record_us(us);
    }

    /// The worse of this second's 99th percentiles of timers and of gaps, in microseconds; `None`
    /// if there was neither.
    pub(super) fn lag_p99_us(&self) -> Option<u64> {
        let first = Metric::DriverLag as usize * self.phases;
        let timers = merged(&self.used[first..first + self.phases]);
        let gaps = merged(&self.gaps);
        timers.percentile_us(99.0).max(gaps.percentile_us(99.0))
    }

    /// This second's values, encoded, in the order of [`Metric::ALL`] and the phases; empties all.
    /// Gaps are among the values of [`Metric::DriverLag`].
    pub(super) fn take(&mut self) -> Vec<HistogramDelta> {
        self.merge_gaps();
        let mut deltas = Vec::new();
        for metric in Metric::ALL {
            for phase in 0..self.phases {
                let slot = &mut self.used[metric as usize * self.phases + phase];
                if let Some(mut histogram) = slot.take() {
                    deltas.push(HistogramDelta {
                        metric,
                        phase: u16::try_from(phase)
                            .expect("a scenario has fewer than 65 536 phases"),
                        v2: histogram.to_v2(),
                    });
                    histogram.clear();
                    self.free.push(histogram);
                }
            }
        }
        deltas
    }

    fn merge_gaps(&mut self) {
        let first = Metric::DriverLag as usize * self.phases;
        let timers = &mut self.used[first..first + self.phases];
        for (timers, gaps) in timers.iter_mut().zip(&mut self.gaps) {
            let Some(mut gaps) = gaps.take() else {
                continue;
            };
            match timers {
                Some(timers) => {
                    timers.merge(&gaps);
                    gaps.clear();
                    self.free.push(gaps);
                }
                None => *timers = Some(gaps),
            }
        }
    }
}

fn merged(phases: &[Option<Histogram>]) -> Histogram {
    let mut merged = Histogram::new();
    for histogram in phases.iter().flatten() {
        merged.merge(histogram);
    }
    merged
}

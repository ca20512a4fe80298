//! Histograms of the running second, made when a (metric, phase) is first used and reused after.

use super::HistogramDelta;
use crate::stats::histogram::Histogram;
use crate::stats::series::Metric;

/// One histogram per (metric, phase) that had a value in this second. As many exist as one second
/// ever used at a time (eight metrics in two or three phases), 184 KiB each.
#[derive(Debug)]
pub(super) struct Deltas {
    phases: usize,
    /// `[metric * phases + phase]`.
    used: Vec<Option<Histogram>>,
    free: Vec<Histogram>,
}

impl Deltas {
    /// No values, for this many phases.
    pub(super) fn new(phases: usize) -> Self {
        Self {
            phases,
            used: vec![None; Metric::ALL.len() * phases],
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

    /// This second's values of `metric` in all phases.
    pub(super) fn merged(&self, metric: Metric) -> Histogram {
        let first = metric as usize * self.phases;
        let mut merged = Histogram::new();
        for histogram in self.used[first..first + self.phases].iter().flatten() {
            merged.merge(histogram);
        }
        merged
    }

    /// This second's values, encoded, in the order of [`Metric::ALL`] and the phases; empties all.
    pub(super) fn take(&mut self) -> Vec<HistogramDelta> {
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
}

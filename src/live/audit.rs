//! The audit of the books: what the schedules' arithmetic and the devices' own state say at the
//! end, independent of the events that were counted.

use super::fleet::Fleet;
use super::run_state::{Stage, layout};
use crate::device::pacer::Pacer;
use crate::stats::event::Operation;
use crate::stats::recorder::{Audit, Layout, Totals};
use crate::time::Instant;

impl Fleet {
    /// Closes the books at `now`: the worker's totals.
    pub(super) fn close_books(&mut self, now: Instant) -> Totals {
        let layout = layout(&self.plan, self.state.start);
        let audit = self.audit(&layout);
        let delivery = self.ledger.finish(now);
        let totals = self
            .state
            .recorder
            .as_mut()
            .map(|recorder| recorder.totals(now, &audit, delivery));
        self.state.stage = Stage::Over;
        totals.unwrap_or_default()
    }

    fn audit(&self, layout: &Layout) -> Audit {
        let empty = vec![vec![0; layout.phases()]; layout.streams];
        let mut audit = Audit {
            planned: empty.clone(),
            waiting: empty.clone(),
            in_flight: empty,
        };
        for slot in &self.devices {
            if slot.power_on.is_never() {
                continue;
            }
            for stream in self.plan.cohorts[usize::from(slot.cohort)].streams.clone() {
                let pacer = Pacer {
                    plan: &self.plan,
                    stream,
                    device: slot.device.id(),
                    boot: 1,
                    start: self.state.start,
                };
                pacer.count(
                    slot.power_on,
                    self.state.end,
                    &layout.phase_ends,
                    &mut audit.planned[stream],
                );
            }
            count(layout, &slot.device.waiting(), &mut audit.waiting);
            count(layout, &slot.device.in_flight(), &mut audit.in_flight);
        }
        audit
    }
}

fn count(layout: &Layout, operations: &[Operation], counts: &mut [Vec<u64>]) {
    for op in operations {
        counts[usize::from(op.stream)][layout.phase_of(op.intended)] += 1;
    }
}

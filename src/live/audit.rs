//! The audit of the books: what the schedules' arithmetic and the devices' own state say at the
//! end, independent of the events that were counted.

use super::fleet::Fleet;
use super::run_state::{Stage, layout};
use crate::cloud::operator;
use crate::device::boots::Boots;
use crate::stats::event::Operation;
use crate::stats::recorder::{Audit, Layout, Totals};
use crate::stats::results::Finding;
use crate::time::Instant;

impl Fleet {
    /// Closes the books at `now`: the worker's totals.
    pub(super) fn close_books(&mut self, now: Instant) -> Totals {
        self.close_results(now);
        let layout = layout(&self.plan, self.state.start);
        let audit = self.audit(&layout);
        let delivery = self.ledger.finish(now);
        let wills = self.ledger.wills();
        let totals = self.state.recorder.as_mut().map(|recorder| Totals {
            wills,
            ..recorder.totals(now, &audit, delivery)
        });
        self.state.stage = Stage::Over;
        totals.unwrap_or_default()
    }

    /// Every target of the operator gets its row, and every update that is under way the device's own.
    fn close_results(&mut self, now: Instant) {
        self.step_operator(now, operator::Input::Close);
        for i in 0..self.devices.len() {
            if let Some(row) = self.devices[i].device.unfinished_update(now) {
                self.found(Finding::Result(row));
            }
        }
    }

    fn audit(&self, layout: &Layout) -> Audit {
        let empty = vec![vec![0; layout.phases()]; layout.streams];
        let (mut waiting, mut in_flight) = (empty.clone(), empty);
        let boots = self.state.boots.clone();
        let mut boots = boots.unwrap_or_else(|| Boots::new(layout));
        for (i, slot) in self.devices.iter().enumerate() {
            if slot.power_on.is_never() {
                continue;
            }
            boots.add(&self.plan, layout, self.boot_of(i, self.state.end));
            count(layout, &slot.device.waiting(), &mut waiting);
            count(layout, &slot.device.in_flight(), &mut in_flight);
        }
        Audit {
            planned: boots.into_planned(),
            waiting,
            in_flight,
        }
    }
}

fn count(layout: &Layout, operations: &[Operation], counts: &mut [Vec<u64>]) {
    for op in operations {
        counts[usize::from(op.stream)][layout.phase_of(op.intended)] += 1;
    }
}

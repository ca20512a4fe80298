//! Findings on their way to the coordinator: what devices say of their updates and what the operator
//! writes down, in bounded batches, at least one per second. Each finding counts, so none is dropped:
//! what a slow coordinator does not take waits here, at most one row per target and one per offer.

use super::control::{FINDINGS_MAX, Report};
use super::fleet::{Fleet, Shared};
use super::run_state::Stage;
use crate::stats::results::Finding;
use std::time::Duration;

/// From one look to the next whether the coordinator has taken what waits.
const LOOK: Duration = Duration::from_millis(1);

impl Fleet {
    /// Something to write down. Once the books are closed there is nothing: each target has its row.
    pub(super) fn found(&mut self, finding: Finding) {
        if self.state.stage == Stage::Over {
            return;
        }
        self.findings.push_back(finding);
        if self.findings.len() >= FINDINGS_MAX {
            self.report_findings();
        }
    }

    /// Hands on what was found, as far as the coordinator keeps up.
    pub(super) fn report_findings(&mut self) {
        while !self.findings.is_empty() && self.reports.has_room() {
            let batch = self.findings.len().min(FINDINGS_MAX);
            let batch = self.findings.drain(..batch).collect();
            self.reports.push(Report::Findings(batch));
        }
    }
}

/// Hands on all that was found.
pub(super) async fn report_all(fleet: &Shared) {
    loop {
        {
            let mut fleet = fleet.borrow_mut();
            fleet.report_findings();
            if fleet.findings.is_empty() {
                return;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

//! Where a plan's faults leave backlogs: from a fault's start over its clearing to the next fault.

use super::plan::Plan;
use crate::mqtt::packet::QoS;
use crate::stats::recorder::BacklogWindow;
use crate::time::Instant;
use std::time::Duration;

impl Plan {
    /// The windows of the faults that close their phases, with T0 at `start`.
    pub fn backlog_windows(&self, start: Instant) -> Vec<BacklogWindow> {
        let closing = (0..self.phases.len()).filter_map(|phase| self.last_clearing(phase));
        closing
            .map(|fault| {
                let cleared = self.faults[fault].clear;
                let of_phase = |f: &&super::plan::Fault| f.phase == self.faults[fault].phase;
                let began = self.faults.iter().filter(of_phase).map(|f| f.start).min();
                BacklogWindow {
                    fault,
                    start: start.after(began.unwrap_or(cleared)),
                    cleared: start.after(cleared),
                    until: start.after(self.fault_after(cleared)),
                }
            })
            .collect()
    }

    /// Per stream: whether it is acknowledged, so of QoS 1 or 2.
    pub fn acknowledged_streams(&self) -> Vec<bool> {
        let streams = self.streams.iter();
        streams.map(|s| s.qos != QoS::AtMostOnce).collect()
    }

    /// Start of the next fault at or after `cleared`, or the end of the last phase.
    fn fault_after(&self, cleared: Duration) -> Duration {
        let starts = self.faults.iter().map(|fault| fault.start);
        let next = starts.filter(|start| *start >= cleared).min();
        next.unwrap_or_else(|| self.length())
    }
}

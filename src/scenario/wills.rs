//! Whose wills are watched: those of the observed devices, if an objective asks for them.

use super::plan::{DeviceIdx, Plan};
use super::slo::Indicator;

impl Plan {
    /// Whether an objective asks how many wills fired.
    pub fn asks_for_wills(&self) -> bool {
        let mut objectives = self.objectives.iter();
        objectives.any(|o| o.indicator == Indicator::WillFired)
    }

    /// Whether `device` has a will.
    ///
    /// # Panics
    /// If `device` is not below [`Plan::devices`].
    pub fn has_will(&self, device: DeviceIdx) -> bool {
        self.cohorts[self.cohort_of(device)].session.will.is_some()
    }
}

//! What a search changes of a plan besides its size: who is kept without power, and how long the run
//! goes on.

use crate::scenario::plan::{DeviceFault, Fault, FaultKind, Plan, Selector};
use crate::scenario::power::{BootTime, Spread};
use crate::stats::evidence::{Probe, ProbePower};
use std::time::Duration;

/// Changes `plan`, which is otherwise complete.
pub(super) fn apply(probe: &Probe, plan: &mut Plan) {
    let length = Duration::from_secs(u64::from(probe.length_s));
    if let Some(last) = plan.phases.last_mut() {
        last.length = last.length.max(length.saturating_sub(last.start));
    }
    let cut = |back| DeviceFault::PowerCut {
        within: Duration::ZERO,
        back,
        boot: BootTime::Fixed(Duration::ZERO),
    };
    match probe.power {
        None => {}
        Some(ProbePower::Park {
            at_s,
            parked_permille,
        }) => {
            let fault = Fault {
                phase: plan.phases.len().saturating_sub(1),
                start: Duration::from_secs(u64::from(at_s)),
                clear: plan.length(),
                kind: FaultKind::Device {
                    who: Selector {
                        share: Some(f64::from(parked_permille) / 1_000.0),
                        ..Selector::default()
                    },
                    fault: cut(Spread::AtOnce),
                },
            };
            plan.faults.push(fault);
            plan.faults.sort_by_key(|fault| (fault.start, fault.phase));
        }
        Some(ProbePower::Readmit { phase, rate_per_s }) => {
            let takes =
                Duration::from_secs_f64(f64::from(plan.devices()) / f64::from(rate_per_s.max(1)));
            let Some(fault) = plan.last_clearing(phase) else {
                return;
            };
            plan.faults[fault].kind = FaultKind::Device {
                who: Selector::default(),
                fault: cut(Spread::Uniform(takes)),
            };
        }
    }
}

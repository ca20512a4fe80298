//! Device faults as entries of the timeline: who loses power when, and gets it back when.

use super::{Action, Entry};
use crate::scenario::plan::{DeviceFault, DeviceIdx, Fault, FaultKind, Plan};
use crate::scenario::power::Event;
use crate::time::Duration;

/// A device without power from `off` to `on`, boot time included; in the order of devices and time.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cut {
    device: DeviceIdx,
    off: Duration,
    on: Duration,
    /// There is no power meanwhile, also for a device that was to get it for the first time.
    is_blackout: bool,
}

/// Adds to `entries`, which hold the power-ons of all devices of a worker, what the plan's device
/// faults do to those devices. A cut of a device that has no power is nothing; of cuts that overlap,
/// the last one lets the device come back. Who was to get power for the first time during a power cut
/// gets it after that. Who would be back at the end or later stays off.
pub(super) fn add(plan: &Plan, owns: impl Fn(DeviceIdx) -> bool, entries: &mut Vec<Entry>) {
    let mut cuts = Vec::new();
    for (index, fault) in plan.faults.iter().enumerate() {
        cut(plan, index, fault, &owns, &mut cuts);
    }
    if cuts.is_empty() {
        return;
    }
    cuts.sort_unstable();
    delay_power_ons(entries, &cuts);
    let mut powered_at = vec![None; plan.devices() as usize];
    for entry in entries.iter() {
        if let Action::PowerOn(device) = entry.action {
            powered_at[device as usize] = Some(entry.at);
        }
    }
    // Power that comes at the very instant of the cut comes after it.
    cuts.retain(|cut| powered_at[cut.device as usize].is_some_and(|at| at < cut.off));
    cuts.dedup_by(|later, earlier| {
        let overlap = later.device == earlier.device && later.off <= earlier.on;
        if overlap {
            earlier.on = earlier.on.max(later.on);
        }
        overlap
    });
    let end = plan.length();
    entries.retain(|entry| entry.at < end || !matches!(entry.action, Action::PowerOn(_)));
    for Cut {
        device, off, on, ..
    } in cuts
    {
        let off_and_on = [
            (off, Action::PowerOff(device)),
            (on, Action::PowerOn(device)),
        ];
        let within_run = off_and_on.into_iter().filter(|(at, _)| *at < end);
        entries.extend(within_run.map(|(at, action)| Entry { at, action }));
    }
}

/// `cuts` are in order.
fn delay_power_ons(entries: &mut [Entry], cuts: &[Cut]) {
    for entry in entries {
        let Action::PowerOn(device) = entry.action else {
            continue;
        };
        let from = cuts.partition_point(|cut| cut.device < device);
        let of_device = cuts[from..].iter().take_while(|cut| cut.device == device);
        for cut in of_device.filter(|cut| cut.is_blackout) {
            if cut.off <= entry.at && entry.at < cut.on {
                entry.at = cut.on;
            }
        }
    }
}

/// The cuts of one fault, overlaps aside.
fn cut(
    plan: &Plan,
    index: usize,
    fault: &Fault,
    owns: impl Fn(DeviceIdx) -> bool,
    cuts: &mut Vec<Cut>,
) {
    let FaultKind::Device { who, fault: what } = &fault.kind else {
        return;
    };
    let event = Event::fault(plan.seed, index);
    let members = who.members(plan);
    let count = u32::try_from(members.len()).expect("no more than there are devices, a u32");
    let owned = (0u32..).zip(members).filter(|(_, device)| owns(*device));
    cuts.extend(owned.map(|(rank, device)| {
        let (within, boot) = match what {
            DeviceFault::PowerCut { within, boot, .. } | DeviceFault::Crash { within, boot } => {
                (*within, *boot)
            }
        };
        let off = fault.start + event.loss(within, device);
        let let_go = match what {
            DeviceFault::PowerCut { back, .. } => {
                fault.clear + event.spread(*back, device, rank, count)
            }
            DeviceFault::Crash { .. } => off,
        };
        Cut {
            device,
            off,
            on: let_go + event.boot(boot, device),
            is_blackout: matches!(what, DeviceFault::PowerCut { .. }),
        }
    }));
}

#[cfg(test)]
mod tests;

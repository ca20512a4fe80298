//! The timeline: a pure function from a plan to a sorted list of (instant from T0, action). Each
//! worker and each backend node compiles its own.

mod cuts;

use super::plan::{DeviceIdx, Plan, PowerOn, Selector};
use super::power::Event;
use crate::rng::{self, Purpose};
use std::time::Duration;

/// One thing that happens at one instant.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From T0.
    pub at: Duration,
    /// What happens.
    pub action: Action,
}

/// What happens at an instant of the timeline.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// A fault clears (index into `Plan::faults`). Clearings come before starts of the same instant.
    FaultClear(usize),
    /// A phase begins.
    PhaseStart(usize),
    /// A fault begins.
    FaultStart(usize),
    /// A device fault takes a device's power.
    PowerOff(DeviceIdx),
    /// A device gets power and has booted.
    PowerOn(DeviceIdx),
    /// The last phase ends: no new arrivals, the drain begins.
    End,
}

/// The timeline of `plan`, sorted by (instant, action), with power-on and power-off only for the
/// devices that `owns` selects.
pub fn compile(plan: &Plan, owns: impl Fn(DeviceIdx) -> bool) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut power = Power::off(plan);
    for (index, phase) in plan.phases.iter().enumerate() {
        entries.push(Entry {
            at: phase.start,
            action: Action::PhaseStart(index),
        });
        let Some(power_on) = &phase.power_on else {
            continue;
        };
        let powered = power.instants(plan, index, power_on);
        let owned = powered.filter(|(_, device)| owns(*device));
        entries.extend(owned.map(|(after, device)| Entry {
            at: phase.start + after,
            action: Action::PowerOn(device),
        }));
    }
    cuts::add(plan, owns, &mut entries);
    for (index, fault) in plan.faults.iter().enumerate() {
        entries.push(Entry {
            at: fault.start,
            action: Action::FaultStart(index),
        });
        entries.push(Entry {
            at: fault.clear,
            action: Action::FaultClear(index),
        });
    }
    entries.push(Entry {
        at: plan.length(),
        action: Action::End,
    });
    entries.sort_by_key(|entry| (entry.at, entry.action));
    entries
}

/// Which devices have power as the phases go by.
pub(super) struct Power {
    on: Vec<bool>,
}

impl Power {
    /// No device has power.
    pub(super) fn off(plan: &Plan) -> Self {
        Self {
            on: vec![false; plan.devices() as usize],
        }
    }

    /// Gives power to the devices that `power_on`, of phase `phase`, means: when after the phase's
    /// start each can connect.
    pub(super) fn instants(
        &mut self,
        plan: &Plan,
        phase: usize,
        power_on: &PowerOn,
    ) -> impl Iterator<Item = (Duration, DeviceIdx)> {
        let order = self.switch_on(plan, phase, &power_on.who);
        let count = u32::try_from(order.len()).expect("no more than there are devices, a u32");
        let event = Event::phase(plan.seed, phase);
        let (pace, boot) = (power_on.pace, power_on.boot);
        (0u32..).zip(order).map(move |(place, device)| {
            let after = event.power_on(pace, boot, device, (place, count));
            (after, device)
        })
    }

    /// Gives power to the devices of `who` that have none, in phase `phase`; those devices in the
    /// order in which they get it.
    pub(super) fn switch_on(
        &mut self,
        plan: &Plan,
        phase: usize,
        who: &Selector,
    ) -> Vec<DeviceIdx> {
        let mut fresh = who.members(plan);
        fresh.retain(|device| !std::mem::replace(&mut self.on[*device as usize], true));
        let count = u32::try_from(fresh.len()).expect("no more than there are devices, a u32");
        let mut order = vec![0; fresh.len()];
        for (rank, device) in (0u32..).zip(fresh) {
            let place = rng::permute(plan.seed, Purpose::PowerOnOrder, phase as u64, count, rank);
            order[place as usize] = device;
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fixture;
    use crate::scenario::plan::{BackendFault, Fault, FaultKind, NetworkFault, Phase};
    use crate::scenario::power::{BootTime, Pace, Spread};
    use proptest::prelude::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// Phase `ramp` powers 30 % on, `steady` the rest; two faults back to back.
    fn plan(devices: u32, seed: u64) -> Plan {
        let mut plan = fixture::plan(devices);
        plan.seed = seed;
        let power_on = |share| {
            Some(PowerOn {
                pace: Pace::PerSecond(100.0),
                boot: BootTime::NONE,
                who: Selector {
                    share,
                    ..Selector::default()
                },
            })
        };
        plan.phases = vec![
            Phase {
                name: "ramp".into(),
                start: secs(0),
                length: secs(10),
                power_on: power_on(Some(0.3)),
            },
            Phase {
                name: "steady".into(),
                start: secs(10),
                length: secs(60),
                power_on: power_on(None),
            },
        ];
        let fault = |start, clear, kind| Fault {
            phase: 1,
            start: secs(start),
            clear: secs(clear),
            kind,
        };
        let stall = FaultKind::Backend {
            node: None,
            fault: BackendFault::Stall,
        };
        let refuse = FaultKind::Network {
            who: Selector::default(),
            fault: NetworkFault::Refuse,
        };
        plan.faults = vec![fault(10, 20, stall), fault(20, 70, refuse)];
        plan
    }

    proptest! {
        #[test]
        fn sorted_exact_and_the_same_for_every_owner(devices in 1u32..150, seed: u64, workers in 1u32..5) {
            let plan = plan(devices, seed);
            let whole = compile(&plan, |_| true);
            prop_assert!(whole.windows(2).all(|w| (w[0].at, w[0].action) <= (w[1].at, w[1].action)));
            let mut powered: Vec<DeviceIdx> = power_ons(&whole).map(|(_, device)| device).collect();
            powered.sort_unstable();
            prop_assert_eq!(powered, (0..devices).collect::<Vec<_>>());
            let early = power_ons(&whole).filter(|(at, _)| *at < secs(10)).count();
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let early = early as f64;
            prop_assert_eq!(early, (f64::from(devices) * 0.3).round());
            let mut parts: Vec<_> = (0..workers)
                .flat_map(|w| power_ons(&compile(&plan, |d| d % workers == w)).collect::<Vec<_>>())
                .collect();
            parts.sort_unstable();
            let mut all: Vec<_> = power_ons(&whole).collect();
            all.sort_unstable();
            prop_assert_eq!(parts, all);
        }
    }

    fn power_ons(entries: &[Entry]) -> impl Iterator<Item = (Duration, DeviceIdx)> + '_ {
        entries.iter().filter_map(|entry| match entry.action {
            Action::PowerOn(device) => Some((entry.at, device)),
            Action::FaultClear(_)
            | Action::PhaseStart(_)
            | Action::FaultStart(_)
            | Action::PowerOff(_)
            | Action::End => None,
        })
    }

    #[test]
    fn power_comes_at_an_even_rate() {
        let entries = compile(&plan(1_000, 42), |_| true);
        let at: Vec<Duration> = power_ons(&entries).map(|(at, _)| at).collect();
        assert_eq!(at[0], secs(0));
        assert_eq!(at[299], Duration::from_millis(2_990));
        assert_eq!(at[300], secs(10));
        assert_eq!(at[999], secs(10) + Duration::from_millis(6_990));
    }

    #[test]
    fn power_may_come_in_waves_and_after_a_boot() {
        let mut plan = plan(900, 42);
        let waves = Spread::Waves {
            count: 3,
            every: secs(2),
        };
        for phase in &mut plan.phases {
            let power_on = phase.power_on.as_mut().expect("each has one");
            (power_on.pace, power_on.boot) = (Pace::Over(waves), BootTime::Fixed(secs(1)));
        }
        let entries = compile(&plan, |_| true);
        let at = |s: u64| power_ons(&entries).filter(|(at, _)| *at == secs(s)).count();
        // 270 devices in the first phase, the rest in the second.
        assert_eq!([1, 3, 5, 11, 13, 15].map(at), [90, 90, 90, 210, 210, 210]);
    }

    #[test]
    fn clearings_come_before_starts_of_the_same_instant() {
        let entries = compile(&plan(1, 42), |_| false);
        let at_twenty: Vec<Action> = entries
            .iter()
            .filter(|entry| entry.at == secs(20))
            .map(|entry| entry.action)
            .collect();
        assert_eq!(at_twenty, [Action::FaultClear(0), Action::FaultStart(1)]);
        assert_eq!(
            entries.last().map(|entry| (entry.at, entry.action)),
            Some((secs(70), Action::End))
        );
    }
}

//! The law of network outages: whose connections a reset ends and when, and whose connects are
//! refused. Each driver (`sim`, `live`) keeps one [`Outages`], tells it when a fault starts and
//! clears, and asks it.

use crate::rng::{self, Purpose};
use crate::scenario::plan::{DeviceIdx, Fault, FaultKind, NetworkFault, Plan, Selector};
use std::time::Duration;

/// The network faults of a plan, and which of them are active now; several may mean the same device.
/// Holds one bit per device and fault, none for a fault that means the whole fleet.
#[derive(Debug)]
pub struct Outages {
    /// By index into `Plan::faults`; `None` for a backend fault.
    faults: Vec<Option<Outage>>,
    /// Those that are active, in the order in which they started.
    active: Vec<usize>,
    seed: u64,
}

#[derive(Debug)]
struct Outage {
    who: Who,
    kind: NetworkFault,
}

/// The devices meant.
#[derive(Debug)]
enum Who {
    All,
    /// A bit per device, 64 to a word.
    Bits(Box<[u64]>),
}

impl Outages {
    /// The network faults of `plan`, none of them active. Walks the fleet once per fault, so that
    /// nothing has to be looked up while the run goes on.
    pub fn new(plan: &Plan) -> Self {
        let outage = |fault: &Fault| match &fault.kind {
            FaultKind::Network { who, fault: kind } => Some(Outage {
                who: Who::of(who, plan),
                kind: *kind,
            }),
            FaultKind::Backend { .. } => None,
        };
        Self {
            faults: plan.faults.iter().map(outage).collect(),
            active: Vec::new(),
            seed: plan.seed,
        }
    }

    /// Fault `fault` of the plan begins; a backend fault is none of ours.
    ///
    /// # Panics
    /// If the plan has no such fault.
    pub fn start(&mut self, fault: usize) {
        if self.faults[fault].is_some() {
            self.active.push(fault);
        }
    }

    /// Fault `fault` clears, if it was active.
    pub fn clear(&mut self, fault: usize) {
        self.active.retain(|active| *active != fault);
    }

    /// Whether a connect of `device` is refused now.
    pub fn refuses(&self, device: DeviceIdx) -> bool {
        self.active().any(|(_, outage)| outage.who.has(device))
    }

    /// How long after the start of `fault` the connection of `device` ends with RST, whatever it
    /// is doing; `None` if that fault is not active, resets nobody, or does not mean the device.
    /// Uniform below the fault's `within`: a pure function of (seed, device, fault).
    pub fn cut_after(&self, fault: usize, device: DeviceIdx) -> Option<Duration> {
        let mut active = self.active();
        let (_, outage) = active.find(|(at, outage)| *at == fault && outage.who.has(device))?;
        match outage.kind {
            NetworkFault::Reset { within } => {
                let (purpose, index) = (Purpose::OutageReset, fault as u64);
                let draw = rng::hash(self.seed, u64::from(device), purpose, index);
                // A scaled product rather than a float: never `within` itself, so that with a
                // fault as long as its `within` every cut comes before the clearing.
                let ns = (u128::from(draw) * within.as_nanos()) >> 64;
                let ns = u64::try_from(ns).expect("below `within`, which the file bounds");
                Some(Duration::from_nanos(ns))
            }
            NetworkFault::Refuse => None,
        }
    }

    fn active(&self) -> impl Iterator<Item = (usize, &Outage)> {
        let outage = |fault: &usize| Some((*fault, self.faults[*fault].as_ref()?));
        self.active.iter().filter_map(outage)
    }
}

impl Who {
    fn of(selector: &Selector, plan: &Plan) -> Self {
        if *selector == Selector::default() {
            return Self::All;
        }
        let mut bits = vec![0u64; plan.devices().div_ceil(u64::BITS) as usize];
        for device in selector.members(plan) {
            bits[(device / u64::BITS) as usize] |= 1 << (device % u64::BITS);
        }
        Self::Bits(bits.into_boxed_slice())
    }

    fn has(&self, device: DeviceIdx) -> bool {
        match self {
            Self::All => true,
            Self::Bits(bits) => {
                let word = bits.get((device / u64::BITS) as usize);
                word.is_some_and(|word| (word >> (device % u64::BITS)) & 1 == 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fixture;
    use crate::scenario::plan::{Attribute, BackendFault};
    use proptest::prelude::*;

    const WITHIN: Duration = Duration::from_millis(500);

    fn share(share: f64) -> Selector {
        Selector {
            share: Some(share),
            ..Selector::default()
        }
    }

    fn region(value: &str) -> Selector {
        Selector {
            attributes: vec![("region".into(), value.into())],
            ..Selector::default()
        }
    }

    fn reset(who: Selector, within: Duration) -> FaultKind {
        FaultKind::Network {
            who,
            fault: NetworkFault::Reset { within },
        }
    }

    fn refuse(who: Selector) -> FaultKind {
        FaultKind::Network {
            who,
            fault: NetworkFault::Refuse,
        }
    }

    /// A plan with these faults, a third of whose devices are in region `north`.
    fn plan(devices: u32, kinds: Vec<FaultKind>) -> Plan {
        let mut plan = fixture::plan(devices);
        let north = devices / 3;
        plan.cohorts[0].attributes = vec![Attribute {
            name: "region".into(),
            values: vec![("north".into(), north), ("south".into(), devices - north)],
        }];
        let fault = |kind| Fault {
            phase: 1,
            start: Duration::from_secs(20),
            clear: Duration::from_secs(30),
            kind,
        };
        plan.faults = kinds.into_iter().map(fault).collect();
        plan
    }

    /// All faults of `plan` active.
    fn all_active(plan: &Plan) -> Outages {
        let mut outages = Outages::new(plan);
        for fault in 0..plan.faults.len() {
            outages.start(fault);
        }
        outages
    }

    fn refused(outages: &Outages, plan: &Plan) -> usize {
        let devices = 0..plan.devices();
        devices.filter(|device| outages.refuses(*device)).count()
    }

    #[test]
    fn connects_are_refused_from_start_to_clearing_and_of_those_meant_only() {
        let kinds = vec![refuse(share(0.3)), reset(region("north"), WITHIN)];
        let plan = plan(1_000, kinds);
        let mut outages = Outages::new(&plan);
        assert_eq!(refused(&outages, &plan), 0);
        outages.start(0);
        assert_eq!(refused(&outages, &plan), 300);
        outages.start(1);
        let both = refused(&outages, &plan);
        assert!((334..633).contains(&both), "overlapping sets: {both}");
        outages.clear(0);
        assert_eq!(refused(&outages, &plan), 333);
        outages.clear(1);
        outages.clear(1);
        assert_eq!(refused(&outages, &plan), 0);
    }

    #[test]
    fn a_backend_fault_is_none_of_ours() {
        let stall = FaultKind::Backend {
            node: None,
            fault: BackendFault::Stall,
        };
        let plan = plan(10, vec![stall]);
        let outages = all_active(&plan);
        assert_eq!(refused(&outages, &plan), 0);
        assert_eq!(outages.cut_after(0, 0), None);
    }

    #[test]
    fn a_reset_cuts_each_device_meant_at_a_draw_of_its_own_below_within() {
        let devices = 20_000;
        let everyone = reset(Selector::default(), WITHIN);
        let plan = plan(
            devices,
            vec![everyone.clone(), everyone, refuse(share(1.0))],
        );
        let outages = all_active(&plan);
        let cuts: Vec<f64> = (0..devices)
            .map(|device| outages.cut_after(0, device).expect("all are meant"))
            .inspect(|cut| assert!(*cut < WITHIN, "{cut:?}"))
            .map(|cut| cut.as_secs_f64())
            .collect();
        let n = f64::from(devices);
        let mean = cuts.iter().sum::<f64>() / n;
        // A uniform draw below w has a standard deviation of w / sqrt(12).
        let error = 0.5 / (12.0 * n).sqrt();
        assert!((mean - 0.25).abs() < 4.0 * error, "{mean}");
        let late = cuts.iter().filter(|cut| **cut >= 0.4).count();
        assert!((3_750..4_250).contains(&late), "a fifth: {late}");
        assert_ne!(outages.cut_after(0, 7), outages.cut_after(1, 7));
        assert_ne!(outages.cut_after(0, 7), outages.cut_after(0, 8));
        assert_eq!(outages.cut_after(2, 7), None, "refuse cuts nobody");
        assert_eq!(outages.cut_after(9, 7), None, "no such fault");
        let idle = Outages::new(&plan);
        assert_eq!(idle.cut_after(0, 7), None, "it has not started");
    }

    #[test]
    fn without_within_all_are_cut_at_the_start() {
        let plan = plan(90, vec![reset(region("south"), Duration::ZERO)]);
        let outages = all_active(&plan);
        let cuts: Vec<Duration> = (0..90).filter_map(|d| outages.cut_after(0, d)).collect();
        assert_eq!(cuts, vec![Duration::ZERO; 60]);
    }

    #[test]
    fn draws_of_an_outage_are_fixed_for_ever() {
        let plan = plan(10, vec![reset(Selector::default(), WITHIN)]);
        let cut = all_active(&plan).cut_after(0, 7).map(|cut| cut.as_nanos());
        assert_eq!(cut, Some(231_263_979));
    }

    proptest! {
        #[test]
        fn whoever_some_active_fault_means_is_refused(
            devices in 1u32..300,
            faults in prop::collection::vec((0u32..=100, any::<bool>(), any::<bool>()), 0..5),
        ) {
            let who = |percent: u32, north: bool| Selector {
                share: Some(f64::from(percent) / 100.0),
                ..if north { region("north") } else { Selector::default() }
            };
            let kinds = faults.iter().map(|(p, north, _)| reset(who(*p, *north), WITHIN));
            let plan = plan(devices, kinds.collect());
            let mut outages = all_active(&plan);
            let mut expected = vec![false; devices as usize];
            for (fault, (percent, north, clears)) in faults.into_iter().enumerate() {
                let members = who(percent, north).members(&plan);
                if clears {
                    outages.clear(fault);
                }
                for device in 0..devices {
                    let meant = !clears && members.binary_search(&device).is_ok();
                    prop_assert_eq!(outages.cut_after(fault, device).is_some(), meant);
                    expected[device as usize] |= meant;
                }
            }
            for (device, expected) in (0..).zip(expected) {
                prop_assert_eq!(outages.refuses(device), expected);
            }
        }
    }
}

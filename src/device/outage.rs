//! The law of network outages: whose connections an outage ends, when and how, and whose connects
//! fail, and why. Each driver (`sim`, `live`) keeps one [`Outages`], tells it when a fault starts and
//! clears, and asks it.

use crate::rng::{self, Purpose};
use crate::scenario::plan::{DeviceIdx, FaultKind, Link, NetworkFault, Plan, Selector};
use crate::stats::event::Cause;
use std::sync::Arc;
use std::time::Duration;

/// Bytes that a device in a blackhole has written and that are held back until it clears. With more
/// its send buffer is full, and a device that writes on ends the connection.
pub const HELD_BYTES_MAX: usize = 256 * 1024;

/// How long a connection that its device gave up in a blackhole stays half-open unless the target
/// ends it: one and a half times its keep-alive, after which a broker must do so (MQTT 3.1.1,
/// 3.1.2.10), and 10 s.
pub fn half_open_for(keep_alive_s: u16) -> Duration {
    Duration::from_millis(1_500) * u32::from(keep_alive_s) + Duration::from_secs(10)
}

/// The network faults of a plan, and which of them are active now; several may mean the same device.
/// Holds one bit per device and set of devices meant, none for the whole fleet.
#[derive(Debug)]
pub struct Outages {
    /// By index into `Plan::faults`; `None` for a fault of another family.
    faults: Vec<Option<Outage>>,
    /// Those that are active, in the order in which they started.
    active: Vec<usize>,
    seed: u64,
}

#[derive(Debug)]
struct Outage {
    /// Shared by faults that mean the same devices, such as the repetitions of one.
    who: Arc<Who>,
    kind: NetworkFault,
}

/// The devices meant.
#[derive(Debug)]
enum Who {
    All,
    /// A bit per device, 64 to a word.
    Bits(Box<[u64]>),
}

/// The end of a device's connection by an outage.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// From the fault's start.
    pub after: Duration,
    /// How it ends.
    pub end: End,
}

/// What stops a connect.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The attempt fails for this, at what it costs.
    Fails(Cause),
    /// The SYN is lost, and nobody is told. It is sent again after [`super::path::next_syn`], as long
    /// as the device waits; [`Outages::stops_syn`] says what becomes of it then.
    Unanswered,
}

/// How an outage ends a connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// With RST.
    Reset,
    /// With FIN, after what was written.
    Close,
}

impl End {
    /// What the device takes it for: it cannot tell the network from the peer.
    pub const fn cause(self) -> Cause {
        match self {
            Self::Reset => Cause::Reset,
            Self::Close => Cause::ClosedByPeer,
        }
    }
}

impl Outages {
    /// The network faults of `plan`, none of them active. Walks the fleet once per set of devices
    /// meant, so that nothing has to be looked up while the run goes on.
    pub fn new(plan: &Plan) -> Self {
        let mut sets: Vec<(&Selector, Arc<Who>)> = Vec::new();
        let mut faults = Vec::with_capacity(plan.faults.len());
        for fault in &plan.faults {
            let FaultKind::Network { who, fault: kind } = &fault.kind else {
                faults.push(None);
                continue;
            };
            let known = sets.iter().find(|(known, _)| *known == who);
            let set = match known {
                Some((_, set)) => Arc::clone(set),
                None => Arc::new(Who::of(who, plan)),
            };
            if known.is_none() {
                sets.push((who, Arc::clone(&set)));
            }
            faults.push(Some(Outage {
                who: set,
                kind: *kind,
            }));
        }
        Self {
            faults,
            active: Vec::new(),
            seed: plan.seed,
        }
    }

    /// Fault `fault` of the plan begins; a backend or device fault is none of ours.
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

    /// What becomes of a connect of `device` now, before there is a socket; `None` if no outage
    /// stands in its way. A name is resolved before the SYN can be lost, and a SYN that is lost
    /// nobody refuses.
    pub fn stops_connect(&self, device: DeviceIdx) -> Option<Stop> {
        let mut ours = self.active().filter(|(_, outage)| outage.who.has(device));
        if ours.any(|(_, outage)| outage.kind == NetworkFault::Dns) {
            return Some(Stop::Fails(Cause::Unresolved));
        }
        self.stops_syn(device)
    }

    /// What becomes of the SYN of a connect of `device` whose name is resolved.
    pub fn stops_syn(&self, device: DeviceIdx) -> Option<Stop> {
        let mut stop = None;
        for (_, outage) in self.active().filter(|(_, outage)| outage.who.has(device)) {
            match outage.kind {
                NetworkFault::Blackhole => stop = Some(Stop::Unanswered),
                NetworkFault::Reset { .. } | NetworkFault::Close { .. } | NetworkFault::Refuse => {
                    stop = stop.or(Some(Stop::Fails(Cause::Refused)));
                }
                NetworkFault::Dns | NetworkFault::Degrade(_) => {}
            }
        }
        stop
    }

    /// Whether fault `fault` of the plan is a blackhole.
    pub fn is_blackhole(&self, fault: usize) -> bool {
        let outage = self.faults[fault].as_ref();
        outage.is_some_and(|outage| outage.kind == NetworkFault::Blackhole)
    }

    /// Whether `device` is in a blackhole now: nothing that it sends leaves it, nothing reaches it.
    pub fn swallows(&self, device: DeviceIdx) -> bool {
        self.active()
            .any(|(_, outage)| outage.kind == NetworkFault::Blackhole && outage.who.has(device))
    }

    /// The links that `device` has now on top of its cohort's, each with the fault that it comes
    /// from.
    pub fn degradations(&self, device: DeviceIdx) -> impl Iterator<Item = (usize, &Link)> {
        self.active()
            .filter_map(move |(fault, outage)| Some((fault, outage.degrades(device)?)))
    }

    /// Whether some fault of the plan, active or not, degrades the link of `device`.
    pub fn ever_degrades(&self, device: DeviceIdx) -> bool {
        let mut outages = self.faults.iter().flatten();
        outages.any(|outage| outage.degrades(device).is_some())
    }

    /// When after the start of `fault`, and how, the connection of `device` ends, whatever it is
    /// doing; `None` if that fault is not active, ends nobody's, or does not mean the device.
    /// Uniform below the fault's `within`: a pure function of (seed, device, fault).
    pub fn cut(&self, fault: usize, device: DeviceIdx) -> Option<Cut> {
        let mut active = self.active();
        let (_, outage) = active.find(|(at, outage)| *at == fault && outage.who.has(device))?;
        let (within, end) = match outage.kind {
            NetworkFault::Reset { within } => (within, End::Reset),
            NetworkFault::Close { within } => (within, End::Close),
            NetworkFault::Refuse
            | NetworkFault::Dns
            | NetworkFault::Blackhole
            | NetworkFault::Degrade(_) => return None,
        };
        let draw = rng::hash(
            self.seed,
            u64::from(device),
            Purpose::OutageCut,
            fault as u64,
        );
        // A scaled product rather than a float: never `within` itself, so that with a fault as
        // long as its `within` every cut comes before the clearing.
        let ns = (u128::from(draw) * within.as_nanos()) >> 64;
        let ns = u64::try_from(ns).expect("below `within`, which the file bounds");
        Some(Cut {
            after: Duration::from_nanos(ns),
            end,
        })
    }

    fn active(&self) -> impl Iterator<Item = (usize, &Outage)> {
        let outage = |fault: &usize| Some((*fault, self.faults[*fault].as_ref()?));
        self.active.iter().filter_map(outage)
    }
}

impl Outage {
    /// The link that `device` has on top of its cohort's while this is active.
    fn degrades(&self, device: DeviceIdx) -> Option<&Link> {
        match &self.kind {
            NetworkFault::Degrade(link) => self.who.has(device).then_some(link),
            NetworkFault::Reset { .. }
            | NetworkFault::Close { .. }
            | NetworkFault::Refuse
            | NetworkFault::Dns
            | NetworkFault::Blackhole => None,
        }
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
    use crate::scenario::plan::{Attribute, BackendFault, Fault};
    use proptest::prelude::*;

    const REFUSED: Stop = Stop::Fails(Cause::Refused);
    const UNRESOLVED: Stop = Stop::Fails(Cause::Unresolved);
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
            root: None,
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
        let refused = |device: &u32| outages.stops_connect(*device) == Some(REFUSED);
        devices.filter(refused).count()
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
        assert_eq!(outages.cut(0, 0), None);
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
            .map(|device| outages.cut(0, device).expect("all are meant").after)
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
        assert_ne!(outages.cut(0, 7), outages.cut(1, 7));
        assert_ne!(outages.cut(0, 7), outages.cut(0, 8));
        assert_eq!(outages.cut(2, 7), None, "refuse cuts nobody");
        assert_eq!(outages.cut(9, 7), None, "no such fault");
        let idle = Outages::new(&plan);
        assert_eq!(idle.cut(0, 7), None, "it has not started");
    }

    #[test]
    fn a_close_cuts_when_a_reset_would_but_with_fin() {
        let who = Selector::default;
        let close = FaultKind::Network {
            who: who(),
            fault: NetworkFault::Close { within: WITHIN },
        };
        let plans = [reset(who(), WITHIN), close].map(|kind| plan(50, vec![kind]));
        let [resets, closes] = plans.each_ref().map(all_active);
        assert_eq!(refused(&closes, &plans[1]), 50);
        for device in 0..50 {
            let (reset, close) = (resets.cut(0, device), closes.cut(0, device));
            let (Some(reset), Some(close)) = (reset, close) else {
                panic!("all are meant");
            };
            assert_eq!(reset.after, close.after);
            assert_eq!((reset.end, close.end), (End::Reset, End::Close));
        }
    }

    #[test]
    fn a_name_is_resolved_before_anybody_can_refuse() {
        let dns = FaultKind::Network {
            who: region("north"),
            fault: NetworkFault::Dns,
        };
        for kinds in [
            vec![dns.clone(), refuse(Selector::default())],
            vec![refuse(Selector::default()), dns],
        ] {
            let plan = plan(30, kinds);
            let mut outages = all_active(&plan);
            let unresolved = |outages: &Outages| {
                let stopped = (0..30).map(|device| outages.stops_connect(device));
                stopped.filter(|stop| *stop == Some(UNRESOLVED)).count()
            };
            assert_eq!((unresolved(&outages), refused(&outages, &plan)), (10, 20));
            assert!((0..30).all(|device| outages.cut(0, device).is_none()));
            outages.clear(0);
            outages.clear(1);
            assert_eq!((unresolved(&outages), refused(&outages, &plan)), (0, 0));
        }
    }

    #[test]
    fn a_blackhole_swallows_from_start_to_clearing_and_cuts_nobody() {
        let hole = |who| FaultKind::Network {
            who,
            fault: NetworkFault::Blackhole,
        };
        let dns = FaultKind::Network {
            who: region("north"),
            fault: NetworkFault::Dns,
        };
        let everyone = Selector::default;
        let kinds = vec![
            hole(share(0.5)),
            refuse(everyone()),
            hole(region("south")),
            dns,
        ];
        let plan = plan(300, kinds);
        let swallowed = |outages: &Outages| (0..300).filter(|d| outages.swallows(*d)).count();
        let stopped = |outages: &Outages, stop| {
            let stops = (0..300).filter_map(|device| outages.stops_connect(device));
            stops.filter(|found| *found == stop).count()
        };
        let mut outages = Outages::new(&plan);
        assert_eq!(swallowed(&outages), 0);
        outages.start(0);
        assert_eq!(swallowed(&outages), 150);
        assert_eq!(stopped(&outages, Stop::Unanswered), 150);
        outages.start(1);
        assert_eq!(stopped(&outages, Stop::Unanswered), 150);
        assert_eq!(stopped(&outages, REFUSED), 150);
        outages.start(2);
        let both = swallowed(&outages);
        assert!((201..300).contains(&both), "overlapping sets: {both}");
        outages.start(3);
        assert_eq!(stopped(&outages, UNRESOLVED), 100);
        assert_eq!(stopped(&outages, Stop::Unanswered), 200);
        assert!((0..300).all(|device| outages.cut(0, device).is_none()));
        outages.clear(0);
        assert_eq!(swallowed(&outages), 200);
        outages.clear(2);
        assert_eq!(swallowed(&outages), 0);
        let holes = [0, 1, 2, 3].map(|fault| outages.is_blackhole(fault));
        assert_eq!(holes, [true, false, true, false]);
    }

    #[test]
    fn a_connection_stays_half_open_longer_than_a_broker_may_keep_it() {
        assert_eq!(half_open_for(0), Duration::from_secs(10));
        assert_eq!(half_open_for(10), Duration::from_secs(25));
        assert_eq!(half_open_for(u16::MAX), Duration::from_millis(98_312_500));
    }

    #[test]
    fn without_within_all_are_cut_at_the_start() {
        let plan = plan(90, vec![reset(region("south"), Duration::ZERO)]);
        let outages = all_active(&plan);
        let cuts: Vec<Duration> = (0..90)
            .filter_map(|d| outages.cut(0, d))
            .map(|cut| cut.after)
            .collect();
        assert_eq!(cuts, vec![Duration::ZERO; 60]);
    }

    #[test]
    fn draws_of_an_outage_are_fixed_for_ever() {
        let plan = plan(10, vec![reset(Selector::default(), WITHIN)]);
        let cut = all_active(&plan).cut(0, 7).map(|cut| cut.after.as_nanos());
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
                    prop_assert_eq!(outages.cut(fault, device).is_some(), meant);
                    expected[device as usize] |= meant;
                }
            }
            for (device, expected) in (0..).zip(expected) {
                let stops = outages.stops_connect(device);
                prop_assert_eq!(stops, expected.then_some(REFUSED));
            }
        }
    }
}

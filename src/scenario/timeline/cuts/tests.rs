//! Device faults in the timeline: which cuts are something, and where power comes back.

use super::*;
use crate::scenario::fixture;
use crate::scenario::plan::Selector;
use crate::scenario::power::{BootTime, Spread};
use crate::scenario::timeline::compile;
use proptest::prelude::*;

fn s(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn cut(back: Spread, boot: BootTime) -> DeviceFault {
    DeviceFault::PowerCut {
        within: s(0),
        back,
        boot,
    }
}

/// The fixture (10 s of ramp, 60 s of steady), with faults (start, clearing, share, what).
fn plan(devices: u32, faults: &[(u64, u64, f64, DeviceFault)]) -> Plan {
    let mut plan = fixture::plan(devices);
    let fault = |(start, clear, share, fault): &(u64, u64, f64, DeviceFault)| Fault {
        phase: usize::from(*start >= 10),
        start: s(*start),
        clear: s(*clear),
        kind: FaultKind::Device {
            who: Selector {
                share: Some(*share),
                ..Selector::default()
            },
            fault: fault.clone(),
        },
    };
    plan.faults = faults.iter().map(fault).collect();
    plan
}

/// What happens to the power of `device`, in seconds.
fn power_of(plan: &Plan, device: DeviceIdx) -> Vec<(f64, bool)> {
    let power = |entry: Entry| match entry.action {
        Action::PowerOn(of) if of == device => Some((entry.at.as_secs_f64(), true)),
        Action::PowerOff(of) if of == device => Some((entry.at.as_secs_f64(), false)),
        Action::PowerOn(_)
        | Action::PowerOff(_)
        | Action::FaultClear(_)
        | Action::PhaseStart(_)
        | Action::FaultStart(_)
        | Action::End => None,
    };
    compile(plan, |_| true)
        .into_iter()
        .filter_map(power)
        .collect()
}

/// A fleet of one, whose device gets power at T0.
#[test]
fn power_goes_and_comes_as_the_faults_say() {
    let at_once = || cut(Spread::AtOnce, BootTime::NONE);
    let boots = |boot| cut(Spread::AtOnce, BootTime::Fixed(s(boot)));
    let crash = |boot| DeviceFault::Crash {
        within: s(0),
        boot: BootTime::Fixed(s(boot)),
    };
    let first = (0.0, true);
    type Case = (
        &'static str,
        Vec<(u64, u64, f64, DeviceFault)>,
        Vec<(f64, bool)>,
    );
    let table: Vec<Case> = vec![
        ("no fault", vec![], vec![first]),
        (
            "a cut",
            vec![(20, 30, 1.0, at_once())],
            vec![first, (20.0, false), (30.0, true)],
        ),
        (
            "a boot",
            vec![(20, 30, 1.0, boots(7))],
            vec![first, (20.0, false), (37.0, true)],
        ),
        (
            "a crash counts from its own instant",
            vec![(20, 30, 1.0, crash(7))],
            vec![first, (20.0, false), (27.0, true)],
        ),
        (
            "a crash without boot time",
            vec![(20, 30, 1.0, crash(0))],
            vec![first, (20.0, false), (20.0, true)],
        ),
        (
            "the last of two overlapping cuts lets it come back",
            vec![(20, 30, 1.0, at_once()), (25, 40, 1.0, at_once())],
            vec![first, (20.0, false), (40.0, true)],
        ),
        (
            "one within the other changes nothing",
            vec![(20, 40, 1.0, at_once()), (25, 30, 1.0, boots(2))],
            vec![first, (20.0, false), (40.0, true)],
        ),
        (
            "a crash while it boots does not bring it back earlier",
            vec![(20, 30, 1.0, boots(20)), (35, 36, 1.0, crash(1))],
            vec![first, (20.0, false), (50.0, true)],
        ),
        (
            "two cuts one after the other",
            vec![(20, 30, 1.0, at_once()), (40, 50, 1.0, at_once())],
            vec![
                first,
                (20.0, false),
                (30.0, true),
                (40.0, false),
                (50.0, true),
            ],
        ),
        (
            "who was to get power during a power cut gets it afterwards",
            vec![(0, 5, 1.0, at_once())],
            vec![(5.0, true)],
        ),
        (
            "who would be back after the end stays off",
            vec![(20, 30, 1.0, boots(40))],
            vec![first, (20.0, false)],
        ),
    ];
    for (what, faults, expected) in table {
        assert_eq!(power_of(&plan(1, &faults), 0), expected, "{what}");
    }
}

#[test]
fn who_has_no_power_yet_loses_none() {
    // A device per 100 ms from T0 on; the cut from 5 s on finds 50 with power.
    let plan = plan(100, &[(5, 10, 1.0, cut(Spread::AtOnce, BootTime::NONE))]);
    let entries = compile(&plan, |_| true);
    let count = |wanted: fn(Action) -> bool| entries.iter().filter(|e| wanted(e.action)).count();
    assert_eq!(count(|action| matches!(action, Action::PowerOff(_))), 50);
    assert_eq!(count(|action| matches!(action, Action::PowerOn(_))), 150);
}

fn a_spread() -> impl Strategy<Value = Spread> {
    prop_oneof![
        Just(Spread::AtOnce),
        (1u64..30).prop_map(|over| Spread::Uniform(s(over))),
        (1u64..30).prop_map(|over| Spread::Beta(s(over))),
        (1u16..5, 1u64..9).prop_map(|(count, every)| Spread::Waves {
            count,
            every: s(every)
        }),
    ]
}

fn a_fault() -> impl Strategy<Value = (u64, u64, f64, DeviceFault)> {
    let boot = (0u64..5, 0u64..9).prop_map(|(min, more)| BootTime::Uniform {
        min: s(min),
        max: s(min + more),
    });
    let what = (any::<bool>(), 0u64..5, a_spread(), boot);
    (10u64..60, 5u64..10, 0u32..=10, what).prop_map(|(start, length, tenths, what)| {
        let (is_crash, within, back, boot) = what;
        let within = s(within);
        let fault = if is_crash {
            DeviceFault::Crash { within, boot }
        } else {
            DeviceFault::PowerCut { within, back, boot }
        };
        (start, start + length, f64::from(tenths) / 10.0, fault)
    })
}

proptest! {
    #[test]
    fn sorted_alternating_and_the_same_for_every_owner(
        devices in 1u32..80,
        seed: u64,
        workers in 1u32..5,
        faults in prop::collection::vec(a_fault(), 0..4),
    ) {
        let mut plan = plan(devices, &faults);
        plan.seed = seed;
        let whole = compile(&plan, |_| true);
        prop_assert!(whole.windows(2).all(|w| (w[0].at, w[0].action) <= (w[1].at, w[1].action)));
        prop_assert_eq!(whole.last().map(|entry| entry.action), Some(Action::End));
        // The power of each device goes on, off, on, …, and no fault takes more than it means.
        let mut on = vec![false; devices as usize];
        for entry in &whole {
            match entry.action {
                Action::PowerOn(device) => {
                    prop_assert!(!std::mem::replace(&mut on[device as usize], true));
                }
                Action::PowerOff(device) => {
                    prop_assert!(std::mem::replace(&mut on[device as usize], false));
                }
                Action::FaultClear(_) | Action::PhaseStart(_) | Action::FaultStart(_)
                | Action::End => {}
            }
        }
        let offs = whole.iter().filter(|e| matches!(e.action, Action::PowerOff(_))).count();
        let meant: usize = plan.faults.iter().map(|fault| match &fault.kind {
            FaultKind::Device { who, .. } => who.members(&plan).len(),
            FaultKind::Backend { .. } | FaultKind::Network { .. } => 0,
        }).sum();
        prop_assert!(offs <= meant);
        if faults.len() == 1 {
            prop_assert_eq!(offs, meant);
        }
        let is_power = |e: &Entry| matches!(e.action, Action::PowerOn(_) | Action::PowerOff(_));
        let mut parts: Vec<Entry> = (0..workers)
            .flat_map(|w| compile(&plan, |d| d % workers == w))
            .filter(is_power)
            .collect();
        parts.sort_unstable_by_key(|entry| (entry.at, entry.action));
        let all: Vec<Entry> = whole.into_iter().filter(is_power).collect();
        prop_assert_eq!(parts, all);
    }
}

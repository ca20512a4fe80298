//! Tests of links that a fault degrades: what comes on top, and that what is under way stays as it is.

use super::*;
use crate::scenario::fixture;
use crate::scenario::links::PLAIN;
use crate::scenario::plan::{Fault, FaultKind, NetworkFault, Plan, Selector};
use proptest::prelude::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(ms: u64) -> Instant {
    Instant::from_ns(ms * 1_000_000)
}

fn link(base: u64, jitter: u64, loss: f64, bandwidth_bps: u64) -> Link {
    let direction = Direction {
        delay: Delay::Uniform {
            base: ms(base),
            jitter: ms(jitter),
        },
        loss,
        bandwidth_bps: NonZeroU64::new(bandwidth_bps),
    };
    Link {
        preset: None,
        up: direction,
        down: direction,
    }
}

/// A plan with a `degrade` of all devices by each of these.
fn plan(links: &[Link]) -> Plan {
    let mut plan = fixture::plan(10);
    let fault = |link: &Link| Fault {
        phase: 1,
        start: Duration::from_secs(20),
        clear: Duration::from_secs(30),
        kind: FaultKind::Network {
            who: Selector::default(),
            fault: NetworkFault::Degrade(*link),
        },
    };
    plan.faults = links.iter().map(fault).collect();
    plan
}

/// With the first so many of its faults active.
fn outages(plan: &Plan, active: usize) -> Outages {
    let mut outages = Outages::new(plan);
    for fault in 0..active {
        outages.start(fault);
    }
    outages
}

const fn of<'a>(link: &'a Link, outages: &'a Outages) -> Endpoint<'a> {
    Endpoint {
        link,
        outages: Some(outages),
        seed: 42,
        device: 7,
    }
}

#[test]
fn delays_add_up_and_go_back_at_the_clearing() {
    let plan = plan(&[link(200, 0, 0.0, 0), link(50, 0, 0.0, 0)]);
    let own = link(20, 0, 0.0, 0);
    let mut path = Path::new();
    for (active, wanted) in [(0, 20), (1, 220), (2, 270), (0, 20)] {
        let outages = outages(&plan, active);
        let passage = path.open(of(&own, &outages), at(1_000));
        assert_eq!(passage.arrives, at(1_000 + wanted), "{active} active");
        let passage = path.down(of(&own, &outages), at(1_000), 60);
        assert_eq!(passage.arrives, at(1_000 + wanted), "{active} active");
    }
    let two = outages(&plan, 2);
    let mut bare = Path::new();
    assert_eq!(bare.up(of(&PLAIN, &two), at(0), 60).arrives, at(250));
    let none = outages(&plan, 0);
    assert_eq!(Path::new().up(of(&PLAIN, &none), at(0), 60).arrives, at(0));
}

#[test]
fn a_packet_is_lost_where_either_link_loses_it() {
    let plan = plan(&[link(0, 0, 0.2, 0)]);
    let own = link(0, 0, 0.1, 0);
    let outages = outages(&plan, 1);
    let (mut path, n) = (Path::new(), 40_000u32);
    let lost = (0..n).filter(|i| {
        let now = at(u64::from(*i) * 1_000_000);
        path.up(of(&own, &outages), now, 60).lost > 0
    });
    let share = f64::from(u32::try_from(lost.count()).expect("small")) / f64::from(n);
    // 1 - 0.9 * 0.8, with a standard deviation of 0.0022.
    assert!((share - 0.28).abs() < 0.009, "{share}");
}

#[test]
fn what_is_under_way_keeps_its_time_and_its_place() {
    let plan = plan(&[link(500, 0, 0.0, 0)]);
    let (bad, good) = (outages(&plan, 1), outages(&plan, 0));
    let mut path = Path::new();
    assert_eq!(path.up(of(&PLAIN, &bad), at(0), 60).arrives, at(500));
    // Cleared at 100 ms: what is sent then would be there at once, but waits its turn.
    assert_eq!(path.up(of(&PLAIN, &good), at(100), 60).arrives, at(500));
    assert_eq!(path.up(of(&PLAIN, &good), at(501), 60).arrives, at(501));
}

#[test]
fn the_smaller_bandwidth_holds_and_what_waits_for_it_does_not_grow_at_the_clearing() {
    // 60 bytes and 40 of headers: 100 ms at 8 kbit/s.
    let plan = plan(&[link(0, 0, 0.0, 8_000)]);
    let (bad, good) = (outages(&plan, 1), outages(&plan, 0));
    for own in [PLAIN, link(0, 0, 0.0, 8_000_000)] {
        let mut path = Path::new();
        for i in 1..=100 {
            let passage = path.up(of(&own, &bad), at(0), 60);
            assert_eq!(passage.arrives, at(100 * i));
        }
        assert!(of(&own, &bad).limits_up() && of(&own, &bad).limits_down());
        // 10 kB wait, which at 8 Mbit/s would be 10 MB.
        assert!(!path.is_full(of(&own, &bad), at(0)));
        assert!(!path.is_full(of(&own, &good), at(0)));
        let behind = path.up(of(&own, &good), at(0), 60);
        assert!(behind.arrives >= at(10_000), "it does not overtake");
        assert!(!path.is_full(of(&own, &good), at(0)));
    }
    let narrow = link(0, 0, 0.0, 2_000);
    let mut path = Path::new();
    assert_eq!(path.up(of(&narrow, &bad), at(0), 60).arrives, at(400));
}

proptest! {
    #[test]
    fn nothing_comes_sooner_and_nothing_overtakes_when_faults_come_and_go(
        seed: u64,
        steps in proptest::collection::vec((0u64..400, 0usize..3, 0usize..300), 1..60),
    ) {
        let plan = plan(&[link(100, 50, 0.1, 16_000), link(30, 0, 0.3, 0)]);
        let own = link(10, 40, 0.1, 64_000);
        let (mut path, mut plain) = (Path::new(), Path::new());
        let (mut now, mut last) = (Instant::ZERO, Instant::ZERO);
        let nobody = outages(&plan, 0);
        for (gap, active, bytes) in steps {
            now = now.after(ms(gap));
            let outages = outages(&plan, active);
            let end = Endpoint { seed, ..of(&own, &outages) };
            let arrives = path.up(end, now, bytes).arrives;
            let alone = plain.up(Endpoint { seed, ..of(&own, &nobody) }, now, bytes).arrives;
            prop_assert!(arrives >= alone, "{arrives:?} {alone:?}");
            prop_assert!(arrives >= last && arrives >= now);
            last = arrives;
        }
    }
}

//! Degraded links in whole runs: who is slow, for how long, and that all is as before afterwards.

use super::*;
use crate::device::outage::Outages;
use crate::scenario::plan::{Attribute, Delay, Direction, Link, NetworkFault, Selector};

fn link(base: Duration, loss: f64) -> Link {
    let direction = Direction {
        delay: Delay::Uniform {
            base,
            jitter: Duration::ZERO,
        },
        loss,
        bandwidth_bps: None,
    };
    Link {
        preset: None,
        up: direction,
        down: direction,
    }
}

fn degrade(who: Selector, link: Link) -> FaultKind {
    FaultKind::Network {
        who,
        fault: NetworkFault::Degrade(link),
    }
}

fn north() -> Selector {
    Selector {
        attributes: vec![("region".into(), "north".into())],
        ..Selector::default()
    }
}

/// From second 10 to 20 of the steady phase half of the devices have 200 ms more each way.
fn half_degraded(own: Option<Link>) -> Plan {
    let mut plan = plan(200, ms(1_000));
    plan.cohorts[0].link = own;
    plan.cohorts[0].attributes = vec![Attribute {
        name: "region".into(),
        values: vec![("north".into(), 100), ("south".into(), 100)],
        root: None,
    }];
    let kind = degrade(north(), link(ms(200), 0.0));
    with(plan, ms(10_000), ms(20_000), kind)
}

#[test]
fn the_devices_meant_are_slow_from_start_to_clearing_and_lose_nothing() {
    for (own, alone) in [(None, ms(0)), (Some(link(ms(20), 0.0)), ms(40))] {
        let outcome = outcome(half_degraded(own));
        let books = books(&outcome);
        assert_eq!(books.acked, books.planned, "{books:?}");
        assert!(
            outcome.totals.errors.is_empty(),
            "{:?}",
            outcome.totals.errors
        );
        let around = alone + 2 * LINK_DELAY;
        let slow = p(&outcome, Metric::AckResponse, STEADY, 100.0);
        assert_near(slow, around + ms(400), 0.01);
        // A sixth of the time, half of the devices: one message in twelve is slow.
        let histogram = outcome.histogram_in(Metric::AckResponse, STEADY);
        let p91 = histogram.percentile_us(91.0).expect("not empty");
        let p92 = histogram.percentile_us(92.0).expect("not empty");
        assert!(p91 < 60_000 && p92 > 199_000, "{p91} {p92}");
        assert_eq!(outcome.backend("connections_opened"), 200 + 1);
    }
}

#[test]
fn a_plan_whose_fault_degrades_by_nothing_runs_as_one_without_links() {
    let plain = plan(100, ms(1_000));
    let nothing = degrade(Selector::default(), link(ms(0), 0.0));
    let with_fault = with(plain.clone(), ms(10_000), ms(20_000), nothing);
    let [plain, with_fault] = [plain, with_fault].map(outcome);
    assert_eq!(books(&plain), books(&with_fault));
    for metric in [
        Metric::ConnectLatency,
        Metric::AckResponse,
        Metric::EndToEnd,
    ] {
        for phase in [RAMP, STEADY] {
            let of = |outcome: &Outcome| {
                let histogram = outcome.histogram_in(metric, phase);
                [1.0, 50.0, 99.0, 100.0].map(|p| histogram.percentile_us(p))
            };
            assert_eq!(of(&plain), of(&with_fault), "{metric:?}");
        }
    }
}

#[test]
fn loss_shows_as_retransmissions_while_it_lasts() {
    let kind = degrade(Selector::default(), link(ms(0), 0.5));
    let mut plan = with(plan(100, ms(1_000)), ms(10_000), ms(20_000), kind);
    plan.streams[0].ack_timeout = ms(120_000);
    let outcome = outcome(plan);
    assert_eq!(books(&outcome).acked, books(&outcome).planned);
    let (lost, seen) = (outcome.totals.delivery.lost, outcome.totals.delivery.seen);
    assert_eq!((lost, seen), (0, books(&outcome).planned));
    let slowest = p(&outcome, Metric::AckResponse, STEADY, 100.0);
    assert!(slowest > ms(3_000), "{slowest:?}");
    let median = p(&outcome, Metric::AckResponse, STEADY, 50.0);
    assert!(median < ms(1), "{median:?}");
}

#[test]
fn only_the_devices_meant_ever_need_a_link_of_their_own() {
    let plan = half_degraded(None);
    let outages = Outages::new(&plan);
    let meant = (0..200).filter(|device| outages.ever_degrades(*device));
    assert_eq!(meant.collect::<Vec<_>>(), north().members(&plan));
    assert_eq!(plan.degraded(), north().members(&plan));
    assert!((0..200).all(|device| outages.degradations(device).next().is_none()));
}

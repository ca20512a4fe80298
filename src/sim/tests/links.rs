//! Devices behind access links: what the law of the path means for whole runs.

use super::*;
use crate::scenario::plan::{Delay, Direction, Link};
use crate::stats::event::{Cause, Limit};
use crate::stats::recorder::ErrorKind;
use std::num::NonZero;

/// One way as long as the other.
fn symmetric(delay: Delay, loss: f64, bandwidth_bps: Option<u64>) -> Link {
    let direction = Direction {
        delay,
        loss,
        bandwidth_bps: bandwidth_bps.and_then(NonZero::new),
    };
    Link {
        preset: None,
        up: direction,
        down: direction,
    }
}

const fn fixed(base: Duration) -> Delay {
    Delay::Uniform {
        base,
        jitter: Duration::ZERO,
    }
}

fn linked(devices: u32, period: Duration, link: Link) -> Plan {
    let mut plan = plan(devices, period);
    plan.cohorts[0].link = Some(link);
    plan
}

#[test]
fn a_connect_takes_four_passages_and_an_acknowledgement_two() {
    let link = symmetric(fixed(ms(20)), 0.0, None);
    let outcome = outcome(linked(100, ms(5_000), link));
    let passage = ms(20) + LINK_DELAY;
    let connect = p(&outcome, Metric::ConnectLatency, RAMP, 100.0);
    assert_near(connect, 4 * passage, 0.001);
    for percentile in [1.0, 99.0] {
        let ack = p(&outcome, Metric::AckResponse, STEADY, percentile);
        assert_near(ack, 2 * passage, 0.001);
        // The observer is on the cloud's side.
        let seen = p(&outcome, Metric::EndToEnd, STEADY, percentile);
        assert_near(seen, passage + LINK_DELAY, 0.001);
    }
    assert_eq!(books(&outcome).acked, books(&outcome).planned);
}

#[test]
fn what_is_lost_comes_late_and_nothing_is_lost_for_good() {
    let link = symmetric(fixed(ms(20)), 0.02, None);
    let outcome = outcome(linked(400, ms(5_000), link));
    let acked = books(&outcome);
    assert_eq!(acked.acked, acked.planned);
    let delivery = outcome.totals.delivery;
    assert_eq!((delivery.lost, delivery.duplicated), (0, 0));
    // Two passages at 2 % each: one in 25 takes a retransmission timeout of 1 s or more.
    let response = outcome.histogram_in(Metric::AckResponse, STEADY);
    let p95 = response.percentile_us(95.0).expect("not empty");
    let p98 = response.percentile_us(98.0).expect("not empty");
    assert!(p95 < 50_000, "{p95} us");
    assert!((1_000_000..1_100_000).contains(&p98), "{p98} us");
}

#[test]
fn bandwidth_takes_its_time_by_the_bytes() {
    // A PUBLISH of 64 bytes at 8 kbit/s: 1 ms per byte, headers included.
    let narrow = symmetric(fixed(ms(0)), 0.0, Some(8_000));
    let outcome = outcome(linked(20, ms(10_000), narrow));
    let response = p(&outcome, Metric::AckResponse, STEADY, 50.0);
    // 40 bytes of headers each way, 4 bytes of PUBACK, a topic and a payload.
    assert!(
        (ms(84 + 64)..ms(84 + 128)).contains(&response),
        "{response:?}"
    );
}

/// A device writes 10 times what its link takes: nothing pushes back at QoS 0 but its send buffer.
#[test]
fn a_device_that_writes_more_than_its_link_takes_loses_its_connection() {
    let narrow = symmetric(fixed(ms(20)), 0.0, Some(8_000));
    let mut plan = linked(5, ms(10), narrow);
    plan.streams[0].qos = QoS::AtMostOnce;
    plan.observe.devices = 0;
    let outcome = outcome(plan);
    let count = |kind| {
        let errors = &outcome.totals.errors;
        errors
            .iter()
            .find(|e| e.kind == kind)
            .map_or(0, |e| e.count)
    };
    let overflows = count(ErrorKind::Limit(Limit::OutputBytes));
    assert!((5..20).contains(&overflows), "{overflows}");
    let ended = count(ErrorKind::Connection(Cause::OutputOverflow));
    assert_eq!(ended, overflows);
    let all = books(&outcome);
    assert_eq!(all.written + all.waiting, all.planned, "{all:?}");
    // The link takes fewer than ten packets a second, and none of a connection that ended.
    let received = outcome.backend("publishes_received");
    assert!((500..5 * 10 * 75).contains(&received), "{received}");
}

#[test]
fn a_link_too_slow_for_the_connect_timeout_keeps_its_devices_out() {
    let mut plan = linked(10, ms(10_000), symmetric(fixed(ms(400)), 0.0, None));
    plan.cohorts[0].client.connect_timeout = ms(1_000);
    let outcome = outcome(plan);
    let attempts = &outcome.totals.attempts;
    assert_eq!(attempts.iter().map(|a| a.accepted).sum::<u64>(), 0);
    assert!(attempts.iter().map(|a| a.failed).sum::<u64>() > 30);
    let last = outcome.snapshots.last().expect("one per second");
    assert_eq!(last.gauges.connected, 0);
    assert_eq!(outcome.backend("publishes_received"), 0);
    assert!(outcome.backend("connections_opened") > 30);
}

#[test]
fn a_connection_given_up_before_its_syn_arrives_reaches_nobody() {
    let mut plan = linked(10, ms(10_000), symmetric(fixed(ms(1_500)), 0.0, None));
    plan.cohorts[0].client.connect_timeout = ms(1_000);
    let outcome = outcome(plan);
    assert_eq!(outcome.backend("connections_opened"), 1, "the observer's");
    assert_eq!(outcome.backend("inputs_after_close"), 0);
}

#[test]
fn all_come_back_over_jittery_links_in_whatever_order_devices_are_made() {
    let lognormal = Delay::LogNormal {
        median: ms(120),
        sigma: 0.5,
        cap: ms(5_000),
    };
    let restart = BackendFault::Restart {
        sessions: Sessions::Keep,
    };
    let link = symmetric(lognormal, 0.005, Some(300_000));
    let plan = linked(300, ms(2_000), link);
    let mut plan = with_fault(plan, ms(10_000), ms(15_000), restart);
    plan.streams[0].ack_timeout = ms(60_000);
    let plan = Arc::new(plan);
    let outcome = run(&plan, 7).expect("simulated");
    let recovery = outcome.totals.recoveries[0];
    assert_eq!((recovery.affected, recovery.recovered), (300, 300));
    assert_eq!(books(&outcome).acked, books(&outcome).planned);
    assert_eq!(outcome.totals.delivery.lost, 0);
    assert_eq!(format!("{outcome:?}"), format!("{:?}", backwards(&plan)));
}

//! Wills as observers count them, held against the node's own count.

use super::*;
use crate::scenario::plan::{DeviceFault, NetworkFault, Selector, Step, WillPlan};
use crate::scenario::power::{BootTime, Spread};
use crate::scenario::slo::{Bound, Indicator, Limit, Objective, Statistic, Subject, Window};
use crate::stats::books::WillCounts;

const EVERYONE: u32 = 500;

/// A keep-alive of 10 s, a message each second, and a will on the topic on which each device also
/// says that it is here. An objective asks for the wills.
fn asked_for() -> Plan {
    let mut plan = plan(EVERYONE, ms(1_000));
    let cohort = &mut plan.cohorts[0];
    cohort.client.keep_alive_s = 10;
    let topic = fixture::device_template("d/", "/state");
    cohort.on_connect = vec![Step::Publish {
        topic: topic.clone(),
        payload: fixture::device_template("", " is here"),
        qos: QoS::AtLeastOnce,
        retain: true,
    }];
    cohort.session.will = Some(WillPlan {
        topic,
        payload: fixture::device_template("", " is gone"),
        qos: QoS::AtLeastOnce,
        retain: true,
    });
    plan.objectives = vec![Objective {
        name: "wills".to_owned(),
        indicator: Indicator::WillFired,
        statistic: Statistic::Value,
        bound: Bound::AtMost(Limit::Count(0)),
        window: Window::Run,
        subject: Subject::Fleet,
    }];
    plan
}

fn power_cut(back: Duration) -> FaultKind {
    FaultKind::Device {
        who: Selector::default(),
        fault: DeviceFault::PowerCut {
            within: ms(2_000),
            back: Spread::Uniform(back),
            boot: BootTime::NONE,
        },
    }
}

fn hole(share: Option<f64>) -> FaultKind {
    FaultKind::Network {
        who: Selector {
            share,
            ..Selector::default()
        },
        fault: NetworkFault::Blackhole,
    }
}

const fn once(watched: u32, devices: u32) -> WillCounts {
    WillCounts {
        watched: watched as u64,
        fired: devices as u64,
        devices: devices as u64,
        devices_repeated: 0,
        redelivered: 0,
        gaps: 0,
    }
}

/// What observers counted, which must be what the node has published.
fn wills(plan: Plan) -> (WillCounts, Outcome) {
    let outcome = outcome(plan);
    let wills = outcome.totals.wills.expect("asked for");
    assert_eq!(wills.fired, outcome.backend("wills_published"));
    let delivery = outcome.totals.delivery;
    assert_eq!(
        (delivery.lost, delivery.corrupt, delivery.foreign),
        (0, 0, 0)
    );
    (wills, outcome)
}

#[test]
fn who_is_cut_off_for_longer_than_the_keep_alive_fires_once_and_who_says_goodbye_never() {
    let (all, none) = (once(EVERYONE, EVERYONE), once(EVERYONE, 0));
    for (kind, length, expected) in [
        // 1.5 keep-alives, and what is left of the last message's second.
        (hole(None), 25_000, all),
        (hole(Some(0.3)), 25_000, once(EVERYONE, 150)),
        (hole(None), 5_000, none),
        (power_cut(ms(10_000)), 40_000, all),
    ] {
        let name = format!("{kind:?}");
        let mut plan = with(asked_for(), ms(5_000), ms(5_000 + length), kind);
        // A device does not notice a hole of 5 s, nor give up on what it holds.
        plan.streams[0].ack_timeout = ms(120_000);
        let (wills, outcome) = wills(plan);
        assert_eq!(wills, expected, "{name}");
        assert_eq!(outcome.backend("takeovers"), 0, "{name}");
        assert!(outcome.drain_complete, "{name}");
    }
}

/// MQTT 3.1.1, 3.1.2.5: the server closes the old connection, without a DISCONNECT.
#[test]
fn a_connection_that_is_taken_over_fires_its_will() {
    let kind = power_cut(ms(3_000));
    let (wills, outcome) = wills(with(asked_for(), ms(5_000), ms(10_000), kind));
    assert_eq!(wills, once(EVERYONE, EVERYONE));
    assert_eq!(outcome.backend("takeovers"), u64::from(EVERYONE));
}

#[test]
fn two_losses_fire_twice() {
    let plan = with(asked_for(), ms(2_000), ms(7_000), power_cut(ms(1_000)));
    let (wills, _) = wills(with(plan, ms(30_000), ms(35_000), power_cut(ms(1_000))));
    let everyone = u64::from(EVERYONE);
    let (fired, devices) = (2 * everyone, everyone);
    assert_eq!((wills.fired, wills.devices), (fired, devices));
    assert_eq!(wills.devices_repeated, everyone);
}

#[test]
fn a_share_of_observed_devices_is_a_share_of_the_wills() {
    let mut plan = with(asked_for(), ms(5_000), ms(30_000), hole(None));
    plan.observe.devices = 100;
    let outcome = outcome(plan);
    assert_eq!(outcome.totals.wills, Some(once(100, 100)));
    assert_eq!(outcome.backend("wills_published"), u64::from(EVERYONE));
}

/// The node forgets the wills and everybody's connection ends, the observers' too.
#[test]
fn an_observer_that_was_away_says_so() {
    let restart = BackendFault::Restart {
        sessions: Sessions::Keep,
    };
    let plan = with_fault(asked_for(), ms(5_000), ms(10_000), restart);
    let (wills, _) = wills(plan);
    assert_eq!((wills.fired, wills.gaps), (0, 2));
}

#[test]
fn nobody_asks_and_nobody_subscribes() {
    let mut plan = with(asked_for(), ms(5_000), ms(30_000), hole(None));
    let delivered = |plan| outcome(plan).backend("messages_delivered");
    let with_wills = delivered(plan.clone());
    plan.objectives.clear();
    let without = outcome(plan);
    assert_eq!(without.totals.wills, None);
    let wills = without.backend("wills_published");
    assert_eq!(wills, u64::from(EVERYONE));
    // Each device says twice that it is here.
    assert_eq!(
        with_wills,
        without.backend("messages_delivered") + wills + 2 * u64::from(EVERYONE)
    );
}

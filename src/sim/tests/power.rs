//! Power cuts and crashes in whole runs: who falls silent, who notices, how the fleet comes back,
//! and whether the books hold over several boots.

use super::*;
use crate::device::outage::half_open_for;
use crate::scenario::plan::{DeviceFault, NetworkFault, Selector, WillPlan};
use crate::scenario::power::{BootTime, Spread};
use crate::stats::event::{Cause, Limit};
use crate::stats::recorder::ErrorKind;

const EVERYONE: u32 = 500;

fn device_fault(fault: DeviceFault) -> FaultKind {
    let who = Selector::default();
    FaultKind::Device { who, fault }
}

fn cut(within: Duration, back: Spread, boot: BootTime) -> FaultKind {
    device_fault(DeviceFault::PowerCut { within, back, boot })
}

fn crash(within: Duration, boot: BootTime) -> FaultKind {
    device_fault(DeviceFault::Crash { within, boot })
}

/// A keep-alive of 10 s, a message each second, a will.
fn with_wills(devices: u32) -> Plan {
    let mut plan = plan(devices, ms(1_000));
    let cohort = &mut plan.cohorts[0];
    cohort.client.keep_alive_s = 10;
    cohort.session.will = Some(WillPlan {
        topic: fixture::device_template("d/", "/state"),
        payload: crate::scenario::template::Template::default(),
        qos: QoS::AtMostOnce,
        retain: false,
    });
    plan
}

fn count(outcome: &Outcome, kind: ErrorKind) -> u64 {
    let mut errors = outcome.totals.errors.iter();
    errors.find(|e| e.kind == kind).map_or(0, |e| e.count)
}

/// When the share `p` of those affected had come back, in seconds after the clearing.
fn back_s(outcome: &Outcome, p: usize) -> f64 {
    let mut after: Vec<f64> = outcome
        .came_back
        .iter()
        .map(|(_, after)| after.as_secs_f64())
        .collect();
    after.sort_unstable_by(f64::total_cmp);
    after[after.len() * p / 100]
}

/// Without a will that fires there is no trace at a node before 1.5 keep-alives; after a longer cut
/// each will has fired once, after a shorter one each device has taken over its own connection.
#[test]
fn a_power_cut_is_silent_and_nothing_acknowledged_is_lost() {
    for (length, wills, takeovers) in [(40_000, EVERYONE, 0), (5_000, 0, EVERYONE)] {
        let kind = cut(ms(2_000), Spread::Uniform(ms(10_000)), BootTime::NONE);
        let mut plan = with(with_wills(EVERYONE), ms(5_000), ms(5_000 + length), kind);
        if wills == 0 {
            // All are back before the first node has noticed.
            let FaultKind::Device { fault, .. } = &mut plan.faults[0].kind else {
                panic!("it is one");
            };
            *fault = DeviceFault::PowerCut {
                within: ms(2_000),
                back: Spread::Uniform(ms(3_000)),
                boot: BootTime::NONE,
            };
        }
        let outcome = outcome(plan);
        let all = Recovery {
            affected: u64::from(EVERYONE),
            recovered: u64::from(EVERYONE),
        };
        assert_eq!(outcome.totals.recoveries, [all]);
        assert_eq!(
            outcome.backend("keep_alive_expired"),
            u64::from(wills),
            "{length}"
        );
        assert_eq!(outcome.backend("takeovers"), u64::from(takeovers));
        // A take-over ends a connection without a DISCONNECT, too.
        assert_eq!(outcome.backend("wills_published"), u64::from(EVERYONE));
        assert_eq!(
            count(&outcome, ErrorKind::Limit(Limit::HalfOpenConnections)),
            0
        );
        let stopped = ErrorKind::Connection(Cause::DeviceStopped);
        assert_eq!(count(&outcome, stopped), 0, "power is no error: {length}");
        assert_eq!(outcome.backend("sessions_resumed"), u64::from(EVERYONE));
        let delivery = outcome.totals.delivery;
        assert_eq!((delivery.lost, delivery.unverified), (0, 0), "{delivery:?}");
        let books = books(&outcome);
        assert_eq!(
            books.planned,
            books.acked + books.failed + books.device_off,
            "{books:?}"
        );
    }
}

/// Connect and handshake take some 400 us, nothing on the scale of seconds.
#[test]
fn reconnect_times_follow_the_shape_of_the_return() {
    let half = |back, boot| {
        let kind = cut(ms(0), back, boot);
        let outcome = outcome(with(plan(2_000, ms(60_000)), ms(5_000), ms(10_000), kind));
        assert_eq!(outcome.came_back.len(), 2_000);
        (back_s(&outcome, 50), back_s(&outcome, 99))
    };
    // The median of n draws has a deviation of 1 / (2 f sqrt(n)): 0.11 s for 10 s; four of them.
    let near = |found: (f64, f64), t50: f64, t99: f64, margins: (f64, f64)| {
        assert!((found.0 - t50).abs() < margins.0, "T50 {found:?}, {t50}");
        assert!((found.1 - t99).abs() < margins.1, "T99 {found:?}, {t99}");
    };
    let none = BootTime::NONE;
    near(
        half(Spread::Uniform(ms(10_000)), none),
        5.0,
        9.9,
        (0.5, 0.1),
    );
    // Beta(3, 4) has its median at 0.42141 and its 99th percentile at 0.82693.
    near(
        half(Spread::Beta(ms(10_000)), none),
        4.2141,
        8.2693,
        (0.2, 0.45),
    );
    near(half(Spread::AtOnce, none), 0.0, 0.0, (0.01, 0.01));
    let fixed = BootTime::Fixed(ms(7_000));
    near(half(Spread::AtOnce, fixed), 7.0, 7.0, (0.01, 0.01));
    let uniform = BootTime::Uniform {
        min: ms(2_000),
        max: ms(20_000),
    };
    near(half(Spread::AtOnce, uniform), 11.0, 19.82, (0.9, 0.2));
    // The sum of two uniform draws over 10 s: 20 - sqrt(2) at 99 %.
    let boot = BootTime::Uniform {
        min: ms(0),
        max: ms(10_000),
    };
    near(
        half(Spread::Uniform(ms(10_000)), boot),
        10.0,
        20.0 - 2f64.sqrt(),
        (0.5, 0.65),
    );
    let waves = Spread::Waves {
        count: 3,
        every: ms(8_000),
    };
    near(half(waves, none), 8.0, 16.0, (0.01, 0.01));
}

/// Every device loses its power two or three times, some while they are still booting or connecting;
/// schedules of every kind are held against the arithmetic.
#[test]
fn the_books_hold_over_many_boots() {
    let schedules = [
        Schedule::Every {
            period: ms(700),
            phase: PhaseShape::Uniform,
        },
        Schedule::Every {
            period: ms(1_100),
            phase: PhaseShape::Aligned { jitter: ms(400) },
        },
        Schedule::Every {
            period: ms(900),
            phase: PhaseShape::Boot,
        },
        Schedule::Poisson {
            mean_gap: ms(1_300),
        },
    ];
    for schedule in schedules {
        let boot = BootTime::Uniform {
            min: ms(0),
            max: ms(6_000),
        };
        let mut plan = plan(100, ms(1_000));
        plan.streams[0].schedule = schedule;
        let plan = with(plan, ms(5_000), ms(8_000), crash(ms(3_000), boot));
        let plan = with(
            plan,
            ms(6_000),
            ms(15_000),
            cut(ms(4_000), Spread::Beta(ms(9_000)), boot),
        );
        let plan = with(plan, ms(40_000), ms(41_000), crash(ms(1_000), boot));
        // What waits and what is in flight goes with the power.
        let refuse = FaultKind::Network {
            who: Selector::default(),
            fault: NetworkFault::Reset { within: ms(0) },
        };
        let plan = with(plan, ms(4_000), ms(6_500), refuse);
        let plan = with_fault(
            plan,
            ms(39_000),
            ms(42_000),
            BackendFault::AckDelay(ms(900)),
        );
        let outcome = outcome(plan);
        let books = books(&outcome);
        assert!(
            books.device_off + books.failed > 0,
            "{schedule:?}: {books:?}"
        );
        assert_eq!(outcome.totals.delivery.lost, 0);
        assert_eq!(outcome.totals.delivery.foreign, 0);
        assert!(outcome.backend("connections_opened") > 250);
    }
}

#[test]
fn who_has_no_power_is_not_expected_and_who_stays_off_is_stranded() {
    let boot = BootTime::Fixed(ms(100_000));
    let kind = cut(ms(0), Spread::AtOnce, boot);
    let outcome = outcome(with(plan(100, ms(1_000)), ms(20_000), ms(30_000), kind));
    let none = Recovery {
        affected: 100,
        recovered: 0,
    };
    assert_eq!(outcome.totals.recoveries, [none]);
    let (up_s, expected_s) = outcome.totals.availability[STEADY];
    assert!((expected_s - 2_000.0).abs() < 1e-6, "{expected_s}");
    assert!((up_s - 2_000.0).abs() < 1e-6, "{up_s}");
    books(&outcome);
}

/// Who never hears of its half-open connection's end closes it when its time is over.
#[test]
fn a_connection_that_nobody_watches_lasts_its_time() {
    let mut plan = plan(10, ms(60_000));
    plan.cohorts[0].client.keep_alive_s = 0;
    let boot = BootTime::Fixed(ms(100_000));
    let kind = cut(ms(0), Spread::AtOnce, boot);
    let outcome = outcome(with(plan, ms(20_000), ms(30_000), kind));
    assert_eq!(half_open_for(0), ms(10_000));
    assert_eq!(outcome.backend("connections_open"), 1, "the observer's");
    assert_eq!(outcome.backend("keep_alive_expired"), 0);
}

#[test]
fn power_does_not_depend_on_the_order_in_which_devices_are_made() {
    let boot = BootTime::Uniform {
        min: ms(0),
        max: ms(6_000),
    };
    let plan = with(
        with_wills(150),
        ms(5_000),
        ms(22_000),
        cut(ms(2_000), Spread::Beta(ms(9_000)), boot),
    );
    let plan = Arc::new(with(plan, ms(40_000), ms(42_000), crash(ms(2_000), boot)));
    let text = |outcome: &Outcome| format!("{outcome:?}");
    let first = run(&plan, 7).expect("simulated");
    assert_eq!(text(&first), text(&backwards(&plan)));
}

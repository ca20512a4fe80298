//! A fleet stepped by hand, at instants of the test's choosing and without a peer: what of its run
//! reaches the books and the coordinator.

use super::clock::Clock;
use super::fleet::{Assignment, Fleet, Shared};
use super::outgoing::Outgoing;
use super::port::Routes;
use super::timer::Alarm;
use crate::scenario::fixture;
use crate::scenario::plan::{BackendFault, Fault, Plan};
use crate::time::{Duration, Instant};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

const STEADY: usize = 1;

/// The one worker of `plan` before T0, within a runtime whose tasks do not run.
fn with_fleet(plan: Plan, test: impl FnOnce(&Shared, &Outgoing)) {
    let runtime = super::runtime().expect("a test has file descriptors left");
    runtime.block_on(async {
        let clock = Clock::starting_now();
        let alarm = Alarm::new(clock).expect("a test has a file descriptor left");
        let outgoing = Outgoing::default();
        let assignment = Assignment {
            owned: (0..plan.devices()).collect(),
            plan: Arc::new(plan),
            run: 7,
            worker: 0,
        };
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let routes = Routes::new(vec![nowhere], Vec::new());
        let fleet = Fleet::new(clock, Rc::new(alarm), assignment, routes, outgoing.clone());
        test(&fleet, &outgoing);
    });
}

/// 3 devices with power from the first 10 s on, and faults in the phase that follows.
fn plan(faults: &[(u64, u64)]) -> Plan {
    let mut plan = fixture::plan(3);
    let begin = plan.phases[STEADY].start;
    plan.faults = faults
        .iter()
        .map(|&(start, clear)| Fault {
            phase: STEADY,
            start: begin + Duration::from_secs(start),
            clear: begin + Duration::from_secs(clear),
            node: None,
            kind: BackendFault::Refuse,
        })
        .collect();
    plan
}

/// The devices marked as cut off, by fault, after all of the timeline up to `seconds` after T0.
fn marks_at(fleet: &Shared, seconds: u64) -> Vec<Option<u16>> {
    let mut fleet = fleet.borrow_mut();
    let now = fleet.state.start.after(Duration::from_secs(seconds));
    fleet.run_timeline(now, usize::MAX);
    fleet.devices.iter().map(|slot| slot.recovering).collect()
}

#[test]
fn of_several_faults_in_a_phase_the_last_clearing_marks_devices() {
    with_fleet(plan(&[(5, 22), (10, 11)]), |fleet, _| {
        fleet.borrow_mut().begin(Instant::ZERO, |_| true);
        assert_eq!(marks_at(fleet, 10 + 12), [None; 3]);
        assert_eq!(marks_at(fleet, 10 + 23), [Some(0); 3]);
        let totals = fleet
            .borrow_mut()
            .close_books(Instant::ZERO.after(Duration::from_secs(40)));
        let affected: Vec<u64> = totals.recoveries.iter().map(|r| r.affected).collect();
        assert_eq!(affected, [3]);
    });
}

#[test]
fn nobody_comes_back_after_the_end() {
    with_fleet(plan(&[(50, 55)]), |fleet, _| {
        fleet.borrow_mut().begin(Instant::ZERO, |_| true);
        assert_eq!(marks_at(fleet, 10 + 56), [Some(0); 3]);
        assert_eq!(marks_at(fleet, 10 + 60), [None; 3]);
    });
}

#[test]
fn the_series_ends_with_the_books() {
    with_fleet(plan(&[]), |fleet, outgoing| {
        let mut fleet = fleet.borrow_mut();
        let at = |seconds| Instant::ZERO.after(Duration::from_secs(seconds));
        fleet.begin(Instant::ZERO, |_| true);
        fleet.end_second(at(1));
        fleet.close_books(at(2));
        assert_eq!(outgoing.take_all().len(), 1, "one second has ended");
        fleet.end_second(at(3));
        assert_eq!(outgoing.take_all(), []);
    });
}

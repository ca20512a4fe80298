//! A fleet stepped by hand, at instants of the test's choosing and without a peer: what of its run
//! reaches the books and the coordinator.

use super::clock::Clock;
use super::control::Report;
use super::fleet::{Assignment, Fleet, Shared};
use super::outgoing::Outgoing;
use super::port::Routes;
use super::timer::Alarm;
use crate::cloud::observer::{Input, Output};
use crate::device;
use crate::mqtt::packet::{ConnectCode, Packet, QoS};
use crate::scenario::fixture;
use crate::scenario::plan::{BackendFault, Fault, FaultKind, Plan};
use crate::stats::event::Cause;
use crate::stats::recorder::ErrorKind;
use crate::time::{Duration, Instant};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

const STEADY: usize = 1;

/// The one worker of `plan` before T0, to be made inside a runtime, and what it reports.
pub(super) fn fleet_of(plan: Plan) -> (Shared, Outgoing) {
    fleet_of_target(plan, SocketAddr::from((Ipv4Addr::LOCALHOST, 9)))
}

/// The same, with the address of its one target.
pub(super) fn fleet_of_target(plan: Plan, target: SocketAddr) -> (Shared, Outgoing) {
    worker_of(plan, target, false)
}

/// The worker of `plan` that has all devices, or the one that has the operator.
pub(super) fn worker_of(plan: Plan, target: SocketAddr, is_operator: bool) -> (Shared, Outgoing) {
    let clock = Clock::starting_now();
    let alarm = Alarm::new(clock).expect("a test has a file descriptor left");
    let outgoing = Outgoing::default();
    let assignment = Assignment {
        owned: match is_operator {
            true => Vec::new(),
            false => (0..plan.devices()).collect(),
        },
        plan: Arc::new(plan),
        run: 7,
        worker: 0,
        is_operator,
    };
    let routes = Routes::new(vec![target], Vec::new());
    let fleet = Fleet::new(clock, Rc::new(alarm), assignment, routes, outgoing.clone());
    (fleet, outgoing)
}

/// Gives `test` that worker, within a runtime whose tasks do not run.
fn with_fleet(plan: Plan, test: impl FnOnce(&Shared, &Outgoing)) {
    let runtime = super::runtime().expect("a test has file descriptors left");
    runtime.block_on(async {
        let (fleet, outgoing) = fleet_of(plan);
        test(&fleet, &outgoing);
    });
}

/// 3 devices with power from the first 10 s on, and faults in the phase that follows.
pub(super) fn plan(faults: &[(u64, u64)]) -> Plan {
    let mut plan = fixture::plan(3);
    let begin = plan.phases[STEADY].start;
    plan.faults = faults
        .iter()
        .map(|&(start, clear)| Fault {
            phase: STEADY,
            start: begin + Duration::from_secs(start),
            clear: begin + Duration::from_secs(clear),
            kind: FaultKind::Backend {
                node: None,
                fault: BackendFault::Refuse,
            },
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

/// Connects the observer, and answers its SUBSCRIBE with `granted` for each topic.
fn subscribe(fleet: &mut Fleet, now: Instant, granted: Option<QoS>) {
    let accepted = Packet::ConnAck {
        session_present: false,
        code: ConnectCode::Accepted,
    };
    let mut sent = Vec::new();
    for input in [Input::Opened, Input::Received(accepted)] {
        fleet.observers[0]
            .observer
            .handle_input(now, input, &mut sent);
    }
    let Some(Output::Send(Packet::Subscribe { packet_id, filters })) = sent.last() else {
        panic!("no SUBSCRIBE in {sent:?}");
    };
    let answer = Packet::SubAck {
        packet_id: *packet_id,
        granted: vec![granted; filters.len()],
    };
    fleet.step_observer(0, now, Input::Received(answer));
}

#[test]
fn an_observer_refused_in_the_run_warns_and_one_refused_before_it_fails() {
    with_fleet(plan(&[]), |fleet, outgoing| {
        let mut fleet = fleet.borrow_mut();
        fleet.arm();
        subscribe(&mut fleet, Instant::ZERO, Some(QoS::AtLeastOnce));
        assert_eq!(outgoing.take_all(), [Report::Armed]);
        fleet.begin(Instant::ZERO, |_| true);
        fleet.step_observer(0, Instant::ZERO, Input::Closed(Cause::Reset));
        let back = Instant::ZERO.after(Duration::from_secs(3));
        fleet.step_observer(0, back, Input::Timeout);
        subscribe(&mut fleet, back, None);
        assert_eq!(fleet.take_failure(), None);
        let [Report::Warning(text)] = &outgoing.take_all()[..] else {
            panic!("no warning");
        };
        assert!(
            text.contains("delivery of its 3 devices is unverified"),
            "{text}"
        );
    });
    with_fleet(plan(&[]), |fleet, _| {
        let mut fleet = fleet.borrow_mut();
        fleet.arm();
        subscribe(&mut fleet, Instant::ZERO, None);
        assert!(
            fleet
                .take_failure()
                .is_some_and(|why| why.contains("refuses"))
        );
    });
}

#[test]
fn a_message_without_a_connection_to_write_to_is_counted() {
    with_fleet(plan(&[]), |fleet, _| {
        let mut fleet = fleet.borrow_mut();
        fleet.begin(Instant::ZERO, |_| true);
        let accepted = Packet::ConnAck {
            session_present: false,
            code: ConnectCode::Accepted,
        };
        for input in [
            device::Input::PowerOn,
            device::Input::Opened,
            device::Input::Received(accepted),
        ] {
            fleet.step_device(0, Instant::ZERO, Instant::ZERO, input);
        }
        let key = fleet.device_key(0);
        fleet.close(key);
        let mut now = Instant::ZERO;
        while fleet.devices[0].device.in_flight().is_empty() {
            now = fleet.devices[0].device.poll_timeout();
            fleet.step_device(0, now, now, device::Input::Timeout);
        }
        let totals = fleet.close_books(now);
        let errors: Vec<(ErrorKind, u64)> =
            totals.errors.iter().map(|e| (e.kind, e.count)).collect();
        assert_eq!(errors, [(ErrorKind::GeneratorUnsent, 1)]);
    });
}

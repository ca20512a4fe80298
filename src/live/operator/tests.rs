//! The operator's worker stepped by hand, against a peer that the kernel accepts connections for.

use super::*;
use crate::live::control::FINDINGS_MAX;
use crate::live::findings::report_all;
use crate::live::fleet::Shared;
use crate::live::outgoing::{Outgoing, WAITING_MAX};
use crate::live::run_state::Stage;
use crate::live::tests::worker_of;
use crate::mqtt::packet::{ConnectCode, Packet, QoS};
use crate::scenario::campaign::{FleetCommand, Offline, Population};
use crate::scenario::fixture::{self, device_template};
use crate::scenario::plan::Plan;
use crate::scenario::update::{CommandHandler, Reported};
use crate::stats::results::{CommandOutcome, Finding};
use crate::time::Duration;
use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;

/// Three devices, all of which get a command 20 s after T0.
fn plan() -> Plan {
    let mut plan = fixture::plan(3);
    plan.cohorts[0].reported = Some(Reported {
        topic: device_template("d/", "/reported"),
        qos: QoS::AtLeastOnce,
        every: None,
    });
    plan.cohorts[0].commands = Some(CommandHandler {
        topic: device_template("d/", "/rpc"),
        qos: QoS::AtLeastOnce,
        work: Duration::ZERO,
        failure: 0.0,
        idempotent: true,
    });
    plan.commands = vec![FleetCommand {
        name: "slow-down".into(),
        phase: 1,
        start: Duration::from_secs(20),
        targets: Population::default(),
        payload: "{}".into(),
        timeout: Duration::from_secs(10),
        retries: 2,
        offline: Offline::Queue,
        rate_per_s: None,
        by_hand: Duration::from_secs(600),
    }];
    plan
}

/// Gives `test` the operator's worker of that plan, within a runtime.
fn by_hand(test: impl AsyncFnOnce(&Shared, &Outgoing, &TcpListener)) {
    let runtime = crate::live::runtime().expect("a test has file descriptors left");
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound");
        let (fleet, outgoing) = worker_of(plan(), address, true);
        test(&fleet, &outgoing, &listener).await;
    });
}

/// The one desk connects, and what it asks for is `granted`.
fn answer_desk(fleet: &mut Fleet, granted: Option<QoS>) {
    let now = fleet.clock.now();
    let accepted = || Packet::ConnAck {
        session_present: false,
        code: ConnectCode::Accepted,
    };
    // Another operator of the same plan shows what this one asks for.
    let mut twin = Operator::of(&fleet.plan, fleet.run).expect("the plan has one");
    let mut said = Vec::new();
    for input in [
        Input::Start,
        Input::Opened(0),
        Input::Received(0, accepted()),
    ] {
        twin.handle_input(now, input, &mut said);
    }
    let subscribe = said.iter().find_map(|output| match output {
        Output::Send(_, Packet::Subscribe { packet_id, filters }) => {
            Some((*packet_id, filters.len()))
        }
        Output::Send(..)
        | Output::Open(_)
        | Output::Close(_)
        | Output::Publish(..)
        | Output::Event(_) => None,
    });
    let (packet_id, filters) = subscribe.expect("it asks for all in one SUBSCRIBE");
    fleet.step_operator(now, Input::Opened(0));
    fleet.step_operator(now, Input::Received(0, accepted()));
    let answer = Packet::SubAck {
        packet_id,
        granted: vec![granted; filters],
    };
    fleet.step_operator(now, Input::Received(0, answer));
}

fn findings(outgoing: &Outgoing) -> Vec<Vec<Finding>> {
    let said = outgoing.take_all().into_iter();
    let findings = said.filter_map(|report| match report {
        Report::Findings(findings) => Some(findings),
        Report::Snapshot(_) => None,
        Report::Listening(_)
        | Report::Ready
        | Report::Serving(_)
        | Report::Armed
        | Report::Drained(_)
        | Report::Done(_)
        | Report::BackendDone { .. }
        | Report::Warning(_)
        | Report::EvidenceFailed(_)
        | Report::Failed(_) => panic!("{report:?}"),
    });
    findings.collect()
}

#[test]
fn its_worker_is_armed_when_its_desks_are() {
    by_hand(async |fleet, outgoing, _| {
        let mut fleet = fleet.borrow_mut();
        fleet.arm();
        assert_eq!(outgoing.take_all(), []);
        assert_eq!(fleet.routes.open(), 1);
        answer_desk(&mut fleet, Some(QoS::AtLeastOnce));
        assert_eq!(outgoing.take_all(), [Report::Armed]);
        assert!(fleet.observers.is_empty() && fleet.failed.is_none());
    });
}

#[test]
fn a_refused_subscription_and_a_silent_target_are_named() {
    by_hand(async |fleet, outgoing, listener| {
        let mut fleet = fleet.borrow_mut();
        fleet.arm();
        answer_desk(&mut fleet, None);
        let why = fleet.take_failure().expect("it cannot go on");
        let address = listener.local_addr().expect("it is bound");
        let wanted =
            format!("{address} refuses a subscription of the operator's session fs-op-00000007-0");
        assert!(why.contains(&wanted), "{why}");
        assert_eq!(outgoing.take_all(), []);
    });
    by_hand(async |fleet, _, _| {
        let mut fleet = fleet.borrow_mut();
        fleet.arm();
        let late = fleet.state.arm_began.after(ARM_TIMEOUT);
        fleet.watch(late);
        let why = fleet.take_failure().expect("it took too long");
        assert!(
            why.contains("the operator's 1 sessions") && why.contains("no answer"),
            "{why}"
        );
    });
}

#[test]
fn every_target_has_its_row_when_the_books_close() {
    by_hand(async |fleet, outgoing, _| {
        let start = {
            let mut fleet = fleet.borrow_mut();
            fleet.arm();
            answer_desk(&mut fleet, Some(QoS::AtLeastOnce));
            assert_eq!(outgoing.take_all(), [Report::Armed]);
            let start = fleet.clock.now();
            fleet.begin(start, |_| false);
            start
        };
        let at = |s| start.after(Duration::from_secs(s));
        {
            let mut fleet = fleet.borrow_mut();
            // Not before its time: the timer's batch asks again.
            fleet.fire_operator(at(19));
            assert!(fleet.findings.is_empty());
            fleet.fire_operator(at(20));
            assert_eq!(fleet.findings.len(), 1);
            fleet.run_timeline(at(70), usize::MAX);
            assert_eq!(fleet.state.stage, Stage::Draining);
            let totals = fleet.close_books(at(75));
            assert!(
                totals
                    .books
                    .iter()
                    .flatten()
                    .all(|books| books.planned == 0)
            );
            // Nothing is found after that.
            fleet.step_operator(at(76), Input::Close);
            let again = Finding::CommandStarted {
                command: 0,
                at: at(76),
                targets: 0,
            };
            fleet.found(again);
        }
        report_all(fleet).await;
        let all: Vec<Finding> = findings(outgoing).concat();
        let rows: Vec<(u32, CommandOutcome)> = (all.iter())
            .filter_map(|finding| match finding {
                Finding::Command(row) => Some((row.device, row.outcome)),
                Finding::Result(_)
                | Finding::Query(_)
                | Finding::Campaign { .. }
                | Finding::CommandStarted { .. } => None,
            })
            .collect();
        let mut devices: Vec<u32> = rows.iter().map(|row| row.0).collect();
        devices.sort_unstable();
        assert_eq!(devices, [0, 1, 2], "{all:?}");
        assert_eq!(all.len(), 1 + 3, "{all:?}");
    });
}

#[test]
fn findings_go_out_in_bounded_batches_and_none_is_dropped() {
    let finding = |n: usize| Finding::CommandStarted {
        command: 0,
        at: Instant::ZERO,
        targets: u32::try_from(n).expect("few"),
    };
    by_hand(async |fleet, outgoing, _| {
        let all = FINDINGS_MAX * (WAITING_MAX / 2 + 3) + 5;
        {
            let mut fleet = fleet.borrow_mut();
            for n in 0..all {
                fleet.found(finding(n));
            }
            // Half of the queue is for what cannot wait.
            assert!(!outgoing.has_room() && fleet.findings.len() >= 3 * FINDINGS_MAX);
        }
        let mut got = Vec::new();
        let taker = async {
            while got.len() < all {
                for batch in findings(outgoing) {
                    assert!(batch.len() <= FINDINGS_MAX);
                    got.extend(batch);
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(report_all(fleet), taker);
        let wanted = (0..all).map(finding);
        assert!(got.into_iter().eq(wanted));
    });
}

#[test]
fn a_desk_may_have_much_waiting_but_not_everything() {
    by_hand(async |fleet, _, _| {
        let mut fleet = fleet.borrow_mut();
        fleet.arm();
        fleet.begin(Instant::ZERO, |_| false);
        let now = fleet.clock.now();
        let key = fleet.desk_key(0);
        fleet.port(key).current().expect("it connects").hold();
        let mut kept = 0;
        while fleet.port(key).current().is_some() {
            let mut bytes = vec![0; 1 << 20];
            fleet.write_desk(0, now, &mut bytes);
            assert!(bytes.is_empty());
            kept += 1;
        }
        // The limit, and the one write that went beyond it.
        assert_eq!(kept, (DESK_OUTPUT_MAX >> 20) + 2);
        fleet.fire_desk(0, now);
        let totals = fleet.close_books(now);
        let errors: Vec<_> = totals.errors.iter().map(|e| (e.kind, e.count)).collect();
        let wanted = [
            (ErrorKind::Limit(Limit::OutputBytes), 1),
            (ErrorKind::Operator(Cause::OutputOverflow), 1),
        ];
        assert_eq!(errors, wanted);
    });
}

#[test]
fn what_desks_left_retained_is_remembered_until_it_is_cleared() {
    by_hand(async |fleet, _, _| {
        let mut fleet = fleet.borrow_mut();
        let publish = |retain, payload: &'static [u8]| SharedPublish {
            qos: QoS::AtMostOnce,
            retain,
            dup: false,
            packet_id: 0,
            topic: "a".into(),
            payload: payload.into(),
        };
        let retained = |fleet: &Fleet| {
            let staff = fleet.staff.as_ref().expect("it has the operator");
            staff.desks[0].retained.len()
        };
        fleet.note_retained(0, publish(false, b"x"));
        assert_eq!(retained(&fleet), 0);
        fleet.note_retained(0, publish(true, b"x"));
        assert_eq!(retained(&fleet), 1);
        fleet.note_retained(0, publish(true, b""));
        assert_eq!(retained(&fleet), 0);
    });
    // Whatever the run was like, a desk's session is cleared.
    by_hand(async |fleet, _, _| {
        let left = crate::live::teardown::left_behind(&Rc::clone(fleet).borrow());
        assert_eq!(left, [crate::live::teardown::Leftover::Desk(0)]);
    });
}

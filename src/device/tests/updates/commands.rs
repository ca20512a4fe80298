//! Commands and reports.

use super::servers::Speaker;
use super::*;
use crate::scenario::campaign::{FleetCommand, Offline};
use crate::wire::command::{Request, request_topic};

pub(super) fn handler() -> CommandHandler {
    CommandHandler {
        topic: fixture::device_template("d/", "/rpc"),
        qos: QoS::AtLeastOnce,
        work: Duration::from_millis(100),
        failure: 0.0,
        idempotent: true,
    }
}

fn command_plan(change: impl FnOnce(&mut CommandHandler)) -> Plan {
    let mut plan = aws(Encoding::Cbor);
    let cohort = &mut plan.cohorts[0];
    cohort.update = None;
    cohort.reported = Some(Reported {
        topic: fixture::device_template("d/", "/reported"),
        qos: QoS::AtLeastOnce,
        every: None,
    });
    let mut handler = handler();
    change(&mut handler);
    cohort.commands = Some(handler);
    plan.commands = vec![FleetCommand {
        name: "slow-down".into(),
        phase: 1,
        start: Duration::from_secs(10),
        targets: Population::default(),
        payload: "{}".into(),
        timeout: Duration::from_secs(10),
        retries: 1,
        offline: Offline::Skip,
        rate_per_s: None,
        by_hand: Duration::from_secs(600),
    }];
    plan
}

fn request(id: &str, command: &str) -> (String, Vec<u8>) {
    let request = Request {
        id: id.into(),
        command: command.into(),
        params: None,
    };
    (request_topic("d/meters-0/rpc", id), request.write())
}

fn world(plan: Plan) -> World {
    let mut world = World::new(plan, Speaker::new());
    world.run(1.0);
    world
}

#[test]
fn a_command_is_carried_out_once_and_answered_each_time() {
    let mut world = world(command_plan(|_| {}));
    world.push(request("7-slow-down", "slow-down"));
    world.push(request("7-slow-down", "slow-down"));
    world.run(2.0);
    world.push(request("7-slow-down", "slow-down"));
    world.push(request("7-report", "report"));
    world.run(3.0);
    insta::assert_snapshot!(world.text, @r#"
    0s d/meters-0/reported {"at":0,"fw":"1.4.2","hw":"C"}
    1s Command(Repeated)
    1.1s Command(Executed)
    1.1s d/meters-0/rpc/response/7-slow-down {"id":"7-slow-down","status":"succeeded"}
    2s Command(Repeated)
    2s d/meters-0/rpc/response/7-slow-down {"id":"7-slow-down","status":"succeeded"}
    2s d/meters-0/reported {"at":2000,"fw":"1.4.2","hw":"C"}
    "#);
    world.assert_replays();
}

#[test]
fn without_idempotence_it_is_carried_out_again() {
    let mut world = world(command_plan(|handler| {
        handler.idempotent = false;
        handler.work = Duration::ZERO;
    }));
    world.push(request("7-slow-down", "slow-down"));
    world.push(request("7-slow-down", "slow-down"));
    world.run(2.0);
    assert_eq!(world.text.matches("Command(Executed)").count(), 1);
    assert_eq!(world.text.matches("Command(ExecutedAgain)").count(), 1);
    assert_eq!(world.text.matches("succeeded").count(), 2);
}

#[test]
fn a_failure_is_drawn_and_remembered() {
    let mut world = world(command_plan(|handler| handler.failure = 1.0));
    world.push(request("7-slow-down", "slow-down"));
    world.run(2.0);
    world.push(request("7-slow-down", "slow-down"));
    world.run(3.0);
    assert_eq!(world.text.matches("Command(Failed)").count(), 1);
    assert_eq!(world.text.matches("failed").count(), 2);
}

#[test]
fn what_is_carried_out_at_a_time_and_remembered_is_bounded() {
    let mut world = world(command_plan(|_| {}));
    for nth in 0..10 {
        world.push(request(&format!("7-{nth}"), "slow-down"));
    }
    world.run(2.0);
    assert_eq!(world.text.matches("CommandsAtOnce").count(), 2);
    assert_eq!(world.text.matches("Command(Executed)").count(), 8);
    for nth in 10..30 {
        world.push(request(&format!("7-{nth}"), "slow-down"));
        world.run(f64::from(nth));
    }
    // Forgotten, so it counts as a new one.
    world.push(request("7-0", "slow-down"));
    world.run(40.0);
    assert_eq!(world.text.matches("Command(Executed)").count(), 8 + 20 + 1);
}

#[test]
fn what_is_no_request_is_left() {
    let mut world = world(command_plan(|_| {}));
    let (topic, good) = request("7-slow-down", "slow-down");
    for payload in [
        &b""[..],
        b"{",
        b"[]",
        b"\xff",
        b"{\"id\":\"8\",\"command\":\"x\"}",
        &good[..20],
    ] {
        world.push((topic.clone(), payload.to_vec()));
    }
    // Another topic is not for it.
    world.push(("d/meters-0/rpc/response/7".into(), good));
    world.run(2.0);
    assert_eq!(world.text.matches("Command(BadRequest)").count(), 6);
    assert!(!world.text.contains("Executed") && !world.text.contains("/response/"));
}

#[test]
fn an_answer_survives_an_outage_but_no_power_cut() {
    let mut world = world(command_plan(|_| {}));
    world.push(request("7-slow-down", "slow-down"));
    world.cut();
    world.run(2.0);
    world.down = false;
    world.run(20.0);
    assert_eq!(world.text.matches("\"succeeded\"").count(), 1);

    world.push(request("7-other", "other"));
    world.power_off();
    world.run(30.0);
    world.power_on();
    world.run(40.0);
    assert!(!world.text.contains("7-other"));
    // What it has carried out it knows for good.
    world.push(request("7-slow-down", "slow-down"));
    assert_eq!(world.text.matches("Command(Repeated)").count(), 1);
}

#[test]
fn reports_come_at_their_period_while_online() {
    let mut plan = command_plan(|_| {});
    let words = plan.cohorts[0].reported.as_mut().expect("it has");
    words.every = Some(Duration::from_secs(10));
    let mut world = world(plan);
    world.run(100.0);
    let reports = world.text.matches("/reported").count();
    // That of the connect, and ten at their phase.
    assert_eq!(reports, 11);
    world.cut();
    world.run(200.0);
    assert_eq!(world.text.matches("/reported").count(), reports);
}

//! Fleet commands, from the request to the row.

use super::*;
use crate::stats::results::CommandOutcome;

const ID: &str = "0000feed-slow-down";

fn rig(devices: u32, change: impl FnOnce(&mut FleetCommand)) -> Rig {
    let mut plan = plan(devices);
    plan.commands = vec![command("slow-down")];
    change(&mut plan.commands[0]);
    Rig::new(plan)
}

/// All of them are there from T0 on.
fn rig_with_all_there(devices: u32, change: impl FnOnce(&mut FleetCommand)) -> Rig {
    let mut rig = rig(devices, change);
    for device in 0..devices {
        rig.report(device, "1.4.2");
    }
    rig
}

fn request(device: u32) -> (String, String) {
    let payload =
        format!("{{\"id\":\"{ID}\",\"command\":\"slow-down\",\"params\":{{\"interval_s\":300}}}}");
    (format!("d/meters-{device}/rpc/request/{ID}"), payload)
}

fn answer(rig: &mut Rig, device: u32, status: &str) {
    let payload = format!("{{\"id\":\"{ID}\",\"status\":\"{status}\"}}");
    rig.hear(&format!("d/meters-{device}/rpc/response/{ID}"), payload);
}

fn outcomes(rig: &Rig) -> Vec<(u32, CommandOutcome, u8, u8)> {
    let mut rows: Vec<_> = rig
        .commands()
        .iter()
        .map(|row| (row.device, row.outcome, row.attempts, row.answers))
        .collect();
    rows.sort_unstable();
    rows
}

#[test]
fn answers_are_rows_and_lost_ones_are_asked_for_again() {
    let mut rig = rig_with_all_there(4, |_| ());
    rig.run_until(at(1_000));
    let mut said = rig.take_texts();
    said.sort_unstable();
    assert_eq!(said, [request(0), request(1), request(2), request(3)]);
    rig.now = at(1_200);
    answer(&mut rig, 0, "succeeded");
    answer(&mut rig, 1, "failed");
    rig.run_until(at(5_000));
    let mut said = rig.take_texts();
    said.sort_unstable();
    assert_eq!(said, [request(2), request(3)], "only who has not answered");
    rig.now = at(5_100);
    // Both of its answers come now.
    answer(&mut rig, 2, "succeeded");
    answer(&mut rig, 2, "succeeded");
    rig.run_until(at(20_000));
    assert!(rig.operator.is_settled());
    assert!(rig.take_said().is_empty());
    assert_eq!(
        outcomes(&rig),
        [
            (0, CommandOutcome::Succeeded, 1, 1),
            (1, CommandOutcome::Failed, 1, 1),
            (2, CommandOutcome::Succeeded, 2, 2),
            (3, CommandOutcome::TimedOut, 2, 0),
        ]
    );
    let rows = rig.commands();
    let row = rows
        .iter()
        .find(|row| row.device == 2)
        .expect("it has a row");
    assert_eq!((row.intended, row.sent), (Some(at(1_000)), Some(at(1_000))));
    assert_eq!(row.answered, Some(at(5_100)));
    assert!(!row.was_offline);
    assert!(matches!(
        rig.findings[0],
        Finding::CommandStarted {
            command: 0,
            targets: 4,
            ..
        }
    ));
}

#[test]
fn the_rate_gives_each_target_an_instant_of_its_own() {
    let mut rig = rig_with_all_there(5, |command| command.rate_per_s = Some(10.0));
    rig.run_until(at(1_250));
    assert_eq!(rig.take_said().len(), 3, "at 1.0, 1.1 and 1.2 s");
    rig.run_until(at(2_000));
    assert_eq!(rig.take_said().len(), 2);
    for device in 0..5 {
        answer(&mut rig, device, "succeeded");
    }
    rig.step(Input::Close);
    let mut intended: Vec<_> = rig
        .commands()
        .iter()
        .filter_map(|row| row.intended)
        .collect();
    intended.sort_unstable();
    let expected = [1_000, 1_100, 1_200, 1_300, 1_400].map(at);
    assert_eq!(intended, expected);
}

#[test]
fn who_is_offline_gets_it_on_return_and_only_once() {
    let mut rig = rig(3, |_| ());
    rig.report(0, "1.4.2");
    rig.report(1, "1.4.2");
    rig.hear("d/meters-1/state", "offline");
    rig.run_until(at(1_000));
    assert_eq!(
        rig.take_texts(),
        [request(0)],
        "neither who has left nor who never came"
    );
    answer(&mut rig, 0, "succeeded");
    rig.now = at(9_000);
    rig.hear("d/meters-1/state", "online");
    assert_eq!(rig.take_texts(), [request(1)]);
    rig.report(1, "1.4.2");
    assert!(rig.take_said().is_empty());
    rig.now = at(9_300);
    answer(&mut rig, 1, "succeeded");
    rig.run_until(at(30_000));
    assert!(!rig.operator.is_settled(), "one may still come");
    rig.step(Input::StopArrivals);
    assert!(rig.operator.is_settled());
    rig.now = at(31_000);
    rig.report(2, "1.4.2");
    assert!(rig.take_said().is_empty(), "nobody new is asked");
    assert_eq!(
        outcomes(&rig),
        [
            (0, CommandOutcome::Succeeded, 1, 1),
            (1, CommandOutcome::Succeeded, 1, 1),
            (2, CommandOutcome::NeverReached, 0, 0),
        ]
    );
    let rows = rig.commands();
    let row = rows
        .iter()
        .find(|row| row.device == 1)
        .expect("it has a row");
    assert!(row.was_offline);
    assert_eq!((row.intended, row.sent), (Some(at(9_000)), Some(at(9_000))));
}

#[test]
fn who_is_offline_may_be_passed_over() {
    let mut rig = rig(2, |command| command.offline = Offline::Skip);
    rig.report(0, "1.4.2");
    rig.run_until(at(1_000));
    assert_eq!(rig.take_texts(), [request(0)]);
    rig.report(1, "1.4.2");
    assert!(rig.take_said().is_empty());
    answer(&mut rig, 0, "succeeded");
    assert!(rig.operator.is_settled());
    rig.step(Input::Close);
    assert_eq!(
        outcomes(&rig),
        [
            (0, CommandOutcome::Succeeded, 1, 1),
            (1, CommandOutcome::NeverReached, 0, 0)
        ]
    );
}

#[test]
fn who_leaves_before_it_answers_is_asked_again_on_return() {
    let mut rig = rig_with_all_there(1, |_| ());
    rig.run_until(at(1_000));
    rig.take_said();
    rig.now = at(2_000);
    rig.hear("d/meters-0/state", "offline");
    rig.run_until(at(20_000));
    assert!(rig.take_said().is_empty(), "it is not there");
    rig.report(0, "1.4.2");
    assert_eq!(rig.take_texts(), [request(0)]);
    rig.run_until(at(40_000));
    assert_eq!(outcomes(&rig), [(0, CommandOutcome::TimedOut, 2, 0)]);
}

#[test]
fn targets_are_fixed_by_what_is_reported_at_the_start() {
    let mut rig = rig(4, |command| {
        command.targets.firmware = Some(Versions::Below(1));
    });
    rig.report(0, "2.0.0");
    rig.report(1, "1.4.2");
    rig.report(2, "0.9.beta");
    rig.run_until(at(1_000));
    assert_eq!(rig.take_texts(), [request(1)]);
    rig.report(1, "2.0.0");
    rig.report(0, "1.4.2");
    rig.step(Input::Close);
    // The third has firmware that nobody knows; the last has never reported and left the factory with 1.4.2.
    let devices: Vec<_> = outcomes(&rig).iter().map(|row| row.0).collect();
    assert_eq!(devices, [1, 3]);
}

#[test]
fn answers_that_nobody_asked_for_are_left() {
    let mut rig = rig(2, |_| ());
    answer(&mut rig, 0, "succeeded");
    rig.run_until(at(1_000));
    rig.take_said();
    rig.hear(
        "d/meters-1/rpc/response/0000feed-other",
        "{\"id\":\"0000feed-other\",\"status\":\"failed\"}",
    );
    rig.hear(
        &format!("d/meters-1/rpc/response/{ID}"),
        "{\"id\":\"x\",\"status\":\"failed\"}",
    );
    rig.hear(&format!("d/meters-1/rpc/response/{ID}"), "{\"id\"");
    rig.hear(&format!("d/meters-9/rpc/response/{ID}"), "{}");
    let bad = Note::BadMessage;
    assert_eq!(rig.notes, [bad, bad, bad, bad, Note::ForeignName]);
    rig.step(Input::Close);
    assert_eq!(rig.commands().len(), 2);
}

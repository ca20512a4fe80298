//! Power cuts in each state of an update.

use super::servers::{Speaker, offered};
use super::*;
use crate::scenario::update::Defer;
use crate::wire::aws_jobs::JobStatus;

/// One block a second from 1 s on, so that each state lasts: download to 11.06 s, hash to 11.26 s,
/// installation to 13.26 s, reboot to 16.26 s, self-test to 18.26 s.
fn slow() -> Plan {
    let mut plan = aws(Encoding::Cbor);
    client(&mut plan).flash_bytes_per_s = Some(1024.0);
    plan
}

#[test]
fn an_update_outlives_a_power_cut_in_each_state() {
    for (at, state) in [
        (1.0, "begun"),
        (6.5, "downloading"),
        (11.1, "verifying"),
        (12.0, "installing"),
        (14.0, "rebooting"),
        (17.0, "in its self-test"),
        (18.3, "done"),
    ] {
        let mut world = offered(slow());
        world.run(at);
        world.power_off();
        world.run(100.0);
        world.power_on();
        world.run(200.0);
        assert_eq!(
            world.outcome(),
            (Outcome::Confirmed, Reason::Success),
            "{state}: {}",
            world.text
        );
        // What was in flash was not fetched again.
        assert_eq!(world.row().bytes, u64::from(BYTES), "{state}");
        let state = world.speaker.execution.map(|(status, ..)| status);
        assert_eq!(state, Some(JobStatus::Succeeded));
        assert!(world.device.managed_is_idle());
        world.assert_replays();
    }
}

#[test]
fn a_dead_device_stays_dead() {
    let mut plan = slow();
    defect(&mut plan, Effect::Bricks);
    let mut world = offered(plan);
    world.run(60.0);
    assert_eq!(world.row().outcome, Outcome::Bricked);
    assert!(world.device.is_powered() && world.device.is_missed());
    world.power_off();
    world.run(70.0);
    world.power_on();
    let before = world.text.clone();
    world.run(5_000.0);
    assert_eq!(world.text, before);
    assert!(world.device.is_powered() && !world.device.is_connected());
    world.step(Input::Shutdown);
    assert!(!world.device.is_powered());
    world.assert_replays();
}

#[test]
fn a_power_cut_on_the_way_back_is_the_way_back() {
    let mut plan = slow();
    defect(&mut plan, Effect::RollsBack);
    let mut world = offered(plan);
    world.run(19.0);
    assert!(world.rows.is_empty());
    world.power_off();
    world.run(30.0);
    world.power_on();
    world.run(40.0);
    assert_eq!(world.outcome(), (Outcome::RolledBack, Reason::UpdateFailed));
    assert_eq!(world.row().finished, Instant::from_ns(30_000_000_000));
}

#[test]
fn an_http_download_is_stopped_by_a_power_cut_and_resumed_after_it() {
    let mut speaker = Speaker::new();
    speaker.breaks_after = Some(5_500);
    let mut world = World::new(generic_action::generic(), speaker);
    world.run(1.0);
    world.push(generic_action::action("a1", &image()));
    world.power_off();
    world.run(10.0);
    world.power_on();
    world.run(60.0);
    assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
    assert_eq!(world.row().bytes, u64::from(BYTES));
    assert!(
        world.text.contains("10s fetch /2.0.0 from 5500"),
        "{}",
        world.text
    );
}

#[test]
fn a_fetch_that_goes_on_is_stopped_by_a_power_cut_and_by_the_end() {
    let mut speaker = Speaker::new();
    speaker.stalls_after = Some(5_000);
    let mut world = World::new(generic_action::generic(), speaker);
    world.run(1.0);
    world.push(generic_action::action("a1", &image()));
    world.power_off();
    assert!(world.text.ends_with("1s stop fetch\n"), "{}", world.text);
    world.run(10.0);
    world.speaker.stalls_after = Some(100);
    world.power_on();
    world.run(20.0);
    assert!(
        world.text.contains("10s fetch /2.0.0 from 5000"),
        "{}",
        world.text
    );
    world.step(Input::Shutdown);
    assert!(!world.fetching, "{}", world.text);
    let row = world.device.unfinished_update(world.now);
    let row = row.expect("it is under way");
    assert_eq!((row.outcome, row.bytes), (Outcome::Unfinished, 5_100));
}

#[test]
fn a_reboot_keeps_power_schedules_and_what_waits() {
    let mut plan = aws(Encoding::Cbor);
    plan.streams[0].schedule = Schedule::Every {
        period: Duration::from_secs(1),
        phase: PhaseShape::Boot,
    };
    let mut world = offered(plan);
    world.run(5.0);
    assert!(world.device.is_powered() && !world.device.is_connected());
    // Those of 4 s and 5 s wait; the reboot began at 3.2 s.
    assert_eq!(world.device.waiting().len(), 2);
    world.run(8.5);
    assert!(world.device.waiting().is_empty());
    let power = |record: &Record| {
        let text = serde_json::to_string(record).expect("a record is JSON");
        text.matches("powered").count()
    };
    assert_eq!(world.records.iter().map(power).sum::<usize>(), 1);
}

#[test]
fn what_became_due_while_it_was_away_is_due_when_it_is_back() {
    let deferred = || {
        let mut plan = slow();
        client(&mut plan).defer = Some(Defer {
            share: 1.0,
            length: Duration::from_secs(30),
        });
        let mut world = offered(plan);
        world.run(5.0);
        world
    };
    // Begun without a connection: no block is asked for until there is one.
    let mut offline = deferred();
    offline.cut();
    offline.run(60.0);
    let row = offline.device.unfinished_update(offline.now);
    assert!(row.is_some_and(|row| row.started.is_some()));
    offline.down = false;
    offline.run(200.0);
    // Put off until an instant at which it had no power.
    let mut dead = deferred();
    dead.power_off();
    dead.run(60.0);
    dead.power_on();
    assert_eq!(dead.device.poll_timeout(), dead.now);
    dead.run(200.0);
    // Each step has looked that nothing was due before it.
    for world in [offline, dead] {
        assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
    }
}

//! `ThingsBoard`.

use super::servers::{Speaker, firmware};
use super::*;
use crate::wire::Stage;
use crate::wire::thingsboard::{ATTRIBUTES_TOPIC, ERROR_TOPIC};

fn thingsboard(counts_one_more: bool) -> Plan {
    let mut plan = update_plan(WireProfile::Thingsboard { counts_one_more });
    client(&mut plan).block_bytes = 4096;
    plan
}

fn push(world: &mut World) {
    let payload = firmware(&world.speaker.image).write_push();
    world.push((ATTRIBUTES_TOPIC.into(), payload));
}

#[test]
fn an_update_from_push_to_confirmation() {
    let mut world = World::new(thingsboard(false), Speaker::new());
    world.run(1.0);
    push(&mut world);
    world.run(30.0);
    insta::assert_snapshot!(world.text);
    assert_eq!(world.row().bytes, u64::from(BYTES));
    assert_eq!(
        world.speaker.stages(),
        [
            Stage::Downloading,
            Stage::Downloaded,
            Stage::Rebooting,
            Stage::Confirmed
        ]
    );
    assert!(world.device.managed_is_idle());
    world.assert_replays();
}

#[test]
fn one_chunk_more_is_asked_for_if_it_counts_so() {
    for (bytes, one_more, chunks) in [
        (8192, false, 2),
        (8192, true, 3),
        (8193, false, 3),
        (8193, true, 3),
    ] {
        let mut speaker = Speaker::new();
        speaker.image = Image::new(42, "2.0.0", bytes);
        let mut world = World::new(thingsboard(one_more), speaker);
        world.run(1.0);
        push(&mut world);
        world.run(30.0);
        assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
        let asked = world.text.matches("v2/fw/request/").count();
        assert_eq!(asked, chunks, "{bytes} {one_more}");
        assert_eq!(world.row().bytes, u64::from(bytes));
    }
}

#[test]
fn who_was_away_learns_of_it_by_asking() {
    let mut speaker = Speaker::new();
    speaker.assigned = true;
    let mut world = World::new(thingsboard(false), speaker);
    world.run(30.0);
    assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
    // The attributes stay assigned: nothing new, however often it asks.
    world.cut();
    world.down = false;
    world.run(60.0);
    assert_eq!(world.rows.len(), 1, "{}", world.text);
}

#[test]
fn a_failed_one_is_tried_again_only_if_it_is_pushed_again() {
    let mut plan = thingsboard(false);
    defect(&mut plan, Effect::Fails(Reason::UpdateFailed));
    let mut speaker = Speaker::new();
    speaker.assigned = true;
    let mut world = World::new(plan, speaker);
    world.run(30.0);
    assert_eq!(world.outcome(), (Outcome::Failed, Reason::UpdateFailed));
    world.cut();
    world.down = false;
    world.run(60.0);
    assert_eq!(world.rows.len(), 1, "{}", world.text);
    push(&mut world);
    world.run(90.0);
    assert_eq!(world.rows.len(), 2);
    assert_eq!(world.rows[1].attempts, 2);
    // From chunk 0 again.
    assert_eq!(world.rows[1].bytes, u64::from(BYTES));
}

#[test]
fn an_error_that_closes_the_connection_is_a_loop_of_reconnects() {
    let mut speaker = Speaker::new();
    speaker.assigned = true;
    speaker.ignore_blocks = u32::MAX;
    let mut world = World::new(thingsboard(false), speaker);
    for round in 1..=3 {
        world.run(f64::from(round) * 6.0);
        assert!(world.device.is_connected());
        world.push((ERROR_TOPIC.into(), b"Invalid chunk size".to_vec()));
        world.cut();
        world.down = false;
    }
    world.run(24.0);
    // It asked again after each of them, under a number of its own.
    assert_eq!(world.count(UpdateEvent::BadAnswer), 3);
    assert_eq!(
        world.text.matches("/chunk/0 4096").count(),
        4,
        "{}",
        world.text
    );
    assert_eq!(world.count(UpdateEvent::Resumed), 3);
    assert!(world.rows.is_empty());
}

#[test]
fn chunks_of_an_earlier_number_are_of_no_use() {
    let mut speaker = Speaker::new();
    speaker.assigned = true;
    speaker.ignore_blocks = u32::MAX;
    let mut world = World::new(thingsboard(false), speaker);
    world.run(1.0);
    let chunk = |request: u32, image: &Image| {
        let bytes = image.block(0, 4096).expect("there is one");
        let topic = crate::wire::thingsboard::chunk_response_topic(request, 0);
        (topic, bytes.to_vec())
    };
    let image = image();
    world.push(chunk(1_000, &image));
    assert_eq!(world.count(UpdateEvent::UnwantedBlock), 1);
    assert!(!world.text.contains("/chunk/1"));
}

//! Home-grown backends: one topic down, one up, HTTP for the image.

use super::servers::Speaker;
use super::*;
use crate::scenario::update::GenericAction;
use crate::wire::Stage;
use crate::wire::generic_action::{ACTION, Action, Pattern, STATUS};

pub(super) fn generic() -> Plan {
    let words = GenericAction {
        action_topic: fixture::device_template("d/", "/actions"),
        status_topic: fixture::device_template("d/", "/status"),
        action: Pattern::action(ACTION).expect("sound"),
        status: Pattern::status(STATUS).expect("sound"),
        server: None,
        progress_every: 25,
    };
    update_plan(WireProfile::GenericAction(Box::new(words)))
}

pub(super) fn action(id: &str, image: &Image) -> (String, Vec<u8>) {
    let action = Action {
        action_id: id.into(),
        version: image.version.as_str().into(),
        url: "/2.0.0".into(),
        bytes: Some(image.len()),
        sha256: Some(image.sha256),
    };
    let payload = action.write(&Pattern::action(ACTION).expect("sound"));
    ("d/meters-0/actions".into(), payload)
}

fn started(plan: Plan, change: impl FnOnce(&mut Speaker)) -> World {
    let mut speaker = Speaker::new();
    change(&mut speaker);
    let mut world = World::new(plan, speaker);
    world.run(1.0);
    world.push(action("a1", &image()));
    world
}

#[test]
fn an_update_from_action_to_confirmation() {
    let mut world = started(generic(), |_| {});
    world.run(30.0);
    insta::assert_snapshot!(world.text);
    assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
    assert_eq!(world.speaker.stages().last(), Some(&Stage::Confirmed));
    assert!(world.device.managed_is_idle());
    world.assert_replays();
    // The same action once more is an old message, another one is done already.
    world.push(action("a1", &image()));
    world.run(31.0);
    assert_eq!(world.speaker.stages().len(), 10, "{}", world.text);
    world.push(action("a2", &image()));
    world.run(60.0);
    assert_eq!(world.speaker.stages().len(), 11);
    assert_eq!(world.rows.len(), 1);
}

#[test]
fn a_broken_fetch_goes_on_where_it_was_or_begins_anew() {
    for (resume, bytes, line) in [
        (Resume::Block, BYTES, "2s fetch /2.0.0 from 5500"),
        (Resume::Restart, BYTES + 5500, "2s fetch /2.0.0 from 0"),
    ] {
        let mut plan = generic();
        client(&mut plan).resume = resume;
        let mut world = started(plan, |speaker| speaker.breaks_after = Some(5500));
        world.run(30.0);
        assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
        assert_eq!(world.row().bytes, u64::from(bytes));
        assert!(world.text.contains(line), "{}", world.text);
    }
}

#[test]
fn fetches_end_in_the_right_reason() {
    use FetchEnd::{BadUri, Broken, Complete, Refused};
    let cases = [
        (vec![BadUri], Outcome::Failed, Reason::BadUri),
        (vec![Refused(404)], Outcome::Failed, Reason::BadUri),
        (vec![Refused(416)], Outcome::Failed, Reason::Integrity),
        // Fewer bytes than announced.
        (vec![Complete], Outcome::Failed, Reason::Integrity),
        (vec![Broken; 3], Outcome::Confirmed, Reason::Success),
        (
            vec![Refused(503), Refused(429), Broken],
            Outcome::Confirmed,
            Reason::Success,
        ),
        (vec![Broken; 4], Outcome::Failed, Reason::ConnectionLost),
    ];
    for (ends, outcome, reason) in cases {
        let mut world = started(generic(), |speaker| speaker.refusals = ends.clone());
        world.run(60.0);
        assert_eq!(world.outcome(), (outcome, reason), "{ends:?}");
    }
}

#[test]
fn more_bytes_than_announced_or_others_fail_the_integrity() {
    let mut world = started(generic(), |speaker| {
        speaker.image = Image::new(42, "2.0.0", BYTES + 1);
    });
    world.run(60.0);
    assert_eq!(world.outcome(), (Outcome::Failed, Reason::Integrity));
    assert!(world.text.contains("stop fetch"), "{}", world.text);
    let mut world = started(generic(), |speaker| {
        speaker.image = Image::new(43, "2.0.0", BYTES);
    });
    world.run(60.0);
    assert_eq!(world.outcome(), (Outcome::Failed, Reason::Integrity));
    assert_eq!(world.count(UpdateEvent::HashDiffered), 1);
}

#[test]
fn a_fetch_goes_on_without_the_broker() {
    let mut world = started(generic(), |speaker| {
        speaker.refusals = vec![FetchEnd::Broken; 2];
    });
    world.cut();
    // It installs, waits for its last word to be taken for three answer timeouts, and reboots.
    world.run(60.0);
    world.down = false;
    world.run(100.0);
    assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
    let downloaded = world.row().downloaded.expect("it has");
    assert_eq!(downloaded, Instant::from_ns(3_000_000_000));
    assert_eq!(world.speaker.stages().last(), Some(&Stage::Confirmed));
}

#[test]
fn the_last_word_outlives_its_connection_and_its_session() {
    for (present, again) in [(true, " again"), (false, "")] {
        let mut world = started(generic(), |_| {});
        world.run(8.0);
        world.keep_acks = true;
        world.run(9.0);
        assert_eq!(world.text.matches("Completed").count(), 1);
        world.cut();
        (world.down, world.keep_acks, world.present) = (false, false, present);
        world.run(60.0);
        let line = format!("d/meters-0/status{again} ");
        let last = world.text.lines().last().expect("there are some");
        assert!(last.contains(&line) && last.contains("Completed"), "{last}");
        assert_eq!(world.text.matches("Completed").count(), 2);
        assert!(world.device.managed_is_idle());
    }
}

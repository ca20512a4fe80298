//! AWS IoT Jobs.

use super::servers::{JOB, Speaker, THING, offered};
use super::*;
use crate::scenario::update::Defer;
use crate::wire::Stage;
use crate::wire::aws_jobs::{JobStatus, UpdateAccepted};

#[test]
fn an_update_from_offer_to_confirmation() {
    let mut plan = aws(Encoding::Json);
    client(&mut plan).block_bytes = 4096;
    plan.cohorts[0].reported = Some(Reported {
        topic: fixture::device_template("d/", "/reported"),
        qos: QoS::AtMostOnce,
        every: None,
    });
    let mut world = offered(plan);
    world.run(30.0);
    insta::assert_snapshot!(world.text);
    let row = world.row();
    assert_eq!(row.bytes, u64::from(BYTES));
    assert_eq!((row.from, row.attempts), (Some(0), 1));
    let at = |seconds: f64| Some(Instant::from_ns((seconds * 1e9).round() as u64));
    assert_eq!((row.offered, row.started), (at(1.0), at(1.0)));
    assert_eq!((row.downloaded, row.rebooted), (at(1.0), at(3.2)));
    // Reboot 3 s, self-test 2 s.
    assert_eq!(Some(row.finished), at(8.2));
    assert_eq!(world.speaker.execution, Some((JobStatus::Succeeded, 7, 1)));
    world.assert_replays();
}

#[test]
fn what_is_subscribed_to_comes_in_one_packet_after_the_steps() {
    let mut plan = aws(Encoding::Cbor);
    plan.cohorts[0].commands = Some(commands::handler());
    let mut device = device(plan);
    let mut out = Vec::new();
    for input in [Input::PowerOn, Input::Opened, conn_ack(false)] {
        out.clear();
        device.handle_input(Instant::ZERO, input, &mut out);
    }
    let subscribe = out.iter().find_map(|output| match output {
        Output::Send(Packet::Subscribe { filters, .. }) => Some(filters.clone()),
        Output::Open
        | Output::Close
        | Output::Send(_)
        | Output::Publish(_)
        | Output::Telemetry(_)
        | Output::Event(_)
        | Output::Fetch(_)
        | Output::StopFetch
        | Output::Result(_) => None,
    });
    let filters = subscribe.expect("it subscribes");
    let text: Vec<_> = filters
        .iter()
        .map(|(f, qos)| format!("{} {f}", *qos as u8))
        .collect();
    insta::assert_snapshot!(text.join("\n"), @"
    1 $aws/things/meters-0/jobs/notify-next
    1 $aws/things/meters-0/jobs/$next/get/+
    1 $aws/things/meters-0/jobs/start-next/+
    1 $aws/things/meters-0/jobs/+/update/+
    0 $aws/things/meters-0/streams/+/data/cbor
    0 $aws/things/meters-0/streams/+/rejected/cbor
    1 d/meters-0/rpc/request/+
    ");
    // AWS takes no more in one SUBSCRIBE.
    assert!(filters.len() <= 8);
    // A refusal of one of them is as bad as one of a step.
    let granted = vec![Some(QoS::AtLeastOnce); 6]
        .into_iter()
        .chain([None])
        .collect();
    out.clear();
    let packet_id = 1;
    let refusal = Packet::SubAck { packet_id, granted };
    device.handle_input(Instant::ZERO, Input::Received(refusal), &mut out);
    let words: Vec<_> = out.iter().map(word).collect();
    assert_eq!(words, ["close", "disconnected SubscribeRefused"]);
}

#[test]
fn blocks_ahead_of_their_turn_are_held_and_give_the_same_hash() {
    let mut plan = aws(Encoding::Cbor);
    client(&mut plan).window = 4;
    let mut speaker = Speaker::new();
    // The answer to the first request never comes: the blocks are sent by hand.
    speaker.ignore_blocks = u32::MAX;
    let mut world = World::new(plan, speaker);
    world.speaker.execution = Some((JobStatus::Queued, 1, 1));
    world.run(1.0);
    let send = |world: &mut World, index: u32| {
        let bytes = world
            .speaker
            .image
            .block(index, 1024)
            .expect("there is one");
        let block = world.speaker.block(index, &bytes);
        world.push(block);
    };
    for index in [2, 0, 3, 1] {
        send(&mut world, index);
    }
    // The window has moved on to 4..8: one that is held already, one that is done, one not asked for.
    send(&mut world, 5);
    for index in [5, 0, 8] {
        send(&mut world, index);
    }
    assert_eq!(world.count(UpdateEvent::UnwantedBlock), 3);
    for index in [7, 6, 4, 10, 9, 8] {
        send(&mut world, index);
    }
    world.run(30.0);
    assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
    assert_eq!(world.count(UpdateEvent::HashMatched), 1);
    // Three came twice, among them no short one.
    assert_eq!(world.row().bytes, u64::from(BYTES) + 3 * 1024);
    assert_eq!(world.count(UpdateEvent::BlockAskedAgain), 0);
}

#[test]
fn a_slow_flash_delays_the_next_request() {
    let mut plan = aws(Encoding::Cbor);
    client(&mut plan).flash_bytes_per_s = Some(1024.0);
    let mut world = offered(plan);
    world.run(60.0);
    let row = world.row();
    let started = row.started.expect("it has");
    let took = row.downloaded.expect("it has").since(started).as_secs_f64();
    let wanted = f64::from(BYTES) / 1024.0;
    assert!((took - wanted).abs() < 0.001, "{took} {wanted}");
}

#[test]
fn a_block_that_stays_away_is_asked_for_again_and_in_the_end_given_up() {
    let mut speaker = Speaker::new();
    speaker.ignore_blocks = 3;
    let mut plan = aws(Encoding::Cbor);
    client(&mut plan).window = 2;
    let mut late = World::new(plan, speaker);
    late.speaker.execution = Some((JobStatus::Queued, 1, 1));
    late.run(100.0);
    assert_eq!(late.outcome(), (Outcome::Confirmed, Reason::Success));
    assert_eq!(late.count(UpdateEvent::BlockAskedAgain), 3);

    let mut speaker = Speaker::new();
    speaker.ignore_blocks = 1_000;
    let mut never = World::new(aws(Encoding::Cbor), speaker);
    never.speaker.execution = Some((JobStatus::Queued, 1, 1));
    never.run(100.0);
    assert_eq!(never.outcome(), (Outcome::Failed, Reason::ConnectionLost));
    // Asked at 0 s, 10 s, 20 s and 30 s; given up at 40 s.
    assert_eq!(never.count(UpdateEvent::BlockAskedAgain), 3);
    assert_eq!(never.row().finished, Instant::from_ns(40_000_000_000));
    assert_eq!(never.speaker.execution, Some((JobStatus::Failed, 3, 1)));
}

#[test]
fn an_outage_in_the_middle_resumes_or_restarts() {
    for (resume, event, bytes) in [
        (Resume::Block, UpdateEvent::Resumed, BYTES),
        // Six blocks had come.
        (Resume::Restart, UpdateEvent::Restarted, 6 * 1024 + BYTES),
    ] {
        let mut plan = aws(Encoding::Cbor);
        client(&mut plan).resume = resume;
        client(&mut plan).flash_bytes_per_s = Some(1024.0);
        let mut world = offered(plan);
        // Blocks come at 1 s, 2 s, … 6 s.
        world.run(6.5);
        world.cut();
        world.run(20.0);
        world.down = false;
        world.run(100.0);
        assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
        assert_eq!(world.row().bytes, u64::from(bytes), "{resume:?}");
        assert_eq!(world.count(event), 1);
        world.assert_replays();
    }
}

#[test]
fn each_effect_of_a_defect_ends_as_it_must() {
    let cases = [
        (
            Effect::Fails(Reason::Integrity),
            Outcome::Failed,
            Reason::Integrity,
            Stage::Failed,
        ),
        (
            Effect::Fails(Reason::NotEnoughFlash),
            Outcome::Failed,
            Reason::NotEnoughFlash,
            Stage::Failed,
        ),
        (
            Effect::Fails(Reason::UpdateFailed),
            Outcome::Failed,
            Reason::UpdateFailed,
            Stage::Failed,
        ),
        (
            Effect::RollsBack,
            Outcome::RolledBack,
            Reason::UpdateFailed,
            Stage::RolledBack,
        ),
        (
            Effect::Bricks,
            Outcome::Bricked,
            Reason::UpdateFailed,
            Stage::Rebooting,
        ),
    ];
    for (effect, outcome, reason, last) in cases {
        let mut plan = aws(Encoding::Cbor);
        defect(&mut plan, effect);
        let mut world = offered(plan);
        world.run(60.0);
        assert_eq!(world.outcome(), (outcome, reason), "{effect:?}");
        assert_eq!(world.speaker.stages().last(), Some(&last), "{effect:?}");
        assert_eq!(world.device.is_connected(), effect != Effect::Bricks);
        assert_eq!(world.device.unfinished_update(world.now), None);
        if effect != Effect::Bricks {
            // It still has the old firmware: that is what the next offer meets.
            world.speaker.execution = Some((JobStatus::Queued, 1, 2));
            let notice = world.speaker.notice();
            world.push(notice);
            world.run(120.0);
            assert_eq!(world.rows.len(), 2);
            assert_eq!((world.rows[1].from, world.rows[1].attempts), (Some(0), 2));
        }
        world.assert_replays();
    }
}

#[test]
fn a_defect_is_of_those_it_names() {
    let changes: [fn(&mut Defect); 3] = [
        |defect| defect.attributes[0].1 = "B".into(),
        |defect| defect.from = Some(1),
        |defect| defect.share = 0.0,
    ];
    for change in changes {
        let mut plan = aws(Encoding::Cbor);
        defect(&mut plan, Effect::Bricks);
        change(&mut plan.campaigns[0].image.defects[0]);
        let mut world = offered(plan);
        world.run(60.0);
        assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
    }
}

#[test]
fn offers_are_rejected_put_off_or_failed_by_whim() {
    let mut plan = aws(Encoding::Cbor);
    client(&mut plan).reject = 1.0;
    let mut world = offered(plan);
    world.run(60.0);
    assert_eq!(world.outcome(), (Outcome::Rejected, Reason::Ready));
    assert_eq!(world.row().attempts, 0);
    assert_eq!(world.speaker.execution, Some((JobStatus::Rejected, 2, 1)));

    let mut plan = aws(Encoding::Cbor);
    client(&mut plan).fail = 1.0;
    let mut world = offered(plan);
    world.run(60.0);
    assert_eq!(world.outcome(), (Outcome::Failed, Reason::Io));

    let mut plan = aws(Encoding::Cbor);
    client(&mut plan).defer = Some(Defer {
        share: 1.0,
        length: Duration::from_secs(30),
    });
    let mut world = offered(plan);
    world.run(20.0);
    let row = world
        .device
        .unfinished_update(world.now)
        .expect("it will be taken up");
    assert_eq!((row.outcome, row.attempts), (Outcome::Unfinished, 0));
    assert_eq!(world.speaker.execution, Some((JobStatus::Queued, 1, 1)));
    world.run(60.0);
    assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
    assert_eq!(world.row().started, Some(Instant::from_ns(31_000_000_000)));
}

#[test]
fn the_same_version_is_done_already_and_a_lower_one_rejected() {
    let mut plan = aws(Encoding::Cbor);
    plan.campaigns[0].image.version = 0;
    let mut world = World::new(plan, Speaker::new());
    world.speaker.image = Image::new(42, "1.4.2", BYTES);
    world.speaker.execution = Some((JobStatus::Queued, 1, 1));
    world.run(10.0);
    assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
    assert_eq!((world.row().bytes, world.row().attempts), (0, 0));
    assert_eq!(world.speaker.execution, Some((JobStatus::Succeeded, 2, 1)));
    // Said once, however often it is offered.
    world.speaker.execution = Some((JobStatus::Queued, 1, 2));
    let notice = world.speaker.notice();
    world.push(notice);
    world.run(20.0);
    assert_eq!(world.speaker.execution, Some((JobStatus::Succeeded, 2, 2)));
    assert_eq!(world.rows.len(), 1);

    for version in ["1.4.2", "2.0.0", "no-such"] {
        let mut plan = aws(Encoding::Cbor);
        plan.firmware.versions = vec!["1.10.0".into(), "1.4.2".into(), "1.9.9".into()];
        plan.campaigns[0].image.version = 1;
        plan.cohorts[0].attributes[1].values[0].0 = "1.10.0".into();
        let mut world = World::new(plan, Speaker::new());
        world.speaker.image = Image::new(42, version, BYTES);
        world.speaker.execution = Some((JobStatus::Queued, 1, 1));
        world.run(10.0);
        assert_eq!(
            world.speaker.execution,
            Some((JobStatus::Rejected, 2, 1)),
            "{version}"
        );
        // What is no campaign's has no row.
        assert_eq!(world.rows.len(), usize::from(version == "1.4.2"));
        assert_eq!(world.speaker.heard[0].reason, Reason::UnsupportedPackage);
    }
}

#[test]
fn a_status_is_said_until_it_is_taken() {
    let mut plan = aws(Encoding::Cbor);
    client(&mut plan).block_bytes = 16_384;
    let mut speaker = Speaker::new();
    speaker.execution = Some((JobStatus::Queued, 1, 1));
    // Each of them is taken without an answer.
    speaker.mute_updates = 1_000;
    let mut world = World::new(plan, speaker);
    world.run(200.0);
    assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
    // It waits for its last word before the reboot for three answer timeouts, and then goes.
    let row = world.row();
    let (reboot, download) = (
        row.rebooted.expect("it has"),
        row.downloaded.expect("it has"),
    );
    assert_eq!(reboot.since(download).as_secs_f64(), 0.2 + 2.0 + 30.0);
    // The answer to a repetition says that it is over.
    assert_eq!(
        world.speaker.execution.map(|(s, ..)| s),
        Some(JobStatus::Succeeded)
    );
    assert!(world.count(UpdateEvent::StatusAgain) >= 3, "{}", world.text);
    assert!(world.device.managed_is_idle());
}

#[test]
fn a_version_that_moved_on_is_used() {
    let mut world = offered(aws(Encoding::Cbor));
    world.run(2.0);
    // Somebody else has touched the execution.
    let (_, version, _) = world.speaker.execution.as_mut().expect("there is one");
    *version += 5;
    world.run(60.0);
    assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
    assert_eq!(world.count(UpdateEvent::StatusAgain), 0);
    assert_eq!(
        world.speaker.execution.map(|(s, ..)| s),
        Some(JobStatus::Succeeded)
    );
}

#[test]
fn what_the_server_ends_is_over() {
    for (status, outcome) in [
        (JobStatus::TimedOut, Outcome::TimedOut),
        (JobStatus::Canceled, Outcome::Cancelled),
    ] {
        let mut world = offered(aws(Encoding::Cbor));
        world.run(2.0);
        // It is installing: its next word is the one before the reboot.
        world.speaker.execution.as_mut().expect("there is one").0 = status;
        world.run(60.0);
        assert_eq!(world.outcome().0, outcome);
        assert_eq!(world.row().rebooted, None);
        assert!(world.device.managed_is_idle(), "{}", world.text);
    }
    // After the reboot there is no way back, but nobody is told.
    let mut world = offered(aws(Encoding::Cbor));
    world.run(4.0);
    world.speaker.execution.as_mut().expect("there is one").0 = JobStatus::TimedOut;
    world.run(60.0);
    assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
    assert!(world.device.managed_is_idle(), "{}", world.text);
    assert!(!world.text.contains("SUCCEEDED"), "{}", world.text);
}

#[test]
fn a_cancelled_offer_that_was_put_off_is_no_more() {
    let mut plan = aws(Encoding::Cbor);
    client(&mut plan).defer = Some(Defer {
        share: 1.0,
        length: Duration::from_secs(30),
    });
    let mut world = offered(plan);
    world.run(10.0);
    world.speaker.execution = None;
    let notice = world.speaker.notice();
    world.push(notice);
    world.run(100.0);
    assert_eq!(world.outcome(), (Outcome::Cancelled, Reason::Ready));
    assert_eq!(world.row().attempts, 0);
}

#[test]
fn an_old_notice_starts_nothing_and_another_execution_does() {
    let mut plan = aws(Encoding::Cbor);
    defect(&mut plan, Effect::RollsBack);
    let mut world = offered(plan);
    let old = world.speaker.notice();
    world.run(60.0);
    assert_eq!(world.outcome(), (Outcome::RolledBack, Reason::UpdateFailed));
    world.push(old);
    world.run(120.0);
    assert_eq!(world.rows.len(), 1, "{}", world.text);
    world.speaker.execution = Some((JobStatus::Queued, 1, 2));
    let retry = world.speaker.notice();
    world.push(retry);
    world.run(180.0);
    assert_eq!(world.rows.len(), 2);
    assert_eq!(world.rows[1].attempts, 2);
}

/// With the offer that the server held for its session comes no word on whether it still stands.
#[test]
fn an_offer_right_behind_the_connack_is_taken_up_when_the_device_is_online() {
    let mut world = World::new(aws(Encoding::Cbor), Speaker::new());
    world.run(1.0);
    world.cut();
    world.speaker.execution = Some((JobStatus::Queued, 1, 1));
    world.held = vec![world.speaker.notice()];
    (world.down, world.present) = (false, true);
    world.run(60.0);
    assert_eq!(world.outcome(), (Outcome::Confirmed, Reason::Success));
    assert_eq!(world.row().bytes, u64::from(BYTES), "{}", world.text);
    world.assert_replays();
}

/// The time of an offer that was put off is over while the device is offline.
#[test]
fn a_download_that_begins_offline_waits_for_the_servers_word() {
    for (is_open, outcome) in [(true, Outcome::Confirmed), (false, Outcome::Cancelled)] {
        let mut plan = aws(Encoding::Cbor);
        client(&mut plan).defer = Some(Defer {
            share: 1.0,
            length: Duration::from_secs(30),
        });
        let mut world = offered(plan);
        world.run(10.0);
        world.cut();
        world.run(40.0);
        if !is_open {
            world.speaker.execution = None;
        }
        world.down = false;
        world.run(200.0);
        assert_eq!(world.row().outcome, outcome, "{}", world.text);
        let bytes = if is_open { BYTES } else { 0 };
        assert_eq!(world.row().bytes, u64::from(bytes), "{}", world.text);
    }
}

#[test]
fn the_answer_to_a_progress_report_is_none_to_a_status() {
    let mut plan = aws(Encoding::Cbor);
    client(&mut plan).flash_bytes_per_s = Some(1024.0);
    let mut world = offered(plan);
    world.run(2.5);
    world.speaker.mute_updates = 1_000;
    world.run(20.0);
    let stages = world.speaker.stages();
    assert_eq!(stages.last(), Some(&Stage::Rebooting), "it waits for leave");
    let line = world.text.lines().find(|line| line.contains("1/11"));
    let token = line.and_then(|line| line.split("clientToken\":\"").nth(1)?.split('"').next());
    let accepted = UpdateAccepted {
        client_token: token.map(Into::into),
        timestamp: 0,
        execution_state: None,
    };
    let topic = format!("$aws/things/{THING}/jobs/{JOB}/update/accepted");
    world.push((topic, accepted.write()));
    assert!(world.device.is_connected());
    world.run(200.0);
    // Ten seconds of blocks, 2.2 s until it is installed, three answer timeouts.
    let rebooted = world.row().rebooted.expect("it has");
    assert_eq!(
        rebooted.since(Instant::from_ns(1_000_000_000)).as_secs(),
        42
    );
}

#[test]
fn the_end_of_one_execution_is_not_told_of_the_next() {
    let mut plan = aws(Encoding::Cbor);
    client(&mut plan).fail = 1.0;
    let mut world = offered(plan);
    world.run(2.0);
    // The failure is taken, its answer lost, and a second execution queued.
    world.speaker.mute_updates = 1;
    world.run(3.5);
    assert_eq!(
        world.speaker.execution.map(|(s, ..)| s),
        Some(JobStatus::Failed)
    );
    world.cut();
    world.speaker.execution = Some((JobStatus::Queued, 1, 2));
    world.down = false;
    world.run(100.0);
    let ends: Vec<_> = world
        .rows
        .iter()
        .map(|row| (row.outcome, row.attempts))
        .collect();
    assert_eq!(
        ends,
        [(Outcome::Failed, 1), (Outcome::Failed, 2)],
        "{}",
        world.text
    );
    let failed = |stage: &&Stage| **stage == Stage::Failed;
    assert_eq!(world.speaker.stages().iter().filter(failed).count(), 2);
    assert!(world.device.managed_is_idle(), "{}", world.text);
}

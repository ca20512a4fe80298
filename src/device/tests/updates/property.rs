//! Whatever comes, an update ends, or waits with a timer armed; and it never spins.

use super::servers::{Speaker, firmware};
use super::*;
use crate::wire::aws_jobs::JobStatus;
use crate::wire::thingsboard::{ATTRIBUTES_TOPIC, ERROR_TOPIC, chunk_response_topic};
use proptest::prelude::*;

/// What happens to the device and its server.
#[derive(Clone, Debug)]
enum Move {
    Wait(u32),
    Cut,
    Restore,
    PowerOff,
    PowerOn,
    Notice,
    /// The execution becomes this.
    Server(JobStatus),
    LoseBlocks(u32),
    Mute(u32),
    Block(u32, u16),
    Garbage(u8, Vec<u8>),
    Kept(bool),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let status = prop_oneof![
        Just(JobStatus::Queued),
        Just(JobStatus::InProgress),
        Just(JobStatus::Canceled),
        Just(JobStatus::TimedOut),
    ];
    let one = prop_oneof![
        8 => (0u32..8_000).prop_map(Move::Wait),
        2 => Just(Move::Cut),
        4 => Just(Move::Restore),
        1 => Just(Move::PowerOff),
        4 => Just(Move::PowerOn),
        3 => Just(Move::Notice),
        2 => status.prop_map(Move::Server),
        1 => (0u32..4).prop_map(Move::LoseBlocks),
        1 => (0u32..4).prop_map(Move::Mute),
        2 => (0u32..12, 0u16..1100).prop_map(|(index, len)| Move::Block(index, len)),
        2 => (0u8..4, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(to, bytes)| Move::Garbage(to, bytes)),
        1 => any::<bool>().prop_map(Move::Kept),
    ];
    prop::collection::vec(one, 1..40)
}

fn play(world: &mut World, moves: Vec<Move>) {
    let mut execution = 1;
    for each in moves {
        match each {
            Move::Wait(ms) => {
                let until = world.now.ns() as f64 / 1e9 + f64::from(ms) / 1e3;
                world.run(until);
            }
            Move::Cut => world.cut(),
            Move::Restore => world.down = false,
            Move::PowerOff if world.device.is_powered() => world.power_off(),
            Move::PowerOn if !world.device.is_powered() => world.power_on(),
            Move::PowerOff | Move::PowerOn => {}
            Move::Notice => {
                if world.device.is_connected() {
                    let notice = world.speaker.notice();
                    world.push(notice);
                }
            }
            Move::Server(status) => {
                execution += u64::from(status == JobStatus::Queued);
                world.speaker.execution = Some((status, 1, execution));
            }
            Move::LoseBlocks(count) => world.speaker.ignore_blocks = count,
            Move::Mute(count) => world.speaker.mute_updates = count,
            Move::Block(index, len) => {
                if world.device.is_connected() {
                    let block = world.speaker.block(index, &vec![1; len.into()]);
                    world.push(block);
                }
            }
            Move::Garbage(to, bytes) => {
                let topics = [
                    "$aws/things/meters-0/jobs/notify-next",
                    "$aws/things/meters-0/jobs/$next/get/accepted",
                    "$aws/things/meters-0/jobs/fs-00000007-0/update/rejected",
                    "$aws/things/meters-0/streams/fs-00000007-0/data/cbor",
                ];
                if world.device.is_connected() {
                    world.push((topics[usize::from(to)].into(), bytes));
                }
            }
            Move::Kept(kept) => world.present = kept,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn an_update_ends_or_waits_with_a_timer(
        moves in moves(),
        resume in prop_oneof![Just(Resume::Block), Just(Resume::Restart)],
        window in 1u16..5,
        effect in prop_oneof![3 => Just(None), 1 => Just(Some(Effect::RollsBack)), 1 => Just(Some(Effect::Bricks))],
    ) {
        let mut plan = aws(Encoding::Cbor);
        client(&mut plan).resume = resume;
        client(&mut plan).window = window;
        if let Some(effect) = effect {
            defect(&mut plan, effect);
        }
        let mut speaker = Speaker::new();
        speaker.execution = Some((JobStatus::Queued, 1, 1));
        let mut world = World::new(plan, speaker);
        play(&mut world, moves);
        if world.device.is_powered() && !world.device.is_bricked() {
            let is_idle = world.device.unfinished_update(world.now).is_none();
            prop_assert!(is_idle || !world.device.poll_timeout().is_never(), "{}", world.text);
        }
        // Left alone with a sound server, all ends.
        world.down = false;
        (world.speaker.ignore_blocks, world.speaker.mute_updates) = (0, 0);
        if !world.device.is_powered() {
            world.power_on();
        }
        let until = world.now.ns() as f64 / 1e9 + 600.0;
        world.run(until);
        prop_assert!(
            world.device.is_bricked() || world.device.managed_is_idle(),
            "{:?} {}", world.speaker.execution, world.text
        );
        // Confirmed at most once, and never with a defect.
        let confirmed = world.rows.iter().filter(|row| row.outcome == Outcome::Confirmed).count();
        prop_assert!(confirmed <= usize::from(effect.is_none()), "{}", world.text);
        for row in &world.rows {
            let order = [row.offered, row.started, row.downloaded, row.rebooted, Some(row.finished)];
            let known: Vec<_> = order.into_iter().flatten().collect();
            prop_assert!(known.is_sorted(), "{row:?}");
        }
        world.assert_replays();
    }

    /// Over ThingsBoard, whose pushes have no number, whose statuses nobody answers, and whose device
    /// asks what it is to have.
    #[test]
    fn an_update_over_thingsboard_ends_or_waits_with_a_timer(
        moves in moves(),
        resume in prop_oneof![Just(Resume::Block), Just(Resume::Restart)],
        counts_one_more in any::<bool>(),
        effect in prop_oneof![3 => Just(None), 1 => Just(Some(Effect::RollsBack)), 1 => Just(Some(Effect::Bricks))],
    ) {
        let mut plan = update_plan(WireProfile::Thingsboard { counts_one_more });
        client(&mut plan).resume = resume;
        if let Some(effect) = effect {
            defect(&mut plan, effect);
        }
        let mut speaker = Speaker::new();
        speaker.assigned = true;
        let mut world = World::new(plan, speaker);
        for each in moves {
            match each {
                Move::Notice | Move::Mute(_) => {
                    if world.device.is_connected() {
                        let push = firmware(&world.speaker.image).write_push();
                        world.push((ATTRIBUTES_TOPIC.into(), push));
                    }
                }
                Move::Server(status) => world.speaker.assigned = !status.is_terminal(),
                Move::Block(index, len) => {
                    if world.device.is_connected() {
                        let topic = chunk_response_topic(2, index);
                        world.push((topic, vec![1; len.into()]));
                    }
                }
                Move::Garbage(to, bytes) => {
                    let topics = [ATTRIBUTES_TOPIC, ERROR_TOPIC, "v2/fw/response/2/chunk/x", "v1/devices/me/attributes/response/1"];
                    if world.device.is_connected() {
                        world.push((topics[usize::from(to)].into(), bytes));
                    }
                }
                other @ (Move::Wait(_) | Move::Cut | Move::Restore | Move::PowerOff | Move::PowerOn | Move::LoseBlocks(_) | Move::Kept(_)) => {
                    play(&mut world, vec![other]);
                }
            }
        }
        world.down = false;
        world.speaker.ignore_blocks = 0;
        if !world.device.is_powered() {
            world.power_on();
        }
        let until = world.now.ns() as f64 / 1e9 + 600.0;
        world.run(until);
        prop_assert!(
            world.device.is_bricked() || world.device.managed_is_idle(),
            "{}", world.text
        );
        // Whatever it has ended by itself, the server has heard.
        let is_own = |row: &&ResultRow| match row.outcome {
            Outcome::Confirmed | Outcome::RolledBack | Outcome::Failed | Outcome::Rejected => true,
            Outcome::Bricked
            | Outcome::TimedOut
            | Outcome::Cancelled
            | Outcome::NeverReached
            | Outcome::Unfinished => false,
        };
        let told = world.speaker.heard.iter().filter(|status| status.stage.is_terminal()).count();
        prop_assert!(told >= world.rows.iter().filter(is_own).count(), "{}", world.text);
        let confirmed = world.rows.iter().filter(|row| row.outcome == Outcome::Confirmed).count();
        prop_assert!(confirmed <= usize::from(effect.is_none()), "{}", world.text);
        world.assert_replays();
    }
}

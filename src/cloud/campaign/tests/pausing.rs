//! Pauses, cancelling by hand, the end of arrivals.

use super::*;
use crate::scenario::campaign::Wave;
use crate::wire::Reason;

/// From and until so many milliseconds after the start.
fn pause(from: u64, until: u64) -> (Duration, Duration) {
    (
        START + Duration::from_millis(from),
        START + Duration::from_millis(until),
    )
}

fn paused(devices: u32, rollout: Rollout, pauses: Vec<(Duration, Duration)>) -> Bench {
    Bench::begin(plan_with(devices, |campaign| {
        campaign.rollout = rollout;
        campaign.pauses = pauses;
        campaign.retries = 1;
    }))
}

fn turns_ms(bench: &Bench) -> Vec<u64> {
    bench.notified.iter().map(|(at, ..)| ms(*at)).collect()
}

#[test]
fn a_pause_moves_what_is_left_by_its_length() {
    let rollout = Rollout::Constant { per_minute: 60.0 };
    let mut bench = paused(7, rollout, vec![pause(1_700, 4_000), pause(6_300, 7_300)]);
    bench.until(60_000);
    // 0, 1; then 2, 3, 4 with 2.3 s more; then the rest with 3.3 s more.
    assert_eq!(
        turns_ms(&bench),
        [0, 1_000, 4_300, 5_300, 7_300, 8_300, 9_300]
    );
    let marks: Vec<_> = bench.marks().into_iter().skip(2).collect();
    let (paused, resumed) = (CampaignMark::Paused, CampaignMark::Resumed);
    assert_eq!(
        marks,
        [
            (1_700, paused),
            (4_000, resumed),
            (6_300, paused),
            (7_300, resumed)
        ]
    );
}

#[test]
fn who_is_due_as_the_pause_begins_waits_for_its_end() {
    let rollout = Rollout::Constant { per_minute: 60.0 };
    let mut bench = paused(3, rollout, vec![pause(1_000, 5_000)]);
    bench.until(60_000);
    assert_eq!(turns_ms(&bench), [0, 5_000, 6_000]);
}

#[test]
fn a_campaign_may_begin_in_a_pause() {
    let before = (Duration::ZERO, Duration::from_secs(1));
    let over_start = (Duration::from_secs(2), START + Duration::from_secs(3));
    let mut bench = paused(3, Rollout::AtOnce, vec![before, over_start]);
    bench.until(60_000);
    assert_eq!(turns_ms(&bench), [3_000; 3]);
    assert_eq!(
        bench.marks()[1..],
        [(0, CampaignMark::Paused), (3_000, CampaignMark::Resumed)]
    );
}

#[test]
fn a_gate_that_opens_in_a_pause_lets_nobody_on_before_its_end() {
    let wave = |upto| Wave { upto, success: 1.0 };
    let rollout = Rollout::Waves(vec![wave(0.5), wave(1.0)]);
    let mut bench = paused(2, rollout, vec![pause(1_000, 5_000)]);
    let first = bench.notified[0].1;
    bench.hear(2_000, first, Heard::Confirmed);
    bench.until(60_000);
    assert_eq!(turns_ms(&bench), [0, 5_000]);
}

#[test]
fn what_a_pause_owes_is_told_when_it_is_over() {
    let mut bench = paused(3, Rollout::AtOnce, vec![pause(1_000, 5_000)]);
    bench.at(1_500, Input::Contact(0));
    bench.hear(2_000, 1, Heard::Failed(Reason::Io));
    bench.at(2_000, Input::Contact(2));
    bench.hear(2_500, 2, Heard::Started);
    assert_eq!(bench.notified.len(), 3);
    bench.until(60_000);
    let owed: Vec<_> = bench.notified[3..]
        .iter()
        .map(|(at, device, attempt)| (ms(*at), *device, *attempt))
        .collect();
    assert_eq!(owed, [(5_000, 0, 1), (5_000, 1, 2)]);
    assert_eq!(bench.campaign.counts().notified_again, 1);
}

#[test]
fn whoever_is_back_after_the_turn_is_notified_again_and_before_it_is_not() {
    let rollout = Rollout::Constant { per_minute: 60.0 };
    let mut bench = paused(2, rollout, vec![]);
    let first = bench.notified[0].1;
    let other = 1 - first;
    bench.at(500, Input::Contact(other));
    assert_eq!(bench.notified.len(), 1);
    bench.at(600, Input::Contact(first));
    bench.at(700, Input::Contact(first));
    let seen: Vec<_> = bench
        .notified
        .iter()
        .map(|(_, device, attempt)| (*device, *attempt))
        .collect();
    assert_eq!(seen, [(first, 1); 3]);
    bench.hear(800, first, Heard::Started);
    bench.at(900, Input::Contact(first));
    assert_eq!(bench.notified.len(), 3);
    bench.at(1_000, Input::Close);
    let row = bench.row(first).expect("all have rows");
    assert_eq!((row.attempts, row.offered), (1, Some(at_ms(0))));
}

#[test]
fn cancelled_by_hand_is_who_has_not_started() {
    let mut bench = Bench::begin(plan_with(6, |campaign| {
        campaign.rollout = Rollout::Constant { per_minute: 60.0 };
        campaign.cancel = Some(START + Duration::from_millis(3_500));
        campaign.retries = 3;
    }));
    bench.until(3_200);
    let turns: Vec<DeviceIdx> = bench
        .notified
        .iter()
        .map(|(_, device, _)| *device)
        .collect();
    bench.hear(3_200, turns[0], Heard::Started);
    bench.hear(3_300, turns[1], Heard::Failed(Reason::Io));
    bench.hear(3_400, turns[2], Heard::Rebooting);
    bench.until(4_000);
    let cancelled = CampaignMark::Cancelled { started: 3 };
    assert!(bench.marks().contains(&(3_500, cancelled)));
    // The fourth was offered, two more never; the second had failed, and its retry is taken back.
    assert_eq!(bench.cancelled.len(), 2);
    assert!(bench.cancelled.contains(&(turns[3], 1)) && bench.cancelled.contains(&(turns[1], 2)));
    assert_eq!(bench.count(Outcome::Cancelled), 3);
    let failed = bench.row(turns[1]).expect("it has its row");
    assert_eq!(
        (failed.outcome, failed.reason, failed.attempts),
        (Outcome::Failed, Reason::Io, 2)
    );
    assert!(!bench.campaign.is_complete());
    // Who had started goes on, but gets no other turn.
    bench.hear(9_000, turns[0], Heard::Failed(Reason::Integrity));
    assert_eq!(bench.outcome(turns[0]), Some(Outcome::Failed));
    bench.hear(9_500, turns[2], Heard::Confirmed);
    assert_eq!(
        bench.marks().last(),
        Some(&(9_500, CampaignMark::Completed))
    );
    assert_eq!(bench.notified.len(), 5);
    assert_eq!(bench.campaign.poll_timeout(), Instant::NEVER);
}

#[test]
fn after_the_last_phase_nobody_is_new() {
    let mut bench = Bench::begin(plan_with(5, |campaign| {
        campaign.rollout = Rollout::Constant { per_minute: 60.0 };
        campaign.retries = 3;
    }));
    bench.until(2_500);
    let turns: Vec<DeviceIdx> = bench
        .notified
        .iter()
        .map(|(_, device, _)| *device)
        .collect();
    bench.hear(2_500, turns[0], Heard::Started);
    bench.at(2_600, Input::Stop);
    // Two had no turn: they are never reached.
    assert_eq!(bench.count(Outcome::NeverReached), 2);
    assert_eq!(bench.campaign.under_way(), 3);
    bench.at(2_700, Input::Stop);
    bench.at(3_000, Input::Contact(turns[1]));
    bench.hear(3_000, turns[0], Heard::Failed(Reason::Io));
    bench.hear(3_000, turns[1], Heard::Started);
    bench.until(60_000);
    assert_eq!(bench.notified.len(), 3);
    assert_eq!(bench.outcome(turns[0]), Some(Outcome::Failed));
    bench.hear(61_000, turns[1], Heard::Confirmed);
    assert_eq!(bench.outcome(turns[1]), Some(Outcome::Confirmed));
    bench.at(62_000, Input::Close);
    assert_eq!(bench.outcome(turns[2]), Some(Outcome::NeverReached));
    let row = bench.row(turns[2]).expect("all have rows");
    assert_eq!((row.attempts, row.offered), (1, Some(at_ms(2_000))));
    let end = bench.marks();
    let cancelled = CampaignMark::Cancelled { started: 2 };
    assert_eq!(
        end[end.len() - 2..],
        [(62_000, cancelled), (62_000, CampaignMark::Completed)]
    );
}

#[test]
fn a_retry_that_nobody_was_told_of_is_no_execution() {
    let mut bench = paused(1, Rollout::AtOnce, vec![pause(1_000, 5_000)]);
    bench.hear(2_000, 0, Heard::Failed(Reason::Integrity));
    assert_eq!(bench.rows, []);
    bench.at(3_000, Input::Stop);
    let row = bench.row(0).expect("it has its row");
    assert_eq!(
        (row.outcome, row.reason, row.attempts),
        (Outcome::Failed, Reason::Integrity, 1)
    );
}

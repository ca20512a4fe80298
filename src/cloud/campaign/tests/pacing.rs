//! Who is due when: the arithmetic of rollouts.

use super::*;
use crate::scenario::campaign::{RungStep, Wave};

const MINUTE: u64 = 60_000;

fn with(devices: u32, rollout: Rollout) -> Bench {
    Bench::begin(plan_with(devices, |campaign| campaign.rollout = rollout))
}

fn ladder(base: f64, factor: f64, max: f64, step: RungStep) -> Rollout {
    Rollout::Exponential {
        base_per_minute: base,
        factor,
        max_per_minute: max,
        step,
    }
}

/// When, in milliseconds, and the rate of each rung and who was notified before.
fn rungs(bench: &Bench) -> Vec<(u64, f64, u32)> {
    let rung = |(at, mark)| match mark {
        CampaignMark::Rung {
            per_minute,
            notified,
        } => Some((at, per_minute, notified)),
        CampaignMark::Started { .. }
        | CampaignMark::Wave { .. }
        | CampaignMark::Paused
        | CampaignMark::Resumed
        | CampaignMark::Halted { .. }
        | CampaignMark::Cancelled { .. }
        | CampaignMark::Completed => None,
    };
    bench.marks().into_iter().filter_map(rung).collect()
}

fn waves(bench: &Bench) -> Vec<(u64, u32, u32)> {
    let wave = |(at, mark)| match mark {
        CampaignMark::Wave { index, notified } => Some((at, index, notified)),
        CampaignMark::Started { .. }
        | CampaignMark::Rung { .. }
        | CampaignMark::Paused
        | CampaignMark::Resumed
        | CampaignMark::Halted { .. }
        | CampaignMark::Cancelled { .. }
        | CampaignMark::Completed => None,
    };
    bench.marks().into_iter().filter_map(wave).collect()
}

fn turns_ms(bench: &Bench) -> Vec<u64> {
    bench.notified.iter().map(|(at, ..)| ms(*at)).collect()
}

#[test]
fn all_at_once_is_at_once_but_not_in_one_input() {
    let mut out = Vec::new();
    let plan = Arc::new(plan(3_000));
    let mut campaign = Campaign::begin(&plan, 0, T0, at_ms(0), |_| None, &mut out);
    let mut inputs = 1;
    while campaign.poll_timeout() <= at_ms(0) {
        assert!(out.len() <= super::super::TURNS_MAX + 1, "{}", out.len());
        out.clear();
        campaign.handle_input(at_ms(0), Input::Timeout, &mut out);
        inputs += 1;
    }
    assert_eq!((inputs, campaign.notified()), (3, 3_000));
    assert_eq!(campaign.poll_timeout(), Instant::NEVER);
}

#[test]
fn a_hundred_thousand_at_a_thousand_per_minute_take_a_hundred_minutes() {
    let mut bench = with(
        100_000,
        Rollout::Constant {
            per_minute: 1_000.0,
        },
    );
    bench.until(100 * MINUTE);
    let turns = turns_ms(&bench);
    assert_eq!(turns.len(), 100_000);
    assert!((0..).zip(&turns).all(|(turn, at)| *at == turn * 60));
    assert_eq!(turns[99_999], 100 * MINUTE - 60);
    assert_eq!(rungs(&bench), [(0, 1_000.0, 0)]);
}

#[test]
fn the_documented_ladder() {
    let rollout = ladder(50.0, 2.0, 1_000.0, RungStep::Notified(1_000));
    let mut bench = with(6_000, rollout);
    bench.until(60 * MINUTE);
    let wanted = [
        (0, 50.0, 0),
        (20 * MINUTE, 100.0, 1_000),
        (30 * MINUTE, 200.0, 2_000),
        (35 * MINUTE, 400.0, 3_000),
        (37 * MINUTE + 30_000, 800.0, 4_000),
        (38 * MINUTE + 45_000, 1_000.0, 5_000),
    ];
    assert_eq!(rungs(&bench), wanted);
    let turns = turns_ms(&bench);
    assert_eq!(
        (turns[999], turns[1_000]),
        (20 * MINUTE - 1_200, 20 * MINUTE)
    );
    // The last rung has no end.
    assert_eq!(turns[5_999], 38 * MINUTE + 45_000 + 999 * 60);
}

#[test]
fn each_rung_has_its_rate_as_the_rows_tell_it() {
    let rollout = ladder(1_000.0, 1.5, 8_000.0, RungStep::Notified(700));
    let mut bench = with(5_000, rollout);
    bench.until(10 * MINUTE);
    bench.at(10 * MINUTE, Input::Close);
    let mut offered: Vec<u64> = bench
        .rows
        .iter()
        .map(|row| row.offered.expect("all had their turn").ns())
        .collect();
    offered.sort_unstable();
    let mut rate = 1_000.0_f64;
    let rungs = rungs(&bench);
    // 1000, 1500, 2250, 3375, 5062.5, 7593.75, 8000 per minute, 700 devices each.
    assert_eq!(rungs.len(), 7);
    for (index, (_, per_minute, notified)) in rungs.iter().enumerate() {
        assert!(
            (per_minute - rate.min(8_000.0)).abs() < 1e-6,
            "{per_minute} {rate}"
        );
        let first = index * 700;
        assert_eq!(*notified as usize, first);
        let those = &offered[first..(first + 700).min(5_000)];
        let span = Duration::from_nanos(those[those.len() - 1] - those[0]).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "at most 800")]
        let measured = (those.len() - 1) as f64 * 60.0 / span;
        assert!(
            (measured / per_minute - 1.0).abs() < 0.005,
            "{measured} {per_minute}"
        );
        rate *= 1.5;
    }
}

#[test]
fn a_rung_may_end_by_successes() {
    let mut bench = with(10, ladder(60.0, 2.0, 240.0, RungStep::Succeeded(2)));
    bench.until(2_100);
    assert_eq!(turns_ms(&bench), [0, 1_000, 2_000]);
    let [first, second, third] = [0, 1, 2].map(|turn| bench.notified[turn].1);
    bench.hear(2_200, first, Heard::Confirmed);
    assert_eq!(rungs(&bench).len(), 1);
    // The second success: half a second after the last turn instead of a whole one.
    bench.hear(2_300, second, Heard::Confirmed);
    bench.until(3_100);
    assert_eq!(turns_ms(&bench)[3..], [2_500, 3_000]);
    // Two more, late in the gap: the next turn is due at once, not before.
    let fourth = bench.notified[3].1;
    bench.hear(3_400, third, Heard::Confirmed);
    bench.hear(3_450, fourth, Heard::Confirmed);
    bench.until(60_000);
    assert_eq!(turns_ms(&bench)[5..], [3_450, 3_700, 3_950, 4_200, 4_450]);
    assert_eq!(
        rungs(&bench),
        [(0, 60.0, 0), (2_500, 120.0, 3), (3_450, 240.0, 5)]
    );
}

#[test]
fn packs_come_by_the_clock() {
    let every = Duration::from_secs(60);
    let mut bench = with(250, Rollout::Packs { size: 100, every });
    bench.until(10 * MINUTE);
    let turns = turns_ms(&bench);
    assert!(turns[..100].iter().all(|at| *at == 0));
    assert!(turns[100..200].iter().all(|at| *at == MINUTE));
    assert!(turns[200..].iter().all(|at| *at == 2 * MINUTE));
    assert_eq!(
        waves(&bench),
        [(0, 0, 0), (MINUTE, 1, 100), (2 * MINUTE, 2, 200)]
    );
}

#[test]
fn a_wave_waits_for_the_successes_of_those_before() {
    let wave = |upto, success| Wave { upto, success };
    let rollout = Rollout::Waves(vec![
        wave(0.001, 1.0),
        wave(0.1, 0.9),
        wave(0.2, 0.0),
        wave(0.3, 0.5),
        wave(1.0, 0.0),
    ]);
    let mut bench = with(100, rollout);
    bench.until(1_000);
    // A thousandth of a hundred is one: a wave of nobody would let the next begin on no evidence.
    assert_eq!(turns_ms(&bench).len(), 1);
    let first = bench.notified[0].1;
    bench.hear(1_500, first, Heard::Confirmed);
    bench.until(1_600);
    // Of the second nine in ten must succeed.
    assert_eq!(turns_ms(&bench).len(), 10);
    let devices: Vec<DeviceIdx> = bench
        .notified
        .iter()
        .map(|(_, device, _)| *device)
        .collect();
    for device in &devices[1..8] {
        bench.hear(2_000, *device, Heard::Confirmed);
    }
    bench.hear(
        2_500,
        devices[8],
        Heard::RolledBack(crate::wire::Reason::UpdateFailed),
    );
    bench.until(3_000);
    assert_eq!(turns_ms(&bench).len(), 10);
    bench.hear(3_500, devices[9], Heard::Confirmed);
    bench.until(4_000);
    // The third lets the fourth on whatever comes; that one waits for half of thirty.
    assert_eq!(
        waves(&bench),
        [(0, 0, 0), (1_500, 1, 1), (3_500, 2, 10), (3_500, 3, 20)]
    );
    assert_eq!(turns_ms(&bench).len(), 30);
    let devices: Vec<DeviceIdx> = bench.notified[10..]
        .iter()
        .map(|(_, device, _)| *device)
        .collect();
    for (at, device) in (5_000..).zip(&devices[..6]) {
        assert_eq!(turns_ms(&bench).len(), 30);
        bench.hear(at, *device, Heard::Confirmed);
        bench.until(at);
    }
    assert_eq!(turns_ms(&bench).len(), 100);
    assert_eq!(waves(&bench)[4..], [(5_005, 4, 30)]);
}

#[test]
fn a_late_driver_catches_up_and_the_schedule_does_not_slip() {
    let rollout = ladder(60.0, 2.0, 240.0, RungStep::Notified(3));
    let mut bench = with(20, rollout);
    bench.step(at_ms(3_700), Input::Timeout);
    // Due at 0, 1, 2, 3, 3.5 s.
    assert_eq!(bench.notified.len(), 5);
    assert_eq!(bench.campaign.poll_timeout(), at_ms(4_000));
}

#[test]
fn a_campaign_that_begins_late_keeps_its_schedule() {
    let plan = Arc::new(plan_with(10, |campaign| {
        campaign.rollout = Rollout::Constant { per_minute: 60.0 };
    }));
    let mut out = Vec::new();
    let campaign = Campaign::begin(&plan, 0, T0, at_ms(1_500), |_| None, &mut out);
    assert_eq!(campaign.notified(), 2);
    assert_eq!(campaign.poll_timeout(), at_ms(2_000));
    let started = Finding::Campaign {
        campaign: 0,
        at: at_ms(0),
        mark: CampaignMark::Started { targets: 10 },
    };
    assert_eq!(out[0], Output::Finding(started));
}

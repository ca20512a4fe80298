//! The ledger: whatever happens, each target has exactly one row, and the numbers agree.

use super::*;
use crate::cloud::campaign::Status;
use crate::scenario::campaign::{AbortRule, Failure, RungStep, Wave};
use crate::wire::Reason;
use proptest::prelude::*;
use std::collections::BTreeSet;

const DEVICES: u32 = 12;

fn heard() -> impl Strategy<Value = Heard> {
    prop_oneof![
        4 => Just(Heard::Started),
        2 => Just(Heard::Progress),
        2 => Just(Heard::Downloaded),
        2 => Just(Heard::Rebooting),
        2 => Just(Heard::Confirmed),
        1 => Just(Heard::RolledBack(Reason::UpdateFailed)),
        2 => Just(Heard::Failed(Reason::Integrity)),
        1 => Just(Heard::Rejected(Reason::UnsupportedPackage)),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    // One beyond the targets.
    let device = 0..=DEVICES;
    prop_oneof![
        12 => (device.clone(), heard()).prop_map(|(device, heard)| Input::Heard(device, heard)),
        3 => device.clone().prop_map(Input::Contact),
        1 => device.clone().prop_map(Input::Seen),
        2 => (device, 0..=u32::MAX).prop_map(|(device, bytes)| Input::Served(device, bytes)),
        4 => Just(Input::Timeout),
        1 => Just(Input::Stop),
    ]
}

fn rollout() -> impl Strategy<Value = Rollout> {
    let wave = |upto, success| Wave { upto, success };
    let ladder = |step| Rollout::Exponential {
        base_per_minute: 20.0,
        factor: 2.0,
        max_per_minute: 200.0,
        step,
    };
    prop_oneof![
        Just(Rollout::AtOnce),
        Just(Rollout::Constant { per_minute: 60.0 }),
        Just(ladder(RungStep::Notified(3))),
        Just(ladder(RungStep::Succeeded(1))),
        Just(Rollout::Waves(vec![
            wave(0.3, 0.5),
            wave(0.6, 0.0),
            wave(1.0, 0.0)
        ])),
        Just(Rollout::Packs {
            size: 5,
            every: Duration::from_secs(7)
        }),
    ]
}

fn aborts() -> impl Strategy<Value = Vec<AbortRule>> {
    let rule = |min_executed, threshold| AbortRule {
        failure: Failure::All,
        min_executed,
        threshold,
    };
    prop_oneof![
        Just(Vec::new()),
        (1u32..6, 1u32..=10)
            .prop_map(move |(min, tenths)| vec![rule(min, f64::from(tenths) / 10.0)]),
    ]
}

prop_compose! {
    fn definition()(
        rollout in rollout(),
        aborts in aborts(),
        in_progress in proptest::option::of(5u64..40),
        step in proptest::option::of(3u64..20),
        retries in 0u8..=10,
        pauses in prop_oneof![Just(vec![]), Just(vec![(4, 9), (12, 30)]), Just(vec![(0, 6)])],
        cancel in proptest::option::weighted(0.2, 0u64..60),
    ) -> Plan {
        plan_with(DEVICES, |campaign| {
            campaign.rollout = rollout;
            campaign.aborts = aborts;
            campaign.in_progress_timeout = in_progress.map(Duration::from_secs);
            campaign.step_timeout = step.map(Duration::from_secs);
            campaign.retries = retries;
            let seconds = Duration::from_secs;
            campaign.pauses = pauses.into_iter().map(|(from, until)| (seconds(from), seconds(until))).collect();
            campaign.cancel = cancel.map(seconds);
        })
    }
}

/// What was put in, to hold against what came out.
#[derive(Default)]
struct Put {
    words: u64,
    bytes: u64,
}

fn check_rows(bench: &Bench, put: &Put, campaign: &Definition) {
    let (retries, has_pauses) = (campaign.retries, !campaign.pauses.is_empty());
    let devices: BTreeSet<DeviceIdx> = bench.rows.iter().map(|row| row.device).collect();
    assert_eq!(bench.rows.len(), DEVICES as usize, "one row per target");
    assert!(devices.into_iter().eq(0..DEVICES), "and each its own");
    let mut booked = 0;
    for row in &bench.rows {
        let way = [row.offered, row.started, row.downloaded, row.rebooted];
        assert!(
            way.iter().flatten().all(|at| *at <= row.finished),
            "{row:?}"
        );
        assert!(
            row.offered <= row.started || row.started.is_none(),
            "{row:?}"
        );
        assert_eq!(row.attempts == 0, row.offered.is_none(), "{row:?}");
        assert!(row.attempts <= retries + 1, "{row:?}");
        let attempts = bench
            .notified
            .iter()
            .filter(|(_, device, _)| *device == row.device);
        let told = attempts.map(|(.., attempt)| *attempt).max();
        let told = told.unwrap_or(0);
        // In a pause a device may go on by itself with a retry that it has not been told of yet.
        assert!(
            told == row.attempts || has_pauses && told < row.attempts,
            "{row:?}"
        );
        let started = match row.outcome {
            Outcome::Confirmed
            | Outcome::RolledBack
            | Outcome::Failed
            | Outcome::Bricked
            | Outcome::TimedOut => true,
            Outcome::Cancelled | Outcome::NeverReached => false,
            Outcome::Rejected => row.started.is_some(),
            Outcome::Unfinished => panic!("an operator does not say so"),
        };
        assert_eq!(row.started.is_some(), started, "{row:?}");
        booked += row.bytes;
    }
    let counts = bench.campaign.counts();
    assert_eq!(booked + counts.unbooked_bytes, put.bytes);
    assert!(counts.late_words + counts.early_words + counts.foreign_words <= put.words);
    let started = bench
        .rows
        .iter()
        .filter(|row| row.started.is_some())
        .count();
    assert_eq!(bench.campaign.started() as usize, started);
    assert_eq!(bench.campaign.under_way(), 0);
    if let Some((
        at,
        CampaignMark::Halted {
            started,
            executed,
            failures,
            crossed,
            ..
        },
    )) = bench.halted()
    {
        let exposed = bench
            .rows
            .iter()
            .filter(|row| row.started.is_some_and(|started| started <= at));
        assert_eq!(
            exposed.count(),
            started as usize,
            "the rows tell the exposure"
        );
        assert!(
            failures <= executed && crossed < at && at.since(crossed) <= Duration::from_secs(1)
        );
        assert!(
            bench.notified.iter().all(|(told, ..)| *told <= at),
            "nobody is told after a halt"
        );
    }
}

/// Whether nobody is notified in a pause: not between its marks, as they came out.
fn check_pauses(bench: &Bench, plan: &Plan) {
    for (from, until) in &plan.campaigns[0].pauses {
        let pause = T0.after(*from)..T0.after(*until);
        assert!(
            bench
                .notified
                .iter()
                .all(|(told, ..)| !pause.contains(told))
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(768))]

    #[test]
    fn each_target_has_one_row_whatever_happens(
        plan in definition(),
        inputs in proptest::collection::vec((0u64..3_000, input()), 0..120),
    ) {
        let mut bench = Bench::begin(plan.clone());
        let mut put = Put::default();
        let mut at = 0;
        for (gap, input) in inputs {
            at += gap;
            put.words += u64::from(matches!(input, Input::Heard(..)));
            if let Input::Served(_, bytes) = input {
                put.bytes += u64::from(bytes);
            }
            bench.at(at, input);
            let queued = (0..DEVICES).filter_map(|device| bench.campaign.execution(device));
            let under_way = queued.filter(|view| !matches!(view.status, Status::Ended(_))).count();
            prop_assert_eq!(bench.campaign.under_way() as usize, under_way);
        }
        let before = bench.rows.clone();
        bench.at(at + 10, Input::Close);
        prop_assert_eq!(&bench.rows[..before.len()], &before[..], "rows are not taken back");
        check_rows(&bench, &put, &plan.campaigns[0]);
        check_pauses(&bench, &plan);
        let done = bench.marks.iter().filter(|(_, mark)| *mark == CampaignMark::Completed);
        prop_assert_eq!(done.count(), 1);
        prop_assert!(bench.campaign.is_complete());
        prop_assert_eq!(bench.campaign.poll_timeout(), Instant::NEVER);
        // And that is the end of it.
        let marks = bench.marks.len();
        for device in 0..DEVICES {
            bench.at(at + 20, Input::Heard(device, Heard::Confirmed));
        }
        bench.at(at + 30, Input::Stop);
        bench.at(at + 40, Input::Close);
        prop_assert_eq!((bench.rows.len(), bench.marks.len()), (DEVICES as usize, marks));
    }

    #[test]
    fn a_seldom_driver_gives_the_same_turns_in_the_same_order(
        plan in definition(),
        gaps in proptest::collection::vec(1u64..20_000, 1..20),
    ) {
        let mut punctual = Bench::begin(plan.clone());
        let mut seldom = Bench::begin(plan);
        let mut at = 0;
        for gap in gaps {
            at += gap;
            punctual.until(at);
            seldom.step(at_ms(at), Input::Timeout);
            let order = |bench: &Bench| bench.notified.iter().map(|(_, device, attempt)| (*device, *attempt)).collect::<Vec<_>>();
            prop_assert_eq!(order(&punctual), order(&seldom));
            prop_assert_eq!(punctual.rows.len(), seldom.rows.len());
        }
    }
}

#[test]
fn who_was_never_offered_or_never_heard_of_is_never_reached() {
    let mut bench = Bench::begin(plan_with(4, |campaign| {
        campaign.rollout = Rollout::Constant { per_minute: 60.0 };
    }));
    bench.at(1_500, Input::Close);
    assert_eq!(bench.count(Outcome::NeverReached), 4);
    let offered = bench
        .rows
        .iter()
        .filter(|row| row.offered.is_some() && row.attempts == 1);
    assert_eq!(offered.count(), 2);
    let wanted = [
        (1_500, CampaignMark::Cancelled { started: 0 }),
        (1_500, CampaignMark::Completed),
    ];
    assert_eq!(bench.marks()[2..], wanted);
}

#[test]
fn bytes_that_no_row_can_hold_are_counted_beside() {
    let mut bench = Bench::begin(plan(1));
    bench.at(1_000, Input::Served(0, u32::MAX));
    bench.at(1_000, Input::Served(0, 7));
    bench.at(2_000, Input::Close);
    assert_eq!(bench.rows[0].bytes, u64::from(u32::MAX));
    assert_eq!(bench.campaign.counts().unbooked_bytes, 7);
}

#[test]
fn a_hundred_thousand_targets_take_32_bytes_each_and_their_timers_next_to_nothing() {
    let devices = 100_000;
    let bench = Bench::begin(plan_with(devices, |campaign| {
        campaign.in_progress_timeout = Some(Duration::from_secs(600));
        campaign.step_timeout = Some(Duration::from_secs(60));
    }));
    let targets = bench.campaign.targets.memory();
    let timers = bench.campaign.timers.memory();
    let per_target = |bytes: usize| bytes as f64 / f64::from(devices);
    eprintln!(
        "per target: {:.3} bytes of executions, {:.3} bytes of timers",
        per_target(targets),
        per_target(timers)
    );
    let place_of_priorities = size_of::<u32>();
    assert!(
        targets <= 32 * devices as usize + place_of_priorities,
        "{targets}"
    );
    // Four bytes per block.
    assert!(per_target(timers) <= 0.02, "{timers}");
    assert!(size_of::<Campaign>() <= 1_024, "{}", size_of::<Campaign>());
}

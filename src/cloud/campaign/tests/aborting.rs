//! Abort rules: when they hold, when that is seen, and what a halt does.

use super::*;
use crate::scenario::campaign::{AbortRule, Failure};
use crate::wire::Reason;

const FAIL: Heard = Heard::Failed(Reason::Integrity);

fn rule(failure: Failure, min_executed: u32, threshold: f64) -> AbortRule {
    AbortRule {
        failure,
        min_executed,
        threshold,
    }
}

fn with(devices: u32, aborts: Vec<AbortRule>) -> Bench {
    Bench::begin(plan_with(devices, |campaign| {
        campaign.aborts = aborts;
        campaign.in_progress_timeout = Some(Duration::from_secs(600));
    }))
}

/// `failed` devices fail and then `confirmed` succeed, from `ms` on.
fn end(bench: &mut Bench, ms: u64, failed: u32, confirmed: u32) {
    let done = u32::try_from(bench.rows.len()).expect("few");
    for device in done..done + failed {
        bench.hear(ms, device, FAIL);
    }
    for device in done + failed..done + failed + confirmed {
        bench.hear(ms, device, Heard::Confirmed);
    }
}

#[test]
fn the_threshold_is_met_and_not_passed() {
    // Executed, failed, halts; the rule: 20 % of at least 100.
    let table = [
        (99, 99, false),
        (100, 19, false),
        (100, 20, true),
        (101, 20, false),
        (104, 20, false),
        (105, 21, true),
        (305, 61, true),
        (305, 60, false),
    ];
    for (executed, failed, halts) in table {
        let mut bench = with(1_000, vec![rule(Failure::Failed, 100, 0.2)]);
        // Those who succeed come first, so that a share is met by a failure at the end.
        end(&mut bench, 500, 0, executed - failed);
        end(&mut bench, 600, failed, 0);
        assert_eq!(bench.halted(), None);
        bench.until(5_000);
        let wanted = halts.then_some((
            at_ms(1_000),
            CampaignMark::Halted {
                rule: 0,
                executed,
                failures: failed,
                started: executed,
                crossed: at_ms(600),
            },
        ));
        assert_eq!(bench.halted(), wanted, "{executed} {failed}");
    }
}

#[test]
fn a_rule_counts_its_own_failures() {
    use Failure::{All, Failed, Rejected, TimedOut};
    let rejected = Heard::Rejected(Reason::UnsupportedPackage);
    let rolled_back = Heard::RolledBack(Reason::UpdateFailed);
    let table = [
        (
            Some(FAIL),
            [
                (Failed, true),
                (Rejected, false),
                (TimedOut, false),
                (All, true),
            ],
        ),
        (
            Some(rolled_back),
            [
                (Failed, true),
                (Rejected, false),
                (TimedOut, false),
                (All, true),
            ],
        ),
        (
            Some(rejected),
            [
                (Failed, false),
                (Rejected, true),
                (TimedOut, false),
                (All, true),
            ],
        ),
        (
            Some(Heard::Started),
            [
                (Failed, false),
                (Rejected, false),
                (TimedOut, true),
                (All, true),
            ],
        ),
        (
            Some(Heard::Rebooting),
            [
                (Failed, false),
                (Rejected, false),
                (TimedOut, true),
                (All, true),
            ],
        ),
        (
            Some(Heard::Confirmed),
            [
                (Failed, false),
                (Rejected, false),
                (TimedOut, false),
                (All, false),
            ],
        ),
        (
            None,
            [
                (Failed, false),
                (Rejected, false),
                (TimedOut, false),
                (All, false),
            ],
        ),
    ];
    for (word, rules) in table {
        for (failure, halts) in rules {
            let mut bench = with(10, vec![rule(failure, 1, 0.01)]);
            if let Some(word) = word {
                bench.hear(500, 0, word);
            }
            bench.until(700_000);
            assert_eq!(bench.halted().is_some(), halts, "{word:?} {failure:?}");
        }
    }
}

#[test]
fn the_first_rule_that_holds_halts() {
    let rules = vec![
        rule(Failure::Rejected, 1, 0.5),
        rule(Failure::All, 4, 0.5),
        rule(Failure::Failed, 4, 0.5),
    ];
    let mut bench = with(10, rules);
    end(&mut bench, 1_500, 4, 0);
    bench.until(2_000);
    let wanted = CampaignMark::Halted {
        rule: 1,
        executed: 4,
        failures: 4,
        started: 4,
        crossed: at_ms(1_500),
    };
    assert_eq!(bench.halted(), Some((at_ms(2_000), wanted)));
}

#[test]
fn crossed_is_the_end_since_which_it_held() {
    // Holds at 1.1 s, no more at 1.2 s, again at 1.4 s, and still at 1.6 s.
    let mut bench = with(100, vec![rule(Failure::Failed, 4, 0.5)]);
    end(&mut bench, 500, 1, 2);
    end(&mut bench, 1_100, 1, 0);
    end(&mut bench, 1_200, 0, 1);
    end(&mut bench, 1_400, 1, 0);
    end(&mut bench, 1_600, 2, 0);
    bench.until(3_000);
    let (at, mark) = bench.halted().expect("five of eight failed");
    assert_eq!(ms(at), 2_000);
    let wanted = CampaignMark::Halted {
        rule: 0,
        executed: 8,
        failures: 5,
        started: 8,
        crossed: at_ms(1_400),
    };
    assert_eq!(mark, wanted);
}

#[test]
fn what_no_longer_holds_when_it_is_looked_at_does_not_halt() {
    let mut bench = with(100, vec![rule(Failure::Failed, 4, 0.5)]);
    end(&mut bench, 1_100, 2, 2);
    assert_eq!(bench.campaign.poll_timeout(), at_ms(2_000));
    end(&mut bench, 1_200, 0, 1);
    bench.until(100_000);
    assert_eq!(bench.halted(), None);
}

#[test]
fn the_look_comes_each_full_second_and_an_end_in_it_waits_for_the_next() {
    let mut bench = with(100, vec![rule(Failure::Failed, 1, 0.5)]);
    assert_eq!(bench.campaign.poll_timeout(), Instant::NEVER);
    bench.hear(3_000, 0, FAIL);
    bench.until(3_999);
    assert_eq!(bench.halted(), None);
    bench.until(4_000);
    assert_eq!(bench.halted().map(|(at, _)| ms(at)), Some(4_000));
}

#[test]
fn each_execution_counts_and_a_retry_is_one_more() {
    let mut bench = Bench::begin(plan_with(10, |campaign| {
        campaign.aborts = vec![rule(Failure::Failed, 2, 1.0)];
        campaign.retries = 5;
    }));
    bench.hear(500, 3, FAIL);
    bench.until(1_500);
    assert_eq!(bench.halted(), None);
    bench.hear(1_500, 3, FAIL);
    bench.until(2_000);
    let wanted = CampaignMark::Halted {
        rule: 0,
        executed: 2,
        failures: 2,
        started: 1,
        crossed: at_ms(1_500),
    };
    assert_eq!(bench.halted(), Some((at_ms(2_000), wanted)));
    // Its third execution is taken back, and it ends as the second did.
    let row = bench.row(3).expect("it has its row");
    assert_eq!((row.outcome, row.attempts), (Outcome::Failed, 3));
    assert!(bench.cancelled.contains(&(3, 3)));
}

#[test]
fn a_halt_cancels_who_has_not_started_and_lets_the_others_go_on() {
    let mut bench = Bench::begin(plan_with(10, |campaign| {
        campaign.rollout = Rollout::Constant { per_minute: 300.0 };
        campaign.aborts = vec![rule(Failure::Failed, 2, 0.5)];
        campaign.pauses = vec![(
            START + Duration::from_secs(20),
            START + Duration::from_secs(30),
        )];
    }));
    bench.until(900);
    let turns: Vec<DeviceIdx> = bench
        .notified
        .iter()
        .map(|(_, device, _)| *device)
        .collect();
    assert_eq!(turns.len(), 5);
    bench.hear(900, turns[0], FAIL);
    bench.hear(900, turns[1], FAIL);
    bench.hear(900, turns[2], Heard::Started);
    // The look comes before the turn of the same instant.
    bench.until(1_000);
    assert_eq!(bench.notified.len(), 5);
    assert_eq!(bench.cancelled, {
        let mut both = vec![(turns[3], 1), (turns[4], 1)];
        both.sort_unstable();
        both
    });
    assert_eq!(bench.count(Outcome::Cancelled), 7);
    let never_offered = bench.rows.iter().filter(|row| row.attempts == 0);
    assert_eq!(never_offered.count(), 5);
    assert_eq!(bench.campaign.poll_timeout(), Instant::NEVER);
    // A word that was on its way as the halt came.
    bench.hear(1_100, turns[3], Heard::Started);
    assert_eq!(bench.campaign.counts().late_words, 1);
    bench.hear(50_000, turns[2], Heard::Confirmed);
    assert!(bench.campaign.is_complete());
    assert_eq!(bench.rows.len(), 10);
}

#[test]
fn exposure_is_what_the_rows_say_it_is() {
    // The halt comes late, in the middle of a tick, between two starts in that tick.
    let mut bench = Bench::begin(plan_with(10, |campaign| {
        campaign.aborts = vec![rule(Failure::Failed, 1, 0.5)];
        campaign.retries = 1;
    }));
    assert_eq!(bench.campaign.clock().tick(), Duration::from_millis(10));
    bench.hear(500, 0, FAIL);
    bench.now = at_ms(1_003);
    bench.step(at_ms(1_003), Input::Heard(1, Heard::Started));
    let (at, mark) = bench.halted().expect("one of one failed");
    assert_eq!(at, at_ms(1_003));
    assert!(
        matches!(mark, CampaignMark::Halted { started: 1, .. }),
        "{mark:?}"
    );
    bench.at(2_000, Input::Close);
    let exposed = bench
        .rows
        .iter()
        .filter(|row| row.started.is_some_and(|started| started <= at));
    assert_eq!(exposed.count(), 1);

    // And one whose start is heard of before the halt of the same tick counts.
    let mut bench = with(10, vec![rule(Failure::Failed, 1, 0.5)]);
    bench.hear(500, 0, FAIL);
    bench.hear(999, 1, Heard::Started);
    bench.now = at_ms(1_003);
    bench.step(at_ms(1_003), Input::Timeout);
    let (at, mark) = bench.halted().expect("one of one failed");
    assert!(
        matches!(mark, CampaignMark::Halted { started: 2, .. }),
        "{mark:?}"
    );
    bench.at(2_000, Input::Close);
    let exposed = bench
        .rows
        .iter()
        .filter(|row| row.started.is_some_and(|started| started <= at));
    assert_eq!(exposed.count(), 2);
}

#[test]
fn rules_are_looked_at_in_a_pause_and_after_the_last_phase() {
    let mut bench = Bench::begin(plan_with(10, |campaign| {
        campaign.aborts = vec![rule(Failure::Failed, 1, 0.5)];
        campaign.pauses = vec![(
            START + Duration::from_secs(1),
            START + Duration::from_secs(90),
        )];
    }));
    bench.hear(5_500, 0, FAIL);
    bench.until(6_000);
    assert_eq!(bench.halted().map(|(at, _)| ms(at)), Some(6_000));
    let mut bench = with(10, vec![rule(Failure::Failed, 1, 0.5)]);
    bench.at(5_000, Input::Stop);
    bench.hear(5_500, 0, FAIL);
    bench.until(6_000);
    assert_eq!(bench.halted().map(|(at, _)| ms(at)), Some(6_000));
    assert_eq!(bench.count(Outcome::Cancelled), 9);
}

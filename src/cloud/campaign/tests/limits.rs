//! Limits in progress, steps, retries.

use super::*;
use crate::cloud::campaign::timers::{BLOCK, Limits};
use crate::cloud::campaign::{Clock, Status};
use crate::wire::Reason;

#[test]
fn the_worked_example_of_the_job_service() {
    // In ticks of a minute: started 12:00 with 20 minutes; at 12:05 a step of 7 minutes, at 12:10 of 5,
    // at 12:13 of 9.
    let deadline = |changed, step| {
        let limits = Limits {
            in_progress: Some(20),
            step: Some(step),
        };
        limits.deadline(0, changed)
    };
    assert_eq!(deadline(5, 7), Some(12));
    assert_eq!(deadline(10, 5), Some(15));
    assert_eq!(deadline(13, 9), Some(20));
    let none = Limits {
        in_progress: None,
        step: None,
    };
    assert_eq!(none.deadline(0, 13), None);
}

fn limited(devices: u32, in_progress: Option<u64>, step: Option<u64>, retries: u8) -> Bench {
    Bench::begin(plan_with(devices, |campaign| {
        campaign.in_progress_timeout = in_progress.map(Duration::from_secs);
        campaign.step_timeout = step.map(Duration::from_secs);
        campaign.retries = retries;
    }))
}

/// When the row of device 0 came, in milliseconds.
fn finished(bench: &Bench) -> Option<u64> {
    bench.row(0).map(|row| ms(row.finished))
}

#[test]
fn each_word_gives_another_step_within_the_limit_of_all() {
    let table = [
        // Limits, words at seconds, when it times out.
        (Some(20), None, vec![5, 10, 19], Some(20_000)),
        (None, Some(5), vec![3, 7, 11], Some(16_000)),
        (Some(20), Some(5), vec![3, 7], Some(12_000)),
        (Some(20), Some(5), vec![3, 7, 11, 15, 19], Some(20_000)),
        (None, None, vec![3], None),
    ];
    for (in_progress, step, words, wanted) in table {
        let mut bench = limited(3, in_progress, step, 0);
        // It has time without end until it starts.
        bench.hear(1_000_000, 0, Heard::Started);
        for word in &words {
            bench.hear(1_000_000 + word * 1_000, 0, Heard::Progress);
        }
        bench.until(2_000_000);
        let wanted = wanted.map(|after: u64| 1_000_000 + after);
        assert_eq!(finished(&bench), wanted, "{words:?}");
        if wanted.is_some() {
            assert_eq!(bench.outcome(0), Some(Outcome::TimedOut));
        }
        assert_eq!(bench.rows.len(), usize::from(wanted.is_some()));
    }
}

#[test]
fn a_word_at_the_limit_comes_too_late_and_one_before_does_not() {
    let mut bench = limited(1, Some(20), None, 0);
    bench.hear(1_000, 0, Heard::Started);
    bench.hear(20_999, 0, Heard::Confirmed);
    assert_eq!(bench.outcome(0), Some(Outcome::Confirmed));
    let mut bench = limited(1, Some(20), None, 0);
    bench.hear(1_000, 0, Heard::Started);
    bench.hear(21_000, 0, Heard::Confirmed);
    assert_eq!(bench.outcome(0), Some(Outcome::TimedOut));
    assert_eq!(bench.campaign.counts().late_words, 1);
}

#[test]
fn limits_are_never_cut_short_by_ticks() {
    // Ticks of 10 ms in a campaign of a day.
    let mut bench = limited(1, Some(20), None, 0);
    assert_eq!(bench.campaign.clock().tick(), Duration::from_millis(10));
    bench.hear(1_003, 0, Heard::Started);
    bench.until(21_009);
    assert_eq!(bench.rows, []);
    bench.until(21_010);
    assert_eq!(finished(&bench), Some(21_010));
    // What is written down is rounded down.
    assert_eq!(bench.row(0).and_then(|row| row.started), Some(at_ms(1_000)));
}

#[test]
fn the_many_time_out_one_by_one_in_the_order_of_their_starts() {
    let devices = 3 * BLOCK + 7;
    let mut bench = limited(devices, Some(100), Some(50), 0);
    let start = |device: u32| 1_000 + u64::from(device * 7919 % devices) * 10;
    let mut order: Vec<DeviceIdx> = (0..devices).collect();
    order.sort_by_key(|device| start(*device));
    for device in &order {
        bench.hear(start(*device), *device, Heard::Started);
    }
    // A third keeps on talking, every 40 s.
    for round in 0..2 {
        for device in order.iter().filter(|device| *device % 3 == 0) {
            bench.hear(
                start(*device) + 40_000 * (round + 1),
                *device,
                Heard::Progress,
            );
        }
    }
    bench.until(1_000_000);
    assert_eq!(bench.rows.len(), devices as usize);
    for row in &bench.rows {
        let limit = if row.device % 3 == 0 { 100_000 } else { 50_000 };
        assert_eq!(
            ms(row.finished),
            start(row.device) + limit,
            "{}",
            row.device
        );
    }
    assert!(bench.rows.is_sorted_by_key(|row| row.finished));
}

#[test]
fn what_failed_or_timed_out_gets_another_turn_and_nothing_else_does() {
    let ends = [
        (
            Some(Heard::Confirmed),
            Outcome::Confirmed,
            Reason::Success,
            1,
        ),
        (
            Some(Heard::Failed(Reason::ConnectionLost)),
            Outcome::Failed,
            Reason::ConnectionLost,
            3,
        ),
        (
            Some(Heard::Rejected(Reason::UnsupportedPackage)),
            Outcome::Rejected,
            Reason::UnsupportedPackage,
            1,
        ),
        (
            Some(Heard::RolledBack(Reason::UpdateFailed)),
            Outcome::RolledBack,
            Reason::UpdateFailed,
            1,
        ),
        (None, Outcome::TimedOut, Reason::Ready, 3),
    ];
    for (word, outcome, reason, attempts) in ends {
        let mut bench = limited(1, Some(20), None, 2);
        for attempt in 1..=attempts {
            let turns: Vec<u8> = bench
                .notified
                .iter()
                .map(|(.., attempt)| *attempt)
                .collect();
            assert_eq!(turns, (1..=attempt).collect::<Vec<u8>>());
            let at = u64::from(attempt) * 100_000;
            assert_eq!(
                bench
                    .campaign
                    .execution(0)
                    .map(|view| (view.status, view.attempt, view.version)),
                Some((Status::Queued, attempt, 1))
            );
            bench.hear(at, 0, Heard::Started);
            match word {
                Some(word) => bench.hear(at + 5_000, 0, word),
                None => bench.until(at + 20_000),
            }
        }
        let row = bench.row(0).expect("it has had all its turns");
        assert_eq!(
            (row.outcome, row.reason, row.attempts),
            (outcome, reason, attempts)
        );
        assert_eq!(row.started, Some(at_ms(100_000)));
        assert_eq!(bench.campaign.started(), 1);
        assert_eq!(bench.campaign.counts().retries, u64::from(attempts) - 1);
        bench.until(10_000_000);
        assert_eq!(bench.rows.len(), 1);
    }
}

#[test]
fn who_is_bricked_gets_no_other_turn() {
    let mut bench = limited(1, Some(20), None, 2);
    bench.hear(1_000, 0, Heard::Started);
    bench.hear(2_000, 0, Heard::Rebooting);
    bench.until(100_000);
    assert_eq!(bench.outcome(0), Some(Outcome::Bricked));
    assert_eq!(bench.notified.len(), 1);
}

#[test]
fn a_retry_that_is_never_heard_of_does_not_hide_the_failure() {
    let table = [
        (
            Some(Heard::Failed(Reason::Ready)),
            Outcome::Failed,
            Reason::Ready,
        ),
        (
            Some(Heard::Failed(Reason::AwaitRetry)),
            Outcome::Failed,
            Reason::AwaitRetry,
        ),
        (None, Outcome::TimedOut, Reason::Ready),
    ];
    for (word, outcome, reason) in table {
        let mut bench = limited(1, Some(20), None, 1);
        bench.hear(1_000, 0, Heard::Started);
        match word {
            Some(word) => bench.hear(2_000, 0, word),
            None => bench.until(21_000),
        }
        assert_eq!(bench.notified.len(), 2);
        bench.at(30_000, Input::Close);
        let row = bench.row(0).expect("all have rows");
        assert_eq!(
            (row.outcome, row.reason, row.attempts),
            (outcome, reason, 2)
        );
    }
}

#[test]
fn the_limit_of_a_retry_counts_from_its_own_start() {
    let mut bench = limited(1, Some(20), None, 1);
    bench.hear(1_000, 0, Heard::Started);
    bench.hear(2_000, 0, Heard::Failed(Reason::Io));
    bench.until(500_000);
    assert_eq!(bench.rows, []);
    bench.hear(500_000, 0, Heard::Started);
    bench.until(600_000);
    assert_eq!(finished(&bench), Some(520_000));
}

#[test]
fn ticks_are_as_fine_as_the_span_lets_them_be() {
    let tick = |span| Clock::new(Instant::ZERO, span).tick();
    assert_eq!(
        tick(Duration::from_secs(27 * 60)),
        Duration::from_micros(100)
    );
    assert_eq!(tick(Duration::from_secs(28 * 60)), Duration::from_millis(1));
    assert_eq!(
        tick(Duration::from_secs(4 * 3_600)),
        Duration::from_millis(1)
    );
    assert_eq!(
        tick(Duration::from_secs(46 * 3_600)),
        Duration::from_millis(10)
    );
    assert_eq!(
        tick(Duration::from_secs(19 * 86_400)),
        Duration::from_millis(100)
    );
    let clock = Clock::new(at_ms(0), Duration::from_secs(20 * 60));
    let at = at_ms(1_234).after_ns(50_001);
    let [down, up] = [clock.floor(at), clock.ceil(at)];
    assert_eq!((clock.instant(down), up), (at_ms(1_234), down + 1));
    // Before the start, and far beyond the span.
    assert_eq!((clock.floor(T0), clock.ceil(T0)), (0, 0));
    assert_eq!(clock.floor(Instant::NEVER), clock.ceil(Instant::NEVER));
}

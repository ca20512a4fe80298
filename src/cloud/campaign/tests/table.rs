//! What each word makes of each stage: the whole table, and what comes of it outside.

use super::*;
use crate::cloud::campaign::execution::{self, Stage, Step};
use crate::cloud::campaign::{Status, View};
use crate::wire::Reason;

const WORDS: [Heard; 8] = [
    Heard::Started,
    Heard::Progress,
    Heard::Downloaded,
    Heard::Rebooting,
    Heard::Confirmed,
    Heard::RolledBack(Reason::UpdateFailed),
    Heard::Failed(Reason::Integrity),
    Heard::Rejected(Reason::UnsupportedPackage),
];

#[test]
fn every_word_at_every_stage() {
    use Stage::{Missed, Notified, Rebooting, Retry, Returned, Started, Waiting};
    let ends = [
        Step::End(Outcome::Confirmed, Reason::Success),
        Step::End(Outcome::RolledBack, Reason::UpdateFailed),
        Step::End(Outcome::Failed, Reason::Integrity),
        Step::End(Outcome::Rejected, Reason::UnsupportedPackage),
    ];
    let on = |started, progress, downloaded, rebooting| {
        let on = [started, progress, downloaded, rebooting].map(Step::On);
        let [a, b, c, d] = on;
        let [e, f, g, h] = ends;
        [a, b, c, d, e, f, g, h]
    };
    let ended = Stage::Ended(Outcome::Cancelled);
    let table = [
        (Waiting, [Step::Early; 8]),
        (Missed, on(Started, Started, Started, Rebooting)),
        (Retry, on(Started, Started, Started, Rebooting)),
        (Notified, on(Started, Started, Started, Rebooting)),
        (Started, on(Started, Started, Started, Rebooting)),
        (Rebooting, on(Returned, Returned, Returned, Rebooting)),
        (Returned, on(Returned, Returned, Returned, Rebooting)),
        (ended, [Step::Late; 8]),
    ];
    for (stage, steps) in table {
        for (heard, wanted) in WORDS.into_iter().zip(steps) {
            assert_eq!(execution::hear(stage, heard), wanted, "{stage:?} {heard:?}");
        }
    }
}

/// Brings device 0 of a campaign of two there; `None` = its row is out.
fn at_stage(stage: &str) -> Bench {
    let mut bench = Bench::begin(plan_with(2, |campaign| {
        campaign.retries = 1;
        campaign.in_progress_timeout = Some(Duration::from_secs(60));
        campaign.pauses = vec![(
            START + Duration::from_secs(1),
            START + Duration::from_secs(50),
        )];
        if stage == "waiting" {
            campaign.pauses[0].0 = Duration::ZERO;
        }
    }));
    match stage {
        "waiting" | "notified" => {}
        "missed" => bench.at(1_500, Input::Contact(0)),
        "retry" => {
            bench.hear(500, 0, Heard::Started);
            bench.hear(1_500, 0, Heard::Failed(Reason::Io));
        }
        "started" => bench.hear(1_500, 0, Heard::Started),
        "rebooting" => bench.hear(1_500, 0, Heard::Rebooting),
        "returned" => {
            bench.hear(1_500, 0, Heard::Rebooting);
            bench.at(1_600, Input::Contact(0));
        }
        "ended" => bench.hear(1_500, 0, Heard::Confirmed),
        other => panic!("no stage {other}"),
    }
    bench.until(2_000);
    bench
}

#[test]
fn what_is_shown_of_an_execution() {
    let seen = |stage| {
        let view = at_stage(stage).campaign.execution(0);
        view.map(|view: View| (view.status, view.attempt, view.version))
    };
    let table = [
        ("waiting", None),
        ("notified", Some((Status::Queued, 1, 1))),
        ("missed", Some((Status::Queued, 1, 1))),
        ("retry", Some((Status::Queued, 2, 1))),
        ("started", Some((Status::InProgress, 1, 2))),
        ("rebooting", Some((Status::InProgress, 1, 2))),
        ("returned", Some((Status::InProgress, 1, 2))),
        ("ended", Some((Status::Ended(Outcome::Confirmed), 1, 2))),
    ];
    for (stage, wanted) in table {
        assert_eq!(seen(stage), wanted, "{stage}");
    }
    let bench = at_stage("started");
    let view = bench.campaign.execution(0).expect("it had its turn");
    assert_eq!((ms(view.queued), ms(view.updated)), (0, 1_500));
    assert_eq!(bench.campaign.execution(7), None);
}

#[test]
fn what_a_word_does_outside() {
    // Stage; then by word, in the order of `WORDS`: r = a row, n = notified again at once, nothing else.
    let table = [
        ("waiting", "........"),
        ("notified", "....rr.r"),
        ("missed", "....rr.r"),
        ("retry", "....rrrr"),
        ("started", "....rr.r"),
        ("rebooting", "....rr.r"),
        ("returned", "....rr.r"),
        ("ended", "........"),
    ];
    for (stage, wanted) in table {
        let done = WORDS.map(|heard| {
            let mut bench = at_stage(stage);
            let (rows, turns) = (bench.rows.len(), bench.notified.len());
            bench.hear(2_000, 0, heard);
            match (bench.rows.len() - rows, bench.notified.len() - turns) {
                (0, 0) => '.',
                (1, 0) => 'r',
                (0, 1) => 'n',
                other => panic!("{stage} {heard:?}: {other:?}"),
            }
        });
        assert_eq!(done.iter().collect::<String>(), wanted, "{stage}");
    }
}

#[test]
fn what_a_contact_does() {
    // Stage, notified again at once, after the pause, and how the device ends if no word comes.
    let table = [
        ("waiting", 0, 2, Outcome::NeverReached),
        ("notified", 0, 1, Outcome::NeverReached),
        ("missed", 0, 1, Outcome::NeverReached),
        ("retry", 0, 1, Outcome::Failed),
        ("started", 0, 0, Outcome::TimedOut),
        ("rebooting", 0, 0, Outcome::TimedOut),
        ("returned", 0, 0, Outcome::TimedOut),
        ("ended", 0, 0, Outcome::Confirmed),
    ];
    for (stage, at_once, after, outcome) in table {
        let mut bench = at_stage(stage);
        let turns = bench.notified.len();
        bench.at(2_000, Input::Contact(0));
        assert_eq!(bench.notified.len() - turns, at_once, "{stage}");
        bench.until(50_000);
        assert_eq!(bench.notified.len() - turns, at_once + after, "{stage}");
        bench.at(51_000, Input::Close);
        assert_eq!(bench.outcome(0), Some(outcome), "{stage}");
    }
}

#[test]
fn who_is_seen_is_not_notified_again_and_not_bricked() {
    // Stage, and how the device ends if no word comes.
    let table = [
        ("waiting", Outcome::NeverReached),
        ("notified", Outcome::NeverReached),
        ("missed", Outcome::NeverReached),
        ("retry", Outcome::Failed),
        ("started", Outcome::TimedOut),
        ("rebooting", Outcome::TimedOut),
        ("returned", Outcome::TimedOut),
        ("ended", Outcome::Confirmed),
    ];
    for (stage, outcome) in table {
        let mut bench = at_stage(stage);
        let before = bench.campaign.execution(0);
        let turns = bench.notified.len();
        bench.at(2_000, Input::Seen(0));
        bench.at(2_000, Input::Seen(9));
        assert_eq!(bench.notified.len(), turns, "{stage}");
        assert_eq!(bench.campaign.execution(0), before, "{stage}");
        bench.at(51_000, Input::Close);
        assert_eq!(bench.outcome(0), Some(outcome), "{stage}");
    }
}

#[test]
fn who_says_rebooting_and_nothing_else_is_bricked() {
    let table = [
        (vec![], Outcome::TimedOut),
        (vec![Heard::Downloaded], Outcome::TimedOut),
        (vec![Heard::Rebooting], Outcome::Bricked),
        (vec![Heard::Rebooting, Heard::Rebooting], Outcome::Bricked),
        (vec![Heard::Rebooting, Heard::Progress], Outcome::TimedOut),
        (
            vec![Heard::Rebooting, Heard::Progress, Heard::Rebooting],
            Outcome::Bricked,
        ),
    ];
    for limit in [None, Some(Duration::from_secs(60))] {
        for (words, outcome) in &table {
            let mut bench = Bench::begin(plan_with(1, |campaign| {
                campaign.in_progress_timeout = limit;
            }));
            bench.hear(1_000, 0, Heard::Started);
            for word in words {
                bench.hear(2_000, 0, *word);
            }
            bench.until(60_999);
            assert_eq!(bench.outcome(0), None);
            bench.until(61_000);
            assert_eq!(bench.outcome(0), limit.map(|_| *outcome), "{words:?}");
            bench.at(70_000, Input::Close);
            assert_eq!(bench.outcome(0), Some(*outcome), "{words:?}");
            assert_eq!(bench.rows.len(), 1);
        }
    }
}

#[test]
fn a_row_tells_the_whole_way() {
    let mut bench = Bench::begin(plan(1));
    for (ms, heard) in [
        (1_000, Heard::Started),
        (2_000, Heard::Progress),
        (3_000, Heard::Downloaded),
        (3_500, Heard::Progress),
        (4_000, Heard::Downloaded),
        (5_000, Heard::Rebooting),
        (5_500, Heard::Rebooting),
        (6_000, Heard::Downloaded),
    ] {
        bench.at(ms, Input::Served(0, 4_096));
        bench.hear(ms, 0, heard);
    }
    bench.hear(9_123, 0, Heard::Confirmed);
    let wanted = ResultRow {
        campaign: 0,
        witness: Witness::Operator,
        device: 0,
        from: Some(OLD),
        priority: 0,
        outcome: Outcome::Confirmed,
        reason: Reason::Success,
        attempts: 1,
        bytes: 8 * 4_096,
        offered: Some(at_ms(0)),
        started: Some(at_ms(1_000)),
        downloaded: Some(at_ms(4_000)),
        rebooted: Some(at_ms(5_000)),
        finished: at_ms(9_123),
    };
    assert_eq!(bench.rows, [wanted]);
    assert_eq!(
        bench.campaign.execution(0).map(|view| view.version),
        Some(10)
    );
    let done = CampaignMark::Completed;
    assert_eq!(bench.marks().last(), Some(&(9_123, done)));
}

#[test]
fn words_after_the_row_are_counted_and_change_nothing() {
    let mut bench = Bench::begin(plan(2));
    bench.hear(1_000, 0, Heard::Failed(Reason::Integrity));
    for heard in WORDS {
        bench.hear(2_000, 0, heard);
        bench.hear(2_000, 9, heard);
    }
    bench.at(2_000, Input::Served(0, 10));
    bench.at(2_000, Input::Served(9, 7));
    bench.at(2_000, Input::Contact(0));
    bench.at(2_000, Input::Contact(9));
    assert_eq!(bench.rows.len(), 1);
    assert_eq!(bench.outcome(0), Some(Outcome::Failed));
    let counts = bench.campaign.counts();
    assert_eq!((counts.late_words, counts.foreign_words), (8, 8));
    assert_eq!(counts.unbooked_bytes, 17);
    assert_eq!(bench.campaign.started(), 1);
    assert_eq!(bench.campaign.under_way(), 1);
}

#[test]
fn words_before_the_turn_are_counted_and_change_nothing() {
    let mut bench = at_stage("waiting");
    for heard in WORDS {
        bench.hear(2_000, 0, heard);
    }
    assert_eq!(bench.campaign.counts().early_words, 8);
    assert_eq!(bench.campaign.started(), 0);
    bench.at(60_000, Input::Close);
    assert_eq!(bench.outcome(0), Some(Outcome::NeverReached));
}

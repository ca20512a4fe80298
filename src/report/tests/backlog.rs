//! What the renderers tell of backlogs and of what stores dropped.

use super::*;
use crate::report::value::{LostByPolicy, NamedCount};

const TITLE: &str = "Backlog: publishes due and not sent";

#[test]
fn the_recovery_shows_the_backlog_if_anything_waited() {
    let mut run = fixture::quickstart();
    assert!(!html::render(&assemble::report(&run)).contains(TITLE));
    run.series.rows[75].gauges.waiting = 1;
    let page = html::render(&assemble::report(&run));
    assert_eq!(page.matches("publishes waiting").count(), 1);
    // The picture, its name for those who do not see it, and one time axis below the last of them.
    assert_eq!(page.matches(TITLE).count(), 2);
}

#[test]
fn what_stores_dropped_is_named_by_every_summary() {
    let mut report = tiny();
    let summaries = |report: &Report| {
        let terminal = text::render(report, Path::new("reports/x"), text::Color::Off);
        [terminal, markdown::render(report)]
    };
    for summary in summaries(&report) {
        assert!(!summary.contains("by policy"), "{summary}");
    }
    let streams = |counts: &[u64]| {
        let named = |(index, count): (usize, &u64)| NamedCount {
            name: format!("meters/s{index}"),
            count: *count,
        };
        LostByPolicy {
            count: counts.iter().sum(),
            streams: counts.iter().enumerate().map(named).collect(),
        }
    };
    for (counts, words) in [
        (&[0, 0][..], "dropped by the stores of devices"),
        (&[20, 0, 1_480], "(meters/s2 1,480, meters/s0 20)"),
        (
            &[1, 2, 3, 4, 5, 6, 7],
            "(meters/s6 7, meters/s5 6, meters/s4 5, meters/s3 4, meters/s2 3, and 2 other streams)",
        ),
    ] {
        let lost = streams(counts);
        let sentence = lost.sentence();
        assert!(sentence.contains(words), "{sentence}");
        let start = format!("lost by policy: {} dropped", lost.count);
        report.delivery.lost_by_policy = Some(lost);
        for summary in summaries(&report) {
            assert!(
                summary.contains(&start.replace("1500", "1,500")),
                "{summary}"
            );
        }
    }
}

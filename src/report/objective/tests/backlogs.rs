//! The indicators of a fault's backlog.

use super::*;
use crate::stats::recorder::Backlog;

fn one_backlog(run: &mut RunData) {
    let mut times = Histogram::new();
    (1..=400).for_each(|i| times.record_us(i * 100_000));
    let mut backlog = Backlog {
        devices: 400,
        drained: 400,
        planned: 2_000,
        acked_live: 400,
        recovered: 990,
        dropped_by_policy: 500,
        skipped: 100,
        ..Backlog::default()
    };
    backlog.set_drain_times(&times);
    totals(run).backlogs = vec![backlog];
}

fn backlog(run: &mut RunData) -> &mut Backlog {
    one_backlog(run);
    &mut totals(run).backlogs[0]
}

#[test]
fn backlogs() {
    let drain = |share: f64, limit_s: u64| {
        let limit = Limit::Time(Duration::from_secs(limit_s));
        objective(
            "o",
            Indicator::BacklogDrainTime,
            Statistic::Share(share),
            Bound::AtMost(limit),
            Window::After(2),
        )
    };
    let recovered = |share: f64| {
        let bound = Bound::AtLeast(Limit::Ratio(share));
        value(Indicator::BacklogRecoveredRatio, bound, Window::After(2))
    };
    check([
        case(
            drain(1.0, 41),
            one_backlog,
            Verdict::Pass,
            "100 % of devices had drained after 40 s",
        ),
        case(
            drain(0.5, 19),
            one_backlog,
            Verdict::Fail,
            "400 devices with a backlog",
        ),
        case(
            drain(1.0, 600),
            |run| backlog(run).devices = 401,
            Verdict::Fail,
            "fewer than 100 % of devices drained at all",
        ),
        case(
            drain(1.0, 600),
            |run| backlog(run).drained = 401,
            Verdict::NoData,
            "cannot be read",
        ),
        case(
            drain(1.0, 600),
            |run| backlog(run).devices = 0,
            Verdict::NoData,
            "nothing waited",
        ),
        case(
            drain(1.0, 600),
            |_| {},
            Verdict::NoData,
            "told nothing of backlogs",
        ),
        case(
            drain(1.0, 600),
            |run| run.outcome = None,
            Verdict::NoData,
            "no outcome",
        ),
        // Of 1,600 held up, 600 were dropped by policy and 990 of the others came through.
        case(
            recovered(0.99),
            one_backlog,
            Verdict::Pass,
            "990 of 1,000 kept; 61.88 % of all 1,600 held up, 600 dropped by policy",
        ),
        case(
            recovered(0.995),
            one_backlog,
            Verdict::Fail,
            "below the wanted",
        ),
        case(
            recovered(0.99),
            |run| backlog(run).acked_live = 1_400,
            Verdict::NoData,
            "no publish",
        ),
        case(
            recovered(0.5),
            |run| backlog(run).acked_live = 1_110,
            Verdict::Inconclusive,
            "290 kept publishes are too few",
        ),
    ]);
}

//! The harm that a backlog does to live publishes.

use super::*;
use crate::stats::recorder::Backlog;

/// 400 devices drained within 20 s; live publishes took 10 ms before the fault and 30 ms then.
fn harmed(run: &mut RunData) {
    let mut backlog = Backlog {
        devices: 400,
        drained: 400,
        ..Backlog::default()
    };
    backlog.set_drain_times(&values(400, |i| 1 + i * 50_000));
    totals(run).backlogs = vec![backlog];
    live(run, values(400, |_| 10_000), values(300, |_| 30_000));
}

fn live(run: &mut RunData, before: Histogram, draining: Histogram) {
    run.live_due.insert(0, [before, draining]);
}

fn harm(factor: f64) -> slo::Objective {
    let bound = Bound::AtMost(Limit::Factor(factor));
    value(Indicator::BacklogHarm, bound, Window::After(2))
}

fn not_drained(run: &mut RunData) {
    harmed(run);
    totals(run).backlogs[0].drained = 399;
}

#[test]
fn harm_is_a_factor_of_what_live_publishes_took_before() {
    check([
        case(
            harm(3.0),
            harmed,
            Verdict::Pass,
            "2.999x, within the limit of 3.000x (p99 of live publishes: 30 ms in the 20 s from the clearing until the backlog had drained, n = 300; 10 ms in 59 s before the fault, n = 400)",
        ),
        case(
            harm(2.9),
            harmed,
            Verdict::Fail,
            "above the limit of 2.9x (p99",
        ),
        case(harm(2.0), nothing_waited, Verdict::NoData, "nothing waited"),
        case(harm(2.0), |_| {}, Verdict::NoData, "nothing of backlogs"),
        case(
            harm(2.0),
            |run| run.outcome = None,
            Verdict::NoData,
            "no outcome",
        ),
        case(
            harm(2.0),
            |run| {
                harmed(run);
                run.live_due.clear();
            },
            Verdict::NoData,
            "cannot be read",
        ),
        case(
            harm(2.0),
            |run| {
                harmed(run);
                run.series.rows.clear();
            },
            Verdict::NoData,
            "no second before the fault is undisturbed",
        ),
    ]);
}

fn nothing_waited(run: &mut RunData) {
    harmed(run);
    totals(run).backlogs[0].devices = 0;
}

#[test]
fn thin_or_cut_short_evidence_of_harm_decides_nothing() {
    check([
        case(
            harm(9.0),
            |run| {
                harmed(run);
                live(run, values(298, |_| 10_000), values(300, |_| 30_000));
            },
            Verdict::Inconclusive,
            "n = 298 before the fault is too few for p99, which needs 299",
        ),
        case(
            harm(1.0),
            |run| {
                harmed(run);
                live(run, values(400, |_| 10_000), values(298, |_| 30_000));
            },
            Verdict::Inconclusive,
            "n = 298 while the backlog drained is too few",
        ),
        case(
            harm(1.0),
            |run| {
                harmed(run);
                live(run, values(400, |_| 10_000), Histogram::new());
            },
            Verdict::NoData,
            "was live while the backlog drained",
        ),
        case(
            harm(1.0),
            |run| {
                harmed(run);
                live(run, Histogram::new(), values(400, |_| 10_000));
            },
            Verdict::NoData,
            "was live before the fault",
        ),
        // Whoever has not drained may be why; a breach of the others stands.
        case(
            harm(3.0),
            not_drained,
            Verdict::Inconclusive,
            "1 device had not drained by the end of the window",
        ),
        case(
            harm(2.0),
            not_drained,
            Verdict::Fail,
            "in the 1 min from the clearing to the end of the window, when 1 of 400 devices had not drained",
        ),
        case(
            harm(3.0),
            |run| {
                harmed(run);
                totals(run).books[0][3].in_flight = 4;
            },
            Verdict::Inconclusive,
            "that had not ended when the run did, 4, would decide it",
        ),
        // They count in whose phase they were due.
        case(
            harm(3.0),
            |run| {
                harmed(run);
                totals(run).books[0][1].in_flight = 4;
            },
            Verdict::Pass,
            "",
        ),
        case(
            harm(3.0),
            |run| {
                harmed(run);
                run.lost
                    .push(("worker 1".to_owned(), fixture::at_s(90), "died".to_owned()));
            },
            Verdict::Inconclusive,
            "worker 1 was lost",
        ),
    ]);
}

//! Wills: what is decided though an observer was away, and what is not.

use super::*;
use crate::stats::books::WillCounts;

fn fired(bound: Bound) -> slo::Objective {
    value(Indicator::WillFired, bound, Window::Run)
}

const fn from_either_side(count: u64) -> [Bound; 2] {
    let limit = Limit::Count(count);
    [Bound::AtMost(limit), Bound::AtLeast(limit)]
}

/// Seven wills of five of a hundred devices.
fn seven(run: &mut RunData) {
    totals(run).wills = Some(WillCounts {
        watched: 100,
        fired: 7,
        devices: 5,
        devices_repeated: 2,
        redelivered: 1,
        gaps: 0,
    });
}

fn seven_and_a_gap(run: &mut RunData) {
    seven(run);
    totals(run).wills.as_mut().expect("just set").gaps = 1;
}

#[test]
fn wills_that_fired() {
    let [at_most_7, at_least_7] = from_either_side(7);
    let [at_most_6, _] = from_either_side(6);
    let [_, at_least_8] = from_either_side(8);
    let missed = "wills may have been missed in 1 gap of observers";
    check([
        case(
            fired(at_most_7),
            seven,
            Verdict::Pass,
            "7 wills, within the limit of 7 (of 100 devices: 5 fired, 2 more than once)",
        ),
        case(fired(at_most_6), seven, Verdict::Fail, "above"),
        case(fired(at_least_7), seven, Verdict::Pass, "at least the"),
        case(fired(at_least_8), seven, Verdict::Fail, "below the"),
        // A share of the observed devices with a will.
        case(
            fired(Bound::AtMost(Limit::Ratio(0.07))),
            seven,
            Verdict::Pass,
            "7 %, within the limit of 7 %",
        ),
        case(
            fired(Bound::AtLeast(Limit::Ratio(0.08))),
            seven,
            Verdict::Fail,
            "5 %, below",
        ),
        // One more would break it; one too many stays one too many.
        case(
            fired(at_most_7),
            seven_and_a_gap,
            Verdict::Inconclusive,
            missed,
        ),
        case(fired(at_most_6), seven_and_a_gap, Verdict::Fail, "above"),
        // One more could meet it; what is enough stays enough.
        case(
            fired(at_least_8),
            seven_and_a_gap,
            Verdict::Inconclusive,
            missed,
        ),
        case(
            fired(at_least_7),
            seven_and_a_gap,
            Verdict::Pass,
            "at least",
        ),
        case(
            fired(at_most_7),
            |run| {
                seven(run);
                run.plan.observe.devices = 1_000;
            },
            Verdict::Pass,
            "(of 100 devices, the observed ones: 5 fired",
        ),
        case(
            fired(at_most_7),
            |run| {
                totals(run).wills = Some(WillCounts::default());
            },
            Verdict::NoData,
            "no device with a will is observed",
        ),
        case(fired(at_most_7), |_| {}, Verdict::NoData, "no count"),
        case(
            fired(at_most_7),
            |run| {
                seven(run);
                run.plan.observe.ledger = false;
            },
            Verdict::NoData,
            "the delivery ledger is off",
        ),
    ]);
}

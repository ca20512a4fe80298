//! Planted mistakes in the rows of a campaign or a command make the run INVALID; what lost words explain
//! does not.

use super::*;
use crate::report::fixture::campaign::{at_ms, campaign_run, halted_run};
use crate::report::value::RunVerdict;
use crate::stats::results::{CampaignMark, Outcome};

fn judged(mut run: RunData, change: Change) -> Report {
    run.plan.objectives = fixture::quickstart().plan.objectives;
    change(&mut run);
    assemble::report(&run)
}

#[test]
fn rows_that_are_whole_are_evidence() {
    for run in [campaign_run(), halted_run()] {
        let report = judged(run, |_| {});
        assert_eq!(report.verdict, RunVerdict::Pass, "{:?}", report.reasons);
        let rules = &report.generator.rules;
        for name in ["Campaigns", "Exposure", "Two witnesses", "Commands"] {
            assert!(
                rules.iter().any(|rule| rule.name == name && rule.holds),
                "{name}"
            );
        }
    }
}

#[test]
fn a_planted_mistake_makes_the_run_invalid() {
    type Case = (fn() -> RunData, Change, &'static str);
    let table: [Case; 18] = [
        (
            campaign_run,
            |run| run.findings.campaigns[0].operator[7].offered = Some(at_ms(89_999)),
            "instants in an order in which nothing can happen",
        ),
        (
            campaign_run,
            |run| run.findings.campaigns[0].operator[7].downloaded = Some(at_ms(89_999)),
            "instants in an order in which nothing can happen",
        ),
        (
            campaign_run,
            |run| run.findings.campaigns[0].devices[7].finished = at_ms(90_001),
            "instants in an order in which nothing can happen",
        ),
        (
            campaign_run,
            |run| {
                run.findings.campaigns[0].operator.pop();
            },
            "2,999 rows of 3,000 targets",
        ),
        (
            campaign_run,
            |run| {
                let rows = &mut run.findings.campaigns[0].operator;
                rows[1].device = rows[0].device;
            },
            "has more than one row",
        ),
        (
            campaign_run,
            |run| run.findings.campaigns[0].operator[0].device = 10_000,
            "a row is of device 10000, which the fleet has not",
        ),
        (
            campaign_run,
            |run| run.findings.campaigns[0].operator[0].outcome = Outcome::Unfinished,
            "has no terminal state",
        ),
        (
            campaign_run,
            |run| run.findings.campaigns[0].marks.clear(),
            "no record of how many targets there were",
        ),
        (
            campaign_run,
            |run| run.findings.campaigns[0].marks[0].1 = CampaignMark::Started { targets: 3_001 },
            "3,000 rows of 3,001 targets",
        ),
        (
            halted_run,
            |run| run.findings.campaigns[0].operator[650].started = Some(at_ms(97_020)),
            "the operator counted 651, the rows say 650",
        ),
        (
            halted_run,
            |run| {
                if let CampaignMark::Halted { started, .. } =
                    &mut run.findings.campaigns[0].marks[2].1
                {
                    *started = 653;
                }
            },
            "the operator counted 653, the rows say 651",
        ),
        (
            campaign_run,
            |run| run.findings.campaigns[0].devices[1].outcome = Outcome::Failed,
            "1 target of which the two exclude each other; trackers-",
        ),
        (
            campaign_run,
            |run| run.findings.campaigns[0].operator[1].outcome = Outcome::Failed,
            "says confirmed and the operator failed",
        ),
        (
            campaign_run,
            |run| {
                run.findings.campaigns[0].devices.remove(1);
            },
            "says nothing and the operator confirmed",
        ),
        (
            campaign_run,
            |run| run.findings.campaigns[0].devices[0].device = 3,
            "1 device told of an update without being a target",
        ),
        (
            campaign_run,
            |run| totals(run).updates.hashes_matched = 2_879,
            "2,880 devices confirmed, and 2,879 hashes matched",
        ),
        (
            campaign_run,
            |run| {
                run.findings.commands[0].rows.pop();
            },
            "slow-down: 999 rows of 1,000 targets",
        ),
        (
            campaign_run,
            |run| totals(run).commands.executed = 984,
            "985 commands succeeded, and devices carried out 984",
        ),
    ];
    for (base, change, words) in table {
        let report = judged(base(), change);
        assert_eq!(
            report.verdict,
            RunVerdict::Invalid,
            "{words}: {}",
            report.reason
        );
        let all = report.reasons.join("\n");
        assert!(all.contains(words), "{words}: {all}");
    }
}

#[test]
fn what_lost_words_explain_is_shown_and_no_mistake() {
    let report = judged(campaign_run(), |run| {
        let rows = &mut run.findings.campaigns[0].operator;
        for (row, outcome) in rows[1..].iter_mut().zip([
            Outcome::TimedOut,
            Outcome::Bricked,
            Outcome::NeverReached,
            Outcome::Cancelled,
        ]) {
            row.outcome = outcome;
        }
        // Both say that it is not confirmed.
        run.findings.campaigns[0].devices[0].outcome = Outcome::Failed;
    });
    assert_eq!(report.verdict, RunVerdict::Pass, "{:?}", report.reasons);
    let witnesses = report.campaigns[0]
        .witnesses
        .as_ref()
        .expect("an operator's");
    let counts = (witnesses.agree, witnesses.explained, witnesses.other_words);
    assert_eq!(counts, (2_995, 4, 1));
    assert_eq!(witnesses.contradictions + witnesses.strangers, 0);
    assert!(
        witnesses
            .disagreements
            .iter()
            .all(|row| row.explained && row.count == 1)
    );
}

#[test]
fn a_start_within_the_resolution_of_the_rows_is_no_mistake() {
    // Rounded down to the halt itself, it may have been after it.
    let report = judged(halted_run(), |run| {
        run.findings.campaigns[0].operator[651].started = Some(at_ms(97_000));
        run.findings.campaigns[0].operator[651].outcome = Outcome::TimedOut;
    });
    assert_eq!(report.verdict, RunVerdict::Pass, "{:?}", report.reasons);
}

#[test]
fn a_run_that_was_stopped_is_partial_and_not_invalid() {
    let report = judged(campaign_run(), |run| {
        run.findings.campaigns[0].operator.truncate(10);
        run.interrupted = Some((fixture::at_s(100), 2));
    });
    assert_eq!(report.verdict, RunVerdict::Interrupted);
    assert!(
        report
            .generator
            .rules
            .iter()
            .all(|rule| rule.name != "Campaigns")
    );
}

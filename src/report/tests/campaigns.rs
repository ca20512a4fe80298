//! What the pages tell of campaigns, commands and queries.

use super::*;
use crate::report::fixture::campaign::{at_ms, campaign_run, halted_run};
use crate::report::value::Bucket;
use crate::stats::results::{CampaignMark, Outcome, ResultRow};
use crate::time::Duration;

fn first(run: &RunData) -> crate::report::value::Campaign {
    let campaigns = assemble::report(run).campaigns;
    campaigns.into_iter().next().expect("the fixture has one")
}

#[test]
fn the_states_sum_to_the_targets() {
    for run in [campaign_run(), halted_run()] {
        let campaign = first(&run);
        let sum: u64 = campaign.outcomes.iter().map(|row| row.count).sum();
        assert_eq!((sum, campaign.targets), (3_000, 3_000));
        for point in &campaign.states {
            assert_eq!(point.counts.iter().sum::<u64>(), 3_000, "{point:?}");
        }
        let last = campaign.states.last().expect("states");
        assert_eq!(
            last.counts[..5].iter().sum::<u64>(),
            0,
            "nobody is under way"
        );
    }
    let states = first(&campaign_run()).states;
    // 25 s in 299 steps: 12.0401 s is step 144. Turn k is due at k/100 s, or 10 s + (k - 1,000)/200 s.
    let point = states[144];
    assert!((point.at_s - 90.0 - 144.0 * 25.0 / 299.0).abs() < 1e-9);
    // Of 1,409 notified turns (0 to 1,408, of 2,040.1 ms): those due by 11.5401 s have started (0 to
    // 1,308), by 10.5401 s have the image (0 to 1,108), by 10.3401 s rebooted (0 to 1,068), by 7.0401 s
    // ended (0 to 704, of which 29 rolled back).
    assert_eq!(point.counts, [1_591, 100, 200, 40, 364, 676, 29, 0]);
}

#[test]
fn a_rungs_rate_is_that_of_its_notifications() {
    let rungs = first(&campaign_run()).rungs;
    let told: Vec<(f64, u64, f64)> = (rungs.iter())
        .map(|rung| {
            let rate = rung.measured_per_min.expect("measured");
            (rung.planned_per_min, rung.notified, rate.round())
        })
        .collect();
    assert_eq!(
        told,
        [(6_000.0, 1_000, 6_000.0), (12_000.0, 2_000, 12_000.0)]
    );
    assert!(
        rungs
            .iter()
            .all(|rung| rung.deviation.is_some_and(|d| d.abs() < 1e-9))
    );
    // A pause of 2 s within a rung takes nothing from its rate; without the mark it would be slow.
    let shifted = |is_marked: bool| {
        let mut run = campaign_run();
        let found = &mut run.findings.campaigns[0];
        for row in &mut found.operator[500..] {
            let late = |at: crate::time::Instant| at.after(Duration::from_secs(2));
            row.offered = row.offered.map(late);
        }
        if is_marked {
            found.marks.insert(2, (at_ms(94_995), CampaignMark::Paused));
            found
                .marks
                .insert(3, (at_ms(96_995), CampaignMark::Resumed));
        }
        first(&run).rungs[0].deviation.expect("measured")
    };
    assert!(shifted(true).abs() < 1e-9);
    assert!((shifted(false) + 2.0 / 11.99).abs() < 1e-3);
}

/// The bucket by its name.
fn bucket<'b>(buckets: &'b [Bucket], name: &str) -> &'b Bucket {
    let found = buckets.iter().find(|bucket| bucket.bucket == name);
    found.unwrap_or_else(|| panic!("{name}: {buckets:?}"))
}

#[test]
fn a_bad_build_stands_out_by_itself() {
    let buckets = first(&campaign_run()).root_causes;
    let top = &buckets[0];
    assert_eq!(top.bucket, "hw C, 1.4.2 → 2.0.0");
    assert_eq!(
        (top.bad, top.ended, top.bad_outside, top.ended_outside),
        (120, 120, 0, 2_880)
    );
    // Wilson: 120/(120 + 3.8415) over 3.8415/(2,880 + 3.8415).
    assert!(
        (top.lift_at_least - 0.968_98 / 0.001_332).abs() < 1.0,
        "{top:?}"
    );
    assert!(top.stands_out && top.lift.is_none());
    // Half of a hundred B fail as well: the rest has a rate, and the lift a figure.
    let mut run = campaign_run();
    for row in run.findings.campaigns[0]
        .operator
        .iter_mut()
        .skip(1)
        .step_by(100)
    {
        row.outcome = Outcome::Failed;
    }
    let buckets = first(&run).root_causes;
    let (bad, all) = (buckets[0].bad_outside, buckets[0].ended_outside);
    assert_eq!(
        (buckets[0].bucket.as_str(), bad, all),
        ("hw C, 1.4.2 → 2.0.0", 30, 2_880)
    );
    let lift = buckets[0].lift.expect("the rest failed, too");
    assert!((lift - 96.0).abs() < 1e-9, "{lift}");
}

#[test]
fn one_of_one_does_not_rank_above_forty_of_fifty() {
    let mut run = campaign_run();
    // hw C: 40 of the first 50 fail, the others do not end. One device came from 2.0.0 and failed.
    let rows = &mut run.findings.campaigns[0].operator;
    let mut seen = 0;
    for (turn, row) in rows.iter_mut().enumerate() {
        if turn % 25 == 0 {
            seen += 1;
            row.outcome = match seen {
                1..=40 => Outcome::RolledBack,
                41..=50 => Outcome::Confirmed,
                _ => Outcome::NeverReached,
            };
        }
    }
    rows[1].from = None;
    rows[1].outcome = Outcome::Failed;
    let buckets = first(&run).root_causes;
    assert_eq!(buckets[0].bucket, "hw C, 1.4.2 → 2.0.0");
    assert_eq!((buckets[0].bad, buckets[0].ended), (40, 50));
    let single = bucket(&buckets, "? → 2.0.0");
    assert_eq!((single.bad, single.ended, single.stands_out), (1, 1, false));
    assert!(
        single.lift_at_least > 1.0,
        "by its bound alone it would stand out"
    );
}

#[test]
fn groups_are_timed_apart() {
    let groups = first(&campaign_run()).completion;
    let told: Vec<(&str, u64, u64)> = (groups.iter())
        .map(|group| (group.group.as_str(), group.targets, group.confirmed))
        .collect();
    let expected = [
        ("all targets", 3_000, 2_880),
        ("priority critical", 150, 144),
        ("in no priority", 2_850, 2_736),
        ("cohort trackers", 3_000, 2_880),
    ];
    assert_eq!(told, expected);
    let t50 = groups[1].times[0];
    // The 75th confirmation of the critical ones: three lots of 24, then three more: turn 78.
    assert!(t50.s.is_some_and(|s| (s - 5.78).abs() < 1e-9), "{t50:?}");
    assert_eq!(groups[0].times[3].s, None, "not everybody was confirmed");
}

#[test]
fn what_the_end_of_the_run_cuts_off_is_not_cancelled_by_hand() {
    let mut run = campaign_run();
    let mark = (at_ms(115_000), CampaignMark::Cancelled { started: 9 });
    run.findings.campaigns[0].marks.push(mark);
    assert_eq!(first(&run).cancelled_s, None);
    run.plan.campaigns[0].cancel = Some(Duration::from_secs(115));
    assert_eq!(first(&run).cancelled_s, Some(115.0));
}

#[test]
fn what_never_began_is_told_without_figures() {
    let mut run = campaign_run();
    run.findings = crate::report::findings::Findings::of(&run.plan);
    let sentences = crate::report::summary::sentences(&assemble::report(&run));
    for (name, text) in &sentences[..2] {
        assert_eq!(text, "no row of any target", "{name}");
    }
    assert!(sentences[1].0.starts_with("command "));
}

#[test]
fn the_first_bad_end_may_be_one_that_was_tried_again() {
    let mut run = halted_run();
    let after_s = |run: &RunData| first(run).halt.and_then(|halt| halt.after_first_failure_s);
    assert_eq!(after_s(&run), Some(2.0));
    let devices = &mut run.findings.campaigns[0].devices;
    devices.push(ResultRow {
        outcome: Outcome::Failed,
        finished: at_ms(94_000),
        ..devices[1]
    });
    assert_eq!(after_s(&run), Some(3.0));
}

#[test]
fn the_pages_tell_it() {
    let (whole, halted) = (
        assemble::report(&campaign_run()),
        assemble::report(&halted_run()),
    );
    let page = html::render(&whole);
    for text in [
        "<h2>Campaign fw-2</h2>",
        "Version 2.0.0 (64 KiB) to 3,000 targets, run by the operator, from 1:30.0 to 1:55.0.",
        "hw C, 1.4.2 → 2.0.0",
        "stands out",
        "Targets by state",
        "6,000/min",
        "+0.00 %",
        "By hand, 10 min per device: 166 h 40 min. By one fleet action: 25.1 s until the last answer, and 7 never answered.",
        "3,000 → 500",
        // Two that were connected never answered, and there are too few that were not for p99.
        "<td>connected</td><td class=\"num\">140 ms</td><td class=\"num\">190 ms</td><td class=\"num\">190 ms</td><td class=\"num t-fail\">never</td>",
        "<td>not connected at the start</td><td class=\"num\">140 ms</td><td class=\"num\">n/a</td>",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let page = html::render(&halted);
    for text in [
        "HALTED",
        "at 1:37.0, 7 s after its start, 2 s after the first bad end and 200 ms after the threshold was crossed: 9 of 201 ended executions counted against it. By then 651 devices had started (21.7 % of the targets).",
        "halted\n</text>",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let value = serde_json::to_value(&whole).expect("serializable");
    assert_eq!(value["campaigns"][0]["root_causes"][0]["bad"], 120);
    assert_eq!(value["commands"][0]["online"]["answered"], 948);
    assert_eq!(value["queries"][0]["planned"], 6);
    assert!(
        serde_json::to_value(tiny())
            .expect("serializable")
            .get("campaigns")
            .is_none()
    );
}

#[test]
fn names_from_outside_are_escaped() {
    let mut run = campaign_run();
    let bad = "<b>|x`@y\u{202e}";
    run.plan.firmware.versions[1] = bad.to_owned();
    run.plan.cohorts[1].attributes[1].values[1].0 = bad.to_owned();
    let report = assemble::report(&run);
    for page in [html::render(&report), markdown::render(&report)] {
        assert!(!page.contains("<b>") && !page.contains('\u{202e}'));
    }
    let page = text::render(&report, Path::new("x"), text::Color::Off);
    assert!(!page.contains('\u{202e}'));
}

#[test]
fn a_campaign_that_left_nothing_still_renders() {
    let mut run = campaign_run();
    run.findings = crate::report::findings::Findings::of(&run.plan);
    let report = assemble::report(&run);
    assert!(html::render(&report).contains("<h2>Campaign fw-2</h2>"));
    assert_eq!(report.verdict, RunVerdict::Invalid);
    let mut never = campaign_run();
    never = RunData::new(never.scenario_text, never.plan, never.header);
    assert!(html::render(&assemble::report(&never)).contains("never started"));
}

#[test]
fn the_summaries_of_a_campaign() {
    let mut run = halted_run();
    run.scenario_text = "name: broker-restart\n".to_owned();
    let report = of_this_version(&run);
    let dir = Path::new("reports/x");
    insta::assert_snapshot!(text::render(&report, dir, text::Color::Off));
    insta::assert_snapshot!(markdown::render(&report));
    let value = serde_json::to_value(&report).expect("serializable");
    let ours = ["campaigns", "commands", "queries"].map(|key| value[key].clone());
    insta::assert_snapshot!(serde_json::to_string_pretty(&ours).expect("serializable"));
}

/// Whoever had the rows was lost: how many targets there were is known all the same.
#[test]
fn targets_without_a_row_are_told_of() {
    let mut run = campaign_run();
    run.findings.campaigns[0].operator.truncate(2_000);
    let campaign = first(&run);
    assert_eq!((campaign.targets, campaign.rowless), (2_000, 1_000));
    run.findings.campaigns[0].operator.clear();
    let report = assemble::report(&run);
    let (name, said) = crate::report::summary::sentences(&report).remove(0);
    assert_eq!(name, "campaign fw-2");
    assert!(
        said.starts_with("3,000 targets: 3,000 without a row"),
        "{said}"
    );
}

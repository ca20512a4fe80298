//! Every indicator of campaigns, commands and queries on rows whose figures are told by hand.

use super::*;
use crate::report::fixture::campaign::{at_ms, campaign_run, halted_run, of_campaign};
use crate::scenario::campaign::Rollout;
use crate::scenario::plan::Selector;
use crate::scenario::slo::{Among, Subject};
use crate::stats::results::{CampaignMark, CommandOutcome, Outcome, ResultRow};
use crate::wire::Reason;

fn time(s: f64) -> Bound {
    Bound::AtMost(Limit::Time(Duration::from_secs_f64(s)))
}

fn ratio(ratio: f64) -> Bound {
    Bound::AtMost(Limit::Ratio(ratio))
}

fn count(count: u64) -> Bound {
    Bound::AtMost(Limit::Count(count))
}

fn factor(factor: f64) -> Bound {
    Bound::AtMost(Limit::Factor(factor))
}

fn of(subject: Subject, mut objective: slo::Objective) -> slo::Objective {
    objective.subject = subject;
    objective
}

fn part(among: Among, reason: Option<Reason>) -> Subject {
    Subject::Campaign {
        campaign: 0,
        among,
        reason,
    }
}

/// The value, infinite if it never happened, and what was said.
fn judged(run: &RunData, objective: &slo::Objective) -> (f64, Verdict, String) {
    let found = judge(run, objective);
    let never = if found.value_text == "never" {
        f64::INFINITY
    } else {
        f64::NAN
    };
    (found.value.unwrap_or(never), found.verdict, found.reason)
}

fn expect(run: &RunData, objective: &slo::Objective, value: f64, verdict: Verdict, words: &str) {
    let (found, said, reason) = judged(run, objective);
    let is_near = found == value || (found - value).abs() < 1e-9;
    assert!(is_near, "{found} and not {value}: {reason}");
    assert_eq!(said, verdict, "{reason}");
    assert!(reason.contains(words), "{reason}");
}

fn completion(share: f64, limit_s: f64, among: Among) -> slo::Objective {
    let share = Statistic::Share(share);
    let objective = of_campaign(Indicator::OtaCompletion, share, time(limit_s));
    of(part(among, None), objective)
}

#[test]
fn completion_counts_those_that_were_not_confirmed_as_never() {
    let run = campaign_run();
    // Of 25 turns the first is not confirmed, so the 1,500th confirmation is of turn 1,562 (62 whole
    // lots of 24, then 12 more after the bad one), due 10 s + 562 x 5 ms after the start, and 5 s later.
    let at = |turn: f64| 10.0 + (turn - 1_000.0) * 0.005 + 5.0;
    let half = completion(0.5, 60.0, Among::All);
    expect(
        &run,
        &half,
        at(1_562.0),
        Verdict::Pass,
        "50 % of devices were confirmed after 17.8 s",
    );
    let all_good = completion(0.96, 60.0, Among::All);
    expect(
        &run,
        &all_good,
        at(2_999.0),
        Verdict::Pass,
        "(2,880 of 3,000 targets confirmed)",
    );
    let more = completion(0.961, 60.0, Among::All);
    expect(
        &run,
        &more,
        f64::INFINITY,
        Verdict::Fail,
        "fewer than 96.1 % of devices were confirmed at all",
    );
    // 144 of the 150 critical ones are good; the last turn of theirs is 149.
    let critical = completion(0.96, 6.0, Among::Priority(0));
    expect(
        &run,
        &critical,
        1.49 + 5.0,
        Verdict::Fail,
        "144 of 150 targets",
    );
    expect(
        &run,
        &completion(0.96, 60.0, Among::Cohort(1)),
        at(2_999.0),
        Verdict::Pass,
        "3,000",
    );
    let (_, verdict, reason) = judged(&run, &completion(0.5, 60.0, Among::Cohort(0)));
    assert_eq!(verdict, Verdict::NoData, "{reason}");
    let judged = judge(&run, &critical);
    assert_eq!(judged.window, "of fw-2, priority critical");
    assert_eq!((judged.events, judged.events_unit), (150, "targets"));
}

#[test]
fn ratios_are_over_ended_updates() {
    let one = Statistic::Value;
    let failed = of_campaign(Indicator::OtaFailureRatio, one, ratio(0.05));
    expect(
        &campaign_run(),
        &failed,
        0.04,
        Verdict::Pass,
        "(120 of 3,000 ended updates ended badly)",
    );
    let back = of_campaign(Indicator::OtaRollbackRatio, one, ratio(0.01));
    expect(&campaign_run(), &back, 0.04, Verdict::Fail, "rolled back");
    // Who was cancelled has not ended.
    expect(
        &halted_run(),
        &failed,
        27.0 / 651.0,
        Verdict::Pass,
        "27 of 651",
    );
    let reason = |reason| of(part(Among::All, Some(reason)), failed.clone());
    expect(
        &campaign_run(),
        &reason(Reason::UpdateFailed),
        0.04,
        Verdict::Pass,
        "update_failed",
    );
    expect(
        &campaign_run(),
        &reason(Reason::Integrity),
        0.0,
        Verdict::Pass,
        "0 of 3,000",
    );
    let mut run = campaign_run();
    let rejected = &mut run.findings.campaigns[0].operator[7];
    rejected.outcome = Outcome::Rejected;
    rejected.reason = Reason::UnsupportedPackage;
    expect(&run, &failed, 0.04, Verdict::Pass, "120 of 3,000");
    let asked = reason(Reason::UnsupportedPackage);
    expect(&run, &asked, 1.0 / 3_000.0, Verdict::Pass, "1 of 3,000");
}

#[test]
fn exposure_is_who_had_started_at_the_halt() {
    let one = Statistic::Value;
    let exposure = |bound| of_campaign(Indicator::OtaExposureBeforeHalt, one, bound);
    let run = halted_run();
    // Counted again from the rows alone.
    let halt = at_ms(97_000);
    let rows = &run.findings.campaigns[0].operator;
    let started = rows
        .iter()
        .filter(|row| row.started.is_some_and(|at| at <= halt));
    assert_eq!(started.count(), 651);
    expect(
        &run,
        &exposure(count(651)),
        651.0,
        Verdict::Pass,
        "651 devices, within",
    );
    expect(
        &run,
        &exposure(count(650)),
        651.0,
        Verdict::Fail,
        "(of 3,000 targets, when it was halted)",
    );
    expect(&run, &exposure(ratio(0.22)), 0.217, Verdict::Pass, "21.7 %");
    // One whose word was under way at the halt had started all the same.
    let mut unheard = halted_run();
    let found = &mut unheard.findings.campaigns[0];
    found.devices.push(ResultRow {
        device: found.operator[651].device,
        ..found.devices[650]
    });
    let words = "652 devices had started by their own word";
    expect(
        &unheard,
        &exposure(count(651)),
        651.0,
        Verdict::Inconclusive,
        words,
    );
    expect(&unheard, &exposure(count(652)), 651.0, Verdict::Pass, "651");
    // The run ended before most had their turn: that it stayed small is no merit of the campaign.
    let mut short = campaign_run();
    for row in &mut short.findings.campaigns[0].operator[500..] {
        (row.outcome, row.attempts, row.started) = (Outcome::NeverReached, 0, None);
    }
    let words = "the end of the run kept 2,500 targets from their turn";
    expect(
        &short,
        &exposure(count(700)),
        500.0,
        Verdict::Inconclusive,
        words,
    );
    expect(&short, &exposure(count(499)), 500.0, Verdict::Fail, "500");
    short.plan.campaigns[0].rollout = Rollout::Waves(Vec::new());
    expect(&short, &exposure(count(700)), 500.0, Verdict::Pass, "500");
    // Nothing halted it, and the image has a defect: all that started.
    expect(
        &campaign_run(),
        &exposure(count(700)),
        3_000.0,
        Verdict::Fail,
        "nothing halted",
    );
    let mut good = campaign_run();
    good.plan.campaigns[0].image.defects.clear();
    assert_eq!(judged(&good, &exposure(count(700))).1, Verdict::NoData);

    let halted = |s| of_campaign(Indicator::OtaHaltTime, one, time(s));
    expect(
        &run,
        &halted(7.0),
        7.0,
        Verdict::Pass,
        "7 s, within the limit of 7 s (9 of 201 ended",
    );
    expect(
        &run,
        &halted(6.9),
        7.0,
        Verdict::Fail,
        "200 ms after the threshold was crossed",
    );
    expect(
        &campaign_run(),
        &halted(60.0),
        f64::INFINITY,
        Verdict::Fail,
        "never",
    );
    assert_eq!(judged(&good, &halted(60.0)).1, Verdict::NoData);
}

#[test]
fn a_wrong_target_is_told_by_attributes_by_firmware_and_by_the_list() {
    let wrong = of_campaign(Indicator::OtaWrongTarget, Statistic::Value, count(0));
    expect(&campaign_run(), &wrong, 0.0, Verdict::Pass, "0 devices");
    let mut run = campaign_run();
    run.findings.campaigns[0].operator[5].device = 17;
    run.findings.campaigns[0].devices[5].device = 17;
    expect(
        &run,
        &wrong,
        1.0,
        Verdict::Fail,
        "1 device, above the limit of 0 (beside 3,000 targets, the first is meters-17)",
    );
    // By the device's word it ran the version already.
    let mut run = campaign_run();
    run.findings.campaigns[0].devices[5].from = Some(1);
    expect(&run, &wrong, 1.0, Verdict::Fail, "trackers-");
    // Who was never offered anything is none.
    let mut run = campaign_run();
    let never = &mut run.findings.campaigns[0].operator[5];
    never.from = Some(1);
    never.attempts = 0;
    let device = never.device;
    run.findings.campaigns[0]
        .devices
        .retain(|row| row.device != device);
    expect(&run, &wrong, 0.0, Verdict::Pass, "");
    // A device that was offered it and is not on the operator's list.
    let mut run = campaign_run();
    run.findings.campaigns[0].operator.pop();
    expect(&run, &wrong, 1.0, Verdict::Fail, "trackers-");
}

#[test]
fn an_inversion_needs_more_than_a_tick_and_one_that_was_connected() {
    let inversions = of_campaign(Indicator::OtaPriorityInversions, Statistic::Value, count(0));
    expect(
        &campaign_run(),
        &inversions,
        0.0,
        Verdict::Pass,
        "(of 3,000 notified)",
    );
    // The critical device of turn 149 gets its turn with turn 260: 111 later turns were before it, of
    // which those up to turn 159 are more than a second earlier.
    let delayed = |run: &mut RunData, offer_after_ms: u64| {
        let found = &mut run.findings.campaigns[0];
        found.operator[149].offered = Some(at_ms(92_600));
        found.devices[149].offered = Some(at_ms(92_600 + offer_after_ms));
    };
    let mut run = campaign_run();
    delayed(&mut run, 900);
    expect(&run, &inversions, 10.0, Verdict::Fail, "10 devices");
    // A second attempt was offered later: it had been connected all the same.
    let devices = &mut run.findings.campaigns[0].devices;
    devices.push(ResultRow {
        offered: Some(at_ms(99_000)),
        finished: at_ms(109_000),
        ..devices[149]
    });
    expect(&run, &inversions, 10.0, Verdict::Fail, "10 devices");
    // It had its offer later than a tick: whether it was connected is not known.
    let mut run = campaign_run();
    delayed(&mut run, 1_100);
    expect(
        &run,
        &inversions,
        0.0,
        Verdict::Inconclusive,
        "10 more if those that waited were connected",
    );
    let mut run = campaign_run();
    run.plan.campaigns[0].priorities.clear();
    assert_eq!(judged(&run, &inversions).1, Verdict::NoData);
}

#[test]
fn bytes_are_the_devices_own_and_of_whole_images() {
    let bytes = |statistic, bound| of_campaign(Indicator::OtaBytesPerDevice, statistic, bound);
    // 0 to 9 blocks of 4 KiB more than 16 blocks: 4.5 more in the mean, 9 at the 99th percentile.
    let mean = bytes(Statistic::Mean, factor(1.3));
    expect(
        &campaign_run(),
        &mean,
        1.0 + 4.5 / 16.0,
        Verdict::Pass,
        "(of 64 KiB, n = 3,000 devices)",
    );
    let p99 = bytes(Statistic::Percentile(99.0), factor(1.5));
    expect(
        &campaign_run(),
        &p99,
        1.0 + 9.0 / 16.0,
        Verdict::Fail,
        "p99 is 1.6x",
    );
    // A second row of a device adds to its first; one without the whole image is left out.
    let mut run = campaign_run();
    let devices = &mut run.findings.campaigns[0].devices;
    let again = ResultRow {
        downloaded: None,
        bytes: 3_000 * 16 * 4_096,
        ..devices[0]
    };
    devices.push(again);
    expect(&run, &mean, 2.0 + 4.5 / 16.0, Verdict::Fail, "n = 3,000");
    for row in &mut run.findings.campaigns[0].devices {
        row.downloaded = None;
    }
    assert_eq!(judged(&run, &mean).1, Verdict::NoData);
}

#[test]
fn collateral_is_telemetry_during_over_before() {
    let collateral = of_campaign(Indicator::OtaCollateral, Statistic::Value, factor(2.0));
    let (value, verdict, reason) = judged(&campaign_run(), &collateral);
    // 99th percentiles 1,990 us and 3,480 us, to three significant digits.
    assert!((value - 3_480.0 / 1_990.0).abs() < 0.01, "{reason}");
    assert_eq!(verdict, Verdict::Pass, "{reason}");
    let mut run = campaign_run();
    run.findings.campaigns[0].telemetry = Some([values(10, |_| 5), values(1_000, |_| 50)]);
    expect(
        &run,
        &collateral,
        10.0,
        Verdict::Inconclusive,
        "n = 10 before it is too few",
    );
    run.findings.campaigns[0].telemetry = None;
    assert_eq!(judged(&run, &collateral).1, Verdict::NoData);
}

#[test]
fn commands_tell_connected_targets_apart() {
    let run = campaign_run();
    let make = |indicator, statistic, bound| {
        of(
            Subject::Command(0),
            objective("o", indicator, statistic, bound, Window::Run),
        )
    };
    // 950 were connected; 2 never answered. The 941st round trip is one of the longest, 190 ms.
    let rtt = make(
        Indicator::CommandRtt,
        Statistic::Percentile(99.0),
        time(1.0),
    );
    expect(
        &run,
        &rtt,
        0.19,
        Verdict::Pass,
        "(948 of 950 connected targets answered; 50 that were not are left out)",
    );
    let all = make(
        Indicator::CommandRtt,
        Statistic::Percentile(100.0),
        time(1.0),
    );
    expect(&run, &all, f64::INFINITY, Verdict::Fail, "never");
    let fanout = |share| {
        make(
            Indicator::CommandFanout,
            Statistic::Share(share),
            time(60.0),
        )
    };
    // The last answer of the connected is that of device 939: 1,878 ms + 100 ms + 90 ms.
    expect(
        &run,
        &fanout(948.0 / 950.0),
        2.068,
        Verdict::Pass,
        "had answered after 2.07 s",
    );
    expect(
        &run,
        &fanout(1.0),
        f64::INFINITY,
        Verdict::Fail,
        "answered at all",
    );
    let known = |bound| {
        let bound = Bound::AtLeast(Limit::Ratio(bound));
        make(
            Indicator::CommandResultCompleteness,
            Statistic::Value,
            bound,
        )
    };
    expect(
        &run,
        &known(0.99),
        0.993,
        Verdict::Pass,
        "the result of 7 of 1,000 targets is not known",
    );
    expect(&run, &known(1.0), 0.993, Verdict::Fail, "7 of 1,000");
    let twice = make(
        Indicator::CommandDuplicateEffect,
        Statistic::Value,
        count(0),
    );
    expect(
        &run,
        &twice,
        0.0,
        Verdict::Pass,
        "985 carried out once, 3 that came again only answered",
    );
    let mut again = campaign_run();
    totals(&mut again).commands.executed_again = 2;
    expect(
        &again,
        &twice,
        2.0,
        Verdict::Fail,
        "2 commands, above the limit of 0",
    );
}

#[test]
fn queries_are_judged_over_their_askings() {
    let run = campaign_run();
    let make = |indicator, p, bound| {
        let p = Statistic::Percentile(p);
        of(
            Subject::Query(0),
            objective("o", indicator, p, bound, Window::Run),
        )
    };
    // Six askings: the third of six is the median.
    expect(
        &run,
        &make(Indicator::QueryLatency, 50.0, time(1.0)),
        0.3,
        Verdict::Pass,
        "(6 of 6 answered)",
    );
    expect(
        &run,
        &make(Indicator::QueryLatency, 99.0, time(1.0)),
        0.6,
        Verdict::Inconclusive,
        "too few for p99",
    );
    let stale = make(Indicator::QueryStaleness, 50.0, time(30.0));
    expect(
        &run,
        &stale,
        12.0,
        Verdict::Pass,
        "the oldest report was 29 s old; of at most 2 devices nothing was known",
    );
    // One that nobody matches has no age, and is not the freshest of all.
    let mut run = campaign_run();
    for row in &mut run.findings.queries[..2] {
        (row.matched, row.age_p50_us, row.age_p99_us, row.age_max_us) = (0, 0, 0, 0);
    }
    let found = judge(&run, &stale);
    assert_eq!(
        (found.value, found.events),
        (Some(13.0), 4),
        "{}",
        found.reason
    );
    for row in &mut run.findings.queries {
        row.matched = 0;
    }
    assert_eq!(judged(&run, &stale).1, Verdict::NoData);
    let few = make(Indicator::QueryLatency, 99.0, time(1.0));
    assert!(judged(&run, &few).2.contains("6 queries are too few"));
    // One that was never answered counts as never.
    let mut run = campaign_run();
    run.findings.queries.pop();
    let all = make(Indicator::QueryLatency, 100.0, time(1.0));
    expect(
        &run,
        &all,
        f64::INFINITY,
        Verdict::Fail,
        "(5 of 6 answered)",
    );
}

#[test]
fn an_incident_is_resolved_when_the_last_target_is_done() {
    let make = |subject| {
        let window = Window::After(2);
        let bound = time(3_600.0);
        of(
            subject,
            objective(
                "o",
                Indicator::ResolutionTime,
                Statistic::Value,
                bound,
                window,
            ),
        )
    };
    let (campaign, command) = (make(part(Among::All, None)), make(Subject::Command(0)));
    expect(
        &campaign_run(),
        &campaign,
        f64::INFINITY,
        Verdict::Fail,
        "120 of 3,000 targets were not done",
    );
    let mut run = campaign_run();
    for row in &mut run.findings.campaigns[0].operator {
        row.outcome = Outcome::Confirmed;
    }
    // The fault began at 70 s; turn 2,999 is confirmed at 114.995 s.
    expect(
        &run,
        &campaign,
        44.995,
        Verdict::Pass,
        "(the fault lasted 10 s; 0 of 3,000 targets",
    );
    expect(&run, &command, f64::INFINITY, Verdict::Fail, "15 of 1,000");
    for row in &mut run.findings.commands[0].rows {
        row.outcome = CommandOutcome::Succeeded;
        row.answered = Some(at_ms(75_000));
    }
    // Everybody was done while the fault lasted: it ends with its clearing.
    expect(&run, &command, 10.0, Verdict::Pass, "");
    assert_eq!(judge(&run, &command).window, "of slow-down after restart");
}

#[test]
fn a_campaign_of_the_target_is_told_by_its_devices() {
    let mut run = campaign_run();
    run.plan.campaigns[0].server = crate::scenario::campaign::Server::External;
    let found = &mut run.findings.campaigns[0];
    found.operator.clear();
    found.marks.clear();
    // Two devices say nothing, one says two things, of which the later counts.
    let again = ResultRow {
        outcome: Outcome::Confirmed,
        finished: at_ms(120_000),
        ..found.devices[0]
    };
    found.devices.push(again);
    found.devices.remove(2);
    found.devices.remove(1);
    let failed = of_campaign(Indicator::OtaFailureRatio, Statistic::Value, ratio(0.05));
    expect(
        &run,
        &failed,
        119.0 / 2_998.0,
        Verdict::Pass,
        "119 of 2,998",
    );
    let all = completion(2_879.0 / 3_000.0, 60.0, Among::All);
    expect(
        &run,
        &all,
        30.0,
        Verdict::Pass,
        "(2,879 of 3,000 targets confirmed)",
    );
}

#[test]
fn what_nobody_was_offered_is_no_data() {
    let wrong = of_campaign(Indicator::OtaWrongTarget, Statistic::Value, count(0));
    let inversions = of_campaign(Indicator::OtaPriorityInversions, Statistic::Value, count(0));
    let done = completion(0.9, 60.0, Among::All);
    let mut run = campaign_run();
    let found = &mut run.findings.campaigns[0];
    found.devices.clear();
    for row in &mut found.operator {
        row.outcome = Outcome::NeverReached;
        row.offered = None;
    }
    for objective in [&wrong, &inversions] {
        let found = judge(&run, objective);
        assert_eq!(found.verdict, Verdict::NoData, "{}", found.reason);
    }
    // The operator was to offer it, and the target may not have been told to.
    assert_eq!(judge(&run, &done).verdict, Verdict::Fail);
    run.plan.campaigns[0].server = crate::scenario::campaign::Server::External;
    run.findings.campaigns[0].operator.clear();
    for objective in [&wrong, &inversions, &done] {
        let found = judge(&run, objective);
        assert_eq!(found.verdict, Verdict::NoData, "{}", found.reason);
        assert!(
            found.reason.contains("no device was offered"),
            "{}",
            found.reason
        );
    }
}

#[test]
fn a_run_that_was_stopped_decides_only_what_cannot_be_made_good() {
    let mut run = halted_run();
    run.interrupted = Some((fixture::at_s(100), 2));
    run.outcome.as_mut().expect("the fixture has one").end = fixture::at_s(100);
    let exposed = of_campaign(
        Indicator::OtaExposureBeforeHalt,
        Statistic::Value,
        count(10),
    );
    assert_eq!(judge(&run, &exposed).verdict, Verdict::Fail);
    let done = completion(0.2, 60.0, Among::All);
    assert_eq!(judge(&run, &done).verdict, Verdict::Inconclusive);
    let mut none = campaign_run();
    none.findings.campaigns[0].operator.clear();
    none.findings.campaigns[0].marks = vec![(at_ms(90_000), CampaignMark::Started { targets: 0 })];
    assert_eq!(judge(&none, &done).verdict, Verdict::NoData);
    none.plan.campaigns[0].targets.who = Selector::default();
    assert_eq!(judge(&none, &exposed).verdict, Verdict::NoData);
}

//! Tests of the renderers on the fixture runs.

use super::data::RunData;
use super::value::{Report, RunVerdict};
use super::{FILES, assemble, fixture, html, json, junit, markdown, text, write_all};
use crate::stats::event::Cause;
use crate::stats::recorder::ErrorKind;
use std::fs;
use std::path::Path;

mod backlog;
mod campaigns;
mod directory;
mod hostile;
mod simulated;

fn tiny() -> Report {
    of_this_version(&fixture::tiny())
}

/// The snapshots outlive this version.
fn of_this_version(run: &RunData) -> Report {
    let mut report = assemble::report(run);
    report.provenance.reported_by = "0.1.0".to_owned();
    report
}

#[test]
#[ignore = "writes pages to look at into target/report-fixture"]
fn pages_to_look_at() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/report-fixture");
    fs::create_dir_all(&dir).expect("the target folder is writable");
    for (name, run) in [
        ("pass", fixture::quickstart()),
        ("fail", fixture::failing()),
        ("hostile", hostile::run()),
        ("simulated", fixture::simulated()),
        ("campaign", fixture::campaign::campaign_run()),
        ("halted", fixture::campaign::halted_run()),
        ("simulated-fail", fixture::simulated_failing()),
        ("simulated-brokers", fixture::simulated_brokers()),
        ("simulated-hostile", hostile::simulated()),
    ] {
        let page = html::render(&assemble::report(&run));
        fs::write(dir.join(format!("{name}.html")), page).expect("just created");
    }
}

#[test]
fn the_terminal_summary() {
    insta::assert_snapshot!(text::render(
        &tiny(),
        Path::new("reports/x"),
        text::Color::Off
    ));
    insta::assert_snapshot!(text::summary_line(&tiny()));
    let colored = text::render(&tiny(), Path::new("reports/x"), text::Color::On);
    assert!(colored.contains("\x1b[1;31mFAIL\x1b[0m"));
}

#[test]
fn the_markdown_summary() {
    insta::assert_snapshot!(markdown::render(&tiny()));
}

#[test]
fn the_junit_report() {
    insta::assert_snapshot!(junit::render(&tiny()));
}

#[test]
fn the_json_report() {
    insta::assert_snapshot!(json::render(&tiny()));
}

#[test]
fn a_junit_case_is_green_only_if_it_proves_something() {
    let count = |change: fn(&mut RunData)| {
        let mut run = fixture::quickstart();
        change(&mut run);
        let report = assemble::report(&run);
        let xml = junit::render(&report);
        let of = |tag: &str| xml.matches(tag).count();
        (
            report.verdict,
            of("<testcase "),
            of("<failure "),
            of("<error "),
        )
    };
    assert_eq!(count(|_| {}), (RunVerdict::Pass, 6, 0, 0));
    let lost = |run: &mut RunData| {
        let outcome = run.outcome.as_mut().expect("the fixture has one");
        outcome.totals.delivery.lost = 1;
    };
    assert_eq!(count(lost), (RunVerdict::Fail, 6, 1, 0));
    assert_eq!(
        count(|run| run.plan.observe.devices = 0),
        (RunVerdict::NoData, 6, 0, 1)
    );
    assert_eq!(
        count(|run| run.header.plan_hash.clear()),
        (RunVerdict::Invalid, 6, 0, 6)
    );
    assert_eq!(
        count(|run| run.interrupted = Some((fixture::at_s(140), 2))),
        (RunVerdict::Interrupted, 6, 0, 6)
    );
}

#[test]
fn the_page_is_one_small_file_without_scripts() {
    for run in [fixture::quickstart(), fixture::failing()] {
        let page = html::render(&assemble::report(&run));
        assert!(page.len() < 500_000, "{} bytes", page.len());
        for forbidden in [
            "<script", " style=", " onload", " src=", " href=", "@import", "url(",
        ] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert_eq!(page.matches("<svg viewBox=\"0 0 10800").count(), 6);
    }
}

#[test]
fn a_day_long_run_stays_a_small_page() {
    let mut run = fixture::quickstart();
    let rows = run.series.rows.clone();
    run.series.rows = (0..86_400u32)
        .map(|second| {
            let mut row = rows[second as usize % 140];
            row.second = second;
            row
        })
        .collect();
    run.plan.phases[3].length = std::time::Duration::from_secs(86_400 - 80);
    let page = html::render(&assemble::report(&run));
    assert!(page.len() < 500_000, "{} bytes", page.len());
}

#[test]
fn a_run_that_left_almost_nothing_still_renders() {
    let mut run = fixture::quickstart();
    run = RunData::new(run.scenario_text, run.plan, run.header);
    let report = assemble::report(&run);
    let page = html::render(&report);
    assert!(page.contains("never started"));
    assert!(page.contains("No second of the run was recorded."));
    assert!(markdown::render(&report).contains("INVALID"));
    let value = serde_json::to_value(&report).expect("serializable");
    assert_eq!(value["counts"].get("planned"), None);
    assert_eq!(value["delivery"].get("lost"), None);
}

#[test]
fn an_unfinished_run_shows_what_was_recorded() {
    let mut run = fixture::quickstart();
    run.outcome = None;
    run.series.rows.truncate(85);
    let report = assemble::report(&run);
    assert!(report.run.partial);
    assert_eq!(report.counts.series.seconds, 85);
    let page = html::render(&report);
    assert!(page.contains("No final count. Over 85 recorded seconds"));
    assert!(page.contains("1 min 25 s of 2 min 20 s"));
}

#[test]
fn the_ledger_tells_redeliveries_apart() {
    let mut run = fixture::quickstart();
    let outcome = run.outcome.as_mut().expect("the fixture has one");
    outcome.totals.delivery.redelivered = 4_321;
    let report = assemble::report(&run);
    let page = html::render(&report);
    let row = page.split("Redelivered to the observer").nth(1);
    assert!(row.is_some_and(|row| row[..200].contains("4,321")));
    let value = serde_json::to_value(&report).expect("serializable");
    assert_eq!(value["delivery"]["redelivered"], 4_321);
}

#[test]
fn errors_name_who_is_to_blame() {
    let mut run = fixture::quickstart();
    let outcome = run.outcome.as_mut().expect("the fixture has one");
    outcome.totals.errors[0].kind = ErrorKind::Attempt(Cause::GeneratorPorts);
    let report = assemble::report(&run);
    let error = &report.errors[0];
    assert_eq!(error.kind, "attempt.generator_ports");
    assert!(error.blames_generator);
    assert_eq!((error.first_s, error.last_s), (70.0, 79.0));
    assert_eq!(error.first_phase, "restart");
    assert_eq!(error.example, "trackers-17");
}

#[test]
fn pages_are_replaced_whole_and_the_step_summary_grows() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let step = dir.path().join("step.md");
    fs::write(&step, "before\n").expect("writable");
    fs::write(dir.path().join("report.json"), "old").expect("writable");
    let report = tiny();
    write_all(&report, dir.path(), Some(&step)).expect("writable");
    write_all(&report, dir.path(), None).expect("a second time as well");
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).expect("written");
    assert_eq!(read("report.json"), json::render(&report));
    assert_eq!(read("step.md"), format!("before\n{}", read("summary.md")));
    let mut names: Vec<String> = fs::read_dir(dir.path())
        .expect("readable")
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .into_string()
                .expect("ASCII")
        })
        .collect();
    names.sort();
    let mut expected = FILES.map(str::to_owned).to_vec();
    expected.push("step.md".to_owned());
    expected.sort();
    assert_eq!(names, expected);
    fs::write(&step, "x".repeat(1024 * 1024)).expect("writable");
    write_all(&report, dir.path(), Some(&step)).expect("too long for GitHub is no error");
    assert_eq!(read("step.md").len(), 1024 * 1024);
}

#[test]
fn a_page_that_cannot_be_written_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(dir.path().join("junit.xml")).expect("writable");
    let error = write_all(&tiny(), dir.path(), None).expect_err("junit.xml is a folder");
    assert!(error.to_string().contains("junit.xml"), "{error}");
    let gone = write_all(&tiny(), &dir.path().join("gone"), None);
    assert!(
        gone.expect_err("no such folder")
            .to_string()
            .contains("report.json")
    );
}

#[test]
fn wills_are_told_only_if_they_were_asked_for() {
    let mut run = fixture::quickstart();
    let told = |run: &RunData| {
        let report = assemble::report(run);
        let value = serde_json::to_value(&report).expect("serializable");
        (
            html::render(&report),
            value["delivery"].get("wills").cloned(),
        )
    };
    let (page, none) = told(&run);
    assert!(none.is_none() && !page.contains("<h3>Wills</h3>"));
    let outcome = run.outcome.as_mut().expect("the fixture has one");
    outcome.totals.wills = Some(crate::stats::books::WillCounts {
        watched: 6_000,
        fired: 5_432,
        devices: 5_000,
        devices_repeated: 432,
        redelivered: 1,
        gaps: 2,
    });
    let (page, wills) = told(&run);
    let table = page.split("<h3>Wills</h3>").nth(1).expect("a table");
    for figure in ["6,000", "5,432", "5,000", "432"] {
        assert!(table.contains(figure), "{figure}");
    }
    let wills = wills.expect("asked for");
    assert_eq!(
        (&wills["fired"], &wills["gaps"]),
        (&5_432.into(), &2.into())
    );
}

//! Run directories as the run leaves them, whole, cut short and damaged.

use super::*;
use crate::report::{ReportError, build};
use crate::scenario::file::{self, Overrides, Secrets};
use crate::stats::evidence::{self, Line};
use crate::stats::series::{PhaseMark, Second, Writer};
use std::path::PathBuf;
use tempfile::TempDir;

/// A run directory with the figures of the quickstart fixture.
fn directory() -> TempDir {
    directory_of(fixture::quickstart())
}

/// A run directory with the figures of a run of [`fixture::SCENARIO`].
fn directory_of(run: RunData) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path();
    fs::write(path.join("scenario.yaml"), fixture::SCENARIO).expect("writable");
    let none = Overrides::default();
    let plan = file::parse("s", fixture::SCENARIO, path, &none, Secrets::Ignore);
    let plan = plan.expect("the fixture's text is a scenario");
    write_series(path, &run);
    let mut header = run.header.clone();
    header.plan_hash = plan.hash;
    let (start, wall_clock) = run.started.expect("the fixture started");
    let outcome = run.outcome.expect("the fixture has one");
    let mut events = evidence::Writer::create(path).expect("writable");
    for line in [
        Line::Header(Box::new(header)),
        Line::Started { start, wall_clock },
        Line::Phase {
            index: 0,
            at: start,
        },
        Line::Warning {
            at: fixture::at_s(5),
            text: "cold".to_owned(),
        },
        Line::Outcome(Box::new(outcome)),
    ] {
        events.append(&line).expect("writable");
    }
    events.finish().expect("writable");
    dir
}

/// All values of the run lie in its first second: only their sum is read back.
fn write_series(dir: &Path, run: &RunData) {
    let marks: Vec<PhaseMark> = (run.plan.phases.iter())
        .map(|p| PhaseMark {
            name: p.name.clone(),
            end: p.start + p.length,
        })
        .collect();
    let mut writer = Writer::create(dir, &marks).expect("writable");
    for row in &run.series.rows {
        let mut second = Second::new(row.second);
        second.counters = row.counters;
        second.gauges = row.gauges;
        let generator = run.series.generator.iter();
        second.generator = generator
            .filter(|g| g.second == row.second)
            .copied()
            .collect();
        if row.second == 0 {
            second.histograms = run.series.histograms.clone();
        }
        writer.append(&second).expect("writable");
    }
    writer.finish().expect("writable");
}

fn edit(path: PathBuf, change: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(&path).expect("readable");
    fs::write(path, change(text)).expect("writable");
}

#[test]
fn a_run_is_judged_from_its_directory_alone() {
    let dir = directory();
    let report = build(dir.path()).expect("a whole directory");
    assert_eq!(report.verdict, RunVerdict::Pass, "{:?}", report.reasons);
    assert_eq!(report.objectives.len(), 5);
    assert_eq!(report.warnings, ["0:05.0: cold"]);
    let direct = assemble::report(&fixture::quickstart());
    assert_eq!(report.latency.0.len(), direct.latency.0.len());
    for (read, made) in report.latency.0.iter().zip(&direct.latency.0) {
        assert_eq!(read.rows, made.rows, "{}", made.key);
    }
    assert_eq!(report.counts.total, direct.counts.total);
    assert_eq!(report.counts.series, direct.counts.series);
    let workers = |report: &Report| report.generator.watch.as_ref().map(|w| w.workers.clone());
    assert!(workers(&report).is_some_and(|workers| workers.len() == 2));
    assert_eq!(workers(&report), workers(&direct));
    // Judging again, with the pages already there, gives the same bytes.
    write_all(&report, dir.path(), None).expect("writable");
    let again = build(dir.path()).expect("still whole");
    assert_eq!(json::render(&again), json::render(&report));
    assert_eq!(html::render(&again), html::render(&report));
}

#[test]
fn two_simulations_with_one_seed_leave_the_same_report() {
    let pages = |change: fn(&mut RunData)| {
        let mut run = fixture::simulated();
        change(&mut run);
        let dir = directory_of(run);
        let report = build(dir.path()).expect("a whole directory");
        write_all(&report, dir.path(), None).expect("writable");
        FILES.map(|name| fs::read_to_string(dir.path().join(name)).expect("written"))
    };
    let here = pages(|_| {});
    assert!(here[0].contains("\"verdict\": \"PREDICTED_PASS\""));
    // Another day, another machine.
    let elsewhere = pages(|run| {
        run.started = run
            .started
            .take()
            .map(|(at, _)| (at, "2027-01-01T00:00:00Z".to_owned()));
        run.header.host = [("cpu".to_owned(), "another".to_owned())].into();
        run.header.targets = vec!["127.0.0.1:40009".to_owned()];
    });
    assert_eq!(here, elsewhere);
}

type Damage = fn(&Path);

#[test]
fn what_was_cut_short_or_tampered_with_is_invalid_but_renders() {
    let cases: [(Damage, &str); 6] = [
        (
            |dir| {
                edit(dir.join("events.jsonl"), |t| t[..t.len() - 40].to_owned());
                edit(dir.join("series.csv"), |t| t[..t.len() - 5].to_owned());
            },
            "ended abnormally",
        ),
        (
            |dir| edit(dir.join("series.csv"), |t| t.replacen("\n3,", "\nx,", 1)),
            "Series: ",
        ),
        (
            |dir| fs::remove_file(dir.join("driver_lag.hlog")).expect("there"),
            "driver_lag.hlog",
        ),
        (
            |dir| {
                edit(dir.join("publish_ack_response.hlog"), |t| {
                    let end = t.trim_end().rfind('\n').expect("several lines");
                    t[..=end].to_owned()
                })
            },
            "Histograms: ",
        ),
        (
            |dir| edit(dir.join("driver_lag.hlog"), |t| t[..t.len() - 5].to_owned()),
            "is torn",
        ),
        (
            |dir| {
                edit(dir.join("scenario.yaml"), |t| {
                    t.replace("at_most: 250ms", "at_most: 9s")
                })
            },
            "scenario.yaml was changed",
        ),
    ];
    for (damage, reason) in cases {
        let dir = directory();
        damage(dir.path());
        let report = build(dir.path()).expect("it still renders");
        assert_eq!(report.verdict, RunVerdict::Invalid, "{reason}");
        let reasons = &report.reasons;
        assert!(
            reasons.iter().any(|r| r.contains(reason)),
            "{reason}: {reasons:?}"
        );
        write_all(&report, dir.path(), None).expect("writable");
    }
}

#[test]
fn what_is_no_run_directory_is_an_error() {
    let empty = tempfile::tempdir().expect("a temporary folder");
    assert!(matches!(build(empty.path()), Err(ReportError::Events(_))));
    let dir = directory();
    edit(dir.path().join("events.jsonl"), |text| {
        text.lines()
            .skip(1)
            .map(|line| format!("{line}\n"))
            .collect()
    });
    assert!(matches!(build(dir.path()), Err(ReportError::NoHeader)));
    let dir = directory();
    edit(dir.path().join("events.jsonl"), |t| {
        t.replacen("\"format\":1", "\"format\":2", 1)
    });
    assert!(matches!(build(dir.path()), Err(ReportError::Format(2))));
    // What is neither measured nor simulated is not taken for the one or the other.
    let dir = directory();
    edit(dir.path().join("events.jsonl"), |t| {
        t.replacen("\"mode\":\"live\"", "\"mode\":\"guessed\"", 1)
    });
    assert!(matches!(build(dir.path()), Err(ReportError::Events(_))));
    let dir = directory();
    fs::remove_file(dir.path().join("scenario.yaml")).expect("there");
    assert!(matches!(build(dir.path()), Err(ReportError::Read { .. })));
    let dir = directory();
    fs::write(dir.path().join("scenario.yaml"), "name: [").expect("writable");
    assert!(matches!(build(dir.path()), Err(ReportError::Scenario(_))));
}

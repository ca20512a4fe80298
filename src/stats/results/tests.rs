//! Tests of writing rows and reading them back, whole and torn.

use super::*;
use crate::time::Duration;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

const T0: Instant = Instant::from_ns(3_000_000_000);

fn columns() -> Columns {
    let campaign = |name: &str, has_operator| CampaignFiles {
        name: name.to_owned(),
        has_operator,
    };
    Columns {
        attributes: vec!["hw".into(), "outcome".into()],
        campaigns: vec![campaign("fw-2", true), campaign("fw-3", false)],
        commands: vec!["slow-down".into()],
        queries: vec!["old".into(), "older".into()],
    }
}

fn after_us(us: u64) -> Instant {
    T0.after(Duration::from_micros(us))
}

fn row(device: u32, witness: Witness) -> ResultRow {
    ResultRow {
        campaign: 0,
        witness,
        device,
        from: Some(1),
        priority: 0,
        outcome: Outcome::Confirmed,
        reason: Reason::Success,
        attempts: 2,
        bytes: 262_144,
        offered: Some(T0),
        started: Some(after_us(1)),
        downloaded: None,
        rebooted: Some(after_us(1_999_999)),
        finished: after_us(90_000_000_000),
    }
}

const SUBJECT: Subject<'static> = Subject {
    name: "meters-7",
    cohort: "meters",
    attributes: &["B", ""],
};

fn writer(dir: &Path) -> Writer {
    let mut writer = Writer::create(dir, &columns()).expect("an empty directory");
    writer.begin(T0);
    writer
}

#[test]
fn a_run_that_has_only_begun_has_all_its_files() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // Not finished, as of a killed run.
    let _writer = Writer::create(dir.path(), &columns()).expect("an empty directory");
    let mut names: Vec<_> = fs::read_dir(dir.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "command-slow-down.csv",
            "device-results-fw-2.csv",
            "device-results-fw-3.csv",
            "queries.csv",
            "results-fw-2.csv",
        ]
    );
    let empty = read_results(dir.path(), "fw-3", Witness::Device).expect("a header");
    assert_eq!(empty.attributes, ["hw", "outcome"]);
    assert_eq!((empty.rows.len(), empty.warning), (0, None));
    assert!(read_commands(dir.path(), "slow-down").is_ok());
    assert!(read_queries(dir.path()).is_ok());
    assert!(
        Writer::create(dir.path(), &columns()).is_err(),
        "never over"
    );
    assert!(matches!(
        read_results(dir.path(), "fw-3", Witness::Operator),
        Err(ResultsError::Lines(_))
    ));
}

#[test]
fn rows_are_what_people_read() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut writer = writer(dir.path());
    let mine = row(7, Witness::Operator);
    writer
        .result(&mine, &SUBJECT, "critical", "1.4.2")
        .expect("writable");
    writer.flush().expect("writable");
    let text = fs::read_to_string(dir.path().join("results-fw-2.csv")).expect("written");
    assert_eq!(
        text,
        "device,name,cohort,attr.hw,attr.outcome,priority,from,outcome,reason,attempts,bytes,\
         offered_s,started_s,downloaded_s,rebooted_s,finished_s\n\
         7,meters-7,meters,B,,critical,1.4.2,confirmed,success,2,262144,\
         0.000000,0.000001,,1.999999,90000.000000\n"
    );
}

#[test]
fn a_torn_last_row_is_left_out_and_a_bad_one_before_it_is_an_error() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut writer = writer(dir.path());
    for device in 0..3 {
        let row = row(device, Witness::Device);
        writer.result(&row, &SUBJECT, "", "").expect("writable");
    }
    writer.finish().expect("writable");
    let path = dir.path().join("device-results-fw-2.csv");
    let whole = fs::read_to_string(&path).expect("written");
    let ends: Vec<usize> = whole.match_indices('\n').map(|(at, _)| at + 1).collect();
    for cut in ends[0]..whole.len() {
        fs::write(&path, &whole[..cut]).expect("writable");
        let table = read_results(dir.path(), "fw-2", Witness::Device).expect("readable");
        let rows = ends.iter().filter(|end| **end <= cut).count() - 1;
        assert_eq!(table.rows.len(), rows, "cut at {cut}");
        assert_eq!(
            table.warning.is_some(),
            !ends.contains(&cut),
            "cut at {cut}"
        );
    }
    fs::write(&path, whole.replacen("confirmed", "confirmd", 1)).expect("writable");
    let error = read_results(dir.path(), "fw-2", Witness::Device).expect_err("a bad line");
    let text = error.to_string();
    assert!(text.ends_with("line 2: not a line of results"), "{text}");
}

#[test]
fn rows_of_what_the_plan_does_not_have_are_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut writer = Writer::create(dir.path(), &columns()).expect("an empty directory");
    let good = row(0, Witness::Operator);
    let write = |writer: &mut Writer, row: &ResultRow| writer.result(row, &SUBJECT, "", "").is_ok();
    assert!(!write(&mut writer, &good), "T0 is not known");
    writer.begin(T0);
    assert!(write(&mut writer, &good));
    assert!(!write(
        &mut writer,
        &ResultRow {
            campaign: 2,
            ..good
        }
    ));
    assert!(
        !write(
            &mut writer,
            &ResultRow {
                campaign: 1,
                ..good
            }
        ),
        "external"
    );
    let subject = Subject {
        attributes: &["B"],
        ..SUBJECT
    };
    assert!(writer.result(&good, &subject, "", "").is_err());
}

#[test]
fn commands_and_queries_come_back() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut writer = writer(dir.path());
    let command = CommandRow {
        command: 0,
        device: 7,
        outcome: CommandOutcome::TimedOut,
        attempts: 3,
        was_offline: true,
        intended: Some(after_us(5)),
        sent: Some(after_us(6)),
        answered: None,
        answers: 0,
    };
    writer.command(&command, &SUBJECT).expect("writable");
    let query = QueryRow {
        query: 1,
        intended: after_us(1_000_000),
        answered: after_us(1_000_001),
        matched: 1,
        unknown: 2,
        asked: 3,
        silent: 4,
        age_p50_us: 5,
        age_p99_us: 6,
        age_max_us: u64::MAX,
    };
    writer.query(&query).expect("writable");
    assert!(writer.query(&QueryRow { query: 2, ..query }).is_err());
    writer.finish().expect("writable");

    let commands = read_commands(dir.path(), "slow-down").expect("readable");
    assert_eq!(
        commands.rows,
        [CommandLine {
            who: Who {
                device: 7,
                name: "meters-7".into(),
                cohort: "meters".into(),
                attributes: vec!["B".into(), "".into()],
            },
            outcome: CommandOutcome::TimedOut,
            attempts: 3,
            was_offline: true,
            intended: Some(Duration::from_micros(5)),
            sent: Some(Duration::from_micros(6)),
            answered: None,
            answers: 0,
        }]
    );
    let queries = read_queries(dir.path()).expect("readable");
    assert_eq!(
        queries.rows,
        [QueryLine {
            query: "older".into(),
            intended: Duration::from_micros(1_000_000),
            answered: Duration::from_micros(1_000_001),
            matched: 1,
            unknown: 2,
            asked: 3,
            silent: 4,
            age_p50_us: 5,
            age_p99_us: 6,
            age_max_us: u64::MAX,
        }]
    );
}

fn texts() -> impl Strategy<Value = String> {
    "[a-z,\" ü]{0,6}"
}

fn times() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(0..1u64 << 50)
}

prop_compose! {
    fn rows()(
        device in any::<u32>(),
        outcome in prop::sample::select(Outcome::ALL.to_vec()),
        reason in prop::sample::select(Reason::ALL.to_vec()),
        (attempts, bytes) in any::<(u8, u64)>(),
        times in [times(), times(), times(), times()],
        finished in 0..1u64 << 50,
    ) -> ResultRow {
        let [offered, started, downloaded, rebooted] = times.map(|t| t.map(after_us));
        ResultRow {
            device, outcome, reason, attempts, bytes, offered, started, downloaded, rebooted,
            finished: after_us(finished),
            ..row(0, Witness::Operator)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written is read back, every field, whatever the texts hold.
    #[test]
    fn results_come_back_to_the_microsecond(
        written in prop::collection::vec((rows(), [texts(), texts(), texts(), texts(), texts(), texts()]), 1..20),
    ) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut writer = writer(dir.path());
        for (row, [name, cohort, hw, other, priority, from]) in &written {
            let attributes = [&**hw, &**other];
            let subject = Subject { name, cohort, attributes: &attributes };
            writer.result(row, &subject, priority, from).expect("writable");
        }
        writer.finish().expect("writable");
        let table = read_results(dir.path(), "fw-2", Witness::Operator).expect("readable");
        prop_assert_eq!(table.warning, None);
        prop_assert_eq!(table.rows.len(), written.len());
        let since = |at: Option<Instant>| at.map(|at| at.since(T0));
        for (line, (row, [name, cohort, hw, other, priority, from])) in
            table.rows.into_iter().zip(&written)
        {
            let expected = ResultLine {
                who: Who {
                    device: row.device,
                    name: name.as_str().into(),
                    cohort: cohort.as_str().into(),
                    attributes: vec![hw.as_str().into(), other.as_str().into()],
                },
                priority: priority.as_str().into(),
                from: from.as_str().into(),
                outcome: row.outcome,
                reason: row.reason,
                attempts: row.attempts,
                bytes: row.bytes,
                offered: since(row.offered),
                started: since(row.started),
                downloaded: since(row.downloaded),
                rebooted: since(row.rebooted),
                finished: row.finished.since(T0),
            };
            prop_assert_eq!(line, expected);
        }
    }
}

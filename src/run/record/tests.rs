//! Tests of the findings that a run writes down.

use super::*;
use crate::scenario::campaign::{
    Campaign, Firmware, FleetCommand, FleetQuery, Image, Offline, Order, Population, Priority,
    Rollout,
};
use crate::scenario::fixture;
use crate::scenario::plan::{Attribute, Selector};
use crate::stats::results::{
    CampaignMark, CommandOutcome, Outcome, QueryRow, Witness, read_commands, read_queries,
    read_results,
};
use crate::time::{Duration, Instant};
use crate::wire::Reason;

const T0: Instant = Instant::from_ns(1_000_000_000);

fn attribute(name: &str, value: &str, devices: u32) -> Attribute {
    Attribute {
        name: name.into(),
        values: vec![(value.into(), devices)],
        root: None,
    }
}

/// Two cohorts with different attributes, an own and a foreign campaign, a command, a query.
fn plan() -> Arc<Plan> {
    let mut plan = fixture::plan(2);
    plan.cohorts[0].attributes = vec![attribute("hw", "B", 2), attribute("fw", "1", 2)];
    let mut second = plan.cohorts[0].clone();
    second.name = "trackers".into();
    second.first = 2;
    second.streams = 1..1;
    second.attributes = vec![attribute("region", "north", 2)];
    plan.cohorts.push(second);
    plan.firmware = Firmware {
        attribute: "fw".into(),
        versions: vec!["1".into(), "2".into(), "3".into()],
    };
    let campaign = |name: &str, server, version| Campaign {
        name: name.into(),
        phase: 0,
        start: Duration::ZERO,
        server,
        targets: Population::default(),
        image: Image {
            version,
            bytes: 1,
            defects: Vec::new(),
        },
        priorities: vec![Priority {
            name: "critical".into(),
            who: Selector {
                attributes: vec![("hw".into(), "B".into())],
                ..Selector::default()
            },
        }],
        order: Order::Shuffled,
        rollout: Rollout::AtOnce,
        aborts: Vec::new(),
        in_progress_timeout: None,
        step_timeout: None,
        retries: 0,
        pauses: Vec::new(),
        cancel: None,
    };
    plan.campaigns = vec![
        campaign("own", Server::Operator, 1),
        campaign("foreign", Server::External, 2),
    ];
    plan.commands = vec![FleetCommand {
        name: "slow-down".into(),
        phase: 0,
        start: Duration::ZERO,
        targets: Population::default(),
        payload: String::new(),
        timeout: Duration::from_secs(1),
        retries: 0,
        offline: Offline::Skip,
        rate_per_s: None,
        by_hand: Duration::ZERO,
    }];
    plan.queries = vec![FleetQuery {
        name: "old".into(),
        phase: 0,
        start: Duration::ZERO,
        end: Duration::ZERO,
        every: None,
        targets: Population::default(),
        max_age: None,
        timeout: Duration::ZERO,
    }];
    Arc::new(plan)
}

fn result(campaign: u16, witness: Witness, device: u32, priority: u8) -> Finding {
    Finding::Result(ResultRow {
        campaign,
        witness,
        device,
        from: (device < 2).then_some(0),
        priority,
        outcome: Outcome::Confirmed,
        reason: Reason::Success,
        attempts: 1,
        bytes: 1,
        offered: Some(T0),
        started: None,
        downloaded: None,
        rebooted: None,
        finished: T0.after(Duration::from_secs(2)),
    })
}

fn findings() -> Vec<Finding> {
    vec![
        Finding::Campaign {
            campaign: 0,
            at: T0,
            mark: CampaignMark::Started { targets: 2 },
        },
        result(0, Witness::Operator, 1, 0),
        result(0, Witness::Operator, 2, 1),
        result(0, Witness::Device, 1, 1),
        result(1, Witness::Device, 3, 1),
        Finding::Command(CommandRow {
            command: 0,
            device: 3,
            outcome: CommandOutcome::Succeeded,
            attempts: 1,
            was_offline: false,
            intended: Some(T0),
            sent: Some(T0),
            answered: Some(T0),
            answers: 1,
        }),
        Finding::Query(QueryRow {
            query: 0,
            intended: T0,
            answered: T0,
            matched: 4,
            unknown: 0,
            asked: 0,
            silent: 0,
            age_p50_us: 0,
            age_p99_us: 0,
            age_max_us: 0,
        }),
    ]
}

#[test]
fn findings_go_to_the_files_of_who_says_them_with_the_names_of_the_plan() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut record = Record::create(dir.path(), &plan()).expect("an empty folder");
    let started = Line::Started {
        start: T0,
        wall_clock: String::new(),
    };
    record.line(&started).expect("writable");
    record.findings(&findings()).expect("writable");
    // Not finished: what a killed run has.
    let own = read_results(dir.path(), "own", Witness::Operator).expect("a file");
    assert_eq!(own.attributes, ["fw", "hw", "region"]);
    let rows: Vec<_> = own
        .rows
        .iter()
        .map(|row| (&*row.who.name, &*row.who.cohort, &*row.priority, &*row.from))
        .collect();
    assert_eq!(
        rows,
        [
            ("meters-1", "meters", "critical", "1"),
            ("trackers-0", "trackers", "", "")
        ]
    );
    let values: Vec<Vec<&str>> = own
        .rows
        .iter()
        .map(|row| row.who.attributes.iter().map(|value| &**value).collect())
        .collect();
    assert_eq!(values, [["1", "B", ""], ["", "", "north"]]);
    assert_eq!(own.rows[0].finished, Duration::from_secs(2));
    let of_device = |campaign| {
        let table = read_results(dir.path(), campaign, Witness::Device).expect("a file");
        let devices = table.rows.into_iter().map(|row| row.who.device);
        devices.collect::<Vec<_>>()
    };
    assert_eq!((of_device("own"), of_device("foreign")), (vec![1], vec![3]));
    // A device does not know its priority; the plan does.
    let by_device = read_results(dir.path(), "own", Witness::Device).expect("a file");
    assert_eq!(&*by_device.rows[0].priority, "critical");
    let foreign = read_results(dir.path(), "foreign", Witness::Device).expect("a file");
    assert_eq!(&*foreign.rows[0].priority, "");
    assert!(!dir.path().join("results-foreign.csv").exists());
    let commands = read_commands(dir.path(), "slow-down").expect("a file");
    assert_eq!(&*commands.rows[0].who.name, "trackers-1");
    assert_eq!(read_queries(dir.path()).expect("a file").rows.len(), 1);
    let (lines, _) = evidence::read(dir.path()).expect("a file");
    assert!(matches!(lines[..], [_, Line::Campaign { campaign: 0, .. }]));
}

#[test]
fn a_device_that_there_is_not_is_an_error() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut record = Record::create(dir.path(), &plan()).expect("an empty folder");
    let started = Line::Started {
        start: T0,
        wall_clock: String::new(),
    };
    record.line(&started).expect("writable");
    let error = record.findings(&[result(0, Witness::Device, 4, 0)]);
    assert!(matches!(error, Err(RunError::Evidence(_))), "{error:?}");
}

//! Fleet queries, and what they know.

use super::*;

fn rig(devices: u32, change: impl FnOnce(&mut FleetQuery)) -> Rig {
    let mut plan = plan(devices);
    plan.queries = vec![query("old")];
    change(&mut plan.queries[0]);
    Rig::new(plan)
}

#[test]
fn it_counts_by_reports_at_once_if_no_age_is_asked_for() {
    let mut rig = rig(4, |_| ());
    rig.report(0, "2.0.0");
    rig.now = at(400);
    rig.report(1, "1.4.2");
    rig.now = at(700);
    rig.report(2, "1.4.2");
    rig.run_until(at(1_000));
    let expected = QueryRow {
        query: 0,
        intended: at(1_000),
        answered: at(1_000),
        matched: 3,
        unknown: 1,
        asked: 0,
        silent: 0,
        age_p50_us: 300_000,
        age_p99_us: 600_000,
        age_max_us: 600_000,
    };
    assert_eq!(rig.queries(), [expected]);
    assert!(rig.take_said().is_empty());
    assert!(rig.operator.is_settled());
}

#[test]
fn it_asks_who_is_stale_and_answers_when_all_have_reported() {
    let mut rig = rig(5, |query| query.max_age = Some(Duration::from_millis(500)));
    for device in 0..3 {
        rig.report(device, "1.4.2");
    }
    rig.now = at(900);
    rig.report(3, "1.4.2");
    // 3 is fresh; 4 was never heard of; 2 has left.
    rig.hear("d/meters-2/state", "offline");
    rig.run_until(at(1_000));
    let said = rig.take_texts();
    let topics: Vec<_> = said.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!(
        topics,
        [
            "d/meters-0/rpc/request/0000feed.1",
            "d/meters-1/rpc/request/0000feed.2"
        ]
    );
    assert_eq!(said[0].1, "{\"id\":\"0000feed.1\",\"command\":\"report\"}");
    rig.now = at(1_200);
    rig.report(0, "2.0.0");
    assert!(rig.queries().is_empty());
    // One that was under way is as old as before: it is still awaited.
    rig.hear("d/meters-1/reported", "{\"at\":100,\"fw\":\"1.4.2\"}");
    assert!(rig.queries().is_empty());
    rig.now = at(1_300);
    rig.report(1, "2.0.0");
    let rows = rig.queries();
    assert_eq!(rows.len(), 1);
    let row = rows[0];
    assert_eq!((row.intended, row.answered), (at(1_000), at(1_300)));
    assert_eq!(
        (row.matched, row.unknown, row.asked, row.silent),
        (3, 1, 2, 0)
    );
    // Of 2 and 3: what was reported at 0 and at 0.9 s.
    assert_eq!((row.age_p50_us, row.age_max_us), (400_000, 1_300_000));
}

#[test]
fn it_does_not_wait_for_ever() {
    let mut rig = rig(2, |query| query.max_age = Some(Duration::from_millis(500)));
    rig.report(0, "1.4.2");
    rig.report(1, "1.4.2");
    rig.run_until(at(2_000));
    rig.report(0, "1.4.2");
    rig.run_until(at(6_000));
    let row = rig.queries()[0];
    assert_eq!(row.answered, at(6_000));
    assert_eq!((row.asked, row.silent, row.matched), (2, 1, 2));
}

#[test]
fn it_is_asked_at_each_of_its_instants_and_late_ones_keep_them() {
    let mut rig = rig(1, |query| {
        query.every = Some(Duration::from_secs(3));
        query.max_age = Some(Duration::from_millis(500));
    });
    rig.report(0, "1.4.2");
    rig.run_until(at(30_000));
    let instants: Vec<_> = rig
        .queries()
        .iter()
        .map(|row| (row.intended, row.answered))
        .collect();
    // Each waits 5 s for a device that does not report; the end is at 10 s.
    let expected = [
        (at(1_000), at(6_000)),
        (at(4_000), at(11_000)),
        (at(7_000), at(16_000)),
    ];
    assert_eq!(instants, expected);
    assert!(rig.operator.is_settled());
}

#[test]
fn what_was_put_off_is_not_overdue() {
    let mut rig = rig(1, |query| {
        query.every = Some(Duration::from_secs(3));
        query.max_age = Some(Duration::from_millis(500));
    });
    rig.report(0, "1.4.2");
    rig.run_until(at(5_000));
    rig.report(0, "1.4.2");
    assert_eq!(rig.queries().len(), 1);
    // The one of 4 s waited for the answer to that of 1 s: no driver is late for it.
    assert_eq!(rig.operator.poll_timeout(), at(5_000));
}

#[test]
fn what_was_due_is_answered_at_the_close() {
    let mut rig = rig(1, |query| {
        query.every = Some(Duration::from_secs(3));
        query.max_age = Some(Duration::from_millis(500));
    });
    rig.report(0, "1.4.2");
    rig.run_until(at(5_000));
    rig.step(Input::StopArrivals);
    assert!(!rig.operator.is_settled());
    rig.step(Input::Close);
    let rows = rig.queries();
    let instants: Vec<_> = rows
        .iter()
        .map(|row| (row.intended, row.answered))
        .collect();
    assert_eq!(instants, [(at(1_000), at(5_000)), (at(4_000), at(5_000))]);
    assert_eq!((rows[0].asked, rows[0].silent), (1, 1));
    assert!(rig.operator.is_settled());
    assert!(rig.operator.poll_timeout() > at(5_000));
}

#[test]
fn reports_that_cannot_be_read_are_counted() {
    let mut rig = rig(1, |_| ());
    for payload in ["", "{}", "{\"at\":-1}", "[]"] {
        rig.hear("d/meters-0/reported", payload);
    }
    rig.hear("d/meters-1/reported", "{\"at\":1}");
    assert_eq!(rig.notes[..4], [Note::BadMessage; 4]);
    assert_eq!(rig.notes[4], Note::ForeignName);
}

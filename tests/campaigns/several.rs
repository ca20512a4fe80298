//! Campaigns after each other, beside each other and beside commands; retries and priorities.

use crate::bench::{EVERYONE, Parts};
use crate::sheet::Sheet;
use std::collections::{BTreeMap, BTreeSet};

fn devices(sheet: &Sheet, outcome: &str) -> BTreeSet<u64> {
    let rows = sheet.rows().filter(|row| row.text("outcome") == outcome);
    rows.map(|row| row.device()).collect()
}

#[test]
fn only_who_was_confirmed_is_a_target_of_the_next_campaign() {
    let run = Parts {
        attributes: "hw: { B: 90%, C: 10% }, fw: { \"1.4.2\": 100% }",
        campaigns: &[
            "{ campaign: fw-2, where: { fw: \"1.4.2\" }, image: { version: \"2.0.0\", bytes: 20000, defects: [ { where: { hw: C }, effect: rolls_back } ] }, rollout: at_once }",
            "{ campaign: fw-3, where: { fw: \"2.0.0\" }, image: { version: \"3.0.0\", bytes: 20000 }, rollout: at_once }",
        ],
        actions: "{ start: fw-2, at: 5s }, { start: fw-3, at: 40s }",
        ..Parts::default()
    }
    .simulate()
    .ended(0);
    let [first, second] = ["results-fw-2.csv", "results-fw-3.csv"].map(|name| run.sheet(name));
    let confirmed = devices(&first, "confirmed");
    assert_eq!(confirmed.len(), 180);
    assert_eq!(devices(&first, "rolled_back").len(), 20);
    assert_eq!(devices(&second, "confirmed"), confirmed);
    assert_eq!(second.len(), 180);
    assert_eq!(second.count("from", "2.0.0"), 180);
    // The factory's firmware, as an attribute, never changes.
    assert_eq!(second.count("attr.fw", "1.4.2"), 180);
}

/// The download takes 5 s; half the fleet is offered a second image 1 s after the first, and everybody
/// a command 2 s after it.
#[test]
fn two_campaigns_and_a_command_at_once() {
    let run = Parts {
        attributes: "region: { north: 50%, south: 50% }, fw: { \"1.4.2\": 100% }",
        campaigns: &[
            EVERYONE,
            "{ campaign: fw-3, where: { region: north }, image: { version: \"3.0.0\", bytes: 50000 }, rollout: at_once }",
        ],
        update: ", flash_rate: 20000",
        more: "commands: [ { command: slow-down, payload: \"{}\", timeout: 5s, retries: 3, offline: queue } ]\nqueries: [ { query: old, where: { fw: { below: \"2.0.0\" } }, timeout: 2s } ]",
        actions: "{ start: fw-2, at: 5s }, { start: fw-3, at: 6s }, { command: slow-down, at: 7s }, { query: old, every: 5s }",
        ..Parts::default()
    }
    .simulate()
    .ended(0);
    let sheets = ["device-results-fw-2.csv", "device-results-fw-3.csv"].map(|name| run.sheet(name));
    assert_eq!(sheets[0].count("outcome", "confirmed"), 200);
    assert_eq!(sheets[1].count("outcome", "confirmed"), 100);
    assert_eq!(run.campaign("fw-2")["witnesses"]["agree"], 200);
    assert_eq!(run.campaign("fw-3")["witnesses"]["agree"], 100);
    assert_eq!(
        run.sheet("results-fw-3.csv").count("attr.region", "north"),
        100
    );
    // One after the other on each device.
    let spans = |sheet: &Sheet| -> BTreeMap<u64, (u64, u64, u64)> {
        let of = |row: crate::sheet::Row<'_>| {
            let at = |column| row.us(column).expect("confirmed");
            (at("started_s"), at("downloaded_s"), at("finished_s"))
        };
        sheet.rows().map(|row| (row.device(), of(row))).collect()
    };
    let (first, second) = (spans(&sheets[0]), spans(&sheets[1]));
    for (device, (started, ..)) in &second {
        assert!(*started >= first[device].2, "device {device}");
    }
    // The command did not wait for the download, nor was it done twice.
    let command = run.sheet("command-slow-down.csv");
    assert_eq!(command.count("outcome", "succeeded"), 200);
    for row in command.rows() {
        let answered = row.us("answered_s").expect("succeeded");
        let (started, downloaded, _) = first[&row.device()];
        assert!(started < answered && answered < downloaded);
        assert_eq!(row.number("attempts"), 1);
    }
    let commands = run.outcome().totals.commands;
    assert_eq!((commands.executed, commands.executed_again), (200, 0));
    // 200 have it before, nobody afterwards.
    let queries = run.sheet("queries.csv");
    let matched: Vec<u64> = queries.rows().map(|row| row.number("matched")).collect();
    assert!(matched.is_sorted_by(|a, b| a >= b), "{matched:?}");
    assert_eq!((matched.first(), matched.last()), (Some(&200), Some(&0)));
}

/// A command that comes while all devices are in their reboot: they get it afterwards, once.
#[test]
fn a_command_in_the_reboot_is_carried_out_once() {
    let run = Parts {
        campaigns: &["{ campaign: fw-2, image: { version: \"2.0.0\", bytes: 4096 }, rollout: at_once }"],
        update: ", verify: 200ms, install: 2s",
        more: "commands: [ { command: slow-down, payload: \"{}\", timeout: 1s, retries: 5, offline: queue } ]",
        // Nobody is back before 5 + 2.2 + 2 s.
        actions: "{ start: fw-2, at: 5s }, { command: slow-down, at: 8s }",
        ..Parts::default()
    }
    .simulate()
    .ended(0);
    run.must_be_confirmed(200);
    let rebooted: BTreeMap<u64, u64> = run
        .sheet("device-results-fw-2.csv")
        .rows()
        .map(|row| (row.device(), row.us("rebooted_s").expect("confirmed")))
        .collect();
    let command = run.sheet("command-slow-down.csv");
    let sent = run.start_us() + 3_000_000;
    for row in command.rows() {
        assert_eq!(row.text("outcome"), "succeeded");
        let rebooted = rebooted[&row.device()];
        let answered = row.us("answered_s").expect("succeeded");
        assert!(
            rebooted < sent && answered >= rebooted + 2_000_000,
            "{answered}"
        );
    }
    let commands = run.outcome().totals.commands;
    assert_eq!((commands.executed, commands.executed_again), (200, 0));
}

#[test]
fn who_fails_is_tried_as_often_as_the_campaign_says() {
    let run = Parts {
        campaigns: &["{ campaign: fw-2, image: { version: \"2.0.0\", bytes: 50000 }, rollout: at_once, retries: 2 }"],
        update: ", fail: 30%",
        ..Parts::default()
    }
    .simulate()
    .ended(0);
    let operator = run.sheet("results-fw-2.csv");
    let mut tries: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let own = run.sheet("device-results-fw-2.csv");
    for row in own.rows() {
        let of_device = tries.entry(row.device()).or_default();
        of_device.push(row.text("outcome").to_owned());
        assert_eq!(row.number("attempts"), of_device.len() as u64);
    }
    let mut by_attempts = [0; 4];
    for row in operator.rows() {
        let own = &tries[&row.device()];
        let attempts = usize::try_from(row.number("attempts")).expect("few");
        by_attempts[attempts] += 1;
        assert_eq!(own.len(), attempts);
        let (last, before) = own.split_last().expect("one at least");
        assert_eq!(last, row.text("outcome"));
        assert!(before.iter().all(|outcome| outcome == "failed"), "{own:?}");
        assert!(attempts == 3 || last == "confirmed", "{own:?}");
        // Each execution has the whole image.
        assert_eq!(row.number("bytes"), 50_000 * attempts as u64);
    }
    // 200, of which 30 % fail each time: 140, 42 and 18; 5.4 fail for good.
    assert!((120..160).contains(&by_attempts[1]), "{by_attempts:?}");
    assert!((25..60).contains(&by_attempts[2]), "{by_attempts:?}");
    let failed = operator.count("outcome", "failed");
    assert!((1..15).contains(&failed), "{failed}");
    assert_eq!(operator.count("reason", "io"), failed);
}

/// The check can fail: a backend that knows no priorities makes the critical ones wait.
#[test]
fn inversions_of_priority_are_counted() {
    for (order, code) in [("by_priority", 0), ("shuffled", 99)] {
        let campaign = format!(
            "{{ campaign: fw-2, image: {{ version: \"2.0.0\", bytes: 50000 }}, rollout: {{ constant: 600/min }}, order: {order}, priorities: [ {{ priority: critical, where: {{ tier: critical }} }} ] }}"
        );
        let run = Parts {
            attributes: "tier: { critical: 10%, normal: 90% }, fw: { \"1.4.2\": 100% }",
            campaigns: &[&campaign],
            slos: &["{ name: critical ones first, indicator: ota.priority_inversions, of: fw-2, at_most: 0 }"],
            ..Parts::default()
        }
        .simulate()
        .ended(code);
        run.must_be_confirmed(200);
        let sheet = run.sheet("results-fw-2.csv");
        let of = |priority: &'static str| {
            let rows = sheet
                .rows()
                .filter(move |row| row.text("priority") == priority);
            rows.map(|row| row.us("offered_s").expect("all were notified"))
        };
        let last = of("critical").max().expect("a tenth of the fleet");
        // All are connected all the time; an inversion is more than 1 s.
        let inversions = of("").filter(|at| at + 1_000_000 < last).count();
        assert_eq!(inversions == 0, code == 0, "{inversions}");
        let objective = run.objective("ota.priority_inversions");
        assert_eq!(
            objective["value"].as_f64(),
            Some(inversions as f64),
            "{objective}"
        );
        assert_eq!(run.campaign("fw-2")["priority_inversions"], inversions);
    }
}

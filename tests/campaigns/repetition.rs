//! The same seed is the same campaign, to the byte.

use crate::bench::{EVERYONE, Parts, Run, simulate};
use std::collections::BTreeMap;

/// The tables of a run.
const TABLES: [&str; 6] = [
    "results-fw-2.csv",
    "device-results-fw-2.csv",
    "results-fw-3.csv",
    "device-results-fw-3.csv",
    "command-slow-down.csv",
    "queries.csv",
];

fn files(run: &Run) -> BTreeMap<&'static str, Vec<u8>> {
    let read = |name| (name, std::fs::read(run.out().join(name)).expect(name));
    TABLES.into_iter().chain(["series.csv"]).map(read).collect()
}

/// All that draws at random: links, outages, defects by share, whims, a shuffled order.
#[test]
fn the_same_seed_is_the_same_campaign() {
    let staged = EVERYONE.replace(
        "rollout: at_once",
        "rollout: { constant: 3000/min }, order: shuffled, retries: 1, in_progress_timeout: 40s",
    );
    let staged = staged.replace(
        "bytes: 100000",
        "bytes: 100000, defects: [ { where: { hw: C }, share: 50%, effect: rolls_back }, { where: { hw: D }, share: 50%, effect: bricks } ]",
    );
    let parts = Parts {
        attributes: "hw: { B: 80%, C: 10%, D: 10% }, fw: { \"1.4.2\": 100% }",
        cohort: "    link: { latency: 40ms, jitter: 30ms, loss: 1% }",
        update: ", flash_rate: 50000, window: 3, reject: 3%, fail: 5%, defer: { share: 10%, for: 5s }",
        campaigns: &[
            &staged,
            "{ campaign: fw-3, where: { fw: \"2.0.0\" }, image: { version: \"3.0.0\", bytes: 20000 }, rollout: at_once }",
        ],
        more: "commands: [ { command: slow-down, payload: \"{}\", timeout: 2s, retries: 3, offline: queue, rate: 50/s } ]\nqueries: [ { query: old, where: { fw: { below: \"2.0.0\" } }, max_age: 10s, timeout: 2s } ]",
        faults: "{ outage: { reset: { where: { share: 50% }, within: 1s } }, at: 8s, for: 3s }, { power_cut: { where: { share: 20% } }, at: 12s, for: 5s }",
        actions: "{ start: fw-2, at: 5s }, { start: fw-3, at: 50s }, { command: slow-down, at: 9s }, { query: old, every: 7s }",
        ..Parts::default()
    };
    let text = parts.text();
    let [first, second] = [(); 2].map(|()| simulate(&text, &[]).ended(0));
    let (found, again) = (files(&first), files(&second));
    for (name, content) in &found {
        assert!(*content == again[name], "{name} differs");
    }
    let objectives = |run: &Run| run.end.report["objectives"].clone();
    assert_eq!(objectives(&first), objectives(&second));
    assert_eq!(
        first.end.report["campaigns"],
        second.end.report["campaigns"]
    );
    assert_eq!(first.end.report["verdict"], second.end.report["verdict"]);

    // It is about something, and about the seed.
    let sheet = first.sheet("results-fw-2.csv");
    for outcome in ["confirmed", "rolled_back", "bricked", "rejected"] {
        assert!(sheet.count("outcome", outcome) > 0, "no {outcome}");
    }
    let other = simulate(&text, &["--seed", "8"]);
    let other = files(&other);
    for name in TABLES {
        assert!(
            found[name] != other[name],
            "{name} does not depend on the seed"
        );
    }
}

//! A campaign that the target is to run, and does not.

use crate::bench::{Parts, simulate};
use crate::program::Bench;
use std::process::Command;

const EXTERNAL: Parts<'_> = Parts {
    devices: 20,
    target: "embedded: { nodes: 2 }",
    fleet: "",
    attributes: "fw: { \"1.4.2\": 100% }",
    cohort: "",
    profile: "{ aws_jobs: { encoding: json } }",
    update: "",
    campaigns: &[
        "{ campaign: fw-2, server: external, image: { version: \"2.0.0\", bytes: 20000 } }",
    ],
    more: "",
    ramp: "power_on: { rate: 200/s }",
    length: "20s",
    faults: "",
    actions: "{ start: fw-2, at: 5s }",
    phases: "",
    slos: &[
        "{ name: done, indicator: ota.completion, of: fw-2, share: 99%, at_most: 10s }",
        "{ name: few fail, indicator: ota.failure_ratio, of: fw-2, at_most: 1% }",
    ],
};

#[test]
fn the_embedded_target_runs_no_campaigns() {
    for word in ["run", "simulate"] {
        let bench = Bench::new(word, &EXTERNAL.text());
        let refused = bench.run(&[]);
        assert_eq!(refused.code, Some(2), "{}", refused.said);
        let sentence = "the embedded target runs no campaigns";
        assert!(refused.said.contains(sentence), "{}", refused.said);
        assert!(!bench.out().exists());
    }
    let bench = Bench::new("check", &EXTERNAL.text());
    let checked = Command::new(env!("CARGO_BIN_EXE_fleetstorm"))
        .arg("check")
        .arg(bench.scenario())
        .output()
        .expect("the program starts");
    assert_eq!(checked.status.code(), Some(2));
}

/// Brokers that are nowhere, with a model that runs no campaigns either: nobody is offered anything, and
/// nothing is said of it that could be taken for a result.
#[test]
fn what_was_never_offered_is_no_data() {
    let brokers = Parts {
        target: "brokers: { urls: [\"mqtt://one.invalid\"], topology: cluster }",
        ..EXTERNAL
    };
    let run = simulate(&brokers.text(), &["--model", "reference"]).ended(5);
    assert_eq!(run.end.report["verdict"], "PREDICTED_NO_DATA");
    for indicator in ["ota.completion", "ota.failure_ratio", "ota.wrong_target"] {
        let objective = run.objective(indicator);
        assert_eq!(objective["verdict"], "PREDICTED_NO_DATA", "{objective}");
        let reason = objective["reason"].as_str().unwrap_or_default();
        assert!(
            reason.contains("no device was offered the image"),
            "{reason}"
        );
    }
    assert_eq!(run.objective("delivery.lost")["verdict"], "PREDICTED_PASS");
    assert_eq!(run.sheet("device-results-fw-2.csv").len(), 0);
    assert!(!run.out().join("results-fw-2.csv").exists());
    let campaign = run.campaign("fw-2");
    assert_eq!(campaign["server"], "external");
    assert_eq!(campaign["targets"], 20);
    let told = campaign["outcomes"].as_array().expect("a list");
    let never = told.iter().find(|told| told["outcome"] == "never_reached");
    assert_eq!(never.expect("each word is told")["count"], 20);
}

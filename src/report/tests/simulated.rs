//! What a simulated run predicts never reads as measured, on any page.

use super::*;
use crate::stats::evidence::Outcome;

type Change = fn(&mut RunData);

fn outcome(run: &mut RunData) -> &mut Outcome {
    run.outcome.as_mut().expect("the fixture has one")
}

/// A change of the run for each verdict.
const VERDICTS: [(Change, RunVerdict, &str); 6] = [
    (|_| {}, RunVerdict::Pass, "PREDICTED_PASS"),
    (
        |run| outcome(run).totals.delivery.lost = 1,
        RunVerdict::Fail,
        "PREDICTED_FAIL",
    ),
    (
        |run| outcome(run).totals.delivery.unverified = 1,
        RunVerdict::Inconclusive,
        "PREDICTED_INCONCLUSIVE",
    ),
    (
        |run| run.plan.objectives.clear(),
        RunVerdict::NoData,
        "PREDICTED_NO_DATA",
    ),
    (
        |run| outcome(run).totals.books[0][0].acked += 1,
        RunVerdict::Invalid,
        "INVALID",
    ),
    (
        |run| run.interrupted = Some((fixture::at_s(100), 2)),
        RunVerdict::Interrupted,
        "INTERRUPTED",
    ),
];

/// Every output, by name.
fn outputs(report: &Report) -> [(&'static str, String); 7] {
    let dir = Path::new("reports/x");
    [
        ("json", json::render(report)),
        ("html", html::render(report)),
        ("junit", junit::render(report)),
        ("markdown", markdown::render(report)),
        ("text", text::render(report, dir, text::Color::Off)),
        ("colored", text::render(report, dir, text::Color::On)),
        ("line", text::summary_line(report)),
    ]
}

/// Verdicts of `page` that do not say that they are predicted, each with what is before it.
fn bare_verdicts(page: &str) -> Vec<String> {
    let words = ["PASS", "FAIL", "INCONCLUSIVE", "NO_DATA", "NO DATA"];
    let found = words.iter().flat_map(|word| page.match_indices(word));
    found
        .filter(|(at, _)| {
            let before = &page[..*at];
            !before.ends_with("PREDICTED ") && !before.ends_with("PREDICTED_")
        })
        .map(|(at, word)| {
            let before: Vec<char> = page[..at].chars().rev().take(40).collect();
            format!("{}{word}", before.iter().rev().collect::<String>())
        })
        .collect()
}

#[test]
fn no_verdict_of_a_simulated_run_stands_alone() {
    for base in [
        fixture::simulated,
        fixture::simulated_failing,
        fixture::simulated_brokers,
        hostile::simulated,
    ] {
        for (change, _, _) in VERDICTS {
            let mut run = base();
            change(&mut run);
            let report = assemble::report(&run);
            for (name, page) in outputs(&report) {
                assert_eq!(bare_verdicts(&page), Vec::<String>::new(), "{name}");
                assert!(name == "json" || page.contains("PREDICTION"), "{name}");
            }
        }
    }
    // The search finds what it looks for.
    let live = assemble::report(&fixture::quickstart());
    for (name, page) in outputs(&live) {
        assert!(!bare_verdicts(&page).is_empty(), "{name}");
        assert!(!page.contains("PREDICT"), "{name}");
    }
}

#[test]
fn the_mode_changes_the_word_and_nothing_of_the_judging() {
    for (change, verdict, key) in VERDICTS {
        let of = |mut run: RunData| {
            change(&mut run);
            assemble::report(&run)
        };
        let (live, simulated) = (of(fixture::quickstart()), of(fixture::simulated()));
        assert_eq!((live.verdict, simulated.verdict), (verdict, verdict));
        assert_eq!(live.exit_code, simulated.exit_code);
        for (measured, predicted) in live.objectives.iter().zip(&simulated.objectives) {
            assert_eq!(measured.verdict, predicted.verdict, "{}", measured.name);
            assert_eq!(measured.value, predicted.value, "{}", measured.name);
            assert_eq!(measured.reason, predicted.reason, "{}", measured.name);
        }
        let value = serde_json::to_value(&simulated).expect("serializable");
        assert_eq!(value["verdict"], key);
        assert_eq!(value["mode"], "simulated");
        assert_eq!(value["run"]["started"], serde_json::Value::Null);
    }
}

#[test]
fn the_stamp_comes_first() {
    for base in [fixture::simulated, fixture::simulated_failing] {
        let report = assemble::report(&base());
        for (name, page) in outputs(&report) {
            let first = page.lines().next().expect("a page has lines");
            match name {
                "markdown" => assert!(first.starts_with("## PREDICTION"), "{first}"),
                "text" | "line" => assert!(first.starts_with("PREDICTION: "), "{first}"),
                "colored" => assert!(first.contains("\x1b[1;36mPREDICTION\x1b[0m: "), "{first}"),
                _ => {}
            }
        }
        let page = html::render(&report);
        assert!(page.contains("<title>PREDICTION · PREDICTED "));
        let (banner, rest) = page.split_once("<h2>Objectives").expect("a heading");
        assert!(banner.contains("<strong>PREDICTION</strong>"));
        assert!(banner.contains("no packet was sent, and this is not a measurement"));
        // No tick but those of the rules of evidence.
        let (objectives, _) = rest.split_once("<h2>The model").expect("a heading");
        assert!(!banner.contains('✓') && !objectives.contains('✓'));
        assert!(!markdown::render(&report).contains('✅'));
        let green = text::render(&report, Path::new("x"), text::Color::On);
        assert!(!green.contains("\x1b[1;32m"));
    }
}

#[test]
fn a_simulated_run_has_no_generator() {
    let mut run = fixture::simulated();
    for row in &mut run.series.generator {
        row.process.cpu_percent = 100.0;
        row.lag_p99_us = Some(9_000_000);
    }
    let report = assemble::report(&run);
    assert_eq!(report.verdict, RunVerdict::Pass, "{:?}", report.reasons);
    assert_eq!(report.warnings, Vec::<String>::new());
    for (name, page) in outputs(&report) {
        let page = page.to_lowercase();
        for word in [
            "lag",
            "cpu",
            "descriptor",
            "worker 0",
            "the generator",
            "process",
            "socket",
            "listen",
            "never started",
        ] {
            assert!(!page.contains(word), "{name}: {word}");
        }
    }
    let names: Vec<&str> = report
        .generator
        .rules
        .iter()
        .map(|rule| rule.name)
        .collect();
    assert_eq!(
        names,
        [
            "Scenario",
            "Outcome",
            "Series",
            "Books",
            "Schedule",
            "Histogram range",
            "Histograms"
        ]
    );
    let value = serde_json::to_value(&report).expect("serializable");
    let generator = value["generator"].as_object().expect("an object");
    assert_eq!(generator.keys().collect::<Vec<_>>(), ["rules"]);
    assert_eq!(value["latency"].get("driver_lag"), None);
}

#[test]
fn a_process_that_was_lost_after_all_is_told() {
    let mut run = fixture::simulated();
    let lost = ("worker 0".to_owned(), fixture::at_s(3), "killed".to_owned());
    run.lost.push(lost);
    let report = assemble::report(&run);
    assert_eq!(report.verdict, RunVerdict::Invalid);
    assert!(report.reason.contains("Worker 0 was lost"));
}

#[test]
fn the_model_is_on_the_page() {
    let page = html::render(&assemble::report(&fixture::simulated()));
    let (_, model) = page.split_once("<h2>The model").expect("a heading");
    let (model, _) = model.split_once("</section>").expect("its end");
    for row in [
        "<dt>Nodes</dt><dd>2</dd>",
        "<dt>Admission</dt><dd>every CONNECT at once</dd>",
        "<dt>Service law</dt><dd>none: a node answers at once</dd>",
        "<dt>Gone clients</dt><dd>passed over at no cost</dd>",
        "<dt>Link of meters</dt><dd>none</dd>",
        "<dt>Passage</dt><dd>100 µs one way between device and node, and the cohort's link</dd>",
        "<dt>Calibration</dt><dd>none",
        "<dt>Seed</dt><dd><code>42</code></dd>",
        "<dt>Virtual length</dt><dd>2 min 20 s of load, 5 s of drain</dd>",
        "<dt>Events handled</dt><dd>1,234,567</dd>",
    ] {
        assert!(model.contains(row), "{row}: {model}");
    }
    let live = html::render(&assemble::report(&fixture::quickstart()));
    assert!(!live.contains("The model"));
}

#[test]
fn the_summaries_of_a_simulated_run() {
    let report = of_this_version(&fixture::simulated_tiny());
    let dir = Path::new("reports/x");
    insta::assert_snapshot!(text::render(&report, dir, text::Color::Off));
    insta::assert_snapshot!(text::summary_line(&report));
    insta::assert_snapshot!(markdown::render(&report));
    insta::assert_snapshot!(junit::render(&report));
    insta::assert_snapshot!(json::render(&report));
}

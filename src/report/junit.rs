//! `junit.xml`: a case per objective and one for the run itself, for the test tab of a CI system.
//! Nothing but a proven PASS is green: what could not be judged, and every objective of a run
//! that proves nothing, is an error. A case of a simulated run says in its name that it is predicted.

use super::value::{Mode, Objective, Report, RunVerdict, Verdict};
use super::words::printable;
use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};

/// Name of the case that stands for the run itself.
const RUN_CASE: &str = "the run proves something";

/// The same for a simulated run.
const SIMULATED_RUN_CASE: &str = "the evidence of the simulation is whole";

/// In front of the suite's and each case's name if the run was simulated: a test tab shows little
/// else of a green case.
const STAMP: &str = "PREDICTION: ";

/// The report as JUnit XML. Control characters become U+FFFD: XML 1.0 has no escape for them.
pub fn render(report: &Report) -> String {
    let mut suite = TestSuite::new(stamped(report, &report.scenario.name));
    let mode = match report.mode {
        Mode::Live => "live",
        Mode::Simulated => "simulated",
    };
    suite.add_property(Property::new("mode", mode));
    for (key, value) in [
        ("seed", &report.scenario.seed),
        ("hash", &report.scenario.hash),
        ("run_id", &report.provenance.run_id),
        ("version", &report.provenance.version),
        ("target", &report.run.target),
    ] {
        suite.add_property(Property::new(key, printable(value)));
    }
    suite.add_property(Property::new("verdict", report.word.key()));
    suite.add_test_case(run_case(report));
    for objective in &report.objectives {
        suite.add_test_case(case(report, objective));
    }
    let mut junit = quick_junit::Report::new("fleetstorm");
    junit.add_test_suite(suite);
    junit.to_string().expect("a String accepts every write")
}

/// The name, printable, and stamped if the run was simulated.
fn stamped(report: &Report, name: &str) -> String {
    let stamp = match report.mode {
        Mode::Live => "",
        Mode::Simulated => STAMP,
    };
    format!("{stamp}{}", printable(name))
}

fn run_case(report: &Report) -> TestCase {
    let status = match report.verdict {
        RunVerdict::Invalid | RunVerdict::Interrupted => {
            let reasons: Vec<String> = report.reasons.iter().map(|r| printable(r)).collect();
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status
                .set_type(report.word.key())
                .set_message(printable(&report.reason))
                .set_description(reasons.join("\n"));
            status
        }
        RunVerdict::Pass | RunVerdict::Fail | RunVerdict::Inconclusive | RunVerdict::NoData => {
            TestCaseStatus::success()
        }
    };
    let name = match report.mode {
        Mode::Live => RUN_CASE,
        Mode::Simulated => SIMULATED_RUN_CASE,
    };
    let mut case = TestCase::new(stamped(report, name), status);
    case.set_classname("run");
    case
}

fn case(report: &Report, objective: &Objective) -> TestCase {
    let proves_nothing = matches!(
        report.verdict,
        RunVerdict::Invalid | RunVerdict::Interrupted
    );
    let (kind, word) = match objective.verdict {
        Verdict::Pass if !proves_nothing => (None, objective.word),
        Verdict::Pass => (Some(NonSuccessKind::Error), report.word),
        Verdict::Fail => (Some(NonSuccessKind::Failure), objective.word),
        Verdict::Inconclusive | Verdict::NoData => (Some(NonSuccessKind::Error), objective.word),
    };
    let came_to = match report.mode {
        Mode::Live => "measured",
        Mode::Simulated => "predicted",
    };
    let status = match kind {
        None => TestCaseStatus::success(),
        Some(kind) => {
            let mut status = TestCaseStatus::non_success(kind);
            status
                .set_type(word.key())
                .set_message(printable(&objective.reason))
                .set_description(format!(
                    "{} {}\ntarget {}, {came_to} {}, n = {}",
                    objective.indicator,
                    printable(&objective.measure()),
                    printable(&objective.target_text),
                    printable(&objective.value_text),
                    objective.events
                ));
            status
        }
    };
    let name = format!("{} ({})", objective.name, objective.window);
    let mut case = TestCase::new(stamped(report, &name), status);
    case.set_classname(objective.indicator);
    case
}

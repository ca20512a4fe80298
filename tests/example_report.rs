//! The committed example is what a run writes today: judged again, it comes to the same page.

use fleetstorm::report;
use std::path::Path;

#[test]
fn the_example_is_fresh() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/example-quickstart");
    let report = report::build(&dir).expect("the example is a whole run directory");
    let written = std::fs::read_to_string(dir.join("report.json")).expect("committed");
    let again = report::json::render(&report);
    assert_eq!(
        again, written,
        "run quickstart again and commit its directory as the example"
    );
    assert_eq!(report.exit_code, 0, "the example passed");
}

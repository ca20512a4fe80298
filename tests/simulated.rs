//! Every shipped scenario runs in virtual time over its full length: a small fleet of it, with exact
//! books. That the full fleet meets its objectives, `.ci/run` demands in release.

use fleetstorm::scenario::file::{self, Overrides, Secrets};
use fleetstorm::scenario::plan::Plan;
use fleetstorm::sim;
use std::path::Path;
use std::sync::Arc;

/// Devices of each scenario here; cohorts keep their shares.
const DEVICES: u32 = 400;

fn small(path: &Path) -> Arc<Plan> {
    let overrides = Overrides {
        devices: Some(DEVICES),
        ..Overrides::default()
    };
    let loaded = file::load(path, &overrides, Secrets::Resolve);
    Arc::new(loaded.unwrap_or_else(|errors| panic!("{errors:?}")).plan)
}

#[test]
fn every_shipped_scenario_runs_to_its_end_and_its_books_balance() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        seen += 1;
        let name = path.display();
        let plan = small(&path);
        let outcome = sim::run(&plan, 1).expect("the target is embedded");
        assert_eq!(outcome.end.since(outcome.start), plan.length(), "{name}");
        assert!(outcome.drain_complete, "{name}");
        let totals = &outcome.totals;
        assert!(totals.schedule_agrees, "{name}");
        for books in totals.books.iter().flatten() {
            assert!(books.balance(), "{name}: {books:?}");
            assert_eq!(books.waiting + books.in_flight, 0, "{name}: {books:?}");
        }
        let delivery = &totals.delivery;
        assert!(delivery.verified_acks > 0, "{name}: {delivery:?}");
        assert_eq!(
            (
                delivery.lost,
                delivery.duplicated,
                delivery.unverified,
                delivery.unresolved
            ),
            (0, 0, 0, 0),
            "{name}"
        );
        for recovery in &totals.recoveries {
            assert_eq!(recovery.affected, recovery.recovered, "{name}");
        }
        let last = outcome.snapshots.last().expect("one per second");
        assert_eq!(last.gauges.connected, u64::from(DEVICES), "{name}");
    }
    assert!(seen >= 3, "{seen}");
}

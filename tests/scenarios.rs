//! The shipped scenarios are valid at every size they promise, and the committed schema is fresh.

use fleetstorm::scenario::file::{self, Overrides, Secrets};
use fleetstorm::scenario::plan::{Plan, Target};
use fleetstorm::scenario::timeline::{self, Action};
use fleetstorm::scenario::{schema, slo};
use std::path::{Path, PathBuf};
use std::time::Duration;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn load(name: &str, overrides: &Overrides) -> Plan {
    match file::load(&folder().join(name), overrides, Secrets::Resolve) {
        Ok(loaded) => loaded.plan,
        Err(errors) => panic!("{errors:?}"),
    }
}

fn scaled(devices: u32) -> Overrides {
    Overrides {
        devices: Some(devices),
        ..Overrides::default()
    }
}

#[test]
fn every_shipped_scenario_is_valid() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).expect("the folder is there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|e| e == "yaml") {
            let name = path
                .file_name()
                .expect("a file")
                .to_string_lossy()
                .into_owned();
            let plan = load(&name, &Overrides::default());
            assert_eq!(format!("{}.yaml", plan.name), name);
            let text = std::fs::read_to_string(&path).expect("readable");
            assert!(
                text.starts_with("# yaml-language-server: $schema=scenario.schema.json\n"),
                "{name} does not name its schema"
            );
            seen += 1;
        }
    }
    assert!(seen >= 3);
}

#[test]
fn quickstart_is_what_it_says() {
    let plan = load("quickstart.yaml", &Overrides::default());
    assert_eq!(plan.devices(), 10_000);
    assert_eq!(plan.target.nodes(), 2);
    assert_eq!(plan.length(), Duration::from_secs(150));
    assert_eq!(plan.faults.len(), 1);
    assert_eq!(plan.faults[0].start, Duration::from_secs(70));
    assert_eq!(plan.faults[0].clear, Duration::from_secs(80));
    assert_eq!(plan.objectives.len(), 6);
    let on_node_0 = (0..10_000).filter(|d| plan.home_node(*d) == 0).count();
    assert_eq!(plan.largest_herd() as usize, on_node_0);
    assert!((4_700..5_300).contains(&on_node_0), "{on_node_0}");
    assert_eq!(
        plan.tightest_latency_limit(),
        Some(Duration::from_millis(250))
    );
    assert_eq!(plan.device_id(7_000), "trackers-0");
    assert!((plan.rate_per_s() - (7_000.0 / 60.0 + 300.0)).abs() < 1e-9);
    assert_eq!(plan.objectives[2].window, slo::Window::After(2));
    let entries = timeline::compile(&plan, |_| true);
    let powered = entries
        .iter()
        .filter(|entry| matches!(entry.action, Action::PowerOn(_)))
        .count();
    assert_eq!(powered, 10_000);
}

#[test]
fn steady_state_scales() {
    for (devices, nodes) in [(1_000, 2), (32_000, 2), (32_001, 3), (1_000_000, 63)] {
        let plan = load("steady-state.yaml", &scaled(devices));
        assert_eq!(plan.devices(), devices);
        assert_eq!(plan.target.nodes(), nodes);
        let Target::Embedded(embedded) = &plan.target else {
            panic!("the target is embedded");
        };
        assert_eq!(embedded.accept_rate_per_s, None);
        let ramp = u64::from(devices.div_ceil(2_000));
        assert_eq!(plan.length(), Duration::from_secs(ramp + 90));
    }
}

#[test]
fn overrides_change_the_hash_and_nothing_else() {
    let plain = load("steady-state.yaml", &Overrides::default());
    let seeded = load(
        "steady-state.yaml",
        &Overrides {
            seed: Some(7),
            ..Overrides::default()
        },
    );
    assert_eq!(seeded.seed, 7);
    assert_ne!(plain.hash, seeded.hash);
    let elsewhere = load(
        "steady-state.yaml",
        &Overrides {
            targets: vec![
                "mqtt://127.0.0.1:1883".into(),
                "mqtt://127.0.0.1:1884".into(),
            ],
            ..Overrides::default()
        },
    );
    assert_eq!(elsewhere.target.nodes(), 2);
    assert!(!elsewhere.target.is_cluster());
    assert_eq!(elsewhere.devices(), plain.devices());
    assert_ne!(plain.hash, elsewhere.hash);
}

#[test]
fn the_committed_schema_is_fresh() {
    let path = folder().join("scenario.schema.json");
    let fresh = schema::json();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &fresh).expect("writable");
    }
    let committed = std::fs::read_to_string(&path).expect("the schema is committed");
    assert!(
        committed == fresh,
        "scenarios/scenario.schema.json is stale: run `UPDATE_SCHEMA=1 cargo test --test scenarios`"
    );
}

//! Whole runs in virtual time, with everything that a simulated run has: devices with sessions,
//! recorder, ledger, observers, a backend. The rate is in events: queue pops that call an actor.

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use fleetstorm::scenario::file::{self, Overrides, Secrets};
use fleetstorm::scenario::plan::Plan;
use fleetstorm::sim::{self, Outcome};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// 10 000 devices that send every 10 s, for two minutes.
fn plan(phases: &str) -> Arc<Plan> {
    let text = format!(
        r#"
name: bench
seed: 42
target: {{ embedded: {{ nodes: 1 }} }}
fleet:
  - cohort: meters
    devices: 10000
    client: {{ keep_alive: 120s, backoff: {{ full_jitter: {{ base: 1s, cap: 30s }} }} }}
    session: {{ clean: false }}
    telemetry:
      - {{ stream: power, topic: "d/{{device}}/power", qos: 1, every: 10s, payload: {{ json: {{ watts: {{ walk: {{ step: 15, min: 0, max: 3000 }} }} }} }} }}
observe: {{ share: 100% }}
phases:
  - {{ name: ramp, power_on: {{ rate: 10000/s }} }}
{phases}
"#
    );
    let (base, overrides) = (Path::new("."), Overrides::default());
    let plan = file::parse("bench.yaml", &text, base, &overrides, Secrets::Ignore);
    Arc::new(plan.unwrap_or_else(|errors| panic!("{errors}")))
}

fn run(plan: &Arc<Plan>) -> Outcome {
    let outcome = sim::run(plan, 1).expect("the target is embedded");
    assert!(outcome.drain_complete && outcome.totals.delivery.lost == 0);
    outcome
}

fn runs(c: &mut Criterion) {
    let mut group = c.benchmark_group("simulate");
    group
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(10))
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10);
    let steady = plan("  - { name: steady, for: 120s }");
    let storm = plan(
        "  - { name: steady, for: 40s }
  - { name: outage, for: 30s, faults: [ { outage: { reset: { where: { share: 50% }, within: 1s } } } ] }
  - { name: recovery, for: 50s }",
    );
    for (name, plan) in [
        ("10 000 devices, steady telemetry", steady),
        ("10 000 devices, an outage and its reconnects", storm),
    ] {
        // The same plan is the same run: every iteration handles so many events.
        group.throughput(Throughput::Elements(run(&plan).events));
        group.bench_function(name, |b| {
            b.iter_with_large_drop(|| run(&plan));
        });
    }
    group.finish();
}

criterion_group!(benches, runs);
criterion_main!(benches);

//! The metastable failure of a reconnect storm, in whole simulated runs. A broker with service rate mu
//! and an unbounded FIFO backlog that works for clients that have given up, N clients that come at
//! once, connect timeout t and mean backoff b: the first mu t succeed, the others come again every
//! t + b, and the state sustains itself if N > N* = mu (2 t + b). The figures to compare with come from
//! an independent model of the same queue, a few lines of Python.

use crate::scenario::fixture;
use crate::scenario::plan::{
    BackoffShape, Embedded, GoneClients, Me, Plan, Service, ServiceTime, Target,
};
use crate::sim::{Outcome, run};
use crate::time::Duration;
use std::sync::Arc;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const HORIZON: Duration = Duration::from_secs(900);

/// b = 10 s, so N* = 30 s x mu.
const FIXED: BackoffShape = BackoffShape::Fixed(Duration::from_secs(10));
/// b = 15 s after some attempts, so N* = 35 s x mu.
const JITTER: BackoffShape = BackoffShape::FullJitter {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(30),
};

/// One worker that takes 1 / mu for a CONNECT.
fn one_worker(mu: u32, queue: u32, gone_clients: GoneClients) -> Embedded {
    let work = Duration::from_secs(1) / mu;
    Embedded {
        nodes: 1,
        accept_rate_per_s: None,
        accept_queue: 0,
        service: Some(Service {
            workers: 1,
            connect: Some(ServiceTime::Fixed(work)),
            publish: None,
            queue,
        }),
        gone_clients,
        me: Me::Shared,
    }
}

/// The same law as a rate of admission.
fn one_rate(mu: u32, queue: u32, gone_clients: GoneClients) -> Embedded {
    Embedded {
        nodes: 1,
        accept_rate_per_s: Some(f64::from(mu)),
        accept_queue: queue,
        service: None,
        gone_clients,
        me: Me::Shared,
    }
}

/// All devices get power within 0.5 s, and have nothing to do but connect.
fn storm(devices: u32, backoff: BackoffShape, target: Embedded) -> Outcome {
    let mut plan: Plan = fixture::plan(devices);
    plan.target = Target::Embedded(target);
    plan.streams.clear();
    plan.observe.devices = 0;
    let cohort = &mut plan.cohorts[0];
    cohort.streams = 0..0;
    cohort.client.connect_timeout = CONNECT_TIMEOUT;
    cohort.client.keep_alive_s = 0;
    cohort.client.backoff.shape = backoff;
    plan.phases.truncate(1);
    plan.phases[0].length = HORIZON;
    if let Some(power_on) = &mut plan.phases[0].power_on {
        power_on.pace = crate::scenario::power::Pace::PerSecond(2.0 * f64::from(devices));
    }
    plan.drain = Duration::ZERO;
    run(&Arc::new(plan), 7).expect("the fixture can be simulated")
}

/// Devices connected after this many seconds.
fn connected(outcome: &Outcome, after_s: usize) -> u64 {
    outcome.snapshots[after_s - 1].gauges.connected
}

/// Seconds until all are connected; `None` = not within the horizon.
fn t100_s(outcome: &Outcome, devices: u32) -> Option<f64> {
    let mut seconds = outcome.snapshots.iter();
    let all = seconds.position(|s| s.gauges.connected == u64::from(devices))?;
    Some(f64::from(u32::try_from(all + 1).expect("at most 900")))
}

fn share(part: u64, of: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    let share = part as f64 / of as f64;
    share
}

fn assert_near(got: f64, model: f64, tolerance: f64, case: &str) {
    let off = got / model - 1.0;
    assert!(
        off.abs() <= tolerance,
        "{case}: {got}, the model has {model} ({off:+.3})"
    );
}

/// The law as a worker and as a rate of admission.
fn laws(mu: u32, queue: u32, gone_clients: GoneClients) -> [Embedded; 2] {
    [
        one_worker(mu, queue, gone_clients),
        one_rate(mu, queue, gone_clients),
    ]
}

const UNBOUNDED: u32 = 100_000;

/// 0.8 N*. Model: T100 is 47.8 s with fixed waits, 216 to 226 s with jitter.
fn recovers_below_n_star(mu: u32) {
    for (backoff, n_star_s, model_s, tolerance) in
        [(FIXED, 30, 47.8, 0.1), (JITTER, 35, 221.0, 0.15)]
    {
        let devices = mu * n_star_s * 8 / 10;
        for law in laws(mu, UNBOUNDED, GoneClients::Serve) {
            let case = format!("{backoff:?}, {law:?}");
            let outcome = storm(devices, backoff, law);
            let t100 = t100_s(&outcome, devices).unwrap_or(f64::INFINITY);
            assert_near(t100, model_s, tolerance, &case);
            assert!(outcome.backend("connects_served_after_client_left") > 0);
        }
    }
}

/// 1.5 N*. Model: after 900 s 22.4 % and 19.2 % are connected. The worker was busy all the time, so
/// that 98.9 % of 900 s x mu jobs were for nothing.
fn is_stuck_beyond_n_star(mu: u32) {
    for (backoff, n_star_s, model) in [(FIXED, 30, 0.2245), (JITTER, 35, 0.1922)] {
        let devices = mu * n_star_s * 15 / 10;
        for law in laws(mu, UNBOUNDED, GoneClients::Serve) {
            let case = format!("{backoff:?}, {law:?}");
            let outcome = storm(devices, backoff, law);
            let [half, end] = [450, 900].map(|s| connected(&outcome, s));
            assert_near(share(end, devices.into()), model, 0.02, &case);
            assert!(
                end - half <= u64::from(devices) / 500,
                "{case}: {half}, {end}"
            );
            let wasted = outcome.backend("connects_served_after_client_left");
            let served = wasted + outcome.backend("connects_accepted");
            assert_near(share(wasted, served), 0.989, 0.002, &case);
            assert_near(share(served, u64::from(mu) * 900), 1.0, 0.01, &case);
        }
    }
}

/// 1.5 N*, with a backlog that the timeout covers, or without work for clients that have left.
/// Model: T100 is 84 s with fixed waits; with jitter 56 to 69 s and 54 s, ideal are 52.5 s.
fn recovers_if_it_sheds_or_skips(mu: u32) {
    for (backoff, n_star_s, shedding_s, skipping_s) in
        [(FIXED, 30, 83.8, 84.2), (JITTER, 35, 62.5, 54.1)]
    {
        let devices = mu * n_star_s * 15 / 10;
        let shedding = laws(mu, 5 * mu, GoneClients::Serve).map(|law| (law, shedding_s));
        let skipping = laws(mu, UNBOUNDED, GoneClients::Skip).map(|law| (law, skipping_s));
        for (law, model_s) in shedding.into_iter().chain(skipping) {
            let case = format!("{backoff:?}, {law:?}");
            let sheds = law.gone_clients == GoneClients::Serve;
            let outcome = storm(devices, backoff, law);
            let t100 = t100_s(&outcome, devices).unwrap_or(f64::INFINITY);
            assert_near(t100, model_s, 0.12, &case);
            // The head of a FIFO queue is near its timeout; a worker that has begun goes on.
            let wasted = outcome.backend("connects_served_after_client_left");
            assert!(wasted <= u64::from(devices) / 5, "{case}: {wasted}");
            assert_eq!(outcome.backend("connects_refused") > 0, sheds, "{case}");
        }
    }
}

/// All times of the model scale with N / mu, so a small fleet shows the same.
#[test]
fn a_small_storm_ends_below_n_star_and_beyond_it_only_by_shedding_or_skipping() {
    recovers_below_n_star(10);
    is_stuck_beyond_n_star(10);
    recovers_if_it_sheds_or_skips(10);
}

#[test]
#[ignore = "150 000 attempts want a release build"]
fn below_n_star_a_storm_ends_by_itself() {
    recovers_below_n_star(100);
}

#[test]
#[ignore = "600 000 attempts want a release build"]
fn beyond_n_star_a_storm_sustains_itself() {
    is_stuck_beyond_n_star(100);
}

#[test]
#[ignore = "250 000 attempts want a release build"]
fn beyond_n_star_a_storm_ends_if_the_server_sheds_or_skips() {
    recovers_if_it_sheds_or_skips(100);
}

//! What stands in for what, and what is known of the model.

use super::*;
use crate::report::fixture;
use crate::scenario::plan::{Delay, Direction, GoneClients, Link, Service, ServiceTime};
use std::time::Duration;

const PASSAGE: (&str, &str) = (
    "passage",
    "100 µs one way between device and node, and the cohort's link",
);

fn facts(run: &RunData) -> Vec<(String, String)> {
    of(run).expect("a simulated run").model
}

#[track_caller]
fn are(facts: &[(String, String)], expected: &[(&str, &str)]) {
    let found: Vec<(&str, &str)> = facts.iter().map(|(n, v)| (&**n, &**v)).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_live_run_predicts_nothing() {
    assert_eq!(of(&fixture::quickstart()), None);
}

#[test]
fn the_reference_backend_is_its_own_model() {
    let mut run = fixture::simulated();
    assert_eq!(target(&run), "reference model of 2 nodes (simulated)");
    let prediction = of(&run).expect("a simulated run");
    assert_eq!(prediction.stands_in_for, Vec::<String>::new());
    assert_eq!(prediction.events, Some(1_234_567));
    assert!(prediction.notice.contains("virtual time"));
    if let Target::Embedded(embedded) = &mut run.plan.target {
        embedded.nodes = 1;
    }
    run.outcome = None;
    assert_eq!(target(&run), "reference model of 1 node (simulated)");
    assert_eq!(of(&run).expect("a simulated run").events, None);
    // What the simulation recorded is what ran.
    let recorded = ("admission".to_owned(), "50 CONNECTs/s".to_owned());
    run.header.model = [recorded.clone()].into();
    let of_admission = facts(&run)
        .into_iter()
        .filter(|(name, _)| name == "admission");
    assert_eq!(of_admission.collect::<Vec<_>>(), [recorded]);
}

#[test]
fn a_model_without_limits_says_so() {
    are(
        &facts(&fixture::simulated()),
        &[
            ("nodes", "2"),
            ("admission", "every CONNECT at once"),
            ("service law", "none: a node answers at once"),
            ("gone clients", "passed over at no cost"),
            ("link of meters", "none"),
            ("link of trackers", "none"),
            PASSAGE,
        ],
    );
}

#[test]
fn all_that_the_plan_says_of_the_model_is_named() {
    let mut run = fixture::simulated();
    if let Target::Embedded(embedded) = &mut run.plan.target {
        embedded.accept_rate_per_s = Some(20_000.0);
        embedded.accept_queue = 5_000;
        embedded.service = Some(Service {
            workers: 8,
            connect: Some(ServiceTime::Exponential(Duration::from_millis(1))),
            publish: Some(ServiceTime::Bimodal {
                fast: Duration::from_micros(50),
                slow: Duration::from_millis(200),
                slow_share: 0.001,
            }),
            queue: 10_000,
        });
        embedded.gone_clients = GoneClients::Serve;
    }
    let way = |ms| Direction {
        delay: Delay::LogNormal {
            median: Duration::from_millis(ms),
            sigma: 0.5,
            cap: Duration::from_secs(300),
        },
        loss: 0.005,
        bandwidth_bps: None,
    };
    let esp_mqtt = sdks::preset("esp-mqtt").expect("it is a preset");
    let paho_c = sdks::preset("paho-c").expect("it is a preset");
    for (cohort, sdk) in run.plan.cohorts.iter_mut().zip([esp_mqtt, paho_c]) {
        cohort.client = sdk.client(cohort.client.client_id.clone());
    }
    run.plan.cohorts[1].link = Some(Link {
        preset: Some("lte-m"),
        up: way(60),
        down: way(90),
    });
    are(
        &facts(&run),
        &[
            ("nodes", "2"),
            (
                "admission",
                "20,000 CONNECTs/s over all nodes, 5,000 may wait on each",
            ),
            (
                "service law",
                "8 workers per node, 10,000 jobs may wait on each; CONNECT exponential, 1 ms on \
                 average, at most 16,000/s in all; PUBLISH 50 µs, or 200 ms for 0.1 %, at most \
                 64,013/s in all",
            ),
            ("gone clients", "served like any other, for nothing"),
            ("link of meters", "none"),
            (
                "link of trackers",
                "lte-m: up 60 ms median, sigma 0.5, at most 300 s, 0.5 % lost; down 90 ms median, \
                 sigma 0.5, at most 300 s, 0.5 % lost",
            ),
            (
                "client of meters",
                "esp-mqtt: CONNACK within 10 s; keep-alive 120 s, PINGREQ after 60 s whatever \
                 passes, PINGRESP within 60 s; 256 in flight; waits 10 s",
            ),
            (
                "client of trackers",
                "paho-c: CONNACK within 30 s; keep-alive 60 s, PINGREQ after 60 s of silence of \
                 either end, PINGRESP within 60 s; 256 in flight; waits 1 s, doubled up to 60 s, a fifth more or less, in whole \
                 seconds; assumed in it: ping_timeout, ping_on",
            ),
            PASSAGE,
        ],
    );
}

#[test]
fn nothing_is_known_about_brokers_it_stood_in_for() {
    let mut run = fixture::simulated_brokers();
    let stand_in = ("stand-in".to_owned(), "the reference backend".to_owned());
    run.header.model.extend([stand_in]);
    assert_eq!(
        target(&run),
        "reference model of 2 nodes (simulated) in place of the brokers 10.0.0.7:1883, [fd00::8]:1884"
    );
    let prediction = of(&run).expect("a simulated run");
    assert_eq!(
        prediction.stands_in_for,
        ["10.0.0.7:1883", "[fd00::8]:1884"]
    );
    assert_eq!(
        prediction.notice,
        "Computed in virtual time with the reference model in place of the named brokers \
         (10.0.0.7:1883, [fd00::8]:1884): no packet was sent, this is not a measurement, and \
         nothing is known about these brokers."
    );
    // Of their law only the simulation's own record tells.
    are(
        &facts(&run),
        &[
            ("nodes", "2"),
            ("link of meters", "none"),
            ("link of trackers", "none"),
            PASSAGE,
            ("stand-in", "the reference backend"),
        ],
    );
    // How many nodes stood in for them the plan does not say.
    run.backends.clear();
    assert!(target(&run).starts_with("reference model (simulated) in place of"));
    assert!(!facts(&run).iter().any(|(name, _)| name == "nodes"));
}

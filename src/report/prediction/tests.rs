//! What stands in for what, and what is known of the model.

use super::*;
use crate::report::fixture;

fn facts(run: &RunData) -> Vec<(String, String)> {
    of(run).expect("a simulated run").model
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
        embedded.accept_rate_per_s = Some(20_000.0);
        embedded.accept_queue = 5_000;
    }
    run.outcome = None;
    assert_eq!(target(&run), "reference model of 1 node (simulated)");
    assert_eq!(of(&run).expect("a simulated run").events, None);
    let admission = "20,000 CONNECTs/s over all nodes, 5,000 may wait on each";
    assert!(facts(&run).contains(&("admission".to_owned(), admission.to_owned())));
    // What the simulation recorded is what ran.
    let recorded = ("admission".to_owned(), "50 CONNECTs/s".to_owned());
    run.header.model = [recorded.clone()].into();
    let of_admission = facts(&run)
        .into_iter()
        .filter(|(name, _)| name == "admission");
    assert_eq!(of_admission.collect::<Vec<_>>(), [recorded]);
}

#[test]
fn nothing_is_known_about_brokers_it_stood_in_for() {
    let mut run = fixture::simulated_brokers();
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
    // How many nodes stood in for them the plan does not say.
    run.backends.clear();
    assert!(target(&run).starts_with("reference model (simulated) in place of"));
    assert!(!facts(&run).iter().any(|(name, _)| name == "nodes"));
}

//! What a simulated run is and the model it rests on, in words: from the plan, and from what the
//! simulation recorded of its own model.

use super::data::RunData;
use super::units;
use super::value::Prediction;
use super::words;
use crate::scenario::plan::{BrokerUrl, Embedded, Target};

/// What the run predicts by; `None` of a live run.
pub(super) fn of(run: &RunData) -> Option<Prediction> {
    if !run.header.mode.is_simulated() {
        return None;
    }
    let stands_in_for = match &run.plan.target {
        Target::Embedded(_) => Vec::new(),
        Target::Brokers(brokers) => brokers.urls.iter().map(address).collect(),
    };
    Some(Prediction {
        notice: notice(&stands_in_for),
        model: model(run),
        stands_in_for,
        events: run.outcome.as_ref().and_then(|outcome| outcome.events),
    })
}

/// What a simulated run had for a target: `reference model of 2 nodes (simulated)`.
pub(super) fn target(run: &RunData) -> String {
    let model = match nodes(run) {
        Some(nodes) => format!(
            "reference model of {} (simulated)",
            units::counted(nodes, "node")
        ),
        None => "reference model (simulated)".to_owned(),
    };
    match &run.plan.target {
        Target::Embedded(_) => model,
        Target::Brokers(brokers) => {
            let named: Vec<String> = brokers.urls.iter().map(address).collect();
            let noun = if named.len() == 1 {
                "broker"
            } else {
                "brokers"
            };
            format!("{model} in place of the {noun} {}", words::listed(&named))
        }
    }
}

fn notice(stands_in_for: &[String]) -> String {
    if stands_in_for.is_empty() {
        return "Computed in virtual time with the reference backend as the model: no packet was \
                sent, and this is not a measurement."
            .to_owned();
    }
    format!(
        "Computed in virtual time with the reference model in place of the named brokers ({}): no \
         packet was sent, this is not a measurement, and nothing is known about these brokers.",
        words::listed(stands_in_for)
    )
}

/// Name and value of each fact, in the order of reading. What the simulation recorded goes before
/// what the plan says.
fn model(run: &RunData) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = Vec::new();
    if let Some(nodes) = nodes(run) {
        facts.push(("nodes".to_owned(), units::count(nodes)));
    }
    match &run.plan.target {
        Target::Embedded(embedded) => facts.push(("admission".to_owned(), admission(embedded))),
        // The plan holds no law of what stood in for them.
        Target::Brokers(_) => {}
    }
    facts.retain(|(name, _)| !run.header.model.contains_key(name));
    let recorded = run.header.model.iter();
    facts.extend(recorded.map(|(name, value)| (name.clone(), value.clone())));
    facts
}

/// Nodes of the model; of a model that stood in for brokers only its own record tells.
fn nodes(run: &RunData) -> Option<u64> {
    match &run.plan.target {
        Target::Embedded(embedded) => Some(u64::from(embedded.nodes)),
        Target::Brokers(_) => Some(run.backends.len() as u64).filter(|&nodes| nodes > 0),
    }
}

fn admission(embedded: &Embedded) -> String {
    let Some(rate) = embedded.accept_rate_per_s else {
        return "every CONNECT at once".to_owned();
    };
    let rate = if rate < 10.0 {
        rate.to_string()
    } else {
        units::count(rate.round() as u64)
    };
    format!(
        "{rate} CONNECTs/s over all nodes, {} may wait on each",
        units::count(u64::from(embedded.accept_queue))
    )
}

fn address(url: &BrokerUrl) -> String {
    if url.host.contains(':') {
        format!("[{}]:{}", url.host, url.port)
    } else {
        format!("{}:{}", url.host, url.port)
    }
}

#[cfg(test)]
mod tests;

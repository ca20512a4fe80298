//! What a simulated run is and the model it rests on, in words: from the plan, and from what the
//! simulation recorded of its own model.

use super::data::RunData;
use super::units;
use super::value::Prediction;
use super::words;
use crate::scenario::plan::{BrokerUrl, Cohort, Embedded, Target};
use crate::scenario::sdks;
use crate::scenario::words::gone_clients;

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
        Target::Embedded(embedded) => facts.extend(law(embedded)),
        // The plan holds no law of what stood in for them: the simulation recorded what it was.
        Target::Brokers(_) => {}
    }
    facts.extend(run.plan.cohorts.iter().map(link));
    facts.extend(run.plan.cohorts.iter().filter_map(client));
    facts.retain(|(name, _)| !run.header.model.contains_key(name));
    let recorded = run.header.model.iter();
    facts.extend(recorded.map(|(name, value)| (name.clone(), value.clone())));
    facts
}

/// What the reference backend takes its time for.
fn law(embedded: &Embedded) -> [(String, String); 3] {
    let or = |law: Option<String>, none: &str| law.unwrap_or_else(|| none.to_owned());
    let admission = units::WORDS.admission(embedded);
    let service = units::WORDS.service(embedded);
    let gone_clients = gone_clients(embedded.gone_clients).to_owned();
    [
        (
            "admission".to_owned(),
            or(admission, "every CONNECT at once"),
        ),
        (
            "service law".to_owned(),
            or(service, "none: a node answers at once"),
        ),
        ("gone clients".to_owned(), gone_clients),
    ]
}

/// What the packets of a cohort's devices pass.
fn link(cohort: &Cohort) -> (String, String) {
    let link = cohort.link.as_ref();
    let text = link.map_or_else(|| "none".to_owned(), |link| units::WORDS.link(link));
    (format!("link of {}", cohort.name), text)
}

/// What an SDK preset stands for, and what of it is assumed.
fn client(cohort: &Cohort) -> Option<(String, String)> {
    let preset = cohort.client.preset.and_then(sdks::preset)?;
    let mut text = units::WORDS.client(&cohort.client);
    if !preset.assumed.is_empty() {
        text = format!("{text}; assumed in it: {}", preset.assumed);
    }
    Some((format!("client of {}", cohort.name), text))
}

/// Nodes of the model; of a model that stood in for brokers only its own record tells.
fn nodes(run: &RunData) -> Option<u64> {
    match &run.plan.target {
        Target::Embedded(embedded) => Some(u64::from(embedded.nodes)),
        Target::Brokers(_) => Some(run.backends.len() as u64).filter(|&nodes| nodes > 0),
    }
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

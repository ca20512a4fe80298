//! What a simulated run is, as the report tells it.

use serde::{Serialize, Serializer};

/// What makes a simulated run a prediction, and the model it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prediction {
    /// What the report is, in one sentence.
    pub notice: String,
    /// Facts of the model and their values in words: `nodes`, `admission`, `service law` and
    /// `gone clients` (of the scenario's own reference backend), `link of <cohort>` for each cohort,
    /// and what the simulation recorded (`passage`, and `stand-in` where it stood in for brokers).
    #[serde(serialize_with = "object")]
    pub model: Vec<(String, String)>,
    /// Addresses of the scenario's brokers that the model stood in for; empty if the scenario's
    /// target is the reference backend itself.
    pub stands_in_for: Vec<String>,
    /// Events handled; `None` if the run did not come to its end.
    pub events: Option<u64>,
}

fn object<S: Serializer>(facts: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(facts.iter().map(|(name, value)| (name, value)))
}

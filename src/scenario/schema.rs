//! The JSON Schema of the scenario file, from the mirror's types and doc comments, for editors.

use super::mirror::File;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// The schema as pretty JSON with a final newline, as committed in
/// `scenarios/scenario.schema.json`.
pub fn json() -> String {
    let schema = SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<File>();
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
    text.push('\n');
    text
}

/// A word alone means all its settings at their defaults, so `aligned` stands beside
/// `aligned: { … }` wherever a variant's settings are a mapping.
pub(super) fn bare_words(schema: &mut Schema) {
    let Some(choices) = schema.get_mut("oneOf").and_then(Value::as_array_mut) else {
        return;
    };
    let words: Vec<Value> = choices
        .iter()
        .filter_map(|choice| choice.get("required")?.get(0).cloned())
        .filter(|word| !NEEDS_SETTINGS.contains(&word.as_str().unwrap_or_default()))
        .collect();
    choices.extend(words.into_iter().map(|word| json!({ "const": word })));
}

/// Words that have no defaults for all settings.
const NEEDS_SETTINGS: [&str; 2] = ["ack_delay", "drop_ack"];

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
    let mut schema = schema.to_value();
    without_null(&mut schema);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
    text.push('\n');
    text
}

/// Whoever leaves a key away leaves it away: `null` in each optional value's schema would only
/// make an editor's messages and completions worse.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let only = map.get_mut("anyOf").and_then(Value::as_array_mut);
            if let Some(choices) = only {
                choices.retain(|choice| *choice != json!({ "type": "null" }));
                if let [Value::Object(one)] = choices.as_slice() {
                    let one = one.clone();
                    map.remove("anyOf");
                    map.extend(one);
                }
            }
            if let Some(Value::Array(types)) = map.get("type")
                && let [one, Value::String(null)] = types.as_slice()
                && null == "null"
            {
                let one = one.clone();
                map.insert("type".into(), one);
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
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
const NEEDS_SETTINGS: [&str; 4] = ["ack_delay", "drop_ack", "lose", "fixed"];

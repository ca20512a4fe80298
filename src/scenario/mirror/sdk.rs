//! The `preset` of a cohort's `client`: a name, whose list is part of the schema.

use crate::scenario::sdks;
use schemars::JsonSchema;

/// Name of an SDK preset.
#[derive(Clone, Debug, serde::Deserialize)]
pub(in crate::scenario) struct SdkName(pub(in crate::scenario) String);

impl JsonSchema for SdkName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SdkPreset".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = sdks::names().collect();
        schemars::json_schema!({
            "description": "What the client of a known SDK does.",
            "enum": names,
        })
    }
}

//! The values of an attribute: shares, or an even split within another attribute.

use crate::scenario::located::{At, Pairs};
use crate::scenario::quantity::Share;
use schemars::JsonSchema;

/// Words of an even split: no value of an attribute with shares can be called so.
pub(in crate::scenario) const WITHIN: &str = "within";
/// See [`WITHIN`].
pub(in crate::scenario) const EACH: &str = "each";

/// `{ north: 50%, south: 50% }`, or `{ within: region, each: 4 }`; the keys tell the two apart.
#[derive(Debug, serde::Deserialize)]
pub(in crate::scenario) struct Values(pub(in crate::scenario) Pairs<At<String>>);

impl Values {
    /// Whether it is an even split.
    pub(in crate::scenario) fn is_split(&self) -> bool {
        let mut keys = self.0.0.iter().map(|(key, _)| key.value.as_str());
        keys.any(|key| key == WITHIN || key == EACH)
    }
}

impl JsonSchema for Values {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AttributeValues".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let share = generator.subschema_for::<Share>();
        schemars::json_schema!({
            "description": "Values with their exact shares, or an even split of each value of another attribute, named such as north/1.",
            "type": "object",
            "properties": {
                "within": { "type": "string", "description": "The attribute whose values are split." },
                "each": {
                    "type": "integer", "minimum": 1, "maximum": 100_000,
                    "description": "Into how many parts each of its values is split.",
                },
            },
            "additionalProperties": share,
        })
    }
}

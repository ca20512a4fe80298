//! The values of an attribute: shares, or an even split within another attribute; and those that a
//! `where` wants.

use crate::scenario::located::{At, Pairs};
use crate::scenario::quantity::Share;
use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer, EnumAccess, VariantAccess as _, Visitor};
use std::fmt;

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

/// What a `where` wants of a key: a value, or of an attribute's `{ any: 2 }`, `{ any_of: [a, b] }` or
/// `{ below: "2.0.0" }`.
#[derive(Clone, Debug)]
pub(in crate::scenario) enum Wanted {
    /// This one.
    Value(String),
    /// So many, drawn by the seed.
    Any(At<u32>),
    /// One of these.
    AnyOf(At<Vec<At<String>>>),
    /// One that is lower, in the order of dotted numbers.
    Below(At<String>),
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WantedVisitor;
        impl<'de> Visitor<'de> for WantedVisitor {
            type Value = Wanted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value, or a mapping such as `{ any: 2 }`")
            }

            fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Wanted, A::Error> {
                let (word, access) = data.variant::<String>()?;
                match word.as_str() {
                    ANY => access.newtype_variant().map(Wanted::Any),
                    ANY_OF => access.newtype_variant().map(Wanted::AnyOf),
                    BELOW => access.newtype_variant().map(Wanted::Below),
                    _ => match access.unit_variant() {
                        Ok(()) => Ok(Wanted::Value(word)),
                        Err(_) => Err(de::Error::unknown_variant(&word, WORDS)),
                    },
                }
            }
        }
        // Read as an enumeration, so that a value such as 1.10 stays the text that it is.
        deserializer.deserialize_enum("Wanted", WORDS, WantedVisitor)
    }
}

impl JsonSchema for Wanted {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Wanted".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A value of an attribute; so many of its values, drawn by the seed; one of several; or one below a version.",
            "oneOf": [
                { "type": ["string", "number", "boolean"] },
                {
                    "type": "object",
                    "properties": { "any": { "type": "integer", "minimum": 1, "maximum": 1_000 } },
                    "required": ["any"],
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "properties": { "any_of": { "type": "array", "items": { "type": "string" }, "minItems": 1 } },
                    "required": ["any_of"],
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "properties": { "below": { "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)*$" } },
                    "required": ["below"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// The word of a draw among values: none can be called so.
const ANY: &str = "any";
/// The word before a list of values: none can be called so.
const ANY_OF: &str = "any_of";
/// The word before a version: none can be called so.
const BELOW: &str = "below";
/// All of these.
const WORDS: &[&str] = &[ANY, ANY_OF, BELOW];

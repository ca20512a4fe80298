//! The length of a fault: a duration, or a mapping of what it is drawn from. Its shape tells the two
//! apart, so it is read by hand and each error keeps its place.

use crate::scenario::decode_error::with_help;
use crate::scenario::durations::PRESETS;
use crate::scenario::located::At;
use crate::scenario::quantity::{Number, Time, parse_time};
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use std::fmt;

/// How long a fault lasts.
#[derive(Debug)]
pub(in crate::scenario) enum Length {
    /// So long.
    Fixed(Time),
    /// Drawn once.
    Drawn(Box<Drawn>),
}

/// A length drawn once per fault by the seed: `lognormal`, `pareto` or `preset`.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DrawnLength")]
pub(in crate::scenario) struct Drawn {
    /// A lognormal draw.
    pub(in crate::scenario) lognormal: Option<At<LogNormal>>,
    /// A Pareto draw.
    pub(in crate::scenario) pareto: Option<At<Pareto>>,
    /// An outage of a known kind; `fleetstorm presets` lists them.
    #[schemars(with = "Option<OutagePreset>")]
    pub(in crate::scenario) preset: Option<At<String>>,
    /// A longer draw is cut to this; it must fit into the phase.
    pub(in crate::scenario) at_most: At<Time>,
}

/// A lognormal law.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct LogNormal {
    /// Half of the draws are longer.
    pub(in crate::scenario) median: At<Time>,
    /// Spread, 0 to 3.
    pub(in crate::scenario) sigma: At<Number>,
}

/// A Pareto law.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Pareto {
    /// No draw is shorter.
    pub(in crate::scenario) min: At<Time>,
    /// Shape, 0.1 to 100: the smaller, the heavier the tail.
    pub(in crate::scenario) alpha: At<Number>,
}

/// Only for the schema.
struct OutagePreset;

impl JsonSchema for OutagePreset {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OutagePreset".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names = PRESETS.map(|preset| preset.name);
        schemars::json_schema!({
            "description": "An outage of a known kind.",
            "enum": names,
        })
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LengthVisitor;
        impl<'de> Visitor<'de> for LengthVisitor {
            type Value = Length;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as `60s`, or a mapping such as `{ preset: power-us, at_most: 8h }`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Length, E> {
                let time = parse_time(text).map(Time);
                time.map(Length::Fixed)
                    .map_err(|(message, help)| E::custom(with_help(message, help)))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Length, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Length, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Length, A::Error> {
                Drawn::deserialize(MapAccessDeserializer::new(map))
                    .map(|drawn| Length::Drawn(Box::new(drawn)))
            }
        }
        deserializer.deserialize_any(LengthVisitor)
    }
}

impl JsonSchema for Length {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FaultLength".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let fixed = generator.subschema_for::<Time>();
        let drawn = generator.subschema_for::<Drawn>();
        schemars::json_schema!({
            "description": "How long a fault lasts: a duration, or a draw.",
            "oneOf": [fixed, drawn],
        })
    }
}

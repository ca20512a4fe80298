//! The `link` of a cohort: a preset's name, or a mapping of settings. Its shape tells the two apart,
//! so it is read by hand and each error keeps its place.

use crate::scenario::decode_error::with_help;
use crate::scenario::links;
use crate::scenario::located::At;
use crate::scenario::quantity::{Bandwidth, Number, Share, Time};
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The access link of a device.
#[derive(Debug)]
pub(in crate::scenario) enum Link {
    /// A preset as it is.
    Preset(String),
    /// Settings, or a preset with changes.
    Settings(Box<LinkSettings>),
}

/// Settings of a link. They hold for each direction, so a round trip takes twice the latency.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LinkSettings")]
pub(in crate::scenario) struct LinkSettings {
    /// Preset whose settings hold where none are given here.
    pub(in crate::scenario) preset: Option<At<PresetName>>,
    /// One-way delay: the median with `sigma`, else the shortest; 0s if absent.
    pub(in crate::scenario) latency: Option<At<Time>>,
    /// Each packet takes longer by a uniform draw below this; or write `sigma`.
    pub(in crate::scenario) jitter: Option<At<Time>>,
    /// Lognormal spread around `latency`, 0 to 3; or write `jitter`.
    pub(in crate::scenario) sigma: Option<At<Number>>,
    /// Longest one-way delay with `sigma`, at most 5min; 5min if absent.
    pub(in crate::scenario) cap: Option<At<Time>>,
    /// Share of packets lost, at most 50%; each costs a retransmission after 1s, 2s, 4s, …
    pub(in crate::scenario) loss: Option<At<Share>>,
    /// Bandwidth from the target to the device; no limit if absent.
    pub(in crate::scenario) down: Option<At<Bandwidth>>,
    /// Bandwidth from the device to the target; no limit if absent.
    pub(in crate::scenario) up: Option<At<Bandwidth>>,
}

/// Name of a preset.
#[derive(Clone, Debug, serde::Deserialize)]
pub(in crate::scenario) struct PresetName(pub(in crate::scenario) String);

impl JsonSchema for PresetName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LinkPreset".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = links::names().collect();
        schemars::json_schema!({
            "description": "A link of a known kind.",
            "enum": names,
        })
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LinkVisitor;
        impl<'de> Visitor<'de> for LinkVisitor {
            type Value = Link;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a preset such as `lte-m`, or a mapping such as `{ latency: 60ms }`")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Link, E> {
                Ok(Link::Preset(name.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Link, A::Error> {
                Err(A::Error::custom(with_help(
                    "a device has one link, not a list of links",
                    "write one preset, such as `link: lte-m`",
                )))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Link, A::Error> {
                LinkSettings::deserialize(MapAccessDeserializer::new(map))
                    .map(|settings| Link::Settings(Box::new(settings)))
            }
        }
        deserializer.deserialize_any(LinkVisitor)
    }
}

impl JsonSchema for Link {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Link".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let preset = generator.subschema_for::<PresetName>();
        let settings = generator.subschema_for::<LinkSettings>();
        schemars::json_schema!({
            "description": "The access link of a device: a preset, or settings.",
            "oneOf": [preset, settings],
        })
    }
}

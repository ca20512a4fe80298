//! Reported state: `{"at":61000,"fw":"1.4.2","region":"north"}`. `at` is when the device wrote it, in
//! milliseconds since T0; all other members are attributes, the firmware first. A form of our own.

use super::{BadMessage, json};
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// The member that no attribute can be named after.
pub const AT: &str = "at";

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report<'a> {
    /// When, in milliseconds since T0.
    pub at_ms: u64,
    /// Names and values, in the order in which they are written. Members that are no texts are left when
    /// read.
    pub attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Report<'a> {
    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        let of_name = |(known, _): &&(Cow<'_, str>, Cow<'_, str>)| known == name;
        let (_, value) = self.attributes.iter().find(of_name)?;
        Some(value)
    }

    /// Its payload.
    pub fn write(&self) -> Vec<u8> {
        json::write(self)
    }

    /// Reads a report.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(payload: &'a [u8]) -> Result<Self, BadMessage> {
        json::read(payload)
    }
}

impl Serialize for Report<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.attributes.len() + 1))?;
        map.serialize_entry(AT, &self.at_ms)?;
        for (name, value) in &self.attributes {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Report<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReportVisitor)
    }
}

struct ReportVisitor;

impl<'de> Visitor<'de> for ReportVisitor {
    type Value = Report<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map with `at`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut at_ms = None;
        let mut attributes = Vec::new();
        while let Some(json::Text(name)) = map.next_key()? {
            if name == AT {
                if at_ms.replace(map.next_value()?).is_some() {
                    return Err(A::Error::duplicate_field(AT));
                }
                continue;
            }
            if let TextOrElse(Some(value)) = map.next_value()? {
                attributes.push((name, value));
            }
        }
        let at_ms = at_ms.ok_or_else(|| A::Error::missing_field(AT))?;
        Ok(Report { at_ms, attributes })
    }
}

/// A text, or anything else, which is passed over.
struct TextOrElse<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for TextOrElse<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrElseVisitor)
    }
}

struct TextOrElseVisitor;

impl<'de> Visitor<'de> for TextOrElseVisitor {
    type Value = TextOrElse<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(TextOrElse(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(TextOrElse(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(TextOrElse(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(TextOrElse(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(TextOrElse(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(TextOrElse(None))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(TextOrElse(None))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while let Some(IgnoredAny) = seq.next_element()? {}
        Ok(TextOrElse(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while let Some((IgnoredAny, IgnoredAny)) = map.next_entry()? {}
        Ok(TextOrElse(None))
    }
}

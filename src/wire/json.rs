//! JSON for the profiles: what serde_json says is sorted into [`BadMessage`], and members that real
//! agents write in two ways are read in both.

use super::BadMessage;
use serde::de::{Deserializer, Error, IgnoredAny, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Reads a JSON document; members that `T` does not know are left.
pub(super) fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, BadMessage> {
    serde_json::from_slice(payload).map_err(|_| {
        // What serde_json calls an error of syntax may be a number where a word should be: whether it is
        // JSON at all is told by reading it as anything.
        let text = std::str::from_utf8(payload).ok();
        match text.map(serde_json::from_str::<IgnoredAny>) {
            Some(Ok(IgnoredAny)) => BadMessage::Form,
            Some(Err(_)) | None => BadMessage::Json,
        }
    })
}

/// Writes a JSON document without spaces.
pub(super) fn write<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("messages have text keys and parts that can be written")
}

/// Writes a text as JSON, quotes included.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text can be written")
}

/// An optional number that some agents write as text: AWS's API says `"expectedVersion": "number"`.
pub(super) fn number_or_text<'de, D>(deserializer: D) -> Result<Option<u64>, D::Error>
where
    D: Deserializer<'de>,
{
    struct NumberOrText;

    impl Visitor<'_> for NumberOrText {
        type Value = Option<u64>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a whole number, or one as text")
        }

        fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
            Ok(Some(value))
        }

        fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
            let number = value.parse().map_err(|_| E::custom("not a number"))?;
            Ok(Some(number))
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    deserializer.deserialize_any(NumberOrText)
}

/// A text that borrows where it can, also as key of a map; `Cow` alone never borrows there.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) std::borrow::Cow<'a, str>);

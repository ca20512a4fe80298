//! A serde deserializer over the positioned tree: the mirror's derived code reads it, and every
//! error knows its place.

use super::decode_error::DecodeError;
use super::located::AT;
use super::tree::{Key, Kind, Node, Span};
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

/// Reads a scalar's text with `parse` and hands it to `visit`.
macro_rules! scalar {
    ($method:ident, $visit:ident, $type:ty, $what:literal, $help:literal) => {
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            let result = match &self.kind {
                Kind::Scalar { text, .. } => match text.parse::<$type>() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => Err(DecodeError::new(
                        format!(concat!("expected ", $what, ", found `{}`"), text),
                        Some($help.into()),
                    )),
                },
                Kind::Null | Kind::Seq(_) | Kind::Map(_) => {
                    Err(de::Error::invalid_type(self.unexpected(), &$what))
                }
            };
            result.map_err(|e| e.at(self.head(), self.span))
        }
    };
}

impl Node {
    fn unexpected(&self) -> de::Unexpected<'_> {
        match &self.kind {
            Kind::Null => de::Unexpected::Unit,
            Kind::Scalar { text, .. } => de::Unexpected::Str(text),
            Kind::Seq(_) => de::Unexpected::Seq,
            Kind::Map(_) => de::Unexpected::Map,
        }
    }
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.kind {
            Kind::Null => visitor.visit_unit(),
            Kind::Scalar { text, plain: false } => visitor.visit_borrowed_str(text),
            Kind::Scalar { text, plain: true } => match text.as_str() {
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                text => match (text.parse::<i64>(), text.parse::<f64>()) {
                    (Ok(whole), _) => visitor.visit_i64(whole),
                    (Err(_), Ok(real)) if real.is_finite() => visitor.visit_f64(real),
                    (Err(_), _) => visitor.visit_borrowed_str(text),
                },
            },
            Kind::Seq(items) => visitor.visit_seq(Items(items.iter())),
            Kind::Map(entries) => visitor.visit_map(Entries::new(entries)),
        }
        .map_err(|e: DecodeError| e.at(self.head(), self.span))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.kind {
            Kind::Scalar { text, .. } => visitor.visit_borrowed_str(text),
            Kind::Null | Kind::Seq(_) | Kind::Map(_) => {
                Err(de::Error::invalid_type(self.unexpected(), &visitor))
            }
        }
        .map_err(|e: DecodeError| e.at(self.head(), self.span))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    scalar!(
        deserialize_bool,
        visit_bool,
        bool,
        "true or false",
        "write `true` or `false`"
    );
    scalar!(
        deserialize_u16,
        visit_u16,
        u16,
        "a whole number from 0 to 65535",
        "write digits only, such as 10"
    );
    scalar!(
        deserialize_u32,
        visit_u32,
        u32,
        "a whole number from 0 to 4294967295",
        "write digits only, such as 1000"
    );
    scalar!(
        deserialize_u64,
        visit_u64,
        u64,
        "a whole number from 0 to 18446744073709551615",
        "write digits only, such as 42"
    );
    scalar!(
        deserialize_f64,
        visit_f64,
        f64,
        "a number",
        "write for example 1.5"
    );

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.kind {
            Kind::Null => visitor.visit_none(),
            Kind::Scalar { .. } | Kind::Seq(_) | Kind::Map(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.kind {
            Kind::Seq(items) => visitor.visit_seq(Items(items.iter())),
            Kind::Null => visitor.visit_seq(Items([].iter())),
            Kind::Scalar { text, .. } => Err(DecodeError::new(
                format!("expected a list, found `{text}`"),
                Some(format!("write `[{text}]`")),
            )),
            Kind::Map(_) => Err(DecodeError::new(
                "expected a list, found a mapping".into(),
                Some("start each item with `- `".into()),
            )),
        }
        .map_err(|e: DecodeError| e.at(self.head(), self.span))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.kind {
            Kind::Map(entries) => visitor.visit_map(Entries::new(entries)),
            Kind::Null => visitor.visit_map(Entries::new(&[])),
            Kind::Scalar { .. } | Kind::Seq(_) => {
                Err(de::Error::invalid_type(self.unexpected(), &visitor))
            }
        }
        .map_err(|e: DecodeError| e.at(self.head(), self.span))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.kind {
            Kind::Map(_) | Kind::Null => self.deserialize_map(visitor),
            Kind::Scalar { .. } | Kind::Seq(_) => {
                let mut error: DecodeError =
                    de::Error::invalid_type(self.unexpected(), &"a mapping");
                error.help = Some(format!("its keys are: {}", fields.join(", ")));
                Err(error.at(self.head(), self.span))
            }
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name == AT {
            return visitor.visit_seq(Placed {
                node: self,
                next: 0,
            });
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let (word, span, value) = match &self.kind {
            Kind::Scalar { text, .. } => (text, self.span, None),
            Kind::Map(entries) if entries.len() == 1 => {
                (&entries[0].0.text, entries[0].0.span, Some(&entries[0].1))
            }
            Kind::Null | Kind::Seq(_) | Kind::Map(_) => {
                let mut error = DecodeError::new(
                    format!("expected one of: {}", variants.join(", ")),
                    Some("write one word, or one `word: { … }`".into()),
                );
                error.missing = matches!(&self.kind, Kind::Map(entries) if entries.is_empty());
                return Err(error.at(self.head(), self.span));
            }
        };
        let choice = Choice {
            word,
            span,
            value,
            node: self,
        };
        visitor
            .visit_enum(choice)
            .map_err(|e| e.at(self.head(), self.span))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u128 f32 char bytes byte_buf unit unit_struct tuple identifier
    }
}

/// Reads a value; an error that its type raised itself gets the value's place.
fn read<'de, S: DeserializeSeed<'de>>(node: &'de Node, seed: S) -> Result<S::Value, DecodeError> {
    seed.deserialize(node)
        .map_err(|e| e.at(node.head(), node.span))
}

/// Elements of a list.
struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        self.0.next().map(|node| read(node, seed)).transpose()
    }
}

/// Entries of a mapping.
struct Entries<'de> {
    rest: std::slice::Iter<'de, (Key, Node)>,
    value: Option<&'de Node>,
}

impl<'de> Entries<'de> {
    fn new(entries: &'de [(Key, Node)]) -> Self {
        Self {
            rest: entries.iter(),
            value: None,
        }
    }
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = DecodeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let Some((key, value)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(KeyText(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        let node = self.value.take().expect("serde asks for a key first");
        read(node, seed)
    }
}

/// A key, as text or as text with its place.
struct KeyText<'de>(&'de Key);

impl<'de> de::Deserializer<'de> for KeyText<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor
            .visit_borrowed_str(&self.0.text)
            .map_err(|e: DecodeError| e.at(self.0.span, self.0.span))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_seq(KeyParts {
            key: self.0,
            next: 0,
        })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple map struct enum identifier ignored_any
    }
}

/// A key as the three parts of an [`At`].
struct KeyParts<'de> {
    key: &'de Key,
    next: usize,
}

impl<'de> de::SeqAccess<'de> for KeyParts<'de> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let part = self.next;
        self.next += 1;
        let Span { start, end } = self.key.span;
        match part {
            0 => seed.deserialize(start.into_deserializer()).map(Some),
            1 => seed.deserialize(end.into_deserializer()).map(Some),
            2 => seed.deserialize(KeyText(self.key)).map(Some),
            _ => Ok(None),
        }
    }
}

/// A node as the three parts of an [`At`].
struct Placed<'de> {
    node: &'de Node,
    next: usize,
}

impl<'de> de::SeqAccess<'de> for Placed<'de> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let part = self.next;
        self.next += 1;
        let Span { start, end } = self.node.span;
        match part {
            0 => seed.deserialize(start.into_deserializer()).map(Some),
            1 => seed.deserialize(end.into_deserializer()).map(Some),
            2 => read(self.node, seed).map(Some),
            _ => Ok(None),
        }
    }
}

/// One chosen word of an enum with what stands behind it.
struct Choice<'de> {
    word: &'de str,
    span: Span,
    value: Option<&'de Node>,
    node: &'de Node,
}

/// A word alone: all its settings are at their defaults.
struct Bare<'de>(&'de str);

impl<'de> de::Deserializer<'de> for Bare<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, DecodeError> {
        let word = self.0;
        Err(DecodeError::new(
            format!("`{word}` needs a value"),
            Some(format!("write `{{ {word}: … }}`")),
        ))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_map(Entries::new(&[]))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de> de::EnumAccess<'de> for Choice<'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self), DecodeError> {
        let word: de::value::StrDeserializer<'_, DecodeError> = self.word.into_deserializer();
        let word = seed
            .deserialize(word)
            .map_err(|e| e.at(self.span, self.node.span))?;
        Ok((word, self))
    }
}

impl<'de> de::VariantAccess<'de> for Choice<'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        match self.value.map(|value| &value.kind) {
            None | Some(Kind::Null) => Ok(()),
            Some(Kind::Scalar { .. } | Kind::Seq(_) | Kind::Map(_)) => Err(DecodeError::new(
                format!("`{}` takes no settings", self.word),
                Some(format!("write `{}` alone", self.word)),
            )
            .at(self.span, self.node.span)),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        match self.value {
            Some(value) => read(value, seed),
            None => seed
                .deserialize(Bare(self.word))
                .map_err(|e| e.at(self.span, self.node.span)),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        _len: usize,
        _visitor: V,
    ) -> Result<V::Value, DecodeError> {
        Err(DecodeError::new("unsupported shape".into(), None))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, DecodeError> {
        Err(DecodeError::new("unsupported shape".into(), None))
    }
}

//! Why a node of the file is not what the mirror wants, in words for people.

use super::errors::nearest_help;
use super::later;
use super::tree::Span;
use serde::de;
use std::fmt;

/// Why a node is not what the mirror wants.
#[derive(Debug)]
pub(super) struct DecodeError {
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// What the error points at.
    pub(super) label: Option<Span>,
    /// The node or key to cut out.
    pub(super) prune: Option<Span>,
    /// A key is missing (rather than wrong).
    pub(super) missing: bool,
}

/// Stands between message and help in the text of a custom serde error.
const HELP_MARK: char = '\u{1f}';

/// Text for `serde::de::Error::custom` that carries a help line.
pub(super) fn with_help(message: impl fmt::Display, help: impl fmt::Display) -> String {
    format!("{message}{HELP_MARK}{help}")
}

impl DecodeError {
    pub(super) fn new(message: String, help: Option<String>) -> Self {
        Self {
            message,
            help,
            label: None,
            prune: None,
            missing: false,
        }
    }

    pub(super) fn at(mut self, label: Span, prune: Span) -> Self {
        self.label.get_or_insert(label);
        self.prune.get_or_insert(prune);
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        let text = text.to_string();
        match text.split_once(HELP_MARK) {
            Some((message, help)) => Self::new(message.into(), Some(help.into())),
            None => Self::new(text, None),
        }
    }

    fn invalid_type(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match unexpected {
            de::Unexpected::Unit => "nothing".to_owned(),
            de::Unexpected::Str(text) => format!("`{text}`"),
            de::Unexpected::Seq => "a list".to_owned(),
            de::Unexpected::Map => "a mapping".to_owned(),
            de::Unexpected::Bool(_)
            | de::Unexpected::Unsigned(_)
            | de::Unexpected::Signed(_)
            | de::Unexpected::Float(_)
            | de::Unexpected::Char(_)
            | de::Unexpected::Bytes(_)
            | de::Unexpected::Option
            | de::Unexpected::NewtypeStruct
            | de::Unexpected::Enum
            | de::Unexpected::UnitVariant
            | de::Unexpected::NewtypeVariant
            | de::Unexpected::TupleVariant
            | de::Unexpected::StructVariant
            | de::Unexpected::Other(_) => unexpected.to_string(),
        };
        Self::new(format!("expected {expected}, found {found}"), None)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        unknown("key", field, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        unknown("word", variant, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            missing: true,
            ..Self::new(
                format!("`{field}` is missing here"),
                Some(format!("add `{field}: …`")),
            )
        }
    }
}

fn unknown(what: &str, word: &str, expected: &'static [&'static str]) -> DecodeError {
    if let Some(sentence) = later::sentence(word, expected) {
        return DecodeError::new(
            format!("`{word}` is not supported yet"),
            Some(sentence.into()),
        );
    }
    DecodeError::new(
        format!("unknown {what} `{word}`"),
        Some(nearest_help(word, expected.iter().copied())),
    )
}

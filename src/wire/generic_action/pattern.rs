//! Payloads with named places: filled when written, and found again when read by the text between
//! them.

use std::borrow::Cow;

/// A payload with named places, such as `{"id":"{action_id}","state":"{state}"}`.
///
/// A place is a word of small letters, digits and `_` in braces; all other braces stand for themselves.
/// Values are escaped as JSON strings where a place lies in one: once in a string, twice in a string
/// within a string (JSON in a text, as uplink has it).
///
/// Reading goes by the text between the places, byte by byte: a backend that puts spaces or another
/// order of members needs a pattern with these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What stands in front of the first place.
    head: String,
    /// Places, each with the text behind it.
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    place: Place,
    /// How many JSON strings it lies in: 0 to 2.
    depth: u8,
    text: String,
}

/// A place of a pattern.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// `{action_id}`, in both.
    ActionId,
    /// `{version}`, in an action.
    Version,
    /// `{url}`, in an action.
    Url,
    /// `{bytes}`, in an action.
    Bytes,
    /// `{sha256}`, in an action.
    Sha256,
    /// `{state}`, in a status.
    State,
    /// `{progress}`, in a status.
    Progress,
    /// `{reason}`, in a status: a word of [`crate::wire::Reason`], also where nothing has failed.
    Reason,
    /// `{errors}`, in a status: the items of a JSON array, none or one text with the reason.
    Errors,
    /// `{sequence}`, in a status.
    Sequence,
    /// `{timestamp}`, in a status.
    Timestamp,
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A place that there is not, or not there.
    #[error("there is no place `{{{word}}}` here; the places are {known}")]
    Unknown {
        /// The word.
        word: String,
        /// All that there are.
        known: String,
    },
    /// Without it a message says nothing.
    #[error("the place `{{{0}}}` is missing")]
    Missing(&'static str),
    /// Where one value ends and the next begins could not be told.
    #[error("there has to be text between `{{{0}}}` and `{{{1}}}`")]
    Adjacent(&'static str, &'static str),
    /// Its value would be quoted twice.
    #[error("`{{errors}}` stands for items of an array, and cannot be inside quotes")]
    QuotedErrors,
}

impl Place {
    const ALL: [Self; 11] = [
        Self::ActionId,
        Self::Version,
        Self::Url,
        Self::Bytes,
        Self::Sha256,
        Self::State,
        Self::Progress,
        Self::Reason,
        Self::Errors,
        Self::Sequence,
        Self::Timestamp,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::ActionId => "action_id",
            Self::Version => "version",
            Self::Url => "url",
            Self::Bytes => "bytes",
            Self::Sha256 => "sha256",
            Self::State => "state",
            Self::Progress => "progress",
            Self::Reason => "reason",
            Self::Errors => "errors",
            Self::Sequence => "sequence",
            Self::Timestamp => "timestamp",
        }
    }

    const fn is_of_action(self) -> bool {
        match self {
            Self::ActionId | Self::Version | Self::Url | Self::Bytes | Self::Sha256 => true,
            Self::State
            | Self::Progress
            | Self::Reason
            | Self::Errors
            | Self::Sequence
            | Self::Timestamp => false,
        }
    }

    const fn is_of_status(self) -> bool {
        matches!(self, Self::ActionId) || !self.is_of_action()
    }
}

impl Pattern {
    /// The pattern of an action; it has to have `{version}` and `{url}`.
    ///
    /// # Errors
    /// If a place is unknown, missing, or not apart from the next one.
    pub fn action(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::parse(text, Place::is_of_action)?;
        pattern.require(&[Place::Version, Place::Url])?;
        Ok(pattern)
    }

    /// The pattern of a status; it has to have `{state}`.
    ///
    /// # Errors
    /// If a place is unknown, missing, or not apart from the next one.
    pub fn status(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::parse(text, Place::is_of_status)?;
        pattern.require(&[Place::State])?;
        Ok(pattern)
    }

    fn parse(text: &str, is_here: impl Fn(Place) -> bool) -> Result<Self, PatternError> {
        let mut quotes = Quotes::new(text);
        let mut pattern = Self {
            head: String::new(),
            parts: Vec::new(),
        };
        let mut rest = text;
        while let Some((before, word, behind)) = next_place(rest) {
            quotes.pass(before);
            pattern.tail().push_str(before);
            let place = Place::ALL
                .into_iter()
                .find(|place| place.word() == word && is_here(*place));
            let place = place.ok_or_else(|| PatternError::Unknown {
                word: word.to_owned(),
                known: known(&is_here),
            })?;
            if let Some(last) = pattern.parts.last().filter(|last| last.text.is_empty()) {
                return Err(PatternError::Adjacent(last.place.word(), place.word()));
            }
            let depth = quotes.depth;
            if place == Place::Errors && depth > 0 {
                return Err(PatternError::QuotedErrors);
            }
            pattern.parts.push(Part {
                place,
                depth,
                text: String::new(),
            });
            rest = behind;
        }
        pattern.tail().push_str(rest);
        Ok(pattern)
    }

    /// The text that is being read: the one behind the last place.
    fn tail(&mut self) -> &mut String {
        match self.parts.last_mut() {
            Some(part) => &mut part.text,
            None => &mut self.head,
        }
    }

    fn require(&self, places: &[Place]) -> Result<(), PatternError> {
        let is_there = |place: &Place| self.parts.iter().any(|part| part.place == *place);
        match places.iter().find(|place| !is_there(place)) {
            Some(missing) => Err(PatternError::Missing(missing.word())),
            None => Ok(()),
        }
    }

    /// Whether it has this place.
    pub fn has(&self, place: Place) -> bool {
        self.parts.iter().any(|part| part.place == place)
    }

    /// The text with a value in each place.
    pub(super) fn render<'v>(&self, value: impl Fn(Place) -> Cow<'v, str>) -> String {
        let mut text = self.head.clone();
        for part in &self.parts {
            let mut value = value(part.place);
            for _ in 0..part.depth {
                value = escaped(&value).into();
            }
            text.push_str(&value);
            text.push_str(&part.text);
        }
        text
    }

    /// The values in `text`; `None` if it is no text of this pattern, also if a place that comes twice has
    /// two values.
    pub(super) fn extract<'a>(&self, text: &'a str) -> Option<Values<'a>> {
        let mut rest = text.strip_prefix(self.head.as_str())?;
        let mut values = Values(Vec::new());
        let last = self.parts.len().checked_sub(1)?;
        for (index, part) in self.parts.iter().enumerate() {
            let raw;
            if index == last {
                raw = rest.strip_suffix(part.text.as_str())?;
                rest = "";
            } else {
                let end = find_end(rest, part)?;
                raw = &rest[..end];
                rest = &rest[end + part.text.len()..];
            }
            let mut value = Cow::Borrowed(raw);
            for _ in 0..part.depth {
                value = unescaped(value)?;
            }
            values.put(part.place, value)?;
        }
        Some(values)
    }
}

/// Values by place.
#[derive(Debug)]
pub(super) struct Values<'a>(Vec<(Place, Cow<'a, str>)>);

impl<'a> Values<'a> {
    fn put(&mut self, place: Place, value: Cow<'a, str>) -> Option<()> {
        match self.0.iter().find(|(known, _)| *known == place) {
            Some((_, known)) => (*known == value).then_some(()),
            None => {
                self.0.push((place, value));
                Some(())
            }
        }
    }

    /// The value of a place; `None` if the pattern has no such place.
    pub(super) fn take(&mut self, place: Place) -> Option<Cow<'a, str>> {
        let index = self.0.iter().position(|(known, _)| *known == place)?;
        Some(self.0.swap_remove(index).1)
    }
}

/// The next place of `text`: what stands before it, its word, and what stands behind.
fn next_place(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let open = from + text[from..].find('{')?;
        let inside = &text[open + 1..];
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let len = inside.find(|c| !is_word(c)).unwrap_or(inside.len());
        if len > 0 && inside[len..].starts_with('}') {
            let behind = &inside[len + 1..];
            return Some((&text[..open], &inside[..len], behind));
        }
        from = open + 1;
    }
}

/// The places that fit, for people.
fn known(is_here: impl Fn(Place) -> bool) -> String {
    let places = Place::ALL.into_iter().filter(|place| is_here(*place));
    let words: Vec<_> = places
        .map(|place| format!("`{{{}}}`", place.word()))
        .collect();
    words.join(", ")
}

/// Follows the quotes of a pattern that is JSON, so that a place knows how its value is to be escaped.
struct Quotes {
    is_json: bool,
    depth: u8,
    /// Backslashes just passed.
    backslashes: usize,
}

impl Quotes {
    fn new(text: &str) -> Self {
        Self {
            is_json: text.trim_start().starts_with(['{', '[']),
            depth: 0,
            backslashes: 0,
        }
    }

    fn pass(&mut self, text: &str) {
        for c in text.chars().filter(|_| self.is_json) {
            match (c, self.depth, self.backslashes) {
                ('"', 0, _) => self.depth = 1,
                ('"', 1, 1) => self.depth = 2,
                ('"', 2, 1) => self.depth = 1,
                ('"', _, 0) => self.depth = 0,
                _ => {}
            }
            self.backslashes = if c == '\\' { self.backslashes + 1 } else { 0 };
        }
        // A place stands between what was passed and what comes.
        self.backslashes = 0;
    }
}

/// Where the value of `part` ends in `text`: at the first place where the text behind it stands, and
/// not in the middle of an escape.
fn find_end(text: &str, part: &Part) -> Option<usize> {
    let whole_escapes = match part.depth {
        0 => 1,
        1 => 2,
        _ => 4,
    };
    let mut from = 0;
    loop {
        let end = from + text[from..].find(part.text.as_str())?;
        let before = &text.as_bytes()[..end];
        let backslashes = before
            .iter()
            .rev()
            .take_while(|byte| **byte == b'\\')
            .count();
        if backslashes % whole_escapes == 0 {
            return Some(end);
        }
        from = end + text[end..].chars().next()?.len_utf8();
    }
}

/// `text` as it stands between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = crate::wire::json::quoted(text);
    quoted[1..quoted.len() - 1].to_owned()
}

/// The text that stands between quotes as `text`.
fn unescaped(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if !text
        .bytes()
        .any(|byte| byte == b'\\' || byte == b'"' || byte < b' ')
    {
        return Some(text);
    }
    serde_json::from_str(&format!("\"{text}\""))
        .ok()
        .map(Cow::Owned)
}

//! Requests for blocks, and whether they can be fulfilled.

use super::{Encoding, MAX_TOKEN_BYTES, cbor};
use crate::wire::{BadMessage, image, json};
use serde::de::{Deserializer, Error as _};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Smallest block, in bytes.
pub const MIN_BLOCK_BYTES: u64 = 256;
/// Largest block, in bytes.
pub const MAX_BLOCK_BYTES: u64 = 131_072;
/// Highest offset, and largest number of blocks: 24 MiB in blocks of 256 bytes.
const MAX_BLOCKS: u64 = 98_304;
/// A bitmap is shorter than this, in bytes.
const BITMAP_BYTES_END: usize = 12_288;
/// What one request brings at most, in bytes: further blocks have to be asked for.
const MAX_BYTES_PER_REQUEST: u64 = 131_072;
/// Largest file, in bytes.
pub const MAX_FILE_BYTES: u32 = 24 << 20;

/// `GetStream`: blocks, please. Numbers are as wide as they come, because one that is out of range is
/// answered by an error and not by silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get<'a> {
    /// `c`: comes back with each block; at most 64 bytes.
    pub token: Option<Cow<'a, str>>,
    /// `s`: refuse the request if the stream has another version.
    pub version: Option<u64>,
    /// `f`: which file, 0 to 255.
    pub file: u64,
    /// `l`: bytes of a block, 256 to 131 072.
    pub block_bytes: u64,
    /// `o`: first block; 0 if left out.
    pub offset: Option<u64>,
    /// `n`: how many blocks, at most.
    pub count: Option<u64>,
    /// `b`: which ones. Bit k (bit k mod 8 of byte k / 8, the lowest first) is block offset + k.
    pub bitmap: Option<Cow<'a, [u8]>>,
}

/// Why a request was refused: the error codes of the guide.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ErrorCode {
    /// No stream has this topic.
    InvalidTopic,
    /// Not JSON.
    InvalidJson,
    /// Not CBOR.
    InvalidCbor,
    /// Readable, but not a request.
    InvalidRequest,
    /// The stream's source does not let the service in.
    Unauthorized,
    /// `l` is out of range.
    BlockSizeOutOfBounds,
    /// `o` is out of range.
    OffsetOutOfBounds,
    /// `n` is out of range.
    BlockCountLimitExceeded,
    /// `b` is too long.
    BlockBitmapLimitExceeded,
    /// There is no such stream or file, or no block of it was asked for.
    ResourceNotFound,
    /// `s` is not the stream's version.
    VersionMismatch,
    /// The file has changed under the stream.
    ETagMismatch,
    /// The service has failed.
    InternalError,
    /// One that the guide does not know.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// What a server says to a request that it cannot read.
    pub const fn of_bad_message(bad: BadMessage) -> Self {
        match bad {
            BadMessage::Topic => Self::InvalidTopic,
            BadMessage::Json => Self::InvalidJson,
            BadMessage::Cbor => Self::InvalidCbor,
            BadMessage::Form | BadMessage::Value(_) => Self::InvalidRequest,
        }
    }

    /// The word of the guide.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InvalidTopic => "InvalidTopic",
            Self::InvalidJson => "InvalidJson",
            Self::InvalidCbor => "InvalidCbor",
            Self::InvalidRequest => "InvalidRequest",
            Self::Unauthorized => "Unauthorized",
            Self::BlockSizeOutOfBounds => "BlockSizeOutOfBounds",
            Self::OffsetOutOfBounds => "OffsetOutOfBounds",
            Self::BlockCountLimitExceeded => "BlockCountLimitExceeded",
            Self::BlockBitmapLimitExceeded => "BlockBitmapLimitExceeded",
            Self::ResourceNotFound => "ResourceNotFound",
            Self::VersionMismatch => "VersionMismatch",
            Self::ETagMismatch => "ETagMismatch",
            Self::InternalError => "InternalError",
            Self::Unknown => "Unknown",
        }
    }

    /// What a word says; [`Self::Unknown`] for those that the guide does not have.
    pub fn of_word(word: &str) -> Self {
        const KNOWN: [ErrorCode; 13] = [
            ErrorCode::InvalidTopic,
            ErrorCode::InvalidJson,
            ErrorCode::InvalidCbor,
            ErrorCode::InvalidRequest,
            ErrorCode::Unauthorized,
            ErrorCode::BlockSizeOutOfBounds,
            ErrorCode::OffsetOutOfBounds,
            ErrorCode::BlockCountLimitExceeded,
            ErrorCode::BlockBitmapLimitExceeded,
            ErrorCode::ResourceNotFound,
            ErrorCode::VersionMismatch,
            ErrorCode::ETagMismatch,
            ErrorCode::InternalError,
        ];
        let known = KNOWN.into_iter().find(|code| code.word() == word);
        known.unwrap_or(Self::Unknown)
    }
}

/// The members of a request in JSON.
#[derive(Serialize, Deserialize)]
struct Mirror<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    c: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s: Option<u64>,
    f: u64,
    l: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    o: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    b: Option<Hex<'a>>,
}

/// A bitmap as `0x130080`; the `0x` may be missing.
struct Hex<'a>(Cow<'a, [u8]>);

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 + 2 * self.0.len());
        text.push_str("0x");
        for byte in &*self.0 {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(nibble.into(), 16).expect("a nibble is a digit"));
            }
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Hex<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json::Text(text) = json::Text::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").unwrap_or(&text).as_bytes();
        let pairs = digits.chunks(2).map(|pair| match *pair {
            [high, low] => Some(image::of_digit(high)? << 4 | image::of_digit(low)?),
            _ => None,
        });
        let bytes = pairs.collect::<Option<Vec<u8>>>();
        let bytes = bytes.ok_or_else(|| D::Error::custom("not hex digits in pairs"))?;
        Ok(Self(bytes.into()))
    }
}

impl<'a> Get<'a> {
    /// The request for block `index` alone, as short as it can be.
    pub fn one(file: u8, block_bytes: u32, index: u32) -> Self {
        Self::run(file, block_bytes, index, 1)
    }

    /// The request for `count` blocks from `first` on.
    pub fn run(file: u8, block_bytes: u32, first: u32, count: u32) -> Self {
        Self {
            token: Some(super::TOKEN.into()),
            version: None,
            file: file.into(),
            block_bytes: block_bytes.into(),
            offset: Some(first.into()),
            count: Some(count.into()),
            bitmap: None,
        }
    }

    /// Its payload.
    pub fn write(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Json => json::write(&Mirror {
                c: self.token.as_deref().map(Cow::Borrowed),
                s: self.version,
                f: self.file,
                l: self.block_bytes,
                o: self.offset,
                n: self.count,
                b: self.bitmap.as_deref().map(|bytes| Hex(bytes.into())),
            }),
            Encoding::Cbor => self.write_cbor(),
        }
    }

    /// In the agent's order: c s f l o b n.
    fn write_cbor(&self) -> Vec<u8> {
        let optional = [
            self.token.is_some(),
            self.version.is_some(),
            self.offset.is_some(),
            self.count.is_some(),
            self.bitmap.is_some(),
        ];
        let members = 2 + optional.into_iter().map(u64::from).sum::<u64>();
        let bitmap_len = self.bitmap.as_ref().map_or(0, |bytes| bytes.len());
        let mut map = cbor::map(members, 48 + bitmap_len);
        if let Some(token) = &self.token {
            map.text("c", token);
        }
        if let Some(version) = self.version {
            map.number("s", version);
        }
        map.number("f", self.file);
        map.number("l", self.block_bytes);
        if let Some(offset) = self.offset {
            map.number("o", offset);
        }
        if let Some(bitmap) = &self.bitmap {
            map.bytes("b", bitmap);
        }
        if let Some(count) = self.count {
            map.number("n", count);
        }
        map.done()
    }

    /// Reads a request.
    ///
    /// # Errors
    /// If it is not one; [`ErrorCode::of_bad_message`] is how a server answers.
    pub fn read(encoding: Encoding, payload: &'a [u8]) -> Result<Self, BadMessage> {
        match encoding {
            Encoding::Json => {
                let Mirror {
                    c,
                    s,
                    f,
                    l,
                    o,
                    n,
                    b,
                } = json::read(payload)?;
                Ok(Self {
                    token: c,
                    version: s,
                    file: f,
                    block_bytes: l,
                    offset: o,
                    count: n,
                    bitmap: b.map(|Hex(bytes)| bytes),
                })
            }
            Encoding::Cbor => Self::read_cbor(payload),
        }
    }

    fn read_cbor(payload: &'a [u8]) -> Result<Self, BadMessage> {
        let (mut c, mut s, mut f, mut l) = (None, None, None, None);
        let (mut o, mut n, mut b) = (None, None, None);
        cbor::read_document(payload, |key, decoder| match key {
            "c" => cbor::once(&mut c, decoder.str()),
            "s" => cbor::once(&mut s, decoder.u64()),
            "f" => cbor::once(&mut f, decoder.u64()),
            "l" => cbor::once(&mut l, decoder.u64()),
            "o" => cbor::once(&mut o, decoder.u64()),
            "n" => cbor::once(&mut n, decoder.u64()),
            "b" => cbor::once(&mut b, decoder.bytes()),
            _ => Ok(false),
        })?;
        Ok(Self {
            token: c.map(Cow::Borrowed),
            version: s,
            file: f.ok_or(BadMessage::Form)?,
            block_bytes: l.ok_or(BadMessage::Form)?,
            offset: o,
            count: n,
            bitmap: b.map(Cow::Borrowed),
        })
    }

    /// The blocks that it brings from file `file` with `file_bytes` in a stream of `version`: those that
    /// the file has, as many as fit 128 KiB.
    ///
    /// # Errors
    /// What the server answers instead.
    pub fn blocks(&self, version: u64, file: u8, file_bytes: u32) -> Result<Blocks<'_>, ErrorCode> {
        let too_long = |token: &Cow<'_, str>| token.len() > MAX_TOKEN_BYTES;
        if self.token.as_ref().is_some_and(too_long) {
            return Err(ErrorCode::InvalidRequest);
        }
        if self.version.is_some_and(|asked| asked != version) {
            return Err(ErrorCode::VersionMismatch);
        }
        if self.file != u64::from(file) {
            return Err(ErrorCode::ResourceNotFound);
        }
        if !(MIN_BLOCK_BYTES..=MAX_BLOCK_BYTES).contains(&self.block_bytes) {
            return Err(ErrorCode::BlockSizeOutOfBounds);
        }
        let in_range = |value: u64| u32::try_from(value).ok().filter(|_| value <= MAX_BLOCKS);
        let offset = in_range(self.offset.unwrap_or(0)).ok_or(ErrorCode::OffsetOutOfBounds)?;
        let count = self.count.map(in_range);
        let count = match count {
            Some(count) => Some(count.ok_or(ErrorCode::BlockCountLimitExceeded)?),
            None => None,
        };
        let bitmap = self.bitmap.as_deref();
        if bitmap.is_some_and(|bytes| bytes.len() >= BITMAP_BYTES_END) {
            return Err(ErrorCode::BlockBitmapLimitExceeded);
        }
        let block_bytes = u32::try_from(self.block_bytes).expect("in range");
        let most = u32::try_from(MAX_BYTES_PER_REQUEST).expect("fits") / block_bytes;
        let blocks = Blocks {
            block_bytes,
            next: offset,
            offset,
            left: count.unwrap_or(most).min(most),
            end: image::blocks(file_bytes, block_bytes),
            bitmap,
        };
        // Nothing to send would be silence, and the device would ask for ever.
        if blocks.clone().next().is_none() {
            return Err(ErrorCode::ResourceNotFound);
        }
        Ok(blocks)
    }
}

/// Indices of blocks, ascending.
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    /// Bytes of each but the file's last, 256 to 131 072.
    pub block_bytes: u32,
    next: u32,
    offset: u32,
    left: u32,
    end: u32,
    bitmap: Option<&'a [u8]>,
}

impl Iterator for Blocks<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.left > 0 && self.next < self.end {
            let index = self.next;
            self.next += 1;
            let bit = index - self.offset;
            let wanted = match self.bitmap {
                None => true,
                Some(bitmap) => {
                    let byte = bitmap.get(usize::try_from(bit / 8).expect("fits"));
                    byte? >> (bit % 8) & 1 == 1
                }
            };
            if wanted {
                self.left -= 1;
                return Some(index);
            }
        }
        None
    }
}

/// `DescribeStream`: what is in it?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Describe<'a> {
    /// `c`: comes back with the answer; at most 64 bytes.
    #[serde(rename = "c", borrow, default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Cow<'a, str>>,
}

impl<'a> Describe<'a> {
    /// Its payload.
    pub fn write(&self, encoding: Encoding) -> Vec<u8> {
        match (encoding, &self.token) {
            (Encoding::Json, _) => json::write(self),
            (Encoding::Cbor, None) => cbor::map(0, 1).done(),
            (Encoding::Cbor, Some(token)) => {
                let mut map = cbor::map(1, 8 + token.len());
                map.text("c", token);
                map.done()
            }
        }
    }

    /// Reads a question.
    ///
    /// # Errors
    /// If it is not one.
    pub fn read(encoding: Encoding, payload: &'a [u8]) -> Result<Self, BadMessage> {
        match encoding {
            Encoding::Json => json::read(payload),
            Encoding::Cbor => {
                let mut c = None;
                cbor::read_document(payload, |key, decoder| match key {
                    "c" => cbor::once(&mut c, decoder.str()),
                    _ => Ok(false),
                })?;
                let token = c.map(Cow::Borrowed);
                Ok(Self { token })
            }
        }
    }
}

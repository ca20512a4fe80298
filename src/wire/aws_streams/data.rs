//! What the server sends: blocks, descriptions, errors.

use super::request::ErrorCode;
use super::{Encoding, cbor};
use crate::wire::{BadMessage, json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A block of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// `c`: that of the request.
    pub token: Option<Cow<'a, str>>,
    /// `f`: which file.
    pub file: u64,
    /// `l`: bytes of this block; the last one of a file may be shorter than was asked for.
    pub len: u64,
    /// `i`: which block, from 0.
    pub index: u64,
    /// `p`: its bytes.
    pub bytes: &'a [u8],
}

#[derive(Serialize, Deserialize)]
struct Mirror<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    c: Option<Cow<'a, str>>,
    f: u64,
    l: u64,
    i: u64,
    #[serde(borrow)]
    p: Cow<'a, str>,
}

/// The payload of block `index` of `file`, for all devices that ask with the token [`super::TOKEN`].
pub fn encode_block(encoding: Encoding, file: u8, index: u32, bytes: &[u8]) -> Bytes {
    let data = Data {
        token: Some(super::TOKEN.into()),
        file: file.into(),
        len: u64::try_from(bytes.len()).expect("lengths fit 64 bits"),
        index: index.into(),
        bytes,
    };
    data.write(encoding).into()
}

impl<'a> Data<'a> {
    /// Its payload.
    pub fn write(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Json => json::write(&Mirror {
                c: self.token.as_deref().map(Cow::Borrowed),
                f: self.file,
                l: self.len,
                i: self.index,
                p: STANDARD.encode(self.bytes).into(),
            }),
            Encoding::Cbor => {
                let members = 4 + u64::from(self.token.is_some());
                let mut map = cbor::map(members, 48 + self.bytes.len());
                if let Some(token) = &self.token {
                    map.text("c", token);
                }
                map.number("f", self.file);
                map.number("l", self.len);
                map.number("i", self.index);
                map.bytes("p", self.bytes);
                map.done()
            }
        }
    }

    /// Reads a block. Its bytes lie in `payload`, or, if they come in base64, in `scratch`, which is
    /// emptied first.
    ///
    /// # Errors
    /// If it is not a block, or has other than the `l` bytes it says.
    pub fn read(
        encoding: Encoding,
        payload: &'a [u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<Self, BadMessage> {
        let data = match encoding {
            Encoding::Json => {
                let Mirror { c, f, l, i, p } = json::read(payload)?;
                scratch.clear();
                STANDARD
                    .decode_vec(&*p, scratch)
                    .map_err(|_| BadMessage::Value("p"))?;
                Self {
                    token: c,
                    file: f,
                    len: l,
                    index: i,
                    bytes: scratch,
                }
            }
            Encoding::Cbor => Self::read_cbor(payload)?,
        };
        if usize::try_from(data.len).is_ok_and(|len| len == data.bytes.len()) {
            Ok(data)
        } else {
            Err(BadMessage::Value("l"))
        }
    }

    fn read_cbor(payload: &'a [u8]) -> Result<Self, BadMessage> {
        let (mut c, mut f, mut l, mut i, mut p) = (None, None, None, None, None);
        cbor::read_document(payload, |key, decoder| match key {
            "c" => cbor::once(&mut c, decoder.str()),
            "f" => cbor::once(&mut f, decoder.u64()),
            "l" => cbor::once(&mut l, decoder.u64()),
            "i" => cbor::once(&mut i, decoder.u64()),
            "p" => cbor::once(&mut p, decoder.bytes()),
            _ => Ok(false),
        })?;
        Ok(Self {
            token: c.map(Cow::Borrowed),
            file: f.ok_or(BadMessage::Form)?,
            len: l.ok_or(BadMessage::Form)?,
            index: i.ok_or(BadMessage::Form)?,
            bytes: p.ok_or(BadMessage::Form)?,
        })
    }
}

/// What is in a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described<'a> {
    /// `c`: that of the question.
    #[serde(rename = "c", borrow, default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Cow<'a, str>>,
    /// `s`: its version.
    #[serde(rename = "s")]
    pub version: u64,
    /// `d`: for people.
    #[serde(rename = "d", borrow, default)]
    pub description: Cow<'a, str>,
    /// `r`: its files.
    #[serde(rename = "r")]
    pub files: Vec<File>,
}

/// A file of a stream.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// `f`: its number, 0 to 255.
    #[serde(rename = "f")]
    pub file: u64,
    /// `z`: its size, in bytes.
    #[serde(rename = "z")]
    pub bytes: u64,
}

impl<'a> Described<'a> {
    /// Its payload.
    pub fn write(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Json => json::write(self),
            Encoding::Cbor => {
                let mut map = cbor::map(3 + u64::from(self.token.is_some()), 64);
                if let Some(token) = &self.token {
                    map.text("c", token);
                }
                map.number("s", self.version);
                map.text("d", &self.description);
                map.maps("r", &self.files, 2, |map, file| {
                    map.number("f", file.file);
                    map.number("z", file.bytes);
                });
                map.done()
            }
        }
    }

    /// Reads a description.
    ///
    /// # Errors
    /// If it is not one.
    pub fn read(encoding: Encoding, payload: &'a [u8]) -> Result<Self, BadMessage> {
        match encoding {
            Encoding::Json => json::read(payload),
            Encoding::Cbor => Self::read_cbor(payload),
        }
    }

    fn read_cbor(payload: &'a [u8]) -> Result<Self, BadMessage> {
        let (mut c, mut s, mut d, mut r) = (None, None, None, None);
        cbor::read_document(payload, |key, decoder| match key {
            "c" => cbor::once(&mut c, decoder.str()),
            "s" => cbor::once(&mut s, decoder.u64()),
            "d" => cbor::once(&mut d, decoder.str()),
            "r" if r.is_none() => {
                r = Some(read_files(decoder)?);
                Ok(true)
            }
            "r" => Err(BadMessage::Form),
            _ => Ok(false),
        })?;
        Ok(Self {
            token: c.map(Cow::Borrowed),
            version: s.ok_or(BadMessage::Form)?,
            description: d.unwrap_or_default().into(),
            files: r.ok_or(BadMessage::Form)?,
        })
    }
}

fn read_files(decoder: &mut minicbor::Decoder<'_>) -> Result<Vec<File>, BadMessage> {
    // Arrays of indefinite length are not what the service sends.
    let len = decoder.array().map_err(cbor::bad)?;
    let len = len.ok_or(BadMessage::Form)?;
    let mut files = Vec::new();
    for _ in 0..len {
        let (mut f, mut z) = (None, None);
        cbor::read_map(decoder, |key, decoder| match key {
            "f" => cbor::once(&mut f, decoder.u64()),
            "z" => cbor::once(&mut z, decoder.u64()),
            _ => Ok(false),
        })?;
        files.push(File {
            file: f.ok_or(BadMessage::Form)?,
            bytes: z.ok_or(BadMessage::Form)?,
        });
    }
    Ok(files)
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamError<'a> {
    /// `o`, also `code`: why.
    #[serde(rename = "o", alias = "code")]
    pub code: ErrorCode,
    /// `m`, also `message`: the same for people.
    #[serde(rename = "m", alias = "message", borrow, default)]
    pub message: Cow<'a, str>,
    /// `c`, also `clientToken`: that of the request, if it had a sound one.
    #[serde(
        rename = "c",
        alias = "clientToken",
        borrow,
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub token: Option<Cow<'a, str>>,
}

impl<'a> StreamError<'a> {
    /// Its payload.
    pub fn write(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Json => json::write(self),
            Encoding::Cbor => {
                let mut map = cbor::map(2 + u64::from(self.token.is_some()), 64);
                map.text("o", self.code.word());
                map.text("m", &self.message);
                if let Some(token) = &self.token {
                    map.text("c", token);
                }
                map.done()
            }
        }
    }

    /// Reads a refusal.
    ///
    /// # Errors
    /// If it is not one.
    pub fn read(encoding: Encoding, payload: &'a [u8]) -> Result<Self, BadMessage> {
        match encoding {
            Encoding::Json => json::read(payload),
            Encoding::Cbor => {
                let (mut o, mut m, mut c) = (None, None, None);
                cbor::read_document(payload, |key, decoder| match key {
                    "o" | "code" => cbor::once(&mut o, decoder.str()),
                    "m" | "message" => cbor::once(&mut m, decoder.str()),
                    "c" | "clientToken" => cbor::once(&mut c, decoder.str()),
                    _ => Ok(false),
                })?;
                Ok(Self {
                    code: ErrorCode::of_word(o.ok_or(BadMessage::Form)?),
                    message: m.unwrap_or_default().into(),
                    token: c.map(Cow::Borrowed),
                })
            }
        }
    }
}

//! The bytes of a firmware image: a pure function of seed and version, so that a server, a test and a
//! second run have the same without passing them around. One copy in memory, lent out in slices.

use crate::rng::{self, Purpose};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// A firmware image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What it is an image of.
    pub version: String,
    /// All of it.
    pub bytes: Bytes,
    /// SHA-256 over all of it.
    pub sha256: [u8; 32],
}

impl Image {
    /// The image of `version` in a run with `seed`, `len` bytes long. The shorter of two images that
    /// differ in length only is the beginning of the longer one.
    pub fn new(seed: u64, version: &str, len: u32) -> Self {
        let subject = subject(version);
        let mut bytes = vec![0; len as usize];
        for (place, word) in (0..).zip(bytes.chunks_mut(8)) {
            let random = rng::hash(seed, subject, Purpose::ImageContent, place).to_le_bytes();
            word.copy_from_slice(&random[..word.len()]);
        }
        let sha256 = Sha256::digest(&bytes).into();
        Self {
            version: version.to_owned(),
            bytes: bytes.into(),
            sha256,
        }
    }

    /// Its size, in bytes.
    pub fn len(&self) -> u32 {
        u32::try_from(self.bytes.len()).expect("made from a u32")
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many blocks of `block_bytes` it has; the last one may be shorter.
    ///
    /// # Panics
    /// If `block_bytes` is 0.
    pub fn blocks(&self, block_bytes: u32) -> u32 {
        blocks(self.len(), block_bytes)
    }

    /// Block `index` of `block_bytes`, sharing the image's memory; `None` behind the last one.
    pub fn block(&self, index: u32, block_bytes: u32) -> Option<Bytes> {
        let start = u64::from(index) * u64::from(block_bytes);
        let len = u64::from(self.len());
        if start >= len {
            return None;
        }
        let end = (start + u64::from(block_bytes)).min(len);
        let place = |at: u64| usize::try_from(at).expect("inside the image");
        Some(self.bytes.slice(place(start)..place(end)))
    }
}

/// How many blocks of `block_bytes` a file of `len` bytes has; the last one may be shorter.
///
/// # Panics
/// If `block_bytes` is 0.
pub const fn blocks(len: u32, block_bytes: u32) -> u32 {
    len.div_ceil(block_bytes)
}

/// The hash as payloads have it: 64 small hex digits.
pub fn hex(sha256: &[u8; 32]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).expect("a nibble is a digit");
    let digits = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    sha256.iter().flat_map(digits).collect()
}

/// The hash of 64 hex digits, small or capital.
pub fn of_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = of_digit(pair[0])? << 4 | of_digit(pair[1])?;
    }
    Some(hash)
}

/// The value of a hex digit.
pub(super) fn of_digit(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    Some(u8::try_from(value).expect("below 16"))
}

/// What the draws of a version's bytes are about.
fn subject(version: &str) -> u64 {
    let hash = Sha256::digest(version.as_bytes());
    let first = hash.first_chunk::<8>().expect("a hash has 32 bytes");
    u64::from_le_bytes(*first)
}

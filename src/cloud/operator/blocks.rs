//! Blocks as they are on the wire, each put into words once for all devices and lent from then on.

use super::package::{FILE, Package};
use crate::wire::aws_streams::{Data, Encoding, TOKEN, encode_block};
use bytes::Bytes;
use std::collections::BTreeMap;

/// Bytes of all blocks that are kept: an image of the largest size in base64 and as bytes fits. What
/// comes after that is put into words each time.
pub(super) const CACHE_BYTES_MAX: usize = 64 << 20;

/// Encoded blocks by campaign, encoding, block size and index.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    known: BTreeMap<(usize, Encoding, u32, u32), Bytes>,
    bytes: usize,
}

impl Blocks {
    /// Block `index` of the image of `package`, which is campaign `campaign`'s, for a request with
    /// `token`: its payload and how many bytes of the image it has. `None` behind the last one.
    pub(super) fn get(
        &mut self,
        (campaign, package): (usize, &Package),
        encoding: Encoding,
        block_bytes: u32,
        index: u32,
        token: Option<&str>,
    ) -> Option<(Bytes, u32)> {
        let block = package.image.block(index, block_bytes)?;
        let len = u32::try_from(block.len()).expect("not longer than asked for");
        if token != Some(TOKEN) {
            // Of a client of another kind: the token is in the payload.
            let data = Data {
                token: token.map(Into::into),
                file: u64::from(FILE),
                len: u64::from(len),
                index: u64::from(index),
                bytes: &block,
            };
            return Some((data.write(encoding).into(), len));
        }
        let key = (campaign, encoding, block_bytes, index);
        if let Some(known) = self.known.get(&key) {
            return Some((known.clone(), len));
        }
        let payload = encode_block(encoding, FILE, index, &block);
        if self.bytes + payload.len() <= CACHE_BYTES_MAX {
            self.bytes += payload.len();
            self.known.insert(key, payload.clone());
        }
        Some((payload, len))
    }
}

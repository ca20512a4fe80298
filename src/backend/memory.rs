//! What state costs in bytes, by the sizes and capacities of what is held plus the heap's own
//! overhead; and the one hash of names.

use super::slab::Index;
use hashbrown::HashTable;
use smol_str::SmolStr;
use std::hash::{DefaultHasher, Hasher as _};

/// Bytes an allocation of `len` bytes takes from a 64-bit glibc heap: 8 bytes of header, rounded up
/// to 16, at least 32.
pub(super) const fn heap(len: usize) -> usize {
    match len {
        0 => 0,
        _ => {
            let chunk = (len + 8).next_multiple_of(16);
            if chunk < 32 { 32 } else { chunk }
        }
    }
}

/// Bytes a text takes from the heap: none up to 23 bytes, else those and two counters.
pub(super) fn text_heap(text: &SmolStr) -> usize {
    match text.is_heap_allocated() {
        true => heap(text.len() + 2 * size_of::<usize>()),
        false => 0,
    }
}

/// Bytes of a look-up table: the indexes and a control byte each, by capacity (7/8 of the buckets).
pub(super) fn table_bytes(table: &HashTable<Index>) -> usize {
    table.capacity() * 8 / 7 * (size_of::<Index>() + 1)
}

/// Hash of a name. `DefaultHasher::new` has fixed keys, so that runs are alike.
pub(super) fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name.as_bytes());
    hasher.finish()
}

//! A vector with holes: values keep their index for life, freed indexes are used again. Sessions,
//! filters and connections live in one each, so that they name each other in four bytes.

use std::num::NonZero;

/// Index of a value in a [`Slab`].
pub(super) type Index = u32;

/// An index where there may be none: `Option<Link>` takes four bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Link(NonZero<Index>);

impl Link {
    pub(super) const fn new(index: Index) -> Self {
        Self(NonZero::new(index.wrapping_add(1)).expect("fewer values than 2^32"))
    }

    pub(super) const fn index(self) -> Index {
        self.0.get() - 1
    }
}

/// Values by stable index.
#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Vec<Option<T>>,
    free: Vec<Index>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Number of values.
    pub(super) const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Puts a value in and names its index.
    pub(super) fn insert(&mut self, value: T) -> Index {
        if let Some(index) = self.free.pop() {
            self.slots[index as usize] = Some(value);
            return index;
        }
        let index = Index::try_from(self.slots.len())
            .ok()
            .filter(|index| *index < Index::MAX)
            .expect("fewer values than 2^32");
        push_tight(&mut self.slots, Some(value));
        index
    }

    /// Takes a value out; its index may be used again.
    pub(super) fn remove(&mut self, index: Index) -> Option<T> {
        let value = self.slots.get_mut(index as usize)?.take()?;
        self.free.push(index);
        Some(value)
    }

    pub(super) fn get(&self, index: Index) -> Option<&T> {
        self.slots.get(index as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: Index) -> Option<&mut T> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// Indexes in use, ascending.
    pub(super) fn indexes(&self) -> impl Iterator<Item = Index> + '_ {
        (0..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.is_some())
            .map(|(index, _)| index)
    }

    /// Values, by ascending index.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.free.clear();
    }

    /// Bytes of the slab itself, without what the values own.
    pub(super) const fn own_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Option<T>>() + self.free.capacity() * size_of::<Index>()
    }
}

/// Pushes with growth by an eighth instead of doubling: memory per device is a bar, and the large
/// blocks concerned are moved by remapping pages.
fn push_tight<T>(vec: &mut Vec<T>, value: T) {
    if vec.len() == vec.capacity() {
        vec.reserve_exact((vec.len() / 8).max(16));
    }
    vec.push(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_stable_and_used_again() {
        let mut slab = Slab::new();
        let (a, b) = (slab.insert("a"), slab.insert("b"));
        assert_eq!(slab.remove(a), Some("a"));
        assert_eq!(slab.remove(a), None);
        assert_eq!((slab.len(), slab.get(b)), (1, Some(&"b")));
        assert_eq!(slab.insert("c"), a);
        assert_eq!(slab.indexes().collect::<Vec<_>>(), [a, b]);
    }
}

//! Bytes that a socket did not take yet, in order.

/// A queue of bytes; it holds no memory while it is empty. What the socket has taken stays in front
/// until it is the larger part, so that a long queue is not moved for each write.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    taken: usize,
}

impl Outbox {
    /// An empty queue.
    pub(super) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            taken: 0,
        }
    }

    /// Bytes that wait.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Whether none wait.
    pub(super) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that waits.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Where more is appended; nothing else may be done with it.
    pub(super) const fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The socket has taken `count` of the bytes that wait.
    pub(super) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.is_empty() {
            self.clear();
        } else if self.taken > self.len() {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// Nothing waits any more.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_bytes_come_out_once_and_in_order(
            steps in prop::collection::vec((0usize..40, 0usize..40), 0..60)
        ) {
            let mut outbox = Outbox::default();
            let (mut written, mut read) = (0usize, 0usize);
            for (append, take) in steps {
                let new = (written..written + append).map(|n| n.to_le_bytes()[0]);
                outbox.end().extend(new);
                written += append;
                let take = take.min(outbox.len());
                let wanted: Vec<u8> = (read..written).map(|n| n.to_le_bytes()[0]).collect();
                prop_assert_eq!(outbox.waiting(), &wanted[..]);
                outbox.take(take);
                read += take;
                prop_assert_eq!(outbox.len(), written - read);
                prop_assert!(outbox.bytes.len() <= 2 * outbox.len());
            }
        }
    }
}

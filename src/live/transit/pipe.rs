//! One direction of a link with what is under way on it: first in, first out, each with the instant
//! of its arrival, and the bytes of packets behind one another.

use crate::time::Instant;
use std::collections::VecDeque;

/// Bytes of room that an empty pipe keeps for packets, and as many for marks, so that a device with
/// small packets does not allocate for each.
const KEPT: usize = 256;

/// See the module. `M` says what arrives.
#[derive(Debug)]
pub(super) struct Pipe<M> {
    /// With the number of bytes of each.
    marks: VecDeque<(Instant, u32, M)>,
    /// Those of the marks, in their order; behind them, bytes that are not marked yet.
    bytes: VecDeque<u8>,
    /// Bytes that belong to marks.
    marked: usize,
}

impl<M> Default for Pipe<M> {
    fn default() -> Self {
        Self {
            marks: VecDeque::new(),
            bytes: VecDeque::new(),
            marked: 0,
        }
    }
}

impl<M: Copy> Pipe<M> {
    /// When the first arrives.
    pub(super) fn next(&self) -> Instant {
        self.marks.front().map_or(Instant::NEVER, |mark| mark.0)
    }

    /// What arrives first.
    pub(super) fn first(&self) -> Option<M> {
        self.marks.front().map(|mark| mark.2)
    }

    /// Bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.bytes.len()
    }

    /// Holds more bytes; [`Pipe::mark`] says when they arrive.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The first bytes that are not marked, at most five, and the number of all that are not.
    pub(super) fn unmarked(&self) -> ([u8; 5], usize) {
        let mut head = [0; 5];
        for (to, from) in head.iter_mut().zip(self.bytes.range(self.marked..)) {
            *to = *from;
        }
        (head, self.bytes.len() - self.marked)
    }

    /// `what` arrives at `at`, with the next `len` of the bytes held.
    pub(super) fn mark(&mut self, at: Instant, what: M, len: usize) {
        debug_assert!(self.marked + len <= self.bytes.len());
        self.marked += len;
        let len = u32::try_from(len).expect("an MQTT packet is shorter than 256 MiB");
        self.marks.push_back((at, len, what));
    }

    /// Takes what arrives first and appends its bytes to `bytes`.
    pub(super) fn pop(&mut self, bytes: &mut Vec<u8>) -> Option<M> {
        let (_, len, what) = self.marks.pop_front()?;
        let len = len as usize;
        let (front, back) = self.bytes.as_slices();
        let in_front = len.min(front.len());
        bytes.extend_from_slice(&front[..in_front]);
        bytes.extend_from_slice(&back[..len - in_front]);
        self.bytes.drain(..len);
        self.marked -= len;
        self.shrink();
        Some(what)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.marks.clear();
        self.bytes.clear();
        self.marked = 0;
        self.shrink();
    }

    fn shrink(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = VecDeque::new();
        }
        if self.marks.is_empty() && self.marks.capacity() > KEPT / size_of::<(Instant, u32, M)>() {
            self.marks = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_order_with_its_bytes(
            packets in prop::collection::vec((0u64..1_000, 0usize..700), 0..40),
            popped_between in 0usize..4,
        ) {
            let mut pipe = Pipe::default();
            let mut out = Vec::new();
            let mut found = Vec::new();
            for (n, &(at, len)) in packets.iter().enumerate() {
                // One byte more than is marked at first, as when a read ends within a packet.
                let bytes = vec![n as u8; len];
                pipe.hold(&bytes);
                pipe.hold(&[0xff]);
                let unmarked = pipe.unmarked();
                prop_assert_eq!(unmarked.1, len + 1);
                if len > 0 {
                    prop_assert_eq!(unmarked.0[0], n as u8);
                }
                pipe.mark(Instant::from_ns(at), n, len + 1);
                for _ in 0..popped_between {
                    found.extend(pipe.pop(&mut out));
                }
            }
            while let Some(n) = pipe.pop(&mut out) {
                found.push(n);
            }
            prop_assert_eq!(found, (0..packets.len()).collect::<Vec<_>>());
            let mut sent = Vec::new();
            for (n, &(_, len)) in packets.iter().enumerate() {
                sent.resize(sent.len() + len, n as u8);
                sent.push(0xff);
            }
            prop_assert_eq!(out, sent);
            prop_assert_eq!((pipe.held(), pipe.next()), (0, Instant::NEVER));
        }
    }

    #[test]
    fn an_empty_pipe_keeps_little() {
        let mut pipe = Pipe::default();
        for n in 0..1_000 {
            pipe.hold(&[0; 100]);
            pipe.mark(Instant::ZERO, n, 100);
        }
        pipe.clear();
        assert_eq!(pipe.bytes.capacity() + pipe.marks.capacity(), 0);
        assert!(size_of::<Pipe<u8>>() <= 80, "{}", size_of::<Pipe<u8>>());
    }
}

//! A timing wheel: keeps what lies far ahead in slots that are not sorted, so that only the next
//! few hundred microseconds need an order. Part of the event queue.

use crate::time::Instant;

/// Bits of an instant within a slot of the lowest level: 2^18 ns, a quarter of a millisecond.
const SLOT_BITS: u32 = 22;
/// Bits of a tick that a level tells apart.
const LEVEL_BITS: u32 = 8;
/// Slots of a level.
const SLOTS: usize = 1 << LEVEL_BITS;
/// Levels: 18 bits of a slot and 6 levels of 8 cover all 64 bits of an instant.
const LEVELS: usize = 6;
/// Slots of the lowest level keep their memory up to this many entries.
const KEPT_ENTRIES: usize = 1_024;

/// What lies at an instant.
pub(super) trait Timed {
    /// When.
    fn at(&self) -> Instant;
}

/// Entries by the slot that their instant lies in. A level's slot is as wide as the whole level
/// below it.
#[derive(Debug)]
pub(super) struct Wheel<T> {
    /// The first tick (instant in units of the narrowest slot) that has not been handed out.
    now: u64,
    levels: Vec<Level<T>>,
    len: usize,
}

#[derive(Debug)]
struct Level<T> {
    slots: Vec<Vec<T>>,
    /// A bit per slot that is not empty.
    filled: [u64; SLOTS / 64],
}

impl<T: Timed> Wheel<T> {
    pub(super) fn new() -> Self {
        Self {
            now: 0,
            levels: (0..LEVELS).map(|_| Level::new()).collect(),
            len: 0,
        }
    }

    /// Takes an entry; gives it back if its slot has been handed out already.
    pub(super) fn push(&mut self, entry: T) -> Option<T> {
        let tick = entry.at().ns() >> SLOT_BITS;
        if tick < self.now {
            return Some(entry);
        }
        self.len += 1;
        self.place(tick, entry);
        None
    }

    /// Exchanges `empty` for the entries of the next slot that has any, in no order; `false` if
    /// there are none. What is pushed from then on into that slot or before is given back.
    pub(super) fn next_slot(&mut self, empty: &mut Vec<T>) -> bool {
        if self.len == 0 {
            return false;
        }
        loop {
            if let Some(slot) = self.levels[0].first_filled(digit(self.now, 0)) {
                self.levels[0].exchange(slot, empty);
                self.len -= empty.len();
                self.now = (self.now & !(SLOTS as u64 - 1)) + slot as u64 + 1;
                self.carry();
                return true;
            }
            self.descend();
        }
    }

    fn place(&mut self, tick: u64, entry: T) {
        // The highest level on which the tick differs from now.
        let differing = tick ^ self.now;
        let level = (63 - (differing | 1).leading_zeros()) / LEVEL_BITS;
        self.levels[level as usize].push(digit(tick, level), entry);
    }

    /// Nothing is left on the lowest level: goes to the next filled slot of the levels above.
    fn descend(&mut self) {
        for level in 1..LEVELS as u32 {
            let from = digit(self.now, level) + 1;
            if let Some(slot) = self.levels[level as usize].first_filled(from) {
                let below = LEVEL_BITS * level;
                let above = below + LEVEL_BITS;
                let high = self.now.checked_shr(above).unwrap_or(0);
                self.now = high.checked_shl(above).unwrap_or(0) | (slot as u64) << below;
                self.spread(level, slot);
                return;
            }
        }
        unreachable!("the wheel counts its entries");
    }

    /// Where now has moved on to another slot of a higher level, its entries go down.
    fn carry(&mut self) {
        for level in 1..LEVELS as u32 {
            if digit(self.now, level - 1) != 0 {
                return;
            }
            self.spread(level, digit(self.now, level));
        }
    }

    fn spread(&mut self, level: u32, slot: usize) {
        for entry in self.levels[level as usize].take(slot) {
            let tick = entry.at().ns() >> SLOT_BITS;
            self.place(tick, entry);
        }
    }
}

impl<T> Level<T> {
    fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            filled: [0; SLOTS / 64],
        }
    }

    fn push(&mut self, slot: usize, entry: T) {
        self.filled[slot / 64] |= 1 << (slot % 64);
        self.slots[slot].push(entry);
    }

    fn take(&mut self, slot: usize) -> Vec<T> {
        self.filled[slot / 64] &= !(1 << (slot % 64));
        std::mem::take(&mut self.slots[slot])
    }

    /// Takes the slot's entries; the memory of `empty` is kept for the slot's next turn, if it is
    /// not much.
    fn exchange(&mut self, slot: usize, empty: &mut Vec<T>) {
        let entries = self.take(slot);
        let spare = std::mem::replace(empty, entries);
        if spare.capacity() <= KEPT_ENTRIES {
            self.slots[slot] = spare;
        }
    }

    /// The first slot from `from` on that is not empty.
    fn first_filled(&self, from: usize) -> Option<usize> {
        let first_word = from / 64;
        for (word, bits) in self.filled.iter().enumerate().skip(first_word) {
            let bits = if word == first_word {
                bits & (u64::MAX << (from % 64))
            } else {
                *bits
            };
            if bits != 0 {
                return Some(word * 64 + bits.trailing_zeros() as usize);
            }
        }
        None
    }
}

/// The part of a tick that `level` tells apart.
const fn digit(tick: u64, level: u32) -> usize {
    (tick >> (LEVEL_BITS * level)) as usize & (SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Timed for Instant {
        fn at(&self) -> Instant {
            *self
        }
    }

    /// Takes all slots; each slot's entries sorted.
    fn drained(wheel: &mut Wheel<Instant>) -> Vec<Instant> {
        let (mut all, mut slot) = (Vec::new(), Vec::new());
        while wheel.next_slot(&mut slot) {
            slot.sort_unstable();
            all.append(&mut slot);
        }
        all
    }

    proptest! {
        #[test]
        fn slots_come_in_order_and_nothing_is_lost(
            spans in prop::collection::vec((0u32..64, any::<u64>()), 1..200),
            interleaved in prop::collection::vec((0u32..40, any::<u64>()), 1..50),
        ) {
            let mut wheel = Wheel::new();
            let mut wanted = Vec::new();
            for (bits, draw) in spans {
                let at = Instant::from_ns(draw >> bits);
                prop_assert_eq!(wheel.push(at), None);
                wanted.push(at);
            }
            // Entries that come while others leave, some of them too late.
            let (mut got, mut slot) = (Vec::new(), Vec::new());
            for (bits, draw) in interleaved {
                if !wheel.next_slot(&mut slot) {
                    break;
                }
                slot.sort_unstable();
                got.append(&mut slot);
                let latest = got.last().copied().unwrap_or(Instant::ZERO);
                let at = latest.after_ns(draw >> (24 + bits));
                if wheel.push(at).is_none() {
                    wanted.push(at);
                }
            }
            got.extend(drained(&mut wheel));
            wanted.sort_unstable();
            prop_assert_eq!(got, wanted);
            prop_assert_eq!(wheel.len, 0);
        }
    }

    #[test]
    fn the_first_slot_after_every_carry_is_found() {
        let mut wheel = Wheel::new();
        let mut wanted = Vec::new();
        for level in 0..LEVELS as u32 {
            let span = 1u64 << (SLOT_BITS + LEVEL_BITS * level).min(63);
            for at in [span - 1, span, span + 1] {
                wheel.push(Instant::from_ns(at));
                wanted.push(Instant::from_ns(at));
            }
        }
        wheel.push(Instant::from_ns(u64::MAX));
        wanted.push(Instant::from_ns(u64::MAX));
        assert_eq!(drained(&mut wheel), wanted);
        assert_eq!(wheel.push(Instant::from_ns(5)), Some(Instant::from_ns(5)));
    }
}

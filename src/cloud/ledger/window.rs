//! A bit per sequence number of the last 256.

/// Sequence numbers that a window covers.
pub(super) const WINDOW: u32 = 256;

/// A set of sequence numbers out of one window; seq and seq + 256 share a bit, so bits of what
/// leaves the window are cleared.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits([u64; 4]);

impl Bits {
    /// Whether `seq` is in the set.
    pub(super) const fn get(&self, seq: u32) -> bool {
        let (word, bit) = place(seq);
        self.0[word] & bit != 0
    }

    /// Puts `seq` into the set; tells whether it is new there.
    pub(super) const fn set(&mut self, seq: u32) -> bool {
        let (word, bit) = place(seq);
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    /// Takes `seq` out of the set.
    pub(super) const fn clear(&mut self, seq: u32) {
        let (word, bit) = place(seq);
        self.0[word] &= !bit;
    }

    /// The word that `seq` lies in.
    pub(super) const fn word(&self, seq: u32) -> u64 {
        self.0[place(seq).0]
    }

    /// Whether the set is empty.
    pub(super) const fn is_empty(&self) -> bool {
        self.0[0] | self.0[1] | self.0[2] | self.0[3] == 0
    }
}

const fn place(seq: u32) -> (usize, u64) {
    ((seq / 64 % 4) as usize, 1 << (seq % 64))
}

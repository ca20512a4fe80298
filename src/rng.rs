//! Randomness without state: every draw is a pure function of (run seed, subject, purpose, index),
//! so a device behaves the same whatever the others do, on one worker or twenty.

use rand::TryRng;
use std::convert::Infallible;

/// What a draw is for. Each purpose is a stream of its own; the numbers are part of the
/// reproducibility contract and never change.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Which node a device lives on.
    Home = 1,
    /// The reconnect delay of an attempt; index = attempt.
    Backoff = 2,
    /// What a refused or failed attempt costs; index = attempt.
    AttemptCost = 3,
    /// Where in its period a stream starts.
    StreamPhase = 4,
    /// Payload generators.
    Payload = 5,
    /// The gap before a Poisson arrival; index = seq.
    PoissonGap = 6,
    /// Which devices a share picks.
    Share = 7,
    /// Which value of an attribute a device has.
    Attribute = 8,
    /// In which order devices are powered on.
    PowerOnOrder = 9,
    /// Which devices are observed.
    Observe = 10,
    /// The jitter of an aligned schedule; index = seq.
    ScheduleJitter = 11,
    /// Faults of the reference backend; index = the operation's own counter.
    BackendFault = 12,
    /// How long the reference backend works on a job; index = the node's job counter.
    ServiceTime = 13,
    /// Delay and losses of a packet from a device to the target; index = packet of that direction.
    LinkUp = 14,
    /// The same from the target to a device.
    LinkDown = 15,
    /// Which devices' inputs are recorded.
    Recording = 16,
    /// When an outage cuts a device; index = the fault's place in the plan.
    OutageCut = 17,
    /// The run id of a simulated run.
    SimulatedRun = 18,
    /// When a device fault takes a device's power; index = the fault's place in the plan.
    PowerLoss = 19,
    /// When a device of a group gets power; index = [`crate::scenario::power::Event`]'s.
    PowerReturn = 20,
    /// How long a device boots; same index.
    BootTime = 21,
    /// Which wave a device of a group belongs to; same index.
    PowerWave = 22,
    /// What a degraded link adds to a packet; index = packet of that direction, direction, fault.
    Degrade = 23,
    /// Which devices a fault spares.
    Leak = 24,
    /// How long a fault lasts; index = which of its repetitions.
    FaultLength = 25,
    /// Which values of an attribute a `where` draws.
    AnyValue = 26,
    /// Whether a device rejects or defers an offer, or fails to install; index = campaign and question.
    UpdateWhim = 27,
    /// Whether a defect of an image shows on a device; index = campaign and defect.
    Defect = 28,
    /// The bytes of an image; subject = its version, index = place.
    ImageContent = 29,
    /// Whether a command fails on a device; index = command.
    CommandFailure = 30,
    /// In which order a campaign's or a command's devices get their turn.
    CampaignOrder = 31,
    /// When a device reports its state; index = which report.
    ReportPhase = 32,
    /// How long a device reboots into new firmware; index = campaign and attempt.
    RebootTime = 33,
}

/// A 64-bit hash of (seed, subject, purpose, index): the root of every draw.
///
/// The finalizer is `SplitMix64`'s (Steele, Lea, Flood 2014), applied after each word.
pub const fn hash(seed: u64, subject: u64, purpose: Purpose, index: u64) -> u64 {
    let mut h = mix(seed ^ 0x9e37_79b9_7f4a_7c15);
    h = mix(h ^ subject.wrapping_mul(0xd6e8_feb8_6659_fd93));
    h = mix(h ^ (purpose as u64).wrapping_mul(0xa076_1d64_78bd_642f));
    mix(h ^ index.wrapping_mul(0xe703_7ed1_a0b4_28db))
}

/// A uniform draw in [0, 1).
pub fn unit(seed: u64, subject: u64, purpose: Purpose, index: u64) -> f64 {
    to_unit(hash(seed, subject, purpose, index))
}

/// A small generator for distributions of `rand_distr`, seeded by (seed, subject, purpose, index).
pub const fn draw(seed: u64, subject: u64, purpose: Purpose, index: u64) -> Draw {
    Draw(hash(seed, subject, purpose, index))
}

/// The upper 53 bits of `h` as a number in [0, 1).
pub fn to_unit(h: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    let mantissa = (h >> 11) as f64;
    mantissa / 9_007_199_254_740_992.0
}

/// `SplitMix64` as a `rand` generator: eight bytes of state, no allocation.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl TryRng for Draw {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|word| (word >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        Ok(mix(self.0))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for chunk in dst.chunks_mut(8) {
            let word = self.try_next_u64()?.to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

/// Position of `index` under a seeded permutation of `0..len`: a four-round Feistel network over
/// the next even power of two, walked until it falls back into range. O(1) memory, exact: the
/// first `k` positions name exactly `k` subjects.
///
/// Returns `index` unchanged if it is not below `len`.
pub fn permute(seed: u64, purpose: Purpose, salt: u64, len: u32, index: u32) -> u32 {
    if index >= len {
        return index;
    }
    let half_bits = (32 - (len.max(2) - 1).leading_zeros()).div_ceil(2);
    let mask = (1u64 << half_bits) - 1;
    let mut value = u64::from(index);
    // Each walk stays on one cycle of a permutation of at most 4 * len points, which contains
    // `index` itself, so it ends.
    loop {
        let (mut left, mut right) = (value >> half_bits, value & mask);
        for round in 0..4 {
            let f = hash(seed, right | (round << 60), purpose, salt) & mask;
            (left, right) = (right, left ^ f);
        }
        value = (left << half_bits) | right;
        if value < u64::from(len) {
            return u32::try_from(value).expect("below len, which is a u32");
        }
    }
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn permute_is_a_bijection(seed: u64, salt: u64, len in 1u32..600) {
            let mut hit = vec![false; len as usize];
            for index in 0..len {
                let to = permute(seed, Purpose::Share, salt, len, index) as usize;
                prop_assert!(!hit[to]);
                hit[to] = true;
            }
        }
    }

    #[test]
    fn draws_are_fixed_for_ever() {
        // Changing these changes what every published seed means.
        assert_eq!(hash(42, 7, Purpose::Home, 0), 14_532_784_621_976_355_182);
        assert_eq!(permute(42, Purpose::Share, 0, 1000, 1), 231);
    }

    #[test]
    fn unit_is_uniform_enough() {
        let n = 100_000u32;
        let mean = (0..n)
            .map(|i| unit(1, u64::from(i), Purpose::Backoff, 0))
            .sum::<f64>()
            / f64::from(n);
        assert!((mean - 0.5).abs() < 0.005, "mean {mean}");
    }
}

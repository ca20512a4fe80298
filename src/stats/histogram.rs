//! HDR histograms: the only file that names `hdrhistogram`. Values are microseconds, 1 us to 1 h,
//! three significant digits; what lies outside is counted, never clamped in silence.

use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer, V2Serializer};

/// A histogram of microseconds: 64-bit counters, about 184 KiB. Everything it tells is a function
/// of its buckets alone, so merging in any order and encoding lose nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    inner: hdrhistogram::Histogram<u64>,
}

/// Where values above the range are counted: a bucket of its own. The counters reach up to the
/// next power of two above one hour, so no value within the range can share it, and the count
/// survives merging and encoding.
const OVERFLOW_US: u64 = u32::MAX as u64;

/// Significant decimal digits.
const DIGITS: u8 = 3;

/// First bytes of a plain V2 encoding (`HdrHistogram` V2 format).
const V2_COOKIE: [u8; 4] = [0x1c, 0x84, 0x93, 0x13];

/// Length of the header of a plain V2 encoding: cookie, payload length, normalizing offset, digits,
/// lowest and highest value, conversion ratio.
const V2_HEADER_LEN: usize = 40;

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// Smallest and largest value, in microseconds.
    pub const RANGE_US: (u64, u64) = (1, 3_600_000_000);

    /// An empty histogram.
    pub fn new() -> Self {
        let (low, high) = Self::RANGE_US;
        Self {
            inner: hdrhistogram::Histogram::new_with_bounds(low, high, DIGITS)
                .expect("the constants satisfy the crate's rules: low >= 1, high >= 2 * low"),
        }
    }

    /// Records a value. 0 is recorded as 1 us; a value above the range is recorded at its upper end
    /// and counted in [`Histogram::out_of_range`].
    pub fn record_us(&mut self, value_us: u64) {
        let (low, high) = Self::RANGE_US;
        let value = if value_us > high {
            OVERFLOW_US
        } else {
            value_us.max(low)
        };
        self.inner
            .record(value)
            .expect("the counters cover every value up to the overflow bucket");
    }

    /// Number of recorded values.
    pub fn count(&self) -> u64 {
        self.inner.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Values that lay above the range.
    pub fn out_of_range(&self) -> u64 {
        self.inner.count_at(OVERFLOW_US)
    }

    /// The value at a percentile (0 < p <= 100, resolution one millionth of a percent): the upper
    /// end of the smallest recorded bucket such that at least p percent of the values are at or
    /// below it. Never below the true order statistic and at most 0.1 % above it; a value that lay
    /// above the range counts as one hour. `None` if empty.
    pub fn percentile_us(&self, p: f64) -> Option<u64> {
        // The rank is computed in integers: 99.9 % of 1 000 values is the 999th, while
        // (99.9 / 100.0) * 1000.0 lies above 999 and would name the 1 000th.
        const PARTS_PER_PERCENT: u64 = 1_000_000;
        if self.is_empty() {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0..=100, so the product fits and is not negative"
        )]
        let parts = (p.clamp(0.0, 100.0) * PARTS_PER_PERCENT as f64).round() as u64;
        let rank = (u128::from(parts) * u128::from(self.count()))
            .div_ceil(u128::from(100 * PARTS_PER_PERCENT))
            .max(1);
        let mut below = 0u128;
        for bucket in self.inner.iter_recorded() {
            below += u128::from(bucket.count_at_value());
            if below >= rank {
                return Some(self.upper_end(bucket.value_iterated_to()));
            }
        }
        None
    }

    /// Arithmetic mean in microseconds by the middles of the buckets (at most 0.05 % off), `None`
    /// if empty.
    pub fn mean_us(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.inner.mean())
    }

    /// Lower end of the smallest and upper end of the largest recorded bucket, `None` if empty.
    pub fn min_max_us(&self) -> Option<(u64, u64)> {
        (!self.is_empty()).then(|| {
            let min = self.inner.min_nz().min(Self::RANGE_US.1);
            (min, self.upper_end(self.inner.max()))
        })
    }

    /// Adds all of `other`, losslessly.
    pub fn merge(&mut self, other: &Self) {
        self.inner
            .add(&other.inner)
            .expect("all histograms have the same range and precision");
    }

    /// Adds those values of `other` that `wanted` says yes to, in microseconds by the upper ends of
    /// their buckets.
    pub fn merge_where(&mut self, other: &Self, wanted: impl Fn(u64) -> bool) {
        for bucket in other.inner.iter_recorded() {
            let value_us = bucket.value_iterated_to();
            if wanted(value_us) {
                self.inner
                    .record_n(value_us, bucket.count_at_value())
                    .expect("all histograms have the same range and precision");
            }
        }
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.inner.reset();
    }

    /// `HdrHistogram` V2 encoding, for the wire.
    pub fn to_v2(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&self.inner, &mut bytes)
            .expect("counts below 2^63 always encode, and a Vec takes all writes");
        bytes
    }

    /// `HdrHistogram` V2 encoding with deflate, as the interval logs of the other implementations
    /// of `HdrHistogram` expect it.
    pub fn to_v2_deflate(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.inner, &mut bytes)
            .expect("counts below 2^63 always encode, and a Vec takes all writes");
        bytes
    }

    /// Inverse of [`Histogram::to_v2`] and of [`Histogram::to_v2_deflate`].
    ///
    /// # Errors
    /// If the bytes are not a V2 histogram of this range and precision.
    pub fn from_v2(bytes: &[u8]) -> Result<Self, HistogramError> {
        if let Some((&V2_COOKIE, rest)) = bytes.split_first_chunk() {
            // The crate allocates what the length field asks for, so it is checked first.
            let announced = rest.first_chunk().map(|len| u32::from_be_bytes(*len));
            if announced.map(|len| len as usize + V2_HEADER_LEN) != Some(bytes.len()) {
                return Err(HistogramError::Malformed("length does not match".into()));
            }
        }
        let inner: hdrhistogram::Histogram<u64> = Deserializer::new()
            .deserialize(&mut &*bytes)
            .map_err(|e| HistogramError::Malformed(e.to_string()))?;
        let shape = (inner.low(), inner.high(), inner.sigfig());
        if shape != (Self::RANGE_US.0, Self::RANGE_US.1, DIGITS) {
            return Err(HistogramError::Malformed(format!(
                "range {}..{} at {} digits",
                shape.0, shape.1, shape.2
            )));
        }
        Ok(Self { inner })
    }

    fn upper_end(&self, value_us: u64) -> u64 {
        self.inner
            .highest_equivalent(value_us)
            .min(Self::RANGE_US.1)
    }
}

/// Why histogram bytes were refused.
#[derive(Debug, thiserror::Error)]
pub enum HistogramError {
    /// Not a V2 histogram, or of another range or precision.
    #[error("not a V2 histogram of 1 us to 1 h at 3 digits: {0}")]
    Malformed(String),
}

/// Reads an interval log with the crate's own parser: (tag, start in seconds, values) of each.
#[cfg(test)]
pub(super) fn foreign_intervals(log: &[u8]) -> Vec<(String, u64, Histogram)> {
    use base64::Engine as _;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    let mut found = Vec::new();
    for entry in IntervalLogIterator::new(log) {
        if let LogEntry::Interval(interval) = entry.expect("a good line") {
            let tag = interval.tag().expect("a tag").as_str().to_owned();
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(interval.encoded_histogram())
                .expect("base64");
            let histogram = Histogram::from_v2(&bytes).expect("own encoding");
            found.push((tag, interval.start_timestamp().as_secs(), histogram));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PERCENTILES: [f64; 9] = [0.1, 1.0, 25.0, 50.0, 90.0, 95.0, 99.0, 99.9, 100.0];

    fn of(values: &[u64]) -> Histogram {
        let mut h = Histogram::new();
        values.iter().for_each(|v| h.record_us(*v));
        h
    }

    /// The exact order statistic: the smallest value with at least p percent at or below it.
    fn exact(sorted: &[u64], tenths_of_percent: usize) -> u64 {
        let rank = (sorted.len() * tenths_of_percent).div_ceil(1000).max(1);
        sorted[rank - 1]
    }

    fn assert_accurate(values: &mut [u64]) {
        let h = of(values);
        values.sort_unstable();
        for p in PERCENTILES {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "percentiles of the table are whole tenths"
            )]
            let truth = exact(values, (p * 10.0).round() as usize);
            let told = h.percentile_us(p).expect("not empty");
            assert!(told >= truth, "p{p}: {told} below {truth}");
            assert!((told - truth) * 1000 <= truth, "p{p}: {told} vs {truth}");
        }
    }

    fn log_uniform(index: u64) -> u64 {
        let unit = crate::rng::unit(7, index, crate::rng::Purpose::Payload, 0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and 3.6e9"
        )]
        let value = (unit * 3.6e9_f64.ln()).exp() as u64;
        value.clamp(1, Histogram::RANGE_US.1)
    }

    /// 10^6 log-uniform values over the whole range; 10^5 where the build is slow.
    #[test]
    fn percentiles_are_within_a_thousandth_and_never_below_the_order_statistic() {
        let n = if cfg!(debug_assertions) {
            100_000
        } else {
            1_000_000
        };
        let mut values: Vec<u64> = (0..n).map(log_uniform).collect();
        assert_accurate(&mut values);
    }

    #[test]
    fn ranks_are_exact_where_floating_point_is_not() {
        // In floating point, 99.9 / 100 * 1000 is more than 999.
        let h = of(&(1..=1000).collect::<Vec<_>>());
        assert_eq!(h.percentile_us(99.9), Some(999));
        assert_eq!(h.percentile_us(50.0), Some(500));
        assert_eq!(h.percentile_us(50.01), Some(501));
        assert_eq!(h.percentile_us(100.0), Some(1000));
        assert_eq!(h.percentile_us(0.000_000_1), Some(1));
    }

    #[test]
    fn two_values_of_one_percent_are_told_apart_by_percentile() {
        // 99 % at 2 ms, 1 % at 200 ms: p98.5 reads 2 ms, p99.5 reads 200 ms.
        let mut values = vec![2_000; 99_000];
        values.extend(vec![200_000; 1_000]);
        let h = of(&values);
        assert_eq!(h.percentile_us(98.5), Some(2_000));
        assert_eq!(h.percentile_us(99.0), Some(2_000));
        assert_eq!(h.percentile_us(99.5), Some(200_063));
    }

    #[test]
    fn merged_percentiles_are_not_averages() {
        // A = 900 x 100 ms + 100 x 2 s, B = 100 x 100 ms: the mean of the two p95 is 1 050 ms.
        let mut a_values = vec![100_000; 900];
        a_values.extend(vec![2_000_000; 100]);
        let (mut a, b) = (of(&a_values), of(&[100_000; 100]));
        let averaged =
            (a.percentile_us(95.0).expect("some") + b.percentile_us(95.0).expect("some")) / 2;
        assert!((1_049_000..=1_051_100).contains(&averaged), "{averaged}");
        a.merge(&b);
        let merged = a.percentile_us(95.0).expect("some");
        assert!((2_000_000..=2_002_000).contains(&merged), "{merged}");
    }

    #[test]
    fn values_outside_the_range_are_counted_through_merge_and_encoding() {
        let mut h = of(&[0, 3_600_000_000, 3_600_000_001, u64::MAX]);
        assert_eq!((h.count(), h.out_of_range()), (4, 2));
        assert_eq!(h.min_max_us(), Some((1, 3_600_000_000)));
        assert_eq!(h.percentile_us(100.0), Some(3_600_000_000));
        h.merge(&h.clone());
        let back = Histogram::from_v2(&h.to_v2()).expect("own encoding");
        assert_eq!((back.count(), back.out_of_range()), (8, 4));
        h.clear();
        assert_eq!((h.count(), h.out_of_range()), (0, 0));
        assert_eq!(h, Histogram::new());
    }

    #[test]
    fn nothing_recorded_has_no_percentile() {
        let h = Histogram::new();
        assert_eq!(
            (h.percentile_us(99.0), h.mean_us(), h.min_max_us()),
            (None, None, None)
        );
    }

    #[test]
    fn other_bytes_are_refused() {
        let other =
            hdrhistogram::Histogram::<u64>::new_with_bounds(1, 1_000_000, 2).expect("shape");
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&other, &mut bytes)
            .expect("encodes");
        insta::assert_snapshot!(
            Histogram::from_v2(&bytes).expect_err("other range"),
            @"not a V2 histogram of 1 us to 1 h at 3 digits: range 1..1000000 at 2 digits"
        );
        let good = of(&[5, 6, 7_000_000]).to_v2();
        for cut in 0..good.len() {
            assert!(Histogram::from_v2(&good[..cut]).is_err(), "cut at {cut}");
        }
        let mut huge = good;
        huge[4..8].fill(0xff);
        insta::assert_snapshot!(
            Histogram::from_v2(&huge).expect_err("4 GiB announced"),
            @"not a V2 histogram of 1 us to 1 h at 3 digits: length does not match"
        );
    }

    fn values() -> impl Strategy<Value = Vec<u64>> {
        let value = prop_oneof![
            0u64..3_000,
            (0u32..32, any::<u64>()).prop_map(|(bits, v)| v & ((2 << bits) - 1)),
        ];
        prop::collection::vec(value, 1..400)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn accurate_for_any_values(mut values in values()) {
            for v in &mut values {
                *v = (*v).clamp(1, Histogram::RANGE_US.1);
            }
            assert_accurate(&mut values);
        }

        #[test]
        fn any_split_merged_in_any_order_equals_one_histogram(
            values in values(),
            workers in 1usize..16,
            salt: u64,
        ) {
            let mut parts = vec![Histogram::new(); workers];
            for (i, v) in values.iter().enumerate() {
                let h = crate::rng::hash(salt, i as u64, crate::rng::Purpose::Share, 0);
                parts[(h % workers as u64) as usize].record_us(*v);
            }
            let whole = of(&values);
            let mut forward = Histogram::new();
            parts.iter().for_each(|p| forward.merge(p));
            let mut backward = Histogram::new();
            for part in parts.iter().rev() {
                backward.merge(&Histogram::from_v2(&part.to_v2()).expect("own encoding"));
            }
            prop_assert_eq!(&forward, &whole);
            prop_assert_eq!(&backward, &whole);
            prop_assert_eq!(forward.to_v2(), whole.to_v2());
        }

        #[test]
        fn both_encodings_round_trip(values in values()) {
            let h = of(&values);
            prop_assert_eq!(&Histogram::from_v2(&h.to_v2()).expect("plain"), &h);
            prop_assert_eq!(&Histogram::from_v2(&h.to_v2_deflate()).expect("deflate"), &h);
        }

        #[test]
        fn mutated_bytes_never_panic(values in values(), at: prop::sample::Index, to: u8) {
            let mut bytes = of(&values).to_v2();
            let at = at.index(bytes.len());
            bytes[at] = to;
            let _ = Histogram::from_v2(&bytes);
        }
    }
}

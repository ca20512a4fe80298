//! HDR histograms: the only file that names `hdrhistogram`. Values are microseconds, 1 us to 1 h,
//! three significant digits; what lies outside is counted, never clamped in silence.

/// A histogram of microseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    _todo: (),
}

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
        Self { _todo: () }
    }

    /// Records a value. 0 is recorded as 1 us; a value above the range is recorded at its upper end
    /// and counted in [`Histogram::out_of_range`].
    pub fn record_us(&mut self, value_us: u64) {
        let _ = value_us;
        todo!("stats helper")
    }

    /// Number of recorded values.
    pub fn count(&self) -> u64 {
        todo!("stats helper")
    }

    /// Values that lay above the range.
    pub fn out_of_range(&self) -> u64 {
        todo!("stats helper")
    }

    /// The value at a percentile (0 < p <= 100): the smallest recorded bucket such that at least
    /// p percent of the values are at or below it; never below the true order statistic. `None` if empty.
    pub fn percentile_us(&self, p: f64) -> Option<u64> {
        let _ = p;
        todo!("stats helper")
    }

    /// Arithmetic mean in microseconds, `None` if empty.
    pub fn mean_us(&self) -> Option<f64> {
        todo!("stats helper")
    }

    /// Smallest and largest value, `None` if empty.
    pub fn min_max_us(&self) -> Option<(u64, u64)> {
        todo!("stats helper")
    }

    /// Adds all of `other`, losslessly.
    pub fn merge(&mut self, other: &Self) {
        let _ = other;
        todo!("stats helper")
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        todo!("stats helper")
    }

    /// HdrHistogram V2 encoding, for the wire and the interval log.
    pub fn to_v2(&self) -> Vec<u8> {
        todo!("stats helper")
    }

    /// Inverse of [`Histogram::to_v2`].
    ///
    /// # Errors
    /// If the bytes are not a V2 histogram of this range and precision.
    pub fn from_v2(bytes: &[u8]) -> Result<Self, HistogramError> {
        let _ = bytes;
        todo!("stats helper")
    }
}

/// Why histogram bytes were refused.
#[derive(Debug, thiserror::Error)]
pub enum HistogramError {
    /// Not a V2 histogram, or of another range or precision.
    #[error("not a V2 histogram of 1 us to 1 h at 3 digits: {0}")]
    Malformed(String),
}

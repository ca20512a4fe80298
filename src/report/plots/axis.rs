//! Scales, ticks and thinning of the timeline's plots.

use crate::report::units;

/// Ticks of a value axis, at most.
const VALUE_TICKS: f64 = 4.0;
/// Ticks of the time axis, at most.
const CLOCK_TICKS: f64 = 12.0;
/// Steps of the time axis, in seconds.
const CLOCK_STEPS_S: [f64; 17] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0,
    14_400.0, 43_200.0, 86_400.0,
];

/// From values to canvas units.
#[derive(Copy, Clone, Debug)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    pixel_from: i32,
    pixel_to: i32,
    is_log: bool,
}

impl Scale {
    /// Evenly from `from` to `to`.
    pub(super) const fn linear(from: f64, to: f64, pixel_from: i32, pixel_to: i32) -> Self {
        Self {
            from,
            to,
            pixel_from,
            pixel_to,
            is_log: false,
        }
    }

    /// By whole decades around `min` to `max`, both positive; at least one decade.
    pub(super) fn log(min: f64, max: f64, pixel_from: i32, pixel_to: i32) -> Self {
        let low = min.clamp(1.0, max.max(1.0)).log10().floor();
        let high = max.max(1.0).log10().ceil().max(low + 1.0);
        Self {
            from: 10f64.powf(low),
            to: 10f64.powf(high),
            pixel_from,
            pixel_to,
            is_log: true,
        }
    }

    /// Canvas unit of a value; values outside are put at the nearer end.
    pub(super) fn at(&self, value: f64) -> i32 {
        let value = value.clamp(self.from, self.to);
        let share = if self.is_log {
            (value / self.from).log10() / (self.to / self.from).log10()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        self.pixel_from + (share * f64::from(self.pixel_to - self.pixel_from)).round() as i32
    }
}

/// The next of 1, 2, 2.5, 5 x 10^k at or above `value`, with a tenth of headroom.
pub(super) fn round_up(value: f64) -> f64 {
    let wanted = value * 1.02;
    let decade = 10f64.powf(wanted.log10().floor());
    let steps = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let step = steps.iter().find(|s| *s * decade >= wanted);
    step.unwrap_or(&10.0) * decade
}

/// Round values from 0 to the end of a linear scale.
pub(super) fn value_ticks(scale: &Scale) -> Vec<f64> {
    let decade = 10f64.powf((scale.to / VALUE_TICKS).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let fits = |step: &&f64| scale.to / (**step * decade) <= VALUE_TICKS + 0.001;
    let step = steps.iter().find(fits).unwrap_or(&10.0) * decade;
    let n = (scale.to / step + 0.001).floor() as u32;
    (0..=n).map(|i| f64::from(i) * step).collect()
}

/// The decades of a logarithmic scale.
pub(super) fn decade_ticks(scale: &Scale) -> Vec<f64> {
    let (low, high) = (
        scale.from.log10().round() as i32,
        scale.to.log10().round() as i32,
    );
    (low..=high).map(|power| 10f64.powi(power)).collect()
}

/// Label of a decade in microseconds: `100 µs`, `10 ms`, `1,000 s`.
pub(super) fn decade(us: f64) -> String {
    let (by, unit) = match us {
        us if us < 1e3 => (1.0, "µs"),
        us if us < 1e6 => (1e3, "ms"),
        _ => (1e6, "s"),
    };
    format!("{} {unit}", units::count((us / by).round() as u64))
}

/// Round times from 0 to `end_s`.
pub(super) fn clock_ticks(end_s: f64) -> Vec<f64> {
    let step = CLOCK_STEPS_S.iter().find(|s| end_s / **s <= CLOCK_TICKS);
    let step = step
        .copied()
        .unwrap_or_else(|| (end_s / CLOCK_TICKS / 86_400.0).ceil() * 86_400.0);
    let n = (end_s / step + 0.001).floor() as u32;
    (0..=n).map(|i| f64::from(i) * step).collect()
}

/// `10k`, `2.5k`, `1M`: labels of a value axis.
pub(super) fn short(value: f64) -> String {
    let scaled = |by: f64, unit: &str| {
        let text = format!("{:.2}", value / by);
        format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    if value >= 1e6 {
        scaled(1e6, "M")
    } else if value >= 10_000.0 {
        scaled(1e3, "k")
    } else if value.fract() == 0.0 {
        units::count(value as u64)
    } else {
        scaled(1.0, "")
    }
}

/// Splits a line at its gaps and keeps of each of `columns` only the smallest and the largest
/// value, in their order: what the eye would see of all of them.
pub(super) fn thin(points: &[(f64, Option<f64>)], columns: usize) -> Vec<Vec<(f64, f64)>> {
    let per_column = points.len().div_ceil(columns.max(1)).max(1);
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut piece = Vec::new();
    for column in points.chunks(per_column) {
        let known: Vec<(f64, f64)> = (column.iter())
            .filter_map(|&(x, y)| y.map(|y| (x, y)))
            .collect();
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let (low, high) = (known.iter().min_by(by_value), known.iter().max_by(by_value));
        let (Some(&low), Some(&high)) = (low, high) else {
            if !piece.is_empty() {
                pieces.push(std::mem::take(&mut piece));
            }
            continue;
        };
        let (first, second) = if low.0 <= high.0 {
            (low, high)
        } else {
            (high, low)
        };
        piece.push(first);
        if second.0 > first.0 {
            piece.push(second);
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_and_tick_at_round_values() {
        assert_eq!(round_up(10_000.0), 12_000.0);
        assert_eq!(round_up(1.0), 1.2);
        assert_eq!(
            value_ticks(&Scale::linear(0.0, 12_000.0, 0, 1)),
            [0.0, 5_000.0, 10_000.0]
        );
        assert_eq!(clock_ticks(145.0).len(), 10);
        assert_eq!(clock_ticks(145.0)[1], 15.0);
        assert_eq!(
            decade_ticks(&Scale::log(380.0, 20_000_000.0, 0, 1)),
            [100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8]
        );
        assert_eq!(
            [10.0, 2_500.0, 25_000.0, 1e6].map(short),
            ["10", "2,500", "25k", "1M"]
        );
    }

    #[test]
    fn thinning_keeps_extremes_and_gaps() {
        let mut points: Vec<(f64, Option<f64>)> = (0..10_000u32)
            .map(|i| (f64::from(i), Some(f64::from(i % 7))))
            .collect();
        points[5_001].1 = Some(99.0);
        for gap in &mut points[2_000..3_000] {
            gap.1 = None;
        }
        let pieces = thin(&points, 1_000);
        assert_eq!(pieces.len(), 2);
        let kept: Vec<(f64, f64)> = pieces.concat();
        assert!(kept.len() <= 2_000, "{}", kept.len());
        assert!(kept.contains(&(5_001.0, 99.0)));
        assert!(kept.windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn a_scale_keeps_values_on_the_canvas() {
        let log = Scale::log(380.0, 20_000.0, 1_000, 0);
        assert_eq!(log.at(100.0), 1_000);
        assert_eq!(log.at(100_000.0), 0);
        assert_eq!(log.at(f64::MAX), 0);
        assert_eq!(log.at(0.0), 1_000);
    }
}

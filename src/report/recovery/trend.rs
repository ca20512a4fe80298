//! Whether a series rises: Mann, H.B. (1945), Econometrica 13, 245, and Kendall, M.G. (1975), Rank
//! Correlation Methods, with the correction for ties; and by how much, by least squares.

/// Two-sided 95 % point of the normal distribution.
const Z_95: f64 = 1.959_964;

/// The trend of a series.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) struct Trend {
    /// Rises, with 95 % confidence.
    pub(super) rises: bool,
    /// Least squares, per unit of x.
    pub(super) slope: f64,
}

/// The trend of `(x, y)` in the order of x; none of fewer than four points.
pub(super) fn of(points: &[(f64, f64)]) -> Trend {
    if points.len() < 4 {
        return Trend {
            rises: false,
            slope: 0.0,
        };
    }
    Trend {
        rises: mann_kendall_z(points) > Z_95,
        slope: slope(points),
    }
}

/// The normal score of Mann and Kendall; positive if later values are higher.
fn mann_kendall_z(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mut s = 0.0;
    for (index, (_, earlier)) in points.iter().enumerate() {
        for (_, later) in &points[index + 1..] {
            s += f64::from(i8::from(later > earlier) - i8::from(later < earlier));
        }
    }
    let mut sorted: Vec<f64> = points.iter().map(|(_, y)| *y).collect();
    sorted.sort_by(f64::total_cmp);
    let of_ties = |t: f64| t * (t - 1.0) * (2.0 * t + 5.0);
    let ties: f64 = (sorted.chunk_by(|a, b| a == b))
        .map(|tied| of_ties(tied.len() as f64))
        .sum();
    let variance = (of_ties(n) - ties) / 18.0;
    if variance <= 0.0 || s == 0.0 {
        return 0.0;
    }
    (s - f64::signum(s)) / variance.sqrt()
}

fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / n;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / n;
    let over: f64 = points
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum();
    let under: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if under > 0.0 { over / under } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(ys: &[f64]) -> Vec<(f64, f64)> {
        (0u32..).map(f64::from).zip(ys.iter().copied()).collect()
    }

    #[test]
    fn a_trend_is_told_from_noise_and_from_a_plateau() {
        for (ys, rises) in [
            (&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..], true),
            (&[6.0, 5.0, 4.0, 3.0, 2.0, 1.0], false),
            (&[2.0, 2.0, 2.0, 2.0, 2.0, 2.0], false),
            (&[2.0, 3.0, 2.0, 3.0, 2.0, 3.0], false),
            // Six values with one exchange: S = 13, z = 12 / sqrt(28.33).
            (&[1.0, 3.0, 2.0, 4.0, 5.0, 6.0], true),
            // Too few to tell.
            (&[1.0, 2.0, 3.0], false),
            (&[], false),
        ] {
            assert_eq!(of(&points(ys)).rises, rises, "{ys:?}");
        }
    }

    /// Worked by hand: n = 6, S = 15, variance 6 x 5 x 17 / 18 = 28.33, z = 14 / 5.323.
    #[test]
    fn the_score_is_that_of_the_formula() {
        let rising = points(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert!((mann_kendall_z(&rising) - 2.630).abs() < 0.001);
        // With a tie of three: S = 12, variance (510 - 3 x 2 x 11) / 18 = 24.67.
        let tied = points(&[1.0, 2.0, 2.0, 2.0, 5.0, 6.0]);
        assert!((mann_kendall_z(&tied) - 11.0 / 24.667f64.sqrt()).abs() < 0.001);
        assert!((of(&rising).slope - 1.0).abs() < 1e-12);
    }
}

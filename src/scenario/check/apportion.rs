//! Splitting a number of devices by shares so that the parts are whole and sum up exactly.

/// `sizes` scaled to sum up to `wanted` by largest remainder, each at least 1.
pub(super) fn scale(sizes: &[u32], wanted: u32) -> Vec<u32> {
    let total: f64 = sizes.iter().map(|size| f64::from(*size)).sum();
    let shares: Vec<f64> = sizes.iter().map(|size| f64::from(*size) / total).collect();
    let mut scaled = apportion(&shares, wanted);
    for index in 0..scaled.len() {
        if scaled[index] == 0 {
            let largest = (0..scaled.len())
                .max_by_key(|i| (scaled[*i], std::cmp::Reverse(*i)))
                .expect("there is at least one cohort");
            scaled[largest] -= 1;
            scaled[index] = 1;
        }
    }
    scaled
}

/// `all` split by `shares` (which sum up to 1) into whole numbers that sum up to `all`, by largest
/// remainder; ties go to the first.
pub(super) fn apportion(shares: &[f64], all: u32) -> Vec<u32> {
    let exact: Vec<f64> = shares.iter().map(|share| share * f64::from(all)).collect();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and `all`"
    )]
    // A hair is added so that 0.7 * 10 = 6.999… counts as 7.
    let mut parts: Vec<u32> = exact
        .iter()
        .map(|part| (part + 1e-7).floor() as u32)
        .collect();
    let mut rest = i64::from(all) - parts.iter().map(|part| i64::from(*part)).sum::<i64>();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|a, b| {
        let remainder = |i: usize| exact[i] - f64::from(parts[i]);
        remainder(*b).total_cmp(&remainder(*a)).then(a.cmp(b))
    });
    for index in order.into_iter().cycle().take(shares.len() * 2) {
        if rest <= 0 {
            break;
        }
        parts[index] += 1;
        rest -= 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scaling_keeps_the_mix() {
        assert_eq!(scale(&[7000, 3000], 1000), [700, 300]);
        assert_eq!(scale(&[7000, 3000], 1_000_000), [700_000, 300_000]);
        assert_eq!(scale(&[7000, 3000], 3), [2, 1]);
        assert_eq!(scale(&[1, 1, 998], 3), [1, 1, 1]);
        assert_eq!(apportion(&[0.7, 0.3], 10), [7, 3]);
        assert_eq!(apportion(&[0.5, 0.5], 7), [4, 3]);
    }

    proptest! {
        #[test]
        fn scaling_is_exact(sizes in proptest::collection::vec(1u32..1_000_000, 1..20), more in 0u32..9_000_000) {
            let least = u32::try_from(sizes.len()).expect("small");
            let wanted = least + more;
            let scaled = scale(&sizes, wanted);
            prop_assert_eq!(scaled.iter().sum::<u32>(), wanted);
            prop_assert!(scaled.iter().all(|part| *part >= 1));
        }
    }
}

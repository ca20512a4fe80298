//! Where something stops to hold: doubling or halving until it is bracketed, then bisection. Each
//! look is a whole run, so looks are few and none is made twice.

use std::ops::RangeInclusive;

/// Most looks of one search: 31 doublings of a u32 and as many halvings of the bracket.
const LOOKS_MAX: u32 = 64;

/// Both sides of an edge.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Edge {
    /// The largest value looked at for which it holds; `None` if it held for none.
    pub holds: Option<u32>,
    /// The smallest value looked at for which it does not; `None` if it held for all.
    pub fails: Option<u32>,
}

/// The edge of `holds` within `range`, to within `precision` (a share, such as 0.05) of the value
/// that holds, looking at `first` first. It is taken to hold below its edge and not above.
///
/// # Errors
/// The first error of `holds`, which ends the search.
pub(super) fn find<E>(
    range: RangeInclusive<u32>,
    first: u32,
    precision: f64,
    mut holds: impl FnMut(u32) -> Result<bool, E>,
) -> Result<Edge, E> {
    let mut edge = Edge::default();
    let mut at = first.clamp(*range.start(), *range.end());
    for _ in 0..LOOKS_MAX {
        if holds(at)? {
            edge.holds = Some(at);
        } else {
            edge.fails = Some(at);
        }
        at = match next(&edge, &range, precision) {
            Some(next) => next,
            None => break,
        };
    }
    Ok(edge)
}

/// The value to look at next; `None` if the edge is known well enough.
fn next(edge: &Edge, range: &RangeInclusive<u32>, precision: f64) -> Option<u32> {
    match (edge.holds, edge.fails) {
        (None, None) => Some(*range.start()),
        (Some(low), None) => {
            (low < *range.end()).then(|| low.saturating_mul(2).clamp(low + 1, *range.end()))
        }
        (None, Some(high)) => (high > *range.start()).then(|| (high / 2).max(*range.start())),
        (Some(low), Some(high)) => {
            let gap = high.saturating_sub(low);
            let close = f64::from(gap) <= precision * f64::from(low);
            (gap > 1 && !close).then(|| low + gap / 2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    /// Searches for a known edge; also how many looks that took, none of them twice.
    fn search(range: RangeInclusive<u32>, first: u32, precision: f64, last: u32) -> (Edge, usize) {
        let mut seen = BTreeSet::new();
        let found = find(range.clone(), first, precision, |at| {
            assert!(range.contains(&at), "{at} is outside of {range:?}");
            assert!(seen.insert(at), "{at} was looked at before");
            Ok::<bool, Infallible>(at <= last)
        });
        let Ok(edge) = found;
        (edge, seen.len())
    }

    #[test]
    fn the_edge_is_bracketed_from_either_side() {
        let exact = |first| search(1..=1_000_000, first, 0.0, 30_000).0;
        let edge = Edge {
            holds: Some(30_000),
            fails: Some(30_001),
        };
        assert_eq!(exact(1_000), edge);
        assert_eq!(exact(900_000), edge);
        assert_eq!(exact(30_000), edge);
        assert_eq!(exact(30_001), edge);
    }

    #[test]
    fn an_edge_outside_of_the_range_is_told_from_one_inside() {
        let (all, _) = search(10..=5_000, 100, 0.05, 9_999);
        assert_eq!((all.holds, all.fails), (Some(5_000), None));
        let (none, _) = search(10..=5_000, 100, 0.05, 3);
        assert_eq!((none.holds, none.fails), (None, Some(10)));
    }

    #[test]
    fn an_error_ends_the_search() {
        let mut looks = 0;
        let found = find(1..=100, 50, 0.0, |_| {
            looks += 1;
            Err::<bool, &str>("broken")
        });
        assert_eq!((found, looks), (Err("broken"), 1));
    }

    proptest! {
        #[test]
        fn as_near_as_asked_for_and_with_few_looks(last in 1u32..1_000_000, first in 1u32..1_000_000, percent in 1u32..20) {
            let precision = f64::from(percent) / 100.0;
            let (edge, looks) = search(1..=1_000_000, first, precision, last);
            let (Some(holds), Some(fails)) = (edge.holds, edge.fails) else {
                return Err(TestCaseError::fail("both sides exist"));
            };
            prop_assert!(holds <= last && last < fails);
            let gap = f64::from(fails - holds);
            prop_assert!(gap <= (precision * f64::from(holds)).max(1.0));
            prop_assert!(looks <= 40, "{} looks", looks);
        }
    }
}

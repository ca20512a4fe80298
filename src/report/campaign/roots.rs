//! What the updates that ended badly have in common: failure rates of parts of the targets against the
//! rest, so that a bad build on one hardware revision stands out by itself.

use crate::report::data::RunData;
use crate::report::findings::{is_bad, is_ended};
use crate::report::value::Bucket;
use crate::report::words;
use crate::stats::results::ResultRow;
use std::collections::BTreeMap;

/// A part with fewer ended updates is ranked after all others: a few failures in it say little.
pub(in crate::report) const BUCKET_FLOOR: u64 = 20;
/// Parts that are told.
const SHOWN: usize = 12;
/// Standard deviations of a two-sided 95 % interval.
const Z: f64 = 1.959_964;

/// A part of the targets: those with an attribute value, with a firmware to come from, or with both.
type Key<'a> = (Option<(&'a str, &'a str)>, Option<Option<u16>>);

/// Ended updates, and how many of them ended badly.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    ended: u64,
    bad: u64,
}

/// The parts with failures, those that stand out most first: by the lift that is certain, which is the
/// lower end of the failure rate inside over the upper end of the one outside (Wilson's 95 % intervals).
/// So 1 of 1 does not rank above 40 of 50, and a rate of zero outside leaves a finite bound.
pub(super) fn buckets(run: &RunData, index: usize, rows: &[ResultRow]) -> Vec<Bucket> {
    let mut tallies: BTreeMap<Key<'_>, Tally> = BTreeMap::new();
    let mut all = Tally::default();
    for row in rows.iter().filter(|row| is_ended(row.outcome)) {
        let bad = u64::from(is_bad(row.outcome));
        all.ended += 1;
        all.bad += bad;
        for key in keys(run, row) {
            let tally = tallies.entry(key).or_default();
            tally.ended += 1;
            tally.bad += bad;
        }
    }
    let found = tallies
        .iter()
        .filter(|(_, tally)| tally.bad > 0 && tally.ended < all.ended)
        .filter(|(key, tally)| !is_told_by_another(key, **tally, &tallies));
    let mut buckets: Vec<Bucket> = found
        .map(|(key, tally)| bucket(label(run, index, key), *tally, all))
        .collect();
    buckets.sort_by(|a, b| {
        let is_big = |bucket: &Bucket| bucket.ended >= BUCKET_FLOOR;
        (is_big(b).cmp(&is_big(a)))
            .then(b.lift_at_least.total_cmp(&a.lift_at_least))
            .then(b.bad.cmp(&a.bad))
    });
    buckets.truncate(SHOWN);
    buckets
}

fn keys<'r>(run: &'r RunData, row: &ResultRow) -> Vec<Key<'r>> {
    let mut keys = vec![(None, Some(row.from))];
    if row.device >= run.plan.devices() {
        return keys;
    }
    let cohort = &run.plan.cohorts[run.plan.cohort_of(row.device)];
    let mut values: Vec<(&str, &str)> = vec![("cohort", &cohort.name)];
    for attribute in &cohort.attributes {
        if attribute.name != run.plan.firmware.attribute
            && let Some(value) = run.plan.attribute(row.device, &attribute.name)
        {
            values.push((&attribute.name, value));
        }
    }
    for value in values {
        keys.push((Some(value), None));
        keys.push((Some(value), Some(row.from)));
    }
    keys
}

/// Whether the same devices are told of more exactly: all with an attribute value come from one
/// firmware.
fn is_told_by_another(key: &Key<'_>, tally: Tally, all: &BTreeMap<Key<'_>, Tally>) -> bool {
    let (Some(value), None) = key else {
        return false;
    };
    all.iter().any(|((other, from), other_tally)| {
        *other == Some(*value) && from.is_some() && *other_tally == tally
    })
}

fn label(run: &RunData, index: usize, key: &Key<'_>) -> String {
    let campaign = &run.plan.campaigns[index];
    let path = |from: Option<u16>| {
        let to = words::firmware(&run.plan, Some(campaign.image.version));
        format!("{} → {to}", words::firmware(&run.plan, from))
    };
    match key {
        (Some((name, value)), Some(from)) => format!("{name} {value}, {}", path(*from)),
        (Some((name, value)), None) => format!("{name} {value}"),
        (None, Some(from)) => path(*from),
        (None, None) => "all".to_owned(),
    }
}

fn bucket(label: String, inside: Tally, all: Tally) -> Bucket {
    let outside = Tally {
        ended: all.ended - inside.ended,
        bad: all.bad - inside.bad,
    };
    let rate = |tally: Tally| tally.bad as f64 / tally.ended as f64;
    let (low, _) = wilson(inside.bad, inside.ended);
    let (_, high) = wilson(outside.bad, outside.ended);
    let lift_at_least = low / high;
    Bucket {
        bucket: label,
        ended: inside.ended,
        bad: inside.bad,
        rate: rate(inside),
        ended_outside: outside.ended,
        bad_outside: outside.bad,
        rate_outside: rate(outside),
        lift: (outside.bad > 0).then(|| rate(inside) / rate(outside)),
        lift_at_least,
        stands_out: inside.ended >= BUCKET_FLOOR && lift_at_least > 1.0,
    }
}

/// Wilson's 95 % interval of a ratio; `of` is above zero.
fn wilson(bad: u64, of: u64) -> (f64, f64) {
    let (n, p) = (of as f64, bad as f64 / of as f64);
    let z2 = Z * Z;
    let middle = p + z2 / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    (
        ((middle - half) / scale).max(0.0),
        ((middle + half) / scale).min(1.0),
    )
}

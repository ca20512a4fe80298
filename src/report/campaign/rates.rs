//! How fast a campaign notified its targets, rung by rung, against the plan.

use crate::report::data::RunData;
use crate::report::findings::CampaignFindings;
use crate::report::value::{Rung, Wave};
use crate::stats::results::{CampaignMark, ResultRow};
use crate::time::Instant;

/// Bars of the picture of notifications.
const BINS: f64 = 200.0;

/// The rungs of a constant or exponential rollout. A rung's rate is that of the devices that were
/// notified in it: one less than their number over the time from the first to the last, pauses left
/// out. It has none below two devices.
pub(super) fn rungs(run: &RunData, found: &CampaignFindings, rows: &[ResultRow]) -> Vec<Rung> {
    let mut notified: Vec<Instant> = rows.iter().filter_map(|row| row.offered).collect();
    notified.sort_unstable();
    let mut rungs = Vec::new();
    let starts: Vec<(Instant, f64)> = found
        .marks
        .iter()
        .filter_map(|(at, mark)| match mark {
            CampaignMark::Rung { per_minute, .. } => Some((*at, *per_minute)),
            CampaignMark::Started { .. }
            | CampaignMark::Wave { .. }
            | CampaignMark::Paused
            | CampaignMark::Resumed
            | CampaignMark::Halted { .. }
            | CampaignMark::Cancelled { .. }
            | CampaignMark::Completed => None,
        })
        .collect();
    let places = places(found, &starts, &notified);
    for (index, (at, per_minute)) in starts.iter().enumerate() {
        let (from, to) = (places[index], places[index + 1].max(places[index]));
        let of_rung = &notified[from..to];
        let measured = match of_rung {
            [first, .., last] => {
                let took_s = last.since(*first).as_secs_f64() - paused_s(run, found, *first, *last);
                (took_s > 0.0).then(|| (of_rung.len() - 1) as f64 / took_s * 60.0)
            }
            [] | [_] => None,
        };
        rungs.push(Rung {
            at_s: run.seconds_of(*at),
            planned_per_min: *per_minute,
            notified: of_rung.len() as u64,
            measured_per_min: measured,
            deviation: measured.map(|rate| rate / per_minute - 1.0),
        });
    }
    rungs
}

/// The place in the order of notification at which each rung begins, and the number of all. The mark of
/// a rung says how many were notified before; instants cannot tell, as rows are rounded down.
fn places(found: &CampaignFindings, starts: &[(Instant, f64)], notified: &[Instant]) -> Vec<usize> {
    let mut places: Vec<usize> = found
        .marks
        .iter()
        .filter_map(|(_, mark)| match mark {
            CampaignMark::Rung { notified: n, .. } => Some((*n as usize).min(notified.len())),
            CampaignMark::Started { .. }
            | CampaignMark::Wave { .. }
            | CampaignMark::Paused
            | CampaignMark::Resumed
            | CampaignMark::Halted { .. }
            | CampaignMark::Cancelled { .. }
            | CampaignMark::Completed => None,
        })
        .collect();
    debug_assert_eq!(places.len(), starts.len(), "one place per rung");
    places.push(notified.len());
    places
}

/// Seconds between the two instants in which nobody got a turn by order.
fn paused_s(run: &RunData, found: &CampaignFindings, from: Instant, to: Instant) -> f64 {
    let (from_s, to_s) = (run.seconds_of(from), run.seconds_of(to));
    let pauses = super::pauses_s(run, found, to_s);
    let overlap = |(a, b): (f64, f64)| (b.min(to_s) - a.max(from_s)).max(0.0);
    pauses.into_iter().map(overlap).sum()
}

/// The waves, or packs, of a rollout.
pub(super) fn waves(run: &RunData, found: &CampaignFindings) -> Vec<Wave> {
    let mut waves: Vec<Wave> = Vec::new();
    for (at, mark) in &found.marks {
        if let CampaignMark::Wave { index, notified } = mark {
            waves.push(Wave {
                index: u64::from(*index),
                at_s: run.seconds_of(*at),
                notified_before: u64::from(*notified),
            });
        }
    }
    waves
}

/// Notifications per minute over the campaign, in equal bins of at least a second: end of the bin from
/// T0, and the rate in it.
pub(super) fn notified(
    run: &RunData,
    rows: &[ResultRow],
    start_s: f64,
    end_s: f64,
) -> Vec<(f64, f64)> {
    let width_s = ((end_s - start_s) / BINS).ceil().max(1.0);
    let bins = ((end_s - start_s) / width_s).ceil().max(1.0) as usize;
    let mut counts = vec![0u64; bins];
    for at in rows.iter().filter_map(|row| row.offered) {
        let bin = ((run.seconds_of(at) - start_s) / width_s).floor().max(0.0) as usize;
        counts[bin.min(bins - 1)] += 1;
    }
    let counts = counts.into_iter().enumerate();
    counts
        .map(|(bin, n)| {
            let end_s = start_s + width_s * (bin + 1) as f64;
            (end_s, n as f64 / width_s * 60.0)
        })
        .collect()
}

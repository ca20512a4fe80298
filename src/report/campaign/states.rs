//! In which state how many targets were, over the time of a campaign.

use crate::report::data::RunData;
use crate::report::value::StatePoint;
use crate::stats::results::{Outcome, ResultRow};

/// Instants that are shown.
const SAMPLES: usize = 300;
/// States, in the order in which they are stacked.
const STATES: usize = StatePoint::NAMES.len();

/// The states at equal steps from the campaign's start to its end.
pub(super) fn over_time(
    run: &RunData,
    rows: &[ResultRow],
    start_s: f64,
    end_s: f64,
) -> Vec<StatePoint> {
    if rows.is_empty() || end_s <= start_s {
        return Vec::new();
    }
    let step_s = (end_s - start_s) / (SAMPLES - 1) as f64;
    // Change of each state's number from the sample before.
    let mut changes = vec![[0i64; STATES]; SAMPLES + 1];
    for row in rows {
        let mut since = 0;
        for (at_s, from, to) in moves(run, row) {
            // The first sample at or after the move.
            let sample = ((at_s - start_s) / step_s - 1e-9).ceil().max(0.0) as usize;
            let sample = sample.clamp(since, SAMPLES);
            changes[since][from] += 1;
            changes[sample][from] -= 1;
            since = sample;
            if to >= StatePoint::FIRST_FINAL {
                changes[since][to] += 1;
            }
        }
    }
    let mut counts = [0i64; STATES];
    let samples = changes.iter().take(SAMPLES).enumerate();
    samples
        .map(|(index, change)| {
            for (count, change) in counts.iter_mut().zip(change) {
                *count += change;
            }
            StatePoint {
                at_s: start_s + step_s * index as f64,
                counts: counts.map(|n| n.max(0).unsigned_abs()),
            }
        })
        .collect()
}

/// When a target left which state for which, in order: waiting, notified, downloading, installing,
/// rebooting and testing, then its end.
fn moves(run: &RunData, row: &ResultRow) -> Vec<(f64, usize, usize)> {
    let marks = [row.offered, row.started, row.downloaded, row.rebooted];
    let mut moves = Vec::with_capacity(5);
    let mut state = 0;
    for (next, at) in marks.iter().enumerate() {
        if let Some(at) = at {
            moves.push((run.seconds_of((*at).min(row.finished)), state, next + 1));
            state = next + 1;
        }
    }
    let end = match row.outcome {
        Outcome::Confirmed => 5,
        Outcome::RolledBack | Outcome::Failed | Outcome::Bricked | Outcome::TimedOut => 6,
        Outcome::Rejected | Outcome::Cancelled | Outcome::NeverReached | Outcome::Unfinished => 7,
    };
    moves.push((run.seconds_of(row.finished), state, end));
    moves
}

//! What the operator says of each target held against what the device says itself.

use crate::report::data::RunData;
use crate::report::findings;
use crate::report::value::{Disagreement, Witnesses};
use crate::report::words;
use crate::stats::results::{Outcome, ResultRow};
use std::collections::BTreeMap;

/// How the two words on one device go together.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Accord {
    /// They say the same.
    Same,
    /// They differ as they may if words were lost on the way, or came too late.
    Explained,
    /// Both say that it was not confirmed, in different words.
    OtherWord,
    /// One of them is wrong.
    Contradiction,
}

/// All targets of campaign `index` that the operator runs, and devices that speak without being one.
pub(in crate::report) fn agreement(run: &RunData, index: usize) -> Witnesses {
    let mut result = Witnesses::default();
    let Some(found) = run.findings.campaigns.get(index) else {
        return result;
    };
    let words_of = findings::last_words(&found.devices);
    let mut operators: BTreeMap<u32, &ResultRow> = BTreeMap::new();
    for row in &found.operator {
        operators.insert(row.device, row);
    }
    let mut kinds: BTreeMap<(bool, Outcome, Option<Outcome>), (u64, u32)> = BTreeMap::new();
    for (device, row) in &operators {
        let own = words_of.get(device).map(|word| word.outcome);
        let is_explained = match accord(row.outcome, own) {
            Accord::Same => {
                result.agree += 1;
                continue;
            }
            Accord::Explained => {
                result.explained += 1;
                true
            }
            Accord::OtherWord => {
                result.other_words += 1;
                true
            }
            Accord::Contradiction => {
                result.contradictions += 1;
                false
            }
        };
        let entry = kinds.entry((is_explained, row.outcome, own));
        entry.or_insert((0, *device)).0 += 1;
    }
    let strangers = words_of
        .keys()
        .filter(|device| !operators.contains_key(device));
    result.strangers = strangers.count() as u64;
    result.disagreements = kinds
        .into_iter()
        .map(
            |((explained, operator, own), (count, example))| Disagreement {
                explained,
                operator: operator.word(),
                device: own.map_or("nothing", Outcome::word),
                count,
                example: words::device(&run.plan, example),
            },
        )
        .collect();
    result
}

/// `device` is `None` if the device told of no update that ended.
const fn accord(operator: Outcome, device: Option<Outcome>) -> Accord {
    match (operator, device) {
        // Nothing began, or nothing was heard of it again.
        (
            Outcome::NeverReached | Outcome::Cancelled | Outcome::TimedOut | Outcome::Bricked,
            None,
        )
        | (Outcome::TimedOut, Some(Outcome::TimedOut | Outcome::Unfinished))
        | (Outcome::Cancelled, Some(Outcome::Cancelled))
        | (Outcome::NeverReached, Some(Outcome::NeverReached))
        | (Outcome::Confirmed, Some(Outcome::Confirmed))
        | (Outcome::RolledBack, Some(Outcome::RolledBack))
        | (Outcome::Failed, Some(Outcome::Failed))
        | (Outcome::Rejected, Some(Outcome::Rejected))
        | (Outcome::Bricked, Some(Outcome::Bricked)) => Accord::Same,
        // Its last words were lost, or came after the operator had closed its row.
        (
            Outcome::NeverReached | Outcome::Cancelled | Outcome::TimedOut | Outcome::Bricked,
            Some(_),
        ) => Accord::Explained,
        // The firmware runs or it does not.
        (Outcome::Confirmed, _)
        | (
            Outcome::RolledBack | Outcome::Failed | Outcome::Rejected,
            Some(Outcome::Confirmed) | None,
        )
        | (Outcome::Unfinished, _) => Accord::Contradiction,
        (
            Outcome::RolledBack | Outcome::Failed | Outcome::Rejected,
            Some(
                Outcome::RolledBack
                | Outcome::Failed
                | Outcome::Rejected
                | Outcome::Bricked
                | Outcome::TimedOut
                | Outcome::Cancelled
                | Outcome::NeverReached
                | Outcome::Unfinished,
            ),
        ) => Accord::OtherWord,
    }
}

//! What ends a campaign early: executions that have ended by themselves, and the rules about them.

use crate::scenario::campaign::{AbortRule, Failure};
use crate::stats::results::Outcome;
use crate::time::Instant;

/// Executions that have ended by themselves.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    executed: u32,
    failed: u32,
    rejected: u32,
    timed_out: u32,
}

impl Tally {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Confirmed => {}
            Outcome::RolledBack | Outcome::Failed => self.failed += 1,
            Outcome::Rejected => self.rejected += 1,
            Outcome::Bricked | Outcome::TimedOut => self.timed_out += 1,
            // Somebody else ended these, or nobody.
            Outcome::Cancelled | Outcome::NeverReached | Outcome::Unfinished => return,
        }
        self.executed += 1;
    }

    const fn against(self, failure: Failure) -> u32 {
        match failure {
            Failure::Failed => self.failed,
            Failure::Rejected => self.rejected,
            Failure::TimedOut => self.timed_out,
            Failure::All => self.failed + self.rejected + self.timed_out,
        }
    }

    /// A share that is written as it is computed here compares equal: division rounds correctly.
    fn fulfils(self, rule: &AbortRule) -> bool {
        let share = f64::from(self.against(rule.failure)) / f64::from(self.executed);
        self.executed >= rule.min_executed.max(1) && share >= rule.threshold
    }
}

/// A rule that holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) rule: usize,
    pub(super) executed: u32,
    pub(super) failures: u32,
    /// Since when.
    pub(super) crossed: Instant,
}

/// The rules of one campaign over what has ended.
#[derive(Debug)]
pub(super) struct Aborts {
    tally: Tally,
    /// Each with the end since which it has held.
    rules: Vec<(AbortRule, Option<Instant>)>,
}

impl Aborts {
    pub(super) fn new(rules: &[AbortRule]) -> Self {
        Self {
            tally: Tally::default(),
            rules: rules.iter().map(|rule| (*rule, None)).collect(),
        }
    }

    /// An execution ended at `at`.
    pub(super) fn ended(&mut self, outcome: Outcome, at: Instant) {
        self.tally.add(outcome);
        for (rule, since) in &mut self.rules {
            *since = match (self.tally.fulfils(rule), *since) {
                (true, None) => Some(at),
                (true, Some(crossed)) => Some(crossed),
                (false, _) => None,
            };
        }
    }

    /// The first rule that holds.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let holding = |(index, (rule, since)): (usize, &(AbortRule, Option<Instant>))| {
            Some(Verdict {
                rule: index,
                executed: self.tally.executed,
                failures: self.tally.against(rule.failure),
                crossed: (*since)?,
            })
        };
        self.rules.iter().enumerate().find_map(holding)
    }

    pub(super) fn are_none(&self) -> bool {
        self.rules.is_empty()
    }
}

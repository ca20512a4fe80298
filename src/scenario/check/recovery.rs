//! How recovery is judged: the rule of the file, and the word that an objective asks for.

use super::Checker;
use crate::scenario::located::At;
use crate::scenario::mirror::{self, RecoveryWord};
use crate::scenario::recovery::{RecoveryRule, RecoveryVerdict};
use crate::scenario::slo::{Bound, Indicator};

impl Checker<'_> {
    pub(super) fn recovery(&mut self, file: &mirror::File) -> RecoveryRule {
        let mut rule = RecoveryRule::default();
        let Some(recovery) = &file.recovery else {
            return rule;
        };
        rule.limit_rate_per_s = recovery.limit_rate.as_ref().map(|rate| rate.value.0);
        if let Some(hold) = &recovery.hold {
            rule.hold = hold.value.0;
            if rule.hold < RecoveryRule::HOLD_MIN {
                self.error(
                    hold.span,
                    "too short to tell a recovery from a lucky moment",
                    "write at least 10s",
                );
            }
        }
        if let Some(within) = &recovery.within {
            rule.within = Some(self.positive(Some(within), within.value.0));
        }
        rule
    }

    /// `is:` and no limit, which is what `recovery.verdict` is held against.
    pub(super) fn verdict_bound(&mut self, slo: &At<mirror::Slo>) -> Option<Bound> {
        let name = Indicator::RecoveryVerdict.name();
        let limits = [&slo.value.at_most, &slo.value.at_least];
        if let Some(limit) = limits.into_iter().flatten().next() {
            let message = format!("{name} is a word, not a figure");
            self.error(limit.span, message, "write `is: recovered`");
            return None;
        }
        let Some(word) = &slo.value.is else {
            self.absent(
                slo.span,
                format!("{name} needs the word that it must be"),
                "add `is: recovered`",
            );
            return None;
        };
        Some(Bound::Is(verdict(word.value)))
    }

    /// `is:` on an indicator that is a figure.
    pub(super) fn no_word(&mut self, slo: &At<mirror::Slo>, name: &str, example: &str) {
        if let Some(word) = &slo.value.is {
            let message = format!("{name} is a figure, not a word");
            let help = format!("write for example `{example}` instead of `is`");
            self.error(word.span, message, help);
        }
    }
}

const fn verdict(word: RecoveryWord) -> RecoveryVerdict {
    match word {
        RecoveryWord::Recovered => RecoveryVerdict::Recovered,
        RecoveryWord::Slow => RecoveryVerdict::Slow,
        RecoveryWord::Metastable => RecoveryVerdict::Metastable,
        RecoveryWord::Collapsed => RecoveryVerdict::Collapsed,
        RecoveryWord::Stranded => RecoveryVerdict::Stranded,
    }
}

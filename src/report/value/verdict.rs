//! The verdicts of objectives and of runs, and their words. What a simulation predicts has words
//! of its own, so that neither people nor programs take it for measured.

use crate::error::ExitCode;
use crate::stats::evidence::Mode;
use serde::{Serialize, Serializer};
use std::fmt;

/// Verdict of a run.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum RunVerdict {
    /// Every objective met.
    Pass,
    /// At least one objective failed.
    Fail,
    /// None failed, at least one could not be decided.
    Inconclusive,
    /// None failed, at least one had nothing to decide on.
    NoData,
    /// The run proves nothing: the generator or the evidence is at fault.
    Invalid,
    /// Stopped before its end.
    Interrupted,
}

impl RunVerdict {
    /// The word on every page, for a run of this mode. A run that proves nothing predicts nothing
    /// either: INVALID and INTERRUPTED are the same in both.
    pub const fn word(self, mode: Mode) -> Word {
        match self {
            Self::Pass => Verdict::Pass.word(mode),
            Self::Fail => Verdict::Fail.word(mode),
            Self::Inconclusive => Verdict::Inconclusive.word(mode),
            Self::NoData => Verdict::NoData.word(mode),
            Self::Invalid => Word::plain("INVALID"),
            Self::Interrupted => Word::plain("INTERRUPTED"),
        }
    }
}

/// Verdict of one objective.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Met.
    Pass,
    /// Not met.
    Fail,
    /// The evidence does not decide.
    Inconclusive,
    /// There was nothing to measure.
    NoData,
}

impl Verdict {
    /// The word on every page, for a run of this mode.
    pub const fn word(self, mode: Mode) -> Word {
        let verdict = match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::NoData => "NO_DATA",
        };
        Word {
            is_predicted: mode.is_simulated(),
            verdict,
        }
    }

    /// Higher is worse.
    pub const fn severity(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::NoData => 1,
            Self::Inconclusive => 2,
            Self::Fail => 3,
        }
    }
}

/// The word for a verdict, made from the verdict and the mode together. For people (`Display`) it
/// is `PASS` or `PREDICTED PASS`; for programs ([`Word::key`], JSON) `PASS` or `PREDICTED_PASS`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Word {
    is_predicted: bool,
    verdict: &'static str,
}

impl Word {
    const fn plain(verdict: &'static str) -> Self {
        Self {
            is_predicted: false,
            verdict,
        }
    }

    /// Whether it is a simulation's.
    pub const fn is_predicted(self) -> bool {
        self.is_predicted
    }

    /// For programs: one word without a space.
    pub fn key(self) -> String {
        self.joined('_')
    }

    fn joined(self, by: char) -> String {
        if self.is_predicted {
            format!("PREDICTED{by}{}", self.verdict)
        } else {
            self.verdict.to_owned()
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.joined(' '))
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.key())
    }
}

/// Exit code of a verdict, measured or predicted; `signal` is what stopped an interrupted run.
pub const fn exit_code(verdict: RunVerdict, signal: i32) -> ExitCode {
    match verdict {
        RunVerdict::Pass => ExitCode::Pass,
        RunVerdict::Fail => ExitCode::SloFailed,
        RunVerdict::Inconclusive | RunVerdict::NoData => ExitCode::Inconclusive,
        RunVerdict::Invalid => ExitCode::Invalid,
        RunVerdict::Interrupted => ExitCode::of_signal(signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_predicted_has_words_of_its_own() {
        use RunVerdict as R;
        let cases = [
            (R::Pass, "PASS", "PREDICTED PASS", "PREDICTED_PASS"),
            (R::Fail, "FAIL", "PREDICTED FAIL", "PREDICTED_FAIL"),
            (
                R::Inconclusive,
                "INCONCLUSIVE",
                "PREDICTED INCONCLUSIVE",
                "PREDICTED_INCONCLUSIVE",
            ),
            (
                R::NoData,
                "NO_DATA",
                "PREDICTED NO_DATA",
                "PREDICTED_NO_DATA",
            ),
            (R::Invalid, "INVALID", "INVALID", "INVALID"),
            (R::Interrupted, "INTERRUPTED", "INTERRUPTED", "INTERRUPTED"),
        ];
        for (verdict, measured, predicted, key) in cases {
            let (live, simulated) = (verdict.word(Mode::Live), verdict.word(Mode::Simulated));
            assert_eq!((&*live.to_string(), &*live.key()), (measured, measured));
            assert_eq!(
                (&*simulated.to_string(), &*simulated.key()),
                (predicted, key)
            );
            let json = serde_json::to_string(&simulated).expect("serializable");
            assert_eq!(json, format!("\"{key}\""));
        }
    }
}

//! The one table of exit codes: what a process tells its caller when it ends.

/// How the program ends. The numeric values are part of the contract with CI systems.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// All objectives met (or a command without a verdict did its job).
    Pass = 0,
    /// A defect of fleetstorm itself.
    Internal = 1,
    /// Wrong arguments or a wrong scenario; clap's own code.
    Usage = 2,
    /// The machine is not fit for the run, or the target cannot be reached.
    Preflight = 3,
    /// The run is INVALID (it proves nothing), or its evidence cannot be written.
    Invalid = 4,
    /// An objective is INCONCLUSIVE or has NO_DATA, and none failed.
    Inconclusive = 5,
    /// A regression against a baseline.
    Regression = 98,
    /// An objective failed; k6's number, widely scripted.
    SloFailed = 99,
    /// Stopped by SIGINT: 128 + 2.
    Interrupted = 130,
    /// Stopped by SIGTERM: 128 + 15.
    Terminated = 143,
}

impl ExitCode {
    /// All codes, ascending.
    pub const ALL: [Self; 10] = [
        Self::Pass,
        Self::Internal,
        Self::Usage,
        Self::Preflight,
        Self::Invalid,
        Self::Inconclusive,
        Self::Regression,
        Self::SloFailed,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number handed to the operating system.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for `--help` and the documentation.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Pass => "every objective met",
            Self::Internal => "internal error",
            Self::Usage => "usage or scenario error",
            Self::Preflight => "preflight refused or target unreachable",
            Self::Invalid => "run INVALID, or evidence cannot be written",
            Self::Inconclusive => "INCONCLUSIVE or NO_DATA",
            Self::Regression => "regression against a baseline",
            Self::SloFailed => "an objective failed",
            Self::Interrupted => "interrupted (SIGINT); partial report written",
            Self::Terminated => "terminated (SIGTERM); partial report written",
        }
    }

    /// The code of a run stopped by `signal`.
    pub const fn of_signal(signal: i32) -> Self {
        match signal {
            15 => Self::Terminated,
            _ => Self::Interrupted,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_contract() {
        let codes: Vec<u8> = ExitCode::ALL.iter().map(|c| c.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 98, 99, 130, 143]);
        assert_eq!(ExitCode::of_signal(2), ExitCode::Interrupted);
        assert_eq!(ExitCode::of_signal(15), ExitCode::Terminated);
    }
}

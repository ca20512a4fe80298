//! What a campaign, a command or a query came to, device by device: rows and marks that are written
//! as the run goes, and read back by the report.

mod reader;
mod table;
#[cfg(test)]
mod tests;
mod writer;

use crate::time::Instant;
use crate::wire::Reason;
use serde::{Deserialize, Serialize};

pub use reader::{ResultsError, Table, read_commands, read_queries, read_results};
pub use table::{CommandLine, QueryLine, ResultLine, Who};
pub use writer::{CampaignFiles, Columns, Subject, Writer};

/// How an update of one device ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The new firmware runs and says so.
    Confirmed,
    /// The old firmware came back.
    RolledBack,
    /// It was given up before the reboot.
    Failed,
    /// The device did not want it.
    Rejected,
    /// The device did not come back from its reboot.
    Bricked,
    /// The device started and was not heard of in time.
    TimedOut,
    /// It was offered, or would have been, and was cancelled before the device started.
    Cancelled,
    /// It was never offered, or never heard of afterwards.
    NeverReached,
    /// In a device's own word only: the run ended first.
    Unfinished,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Confirmed,
        Self::RolledBack,
        Self::Failed,
        Self::Rejected,
        Self::Bricked,
        Self::TimedOut,
        Self::Cancelled,
        Self::NeverReached,
        Self::Unfinished,
    ];

    /// The word in results and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Bricked => "bricked",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::NeverReached => "never_reached",
            Self::Unfinished => "unfinished",
        }
    }

    /// The outcome of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }
}

/// Who says it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// The operator, by what it sent and heard: `results-<campaign>.csv`.
    Operator,
    /// The device itself: `device-results-<campaign>.csv`.
    Device,
}

/// What one update of one device came to. The operator writes exactly one row per target; a device
/// one per offer that it took up or rejected. Instants are on the run's axis, of who says it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultRow {
    /// Index into `Plan::campaigns`.
    pub campaign: u16,
    /// Who says it.
    pub witness: Witness,
    /// Index in the fleet.
    pub device: u32,
    /// The firmware it had (index into the plan's versions); `None` = not known.
    pub from: Option<u16>,
    /// Index into the campaign's priorities; their number = in none, and always in a device's own word:
    /// it does not know.
    pub priority: u8,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// Executions begun; 0 = never offered.
    pub attempts: u8,
    /// Image bytes sent to the device (the operator's word: bytes served, 0 where an HTTP server does it)
    /// or received by it (its own), repetitions included.
    pub bytes: u64,
    /// First notified, or first offered.
    pub offered: Option<Instant>,
    /// First heard to have started; or started.
    pub started: Option<Instant>,
    /// The image was complete, the last time.
    pub downloaded: Option<Instant>,
    /// It rebooted into the new firmware.
    pub rebooted: Option<Instant>,
    /// The terminal state was reached.
    pub finished: Instant,
}

/// How a command to one device ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandOutcome {
    /// Carried out.
    Succeeded,
    /// The device said that it could not.
    Failed,
    /// Sent as often as it may be, and not answered.
    TimedOut,
    /// Never sent: the device was not connected.
    NeverReached,
}

impl CommandOutcome {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::NeverReached,
    ];

    /// The word in results and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::NeverReached => "never_reached",
        }
    }

    /// The outcome of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }
}

/// What a command to one device came to: exactly one row per target, `command-<name>.csv`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRow {
    /// Index into `Plan::commands`.
    pub command: u16,
    /// Index in the fleet.
    pub device: u32,
    /// How it ended.
    pub outcome: CommandOutcome,
    /// Requests written.
    pub attempts: u8,
    /// Whether the device was not connected when the command began.
    pub was_offline: bool,
    /// When the plan (rate included) wanted the first request.
    pub intended: Option<Instant>,
    /// First request written.
    pub sent: Option<Instant>,
    /// First answer.
    pub answered: Option<Instant>,
    /// Answers that came, repetitions included.
    pub answers: u8,
}

/// What one asking of a query came to: `queries.csv`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryRow {
    /// Index into `Plan::queries`.
    pub query: u16,
    /// When the plan wanted it.
    pub intended: Instant,
    /// When the answer stood.
    pub answered: Instant,
    /// Devices that match.
    pub matched: u32,
    /// Devices of which nothing is known: never reported.
    pub unknown: u32,
    /// Devices that were asked to report anew.
    pub asked: u32,
    /// Of those, who had not by the end of the wait.
    pub silent: u32,
    /// Age of the reports behind the answer, of matching devices, when it stood: median, in us.
    pub age_p50_us: u64,
    /// 99th percentile.
    pub age_p99_us: u64,
    /// Oldest.
    pub age_max_us: u64,
}

/// Something that happened to a campaign as a whole.
#[derive(Copy, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignMark {
    /// Its targets are fixed.
    Started {
        /// How many.
        targets: u32,
    },
    /// Devices get their turn at this rate from now on.
    Rung {
        /// Per minute.
        per_minute: f64,
        /// Devices notified before.
        notified: u32,
    },
    /// A wave, or pack, begins.
    Wave {
        /// From 0.
        index: u32,
        /// Devices notified before.
        notified: u32,
    },
    /// No device gets its turn from now on.
    Paused,
    /// They do again.
    Resumed,
    /// An abort rule fired.
    Halted {
        /// Index into the campaign's rules.
        rule: u16,
        /// Executions that had ended.
        executed: u32,
        /// Of those, the ones that count against it.
        failures: u32,
        /// Devices that had started: the exposure.
        started: u32,
        /// When the threshold was crossed: the end of the execution that did it.
        crossed: Instant,
    },
    /// It was cancelled by hand, or by the end of the run.
    Cancelled {
        /// Devices that had started.
        started: u32,
    },
    /// Every target has its terminal state.
    Completed,
}

/// All of these, as they come out of a run.
#[derive(Copy, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// An update ended.
    Result(ResultRow),
    /// A command ended.
    Command(CommandRow),
    /// A query was answered.
    Query(QueryRow),
    /// Something happened to a campaign.
    Campaign {
        /// Index into `Plan::campaigns`.
        campaign: u16,
        /// When.
        at: Instant,
        /// What.
        mark: CampaignMark,
    },
    /// A command's targets are fixed.
    CommandStarted {
        /// Index into `Plan::commands`.
        command: u16,
        /// When.
        at: Instant,
        /// How many.
        targets: u32,
    },
}

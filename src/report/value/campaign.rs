//! Campaigns, commands and queries, as the report tells of them.

use crate::report::units;
use serde::Serialize;

/// One campaign.
#[derive(Clone, Debug, Serialize)]
pub struct Campaign {
    /// Its name.
    pub name: String,
    /// `operator` or `external`: the target runs it, and only devices tell of it.
    pub server: &'static str,
    /// The version that it brings.
    pub version: String,
    /// The image's size.
    pub image_bytes: u64,
    /// When its targets were fixed, from T0.
    pub start_s: f64,
    /// When every target had ended, from T0.
    pub end_s: f64,
    /// Targets that have a row.
    pub targets: u64,
    /// Targets that were fixed at the start and have no row: whoever knew how they ended was lost.
    pub rowless: u64,
    /// Every outcome, with its targets; they sum to `targets`.
    pub outcomes: Vec<OutcomeCount>,
    /// Of targets that were not confirmed, most frequent first.
    pub reasons: Vec<ReasonCount>,
    /// When shares of the targets were confirmed: all, by priority, by cohort.
    pub completion: Vec<Completion>,
    /// Rungs of a constant or exponential rollout.
    pub rungs: Vec<Rung>,
    /// Waves or packs.
    pub waves: Vec<Wave>,
    /// When nobody got a turn by order, from T0.
    pub pauses_s: Vec<(f64, f64)>,
    /// An abort rule fired.
    pub halt: Option<Halt>,
    /// When it was cancelled by hand, from T0.
    pub cancelled_s: Option<f64>,
    /// Image bytes per device that had the whole image; `None` if there is none.
    pub bytes: Option<Footprint>,
    /// The operator's word against the devices'; `None` of an external campaign.
    pub witnesses: Option<Witnesses>,
    /// Devices that were offered the image and are not eligible.
    pub wrong_targets: u64,
    /// Targets notified more than 1 s before one of a higher priority that had the offer within 1 s of
    /// its notification.
    pub priority_inversions: u64,
    /// As before, whether or not the higher one is known to have been connected.
    pub priority_inversions_possible: u64,
    /// Parts of the targets by failure rate against the rest, most certain first.
    pub root_causes: Vec<Bucket>,
    /// Live publishes' response times during the campaign; `None` if there were none.
    pub telemetry: Option<Collateral>,
    /// For the picture.
    #[serde(skip)]
    pub states: Vec<StatePoint>,
    /// For the picture: end of a stretch from T0, and notifications per minute in it.
    #[serde(skip)]
    pub notified: Vec<(f64, f64)>,
}

/// Targets with one outcome.
#[derive(Copy, Clone, Debug, PartialEq, Serialize)]
pub struct OutcomeCount {
    /// `confirmed`, `rolled_back`, …
    pub outcome: &'static str,
    /// Targets.
    pub count: u64,
    /// Of all targets; `None` if there are none.
    pub share: Option<f64>,
}

/// Targets with one outcome for one reason.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReasonCount {
    /// `failed`, …
    pub outcome: &'static str,
    /// `integrity`, …
    pub reason: &'static str,
    /// Targets.
    pub count: u64,
}

/// When shares of some targets were confirmed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Completion {
    /// `all targets`, `priority critical`, `in no priority`, `cohort meters`.
    pub group: String,
    /// How many they are.
    pub targets: u64,
    /// Of those, confirmed.
    pub confirmed: u64,
    /// From the campaign's start.
    pub times: Vec<ShareTime>,
}

/// Time until a share was done.
#[derive(Copy, Clone, Debug, PartialEq, Serialize)]
pub struct ShareTime {
    /// Share, percent.
    pub percent: f64,
    /// Seconds; `None` = never, or not known.
    pub s: Option<f64>,
    /// Too few were done ever. Without it and without `s` the figure rests on too few events to be told.
    pub never: bool,
}

impl ShareTime {
    /// For people: `never` if it never was, `n/a` if it cannot be told.
    pub fn text(&self) -> String {
        let missing = if self.never { "never" } else { "n/a" };
        self.s.map_or_else(|| missing.to_owned(), units::time_s)
    }
}

/// A stretch of a rollout at one rate.
#[derive(Copy, Clone, Debug, PartialEq, Serialize)]
pub struct Rung {
    /// Its begin, from T0.
    pub at_s: f64,
    /// As planned.
    pub planned_per_min: f64,
    /// Targets notified in it.
    pub notified: u64,
    /// One less than these over the time from the first to the last, pauses left out; `None` below two.
    pub measured_per_min: Option<f64>,
    /// Measured over planned, less one.
    pub deviation: Option<f64>,
}

/// A wave or pack.
#[derive(Copy, Clone, Debug, PartialEq, Serialize)]
pub struct Wave {
    /// From 0.
    pub index: u64,
    /// Its begin, from T0.
    pub at_s: f64,
    /// Targets notified before it.
    pub notified_before: u64,
}

/// An abort rule fired.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Halt {
    /// When, from T0.
    pub at_s: f64,
    /// From the campaign's start.
    pub after_start_s: f64,
    /// From the end of the execution that crossed the threshold.
    pub after_crossing_s: f64,
    /// From the end of the first target that ended badly; `None` if none had before.
    pub after_first_failure_s: Option<f64>,
    /// The rule in words.
    pub rule: String,
    /// Executions that had ended.
    pub executed: u64,
    /// Of those, the ones that count against it.
    pub failures: u64,
    /// Targets that had started: the exposure.
    pub started: u64,
    /// Of all targets.
    pub started_share: Option<f64>,
}

/// Image bytes received over the image's bytes, of devices that had the whole image.
#[derive(Copy, Clone, Debug, PartialEq, Serialize)]
pub struct Footprint {
    /// How many.
    pub devices: u64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
    /// Image bytes received by all devices, by their own word.
    pub received: u64,
    /// Image bytes sent, by the operator's word; `None` if devices download over HTTP, from a server that
    /// does not tell it.
    pub served: Option<u64>,
}

/// The operator's word on each target against the device's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Witnesses {
    /// Targets of which both say the same, or the device has nothing to say.
    pub agree: u64,
    /// The operator timed out, or never heard; the device says otherwise: its word was lost or late.
    pub explained: u64,
    /// Both say that it was not confirmed, in different words.
    pub other_words: u64,
    /// One of them is wrong. The run is INVALID.
    pub contradictions: u64,
    /// Devices that tell of the campaign and are no target.
    pub strangers: u64,
    /// By what they say.
    pub disagreements: Vec<Disagreement>,
}

/// Targets of which the two say the same two different things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    /// Lost or late words explain it.
    pub explained: bool,
    /// The operator's word.
    pub operator: &'static str,
    /// The device's; `nothing` if it told of no update that ended.
    pub device: &'static str,
    /// Targets.
    pub count: u64,
    /// The first of them.
    pub example: String,
}

/// A part of the targets, and how its updates ended against those of the rest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bucket {
    /// `hw C, 1.4.2 → 2.0.0`.
    pub bucket: String,
    /// Updates that ended: confirmed, rolled back, failed, rejected, bricked, timed out.
    pub ended: u64,
    /// Of those rolled back, failed, bricked or timed out.
    pub bad: u64,
    /// Bad over ended.
    pub rate: f64,
    /// Ended updates of the other targets.
    pub ended_outside: u64,
    /// Of those, bad.
    pub bad_outside: u64,
    /// Bad over ended.
    pub rate_outside: f64,
    /// Rate inside over rate outside; `None` if nothing outside was bad: then it is at least
    /// `lift_at_least`.
    pub lift: Option<f64>,
    /// Lower end of the rate inside over the upper end of that outside (Wilson's 95 % intervals).
    pub lift_at_least: f64,
    /// At least 20 updates ended in it, and it failed more often than the rest with certainty.
    pub stands_out: bool,
}

/// Response times of live publishes before and during a campaign.
#[derive(Copy, Clone, Debug, PartialEq, Serialize)]
pub struct Collateral {
    /// 99th percentile of those due before it; `None` if there were none.
    pub p99_before_us: Option<u64>,
    /// Of those due during it.
    pub p99_during_us: u64,
    /// Values before.
    pub n_before: u64,
    /// Values during.
    pub n_during: u64,
    /// During over before.
    pub factor: Option<f64>,
}

/// In which state how many targets were.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct StatePoint {
    /// From T0.
    pub at_s: f64,
    /// In the order of [`StatePoint::NAMES`].
    pub counts: [u64; 8],
}

impl StatePoint {
    /// The states.
    pub const NAMES: [&'static str; 8] = [
        "waiting",
        "notified",
        "downloading",
        "installing",
        "rebooting and testing",
        "confirmed",
        "failed, rolled back, bricked or timed out",
        "rejected, cancelled or never reached",
    ];
    /// The first one that is never left.
    pub const FIRST_FINAL: usize = 5;
}

/// One fleet command.
#[derive(Clone, Debug, Serialize)]
pub struct Command {
    /// Its name.
    pub name: String,
    /// When its targets were fixed, from T0.
    pub start_s: f64,
    /// Targets that have a row.
    pub targets: u64,
    /// Every outcome, with its targets.
    pub outcomes: Vec<OutcomeCount>,
    /// Targets that were connected when it began.
    pub online: Answers,
    /// Targets that were not.
    pub offline: Answers,
    /// Requests written.
    pub requests: u64,
    /// Answers that came after the first one of a target.
    pub repeated_answers: u64,
    /// What the targets cost by hand, one after the other.
    pub by_hand_s: f64,
    /// From its start to the last first answer; `None` if nobody answered.
    pub by_fleet_s: Option<f64>,
}

/// How some targets of a command answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Answers {
    /// How many they are.
    pub targets: u64,
    /// Of those, answered: carried out or not.
    pub answered: u64,
    /// From when the plan wanted the first request to the first answer; a target without one counts as
    /// never. Not told below the sample floor.
    pub rtt: Vec<ShareTime>,
    /// From the command's start until these shares had answered.
    pub fanout: Vec<ShareTime>,
}

/// One fleet query.
#[derive(Clone, Debug, Serialize)]
pub struct Query {
    /// Its name.
    pub name: String,
    /// How often it was asked, by the plan.
    pub planned: u64,
    /// Of those, answered.
    pub answered: u64,
    /// From when the plan wanted it to the answer.
    pub latency: Vec<ShareTime>,
    /// Age of the reports behind the answer, by the 99th percentile over matching devices.
    pub staleness: Vec<ShareTime>,
    /// Oldest report behind an answer.
    pub oldest_s: Option<f64>,
    /// Every answer.
    pub answers: Vec<QueryAnswer>,
}

/// One answer of a query.
#[derive(Copy, Clone, Debug, PartialEq, Serialize)]
pub struct QueryAnswer {
    /// When it stood, from T0.
    pub at_s: f64,
    /// Devices that match.
    pub matched: u64,
    /// Devices that had never reported.
    pub unknown: u64,
    /// Devices that were asked to report anew.
    pub asked: u64,
    /// Of those, silent.
    pub silent: u64,
}

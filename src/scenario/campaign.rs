//! Campaigns, fleet commands and queries: what the operator does to whom, and how fast. Checked
//! plan; the state machines lie in `cloud`.

use super::plan::{DeviceIdx, Plan, Selector};
use crate::wire::Reason;
use std::time::Duration;

/// Index into [`Firmware::versions`].
pub type VersionIdx = u16;

/// All firmware versions of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firmware {
    /// The attribute that names a device's firmware, `fw`.
    pub attribute: String,
    /// Versions: those of attributes first, then those of campaigns, then those that only a condition
    /// ([`Versions::Below`]) names; each once.
    pub versions: Vec<String>,
}

/// Some devices, by what the plan says of them and by the firmware that they report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Population {
    /// By what never changes in a run. Its share, if any, is of the devices that fulfil the rest of
    /// it, whatever their firmware.
    pub who: Selector,
    /// And by firmware.
    pub firmware: Option<Versions>,
}

/// A condition on firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Versions {
    /// One of these.
    OneOf(Vec<VersionIdx>),
    /// Lower than this in the order of dotted numbers (1.9.0 < 1.10.0).
    Below(VersionIdx),
}

/// A rollout of one image to a part of the fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct Campaign {
    /// `[a-z0-9-]`, unique.
    pub name: String,
    /// The phase whose action starts it.
    pub phase: usize,
    /// From T0.
    pub start: Duration,
    /// Who runs it.
    pub server: Server,
    /// Who is eligible.
    pub targets: Population,
    /// What they get.
    pub image: Image,
    /// Highest first; who is in none comes last. At most 16.
    pub priorities: Vec<Priority>,
    /// In which order devices get their turn.
    pub order: Order,
    /// How fast.
    pub rollout: Rollout,
    /// What ends it early; at most 16.
    pub aborts: Vec<AbortRule>,
    /// From the device's first word that it has started to its last one; `None` = no limit.
    pub in_progress_timeout: Option<Duration>,
    /// From one word of a device that has started to the next; never beyond the limit above.
    pub step_timeout: Option<Duration>,
    /// How often a failed or timed-out device gets another turn, 0 to 10.
    pub retries: u8,
    /// When no device gets its turn, from T0, ascending and apart.
    pub pauses: Vec<(Duration, Duration)>,
    /// When it is cancelled by hand, from T0.
    pub cancel: Option<Duration>,
}

/// Who runs a campaign.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// The operator of this run.
    Operator,
    /// The target itself; devices are only watched.
    External,
}

/// An image and what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Its version; each campaign has one of its own.
    pub version: VersionIdx,
    /// Its size, 1 to 24 MiB (the limit of `aws-streams`).
    pub bytes: u32,
    /// On whom it fails; the first that fits counts.
    pub defects: Vec<Defect>,
}

/// On whom an image fails, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Defect {
    /// Devices with all of these attribute values.
    pub attributes: Vec<(String, String)>,
    /// Coming from this version; `None` = from any.
    pub from: Option<VersionIdx>,
    /// Share (0 to 1) of them, by seeded draw per device.
    pub share: f64,
    /// How.
    pub effect: Effect,
}

/// How an image fails.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Before the reboot.
    Fails(Reason),
    /// The new firmware does not pass its self-test, and the old one comes back.
    RollsBack,
    /// The device does not come back from its reboot.
    Bricks,
}

/// Devices that get their turn before those of the priorities below.
#[derive(Clone, Debug, PartialEq)]
pub struct Priority {
    /// For people.
    pub name: String,
    /// Who.
    pub who: Selector,
}

/// In which order devices get their turn.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// By priority, in a seeded order within each.
    ByPriority,
    /// In a seeded order over all, as a backend that knows no priorities.
    Shuffled,
}

/// How fast devices get their turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Rollout {
    /// All at once.
    AtOnce,
    /// So many per minute.
    Constant {
        /// Above zero.
        per_minute: f64,
    },
    /// Faster after each rung, as AWS IoT Jobs' exponential rate: rung k has `base * factor^k`, at
    /// most `max`, and ends when so many devices more were notified or succeeded.
    Exponential {
        /// Of the first rung.
        base_per_minute: f64,
        /// From one rung to the next, above 1, at most 5.
        factor: f64,
        /// Of the last one.
        max_per_minute: f64,
        /// What ends a rung.
        step: RungStep,
    },
    /// Parts of the targets one after the other, each at once; not empty.
    Waves(Vec<Wave>),
    /// Packs of a fixed size, as ThingsBoard's queue (100 per 60 s).
    Packs {
        /// Devices of a pack.
        size: u32,
        /// From one pack to the next.
        every: Duration,
    },
}

/// What ends a rung of an exponential rollout: a multiple of this many devices.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum RungStep {
    /// Notified.
    Notified(u32),
    /// Succeeded.
    Succeeded(u32),
}

/// A part of the targets.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Wave {
    /// Of all targets, 0 to 1, cumulative: the last one is 1. Each wave has a device at least.
    pub upto: f64,
    /// Share of the devices notified so far that must have succeeded before the next wave, 0 to 1.
    pub success: f64,
}

/// What ends a campaign early: devices that have not started are cancelled, the others go on
/// (AWS IoT Jobs' abort criteria).
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct AbortRule {
    /// Which ends count.
    pub failure: Failure,
    /// Executions that must have ended before it is looked at, at least 1.
    pub min_executed: u32,
    /// Share of the ended executions, above 0, at most 1.
    pub threshold: f64,
}

/// Which ends count against a campaign.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Failed, rolled back.
    Failed,
    /// Rejected.
    Rejected,
    /// Timed out, bricked (which looks the same from afar).
    TimedOut,
    /// Any of these.
    All,
}

/// A command to a part of the fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetCommand {
    /// `[a-z0-9-]`, unique among commands.
    pub name: String,
    /// The phase whose action sends it.
    pub phase: usize,
    /// From T0.
    pub start: Duration,
    /// Who is meant, by what is reported at that instant.
    pub targets: Population,
    /// Its text.
    pub payload: String,
    /// From a request to its repetition, and after the last one to giving up.
    pub timeout: Duration,
    /// Repetitions.
    pub retries: u8,
    /// What becomes of devices that are not connected.
    pub offline: Offline,
    /// Requests per second; `None` = at once.
    pub rate_per_s: Option<f64>,
    /// What one device costs by hand, for the operator-hours line.
    pub by_hand: Duration,
}

/// What becomes of a command to a device that is not connected (that has not been heard of since its
/// last will or the end of its session).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Offline {
    /// It is sent when the device reports itself back, until the end of the run.
    Queue,
    /// It is never sent again.
    Skip,
}

/// A question about the fleet, answered from reported state.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetQuery {
    /// `[a-z0-9-]`, unique among queries.
    pub name: String,
    /// The phase whose action asks it.
    pub phase: usize,
    /// From T0.
    pub start: Duration,
    /// When it is not asked again, from T0: the end of its phase at the latest.
    pub end: Duration,
    /// From one to the next; `None` = once.
    pub every: Option<Duration>,
    /// Who is counted.
    pub targets: Population,
    /// Devices whose report is older are asked to report anew before the answer; `None` = none are.
    pub max_age: Option<Duration>,
    /// Longest wait for them.
    pub timeout: Duration,
}

impl Plan {
    /// Whether the run has an operator: a campaign that it runs, a command, or a query.
    pub fn has_operator(&self) -> bool {
        let runs = |campaign: &Campaign| campaign.server == Server::Operator;
        self.campaigns.iter().any(runs) || !self.commands.is_empty() || !self.queries.is_empty()
    }

    /// The firmware that `device` leaves the factory with; `None` if its cohort names none.
    ///
    /// # Panics
    /// If `device` is not below [`Plan::devices`].
    pub fn factory_firmware(&self, device: DeviceIdx) -> Option<VersionIdx> {
        let version = self.attribute(device, &self.firmware.attribute)?;
        self.firmware.index(version)
    }

    /// The campaign that brings `version`.
    pub fn campaign_of(&self, version: VersionIdx) -> Option<usize> {
        let brings = |campaign: &Campaign| campaign.image.version == version;
        self.campaigns.iter().position(brings)
    }
}

impl Population {
    /// Whether a device with `firmware` (`None` = not known) fulfils the condition on firmware; without
    /// one everybody does. Who is meant by the rest of it is [`Selector::members`]'s to say.
    pub fn wants(&self, versions: &Firmware, firmware: Option<VersionIdx>) -> bool {
        match (&self.firmware, firmware) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(Versions::OneOf(wanted)), Some(version)) => wanted.contains(&version),
            (Some(Versions::Below(limit)), Some(version)) => versions.is_below(version, *limit),
        }
    }
}

impl Firmware {
    /// Whether `version` is lower than `limit` in the order of dotted numbers: part by part, numbers as
    /// numbers, other parts as text and after numbers, and what ends first is lower.
    ///
    /// # Panics
    /// If there is no such version.
    pub fn is_below(&self, version: VersionIdx, limit: VersionIdx) -> bool {
        dotted(self.text(version)).lt(dotted(self.text(limit)))
    }

    /// The index of `version`.
    pub fn index(&self, version: &str) -> Option<VersionIdx> {
        let index = self.versions.iter().position(|known| known == version)?;
        Some(u16::try_from(index).expect("the file's limit on versions is below u16"))
    }

    /// The text of `version`.
    ///
    /// # Panics
    /// If there is no such version.
    pub fn text(&self, version: VersionIdx) -> &str {
        &self.versions[usize::from(version)]
    }
}

/// A part of a version between dots. A number that no u64 holds is text.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Number(u64),
    Text(&'a str),
}

fn dotted(version: &str) -> impl Iterator<Item = Part<'_>> {
    version
        .split('.')
        .map(|part| part.parse().map_or(Part::Text(part), Part::Number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_of_dotted_numbers() {
        let ascending = ["1.4", "1.4.0", "1.4.2", "1.9.0", "1.10.0", "1.10.rc", "2"];
        let firmware = Firmware {
            attribute: "fw".into(),
            versions: ascending.map(str::to_owned).to_vec(),
        };
        for low in 0..7 {
            for high in 0..7 {
                assert_eq!(firmware.is_below(low, high), low < high, "{low} {high}");
            }
        }
    }

    #[test]
    fn a_condition_on_firmware_holds_of_known_firmware_only() {
        let firmware = Firmware {
            attribute: "fw".into(),
            versions: vec!["1.9.0".into(), "1.10.0".into()],
        };
        let of = |versions| Population {
            who: Selector::default(),
            firmware: versions,
        };
        let table = [
            (None, [true, true, true]),
            (Some(Versions::OneOf(vec![1])), [false, false, true]),
            (Some(Versions::Below(1)), [false, true, false]),
        ];
        for (versions, wanted) in table {
            let population = of(versions);
            let found = [None, Some(0), Some(1)].map(|from| population.wants(&firmware, from));
            assert_eq!(found, wanted, "{population:?}");
        }
    }
}

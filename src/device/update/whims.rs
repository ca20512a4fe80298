//! What a device draws for an update: whether it wants it, whether it fails, how long it reboots. Pure
//! functions of (seed, device, campaign, attempt).

use crate::device::Profile;
use crate::rng::{self, Purpose};
use crate::scenario::campaign::{Campaign, Effect, VersionIdx};
use crate::scenario::plan::{BootTime, DeviceIdx};
use crate::time::Duration;

/// Whose update of which campaign it is, and the how manieth try, from 1.
#[derive(Copy, Clone, Debug)]
pub(super) struct Whims<'a> {
    pub(super) profile: &'a Profile,
    pub(super) device: DeviceIdx,
    pub(super) campaign: u16,
    pub(super) attempt: u8,
}

/// What is drawn for; part of the reproducibility contract.
#[derive(Copy, Clone, Debug)]
#[repr(u64)]
enum Question {
    Reject = 0,
    Defer = 1,
    Fail = 2,
}

/// Which reboot of an update.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Way {
    /// Into the new firmware.
    There = 0,
    /// Into the old one.
    Back = 1,
}

impl Whims<'_> {
    /// Whether it rejects the offer, for good: the same for each attempt.
    pub(super) fn rejects(&self, share: f64) -> bool {
        self.unit(Question::Reject, 0) < share
    }

    /// Whether it puts the offer off.
    pub(super) fn defers(&self, share: f64) -> bool {
        self.unit(Question::Defer, self.attempt) < share
    }

    /// Whether it fails while installing.
    pub(super) fn fails(&self, share: f64) -> bool {
        self.unit(Question::Fail, self.attempt) < share
    }

    /// How the image fails on it when it comes from `from`, if it does: the first defect that fits
    /// counts, and whether that one shows is drawn once for all attempts.
    pub(super) fn defect(&self, from: Option<VersionIdx>) -> Option<Effect> {
        let plan = &self.profile.plan;
        let campaign: &Campaign = plan.campaigns.get(usize::from(self.campaign))?;
        let defects = campaign.image.defects.iter().enumerate();
        let mut fitting = defects.filter(|(_, defect)| {
            let mut attributes = defect.attributes.iter();
            let has = |(name, value): &(String, String)| {
                plan.attribute(self.device, name) == Some(value.as_str())
            };
            attributes.all(has) && (defect.from.is_none() || defect.from == from)
        });
        let (index, defect) = fitting.next()?;
        let index = u64::from(self.campaign) << 16 | index as u64;
        let draw = rng::unit(plan.seed, self.device.into(), Purpose::Defect, index);
        (draw < defect.share).then_some(defect.effect)
    }

    /// How long it reboots.
    pub(super) fn reboot(&self, time: BootTime, way: Way) -> Duration {
        let index = u64::from(self.campaign) << 16 | u64::from(self.attempt) << 8 | way as u64;
        let seed = self.profile.plan.seed;
        let draw = rng::unit(seed, self.device.into(), Purpose::RebootTime, index);
        match time {
            BootTime::Fixed(time) => time,
            BootTime::Uniform { min, max } => min + max.saturating_sub(min).mul_f64(draw),
        }
    }

    fn unit(&self, question: Question, attempt: u8) -> f64 {
        let index = u64::from(self.campaign) << 16 | u64::from(attempt) << 8 | question as u64;
        let seed = self.profile.plan.seed;
        rng::unit(seed, self.device.into(), Purpose::UpdateWhim, index)
    }
}

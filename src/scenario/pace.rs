//! What a campaign takes at least, by arithmetic: when its last device has its turn, how long an update
//! lasts, and how many messages and bytes its image is.

use super::campaign::{Campaign, Rollout, RungStep};
use super::plan::Plan;
use super::power::BootTime;
use super::update::{UpdateClient, WireProfile};
use std::time::Duration;

/// What an image is on the wire, to one device.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// How many blocks.
    pub count: u64,
    /// Requests and blocks; 0 if the image does not come over MQTT.
    pub messages: u64,
}

impl Rollout {
    /// From the start to the last device's turn if nothing goes wrong and nothing waits: success is
    /// taken to follow at once. A lower bound; devices have it later if rungs or waves wait.
    fn last_turn(&self, targets: u32) -> Duration {
        let minutes = match self {
            // What waves wait for depends on the devices.
            Self::AtOnce | Self::Waves(_) => 0.0,
            Self::Constant { per_minute } => f64::from(targets) / per_minute,
            Self::Exponential {
                base_per_minute,
                factor,
                max_per_minute,
                step,
            } => {
                let (RungStep::Notified(step) | RungStep::Succeeded(step)) = step;
                ladder_minutes(targets, (*base_per_minute, *factor, *max_per_minute), *step)
            }
            Self::Packs { size, every } => {
                let packs = targets.div_ceil(*size).saturating_sub(1);
                f64::from(packs) * every.as_secs_f64() / 60.0
            }
        };
        Duration::try_from_secs_f64(minutes * 60.0).unwrap_or(Duration::MAX)
    }
}

fn ladder_minutes(targets: u32, (base, factor, max): (f64, f64, f64), step: u32) -> f64 {
    let (mut rate, mut left, mut minutes) = (base.min(max), targets, 0.0);
    while left > step && rate < max {
        minutes += f64::from(step) / rate;
        left -= step;
        rate = (rate * factor).min(max);
    }
    minutes + f64::from(left) / rate
}

impl UpdateClient {
    /// An image of `bytes` in blocks.
    pub fn blocks(&self, bytes: u32) -> Blocks {
        let full = u64::from(bytes.div_ceil(self.block_bytes));
        match &self.profile {
            WireProfile::AwsJobs { .. } => Blocks {
                count: full,
                messages: 2 * full,
            },
            WireProfile::Thingsboard { counts_one_more } => {
                let empty = *counts_one_more && bytes.is_multiple_of(self.block_bytes);
                let count = full + u64::from(empty);
                Blocks {
                    count,
                    messages: 2 * count,
                }
            }
            WireProfile::GenericAction(_) => Blocks {
                count: full,
                messages: 0,
            },
        }
    }

    /// How long an update with an image of `bytes` takes at least, from the offer to its confirmation:
    /// without a network and a server, which take no time here.
    pub fn least(&self, bytes: u32) -> Duration {
        let flash = self
            .flash_bytes_per_s
            .map_or(0.0, |rate| f64::from(bytes) / rate);
        let flash = Duration::try_from_secs_f64(flash).unwrap_or(Duration::MAX);
        let reboot = match self.reboot {
            BootTime::Fixed(time) => time,
            BootTime::Uniform { min, .. } => min,
        };
        [flash, self.verify, self.install, reboot, self.self_test]
            .iter()
            .fold(Duration::ZERO, |sum, time| sum.saturating_add(*time))
    }
}

impl Campaign {
    /// From the start to the turn of the last of all `targets` at the earliest.
    pub fn last_turn(&self, plan: &Plan, targets: u32) -> Duration {
        match &self.rollout {
            // Each waits for the one before.
            Rollout::Waves(waves) => {
                let before = u32::try_from(waves.len())
                    .unwrap_or(u32::MAX)
                    .saturating_sub(1);
                self.least_update(plan).saturating_mul(before)
            }
            rollout @ (Rollout::AtOnce
            | Rollout::Constant { .. }
            | Rollout::Exponential { .. }
            | Rollout::Packs { .. }) => rollout.last_turn(targets),
        }
    }

    /// From the start to when all `targets` can have their update at the earliest.
    pub fn least(&self, plan: &Plan, targets: u32) -> Duration {
        let last = self.last_turn(plan, targets);
        last.saturating_add(self.least_update(plan))
    }

    fn least_update(&self, plan: &Plan) -> Duration {
        let of_devices = plan
            .cohorts
            .iter()
            .filter_map(|cohort| cohort.update.as_ref());
        let update = of_devices
            .map(|update| update.least(self.image.bytes))
            .min();
        update.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::update::{Encoding, Resume};

    fn client(profile: WireProfile) -> UpdateClient {
        UpdateClient {
            profile,
            block_bytes: 4_096,
            window: 1,
            block_timeout: Duration::from_secs(10),
            block_retries: 32,
            resume: Resume::Block,
            flash_bytes_per_s: Some(65_536.0),
            verify: Duration::from_millis(500),
            install: Duration::from_secs(2),
            reboot: BootTime::Uniform {
                min: Duration::from_secs(3),
                max: Duration::from_secs(9),
            },
            self_test: Duration::from_secs(4),
            answer_timeout: Duration::from_secs(10),
            reject: 0.0,
            defer: None,
            fail: 0.0,
        }
    }

    #[test]
    fn paces_by_hand() {
        let ladder = |step, factor, base, max| Rollout::Exponential {
            base_per_minute: base,
            factor,
            max_per_minute: max,
            step,
        };
        let thousand = RungStep::Notified(1_000);
        let minute = Duration::from_secs(60);
        let packs = Rollout::Packs {
            size: 100,
            every: minute,
        };
        let constant = Rollout::Constant {
            per_minute: 1_000.0,
        };
        let table = [
            // The figures of the vendors' documents.
            (constant.clone(), 100_000, 100.0),
            (constant, 300_000, 300.0),
            // 50, 100, 200, 400, 800, 1000/min: 20 + 10 + 5 + 2.5 + 1.25 minutes for 5 000.
            (ladder(thousand, 2.0, 50.0, 1_000.0), 6_000, 39.75),
            (ladder(thousand, 2.0, 50.0, 1_000.0), 1_500, 25.0),
            (ladder(RungStep::Succeeded(10), 5.0, 10.0, 10.0), 100, 10.0),
            // 1 000 packs, the first at once: 16.65 h.
            (packs.clone(), 100_000, 999.0),
            (packs.clone(), 100, 0.0),
            (packs, 101, 1.0),
            (Rollout::AtOnce, 100_000, 0.0),
        ];
        for (rollout, targets, minutes) in table {
            let found = rollout.last_turn(targets).as_secs_f64() / 60.0;
            assert!(
                (found - minutes).abs() < 1e-6,
                "{rollout:?} {targets}: {found}"
            );
        }
    }

    #[test]
    fn blocks_by_hand() {
        let aws = || {
            client(WireProfile::AwsJobs {
                encoding: Encoding::Json,
            })
        };
        let blocks = |count, messages| Blocks { count, messages };
        assert_eq!(aws().blocks(1024 * 1024), blocks(256, 512));
        assert_eq!(aws().blocks(1024 * 1024 + 1), blocks(257, 514));
        assert_eq!(aws().blocks(1), blocks(1, 2));
        let thingsboard = |counts_one_more| client(WireProfile::Thingsboard { counts_one_more });
        assert_eq!(thingsboard(false).blocks(8_192), blocks(2, 4));
        assert_eq!(thingsboard(true).blocks(8_192), blocks(3, 6));
        assert_eq!(thingsboard(true).blocks(8_193), blocks(3, 6));
        // 1 + 0.5 + 2 + 3 + 4 s.
        assert_eq!(aws().least(65_536), Duration::from_millis(10_500));
    }
}

//! Updates, campaigns, fleet commands and queries in words.

use super::{Words, percent};
use crate::scenario::campaign::{
    AbortRule, Campaign, Failure, FleetCommand, FleetQuery, Offline, Order, Rollout, RungStep,
    Server,
};
use crate::scenario::plan::{BootTime, Plan};
use crate::scenario::update::{Encoding, Reported, Resume, UpdateClient, WireProfile};
use std::fmt::Write as _;

/// The name of a profile, for people.
pub const fn profile(profile: &WireProfile) -> &'static str {
    match profile {
        WireProfile::AwsJobs {
            encoding: Encoding::Json,
        } => "AWS IoT Jobs, blocks in JSON",
        WireProfile::AwsJobs {
            encoding: Encoding::Cbor,
        } => "AWS IoT Jobs, blocks in CBOR",
        WireProfile::Thingsboard {
            counts_one_more: false,
        } => "ThingsBoard",
        WireProfile::Thingsboard {
            counts_one_more: true,
        } => "ThingsBoard, counting one chunk more",
        WireProfile::GenericAction(_) => "actions by pattern, image over HTTP",
    }
}

impl Words {
    /// How a device updates itself.
    pub fn update(self, update: &UpdateClient) -> String {
        let time = |time| (self.time)(time);
        let resume = match update.resume {
            Resume::Block => "goes on where it was",
            Resume::Restart => "starts anew",
        };
        let flash = update.flash_bytes_per_s.map_or_else(String::new, |rate| {
            format!(", {} bytes/s into flash", self.per_s(rate))
        });
        let reboot = match update.reboot {
            BootTime::Fixed(reboot) => time(reboot),
            BootTime::Uniform { min, max } => format!("{} to {}", time(min), time(max)),
        };
        let mut text = format!(
            "{}; {} of {} bytes at a time{flash}, each asked for again after {}, {}; {resume} after a break; {} to verify, {} to install, {reboot} to reboot, {} to test itself",
            profile(&update.profile),
            self.counted(u64::from(update.window), "block"),
            (self.count)(u64::from(update.block_bytes)),
            time(update.block_timeout),
            self.counted(u64::from(update.block_retries), "time"),
            time(update.verify),
            time(update.install),
            time(update.self_test),
        );
        let mut and = |part: String| {
            write!(text, "; {part}").expect("a String accepts every write");
        };
        if update.reject > 0.0 {
            and(format!("{} of offers are rejected", percent(update.reject)));
        }
        if let Some(defer) = update.defer.filter(|defer| defer.share > 0.0) {
            let (share, length) = (percent(defer.share), time(defer.length));
            and(format!("{share} of offers are put off for {length}"));
        }
        if update.fail > 0.0 {
            and(format!("{} of updates fail", percent(update.fail)));
        }
        text
    }

    /// How often a device reports its state.
    pub fn reported(self, reported: &Reported) -> String {
        let every = reported.every.map_or_else(String::new, |every| {
            format!(", and every {}", (self.time)(every))
        });
        format!(
            "QoS {} on each connect and change{every}",
            reported.qos as u8
        )
    }

    /// A campaign: what goes to whom, how fast, and what ends it.
    ///
    /// # Panics
    /// If it is not of this plan.
    pub fn campaign(self, plan: &Plan, campaign: &Campaign) -> String {
        let mut text = format!(
            "{} ({} bytes) to {}",
            plan.firmware.text(campaign.image.version),
            (self.count)(u64::from(campaign.image.bytes)),
            campaign.targets.text(plan)
        );
        let mut and = |part: String| {
            write!(text, "; {part}").expect("a String accepts every write");
        };
        match campaign.server {
            Server::External => and("run by the target".to_owned()),
            Server::Operator => and(self.rollout(&campaign.rollout)),
        }
        if !campaign.priorities.is_empty() {
            let names: Vec<&str> = campaign
                .priorities
                .iter()
                .map(|p| p.name.as_str())
                .collect();
            and(match campaign.order {
                Order::ByPriority => format!("{} first", names.join(", then ")),
                Order::Shuffled => format!("{} in no order", names.join(" and ")),
            });
        }
        for rule in &campaign.aborts {
            and(self.abort(rule));
        }
        if let Some(limit) = campaign.in_progress_timeout {
            and(format!("{} for an update", (self.time)(limit)));
        }
        if let Some(limit) = campaign.step_timeout {
            and(format!("{} for a step of it", (self.time)(limit)));
        }
        if campaign.retries > 0 {
            let times = self.counted(u64::from(campaign.retries), "time");
            and(format!("tried again {times}"));
        }
        text
    }

    /// How fast devices get their turn.
    pub fn rollout(self, rollout: &Rollout) -> String {
        match rollout {
            Rollout::AtOnce => "all at once".to_owned(),
            Rollout::Constant { per_minute } => format!("{}/min", self.per_s(*per_minute)),
            Rollout::Exponential {
                base_per_minute,
                factor,
                max_per_minute,
                step,
            } => {
                let (base, max) = (self.per_s(*base_per_minute), self.per_s(*max_per_minute));
                let step = match step {
                    RungStep::Notified(n) => format!("{} notified", (self.count)((*n).into())),
                    RungStep::Succeeded(n) => format!("{} succeeded", (self.count)((*n).into())),
                };
                format!("{base}/min, times {factor} after each {step}, up to {max}/min")
            }
            Rollout::Waves(waves) => {
                let waves: Vec<String> = waves
                    .iter()
                    .map(|wave| match wave.success {
                        success if success > 0.0 => format!(
                            "{}, going on when {} have succeeded",
                            percent(wave.upto),
                            percent(success)
                        ),
                        _ => percent(wave.upto),
                    })
                    .collect();
                format!("in waves up to {}", waves.join(", up to "))
            }
            Rollout::Packs { size, every } => format!(
                "{} every {}",
                self.counted(u64::from(*size), "device"),
                (self.time)(*every)
            ),
        }
    }

    /// What ends a campaign.
    pub fn abort(self, rule: &AbortRule) -> String {
        let what = match rule.failure {
            Failure::Failed => "fail",
            Failure::Rejected => "are rejected",
            Failure::TimedOut => "time out",
            Failure::All => "fail, are rejected or time out",
        };
        format!(
            "ends if {} of at least {} {what}",
            percent(rule.threshold),
            (self.count)(u64::from(rule.min_executed))
        )
    }

    /// A fleet command: to whom, how fast, how often.
    ///
    /// # Panics
    /// If it is not of this plan.
    pub fn fleet_command(self, plan: &Plan, command: &FleetCommand) -> String {
        let rate = command.rate_per_s.map_or_else(
            || "all at once".to_owned(),
            |rate| format!("{}/s", self.per_s(rate)),
        );
        let offline = match command.offline {
            Offline::Queue => "those offline on their return",
            Offline::Skip => "those offline never",
        };
        format!(
            "to {}; {rate}; again after {}, {}; {offline}",
            command.targets.text(plan),
            (self.time)(command.timeout),
            self.counted(u64::from(command.retries), "time")
        )
    }

    /// A query: who is counted, how often, how fresh.
    ///
    /// # Panics
    /// If it is not of this plan.
    pub fn fleet_query(self, plan: &Plan, query: &FleetQuery) -> String {
        let every = query.every.map_or_else(
            || "once".to_owned(),
            |every| format!("every {}", (self.time)(every)),
        );
        let age = query.max_age.map_or_else(
            || "whatever the age of reports".to_owned(),
            |age| {
                let (age, timeout) = ((self.time)(age), (self.time)(query.timeout));
                format!("reports older than {age} are asked for anew, for {timeout} at most")
            },
        );
        format!("counts {}; {every}; {age}", query.targets.text(plan))
    }
}

//! Campaigns: whom they mean, what they bring, how fast, and what ends them.

use super::Checker;
use super::fleet::RESERVED;
use super::population::FIRMWARE;
use crate::scenario::campaign::{
    AbortRule, Campaign, Defect, Effect, Failure, Image, Order, Population, Priority, Server,
};
use crate::scenario::errors::nearest_help;
use crate::scenario::located::At;
use crate::scenario::mirror::{self, Wanted};
use crate::scenario::plan::{DeviceIdx, Plan, Selector, Target};
use crate::scenario::update::WireProfile;
use crate::wire::Reason;
use std::time::Duration;

/// Largest file of AWS IoT streams.
const IMAGE_MAX: u32 = 24 * 1024 * 1024;
/// Most priorities, and most abort rules.
const MAX_LIST: usize = 16;
/// Most defects of an image.
const MAX_DEFECTS: usize = 64;
/// Most retries of a device, as of AWS IoT Jobs.
const RETRIES_MAX: u32 = 10;

impl Checker<'_> {
    pub(super) fn campaign(
        &mut self,
        at: &At<mirror::Campaign>,
        file: &mirror::File,
        plan: &mut Plan,
    ) -> Campaign {
        let written = &at.value;
        let name = self.name(&written.campaign, "");
        let server = match written.server.as_ref().map(|server| server.value) {
            None | Some(mirror::ServerWord::Operator) => Server::Operator,
            Some(mirror::ServerWord::External) => Server::External,
        };
        let before = self.problems.len();
        let targets = self.population(written.who.as_ref(), plan);
        let image = self.image(&written.image.value, plan);
        if before == self.problems.len() && self.pruned.is_empty() {
            self.check_targets(written, server, &targets, &image, file, plan);
        }
        let step_timeout =
            (written.step_timeout.as_ref()).map(|time| self.positive(Some(time), Duration::ZERO));
        let in_progress_timeout = (written.in_progress_timeout.as_ref())
            .map(|time| self.positive(Some(time), Duration::ZERO));
        if let (Some(step), Some(all), Some(at)) =
            (step_timeout, in_progress_timeout, &written.step_timeout)
            && step > all
        {
            self.error(
                at.span,
                "the time for a step is longer than that for all of them",
                format!("write at most {all:?}, the in_progress_timeout"),
            );
        }
        if server == Server::External {
            self.check_external(written, plan);
        }
        Campaign {
            name,
            phase: 0,
            start: Duration::ZERO,
            server,
            targets,
            image,
            priorities: self.priorities(&written.priorities, plan),
            order: match written.order.as_ref().map(|order| order.value) {
                None | Some(mirror::OrderWord::ByPriority) => Order::ByPriority,
                Some(mirror::OrderWord::Shuffled) => Order::Shuffled,
            },
            rollout: self.rollout(written.rollout.as_ref()),
            aborts: self.aborts(&written.abort),
            in_progress_timeout,
            step_timeout,
            retries: written
                .retries
                .as_ref()
                .map_or(0, |retries| self.few(retries)),
            pauses: Vec::new(),
            cancel: None,
        }
    }

    /// That every target can take part, and that there is something to do.
    fn check_targets(
        &mut self,
        written: &mirror::Campaign,
        server: Server,
        targets: &Population,
        image: &Image,
        file: &mirror::File,
        plan: &Plan,
    ) {
        let place = written
            .who
            .as_ref()
            .map_or(written.campaign.span, |who| who.span);
        let place = self.first_line(place);
        let members = self.reach(targets, Some(image.version), plan, file);
        if members.is_empty() {
            self.error(
                place,
                "this selects no device",
                "make the conditions wider, or the share larger",
            );
            return;
        }
        let has_it = |device: &DeviceIdx| plan.factory_firmware(*device) == Some(image.version);
        if members.iter().all(has_it) {
            self.error(
                written.image.value.version.span,
                "all devices meant have this version from the factory",
                "write a new version",
            );
        }
        self.all_can(
            &members,
            plan,
            place,
            "update",
            "the campaign means",
            |cohort| cohort.update.is_some(),
        );
        if server == Server::Operator && targets.firmware.is_some() {
            let why = "the operator cannot know the firmware of";
            self.all_can(&members, plan, place, "reported", why, |cohort| {
                cohort.reported.is_some()
            });
        }
        let needs_me = plan.cohorts.iter().any(|cohort| {
            let update = cohort.update.as_ref();
            let is_thingsboard =
                |profile: &WireProfile| matches!(profile, WireProfile::Thingsboard { .. });
            let last = cohort.first + cohort.devices;
            let begin = members.partition_point(|device| *device < cohort.first);
            update.is_some_and(|update| is_thingsboard(&update.profile))
                && members.get(begin).is_some_and(|device| *device < last)
        });
        if server == Server::Operator && needs_me && is_foreign(&plan.target) {
            let span = written
                .server
                .as_ref()
                .map_or(written.campaign.span, |s| s.span);
            self.error(
                span,
                "an operator reaches ThingsBoard's topics, which name no device, only through the embedded target with `me: per_connection`",
                "write `server: external` if the target is ThingsBoard, or use the profile aws_jobs",
            );
        }
    }

    /// What a campaign that others run cannot be told.
    fn check_external(&mut self, written: &mirror::Campaign, plan: &Plan) {
        if let (Target::Embedded(_), Some(server)) = (&plan.target, &written.server) {
            self.error(
                server.span,
                "the embedded target runs no campaigns",
                "remove `server`, or name `brokers` that do",
            );
        }
        let words = [
            ("order", written.order.as_ref().map(|at| at.span)),
            ("rollout", written.rollout.as_ref().map(|at| at.span)),
            ("abort", written.abort.first().map(|at| at.span)),
            (
                "in_progress_timeout",
                written.in_progress_timeout.as_ref().map(|at| at.span),
            ),
            (
                "step_timeout",
                written.step_timeout.as_ref().map(|at| at.span),
            ),
            ("retries", written.retries.as_ref().map(|at| at.span)),
        ];
        for (word, span) in words {
            if let Some(span) = span {
                let span = self.first_line(span);
                self.error(
                    span,
                    format!("`{word}` is up to whoever runs the campaign, which is not this run"),
                    format!("remove `{word}`, or `server: external`"),
                );
            }
        }
    }

    fn image(&mut self, image: &mirror::Image, plan: &Plan) -> Image {
        self.image_version(&image.version);
        let bytes = &image.bytes;
        if !(1..=IMAGE_MAX).contains(&bytes.value) {
            self.error(
                bytes.span,
                format!("an image of {} bytes", bytes.value),
                format!(
                    "write a number from 1 to {IMAGE_MAX}, the largest file of AWS IoT streams"
                ),
            );
        }
        if let Some(more) = image.defects.get(MAX_DEFECTS) {
            let span = self.first_line(more.span);
            self.error(
                span,
                format!("more than {MAX_DEFECTS} defects"),
                "remove some",
            );
        }
        let defects = image.defects.iter().take(MAX_DEFECTS);
        let defects = defects
            .map(|defect| self.defect(&defect.value, plan))
            .collect();
        Image {
            version: plan.firmware.index(&image.version.value).unwrap_or(0),
            bytes: bytes.value.clamp(1, IMAGE_MAX),
            defects,
        }
    }

    fn defect(&mut self, defect: &mirror::Defect, plan: &Plan) -> Defect {
        let before = self.problems.len();
        let pairs = defect.who.iter().flat_map(|who| &who.value.0.0);
        let mut attributes = Vec::new();
        for (key, wanted) in pairs {
            let Wanted::Value(text) = &wanted.value else {
                self.error(
                    wanted.span,
                    "a defect goes by single values",
                    "write one value, and another defect for each of the others",
                );
                continue;
            };
            if key.value == FIRMWARE {
                self.error(
                    key.span,
                    "the firmware that a device comes from is no condition of `where` here",
                    format!("write `from: \"{text}\"` beside `where`"),
                );
            } else if RESERVED.contains(&key.value.as_str()) {
                self.error(
                    key.span,
                    format!("a defect goes by attributes, and `{}` is none", key.value),
                    "name attributes; a part of their devices is `share`, beside `where`",
                );
            } else {
                let value = At {
                    span: wanted.span,
                    value: text.clone(),
                };
                if self.is_attribute(key, plan) && self.is_value(key, &value, plan) {
                    attributes.push((key.value.clone(), value.value));
                }
            }
        }
        let selector = Selector {
            attributes: attributes.clone(),
            ..Selector::default()
        };
        let sound = before == self.problems.len() && self.pruned.is_empty();
        if let Some(who) = defect.who.as_ref().filter(|_| sound)
            && selector.members(plan).is_empty()
        {
            let span = self.first_line(who.span);
            self.error(span, "this selects no device", "make the conditions wider");
        }
        Defect {
            attributes,
            from: (defect.from.as_ref()).and_then(|from| self.version(from, &plan.firmware)),
            share: defect.share.map_or(1.0, |share| share.0),
            effect: self.effect(&defect.effect.value),
        }
    }

    fn effect(&mut self, effect: &mirror::EffectWord) -> Effect {
        let reason = match effect {
            mirror::EffectWord::RollsBack => return Effect::RollsBack,
            mirror::EffectWord::Bricks => return Effect::Bricks,
            mirror::EffectWord::Fails(reason) => reason,
        };
        let is_failure = |reason: &Reason| {
            !matches!(reason, Reason::Ready | Reason::Success | Reason::AwaitRetry)
        };
        let found = Reason::of_word(&reason.value).filter(is_failure);
        if found.is_none() {
            let known = Reason::ALL.into_iter().filter(is_failure).map(Reason::word);
            let help = nearest_help(&reason.value, known);
            self.error(
                reason.span,
                format!("`{}` is no reason for an update to fail", reason.value),
                help,
            );
        }
        Effect::Fails(found.unwrap_or(Reason::UpdateFailed))
    }

    fn priorities(&mut self, list: &[At<mirror::Priority>], plan: &Plan) -> Vec<Priority> {
        if let Some(more) = list.get(MAX_LIST) {
            let span = self.first_line(more.span);
            self.error(
                span,
                format!("more than {MAX_LIST} priorities"),
                "remove some",
            );
        }
        self.unique(
            "priority",
            list.iter().map(|priority| &priority.value.priority),
        );
        let priorities = list.iter().take(MAX_LIST);
        priorities
            .map(|priority| Priority {
                name: self.name(&priority.value.priority, "_"),
                who: self.who(Some(&priority.value.who), plan),
            })
            .collect()
    }

    fn aborts(&mut self, list: &[At<mirror::Abort>]) -> Vec<AbortRule> {
        if let Some(more) = list.get(MAX_LIST) {
            let span = self.first_line(more.span);
            self.error(
                span,
                format!("more than {MAX_LIST} abort rules"),
                "remove some",
            );
        }
        let mut rules = Vec::new();
        for rule in list.iter().take(MAX_LIST) {
            let rule = &rule.value;
            if rule.min_executed.value == 0 {
                self.error(
                    rule.min_executed.span,
                    "a rule that holds before any execution has ended",
                    "write at least 1",
                );
            }
            if rule.threshold.value.0 <= 0.0 {
                self.error(
                    rule.threshold.span,
                    "a threshold of 0% is reached before anything fails",
                    "write a share above 0%",
                );
            }
            rules.push(AbortRule {
                failure: match rule.failure {
                    mirror::FailureWord::Failed => Failure::Failed,
                    mirror::FailureWord::Rejected => Failure::Rejected,
                    mirror::FailureWord::TimedOut => Failure::TimedOut,
                    mirror::FailureWord::All => Failure::All,
                },
                min_executed: rule.min_executed.value,
                threshold: rule.threshold.value.0,
            });
        }
        rules
    }

    /// A number of retries.
    pub(super) fn few(&mut self, retries: &At<u32>) -> u8 {
        if retries.value > RETRIES_MAX {
            self.error(
                retries.span,
                format!("{} retries", retries.value),
                format!("write a number from 0 to {RETRIES_MAX}"),
            );
        }
        u8::try_from(retries.value.min(RETRIES_MAX)).expect("at most RETRIES_MAX")
    }
}

/// Whether nobody puts the client's name into topics that name no device.
fn is_foreign(target: &Target) -> bool {
    match target {
        Target::Embedded(_) => false,
        Target::Brokers(_) => true,
    }
}

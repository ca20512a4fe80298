//! What the devices of a cohort do besides telemetry: update, commands and reported state, with the
//! defaults of the profiles' own SDKs.

use super::Checker;
use crate::mqtt::packet::QoS;
use crate::scenario::errors::nearest_help;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::{BootTime, Embedded, Me, Target};
use crate::scenario::quantity::Share;
use crate::scenario::template::{Segment, Template};
use crate::scenario::tree::Span;
use crate::scenario::update::{
    CommandHandler, Defer, Encoding, GenericAction, Reported, Resume, UpdateClient, WireProfile,
};
use crate::wire::generic_action::{self, Pattern, PatternError};
use std::time::Duration;

/// Bytes of a block: those of a request to AWS IoT streams.
const BLOCK_RANGE: (u32, u32) = (256, 131_072);
/// Most blocks asked for at a time.
const WINDOW_MAX: u32 = 32;
/// Most bytes that AWS IoT answers one request with, and so what is under way at a time.
const AWS_WINDOW_BYTES: u32 = 128 * 1024;
/// Block size of the AWS embedded agent (`otaconfigLOG2_FILE_BLOCK_SIZE` 12) and of ThingsBoard's SDK.
const DEFAULT_BLOCK: u32 = 4_096;
/// The embedded agent's wait for a block before it asks again.
const AWS_BLOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// The embedded agent's requests without an answer before it gives up.
const AWS_BLOCK_RETRIES: u16 = 32;
/// The embedded agent's wait for the verdict of a self-test.
const AWS_SELF_TEST: Duration = Duration::from_secs(16);
/// ThingsBoard's SDK: time per request of a chunk, and retries of each.
const THINGSBOARD_TIMEOUT: Duration = Duration::from_secs(5);
/// See above.
const THINGSBOARD_RETRIES: u16 = 12;
/// Uplink tries again each second, and for ever.
const UPLINK_TIMEOUT: Duration = Duration::from_secs(1);
/// See above: as good as for ever.
const UPLINK_RETRIES: u16 = u16::MAX;
/// What no SDK prescribes.
const DEFAULT_VERIFY: Duration = Duration::from_millis(200);
/// See above.
const DEFAULT_INSTALL: Duration = Duration::from_secs(2);
/// See above.
const DEFAULT_SELF_TEST: Duration = Duration::from_secs(2);
/// See above.
const DEFAULT_REBOOT: BootTime = BootTime::Uniform {
    min: Duration::from_secs(2),
    max: Duration::from_secs(5),
};
/// See above.
const DEFAULT_ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Percent of the download from one progress report of generic_action to the next.
const DEFAULT_PROGRESS: u8 = 10;
/// Shortest time from one state report to the next.
const REPORT_EVERY_MIN: Duration = Duration::from_secs(1);
/// Longest address of an image server.
const MAX_URL: usize = 1_024;

/// What a profile's SDK does if the scenario does not say.
struct Defaults {
    block_timeout: Duration,
    block_retries: u16,
    resume: Resume,
    self_test: Duration,
}

impl WireProfile {
    const fn defaults(&self) -> Defaults {
        match self {
            Self::AwsJobs { .. } => Defaults {
                block_timeout: AWS_BLOCK_TIMEOUT,
                block_retries: AWS_BLOCK_RETRIES,
                resume: Resume::Block,
                self_test: AWS_SELF_TEST,
            },
            Self::Thingsboard { .. } => Defaults {
                block_timeout: THINGSBOARD_TIMEOUT,
                block_retries: THINGSBOARD_RETRIES,
                resume: Resume::Restart,
                self_test: DEFAULT_SELF_TEST,
            },
            Self::GenericAction(_) => Defaults {
                block_timeout: UPLINK_TIMEOUT,
                block_retries: UPLINK_RETRIES,
                resume: Resume::Block,
                self_test: DEFAULT_SELF_TEST,
            },
        }
    }
}

impl Checker<'_> {
    pub(super) fn reported(&mut self, reported: &mirror::Reported, csv: bool) -> Reported {
        let every = reported.every.as_ref();
        if let Some(short) = every.filter(|every| every.value.0 < REPORT_EVERY_MIN) {
            self.error(
                short.span,
                "the time from one report to the next is shorter than 1s",
                "write 1s or more",
            );
        }
        Reported {
            topic: self.device_topic(&reported.topic, csv),
            qos: self.qos(reported.qos.as_ref()),
            every: every.map(|every| every.value.0.max(REPORT_EVERY_MIN)),
        }
    }

    pub(super) fn command_handler(
        &mut self,
        commands: &mirror::Commands,
        csv: bool,
    ) -> CommandHandler {
        CommandHandler {
            topic: self.device_topic(&commands.topic, csv),
            qos: self.qos(commands.qos.as_ref()),
            work: commands.work.map_or(Duration::ZERO, |work| work.0),
            failure: commands.failure.map_or(0.0, |share| share.0),
            idempotent: commands.idempotent.unwrap_or(true),
        }
    }

    fn qos(&mut self, qos: Option<&At<crate::scenario::quantity::Qos>>) -> QoS {
        let Some(qos) = qos else {
            return QoS::AtLeastOnce;
        };
        if qos.value.0 == QoS::ExactlyOnce {
            self.error(
                qos.span,
                "QoS 2 is not spoken here",
                "write `qos: 1`: what comes twice is told apart by its id",
            );
        }
        qos.value.0
    }

    /// A topic on which the operator tells devices apart by a level of their own.
    fn device_topic(&mut self, text: &At<String>, csv: bool) -> Template {
        let topic = self.topic(text, csv);
        let before = self.problems.len();
        let levels = text.value.split('/');
        let alone = levels.filter(|level| *level == "{device}").count();
        let named = text.value.matches("{device}").count();
        let varies = topic.0.iter().any(|segment| match segment {
            Segment::Index | Segment::Node | Segment::Id | Segment::Token => true,
            Segment::Device
            | Segment::Literal(_)
            | Segment::Secret(_)
            | Segment::Cohort
            | Segment::Run => false,
        });
        if (alone, named) != (1, 1) {
            self.error(
                text.span,
                "this topic does not tell devices apart by a level of their own",
                "write `{device}` once, alone between two `/`, such as \"d/{device}/reported\"",
            );
        }
        if varies && before == self.problems.len() {
            self.error(
                text.span,
                "this topic differs from device to device in more than `{device}`",
                "leave only `{device}`, `{cohort}` and `{run}` in it: one subscription hears all devices",
            );
        }
        topic
    }

    pub(super) fn update(&mut self, update: &mirror::Update, csv: bool) -> UpdateClient {
        let profile = self.profile(&update.profile.value, csv);
        let defaults = profile.defaults();
        let block_bytes = self.block(update.block.as_ref());
        let window = self.block_window(update, block_bytes, &profile);
        if let Some(zero) = update.flash_rate.as_ref().filter(|rate| rate.value == 0) {
            self.error(
                zero.span,
                "a flash that takes nothing is never full",
                "write bytes per second, such as 100000",
            );
        }
        let retries = update.block_retries.as_ref();
        UpdateClient {
            block_bytes,
            window,
            block_timeout: self.positive(update.block_timeout.as_ref(), defaults.block_timeout),
            block_retries: retries.map_or(defaults.block_retries, |retries| self.retries(retries)),
            resume: match update.resume {
                None => defaults.resume,
                Some(mirror::ResumeWord::Block) => Resume::Block,
                Some(mirror::ResumeWord::Restart) => Resume::Restart,
            },
            flash_bytes_per_s: update.flash_rate.as_ref().map(|rate| f64::from(rate.value)),
            verify: update.verify.map_or(DEFAULT_VERIFY, |time| time.0),
            install: update.install.map_or(DEFAULT_INSTALL, |time| time.0),
            reboot: match &update.reboot {
                None => DEFAULT_REBOOT,
                reboot @ Some(_) => self.boot(reboot.as_ref()),
            },
            self_test: update.self_test.map_or(defaults.self_test, |time| time.0),
            answer_timeout: self.positive(update.answer_timeout.as_ref(), DEFAULT_ANSWER_TIMEOUT),
            reject: update.reject.map_or(0.0, |share| share.0),
            defer: update.defer.as_ref().map(|defer| Defer {
                share: defer.share.0,
                length: self.positive(Some(&defer.length), Duration::ZERO),
            }),
            fail: update.fail.map_or(0.0, |share| share.0),
            profile,
        }
    }

    fn block(&mut self, block: Option<&At<u32>>) -> u32 {
        let (low, high) = BLOCK_RANGE;
        let Some(block) = block else {
            return DEFAULT_BLOCK;
        };
        if !(low..=high).contains(&block.value) {
            self.error(
                block.span,
                format!("a block of {} bytes", block.value),
                format!("write a number of bytes from {low} to {high}"),
            );
        }
        block.value.clamp(low, high)
    }

    fn block_window(&mut self, update: &mirror::Update, block: u32, profile: &WireProfile) -> u16 {
        let Some(window) = &update.window else {
            return 1;
        };
        let number = window.value;
        if !(1..=WINDOW_MAX).contains(&number) {
            self.error(
                window.span,
                format!("{number} blocks at a time"),
                format!("write a number from 1 to {WINDOW_MAX}"),
            );
            return 1;
        }
        let is_aws = matches!(profile, WireProfile::AwsJobs { .. });
        if is_aws && number * block > AWS_WINDOW_BYTES {
            let most = AWS_WINDOW_BYTES / block;
            self.error(
                window.span,
                format!("{number} blocks of {block} bytes are more than the 128 KiB that AWS IoT answers a request with"),
                format!("write `window: {most}`, or a smaller `block`"),
            );
        }
        u16::try_from(number).expect("at most WINDOW_MAX")
    }

    fn retries(&mut self, retries: &At<u32>) -> u16 {
        u16::try_from(retries.value).unwrap_or_else(|_| {
            self.error(
                retries.span,
                format!("{} is too often", retries.value),
                format!("write a number from 0 to {}", u16::MAX),
            );
            u16::MAX
        })
    }

    fn profile(&mut self, profile: &mirror::Profile, csv: bool) -> WireProfile {
        match profile {
            mirror::Profile::AwsJobs(aws) => WireProfile::AwsJobs {
                encoding: match aws.encoding {
                    None | Some(mirror::EncodingWord::Json) => Encoding::Json,
                    Some(mirror::EncodingWord::Cbor) => Encoding::Cbor,
                },
            },
            mirror::Profile::Thingsboard(thingsboard) => WireProfile::Thingsboard {
                counts_one_more: thingsboard.counts_one_more.unwrap_or(false),
            },
            mirror::Profile::GenericAction(action) => {
                WireProfile::GenericAction(Box::new(self.generic_action(action, csv)))
            }
        }
    }

    fn generic_action(&mut self, action: &mirror::GenericAction, csv: bool) -> GenericAction {
        let (down, up) = (action.action_topic.as_ref(), action.status_topic.as_ref());
        let checked = GenericAction {
            action_topic: self.device_topic_or(down, generic_action::ACTION_TOPIC, csv),
            status_topic: self.device_topic_or(up, generic_action::STATUS_TOPIC, csv),
            action: self.pattern(
                action.action.as_ref(),
                generic_action::ACTION,
                Pattern::action,
            ),
            status: self.pattern(
                action.status.as_ref(),
                generic_action::STATUS,
                Pattern::status,
            ),
            server: action
                .server
                .as_ref()
                .map(|server| self.image_server(server)),
            progress_every: (action.progress_every.as_ref())
                .map_or(DEFAULT_PROGRESS, |part| self.whole_percent(part)),
        };
        if let Some(up) = up.filter(|_| checked.action_topic == checked.status_topic) {
            self.error(
                up.span,
                "actions and status would go by the same topic",
                "write another `status_topic`",
            );
        }
        checked
    }

    fn device_topic_or(&mut self, text: Option<&At<String>>, default: &str, csv: bool) -> Template {
        let default = || At {
            span: self.root,
            value: default.to_owned(),
        };
        let text = text.cloned().unwrap_or_else(default);
        self.device_topic(&text, csv)
    }

    fn whole_percent(&mut self, part: &At<Share>) -> u8 {
        let percent = (part.value.0 * 1e9).round() / 1e7;
        if (percent - percent.round()).abs() > 1e-9 {
            self.error(
                part.span,
                "progress is told in whole percent",
                "write for example 5%",
            );
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share is from 0 to 100 percent"
        )]
        let percent = percent.round() as u8;
        percent
    }

    /// A payload with places; the profile's own without one.
    fn pattern(
        &mut self,
        text: Option<&At<String>>,
        default: &str,
        read: impl Fn(&str) -> Result<Pattern, PatternError>,
    ) -> Pattern {
        let Some(text) = text else {
            return read(default).expect("the profile's own pattern is one");
        };
        let error = match read(&text.value) {
            Ok(pattern) => return pattern,
            Err(error) => error,
        };
        match &error {
            PatternError::Unknown { word, known } => {
                let span = self.within(text.span, &format!("{{{word}}}"));
                let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let known = known
                    .split(|c| !is_word(c))
                    .filter(|known| !known.is_empty());
                let help = nearest_help(word, known);
                self.error(span, format!("there is no place `{{{word}}}` here"), help);
            }
            PatternError::Missing(place) => self.error(
                text.span,
                error.to_string(),
                format!("put `{{{place}}}` where its value stands"),
            ),
            PatternError::Adjacent(..) | PatternError::QuotedErrors => {
                self.error(
                    text.span,
                    error.to_string(),
                    format!("write for example {default}"),
                );
            }
        }
        read(default).expect("the profile's own pattern is one")
    }

    /// `http://host[:port][/path]`, without a `/` at the end.
    fn image_server(&mut self, server: &At<String>) -> String {
        let url = server.value.trim_end_matches('/');
        let bad =
            |this: &mut Self, message: &str, help: &str| this.error(server.span, message, help);
        let example = "write for example http://10.0.0.9:8080/images";
        let Some(rest) = url.strip_prefix("http://") else {
            if url.starts_with("https://") {
                bad(
                    self,
                    "`https://` is not supported yet: this version has no TLS",
                    "use http:// on a trusted network",
                );
            } else {
                bad(self, "the address of a server begins with http://", example);
            }
            return String::new();
        };
        let host = rest.split('/').next().unwrap_or("");
        let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '?' | '#' | '{' | '}');
        if host.is_empty() || url.len() > MAX_URL || !rest.chars().all(is_plain) {
            bad(self, "this is not the address of a server", example);
        }
        url.to_owned()
    }

    /// Whose the topics are that name no device, and that ThingsBoard's are not everybody's.
    pub(super) fn check_me(&mut self, file: &mirror::File, target: &Target) {
        let shared = match target {
            Target::Embedded(Embedded { me, .. }) => *me == Me::Shared,
            Target::Brokers(_) => false,
        };
        if !shared {
            return;
        }
        let cohorts = file.fleet.iter().flat_map(|list| &list.value);
        let profiles: Vec<Span> = cohorts
            .filter_map(|cohort| Some(&cohort.value.update.as_ref()?.value.profile))
            .filter(|profile| matches!(profile.value, mirror::Profile::Thingsboard(_)))
            .map(|profile| profile.span)
            .collect();
        for span in profiles {
            let span = self.first_line(span);
            self.error(
                span,
                "ThingsBoard's topics name no device: on this target each device would get what is meant for all",
                "write `target: { embedded: { me: per_connection } }`",
            );
        }
    }
}

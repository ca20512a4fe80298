//! The device's side of an update: a neutral state machine over the words of a wire profile.
//!
//! ```text
//! offered -> deferred -> downloading -> verifying -> installing -> ready -> rebooting -> self-test -> confirmed
//!     `-> rejected        `-> failed ...                                  `-> bricked     `-> rolling back -> rolled back
//! ```
//!
//! The update lies in flash: the resume point with the state of the hash over what came before it, and
//! where it stands, outlive reboots and power cuts. A verification or installation that was cut
//! begins anew, and so does a self-test.

mod aws_jobs;
mod download;
mod fetching;
mod generic_action;
mod heard;
mod job;
mod life;
mod replies;
mod say;
mod thingsboard;
mod whims;

use super::managed::Cx;
use crate::mqtt::packet::QoS;
use crate::scenario::campaign::{Effect, VersionIdx};
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::scenario::update::{UpdateClient, WireProfile};
use crate::stats::results::{Outcome, ResultRow, Witness};
use crate::time::{Duration, Instant};
use crate::wire::{BadMessage, Progress, Reason, Status};
use download::{Blocks, Body};
use heard::{Heard, Offer, Offered};
use whims::Whims;

/// From a broken HTTP fetch to the next: uplink's pause.
const FETCH_AGAIN: Duration = Duration::from_secs(1);

/// So many answer timeouts a device waits for its word that it reboots to be taken, then it reboots.
const REBOOT_PATIENCE: u32 = 3;

/// Blocks from one progress report to the next over `aws-streams`, as the embedded agent has it; one
/// more is at the first block.
const PROGRESS_BLOCKS: u32 = 64;

/// Refusals of one status that are answered at once with the version that they carry; with more the
/// device waits for its answer timeout.
const MISMATCHES_AT_ONCE: u8 = 3;

/// A device's updates.
#[derive(Debug)]
pub(super) struct Update {
    /// The firmware that is installed and confirmed; `None` = the plan does not name it.
    firmware: Option<VersionIdx>,
    /// The update under way, or whose end is not told yet.
    job: Option<Box<Job>>,
    /// Whose end was told last: what comes of it late is no new offer.
    settled: Option<Box<Offer>>,
    /// Pushed while another one was under way, where it is not to be had by asking.
    later: Option<Box<Offered>>,
    /// Executions begun, per campaign.
    attempts: Vec<(u16, u8)>,
    /// Confirmed its factory firmware to somebody who wanted to install just that.
    said_factory: bool,
    /// When to ask for the next job again; never, if no answer is awaited.
    ask_at: Instant,
    /// Serial number of the latest question.
    question: u32,
    /// Of questions and statuses: part of client tokens and request ids.
    serial: u32,
    /// It did not come back from its reboot and never will.
    bricked: bool,
}

/// An update under way.
#[derive(Debug)]
struct Job {
    offer: Offer,
    /// The campaign whose version this is; `None` = it is none of the plan's, and gets no row.
    campaign: Option<u16>,
    /// The version on offer, if the plan knows it.
    to: Option<VersionIdx>,
    from: Option<VersionIdx>,
    /// The how manieth execution it is, or will be, from 1.
    attempt: u8,
    /// Image bytes received, repetitions included.
    bytes: u64,
    offered: Instant,
    started: Option<Instant>,
    downloaded: Option<Instant>,
    rebooted: Option<Instant>,
    phase: Phase,
    /// When the phase is over, by itself.
    deadline: Instant,
    /// A status that the server has not taken yet.
    telling: Option<Telling>,
    /// `versionNumber` of the execution (AWS), if it is known.
    version: Option<u64>,
    /// Of the chunk requests (ThingsBoard).
    request: u32,
    /// Of the last progress report, in percent (generic action).
    percent: u8,
    /// The server has given the update up after the reboot: nobody wants to hear of it.
    is_unheard: bool,
}

/// Where an update stands.
#[derive(Debug)]
enum Phase {
    /// Put off.
    Deferred,
    /// Block by block.
    Blocks(Box<Blocks>),
    /// Over HTTP.
    Body(Box<Body>),
    /// The hash over what came is compared.
    Verifying([u8; 32]),
    Installing,
    /// Installed; waits for its last word to be taken.
    Ready,
    /// On its way into the new firmware.
    Rebooting,
    /// The new firmware runs. It tests itself from the first connect on, when the deadline is set.
    SelfTest,
    /// On its way back into the old one.
    RollingBack,
    /// Ended; that is to be told.
    Ended,
}

/// A status on its way.
#[derive(Debug)]
struct Telling {
    status: Status,
    progress: Option<Progress>,
    /// Names it in client tokens and in the outbox.
    serial: u32,
    /// When to say it again; never, if it was not said on this connection.
    again: Instant,
    /// It lies in the outbox, or was acknowledged; only where that is all the answer there is.
    posted: bool,
    /// The `expectedVersion` that went with it.
    expected: Option<u64>,
    mismatches: u8,
}

/// How a device reboots.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Reboot {
    /// It is back after this long.
    For(Duration),
    /// It never is.
    Never,
}

impl Update {
    /// None yet.
    pub(super) fn new(plan: &Plan, device: DeviceIdx) -> Self {
        Self {
            firmware: plan.factory_firmware(device),
            job: None,
            settled: None,
            later: None,
            attempts: Vec::new(),
            said_factory: false,
            ask_at: Instant::NEVER,
            question: 0,
            serial: 0,
            bricked: false,
        }
    }

    /// The firmware that is installed and confirmed.
    pub(super) const fn firmware(&self) -> Option<VersionIdx> {
        self.firmware
    }

    /// Whether it did not come back from its reboot.
    pub(super) const fn is_bricked(&self) -> bool {
        self.bricked
    }

    /// What it must have subscribed to.
    pub(super) fn filters(cx: &Cx<'_>) -> Vec<(String, QoS)> {
        match &cx.update_client().profile {
            WireProfile::AwsJobs { encoding } => aws_jobs::filters(cx, *encoding),
            WireProfile::Thingsboard { .. } => thingsboard::filters(),
            WireProfile::GenericAction(words) => generic_action::filters(cx, words),
        }
    }

    /// Takes a message; `false` if it is none of its own.
    pub(super) fn message(&mut self, cx: &mut Cx<'_>, (topic, payload): (&str, &[u8])) -> bool {
        let mut scratch = Vec::new();
        let heard = match &cx.update_client().profile {
            WireProfile::AwsJobs { encoding } if topic.starts_with("$aws/things/") => {
                aws_jobs::read(self, cx, *encoding, (topic, payload), &mut scratch)
            }
            WireProfile::Thingsboard { .. }
                if topic.starts_with("v1/devices/me/attributes") || topic.starts_with("v2/fw/") =>
            {
                thingsboard::read(self, topic, payload)
            }
            WireProfile::GenericAction(words)
                if topic == words.action_topic.to_text(&cx.names()) =>
            {
                generic_action::read(words, payload)
            }
            WireProfile::AwsJobs { .. }
            | WireProfile::Thingsboard { .. }
            | WireProfile::GenericAction(_) => return false,
        };
        let heard = heard.unwrap_or_else(|bad| match bad {
            // Of a subscription that has nothing to do with updates.
            BadMessage::Topic => Heard::Ignored,
            BadMessage::Json | BadMessage::Cbor | BadMessage::Form | BadMessage::Value(_) => {
                Heard::Bad
            }
        });
        self.heard(cx, heard);
        true
    }

    /// When it wants [`Update::timeout`].
    pub(super) fn deadline(&self, client: &UpdateClient, is_online: bool) -> Instant {
        let mut next = if is_online {
            self.ask_at
        } else {
            Instant::NEVER
        };
        let Some(job) = &self.job else {
            return next;
        };
        next = next.min(job.deadline);
        next = next.min(match &job.phase {
            Phase::Blocks(blocks) if is_online => blocks.deadline(client),
            Phase::Body(body) => body.retry,
            Phase::Blocks(_)
            | Phase::Deferred
            | Phase::Verifying(_)
            | Phase::Installing
            | Phase::Ready
            | Phase::Rebooting
            | Phase::SelfTest
            | Phase::RollingBack
            | Phase::Ended => Instant::NEVER,
        });
        match &job.telling {
            Some(telling) if is_online => next.min(telling.again),
            Some(_) | None => next,
        }
    }

    /// The row of an update that is under way, if the run ended at `now`.
    pub(super) fn unfinished(
        &self,
        device: DeviceIdx,
        plan: &Plan,
        now: Instant,
    ) -> Option<ResultRow> {
        let job = self.job.as_ref()?;
        let reason = match job.phase {
            // Its row is written.
            Phase::Ended => return None,
            Phase::Deferred => Reason::AwaitRetry,
            Phase::Blocks(_)
            | Phase::Body(_)
            | Phase::Verifying(_)
            | Phase::Installing
            | Phase::Ready
            | Phase::Rebooting
            | Phase::SelfTest
            | Phase::RollingBack => Reason::Ready,
        };
        job.row(device, plan, (Outcome::Unfinished, reason), now)
    }

    /// Bytes it holds on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let job = self.job.as_ref().map_or(0, |job| {
            let phase = match &job.phase {
                Phase::Blocks(blocks) => size_of::<Blocks>() + blocks.heap_bytes(),
                Phase::Body(_) => size_of::<Body>(),
                Phase::Deferred
                | Phase::Verifying(_)
                | Phase::Installing
                | Phase::Ready
                | Phase::Rebooting
                | Phase::SelfTest
                | Phase::RollingBack
                | Phase::Ended => 0,
            };
            size_of::<Job>() + phase + job.offer.heap_bytes()
        });
        let settled = self
            .settled
            .as_ref()
            .map_or(0, |offer| size_of::<Offer>() + offer.heap_bytes());
        job + settled + self.attempts.capacity() * size_of::<(u16, u8)>()
    }

    fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }

    fn attempts_of(&self, campaign: u16) -> u8 {
        let of = self.attempts.iter().find(|(known, _)| *known == campaign);
        of.map_or(0, |(_, attempts)| *attempts)
    }

    /// One more execution of `campaign` has begun.
    fn count_attempt(&mut self, campaign: u16) {
        match self.attempts.iter_mut().find(|(c, _)| *c == campaign) {
            Some((_, attempts)) => *attempts = attempts.saturating_add(1),
            None => self.attempts.push((campaign, 1)),
        }
    }
}

impl Job {
    /// What it came to at `now`; `None` if it is of no campaign of the plan.
    fn row(
        &self,
        device: DeviceIdx,
        plan: &Plan,
        (outcome, reason): (Outcome, Reason),
        now: Instant,
    ) -> Option<ResultRow> {
        let campaign = self.campaign?;
        let priorities = plan.campaigns[usize::from(campaign)].priorities.len();
        let not_begun = u8::from(self.started.is_none());
        Some(ResultRow {
            campaign,
            witness: Witness::Device,
            device,
            from: self.from,
            // A device does not know its priority.
            priority: u8::try_from(priorities).expect("the file's limit on priorities is 16"),
            outcome,
            reason,
            attempts: self.attempt - not_begun,
            bytes: self.bytes,
            offered: Some(self.offered),
            started: self.started,
            // The flash may still be busy with what came.
            downloaded: self.downloaded.filter(|at| *at <= now),
            rebooted: self.rebooted,
            finished: now,
        })
    }

    /// What is drawn for it; `None` if it is of no campaign of the plan.
    fn whims<'a>(&self, cx: &Cx<'a>) -> Option<Whims<'a>> {
        Some(Whims {
            profile: cx.profile,
            device: cx.id,
            campaign: self.campaign?,
            attempt: self.attempt,
        })
    }

    /// How the image fails on this device, if it does.
    fn defect(&self, cx: &Cx<'_>) -> Option<Effect> {
        self.whims(cx)?.defect(self.from)
    }
}

//! The state machine of an update: what its states make of offers, and how it ends.

use super::download::IMAGE_BYTES_MAX;
use super::heard::{Heard, Offered};
use super::{Job, Phase, Update};
use crate::device::Output;
use crate::device::managed::Cx;
use crate::scenario::update::WireProfile;
use crate::stats::event::UpdateEvent;
use crate::stats::results::Outcome;
use crate::time::Instant;
use crate::wire::{Reason, Stage, Status};

/// Offers and their ends.
impl Update {
    /// A message of the server was read.
    pub(super) fn heard(&mut self, cx: &mut Cx<'_>, heard: Heard<'_>) {
        match heard {
            Heard::Offer(offered) => self.offered(cx, *offered),
            Heard::Nothing { is_answer } => self.nothing(cx, is_answer),
            Heard::NotAnswered { again } => {
                cx.update_event(UpdateEvent::BadAnswer);
                if !again {
                    self.ask_at = Instant::NEVER;
                }
            }
            Heard::Reply(serial, reply) => self.reply(cx, serial, reply),
            Heard::Block { index, bytes } => self.block(cx, index, bytes),
            Heard::NoBlock(reason) => self.no_block(cx, reason),
            Heard::Unwanted => cx.update_event(UpdateEvent::UnwantedBlock),
            Heard::Ignored => {}
            Heard::Bad => cx.update_event(UpdateEvent::BadAnswer),
        }
    }

    fn offered(&mut self, cx: &mut Cx<'_>, offered: Offered) {
        let is_answer = offered.is_answer;
        if is_answer {
            self.ask_at = Instant::NEVER;
        }
        let Some(job) = &mut self.job else {
            if !self.is_settled(&offered) {
                self.consider(cx, offered);
            }
            return;
        };
        let is_same = job.offer.is_same(&offered.offer);
        if is_same && (is_answer || offered.version > job.version) {
            job.version = offered.version;
        }
        match (&job.phase, is_same) {
            (Phase::Blocks(blocks), true) if blocks.is_paused() => self.resume(cx),
            // The server has not heard how it ended.
            (Phase::Ended, true) if is_answer => self.say_again(cx),
            // A push that names no try of its own is one more try.
            (Phase::Ended, true) if offered.offer.is_numberless() => {
                self.later = Some(Box::new(offered));
            }
            (
                Phase::Deferred
                | Phase::Blocks(_)
                | Phase::Body(_)
                | Phase::Verifying(_)
                | Phase::Installing
                | Phase::Ready
                | Phase::Rebooting
                | Phase::SelfTest
                | Phase::RollingBack
                | Phase::Ended,
                true,
            ) => {}
            (Phase::Deferred, false) => {
                self.lapse(cx, Outcome::Cancelled, Reason::Ready);
                self.consider(cx, offered);
            }
            (Phase::Blocks(_) | Phase::Body(_) | Phase::Verifying(_), false) if is_answer => {
                self.lapse(cx, Outcome::TimedOut, Reason::AwaitRetry);
                self.consider(cx, offered);
            }
            (Phase::Ended, false) if is_answer => {
                self.forget();
                self.consider(cx, offered);
            }
            // It may be an old message: to be sure.
            (Phase::Blocks(_) | Phase::Verifying(_), false) if asks(cx) => self.ask(cx),
            // It asks when it is done, or knows where asking does not help.
            (
                Phase::Blocks(_)
                | Phase::Body(_)
                | Phase::Verifying(_)
                | Phase::Installing
                | Phase::Ready
                | Phase::Rebooting
                | Phase::SelfTest
                | Phase::RollingBack
                | Phase::Ended,
                false,
            ) => {
                if !asks(cx) {
                    self.later = Some(Box::new(offered));
                }
            }
        }
    }

    /// Whether `offered` is the one whose end was told last. A ThingsBoard push has no number of its own:
    /// it is always a new one.
    fn is_settled(&self, offered: &Offered) -> bool {
        let settled = self.settled.as_ref();
        let is_same = settled.is_some_and(|settled| settled.is_same(&offered.offer));
        is_same && (offered.is_answer || !offered.offer.is_numberless())
    }

    /// The server has nothing for it.
    fn nothing(&mut self, cx: &mut Cx<'_>, is_answer: bool) {
        if is_answer {
            self.ask_at = Instant::NEVER;
        }
        let Some(job) = &self.job else {
            return;
        };
        match job.phase {
            Phase::Deferred => self.lapse(cx, Outcome::Cancelled, Reason::Ready),
            Phase::Blocks(_)
            | Phase::Body(_)
            | Phase::Verifying(_)
            | Phase::Installing
            | Phase::Ready => {
                if is_answer {
                    self.lapse(cx, Outcome::TimedOut, Reason::AwaitRetry);
                } else {
                    // It may be an old message: to be sure.
                    self.ask(cx);
                }
            }
            Phase::Ended => {
                if is_answer {
                    self.forget();
                }
            }
            Phase::Rebooting | Phase::SelfTest | Phase::RollingBack => {}
        }
    }

    /// A new offer: takes it up, puts it off, or rejects it.
    pub(super) fn consider(&mut self, cx: &mut Cx<'_>, offered: Offered) {
        let firmware = &cx.profile.plan.firmware;
        let to = firmware.index(&offered.offer.version);
        let campaign = to.and_then(|version| cx.profile.plan.campaign_of(version));
        let campaign = campaign.map(|index| u16::try_from(index).expect("campaigns are few"));
        let attempt = campaign.map_or(0, |campaign| self.attempts_of(campaign));
        let Offered { offer, flaw, .. } = offered;
        let flaw = flaw.or_else(|| match (to, self.firmware) {
            (None, _) => Some(Reason::UnsupportedPackage),
            (Some(to), Some(from)) if firmware.is_below(to, from) => {
                Some(Reason::UnsupportedPackage)
            }
            _ if offer.bytes == Some(0) => Some(Reason::UnsupportedPackage),
            _ if offer.bytes.is_some_and(|bytes| bytes > IMAGE_BYTES_MAX) => {
                Some(Reason::NotEnoughFlash)
            }
            (Some(_), _) => None,
        });
        let job = Job {
            offer,
            campaign,
            to,
            from: self.firmware,
            attempt: attempt.saturating_add(1),
            bytes: 0,
            offered: cx.now,
            started: None,
            downloaded: None,
            rebooted: None,
            phase: Phase::Deferred,
            deadline: Instant::NEVER,
            telling: None,
            version: offered.version,
            request: 0,
            percent: 0,
            is_unheard: false,
        };
        let whims = job.whims(cx);
        self.job = Some(Box::new(job));
        let client = cx.update_client();
        if to.is_some() && to == self.firmware {
            return self.already(cx);
        }
        let Some(whims) = whims.filter(|_| flaw.is_none()) else {
            return self.end(
                cx,
                Stage::Rejected,
                flaw.unwrap_or(Reason::UnsupportedPackage),
            );
        };
        if whims.rejects(client.reject) {
            return self.end(cx, Stage::Rejected, Reason::Ready);
        }
        match client.defer {
            Some(defer) if whims.defers(defer.share) => {
                let until = cx.now.after(defer.length);
                self.enter(Phase::Deferred, until);
                self.say(cx, Status::of(Stage::Deferred));
            }
            Some(_) | None => self.begin(cx),
        }
    }

    /// It is offered what it runs: that is told, and nothing done. A row of it is written unless there is
    /// one already.
    fn already(&mut self, cx: &mut Cx<'_>) {
        let is_factory = self.firmware == cx.profile.plan.factory_firmware(cx.id);
        let is_news = is_factory && !self.said_factory;
        self.said_factory |= is_news;
        if let Some(job) = self.job.as_mut().filter(|_| !is_news) {
            job.campaign = None;
        }
        self.end(cx, Stage::Confirmed, Reason::Success);
    }

    /// It ends here, by the device's own will: a row, and a word to the server.
    pub(super) fn end(&mut self, cx: &mut Cx<'_>, stage: Stage, reason: Reason) {
        let outcome = match stage {
            Stage::Rejected => Outcome::Rejected,
            Stage::Confirmed => Outcome::Confirmed,
            Stage::RolledBack => Outcome::RolledBack,
            Stage::Failed => Outcome::Failed,
            Stage::Deferred
            | Stage::Downloading
            | Stage::Downloaded
            | Stage::Verifying
            | Stage::Installing
            | Stage::Rebooting
            | Stage::SelfTest => unreachable!("nothing ends there"),
        };
        self.write_row(cx, outcome, reason);
        self.stop_fetch(cx);
        self.enter(Phase::Ended, Instant::NEVER);
        if self.job.as_ref().is_some_and(|job| job.is_unheard) {
            return self.settle(cx);
        }
        self.say(cx, Status::because(stage, reason));
    }

    /// It ends here because the server has given it up.
    pub(super) fn lapse(&mut self, cx: &mut Cx<'_>, outcome: Outcome, reason: Reason) {
        self.write_row(cx, outcome, reason);
        self.stop_fetch(cx);
        self.forget();
    }

    pub(super) fn write_row(&self, cx: &mut Cx<'_>, outcome: Outcome, reason: Reason) {
        let job = self.job.as_ref();
        let plan = &cx.profile.plan;
        let row = job.and_then(|job| job.row(cx.id, plan, (outcome, reason), cx.now));
        if let Some(row) = row {
            cx.out.push(Output::Result(Box::new(row)));
        }
    }

    pub(super) fn stop_fetch(&mut self, cx: &mut Cx<'_>) {
        if let Some(Phase::Body(body)) = self.job.as_mut().map(|job| &mut job.phase) {
            body.retry = Instant::NEVER;
            if std::mem::take(&mut body.running) {
                cx.out.push(Output::StopFetch);
            }
        }
    }

    /// There is nothing more to tell of it.
    pub(super) fn forget(&mut self) {
        if let Some(job) = self.job.take() {
            self.settled = Some(Box::new(job.offer));
        }
    }

    /// The server knows how it ended: on to the next.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_>) {
        self.forget();
        match self.later.take() {
            Some(later) if !self.is_settled(&later) => self.consider(cx, *later),
            Some(_) | None => self.ask(cx),
        }
    }

    pub(super) fn enter(&mut self, phase: Phase, deadline: Instant) {
        let job = self.job.as_mut().expect("only an update has phases");
        job.phase = phase;
        job.deadline = deadline;
    }
}

/// Whether servers of the profile answer a status.
pub(super) fn answers(cx: &Cx<'_>) -> bool {
    match cx.update_client().profile {
        WireProfile::AwsJobs { .. } => true,
        WireProfile::Thingsboard { .. } | WireProfile::GenericAction(_) => false,
    }
}

/// Whether a device of the profile asks for its next job.
pub(super) fn asks(cx: &Cx<'_>) -> bool {
    match cx.update_client().profile {
        WireProfile::AwsJobs { .. } | WireProfile::Thingsboard { .. } => true,
        WireProfile::GenericAction(_) => false,
    }
}

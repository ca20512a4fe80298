//! The state machine of an update: what each of its states makes of what comes.

use super::download::{Blocks, Body, IMAGE_BYTES_MAX, Took};
use super::heard::{Heard, Key, Offered, Reply, ServerEnd, ServerState};
use super::whims::Way;
use super::{
    FETCH_AGAIN, Job, MISMATCHES_AT_ONCE, PROGRESS_BLOCKS, Phase, REBOOT_PATIENCE, Reboot, Update,
};
use crate::device::managed::Cx;
use crate::device::{Fetch, FetchEnd, Output};
use crate::scenario::campaign::Effect;
use crate::scenario::update::{Resume, WireProfile};
use crate::stats::event::UpdateEvent;
use crate::stats::results::Outcome;
use crate::time::Instant;
use crate::wire::{Reason, Stage, Status, generic_action, image, thingsboard};

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
    fn consider(&mut self, cx: &mut Cx<'_>, offered: Offered) {
        let firmware = &cx.profile.plan.firmware;
        let to = firmware.index(&offered.offer.version);
        let campaign = to.and_then(|version| cx.profile.plan.campaign_of(version));
        let campaign = campaign.map(|index| u16::try_from(index).expect("campaigns are few"));
        let attempt = campaign.map_or(0, |campaign| self.attempts_of(campaign));
        let Offered { offer, flaw, .. } = offered;
        let flaw = flaw.or(match (to, self.firmware) {
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
    fn end(&mut self, cx: &mut Cx<'_>, stage: Stage, reason: Reason) {
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
    fn lapse(&mut self, cx: &mut Cx<'_>, outcome: Outcome, reason: Reason) {
        self.write_row(cx, outcome, reason);
        self.stop_fetch(cx);
        self.forget();
    }

    fn write_row(&self, cx: &mut Cx<'_>, outcome: Outcome, reason: Reason) {
        let job = self.job.as_ref();
        let plan = &cx.profile.plan;
        let row = job.and_then(|job| job.row(cx.id, plan, (outcome, reason), cx.now));
        if let Some(row) = row {
            cx.out.push(Output::Result(Box::new(row)));
        }
    }

    fn stop_fetch(&mut self, cx: &mut Cx<'_>) {
        if let Some(Phase::Body(body)) = self.job.as_mut().map(|job| &mut job.phase) {
            body.retry = Instant::NEVER;
            if std::mem::take(&mut body.running) {
                cx.out.push(Output::StopFetch);
            }
        }
    }

    /// There is nothing more to tell of it.
    fn forget(&mut self) {
        if let Some(job) = self.job.take() {
            self.settled = Some(Box::new(job.offer));
        }
    }

    /// The server knows how it ended: on to the next.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        self.forget();
        match self.later.take() {
            Some(later) if !self.is_settled(&later) => self.consider(cx, *later),
            Some(_) | None => self.ask(cx),
        }
    }

    fn enter(&mut self, phase: Phase, deadline: Instant) {
        let job = self.job.as_mut().expect("only an update has phases");
        job.phase = phase;
        job.deadline = deadline;
    }
}

/// The download.
impl Update {
    fn begin(&mut self, cx: &mut Cx<'_>) {
        let request = self.next_serial();
        let job = self.job.as_mut().expect("it was offered");
        job.started = Some(cx.now);
        job.request = request;
        if let Some(campaign) = job.campaign {
            self.count_attempt(campaign);
        }
        let job = self.job.as_mut().expect("it was offered");
        let client = cx.update_client();
        let bytes = job.offer.bytes.unwrap_or(IMAGE_BYTES_MAX);
        let block_bytes = client.block_bytes;
        let phase = match &client.profile {
            WireProfile::AwsJobs { .. } => {
                let blocks = image::blocks(bytes, block_bytes);
                Phase::Blocks(Box::new(Blocks::new(bytes, block_bytes, blocks)))
            }
            WireProfile::Thingsboard { counts_one_more } => {
                let blocks = thingsboard::chunks(bytes, block_bytes, *counts_one_more);
                Phase::Blocks(Box::new(Blocks::new(bytes, block_bytes, blocks)))
            }
            WireProfile::GenericAction(_) => Phase::Body(Box::new(Body::new(job.offer.bytes))),
        };
        job.phase = phase;
        job.deadline = Instant::NEVER;
        self.say(cx, Status::of(Stage::Downloading));
        match self.job.as_ref().and_then(|job| job.defect(cx)) {
            Some(Effect::Fails(reason)) if shows_at_once(reason) => {
                self.end(cx, Stage::Failed, reason);
            }
            Some(Effect::Fails(_) | Effect::RollsBack | Effect::Bricks) | None => self.fetch(cx),
        }
    }

    /// The server has said that the update still stands.
    fn resume(&mut self, cx: &mut Cx<'_>) {
        let request = self.next_serial();
        let Some(job) = &mut self.job else {
            return;
        };
        job.request = request;
        if let Phase::Blocks(blocks) = &mut job.phase {
            cx.update_event(match cx.update_client().resume {
                Resume::Block => UpdateEvent::Resumed,
                Resume::Restart => {
                    blocks.restart();
                    UpdateEvent::Restarted
                }
            });
            blocks.resume();
        }
        self.fetch(cx);
    }

    /// Asks for what the download wants next.
    fn fetch(&mut self, cx: &mut Cx<'_>) {
        let client = cx.update_client();
        let Some(job) = &mut self.job else {
            return;
        };
        match &mut job.phase {
            Phase::Blocks(blocks) if cx.online => {
                let runs = blocks.ask(cx.now, client);
                self.ask_for(cx, &runs);
            }
            Phase::Body(body) if !body.running => {
                let Key::Generic { url, .. } = &job.offer.key else {
                    unreachable!("only a generic action has a body");
                };
                if body.got() > 0 {
                    cx.update_event(match client.resume {
                        Resume::Block => UpdateEvent::Resumed,
                        Resume::Restart => {
                            body.restart();
                            UpdateEvent::Restarted
                        }
                    });
                }
                (body.running, body.retry) = (true, Instant::NEVER);
                cx.out.push(Output::Fetch(Box::new(Fetch {
                    url: address(&client.profile, url),
                    offset: body.got(),
                })));
            }
            Phase::Deferred
            | Phase::Blocks(_)
            | Phase::Body(_)
            | Phase::Verifying(_)
            | Phase::Installing
            | Phase::Ready
            | Phase::Rebooting
            | Phase::SelfTest
            | Phase::RollingBack
            | Phase::Ended => {}
        }
    }

    fn block(&mut self, cx: &mut Cx<'_>, index: u64, bytes: &[u8]) {
        let client = cx.update_client();
        let Some(job) = &mut self.job else {
            return cx.update_event(UpdateEvent::UnwantedBlock);
        };
        job.bytes += bytes.len() as u64;
        let took = match &mut job.phase {
            Phase::Blocks(blocks) => blocks.take(cx.now, index, bytes, client),
            Phase::Deferred
            | Phase::Body(_)
            | Phase::Verifying(_)
            | Phase::Installing
            | Phase::Ready
            | Phase::Rebooting
            | Phase::SelfTest
            | Phase::RollingBack
            | Phase::Ended => Took::Unwanted,
        };
        match took {
            Took::Unwanted => cx.update_event(UpdateEvent::UnwantedBlock),
            Took::OutOfRange => cx.update_event(UpdateEvent::BadAnswer),
            Took::WrongLength => self.end(cx, Stage::Failed, Reason::Integrity),
            Took::Kept => self.block_kept(cx),
        }
    }

    fn block_kept(&mut self, cx: &mut Cx<'_>) {
        let Some(Phase::Blocks(blocks)) = self.job.as_ref().map(|job| &job.phase) else {
            return;
        };
        if blocks.is_complete() {
            let (free, hash) = blocks.finish();
            return self.downloaded(cx, free, hash);
        }
        let received = blocks.received();
        if received == 1 || received.is_multiple_of(PROGRESS_BLOCKS) {
            self.say_progress(cx);
        }
        self.fetch(cx);
    }

    fn downloaded(&mut self, cx: &mut Cx<'_>, free: Instant, hash: [u8; 32]) {
        let client = cx.update_client();
        let at = free.max(cx.now);
        if let Some(job) = &mut self.job {
            job.downloaded = Some(at);
        }
        self.say(cx, Status::of(Stage::Downloaded));
        self.enter(Phase::Verifying(hash), at.after(client.verify));
        self.say(cx, Status::of(Stage::Verifying));
    }

    /// The server says that no block will come.
    fn no_block(&mut self, cx: &mut Cx<'_>, reason: Reason) {
        let job = self.job.as_ref();
        if job.is_some_and(|job| matches!(job.phase, Phase::Blocks(_))) {
            self.end(cx, Stage::Failed, reason);
        } else {
            cx.update_event(UpdateEvent::BadAnswer);
        }
    }

    /// The next bytes of a body came.
    pub(in crate::device) fn fetched(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        let client = cx.update_client();
        let Some(job) = &mut self.job else {
            return;
        };
        let Phase::Body(body) = &mut job.phase else {
            return;
        };
        job.bytes += bytes.len() as u64;
        if !body.take(cx.now, bytes, client) {
            return self.end(cx, Stage::Failed, Reason::Integrity);
        }
        if body.is_complete() {
            body.running = false;
            let (free, hash) = body.finish();
            return self.downloaded(cx, free, hash);
        }
        let WireProfile::GenericAction(words) = &client.profile else {
            return;
        };
        let (got, all) = (body.got().into(), body.bytes().unwrap_or(u32::MAX).into());
        let percent = generic_action::download_progress(got, all);
        let step = words.progress_every;
        if step > 0 && percent / step > job.percent / step {
            job.percent = percent;
            self.say_progress(cx);
        }
    }

    /// A fetch is over.
    pub(in crate::device) fn fetch_ended(&mut self, cx: &mut Cx<'_>, end: FetchEnd) {
        let client = cx.update_client();
        let Some(Phase::Body(body)) = self.job.as_mut().map(|job| &mut job.phase) else {
            return;
        };
        body.running = false;
        let reason = match end {
            FetchEnd::Complete if body.bytes().is_none() => {
                let (free, hash) = body.finish();
                return self.downloaded(cx, free, hash);
            }
            // Fewer than were announced.
            FetchEnd::Complete => Reason::Integrity,
            FetchEnd::BadUri => Reason::BadUri,
            // There is nothing so far behind the beginning.
            FetchEnd::Refused(416) => Reason::Integrity,
            // Request Timeout and Too Many Requests pass.
            FetchEnd::Refused(400..=407 | 409..=428 | 430..=499) => Reason::BadUri,
            FetchEnd::Refused(_) | FetchEnd::Broken => {
                if body.broke(cx.now, FETCH_AGAIN, client) {
                    return;
                }
                Reason::ConnectionLost
            }
        };
        self.end(cx, Stage::Failed, reason);
    }
}

/// Time, reboots and power.
impl Update {
    /// A deadline has come.
    pub(in crate::device) fn timeout(&mut self, cx: &mut Cx<'_>) {
        let client = cx.update_client();
        if cx.online && self.ask_at <= cx.now && !self.ask_at.is_never() {
            self.ask(cx);
        }
        let Some(job) = &mut self.job else {
            return;
        };
        let telling = job.telling.as_ref();
        let is_due = telling.is_some_and(|telling| telling.again <= cx.now);
        if job.deadline <= cx.now && !job.deadline.is_never() {
            return self.phase_over(cx);
        }
        match &mut job.phase {
            Phase::Blocks(blocks) if cx.online => match blocks.ask_again(cx.now, client) {
                Some(runs) => {
                    for _ in &runs {
                        cx.update_event(UpdateEvent::BlockAskedAgain);
                    }
                    self.ask_for(cx, &runs);
                    self.fetch(cx);
                }
                None => return self.end(cx, Stage::Failed, Reason::ConnectionLost),
            },
            Phase::Body(body) => {
                if body.retry <= cx.now && !body.retry.is_never() {
                    self.fetch(cx);
                }
            }
            Phase::Blocks(_)
            | Phase::Deferred
            | Phase::Verifying(_)
            | Phase::Installing
            | Phase::Ready
            | Phase::Rebooting
            | Phase::SelfTest
            | Phase::RollingBack
            | Phase::Ended => {}
        }
        if is_due && cx.online {
            cx.update_event(UpdateEvent::StatusAgain);
            self.say_again(cx);
        }
    }

    /// The phase is over by itself.
    fn phase_over(&mut self, cx: &mut Cx<'_>) {
        let client = cx.update_client();
        let Some(job) = &mut self.job else {
            return;
        };
        job.deadline = Instant::NEVER;
        let defect = job.defect(cx);
        match &job.phase {
            Phase::Deferred => self.begin(cx),
            Phase::Verifying(hash) => {
                let is_sound = job.offer.sha256.map(|announced| announced == *hash);
                if let Some(is_sound) = is_sound {
                    cx.update_event(if is_sound {
                        UpdateEvent::HashMatched
                    } else {
                        UpdateEvent::HashDiffered
                    });
                }
                if is_sound == Some(false) || defect == Some(Effect::Fails(Reason::Integrity)) {
                    return self.end(cx, Stage::Failed, Reason::Integrity);
                }
                self.enter(Phase::Installing, cx.now.after(client.install));
                self.say(cx, Status::of(Stage::Installing));
            }
            Phase::Installing => {
                let fails = job.whims(cx).is_some_and(|whims| whims.fails(client.fail));
                match defect {
                    Some(Effect::Fails(reason)) => self.end(cx, Stage::Failed, reason),
                    Some(Effect::RollsBack | Effect::Bricks) | None if fails => {
                        self.end(cx, Stage::Failed, Reason::Io);
                    }
                    Some(Effect::RollsBack | Effect::Bricks) | None => {
                        let patience = client.answer_timeout * REBOOT_PATIENCE;
                        self.enter(Phase::Ready, cx.now.after(patience));
                        self.say(cx, Status::of(Stage::Rebooting));
                    }
                }
            }
            Phase::Ready => self.reboot(cx),
            Phase::SelfTest if defect == Some(Effect::RollsBack) => {
                let whims = job.whims(cx).expect("a defect is of a campaign");
                let time = whims.reboot(client.reboot, Way::Back);
                job.telling = None;
                self.enter(Phase::RollingBack, Instant::NEVER);
                cx.reboot = Some(Reboot::For(time));
            }
            Phase::SelfTest => {
                self.firmware = job.to;
                cx.report = true;
                self.end(cx, Stage::Confirmed, Reason::Success);
            }
            Phase::Blocks(_)
            | Phase::Body(_)
            | Phase::Rebooting
            | Phase::RollingBack
            | Phase::Ended => {}
        }
    }

    /// Into the new firmware.
    fn reboot(&mut self, cx: &mut Cx<'_>) {
        let Some(job) = &mut self.job else {
            return;
        };
        job.rebooted = Some(cx.now);
        job.telling = None;
        if job.defect(cx) == Some(Effect::Bricks) {
            self.write_row(cx, Outcome::Bricked, Reason::UpdateFailed);
            self.forget();
            self.bricked = true;
            cx.reboot = Some(Reboot::Never);
            return;
        }
        let whims = job
            .whims(cx)
            .expect("what is none of the plan's is rejected");
        let time = whims.reboot(cx.update_client().reboot, Way::There);
        self.enter(Phase::Rebooting, Instant::NEVER);
        cx.reboot = Some(Reboot::For(time));
    }

    /// The device is back from a reboot.
    pub(in crate::device) fn rebooted(&mut self, cx: &mut Cx<'_>) {
        let Some(job) = &self.job else {
            return;
        };
        match job.phase {
            Phase::Rebooting => self.enter(Phase::SelfTest, Instant::NEVER),
            Phase::RollingBack => self.end(cx, Stage::RolledBack, Reason::UpdateFailed),
            Phase::Deferred
            | Phase::Blocks(_)
            | Phase::Body(_)
            | Phase::Verifying(_)
            | Phase::Installing
            | Phase::Ready
            | Phase::SelfTest
            | Phase::Ended => {}
        }
    }

    /// The connection is established, and what has to be is subscribed to.
    pub(in crate::device) fn online(&mut self, cx: &mut Cx<'_>) {
        self.catch_up(cx);
        // Last, so that the answer is younger than what was said before.
        self.ask(cx);
    }

    fn catch_up(&mut self, cx: &mut Cx<'_>) {
        let Some(job) = &mut self.job else {
            return;
        };
        match &job.phase {
            Phase::SelfTest if job.deadline.is_never() => {
                job.deadline = cx.now.after(cx.update_client().self_test);
                self.say(cx, Status::of(Stage::SelfTest));
            }
            Phase::Body(body) if !body.running && body.retry.is_never() => {
                self.say_again(cx);
                self.fetch(cx);
            }
            Phase::Deferred
            | Phase::Blocks(_)
            | Phase::Body(_)
            | Phase::Verifying(_)
            | Phase::Installing
            | Phase::Ready
            | Phase::Rebooting
            | Phase::SelfTest
            | Phase::RollingBack
            | Phase::Ended => self.say_again(cx),
        }
    }

    /// The connection is gone.
    pub(in crate::device) fn offline(&mut self) {
        self.ask_at = Instant::NEVER;
        let Some(job) = &mut self.job else {
            return;
        };
        if let Some(telling) = &mut job.telling {
            telling.again = Instant::NEVER;
        }
        if let Phase::Blocks(blocks) = &mut job.phase {
            blocks.pause();
        }
    }

    /// The power is gone: what is in flash stays.
    pub(in crate::device) fn power_off(&mut self, cx: &mut Cx<'_>) {
        self.offline();
        self.stop_fetch(cx);
        let Some(job) = &mut self.job else {
            return;
        };
        if let Some(telling) = &mut job.telling {
            telling.posted = false;
        }
        match job.phase {
            // By the clock, which goes on.
            Phase::Deferred => {}
            Phase::Blocks(_)
            | Phase::Body(_)
            | Phase::Verifying(_)
            | Phase::Installing
            | Phase::Ready
            | Phase::Rebooting
            | Phase::SelfTest
            | Phase::RollingBack
            | Phase::Ended => job.deadline = Instant::NEVER,
        }
    }

    /// The power is back.
    pub(in crate::device) fn power_on(&mut self, cx: &mut Cx<'_>) {
        let client = cx.update_client();
        let Some(job) = &mut self.job else {
            return;
        };
        match job.phase {
            Phase::Verifying(_) => job.deadline = cx.now.after(client.verify),
            Phase::Installing => job.deadline = cx.now.after(client.install),
            Phase::Ready => job.deadline = cx.now.after(client.answer_timeout * REBOOT_PATIENCE),
            // The boot is the one it was waiting for.
            Phase::Rebooting | Phase::RollingBack => self.rebooted(cx),
            Phase::Deferred
            | Phase::Blocks(_)
            | Phase::Body(_)
            | Phase::SelfTest
            | Phase::Ended => {}
        }
    }

    /// For good: the run is over.
    pub(in crate::device) fn shut_down(&mut self, cx: &mut Cx<'_>) {
        self.stop_fetch(cx);
    }
}

/// What comes of a status.
impl Update {
    /// The outbox has been rid of the status `serial`: where servers do not answer, that is their answer.
    pub(in crate::device) fn acked(&mut self, cx: &mut Cx<'_>, serial: u32) {
        let telling = self.job.as_ref().and_then(|job| job.telling.as_ref());
        if !answers(cx) && telling.is_some_and(|telling| telling.serial == serial) {
            self.taken(cx);
        }
    }

    fn reply(&mut self, cx: &mut Cx<'_>, serial: Option<u32>, reply: Reply) {
        let Some(job) = &mut self.job else {
            return;
        };
        let is_latest = match (&job.telling, serial) {
            (Some(telling), Some(serial)) => telling.serial == serial,
            // A server that leaves client tokens away.
            (Some(_), None) => true,
            (None, _) => false,
        };
        match reply {
            Reply::Taken(version) if is_latest => {
                let expected = job.telling.as_ref().and_then(|telling| telling.expected);
                job.version = version.or(expected.map(|version| version + 1));
                self.taken(cx);
            }
            Reply::Taken(version) => job.version = version.or(job.version),
            Reply::Mismatch(state) if is_latest => self.mismatch(cx, state),
            Reply::Over(state) if is_latest => self.over(cx, state),
            Reply::Unreadable => cx.update_event(UpdateEvent::BadAnswer),
            Reply::Mismatch(_) | Reply::Over(_) | Reply::Later => {}
        }
    }

    /// The latest status is taken.
    fn taken(&mut self, cx: &mut Cx<'_>) {
        let Some(job) = &mut self.job else {
            return;
        };
        let telling = job.telling.take();
        let stage = telling.map(|telling| telling.status.stage);
        match job.phase {
            Phase::Ready if stage == Some(Stage::Rebooting) => self.reboot(cx),
            Phase::Ended => self.settle(cx),
            Phase::Deferred
            | Phase::Blocks(_)
            | Phase::Body(_)
            | Phase::Verifying(_)
            | Phase::Installing
            | Phase::Ready
            | Phase::Rebooting
            | Phase::SelfTest
            | Phase::RollingBack => {}
        }
    }

    /// The server has another version of the execution.
    fn mismatch(&mut self, cx: &mut Cx<'_>, state: Option<ServerState>) {
        let Some(job) = &mut self.job else {
            return;
        };
        let Some(telling) = &mut job.telling else {
            return;
        };
        if let Some(state) = state
            && state.end != ServerEnd::Open
        {
            return self.over(cx, Some(state));
        }
        job.version = state.map(|state| state.version);
        telling.mismatches = telling.mismatches.saturating_add(1);
        if telling.mismatches <= MISMATCHES_AT_ONCE {
            self.say_again(cx);
        }
    }

    /// The server has ended the update, or never knew of it.
    fn over(&mut self, cx: &mut Cx<'_>, state: Option<ServerState>) {
        let Some(job) = &mut self.job else {
            return;
        };
        job.telling = None;
        let end = state.map(|state| state.end);
        match job.phase {
            // A repetition, after the first one had been taken; or it is told in vain.
            Phase::Ended => self.settle(cx),
            Phase::Rebooting | Phase::SelfTest | Phase::RollingBack => job.is_unheard = true,
            Phase::Deferred
            | Phase::Blocks(_)
            | Phase::Body(_)
            | Phase::Verifying(_)
            | Phase::Installing
            | Phase::Ready => {
                let (outcome, reason) = match end {
                    Some(ServerEnd::TimedOut) => (Outcome::TimedOut, Reason::AwaitRetry),
                    Some(
                        ServerEnd::Open
                        | ServerEnd::Succeeded
                        | ServerEnd::Failed
                        | ServerEnd::Rejected
                        | ServerEnd::Cancelled,
                    )
                    | None => (Outcome::Cancelled, Reason::Ready),
                };
                self.lapse(cx, outcome, reason);
                self.ask(cx);
            }
        }
    }
}

/// Where an image lies: a path is one on the server of the scenario, if it names one.
fn address(profile: &WireProfile, url: &str) -> String {
    match profile {
        WireProfile::GenericAction(words) if url.starts_with('/') => {
            let server = words.server.as_deref().unwrap_or("");
            format!("{}{url}", server.trim_end_matches('/'))
        }
        WireProfile::AwsJobs { .. }
        | WireProfile::Thingsboard { .. }
        | WireProfile::GenericAction(_) => url.to_owned(),
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

/// Whether a device knows from the offer already that it will fail for `reason`.
const fn shows_at_once(reason: Reason) -> bool {
    match reason {
        Reason::NotEnoughFlash
        | Reason::NotEnoughRam
        | Reason::UnsupportedPackage
        | Reason::BadUri
        | Reason::UnsupportedProtocol => true,
        Reason::Ready
        | Reason::Success
        | Reason::ConnectionLost
        | Reason::Integrity
        | Reason::UpdateFailed
        | Reason::Io
        | Reason::AwaitRetry => false,
    }
}

//! The state machine of an update: the download, block by block or as a body.

use super::download::{Blocks, Body, IMAGE_BYTES_MAX, Took};
use super::heard::Key;
use super::{FETCH_AGAIN, PROGRESS_BLOCKS, Phase, Update};
use crate::device::managed::Cx;
use crate::device::{Fetch, FetchEnd, Output};
use crate::scenario::campaign::Effect;
use crate::scenario::update::{Resume, WireProfile};
use crate::stats::event::UpdateEvent;
use crate::time::Instant;
use crate::wire::{Reason, Stage, Status, generic_action, image, thingsboard};

impl Update {
    pub(super) fn begin(&mut self, cx: &mut Cx<'_>) {
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
        if let Phase::Blocks(blocks) = &mut job.phase
            && !cx.online
        {
            // Nothing can be asked for before the device is online, and then it asks first whether the
            // update still stands.
            blocks.pause();
        }
        self.say(cx, Status::of(Stage::Downloading));
        match self.job.as_ref().and_then(|job| job.defect(cx)) {
            Some(Effect::Fails(reason)) if shows_at_once(reason) => {
                self.end(cx, Stage::Failed, reason);
            }
            Some(Effect::Fails(_) | Effect::RollsBack | Effect::Bricks) | None => self.fetch(cx),
        }
    }

    /// The server has said that the update still stands.
    pub(super) fn resume(&mut self, cx: &mut Cx<'_>) {
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
    pub(super) fn fetch(&mut self, cx: &mut Cx<'_>) {
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
                    match client.resume {
                        // A try that brings nothing goes on nowhere.
                        Resume::Block => body.resuming = true,
                        Resume::Restart => {
                            body.restart();
                            cx.update_event(UpdateEvent::Restarted);
                        }
                    }
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

    pub(super) fn block(&mut self, cx: &mut Cx<'_>, index: u64, bytes: &[u8]) {
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

    pub(super) fn downloaded(&mut self, cx: &mut Cx<'_>, free: Instant, hash: [u8; 32]) {
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
    pub(super) fn no_block(&mut self, cx: &mut Cx<'_>, reason: Reason) {
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
        if !bytes.is_empty() && std::mem::take(&mut body.resuming) {
            cx.update_event(UpdateEvent::Resumed);
        }
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

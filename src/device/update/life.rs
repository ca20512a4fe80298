//! The state machine of an update: time, reboots, connections and power.

use super::whims::Way;
use super::{Phase, REBOOT_PATIENCE, Reboot, Update};
use crate::device::managed::Cx;
use crate::scenario::campaign::Effect;
use crate::stats::event::UpdateEvent;
use crate::stats::results::Outcome;
use crate::time::Instant;
use crate::wire::{Reason, Stage, Status};

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
    pub(super) fn reboot(&mut self, cx: &mut Cx<'_>) {
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

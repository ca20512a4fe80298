//! The state machine of an update: what comes of a status.

use super::heard::{Reply, ServerEnd, ServerState};
use super::job::answers;
use super::{MISMATCHES_AT_ONCE, Phase, Update};
use crate::device::managed::Cx;
use crate::stats::event::UpdateEvent;
use crate::stats::results::Outcome;
use crate::wire::{Reason, Stage};

impl Update {
    /// The outbox has been rid of the status `serial`: where servers do not answer, that is their answer.
    pub(in crate::device) fn acked(&mut self, cx: &mut Cx<'_>, serial: u32) {
        let telling = self.job.as_ref().and_then(|job| job.telling.as_ref());
        if !answers(cx) && telling.is_some_and(|telling| telling.serial == serial) {
            self.taken(cx);
        }
    }

    pub(super) fn reply(&mut self, cx: &mut Cx<'_>, serial: Option<u32>, reply: Reply) {
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
                job.version = version.or_else(|| expected.map(|version| version + 1));
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
    pub(super) fn taken(&mut self, cx: &mut Cx<'_>) {
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
        if matches!(job.phase, Phase::Ended) {
            // Its end may have been taken before, and another execution have followed: to be sure.
            return self.ask(cx);
        }
        telling.mismatches = telling.mismatches.saturating_add(1);
        if telling.mismatches <= MISMATCHES_AT_ONCE {
            self.say_again(cx);
        }
    }

    /// The server has ended the update, or never knew of it.
    pub(super) fn over(&mut self, cx: &mut Cx<'_>, state: Option<ServerState>) {
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

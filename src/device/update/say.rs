//! What a device says of its update, in the words of its profile, and how often: questions for the
//! next job, requests for blocks, and statuses until they are taken.

use super::download::Run;
use super::job::{answers, asks};
use super::{Phase, Telling, Update, aws_jobs, generic_action, thingsboard};
use crate::device::managed::Cx;
use crate::scenario::update::WireProfile;
use crate::time::Instant;
use crate::wire::{Progress, Stage, Status};

impl Update {
    /// Asks for the next job, and again until there is an answer.
    pub(super) fn ask(&mut self, cx: &mut Cx<'_>) {
        if !cx.online || !asks(cx) {
            return;
        }
        self.question = self.next_serial();
        let client = cx.update_client();
        cx.post(match client.profile {
            WireProfile::AwsJobs { .. } => aws_jobs::question(cx, self.question),
            WireProfile::Thingsboard { .. } => thingsboard::question(self.question),
            WireProfile::GenericAction(_) => unreachable!("it does not ask"),
        });
        self.ask_at = cx.now.after(client.answer_timeout);
    }

    /// Asks for blocks.
    pub(super) fn ask_for(&self, cx: &mut Cx<'_>, runs: &[Run]) {
        let Some(job) = &self.job else {
            return;
        };
        let client = cx.update_client();
        for (first, count) in runs {
            match &client.profile {
                WireProfile::AwsJobs { encoding } => {
                    let run = (*first, *count);
                    if let Some(request) = aws_jobs::blocks(cx, job, *encoding, run) {
                        cx.send(request);
                    }
                }
                WireProfile::Thingsboard { .. } => {
                    for index in *first..first + count {
                        cx.send(thingsboard::chunk(job.request, index, client.block_bytes));
                    }
                }
                WireProfile::GenericAction(_) => unreachable!("it has no blocks"),
            }
        }
    }

    /// Says where the update stands. What has to be taken is said until it is.
    pub(super) fn say(&mut self, cx: &mut Cx<'_>, status: Status) {
        let serial = self.next_serial();
        let Some(job) = &mut self.job else {
            return;
        };
        let is_awaited =
            answers(cx) || status.stage.is_terminal() || status.stage == Stage::Rebooting;
        let telling = Telling {
            status,
            progress: match &job.phase {
                Phase::Blocks(blocks) => Some(Progress {
                    received: blocks.received(),
                    blocks: blocks.blocks(),
                }),
                Phase::Deferred
                | Phase::Body(_)
                | Phase::Verifying(_)
                | Phase::Installing
                | Phase::Ready
                | Phase::Rebooting
                | Phase::SelfTest
                | Phase::RollingBack
                | Phase::Ended => None,
            }
            .filter(|_| status.stage == Stage::Downloaded),
            serial,
            again: Instant::NEVER,
            posted: false,
            expected: None,
            mismatches: 0,
        };
        match &cx.update_client().profile {
            WireProfile::AwsJobs { .. } if aws_jobs::has_word_for(status) => {}
            WireProfile::Thingsboard { .. } if thingsboard::has_word_for(status) => {}
            WireProfile::GenericAction(_) => {}
            WireProfile::AwsJobs { .. } | WireProfile::Thingsboard { .. } => return,
        }
        if is_awaited {
            job.telling = Some(telling);
            return self.say_again(cx);
        }
        let letter = match &cx.update_client().profile {
            WireProfile::AwsJobs { .. } => unreachable!("it awaits an answer"),
            WireProfile::Thingsboard { .. } => {
                thingsboard::status(cx, job, &telling, self.firmware)
            }
            WireProfile::GenericAction(words) => generic_action::status(cx, words, job, &telling),
        };
        cx.post(letter);
    }

    /// Says the status that was not taken yet once more, if that is of any use now.
    pub(super) fn say_again(&mut self, cx: &mut Cx<'_>) {
        let client = cx.update_client();
        let Some(job) = &mut self.job else {
            return;
        };
        let Some(mut telling) = job.telling.take() else {
            return;
        };
        match &client.profile {
            WireProfile::AwsJobs { .. } => {
                if cx.online {
                    // The latest word is the one that counts.
                    cx.outbox.withdraw_statuses();
                    telling.expected = job.version;
                    let letter = aws_jobs::status(cx, job, &telling);
                    cx.post(letter);
                }
            }
            WireProfile::Thingsboard { .. } if !telling.posted => {
                let letter = thingsboard::status(cx, job, &telling, self.firmware);
                telling.posted = cx.post(letter);
            }
            WireProfile::GenericAction(words) if !telling.posted => {
                let letter = generic_action::status(cx, words, job, &telling);
                telling.posted = cx.post(letter);
            }
            WireProfile::Thingsboard { .. } | WireProfile::GenericAction(_) => {}
        }
        telling.again = if telling.posted || !cx.online {
            Instant::NEVER
        } else {
            cx.now.after(client.answer_timeout)
        };
        job.telling = Some(telling);
    }

    /// Says how much of the download there is; nobody has to take that.
    pub(super) fn say_progress(&mut self, cx: &mut Cx<'_>) {
        let serial = self.next_serial();
        let Some(job) = &mut self.job else {
            return;
        };
        match (&cx.update_client().profile, &job.phase) {
            (WireProfile::AwsJobs { .. }, Phase::Blocks(blocks)) => {
                let progress = Progress {
                    received: blocks.received(),
                    blocks: blocks.blocks(),
                };
                // A status that is not taken yet says where it stands.
                if job.telling.is_none() && cx.online {
                    let letter = aws_jobs::progress(cx, job, progress, serial);
                    cx.send(letter);
                    // It may or may not arrive.
                    job.version = None;
                }
            }
            (WireProfile::GenericAction(words), Phase::Body(_)) => {
                let letter = generic_action::progress(cx, words, job, serial);
                cx.post(letter);
            }
            (
                WireProfile::AwsJobs { .. }
                | WireProfile::Thingsboard { .. }
                | WireProfile::GenericAction(_),
                _,
            ) => {}
        }
    }
}

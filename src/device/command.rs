//! Fleet commands on a device: a request is carried out after some work, or fails by draw, and is
//! answered. A request that comes again is told by its id; the ids of the latest ones lie in flash.

use super::managed::Cx;
use super::outbox::{Letter, What};
use crate::rng::{self, Purpose};
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::scenario::update::CommandHandler;
use crate::stats::event::{CommandEvent, Limit};
use crate::time::Instant;
use crate::wire::command::{Done, REPORT, Request, Response, response_topic};

/// Commands that are carried out at a time; one more is left, so that its sender asks again.
const AT_ONCE_MAX: usize = 8;

/// Commands whose ids and ends are remembered; the oldest is forgotten first.
const REMEMBERED_MAX: usize = 16;

/// A device's commands.
#[derive(Debug, Default)]
pub(super) struct Commands {
    /// Under way, by when they will be done.
    running: Vec<Running>,
    /// Done, the latest last.
    done: Vec<(Box<str>, Done)>,
}

#[derive(Debug)]
struct Running {
    at: Instant,
    id: Box<str>,
    /// Salt of the draw.
    command: u64,
    /// It was carried out before.
    again: bool,
}

impl Commands {
    /// When the next one is done.
    pub(super) fn deadline(&self) -> Instant {
        let next = self.running.iter().map(|running| running.at).min();
        next.unwrap_or(Instant::NEVER)
    }

    /// A message on a topic under `base`.
    pub(super) fn requested(
        &mut self,
        cx: &mut Cx<'_>,
        handler: &CommandHandler,
        base: &str,
        (topic, payload): (&str, &[u8]),
    ) {
        let Ok(request) = Request::read(base, topic, payload) else {
            return cx.command_event(CommandEvent::BadRequest);
        };
        if request.command == REPORT {
            cx.report = true;
            return;
        }
        if self
            .running
            .iter()
            .any(|running| *running.id == *request.id)
        {
            // It will be answered when it is done.
            return cx.command_event(CommandEvent::Repeated);
        }
        let known = self.done.iter().find(|(id, _)| **id == *request.id);
        let again = known.is_some();
        if let Some((_, done)) = known.filter(|_| handler.idempotent) {
            let done = *done;
            cx.command_event(CommandEvent::Repeated);
            return answer(cx, handler, base, &request.id, done);
        }
        if self.running.len() >= AT_ONCE_MAX {
            return cx.limit(Limit::CommandsAtOnce);
        }
        self.running.push(Running {
            at: cx.now.after(handler.work),
            id: (&*request.id).into(),
            command: salt(&cx.profile.plan, &request.command),
            again,
        });
        if handler.work.is_zero() {
            self.timeout(cx, handler, base);
        }
    }

    /// Ends what is done by now.
    pub(super) fn timeout(&mut self, cx: &mut Cx<'_>, handler: &CommandHandler, base: &str) {
        while let Some(place) = self.running.iter().position(|running| running.at <= cx.now) {
            let Running {
                id, command, again, ..
            } = self.running.remove(place);
            let fails = fails(&cx.profile.plan, cx.id, command, handler.failure);
            let (done, event) = match (fails, again) {
                (true, _) => (Done::Failed, CommandEvent::Failed),
                (false, true) => (Done::Succeeded, CommandEvent::ExecutedAgain),
                (false, false) => (Done::Succeeded, CommandEvent::Executed),
            };
            cx.command_event(event);
            answer(cx, handler, base, &id, done);
            self.done.retain(|(known, _)| *known != id);
            if self.done.len() >= REMEMBERED_MAX {
                self.done.remove(0);
            }
            self.done.push((id, done));
        }
    }

    /// The power is gone: what was under way is not carried out.
    pub(super) fn power_off(&mut self) {
        self.running.clear();
    }

    /// Bytes it holds on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let running: usize = self.running.iter().map(|running| running.id.len()).sum();
        let done: usize = self.done.iter().map(|(id, _)| id.len()).sum();
        running
            + done
            + self.running.capacity() * size_of::<Running>()
            + self.done.capacity() * size_of::<(Box<str>, Done)>()
    }
}

fn answer(cx: &mut Cx<'_>, handler: &CommandHandler, base: &str, id: &str, done: Done) {
    let response = Response {
        id: id.into(),
        status: done,
    };
    cx.post(Letter {
        what: What::Answer,
        qos: handler.qos,
        topic: response_topic(base, id),
        payload: response.write(),
    });
}

/// The index of a command of the plan; of another one, a number made of its name, far above.
fn salt(plan: &Plan, name: &str) -> u64 {
    match plan.commands.iter().position(|known| known.name == name) {
        Some(index) => index as u64,
        None => name.bytes().fold(1 << 32, |salt: u64, byte| {
            salt.wrapping_mul(31).wrapping_add(byte.into()) | 1 << 32
        }),
    }
}

fn fails(plan: &Plan, device: DeviceIdx, command: u64, share: f64) -> bool {
    rng::unit(plan.seed, device.into(), Purpose::CommandFailure, command) < share
}

//! The operator in the simulation: one actor with several sessions. Its desks are numbered between
//! the observers and the devices; what they send and get passes no link, as they are on the cloud's
//! side.

use super::queue::Up;
use super::world::World;
use crate::cloud::operator::{Desk, Event, Input, Operator, Output};
use crate::scenario::plan::Plan;
use crate::stats::event::Cause;
use crate::stats::recorder::ErrorKind;
use crate::time::Instant;
use std::sync::Arc;

/// The operator of a run, if it has one.
#[derive(Debug, Default)]
pub(super) struct Staff {
    operator: Option<Operator>,
    /// The node that each desk connects to.
    pub(super) nodes: Vec<u16>,
    is_armed: bool,
    outputs: Vec<Output>,
    /// What the desks got, for tests.
    #[cfg(test)]
    pub(super) got: Vec<(Instant, String)>,
}

impl Staff {
    pub(super) fn new(plan: &Arc<Plan>, run: u32) -> Self {
        let operator = Operator::of(plan, run);
        Self {
            nodes: operator.as_ref().map_or_else(Vec::new, Operator::desks),
            operator,
            ..Self::default()
        }
    }

    /// Desks whose operator is the test.
    #[cfg(test)]
    pub(super) fn of_nobody(nodes: Vec<u16>) -> Self {
        Self {
            nodes,
            ..Self::default()
        }
    }

    /// Whether the operator, if there is one, has all its subscriptions.
    pub(super) const fn is_armed(&self) -> bool {
        self.operator.is_none() || self.is_armed
    }

    /// Whether the operator, if there is one, waits for nobody any more.
    pub(super) fn is_settled(&self) -> bool {
        self.operator.as_ref().is_none_or(Operator::is_settled)
    }
}

impl World {
    /// Steps the operator, if there is one.
    pub(super) fn step_operator(&mut self, now: Instant, input: Input<'_>) {
        #[cfg(test)]
        self.staff.got.push((now, format!("{input:?}")));
        let Some(operator) = &mut self.staff.operator else {
            return;
        };
        let mut outputs = std::mem::take(&mut self.staff.outputs);
        operator.handle_input(now, input, &mut outputs);
        let deadline = operator.poll_timeout();
        self.carry_out(now, &mut outputs);
        self.staff.outputs = outputs;
        // One deadline for all desks: it is that of the first.
        let actor = self.actor_of_desk(0);
        self.queue.arm(actor, deadline);
    }

    /// Does what the operator wants done.
    pub(super) fn carry_out(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        for output in outputs.drain(..) {
            match output {
                Output::Open(desk) => {
                    let actor = self.actor_of_desk(desk);
                    let conn = self.queue.port_mut(actor).open(actor);
                    self.send_up(now, Some(conn), Up::Opened);
                }
                Output::Close(desk) => {
                    let actor = self.actor_of_desk(desk);
                    let conn = self.queue.port_mut(actor).close(actor);
                    self.send_up(now, conn, Up::Closed);
                }
                Output::Send(desk, packet) => {
                    let actor = self.actor_of_desk(desk);
                    let conn = self.queue.port(actor).current(actor);
                    self.send_up(now, conn, Up::Packet(packet));
                }
                Output::Publish(desk, publish) => {
                    let actor = self.actor_of_desk(desk);
                    let conn = self.queue.port(actor).current(actor);
                    self.send_up(now, conn, Up::Shared(Box::new(publish)));
                }
                Output::Event(event) => self.operator_event(now, event),
            }
        }
    }

    /// The connection of a desk has failed or ended.
    pub(super) fn desk_closed(&mut self, now: Instant, desk: Desk, cause: Cause) {
        let actor = self.actor_of_desk(desk);
        self.queue.port_mut(actor).set_closed();
        self.step_operator(now, Input::Closed(desk, cause));
    }

    fn operator_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Armed => self.staff.is_armed = true,
            Event::Failed(_, cause) => self.books.error(now, 0, ErrorKind::Operator(cause)),
            Event::Noted(note) => self.books.error(now, 0, ErrorKind::Noted(note)),
            Event::Finding(finding) => self.findings.push(finding),
            // The reference backend grants every topic and every filter that is one.
            Event::SubscribeRefused(_) => {}
        }
    }
}

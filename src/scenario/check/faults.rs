//! Faults: their windows, what they do and where.

use super::Checker;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::{
    BackendFault, DropAck, Fault, FaultKind, Lose, NetworkFault, Plan, Sessions,
};
use crate::scenario::quantity::Time;
use std::time::Duration;

/// The phase that a fault belongs to.
pub(super) struct Window {
    /// Its place.
    pub(super) phase: usize,
    /// From T0.
    pub(super) start: Duration,
    pub(super) length: Duration,
}

impl Checker<'_> {
    pub(super) fn fault(
        &mut self,
        file: &mirror::File,
        fault: &At<mirror::Fault>,
        window: &Window,
        plan: &Plan,
    ) -> Option<Fault> {
        let written = &fault.value;
        match (&written.backend, &written.outage) {
            (Some(backend), None) => {
                if let Some(why) = self.foreign_target(file) {
                    let span = self.first_line(backend.span);
                    self.error(
                        span,
                        format!("backend faults need the embedded target, but {why}"),
                        "remove the fault, or use `target: { embedded: {} }`",
                    );
                    return None;
                }
                let (kind, down) = self.backend_fault(backend, plan.target.nodes())?;
                self.timed(fault, window, kind, down)
            }
            (None, Some(outage)) => {
                let (kind, within) = self.outage(outage, plan);
                let fault = self.timed(fault, window, kind, None)?;
                self.check_within(within, &fault);
                Some(fault)
            }
            (Some(_), Some(outage)) => {
                let span = self.first_line(outage.span);
                self.error(
                    span,
                    "these are two faults",
                    "keep `backend` or `outage`, and make the other a fault of its own",
                );
                None
            }
            (None, None) => {
                self.absent(
                    fault.span,
                    "the fault is neither `backend` nor `outage`",
                    "add for example `backend: restart` or `outage: reset`",
                );
                None
            }
        }
    }

    /// The fault with its window; `down` is a restart's own length.
    fn timed(
        &mut self,
        fault: &At<mirror::Fault>,
        window: &Window,
        kind: FaultKind,
        down: Option<&At<Time>>,
    ) -> Option<Fault> {
        let written = &fault.value;
        let phase_length = window.length;
        let offset = written
            .at
            .as_ref()
            .map_or(Duration::ZERO, |time| time.value.0);
        if offset >= phase_length {
            let span = written.at.as_ref().map_or(fault.span, |time| time.span);
            self.error(
                span,
                "the fault begins after the end of its phase",
                format!("the phase is {phase_length:?} long: write a shorter `at`"),
            );
            return None;
        }
        let length = match (down, &written.length) {
            (Some(down), Some(_)) => {
                self.error(
                    down.span,
                    "the fault has two lengths",
                    "keep `down`, or `for` beside `backend`",
                );
                return None;
            }
            (Some(time), None) | (None, Some(time)) => {
                let length = self.positive(Some(time), Duration::ZERO);
                if offset + length > phase_length {
                    self.error(
                        time.span,
                        "the fault clears after the end of its phase",
                        format!(
                            "the phase is {phase_length:?} long: make it longer or the fault shorter"
                        ),
                    );
                }
                length
            }
            (None, None) => phase_length - offset,
        };
        let start = window.start + offset;
        Some(Fault {
            phase: window.phase,
            start,
            clear: start + length,
            kind,
        })
    }

    /// What an outage does to whom, and its `within`.
    fn outage<'f>(
        &mut self,
        outage: &'f At<mirror::Outage>,
        plan: &Plan,
    ) -> (FaultKind, Option<&'f At<Time>>) {
        let time = |cut: &mirror::Cut| cut.within.as_ref().map_or(Duration::ZERO, |t| t.value.0);
        let (who, fault, within) = match &outage.value {
            mirror::Outage::Reset(cut) => {
                let within = time(cut);
                (
                    &cut.who,
                    NetworkFault::Reset { within },
                    cut.within.as_ref(),
                )
            }
            mirror::Outage::Close(cut) => {
                let within = time(cut);
                (
                    &cut.who,
                    NetworkFault::Close { within },
                    cut.within.as_ref(),
                )
            }
            mirror::Outage::Refuse(on) => (&on.who, NetworkFault::Refuse, None),
            mirror::Outage::Dns(on) => (&on.who, NetworkFault::Dns, None),
            mirror::Outage::Blackhole(on) => (&on.who, NetworkFault::Blackhole, None),
        };
        let who = self.who(who.as_ref(), plan);
        (FaultKind::Network { who, fault }, within)
    }

    /// A connection that is cut when connects are accepted again would be a fault of its own.
    fn check_within(&mut self, within: Option<&At<Time>>, fault: &Fault) {
        let length = fault.clear - fault.start;
        if let Some(time) = within.filter(|time| time.value.0 > length) {
            self.error(
                time.span,
                "connections would end after the fault has cleared",
                format!("the fault is {length:?} long: write a `within` of at most that"),
            );
        }
    }

    /// Kind, and a restart's own length.
    fn backend_fault<'f>(
        &mut self,
        fault: &'f At<mirror::BackendFault>,
        nodes: u16,
    ) -> Option<(FaultKind, Option<&'f At<Time>>)> {
        let (node, kind, down) = match &fault.value {
            mirror::BackendFault::Restart(restart) => {
                let sessions = match restart.sessions {
                    None | Some(mirror::Sessions::Keep) => Sessions::Keep,
                    Some(mirror::Sessions::Forget) => Sessions::Forget,
                };
                let kind = BackendFault::Restart { sessions };
                (&restart.node, kind, restart.down.as_ref())
            }
            mirror::BackendFault::Refuse(on) => (&on.node, BackendFault::Refuse, None),
            mirror::BackendFault::Stall(on) => (&on.node, BackendFault::Stall, None),
            mirror::BackendFault::PauseAccepting(on) => {
                (&on.node, BackendFault::PauseAccepting, None)
            }
            mirror::BackendFault::AckDelay(delay) => {
                let by = self.positive(Some(&delay.delay), Duration::ZERO);
                (&delay.node, BackendFault::AckDelay(by), None)
            }
            mirror::BackendFault::DropAck(drop) => {
                let which = match (drop.share, drop.count) {
                    (Some(share), None) => DropAck::Share(share.0),
                    (None, Some(count)) => DropAck::Count(count),
                    (Some(_), Some(_)) | (None, None) => {
                        let span = self.first_line(fault.span);
                        self.error(
                            span,
                            "drop_ack needs either `share` or `count`",
                            "write `drop_ack: { share: 1% }` or `drop_ack: { count: 10 }`",
                        );
                        return None;
                    }
                };
                (&drop.node, BackendFault::DropAck(which), None)
            }
            mirror::BackendFault::Lose(lose) => {
                let which = match (lose.share, lose.count) {
                    (Some(share), None) => Lose::Share(share.0),
                    (None, Some(count)) => Lose::Count(count),
                    (Some(_), Some(_)) | (None, None) => {
                        let span = self.first_line(fault.span);
                        self.error(
                            span,
                            "lose needs either `share` or `count`",
                            "write `lose: { share: 1% }` or `lose: { count: 10 }`",
                        );
                        return None;
                    }
                };
                (&lose.node, BackendFault::Lose(which), None)
            }
        };
        let node = node
            .as_ref()
            .map(|node| self.node(node.value, node.span, nodes));
        Some((FaultKind::Backend { node, fault: kind }, down))
    }
}

//! Faults: their windows, what they do and where.

use super::Checker;
use super::length::Length;
use super::power::CRASH_WINDOW;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::{
    BackendFault, DeviceFault, DropAck, Fault, FaultKind, Lose, NetworkFault, Plan, Selector,
    Sessions, Spared,
};
use crate::scenario::quantity::{Share, Time};
use std::time::Duration;

/// The phase that a fault belongs to.
pub(super) struct Window {
    /// The fault's own place in the file, over all phases.
    pub(super) number: u32,
    /// Of the run.
    pub(super) seed: u64,
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
        let words = [
            written.backend.as_ref().map(|at| ("backend", at.span)),
            written.outage.as_ref().map(|at| ("outage", at.span)),
            written.degrade.as_ref().map(|at| ("degrade", at.span)),
            written.power_cut.as_ref().map(|at| ("power_cut", at.span)),
            written.crash.as_ref().map(|at| ("crash", at.span)),
        ];
        let mut words = words.into_iter().flatten();
        if let (Some((one, _)), Some((other, span))) = (words.next(), words.next()) {
            let span = self.first_line(span);
            self.error(
                span,
                "these are two faults",
                format!("keep `{one}` or `{other}`, and make the other a fault of its own"),
            );
            return None;
        }
        if let Some(backend) = &written.backend {
            return self.fault_of_backend(file, fault, backend, window, plan);
        }
        if let Some(outage) = &written.outage {
            let (kind, within) = self.outage(outage, window.number, plan);
            return self.timed_within(fault, window, kind, within);
        }
        if let Some(degrade) = &written.degrade {
            let kind = self.degrade(degrade, window, plan);
            return self.timed(fault, window, kind, None);
        }
        if let Some(cut) = &written.power_cut {
            let kind = self.power_cut(cut, plan);
            return self.timed_within(fault, window, kind, cut.value.within.as_ref());
        }
        if let Some(crash) = &written.crash {
            let kind = self.crash(crash, plan);
            return self.timed_within(fault, window, kind, crash.value.within.as_ref());
        }
        self.absent(
            fault.span,
            "the fault is none of `backend`, `outage`, `degrade`, `power_cut` and `crash`",
            "add for example `backend: restart`, `outage: reset` or `power_cut: {}`",
        );
        None
    }

    fn fault_of_backend(
        &mut self,
        file: &mirror::File,
        fault: &At<mirror::Fault>,
        backend: &At<mirror::BackendFault>,
        window: &Window,
        plan: &Plan,
    ) -> Option<Fault> {
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

    /// The fault with its window, at whose clearing all that it does to devices must be done.
    fn timed_within(
        &mut self,
        fault: &At<mirror::Fault>,
        window: &Window,
        kind: FaultKind,
        within: Option<&At<Time>>,
    ) -> Option<Fault> {
        let fault = self.timed(fault, window, kind, None)?;
        self.check_within(within, &fault);
        Some(fault)
    }

    /// A worse link for the devices meant.
    fn degrade(
        &mut self,
        degrade: &At<mirror::Degrade>,
        window: &Window,
        plan: &Plan,
    ) -> FaultKind {
        let degrade = &degrade.value;
        let who = self.reached(
            degrade.who.as_ref(),
            degrade.leak.as_ref(),
            window.number,
            plan,
        );
        let fault = NetworkFault::Degrade(self.link(&degrade.link));
        FaultKind::Network { who, fault }
    }

    /// Who is meant by a `where`, but for a `leak`, of the written fault `number`.
    fn reached(
        &mut self,
        who: Option<&At<mirror::Where>>,
        leak: Option<&At<Share>>,
        number: u32,
        plan: &Plan,
    ) -> Selector {
        let before = self.problems.len();
        let mut who = self.who(who, plan);
        let Some(leak) = leak.filter(|leak| leak.value.0 > 0.0) else {
            return who;
        };
        who.spared = Some(Spared {
            share: leak.value.0,
            fault: number,
        });
        let sound = before == self.problems.len() && self.pruned.is_empty();
        if sound && who.members(plan).is_empty() {
            self.error(
                leak.span,
                "this fault reaches no device",
                "write a smaller `leak`, or remove the fault",
            );
        }
        who
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
            (Some(down), None) => {
                let length = self.positive(Some(down), Duration::ZERO);
                Some(Length::fixed(down.span, length))
            }
            (None, Some(written)) => Some(self.fault_length(written, within_of(&fault.value))?),
            (None, None) => match &kind {
                FaultKind::Device {
                    fault: DeviceFault::Crash { within, .. },
                    ..
                } => {
                    let window = CRASH_WINDOW.max(*within).min(phase_length - offset);
                    Some(Length::fixed(fault.span, window))
                }
                FaultKind::Backend { .. }
                | FaultKind::Network { .. }
                | FaultKind::Device {
                    fault: DeviceFault::PowerCut { .. },
                    ..
                } => None,
            },
        };
        if let Some(length) = length
            && offset + length.longest > phase_length
        {
            self.error(
                length.span,
                "the fault clears after the end of its phase",
                format!("the phase is {phase_length:?} long: make it longer or the fault shorter"),
            );
        }
        let length = length.map_or(phase_length - offset, |length| {
            length.of(window.seed, window, 0)
        });
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
        number: u32,
        plan: &Plan,
    ) -> (FaultKind, Option<&'f At<Time>>) {
        let time = |cut: &mirror::Cut| cut.within.as_ref().map_or(Duration::ZERO, |t| t.value.0);
        let cutting =
            |cut: &'f mirror::Cut, fault| (&cut.who, &cut.leak, fault, cut.within.as_ref());
        let on = |on: &'f mirror::OnDevices, fault| (&on.who, &on.leak, fault, None);
        let (who, leak, fault, within) = match &outage.value {
            mirror::Outage::Reset(cut) => {
                let within = time(cut);
                cutting(cut, NetworkFault::Reset { within })
            }
            mirror::Outage::Close(cut) => {
                let within = time(cut);
                cutting(cut, NetworkFault::Close { within })
            }
            mirror::Outage::Refuse(who) => on(who, NetworkFault::Refuse),
            mirror::Outage::Dns(who) => on(who, NetworkFault::Dns),
            mirror::Outage::Blackhole(who) => on(who, NetworkFault::Blackhole),
        };
        let who = self.reached(who.as_ref(), leak.as_ref(), number, plan);
        (FaultKind::Network { who, fault }, within)
    }

    /// A connection or a power that is cut after the clearing would be a fault of its own.
    fn check_within(&mut self, within: Option<&At<Time>>, fault: &Fault) {
        let length = fault.clear - fault.start;
        if let Some(time) = within.filter(|time| time.value.0 > length) {
            self.error(
                time.span,
                "devices would be cut off after the fault has cleared",
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

/// After the start of an outage, when the last connection is cut.
pub(super) fn within_of(fault: &mirror::Fault) -> Duration {
    let within = match fault.outage.as_ref().map(|outage| &outage.value) {
        Some(mirror::Outage::Reset(cut) | mirror::Outage::Close(cut)) => cut.within.as_ref(),
        Some(mirror::Outage::Refuse(_) | mirror::Outage::Dns(_) | mirror::Outage::Blackhole(_))
        | None => None,
    };
    let power_cut = (fault.power_cut.as_ref()).and_then(|cut| cut.value.within.as_ref());
    let crash = (fault.crash.as_ref()).and_then(|crash| crash.value.within.as_ref());
    let within = within.or(power_cut).or(crash);
    within.map_or(Duration::ZERO, |time| time.value.0)
}

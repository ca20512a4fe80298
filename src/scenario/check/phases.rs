//! Phases and faults: lengths, windows, and who is meant.

use super::Checker;
use crate::scenario::errors::nearest_help;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::{
    BackendFault, DropAck, Fault, FaultKind, Phase, Plan, PowerOn, Selector, Sessions, Target,
};
use crate::scenario::quantity::{Time, parse_share};
use crate::scenario::timeline::Power;
use crate::scenario::tree::Span;
use std::time::Duration;

/// Most phases, and most faults of a phase.
const MAX_PHASES: usize = 1_000;

/// Phases with `power_on` times devices: each such phase asks every device whether it is meant, and
/// a small file must not keep a machine busy. About two seconds of work.
const ASKED_MAX: u64 = 20_000_000;

impl Checker<'_> {
    /// Fills in phases and faults.
    pub(super) fn phases(&mut self, file: &mirror::File, plan: &mut Plan) {
        let Some(list) = &file.phases else {
            self.absent_word("phases", "add `phases:` with at least one phase");
            return;
        };
        if list.value.is_empty() {
            self.absent(
                list.span,
                "there is no phase",
                "add `- { name: ramp, power_on: { rate: 1000/s } }`",
            );
            return;
        }
        if list.value.len() > MAX_PHASES {
            let span = list.value[MAX_PHASES].value.name.span;
            self.error(
                span,
                format!("more than {MAX_PHASES} phases"),
                "remove some",
            );
            return;
        }
        self.unique("phase", list.value.iter().map(|phase| &phase.value.name));
        let powering = list
            .value
            .iter()
            .filter(|phase| phase.value.power_on.is_some())
            .count();
        if powering as u64 * u64::from(plan.devices()) > ASKED_MAX {
            let span = self.first_line(list.span);
            self.error(
                span,
                format!(
                    "{powering} phases with power_on for {} devices are too many",
                    plan.devices()
                ),
                format!("at most {ASKED_MAX} phases times devices"),
            );
            return;
        }
        let mut power = Power::off(plan);
        let mut start = Duration::ZERO;
        for (index, phase) in list.value.iter().enumerate() {
            let name = self.name(&phase.value.name, "_ ");
            let power_on = phase.value.power_on.as_ref();
            let before = self.problems.len();
            let power_on = power_on.map(|at| (at.span, self.power_on(&at.value, plan)));
            let sound = before == self.problems.len();
            let length = self.length(phase, index, plan, power_on.as_ref(), &mut power, sound);
            for fault in &phase.value.faults {
                let fault = self.fault(file, fault, index, start, length, plan.target.nodes());
                plan.faults.extend(fault);
            }
            plan.phases.push(Phase {
                name,
                start,
                length,
                power_on: power_on.map(|(_, power_on)| power_on),
            });
            start += length;
        }
        plan.faults.sort_by_key(|fault| (fault.start, fault.phase));
        let none = list
            .value
            .iter()
            .all(|phase| phase.value.power_on.is_none());
        if none && self.pruned.is_empty() {
            self.error(
                list.value[0].value.name.span,
                "no phase gives the devices power",
                "add `power_on: { rate: 1000/s }` to the first phase",
            );
        }
    }

    fn power_on(&mut self, power_on: &mirror::PowerOn, plan: &Plan) -> PowerOn {
        let who = match &power_on.who {
            Some(at) => self.selector(at, plan),
            None => Selector::default(),
        };
        PowerOn {
            rate_per_s: power_on.rate.0,
            who,
        }
    }

    /// The phase's length: as written, or as long as its power-on takes, in whole seconds.
    fn length(
        &mut self,
        phase: &At<mirror::Phase>,
        index: usize,
        plan: &Plan,
        power_on: Option<&(Span, PowerOn)>,
        power: &mut Power,
        sound: bool,
    ) -> Duration {
        let written = phase.value.length.as_ref().map(|time| {
            self.positive(Some(time), Duration::ZERO);
            time.value.0
        });
        let Some((span, power_on)) = power_on else {
            if written.is_none() {
                self.absent(
                    phase.span,
                    format!("the phase `{}` has no length", phase.value.name.value),
                    "add `for: 60s`",
                );
            }
            return written.unwrap_or(Duration::from_secs(1));
        };
        let count = power.switch_on(plan, index, &power_on.who).len();
        if count == 0 && sound && self.pruned.is_empty() {
            let span = self.first_line(*span);
            self.error(
                span,
                "all devices meant here already have power",
                "remove this power_on or name others in its `where`",
            );
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of devices, a u32")]
        let takes = count as f64 / power_on.rate_per_s;
        let whole = takes.ceil().max(1.0);
        match written {
            // A hair is allowed, so that 7 devices at 0.7/s fit into 10 s.
            Some(length) if takes > length.as_secs_f64() + 1e-6 => {
                let span = phase
                    .value
                    .length
                    .as_ref()
                    .map_or(phase.span, |time| time.span);
                self.error(
                    span,
                    format!(
                        "power_on takes {takes:.1} s ({count} devices at {} per second)",
                        power_on.rate_per_s
                    ),
                    format!(
                        "make the phase at least `for: {whole}s`, remove `for`, or raise the rate"
                    ),
                );
                length
            }
            Some(length) => length,
            None => Duration::try_from_secs_f64(whole)
                .unwrap_or(Duration::MAX)
                .min(crate::scenario::quantity::MAX_TIME),
        }
    }

    fn fault(
        &mut self,
        file: &mirror::File,
        fault: &At<mirror::Fault>,
        phase: usize,
        phase_start: Duration,
        phase_length: Duration,
        nodes: u16,
    ) -> Option<Fault> {
        let written = &fault.value;
        if let Some(why) = self.foreign_target(file) {
            let span = self.first_line(written.backend.span);
            self.error(
                span,
                format!("backend faults need the embedded target, but {why}"),
                "remove the fault, or use `target: { embedded: {} }`",
            );
            return None;
        }
        let (kind, down) = self.backend_fault(&written.backend, nodes)?;
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
        let start = phase_start + offset;
        Some(Fault {
            phase,
            start,
            clear: start + length,
            kind,
        })
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
        };
        let node = node
            .as_ref()
            .map(|node| self.node(node.value, node.span, nodes));
        Some((FaultKind::Backend { node, fault: kind }, down))
    }

    /// Who is meant by a `where`.
    fn selector(&mut self, at: &At<mirror::Where>, plan: &Plan) -> Selector {
        let before = self.problems.len();
        let mut selector = Selector::default();
        for (key, value) in &at.value.0.0 {
            match key.value.as_str() {
                "cohort" => selector.cohort = self.cohort_index(value, plan),
                "node" => selector.node = self.where_node(value, plan),
                "share" => match parse_share(&value.value) {
                    Ok(share) => selector.share = Some(share),
                    Err((message, help)) => self.error(value.span, message, help),
                },
                _ => self.attribute(key, value, plan, &mut selector),
            }
        }
        let sound = before == self.problems.len() && self.pruned.is_empty();
        if sound && selector.members(plan).is_empty() {
            let span = self.first_line(at.span);
            self.error(
                span,
                "this selects no device",
                "make the conditions wider, or the share larger",
            );
        }
        selector
    }

    fn cohort_index(&mut self, name: &At<String>, plan: &Plan) -> Option<usize> {
        let found = plan.cohorts.iter().position(|c| c.name == name.value);
        if found.is_none() && !self.pruned.items_of("fleet") {
            let known: Vec<&str> = plan.cohorts.iter().map(|c| c.name.as_str()).collect();
            self.unknown("cohort", name, &known);
        }
        found
    }

    fn where_node(&mut self, value: &At<String>, plan: &Plan) -> Option<u16> {
        let nodes = plan.target.nodes();
        if let Ok(node) = value.value.parse::<u16>() {
            return Some(self.node(node, value.span, nodes));
        }
        let help = match plan.target {
            Target::Embedded(_) => "write the number of a node, from 0",
            Target::Brokers(_) => "write the place of an address in `urls`, from 0",
        };
        self.error(value.span, format!("`{}` is not a node", value.value), help);
        None
    }

    fn attribute(
        &mut self,
        key: &At<String>,
        value: &At<String>,
        plan: &Plan,
        selector: &mut Selector,
    ) {
        let incomplete = self.pruned.items_of("fleet");
        let all = || plan.cohorts.iter().flat_map(|cohort| &cohort.attributes);
        if !all().any(|attribute| attribute.name == key.value) {
            if !incomplete {
                let mut known: Vec<&str> = vec!["cohort", "node", "share"];
                known.extend(all().map(|attribute| attribute.name.as_str()));
                known.dedup();
                self.unknown("attribute", key, &known);
            }
            return;
        }
        let values = || {
            all()
                .filter(|attribute| attribute.name == key.value)
                .flat_map(|attribute| &attribute.values)
                .map(|(value, _)| value.as_str())
        };
        if !values().any(|known| known == value.value) && !incomplete {
            let help = nearest_help(&value.value, values());
            self.error(
                value.span,
                format!("no device has `{}: {}`", key.value, value.value),
                help,
            );
            return;
        }
        selector
            .attributes
            .push((key.value.clone(), value.value.clone()));
    }
}

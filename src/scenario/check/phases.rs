//! Phases: their lengths, who gets power in them, and who is meant by a `where`.

use super::Checker;
use super::faults::Window;
use super::repeat;
use crate::scenario::errors::nearest_help;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::{Pace, Phase, Plan, PowerOn, Selector, Spread, Target};
use crate::scenario::quantity::parse_share;
use crate::scenario::timeline::Power;
use crate::scenario::tree::Span;
use std::time::Duration;

/// Most phases, and most faults of a phase.
const MAX_PHASES: usize = 1_000;

/// Phases with `power_on` and outages, times devices: each asks every device whether it is meant,
/// and a small file must not keep a machine busy. About two seconds of work.
const ASKED_MAX: u64 = 20_000_000;

/// How long a power-on of `count` devices takes, in seconds.
fn takes_s(power_on: &PowerOn, count: usize) -> f64 {
    let boot = power_on.boot.longest().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a number of devices, a u32")]
    let count = count as f64;
    boot + match power_on.pace {
        Pace::PerSecond(rate) => count / rate,
        // The last wave has its time, too: it belongs to the phase.
        Pace::Over(Spread::Waves { count, every }) => f64::from(count) * every.as_secs_f64(),
        Pace::Over(spread) => spread.longest().as_secs_f64(),
    }
}

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
        if self.has_too_many_faults(list) || self.asks_too_much(list, plan.devices()) {
            return;
        }
        let mut number = 0;
        let mut power = Power::off(plan);
        let mut start = Duration::ZERO;
        for (index, phase) in list.value.iter().enumerate() {
            let name = self.name(&phase.value.name, "_ ");
            let power_on = phase.value.power_on.as_ref();
            let before = self.problems.len();
            let power_on = power_on.map(|at| (at.span, self.power_on(at, plan)));
            let sound = before == self.problems.len();
            let length = self.length(phase, index, plan, power_on.as_ref(), &mut power, sound);
            for fault in &phase.value.faults {
                let window = Window {
                    number,
                    seed: plan.seed,
                    phase: index,
                    start,
                    length,
                };
                number += 1;
                if let Some(first) = self.fault(file, fault, &window, plan) {
                    plan.faults.extend(self.repeated(fault, first, &window));
                }
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

    fn asks_too_much(&mut self, list: &At<Vec<At<mirror::Phase>>>, devices: u32) -> bool {
        let phases = || list.value.iter().map(|phase| &phase.value);
        let powering = phases().filter(|phase| phase.power_on.is_some()).count();
        let faults = phases().flat_map(|phase| &phase.faults);
        let of_devices = faults.filter(|fault| {
            let fault = &fault.value;
            let outages = fault.outage.is_some() || fault.degrade.is_some();
            outages || fault.power_cut.is_some() || fault.crash.is_some()
        });
        let outages = of_devices
            .map(|fault| repeat::times(&fault.value) as usize)
            .sum::<usize>();
        if (powering + outages) as u64 * u64::from(devices) <= ASKED_MAX {
            return false;
        }
        let span = self.first_line(list.span);
        self.error(
            span,
            format!("{powering} phases with power_on and {outages} outages, power cuts and crashes for {devices} devices are too many"),
            format!("at most {ASKED_MAX} of both times devices"),
        );
        true
    }

    fn power_on(&mut self, power_on: &At<mirror::PowerOn>, plan: &Plan) -> PowerOn {
        let span = power_on.span;
        let power_on = &power_on.value;
        let pace = match (power_on.rate, &power_on.over) {
            (Some(rate), None) => Pace::PerSecond(rate.0),
            (None, Some(over)) => Pace::Over(self.power_spread(&over.value)),
            (Some(_), Some(over)) => {
                self.error(over.span, "power_on has two paces", "keep `rate` or `over`");
                Pace::PerSecond(1.0)
            }
            (None, None) => {
                self.absent(
                    span,
                    "power_on needs either `rate` or `over`",
                    "write `power_on: { rate: 1000/s }` or `power_on: { over: { beta: 10s } }`",
                );
                Pace::PerSecond(1.0)
            }
        };
        PowerOn {
            pace,
            boot: self.boot(power_on.boot.as_ref()),
            who: self.who(power_on.who.as_ref(), plan),
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
        let takes = takes_s(power_on, count);
        let whole = takes.ceil().max(1.0);
        match written {
            // A hair is allowed, so that 7 devices at 0.7/s fit into 10 s.
            Some(length) if takes > length.as_secs_f64() + 1e-6 => {
                let span = phase
                    .value
                    .length
                    .as_ref()
                    .map_or(phase.span, |time| time.span);
                let (how, remedy) = match power_on.pace {
                    Pace::PerSecond(rate) => (
                        format!(" ({count} devices at {rate} per second)"),
                        "raise the rate",
                    ),
                    Pace::Over(_) => (String::new(), "make its times shorter"),
                };
                self.error(
                    span,
                    format!("power_on takes {takes:.1} s{how}"),
                    format!("make the phase at least `for: {whole}s`, remove `for`, or {remedy}"),
                );
                length
            }
            Some(length) => length,
            None => Duration::try_from_secs_f64(whole)
                .unwrap_or(Duration::MAX)
                .min(crate::scenario::quantity::MAX_TIME),
        }
    }

    /// Who is meant by a `where`; all devices without one.
    pub(super) fn who(&mut self, who: Option<&At<mirror::Where>>, plan: &Plan) -> Selector {
        who.map_or_else(Selector::default, |at| self.selector(at, plan))
    }

    fn selector(&mut self, at: &At<mirror::Where>, plan: &Plan) -> Selector {
        let before = self.problems.len();
        let mut selector = Selector::default();
        let mut any = Vec::new();
        for (key, wanted) in &at.value.0.0 {
            let value = match &wanted.value {
                mirror::Wanted::Any(count) => {
                    any.push((key, count));
                    continue;
                }
                mirror::Wanted::AnyOf(values) => {
                    self.one_of(key, values, plan, &mut selector);
                    continue;
                }
                mirror::Wanted::Below(than) => {
                    self.below(key, than, plan, &mut selector);
                    continue;
                }
                mirror::Wanted::Value(text) => &At {
                    span: wanted.span,
                    value: text.clone(),
                },
            };
            match key.value.as_str() {
                "cohort" => selector.cohort = self.cohort_index(value, plan),
                "node" => selector.node = self.where_node(value, plan),
                "draw" => selector.draw = self.draw_number(value),
                "share" => match parse_share(&value.value) {
                    Ok(share) => selector.share = Some(share),
                    Err((message, help)) => self.error(value.span, message, help),
                },
                _ => self.attribute(key, value, plan, &mut selector),
            }
        }
        for (key, count) in any {
            self.any_of(key, count, plan, &mut selector);
        }
        self.check_draw(at, &selector);
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

    fn draw_number(&mut self, value: &At<String>) -> u32 {
        value.value.parse().unwrap_or_else(|_| {
            self.error(
                value.span,
                format!("`{}` is not the number of a draw", value.value),
                "write a whole number such as `draw: 2`",
            );
            0
        })
    }

    /// A draw without a share would pick nothing.
    fn check_draw(&mut self, at: &At<mirror::Where>, selector: &Selector) {
        let draw = at.value.0.0.iter().find(|(key, _)| key.value == "draw");
        let mut all = at.value.0.0.iter();
        let has_any = all.any(|(_, wanted)| matches!(wanted.value, mirror::Wanted::Any(_)));
        if let (Some((key, _)), None, false) = (draw, selector.share, has_any) {
            self.error(
                key.span,
                "`draw` without `share` draws nothing",
                "add for example `share: 30%`, or remove `draw`",
            );
        }
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
        if self.is_attribute(key, plan) && self.is_value(key, value, plan) {
            selector
                .attributes
                .push((key.value.clone(), value.value.clone()));
        }
    }

    /// Whether some device has this value of the attribute `key`; if not, that is reported, unless a
    /// mistake in the fleet may be why.
    pub(super) fn is_value(&mut self, key: &At<String>, value: &At<String>, plan: &Plan) -> bool {
        let all = || plan.cohorts.iter().flat_map(|cohort| &cohort.attributes);
        let values = || {
            all()
                .filter(|attribute| attribute.name == key.value)
                .flat_map(|attribute| &attribute.values)
                .map(|(value, _)| value.as_str())
        };
        if values().any(|known| known == value.value) || self.pruned.items_of("fleet") {
            return true;
        }
        let help = nearest_help(&value.value, values());
        self.error(
            value.span,
            format!("no device has `{}: {}`", key.value, value.value),
            help,
        );
        false
    }
}

//! Progress for people: a live line on a terminal, a plain line per ten seconds otherwise. Written
//! to standard error, so that standard output holds the verdict alone.

use super::check;
use crate::scenario::plan::{FaultKind, Plan};
use crate::stats::evidence::Line;
use crate::stats::histogram::Histogram;
use crate::stats::results::{CampaignMark, Finding};
use crate::stats::series::{Counters, Gauges, Metric, Second};
use crate::time::{Duration, Instant};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal as _, Write as _};

/// How progress is shown.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Ui {
    /// A live line on a terminal, else plain.
    Auto,
    /// A line per ten seconds.
    Plain,
    /// Nothing.
    Off,
}

/// Seconds between two plain lines.
const PLAIN_EVERY_S: u32 = 10;

/// Shows how a run goes.
#[derive(Debug)]
pub struct Progress {
    show: Show,
    gauges: Gauges,
    second: Counters,
    window: Counters,
    ack: Histogram,
    errors: u64,
    next_plain_s: u32,
}

#[derive(Debug)]
enum Show {
    Live(ProgressBar),
    Plain,
    Off,
}

impl Progress {
    /// Begins to show the run of `plan`.
    pub fn new(ui: Ui, plan: &Plan) -> Self {
        let live = std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
        let show = match ui {
            Ui::Off => Show::Off,
            Ui::Auto if live => Show::Live(live_bar(plan)),
            Ui::Auto | Ui::Plain => Show::Plain,
        };
        let progress = Self {
            show,
            gauges: Gauges::default(),
            second: Counters::default(),
            window: Counters::default(),
            ack: Histogram::new(),
            errors: 0,
            next_plain_s: PLAIN_EVERY_S,
        };
        progress.say(&format!(
            "{}: {} devices, {} phases, {:.0} s",
            plan.name,
            grouped(u64::from(plan.devices())),
            plan.phases.len(),
            plan.length().as_secs_f64(),
        ));
        progress
    }

    /// Prints a sentence.
    pub fn say(&self, text: &str) {
        match &self.show {
            Show::Live(bar) => bar.println(text),
            Show::Plain => {
                // Progress that cannot be shown does not stop a measurement.
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            Show::Off => {}
        }
    }

    /// Something happened besides the numbers.
    pub fn evidence(&self, plan: &Plan, line: &Line) {
        match line {
            Line::Phase { index, .. } => self.say(&format!(
                "phase {} ({:.0} s)",
                plan.phases[*index].name,
                plan.phases[*index].length.as_secs_f64()
            )),
            Line::Fault { index, cleared, .. } => {
                let what = if *cleared { "cleared" } else { "begins" };
                let fault = match &plan.faults[*index].kind {
                    FaultKind::Backend { fault, .. } => fault.name().to_owned(),
                    FaultKind::Network { who, fault } => check::WORDS.outage(plan, who, *fault),
                    FaultKind::Device { who, fault } => check::WORDS.device_fault(plan, who, fault),
                };
                self.say(&format!("fault {what}: {fault}"));
            }
            Line::Warning { text, .. } => self.say(&format!("warning: {text}")),
            Line::Lost { process, how, .. } => self.say(&format!("lost {process}: {how}")),
            Line::Header(_)
            | Line::Started { .. }
            | Line::Interrupted { .. }
            | Line::Backend { .. }
            | Line::Campaign { .. }
            | Line::CommandStarted { .. }
            | Line::Outcome(_) => {}
        }
    }

    /// What campaigns and commands as a whole came to; rows of devices go to their files only.
    pub fn findings(&self, plan: &Plan, findings: &[Finding]) {
        for finding in findings {
            match *finding {
                Finding::Campaign { campaign, mark, .. } => {
                    let name = &plan.campaigns[usize::from(campaign)].name;
                    self.say(&format!("campaign {name} {}", campaign_mark(mark)));
                }
                Finding::CommandStarted {
                    command, targets, ..
                } => {
                    let name = &plan.commands[usize::from(command)].name;
                    let targets = grouped(u64::from(targets));
                    self.say(&format!("command {name} begins: {targets} devices"));
                }
                Finding::Result(_) | Finding::Command(_) | Finding::Query(_) => {}
            }
        }
    }

    /// A second is complete.
    pub fn second(&mut self, plan: &Plan, second: &Second) {
        self.gauges = second.gauges;
        self.second = second.counters;
        self.window.add(&second.counters);
        self.ack
            .merge(&second.merged(&[Metric::AckResponse, Metric::AckResponseReplayed]));
        self.errors += second.errors.iter().map(|error| error.count).sum::<u64>();
        if matches!(self.show, Show::Plain) && second.second + 1 >= self.next_plain_s {
            self.next_plain_s = second.second + 1 + PLAIN_EVERY_S;
            let at = Duration::from_secs(u64::from(second.second) + 1);
            self.say(&format!("{:>5} s  {}", at.as_secs(), self.line(plan, at)));
            self.window = Counters::default();
            self.ack.clear();
        }
    }

    /// Time passes: keeps the countdown moving on a terminal.
    pub fn tick(&mut self, plan: &Plan, start: Option<Instant>, now: Instant) {
        if let (Show::Live(bar), Some(start)) = (&self.show, start) {
            let at = now.since(start);
            bar.set_position(u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
            bar.set_message(self.line(plan, at));
        }
    }

    /// The run is over.
    pub fn finish(&self) {
        if let Show::Live(bar) = &self.show {
            bar.finish_and_clear();
        }
    }

    fn line(&self, plan: &Plan, at: Duration) -> String {
        let phase = plan
            .phases
            .iter()
            .find(|phase| at < phase.start + phase.length);
        let (name, until) = phase.map_or_else(
            || ("drain", plan.length() + plan.drain),
            |p| (p.name.as_str(), p.start + p.length),
        );
        let left = until.saturating_sub(at);
        // On a terminal the rates are of the last second, in plain lines of the last ten.
        let (counts, seconds) = match self.show {
            Show::Plain => (&self.window, u64::from(PLAIN_EVERY_S)),
            Show::Live(_) | Show::Off => (&self.second, 1),
        };
        let p99 = self
            .ack
            .percentile_us(99.0)
            .map_or_else(|| "-".to_owned(), milliseconds);
        format!(
            "{name} ({} s left)  connected {}/{}  connects {}/s  sent {}/s  acked {}/s  ack p99 {p99}  errors {}",
            left.as_secs(),
            grouped(self.gauges.connected),
            grouped(self.gauges.powered),
            grouped(counts.connects / seconds),
            grouped(counts.sent / seconds),
            grouped((counts.acked + counts.written) / seconds),
            grouped(self.errors),
        )
    }
}

fn live_bar(plan: &Plan) -> ProgressBar {
    let length_ms = u64::try_from(plan.length().as_millis()).unwrap_or(u64::MAX);
    let style =
        ProgressStyle::with_template("{bar:24} {percent:>3}%  {msg}").expect("a constant template");
    ProgressBar::with_draw_target(Some(length_ms), ProgressDrawTarget::stderr_with_hz(4))
        .with_style(style)
}

fn campaign_mark(mark: CampaignMark) -> String {
    let devices = |n: u32| grouped(u64::from(n));
    match mark {
        CampaignMark::Started { targets } => format!("begins: {} devices", devices(targets)),
        CampaignMark::Rung {
            per_minute,
            notified,
        } => format!(
            "goes on at {per_minute:.0} devices per minute after {}",
            devices(notified)
        ),
        CampaignMark::Wave { index, notified } => {
            format!("begins wave {} after {}", index + 1, devices(notified))
        }
        CampaignMark::Paused => "pauses".into(),
        CampaignMark::Resumed => "goes on".into(),
        CampaignMark::Halted {
            executed,
            failures,
            started,
            ..
        } => format!(
            "halts: {} of {} ended badly, {} had started",
            devices(failures),
            devices(executed),
            devices(started)
        ),
        CampaignMark::Cancelled { started } => {
            format!("is cancelled: {} had started", devices(started))
        }
        CampaignMark::Completed => "is complete".into(),
    }
}

/// `1234567` as `1 234 567`.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

fn milliseconds(us: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let ms = us as f64 / 1_000.0;
    format!("{ms:.1} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1 000", "1 234 567"]
        );
    }
}

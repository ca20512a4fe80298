//! Progress of a simulated run for people: how far virtual time is, how fast it goes, and how long
//! it will take. Written to standard error.

use super::progress::{Ui, grouped};
use crate::scenario::plan::Plan;
use crate::stats::series::Second;
use crate::time::{Duration, Instant};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal as _, Write as _};

/// Wall-clock time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// Wall-clock time over which the speed is taken.
const SPEED_OVER: Duration = Duration::from_secs(2);

/// Shows how a simulation goes.
#[derive(Debug)]
pub(super) struct SimulationProgress {
    show: Show,
    /// Wall clock at the beginning.
    began: Instant,
    /// Wall clock of the latest plain line.
    said: Instant,
    /// Where the speed is taken from: wall clock, virtual time, events.
    from: (Instant, Duration, u64),
    /// Virtual seconds and events per wall-clock second.
    speed: Option<(f64, f64)>,
}

#[derive(Debug)]
enum Show {
    Live(ProgressBar),
    Plain,
    Off,
}

impl SimulationProgress {
    /// Begins to show the simulation of `plan`; `now` is the wall clock's.
    pub(super) fn new(ui: Ui, plan: &Plan, now: Instant) -> Self {
        let live = std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
        let show = match ui {
            Ui::Off => Show::Off,
            Ui::Auto if live => Show::Live(bar(plan)),
            Ui::Auto | Ui::Plain => Show::Plain,
        };
        let progress = Self {
            show,
            began: now,
            said: now,
            from: (now, Duration::ZERO, 0),
            speed: None,
        };
        progress.say(&format!(
            "{}: simulating {} devices, {} phases, {:.0} s of virtual time",
            plan.name,
            grouped(u64::from(plan.devices())),
            plan.phases.len(),
            plan.length().as_secs_f64(),
        ));
        progress
    }

    /// A virtual second is complete, `events` events after the beginning.
    pub(super) fn second(&mut self, plan: &Plan, second: &Second, events: u64, now: Instant) {
        let at = Duration::from_secs(u64::from(second.second) + 1);
        let (since, from, before) = self.from;
        let wall = now.since(since);
        if wall >= SPEED_OVER {
            let per_s = |value: f64| value / wall.as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
            let handled = (events - before) as f64;
            self.speed = Some((per_s(at.saturating_sub(from).as_secs_f64()), per_s(handled)));
            self.from = (now, at, events);
        }
        match &self.show {
            Show::Live(bar) => {
                bar.set_position(u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
                bar.set_message(self.line(plan, second, at));
            }
            Show::Plain if now.since(self.said) >= PLAIN_EVERY => {
                self.said = now;
                self.say(&self.line(plan, second, at));
            }
            Show::Plain | Show::Off => {}
        }
    }

    /// The simulation is over after `virtual_time` and `events` events.
    pub(super) fn finish(&self, plan: &Plan, virtual_time: Duration, events: u64, now: Instant) {
        if let Show::Live(bar) = &self.show {
            bar.finish_and_clear();
        }
        let wall_s = now.since(self.began).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
        let rate = events as f64 / wall_s.max(1e-9);
        self.say(&format!(
            "simulated {:.0} s of {} devices in {wall_s:.1} s: {} events, {} events/s",
            virtual_time.as_secs_f64(),
            grouped(u64::from(plan.devices())),
            grouped(events),
            short(rate),
        ));
    }

    fn say(&self, text: &str) {
        match &self.show {
            Show::Live(bar) => bar.println(text),
            Show::Plain => {
                // Progress that cannot be shown does not stop a simulation.
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            Show::Off => {}
        }
    }

    fn line(&self, plan: &Plan, second: &Second, at: Duration) -> String {
        let phase = plan
            .phases
            .iter()
            .find(|phase| at <= phase.start + phase.length)
            .map_or("drain", |phase| phase.name.as_str());
        let speed = self.speed.map_or_else(String::new, |(virtual_s, events)| {
            let left_s = plan.length().saturating_sub(at).as_secs_f64() / virtual_s.max(1e-9);
            format!(
                "  {virtual_s:.1}x  {} events/s  {} left",
                short(events),
                wall(left_s)
            )
        });
        format!(
            "{phase}: {} of {:.0} s virtual{speed}  connected {}/{}",
            at.as_secs(),
            plan.length().as_secs_f64(),
            grouped(second.gauges.connected),
            grouped(second.gauges.powered),
        )
    }
}

fn bar(plan: &Plan) -> ProgressBar {
    let length_ms = u64::try_from(plan.length().as_millis()).unwrap_or(u64::MAX);
    let style =
        ProgressStyle::with_template("{bar:24} {percent:>3}%  {msg}").expect("a constant template");
    ProgressBar::with_draw_target(Some(length_ms), ProgressDrawTarget::stderr_with_hz(4))
        .with_style(style)
}

/// `1234567.0` as `1.23 M`.
fn short(value: f64) -> String {
    if value >= 1e6 {
        format!("{:.2} M", value / 1e6)
    } else {
        format!("{:.0} k", value / 1e3)
    }
}

/// Seconds as `45 s` or `3:20 min`.
fn wall(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates"
    )]
    let seconds = seconds.ceil() as u64;
    if seconds < 100 {
        format!("{seconds} s")
    } else {
        format!("{}:{:02} min", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fixture;

    #[test]
    fn speeds_and_times_are_short() {
        assert_eq!([12_300.0, 3_456_789.0].map(short), ["12 k", "3.46 M"]);
        assert_eq!(
            [0.2, 99.0, 99.1, 200.0].map(wall),
            ["1 s", "99 s", "1:40 min", "3:20 min"]
        );
    }

    #[test]
    fn a_line_tells_virtual_time_speed_and_time_left() {
        let plan = fixture::plan(1_200);
        let mut progress = SimulationProgress::new(Ui::Off, &plan, Instant::ZERO);
        let wall = |ms| Instant::ZERO.after(Duration::from_millis(ms));
        let mut after = |virtual_s: u32, events, now| {
            let mut second = Second::new(virtual_s - 1);
            second.gauges.powered = 1_200;
            second.gauges.connected = 1_100;
            progress.second(&plan, &second, events, now);
            progress.line(&plan, &second, Duration::from_secs(u64::from(virtual_s)))
        };
        let connected = "connected 1 100/1 200";
        assert_eq!(
            after(1, 500_000, wall(1_999)),
            format!("ramp: 1 of 70 s virtual  {connected}"),
            "two seconds make a speed"
        );
        assert_eq!(
            after(10, 4_000_000, wall(2_000)),
            format!("ramp: 10 of 70 s virtual  5.0x  2.00 M events/s  12 s left  {connected}")
        );
        // Of the latest two seconds, not since the beginning.
        assert_eq!(
            after(11, 4_500_000, wall(4_500)),
            format!("steady: 11 of 70 s virtual  0.4x  200 k events/s  2:28 min left  {connected}")
        );
        assert_eq!(
            after(71, 4_600_000, wall(4_600)),
            format!("drain: 71 of 70 s virtual  0.4x  200 k events/s  0 s left  {connected}")
        );
    }
}

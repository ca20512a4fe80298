//! The backlogs that faults leave: how long devices take to work off what waited when a fault cleared,
//! and how much of what a fault held up was acknowledged after all. Told from the devices' events.

use crate::mqtt::packet::QoS;
use crate::stats::event::{Event, Operation, Unsent};
use crate::stats::histogram::Histogram;
use crate::time::Instant;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Where the backlog of a fault is looked for, on the run's axis.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct BacklogWindow {
    /// Index into `Plan::faults`: the last one of its phase to clear.
    pub fault: usize,
    /// When the first fault of its phase began.
    pub start: Instant,
    /// When it cleared.
    pub cleared: Instant,
    /// The next fault, or the end of the last phase: who has not drained by then has not drained.
    pub until: Instant,
}

/// The backlog of one fault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backlog {
    /// Devices on which something waited when the fault cleared.
    pub devices: u64,
    /// Of those, the ones of which all that was planned before the clearing, in flight or waiting, had
    /// ended before the next fault or the end.
    pub drained: u64,
    /// From the clearing to that, per drained device: a V2 histogram in base64; empty if none.
    pub times: String,
    /// Operations of QoS 1 and 2 intended from the fault's start to its clearing.
    pub planned: u64,
    /// Of those, acknowledged without having waited for a connection and without a retransmission: the
    /// fault did not hold them up.
    pub acked_live: u64,
    /// Of those, acknowledged after they had waited for a connection, were written again, or had timed
    /// out.
    pub recovered: u64,
    /// Of those, dropped by a store's policy.
    pub dropped_by_policy: u64,
    /// Of those, let go by `when_late`.
    pub skipped: u64,
}

impl Backlog {
    /// The drain times; empty if there are none, or if they do not decode.
    pub fn drain_times(&self) -> Histogram {
        let bytes = STANDARD.decode(&self.times).unwrap_or_default();
        Histogram::from_v2(&bytes).unwrap_or_else(|_| Histogram::new())
    }

    /// Sets the drain times.
    pub fn set_drain_times(&mut self, times: &Histogram) {
        self.times = STANDARD.encode(times.to_v2_deflate());
    }

    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        if !other.times.is_empty() {
            let mut times = self.drain_times();
            times.merge(&other.drain_times());
            self.set_drain_times(&times);
        }
        self.devices += other.devices;
        self.drained += other.drained;
        self.planned += other.planned;
        self.acked_live += other.acked_live;
        self.recovered += other.recovered;
        self.dropped_by_policy += other.dropped_by_policy;
        self.skipped += other.skipped;
    }
}

/// Operations of one device.
#[derive(Copy, Clone, Debug, Default)]
struct Level {
    /// Due and neither sent nor given up.
    waiting: u32,
    /// Due and not ended: they wait or are in flight.
    open: u32,
}

/// A fault that has cleared, and what each device still has of before.
#[derive(Debug)]
struct Following {
    window: BacklogWindow,
    /// By device; 0 = none, or not followed.
    left: Vec<u32>,
    times: Histogram,
}

/// Follows the backlogs of a run's faults; does nothing in a run without faults.
#[derive(Debug, Default)]
pub(super) struct Backlogs {
    /// By clearing.
    windows: Vec<BacklogWindow>,
    /// How many of them have cleared.
    cleared: usize,
    /// Per stream: of QoS 1 or 2.
    acknowledged: Vec<bool>,
    /// By device.
    levels: Vec<Level>,
    following: Vec<Following>,
    /// By fault.
    found: Vec<Backlog>,
}

impl Backlogs {
    pub(super) fn new(mut windows: Vec<BacklogWindow>, acknowledged: Vec<bool>) -> Self {
        windows.sort_by_key(|window| window.cleared);
        let faults = windows.iter().map(|w| w.fault + 1).max().unwrap_or(0);
        Self {
            windows,
            acknowledged,
            found: vec![Backlog::default(); faults],
            ..Self::default()
        }
    }

    /// Takes an event of `device` at `now`.
    pub(super) fn record(&mut self, now: Instant, device: u32, event: &Event) {
        if self.windows.is_empty() {
            return;
        }
        self.advance(now);
        match *event {
            Event::Planned(op) => self.planned(device, op),
            Event::Sent { op, qos, .. } => {
                self.level(device).leave();
                if qos == QoS::AtMostOnce {
                    self.ended(now, device, op);
                }
            }
            Event::Unsent(op, why) => {
                self.level(device).leave();
                self.ended(now, device, op);
                self.count(op, |found| match why {
                    Unsent::DroppedByPolicy => found.dropped_by_policy += 1,
                    Unsent::Skipped => found.skipped += 1,
                    Unsent::DeviceOff => {}
                });
            }
            Event::Acked { op, replayed, .. } => {
                self.ended(now, device, op);
                self.count(op, |found| match replayed {
                    true => found.recovered += 1,
                    false => found.acked_live += 1,
                });
            }
            // It had timed out, and came through after all.
            Event::LateAck(op) => self.count(op, |found| found.recovered += 1),
            Event::TimedOut { op, .. } | Event::SessionGone(op) => self.ended(now, device, op),
            Event::PoweredOn
            | Event::Update(_)
            | Event::Command(_)
            | Event::PoweredOff
            | Event::Expected
            | Event::AttemptStarted { .. }
            | Event::Connected { .. }
            | Event::AttemptFailed { .. }
            | Event::Disconnected { .. }
            | Event::GaveUp
            | Event::Retransmitted(_)
            | Event::ReleasedAgain(_)
            | Event::UnexpectedAck
            | Event::Received
            | Event::LimitReached(_) => {}
        }
    }

    /// What was found by `now`, by fault.
    pub(super) fn totals(&mut self, now: Instant) -> Vec<Backlog> {
        self.advance(now);
        let mut found = self.found.clone();
        for following in &self.following {
            close(&mut found, following);
        }
        found
    }

    /// Begins to follow the faults that have cleared by `now`, and ends with those whose time is over.
    fn advance(&mut self, now: Instant) {
        while let Some(window) = self.windows.get(self.cleared).filter(|w| w.cleared <= now) {
            self.cleared += 1;
            let waits = self.levels.iter().filter(|level| level.waiting > 0);
            self.found[window.fault].devices = waits.count() as u64;
            let left = self.levels.iter();
            let left = left.map(|level| if level.waiting > 0 { level.open } else { 0 });
            self.following.push(Following {
                window: *window,
                left: left.collect(),
                times: Histogram::new(),
            });
        }
        let found = &mut self.found;
        self.following.retain(|following| {
            let goes_on = now < following.window.until;
            if !goes_on {
                close(found, following);
            }
            goes_on
        });
    }

    fn planned(&mut self, device: u32, op: Operation) {
        let level = self.level(device);
        level.waiting += 1;
        level.open += 1;
        self.count(op, |found| found.planned += 1);
        // It came due before a clearing, but was handled after it.
        for following in &mut self.following {
            if let Some(left) = following.left_of(device, op) {
                *left += 1;
            }
        }
    }

    fn ended(&mut self, now: Instant, device: u32, op: Operation) {
        let level = self.level(device);
        level.open = level.open.saturating_sub(1);
        for following in &mut self.following {
            let Some(left) = following.left_of(device, op) else {
                continue;
            };
            *left -= 1;
            if *left == 0 {
                self.found[following.window.fault].drained += 1;
                let took = now.us_since(following.window.cleared);
                following.times.record_us(took);
            }
        }
    }

    /// Counts `op` for the faults in whose time it was intended, if it is of QoS 1 or 2.
    fn count(&mut self, op: Operation, add: impl Fn(&mut Backlog)) {
        if self.acknowledged.get(usize::from(op.stream)) != Some(&true) {
            return;
        }
        for window in &self.windows {
            if (window.start..window.cleared).contains(&op.intended) {
                add(&mut self.found[window.fault]);
            }
        }
    }

    fn level(&mut self, device: u32) -> &mut Level {
        let index = device as usize;
        if index >= self.levels.len() {
            self.levels.resize(index + 1, Level::default());
        }
        &mut self.levels[index]
    }
}

impl Level {
    const fn leave(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }
}

impl Following {
    /// What `device` still has of before the clearing, if it is followed and `op` is part of that.
    fn left_of(&mut self, device: u32, op: Operation) -> Option<&mut u32> {
        if op.intended >= self.window.cleared {
            return None;
        }
        let left = self.left.get_mut(device as usize)?;
        (*left > 0).then_some(left)
    }
}

fn close(found: &mut [Backlog], following: &Following) {
    if following.times.count() > 0 {
        found[following.window.fault].set_drain_times(&following.times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Instant {
        Instant::from_ns(second * 1_000_000_000)
    }

    fn op(seq: u32, second: u64) -> Operation {
        Operation {
            stream: 0,
            seq,
            intended: at(second),
        }
    }

    fn acked(op: Operation, replayed: bool) -> Event {
        let sent = op.intended;
        Event::Acked { op, sent, replayed }
    }

    fn sent(op: Operation) -> Event {
        let (qos, replayed) = (QoS::AtLeastOnce, true);
        Event::Sent { op, qos, replayed }
    }

    fn backlogs() -> Backlogs {
        let window = BacklogWindow {
            fault: 1,
            start: at(10),
            cleared: at(20),
            until: at(40),
        };
        Backlogs::new(vec![window], vec![true])
    }

    /// Device 3 has three samples of the fault's time, one of which a policy drops; device 1 none.
    fn fill(all: &mut Backlogs) {
        for (seq, second) in [(0, 9), (1, 12), (2, 14), (3, 16)] {
            all.record(at(second), 3, &Event::Planned(op(seq, second)));
        }
        all.record(at(9), 3, &sent(op(0, 9)));
        all.record(at(9), 3, &acked(op(0, 9), false));
        let dropped = Event::Unsent(op(1, 12), Unsent::DroppedByPolicy);
        all.record(at(16), 3, &dropped);
        all.record(at(18), 1, &Event::Planned(op(0, 18)));
        all.record(at(18), 1, &sent(op(0, 18)));
        all.record(at(18), 1, &acked(op(0, 18), false));
    }

    #[test]
    fn a_device_has_drained_with_the_last_of_before_the_clearing() {
        let mut all = backlogs();
        fill(&mut all);
        all.record(at(22), 3, &sent(op(2, 14)));
        all.record(at(23), 3, &acked(op(2, 14), true));
        // Planned after the clearing: no part of the backlog.
        all.record(at(24), 3, &Event::Planned(op(4, 24)));
        all.record(at(24), 3, &sent(op(4, 24)));
        all.record(at(25), 3, &sent(op(3, 16)));
        assert_eq!(all.totals(at(25))[1].drained, 0);
        all.record(at(26), 3, &acked(op(3, 16), true));
        let found = all.totals(at(30)).swap_remove(1);
        assert_eq!((found.devices, found.drained), (1, 1));
        let (_, took) = found.drain_times().min_max_us().expect("one time");
        // To the histogram's three digits.
        assert!((6_000_000..6_006_000).contains(&took), "{took}");
        let counts = (found.planned, found.acked_live, found.recovered);
        assert_eq!((counts, found.dropped_by_policy), ((4, 1, 2), 1));
    }

    #[test]
    fn who_drains_after_the_next_fault_began_has_not_drained() {
        let mut all = backlogs();
        fill(&mut all);
        for (seq, second) in [(2, 14), (3, 16)] {
            all.record(at(39), 3, &sent(op(seq, second)));
            all.record(at(40), 3, &acked(op(seq, second), true));
        }
        let found = all.totals(at(50)).swap_remove(1);
        assert_eq!((found.devices, found.drained, found.recovered), (1, 0, 2));
        assert_eq!(found.times, "");
    }

    #[test]
    fn workers_add_up() {
        let mut all = backlogs();
        fill(&mut all);
        for (seq, second) in [(2, 14), (3, 16)] {
            all.record(at(21), 3, &sent(op(seq, second)));
            all.record(at(21), 3, &acked(op(seq, second), true));
        }
        let one = all.totals(at(30)).swap_remove(1);
        let mut two = one.clone();
        two.add(&one);
        two.add(&Backlog::default());
        assert_eq!((two.devices, two.recovered), (2, 4));
        assert_eq!(two.drain_times().count(), 2);
    }
}

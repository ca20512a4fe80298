//! Where the run stands, and what happens at its instants: the timeline, the end of each second,
//! the watch over arming and drain, and where the events of devices go.

use super::control::{Report, SnapshotFrame};
use super::fleet::{Fleet, KEY_SECOND, KEY_TIMELINE, KEY_WATCH};
use crate::cloud::operator;
use crate::device::{self, boots::Boots};
use crate::scenario::plan::Plan;
use crate::scenario::timeline::{self, Action, Entry};
use crate::stats::event::Event;
use crate::stats::recorder::{Layout, Recorder};
use crate::time::{Duration, Instant};

/// Longest time from `Arm` until all observers are armed.
pub(super) const ARM_TIMEOUT: Duration = Duration::from_secs(20);

/// How often a draining worker looks whether it is drained.
const DRAIN_LOOK: Duration = Duration::from_millis(100);

const SECOND: Duration = Duration::from_secs(1);

/// The run as one worker sees it.
#[derive(Debug)]
pub(super) struct RunState {
    pub(super) stage: Stage,
    /// T0.
    pub(super) start: Instant,
    /// No arrival is planned from here on: the end of the last phase, or the moment of an abort.
    pub(super) end: Instant,
    /// From T0 on.
    pub(super) recorder: Option<Recorder>,
    /// Boots that a fault has ended; from T0 on.
    pub(super) boots: Option<Boots>,
    timeline: Vec<Entry>,
    next_entry: usize,
    /// Seconds of the run that were reported.
    seconds: u32,
    drained: bool,
    /// When `Arm` came.
    pub(super) arm_began: Instant,
}

/// What the worker does now.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has nothing to do yet.
    Idle,
    /// Observers and the operator connect and subscribe.
    Arming,
    /// All observers are armed, or the run goes on.
    Running,
    /// No arrivals any more; what waits or is in flight ends.
    Draining,
    /// The books are closed: events count no more.
    Over,
}

impl Default for RunState {
    fn default() -> Self {
        Self {
            stage: Stage::Idle,
            start: Instant::NEVER,
            end: Instant::NEVER,
            recorder: None,
            boots: None,
            timeline: Vec::new(),
            next_entry: 0,
            seconds: 0,
            drained: false,
            arm_began: Instant::NEVER,
        }
    }
}

impl RunState {
    /// Whether the end of the last phase has come and was not handled.
    pub(super) fn end_is_due(&self, now: Instant) -> bool {
        self.end <= now && self.end_is_ahead()
    }

    /// Whether arrivals are still planned.
    pub(super) fn end_is_ahead(&self) -> bool {
        self.recorder.is_some() && self.stage == Stage::Running
    }

    /// A deadline of an actor is handled.
    pub(super) fn record_lag(&mut self, deadline: Instant, now: Instant) {
        if let Some(recorder) = self.recording() {
            recorder.record_lag(deadline, now);
        }
    }

    /// The recorder, while the books are open.
    pub(super) fn recording(&mut self) -> Option<&mut Recorder> {
        let open = self.stage != Stage::Over;
        self.recorder.as_mut().filter(|_| open)
    }
}

/// The axes of the books of `plan`, started at `start`.
pub(super) fn layout(plan: &Plan, start: Instant) -> Layout {
    Layout {
        start,
        phase_ends: plan
            .phases
            .iter()
            .map(|phase| start.after(phase.start + phase.length))
            .collect(),
        streams: plan.streams.len(),
    }
}

impl Fleet {
    /// T0 is known.
    pub(super) fn begin(&mut self, start: Instant, owns: impl Fn(u32) -> bool) {
        let timeouts: Vec<Duration> = self.plan.streams.iter().map(|s| s.ack_timeout).collect();
        let layout = layout(&self.plan, start);
        self.state.boots = Some(Boots::new(&layout));
        let recorder = Recorder::new(layout)
            .with_ack_timeouts(&timeouts)
            .with_recovery(&self.plan.episodes(start), &self.plan.persistent_devices())
            .with_freshness(&self.plan.fresh_devices())
            .with_backlogs(
                self.plan.backlog_windows(start),
                self.plan.acknowledged_streams(),
            );
        self.state.recorder = Some(recorder);
        self.state.stage = Stage::Running;
        self.state.start = start;
        self.state.end = start.after(self.plan.length());
        self.state.timeline = timeline::compile(&self.plan, owns);
        self.begin_recording(start);
        self.build_devices(start);
        let now = self.clock.now();
        self.step_operator(now, operator::Input::Begin(start));
        self.wake_at(KEY_SECOND, start.after(SECOND), now);
        self.wake_at(KEY_TIMELINE, self.next_act_at(), now);
    }

    /// When the timeline or an outage has something to do.
    fn next_act_at(&self) -> Instant {
        self.next_entry_at().min(self.cuts.next())
    }

    fn next_entry_at(&self) -> Instant {
        self.state
            .timeline
            .get(self.state.next_entry)
            .map_or(Instant::NEVER, |entry| self.state.start.after(entry.at))
    }

    /// Does what the timeline wants by `now`, at most `limit` entries or cuts of an outage. However
    /// late the driver is, an outage's cuts come before its clearing.
    pub(super) fn run_timeline(&mut self, now: Instant, limit: usize) {
        for _ in 0..limit {
            let at = self.next_act_at();
            if at > now {
                break;
            }
            if self.cuts.next() == at {
                let (at, i, end) = self.cuts.pop().expect("there is a next one");
                self.cut_device(i, at, now, end);
            } else {
                let action = self.state.timeline[self.state.next_entry].action;
                self.state.next_entry += 1;
                self.act(action, at, now);
            }
        }
        self.wake_at(KEY_TIMELINE, self.next_act_at(), now);
    }

    fn act(&mut self, action: Action, at: Instant, now: Instant) {
        match action {
            Action::PhaseStart(_) => {}
            Action::PowerOff(id) => {
                if let Ok(i) = self.owned.binary_search(&id) {
                    self.state.record_lag(at, now);
                    self.cut_power(i, now);
                }
            }
            Action::PowerOn(id) => {
                let Ok(i) = self.owned.binary_search(&id) else {
                    return;
                };
                self.state.record_lag(at, now);
                self.give_power(i, at, now);
            }
            Action::FaultStart(fault) => {
                for slot in &mut self.devices {
                    slot.recovering = None;
                }
                self.begin_outage(at, now, fault);
            }
            Action::FaultClear(fault) => {
                self.cuts.law.clear(fault);
                if self.plan.closes_its_phase(fault) {
                    self.mark_affected(fault);
                }
                if self.cuts.law.is_blackhole(fault) {
                    self.update_holes(now);
                }
            }
            Action::End => self.stop_arrivals(at, now),
        }
    }

    /// The loop came round at `now`, having been asked to at `from`.
    pub(super) fn record_hiccup(&mut self, from: Instant, now: Instant) {
        if from < self.state.start {
            return;
        }
        if let Some(recorder) = self.state.recording() {
            recorder.record_hiccup(from, now);
        }
    }

    fn mark_affected(&mut self, fault: usize) {
        let mark = u16::try_from(fault).expect("the file's limit on faults is below u16");
        let Some(recorder) = self.state.recording() else {
            return;
        };
        for slot in &mut self.devices {
            if slot.device.is_missed() {
                slot.recovering = Some(mark);
                recorder.record_affected(fault);
            }
        }
    }

    /// No arrivals from `at` on.
    pub(super) fn stop_arrivals(&mut self, at: Instant, now: Instant) {
        self.state.stage = Stage::Draining;
        self.state.end = at;
        self.state.next_entry = self.state.timeline.len();
        self.cuts.forget();
        for i in 0..self.devices.len() {
            // Who comes back in the drain came back after the run.
            self.devices[i].recovering = None;
            self.step_device(i, at, now, device::Input::StopArrivals);
        }
        self.step_operator(now, operator::Input::StopArrivals);
        self.wake_at(KEY_WATCH, now.after(DRAIN_LOOK), now);
    }

    /// Where the events of device `i` go.
    pub(super) fn on_device_event(&mut self, i: usize, now: Instant, event: &Event) {
        let Some(recorder) = self.state.recording() else {
            return;
        };
        let slot = &mut self.devices[i];
        let id = slot.device.id();
        recorder.record(now, id, event);
        match event {
            Event::PoweredOn if slot.observed => self.ledger.booted(id, slot.device.boot()),
            Event::Connected { .. } => {
                if let Some(fault) = slot.recovering.take() {
                    let fault = usize::from(fault);
                    let cleared = self.state.start.after(self.plan.faults[fault].clear);
                    if let Some(recorder) = self.state.recording() {
                        recorder.record_recovered(fault, cleared, now);
                    }
                }
            }
            Event::Sent { op, replayed, .. } if slot.observed => {
                self.ledger.sent(id, op, *replayed);
            }
            Event::Retransmitted(op) | Event::ReleasedAgain(op) if slot.observed => {
                self.ledger.retransmitted(id, op);
            }
            Event::Acked { op, .. } | Event::LateAck(op) if slot.observed => {
                self.ledger.acked(id, op);
            }
            Event::PoweredOn
            | Event::Sent { .. }
            | Event::Retransmitted(_)
            | Event::ReleasedAgain(_)
            | Event::Acked { .. }
            | Event::LateAck(_)
            | Event::UnexpectedAck
            | Event::PoweredOff
            | Event::Expected
            | Event::AttemptStarted { .. }
            | Event::AttemptFailed { .. }
            | Event::Disconnected { .. }
            | Event::GaveUp
            | Event::Planned(_)
            | Event::Unsent(..)
            | Event::TimedOut { .. }
            | Event::SessionGone(_)
            | Event::Received
            | Event::Update(_)
            | Event::Command(_)
            | Event::LimitReached(_) => {}
        }
    }

    /// Reports each second of the run that has ended; there are no more once the books are closed.
    pub(super) fn end_second(&mut self, now: Instant) {
        if self.state.stage == Stage::Over {
            return;
        }
        let at = self.next_second_at();
        if at <= now {
            self.report_second(now);
        }
        self.wake_at(KEY_SECOND, self.next_second_at(), now);
    }

    fn next_second_at(&self) -> Instant {
        let ended = SECOND.saturating_mul(self.state.seconds + 1);
        self.state.start.after(ended)
    }

    /// Reports what happened since the last second ended, as a second of its own.
    pub(super) fn report_second(&mut self, now: Instant) {
        self.flush_recording();
        self.report_findings();
        let served = self.image_server.as_ref().map_or(0, |server| server.open());
        let fds = self.base_fds + self.routes.open() + self.fetches.open() + served;
        let gauges = self.meter.read(now, fds, self.routes.ports());
        let second = self.state.seconds;
        let Some(recorder) = &mut self.state.recorder else {
            return;
        };
        self.state.seconds += 1;
        let snapshot = recorder.take_snapshot(now, second, gauges);
        self.reports
            .push(Report::Snapshot(Box::new(SnapshotFrame(snapshot))));
    }

    /// Looks whether arming takes too long, or whether the drain is over.
    pub(super) fn watch(&mut self, now: Instant) {
        match self.state.stage {
            Stage::Idle | Stage::Running | Stage::Over => {}
            Stage::Arming => {
                let until = self.state.arm_began.after(ARM_TIMEOUT);
                if now >= until {
                    self.fail_arming(None);
                } else {
                    self.wake_at(KEY_WATCH, until, now);
                }
            }
            Stage::Draining => {
                let drained = self.ledger.is_settled()
                    && self.is_operator_settled()
                    && self.devices.iter().all(|slot| slot.device.is_drained());
                if drained != self.state.drained {
                    self.state.drained = drained;
                    self.reports.push(Report::Drained(drained));
                }
                self.wake_at(KEY_WATCH, now.after(DRAIN_LOOK), now);
            }
        }
    }
}

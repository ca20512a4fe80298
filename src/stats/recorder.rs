//! One recorder per worker: events in, books and delta histograms out; no lock or channel send per
//! message, no allocation per event.

use super::books::{Books, CommandCounts, DeliveryCounts, UpdateCounts};
use super::event::{Cause, Event, Limit, Operation, Unsent};
use super::histogram::Histogram;
use super::series::{Counters, Gauges, Metric};
use crate::mqtt::packet::QoS;
use crate::time::{Duration, Instant};
use std::ops::Range;

mod availability;
mod backlog;
mod deltas;
mod errors;
mod freshness;
mod herd;
mod snapshot;
mod totals;

use availability::Availability;
use backlog::Backlogs;
use deltas::Deltas;
use errors::ErrorTable;
use freshness::Ages;
use herd::Herd;

pub use backlog::{Backlog, BacklogWindow};
pub use errors::{ErrorCount, ErrorKind};
pub use freshness::Freshness;
pub use herd::{Episode, HerdCounts, ResumeCounts};
pub use snapshot::{HistogramDelta, ProcessGauges, Snapshot, merge_histograms};
pub use totals::{AttemptCounts, Audit, Recovery, Totals};

/// The axes of the books: phases and streams.
#[derive(Clone, Debug)]
pub struct Layout {
    /// T0 on the run's axis.
    pub start: Instant,
    /// End of each phase, ascending; phase i begins where i - 1 ends (0: at `start`). Operations
    /// intended after the last end (or before `start`) count for the last (first) phase.
    pub phase_ends: Vec<Instant>,
    /// Number of streams (`Plan::streams`).
    pub streams: usize,
}

impl Layout {
    /// Index of the phase that `at` belongs to.
    pub fn phase_of(&self, at: Instant) -> usize {
        self.phase_ends
            .partition_point(|end| *end <= at)
            .min(self.phases() - 1)
    }

    /// Number of phases, at least 1.
    pub fn phases(&self) -> usize {
        self.phase_ends.len().max(1)
    }
}

/// Collects what one worker's actors report.
///
/// Every latency runs from the intended instant, is rounded up to a whole microsecond, and belongs
/// to the phase of its intended instant, like the books and the attempts; counters of a second
/// count by completion. What never succeeded is in
/// the latencies too, so that failing cannot look fast:
/// a failed attempt at the time it took, a timed-out publish at its age then, and a publish whose
/// session went at its age then or its stream's `ack_timeout`, whichever is longer
/// (see [`Recorder::with_ack_timeouts`]). An attempt that the device's own stop cut short
/// ([`Cause::DeviceStopped`]) is neither a failure nor a latency.
#[derive(Debug)]
pub struct Recorder {
    layout: Layout,
    /// Per stream: least latency of a publish that will never be acknowledged.
    ack_timeouts: Vec<Duration>,
    /// `[stream * phases + phase]`.
    books: Vec<Books>,
    counters: Counters,
    gauges: Gauges,
    deltas: Deltas,
    errors: ErrorTable,
    availability: Availability,
    attempts: Vec<AttemptCounts>,
    recoveries: Vec<Recovery>,
    herd: Herd,
    ages: Ages,
    out_of_range: u64,
    /// Operations planned and neither sent nor given up.
    waiting: u64,
    backlogs: Backlogs,
    updates: UpdateCounts,
    commands: CommandCounts,
}

impl Recorder {
    /// A recorder with empty books.
    pub fn new(layout: Layout) -> Self {
        let phases = layout.phases();
        Self {
            ack_timeouts: vec![Duration::ZERO; layout.streams],
            books: vec![Books::default(); layout.streams * phases],
            counters: Counters::default(),
            gauges: Gauges::default(),
            deltas: Deltas::new(phases),
            errors: ErrorTable::default(),
            availability: Availability::new(&layout),
            attempts: vec![AttemptCounts::default(); phases],
            recoveries: Vec::new(),
            herd: Herd::new(&layout),
            ages: Ages::default(),
            out_of_range: 0,
            waiting: 0,
            backlogs: Backlogs::default(),
            updates: UpdateCounts::default(),
            commands: CommandCounts::default(),
            layout,
        }
    }

    /// Sets each stream's `ack_timeout`: a publish whose session went counts in
    /// [`Metric::AckResponse`] at no less than it. Without this it counts at its age.
    #[must_use]
    pub fn with_ack_timeouts(mut self, timeouts: &[Duration]) -> Self {
        for (mine, given) in self.ack_timeouts.iter_mut().zip(timeouts) {
            *mine = *given;
        }
        self
    }

    /// Follows how devices come back: in `episodes` (ascending, without overlap), and with the
    /// sessions that the target keeps for the devices in `persistent`.
    #[must_use]
    pub fn with_recovery(mut self, episodes: &[Episode], persistent: &[Range<u32>]) -> Self {
        self.herd.follow(episodes, persistent);
        self
    }

    /// Follows how old the newest sample is that was seen of these devices; of none, it costs
    /// nothing.
    #[must_use]
    pub fn with_freshness(mut self, observed: &[u32]) -> Self {
        if !observed.is_empty() {
            self.ages.follow(&self.layout, observed);
        }
        self
    }

    /// Follows the backlogs of these faults; `acknowledged` says of each stream whether it is of QoS 1
    /// or 2.
    #[must_use]
    pub fn with_backlogs(mut self, windows: Vec<BacklogWindow>, acknowledged: Vec<bool>) -> Self {
        self.backlogs = Backlogs::new(windows, acknowledged);
        self
    }

    /// Takes one event that happened at `now`; `device` tells devices apart in the availability
    /// and is the example of an error.
    pub fn record(&mut self, now: Instant, device: u32, event: &Event) {
        self.herd.advance(now, || self.availability.down());
        self.backlogs.record(now, device, event);
        match *event {
            Event::Planned(op) => {
                self.counters.planned += 1;
                self.waiting += 1;
                self.book(op).planned += 1;
            }
            Event::Sent { op, qos, replayed } => self.sent(op, qos, replayed),
            Event::Acked { op, sent, replayed } => self.acked(now, device, op, sent, replayed),
            Event::TimedOut { op, sent } => self.timed_out(now, device, op, sent),
            Event::SessionGone(op) => self.session_gone(now, device, op),
            Event::Unsent(op, why) => self.unsent(op, why),
            Event::Retransmitted(op) => {
                self.counters.retransmitted += 1;
                self.book(op).retransmitted += 1;
            }
            Event::LateAck(op) => {
                self.counters.late_acks += 1;
                self.book(op).late_acks += 1;
            }
            Event::UnexpectedAck => self.counters.late_acks += 1,
            Event::PoweredOn => {
                self.availability.powered_on(now, device);
                self.herd.down(device);
                self.ages.powered_on(now, device);
            }
            Event::PoweredOff => {
                self.availability.powered_off(now, device);
                let read = |phase, us| self.deltas.record_age(phase, us);
                self.ages.powered_off(&self.layout, now, device, read);
            }
            Event::Expected => self.availability.expected(now, device),
            Event::AttemptStarted { .. } => {
                self.counters.attempts += 1;
                self.herd.attempt(device);
            }
            Event::Connected {
                intended,
                session_present,
            } => {
                self.connected(now, device, intended);
                self.herd
                    .connected(now, &self.layout, device, session_present);
            }
            Event::AttemptFailed {
                intended,
                cause,
                written,
            } => {
                self.attempt_failed(now, device, intended, cause);
                if written && cause == Cause::ConnectTimeout {
                    self.counters.wasted += 1;
                    let phase = self.layout.phase_of(intended);
                    self.attempts[phase].wasted += 1;
                }
            }
            Event::Disconnected { cause } => self.disconnected(now, device, cause),
            Event::GaveUp => self.record_error(now, device, ErrorKind::GaveUp),
            // Its PUBLISH is not written again.
            Event::ReleasedAgain(_) | Event::Received => {}
            Event::Update(event) => self.updates.count(event),
            Event::Command(event) => self.commands.count(event),
            Event::LimitReached(limit) => self.record_error(now, device, ErrorKind::Limit(limit)),
        }
    }

    /// Counts an error that no [`Event`] carries, for example of an observer.
    pub fn record_error(&mut self, now: Instant, example_device: u32, kind: ErrorKind) {
        self.errors.add(now, example_device, kind);
    }

    /// A timer that was due at `deadline` was handled at `now` (driver lag).
    pub fn record_lag(&mut self, deadline: Instant, now: Instant) {
        self.counters.timers += 1;
        let phase = self.layout.phase_of(deadline);
        self.latency(Metric::DriverLag, phase, now.us_since(deadline), now, None);
    }

    /// The driver's loop came round at `now`, having been asked to at `from` (a hiccup of the
    /// driver): all that was ready before it waited up to that long. A gap of the phase of `from`,
    /// in [`Metric::DriverLag`] next to the timers.
    pub fn record_hiccup(&mut self, from: Instant, now: Instant) {
        let us = now.us_since(from);
        self.check_range(us, now, None);
        self.deltas.record_gap(self.layout.phase_of(from), us);
    }

    /// A fault that the harness knows cuts `device` off from its target from `now` on, or does so no
    /// more: it does not count as up meanwhile, session or not.
    pub fn record_cut_off(&mut self, now: Instant, device: u32, is_cut_off: bool) {
        self.availability.cut_off(now, device, is_cut_off);
    }

    /// A device not connected when the fault at `fault` (index into `Plan::faults`) cleared at
    /// `cleared`.
    pub fn record_affected(&mut self, fault: usize) {
        self.recovery(fault).affected += 1;
    }

    /// Such a device got its CONNACK at `now`. The value belongs to the phase that `cleared` ends
    /// or lies in: the fault's own.
    pub fn record_recovered(&mut self, fault: usize, cleared: Instant, now: Instant) {
        self.recovery(fault).recovered += 1;
        let within = Instant::from_ns(cleared.ns().saturating_sub(1));
        let phase = self.layout.phase_of(within);
        let took = now.us_since(cleared);
        self.latency(Metric::ReconnectTime, phase, took, now, None);
    }

    /// An observer saw an operation for the first time.
    pub fn record_seen(&mut self, now: Instant, intended: Instant, replayed: bool) {
        self.counters.seen += 1;
        let metric = if replayed {
            Metric::EndToEndReplayed
        } else {
            Metric::EndToEnd
        };
        let phase = self.layout.phase_of(intended);
        self.latency(metric, phase, now.us_since(intended), now, None);
    }

    /// An observer saw a sample of `device`, made at `made`, for the first time.
    pub fn record_sample(&mut self, now: Instant, device: u32, made: Instant) {
        if self.ages.is_followed() {
            let read = |phase, us| self.deltas.record_age(phase, us);
            self.ages.seen(&self.layout, now, device, made, read);
        }
    }

    /// All that changed since the last call, for the second of the run that ends at `now`
    /// (`second` = 0 for the first after T0).
    pub fn take_snapshot(&mut self, now: Instant, second: u32, process: ProcessGauges) -> Snapshot {
        self.availability.advance(now);
        self.gauges = self.availability.gauges();
        self.gauges.waiting = self.waiting;
        let lag_p99_us = self.deltas.lag_p99_us();
        Snapshot {
            second,
            counters: std::mem::take(&mut self.counters),
            gauges: self.gauges,
            process,
            lag_p99_us,
            histograms: self.deltas.take(),
            errors: self.errors.take_delta(),
        }
    }

    /// Operations that are planned and have not ended: they wait or are in flight.
    pub fn open_operations(&self) -> u64 {
        let open = |b: &Books| {
            let unsent = b.skipped + b.dropped_by_policy + b.device_off;
            let ended = b.acked + b.written + b.timed_out + b.failed;
            // What was resumed after its end is not open again; the audit speaks of such books.
            b.planned.saturating_sub(unsent + ended)
        };
        self.books.iter().map(open).sum()
    }

    /// The run's totals but for wills, which the ledger counts. `waiting` and `in_flight` are counted by the caller from the devices' own
    /// state, `planned` from the schedules, so that the books are an independent check.
    pub fn totals(&mut self, now: Instant, audit: &Audit, delivery: DeliveryCounts) -> Totals {
        self.availability.advance(now);
        self.herd.advance(now, || self.availability.down());
        let phases = self.layout.phases();
        let mut books: Vec<Vec<Books>> = self.books.chunks(phases).map(<[Books]>::to_vec).collect();
        let schedule_agrees = audit.close(&mut books);
        let read = |phase, us| self.deltas.record_age(phase, us);
        let freshness = self.ages.finish(&self.layout, now, read);
        Totals {
            books,
            schedule_agrees,
            attempts: self.attempts.clone(),
            availability: self.availability.device_seconds(),
            recoveries: self.recoveries.clone(),
            herds: self.herd.counts(),
            resumes: self.herd.resumes(),
            freshness,
            backlogs: self.backlogs.totals(now),
            delivery,
            wills: None,
            updates: self.updates,
            commands: self.commands,
            out_of_range: self.out_of_range,
            errors: self.errors.totals(),
        }
    }

    fn connected(&mut self, now: Instant, device: u32, intended: Instant) {
        self.availability.connected(now, device);
        self.counters.connects += 1;
        let phase = self.layout.phase_of(intended);
        self.attempts[phase].accepted += 1;
        self.attempt_latency(now, device, intended);
    }

    fn attempt_failed(&mut self, now: Instant, device: u32, intended: Instant, cause: Cause) {
        if cause == Cause::DeviceStopped {
            return;
        }
        self.counters.attempt_failures += 1;
        let phase = self.layout.phase_of(intended);
        self.attempts[phase].failed += 1;
        self.attempt_latency(now, device, intended);
        self.record_error(now, device, ErrorKind::Attempt(cause));
    }

    fn disconnected(&mut self, now: Instant, device: u32, cause: Cause) {
        self.availability.disconnected(now, device);
        self.counters.disconnects += 1;
        if cause != Cause::DeviceStopped {
            self.herd.down(device);
            self.record_error(now, device, ErrorKind::Connection(cause));
        }
    }

    fn attempt_latency(&mut self, now: Instant, device: u32, intended: Instant) {
        let phase = self.layout.phase_of(intended);
        let took = now.us_since(intended);
        self.latency(Metric::ConnectLatency, phase, took, now, Some(device));
    }

    fn sent(&mut self, op: Operation, qos: QoS, replayed: bool) {
        self.counters.sent += 1;
        self.counters.replayed += u64::from(replayed);
        self.waiting = self.waiting.saturating_sub(1);
        let ends_here = qos == QoS::AtMostOnce;
        self.counters.written += u64::from(ends_here);
        let book = self.book(op);
        book.sent += 1;
        book.written += u64::from(ends_here);
    }

    fn acked(&mut self, now: Instant, device: u32, op: Operation, sent: Instant, replayed: bool) {
        self.counters.acked += 1;
        let phase = self.layout.phase_of(op.intended);
        self.book_at(op, phase).acked += 1;
        let response = now.us_since(op.intended);
        if replayed {
            let metric = Metric::AckResponseReplayed;
            self.latency(metric, phase, response, now, Some(device));
        } else {
            self.latency(Metric::AckResponse, phase, response, now, Some(device));
            let service = now.us_since(sent);
            self.latency(Metric::AckService, phase, service, now, Some(device));
        }
    }

    fn timed_out(&mut self, now: Instant, device: u32, op: Operation, sent: Instant) {
        self.counters.timed_out += 1;
        let phase = self.layout.phase_of(op.intended);
        self.book_at(op, phase).timed_out += 1;
        let (response, service) = (now.us_since(op.intended), now.us_since(sent));
        self.latency(Metric::AckResponse, phase, response, now, Some(device));
        self.latency(Metric::AckService, phase, service, now, Some(device));
        self.record_error(now, device, ErrorKind::AckTimeout);
    }

    fn session_gone(&mut self, now: Instant, device: u32, op: Operation) {
        self.counters.failed += 1;
        let phase = self.layout.phase_of(op.intended);
        self.book_at(op, phase).failed += 1;
        let floor = self.ack_timeouts[usize::from(op.stream)];
        let at = now.max(op.intended.after(floor));
        let response = at.us_since(op.intended);
        self.latency(Metric::AckResponse, phase, response, now, Some(device));
    }

    fn unsent(&mut self, op: Operation, why: Unsent) {
        self.counters.unsent += 1;
        self.waiting = self.waiting.saturating_sub(1);
        let book = self.book(op);
        match why {
            Unsent::Skipped => book.skipped += 1,
            Unsent::DroppedByPolicy => book.dropped_by_policy += 1,
            Unsent::DeviceOff => book.device_off += 1,
        }
    }

    fn book(&mut self, op: Operation) -> &mut Books {
        let phase = self.layout.phase_of(op.intended);
        self.book_at(op, phase)
    }

    fn book_at(&mut self, op: Operation, phase: usize) -> &mut Books {
        &mut self.books[usize::from(op.stream) * self.layout.phases() + phase]
    }

    fn recovery(&mut self, fault: usize) -> &mut Recovery {
        if self.recoveries.len() <= fault {
            self.recoveries.resize(fault + 1, Recovery::default());
        }
        &mut self.recoveries[fault]
    }

    fn latency(
        &mut self,
        metric: Metric,
        phase: usize,
        us: u64,
        now: Instant,
        device: Option<u32>,
    ) {
        self.check_range(us, now, device);
        self.deltas.record(metric, phase, us);
    }

    fn check_range(&mut self, us: u64, now: Instant, device: Option<u32>) {
        if us > Histogram::RANGE_US.1 {
            self.out_of_range += 1;
            let kind = ErrorKind::Limit(Limit::HistogramRange);
            self.errors.add(now, device.unwrap_or(0), kind);
        }
    }
}

#[cfg(test)]
mod tests;

//! What a simulated run writes down: events go to the recorder and the ledger; at the end the
//! devices' own state and the schedules' arithmetic are held against them.

use super::clients::{Client, Watch};
use crate::cloud::ledger::{Ledger, Sighting};
use crate::cloud::observer;
use crate::device::boots::{Boot, Boots};
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::event::{Event, Operation};
use crate::stats::recorder::{Audit, ErrorKind, Layout, ProcessGauges, Recorder, Snapshot, Totals};
use crate::time::{Duration, Instant};

/// Recorder, ledger and series of a run.
#[derive(Debug)]
pub(super) struct Books {
    ledger: Ledger,
    /// From T0 on.
    open: Option<Open>,
    /// Seconds that have ended.
    seconds: u32,
    /// When each fault clears, from the plan, on the run's axis.
    clearings: Vec<Instant>,
    /// Who came back and how long after the clearing.
    #[cfg(test)]
    pub(super) came_back: Vec<(DeviceIdx, Duration)>,
}

#[derive(Debug)]
struct Open {
    recorder: Recorder,
    layout: Layout,
    /// Boots that a fault has ended.
    boots: Boots,
}

impl Books {
    pub(super) fn new(plan: &Plan, everyone: &[DeviceIdx]) -> Self {
        Self {
            ledger: Ledger::new(plan, everyone),
            open: None,
            seconds: 0,
            clearings: Vec::new(),
            #[cfg(test)]
            came_back: Vec::new(),
        }
    }

    /// T0 is known.
    pub(super) fn begin(&mut self, plan: &Plan, start: Instant) {
        let layout = Layout {
            start,
            phase_ends: plan
                .phases
                .iter()
                .map(|phase| start.after(phase.start + phase.length))
                .collect(),
            streams: plan.streams.len(),
        };
        let timeouts: Vec<Duration> = plan.streams.iter().map(|s| s.ack_timeout).collect();
        let recorder = Recorder::new(layout.clone())
            .with_ack_timeouts(&timeouts)
            .with_recovery(&plan.episodes(start), &plan.persistent_devices())
            .with_freshness(&plan.fresh_devices())
            .with_backlogs(plan.backlog_windows(start), plan.acknowledged_streams());
        self.clearings = plan.faults.iter().map(|f| start.after(f.clear)).collect();
        let boots = Boots::new(&layout);
        self.open = Some(Open {
            recorder,
            layout,
            boots,
        });
    }

    /// A blackhole begins or ends for a device.
    pub(super) fn cut_off(&mut self, now: Instant, id: DeviceIdx, is_cut_off: bool) {
        if let Some(Open { recorder, .. }) = &mut self.open {
            recorder.record_cut_off(now, id, is_cut_off);
        }
    }

    /// A device loses its power at `now`.
    pub(super) fn boot_ended(&mut self, plan: &Plan, client: &Client, now: Instant) {
        if let Some(Open { layout, boots, .. }) = &mut self.open {
            boots.add(plan, layout, boot_of(client, now));
        }
    }

    /// Where a device's event goes.
    pub(super) fn device_event(&mut self, now: Instant, client: &mut Client, event: &Event) {
        let Some(Open { recorder, .. }) = &mut self.open else {
            return;
        };
        let id = client.device.id();
        recorder.record(now, id, event);
        // The ledger itself knows who is observed.
        match event {
            Event::PoweredOn => self.ledger.booted(id, client.device.boot()),
            Event::Connected { .. } => {
                if let Some(fault) = client.recovering.take() {
                    let fault = fault as usize;
                    recorder.record_recovered(fault, self.clearings[fault], now);
                    #[cfg(test)]
                    self.came_back.push((id, now.since(self.clearings[fault])));
                }
            }
            Event::Sent { op, replayed, .. } => self.ledger.sent(id, op, *replayed),
            Event::Retransmitted(op) | Event::ReleasedAgain(op) => {
                self.ledger.retransmitted(id, op)
            }
            Event::Acked { op, .. } | Event::LateAck(op) => self.ledger.acked(id, op),
            Event::UnexpectedAck
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

    /// Where an observer's event goes.
    pub(super) fn observer_event(
        &mut self,
        now: Instant,
        watch: &mut Watch,
        event: observer::Event,
    ) {
        let devices = watch.observer.devices();
        match event {
            observer::Event::Armed => watch.armed = true,
            observer::Event::Seen(stamp) => {
                if let Sighting::First { replayed } = self.ledger.seen(&stamp, now)
                    && let Some(Open { recorder, .. }) = &mut self.open
                {
                    recorder.record_seen(now, stamp.intended, replayed);
                    recorder.record_sample(now, stamp.device, stamp.intended);
                }
            }
            observer::Event::WillFired(device) => self.ledger.will_fired(device),
            observer::Event::WillRedelivered => self.ledger.will_redelivered(),
            observer::Event::Corrupt => self.ledger.corrupt(),
            observer::Event::Foreign => self.ledger.foreign(),
            observer::Event::Stored => self.ledger.stored(),
            observer::Event::GapBegan => self.ledger.gap_began(devices),
            observer::Event::GapEnded { session_present } => {
                self.ledger.gap_ended(devices, session_present);
            }
            observer::Event::Failed(cause) => {
                let example = devices.first().copied().unwrap_or(0);
                self.error(now, example, ErrorKind::Observer(cause));
            }
            // The reference backend grants every exact topic as asked for.
            observer::Event::Downgraded | observer::Event::SubscribeRefused => {}
        }
    }

    /// An error that no event of a device tells of; `example` is a device concerned.
    pub(super) fn error(&mut self, now: Instant, example: DeviceIdx, kind: ErrorKind) {
        if let Some(Open { recorder, .. }) = &mut self.open {
            recorder.record_error(now, example, kind);
        }
    }

    /// A device was not connected when a fault cleared.
    pub(super) fn affected(&mut self, fault: usize) {
        if let Some(Open { recorder, .. }) = &mut self.open {
            recorder.record_affected(fault);
        }
    }

    /// See [`crate::device::Device::glance`].
    pub(super) fn glance(&self, device: DeviceIdx, depth: u8) -> u64 {
        self.ledger.glance(device, depth)
    }

    /// Whether nothing waits or is in flight, and every acknowledged operation was seen.
    pub(super) fn is_drained(&self) -> bool {
        let open = self.open.as_ref();
        self.ledger.is_settled() && open.is_none_or(|open| open.recorder.open_operations() == 0)
    }

    /// A second of the run has ended.
    pub(super) fn end_second(&mut self, now: Instant) -> Option<Snapshot> {
        let Open { recorder, .. } = self.open.as_mut()?;
        let second = self.seconds;
        self.seconds += 1;
        Some(recorder.take_snapshot(now, second, ProcessGauges::default()))
    }

    /// Closes the books at `now`: totals, and the rest of the series.
    pub(super) fn close(
        &mut self,
        plan: &Plan,
        clients: &[Client],
        end: Instant,
        now: Instant,
    ) -> (Totals, Option<Snapshot>) {
        let delivery = self.ledger.finish(now);
        let totals = match &mut self.open {
            Some(Open {
                recorder,
                layout,
                boots,
            }) => {
                let audit = audit(plan, layout, boots.clone(), clients, end);
                Totals {
                    wills: self.ledger.wills(),
                    ..recorder.totals(now, &audit, delivery)
                }
            }
            None => Totals::default(),
        };
        (totals, self.end_second(now))
    }
}

/// The present boot of a device, if it ended at `to`.
const fn boot_of(client: &Client, to: Instant) -> Boot {
    Boot {
        device: client.device.id(),
        boot: client.device.boot(),
        from: client.power_on,
        to,
    }
}

fn audit(
    plan: &Plan,
    layout: &Layout,
    mut boots: Boots,
    clients: &[Client],
    end: Instant,
) -> Audit {
    let empty = vec![vec![0; layout.phases()]; layout.streams];
    let (mut waiting, mut in_flight) = (empty.clone(), empty);
    for client in clients.iter().filter(|c| !c.power_on.is_never()) {
        boots.add(plan, layout, boot_of(client, end));
        count(layout, &client.device.waiting(), &mut waiting);
        count(layout, &client.device.in_flight(), &mut in_flight);
    }
    Audit {
        planned: boots.into_planned(),
        waiting,
        in_flight,
    }
}

fn count(layout: &Layout, operations: &[Operation], counts: &mut [Vec<u64>]) {
    for op in operations {
        counts[usize::from(op.stream)][layout.phase_of(op.intended)] += 1;
    }
}

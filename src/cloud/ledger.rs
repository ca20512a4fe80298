//! The delivery ledger: exact in O(1) memory per stream, kept beside the devices in the worker that
//! owns them. Two 256-bit windows per stream, acked and seen; a seq is judged when it leaves the
//! window or after the drain.
//!
//! The window covers the last 256 sequence numbers up to the highest one sent. What it cannot tell
//! is never guessed: a sighting or a PUBACK below the window, or of an earlier boot, is
//! `unresolved`; if its stream has a loss on record, that loss may have been this very message, so
//! it is taken back. Both make the delivery objective inconclusive, not failed.
//!
//! An observer's gap: acks that come in it, and operations written but not acknowledged at its end,
//! are `unverified` if they are never seen, because the broker may have routed them while nobody
//! listened (a kept session's queue may overflow); so is what leaves the window in it. If the
//! session is gone, so is whatever was acknowledged and not seen by then. A session that was kept
//! may deliver again what had been seen already, so one further sighting of such a message is
//! `redelivered`, and no duplicate.
//!
//! QoS 2 promises exactly once on the whole way: a second sighting is a duplicate, whatever the device
//! wrote again and whenever the observer was away (unless the target granted the observer less).
//!
//! A run that ends while first sightings still come in (the drain reached its limit) has not waited
//! for the rest: what is acknowledged and not seen by then is `unresolved`, not lost.
//!
//! QoS 0 has no acknowledgement, so it yields a rate (`seen` of sent, the rest `undelivered`) and
//! never a loss.

mod stream;
mod wills;
mod window;

use crate::device::stamp::Stamp;
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::books::{DeliveryCounts, WillCounts};
use crate::stats::event::Operation;
use crate::time::{Duration, Instant};
use stream::{Stream, Tally};
use wills::Wills;

/// Sightings are still coming if the last first one is younger than this at the end: as long as a
/// drain has to be idle to be over.
const STILL_COMING: Duration = Duration::from_secs(5);

/// Judges the telemetry of one worker's observed devices.
///
/// Two things it takes on trust: that every seq below the highest one sent was sent if a payload of
/// ours carries it (a skipped one that is seen counts as `recovered`), and that `undelivered` is
/// what remains of the sent operations once all others have a fate.
#[derive(Debug)]
pub struct Ledger {
    tally: Tally,
    /// By device; devices that are not observed have no streams.
    entries: Vec<Entry>,
    /// `entries[i]` is the device `first + i * stride`.
    first: DeviceIdx,
    stride: u32,
    streams: Vec<Stream>,
    /// The last first sighting.
    last_first: Option<Instant>,
    /// `None` if no objective asks.
    wills: Option<Wills>,
}

/// Where the streams of a device are kept.
#[derive(Copy, Clone, Debug, Default)]
struct Entry {
    /// Index into `Ledger::streams`.
    at: u32,
    /// Index into `Plan::streams`.
    first_stream: u16,
    /// Number of streams, 0 if the device is not observed.
    streams: u16,
}

/// What a sighting was.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// First time.
    First {
        /// It is an operation that was replayed (waited for a connection or retransmitted).
        replayed: bool,
    },
    /// Seen before, or no longer in the window.
    Repeated,
    /// Not an operation of ours.
    Unknown,
}

impl Ledger {
    /// A ledger for the devices in `owned` that the plan observes.
    pub fn new(plan: &Plan, owned: &[DeviceIdx]) -> Self {
        let first = owned.iter().copied().min().unwrap_or(0);
        let last = owned.iter().copied().max().unwrap_or(0);
        // Device i belongs to worker i mod W, so the common divisor of the distances is W and the
        // table has no holes; any other set of devices only costs holes.
        let stride = owned.iter().fold(0, |d, i| gcd(d, i - first)).max(1);
        let slots = if owned.is_empty() {
            0
        } else {
            (last - first) / stride + 1
        };
        let mut entries = vec![Entry::default(); slots as usize];
        let mut streams = Vec::new();
        for device in owned.iter().copied().filter(|d| plan.observed(*d)) {
            let range = plan.cohorts[plan.cohort_of(device)].streams.clone();
            let index = |i: usize| u16::try_from(i).expect("an operation's stream is a u16");
            entries[((device - first) / stride) as usize] = Entry {
                at: u32::try_from(streams.len()).expect("fewer streams than fit in memory"),
                first_stream: index(range.start),
                streams: index(range.len()),
            };
            streams.extend(plan.streams[range].iter().map(|s| Stream::new(s.qos)));
        }
        streams.shrink_to_fit();
        Self {
            tally: Tally::default(),
            entries,
            first,
            stride,
            streams,
            last_first: None,
            wills: Wills::new(plan, owned),
        }
    }

    /// A device booted: its streams' seqs start again from 0. Whatever the old boot left is judged.
    pub fn booted(&mut self, device: DeviceIdx, boot: u16) {
        let tally = &mut self.tally;
        let range = range_of(&self.entries, self.first, self.stride, device);
        for stream in &mut self.streams[range] {
            stream.booted(boot, tally);
        }
    }

    /// First write of an operation.
    pub fn sent(&mut self, device: DeviceIdx, op: &Operation, replayed: bool) {
        if let Some((stream, tally)) = self.stream(device, op.stream) {
            stream.sent(op.seq, replayed, tally);
        }
    }

    /// A further write of it, or, at QoS 2, of its PUBREL: its first sighting is a replayed one, and
    /// at QoS 1 a duplicate at the observer is now explained.
    pub fn retransmitted(&mut self, device: DeviceIdx, op: &Operation) {
        if let Some((stream, _)) = self.stream(device, op.stream) {
            stream.retransmitted(op.seq);
        }
    }

    /// Its PUBACK or PUBCOMP (a late one too).
    pub fn acked(&mut self, device: DeviceIdx, op: &Operation) {
        if let Some((stream, tally)) = self.stream(device, op.stream) {
            stream.acked(op.seq, tally);
        }
    }

    /// An observer saw it at `now`.
    pub fn seen(&mut self, stamp: &Stamp, now: Instant) -> Sighting {
        let Some((stream, tally)) = self.stream(stamp.device, stamp.stream) else {
            self.foreign();
            return Sighting::Unknown;
        };
        let late_before = tally.counts.unresolved;
        let sighting = stream.seen(stamp.boot, stamp.seq, tally);
        // One below the window may be a first one, too.
        let is_late = tally.counts.unresolved > late_before;
        if is_late || matches!(sighting, Sighting::First { .. }) {
            self.last_first = Some(now);
        }
        sighting
    }

    /// Reads what an event of a device will need and nothing more: where its streams are (`depth` 0)
    /// or the streams. See [`crate::device::Device::glance`].
    pub fn glance(&self, device: DeviceIdx, depth: u8) -> u64 {
        let Some(entry) = entry_of(&self.entries, self.first, self.stride, device) else {
            return 0;
        };
        let at = entry.at as usize;
        let streams = match depth {
            0 => 0,
            _ => usize::from(entry.streams),
        };
        let streams = self.streams[at..at + streams].iter();
        streams.fold(u64::from(entry.at), |all, stream| all ^ stream.glance())
    }

    /// An observer saw a payload without a stamp of ours.
    pub fn corrupt(&mut self) {
        self.tally.counts.corrupt += 1;
    }

    /// An observer saw a message of another run.
    pub fn foreign(&mut self) {
        self.tally.counts.foreign += 1;
    }

    /// The target grants the observer of these devices less than the QoS 2 it asked for.
    pub fn downgraded(&mut self, devices: &[DeviceIdx]) {
        for device in devices {
            let range = range_of(&self.entries, self.first, self.stride, *device);
            self.streams[range].iter_mut().for_each(Stream::downgraded);
        }
    }

    /// An observer got a message that the target had stored before, for its new subscription.
    pub fn stored(&mut self) {
        self.tally.counts.stored += 1;
    }

    /// An observer saw a will of `device`.
    pub fn will_fired(&mut self, device: DeviceIdx) {
        if let Some(wills) = &mut self.wills {
            wills.fired(device);
        }
    }

    /// An observer got a will again that it had seen: no further firing.
    pub const fn will_redelivered(&mut self) {
        if let Some(wills) = &mut self.wills {
            wills.redelivered();
        }
    }

    /// Wills so far; `None` if no objective asks.
    pub fn wills(&self) -> Option<WillCounts> {
        self.wills.as_ref().map(Wills::counts)
    }

    /// The observer of these devices stopped receiving: acks from now on are in a gap.
    pub fn gap_began(&mut self, devices: &[DeviceIdx]) {
        if let Some(wills) = &mut self.wills {
            wills.gap_began(devices);
        }
        for device in devices {
            let range = range_of(&self.entries, self.first, self.stride, *device);
            self.streams[range].iter_mut().for_each(Stream::gap_began);
        }
    }

    /// It receives again. Without `session_present`, everything acked and not yet seen is unverified.
    pub fn gap_ended(&mut self, devices: &[DeviceIdx], session_present: bool) {
        let tally = &mut self.tally;
        for device in devices {
            let range = range_of(&self.entries, self.first, self.stride, *device);
            for stream in &mut self.streams[range] {
                stream.gap_ended(session_present, tally);
            }
        }
    }

    /// Whether every acked operation that can still be seen has been (the drain is over for the
    /// ledger). O(1).
    pub const fn is_settled(&self) -> bool {
        self.tally.pending == 0
    }

    /// Judges all that is left at `now`, the end of the drain, and gives the counts. The last call
    /// of a run.
    pub fn finish(&mut self, now: Instant) -> DeliveryCounts {
        let still_coming = self
            .last_first
            .is_some_and(|last| now.since(last) < STILL_COMING);
        for stream in &mut self.streams {
            if still_coming {
                stream.give_up(&mut self.tally);
            }
            stream.finish(&mut self.tally);
        }
        self.tally.close()
    }

    fn stream(&mut self, device: DeviceIdx, stream: u16) -> Option<(&mut Stream, &mut Tally)> {
        let entry = entry_of(&self.entries, self.first, self.stride, device)?;
        let offset = stream.checked_sub(entry.first_stream)?;
        if offset >= entry.streams {
            return None;
        }
        let at = entry.at as usize + usize::from(offset);
        Some((&mut self.streams[at], &mut self.tally))
    }
}

fn entry_of(entries: &[Entry], first: u32, stride: u32, device: DeviceIdx) -> Option<Entry> {
    let distance = device.checked_sub(first)?;
    if !distance.is_multiple_of(stride) {
        return None;
    }
    entries.get((distance / stride) as usize).copied()
}

/// The streams of `device`, empty if it is not observed here.
fn range_of(
    entries: &[Entry],
    first: u32,
    stride: u32,
    device: DeviceIdx,
) -> std::ops::Range<usize> {
    let entry = entry_of(entries, first, stride, device).unwrap_or_default();
    let at = entry.at as usize;
    at..at + usize::from(entry.streams)
}

const fn gcd(a: u32, b: u32) -> u32 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests;

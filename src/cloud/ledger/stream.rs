//! One stream's part of the ledger: windows and what is judged from them.

use super::Sighting;
use super::window::{Bits, WINDOW};
use crate::mqtt::packet::QoS;
use crate::stats::books::DeliveryCounts;
use std::ops::Range;

/// What all streams of a ledger add up to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// What is judged so far; `undelivered` only by [`Tally::close`].
    pub(super) counts: DeliveryCounts,
    /// Acknowledged, not seen, not judged, and not known to be gone.
    pub(super) pending: u64,
    /// Operations sent.
    sent: u64,
    /// Of those, judged to be anything but undelivered.
    decided: u64,
}

impl Tally {
    /// The counts, once everything is judged.
    pub(super) fn close(&mut self) -> DeliveryCounts {
        self.counts.undelivered = self.sent.saturating_sub(self.decided);
        self.counts
    }
}

/// The state of one stream of one device.
#[derive(Debug)]
pub(super) struct Stream {
    /// PUBACK or PUBCOMP received.
    acked: Bits,
    /// Seen by the observer.
    seen: Bits,
    /// Only while a seq in the window needs one.
    marks: Option<Box<Marks>>,
    /// One above the highest seq sent; the window is the 256 seqs below.
    head: u32,
    /// One above the highest seq seen.
    seen_top: u32,
    /// Losses on record that a late arrival could still explain.
    lost: u32,
    /// Of those, the ones that no later seq of their boot had been seen before: the sightings may be
    /// more than a window behind.
    behind: u32,
    /// The boot that the seqs belong to.
    boot: u16,
    /// The observer does not receive.
    in_gap: bool,
    /// Operations are acknowledged at all (QoS 1 and 2).
    acknowledged: bool,
    /// QoS 2: no retransmission of the device can explain a second sighting.
    exactly_once: bool,
    /// The observer's session may deliver again after a gap what was seen before it: QoS 1, or QoS 2
    /// that the target does not grant to observers.
    redelivers: bool,
}

/// What is rarely true of a seq: after reconnects and in an observer's gap. Allocated when the
/// first is needed and freed with the last, so that it is exact per seq and still costs nothing in
/// steady state.
#[derive(Debug, Default)]
struct Marks {
    /// Its first sighting counts as replayed.
    replayed: Bits,
    /// A further sighting is explained by a retransmission of the device.
    explained: Bits,
    /// The observer's session may deliver it once more: it was seen before the observer's gap.
    redeliverable: Bits,
    /// Unverified if never seen.
    unsure: Bits,
    /// Of those, known to be gone with the observer's session: nothing to wait for.
    gone: Bits,
}

impl Marks {
    const fn clear(&mut self, seq: u32) {
        self.replayed.clear(seq);
        self.explained.clear(seq);
        self.redeliverable.clear(seq);
        self.unsure.clear(seq);
        self.gone.clear(seq);
    }

    const fn is_empty(&self) -> bool {
        self.replayed.is_empty()
            && self.explained.is_empty()
            && self.redeliverable.is_empty()
            && self.unsure.is_empty()
            && self.gone.is_empty()
    }
}

impl Stream {
    /// A stream of a device that has not booted.
    pub(super) fn new(qos: QoS) -> Self {
        Self {
            acked: Bits::default(),
            seen: Bits::default(),
            marks: None,
            head: 0,
            seen_top: 0,
            lost: 0,
            behind: 0,
            boot: 0,
            in_gap: false,
            acknowledged: qos != QoS::AtMostOnce,
            exactly_once: qos == QoS::ExactlyOnce,
            redelivers: qos != QoS::ExactlyOnce,
        }
    }

    /// See [`super::Ledger::glance`]: a word of each of its cache lines.
    pub(super) const fn glance(&self) -> u64 {
        self.acked.word(self.head) ^ self.seen.word(self.head) ^ self.head as u64
    }

    /// Judges the old boot and starts anew.
    pub(super) fn booted(&mut self, boot: u16, tally: &mut Tally) {
        self.finish(tally);
        self.head = 0;
        self.seen_top = 0;
        self.boot = boot;
    }

    /// First write of `seq`.
    pub(super) fn sent(&mut self, seq: u32, replayed: bool, tally: &mut Tally) {
        tally.sent += 1;
        if seq >= self.head {
            self.advance(seq + 1, tally);
        }
        if !self.window().contains(&seq) {
            // Overtaken by more than a window: its fate cannot be followed.
            tally.decided += 1;
            tally.counts.unresolved += 1;
        } else if replayed {
            self.marks().replayed.set(seq);
        }
    }

    /// A further write of `seq`, or of its PUBREL.
    pub(super) fn retransmitted(&mut self, seq: u32) {
        if !self.window().contains(&seq) || (self.exactly_once && self.seen.get(seq)) {
            return;
        }
        let exactly_once = self.exactly_once;
        let marks = self.marks();
        marks.replayed.set(seq);
        if !exactly_once {
            marks.explained.set(seq);
        }
    }

    /// The observer's session delivers at least once, whatever was asked for.
    pub(super) const fn downgraded(&mut self) {
        self.redelivers = true;
    }

    /// The PUBACK or PUBCOMP of `seq`.
    pub(super) fn acked(&mut self, seq: u32, tally: &mut Tally) {
        if !self.window().contains(&seq) {
            tally.counts.unresolved += 1;
            return;
        }
        if !self.acked.set(seq) || self.seen.get(seq) {
            return;
        }
        if !self.is_gone(seq) {
            tally.pending += 1;
        }
        if self.in_gap {
            self.marks().unsure.set(seq);
        }
    }

    /// The observer saw `seq` of `boot`.
    pub(super) fn seen(&mut self, boot: u16, seq: u32, tally: &mut Tally) -> Sighting {
        if boot > self.boot || (boot == self.boot && seq >= self.head) {
            tally.counts.foreign += 1;
            return Sighting::Unknown;
        }
        if boot < self.boot || !self.window().contains(&seq) {
            self.late(tally);
            return Sighting::Repeated;
        }
        if !self.seen.set(seq) {
            self.repeated(seq, &mut tally.counts);
            return Sighting::Repeated;
        }
        tally.counts.seen += 1;
        if seq < self.seen_top {
            tally.counts.reordered += 1;
        } else {
            self.seen_top = seq + 1;
        }
        if self.acked.get(seq) && !self.is_gone(seq) {
            tally.pending -= 1;
        }
        let replayed = self.take_replayed(seq);
        Sighting::First { replayed }
    }

    /// The observer stopped receiving.
    pub(super) const fn gap_began(&mut self) {
        self.in_gap = true;
    }

    /// The observer receives again, or (`session_present` false) never will what it missed.
    pub(super) fn gap_ended(&mut self, session_present: bool, tally: &mut Tally) {
        self.in_gap = false;
        for seq in self.window() {
            let (acked, seen) = (self.acked.get(seq), self.seen.get(seq));
            if seen {
                if session_present {
                    if self.redelivers {
                        self.marks().redeliverable.set(seq);
                    }
                } else if let Some(marks) = &mut self.marks {
                    marks.redeliverable.clear(seq);
                }
            } else if self.acknowledged && !session_present {
                let marks = self.marks();
                marks.unsure.set(seq);
                if marks.gone.set(seq) && acked {
                    tally.pending -= 1;
                }
            } else if self.acknowledged && !acked {
                self.marks().unsure.set(seq);
            }
        }
    }

    /// The run ends while sightings are still coming: what is acknowledged and not seen, and what
    /// was judged lost before anything later was seen, gets no verdict.
    pub(super) fn give_up(&mut self, tally: &mut Tally) {
        if self.in_gap {
            self.gap_ended(false, tally);
            self.in_gap = true;
        }
        for seq in self.window() {
            let unsure = self.marks.as_ref().is_some_and(|m| m.unsure.get(seq));
            if self.acked.get(seq) && !self.seen.get(seq) && !unsure {
                tally.pending -= 1;
                tally.decided += 1;
                tally.counts.unresolved += 1;
                self.acked.clear(seq);
            }
        }
        let behind = std::mem::take(&mut self.behind).min(self.lost);
        self.lost -= behind;
        tally.counts.lost -= u64::from(behind);
        tally.counts.verified_acks -= u64::from(behind);
        tally.counts.unresolved += u64::from(behind);
    }

    /// Judges everything in the window.
    pub(super) fn finish(&mut self, tally: &mut Tally) {
        if self.in_gap {
            self.gap_ended(false, tally);
            self.in_gap = true;
        }
        for seq in self.window() {
            self.judge(seq, tally);
        }
        self.marks = None;
    }

    /// The current boot.
    #[cfg(test)]
    pub(super) const fn boot(&self) -> u16 {
        self.boot
    }

    /// Whether it holds marks.
    #[cfg(test)]
    pub(super) const fn is_marked(&self) -> bool {
        self.marks.is_some()
    }

    /// The seqs in the window.
    const fn window(&self) -> Range<u32> {
        self.head.saturating_sub(WINDOW)..self.head
    }

    fn marks(&mut self) -> &mut Marks {
        self.marks.get_or_insert_default()
    }

    /// Whether the first sighting of `seq` counts as replayed; the mark has done its work then. After
    /// an outage a whole fleet has such marks.
    fn take_replayed(&mut self, seq: u32) -> bool {
        let Some(marks) = &mut self.marks else {
            return false;
        };
        let replayed = marks.replayed.get(seq);
        marks.replayed.clear(seq);
        if marks.is_empty() {
            self.marks = None;
        }
        replayed
    }

    fn is_gone(&self, seq: u32) -> bool {
        self.marks.as_ref().is_some_and(|m| m.gone.get(seq))
    }

    /// Moves the window up to `head` and judges what leaves it.
    fn advance(&mut self, head: u32, tally: &mut Tally) {
        let old = self.window();
        self.head = head;
        let leaving = old.start..self.window().start.min(old.end);
        if leaving.is_empty() {
            return;
        }
        for seq in leaving {
            self.judge(seq, tally);
        }
        if self.marks.as_ref().is_some_and(|m| m.is_empty()) {
            self.marks = None;
        }
    }

    /// Decides the fate of `seq` and forgets it.
    fn judge(&mut self, seq: u32, tally: &mut Tally) {
        let counts = &mut tally.counts;
        match (self.acked.get(seq), self.seen.get(seq)) {
            (true, true) => {
                tally.decided += 1;
                counts.verified_acks += 1;
            }
            (true, false) => {
                tally.decided += 1;
                // In a gap it may lie in the observer's dead connection or its kept session.
                let marks = self.marks.as_ref();
                if self.in_gap || marks.is_some_and(|m| m.unsure.get(seq)) {
                    counts.unverified += 1;
                } else {
                    counts.verified_acks += 1;
                    counts.lost += 1;
                    self.lost += 1;
                    self.behind += u32::from(seq >= self.seen_top);
                }
                if !self.is_gone(seq) {
                    tally.pending -= 1;
                }
            }
            (false, true) => {
                tally.decided += 1;
                counts.recovered += u64::from(self.acknowledged);
            }
            (false, false) => {}
        }
        self.acked.clear(seq);
        self.seen.clear(seq);
        if let Some(marks) = &mut self.marks {
            marks.clear(seq);
        }
    }

    /// `seq` was seen again. A retransmission is the better explanation where both could be: only
    /// what was under way is written again, while a session may deliver anything once more.
    fn repeated(&mut self, seq: u32, counts: &mut DeliveryCounts) {
        let Some(marks) = &mut self.marks else {
            counts.duplicated += 1;
            return;
        };
        if marks.explained.get(seq) {
            counts.duplicated_explained += 1;
        } else if marks.redeliverable.get(seq) {
            // Once per gap: a resumed session delivers again only once.
            marks.redeliverable.clear(seq);
            counts.redelivered += 1;
        } else {
            counts.duplicated += 1;
        }
    }

    /// A message came after its seq was judged, or is a duplicate of such a one.
    const fn late(&mut self, tally: &mut Tally) {
        tally.counts.unresolved += 1;
        if self.lost > 0 {
            self.lost -= 1;
            self.behind = self.behind.saturating_sub(1);
            tally.counts.lost -= 1;
            tally.counts.verified_acks -= 1;
        }
    }
}

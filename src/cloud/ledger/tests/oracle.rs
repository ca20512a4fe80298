//! The ledger against an oracle that keeps everything, over random histories.

use super::*;
use crate::rng::{Purpose, hash};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One step of a random history; offsets count back from the highest seq sent.
#[derive(Copy, Clone, Debug)]
enum Step {
    /// Sends the seq after skipping some.
    Send {
        skip: u32,
        replayed: bool,
    },
    Ack(u32),
    See(u32),
    Retransmit(u32),
    GapBegan,
    GapEnded(bool),
    Boot,
}

/// What the oracle keeps of an operation: everything.
#[derive(Copy, Clone, Debug, Default)]
struct Fate {
    acked: bool,
    sightings: u32,
    explained: bool,
    redeliverable: bool,
    replayed: bool,
    unsure: bool,
}

/// Keeps every operation for ever and counts at the end.
#[derive(Debug, Default)]
struct Oracle {
    exactly_once: bool,
    boot: u16,
    head: u32,
    highest_seen: Option<u32>,
    in_gap: bool,
    fates: BTreeMap<(u16, u32), Fate>,
    counts: DeliveryCounts,
}

impl Oracle {
    /// What can still arrive: a displacement below the window is the premise of exactness.
    fn current(&mut self) -> impl Iterator<Item = &mut Fate> {
        let low = self.head.saturating_sub(window::WINDOW);
        self.fates
            .range_mut((self.boot, low)..)
            .map(|(_, fate)| fate)
    }

    fn fate(&mut self, seq: u32) -> &mut Fate {
        self.fates.get_mut(&(self.boot, seq)).expect("sent before")
    }

    /// What a sighting must be called.
    fn see(&mut self, seq: u32) -> Sighting {
        let fate = self.fate(seq);
        fate.sightings += 1;
        if fate.sightings > 1 {
            let redelivered = fate.redeliverable && !fate.explained;
            fate.redeliverable &= !redelivered;
            let explained = fate.explained;
            let count = match (explained, redelivered) {
                (true, _) => &mut self.counts.duplicated_explained,
                (false, true) => &mut self.counts.redelivered,
                (false, false) => &mut self.counts.duplicated,
            };
            *count += 1;
            return Sighting::Repeated;
        }
        let fate = *fate;
        self.counts.seen += 1;
        self.counts.reordered += u64::from(self.highest_seen > Some(seq));
        self.highest_seen = self.highest_seen.max(Some(seq));
        Sighting::First {
            replayed: fate.replayed,
        }
    }

    /// What leaves the window while the observer is away may still lie in its session.
    fn advance(&mut self, head: u32) {
        let low = |head: u32| head.saturating_sub(window::WINDOW);
        let leaving = (self.boot, low(self.head))..(self.boot, low(head));
        for (_, fate) in self.fates.range_mut(leaving) {
            fate.unsure |= self.in_gap && fate.sightings == 0;
        }
        self.head = head;
    }

    fn gap_ended(&mut self, present: bool) {
        self.in_gap = false;
        let exactly_once = self.exactly_once;
        for fate in self.current() {
            fate.unsure |= fate.sightings == 0 && (!present || !fate.acked);
            fate.redeliverable = fate.sightings > 0 && present && !exactly_once;
        }
    }

    fn boot(&mut self) {
        let in_gap = self.in_gap;
        if in_gap {
            self.gap_ended(false);
        }
        self.in_gap = in_gap;
        self.boot += 1;
        self.head = 0;
        self.highest_seen = None;
    }

    fn is_settled(&self) -> bool {
        let mut current = self.fates.range((self.boot, 0)..);
        current.all(|(_, f)| !f.acked || f.sightings > 0)
    }

    fn finish(mut self) -> DeliveryCounts {
        if self.in_gap {
            self.gap_ended(false);
        }
        for fate in self.fates.values() {
            let count = match (fate.acked, fate.sightings > 0) {
                (true, true) => &mut self.counts.verified_acks,
                (true, false) if fate.unsure => &mut self.counts.unverified,
                (true, false) => {
                    self.counts.verified_acks += 1;
                    &mut self.counts.lost
                }
                (false, true) => &mut self.counts.recovered,
                (false, false) => &mut self.counts.undelivered,
            };
            *count += 1;
        }
        self.counts
    }
}

/// The sent operation nearest below `head - back`, within the window.
fn pick(oracle: &Oracle, back: u32) -> Option<u32> {
    let head = oracle.head;
    let low = head.saturating_sub(window::WINDOW);
    let from = (
        oracle.boot,
        low + (255 - back.min(255)).min(head.saturating_sub(low)),
    );
    let mut found = oracle.fates.range(from..(oracle.boot, head));
    found.next().map(|((_, seq), _)| *seq)
}

/// Takes `steps` at `qos` in both; `Err` names the first difference.
fn compare(qos: QoS, steps: impl IntoIterator<Item = Step>) -> Result<(), String> {
    let mut ledger = ledger_at(qos);
    let mut oracle = Oracle {
        boot: 1,
        exactly_once: qos == QoS::ExactlyOnce,
        ..Oracle::default()
    };
    let mut gone_before = false;
    for step in steps {
        match step {
            Step::Send { skip, replayed } => {
                let seq = oracle.head + skip;
                oracle.advance(seq + 1);
                oracle.fates.insert(
                    (oracle.boot, seq),
                    Fate {
                        replayed,
                        ..Fate::default()
                    },
                );
                ledger.sent(7, &op(seq), replayed);
            }
            Step::Ack(back) => {
                if let Some(seq) = pick(&oracle, back) {
                    let in_gap = oracle.in_gap;
                    let fate = oracle.fate(seq);
                    fate.unsure |= in_gap && !fate.acked && fate.sightings == 0;
                    fate.acked = true;
                    ledger.acked(7, &op(seq));
                }
            }
            Step::See(back) => {
                if let Some(seq) = pick(&oracle, back) {
                    let told = ledger.seen(
                        &Stamp {
                            boot: oracle.boot,
                            ..stamp(seq)
                        },
                        Instant::ZERO,
                    );
                    let truth = oracle.see(seq);
                    if told != truth {
                        return Err(format!("seq {seq}: {told:?}, not {truth:?}"));
                    }
                }
            }
            Step::Retransmit(back) => {
                if let Some(seq) = pick(&oracle, back) {
                    let exactly_once = oracle.exactly_once;
                    let fate = oracle.fate(seq);
                    fate.explained = !exactly_once;
                    fate.replayed = true;
                    ledger.retransmitted(7, &op(seq));
                }
            }
            Step::GapBegan => {
                oracle.in_gap = true;
                ledger.gap_began(&[7]);
            }
            Step::GapEnded(present) => {
                oracle.gap_ended(present);
                gone_before |= !present;
                ledger.gap_ended(&[7], present);
            }
            Step::Boot => {
                oracle.boot();
                ledger.booted(7, oracle.boot);
            }
        }
        // Exact while no session was lost and nothing has left the window.
        if oracle.head <= window::WINDOW && !gone_before {
            let (told, truth) = (ledger.is_settled(), oracle.is_settled());
            if told != truth {
                return Err(format!("settled {told}, not {truth}, after {step:?}"));
            }
        }
    }
    let (told, truth) = (ledger.finish(END), oracle.finish());
    if told == truth && ledger.is_settled() {
        Ok(())
    } else {
        Err(format!("{told:?}, not {truth:?}"))
    }
}

/// A step from one draw; weights as a busy stream with trouble would have them.
fn step(draw: u64) -> Step {
    let back = (draw >> 16) as u32 % if draw >> 40 & 3 == 0 { 256 } else { 8 };
    match draw % 1000 {
        0..360 => Step::Send {
            skip: if draw >> 50 & 63 == 0 {
                (draw >> 20) as u32 % 300
            } else {
                0
            },
            replayed: draw >> 45 & 15 == 0,
        },
        360..660 => Step::Ack(back),
        660..960 => Step::See(back),
        960..985 => Step::Retransmit(back),
        985..990 => Step::GapBegan,
        990..994 => Step::GapEnded(true),
        994..998 => Step::GapEnded(false),
        _ => Step::Boot,
    }
}

const fn qos(exactly_once: bool) -> QoS {
    if exactly_once {
        QoS::ExactlyOnce
    } else {
        QoS::AtLeastOnce
    }
}

fn history(seed: u64, length: u64) -> impl Iterator<Item = Step> {
    (0..length).map(move |i| step(hash(seed, 0, Purpose::Payload, i)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn equals_the_oracle(draws in prop::collection::vec(any::<u64>(), 1..600), exactly_once: bool) {
        prop_assert_eq!(compare(qos(exactly_once), draws.into_iter().map(step)), Ok(()));
    }
}

#[test]
fn equals_the_oracle_on_thousands_of_streams() {
    for seed in 0..3_000 {
        let (length, qos) = (50 + seed % 900, qos(seed % 2 == 0));
        assert_eq!(compare(qos, history(seed, length)), Ok(()), "seed {seed}");
    }
}

#[test]
#[ignore = "a million streams take minutes: run in release"]
fn equals_the_oracle_on_a_million_streams() {
    for seed in 0..1_000_000 {
        let (length, qos) = (50 + seed % 900, qos(seed % 2 == 0));
        assert_eq!(compare(qos, history(seed, length)), Ok(()), "seed {seed}");
    }
}

//! Faults of the reference backend that are active now, and the acknowledgements of PUBLISHes
//! (PUBACK, or PUBREC at QoS 2) that one of them holds back.

use super::ConnId;
use crate::mqtt::packet::PacketId;
use crate::rng::{self, Purpose};
use crate::scenario::plan::{BackendFault, DropAck, Lose};
use crate::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// Acknowledgements that `ack_delay` may hold back; beyond it the oldest goes out early.
const DELAYED_MAX: usize = 1_000_000;

/// The faults of a node.
#[derive(Debug)]
pub(super) struct Faults {
    /// By start.
    active: Vec<Active>,
    seed: u64,
    node: u16,
    /// Publishes that a `drop_ack` or `lose` by share has decided on.
    draws: u64,
}

#[derive(Debug)]
struct Active {
    /// Index into the plan's faults.
    index: usize,
    kind: BackendFault,
    /// What a `drop_ack` or `lose` by count has left.
    left: u32,
}

impl Faults {
    pub(super) const fn new(seed: u64, node: u16) -> Self {
        Self {
            active: Vec::new(),
            seed,
            node,
            draws: 0,
        }
    }

    /// A fault begins.
    pub(super) fn start(&mut self, index: usize, kind: BackendFault) {
        let left = match kind {
            BackendFault::DropAck(DropAck::Count(count))
            | BackendFault::Lose(Lose::Count(count)) => count,
            BackendFault::DropAck(DropAck::Share(_))
            | BackendFault::Lose(Lose::Share(_))
            | BackendFault::Restart { .. }
            | BackendFault::Refuse
            | BackendFault::Stall
            | BackendFault::AckDelay(_)
            | BackendFault::PauseAccepting => 0,
        };
        self.active.push(Active { index, kind, left });
    }

    /// A fault clears; what it was, if it was active.
    pub(super) fn clear(&mut self, index: usize) -> Option<BackendFault> {
        let at = self.active.iter().position(|f| f.index == index)?;
        Some(self.active.remove(at).kind)
    }

    /// The node is down.
    pub(super) fn is_down(&self) -> bool {
        self.kinds()
            .any(|kind| matches!(kind, BackendFault::Restart { .. }))
    }

    /// CONNECTs are refused.
    pub(super) fn is_refusing(&self) -> bool {
        self.kinds().any(|kind| kind == BackendFault::Refuse)
    }

    /// The node stands still.
    pub(super) fn is_stalled(&self) -> bool {
        self.kinds().any(|kind| kind == BackendFault::Stall)
    }

    /// The listener accepts nothing.
    pub(super) fn is_paused(&self) -> bool {
        self.kinds()
            .any(|kind| kind == BackendFault::PauseAccepting)
    }

    /// By how much acknowledgements are held back: the longest of the delays.
    pub(super) fn ack_delay(&self) -> Option<Duration> {
        self.kinds()
            .filter_map(|kind| match kind {
                BackendFault::AckDelay(delay) => Some(delay),
                BackendFault::Restart { .. }
                | BackendFault::Refuse
                | BackendFault::Stall
                | BackendFault::DropAck(_)
                | BackendFault::Lose(_)
                | BackendFault::PauseAccepting => None,
            })
            .max()
    }

    /// Whether the acknowledgement of one more publish is dropped. Of several faults the first that drops it
    /// counts it.
    pub(super) fn drops_ack(&mut self) -> bool {
        self.takes(|kind| match kind {
            BackendFault::DropAck(DropAck::Share(share)) => Some(Some(share)),
            BackendFault::DropAck(DropAck::Count(_)) => Some(None),
            BackendFault::Lose(_)
            | BackendFault::Restart { .. }
            | BackendFault::Refuse
            | BackendFault::Stall
            | BackendFault::AckDelay(_)
            | BackendFault::PauseAccepting => None,
        })
    }

    /// Whether one more publish, at QoS 1 or 2 and no retransmission, is lost. Of several faults the
    /// first that loses it counts it.
    pub(super) fn loses(&mut self) -> bool {
        self.takes(|kind| match kind {
            BackendFault::Lose(Lose::Share(share)) => Some(Some(share)),
            BackendFault::Lose(Lose::Count(_)) => Some(None),
            BackendFault::DropAck(_)
            | BackendFault::Restart { .. }
            | BackendFault::Refuse
            | BackendFault::Stall
            | BackendFault::AckDelay(_)
            | BackendFault::PauseAccepting => None,
        })
    }

    /// Whether a fault meant by `share_of` takes one more publish: by its share if it has one, else
    /// while its count lasts.
    fn takes(&mut self, share_of: impl Fn(BackendFault) -> Option<Option<f64>>) -> bool {
        for fault in &mut self.active {
            let taken = match share_of(fault.kind) {
                None => false,
                Some(None) if fault.left > 0 => {
                    fault.left -= 1;
                    true
                }
                Some(None) => false,
                Some(Some(share)) => {
                    self.draws += 1;
                    let node = u64::from(self.node);
                    rng::unit(self.seed, node, Purpose::BackendFault, self.draws) < share
                }
            };
            if taken {
                return true;
            }
        }
        false
    }

    fn kinds(&self) -> impl Iterator<Item = BackendFault> + '_ {
        self.active.iter().map(|f| f.kind)
    }
}

/// How a PUBLISH is acknowledged.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum PublishAck {
    /// At QoS 1.
    PubAck,
    /// At QoS 2.
    PubRec,
}

/// An acknowledgement that is held back.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct DelayedAck {
    at: Instant,
    pub(super) conn: ConnId,
    pub(super) ack: PublishAck,
    pub(super) packet_id: PacketId,
}

/// Acknowledgements that are held back, in the order in which they go out: MQTT wants them in the
/// order of the publishes (4.6.0-2, 4.6.0-3), so none overtakes another.
#[derive(Debug, Default)]
pub(super) struct DelayedAcks {
    queue: VecDeque<DelayedAck>,
}

impl DelayedAcks {
    /// Holds an acknowledgement until `at`; gives one back that must go out now if there are too many.
    pub(super) fn push(
        &mut self,
        at: Instant,
        conn: ConnId,
        ack: PublishAck,
        packet_id: PacketId,
    ) -> Option<DelayedAck> {
        let at = self.queue.back().map_or(at, |last| last.at.max(at));
        self.queue.push_back(DelayedAck {
            at,
            conn,
            ack,
            packet_id,
        });
        if self.queue.len() > DELAYED_MAX {
            return self.queue.pop_front();
        }
        None
    }

    /// The next one that is due.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<DelayedAck> {
        if self.poll_timeout() > now {
            return None;
        }
        self.queue.pop_front()
    }

    /// The next one, due or not: when the last delay clears, all go out.
    pub(super) fn next(&mut self) -> Option<DelayedAck> {
        self.queue.pop_front()
    }

    /// When the next one is due.
    pub(super) fn poll_timeout(&self) -> Instant {
        self.queue.front().map_or(Instant::NEVER, |ack| ack.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_drawn_and_a_count_is_exact() {
        let mut faults = Faults::new(42, 0);
        faults.start(0, BackendFault::DropAck(DropAck::Count(3)));
        assert_eq!((0..10).filter(|_| faults.drops_ack()).count(), 3);
        faults.start(1, BackendFault::DropAck(DropAck::Share(0.01)));
        let dropped = (0..100_000).filter(|_| faults.drops_ack()).count();
        assert!((900..1_100).contains(&dropped), "{dropped}");
        assert!(faults.clear(1).is_some());
        assert!(!faults.drops_ack());
        assert_eq!(faults.clear(1), None);
    }

    #[test]
    fn losing_and_dropping_are_counted_apart() {
        let mut faults = Faults::new(42, 0);
        faults.start(0, BackendFault::DropAck(DropAck::Count(2)));
        faults.start(1, BackendFault::Lose(Lose::Count(3)));
        assert_eq!((0..10).filter(|_| faults.loses()).count(), 3);
        assert_eq!((0..10).filter(|_| faults.drops_ack()).count(), 2);
        faults.start(2, BackendFault::Lose(Lose::Share(0.01)));
        let lost = (0..100_000).filter(|_| faults.loses()).count();
        assert!((900..1_100).contains(&lost), "{lost}");
        faults.clear(2);
        assert!(!faults.loses());
    }

    #[test]
    fn the_longest_delay_holds_and_no_ack_overtakes() {
        let mut faults = Faults::new(1, 0);
        let ms = Duration::from_millis;
        faults.start(0, BackendFault::AckDelay(ms(50)));
        faults.start(1, BackendFault::AckDelay(ms(20)));
        assert_eq!(faults.ack_delay(), Some(ms(50)));
        faults.clear(0);
        assert_eq!(faults.ack_delay(), Some(ms(20)));

        let mut acks = DelayedAcks::default();
        let at = |n| Instant::ZERO.after(ms(n));
        acks.push(at(50), ConnId(1), PublishAck::PubAck, 1);
        acks.push(at(30), ConnId(1), PublishAck::PubRec, 2);
        assert_eq!(acks.poll_timeout(), at(50));
        assert_eq!(acks.next_due(at(49)), None);
        let order: Vec<_> = std::iter::from_fn(|| acks.next_due(at(50)))
            .map(|a| a.packet_id)
            .collect();
        assert_eq!(order, [1, 2]);
    }
}

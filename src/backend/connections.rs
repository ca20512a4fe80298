//! Open connections and their deadlines. A deadline moves with every packet, so each connection
//! keeps one entry in a heap, looked at again only when it comes due (lazy): a packet costs a store.

use super::ConnId;
use super::memory::table_bytes;
use super::routing::Route;
use super::slab::{Index, Slab};
use crate::time::Instant;
use hashbrown::HashTable;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// From an opened connection to its CONNECT.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Stale heap entries that are kept before the heap is swept.
const STALE_MAX: usize = 1_024;

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) state: State,
    /// Seconds, 0 = off; set by CONNECT.
    pub(super) keep_alive_s: u16,
    /// The filter that its latest topic matched to the letter: most clients have one topic.
    pub(super) latest_route: Option<Route>,
    /// When it was opened, or its latest packet came.
    heard: Instant,
    /// Instant of its valid heap entry; entries with another instant are stale.
    armed: Instant,
}

/// How far a connection has come.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No CONNECT yet.
    Opened,
    /// Its CONNECT waits for admission.
    Queued,
    /// Its CONNECT waits for a worker, or is worked on.
    Connecting,
    /// It serves this session (index).
    Serving(Index),
}

/// All open connections of a node.
#[derive(Debug)]
pub(super) struct Connections {
    slab: Slab<Connection>,
    /// Index of `slab`, for look-up only.
    by_id: HashTable<Index>,
    deadlines: BinaryHeap<Reverse<(Instant, Index)>>,
}

impl Connections {
    pub(super) const fn new() -> Self {
        Self {
            slab: Slab::new(),
            by_id: HashTable::new(),
            deadlines: BinaryHeap::new(),
        }
    }

    /// Adds a connection; `None` if there is one with this id.
    pub(super) fn open(&mut self, now: Instant, id: ConnId) -> Option<Index> {
        if self.find(id).is_some() {
            return None;
        }
        let index = self.slab.insert(Connection {
            id,
            state: State::Opened,
            keep_alive_s: 0,
            latest_route: None,
            heard: now,
            armed: Instant::NEVER,
        });
        let slab = &self.slab;
        self.by_id.insert_unique(hash(id), index, |&i| {
            hash(slab.get(i).map_or(ConnId(0), |c| c.id))
        });
        self.arm(index);
        Some(index)
    }

    /// The connection with this id.
    pub(super) fn find(&self, id: ConnId) -> Option<Index> {
        self.by_id
            .find(hash(id), |&i| self.slab.get(i).is_some_and(|c| c.id == id))
            .copied()
    }

    pub(super) fn get(&self, index: Index) -> Option<&Connection> {
        self.slab.get(index)
    }

    /// Its latest topic matched this filter.
    pub(super) fn set_latest_route(&mut self, index: Index, route: Option<Route>) {
        if let Some(connection) = self.slab.get_mut(index) {
            connection.latest_route = route;
        }
    }

    /// Removes a connection.
    pub(super) fn remove(&mut self, index: Index) -> Option<Connection> {
        let id = self.slab.get(index)?.id;
        if let Ok(entry) = self.by_id.find_entry(hash(id), |&i| i == index) {
            entry.remove();
        }
        self.slab.remove(index)
    }

    /// A packet came: its deadline moves.
    pub(super) fn heard(&mut self, now: Instant, index: Index) {
        if let Some(connection) = self.slab.get_mut(index) {
            connection.heard = now;
        }
    }

    /// It comes into another state, which may have a nearer deadline.
    pub(super) fn set_state(&mut self, index: Index, state: State, keep_alive_s: u16) {
        if let Some(connection) = self.slab.get_mut(index) {
            connection.state = state;
            connection.keep_alive_s = keep_alive_s;
            self.arm(index);
        }
    }

    /// A connection whose deadline has passed, which the caller then removes; each once.
    pub(super) fn next_expired(&mut self, now: Instant) -> Option<Index> {
        while let Some(&Reverse((at, index))) = self.deadlines.peek()
            && at <= now
        {
            self.deadlines.pop();
            let Some(connection) = self.slab.get_mut(index).filter(|c| c.armed == at) else {
                continue;
            };
            connection.armed = Instant::NEVER;
            if connection.deadline() <= now {
                return Some(index);
            }
            self.arm(index);
        }
        None
    }

    /// No later than the earliest deadline.
    pub(super) fn poll_timeout(&self) -> Instant {
        self.deadlines
            .peek()
            .map_or(Instant::NEVER, |Reverse((at, _))| *at)
    }

    /// All ids, in index order.
    pub(super) fn ids(&self) -> impl Iterator<Item = ConnId> {
        self.slab.values().map(|c| c.id)
    }

    /// Number of connections.
    pub(super) const fn len(&self) -> usize {
        self.slab.len()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.slab.clear();
        self.by_id.clear();
        self.deadlines.clear();
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.slab.own_bytes()
            + table_bytes(&self.by_id)
            + self.deadlines.capacity() * size_of::<Reverse<(Instant, Index)>>()
    }

    /// Makes sure that a heap entry exists at or before the connection's deadline.
    fn arm(&mut self, index: Index) {
        let Some(connection) = self.slab.get_mut(index) else {
            return;
        };
        let deadline = connection.deadline();
        if deadline >= connection.armed {
            return;
        }
        connection.armed = deadline;
        if self.deadlines.len() >= 2 * self.slab.len() + STALE_MAX {
            self.sweep();
            return;
        }
        if self.deadlines.len() == self.deadlines.capacity() {
            self.deadlines
                .reserve_exact((self.deadlines.len() / 8).max(16));
        }
        self.deadlines.push(Reverse((deadline, index)));
    }

    /// Makes the heap anew from the valid entries.
    fn sweep(&mut self) {
        self.deadlines.clear();
        for index in self.slab.indexes() {
            let armed = self.slab.get(index).map_or(Instant::NEVER, |c| c.armed);
            if !armed.is_never() {
                self.deadlines.push(Reverse((armed, index)));
            }
        }
    }
}

impl Connection {
    fn deadline(&self) -> Instant {
        match self.state {
            State::Opened => self.heard.after(CONNECT_TIMEOUT),
            State::Queued | State::Connecting => Instant::NEVER,
            State::Serving(_) if self.keep_alive_s == 0 => Instant::NEVER,
            // One and a half times the keep-alive (3.1.2.10).
            State::Serving(_) => self
                .heard
                .after_ns(u64::from(self.keep_alive_s) * 1_500_000_000),
        }
    }
}

/// Fibonacci hashing: ids are consecutive numbers of the driver.
pub(super) const fn hash(id: ConnId) -> u64 {
    let h = id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    h ^ (h >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Instant {
        Instant::from_ns(seconds * 1_000_000_000)
    }

    #[test]
    fn a_deadline_moves_with_each_packet_at_the_cost_of_a_store() {
        let mut all = Connections::new();
        let index = all.open(s(0), ConnId(1)).expect("new");
        assert_eq!(all.poll_timeout(), s(10));
        all.set_state(index, State::Serving(0), 4);
        assert_eq!(all.poll_timeout(), s(6), "nearer than the CONNECT timeout");
        all.heard(s(5), index);
        assert_eq!(all.poll_timeout(), s(6), "lazy");
        assert_eq!(all.next_expired(s(6)), None);
        assert_eq!(
            all.poll_timeout(),
            s(10),
            "the stale entry of the CONNECT timeout"
        );
        assert_eq!(all.next_expired(s(10)), None);
        assert_eq!(all.poll_timeout(), s(11));
        assert_eq!(all.next_expired(s(11)), Some(index));
        assert_eq!(all.next_expired(s(11)), None, "each once");
    }

    #[test]
    fn churn_does_not_grow_the_heap() {
        let mut all = Connections::new();
        for id in 0..100_000 {
            let index = all.open(s(0), ConnId(id)).expect("new");
            assert!(all.remove(index).is_some());
        }
        assert!(
            all.deadlines.len() <= STALE_MAX + 2,
            "{}",
            all.deadlines.len()
        );
        assert_eq!((all.len(), all.by_id.len()), (0, 0));
    }

    #[test]
    fn an_id_is_open_once() {
        let mut all = Connections::new();
        let index = all.open(s(0), ConnId(9)).expect("new");
        assert_eq!(all.open(s(0), ConnId(9)), None);
        assert_eq!(all.find(ConnId(9)), Some(index));
        assert_eq!(all.find(ConnId(8)), None);
    }
}

//! Admission: the rate limit of CONNECTs, in front of the work queue. One server with a fixed
//! service rate and a bounded queue: CONNECT n is admitted at max(now, when the server is free).

use super::ConnId;
use crate::mqtt::packet::Connect;
use crate::scenario::plan::GoneClients;
use crate::time::Instant;
use std::collections::VecDeque;

/// The admission queue of a node.
#[derive(Debug)]
pub(super) struct Admission {
    /// Time one CONNECT takes; `None` = none.
    gap_ns: Option<u64>,
    /// CONNECTs that may wait.
    queue_max: usize,
    gone_clients: GoneClients,
    /// When the server is free.
    next_free: Instant,
    queue: VecDeque<(ConnId, Box<Connect>)>,
    /// Of the queue: clients that have left.
    gone: usize,
}

/// What becomes of a CONNECT.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is served now.
    Now(Box<Connect>),
    /// It waits.
    Queued,
    /// It is turned away.
    Full,
}

/// A CONNECT whose turn has come.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) conn: ConnId,
    pub(super) connect: Box<Connect>,
    pub(super) client_has_left: bool,
}

impl Admission {
    /// `rate_per_s` is this node's own.
    pub(super) fn new(rate_per_s: Option<f64>, queue_max: u32, gone_clients: GoneClients) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float cast saturates, and no rate is above 1e9/s"
        )]
        let gap_ns = rate_per_s.map(|rate| (1e9 / rate).round() as u64);
        Self {
            gap_ns,
            queue_max: queue_max as usize,
            gone_clients,
            next_free: Instant::ZERO,
            queue: VecDeque::new(),
            gone: 0,
        }
    }

    /// A CONNECT came.
    pub(super) fn offer(&mut self, now: Instant, conn: ConnId, connect: Box<Connect>) -> Verdict {
        let Some(gap_ns) = self.gap_ns else {
            return Verdict::Now(connect);
        };
        let waiting = match self.gone_clients {
            GoneClients::Skip => self.queue.len() - self.gone,
            GoneClients::Serve => self.queue.len(),
        };
        if waiting == 0 && self.next_free <= now {
            self.next_free = now.after_ns(gap_ns);
            return Verdict::Now(connect);
        }
        if waiting >= self.queue_max {
            return Verdict::Full;
        }
        self.queue.push_back((conn, connect));
        Verdict::Queued
    }

    /// A waiting client left. Unless the gone are served, its CONNECT costs no service, and the queue
    /// is swept when half of it has gone.
    pub(super) fn left(&mut self, is_waiting: impl Fn(ConnId) -> bool) {
        self.gone += 1;
        match self.gone_clients {
            GoneClients::Skip if self.gone * 2 > self.queue.len() => {
                self.queue.retain(|(id, _)| is_waiting(*id));
                self.gone = 0;
            }
            GoneClients::Skip | GoneClients::Serve => {}
        }
    }

    /// The next CONNECT whose turn has come; clients that have left are passed over, or served for
    /// nothing.
    pub(super) fn next_due(
        &mut self,
        now: Instant,
        is_waiting: impl Fn(ConnId) -> bool,
    ) -> Option<Admitted> {
        while self.next_free <= now {
            let (conn, connect) = self.queue.pop_front()?;
            let client_has_left = !is_waiting(conn);
            self.gone -= usize::from(client_has_left);
            match self.gone_clients {
                GoneClients::Skip if client_has_left => continue,
                GoneClients::Skip | GoneClients::Serve => {}
            }
            self.next_free = self.next_free.after_ns(self.gap_ns.unwrap_or(0));
            return Some(Admitted {
                conn,
                connect,
                client_has_left,
            });
        }
        None
    }

    /// The node stood still until `now`: no service was done in the meantime.
    pub(super) fn stood_still(&mut self, now: Instant) {
        self.next_free = self.next_free.max(now);
    }

    /// When the next CONNECT has its turn.
    pub(super) fn poll_timeout(&self) -> Instant {
        if self.queue.is_empty() {
            Instant::NEVER
        } else {
            self.next_free
        }
    }

    /// Forgets all that waits; how many clients did.
    pub(super) fn clear(&mut self) -> u64 {
        let waiting = self.queue.len() - self.gone;
        self.queue = VecDeque::new();
        self.gone = 0;
        self.next_free = Instant::ZERO;
        waiting as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect() -> Box<Connect> {
        Box::new(Connect {
            client_id: "c".into(),
            clean_session: true,
            keep_alive_s: 0,
            will: None,
            username: None,
            password: None,
        })
    }

    const fn ms(ms: u64) -> Instant {
        Instant::from_ns(ms * 1_000_000)
    }

    fn due(admission: &mut Admission, now: Instant, gone: &[u64]) -> Vec<u64> {
        std::iter::from_fn(|| admission.next_due(now, |id| !gone.contains(&id.0)))
            .map(|a| a.conn.0)
            .collect()
    }

    #[test]
    fn connects_are_served_at_the_rate_and_turned_away_beyond_the_queue() {
        let mut admission = Admission::new(Some(100.0), 2, GoneClients::Skip);
        let mut offer = |at, id| admission.offer(at, ConnId(id), connect());
        assert_eq!(offer(ms(0), 0), Verdict::Now(connect()));
        assert_eq!(offer(ms(1), 1), Verdict::Queued);
        assert_eq!(offer(ms(1), 2), Verdict::Queued);
        assert_eq!(offer(ms(2), 3), Verdict::Full);
        assert_eq!(admission.poll_timeout(), ms(10));
        assert_eq!(due(&mut admission, ms(9), &[]), [0; 0]);
        assert_eq!(due(&mut admission, ms(10), &[]), [1]);
        assert_eq!(due(&mut admission, ms(20), &[]), [2]);
        assert!(admission.poll_timeout().is_never());
        assert_eq!(
            admission.offer(ms(29), ConnId(4), connect()),
            Verdict::Queued
        );
        assert_eq!(due(&mut admission, ms(30), &[]), [4]);
    }

    #[test]
    fn no_rate_means_no_waiting() {
        let mut admission = Admission::new(None, 0, GoneClients::Skip);
        for id in 0..100 {
            let verdict = admission.offer(ms(0), ConnId(id), connect());
            assert_eq!(verdict, Verdict::Now(connect()));
        }
    }

    #[test]
    fn those_who_left_cost_no_service_and_no_room() {
        let mut admission = Admission::new(Some(1.0), 3, GoneClients::Skip);
        for id in 0..4 {
            admission.offer(ms(0), ConnId(id), connect());
        }
        admission.left(|id| id.0 != 1);
        assert_eq!(
            admission.offer(ms(1), ConnId(4), connect()),
            Verdict::Queued
        );
        assert_eq!(admission.offer(ms(1), ConnId(5), connect()), Verdict::Full);
        assert_eq!(due(&mut admission, ms(1_000), &[1]), [2]);
        admission.left(|id| ![1, 3].contains(&id.0));
        admission.left(|_| false);
        assert_eq!((admission.queue.len(), admission.gone), (0, 0));
    }

    #[test]
    fn standing_still_saves_up_no_service() {
        let mut admission = Admission::new(Some(1.0), 10, GoneClients::Skip);
        for id in 0..4 {
            admission.offer(ms(0), ConnId(id), connect());
        }
        admission.stood_still(ms(60_000));
        assert_eq!(due(&mut admission, ms(60_000), &[]), [1]);
    }

    #[test]
    fn those_who_left_take_their_turn_if_the_gone_are_served() {
        let mut admission = Admission::new(Some(1.0), 2, GoneClients::Serve);
        for id in 0..3 {
            admission.offer(ms(0), ConnId(id), connect());
        }
        admission.left(|id| id.0 != 1);
        assert_eq!(admission.offer(ms(1), ConnId(3), connect()), Verdict::Full);
        let mut next = |at| {
            let admitted = admission.next_due(at, |id| id.0 != 1);
            admitted.map(|a| (a.conn.0, a.client_has_left))
        };
        assert_eq!(next(ms(1_000)), Some((1, true)));
        assert_eq!(next(ms(1_000)), None, "the turn was used");
        assert_eq!(next(ms(2_000)), Some((2, false)));
        assert_eq!((admission.clear(), admission.gone), (0, 0));
    }
}

//! Reports on their way to the coordinator: a bounded queue between the loop that must never wait
//! and the pipe that may.

use super::control::Report;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use tokio::sync::{Notify, mpsc};

/// Reports that may wait for a coordinator that does not read: at one per second over four minutes
/// of silence, after which it counts as gone.
pub(super) const WAITING_MAX: usize = 256;

/// The queue; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Outgoing(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    queue: RefCell<VecDeque<Report>>,
    closed: Cell<bool>,
    overflowed: Cell<bool>,
    changed: Notify,
}

impl Outgoing {
    /// Appends a report; it is dropped if [`WAITING_MAX`] wait already.
    pub(super) fn push(&self, report: Report) {
        let mut queue = self.0.queue.borrow_mut();
        if queue.len() >= WAITING_MAX {
            self.0.overflowed.set(true);
        } else {
            queue.push_back(report);
        }
        drop(queue);
        self.0.changed.notify_one();
    }

    /// Whether there is room for what may wait elsewhere: the other half is for what may not.
    pub(super) fn has_room(&self) -> bool {
        self.0.queue.borrow().len() < WAITING_MAX / 2
    }

    /// Nothing is appended after this: [`Outgoing::carry`] ends when the queue is empty.
    pub(super) fn close(&self) {
        self.0.closed.set(true);
        self.0.changed.notify_one();
    }

    /// All that waits.
    #[cfg(test)]
    pub(super) fn take_all(&self) -> Vec<Report> {
        self.0.queue.borrow_mut().drain(..).collect()
    }

    /// Carries reports to `reports` until closed and empty, or the coordinator is gone.
    pub(super) async fn carry(self, reports: mpsc::Sender<Report>) {
        loop {
            let next = self.0.queue.borrow_mut().pop_front();
            match next {
                Some(report) => {
                    if reports.send(report).await.is_err() || self.0.overflowed.get() {
                        return;
                    }
                }
                None if self.0.closed.get() => return,
                None => self.0.changed.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn reports_arrive_in_order_and_a_silent_reader_is_given_up() {
        let outgoing = Outgoing::default();
        for _ in 0..WAITING_MAX {
            outgoing.push(Report::Ready);
        }
        outgoing.push(Report::Armed);
        let (sender, mut receiver) = mpsc::channel(1);
        // The one report too many was dropped, and the carrier ends instead of waiting for ever.
        tokio::join!(outgoing.clone().carry(sender), async {
            assert_eq!(receiver.recv().await, Some(Report::Ready));
        });
        let outgoing = Outgoing::default();
        outgoing.push(Report::Ready);
        outgoing.push(Report::Drained(true));
        outgoing.close();
        let (sender, mut receiver) = mpsc::channel(2);
        outgoing.carry(sender).await;
        assert_eq!(receiver.recv().await, Some(Report::Ready));
        assert_eq!(receiver.recv().await, Some(Report::Drained(true)));
        assert_eq!(receiver.recv().await, None);
    }
}

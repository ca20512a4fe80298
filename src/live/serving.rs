//! The tasks around a served backend: accepting, deadlines, deliveries; its start and its end.

use super::clock::Clock;
use super::link;
use super::node::{Change, Node, Shared};
use super::timer::Alarm;
use crate::backend::Backend;
use crate::scenario::plan::Plan;
use crate::stats::recorder::{ErrorCount, ErrorKind};
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use tokio::net::TcpListener;
use tokio::task::{self, JoinHandle};

/// How long nothing is accepted after the process ran out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// A backend that is served. Dropping it closes all connections.
#[derive(Debug)]
pub(super) struct Serving {
    node: Shared,
    tasks: [JoinHandle<()>; 3],
}

impl Serving {
    /// Serves `backend` on `listener`, until the value it gives is stopped or dropped.
    ///
    /// # Errors
    /// If there is no file descriptor left for the timer.
    pub(super) fn start(backend: Backend, listener: TcpListener, clock: Clock) -> io::Result<Self> {
        link::set_nodelay(&listener);
        let alarm = Rc::new(Alarm::new(clock)?);
        let node = Node::new(backend, clock, Rc::clone(&alarm));
        Ok(Self {
            tasks: [
                task::spawn_local(accept_all(Rc::clone(&node), listener)),
                task::spawn_local(drive_deadlines(Rc::clone(&node), alarm)),
                task::spawn_local(flush_deliveries(Rc::clone(&node))),
            ],
            node,
        })
    }

    /// The faults of `plan` on node `node` happen at their instants, counted from `start`.
    pub(super) fn begin_faults(&self, plan: &Plan, node: u16, start: Instant) {
        let mut changes = Vec::new();
        for (index, fault) in plan.faults.iter().enumerate() {
            if let Some(what) = fault.kind.on_node(node, plan.target.nodes()) {
                changes.push((start.after(fault.start), Change::Start(index, what)));
                changes.push((start.after(fault.clear), Change::Clear(index)));
            }
        }
        // Latest first; of one instant, what clears comes before what starts.
        changes.sort_by_key(|(at, change)| {
            (
                std::cmp::Reverse(*at),
                match change {
                    Change::Start(fault, _) => (0, std::cmp::Reverse(*fault)),
                    Change::Clear(fault) => (1, std::cmp::Reverse(*fault)),
                },
            )
        });
        let mut node = self.node.borrow_mut();
        node.faults = changes;
        node.fire_due();
    }

    /// Closes all connections: the backend, the errors seen by the driver, and its own counts.
    pub(super) fn stop(self) -> (Backend, Vec<ErrorCount>, BTreeMap<String, u64>) {
        let mut node = self.node.borrow_mut();
        let backend = node.backend.take().expect("only `stop` takes it, by value");
        let errors = std::mem::take(&mut node.errors).into_values().collect();
        let counts = BTreeMap::from([("driver_accepts_failed".into(), node.accepts_failed)]);
        drop(node);
        (backend, errors, counts)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.node.borrow_mut().close_all();
    }
}

async fn accept_all(node: Shared, listener: TcpListener) {
    loop {
        let accepted = poll_fn(|cx| {
            let mut node = node.borrow_mut();
            if node.accepting {
                listener.poll_accept(cx)
            } else {
                node.acceptor = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await;
        match accepted {
            Ok((stream, _)) => node.borrow_mut().accepted(stream),
            Err(error) => {
                let cause = link::cause_of(&error);
                {
                    let mut node = node.borrow_mut();
                    let now = node.clock.now();
                    node.accepts_failed += 1;
                    node.count(ErrorKind::Connection(cause), now);
                }
                // A peer that went before it was accepted costs nothing; without files a loop
                // would be hot.
                if cause.blames_generator() {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn flush_deliveries(node: Shared) {
    poll_fn(|cx| {
        let mut node = node.borrow_mut();
        node.flush_all();
        node.flusher = Some(cx.waker().clone());
        Poll::Pending
    })
    .await
}

async fn drive_deadlines(node: Shared, alarm: Rc<Alarm>) {
    loop {
        let more = node.borrow_mut().fire_due();
        if more {
            task::yield_now().await;
        } else if alarm.wait().await.is_err() {
            return;
        }
    }
}

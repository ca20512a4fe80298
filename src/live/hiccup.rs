//! The worker's watch over its own loop: how long does what is ready wait for its turn? Deadlines
//! cannot tell, for they are handled between any two connections.

use super::fleet::Shared;
use crate::time::Duration;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(10);

/// The task that records hiccups of the loop, from T0 until the books are closed.
pub(super) async fn watch(fleet: Shared) {
    let clock = fleet.borrow().clock;
    loop {
        tokio::time::sleep(LOOK).await;
        let from = clock.now();
        // The runtime comes back to a task that yields after a look at the sockets, and behind all
        // tasks that were ready before: as late as for a socket that has become readable now.
        tokio::task::yield_now().await;
        fleet.borrow_mut().record_hiccup(from, clock.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::control::Report;
    use crate::live::tests::{fleet_of, plan};
    use std::rc::Rc;

    /// What a busy task does before the next gets its turn.
    const TURN: Duration = Duration::from_millis(5);

    #[test]
    fn a_full_ready_queue_is_lag_though_no_deadline_is_late() {
        let runtime = crate::live::runtime().expect("a test has file descriptors left");
        let lag_us = runtime.block_on(async {
            let (fleet, outgoing) = fleet_of(plan(&[]));
            let clock = fleet.borrow().clock;
            fleet.borrow_mut().begin(clock.now(), |_| true);
            tokio::task::spawn_local(watch(Rc::clone(&fleet)));
            for _ in 0..4 {
                tokio::task::spawn_local(async move {
                    loop {
                        let until = clock.now().after(TURN);
                        while clock.now() < until {
                            std::hint::spin_loop();
                        }
                        tokio::task::yield_now().await;
                    }
                });
            }
            loop {
                tokio::task::yield_now().await;
                fleet.borrow_mut().report_second(clock.now());
                for report in outgoing.take_all() {
                    let Report::Snapshot(frame) = report else {
                        panic!("{report:?}");
                    };
                    if let Some(lag_us) = frame.0.lag_p99_us {
                        return lag_us;
                    }
                }
            }
        });
        assert!(lag_us >= 19_000, "{lag_us} us");
    }
}

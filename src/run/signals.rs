//! The operator's signals: SIGINT and SIGTERM, as a live run and a simulation wait for them.

use super::error::RunError;
use tokio::signal::unix::{SignalKind, signal};

/// SIGINT and SIGTERM as a stream.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, RunError> {
        let on = |kind| {
            signal(kind)
                .map_err(|error| RunError::Internal(format!("cannot listen to signals: {error}")))
        };
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    pub(super) async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
        }
    }

    /// A signal that has come already, if one has.
    pub(super) async fn pending(&mut self) -> Option<i32> {
        tokio::select! {
            biased;
            number = self.next() => Some(number),
            // Once round the runtime's loop, which looks at the signals.
            () = tokio::task::yield_now() => None,
        }
    }
}

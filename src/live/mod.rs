//! The live driver: real sockets, one single-threaded tokio runtime per process, monotonic clock.
//! It turns outputs of actors into system calls and readiness into inputs, and decides nothing.

mod audit;
mod blackhole;
pub mod clock;
pub mod control;
mod devices;
mod fetch;
mod findings;
mod fleet;
mod hiccup;
mod images;
mod link;
mod node;
mod observers;
mod operator;
mod outage;
mod outgoing;
mod port;
mod power;
pub mod process;
mod reader;
mod recording;
mod run_state;
pub mod serve;
mod serving;
mod teardown;
mod timer;
mod transit;
pub mod worker;

pub use fetch::authority_of;
pub use images::are_served;
pub use link::{LISTEN_BACKLOG, listen};

/// The runtime of a worker or backend node: one thread, tasks that need not be `Send`.
///
/// # Errors
/// If the process has no file descriptors left.
pub fn runtime() -> std::io::Result<tokio::runtime::LocalRuntime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
}

#[cfg(test)]
mod tests;

//! A worker process: owns devices and observers, and gives them sockets, timers and time.

use super::control::{Command, Report, Setup};
use tokio::sync::mpsc;

/// Capacity of the channels between a worker and the transport of its coordinator.
pub const CONTROL_QUEUE: usize = 64;

/// Runs a worker until it is `Done`, it fails, or `commands` ends (the coordinator is gone: then it
/// returns at once). To be called inside a current-thread runtime and a `LocalSet`.
pub async fn run(setup: Setup, commands: mpsc::Receiver<Command>, reports: mpsc::Sender<Report>) {
    let _ = (setup, commands, reports);
    todo!("live helper")
}

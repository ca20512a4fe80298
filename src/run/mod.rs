//! Processes and the run directory: preflight, the coordinator, its child processes and the
//! transport between them. The top of the live world; holds no measurement decision.

pub mod backend_command;
pub mod check;
pub mod child;
pub mod children;
pub mod coordinator;
pub mod directory;
pub mod error;
pub mod host;
pub mod live_run;
pub mod preflight;
pub mod progress;
mod record;
pub mod replay;
mod signals;
pub mod simulate;
mod simulation_progress;
pub mod transport;

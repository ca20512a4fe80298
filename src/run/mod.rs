//! What makes a run directory: live runs (preflight, the coordinator, its child processes and the
//! transport between them), simulated runs, and what looks at a scenario before a run or replays one
//! after it. The top of both worlds; holds no measurement decision.

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
pub mod presets;
pub mod progress;
mod record;
pub mod replay;
mod signals;
pub mod simulate;
mod simulation_progress;
pub mod transport;

//! The live driver: real sockets, one single-threaded tokio runtime per process, monotonic clock.
//! It turns outputs of actors into system calls and readiness into inputs, and decides nothing.

pub mod clock;
pub mod control;
pub mod serve;
pub mod worker;

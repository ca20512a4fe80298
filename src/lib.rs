//! fleetstorm: a fleet simulator and load-testing harness for IoT backends.
//!
//! This page is the map. Everything whose behaviour unfolds over time is a plain struct with no
//! I/O, no clock and no async (`Device`, `Backend`, `Observer`); two drivers give it time and I/O.
//!
//! ```text
//! scenario.yaml -> scenario::file -> scenario::plan::Plan -> scenario::timeline
//!                                        |
//!      run (coordinator) --spawns--> live::worker (devices, observers)  <-MQTT->  live::serve (Backend)
//!             |                          |
//!             |<---- stats::Snapshot ----+
//!             v
//!      run directory -> report (judge -> html, junit, markdown, text)
//! ```
//!
//! | floor | modules | job |
//! |---|---|---|
//! | 0 | [`time`], [`rng`] | own instants; draws as pure functions of (seed, device, purpose, index) |
//! | 1 | [`mqtt`], [`stats`] | packet values, codec, client session; histograms, books, series |
//! | 2 | [`scenario`] | YAML file -> checked plan -> timeline |
//! | 3 | [`device`], [`backend`], [`cloud`] | the actors |
//! | 4 | [`sim`], [`live`] | the two drivers: virtual time; sockets |
//! | 5 | [`run`], [`report`] | processes and the run directory; judging and rendering |
//!
//! Imports go down only; `tests/layers.rs` enforces it.

pub mod backend;
pub mod cli;
pub mod cloud;
pub mod device;
pub mod error;
pub mod live;
pub mod mqtt;
pub mod report;
pub mod rng;
pub mod run;
pub mod scenario;
pub mod sim;
pub mod stats;
pub mod time;

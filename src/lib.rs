//! fleetstorm: a fleet simulator and load-testing harness for IoT backends.
//!
//! This page is the map. Everything whose behaviour unfolds over time is a plain struct with no
//! I/O, no clock and no async (`Device`, `Backend`, `Observer`, `Operator`); two drivers give it time and I/O, so
//! a scenario runs over real sockets or in virtual time.
//!
//! ```text
//! scenario.yaml -> scenario::file -> scenario::plan::Plan -> scenario::timeline
//!                                            |
//!                      +---------------------+----------------------+
//!                      v                                            v
//!     run::live_run (coordinator)                              run::simulate
//!                      | starts processes                           |
//!                      v                                            v
//!     live::worker (devices, observers;                     sim::Simulation (devices, observers,
//!                 ^ MQTT       one: the operator)           the operator, a Backend per node:
//!                 v                                         one event queue)
//!     live::serve (Backend, or a broker under test)                 |
//!                      |                                            |
//!                      +--------- stats: a Snapshot a second -------+
//!                                            v
//!                run directory -> report (judge -> html, json, junit, markdown, text)
//! ```
//!
//! What both worlds must do alike is decided on floor 3, where drivers only ask:
//!
//! | law | decided in | carried out by |
//! |---|---|---|
//! | when a packet arrives over a device's access link | [`device::path`] | `live::transit`, `sim::links` |
//! | whom a network outage cuts off, and whose connects it stops | [`device::outage`] | `live::outage`, `sim::outage`; blackholes by `live::blackhole`, `sim::blackhole` |
//! | when devices lose power, get it and have booted | [`scenario::power`], as entries of [`scenario::timeline`] | `live::power`, `sim::outage` |
//! | what a device keeps while it cannot send, and in which order and pace it sends it | [`device`] (`store`, `buffer`) | both, inside `Device` |
//! | how long a device waits for its next attempt | [`device::backoff`] | both |
//! | admission, what work costs, clients that have left | [`backend`] (`admission`, `service`) | both, inside `Backend` |
//! | faults of the reference backend | [`backend`] (`faults`) | both; `pause_accepting` by the listener |
//!
//! Who decides about updates and commands: the operator ([`cloud::operator`], from what it hears; each campaign by
//! [`cloud::campaign`]), and each device about itself ([`device`]: `update`, `command`, `reported`). Live the operator has a worker process
//! of its own (`live::operator`), simulated it is an actor (`sim::desks`).
//!
//! A live run can record what a sample of its devices is told (`live::recording`, into
//! [`stats::input_log`]); [`run::replay`] steps fresh devices through it by [`device::replay`].
//!
//! | floor | modules | job |
//! |---|---|---|
//! | 0 | [`time`], [`rng`] | own instants; draws as pure functions of (seed, device, purpose, index) |
//! | 1 | [`mqtt`], [`wire`], [`stats`] | packet values, codec, client session; the messages of updates and commands; histograms, books, series, results, evidence |
//! | 2 | [`scenario`] | YAML file -> checked plan -> timeline; presets; a plan in words |
//! | 3 | [`device`], [`backend`], [`cloud`] | the actors and their laws |
//! | 4 | [`sim`], [`live`] | the two drivers: virtual time; sockets |
//! | 5 | [`run`], [`error`] | processes, simulations and the run directory; exit codes |
//! | 6 | [`report`] | judging and rendering; reads only run directories |
//! | 7 | [`search`] | commands that make many runs to find an edge |
//! | 8 | [`cli`] | the command line |
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
pub mod search;
pub mod sim;
pub mod stats;
pub mod time;
pub mod wire;

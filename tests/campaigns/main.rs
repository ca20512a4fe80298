//! Campaigns and commands from outside, in virtual time: whole runs whose ending is known beforehand.
//! What happened is read from the run's files as plain text, with a reader and sums of the tests' own.

#[path = "../program/mod.rs"]
mod program;

mod absent;
mod bench;
mod downloads;
mod external;
mod halting;
mod pace;
mod repetition;
mod several;
mod sheet;
mod size;

//! The scenario: [`mod@file`] reads the YAML, [`plan`] is what has been checked and cannot be wrong,
//! [`timeline`] turns a plan into a sorted list of actions.
//!
//! ```text
//! text -> file (YAML) -> tree -> decode -> mirror -> check -> plan -> timeline
//! ```

mod backlog;
pub mod campaign;
mod check;
mod decode;
mod decode_error;
pub mod durations;
mod episodes;
mod errors;
mod faults;
mod figures;
pub mod file;
#[cfg(test)]
pub(crate) mod fixture;
mod later;
pub mod links;
mod located;
mod mirror;
mod pace;
pub mod plan;
pub mod population;
pub mod power;
mod quantity;
pub mod recovery;
mod redact;
pub mod schema;
pub mod sdks;
mod selector;
pub mod slo;
pub mod template;
mod template_parse;
pub mod timeline;
mod tree;
pub mod update;
mod wills;
pub mod words;

pub use quantity::share_argument;
pub use selector::part_of;

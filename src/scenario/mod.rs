//! The scenario: [`file`] mirrors the YAML, [`plan`] is what has been checked and cannot be wrong,
//! [`timeline`] turns a plan into a sorted list of actions.

pub mod file;
#[cfg(test)]
pub(crate) mod fixture;
pub mod plan;
pub mod slo;
pub mod template;
pub mod timeline;

//! The cloud side of a run: [`observer::Observer`] sessions receive the telemetry of some devices,
//! and the [`ledger::Ledger`] beside the devices judges what arrived; the [`operator::Operator`] runs
//! campaigns, sends commands and answers queries.

pub mod campaign;
pub mod ledger;
pub mod observer;
pub mod operator;
mod wills;

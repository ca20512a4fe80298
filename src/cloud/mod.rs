//! The cloud side of a run: [`observer::Observer`] sessions receive the telemetry of some devices,
//! and the [`ledger::Ledger`] beside the devices judges what arrived.

pub mod ledger;
pub mod observer;
mod wills;

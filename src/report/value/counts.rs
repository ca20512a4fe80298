//! The books and the delivery ledger as the report tells them. In JSON their figures are keys of
//! `counts`, of a row and of `delivery` themselves (`counts.planned`, `delivery.lost`).

use crate::report::units;
use crate::stats::books::{Books, DeliveryCounts, WillCounts};
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::cmp::Reverse;

/// The books of the run.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Totals, as keys of `counts` itself; `None` (no keys) if the run left no outcome.
    pub total: Option<Books>,
    /// Both equations hold in every stream and phase.
    pub balanced: bool,
    /// The schedule's arithmetic agrees with the events.
    pub schedule_agrees: bool,
    /// Values outside the histograms' range.
    pub out_of_range: u64,
    /// Per stream.
    pub streams: Vec<NamedBooks>,
    /// Per phase of the intended instant.
    pub phases: Vec<NamedBooks>,
    /// Sums of the per-second series, by completion: all there is if the run left no outcome.
    pub series: SeriesSums,
}

/// Books with a name.
#[derive(Clone, Debug)]
pub struct NamedBooks {
    /// Stream (`cohort/stream`) or phase.
    pub name: String,
    /// Its books, as keys beside the name.
    pub books: Books,
}

/// Sums over the rows of the series.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeriesSums {
    /// Seconds with a row.
    pub seconds: u64,
    /// Arrivals of schedules.
    pub planned: u64,
    /// First writes.
    pub sent: u64,
    /// PUBACKs and PUBCOMPs in time.
    pub acked: u64,
    /// QoS 0 writes.
    pub written: u64,
    /// Ack timeouts.
    pub timed_out: u64,
    /// CONNACKs.
    pub connects: u64,
    /// Failed attempts.
    pub attempt_failures: u64,
}

/// The delivery ledger.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Payloads carried the stamp.
    pub ledger: bool,
    /// Devices whose telemetry was received.
    pub observed_devices: u64,
    /// What it found, as keys of `delivery` itself; `None` (no keys) if the run left no outcome.
    pub counts: Option<DeliveryCounts>,
    /// Wills that observers saw; `None` (no key) if no objective asks.
    pub wills: Option<WillCounts>,
    /// What the stores of devices dropped, apart from what was lost; `None` (no key) if no cohort has a
    /// store or the run left no outcome.
    pub lost_by_policy: Option<LostByPolicy>,
}

/// Operations that a store's policy dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostByPolicy {
    /// Of all streams.
    pub count: u64,
    /// Per stream of a cohort with a store.
    pub streams: Vec<NamedCount>,
}

impl LostByPolicy {
    /// `lost by policy: 500 dropped by the stores of devices (meters/power 480, meters/gps 20)`; of the
    /// streams at most [`LostByPolicy::STREAMS_TOLD`], those that lost most.
    pub fn sentence(&self) -> String {
        let mut losing: Vec<_> = self.streams.iter().filter(|s| s.count > 0).collect();
        losing.sort_by_key(|stream| Reverse(stream.count));
        let mut told: Vec<String> = losing
            .iter()
            .take(Self::STREAMS_TOLD)
            .map(|stream| format!("{} {}", stream.name, units::count(stream.count)))
            .collect();
        if let Some(more @ 1..) = losing.len().checked_sub(Self::STREAMS_TOLD) {
            told.push(format!(
                "and {}",
                units::counted(more as u64, "other stream")
            ));
        }
        let streams = if told.is_empty() {
            String::new()
        } else {
            format!(" ({})", told.join(", "))
        };
        let count = units::count(self.count);
        format!("lost by policy: {count} dropped by the stores of devices{streams}")
    }

    /// Most streams in a sentence; the report has all of them.
    pub const STREAMS_TOLD: usize = 5;
}

/// A count with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedCount {
    /// Stream (`cohort/stream`).
    pub name: String,
    /// How many.
    pub count: u64,
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(total) = &self.total {
            fields(&mut map, total)?;
        }
        map.serialize_entry("balanced", &self.balanced)?;
        map.serialize_entry("schedule_agrees", &self.schedule_agrees)?;
        map.serialize_entry("out_of_range", &self.out_of_range)?;
        map.serialize_entry("streams", &self.streams)?;
        map.serialize_entry("phases", &self.phases)?;
        map.serialize_entry("series", &self.series)?;
        map.end()
    }
}

impl Serialize for NamedBooks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        fields(&mut map, &self.books)?;
        map.end()
    }
}

impl Serialize for Delivery {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ledger", &self.ledger)?;
        map.serialize_entry("observed_devices", &self.observed_devices)?;
        if let Some(counts) = &self.counts {
            fields(&mut map, counts)?;
        }
        if let Some(wills) = &self.wills {
            map.serialize_entry("wills", wills)?;
        }
        if let Some(lost) = &self.lost_by_policy {
            map.serialize_entry("lost_by_policy", lost)?;
        }
        map.end()
    }
}

/// The fields of `value` as entries of `map`.
pub(super) fn fields<M: SerializeMap>(map: &mut M, value: &impl Serialize) -> Result<(), M::Error> {
    let Value::Object(object) = serde_json::to_value(value).map_err(M::Error::custom)? else {
        return Err(M::Error::custom("only a struct has fields"));
    };
    object
        .iter()
        .try_for_each(|(key, value)| map.serialize_entry(key, value))
}

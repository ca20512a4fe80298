//! The `store` of a cohort: limits, drain rate, and that there is something to store.

use super::Checker;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::{DrainOrder, First, Schedule, Store, Stream, WhenFull, WhenLate};
use std::time::Duration;

/// Most samples of one device's store.
const MAX_MESSAGES: u32 = 1_000_000;
/// Samples of a store that names no number.
const DEFAULT_MESSAGES: u32 = 1_000;
/// Most samples of a store that is drained newest first and holds a Poisson stream, whose instants can
/// only be told from the oldest on.
const MAX_POISSON_NEWEST_FIRST: u32 = 1_000;
/// Shortest time between two writes of a paced backlog.
const MIN_DRAIN_GAP: Duration = Duration::from_millis(1);

impl Checker<'_> {
    /// The store of a cohort with these `streams`.
    pub(super) fn store(&mut self, store: &At<mirror::Store>, streams: &[Stream]) -> Store {
        let written = &store.value;
        let is_late = |stream: &Stream| stream.when_late == WhenLate::Send;
        if !streams.iter().any(is_late) {
            self.absent(
                store.span,
                "no stream of the cohort has anything to store",
                "a stream's samples wait with `when_late: send`; or remove the store",
            );
        }
        let is_poisson = |s: &Stream| is_late(s) && matches!(s.schedule, Schedule::Poisson { .. });
        let newest_first = matches!(written.order, Some(mirror::DrainOrder::NewestFirst));
        let messages = written.messages.as_ref();
        if let Some(at) = messages.filter(|at| at.value > MAX_POISSON_NEWEST_FIRST)
            && newest_first
            && streams.iter().any(is_poisson)
        {
            self.error(
                at.span,
                "a Poisson stream cannot drain so large a store newest first",
                format!("write at most {MAX_POISSON_NEWEST_FIRST}, or `order: oldest_first`"),
            );
        }
        Store {
            messages: self.messages(written.messages.as_ref()),
            age: (written.age.as_ref()).map(|age| self.positive(Some(age), Duration::MAX)),
            when_full: match written.when_full {
                None | Some(mirror::WhenFull::DropOldest) => WhenFull::DropOldest,
                Some(mirror::WhenFull::DropNewest) => WhenFull::DropNewest,
                Some(mirror::WhenFull::DropByPriority) => WhenFull::DropByPriority,
            },
            drain_gap: written.drain.as_ref().map(|drain| {
                let gap = 1.0 / drain.value.0;
                if gap < MIN_DRAIN_GAP.as_secs_f64() {
                    self.error(
                        drain.span,
                        "a device drains its store at 1000/s at most",
                        "write a lower rate, or leave `drain` out for no limit",
                    );
                }
                Duration::try_from_secs_f64(gap)
                    .unwrap_or(Duration::MAX)
                    .max(MIN_DRAIN_GAP)
            }),
            order: match written.order {
                None | Some(mirror::DrainOrder::OldestFirst) => DrainOrder::OldestFirst,
                Some(mirror::DrainOrder::NewestFirst) => DrainOrder::NewestFirst,
            },
            first: match written.first {
                Some(mirror::First::Live) => First::Live,
                None | Some(mirror::First::Backlog) => First::Backlog,
            },
        }
    }

    fn messages(&mut self, messages: Option<&At<u32>>) -> u32 {
        let Some(messages) = messages else {
            return DEFAULT_MESSAGES;
        };
        if !(1..=MAX_MESSAGES).contains(&messages.value) {
            self.error(
                messages.span,
                format!("a store cannot hold {} samples", messages.value),
                format!(
                    "write a number from 1 to {MAX_MESSAGES}; `when_late: skip` stores nothing"
                ),
            );
        }
        messages.value.clamp(1, MAX_MESSAGES)
    }
}

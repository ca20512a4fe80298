//! Faults that come again: the exact window of each repetition.

use super::Checker;
use super::faults::{Window, within_of};
use super::length::Length;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::Fault;

/// Most repetitions of one fault.
const MAX_TIMES: u32 = 1_000;

/// Most faults of a plan, each repetition counted.
const MAX_FAULTS: u64 = 10_000;

impl Checker<'_> {
    /// Whether the phases hold more faults than a plan may; that is reported.
    pub(super) fn has_too_many_faults(&mut self, list: &At<Vec<At<mirror::Phase>>>) -> bool {
        let faults = list.value.iter().flat_map(|phase| &phase.value.faults);
        let all: u64 = faults.map(|fault| u64::from(times(&fault.value))).sum();
        if all <= MAX_FAULTS {
            return false;
        }
        let span = self.first_line(list.span);
        self.error(
            span,
            format!("{all} faults, each repetition counted, are too many"),
            format!("at most {MAX_FAULTS}"),
        );
        true
    }

    /// `first` and all its repetitions, by start.
    pub(super) fn repeated(
        &mut self,
        fault: &At<mirror::Fault>,
        first: Fault,
        window: &Window,
    ) -> Vec<Fault> {
        let Some(repeat) = &fault.value.repeat else {
            return vec![first];
        };
        let (every, times) = (&repeat.value.every, &repeat.value.times);
        let end = window.start + window.length;
        if !(1..=MAX_TIMES).contains(&times.value) {
            self.error(
                times.span,
                format!("a fault cannot come {} times", times.value),
                format!("write a number from 1 to {MAX_TIMES}"),
            );
            return vec![first];
        }
        if fault.value.length.is_none() && first.clear == end {
            self.error(
                self.first_line(repeat.span),
                "a fault that comes again needs a length",
                "add for example `for: 3s` beside `repeat`",
            );
            return vec![first];
        }
        // A restart has its length in `down`, which is not drawn.
        let length = match &fault.value.length {
            Some(written) => match self.fault_length(written, within_of(&fault.value)) {
                Some(length) => length,
                None => return vec![first],
            },
            None => Length::fixed(repeat.span, first.clear - first.start),
        };
        let longest = length.longest;
        if every.value.0 < longest {
            self.error(
                every.span,
                "the fault would begin again before it has cleared",
                format!("it is up to {longest:?} long: write an `every` of at least that"),
            );
            return vec![first];
        }
        let start_of = |number: u32| first.start + every.value.0 * number;
        if start_of(times.value - 1) + longest > end {
            let room = (1..times.value).filter(|n| start_of(n - 1) + longest <= end);
            self.error(
                times.span,
                "the last repetition clears after the end of its phase",
                format!(
                    "the phase is {:?} long, with room for {}",
                    window.length,
                    room.count()
                ),
            );
            return vec![first];
        }
        (0..times.value)
            .map(|number| Fault {
                start: start_of(number),
                clear: start_of(number) + length.of(window.seed, window, number),
                ..first.clone()
            })
            .collect()
    }
}

/// How often a fault comes, as it is written.
pub(super) fn times(fault: &mirror::Fault) -> u32 {
    fault
        .repeat
        .as_ref()
        .map_or(1, |repeat| repeat.value.times.value)
}

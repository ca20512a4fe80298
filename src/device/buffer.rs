//! What waits in a device's store: per stream, runs of sequence numbers. No payload and no instant is
//! kept per sample; the schedule gives both anew. Which sample goes or is sent is decided here, when
//! by `device::store`.

use super::pacer::{Cursor, Pacer};
use crate::scenario::plan::{DrainOrder, First, Store, WhenFull};
use crate::time::Instant;
use std::cmp::Reverse;

/// Runs that may wait of one stream, 1 KiB. A new one begins where a sample in between was sent or
/// dropped: with each reconnect that interrupts a drain, and at each drop of the newest.
pub(super) const RUNS_MAX: usize = 64;

/// Samples of one stream in a row, at least one.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Run {
    first: Cursor,
    /// The sequence number behind the last one.
    end: u32,
}

/// A waiting sample and where it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of its stream in the cohort.
    pub(super) stream: usize,
    /// The sample.
    pub(super) cursor: Cursor,
    /// It came due before the device was online this time.
    pub(super) is_backlog: bool,
    run: usize,
    end: End,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum End {
    Front,
    Back,
}

/// The stream has [`RUNS_MAX`] runs already.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// What a new sample displaces.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    /// Nothing: there is room.
    Nobody,
    /// The new sample itself.
    Newcomer,
    /// A sample that waits.
    Waiting(Place),
}

/// The waiting samples of a device.
#[derive(Debug)]
pub(super) struct Buffer {
    /// Per stream of the cohort, ascending. Since a reconnect makes a backlog of all that waits, what
    /// is backlog comes first, and no run is part of it by half.
    streams: Box<[Vec<Run>]>,
    /// Samples in all runs.
    len: u32,
    /// No paced sample of the backlog is written before it.
    pub(super) next_drain: Instant,
}

impl Buffer {
    /// An empty one for so many streams.
    pub(super) fn new(streams: usize) -> Self {
        Self {
            streams: vec![Vec::new(); streams].into_boxed_slice(),
            len: 0,
            next_drain: Instant::ZERO,
        }
    }

    /// How many samples wait.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// Bytes on the heap, its own among them.
    pub(super) fn heap_bytes(&self) -> usize {
        let runs: usize = self.streams.iter().map(Vec::capacity).sum();
        size_of::<Self>() + size_of_val(&*self.streams) + runs * size_of::<Run>()
    }

    /// Lets a sample wait behind all of its stream. What is intended before `since` is backlog.
    ///
    /// # Errors
    /// If it would begin a run too many: it does not wait then.
    pub(super) fn push(
        &mut self,
        stream: usize,
        cursor: Cursor,
        since: Instant,
    ) -> Result<(), Full> {
        let runs = &mut self.streams[stream];
        match runs.last_mut() {
            Some(last) if last.end == cursor.seq && is_like(last, cursor, since) => last.end += 1,
            Some(_) | None => {
                if runs.len() == RUNS_MAX {
                    join(runs, since);
                }
                if runs.len() == RUNS_MAX {
                    return Err(Full);
                }
                runs.push(Run {
                    first: cursor,
                    end: cursor.seq + 1,
                });
            }
        }
        self.len += 1;
        Ok(())
    }

    /// Which sample has to go so that one of `stream` at `cursor` may wait in `store`; `priority` is
    /// that of each stream.
    pub(super) fn victim(
        &self,
        store: &Store,
        stream: usize,
        cursor: Cursor,
        priority: impl Fn(usize) -> u8,
    ) -> Victim {
        if self.len < store.messages {
            return Victim::Nobody;
        }
        match store.when_full {
            WhenFull::DropNewest => Victim::Newcomer,
            WhenFull::DropOldest => self.oldest().map_or(Victim::Newcomer, Victim::Waiting),
            WhenFull::DropByPriority => {
                let key = |place: &Place| (priority(place.stream), place.cursor.at);
                let worst = self.fronts().min_by_key(key);
                match worst {
                    Some(place) if key(&place) <= (priority(stream), cursor.at) => {
                        Victim::Waiting(place)
                    }
                    Some(_) | None => Victim::Newcomer,
                }
            }
        }
    }

    /// The oldest sample of all streams.
    pub(super) fn oldest(&self) -> Option<Place> {
        self.fronts().min_by_key(|place| place.cursor.at)
    }

    /// The oldest sample of `stream`.
    pub(super) fn oldest_of(&self, stream: usize) -> Option<Place> {
        let run = self.streams[stream].first()?;
        Some(Place {
            stream,
            cursor: run.first,
            is_backlog: true,
            run: 0,
            end: End::Front,
        })
    }

    /// How many samples the first run of `stream` has.
    pub(super) fn first_run_len(&self, stream: usize) -> u32 {
        (self.streams[stream].first()).map_or(0, |run| run.end - run.first.seq)
    }

    /// Whether anything intended before `since` waits.
    pub(super) fn has_backlog(&self, since: Instant) -> bool {
        self.streams
            .iter()
            .filter_map(|runs| runs.first())
            .any(|run| run.first.at < since)
    }

    /// Whether anything of `stream` intended at or after `since` waits.
    pub(super) fn has_live(&self, stream: usize, since: Instant) -> bool {
        let last = self.streams[stream].last();
        last.is_some_and(|run| run.first.at >= since)
    }

    /// What to write next of the streams that are `open`: of the backlog, if it `may_drain`, or of
    /// what came due since the device is online (`since`), which goes in its order.
    pub(super) fn next<'a>(
        &self,
        store: &Store,
        since: Instant,
        may_drain: bool,
        open: impl Fn(usize) -> bool,
        pacer: impl Fn(usize) -> Pacer<'a>,
    ) -> Option<Place> {
        let live = || self.live(since, &open);
        let backlog = || {
            may_drain
                .then(|| self.backlog(store.order, since, &open, &pacer))
                .flatten()
        };
        match store.first {
            First::Live => live().or_else(backlog),
            First::Backlog if self.has_backlog(since) => backlog(),
            First::Backlog => live(),
        }
    }

    /// Takes out the sample at `place`.
    pub(super) fn take(&mut self, place: Place, pacer: &Pacer<'_>) {
        let runs = &mut self.streams[place.stream];
        let run = &mut runs[place.run];
        if run.end == run.first.seq + 1 {
            runs.remove(place.run);
        } else {
            match place.end {
                End::Front => run.first = pacer.next(run.first),
                End::Back => run.end -= 1,
            }
        }
        self.len -= 1;
    }

    /// Calls `each` with the waiting samples of `stream`, oldest first.
    pub(super) fn for_each(&self, stream: usize, pacer: &Pacer<'_>, mut each: impl FnMut(Cursor)) {
        for run in &self.streams[stream] {
            let mut cursor = run.first;
            while cursor.seq < run.end {
                each(cursor);
                cursor = pacer.next(cursor);
            }
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.streams.iter_mut().for_each(Vec::clear);
        self.len = 0;
    }

    fn fronts(&self) -> impl Iterator<Item = Place> {
        (0..self.streams.len()).filter_map(|stream| self.oldest_of(stream))
    }

    /// The oldest sample intended at or after `since` of the `open` streams.
    fn live(&self, since: Instant, open: impl Fn(usize) -> bool) -> Option<Place> {
        let streams = self.streams.iter().enumerate();
        let firsts = streams.filter_map(|(stream, runs)| {
            let run = backlog_runs(runs, since);
            let first = runs.get(run)?.first;
            open(stream).then_some(Place {
                stream,
                cursor: first,
                is_backlog: false,
                run,
                end: End::Front,
            })
        });
        firsts.min_by_key(|place| place.cursor.at)
    }

    fn backlog<'a>(
        &self,
        order: DrainOrder,
        since: Instant,
        open: impl Fn(usize) -> bool,
        pacer: impl Fn(usize) -> Pacer<'a>,
    ) -> Option<Place> {
        let streams = self.streams.iter().enumerate();
        let late = streams.filter_map(|(stream, runs)| {
            let last = backlog_runs(runs, since).checked_sub(1)?;
            open(stream).then_some((stream, runs.as_slice(), last))
        });
        match order {
            DrainOrder::OldestFirst => late
                .filter_map(|(stream, ..)| self.oldest_of(stream))
                .min_by_key(|place| place.cursor.at),
            DrainOrder::NewestFirst => late
                .map(|(stream, runs, run)| Place {
                    stream,
                    cursor: pacer(stream).last_before(runs[run].first, runs[run].end),
                    is_backlog: true,
                    run,
                    end: End::Back,
                })
                .min_by_key(|place| Reverse(place.cursor.at)),
        }
    }
}

/// How many of `runs` are backlog: those in front that begin before `since`.
fn backlog_runs(runs: &[Run], since: Instant) -> usize {
    runs.partition_point(|run| run.first.at < since)
}

/// Whether `run` and the sample at `cursor` are both backlog, or both not.
fn is_like(run: &Run, cursor: Cursor, since: Instant) -> bool {
    (run.first.at < since) == (cursor.at < since)
}

/// Makes one of runs that follow each other, which are apart because a reconnect lay between them.
fn join(runs: &mut Vec<Run>, since: Instant) {
    runs.dedup_by(|run, before| {
        let follows = before.end == run.first.seq && is_like(before, run.first, since);
        if follows {
            before.end = run.end;
        }
        follows
    });
}

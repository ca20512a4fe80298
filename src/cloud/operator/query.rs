//! One fleet query: at each of its instants devices are counted by what they have reported; those
//! whose report is too old are asked to report anew first.
//!
//! Asked is who was heard of, is not known to be gone, and belongs to a cohort that both reports and
//! takes commands; others could not answer, and requests for them would pile up at the broker. An asking
//! that is not over when the next one is due puts that off; its latency counts from when it was due.

use super::fleet::{Fleet, Presence};
use super::{Event, Output};
use crate::scenario::campaign::FleetQuery;
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::results::{Finding, QueryRow};
use crate::time::Instant;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A query and its instants.
#[derive(Debug)]
pub(super) struct Query {
    plan: Arc<Plan>,
    index: u16,
    /// When it is due next; [`Instant::NEVER`] = not any more.
    next: Instant,
    /// When it is not asked any more.
    end: Instant,
    /// Who is counted, whatever their firmware, ascending.
    who: Vec<DeviceIdx>,
    /// What is going on.
    asking: Option<Asking>,
    /// When the latest asking was over: what was put off for it is due then, and nobody late for it.
    free: Instant,
}

#[derive(Debug)]
struct Asking {
    intended: Instant,
    /// When devices were asked.
    begun: Instant,
    /// When it is answered at the latest.
    deadline: Instant,
    asked: u32,
    /// Of those, who has not reported.
    silent: BTreeSet<DeviceIdx>,
}

impl Query {
    /// Query `index` of `plan`, before the run.
    pub(super) fn new(plan: &Arc<Plan>, index: u16) -> Self {
        let query = &plan.queries[usize::from(index)];
        Self {
            plan: Arc::clone(plan),
            index,
            next: Instant::NEVER,
            end: Instant::NEVER,
            who: query.targets.who.members(plan),
            asking: None,
            free: Instant::ZERO,
        }
    }

    /// T0 is `start`.
    pub(super) fn begin_at(&mut self, start: Instant) {
        let (from, end) = (self.query().start, self.query().end);
        self.next = start.after(from);
        self.end = start.after(end);
    }

    /// Whether no asking is under way or yet to come.
    pub(super) const fn is_settled(&self) -> bool {
        self.next.is_never() && self.asking.is_none()
    }

    /// When [`Query::step`] is wanted.
    pub(super) fn poll_timeout(&self) -> Instant {
        match &self.asking {
            Some(asking) => asking.deadline,
            None => self.next.max(self.free),
        }
    }

    /// Answers what has waited long enough, and begins what is due. Appends who is to be asked to
    /// report to `ask`.
    pub(super) fn step(
        &mut self,
        now: Instant,
        fleet: &Fleet,
        ask: &mut Vec<DeviceIdx>,
        out: &mut Vec<Output>,
    ) {
        if let Some(asking) = self.asking.take_if(|asking| asking.deadline <= now) {
            self.free = now;
            self.answer(now, fleet, &asking, out);
        }
        while self.asking.is_none() && self.next <= now {
            self.begin(now, fleet, ask, out);
        }
    }

    /// `device` has reported.
    pub(super) fn reported(
        &mut self,
        now: Instant,
        device: DeviceIdx,
        fleet: &Fleet,
        out: &mut Vec<Output>,
    ) {
        let max_age = self.query().max_age;
        let Some(asking) = &mut self.asking else {
            return;
        };
        // One that was under way when it was asked may be as old as before.
        let age = fleet.age(asking.begun, device);
        let is_fresh = max_age.is_none_or(|max| age.is_some_and(|age| age <= max));
        if is_fresh && asking.silent.remove(&device) && asking.silent.is_empty() {
            let asking = self.asking.take().expect("it is going on");
            self.free = now;
            self.answer(now, fleet, &asking, out);
        }
    }

    /// No asking is intended from `now` on; one that was due and put off is still asked.
    pub(super) fn stop(&mut self, now: Instant) {
        self.end = self.end.min(now);
        if self.next >= self.end {
            self.next = Instant::NEVER;
        }
    }

    /// Everything that was due is answered by what is known.
    pub(super) fn close(&mut self, now: Instant, fleet: &Fleet, out: &mut Vec<Output>) {
        if let Some(asking) = self.asking.take() {
            self.answer(now, fleet, &asking, out);
        }
        self.stop(now);
        while !self.next.is_never() {
            let intended = self.next;
            self.advance();
            self.answer(now, fleet, &Asking::of_nobody(now, intended), out);
        }
    }

    fn query(&self) -> &FleetQuery {
        &self.plan.queries[usize::from(self.index)]
    }

    fn advance(&mut self) {
        let next = self
            .query()
            .every
            .map_or(Instant::NEVER, |every| self.next.after(every));
        self.next = if next < self.end {
            next
        } else {
            Instant::NEVER
        };
    }

    fn begin(
        &mut self,
        now: Instant,
        fleet: &Fleet,
        ask: &mut Vec<DeviceIdx>,
        out: &mut Vec<Output>,
    ) {
        let mut asking = Asking::of_nobody(now, self.next);
        self.advance();
        let query = &self.plan.queries[usize::from(self.index)];
        if let Some(max) = query.max_age {
            let is_old = |device: &DeviceIdx| fleet.age(now, *device).is_none_or(|age| age > max);
            let stale = self.who.iter().copied().filter(is_old);
            asking.silent = stale
                .filter(|device| self.can_ask(fleet, *device))
                .collect();
            asking.asked = u32::try_from(asking.silent.len()).expect("no more than devices, a u32");
            asking.deadline = now.after(query.timeout);
            ask.extend(&asking.silent);
        }
        if asking.silent.is_empty() {
            self.answer(now, fleet, &asking, out);
        } else {
            self.asking = Some(asking);
        }
    }

    fn can_ask(&self, fleet: &Fleet, device: DeviceIdx) -> bool {
        let cohort = &self.plan.cohorts[self.plan.cohort_of(device)];
        fleet.presence(device) == Presence::Online
            && cohort.reported.is_some()
            && cohort.commands.is_some()
    }

    fn answer(&self, now: Instant, fleet: &Fleet, asking: &Asking, out: &mut Vec<Output>) {
        let census = fleet.census(now, &self.query().targets, &self.who);
        out.push(Output::Event(Event::Finding(Finding::Query(QueryRow {
            query: self.index,
            intended: asking.intended,
            answered: now,
            matched: census.matched,
            unknown: census.unknown,
            asked: asking.asked,
            silent: u32::try_from(asking.silent.len()).expect("no more than devices, a u32"),
            age_p50_us: census.age_us(500),
            age_p99_us: census.age_us(990),
            age_max_us: census.age_us(1_000),
        }))));
    }
}

impl Asking {
    const fn of_nobody(begun: Instant, intended: Instant) -> Self {
        Self {
            intended,
            begun,
            deadline: begun,
            asked: 0,
            silent: BTreeSet::new(),
        }
    }
}

//! The work queue of a node: jobs start in order of arrival on one of several workers, each takes a
//! drawn time, and its effect comes at the end of it (a bounded G/G/c queue). A connection's effects
//! keep the order of its packets; see `lanes`.

use super::ConnId;
use super::counts::JobCounts;
use super::held::{Job, Work};
use super::lanes::{Due, Follow, Lanes};
use super::service_time;
use super::slab::Index;
use crate::mqtt::packet::Packet;
use crate::scenario::plan::{self, GoneClients};
use crate::time::Instant;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// Bytes of topics and payloads of all jobs under way.
const BYTES_MAX: usize = 256 << 20;

/// The work queue of a node.
#[derive(Debug)]
pub(super) struct Service {
    law: plan::Service,
    gone_clients: GoneClients,
    seed: u64,
    node: u16,
    /// Jobs taken on: the number of the next one.
    taken_on: u64,
    /// By arrival. While there is one that was not dropped, all workers are busy.
    waiting: VecDeque<Waiting>,
    /// Of the waiting: dropped.
    dropped: usize,
    /// What the busy workers are at, by end.
    in_service: BinaryHeap<Reverse<InService>>,
    started: u64,
    lanes: Lanes,
    /// A lane whose work may be due.
    due: Option<Index>,
    stalled_at: Option<Instant>,
    counts: JobCounts,
    busy_ns: u64,
    wasted_ns: u64,
}

#[derive(Copy, Clone, Debug)]
struct Waiting {
    arrived: Instant,
    step: Index,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct InService {
    end: Instant,
    /// Ties go by start.
    order: u64,
    step: Index,
}

impl Service {
    /// An idle queue of node number `node`.
    pub(super) fn new(law: plan::Service, gone_clients: GoneClients, seed: u64, node: u16) -> Self {
        Self {
            law,
            gone_clients,
            seed,
            node,
            taken_on: 0,
            waiting: VecDeque::new(),
            dropped: 0,
            in_service: BinaryHeap::new(),
            started: 0,
            lanes: Lanes::new(),
            due: None,
            stalled_at: None,
            counts: JobCounts::default(),
            busy_ns: 0,
            wasted_ns: 0,
        }
    }

    /// Whether a CONNECT is a job.
    pub(super) const fn works_on_connects(&self) -> bool {
        self.law.connect.is_some()
    }

    /// Whether a PUBLISH is a job.
    pub(super) const fn works_on_publishes(&self) -> bool {
        self.law.publish.is_some()
    }

    /// A job came, of a connection that has ended if `client_has_left`; `false` if there is no room
    /// for it. It starts at once if a worker is idle.
    pub(super) fn offer(
        &mut self,
        now: Instant,
        conn: ConnId,
        job: Job,
        client_has_left: bool,
    ) -> bool {
        self.counts.jobs_offered += 1;
        let is_idle = self.in_service.len() < usize::from(self.law.workers);
        let has_room = self.waiting.len() - self.dropped < self.law.queue as usize;
        let fits = self.lanes.bytes() + job.bytes() <= BYTES_MAX;
        if !(is_idle || has_room) || !fits {
            self.counts.service_queue_full += 1;
            self.counts.service_queue_full_closes += u64::from(matches!(job, Job::Publish(_)));
            return false;
        }
        let work_ns = self.draw_ns(&job);
        let step = self.lanes.push_job(conn, job, work_ns, client_has_left);
        if is_idle {
            self.start(now, step);
        } else {
            self.counts.jobs_queued += 1;
            let arrived = now;
            self.waiting.push_back(Waiting { arrived, step });
        }
        true
    }

    /// A packet that is no job came; it waits if its connection has work under way.
    pub(super) fn follow<'a>(&mut self, conn: ConnId, packet: Packet<'a>) -> Follow<'a> {
        let follow = self.lanes.follow(conn, packet);
        self.counts.service_order_full_closes += u64::from(matches!(follow, Follow::Full));
        follow
    }

    /// Whether the client has sent DISCONNECT, which waits for what came before it.
    pub(super) fn says_goodbye(&self, conn: ConnId) -> bool {
        self.lanes.says_goodbye(conn)
    }

    /// The next work that takes effect by `now`. A worker takes its next job at the instant at which
    /// it is done with the one before, however late it is asked.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<Due> {
        loop {
            if let Some(due) = self.due.and_then(|lane| self.lanes.pop_due(lane)) {
                self.count_due(&due);
                return Some(due);
            }
            self.due = None;
            let end = self.poll_timeout();
            if end > now || end.is_never() {
                return None;
            }
            let Reverse(done) = self.in_service.pop()?;
            let (work_ns, lane) = self.lanes.finish(done.step);
            self.busy_ns += work_ns;
            self.due = Some(lane);
            self.start_next(end);
        }
    }

    /// A connection has ended. What waits is dropped, unless the gone are served.
    pub(super) fn left(&mut self, conn: ConnId) {
        let dropped = self.lanes.left(conn, self.gone_clients);
        self.counts.jobs_skipped += dropped as u64;
        self.dropped += dropped;
        if self.dropped * 2 > self.waiting.len() {
            let lanes = &mut self.lanes;
            self.waiting.retain(|job| !lanes.remove_dropped(job.step));
            self.dropped = 0;
        }
    }

    /// When the next worker is done.
    pub(super) fn poll_timeout(&self) -> Instant {
        self.in_service
            .peek()
            .map_or(Instant::NEVER, |Reverse(job)| job.end)
    }

    /// The workers stand still from now on.
    pub(super) fn stall(&mut self, now: Instant) {
        self.stalled_at.get_or_insert(now);
    }

    /// The workers go on where they stood.
    pub(super) fn resume(&mut self, now: Instant) {
        let Some(stalled_at) = self.stalled_at.take() else {
            return;
        };
        let stood_ns = now.ns_since(stalled_at);
        let jobs = std::mem::take(&mut self.in_service).into_iter();
        self.in_service = jobs
            .map(|Reverse(job)| {
                let end = job.end.after_ns(stood_ns);
                Reverse(InService { end, ..job })
            })
            .collect();
    }

    /// Forgets all jobs; how many CONNECTs of clients that wait there were.
    pub(super) fn clear(&mut self) -> u64 {
        let (jobs, connects) = self.lanes.clear();
        self.counts.jobs_forgotten += jobs;
        self.waiting = VecDeque::new();
        self.dropped = 0;
        self.in_service.clear();
        self.due = None;
        connects
    }

    /// Its own truth, by name; `service_busy_us` is the work of all jobs that were worked on to the
    /// end, in microseconds, `service_wasted_us` of that the CONNECTs whose client had left by then.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = self.counts.by_name();
        let ended = self.counts.jobs_served + self.counts.jobs_skipped + self.counts.jobs_forgotten;
        counts.insert("jobs_under_way".into(), self.taken_on - ended);
        counts.insert("service_busy_us".into(), self.busy_ns / 1_000);
        counts.insert("service_wasted_us".into(), self.wasted_ns / 1_000);
        counts
    }

    /// Whether nothing is left of any job.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_service.is_empty() && self.lanes.is_empty()
    }

    /// The work of a job, by its number.
    fn draw_ns(&mut self, job: &Job) -> u64 {
        let time = match job {
            Job::Connect(_) => self.law.connect,
            Job::Publish(_) => self.law.publish,
        };
        let number = self.taken_on;
        self.taken_on += 1;
        time.map_or(0, |time| {
            service_time::draw_ns(&time, self.seed, self.node, number)
        })
    }

    fn start(&mut self, at: Instant, step: Index) {
        let end = at.after_ns(self.lanes.start(step));
        let order = self.started;
        self.started += 1;
        self.in_service
            .push(Reverse(InService { end, order, step }));
    }

    /// A worker is free from `at` on.
    fn start_next(&mut self, at: Instant) {
        while let Some(Waiting { arrived, step }) = self.waiting.pop_front() {
            if self.lanes.remove_dropped(step) {
                self.dropped -= 1;
                continue;
            }
            self.start(at.max(arrived), step);
            return;
        }
    }

    fn count_due(&mut self, due: &Due) {
        match &due.work {
            Work::Follower(_) => {}
            Work::Job(Job::Connect(_)) => {
                self.counts.jobs_served += 1;
                self.wasted_ns += if due.client_has_left { due.work_ns } else { 0 };
            }
            Work::Job(Job::Publish(_)) => {
                self.counts.jobs_served += 1;
                self.counts.publishes_served_after_client_left += u64::from(due.client_has_left);
            }
        }
    }
}

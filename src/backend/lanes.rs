//! Lanes: the order of packets on connections with work under way. MQTT wants a connection's packets
//! handled in order (4.6), so what is done early, or costs nothing, waits for what came before it.
//! Connections without work under way have no lane and cost nothing here.

use super::ConnId;
use super::connections::hash;
use super::held::{Job, Work, owned};
use super::slab::{Index, Slab};
use crate::mqtt::packet::Packet;
use crate::scenario::plan::GoneClients;
use hashbrown::HashTable;

/// Packets that may wait behind unfinished jobs, on all connections of a node.
pub(super) const FOLLOWERS_MAX: usize = 1_000_000;

/// Work whose turn on its connection has come.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) conn: ConnId,
    pub(super) work: Work,
    /// How long a worker was busy with it.
    pub(super) work_ns: u64,
    /// Its connection has ended.
    pub(super) client_has_left: bool,
}

/// What becomes of a packet that costs nothing.
#[derive(Debug)]
pub(super) enum Follow<'a> {
    /// Nothing is in front of it.
    Free(Packet<'a>),
    /// It waits for what is in front of it.
    Waits,
    /// There is no room for it to wait.
    Full,
}

/// A connection with work under way, as a list of steps in order of arrival.
#[derive(Debug)]
struct Lane {
    conn: ConnId,
    first: Index,
    last: Index,
    /// The client has sent DISCONNECT.
    says_goodbye: bool,
    /// The connection has ended; what is left takes effect without it.
    client_has_left: bool,
}

/// A packet on a lane.
#[derive(Debug)]
struct Step {
    lane: Index,
    next: Option<Index>,
    progress: Progress,
    work: Option<Work>,
    work_ns: u64,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    InService,
    /// Worked on, or nothing to work on.
    Done,
    /// Off its lane; the queue of jobs still names it.
    Dropped,
}

/// All lanes of a node.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Slab<Lane>,
    /// Index of `lanes`, for look-up only.
    by_conn: HashTable<Index>,
    steps: Slab<Step>,
    followers: usize,
    bytes: usize,
}

impl Lanes {
    pub(super) const fn new() -> Self {
        Self {
            lanes: Slab::new(),
            by_conn: HashTable::new(),
            steps: Slab::new(),
            followers: 0,
            bytes: 0,
        }
    }

    /// Bytes of topics and payloads.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// A job came; the step it is.
    pub(super) fn push_job(
        &mut self,
        conn: ConnId,
        job: Job,
        work_ns: u64,
        client_has_left: bool,
    ) -> Index {
        self.bytes += job.bytes();
        let step = self.steps.insert(Step {
            lane: 0,
            next: None,
            progress: Progress::Waiting,
            work: Some(Work::Job(job)),
            work_ns,
        });
        let lane = match self.find(conn) {
            Some(lane) => {
                self.append(lane, step);
                lane
            }
            None => self.open(conn, step, client_has_left),
        };
        self.step(step).lane = lane;
        step
    }

    /// A packet that costs nothing came.
    pub(super) fn follow<'a>(&mut self, conn: ConnId, packet: Packet<'a>) -> Follow<'a> {
        let Some(lane) = self.find(conn) else {
            return Follow::Free(packet);
        };
        let packet = match owned(packet) {
            Ok(packet) => packet,
            Err(publish) => return Follow::Free(Packet::Publish(publish)),
        };
        if self.followers >= FOLLOWERS_MAX {
            return Follow::Full;
        }
        self.followers += 1;
        let says_goodbye = matches!(packet, Packet::Disconnect);
        let step = self.steps.insert(Step {
            lane,
            next: None,
            progress: Progress::Done,
            work: Some(Work::Follower(packet)),
            work_ns: 0,
        });
        self.append(lane, step);
        self.lane(lane).says_goodbye |= says_goodbye;
        Follow::Waits
    }

    /// Whether the client has sent DISCONNECT, which waits.
    pub(super) fn says_goodbye(&self, conn: ConnId) -> bool {
        let lane = self.find(conn).and_then(|lane| self.lanes.get(lane));
        lane.is_some_and(|lane| lane.says_goodbye)
    }

    /// A worker takes a job; how long it will be busy.
    pub(super) fn start(&mut self, step: Index) -> u64 {
        let step = self.step(step);
        step.progress = Progress::InService;
        step.work_ns
    }

    /// A worker is done with a job: how long it was busy, and the lane to look at.
    pub(super) fn finish(&mut self, step: Index) -> (u64, Index) {
        let step = self.step(step);
        step.progress = Progress::Done;
        (step.work_ns, step.lane)
    }

    /// The next work of a lane that is done and has nothing in front of it.
    pub(super) fn pop_due(&mut self, lane: Index) -> Option<Due> {
        let &Lane {
            conn,
            first,
            client_has_left,
            ..
        } = self.lanes.get(lane)?;
        if self.step(first).progress != Progress::Done {
            return None;
        }
        let (next, work, work_ns) = self.take_off(first);
        match next {
            Some(next) => self.lane(lane).first = next,
            None => self.close(lane),
        }
        Some(Due {
            conn,
            work: work?,
            work_ns,
            client_has_left,
        })
    }

    /// A connection has ended. Jobs in service and jobs that are done stay; those that wait stay if
    /// the gone are served or the client had said goodbye; all else is dropped: how many jobs were.
    pub(super) fn left(&mut self, conn: ConnId, gone_clients: GoneClients) -> usize {
        let Some(lane) = self.find(conn) else {
            return 0;
        };
        let waiting_stay = match gone_clients {
            GoneClients::Skip => self.lane(lane).says_goodbye,
            GoneClients::Serve => true,
        };
        let (mut dropped, mut last) = (0, None);
        let mut at = Some(self.lane(lane).first);
        while let Some(index) = at {
            let step = self.step(index);
            at = step.next;
            let stays = match (step.progress, &step.work) {
                (Progress::Waiting, _) => waiting_stay,
                (_, Some(Work::Follower(_)) | None) => false,
                (Progress::InService | Progress::Done | Progress::Dropped, Some(Work::Job(_))) => {
                    true
                }
            };
            if stays {
                step.next = None;
                match last.replace(index) {
                    Some(before) => self.step(before).next = Some(index),
                    None => self.lane(lane).first = index,
                }
            } else if step.progress == Progress::Waiting {
                dropped += 1;
                step.progress = Progress::Dropped;
                self.take_work(index);
            } else {
                self.take_off(index);
            }
        }
        match last {
            Some(last) => {
                let lane = self.lane(lane);
                lane.last = last;
                lane.client_has_left = true;
                lane.says_goodbye = false;
            }
            None => self.close(lane),
        }
        dropped
    }

    /// Removes a step if it was dropped; whether it was.
    pub(super) fn remove_dropped(&mut self, step: Index) -> bool {
        let dropped = self.step(step).progress == Progress::Dropped;
        if dropped {
            self.steps.remove(step);
        }
        dropped
    }

    /// Forgets everything: how many jobs there were, and of those CONNECTs of clients that wait.
    pub(super) fn clear(&mut self) -> (u64, u64) {
        let (mut jobs, mut connects) = (0, 0);
        for step in self.steps.values() {
            let Some(Work::Job(job)) = &step.work else {
                continue;
            };
            jobs += 1;
            let lane = self.lanes.get(step.lane);
            let waits = lane.is_some_and(|lane| !lane.client_has_left);
            connects += u64::from(waits && matches!(job, Job::Connect(_)));
        }
        *self = Self::new();
        (jobs, connects)
    }

    /// Whether there is no lane, and nothing is left of one.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let left = self.lanes.len() + self.steps.len() + self.by_conn.len();
        left + self.followers + self.bytes == 0
    }

    fn find(&self, conn: ConnId) -> Option<Index> {
        if self.by_conn.is_empty() {
            return None;
        }
        let is_it = |&lane: &Index| self.lanes.get(lane).is_some_and(|l| l.conn == conn);
        self.by_conn.find(hash(conn), is_it).copied()
    }

    fn open(&mut self, conn: ConnId, step: Index, client_has_left: bool) -> Index {
        let lane = self.lanes.insert(Lane {
            conn,
            first: step,
            last: step,
            says_goodbye: false,
            client_has_left,
        });
        let lanes = &self.lanes;
        self.by_conn.insert_unique(hash(conn), lane, |&lane| {
            hash(lanes.get(lane).map_or(ConnId(0), |l| l.conn))
        });
        lane
    }

    fn close(&mut self, lane: Index) {
        let conn = self.lane(lane).conn;
        if let Ok(entry) = self.by_conn.find_entry(hash(conn), |&l| l == lane) {
            entry.remove();
        }
        self.lanes.remove(lane);
    }

    fn append(&mut self, lane: Index, step: Index) {
        let last = std::mem::replace(&mut self.lane(lane).last, step);
        self.step(last).next = Some(step);
    }

    /// Takes a step away: what follows it, its work, and how long that took.
    fn take_off(&mut self, step: Index) -> (Option<Index>, Option<Work>, u64) {
        let work = self.take_work(step);
        let step = self.steps.remove(step).expect(NAMED);
        (step.next, work, step.work_ns)
    }

    fn take_work(&mut self, step: Index) -> Option<Work> {
        let work = self.step(step).work.take();
        match &work {
            Some(Work::Job(job)) => self.bytes -= job.bytes(),
            Some(Work::Follower(_)) => self.followers -= 1,
            None => {}
        }
        work
    }

    fn lane(&mut self, lane: Index) -> &mut Lane {
        self.lanes.get_mut(lane).expect(NAMED)
    }

    fn step(&mut self, step: Index) -> &mut Step {
        self.steps.get_mut(step).expect(NAMED)
    }
}

/// Why an index of a lane or a step is valid.
const NAMED: &str = "steps and lanes are removed when nothing names them any more";

//! The simulation driver: one event queue in virtual time, no sockets. It joins the actors of a run
//! (`Device`s, `Observer`s, the `Operator`, a `Backend` per node) through a passage of fixed delay and the devices'
//! own access links, and holds no decision of its own, like the live driver.

mod blackhole;
mod books;
mod clients;
mod desks;
mod fetch;
mod foresight;
mod links;
mod nodes;
mod outage;
mod queue;
#[cfg(test)]
mod tests;
mod wheel;
mod world;

#[cfg(test)]
use crate::scenario::plan::DeviceIdx;
use crate::scenario::plan::{Embedded, Plan, Target};
use crate::stats::histogram::Histogram;
use crate::stats::recorder::{Snapshot, Totals};
use crate::stats::results::Finding;
use crate::stats::series::Metric;
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::sync::Arc;
use world::World;

pub use world::Advance;

/// One way from a client to its node, or back; what a device's own link takes comes on top.
pub const LINK_DELAY: Duration = Duration::from_micros(100);

/// Longest time until all observers, and the operator, are armed.
const ARM_TIMEOUT: Duration = Duration::from_secs(20);

/// A drained run ends when it has been so for this long.
const DRAIN_IDLE: Duration = Duration::from_secs(5);

/// How often a draining run looks whether it is drained.
const DRAIN_LOOK: Duration = Duration::from_millis(100);

/// What a simulated run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// T0 on the run's axis.
    pub start: Instant,
    /// End of the last phase, or when the run was stopped.
    pub end: Instant,
    /// End of the drain.
    pub drained: Instant,
    /// Whether the drain came to its end rather than to its limit.
    pub drain_complete: bool,
    /// Books, recoveries, deliveries.
    pub totals: Totals,
    /// Seconds of the run that [`Simulation::advance`] has not told of; the last one is the rest of
    /// a second.
    pub snapshots: Vec<Snapshot>,
    /// What campaigns, commands and queries came to, as far as [`Simulation::take_findings`] has not
    /// told, in the order in which it was found.
    pub findings: Vec<Finding>,
    /// Each node's own truth.
    pub backends: Vec<BTreeMap<String, u64>>,
    /// Events handled: queue pops that called an actor.
    pub events: u64,
    /// Who came back and how long after the clearing, exactly: a histogram rounds.
    #[cfg(test)]
    pub(crate) came_back: Vec<(DeviceIdx, Duration)>,
}

impl Outcome {
    /// All values of a metric.
    pub fn histogram(&self, metric: Metric) -> Histogram {
        crate::stats::recorder::merge_histograms(&self.snapshots, metric)
    }

    /// Values of a metric that belong to one phase (index).
    ///
    /// # Panics
    /// If a snapshot holds what is not a histogram, which no recorder makes.
    pub fn histogram_in(&self, metric: Metric, phase: usize) -> Histogram {
        let mut merged = Histogram::new();
        for delta in self.snapshots.iter().flat_map(|s| &s.histograms) {
            if delta.metric == metric && usize::from(delta.phase) == phase {
                let values = Histogram::from_v2(&delta.v2).expect("a recorder encoded it");
                merged.merge(&values);
            }
        }
        merged
    }

    /// A count of the backend, over all nodes.
    pub fn backend(&self, name: &str) -> u64 {
        self.backends.iter().filter_map(|node| node.get(name)).sum()
    }
}

/// Why a plan cannot be simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimError {
    /// Brokers under test have no model.
    #[error("only the embedded target can be simulated")]
    NotEmbedded,
    /// Observers were not armed in time.
    #[error("{missing} observers were not armed within {} s", ARM_TIMEOUT.as_secs())]
    NotArmed {
        /// How many.
        missing: usize,
    },
    /// The operator was not armed in time.
    #[error("the operator was not armed within {} s", ARM_TIMEOUT.as_secs())]
    OperatorNotArmed,
}

/// A run in virtual time, under way: T0 has come.
#[derive(Debug)]
pub struct Simulation(World);

impl Simulation {
    /// Runs `plan` against a backend of this shape, as run number `run`, from its first observer's
    /// CONNECT to T0. A device's home node is its node in the plan, modulo the nodes that there are.
    ///
    /// # Errors
    /// If the backend's limits keep the observers or the operator out.
    pub fn begin(plan: &Arc<Plan>, shape: &Embedded, run: u32) -> Result<Self, SimError> {
        let mut world = World::new(plan, shape, run);
        let armed = world.arm()?;
        world.begin(armed);
        Ok(Self(world))
    }

    /// How far virtual time is.
    pub const fn now(&self) -> Instant {
        self.0.now()
    }

    /// T0 on the run's axis.
    pub const fn start(&self) -> Instant {
        self.0.start()
    }

    /// Events handled so far: queue pops that called an actor.
    pub const fn events(&self) -> u64 {
        self.0.events
    }

    /// Goes on to the end of the next second of the run, or for `events` events if it takes more:
    /// a second of a large fleet takes minutes, and whoever waits may want to stop it.
    pub fn advance(&mut self, events: u32) -> Advance {
        self.0.advance(events)
    }

    /// What campaigns, commands and queries came to since the last call, in the order in which it was
    /// found.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        self.0.take_findings()
    }

    /// Goes on to the end of the drain.
    pub fn to_the_end(mut self) -> Outcome {
        let mut snapshots = Vec::new();
        loop {
            match self.advance(u32::MAX) {
                Advance::Second(snapshot) => snapshots.push(*snapshot),
                Advance::Underway => {}
                Advance::Over => break,
            }
        }
        let mut outcome = self.finish();
        outcome.snapshots.splice(0..0, snapshots);
        outcome
    }

    /// Closes the books, now if the run is not over.
    pub fn finish(self) -> Outcome {
        self.0.finish()
    }
}

/// Runs `plan` from its first observer's CONNECT to the end of its drain, as run number `run`.
///
/// # Errors
/// If the plan cannot be simulated, or its own faults and limits keep the observers or the operator
/// out.
pub fn run(plan: &Arc<Plan>, run: u32) -> Result<Outcome, SimError> {
    let Target::Embedded(shape) = &plan.target else {
        return Err(SimError::NotEmbedded);
    };
    Ok(Simulation::begin(plan, shape, run)?.to_the_end())
}

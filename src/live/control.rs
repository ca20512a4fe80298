//! What a coordinator says to a worker or a backend node, and what they answer. The transport
//! (pipes today) lies in `run`; these are plain values.

use crate::device::record::Sample;
use crate::scenario::file::Overrides;
use crate::stats::recorder::{ErrorCount, Snapshot, Totals};
use crate::stats::results::Finding;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Version of this protocol; both ends must agree.
pub const PROTOCOL: u32 = 4;

/// Most findings of one [`Report::Findings`].
pub const FINDINGS_MAX: usize = 4_096;

/// First message to a child process: all it needs to compile the same plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Absolute `CLOCK_MONOTONIC` value in nanoseconds that is the origin of the run's axis.
    pub origin_ns: u64,
    /// Name of the scenario file, for errors.
    pub scenario_name: String,
    /// Its text.
    pub scenario_text: String,
    /// Folder that `${file:…}` is relative to.
    pub base_dir: String,
    /// What the command line changed.
    pub overrides: Overrides,
    /// `Plan::hash` that the child must arrive at.
    pub plan_hash: String,
    /// Run id.
    pub run: u32,
    /// What the child is.
    pub role: Role,
}

/// What a child process is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Role {
    /// Owns the devices i with i mod `workers` = `index`; if `index` = `workers`, it owns none and has
    /// the operator.
    Worker {
        /// Its number.
        index: u32,
        /// How many own devices.
        workers: u32,
        /// Address of each node, resolved once.
        targets: Vec<SocketAddr>,
        /// Address of each server of images that the scenario names, by `host:port`, resolved once.
        image_servers: Vec<(String, SocketAddr)>,
        /// Source addresses to spread connections over; empty = the kernel chooses.
        sources: Vec<IpAddr>,
        /// Leave persistent sessions and retained messages on the target.
        keep_sessions: bool,
        /// Record what some devices are told.
        record_inputs: Option<RecordInputs>,
    },
    /// One node of the embedded target, on a free loopback port.
    BackendNode {
        /// Its number.
        node: u16,
    },
}

/// Whose inputs are recorded, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordInputs {
    /// The run directory.
    pub dir: PathBuf,
    /// Which devices of the fleet.
    pub sample: Sample,
}

/// Later messages to a child. End of input (the coordinator died) ends the child within 1 s.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Workers: connect and arm the observers, and the operator.
    Arm,
    /// Workers: the image server of the run listens here. Before `Start`, if at all.
    Images(SocketAddr),
    /// T0, on the run's axis, in the near future.
    Start(Instant),
    /// Stop new arrivals at once and end early (Ctrl-C): no new packet after 1 s, then `Done`.
    Abort,
    /// Workers: the drain is over for all (or timed out): account, tear down, answer `Done`.
    Finish,
    /// Backend nodes: report counts and exit.
    Exit,
}

/// What a child answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// Backend node: listening here.
    Listening(SocketAddr),
    /// Worker: plan compiled, limits raised; ready for `Arm`.
    Ready,
    /// Worker with the operator: it serves the images of the run's campaigns here. Before `Armed`, if
    /// at all.
    Serving(SocketAddr),
    /// Worker: all its observers are armed, and its operator.
    Armed,
    /// Worker: one second of the run, from T0 on, in order. The heartbeat.
    Snapshot(Box<SnapshotFrame>),
    /// Worker: updates that ended, or what the operator found, since the last one; at most
    /// [`FINDINGS_MAX`].
    Findings(Vec<Finding>),
    /// Worker: after the last phase, nothing waits or is in flight, or it does again (`false`).
    Drained(bool),
    /// Worker: teardown finished; totals. Last message.
    Done(Box<Totals>),
    /// Backend node: its own counts. Last message.
    BackendDone {
        /// Its truth.
        counts: BTreeMap<String, u64>,
        /// Errors it saw.
        errors: Vec<ErrorCount>,
    },
    /// Something a reader of the report must know.
    Warning(String),
    /// Worker: its part of the evidence cannot be written, so the run is worth nothing.
    EvidenceFailed(String),
    /// The child cannot go on; it exits after this.
    Failed(String),
}

/// A snapshot on the wire (compared in tests by its encoding only).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SnapshotFrame(pub Snapshot);

impl PartialEq for SnapshotFrame {
    fn eq(&self, other: &Self) -> bool {
        postcard::to_stdvec(&self.0).ok() == postcard::to_stdvec(&other.0).ok()
    }
}

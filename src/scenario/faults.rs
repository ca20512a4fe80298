//! The faults of a plan: where they act, what they do, and when exactly.

use super::plan::{DeviceFault, Link, Selector};
use std::time::Duration;

/// A fault with its exact window.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The phase it belongs to.
    pub phase: usize,
    /// Start, from T0.
    pub start: Duration,
    /// Clearing, from T0; known exactly.
    pub clear: Duration,
    /// Where it acts and what it does.
    pub kind: FaultKind,
}

/// Where a fault acts and what it does.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// On the reference backend.
    Backend {
        /// The node it acts on; `None` = all.
        node: Option<u16>,
        /// What it does.
        fault: BackendFault,
    },
    /// At the devices' end of the network, whatever the target is.
    Network {
        /// The devices meant.
        who: Selector,
        /// What it does.
        fault: NetworkFault,
    },
    /// On the devices themselves, whatever the target is.
    Device {
        /// The devices meant.
        who: Selector,
        /// What it does.
        fault: DeviceFault,
    },
}

impl FaultKind {
    /// What it does to node `node` of the `nodes` of the reference backend, if anything. A `lose` by
    /// count on all nodes is split among them, so that the count is that of all together.
    pub fn on_node(&self, node: u16, nodes: u16) -> Option<BackendFault> {
        match self {
            Self::Backend {
                node: None,
                fault: BackendFault::Lose(Lose::Count(count)),
            } => {
                let (each, rest) = (count / u32::from(nodes), count % u32::from(nodes));
                let own = each + u32::from(u32::from(node) < rest);
                Some(BackendFault::Lose(Lose::Count(own)))
            }
            Self::Backend { node: on, fault } => {
                on.is_none_or(|only| only == node).then_some(*fault)
            }
            Self::Network { .. } | Self::Device { .. } => None,
        }
    }
}

/// What a network fault does to the devices meant.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum NetworkFault {
    /// Every connection ends with RST, each at a uniform draw below `within` after the start (zero:
    /// all at the start; at most the fault's length), and connects are refused until it clears.
    Reset { within: Duration },
    /// The same with FIN.
    Close { within: Duration },
    /// Established connections go on; connects are refused until it clears.
    Refuse,
    /// Established connections go on; the target's name cannot be resolved until it clears, so that
    /// connects fail before there is a socket.
    Dns,
    /// Nothing that the devices send leaves them and nothing reaches them until it clears; neither
    /// end is told.
    Blackhole,
    /// Each device meant has this link on top of its cohort's, if that has one: delays add up, a
    /// packet is lost if either loses it, and the smaller bandwidth holds. What is under way when it
    /// begins or clears arrives as it would have.
    Degrade(Link),
}

/// What a fault of the reference backend does.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum BackendFault {
    /// All connections are reset and attempts refused until it clears.
    Restart { sessions: Sessions },
    /// CONNECTs are answered with CONNACK 3 (server unavailable).
    Refuse,
    /// The node reads and answers nothing until it clears, then works off what came.
    Stall,
    /// The acknowledgement of each PUBLISH (PUBACK, or PUBREC at QoS 2) is held back by this long.
    AckDelay(Duration),
    /// Publishes are routed but not acknowledged: no PUBACK, and no PUBREC at QoS 2.
    DropAck(DropAck),
    /// Publishes at QoS 1 and 2 are acknowledged but reach nobody: neither routed nor retained.
    Lose(Lose),
    /// The listener accepts nothing.
    PauseAccepting,
}

impl BackendFault {
    /// The word used in scenarios.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Restart { .. } => "restart",
            Self::Refuse => "refuse",
            Self::Stall => "stall",
            Self::AckDelay(_) => "ack_delay",
            Self::DropAck(_) => "drop_ack",
            Self::Lose(_) => "lose",
            Self::PauseAccepting => "pause_accepting",
        }
    }
}

/// Whose acknowledgements (PUBACK, or PUBREC at QoS 2) are dropped.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum DropAck {
    /// This share (0 to 1) of publishes, by seeded draw.
    Share(f64),
    /// The first this many.
    Count(u32),
}

/// Which publishes are lost. A retransmission (DUP) is never one of them: the message may have been
/// routed before, and would not be lost.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Lose {
    /// This share (0 to 1) of publishes, by seeded draw.
    Share(f64),
    /// The first this many, over all nodes that the fault acts on (see [`FaultKind::on_node`]).
    Count(u32),
}

/// What a restarted node remembers.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// Persistent sessions and retained messages, as from disk.
    Keep,
    /// No session. Retained messages are no part of one and stay.
    Forget,
}

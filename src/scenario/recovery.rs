//! How the recovery from a fault is judged: the rule a scenario sets, the words a judgement comes to,
//! and what of it follows from the plan alone. The judgement itself is `report`'s.

use super::plan::{
    BackendFault, BackoffShape, Client, DeviceFault, Fault, FaultKind, NetworkFault, Plan, Target,
};
use std::time::Duration;

/// How recoveries of a run are judged.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct RecoveryRule {
    /// Connects per second that the target stands in a recovery; `None` = the best of the run.
    pub limit_rate_per_s: Option<f64>,
    /// How long the fleet must be as it was before the fault.
    pub hold: Duration,
    /// Longest time from the clearing that is still a recovery; `None` = any, and a fleet that is not
    /// back is judged [`RecoveryRule::FACTOR`] times the expected time after the clearing.
    pub within: Option<Duration>,
}

impl RecoveryRule {
    /// Shortest `hold`: what is shorter than the smoothing of the series decides nothing.
    pub const HOLD_MIN: Duration = Duration::from_secs(10);
    /// `k` of the expected bound R = k x max(devices down / limit rate, longest wait).
    pub const FACTOR: u32 = 2;
}

impl Default for RecoveryRule {
    fn default() -> Self {
        Self {
            limit_rate_per_s: None,
            hold: Duration::from_secs(30),
            within: None,
        }
    }
}

/// What became of a fleet after a fault cleared.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum RecoveryVerdict {
    /// Connections, goodput and latency are what they were, and stayed so.
    Recovered,
    /// Not yet, but on the way.
    Slow,
    /// Not, and not on the way: the target is busy with work for nothing, which its clients' own
    /// retries keep up.
    Metastable,
    /// Not, and not on the way: attempts fail, and not for lack of the devices' patience.
    Collapsed,
    /// Not, and not on the way: the devices that are missing have stopped trying.
    Stranded,
}

impl RecoveryVerdict {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Recovered,
        Self::Slow,
        Self::Metastable,
        Self::Collapsed,
        Self::Stranded,
    ];

    /// The word used in scenarios and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Slow => "slow",
            Self::Metastable => "metastable",
            Self::Collapsed => "collapsed",
            Self::Stranded => "stranded",
        }
    }
}

impl BackoffShape {
    /// The longest wait it can draw.
    pub fn longest(self) -> Duration {
        match self {
            Self::Fixed(wait) => wait,
            Self::NoJitter { cap, .. }
            | Self::FullJitter { cap, .. }
            | Self::EqualJitter { cap, .. }
            | Self::DecorrelatedJitter { cap, .. }
            | Self::AwsCrt { cap, .. }
            | Self::AzureSdkForC { cap, .. } => cap,
            Self::AzureIotSdkC { cap, .. } => cap + cap / 20,
            Self::PahoC { cap, .. } => cap + cap / 5,
        }
    }
}

impl Plan {
    /// Longest time in which a device that has not given up makes an attempt and knows how it ended:
    /// the longest backoff, and the connect timeout, and after a power cut the return of power and
    /// the boot. After a fault that nobody is told of, also the
    /// time until the keep-alive notices.
    pub fn longest_wait(&self, fault: &Fault) -> Duration {
        let is_silent = match &fault.kind {
            FaultKind::Network { fault, .. } => *fault == NetworkFault::Blackhole,
            // Who boots has no connection to mistake for one that works.
            FaultKind::Device { .. } => false,
            FaultKind::Backend { fault, .. } => *fault == BackendFault::Stall,
        };
        let power = match &fault.kind {
            FaultKind::Device {
                fault: DeviceFault::PowerCut { back, boot, .. },
                ..
            } => back.longest() + boot.longest(),
            FaultKind::Device {
                fault: DeviceFault::Crash { boot, .. },
                ..
            } => boot.longest(),
            FaultKind::Network { .. } | FaultKind::Backend { .. } => Duration::ZERO,
        };
        let of = |client: &Client| {
            let backoff = client.backoff.shape.longest();
            let wait = backoff.max(client.backoff.first.unwrap_or_default());
            let notice = match (is_silent, client.keep_alive_s) {
                (false, _) | (true, 0) => Duration::ZERO,
                (true, keep_alive_s) => {
                    let ping_s = client.ping_interval_s.unwrap_or(keep_alive_s);
                    Duration::from_secs(u64::from(ping_s)) + client.ping_timeout
                }
            };
            power + notice + wait + client.connect_timeout
        };
        let cohorts = self.cohorts.iter().map(|cohort| of(&cohort.client));
        cohorts.max().unwrap_or_default()
    }

    /// The longest wait after any fault of the phase of `fault`: a small one that clears last does not
    /// shorten what the others have begun.
    pub fn longest_wait_of_phase(&self, fault: usize) -> Duration {
        let phase = self.faults[fault].phase;
        let of_phase = self.faults.iter().filter(|other| other.phase == phase);
        let waits = of_phase.map(|other| self.longest_wait(other));
        waits.max().unwrap_or_default()
    }

    /// Connects per second that the recovery's rule or the reference backend's law states; `None` if
    /// neither does.
    pub fn stated_limit_rate_per_s(&self) -> Option<f64> {
        let Target::Embedded(embedded) = &self.target else {
            return self.recovery.limit_rate_per_s;
        };
        let work = embedded.service.and_then(|service| {
            let connect = service.connect?;
            Some(service.capacity_per_s(&connect, embedded.nodes))
        });
        let law = [embedded.accept_rate_per_s, work];
        let law = law.into_iter().flatten().reduce(f64::min);
        self.recovery.limit_rate_per_s.or(law)
    }

    /// The stretch before the faults of `fault`'s phase in which the fleet can show what it is like
    /// undisturbed, from T0: back to the clearing of the last fault before them.
    pub fn recovery_baseline(&self, fault: usize) -> (Duration, Duration) {
        let phase = self.faults[fault].phase;
        let of_phase = self.faults.iter().filter(|f| f.phase == phase);
        let to = of_phase.map(|f| f.start).min().unwrap_or_default();
        let before = self.faults.iter().filter(|f| f.start < to);
        let from = before.map(|f| f.clear.min(to)).max().unwrap_or_default();
        (from, to)
    }
}

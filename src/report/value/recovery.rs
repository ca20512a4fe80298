//! What became of the fleet after each fault, as the report tells it.

use serde::Serialize;

/// The verdict on one recovery, by the fault that closes its phase.
#[derive(Clone, Debug, Serialize)]
pub struct RecoveryVerdict {
    /// The fault in words.
    pub fault: String,
    /// Its phase.
    pub phase: String,
    /// Its clearing, from T0.
    pub clear_s: f64,
    /// `recovered`, `slow`, `metastable`, `collapsed` or `stranded`; `undecided` if the run does not
    /// tell.
    pub verdict: &'static str,
    /// The verdict with its reason, in one sentence.
    pub reason: String,
    /// What the verdict rests on, in sentences.
    pub basis: Vec<String>,
    /// From the clearing to the recovery; `None` = it was not seen.
    pub recovered_after_s: Option<f64>,
    /// From the end of the window to the recovery at its pace, if it is `slow`.
    pub eta_s: Option<f64>,
    /// From the clearing to when a fleet that is not back is judged.
    pub bound_s: Option<f64>,
    /// Devices that had to come back.
    pub down: Option<u64>,
    /// Connects per second that the target stands, as the scenario says or the best 5 s show.
    pub limit_rate_per_s: Option<f64>,
    /// `limit_rate_per_s` is the scenario's.
    pub limit_rate_is_stated: bool,
    /// Longest backoff with its connect timeout, and the time to notice a silent fault.
    pub longest_wait_s: f64,
    /// The fleet before the fault.
    pub baseline: Option<RecoveryLevel>,
    /// The fleet when it was judged.
    pub judged: Option<RecoveryLevel>,
    /// Attempts since the clearing (until the recovery) per device that had to come back.
    pub amplification: Option<f64>,
    /// Attempts that timed out after their CONNECT was written, over all that ended, when it was
    /// judged.
    pub wasted: Option<f64>,
}

/// What a fleet is like over some seconds.
#[derive(Copy, Clone, Debug, PartialEq, Serialize)]
pub struct RecoveryLevel {
    /// Devices connected over devices with power.
    pub connected: f64,
    /// Acknowledged (QoS 0: written) publishes per second.
    pub goodput_per_s: f64,
    /// 99th percentile of the time from schedule to acknowledgement, median of the seconds'.
    pub ack_p99_us: Option<f64>,
}

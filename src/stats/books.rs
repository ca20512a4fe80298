//! The books: exact counts of what became of every planned operation, per stream and phase.
//! `planned = sent + unsent + waiting` and `sent = acked + written + timed_out + failed + in_flight`.

use super::event::{CommandEvent, UpdateEvent};
use serde::{Deserialize, Serialize};

/// Counts of one stream in one phase (the phase of the operations' intended instant).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// Arrivals of the schedule.
    pub planned: u64,
    /// First writes.
    pub sent: u64,
    /// Never sent: `when_late` let it go.
    pub skipped: u64,
    /// Never sent: a store-and-forward policy dropped it.
    pub dropped_by_policy: u64,
    /// Never sent: the device had no power.
    pub device_off: u64,
    /// Due, neither sent nor given up at the end.
    pub waiting: u64,
    /// PUBACK (QoS 1) or PUBCOMP (QoS 2) received in time.
    pub acked: u64,
    /// QoS 0: handed to the transport.
    pub written: u64,
    /// No PUBACK or PUBCOMP within `ack_timeout`.
    pub timed_out: u64,
    /// Session gone before the PUBACK or PUBCOMP.
    pub failed: u64,
    /// Sent, and neither acked nor ended at the end.
    pub in_flight: u64,
    /// PUBLISHes written after the first (not part of the equations).
    pub retransmitted: u64,
    /// PUBACKs and PUBCOMPs after the operation had ended (not part of the equations).
    pub late_acks: u64,
}

impl Books {
    /// Whether both equations hold.
    pub const fn balance(&self) -> bool {
        self.planned
            == self.sent + self.skipped + self.dropped_by_policy + self.device_off + self.waiting
            && self.sent
                == self.acked + self.written + self.timed_out + self.failed + self.in_flight
    }

    /// Adds `other` field by field.
    pub const fn add(&mut self, other: &Self) {
        self.planned += other.planned;
        self.sent += other.sent;
        self.skipped += other.skipped;
        self.dropped_by_policy += other.dropped_by_policy;
        self.device_off += other.device_off;
        self.waiting += other.waiting;
        self.acked += other.acked;
        self.written += other.written;
        self.timed_out += other.timed_out;
        self.failed += other.failed;
        self.in_flight += other.in_flight;
        self.retransmitted += other.retransmitted;
        self.late_acks += other.late_acks;
    }
}

/// What the delivery ledger found, per run.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryCounts {
    /// Acknowledged operations of observed devices that were judged.
    pub verified_acks: u64,
    /// Distinct operations seen by an observer.
    pub seen: u64,
    /// Acknowledged and never seen.
    pub lost: u64,
    /// Seen again, explained by a retransmission of ours; never at QoS 2.
    pub duplicated_explained: u64,
    /// Seen again without a retransmission.
    pub duplicated: u64,
    /// Seen again after our own observer came back to its session: the broker has to deliver what
    /// the observer's lost connection left unacknowledged, so this is no fault of the delivery.
    pub redelivered: u64,
    /// First deliveries with a seq below one seen before.
    pub reordered: u64,
    /// Never acknowledged, but seen.
    pub recovered: u64,
    /// Sent, never acknowledged, never seen.
    pub undelivered: u64,
    /// Acknowledged inside a gap of the observer's session and not seen: no verdict possible.
    pub unverified: u64,
    /// Left the window before its outcome was known, or came after, or was still missing when the
    /// drain ended while others came in: no verdict possible.
    pub unresolved: u64,
    /// Payloads whose stamp did not decode.
    pub corrupt: u64,
    /// Payloads of another run, device or stream.
    pub foreign: u64,
    /// Retained messages that the target had stored and sent because an observer subscribed: no
    /// deliveries of what it asked for.
    #[serde(default)]
    pub stored: u64,
}

impl DeliveryCounts {
    /// Adds `other` field by field.
    pub const fn add(&mut self, other: &Self) {
        self.verified_acks += other.verified_acks;
        self.seen += other.seen;
        self.lost += other.lost;
        self.duplicated_explained += other.duplicated_explained;
        self.duplicated += other.duplicated;
        self.redelivered += other.redelivered;
        self.reordered += other.reordered;
        self.recovered += other.recovered;
        self.undelivered += other.undelivered;
        self.unverified += other.unverified;
        self.unresolved += other.unresolved;
        self.corrupt += other.corrupt;
        self.foreign += other.foreign;
        self.stored += other.stored;
    }
}

/// Wills of observed devices that an observer saw, over the whole run.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WillCounts {
    /// Observed devices with a will.
    pub watched: u64,
    /// Wills seen, each once.
    pub fired: u64,
    /// Devices whose will was seen.
    pub devices: u64,
    /// Of those, devices whose will was seen more than once.
    pub devices_repeated: u64,
    /// Copies that the target sent again (DUP) of what an observer had seen; not in `fired`.
    pub redelivered: u64,
    /// Times that an observer of such devices did not receive; wills of then may be missing.
    pub gaps: u64,
}

impl WillCounts {
    /// Adds `other` field by field.
    pub const fn add(&mut self, other: &Self) {
        self.watched += other.watched;
        self.fired += other.fired;
        self.devices += other.devices;
        self.devices_repeated += other.devices_repeated;
        self.redelivered += other.redelivered;
        self.gaps += other.gaps;
    }
}

/// What devices told of their updates besides rows, over the whole run.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateCounts {
    /// [`UpdateEvent::UnwantedBlock`].
    pub unwanted_blocks: u64,
    /// [`UpdateEvent::BlockAskedAgain`].
    pub blocks_asked_again: u64,
    /// [`UpdateEvent::BadAnswer`].
    pub bad_answers: u64,
    /// [`UpdateEvent::StatusAgain`].
    pub statuses_again: u64,
    /// [`UpdateEvent::Resumed`].
    pub resumed: u64,
    /// [`UpdateEvent::Restarted`].
    pub restarted: u64,
    /// [`UpdateEvent::HashMatched`].
    pub hashes_matched: u64,
    /// [`UpdateEvent::HashDiffered`].
    pub hashes_differed: u64,
}

impl UpdateCounts {
    /// Counts an event.
    pub const fn count(&mut self, event: UpdateEvent) {
        let count = match event {
            UpdateEvent::UnwantedBlock => &mut self.unwanted_blocks,
            UpdateEvent::BlockAskedAgain => &mut self.blocks_asked_again,
            UpdateEvent::BadAnswer => &mut self.bad_answers,
            UpdateEvent::StatusAgain => &mut self.statuses_again,
            UpdateEvent::Resumed => &mut self.resumed,
            UpdateEvent::Restarted => &mut self.restarted,
            UpdateEvent::HashMatched => &mut self.hashes_matched,
            UpdateEvent::HashDiffered => &mut self.hashes_differed,
        };
        *count += 1;
    }

    /// Adds `other` field by field.
    pub const fn add(&mut self, other: &Self) {
        self.unwanted_blocks += other.unwanted_blocks;
        self.blocks_asked_again += other.blocks_asked_again;
        self.bad_answers += other.bad_answers;
        self.statuses_again += other.statuses_again;
        self.resumed += other.resumed;
        self.restarted += other.restarted;
        self.hashes_matched += other.hashes_matched;
        self.hashes_differed += other.hashes_differed;
    }
}

/// What devices told of commands, over the whole run.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandCounts {
    /// [`CommandEvent::Executed`].
    pub executed: u64,
    /// [`CommandEvent::Failed`].
    pub failed: u64,
    /// [`CommandEvent::Repeated`].
    pub repeated: u64,
    /// [`CommandEvent::ExecutedAgain`].
    pub executed_again: u64,
    /// [`CommandEvent::BadRequest`].
    pub bad_requests: u64,
}

impl CommandCounts {
    /// Counts an event.
    pub const fn count(&mut self, event: CommandEvent) {
        let count = match event {
            CommandEvent::Executed => &mut self.executed,
            CommandEvent::Failed => &mut self.failed,
            CommandEvent::Repeated => &mut self.repeated,
            CommandEvent::ExecutedAgain => &mut self.executed_again,
            CommandEvent::BadRequest => &mut self.bad_requests,
        };
        *count += 1;
    }

    /// Adds `other` field by field.
    pub const fn add(&mut self, other: &Self) {
        self.executed += other.executed;
        self.failed += other.failed;
        self.repeated += other.repeated;
        self.executed_again += other.executed_again;
        self.bad_requests += other.bad_requests;
    }
}

//! What an actor tells the recorder: the waist between behaviour and measurement.

use crate::mqtt::packet::{ConnectCode, QoS};
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// One telemetry operation: an arrival of a stream's schedule and what became of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Index into `Plan::streams`.
    pub stream: u16,
    /// Sequence number within (device, stream, boot), from 0.
    pub seq: u32,
    /// When the schedule wanted it.
    pub intended: Instant,
}

/// Why an operation was never written to a connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unsent {
    /// The stream's `when_late` policy let it go.
    Skipped,
    /// A store-and-forward policy dropped it.
    DroppedByPolicy,
    /// The device had no power.
    DeviceOff,
}

/// Why a connection attempt failed or a connection ended, as the device saw it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// TCP connect refused.
    Refused,
    /// The connection was reset (RST), by the peer or by an outage of the run.
    Reset,
    /// The connection was closed (FIN), by the peer or by an outage of the run.
    ClosedByPeer,
    /// No CONNACK within the connect timeout.
    ConnectTimeout,
    /// CONNACK with a code other than accepted.
    ConnAck(ConnectCode),
    /// A SUBSCRIBE of `on_connect` was refused.
    SubscribeRefused,
    /// A SUBSCRIBE of `on_connect` was not answered within the connect timeout.
    SubscribeTimeout,
    /// An UNSUBSCRIBE of `on_connect` was not answered within the connect timeout.
    UnsubscribeTimeout,
    /// PINGREQ was not answered within the ping timeout.
    KeepAliveTimeout,
    /// The peer sent something MQTT 3.1.1 does not allow here.
    ProtocolError,
    /// The target acknowledged a publish as one of another QoS, or out of turn (4.3.2, 4.3.3). Some
    /// brokers answer a QoS 2 PUBLISH with PUBACK because they serve QoS 1 at most.
    WrongAck,
    /// The target's name was not resolved.
    Unresolved,
    /// The network was unreachable or another socket error of the path.
    Unreachable,
    /// The generator ran out of file descriptors (EMFILE, ENFILE): makes the run INVALID.
    GeneratorFds,
    /// The generator ran out of source ports (EADDRNOTAVAIL): makes the run INVALID.
    GeneratorPorts,
    /// The generator ran out of socket buffers (ENOBUFS, ENOMEM): makes the run INVALID.
    GeneratorBuffers,
    /// The driver's bounded output buffer overflowed.
    OutputOverflow,
    /// The device itself was switched off or shut down.
    DeviceStopped,
}

impl Cause {
    /// Whether the generator itself, not the target or the network, is to blame.
    pub const fn blames_generator(self) -> bool {
        matches!(
            self,
            Self::GeneratorFds | Self::GeneratorPorts | Self::GeneratorBuffers
        )
    }
}

/// What happened at an actor, reported at the instant handed along with it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The device got power.
    PoweredOn,
    /// The device lost power or was shut down. If it had a session, `Disconnected` comes before.
    PoweredOff,
    /// From now on the device counts in `fleet.availability`: first CONNACK, or power-on plus
    /// connect timeout. Exactly once per boot: a device that is switched off earlier reports it
    /// just before `PoweredOff`.
    Expected,
    /// A connection attempt began (its OPEN was emitted). `intended` = power-on or end of backoff.
    AttemptStarted {
        /// When the device wanted it.
        intended: Instant,
    },
    /// CONNACK accepted.
    Connected {
        /// The attempt's intended instant.
        intended: Instant,
        /// Server kept the session.
        session_present: bool,
    },
    /// The attempt failed; `now - intended` is its latency (a timeout counts at its timeout).
    AttemptFailed {
        /// The attempt's intended instant.
        intended: Instant,
        /// Why.
        cause: Cause,
        /// Its CONNECT had been written, so that the target may have worked for it.
        written: bool,
    },
    /// An established session's connection ended.
    Disconnected {
        /// Why.
        cause: Cause,
    },
    /// The backoff policy gave up: no further attempt.
    GaveUp,
    /// An arrival of the schedule came due.
    Planned(Operation),
    /// The operation will never be sent.
    Unsent(Operation, Unsent),
    /// First write of the operation. QoS 0 operations end here (`written`).
    Sent {
        /// The operation.
        op: Operation,
        /// Its QoS.
        qos: QoS,
        /// It had to wait for a connection or a reconnect before this first write.
        replayed: bool,
    },
    /// A PUBLISH was written again with DUP after a resumed session.
    Retransmitted(Operation),
    /// The PUBREL of a QoS 2 operation was written again after a resumed session. Some servers pass
    /// a message on only then.
    ReleasedAgain(Operation),
    /// First PUBACK (QoS 1) or PUBCOMP (QoS 2) of an operation that had not ended.
    Acked {
        /// The operation.
        op: Operation,
        /// First write.
        sent: Instant,
        /// As in `Sent`, or it was retransmitted.
        replayed: bool,
    },
    /// `ack_timeout` passed since the first write.
    TimedOut {
        /// The operation.
        op: Operation,
        /// First write.
        sent: Instant,
    },
    /// Its session is gone, so no PUBACK or PUBCOMP can come.
    SessionGone(Operation),
    /// A PUBACK or PUBCOMP came after the operation had ended.
    LateAck(Operation),
    /// An acknowledgement whose packet identifier names no operation: a duplicate, or of an earlier
    /// session. Tolerated; counted as a late one of the connection, not of an operation.
    UnexpectedAck,
    /// A QoS 1 or 2 message reached the device on a subscription; one of QoS 2 for the first time.
    Received,
    /// Something about an update of the device.
    Update(UpdateEvent),
    /// Something about a command to the device.
    Command(CommandEvent),
    /// A named limit of the session or device was reached (for example held packet identifiers).
    LimitReached(Limit),
}

/// What a device tells of its updates besides rows.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateEvent {
    /// A block came that it had already, or had not asked for; it is left.
    UnwantedBlock,
    /// A block was asked for again.
    BlockAskedAgain,
    /// An answer of the server could not be read, or made no sense; it is left.
    BadAnswer,
    /// A status was written again because the server did not answer.
    StatusAgain,
    /// The download went on where it was after a break.
    Resumed,
    /// The download began anew after a break.
    Restarted,
    /// The hash over the bytes received was the one announced.
    HashMatched,
    /// It was not.
    HashDiffered,
}

/// What a device tells of commands.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandEvent {
    /// It carried one out for the first time.
    Executed,
    /// It could not.
    Failed,
    /// One came again, and was answered without being carried out again.
    Repeated,
    /// One came again, and was carried out again.
    ExecutedAgain,
    /// A request could not be read; it is left.
    BadRequest,
}

/// What an operator counts: traffic that it left alone, and limits of its own.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Note {
    /// A message on one of its topics names no device of this fleet; ignored.
    ForeignName,
    /// A message could not be read, or belongs to no job or command of this run; ignored.
    BadMessage,
    /// A request of a device was answered by an error (a stale version, a block out of range).
    Refused,
    /// A desk had as many messages waiting as it may: one to a device was not sent. What the run says of
    /// that device is worth nothing, so the run is INVALID.
    QueueFull,
}

/// Named limits whose reaching is counted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Limit {
    /// `mqtt::session`: packet identifiers held by timed-out publishes. Counted when a publish has to
    /// wait for one, once until it need not any more.
    HeldPacketIds,
    /// The target granted a subscription at a lower QoS than was asked for.
    GrantedQos,
    /// `live`: bytes waiting to be written to one connection.
    OutputBytes,
    /// `live`: a received packet was longer than the length limit.
    PacketLength,
    /// `stats::histogram`: a value lay outside 1 us..1 h.
    HistogramRange,
    /// `backend`: the admission queue was full.
    AcceptQueue,
    /// `backend`: a session's queue of messages for delivery was full.
    DeliveryQueue,
    /// `device::path`: a packet was lost as often as it may be over a device's link.
    Retransmissions,
    /// `live`: bytes on their way down a device's link; its socket was not read for a while.
    InputBytes,
    /// `live`: a connection whose end was still on its way over a device's link was closed at once,
    /// because the device's next one was opened.
    ClosingConnections,
    /// A half-open connection that a blackhole had left behind was closed before its time, because
    /// the device left another one.
    HalfOpenConnections,
    /// `device::buffer`: what waits of one stream has too many gaps; samples were dropped for it.
    StoredRuns,
    /// `device::outbox`: statuses, answers and reports that are not acknowledged yet; one was dropped.
    Outbox,
    /// `device::command`: commands that are being carried out; one was left.
    CommandsAtOnce,
}

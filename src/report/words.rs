//! Names for people: faults, errors, targets and devices in plain words.

use super::units;
use crate::mqtt::packet::ConnectCode;
use crate::scenario::plan::{
    BackendFault, DropAck, Embedded, Fault, FaultKind, GoneClients, Lose, Plan, Sessions, Target,
    Topology,
};
use crate::scenario::words;
use crate::stats::event::{Cause, Limit, Note};
use crate::stats::recorder::ErrorKind;
use std::fmt::Write as _;

/// `restart of node 0, sessions kept`; `reset of 30 % of the devices of meters`.
pub(super) fn fault(plan: &Plan, fault: &Fault) -> String {
    match &fault.kind {
        FaultKind::Backend { node, fault } => backend_fault(*node, *fault),
        FaultKind::Network { who, fault } => units::WORDS.outage(plan, who, *fault),
        FaultKind::Device { who, fault } => units::WORDS.device_fault(plan, who, fault),
    }
}

fn backend_fault(node: Option<u16>, fault: BackendFault) -> String {
    let node = node.map_or_else(|| "all nodes".to_owned(), |n| format!("node {n}"));
    match fault {
        BackendFault::Restart { sessions } => {
            let sessions = match sessions {
                Sessions::Keep => "sessions kept",
                Sessions::Forget => "sessions forgotten",
            };
            format!("restart of {node}, {sessions}")
        }
        BackendFault::Refuse => format!("connections refused by {node}"),
        BackendFault::Stall => format!("stall of {node}"),
        BackendFault::AckDelay(delay) => format!(
            "acknowledgements of {node} delayed by {}",
            units::time_s(delay.as_secs_f64())
        ),
        BackendFault::DropAck(DropAck::Share(share)) => {
            format!(
                "{} of the acknowledgements of {node} dropped",
                units::ratio(share)
            )
        }
        BackendFault::DropAck(DropAck::Count(count)) => format!(
            "first {} acknowledgements of {node} dropped",
            units::count(u64::from(count))
        ),
        BackendFault::Lose(Lose::Share(share)) => {
            format!(
                "{} of the publishes at {node} acknowledged and lost",
                units::ratio(share)
            )
        }
        BackendFault::Lose(Lose::Count(count)) => format!(
            "first {} publishes at {node} acknowledged and lost",
            units::count(u64::from(count))
        ),
        BackendFault::PauseAccepting => format!("{node} accepts no connection"),
    }
}

/// All of a few names, the first and the last of many.
pub(super) fn listed(names: &[String]) -> String {
    match names {
        [first, .., last] if names.len() > 3 => format!("{first} … {last}"),
        few => few.join(", "),
    }
}

/// What was tested.
pub(super) fn target(target: &Target, addresses: &[String]) -> String {
    let listed = match addresses {
        [] => String::new(),
        several => format!(" at {}", listed(several)),
    };
    match target {
        Target::Embedded(embedded) => format!(
            "embedded reference backend, {}{listed}{}",
            units::counted(u64::from(embedded.nodes), "node"),
            limits(embedded)
        ),
        Target::Brokers(brokers) => {
            let several = match brokers.topology {
                Topology::Cluster => "a cluster of",
                Topology::Independent => "independent",
            };
            match brokers.urls.len() {
                1 => format!("broker{listed}"),
                n => format!("{several} {n} brokers{listed}"),
            }
        }
    }
}

/// The limits that a scenario gives the embedded backend, on which all its figures rest.
fn limits(embedded: &Embedded) -> String {
    let mut text = String::new();
    let mut add = |name: &str, law: &str| {
        write!(text, "; {name}: {law}").expect("a String accepts every write");
    };
    if let Some(law) = units::WORDS.admission(embedded) {
        add("admission", &law);
    }
    if let Some(law) = units::WORDS.service(embedded) {
        add("service law", &law);
    }
    match embedded.gone_clients {
        GoneClients::Skip => {}
        serve @ GoneClients::Serve => add("gone clients", words::gone_clients(serve)),
    }
    text
}

/// `meters-17`; `?` for an index outside the fleet.
pub(super) fn device(plan: &Plan, device: u32) -> String {
    if device >= plan.devices() {
        return "?".to_owned();
    }
    let cohort = &plan.cohorts[plan.cohort_of(device)];
    format!("{}-{}", cohort.name, device - cohort.first)
}

/// A firmware version; `?` if it is not known.
pub(super) fn firmware(plan: &Plan, version: Option<u16>) -> String {
    let text = version.and_then(|version| plan.firmware.versions.get(usize::from(version)));
    text.map_or_else(|| "?".to_owned(), Clone::clone)
}

/// Stable key of an error kind for `report.json`: `attempt.refused`.
pub(super) fn error_kind(kind: ErrorKind) -> String {
    match kind {
        ErrorKind::Attempt(cause) => format!("attempt.{}", cause_key(cause)),
        ErrorKind::Connection(cause) => format!("connection.{}", cause_key(cause)),
        ErrorKind::Observer(cause) => format!("observer.{}", cause_key(cause)),
        ErrorKind::Operator(cause) => format!("operator.{}", cause_key(cause)),
        ErrorKind::Fetch(cause) => format!("download.{}", cause_key(cause)),
        ErrorKind::Noted(note) => match note {
            Note::ForeignName => "operator.foreign_name",
            Note::BadMessage => "operator.bad_message",
            Note::Refused => "operator.request_refused",
            Note::QueueFull => "operator.queue_full",
        }
        .into(),
        ErrorKind::Limit(limit) => format!("limit.{}", limit_key(limit)),
        ErrorKind::AckTimeout => "ack_timeout".to_owned(),
        ErrorKind::GaveUp => "gave_up".to_owned(),
        ErrorKind::GeneratorUnsent => "generator_unsent".to_owned(),
    }
}

/// An error kind in words.
pub(super) fn error(kind: ErrorKind) -> String {
    match kind {
        ErrorKind::Attempt(cause) => format!("connection attempt failed: {}", cause_text(cause)),
        ErrorKind::Connection(cause) => format!("connection ended: {}", cause_text(cause)),
        ErrorKind::Observer(cause) => format!("observer's session failed: {}", cause_text(cause)),
        ErrorKind::Operator(cause) => {
            format!("a session of the operator failed: {}", cause_text(cause))
        }
        ErrorKind::Fetch(cause) => format!("download over HTTP failed: {}", cause_text(cause)),
        ErrorKind::Noted(note) => match note {
            Note::ForeignName => "the operator heard from a device that is not of this fleet",
            Note::BadMessage => {
                "the operator heard what it could not read, or of no job of this run"
            }
            Note::Refused => "the operator answered a request of a device by an error",
            Note::QueueFull => {
                "the operator had too many messages waiting and let one to a device go"
            }
        }
        .into(),
        ErrorKind::Limit(limit) => format!("limit reached: {}", limit_text(limit)),
        ErrorKind::AckTimeout => "publish was not acknowledged in time".to_owned(),
        ErrorKind::GaveUp => "device stopped trying to connect".to_owned(),
        ErrorKind::GeneratorUnsent => "generator let a telemetry message go unsent".to_owned(),
    }
}

/// `text` with its first letter in upper case.
pub(super) fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("a String accepts every write");
        out
    })
}

fn cause_key(cause: Cause) -> String {
    let key = match cause {
        Cause::Refused => "refused",
        Cause::Reset => "reset",
        Cause::ClosedByPeer => "closed_by_peer",
        Cause::ConnectTimeout => "connect_timeout",
        Cause::ConnAck(code) => return format!("connack.{}", connack_key(code)),
        Cause::SubscribeRefused => "subscribe_refused",
        Cause::SubscribeTimeout => "subscribe_timeout",
        Cause::UnsubscribeTimeout => "unsubscribe_timeout",
        Cause::KeepAliveTimeout => "keep_alive_timeout",
        Cause::ProtocolError => "protocol_error",
        Cause::WrongAck => "wrong_ack",
        Cause::Unresolved => "unresolved",
        Cause::Unreachable => "unreachable",
        Cause::GeneratorFds => "generator_fds",
        Cause::GeneratorPorts => "generator_ports",
        Cause::GeneratorBuffers => "generator_buffers",
        Cause::OutputOverflow => "output_overflow",
        Cause::DeviceStopped => "device_stopped",
    };
    key.to_owned()
}

fn cause_text(cause: Cause) -> String {
    let text = match cause {
        Cause::Refused => "connection refused",
        // By the peer, or by an outage of the run's own: a device cannot tell.
        Cause::Reset => "reset (RST)",
        Cause::ClosedByPeer => "closed (FIN)",
        Cause::ConnectTimeout => "no CONNACK in time",
        Cause::ConnAck(code) => return format!("CONNACK {}: {}", code as u8, connack_text(code)),
        Cause::SubscribeRefused => "SUBSCRIBE refused",
        Cause::SubscribeTimeout => "no SUBACK in time",
        Cause::UnsubscribeTimeout => "no UNSUBACK in time",
        Cause::KeepAliveTimeout => "PINGREQ not answered",
        Cause::ProtocolError => "the peer broke MQTT 3.1.1",
        Cause::WrongAck => {
            "a publish was acknowledged as one of another QoS (does the target serve QoS 2?)"
        }
        Cause::Unresolved => "name not resolved",
        Cause::Unreachable => "network unreachable",
        Cause::GeneratorFds => "the generator ran out of file descriptors",
        Cause::GeneratorPorts => "the generator ran out of source ports",
        Cause::GeneratorBuffers => "the generator ran out of socket buffers",
        Cause::OutputOverflow => "output buffer full, the peer does not read",
        Cause::DeviceStopped => "the device was switched off",
    };
    text.to_owned()
}

const fn connack_key(code: ConnectCode) -> &'static str {
    match code {
        ConnectCode::Accepted => "accepted",
        ConnectCode::BadProtocolVersion => "bad_protocol_version",
        ConnectCode::IdentifierRejected => "identifier_rejected",
        ConnectCode::ServerUnavailable => "server_unavailable",
        ConnectCode::BadCredentials => "bad_credentials",
        ConnectCode::NotAuthorized => "not_authorized",
    }
}

const fn connack_text(code: ConnectCode) -> &'static str {
    match code {
        ConnectCode::Accepted => "accepted",
        ConnectCode::BadProtocolVersion => "unacceptable protocol version",
        ConnectCode::IdentifierRejected => "identifier rejected",
        ConnectCode::ServerUnavailable => "server unavailable",
        ConnectCode::BadCredentials => "bad user name or password",
        ConnectCode::NotAuthorized => "not authorized",
    }
}

const fn limit_key(limit: Limit) -> &'static str {
    match limit {
        Limit::HeldPacketIds => "held_packet_ids",
        Limit::GrantedQos => "granted_qos",
        Limit::OutputBytes => "output_bytes",
        Limit::PacketLength => "packet_length",
        Limit::HistogramRange => "histogram_range",
        Limit::AcceptQueue => "accept_queue",
        Limit::DeliveryQueue => "delivery_queue",
        Limit::Retransmissions => "retransmissions",
        Limit::InputBytes => "input_bytes",
        Limit::ClosingConnections => "closing_connections",
        Limit::HalfOpenConnections => "half_open_connections",
        Limit::StoredRuns => "stored_runs",
        Limit::Outbox => "outbox",
        Limit::CommandsAtOnce => "commands_at_once",
    }
}

const fn limit_text(limit: Limit) -> &'static str {
    match limit {
        Limit::HeldPacketIds => "publishes wait, all packet identifiers are held by timed-out ones",
        Limit::GrantedQos => "a subscription was granted at a lower QoS than asked for",
        Limit::OutputBytes => "bytes waiting to be written to one connection",
        Limit::PacketLength => "a received packet was too long",
        Limit::HistogramRange => "a value outside 1 µs to 1 h",
        Limit::AcceptQueue => "the backend's admission queue",
        Limit::DeliveryQueue => "a session's delivery queue in the backend",
        Limit::Retransmissions => "retransmissions of one packet over a device's link",
        Limit::InputBytes => "bytes on their way to one device over its link",
        Limit::StoredRuns => {
            "gaps in what waits in one device's store; samples were dropped for it"
        }
        Limit::Outbox => "statuses, answers and reports of one device that wait to be acknowledged",
        Limit::CommandsAtOnce => "commands that one device carries out at a time",
        Limit::HalfOpenConnections => {
            "a connection left half-open by a blackhole closed early, because the device left another"
        }
        Limit::ClosingConnections => {
            "a device's next connection cut short the end of the one before"
        }
    }
}

/// `text` without control characters (a terminal obeys them) and noncharacters (XML forbids them),
/// which become U+FFFD.
pub(super) fn printable(text: &str) -> String {
    let is_safe =
        |c: char| !c.is_control() && !is_bidi_control(c) && u32::from(c) & 0xFFFE != 0xFFFE;
    text.chars()
        .map(|c| if is_safe(c) { c } else { '\u{FFFD}' })
        .collect()
}

/// Characters that reorder the text around them, so that a page shows other than it says.
const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fixture;
    use crate::scenario::plan::{NetworkFault, Selector, Service, ServiceTime};
    use std::time::Duration;

    #[test]
    fn an_outage_is_named_with_its_setting() {
        let outage = Fault {
            phase: 0,
            start: Duration::ZERO,
            clear: Duration::from_secs(20),
            kind: FaultKind::Network {
                who: Selector::default(),
                fault: NetworkFault::Reset {
                    within: Duration::from_micros(12_345_678),
                },
            },
        };
        let text = "reset of all devices within 12.345678 s";
        assert_eq!(fault(&fixture::plan(10), &outage), text);
    }

    #[test]
    fn a_live_target_is_named_with_its_limits() {
        let mut plan = fixture::plan(10);
        let addresses = ["127.0.0.1:4000".to_owned()];
        let plain = "embedded reference backend, 1 node at 127.0.0.1:4000";
        assert_eq!(target(&plan.target, &addresses), plain);
        let Target::Embedded(embedded) = &mut plan.target else {
            panic!("the fixture's target is embedded");
        };
        embedded.accept_rate_per_s = Some(500.0);
        embedded.service = Some(Service {
            workers: 2,
            connect: None,
            publish: Some(ServiceTime::Fixed(Duration::from_micros(50))),
            queue: 1_000,
        });
        embedded.gone_clients = GoneClients::Serve;
        let limits = "; admission: 500 CONNECTs/s over all nodes, 100,000 may wait on each; service law: \
             2 workers per node, 1,000 jobs may wait on each; CONNECT costs nothing; PUBLISH fixed 50 µs, \
             at most 40,000/s in all; gone clients: served like any other, for nothing";
        assert_eq!(target(&plan.target, &addresses), format!("{plain}{limits}"));
    }
}

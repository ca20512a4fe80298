//! The checked plan: what the rest of the program works from. A `Plan` can only be made by
//! `scenario::file` and cannot be wrong: references are indices, quantities have units.

use super::campaign::{Campaign, Firmware, FleetCommand, FleetQuery};
pub use super::faults::{BackendFault, DropAck, Fault, FaultKind, Lose, NetworkFault, Sessions};
pub use super::power::{BootTime, DeviceFault, Pace, Spread};
use super::recovery::RecoveryRule;
use super::slo::Objective;
use super::template::Template;
use super::update::{CommandHandler, Reported, UpdateClient};
use crate::mqtt::packet::QoS;
use crate::mqtt::session::PingOn;
use crate::rng::{self, Purpose};
use std::num::NonZeroU64;
use std::time::Duration;

/// Index of a device in the fleet, from 0; cohorts own contiguous ranges.
pub type DeviceIdx = u32;

/// Everything a run does, checked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Short name, `[a-z0-9-]`.
    pub name: String,
    /// One sentence for people.
    pub about: String,
    /// Root of all draws.
    pub seed: u64,
    /// SHA-256 over the scenario text and the overrides, lower-case hex.
    pub hash: String,
    /// What is tested.
    pub target: Target,
    /// Groups of like devices, in device order.
    pub cohorts: Vec<Cohort>,
    /// All streams of all cohorts; `Cohort::streams` is a range of it.
    pub streams: Vec<Stream>,
    /// Which devices' telemetry is received and ledgered.
    pub observe: Observe,
    /// Back to back from T0.
    pub phases: Vec<Phase>,
    /// All faults of all phases, by start.
    pub faults: Vec<Fault>,
    /// All firmware versions.
    pub firmware: Firmware,
    /// Rollouts, by start.
    pub campaigns: Vec<Campaign>,
    /// Fleet commands, by start.
    pub commands: Vec<FleetCommand>,
    /// Fleet queries, by start.
    pub queries: Vec<FleetQuery>,
    /// What is judged.
    pub objectives: Vec<Objective>,
    /// How recoveries are judged.
    pub recovery: RecoveryRule,
    /// Longest wait after the last phase for what is in flight.
    pub drain: Duration,
}

impl Plan {
    /// Number of devices.
    pub fn devices(&self) -> u32 {
        self.cohorts.last().map_or(0, |c| c.first + c.devices)
    }

    /// The cohort that owns `device`.
    ///
    /// # Panics
    /// If `device` is not below [`Plan::devices`].
    pub fn cohort_of(&self, device: DeviceIdx) -> usize {
        assert!(
            device < self.devices(),
            "device {device} is not in the fleet"
        );
        self.cohorts
            .partition_point(|c| c.first + c.devices <= device)
    }

    /// The node (index of target address) a device lives on for the whole run.
    pub fn home_node(&self, device: DeviceIdx) -> u16 {
        let nodes = u64::from(self.target.nodes());
        let node = rng::hash(self.seed, u64::from(device), Purpose::Home, 0) % nodes;
        u16::try_from(node).expect("below the number of nodes, a u16")
    }

    /// Whether the device's telemetry is received by an observer: an exact count by permutation.
    pub fn observed(&self, device: DeviceIdx) -> bool {
        self.observe.ledger
            && rng::permute(self.seed, Purpose::Observe, 0, self.devices(), device)
                < self.observe.devices
    }

    /// The fault of `phase` from whose clearing recovery is judged: the last to clear, and of those
    /// that clear together the last in the plan.
    pub fn last_clearing(&self, phase: usize) -> Option<usize> {
        let faults = self.faults.iter().enumerate();
        faults
            .filter(|(_, fault)| fault.phase == phase)
            .max_by_key(|(_, fault)| fault.clear)
            .map(|(index, _)| index)
    }

    /// Whether recovery from its phase is judged from the clearing of `fault` on.
    pub fn closes_its_phase(&self, fault: usize) -> bool {
        self.last_clearing(self.faults[fault].phase) == Some(fault)
    }

    /// Time from T0 to the end of the last phase.
    pub fn length(&self) -> Duration {
        self.phases
            .last()
            .map_or(Duration::ZERO, |p| p.start + p.length)
    }
}

/// What is tested.
#[derive(Clone, Debug)]
pub enum Target {
    /// The reference backend, started by the run itself on loopback.
    Embedded(Embedded),
    /// Brokers that are already there.
    Brokers(Brokers),
}

impl Target {
    /// Number of addresses devices are spread over.
    pub fn nodes(&self) -> u16 {
        match self {
            Self::Embedded(e) => e.nodes,
            Self::Brokers(b) => {
                u16::try_from(b.urls.len()).expect("the file's limit on urls is below u16")
            }
        }
    }

    /// Whether a publish on one node reaches subscribers on the others.
    pub fn is_cluster(&self) -> bool {
        match self {
            Self::Embedded(_) => false,
            Self::Brokers(b) => b.topology == Topology::Cluster,
        }
    }
}

/// The reference backend's shape and law. Rates are totals over all nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// Number of nodes, each a process with its own port.
    pub nodes: u16,
    /// CONNECTs admitted per second over all nodes; `None` = at once.
    pub accept_rate_per_s: Option<f64>,
    /// CONNECTs that may wait for admission per node; beyond it they get CONNACK 3.
    pub accept_queue: u32,
    /// Work queue of each node; `None` = work costs nothing.
    pub service: Option<Service>,
    /// What becomes of work whose client has left, in admission and in the work queue.
    pub gone_clients: GoneClients,
    /// Whose the topics are that name no device.
    pub me: Me,
}

/// Whose the topics `v1/devices/me/…` and `v2/{fw,sw}/…` of ThingsBoard are, which name no device.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Me {
    /// Everybody's, as on any broker.
    #[default]
    Shared,
    /// Each connection's own: the backend puts `me/<client id>/` in front of what a client publishes on
    /// or subscribes to there, and takes it off what it delivers; who names `me/…` itself (the
    /// operator) is left alone. A delivery on `v2/fw/error` closes the connection, as ThingsBoard does.
    PerConnection,
}

/// A node's work queue: FIFO, several workers, bounded. At least one kind of work costs time.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Service {
    /// Servers per node, 1 to 1024.
    pub workers: u16,
    /// Work of one CONNECT; `None` = nothing.
    pub connect: Option<ServiceTime>,
    /// Work of one PUBLISH; `None` = nothing.
    pub publish: Option<ServiceTime>,
    /// Jobs that may wait for a worker, per node, at most 1 000 000. Beyond it a CONNECT is refused
    /// and a PUBLISH closes its connection, so a client whose window does not fit, and is written again
    /// in one burst after each reconnect, never gets through.
    pub queue: u32,
}

/// How long a worker is busy with a job. All durations are above zero.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum ServiceTime {
    /// Always the same.
    Fixed(Duration),
    /// Exponentially distributed with this mean.
    Exponential(Duration),
    /// `slow` with probability `slow_share` (0 to 1), else `fast`.
    Bimodal {
        fast: Duration,
        slow: Duration,
        slow_share: f64,
    },
}

/// What becomes of work whose client has left before its turn came.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum GoneClients {
    /// It is passed over at no cost.
    Skip,
    /// It is done like any other, for nothing: the backend does not notice.
    Serve,
}

/// Brokers under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brokers {
    /// Addresses, at least one.
    pub urls: Vec<BrokerUrl>,
    /// How they relate.
    pub topology: Topology,
    /// How devices authenticate.
    pub auth: Auth,
}

impl Brokers {
    /// The reference backend that stands in for them in a simulation: no limits, a node per address;
    /// one for a cluster, on which every publish reaches every subscriber.
    pub fn reference_model(&self) -> Embedded {
        let addresses = u16::try_from(self.urls.len()).expect("the file's limit is below u16");
        Embedded {
            nodes: match self.topology {
                Topology::Cluster => 1,
                Topology::Independent => addresses,
            },
            accept_rate_per_s: None,
            accept_queue: u32::MAX,
            service: None,
            gone_clients: GoneClients::Skip,
            me: Me::Shared,
        }
    }
}

/// `mqtt://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Host name or address literal (an IPv6 literal without brackets).
    pub host: String,
    /// TCP port, 1883 if not given.
    pub port: u16,
}

/// How several broker addresses relate.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// A publish on one reaches subscribers on all.
    Cluster,
    /// Each is a broker of its own.
    Independent,
}

/// Credentials of devices and observers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// User name template.
    pub username: Option<Template>,
    /// Password template; its literals may come from `${env:…}` or `${file:…}`.
    pub password: Option<Template>,
    /// `(id, token)` per device by index, from a CSV; empty if none was named.
    pub tokens: Vec<(String, Secret)>,
}

/// A string that is never printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// A group of devices with one profile.
#[derive(Clone, Debug)]
pub struct Cohort {
    /// `[a-z0-9-]`, unique.
    pub name: String,
    /// First device.
    pub first: DeviceIdx,
    /// Number of devices, at least 1.
    pub devices: u32,
    /// Named attributes with exact shares, by name.
    pub attributes: Vec<Attribute>,
    /// Connection behaviour.
    pub client: Client,
    /// What its packets pass; `None` = nothing that delays them.
    pub link: Option<Link>,
    /// MQTT session.
    pub session: Session,
    /// What a device does after each CONNACK, in order.
    pub on_connect: Vec<Step>,
    /// Range of `Plan::streams`.
    pub streams: std::ops::Range<usize>,
    /// How what waits is kept and forwarded; `None` = all of it, and all at once.
    pub store: Option<Store>,
    /// How its devices update themselves; `None` = they do not.
    pub update: Option<UpdateClient>,
    /// How its devices take commands; `None` = they do not.
    pub commands: Option<CommandHandler>,
    /// How its devices report their state; `None` = they do not.
    pub reported: Option<Reported>,
}

/// A device's store for the samples that wait, over its streams with [`WhenLate::Send`].
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Store {
    /// Most samples that wait, at least 1.
    pub messages: u32,
    /// A sample that waited for so long since its intended instant is dropped; `None` = never.
    pub age: Option<Duration>,
    /// What goes when a sample finds the store full.
    pub when_full: WhenFull,
    /// Least time between two writes of the backlog, which is what came due before the device was
    /// online this time; `None` = none.
    pub drain_gap: Option<Duration>,
    /// In which order the backlog is written.
    pub order: DrainOrder,
    /// Whether what comes due while the backlog is written overtakes it.
    pub first: First,
}

/// What goes when a sample finds the store full.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest of the device.
    DropOldest,
    /// The one that just came due.
    DropNewest,
    /// The oldest of the stream with the lowest priority, which may be the one that just came due.
    DropByPriority,
}

/// In which order a backlog is written.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum DrainOrder {
    /// As the samples came due.
    OldestFirst,
    /// The other way round.
    NewestFirst,
}

/// What a device that is back writes first.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum First {
    /// What comes due now, while the backlog waits.
    Live,
    /// The backlog, while what comes due queues behind it.
    Backlog,
}

/// An attribute of a cohort's devices.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Name as used by `where`.
    pub name: String,
    /// Values with the exact number of devices each; sums to the cohort's devices.
    pub values: Vec<(String, u32)>,
    /// The attribute at the top of the tree that this one is in: both go by the same order of
    /// devices, so that each of the values here lies within one of those above. `None` = it is at
    /// the top itself.
    pub root: Option<String>,
}

/// Connection behaviour of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// The SDK preset it is, or from which it begins.
    pub preset: Option<&'static str>,
    /// From OPEN to CONNACK.
    pub connect_timeout: Duration,
    /// Whole seconds, 0 = off.
    pub keep_alive_s: u16,
    /// From what [`Client::ping_on`] names to a PINGREQ, in whole seconds, 1 to `keep_alive_s`; `None` =
    /// `keep_alive_s`.
    pub ping_interval_s: Option<u16>,
    /// What the interval is an interval of.
    pub ping_on: PingOn,
    /// From PINGREQ to PINGRESP; no longer than the keep-alive, if that is on.
    pub ping_timeout: Duration,
    /// Reconnect policy.
    pub backoff: Backoff,
    /// MQTT client identifier.
    pub client_id: Template,
    /// Un-acknowledged QoS 1 publishes at a time, 1 to 256.
    pub inflight: u16,
}

/// The wait before attempt k after a failure, k from 0.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Backoff {
    /// How the wait grows and is drawn.
    pub shape: BackoffShape,
    /// The wait between the loss of a connection and the first attempt; the shape's own waits begin
    /// after that attempt. `None` = the shape's first.
    pub first: Option<Duration>,
    /// The shape begins anew once the device was online for this long without a break.
    pub reset_after: Duration,
    /// Give up after this many failed attempts in a row; `None` = never.
    pub give_up_after: Option<u32>,
}

impl Backoff {
    /// The policy of this shape that begins anew with each connection and never gives up.
    pub const fn of(shape: BackoffShape) -> Self {
        Self {
            shape,
            first: None,
            reset_after: Duration::ZERO,
            give_up_after: None,
        }
    }
}

/// How a backoff grows and is drawn. With v = min(cap, base * 2^k): see
/// aws-samples/aws-arch-backoff-simulator for the jitter formulas. The shapes with an SDK's name
/// follow its code, which differs from these formulas.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum BackoffShape {
    /// Always the same.
    Fixed(Duration),
    /// v.
    NoJitter { base: Duration, cap: Duration },
    /// U(0, v).
    FullJitter { base: Duration, cap: Duration },
    /// v/2 + U(0, v/2).
    EqualJitter { base: Duration, cap: Duration },
    /// s = min(cap, U(base, 3 * s of the attempt before)), starting from base.
    DecorrelatedJitter { base: Duration, cap: Duration },
    /// min(cap, U(0, base * 2^k)): cut after the draw, so that in a long outage most waits are the
    /// cap itself. awslabs/aws-c-mqtt `source/v5/mqtt5_client.c`,
    /// `s_update_reconnect_delay_for_pending_reconnect`.
    AwsCrt { base: Duration, cap: Duration },
    /// At first 0, then min(cap, base * 2^(k-1)) * (1 + U(0, 5 %)) cut to whole seconds; base and
    /// cap are whole seconds. Azure/azure-iot-sdk-c `iothub_client/src/iothub_client_retry_control.c`,
    /// `evaluate_retry_action` and `calculate_next_wait_time` (which counts the wait from the start
    /// of the attempt before; here it follows its end, like all others).
    AzureIotSdkC { base: Duration, cap: Duration },
    /// v + U(0, jitter) if that is below the cap, else v: once v is the cap there is no jitter.
    /// Azure/azure-sdk-for-c `sdk/src/azure/iot/az_iot_common.c`, `az_iot_calculate_retry_delay`
    /// (which also deducts the time that the attempt before took; here the wait follows its end).
    AzureSdkForC {
        base: Duration,
        cap: Duration,
        jitter: Duration,
    },
    /// A whole number of seconds from v / 1.2 to v * 1.2, all equally likely, both cut to whole
    /// seconds, so that the cap may be exceeded; base and cap are whole seconds.
    /// eclipse/paho.mqtt.c `src/MQTTAsyncUtils.c`, `MQTTAsync_randomJitter` and
    /// `MQTTAsync_startConnectRetry`.
    PahoC { base: Duration, cap: Duration },
}

/// The access link of each device of a cohort, at the device's end; its law is `device::path`.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Link {
    /// The preset it is, or from which it begins.
    pub preset: Option<&'static str>,
    /// From the device to the target.
    pub up: Direction,
    /// From the target to the device.
    pub down: Direction,
}

/// One direction of a link.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Direction {
    /// How long a packet takes, besides its transmission.
    pub delay: Delay,
    /// Share of packets lost each time they are transmitted, 0 to [`Direction::LOSS_MAX`].
    pub loss: f64,
    /// Bits per second; `None` = no limit.
    pub bandwidth_bps: Option<NonZeroU64>,
}

impl Direction {
    /// Highest `loss`: where more is lost, TCP all but stands still.
    pub const LOSS_MAX: f64 = 0.5;
}

/// The one-way delay of a packet, at most [`Delay::MAX`].
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Delay {
    /// `base` plus a uniform draw below `jitter`.
    Uniform { base: Duration, jitter: Duration },
    /// `median` times e to the `sigma` z with z standard normal; at most `cap`. `median` is not
    /// zero and not above `cap`, `sigma` from 0 to [`Delay::SIGMA_MAX`].
    LogNormal {
        median: Duration,
        sigma: f64,
        cap: Duration,
    },
}

impl Delay {
    /// Longest one-way delay: what the slowest packets over NB-IoT took (see `scenario::links`).
    pub const MAX: Duration = Duration::from_secs(300);
    /// Highest `sigma`: one packet in twenty takes more than a hundred times the median.
    pub const SIGMA_MAX: f64 = 3.0;
}

/// MQTT session of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Clean Session flag.
    pub clean: bool,
    /// Will message.
    pub will: Option<WillPlan>,
}

/// Will message with its topic as a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WillPlan {
    /// Topic.
    pub topic: Template,
    /// Payload.
    pub payload: Template,
    /// Quality of service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
}

/// One step after CONNACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Subscribe to a filter and wait for SUBACK before the next step.
    Subscribe { topic: Template, qos: QoS },
    /// Subscribe to several filters by one SUBSCRIBE and wait for SUBACK before the next step; not
    /// empty.
    SubscribeMany(Vec<(Template, QoS)>),
    /// End subscriptions by one UNSUBSCRIBE and wait for UNSUBACK before the next step; not empty.
    Unsubscribe(Vec<Template>),
    /// Publish once; the acknowledgement is not waited for.
    Publish {
        topic: Template,
        payload: Template,
        qos: QoS,
        retain: bool,
    },
}

impl Step {
    /// The filters that it subscribes to, with the QoS it asks for.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&Template, QoS)> {
        let (one, many) = match self {
            Self::Subscribe { topic, qos } => (Some((topic, *qos)), &[][..]),
            Self::SubscribeMany(filters) => (None, filters.as_slice()),
            Self::Unsubscribe(_) | Self::Publish { .. } => (None, &[][..]),
        };
        let many = many.iter().map(|(topic, qos)| (topic, *qos));
        one.into_iter().chain(many)
    }
}

/// A telemetry stream of each device of a cohort.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Name, unique in its cohort.
    pub name: String,
    /// Owning cohort.
    pub cohort: usize,
    /// Topic.
    pub topic: Template,
    /// Quality of service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// Arrivals.
    pub schedule: Schedule,
    /// Body of a message.
    pub payload: Payload,
    /// What happens to an arrival that cannot be sent at once.
    pub when_late: WhenLate,
    /// From first write to giving up on the PUBACK or PUBCOMP.
    pub ack_timeout: Duration,
    /// A higher one survives longer in a store that drops by priority.
    pub priority: u8,
}

/// When a stream's messages are due. A schedule starts at power-on and never depends on being
/// connected.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Schedule {
    /// Fixed period.
    Every { period: Duration, phase: PhaseShape },
    /// Exponential gaps with this mean.
    Poisson { mean_gap: Duration },
}

/// Where in its period a fixed-rate stream starts.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum PhaseShape {
    /// Drawn once per device and stream, uniform over the period, after power-on.
    Uniform,
    /// On multiples of the period since T0, plus a fresh uniform draw below `jitter` each time.
    Aligned { jitter: Duration },
    /// First at power-on, then each period.
    Boot,
}

/// What happens to an arrival that finds no connection or a full inflight window.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum WhenLate {
    /// It waits and is sent late, in order.
    Send,
    /// It is dropped at once (`unsent: skipped`).
    Skip,
    /// Only the newest waits; older ones are dropped (`unsent: skipped`).
    Latest,
}

/// Body of a telemetry message.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// A JSON object; the stamp goes into the field `stamp_field` of `Observe`.
    Json(Vec<(String, Field)>),
    /// This many bytes in all; the stamp's 32 characters come first (so at least 32 with the ledger on).
    Bytes(u32),
}

/// Generator of one JSON field: a pure function of (seed, device, stream, seq).
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// Hashed lattice noise between `min` and `max` that moves by about `step` per message.
    Walk { step: f64, min: f64, max: f64 },
    /// Uniform in [min, max].
    Uniform { min: f64, max: f64 },
    /// The sequence number.
    Counter,
    /// Always this JSON value (already encoded).
    Constant(String),
}

/// Which devices' telemetry is received and ledgered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observe {
    /// Exact number of devices, from `share` of the fleet.
    pub devices: u32,
    /// Whether payloads carry the 24-byte stamp at all.
    pub ledger: bool,
    /// Name of the JSON field that carries it, `_fs` by default.
    pub stamp_field: String,
}

/// A stretch of the run.
#[derive(Clone, Debug)]
pub struct Phase {
    /// `[a-z0-9-_ ]`, unique.
    pub name: String,
    /// From T0.
    pub start: Duration,
    /// Length; `start + length` is the next phase's start.
    pub length: Duration,
    /// Devices that get power in it.
    pub power_on: Option<PowerOn>,
}

/// Devices get power.
#[derive(Clone, Debug)]
pub struct PowerOn {
    /// How it comes to them.
    pub pace: Pace,
    /// How long each boots before its first connect.
    pub boot: BootTime,
    /// Which; devices that already have power are left alone.
    pub who: Selector,
}

/// A set of devices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selector {
    /// Only this cohort (index).
    pub cohort: Option<usize>,
    /// Only devices with this home node.
    pub node: Option<u16>,
    /// Only devices whose attribute has this value.
    pub attributes: Vec<(String, String)>,
    /// Only devices whose attribute has one of these values, which the seed has drawn.
    pub any_of: Vec<(String, Vec<String>)>,
    /// Of those, this exact share (0 to 1) by permutation; `None` = all.
    pub share: Option<f64>,
    /// Which of the permutations `share` uses: selectors that differ in nothing else mean different
    /// devices if they differ in this.
    pub draw: u32,
    /// Of those, the ones that are not meant after all; `None` = nobody is spared.
    pub spared: Option<Spared>,
}

/// An exact part of the devices of a selector that its fault does not reach.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Spared {
    /// Their share, 0 to 1, by permutation.
    pub share: f64,
    /// The fault's place in the file, the same for all its repetitions: each fault spares others.
    pub fault: u32,
}

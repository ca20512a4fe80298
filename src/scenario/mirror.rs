//! The words of a scenario file, one type per mapping: read by `tree::decode`, turned into a `Plan`
//! by `check`, and the source of the JSON Schema, whose descriptions are the doc comments here.

mod campaign;
mod domain;
mod length;
mod link;
mod network;
mod power;
mod recovery;
mod sdk;
mod slo;
mod store;
mod update;

pub(super) use campaign::{
    Abort, Action, Campaign, Defect, EffectWord, FailureWord, FleetCommand, FleetQuery, Image,
    Ladder, OfflineWord, OrderWord, Priority, Rollout, RolloutWave, RungEnd, ServerWord,
};
pub(super) use domain::{Values, Wanted};
pub(super) use length::{Drawn, Length};
pub(super) use link::{Link, LinkSettings};
pub(super) use network::{Degrade, Repeat};
pub(super) use power::{BootTime, Crash, PowerCut, Spread};
pub(super) use recovery::{Recovery, RecoveryWord};
pub(super) use sdk::SdkName;
pub(super) use slo::{Among, IndicatorWord, Slo};
pub(super) use store::{DrainOrder, First, Store, WhenFull};
pub(super) use update::{
    Commands, EncodingWord, GenericAction, Profile, Reported, ResumeWord, Update,
};

use super::located::{At, Pairs};
use super::quantity::{Nodes, Number, Qos, Rate, Share, Time};
use schemars::JsonSchema;
use serde::Deserialize;

/// A scenario: a fleet, a target, phases, and what is judged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "fleetstorm scenario")]
pub(super) struct File {
    /// Short name: lower-case letters, digits and `-`.
    #[schemars(required)]
    pub(super) name: Option<At<String>>,
    /// One sentence for people.
    pub(super) about: Option<String>,
    /// Root of all random draws; 42 if absent.
    pub(super) seed: Option<u64>,
    /// What is tested; the embedded reference backend if absent.
    pub(super) target: Option<At<Target>>,
    /// Groups of like devices.
    #[schemars(required)]
    pub(super) fleet: Option<At<Vec<At<Cohort>>>>,
    /// Which devices' telemetry is received and checked for loss.
    pub(super) observe: Option<Observe>,
    /// Rollouts of images; at most 64.
    pub(super) campaigns: Option<At<Vec<At<Campaign>>>>,
    /// Commands to parts of the fleet; at most 64.
    pub(super) commands: Option<At<Vec<At<FleetCommand>>>>,
    /// Questions about the fleet; at most 64.
    pub(super) queries: Option<At<Vec<At<FleetQuery>>>>,
    /// Stretches of the run, back to back.
    #[schemars(required)]
    pub(super) phases: Option<At<Vec<At<Phase>>>>,
    /// What the run is judged by.
    pub(super) slos: Option<Vec<At<Slo>>>,
    /// How the recovery from a fault is judged.
    pub(super) recovery: Option<Recovery>,
    /// Longest wait after the last phase for what is in flight; 30s if absent.
    pub(super) drain: Option<Time>,
}

/// What is tested: `embedded` or `brokers`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    /// The reference backend, started by the run itself on loopback.
    pub(super) embedded: Option<At<Embedded>>,
    /// Brokers that are already there.
    pub(super) brokers: Option<At<Brokers>>,
    /// How devices authenticate with brokers.
    pub(super) auth: Option<At<Auth>>,
}

/// The reference backend. Rates are totals over all nodes; queues and workers are per node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Embedded {
    /// Number of nodes, each a process with its own port; auto if absent.
    pub(super) nodes: Option<Nodes>,
    /// Connections admitted per second; no limit if absent.
    pub(super) accept_rate: Option<Rate>,
    /// Connections that may wait for admission per node; 100000 if absent.
    pub(super) accept_queue: Option<u32>,
    /// What work costs: a queue of jobs per node, served in order of arrival; nothing if absent.
    pub(super) service: Option<At<Service>>,
    /// What becomes of work whose client has left before its turn came; skip if absent.
    pub(super) gone_clients: Option<At<GoneClients>>,
    /// Whose the topics of ThingsBoard are that name no device (`v1/devices/me/…`, `v2/fw/…`); shared
    /// if absent.
    pub(super) me: Option<MeWord>,
}

/// Whose the topics are that name no device.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum MeWord {
    /// Everybody's, as on any broker.
    Shared,
    /// Each connection's own, as on ThingsBoard.
    PerConnection,
}

/// The work queue of each node. CONNACK, routing, and PUBACK or PUBREC come when a worker has done
/// the work; what follows on the same connection waits for it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// Jobs that a node works on at a time, 1 to 1024; 1 if absent.
    #[schemars(range(min = 1, max = 1_024))]
    pub(super) workers: Option<At<u32>>,
    /// Work of one CONNECT; nothing if absent.
    pub(super) connect: Option<At<ServiceTime>>,
    /// Work of one PUBLISH; nothing if absent.
    pub(super) publish: Option<At<ServiceTime>>,
    /// Jobs that may wait for a worker, per node; beyond it a CONNECT is refused at once (CONNACK 3,
    /// "server unavailable") and a PUBLISH closes its connection; 100000 if absent.
    /// Choose no less than a client's `inflight`: what is in flight is written again in one burst after
    /// a reconnect, and a client whose burst does not fit is closed each time and never gets through.
    #[schemars(range(max = 1_000_000))]
    pub(super) queue: Option<At<u32>>,
}

/// How long a worker is busy with one job.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ServiceTime {
    /// Always the same.
    Fixed(At<Time>),
    /// Exponentially distributed with this mean.
    Exponential(At<Time>),
    /// Fast most of the time, slow for a share of the jobs.
    Bimodal(Bimodal),
}

/// Service times of two kinds, by seeded draw.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Bimodal {
    /// Time of most jobs.
    pub(super) fast: At<Time>,
    /// Time of the others.
    pub(super) slow: At<Time>,
    /// Share of the others.
    pub(super) slow_share: Share,
}

/// What becomes of work whose client has left before its turn came.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum GoneClients {
    /// It is passed over at no cost.
    Skip,
    /// It is done like any other, for nothing: what a backend does that reads a connection's end
    /// only when its turn comes.
    Serve,
}

/// Brokers that are already there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Brokers {
    /// Addresses such as `mqtt://10.0.0.7:1883`; port 1883 if absent.
    pub(super) urls: At<Vec<At<String>>>,
    /// How several addresses relate; independent if absent.
    pub(super) topology: Option<Topology>,
}

/// How several broker addresses relate.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Topology {
    /// A publish on one reaches subscribers on all.
    Cluster,
    /// Each is a broker of its own.
    Independent,
}

/// How devices authenticate. Secrets come from `${env:NAME}` or `${file:PATH}`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Auth {
    /// User name; with placeholders such as `{device}`, or `{id}` of the CSV.
    pub(super) username: Option<At<String>>,
    /// Password: `${env:NAME}`, `${file:PATH}`, or `{token}` of the CSV.
    pub(super) password: Option<At<String>>,
    /// CSV file with a row `id,token` per device.
    pub(super) csv: Option<At<String>>,
}

/// A group of devices with one profile.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cohort {
    /// Name: lower-case letters, digits and `-`; devices are called `<cohort>-<index>`.
    pub(super) cohort: At<String>,
    /// Number of devices.
    pub(super) devices: At<u32>,
    /// Named attributes, each with the exact shares of its values, or split evenly within another.
    #[serde(default)]
    pub(super) attributes: Pairs<At<Values>>,
    /// How a device connects.
    pub(super) client: Option<Client>,
    /// The access link that its packets pass; none, so no delay, if absent.
    pub(super) link: Option<At<Link>>,
    /// Its MQTT session.
    pub(super) session: Option<Session>,
    /// What it does after each CONNACK, in order.
    #[serde(default)]
    pub(super) on_connect: Vec<At<Step>>,
    /// What it publishes.
    #[serde(default)]
    pub(super) telemetry: Vec<At<Stream>>,
    /// How it keeps and forwards what cannot be sent at once; if absent, it keeps all of it and sends
    /// all of it in order as soon as it can.
    pub(super) store: Option<At<Store>>,
    /// How it reports its state; not at all if absent.
    pub(super) reported: Option<At<Reported>>,
    /// How it takes commands; not at all if absent.
    pub(super) commands: Option<At<Commands>>,
    /// How it updates itself; not at all if absent.
    pub(super) update: Option<At<Update>>,
}

/// How a device connects.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Client {
    /// SDK whose settings hold where none are given here, in place of the defaults named here.
    pub(super) preset: Option<At<SdkName>>,
    /// From opening the socket to CONNACK; 10s if absent.
    pub(super) connect_timeout: Option<At<Time>>,
    /// Whole seconds, 0s = off; 60s if absent.
    pub(super) keep_alive: Option<At<Time>>,
    /// From what `ping_on` names to a PINGREQ, in whole seconds and at most `keep_alive`, which it is
    /// if absent.
    pub(super) ping_interval: Option<At<Time>>,
    /// Whose silence makes it ping; silence_either if absent.
    pub(super) ping_on: Option<PingOn>,
    /// From PINGREQ to PINGRESP, at most `keep_alive`; 10s or `keep_alive` if absent, whichever is
    /// shorter.
    pub(super) ping_timeout: Option<At<Time>>,
    /// The wait before a new attempt; full jitter from 1s to 30s if absent.
    pub(super) backoff: Option<At<Backoff>>,
    /// The wait between the loss of a connection and the first attempt; if absent, the first of the
    /// backoff.
    pub(super) first_wait: Option<At<Time>>,
    /// How long a device must have been online for its backoff to begin anew; 0s if absent.
    pub(super) reset_after: Option<At<Time>>,
    /// Failed attempts in a row after which a device stops trying; never if absent.
    pub(super) give_up_after: Option<At<u32>>,
    /// MQTT client identifier; `{device}-{run}` if absent.
    pub(super) client_id: Option<At<String>>,
    /// QoS 1 and 2 publishes without PUBACK or PUBCOMP at a time, 1 to 256; 16 if absent.
    pub(super) inflight: Option<At<u32>>,
}

/// The wait before attempt k (from 0) after a failure, with v = min(cap, base * 2^k).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = super::schema::bare_words)]
pub(super) enum Backoff {
    /// Always the same.
    Fixed(At<Time>),
    /// v.
    NoJitter(Exponential),
    /// Uniform from 0 to v.
    FullJitter(Exponential),
    /// v/2 plus uniform from 0 to v/2.
    EqualJitter(Exponential),
    /// Uniform from base to three times the wait before, at most cap.
    DecorrelatedJitter(Exponential),
    /// As in the AWS CRT's MQTT 5 client: uniform from 0 to base * 2^k, then at most cap.
    AwsCrt(AwsCrt),
    /// As in azure-iot-sdk-c: at first at once, then min(cap, base * 2^(k-1)) plus up to 5 %, in
    /// whole seconds.
    AzureIotSdkC(AzureIotSdkC),
    /// As in azure-sdk-for-c: v, plus uniform from 0 to jitter if that stays below cap.
    AzureSdkForC(AzureSdkForC),
    /// As in Paho C: v plus or minus a fifth, in whole seconds.
    PahoC(PahoC),
}

/// Growth of a backoff.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Exponential {
    /// First wait; 1s if absent.
    pub(super) base: Option<At<Time>>,
    /// Longest wait; 30s if absent.
    pub(super) cap: Option<At<Time>>,
}

/// Growth of the AWS CRT's backoff.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AwsCrt {
    /// 1s if absent.
    pub(super) base: Option<At<Time>>,
    /// Longest wait; 120s if absent.
    pub(super) cap: Option<At<Time>>,
}

/// Growth of azure-iot-sdk-c's backoff.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AzureIotSdkC {
    /// Second wait, in whole seconds; 1s if absent.
    pub(super) base: Option<At<Time>>,
    /// Longest wait before the 5 % are added, in whole seconds; 30s if absent.
    pub(super) cap: Option<At<Time>>,
}

/// Growth of azure-sdk-for-c's backoff.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AzureSdkForC {
    /// First wait; 1s if absent.
    pub(super) base: Option<At<Time>>,
    /// Longest wait; 100s if absent.
    pub(super) cap: Option<At<Time>>,
    /// What may be added; 5s if absent.
    pub(super) jitter: Option<At<Time>>,
}

/// Growth of Paho C's backoff.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PahoC {
    /// First wait before the jitter, in whole seconds; 1s if absent.
    pub(super) base: Option<At<Time>>,
    /// Longest wait before the jitter, in whole seconds; 60s if absent.
    pub(super) cap: Option<At<Time>>,
}

/// MQTT session of a device.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    /// Clean Session flag; true if absent.
    pub(super) clean: Option<bool>,
    /// Will message.
    pub(super) will: Option<Will>,
}

/// Message that the broker publishes if a device vanishes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Will {
    /// Topic, with placeholders.
    pub(super) topic: At<String>,
    /// Text, with placeholders; empty if absent.
    pub(super) payload: Option<At<String>>,
    /// 0 if absent.
    pub(super) qos: Option<Qos>,
    /// false if absent.
    pub(super) retain: Option<bool>,
}

/// One step after CONNACK.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// Subscribe and wait for the SUBACK.
    Subscribe(Subscribe),
    /// Subscribe to several filters, at most 64, by one packet and wait for the SUBACK.
    SubscribeMany(At<Vec<Subscribe>>),
    /// End subscriptions, at most 64, by one packet and wait for the UNSUBACK: topic filters as they
    /// were subscribed to.
    Unsubscribe(At<Vec<At<String>>>),
    /// Publish once.
    Publish(Publish),
}

/// A subscription.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscribe {
    /// Topic filter, with placeholders.
    pub(super) topic: At<String>,
    /// Highest QoS wanted; 0 if absent.
    pub(super) qos: Option<Qos>,
}

/// A message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Publish {
    /// Topic, with placeholders.
    pub(super) topic: At<String>,
    /// Text, with placeholders; empty if absent.
    pub(super) payload: Option<At<String>>,
    /// 0 if absent.
    pub(super) qos: Option<Qos>,
    /// false if absent.
    pub(super) retain: Option<bool>,
}

/// A telemetry stream of each device of the cohort.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Stream {
    /// Name: lower-case letters, digits and `-`, unique in its cohort.
    pub(super) stream: At<String>,
    /// Topic, with placeholders.
    pub(super) topic: At<String>,
    /// 1 if absent.
    pub(super) qos: Option<Qos>,
    /// Period of a fixed rate; or write `poisson`.
    pub(super) every: Option<At<Time>>,
    /// Mean rate of random arrivals; or write `every`.
    pub(super) poisson: Option<At<Rate>>,
    /// Where in its period a device starts; uniform if absent.
    pub(super) phase: Option<At<PhaseShape>>,
    /// Body of a message; 64 bytes if absent.
    pub(super) payload: Option<At<Payload>>,
    /// What happens to a message that cannot be sent at once; send if absent.
    pub(super) when_late: Option<WhenLate>,
    /// From the first write to giving up on the PUBACK (QoS 1) or PUBCOMP (QoS 2); 30s if absent.
    pub(super) ack_timeout: Option<At<Time>>,
    /// Ask the broker to keep the latest message for later subscribers; false if absent.
    pub(super) retain: Option<bool>,
    /// A higher one survives longer in a `store` with `when_full: drop_by_priority`, 0 to 255; 100 if
    /// absent.
    pub(super) priority: Option<u8>,
}

/// Where in its period a fixed-rate stream starts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = super::schema::bare_words)]
pub(super) enum PhaseShape {
    /// Each device somewhere else, uniform over the period.
    Uniform,
    /// All on multiples of the period, such as the top of the minute.
    Aligned(Aligned),
    /// At power-on, then each period.
    Boot,
}

/// Settings of an aligned schedule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Aligned {
    /// Each message is later by a uniform draw below this; 0s if absent.
    pub(super) jitter: Option<At<Time>>,
}

/// Body of a telemetry message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Payload {
    /// A JSON object with generated fields.
    Json(Pairs<At<Field>>),
    /// So many bytes in all (at least 32 with the ledger on).
    Bytes(u32),
}

/// Generator of one JSON field.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Field {
    /// A value that drifts.
    Walk(Walk),
    /// A fresh uniform draw each time.
    Uniform(Uniform),
    /// The message's sequence number.
    Counter,
    /// Always this value.
    Constant(serde_json::Value),
}

/// A value that drifts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Walk {
    /// About how far it moves per message.
    pub(super) step: Number,
    /// Lowest value.
    pub(super) min: Number,
    /// Highest value.
    pub(super) max: Number,
}

/// A uniform draw.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Uniform {
    /// Lowest value.
    pub(super) min: Number,
    /// Highest value.
    pub(super) max: Number,
}

/// What happens to a message that finds no connection or a full inflight window.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum WhenLate {
    /// It waits and is sent late, in order.
    Send,
    /// It is dropped at once.
    Skip,
    /// Only the newest waits.
    Latest,
}

/// Which devices' telemetry is received and checked for loss.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Observe {
    /// Share of the fleet; 100% if absent.
    pub(super) share: Option<Share>,
    /// Whether payloads carry the 32-character stamp at all; on if absent.
    pub(super) ledger: Option<OnOff>,
    /// JSON field that carries it; `_fs` if absent.
    pub(super) field: Option<At<String>>,
}

/// A switch.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnOff {
    /// Yes.
    On,
    /// No.
    Off,
}

/// A stretch of the run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Phase {
    /// Name: lower-case letters, digits, `-`, `_` and spaces.
    pub(super) name: At<String>,
    /// Length; as long as its power_on takes if absent.
    #[serde(rename = "for")]
    pub(super) length: Option<At<Time>>,
    /// Devices that get power in it.
    pub(super) power_on: Option<At<PowerOn>>,
    /// What goes wrong in it.
    #[serde(default)]
    pub(super) faults: Vec<At<Fault>>,
    /// What an operator does in it.
    #[serde(default)]
    pub(super) actions: Vec<At<Action>>,
}

/// Devices get power, at a `rate` in a random order or spread `over` time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PowerOn {
    /// Devices per second; or write `over`.
    pub(super) rate: Option<Rate>,
    /// How power comes to them; or write `rate`.
    pub(super) over: Option<At<Spread>>,
    /// From power to the first connect; 0s if absent.
    pub(super) boot: Option<At<BootTime>>,
    /// Which; all that have no power yet if absent.
    #[serde(rename = "where")]
    pub(super) who: Option<At<Where>>,
}

/// Which devices: `cohort`, `node`, `share` with `draw`, and any attribute with its value, some of its
/// values (`any_of`), so many of them (`any`) or those below a version (`below`).
#[derive(Debug, Deserialize)]
pub(super) struct Where(pub(super) Pairs<At<Wanted>>);

impl JsonSchema for Where {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Where".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let share = generator.subschema_for::<Share>();
        schemars::json_schema!({
            "type": "object",
            "description": "Which devices: all conditions hold; share picks an exact part of those.",
            "properties": {
                "cohort": { "type": "string", "description": "Only this cohort." },
                "node": { "type": "integer", "minimum": 0, "description": "Only devices of this node." },
                "share": share,
                "draw": {
                    "type": "integer", "minimum": 0, "maximum": 4_294_967_295u32,
                    "description": "Which devices the share picks; 0 if absent. The same number picks the same ones everywhere.",
                },
            },
            "additionalProperties": generator.subschema_for::<Wanted>(),
        })
    }
}

/// Something that goes wrong, for the whole phase unless `at` and `for` say otherwise.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// Start, from the phase's start; 0s if absent.
    pub(super) at: Option<At<Time>>,
    /// Length, or what it is drawn from; if absent, to the phase's end, or for a crash its `within`,
    /// 1s at least.
    #[serde(rename = "for")]
    pub(super) length: Option<At<Length>>,
    /// A fault of the embedded target; or write `outage`.
    pub(super) backend: Option<At<BackendFault>>,
    /// A fault of the devices' network, with any target; or write `backend`.
    pub(super) outage: Option<At<Outage>>,
    /// A worse link for devices, with any target; or write `backend` or `outage`.
    pub(super) degrade: Option<At<Degrade>>,
    /// The fault comes again; once if absent.
    pub(super) repeat: Option<At<Repeat>>,
    /// Devices lose their power until it clears, with any target.
    pub(super) power_cut: Option<At<PowerCut>>,
    /// Devices restart, with any target.
    pub(super) crash: Option<At<Crash>>,
}

/// What goes wrong with the devices' network.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = super::schema::bare_words)]
pub(super) enum Outage {
    /// Connections are reset (RST), and new ones refused until it clears.
    Reset(Cut),
    /// Connections are closed (FIN), and new ones refused until it clears.
    Close(Cut),
    /// Connections go on, but new ones are refused until it clears.
    Refuse(OnDevices),
    /// Connections go on, but the target's name cannot be resolved for new ones until it clears.
    Dns(OnDevices),
    /// Nothing passes in either direction until it clears, and nobody is told: established
    /// connections fall silent, and new ones time out.
    Blackhole(OnDevices),
}

/// The end of connections.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cut {
    /// Whose; all devices' if absent.
    #[serde(rename = "where")]
    pub(super) who: Option<At<Where>>,
    /// Each connection ends at a uniform draw below this after the start; 0s, at once, if absent.
    pub(super) within: Option<At<Time>>,
    /// Exact share of those devices that it does not reach; 0% if absent.
    pub(super) leak: Option<At<Share>>,
}

/// Whom a fault means.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OnDevices {
    /// Which devices; all if absent.
    #[serde(rename = "where")]
    pub(super) who: Option<At<Where>>,
    /// Exact share of those devices that it does not reach; 0% if absent.
    pub(super) leak: Option<At<Share>>,
}

/// What a client pings on.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum PingOn {
    /// Nothing was written for the interval. All that MQTT asks for; a device that says much is late
    /// to notice a dead peer.
    SilenceOut,
    /// Nothing was written, or nothing was received, for the interval.
    SilenceEither,
    /// The interval is over, whatever was written or received.
    Always,
}

/// What goes wrong with the reference backend.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = super::schema::bare_words)]
pub(super) enum BackendFault {
    /// Connections are reset and attempts refused until it clears.
    Restart(Restart),
    /// CONNECTs are answered with "server unavailable".
    Refuse(OnNode),
    /// Nothing is read or answered until it clears.
    Stall(OnNode),
    /// The acknowledgement of each PUBLISH (PUBACK, or PUBREC at QoS 2) is held back.
    AckDelay(AckDelay),
    /// Publishes are routed but not acknowledged: no PUBACK, and no PUBREC at QoS 2.
    DropAck(DropAck),
    /// Publishes at QoS 1 and 2 are acknowledged but reach nobody: neither routed nor retained.
    Lose(Lose),
    /// The listener accepts nothing.
    PauseAccepting(OnNode),
}

/// A restart of a node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Restart {
    /// Which node; all if absent.
    pub(super) node: Option<At<u16>>,
    /// How long it is down; the fault's window if absent.
    pub(super) down: Option<At<Time>>,
    /// What it remembers of persistent sessions; keep if absent.
    pub(super) sessions: Option<Sessions>,
}

/// What a restarted node remembers of persistent sessions.
#[derive(Copy, Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sessions {
    /// All, as from disk.
    Keep,
    /// None. Retained messages are no part of a session and stay.
    Forget,
}

/// Where a fault acts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OnNode {
    /// Which node; all if absent.
    pub(super) node: Option<At<u16>>,
}

/// Acknowledgements of PUBLISHes held back: PUBACK, or PUBREC at QoS 2.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AckDelay {
    /// Which node; all if absent.
    pub(super) node: Option<At<u16>>,
    /// By how much.
    pub(super) delay: At<Time>,
}

/// Acknowledgements of PUBLISHes dropped (PUBACK, or PUBREC at QoS 2): `share` or `count`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DropAck {
    /// Which node; all if absent.
    pub(super) node: Option<At<u16>>,
    /// This share of publishes, by seeded draw.
    pub(super) share: Option<Share>,
    /// The first so many of the window.
    pub(super) count: Option<u32>,
}

/// Publishes at QoS 1 and 2 that are acknowledged and lost: `share` or `count`. Retransmissions (DUP)
/// are spared.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Lose {
    /// Which node; all if absent.
    pub(super) node: Option<At<u16>>,
    /// This share of publishes, by seeded draw.
    pub(super) share: Option<Share>,
    /// The first so many of the window; on all nodes, split evenly among them.
    pub(super) count: Option<u32>,
}

//! Cohorts: sizes, attributes, sessions, and the steps after CONNACK.

use super::Checker;
use super::apportion::{apportion, scale};
use crate::mqtt::packet::QoS;
use crate::scenario::errors::Problem;
use crate::scenario::located::{At, Pairs};
use crate::scenario::mirror;
use crate::scenario::plan::{Attribute, Cohort, Session, Step, Stream, WillPlan};
use crate::scenario::quantity::parse_share;

/// Most devices of a fleet.
const MAX_DEVICES: u32 = 10_000_000;
/// Most cohorts.
const MAX_COHORTS: usize = 1_000;
/// Most steps after CONNACK.
const MAX_STEPS: usize = 64;
/// Most filters of one step, and so of one packet.
const MAX_FILTERS: usize = 64;
/// Names that a `where` already uses.
pub(super) const RESERVED: [&str; 4] = ["cohort", "node", "share", "draw"];

/// The checked fleet.
#[derive(Default)]
pub(super) struct Fleet {
    pub(super) cohorts: Vec<Cohort>,
    pub(super) streams: Vec<Stream>,
}

impl Checker<'_> {
    /// The fleet; `None` if there is nothing to go on with.
    pub(super) fn fleet(&mut self, file: &mirror::File) -> Option<Fleet> {
        let Some(list) = &file.fleet else {
            self.absent_word("fleet", "add `fleet:` with at least one cohort");
            return None;
        };
        if list.value.is_empty() {
            self.absent(
                list.span,
                "the fleet has no cohort",
                "add `- { cohort: …, devices: …, telemetry: […] }`",
            );
            return None;
        }
        if list.value.len() > MAX_COHORTS {
            self.error(
                list.span,
                format!("more than {MAX_COHORTS} cohorts"),
                "use attributes",
            );
            return None;
        }
        self.unique("cohort", list.value.iter().map(|c| &c.value.cohort));
        let sizes = self.sizes(&list.value)?;
        let csv = has_csv(file) && uses_brokers(file, self.inputs.overrides);
        let mut fleet = Fleet::default();
        let mut first = 0;
        for (index, (cohort, devices)) in list.value.iter().zip(sizes).enumerate() {
            let checked = self.cohort(
                &cohort.value,
                index,
                first,
                devices,
                csv,
                &mut fleet.streams,
            );
            first += devices;
            fleet.cohorts.push(checked);
        }
        if fleet.streams.len() > usize::from(u16::MAX) {
            self.error(
                list.span,
                "more than 65535 telemetry streams",
                "use fewer cohorts",
            );
        }
        Some(fleet)
    }

    /// The number of devices of each cohort, scaled by `--devices`.
    fn sizes(&mut self, cohorts: &[At<mirror::Cohort>]) -> Option<Vec<u32>> {
        let mut sizes = Vec::with_capacity(cohorts.len());
        for cohort in cohorts {
            let devices = &cohort.value.devices;
            if devices.value == 0 || devices.value > MAX_DEVICES {
                self.error(
                    devices.span,
                    format!("a cohort cannot have {} devices", devices.value),
                    format!("write a number from 1 to {MAX_DEVICES}"),
                );
            }
            sizes.push(devices.value.clamp(1, MAX_DEVICES));
        }
        let total: u64 = sizes.iter().map(|size| u64::from(*size)).sum();
        if total > u64::from(MAX_DEVICES) {
            self.error(
                cohorts[0].value.devices.span,
                format!("the fleet has {total} devices"),
                format!("a fleet may have {MAX_DEVICES}"),
            );
            return None;
        }
        let Some(wanted) = self.inputs.overrides.devices else {
            return Some(sizes);
        };
        let least = u32::try_from(cohorts.len()).expect("at most MAX_COHORTS");
        if !(least..=MAX_DEVICES).contains(&wanted) {
            self.problems.push(Problem::without_place(
                format!("--devices {wanted} is out of range"),
                Some(format!(
                    "each cohort needs a device: from {least} to {MAX_DEVICES}"
                )),
            ));
            return None;
        }
        Some(scale(&sizes, wanted))
    }

    fn cohort(
        &mut self,
        cohort: &mirror::Cohort,
        index: usize,
        first: u32,
        devices: u32,
        csv: bool,
        streams: &mut Vec<Stream>,
    ) -> Cohort {
        let name = self.name(&cohort.cohort, "");
        let attributes = self.attributes(&cohort.attributes, devices);
        let client = self.client(cohort.client.as_ref(), csv);
        let link = cohort.link.as_ref().map(|link| self.link(link));
        let session = self.session(cohort.session.as_ref(), csv);
        if cohort.on_connect.len() > MAX_STEPS {
            let span = cohort.on_connect[MAX_STEPS].span;
            self.error(span, format!("more than {MAX_STEPS} steps"), "remove some");
        }
        let on_connect = cohort
            .on_connect
            .iter()
            .map(|step| self.step(&step.value, csv))
            .collect();
        let begin = streams.len();
        self.unique("stream", cohort.telemetry.iter().map(|s| &s.value.stream));
        for stream in &cohort.telemetry {
            let stream = self.stream(stream, index, csv);
            streams.push(stream);
        }
        let store = cohort.store.as_ref();
        let store = store.map(|store| self.store(store, &streams[begin..]));
        Cohort {
            name,
            first,
            devices,
            attributes,
            client,
            link,
            session,
            on_connect,
            streams: begin..streams.len(),
            store,
            update: (cohort.update.as_ref()).map(|update| self.update(&update.value, csv)),
            commands: (cohort.commands.as_ref())
                .map(|commands| self.command_handler(&commands.value, csv)),
            reported: (cohort.reported.as_ref())
                .map(|reported| self.reported(&reported.value, csv)),
        }
    }

    fn attributes(
        &mut self,
        attributes: &Pairs<At<mirror::Values>>,
        devices: u32,
    ) -> Vec<Attribute> {
        let mut checked = Vec::new();
        for (name, values) in &attributes.0 {
            self.name(name, "_");
            if RESERVED.contains(&name.value.as_str()) {
                self.error(
                    name.span,
                    format!("`{}` means something else in a `where`", name.value),
                    "give the attribute another name",
                );
            }
            let is_split = values.value.is_split();
            checked.push((!is_split).then(|| self.shares(name, values, devices)));
        }
        self.splits(attributes, &mut checked);
        checked.into_iter().flatten().collect()
    }

    /// An attribute with shares.
    fn shares(
        &mut self,
        name: &At<String>,
        values: &At<mirror::Values>,
        devices: u32,
    ) -> Attribute {
        let before = self.problems.len();
        let mut shares = Vec::new();
        for (_, share) in &values.value.0.0 {
            shares.push(parse_share(&share.value).unwrap_or_else(|(message, help)| {
                self.error(share.span, message, help);
                0.0
            }));
        }
        let sum: f64 = shares.iter().sum();
        if before == self.problems.len() && (sum - 1.0).abs() > 1e-9 {
            self.absent(
                values.span,
                format!(
                    "the shares of `{}` add up to {}%",
                    name.value,
                    round(sum * 100.0)
                ),
                "make them add up to 100%",
            );
        }
        let counts = apportion(&shares, devices);
        let names = values
            .value
            .0
            .0
            .iter()
            .map(|(value, _)| value.value.clone());
        Attribute {
            name: name.value.clone(),
            values: names.zip(counts).collect(),
            root: None,
        }
    }

    fn session(&mut self, session: Option<&mirror::Session>, csv: bool) -> Session {
        let will = session.and_then(|session| session.will.as_ref());
        Session {
            clean: session.and_then(|session| session.clean).unwrap_or(true),
            will: will.map(|will| WillPlan {
                topic: self.topic(&will.topic, csv),
                payload: self.payload_text(will.payload.as_ref(), csv),
                qos: will.qos.map_or(QoS::AtMostOnce, |qos| qos.0),
                retain: will.retain.unwrap_or(false),
            }),
        }
    }

    fn step(&mut self, step: &mirror::Step, csv: bool) -> Step {
        match step {
            mirror::Step::Subscribe(subscribe) => Step::Subscribe {
                topic: self.filter(&subscribe.topic, csv),
                qos: subscribe.qos.map_or(QoS::AtMostOnce, |qos| qos.0),
            },
            mirror::Step::SubscribeMany(filters) => {
                self.number_of_filters(filters);
                let each = filters.value.iter().take(MAX_FILTERS);
                let each = each.map(|one| {
                    let qos = one.qos.map_or(QoS::AtMostOnce, |qos| qos.0);
                    (self.filter(&one.topic, csv), qos)
                });
                Step::SubscribeMany(each.collect())
            }
            mirror::Step::Unsubscribe(topics) => {
                self.number_of_filters(topics);
                let each = topics.value.iter().take(MAX_FILTERS);
                Step::Unsubscribe(each.map(|topic| self.filter(topic, csv)).collect())
            }
            mirror::Step::Publish(publish) => Step::Publish {
                topic: self.topic(&publish.topic, csv),
                payload: self.payload_text(publish.payload.as_ref(), csv),
                qos: publish.qos.map_or(QoS::AtMostOnce, |qos| qos.0),
                retain: publish.retain.unwrap_or(false),
            },
        }
    }

    /// A SUBSCRIBE or UNSUBSCRIBE without a filter is malformed (MQTT-3.8.3-3, MQTT-3.10.3-2).
    fn number_of_filters<T>(&mut self, filters: &At<Vec<T>>) {
        match filters.value.len() {
            0 => self.absent(
                filters.span,
                "the step has no topic filter",
                "write at least one, or remove the step",
            ),
            1..=MAX_FILTERS => {}
            more => self.error(
                self.first_line(filters.span),
                format!("{more} topic filters in one step"),
                format!("write at most {MAX_FILTERS} in each of several steps"),
            ),
        }
    }

    fn payload_text(
        &mut self,
        text: Option<&At<String>>,
        csv: bool,
    ) -> crate::scenario::template::Template {
        text.map_or_else(Default::default, |text| {
            let template = self.template(text, csv);
            if text.value.len() > MAX_TEXT {
                self.error(
                    text.span,
                    format!("the payload has {} bytes", text.value.len()),
                    format!("at most {MAX_TEXT}"),
                );
            }
            template
        })
    }
}

/// Longest payload written out in a scenario; below what MQTT allows for a will (65 535) even
/// with placeholders.
const MAX_TEXT: usize = 32_768;

/// For people: at most three digits behind the point.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Whether the scenario names a credentials CSV.
fn has_csv(file: &mirror::File) -> bool {
    let auth = file.target.as_ref().and_then(|t| t.value.auth.as_ref());
    auth.is_some_and(|auth| auth.value.csv.is_some())
}

/// Whether devices talk to brokers rather than to the embedded backend.
fn uses_brokers(file: &mirror::File, overrides: &crate::stats::evidence::Overrides) -> bool {
    let brokers = file.target.as_ref().and_then(|t| t.value.brokers.as_ref());
    brokers.is_some() || !overrides.targets.is_empty()
}

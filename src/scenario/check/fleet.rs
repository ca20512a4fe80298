//! Cohorts: sizes, attributes, clients, sessions, and the steps after CONNACK.

use super::Checker;
use super::text::is_per_device;
use crate::mqtt::packet::QoS;
use crate::scenario::errors::Problem;
use crate::scenario::located::{At, Pairs};
use crate::scenario::mirror;
use crate::scenario::plan::{
    Attribute, Backoff, BackoffShape, Client, Cohort, Session, Step, Stream, WillPlan,
};
use crate::scenario::quantity::{Share, Time};
use std::time::Duration;

/// Most devices of a fleet.
const MAX_DEVICES: u32 = 10_000_000;
/// Most cohorts.
const MAX_COHORTS: usize = 1_000;
/// Most steps after CONNACK.
const MAX_STEPS: usize = 64;
/// Largest inflight window.
const MAX_INFLIGHT: u32 = 256;
/// Names that a `where` already uses.
const RESERVED: [&str; 3] = ["cohort", "node", "share"];

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
        Cohort {
            name,
            first,
            devices,
            attributes,
            client,
            session,
            on_connect,
            streams: begin..streams.len(),
        }
    }

    fn attributes(
        &mut self,
        attributes: &Pairs<At<Pairs<At<Share>>>>,
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
            let shares: Vec<f64> = values
                .value
                .0
                .iter()
                .map(|(_, share)| share.value.0)
                .collect();
            let sum: f64 = shares.iter().sum();
            if (sum - 1.0).abs() > 1e-9 {
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
            let names = values.value.0.iter().map(|(value, _)| value.value.clone());
            checked.push(Attribute {
                name: name.value.clone(),
                values: names.zip(counts).collect(),
            });
        }
        checked
    }

    fn client(&mut self, client: Option<&mirror::Client>, csv: bool) -> Client {
        let default = mirror::Client::default();
        let client = client.unwrap_or(&default);
        let client_id = At {
            span: client.client_id.as_ref().map_or(self.root, |id| id.span),
            value: client
                .client_id
                .as_ref()
                .map_or("{device}-{run}", |id| &id.value)
                .to_owned(),
        };
        let template = self.template(&client_id, csv);
        self.mqtt_string("client identifier", &client_id, &template);
        if !template.0.is_empty() && !is_per_device(&template) {
            self.error(
                client_id.span,
                "all devices would have the same client identifier",
                "put `{device}` into it: a broker closes a session when another with the same identifier connects",
            );
        }
        Client {
            connect_timeout: self.positive(client.connect_timeout.as_ref(), secs(10)),
            keep_alive_s: self.keep_alive(client.keep_alive.as_ref()),
            ping_timeout: self.positive(client.ping_timeout.as_ref(), secs(10)),
            backoff: Backoff {
                shape: self.backoff(client.backoff.as_ref()),
                give_up_after: self.give_up_after(client.give_up_after.as_ref()),
            },
            client_id: template,
            inflight: self.inflight(client.inflight.as_ref()),
        }
    }

    fn keep_alive(&mut self, time: Option<&At<Time>>) -> u16 {
        let Some(time) = time else {
            return 60;
        };
        let value = time.value.0;
        match u16::try_from(value.as_secs()) {
            Ok(whole) if value.subsec_nanos() == 0 => whole,
            Ok(_) | Err(_) => {
                self.error(
                    time.span,
                    "keep_alive is in whole seconds, at most 65535s",
                    "write for example 60s, or 0s to turn it off",
                );
                60
            }
        }
    }

    fn give_up_after(&mut self, attempts: Option<&At<u32>>) -> Option<u32> {
        let attempts = attempts?;
        if attempts.value == 0 {
            self.error(
                attempts.span,
                "a device cannot give up before its first attempt",
                "write 1 or more, or leave it away to try for ever",
            );
        }
        Some(attempts.value)
    }

    fn inflight(&mut self, inflight: Option<&At<u32>>) -> u16 {
        let Some(inflight) = inflight else {
            return 16;
        };
        if !(1..=MAX_INFLIGHT).contains(&inflight.value) {
            self.error(
                inflight.span,
                format!("inflight cannot be {}", inflight.value),
                format!("write a number from 1 to {MAX_INFLIGHT}"),
            );
        }
        u16::try_from(inflight.value.min(MAX_INFLIGHT)).expect("at most MAX_INFLIGHT")
    }

    fn backoff(&mut self, backoff: Option<&At<mirror::Backoff>>) -> BackoffShape {
        let Some(backoff) = backoff else {
            return BackoffShape::FullJitter {
                base: secs(1),
                cap: secs(30),
            };
        };
        match &backoff.value {
            mirror::Backoff::Fixed(time) => BackoffShape::Fixed(self.positive(Some(time), secs(1))),
            mirror::Backoff::NoJitter(growth) => {
                let (base, cap) = self.growth(growth);
                BackoffShape::NoJitter { base, cap }
            }
            mirror::Backoff::FullJitter(growth) => {
                let (base, cap) = self.growth(growth);
                BackoffShape::FullJitter { base, cap }
            }
            mirror::Backoff::EqualJitter(growth) => {
                let (base, cap) = self.growth(growth);
                BackoffShape::EqualJitter { base, cap }
            }
            mirror::Backoff::DecorrelatedJitter(growth) => {
                let (base, cap) = self.growth(growth);
                BackoffShape::DecorrelatedJitter { base, cap }
            }
        }
    }

    fn growth(&mut self, growth: &mirror::Exponential) -> (Duration, Duration) {
        let base = self.positive(growth.base.as_ref(), secs(1));
        let cap = self.positive(growth.cap.as_ref(), secs(30).max(base));
        if let (Some(at), true) = (&growth.cap, cap < base) {
            self.error(
                at.span,
                "the cap is shorter than the first wait",
                format!("make `cap` at least {base:?}"),
            );
        }
        (base, cap)
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
            mirror::Step::Publish(publish) => Step::Publish {
                topic: self.topic(&publish.topic, csv),
                payload: self.payload_text(publish.payload.as_ref(), csv),
                qos: publish.qos.map_or(QoS::AtMostOnce, |qos| qos.0),
                retain: publish.retain.unwrap_or(false),
            },
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

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

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

/// `sizes` scaled to sum up to `wanted` by largest remainder, each at least 1.
fn scale(sizes: &[u32], wanted: u32) -> Vec<u32> {
    let total: f64 = sizes.iter().map(|size| f64::from(*size)).sum();
    let shares: Vec<f64> = sizes.iter().map(|size| f64::from(*size) / total).collect();
    let mut scaled = apportion(&shares, wanted);
    for index in 0..scaled.len() {
        if scaled[index] == 0 {
            let largest = (0..scaled.len())
                .max_by_key(|i| (scaled[*i], std::cmp::Reverse(*i)))
                .expect("there is at least one cohort");
            scaled[largest] -= 1;
            scaled[index] = 1;
        }
    }
    scaled
}

/// `all` split by `shares` (which sum up to 1) into whole numbers that sum up to `all`, by largest
/// remainder; ties go to the first.
fn apportion(shares: &[f64], all: u32) -> Vec<u32> {
    let exact: Vec<f64> = shares.iter().map(|share| share * f64::from(all)).collect();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and `all`"
    )]
    // A hair is added so that 0.7 * 10 = 6.999… counts as 7.
    let mut parts: Vec<u32> = exact
        .iter()
        .map(|part| (part + 1e-7).floor() as u32)
        .collect();
    let mut rest = i64::from(all) - parts.iter().map(|part| i64::from(*part)).sum::<i64>();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|a, b| {
        let remainder = |i: usize| exact[i] - f64::from(parts[i]);
        remainder(*b).total_cmp(&remainder(*a)).then(a.cmp(b))
    });
    for index in order.into_iter().cycle().take(shares.len() * 2) {
        if rest <= 0 {
            break;
        }
        parts[index] += 1;
        rest -= 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scaling_keeps_the_mix() {
        assert_eq!(scale(&[7000, 3000], 1000), [700, 300]);
        assert_eq!(scale(&[7000, 3000], 1_000_000), [700_000, 300_000]);
        assert_eq!(scale(&[7000, 3000], 3), [2, 1]);
        assert_eq!(scale(&[1, 1, 998], 3), [1, 1, 1]);
        assert_eq!(apportion(&[0.7, 0.3], 10), [7, 3]);
        assert_eq!(apportion(&[0.5, 0.5], 7), [4, 3]);
    }

    proptest! {
        #[test]
        fn scaling_is_exact(sizes in proptest::collection::vec(1u32..1_000_000, 1..20), more in 0u32..9_000_000) {
            let least = u32::try_from(sizes.len()).expect("small");
            let wanted = least + more;
            let scaled = scale(&sizes, wanted);
            prop_assert_eq!(scaled.iter().sum::<u32>(), wanted);
            prop_assert!(scaled.iter().all(|part| *part >= 1));
        }
    }
}

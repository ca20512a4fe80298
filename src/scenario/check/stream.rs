//! Telemetry streams: schedules, payloads, and what the delivery ledger demands of them.

use super::Checker;
use super::fleet::Fleet;
use super::text::is_per_device;
use crate::mqtt::packet::QoS;
use crate::scenario::located::{At, Pairs};
use crate::scenario::mirror;
use crate::scenario::plan::{Field, Observe, Payload, PhaseShape, Schedule, Stream, WhenLate};
use crate::scenario::tree::Span;
use std::time::Duration;

/// Length of the ledger's stamp in a payload.
const STAMP_BYTES: u32 = 32;
/// Largest telemetry payload.
const MAX_PAYLOAD_BYTES: u32 = 1024 * 1024;
/// Most fields of a JSON payload.
const MAX_FIELDS: usize = 256;
/// Priority of a stream that names none.
const DEFAULT_PRIORITY: u8 = 100;
/// Shortest period of one device's stream.
const MIN_PERIOD: Duration = Duration::from_millis(1);

impl Checker<'_> {
    pub(super) fn stream(
        &mut self,
        stream: &At<mirror::Stream>,
        cohort: usize,
        csv: bool,
    ) -> Stream {
        let span = stream.span;
        let stream = &stream.value;
        Stream {
            name: self.name(&stream.stream, "_"),
            cohort,
            topic: self.topic(&stream.topic, csv),
            qos: stream.qos.map_or(QoS::AtLeastOnce, |qos| qos.0),
            retain: stream.retain.unwrap_or(false),
            schedule: self.schedule(stream, span),
            payload: self.payload(stream.payload.as_ref()),
            when_late: match stream.when_late {
                None | Some(mirror::WhenLate::Send) => WhenLate::Send,
                Some(mirror::WhenLate::Skip) => WhenLate::Skip,
                Some(mirror::WhenLate::Latest) => WhenLate::Latest,
            },
            ack_timeout: self.positive(stream.ack_timeout.as_ref(), Duration::from_secs(30)),
            priority: stream.priority.unwrap_or(DEFAULT_PRIORITY),
        }
    }

    fn schedule(&mut self, stream: &mirror::Stream, span: Span) -> Schedule {
        match (&stream.every, &stream.poisson) {
            (Some(every), None) => {
                let period = every.value.0;
                if period < MIN_PERIOD {
                    self.error(
                        every.span,
                        "the period is shorter than 1ms",
                        "write 1ms or more, and use more devices for a higher rate",
                    );
                }
                let period = period.max(MIN_PERIOD);
                Schedule::Every {
                    period,
                    phase: self.phase_shape(stream.phase.as_ref(), period),
                }
            }
            (None, Some(rate)) => {
                if let Some(phase) = &stream.phase {
                    self.error(
                        phase.span,
                        "random arrivals have no phase",
                        "remove `phase`, or write `every` instead of `poisson`",
                    );
                }
                let gap = 1.0 / rate.value.0;
                if gap < MIN_PERIOD.as_secs_f64() {
                    self.error(
                        rate.span,
                        "more than 1000 messages per second and device",
                        "use more devices for a higher rate",
                    );
                }
                Schedule::Poisson {
                    mean_gap: Duration::from_secs_f64(gap).max(MIN_PERIOD),
                }
            }
            (every, poisson) => {
                if every.is_none() {
                    self.absent(
                        span,
                        "the stream has no schedule",
                        "add `every: 60s` or `poisson: 1/min`",
                    );
                } else if let Some(rate) = poisson {
                    self.error(
                        rate.span,
                        "the stream has two schedules",
                        "keep `every` or `poisson`",
                    );
                }
                Schedule::Poisson {
                    mean_gap: Duration::from_secs(60),
                }
            }
        }
    }

    fn phase_shape(
        &mut self,
        phase: Option<&At<mirror::PhaseShape>>,
        period: Duration,
    ) -> PhaseShape {
        match phase.map(|phase| &phase.value) {
            None | Some(mirror::PhaseShape::Uniform) => PhaseShape::Uniform,
            Some(mirror::PhaseShape::Boot) => PhaseShape::Boot,
            Some(mirror::PhaseShape::Aligned(aligned)) => {
                let jitter = aligned.jitter.as_ref();
                if let Some(jitter) = jitter.filter(|jitter| jitter.value.0 > period) {
                    self.error(
                        jitter.span,
                        "the jitter is longer than the period",
                        format!("write at most {period:?}"),
                    );
                }
                PhaseShape::Aligned {
                    jitter: jitter.map_or(Duration::ZERO, |jitter| jitter.value.0),
                }
            }
        }
    }

    fn payload(&mut self, payload: Option<&At<mirror::Payload>>) -> Payload {
        let Some(payload) = payload else {
            return Payload::Bytes(64);
        };
        match &payload.value {
            mirror::Payload::Bytes(bytes) => {
                if *bytes > MAX_PAYLOAD_BYTES {
                    self.error(
                        payload.span,
                        format!("a payload of {bytes} bytes"),
                        format!("at most {MAX_PAYLOAD_BYTES}"),
                    );
                }
                Payload::Bytes(*bytes)
            }
            mirror::Payload::Json(fields) => Payload::Json(self.fields(fields, payload.span)),
        }
    }

    fn fields(&mut self, fields: &Pairs<At<mirror::Field>>, span: Span) -> Vec<(String, Field)> {
        if fields.0.len() > MAX_FIELDS {
            self.error(
                span,
                format!("more than {MAX_FIELDS} fields"),
                "remove some",
            );
        }
        fields
            .0
            .iter()
            .map(|(name, field)| (name.value.clone(), self.field(field)))
            .collect()
    }

    fn field(&mut self, field: &At<mirror::Field>) -> Field {
        match &field.value {
            mirror::Field::Walk(walk) => {
                self.range(field.span, walk.min.0, walk.max.0);
                if walk.step.0 <= 0.0 {
                    self.error(
                        self.first_line(field.span),
                        "the step must be above zero",
                        "write for example `step: 1`",
                    );
                }
                Field::Walk {
                    step: walk.step.0,
                    min: walk.min.0,
                    max: walk.max.0,
                }
            }
            mirror::Field::Uniform(uniform) => {
                self.range(field.span, uniform.min.0, uniform.max.0);
                Field::Uniform {
                    min: uniform.min.0,
                    max: uniform.max.0,
                }
            }
            mirror::Field::Counter => Field::Counter,
            mirror::Field::Constant(value) => Field::Constant(value.to_string()),
        }
    }

    fn range(&mut self, span: Span, min: f64, max: f64) {
        if min >= max {
            self.error(
                self.first_line(span),
                format!("min {min} is not below max {max}"),
                "swap them or make the range wider",
            );
        }
    }

    /// What a telemetry stream must have for its delivery to be checked.
    pub(super) fn check_streams_observed(
        &mut self,
        file: &mirror::File,
        fleet: &Fleet,
        observe: &Observe,
    ) {
        let mirrors = file
            .fleet
            .iter()
            .flat_map(|list| &list.value)
            .flat_map(|cohort| &cohort.value.telemetry);
        for (stream, written) in fleet.streams.iter().zip(mirrors) {
            if !observe.ledger {
                continue;
            }
            self.check_stamp(stream, &written.value, observe);
            let observed = observe.devices > 0;
            if observed && !stream.topic.0.is_empty() && !is_per_device(&stream.topic) {
                self.error(
                    written.value.topic.span,
                    "all devices would publish to the same topic",
                    "put `{device}` into it: an observer follows single devices; or write \
                     `observe: { share: 0% }`",
                );
            }
        }
    }

    fn check_stamp(&mut self, stream: &Stream, written: &mirror::Stream, observe: &Observe) {
        let span = written.payload.as_ref().map_or(self.root, |p| p.span);
        match &stream.payload {
            Payload::Bytes(bytes) if *bytes < STAMP_BYTES => {
                self.error(
                    span,
                    format!("{bytes} bytes have no room for the ledger's stamp"),
                    format!(
                        "write `bytes: {STAMP_BYTES}` or more, or turn it off: `observe: {{ ledger: off }}`"
                    ),
                );
            }
            Payload::Json(fields)
                if fields.iter().any(|(name, _)| *name == observe.stamp_field) =>
            {
                self.error(
                    span,
                    format!(
                        "the field `{}` carries the ledger's stamp",
                        observe.stamp_field
                    ),
                    "rename it, or the stamp: `observe: { field: … }`",
                );
            }
            Payload::Bytes(_) | Payload::Json(_) => {}
        }
    }
}

//! ThingsBoard at the operator's end: shared attributes, chunks and status telemetry, on `me/<client
//! id>/…`, where the reference backend puts what a connection says on topics that name no device.
//!
//! A chunk that cannot be had is answered by text on `v2/fw/error`, upon which the backend closes the
//! device's connection, as ThingsBoard does.

use super::Note;
use super::mail::Step;
use super::rollouts::Rollouts;
use crate::cloud::campaign::Status as Stands;
use crate::device::payload;
use crate::scenario::plan::DeviceIdx;
use crate::wire::BadMessage;
use crate::wire::thingsboard::{
    ATTRIBUTES_TOPIC, ERROR_TOPIC, Firmware, MAX_CHUNK_BYTES, Request, attributes_response_topic,
    chunk_response_topic, to_device,
};
use bytes::Bytes;

impl Rollouts {
    /// What tells `device` of the firmware it is to have: topic and payload.
    pub(super) fn push_attributes(&self, run: u32, device: DeviceIdx) -> Option<(String, Bytes)> {
        let (index, view) = self.next_job(device)?;
        let topic = self.me(run, device, ATTRIBUTES_TOPIC);
        let payload = self.package(index).attributes.clone();
        (view.status == Stands::Queued).then_some((topic, payload))
    }

    /// Takes what `device` says on `topic`, which is its own one.
    pub(super) fn answer_thingsboard(
        &mut self,
        run: u32,
        device: DeviceIdx,
        (topic, payload): (&str, &[u8]),
        to: &mut Step<'_>,
    ) {
        match Request::read(topic, payload) {
            Ok(Request::Attributes { request, .. }) => {
                self.contact(device, false, to);
                let payload = match self.next_job(device) {
                    Some((index, _)) => self.package(index).attributes_answer.clone(),
                    None => Firmware::write_answer(None).into(),
                };
                let topic = attributes_response_topic(request);
                to.answer(device, self.me(run, device, &topic), payload);
            }
            Ok(Request::Chunk {
                request,
                index,
                chunk_bytes,
            }) => match self.chunk(device, request, index, chunk_bytes) {
                Ok((campaign, chunk)) => {
                    let bytes = u32::try_from(chunk.len()).expect("at most MAX_CHUNK_BYTES");
                    let topic = chunk_response_topic(request, index);
                    to.send(device, self.me(run, device, &topic), chunk);
                    self.served(campaign, device, bytes, to);
                }
                Err(text) => {
                    to.note(Note::Refused);
                    to.send(device, self.me(run, device, ERROR_TOPIC), text.as_bytes());
                }
            },
            Ok(Request::Telemetry(telemetry)) => {
                if let (Some(status), Some((index, _))) = (telemetry.status, self.next_job(device))
                {
                    self.hear(index, device, status, to);
                }
            }
            // Devices have other telemetry on the same topic.
            Err(BadMessage::Form) => {}
            Err(BadMessage::Topic | BadMessage::Json | BadMessage::Cbor | BadMessage::Value(_)) => {
                to.note(Note::BadMessage)
            }
        }
    }

    /// The chunk, and whose image it is of; empty behind the last one. An error is what the server says
    /// before it closes the connection.
    fn chunk(
        &mut self,
        device: DeviceIdx,
        request: u32,
        index: u32,
        told: Option<u32>,
    ) -> Result<(usize, Bytes), &'static str> {
        let (campaign, _) = self.next_job(device).ok_or("Not found")?;
        let known = self.chunk_sizes.get(&device);
        let known = known
            .filter(|(of, _)| *of == request)
            .map(|(_, size)| *size);
        let size = told.or(known).ok_or("Invalid chunk size")?;
        if size == 0 || size > MAX_CHUNK_BYTES {
            return Err("Invalid chunk size");
        }
        self.chunk_sizes.insert(device, (request, size));
        let chunk = self.package(campaign).image.block(index, size);
        Ok((campaign, chunk.unwrap_or_default()))
    }

    /// `topic` of `device` as the operator names it.
    fn me(&self, run: u32, device: DeviceIdx, topic: &str) -> String {
        let cohort = &self.plan.cohorts[self.plan.cohort_of(device)];
        let names = payload::names(&self.plan, device, run);
        to_device(&cohort.client.client_id.to_text(&names), topic)
    }
}

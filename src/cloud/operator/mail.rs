//! What a step of the operator has to say, before desks take it.

use super::letter::Letter;
use super::{Event, Note, Output, SharedPublish};
use crate::mqtt::packet::QoS;
use crate::scenario::plan::DeviceIdx;
use crate::stats::results::Finding;
use crate::time::Instant;
use bytes::Bytes;

/// Messages to devices, in order.
#[derive(Debug, Default)]
pub(super) struct Mail {
    /// At QoS 1, through the queue of the device's desk.
    pub(super) letters: Vec<(DeviceIdx, Letter)>,
    /// At QoS 0, at once.
    pub(super) blocks: Vec<(DeviceIdx, SharedPublish)>,
}

/// Where and when a step happens.
#[derive(Debug)]
pub(super) struct Step<'a> {
    /// Now.
    pub(super) now: Instant,
    /// For devices.
    pub(super) mail: &'a mut Mail,
    /// For whoever runs the run.
    pub(super) out: &'a mut Vec<Output>,
}

impl Step<'_> {
    /// Queues `letter` to `device`.
    pub(super) fn post(&mut self, device: DeviceIdx, letter: Letter) {
        self.mail.letters.push((device, letter));
    }

    /// Queues a message to `device` at QoS 1.
    pub(super) fn answer(&mut self, device: DeviceIdx, topic: String, payload: impl Into<Bytes>) {
        let publish = publish(QoS::AtLeastOnce, topic, payload);
        self.post(device, Letter::Ready(Box::new(publish)));
    }

    /// Writes a message to `device` at QoS 0.
    pub(super) fn send(&mut self, device: DeviceIdx, topic: String, payload: impl Into<Bytes>) {
        let publish = publish(QoS::AtMostOnce, topic, payload);
        self.mail.blocks.push((device, publish));
    }

    /// Something to count.
    pub(super) fn note(&mut self, note: Note) {
        self.out.push(Output::Event(Event::Noted(note)));
    }

    /// Something to write down.
    pub(super) fn finding(&mut self, finding: Finding) {
        self.out.push(Output::Event(Event::Finding(finding)));
    }
}

/// A message without an identifier yet.
pub(super) fn publish(qos: QoS, topic: String, payload: impl Into<Bytes>) -> SharedPublish {
    SharedPublish {
        qos,
        retain: false,
        dup: false,
        packet_id: 0,
        topic,
        payload: payload.into(),
    }
}

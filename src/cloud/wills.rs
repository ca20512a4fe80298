//! The wills that one observer watches: which topics they come on, and whether a message is one. A
//! device may say other things on its will's topic, so a will is known by topic and payload.

use crate::device::payload;
use crate::mqtt::packet::{PacketId, Publish, QoS};
use crate::scenario::plan::{DeviceIdx, Plan};

/// What a message was that is no telemetry of ours.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Sighting {
    /// The will of this device.
    Fired(DeviceIdx),
    /// A will that the server sends once more, since it did not get our PUBACK.
    Again,
    /// Something else that the device says on the topic of its will.
    OtherWords,
    /// It came on no topic that is only a will's.
    NoWill,
}

/// Wills by topic.
#[derive(Debug, Default)]
pub(super) struct Wills {
    /// By topic.
    all: Vec<Will>,
    /// Indices into `all` of the topics that no stream of the same device has.
    own_topics: Vec<u16>,
    /// Connections that the observer has had.
    connections: u32,
    /// A payload being rendered.
    scratch: String,
}

#[derive(Debug)]
struct Will {
    topic: String,
    device: DeviceIdx,
    /// No stream of the device has the topic.
    is_own_topic: bool,
    /// Connection and identifier of the latest copy at QoS 1.
    latest: Option<(u32, PacketId)>,
}

impl Wills {
    /// The wills of `devices`.
    pub(super) fn new(plan: &Plan, run: u32, devices: &[DeviceIdx]) -> Self {
        let mut all: Vec<Will> = devices
            .iter()
            .filter_map(|&device| will(plan, run, device))
            .collect();
        all.sort_unstable_by(|a, b| a.topic.cmp(&b.topic));
        let own_topics = (0u16..).zip(&all).filter(|(_, will)| will.is_own_topic);
        Self {
            own_topics: own_topics.map(|(at, _)| at).collect(),
            all,
            connections: 0,
            scratch: String::new(),
        }
    }

    /// Topics to subscribe to besides those of streams.
    pub(super) const fn topics(&self) -> usize {
        self.own_topics.len()
    }

    /// The topic with this index below [`Wills::topics`], and the QoS of its wills.
    pub(super) fn topic(&self, plan: &Plan, index: usize) -> (String, QoS) {
        let will = &self.all[usize::from(self.own_topics[index])];
        let session = &plan.cohorts[plan.cohort_of(will.device)].session;
        let qos = session.will.as_ref().map_or(QoS::AtMostOnce, |w| w.qos);
        (will.topic.clone(), qos)
    }

    /// The server has accepted a connection of the observer.
    pub(super) const fn connected(&mut self) {
        self.connections += 1;
    }

    /// What `publish` is: no retained copy, and at QoS 2 not one that came before.
    ///
    /// A copy at QoS 1 is one that the server sends again if it says so, has the identifier of the
    /// latest one of this device, and that one came on this connection or the one before: until our
    /// PUBACK reaches the server, its identifier means no other message (MQTT-2.3.1-4).
    pub(super) fn see(&mut self, plan: &Plan, run: u32, publish: &Publish<'_>) -> Sighting {
        let all = &mut self.all;
        let Ok(at) = all.binary_search_by(|will| will.topic.as_str().cmp(publish.topic)) else {
            return Sighting::NoWill;
        };
        let will = &mut all[at];
        let device = will.device;
        let cohort = &plan.cohorts[plan.cohort_of(device)];
        self.scratch.clear();
        if let Some(planned) = &cohort.session.will {
            let names = payload::names(plan, device, run);
            planned.payload.render(&names, &mut self.scratch);
        }
        if self.scratch.as_bytes() != publish.payload {
            return if will.is_own_topic {
                Sighting::OtherWords
            } else {
                Sighting::NoWill
            };
        }
        if publish.qos != QoS::AtLeastOnce {
            return Sighting::Fired(device);
        }
        let before = will.latest.replace((self.connections, publish.packet_id));
        let is_again = publish.dup
            && before.is_some_and(|(connection, packet_id)| {
                packet_id == publish.packet_id && self.connections - connection <= 1
            });
        if is_again {
            Sighting::Again
        } else {
            Sighting::Fired(device)
        }
    }
}

fn will(plan: &Plan, run: u32, device: DeviceIdx) -> Option<Will> {
    let cohort = &plan.cohorts[plan.cohort_of(device)];
    let names = payload::names(plan, device, run);
    let topic = cohort.session.will.as_ref()?.topic.to_text(&names);
    let mut streams = plan.streams[cohort.streams.clone()].iter();
    Some(Will {
        is_own_topic: streams.all(|stream| stream.topic.to_text(&names) != topic),
        topic,
        device,
        latest: None,
    })
}

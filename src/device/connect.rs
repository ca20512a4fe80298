//! What a device says when it connects: CONNECT with its credentials and will, and the packets of
//! its `on_connect` steps. Cold path: these allocate.

use super::{OwnedPublish, Profile, payload};
use crate::mqtt::packet::{Connect, Packet, PacketId, Will};
use crate::scenario::plan::{DeviceIdx, Plan, Step, Target};
use crate::scenario::template::{Names, Template};

/// The CONNECT packet of `device`.
pub(super) fn connect(profile: &Profile, device: DeviceIdx) -> Packet<'static> {
    let cohort = &profile.plan.cohorts[profile.cohort];
    let names = payload::names(&profile.plan, device, profile.run);
    let (username, password) = credentials(&profile.plan, &names);
    Packet::Connect(Box::new(Connect {
        client_id: cohort.client.client_id.to_text(&names),
        clean_session: cohort.session.clean,
        keep_alive_s: cohort.client.keep_alive_s,
        will: cohort.session.will.as_ref().map(|will| Will {
            topic: will.topic.to_text(&names),
            payload: will.payload.to_text(&names).into_bytes(),
            qos: will.qos,
            retain: will.retain,
        }),
        username,
        password,
    }))
}

/// User name and password of whoever `names` names; none against the reference backend.
pub fn credentials(plan: &Plan, names: &Names<'_>) -> (Option<String>, Option<String>) {
    match &plan.target {
        Target::Embedded(_) => (None, None),
        Target::Brokers(brokers) => {
            let text = |template: &Option<Template>| template.as_ref().map(|t| t.to_text(names));
            (text(&brokers.auth.username), text(&brokers.auth.password))
        }
    }
}

/// The SUBSCRIBE packet of `step` of `device`.
pub(super) fn subscribe(
    profile: &Profile,
    device: DeviceIdx,
    step: &Step,
    packet_id: PacketId,
) -> Packet<'static> {
    let names = payload::names(&profile.plan, device, profile.run);
    let filters = step.subscriptions();
    let filters = filters.map(|(topic, qos)| (topic.to_text(&names), qos));
    Packet::Subscribe {
        packet_id,
        filters: filters.collect(),
    }
}

/// The UNSUBSCRIBE packet of `device` for `topics`.
pub(super) fn unsubscribe(
    profile: &Profile,
    device: DeviceIdx,
    topics: &[Template],
    packet_id: PacketId,
) -> Packet<'static> {
    let names = payload::names(&profile.plan, device, profile.run);
    let filters = topics.iter().map(|topic| topic.to_text(&names));
    Packet::Unsubscribe {
        packet_id,
        filters: filters.collect(),
    }
}

/// The PUBLISH of step `step`.
///
/// # Panics
/// If that step is no publish.
pub(super) fn publish(
    profile: &Profile,
    device: DeviceIdx,
    step: u16,
    packet_id: PacketId,
    dup: bool,
) -> OwnedPublish {
    let names = payload::names(&profile.plan, device, profile.run);
    match &profile.plan.cohorts[profile.cohort].on_connect[usize::from(step)] {
        Step::Publish {
            topic,
            payload,
            qos,
            retain,
        } => OwnedPublish {
            qos: *qos,
            retain: *retain,
            dup,
            packet_id,
            topic: topic.to_text(&names),
            payload: payload.to_text(&names).into_bytes(),
        },
        Step::Subscribe { .. } | Step::SubscribeMany(_) | Step::Unsubscribe(_) => {
            unreachable!("only publish steps take a place in the window")
        }
    }
}

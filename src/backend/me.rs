//! Topics that name no device (ThingsBoard's `v1/devices/me/…`, `v2/fw/…`, `v2/sw/…`), each
//! connection's own if the plan says so: inside the node they lie below `me/<client id>/`, where the
//! operator finds them by device. Names that spell their first levels otherwise, as `v2/+/x`, are
//! nobody's.

use super::slab::Index;
use super::{Backend, ConnId, Output};
use crate::mqtt::packet::{Packet, Publish, Will};
use crate::scenario::plan::Me;
use crate::time::Instant;

/// What topics and filters that name no device begin with.
const OWN: [&str; 3] = ["v1/devices/me/", "v2/fw/", "v2/sw/"];

/// Where they lie inside the node.
const INSIDE: &str = "me/";

/// What ThingsBoard says before it closes a connection.
const ERROR: &str = "v2/fw/error";

/// Bytes of a client identifier: beyond it there would be no room for it in a topic.
const CLIENT_ID_MAX: usize = 1_024;

/// Whether a topic or filter is its connection's own.
fn is_own(name: &str) -> bool {
    OWN.iter().any(|own| name.starts_with(own))
}

/// A client's own topic or filter, as it is called inside the node.
fn inside(client_id: &str, name: &str) -> String {
    format!("{INSIDE}{client_id}/{name}")
}

/// Whether a client may have topics of its own: its identifier is one level of a topic.
pub(super) fn may_own(client_id: &str) -> bool {
    client_id.len() <= CLIENT_ID_MAX && !client_id.contains(['/', '+', '#'])
}

/// Bytes of `me/<client id>/` in front of a client's own topic; 0 if it is nobody's.
pub(super) fn owner_len(topic: &str) -> u16 {
    let own = topic.strip_prefix(INSIDE).and_then(|rest| {
        let (client_id, name) = rest.split_once('/')?;
        is_own(name).then_some(INSIDE.len() + client_id.len() + 1)
    });
    own.map_or(0, |len| {
        u16::try_from(len).expect("a topic is below 64 KiB")
    })
}

/// Of [`owner_len`] bytes, those that are left out of what is delivered to this client.
pub(super) fn skip_for(client_id: &str, topic: &str, owner_len: u16) -> u16 {
    let is_owner = owner_len > 0 && {
        let owner = &topic[INSIDE.len()..usize::from(owner_len) - 1];
        owner == client_id
    };
    if is_owner { owner_len } else { 0 }
}

/// A will, on the topic that it has inside the node.
pub(super) fn will_inside(client_id: &str, will: &Will) -> Will {
    let mut mapped = will.clone();
    if is_own(&mapped.topic) {
        mapped.topic = inside(client_id, &mapped.topic);
    }
    mapped
}

impl Backend {
    /// A packet of a client with a session came, whose own topics are its own.
    pub(super) fn take_on_own(
        &mut self,
        now: Instant,
        conn: ConnId,
        index: Index,
        session: Index,
        packet: Packet<'_>,
        out: &mut Vec<Output>,
    ) {
        let Some(client_id) = self.sessions.get_mut(session).map(|s| s.client_id.clone()) else {
            return;
        };
        let name = |name: String| match is_own(&name) {
            true => inside(&client_id, &name),
            false => name,
        };
        let packet = match packet {
            Packet::Publish(publish) if is_own(publish.topic) => {
                let topic = inside(&client_id, publish.topic);
                if topic.len() > usize::from(u16::MAX) {
                    self.protocol_error(index, out);
                    return;
                }
                let topic = topic.as_str();
                let packet = Packet::Publish(Publish { topic, ..publish });
                self.take_on(now, conn, index, session, packet, out);
                return;
            }
            Packet::Subscribe { packet_id, filters } => {
                let filters = filters.into_iter();
                let filters = filters.map(|(filter, qos)| (name(filter), qos)).collect();
                Packet::Subscribe { packet_id, filters }
            }
            Packet::Unsubscribe { packet_id, filters } => {
                let filters = filters.into_iter().map(name).collect();
                Packet::Unsubscribe { packet_id, filters }
            }
            packet @ (Packet::Connect(_)
            | Packet::ConnAck { .. }
            | Packet::Publish(_)
            | Packet::PubAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::SubAck { .. }
            | Packet::UnsubAck(_)
            | Packet::PingReq
            | Packet::PingResp
            | Packet::Disconnect) => packet,
        };
        self.take_on(now, conn, index, session, packet, out);
    }

    /// Closes the connections that got an error among the outputs from `from` on, as ThingsBoard does.
    pub(super) fn close_after_errors(&mut self, from: usize, out: &mut Vec<Output>) {
        if self.me == Me::Shared {
            return;
        }
        let mut at = from;
        // A close may publish a will, which may be an error again.
        while at < out.len() {
            if let Output::Deliver(conn, delivery) = &out[at]
                && delivery.is_own()
                && delivery.topic() == ERROR
                && let Some(index) = self.connections.find(*conn)
            {
                self.counts.error_closes += 1;
                self.close(index, out);
            }
            at += 1;
        }
    }
}

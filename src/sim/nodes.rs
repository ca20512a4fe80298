//! Nodes in the simulation: the backend, and the listener in front of it.

use super::clients::client_of;
use super::queue::{Down, Event, Up};
use super::world::{Who, World};
use crate::backend::{Backend, ConnId, Input, Output};
use crate::device::{path, payload};
use crate::mqtt::packet::{Packet, Publish};
use crate::stats::event::Cause;
use crate::time::Instant;
use std::collections::BTreeMap;

/// Connections that the kernel completes for a listener that does not accept: the listen backlog.
const LISTEN_BACKLOG: usize = 4_096;

/// Outputs that are kept room for: a restart closes all connections in one step.
const OUTPUTS_KEPT: usize = 4_096;

/// A node with its listener.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) backend: Backend,
    is_paused: bool,
    /// Connections that wait to be accepted, by arrival, with what came on them.
    unaccepted: Vec<(ConnId, Vec<Up>)>,
    /// Connections beyond the listen backlog.
    refused_by_listener: u64,
}

impl Node {
    pub(super) const fn new(backend: Backend) -> Self {
        Self {
            backend,
            is_paused: false,
            unaccepted: Vec::new(),
            refused_by_listener: 0,
        }
    }

    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = self.backend.counts();
        if self.refused_by_listener > 0 {
            counts.insert("listen_backlog_full".into(), self.refused_by_listener);
        }
        counts
    }
}

impl World {
    /// A connection to `node` that is nobody's: what comes down on it is dropped.
    #[cfg(test)]
    pub(super) fn stray_connection(&self, node: usize) -> ConnId {
        ConnId((u64::from(self.actor_of_node(node)) << 32) | 1)
    }

    /// Something reaches a node.
    pub(super) fn reach_node(&mut self, now: Instant, conn: ConnId, up: Up) {
        let node = usize::from(self.queue.port(client_of(conn)).node);
        self.events += 1;
        if matches!(up, Up::Opened) && self.is_left_on_the_way(conn) {
            return;
        }
        let listener = &mut self.nodes[node];
        if let Some((_, waiting)) = listener.unaccepted.iter_mut().find(|(c, _)| *c == conn) {
            waiting.push(up);
            return;
        }
        if matches!(up, Up::Opened) {
            if listener.is_paused && listener.unaccepted.len() >= LISTEN_BACKLOG {
                listener.refused_by_listener += 1;
                self.knock_again(now, conn);
                return;
            }
            // The kernel completes the handshake whether or not anyone accepts.
            let from = self.actor_of_node(node);
            let at = self.passes_down(now, conn, &Down::Opened);
            self.queue.push(at, from, Event::Down(conn, Down::Opened));
            let listener = &mut self.nodes[node];
            if listener.is_paused {
                listener.unaccepted.push((conn, vec![Up::Opened]));
                return;
            }
        }
        self.take_up(node, now, conn, &up);
    }

    /// The listener has no room for a connection: the client's kernel sends its SYN again, as long as
    /// the device waits for an answer. An observer or a desk has nobody
    /// to wait for it.
    fn knock_again(&mut self, now: Instant, conn: ConnId) {
        let actor = client_of(conn);
        if let Who::Device(id) = self.who(actor) {
            let waited = now.since(self.devices[id as usize].attempt_began);
            let again = now.after(path::next_syn(waited));
            self.queue.push(again, actor, Event::Up(conn, Up::Opened));
        }
    }

    fn take_up(&mut self, node: usize, now: Instant, conn: ConnId, up: &Up) {
        match up {
            Up::Opened => self.step_node(node, now, Input::Opened(conn)),
            Up::Closed => self.step_node(node, now, Input::Closed(conn)),
            Up::Packet(packet) => self.step_node(node, now, Input::Received(conn, packet.clone())),
            Up::Publish(own) => {
                let publish = Packet::Publish(Publish {
                    dup: own.dup,
                    qos: own.qos,
                    retain: own.retain,
                    packet_id: own.packet_id,
                    topic: &own.topic,
                    payload: &own.payload,
                });
                self.step_node(node, now, Input::Received(conn, publish));
            }
            Up::Shared(shared) => {
                let publish = Publish {
                    dup: shared.dup,
                    qos: shared.qos,
                    retain: shared.retain,
                    packet_id: shared.packet_id,
                    topic: &shared.topic,
                    payload: &shared.payload,
                };
                let input = Input::Published(conn, publish, &shared.payload);
                self.step_node(node, now, input);
            }
            Up::Telemetry(message) => {
                let Who::Device(id) = self.who(client_of(conn)) else {
                    return;
                };
                let mut scratch = std::mem::take(&mut self.scratch);
                let profile = &self.profiles[usize::from(self.devices[id as usize].cohort)];
                payload::render(profile, id, message, &mut scratch);
                let stream = &self.plan.streams[usize::from(message.op.stream)];
                let publish = Packet::Publish(Publish {
                    dup: message.dup,
                    qos: stream.qos,
                    retain: stream.retain,
                    packet_id: message.packet_id,
                    topic: &scratch.topic,
                    payload: &scratch.payload,
                });
                self.step_node(node, now, Input::Received(conn, publish));
                self.scratch = scratch;
            }
        }
    }

    /// Steps a node.
    pub(super) fn step_node(&mut self, node: usize, now: Instant, input: Input<'_>) {
        let from = self.actor_of_node(node);
        let mut outputs = std::mem::take(&mut self.node_outputs);
        let backend = &mut self.nodes[node].backend;
        backend.handle_input(now, input, &mut outputs);
        let mut resumes = false;
        for output in outputs.drain(..) {
            let (conn, down) = match output {
                Output::Send(conn, packet) => (conn, Down::Packet(packet)),
                Output::Deliver(conn, delivery) => (conn, Down::Deliver(delivery)),
                Output::Close { conn, reset: true } => (conn, Down::Closed(Cause::Reset)),
                Output::Close { conn, reset: false } => (conn, Down::Closed(Cause::ClosedByPeer)),
                Output::PauseAccepting => {
                    self.nodes[node].is_paused = true;
                    continue;
                }
                Output::ResumeAccepting => {
                    self.nodes[node].is_paused = false;
                    resumes = true;
                    continue;
                }
            };
            let at = self.passes_down(now, conn, &down);
            self.queue.push(at, from, Event::Down(conn, down));
        }
        outputs.shrink_to(OUTPUTS_KEPT);
        self.node_outputs = outputs;
        let deadline = self.nodes[node].backend.poll_timeout();
        self.queue.arm(from, deadline);
        if resumes {
            for (conn, ups) in std::mem::take(&mut self.nodes[node].unaccepted) {
                for up in ups {
                    self.take_up(node, now, conn, &up);
                }
            }
        }
    }
}

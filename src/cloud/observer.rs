//! An observer: a cloud-side MQTT session of our own (persistent, QoS 1) that receives the
//! telemetry of at most [`DEVICES_MAX`] devices by their exact topics. Sans-IO, like a device.

use crate::device::stamp::Stamp;
use crate::mqtt::packet::Packet;
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::event::Cause;
use crate::time::Instant;
use std::sync::Arc;

/// Devices of one observer.
pub const DEVICES_MAX: usize = 250;

/// What happens to an observer.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Connect and subscribe.
    Start,
    /// A deadline (`poll_timeout`) has come.
    Timeout,
    /// The transport of the latest `Output::Open` is established.
    Opened,
    /// The transport failed to open, or ended.
    Closed(Cause),
    /// A packet came.
    Received(Packet<'a>),
    /// Leave: UNSUBSCRIBE is not needed, the teardown clears the session.
    Shutdown,
}

/// What an observer wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Open a transport to `Observer::node`.
    Open,
    /// Close the transport; a `Closed` input does not follow.
    Close,
    /// Write a packet.
    Send(Packet<'static>),
    /// Tell the ledger and the recorder.
    Event(Event),
}

/// What an observer reports.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Event {
    /// All subscriptions are granted for the first time.
    Armed,
    /// A telemetry message arrived on a topic of an observed device.
    Seen(Stamp),
    /// A payload without a stamp of ours.
    Corrupt,
    /// A message whose stamp names another run.
    Foreign,
    /// The session is not receiving from now on.
    GapBegan,
    /// It receives again; if the server had forgotten the session, what was under way is gone.
    GapEnded {
        /// Server kept the session and its queue.
        session_present: bool,
    },
    /// Its connection failed or ended.
    Failed(Cause),
    /// The target refuses a subscription for good; the run cannot be verified.
    SubscribeRefused,
}

/// One observer session.
#[derive(Debug)]
pub struct Observer {
    node: u16,
    devices: Vec<DeviceIdx>,
}

impl Observer {
    /// An observer of `devices` on `node`; `name` makes its client id unique in the run.
    pub fn new(plan: Arc<Plan>, run: u32, node: u16, name: u32, devices: Vec<DeviceIdx>) -> Self {
        let _ = (plan, run, name);
        Self { node, devices }
    }

    /// Its client identifier.
    pub fn client_id(&self) -> String {
        todo!("device helper")
    }

    /// The node it connects to.
    pub const fn node(&self) -> u16 {
        self.node
    }

    /// The devices whose telemetry it receives.
    pub fn devices(&self) -> &[DeviceIdx] {
        &self.devices
    }

    /// Steps the observer: `input` happened at `now`; what it wants done is appended to `out`.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        let _ = (now, input, out);
        todo!("device helper")
    }

    /// When it wants `Input::Timeout`; [`Instant::NEVER`] when idle.
    pub fn poll_timeout(&self) -> Instant {
        todo!("device helper")
    }

    /// Splits the observed devices among `owned` into observers of at most [`DEVICES_MAX`] devices
    /// of one node each (any one node if the target is a cluster).
    pub fn plan_all(plan: &Arc<Plan>, run: u32, worker: u32, owned: &[DeviceIdx]) -> Vec<Self> {
        let _ = (plan, run, worker, owned);
        todo!("device helper")
    }
}

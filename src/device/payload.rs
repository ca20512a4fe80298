//! Telemetry bodies: topic and payload as pure functions of (seed, device, stream, seq), encoded
//! straight into a lent buffer, never stored.

use super::{Profile, Telemetry};
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::scenario::template::Names;

/// What templates of `device` are rendered with.
pub fn names(plan: &Plan, device: DeviceIdx, run: u32) -> Names<'_> {
    let _ = (plan, device, run);
    todo!("payload helper")
}

/// Buffers that one driver lends to all its devices.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Topic being rendered.
    pub topic: String,
    /// Payload being rendered.
    pub payload: Vec<u8>,
}

/// Renders topic and payload of `message` into `scratch`.
pub fn render(profile: &Profile, device: DeviceIdx, message: &Telemetry, scratch: &mut Scratch) {
    let _ = (profile, device, message, scratch);
    todo!("payload helper")
}

/// Appends the encoded PUBLISH packet of `message` to `out`.
pub fn encode_telemetry(
    profile: &Profile,
    device: DeviceIdx,
    message: &Telemetry,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    let _ = (profile, device, message, scratch, out);
    todo!("payload helper")
}

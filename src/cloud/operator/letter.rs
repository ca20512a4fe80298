//! What waits at a desk: small, so that a whole fleet can be written to at once; put into words only
//! when it is written, so that what has become void meanwhile is not.

use super::SharedPublish;
use crate::scenario::plan::DeviceIdx;

/// A message to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Letter {
    /// The device's next job, as it is when this is written.
    Job(DeviceIdx),
    /// A command's request to one of its targets.
    Request {
        /// Index into `Plan::commands`.
        command: u16,
        /// Place among its targets.
        target: u32,
    },
    /// The device is asked to report its state.
    AskReport(DeviceIdx),
    /// An answer, in words already.
    Ready(Box<SharedPublish>),
}

const _: () = assert!(size_of::<Letter>() <= 16);

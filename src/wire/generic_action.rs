//! Home-grown backends: one topic for actions, one for status, payloads by patterns. The defaults
//! are those of Bytebeam's uplink.

/// A payload with named places, such as `{"id":"{action_id}","state":"{state}"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(pub String);

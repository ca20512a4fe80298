//! The 24-byte stamp in each telemetry payload, from which an observer fills the delivery ledger.

use crate::time::Instant;

/// Who sent which message when; 24 bytes, 32 characters as unpadded base64 (standard alphabet).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Run id.
    pub run: u32,
    /// Device index in the fleet.
    pub device: u32,
    /// Stream index in the plan.
    pub stream: u16,
    /// Boot counter.
    pub boot: u16,
    /// Sequence number.
    pub seq: u32,
    /// When the schedule wanted it, on the run's axis.
    pub intended: Instant,
}

impl Stamp {
    /// Length of the text form.
    pub const TEXT_LEN: usize = 32;

    /// The text form: 24 bytes big-endian in field order, base64.
    pub fn to_text(self) -> [u8; Self::TEXT_LEN] {
        todo!("payload helper")
    }

    /// Inverse of [`Stamp::to_text`]; `None` if it is not one.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        let _ = text;
        todo!("payload helper")
    }

    /// Finds the stamp in a telemetry payload: the string value of the JSON field `field`
    /// (`"<field>":"<32 characters>"`), or the first 32 bytes of a raw payload.
    pub fn find(payload: &[u8], field: &str) -> Option<Self> {
        let _ = (payload, field);
        todo!("payload helper")
    }
}

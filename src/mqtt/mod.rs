//! MQTT 3.1.1: packet values, the codec between values and bytes, and the sans-IO client session.

pub mod codec;
pub mod packet;
pub mod session;

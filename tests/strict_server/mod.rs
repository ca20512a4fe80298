//! A strict and hostile server for devices in virtual time: `wire` reads and writes bytes, `checker`
//! judges what the client does, `nature` and `server` are what the client meets, `world` joins one
//! device to one server.

pub(crate) mod checker;
mod doctored;
pub(crate) mod nature;
pub(crate) mod server;
pub(crate) mod wire;
pub(crate) mod world;

//! What the fuzz targets check, as plain functions of bytes: each panics if a promise is broken.
//! They use the public face of the program only.

pub(crate) mod backend;
pub(crate) mod codec;
pub(crate) mod device;
mod script;
pub(crate) mod wire;

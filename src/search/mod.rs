//! Commands that make many runs to find an edge: the fleet size beyond which a storm does not end.

mod edge;
mod render;
pub mod storm;
mod trial;

pub use render::text;

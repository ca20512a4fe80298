//! Faults of the reference backend that are active now.

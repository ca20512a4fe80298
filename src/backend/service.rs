//! Admission and queueing law of the reference backend.

//! Processes and the run directory: preflight, coordinator, worker processes.

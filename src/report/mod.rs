//! From a run directory to a verdict and pages: reads only run directories, never sees devices.

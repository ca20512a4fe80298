//! The one table of exit codes.

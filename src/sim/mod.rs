//! The simulation driver: one event queue, virtual time, no sockets.

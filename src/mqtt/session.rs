//! Sans-IO MQTT 3.1.1 client session: packet identifiers, inflight window, keep-alive.

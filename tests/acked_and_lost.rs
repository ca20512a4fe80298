//! Nothing that was acknowledged is lost: every network and device fault, against the reference
//! backend in virtual time and over sockets. (Against Mosquitto: `live_mosquitto.rs`.)

mod outages;
mod program;

use outages::{FAULTS, must_lose_nothing, text};
use program::Bench;

#[test]
fn in_virtual_time() {
    for (fault, faults) in FAULTS {
        let target = "target: { embedded: { nodes: 2 } }";
        let bench = Bench::new("simulate", &text(2_000, target, faults));
        must_lose_nothing(fault, 2_000, &bench.run(&[]));
    }
}

#[test]
fn over_sockets() {
    for (fault, faults) in FAULTS {
        let target = "target: { embedded: { nodes: 2 } }";
        let bench = Bench::new("run", &text(200, target, faults));
        must_lose_nothing(fault, 200, &bench.run(&["--workers", "1"]));
    }
}

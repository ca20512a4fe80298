//! How plans are laid out over processes.

use super::*;
use crate::scenario::fixture;
use crate::scenario::plan::{Fault, FaultKind, NetworkFault, Selector};

const ROOMY: Limits = Limits {
    nofile_hard: 20_000,
    cores: 1,
    memory_available_bytes: 1 << 40,
    ports: 28_232,
};

/// A thousand devices on two nodes, none of them observed, with blackholes of these.
fn plan(holes: &[Selector]) -> Plan {
    let mut plan = fixture::plan(1_000);
    plan.observe.devices = 0;
    if let Target::Embedded(embedded) = &mut plan.target {
        embedded.nodes = 2;
    }
    let fault = |who: &Selector| Fault {
        phase: 1,
        start: Duration::from_secs(10),
        clear: Duration::from_secs(20),
        kind: FaultKind::Network {
            who: who.clone(),
            fault: NetworkFault::Blackhole,
        },
    };
    plan.faults = holes.iter().map(fault).collect();
    plan
}

/// Each device that a blackhole means may have a second connection, on its worker and on its node.
#[test]
fn what_blackholes_leave_half_open_is_planned_for() {
    let third = Selector {
        share: Some(0.3),
        ..Selector::default()
    };
    let node = Selector {
        node: Some(0),
        ..Selector::default()
    };
    let layout = |holes: &[Selector], limits, workers| {
        layout(&plan(holes), &limits, workers).expect("it fits")
    };
    let none = layout(&[], ROOMY, Some(1));
    let some = layout(std::slice::from_ref(&third), ROOMY, Some(1));
    assert_eq!((none.half_open, some.half_open), (0, 300));
    assert_eq!(some.worker_fds, none.worker_fds + 300);
    let on_node = some.node_fds - none.node_fds;
    assert!((150..200).contains(&on_node), "{on_node}");
    assert!(some.memory_bytes > none.memory_bytes);
    let split = layout(std::slice::from_ref(&third), ROOMY, Some(3)).worker_fds - FDS_SPARE - 334;
    assert!((100..130).contains(&split), "{split}");
    let both = layout(&[third.clone(), node], ROOMY, Some(1)).half_open;
    assert!((600..700).contains(&both), "each device once: {both}");
    // Where one worker has room for the fleet but not for the hole, there are two.
    let tight = Limits {
        nofile_hard: 1_400,
        ..ROOMY
    };
    assert_eq!(layout(&[], tight, None).workers, 1);
    assert_eq!(layout(&[third], tight, None).workers, 2);
}

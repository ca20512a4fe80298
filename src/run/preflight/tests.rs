//! How plans are laid out over processes.

use super::*;
use crate::scenario::campaign::{Campaign, FleetQuery, Image, Order, Population, Rollout, Server};
use crate::scenario::fixture;
use crate::scenario::plan::{BootTime, Fault, FaultKind, NetworkFault, Selector};
use crate::scenario::template::Template;
use crate::scenario::update::{Resume, UpdateClient};
use crate::wire::generic_action::{ACTION, Pattern, STATUS};

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

/// A plan with a query has an operator.
fn asked(mut plan: Plan) -> Plan {
    plan.queries = vec![FleetQuery {
        name: "old-firmware".into(),
        phase: 1,
        start: Duration::from_secs(10),
        end: Duration::from_secs(70),
        every: None,
        targets: Population::default(),
        max_age: None,
        timeout: Duration::from_secs(5),
    }];
    plan
}

/// A plan whose devices download the image of a campaign over HTTP.
fn downloads(server: Option<&str>) -> Plan {
    let mut plan = plan(&[]);
    plan.firmware.versions = vec!["2.0.0".into()];
    plan.cohorts[0].update = Some(UpdateClient {
        profile: WireProfile::GenericAction(Box::new(GenericAction {
            action_topic: Template(Vec::new()),
            status_topic: Template(Vec::new()),
            action: Pattern::action(ACTION).expect("the default is sound"),
            status: Pattern::status(STATUS).expect("the default is sound"),
            server: server.map(str::to_owned),
            progress_every: 0,
        })),
        block_bytes: 4096,
        window: 1,
        block_timeout: Duration::from_secs(10),
        block_retries: 32,
        resume: Resume::Block,
        flash_bytes_per_s: None,
        verify: Duration::ZERO,
        install: Duration::ZERO,
        reboot: BootTime::NONE,
        self_test: Duration::ZERO,
        answer_timeout: Duration::from_secs(10),
        reject: 0.0,
        defer: None,
        fail: 0.0,
    });
    plan.campaigns = vec![Campaign {
        name: "fw-2".into(),
        phase: 1,
        start: Duration::from_secs(10),
        server: Server::Operator,
        targets: Population::default(),
        image: Image {
            version: 0,
            bytes: 4096,
            defects: Vec::new(),
        },
        priorities: Vec::new(),
        order: Order::ByPriority,
        rollout: Rollout::AtOnce,
        aborts: Vec::new(),
        in_progress_timeout: None,
        step_timeout: None,
        retries: 0,
        pauses: Vec::new(),
        cancel: None,
    }];
    plan
}

#[test]
fn the_operator_and_its_sessions_are_planned_for() {
    let none = layout(&plan(&[]), &ROOMY, Some(2)).expect("it fits");
    let some = layout(&asked(plan(&[])), &ROOMY, Some(2)).expect("it fits");
    assert_eq!((none.desks, none.operator_fds), (0, 0));
    assert_eq!((some.desks, some.operator_fds), (2, 2 + FDS_SPARE));
    assert_eq!(some.node_fds, none.node_fds + 1);
    assert_eq!(
        (some.workers, some.worker_fds),
        (none.workers, none.worker_fds)
    );
    assert_eq!(some.memory_bytes, none.memory_bytes + PROCESS_BYTES);
}

#[test]
fn downloads_are_planned_for_at_both_ends() {
    let none = layout(&asked(plan(&[])), &ROOMY, Some(2)).expect("it fits");
    let ours = layout(&downloads(None), &ROOMY, Some(2)).expect("it fits");
    assert_eq!(ours.worker_fds, none.worker_fds + 500);
    assert_eq!(ours.operator_fds, none.operator_fds + 1_000);
    let theirs = layout(&downloads(Some("http://h/x")), &ROOMY, Some(2)).expect("it fits");
    assert_eq!(
        (theirs.worker_fds, theirs.operator_fds),
        (ours.worker_fds, none.operator_fds)
    );
    // Where one worker has room for the fleet but not for its downloads, there are two.
    let tight = Limits {
        nofile_hard: 1_400,
        ..ROOMY
    };
    assert_eq!(
        layout(&downloads(None), &tight, None)
            .expect("it fits")
            .workers,
        2
    );
    let tighter = Limits {
        nofile_hard: 1_200,
        ..ROOMY
    };
    let refused = layout(&downloads(None), &tighter, None).expect_err("no room for the server");
    assert!(
        refused.problems[0].contains("image server need 1258"),
        "{refused}"
    );
}

#[test]
fn image_servers_are_resolved_once_and_must_be_named_if_they_are_far_away() {
    let servers = |url| image_servers(&downloads(Some(url)));
    let named = servers("http://127.0.0.1:8080/files").expect("an address");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    assert_eq!(named, [("127.0.0.1:8080".to_owned(), address)]);
    assert_eq!(
        servers("http://127.0.0.1").expect("an address")[0].1.port(),
        80
    );
    let refused = servers("https://127.0.0.1/x").expect_err("TLS has not landed");
    assert!(
        refused.problems[0].contains("no http:// address"),
        "{refused}"
    );
    let mut large = downloads(None);
    large.cohorts[0].devices = 1_001;
    let far = [(
        "192.0.2.7:80".to_owned(),
        SocketAddr::from(([192, 0, 2, 7], 80)),
    )];
    assert!(check_servers_allowed(&downloads(None), &far, &[]).is_ok());
    assert!(check_servers_allowed(&large, &named, &[]).is_ok());
    assert!(check_servers_allowed(&large, &far, &["192.0.2.7".to_owned()]).is_ok());
    let refused = check_servers_allowed(&large, &far, &[]).expect_err("nobody named it");
    assert!(
        refused.problems[0].contains("--allow-target 192.0.2.7"),
        "{refused}"
    );
}

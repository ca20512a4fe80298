//! The words of the target and of what happens to it in a scenario file, and what they become in the
//! plan: the service law, brokers, faults and their windows.

mod scenario_text;

use fleetstorm::scenario::file::Overrides;
use fleetstorm::scenario::plan::{
    BackendFault, BrokerUrl, DeviceFault, DropAck, Embedded, Fault, FaultKind, GoneClients, Lose,
    Me, NetworkFault, Selector, Service, ServiceTime, Sessions, Target, Topology,
};
use fleetstorm::scenario::power::{BootTime, Spread};
use scenario_text::{faulty, one, plan, secs, with};
use std::time::Duration;

#[test]
fn faults_and_their_windows() {
    let restart = |sessions| BackendFault::Restart { sessions };
    let table = [
        (
            "{ backend: { restart: { node: 1 } } }",
            Some(1),
            2,
            62,
            restart(Sessions::Keep),
        ),
        ("{ backend: restart }", None, 2, 62, restart(Sessions::Keep)),
        (
            "{ at: 5s, backend: { restart: { down: 10s, sessions: forget } } }",
            None,
            7,
            17,
            restart(Sessions::Forget),
        ),
        (
            "{ at: 5s, for: 3s, backend: { refuse: { node: 0 } } }",
            Some(0),
            7,
            10,
            BackendFault::Refuse,
        ),
        (
            "{ at: 50s, backend: stall }",
            None,
            52,
            62,
            BackendFault::Stall,
        ),
        (
            "{ backend: pause_accepting }",
            None,
            2,
            62,
            BackendFault::PauseAccepting,
        ),
        (
            "{ backend: { ack_delay: { delay: 10ms } } }",
            None,
            2,
            62,
            BackendFault::AckDelay(Duration::from_millis(10)),
        ),
        (
            "{ backend: { drop_ack: { share: 1% } } }",
            None,
            2,
            62,
            BackendFault::DropAck(DropAck::Share(0.01)),
        ),
        (
            "{ backend: { drop_ack: { count: 5, node: 1 } } }",
            Some(1),
            2,
            62,
            BackendFault::DropAck(DropAck::Count(5)),
        ),
        (
            "{ backend: { lose: { share: 1% } } }",
            None,
            2,
            62,
            BackendFault::Lose(Lose::Share(0.01)),
        ),
        (
            "{ backend: { lose: { count: 7, node: 1 } } }",
            Some(1),
            2,
            62,
            BackendFault::Lose(Lose::Count(7)),
        ),
    ];
    for (text, node, start, clear, kind) in table {
        let fault = plan(&faulty(text)).faults[0].clone();
        assert_eq!(fault.phase, 1, "{text}");
        assert_eq!(
            (fault.start, fault.clear),
            (secs(start), secs(clear)),
            "{text}"
        );
        assert_eq!(
            fault.kind,
            FaultKind::Backend { node, fault: kind },
            "{text}"
        );
    }
    let wrong = [
        "{ backend: { ack_delay: {} } }",
        "{ backend: ack_delay }",
        "{ backend: { drop_ack: {} } }",
        "{ backend: { drop_ack: { share: 1%, count: 1 } } }",
        "{ at: 60s, backend: stall }",
        "{ at: 50s, for: 11s, backend: stall }",
        "{ for: 0s, backend: stall }",
        "{ for: 5s, backend: { restart: { down: 5s } } }",
        "{ backend: { stall: { node: 2 } } }",
        "{ at: 5s }",
        "{ backend: { lose: {} } }",
        "{ backend: lose }",
        "{ backend: { lose: { share: 1%, count: 1 } } }",
        "{ backend: { lose: { count: 1, node: 2 } } }",
    ];
    for text in wrong {
        assert!(
            with(&faulty(text), &Overrides::default()).is_err(),
            "{text}"
        );
    }
}

/// As [`faulty`], with two regions, and brokers as the target if `brokers`.
fn with_outage(faults: &str, brokers: bool) -> String {
    let (embedded, cohort) = ("embedded: { nodes: 2 }", "cohort: m, devices: 10");
    let attributes = "attributes: { region: { north: 40%, south: 60% } }";
    let text = faulty(faults).replace(cohort, &format!("{cohort}, {attributes}"));
    if brokers {
        text.replace(embedded, "brokers: { urls: [mqtt://a, mqtt://b] }")
    } else {
        text
    }
}

#[test]
fn outages_work_with_any_target() {
    let reset = |within| NetworkFault::Reset { within };
    let everyone = Selector::default();
    let north = Selector {
        attributes: vec![("region".into(), "north".into())],
        ..Selector::default()
    };
    let some = Selector {
        cohort: Some(0),
        node: Some(1),
        share: Some(0.5),
        ..Selector::default()
    };
    let table = [
        ("{ outage: reset }", 2, 62, everyone.clone(), reset(secs(0))),
        (
            "{ outage: refuse, at: 5s }",
            7,
            62,
            everyone.clone(),
            NetworkFault::Refuse,
        ),
        (
            "{ outage: { reset: { where: { region: north }, within: 500ms } }, at: 5s, for: 30s }",
            7,
            37,
            north.clone(),
            reset(Duration::from_millis(500)),
        ),
        (
            "{ outage: { close: { where: { region: north }, within: 10s } }, at: 50s }",
            52,
            62,
            north.clone(),
            NetworkFault::Close { within: secs(10) },
        ),
        (
            "{ outage: { dns: { where: { region: north } } }, for: 1s }",
            2,
            3,
            north,
            NetworkFault::Dns,
        ),
        ("{ outage: dns }", 2, 62, everyone, NetworkFault::Dns),
        (
            "{ outage: { refuse: { where: { cohort: m, node: 1, share: 50% } } } }",
            2,
            62,
            some.clone(),
            NetworkFault::Refuse,
        ),
        (
            "{ outage: { reset: { where: { cohort: m, node: 1, share: 50% }, within: 10s } }, for: 10s }",
            2,
            12,
            some,
            reset(secs(10)),
        ),
        (
            "{ outage: { blackhole: {} }, for: 20s }",
            2,
            22,
            Selector::default(),
            NetworkFault::Blackhole,
        ),
    ];
    for (text, start, clear, who, fault) in table {
        for brokers in [false, true] {
            let found = plan(&with_outage(text, brokers)).faults[0].clone();
            assert_eq!(
                (found.phase, found.start, found.clear),
                (1, secs(start), secs(clear)),
                "{text}"
            );
            let who = who.clone();
            assert_eq!(found.kind, FaultKind::Network { who, fault }, "{text}");
        }
    }
    let wrong = [
        "{ outage: { dns: { within: 1s } } }",
        "{ outage: { close: { within: 61s } } }",
        "{ outage: {} }",
        "{ outage: { reset: {}, refuse: {} } }",
        "{ outage: reset, backend: stall }",
        "{ outage: { reset: { node: 1 } } }",
        "{ outage: { reset: { where: { node: 2 } } } }",
        "{ outage: { reset: { where: { share: 1% } } } }",
        "{ outage: { reset: { within: 61s } } }",
        "{ outage: { refuse: { within: 1s } } }",
        "{ outage: { blackhole: { within: 1s } } }",
        "{ outage: stall }",
        "{ degrade: { latency: 1s } }",
        "{ degrade: lte-m }",
        "{ degrade: { link: {} } }",
        "{ degrade: { link: { loss: 51% } } }",
        "{ degrade: { link: lte-m }, outage: reset }",
        "{ degrade: { link: lte-m, leak: 100% } }",
        "{ outage: { reset: { where: { draw: 1 } } } }",
        "{ outage: { reset: { where: { share: 50%, draw: -1 } } } }",
    ];
    for text in wrong {
        let errors = with(&with_outage(text, false), &Overrides::default());
        assert!(errors.is_err(), "{text}");
    }
}

#[test]
fn a_fault_comes_again_with_exact_windows() {
    let text = "{ at: 5s, for: 3s, repeat: { every: 9s, times: 6 }, outage: reset }";
    let windows: Vec<(Duration, Duration)> = plan(&with_outage(text, true))
        .faults
        .iter()
        .map(|fault| (fault.start, fault.clear))
        .collect();
    let wanted: Vec<_> = (0..6)
        .map(|n| (secs(7 + 9 * n), secs(10 + 9 * n)))
        .collect();
    assert_eq!(windows, wanted);
    let restart = "{ repeat: { every: 20s, times: 3 }, backend: { restart: { down: 20s } } }";
    let restarts = plan(&faulty(restart)).faults;
    assert_eq!(restarts.len(), 3);
    assert_eq!((restarts[2].start, restarts[2].clear), (secs(42), secs(62)));
    let wrong = [
        "{ for: 3s, repeat: { every: 2s, times: 2 }, outage: reset }",
        "{ for: 3s, repeat: { every: 20s, times: 4 }, outage: reset }",
        "{ for: 3s, repeat: { every: 20s, times: 0 }, outage: reset }",
        "{ for: 1ms, repeat: { every: 1ms, times: 1001 }, outage: reset }",
        "{ repeat: { every: 20s, times: 2 }, outage: reset }",
        "{ for: 3s, repeat: { every: 20s }, outage: reset }",
        "{ for: 3s, repeat: 3, outage: reset }",
    ];
    for text in wrong {
        let errors = with(&with_outage(text, false), &Overrides::default());
        assert!(errors.is_err(), "{text}");
    }
}

#[test]
fn a_leak_spares_others_in_each_fault_and_the_same_in_each_repetition() {
    let text = "{ for: 3s, repeat: { every: 9s, times: 2 }, outage: { reset: { leak: 20% } } }, \
        { at: 40s, degrade: { link: { latency: 200ms, loss: 2% }, leak: 20%, where: { share: 50%, draw: 2 } } }";
    let plan = plan(&with_outage(text, true));
    let who = |fault: usize| match &plan.faults[fault].kind {
        FaultKind::Network { who, .. } => who.clone(),
        FaultKind::Backend { .. } | FaultKind::Device { .. } => panic!("all are network faults"),
    };
    assert_eq!(who(0), who(1));
    assert_eq!(who(0).members(&plan).len(), 8);
    assert_eq!(who(2).members(&plan).len(), 4);
    assert_eq!(who(2).draw, 2);
    let spared = |fault: usize| who(fault).spared.expect("each has a leak").fault;
    assert_eq!((spared(0), spared(2)), (0, 1));
    let FaultKind::Network {
        fault: NetworkFault::Degrade(link),
        ..
    } = plan.faults[2].kind
    else {
        panic!("the last one degrades");
    };
    assert_eq!((link.up.loss, link.down), (0.02, link.up));
}

#[test]
fn a_drawn_length_is_exact_once_the_plan_is_made() {
    let text = "{ for: { lognormal: { median: 3s, sigma: 0.8 }, at_most: 9s }, \
        repeat: { every: 9s, times: 6 }, outage: { reset: { within: 2s } } }, \
        { at: 50s, for: { preset: power-us, at_most: 10s }, outage: blackhole }, \
        { at: 50s, for: { pareto: { min: 9s, alpha: 1.2 }, at_most: 9.5s }, outage: dns }";
    let text = with_outage(text, true);
    let faults = plan(&text).faults;
    assert_eq!(faults, plan(&text).faults);
    let windows = |faults: &[Fault]| {
        let window = |fault: &Fault| (fault.start, fault.clear - fault.start);
        faults.iter().map(window).collect::<Vec<_>>()
    };
    let repeated = windows(&faults[..6]);
    for (number, (start, length)) in (0..).zip(&repeated) {
        assert_eq!(*start, secs(2 + 9 * number));
        assert!((secs(2)..=secs(9)).contains(length), "{length:?}");
    }
    assert!(repeated.windows(2).any(|pair| pair[0].1 != pair[1].1));
    // So short a cut leaves nothing of hours.
    let of = |start: u64, kind: NetworkFault| {
        let found = faults.iter().find(|fault| match &fault.kind {
            FaultKind::Network { fault, .. } => *fault == kind,
            FaultKind::Backend { .. } | FaultKind::Device { .. } => false,
        });
        let found = found.expect("it is there");
        assert_eq!(found.start, secs(start));
        found.clear - found.start
    };
    assert_eq!(of(52, NetworkFault::Blackhole), secs(10));
    let pareto = of(52, NetworkFault::Dns);
    assert!((secs(9)..=Duration::from_millis(9_500)).contains(&pareto));
    let reseeded = Overrides {
        seed: Some(43),
        ..Overrides::default()
    };
    let other = with(&text, &reseeded).expect("it is valid with any seed");
    assert_ne!(windows(&other.faults[..6]), repeated);
    let wrong = [
        "{ for: { lognormal: { median: 0s, sigma: 0.8 }, at_most: 9s }, outage: reset }",
        "{ for: { lognormal: { median: 3s, sigma: 4 }, at_most: 9s }, outage: reset }",
        "{ for: { pareto: { min: 3s, alpha: 0 }, at_most: 9s }, outage: reset }",
        "{ for: { pareto: { min: 3s, alpha: 1 } }, outage: reset }",
        "{ for: { at_most: 9s }, outage: reset }",
        "{ for: { preset: power-us, at_most: 61s }, outage: reset }",
        "{ for: { preset: power-us, at_most: 1s }, outage: { reset: { within: 2s } } }",
        "{ for: 9, outage: reset }",
        "{ for: [9s], outage: reset }",
    ];
    for text in wrong {
        let errors = with(&with_outage(text, false), &Overrides::default());
        assert!(errors.is_err(), "{text}");
    }
}

#[test]
fn attributes_nest_and_each_level_can_be_meant() {
    let tree = "region: { north: 40%, south: 60% }, site: { within: feeder, each: 2 }, \
        feeder: { within: region, each: 2 }";
    let text = |who: &str| {
        with_outage(
            &format!("{{ outage: {{ dns: {{ where: {{ {who} }} }} }} }}"),
            true,
        )
        .replace("region: { north: 40%, south: 60% }", tree)
    };
    let members = |who: &str| {
        let plan = plan(&text(who));
        match &plan.faults[0].kind {
            FaultKind::Network { who, .. } => who.members(&plan),
            FaultKind::Backend { .. } | FaultKind::Device { .. } => panic!("it is a network fault"),
        }
    };
    let (north, feeder) = (members("region: north"), members("feeder: north/2"));
    assert_eq!((north.len(), feeder.len()), (4, 2));
    assert!(feeder.iter().all(|device| north.contains(device)));
    let site = members("site: north/2/1");
    assert_eq!(site.len(), 1);
    assert!(feeder.contains(&site[0]));
    assert_eq!(members("region: south, feeder: south/1").len(), 3);
    let two = members("region: south, site: { any: 2 }");
    assert_eq!(two, members("site: { any: 2 }, region: south"));
    let south = members("region: south");
    assert!(two.iter().all(|device| south.contains(device)));
    assert!((2..=4).contains(&two.len()), "{two:?}");
    assert_eq!(members("feeder: { any: 4 }").len(), 10);
    let wrong = [
        "feeder: { any: 5 }",
        "feeder: { any: 0 }",
        "feeder: { all: 2 }",
        "cohort: { any: 1 }",
        "feedr: { any: 1 }",
        "feeder: any",
    ];
    for who in wrong {
        assert!(with(&text(who), &Overrides::default()).is_err(), "{who}");
    }
    for who in [
        "feeder: north/3",
        "feeder: north",
        "region: south, feeder: north/1",
    ] {
        assert!(with(&text(who), &Overrides::default()).is_err(), "{who}");
    }
}

#[test]
fn faults_are_sorted_by_start() {
    let faults = "{ at: 9s, backend: stall }, { at: 3s, backend: refuse }";
    let starts: Vec<Duration> = plan(&faulty(faults))
        .faults
        .iter()
        .map(|f| f.start)
        .collect();
    assert_eq!(starts, [secs(5), secs(11)]);
}

#[test]
fn the_service_law() {
    let embedded = |law: &str| {
        let text = one("{}", "");
        let text = format!("{text}target: {{ embedded: {{ nodes: 2, {law} }} }}\n");
        match plan(&text).target {
            Target::Embedded(embedded) => embedded,
            Target::Brokers(_) => panic!("the target is embedded"),
        }
    };
    let ms = Duration::from_millis;
    let plain = Embedded {
        nodes: 2,
        accept_rate_per_s: None,
        accept_queue: 100_000,
        service: None,
        gone_clients: GoneClients::Skip,
        me: Me::Shared,
    };
    let service = |workers, connect, publish, queue| Embedded {
        service: Some(Service {
            workers,
            connect,
            publish,
            queue,
        }),
        ..plain.clone()
    };
    let table = [
        (
            "service: { connect: { exponential: 1ms } }",
            service(1, Some(ServiceTime::Exponential(ms(1))), None, 100_000),
        ),
        (
            "service: { workers: 1024, publish: { fixed: 50us }, queue: 0 }",
            service(
                1_024,
                None,
                Some(ServiceTime::Fixed(Duration::from_micros(50))),
                0,
            ),
        ),
        (
            "service: { queue: 1000000, connect: { bimodal: { fast: 2ms, slow: 200ms, slow_share: 1% } } }",
            service(
                1,
                Some(ServiceTime::Bimodal {
                    fast: ms(2),
                    slow: ms(200),
                    slow_share: 0.01,
                }),
                None,
                1_000_000,
            ),
        ),
        ("gone_clients: skip", plain.clone()),
        (
            "accept_rate: 500/s, accept_queue: 7, gone_clients: serve",
            Embedded {
                accept_rate_per_s: Some(500.0),
                accept_queue: 7,
                gone_clients: GoneClients::Serve,
                ..plain.clone()
            },
        ),
    ];
    for (text, expected) in table {
        assert_eq!(embedded(text), expected, "{text}");
    }
}

#[test]
fn another_target_excludes_backend_faults_and_names_the_line() {
    let overrides = Overrides {
        targets: vec!["mqtt://127.0.0.1".into()],
        ..Overrides::default()
    };
    let errors = with(&faulty("{ backend: stall }"), &overrides).expect_err("not embedded");
    assert!(errors.starts_with("words.yaml:6:"), "{errors}");
    assert!(errors.contains("--target"), "{errors}");
}

#[test]
fn brokers() {
    let brokers = |rest: &str| {
        format!(
            "name: one\nfleet: [{{ cohort: m, devices: 10 }}]\nphases: [{{ name: ramp, power_on: {{ rate: 7/s }} }}]\ntarget:\n  brokers: {{ urls: [mqtt://a, \"mqtt://[::1]:1884\"]{rest} }}\n  auth: {{ username: \"{{device}}\" }}\n"
        )
    };
    let scenario = brokers(", topology: cluster");
    let url = |host: &str, port| BrokerUrl {
        host: host.into(),
        port,
    };
    let Target::Brokers(found) = plan(&scenario).target else {
        panic!("the target is brokers");
    };
    assert_eq!(found.urls, [url("a", 1883), url("::1", 1884)]);
    assert_eq!(found.topology, Topology::Cluster);
    assert!(found.auth.username.is_some());
    let overrides = Overrides {
        targets: vec!["mqtt://b".into()],
        ..Overrides::default()
    };
    let Ok(Target::Brokers(found)) = with(&scenario, &overrides).map(|plan| plan.target) else {
        panic!("the target is brokers");
    };
    assert_eq!(found.urls, [url("b", 1883)]);
    assert_eq!(found.topology, Topology::Cluster);
    assert!(found.auth.username.is_some());
    assert!(!plan(&brokers("")).target.is_cluster());
}

fn device_fault(text: &str) -> (Duration, Duration, DeviceFault) {
    let mut found = Vec::new();
    for brokers in [false, true] {
        let fault = plan(&with_outage(text, brokers)).faults[0].clone();
        let FaultKind::Device { fault: what, .. } = fault.kind else {
            panic!("{text} is a device fault");
        };
        found.push((fault.start, fault.clear, what));
    }
    assert_eq!(found[0], found[1], "{text}");
    found.swap_remove(0)
}

#[test]
fn device_faults_work_with_any_target() {
    let cut = |within, back, boot| DeviceFault::PowerCut { within, back, boot };
    let crash = |within, boot| DeviceFault::Crash { within, boot };
    let none = BootTime::NONE;
    let uniform = BootTime::Uniform {
        min: secs(2),
        max: secs(20),
    };
    let waves = Spread::Waves {
        count: 3,
        every: secs(60),
    };
    let table = [
        (
            "{ power_cut: {} }",
            2,
            62,
            cut(secs(0), Spread::AtOnce, none),
        ),
        (
            "{ power_cut: { within: 2s, return: { uniform: 60s }, boot: { fixed: 5s } }, at: 5s, for: 30s }",
            7,
            37,
            cut(secs(2), Spread::Uniform(secs(60)), BootTime::Fixed(secs(5))),
        ),
        (
            "{ power_cut: { return: { beta: 10s }, boot: { uniform: { min: 2s, max: 20s } } } }",
            2,
            62,
            cut(secs(0), Spread::Beta(secs(10)), uniform),
        ),
        (
            "{ power_cut: { where: { region: north }, return: { waves: { count: 3, every: 60s } } } }",
            2,
            62,
            cut(secs(0), waves, none),
        ),
        // Its window is as long as it takes, a second at least.
        ("{ crash: {} }", 2, 3, crash(secs(0), none)),
        (
            "{ crash: { within: 8s }, at: 1s }",
            3,
            11,
            crash(secs(8), none),
        ),
        (
            "{ crash: { within: 8s, boot: { fixed: 5s } }, for: 9s }",
            2,
            11,
            crash(secs(8), BootTime::Fixed(secs(5))),
        ),
    ];
    for (text, start, clear, fault) in table {
        assert_eq!(
            device_fault(text),
            (secs(start), secs(clear), fault),
            "{text}"
        );
    }
}

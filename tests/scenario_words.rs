//! Every word of a scenario file, and what it becomes in the plan; defaults; the command line's
//! overrides.

use fleetstorm::mqtt::packet::QoS;
use fleetstorm::scenario::file::{self, Overrides, Secrets};
use fleetstorm::scenario::plan::{
    BackendFault, Backoff, BackoffShape, BrokerUrl, Delay, Direction, DropAck, Embedded, FaultKind,
    Field, GoneClients, Link, NetworkFault, Payload, PhaseShape, Plan, Schedule, Selector, Service,
    ServiceTime, Sessions, Step, Target, Topology, WhenLate,
};
use fleetstorm::scenario::slo::{Bound, Indicator, Limit, Statistic, Window};
use std::path::Path;
use std::time::Duration;

fn with(text: &str, overrides: &Overrides) -> Result<Plan, String> {
    file::parse(
        "words.yaml",
        text,
        Path::new("."),
        overrides,
        Secrets::Resolve,
    )
    .map_err(|errors| errors.to_string())
}

fn plan(text: &str) -> Plan {
    with(text, &Overrides::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A scenario with `client` and `telemetry` of its one cohort.
fn one(client: &str, telemetry: &str) -> String {
    format!(
        "name: one\nfleet:\n  - {{ cohort: m, devices: 10, client: {client}, telemetry: [{telemetry}] }}\nphases: [{{ name: ramp, power_on: {{ rate: 7/s }} }}]\n"
    )
}

#[test]
fn defaults() {
    let plan = plan(&one("{}", "{ stream: s, topic: \"{device}\", every: 60s }"));
    assert_eq!((plan.seed, plan.drain), (42, secs(30)));
    let Target::Embedded(embedded) = &plan.target else {
        panic!("the default target is embedded");
    };
    assert_eq!((embedded.nodes, embedded.accept_queue), (2, 100_000));
    assert_eq!(embedded.service, None);
    assert_eq!(embedded.gone_clients, GoneClients::Skip);
    let client = &plan.cohorts[0].client;
    assert_eq!(client.connect_timeout, secs(10));
    assert_eq!(client.ping_timeout, secs(10));
    assert_eq!((client.keep_alive_s, client.inflight), (60, 16));
    let shape = BackoffShape::FullJitter {
        base: secs(1),
        cap: secs(30),
    };
    let give_up_after = None;
    assert_eq!(
        client.backoff,
        Backoff {
            shape,
            give_up_after
        }
    );
    assert_eq!(plan.cohorts[0].link, None);
    assert!(plan.cohorts[0].session.clean);
    let stream = &plan.streams[0];
    assert_eq!((stream.qos, stream.retain), (QoS::AtLeastOnce, false));
    assert_eq!(stream.when_late, WhenLate::Send);
    assert_eq!(stream.ack_timeout, secs(30));
    assert_eq!(stream.payload, Payload::Bytes(64));
    let phase = PhaseShape::Uniform;
    assert_eq!(
        stream.schedule,
        Schedule::Every {
            period: secs(60),
            phase
        }
    );
    assert_eq!((plan.observe.devices, plan.observe.ledger), (10, true));
    assert_eq!(plan.observe.stamp_field, "_fs");
    // 10 devices at 7/s take 1.43 s.
    assert_eq!(plan.phases[0].length, secs(2));
}

#[test]
fn backoffs() {
    let (base, cap) = (secs(2), secs(9));
    let table = [
        ("{ fixed: 5s }", BackoffShape::Fixed(secs(5))),
        (
            "{ no_jitter: { base: 2s, cap: 9s } }",
            BackoffShape::NoJitter { base, cap },
        ),
        (
            "{ full_jitter: { base: 2s, cap: 9s } }",
            BackoffShape::FullJitter { base, cap },
        ),
        (
            "{ equal_jitter: { base: 2s, cap: 9s } }",
            BackoffShape::EqualJitter { base, cap },
        ),
        (
            "{ decorrelated_jitter: { base: 2s, cap: 9s } }",
            BackoffShape::DecorrelatedJitter { base, cap },
        ),
        (
            "equal_jitter",
            BackoffShape::EqualJitter {
                base: secs(1),
                cap: secs(30),
            },
        ),
        (
            "{ aws_crt: { base: 2s, cap: 9s } }",
            BackoffShape::AwsCrt { base, cap },
        ),
        (
            "aws_crt",
            BackoffShape::AwsCrt {
                base: secs(1),
                cap: secs(120),
            },
        ),
        (
            "{ azure_iot_sdk_c: { base: 2s, cap: 9s } }",
            BackoffShape::AzureIotSdkC { base, cap },
        ),
        (
            "azure_iot_sdk_c",
            BackoffShape::AzureIotSdkC {
                base: secs(1),
                cap: secs(30),
            },
        ),
        (
            "{ azure_sdk_for_c: { base: 2s, cap: 9s, jitter: 500ms } }",
            BackoffShape::AzureSdkForC {
                base,
                cap,
                jitter: Duration::from_millis(500),
            },
        ),
        (
            "azure_sdk_for_c",
            BackoffShape::AzureSdkForC {
                base: secs(1),
                cap: secs(100),
                jitter: secs(5),
            },
        ),
    ];
    for (text, shape) in table {
        let client = format!("{{ backoff: {text}, give_up_after: 3 }}");
        let backoff = plan(&one(&client, "")).cohorts[0].client.backoff;
        let give_up_after = Some(3);
        assert_eq!(
            backoff,
            Backoff {
                shape,
                give_up_after
            },
            "{text}"
        );
    }
    for text in [
        "fixed",
        "{ fixed: 0s }",
        "{ full_jitter: { base: 9s, cap: 2s } }",
        "{ aws_crt: { base: 121s, cap: 120s } }",
        "{ aws_crt: { jitter: 1s } }",
        "{ azure_iot_sdk_c: { base: 500ms } }",
        "{ azure_iot_sdk_c: { base: 0s } }",
        "{ azure_iot_sdk_c: { cap: 2500ms } }",
        "{ azure_sdk_for_c: { base: 9s, cap: 2s } }",
        "{ a: 1, b: 2 }",
        "[]",
    ] {
        let errors = with(
            &one(&format!("{{ backoff: {text} }}"), ""),
            &Overrides::default(),
        );
        assert!(errors.is_err(), "{text}");
    }
}

/// The link of a cohort with `link: <text>`.
fn link(text: &str) -> Option<Link> {
    let fleet = format!("fleet: [{{ cohort: m, devices: 10, link: {text} }}]");
    let phases = "phases: [{ name: ramp, power_on: { rate: 7/s } }]";
    plan(&format!("name: one\n{fleet}\n{phases}\n")).cohorts[0].link
}

fn direction(delay: Delay, loss: f64, kbps: u64) -> Direction {
    let bandwidth_bps = std::num::NonZeroU64::new(kbps * 1_000);
    Direction {
        delay,
        loss,
        bandwidth_bps,
    }
}

fn uniform(base_ms: u64, jitter_ms: u64) -> Delay {
    Delay::Uniform {
        base: Duration::from_millis(base_ms),
        jitter: Duration::from_millis(jitter_ms),
    }
}

fn lognormal(median_ms: u64, sigma: f64, cap_s: u64) -> Delay {
    Delay::LogNormal {
        median: Duration::from_millis(median_ms),
        sigma,
        cap: secs(cap_s),
    }
}

#[test]
fn links() {
    let lte_m = |delay, loss, down| {
        let (up, down) = (direction(delay, loss, 300), direction(delay, loss, down));
        (Some("lte-m"), up, down)
    };
    let own = |delay, loss, up, down| {
        let (up, down) = (direction(delay, loss, up), direction(delay, loss, down));
        (None, up, down)
    };
    let table = [
        ("lte-m", lte_m(lognormal(60, 0.5, 300), 0.005, 300)),
        (
            "{ preset: lte-m }",
            lte_m(lognormal(60, 0.5, 300), 0.005, 300),
        ),
        (
            "{ preset: lte-m, loss: 2% }",
            lte_m(lognormal(60, 0.5, 300), 0.02, 300),
        ),
        (
            "{ preset: lte-m, latency: 90ms, down: 1Mbps }",
            lte_m(lognormal(90, 0.5, 300), 0.005, 1_000),
        ),
        (
            "{ preset: lte-m, sigma: 0, cap: 2s }",
            lte_m(lognormal(60, 0.0, 2), 0.005, 300),
        ),
        (
            "{ preset: lte-m, jitter: 20ms, loss: 0% }",
            lte_m(uniform(60, 20), 0.0, 300),
        ),
        (
            "{ latency: 60ms, sigma: 0.4, loss: 0.2%, down: 5000kbps, up: 2000kbps }",
            own(lognormal(60, 0.4, 300), 0.002, 2_000, 5_000),
        ),
        (
            "{ latency: 60ms, jitter: 20ms }",
            own(uniform(60, 20), 0.0, 0, 0),
        ),
        ("{ latency: 20ms }", own(uniform(20, 0), 0.0, 0, 0)),
        ("{ up: 2kbps }", own(uniform(0, 0), 0.0, 2, 0)),
        (
            "edge-average",
            (
                Some("edge-average"),
                direction(uniform(440, 0), 0.0, 200),
                direction(uniform(400, 0), 0.0, 240),
            ),
        ),
    ];
    for (text, (preset, up, down)) in table {
        assert_eq!(link(text), Some(Link { preset, up, down }), "{text}");
    }
    // 4g is another name for lte-cat1.
    let (one, other) = (link("4g"), link("lte-cat1"));
    assert_eq!(one.map(|l| (l.up, l.down)), other.map(|l| (l.up, l.down)));
}

#[test]
fn schedules_and_payloads() {
    let aligned = |jitter| Schedule::Every {
        period: secs(60),
        phase: PhaseShape::Aligned { jitter },
    };
    let boot = Schedule::Every {
        period: secs(60),
        phase: PhaseShape::Boot,
    };
    let table = [
        ("every: 60s, phase: aligned", aligned(secs(0))),
        (
            "every: 60s, phase: { aligned: { jitter: 15s } }",
            aligned(secs(15)),
        ),
        ("every: 60s, phase: boot", boot),
        ("poisson: 1/min", Schedule::Poisson { mean_gap: secs(60) }),
    ];
    for (text, schedule) in table {
        let stream = format!("{{ stream: s, topic: \"{{device}}\", {text} }}");
        assert_eq!(
            plan(&one("{}", &stream)).streams[0].schedule,
            schedule,
            "{text}"
        );
    }
    let stream = r#"{ stream: s, topic: "{device}", every: 1s, when_late: latest, payload: { json: {
        w: { walk: { step: 1.5, min: -2, max: 3 } }, u: { uniform: { min: 0, max: 1 } }, n: counter,
        c: { constant: { a: [1, true, "x"] } } } } }"#;
    let stream = plan(&one("{}", stream)).streams[0].clone();
    assert_eq!(stream.when_late, WhenLate::Latest);
    let walk = Field::Walk {
        step: 1.5,
        min: -2.0,
        max: 3.0,
    };
    let uniform = Field::Uniform { min: 0.0, max: 1.0 };
    let constant = Field::Constant(r#"{"a":[1,true,"x"]}"#.into());
    assert_eq!(
        stream.payload,
        Payload::Json(vec![
            ("w".into(), walk),
            ("u".into(), uniform),
            ("n".into(), Field::Counter),
            ("c".into(), constant),
        ])
    );
}

#[test]
fn sessions_and_steps() {
    let text = r#"
name: one
fleet:
  - cohort: m
    devices: 10
    session: { clean: false, will: { topic: "d/{device}", payload: gone, qos: 1, retain: true } }
    on_connect:
      - { subscribe: { topic: "d/{device}/+", qos: 1 } }
      - { publish: { topic: "d/{device}", payload: '{"on":true}', qos: 1, retain: true } }
phases: [{ name: ramp, power_on: { rate: 7/s } }]
"#;
    let plan = plan(text);
    let cohort = &plan.cohorts[0];
    assert!(!cohort.session.clean);
    let will = cohort.session.will.as_ref().expect("it has one");
    assert_eq!((will.qos, will.retain), (QoS::AtLeastOnce, true));
    assert!(matches!(
        &cohort.on_connect[0],
        Step::Subscribe {
            qos: QoS::AtLeastOnce,
            ..
        }
    ));
    let Step::Publish {
        payload, retain, ..
    } = &cohort.on_connect[1]
    else {
        panic!("the second step is a publish");
    };
    assert!(*retain);
    let names = fleetstorm::scenario::template::Names {
        cohort: "m",
        index_in_cohort: 0,
        index: 0,
        node: 0,
        run: 0,
        credentials: None,
    };
    assert_eq!(payload.to_text(&names), r#"{"on":true}"#);
}

#[test]
fn filters() {
    let scenario = |filter: &str, target: &str| {
        format!(
            "name: one\nfleet: [{{ cohort: m, devices: 10, on_connect: [{{ subscribe: {{ topic: \"{filter}\" }} }}] }}]\nphases: [{{ name: ramp, power_on: {{ rate: 7/s }} }}]\n{target}"
        )
    };
    let brokers = "target: { brokers: { urls: [mqtt://a] } }\n";
    // (filter, valid MQTT, routed by the embedded target)
    let table = [
        ("a/b", true, true),
        ("#", true, true),
        ("a/+", true, true),
        ("a/#", true, true),
        ("a/+/b", true, false),
        ("+/+", true, false),
        ("a#", false, false),
        ("#/a", false, false),
        ("a+/b", false, false),
        ("", false, false),
    ];
    for (filter, valid, routed) in table {
        let none = Overrides::default();
        assert_eq!(
            with(&scenario(filter, brokers), &none).is_ok(),
            valid,
            "{filter}"
        );
        assert_eq!(
            with(&scenario(filter, ""), &none).is_ok(),
            routed,
            "{filter}"
        );
    }
}

/// Two nodes, a phase of 60 s after a ramp of 2 s, with `faults` in it.
fn faulty(faults: &str) -> String {
    format!(
        "name: one\ntarget: {{ embedded: {{ nodes: 2 }} }}\nfleet: [{{ cohort: m, devices: 10 }}]\nphases:\n  - {{ name: ramp, power_on: {{ rate: 7/s }} }}\n  - {{ name: storm, for: 60s, faults: [{faults}] }}\n"
    )
}

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
            everyone,
            NetworkFault::Refuse,
        ),
        (
            "{ outage: { reset: { where: { region: north }, within: 500ms } }, at: 5s, for: 30s }",
            7,
            37,
            north,
            reset(Duration::from_millis(500)),
        ),
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
        "{ outage: {} }",
        "{ outage: { reset: {}, refuse: {} } }",
        "{ outage: reset, backend: stall }",
        "{ outage: { reset: { node: 1 } } }",
        "{ outage: { reset: { where: { node: 2 } } } }",
        "{ outage: { reset: { where: { share: 1% } } } }",
        "{ outage: { reset: { within: 61s } } }",
        "{ outage: { refuse: { within: 1s } } }",
        "{ outage: { close: {} } }",
        "{ outage: stall }",
        "{ degrade: { latency: 1s } }",
    ];
    for text in wrong {
        let errors = with(&with_outage(text, false), &Overrides::default());
        assert!(errors.is_err(), "{text}");
    }
}

#[test]
fn only_outages_can_only_be_simulated() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("outage.yaml");
    let loaded = |text: String| {
        std::fs::write(&path, text).expect("the folder is writable");
        let loaded = file::load(&path, &Overrides::default(), Secrets::Resolve);
        loaded.unwrap_or_else(|errors| panic!("{errors}"))
    };
    assert_eq!(loaded(faulty("{ backend: stall }")).simulated_only, None);
    let outages = "{ backend: stall }, { outage: refuse }, { outage: reset, at: 5s }";
    let why = loaded(faulty(outages)).simulated_only.expect("two reasons");
    let why = why.to_string();
    assert_eq!(why.matches("outage.yaml:6:").count(), 2, "{why}");
    assert!(why.contains("fleetstorm simulate"), "{why}");
    let brokers = loaded(with_outage("{ outage: reset }", true));
    let why = brokers.simulated_only.expect("one reason").to_string();
    assert!(why.contains("with the embedded target"), "{why}");
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

#[test]
fn objectives() {
    let table = [
        (
            "connect.success, at_least: 99.9%",
            Statistic::Value,
            Bound::AtLeast(Limit::Ratio(0.999)),
            Window::Run,
        ),
        (
            "e2e.latency, percentile: 99.9, at_most: 1s, during: [storm, ramp]",
            Statistic::Percentile(99.9),
            Bound::AtMost(Limit::Time(secs(1))),
            Window::During(vec![0, 1]),
        ),
        (
            "reconnect.time, percentile: 50, at_most: 1min, after: storm",
            Statistic::Percentile(50.0),
            Bound::AtMost(Limit::Time(secs(60))),
            Window::After(1),
        ),
        (
            "reconnect.stranded, at_most: 3, after: storm",
            Statistic::Value,
            Bound::AtMost(Limit::Count(3)),
            Window::After(1),
        ),
        (
            "delivery.reordered, at_most: 0",
            Statistic::Value,
            Bound::AtMost(Limit::Count(0)),
            Window::Run,
        ),
    ];
    for (text, statistic, bound, window) in table {
        let scenario = format!(
            "{}slos: [{{ name: x, indicator: {text} }}]\n",
            faulty("{ backend: stall }")
        );
        let found = plan(&scenario).objectives[0].clone();
        assert_eq!((found.statistic, found.bound), (statistic, bound), "{text}");
        assert_eq!(found.window, window, "{text}");
        assert!(text.starts_with(found.indicator.name()));
    }
    let wrong = [
        "connect.latency, at_most: 1s",
        "connect.latency, percentile: 0, at_most: 1s",
        "connect.latency, percentile: 101, at_most: 1s",
        "connect.latency, percentile: 99, at_most: 1s, after: storm",
        "connect.latency, percentile: 99, at_least: 1s",
        "connect.latency, percentile: 99",
        "connect.latency, share: 99%, at_most: 1s",
        "connect.success, at_least: 2",
        "reconnect.time, share: 99%, at_most: 60s",
        "reconnect.time, share: 99%, at_most: 60s, during: [storm]",
        "delivery.lost, at_most: 0, during: [storm]",
        "delivery.lost, at_most: -1",
        "delivery.lost, at_most: 0, at_least: 0",
        "fleet.availability, at_least: 101%",
    ];
    for text in wrong {
        let scenario = format!(
            "{}slos: [{{ name: x, indicator: {text} }}]\n",
            faulty("{ backend: stall }")
        );
        assert!(with(&scenario, &Overrides::default()).is_err(), "{text}");
    }
}

#[test]
fn every_indicator_has_its_word() {
    for indicator in Indicator::ALL {
        let scenario = format!(
            "{}slos: [{{ name: x, indicator: {} }}]\n",
            faulty("{ backend: stall }"),
            indicator.name()
        );
        let errors = with(&scenario, &Overrides::default()).expect_err("it has no limit");
        assert!(!errors.contains("unknown"), "{errors}");
    }
}

#[test]
fn devices_are_scaled_or_refused() {
    let text = "name: one\nfleet: [{ cohort: a, devices: 70 }, { cohort: b, devices: 30 }]\nphases: [{ name: ramp, power_on: { rate: 100/s } }]\nobserve: { share: 25% }\n";
    let scaled = |devices| {
        let devices = Some(devices);
        with(
            text,
            &Overrides {
                devices,
                ..Overrides::default()
            },
        )
    };
    let plan = scaled(1_001).unwrap_or_else(|errors| panic!("{errors}"));
    let sizes: Vec<u32> = plan.cohorts.iter().map(|cohort| cohort.devices).collect();
    assert_eq!(sizes, [701, 300]);
    assert_eq!(plan.observe.devices, 250);
    let observed = (0..plan.devices())
        .filter(|device| plan.observed(*device))
        .count();
    assert_eq!(observed, 250);
    let errors = scaled(1).expect_err("two cohorts");
    assert!(errors.contains("--devices 1"), "{errors}");
}

#[test]
fn a_second_phase_powers_on_the_rest() {
    let text = "name: one\nfleet: [{ cohort: a, devices: 100, attributes: { r: { n: 25%, s: 75% } } }]\nphases:\n  - { name: north, power_on: { rate: 10/s, where: { r: n } } }\n  - { name: rest, power_on: { rate: 10/s } }\n";
    let plan = plan(text);
    assert_eq!(plan.phases[0].length, secs(3));
    assert_eq!(plan.phases[1].length, secs(8));
    let twice = format!("{text}  - {{ name: again, power_on: {{ rate: 10/s }} }}\n");
    let errors = with(&twice, &Overrides::default()).expect_err("nobody is left");
    assert!(errors.contains("already have power"), "{errors}");
}

//! The words of the fleet and its phases in a scenario file, and what they become in
//! the plan; defaults; the command line's overrides.

mod scenario_slos;
mod scenario_text;

use fleetstorm::mqtt::packet::QoS;
use fleetstorm::mqtt::session::PingOn;
use fleetstorm::scenario::file::Overrides;
use fleetstorm::scenario::plan::{
    Backoff, BackoffShape, BootTime, Client, Delay, Direction, Field, GoneClients, Link, Pace,
    Payload, PhaseShape, Schedule, Spread, Step, Target, WhenLate,
};
use fleetstorm::scenario::sdks::SDKS;
use scenario_text::{one, plan, secs, with};
use std::time::Duration;

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
    assert_eq!(client.backoff, Backoff::of(shape));
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
fn a_ping_timeout_fits_into_the_keep_alive() {
    let table = [
        ("{ keep_alive: 5s }", secs(5)),
        ("{ keep_alive: 11s }", secs(10)),
        ("{ keep_alive: 5s, ping_timeout: 5s }", secs(5)),
        ("{ keep_alive: 60s, ping_timeout: 40s }", secs(40)),
        ("{ keep_alive: 0s, ping_timeout: 40s }", secs(40)),
        ("{ keep_alive: 0s }", secs(10)),
    ];
    for (client, timeout) in table {
        assert_eq!(
            plan(&one(client, "")).cohorts[0].client.ping_timeout,
            timeout,
            "{client}"
        );
    }
    assert!(
        with(
            &one("{ keep_alive: 5s, ping_timeout: 6s }", ""),
            &Overrides::default()
        )
        .is_err()
    );
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
        (
            "{ paho_c: { base: 2s, cap: 9s } }",
            BackoffShape::PahoC { base, cap },
        ),
        (
            "paho_c",
            BackoffShape::PahoC {
                base: secs(1),
                cap: secs(60),
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
                give_up_after,
                ..Backoff::of(shape)
            },
            "{text}"
        );
    }
    let client = "{ backoff: { fixed: 5s }, first_wait: 0s, reset_after: 30s }";
    assert_eq!(
        plan(&one(client, "")).cohorts[0].client.backoff,
        Backoff {
            first: Some(Duration::ZERO),
            reset_after: secs(30),
            ..Backoff::of(BackoffShape::Fixed(secs(5)))
        }
    );
    for text in [
        "fixed",
        "{ paho_c: { base: 1500ms } }",
        "{ paho_c: { cap: 900ms } }",
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
fn steps_of_several_filters() {
    let text = r#"
name: one
fleet:
  - cohort: m
    devices: 10
    session: { will: { topic: "d/{device}", qos: 2 } }
    on_connect:
      - { subscribe_many: [ { topic: "d/{device}/#", qos: 2 }, { topic: all/cmd } ] }
      - { publish: { topic: "d/{device}", qos: 2 } }
      - unsubscribe: [ all/cmd, "d/{device}/#" ]
    telemetry:
      - { stream: power, topic: "d/{device}/power", qos: 2, every: 60s, retain: true }
phases: [{ name: ramp, power_on: { rate: 7/s } }]
"#;
    let plan = plan(text);
    let cohort = &plan.cohorts[0];
    let will = cohort.session.will.as_ref().expect("it has one");
    assert_eq!(will.qos, QoS::ExactlyOnce);
    let stream = &plan.streams[0];
    assert_eq!((stream.qos, stream.retain), (QoS::ExactlyOnce, true));
    let [subscribe, publish, unsubscribe] = cohort.on_connect.as_slice() else {
        panic!("three steps, not {:?}", cohort.on_connect);
    };
    let asked: Vec<_> = subscribe.subscriptions().map(|(_, qos)| qos).collect();
    assert_eq!(asked, [QoS::ExactlyOnce, QoS::AtMostOnce]);
    assert!(matches!(subscribe, Step::SubscribeMany(_)));
    assert!(matches!(
        publish,
        Step::Publish {
            qos: QoS::ExactlyOnce,
            ..
        }
    ));
    let Step::Unsubscribe(topics) = unsubscribe else {
        panic!("the last step is an UNSUBSCRIBE");
    };
    let subscribed = subscribe.subscriptions().map(|(topic, _)| topic);
    assert!(topics.iter().rev().eq(subscribed));
    assert_eq!(unsubscribe.subscriptions().count(), 0);
}

#[test]
fn a_step_has_at_most_64_filters() {
    let scenario = |filters: usize| {
        let filters = vec!["a/b"; filters].join(", ");
        format!(
            "name: one\nfleet: [{{ cohort: m, devices: 10, on_connect: [{{ unsubscribe: [{filters}] }}] }}]\nphases: [{{ name: ramp, power_on: {{ rate: 7/s }} }}]\n"
        )
    };
    let none = Overrides::default();
    assert!(with(&scenario(64), &none).is_ok());
    let error = with(&scenario(65), &none).expect_err("one too many");
    assert!(
        error.contains("65 topic filters in one step") && error.contains("at most 64"),
        "{error}"
    );
}

#[test]
fn filters() {
    let scenario = |filter: &str, target: &str| {
        format!(
            "name: one\nfleet: [{{ cohort: m, devices: 10, on_connect: [{{ subscribe: {{ topic: \"{filter}\" }} }}] }}]\nphases: [{{ name: ramp, power_on: {{ rate: 7/s }} }}]\n{target}"
        )
    };
    let brokers = "target: { brokers: { urls: [mqtt://a] } }\n";
    let table = [
        ("a/b", true),
        ("#", true),
        ("a/+", true),
        ("a/#", true),
        ("a/+/b", true),
        ("+/+", true),
        ("a#", false),
        ("#/a", false),
        ("a+/b", false),
        ("", false),
    ];
    for (filter, valid) in table {
        let none = Overrides::default();
        for target in [brokers, ""] {
            let found = with(&scenario(filter, target), &none);
            assert_eq!(found.is_ok(), valid, "{filter} {target}");
        }
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

#[test]
fn power_comes_at_a_rate_or_spread_over_time() {
    let none = BootTime::NONE;
    let waves = Spread::Waves {
        count: 3,
        every: secs(60),
    };
    let uniform = BootTime::Uniform {
        min: secs(2),
        max: secs(20),
    };
    let table = [
        ("{ rate: 10/s }", 10, Pace::PerSecond(10.0), none),
        (
            "{ rate: 10/s, boot: { fixed: 5s } }",
            15,
            Pace::PerSecond(10.0),
            BootTime::Fixed(secs(5)),
        ),
        (
            "{ over: { uniform: 60s } }",
            60,
            Pace::Over(Spread::Uniform(secs(60))),
            none,
        ),
        (
            "{ over: { beta: 10500ms }, boot: { uniform: { min: 2s, max: 20s } } }",
            31,
            Pace::Over(Spread::Beta(Duration::from_millis(10_500))),
            uniform,
        ),
        // The last wave has its time, too.
        (
            "{ over: { waves: { count: 3, every: 60s } } }",
            180,
            Pace::Over(waves),
            none,
        ),
    ];
    for (words, length_s, pace, boot) in table {
        let text = format!(
            "name: one\nfleet: [{{ cohort: m, devices: 100 }}]\nphases: [{{ name: ramp, power_on: {words} }}]\n"
        );
        let phase = &plan(&text).phases[0];
        assert_eq!(phase.length, secs(length_s), "{words}");
        let power_on = phase.power_on.as_ref().expect("it has one");
        assert_eq!((power_on.pace, power_on.boot), (pace, boot), "{words}");
    }
}

fn client(words: &str) -> Client {
    plan(&one(words, "")).cohorts[0].client.clone()
}

#[test]
fn an_sdk_preset_is_a_whole_client() {
    let plain = client("{}");
    assert_eq!(plain.preset, None);
    for sdk in &SDKS {
        let words = format!("{{ preset: {} }}", sdk.name);
        assert_eq!(client(&words), sdk.client(plain.client_id.clone()));
    }
}

#[test]
fn what_stands_beside_an_sdk_preset_replaces_its_settings() {
    let words = "{ preset: aws-embedded-c, connect_timeout: 7s, ping_timeout: 3s, inflight: 9, \
                 backoff: { fixed: 2s }, first_wait: 4s, reset_after: 8s, give_up_after: 11, \
                 keep_alive: 30s, ping_interval: 20s, ping_on: always, client_id: \"x-{device}\" }";
    let preset = Some("aws-embedded-c");
    let changed = client(words);
    let expected = Client {
        preset,
        connect_timeout: secs(7),
        keep_alive_s: 30,
        ping_interval_s: Some(20),
        ping_on: PingOn::Always,
        ping_timeout: secs(3),
        backoff: Backoff {
            shape: BackoffShape::Fixed(secs(2)),
            first: Some(secs(4)),
            reset_after: secs(8),
            give_up_after: Some(11),
        },
        client_id: changed.client_id.clone(),
        inflight: 9,
    };
    assert_eq!(changed, expected);
    assert_ne!(changed.client_id, client("{}").client_id);
    // One word alone leaves the others as they are.
    let base = client("{ preset: aws-embedded-c }");
    let keeps = Client {
        inflight: 9,
        ..base
    };
    assert_eq!(client("{ preset: aws-embedded-c, inflight: 9 }"), keeps);
}

#[test]
fn whose_silence_a_client_pings_on() {
    let table = [
        ("{}", PingOn::SilenceEither),
        ("{ ping_on: silence_out }", PingOn::SilenceOut),
        ("{ ping_on: silence_either }", PingOn::SilenceEither),
        ("{ ping_on: always }", PingOn::Always),
        ("{ preset: mqttjs }", PingOn::SilenceOut),
        ("{ preset: esp-mqtt }", PingOn::Always),
    ];
    for (words, law) in table {
        assert_eq!(client(words).ping_on, law, "{words}");
    }
    let wrong = one("{ ping_on: silence }", "");
    assert!(with(&wrong, &Overrides::default()).is_err());
}

#[test]
fn a_presets_pings_follow_the_keep_alive_of_the_scenario() {
    // (words, keep-alive, PINGREQ after, PINGRESP within), in seconds.
    let table = [
        ("preset: esp-mqtt", 120, Some(60), 60),
        ("preset: esp-mqtt, keep_alive: 10s", 10, Some(5), 5),
        ("preset: esp-mqtt, keep_alive: 0s", 0, None, 1),
        ("preset: mqttjs, keep_alive: 10s", 10, None, 5),
        ("preset: azure-iot-sdk-c", 240, Some(230), 80),
        ("keep_alive: 30s, ping_interval: 1s", 30, Some(1), 10),
        ("ping_interval: 60s", 60, Some(60), 10),
    ];
    for (words, keep_alive_s, interval, timeout) in table {
        let client = client(&format!("{{ {words} }}"));
        assert_eq!(
            (
                client.keep_alive_s,
                client.ping_interval_s,
                client.ping_timeout
            ),
            (keep_alive_s, interval, secs(timeout)),
            "{words}"
        );
    }
    for words in [
        "ping_interval: 61s",
        "ping_interval: 0s",
        "ping_interval: 1500ms",
        "keep_alive: 0s, ping_interval: 1s",
        "preset: Esp-MQTT",
    ] {
        let file = one(&format!("{{ {words} }}"), "");
        let errors = with(&file, &Overrides::default());
        assert!(errors.is_err(), "{words}");
    }
}

//! The words of laws and links, with figures as a terminal shows them.

use super::*;
use crate::scenario::plan::Me;
use crate::scenario::{fixture, links};
use std::num::NonZeroU64;

const WORDS: Words = Words {
    count: |n| format!("<{n}>"),
    time: |time| format!("{time:?}"),
};

fn embedded(service: Option<Service>) -> Embedded {
    Embedded {
        nodes: 2,
        accept_rate_per_s: None,
        accept_queue: 7,
        service,
        gone_clients: GoneClients::Skip,
        me: Me::Shared,
    }
}

#[test]
fn the_service_law_names_all_work_and_its_capacity() {
    let us = Duration::from_micros;
    let service = |workers, connect, publish| Service {
        workers,
        connect,
        publish,
        queue: 10_000,
    };
    let bimodal = ServiceTime::Bimodal {
        fast: us(2_000),
        slow: us(202_000),
        slow_share: 0.01,
    };
    let table = [
        (
            service(
                8,
                Some(ServiceTime::Exponential(us(1_000))),
                Some(ServiceTime::Fixed(us(50))),
            ),
            "<8> workers per node, <10000> jobs may wait on each; CONNECT exponential, 1ms on average, \
             at most <16000>/s in all; PUBLISH fixed 50µs, at most <320000>/s in all",
        ),
        (
            service(1, None, Some(ServiceTime::Fixed(us(30_000_000)))),
            "<1> worker per node, <10000> jobs may wait on each; CONNECT costs nothing; PUBLISH fixed \
             30s, at most 0.0667/s in all",
        ),
        (
            service(1, Some(bimodal), None),
            "<1> worker per node, <10000> jobs may wait on each; CONNECT 2ms, or 202ms for 1 %, at most \
             <500>/s in all; PUBLISH costs nothing",
        ),
    ];
    for (service, text) in table {
        assert_eq!(
            WORDS.service(&embedded(Some(service))).as_deref(),
            Some(text)
        );
    }
    assert_eq!(WORDS.service(&embedded(None)), None);
}

#[test]
fn admission_names_its_rate_and_its_queue() {
    let mut shape = embedded(None);
    assert_eq!(WORDS.admission(&shape), None);
    shape.accept_rate_per_s = Some(12.5);
    assert_eq!(
        WORDS.admission(&shape).as_deref(),
        Some("12.5 CONNECTs/s over all nodes, <7> may wait on each")
    );
}

#[test]
fn a_link_names_each_direction() {
    let direction = |base_ms, jitter_ms, loss, kbps| Direction {
        delay: Delay::Uniform {
            base: Duration::from_millis(base_ms),
            jitter: Duration::from_millis(jitter_ms),
        },
        loss,
        bandwidth_bps: NonZeroU64::new(kbps),
    };
    let own = |up, down| {
        let preset = None;
        Link { preset, up, down }
    };
    let preset = |name| links::preset(name).expect("it is a preset");
    let table = [
        (
            preset("lte-m"),
            "lte-m: each way 60ms median, sigma 0.5, at most 300s, 0.5 % lost, 300 kbps",
        ),
        (
            preset("edge-average"),
            "edge-average: up 440ms, 200 kbps; down 400ms, 240 kbps",
        ),
        (
            own(direction(20, 5, 0.07, 500), direction(20, 5, 0.07, 0)),
            "up 20ms to 25ms, 7 % lost, 0.5 kbps; down 20ms to 25ms, 7 % lost",
        ),
        (
            own(direction(0, 0, 0.0, 2_000_000), direction(0, 0, 1e-7, 0)),
            "up no delay, 2000 kbps; down no delay, 0.00001 % lost",
        ),
    ];
    for (link, text) in table {
        assert_eq!(WORDS.link(&link), text);
    }
}

#[test]
fn an_outage_names_whom_it_meets() {
    let plan = fixture::plan(10);
    let some = Selector {
        cohort: Some(0),
        share: Some(0.3),
        ..Selector::default()
    };
    let everyone = Selector::default();
    let reset = |within_ms| NetworkFault::Reset {
        within: Duration::from_millis(within_ms),
    };
    let table = [
        (reset(0), &some, "reset of 30 % of the devices of meters"),
        (reset(500), &everyone, "reset of all devices within 500ms"),
        (
            NetworkFault::Close {
                within: Duration::from_millis(500),
            },
            &some,
            "close of 30 % of the devices of meters within 500ms",
        ),
        (
            NetworkFault::Blackhole,
            &some,
            "blackhole of 30 % of the devices of meters",
        ),
        (
            NetworkFault::Dns,
            &everyone,
            "no name resolution for all devices",
        ),
        (
            NetworkFault::Refuse,
            &some,
            "new connections of 30 % of the devices of meters refused",
        ),
    ];
    for (fault, who, text) in table {
        assert_eq!(WORDS.outage(&plan, who, fault), text);
    }
}

#[test]
fn a_device_fault_names_whom_it_meets_and_how_they_come_back() {
    let plan = fixture::plan(10);
    let who = Selector {
        cohort: Some(0),
        share: Some(0.3),
        ..Selector::default()
    };
    let s = Duration::from_secs;
    let cut = |back, boot| DeviceFault::PowerCut {
        within: s(2),
        back,
        boot,
    };
    let waves = |count| Spread::Waves {
        count,
        every: s(60),
    };
    let uniform = BootTime::Uniform {
        min: s(2),
        max: s(20),
    };
    let table = [
        (
            cut(Spread::AtOnce, BootTime::NONE),
            "power cut of 30 % of the devices of meters within 2s, back at once",
        ),
        (
            cut(Spread::Uniform(s(60)), BootTime::Fixed(s(5))),
            "power cut of 30 % of the devices of meters within 2s, back evenly over 60s, 5s to boot",
        ),
        (
            cut(Spread::Beta(s(10)), uniform),
            "power cut of 30 % of the devices of meters within 2s, back as Beta(3, 4) over 10s, 2s to 20s to boot",
        ),
        (
            cut(waves(3), BootTime::NONE),
            "power cut of 30 % of the devices of meters within 2s, back in <3> waves, one every 60s",
        ),
        (
            DeviceFault::Crash {
                within: s(0),
                boot: uniform,
            },
            "crash of 30 % of the devices of meters, 2s to 20s to boot",
        ),
    ];
    for (fault, text) in table {
        assert_eq!(WORDS.device_fault(&plan, &who, &fault), text);
    }
    let power_on = |pace, boot| PowerOn {
        pace,
        boot,
        who: who.clone(),
    };
    let at_a_rate = power_on(Pace::PerSecond(1_000.0), BootTime::NONE);
    assert_eq!(WORDS.power_on(&at_a_rate), "<1000>/s");
    let spread = power_on(Pace::Over(waves(1)), BootTime::Fixed(s(5)));
    assert_eq!(
        WORDS.power_on(&spread),
        "in <1> wave, one every 60s, 5s to boot"
    );
}

#[test]
fn no_rate_is_rounded_to_nothing() {
    let table = [
        (-0.0, "0"),
        (1e-6, "0.000001"),
        (1.0 / 30.0, "0.0333"),
        (0.5, "0.5"),
        (0.99999, "1"),
        (1.0 / 0.6, "1.67"),
        (20.0, "20"),
        (99.94, "99.9"),
        (99.96, "<100>"),
        (1_234.5, "<1235>"),
    ];
    for (rate, text) in table {
        assert_eq!(WORDS.per_s(rate), text);
    }
}

#[test]
fn a_backoff_is_told_as_it_is() {
    let secs = Duration::from_secs;
    let (base, cap) = (secs(1), secs(30));
    let table = [
        (BackoffShape::Fixed(secs(3)), "waits 3s"),
        (BackoffShape::Fixed(secs(0)), "tries again at once"),
        (
            BackoffShape::NoJitter { base, cap },
            "waits 1s, doubled up to 30s",
        ),
        (
            BackoffShape::FullJitter { base, cap },
            "waits 0 to 1s, doubled up to 30s",
        ),
        (
            BackoffShape::EqualJitter { base, cap },
            "waits half to all of 1s, doubled up to 30s",
        ),
        (
            BackoffShape::DecorrelatedJitter { base, cap },
            "waits 1s to three times the wait before, at most 30s",
        ),
        (
            BackoffShape::AwsCrt { base, cap },
            "waits 0 to 1s, doubled without end, then cut to 30s",
        ),
        (
            BackoffShape::AzureIotSdkC { base, cap },
            "tries at once, then waits 1s, doubled up to 30s and up to 5 % more, in whole seconds",
        ),
        (
            BackoffShape::AzureSdkForC {
                base,
                cap,
                jitter: secs(5),
            },
            "waits 1s, doubled up to 30s and 0 to 5s more where that stays below it",
        ),
        (
            BackoffShape::PahoC { base, cap },
            "waits 1s, doubled up to 30s, a fifth more or less, in whole seconds",
        ),
    ];
    for (shape, text) in table {
        assert_eq!(WORDS.backoff(&Backoff::of(shape)), text);
    }
    let policy = Backoff {
        first: Some(Duration::ZERO),
        reset_after: secs(30),
        give_up_after: Some(6),
        ..Backoff::of(BackoffShape::Fixed(secs(3)))
    };
    assert_eq!(
        WORDS.backoff(&policy),
        "tries at once after a drop, then waits 3s; anew once online for 30s; gives up after <6> \
         failed attempts in a row"
    );
}

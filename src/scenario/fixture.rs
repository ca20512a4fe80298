//! Test fixture: the smallest useful plan, for the unit tests of the actors and of what measures
//! them.

use super::campaign::Firmware;
use super::plan::{
    Backoff, BackoffShape, BootTime, Client, Cohort, Embedded, Field, GoneClients, Me, Observe,
    Pace, Payload, Phase, PhaseShape, Plan, PowerOn, Schedule, Selector, Session, Stream, Target,
    WhenLate,
};
use super::recovery::RecoveryRule;
use super::template::{Segment, Template};
use crate::mqtt::packet::QoS;
use crate::mqtt::session::PingOn;
use std::time::Duration;

/// A valid plan: one cohort `meters` of `devices` devices, one QoS 1 stream `power` every 60 s, one
/// node, everything observed, phases `ramp` (10 s, all power-ons) and `steady` (60 s), no faults
/// and no objectives.
pub(crate) fn plan(devices: u32) -> Plan {
    Plan {
        name: "fixture".into(),
        about: "The smallest useful plan.".into(),
        seed: 42,
        hash: "0".repeat(64),
        target: Target::Embedded(Embedded {
            nodes: 1,
            accept_rate_per_s: None,
            accept_queue: 100_000,
            service: None,
            gone_clients: GoneClients::Skip,
            me: Me::Shared,
        }),
        cohorts: vec![cohort(devices)],
        streams: vec![stream()],
        observe: Observe {
            devices,
            ledger: true,
            stamp_field: "_fs".into(),
        },
        phases: phases(devices),
        faults: Vec::new(),
        firmware: Firmware::default(),
        campaigns: Vec::new(),
        commands: Vec::new(),
        queries: Vec::new(),
        objectives: Vec::new(),
        recovery: RecoveryRule::default(),
        drain: Duration::from_secs(30),
    }
}

/// The template `<before>{device}<after>`.
pub(crate) fn device_template(before: &str, after: &str) -> Template {
    let mut segments = Vec::new();
    if !before.is_empty() {
        segments.push(Segment::Literal(before.into()));
    }
    segments.push(Segment::Device);
    if !after.is_empty() {
        segments.push(Segment::Literal(after.into()));
    }
    Template(segments)
}

fn cohort(devices: u32) -> Cohort {
    Cohort {
        name: "meters".into(),
        first: 0,
        devices,
        attributes: Vec::new(),
        client: Client {
            preset: None,
            connect_timeout: Duration::from_secs(10),
            keep_alive_s: 120,
            ping_interval_s: None,
            ping_on: PingOn::SilenceOut,
            ping_timeout: Duration::from_secs(10),
            backoff: Backoff::of(BackoffShape::FullJitter {
                base: Duration::from_secs(1),
                cap: Duration::from_secs(30),
            }),
            client_id: device_template("", ""),
            inflight: 10,
        },
        link: None,
        session: Session {
            clean: false,
            will: None,
        },
        on_connect: Vec::new(),
        streams: 0..1,
        store: None,
        update: None,
        commands: None,
        reported: None,
    }
}

fn stream() -> Stream {
    Stream {
        name: "power".into(),
        cohort: 0,
        topic: device_template("d/", "/power"),
        qos: QoS::AtLeastOnce,
        retain: false,
        schedule: Schedule::Every {
            period: Duration::from_secs(60),
            phase: PhaseShape::Uniform,
        },
        payload: Payload::Json(vec![(
            "watts".into(),
            Field::Walk {
                step: 15.0,
                min: 0.0,
                max: 3000.0,
            },
        )]),
        when_late: WhenLate::Send,
        ack_timeout: Duration::from_secs(30),
        priority: 100,
    }
}

fn phases(devices: u32) -> Vec<Phase> {
    vec![
        Phase {
            name: "ramp".into(),
            start: Duration::ZERO,
            length: Duration::from_secs(10),
            power_on: Some(PowerOn {
                pace: Pace::PerSecond(f64::from(devices.max(1)) / 10.0),
                boot: BootTime::NONE,
                who: Selector::default(),
            }),
        },
        Phase {
            name: "steady".into(),
            start: Duration::from_secs(10),
            length: Duration::from_secs(60),
            power_on: None,
        },
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_plan_is_coherent() {
        let plan = super::plan(7);
        assert_eq!(plan.devices(), 7);
        assert_eq!(plan.cohort_of(6), 0);
        assert!((0..7).all(|d| plan.observed(d)));
        assert_eq!(plan.length().as_secs(), 70);
    }
}

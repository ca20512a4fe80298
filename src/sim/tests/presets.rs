//! The devices of every SDK preset after an outage: what is simulated, packet by packet, is what
//! `device::herd` tells without stepping a device.

use super::*;
use crate::device::herd::{self, OUTAGE, WITHIN};
use crate::scenario::plan::{NetworkFault, Selector};
use crate::scenario::sdks::{SDKS, Sdk};

const DEVICES: u32 = 24;
/// A round trip each for the handshake and the CONNECT.
const CONNECT: Duration = LINK_DELAY.saturating_mul(4);
/// The longest wait of any preset, and a little.
const AFTERWARDS: Duration = Duration::from_secs(140);

/// A fleet of one SDK that has been online for a minute when it is reset, without telemetry.
fn plan(sdk: &Sdk, seed: u64) -> Plan {
    let mut plan = fixture::plan(DEVICES);
    plan.seed = seed;
    plan.streams = Vec::new();
    plan.observe = Observe {
        devices: 0,
        ledger: false,
        ..plan.observe
    };
    let cohort = &mut plan.cohorts[0];
    cohort.streams = 0..0;
    cohort.client = sdk.client(cohort.client.client_id.clone());
    let begin = plan.phases[STEADY].start + Duration::from_secs(60);
    plan.phases[STEADY].length = Duration::from_secs(60) + OUTAGE + AFTERWARDS;
    plan.faults = vec![Fault {
        phase: STEADY,
        start: begin,
        clear: begin + OUTAGE,
        kind: FaultKind::Network {
            who: Selector::default(),
            fault: NetworkFault::Reset { within: WITHIN },
        },
    }];
    plan
}

/// No preset hangs either: `rumqttc-naive` has no wait at all.
#[test]
fn every_preset_comes_back_when_its_herd_says() {
    for sdk in &SDKS {
        let seed = 11;
        let outcome = outcome(plan(sdk, seed));
        let recovery = outcome.totals.recoveries[0];
        assert_eq!(recovery.affected, u64::from(DEVICES), "{}", sdk.name);
        let mut attempts = 0;
        let mut came = 0;
        for device in 0..DEVICES {
            let (tried, expected) = herd::comes_back(&sdk.backoff, seed, device);
            attempts += tried;
            let after = outcome.came_back.iter().find(|(id, _)| *id == device);
            let after = after.map(|(_, after)| *after - CONNECT);
            came += usize::from(after.is_some());
            let off = after
                .unwrap_or_default()
                .abs_diff(expected.unwrap_or_default());
            // The instant of the reset is drawn in whole nanoseconds there.
            assert!(
                after.is_some() == expected.is_some() && off <= Duration::from_nanos(2),
                "{}, device {device}: {after:?}, not {expected:?}",
                sdk.name
            );
        }
        assert_eq!(came, outcome.came_back.len(), "{}", sdk.name);
        let counted = outcome.totals.attempts.iter();
        let counted: u64 = counted.map(|a| a.accepted + a.failed).sum();
        assert_eq!(counted, attempts + u64::from(DEVICES), "{}", sdk.name);
    }
}

/// A refusal that the target itself gives costs a device no time but its round trips.
#[test]
fn without_any_wait_a_refusing_target_is_asked_once_per_round_trip() {
    let naive = SDKS.iter().find(|sdk| sdk.name == "rumqttc-naive");
    let mut plan = plan(naive.expect("it is a preset"), 11);
    plan.faults = vec![Fault {
        phase: 0,
        start: Duration::ZERO,
        clear: Duration::from_secs(2),
        kind: FaultKind::Backend {
            node: None,
            fault: BackendFault::Refuse,
        },
    }];
    plan.phases[STEADY].length = Duration::from_secs(10);
    let attempts = outcome(plan).totals.attempts;
    let accepted: u64 = attempts.iter().map(|a| a.accepted).sum();
    let failed: u64 = attempts.iter().map(|a| a.failed).sum();
    assert_eq!(accepted, u64::from(DEVICES));
    // Five devices get power in time, 5 / 12 s apart: 5.83 s in all.
    assert!((14_000..15_200).contains(&failed), "{failed}");
}

//! What it costs a fleet to come back, held against the attempts and the backend's own counts.

use super::*;
use crate::scenario::plan::{NetworkFault, Selector};
use crate::stats::recorder::{HerdCounts, ResumeCounts};

/// 500 devices, cut off from 20 s to 30 s.
fn reset_of_all() -> Plan {
    let kind = FaultKind::Network {
        who: Selector::default(),
        fault: NetworkFault::Reset { within: ms(500) },
    };
    with(plan(500, ms(1_000)), ms(10_000), ms(20_000), kind)
}

fn herd_of(outcome: &Outcome) -> HerdCounts {
    let [herd] = outcome.totals.herds[..] else {
        panic!("one fault: {:?}", outcome.totals.herds);
    };
    herd
}

#[test]
fn every_attempt_of_an_outage_is_of_its_herd() {
    let outcome = outcome(reset_of_all());
    let attempts = outcome.totals.attempts.iter();
    let (accepted, failed) =
        attempts.fold((0, 0), |(a, f), more| (a + more.accepted, f + more.failed));
    let first_connects = 500;
    let all = ResumeCounts {
        reconnects: 500,
        resumed: outcome.backend("sessions_resumed"),
    };
    assert_eq!(all.resumed, 500);
    let expected = HerdCounts {
        devices: 500,
        attempts: accepted + failed - first_connects,
        resumes: all,
    };
    assert_eq!(herd_of(&outcome), expected);
    let factor = expected.amplification().expect("there are devices");
    assert!(factor > 2.0, "an attempt was refused at least: {factor}");
    assert_eq!(outcome.totals.resumes[STEADY], all);
    assert_eq!(outcome.totals.resumes[RAMP], ResumeCounts::default());
}

#[test]
fn a_restart_that_forgets_lets_no_session_be_resumed() {
    let restart = |sessions| BackendFault::Restart { sessions };
    for (sessions, resumed) in [(Sessions::Keep, 200), (Sessions::Forget, 0)] {
        let plan = plan(200, ms(5_000));
        let plan = with_fault(plan, ms(10_000), ms(15_000), restart(sessions));
        let resumes = herd_of(&outcome(plan)).resumes;
        let expected = ResumeCounts {
            reconnects: 200,
            resumed,
        };
        assert_eq!(resumes, expected, "{sessions:?}");
    }
}

#[test]
fn clean_sessions_are_not_resumed_and_not_asked_about() {
    let mut plan = reset_of_all();
    plan.cohorts[0].session.clean = true;
    let outcome = outcome(plan);
    assert_eq!(herd_of(&outcome).devices, 500);
    assert_eq!(herd_of(&outcome).resumes, ResumeCounts::default());
}

//! Whatever devices, brokers and drivers do: exactly one row per target.

use super::*;
use crate::wire::aws_streams::Encoding;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Act {
    Wait(u64),
    Report(u32, usize),
    Will(u32),
    Start(u32),
    Update(u32, usize, u8),
    Block(u32),
    Answer(u32, bool),
    Lose(bool),
    Mute(bool),
}

fn act() -> impl Strategy<Value = Act> {
    let device = 0u32..7;
    prop_oneof![
        4 => (1u64..4_000).prop_map(Act::Wait),
        2 => (device.clone(), 0usize..4).prop_map(|(d, v)| Act::Report(d, v)),
        1 => device.clone().prop_map(Act::Will),
        3 => device.clone().prop_map(Act::Start),
        4 => (device.clone(), 0usize..6, 0u8..4).prop_map(|(d, s, v)| Act::Update(d, s, v)),
        1 => device.clone().prop_map(Act::Block),
        3 => (device, any::<bool>()).prop_map(|(d, ok)| Act::Answer(d, ok)),
        1 => any::<bool>().prop_map(Act::Lose),
        1 => any::<bool>().prop_map(Act::Mute),
    ]
}

const UPDATES: [&str; 6] = [
    r#""status":"IN_PROGRESS""#,
    r#""status":"IN_PROGRESS","statusDetails":{"self_test":"ready"}"#,
    r#""status":"SUCCEEDED""#,
    r#""status":"FAILED""#,
    r#""status":"REJECTED""#,
    r#""status":"CANCELED""#,
];

fn apply(rig: &mut Rig, act: &Act) {
    match *act {
        Act::Wait(ms) => {
            let end = rig.now.after(Duration::from_millis(ms));
            rig.run_until(end);
        }
        Act::Report(device, version) => {
            rig.report(device, ["1.4.2", "2.0.0", "3.0.0", "x"][version]);
        }
        Act::Will(device) => rig.hear(&format!("d/meters-{device}/state"), "offline"),
        Act::Start(device) => {
            rig.hear(&format!("$aws/things/meters-{device}/jobs/start-next"), "");
        }
        Act::Update(device, status, version) => {
            let expected = match version {
                0 => String::new(),
                version => format!(",\"expectedVersion\":{version}"),
            };
            let job = format!("fs-0000feed-{}", device % 2);
            let payload = format!("{{{}{expected}}}", UPDATES[status]);
            rig.hear(
                &format!("$aws/things/meters-{device}/jobs/{job}/update"),
                payload,
            );
        }
        Act::Block(device) => {
            let topic = format!("$aws/things/meters-{device}/streams/fs-0000feed-0/get/json");
            rig.hear(&topic, r#"{"c":"rdy","f":0,"l":256,"n":1}"#);
        }
        Act::Answer(device, ok) => {
            let status = if ok { "succeeded" } else { "failed" };
            let payload = format!("{{\"id\":\"0000feed-now\",\"status\":\"{status}\"}}");
            rig.hear(
                &format!("d/meters-{device}/rpc/response/0000feed-now"),
                payload,
            );
        }
        Act::Lose(has_session) => {
            rig.has_session = has_session;
            rig.step(Input::Closed(0, Cause::Reset));
        }
        Act::Mute(acks) => rig.acks = acks,
    }
}

fn plan_of_all() -> Plan {
    let mut plan = plan(6);
    updates(
        &mut plan,
        WireProfile::AwsJobs {
            encoding: Encoding::Json,
        },
    );
    let mut second = campaign("fw-3", 2);
    second.start = Duration::from_secs(3);
    second.retries = 1;
    plan.campaigns = vec![campaign("fw-2", 1), second];
    plan.commands = vec![command("now")];
    plan.queries = vec![query("old")];
    plan.queries[0].every = Some(Duration::from_secs(2));
    plan.queries[0].max_age = Some(Duration::from_secs(1));
    plan
}

/// Whether the command has begun.
fn is_ordered(rig: &Rig) -> bool {
    let begins = |finding: &Finding| matches!(finding, Finding::CommandStarted { .. });
    rig.findings.iter().any(begins)
}

proptest! {
    #[test]
    fn each_target_has_exactly_one_row(
        acts in prop::collection::vec(act(), 0..60),
        stops in any::<bool>(),
    ) {
        let mut rig = Rig::new(plan_of_all());
        for act in &acts {
            apply(&mut rig, act);
        }
        if stops {
            rig.step(Input::StopArrivals);
            // Who left before it answered is waited for until the close, so all come back, once the
            // desk is there to hear of it.
            let back = rig.now.after(Duration::from_secs(20));
            rig.run_until(back);
            (0..6).for_each(|device| rig.report(device, "1.4.2"));
            let end = rig.now.after(Duration::from_secs(120));
            rig.run_until(end);
            // All timeouts are over, so the close is not needed for these; who was notified and never
            // started may still do so until then.
            let rows = if is_ordered(&rig) { 6 } else { 0 };
            prop_assert_eq!(rig.commands().len(), rows);
        }
        rig.step(Input::Close);
        prop_assert!(rig.operator.is_settled());
        let targets = |mark: &CampaignMark| {
            if let CampaignMark::Started { targets } = mark { *targets } else { 0 }
        };
        let begun: u32 = rig.marks().iter().map(targets).sum();
        let mut rows: Vec<_> = rig.results().iter().map(|row| (row.campaign, row.device)).collect();
        prop_assert_eq!(rows.len(), begun as usize);
        rows.sort_unstable();
        rows.dedup();
        prop_assert_eq!(rows.len(), begun as usize, "no device has two rows");
        let mut commands: Vec<_> = rig.commands().iter().map(|row| row.device).collect();
        commands.sort_unstable();
        let expected: Vec<_> = if is_ordered(&rig) { (0..6).collect() } else { Vec::new() };
        prop_assert_eq!(commands, expected);
        // Nothing comes after the close.
        let before = rig.findings.len();
        rig.step(Input::Close);
        apply(&mut rig, &Act::Answer(0, true));
        apply(&mut rig, &Act::Update(0, 2, 0));
        prop_assert_eq!(rig.findings.len(), before);
    }
}

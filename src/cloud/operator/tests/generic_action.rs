//! Campaigns over patterns.

use super::*;
use crate::scenario::update::GenericAction;
use crate::stats::results::Outcome;
use crate::wire::Reason;
use crate::wire::generic_action::{ACTION, Pattern, STATUS};
use crate::wire::image::{Image as Bytes, hex};

fn rig(server: Option<&str>) -> Rig {
    Rig::new(rig_plan(server))
}

fn rig_plan(server: Option<&str>) -> Plan {
    let mut plan = plan(2);
    let profile = GenericAction {
        action_topic: fixture::device_template("t/", "/actions"),
        status_topic: fixture::device_template("t/", "/action/status"),
        action: Pattern::action(ACTION).expect("a default"),
        status: Pattern::status(STATUS).expect("a default"),
        server: server.map(str::to_owned),
        progress_every: 10,
    };
    updates(&mut plan, WireProfile::GenericAction(Box::new(profile)));
    plan.campaigns = vec![campaign("fw-2", 1)];
    plan.campaigns[0].in_progress_timeout = None;
    plan
}

fn status(rig: &mut Rig, device: u32, state: &str, errors: &str) {
    status_of(rig, "fs-0000feed-0", device, state, errors);
}

fn status_of(rig: &mut Rig, action: &str, device: u32, state: &str, errors: &str) {
    let payload = format!(
        "[{{\"stream\":\"action_status\",\"sequence\":1,\"timestamp\":9,\"action_id\":\"{action}\",\
         \"state\":\"{state}\",\"progress\":0,\"errors\":[{errors}]}}]"
    );
    rig.hear(&format!("t/meters-{device}/action/status"), payload);
}

fn action(url: &str) -> String {
    let hash = hex(&Bytes::new(42, "2.0.0", 600).sha256);
    format!(
        r#"{{"action_id":"fs-0000feed-0","name":"update_firmware","payload":"{{\"url\":\"{url}\",\"content-length\":600,\"file-name\":\"2.0.0\",\"checksum\":\"{hash}\",\"version\":\"2.0.0\"}}"}}"#
    )
}

#[test]
fn an_action_goes_down_and_states_come_up() {
    for (server, url) in [
        (None, "/images/fw-2"),
        (Some("http://h/x/"), "http://h/x/fw-2"),
    ] {
        let mut rig = rig(server);
        rig.run_until(at(1_000));
        let mut said = rig.take_texts();
        said.sort_unstable();
        let topic = |device| format!("t/meters-{device}/actions");
        assert_eq!(said, [(topic(0), action(url)), (topic(1), action(url))]);
        for state in [
            "Downloading",
            "Downloaded",
            "Installing",
            "Rebooting",
            "SelfTest",
            "Completed",
        ] {
            rig.now = rig.now.after(Duration::from_secs(1));
            status(&mut rig, 0, state, "");
        }
        status(&mut rig, 1, "Download Failed", "\"connection_lost\"");
        let ends: Vec<_> = rig
            .results()
            .iter()
            .map(|row| {
                (
                    row.device,
                    row.outcome,
                    row.reason,
                    row.started,
                    row.rebooted,
                )
            })
            .collect();
        assert_eq!(
            ends,
            [
                (
                    0,
                    Outcome::Confirmed,
                    Reason::Success,
                    Some(at(2_000)),
                    Some(at(5_000))
                ),
                (
                    1,
                    Outcome::Failed,
                    Reason::ConnectionLost,
                    Some(at(7_000)),
                    None
                ),
            ]
        );
        assert_eq!(rig.notes, []);
    }
}

#[test]
fn who_is_back_or_has_waited_long_is_notified_again_until_it_starts() {
    let mut rig = rig(None);
    rig.report(0, "1.4.2");
    rig.run_until(at(1_000));
    assert_eq!(rig.take_said().len(), 2);
    // It was there, and its action is young.
    rig.now = at(10_000);
    rig.report(0, "1.4.2");
    assert!(rig.take_said().is_empty());
    rig.now = at(31_000);
    rig.report(0, "1.4.2");
    assert_eq!(
        rig.take_texts(),
        [("t/meters-0/actions".to_owned(), action("/images/fw-2"))]
    );
    // That counts as the latest time.
    rig.now = at(50_000);
    rig.report(0, "1.4.2");
    assert!(rig.take_said().is_empty(), "notified 19 s ago");
    // It goes, and comes back.
    rig.hear("d/meters-1/state", "offline");
    rig.report(1, "1.4.2");
    assert_eq!(
        rig.take_texts(),
        [("t/meters-1/actions".to_owned(), action("/images/fw-2"))]
    );
    status(&mut rig, 1, "Downloading", "");
    rig.hear("d/meters-1/state", "offline");
    rig.now = at(90_000);
    rig.report(1, "1.4.2");
    assert!(rig.take_said().is_empty(), "it has started");
}

#[test]
fn another_try_is_another_action() {
    let mut plan = rig_plan(None);
    plan.campaigns[0].retries = 1;
    let mut rig = Rig::new(plan);
    rig.report(0, "1.4.2");
    rig.run_until(at(1_000));
    rig.take_said();
    status(&mut rig, 0, "Failed", "");
    let again = action("/images/fw-2").replace("feed-0", "feed-0-2");
    assert_eq!(
        rig.take_texts(),
        [("t/meters-0/actions".to_owned(), again)],
        "a device does not carry the same action out twice"
    );
    // What is said of the first try is not about the second.
    status(&mut rig, 0, "Failed", "");
    status_of(&mut rig, "fs-0000feed-0-3", 0, "Failed", "");
    assert!(rig.results().is_empty());
    assert_eq!(rig.notes, [Note::BadMessage; 2]);
    status_of(&mut rig, "fs-0000feed-0-2", 0, "Completed", "");
    let ends: Vec<_> = rig
        .results()
        .iter()
        .map(|row| (row.device, row.outcome, row.attempts))
        .collect();
    assert_eq!(ends, [(0, Outcome::Confirmed, 2)]);
}

#[test]
fn a_status_that_does_not_follow_the_pattern_is_counted_and_left() {
    let mut rig = rig(None);
    rig.run_until(at(1_000));
    rig.hear("t/meters-0/action/status", "{}");
    status(&mut rig, 0, "Dancing", "");
    rig.hear("t/meters-7/action/status", "{}");
    assert_eq!(
        rig.notes,
        [Note::BadMessage, Note::BadMessage, Note::ForeignName]
    );
    assert!(rig.results().is_empty());
}

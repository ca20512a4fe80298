//! The words of updates, campaigns, fleet commands and queries, and what they become in the plan.

mod scenario_text;

use fleetstorm::scenario::campaign::{
    AbortRule, Defect, Effect, Failure, Offline, Order, Rollout, RungStep, Server, Versions, Wave,
};
use fleetstorm::scenario::file::Overrides;
use fleetstorm::scenario::plan::{FaultKind, Me, Plan, Target};
use fleetstorm::scenario::power::BootTime;
use fleetstorm::scenario::update::{Encoding, Resume, WireProfile};
use fleetstorm::wire::Reason;
use proptest::prelude::*;
use scenario_text::{faulty, one, plan, secs, with};
use std::time::Duration;

/// What stands in a fleet of 100 meters with all abilities, and a phase of 60 s after a ramp of 10 s.
#[derive(Clone, Copy)]
struct Parts<'a> {
    target: &'a str,
    cohort: &'a str,
    operations: &'a str,
    actions: &'a str,
}

const ABILITIES: &str = "reported: { topic: \"d/{device}/reported\" }, commands: { topic: \"d/{device}/rpc\" }, update: { profile: aws_jobs }";

impl Parts<'_> {
    fn text(&self) -> String {
        let Parts {
            target,
            cohort,
            operations,
            actions,
        } = self;
        format!(
            "name: one\ntarget: {{ {target} }}\nfleet:\n  - {{ cohort: meters, devices: 100, attributes: {{ hw: {{ B: 90%, C: 10% }}, tier: {{ critical: 5%, normal: 95% }}, fw: {{ \"1.4.1\": 20%, \"1.4.2\": 80% }} }}, {cohort} }}\n{operations}\nphases:\n  - {{ name: ramp, power_on: {{ rate: 10/s }} }}\n  - {{ name: work, for: 60s, actions: [ {actions} ] }}\n"
        )
    }
}

const PLAIN: Parts<'static> = Parts {
    target: "embedded: {}",
    cohort: ABILITIES,
    operations: "",
    actions: "",
};

/// A campaign with more words, started at 5 s.
fn campaign(more: &str) -> Plan {
    plan(
        &Parts {
            operations: &campaigns(more),
            actions: "{ start: fw-2, at: 5s }",
            ..PLAIN
        }
        .text(),
    )
}

fn campaigns(more: &str) -> String {
    format!(
        "campaigns: [ {{ campaign: fw-2, image: {{ version: \"2.0.0\", bytes: 65536 }}{more} }} ]"
    )
}

fn update(text: &str) -> fleetstorm::scenario::update::UpdateClient {
    let cohort = format!("update: {{ {text} }}");
    let parts = Parts {
        target: "embedded: { me: per_connection }",
        cohort: &cohort,
        ..PLAIN
    };
    plan(&parts.text()).cohorts[0]
        .update
        .clone()
        .expect("it has one")
}

#[test]
fn the_defaults_of_updates_are_those_of_the_sdks() {
    let table = [
        ("aws_jobs", secs(10), 32, Resume::Block, secs(16)),
        ("thingsboard", secs(5), 12, Resume::Restart, secs(2)),
        ("generic_action", secs(1), 65_535, Resume::Block, secs(2)),
    ];
    for (profile, timeout, retries, resume, self_test) in table {
        let found = update(&format!("profile: {profile}"));
        assert_eq!(found.block_bytes, 4_096, "{profile}");
        assert_eq!(found.window, 1, "{profile}");
        assert_eq!(found.block_timeout, timeout, "{profile}");
        assert_eq!(found.block_retries, retries, "{profile}");
        assert_eq!(found.resume, resume, "{profile}");
        assert_eq!(found.self_test, self_test, "{profile}");
        assert_eq!(found.verify, Duration::from_millis(200), "{profile}");
        assert_eq!(found.install, secs(2), "{profile}");
        assert_eq!(found.answer_timeout, secs(10), "{profile}");
        let reboot = BootTime::Uniform {
            min: secs(2),
            max: secs(5),
        };
        assert_eq!(found.reboot, reboot, "{profile}");
        assert_eq!((found.reject, found.fail), (0.0, 0.0), "{profile}");
        assert_eq!(found.flash_bytes_per_s, None, "{profile}");
        assert_eq!(found.defer, None, "{profile}");
    }
}

#[test]
fn every_word_of_an_update_counts() {
    let found = update(
        "profile: { aws_jobs: { encoding: cbor } }, block: 8192, window: 4, block_timeout: 3s, block_retries: 7, resume: restart, flash_rate: 100000, verify: 1s, install: 4s, reboot: { fixed: 9s }, self_test: 5s, answer_timeout: 6s, reject: 1%, defer: { share: 5%, for: 30s }, fail: 0.1%",
    );
    let encoding = Encoding::Cbor;
    assert_eq!(found.profile, WireProfile::AwsJobs { encoding });
    assert_eq!((found.block_bytes, found.window), (8_192, 4));
    assert_eq!((found.block_timeout, found.block_retries), (secs(3), 7));
    assert_eq!(found.resume, Resume::Restart);
    assert_eq!(found.flash_bytes_per_s, Some(100_000.0));
    assert_eq!((found.verify, found.install), (secs(1), secs(4)));
    assert_eq!(found.reboot, BootTime::Fixed(secs(9)));
    assert_eq!((found.self_test, found.answer_timeout), (secs(5), secs(6)));
    assert_eq!((found.reject, found.fail), (0.01, 0.001));
    let defer = found.defer.expect("some put it off");
    assert_eq!((defer.share, defer.length), (0.05, secs(30)));
    let one_more = update("profile: { thingsboard: { counts_one_more: true } }").profile;
    let counts_one_more = true;
    assert_eq!(one_more, WireProfile::Thingsboard { counts_one_more });
}

#[test]
fn a_home_grown_backend_is_described_by_its_topics_and_server() {
    let profile = |text: &str| {
        let profile = update(&format!("profile: {text}")).profile;
        let WireProfile::GenericAction(action) = profile else {
            panic!("{profile:?}");
        };
        *action
    };
    let plain = profile("generic_action");
    assert_eq!(plain.server, None);
    assert_eq!(plain.progress_every, 10);
    let own = profile(
        "{ generic_action: { action_topic: \"a/{device}/do\", status_topic: \"a/{device}/did\", server: \"http://10.0.0.9:8080/images/\", progress_every: 0% } }",
    );
    assert_eq!(own.server.as_deref(), Some("http://10.0.0.9:8080/images"));
    assert_eq!(own.progress_every, 0);
    assert_ne!(own.action_topic, plain.action_topic);
    assert_ne!(own.status_topic, plain.status_topic);
}

#[test]
fn a_campaign_without_a_word_is_for_all_and_at_once() {
    let plan = campaign("");
    let campaign = &plan.campaigns[0];
    assert_eq!((campaign.phase, campaign.start), (1, secs(15)));
    assert_eq!(campaign.server, Server::Operator);
    assert_eq!(campaign.targets, Default::default());
    assert_eq!(campaign.rollout, Rollout::AtOnce);
    assert_eq!(campaign.order, Order::ByPriority);
    assert_eq!(campaign.retries, 0);
    assert_eq!(campaign.in_progress_timeout, None);
    assert!(campaign.pauses.is_empty() && campaign.cancel.is_none());
    assert_eq!(plan.firmware.attribute, "fw");
    assert_eq!(plan.firmware.versions, ["1.4.1", "1.4.2", "2.0.0"]);
    assert_eq!(campaign.image.version, 2);
    assert_eq!(plan.campaign_of(2), Some(0));
    assert!(plan.has_operator());
}

#[test]
fn every_word_of_a_campaign_counts() {
    let plan = plan(
        &Parts {
            operations: "campaigns: [ { campaign: fw-2, where: { tier: normal, fw: { below: \"1.4.2\" } }, image: { version: \"2.0.0\", bytes: 65536, defects: [ { where: { hw: C }, from: \"1.4.1\", share: 30%, effect: bricks }, { effect: { fails: integrity } }, { effect: rolls_back } ] }, priorities: [ { priority: critical, where: { tier: critical } } ], order: shuffled, abort: [ { failure: failed, min_executed: 100, threshold: 20% }, { failure: timed_out, min_executed: 200, threshold: 50% } ], in_progress_timeout: 10min, step_timeout: 5min, retries: 3 } ]",
            actions: "{ cancel: fw-2, at: 59s }, { pause: fw-2, at: 40s, for: 5s }, { pause: fw-2, at: 20s, for: 10s }, { start: fw-2 }",
            ..PLAIN
        }
        .text(),
    );
    let campaign = &plan.campaigns[0];
    assert_eq!(campaign.targets.firmware, Some(Versions::Below(1)));
    let tier = vec![("tier".to_owned(), "normal".to_owned())];
    assert_eq!(campaign.targets.who.attributes, tier);
    let defect = |attributes: &[(&str, &str)], from, share, effect| Defect {
        attributes: (attributes.iter())
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        from,
        share,
        effect,
    };
    let defects = [
        defect(&[("hw", "C")], Some(0), 0.3, Effect::Bricks),
        defect(&[], None, 1.0, Effect::Fails(Reason::Integrity)),
        defect(&[], None, 1.0, Effect::RollsBack),
    ];
    assert_eq!(campaign.image.defects, defects);
    assert_eq!(campaign.priorities[0].name, "critical");
    assert_eq!(campaign.order, Order::Shuffled);
    let rule = |failure, min_executed, threshold| AbortRule {
        failure,
        min_executed,
        threshold,
    };
    let rules = [
        rule(Failure::Failed, 100, 0.2),
        rule(Failure::TimedOut, 200, 0.5),
    ];
    assert_eq!(campaign.aborts, rules);
    assert_eq!(campaign.in_progress_timeout, Some(secs(600)));
    assert_eq!(campaign.step_timeout, Some(secs(300)));
    assert_eq!(campaign.retries, 3);
    assert_eq!(
        campaign.pauses,
        [(secs(30), secs(40)), (secs(50), secs(55))]
    );
    assert_eq!(campaign.cancel, Some(secs(69)));
    let targets = campaign.targets.factory_members(&plan);
    for device in 0..plan.devices() {
        let wanted = plan.attribute(device, "tier") == Some("normal")
            && plan.attribute(device, "fw") == Some("1.4.1");
        assert_eq!(targets.contains(&device), wanted, "{device}");
    }
}

#[test]
fn rollouts() {
    let wave = |upto, success| Wave { upto, success };
    let table = [
        ("at_once", Rollout::AtOnce),
        (
            "{ constant: 1000/min }",
            Rollout::Constant {
                per_minute: 1_000.0,
            },
        ),
        (
            "{ constant: 0.5/s }",
            Rollout::Constant { per_minute: 30.0 },
        ),
        (
            "{ exponential: { base: 50/min, factor: 2, max: 1000/min, after: { notified: 1000 } } }",
            Rollout::Exponential {
                base_per_minute: 50.0,
                factor: 2.0,
                max_per_minute: 1_000.0,
                step: RungStep::Notified(1_000),
            },
        ),
        (
            "{ exponential: { base: 1000/min, factor: 1.5, max: 8000/min, after: { succeeded: 700 } } }",
            Rollout::Exponential {
                base_per_minute: 1_000.0,
                factor: 1.5,
                max_per_minute: 8_000.0,
                step: RungStep::Succeeded(700),
            },
        ),
        (
            "{ waves: [ { upto: 1%, success: 95% }, { upto: 100% } ] }",
            Rollout::Waves(vec![wave(0.01, 0.95), wave(1.0, 0.0)]),
        ),
        (
            "{ packs: { size: 100, every: 60s } }",
            Rollout::Packs {
                size: 100,
                every: secs(60),
            },
        ),
    ];
    for (text, rollout) in table {
        let plan = campaign(&format!(", rollout: {text}"));
        assert_eq!(plan.campaigns[0].rollout, rollout, "{text}");
    }
}

#[test]
fn firmware_is_asked_for_in_three_ways() {
    let table = [
        ("\"1.4.1\"", Versions::OneOf(vec![0])),
        (
            "{ any_of: [\"1.4.2\", \"1.4.1\"] }",
            Versions::OneOf(vec![1, 0]),
        ),
        ("{ below: \"2.0.0\" }", Versions::Below(2)),
        // Nobody has it: it is known from here on.
        ("{ below: \"1.9\" }", Versions::Below(3)),
    ];
    for (text, versions) in table {
        let plan = campaign(&format!(", where: {{ fw: {text} }}"));
        assert_eq!(plan.campaigns[0].targets.firmware, Some(versions), "{text}");
    }
}

#[test]
fn faults_mean_the_firmware_from_the_factory() {
    let who = |text: &str| {
        let text = format!(
            "name: one\nfleet: [{{ cohort: m, devices: 100, attributes: {{ fw: {{ \"1.9.0\": 10%, \"1.10.0\": 20%, \"2.0.0\": 70% }} }} }}]\nphases:\n  - {{ name: ramp, for: 20s, power_on: {{ rate: 10/s }}, faults: [ {{ crash: {{ where: {{ fw: {text} }} }} }} ] }}\n"
        );
        let plan = plan(&text);
        let FaultKind::Device { who, .. } = &plan.faults[0].kind else {
            panic!("{:?}", plan.faults);
        };
        who.members(&plan).len()
    };
    assert_eq!(who("\"1.10.0\""), 20);
    assert_eq!(who("{ below: \"1.10.0\" }"), 10);
    assert_eq!(who("{ below: \"2.0.0\" }"), 30);
    assert_eq!(who("{ any_of: [\"1.9.0\", \"2.0.0\"] }"), 80);
}

#[test]
fn commands_and_queries() {
    let plan = plan(
        &Parts {
            operations: "commands: [ { command: plain, payload: x }, { command: slow-down, where: { hw: C, fw: { below: \"1.4.2\" } }, payload: '{\"interval_s\":300}', timeout: 3s, retries: 5, offline: skip, rate: 500/s, by_hand: 5min } ]\nqueries: [ { query: once }, { query: old, where: { fw: \"1.4.1\" }, max_age: 30s, timeout: 2s } ]",
            actions: "{ command: plain, at: 20s }, { command: slow-down, at: 10s }, { query: old, every: 5s }, { query: once, at: 30s }",
            ..PLAIN
        }
        .text(),
    );
    // In the order in which they begin.
    let [slow, plain] = plan.commands.as_slice() else {
        panic!("{:?}", plan.commands);
    };
    assert_eq!(
        (slow.name.as_str(), slow.phase, slow.start),
        ("slow-down", 1, secs(20))
    );
    assert_eq!(slow.payload, r#"{"interval_s":300}"#);
    assert_eq!((slow.timeout, slow.retries), (secs(3), 5));
    assert_eq!(
        (slow.offline, slow.rate_per_s),
        (Offline::Skip, Some(500.0))
    );
    assert_eq!(slow.by_hand, secs(300));
    assert_eq!(slow.targets.firmware, Some(Versions::Below(1)));
    assert_eq!((plain.name.as_str(), plain.start), ("plain", secs(30)));
    assert_eq!((plain.timeout, plain.retries), (secs(10), 2));
    assert_eq!((plain.offline, plain.rate_per_s), (Offline::Queue, None));
    assert_eq!(plain.by_hand, secs(600));
    let [old, once] = plan.queries.as_slice() else {
        panic!("{:?}", plan.queries);
    };
    assert_eq!(
        (old.start, old.end, old.every),
        (secs(10), secs(70), Some(secs(5)))
    );
    assert_eq!((old.max_age, old.timeout), (Some(secs(30)), secs(2)));
    assert_eq!((once.start, once.every), (secs(40), None));
    assert_eq!((once.max_age, once.timeout), (None, secs(5)));
}

#[test]
fn whoever_says_nothing_of_it_has_none_of_it() {
    for text in [one("{}", ""), faulty("{ crash: {} }")] {
        let plan = plan(&text);
        assert!(!plan.has_operator());
        assert!(plan.firmware.versions.is_empty() && plan.campaigns.is_empty());
        let cohort = &plan.cohorts[0];
        assert!(cohort.update.is_none() && cohort.commands.is_none() && cohort.reported.is_none());
    }
}

#[test]
fn topics_that_name_no_device_belong_to_connections() {
    let me = |target: &str| match plan(&Parts { target, ..PLAIN }.text()).target {
        Target::Embedded(embedded) => embedded.me,
        Target::Brokers(brokers) => panic!("{brokers:?}"),
    };
    assert_eq!(me("embedded: {}"), Me::Shared);
    assert_eq!(me("embedded: { me: shared }"), Me::Shared);
    assert_eq!(me("embedded: { me: per_connection }"), Me::PerConnection);
}

#[test]
fn a_campaign_of_the_target_has_a_start_only() {
    let plan = plan(
        &Parts {
            target: "brokers: { urls: [mqtt://10.0.0.7] }",
            operations: &campaigns(", server: external"),
            actions: "{ start: fw-2, at: 5s }",
            ..PLAIN
        }
        .text(),
    );
    assert_eq!(plan.campaigns[0].server, Server::External);
    assert!(!plan.has_operator());
}

proptest! {
    /// Devices are scaled, rates are not; and whoever is meant is meant by an exact share.
    #[test]
    fn other_sizes_change_devices_and_no_rates(devices in 20u32..3_000, seed: u64) {
        let text = Parts {
            operations: &campaigns(", where: { tier: critical }, rollout: { constant: 1000/min }, abort: [ { failure: all, min_executed: 10, threshold: 5% } ]"),
            actions: "{ start: fw-2 }",
            ..PLAIN
        }
        .text()
        // The ramp may take as long as it likes.
        .replace("rate: 10/s", "rate: 1000/s");
        let overrides = Overrides { devices: Some(devices), seed: Some(seed), ..Overrides::default() };
        let plan = with(&text, &overrides).expect("valid at every size");
        let campaign = &plan.campaigns[0];
        prop_assert_eq!(&campaign.rollout, &Rollout::Constant { per_minute: 1_000.0 });
        prop_assert_eq!(campaign.aborts[0].min_executed, 10);
        let targets = campaign.targets.factory_members(&plan).len();
        let twentieth = f64::from(devices) / 20.0;
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let off = (targets as f64 - twentieth).abs();
        prop_assert!(off <= 1.0, "{} of {}", targets, devices);
    }
}

proptest! {
    /// Whatever numbers stand in a file: it is refused, or its plan keeps what plans promise.
    #[test]
    fn an_accepted_plan_is_sound(
        mut instants in proptest::collection::vec(0u32..65, 6),
        (block, window, retries, executed) in (
            prop_oneof![Just(255u32), Just(256), Just(4_096), Just(65_536), Just(131_073)],
            0u32..40,
            0u32..13,
            0u32..4,
        ),
        mut waves in proptest::collection::vec(0u32..=100, 0..4),
        (share, mut limits) in (0u32..=100, proptest::collection::vec(0u32..20, 2)),
        is_tidy in prop_oneof![3 => Just(true), 1 => Just(false)],
    ) {
        // Left to chance, next to nothing would be accepted.
        if is_tidy {
            instants.sort_unstable();
            limits.sort_unstable();
            waves.sort_unstable();
            waves.push(100);
        }
        let [start, pause, pause_end, other, other_end, cancel] = instants[..] else {
            panic!("there are six");
        };
        let (pause_for, other_for) = (pause_end.abs_diff(pause), other_end.abs_diff(other));
        let (step, all) = (limits[0], limits[1]);
        let last = waves.len().saturating_sub(1);
        let waves: Vec<String> = waves.iter().enumerate().map(|(index, upto)| {
            let success = if index == last { "" } else { ", success: 50%" };
            format!("{{ upto: {upto}%{success} }}")
        }).collect();
        let cohort = format!("update: {{ profile: aws_jobs, block: {block}, window: {window} }}, reported: {{ topic: \"d/{{device}}\" }}");
        let operations = campaigns(&format!(
            ", rollout: {{ waves: [{}] }}, retries: {retries}, step_timeout: {step}s, in_progress_timeout: {all}s, abort: [{{ failure: all, min_executed: {executed}, threshold: {share}% }}]",
            waves.join(", ")
        ));
        let actions = format!(
            "{{ start: fw-2, at: {start}s }}, {{ pause: fw-2, at: {pause}s, for: {pause_for}s }}, {{ pause: fw-2, at: {other}s, for: {other_for}s }}, {{ cancel: fw-2, at: {cancel}s }}"
        );
        let text = Parts { cohort: &cohort, operations: &operations, actions: &actions, ..PLAIN }.text();
        let Ok(plan) = with(&text, &Overrides::default()) else {
            return Ok(());
        };
        let update = plan.cohorts[0].update.as_ref().expect("it has one");
        prop_assert!((256..=131_072).contains(&update.block_bytes));
        prop_assert!(u32::from(update.window) * update.block_bytes <= 128 * 1024 && update.window > 0);
        let campaign = &plan.campaigns[0];
        prop_assert!(campaign.start < plan.length() && campaign.retries <= 10);
        prop_assert!(campaign.step_timeout <= campaign.in_progress_timeout);
        let (first, second) = (campaign.pauses[0], campaign.pauses[1]);
        prop_assert!(campaign.start <= first.0 && first.0 < first.1);
        prop_assert!(first.1 < second.0 && second.0 < second.1 && second.1 <= plan.length());
        prop_assert!(campaign.cancel.is_some_and(|cancel| second.0 < cancel && cancel < plan.length()));
        let rule = campaign.aborts[0];
        prop_assert!(rule.min_executed > 0 && rule.threshold > 0.0);
        let Rollout::Waves(waves) = &campaign.rollout else {
            panic!("{:?}", campaign.rollout);
        };
        prop_assert!(waves.windows(2).all(|pair| pair[0].upto < pair[1].upto));
        prop_assert!(waves[0].upto > 0.0);
        prop_assert!(waves.last().is_some_and(|last| last.upto >= 1.0));
    }
}

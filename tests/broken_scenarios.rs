//! Broken scenario files: each error names line and column, shows the offending text and says what
//! to write instead.

use fleetstorm::scenario::file::{self, Overrides, ScenarioErrors, Secrets};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken")
}

fn errors_of(name: &str) -> ScenarioErrors {
    let path = folder().join(format!("{name}.yaml"));
    let text = std::fs::read_to_string(&path).expect("the file is there");
    let found = file::parse(
        &format!("{name}.yaml"),
        &text,
        &folder(),
        &Overrides::default(),
        Secrets::Resolve,
    );
    match found {
        Ok(_) => panic!("{name}.yaml was accepted"),
        Err(errors) => errors,
    }
}

/// Line, column and a part of the fix of each mistake.
type Mistakes = &'static [(usize, usize, &'static str)];

/// File, then for each mistake line, column and a part of the fix.
const TABLE: &[(&str, Mistakes)] = &[
    (
        "where-words",
        &[
            (8, 29, "name values: `{ any_of: [ … ] }`"),
            (9, 42, "name the versions: `{ any_of: [ … ] }`"),
            (10, 51, "did you mean `1.0`? (valid here: 1.0, 2.0-rc)"),
            (11, 29, "write one value, such as `cohort: …`"),
            (12, 35, "did you mean `any_of`? (valid here: any, any_of,"),
        ],
    ),
    (
        "actions",
        &[
            (5, 17, "add `actions: [ { start: fw-3 } ]` to a phase"),
            (7, 55, "add `actions: [ { command: idle } ]` to a phase"),
            (8, 37, "add `actions: [ { query: idle } ]` to a phase"),
            (13, 18, "did you mean `fw-2`? (valid here: fw-2, fw-3, fw"),
            (14, 28, "the phase is 10s long"),
            (16, 18, "remove one of the two, or define another one for"),
            (16, 29, "remove `for`; it belongs to `pause` and `query`"),
            (16, 40, "remove `every`; it belongs to `query`"),
            (17, 9, "add for example `for: 20s`"),
            (18, 37, "the phase is 10s long: make it longer or `for` s"),
            (19, 18, "pause it later, or start it later"),
            (20, 18, "make them one, or move them apart"),
            (20, 18, "remove the pause, or cancel later"),
            (22, 19, "remove one of the two"),
            (24, 19, "cancel it later, or do not start it"),
            (25, 33, "keep `command` or `query`, and make the other an"),
            (26, 9, "add for example `start: …` with the name of a ca"),
            (28, 20, "did you mean `slow`? (valid here: slow, idle)"),
            (29, 30, "write 100ms or more"),
            (30, 18, "remove one of the two, or define another one for"),
            (30, 28, "remove `for`, or add `every`"),
        ],
    ),
    (
        "campaign-rollouts",
        &[
            (4, 78, "write 1000/s or 1000/min"),
            (5, 105, "write a number above 1 and up to 5"),
            (5, 113, "write a `max` of at least `base`"),
            (5, 128, "write for example `after: { notified: 1000 }`"),
            (6, 129, "valid here: notified, succeeded"),
            (7, 77, "add for example `success: 95%`"),
            (7, 100, "write a larger share; each includes the waves be"),
            (7, 113, "write a share above 0%"),
            (7, 127, "write `upto: 100%`, or add a wave"),
            (7, 141, "remove `success`, or add a wave"),
            (8, 75, "write `waves: [ { upto: 100% } ]`"),
            (9, 83, "write for example 100"),
            (9, 93, "write for example 10s"),
            (10, 68, "did you mean `exponential`? (valid here: at_once"),
        ],
    ),
    (
        "campaign-targets",
        &[
            (5, 92, "write `target: { embedded: { me: per_connection "),
            (8, 17, "add `update: { … }` to `bare`, or name others in"),
            (9, 27, "add `reported: { … }` to `meters`, or name other"),
            (10, 65, "write a new version"),
            (12, 27, "add `update: { … }` to `bare`, or name others in"),
            (12, 27, "add `reported: { … }` to `bare`, or name others "),
            (13, 92, "remove `server`, or name `brokers` that do"),
            (13, 111, "remove `retries`, or `server: external`"),
            (13, 123, "remove `rollout`, or `server: external`"),
            (14, 65, "write a version of its own: devices tell campaig"),
            (15, 27, "make the conditions wider, or the share larger"),
        ],
    ),
    (
        "campaign-words",
        &[
            (9, 33, "did you mean `1.4.1`? (valid here: 1.4.1, 1.4.2,"),
            (9, 78, "write a number from 1 to 25165824, the largest f"),
            (10, 17, "give it a name of its own"),
            (10, 42, "write for example `{ below: \"2.0.0\" }`"),
            (10, 74, "write a version of its own: devices tell campaig"),
            (10, 90, "write a number from 1 to 25165824, the largest f"),
            (11, 40, "write the version, or `{ any_of: [ … ] }`"),
            (11, 65, "at most 64 letters, digits, `.`, `-` and `_`, su"),
            (12, 47, "did you mean `B`? (valid here: B, C)"),
            (13, 35, "did you mean `below`? (valid here: any, any_of, "),
            (15, 28, "write from 1 to 100 values"),
            (20, 22, "write `from: \"1.4.1\"` beside `where`"),
            (21, 22, "name attributes; a part of their devices is `sha"),
            (22, 26, "write one value, and another defect for each of "),
            (23, 26, "did you mean `B`? (valid here: B, C)"),
            (24, 19, "did you mean `1.4.1`? (valid here: 1.4.1, 1.4.2,"),
            (24, 45, "did you mean `integrity`? (valid here: not_enoug"),
            (27, 21, "give it a name of its own"),
            (27, 41, "did you mean `meters`? (valid here: meters)"),
            (28, 14, "write a number from 0 to 10"),
            (30, 19, "write at most 60s, the in_progress_timeout"),
            (31, 47, "write at least 1"),
            (31, 61, "write a share above 0%"),
            (31, 78, "did you mean `failed`? (valid here: failed, reje"),
        ],
    ),
    (
        "commands",
        &[
            (7, 16, "add `commands: { … }` to `bare`, or name others "),
            (7, 16, "add `reported: { … }` to `mute`, or name others "),
            (8, 26, "add `reported: { … }` to `mute`, or name others "),
            (9, 26, "add `reported: { … }` to `mute`, or name others "),
            (10, 26, "add `reported: { … }` to `mute`, or name others "),
            (10, 80, "write a number from 0 to 10"),
            (10, 93, "write for example 10s"),
            (11, 26, "make the conditions wider, or the share larger"),
            (13, 14, "add `reported: { … }` to `mute`, or name others "),
            (14, 24, "add `commands: { … }` to `bare`, or name others "),
        ],
    ),
    (
        "operations-empty",
        &[
            (3, 69, "the file has no `campaigns`: add it with this on"),
            (3, 88, "the file has no `commands`: add it with this one"),
            (3, 102, "the file has no `queries`: add it with this one"),
        ],
    ),
    (
        "thingsboard-operator",
        &[
            (4, 40, "write `server: external` if the target is Things"),
            (5, 103, "remove the action: `start` only says when whoeve"),
        ],
    ),
    (
        "topics-taken",
        &[
            (5, 24, "write another topic"),
            (9, 31, "write another topic"),
            (10, 31, "write another topic"),
            (15, 31, "write another topic"),
            (16, 31, "write another topic"),
        ],
    ),
    (
        "update-words",
        &[
            (5, 24, "write `{device}` once, alone between two `/`, su"),
            (5, 47, "write 1s or more"),
            (5, 58, "write `qos: 1`: what comes twice is told apart b"),
            (6, 24, "write `{device}` once, alone between two `/`, su"),
            (7, 80, "write `window: 2`, or a smaller `block`"),
            (7, 95, "write bytes per second, such as 100000"),
            (10, 24, "leave only `{device}`, `{cohort}` and `{run}` in"),
            (11, 24, "write `target: { embedded: { me: per_connection "),
            (11, 44, "write a number of bytes from 256 to 131072"),
            (11, 57, "write a number from 1 to 32"),
            (11, 76, "write a number from 0 to 65535"),
            (11, 109, "write a `min` of at most 2s"),
            (15, 44, "use http:// on a trusted network"),
            (15, 106, "write another `status_topic`"),
            (15, 136, "write for example 5%"),
            (16, 22, "write for example 10s"),
            (17, 32, "write for example 10s"),
            (20, 52, "write for example http://10.0.0.9:8080/images"),
            (20, 94, "did you mean `url`? (valid here: action_id, vers"),
            (20, 112, "put `{state}` where its value stands"),
            (23, 24, "did you mean `aws_jobs`? (valid here: aws_jobs, "),
        ],
    ),
    (
        "after-no-fault",
        &[(11, 79, "no phase has one: add `faults` to it")],
    ),
    ("any-too-many", &[(10, 98, "write a smaller `any`")]),
    ("backend-word", &[(9, 53, "did you mean `restart`")]),
    (
        "degrade-and-outage",
        &[(9, 66, "make the other a fault of its own")],
    ),
    ("draw-alone", &[(9, 71, "add for example `share: 30%`")]),
    ("leak-everybody", &[(9, 67, "write a smaller `leak`")]),
    ("repeat-no-length", &[(9, 65, "add for example `for: 3s`")]),
    (
        "repeat-no-room",
        &[(9, 103, "the phase is 60s long, with room for 3")],
    ),
    (
        "repeat-overlap",
        &[(9, 84, "write an `every` of at least that")],
    ),
    (
        "domain-cycle",
        &[(5, 37, "name an attribute with shares above it")],
    ),
    ("domain-parent", &[(5, 73, "did you mean `region`")]),
    (
        "domain-too-small",
        &[(5, 87, "write a smaller `each`, or use more devices")],
    ),
    (
        "domain-no-each",
        &[(5, 63, "write for example `{ within: region, each: 4 }`")],
    ),
    (
        "length-two-laws",
        &[(9, 62, "keep one of `lognormal`, `pareto` and `preset`")],
    ),
    ("length-cap", &[(9, 122, "the phase is 60s long")]),
    ("length-preset", &[(9, 72, "did you mean `power-us`")]),
    ("length-no-cap", &[(9, 64, "add `at_most: …`")]),
    ("length-repeat", &[(9, 115, "it is up to 20s long")]),
    ("duplicate-key", &[(5, 5, "keep one of the two")]),
    (
        "fault-without-embedded",
        &[(9, 51, "remove the fault, or use `target: { embedded: {}")],
    ),
    (
        "five-mistakes",
        &[
            (1, 7, "lower-case letters, digits and `-`, at most 64:"),
            (5, 15, "did you mean `backoff`"),
            (7, 60, "write 60s, 60ms or 60min"),
            (9, 37, "write 100/s or 100/min"),
            (12, 89, "did you mean `steady`"),
        ],
    ),
    (
        "link-cap",
        &[(5, 43, "make `cap` at least 2s, or `latency` at most 1s")],
    ),
    (
        "link-cap-alone",
        &[(5, 31, "remove `cap`, or write `sigma` instead of `jitter`")],
    ),
    (
        "link-empty",
        &[(5, 11, "name a preset such as `link: lte-m`")],
    ),
    (
        "link-jitter-and-sigma",
        &[(5, 49, "keep `jitter` for a uniform addition, or")],
    ),
    ("link-key", &[(5, 28, "valid here: preset, latency")]),
    (
        "link-list",
        &[(5, 11, "write one preset, such as `link: lte-m`")],
    ),
    ("link-loss", &[(5, 34, "write a share from 0% to 50%")]),
    (
        "link-no-median",
        &[(5, 20, "write for example `latency: 60ms`")],
    ),
    (
        "link-no-unit",
        &[
            (5, 22, "write 60s, 60ms or 60min"),
            (5, 30, "write 2000kbps or 2000Mbps"),
            (5, 42, "write for example 250kbps or 5Mbps"),
        ],
    ),
    ("link-preset", &[(5, 11, "did you mean `lte-m`")]),
    (
        "link-preset-changed",
        &[(5, 21, "did you mean `edge-good`")],
    ),
    ("link-sigma", &[(5, 35, "write a number from 0 to 3")]),
    (
        "link-too-slow",
        &[(5, 36, "make `latency` and `jitter` at most 5min together")],
    ),
    (
        "literal-password",
        &[(12, 43, "write `\"${env:NAME}\"` and put it into that envir")],
    ),
    (
        "outage-nobody",
        &[(7, 67, "make the conditions wider, or the share larger")],
    ),
    (
        "outages",
        &[
            (11, 19, "keep `backend` or `outage`, and make the other a"),
            (12, 9, "add for example `backend: restart`, `outage: reset`"),
            (13, 21, "did you mean `blackhole`"),
            (14, 47, "did you mean `north`"),
            (15, 38, "the fault is 10s long: write a `within` of at mos"),
            (16, 31, "valid here: where, leak"),
            (17, 31, "the phase is 60s long: write a shorter `at`"),
        ],
    ),
    (
        "password-in-part",
        &[(12, 43, "write `\"${env:NAME}\"` and put it into that envir")],
    ),
    (
        "gone-clients",
        &[(4, 19, "add one of them, or remove `gone_clients`")],
    ),
    ("merge-key", &[(5, 5, "write the keys out")]),
    ("missing-key", &[(3, 5, "add `devices: …`")]),
    (
        "network-fault",
        &[(9, 42, "the network faults of this version are `outage: ")],
    ),
    (
        "no-room-for-stamp",
        &[(6, 74, "write `bytes: 32` or more, or turn it off: `obse")],
    ),
    (
        "no-such-node",
        &[(9, 70, "there are 2 nodes: write 0 to 1")],
    ),
    ("no-unit", &[(6, 60, "write 60s, 60ms or 60min")]),
    (
        "not-a-number",
        &[
            (6, 105, "write for example 0, 15 or -2.5"),
            (6, 116, "write for example 0, 15 or -2.5"),
        ],
    ),
    (
        "recovery-words",
        &[
            (8, 57, "write 500/s or 500/min"),
            (9, 5, "add `after: <the phase with the fault>`"),
            (10, 57, "write for example 2, 1.5 or 1.5x"),
            (11, 58, "write for example `at_most: 6`"),
            (11, 69, "write `after: <the phase with the fault>` instead"),
            (12, 86, "keep one of them"),
            (13, 58, "write for example `at_least: 99.9%`"),
            (14, 68, "write for example `interval: 5min`"),
            (15, 63, "write a share above 0%, such as `bad_when: 50%`"),
            (16, 63, "remove `interval`, or judge availability.interv"),
            (17, 57, "remove `bad_when`, or judge availability.bad_min"),
            (18, 80, "write `during: [<phases>]` instead of `after`"),
            (19, 60, "remove `percentile`"),
            (20, 5, "add `percentile: 99` or `statistic: mean`"),
            (21, 69, "keep one of them"),
            (22, 67, "remove `statistic`"),
        ],
    ),
    ("percentile-of-a-count", &[(11, 60, "remove `percentile`")]),
    ("placeholder", &[(6, 36, "did you mean `device`")]),
    (
        "power-on-too-long",
        &[(8, 24, "make the phase at least `for: 10s`, remove `for`")],
    ),
    (
        "power",
        &[
            (10, 18, "keep `power_cut` or `crash`, and make the other a"),
            (11, 32, "the fault is 10s long: write a `within` of at most"),
            (12, 50, "write a whole number from 1 to 1000"),
            (13, 40, "write for example 10s"),
            (14, 44, "write a `min` of at most 2s"),
            (15, 34, "did you mean `beta`"),
            (16, 37, "did you mean `north`"),
            (18, 48, "keep `rate` or `over`"),
            (19, 29, "write `power_on: { rate: 1000/s }` or"),
            (20, 25, "make the phase at least `for: 6s`"),
        ],
    ),
    ("preset", &[(5, 23, "did you mean `esp-mqtt`")]),
    (
        "public-broker",
        &[(11, 21, "it is not there to be loaded: use a broker of yo")],
    ),
    (
        "ping-timeout",
        &[(5, 45, "write at most 5s, or a longer keep_alive")],
    ),
    ("qos", &[(6, 58, "write `qos: 0`, `qos: 1` or `qos: 2`")]),
    ("recovery-word", &[(8, 56, "did you mean `recovered`")]),
    (
        "verdict-words",
        &[
            (8, 19, "write at least 10s"),
            (8, 31, "write for example 10s"),
            (10, 62, "write `is: recovered`"),
            (11, 5, "add `is: recovered`"),
            (12, 78, "instead of `during`"),
            (13, 53, "instead of `is`"),
            (14, 83, "remove `percentile`"),
            (15, 61, "write for example `at_most: 1%`"),
            (16, 82, "keep one of them"),
        ],
    ),
    (
        "same-topic",
        &[(6, 33, "put `{device}` into it: an observer follows sing")],
    ),
    (
        "sdk-backoff",
        &[
            (5, 51, "write for example 1s or 30s"),
            (8, 53, "make `cap` at least 10s"),
        ],
    ),
    (
        "second-document",
        &[(10, 1, "a scenario is one document: remove `---` and wha")],
    ),
    (
        "service-limits",
        &[
            (5, 16, "write a whole number from 1 to 1024"),
            (6, 31, "write for example 1ms, or remove the word"),
            (7, 48, "swap the two"),
            (8, 14, "write a whole number from 0 to 1000000"),
            (9, 19, "did you mean `serve`"),
        ],
    ),
    (
        "service-no-work",
        &[(4, 14, "add for example `connect: { exponential: 1ms }`")],
    ),
    (
        "service-time",
        &[
            (5, 16, "write `{ exponential: … }`"),
            (6, 25, "write 50s, 50ms or 50min"),
            (7, 16, "write a whole number from 1 to 1024"),
        ],
    ),
    (
        "service-words",
        &[
            (5, 7, "did you mean `workers`"),
            (6, 18, "did you mean `exponential`"),
            (7, 29, "add `slow_share: …`"),
        ],
    ),
    ("shares", &[(5, 27, "make them add up to 100%")]),
    (
        "step-filters",
        &[
            (6, 25, "write at least one, or remove the step"),
            (7, 66, "`#` alone at the end"),
            (8, 40, "write for example \"d/{device}\""),
        ],
    ),
    ("strict-boolean", &[(5, 23, "write `true` or `false`")]),
    (
        "syntax",
        &[(8, 3, "look here and at the line before: an open bracke")],
    ),
    (
        "tls",
        &[(11, 21, "use mqtt:// on a trusted network, or wait for th")],
    ),
    (
        "unit-misfit",
        &[
            (11, 57, "delivery.lost is a count: write for example `at_"),
            (12, 76, "write 250s, 250ms or 250min"),
            (13, 57, "write for example `at_least: 99.9%`"),
        ],
    ),
    (
        "unknown-indicator",
        &[(11, 30, "did you mean `publish.ack_latency`")],
    ),
    ("unknown-key", &[(5, 15, "did you mean `keep_alive`")]),
    ("unknown-phase", &[(11, 89, "did you mean `steady`")]),
    ("no-will", &[(9, 31, "add for example `session: { will:")]),
    (
        "wills",
        &[
            (5, 31, "write for example \"d/{device}/state\""),
            (11, 9, "give the will another payload or topic"),
            (16, 49, "will.fired is a count"),
            (17, 46, "remove `share`"),
            (18, 59, "remove `during`"),
            (19, 58, "remove `after`"),
            (20, 61, "keep `at_least: 500`"),
            (21, 5, "add `at_least: 500`"),
        ],
    ),
    ("where-cohort", &[(8, 61, "did you mean `meters`")]),
    (
        "where-nobody",
        &[(8, 51, "make the conditions wider, or the share larger")],
    ),
    (
        "wildcard-topic",
        &[(6, 45, "wildcards are for subscriptions; name the topic")],
    ),
    (
        "zero-rate",
        &[(8, 37, "write a rate above 0/s and up to 10000000/s")],
    ),
];

#[test]
fn each_error_names_line_column_and_fix() {
    for (name, mistakes) in TABLE {
        let errors = errors_of(name);
        let plain = errors.to_string();
        let heads: Vec<&str> = plain
            .lines()
            .filter(|line| !line.starts_with(' '))
            .collect();
        let fixes: Vec<&str> = plain.lines().filter(|line| line.starts_with(' ')).collect();
        assert_eq!(heads.len(), mistakes.len(), "{plain}");
        assert_eq!(errors.len(), mistakes.len(), "{plain}");
        for (index, (line, column, fix)) in mistakes.iter().enumerate() {
            let place = format!("{name}.yaml:{line}:{column}: ");
            assert!(
                heads[index].starts_with(&place),
                "{place} is not in\n{plain}"
            );
            assert!(fixes[index].contains(fix), "{fix} is not in\n{plain}");
        }
    }
}

#[test]
fn every_broken_file_has_its_picture() {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    for name in names {
        let errors = errors_of(&name);
        let picture = format!("{errors}\n\n{}", errors.render(false));
        insta::assert_snapshot!(name.as_str(), picture);
    }
}

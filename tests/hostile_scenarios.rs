//! Hostile scenario files are refused in less than a second and less than 200 MB, and secrets never
//! reach an error or a plan's debug text.

use fleetstorm::scenario::file::{self, Overrides, Secrets};
use fleetstorm::scenario::plan::{Plan, Target};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// An unoptimised build on a busy machine is slower by about a digit.
const LIMIT: Duration = if cfg!(debug_assertions) {
    Duration::from_secs(10)
} else {
    Duration::from_secs(1)
};

fn parse(text: &str, base: &Path) -> Result<Plan, String> {
    let overrides = Overrides::default();
    file::parse("hostile.yaml", text, base, &overrides, Secrets::Resolve)
        .map_err(|errors| format!("{errors}\n{errors:?}\n{}", errors.render(true)))
}

/// Highest resident memory of this process so far.
#[cfg(target_os = "linux")]
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .expect("a line of it");
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number");
    kib * 1024
}

fn repeated(head: &str, part: &str, bytes: usize) -> String {
    let mut text = head.to_owned();
    while text.len() + part.len() < bytes {
        text.push_str(part);
    }
    text
}

fn alias_bomb() -> String {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let uses = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{uses}]").expect("a String");
    }
    text
}

fn hostile() -> Vec<(&'static str, String)> {
    const MIB: usize = 1024 * 1024;
    let long = "x".repeat(500_000);
    vec![
        ("flow nesting", "[".repeat(MIB)),
        ("flow mappings", "{a: ".repeat(MIB / 4)),
        ("block nesting", "- ".repeat(MIB / 2)),
        ("alias bomb", alias_bomb()),
        ("one long value, many aliases", {
            let aliases = "*a, ".repeat(50_000);
            format!("a: &a {long}\nb: [{aliases}]\n")
        }),
        ("many values", repeated("fleet:\n", " - {}\n", MIB)),
        ("many keys", {
            let mut text = String::new();
            for key in 0..60_000 {
                writeln!(text, "k{key}: 1").expect("a String");
            }
            text
        }),
        (
            "many broken cohorts",
            repeated("name: a\nfleet:\n", " - {c: 1}\n", MIB),
        ),
        (
            "many equal names",
            repeated(
                "name: a\nphases: []\nslos:\n",
                "- {name: a, indicator: x}\n",
                MIB,
            ),
        ),
        ("one long line", format!("name: {long}")),
        ("too large by one", " ".repeat(MIB + 1)),
        ("zero bytes", "\0".repeat(1000)),
        (
            "escapes of a terminal",
            "name: \"\\e[2J\\e]0;x\\a\"\nfleet: 1\n".into(),
        ),
        ("an anchor of itself", "a: &a [*a]\n".into()),
        ("tags", "name: !!binary aGk=\n".into()),
        ("many questions to many devices", {
            let mut text = String::from(
                "name: a\nslos: []\nfleet:\n  - cohort: m\n    devices: 10000000\n    attributes: { r: { a: 50%, b: 50% } }\nphases:\n",
            );
            for phase in 0..20 {
                let value = if phase % 2 == 0 { "a" } else { "b" };
                writeln!(text, "  - {{ name: p{phase}, power_on: {{ rate: 1000000/s, where: {{ r: {value} }} }} }}").expect("a String");
            }
            text
        }),
        ("many campaigns for many devices", {
            let mut text = String::from(
                "name: a\nfleet: [{ cohort: m, devices: 1000000, update: { profile: aws_jobs } }]\nphases: [{ name: p, power_on: { rate: 1000000/s } }]\ncampaigns:\n",
            );
            let priorities = "{ priority: p, where: { share: 1% } }, ".repeat(16);
            for campaign in 0..64 {
                writeln!(text, "  - {{ campaign: c{campaign}, image: {{ version: \"{campaign}\", bytes: 1 }}, priorities: [{priorities}] }}").expect("a String");
            }
            text
        }),
        ("many values of firmware", {
            let mut text = String::from(
                "name: a\nphases: [{ name: p, power_on: { rate: 1000000/s } }]\nfleet:\n",
            );
            for cohort in 0..900 {
                writeln!(text, "  - {{ cohort: c{cohort}, devices: 1000, attributes: {{ r: {{ a: 100% }}, fw: {{ within: r, each: 1000 }} }} }}").expect("a String");
            }
            let below = "{ crash: { where: { fw: { below: \"1.0\" } } } }, ".repeat(20);
            text.replace(
                "rate: 1000000/s }",
                &format!("rate: 1000000/s }}, for: 1s, faults: [{below}]"),
            )
        }),
        ("many outages of many devices", {
            let outages = "{ outage: { reset: { where: { share: 1% } } } }, ".repeat(2_000);
            format!(
                "name: a\nfleet: [{{ cohort: m, devices: 1000000 }}]\nphases:\n  - {{ name: p, for: 1s, power_on: {{ rate: 1000000/s }}, faults: [{outages}] }}\n"
            )
        }),
    ]
}

#[test]
fn hostile_files_are_refused_quickly_and_in_little_memory() {
    for (what, text) in hostile() {
        let begin = Instant::now();
        let errors = parse(&text, Path::new(".")).expect_err(what);
        let took = begin.elapsed();
        assert!(took < LIMIT, "{what} took {took:?}");
        // Two plain and two drawn lists of at most 50 errors, none of which repeats the file.
        assert!(errors.len() < 400_000, "{what}: {} bytes", errors.len());
        assert!(
            !errors.contains("\u{1b}[2J") && !errors.contains('\u{7}'),
            "{what}: {errors}"
        );
    }
    #[cfg(target_os = "linux")]
    {
        let peak = peak_bytes();
        assert!(peak < 200_000_000, "the peak was {peak} bytes");
    }
}

#[test]
fn a_huge_file_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("huge.yaml");
    std::fs::File::create(&path)
        .and_then(|file| file.set_len(100 * 1024 * 1024))
        .expect("a sparse file");
    let begin = Instant::now();
    let errors = file::load(&path, &Overrides::default(), Secrets::Resolve).expect_err("too large");
    assert!(begin.elapsed() < LIMIT);
    assert!(
        errors.to_string().contains("104857600 bytes long"),
        "{errors}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn an_endless_file_is_not_read_to_its_end() {
    let path = Path::new("/dev/zero");
    let errors = file::load(path, &Overrides::default(), Secrets::Resolve).expect_err("endless");
    assert!(
        errors.to_string().contains("1048577 bytes long"),
        "{errors}"
    );
}

const CANARY: &str = "s3cr3t-c4n4ry";

fn with_target(target: &str) -> String {
    format!(
        "name: secrets\nfleet:\n  - cohort: m\n    devices: 2\n    telemetry: []\nphases:\n  - {{ name: ramp, power_on: {{ rate: 1/s }} }}\ntarget:\n{target}"
    )
}

#[test]
fn secrets_never_reach_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("pw"), format!("{CANARY}\n")).expect("writable");
    std::fs::write(folder.path().join("few.csv"), format!("a,{CANARY}\n")).expect("writable");
    std::fs::write(
        folder.path().join("bad.csv"),
        format!("{CANARY}\n{CANARY}\n"),
    )
    .expect("writable");
    std::fs::write(
        folder.path().join("twice.csv"),
        format!("a,{CANARY}\na,{CANARY}\n"),
    )
    .expect("writable");
    let broken = [
        format!("  brokers: {{ urls: [mqtt://h] }}\n  auth: {{ username: u, password: {CANARY} }}\n"),
        format!("  brokers: {{ urls: [mqtt://h] }}\n  auth: {{ username: u, password: '{CANARY}{{x}}' }}\n"),
        format!("  brokers: {{ urls: [mqtt://h] }}\n  auth: {{ usernam: u, password: {CANARY} }}\n"),
        format!("  brokers: {{ urls: [mqtt://h] }}\n  auth: {{ username: u, passwrd: {CANARY} }}\n"),
        format!("  brokers: {{ urls: [mqtt://h] }}\n  auth: {{ username: u, password: [{CANARY}] }}\n"),
        format!("  brokers: {{ urls: [mqtt://h] }}\n  auth: {{ username: u, password: >-\n    {CANARY}\n  }}\n"),
        format!("  brokers: {{ urls: [mqtt://h] }}\n  auth:\n    username: u\n    password: |\n      {CANARY}\n"),
        format!("  brokers: {{ urls: ['mqtt://u:{CANARY}@h'] }}\n"),
        format!("  brokers: {{ urls: ['mqtts://u:{CANARY}@h'] }}\n"),
        format!("  brokers: {{ urls: [mqtt://h] }}\n  auth: {{ password: {CANARY}\n"),
        "  brokers: { urls: [mqtt://h, x] }\n  auth: { username: u, password: '${file:pw}' }\n".into(),
        "  brokers: { urls: [mqtt://h] }\n  auth: { username: u, password: '${file:pw}${env:FLEETSTORM_NOT_SET}' }\n".into(),
        "  brokers: { urls: [mqtt://h] }\n  auth: { csv: few.csv }\n".into(),
        "  brokers: { urls: [mqtt://h] }\n  auth: { csv: bad.csv }\n".into(),
        "  brokers: { urls: [mqtt://h] }\n  auth: { csv: twice.csv }\n".into(),
    ];
    for target in broken {
        let text = with_target(&target);
        let errors = parse(&text, folder.path()).expect_err(&text);
        assert!(!errors.contains(CANARY), "{errors}");
    }
}

#[test]
fn secrets_are_read_and_never_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("pw"), format!("{CANARY}\n")).expect("writable");
    std::fs::write(
        folder.path().join("tokens.csv"),
        format!("id,token\none,{CANARY}1\ntwo,{CANARY}2\nthree,{CANARY}3\n"),
    )
    .expect("writable");
    let text = with_target(
        "  brokers: { urls: [mqtt://h] }\n  auth: { username: '{id}', password: '${file:pw}-{token}', csv: tokens.csv }\n",
    );
    let plan = parse(&text, folder.path()).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(!format!("{plan:?}").contains(CANARY));
    let Target::Brokers(brokers) = &plan.target else {
        panic!("the target is brokers");
    };
    assert_eq!(brokers.auth.tokens.len(), 2);
    assert_eq!(brokers.auth.tokens[1].0, "two");
    assert_eq!(brokers.auth.tokens[1].1.0, format!("{CANARY}2"));
    let names = fleetstorm::scenario::template::Names {
        cohort: "m",
        index_in_cohort: 1,
        index: 1,
        node: 0,
        run: 0,
        credentials: Some(("two", "t")),
    };
    let password = brokers.auth.password.as_ref().expect("there is one");
    assert_eq!(password.to_text(&names), format!("{CANARY}-t"));
}

#[test]
fn an_id_that_no_topic_may_have_is_refused_only_where_it_stands_in_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = [
        ("a", "d/{id}", true),
        ("a+b", "d/{device}", true),
        ("a+b", "d/{id}", false),
        ("a#", "d/{id}", false),
        ("a\0", "d/{id}", false),
    ];
    for (id, topic, valid) in table {
        let csv = folder.path().join("tokens.csv");
        std::fs::write(csv, format!("one,t\n{id},t\n")).expect("writable");
        for (steps, telemetry) in [
            (
                String::new(),
                format!("{{ stream: s, topic: \"{topic}\", every: 60s }}"),
            ),
            (
                format!("{{ subscribe_many: [{{ topic: \"{topic}/#\" }}] }}"),
                String::new(),
            ),
        ] {
            let text = format!(
                "name: ids\ntarget: {{ brokers: {{ urls: [mqtt://h] }}, auth: {{ csv: tokens.csv }} }}\nfleet: [{{ cohort: m, devices: 2, client: {{ client_id: \"{{id}}\" }}, on_connect: [{steps}], telemetry: [{telemetry}] }}]\nphases: [{{ name: ramp, power_on: {{ rate: 7/s }} }}]\n"
            );
            match parse(&text, folder.path()) {
                Ok(_) => assert!(valid, "{id:?} in {topic}"),
                Err(errors) => {
                    assert!(!valid, "{errors}");
                    assert!(errors.contains("the id of device 1 has a `+`"), "{errors}");
                }
            }
        }
    }
}

#[test]
fn ignored_secrets_need_not_be_there() {
    let text = with_target(
        "  brokers: { urls: [mqtt://h] }\n  auth: { username: '{id}', password: '${env:FLEETSTORM_NOT_SET}', csv: none.csv }\n",
    );
    let overrides = Overrides::default();
    file::parse(
        "s.yaml",
        &text,
        Path::new("/nowhere"),
        &overrides,
        Secrets::Ignore,
    )
    .unwrap_or_else(|errors| panic!("{errors:?}"));
    assert!(parse(&text, Path::new("/nowhere")).is_err());
}

/// What a simulation needs: no secret, but names of which no two are the same.
#[test]
fn only_the_ids_are_read_and_only_if_they_are_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let parse = |client_id: &str| {
        let text = with_target(
            "  brokers: { urls: [mqtt://h] }\n  auth: { username: '{id}', password: '${env:FLEETSTORM_NOT_SET}-{token}', csv: tokens.csv }\n",
        );
        let client = format!("    client: {{ client_id: '{client_id}' }}\n    telemetry: []");
        let text = text.replace("    telemetry: []", &client);
        let overrides = Overrides::default();
        file::parse("s.yaml", &text, folder.path(), &overrides, Secrets::Ids)
    };
    parse("{device}").unwrap_or_else(|errors| panic!("{errors:?}"));
    let missing = parse("{id}").expect_err("nothing says who they are");
    assert!(missing.to_string().contains("cannot read the credentials"));
    let rows = format!("id,token\none,{CANARY}1\ntwo,{CANARY}2\n");
    std::fs::write(folder.path().join("tokens.csv"), rows).expect("writable");
    let plan = parse("{id}").unwrap_or_else(|errors| panic!("{errors:?}"));
    let Target::Brokers(brokers) = &plan.target else {
        panic!("the target is brokers");
    };
    let read: Vec<_> = (brokers.auth.tokens.iter())
        .map(|(id, token)| (id.as_str(), token.0.as_str()))
        .collect();
    assert_eq!(read, [("one", ""), ("two", "")]);
}

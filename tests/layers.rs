//! The floors of the design as a test: reads every file under `src/` and fails on an import that
//! goes up, on a clock outside `live/clock.rs`, and on the other habits that would break a run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Modules and their floors; imports go down only.
const FLOORS: &[(&str, u8)] = &[
    ("time", 0),
    ("rng", 0),
    ("mqtt", 1),
    ("stats", 1),
    ("wire", 1),
    ("scenario", 2),
    ("device", 3),
    ("backend", 3),
    ("cloud", 3),
    ("sim", 4),
    ("live", 4),
    ("run", 5),
    ("error", 5),
    ("report", 6),
    ("search", 7),
    ("cli", 8),
    ("main", 9),
    ("lib", 9),
];

/// Imports that the floors alone would allow.
const ALSO_FORBIDDEN: &[(&str, &str)] = &[
    ("report", "sim"),
    ("report", "live"),
    ("report", "run"),
    ("report", "device"),
    ("report", "backend"),
    ("report", "cloud"),
];

/// Neighbours on one floor, of which the first may import the second.
const NEIGHBOURS: &[(&str, &str)] = &[("stats", "mqtt"), ("stats", "wire"), ("cloud", "device")];

/// Words that only the named places may use, outside of tests, and why.
const CONFINED: &[(&str, &[&str], &str)] = &[
    (
        "std::time::Instant",
        &[],
        "a clock is read in live/clock.rs only",
    ),
    ("SystemTime", &[], "a clock is read in live/clock.rs only"),
    (
        "Timestamp::now",
        &["live/clock.rs"],
        "a clock is read in live/clock.rs only",
    ),
    (
        "clock_gettime",
        &["live/clock.rs"],
        "a clock is read in live/clock.rs only",
    ),
    (
        "process::exit",
        &["main.rs"],
        "only main.rs ends the process",
    ),
    ("unbounded", &[], "every queue has a bound"),
    ("tokio", &["live/", "run/"], "tokio belongs to the drivers"),
    (
        "TcpStream",
        &["live/", "run/"],
        "sockets belong to the drivers",
    ),
    (
        "serde_saphyr",
        &["scenario/file.rs", "scenario/file/"],
        "the YAML crate is named in scenario/file only",
    ),
    (
        "hdrhistogram",
        &["stats/histogram.rs"],
        "hdrhistogram is named in stats/histogram.rs only",
    ),
    ("clap", &["cli.rs"], "clap is named in cli.rs only"),
    ("anyhow", &["cli.rs"], "anyhow is for cli.rs at most"),
    ("untagged", &[], "untagged types lose error positions"),
    ("serde(flatten", &[], "flattened types lose error positions"),
    ("#[allow", &[], "expect with a reason instead"),
    (
        "HashMap",
        &["backend/", "live/"],
        "hash order must not reach an output",
    ),
];

#[test]
fn imports_go_down_and_habits_hold() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    assert!(files.len() > 20, "the walk found the tree");
    let mut complaints = String::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a source file is readable");
        let name = path
            .strip_prefix(&src)
            .expect("below src")
            .to_string_lossy()
            .into_owned();
        for complaint in check_file(&name, &text) {
            writeln!(complaints, "{complaint}").expect("a String accepts every write");
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn a_broken_floor_is_found() {
    let cases = [
        (
            "device/mod.rs",
            "//! x\nuse crate::live::clock;\n",
            "device must not import live",
        ),
        (
            "report/mod.rs",
            "//! x\nuse crate::device::Device;\n",
            "report must not import device",
        ),
        (
            "mqtt/mod.rs",
            "//! x\nfn f() { crate::scenario::plan::x() }\n",
            "mqtt must not import scenario",
        ),
        (
            "sim/mod.rs",
            "//! x\nuse crate::{live, time};\n",
            "sim must not import live",
        ),
        (
            "device/mod.rs",
            "//! x\nlet t = std::time::Instant::now();\n",
            "a clock is read",
        ),
        (
            "report/mod.rs",
            "//! x\nstd::process::exit(1)\n",
            "only main.rs ends",
        ),
        (
            "live/worker.rs",
            "//! x\nlet c = mpsc::unbounded_channel();\n",
            "every queue has a bound",
        ),
        (
            "stats/mod.rs",
            "//! x\nuse std::collections::HashMap;\n",
            "hash order",
        ),
        ("stats/mod.rs", "use std::fmt;\n", "opens with a `//!` line"),
    ];
    for (name, text, expected) in cases {
        let complaints = check_file(name, text);
        assert!(
            complaints.iter().any(|c| c.contains(expected)),
            "{name}: {expected:?} not in {complaints:?}"
        );
    }
    let clean = [
        "//! x\nuse crate::time::Instant;\n",
        "//! x\n#[cfg(test)]\nmod tests {\n    use crate::report::x;\n}\n",
    ];
    for text in clean {
        assert_eq!(check_file("live/clock.rs", text), Vec::<String>::new());
    }
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a source folder is readable") {
        let path = entry.expect("a source folder is readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

fn check_file(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints.push(format!("{name}: a module opens with a `//!` line"));
    }
    if text.lines().count() > 800 {
        complaints.push(format!("{name}: over 800 lines"));
    }
    if name.contains("tests") || name.contains("fixture") {
        return complaints;
    }
    let from = name
        .split(['/', '.'])
        .next()
        .expect("a name has a first part");
    // Unit tests stand last in a file; what they use never runs in the program.
    let code = text.lines().take_while(|line| *line != "mod tests {");
    for (number, line) in code.enumerate() {
        let line = line.split("//").next().unwrap_or("");
        for to in imported(line)
            .into_iter()
            .filter(|to| !may_import(from, to))
        {
            complaints.push(format!(
                "{name}:{}: {from} must not import {to}",
                number + 1
            ));
        }
        for (word, places, why) in CONFINED {
            if line.contains(word) && !places.iter().any(|allowed| name.starts_with(allowed)) {
                complaints.push(format!("{name}:{}: {word}: {why}", number + 1));
            }
        }
    }
    complaints
}

/// First path segments after `crate::` in a line, also in `crate::{a, b::c}`.
fn imported(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let paths = rest
            .strip_prefix('{')
            .map_or_else(|| vec![rest], |list| list.split(',').collect());
        for path in paths {
            let word: String = path
                .trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if floor(&word).is_some() {
                found.push(word);
            }
        }
    }
    found
}

fn may_import(from: &str, to: &str) -> bool {
    if from == to {
        return true;
    }
    if ALSO_FORBIDDEN.contains(&(from, to)) {
        return false;
    }
    match (floor(from), floor(to)) {
        (Some(from_floor), Some(to_floor)) => {
            to_floor < from_floor || NEIGHBOURS.contains(&(from, to))
        }
        _ => false,
    }
}

fn floor(module: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, floor)| *floor)
}

//! From the mirror to the plan: every reference, limit and combination is checked here, and all
//! mistakes are collected.

mod actions;
mod apportion;
mod auth;
mod campaign;
mod clashes;
mod client;
mod command;
mod domains;
mod faults;
mod fleet;
mod length;
mod link;
mod phases;
mod population;
mod power;
mod probe;
mod recovery;
mod repeat;
mod rollout;
mod service;
mod slo_campaigns;
mod slo_intervals;
mod slo_wills;
mod slos;
mod store;
mod stream;
mod target;
mod text;
mod update;

use super::errors::{Problem, nearest_help};
use super::figures::{has_ids_in_topics, shows_ids};
use super::file::Secrets;
use super::located::At;
use super::mirror::File;
use super::mirror::OnOff;
use super::plan::{Observe, Plan};
use super::quantity::Time;
use super::selector::part_of;
use super::tree::{self, Kind, MAX_PROBLEMS, Node, Pruned, Span};
use crate::stats::evidence::Overrides;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// What a scenario is checked with, besides its tree.
pub(super) struct Inputs<'a> {
    /// The file's text.
    pub(super) text: &'a str,
    /// Folder that relative paths start from.
    pub(super) base: &'a Path,
    /// What the command line changes.
    pub(super) overrides: &'a Overrides,
    /// Whether secrets are read.
    pub(super) secrets: Secrets,
}

/// Seed of a scenario that names none.
const DEFAULT_SEED: u64 = 42;
/// Longest wait after the last phase if the scenario does not say.
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);
/// The JSON field of the stamp if the scenario does not say.
const DEFAULT_STAMP_FIELD: &str = "_fs";

/// Checks the tree of a scenario file.
pub(super) fn plan(mut root: Node, inputs: &Inputs<'_>) -> Result<Plan, Vec<Problem>> {
    if matches!(root.kind, Kind::Null) {
        let help = "begin with `name:`, `fleet:` and `phases:`";
        return Err(vec![Problem::without_place(
            "the file is empty",
            Some(help.into()),
        )]);
    }
    let mut cx = Checker {
        inputs,
        problems: Vec::new(),
        pruned: Pruned::default(),
        root: root.head(),
        shows_ids: false,
        has_ids_in_topics: false,
        factory_versions: 0,
    };
    let file = tree::decode::<File>(&mut root, &mut cx.pruned, &mut cx.problems);
    let plan = file.and_then(|file| cx.file(&file));
    match plan {
        Some(plan) if cx.problems.is_empty() => Ok(plan),
        Some(_) | None => {
            cx.problems.truncate(MAX_PROBLEMS);
            Err(cx.problems)
        }
    }
}

/// Collects the mistakes of one file.
struct Checker<'a> {
    inputs: &'a Inputs<'a>,
    problems: Vec<Problem>,
    pruned: Pruned,
    /// Where errors about the whole file point.
    root: Span,
    /// Devices show their ids in the credentials CSV.
    shows_ids: bool,
    /// Ids of a credentials CSV stand in topics.
    has_ids_in_topics: bool,
    /// How many of the firmware versions are of devices as they leave the factory: the first ones.
    factory_versions: usize,
}

impl Checker<'_> {
    fn error(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.problems
            .push(Problem::new(span, message, Some(help.into())));
    }

    /// An error about something absent: silent if an entry of that mapping was already refused.
    fn absent(&mut self, holder: Span, message: impl Into<String>, help: impl Into<String>) {
        if !self.pruned.inside(holder) {
            let first = self.first_line(holder);
            self.error(first, message, help);
        }
    }

    /// The part of `span` on its first line, so that a label stays short.
    fn first_line(&self, span: Span) -> Span {
        let text = self.inputs.text.get(span.start..span.end).unwrap_or("");
        let line = text.lines().next().unwrap_or("").trim_end();
        Span {
            start: span.start,
            end: span.start + line.len(),
        }
    }

    fn unknown(&mut self, what: &str, word: &At<String>, known: &[&str]) {
        let help = nearest_help(&word.value, known.iter().copied());
        self.error(word.span, format!("unknown {what} `{}`", word.value), help);
    }

    /// A name made of lower-case letters, digits, `-` and the characters of `also`.
    fn name(&mut self, name: &At<String>, also: &str) -> String {
        let good =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || also.contains(c);
        let text = &name.value;
        if text.is_empty() || text.len() > MAX_NAME || !text.chars().all(good) {
            let fixed: String = text
                .to_lowercase()
                .chars()
                .map(|c| if good(c) { c } else { '-' })
                .take(MAX_NAME)
                .collect();
            let help = if fixed.is_empty() {
                "lower-case letters, digits and `-`".into()
            } else {
                format!("lower-case letters, digits and `-`, at most {MAX_NAME}: write `{fixed}`")
            };
            self.error(name.span, format!("`{text}` is not a valid name"), help);
        }
        text.clone()
    }

    /// Reports every name that stands in the list before.
    fn unique<'n>(&mut self, what: &str, names: impl Iterator<Item = &'n At<String>>) {
        let mut before = BTreeSet::new();
        for name in names {
            if !before.insert(name.value.as_str()) {
                self.error(
                    name.span,
                    format!("there is already a {what} `{}`", name.value),
                    "give it a name of its own",
                );
            }
        }
    }

    /// A duration that must not be zero.
    fn positive(&mut self, time: Option<&At<Time>>, default: Duration) -> Duration {
        let Some(time) = time else {
            return default;
        };
        if time.value.0.is_zero() {
            self.error(
                time.span,
                "this must be longer than 0s",
                "write for example 10s",
            );
        }
        time.value.0
    }

    fn file(&mut self, file: &File) -> Option<Plan> {
        let name = match &file.name {
            Some(name) => self.name(name, ""),
            None => {
                self.absent_word("name", "add `name: …` as the first line");
                String::new()
            }
        };
        let fleet = self.fleet(file)?;
        self.shows_ids = shows_ids(&fleet.cohorts, &fleet.streams);
        self.has_ids_in_topics = has_ids_in_topics(&fleet.cohorts, &fleet.streams);
        let devices = fleet.cohorts.last().map_or(0, |c| c.first + c.devices);
        let target = self.target(file, devices);
        let observe = self.observe(file, devices);
        self.check_streams_observed(file, &fleet, &observe);
        let firmware = self.firmware(file, &fleet);
        self.check_me(file, &target);
        let mut plan = Plan {
            name,
            about: file.about.clone().unwrap_or_default(),
            seed: self
                .inputs
                .overrides
                .seed
                .or(file.seed)
                .unwrap_or(DEFAULT_SEED),
            hash: hash(self.inputs.text, self.inputs.overrides),
            target,
            cohorts: fleet.cohorts,
            streams: fleet.streams,
            observe,
            phases: Vec::new(),
            faults: Vec::new(),
            firmware,
            campaigns: Vec::new(),
            commands: Vec::new(),
            queries: Vec::new(),
            objectives: Vec::new(),
            recovery: self.recovery(file),
            drain: file.drain.map_or(DEFAULT_DRAIN, |drain| drain.0),
        };
        self.phases(file, &mut plan);
        self.operations(file, &mut plan);
        if let Some(probe) = &self.inputs.overrides.probe {
            probe::apply(probe, &mut plan);
        }
        plan.objectives = self.slos(file, &plan);
        Some(plan)
    }

    /// A top-level word is missing.
    fn absent_word(&mut self, word: &str, help: &str) {
        if !self.pruned.items_of(word) {
            self.error(self.root, format!("`{word}` is missing in the file"), help);
        }
    }

    fn observe(&mut self, file: &File, devices: u32) -> Observe {
        let observe = file.observe.as_ref();
        let share = observe.and_then(|o| o.share).map_or(1.0, |share| share.0);
        let field = observe.and_then(|o| o.field.as_ref());
        if let Some(field) = field {
            let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if field.value.is_empty()
                || field.value.len() > MAX_NAME
                || !field.value.chars().all(good)
            {
                self.error(
                    field.span,
                    format!("`{}` is not a valid field name", field.value),
                    "use letters, digits, `_` and `-`",
                );
            }
        }
        Observe {
            devices: part_of(share, devices),
            ledger: observe.and_then(|o| o.ledger) != Some(OnOff::Off),
            stamp_field: field.map_or(DEFAULT_STAMP_FIELD, |f| &f.value).to_owned(),
        }
    }
}

/// Longest name in bytes.
const MAX_NAME: usize = 64;

/// SHA-256 over the text and what the command line changes, lower-case hex.
fn hash(text: &str, overrides: &Overrides) -> String {
    let mut hasher = Sha256::new();
    hasher.update((text.len() as u64).to_be_bytes());
    hasher.update(text);
    hasher.update((overrides.targets.len() as u64).to_be_bytes());
    for target in &overrides.targets {
        hasher.update((target.len() as u64).to_be_bytes());
        hasher.update(target);
    }
    for number in [overrides.devices.map(u64::from), overrides.seed] {
        hasher.update([u8::from(number.is_some())]);
        hasher.update(number.unwrap_or(0).to_be_bytes());
    }
    // Absent, they leave the hashes of earlier runs as they were.
    if let Some(nodes) = overrides.nodes {
        hasher.update(nodes.to_be_bytes());
    }
    if let Some(probe) = overrides.probe {
        hasher.update(format!("{probe:?}"));
    }
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

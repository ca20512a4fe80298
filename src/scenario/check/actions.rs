//! The actions of phases: which campaign, command and query is set going when, and that each is.

use super::Checker;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::Plan;
use crate::scenario::tree::Span;
use std::collections::BTreeMap;
use std::time::Duration;

/// Most campaigns, commands and queries, each.
const MAX_ITEMS: usize = 64;
/// Most actions of a phase.
const MAX_ACTIONS: usize = 1_000;
/// Campaigns with their priorities and defects, commands and queries, times devices: each asks every
/// device whether it is meant. About two seconds of work.
const ASKED_MAX: u64 = 20_000_000;
/// Shortest time from one asking of a query to the next.
const ASK_EVERY_MIN: Duration = Duration::from_millis(100);

/// What an action does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Verb {
    Start,
    Pause,
    Cancel,
    Command,
    Query,
}

/// The phase that an action stands in.
#[derive(Copy, Clone)]
struct Stage {
    phase: usize,
    start: Duration,
    length: Duration,
}

/// What actions say of one campaign, command or query, besides its definition.
#[derive(Clone, Debug, Default)]
struct Set {
    /// Phase and instant at which it begins.
    begun: Option<(usize, Duration)>,
    pauses: Vec<(Duration, Duration, Span)>,
    cancel: Option<(Duration, Span)>,
}

impl Checker<'_> {
    /// Fills in campaigns, commands and queries.
    pub(super) fn operations(&mut self, file: &mirror::File, plan: &mut Plan) {
        if self.too_many(file, plan.devices()) {
            return;
        }
        let campaigns = file.campaigns.iter().flat_map(|list| &list.value);
        let commands = file.commands.iter().flat_map(|list| &list.value);
        let queries = file.queries.iter().flat_map(|list| &list.value);
        self.unique("campaign", campaigns.clone().map(|c| &c.value.campaign));
        self.unique_versions(campaigns.clone().map(|c| &c.value));
        self.unique("command", commands.clone().map(|c| &c.value.command));
        self.unique("query", queries.clone().map(|q| &q.value.query));
        for campaign in campaigns {
            let campaign = self.campaign(campaign, file, plan);
            plan.campaigns.push(campaign);
        }
        for command in commands {
            let command = self.fleet_command(command, file, plan);
            plan.commands.push(command);
        }
        for query in queries {
            let query = self.fleet_query(query, file, plan);
            plan.queries.push(query);
        }
        self.actions(file, plan);
        self.topic_clashes(file, plan);
        plan.campaigns.sort_by_key(|campaign| campaign.start);
        plan.commands.sort_by_key(|command| command.start);
        plan.queries.sort_by_key(|query| query.start);
    }

    /// A device tells the campaigns that it is offered apart by their versions.
    fn unique_versions<'f>(&mut self, campaigns: impl Iterator<Item = &'f mirror::Campaign>) {
        let mut before = BTreeMap::new();
        for campaign in campaigns {
            let version = &campaign.image.value.version;
            if let Some(other) = before.insert(&version.value, &campaign.campaign.value) {
                self.error(
                    version.span,
                    format!("the campaign `{other}` brings {} already", version.value),
                    "write a version of its own: devices tell campaigns apart by it",
                );
            }
        }
    }

    fn too_many(&mut self, file: &mirror::File, devices: u32) -> bool {
        let campaigns = file.campaigns.as_ref().map(|at| (at.span, at.value.len()));
        let commands = file.commands.as_ref().map(|at| (at.span, at.value.len()));
        let queries = file.queries.as_ref().map(|at| (at.span, at.value.len()));
        let lists = [
            ("campaigns", campaigns),
            ("commands", commands),
            ("queries", queries),
        ];
        let lists = lists
            .iter()
            .filter_map(|(word, list)| Some((word, (*list)?)));
        for (word, (span, number)) in lists.clone() {
            if number > MAX_ITEMS {
                let span = self.first_line(span);
                self.error(
                    span,
                    format!("{number} {word}"),
                    format!("at most {MAX_ITEMS}"),
                );
                return true;
            }
        }
        let of_campaigns = file.campaigns.iter().flat_map(|list| &list.value);
        let more = of_campaigns.map(|campaign| {
            campaign.value.priorities.len() + campaign.value.image.value.defects.len()
        });
        let asked =
            lists.clone().map(|(_, (_, number))| number).sum::<usize>() + more.sum::<usize>();
        let first = lists.clone().map(|(_, (span, _))| span).next();
        if let Some(span) = first.filter(|_| asked as u64 * u64::from(devices) > ASKED_MAX) {
            let span = self.first_line(span);
            self.error(
                span,
                format!("{asked} campaigns, priorities, defects, commands and queries for {devices} devices are too many"),
                format!("at most {ASKED_MAX} of both times devices"),
            );
            return true;
        }
        false
    }

    fn actions(&mut self, file: &mirror::File, plan: &mut Plan) {
        let mut campaigns = vec![Set::default(); plan.campaigns.len()];
        let mut commands = vec![Set::default(); plan.commands.len()];
        let mut queries = vec![Set::default(); plan.queries.len()];
        let phases = file.phases.iter().flat_map(|list| &list.value);
        for (index, phase) in phases.enumerate() {
            let Some(of_plan) = plan.phases.get(index) else {
                break;
            };
            let stage = Stage {
                phase: index,
                start: of_plan.start,
                length: of_plan.length,
            };
            if let Some(more) = phase.value.actions.get(MAX_ACTIONS) {
                let span = self.first_line(more.span);
                self.error(
                    span,
                    format!("more than {MAX_ACTIONS} actions"),
                    "remove some",
                );
            }
            for action in phase.value.actions.iter().take(MAX_ACTIONS) {
                let Some((verb, name)) = self.verb(action) else {
                    continue;
                };
                self.only_words_of(verb, action);
                let Some(at) = self.instant(action, stage) else {
                    continue;
                };
                match verb {
                    Verb::Start => {
                        if let Some(found) = self.named("campaign", name, plan) {
                            self.begin(&mut campaigns[found], stage, at, name, "started");
                        }
                    }
                    Verb::Pause => {
                        if let Some(found) = self.named("campaign", name, plan) {
                            self.pause(&mut campaigns[found], action, stage, at, name);
                        }
                    }
                    Verb::Cancel => {
                        if let Some(found) = self.named("campaign", name, plan) {
                            self.cancel(&mut campaigns[found], at, name);
                        }
                    }
                    Verb::Command => {
                        if let Some(found) = self.named("command", name, plan) {
                            self.begin(&mut commands[found], stage, at, name, "sent");
                        }
                    }
                    Verb::Query => {
                        if let Some(found) = self.named("query", name, plan) {
                            self.begin(&mut queries[found], stage, at, name, "asked");
                            self.ask(action, stage, at, found, plan);
                        }
                    }
                }
            }
        }
        self.settle_campaigns(file, plan, campaigns);
        self.settle_others(file, plan, &commands, &queries);
    }

    /// The one thing that an action does, and to what.
    fn verb<'f>(&mut self, action: &'f At<mirror::Action>) -> Option<(Verb, &'f At<String>)> {
        let of = &action.value;
        let words = [
            (Verb::Start, "start", &of.start),
            (Verb::Pause, "pause", &of.pause),
            (Verb::Cancel, "cancel", &of.cancel),
            (Verb::Command, "command", &of.command),
            (Verb::Query, "query", &of.query),
        ];
        let mut said = words
            .into_iter()
            .filter_map(|(verb, word, name)| Some((verb, word, name.as_ref()?)));
        match (said.next(), said.next()) {
            (Some((verb, _, name)), None) => Some((verb, name)),
            (Some((_, one, _)), Some((_, other, name))) => {
                self.error(
                    name.span,
                    "these are two actions",
                    format!("keep `{one}` or `{other}`, and make the other an action of its own"),
                );
                None
            }
            (None, _) => {
                self.absent(
                    action.span,
                    "the action is none of `start`, `pause`, `cancel`, `command` and `query`",
                    "add for example `start: …` with the name of a campaign",
                );
                None
            }
        }
    }

    /// `for` belongs to a pause or a query, `every` to a query.
    fn only_words_of(&mut self, verb: Verb, action: &At<mirror::Action>) {
        let has_length = matches!(verb, Verb::Pause | Verb::Query);
        if let Some(length) = action.value.length.as_ref().filter(|_| !has_length) {
            self.error(
                length.span,
                "this action takes no time",
                "remove `for`; it belongs to `pause` and `query`",
            );
        }
        if let Some(every) = action.value.every.as_ref().filter(|_| verb != Verb::Query) {
            self.error(
                every.span,
                "this action does not come again",
                "remove `every`; it belongs to `query`",
            );
        }
    }

    /// From T0; `None` if it is outside of its phase.
    fn instant(&mut self, action: &At<mirror::Action>, stage: Stage) -> Option<Duration> {
        let at = action.value.at.as_ref();
        let offset = at.map_or(Duration::ZERO, |at| at.value.0);
        if let Some(at) = at.filter(|_| offset >= stage.length) {
            self.error(
                at.span,
                "the action begins after the end of its phase",
                format!("the phase is {:?} long", stage.length),
            );
            return None;
        }
        Some(stage.start + offset)
    }

    /// From the action's instant to its end; to the phase's end without a `for`.
    fn end(&mut self, action: &At<mirror::Action>, stage: Stage, at: Duration) -> Duration {
        let phase_end = stage.start + stage.length;
        let Some(length) = &action.value.length else {
            return phase_end;
        };
        let end = at + self.positive(Some(length), Duration::ZERO);
        if end > phase_end {
            self.error(
                length.span,
                "the action ends after the end of its phase",
                format!(
                    "the phase is {:?} long: make it longer or `for` shorter",
                    stage.length
                ),
            );
        }
        end.min(phase_end)
    }

    /// The campaign, command or query of a name, in the order of the file.
    fn named(&mut self, what: &str, name: &At<String>, plan: &Plan) -> Option<usize> {
        let (list, known): (&str, Vec<&str>) = match what {
            "campaign" => (
                "campaigns",
                plan.campaigns.iter().map(|c| c.name.as_str()).collect(),
            ),
            "command" => (
                "commands",
                plan.commands.iter().map(|c| c.name.as_str()).collect(),
            ),
            _ => (
                "queries",
                plan.queries.iter().map(|q| q.name.as_str()).collect(),
            ),
        };
        let found = known.iter().position(|known| *known == name.value);
        if found.is_none() && !self.pruned.items_of(list) {
            if known.is_empty() {
                self.error(
                    name.span,
                    format!("unknown {what} `{}`", name.value),
                    format!("the file has no `{list}`: add it with this one"),
                );
            } else {
                self.unknown(what, name, &known);
            }
        }
        found
    }

    fn begin(&mut self, set: &mut Set, stage: Stage, at: Duration, name: &At<String>, done: &str) {
        if set.begun.is_some() {
            self.error(
                name.span,
                format!("`{}` is {done} twice", name.value),
                "remove one of the two, or define another one for it",
            );
            return;
        }
        set.begun = Some((stage.phase, at));
    }

    fn pause(
        &mut self,
        set: &mut Set,
        action: &At<mirror::Action>,
        stage: Stage,
        at: Duration,
        name: &At<String>,
    ) {
        if action.value.length.is_none() {
            self.absent(
                action.span,
                "nothing says how long the pause is",
                "add for example `for: 20s`",
            );
            return;
        }
        let end = self.end(action, stage, at);
        set.pauses.push((at, end, name.span));
    }

    fn cancel(&mut self, set: &mut Set, at: Duration, name: &At<String>) {
        if set.cancel.is_some() {
            self.error(
                name.span,
                format!("`{}` is cancelled twice", name.value),
                "remove one of the two",
            );
            return;
        }
        set.cancel = Some((at, name.span));
    }

    fn ask(
        &mut self,
        action: &At<mirror::Action>,
        stage: Stage,
        at: Duration,
        query: usize,
        plan: &mut Plan,
    ) {
        let every = action.value.every.as_ref();
        if let Some(short) = every.filter(|every| every.value.0 < ASK_EVERY_MIN) {
            self.error(
                short.span,
                "the query is asked more than ten times a second",
                "write 100ms or more",
            );
        }
        if let (Some(length), None) = (&action.value.length, every) {
            self.error(
                length.span,
                "a query that is asked once takes no time",
                "remove `for`, or add `every`",
            );
        }
        plan.queries[query].end = self.end(action, stage, at);
        plan.queries[query].every = every.map(|every| every.value.0.max(ASK_EVERY_MIN));
    }

    /// Whether a mistake elsewhere may be why something is never set going.
    fn may_be_lost(&self, plan: &Plan, file: &mirror::File) -> bool {
        let phases = file.phases.as_ref().map_or(0, |list| list.value.len());
        !self.pruned.is_empty() || plan.phases.len() < phases
    }

    fn settle_campaigns(&mut self, file: &mirror::File, plan: &mut Plan, sets: Vec<Set>) {
        let lost = self.may_be_lost(plan, file);
        let written = file.campaigns.iter().flat_map(|list| &list.value);
        for (index, (written, mut set)) in written.zip(sets).enumerate() {
            let name = &written.value.campaign;
            let Some((phase, start)) = set.begun else {
                if !lost {
                    self.error(
                        name.span,
                        format!("no phase starts the campaign `{}`", name.value),
                        format!("add `actions: [ {{ start: {} }} ]` to a phase", name.value),
                    );
                }
                continue;
            };
            set.pauses.sort_by_key(|(from, to, _)| (*from, *to));
            self.check_pauses(&set, start);
            self.check_control(written, &set);
            let campaign = &mut plan.campaigns[index];
            (campaign.phase, campaign.start) = (phase, start);
            campaign.pauses = set
                .pauses
                .iter()
                .map(|(from, to, _)| (*from, *to))
                .collect();
            campaign.cancel = set.cancel.map(|(at, _)| at);
        }
    }

    /// That pauses are apart, and that nothing stops a campaign before it has begun or after its end.
    fn check_pauses(&mut self, set: &Set, start: Duration) {
        for pair in set.pauses.windows(2) {
            let ((_, end, _), (next, _, span)) = (pair[0], pair[1]);
            if next <= end {
                self.error(
                    span,
                    "the pause begins before another one is over",
                    "make them one, or move them apart",
                );
            }
        }
        for (at, _, span) in &set.pauses {
            if *at < start {
                self.error(
                    *span,
                    "the campaign is paused before it starts",
                    "pause it later, or start it later",
                );
            }
            if set.cancel.is_some_and(|(cancel, _)| *at >= cancel) {
                self.error(
                    *span,
                    "the campaign is paused after it has been cancelled",
                    "remove the pause, or cancel later",
                );
            }
        }
        if let Some((at, span)) = set.cancel
            && at <= start
        {
            self.error(
                span,
                "the campaign is cancelled before it starts",
                "cancel it later, or do not start it",
            );
        }
    }

    /// A campaign that others run is not ours to pause or cancel.
    fn check_control(&mut self, written: &At<mirror::Campaign>, set: &Set) {
        let server = written.value.server.as_ref().map(|server| server.value);
        let control = (set.pauses.first().map(|(_, _, span)| *span))
            .or_else(|| set.cancel.map(|(_, span)| span));
        if let (Some(mirror::ServerWord::External), Some(span)) = (server, control) {
            self.error(
                span,
                "this run does not control the campaign, which has `server: external`",
                "remove the action: `start` only says when whoever runs it starts it",
            );
        }
    }

    fn settle_others(
        &mut self,
        file: &mirror::File,
        plan: &mut Plan,
        commands: &[Set],
        queries: &[Set],
    ) {
        let lost = self.may_be_lost(plan, file);
        let written = file.commands.iter().flat_map(|list| &list.value);
        for (index, (written, set)) in written.zip(commands).enumerate() {
            let name = &written.value.command;
            match set.begun {
                Some((phase, start)) => {
                    let command = &mut plan.commands[index];
                    (command.phase, command.start) = (phase, start);
                }
                None if lost => {}
                None => self.error(
                    name.span,
                    format!("no phase sends the command `{}`", name.value),
                    format!(
                        "add `actions: [ {{ command: {} }} ]` to a phase",
                        name.value
                    ),
                ),
            }
        }
        let written = file.queries.iter().flat_map(|list| &list.value);
        for (index, (written, set)) in written.zip(queries).enumerate() {
            let name = &written.value.query;
            match set.begun {
                Some((phase, start)) => {
                    let query = &mut plan.queries[index];
                    (query.phase, query.start) = (phase, start);
                }
                None if lost => {}
                None => self.error(
                    name.span,
                    format!("no phase asks the query `{}`", name.value),
                    format!("add `actions: [ {{ query: {} }} ]` to a phase", name.value),
                ),
            }
        }
    }
}

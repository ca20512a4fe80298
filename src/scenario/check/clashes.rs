//! Topics that two things would use at once: telemetry on a topic on which the operator listens for
//! state, answers or status would be taken for those.

use super::Checker;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::{Cohort, Plan};
use crate::scenario::template::{Segment, Template};
use crate::scenario::template_parse;
use crate::scenario::update::WireProfile;

/// Topics of AWS IoT that name a device, up to what follows it.
const AWS_JOBS: &str = "$aws/things/{device}/jobs/";
/// See above.
const AWS_STREAMS: &str = "$aws/things/{device}/streams/";

/// A topic that has its meaning: itself, or all that begins with it.
struct Taken {
    topic: Template,
    below: bool,
    what: &'static str,
}

impl Checker<'_> {
    /// Holds each telemetry topic against what the operator listens on, and those against each other.
    pub(super) fn topic_clashes(&mut self, file: &mirror::File, plan: &Plan) {
        let mut taken: Vec<Taken> = plan.cohorts.iter().flat_map(taken_by).collect();
        let written = file.fleet.iter().flat_map(|list| &list.value);
        for (cohort, written) in plan.cohorts.iter().zip(written.clone()) {
            if let (Some(reported), Some(at)) = (&cohort.reported, &written.value.reported) {
                self.is_free(&at.value.topic, &reported.topic, &taken);
            }
        }
        let reported = plan
            .cohorts
            .iter()
            .filter_map(|cohort| cohort.reported.as_ref());
        taken.extend(reported.map(|reported| Taken {
            topic: reported.topic.clone(),
            below: false,
            what: "reported state",
        }));
        let telemetry = written.flat_map(|cohort| &cohort.value.telemetry);
        for (stream, written) in plan.streams.iter().zip(telemetry) {
            self.is_free(&written.value.topic, &stream.topic, &taken);
        }
    }

    fn is_free(&mut self, at: &At<String>, topic: &Template, taken: &[Taken]) {
        if let Some(taken) = taken.iter().find(|taken| taken.holds(topic)) {
            self.error(
                at.span,
                format!("this topic is used for {}", taken.what),
                "write another topic",
            );
        }
    }
}

impl Taken {
    fn holds(&self, topic: &Template) -> bool {
        if topic.0.is_empty() {
            // It was refused already.
            return false;
        }
        let (ours, other) = (text(&self.topic), text(topic));
        if self.below {
            other.starts_with(&ours)
        } else {
            other == ours
        }
    }
}

/// What the devices of a cohort use for commands and updates.
fn taken_by(cohort: &Cohort) -> Vec<Taken> {
    let mut taken = Vec::new();
    let mut take = |topic: Template, below, what| {
        if !topic.0.is_empty() {
            taken.push(Taken { topic, below, what });
        }
    };
    if let Some(commands) = &cohort.commands {
        for part in ["/request/", "/response/"] {
            let mut topic = commands.topic.clone();
            topic.0.push(Segment::Literal(part.into()));
            take(topic, true, "commands");
        }
    }
    match cohort.update.as_ref().map(|update| &update.profile) {
        Some(WireProfile::AwsJobs { .. }) => {
            for topic in [AWS_JOBS, AWS_STREAMS] {
                let topic = template_parse::parse(topic, &template_parse::NAMES);
                take(
                    topic.expect("its only placeholder is known"),
                    true,
                    "updates",
                );
            }
        }
        Some(WireProfile::GenericAction(action)) => {
            take(action.action_topic.clone(), false, "updates");
            take(action.status_topic.clone(), false, "updates");
        }
        Some(WireProfile::Thingsboard { .. }) | None => {}
    }
    taken
}

/// As it is written, secrets left out.
fn text(template: &Template) -> String {
    let part = |segment: &Segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Secret(_) => String::new(),
        Segment::Device => "{device}".into(),
        Segment::Cohort => "{cohort}".into(),
        Segment::Index => "{index}".into(),
        Segment::Node => "{node}".into(),
        Segment::Run => "{run}".into(),
        Segment::Id => "{id}".into(),
        Segment::Token => "{token}".into(),
    };
    template.0.iter().map(part).collect()
}

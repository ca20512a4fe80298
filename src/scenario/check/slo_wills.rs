//! What `will.fired` asks of the fleet: wills, each known by its topic as its device's, and none that
//! its device also says itself.

use super::Checker;
use super::text::is_per_device;
use crate::scenario::located::At;
use crate::scenario::mirror::{self, IndicatorWord};
use crate::scenario::plan::{Cohort, Plan, Step, Target};
use crate::scenario::template::{Names, Template};

impl Checker<'_> {
    /// Nothing to do if no objective asks for wills.
    pub(super) fn wills_can_be_counted(
        &mut self,
        slos: &[At<mirror::Slo>],
        file: &mirror::File,
        plan: &Plan,
    ) {
        let asks = |indicator| matches!(indicator, IndicatorWord::WillFired);
        let mut indicators = slos.iter().map(|slo| &slo.value.indicator);
        let Some(indicator) = indicators.find(|indicator| asks(indicator.value)) else {
            return;
        };
        let mut any = false;
        let cohorts = file.fleet.iter().flat_map(|list| &list.value);
        for (written, cohort) in cohorts.zip(&plan.cohorts) {
            let session = written.value.session.as_ref();
            if let Some(will) = session.and_then(|session| session.will.as_ref()) {
                any = true;
                self.will_is_told_apart(will, &written.value, cohort, plan);
            }
        }
        if !any && self.pruned.is_empty() {
            self.error(
                indicator.span,
                "no device has a will",
                "add for example `session: { will: { topic: \"d/{device}/state\", payload: gone } }` to a cohort",
            );
        }
    }

    fn will_is_told_apart(
        &mut self,
        written: &mirror::Will,
        from: &mirror::Cohort,
        cohort: &Cohort,
        plan: &Plan,
    ) {
        let Some(will) = &cohort.session.will else {
            return;
        };
        if will.topic.0.is_empty() {
            // It was refused already.
            return;
        }
        if !is_per_device(&will.topic) {
            self.error(
                written.topic.span,
                "this topic does not tell whose will comes on it, so will.fired cannot count it",
                "write for example \"d/{device}/state\"",
            );
            return;
        }
        for (step, checked) in from.on_connect.iter().zip(&cohort.on_connect) {
            let Step::Publish { topic, payload, .. } = checked else {
                continue;
            };
            let same = |a: &Template, b: &Template| {
                let last = cohort.first + cohort.devices.saturating_sub(1);
                [cohort.first, last].iter().any(|&device| {
                    let names = names(plan, cohort, device);
                    a.to_text(&names) == b.to_text(&names)
                })
            };
            if same(topic, &will.topic) && same(payload, &will.payload) {
                self.error(
                    step.span,
                    "this is the same message as the will, so will.fired cannot tell them apart",
                    "give the will another payload or topic",
                );
            }
        }
    }
}

/// As a device renders its templates, but for node and run, which are the same in all of them.
fn names<'a>(plan: &'a Plan, cohort: &'a Cohort, device: u32) -> Names<'a> {
    let credentials = match &plan.target {
        Target::Embedded(_) => None,
        Target::Brokers(brokers) => brokers.auth.tokens.get(device as usize),
    };
    Names {
        cohort: &cohort.name,
        index_in_cohort: device - cohort.first,
        index: device,
        node: 0,
        run: 0,
        credentials: credentials.map(|(id, token)| (id.as_str(), token.0.as_str())),
    }
}

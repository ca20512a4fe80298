//! What the operator subscribes to, and what a message's topic says: what it is about, and whose it
//! is.
//!
//! Filters come from the cohorts' templates and profiles, with `+` where devices differ. One that another
//! covers is left away, so that a broker delivers nothing twice. On independent nodes each desk has all
//! of them; in a cluster, where every desk would receive everything, each belongs to one desk.

use super::names::{self, Base, Found};
use crate::mqtt::packet::QoS;
use crate::scenario::campaign::Server;
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::scenario::template::{Segment, Template};
use crate::scenario::update::WireProfile;
use crate::wire::{aws_jobs, aws_streams, command, thingsboard};

#[cfg(test)]
mod tests;

/// Where messages come from.
#[derive(Debug)]
pub(super) struct Routes {
    bases: Vec<(Kind, Base)>,
    filters: Vec<(String, QoS)>,
}

/// What a template of a cohort is for, in the order in which a topic is looked up.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The device reports its state.
    Reported,
    /// It answers commands.
    Commands,
    /// It says where its update stands, by a pattern.
    ActionStatus,
    /// It is a ThingsBoard device, known by its client identifier.
    Me,
    /// Its will comes here.
    Will,
}

/// What a topic says.
#[derive(Debug)]
pub(super) enum Route<'t> {
    /// A question about jobs.
    Jobs(DeviceIdx, aws_jobs::Asked<'t>),
    /// A question about a stream.
    Stream(DeviceIdx, aws_streams::Topic<'t>),
    /// On a topic of a device; the rest of it behind the template.
    Base(Kind, DeviceIdx, &'t str),
    /// A name that no device has.
    Foreign,
    /// None of ours.
    Unknown,
}

impl Routes {
    /// What the operator of `plan` has to hear.
    pub(super) fn new(plan: &Plan, run: u32) -> Self {
        let mut routes = Self {
            bases: Vec::new(),
            filters: Vec::new(),
        };
        let runs_campaigns = plan.campaigns.iter().any(|c| c.server == Server::Operator);
        for cohort in 0..plan.cohorts.len() {
            routes.add_cohort(plan, run, cohort);
            if runs_campaigns {
                routes.add_update(plan, run, cohort);
            }
        }
        routes.bases.sort_by_key(|(kind, _)| *kind);
        routes
    }

    /// The filters of desk `desk` of `desks`.
    pub(super) fn filters_of(&self, plan: &Plan, desk: u16, desks: u16) -> Vec<(String, QoS)> {
        let (step, skip) = if plan.target.is_cluster() {
            (usize::from(desks), usize::from(desk))
        } else {
            (1, 0)
        };
        let own = self.filters.iter().skip(skip).step_by(step);
        own.cloned().collect()
    }

    /// What `topic` says.
    pub(super) fn find<'t>(&self, plan: &Plan, run: u32, topic: &'t str) -> Route<'t> {
        if let Ok(asked) = aws_jobs::Asked::of_topic(topic) {
            let device = names::device_called(plan, asked.thing);
            return device.map_or(Route::Foreign, |device| Route::Jobs(device, asked));
        }
        if let Ok(stream) = aws_streams::Topic::read(topic) {
            let device = names::device_called(plan, stream.thing);
            return device.map_or(Route::Foreign, |device| Route::Stream(device, stream));
        }
        let (mut is_ours, mut is_foreign) = (false, false);
        for (kind, base) in &self.bases {
            match base.find(plan, run, topic) {
                Found::Device(device, rest) if kind.wants(rest) => {
                    return Route::Base(*kind, device, rest);
                }
                Found::Device(..) => is_ours = true,
                Found::Foreign => is_foreign = true,
                Found::Other => {}
            }
        }
        // What is foreign to one cohort may be something else of a device of another.
        if is_foreign && !is_ours {
            Route::Foreign
        } else {
            Route::Unknown
        }
    }

    fn add_cohort(&mut self, plan: &Plan, run: u32, index: usize) {
        let cohort = &plan.cohorts[index];
        if let Some(reported) = &cohort.reported {
            self.add(Kind::Reported, Base::new(plan, run, index, &reported.topic));
        }
        if let Some(commands) = &cohort.commands {
            self.add(Kind::Commands, Base::new(plan, run, index, &commands.topic));
        }
        if let Some(will) = &cohort.session.will {
            self.add(Kind::Will, Base::new(plan, run, index, &will.topic));
        }
    }

    fn add_update(&mut self, plan: &Plan, run: u32, index: usize) {
        let cohort = &plan.cohorts[index];
        let Some(update) = &cohort.update else { return };
        match &update.profile {
            WireProfile::AwsJobs { .. } => {
                for filter in aws_jobs::SERVER_SUBSCRIPTIONS {
                    self.subscribe(filter.to_owned(), QoS::AtLeastOnce);
                }
                for filter in aws_streams::SERVER_SUBSCRIPTIONS {
                    self.subscribe(filter.to_owned(), QoS::AtMostOnce);
                }
            }
            WireProfile::Thingsboard { .. } => {
                for filter in thingsboard::SERVER_SUBSCRIPTIONS {
                    // Chunks, like blocks, are asked for again by who misses them.
                    let qos = if filter.contains("/chunk/") {
                        QoS::AtMostOnce
                    } else {
                        QoS::AtLeastOnce
                    };
                    self.subscribe(filter.to_owned(), qos);
                }
                let mut me = vec![Segment::Literal("me/".into())];
                me.extend(cohort.client.client_id.0.iter().cloned());
                let base = Base::new(plan, run, index, &Template(me));
                self.bases.push((Kind::Me, base));
            }
            WireProfile::GenericAction(action) => {
                let base = Base::new(plan, run, index, &action.status_topic);
                self.add(Kind::ActionStatus, base);
            }
        }
    }

    fn add(&mut self, kind: Kind, base: Base) {
        let filter = match kind {
            Kind::Commands => command::server_subscription(base.filter()),
            Kind::Reported | Kind::ActionStatus | Kind::Me | Kind::Will => base.filter().to_owned(),
        };
        self.subscribe(filter, QoS::AtLeastOnce);
        self.bases.push((kind, base));
    }

    /// Adds a filter, unless another covers it; one that it covers goes.
    fn subscribe(&mut self, filter: String, mut qos: QoS) {
        let wide = |(known, _): &&mut (String, QoS)| names::covers(known, &filter);
        if let Some((_, known)) = self.filters.iter_mut().find(wide) {
            *known = qos.max(*known);
            return;
        }
        self.filters.retain(|(known, theirs)| {
            let is_covered = names::covers(&filter, known);
            if is_covered {
                qos = qos.max(*theirs);
            }
            !is_covered
        });
        self.filters.push((filter, qos));
    }
}

impl Kind {
    /// Whether a topic with this rest behind the template is one of its.
    fn wants(self, rest: &str) -> bool {
        match self {
            Self::Reported | Self::ActionStatus | Self::Will => rest.is_empty(),
            Self::Commands => rest.starts_with("response/"),
            Self::Me => !rest.is_empty(),
        }
    }
}

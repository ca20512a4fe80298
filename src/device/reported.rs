//! What a device reports of itself: firmware and attributes, on each connect, after each change, when
//! asked, and every so often while it is online.

use super::managed::Cx;
use super::outbox::{Letter, What};
use crate::rng::{self, Purpose};
use crate::scenario::campaign::VersionIdx;
use crate::scenario::update::Reported;
use crate::time::Instant;
use crate::wire::reported::Report;

/// A device's reports.
#[derive(Debug)]
pub(super) struct Reporting {
    /// When the next one is due; never while it is offline.
    next: Instant,
}

impl Reporting {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self {
            next: Instant::NEVER,
        }
    }

    /// When the next one is due.
    pub(super) const fn deadline(&self) -> Instant {
        self.next
    }

    /// It is online: the report of the connect, and the first of the others at a draw within their
    /// period, so that a fleet that reconnects together does not report together for ever.
    pub(super) fn online(&mut self, cx: &mut Cx<'_>, words: &Reported) {
        cx.report = true;
        self.next = words.every.map_or(Instant::NEVER, |every| {
            let seed = cx.profile.plan.seed;
            // The report is the one of this connect.
            let which = cx.now.ns();
            let draw = rng::unit(seed, cx.id.into(), Purpose::ReportPhase, which);
            cx.now.after(every.mul_f64(draw))
        });
    }

    /// It is offline.
    pub(super) const fn offline(&mut self) {
        self.next = Instant::NEVER;
    }

    /// One may be due.
    pub(super) fn timeout(&mut self, cx: &mut Cx<'_>, words: &Reported) {
        if self.next > cx.now || self.next.is_never() {
            return;
        }
        cx.report = true;
        self.next = match words.every {
            // From when it was due, unless that is long ago.
            Some(every) => self.next.after(every).max(cx.now.after_ns(1)),
            None => Instant::NEVER,
        };
    }
}

/// Reports the state as it is now.
pub(super) fn report(cx: &mut Cx<'_>, words: &Reported, firmware: Option<VersionIdx>) {
    let plan = &cx.profile.plan;
    let name = plan.firmware.attribute.as_str();
    let mut attributes = Vec::new();
    if let Some(version) = firmware {
        attributes.push((name.into(), plan.firmware.text(version).into()));
    }
    for attribute in &cx.profile.cohort().attributes {
        if attribute.name != name
            && let Some(value) = plan.attribute(cx.id, &attribute.name)
        {
            attributes.push((attribute.name.as_str().into(), value.into()));
        }
    }
    let report = Report {
        at_ms: cx.since_start_ms(),
        attributes,
    };
    cx.post(Letter {
        what: What::Report,
        qos: words.qos,
        topic: words.topic.to_text(&cx.names()),
        payload: report.write(),
    });
}

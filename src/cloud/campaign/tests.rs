//! Tests of the campaign controller, and the bench they drive it on.

mod aborting;
mod books;
mod limits;
mod pacing;
mod pausing;
mod table;
mod targeting;

use super::{Campaign, Heard, Input, Output};
use crate::scenario::campaign::{
    Campaign as Definition, Firmware, Image, Order, Population, Rollout, Server, VersionIdx,
};
use crate::scenario::fixture;
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::results::{CampaignMark, Finding, Outcome, ResultRow, Witness};
use crate::time::{Duration, Instant};
use std::sync::Arc;

/// Of the fixture's versions.
const OLD: VersionIdx = 0;
const NEW: VersionIdx = 1;
const OTHER: VersionIdx = 2;

/// T0; nothing counts from zero by chance.
const T0: Instant = Instant::from_ns(3_000_000_000);

/// From T0 to the planned start.
const START: Duration = Duration::from_secs(5);

/// The instant `ms` after the planned start.
fn at_ms(ms: u64) -> Instant {
    T0.after(START).after(Duration::from_millis(ms))
}

/// Milliseconds from the planned start to `at`.
fn ms(at: Instant) -> u64 {
    at.ns_since(at_ms(0)) / 1_000_000
}

/// `devices` devices, a day, and one campaign that gives all a turn at once.
fn plan(devices: u32) -> Plan {
    let mut plan = fixture::plan(devices);
    plan.phases[1].length = Duration::from_secs(24 * 3_600);
    plan.firmware = Firmware {
        attribute: "fw".into(),
        versions: vec!["1.4.2".into(), "2.0.0".into(), "1.3.0".into()],
    };
    plan.campaigns = vec![Definition {
        name: "fw-2".into(),
        phase: 1,
        start: START,
        server: Server::Operator,
        targets: Population::default(),
        image: Image {
            version: NEW,
            bytes: 65_536,
            defects: Vec::new(),
        },
        priorities: Vec::new(),
        order: Order::ByPriority,
        rollout: Rollout::AtOnce,
        aborts: Vec::new(),
        in_progress_timeout: None,
        step_timeout: None,
        retries: 0,
        pauses: Vec::new(),
        cancel: None,
    }];
    plan
}

/// The same with something changed about the campaign.
fn plan_with(devices: u32, change: impl FnOnce(&mut Definition)) -> Plan {
    let mut plan = plan(devices);
    change(&mut plan.campaigns[0]);
    plan
}

/// A campaign and all that it has put out.
struct Bench {
    campaign: Campaign,
    now: Instant,
    out: Vec<Output>,
    /// When, whom, which execution.
    notified: Vec<(Instant, DeviceIdx, u8)>,
    cancelled: Vec<(DeviceIdx, u8)>,
    rows: Vec<ResultRow>,
    marks: Vec<(Instant, CampaignMark)>,
}

impl Bench {
    /// Begins it, with the old firmware on all devices.
    fn begin(plan: Plan) -> Self {
        Self::begin_from(plan, |_| Some(OLD))
    }

    fn begin_from(plan: Plan, firmware: impl Fn(DeviceIdx) -> Option<VersionIdx>) -> Self {
        let mut out = Vec::new();
        let campaign = Campaign::begin(&Arc::new(plan), 0, T0, at_ms(0), firmware, &mut out);
        let mut bench = Self {
            campaign,
            now: at_ms(0),
            out,
            notified: Vec::new(),
            cancelled: Vec::new(),
            rows: Vec::new(),
            marks: Vec::new(),
        };
        bench.sort();
        bench.until(0);
        bench
    }

    /// Lets time go to `ms` after the start, with all that is due until then.
    fn until(&mut self, ms: u64) {
        while self.campaign.poll_timeout() <= at_ms(ms) {
            let due = self.campaign.poll_timeout().max(self.now);
            self.step(due, Input::Timeout);
        }
        self.now = at_ms(ms);
    }

    /// Lets time go to `ms`, and then that happen.
    fn at(&mut self, ms: u64, input: Input) {
        self.until(ms);
        self.step(at_ms(ms), input);
    }

    /// The device says that at `ms`.
    fn hear(&mut self, ms: u64, device: DeviceIdx, heard: Heard) {
        self.at(ms, Input::Heard(device, heard));
    }

    fn step(&mut self, now: Instant, input: Input) {
        assert!(now >= self.now, "{now} {}", self.now);
        self.now = now;
        self.campaign.handle_input(now, input, &mut self.out);
        self.sort();
    }

    fn sort(&mut self) {
        for output in self.out.drain(..) {
            match output {
                Output::Notify { device, attempt } => {
                    self.notified.push((self.now, device, attempt));
                }
                Output::Cancel { device, attempt } => self.cancelled.push((device, attempt)),
                Output::Finding(Finding::Result(row)) => {
                    assert_eq!((row.campaign, row.witness), (0, Witness::Operator));
                    self.rows.push(row);
                }
                Output::Finding(Finding::Campaign { campaign, at, mark }) => {
                    assert_eq!(campaign, 0);
                    self.marks.push((at, mark));
                }
                Output::Finding(
                    other @ (Finding::Command(_)
                    | Finding::Query(_)
                    | Finding::CommandStarted { .. }),
                ) => panic!("a campaign does not say {other:?}"),
            }
        }
    }

    fn row(&self, device: DeviceIdx) -> Option<&ResultRow> {
        self.rows.iter().find(|row| row.device == device)
    }

    fn outcome(&self, device: DeviceIdx) -> Option<Outcome> {
        self.row(device).map(|row| row.outcome)
    }

    /// Marks with their milliseconds.
    fn marks(&self) -> Vec<(u64, CampaignMark)> {
        self.marks
            .iter()
            .map(|(at, mark)| (ms(*at), *mark))
            .collect()
    }

    fn halted(&self) -> Option<(Instant, CampaignMark)> {
        let is_halt =
            |(_, mark): &&(Instant, CampaignMark)| matches!(mark, CampaignMark::Halted { .. });
        self.marks.iter().find(is_halt).copied()
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.rows
            .iter()
            .filter(|row| row.outcome == outcome)
            .count()
    }
}

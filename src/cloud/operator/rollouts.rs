//! The campaigns of a run: when they begin, which job is a device's next one, and what words of devices
//! mean to them. The words themselves are read and written by the profiles' modules beside this one.
//!
//! Several campaigns may want the same device. It has one pending job at a time, the oldest, as on AWS; the
//! others wait, and it is told of the next one when that one ends.

use super::blocks::Blocks;
use super::fleet::Fleet;
use super::letter::Letter;
use super::mail::Step;
use super::package::Package;
use crate::cloud::campaign::{self, Campaign, Heard, Status as Stands, View};
use crate::scenario::campaign::{Campaign as Planned, Server};
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::scenario::update::WireProfile;
use crate::stats::results::{Finding, Outcome};
use crate::time::{Duration, Instant};
use crate::wire::{Stage, Status};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A device whose profile asks nothing when it connects, and that reports itself while its job has
/// waited for so long, is notified again.
const NOTIFY_AGAIN: Duration = Duration::from_secs(30);

/// What a device says so soon after the word that it reboots may have been on its way before that.
const CROSSING: Duration = Duration::from_secs(1);

/// All campaigns of the operator.
#[derive(Debug)]
pub(super) struct Rollouts {
    pub(super) plan: Arc<Plan>,
    /// T0, once it is known.
    start: Instant,
    slots: Vec<Slot>,
    /// By campaign; `None` of those that the operator does not run.
    pub(super) packages: Arc<Vec<Option<Package>>>,
    pub(super) blocks: Blocks,
    /// The chunk size of each ThingsBoard download: request, then bytes.
    pub(super) chunk_sizes: BTreeMap<DeviceIdx, (u32, u32)>,
    /// Being filled by a campaign.
    outputs: Vec<campaign::Output>,
    is_closing: bool,
}

#[derive(Debug)]
enum Slot {
    /// Not the operator's, or never begun.
    Void,
    /// Begins then.
    Waiting(Instant),
    /// Has begun.
    Running(Box<Campaign>),
}

/// A device's job: which campaign, and where it stands there.
pub(super) type Job = (usize, View);

impl Rollouts {
    /// The campaigns of `plan`, before the run. Images are made here.
    pub(super) fn new(plan: &Arc<Plan>, run: u32) -> Self {
        let campaigns = plan.campaigns.iter().enumerate();
        let package = |(index, campaign): (usize, &Planned)| match campaign.server {
            Server::Operator => Some(Package::new(plan, run, index, campaign)),
            Server::External => None,
        };
        Self {
            slots: campaigns.clone().map(|_| Slot::Void).collect(),
            packages: Arc::new(campaigns.map(package).collect()),
            plan: Arc::clone(plan),
            start: Instant::NEVER,
            blocks: Blocks::default(),
            chunk_sizes: BTreeMap::new(),
            outputs: Vec::new(),
            is_closing: false,
        }
    }

    /// T0 is `start`.
    pub(super) fn begin_at(&mut self, start: Instant) {
        self.start = start;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if self.packages[index].is_some() {
                *slot = Slot::Waiting(Campaign::planned_start(&self.plan, index, start));
            }
        }
    }

    /// When [`Rollouts::step`] is wanted.
    pub(super) fn poll_timeout(&self) -> Instant {
        let wanted = |slot: &Slot| match slot {
            Slot::Void => Instant::NEVER,
            Slot::Waiting(at) => *at,
            Slot::Running(campaign) => campaign.poll_timeout(),
        };
        self.slots
            .iter()
            .map(wanted)
            .min()
            .unwrap_or(Instant::NEVER)
    }

    /// Whether every target of all that began has its terminal state, and none is yet to begin.
    pub(super) fn is_settled(&self) -> bool {
        self.slots.iter().all(|slot| match slot {
            Slot::Void => true,
            Slot::Waiting(_) => false,
            Slot::Running(campaign) => campaign.is_complete(),
        })
    }

    /// Begins what is due, and gives campaigns their time.
    pub(super) fn step(&mut self, fleet: &Fleet, to: &mut Step<'_>) {
        for index in 0..self.slots.len() {
            match &mut self.slots[index] {
                Slot::Waiting(at) if *at <= to.now => {
                    let begun = Campaign::begin(
                        &self.plan,
                        index,
                        self.start,
                        to.now,
                        |device| fleet.firmware(device),
                        &mut self.outputs,
                    );
                    self.slots[index] = Slot::Running(Box::new(begun));
                }
                Slot::Running(campaign) if campaign.poll_timeout() <= to.now => {
                    campaign.handle_input(to.now, campaign::Input::Timeout, &mut self.outputs);
                }
                Slot::Waiting(_) | Slot::Running(_) | Slot::Void => continue,
            }
            self.forward(index, to);
        }
    }

    /// Nobody new gets a turn.
    pub(super) fn stop(&mut self, to: &mut Step<'_>) {
        for slot in &mut self.slots {
            if matches!(slot, Slot::Waiting(_)) {
                *slot = Slot::Void;
            }
        }
        self.tell_all(campaign::Input::Stop, to);
    }

    /// Every target without a row gets it.
    pub(super) fn close(&mut self, to: &mut Step<'_>) {
        self.is_closing = true;
        self.stop(to);
        self.tell_all(campaign::Input::Close, to);
    }

    /// `device` was heard of after it was not there, or reported itself, or asked for its next job. Who
    /// is under way has come back from its reboot then; who is not, and does not ask for a job after
    /// each connect, is notified again.
    pub(super) fn contact(&mut self, device: DeviceIdx, is_back: bool, to: &mut Step<'_>) {
        let asks_itself = match self.profile(device) {
            Some(WireProfile::AwsJobs { .. } | WireProfile::Thingsboard { .. }) | None => true,
            Some(WireProfile::GenericAction(_)) => false,
        };
        let Some((index, view)) = self.next_job(device) else {
            return;
        };
        let waited = to.now.since(view.updated);
        match view.status {
            Stands::Queued if !asks_itself && (is_back || waited >= NOTIFY_AGAIN) => {
                self.tell(index, campaign::Input::Contact(device), to);
            }
            Stands::InProgress if waited >= CROSSING => {
                self.tell(index, campaign::Input::Seen(device), to);
            }
            Stands::Queued | Stands::InProgress | Stands::Ended(_) => {}
        }
    }

    /// `device` says `status` about its execution in campaign `index`.
    pub(super) fn hear(
        &mut self,
        index: usize,
        device: DeviceIdx,
        status: Status,
        to: &mut Step<'_>,
    ) {
        let stands = self.execution(index, device).map(|view| view.status);
        if let Some(heard) = heard(status, stands) {
            self.tell(index, campaign::Input::Heard(device, heard), to);
        }
    }

    /// `bytes` of the image of campaign `index` were sent to `device`.
    pub(super) fn served(
        &mut self,
        index: usize,
        device: DeviceIdx,
        bytes: u32,
        to: &mut Step<'_>,
    ) {
        self.tell(index, campaign::Input::Served(device, bytes), to);
    }

    /// The execution of `device` in campaign `index`.
    pub(super) fn execution(&self, index: usize, device: DeviceIdx) -> Option<View> {
        match self.slots.get(index)? {
            Slot::Running(campaign) => campaign.execution(device),
            Slot::Void | Slot::Waiting(_) => None,
        }
    }

    /// The job of `device` that has waited or run for the longest.
    pub(super) fn next_job(&self, device: DeviceIdx) -> Option<Job> {
        let jobs = (0..self.slots.len()).filter_map(|index| {
            let view = self.execution(index, device)?;
            match view.status {
                Stands::Queued | Stands::InProgress => Some((index, view)),
                Stands::Ended(_) => None,
            }
        });
        jobs.min_by_key(|(_, view)| view.queued)
    }

    /// The package of campaign `index`.
    ///
    /// # Panics
    /// If the operator does not run it.
    pub(super) fn package(&self, index: usize) -> &Package {
        let package = self.packages[index].as_ref();
        package.expect("each campaign that the operator runs has its image")
    }

    /// The campaign whose job, stream or action has this id.
    pub(super) fn campaign_of(&self, id: &str) -> Option<usize> {
        let has_it = |package: &Option<Package>| package.as_ref().is_some_and(|p| p.id == id);
        self.packages.iter().position(has_it)
    }

    /// How `device` updates itself.
    pub(super) fn profile(&self, device: DeviceIdx) -> Option<&WireProfile> {
        let cohort = &self.plan.cohorts[self.plan.cohort_of(device)];
        cohort.update.as_ref().map(|update| &update.profile)
    }

    fn tell_all(&mut self, input: campaign::Input, to: &mut Step<'_>) {
        for index in 0..self.slots.len() {
            self.tell(index, input, to);
        }
    }

    fn tell(&mut self, index: usize, input: campaign::Input, to: &mut Step<'_>) {
        match &mut self.slots[index] {
            Slot::Running(campaign) => campaign.handle_input(to.now, input, &mut self.outputs),
            Slot::Void | Slot::Waiting(_) => return,
        }
        self.forward(index, to);
    }

    /// Passes on what campaign `index` wants done.
    fn forward(&mut self, index: usize, to: &mut Step<'_>) {
        for output in std::mem::take(&mut self.outputs) {
            match output {
                campaign::Output::Notify { device, .. } => {
                    // If an older job is still pending, it hears of this one when that ends.
                    if self.next_job(device).is_some_and(|(next, _)| next == index) {
                        to.post(device, Letter::Job(device));
                    }
                }
                // Its row says the same.
                campaign::Output::Cancel { .. } => {}
                campaign::Output::Finding(finding) => {
                    to.finding(finding);
                    if let Finding::Result(row) = finding
                        && row.offered.is_some()
                        && row.outcome != Outcome::NeverReached
                        && !self.is_closing
                    {
                        self.chunk_sizes.remove(&row.device);
                        to.post(row.device, Letter::Job(row.device));
                    }
                }
            }
        }
    }
}

/// What `status` is to a campaign in which the device's execution `stands` so; `None` = nothing that
/// it counts.
const fn heard(status: Status, stands: Option<Stands>) -> Option<Heard> {
    Some(match (status.stage, stands) {
        (Stage::Deferred, _) => return None,
        (Stage::Rejected, _) => Heard::Rejected(status.reason),
        (Stage::Downloading, None | Some(Stands::Queued)) => Heard::Started,
        (Stage::Downloading, Some(Stands::InProgress | Stands::Ended(_)))
        | (Stage::Verifying | Stage::Installing | Stage::SelfTest, _) => Heard::Progress,
        (Stage::Downloaded, _) => Heard::Downloaded,
        (Stage::Rebooting, _) => Heard::Rebooting,
        (Stage::Confirmed, _) => Heard::Confirmed,
        (Stage::RolledBack, _) => Heard::RolledBack(status.reason),
        (Stage::Failed, _) => Heard::Failed(status.reason),
    })
}

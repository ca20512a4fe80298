//! What a run appends to its directory as it goes: events and series, live and simulated alike.

use super::error::RunError;
use crate::scenario::campaign::{Campaign, Server};
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::evidence::{self, Line};
use crate::stats::recorder::Snapshot;
use crate::stats::results::{
    self, CampaignFiles, Columns, CommandRow, Finding, ResultRow, Subject, Witness,
};
use crate::stats::series::{self, PhaseMark, Second};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The files of a run directory that grow with the run.
#[derive(Debug)]
pub(super) struct Record {
    events: evidence::Writer,
    series: series::Writer,
    results: results::Writer,
    plan: Arc<Plan>,
    /// Of all cohorts, sorted.
    attributes: Vec<String>,
    /// Per campaign with priorities, of each device: the first that fits. Devices do not know theirs.
    priorities: Vec<Vec<u8>>,
}

impl Record {
    /// Creates the files in `dir`.
    ///
    /// # Errors
    /// If one cannot be written.
    pub(super) fn create(dir: &Path, plan: &Arc<Plan>) -> Result<Self, RunError> {
        let attributes = attributes(plan);
        let columns = columns(plan, &attributes);
        Ok(Self {
            events: evidence::Writer::create(dir).map_err(unwritten)?,
            series: series::Writer::create(dir, &phase_marks(plan)).map_err(unwritten)?,
            results: results::Writer::create(dir, &columns).map_err(unwritten)?,
            priorities: plan.campaigns.iter().map(|c| priorities(plan, c)).collect(),
            plan: Arc::clone(plan),
            attributes,
        })
    }

    /// Appends a line to the events. The one that tells of T0 is where the results count from.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn line(&mut self, line: &Line) -> Result<(), RunError> {
        if let Line::Started { start, .. } = line {
            self.results.begin(*start);
        }
        self.events.append(line).map_err(unwritten)
    }

    /// Appends what campaigns, commands and queries came to.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn findings(&mut self, findings: &[Finding]) -> Result<(), RunError> {
        for finding in findings {
            match *finding {
                Finding::Campaign { campaign, at, mark } => {
                    self.line(&Line::Campaign { campaign, at, mark })?;
                }
                Finding::CommandStarted {
                    command,
                    at,
                    targets,
                } => self.line(&Line::CommandStarted {
                    command,
                    at,
                    targets,
                })?,
                Finding::Result(row) => self.result(&row).map_err(unwritten)?,
                Finding::Command(row) => self.command(&row).map_err(unwritten)?,
                Finding::Query(row) => self.results.query(&row).map_err(unwritten)?,
            }
        }
        self.results.flush().map_err(unwritten)
    }

    fn result(&mut self, row: &ResultRow) -> io::Result<()> {
        let plan = Arc::clone(&self.plan);
        let campaign = plan.campaigns.get(usize::from(row.campaign));
        let index = match row.witness {
            Witness::Operator => Some(row.priority),
            Witness::Device => {
                let known = self.priorities.get(usize::from(row.campaign));
                known
                    .and_then(|known| known.get(row.device as usize))
                    .copied()
            }
        };
        let priority = campaign
            .zip(index)
            .and_then(|(campaign, index)| campaign.priorities.get(usize::from(index)));
        let priority = priority.map_or("", |priority| &priority.name);
        let from = row.from.map_or("", |version| plan.firmware.text(version));
        let (name, values) = self.describe(&plan, row.device)?;
        let subject = subject(&plan, row.device, &name, &values);
        self.results.result(row, &subject, priority, from)
    }

    fn command(&mut self, row: &CommandRow) -> io::Result<()> {
        let plan = Arc::clone(&self.plan);
        let (name, values) = self.describe(&plan, row.device)?;
        let subject = subject(&plan, row.device, &name, &values);
        self.results.command(row, &subject)
    }

    /// A device's id, and its values of the attributes.
    fn describe<'a>(
        &self,
        plan: &'a Plan,
        device: DeviceIdx,
    ) -> io::Result<(String, Vec<&'a str>)> {
        if device >= plan.devices() {
            return Err(io::Error::other(format!(
                "device {device} is not in the fleet"
            )));
        }
        let value = |name: &String| plan.attribute(device, name).unwrap_or("");
        let values = self.attributes.iter().map(value).collect();
        Ok((plan.device_id(device), values))
    }

    /// Appends second number `second`, put together from the snapshots of the workers, to the series.
    ///
    /// # Errors
    /// If it cannot be written, or a snapshot is damaged.
    pub(super) fn second(
        &mut self,
        second: u32,
        snapshots: &[(u32, Snapshot)],
    ) -> Result<Second, RunError> {
        let mut merged = Second::new(second);
        for (worker, snapshot) in snapshots {
            merged.add(*worker, snapshot).map_err(|error| {
                RunError::Internal(format!("second {second} of worker {worker}: {error}"))
            })?;
        }
        self.series.append(&merged).map_err(unwritten)?;
        Ok(merged)
    }

    /// Appends a second of a run that had no generator to watch.
    ///
    /// # Errors
    /// As [`Record::second`].
    pub(super) fn simulated_second(&mut self, snapshot: &Snapshot) -> Result<Second, RunError> {
        let mut second = Second::new(snapshot.second);
        second
            .add(0, snapshot)
            .map_err(|error| RunError::Internal(format!("second {}: {error}", snapshot.second)))?;
        second.generator.clear();
        self.series.append(&second).map_err(unwritten)?;
        Ok(second)
    }

    /// Writes all to the disk itself, at the end of the run.
    ///
    /// # Errors
    /// If that fails.
    pub(super) fn finish(self) -> Result<(), RunError> {
        self.events.finish().map_err(unwritten)?;
        self.results.finish().map_err(unwritten)?;
        self.series.finish().map_err(unwritten)
    }
}

pub(super) fn unwritten(error: io::Error) -> RunError {
    RunError::Evidence(error.to_string())
}

fn subject<'a>(
    plan: &'a Plan,
    device: DeviceIdx,
    name: &'a str,
    values: &'a [&'a str],
) -> Subject<'a> {
    Subject {
        name,
        cohort: &plan.cohorts[plan.cohort_of(device)].name,
        attributes: values,
    }
}

/// The names of the attributes of all cohorts, each once, sorted.
fn attributes(plan: &Plan) -> Vec<String> {
    let all = plan.cohorts.iter().flat_map(|cohort| &cohort.attributes);
    let names: BTreeSet<&String> = all.map(|attribute| &attribute.name).collect();
    names.into_iter().cloned().collect()
}

/// The priority of each device in `campaign`, by index; none if it has none.
fn priorities(plan: &Plan, campaign: &Campaign) -> Vec<u8> {
    let none = u8::try_from(campaign.priorities.len()).expect("the file's limit is 16");
    if none == 0 {
        return Vec::new();
    }
    let mut known = vec![none; plan.devices() as usize];
    for (index, priority) in (0..none).zip(&campaign.priorities).rev() {
        for device in priority.who.members(plan) {
            known[device as usize] = index;
        }
    }
    known
}

fn columns(plan: &Plan, attributes: &[String]) -> Columns {
    let campaigns = plan.campaigns.iter().map(|campaign| CampaignFiles {
        name: campaign.name.clone(),
        has_operator: campaign.server == Server::Operator,
    });
    Columns {
        attributes: attributes.to_vec(),
        campaigns: campaigns.collect(),
        commands: plan.commands.iter().map(|c| c.name.clone()).collect(),
        queries: plan.queries.iter().map(|q| q.name.clone()).collect(),
    }
}

fn phase_marks(plan: &Plan) -> Vec<PhaseMark> {
    plan.phases
        .iter()
        .map(|phase| PhaseMark {
            name: phase.name.clone(),
            end: phase.start + phase.length,
        })
        .collect()
}

#[cfg(test)]
mod tests;

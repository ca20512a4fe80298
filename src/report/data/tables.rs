//! The tables of campaigns, commands and queries, with names for indices again.

use super::RunData;
use crate::scenario::campaign::Server;
use crate::scenario::plan::Plan;
use crate::stats::results::{
    self, CommandRow, Finding, QueryRow, ResultLine, ResultRow, Table, Witness,
};
use crate::time::{Duration, Instant};
use std::path::Path;

/// Reads all tables that the plan has; a run that never started has no rows.
///
/// # Errors
/// A sentence, if a table is missing or damaged, or speaks of what the plan does not have.
pub(super) fn read(dir: &Path, run: &mut RunData) -> Result<(), String> {
    let start = run
        .started
        .as_ref()
        .map_or(Instant::ZERO, |(start, _)| *start);
    let mut found = Vec::new();
    for (index, campaign) in (0..).zip(&run.plan.campaigns) {
        let witnesses = match campaign.server {
            Server::Operator => &[Witness::Operator, Witness::Device][..],
            Server::External => &[Witness::Device],
        };
        for witness in witnesses {
            let table = results::read_results(dir, &campaign.name, *witness);
            for line in taken(table, &mut run.notes)? {
                let row = result(&run.plan, index, *witness, &line, start);
                let row = row.ok_or_else(|| {
                    let device = &line.who.name;
                    format!(
                        "the results of {} name what the scenario has not: {device}",
                        campaign.name
                    )
                })?;
                found.push(Finding::Result(row));
            }
        }
    }
    for (index, command) in (0..).zip(&run.plan.commands) {
        let table = results::read_commands(dir, &command.name);
        for line in taken(table, &mut run.notes)? {
            let at = |since: Option<Duration>| since.map(|since| start.after(since));
            found.push(Finding::Command(CommandRow {
                command: index,
                device: line.who.device,
                outcome: line.outcome,
                attempts: line.attempts,
                was_offline: line.was_offline,
                intended: at(line.intended),
                sent: at(line.sent),
                answered: at(line.answered),
                answers: line.answers,
            }));
        }
    }
    if !run.plan.queries.is_empty() {
        for line in taken(results::read_queries(dir), &mut run.notes)? {
            let query = run.plan.queries.iter().position(|q| *q.name == *line.query);
            let query = query.and_then(|query| u16::try_from(query).ok());
            let query = query.ok_or_else(|| format!("the scenario has no query {}", line.query))?;
            found.push(Finding::Query(QueryRow {
                query,
                intended: start.after(line.intended),
                answered: start.after(line.answered),
                matched: line.matched,
                unknown: line.unknown,
                asked: line.asked,
                silent: line.silent,
                age_p50_us: line.age_p50_us,
                age_p99_us: line.age_p99_us,
                age_max_us: line.age_max_us,
            }));
        }
    }
    for finding in found {
        run.findings.take(finding);
    }
    Ok(())
}

fn taken<T>(
    table: Result<Table<T>, results::ResultsError>,
    notes: &mut Vec<String>,
) -> Result<Vec<T>, String> {
    let table = table.map_err(|error| error.to_string())?;
    notes.extend(table.warning);
    Ok(table.rows)
}

/// `None` if it names a priority or a firmware that the plan does not have.
fn result(
    plan: &Plan,
    index: u16,
    witness: Witness,
    line: &ResultLine,
    start: Instant,
) -> Option<ResultRow> {
    let priorities = &plan.campaigns.get(usize::from(index))?.priorities;
    let priority = match &*line.priority {
        "" => priorities.len(),
        name => priorities.iter().position(|p| p.name == name)?,
    };
    let from = match &*line.from {
        "" => None,
        text => Some(plan.firmware.index(text)?),
    };
    let at = |since: Option<Duration>| since.map(|since| start.after(since));
    Some(ResultRow {
        campaign: index,
        witness,
        device: line.who.device,
        from,
        priority: u8::try_from(priority).ok()?,
        outcome: line.outcome,
        reason: line.reason,
        attempts: line.attempts,
        bytes: line.bytes,
        offered: at(line.offered),
        started: at(line.started),
        downloaded: at(line.downloaded),
        rebooted: at(line.rebooted),
        finished: start.after(line.finished),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::findings::Findings;
    use crate::report::fixture::campaign::{at_ms, campaign_run};
    use crate::report::words;
    use crate::stats::results::{CampaignFiles, Columns, Subject, Writer};

    /// The tables of the fixture, written as a run writes them.
    fn written(run: &RunData) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let plan = &run.plan;
        let columns = Columns {
            attributes: vec!["fw".to_owned(), "hw".to_owned()],
            campaigns: (plan.campaigns.iter())
                .map(|campaign| CampaignFiles {
                    name: campaign.name.clone(),
                    has_operator: true,
                })
                .collect(),
            commands: plan.commands.iter().map(|c| c.name.clone()).collect(),
            queries: plan.queries.iter().map(|q| q.name.clone()).collect(),
        };
        let mut writer = Writer::create(dir.path(), &columns).expect("writable");
        writer.begin(at_ms(0));
        let found = &run.findings.campaigns[0];
        for row in found.operator.iter().chain(&found.devices) {
            let name = words::device(plan, row.device);
            let values = ["fw", "hw"].map(|name| plan.attribute(row.device, name).unwrap_or(""));
            let subject = Subject {
                name: &name,
                cohort: "trackers",
                attributes: &values,
            };
            let priorities = &plan.campaigns[0].priorities;
            let priority = priorities.get(usize::from(row.priority));
            let priority = priority.map_or("", |priority| priority.name.as_str());
            let from = row.from.map_or("", |from| plan.firmware.text(from));
            let wrote = writer.result(row, &subject, priority, from);
            wrote.expect("writable");
        }
        for row in &run.findings.commands[0].rows {
            let name = words::device(plan, row.device);
            let subject = Subject {
                name: &name,
                cohort: "meters",
                attributes: &["", ""],
            };
            writer.command(row, &subject).expect("writable");
        }
        for row in &run.findings.queries {
            writer.query(row).expect("writable");
        }
        writer.finish().expect("writable");
        dir
    }

    #[test]
    fn the_tables_read_back_are_the_rows() {
        let mut run = campaign_run();
        run.findings.campaigns[0].operator[1].from = None;
        run.findings.campaigns[0].operator[2].offered = None;
        let dir = written(&run);
        let mut back = campaign_run();
        back.findings = Findings::of(&back.plan);
        read(dir.path(), &mut back).expect("undamaged");
        let (found, made) = (&back.findings.campaigns[0], &run.findings.campaigns[0]);
        assert!(found.operator == made.operator && found.devices == made.devices);
        assert!(back.findings.commands[0].rows == run.findings.commands[0].rows);
        assert!(back.findings.queries == run.findings.queries);
        assert_eq!(back.notes, run.notes);
    }

    #[test]
    fn a_table_that_is_missing_damaged_or_of_another_plan_is_said() {
        let run = campaign_run();
        let file = "results-fw-2.csv";
        let read_after = |change: &dyn Fn(&Path, &mut RunData)| {
            let dir = written(&run);
            let mut back = campaign_run();
            change(dir.path(), &mut back);
            read(dir.path(), &mut back).map(|()| back.notes.join("; "))
        };
        let edit = |dir: &Path, from: &str, to: &str| {
            let path = dir.join(file);
            let text = std::fs::read_to_string(&path).expect("readable");
            std::fs::write(&path, text.replacen(from, to, 1)).expect("writable");
        };
        let gone = read_after(&|dir, _| std::fs::remove_file(dir.join(file)).expect("there"));
        assert!(gone.is_err_and(|error| error.contains(file)));
        let damaged = read_after(&|dir, _| edit(dir, "rolled_back", "rolled_over"));
        assert!(damaged.is_err_and(|error| error.contains(file) && error.contains("line 2")));
        let other = read_after(&|_, run| run.plan.firmware.versions[0] = "1.4.1".to_owned());
        assert!(other.is_err_and(|error| error.contains("fw-2 name what the scenario has not")));
        let other = read_after(&|_, run| run.plan.queries[0].name = "other".to_owned());
        assert!(other.is_err_and(|error| error.contains("no query old-firmware")));
        // A torn last line is left out, and said.
        let torn = read_after(&|dir, _| {
            let path = dir.join(file);
            let text = std::fs::read_to_string(&path).expect("readable");
            std::fs::write(&path, &text[..text.len() - 9]).expect("writable");
        });
        assert!(torn.is_ok_and(|notes| notes.contains(file)));
    }
}

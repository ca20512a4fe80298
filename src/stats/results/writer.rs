//! Writes the rows of a run as it goes: append-only, handed to the operating system after each call
//! of [`Writer::flush`], so that a killed run keeps whole rows. The caller brings the names.

use super::table::{self, COMMAND, QUERY, RESULT};
use super::{CommandRow, QueryRow, ResultRow, Witness};
use crate::time::Instant;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Name of the file of all queries.
pub(super) const QUERIES: &str = "queries.csv";

/// What the files are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Names of the attributes that get a column each, in this order.
    pub attributes: Vec<String>,
    /// By index.
    pub campaigns: Vec<CampaignFiles>,
    /// Names of commands, by index.
    pub commands: Vec<String>,
    /// Names of queries, by index; without one there is no file of them.
    pub queries: Vec<String>,
}

/// What files a campaign has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignFiles {
    /// Its name.
    pub name: String,
    /// Whether an operator of the run speaks of it, too; devices always do.
    pub has_operator: bool,
}

/// A device, in the words of its row.
#[derive(Copy, Clone, Debug)]
pub struct Subject<'a> {
    /// Its id.
    pub name: &'a str,
    /// Its cohort.
    pub cohort: &'a str,
    /// Its values of [`Columns::attributes`], as many, in their order; empty = it has none.
    pub attributes: &'a [&'a str],
}

/// Writes the rows of a run.
#[derive(Debug)]
pub struct Writer {
    attributes: usize,
    queries: Vec<String>,
    /// T0, once it is known.
    start: Option<Instant>,
    campaigns: Vec<Witnesses>,
    commands: Vec<BufWriter<File>>,
    query_file: Option<BufWriter<File>>,
}

/// Who speaks of a campaign.
#[derive(Debug)]
struct Witnesses {
    operator: Option<BufWriter<File>>,
    devices: BufWriter<File>,
}

impl Writer {
    /// Creates all files in `dir`, which must exist, and writes their headers, so that what cannot
    /// be written is known before the load starts, and no file says that nothing happened by not
    /// being there.
    ///
    /// # Errors
    /// If a file exists already, cannot be created or cannot be written.
    pub fn create(dir: &Path, columns: &Columns) -> io::Result<Self> {
        let of_devices = table::header(&columns.attributes, RESULT);
        let mut campaigns = Vec::with_capacity(columns.campaigns.len());
        for CampaignFiles { name, has_operator } in &columns.campaigns {
            let new = |witness| new_file(&dir.join(results_name(name, witness)), &of_devices);
            let operator = match has_operator {
                true => Some(new(Witness::Operator)?),
                false => None,
            };
            let devices = new(Witness::Device)?;
            campaigns.push(Witnesses { operator, devices });
        }
        let of_commands = table::header(&columns.attributes, COMMAND);
        let commands = columns.commands.iter();
        let commands: io::Result<_> = commands
            .map(|name| new_file(&dir.join(command_name(name)), &of_commands))
            .collect();
        let query_file = match columns.queries.is_empty() {
            true => None,
            false => Some(new_file(&dir.join(QUERIES), &format!("{QUERY}\n"))?),
        };
        let mut writer = Self {
            attributes: columns.attributes.len(),
            queries: columns.queries.clone(),
            start: None,
            campaigns,
            commands: commands?,
            query_file,
        };
        writer.flush()?;
        Ok(writer)
    }

    /// T0 is known: what is written counts from there.
    pub const fn begin(&mut self, start: Instant) {
        self.start = Some(start);
    }

    /// Writes a row of a campaign. `priority` is empty if the device is in none, `from` if its
    /// firmware is not known.
    ///
    /// # Errors
    /// If it cannot be written, is of a campaign or a witness that has no file, names another number
    /// of attributes than there are columns, or comes before T0 is known.
    pub fn result(
        &mut self,
        row: &ResultRow,
        subject: &Subject<'_>,
        priority: &str,
        from: &str,
    ) -> io::Result<()> {
        let start = self.check(Some(subject))?;
        let files = self.campaigns.get_mut(usize::from(row.campaign));
        let file = match row.witness {
            Witness::Operator => files.and_then(|files| files.operator.as_mut()),
            Witness::Device => files.map(|files| &mut files.devices),
        };
        let line = table::result_line(row, subject, priority, from, start);
        write(file, &line)
    }

    /// Writes a row of a command.
    ///
    /// # Errors
    /// As [`Writer::result`].
    pub fn command(&mut self, row: &CommandRow, subject: &Subject<'_>) -> io::Result<()> {
        let start = self.check(Some(subject))?;
        let line = table::command_line(row, subject, start);
        write(self.commands.get_mut(usize::from(row.command)), &line)
    }

    /// Writes an answer of a query.
    ///
    /// # Errors
    /// As [`Writer::result`].
    pub fn query(&mut self, row: &QueryRow) -> io::Result<()> {
        let start = self.check(None)?;
        let name = self.queries.get(usize::from(row.query));
        let line = name.map(|name| table::query_line(row, name, start));
        write(self.query_file.as_mut(), &line.ok_or_else(no_file)?)
    }

    /// Hands what was written to the operating system.
    ///
    /// # Errors
    /// If that fails; the run's evidence is then incomplete.
    pub fn flush(&mut self) -> io::Result<()> {
        self.files().try_for_each(Write::flush)
    }

    /// Writes all to the disk itself. To be called once, at the end.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        for file in self.files() {
            file.get_ref().sync_all()?;
        }
        Ok(())
    }

    fn files(&mut self) -> impl Iterator<Item = &mut BufWriter<File>> {
        let campaigns = self.campaigns.iter_mut();
        campaigns
            .flat_map(|files| files.operator.iter_mut().chain([&mut files.devices]))
            .chain(&mut self.commands)
            .chain(&mut self.query_file)
    }

    /// T0, if a row about `subject` may be written.
    fn check(&self, subject: Option<&Subject<'_>>) -> io::Result<Instant> {
        if subject.is_some_and(|subject| subject.attributes.len() != self.attributes) {
            return Err(io::Error::other("a row with other attributes than columns"));
        }
        let too_early = || io::Error::other("a row of before T0");
        self.start.ok_or_else(too_early)
    }
}

/// Name of the file of a campaign's rows.
pub(super) fn results_name(campaign: &str, witness: Witness) -> String {
    match witness {
        Witness::Operator => format!("results-{campaign}.csv"),
        Witness::Device => format!("device-results-{campaign}.csv"),
    }
}

/// Name of the file of a command's rows.
pub(super) fn command_name(command: &str) -> String {
    format!("command-{command}.csv")
}

fn new_file(path: &Path, header: &str) -> io::Result<BufWriter<File>> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    let mut file = File::create_new(path).map(BufWriter::new).map_err(named)?;
    file.write_all(header.as_bytes()).map_err(named)?;
    Ok(file)
}

fn write(file: Option<&mut BufWriter<File>>, line: &str) -> io::Result<()> {
    file.ok_or_else(no_file)?.write_all(line.as_bytes())
}

fn no_file() -> io::Error {
    io::Error::other("a row of something that the plan does not have")
}

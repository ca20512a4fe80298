//! Reads the rows of a run directory back, also one whose run was killed.

use super::Witness;
use super::table::{
    COMMAND, CommandLine, QUERY, QueryLine, RESULT, ResultLine, Words, parse_command, parse_header,
    parse_query, parse_result,
};
use super::writer::{QUERIES, command_name, results_name};
use crate::stats::lines::{LineError, read_lines};
use std::path::{Path, PathBuf};

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table<T> {
    /// Names of the attributes of [`Who`](super::Who), in their order; none of queries.
    pub attributes: Vec<String>,
    /// In the order of writing.
    pub rows: Vec<T>,
    /// Sentence for people, if the last line was torn and is left out.
    pub warning: Option<String>,
}

/// Reads what `witness` says of a campaign.
///
/// # Errors
/// If the file is missing, or holds, before its last line, a line that was not written by
/// [`Writer`](super::Writer). A bad last line is torn: it is left out with a warning.
pub fn read_results(
    dir: &Path,
    campaign: &str,
    witness: Witness,
) -> Result<Table<ResultLine>, ResultsError> {
    let path = dir.join(results_name(campaign, witness));
    let header = |line: &str| parse_header(line, RESULT);
    read(path, "results", header, parse_result)
}

/// Reads the rows of a command.
///
/// # Errors
/// As [`read_results`].
pub fn read_commands(dir: &Path, command: &str) -> Result<Table<CommandLine>, ResultsError> {
    let path = dir.join(command_name(command));
    let header = |line: &str| parse_header(line, COMMAND);
    read(path, "a command's results", header, parse_command)
}

/// Reads the answers of all queries.
///
/// # Errors
/// As [`read_results`].
pub fn read_queries(dir: &Path) -> Result<Table<QueryLine>, ResultsError> {
    let header = |line: &str| (line == QUERY).then(Vec::new);
    let row = |line: &str, _, words: &mut Words| parse_query(line, words);
    read(dir.join(QUERIES), "queries", header, row)
}

fn read<T>(
    path: PathBuf,
    of: &'static str,
    header: impl Fn(&str) -> Option<Vec<String>>,
    row: impl Fn(&str, usize, &mut Words) -> Option<T>,
) -> Result<Table<T>, ResultsError> {
    let mut words = Words::default();
    let mut attributes = None;
    let mut rows = Vec::new();
    let warning = read_lines(&path, |number, line| {
        let good = match &attributes {
            None => header(line).map(|found| attributes = Some(found)),
            Some(known) => row(line, known.len(), &mut words).map(|row| rows.push(row)),
        };
        good.ok_or_else(|| ResultsError::BadLine {
            path: path.display().to_string(),
            line: number,
            of,
        })
    })?;
    Ok(Table {
        attributes: attributes.unwrap_or_default(),
        rows,
        warning,
    })
}

/// Why a run directory's results could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// A file cannot be read as lines.
    #[error(transparent)]
    Lines(#[from] LineError),
    /// A line before the last one is damaged.
    #[error("{path}, line {line}: not a line of {of}")]
    BadLine {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What the file should be.
        of: &'static str,
    },
}

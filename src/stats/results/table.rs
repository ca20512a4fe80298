//! Rows as lines of text and back: the columns of `results-*.csv`, `device-results-*.csv`,
//! `command-*.csv` and `queries.csv`. Instants are seconds since T0, cut to whole microseconds;
//! an empty cell is "never" of an instant, and "none" of a text.

use super::writer::Subject;
use super::{CommandOutcome, CommandRow, Outcome, QueryRow, ResultRow};
use crate::time::{Duration, Instant};
use crate::wire::Reason;
use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};
use std::str::FromStr;
use std::sync::Arc;

/// In front of an attribute's name in a header, so that no attribute is taken for another column.
const ATTRIBUTE: &str = "attr.";

/// Columns before those of the attributes.
const BEFORE: &str = "device,name,cohort";

/// Columns of a result behind those of the attributes.
pub(super) const RESULT: &str = "priority,from,outcome,reason,attempts,bytes,offered_s,started_s,\
                                 downloaded_s,rebooted_s,finished_s";

/// Columns of a command's row behind those of the attributes.
pub(super) const COMMAND: &str =
    "outcome,attempts,was_offline,intended_s,sent_s,answered_s,answers";

/// All columns of `queries.csv`.
pub(super) const QUERY: &str = "query,intended_s,answered_s,matched,unknown,asked,silent,\
                                age_p50_us,age_p99_us,age_max_us";

/// A device, as the files name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Index in the fleet.
    pub device: u32,
    /// Its id.
    pub name: Box<str>,
    /// Its cohort.
    pub cohort: Arc<str>,
    /// Its values of the table's attributes, in their order; empty = it has none.
    pub attributes: Vec<Arc<str>>,
}

/// A line of `results-<campaign>.csv` or `device-results-<campaign>.csv`: a
/// [`ResultRow`] in words. Times count from T0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultLine {
    /// Which device.
    pub who: Who,
    /// Its priority in the campaign; empty = in none.
    pub priority: Arc<str>,
    /// The firmware it had; empty = not known.
    pub from: Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// Executions begun.
    pub attempts: u8,
    /// Image bytes.
    pub bytes: u64,
    /// See [`ResultRow::offered`].
    pub offered: Option<Duration>,
    /// See [`ResultRow::started`].
    pub started: Option<Duration>,
    /// See [`ResultRow::downloaded`].
    pub downloaded: Option<Duration>,
    /// See [`ResultRow::rebooted`].
    pub rebooted: Option<Duration>,
    /// See [`ResultRow::finished`].
    pub finished: Duration,
}

/// A line of `command-<name>.csv`: a [`CommandRow`] in words. Times count from T0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// Which device.
    pub who: Who,
    /// How it ended.
    pub outcome: CommandOutcome,
    /// Requests written.
    pub attempts: u8,
    /// Whether the device was not connected when the command began.
    pub was_offline: bool,
    /// See [`CommandRow::intended`].
    pub intended: Option<Duration>,
    /// See [`CommandRow::sent`].
    pub sent: Option<Duration>,
    /// See [`CommandRow::answered`].
    pub answered: Option<Duration>,
    /// Answers that came.
    pub answers: u8,
}

/// A line of `queries.csv`: a [`QueryRow`] in words. Times count from T0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryLine {
    /// The query's name.
    pub query: Arc<str>,
    /// See [`QueryRow::intended`].
    pub intended: Duration,
    /// See [`QueryRow::answered`].
    pub answered: Duration,
    /// See [`QueryRow::matched`].
    pub matched: u32,
    /// See [`QueryRow::unknown`].
    pub unknown: u32,
    /// See [`QueryRow::asked`].
    pub asked: u32,
    /// See [`QueryRow::silent`].
    pub silent: u32,
    /// See [`QueryRow::age_p50_us`].
    pub age_p50_us: u64,
    /// See [`QueryRow::age_p99_us`].
    pub age_p99_us: u64,
    /// See [`QueryRow::age_max_us`].
    pub age_max_us: u64,
}

/// The header of a table of devices, with its end.
pub(super) fn header(attributes: &[String], behind: &str) -> String {
    let mut line = Text::line(BEFORE);
    for name in attributes {
        line.text(&format!("{ATTRIBUTE}{name}"));
    }
    line.raw(behind);
    line.end()
}

/// Inverse of [`header`]: the attributes.
pub(super) fn parse_header(line: &str, behind: &str) -> Option<Vec<String>> {
    let cells = split(line)?;
    let before: Vec<&str> = BEFORE.split(',').collect();
    let behind: Vec<&str> = behind.split(',').collect();
    let middle = cells.len().checked_sub(before.len() + behind.len())?;
    let (first, rest) = cells.split_at(before.len());
    let (attributes, last) = rest.split_at(middle);
    (first == before && last == behind).then_some(())?;
    let name = |cell: &String| cell.strip_prefix(ATTRIBUTE).map(str::to_owned);
    attributes.iter().map(name).collect()
}

/// The line of a result, with its end.
pub(super) fn result_line(
    row: &ResultRow,
    subject: &Subject<'_>,
    priority: &str,
    from: &str,
    start: Instant,
) -> String {
    let mut line = subject_cells(row.device, subject);
    line.text(priority);
    line.text(from);
    line.raw(row.outcome.word());
    line.raw(row.reason.word());
    line.raw(row.attempts);
    line.raw(row.bytes);
    for at in [row.offered, row.started, row.downloaded, row.rebooted] {
        line.instant(at, start);
    }
    line.instant(Some(row.finished), start);
    line.end()
}

/// The line of a command's row, with its end.
pub(super) fn command_line(row: &CommandRow, subject: &Subject<'_>, start: Instant) -> String {
    let mut line = subject_cells(row.device, subject);
    line.raw(row.outcome.word());
    line.raw(row.attempts);
    line.raw(row.was_offline);
    for at in [row.intended, row.sent, row.answered] {
        line.instant(at, start);
    }
    line.raw(row.answers);
    line.end()
}

/// The line of a query's answer, with its end.
pub(super) fn query_line(row: &QueryRow, name: &str, start: Instant) -> String {
    let mut line = Text::default();
    line.text(name);
    line.instant(Some(row.intended), start);
    line.instant(Some(row.answered), start);
    for count in [row.matched, row.unknown, row.asked, row.silent] {
        line.raw(count);
    }
    for age_us in [row.age_p50_us, row.age_p99_us, row.age_max_us] {
        line.raw(age_us);
    }
    line.end()
}

/// Inverse of [`result_line`] for a table of so many attributes.
pub(super) fn parse_result(line: &str, attributes: usize, words: &mut Words) -> Option<ResultLine> {
    let mut cells = Cells::new(line)?;
    let row = ResultLine {
        who: cells.who(attributes, words)?,
        priority: cells.word(words)?,
        from: cells.word(words)?,
        outcome: Outcome::of_word(&cells.next()?)?,
        reason: Reason::of_word(&cells.next()?)?,
        attempts: cells.parse()?,
        bytes: cells.parse()?,
        offered: cells.time()?,
        started: cells.time()?,
        downloaded: cells.time()?,
        rebooted: cells.time()?,
        finished: cells.time()??,
    };
    cells.end().then_some(row)
}

/// Inverse of [`command_line`] for a table of so many attributes.
pub(super) fn parse_command(
    line: &str,
    attributes: usize,
    words: &mut Words,
) -> Option<CommandLine> {
    let mut cells = Cells::new(line)?;
    let row = CommandLine {
        who: cells.who(attributes, words)?,
        outcome: CommandOutcome::of_word(&cells.next()?)?,
        attempts: cells.parse()?,
        was_offline: cells.parse()?,
        intended: cells.time()?,
        sent: cells.time()?,
        answered: cells.time()?,
        answers: cells.parse()?,
    };
    cells.end().then_some(row)
}

/// Inverse of [`query_line`].
pub(super) fn parse_query(line: &str, words: &mut Words) -> Option<QueryLine> {
    let mut cells = Cells::new(line)?;
    let row = QueryLine {
        query: cells.word(words)?,
        intended: cells.time()??,
        answered: cells.time()??,
        matched: cells.parse()?,
        unknown: cells.parse()?,
        asked: cells.parse()?,
        silent: cells.parse()?,
        age_p50_us: cells.parse()?,
        age_p99_us: cells.parse()?,
        age_max_us: cells.parse()?,
    };
    cells.end().then_some(row)
}

fn subject_cells(device: u32, subject: &Subject<'_>) -> Text {
    let mut line = Text::default();
    line.raw(device);
    line.text(subject.name);
    line.text(subject.cohort);
    for value in subject.attributes {
        line.text(value);
    }
    line
}

/// A line being written.
#[derive(Debug, Default)]
struct Text {
    text: String,
    cells: usize,
}

impl Text {
    /// A line that begins with what is cells already.
    fn line(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            cells: 1,
        }
    }

    /// A cell, or several, that need no quotes.
    fn raw(&mut self, cell: impl Display) {
        if self.cells > 0 {
            self.text.push(',');
        }
        self.cells += 1;
        write!(self.text, "{cell}").expect("a String takes all writes");
    }

    /// A cell with any text (RFC 4180); a line break would end the line and becomes a space.
    fn text(&mut self, cell: &str) {
        match cell.contains([',', '"', '\n', '\r']) {
            false => self.raw(cell),
            true => {
                let one_line = cell.replace(['\n', '\r'], " ");
                self.raw(format_args!("\"{}\"", one_line.replace('"', "\"\"")));
            }
        }
    }

    /// Seconds since `start`.
    fn instant(&mut self, at: Option<Instant>, start: Instant) {
        match at {
            None => self.raw(""),
            Some(at) => {
                let us = at.ns_since(start) / 1_000;
                self.raw(format_args!("{}.{:06}", us / 1_000_000, us % 1_000_000));
            }
        }
    }

    fn end(mut self) -> String {
        self.text.push('\n');
        self.text
    }
}

/// Texts that come again and again, each held once.
#[derive(Debug, Default)]
pub(super) struct Words(BTreeSet<Arc<str>>);

impl Words {
    fn of(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.0.insert(Arc::clone(&new));
        new
    }
}

/// Walks the cells of a line from left to right.
struct Cells(std::vec::IntoIter<String>);

impl Cells {
    fn new(line: &str) -> Option<Self> {
        split(line).map(|cells| Self(cells.into_iter()))
    }

    fn next(&mut self) -> Option<String> {
        self.0.next()
    }

    fn parse<T: FromStr>(&mut self) -> Option<T> {
        self.next()?.parse().ok()
    }

    fn word(&mut self, words: &mut Words) -> Option<Arc<str>> {
        self.next().map(|text| words.of(&text))
    }

    /// `Some(None)` for an empty cell.
    fn time(&mut self) -> Option<Option<Duration>> {
        match &*self.next()? {
            "" => Some(None),
            cell => {
                let (seconds, us) = cell.split_once('.')?;
                (us.len() == 6).then_some(())?;
                let us: u32 = us.parse().ok()?;
                Some(Some(Duration::new(seconds.parse().ok()?, us * 1_000)))
            }
        }
    }

    fn who(&mut self, attributes: usize, words: &mut Words) -> Option<Who> {
        Some(Who {
            device: self.parse()?,
            name: self.next()?.into(),
            cohort: self.word(words)?,
            attributes: (0..attributes)
                .map(|_| self.word(words))
                .collect::<Option<_>>()?,
        })
    }

    fn end(mut self) -> bool {
        self.next().is_none()
    }
}

/// The cells of a line; `None` if its quotes do not match.
fn split(line: &str) -> Option<Vec<String>> {
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let (cell, behind) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (cell, behind) = rest.split_at(end);
                (cell.to_owned(), behind)
            }
        };
        cells.push(cell);
        match behind.strip_prefix(',') {
            Some(more) => rest = more,
            None => return behind.is_empty().then_some(cells),
        }
    }
}

/// A cell behind its opening quote, and what follows it.
fn unquote(mut rest: &str) -> Option<(String, &str)> {
    let mut cell = String::new();
    loop {
        let (before, behind) = rest.split_once('"')?;
        cell.push_str(before);
        match behind.strip_prefix('"') {
            Some(more) => {
                cell.push('"');
                rest = more;
            }
            None => return Some((cell, behind)),
        }
    }
}

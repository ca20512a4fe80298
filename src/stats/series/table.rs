//! The columns of `series.csv` and `generator.csv`, for writing and reading alike.
//!
//! `series.csv`, a line per second of the run: `second` (0 = the first after T0), `phase` (index)
//! and `phase_name`, the counters of [`Counters`](super::Counters) (counts of this second, by
//! completion), the levels of [`Gauges`](super::Gauges) at its end, and percentiles in microseconds
//! of the operations that ended in it (empty if none): `ack_p50_us`, `ack_p99_us`, `ack_p999_us` of
//! publish response times, live and replayed, and `connect_p99_us` of connection attempts. Last come
//! the counter `wasted`, the level `waiting` and the counter `replayed`: columns that came later stand
//! at the end, so that older files are still read.
//!
//! `generator.csv`, a line per second and worker: `lag_p99_us` (empty if no timer was due),
//! `timers` handled, `cpu_percent` of one core, `fds` open, `rss_bytes`, `ports` in use from the
//! busiest source address to one destination.

use super::{Counters, Gauges, GeneratorRow, Percentiles, ProcessGauges, Row};
use std::fmt::Write;
use std::str::FromStr;

/// First line of `series.csv`.
pub(super) const SERIES_HEADER: &str = "second,phase,phase_name,attempts,connects,\
attempt_failures,disconnects,planned,sent,acked,written,timed_out,failed,unsent,retransmitted,\
late_acks,seen,timers,powered,expected,connected,ack_p50_us,ack_p99_us,ack_p999_us,connect_p99_us,\
wasted,waiting,replayed";

/// Columns of the first version of `series.csv`. Those that came later stand behind them, and a file
/// may end before any of them: what it does not have is zero.
const SERIES_COLUMNS_MIN: usize = 25;

/// How many columns of [`SERIES_HEADER`] a file with this first line has; `None` if it is of another
/// table.
pub(super) fn series_columns(header: &str) -> Option<usize> {
    let rest = SERIES_HEADER.strip_prefix(header)?;
    let columns = header.split(',').count();
    (columns >= SERIES_COLUMNS_MIN && (rest.is_empty() || rest.starts_with(','))).then_some(columns)
}

/// First line of `generator.csv`.
pub(super) const GENERATOR_HEADER: &str =
    "second,worker,lag_p99_us,timers,cpu_percent,fds,rss_bytes,ports";

/// The line of `row`, with its end. Commas, quotes and line breaks in `phase_name` become spaces.
pub(super) fn series_line(row: &Row, phase_name: &str) -> String {
    let name = phase_name.replace([',', '"', '\r', '\n'], " ");
    let mut line = format!("{},{},{name}", row.second, row.phase);
    let (c, g) = (&row.counters, &row.gauges);
    let counts = [
        c.attempts,
        c.connects,
        c.attempt_failures,
        c.disconnects,
        c.planned,
        c.sent,
        c.acked,
        c.written,
        c.timed_out,
        c.failed,
        c.unsent,
        c.retransmitted,
        c.late_acks,
        c.seen,
        c.timers,
        g.powered,
        g.expected,
        g.connected,
    ];
    for count in counts {
        write!(line, ",{count}").expect("a String takes all writes");
    }
    let ack = &row.ack;
    for value in [ack.p50_us, ack.p99_us, ack.p999_us, row.connect_p99_us] {
        line.push(',');
        line.push_str(&optional(value));
    }
    writeln!(line, ",{},{},{}", c.wasted, g.waiting, c.replayed)
        .expect("a String takes all writes");
    line
}

/// Inverse of [`series_line`] for a file of so many columns ([`series_columns`]); the name is not
/// kept.
pub(super) fn parse_series(line: &str, columns: usize) -> Option<Row> {
    if line.split(',').count() != columns {
        return None;
    }
    let mut cells = Cells::new(line);
    let (second, phase) = (cells.next()?, cells.next()?);
    cells.skip()?;
    let mut row = Row {
        second,
        phase,
        counters: Counters {
            attempts: cells.next()?,
            connects: cells.next()?,
            attempt_failures: cells.next()?,
            disconnects: cells.next()?,
            planned: cells.next()?,
            sent: cells.next()?,
            acked: cells.next()?,
            written: cells.next()?,
            timed_out: cells.next()?,
            failed: cells.next()?,
            unsent: cells.next()?,
            retransmitted: cells.next()?,
            late_acks: cells.next()?,
            seen: cells.next()?,
            timers: cells.next()?,
            wasted: 0,
            replayed: 0,
        },
        gauges: Gauges {
            powered: cells.next()?,
            expected: cells.next()?,
            connected: cells.next()?,
            waiting: 0,
        },
        ack: Percentiles {
            p50_us: cells.optional()?,
            p99_us: cells.optional()?,
            p999_us: cells.optional()?,
        },
        connect_p99_us: cells.optional()?,
    };
    let later = [
        &mut row.counters.wasted,
        &mut row.gauges.waiting,
        &mut row.counters.replayed,
    ];
    for column in later.into_iter().take(columns - SERIES_COLUMNS_MIN) {
        *column = cells.next()?;
    }
    cells.end().then_some(row)
}

/// The line of `row`, with its end.
pub(super) fn generator_line(row: &GeneratorRow) -> String {
    let lag = optional(row.lag_p99_us);
    let p = &row.process;
    format!(
        "{},{},{lag},{},{},{},{},{}\n",
        row.second, row.worker, row.timers, p.cpu_percent, p.fds, p.rss_bytes, p.ports
    )
}

/// Inverse of [`generator_line`].
pub(super) fn parse_generator(line: &str) -> Option<GeneratorRow> {
    let mut cells = Cells::new(line);
    let row = GeneratorRow {
        second: cells.next()?,
        worker: cells.next()?,
        lag_p99_us: cells.optional()?,
        timers: cells.next()?,
        process: ProcessGauges {
            cpu_percent: cells.next()?,
            fds: cells.next()?,
            rss_bytes: cells.next()?,
            ports: cells.next()?,
        },
    };
    cells.end().then_some(row)
}

fn optional(value: Option<u64>) -> String {
    value.map_or_else(String::new, |v| v.to_string())
}

/// Walks the cells of a line from left to right.
struct Cells<'a>(std::str::Split<'a, char>);

impl<'a> Cells<'a> {
    fn new(line: &'a str) -> Self {
        Self(line.split(','))
    }

    fn next<T: FromStr>(&mut self) -> Option<T> {
        self.0.next()?.parse().ok()
    }

    /// `Some(None)` for an empty cell.
    fn optional(&mut self) -> Option<Option<u64>> {
        match self.0.next()? {
            "" => Some(None),
            cell => cell.parse().ok().map(Some),
        }
    }

    fn skip(&mut self) -> Option<()> {
        self.0.next().map(|_| ())
    }

    fn end(mut self) -> bool {
        self.0.next().is_none()
    }
}

//! Reads the series of a run directory back, also one whose run was killed.

use super::table::{GENERATOR_HEADER, parse_generator, parse_series, series_columns};
use super::writer::log_name;
use super::{GeneratorRow, Metric, Row};
use crate::stats::histogram::Histogram;
use crate::stats::lines::{LineError, read_lines};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::path::Path;

/// What the files of a run hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesData {
    /// A row per second, in order.
    pub rows: Vec<Row>,
    /// A row per second and worker, in the order of writing.
    pub generator: Vec<GeneratorRow>,
    /// The whole run's values by metric and phase (of the intended instant); merged, so that
    /// percentiles are of all workers and seconds.
    pub histograms: BTreeMap<(Metric, u16), Histogram>,
    /// What a reader must know, for example torn last lines. Sentences for people.
    pub warnings: Vec<String>,
}

impl SeriesData {
    /// The values of `metric` in one phase, `None` if there are none.
    pub fn histogram(&self, metric: Metric, phase: u16) -> Option<&Histogram> {
        self.histograms.get(&(metric, phase))
    }

    /// The values of `metric` in the phases that `wanted` says yes to, merged.
    pub fn merged(&self, metric: Metric, wanted: impl Fn(u16) -> bool) -> Histogram {
        let mut merged = Histogram::new();
        for ((of, phase), histogram) in &self.histograms {
            if *of == metric && wanted(*phase) {
                merged.merge(histogram);
            }
        }
        merged
    }
}

/// Reads `series.csv`, `generator.csv` and all interval logs of `dir`.
///
/// # Errors
/// If a file is missing or holds, before its last line, a line that was not written by
/// [`Writer`](super::Writer). A bad last line is torn: it is left out with a warning.
pub fn read(dir: &Path) -> Result<SeriesData, SeriesError> {
    let mut data = SeriesData::default();
    let rows = &mut data.rows;
    let series = dir.join("series.csv");
    let mut columns = None;
    let torn = read_lines(&series, |number, line| {
        let good = match (number, columns) {
            (1, _) => {
                columns = series_columns(line);
                columns.map(|_| ())
            }
            (_, Some(columns)) => parse_series(line, columns).map(|row| rows.push(row)),
            (_, None) => None,
        };
        good.ok_or_else(|| SeriesError::bad_line(&series, number, "this table"))
    })?;
    data.warnings.extend(torn);
    let generator = &mut data.generator;
    let torn = read_table(&dir.join("generator.csv"), GENERATOR_HEADER, |line| {
        parse_generator(line).map(|row| generator.push(row))
    })?;
    data.warnings.extend(torn);
    for metric in Metric::ALL {
        let path = dir.join(log_name(metric));
        if metric == Metric::FreshnessAge && !path.exists() {
            // A run of a version that did not know it; nothing was asked about it either.
            continue;
        }
        let torn = read_lines(&path, |number, line| {
            if line.starts_with('#') {
                return Ok(());
            }
            let (phase, _, histogram) = parse_interval(line)
                .ok_or_else(|| SeriesError::bad_line(&path, number, "an interval log"))?;
            data.histograms
                .entry((metric, phase))
                .and_modify(|sum| sum.merge(&histogram))
                .or_insert(histogram);
            Ok::<(), SeriesError>(())
        })?;
        data.warnings.extend(torn);
    }
    Ok(data)
}

/// The values of `metric` in `dir` whose operations were due in each of `spans`, in seconds from T0.
/// An interval log tells in which second a value ended; it is taken to have ended in its middle, so
/// when it was due is right to half a second. One histogram per span is held, however long the run.
///
/// # Errors
/// As [`read`]; a torn last line is left out.
pub fn read_due(
    dir: &Path,
    metric: Metric,
    spans: &[(f64, f64)],
) -> Result<Vec<Histogram>, SeriesError> {
    let mut due = vec![Histogram::new(); spans.len()];
    let path = dir.join(log_name(metric));
    read_lines(&path, |number, line| {
        if line.starts_with('#') {
            return Ok(());
        }
        let (_, second, values) = parse_interval(line)
            .ok_or_else(|| SeriesError::bad_line(&path, number, "an interval log"))?;
        for (due, (from_s, to_s)) in due.iter_mut().zip(spans) {
            due.merge_where(&values, |us| {
                let due_s = second + 0.5 - us as f64 / 1e6;
                (*from_s..*to_s).contains(&due_s)
            });
        }
        Ok::<(), SeriesError>(())
    })?;
    Ok(due)
}

fn read_table(
    path: &Path,
    header: &str,
    mut take: impl FnMut(&str) -> Option<()>,
) -> Result<Option<String>, SeriesError> {
    read_lines(path, |number, line| {
        let good = match number {
            1 => (line == header).then_some(()),
            _ => take(line),
        };
        good.ok_or_else(|| SeriesError::bad_line(path, number, "this table"))
    })
}

/// `Tag=phase-<index>,<start>,<length>,<max>,<base64>`: phase, start in seconds, values.
fn parse_interval(line: &str) -> Option<(u16, f64, Histogram)> {
    let (phase, rest) = line.strip_prefix("Tag=phase-")?.split_once(',')?;
    let mut cells = rest.split(',');
    let start_s = cells.next()?.parse().ok()?;
    for _ in ["length", "max"] {
        cells.next()?.parse::<f64>().ok()?;
    }
    let bytes = STANDARD.decode(cells.next()?).ok()?;
    let histogram = Histogram::from_v2(&bytes).ok()?;
    cells.next().is_none().then_some(())?;
    Some((phase.parse().ok()?, start_s, histogram))
}

/// Why a run directory's series could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
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

impl SeriesError {
    fn bad_line(path: &Path, line: usize, of: &'static str) -> Self {
        Self::BadLine {
            path: path.display().to_string(),
            line,
            of,
        }
    }
}

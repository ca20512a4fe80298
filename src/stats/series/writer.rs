//! Writes the series of a run as it goes: append-only, flushed each second, so that a killed run
//! still yields a report up to its last second.

use super::table::{GENERATOR_HEADER, SERIES_HEADER, generator_line, series_line};
use super::{Metric, Second};
use crate::time::Duration;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// A phase as the series needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseMark {
    /// Its name.
    pub name: String,
    /// Its end, from T0.
    pub end: Duration,
}

/// Writes `series.csv`, `generator.csv` and the interval logs of a run.
#[derive(Debug)]
pub struct Writer {
    phases: Vec<PhaseMark>,
    series: BufWriter<File>,
    generator: BufWriter<File>,
    /// In the order of [`Metric::ALL`].
    logs: Vec<BufWriter<File>>,
}

impl Writer {
    /// Creates all files in `dir`, which must exist, and writes their headers, so that what cannot
    /// be written is known before the load starts.
    ///
    /// # Errors
    /// If a file exists already, cannot be created or cannot be written.
    pub fn create(dir: &Path, phases: &[PhaseMark]) -> io::Result<Self> {
        let mut series = new_file(&dir.join("series.csv"))?;
        writeln!(series, "{SERIES_HEADER}")?;
        let mut generator = new_file(&dir.join("generator.csv"))?;
        writeln!(generator, "{GENERATOR_HEADER}")?;
        let mut logs = Vec::with_capacity(Metric::ALL.len());
        for metric in Metric::ALL {
            let mut log = new_file(&dir.join(log_name(metric)))?;
            write_log_header(&mut log, metric, phases)?;
            logs.push(log);
        }
        let mut writer = Self {
            phases: phases.to_vec(),
            series,
            generator,
            logs,
        };
        writer.flush()?;
        Ok(writer)
    }

    /// Appends one second to all files and hands it to the operating system.
    ///
    /// # Errors
    /// If a file cannot be written; the run's evidence is then incomplete.
    pub fn append(&mut self, second: &Second) -> io::Result<()> {
        let phase = self.phase_of(second.second);
        let name = self.phases.get(phase).map_or("", |p| p.name.as_str());
        let index = u16::try_from(phase).expect("a scenario has fewer than 65 536 phases");
        let line = series_line(&second.row(index), name);
        self.series.write_all(line.as_bytes())?;
        for row in &second.generator {
            self.generator.write_all(generator_line(row).as_bytes())?;
        }
        for ((metric, phase), histogram) in &second.histograms {
            let max = histogram.min_max_us().map_or(0, |(_, max)| max);
            let text = STANDARD.encode(histogram.to_v2_deflate());
            let log = &mut self.logs[*metric as usize];
            let start = second.second;
            writeln!(log, "Tag=phase-{phase},{start}.000,1.000,{max}.000,{text}")?;
        }
        self.flush()
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

    fn flush(&mut self) -> io::Result<()> {
        self.files().try_for_each(Write::flush)
    }

    fn files(&mut self) -> impl Iterator<Item = &mut BufWriter<File>> {
        [&mut self.series, &mut self.generator]
            .into_iter()
            .chain(&mut self.logs)
    }

    /// The phase that `second` begins in; the last one for seconds of the drain.
    fn phase_of(&self, second: u32) -> usize {
        let at = Duration::from_secs(u64::from(second));
        let last = self.phases.len().saturating_sub(1);
        self.phases.partition_point(|p| p.end <= at).min(last)
    }
}

/// Name of the interval log of `metric`.
pub(super) fn log_name(metric: Metric) -> String {
    format!("{}.hlog", metric.name())
}

fn new_file(path: &Path) -> io::Result<BufWriter<File>> {
    File::create_new(path)
        .map(BufWriter::new)
        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
}

fn write_log_header(
    log: &mut BufWriter<File>,
    metric: Metric,
    phases: &[PhaseMark],
) -> io::Result<()> {
    writeln!(log, "#[HdrHistogram interval log, format V2]")?;
    writeln!(
        log,
        "#{}: microseconds, 1 us to 1 h at 3 digits; times are seconds since T0; the tag is the \
         phase of the intended instant",
        metric.name()
    )?;
    for (index, phase) in phases.iter().enumerate() {
        let name = phase.name.replace(['\r', '\n'], " ");
        writeln!(log, "#phase-{index}: {name}")?;
    }
    Ok(())
}

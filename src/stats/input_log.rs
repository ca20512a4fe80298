//! `inputs-<worker>.jsonl`: what a worker's sampled devices were told and what they put out. The
//! worker writes it as the run goes, through a thread of its own so that no disk is waited for; a
//! replay reads it back.
//!
//! One JSON object per line: first `{"header":…}` ([`Header`]), then `{"record":…}` per input in
//! the order of the worker, at last `{"end":…}` ([`End`]). A record is whatever the device says it
//! is (`device::record`); here it is only carried. A log without its end is one of a worker that
//! was killed: a torn last line is left out.

use super::lines::{LineError, read_lines};
use crate::time::Instant;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// Version of this file's format.
pub const FORMAT: u32 = 1;

/// Longest log of one worker in bytes; records that come after it is reached are counted and left
/// out.
pub const BYTES_MAX: u64 = 1 << 30;

/// Bytes that are handed to the disk together.
const CHUNK_BYTES: usize = 64 << 10;

/// Chunks that may wait for the disk. A disk that is slower ends the log as [`BYTES_MAX`] does: the
/// worker must not wait, and its memory is bounded.
const CHUNKS_MAX: usize = 256;

/// First line: what a reader needs to replay the records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// Run id, eight hex digits.
    pub run_id: String,
    /// Hash of scenario text and overrides.
    pub plan_hash: String,
    /// T0 on the run's axis.
    pub start: Instant,
    /// Number of the worker.
    pub worker: u32,
    /// Devices in the sample of the whole fleet.
    pub sample_devices: u32,
}

/// Last line of a log whose worker came to its end.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Records in this log.
    pub records: u64,
    /// Records that came after a limit was reached.
    pub left_out: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line<R> {
    Header(Header),
    Record(R),
    End(End),
}

/// Which limit a log has reached; what comes after is left out.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// [`BYTES_MAX`], or less in a test.
    #[error("it has reached its limit of {0} bytes")]
    Bytes(u64),
    /// As many chunks wait for the disk as may wait.
    #[error("the disk is too slow for it")]
    Disk,
}

/// The log of worker `worker` in the run directory `dir`.
pub fn path(dir: &Path, worker: u32) -> PathBuf {
    dir.join(format!("inputs-{worker}.jsonl"))
}

/// Appends to a log; dropping it without [`Writer::close`] leaves a log without an end.
#[derive(Debug)]
pub struct Writer {
    chunk: Vec<u8>,
    bytes: u64,
    bytes_max: u64,
    end: End,
    full: Option<Full>,
    /// `None` once the disk has failed.
    chunks: Option<SyncSender<Vec<u8>>>,
    disk: Option<JoinHandle<io::Result<()>>>,
}

impl Writer {
    /// Creates the log of worker `worker` in `dir`, which must exist, and the thread that writes it.
    ///
    /// # Errors
    /// If the file exists already or cannot be created, or there can be no thread.
    pub fn create(dir: &Path, worker: u32) -> io::Result<Self> {
        Self::with_limit(dir, worker, BYTES_MAX)
    }

    fn with_limit(dir: &Path, worker: u32, bytes_max: u64) -> io::Result<Self> {
        let path = path(dir, worker);
        let file = File::create_new(&path).map_err(|error| named(&path, &error))?;
        let (chunks, waiting) = sync_channel(CHUNKS_MAX);
        let disk = std::thread::Builder::new()
            .name("input log".to_owned())
            .spawn(move || write_chunks(file, &waiting).map_err(|error| named(&path, &error)))?;
        Ok(Self {
            chunk: Vec::with_capacity(CHUNK_BYTES),
            bytes: 0,
            bytes_max,
            end: End::default(),
            full: None,
            chunks: Some(chunks),
            disk: Some(disk),
        })
    }

    /// Writes the first line.
    ///
    /// # Errors
    /// If the disk has failed.
    pub fn begin(&mut self, header: Header) -> io::Result<()> {
        self.push(&Line::<()>::Header(header))?;
        self.flush()
    }

    /// Appends a record, unless a limit was reached before or is now; the limit that is reached for
    /// the first time.
    ///
    /// # Errors
    /// If the disk has failed; the log is then of no use.
    pub fn append(&mut self, record: &impl Serialize) -> io::Result<Option<Full>> {
        if self.full.is_some() {
            self.end.left_out += 1;
            return Ok(None);
        }
        let before = self.chunk.len();
        self.push(&Line::Record(record))?;
        let length = (self.chunk.len() - before) as u64;
        if self.bytes + length > self.bytes_max {
            self.chunk.truncate(before);
            self.end.left_out += 1;
            self.full = Some(Full::Bytes(self.bytes_max));
            return Ok(self.full);
        }
        self.bytes += length;
        self.end.records += 1;
        if self.chunk.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(self.full)
    }

    /// Hands what was appended to the disk, so that a killed worker leaves it behind.
    ///
    /// # Errors
    /// If the disk has failed.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES));
        let sent = self.chunks.as_ref().map(|chunks| chunks.try_send(chunk));
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(chunk))) => {
                // What was appended stays; it goes to the disk when there is room.
                self.chunk = chunk;
                self.full.get_or_insert(Full::Disk);
                Ok(())
            }
            Some(Err(TrySendError::Disconnected(_))) | None => {
                self.chunks = None;
                self.join()?;
                Err(io::Error::other("the input log has ended"))
            }
        }
    }

    /// Writes the last line and waits for the disk.
    ///
    /// # Errors
    /// If anything of the log could not be written.
    pub fn close(mut self) -> io::Result<End> {
        let end = self.end;
        self.push(&Line::<()>::End(end))?;
        let chunk = std::mem::take(&mut self.chunk);
        // If nobody takes it, the thread's result says why.
        let taken = self.chunks.take().is_some_and(|c| c.send(chunk).is_ok());
        self.join()?;
        if taken {
            Ok(end)
        } else {
            Err(io::Error::other("the input log has ended"))
        }
    }

    fn push<R: Serialize>(&mut self, line: &Line<R>) -> io::Result<()> {
        serde_json::to_writer(&mut self.chunk, line)?;
        self.chunk.push(b'\n');
        Ok(())
    }

    /// How the thread has fared; its channel must be closed.
    fn join(&mut self) -> io::Result<()> {
        match self.disk.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the thread of the input log panicked")),
            None => Ok(()),
        }
    }
}

fn write_chunks(mut file: File, chunks: &Receiver<Vec<u8>>) -> io::Result<()> {
    while let Ok(chunk) = chunks.recv() {
        file.write_all(&chunk)?;
    }
    Ok(())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Writes the logs of workers 0 to `workers` in `dir` to the disk itself. To be called once, after
/// they have ended.
///
/// # Errors
/// If one is missing or cannot be written.
pub fn sync(dir: &Path, workers: u32) -> io::Result<()> {
    for worker in 0..workers {
        let path = path(dir, worker);
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(|error| named(&path, &error))?;
    }
    Ok(())
}

/// What a log says besides its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// `None` if the worker ended before T0.
    pub header: Option<Header>,
    /// `None` if the worker was killed or the file is cut short.
    pub end: Option<End>,
    /// A warning for people if the last line was torn and is left out.
    pub torn: Option<String>,
}

/// Reads the log at `path` and hands each record to `take`, with the header.
///
/// # Errors
/// If the file cannot be read, a line before the last one is damaged or out of place, the format is
/// another, or there are more or fewer records than its end says.
pub fn read<R: DeserializeOwned>(
    path: &Path,
    mut take: impl FnMut(&Header, R),
) -> Result<Contents, InputLogError> {
    let name = || path.display().to_string();
    let mut header: Option<Header> = None;
    let mut end = None;
    let mut records = 0;
    // An error out of the closure on the last line would count as a torn line.
    let mut misplaced = None;
    let torn = read_lines(path, |number, text| {
        let line = serde_json::from_str(text).map_err(|source| InputLogError::BadLine {
            path: name(),
            line: number,
            source,
        })?;
        match (line, &header, end) {
            (Line::Header(first), None, None) => header = Some(first),
            (Line::Record(record), Some(header), None) => {
                records += 1;
                take(header, record);
            }
            (Line::End(last), Some(_), None) => end = Some(last),
            (Line::Header(_) | Line::Record(_) | Line::End(_), _, _) => {
                misplaced.get_or_insert(number);
            }
        }
        Ok::<(), InputLogError>(())
    })?;
    if let Some(line) = misplaced {
        return Err(InputLogError::OutOfPlace { path: name(), line });
    }
    if let Some(format) = header.as_ref().map(|h| h.format).filter(|f| *f != FORMAT) {
        return Err(InputLogError::Format {
            path: name(),
            format,
        });
    }
    if let Some(said) = end.map(|end| end.records).filter(|said| *said != records) {
        return Err(InputLogError::Count {
            path: name(),
            said,
            records,
        });
    }
    Ok(Contents { header, end, torn })
}

/// Why a log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum InputLogError {
    /// The file cannot be read as lines.
    #[error(transparent)]
    Lines(#[from] LineError),
    /// A line before the last one is damaged.
    #[error("{path}, line {line}: not of an input log: {source}")]
    BadLine {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// The header is not first, or something follows the end.
    #[error("{path}, line {line}: out of place")]
    OutOfPlace {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
    },
    /// Written by another version.
    #[error("{path} has format {format}, this version reads {FORMAT}")]
    Format {
        /// The file.
        path: String,
        /// Its format.
        format: u32,
    },
    /// Records were added or taken out.
    #[error("{path} says that it has {said} records, but has {records}")]
    Count {
        /// The file.
        path: String,
        /// What its end says.
        said: u64,
        /// What it has.
        records: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn header() -> Header {
        Header {
            format: FORMAT,
            run_id: "0000002a".into(),
            plan_hash: "ab".into(),
            start: Instant::from_ns(500),
            worker: 3,
            sample_devices: 2,
        }
    }

    /// A log of `records` numbers, of at most `bytes_max` bytes.
    fn log(dir: &Path, records: u32, bytes_max: u64) -> (End, Vec<Full>) {
        let mut writer = Writer::with_limit(dir, 3, bytes_max).expect("an empty folder");
        writer.begin(header()).expect("writable");
        let reached = (0..records)
            .filter_map(|record| writer.append(&record).expect("writable"))
            .collect();
        (writer.close().expect("writable"), reached)
    }

    fn read_all(dir: &Path) -> (Vec<u32>, Result<Contents, InputLogError>) {
        let mut records = Vec::new();
        let contents = read(&path(dir, 3), |_, record: u32| records.push(record));
        (records, contents)
    }

    #[test]
    fn a_log_comes_back_and_every_cut_is_a_prefix() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let (end, reached) = log(dir.path(), 30, BYTES_MAX);
        assert_eq!((end.records, end.left_out, reached), (30, 0, Vec::new()));
        let (records, contents) = read_all(dir.path());
        let contents = contents.expect("its own file");
        assert_eq!(records, (0..30).collect::<Vec<_>>());
        assert_eq!(contents.header, Some(header()));
        assert_eq!((contents.end, contents.torn), (Some(end), None));
        assert!(Writer::create(dir.path(), 3).is_err());

        let path = path(dir.path(), 3);
        let bytes = fs::read(&path).expect("readable");
        for cut in 0..bytes.len() {
            fs::write(&path, &bytes[..cut]).expect("writable");
            let (some, contents) = read_all(dir.path());
            let contents = contents.expect("only the tail is torn");
            assert!(records.starts_with(&some));
            assert_eq!(contents.end, None);
            let whole = cut == 0 || bytes[cut - 1] == b'\n';
            assert_eq!(contents.torn.is_none(), whole);
        }
    }

    #[test]
    fn the_limit_cuts_off_the_rest_and_is_counted() {
        let dir = tempfile::tempdir().expect("temporary folder");
        // `{"record":0}` and its end are 13 bytes.
        let (end, reached) = log(dir.path(), 30, 5 * 13 + 12);
        assert_eq!((end.records, end.left_out), (5, 25));
        assert_eq!(reached, [Full::Bytes(77)]);
        assert_eq!(read_all(dir.path()).0, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn many_chunks_arrive_in_order() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let count = u32::try_from(CHUNK_BYTES).expect("small") / 4;
        let (end, _) = log(dir.path(), count, BYTES_MAX);
        let (records, contents) = read_all(dir.path());
        assert_eq!(contents.expect("its own file").end, Some(end));
        assert_eq!(u64::from(count), end.records + end.left_out);
        assert!(records.iter().copied().eq(0..count));
    }

    #[test]
    fn a_disk_that_takes_nothing_ends_the_log_but_is_not_waited_for() {
        let (chunks, waiting) = sync_channel(1);
        let mut writer = Writer {
            chunk: Vec::new(),
            bytes: 0,
            bytes_max: BYTES_MAX,
            end: End::default(),
            full: None,
            chunks: Some(chunks),
            disk: None,
        };
        let record = "x".repeat(CHUNK_BYTES);
        let reached: Vec<_> = (0..5)
            .map(|_| writer.append(&record).expect("no disk failed"))
            .collect();
        assert_eq!(reached, [None, Some(Full::Disk), None, None, None]);
        assert_eq!((writer.end.records, writer.end.left_out), (2, 3));
        // What was appended before the limit is kept for the disk.
        waiting.recv().expect("a chunk waits");
        writer.flush().expect("there is room");
        waiting.recv().expect("a chunk waits");
        drop(waiting);
        assert!(writer.begin(header()).is_err());
        assert!(writer.close().is_err());
    }

    #[test]
    fn a_full_disk_is_an_error() {
        // The file of Linux on which every write fails for want of space.
        let full = File::options().write(true).open("/dev/full");
        let (chunks, waiting) = sync_channel(1);
        chunks.send(vec![1]).expect("there is room");
        let error = write_chunks(full.expect("Linux has it"), &waiting);
        assert_eq!(
            error.expect_err("it is full").kind(),
            io::ErrorKind::StorageFull
        );
    }

    #[test]
    fn damage_before_the_tail_is_an_error() {
        let dir = tempfile::tempdir().expect("temporary folder");
        log(dir.path(), 3, BYTES_MAX);
        let path = path(dir.path(), 3);
        let text = fs::read_to_string(&path).expect("readable");
        let cases = [
            (
                "{\"record\":1}\n",
                "{\"rekord\":1}\n",
                "line 3: not of an input log",
            ),
            (
                "{\"record\":1}\n",
                "",
                "says that it has 3 records, but has 2",
            ),
            (
                "\"format\":1",
                "\"format\":9",
                "has format 9, this version reads 1",
            ),
            ("{\"end\"", "{\"record\":7}\n{\"end\"", "but has 4"),
            (
                "\"left_out\":0}}\n",
                "\"left_out\":0}}\n{\"record\":9}\n",
                "line 6: out of place",
            ),
        ];
        for (old, new, expected) in cases {
            fs::write(&path, text.replacen(old, new, 1)).expect("writable");
            let error = read_all(dir.path()).1.expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let headless = text.split_once('\n').expect("lines").1;
        fs::write(&path, headless).expect("writable");
        let error = read_all(dir.path()).1.expect_err("no header").to_string();
        assert!(error.contains("line 1: out of place"), "{error}");
    }
}

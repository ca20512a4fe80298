//! Lines of the append-only files of a run directory, read so that a run killed in the middle of a
//! write still yields all it had finished.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Longest line that is read, in bytes. The longest that is written is the outcome in
/// `events.jsonl`: about 300 bytes per stream and phase.
pub(super) const LINE_BYTES_MAX: u64 = 64 << 20;

/// Hands each line of `path` to `take`, with its number (from 1) and without its end. A line that
/// `take` refuses is an error, unless it is the last one: then the write was torn, the line is left
/// out, and a warning is returned. So is a last line without its end, whatever it holds: nobody can
/// know that it is whole.
pub(super) fn read_lines<E: From<LineError>>(
    path: &Path,
    mut take: impl FnMut(usize, &str) -> Result<(), E>,
) -> Result<Option<String>, E> {
    let io = |source| LineError::Io {
        path: path.display().to_string(),
        source,
    };
    let torn = |number| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        format!("{name}: line {number}, the last one, is torn and left out")
    };
    let mut reader = BufReader::new(File::open(path).map_err(io)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let length = (&mut reader)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .map_err(io)?;
        if length == 0 {
            break;
        }
        if line.pop() != Some(b'\n') {
            if is_at_end(&mut reader).map_err(io)? {
                return Ok(Some(torn(number)));
            }
            return Err(LineError::TooLong {
                path: path.display().to_string(),
                line: number,
            }
            .into());
        }
        let text = str::from_utf8(&line).map_err(|_| LineError::NotText {
            path: path.display().to_string(),
            line: number,
        });
        if let Err(error) = text.map_err(E::from).and_then(|text| take(number, text)) {
            if is_at_end(&mut reader).map_err(io)? {
                return Ok(Some(torn(number)));
            }
            return Err(error);
        }
    }
    Ok(None)
}

fn is_at_end(reader: &mut BufReader<File>) -> io::Result<bool> {
    reader.fill_buf().map(<[u8]>::is_empty)
}

/// Why a file's lines could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A line is longer than any that is ever written.
    #[error("{path}, line {line}: longer than {LINE_BYTES_MAX} bytes")]
    TooLong {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
    },
    /// A line is not UTF-8.
    #[error("{path}, line {line}: not text")]
    NotText {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
    },
}

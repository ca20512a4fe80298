//! The transport between coordinator and children: length-prefixed postcard frames over pipes.
//! Nothing above it knows of pipes, so another transport can carry the same messages.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest frame in bytes: a scenario of 1 MiB with its overrides, or one second of a worker's
/// histograms, fits many times over.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// Why a frame could not be exchanged.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The pipe failed or ended in the middle of a frame.
    #[error("pipe: {0}")]
    Pipe(#[from] std::io::Error),
    /// The bytes are not a message of this protocol.
    #[error("frame does not decode: {0}")]
    Decode(#[from] postcard::Error),
    /// A frame longer than [`FRAME_BYTES_MAX`].
    #[error("frame of {0} bytes is over the limit of {FRAME_BYTES_MAX}")]
    TooLong(usize),
}

/// Writes one message as a frame and flushes it.
///
/// # Errors
/// If the pipe is broken or the message is too long.
pub async fn write<T: Serialize>(
    pipe: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> Result<(), TransportError> {
    let body = postcard::to_stdvec(message)?;
    let len = u32::try_from(body.len()).map_err(|_| TransportError::TooLong(body.len()))?;
    if body.len() > FRAME_BYTES_MAX {
        return Err(TransportError::TooLong(body.len()));
    }
    pipe.write_all(&len.to_le_bytes()).await?;
    pipe.write_all(&body).await?;
    pipe.flush().await?;
    Ok(())
}

/// Reads one message, or `None` if the pipe ended between frames.
///
/// # Errors
/// If the pipe ends in the middle of a frame, or the frame is too long or not a `T`.
pub async fn read<T: DeserializeOwned>(
    pipe: &mut (impl AsyncRead + Unpin),
) -> Result<Option<T>, TransportError> {
    let mut len = [0; 4];
    if pipe.read(&mut len[..1]).await? == 0 {
        return Ok(None);
    }
    pipe.read_exact(&mut len[1..]).await?;
    let len = u32::from_le_bytes(len) as usize;
    if len > FRAME_BYTES_MAX {
        return Err(TransportError::TooLong(len));
    }
    let mut body = vec![0; len];
    pipe.read_exact(&mut body).await?;
    Ok(Some(postcard::from_bytes(&body)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::control::{Command, Report};
    use crate::time::Instant;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime without drivers")
    }

    #[test]
    fn frames_round_trip_and_end_cleanly() {
        runtime().block_on(async {
            let mut bytes = Vec::new();
            let sent = [
                Command::Arm,
                Command::Start(Instant::from_ns(7)),
                Command::Exit,
            ];
            for command in &sent {
                write(&mut bytes, command).await.expect("a Vec accepts all");
            }
            let mut pipe = bytes.as_slice();
            for command in &sent {
                assert_eq!(
                    read::<Command>(&mut pipe).await.expect("whole frame"),
                    Some(*command)
                );
            }
            assert_eq!(read::<Command>(&mut pipe).await.expect("clean end"), None);
        });
    }

    #[test]
    fn torn_and_oversized_frames_are_errors() {
        runtime().block_on(async {
            let mut bytes = Vec::new();
            write(&mut bytes, &Report::Warning("hello".into()))
                .await
                .expect("a Vec accepts all");
            for cut in 1..bytes.len() {
                assert!(
                    read::<Report>(&mut &bytes[..cut]).await.is_err(),
                    "cut at {cut}"
                );
            }
            let huge = u32::MAX.to_le_bytes();
            assert!(matches!(
                read::<Report>(&mut huge.as_slice()).await,
                Err(TransportError::TooLong(_))
            ));
        });
    }
}

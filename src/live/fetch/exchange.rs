//! One HTTP/1.1 exchange: a GET with a Range, and the body of its answer piece by piece.

use super::{Errand, SILENCE_MAX, WINDOW};
use crate::device;
use crate::live::link::cause_of;
use crate::live::transit::Way;
use crate::stats::event::Cause;
use crate::time::Instant;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_RANGE, HOST, RANGE};
use hyper::{Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::pin::pin;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes that are read of one connection at a time.
const READ_BYTES: usize = 16 * 1024;

/// The port of a URL that names none (RFC 9110, 4.2.1).
const HTTP_PORT: u16 = 80;

/// About as long as a request is, in bytes, for the link that it crosses.
const REQUEST_BYTES: usize = 160;

/// Why a download did not come to its end.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The connection could not be made, or ended too early.
    Broken(Cause),
    /// The server answered otherwise than with the bytes.
    Refused(u16),
    /// The address is not one, or nobody allowed it.
    BadUri,
    /// The device wants it no more.
    Stale,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    uri: Uri,
    offset: u32,
}

/// The `host:port` of `http://host[:port]/…`; `None` if `url` is not of that kind.
pub fn authority_of(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    if uri.scheme_str() != Some("http") {
        return None;
    }
    let host = uri.host().filter(|host| !host.is_empty())?;
    let port = uri.port_u16().unwrap_or(HTTP_PORT);
    Some(format!("{host}:{port}"))
}

impl Request {
    pub(super) fn of(wanted: &device::Fetch) -> Result<Self, Failure> {
        let is_ours = wanted.url.starts_with('/');
        if !is_ours && authority_of(&wanted.url).is_none() {
            return Err(Failure::BadUri);
        }
        Ok(Self {
            uri: wanted.url.parse().map_err(|_| Failure::BadUri)?,
            offset: wanted.offset,
        })
    }

    /// `host:port`, or `None` for the run's own server.
    pub(super) fn authority(&self) -> Option<String> {
        let host = self.uri.host()?;
        let port = self.uri.port_u16().unwrap_or(HTTP_PORT);
        Some(format!("{host}:{port}"))
    }
}

/// Asks for `request` over `stream`, and hands the bytes to the device as they come.
pub(super) async fn exchange(
    errand: &Errand,
    stream: TcpStream,
    request: Request,
) -> Result<(), Failure> {
    let (sender, connection) = http1::Builder::new()
        .read_buf_exact_size(Some(READ_BYTES))
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    let mut connection = pin!(connection);
    let mut talk = pin!(talk(errand, sender, request));
    tokio::select! {
        biased;
        outcome = &mut talk => return outcome,
        // It has ended; what came before is still to be read.
        _ = &mut connection => {}
    }
    talk.await
}

async fn talk(
    errand: &Errand,
    mut sender: http1::SendRequest<Empty<Bytes>>,
    request: Request,
) -> Result<(), Failure> {
    errand.cross(Way::Up, REQUEST_BYTES).await?;
    let path = request.uri.path_and_query();
    let wanted = hyper::Request::get(path.map_or("/", |path| path.as_str()))
        .header(
            HOST,
            request.uri.authority().map_or("images", |a| a.as_str()),
        )
        .header(RANGE, format!("bytes={}-", request.offset))
        .body(Empty::new())
        .map_err(|_| Failure::BadUri)?;
    let answer = timeout(SILENCE_MAX, sender.send_request(wanted)).await;
    let answer = answer
        .map_err(|_| SILENT)?
        .map_err(|error| broken(&error))?;
    check(&answer, request.offset)?;
    receive(errand, answer.into_body()).await
}

/// The server, or the way to it, says nothing for too long.
pub(super) const SILENT: Failure = Failure::Broken(Cause::Unreachable);

/// Whether the body of `answer` begins at byte `offset`.
fn check(answer: &Response<Incoming>, offset: u32) -> Result<(), Failure> {
    let status = answer.status();
    let begins_right = match status {
        StatusCode::PARTIAL_CONTENT => {
            let range = answer.headers().get(CONTENT_RANGE);
            let range = range.and_then(|value| value.to_str().ok());
            range.is_some_and(|range| range.starts_with(&format!("bytes {offset}-")))
        }
        StatusCode::OK => offset == 0,
        _ => false,
    };
    match begins_right {
        true => Ok(()),
        false => Err(Failure::Refused(status.as_u16())),
    }
}

/// Hands all of `body` to the device, each piece when it has crossed the device's link.
async fn receive(errand: &Errand, mut body: Incoming) -> Result<(), Failure> {
    let mut under_way: VecDeque<(Instant, Bytes)> = VecDeque::new();
    let mut window = 0;
    let mut is_complete = false;
    loop {
        let first = under_way.front().map_or(Instant::NEVER, |piece| piece.0);
        if is_complete && under_way.is_empty() {
            return Ok(());
        }
        let arrival = errand.arrived(first);
        tokio::select! {
            biased;
            arrived = arrival, if !under_way.is_empty() => {
                arrived?;
                if let Some((_, piece)) = under_way.pop_front() {
                    window -= piece.len();
                    errand.deliver(&piece)?;
                }
            }
            frame = timeout(SILENCE_MAX, next_frame(errand, &mut body)),
                if !is_complete && window < WINDOW =>
            {
                match frame.map_err(|_| SILENT)?? {
                    None => is_complete = true,
                    Some(Err(error)) => return Err(broken(&error)),
                    Some(Ok(frame)) => {
                        let mut bytes = frame.into_data().unwrap_or_default();
                        let most = errand.cuts_up(&bytes);
                        while !bytes.is_empty() {
                            let piece = bytes.split_to(bytes.len().min(most));
                            window += piece.len();
                            under_way.push_back((errand.pass(Way::Down, piece.len()), piece));
                        }
                    }
                }
            }
        }
    }
}

/// What comes of `body` once no blackhole is in the way.
async fn next_frame(
    errand: &Errand,
    body: &mut Incoming,
) -> Result<Option<Result<Frame<Bytes>, hyper::Error>>, Failure> {
    errand.arrived(Instant::ZERO).await?;
    Ok(body.frame().await)
}

/// What an error of a connection is to a device.
fn broken(error: &hyper::Error) -> Failure {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return Failure::Broken(match io.kind() == ErrorKind::UnexpectedEof {
                true => Cause::ClosedByPeer,
                false => cause_of(io),
            });
        }
        source = inner.source();
    }
    let is_end = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
    Failure::Broken(match is_end {
        true => Cause::ClosedByPeer,
        false => Cause::ProtocolError,
    })
}

//! The image server of a run: files in memory over HTTP/1.1 on a free loopback port, with Range, so
//! that a scenario whose devices download over HTTP needs nothing else.

use super::link::listen;
use crate::scenario::campaign::Server;
use crate::scenario::plan::Plan;
use crate::scenario::update::WireProfile;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT_RANGES, CONTENT_RANGE, HeaderValue, RANGE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet, spawn_local};

/// Wait after an accept that failed, for want of descriptors most likely.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Longest a client may take over its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A server that runs until it is dropped.
#[derive(Debug)]
pub(super) struct ImageServer {
    task: AbortHandle,
    /// Where it listens.
    pub(super) address: SocketAddr,
    open: Rc<Cell<u32>>,
}

impl ImageServer {
    /// Serves `files`, by path, in a task of its own.
    ///
    /// # Errors
    /// If the process has no descriptor or port left.
    pub(super) fn start(files: BTreeMap<String, Bytes>) -> io::Result<Self> {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let open = Rc::new(Cell::new(0));
        let task = spawn_local(serve(listener, Rc::new(files), Rc::clone(&open)));
        Ok(Self {
            task: task.abort_handle(),
            address,
            open,
        })
    }

    /// Connections that are open.
    pub(super) fn open(&self) -> u32 {
        self.open.get()
    }
}

impl Drop for ImageServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether devices of `plan` download from the run's own server.
pub fn are_served(plan: &Plan) -> bool {
    let runs = |campaign: &crate::scenario::campaign::Campaign| campaign.server == Server::Operator;
    plan.campaigns.iter().any(runs)
        && plan.cohorts.iter().any(|cohort| {
            let profile = cohort.update.as_ref().map(|update| &update.profile);
            matches!(profile, Some(WireProfile::GenericAction(action)) if action.server.is_none())
        })
}

/// The path of a campaign's image.
pub(super) fn path_of(campaign: &str) -> String {
    format!("/images/{campaign}")
}

async fn serve(listener: TcpListener, files: Rc<BTreeMap<String, Bytes>>, open: Rc<Cell<u32>>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => {
                open.set(u32::try_from(connections.len()).unwrap_or(u32::MAX));
                continue;
            }
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let files = Rc::clone(&files);
        let service = service_fn(move |request| {
            let answer = answer(&files, &request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        // A client that goes away in the middle is no error of the server's.
        connections.spawn_local(async move { drop(connection.await) });
        open.set(u32::try_from(connections.len()).unwrap_or(u32::MAX));
    }
}

fn answer(files: &BTreeMap<String, Bytes>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let Some(file) = files.get(request.uri().path()) else {
        return empty(StatusCode::NOT_FOUND);
    };
    let range = request.headers().get(RANGE);
    match range.map_or(Range::None, |value| range_of(value, file.len())) {
        Range::None => {
            let mut whole = Response::new(Full::new(file.clone()));
            let bytes = HeaderValue::from_static("bytes");
            whole.headers_mut().insert(ACCEPT_RANGES, bytes);
            whole
        }
        Range::Part { first, end } => {
            let mut part = Response::new(Full::new(file.slice(first..end)));
            *part.status_mut() = StatusCode::PARTIAL_CONTENT;
            let said = format!("bytes {first}-{}/{}", end - 1, file.len());
            set_range(&mut part, &said);
            part
        }
        Range::Outside => {
            let mut refused = empty(StatusCode::RANGE_NOT_SATISFIABLE);
            set_range(&mut refused, &format!("bytes */{}", file.len()));
            refused
        }
    }
}

fn set_range(response: &mut Response<Full<Bytes>>, text: &str) {
    let value = HeaderValue::from_str(text).expect("digits and punctuation");
    response.headers_mut().insert(CONTENT_RANGE, value);
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// What a Range header asks for of a file.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Range {
    /// All of it: none that is understood (RFC 9110, 14.2: such a one is ignored).
    None,
    /// From `first` to before `end`.
    Part {
        /// First byte.
        first: usize,
        /// Behind the last one.
        end: usize,
    },
    /// Nothing that there is.
    Outside,
}

/// One range of bytes, `bytes=<first>-[<last>]` or `bytes=-<suffix>`, of a file of `len` bytes.
fn range_of(value: &HeaderValue, len: usize) -> Range {
    let text = value.to_str().unwrap_or_default();
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|r| r.split_once('-')) else {
        return Range::None;
    };
    let number = |digits: &str| digits.parse::<usize>().ok();
    let (first, end) = match (number(first), number(last)) {
        (Some(first), Some(last)) if last >= first => (first, last.saturating_add(1).min(len)),
        (Some(first), None) if last.is_empty() => (first, len),
        (None, Some(suffix)) if first.is_empty() => (len.saturating_sub(suffix), len),
        (Some(_), Some(_)) | (Some(_), None) | (None, Some(_)) | (None, None) => {
            return Range::None;
        }
    };
    match first < end {
        true => Range::Part { first, end },
        false => Range::Outside,
    }
}

#[cfg(test)]
mod tests;

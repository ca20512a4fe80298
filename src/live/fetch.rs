//! Downloads over HTTP, beside the MQTT connections of devices: one task and one socket per download,
//! its bytes handed to the device as they come. They bow to the same outages, blackholes and links.

use super::devices::Slot;
use super::fleet::{Fleet, Shared};
use super::link::{begin_connect, cause_of};
use super::transit::Way;
use crate::device::outage::{End, Stop};
use crate::device::path::{NO_BYTES, next_syn};
use crate::device::{self, FetchEnd, Input};
use crate::stats::event::Cause;
use crate::stats::recorder::ErrorKind;
use crate::time::{Duration, Instant};
use bytes::Bytes;
use exchange::{Failure, SILENT, exchange};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

mod exchange;
#[cfg(test)]
mod tests;

pub use exchange::authority_of;

/// From the SYN to an established connection; longer ones are given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest silence of a server in the middle of an answer, and longest stay in a blackhole; then the
/// download is given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Bytes that cross a link as one packet; each of them waits, is delayed and lost by the law of links
/// as an MQTT packet of a block is.
const PIECE_MAX: usize = 4096;

/// Bytes on their way down a link to one device; beyond them its socket is not read.
const WINDOW: usize = 64 * 1024;

/// Due deadlines handled after each piece, so that they do not wait for all downloads.
const FIRES_PER_PIECE: usize = 8;

/// The download of one device; dropping it ends it.
#[derive(Debug)]
pub(super) struct Fetching {
    number: u64,
    task: AbortHandle,
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the downloads of a worker share.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    /// Address of each server that the scenario names, by `host:port`, resolved once.
    pub(super) servers: BTreeMap<String, SocketAddr>,
    /// The server that the run itself has started.
    pub(super) images: Option<SocketAddr>,
    /// Sockets that are open or being opened, by source address.
    sockets: Rc<Sockets>,
    /// Downloads begun; tells a device's latest one from those before.
    begun: u64,
    /// A blackhole has begun or cleared.
    pub(super) holes_changed: Rc<Notify>,
    /// Servers that devices were told of and that nobody allowed; warned of once each.
    refused: BTreeSet<String>,
    /// What devices were told, in order.
    #[cfg(test)]
    told: Vec<tests::Told>,
}

/// Warnings about servers that nobody allowed, at most.
const REFUSED_MAX: usize = 16;

#[derive(Debug, Default)]
struct Sockets {
    open: Cell<u32>,
}

impl Fetches {
    /// Sockets that are open or being opened.
    pub(super) fn open(&self) -> u32 {
        self.sockets.open.get()
    }
}

/// Counts a socket for as long as it lives.
struct Counted(Rc<Sockets>);

impl Counted {
    fn new(sockets: &Rc<Sockets>) -> Self {
        sockets.open.set(sockets.open.get() + 1);
        Self(Rc::clone(sockets))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

impl Fleet {
    /// Device `i` begins a download; an earlier one ends.
    pub(super) fn begin_fetch(&mut self, i: usize, wanted: device::Fetch) {
        self.end_fetch(i);
        let Some(fleet) = self.me.upgrade() else {
            return;
        };
        self.fetches.begun += 1;
        let number = self.fetches.begun;
        let errand = Errand { fleet, i, number };
        let task = tokio::task::spawn_local(errand.run(wanted)).abort_handle();
        self.devices[i].fetch = Some(Box::new(Fetching { number, task }));
    }

    /// The download of device `i`, if there is one, ends; the device is not told.
    pub(super) fn end_fetch(&mut self, i: usize) {
        self.devices[i].fetch = None;
    }

    /// An outage ends the download of device `i`, if there is one. Whether with RST or FIN makes no
    /// difference to a server of files.
    pub(super) fn cut_fetch(&mut self, i: usize, at: Instant, now: Instant, end: End) {
        if self.devices[i].fetch.is_some() {
            self.state.record_lag(at, now);
            self.fetch_failed(i, now, end.cause());
        }
    }

    fn fetch_failed(&mut self, i: usize, now: Instant, cause: Cause) {
        let id = self.devices[i].device.id();
        if let Some(recorder) = self.state.recording() {
            recorder.record_error(now, id, ErrorKind::Fetch(cause));
        }
        self.fetch_ended(i, now, FetchEnd::Broken);
    }

    fn fetch_ended(&mut self, i: usize, now: Instant, end: FetchEnd) {
        self.end_fetch(i);
        #[cfg(test)]
        self.fetches.told.push(tests::Told::End(end));
        self.step_device(i, now, now, Input::FetchEnded(end));
    }

    /// The server of `authority`, or the run's own one for `None`.
    fn image_server(&mut self, authority: Option<String>) -> Result<SocketAddr, Failure> {
        let Some(authority) = authority else {
            return self.fetches.images.ok_or(Failure::BadUri);
        };
        if let Some(address) = self.fetches.servers.get(&authority) {
            return Ok(*address);
        }
        let refused = &mut self.fetches.refused;
        if refused.len() < REFUSED_MAX && refused.insert(authority.clone()) {
            self.warn(format!(
                "a device was told to download from {authority}, which no `server` of the scenario's update profiles names: it does not"
            ));
        }
        Err(Failure::BadUri)
    }

    /// The source address for a download of device `i` from `server`.
    fn fetch_source(&self, slot: &Slot, server: SocketAddr) -> Option<IpAddr> {
        let (_, source) = slot.port.pair(&self.routes);
        // The kernel chooses where the device's own address cannot reach the server.
        source.filter(|source| {
            source.is_ipv4() == server.is_ipv4()
                && source.is_loopback() == server.ip().is_loopback()
        })
    }
}

/// The task of one download.
struct Errand {
    fleet: Shared,
    i: usize,
    number: u64,
}

impl Errand {
    async fn run(self, wanted: device::Fetch) {
        let end = match self.download(&wanted).await {
            Ok(()) => FetchEnd::Complete,
            Err(Failure::Refused(status)) => FetchEnd::Refused(status),
            Err(Failure::BadUri) => FetchEnd::BadUri,
            Err(Failure::Broken(cause)) => {
                if let Some((mut fleet, now)) = self.turn() {
                    fleet.fetch_failed(self.i, now, cause);
                }
                return;
            }
            Err(Failure::Stale) => return,
        };
        if let Some((mut fleet, now)) = self.turn() {
            fleet.fetch_ended(self.i, now, end);
        }
    }

    async fn download(&self, wanted: &device::Fetch) -> Result<(), Failure> {
        let request = exchange::Request::of(wanted)?;
        let server = self.fleet.borrow_mut().image_server(request.authority())?;
        let counted = Counted::new(&self.fleet.borrow().fetches.sockets);
        let stream = self.connect(server).await?;
        exchange(self, stream, request).await?;
        drop(counted);
        Ok(())
    }

    /// The fleet and the time, unless this download is over.
    fn turn(&self) -> Option<(std::cell::RefMut<'_, Fleet>, Instant)> {
        let mut fleet = self.fleet.borrow_mut();
        let now = fleet.begin_turn();
        let current = fleet.devices[self.i].fetch.as_ref();
        let is_current = current.is_some_and(|fetch| fetch.number == self.number);
        is_current.then_some((fleet, now))
    }

    /// Hands `piece` to the device.
    fn deliver(&self, piece: &[u8]) -> Result<(), Failure> {
        let (mut fleet, now) = self.turn().ok_or(Failure::Stale)?;
        #[cfg(test)]
        fleet.fetches.told.push(tests::Told::Bytes(piece.to_vec()));
        fleet.step_device(self.i, now, now, Input::Fetched(piece));
        fleet.fire_due(FIRES_PER_PIECE);
        Ok(())
    }

    fn now(&self) -> Instant {
        self.fleet.borrow().clock.now()
    }

    /// Opens a socket, unless and until an outage lets no SYN through.
    async fn connect(&self, server: SocketAddr) -> Result<TcpStream, Failure> {
        let began = self.now();
        let until = began.after(CONNECT_TIMEOUT);
        let mut is_resolved = false;
        loop {
            let stop = {
                let fleet = self.fleet.borrow();
                let id = fleet.devices[self.i].device.id();
                match is_resolved {
                    false => fleet.cuts.law.stops_connect(id),
                    true => fleet.cuts.law.stops_syn(id),
                }
            };
            is_resolved = true;
            match stop {
                None => break,
                Some(Stop::Fails(cause)) => {
                    let cost = self.fleet.borrow().attempt_cost(self.i);
                    self.sleep_until(began.after(cost)).await;
                    return Err(Failure::Broken(cause));
                }
                Some(Stop::Unanswered) => {
                    let now = self.now();
                    let next = now.after(next_syn(now.since(began)));
                    self.sleep_until(next.min(until)).await;
                    if next >= until {
                        return Err(Failure::Broken(Cause::Unreachable));
                    }
                }
            }
        }
        self.cross(Way::Up, NO_BYTES).await?;
        let left = until.since(self.now());
        let stream = tokio::time::timeout(left, self.open(server)).await;
        let stream = stream.map_err(|_| Failure::Broken(Cause::Unreachable))??;
        self.cross(Way::Down, NO_BYTES).await?;
        Ok(stream)
    }

    async fn open(&self, server: SocketAddr) -> Result<TcpStream, Failure> {
        let failed = |error| Failure::Broken(cause_of(&error));
        let source = {
            let fleet = self.fleet.borrow();
            fleet.fetch_source(&fleet.devices[self.i], server)
        };
        let stream = begin_connect(server, source).map_err(failed)?;
        stream.writable().await.map_err(failed)?;
        match stream.take_error() {
            Ok(None) => Ok(stream),
            Ok(Some(error)) | Err(error) => Err(failed(error)),
        }
    }

    /// Waits while `bytes` cross the link of the device, if it has one.
    async fn cross(&self, way: Way, bytes: usize) -> Result<(), Failure> {
        let arrives = self.pass(way, bytes);
        self.arrived(arrives).await
    }

    /// When `bytes` that set out now have crossed the device's link.
    fn pass(&self, way: Way, bytes: usize) -> Instant {
        let mut fleet = self.fleet.borrow_mut();
        let now = fleet.clock.now();
        fleet.pass(self.i, now, now, way, bytes)
    }

    /// Waits until `at`, and until no blackhole is in the way, which must not take too long.
    async fn arrived(&self, at: Instant) -> Result<(), Failure> {
        self.sleep_until(at).await;
        let reached = tokio::time::timeout(SILENCE_MAX, self.out_of_hole()).await;
        reached.map_err(|_| SILENT)
    }

    async fn out_of_hole(&self) {
        loop {
            let changed = {
                let fleet = self.fleet.borrow();
                if !fleet.devices[self.i].is_swallowed {
                    return;
                }
                Rc::clone(&fleet.fetches.holes_changed)
            };
            changed.notified().await;
        }
    }

    /// Sleeps until `at`, by the runtime's own timer: up to 1 ms more.
    async fn sleep_until(&self, at: Instant) {
        let left = at.since(self.now());
        if !left.is_zero() {
            tokio::time::sleep(left).await;
        }
    }

    /// Pieces that cross the device's link as packets: none if it has no link.
    fn cuts_up(&self, bytes: &Bytes) -> usize {
        match self.fleet.borrow().devices[self.i].transit {
            Some(_) => PIECE_MAX,
            None => bytes.len().max(1),
        }
    }
}

//! Downloads over HTTP in the simulation: a model of the image server that a run starts itself, which
//! also stands in for a server that the scenario names. A connection of its own per download: SYN
//! and answer, request, body. All of it passes the device's link, whose bandwidth it shares with the
//! device's MQTT, and the fixed delay of the passage.
//!
//! The body comes in pieces, with at most [`WINDOW`] bytes on their way: the next one leaves when one
//! has arrived, so a long download holds up the device's other packets no longer than a window does.
//! Outages act as on an MQTT connection: what cuts the device breaks its download; a blackhole holds
//! what comes, and breaks it after [`SILENCE_MAX`].
//!
//! Left out: TCP's slow start, the acknowledgements' way back, heads of answers, and what the server
//! itself takes.

use super::clients::client_of;
use super::links::Way;
use super::queue::Event;
use super::world::{Who, World};
use crate::backend::ConnId;
use crate::device::outage::Stop;
use crate::device::path::{NO_BYTES, next_syn};
use crate::device::{Fetch, FetchEnd, Input};
use crate::scenario::campaign::Server;
use crate::scenario::plan::{DeviceIdx, Plan};
use crate::stats::event::Cause;
use crate::stats::recorder::ErrorKind;
use crate::time::{Duration, Instant};
use crate::wire::image::Image;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// From the SYN to an established connection; longer ones are given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest silence in the middle of a download; then it is given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Bytes that cross a link as one packet.
const PIECE: usize = 4 * 1024;

/// Bytes of a piece where no link delays it.
const PIECE_WITHOUT_LINK: usize = 16 * 1024;

/// Bytes of a body on their way.
const WINDOW: usize = 64 * 1024;

/// About as long as a request is, in bytes.
const REQUEST_BYTES: usize = 160;

/// The status of an address behind which nothing lies.
const NOT_FOUND: u16 = 404;

/// The status of a part that the image does not have.
const RANGE_NOT_SATISFIABLE: u16 = 416;

/// What comes next in a download.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The device sends a SYN, again if one was lost in a blackhole.
    Syn,
    /// The SYN reaches the server.
    Opened,
    /// The server's answer reaches the device.
    Established,
    /// The request reaches the server.
    Asked,
    /// The server's refusal reaches the device (its status code).
    Refused(u16),
    /// The next piece of the body reaches the device.
    Piece,
    /// The address is none.
    BadUri,
    /// It fails, having cost its time.
    Failed(Cause),
    /// It is given up if it has no connection yet.
    TooLate,
    /// It is given up if it is as silent as it was `SILENCE_MAX` ago.
    Silent,
}

/// All downloads that are under way.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    by_device: BTreeMap<DeviceIdx, Download>,
    /// Number of the latest one.
    latest: u32,
    /// By campaign; made when first asked for.
    images: BTreeMap<String, Bytes>,
    /// What devices got, for tests.
    #[cfg(test)]
    pub(super) got: Vec<(Instant, DeviceIdx, String)>,
    #[cfg(test)]
    pub(super) bytes: Vec<u8>,
}

/// The download of one device.
#[derive(Debug)]
struct Download {
    number: u32,
    fetch: Fetch,
    began: Instant,
    /// The server's answer to the SYN has come.
    is_established: bool,
    /// What the server has still to send, once it is asked.
    unsent: Bytes,
    /// What is on its way, in order.
    under_way: VecDeque<Bytes>,
    /// What a blackhole holds, and since when.
    held: Vec<Step>,
    held_since: Instant,
}

/// What lies behind an address.
enum Found {
    Image(Bytes),
    Status(u16),
}

impl Fetches {
    /// What lies behind an address from a byte on: the image of the campaign that its path ends with,
    /// if the operator runs that.
    fn find(&mut self, plan: &Plan, fetch: &Fetch) -> Found {
        let name = fetch.url.rsplit_once('/').map_or("", |(_, name)| name);
        let campaign = plan.campaigns.iter().find(|campaign| campaign.name == name);
        let Some(campaign) = campaign.filter(|campaign| campaign.server == Server::Operator) else {
            return Found::Status(NOT_FOUND);
        };
        let image = self.images.entry(name.to_owned()).or_insert_with(|| {
            let version = plan.firmware.text(campaign.image.version);
            Image::new(plan.seed, version, campaign.image.bytes).bytes
        });
        let offset = fetch.offset as usize;
        match offset < image.len() {
            true => Found::Image(image.slice(offset..)),
            false => Found::Status(RANGE_NOT_SATISFIABLE),
        }
    }

    #[cfg(test)]
    fn note(&mut self, now: Instant, id: DeviceIdx, input: &Input<'_>) {
        let got = match input {
            Input::Fetched(bytes) => {
                self.bytes.extend_from_slice(bytes);
                bytes.len().to_string()
            }
            Input::FetchEnded(end) => format!("{end:?}"),
            Input::PowerOn
            | Input::PowerOff
            | Input::Timeout
            | Input::Opened
            | Input::Closed(_)
            | Input::Received(_)
            | Input::StopArrivals
            | Input::Shutdown => unreachable!("no part of a download: {input:?}"),
        };
        self.got.push((now, id, got));
    }
}

/// Whether `url` is an address of the run's own server, or of another one over HTTP.
fn is_address(url: &str) -> bool {
    let authority = url.strip_prefix("http://").map(|rest| {
        let end = rest.find('/').unwrap_or(rest.len());
        &rest[..end]
    });
    url.starts_with('/') || authority.is_some_and(|authority| !authority.is_empty())
}

impl World {
    /// A device begins a download, in place of one that may be under way.
    pub(super) fn begin_fetch(&mut self, now: Instant, id: DeviceIdx, fetch: Fetch) {
        let number = self.fetches.latest.wrapping_add(1);
        self.fetches.latest = number;
        let is_address = is_address(&fetch.url);
        let download = Download {
            number,
            fetch,
            began: now,
            is_established: false,
            unsent: Bytes::new(),
            under_way: VecDeque::new(),
            held: Vec::new(),
            held_since: Instant::NEVER,
        };
        self.fetches.by_device.insert(id, download);
        if !is_address {
            self.expect_step(now, id, number, Step::BadUri);
            return;
        }
        self.expect_step(now.after(CONNECT_TIMEOUT), id, number, Step::TooLate);
        match self.outages.stops_connect(id) {
            None => self.send_fetch_syn(now, id, number),
            Some(stop) => self.stop_syn(now, id, number, stop),
        }
    }

    /// A device wants its download no more, or can have it no more.
    pub(super) fn stop_fetch(&mut self, id: DeviceIdx) {
        self.fetches.by_device.remove(&id);
    }

    /// A device's download, if there is one, ends in the middle.
    pub(super) fn break_fetch(&mut self, now: Instant, id: DeviceIdx, cause: Cause) {
        if self.fetches.by_device.contains_key(&id) {
            self.books.error(now, id, ErrorKind::Fetch(cause));
            self.end_fetch(now, id, FetchEnd::Broken);
        }
    }

    /// A device is in a blackhole no more: what that has held comes now.
    pub(super) fn release_fetch(&mut self, now: Instant, id: DeviceIdx) {
        let Some(download) = self.fetches.by_device.get_mut(&id) else {
            return;
        };
        download.held_since = Instant::NEVER;
        let number = download.number;
        for step in std::mem::take(&mut download.held) {
            self.take_step(now, id, number, step);
        }
    }

    /// Something happens to a download; what belongs to an earlier one of the device is dropped.
    pub(super) fn fetch_step(&mut self, now: Instant, conn: ConnId, step: Step) {
        let Who::Device(id) = self.who(client_of(conn)) else {
            return;
        };
        let number = u32::try_from(conn.0 & u64::from(u32::MAX)).expect("the lower half");
        self.take_step(now, id, number, step);
    }

    fn take_step(&mut self, now: Instant, id: DeviceIdx, number: u32, step: Step) {
        let download = self.fetches.by_device.get_mut(&id);
        let Some(download) = download.filter(|download| download.number == number) else {
            return;
        };
        let is_swallowed = self.devices[id as usize].is_swallowed;
        match step {
            Step::Syn => match self.outages.stops_syn(id) {
                None => self.send_fetch_syn(now, id, number),
                Some(stop) => self.stop_syn(now, id, number, stop),
            },
            Step::Failed(cause) => self.break_fetch(now, id, cause),
            Step::BadUri => self.end_fetch(now, id, FetchEnd::BadUri),
            Step::TooLate if !download.is_established => {
                self.break_fetch(now, id, Cause::Unreachable);
            }
            Step::TooLate => {}
            Step::Silent if is_silent(download, now) => {
                self.break_fetch(now, id, Cause::Unreachable);
            }
            Step::Silent => {}
            Step::Opened | Step::Established | Step::Asked | Step::Refused(_) | Step::Piece
                if is_swallowed =>
            {
                download.held.push(step);
                if download.held_since.is_never() {
                    download.held_since = now;
                    self.expect_step(now.after(SILENCE_MAX), id, number, Step::Silent);
                }
            }
            Step::Opened => {
                let at = self.passes(Way::Down, now, id, NO_BYTES);
                self.expect_step(at, id, number, Step::Established);
            }
            Step::Established => {
                download.is_established = true;
                let at = self.passes(Way::Up, now, id, REQUEST_BYTES);
                self.expect_step(at, id, number, Step::Asked);
            }
            Step::Asked => self.serve_fetch(now, id, number),
            Step::Refused(status) => self.end_fetch(now, id, FetchEnd::Refused(status)),
            Step::Piece => self.hand_piece(now, id, number),
        }
    }

    fn send_fetch_syn(&mut self, now: Instant, id: DeviceIdx, number: u32) {
        let at = self.passes(Way::Up, now, id, NO_BYTES);
        self.expect_step(at, id, number, Step::Opened);
    }

    /// An outage stops a SYN: it is lost and sent again, or the download fails when that has cost its
    /// time, as an attempt to connect would.
    fn stop_syn(&mut self, now: Instant, id: DeviceIdx, number: u32, stop: Stop) {
        let Some(began) = self
            .fetches
            .by_device
            .get(&id)
            .map(|download| download.began)
        else {
            return;
        };
        match stop {
            Stop::Unanswered => {
                let again = now.after(next_syn(now.since(began)));
                self.expect_step(again, id, number, Step::Syn);
            }
            Stop::Fails(cause) => {
                let cost = self.attempt_cost(id);
                let at = began.after(cost).max(now);
                self.expect_step(at, id, number, Step::Failed(cause));
            }
        }
    }

    /// The server has been asked.
    fn serve_fetch(&mut self, now: Instant, id: DeviceIdx, number: u32) {
        let Some(fetch) = self.fetches.by_device.get(&id).map(|d| d.fetch.clone()) else {
            return;
        };
        match self.fetches.find(&self.plan, &fetch) {
            Found::Image(bytes) => {
                if let Some(download) = self.fetches.by_device.get_mut(&id) {
                    download.unsent = bytes;
                }
                self.fill_window(now, id, number);
            }
            Found::Status(status) => {
                let at = self.passes(Way::Down, now, id, NO_BYTES);
                self.expect_step(at, id, number, Step::Refused(status));
            }
        }
    }

    /// The server sends what the window has room for.
    fn fill_window(&mut self, now: Instant, id: DeviceIdx, number: u32) {
        let most = match self.has_link(id) {
            true => PIECE,
            false => PIECE_WITHOUT_LINK,
        };
        loop {
            let Some(download) = self.fetches.by_device.get_mut(&id) else {
                return;
            };
            let on_the_way: usize = download.under_way.iter().map(Bytes::len).sum();
            if download.unsent.is_empty() || on_the_way + most > WINDOW {
                return;
            }
            let len = download.unsent.len().min(most);
            download.under_way.push_back(download.unsent.split_to(len));
            let at = self.passes(Way::Down, now, id, len);
            self.expect_step(at, id, number, Step::Piece);
        }
    }

    /// A piece reaches the device, which may want no more then.
    fn hand_piece(&mut self, now: Instant, id: DeviceIdx, number: u32) {
        let download = self.fetches.by_device.get_mut(&id);
        let Some(piece) = download.and_then(|download| download.under_way.pop_front()) else {
            return;
        };
        self.step_fetcher(now, id, Input::Fetched(&piece));
        self.fill_window(now, id, number);
        let is_over = self.fetches.by_device.get(&id).is_some_and(|download| {
            download.number == number && download.under_way.is_empty() && download.unsent.is_empty()
        });
        if is_over {
            self.end_fetch(now, id, FetchEnd::Complete);
        }
    }

    fn end_fetch(&mut self, now: Instant, id: DeviceIdx, end: FetchEnd) {
        self.fetches.by_device.remove(&id);
        self.step_fetcher(now, id, Input::FetchEnded(end));
    }

    fn step_fetcher(&mut self, now: Instant, id: DeviceIdx, input: Input<'_>) {
        #[cfg(test)]
        self.fetches.note(now, id, &input);
        self.events += 1;
        self.step_device(id, now, input);
    }

    fn expect_step(&mut self, at: Instant, id: DeviceIdx, number: u32, step: Step) {
        let actor = self.actor_of_device(id);
        let conn = ConnId((u64::from(actor) << 32) | u64::from(number));
        self.queue.push(at, actor, Event::Fetch(conn, step));
    }
}

/// Whether nothing has come for too long.
fn is_silent(download: &Download, now: Instant) -> bool {
    !download.held_since.is_never() && now.since(download.held_since) >= SILENCE_MAX
}

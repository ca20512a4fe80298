//! Downloads of a fleet from servers of many minds, and through outages.

use super::*;
use crate::live::control::Report;
use crate::live::images::{ImageServer, path_of};
use crate::live::outgoing::Outgoing;
use crate::live::tests::fleet_of;
use crate::scenario::fixture;
use crate::scenario::plan::{
    Delay, Direction, Fault, FaultKind, Link, NetworkFault, Plan, Selector,
};
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// What a device was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Bytes(Vec<u8>),
    End(FetchEnd),
}

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

fn plan(faults: &[NetworkFault]) -> Plan {
    let mut plan = fixture::plan(2);
    let fault = |kind: &NetworkFault| Fault {
        phase: 1,
        start: Duration::from_secs(20),
        clear: Duration::from_secs(30),
        kind: FaultKind::Network {
            who: Selector::default(),
            fault: *kind,
        },
    };
    plan.faults = faults.iter().map(fault).collect();
    plan
}

fn content() -> Bytes {
    (0..200_000u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1])
        .collect()
}

/// The fleet of `plan` from T0 on, beside its image server.
struct Bench {
    fleet: Shared,
    outgoing: Outgoing,
    _server: ImageServer,
}

impl Bench {
    fn new(plan: Plan) -> Self {
        let (fleet, outgoing) = fleet_of(plan);
        let files = BTreeMap::from([(path_of("fw-2"), content())]);
        let server = ImageServer::start(files).expect("loopback has a port");
        {
            let mut fleet = fleet.borrow_mut();
            let now = fleet.clock.now();
            fleet.fetches.images = Some(server.address);
            fleet.begin(now, |_| true);
        }
        Self {
            fleet,
            outgoing,
            _server: server,
        }
    }

    fn begin(&self, url: &str, offset: u32) {
        let url = url.to_owned();
        let wanted = device::Fetch { url, offset };
        self.fleet.borrow_mut().begin_fetch(0, wanted);
    }

    /// Lets the tasks run until `is_so`.
    async fn until(&self, is_so: impl Fn(&Fleet) -> bool) {
        let look = async {
            while !is_so(&self.fleet.borrow()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, look).await;
        assert!(outcome.is_ok(), "{:?}", self.fleet.borrow().fetches);
    }

    /// The bytes that came and the end, once it has.
    async fn outcome(&self) -> (Vec<u8>, FetchEnd) {
        let ended = |fleet: &Fleet| matches!(fleet.fetches.told.last(), Some(Told::End(_)));
        self.until(ended).await;
        let told = std::mem::take(&mut self.fleet.borrow_mut().fetches.told);
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for word in told {
            match word {
                Told::Bytes(more) => bytes.extend(more),
                Told::End(end) => ends.push(end),
            }
        }
        assert_eq!(ends.len(), 1, "{ends:?}");
        (bytes, ends[0])
    }

    async fn fetch(&self, url: &str, offset: u32) -> (Vec<u8>, FetchEnd) {
        self.begin(url, offset);
        self.outcome().await
    }

    /// Errors of the run by kind. The books are closed.
    fn errors(&self) -> Vec<(ErrorKind, u64)> {
        let mut fleet = self.fleet.borrow_mut();
        let now = fleet.clock.now();
        let totals = fleet.close_books(now);
        totals.errors.iter().map(|e| (e.kind, e.count)).collect()
    }

    /// A server that answers one connection after the other with one of `answers`, and closes; its
    /// URL, which the fleet may use.
    async fn server(&self, answers: Vec<Vec<u8>>) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound");
        self.allow(address);
        tokio::task::spawn_local(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("a client");
                let read = stream.read(&mut [0; 1024]).await.expect("a request");
                assert!(read > 0);
                stream.write_all(&answer).await.expect("it reads");
            }
        });
        format!("http://{address}/fw")
    }

    fn allow(&self, address: SocketAddr) {
        let servers = &mut self.fleet.borrow_mut().fetches.servers;
        servers.insert(address.to_string(), address);
    }
}

fn run(plan: Plan, test: impl AsyncFnOnce(Bench)) {
    let runtime = crate::live::runtime().expect("a test has file descriptors left");
    runtime.block_on(async { test(Bench::new(plan)).await });
}

#[test]
fn files_come_whole_and_from_any_byte_on() {
    run(plan(&[]), async |bench| {
        for offset in [0, 1, 65_536, 199_999] {
            let (bytes, end) = bench.fetch("/images/fw-2", offset).await;
            assert_eq!(end, FetchEnd::Complete);
            assert!(bytes == content()[offset as usize..], "from {offset}");
        }
        for (url, offset, status) in [("/images/fw-2", 200_000, 416), ("/images/fw-3", 0, 404)] {
            let outcome = bench.fetch(url, offset).await;
            assert_eq!(outcome, (Vec::new(), FetchEnd::Refused(status)));
        }
        bench.until(|fleet| fleet.fetches.open() == 0).await;
        assert_eq!(bench.errors(), []);
    });
}

#[test]
fn only_servers_that_the_scenario_names_are_asked() {
    run(plan(&[]), async |bench| {
        for url in [
            "https://127.0.0.1/fw",
            "ftp://127.0.0.1/fw",
            "http://",
            "fw.bin",
            "",
            "http://192.0.2.7:8080/fw",
            "http://192.0.2.7:8080/other",
        ] {
            let outcome = bench.fetch(url, 0).await;
            assert_eq!(outcome, (Vec::new(), FetchEnd::BadUri), "{url}");
        }
        let [Report::Warning(text)] = &bench.outgoing.take_all()[..] else {
            panic!("not one warning");
        };
        assert!(text.contains("192.0.2.7:8080"), "{text}");
        bench.fleet.borrow_mut().fetches.images = None;
        let outcome = bench.fetch("/images/fw-2", 0).await;
        assert_eq!(outcome.1, FetchEnd::BadUri);
    });
}

#[test]
fn servers_that_break_off_or_send_other_bytes_are_told_apart() {
    let head = |status: &str, more: &str| {
        format!("HTTP/1.1 {status}\r\ncontent-length: 10\r\n{more}\r\n").into_bytes()
    };
    let with = |mut head: Vec<u8>, body: &[u8]| {
        head.extend_from_slice(body);
        head
    };
    let broken = FetchEnd::Broken;
    let range = |first| {
        head(
            "206 Partial Content",
            &format!("content-range: bytes {first}-9/20\r\n"),
        )
    };
    let table: Vec<(Vec<u8>, u32, &[u8], FetchEnd)> = vec![
        // Cut in the body, in the head, at once, and not HTTP at all.
        (with(head("200 OK", ""), b"half"), 0, b"half", broken),
        (b"HTTP/1.1 200".to_vec(), 0, b"", broken),
        (Vec::new(), 0, b"", broken),
        (b"\x20\x02\x00\x00".to_vec(), 0, b"", broken),
        // It knows no ranges.
        (
            with(head("200 OK", ""), b"0123456789"),
            0,
            b"0123456789",
            FetchEnd::Complete,
        ),
        (
            with(head("200 OK", ""), b"0123456789"),
            4,
            b"",
            FetchEnd::Refused(200),
        ),
        (
            with(range(0), b"0123456789"),
            0,
            b"0123456789",
            FetchEnd::Complete,
        ),
        (
            with(range(0), b"0123456789"),
            4,
            b"",
            FetchEnd::Refused(206),
        ),
        (
            with(head("302 Found", "location: /b\r\n"), b"0123456789"),
            0,
            b"",
            FetchEnd::Refused(302),
        ),
        (
            with(head("503 No", ""), b"0123456789"),
            0,
            b"",
            FetchEnd::Refused(503),
        ),
    ];
    run(plan(&[]), async |bench| {
        let answers = table.iter().map(|row| row.0.clone()).collect();
        let url = bench.server(answers).await;
        for (answer, offset, bytes, end) in &table {
            let outcome = bench.fetch(&url, *offset).await;
            let answer = String::from_utf8_lossy(answer);
            assert_eq!(outcome, (bytes.to_vec(), *end), "{answer}");
        }
        let errors = bench.errors();
        let count: u64 = errors.iter().map(|error| error.1).sum();
        assert_eq!(count, 4, "{errors:?}");
        let closed = (ErrorKind::Fetch(Cause::ClosedByPeer), 3);
        assert!(errors.contains(&closed), "{errors:?}");
    });
}

#[test]
fn a_dead_server_breaks_the_download() {
    run(plan(&[]), async |bench| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let address = listener.expect("loopback has a port").local_addr();
        let address = address.expect("it is bound");
        bench.allow(address);
        let outcome = bench.fetch(&format!("http://{address}/fw"), 0).await;
        assert_eq!(outcome, (Vec::new(), FetchEnd::Broken));
        assert_eq!(bench.errors(), [(ErrorKind::Fetch(Cause::Refused), 1)]);
    });
}

/// A server that sends the head and half the body, and the rest when told to.
async fn two_halves(bench: &Bench) -> (String, tokio::sync::oneshot::Sender<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound");
    bench.allow(address);
    let (go_on, told) = tokio::sync::oneshot::channel();
    tokio::task::spawn_local(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234";
        stream.write_all(head).await.expect("it reads");
        if told.await.is_ok() {
            // Whoever was cut has gone.
            let _ = stream.write_all(b"56789").await;
        }
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.read(&mut [0; 1024]).await;
    });
    (format!("http://{address}/fw"), go_on)
}

fn half(fleet: &Fleet) -> bool {
    fleet.fetches.told == [Told::Bytes(b"01234".to_vec())]
}

/// Fault `fault` of the plan begins.
fn strike(bench: &Bench, fault: usize) -> Instant {
    let mut fleet = bench.fleet.borrow_mut();
    let now = fleet.clock.now();
    fleet.begin_outage(now, now, fault);
    now
}

#[test]
fn an_outage_cuts_downloads_and_refuses_new_ones() {
    let within = Duration::ZERO;
    run(plan(&[NetworkFault::Reset { within }]), async |bench| {
        let (url, _go_on) = two_halves(&bench).await;
        bench.begin(&url, 0);
        bench.until(half).await;
        let now = strike(&bench, 0);
        bench.fleet.borrow_mut().run_timeline(now, 2);
        assert_eq!(bench.outcome().await, (b"01234".to_vec(), FetchEnd::Broken));
        let began = bench.fleet.borrow().clock.now();
        let outcome = bench.fetch("/images/fw-2", 0).await;
        assert_eq!(outcome, (Vec::new(), FetchEnd::Broken));
        let took = bench.fleet.borrow().clock.now().since(began);
        assert!(took >= bench.fleet.borrow().attempt_cost(0), "{took:?}");
        bench.fleet.borrow_mut().cuts.law.clear(0);
        let outcome = bench.fetch("/images/fw-2", 0).await;
        assert_eq!(outcome.1, FetchEnd::Complete);
        let errors = [Cause::Refused, Cause::Reset].map(|cause| (ErrorKind::Fetch(cause), 1));
        assert_eq!(bench.errors(), errors);
    });
}

#[test]
fn a_blackhole_holds_a_download_back_until_it_clears() {
    run(plan(&[NetworkFault::Blackhole]), async |bench| {
        let (url, go_on) = two_halves(&bench).await;
        bench.begin(&url, 0);
        bench.until(half).await;
        strike(&bench, 0);
        go_on.send(()).expect("the server waits");
        // Another device's download shows that what has come would have been delivered by now.
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(half(&bench.fleet.borrow()));
        {
            let mut fleet = bench.fleet.borrow_mut();
            fleet.cuts.law.clear(0);
            let now = fleet.clock.now();
            fleet.update_holes(now);
        }
        let outcome = bench.outcome().await;
        assert_eq!(outcome, (b"0123456789".to_vec(), FetchEnd::Complete));
        assert_eq!(bench.errors(), []);
    });
}

#[test]
fn a_download_that_is_not_wanted_any_more_tells_nothing() {
    run(plan(&[]), async |bench| {
        let (url, go_on) = two_halves(&bench).await;
        bench.begin(&url, 0);
        bench.until(half).await;
        bench.fleet.borrow_mut().end_fetch(0);
        go_on.send(()).expect("the server waits");
        bench.until(|fleet| fleet.fetches.open() == 0).await;
        assert!(half(&bench.fleet.borrow()));
        // A later one replaces an earlier one that has not ended.
        bench.fleet.borrow_mut().fetches.told.clear();
        let (url, _go_on) = two_halves(&bench).await;
        bench.begin(&url, 0);
        bench.begin("/images/fw-2", 199_990);
        let outcome = bench.outcome().await;
        assert_eq!(outcome, (content()[199_990..].to_vec(), FetchEnd::Complete));
    });
}

#[test]
fn a_power_cut_ends_a_download() {
    run(plan(&[]), async |bench| {
        let (url, go_on) = two_halves(&bench).await;
        {
            let mut fleet = bench.fleet.borrow_mut();
            let now = fleet.clock.now();
            fleet.step_device(0, now, now, Input::PowerOn);
        }
        bench.begin(&url, 0);
        bench.until(half).await;
        {
            let mut fleet = bench.fleet.borrow_mut();
            let now = fleet.clock.now();
            fleet.cut_power(0, now);
        }
        go_on.send(()).expect("the server waits");
        bench.until(|fleet| fleet.fetches.open() == 0).await;
        assert!(half(&bench.fleet.borrow()));
    });
}

#[test]
fn a_link_slows_a_download_down_to_its_bandwidth_and_delay() {
    let mut plan = plan(&[]);
    let way = |bandwidth_bps: u64| Direction {
        delay: Delay::Uniform {
            base: Duration::from_millis(20),
            jitter: Duration::ZERO,
        },
        bandwidth_bps: std::num::NonZeroU64::new(bandwidth_bps),
        loss: 0.0,
    };
    plan.cohorts[0].link = Some(Link {
        preset: None,
        up: way(1_000_000),
        down: way(4_000_000),
    });
    run(plan, async |bench| {
        let began = bench.fleet.borrow().clock.now();
        let (bytes, end) = bench.fetch("/images/fw-2", 100_000).await;
        assert!(bytes == content()[100_000..] && end == FetchEnd::Complete);
        let took = bench.fleet.borrow().clock.now().since(began);
        // 100 000 bytes in pieces of at most 4 096 with 40 of header each take some 0.202 s of the
        // link; SYN, SYN-ACK, request and the first piece have 20 ms of delay each.
        assert!(took >= Duration::from_millis(280), "{took:?}");
    });
}

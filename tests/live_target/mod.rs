//! The live driver against a target that is not its own child: what it leaves behind, and how it
//! stops early.

use crate::live_arm::{Child, RUN, Scenario};
use fleetstorm::backend::Backend;
use fleetstorm::cloud::observer::Observer;
use fleetstorm::live::clock::Clock;
use fleetstorm::live::control::{Command, Report};
use fleetstorm::live::{listen, runtime, serve};
use fleetstorm::mqtt::codec;
use fleetstorm::mqtt::packet::{Connect, Packet, Publish, QoS};
use fleetstorm::scenario::file::Overrides;
use fleetstorm::scenario::plan::{Embedded, GoneClients, Me};
use fleetstorm::stats::books::Books;
use fleetstorm::stats::recorder::Totals;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_local};

/// 20 devices with persistent sessions and retained messages, for a second.
const TEXT: &str = r#"
name: target
about: A small fleet against a broker that is already there.
seed: 11
target: { brokers: { urls: ["mqtt://127.0.0.1:PORT"], topology: independent } }
fleet:
  - cohort: meters
    devices: 20
    session: { clean: false }
    on_connect:
      - { subscribe: { topic: "d/{device}/cmd", qos: 1 } }
      - { publish: { topic: "d/{device}/state", payload: "online", retain: true } }
    telemetry:
      - { stream: power, topic: "d/{device}/power", qos: 1, every: 50ms, payload: { bytes: 40 } }
phases:
  - { name: ramp, power_on: { rate: 200/s } }
  - { name: steady, for: 1s }
slos:
  - { name: nothing is lost, indicator: delivery.lost, at_most: 0 }
"#;

struct Target {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<Backend>>,
}

impl Target {
    fn start() -> Self {
        let shape = Embedded {
            nodes: 1,
            accept_rate_per_s: None,
            accept_queue: 100,
            service: None,
            gone_clients: GoneClients::Skip,
            me: Me::Shared,
        };
        let listener =
            listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("loopback has a port");
        let address = listener.local_addr().expect("it listens");
        let (stop, stopped) = oneshot::channel::<()>();
        let backend = Backend::new(&shape, 0, 1);
        let served = spawn_local(serve::serve(
            backend,
            listener,
            Clock::starting_now(),
            async {
                // A dropped sender stops it as well.
                let _ = stopped.await;
            },
        ));
        Self {
            address,
            stop,
            served,
        }
    }

    async fn counts(self) -> BTreeMap<String, u64> {
        self.stop.send(()).expect("it serves");
        let backend = self.served.await.expect("it does not panic");
        backend.expect("it had a timer").counts()
    }
}

async fn armed(target: &Target, keep_sessions: bool) -> (Scenario, Child) {
    let text = TEXT.replace("PORT", &target.address.port().to_string());
    let scenario = Scenario::new(&text, Overrides::default());
    let mut child = scenario.worker_that(0, 1, &[target.address], keep_sessions);
    assert_eq!(child.next().await, Report::Ready);
    child.order(Command::Arm).await;
    assert_eq!(child.next().await, Report::Armed);
    (scenario, child)
}

async fn start(scenario: &Scenario, child: &Child) {
    let start = scenario.clock.now().after(Duration::from_millis(50));
    child.order(Command::Start(start)).await;
}

/// Waits for the worker's totals and gives its warnings with them.
async fn done(child: &mut Child) -> (Totals, Vec<String>) {
    let mut warnings = Vec::new();
    loop {
        match child.reports.recv().await {
            Some(Report::Done(totals)) => return (*totals, warnings),
            Some(Report::Warning(text)) => warnings.push(text),
            Some(Report::Snapshot(_) | Report::Drained(_) | Report::Findings(_)) => {}
            other @ (None
            | Some(
                Report::Listening(_)
                | Report::Ready
                | Report::Armed
                | Report::Serving(_)
                | Report::BackendDone { .. }
                | Report::EvidenceFailed(_)
                | Report::Failed(_),
            )) => panic!("instead of Done: {other:?}"),
        }
    }
}

async fn run_to_the_end(keep_sessions: bool) -> (Totals, Vec<String>, BTreeMap<String, u64>) {
    let target = Target::start();
    let (scenario, mut child) = armed(&target, keep_sessions).await;
    start(&scenario, &child).await;
    assert_eq!(child.next().await, Report::Drained(true));
    child.order(Command::Finish).await;
    let (totals, warnings) = done(&mut child).await;
    (totals, warnings, target.counts().await)
}

#[test]
fn the_teardown_leaves_no_session_and_no_retained_message() {
    let runtime = runtime().expect("a test has file descriptors left");
    let (totals, warnings, counts) = runtime.block_on(run_to_the_end(false));
    assert_eq!(warnings, Vec::<String>::new());
    assert!(totals.books.iter().flatten().all(Books::balance));
    assert_eq!(counts["sessions_held"], 0, "{counts:?}");
    // Each device retained one message and took it back.
    assert_eq!(counts["retained_stored"], 20, "{counts:?}");
    assert_eq!(counts["retained_held"], 0, "{counts:?}");

    let (_, warnings, counts) = runtime.block_on(run_to_the_end(true));
    assert_eq!(warnings, Vec::<String>::new());
    // 20 devices and their observer.
    assert_eq!(counts["sessions_held"], 21, "{counts:?}");
    assert_eq!(counts["retained_held"], 20, "{counts:?}");
}

#[test]
fn an_abort_in_the_middle_closes_the_books_at_once_and_says_what_it_leaves() {
    runtime()
        .expect("a test has file descriptors left")
        .block_on(async {
            let target = Target::start();
            let (scenario, mut child) = armed(&target, false).await;
            start(&scenario, &child).await;
            tokio::time::sleep(Duration::from_millis(600)).await;
            let aborted = Instant::now();
            child.order(Command::Abort).await;
            let (totals, warnings) = done(&mut child).await;
            assert!(aborted.elapsed() < Duration::from_secs(1));
            assert!(warnings[0].starts_with("21 of 21 sessions"), "{warnings:?}");
            assert!(totals.schedule_agrees, "{totals:?}");
            assert!(totals.books.iter().flatten().all(Books::balance));
            let planned: u64 = totals.books.iter().flatten().map(|b| b.planned).sum();
            assert!((1..400).contains(&planned), "{planned}");
            let counts = target.counts().await;
            assert_eq!(counts["connections_open"], 0, "{counts:?}");
        });
}

#[test]
fn an_abort_before_the_start_is_done_with_empty_books() {
    runtime()
        .expect("a test has file descriptors left")
        .block_on(async {
            let target = Target::start();
            let (_scenario, mut child) = armed(&target, true).await;
            child.order(Command::Abort).await;
            let (totals, _) = done(&mut child).await;
            assert_eq!(totals, Totals::default());
        });
}

/// Ends the observer's session by a clean one with its client identifier.
async fn take_over(scenario: &Scenario, target: SocketAddr) {
    let plan = Arc::new(scenario.plan.clone());
    let owned: Vec<u32> = (0..plan.devices()).collect();
    let observers = Observer::plan_all(&plan, RUN, 0, &owned);
    let connect = Packet::Connect(Box::new(Connect {
        client_id: observers[0].client_id(),
        clean_session: true,
        keep_alive_s: 60,
        will: None,
        username: None,
        password: None,
    }));
    let mut bytes = Vec::new();
    codec::encode(&connect, &mut bytes).expect("a valid packet");
    let mut stream = TcpStream::connect(target).await.expect("it serves");
    stream.write_all(&bytes).await.expect("it reads");
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.expect("it answers");
    assert_eq!(answer, [0x20, 2, 0, 0]);
}

#[test]
fn a_forgotten_observer_is_a_gap_and_never_a_loss() {
    runtime()
        .expect("a test has file descriptors left")
        .block_on(async {
            let target = Target::start();
            let (scenario, mut child) = armed(&target, true).await;
            start(&scenario, &child).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            take_over(&scenario, target.address).await;
            assert_eq!(child.next().await, Report::Drained(true));
            child.order(Command::Finish).await;
            let (totals, _) = done(&mut child).await;
            assert_eq!(totals.delivery.lost, 0, "{:?}", totals.delivery);
            assert!(totals.delivery.unverified > 0, "{:?}", totals.delivery);
        });
}

/// A connection that has sent these packets.
async fn sender(target: SocketAddr, packets: &[Packet<'_>]) -> TcpStream {
    let mut bytes = Vec::new();
    for packet in packets {
        codec::encode(packet, &mut bytes).expect("a valid packet");
    }
    let mut stream = TcpStream::connect(target).await.expect("it serves");
    stream.write_all(&bytes).await.expect("it reads");
    stream
}

/// What one subscription brings is bounded by what may be retained, not by what may wait for a
/// connection: 3 MiB of retained messages reach a subscriber.
#[test]
fn a_burst_of_retained_messages_does_not_end_the_connection() {
    const MESSAGES: usize = 48;
    let runtime = runtime().expect("a test has file descriptors left");
    runtime.block_on(async {
        let target = Target::start();
        let connect = |client_id: &str| {
            Packet::Connect(Box::new(Connect {
                client_id: client_id.into(),
                clean_session: true,
                keep_alive_s: 60,
                will: None,
                username: None,
                password: None,
            }))
        };
        let payload = vec![b'x'; 64 << 10];
        let topics: Vec<String> = (0..MESSAGES).map(|i| format!("d/{i}/state")).collect();
        let mut packets = vec![connect("dev")];
        packets.extend(topics.iter().map(|topic| {
            Packet::Publish(Publish {
                dup: false,
                qos: QoS::AtMostOnce,
                retain: true,
                packet_id: 0,
                topic,
                payload: &payload,
            })
        }));
        packets.push(Packet::PingReq);
        let mut publisher = sender(target.address, &packets).await;
        // CONNACK, and a PINGRESP behind the messages.
        let mut answers = [0; 6];
        publisher
            .read_exact(&mut answers)
            .await
            .expect("it answers");
        assert_eq!(answers, [0x20, 2, 0, 0, 0xd0, 0]);

        let filters = vec![("d/+/state".to_owned(), QoS::AtMostOnce)];
        let packet_id = 1;
        let subscribe = Packet::Subscribe { packet_id, filters };
        // What is answered while the burst is on its way does not end the connection either.
        let ping = Packet::PingReq;
        let mut subscriber = sender(target.address, &[connect("sub"), subscribe, ping]).await;
        let message = |topic: &String| codec::publish_len(QoS::AtMostOnce, topic.len(), 64 << 10);
        let len = 4 + 5 + 2 + topics.iter().map(message).sum::<usize>();
        let mut bytes = vec![0; len];
        subscriber.read_exact(&mut bytes).await.expect("all of it");
        assert_eq!(target.counts().await["retained_matched"], 48);
    });
}

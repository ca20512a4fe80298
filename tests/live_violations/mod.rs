//! A server that says what MQTT 3.1.1 forbids, over real sockets: a device closes the connection, and
//! writes nothing more to it.

use crate::live_arm::Scenario;
use fleetstorm::live::control::{Command, Report};
use fleetstorm::live::runtime;
use fleetstorm::scenario::file::Overrides;
use fleetstorm::stats::event::Cause;
use fleetstorm::stats::recorder::ErrorKind;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// One device that comes back after 50 ms.
const TEXT: &str = r#"
name: violations
seed: 1
fleet:
  - cohort: meters
    devices: 1
    client: { backoff: { fixed: 50ms } }
    on_connect: [ { subscribe: { topic: "a", qos: 1 } } ]
    telemetry: [ { stream: power, topic: "d/{device}/power", qos: 1, every: 1s, payload: { bytes: 40 } } ]
observe: { share: 0% }
phases:
  - { name: ramp, power_on: { rate: 1/s } }
  - { name: steady, for: 10min }
"#;

const CONNACK: &[u8] = &[0x20, 2, 0, 0];

/// What the server says after its CONNACK.
const VIOLATIONS: &[(&str, &[u8])] = &[
    ("ill-formed UTF-8", b"\x30\x04\0\x02\xc0\xaf"),
    ("a surrogate", b"\x30\x05\0\x03\xed\xa0\x80"),
    ("U+0000", b"\x30\x04\0\x02a\0"),
    ("reserved flags", b"\x41\x02\0\x01"),
    ("PUBREL with other flags", b"\x60\x02\0\x01"),
    ("a reserved packet type", b"\xf0\x00"),
    ("both QoS bits", b"\x36\x05\0\x01a\0\x01"),
    ("a wildcard in a topic", b"\x30\x04\0\x02a#"),
    ("an empty topic", b"\x30\x02\0\0"),
    ("a topic over the end", b"\x30\x03\0\x09a"),
    ("packet identifier 0", b"\x32\x05\0\x01a\0\0"),
    ("an endless length", b"\x30\xff\xff\xff\xff\x01"),
    ("a packet that is too long", b"\x30\xff\xff\xff\x7f"),
    ("a reserved return code", b"\x90\x03\0\x01\x03"),
    ("a second CONNACK", CONNACK),
    ("a client's packet", b"\xc0\x00"),
    ("an answer to nothing", b"\xb0\x02\0\x63"),
];

#[test]
fn a_violation_closes_the_connection_and_nothing_follows_on_it() {
    runtime()
        .expect("a test has file descriptors left")
        .block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
            let listener = listener.expect("loopback has a port");
            let address = listener.local_addr().expect("it is bound");
            let scenario = Scenario::new(TEXT, Overrides::default());
            let mut child = scenario.worker(0, 1, &[address, address]);
            assert_eq!(child.next().await, Report::Ready);
            child.order(Command::Arm).await;
            assert_eq!(child.next().await, Report::Armed);
            child.order(Command::Start(scenario.clock.now())).await;
            for (what, bytes) in VIOLATIONS {
                let (mut device, _) = listener.accept().await.expect("it connects");
                read_packet(&mut device).await;
                device.write_all(CONNACK).await.expect("it is connected");
                read_packet(&mut device).await;
                device.write_all(bytes).await.expect("it is connected");
                let mut rest = Vec::new();
                // An RST instead of a FIN is an end as well.
                let end = timeout(Duration::from_secs(10), device.read_to_end(&mut rest)).await;
                assert!(end.is_ok(), "{what}: the connection stays open");
                assert_eq!(rest, b"", "{what}: something follows");
            }
            child.order(Command::Abort).await;
            let Report::Done(totals) = child.next().await else {
                panic!("an aborted worker is done");
            };
            let kind = ErrorKind::Connection(Cause::ProtocolError);
            let errors = totals.errors.iter().filter(|e| e.kind == kind);
            let count: u64 = errors.map(|e| e.count).sum();
            assert_eq!(count, VIOLATIONS.len() as u64, "{:?}", totals.errors);
        });
}

/// Reads one packet of less than 128 bytes.
async fn read_packet(device: &mut TcpStream) {
    let mut header = [0; 2];
    device.read_exact(&mut header).await.expect("a header");
    let mut body = vec![0; usize::from(header[1])];
    device.read_exact(&mut body).await.expect("its body");
}

//! A link over real sockets of this machine.

use super::*;
use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener as Plain, TcpStream as PlainStream};

const LIMIT: usize = 1 << 20;

fn peer() -> (Plain, SocketAddr) {
    let listener = Plain::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

async fn connected(source: Option<IpAddr>) -> (Link, PlainStream) {
    let (listener, address) = peer();
    let mut link = Link::connect(address, source).expect("loopback connects");
    assert!(!link.is_established());
    let (stream, from) = listener.accept().expect("it was connected");
    poll_fn(|cx| link.poll_established(cx))
        .await
        .expect("it was accepted");
    assert!(link.is_established());
    if let Some(source) = source {
        assert_eq!(from.ip(), source);
    }
    (link, stream)
}

async fn read(link: &mut Link) -> Result<Vec<u8>, Cause> {
    let mut buffer = vec![0; 64];
    let n = poll_fn(|cx| link.poll_read(cx, &mut buffer)).await?;
    buffer.truncate(n);
    Ok(buffer)
}

#[tokio::test(flavor = "current_thread")]
async fn nobody_listening_is_refused() {
    let (listener, address) = peer();
    drop(listener);
    // Linux may say so at once or when the socket becomes writable.
    let cause = match Link::connect(address, None) {
        Ok(mut link) => poll_fn(|cx| link.poll_established(cx)).await.err(),
        Err(cause) => Some(cause),
    };
    assert_eq!(cause, Some(Cause::Refused));
}

#[tokio::test(flavor = "current_thread")]
async fn a_source_address_that_is_not_ours_is_the_generators_fault() {
    let (_listener, address) = peer();
    let cause = Link::connect(address, Some(IpAddr::from([192, 0, 2, 1]))).err();
    assert_eq!(cause, Some(Cause::GeneratorPorts));
}

#[tokio::test(flavor = "current_thread")]
async fn the_end_of_a_connection_has_a_cause() {
    let source = Some(IpAddr::from([127, 9, 8, 7]));
    let (mut link, mut peer) = connected(source).await;
    peer.write_all(b"last").expect("the link reads");
    drop(peer);
    assert_eq!(read(&mut link).await, Ok(b"last".to_vec()));
    assert_eq!(read(&mut link).await, Err(Cause::ClosedByPeer));

    let (mut link, peer) = connected(None).await;
    SockRef::from(&peer)
        .set_linger(Some(std::time::Duration::ZERO))
        .expect("a socket of ours");
    drop(peer);
    assert_eq!(read(&mut link).await, Err(Cause::Reset));
}

#[tokio::test(flavor = "current_thread")]
async fn a_failed_write_is_told_after_what_the_peer_had_sent() {
    let (mut link, mut peer) = connected(None).await;
    peer.write_all(b"refused").expect("the link reads");
    SockRef::from(&peer)
        .set_linger(Some(std::time::Duration::ZERO))
        .expect("a socket of ours");
    drop(peer);
    for _ in 0..3 {
        link.write(b"x", LIMIT).expect("nothing is kept");
    }
    assert_eq!(read(&mut link).await, Ok(b"refused".to_vec()));
    assert_eq!(read(&mut link).await, Err(Cause::Reset));
}

#[tokio::test(flavor = "current_thread")]
async fn what_the_socket_does_not_take_is_kept_up_to_the_limit_and_sent_in_order() {
    let (mut link, mut peer) = connected(None).await;
    let chunk: Vec<u8> = (0..=255).cycle().take(64 * 1024).collect();
    let mut written = 0;
    let overflow = loop {
        match link.write(&chunk, LIMIT) {
            Ok(()) => written += chunk.len(),
            Err(overflow) => break overflow,
        }
        assert!(written < 64 << 20, "the kernel takes only so much");
    };
    assert_eq!(overflow, Overflow);
    assert!(link.outbox.len() > LIMIT && link.outbox.len() <= LIMIT + chunk.len());
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; written];
        peer.read_exact(&mut got).expect("all of it comes");
        got
    });
    poll_fn(|cx| link.poll_flush(cx)).await;
    assert!(link.outbox.is_empty());
    let got = reader.join().expect("the reader does not panic");
    assert!(got.chunks(chunk.len()).all(|part| part == chunk));
}

#[tokio::test(flavor = "current_thread")]
async fn a_burst_is_kept_whole_and_the_next_one_waits_for_its_end() {
    let (mut link, _peer) = connected(None).await;
    let keep = |link: &mut Link, goes_on| {
        let kept = link.keep(LIMIT, goes_on, |bytes| {
            bytes.resize(bytes.len() + LIMIT, b'x');
            Ok(())
        });
        kept.map_err(|error| assert!(matches!(error, NotKept::Overflow)))
    };
    assert_eq!(keep(&mut link, false), Ok(true));
    for _ in 0..5 {
        assert_eq!(keep(&mut link, true), Ok(false));
    }
    // What is answered meanwhile has its limit beside the burst.
    link.write(&[b'y'; LIMIT], LIMIT).expect("there is room");
    assert_eq!(keep(&mut link, false), Ok(false));
    assert_eq!(keep(&mut link, true), Err(()), "no burst within the limit");
    assert_eq!(link.write(b"y", LIMIT), Err(Overflow));

    link.outbox.clear();
    assert_eq!(keep(&mut link, false), Ok(true));
    assert_eq!(keep(&mut link, false), Ok(false));
    assert_eq!(keep(&mut link, false), Err(()), "the old burst is over");
}

#[test]
fn packets_are_found_however_the_bytes_are_cut() {
    let mut bytes = Vec::new();
    for id in 1..=3 {
        codec::encode(&Packet::PubAck(id), &mut bytes).expect("a valid packet");
    }
    for cut in 0..=bytes.len() {
        let mut inbox = Vec::new();
        let mut ids = Vec::new();
        for part in [&bytes[..cut], &bytes[cut..]] {
            each_packet(&mut inbox, part, |packet| {
                let Packet::PubAck(id) = packet else {
                    panic!("{packet:?}")
                };
                ids.push(id);
                true
            })
            .expect("valid bytes");
        }
        assert_eq!((ids, inbox), (vec![1, 2, 3], Vec::new()), "cut at {cut}");
    }
    // A closed connection's further packets are dropped.
    let mut count = 0;
    let stopped = each_packet(&mut Vec::new(), &bytes, |_| {
        count += 1;
        false
    });
    assert_eq!((stopped, count), (Ok(()), 1));
    assert!(each_packet(&mut vec![0x10], &[0xff; 9], |_| true).is_err());
}

//! What the image server answers, byte by byte, to requests written by hand.

use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn content() -> Bytes {
    (0..100_000u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect()
}

/// The head and body of the answer to `request`, whose connection ends with it.
async fn ask(address: SocketAddr, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("{request}\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("it answers");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let body = answer.split_off(end.expect("there is a head") + 4);
    let head = String::from_utf8(answer).expect("a head is ASCII");
    (head.to_lowercase(), body)
}

#[test]
fn files_are_served_whole_in_parts_and_not_at_all() {
    let content = content();
    let files = BTreeMap::from([(path_of("fw-2"), content.clone())]);
    let (len, last) = (content.len(), content.len() - 1);
    let not_satisfiable = format!("content-range: bytes */{len}");
    let table = [
        ("", 200, "accept-ranges: bytes".to_owned(), 0..len),
        ("bytes=0-", 206, format!("bytes 0-{last}/{len}"), 0..len),
        (
            "bytes=70000-",
            206,
            format!("bytes 70000-{last}/{len}"),
            70_000..len,
        ),
        ("bytes=5-9", 206, format!("bytes 5-9/{len}"), 5..10),
        (
            "bytes=99990-200000",
            206,
            format!("bytes 99990-{last}/{len}"),
            99_990..len,
        ),
        (
            "bytes=-10",
            206,
            format!("bytes 99990-{last}/{len}"),
            99_990..len,
        ),
        ("bytes=100000-", 416, not_satisfiable, 0..0),
        // Several ranges, and what is none, are ignored (RFC 9110, 14.2).
        ("bytes=0-1,4-5", 200, String::new(), 0..len),
        ("bytes=9-5", 200, String::new(), 0..len),
        ("blocks=1-2", 200, String::new(), 0..len),
    ];
    let runtime = crate::live::runtime().expect("a test has file descriptors left");
    runtime.block_on(async {
        let server = ImageServer::start(files).expect("loopback has a port");
        for (range, status, header, part) in table {
            let range = match range {
                "" => String::new(),
                range => format!("\r\nrange: {range}"),
            };
            let request = format!("GET /images/fw-2 HTTP/1.1{range}");
            let (head, body) = ask(server.address, &request).await;
            assert!(
                head.starts_with(&format!("http/1.1 {status} ")),
                "{range}: {head}"
            );
            assert!(head.contains(&header), "{range}: {head}");
            assert!(body == content[part], "{range}: {} bytes", body.len());
        }
        let (head, _) = ask(server.address, "GET /images/fw-3 HTTP/1.1").await;
        assert!(head.starts_with("http/1.1 404 "), "{head}");
        let (head, _) = ask(server.address, "PUT /images/fw-2 HTTP/1.1").await;
        assert!(head.starts_with("http/1.1 405 "), "{head}");
        // A server that is gone accepts nobody.
        let address = server.address;
        drop(server);
        tokio::task::yield_now().await;
        assert!(TcpStream::connect(address).await.is_err());
    });
}

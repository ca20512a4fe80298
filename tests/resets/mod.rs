//! A network between a fleet and its broker that cuts connections after any byte, in both
//! directions at once, with RST, as a NAT does that has forgotten them.

use socket2::SockRef;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;

/// In the CONNECT of what is spared: the run's own observers and its probe.
const SPARED: [&[u8]; 2] = [b"fs-obs-", b"fs-probe-"];

/// How connections are cut.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Cuts {
    /// After how many bytes of both directions together at least.
    pub(crate) from: u32,
    /// And below how many.
    pub(crate) below: u32,
    /// Cuts in all; then the network is sound.
    pub(crate) limit: u32,
}

/// A network that leads to one broker.
pub(crate) struct Network {
    /// Where the fleet connects to.
    pub(crate) address: SocketAddr,
    /// Connections cut so far.
    cut: Arc<AtomicU32>,
}

impl Network {
    /// Leads to `port` of loopback.
    pub(crate) fn start(port: u16, cuts: Cuts) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("a socket can be");
        let cut = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&cut);
        // Ends with the process: it has nothing to lose.
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_io().build();
            let local = tokio::task::LocalSet::new();
            let serving = local.run_until(serve(listener, port, cuts, counter));
            runtime.expect("there are files left").block_on(serving);
        });
        Self { address, cut }
    }

    /// How many connections it has cut.
    pub(crate) fn cut(&self) -> u32 {
        self.cut.load(Ordering::Relaxed)
    }

    /// Its address as a target of a scenario.
    pub(crate) fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }
}

async fn serve(listener: std::net::TcpListener, port: u16, cuts: Cuts, cut: Arc<AtomicU32>) {
    let listener = TcpListener::from_std(listener).expect("it is non-blocking");
    let mut nth: u32 = 0;
    while let Ok((client, _)) = listener.accept().await {
        nth += 1;
        // A multiplicative hash spreads the cuts over all lengths, the same in each run.
        let span = cuts.below - cuts.from;
        let after = cuts.from + (nth.wrapping_mul(0x9e37_79b9) >> 8) % span;
        tokio::task::spawn_local(carry(client, port, after, cuts.limit, Arc::clone(&cut)));
    }
}

async fn carry(mut client: TcpStream, port: u16, after: u32, limit: u32, cut: Arc<AtomicU32>) {
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        return;
    };
    for socket in [&client, &server] {
        // Whatever a broker does to a socket, a packet must not wait here.
        let _ = socket.set_nodelay(true);
    }
    if forward(&mut client, &mut server, after, limit, &cut)
        .await
        .is_none()
    {
        for socket in [&client, &server] {
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Carries bytes both ways; `None` if the connection was cut or reset, `Some` if it was closed.
async fn forward(
    client: &mut TcpStream,
    server: &mut TcpStream,
    after: u32,
    limit: u32,
    cut: &AtomicU32,
) -> Option<()> {
    let ((client, mut to_client), (server, mut to_server)) = (client.split(), server.split());
    let (mut up, mut down) = ([0; 4096], [0; 4096]);
    let (mut left, mut spared, mut first) = (after as usize, false, true);
    loop {
        // Readiness first: a read must not be given up half-way.
        let is_up = tokio::select! {
            ready = client.readable() => ready.map(|()| true),
            ready = server.readable() => ready.map(|()| false),
        }
        .ok()?;
        let (read, buffer) = if is_up {
            (client.try_read(&mut up), &up)
        } else {
            (server.try_read(&mut down), &down)
        };
        let n = match read {
            Ok(0) => return Some(()),
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return None,
        };
        let mut bytes = &buffer[..n];
        if std::mem::take(&mut first) {
            let says = |id: &&[u8]| bytes.windows(id.len()).any(|part| part == *id);
            spared = SPARED.iter().any(says);
        }
        let cuts = !spared && n >= left && cut.load(Ordering::Relaxed) < limit;
        if cuts {
            bytes = &bytes[..left];
        }
        left = left.saturating_sub(n).max(1);
        let to = if is_up {
            &mut to_server
        } else {
            &mut to_client
        };
        to.write_all(bytes).await.ok()?;
        if cuts {
            // What was carried arrives before the RST.
            tokio::task::yield_now().await;
            cut.fetch_add(1, Ordering::Relaxed);
            return None;
        }
    }
}

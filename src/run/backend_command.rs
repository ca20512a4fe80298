//! `fleetstorm backend`: serves one node of the reference backend until the operator stops it, then
//! prints its own counts as JSON.

use crate::backend::{Backend, Input};
use crate::live::clock::Clock;
use crate::live::serve;
use crate::scenario::plan::{BackendFault, DropAck, Embedded, GoneClients, Me};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::signal::unix::{SignalKind, signal};

/// Connections that wait in the kernel to be accepted.
const LISTEN_BACKLOG: u32 = 4_096;

/// What the command line asks.
#[derive(Copy, Clone, Debug)]
pub struct Options {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// CONNECTs admitted per second; `None` = at once.
    pub accept_rate_per_s: Option<f64>,
    /// CONNECTs that may wait for admission.
    pub accept_queue: u32,
    /// Hold the acknowledgement of each PUBLISH (PUBACK, or PUBREC at QoS 2) back by this long.
    pub ack_delay: Option<Duration>,
    /// Drop this share (0 to 1) of them.
    pub drop_ack_share: Option<f64>,
    /// Seed of its draws.
    pub seed: u64,
}

/// Why it cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum BackendCommandError {
    /// The address is taken or not ours, or the system refused.
    #[error("cannot serve on {0}: {1}")]
    Io(SocketAddr, std::io::Error),
    /// A rate or share outside its range.
    #[error("{0}")]
    Usage(&'static str),
}

/// Serves until SIGINT or SIGTERM; `print` gets the address first and the counts last.
///
/// # Errors
/// If it cannot listen, or an option is out of range.
pub fn run(options: &Options, print: fn(&str)) -> Result<(), BackendCommandError> {
    if options
        .drop_ack_share
        .is_some_and(|share| !(0.0..=1.0).contains(&share))
    {
        return Err(BackendCommandError::Usage(
            "--drop-ack is a share from 0 to 1",
        ));
    }
    if options
        .accept_rate_per_s
        .is_some_and(|rate| !rate.is_finite() || rate <= 0.0)
    {
        return Err(BackendCommandError::Usage(
            "--accept-rate is a number above 0",
        ));
    }
    let failed = |error| BackendCommandError::Io(options.listen, error);
    let limit = getrlimit(Resource::Nofile);
    // Without it fewer connections fit, which the clients will see.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let local = tokio::task::LocalSet::new();
    let backend = local
        .block_on(&runtime, serve_until_stopped(options, print))
        .map_err(failed)?;
    let counts = serde_json::to_string_pretty(&backend.counts()).expect("a map of numbers is JSON");
    print(&format!("{counts}\n"));
    Ok(())
}

async fn serve_until_stopped(options: &Options, print: fn(&str)) -> std::io::Result<Backend> {
    let socket = if options.listen.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(options.listen)?;
    let listener = socket.listen(LISTEN_BACKLOG)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    print(&format!(
        "reference backend on mqtt://{}\n",
        listener.local_addr()?
    ));
    let shape = Embedded {
        nodes: 1,
        accept_rate_per_s: options.accept_rate_per_s,
        accept_queue: options.accept_queue,
        service: None,
        gone_clients: GoneClients::Skip,
        me: Me::Shared,
    };
    let clock = Clock::starting_now();
    let mut backend = Backend::new(&shape, 0, options.seed);
    let faults = [
        options.ack_delay.map(BackendFault::AckDelay),
        options
            .drop_ack_share
            .map(|share| BackendFault::DropAck(DropAck::Share(share))),
    ];
    let mut out = Vec::new();
    for (index, fault) in faults.into_iter().flatten().enumerate() {
        backend.handle_input(clock.now(), Input::FaultStart(index, fault), &mut out);
    }
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    serve::serve(backend, listener, clock, stop).await
}

//! Serves a [`crate::backend::Backend`] over TCP: one process, one single-threaded runtime.

use super::control::{Command, Report, Setup};
use super::serving::Serving;
use super::{link, process, worker};
use crate::backend::Backend;
use crate::live::clock::Clock;
use crate::live::control::Role;
use crate::scenario::plan::Target;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Runs one node of the embedded target until `Exit`, or until `commands` ends (the coordinator is
/// gone). To be called inside a current-thread runtime and a `LocalSet`, or inside
/// [`super::runtime`].
pub async fn run_node(
    setup: Setup,
    mut commands: mpsc::Receiver<Command>,
    reports: mpsc::Sender<Report>,
) {
    let (plan, node, serving, address) = match prepare(&setup) {
        Ok(prepared) => prepared,
        Err(why) => {
            // Nobody listens: nothing is left to do either way.
            let _ = reports.send(Report::Failed(why)).await;
            return;
        }
    };
    if reports.send(Report::Listening(address)).await.is_err() {
        return;
    }
    loop {
        match commands.recv().await {
            Some(Command::Start(start)) => serving.begin_faults(&plan, node, start),
            // Only `Exit` ends a node: devices still say goodbye after an abort.
            Some(Command::Arm | Command::Images(_) | Command::Abort | Command::Finish) => {}
            Some(Command::Exit) => break,
            None => return,
        }
    }
    let (backend, errors, driver) = serving.stop();
    let mut counts = backend.counts();
    counts.extend(driver);
    // The coordinator may have gone meanwhile.
    let _ = reports.send(Report::BackendDone { counts, errors }).await;
}

fn prepare(
    setup: &Setup,
) -> Result<(crate::scenario::plan::Plan, u16, Serving, SocketAddr), String> {
    let plan = worker::compile(setup)?;
    let node = match &setup.role {
        Role::BackendNode { node } => *node,
        Role::Worker { .. } => return Err("a backend node was set up as a worker".into()),
    };
    let Target::Embedded(shape) = &plan.target else {
        return Err("the scenario has no embedded target".into());
    };
    process::raise_file_limit()
        .map_err(|error| format!("the limit on open files could not be raised: {error}"))?;
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener =
        link::listen(any_port).map_err(|error| format!("no port on loopback: {error}"))?;
    let address = listener
        .local_addr()
        .map_err(|error| format!("no port on loopback: {error}"))?;
    let backend = Backend::new(shape, node, plan.seed);
    let clock = Clock::with_origin(setup.origin_ns);
    let serving = Serving::start(backend, listener, clock)
        .map_err(|error| format!("the node cannot serve: {error}"))?;
    Ok((plan, node, serving, address))
}

/// Serves `backend` on `listener` until `stop` resolves, then gives it back with its counts. To be
/// called inside a current-thread runtime and a `LocalSet`, or inside [`super::runtime`].
///
/// # Errors
/// If there is no file descriptor left for the timer.
pub async fn serve(
    backend: Backend,
    listener: TcpListener,
    clock: Clock,
    stop: impl Future<Output = ()>,
) -> std::io::Result<Backend> {
    let serving = Serving::start(backend, listener, clock)?;
    stop.await;
    let (backend, ..) = serving.stop();
    Ok(backend)
}

//! The far end of a pipe: a child process reads its [`Setup`] and commands from standard input,
//! runs a worker or a backend node, and writes its reports to standard output. End of input means
//! that the coordinator is gone: the child ends at once.

use super::transport::{self, TransportError};
use crate::live::control::{Command, PROTOCOL, Report, Role, Setup};
use crate::live::{serve, worker};
use std::os::fd::AsFd;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// Why a child could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// Standard input was not a coordinator's.
    #[error("this command is started by `fleetstorm run` itself: {0}")]
    NoSetup(String),
    /// The coordinator speaks another version.
    #[error("protocol {theirs} of the coordinator is not {PROTOCOL}: mixed versions of fleetstorm")]
    Protocol {
        /// The coordinator's version.
        theirs: u32,
    },
    /// The runtime could not be built.
    #[error("cannot start: {0}")]
    Runtime(#[from] std::io::Error),
}

/// Runs a child process until its work is done or the coordinator is gone.
///
/// # Errors
/// If there is no coordinator of this version on standard input.
pub fn run() -> Result<(), ChildError> {
    // The pipe's end is what ends a child; the parent-death signal covers a child that is too busy
    // to read it. Failing to set it only loses this second line of defence.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    let result = local.block_on(&runtime, serve_coordinator());
    // Do not wait for reader tasks or blocked threads of standard input.
    runtime.shutdown_background();
    result
}

async fn serve_coordinator() -> Result<(), ChildError> {
    let mut input = pipe_in()?;
    let output = pipe_out()?;
    let setup: Setup = match transport::read(&mut input).await {
        Ok(Some(setup)) => setup,
        Ok(None) => return Err(ChildError::NoSetup("standard input is empty".into())),
        Err(error) => return Err(ChildError::NoSetup(error.to_string())),
    };
    if setup.protocol != PROTOCOL {
        return Err(ChildError::Protocol {
            theirs: setup.protocol,
        });
    }
    let (commands, commands_rx) = mpsc::channel(worker::CONTROL_QUEUE);
    let (reports_tx, reports) = mpsc::channel(worker::CONTROL_QUEUE);
    let writer = tokio::task::spawn_local(write_reports(output, reports));
    let reader = tokio::task::spawn_local(read_commands(input, commands));
    let work = async {
        match setup.role {
            Role::Worker { .. } => worker::run(setup, commands_rx, reports_tx).await,
            Role::BackendNode { .. } => serve::run_node(setup, commands_rx, reports_tx).await,
        }
    };
    tokio::select! {
        // Work that ends drops its sender, so the writer ends after the last report.
        () = work => { let _ = writer.await; }
        // The coordinator is gone: nobody is left to report to.
        _ = reader => {}
    }
    Ok(())
}

async fn read_commands(mut input: impl AsyncRead + Unpin, commands: mpsc::Sender<Command>) {
    while let Ok(Some(command)) = transport::read::<Command>(&mut input).await {
        if commands.send(command).await.is_err() {
            // The work is done; stay until the pipe ends so that `select` lets the writer finish.
            std::future::pending::<()>().await;
        }
    }
}

async fn write_reports(
    mut output: impl AsyncWrite + Unpin,
    mut reports: mpsc::Receiver<Report>,
) -> Result<(), TransportError> {
    while let Some(report) = reports.recv().await {
        transport::write(&mut output, &report).await?;
    }
    Ok(())
}

fn pipe_in() -> std::io::Result<tokio::net::unix::pipe::Receiver> {
    let fd = std::io::stdin().as_fd().try_clone_to_owned()?;
    tokio::net::unix::pipe::Receiver::from_owned_fd(fd)
}

fn pipe_out() -> std::io::Result<tokio::net::unix::pipe::Sender> {
    let fd = std::io::stdout().as_fd().try_clone_to_owned()?;
    tokio::net::unix::pipe::Sender::from_owned_fd(fd)
}
